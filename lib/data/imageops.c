/* imageops.c: moving, blending and mapping pixels, byte for byte as Pillow 9.4. */
#include <math.h>
#include <string.h>

#include "data/imageops.h"

static size_t plane_bytes(struct sd_image_size size)
{
	return (size_t)size.H * (size_t)size.W;
}

static int clip(int x, int most)
{
	return x < 0 ? 0 : x > most ? most : x;
}

/* A byte of a real number: its integer part, within bounds. */
static uint8_t byte_of(double v)
{
	return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)v;
}

/* ---- moving ---- */

/* Between b and c, at the fraction t of the way; a and d are the neighbours before and after. */
static double cubic(double a, double b, double c, double d, double t)
{
	double first = c - a;
	double second = 2 * (a - b) + c - d;
	double third = b - a - c + d;

	return b + t * (first + t * (second + t * third));
}

/* The value at (y, x), which lies in the image; the centre of pixel 0 is at 0.5. */
static uint8_t cubic_sample(const uint8_t *plane, int H, int W, double y, double x)
{
	double fy, fx, row[4];
	int iy, ix, column[4];

	y -= 0.5;
	x -= 0.5;
	fy = floor(y);
	fx = floor(x);
	iy = (int)fy - 1;
	ix = (int)fx - 1;
	for (int i = 0; i < 4; i++)
		column[i] = clip(ix + i, W - 1);
	for (int i = 0; i < 4; i++) {
		const uint8_t *p = plane + (size_t)clip(iy + i, H - 1) * W;

		row[i] = cubic(p[column[0]], p[column[1]], p[column[2]], p[column[3]], x - fx);
	}
	return byte_of(cubic(row[0], row[1], row[2], row[3], y - fy));
}

void sd_image_shear(struct sd_image_size size, const uint8_t *in, uint8_t *out, double shear_y, double shear_x)
{
	int H = size.H, W = size.W;
	size_t plane = plane_bytes(size);

	memset(out, SD_IMAGE_FILL, size.C * plane);
	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++) {
			double from_y = shear_y * (x + 0.5) + (y + 0.5);
			double from_x = (x + 0.5) + shear_x * (y + 0.5);

			if (from_y < 0 || from_y >= H || from_x < 0 || from_x >= W)
				continue;
			for (int c = 0; c < size.C; c++)
				out[c * plane + (size_t)y * W + x] =
					cubic_sample(in + c * plane, H, W, from_y, from_x);
		}
}

/* The row or column, of n, that a place lies in; -1: none. */
static int whole(double from, int n)
{
	return from < 0 || from >= n ? -1 : (int)from;
}

void sd_image_translate(struct sd_image_size size, const uint8_t *in, uint8_t *out, double dy, double dx)
{
	size_t plane = plane_bytes(size);
	double from_y = dy + 0.5;

	/* each pixel adds 1 to the place before, as the original does, for the sake of the rounding */
	memset(out, SD_IMAGE_FILL, size.C * plane);
	for (int y = 0; y < size.H; y++, from_y += 1) {
		int iy = whole(from_y, size.H);
		double from_x = dx + 0.5;

		for (int x = 0; iy >= 0 && x < size.W; x++, from_x += 1) {
			int ix = whole(from_x, size.W);

			for (int c = 0; ix >= 0 && c < size.C; c++)
				out[c * plane + (size_t)y * size.W + x] =
					in[c * plane + (size_t)iy * size.W + ix];
		}
	}
}

/* In units of 2^-16 of a pixel. */
static int64_t fixed(double v)
{
	return (int64_t)floor(v * 65536 + 0.5);
}

void sd_image_rotate(struct sd_image_size size, const uint8_t *in, uint8_t *out, double cosine, double sine)
{
	size_t plane = plane_bytes(size);
	double cy = size.H / 2.0, cx = size.W / 2.0;
	/* where the upper left corner comes from, and then the first pixel's centre */
	double corner_x = cosine * -cx - sine * -cy + cx, corner_y = sine * -cx + cosine * -cy + cy;
	int64_t start_x = fixed(corner_x + cosine * 0.5 - sine * 0.5);
	int64_t start_y = fixed(corner_y + sine * 0.5 + cosine * 0.5);
	int64_t right_x = fixed(cosine), right_y = fixed(sine);
	int64_t down_x = fixed(-sine), down_y = fixed(cosine);
	int64_t end_y = (int64_t)size.H << 16, end_x = (int64_t)size.W << 16;

	memset(out, SD_IMAGE_FILL, size.C * plane);
	for (int y = 0; y < size.H; y++)
		for (int x = 0; x < size.W; x++) {
			int64_t from_y = start_y + y * down_y + x * right_y;
			int64_t from_x = start_x + y * down_x + x * right_x;
			size_t from;

			if (from_y < 0 || from_y >= end_y || from_x < 0 || from_x >= end_x)
				continue;
			from = (size_t)(from_y >> 16) * size.W + (size_t)(from_x >> 16);
			for (int c = 0; c < size.C; c++)
				out[c * plane + (size_t)y * size.W + x] = in[c * plane + from];
		}
}

/* ---- blending ---- */

/* In float32, like the original. */
static uint8_t blend(int plain, int value, float factor)
{
	float part = factor * (float)(value - plain), sum = (float)plain + part;

	return byte_of(sum);
}

/* ITU-R 601-2 luma in 16 bits of fraction. */
static int grey(const uint8_t *in, size_t plane)
{
	return (19595 * in[0] + 38470 * in[plane] + 7471 * in[2 * plane] + 32768) >> 16;
}

void sd_image_color(struct sd_image_size size, const uint8_t *in, uint8_t *out, float factor)
{
	size_t plane = plane_bytes(size);

	for (size_t i = 0; i < plane; i++) {
		int plain = grey(in + i, plane);

		for (size_t j = i; j < 3 * plane; j += plane)
			out[j] = blend(plain, in[j], factor);
	}
}

void sd_image_contrast(struct sd_image_size size, const uint8_t *in, uint8_t *out, float factor)
{
	size_t plane = plane_bytes(size);
	uint64_t sum = 0;
	int mean;

	for (size_t i = 0; i < plane; i++)
		sum += (uint64_t)grey(in + i, plane);
	mean = (int)((2 * sum + plane) / (2 * plane));
	for (size_t i = 0; i < 3 * plane; i++)
		out[i] = blend(mean, in[i], factor);
}

void sd_image_brightness(struct sd_image_size size, const uint8_t *in, uint8_t *out, float factor)
{
	for (size_t i = 0; i < size.C * plane_bytes(size); i++)
		out[i] = blend(0, in[i], factor);
}

/* The middle pixel counts 5 times, its eight neighbours once; the edges stay.  Thirteenths are never halves,
 * so rounding integers is the same as rounding the original's float32. */
void sd_image_sharpness(struct sd_image_size size, const uint8_t *in, uint8_t *out, float factor)
{
	size_t plane = plane_bytes(size);
	int W = size.W;

	memcpy(out, in, size.C * plane);
	for (int c = 0; c < size.C; c++)
		for (int y = 1; y < size.H - 1; y++)
			for (int x = 1; x < W - 1; x++) {
				size_t at = c * plane + (size_t)y * W + x;
				const uint8_t *up = in + at - W, *p = in + at, *down = in + at + W;
				int sum = up[-1] + up[0] + up[1] + p[-1] + 5 * p[0] + p[1] + down[-1] +
					  down[0] + down[1];

				out[at] = blend((2 * sum + 13) / 26, *p, factor);
			}
}

/* ---- mapping ---- */

static void map(size_t n, const uint8_t *in, uint8_t *out, const uint8_t to[256])
{
	for (size_t i = 0; i < n; i++)
		out[i] = to[in[i]];
}

void sd_image_posterize(struct sd_image_size size, const uint8_t *in, uint8_t *out, int bits)
{
	uint8_t to[256];

	for (int v = 0; v < 256; v++)
		to[v] = (uint8_t)(v >> (8 - bits) << (8 - bits));
	map(size.C * plane_bytes(size), in, out, to);
}

void sd_image_solarize(struct sd_image_size size, const uint8_t *in, uint8_t *out, int threshold)
{
	uint8_t to[256];

	for (int v = 0; v < 256; v++)
		to[v] = (uint8_t)(v < threshold ? v : 255 - v);
	map(size.C * plane_bytes(size), in, out, to);
}

void sd_image_invert(struct sd_image_size size, const uint8_t *in, uint8_t *out)
{
	sd_image_solarize(size, in, out, 0);
}

static void histogram(size_t n, const uint8_t *in, uint32_t count[256])
{
	memset(count, 0, 256 * sizeof *count);
	for (size_t i = 0; i < n; i++)
		count[in[i]]++;
}

/* The lowest and the highest value there is; n > 0. */
static void range(const uint32_t count[256], int *low, int *high)
{
	for (*low = 0; !count[*low]; ++*low)
		;
	for (*high = 255; !count[*high]; --*high)
		;
}

void sd_image_autocontrast(struct sd_image_size size, const uint8_t *in, uint8_t *out)
{
	size_t plane = plane_bytes(size);

	for (size_t at = 0; at < size.C * plane; at += plane) {
		uint32_t count[256];
		uint8_t to[256];
		int low, high;

		histogram(plane, in + at, count);
		range(count, &low, &high);
		for (int v = 0; v < 256; v++) {
			double scale = 255.0 / (high > low ? high - low : 255);
			double offset = high > low ? -low * scale : 0;

			to[v] = byte_of(v * scale + offset);
		}
		map(plane, in + at, out + at, to);
	}
}

void sd_image_equalize(struct sd_image_size size, const uint8_t *in, uint8_t *out)
{
	size_t plane = plane_bytes(size);

	for (size_t at = 0; at < size.C * plane; at += plane) {
		uint32_t count[256], step, below;
		uint8_t to[256];
		int low, high;

		histogram(plane, in + at, count);
		range(count, &low, &high);
		/* how many pixels a step of one is for, the highest value's left out */
		step = (uint32_t)((plane - count[high]) / 255);
		below = step / 2;
		for (int v = 0; v < 256; v++) {
			uint32_t level = step ? below / step : (uint32_t)v;

			to[v] = (uint8_t)(level < 255 ? level : 255);
			below += count[v];
		}
		map(plane, in + at, out + at, to);
	}
}
