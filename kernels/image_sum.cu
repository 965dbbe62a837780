/* image_sum.cu: sums over images: of each channel, and of products.  Both are gradients, of a bias and of a
 * factor. */
#include "kernels/pixels.h"

inline namespace image_sum_cu {

using namespace sd::pixels;

/* A block sums a chunk of pixels for 32 packs of channels, or as many as there are: thread (x, y) takes
 * pack x and pixels y, y + rows, ...; the rows are added in halves.  How wide a pack is follows from the
 * number of channels alone, so that the order does too; where an address does not allow such an access
 * the pack is read one element at a time. */
enum { MOST_CHUNKS = 256, MOST_PACKS = 32 };
struct Cut {
	unsigned packs, rows;  /* of a block's threads */
	unsigned groups;       /* of packs */
	unsigned chunks, each; /* of pixels */
};
int sum_width(int c)
{
	return c % 4 == 0 ? 4 : c % 2 == 0 ? 2 : 1;
}
Cut cut(const sd_cu_img &x)
{
	unsigned all = x.c / sum_width(x.c), pixels = x.n * x.h * x.w;
	Cut c;

	for (c.packs = 1; c.packs < all && c.packs < MOST_PACKS;)
		c.packs *= 2;
	c.rows = THREADS / c.packs;
	c.groups = (all + c.packs - 1) / c.packs;
	c.chunks = (pixels + c.rows * 8 - 1) / (c.rows * 8);
	if (c.chunks > MOST_CHUNKS)
		c.chunks = MOST_CHUNKS;
	c.each = (pixels + c.chunks - 1) / c.chunks;
	return c;
}
/* Calls f<V>(args), V the width for sums. */
#define BY_SUM_WIDTH(c, f, ...) do { \
	switch (sum_width(c)) { \
	case 4: f<4>(__VA_ARGS__); break; \
	case 2: f<2>(__VA_ARGS__); break; \
	default: f<1>(__VA_ARGS__); break; \
	} \
} while (0)

template <int V> __device__ inline void wide(const sd_cu_img &x, int whole, unsigned pixel, int c, float v[V])
{
	if (whole)
		pack<V>(x, pixel, c, v);
	else
		for (int i = 0; i < V; i++)
			pack<1>(x, pixel, c + i, v + i);
}

/* part[chunk][c] = sum over the chunk's pixels of g */
template <int V> __global__ void channel_sum_kernel(const sd_cu_img g, int whole, const Cut cut, float *part)
{
	SD_SHARED(float, shared); /* (rows, packs, V) */
	unsigned pack_x = threadIdx.x % cut.packs, row = threadIdx.x / cut.packs;
	unsigned first = blockIdx.y * cut.each, end = first + cut.each, pixels = g.n * g.h * g.w;
	int c = (blockIdx.x * cut.packs + pack_x) * V;
	float sum[V], x[V];

	for (int i = 0; i < V; i++)
		sum[i] = 0;
	if (c < g.c)
		for (unsigned p = first + row; p < end && p < pixels; p += cut.rows) {
			wide<V>(g, whole, p, c, x);
			for (int i = 0; i < V; i++)
				sum[i] += x[i];
		}
	for (int i = 0; i < V; i++)
		shared[threadIdx.x * V + i] = sum[i];
	for (unsigned half = cut.rows / 2; half > 0; half /= 2) {
		__syncthreads();
		if (row < half)
			for (int i = 0; i < V; i++)
				shared[threadIdx.x * V + i] += shared[(threadIdx.x + half * cut.packs) * V + i];
	}
	if (row == 0 && c < g.c)
		for (int i = 0; i < V; i++)
			part[(size_t)blockIdx.y * g.c + c + i] = shared[threadIdx.x * V + i];
}
/* out[c] = sum of part[.][c], in order */
__global__ void chunk_sum_kernel(const float *part, unsigned chunks, int c, float *out)
{
	int i = blockIdx.x * THREADS + threadIdx.x;
	double sum = 0;

	if (i >= c)
		return;
	for (unsigned k = 0; k < chunks; k++)
		sum += part[(size_t)k * c + i];
	out[i] = (float)sum;
}
template <int V> void launch_channel_sum(sd_cu_run *r, const sd_cu_img &g, float *gb)
{
	const sd_cu_img *all[] = { &g };
	int whole = sd::pack_width(all, 1) >= V;
	Cut k = cut(g);
	float *part = static_cast<float *>(sd_cu_take(r, (size_t)k.chunks * g.c * sizeof(*part)));

	SD_LAUNCH(r, channel_sum_kernel<V>, dim3(k.groups, k.chunks), THREADS, THREADS * V * sizeof(float), g,
		whole, k,
		part);
	SD_LAUNCH(r, chunk_sum_kernel, sd::blocks_for(g.c, THREADS), THREADS, 0, part, k.chunks, g.c, gb);
}

/* part[block] = sum of load(a) * b over the block's chunk of pixels */
template <int V> __global__ void dot_kernel(const sd_cu_src a, const sd_cu_img b, int whole, const Cut cut,
	double *part)
{
	__shared__ double shared[32];
	unsigned pack_x = threadIdx.x % cut.packs, row = threadIdx.x / cut.packs;
	unsigned first = blockIdx.y * cut.each, end = first + cut.each, pixels = b.n * b.h * b.w;
	int c = (blockIdx.x * cut.packs + pack_x) * V;
	float sum[V], x[V], y[V], na[V], nb[V];
	double all = 0;

	for (int i = 0; i < V; i++)
		sum[i] = 0;
	if (c < b.c) {
		for (int i = 0; i < V; i++)
			sd::norm_factors(a.norm, c + i, na[i], nb[i]);
		for (unsigned p = first + row; p < end && p < pixels; p += cut.rows) {
			wide<V>(a.x, whole, p, c, x);
			wide<V>(b, whole, p, c, y);
			for (int i = 0; i < V; i++) {
				float t = a.norm.mean ? fmaf(na[i], x[i], nb[i]) : x[i];

				sum[i] = fmaf(a.relu ? sd::relu(t) : t, y[i], sum[i]);
			}
		}
	}
	for (int i = 0; i < V; i++)
		all += sum[i];
	all = sd::block_sum(all, shared);
	if (threadIdx.x == 0)
		part[blockIdx.y * gridDim.x + blockIdx.x] = all;
}
__global__ void dot_end_kernel(const double *part, unsigned n, float *out)
{
	__shared__ double shared[32];
	double sum = 0;

	for (unsigned i = threadIdx.x; i < n; i += THREADS)
		sum += part[i];
	sum = sd::block_sum(sum, shared);
	if (threadIdx.x == 0)
		*out = (float)sum;
}
template <int V> void launch_dot(sd_cu_run *r, const sd_cu_src &a, const sd_cu_img &b, float *out)
{
	const sd_cu_img *all[] = { &a.x, &b };
	int whole = sd::pack_width(all, 2) >= V;
	Cut k = cut(b);
	double *part = static_cast<double *>(sd_cu_take(r, (size_t)k.chunks * k.groups * sizeof(*part)));

	SD_LAUNCH(r, dot_kernel<V>, dim3(k.groups, k.chunks), THREADS, 0, a, b, whole, k, part);
	SD_LAUNCH(r, dot_end_kernel, 1, THREADS, 0, part, k.chunks * k.groups, out);
}

} /* namespace image_sum_cu */

void sd_cu_dot(struct sd_cu_run *r, const struct sd_cu_src *a, const struct sd_cu_img *b, float *out)
{
	BY_SUM_WIDTH(b->c, launch_dot, r, *a, *b, out);
}

void sd_cu_channel_sum(struct sd_cu_run *r, const struct sd_cu_img *g, float *gb)
{
	BY_SUM_WIDTH(g->c, launch_channel_sum, r, *g, gb);
}
