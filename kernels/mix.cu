/* mix.cu: a mixed edge of the supernet as one op (DESIGN.md section 5): out = sum over k of f_k t_k.
 *
 * Forward, a thread keeps the sums of STEP pixels in registers while the terms pass; what a term is (its
 * norm, its relu) lies in shared memory, worked out once a block, and in the argument, which all lanes
 * read alike.  Backward, a block takes its chunk of pixels once for each term: the chunk of g is small
 * enough to stay in the first-level cache, so memory sees g once and each term once, and only one term's
 * sums are in registers.  The chunks' sums are added in double by the last block, which finds
 * <g, t_k> from the channel sums. */
#include "kernels/parts.h"

inline namespace mix_cu {

using namespace sd;

/* ---- forward ---- */

/* A term as a launch carries it: its shape is the edge's. */
struct Term {
	void *p;
	const float *mean, *var; /* of norm terms */
	int ld, kind;
	float eps;

	__device__ sd_cu_img image(const sd_cu_img &like) const
	{
		return { p, like.n, like.c, like.h, like.w, ld, like.type };
	}
	__device__ sd_cu_norm norm() const { return { mean, var, nullptr, nullptr, eps }; }
};
/* N: how many there is room for, FEW where that is enough, so that more edges fit into a launch. */
enum { FEW = SD_CU_SUM_TERMS };
template <int N> struct Terms {
	int nterm;
	Term t[N];
};
template <int N> struct MixArgs {
	Terms<N> m;
	const float *f;
	sd_cu_dst dst;
	Walk w;
};
template <typename T, int V, int N> __global__ void SD_BOUNDS(V) mix_kernel(SD_MEMBERS(MixArgs<N>) group)
{
	alignas(16) __shared__ float a[N][TILE_CHANNELS];
	alignas(16) __shared__ float b[N][TILE_CHANNELS];
	SD_MEMBER(group, d);
	const Terms<N> &m = d.m;
	const float *f = d.f;
	const sd_cu_dst &dst = d.dst;
	const Walk &w = d.w;
	int ch = thread_channel<V>();
	unsigned p = blockIdx.x * w.steps * STEP * blockDim.y + threadIdx.y;

	for (unsigned i = thread_rank(); i < blockDim.x * V; i += thread_count()) {
		int c = block_channel<V>() + static_cast<int>(i);

		for (int k = 0; k < m.nterm && c < dst.y.c; k++)
			norm_factors(m.t[k].norm(), c, a[k][i], b[k][i]);
	}
	__syncthreads();
	if (ch >= dst.y.c)
		return;

	for (unsigned step = 0; step < w.steps; step++, p += STEP * blockDim.y) {
		float s[STEP][V];

		SD_UNROLL
		for (unsigned j = 0; j < STEP; j++)
			SD_UNROLL
			for (int i = 0; i < V; i++)
				s[j][i] = 0;
		SD_ROLLED
		for (int k = 0; k < m.nterm; k++) {
			const Term &t = m.t[k];
			const sd_cu_img x = t.image(dst.y);
			Raw<T, V> raw[STEP];
			float fk;

			if (t.kind == SD_MIX_NONE)
				continue;
			SD_UNROLL
			for (unsigned j = 0; j < STEP; j++)
				if (p + j * blockDim.y < w.pixels)
					raw[j] = load_raw<T, V>(at<const T>(x, p + j * blockDim.y, ch));
			fk = f[k];
			const Load<V> load = load_from_shared<V>(a[k], b[k], t.kind == SD_MIX_NORM_RELU);

			SD_UNROLL
			for (unsigned j = 0; j < STEP; j++)
				if (p + j * blockDim.y < w.pixels) {
					float v[V];

					unpack(raw[j], v);
					load(v);
					SD_UNROLL
					for (int i = 0; i < V; i++)
						s[j][i] = fmaf(fk, v[i], s[j][i]);
				}
		}
		SD_UNROLL
		for (unsigned j = 0; j < STEP; j++)
			if (p + j * blockDim.y < w.pixels)
				store_pack<T, V>(at<T>(dst.y, p + j * blockDim.y, ch), s[j], dst.acc);
	}
}

/* The pack of an edge's images, `first` among them. */
int mix_pack(const struct sd_cu_mix &m, const sd_cu_img *first)
{
	const sd_cu_img *img[SD_MIX_TERMS + 1] = { first };
	int n = 1;

	for (int k = 0; k < m.nterm; k++)
		if (m.t[k].kind != SD_MIX_NONE)
			img[n++] = &m.t[k].x;
	return pack_width(img, n);
}

template <int N> Terms<N> terms(const struct sd_cu_mix &m)
{
	Terms<N> t = { m.nterm, {} };

	for (int k = 0; k < m.nterm; k++) {
		const sd_cu_mix_term &from = m.t[k];
		bool norm = from.kind == SD_MIX_NORM || from.kind == SD_MIX_NORM_RELU;

		t.t[k] = { from.x.p, norm ? from.norm.mean : nullptr, norm ? from.norm.var : nullptr, from.x.ld,
			from.kind, from.norm.eps };
	}
	return t;
}

template <typename T, int V> void mix_launch(sd_cu_run *r, const struct sd_cu_mix &m, const float *f, const sd_cu_dst &y)
{
	Tile t = make_tile(y.y.c, V);
	Walk w = make_walk(pixels_of(y.y), t);
	dim3 grid(w.blocks, t.tiles);

	if (m.nterm <= FEW)
		SD_GROUP(r, (mix_kernel<T, V, FEW>), grid, t.block(), (MixArgs<FEW>{ terms<FEW>(m), f, y, w }));
	else
		SD_GROUP(r, (mix_kernel<T, V, SD_MIX_TERMS>), grid, t.block(),
			(MixArgs<SD_MIX_TERMS>{ terms<SD_MIX_TERMS>(m), f, y, w }));
}

template <typename T> void mix(sd_cu_run *r, const struct sd_cu_mix *m, const float *f, const sd_cu_dst *y)
{
	int v = mix_pack(*m, &y->y);

	SD_BY_PACK(T, v, mix_launch, r, *m, f, *y);
}

/* ---- backward sums ---- */

/* One term, or with kind NONE the plain sum of g: s its sums of g and of g times (x - mean). */
template <typename T, int V>
__device__ inline void term_sums(const sd_cu_img &gi, const sd_cu_img &x, int kind, const Load<V> &load,
	const float mean[V], unsigned p, unsigned end, int ch, float s[2 * V])
{
	bool masked = kind == SD_MIX_NORM_RELU, read = kind != SD_MIX_NONE;

	for (; p < end; p += STEP * blockDim.y) {
		Raw<T, V> rx[STEP], rg[STEP];

		SD_UNROLL
		for (unsigned j = 0; j < STEP; j++)
			if (p + j * blockDim.y < end) {
				rg[j] = load_raw<T, V>(at<const T>(gi, p + j * blockDim.y, ch));
				if (read)
					rx[j] = load_raw<T, V>(at<const T>(x, p + j * blockDim.y, ch));
			}
		SD_UNROLL
		for (unsigned j = 0; j < STEP; j++) {
			float v[V], g[V];

			if (p + j * blockDim.y >= end)
				break;
			unpack(rg[j], g);
			if (read)
				unpack(rx[j], v);
			SD_UNROLL
			for (int i = 0; i < V; i++) {
				if (masked && !(fmaf(load.a[i], v[i], load.b[i]) > 0.0f))
					g[i] = 0;
				s[i] += g[i];
				if (read)
					s[V + i] = fmaf(g[i], v[i] - mean[i], s[V + i]);
			}
		}
	}
}

/* part (chunks, 2 nterm + 1, C): for each term the sums of (masked) g and of g (x - mean), only what is
 * used of them, and last the sum of g. */
template <int N> struct MixSums {
	Terms<N> m;
	sd_cu_img gi;
	int plain;
	Cut cut;
	float *part;
	unsigned *counters;
	float *s, *sg, *sgx;
};
template <int V> struct MixShared {
	float sums[Threads<V>::most * V * 2];
	double fold[FOLD * TILE_CHANNELS];
	double plain[TILE_CHANNELS], added[TILE_CHANNELS]; /* sums of g, and of what several slots have */
	unsigned flag, used;
	unsigned char slot[2 * SD_MIX_TERMS];
};

/* A warp's work: channels [first, first + n) of what slot has, whose sums over the chunks are `sums`. */
template <int N> __device__ inline void finish_slot(const MixSums<N> &d, unsigned slot, unsigned first, unsigned n,
	const double *plain, const double *sums)
{
	unsigned k = slot / 2, c = static_cast<unsigned>(d.gi.c), lane = thread_rank() % 32;
	const Term &t = d.m.t[k];
	double all = 0;

	for (unsigned i = lane; i < n; i += 32) {
		size_t to = static_cast<size_t>(k) * c + first + i;
		double q = sums[i];

		if (slot % 2 == 0) {
			d.sg[to] = static_cast<float>(q);
			continue;
		}
		if (t.kind >= SD_MIX_NORM)
			q *= 1.0f / sqrtf(t.var[first + i] + t.eps);
		if (t.kind != SD_MIX_NORM_RELU)
			d.sg[to] = t.kind == SD_MIX_NORM ? static_cast<float>(plain[i]) : 0.0f;
		d.sgx[to] = t.kind >= SD_MIX_NORM ? static_cast<float>(q) : 0.0f;
		all += q;
	}
	all = warp_sum(all);
	if (slot % 2 && lane == 0)
		d.s[k] = static_cast<float>(first ? d.s[k] + all : all);
}

/* For channels [first, first + n): sg, sgx and s of all terms, from the chunks of as many slots at once as there is room
 * for: one block does this while others wait. */
template <int N, int V>
__device__ inline void merge_edge(const MixSums<N> &d, unsigned first, unsigned n, MixShared<V> &shared)
{
	const float *part = d.part;
	const unsigned char *slot = shared.slot;
	unsigned c = static_cast<unsigned>(d.gi.c), slots = static_cast<unsigned>(2 * d.m.nterm + 1), room = TILE_CHANNELS / n;
	unsigned warp = thread_rank() / 32, warps = thread_count() / 32;

	if (thread_rank() == 0) {
		shared.used = 0;
		for (int k = 0; k < d.m.nterm; k++) {
			if (d.m.t[k].kind == SD_MIX_NORM_RELU)
				shared.slot[shared.used++] = static_cast<unsigned char>(2 * k);
			if (d.m.t[k].kind != SD_MIX_NONE)
				shared.slot[shared.used++] = static_cast<unsigned char>(2 * k + 1);
		}
	}
	if (d.plain)
		sum_tile(d.cut.chunks, n, shared.fold, shared.plain, [=](unsigned i, unsigned at) -> double {
			return part[(static_cast<size_t>(i) * slots + slots - 1) * c + first + at];
		});
	else
		__syncthreads();
	for (unsigned i = thread_rank(); i < static_cast<unsigned>(d.m.nterm) * n; i += thread_count()) {
		unsigned k = i / n;

		if (d.m.t[k].kind != SD_MIX_NONE)
			continue;
		d.sg[k * c + first + i % n] = d.sgx[k * c + first + i % n] = 0;
		d.s[k] = 0; /* whoever writes, writes the same */
	}
	for (unsigned at = 0; at < shared.used; at += room) {
		unsigned many = shared.used - at < room ? shared.used - at : room;

		sum_tile(d.cut.chunks, many * n, shared.fold, shared.added, [=](unsigned i, unsigned place) -> double {
			return part[(static_cast<size_t>(i) * slots + slot[at + place / n]) * c + first + place % n];
		});
		for (unsigned k = warp; warp < warps && k < many; k += warps)
			finish_slot<N>(d, slot[at + k], first, n, shared.plain, shared.added + k * n);
	}
	__syncthreads();
}

template <typename T, int V, int N> __device__ inline void edge_sums(const MixSums<N> &d, MixShared<V> &shared)
{
	const Terms<N> &m = d.m;
	const sd_cu_img &gi = d.gi;
	const Cut &cut = d.cut;
	int plain = d.plain;
	int ch = thread_channel<V>();
	bool in = ch < gi.c;
	unsigned first = blockIdx.x * cut.per, left = cut.count - first;
	unsigned end = first + (left < cut.per ? left : cut.per);
	float *to = d.part + static_cast<size_t>(blockIdx.x) * static_cast<unsigned>(2 * m.nterm + 1) *
		static_cast<unsigned>(gi.c) + ch;

	SD_ROLLED
	for (int k = 0; k < m.nterm + plain; k++) {
		int kind = k < m.nterm ? m.t[k].kind : SD_MIX_NONE;
		Load<V> load;
		float mean[V], s[2 * V];

		if (k < m.nterm && kind == SD_MIX_NONE)
			continue;
		SD_UNROLL
		for (int i = 0; i < V; i++) {
			mean[i] = load.a[i] = load.b[i] = 0;
			s[i] = s[V + i] = 0;
			if (kind >= SD_MIX_NORM && in) {
				norm_factors(m.t[k].norm(), ch + i, load.a[i], load.b[i]);
				mean[i] = m.t[k].mean[ch + i];
			}
		}
		if (in)
			term_sums<T, V>(gi, m.t[k < m.nterm ? k : 0].image(gi), kind, load, mean, first + threadIdx.y,
				end, ch, s);
		sum_rows<2 * V>(s, shared.sums);
		if (threadIdx.y == 0 && in) {
			SD_UNROLL
			for (int i = 0; i < V; i++) {
				if (kind == SD_MIX_NORM_RELU || k == m.nterm)
					to[2 * k * gi.c + i] = s[i];
				if (k < m.nterm)
					to[(2 * k + 1) * gi.c + i] = s[V + i];
			}
		}
	}
	unsigned c = static_cast<unsigned>(gi.c), tiles = (c + blockDim.x * V - 1) / (blockDim.x * V);

	if (!is_last_of(d.counters + blockIdx.z, cut.chunks * tiles, &shared.flag))
		return;
	for (unsigned c0 = 0; c0 < c; c0 += TILE_CHANNELS)
		merge_edge<N, V>(d, c0, c - c0 < TILE_CHANNELS ? c - c0 : TILE_CHANNELS * 1u, shared);
}

template <typename T, int V, int N> __global__ void SD_BOUNDS(V) mix_sums_chunk(SD_MEMBERS(MixSums<N>) group)
{
	__shared__ MixShared<V> shared;
	SD_MEMBER(group, d);

	edge_sums<T, V, N>(d, shared);
}

/* The same of a gradient that is a sum, and of all edges that it is of. */
struct SumOfEdges {
	SumParts sum;
	int edges;
	MixSums<FEW> of[SD_CU_SUM_EDGES];
};
template <typename T, int V> __global__ void SD_BOUNDS(V) sum_and_mix_sums(SD_MEMBERS(SumOfEdges) group)
{
	__shared__ MixShared<V> shared;
	alignas(16) __shared__ float a[TILE_CHANNELS];
	alignas(16) __shared__ float b[TILE_CHANNELS];
	SD_MEMBER(group, d);
	const Cut &cut = d.of[0].cut;
	unsigned first = blockIdx.x * cut.per, left = cut.count - first, edges = static_cast<unsigned>(d.edges);

	add_parts<T, V>(d.sum, first, first + (left < cut.per ? left : cut.per), a, b);
	/* not all blocks in one order: the last at each edge, which puts its chunks together, are then not all one block */
	for (unsigned i = 0; i < edges; i++) {
		edge_sums<T, V, FEW>(d.of[(i + blockIdx.x) % edges], shared);
		__syncthreads();
	}
}

template <typename T, int V, int N> void mix_sums_launch(sd_cu_run *r, const MixSums<N> &d)
{
	Tile t = make_tile(d.gi.c, V);

	SD_GROUP(r, (mix_sums_chunk<T, V, N>), dim3(d.cut.chunks, t.tiles), t.block(), d);
}
template <int N> MixSums<N> mix_sums(sd_cu_run *r, const struct sd_cu_mix &m, const sd_cu_img &g, int v, float *s,
	float *sg, float *sgx)
{
	/* as many chunks as one block is to put together */
	Cut cut = make_cut(pixels_of(g), make_tile(g.c, v), 2 * STEP, 256);
	float *part = static_cast<float *>(sd_cu_take(r, sizeof(float) * cut.chunks *
		static_cast<size_t>(2 * m.nterm + 1) * static_cast<size_t>(g.c)));
	int plain = 0;

	for (int k = 0; k < m.nterm; k++)
		plain |= m.t[k].kind == SD_MIX_NORM;
	return { terms<N>(m), g, plain, cut, part, r->counters, s, sg, sgx };
}
template <typename T, int V>
void mix_sums_sized(sd_cu_run *r, const struct sd_cu_mix &m, const sd_cu_img &g, float *s, float *sg, float *sgx)
{
	if (m.nterm <= FEW)
		mix_sums_launch<T, V, FEW>(r, mix_sums<FEW>(r, m, g, V, s, sg, sgx));
	else
		mix_sums_launch<T, V, SD_MIX_TERMS>(r, mix_sums<SD_MIX_TERMS>(r, m, g, V, s, sg, sgx));
}

template <typename T>
void mix_bwd_sums(sd_cu_run *r, const struct sd_cu_mix *m, const sd_cu_img *g, float *s, float *sg, float *sgx)
{
	int v = mix_pack(*m, g);

	SD_BY_PACK(T, v, mix_sums_sized, r, *m, *g, s, sg, sgx);
}

template <typename T, int V> void sum_and_mix_launch(sd_cu_run *r, const SumOfEdges &d, const Tile &t)
{
	SD_GROUP(r, (sum_and_mix_sums<T, V>), dim3(d.of[0].cut.chunks, t.tiles), t.block(), d);
}
template <typename T>
void add_mix_sums(sd_cu_run *r, SumOfEdges &d, const sd_cu_img *y, const struct sd_cu_mix_sums *sums, int v)
{
	for (int i = 0; i < d.edges; i++) {
		const struct sd_cu_mix_sums &e = sums[i];

		d.of[i] = mix_sums<FEW>(r, e.m, *y, v, e.s, e.sg, e.sgx);
		if (r->counters) /* each has its own last block */
			d.of[i].counters += i * (SD_CU_COUNTERS / SD_CU_SUM_EDGES);
	}
	SD_BY_PACK(T, v, sum_and_mix_launch, r, d, make_tile(y->c, v));
}

} /* namespace mix_cu */

void sd_cu_mix(sd_cu_run *r, const struct sd_cu_mix *m, const float *f, const sd_cu_dst *y)
{
	SD_BY_TYPE(y->y.type, mix, r, m, f, y);
}

void sd_cu_mix_bwd_sums(sd_cu_run *r, const struct sd_cu_mix *m, const sd_cu_img *g, float *s, float *sg,
	float *sgx)
{
	SD_BY_TYPE(g->type, mix_bwd_sums, r, m, g, s, sg, sgx);
}

int sd_cu_add_mix_sums(sd_cu_run *r, int n, const sd_cu_grad *x, int masked, const sd_cu_src *mask, const sd_cu_img *y,
	int edges, const struct sd_cu_mix_sums *sums)
{
	const sd_cu_img *img[SD_CU_SUM_PARTS + 2 + SD_CU_SUM_EDGES * FEW];
	SumOfEdges d = {};
	int images = 0;

	if (!set_parts(n, x, masked, mask, y, d.sum, img, &images))
		return 0;
	for (int i = 0; i < edges; i++)
		for (int k = 0; k < sums[i].m.nterm; k++)
			if (sums[i].m.t[k].kind != SD_MIX_NONE)
				img[images++] = &sums[i].m.t[k].x;
	d.edges = edges;
	SD_BY_TYPE(y->type, add_mix_sums, r, d, y, sums, sd::pack_width(img, images));
	return 1;
}
