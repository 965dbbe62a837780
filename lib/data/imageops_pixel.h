/* imageops_pixel.h: what imageops.h does to one pixel, for host and device: products and sums of real numbers
 * are rounded one by one, so that both give the same bytes. */
#ifndef SD_DATA_IMAGEOPS_PIXEL_H
#define SD_DATA_IMAGEOPS_PIXEL_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hd.h"

SD_HD static inline int sd_clip(int x, int most)
{
	return x < 0 ? 0 : x > most ? most : x;
}

/* A byte of a real number: its integer part, within bounds. */
SD_HD static inline uint8_t sd_byte_of(double v)
{
	return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)v;
}

/* ---- moving ---- */

/* b + t * c */
SD_HD static inline double sd_along(double b, double t, double c)
{
	return sd_rn_add(b, sd_rn_mul(t, c));
}

/* Between b and c, at the fraction t of the way; a and d are the neighbours before and after. */
SD_HD static inline double sd_cubic(double a, double b, double c, double d, double t)
{
	double first = c - a;
	double second = sd_rn_add(sd_rn_mul(2, a - b), c) - d;
	double third = b - a - c + d;

	return sd_along(b, t, sd_along(first, t, sd_along(second, t, third)));
}

/* The value at (y, x), which lies in the image; the centre of pixel 0 is at 0.5. */
SD_HD static inline uint8_t sd_cubic_sample(const uint8_t *plane, int H, int W, double y, double x)
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
		column[i] = sd_clip(ix + i, W - 1);
	for (int i = 0; i < 4; i++) {
		const uint8_t *p = plane + (size_t)sd_clip(iy + i, H - 1) * W;

		row[i] = sd_cubic(p[column[0]], p[column[1]], p[column[2]], p[column[3]], x - fx);
	}
	return sd_byte_of(sd_cubic(row[0], row[1], row[2], row[3], y - fy));
}

/* Where the sheared pixel (y, x) comes from.  Returns whether that lies in the image. */
SD_HD static inline int sd_shear_from(int H, int W, double shear_y, double shear_x, int y, int x, double *from_y,
	double *from_x)
{
	*from_y = sd_along(y + 0.5, shear_y, x + 0.5);
	*from_x = sd_along(x + 0.5, shear_x, y + 0.5);
	return !(*from_y < 0 || *from_y >= H || *from_x < 0 || *from_x >= W);
}

/* The row or column, of n, that a place lies in; -1: none. */
SD_HD static inline int sd_whole(double from, int n)
{
	return from < 0 || from >= n ? -1 : (int)from;
}

/* In units of 2^-16 of a pixel. */
SD_HD static inline int64_t sd_fixed(double v)
{
	return (int64_t)floor(sd_rn_add(sd_rn_mul(v, 65536), 0.5));
}

/* A rotation about the centre: where the first pixel comes from, and the steps from there for a pixel to the
 * right and for one down. */
struct sd_turn {
	int64_t start_y, start_x, right_y, right_x, down_y, down_x;
};
/* a * b + c * d */
SD_HD static inline double sd_products(double a, double b, double c, double d)
{
	return sd_rn_add(sd_rn_mul(a, b), sd_rn_mul(c, d));
}
SD_HD static inline struct sd_turn sd_turn(int H, int W, double cosine, double sine)
{
	double cy = H / 2.0, cx = W / 2.0;
	/* where the upper left corner comes from, and then the first pixel's centre */
	double corner_x = sd_rn_add(sd_products(cosine, -cx, -sine, -cy), cx);
	double corner_y = sd_rn_add(sd_products(sine, -cx, cosine, -cy), cy);
	struct sd_turn t;

	t.start_x = sd_fixed(sd_along(sd_along(corner_x, cosine, 0.5), -sine, 0.5));
	t.start_y = sd_fixed(sd_along(sd_along(corner_y, sine, 0.5), cosine, 0.5));
	t.right_x = sd_fixed(cosine);
	t.right_y = sd_fixed(sine);
	t.down_x = sd_fixed(-sine);
	t.down_y = sd_fixed(cosine);
	return t;
}
/* Which element of the plane pixel (y, x) comes from; -1: none. */
SD_HD static inline int64_t sd_turn_from(const struct sd_turn *t, int H, int W, int y, int x)
{
	int64_t from_y = t->start_y + y * t->down_y + x * t->right_y;
	int64_t from_x = t->start_x + y * t->down_x + x * t->right_x;

	if (from_y < 0 || from_y >= (int64_t)H << 16 || from_x < 0 || from_x >= (int64_t)W << 16)
		return -1;
	return (from_y >> 16) * W + (from_x >> 16);
}

/* ---- blending ---- */

/* In float32, like the original. */
SD_HD static inline uint8_t sd_blend(int plain, int value, float factor)
{
	return sd_byte_of(sd_rn_addf((float)plain, sd_rn_mulf(factor, (float)(value - plain))));
}

/* ITU-R 601-2 luma in 16 bits of fraction. */
SD_HD static inline int sd_grey(const uint8_t *in, size_t plane)
{
	return (19595 * in[0] + 38470 * in[plane] + 7471 * in[2 * plane] + 32768) >> 16;
}
/* The mean of `plane` greys, rounded. */
SD_HD static inline int sd_grey_mean(uint64_t sum, size_t plane)
{
	return (int)((2 * sum + plane) / (2 * plane)); /* NOLINT(clang-analyzer-core.DivideZero): no empty images */
}

/* The middle pixel counts 5 times, its eight neighbours once.  Thirteenths are never halves, so rounding
 * integers is the same as rounding the original's float32. */
SD_HD static inline int sd_smooth(const uint8_t *p, int W)
{
	const uint8_t *up = p - W, *down = p + W;
	int sum = up[-1] + up[0] + up[1] + p[-1] + 5 * p[0] + p[1] + down[-1] + down[0] + down[1];

	return (2 * sum + 13) / 26;
}

/* ---- mapping ---- */

SD_HD static inline uint8_t sd_posterized(int v, int bits)
{
	return (uint8_t)(v >> (8 - bits) << (8 - bits));
}

SD_HD static inline uint8_t sd_solarized(int v, int threshold)
{
	return (uint8_t)(v < threshold ? v : 255 - v);
}

/* The lowest and the highest value there is; not all counts are 0. */
SD_HD static inline void sd_range(const uint32_t count[256], int *low, int *high)
{
	for (*low = 0; !count[*low]; ++*low)
		;
	for (*high = 255; !count[*high]; --*high)
		;
}

/* What low .. high stretched to 0 .. 255 makes of v. */
SD_HD static inline uint8_t sd_stretched(int v, int low, int high)
{
	double scale = 255.0 / (high > low ? high - low : 255);
	double offset = high > low ? -low * scale : 0;

	return sd_byte_of(sd_along(offset, v, scale));
}

/* What a histogram made flat makes of each value; `plane` is the sum of the counts. */
SD_HD static inline void sd_flattened(const uint32_t count[256], size_t plane, uint8_t to[256])
{
	uint32_t step, below;
	int low, high;

	sd_range(count, &low, &high);
	/* how many pixels a step of one is for, the highest value's left out */
	step = (uint32_t)((plane - count[high]) / 255);
	below = step / 2;
	for (int v = 0; v < 256; v++) {
		uint32_t level = step ? below / step : (uint32_t)v;

		to[v] = (uint8_t)(level < 255 ? level : 255);
		below += count[v];
	}
}

#endif
