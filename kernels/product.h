/* product.h: products of pixels and a matrix, whose operand comes through shared memory: what pointwise.cu, half.cu and
 * half_bwd.cu share.
 *
 * A block takes ROWS pixels and W of the results' channels, the operand DEPTH channels at a time, and a thread keeps 4
 * channels of some pixels in registers.  A result is one chain of multiply-adds from 0 over the operand's channels in
 * order, whatever the tile.  Mean and variance of the results, as they are stored, are taken on the way where they are
 * asked for: each block's about its first pixel, put together by the last (stats.h). */
#ifndef SD_KERNELS_PRODUCT_H
#define SD_KERNELS_PRODUCT_H

#include "kernels/stats.h"

namespace sd {

enum { ROWS = 128, DEPTH = 16, BLOCK = 256 };

struct Product {
	const float *w;     /* element (k, j) at k sk + j sj */
	int k, sk, sj;
	unsigned pixels;
	sd_cu_dst y;
	float *part;        /* (blocks, 3, C) of y's statistics; NULL: not wanted */
	unsigned *counters;
	float *mean, *var;
};

/* Shared memory of a block. */
template <int W> struct ProductOperands {
	float x[DEPTH][ROWS + 4];      /* the operand: [channel][pixel], 0 where there is none */
	alignas(16) float w[DEPTH][W];
};
template <int W> struct ProductTile : ProductOperands<W> {
	enum { COLS = W / 4, LANES = BLOCK / COLS, EACH = ROWS / LANES };
	float pivot[W];
	double fold[FOLD * TILE_CHANNELS], means[TILE_CHANNELS], squares[TILE_CHANNELS];
	unsigned flag;
};

template <int W> __device__ inline void clear(float (*s)[4])
{
	SD_UNROLL
	for (int r = 0; r < ProductTile<W>::EACH; r++)
		SD_UNROLL
		for (int i = 0; i < 4; i++)
			s[r][i] = 0;
}

/* Channels [c0, c0 + DEPTH) of the operand and [j0, j0 + W) of the result. */
template <int W> __device__ inline void matrix_to_shared(const Product &d, int c0, int j0, ProductOperands<W> &tile)
{
	for (unsigned i = threadIdx.x; i < DEPTH * W; i += BLOCK) {
		/* neighbours read what lies side by side */
		int k = static_cast<int>(d.sk == 1 ? i % DEPTH : i / W);
		int c = static_cast<int>(d.sk == 1 ? i / DEPTH : i % W);

		tile.w[k][c] = c0 + k < d.k && j0 + c < d.y.y.c
			? d.w[static_cast<size_t>(c0 + k) * static_cast<unsigned>(d.sk) +
			      static_cast<size_t>(j0 + c) * static_cast<unsigned>(d.sj)] : 0.0f;
	}
}

/* Adds the products of those channels to s. */
template <int W>
__device__ inline void multiply(const Product &d, int c0, const ProductOperands<W> &tile, float (*s)[4])
{
	typedef ProductTile<W> Of;
	unsigned lane = threadIdx.x / Of::COLS;
	int j = static_cast<int>(threadIdx.x % Of::COLS) * 4;

	SD_UNROLL
	for (int k = 0; k < DEPTH; k++) {
		float wk[4];

		if (c0 + k >= d.k)
			break;
		load_floats<4>(&tile.w[k][j], wk);
		SD_UNROLL
		for (int r = 0; r < Of::EACH; r++) {
			float v = tile.x[k][lane + static_cast<unsigned>(r) * Of::LANES];

			SD_UNROLL
			for (int i = 0; i < 4; i++)
				s[r][i] = fmaf(v, wk[i], s[r][i]);
		}
	}
}

/* Statistics of s, as it is stored: sums over the rows, through the memory that the operand had. */
template <typename T, int W> __device__ inline void take_stats(const Product &d, ProductTile<W> &tile, float (*s)[4])
{
	typedef ProductTile<W> Of;
	unsigned first = blockIdx.x * ROWS, lane = threadIdx.x / Of::COLS;
	unsigned c = static_cast<unsigned>(d.y.y.c), c0 = blockIdx.y * W, n = c - c0 < W ? c - c0 : W;
	int j = static_cast<int>(threadIdx.x % Of::COLS) * 4;
	float *sums = &tile.x[0][0], t[2][4];

	SD_UNROLL
	for (int r = 0; r < Of::EACH; r++)
		SD_UNROLL
		for (int i = 0; i < 4; i++)
			s[r][i] = to_float(from_float<T>(s[r][i]));
	if (lane == 0)
		SD_UNROLL
		for (int i = 0; i < 4; i++)
			tile.pivot[j + i] = s[0][i];
	__syncthreads();
	SD_UNROLL
	for (int i = 0; i < 4; i++) {
		t[0][i] = t[1][i] = 0;
		SD_UNROLL
		for (int r = 0; r < Of::EACH; r++)
			if (first + lane + static_cast<unsigned>(r) * Of::LANES < d.pixels) {
				float apart = s[r][i] - tile.pivot[j + i];

				t[0][i] += apart;
				t[1][i] = fmaf(apart, apart, t[1][i]);
			}
		sums[lane * W + static_cast<unsigned>(j + i)] = t[0][i];
		sums[(Of::LANES + lane) * W + static_cast<unsigned>(j + i)] = t[1][i];
	}
	__syncthreads();
	for (unsigned k = threadIdx.x; k < 3 * W; k += BLOCK) {
		unsigned what = k / W, i = k % W;
		float sum = what ? 0.0f : tile.pivot[i];

		for (unsigned l = 0; what && l < Of::LANES; l++)
			sum += sums[((what - 1) * Of::LANES + l) * W + i];
		if (i < n)
			d.part[(static_cast<size_t>(blockIdx.x) * 3 + what) * c + c0 + i] = sum;
	}
	const Cut cut = { d.pixels, ROWS, (d.pixels + ROWS - 1) / ROWS };

	if (is_last_block(d.counters, cut.chunks, &tile.flag))
		merge_stats(d.part, cut, c, c0, n, tile.fold, tile.means, tile.squares, d.mean, d.var);
}

/* Stores s, in packs of U, and takes its statistics where they are wanted. */
template <typename T, int U, int W> __device__ inline void finish(const Product &d, ProductTile<W> &tile, float (*s)[4])
{
	typedef ProductTile<W> Of;
	unsigned first = blockIdx.x * ROWS, lane = threadIdx.x / Of::COLS;
	int j = static_cast<int>(blockIdx.y * W + threadIdx.x % Of::COLS * 4);

	SD_UNROLL
	for (int r = 0; r < Of::EACH; r++) {
		unsigned p = first + lane + static_cast<unsigned>(r) * Of::LANES;

		if (p >= d.pixels)
			continue;
		T *to = at<T>(d.y.y, p, j);

		if (U == 4 && j < d.y.y.c) {
			store_pack<T, U>(to, s[r], d.y.acc);
			continue;
		}
		for (int i = 0; i < 4 && j + i < d.y.y.c; i++)
			store_pack<T, 1>(to + i, s[r] + i, d.y.acc);
	}
	if (d.part)
		take_stats<T>(d, tile, s);
}

/* ---- operands from memory ---- */

/* An image whose pixels are those of another's rows and columns 2 i + odd (odd < 0: its own), as they are loaded;
 * what lies outside is 0. */
struct From {
	sd_cu_src src;
	sd_cu_back back; /* with on, of a gradient; odd < 0 */
	int odd, h, w;   /* odd >= 0: of the image that is taken */
};

/* By channel: a x + b, or what takes a gradient back.  Shared memory. */
template <int N> struct Factors {
	float a[N], b[N], c0[N], c1[N], mean[N], scale[N];

	/* of channel c, to place i */
	__device__ void set(const From &f, int c, unsigned i, unsigned pixels)
	{
		if (!f.back.on) {
			norm_factors(f.src.norm, c, a[i], b[i]);
			return;
		}
		const BackFactors k = back_factors(f.src.norm, f.src.norm, f.back, c, pixels);

		a[i] = k.a, b[i] = k.b, c0[i] = k.c0, c1[i] = k.c1, mean[i] = k.mean, scale[i] = k.scale;
	}
	/* V channels from place c on; x: of the norm, where there is one */
	template <int V> __device__ void apply(const From &f, unsigned c, const float x[V], float v[V]) const
	{
		float low = f.src.relu ? 0.0f : -INFINITY;

		SD_UNROLL
		for (int k = 0; k < V; k++) {
			if (f.back.on) {
				const BackFactors t = { scale[c + k], c0[c + k], c1[c + k], mean[c + k], a[c + k], b[c + k] };

				v[k] = t(v[k], x[k], f.back.sg, f.src.relu);
			} else {
				float t = fmaf(a[c + k], v[k], b[c + k]);

				v[k] = low > t ? low : t;
			}
		}
	}
};

/* The pixel of x that pixel p of what is taken comes from, or -1. */
__device__ inline long long source_pixel(const From &f, unsigned p)
{
	if (f.odd < 0)
		return p;
	unsigned w = static_cast<unsigned>(f.w), h = static_cast<unsigned>(f.h);
	int j = 2 * static_cast<int>(p % w) + f.odd, i = 2 * static_cast<int>(p / w % h) + f.odd;

	if (!inside(i, f.src.x.h) || !inside(j, f.src.x.w))
		return -1;
	return pixel(f.src.x, p / w / h, i, j);
}

/* Channels [c0, c0 + DEPTH) of R pixels from `first` on to shared memory: to[channel][pixel], 0 where there are none.
 * Their factors begin at place `at`. */
template <typename T, int V, int R, int N> __device__ inline void rows_to_shared(const From &f, unsigned first,
	unsigned end, int c0, const Factors<N> &factors, unsigned at0, float (*to)[R + 4])
{
	enum { PACKS = DEPTH / V };
	const sd_cu_img x = back_image(f.src.x, f.back);

	for (unsigned i = threadIdx.x; i < R * PACKS; i += BLOCK) {
		unsigned r = i / PACKS, c = i % PACKS * V;
		long long p = first + r < end ? source_pixel(f, first + r) : -1;
		float v[V];

		SD_UNROLL
		for (int k = 0; k < V; k++)
			v[k] = 0;
		if (p >= 0 && c0 + static_cast<int>(c) < f.src.x.c) {
			float u[V];

			load_pack<T, V>(at<const T>(f.src.x, static_cast<unsigned>(p), c0 + static_cast<int>(c)), v);
			if (f.back.on && f.back.x)
				load_pack<T, V>(at<const T>(x, static_cast<unsigned>(p), c0 + static_cast<int>(c)), u);
			factors.template apply<V>(f, at0 + c, u, v);
		}
		SD_UNROLL
		for (int k = 0; k < V; k++)
			to[c + k][r] = v[k];
	}
}

/* ---- launching ---- */

/* x as it is loaded, or every other of its pixels, as many as y has. */
inline From from(const sd_cu_src *x, int odd, const sd_cu_img *y)
{
	return { *x, {}, odd, y->h, y->w };
}
inline From from(const sd_cu_grad *gy)
{
	return { gy->g, gy->back, -1, 0, 0 };
}

/* Channels of a tile: its size follows from the channels alone. */
inline int product_width(int c) { return c > 32 ? 64 : c > 16 ? 32 : 16; }

/* Has the statistics of d's result taken, if that is little work for a block: whether it is. */
inline int want_stats(sd_cu_run *r, Product &d, float *mean, float *var)
{
	unsigned chunks = blocks_for(d.pixels, ROWS);

	if (!mean || d.y.acc || chunks > MOST_CHUNKS)
		return 0;
	d.part = static_cast<float *>(sd_cu_take(r, sizeof(float) * chunks * 3 * static_cast<size_t>(d.y.y.c)));
	d.counters = r->counters;
	d.mean = mean;
	d.var = var;
	return 1;
}

} /* namespace sd */

#endif
