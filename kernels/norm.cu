/* norm.cu: batch statistics, the elementwise loads (relu, norm, both, copy), and the backward of both.
 *
 * All of it is bound by memory, so each is one pass over its operands, in packs of 16 bytes where the
 * channels allow.  A sum over (N, H, W) is taken in chunks of pixels (tile.h): a thread sums its pixels in
 * order, rows of threads are added by halving, and the last block to be done adds the chunks' sums in double.
 *
 * Statistics are taken about a pivot, the mean of up to 8 of the chunk's first pixels, added as a tree, which
 * is exact where they are equal: a constant channel has variance 0. As the pivot's pixels are among the
 * chunk's, it is never so far from the mean that squares about it cost many digits.  Chunks are merged by
 * Chan's formula for many parts (Chan, Golub, LeVeque 1983), in double. */
#include "kernels/parts.h"
#include "kernels/stats.h"

inline namespace norm_cu {

using namespace sd;

/* ---- statistics ---- */

struct StatsChunk {
	sd_cu_src src;
	Cut cut;
	float *part;
	unsigned *counters;
	float *mean, *var;
};
/* part (chunks, 3, C): pivot, sum of x - pivot, sum of its squares */
template <typename T, int V>
__global__ void SD_BOUNDS(V) stats_chunk(SD_MEMBERS(StatsChunk) group)
{
	__shared__ float sums[Threads<V>::most * V * 2];
	alignas(16) __shared__ float a[TILE_CHANNELS];
	alignas(16) __shared__ float b[TILE_CHANNELS];
	__shared__ double fold[FOLD * TILE_CHANNELS];
	__shared__ double means[TILE_CHANNELS];
	__shared__ double squares[TILE_CHANNELS];
	__shared__ unsigned flag;
	SD_MEMBER(group, d);
	const sd_cu_img &x = d.src.x;
	const Cut cut = d.cut;
	int ch = thread_channel<V>();
	bool in = ch < x.c;
	unsigned me = thread_rank(), first = blockIdx.x * cut.per, left = cut.count - first, seeds = 8;
	unsigned end = first + (left < cut.per ? left : cut.per), p = first + threadIdx.y;
	float pivot[V], s[2 * V];

	norm_to_shared<V>(d.src.norm, x.c, a, b);
	const Load<V> load = load_from_shared<V>(a, b, d.src.relu);

	while (seeds > 1 && (seeds > left || seeds > blockDim.y))
		seeds /= 2;
	if (threadIdx.y < seeds && in) {
		load_pack<T, V>(at<T>(x, p, ch), pivot);
		load(pivot);
		SD_UNROLL
		for (int i = 0; i < V; i++)
			sums[me * V + i] = pivot[i];
	}
	for (unsigned m = seeds / 2; m; m /= 2) {
		__syncthreads();
		if (threadIdx.y < m && in)
			for (unsigned i = me * V; i < (me + 1) * V; i++)
				sums[i] += sums[i + m * blockDim.x * V];
	}
	__syncthreads();
	SD_UNROLL
	for (int i = 0; i < V; i++) {
		pivot[i] = in ? sums[threadIdx.x * V + i] / static_cast<float>(seeds) : 0.0f;
		s[i] = s[V + i] = 0;
	}
	for (; in && p < end; p += STEP * blockDim.y) {
		Raw<T, V> raw[STEP];

		SD_UNROLL
		for (unsigned j = 0; j < STEP; j++)
			if (p + j * blockDim.y < end)
				raw[j] = load_raw<T, V>(at<const T>(x, p + j * blockDim.y, ch));
		SD_UNROLL
		for (unsigned j = 0; j < STEP; j++) {
			float v[V];

			if (p + j * blockDim.y >= end)
				break;
			unpack(raw[j], v);
			load(v);
			SD_UNROLL
			for (int i = 0; i < V; i++) {
				float d = v[i] - pivot[i];

				s[i] += d;
				s[V + i] = fmaf(d, d, s[V + i]);
			}
		}
	}
	sum_rows<2 * V>(s, sums);
	if (threadIdx.y == 0 && in) {
		float *to = d.part + static_cast<size_t>(blockIdx.x) * 3 * static_cast<unsigned>(x.c) + ch;

		SD_UNROLL
		for (int i = 0; i < V; i++) {
			to[i] = pivot[i];
			to[x.c + i] = s[i];
			to[2 * x.c + i] = s[V + i];
		}
	}
	if (!is_last_block(d.counters, cut.chunks, &flag))
		return;
	merge_stats(d.part, cut, static_cast<unsigned>(x.c), static_cast<unsigned>(block_channel<V>()),
		block_channels<V>(x.c), fold, means, squares, d.mean, d.var);
}

template <typename T, int V> void stats(sd_cu_run *r, const StatsChunk &d, const Tile &t)
{
	SD_GROUP(r, (stats_chunk<T, V>), dim3(d.cut.chunks, t.tiles), t.block(), d);
}

template <typename T> void bn_stats(sd_cu_run *r, const sd_cu_src *x, float *mean, float *var)
{
	const sd_cu_img *img[] = { &x->x };
	int v = pack_width(img, 1), c = x->x.c;
	Tile t = make_tile(c, v);
	Cut cut = make_cut(pixels_of(x->x), t);
	float *part = static_cast<float *>(sd_cu_take(r, sizeof(float) * cut.chunks * 3 *
		static_cast<size_t>(c)));

	StatsChunk d = { *x, cut, part, r->counters, mean, var };

	SD_BY_PACK(T, v, stats, r, d, t);
}

/* ---- load ---- */

struct LoadTo {
	sd_cu_src src;
	sd_cu_dst dst;
	Walk w;
};
template <typename T, typename U, int V> __global__ void SD_BOUNDS(V) load_kernel(SD_MEMBERS(LoadTo) group)
{
	alignas(16) __shared__ float a[TILE_CHANNELS];
	alignas(16) __shared__ float b[TILE_CHANNELS];
	SD_MEMBER(group, d);
	const sd_cu_src &src = d.src;
	const sd_cu_dst &dst = d.dst;
	const Walk &w = d.w;
	const sd_cu_img &x = src.x;
	int ch = thread_channel<V>();
	unsigned p = blockIdx.x * w.steps * STEP * blockDim.y + threadIdx.y;

	norm_to_shared<V>(src.norm, x.c, a, b);
	const Load<V> load = load_from_shared<V>(a, b, src.relu);

	if (ch >= x.c)
		return;
	for (unsigned step = 0; step < w.steps; step++, p += STEP * blockDim.y) {
		Raw<T, V> raw[STEP];

		SD_UNROLL
		for (unsigned j = 0; j < STEP; j++)
			if (p + j * blockDim.y < w.pixels)
				raw[j] = load_raw<T, V>(at<const T>(x, p + j * blockDim.y, ch));
		SD_UNROLL
		for (unsigned j = 0; j < STEP; j++) {
			float v[V];

			if (p + j * blockDim.y >= w.pixels)
				return;
			unpack(raw[j], v);
			load(v);
			store_pack<U, V>(at<U>(dst.y, p + j * blockDim.y, ch), v, dst.acc);
		}
	}
}

template <typename T, typename U, int V>
void load_launch(sd_cu_run *r, const sd_cu_src &x, const sd_cu_dst &y, const Tile &t, const Walk &w)
{
	SD_GROUP(r, (load_kernel<T, U, V>), dim3(w.blocks, t.tiles), t.block(), (LoadTo{ x, y, w }));
}

template <typename T, typename U> void load_typed(sd_cu_run *r, const sd_cu_src *x, const sd_cu_dst *y)
{
	const sd_cu_img *img[] = { &x->x, &y->y };
	int v = pack_width(img, 2);
	Tile t = make_tile(x->x.c, v);
	Walk w = make_walk(pixels_of(x->x), t);

	switch (v) {
	case 8:
		if constexpr (sizeof(T) == 2 && sizeof(U) == 2)
			load_launch<T, U, 8>(r, *x, *y, t, w);
		break;
	case 4: load_launch<T, U, 4>(r, *x, *y, t, w); break;
	case 2: load_launch<T, U, 2>(r, *x, *y, t, w); break;
	default: load_launch<T, U, 1>(r, *x, *y, t, w); break;
	}
}

template <typename T> void load_from(sd_cu_run *r, const sd_cu_src *x, const sd_cu_dst *y)
{
	switch (y->y.type) {
	case SD_CU_F32: load_typed<T, float>(r, x, y); break;
	case SD_CU_BF16: load_typed<T, __nv_bfloat16>(r, x, y); break;
	case SD_CU_F16: load_typed<T, __half>(r, x, y); break;
	}
}

/* ---- backward of a norm ---- */

struct SumsChunk {
	sd_cu_img gi, x;
	const float *rows; /* (N), not NULL: of g times its sample's factor, which goes to y */
	void *y;
	int ld;
	sd_cu_norm norm, mask;
	Cut cut;
	float *part;
	unsigned *counters;
	float *sg, *sgx;
};
template <int V> struct SumsShared {
	float sums[Threads<V>::most * V * 2];
	alignas(16) float a[TILE_CHANNELS];
	alignas(16) float b[TILE_CHANNELS];
	double fold[FOLD * TILE_CHANNELS];
	double plain[TILE_CHANNELS];
	double products[TILE_CHANNELS];
	unsigned flag;
};
/* part (chunks, 2, C): sums of g and of g (x - mean) */
template <typename T, int V> __device__ inline void chunk_sums(const SumsChunk &d, SumsShared<V> &shared)
{
	const sd_cu_img &gi = d.gi, &x = d.x;
	const sd_cu_norm &norm = d.norm, &mask = d.mask;
	const Cut cut = d.cut;
	int ch = thread_channel<V>();
	bool in = ch < x.c, masked = mask.mean != nullptr;
	unsigned first = blockIdx.x * cut.per, left = cut.count - first;
	unsigned end = first + (left < cut.per ? left : cut.per);
	float mean[V], s[2 * V];

	norm_to_shared<V>(mask, x.c, shared.a, shared.b);
	Load<V> load = load_from_shared<V>(shared.a, shared.b, 0);

	SD_UNROLL
	for (int i = 0; i < V; i++) {
		mean[i] = in ? norm.mean[ch + i] : 0.0f;
		s[i] = s[V + i] = 0;
	}
	unsigned plane = static_cast<unsigned>(x.h) * static_cast<unsigned>(x.w);

	for (unsigned p = first + threadIdx.y; in && p < end; p += STEP * blockDim.y) {
		Raw<T, V> rx[STEP], rg[STEP];

		SD_UNROLL
		for (unsigned j = 0; j < STEP; j++)
			if (p + j * blockDim.y < end) {
				rx[j] = load_raw<T, V>(at<const T>(x, p + j * blockDim.y, ch));
				rg[j] = load_raw<T, V>(at<const T>(gi, p + j * blockDim.y, ch));
			}
		SD_UNROLL
		for (unsigned j = 0; j < STEP; j++) {
			float v[V], g[V];

			if (p + j * blockDim.y >= end)
				break;
			unpack(rx[j], v);
			unpack(rg[j], g);
			if (d.rows) {
				unsigned q = p + j * blockDim.y;
				float f = d.rows[q / plane];

				SD_UNROLL
				for (int i = 0; i < V; i++)
					g[i] = to_float(from_float<T>(g[i] * f));
				store_pack<T, V>(static_cast<T *>(d.y) + static_cast<size_t>(q) * static_cast<unsigned>(d.ld) + ch,
					g, 0);
			}
			SD_UNROLL
			for (int i = 0; i < V; i++) {
				if (masked && !(fmaf(load.a[i], v[i], load.b[i]) > 0.0f))
					g[i] = 0;
				s[i] += g[i];
				s[V + i] = fmaf(g[i], v[i] - mean[i], s[V + i]);
			}
		}
	}
	sum_rows<2 * V>(s, shared.sums);
	if (threadIdx.y == 0 && in) {
		float *to = d.part + static_cast<size_t>(blockIdx.x) * 2 * static_cast<unsigned>(x.c) + ch;

		SD_UNROLL
		for (int i = 0; i < V; i++) {
			to[i] = s[i];
			to[x.c + i] = s[V + i];
		}
	}
	if (!is_last_block(d.counters, cut.chunks, &shared.flag))
		return;
	merge_sums(d.part, cut.chunks, static_cast<unsigned>(x.c), static_cast<unsigned>(block_channel<V>()),
		block_channels<V>(x.c), norm, shared.fold, shared.plain, shared.products, d.sg, d.sgx);
}

template <typename T, int V> __global__ void SD_BOUNDS(V) sums_chunk(SD_MEMBERS(SumsChunk) group)
{
	__shared__ SumsShared<V> shared;
	SD_MEMBER(group, d);

	chunk_sums<T, V>(d, shared);
}

/* The same of a gradient that is a sum. */
struct SumOfParts {
	SumParts sum;
	SumsChunk of;
};
template <typename T, int V> __global__ void SD_BOUNDS(V) sum_and_sums(SD_MEMBERS(SumOfParts) group)
{
	__shared__ SumsShared<V> shared;
	SD_MEMBER(group, d);
	unsigned first = blockIdx.x * d.of.cut.per, left = d.of.cut.count - first;

	add_parts<T, V>(d.sum, first, first + (left < d.of.cut.per ? left : d.of.cut.per), shared.a, shared.b);
	chunk_sums<T, V>(d.of, shared);
}

template <typename T, int V> void sums_launch(sd_cu_run *r, const SumsChunk &d, const Tile &t)
{
	SD_GROUP(r, (sums_chunk<T, V>), dim3(d.cut.chunks, t.tiles), t.block(), d);
}

template <typename T>
void norm_bwd_sums(sd_cu_run *r, const sd_cu_img *g, const float *rows, const sd_cu_img *y, const sd_cu_img *x,
	const sd_cu_norm *norm, const sd_cu_norm *mask, float *sg, float *sgx)
{
	const sd_cu_img *img[] = { x, g, y };
	int v = pack_width(img, rows ? 3 : 2), c = x->c;
	Tile t = make_tile(c, v);
	Cut cut = make_cut(pixels_of(*x), t);
	float *part = static_cast<float *>(sd_cu_take(r, sizeof(float) * cut.chunks * 2 *
		static_cast<size_t>(c)));
	sd_cu_norm none = {};

	SumsChunk d = { *g, *x, rows, rows ? y->p : nullptr, rows ? y->ld : 0, *norm, mask ? *mask : none, cut, part, r->counters, sg, sgx };

	SD_BY_PACK(T, v, sums_launch, r, d, t);
}

template <typename T, int V> void sum_and_sums_launch(sd_cu_run *r, const SumOfParts &d, const Tile &t)
{
	SD_GROUP(r, (sum_and_sums<T, V>), dim3(d.of.cut.chunks, t.tiles), t.block(), d);
}
template <typename T>
void add_norm_sums(sd_cu_run *r, SumOfParts &d, const sd_cu_norm_sums *s, const sd_cu_img **img, int images)
{
	int c = s->x.c;
	sd_cu_norm none = {};

	img[images++] = &s->x;
	int v = pack_width(img, images);
	Tile t = make_tile(c, v);
	Cut cut = make_cut(pixels_of(s->x), t);

	float *part = static_cast<float *>(sd_cu_take(r, sizeof(float) * cut.chunks * 2 * static_cast<size_t>(c)));

	d.of = { d.sum.y, s->x, nullptr, nullptr, 0, s->norm, s->masked ? s->norm : none, cut, part, r->counters, s->sg,
		s->sgx };
	SD_BY_PACK(T, v, sum_and_sums_launch, r, d, t);
}

/* The gradient at a norm's input, for batch norms, for the terms of a mixed edge and, with no norm, for a relu, in one
 * kernel so that all of them can go into one launch. */
struct NormBwd {
	sd_cu_norm norm;      /* mean NULL: gx = f g */
	sd_cu_norm mask;      /* of x, where masked */
	sd_cu_back back;
	int masked;           /* g counts only where mask's norm of x is > 0 */
};

struct NormBwdArgs {
	NormBwd k;
	sd_cu_img gi;
	sd_cu_dst gx;
	Walk w;
};
template <typename T, int V> __global__ void SD_BOUNDS(V) norm_bwd_kernel(SD_MEMBERS(NormBwdArgs) group)
{
	alignas(16) __shared__ float part[6][TILE_CHANNELS];
	SD_MEMBER(group, d);
	const NormBwd &k = d.k;
	const sd_cu_img &gi = d.gi, x = back_image(gi, k.back);
	const sd_cu_dst &gx = d.gx;
	const Walk &w = d.w;
	int ch = thread_channel<V>();
	unsigned p = blockIdx.x * w.steps * STEP * blockDim.y + threadIdx.y;
	bool masked = k.masked, reads = k.back.x, summed = k.back.sg;
	float scale[V], c0[V], c1[V], mean[V], ma[V], mb[V];

	for (unsigned i = thread_rank(); i < blockDim.x * V; i += thread_count()) {
		int c = block_channel<V>() + static_cast<int>(i);

		if (c >= gi.c)
			break;
		const BackFactors f = back_factors(k.norm, k.mask, k.back, c, w.pixels);

		part[0][i] = f.scale;
		part[1][i] = f.c0;
		part[2][i] = f.c1;
		part[3][i] = f.mean;
		part[4][i] = f.a;
		part[5][i] = f.b;
	}
	__syncthreads();
	if (ch >= gi.c)
		return;
	load_floats<V>(part[0] + threadIdx.x * V, scale);
	load_floats<V>(part[1] + threadIdx.x * V, c0);
	load_floats<V>(part[2] + threadIdx.x * V, c1);
	load_floats<V>(part[3] + threadIdx.x * V, mean);
	load_floats<V>(part[4] + threadIdx.x * V, ma);
	load_floats<V>(part[5] + threadIdx.x * V, mb);

	for (unsigned step = 0; step < w.steps; step++, p += STEP * blockDim.y) {
		Raw<T, V> rx[STEP], rg[STEP];

		SD_UNROLL
		for (unsigned j = 0; j < STEP; j++)
			if (p + j * blockDim.y < w.pixels) {
				rg[j] = load_raw<T, V>(at<const T>(gi, p + j * blockDim.y, ch));
				if (reads)
					rx[j] = load_raw<T, V>(at<const T>(x, p + j * blockDim.y, ch));
			}
		SD_UNROLL
		for (unsigned j = 0; j < STEP; j++) {
			float v[V], g[V];

			if (p + j * blockDim.y >= w.pixels)
				return;
			unpack(rg[j], g);
			if (reads)
				unpack(rx[j], v);
			SD_UNROLL
			for (int i = 0; i < V; i++) {
				const BackFactors f = { scale[i], c0[i], c1[i], mean[i], ma[i], mb[i] };

				g[i] = f(g[i], v[i], summed, masked);
			}
			store_pack<T, V>(at<T>(gx.y, p + j * blockDim.y, ch), g, gx.acc);
		}
	}
}

template <typename T, int V>
void bwd_x_launch(sd_cu_run *r, const NormBwd &k, const sd_cu_img &g, const sd_cu_dst &gx, const Tile &t, const Walk &w)
{
	SD_GROUP(r, (norm_bwd_kernel<T, V>), dim3(w.blocks, t.tiles), t.block(), (NormBwdArgs{ k, g, gx, w }));
}

template <typename T>
void norm_bwd_x(sd_cu_run *r, const NormBwd &k, const sd_cu_img *g, const sd_cu_dst *gx)
{
	const sd_cu_img x = back_image(*g, k.back), *img[] = { &x, g, &gx->y };
	int v = pack_width(img, 3);
	Tile t = make_tile(g->c, v);
	Walk w = make_walk(pixels_of(*g), t);

	SD_BY_PACK(T, v, bwd_x_launch, r, k, *g, *gx, t, w);
}

struct BnUpdate {
	sd_cu_on on;
	int c;
	float m;
	float *rm, *rv;
	int32_t *nbt;
	const float *mean, *var;
	double unbiased;
};
__global__ void bn_update_kernel(SD_MEMBERS(BnUpdate) group)
{
	SD_MEMBER(group, d);
	int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);

	if (!is_on(d.on))
		return;
	if (i == 0 && d.nbt)
		*d.nbt += 1;
	if (i >= d.c)
		return;
	d.rm[i] = fmaf(d.m, d.mean[i], (1 - d.m) * d.rm[i]);
	d.rv[i] = fmaf(d.m, static_cast<float>(d.var[i] * d.unbiased), (1 - d.m) * d.rv[i]);
}

} /* namespace norm_cu */

void sd_cu_bn_stats(sd_cu_run *r, const sd_cu_src *x, float *mean, float *var)
{
	SD_BY_TYPE(x->x.type, bn_stats, r, x, mean, var);
}

void sd_cu_load(sd_cu_run *r, const sd_cu_src *x, const sd_cu_dst *y)
{
	SD_BY_TYPE(x->x.type, load_from, r, x, y);
}

void sd_cu_relu_bwd(sd_cu_run *r, const sd_cu_src *x, const sd_cu_img *gy, const sd_cu_dst *gx)
{
	NormBwd k = { {}, x->norm, { x->x.p, nullptr, nullptr, nullptr, x->x.ld, 1 }, 1 };

	SD_BY_TYPE(x->x.type, norm_bwd_x, r, k, gy, gx);
}

void sd_cu_norm_bwd_sums(sd_cu_run *r, const sd_cu_img *g, const sd_cu_img *x, const sd_cu_norm *norm,
	const sd_cu_norm *mask, float *sg, float *sgx)
{
	SD_BY_TYPE(x->type, norm_bwd_sums, r, g, nullptr, nullptr, x, norm, mask, sg, sgx);
}

void sd_cu_scale_rows_sums(sd_cu_run *r, const sd_cu_img *g, const float *m, const sd_cu_img *y,
	const sd_cu_norm_sums *s)
{
	SD_BY_TYPE(g->type, norm_bwd_sums, r, g, m, y, &s->x, &s->norm, s->masked ? &s->norm : nullptr, s->sg, s->sgx);
}

int sd_cu_add_norm_sums(sd_cu_run *r, int n, const sd_cu_grad *x, int masked, const sd_cu_src *mask, const sd_cu_img *y,
	const sd_cu_norm_sums *sums)
{
	const sd_cu_img *img[SD_CU_SUM_PARTS + 3];
	SumOfParts d = {};
	int images = 0;

	if (!set_parts(n, x, masked, mask, y, d.sum, img, &images))
		return 0;
	SD_BY_TYPE(y->type, add_norm_sums, r, d, sums, img, images);
	return 1;
}

void sd_cu_norm_bwd_x(sd_cu_run *r, const sd_cu_img *g, const sd_cu_img *x, const sd_cu_norm *norm,
	const sd_cu_norm *mask, const float *sg, const float *sgx, int batch, const sd_cu_dst *gx)
{
	NormBwd k = { *norm, {}, { nullptr, nullptr, batch ? sg : nullptr, batch ? sgx : nullptr, x->ld, 1 },
		mask && mask->mean };

	if (mask)
		k.mask = *mask;
	if (batch || k.masked)
		k.back.x = x->p;
	SD_BY_TYPE(x->type, norm_bwd_x, r, k, g, gx);
}

void sd_cu_grad_load(sd_cu_run *r, const sd_cu_grad *g, const sd_cu_dst *gx)
{
	NormBwd k = { g->g.norm, g->g.norm, g->back, g->g.relu };

	SD_BY_TYPE(g->g.x.type, norm_bwd_x, r, k, &g->g.x, gx);
}

void sd_cu_bn_update(sd_cu_run *r, sd_cu_on on, int c, float *rm, float *rv, int32_t *nbt, const float *mean,
	const float *var, int count, float m)
{
	double unbiased = static_cast<double>(count) / static_cast<double>(count - 1);

	SD_GROUP(r, bn_update_kernel, blocks_for(static_cast<size_t>(c), 128), 128,
		(BnUpdate{ on, c, m, rm, rv, nbt, mean, var, unbiased }));
}

void sd_cu_mix_bwd_x(sd_cu_run *r, const sd_cu_mix_term *t, int k, const float *f, const sd_cu_img *g,
	const float *sg, const float *sgx, int batch, const sd_cu_dst *gx)
{
	sd_cu_grad n = { { *g, {}, t->kind == SD_MIX_NORM_RELU }, { nullptr, f + k, nullptr, nullptr, 0, 1 } };
	size_t row = static_cast<size_t>(k) * static_cast<size_t>(g->c);

	if (t->kind == SD_MIX_NORM || t->kind == SD_MIX_NORM_RELU) {
		n.g.norm = t->norm;
		n.g.norm.gamma = n.g.norm.beta = nullptr;
		if (batch) {
			n.back.sg = sg + row;
			n.back.sgx = sgx + row;
		}
		if (batch || n.g.relu) {
			n.back.x = t->x.p;
			n.back.ld = t->x.ld;
		}
	}
	sd_cu_grad_load(r, &n, gx);
}
