/* imageops.h: operations on the pixels of a picture, each giving the bytes that Pillow 9.4 gives.
 *
 * Images are (C, H, W) bytes, C colours, sides up to SD_MAX_SIDE.  `out` has the size of `in` and doesn't
 * overlap it.  Everything is integers, or float32 and float64 with nothing but + - * / and floor, so that
 * every machine gives the same bytes.  What a moved image doesn't cover becomes SD_IMAGE_FILL. */
#ifndef SD_DATA_IMAGEOPS_H
#define SD_DATA_IMAGEOPS_H

#include <stdint.h>

enum { SD_IMAGE_FILL = 128 };

struct sd_image_size {
	int C, H, W;
};

/* out(y, x) = in(y + shear_y * x, x + shear_x * y), in pixels from the upper left corner; cubic convolution
 * (Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -1), the edge
 * repeated. */
void sd_image_shear(struct sd_image_size size, const uint8_t *in, uint8_t *out, double shear_y, double shear_x);

/* out(y, x) = in(y + dy, x + dx), the nearest pixel. */
void sd_image_translate(struct sd_image_size size, const uint8_t *in, uint8_t *out, double dy, double dx);

/* Turns about the centre, against the clock, by the angle of this cosine and sine; the nearest pixel. */
void sd_image_rotate(struct sd_image_size size, const uint8_t *in, uint8_t *out, double cosine, double sine);

/* in + (factor - 1) * (in - plain): factor 1 changes nothing, 0 gives the plain image, which is grey for
 * colour, grey of the mean for contrast, black for brightness and smoothed for sharpness.  Colour and
 * contrast need C == 3, red, green and blue. */
void sd_image_color(struct sd_image_size size, const uint8_t *in, uint8_t *out, float factor);
void sd_image_contrast(struct sd_image_size size, const uint8_t *in, uint8_t *out, float factor);
void sd_image_brightness(struct sd_image_size size, const uint8_t *in, uint8_t *out, float factor);
void sd_image_sharpness(struct sd_image_size size, const uint8_t *in, uint8_t *out, float factor);

/* Keeps the upper `bits` (0 .. 8) of every byte. */
void sd_image_posterize(struct sd_image_size size, const uint8_t *in, uint8_t *out, int bits);

/* Inverts the bytes from `threshold` (0 .. 256) on. */
void sd_image_solarize(struct sd_image_size size, const uint8_t *in, uint8_t *out, int threshold);
void sd_image_invert(struct sd_image_size size, const uint8_t *in, uint8_t *out);

/* Stretches each colour to 0 .. 255. */
void sd_image_autocontrast(struct sd_image_size size, const uint8_t *in, uint8_t *out);

/* Gives each colour a histogram as flat as it can be. */
void sd_image_equalize(struct sd_image_size size, const uint8_t *in, uint8_t *out);

#endif
