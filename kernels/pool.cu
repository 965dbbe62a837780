/* pool.cu: max and average pools of any window, and the global mean.
 *
 * Pools read their input once through the caches and are bound by memory.  The usual window, 3 x 3 at
 * stride 1 or 2, goes by runs of RUN / stride outputs of a row: each column of inputs is reduced once and
 * serves all outputs that read it.  Any other window takes the plain path, one output a thread.
 *
 * The gradient of the maximum gathers: each input pixel adds up the outputs that it won, in their order.  Nothing
 * scatters, so there is no order to lose.  In the usual window, which of two pixels wins does not depend on the output:
 * a pixel is held against the 24 around it once, and has won where it wins against all of a window.  For any other
 * window a kernel before that one finds the winner of each output again, as the index of its tap, into scratch (a
 * byte, two where a window has more than 256 taps).
 *
 * A gradient that is a sum, of parts that are taken back through a norm or scaled, is added by the block that reads it,
 * into shared memory, or by a kernel before where it does not fit there: with the same bits.
 *
 * The first index (row-major in the window) wins a tie, the first NaN wins over everything, padding never
 * wins. */
#include "kernels/stats.h"

#include <algorithm>

inline namespace pool_cu {

using namespace sd;

enum { RUN = 4 };
enum Kind { MAX, AVG };

struct Pool {
	sd_cu_src x;       /* gy in a backward pass */
	struct sd_window win;
	sd_cu_dst y;       /* gx in a backward pass */
	int include_pad;
	int kind;
	unsigned runs;     /* in a row of outputs */
	unsigned items;    /* runs in all; pixels where there are no runs */
	void *won;         /* (N, H, W, C) of the output, packed */
	sd_cu_src of;      /* in a backward pass of the usual maximum: x */
	/* forward, with part y's statistics are taken on the way */
	float *part;       /* (blocks, 3, C) */
	unsigned *counters;
	float *mean, *var;
};

/* Whether x takes the place of the maximum so far: the first NaN stays. */
__device__ inline bool beats(float x, float m) { return x > m || (x != x && m == m); }

template <Kind kind> __device__ inline float start() { return kind == MAX ? -INFINITY : 0.0f; }
template <Kind kind> __device__ inline float join(float m, float x)
{
	return kind == AVG ? m + x : beats(x, m) ? x : m;
}

/* Taps of an axis inside the image. */
__device__ inline int taps_inside(int at, int k, int d, int n)
{
	int count = 0;

	for (int t = 0; t < k; t++)
		count += inside(at + t * d, n);
	return count;
}
/* 1 / taps that count for output (i, j) of a mean. */
__device__ inline float share(const Pool &d, int i, int j, int h, int w)
{
	int taps = d.include_pad ? d.win.kh * d.win.kw
		: taps_inside(i * d.win.sh - d.win.ph, d.win.kh, d.win.dh, h) *
		  taps_inside(j * d.win.sw - d.win.pw, d.win.kw, d.win.dw, w);

	return taps ? 1.0f / static_cast<float>(taps) : 0.0f;
}

/* ---- forward ---- */

/* 3 x 3, dilation 1, stride M along the row.  a, b (TILE_CHANNELS) are shared memory.  Whether the thread has a run; s is
 * what it gives. */
template <typename T, int V, Kind kind, int M>
__device__ inline bool pool_runs(const Pool &d, float *a, float *b, float s[RUN / M][V])
{
	enum { LENGTH = RUN / M, COLS = M * (LENGTH - 1) + 3 };
	const sd_cu_img &x = d.x.x, &y = d.y.y;
	int ch = thread_channel<V>();
	unsigned item = blockIdx.x * blockDim.y + threadIdx.y;

	norm_to_shared<V>(d.x.norm, x.c, a, b);
	const Load<V> load = load_from_shared<V>(a, b, d.x.relu);

	if (item >= d.items || ch >= x.c)
		return false;
	unsigned row = item / d.runs, n = row / static_cast<unsigned>(y.h);
	int oy = static_cast<int>(row % static_cast<unsigned>(y.h));
	int ox = static_cast<int>(item % d.runs) * LENGTH;
	int i0 = oy * d.win.sh - d.win.ph, j0 = ox * M - d.win.pw;
	Raw<T, V> raw[3][COLS];

	SD_UNROLL
	for (int k = 0; k < 3; k++)
		SD_UNROLL
		for (int q = 0; q < COLS; q++)
			if (inside(i0 + k, x.h) && inside(j0 + q, x.w))
				raw[k][q] = load_raw<T, V>(at<const T>(x, pixel(x, n, i0 + k, j0 + q), ch));
	SD_UNROLL
	for (int r = 0; r < LENGTH; r++)
		SD_UNROLL
		for (int i = 0; i < V; i++)
			s[r][i] = start<kind>();
	SD_UNROLL
	for (int q = 0; q < COLS; q++) {
		float m[V];

		if (!inside(j0 + q, x.w))
			continue;
		SD_UNROLL
		for (int i = 0; i < V; i++)
			m[i] = start<kind>();
		SD_UNROLL
		for (int k = 0; k < 3; k++) {
			float v[V];

			if (!inside(i0 + k, x.h))
				continue;
			unpack(raw[k][q], v);
			load(v);
			SD_UNROLL
			for (int i = 0; i < V; i++)
				m[i] = join<kind>(m[i], v[i]);
		}
		SD_UNROLL
		for (int r = 0; r < LENGTH; r++)
			if (q >= M * r && q < M * r + 3) {
				SD_UNROLL
				for (int i = 0; i < V; i++)
					s[r][i] = join<kind>(s[r][i], m[i]);
			}
	}
	SD_UNROLL
	for (int r = 0; r < LENGTH; r++) {
		if (ox + r >= y.w)
			return true;
		if (kind == AVG) {
			float f = share(d, oy, ox + r, x.h, x.w);

			SD_UNROLL
			for (int i = 0; i < V; i++)
				s[r][i] *= f;
		}
		store_pack<T, V>(at<T>(y, pixel(y, n, oy, ox + r), ch), s[r], d.y.acc);
	}
	return true;
}

/* Statistics of runs of N, all of them whole, as they are stored: a block's are about its first pixel. */
template <typename T, int V, int N> __device__ inline void take_stats(const Pool &d, bool is, float s[N][V])
{
	__shared__ float sums[Threads<V>::most * V * 2];
	__shared__ float pivot[TILE_CHANNELS];
	__shared__ double fold[FOLD * TILE_CHANNELS];
	__shared__ double means[TILE_CHANNELS];
	__shared__ double squares[TILE_CHANNELS];
	__shared__ unsigned flag;
	unsigned c = static_cast<unsigned>(d.y.y.c), pixels = d.items * N, per = blockDim.y * N;
	int ch = thread_channel<V>();
	float t[2 * V];

	SD_UNROLL
	for (int i = 0; i < V; i++) {
		t[i] = t[V + i] = 0;
		SD_UNROLL
		for (int r = 0; r < N; r++)
			s[r][i] = to_float(from_float<T>(s[r][i]));
		if (threadIdx.y == 0 && is)
			pivot[threadIdx.x * V + static_cast<unsigned>(i)] = s[0][i];
	}
	__syncthreads();
	if (is) {
		SD_UNROLL
		for (int i = 0; i < V; i++)
			SD_UNROLL
			for (int r = 0; r < N; r++) {
				float apart = s[r][i] - pivot[threadIdx.x * V + static_cast<unsigned>(i)];

				t[i] += apart;
				t[V + i] = fmaf(apart, apart, t[V + i]);
			}
	}
	sum_rows<2 * V>(t, sums);
	if (threadIdx.y == 0 && is) {
		float *to = d.part + static_cast<size_t>(blockIdx.x) * 3 * c + ch;

		SD_UNROLL
		for (int i = 0; i < V; i++) {
			to[i] = pivot[threadIdx.x * V + static_cast<unsigned>(i)];
			to[c + static_cast<unsigned>(i)] = t[i];
			to[2 * c + static_cast<unsigned>(i)] = t[V + i];
		}
	}
	const Cut cut = { pixels, per, (pixels + per - 1) / per };

	if (is_last_block(d.counters, cut.chunks, &flag))
		merge_stats(d.part, cut, c, static_cast<unsigned>(block_channel<V>()), block_channels<V>(d.y.y.c), fold, means,
			squares, d.mean, d.var);
}

template <typename T, int V, int M> __global__ void SD_BOUNDS(V) pool_run(SD_MEMBERS(Pool) group)
{
	alignas(16) __shared__ float a[TILE_CHANNELS];
	alignas(16) __shared__ float b[TILE_CHANNELS];
	SD_MEMBER(group, d);

	float s[RUN / M][V];
	bool is = d.kind == MAX ? pool_runs<T, V, MAX, M>(d, a, b, s) : pool_runs<T, V, AVG, M>(d, a, b, s);

	if (d.part)
		take_stats<T, V, RUN / M>(d, is, s);
}

/* Any window, one output a thread; columns first as above, so that how an output is reached changes no
 * sum. */
template <typename T, int V, Kind kind> __global__ void SD_BOUNDS(V) pool_plain(SD_MEMBERS(Pool) group)
{
	alignas(16) __shared__ float a[TILE_CHANNELS];
	alignas(16) __shared__ float b[TILE_CHANNELS];
	SD_MEMBER(group, d);
	const sd_cu_img &x = d.x.x, &y = d.y.y;
	int ch = thread_channel<V>();
	unsigned item = blockIdx.x * blockDim.y + threadIdx.y;

	norm_to_shared<V>(d.x.norm, x.c, a, b);
	const Load<V> load = load_from_shared<V>(a, b, d.x.relu);

	if (item >= d.items || ch >= x.c)
		return;
	const Spot o = spot(y, item);
	float s[V];

	SD_UNROLL
	for (int i = 0; i < V; i++)
		s[i] = start<kind>();
	for (int kx = 0; kx < d.win.kw; kx++) {
		int ix = o.j * d.win.sw - d.win.pw + kx * d.win.dw;
		float m[V];

		if (!inside(ix, x.w))
			continue;
		SD_UNROLL
		for (int i = 0; i < V; i++)
			m[i] = start<kind>();
		for (int ky = 0; ky < d.win.kh; ky++) {
			int iy = o.i * d.win.sh - d.win.ph + ky * d.win.dh;
			float v[V];

			if (!inside(iy, x.h))
				continue;
			load_pack<T, V>(at<const T>(x, pixel(x, o.n, iy, ix), ch), v);
			load(v);
			SD_UNROLL
			for (int i = 0; i < V; i++)
				m[i] = join<kind>(m[i], v[i]);
		}
		SD_UNROLL
		for (int i = 0; i < V; i++)
			s[i] = join<kind>(s[i], m[i]);
	}
	if (kind == AVG) {
		float f = share(d, o.i, o.j, x.h, x.w);

		SD_UNROLL
		for (int i = 0; i < V; i++)
			s[i] *= f;
	}
	store_pack<T, V>(at<T>(y, item, ch), s, d.y.acc);
}

/* ---- the winners ---- */

/* won (N, H, W, C) of the output: the winner's ky kw + kx */
template <typename T, int V, typename W> __global__ void SD_BOUNDS(V) winners(SD_MEMBERS(Pool) group)
{
	alignas(16) __shared__ float a[TILE_CHANNELS];
	alignas(16) __shared__ float b[TILE_CHANNELS];
	SD_MEMBER(group, d);
	const sd_cu_img &x = d.x.x, &y = d.y.y;
	const int kh = d.win.kh, kw = d.win.kw;
	int ch = thread_channel<V>();
	unsigned item = blockIdx.x * blockDim.y + threadIdx.y;

	norm_to_shared<V>(d.x.norm, x.c, a, b);
	const Load<V> load = load_from_shared<V>(a, b, d.x.relu);

	if (item >= d.items || ch >= x.c)
		return;
	const Spot o = spot(y, item);
	int i0 = o.i * d.win.sh - d.win.ph, j0 = o.j * d.win.sw - d.win.pw;
	float best[V];
	int won[V];
	bool any = false;
	Pack<W, V> out;

	SD_UNROLL
	for (int i = 0; i < V; i++) {
		best[i] = -INFINITY;
		won[i] = 0;
	}
	SD_UNROLL
	for (int ky = 0; ky < kh; ky++) {
		SD_UNROLL
		for (int kx = 0; kx < kw; kx++) {
			int iy = i0 + ky * d.win.dh, ix = j0 + kx * d.win.dw;
			float v[V];

			if (!inside(iy, x.h) || !inside(ix, x.w))
				continue;
			load_pack<T, V>(at<const T>(x, pixel(x, o.n, iy, ix), ch), v);
			load(v);
			SD_UNROLL
			for (int i = 0; i < V; i++)
				if (!any || beats(v[i], best[i])) {
					best[i] = v[i];
					won[i] = ky * kw + kx;
				}
			any = true;
		}
	}
	SD_UNROLL
	for (int i = 0; i < V; i++)
		out.e[i] = static_cast<W>(won[i]);
	*reinterpret_cast<Pack<W, V> *>(static_cast<W *>(d.won) +
		static_cast<size_t>(item) * static_cast<unsigned>(x.c) + ch) = out;
}

/* ---- backward: x is gy, y is gx ---- */

enum { GRADIENTS = 6144 }; /* of a block, in shared memory: at most */

struct PoolGrad {
	Pool p;
	int parts;         /* gy is their sum; 0: it lies in memory */
	sd_cu_grad part[SD_CU_POOL_PARTS];
};

/* What reads inputs [first, end). */
__host__ __device__ inline Rows rows_of_gy(const Pool &d, unsigned first, unsigned end)
{
	unsigned w = static_cast<unsigned>(d.y.y.w);

	return rows_of_readers(first / w, (end - 1) / w, d.y.y.h, d.x.x.h, d.win);
}

/* A block's pixels of gy: in memory, or (pixels, channels of the block) from `first` on in shared memory. */
template <typename T, int V> struct Gradient {
	const sd_cu_img &gy;
	const float *tile; /* NULL: in memory */
	unsigned first;

	__device__ void operator()(unsigned p, int ch, float g[V]) const
	{
		if (tile)
			load_floats<V>(tile + ((p - first) * blockDim.x + threadIdx.x) * V, g);
		else
			load_pack<T, V>(at<const T>(gy, p, ch), g);
	}
};

/* Adds the parts as image.cu does; f (6, TILE_CHANNELS) for each is what takes it back. */
template <typename T, int V> __device__ inline void sum_parts(const PoolGrad &d, unsigned p, int ch,
	float (*f)[6][TILE_CHANNELS], float s[V])
{
	unsigned plane = static_cast<unsigned>(d.p.x.x.h) * static_cast<unsigned>(d.p.x.x.w);

	for (int k = 0; k < d.parts; k++) {
		const sd_cu_img &g = d.part[k].g.x, x = back_image(g, d.part[k].back);
		const sd_cu_back &back = d.part[k].back;
		float v[V], u[V];

		load_pack<T, V>(at<const T>(g, p, ch), v);
		SD_UNROLL
		for (int i = 0; i < V; i++)
			u[i] = 0;
		if (back.on && back.x)
			load_pack<T, V>(at<const T>(x, p, ch), u);
		SD_UNROLL
		for (int i = 0; i < V; i++) {
			unsigned c = threadIdx.x * V + static_cast<unsigned>(i);

			if (back.on) {
				const BackFactors t = { f[k][0][c], f[k][1][c], f[k][2][c], f[k][3][c], f[k][4][c], f[k][5][c] };

				v[i] = t(v[i], u[i], back.sg, d.part[k].g.relu);
			} else if (back.f) {
				v[i] *= back.f[p / plane];
			}
			s[i] = k ? s[i] + v[i] : v[i];
		}
	}
}

/* The block's pixels of a sum to shared memory, rounded as they would be stored. */
template <typename T, int V> __device__ inline Gradient<T, V> block_gradient(const PoolGrad &d, float *tile,
	float (*f)[6][TILE_CHANNELS])
{
	const sd_cu_img &gy = d.p.x.x;
	unsigned first = blockIdx.x * blockDim.y, left = d.p.items - first;
	const Rows rows = rows_of_gy(d.p, first, first + (left < blockDim.y ? left : blockDim.y));
	unsigned w = static_cast<unsigned>(gy.w), end = rows.end * w;
	int ch = thread_channel<V>();

	if (!d.parts)
		return { gy, nullptr, 0 };
	for (unsigned i = thread_rank(); i < blockDim.x * V * static_cast<unsigned>(d.parts); i += thread_count()) {
		unsigned k = i / (blockDim.x * V), at = i % (blockDim.x * V);
		int c = block_channel<V>() + static_cast<int>(at);

		if (c >= gy.c || !d.part[k].back.on)
			continue;
		const BackFactors t = back_factors(d.part[k].g.norm, d.part[k].g.norm, d.part[k].back, c, pixels_of(gy));

		f[k][0][at] = t.scale, f[k][1][at] = t.c0, f[k][2][at] = t.c1;
		f[k][3][at] = t.mean, f[k][4][at] = t.a, f[k][5][at] = t.b;
	}
	__syncthreads();
	for (unsigned p = rows.first * w + threadIdx.y; p < end && ch < gy.c; p += blockDim.y) {
		float s[V];

		sum_parts<T, V>(d, p, ch, f, s);
		SD_UNROLL
		for (int i = 0; i < V; i++)
			tile[((p - rows.first * w) * blockDim.x + threadIdx.x) * V + static_cast<unsigned>(i)] =
				to_float(from_float<T>(s[i]));
	}
	__syncthreads();
	return { gy, tile, rows.first * w };
}

/* Taps fall as outputs rise. */
template <typename T, int V, Kind kind, int K, typename W>
__device__ inline void gathered(const Pool &d, const Gradient<T, V> &of)
{
	const sd_cu_img &gy = d.x.x, &gx = d.y.y;
	const int kh = K ? K : d.win.kh, kw = K ? K : d.win.kw;
	int ch = thread_channel<V>();
	unsigned item = blockIdx.x * blockDim.y + threadIdx.y;

	if (item >= d.items || ch >= gx.c)
		return;
	const Spot at_x = spot(gx, item);
	int ix = at_x.j + d.win.pw, iy = at_x.i + d.win.ph;
	float s[V];

	SD_UNROLL
	for (int i = 0; i < V; i++)
		s[i] = 0;
	SD_UNROLL
	for (int ky = kh - 1; ky >= 0; ky--) {
		int oy = reader(iy, ky * d.win.dh, d.win.sh, gy.h);

		if (oy < 0)
			continue;
		SD_UNROLL
		for (int kx = kw - 1; kx >= 0; kx--) {
			int ox = reader(ix, kx * d.win.dw, d.win.sw, gy.w);
			unsigned p = pixel(gy, at_x.n, oy, ox);
			float g[V], f = 1;

			if (ox < 0)
				continue;
			of(p, ch, g);
			if constexpr (kind == MAX) {
				const W *from = static_cast<const W *>(d.won) +
					static_cast<size_t>(p) * static_cast<unsigned>(gx.c) + ch;
				const Pack<W, V> won = *reinterpret_cast<const Pack<W, V> *>(from);

				SD_UNROLL
				for (int i = 0; i < V; i++)
					s[i] += won.e[i] == ky * kw + kx ? g[i] : 0.0f;
			} else {
				f = share(d, oy, ox, gx.h, gx.w);
				SD_UNROLL
				for (int i = 0; i < V; i++)
					s[i] = fmaf(g[i], f, s[i]);
			}
		}
	}
	store_pack<T, V>(at<T>(gx, item, ch), s, d.y.acc);
}

/* 3 x 3, dilation 1: a, b (TILE_CHANNELS) are shared memory. */
template <typename T, int V>
__device__ inline void gathered_max(const Pool &d, const Gradient<T, V> &of, float *a, float *b)
{
	const sd_cu_img &gy = d.x.x, &gx = d.y.y, &x = d.of.x;
	int ch = thread_channel<V>();
	unsigned item = blockIdx.x * blockDim.y + threadIdx.y;

	norm_to_shared<V>(d.of.norm, x.c, a, b);
	const Load<V> load = load_from_shared<V>(a, b, d.of.relu);

	if (item >= d.items || ch >= gx.c)
		return;
	const Spot me = spot(gx, item);
	float c[V], s[V];
	unsigned wins[V]; /* against the pixel (dy, dx) away: bit (dy + 2) 5 + dx + 2 */

	load_pack<T, V>(at<const T>(x, item, ch), c);
	load(c);
	SD_UNROLL
	for (int i = 0; i < V; i++) {
		s[i] = 0;
		wins[i] = 0;
	}
	SD_ROLLED
	for (int dy = 0; dy < 5; dy++) {
		int row = me.i + dy - 2;
		const T *from = at<const T>(x, pixel(x, me.n, inside(row, x.h) ? row : me.i, 0), ch);

		SD_UNROLL
		for (int dx = 0; dx < 5; dx++) {
			int col = me.j + dx - 2;
			bool is = inside(row, x.h) && inside(col, x.w);
			float v[V];

			load_pack<T, V>(from + (inside(col, x.w) ? col : me.j) * x.ld, v);
			load(v);
			SD_UNROLL
			for (int i = 0; i < V; i++) {
				bool won = dy * 5 + dx < 12 ? beats(c[i], v[i]) : !beats(v[i], c[i]);

				wins[i] |= static_cast<unsigned>(!is || won) << (dy * 5 + dx);
			}
		}
	}
	SD_UNROLL
	for (int ky = 2; ky >= 0; ky--) {
		int oy = reader(me.i + d.win.ph, ky, d.win.sh, gy.h);

		if (oy < 0)
			continue;
		SD_UNROLL
		for (int kx = 2; kx >= 0; kx--) {
			int ox = reader(me.j + d.win.pw, kx, d.win.sw, gy.w);
			const unsigned window = 0x1ce7u << ((2 - ky) * 5 + 2 - kx); /* 3 rows of 3 */
			float g[V];

			if (ox < 0)
				continue;
			of(pixel(gy, me.n, oy, ox), ch, g);
			SD_UNROLL
			for (int i = 0; i < V; i++)
				s[i] += (wins[i] & window) == window ? g[i] : 0.0f;
		}
	}
	store_pack<T, V>(at<T>(gx, item, ch), s, d.y.acc);
}

template <typename T, int V, int K, typename W> __global__ void SD_BOUNDS(V) gather(SD_MEMBERS(PoolGrad) group)
{
	alignas(16) __shared__ float a[TILE_CHANNELS];
	alignas(16) __shared__ float b[TILE_CHANNELS];
	alignas(16) __shared__ float tile[GRADIENTS];
	__shared__ float factors[SD_CU_POOL_PARTS][6][TILE_CHANNELS];
	SD_MEMBER(group, d);
	const Gradient<T, V> of = block_gradient<T, V>(d, tile, factors);

	if (d.p.kind == AVG)
		gathered<T, V, AVG, K, W>(d.p, of);
	else if constexpr (K == 3)
		gathered_max<T, V>(d.p, of, a, b);
	else
		gathered<T, V, MAX, K, W>(d.p, of);
}

/* ---- the mean over (H, W) ---- */

/* A block for each sample: y (N, C). */
template <typename T, int V> __global__ void SD_BOUNDS(V) gap_kernel(sd_cu_src src, float *y)
{
	__shared__ float sums[Threads<V>::most * V];
	alignas(16) __shared__ float a[TILE_CHANNELS];
	alignas(16) __shared__ float b[TILE_CHANNELS];
	const sd_cu_img &x = src.x;
	int ch = thread_channel<V>();
	bool in = ch < x.c;
	unsigned pixels = static_cast<unsigned>(x.h) * static_cast<unsigned>(x.w);
	unsigned first = blockIdx.x * pixels;
	float s[V];

	norm_to_shared<V>(src.norm, x.c, a, b);
	const Load<V> load = load_from_shared<V>(a, b, src.relu);

	SD_UNROLL
	for (int i = 0; i < V; i++)
		s[i] = 0;
	for (unsigned p = threadIdx.y; in && p < pixels; p += blockDim.y) {
		float v[V];

		load_pack<T, V>(at<const T>(x, first + p, ch), v);
		load(v);
		SD_UNROLL
		for (int i = 0; i < V; i++)
			s[i] += v[i];
	}
	sum_rows<V>(s, sums);
	if (threadIdx.y == 0 && in) {
		float *to = y + static_cast<size_t>(blockIdx.x) * static_cast<unsigned>(x.c) + ch;

		SD_UNROLL
		for (int i = 0; i < V; i++)
			to[i] = static_cast<float>(static_cast<double>(s[i]) / pixels);
	}
}

template <typename T, int V> __global__ void SD_BOUNDS(V) gap_bwd_kernel(const float *gy, sd_cu_dst dst)
{
	const sd_cu_img &x = dst.y;
	int ch = thread_channel<V>();
	unsigned pixels = static_cast<unsigned>(x.h) * static_cast<unsigned>(x.w);
	unsigned first = blockIdx.x * pixels;
	float g[V];

	if (ch >= x.c)
		return;
	SD_UNROLL
	for (int i = 0; i < V; i++)
		g[i] = static_cast<float>(static_cast<double>(gy[static_cast<size_t>(blockIdx.x) *
			static_cast<unsigned>(x.c) + static_cast<unsigned>(ch + i)]) / pixels);
	for (unsigned p = threadIdx.y; p < pixels; p += blockDim.y)
		store_pack<T, V>(at<T>(x, first + p, ch), g, dst.acc);
}

/* ---- launching ---- */

bool is_usual(const struct sd_window &w) { return w.kh == 3 && w.kw == 3 && w.dh == 1 && w.dw == 1; }

/* d.mean stays set where statistics are taken. */
template <typename T, int V, Kind kind> void launch_pool(sd_cu_run *r, Pool &d, const Tile &t)
{
	const sd_cu_img &y = d.y.y;

	if constexpr (V > 1) {
		if (is_usual(d.win) && d.win.sw <= 2) {
			int length = RUN / d.win.sw;

			d.runs = static_cast<unsigned>((y.w + length - 1) / length);
			d.items = rows_of(y) * d.runs;
			dim3 grid(blocks_for(d.items, t.rows), t.tiles);

			if (d.y.acc || y.w % length || grid.x > MOST_CHUNKS)
				d.mean = nullptr;
			if (d.mean)
				d.part = static_cast<float *>(sd_cu_take(r, sizeof(float) * grid.x * 3 *
					static_cast<size_t>(y.c)));
			d.counters = r->counters;
			if (d.win.sw == 1)
				SD_GROUP(r, (pool_run<T, V, 1>), grid, t.block(), d);
			else
				SD_GROUP(r, (pool_run<T, V, 2>), grid, t.block(), d);
			return;
		}
	}
	d.mean = nullptr;
	d.items = pixels_of(y);
	SD_GROUP(r, (pool_plain<T, V, kind>), dim3(blocks_for(d.items, t.rows), t.tiles), t.block(), d);
}
template <typename T, int V> void launch_max(sd_cu_run *r, Pool &d, const Tile &t)
{
	launch_pool<T, V, MAX>(r, d, t);
}
template <typename T, int V> void launch_avg(sd_cu_run *r, Pool &d, const Tile &t)
{
	launch_pool<T, V, AVG>(r, d, t);
}

template <typename T> void pool(sd_cu_run *r, Pool &d, Kind kind, int *stats)
{
	const sd_cu_img *img[] = { &d.x.x, &d.y.y };
	int v = pack_width(img, 2);
	Tile t = make_tile(d.x.x.c, v);

	if (kind == MAX)
		SD_BY_PACK(T, v, launch_max, r, d, t);
	else
		SD_BY_PACK(T, v, launch_avg, r, d, t);
	*stats = d.mean != nullptr;
}

/* Whether every block's pixels of gy fit into its shared memory. */
bool fits(const Pool &d, const Tile &t, int v)
{
	unsigned each = static_cast<unsigned>(d.x.x.w) * t.x * static_cast<unsigned>(v);

	for (unsigned first = 0; first < d.items; first += t.rows) {
		const Rows rows = rows_of_gy(d, first, std::min(first + t.rows, d.items));

		if ((rows.end - rows.first) * each > GRADIENTS)
			return false;
	}
	return true;
}

/* Has d's gradient be the sum of n parts: where it lies, or where its blocks add it, or in scratch.  The pack for all
 * images, of which x is one. */
int set_gradient(sd_cu_run *r, PoolGrad &d, const sd_cu_img *x, int n, const sd_cu_grad *gy)
{
	const sd_cu_img *img[3 + 2 * SD_CU_POOL_PARTS] = { &d.p.y.y, x };
	sd_cu_img back[SD_CU_POOL_PARTS];
	int all = 2, v;

	for (int k = 0; k < n; k++) {
		back[k] = back_image(gy[k].g.x, gy[k].back);
		img[all++] = &gy[k].g.x;
		img[all++] = &back[k];
		d.part[k] = gy[k];
	}
	d.p.x.x = gy->g.x;
	v = pack_width(img, all);
	if (n == 1 && !gy->back.on && !gy->back.f)
		return v;
	d.parts = n;
	if (fits(d.p, make_tile(d.p.y.y.c, v), v))
		return v;
	sd_cu_dst sum = { gy->g.x, 0 };

	sum.y.ld = sum.y.c;
	sum.y.p = sd_cu_take(r, static_cast<size_t>(pixels_of(sum.y)) * static_cast<size_t>(sum.y.c) *
		(sum.y.type == SD_CU_F32 ? 4 : 2));
	sd_cu_add(r, n, gy, 0, nullptr, &sum);
	d.parts = 0;
	d.p.x.x = sum.y;
	img[2] = &d.p.x.x;
	return pack_width(img, 3);
}

template <typename T, int V, typename W>
void launch_max_bwd_typed(sd_cu_run *r, const Pool &find, const PoolGrad &give, const Tile &t)
{
	SD_GROUP(r, (winners<T, V, W>), dim3(blocks_for(find.items, t.rows), t.tiles), t.block(),
		find);
	SD_GROUP(r, (gather<T, V, 0, W>), dim3(blocks_for(give.p.items, t.rows), t.tiles), t.block(),
		give);
}
template <typename T, int V> void launch_max_bwd(sd_cu_run *r, const Pool &find, const PoolGrad &give,
	const Tile &t)
{
	if (is_usual(find.win))
		SD_GROUP(r, (gather<T, V, 3, uint8_t>), dim3(blocks_for(give.p.items, t.rows), t.tiles), t.block(), give);
	else if (find.win.kh * find.win.kw <= 256)
		launch_max_bwd_typed<T, V, uint8_t>(r, find, give, t);
	else
		launch_max_bwd_typed<T, V, uint16_t>(r, find, give, t);
}
template <typename T>
void maxpool_bwd(sd_cu_run *r, const sd_cu_src *x, int n, const sd_cu_grad *gy, struct sd_window win,
	const sd_cu_dst *gx)
{
	PoolGrad give = { { {}, win, *gx, 0, MAX, 0, pixels_of(gx->y), nullptr, *x, nullptr, nullptr, nullptr, nullptr },
		0, {} };
	int v = set_gradient(r, give, &x->x, n, gy), c = gx->y.c;
	const sd_cu_img &of = give.p.x.x;
	size_t won = static_cast<size_t>(pixels_of(of)) * static_cast<size_t>(c);
	void *mem = is_usual(win) ? nullptr : sd_cu_take(r, win.kh * win.kw <= 256 ? won : won * 2);
	Tile t = make_tile(c, v);
	Pool find = { *x, win, { of, 0 }, 0, MAX, 0, pixels_of(of), mem, {}, nullptr, nullptr, nullptr, nullptr };

	give.p.won = mem;
	SD_BY_PACK(T, v, launch_max_bwd, r, find, give, t);
}

template <typename T, int V> void launch_avg_bwd(sd_cu_run *r, const PoolGrad &d, const Tile &t)
{
	dim3 grid(blocks_for(d.p.items, t.rows), t.tiles);

	if (is_usual(d.p.win)) {
		SD_GROUP(r, (gather<T, V, 3, uint8_t>), grid, t.block(), d);
		return;
	}
	sd_cu_group_skip(r); /* with the second kernel of a maximum */
	SD_GROUP(r, (gather<T, V, 0, uint8_t>), grid, t.block(), d);
}
template <typename T> void avgpool_bwd(sd_cu_run *r, PoolGrad &d, int n, const sd_cu_grad *gy)
{
	int v = set_gradient(r, d, &d.p.y.y, n, gy);

	SD_BY_PACK(T, v, launch_avg_bwd, r, d, make_tile(d.p.y.y.c, v));
}

template <typename T, int V> void launch_gap(sd_cu_run *r, const sd_cu_src &x, float *y, const Tile &t)
{
	SD_LAUNCH(r, (gap_kernel<T, V>), dim3(static_cast<unsigned>(x.x.n), t.tiles), t.block(), 0, x, y);
}
template <typename T> void gap(sd_cu_run *r, const sd_cu_src *x, float *y)
{
	const sd_cu_img *img[] = { &x->x };
	int v = pack_width(img, 1);

	SD_BY_PACK(T, v, launch_gap, r, *x, y, make_tile(x->x.c, v));
}

template <typename T, int V> void launch_gap_bwd(sd_cu_run *r, const float *gy, const sd_cu_dst &gx,
	const Tile &t)
{
	SD_LAUNCH(r, (gap_bwd_kernel<T, V>), dim3(static_cast<unsigned>(gx.y.n), t.tiles), t.block(), 0, gy,
		gx);
}
template <typename T> void gap_bwd(sd_cu_run *r, const float *gy, const sd_cu_dst *gx)
{
	const sd_cu_img *img[] = { &gx->y };
	int v = pack_width(img, 1);

	SD_BY_PACK(T, v, launch_gap_bwd, r, gy, *gx, make_tile(gx->y.c, v));
}

} /* namespace pool_cu */

int sd_cu_maxpool(sd_cu_run *r, const sd_cu_src *x, struct sd_window win, const sd_cu_dst *y, float *mean, float *var)
{
	Pool d = { *x, win, *y, 0, MAX, 0, 0, nullptr, {}, nullptr, nullptr, mean, var };
	int stats = 0;

	SD_BY_TYPE(x->x.type, pool, r, d, MAX, &stats);
	return stats;
}

void sd_cu_maxpool_bwd(sd_cu_run *r, const sd_cu_src *x, int n, const sd_cu_grad *gy, struct sd_window win,
	const sd_cu_dst *gx)
{
	SD_BY_TYPE(gx->y.type, maxpool_bwd, r, x, n, gy, win, gx);
}

int sd_cu_avgpool(sd_cu_run *r, const sd_cu_src *x, struct sd_window win, int include_pad, const sd_cu_dst *y,
	float *mean, float *var)
{
	Pool d = { *x, win, *y, include_pad, AVG, 0, 0, nullptr, {}, nullptr, nullptr, mean, var };
	int stats = 0;

	SD_BY_TYPE(x->x.type, pool, r, d, AVG, &stats);
	return stats;
}

void sd_cu_avgpool_bwd(sd_cu_run *r, int n, const sd_cu_grad *gy, struct sd_window win, int include_pad,
	const sd_cu_dst *gx)
{
	PoolGrad d = { { {}, win, *gx, include_pad, AVG, 0, pixels_of(gx->y), nullptr, {}, nullptr, nullptr, nullptr,
		nullptr }, 0, {} };

	SD_BY_TYPE(gx->y.type, avgpool_bwd, r, d, n, gy);
}

void sd_cu_gap(sd_cu_run *r, const sd_cu_src *x, float *y)
{
	SD_BY_TYPE(x->x.type, gap, r, x, y);
}

void sd_cu_gap_bwd(sd_cu_run *r, const float *gy, const sd_cu_dst *gx)
{
	SD_BY_TYPE(gx->y.type, gap_bwd, r, gy, gx);
}
