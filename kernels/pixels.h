/* pixels.h: how kernels that work by element go over images.
 *
 * A thread takes a pack of channels, keeps its norm factors, and goes over ITEMS pixels that lie far apart,
 * so that neighbours in a warp read what lies side by side and a thread has all its loads in flight at
 * once.  The type of an image is looked at once for each thread and operand, outside those loops; images
 * of different types mix freely. */
#ifndef SD_KERNELS_PIXELS_H
#define SD_KERNELS_PIXELS_H

#include "kernels/group.h"

namespace sd {
namespace pixels {

enum { THREADS = 256, ITEMS = 4 };

/* Which pixels a thread has: at + k * step for k < ITEMS, those below n; and its first channel. */
struct Walk {
	unsigned at, step, n;
	int c;
};
template <int V> __device__ inline bool walk(const sd_cu_img &y, Walk &w)
{
	unsigned packs = y.c / V, i = blockIdx.x * THREADS + threadIdx.x;

	w.n = y.n * y.h * y.w;
	w.step = (w.n + ITEMS - 1) / ITEMS;
	w.at = i / packs;
	w.c = i % packs * V;
	return w.at < w.step;
}
inline unsigned walk_blocks(const sd_cu_img &y, int v)
{
	size_t pixels = (size_t)y.n * y.h * y.w;

	return sd::blocks_for((pixels + ITEMS - 1) / ITEMS * (y.c / v), THREADS);
}

template <int V, typename T> __device__ inline void get_as(const sd_cu_img &x, const Walk &w,
	float v[ITEMS][V])
{
	if constexpr (V * sizeof(T) <= 16) {
		const T *p = static_cast<const T *>(x.p) + w.c;

#pragma unroll
		for (int k = 0; k < ITEMS; k++)
			if (w.at + k * w.step < w.n)
				sd::load_pack<T, V>(p + (size_t)(w.at + k * w.step) * x.ld, v[k]);
	}
}
/* Elements behind the last pixel are left alone. */
template <int V> __device__ inline void get(const sd_cu_img &x, const Walk &w, float v[ITEMS][V])
{
	switch (x.type) {
	case SD_CU_BF16: get_as<V, __nv_bfloat16>(x, w, v); break;
	case SD_CU_F16: get_as<V, __half>(x, w, v); break;
	default: get_as<V, float>(x, w, v); break;
	}
}

template <int V, typename T> __device__ inline void put_as(const sd_cu_dst &y, const Walk &w,
	float v[ITEMS][V])
{
	if constexpr (V * sizeof(T) <= 16) {
		T *p = static_cast<T *>(y.y.p) + w.c;

#pragma unroll
		for (int k = 0; k < ITEMS; k++)
			if (w.at + k * w.step < w.n)
				sd::store_pack<T, V>(p + (size_t)(w.at + k * w.step) * y.y.ld, v[k], y.acc);
	}
}
template <int V> __device__ inline void put(const sd_cu_dst &y, const Walk &w, float v[ITEMS][V])
{
	switch (y.y.type) {
	case SD_CU_BF16: put_as<V, __nv_bfloat16>(y, w, v); break;
	case SD_CU_F16: put_as<V, __half>(y, w, v); break;
	default: put_as<V, float>(y, w, v); break;
	}
}

/* v -> relu?(norm?(v)) for the V channels from c on */
template <int V> __device__ inline void loaded(const sd_cu_src &x, int c, float v[ITEMS][V])
{
	if (x.norm.mean) {
#pragma unroll
		for (int i = 0; i < V; i++) {
			float a, b;

			sd::norm_factors(x.norm, c + i, a, b);
#pragma unroll
			for (int k = 0; k < ITEMS; k++)
				v[k][i] = fmaf(a, v[k][i], b);
		}
	}
	if (x.relu) {
#pragma unroll
		for (int k = 0; k < ITEMS; k++)
#pragma unroll
			for (int i = 0; i < V; i++)
				v[k][i] = sd::relu(v[k][i]);
	}
}

/* One pack. */
template <int V, typename T> __device__ inline void pack_as(const sd_cu_img &x, long long pixel, int c,
	float v[V])
{
	if constexpr (V * sizeof(T) <= 16)
		sd::load_pack<T, V>(static_cast<const T *>(x.p) + pixel * x.ld + c, v);
}
template <int V> __device__ inline void pack(const sd_cu_img &x, long long pixel, int c, float v[V])
{
	switch (x.type) {
	case SD_CU_BF16: pack_as<V, __nv_bfloat16>(x, pixel, c, v); break;
	case SD_CU_F16: pack_as<V, __half>(x, pixel, c, v); break;
	default: pack_as<V, float>(x, pixel, c, v); break;
	}
}

} /* namespace pixels */
} /* namespace sd */

/* Calls f<V>(args) for the widest pack that the images allow. */
#define SD_BY_WIDTH(v, f, ...) do { \
	switch (v) { \
	case 8: f<8>(__VA_ARGS__); break; \
	case 4: f<4>(__VA_ARGS__); break; \
	case 2: f<2>(__VA_ARGS__); break; \
	default: f<1>(__VA_ARGS__); break; \
	} \
} while (0)

#endif
