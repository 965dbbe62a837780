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

/* An image whose pixels are those of another's rows and columns 2 i + odd (odd < 0: its own), as they are loaded;
 * what lies outside is 0. */
struct From {
	sd_cu_src src;
	sd_cu_back back; /* with on, of a gradient; odd < 0 */
	int odd, h, w;   /* odd >= 0: of the image that is taken */
};

/* By channel: a x + b, or what takes a gradient back.  Shared memory. */
template <int N> struct Factors {
	float a[N], b[N], c0[N], c1[N], mean[N], scale[N];

	/* of channel c, to place i */
	__device__ void set(const From &f, int c, unsigned i, unsigned pixels)
	{
		if (!f.back.on) {
			norm_factors(f.src.norm, c, a[i], b[i]);
			return;
		}
		const BackFactors k = back_factors(f.src.norm, f.src.norm, f.back, c, pixels);

		a[i] = k.a, b[i] = k.b, c0[i] = k.c0, c1[i] = k.c1, mean[i] = k.mean, scale[i] = k.scale;
	}
	/* V channels from place c on; x: of the norm, where there is one */
	template <int V> __device__ void apply(const From &f, unsigned c, const float x[V], float v[V]) const
	{
		float low = f.src.relu ? 0.0f : -INFINITY;

		SD_UNROLL
		for (int k = 0; k < V; k++) {
			if (f.back.on) {
				const BackFactors t = { scale[c + k], c0[c + k], c1[c + k], mean[c + k], a[c + k], b[c + k] };

				v[k] = t(v[k], x[k], f.back.sg, f.src.relu);
			} else {
				float t = fmaf(a[c + k], v[k], b[c + k]);

				v[k] = low > t ? low : t;
			}
		}
	}
};

struct Pointwise {
	From x;
	Product p;
};

/* The pixel of x that pixel p of what is taken comes from, or -1. */
__device__ inline long long source_pixel(const From &f, unsigned p)
{
	if (f.odd < 0)
		return p;
	unsigned w = static_cast<unsigned>(f.w), h = static_cast<unsigned>(f.h);
	int j = 2 * static_cast<int>(p % w) + f.odd, i = 2 * static_cast<int>(p / w % h) + f.odd;

	if (!inside(i, f.src.x.h) || !inside(j, f.src.x.w))
		return -1;
	return pixel(f.src.x, p / w / h, i, j);
}

/* Channels [c0, c0 + DEPTH) of R pixels from `first` on to shared memory: to[channel][pixel], 0 where there are none.
 * Their factors begin at place `at`. */
template <typename T, int V, int R, int N> __device__ inline void rows_to_shared(const From &f, unsigned first,
	unsigned end, int c0, const Factors<N> &factors, unsigned at0, float (*to)[R + 4])
{
	enum { PACKS = DEPTH / V };
	const sd_cu_img x = back_image(f.src.x, f.back);

	for (unsigned i = threadIdx.x; i < R * PACKS; i += BLOCK) {
		unsigned r = i / PACKS, c = i % PACKS * V;
		long long p = first + r < end ? source_pixel(f, first + r) : -1;
		float v[V];

		SD_UNROLL
		for (int k = 0; k < V; k++)
			v[k] = 0;
		if (p >= 0 && c0 + static_cast<int>(c) < f.src.x.c) {
			float u[V];

			load_pack<T, V>(at<const T>(f.src.x, static_cast<unsigned>(p), c0 + static_cast<int>(c)), v);
			if (f.back.on && f.back.x)
				load_pack<T, V>(at<const T>(x, static_cast<unsigned>(p), c0 + static_cast<int>(c)), u);
			factors.template apply<V>(f, at0 + c, u, v);
		}
		SD_UNROLL
		for (int k = 0; k < V; k++)
			to[c + k][r] = v[k];
	}
}

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
		matrix_to_shared(d.p, c0, tile);
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

/* A tile of the matrix's gradient: W of its rows (channels of gy) by W columns (of x). */
template <typename T, int V, int W>
__global__ void __launch_bounds__(BLOCK, 2) pw_grad(SD_MEMBERS(PointwiseGrad) group)
{
	/* DEPTH channels are loaded at once, of STRIP pixels; SIDE x SIDE threads, each SPAN x SPAN results */
	enum { STRIP = 16, SIDE = 16, SPAN = W / SIDE };
	__shared__ float x[W][STRIP + 4];
	__shared__ float g[W][STRIP + 4];
	__shared__ Factors<W> of_x;
	__shared__ Factors<W> of_g;
	SD_MEMBER(group, d);
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
	case 64: SD_GROUP(r, (pw_grad<T, V, 64>), grid, BLOCK, d); break;
	case 32: SD_GROUP(r, (pw_grad<T, V, 32>), grid, BLOCK, d); break;
	default: SD_GROUP(r, (pw_grad<T, V, 16>), grid, BLOCK, d); break;
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

/* x as it is loaded, or every other of its pixels, as many as y has. */
From from(const sd_cu_src *x, int odd, const sd_cu_img *y)
{
	return { *x, {}, odd, y->h, y->w };
}
From from(const sd_cu_grad *gy)
{
	return { gy->g, gy->back, -1, 0, 0 };
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
