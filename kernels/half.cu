/* half.cu: half a separable convolution forward: depthwise and pointwise convolution, and statistics of the result, in
 * one kernel.
 *
 * It is the product of product.h, whose operand a block makes itself: DEPTH channels of what the depthwise
 * convolution gives of its ROWS pixels, which go to shared memory, and to memory only where the backward pass wants
 * them.  A thread makes RUN outputs of a row for a pack of channels at a time, as in dwconv.cu; rows that runs do not
 * fill, and other windows than 3 x 3 and 5 x 5, take the plain path, one output at a time.  Where the result has more
 * channels than a block takes, each of its blocks makes the operand again, from the second-level cache.
 *
 * Bits are those of dwconv.cu and pointwise.cu one after the other: the operand is rounded as it would be stored. */
#include "kernels/dwconv.h"
#include "kernels/product.h"

inline namespace half_cu {

using namespace sd;

enum { SPAN = 2, MOST_TAPS = 25 }; /* outputs of a run; taps that shared memory has room for */

struct Half {
	sd_cu_src x;
	const float *w;  /* of the depthwise convolution */
	struct sd_window win;
	int k, m, apart; /* the unrolled size and M; k 0: the plain path */
	int ld;          /* of mid */
	void *mid;       /* what the depthwise convolution gives, of y's size; NULL: not wanted */
	Product p;
};

/* Norm and weights of DEPTH channels from c0 on. */
struct HalfTile {
	alignas(16) float a[DEPTH];
	alignas(16) float b[DEPTH];
	alignas(16) float w[MOST_TAPS][DEPTH];

	__device__ void fill(const Half &d, int c0)
	{
		int i = static_cast<int>(threadIdx.x), taps = d.win.kh * d.win.kw;

		if (i < DEPTH && c0 + i < d.x.x.c)
			norm_factors(d.x.norm, c0 + i, a[i], b[i]);
		if (taps > MOST_TAPS)
			return;
		for (; i < DEPTH * taps; i += BLOCK) {
			int c = i / taps, t = i % taps;

			w[t][c] = c0 + c < d.x.x.c ? d.w[(c0 + c) * taps + t] : 0.0f;
		}
	}
	template <int V> __device__ Load<V> load(const Half &d, unsigned c) const
	{
		Load<V> l;

		load_floats<V>(a + c, l.a);
		load_floats<V>(b + c, l.b);
		l.low = d.x.relu ? 0.0f : -INFINITY;
		return l;
	}
};

/* A pack of the operand: pixel `first + row`, channels from c0 + c on. */
template <typename T, int V>
__device__ inline void put(const Half &d, unsigned first, unsigned row, int c0, unsigned c, const float s[V],
	float (*to)[ROWS + 4])
{
	bool is = first + row < d.p.pixels && c0 + static_cast<int>(c) < d.x.x.c;

	SD_UNROLL
	for (int i = 0; i < V; i++)
		to[c + static_cast<unsigned>(i)][row] = is ? to_float(from_float<T>(s[i])) : 0.0f;
	if (d.mid && is && blockIdx.y == 0)
		store_pack<T, V>(static_cast<T *>(d.mid) + static_cast<size_t>(first + row) * static_cast<unsigned>(d.ld) +
			c0 + c, s, 0);
}

/* K x K, by runs. */
template <typename T, int V, int K, int M>
__device__ inline void operand_by_runs(const Half &d, unsigned first, int c0, const HalfTile &tile, float (*to)[ROWS + 4])
{
	enum { PACKS = DEPTH / V, COLS = M * (SPAN - 1) + K };
	const sd_cu_img &x = d.x.x;

	for (unsigned item = threadIdx.x; item < ROWS / SPAN * PACKS; item += BLOCK) {
		unsigned c = item % PACKS * V, run = item / PACKS, apart = static_cast<unsigned>(d.apart);
		unsigned row = run / apart * (SPAN * apart) + run % apart;
		int ch = c0 + static_cast<int>(c);
		float s[SPAN][V];

		SD_UNROLL
		for (int r = 0; r < SPAN; r++)
			SD_UNROLL
			for (int i = 0; i < V; i++)
				s[r][i] = 0;
		if (first + row < d.p.pixels && ch < x.c) {
			const Load<V> load = tile.load<V>(d, c);
			const Spot o = spot(d.p.y.y, first + row);
			int i0 = o.i * d.win.sh - d.win.ph, j0 = o.j * d.win.sw - d.win.pw;

			SD_ROLLED
			for (int ky = 0; ky < K; ky++) {
				int from = i0 + ky * d.win.dh;
				const T *row_of_x;
				Raw<T, V> raw[COLS];

				if (!inside(from, x.h))
					continue;
				row_of_x = at<const T>(x, pixel(x, o.n, from, 0), ch);
				SD_UNROLL
				for (int q = 0; q < COLS; q++) {
					int col = j0 + q * d.win.dw;

					raw[q] = load_raw<T, V>(row_of_x + (inside(col, x.w) ? col * x.ld : 0));
				}
				SD_UNROLL
				for (int q = 0; q < COLS; q++) {
					float v[V];

					unpack(raw[q], v);
					load(v);
					if (!inside(j0 + q * d.win.dw, x.w))
						SD_UNROLL
						for (int i = 0; i < V; i++)
							v[i] = 0;
					SD_UNROLL
					for (int r = 0; r < SPAN; r++) {
						const int t = q - M * r;
						float k[V];

						if (t < 0 || t >= K)
							continue;
						load_floats<V>(&tile.w[ky * K + t][c], k);
						SD_UNROLL
						for (int i = 0; i < V; i++)
							s[r][i] = fmaf(k[i], v[i], s[r][i]);
					}
				}
			}
		}
		SD_UNROLL
		for (int r = 0; r < SPAN; r++)
			put<T, V>(d, first, row + static_cast<unsigned>(r) * apart, c0, c, s[r], to);
	}
}

/* Any window. */
template <typename T, int V>
__device__ inline void operand(const Half &d, unsigned first, int c0, const HalfTile &tile, float (*to)[ROWS + 4])
{
	enum { PACKS = DEPTH / V };
	const sd_cu_img &x = d.x.x;
	int taps = d.win.kh * d.win.kw;

	for (unsigned item = threadIdx.x; item < ROWS * PACKS; item += BLOCK) {
		unsigned c = item % PACKS * V, row = item / PACKS;
		int ch = c0 + static_cast<int>(c);
		float s[V];

		SD_UNROLL
		for (int i = 0; i < V; i++)
			s[i] = 0;
		if (first + row < d.p.pixels && ch < x.c) {
			const Load<V> load = tile.load<V>(d, c);
			const Spot o = spot(d.p.y.y, first + row);
			int i0 = o.i * d.win.sh - d.win.ph, j0 = o.j * d.win.sw - d.win.pw;

			SD_ROLLED
			for (int t = 0; t < taps; t++) {
				int i = i0 + t / d.win.kw * d.win.dh, j = j0 + t % d.win.kw * d.win.dw;
				float v[V];

				if (!inside(i, x.h) || !inside(j, x.w))
					continue;
				load_pack<T, V>(at<const T>(x, pixel(x, o.n, i, j), ch), v);
				load(v);
				SD_UNROLL
				for (int k = 0; k < V; k++)
					s[k] = fmaf(taps > MOST_TAPS ? d.w[(ch + k) * taps + t] : tile.w[t][c + static_cast<unsigned>(k)],
						v[k], s[k]);
			}
		}
		put<T, V>(d, first, row, c0, c, s, to);
	}
}

/* W: channels of the result in a block; V: packs of all images. */
template <typename T, int V, int W> __global__ void __launch_bounds__(BLOCK, 2) half_kernel(SD_MEMBERS(Half) group)
{
	__shared__ ProductTile<W> tile;
	__shared__ HalfTile of;
	SD_MEMBER(group, d);
	unsigned first = blockIdx.x * ROWS;
	float s[ProductTile<W>::EACH][4];

	clear<W>(s);
	for (int c0 = 0; c0 < d.p.k; c0 += DEPTH) {
		__syncthreads();
		of.fill(d, c0);
		matrix_to_shared(d.p, c0, static_cast<int>(blockIdx.y) * W, tile);
		__syncthreads();
		switch (V == 1 ? 0 : d.k * 2 + d.m) {
		case 7: operand_by_runs<T, V, 3, 1>(d, first, c0, of, tile.x); break;
		case 8: operand_by_runs<T, V, 3, 2>(d, first, c0, of, tile.x); break;
		case 11: operand_by_runs<T, V, 5, 1>(d, first, c0, of, tile.x); break;
		case 12: operand_by_runs<T, V, 5, 2>(d, first, c0, of, tile.x); break;
		default: operand<T, V>(d, first, c0, of, tile.x); break;
		}
		__syncthreads();
		multiply(d.p, c0, tile, s);
	}
	finish<T, V>(d.p, tile, s);
}

/* ---- launching ---- */

template <typename T, int V> void launch(sd_cu_run *r, const Half &d)
{
	int w = product_width(d.p.y.y.c);
	dim3 grid(blocks_for(d.p.pixels, ROWS), static_cast<unsigned>((d.p.y.y.c + w - 1) / w));

	switch (w) {
	case 64: SD_GROUP(r, (half_kernel<T, V, 64>), grid, BLOCK, d); break;
	case 32: SD_GROUP(r, (half_kernel<T, V, 32>), grid, BLOCK, d); break;
	default: SD_GROUP(r, (half_kernel<T, V, 16>), grid, BLOCK, d); break;
	}
}
template <typename T> void half_of(sd_cu_run *r, Half &d, const sd_cu_img *mid)
{
	const sd_cu_img *img[] = { &d.x.x, &d.p.y.y, mid };
	Path p = choose(d.win);
	int all = SPAN * p.apart;

	/* a block's runs begin and end in it, and each in a row */
	if ((p.k == 3 || p.k == 5) && d.p.y.y.w % all == 0 && ROWS % all == 0) {
		d.k = p.k;
		d.m = p.m;
		d.apart = p.apart;
	}
	if (pack_width(img, mid ? 3 : 2) >= 4)
		launch<T, 4>(r, d);
	else
		launch<T, 1>(r, d);
}

} /* namespace half_cu */

int sd_cu_half(sd_cu_run *r, const sd_cu_src *x, const float *dw, struct sd_window win, const sd_cu_img *mid,
	const float *pw, const sd_cu_dst *y, float *mean, float *var)
{
	Half d = { *x, dw, win, 0, 1, 1, mid ? mid->ld : 0, mid ? mid->p : nullptr,
		{ pw, x->x.c, 1, x->x.c, pixels_of(y->y), *y, nullptr, nullptr, nullptr, nullptr } };
	int stats = want_stats(r, d.p, mean, var);

	SD_BY_TYPE(x->x.type, half_of, r, d, mid);
	return stats;
}
