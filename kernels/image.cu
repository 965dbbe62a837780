/* image.cu: sums, scalings and copies of images, and the way between rows and NHWC. */
#include "kernels/pixels.h"

inline namespace image_cu {

using namespace sd::pixels;

/* ---- sums ---- */

/* y = on ? (value + bias[c] + x_0 + x_1 + ...) * f : 0, each part where it is given; the sum of the first `masked` x is
 * 0 where mask is not > 0 */
struct Part {
	const void *p;
	int ld, relu;
	sd_cu_norm norm;
	sd_cu_back back;
	enum sd_cu_type type;
};
template <int N> struct SumOf {
	int n;
	Part x[N];
	float value;           /* what a sum of no operands is */
	const float *bias;     /* (C) */
	const float *f;        /* (1), or (N) with f_rows */
	int f_rows;
	sd_cu_on on;
	int masked;
	sd_cu_src mask;
	sd_cu_dst y;
};
/* Most sums are short, and several go into one launch. */
enum { FEW = 4, SOME = 10 };
typedef SumOf<SD_CU_ADD> Sum;

/* Each sample times its factor. */
template <int V> __device__ inline void scale_rows(const float *f, const sd_cu_img &like, const Walk &w, float v[ITEMS][V])
{
	unsigned plane = like.h * like.w;

#pragma unroll
	for (int k = 0; k < ITEMS; k++) {
		unsigned at = w.at + k * w.step;
		float by = f[at < w.n ? at / plane : 0];

#pragma unroll
		for (int i = 0; i < V; i++)
			v[k][i] *= by;
	}
}

/* An operand's pixels as they are loaded. */
template <int V> __device__ inline void get_part(const Part &t, const sd_cu_img &like, const Walk &w, float v[ITEMS][V])
{
	const sd_cu_img g = { const_cast<void *>(t.p), like.n, like.c, like.h, like.w, t.ld, t.type };
	float x[ITEMS][V];

	get<V>(g, w, v);
	if (!t.back.on) {
		loaded<V>({ g, t.norm, t.relu }, w.c, v);
		if (t.back.f)
			scale_rows<V>(t.back.f, like, w, v);
		return;
	}
	if (t.back.x)
		get<V>(sd::back_image(g, t.back), w, x);
#pragma unroll
	for (int i = 0; i < V; i++) {
		const sd::BackFactors f = sd::back_factors(t.norm, t.norm, t.back, w.c + i, w.n);

#pragma unroll
		for (int k = 0; k < ITEMS; k++)
			if (w.at + k * w.step < w.n)
				v[k][i] = f(v[k][i], t.back.x ? x[k][i] : 0.0f, t.back.sg, t.relu);
	}
}

/* v -> 0 where x, as it is loaded, is not > 0 */
template <int V> __device__ inline void mask(const sd_cu_src &src, const Walk &w, float v[ITEMS][V])
{
	float x[ITEMS][V];

	get<V>(src.x, w, x);
	loaded<V>(src, w.c, x);
#pragma unroll
	for (int k = 0; k < ITEMS; k++)
#pragma unroll
		for (int i = 0; i < V; i++)
			v[k][i] = x[k][i] > 0.0f ? v[k][i] : 0.0f;
}

template <int V, int N> __global__ void sum_kernel(SD_MEMBERS(SumOf<N>) group)
{
	SD_MEMBER(group, s);
	float sum[ITEMS][V], x[ITEMS][V];
	Walk w;

	if (!walk<V>(s.y.y, w))
		return;
#pragma unroll
	for (int k = 0; k < ITEMS; k++)
#pragma unroll
		for (int i = 0; i < V; i++)
			sum[k][i] = x[k][i] = s.value;
	if (s.n > 0 && sd::is_on(s.on)) {
		get_part<V>(s.x[0], s.y.y, w, sum);
		for (int j = 1; j < s.n; j++) {
			if (j == s.masked)
				mask<V>(s.mask, w, sum);
			get_part<V>(s.x[j], s.y.y, w, x);
#pragma unroll
			for (int k = 0; k < ITEMS; k++)
#pragma unroll
				for (int i = 0; i < V; i++)
					sum[k][i] += x[k][i];
		}
		if (s.n == s.masked)
			mask<V>(s.mask, w, sum);
	}
	if (s.bias) {
#pragma unroll
		for (int i = 0; i < V; i++) {
			float b = s.bias[w.c + i];

#pragma unroll
			for (int k = 0; k < ITEMS; k++)
				sum[k][i] += b;
		}
	}
	if (s.f && s.f_rows)
		scale_rows<V>(s.f, s.y.y, w, sum);
	else if (s.f)
#pragma unroll
		for (int k = 0; k < ITEMS; k++)
#pragma unroll
			for (int i = 0; i < V; i++)
				sum[k][i] *= *s.f;
	put<V>(s.y, w, sum);
}

template <int V, int N> void launch_sum_of(sd_cu_run *r, const Sum &s)
{
	SumOf<N> few = { s.n, {}, s.value, s.bias, s.f, s.f_rows, s.on, s.masked, s.mask, s.y };

	for (int i = 0; i < s.n; i++)
		few.x[i] = s.x[i];
	SD_GROUP(r, (sum_kernel<V, N>), walk_blocks(s.y.y, V), THREADS, few);
}
template <int V> void launch_sum(sd_cu_run *r, const Sum &s)
{
	if (s.n <= FEW)
		launch_sum_of<V, FEW>(r, s);
	else if (s.n <= SOME)
		launch_sum_of<V, SOME>(r, s);
	else
		launch_sum_of<V, SD_CU_ADD>(r, s);
}

/* Its operands are x. */
void sum(sd_cu_run *r, Sum &s, int terms, const sd_cu_grad *x)
{
	const sd_cu_img *all[2 * SD_CU_ADD + 2];
	sd_cu_img back[SD_CU_ADD];
	int n = 0, v;

	s.n = terms;
	all[n++] = &s.y.y;
	for (int i = 0; i < terms; i++) {
		const sd_cu_src &g = x[i].g;

		s.x[i] = { g.x.p, g.x.ld, g.relu, g.norm, x[i].back, g.x.type };
		back[i] = sd::back_image(g.x, x[i].back);
		all[n++] = &g.x;
		all[n++] = &back[i];
	}
	if (s.masked)
		all[n++] = &s.mask.x;
	v = sd::pack_width(all, n);
	SD_BY_WIDTH(v, launch_sum, r, s);
}

/* ---- the rows and columns of a factorised reduce ---- */

/* Where pixel (n, h, w) of y, counted along, comes from in x: its place there, or -1. */
__device__ inline long long odd_pixel(const sd_cu_img &x, const sd_cu_img &y, unsigned at, int odd)
{
	const sd::Spot s = sd::spot(y, at);
	int i = 2 * s.i + odd, j = 2 * s.j + odd;

	return i < x.h && j < x.w ? ((long long)s.n * x.h + i) * x.w + j : -1;
}

struct TakeOdd {
	sd_cu_src x;
	int odd;
	sd_cu_dst y;
};
template <int V> __global__ void take_odd_kernel(SD_MEMBERS(TakeOdd) group)
{
	SD_MEMBER(group, d);
	const sd_cu_src &x = d.x;
	const sd_cu_dst &y = d.y;
	int odd = d.odd;
	float v[ITEMS][V];
	Walk w;

	if (!walk<V>(y.y, w))
		return;
#pragma unroll
	for (int k = 0; k < ITEMS; k++) {
		unsigned at = w.at + k * w.step;
		long long from = at < w.n ? odd_pixel(x.x, y.y, at, odd) : -1;

		if (from >= 0)
			pack<V>(x.x, from, w.c, v[k]);
		else
			for (int i = 0; i < V; i++)
				v[k][i] = 0;
	}
	loaded<V>(x, w.c, v);
	/* what is outside is 0 after norm and relu */
#pragma unroll
	for (int k = 0; k < ITEMS; k++)
		if (w.at + k * w.step < w.n && odd_pixel(x.x, y.y, w.at + k * w.step, odd) < 0)
			for (int i = 0; i < V; i++)
				v[k][i] = 0;
	put<V>(y, w, v);
}

struct PutOdd {
	sd_cu_img g0, g1;
	sd_cu_dst gx;
};
template <int V> __global__ void put_odd_kernel(SD_MEMBERS(PutOdd) group)
{
	SD_MEMBER(group, d);
	const sd_cu_img &g0 = d.g0, &g1 = d.g1;
	const sd_cu_dst &gx = d.gx;
	float v[ITEMS][V];
	Walk w;

	if (!walk<V>(gx.y, w))
		return;
#pragma unroll
	for (int k = 0; k < ITEMS; k++) {
		unsigned at = w.at + k * w.step;
		const sd::Spot s = sd::spot(gx.y, at);

		for (int i = 0; i < V; i++)
			v[k][i] = 0;
		if (at < w.n && s.j % 2 == s.i % 2) {
			if (s.j % 2)
				pack<V>(g1, ((long long)s.n * g1.h + s.i / 2) * g1.w + s.j / 2, w.c, v[k]);
			else
				pack<V>(g0, ((long long)s.n * g0.h + s.i / 2) * g0.w + s.j / 2, w.c, v[k]);
		}
	}
	put<V>(gx, w, v);
}

template <int V> void launch_take_odd(sd_cu_run *r, const sd_cu_src &x, int odd, const sd_cu_dst &y)
{
	SD_GROUP(r, take_odd_kernel<V>, walk_blocks(y.y, V), THREADS, (TakeOdd{ x, odd, y }));
}
template <int V> void launch_put_odd(sd_cu_run *r, const sd_cu_img &g0, const sd_cu_img &g1,
	const sd_cu_dst &gx)
{
	SD_GROUP(r, put_odd_kernel<V>, walk_blocks(gx.y, V), THREADS, (PutOdd{ g0, g1, gx }));
}

/* ---- numbers that are not finite ---- */

template <int V> __global__ void not_finite_kernel(const sd_cu_img x, int32_t *out)
{
	float v[ITEMS][V];
	int bad = 0;
	Walk w;

	if (!walk<V>(x, w))
		return;
#pragma unroll
	for (int k = 0; k < ITEMS; k++)
#pragma unroll
		for (int i = 0; i < V; i++)
			v[k][i] = 0;
	get<V>(x, w, v);
#pragma unroll
	for (int k = 0; k < ITEMS; k++)
#pragma unroll
		for (int i = 0; i < V; i++)
			bad |= !isfinite(v[k][i]);
	if (bad)
		*out = 1; /* whoever writes, writes the same */
}
template <int V> void launch_not_finite(sd_cu_run *r, const sd_cu_img &x, int32_t *out)
{
	SD_LAUNCH(r, not_finite_kernel<V>, walk_blocks(x, V), THREADS, 0, x, out);
}

/* ---- rows and pixels: a block turns a tile of channels and pixels over in shared memory ---- */

enum { TILE = 32 };

/* Along x are the tiles of all samples' planes: there may be more samples than blocks in another dimension. */
dim3 tiles_of(const sd_cu_img &x)
{
	return dim3(x.n * static_cast<unsigned>((x.h * x.w + TILE - 1) / TILE), (x.c + TILE - 1) / TILE);
}

template <typename T> __global__ void import_kernel(const float *nchw, const sd_cu_dst y)
{
	__shared__ float tile[TILE][TILE + 1]; /* [channel][pixel] */
	int plane = y.y.h * y.y.w, tiles = (plane + TILE - 1) / TILE;
	int p0 = blockIdx.x % tiles * TILE, c0 = blockIdx.y * TILE, n = blockIdx.x / tiles;
	int np = plane - p0 < TILE ? plane - p0 : TILE, nc = y.y.c - c0 < TILE ? y.y.c - c0 : TILE;
	const float *from = nchw + ((size_t)n * y.y.c + c0) * plane + p0;
	T *to = static_cast<T *>(y.y.p) + ((size_t)n * plane + p0) * y.y.ld + c0;

	for (int c = threadIdx.x / TILE, p = threadIdx.x % TILE; c < nc; c += THREADS / TILE)
		if (p < np)
			tile[c][p] = from[(size_t)c * plane + p];
	__syncthreads();
	for (int i = threadIdx.x; i < np * nc; i += THREADS) {
		int p = i / nc, c = i % nc;

		sd::store_pack<T, 1>(to + (size_t)p * y.y.ld + c, &tile[c][p], y.acc);
	}
}
template <typename T> void launch_import(sd_cu_run *r, const float *nchw, const sd_cu_dst &y)
{
	SD_LAUNCH(r, import_kernel<T>, tiles_of(y.y), THREADS, 0, nchw, y);
}

template <typename T> __global__ void export_kernel(const sd_cu_src x, float *nchw)
{
	__shared__ float tile[TILE][TILE + 1]; /* [channel][pixel] */
	__shared__ float a[TILE], b[TILE];
	int plane = x.x.h * x.x.w, tiles = (plane + TILE - 1) / TILE;
	int p0 = blockIdx.x % tiles * TILE, c0 = blockIdx.y * TILE, n = blockIdx.x / tiles;
	int np = plane - p0 < TILE ? plane - p0 : TILE, nc = x.x.c - c0 < TILE ? x.x.c - c0 : TILE;
	const T *from = static_cast<const T *>(x.x.p) + ((size_t)n * plane + p0) * x.x.ld + c0;
	float *to = nchw + ((size_t)n * x.x.c + c0) * plane + p0;

	if ((int)threadIdx.x < nc)
		sd::norm_factors(x.norm, c0 + threadIdx.x, a[threadIdx.x], b[threadIdx.x]);
	__syncthreads();
	for (int i = threadIdx.x; i < np * nc; i += THREADS) {
		int p = i / nc, c = i % nc;
		float v = sd::to_float(from[(size_t)p * x.x.ld + c]);

		if (x.norm.mean)
			v = fmaf(a[c], v, b[c]);
		tile[c][p] = x.relu ? sd::relu(v) : v;
	}
	__syncthreads();
	for (int c = threadIdx.x / TILE, p = threadIdx.x % TILE; c < nc; c += THREADS / TILE)
		if (p < np)
			to[(size_t)c * plane + p] = tile[c][p];
}
template <typename T> void launch_export(sd_cu_run *r, const sd_cu_src &x, float *nchw)
{
	SD_LAUNCH(r, export_kernel<T>, tiles_of(x.x), THREADS, 0, x, nchw);
}

} /* namespace image_cu */

void sd_cu_fill(struct sd_cu_run *r, float value, const struct sd_cu_img *y)
{
	Sum s = {};

	s.value = value;
	s.y.y = *y;
	sum(r, s, 0, nullptr);
}

void sd_cu_add(struct sd_cu_run *r, int n, const struct sd_cu_grad *x, int masked, const struct sd_cu_src *mask,
	const struct sd_cu_dst *y)
{
	Sum s = {};

	if (masked) {
		s.masked = masked;
		s.mask = *mask;
	}
	s.y = *y;
	sum(r, s, n, x);
}

void sd_cu_scale_rows(struct sd_cu_run *r, const struct sd_cu_src *x, const float *m,
	const struct sd_cu_dst *y)
{
	const sd_cu_grad one = { *x, {} };
	Sum s = {};

	s.f = m;
	s.f_rows = 1;
	s.y = *y;
	sum(r, s, 1, &one);
}

void sd_cu_scale(struct sd_cu_run *r, const struct sd_cu_src *x, const float *f, const struct sd_cu_dst *y)
{
	const sd_cu_grad one = { *x, {} };
	Sum s = {};

	s.f = f;
	s.y = *y;
	sum(r, s, 1, &one);
}

void sd_cu_add_bias(struct sd_cu_run *r, const float *bias, const struct sd_cu_img *y)
{
	const sd_cu_grad one = { { *y, {}, 0 }, {} };
	Sum s = {};

	s.bias = bias;
	s.y.y = *y;
	sum(r, s, 1, &one);
}

void sd_cu_select_image(struct sd_cu_run *r, struct sd_cu_on on, const struct sd_cu_img *x,
	const struct sd_cu_dst *y)
{
	const sd_cu_grad one = { { *x, {}, 0 }, {} };
	Sum s = {};

	s.on = on;
	s.y = *y;
	sum(r, s, 1, &one);
}

void sd_cu_import(struct sd_cu_run *r, const float *nchw, const struct sd_cu_dst *y)
{
	SD_BY_TYPE(y->y.type, launch_import, r, nchw, *y);
}

void sd_cu_export(struct sd_cu_run *r, const struct sd_cu_src *x, float *nchw)
{
	SD_BY_TYPE(x->x.type, launch_export, r, *x, nchw);
}

void sd_cu_take_odd(struct sd_cu_run *r, const struct sd_cu_src *x, int odd, const struct sd_cu_img *y)
{
	const sd_cu_img *all[] = { &x->x, y };
	int v = sd::pack_width(all, 2);
	sd_cu_dst to = { *y, 0 };

	SD_BY_WIDTH(v, launch_take_odd, r, *x, odd, to);
}

void sd_cu_put_odd(struct sd_cu_run *r, const struct sd_cu_img *g0, const struct sd_cu_img *g1,
	const struct sd_cu_dst *gx)
{
	const sd_cu_img *all[] = { g0, g1, &gx->y };
	int v = sd::pack_width(all, 3);

	SD_BY_WIDTH(v, launch_put_odd, r, *g0, *g1, *gx);
}

void sd_cu_not_finite_image(struct sd_cu_run *r, const struct sd_cu_img *x, int32_t *out)
{
	int v = sd::pack_width(&x, 1);

	SD_BY_WIDTH(v, launch_not_finite, r, *x, out);
}
