/* picture.h: JPEG and PNG files to pixels, and pixels to PNG.
 *
 * JPEG is decoded by libjpeg-turbo with its accurate integer transform and smooth upsampling, which is what
 * Pillow does; the version of the library is part of the claim where it was used.  Nothing in a file is
 * believed: damaged and cut files are errors. */
#ifndef SD_DATA_PICTURE_H
#define SD_DATA_PICTURE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Pixels of a side, and of a whole picture. */
enum { SD_PICTURE_SIDE = 16384, SD_PICTURE_PIXELS = 1 << 26 };

enum sd_picture_format { SD_PICTURE_JPEG = 1, SD_PICTURE_PNG };

struct sd_picture {
	int H, W;
	uint8_t *pixels;  /* (H, W, 3): red, green, blue; owned */
	enum sd_picture_format format;
};

/* Decodes a file in memory, whichever of the two its first bytes say it is.  Grey becomes equal colours,
 * an alpha channel is dropped, 16 bits are scaled to 8, CMYK is converted as Pillow does.  -1 with a
 * message that begins with `name`. */
int sd_picture_decode(struct sd_picture *p, const char *name, const uint8_t *file, size_t size);
void sd_picture_release(struct sd_picture *p);

/* Whether a file name ends like that of a picture: .jpg, .jpeg or .png in any case. */
int sd_picture_name(const char *name);

/* Brings the shorter side to `size` pixels (bilinear, each output pixel averaging over what it stands
 * for, the bytes those of Pillow 9.4) and cuts out the middle `size` x `size`.  -1 with a message. */
int sd_picture_resize(struct sd_picture *p, int size);

/* Luma of a pixel, as Pillow's conversion to grey: 0.299 R + 0.587 G + 0.114 B in 16 bits, rounded. */
static inline uint8_t sd_picture_luma(const uint8_t rgb[3])
{
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): callers' arrays are longer */
	return (uint8_t)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

/* Writes (H, W, 3) bytes as a PNG file.  -1 with a message. */
int sd_picture_write(FILE *f, const char *name, int H, int W, const uint8_t *pixels);

/* Version of the JPEG library that was loaded: "libjpeg-turbo 2.1.5". */
const char *sd_picture_jpeg_library(void);

#endif
