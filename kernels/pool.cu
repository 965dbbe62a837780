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
 * The first index (row-major in the window) wins a tie, the first NaN wins over everything, padding never
 * wins. */
#include "kernels/stats.h"

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

/* Taps fall as outputs rise. */
template <typename T, int V, Kind kind, int K, typename W> __device__ inline void gathered(const Pool &d)
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
			load_pack<T, V>(at<const T>(gy, p, ch), g);
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
template <typename T, int V> __device__ inline void gathered_max(const Pool &d, float *a, float *b)
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
			load_pack<T, V>(at<const T>(gy, pixel(gy, me.n, oy, ox), ch), g);
			SD_UNROLL
			for (int i = 0; i < V; i++)
				s[i] += (wins[i] & window) == window ? g[i] : 0.0f;
		}
	}
	store_pack<T, V>(at<T>(gx, item, ch), s, d.y.acc);
}

template <typename T, int V, int K, typename W> __global__ void SD_BOUNDS(V) gather(SD_MEMBERS(Pool) group)
{
	alignas(16) __shared__ float a[TILE_CHANNELS];
	alignas(16) __shared__ float b[TILE_CHANNELS];
	SD_MEMBER(group, d);

	if (d.kind == AVG)
		gathered<T, V, AVG, K, W>(d);
	else if constexpr (K == 3)
		gathered_max<T, V>(d, a, b);
	else
		gathered<T, V, MAX, K, W>(d);
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

template <typename T, int V, typename W>
void launch_max_bwd_typed(sd_cu_run *r, const Pool &find, const Pool &give, const Tile &t)
{
	SD_GROUP(r, (winners<T, V, W>), dim3(blocks_for(find.items, t.rows), t.tiles), t.block(),
		find);
	SD_GROUP(r, (gather<T, V, 0, W>), dim3(blocks_for(give.items, t.rows), t.tiles), t.block(),
		give);
}
template <typename T, int V> void launch_max_bwd(sd_cu_run *r, const Pool &find, const Pool &give,
	const Tile &t)
{
	if (is_usual(find.win))
		SD_GROUP(r, (gather<T, V, 3, uint8_t>), dim3(blocks_for(give.items, t.rows), t.tiles), t.block(), give);
	else if (find.win.kh * find.win.kw <= 256)
		launch_max_bwd_typed<T, V, uint8_t>(r, find, give, t);
	else
		launch_max_bwd_typed<T, V, uint16_t>(r, find, give, t);
}
template <typename T>
void maxpool_bwd(sd_cu_run *r, const sd_cu_src *x, const sd_cu_img *gy, struct sd_window win,
	const sd_cu_dst *gx)
{
	const sd_cu_img *img[] = { &x->x, gy, &gx->y };
	int v = pack_width(img, 3), c = gy->c;
	size_t won = static_cast<size_t>(pixels_of(*gy)) * static_cast<size_t>(c);
	void *mem = is_usual(win) ? nullptr : sd_cu_take(r, win.kh * win.kw <= 256 ? won : won * 2);
	Tile t = make_tile(c, v);
	Pool find = { *x, win, { *gy, 0 }, 0, MAX, 0, pixels_of(*gy), mem, {}, nullptr, nullptr, nullptr, nullptr };
	Pool give = { { *gy, {}, 0 }, win, *gx, 0, MAX, 0, pixels_of(gx->y), mem, *x, nullptr, nullptr, nullptr, nullptr };

	SD_BY_PACK(T, v, launch_max_bwd, r, find, give, t);
}

template <typename T, int V> void launch_avg_bwd(sd_cu_run *r, const Pool &d, const Tile &t)
{
	dim3 grid(blocks_for(d.items, t.rows), t.tiles);

	if (is_usual(d.win)) {
		SD_GROUP(r, (gather<T, V, 3, uint8_t>), grid, t.block(), d);
		return;
	}
	sd_cu_group_skip(r); /* with the second kernel of a maximum */
	SD_GROUP(r, (gather<T, V, 0, uint8_t>), grid, t.block(), d);
}
template <typename T> void avgpool_bwd(sd_cu_run *r, const Pool &d)
{
	const sd_cu_img *img[] = { &d.x.x, &d.y.y };
	int v = pack_width(img, 2);
	Tile t = make_tile(d.x.x.c, v);

	SD_BY_PACK(T, v, launch_avg_bwd, r, d, t);
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

void sd_cu_maxpool_bwd(sd_cu_run *r, const sd_cu_src *x, const sd_cu_img *gy, struct sd_window win,
	const sd_cu_dst *gx)
{
	SD_BY_TYPE(gy->type, maxpool_bwd, r, x, gy, win, gx);
}

int sd_cu_avgpool(sd_cu_run *r, const sd_cu_src *x, struct sd_window win, int include_pad, const sd_cu_dst *y,
	float *mean, float *var)
{
	Pool d = { *x, win, *y, include_pad, AVG, 0, 0, nullptr, {}, nullptr, nullptr, mean, var };
	int stats = 0;

	SD_BY_TYPE(x->x.type, pool, r, d, AVG, &stats);
	return stats;
}

void sd_cu_avgpool_bwd(sd_cu_run *r, const sd_cu_img *gy, struct sd_window win, int include_pad,
	const sd_cu_dst *gx)
{
	Pool d = { { *gy, {}, 0 }, win, *gx, include_pad, AVG, 0, pixels_of(gx->y), nullptr, {}, nullptr, nullptr, nullptr, nullptr };

	SD_BY_TYPE(gy->type, avgpool_bwd, r, d);
}

void sd_cu_gap(sd_cu_run *r, const sd_cu_src *x, float *y)
{
	SD_BY_TYPE(x->x.type, gap, r, x, y);
}

void sd_cu_gap_bwd(sd_cu_run *r, const float *gy, const sd_cu_dst *gx)
{
	SD_BY_TYPE(gx->y.type, gap_bwd, r, gy, gx);
}
