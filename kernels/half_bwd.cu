/* half_bwd.cu: half a separable convolution backward: the gradient in its middle, the product of the result's gradient
 * and the pointwise matrix, and of that the depthwise convolution's data gradient, in one kernel.
 *
 * A block makes whole rows of gx, for LANES channels.  It multiplies (product.h) for all pixels of the middle that
 * these rows read, which lie one after another in memory, and keeps what comes out in shared memory; to memory it goes
 * only where weights want it, each row from one block.  Rows that several blocks read they multiply again, and blocks
 * of other channels load the result's gradient again: those of the same rows stand side by side in the grid, so that
 * it comes from the second-level cache.  Then the convolution goes by runs, as in dwconv.cu, or gathers where it has a
 * stride.
 *
 * What does not fit into shared memory, and other windows, take two kernels.  Bits are the same: those of pointwise.cu
 * and dwconv.cu one after the other, the gradient in the middle being rounded as it would be stored. */
#include "kernels/dwconv.h"
#include "kernels/product.h"

#include <algorithm>

inline namespace half_bwd_cu {

using namespace sd;

enum {
	LANES = 16, MIDDLE = 512, /* channels and pixels of the middle in a block */
	RESULTS = 256,            /* pixels of gx, at most */
	STRIPS = MIDDLE / ROWS, MOST_TAPS = 25, MOST_TILES = SD_CU_POINTWISE_FP32 / LANES,
	BYTE = 1 << 8, WORD = 1 << 16, /* what does not fit into them */
};

/* What a block works with. */
struct HalfBwd {
	From gy;
	Product p;             /* y: the middle; without memory where it isn't wanted */
	const float *w;        /* of the depthwise convolution */
	struct sd_window win;
	int k, apart;          /* the unrolled size; 0: there is a stride */
	unsigned runs;         /* in a row of gx */
	unsigned rows, parts;  /* of gx in a block, and blocks of a sample; of whole samples: rows of all, and 1 */
	unsigned blocks;       /* for each of `tiles` times LANES channels */
	unsigned tiles;
	sd_cu_dst gx;
	/* with part the sums of a norm's gradient are taken of gx */
	sd_cu_norm norm;
	int masked;
	const void *at;        /* its operand, of gx's shape */
	int ld_at;
	float *part;           /* (blocks, 2, C) */
	unsigned *counters;
	float *sg, *sgx;
};

/* The same as a launch carries it: so small that the halves of all edges which leave two states go into one. */
struct Packed {
	struct Factors {
		const float *mean, *var, *gamma, *beta;
	} gy, of; /* the norm that gy is taken back through, and that of the sums */
	const float *f, *sg, *sgx, *pw, *dw;
	const void *from, *x, *at;
	void *mid, *gx;
	float *part, *to_sg, *to_sgx;
	unsigned *counters;
	int ld_from, ld_x, ld_mid, ld_gx, ld_at, n;
	float gy_eps, of_eps;
	unsigned blocks;
	unsigned short o, c, h, w, h_mid, w_mid, runs, rows, parts, tiles;
	unsigned char kh, kw, sh, sw, ph, pad_w, dh, dil_w, k, apart, on, relu, masked, acc;
};
#if !defined(CUDART_VERSION) || CUDART_VERSION >= 12010
static_assert(Members<Packed>::most >= 32, "4 halves of 4 edges each");
#endif

Packed pack(const HalfBwd &d)
{
	const sd_cu_norm &n = d.gy.src.norm, &m = d.norm;
	const sd_cu_back &b = d.gy.back;
	const struct sd_window &w = d.win;
	Packed p = {};
	auto word = [](auto v) { return static_cast<unsigned short>(v); };
	auto byte = [](auto v) { return static_cast<unsigned char>(v); };

	p.gy = { n.mean, n.var, n.gamma, n.beta }, p.gy_eps = n.eps;
	p.of = { m.mean, m.var, m.gamma, m.beta }, p.of_eps = m.eps;
	p.f = b.f, p.sg = b.sg, p.sgx = b.sgx, p.x = b.x, p.ld_x = b.ld, p.on = byte(b.on);
	p.from = d.gy.src.x.p, p.ld_from = d.gy.src.x.ld, p.relu = byte(d.gy.src.relu), p.o = word(d.p.k);
	p.pw = d.p.w, p.dw = d.w;
	p.mid = d.p.y.y.p, p.ld_mid = d.p.y.y.ld, p.h_mid = word(d.p.y.y.h), p.w_mid = word(d.p.y.y.w);
	p.gx = d.gx.y.p, p.ld_gx = d.gx.y.ld, p.acc = byte(d.gx.acc);
	p.n = d.gx.y.n, p.c = word(d.gx.y.c), p.h = word(d.gx.y.h), p.w = word(d.gx.y.w);
	p.at = d.at, p.ld_at = d.ld_at, p.masked = byte(d.masked);
	p.part = d.part, p.to_sg = d.sg, p.to_sgx = d.sgx, p.counters = d.counters;
	p.kh = byte(w.kh), p.kw = byte(w.kw), p.sh = byte(w.sh), p.sw = byte(w.sw);
	p.ph = byte(w.ph), p.pad_w = byte(w.pw), p.dh = byte(w.dh), p.dil_w = byte(w.dw);
	p.k = byte(d.k), p.apart = byte(d.apart), p.runs = word(d.runs);
	p.rows = word(d.rows), p.parts = word(d.parts), p.blocks = d.blocks, p.tiles = word(d.tiles);
	return p;
}

__device__ inline HalfBwd unpack(const Packed &p)
{
	const sd_cu_type t = SD_CU_F32; /* the kernel's: of images nothing asks for it */
	HalfBwd d;

	d.gy.src = { { const_cast<void *>(p.from), p.n, p.o, p.h_mid, p.w_mid, p.ld_from, t },
		{ p.gy.mean, p.gy.var, p.gy.gamma, p.gy.beta, p.gy_eps }, p.relu };
	d.gy.back = { p.x, p.f, p.sg, p.sgx, p.ld_x, p.on };
	d.gy.odd = -1;
	d.gy.h = d.gy.w = 0;
	d.p = { p.pw, p.o, p.c, 1, static_cast<unsigned>(p.n) * p.h_mid * p.w_mid,
		{ { p.mid, p.n, p.c, p.h_mid, p.w_mid, p.ld_mid, t }, 0 }, nullptr, nullptr, nullptr, nullptr };
	d.w = p.dw;
	d.win = { p.kh, p.kw, p.sh, p.sw, p.ph, p.pad_w, p.dh, p.dil_w };
	d.k = p.k;
	d.apart = p.apart;
	d.runs = p.runs;
	d.rows = p.rows;
	d.parts = p.parts;
	d.blocks = p.blocks;
	d.tiles = p.tiles;
	d.gx = { { p.gx, p.n, p.c, p.h, p.w, p.ld_gx, t }, p.acc };
	d.norm = { p.of.mean, p.of.var, p.of.gamma, p.of.beta, p.of_eps };
	d.masked = p.masked;
	d.at = p.at;
	d.ld_at = p.ld_at;
	d.part = p.part;
	d.counters = p.counters;
	d.sg = p.to_sg;
	d.sgx = p.to_sgx;
	return d;
}

struct Shared {
	alignas(16) float mid[MIDDLE][LANES];
	ProductOperands<LANES> tile;
	Factors<DEPTH> factors;
	alignas(16) float w[MOST_TAPS][LANES];
	alignas(16) float a[LANES]; /* of the mask */
	alignas(16) float b[LANES];
	double plain[LANES], products[LANES];
	unsigned flag;
};

/* Rows of gx that block b has, and those of the middle that they read. */
struct Part {
	Rows of_gx, of_mid;
};
__host__ __device__ inline Part part_of(const HalfBwd &d, unsigned b)
{
	unsigned h = static_cast<unsigned>(d.gx.y.h), all = static_cast<unsigned>(d.gx.y.n) * h;
	unsigned sample = b / d.parts, first = d.parts == 1 ? b * d.rows : sample * h + b % d.parts * d.rows;
	unsigned most = d.parts == 1 ? all : (sample + 1) * h, end = first + d.rows < most ? first + d.rows : most;

	return { { first, end }, rows_of_readers(first, end - 1, d.gx.y.h, d.p.y.y.h, d.win) };
}

/* Whether the block that has rows [first, end) of gx stores this row of the middle: it has the row in its window's
 * middle. */
__device__ inline bool is_own(const HalfBwd &d, const Rows &rows, unsigned row)
{
	unsigned h = static_cast<unsigned>(d.p.y.y.h), of = row / h * static_cast<unsigned>(d.gx.y.h);
	int i = static_cast<int>(row % h) * d.win.sh - d.win.ph + (d.win.kh - 1) * d.win.dh / 2;

	i = i < 0 ? 0 : i < d.gx.y.h ? i : d.gx.y.h - 1;
	return of + static_cast<unsigned>(i) >= rows.first && of + static_cast<unsigned>(i) < rows.end;
}

/* Pixels [first, end) of the middle, channels from c0 on. */
template <typename T, int V>
__device__ inline void make_middle(const HalfBwd &d, const Part &part, int c0, Shared &shared)
{
	typedef ProductTile<LANES> Of;
	unsigned w = static_cast<unsigned>(d.p.y.y.w), first = part.of_mid.first * w, end = part.of_mid.end * w;
	unsigned lane = threadIdx.x / Of::COLS, j = threadIdx.x % Of::COLS * 4;
	int c = c0 + static_cast<int>(j);
	float s[STRIPS][Of::EACH][4];

	SD_UNROLL
	for (int i = 0; i < STRIPS; i++)
		clear<LANES>(s[i]);
	for (int k0 = 0; k0 < d.p.k; k0 += DEPTH) {
		__syncthreads();
		if (threadIdx.x < DEPTH && k0 + static_cast<int>(threadIdx.x) < d.p.k)
			shared.factors.set(d.gy, k0 + static_cast<int>(threadIdx.x), threadIdx.x, d.p.pixels);
		matrix_to_shared<LANES>(d.p, k0, c0, shared.tile);
		SD_UNROLL
		for (int i = 0; i < STRIPS; i++) {
			if (first + i * ROWS >= end)
				break;
			__syncthreads();
			rows_to_shared<T, V, ROWS>(d.gy, first + i * ROWS, end, k0, shared.factors, 0, shared.tile.x);
			__syncthreads();
			multiply<LANES>(d.p, k0, shared.tile, s[i]);
		}
	}
	SD_UNROLL
	for (int i = 0; i < STRIPS; i++)
		SD_UNROLL
		for (int r = 0; r < Of::EACH; r++) {
			unsigned at_mid = i * ROWS + lane + static_cast<unsigned>(r) * Of::LANES, p = first + at_mid;

			if (p >= end)
				continue;
			SD_UNROLL
			for (int q = 0; q < 4; q++)
				shared.mid[at_mid][j + static_cast<unsigned>(q)] = to_float(from_float<T>(s[i][r][q]));
			if (!d.p.y.y.p || !is_own(d, part.of_gx, p / w))
				continue;
			for (int q = 0; q < 4 && c + q < d.p.y.y.c; q += V)
				store_pack<T, V>(at<T>(d.p.y.y, p, c + q), s[i][r] + q, 0);
		}
	__syncthreads();
}

/* A pack of gx, and what it adds to the sums t of g and of g (x - mean). */
template <typename T, int V>
__device__ inline void give(const HalfBwd &d, unsigned p, int ch, unsigned c, const Shared &shared, const float s[4],
	float t[2][4])
{
	SD_UNROLL
	for (int q = 0; q < 4; q += V) {
		float x[V];

		if (ch + q >= d.gx.y.c)
			return;
		store_pack<T, V>(at<T>(d.gx.y, p, ch + q), s + q, d.gx.acc);
		if (!d.part)
			continue;
		load_pack<T, V>(static_cast<const T *>(d.at) + static_cast<size_t>(p) * static_cast<unsigned>(d.ld_at) + ch + q, x);
		SD_UNROLL
		for (int i = 0; i < V; i++) {
			unsigned l = c + static_cast<unsigned>(q + i);
			float g = to_float(from_float<T>(s[q + i]));

			if (d.masked && !(fmaf(shared.a[l], x[i], shared.b[l]) > 0.0f))
				g = 0;
			t[0][q + i] += g;
			t[1][q + i] = fmaf(g, x[i] - d.norm.mean[ch + q + i], t[1][q + i]);
		}
	}
}

/* K x K of stride 1, by runs: w has the kernel turned round. */
template <typename T, int V, int K>
__device__ inline void convolve(const HalfBwd &d, const Part &part, int c0, const Shared &shared, float t[2][4])
{
	const sd_cu_img &mid = d.p.y.y, &gx = d.gx.y;
	unsigned runs = d.runs, rows = part.of_gx.end - part.of_gx.first;

	for (unsigned item = threadIdx.x; item < rows * runs * (LANES / 4); item += BLOCK) {
		unsigned c = item % (LANES / 4) * 4, row = part.of_gx.first + item / (LANES / 4) / runs;
		const Place o = place(item / (LANES / 4) % runs, runs, RUN, d.apart, 1);
		unsigned h = static_cast<unsigned>(gx.h), n = row / h;
		int i0 = static_cast<int>(row % h) - d.win.dh * (K - 1) + d.win.ph, j0 = o.ox - d.win.dw * (K - 1) + d.win.pw;
		float s[RUN][4];

		SD_UNROLL
		for (int r = 0; r < RUN; r++)
			SD_UNROLL
			for (int i = 0; i < 4; i++)
				s[r][i] = 0;
		SD_ROLLED
		for (int ky = 0; ky < K; ky++) {
			int i = i0 + ky * d.win.dh;
			float w[K][4];

			if (!inside(i, mid.h))
				continue;
			const float(*from)[LANES] = shared.mid + (n * static_cast<unsigned>(mid.h) + static_cast<unsigned>(i) -
				part.of_mid.first) * static_cast<unsigned>(mid.w);

			SD_UNROLL
			for (int kx = 0; kx < K; kx++)
				load_floats<4>(&shared.w[ky * K + kx][c], w[kx]);
			SD_UNROLL
			for (int q = 0; q < RUN - 1 + K; q++) {
				int col = j0 + q * d.win.dw;
				float v[4];

				if (!inside(col, mid.w))
					continue;
				load_floats<4>(&from[col][c], v);
				SD_UNROLL
				for (int r = 0; r < RUN; r++) {
					if (q < r || q - r >= K)
						continue;
					SD_UNROLL
					for (int l = 0; l < 4; l++)
						s[r][l] = fmaf(w[q - r][l], v[l], s[r][l]);
				}
			}
		}
		SD_UNROLL
		for (int r = 0; r < RUN; r++)
			if (o.ox + r * d.apart < gx.w)
				give<T, V>(d, row * static_cast<unsigned>(gx.w) + static_cast<unsigned>(o.ox + r * d.apart),
					c0 + static_cast<int>(c), c, shared, s[r], t);
	}
}

/* Each pixel of gx gathers what read it. */
template <typename T, int V>
__device__ inline void gather(const HalfBwd &d, const Part &part, int c0, const Shared &shared, float t[2][4])
{
	const sd_cu_img &mid = d.p.y.y, &gx = d.gx.y;
	unsigned w = static_cast<unsigned>(gx.w), pixels = (part.of_gx.end - part.of_gx.first) * w;

	for (unsigned item = threadIdx.x; item < pixels * (LANES / 4); item += BLOCK) {
		unsigned c = item % (LANES / 4) * 4, p = part.of_gx.first * w + item / (LANES / 4);
		const Spot me = spot(gx, p);
		float s[4] = { 0, 0, 0, 0 };

		for (int ky = 0; ky < d.win.kh; ky++) {
			int oy = reader(me.i + d.win.ph, ky * d.win.dh, d.win.sh, mid.h);

			if (oy < 0)
				continue;
			for (int kx = 0; kx < d.win.kw; kx++) {
				int ox = reader(me.j + d.win.pw, kx * d.win.dw, d.win.sw, mid.w);
				float v[4], k[4];

				if (ox < 0)
					continue;
				load_floats<4>(shared.mid[pixel(mid, me.n, oy, ox) - part.of_mid.first * static_cast<unsigned>(mid.w)] + c,
					v);
				load_floats<4>(&shared.w[ky * d.win.kw + kx][c], k);
				SD_UNROLL
				for (int i = 0; i < 4; i++)
					s[i] = fmaf(k[i], v[i], s[i]);
			}
		}
		give<T, V>(d, p, c0 + static_cast<int>(c), c, shared, s, t);
	}
}

/* The block's sums of t to memory, and those of all blocks by the last. */
__device__ inline void take_sums(const HalfBwd &d, unsigned b, int c0, Shared &shared, float t[2][4])
{
	enum { SUMS = 2 * LANES, WAYS = BLOCK / SUMS, EACH = BLOCK * 4 / LANES / WAYS };
	float *from = &shared.mid[0][0]; /* (threads that share channels, 2, LANES) */
	float *added = from + BLOCK * 8; /* (WAYS, 2, LANES) */
	unsigned lane = threadIdx.x % SUMS, way = threadIdx.x / SUMS, c = static_cast<unsigned>(d.gx.y.c);
	unsigned left = c - static_cast<unsigned>(c0), n = left < LANES ? left : LANES * 1u;
	float sum = 0;

	__syncthreads();
	SD_UNROLL
	for (unsigned i = 0; i < 4; i++)
		SD_UNROLL
		for (unsigned what = 0; what < 2; what++)
			from[threadIdx.x / (LANES / 4) * SUMS + what * LANES + threadIdx.x % (LANES / 4) * 4 + i] = t[what][i];
	__syncthreads();
	for (unsigned i = 0; i < EACH; i++)
		sum += from[(way * EACH + i) * SUMS + lane];
	added[way * SUMS + lane] = sum;
	__syncthreads();
	if (threadIdx.x < SUMS && lane % LANES < n) {
		sum = added[lane];
		for (unsigned i = 1; i < WAYS; i++)
			sum += added[i * SUMS + lane];
		d.part[(static_cast<size_t>(b) * 2 + lane / LANES) * c + static_cast<unsigned>(c0) + lane % LANES] = sum;
	}
	if (is_last_of(d.counters + blockIdx.z * MOST_TILES + static_cast<unsigned>(c0) / LANES, d.blocks, &shared.flag))
		merge_sums(d.part, d.blocks, c, static_cast<unsigned>(c0), n, d.norm, reinterpret_cast<double *>(from), shared.plain,
			shared.products, d.sg, d.sgx);
}

template <typename T, int V>
__global__ void __launch_bounds__(BLOCK, V > 1 ? 2 : 1) half_bwd_kernel(SD_MEMBERS(Packed) group)
{
	__shared__ Shared shared;
	SD_MEMBER(group, packed);
	const HalfBwd d = unpack(packed);
	unsigned b = blockIdx.x / d.tiles;
	int c0 = static_cast<int>(blockIdx.x % d.tiles) * LANES, taps = d.win.kh * d.win.kw;
	const Part part = part_of(d, b);
	float t[2][4];

	for (int i = static_cast<int>(threadIdx.x); i < taps * LANES; i += BLOCK) {
		int l = i / taps, tap = i % taps;

		shared.w[d.k ? taps - 1 - tap : tap][l] = c0 + l < d.gx.y.c ? d.w[(c0 + l) * taps + tap] : 0.0f;
	}
	if (d.part && threadIdx.x < LANES && c0 + static_cast<int>(threadIdx.x) < d.gx.y.c)
		norm_factors(d.norm, c0 + static_cast<int>(threadIdx.x), shared.a[threadIdx.x], shared.b[threadIdx.x]);
	make_middle<T, V>(d, part, c0, shared);
	SD_UNROLL
	for (int i = 0; i < 4; i++)
		t[0][i] = t[1][i] = 0;
	switch (d.k) {
	case 3: convolve<T, V, 3>(d, part, c0, shared, t); break;
	case 5: convolve<T, V, 5>(d, part, c0, shared, t); break;
	default: gather<T, V>(d, part, c0, shared, t); break;
	}
	if (d.part)
		take_sums(d, b, c0, shared, t);
}

/* ---- launching ---- */

/* Whether every block's part of the middle fits; sets how many blocks there are. */
bool fits(HalfBwd &d)
{
	d.blocks = d.parts == 1 ? blocks_for(rows_of(d.gx.y), d.rows) : static_cast<unsigned>(d.gx.y.n) * d.parts;
	for (unsigned b = 0; b < std::max(d.parts, d.blocks < 2 ? d.blocks : 2); b++) {
		const Part p = part_of(d, b);

		if ((p.of_gx.end - p.of_gx.first) * static_cast<unsigned>(d.gx.y.w) > RESULTS ||
				(p.of_mid.end - p.of_mid.first) * static_cast<unsigned>(d.p.y.y.w) > MIDDLE)
			return false;
	}
	return true;
}

/* Finds rows for a block: as many as fit of whole samples, or the fewest parts of one. */
bool find_rows(HalfBwd &d)
{
	unsigned h = static_cast<unsigned>(d.gx.y.h), samples = RESULTS / (h * static_cast<unsigned>(d.gx.y.w));

	d.parts = 1;
	for (samples = std::min(samples, static_cast<unsigned>(d.gx.y.n)); samples; samples--) {
		d.rows = samples * h;
		if (fits(d))
			return true;
	}
	for (unsigned parts = 2; parts <= h; parts++) {
		d.rows = (h + parts - 1) / parts;
		d.parts = (h + d.rows - 1) / d.rows;
		if (fits(d))
			return true;
	}
	return false;
}

/* Whether one kernel can do it. */
bool choose_path(HalfBwd &d)
{
	bool straight = d.win.sh == 1 && d.win.sw == 1;
	Path p = choose(d.win);

	if (straight && (p.k == 3 || p.k == 5)) {
		d.k = p.k;
		d.apart = p.apart;
		d.runs = runs_of(d.gx.y.w, RUN, p.apart);
	}
	return (d.k || !straight) && d.win.kh * d.win.kw <= MOST_TAPS && d.win.ph <= (d.win.kh - 1) * d.win.dh &&
		d.win.ph < BYTE && d.win.pw < BYTE && d.win.sh < BYTE && d.win.sw < BYTE && d.win.dh < BYTE && d.win.dw < BYTE &&
		d.gx.y.h < WORD && d.gx.y.w < WORD && d.p.y.y.h < WORD && d.p.y.y.w < WORD && d.p.k < WORD &&
		d.tiles <= MOST_TILES && find_rows(d);
}

template <typename T, int V> void launch(sd_cu_run *r, const HalfBwd &d)
{
	SD_GROUP(r, (half_bwd_kernel<T, V>), d.blocks * d.tiles, BLOCK, pack(d));
}
template <typename T> void half_bwd(sd_cu_run *r, HalfBwd &d, const sd_cu_img *mid)
{
	sd_cu_img back = back_image(d.gy.src.x, d.gy.back), at = d.gx.y;
	const sd_cu_img *img[] = { &d.gy.src.x, &back, &d.gx.y, &at, mid };

	if (d.at) {
		at.p = const_cast<void *>(d.at);
		at.ld = d.ld_at;
	}
	if (pack_width(img, mid->p ? 5 : 4) >= 4)
		launch<T, 4>(r, d);
	else
		launch<T, 1>(r, d);
}

/* The same by two kernels. */
int by_two(sd_cu_run *r, const sd_cu_grad *gy, const float *pw, const sd_cu_img *mid, const float *dw,
	struct sd_window win, const sd_cu_dst *gx, const sd_cu_norm_sums *sums)
{
	sd_cu_dst to = { *mid, 0 };

	if (!mid->p) {
		to.y.ld = mid->c;
		to.y.p = sd_cu_take(r, static_cast<size_t>(pixels_of(*mid)) * static_cast<size_t>(mid->c) *
			(mid->type == SD_CU_F32 ? 4 : 2));
	}
	sd_cu_pointwise_bwd_x(r, gy, pw, &to);
	return sd_cu_dwconv_bwd_x(r, &to.y, dw, win, gx, sums);
}

} /* namespace half_bwd_cu */

int sd_cu_half_bwd(sd_cu_run *r, const sd_cu_grad *gy, const float *pw, const sd_cu_img *mid, const float *dw,
	struct sd_window win, const sd_cu_dst *gx, const sd_cu_norm_sums *sums)
{
	HalfBwd d = {};
	unsigned c = static_cast<unsigned>(mid->c);
	int done;

	d.gy = from(gy);
	d.p = { pw, gy->g.x.c, mid->c, 1, pixels_of(*mid), { *mid, 0 }, nullptr, nullptr, nullptr, nullptr };
	d.w = dw;
	d.win = win;
	d.gx = *gx;
	d.tiles = (c + LANES - 1) / LANES;
	if (!choose_path(d))
		return by_two(r, gy, pw, mid, dw, win, gx, sums);
	done = sums && !gx->acc && d.blocks <= MOST_CHUNKS;
	if (done) {
		d.norm = sums->norm;
		d.masked = sums->masked;
		d.at = sums->x.p;
		d.ld_at = sums->x.ld;
		d.part = static_cast<float *>(sd_cu_take(r, sizeof(float) * d.blocks * 2 * c));
		d.counters = r->counters;
		d.sg = sums->sg;
		d.sgx = sums->sgx;
	}
	SD_BY_TYPE(gx->y.type, half_bwd, r, d, mid);
	return done;
}
