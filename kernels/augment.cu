/* augment.cu: batches from a data set that lies in device memory as bytes, bit for bit as lib/data/loader.c,
 * augment.c and imageops.c make them: draws, tables and what is done to a pixel come from the headers that
 * those use too.
 *
 * A small kernel finds the images of the batch and counts it; then a block has an image.  AutoAugment works
 * on bytes, from one copy of the image to another, in shared memory where two fit there. */
#include "data/augment_draw.h"
#include "data/imageops.h"
#include "data/imageops_pixel.h"
#include "kernels/device.h"

inline namespace augment_cu {

const uint8_t FILL = SD_IMAGE_FILL;

enum { THREADS = 256, SHARED_MOST = 40 * 1024, COLOURS = SD_AA_CHANNELS };

/* ---- which images ---- */

/* The place that the i-th exchange of a shuffle brings to the front.  Before it, at other[i] lies what the
 * last exchange with that place put there, and that is what lay at its own place then. */
__device__ uint32_t drawn_place(const uint32_t *other, uint32_t i)
{
	uint32_t p = other[i];

	for (uint32_t k = i; k-- > 0;)
		if (other[k] == p)
			p = k; /* and from here on only what was before that */
	return p;
}

__global__ void index_kernel(const struct sd_cu_batch b, uint32_t *other, uint32_t *when)
{
	uint32_t index = (uint32_t)*b.next;

	for (uint32_t i = threadIdx.x; b.draw && i < b.rows; i += THREADS)
		other[i] = i + sd_rng_below(sd_rng_word(b.shuffle_key, i, index, 0, 0), b.n - i);
	__syncthreads();
	for (uint32_t i = threadIdx.x; i < b.rows; i += THREADS) {
		uint32_t place, id;

		if (b.draw) {
			place = drawn_place(other, i);
		} else {
			place = (uint32_t)(((uint64_t)index * b.batch + i) % b.n);
			if (b.order)
				place = b.order[place];
		}
		id = b.indices ? b.indices[place] : place;
		b.id[i] = (int32_t)id;
		b.label[i] = b.labels[id];
	}
	if (threadIdx.x == 0) {
		*when = b.draw ? index : (uint32_t)*b.epoch;
		*b.next = (int32_t)(index + 1); /* behind the barrier: all have read it */
	}
}

/* ---- AutoAugment ---- */

/* What a block works with. */
struct Bench {
	int h, w;
	unsigned plane;       /* h * w */
	int16_t *row, *column; /* (h), (w): where a translation takes them from, -1: nowhere */
	uint32_t *count;      /* (COLOURS, 256) */
	uint8_t *to;          /* (COLOURS, 256) */
	unsigned *part;       /* (32) */
	int *number;          /* (2 * COLOURS) */
};

__device__ void shear(const Bench &b, const uint8_t *in, uint8_t *out, double shear_y, double shear_x)
{
	for (unsigned i = threadIdx.x; i < b.plane; i += THREADS) {
		double from_y, from_x;
		int inside = sd_shear_from(b.h, b.w, shear_y, shear_x, i / b.w, i % b.w, &from_y, &from_x);

		for (unsigned at = i, c = 0; c < COLOURS; c++, at += b.plane)
			out[at] = inside ? sd_cubic_sample(in + c * b.plane, b.h, b.w, from_y, from_x) : FILL;
	}
}

/* Each pixel adds 1 to the place before, for the sake of the rounding (imageops.c). */
__device__ void translate_map(double by, int n, int16_t *map)
{
	for (int i = threadIdx.x; i < n; i += THREADS) {
		double from = by + 0.5;

		for (int k = 0; k < i; k++)
			from += 1;
		map[i] = (int16_t)sd_whole(from, n);
	}
}
__device__ void translate(const Bench &b, const uint8_t *in, uint8_t *out, double dy, double dx)
{
	translate_map(dy, b.h, b.row);
	translate_map(dx, b.w, b.column);
	__syncthreads();
	for (unsigned i = threadIdx.x; i < b.plane; i += THREADS) {
		int y = b.row[i / b.w], x = b.column[i % b.w];

		for (unsigned at = 0; at < COLOURS * b.plane; at += b.plane)
			out[at + i] = y >= 0 && x >= 0 ? in[at + (unsigned)y * b.w + x] : FILL;
	}
}

__device__ void rotate(const Bench &b, const uint8_t *in, uint8_t *out, double cosine, double sine)
{
	struct sd_turn t = sd_turn(b.h, b.w, cosine, sine);

	for (unsigned i = threadIdx.x; i < b.plane; i += THREADS) {
		int64_t from = sd_turn_from(&t, b.h, b.w, i / b.w, i % b.w);

		for (unsigned at = 0; at < COLOURS * b.plane; at += b.plane)
			out[at + i] = from >= 0 ? in[at + from] : FILL;
	}
}

/* Away from grey, from the mean grey (by contrast) or from black. */
__device__ void color(const Bench &b, const uint8_t *in, uint8_t *out, float factor)
{
	for (unsigned i = threadIdx.x; i < b.plane; i += THREADS) {
		int plain = sd_grey(in + i, b.plane);

		for (unsigned at = i; at < COLOURS * b.plane; at += b.plane)
			out[at] = sd_blend(plain, in[at], factor);
	}
}
__device__ void contrast(const Bench &b, const uint8_t *in, uint8_t *out, float factor)
{
	unsigned sum = 0;

	for (unsigned i = threadIdx.x; i < b.plane; i += THREADS)
		sum += sd_grey(in + i, b.plane);
	sum = sd::block_sum(sum, b.part);
	if (threadIdx.x == 0)
		b.number[0] = sd_grey_mean(sum, b.plane);
	__syncthreads();
	for (unsigned i = threadIdx.x; i < COLOURS * b.plane; i += THREADS)
		out[i] = sd_blend(b.number[0], in[i], factor);
}
__device__ void brightness(const Bench &b, const uint8_t *in, uint8_t *out, float factor)
{
	for (unsigned i = threadIdx.x; i < COLOURS * b.plane; i += THREADS)
		out[i] = sd_blend(0, in[i], factor);
}

__device__ void sharpness(const Bench &b, const uint8_t *in, uint8_t *out, float factor)
{
	for (unsigned i = threadIdx.x; i < b.plane; i += THREADS) {
		int y = i / b.w, x = i % b.w, edge = y == 0 || y == b.h - 1 || x == 0 || x == b.w - 1;

		for (unsigned at = i; at < COLOURS * b.plane; at += b.plane)
			out[at] = edge ? in[at] : sd_blend(sd_smooth(in + at, b.w), in[at], factor);
	}
}

/* Autocontrast and equalize: what becomes of a byte depends on its colour's histogram. */
__device__ void by_histogram(const Bench &b, const uint8_t *in, uint8_t *out, int equalize)
{
	for (int i = threadIdx.x; i < COLOURS * 256; i += THREADS)
		b.count[i] = 0;
	__syncthreads();
	for (unsigned i = threadIdx.x; i < b.plane; i += THREADS)
		for (int c = 0; c < COLOURS; c++)
			atomicAdd(&b.count[c * 256 + in[c * b.plane + i]], 1u);
	__syncthreads();
	if (threadIdx.x % 32 == 0 && threadIdx.x / 32 < COLOURS) {
		int c = threadIdx.x / 32;

		if (equalize)
			sd_flattened(b.count + c * 256, b.plane, b.to + c * 256);
		else
			sd_range(b.count + c * 256, &b.number[2 * c], &b.number[2 * c + 1]);
	}
	__syncthreads();
	if (!equalize)
		for (int i = threadIdx.x; i < COLOURS * 256; i += THREADS)
			b.to[i] = sd_stretched(i % 256, b.number[i / 256 * 2], b.number[i / 256 * 2 + 1]);
	__syncthreads();
	for (unsigned i = threadIdx.x; i < b.plane; i += THREADS)
		for (int c = 0; c < COLOURS; c++)
			out[c * b.plane + i] = b.to[c * 256 + in[c * b.plane + i]];
}

/* sd_aa_apply (autoaugment.h), by a whole block */
__device__ void aa_apply(const Bench &b, enum sd_aa_op op, int level, int negative, const uint8_t *in,
	uint8_t *out)
{
	struct sd_aa_amount a = sd_aa_amount(op, level, negative, b.h, b.w);

	switch (op) {
	case SD_AA_SHEAR_X:
	case SD_AA_SHEAR_Y:
		shear(b, in, out, a.y, a.x);
		break;
	case SD_AA_TRANSLATE_X:
	case SD_AA_TRANSLATE_Y:
		translate(b, in, out, a.y, a.x);
		break;
	case SD_AA_ROTATE:
		rotate(b, in, out, a.x, a.y);
		break;
	case SD_AA_COLOR:
		color(b, in, out, a.factor);
		break;
	case SD_AA_POSTERIZE:
		for (unsigned i = threadIdx.x; i < COLOURS * b.plane; i += THREADS)
			out[i] = sd_posterized(in[i], a.n);
		break;
	case SD_AA_SOLARIZE:
	case SD_AA_INVERT: /* n is 0 */
		for (unsigned i = threadIdx.x; i < COLOURS * b.plane; i += THREADS)
			out[i] = sd_solarized(in[i], a.n);
		break;
	case SD_AA_CONTRAST:
		contrast(b, in, out, a.factor);
		break;
	case SD_AA_SHARPNESS:
		sharpness(b, in, out, a.factor);
		break;
	case SD_AA_BRIGHTNESS:
		brightness(b, in, out, a.factor);
		break;
	case SD_AA_AUTOCONTRAST:
	case SD_AA_EQUALIZE:
		by_histogram(b, in, out, op == SD_AA_EQUALIZE);
		break;
	case SD_AA_CUTOUT:
	case SD_NAA_OP:
		for (unsigned i = threadIdx.x; i < COLOURS * b.plane; i += THREADS)
			out[i] = in[i];
		break;
	}
}

/* ---- an image ---- */

/* Where pixel (y, x) of the crop, mirrored or not, lies in the image; -1: nowhere. */
__device__ inline int crop_from(const struct sd_cu_batch &b, const struct sd_augment_params &p, int y, int x)
{
	int from_y = y + p.crop_y - b.policy.padding;
	int from_x = (p.mirror ? b.w - 1 - x : x) + p.crop_x - b.policy.padding;

	return from_y >= 0 && from_y < b.h && from_x >= 0 && from_x < b.w ? from_y * b.w + from_x : -1;
}

__device__ inline bool in_box(int y, int x, int y0, int x0, int y1, int x1)
{
	return y >= y0 && y < y1 && x >= x0 && x < x1;
}

/* What eraser and cutout make of the value v of element (c, y, x). */
__device__ float covered(const struct sd_cu_batch &b, const struct sd_augment_params &p, int c, int y, int x,
	float v)
{
	int half = b.policy.cutout_length / 2;

	for (int i = 0; i < p.holes; i++)
		if (in_box(y, x, p.hole_y[i] - half, p.hole_x[i] - half, p.hole_y[i] + half, p.hole_x[i] + half))
			return 0;
	if (in_box(y, x, p.box_y, p.box_x, p.box_y + p.box_h, p.box_x + p.box_w)) {
		uint32_t i = ((uint32_t)c * p.box_h + (y - p.box_y)) * p.box_w + (x - p.box_x), word[4];

		sd_draw_noise(&p, i, word);
		v = sd_noise(i % 4 == 0 ? word[0] : i % 4 == 1 ? word[1] : i % 4 == 2 ? word[2] : word[3]);
	}
	return v;
}

__global__ void __launch_bounds__(THREADS, 2) augment_kernel(const struct sd_cu_batch b, const uint32_t *when,
	uint8_t *scratch)
{
	SD_SHARED(uint8_t, shared); /* row and column maps, two images */
	__shared__ uint32_t count[COLOURS * 256];
	__shared__ uint8_t to[COLOURS * 256];
	__shared__ unsigned part[32];
	__shared__ int number[2 * COLOURS];
	__shared__ struct sd_augment_params p;
	unsigned plane = b.h * b.w, pixels = b.c * plane;
	const uint8_t *image = b.images + (size_t)b.id[blockIdx.x] * pixels;
	float *out = b.out + (size_t)blockIdx.x * pixels;

	if (threadIdx.x == 0)
		sd_draw_augment(&b.policy, b.augment_key, (uint32_t)b.id[blockIdx.x], *when, b.h, b.w, &p);
	__syncthreads();
	if (b.policy.autoaugment) {
		int16_t *maps = reinterpret_cast<int16_t *>(shared);
		uint8_t *now = scratch ? scratch + (size_t)blockIdx.x * 2 * pixels : shared + (b.h + b.w) * sizeof(*maps);
		uint8_t *next = now + pixels;
		Bench bench = { b.h, b.w, plane, maps, maps + b.h, count, to, part, number };
		int n;
		const struct sd_aa_pair *pair = &sd_aa_pairs(b.policy.autoaugment, &n)[p.autoaugment.pair];

		for (unsigned i = threadIdx.x; i < plane; i += THREADS) {
			int from = crop_from(b, p, i / b.w, i % b.w);

			for (unsigned at = 0; at < pixels; at += plane)
				now[at + i] = from >= 0 ? image[at + from] : FILL;
		}
		__syncthreads();
		for (int i = 0; i < 2; i++) {
			uint8_t *swap = now;

			if (!p.autoaugment.done[i])
				continue;
			aa_apply(bench, (enum sd_aa_op)pair->step[i].op, pair->step[i].level, p.autoaugment.negative[i],
				now, next);
			__syncthreads();
			now = next;
			next = swap;
		}
		for (unsigned i = threadIdx.x; i < pixels; i += THREADS) {
			unsigned c = i / plane, y = i % plane / b.w, x = i % plane % b.w;

			out[i] = covered(b, p, c, y, x, b.table[c * 256 + now[i]]);
		}
	} else {
		for (unsigned i = threadIdx.x; i < pixels; i += THREADS) {
			unsigned c = i / plane, y = i % plane / b.w, x = i % plane % b.w;
			int from = crop_from(b, p, y, x);

			out[i] = covered(b, p, c, y, x, b.table[c * 256 + (from >= 0 ? image[c * plane + from] : 0)]);
		}
	}
}

} /* namespace augment_cu */

void sd_cu_batch(struct sd_cu_run *r, const struct sd_cu_batch *b)
{
	size_t images = (size_t)2 * b->c * b->h * b->w, maps = (b->h + b->w) * sizeof(int16_t);
	size_t shared = 0;
	uint32_t *other = NULL, *when = static_cast<uint32_t *>(sd_cu_take(r, sizeof(*when)));
	uint8_t *scratch = NULL;

	if (b->draw)
		other = static_cast<uint32_t *>(sd_cu_take(r, b->rows * sizeof(*other)));
	if (b->policy.autoaugment) {
		shared = maps;
		if (maps + images <= SHARED_MOST)
			shared += images;
		else
			scratch = static_cast<uint8_t *>(sd_cu_take(r, b->rows * images));
	}
	SD_LAUNCH(r, index_kernel, 1, THREADS, 0, *b, other, when);
	SD_LAUNCH(r, augment_kernel, b->rows, THREADS, shared, *b, when, scratch);
}
