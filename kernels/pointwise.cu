/* pointwise.cu: 1 x 1 convolutions, and the halves of a factorised reduce, of not too many channels.
 *
 * With 16 to 256 channels a product of an image and a matrix reads and writes more than it multiplies, so these
 * are tiled for memory (product.h): the operand passes through shared memory, with norm and relu on the way.  The
 * matrix stays in float32 for all types of images.
 *
 * The gradient of the matrix is cut into chunks of pixels; a block sums a W by W tile of it over its chunk in
 * the order of the pixels, and a second kernel adds the chunks in double. */
#include "kernels/product.h"

inline namespace pointwise_cu {

using namespace sd;

struct Pointwise {
	From x;
	Product p;
};

/* W: channels of the result in a block; V, U: packs of the operand and of the result. */
template <typename T, int V, int U, int W>
__global__ void __launch_bounds__(BLOCK, 2) pw_kernel(SD_MEMBERS(Pointwise) group)
{
	__shared__ ProductTile<W> tile;
	__shared__ Factors<DEPTH> factors;
	SD_MEMBER(group, d);
	unsigned first = blockIdx.x * ROWS;
	float s[ProductTile<W>::EACH][4];

	clear<W>(s);
	for (int c0 = 0; c0 < d.p.k; c0 += DEPTH) {
		__syncthreads();
		if (threadIdx.x < DEPTH && c0 + static_cast<int>(threadIdx.x) < d.p.k)
			factors.set(d.x, c0 + static_cast<int>(threadIdx.x), threadIdx.x, d.p.pixels);
		matrix_to_shared(d.p, c0, static_cast<int>(blockIdx.y) * W, tile);
		__syncthreads();
		rows_to_shared<T, V, ROWS>(d.x, first, d.p.pixels, c0, factors, 0, tile.x);
		__syncthreads();
		multiply(d.p, c0, tile, s);
	}
	finish<T, U>(d.p, tile, s);
}

struct PointwiseGrad {
	From x, gy;
	Cut cut;
	float *part;        /* (chunks, O, I) */
};
/* The same as a launch carries it: many small ones come together. */
struct PackedGrad {
	struct Factors {
		const float *mean, *var, *gamma, *beta;
	} x, gy;
	const float *f, *sg, *sgx;
	const void *from_x, *from_gy, *at;
	float *part;
	int ld_x, ld_gy, ld_at, n, h_x, w_x, h, w;
	float eps_x, eps_gy;
	unsigned per;
	unsigned short c, o;
	signed char odd;
	unsigned char relu_x, relu_gy, on;
};
PackedGrad pack(const PointwiseGrad &d)
{
	const sd_cu_img &x = d.x.src.x, &gy = d.gy.src.x;
	const sd_cu_norm &nx = d.x.src.norm, &ng = d.gy.src.norm;
	const sd_cu_back &b = d.gy.back;
	PackedGrad p = {};

	p.x = { nx.mean, nx.var, nx.gamma, nx.beta }, p.eps_x = nx.eps;
	p.gy = { ng.mean, ng.var, ng.gamma, ng.beta }, p.eps_gy = ng.eps;
	p.f = b.f, p.sg = b.sg, p.sgx = b.sgx, p.at = b.x, p.ld_at = b.ld, p.on = b.on != 0;
	p.from_x = x.p, p.ld_x = x.ld, p.h_x = x.h, p.w_x = x.w, p.c = static_cast<unsigned short>(x.c);
	p.from_gy = gy.p, p.ld_gy = gy.ld, p.n = gy.n, p.h = gy.h, p.w = gy.w, p.o = static_cast<unsigned short>(gy.c);
	p.odd = static_cast<signed char>(d.x.odd), p.relu_x = d.x.src.relu != 0, p.relu_gy = d.gy.src.relu != 0;
	p.per = d.cut.per, p.part = d.part;
	return p;
}
__device__ inline PointwiseGrad unpack(const PackedGrad &p)
{
	const sd_cu_type t = SD_CU_F32; /* the kernel's: of images nothing asks for it */
	unsigned pixels = static_cast<unsigned>(p.n) * static_cast<unsigned>(p.h) * static_cast<unsigned>(p.w);

	return { { { { const_cast<void *>(p.from_x), p.n, p.c, p.h_x, p.w_x, p.ld_x, t },
			     { p.x.mean, p.x.var, p.x.gamma, p.x.beta, p.eps_x }, p.relu_x }, {}, p.odd, p.h, p.w },
		{ { { const_cast<void *>(p.from_gy), p.n, p.o, p.h, p.w, p.ld_gy, t },
			  { p.gy.mean, p.gy.var, p.gy.gamma, p.gy.beta, p.eps_gy }, p.relu_gy },
			{ p.at, p.f, p.sg, p.sgx, p.ld_at, p.on }, -1, 0, 0 },
		{ pixels, p.per, (pixels + p.per - 1) / p.per }, p.part };
}

/* A tile of the matrix's gradient: W of its rows (channels of gy) by W columns (of x). */
template <typename T, int V, int W>
__global__ void __launch_bounds__(BLOCK, 2) pw_grad(SD_MEMBERS(PackedGrad) group)
{
	/* DEPTH channels are loaded at once, of STRIP pixels; SIDE x SIDE threads, each SPAN x SPAN results */
	enum { STRIP = 16, SIDE = 16, SPAN = W / SIDE };
	__shared__ float x[W][STRIP + 4];
	__shared__ float g[W][STRIP + 4];
	__shared__ Factors<W> of_x;
	__shared__ Factors<W> of_g;
	SD_MEMBER(group, packed);
	const PointwiseGrad d = unpack(packed);
	int tiles = (d.x.src.x.c + W - 1) / W;
	int i0 = static_cast<int>(blockIdx.y) % tiles * W, o0 = static_cast<int>(blockIdx.y) / tiles * W;
	unsigned ti = threadIdx.x % SIDE, to = threadIdx.x / SIDE;
	unsigned first = blockIdx.x * d.cut.per, left = d.cut.count - first;
	unsigned end = first + (left < d.cut.per ? left : d.cut.per);
	float s[SPAN][SPAN];

	for (unsigned i = threadIdx.x; i < W; i += BLOCK) {
		if (i0 + static_cast<int>(i) < d.x.src.x.c)
			of_x.set(d.x, i0 + static_cast<int>(i), i, d.cut.count);
		if (o0 + static_cast<int>(i) < d.gy.src.x.c)
			of_g.set(d.gy, o0 + static_cast<int>(i), i, d.cut.count);
	}
	SD_UNROLL
	for (int o = 0; o < SPAN; o++)
		SD_UNROLL
		for (int i = 0; i < SPAN; i++)
			s[o][i] = 0;
	for (unsigned p = first; p < end; p += STRIP) {
		__syncthreads();
		SD_UNROLL
		for (int c = 0; c < W; c += DEPTH) {
			rows_to_shared<T, V, STRIP>(d.x, p, end, i0 + c, of_x, static_cast<unsigned>(c), x + c);
			rows_to_shared<T, V, STRIP>(d.gy, p, end, o0 + c, of_g, static_cast<unsigned>(c), g + c);
		}
		__syncthreads();
		for (unsigned q = 0; q < STRIP; q++) {
			float v[SPAN];

			SD_UNROLL
			for (int i = 0; i < SPAN; i++)
				v[i] = x[ti + static_cast<unsigned>(i) * SIDE][q];
			SD_UNROLL
			for (int o = 0; o < SPAN; o++) {
				float go = g[to + static_cast<unsigned>(o) * SIDE][q];

				SD_UNROLL
				for (int i = 0; i < SPAN; i++)
					s[o][i] = fmaf(go, v[i], s[o][i]);
			}
		}
	}
	float *part = d.part + static_cast<size_t>(blockIdx.x) * static_cast<unsigned>(d.gy.src.x.c) *
		static_cast<unsigned>(d.x.src.x.c);

	SD_UNROLL
	for (int o = 0; o < SPAN; o++)
		SD_UNROLL
		for (int i = 0; i < SPAN; i++) {
			int row = o0 + static_cast<int>(to) + o * SIDE, col = i0 + static_cast<int>(ti) + i * SIDE;

			if (row < d.gy.src.x.c && col < d.x.src.x.c)
				part[row * d.x.src.x.c + col] = s[o][i];
		}
}

struct GradMerge {
	const float *part;
	unsigned chunks, count;
	float *gw;
};
__global__ void __launch_bounds__(32 * FOLD) pw_grad_merge(SD_MEMBERS(GradMerge) group)
{
	__shared__ double sums[32 * FOLD];
	SD_MEMBER(group, d);
	const float *part = d.part;
	unsigned count = d.count, i = blockIdx.x * 32 + threadIdx.x, use = i < count ? i : count - 1;
	double s = sum_chunks(d.chunks, sums, [=](unsigned k) -> double {
		return part[static_cast<size_t>(k) * count + use];
	});

	if (threadIdx.y == 0 && i < count)
		d.gw[i] = static_cast<float>(s);
}

/* ---- launching ---- */

template <typename T, int V, int U> void launch_pw(sd_cu_run *r, const Pointwise &d)
{
	int w = product_width(d.p.y.y.c);
	dim3 grid(blocks_for(d.p.pixels, ROWS), static_cast<unsigned>((d.p.y.y.c + w - 1) / w));

	switch (w) {
	case 64: SD_GROUP(r, (pw_kernel<T, V, U, 64>), grid, BLOCK, d); break;
	case 32: SD_GROUP(r, (pw_kernel<T, V, U, 32>), grid, BLOCK, d); break;
	default: SD_GROUP(r, (pw_kernel<T, V, U, 16>), grid, BLOCK, d); break;
	}
}
template <typename T> void pw(sd_cu_run *r, const Pointwise &d)
{
	const sd_cu_img at = back_image(d.x.src.x, d.x.back), *x[] = { &d.x.src.x, &at }, *y = &d.p.y.y;

	if (pack_width(x, 2) >= 4 && pack_width(&y, 1) >= 4)
		launch_pw<T, 4, 4>(r, d);
	else
		launch_pw<T, 1, 1>(r, d);
}

template <typename T, int V> void launch_grad(sd_cu_run *r, const PointwiseGrad &d)
{
	int i = d.x.src.x.c, o = d.gy.src.x.c, w = product_width(i > o ? i : o);
	dim3 grid(d.cut.chunks, static_cast<unsigned>((i + w - 1) / w * ((o + w - 1) / w)));

	switch (w) {
	case 64: SD_GROUP(r, (pw_grad<T, V, 64>), grid, BLOCK, pack(d)); break;
	case 32: SD_GROUP(r, (pw_grad<T, V, 32>), grid, BLOCK, pack(d)); break;
	default: SD_GROUP(r, (pw_grad<T, V, 16>), grid, BLOCK, pack(d)); break;
	}
}
template <typename T> void pw_grads(sd_cu_run *r, PointwiseGrad &d, float *gw)
{
	const sd_cu_img at = back_image(d.gy.src.x, d.gy.back), *img[] = { &d.x.src.x, &d.gy.src.x, &at };
	unsigned count = static_cast<unsigned>(d.gy.src.x.c) * static_cast<unsigned>(d.x.src.x.c);

	d.part = static_cast<float *>(sd_cu_take(r, sizeof(float) * d.cut.chunks * count));
	if (pack_width(img, 1) >= 4 && pack_width(img + 1, 2) >= 4)
		launch_grad<T, 4>(r, d);
	else
		launch_grad<T, 1>(r, d);
	SD_GROUP(r, pw_grad_merge, blocks_for(count, 32), dim3(32, FOLD),
		(GradMerge{ d.part, d.cut.chunks, count, gw }));
}

} /* namespace pointwise_cu */

int sd_cu_pointwise(sd_cu_run *r, const sd_cu_src *x, int odd, const float *w, const sd_cu_dst *y, float *mean,
	float *var)
{
	Pointwise d = { from(x, odd, &y->y), { w, x->x.c, 1, x->x.c, pixels_of(y->y), *y, nullptr, nullptr, nullptr,
		nullptr } };
	int stats = want_stats(r, d.p, mean, var);

	SD_BY_TYPE(x->x.type, pw, r, d);
	return stats;
}

void sd_cu_pointwise_bwd_x(sd_cu_run *r, const sd_cu_grad *gy, const float *w, const sd_cu_dst *gx)
{
	Pointwise d = { from(gy), { w, gy->g.x.c, gx->y.c, 1, pixels_of(gx->y), *gx, nullptr, nullptr, nullptr, nullptr } };

	SD_BY_TYPE(gx->y.type, pw, r, d);
}

void sd_cu_pointwise_bwd_w(sd_cu_run *r, const sd_cu_src *x, int odd, const sd_cu_grad *gy, float *gw)
{
	unsigned pixels = pixels_of(gy->g.x), per = 256;

	while ((pixels + per - 1) / per > 256)
		per *= 2;
	PointwiseGrad d = { from(x, odd, &gy->g.x), from(gy), { pixels, per, (pixels + per - 1) / per }, nullptr };

	SD_BY_TYPE(x->x.type, pw_grads, r, d, gw);
}
