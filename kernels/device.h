/* device.h: what kernels are written with: launching, elements of the three types, loads with norm and
 * relu, and reductions in a fixed order.  nvcc compiles it, and a C++ compiler with the emulator's
 * cuda_runtime.h (tests/cuda-emulator), so: no inline assembly, launches through SD_LAUNCH, dynamic
 * shared memory through SD_SHARED, shuffles with the full mask and 32 live lanes. */
#ifndef SD_KERNELS_DEVICE_H
#define SD_KERNELS_DEVICE_H

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "kernels/kernels.h"

#ifdef __CUDACC__
#define SD_LAUNCH(r, kernel, grid, block, shared, ...) do { \
	sd_cu_group_flush(r); \
	(r)->launches++; \
	if (!(r)->dry) \
		kernel<<<(grid), (block), (shared), (r)->stream>>>(__VA_ARGS__); \
} while (0)
#define SD_SHARED(T, name) \
	extern __shared__ __align__(16) unsigned char sd_shared_bytes[]; \
	T *name = reinterpret_cast<T *>(sd_shared_bytes)
#else
#define SD_LAUNCH(r, kernel, grid, block, shared, ...) do { \
	sd_cu_group_flush(r); \
	(r)->launches++; \
	if (!(r)->dry) \
		EMU_LAUNCH(kernel, (grid), (block), (shared), (r)->stream, __VA_ARGS__); \
} while (0)
#define SD_SHARED(T, name) T *name = reinterpret_cast<T *>(emu::dynamic_shared())
#endif

/* Calls f<T>(args) for an image's element type. */
#define SD_BY_TYPE(type, f, ...) do { \
	switch (type) { \
	case SD_CU_F32: f<float>(__VA_ARGS__); break; \
	case SD_CU_BF16: f<__nv_bfloat16>(__VA_ARGS__); break; \
	case SD_CU_F16: f<__half>(__VA_ARGS__); break; \
	} \
} while (0)

namespace sd {

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ inline float to_float(__half x) { return __half2float(x); }
template <typename T> __device__ inline T from_float(float x);
template <> __device__ inline float from_float<float>(float x) { return x; }
template <> __device__ inline __nv_bfloat16 from_float<__nv_bfloat16>(float x) { return __float2bfloat16(x); }
template <> __device__ inline __half from_float<__half>(float x) { return __float2half(x); }

/* V elements of type T side by side, moved as one access: V * sizeof(T) is 2, 4, 8 or 16. */
template <typename T, int V> struct alignas(sizeof(T) * V) Pack {
	T e[V];
};
template <typename T, int V> __device__ inline void load_pack(const T *p, float v[V])
{
	const Pack<T, V> k = *reinterpret_cast<const Pack<T, V> *>(p);
	for (int i = 0; i < V; i++)
		v[i] = to_float(k.e[i]);
}
template <typename T, int V> __device__ inline void store_pack(T *p, const float v[V], int acc)
{
	Pack<T, V> k;
	if (acc) {
		k = *reinterpret_cast<Pack<T, V> *>(p);
		for (int i = 0; i < V; i++)
			k.e[i] = from_float<T>(to_float(k.e[i]) + v[i]);
	} else {
		for (int i = 0; i < V; i++)
			k.e[i] = from_float<T>(v[i]);
	}
	*reinterpret_cast<Pack<T, V> *>(p) = k;
}

/* x of a gradient that is taken back, as an image; g where there is none. */
__host__ __device__ inline sd_cu_img back_image(const sd_cu_img &g, const sd_cu_back &b)
{
	sd_cu_img x = g;

	if (b.on && b.x) {
		x.p = const_cast<void *>(b.x);
		x.ld = b.ld;
	}
	return x;
}

/* The widest pack (1, 2, 4; 8 for two-byte types) that c, ld and the address of every given image allow. */
inline int pack_width(const sd_cu_img *const *x, int n)
{
	int v = x[0]->type == SD_CU_F32 ? 4 : 8;

	for (int i = 0; i < n; i++) {
		size_t elem = x[i]->type == SD_CU_F32 ? 4 : 2;

		while (v > 1 && (x[i]->c % v || x[i]->ld % v || reinterpret_cast<size_t>(x[i]->p) % (elem * v) ||
		                 elem * v > 16))
			v /= 2;
	}
	return v;
}

/* a and b of a norm in channel c: norm(x) = a x + b; where there is none 1 and -0, which leave every x, -0
 * too, as it is. */
__device__ inline void norm_factors(const sd_cu_norm &n, int c, float &a, float &b)
{
	a = 1;
	b = -0.0f;
	if (!n.mean)
		return;
	a = 1.0f / sqrtf(n.var[c] + n.eps);
	if (n.gamma)
		a *= n.gamma[c];
	b = fmaf(-n.mean[c], a, n.beta ? n.beta[c] : 0.0f);
}

/* A gradient taken back through a norm, in channel c: c1 (x - mean) + (scale g + c0), g counting where a x + b > 0;
 * x - mean keeps its digits when the mean is large. */
struct BackFactors {
	float scale, c0, c1, mean, a, b;

	/* sums: whether there are any */
	__device__ float operator()(float g, float x, bool sums, bool masked) const
	{
		float t = fmaf(scale, masked && !(fmaf(a, x, b) > 0.0f) ? 0.0f : g, c0);

		return sums ? fmaf(c1, x - mean, t) : t;
	}
};
__device__ inline BackFactors back_factors(const sd_cu_norm &norm, const sd_cu_norm &mask, const sd_cu_back &k, int c,
	unsigned pixels)
{
	BackFactors f;
	float b;

	norm_factors(norm, c, f.scale, b);
	f.scale *= k.f ? *k.f : 1.0f;
	f.c0 = -0.0f;
	f.c1 = f.mean = 0;
	if (k.sg) {
		double m = -static_cast<double>(f.scale) / pixels;
		float istd = 1.0f / sqrtf(norm.var[c] + norm.eps);

		f.c0 = static_cast<float>(m * k.sg[c]);
		f.c1 = static_cast<float>(m * istd * k.sgx[c]);
		f.mean = norm.mean[c];
	}
	norm_factors(mask, c, f.a, f.b);
	return f;
}

__device__ inline float relu(float x) { return 0.0f > x ? 0.0f : x; }

__device__ inline bool is_on(const sd_cu_on &on)
{
	if (!on.p)
		return true;
	return on.is_int ? *static_cast<const int32_t *>(on.p) != 0 : *static_cast<const float *>(on.p) != 0.0f;
}

/* Sums over a warp: every lane gets it, in a butterfly of fixed order. */
template <typename S> __device__ inline S warp_sum(S v)
{
	for (int d = 16; d > 0; d /= 2)
		v += __shfl_xor_sync(0xffffffffu, v, d);
	return v;
}
/* Sums over a block of up to 1024 threads, a whole number of warps, all of which must call; the result is
 * for thread 0.  `part` is shared memory for 32 values; a barrier comes first, so it can be used again. */
template <typename S> __device__ inline S block_sum(S v, S *part)
{
	int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;

	v = warp_sum(v);
	__syncthreads();
	if (lane == 0)
		part[warp] = v;
	__syncthreads();
	S sum = 0;
	if (threadIdx.x == 0)
		for (int i = 0; i < warps; i++)
			sum += part[i];
	return sum;
}

/* Where a pixel, counted along, lies: sample, row, column. */
struct Spot {
	unsigned n;
	int i, j;
};
__device__ inline Spot spot(const sd_cu_img &x, unsigned pixel)
{
	unsigned w = static_cast<unsigned>(x.w), h = static_cast<unsigned>(x.h), row = pixel / w;

	return Spot{ row / h, static_cast<int>(row % h), static_cast<int>(pixel % w) };
}

inline unsigned blocks_for(size_t work, unsigned threads)
{
	size_t n = (work + threads - 1) / threads;

	return n > 0x7fffffff ? 0x7fffffff : static_cast<unsigned>(n ? n : 1);
}

} /* namespace sd */

#endif
