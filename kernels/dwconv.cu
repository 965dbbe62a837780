/* dwconv.cu: depthwise convolutions.
 *
 * With one filter a channel there is nothing to multiply as matrices: it is a matter of reading x once and
 * little else.  A thread makes RUN outputs of a row for its pack of channels: for each row of the kernel it
 * has all the inputs of the RUN outputs under way, in registers, and uses each for every output that reads
 * it.  Outputs of a run lie `apart` = dilation / gcd(stride, dilation) from each other, so that the inputs
 * of neighbours coincide for dilated kernels as well: input q = M r + t serves tap t of output r, M being
 * stride / gcd.  Kernels of 3, 5 and 7 with M of 1 or 2 are unrolled; any other window takes the plain
 * path, one output a thread.  Rows of the kernel are read again through the first-level cache, weights lie
 * in shared memory.
 *
 * The gradient of x for stride 1 is the same product with the kernel turned round; for other strides each
 * input pixel gathers the outputs that read it.  That of w is in dwgrad.cu.
 *
 * An output sums its taps from 0 in the order of the window; padding is 0 after norm and relu. */
#include "kernels/dwconv.h"
#include "kernels/stats.h"

inline namespace dwconv_cu {

using namespace sd;

struct Dw {
	sd_cu_src x;
	const float *w;
	struct sd_window win;
	sd_cu_dst y;
	int flip;        /* the kernel turned round */
	int apart;
	int k, m;        /* the unrolled size and M; k 0: neither */
	unsigned runs;   /* in a row of outputs */
	unsigned items;  /* runs in all; outputs in the plain path */
	/* with part the sums of a norm's gradient are taken of y on the way: x.norm is then the norm, and x.relu its mask */
	const void *at;  /* its operand, of y's shape */
	int ld_at;
	float *part;     /* (blocks, 2, C) */
	unsigned *counters;
	float *sg, *sgx;
};

/* The block's weights to shared memory, (taps, channels of the block), turned round if asked for. */
template <int V> __device__ inline void weights_to_shared(const float *w, int taps, int c, int flip,
	float *to)
{
	int chans = static_cast<int>(blockDim.x) * V, ch0 = block_channel<V>();
	int step = static_cast<int>(thread_count());

	for (int i = static_cast<int>(thread_rank()); i < chans * taps; i += step) {
		int l = i / taps, t = i % taps;

		if (ch0 + l < c)
			to[t * chans + l] = w[(ch0 + l) * taps + (flip ? taps - 1 - t : t)];
	}
}

/* ---- forward, and the gradient of x for stride 1 ---- */

/* Adds a run's results to the sums t of g and of g (x - mean). */
template <typename T, int V> __device__ inline void add_sums(const Dw &d, const Place &p, int ch, float s[RUN][V],
	const float *a, const float *b, float t[2 * V])
{
	sd_cu_img at_img = d.y.y;
	const Load<V> mask = load_from_shared<V>(a, b, 0);

	at_img.p = const_cast<void *>(d.at);
	at_img.ld = d.ld_at;
	SD_UNROLL
	for (int r = 0; r < RUN; r++) {
		int col = p.ox + r * d.apart;
		float x[V];

		if (col >= d.y.y.w)
			continue;
		load_pack<T, V>(at<const T>(at_img, pixel(at_img, p.n, p.oy, col), ch), x);
		SD_UNROLL
		for (int i = 0; i < V; i++) {
			float g = to_float(from_float<T>(s[r][i]));

			if (d.x.relu && !(fmaf(mask.a[i], x[i], mask.b[i]) > 0.0f))
				g = 0;
			t[i] += g;
			t[V + i] = fmaf(g, x[i] - d.x.norm.mean[ch + i], t[V + i]);
		}
	}
}

/* w (K K TILE_CHANNELS), a and b (TILE_CHANNELS) are shared memory. */
template <typename T, int V, int K, int M>
__device__ inline void dw_runs(const Dw &d, float *w, float *a, float *b, float t[2 * V])
{
	enum { COLS = M * (RUN - 1) + K };
	const sd_cu_img &x = d.x.x, &y = d.y.y;
	int ch = thread_channel<V>();
	unsigned item = blockIdx.x * blockDim.y + threadIdx.y;
	float s[RUN][V];

	weights_to_shared<V>(d.w, K * K, x.c, d.flip, w);
	norm_to_shared<V>(d.x.norm, x.c, a, b);
	Load<V> load = load_from_shared<V>(a, b, d.x.relu);

	if (d.part) {
		SD_UNROLL
		for (int i = 0; i < V; i++)
			load.a[i] = 1, load.b[i] = -0.0f;
		load.low = -INFINITY;
	}
	if (item >= d.items || ch >= x.c)
		return;
	const Place p = place(item, d.runs, RUN, d.apart, y.h);
	int i0 = p.oy * d.win.sh - d.win.ph, j0 = p.ox * d.win.sw - d.win.pw;

	SD_UNROLL
	for (int r = 0; r < RUN; r++)
		SD_UNROLL
		for (int i = 0; i < V; i++)
			s[r][i] = 0;
	SD_ROLLED
	for (int ky = 0; ky < K; ky++) {
		int row = i0 + ky * d.win.dh;
		const float *wk = w + (static_cast<unsigned>(ky) * K * blockDim.x + threadIdx.x) * V;
		Raw<T, V> raw[COLS];

		if (!inside(row, x.h))
			continue;
		SD_UNROLL
		for (int q = 0; q < COLS; q++) {
			int col = j0 + q * d.win.dw;

			if (inside(col, x.w))
				raw[q] = load_raw<T, V>(at<const T>(x, pixel(x, p.n, row, col), ch));
		}
		SD_UNROLL
		for (int q = 0; q < COLS; q++) {
			float v[V];

			if (!inside(j0 + q * d.win.dw, x.w))
				continue;
			unpack(raw[q], v);
			load(v);
			SD_UNROLL
			for (int r = 0; r < RUN; r++) {
				const int t = q - M * r;
				float k[V];

				if (t < 0 || t >= K)
					continue;
				load_floats<V>(wk + static_cast<unsigned>(t) * blockDim.x * V, k);
				SD_UNROLL
				for (int i = 0; i < V; i++)
					s[r][i] = fmaf(k[i], v[i], s[r][i]);
			}
		}
	}
	SD_UNROLL
	for (int r = 0; r < RUN; r++) {
		int col = p.ox + r * d.apart;

		if (col < y.w)
			store_pack<T, V>(at<T>(y, pixel(y, p.n, p.oy, col), ch), s[r], d.y.acc);
	}
	if (d.part)
		add_sums<T, V>(d, p, ch, s, a, b, t);
}

/* Kernels of 3 and 5 together: which one a block has is its member's. */
template <typename T, int V, int K> __global__ void SD_BOUNDS(V) dw_run(SD_MEMBERS(Dw) group)
{
	/* weights, then a thread's sums each, then those of chunks */
	alignas(16) __shared__ float w[K * K * TILE_CHANNELS];
	alignas(16) __shared__ float a[TILE_CHANNELS];
	alignas(16) __shared__ float b[TILE_CHANNELS];
	__shared__ double sums[2][TILE_CHANNELS];
	__shared__ unsigned flag;
	static_assert(sizeof(w) >= sizeof(float) * Threads<V>::most * V * 2 &&
		sizeof(w) >= sizeof(double) * FOLD * TILE_CHANNELS, "sums take the place of weights");
	SD_MEMBER(group, d);
	float t[2 * V];

	SD_UNROLL
	for (int i = 0; i < 2 * V; i++)
		t[i] = 0;
	if constexpr (K == 7) {
		if (d.m == 1)
			dw_runs<T, V, 7, 1>(d, w, a, b, t);
		else
			dw_runs<T, V, 7, 2>(d, w, a, b, t);
	} else {
		switch (d.k * 2 + d.m) {
		case 7: dw_runs<T, V, 3, 1>(d, w, a, b, t); break;
		case 8: dw_runs<T, V, 3, 2>(d, w, a, b, t); break;
		case 11: dw_runs<T, V, 5, 1>(d, w, a, b, t); break;
		default: dw_runs<T, V, 5, 2>(d, w, a, b, t); break;
		}
	}
	if (!d.part)
		return;
	unsigned c = static_cast<unsigned>(d.y.y.c);
	int ch = thread_channel<V>();

	sum_rows<2 * V>(t, w);
	if (threadIdx.y == 0 && ch < d.y.y.c) {
		float *to = d.part + static_cast<size_t>(blockIdx.x) * 2 * c + ch;

		SD_UNROLL
		for (int i = 0; i < V; i++) {
			to[i] = t[i];
			to[c + static_cast<unsigned>(i)] = t[V + i];
		}
	}
	unsigned chunks = (d.items + blockDim.y - 1) / blockDim.y;

	if (is_last_block(d.counters, chunks, &flag))
		merge_sums(d.part, chunks, c, static_cast<unsigned>(block_channel<V>()), block_channels<V>(d.y.y.c),
			d.x.norm, reinterpret_cast<double *>(w), sums[0], sums[1], d.sg, d.sgx);
}

/* Any window, one output a thread. */
template <typename T, int V> __global__ void SD_BOUNDS(V) dw_plain(SD_MEMBERS(Dw) group)
{
	alignas(16) __shared__ float a[TILE_CHANNELS];
	alignas(16) __shared__ float b[TILE_CHANNELS];
	SD_MEMBER(group, d);
	const sd_cu_img &x = d.x.x, &y = d.y.y;
	int ch = thread_channel<V>(), taps = d.win.kh * d.win.kw;
	unsigned item = blockIdx.x * blockDim.y + threadIdx.y;
	float s[V];

	norm_to_shared<V>(d.x.norm, x.c, a, b);
	const Load<V> load = load_from_shared<V>(a, b, d.x.relu);

	if (item >= d.items || ch >= x.c)
		return;
	const Spot o = spot(y, item);

	SD_UNROLL
	for (int i = 0; i < V; i++)
		s[i] = 0;
	for (int ky = 0; ky < d.win.kh; ky++)
		for (int kx = 0; kx < d.win.kw; kx++) {
			int iy = o.i * d.win.sh - d.win.ph + ky * d.win.dh;
			int ix = o.j * d.win.sw - d.win.pw + kx * d.win.dw;
			int t = ky * d.win.kw + kx;
			float v[V];

			if (!inside(iy, x.h) || !inside(ix, x.w))
				continue;
			load_pack<T, V>(at<const T>(x, pixel(x, o.n, iy, ix), ch), v);
			load(v);
			SD_UNROLL
			for (int i = 0; i < V; i++)
				s[i] = fmaf(d.w[(ch + i) * taps + (d.flip ? taps - 1 - t : t)], v[i], s[i]);
		}
	store_pack<T, V>(at<T>(y, item, ch), s, d.y.acc);
}

/* ---- the gradient of x for other strides: x is gy, y is gx ---- */

/* K 0: any kernel; w (K K TILE_CHANNELS) is shared memory. */
template <typename T, int V, int K> __device__ inline void gathered(const Dw &d, float *w)
{
	const sd_cu_img &gy = d.x.x, &gx = d.y.y;
	const int kh = K ? K : d.win.kh, kw = K ? K : d.win.kw;
	int ch = thread_channel<V>();
	unsigned item = blockIdx.x * blockDim.y + threadIdx.y;
	float s[V];

	if constexpr (K != 0) {
		weights_to_shared<V>(d.w, K * K, gx.c, 0, w);
		__syncthreads();
	}
	if (item >= d.items || ch >= gx.c)
		return;
	const Spot at_x = spot(gx, item);
	int ix = at_x.j + d.win.pw, iy = at_x.i + d.win.ph;

	SD_UNROLL
	for (int i = 0; i < V; i++)
		s[i] = 0;
	for (int ky = 0; ky < kh; ky++) {
		int oy = reader(iy, ky * d.win.dh, d.win.sh, gy.h);

		if (oy < 0)
			continue;
		SD_UNROLL
		for (int kx = 0; kx < kw; kx++) {
			int ox = reader(ix, kx * d.win.dw, d.win.sw, gy.w);
			unsigned t = static_cast<unsigned>(ky * kw + kx);
			float v[V], k[V];

			if (ox < 0)
				continue;
			load_pack<T, V>(at<const T>(gy, pixel(gy, at_x.n, oy, ox), ch), v);
			if constexpr (K != 0)
				load_floats<V>(w + (t * blockDim.x + threadIdx.x) * V, k);
			SD_UNROLL
			for (int i = 0; i < V; i++)
				s[i] = fmaf(K ? k[i] : d.w[((ch + i) * kh + ky) * kw + kx], v[i], s[i]);
		}
	}
	store_pack<T, V>(at<T>(gx, item, ch), s, d.y.acc);
}

template <typename T, int V, int K> __global__ void SD_BOUNDS(V) dw_gather(SD_MEMBERS(Dw) group)
{
	alignas(16) __shared__ float w[K ? K * K * TILE_CHANNELS : 1];
	SD_MEMBER(group, d);

	if constexpr (K == 5) {
		if (d.win.kh == 3) {
			gathered<T, V, 3>(d, w);
			return;
		}
	}
	gathered<T, V, K>(d, w);
}

/* ---- launching ---- */

template <typename T, int V> void launch_forward(sd_cu_run *r, const Dw &d, const Tile &t)
{
	dim3 grid(blocks_for(d.items, t.rows), t.tiles);

	if constexpr (V > 1) {
		if (d.k == 7) {
			SD_GROUP(r, (dw_run<T, V, 7>), grid, t.block(), d);
			return;
		}
		if (d.k) {
			SD_GROUP(r, (dw_run<T, V, 5>), grid, t.block(), d);
			return;
		}
	}
	SD_GROUP(r, (dw_plain<T, V>), grid, t.block(), d);
}
/* With s not NULL the sums, too, of y as a gradient, where that is little work; whether they are is in *done. */
template <typename T> void forward(sd_cu_run *r, Dw &d, const sd_cu_norm_sums *s, int *done)
{
	sd_cu_img at = s ? s->x : d.y.y;
	const sd_cu_img *img[] = { &d.x.x, &d.y.y, &at };
	int v = pack_width(img, s ? 3 : 2);
	Path p = choose(d.win);
	Tile t = make_tile(d.x.x.c, v);

	if (v == 1)
		p.k = 0;
	d.k = p.k;
	d.m = p.m;
	d.apart = p.apart;
	d.runs = runs_of(d.y.y.w, RUN, p.apart);
	d.items = p.k ? rows_of(d.y.y) * d.runs : pixels_of(d.y.y);
	*done = s && p.k && !d.y.acc && blocks_for(d.items, t.rows) <= MOST_CHUNKS;
	if (*done) {
		d.x.norm = s->norm;
		d.x.relu = s->masked;
		d.at = at.p;
		d.ld_at = at.ld;
		d.part = static_cast<float *>(sd_cu_take(r, sizeof(float) * blocks_for(d.items, t.rows) * 2 *
			static_cast<size_t>(d.y.y.c)));
		d.counters = r->counters;
		d.sg = s->sg;
		d.sgx = s->sgx;
	}
	SD_BY_PACK(T, v, launch_forward, r, d, t);
}

template <typename T, int V> void launch_gather(sd_cu_run *r, const Dw &d, const Tile &t)
{
	dim3 grid(blocks_for(d.items, t.rows), t.tiles);

	if constexpr (V > 1) {
		if (d.win.kh == d.win.kw) {
			switch (d.win.kh) {
			case 3: case 5: SD_GROUP(r, (dw_gather<T, V, 5>), grid, t.block(), d); return;
			case 7: SD_GROUP(r, (dw_gather<T, V, 7>), grid, t.block(), d); return;
			}
		}
	}
	SD_GROUP(r, (dw_gather<T, V, 0>), grid, t.block(), d);
}
template <typename T> void gather(sd_cu_run *r, Dw &d)
{
	const sd_cu_img *img[] = { &d.x.x, &d.y.y };
	int v = pack_width(img, 2);
	Tile t = make_tile(d.x.x.c, v);

	d.items = pixels_of(d.y.y);
	SD_BY_PACK(T, v, launch_gather, r, d, t);
}

} /* namespace dwconv_cu */

void sd_cu_dwconv(sd_cu_run *r, const sd_cu_src *x, const float *w, struct sd_window win, const sd_cu_dst *y)
{
	Dw d = { *x, w, win, *y, 0, 1, 0, 0, 0, 0, nullptr, 0, nullptr, nullptr, nullptr, nullptr };
	int none;

	SD_BY_TYPE(x->x.type, forward, r, d, nullptr, &none);
}

int sd_cu_dwconv_bwd_x(sd_cu_run *r, const sd_cu_img *gy, const float *w, struct sd_window win,
	const sd_cu_dst *gx, const sd_cu_norm_sums *sums)
{
	sd_cu_src x = { *gy, {}, 0 };
	Dw d = { x, w, win, *gx, 1, 1, 0, 0, 0, 0, nullptr, 0, nullptr, nullptr, nullptr, nullptr };
	int done = 0;

	if (win.sh != 1 || win.sw != 1) {
		SD_BY_TYPE(gy->type, gather, r, d);
		return 0;
	}
	d.win.ph = win.dh * (win.kh - 1) - win.ph;
	d.win.pw = win.dw * (win.kw - 1) - win.pw;
	SD_BY_TYPE(gy->type, forward, r, d, sums, &done);
	return done;
}
