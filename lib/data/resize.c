/* resize.c: making pictures one size. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "data/picture.h"

/* Weights are whole numbers of this many bits behind the point, so that sums are exact. */
enum { BITS = 22 };

/* What one axis needs: output i is the sum of weight[i * most + k] times input first[i] + k, k < count[i]. */
struct axis {
	int out, most;
	int *first, *count;
	int32_t *weight;
};

static void axis_release(struct axis *a)
{
	free(a->first);
	free(a->count);
	free(a->weight);
}

/* The triangle filter, as wide as the output pixel is in the input (at least one input pixel each way). */
static int axis_init(struct axis *a, int in, int out)
{
	double scale = (double)in / out, wide = scale < 1 ? 1 : scale, inverse = 1 / wide;
	double *w = NULL;

	*a = (struct axis){ .out = out, .most = 2 * (int)ceil(wide) + 1 };
	a->first = malloc((size_t)out * sizeof(*a->first));
	a->count = malloc((size_t)out * sizeof(*a->count));
	a->weight = calloc((size_t)out * (size_t)a->most, sizeof(*a->weight));
	w = malloc((size_t)a->most * sizeof(*w));
	if (!a->first || !a->count || !a->weight || !w) {
		free(w);
		axis_release(a);
		return sd_error(SD_ERR_IO, "out of memory for a picture");
	}
	for (int i = 0; i < out; i++) {
		double centre = (i + 0.5) * scale, sum = 0;
		int first = (int)(centre - wide + 0.5), end = (int)(centre + wide + 0.5);

		first = first < 0 ? 0 : first;
		end = end > in ? in : end;
		for (int k = 0; k < end - first; k++) {
			double x = fabs((k + first - centre + 0.5) * inverse);

			w[k] = x < 1 ? 1 - x : 0;
			sum += w[k];
		}
		a->first[i] = first;
		a->count[i] = end - first;
		for (int k = 0; k < end - first; k++) {
			if (sum != 0)
				w[k] /= sum;
			a->weight[i * a->most + k] = (int32_t)(0.5 + w[k] * (1 << BITS));
		}
	}
	free(w);
	return 0;
}

static uint8_t rounded(int32_t sum)
{
	sum >>= BITS;
	return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* Resamples along one axis: `lines` lines whose pixels lie `step` bytes apart and which begin `next` bytes
 * after one another, for input and output. */
static void apply(const struct axis *a, int lines, const uint8_t *in, size_t in_step, size_t in_next,
		  uint8_t *out,
		  size_t out_step, size_t out_next)
{
	for (int l = 0; l < lines; l++)
		for (int i = 0; i < a->out; i++) {
			const int32_t *w = a->weight + i * a->most;
			const uint8_t *from = in + (size_t)l * in_next + (size_t)a->first[i] * in_step;
			uint8_t *to = out + (size_t)l * out_next + (size_t)i * out_step;
			int32_t sum[3] = { 1 << (BITS - 1), 1 << (BITS - 1), 1 << (BITS - 1) };

			for (int k = 0; k < a->count[i]; k++, from += in_step)
				for (int c = 0; c < 3; c++)
					sum[c] += from[c] * w[k];
			for (int c = 0; c < 3; c++)
				to[c] = rounded(sum[c]);
		}
}

/* To H x W: rows first, then columns, as Pillow. */
static int scale(struct sd_picture *p, int H, int W)
{
	struct axis a;
	uint8_t *out;

	if (W != p->W) {
		out = malloc(3 * (size_t)p->H * (size_t)W);
		if (!out || axis_init(&a, p->W, W)) {
			free(out);
			return sd_error(SD_ERR_IO, "out of memory for a picture");
		}
		apply(&a, p->H, p->pixels, 3, 3 * (size_t)p->W, out, 3, 3 * (size_t)W);
		axis_release(&a);
		free(p->pixels);
		p->pixels = out;
		p->W = W;
	}
	if (H != p->H) {
		out = malloc(3 * (size_t)H * (size_t)W);
		if (!out || axis_init(&a, p->H, H)) {
			free(out);
			return sd_error(SD_ERR_IO, "out of memory for a picture");
		}
		apply(&a, W, p->pixels, 3 * (size_t)W, 3, out, 3 * (size_t)W, 3);
		axis_release(&a);
		free(p->pixels);
		p->pixels = out;
		p->H = H;
	}
	return 0;
}

/* Half of a difference, the even one of two whole numbers that are as near. */
static int half(int difference)
{
	return difference % 4 == 3 ? difference / 2 + 1 : difference / 2;
}

int sd_picture_resize(struct sd_picture *p, int size)
{
	/* the longer side is rounded down, as torchvision does */
	int64_t longer = p->H < p->W ? (int64_t)size * p->W / p->H : (int64_t)size * p->H / p->W;
	int H = size, W = size, top, left;

	if (longer * size > SD_PICTURE_PIXELS)
		return sd_error(SD_ERR_DATA, "a picture of %d x %d pixels is too narrow for size %d", p->W,
				p->H, size);
	if (p->H < p->W)
		W = (int)longer;
	else
		H = (int)longer;
	if (scale(p, H, W))
		return -1;
	top = half(H - size);
	left = half(W - size);
	for (int y = 0; y < size; y++)
		memmove(p->pixels + 3 * (size_t)y * (size_t)size,
			p->pixels + 3 * ((size_t)(y + top) * (size_t)W + (size_t)left), 3 * (size_t)size);
	p->H = p->W = size;
	return 0;
}
