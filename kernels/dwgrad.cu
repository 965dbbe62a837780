/* dwgrad.cu: the gradient of a depthwise convolution's weights.
 *
 * Each row of the kernel has a thread of its own, which goes over its outputs (RUN / M at once) in order; sums over
 * threads and chunks are those of tile.h. */
#include "kernels/dwconv.h"

inline namespace dwgrad_cu {

using namespace sd;

struct DwGrad {
	sd_cu_src x;
	sd_cu_img gy;
	struct sd_window win;
	int apart;
	unsigned runs;
	Cut cut;         /* of runs; of outputs in the plain path */
	float *part;     /* (chunks, taps, C) */
};

/* Thread (x, y, z): row z of the kernel. */
template <typename T, int V, int K, int M> __global__ void SD_BOUNDS(V) dw_grad_run(SD_MEMBERS(DwGrad) group)
{
	enum { LENGTH = RUN / M, COLS = M * (LENGTH - 1) + K };
	__shared__ float sums[Threads<V>::most * V];
	alignas(16) __shared__ float a[TILE_CHANNELS];
	alignas(16) __shared__ float b[TILE_CHANNELS];
	SD_MEMBER(group, d);
	const sd_cu_img &x = d.x.x;
	int ch = thread_channel<V>(), ky = static_cast<int>(threadIdx.z);
	bool in = ch < x.c;
	unsigned first = blockIdx.x * d.cut.per, left = d.cut.count - first;
	unsigned end = first + (left < d.cut.per ? left : d.cut.per);
	float s[K][V];

	norm_to_shared<V>(d.x.norm, x.c, a, b);
	const Load<V> load = load_from_shared<V>(a, b, d.x.relu);

	SD_UNROLL
	for (int t = 0; t < K; t++)
		SD_UNROLL
		for (int i = 0; i < V; i++)
			s[t][i] = 0;
	SD_ROLLED
	for (unsigned item = first + threadIdx.y; in && item < end; item += blockDim.y) {
		const Place p = place(item, d.runs, LENGTH, d.apart, d.gy.h);
		int row = p.oy * d.win.sh - d.win.ph + ky * d.win.dh, j0 = p.ox * d.win.sw - d.win.pw;
		Raw<T, V> rx[COLS], rg[LENGTH];
		float g[LENGTH][V];

		if (!inside(row, x.h))
			continue;
		SD_UNROLL
		for (int r = 0; r < LENGTH; r++) {
			int col = p.ox + r * d.apart;

			if (col < d.gy.w)
				rg[r] = load_raw<T, V>(at<const T>(d.gy, pixel(d.gy, p.n, p.oy, col), ch));
		}
		SD_UNROLL
		for (int q = 0; q < COLS; q++) {
			int col = j0 + q * d.win.dw;

			if (inside(col, x.w))
				rx[q] = load_raw<T, V>(at<const T>(x, pixel(x, p.n, row, col), ch));
		}
		SD_UNROLL
		for (int r = 0; r < LENGTH; r++) {
			SD_UNROLL
			for (int i = 0; i < V; i++)
				g[r][i] = 0;
			if (p.ox + r * d.apart < d.gy.w)
				unpack(rg[r], g[r]);
		}
		SD_UNROLL
		for (int q = 0; q < COLS; q++) {
			float v[V];

			if (!inside(j0 + q * d.win.dw, x.w))
				continue;
			unpack(rx[q], v);
			load(v);
			SD_UNROLL
			for (int r = 0; r < LENGTH; r++) {
				const int t = q - M * r;

				if (t < 0 || t >= K)
					continue;
				SD_UNROLL
				for (int i = 0; i < V; i++)
					s[t][i] = fmaf(g[r][i], v[i], s[t][i]);
			}
		}
	}
	SD_UNROLL
	for (int t = 0; t < K; t++) {
		sum_rows<V>(s[t], sums);
		if (threadIdx.y == 0 && in) {
			size_t tap = static_cast<size_t>(blockIdx.x) * (K * K) + static_cast<unsigned>(ky *
				K + t);
			float *to = d.part + tap * static_cast<unsigned>(x.c) + ch;

			SD_UNROLL
			for (int i = 0; i < V; i++)
				to[i] = s[t][i];
		}
	}
}

/* Any window; a block for each chunk and tap. */
template <typename T, int V> __global__ void SD_BOUNDS(V) dw_grad_plain(SD_MEMBERS(DwGrad) group)
{
	__shared__ float sums[Threads<V>::most * V];
	alignas(16) __shared__ float a[TILE_CHANNELS];
	alignas(16) __shared__ float b[TILE_CHANNELS];
	SD_MEMBER(group, d);
	const sd_cu_img &x = d.x.x, &gy = d.gy;
	unsigned taps = static_cast<unsigned>(d.win.kh) * static_cast<unsigned>(d.win.kw);
	unsigned chunk = blockIdx.x / taps;
	int ch = thread_channel<V>(), t = static_cast<int>(blockIdx.x % taps);
	int dy = t / d.win.kw * d.win.dh - d.win.ph, dx = t % d.win.kw * d.win.dw - d.win.pw;
	bool in = ch < x.c;
	unsigned first = chunk * d.cut.per, left = d.cut.count - first;
	unsigned end = first + (left < d.cut.per ? left : d.cut.per);
	float s[V];

	norm_to_shared<V>(d.x.norm, x.c, a, b);
	const Load<V> load = load_from_shared<V>(a, b, d.x.relu);

	SD_UNROLL
	for (int i = 0; i < V; i++)
		s[i] = 0;
	for (unsigned item = first + threadIdx.y; in && item < end; item += blockDim.y) {
		const Spot o = spot(gy, item);
		int ix = o.j * d.win.sw + dx, iy = o.i * d.win.sh + dy;
		float v[V], g[V];

		if (!inside(iy, x.h) || !inside(ix, x.w))
			continue;
		load_pack<T, V>(at<const T>(x, pixel(x, o.n, iy, ix), ch), v);
		load_pack<T, V>(at<const T>(gy, item, ch), g);
		load(v);
		SD_UNROLL
		for (int i = 0; i < V; i++)
			s[i] = fmaf(g[i], v[i], s[i]);
	}
	sum_rows<V>(s, sums);
	if (threadIdx.y == 0 && in) {
		float *to = d.part + static_cast<size_t>(blockIdx.x) *
			static_cast<unsigned>(x.c) + ch;

		SD_UNROLL
		for (int i = 0; i < V; i++)
			to[i] = s[i];
	}
}

/* gw (C, taps) from part (chunks, taps, C) */
struct DwMerge {
	const float *part;
	unsigned chunks;
	int taps, c;
	float *gw;
};
__global__ void __launch_bounds__(32 * FOLD) dw_grad_merge(SD_MEMBERS(DwMerge) group)
{
	__shared__ double sums[32 * FOLD];
	SD_MEMBER(group, d);
	const float *part = d.part;
	int taps = d.taps, c = d.c;
	unsigned channels = static_cast<unsigned>(c), count = static_cast<unsigned>(taps) * channels;
	unsigned i = blockIdx.x * 32 + threadIdx.x, use = i < count ? i : count - 1;
	double s = sum_chunks(d.chunks, sums, [=](unsigned k) -> double {
		return part[static_cast<size_t>(k) * count + use];
	});

	if (threadIdx.y == 0 && i < count)
		d.gw[i % channels * static_cast<unsigned>(taps) + i / channels] = static_cast<float>(s);
}

/* The order of the sums is the path's, so the path depends on the window and the channels alone. */
template <typename T, int V, int K, int M> void launch_grad_run(sd_cu_run *r, const DwGrad &d, const Tile &t)
{
	SD_GROUP(r, (dw_grad_run<T, V, K, M>), dim3(d.cut.chunks, t.tiles), t.block(), d);
}
template <typename T, int V> void launch_grad(sd_cu_run *r, const DwGrad &d, const Path &p, const Tile &t)
{
	unsigned taps = static_cast<unsigned>(d.win.kh) * static_cast<unsigned>(d.win.kw);

	switch (p.k * 2 + p.m) {
	case 7: launch_grad_run<T, V, 3, 1>(r, d, t); return;
	case 8: launch_grad_run<T, V, 3, 2>(r, d, t); return;
	case 11: launch_grad_run<T, V, 5, 1>(r, d, t); return;
	case 12: launch_grad_run<T, V, 5, 2>(r, d, t); return;
	}
	if constexpr (V < 8) {
		switch (p.k * 2 + p.m) {
		case 15: launch_grad_run<T, V, 7, 1>(r, d, t); return;
		case 16: launch_grad_run<T, V, 7, 2>(r, d, t); return;
		}
	}
	SD_GROUP(r, (dw_grad_plain<T, V>), dim3(d.cut.chunks * taps, t.tiles), t.block(), d);
}
template <typename T> void grad(sd_cu_run *r, DwGrad &d, float *gw)
{
	const sd_cu_img *img[] = { &d.x.x, &d.gy };
	int v = pack_width(img, 2), c = d.gy.c, taps = d.win.kh * d.win.kw;
	Path p = choose(d.win);

	if (p.k == 7 && v > 4)
		v = 4; /* a row of sums for 8 channels does not fit into registers */
	Tile t = make_tile(c, v, p.k ? p.k : 1);

	d.apart = p.apart;
	d.runs = runs_of(d.gy.w, RUN / p.m, p.apart);
	d.cut = make_cut(p.k ? rows_of(d.gy) * d.runs : pixels_of(d.gy), t, p.k ? 8 : 16, 512);
	d.part = static_cast<float *>(sd_cu_take(r, sizeof(float) * d.cut.chunks * static_cast<size_t>(taps) *
		static_cast<size_t>(c)));
	SD_BY_PACK(T, v, launch_grad, r, d, p, t);
	SD_GROUP(r, dw_grad_merge, blocks_for(static_cast<size_t>(taps) * static_cast<size_t>(c), 32), dim3(32, FOLD),
		(DwMerge{ d.part, d.cut.chunks, taps, c, gw }));
}

} /* namespace dwgrad_cu */

void sd_cu_dwconv_bwd_w(sd_cu_run *r, const sd_cu_src *x, const sd_cu_img *gy, struct sd_window win,
	float *gw)
{
	DwGrad d = { *x, *gy, win, 1, 0, {}, nullptr };

	SD_BY_TYPE(gy->type, grad, r, d, gw);
}
