/* imageops.c: moving, blending and mapping pixels, byte for byte as Pillow 9.4. */
#include <string.h>

#include "data/imageops.h"
#include "data/imageops_pixel.h"

static size_t plane_bytes(struct sd_image_size size)
{
	return (size_t)size.H * (size_t)size.W;
}

/* ---- moving ---- */

void sd_image_shear(struct sd_image_size size, const uint8_t *in, uint8_t *out, double shear_y, double shear_x)
{
	int H = size.H, W = size.W;
	size_t plane = plane_bytes(size);

	memset(out, SD_IMAGE_FILL, size.C * plane);
	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++) {
			double from_y, from_x;

			if (!sd_shear_from(H, W, shear_y, shear_x, y, x, &from_y, &from_x))
				continue;
			for (int c = 0; c < size.C; c++)
				out[c * plane + (size_t)y * W + x] =
					sd_cubic_sample(in + c * plane, H, W, from_y, from_x);
		}
}

void sd_image_translate(struct sd_image_size size, const uint8_t *in, uint8_t *out, double dy, double dx)
{
	size_t plane = plane_bytes(size);
	double from_y = dy + 0.5;

	/* each pixel adds 1 to the place before, as the original does, for the sake of the rounding */
	memset(out, SD_IMAGE_FILL, size.C * plane);
	for (int y = 0; y < size.H; y++, from_y += 1) {
		int iy = sd_whole(from_y, size.H);
		double from_x = dx + 0.5;

		for (int x = 0; iy >= 0 && x < size.W; x++, from_x += 1) {
			int ix = sd_whole(from_x, size.W);

			for (int c = 0; ix >= 0 && c < size.C; c++)
				out[c * plane + (size_t)y * size.W + x] =
					in[c * plane + (size_t)iy * size.W + ix];
		}
	}
}

void sd_image_rotate(struct sd_image_size size, const uint8_t *in, uint8_t *out, double cosine, double sine)
{
	size_t plane = plane_bytes(size);
	struct sd_turn t = sd_turn(size.H, size.W, cosine, sine);

	memset(out, SD_IMAGE_FILL, size.C * plane);
	for (int y = 0; y < size.H; y++)
		for (int x = 0; x < size.W; x++) {
			int64_t from = sd_turn_from(&t, size.H, size.W, y, x);

			for (int c = 0; from >= 0 && c < size.C; c++)
				out[c * plane + (size_t)y * size.W + x] = in[c * plane + (size_t)from];
		}
}

/* ---- blending ---- */

void sd_image_color(struct sd_image_size size, const uint8_t *in, uint8_t *out, float factor)
{
	size_t plane = plane_bytes(size);

	for (size_t i = 0; i < plane; i++) {
		int plain = sd_grey(in + i, plane);

		for (size_t j = i; j < 3 * plane; j += plane)
			out[j] = sd_blend(plain, in[j], factor);
	}
}

void sd_image_contrast(struct sd_image_size size, const uint8_t *in, uint8_t *out, float factor)
{
	size_t plane = plane_bytes(size);
	uint64_t sum = 0;
	int mean;

	for (size_t i = 0; i < plane; i++)
		sum += (uint64_t)sd_grey(in + i, plane);
	mean = sd_grey_mean(sum, plane);
	for (size_t i = 0; i < 3 * plane; i++)
		out[i] = sd_blend(mean, in[i], factor);
}

void sd_image_brightness(struct sd_image_size size, const uint8_t *in, uint8_t *out, float factor)
{
	for (size_t i = 0; i < size.C * plane_bytes(size); i++)
		out[i] = sd_blend(0, in[i], factor);
}

/* The edges stay. */
void sd_image_sharpness(struct sd_image_size size, const uint8_t *in, uint8_t *out, float factor)
{
	size_t plane = plane_bytes(size);
	int W = size.W;

	memcpy(out, in, size.C * plane);
	for (int c = 0; c < size.C; c++)
		for (int y = 1; y < size.H - 1; y++)
			for (int x = 1; x < W - 1; x++) {
				size_t at = c * plane + (size_t)y * W + x;

				out[at] = sd_blend(sd_smooth(in + at, W), in[at], factor);
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
		to[v] = sd_posterized(v, bits);
	map(size.C * plane_bytes(size), in, out, to);
}

void sd_image_solarize(struct sd_image_size size, const uint8_t *in, uint8_t *out, int threshold)
{
	uint8_t to[256];

	for (int v = 0; v < 256; v++)
		to[v] = sd_solarized(v, threshold);
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

void sd_image_autocontrast(struct sd_image_size size, const uint8_t *in, uint8_t *out)
{
	size_t plane = plane_bytes(size);

	for (size_t at = 0; at < size.C * plane; at += plane) {
		uint32_t count[256];
		uint8_t to[256];
		int low, high;

		histogram(plane, in + at, count);
		sd_range(count, &low, &high);
		for (int v = 0; v < 256; v++)
			to[v] = sd_stretched(v, low, high);
		map(plane, in + at, out + at, to);
	}
}

void sd_image_equalize(struct sd_image_size size, const uint8_t *in, uint8_t *out)
{
	size_t plane = plane_bytes(size);

	for (size_t at = 0; at < size.C * plane; at += plane) {
		uint32_t count[256];
		uint8_t to[256];

		histogram(plane, in + at, count);
		sd_flattened(count, plane, to);
		map(plane, in + at, out + at, to);
	}
}
