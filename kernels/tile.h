/* tile.h: how the image kernels cut their work, and sums over pixels in a fixed order.
 *
 * A thread holds a pack of V channels, with their norm in registers, and walks over pixels; a block is
 * (x packs) by (rows) threads, so that neighbours read neighbouring memory.  How many rows a block has,
 * how many pixels a chunk has and how many chunks there are depend on the shape alone and never on V, which
 * is an affair of addresses and element types; as the V sums of a thread never meet, the order of every
 * sum is then a function of the shape too.
 *
 * Pixels (N H W) and outputs are counted in 32 bits; an offset in elements is their product with ld in
 * 64 bits, one instruction. */
#ifndef SD_KERNELS_TILE_H
#define SD_KERNELS_TILE_H

#include "kernels/group.h"

#include <math.h>

#ifdef __CUDACC__
#define SD_UNROLL _Pragma("unroll")
#define SD_ROLLED _Pragma("unroll 1")
#else
#define SD_UNROLL
#define SD_ROLLED
#endif

/* Calls f<T, V>(args) for a pack of v elements. */
#define SD_BY_PACK(T, v, f, ...) do { \
	switch (v) { \
	case 8: \
		if constexpr (sizeof(T) == 2) \
			f<T, 8>(__VA_ARGS__); \
		break; \
	case 4: f<T, 4>(__VA_ARGS__); break; \
	case 2: f<T, 2>(__VA_ARGS__); break; \
	default: f<T, 1>(__VA_ARGS__); break; \
	} \
} while (0)

namespace sd {

enum {
	TILE_THREADS = 256,  /* of a block, at most; 128 for packs of 8, which take twice the registers */
	TILE_CHANNELS = 128, /* that a block's packs hold, at most: room for its norm in shared memory */
	STEP = 4,            /* pixels whose loads a thread has under way together */
	FOLD = 8,            /* runs of chunks that are summed apart */
};

struct Tile {
	unsigned x, rows, ways; /* threads: packs of channels, pixels, and those that share a pixel */
	unsigned tiles;         /* blocks along the channels */
	dim3 block() const { return dim3(x, rows, ways); }
};

template <int V> struct Threads { enum { most = V == 8 ? TILE_THREADS / 2 : TILE_THREADS }; };

/* For image kernels of packs of V: enough registers for what is under way, and no spills. */
#define SD_BOUNDS(V) __launch_bounds__(sd::Threads<V>::most, (V) == 8 ? 3 : 2)

inline Tile make_tile(int c, int v, int ways = 1)
{
	Tile t;
	unsigned quads = static_cast<unsigned>(c + 3) / 4, packs = static_cast<unsigned>(c / v);

	t.ways = static_cast<unsigned>(ways);
	t.rows = TILE_THREADS / (quads * t.ways);
	t.rows = t.rows < 4 ? 4 : t.rows > 64 ? 64 : t.rows;
	t.x = (v == 8 ? TILE_THREADS / 2u : TILE_THREADS * 1u) / (t.rows * t.ways);
	t.x = t.x < packs ? t.x : packs;
	t.x = t.x * static_cast<unsigned>(v) > TILE_CHANNELS ? TILE_CHANNELS / static_cast<unsigned>(v) : t.x;
	t.tiles = (packs + t.x - 1) / t.x;
	return t;
}

__host__ __device__ inline unsigned rows_of(const sd_cu_img &x) { return static_cast<unsigned>(x.n) *
	static_cast<unsigned>(x.h); }
__host__ __device__ inline unsigned pixels_of(const sd_cu_img &x) { return rows_of(x) * static_cast<unsigned>(x.w); }

/* The pixels (or whatever a row of threads takes in turn) of a reduction, in chunks of `per`. */
struct Cut {
	unsigned count, per, chunks;
};
inline Cut make_cut(unsigned count, const Tile &t, unsigned each = STEP, unsigned most = 1024)
{
	Cut c;

	c.count = count;
	c.per = t.rows * each;
	if ((count + c.per - 1) / c.per > most)
		c.per = ((count + most - 1) / most + t.rows - 1) / t.rows * t.rows;
	c.chunks = (count + c.per - 1) / c.per;
	return c;
}

/* The pixels of an elementwise kernel: a block takes `steps` times STEP for each of its rows. */
struct Walk {
	unsigned pixels, steps, blocks;
};
inline Walk make_walk(unsigned pixels, const Tile &t)
{
	Walk w;
	unsigned once = (pixels + t.rows * STEP - 1) / (t.rows * STEP);

	w.pixels = pixels;
	w.steps = once > 4096 ? 4 : once > 2048 ? 2 : 1;
	w.blocks = (once + w.steps - 1) / w.steps;
	return w;
}

__device__ inline unsigned thread_rank()
{
	return (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
}
__device__ inline unsigned thread_count() { return blockDim.x * blockDim.y * blockDim.z; }

/* First channel of this thread's pack, and of its block's. */
template <int V> __device__ inline int thread_channel()
{
	return static_cast<int>((blockIdx.y * blockDim.x + threadIdx.x) * V);
}
template <int V> __device__ inline int block_channel()
{
	return static_cast<int>(blockIdx.y * blockDim.x * V);
}

template <typename T> __device__ inline T *at(const sd_cu_img &x, unsigned pixel, int channel)
{
	return static_cast<T *>(x.p) + static_cast<size_t>(pixel) * static_cast<unsigned>(x.ld) + channel;
}

/* Pixel (i, j) of sample n. */
__device__ inline unsigned pixel(const sd_cu_img &x, unsigned n, int i, int j)
{
	return (n * static_cast<unsigned>(x.h) + static_cast<unsigned>(i)) * static_cast<unsigned>(x.w) +
		static_cast<unsigned>(j);
}
__device__ inline bool inside(int i, int n) { return static_cast<unsigned>(i) < static_cast<unsigned>(n); }
/* Which of n outputs at stride s reads input i (padding added) by a tap at distance k; -1 for none. */
__device__ inline int reader(int i, int k, int s, int n)
{
	int o = i - k;

	if (o < 0)
		return -1;
	if (s == 2) {
		if (o & 1)
			return -1;
		o >>= 1;
	} else if (s != 1) {
		if (o % s)
			return -1;
		o /= s;
	}
	return o < n ? o : -1;
}

/* Rows of outputs, of `out` for a sample and counted along through all of them: those that rows [first, last] of
 * inputs, of h for a sample, are read by, and what lies between these. */
struct Rows {
	unsigned first, end;
};
__host__ __device__ inline Rows rows_of_readers(unsigned first, unsigned last, int h, int out,
	const struct sd_window &win)
{
	unsigned height = static_cast<unsigned>(h), most = static_cast<unsigned>(out), stride = static_cast<unsigned>(win.sh);
	unsigned reach = static_cast<unsigned>((win.kh - 1) * win.dh), pad = static_cast<unsigned>(win.ph);
	unsigned from = first % height + pad, to = (last % height + pad) / stride;

	from = from > reach ? (from - reach + stride - 1) / stride : 0;
	return { first / height * most + (from < most ? from : most - 1),
		last / height * most + (to < most ? to + 1 : most) };
}

/* V elements as they lie in memory, on the way in registers: two-byte types as words, which the compiler then
 * moves whole. */
template <typename T, int V, bool words = sizeof(T) == 2 && (V > 1)> struct Raw {
	Pack<T, V> k;
};
template <typename T, int V> struct alignas(2 * V) Raw<T, V, true> {
	uint32_t w[V / 2];
};
template <typename T, int V> __device__ inline Raw<T, V> load_raw(const T *p)
{
	return *reinterpret_cast<const Raw<T, V> *>(p);
}
__device__ inline void from_bits(unsigned bits, __nv_bfloat16, float &v) { v = __uint_as_float(bits << 16); }
__device__ inline void from_bits(unsigned bits, __half, float &v)
{
	v = __half2float(__ushort_as_half(static_cast<unsigned short>(bits & 0xffff)));
}
template <typename T, int V> __device__ inline void unpack(const Raw<T, V> &k, float v[V])
{
	if constexpr (sizeof(T) == 2 && V > 1) {
		SD_UNROLL
		for (int i = 0; i < V; i += 2) {
			from_bits(k.w[i / 2], T(), v[i]);
			from_bits(k.w[i / 2] >> 16, T(), v[i + 1]);
		}
	} else {
		SD_UNROLL
		for (int i = 0; i < V; i++)
			v[i] = to_float(k.k.e[i]);
	}
}
/* V floats from shared memory, where they lie on a multiple of V. */
template <int V> __device__ inline void load_floats(const float *p, float v[V])
{
	constexpr int S = V < 4 ? V : 4;

	SD_UNROLL
	for (int i = 0; i < V; i += S)
		load_pack<float, S>(p + i, v + i);
}

/* What is done to an operand's pack as it is loaded. */
template <int V> struct Load {
	float a[V], b[V], low;

	__device__ void operator()(float v[V]) const
	{
		SD_UNROLL
		for (int i = 0; i < V; i++) {
			float t = fmaf(a[i], v[i], b[i]);

			v[i] = low > t ? low : t;
		}
	}
};
/* The norm of the block's channels goes through shared memory, each worked out once: (TILE_CHANNELS) each.
 * All threads must call; a barrier comes at the end. */
template <int V> __device__ inline void norm_to_shared(const sd_cu_norm &n, int c, float *a, float *b)
{
	for (unsigned i = thread_rank(); i < blockDim.x * V; i += thread_count())
		if (block_channel<V>() + static_cast<int>(i) < c)
			norm_factors(n, block_channel<V>() + static_cast<int>(i), a[i], b[i]);
	__syncthreads();
}
template <int V> __device__ inline Load<V> load_from_shared(const float *a, const float *b, int relu)
{
	Load<V> l;

	load_floats<V>(a + threadIdx.x * V, l.a);
	load_floats<V>(b + threadIdx.x * V, l.b);
	l.low = relu ? 0.0f : -INFINITY;
	return l;
}

/* Sums N values over the rows of a block, halving: row i takes row i + half.  Row 0 gets the sums, in v.
 * `part` is shared memory for N floats a thread; a barrier comes first, so it can be used again. */
template <int N> __device__ inline void sum_rows(float v[N], float *part)
{
	unsigned me = thread_rank(), all = thread_count();

	__syncthreads();
	SD_UNROLL
	for (int i = 0; i < N; i++)
		part[static_cast<unsigned>(i) * all + me] = v[i];
	for (unsigned m = blockDim.y, half; m > 1; m = half) {
		half = (m + 1) / 2;
		__syncthreads();
		if (threadIdx.y < m - half) {
			SD_UNROLL
			for (int i = 0; i < N; i++) {
				unsigned k = static_cast<unsigned>(i) * all + me;

				v[i] += part[k + half * blockDim.x];
				part[k] = v[i];
			}
		}
	}
}

/* A block of 32 by FOLD threads sums f(chunk) over chunks: row i the chunks of the i-th of FOLD runs in
 * order, then the runs in order. Every thread of a column gets the sum.  `part` is shared memory for 32
 * FOLD doubles; a barrier comes first. */
template <typename F> __device__ inline double sum_chunks(unsigned chunks, double *part, F f)
{
	unsigned first = chunks * threadIdx.y / FOLD, end = chunks * (threadIdx.y + 1) / FOLD;
	double s = 0;

	for (unsigned i = first; i < end; i++)
		s += f(i);
	__syncthreads();
	part[threadIdx.y * 32 + threadIdx.x] = s;
	__syncthreads();
	s = 0;
	for (int i = 0; i < FOLD; i++)
		s += part[static_cast<unsigned>(i) * 32 + threadIdx.x];
	return s;
}

/* The same, by the last block of a member's row of blocks (blockIdx.x) to come here, for the block's channels, or by the
 * last of as many as a counter is for: the others have left their chunks' sums in memory.  Which block is last changes
 * nothing in what is summed, nor its order.  True for the threads of the last; all must call.  `flag` is shared memory. */
__device__ inline bool is_last_of(unsigned *counter, unsigned blocks, unsigned *flag)
{
	__threadfence();
	__syncthreads();
	if (thread_rank() == 0) {
		*flag = atomicAdd(counter, 1u) + 1 == blocks;
		if (*flag)
			*counter = 0;
	}
	__syncthreads();
	if (!*flag)
		return false;
	__threadfence();
	return true;
}
__device__ inline bool is_last_block(unsigned *counters, unsigned blocks, unsigned *flag)
{
	return is_last_of(counters + blockIdx.z * gridDim.y + blockIdx.y, blocks, flag);
}
/* sum[i] = sum of f(chunk, i) over chunks for i < n; `part` and `sum` are shared memory for FOLD TILE_CHANNELS and
 * TILE_CHANNELS doubles.  All threads of the block call; barriers come before and after. */
template <typename F> __device__ inline void sum_tile(unsigned chunks, unsigned n, double *part, double *sum, F f)
{
	__syncthreads();
	for (unsigned k = thread_rank(); k < n * FOLD; k += thread_count()) {
		unsigned i = k % n, run = k / n, end = chunks * (run + 1) / FOLD;
		double s = 0;

		for (unsigned c = chunks * run / FOLD; c < end; c++)
			s += f(c, i);
		part[run * TILE_CHANNELS + i] = s;
	}
	__syncthreads();
	for (unsigned i = thread_rank(); i < n; i += thread_count()) {
		double s = 0;

		for (unsigned run = 0; run < FOLD; run++)
			s += part[run * TILE_CHANNELS + i];
		sum[i] = s;
	}
	__syncthreads();
}
/* Channels of this block, of an image of c. */
template <int V> __device__ inline unsigned block_channels(int c)
{
	unsigned most = blockDim.x * V, left = static_cast<unsigned>(c - block_channel<V>());

	return left < most ? left : most;
}

} /* namespace sd */

#endif
