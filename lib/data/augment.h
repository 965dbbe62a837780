/* augment.h: from the bytes of an image to the float32 a network sees.
 *
 * The order is the reference's: padding and random crop, mirror, AutoAugment, x / 255, (x - mean) / std,
 * random eraser, cutout.  So a padded pixel is a black one, or with AutoAugment a grey one (128),
 * normalised, and a cut-out one is exactly 0.  What happens to an image is drawn first (sd_augment_draw),
 * as a pure function of seed, image and epoch or step, and then applied (sd_augment_apply); neither depends
 * on the thread or the place in a batch. */
#ifndef SD_DATA_AUGMENT_H
#define SD_DATA_AUGMENT_H

#include <stdint.h>

#include "base/rng.h"
#include "data/autoaugment.h"
#include "data/dataset.h"

enum { SD_MAX_HOLES = 2 };

/* What may be done to an image.  All zero: nothing but normalisation, as in evaluation. */
struct sd_augment {
	int padding;        /* pixels on each side before a crop of the old size; 0: no crop */
	int mirror;         /* mirror left to right with probability one half */
	int cutout_length;  /* side of a square hole; 0: none.  Odd lengths give one less, as the reference */
	int cutout_holes;   /* how many holes (0 counts as 1, at most SD_MAX_HOLES) */
	int eraser;         /* whether random boxes are filled with noise */
	enum sd_autoaugment autoaugment;  /* its policy, for SD_AA_CHANNELS only; 0: none */
};

/* Which block of random numbers (third counter word, rng.h) decides what; a block is four words.
 * New kinds of augmentation take new numbers, so that they leave the old draws as they are. */
enum sd_augment_block {
	SD_BLOCK_CROP_MIRROR = 0,  /* words: crop row, crop column, mirror, unused */
	SD_BLOCK_CUTOUT = 1,       /* words: row and column of hole 0, row and column of hole 1 */
	SD_BLOCK_AUTOAUGMENT = 2,  /* words: see sd_autoaugment_draw */
	SD_BLOCK_ERASER = 3,       /* words: whether, area, aspect, unused */
	SD_BLOCK_ERASER_PLACE = 4, /* words: column, row, unused, unused */
	SD_BLOCK_ERASER_PIXELS = 5, /* word i % 4 of the block with fourth counter word i / 4: element i of the
	                             * box, (C, height, width) */
};

/* What was drawn for one image. */
struct sd_augment_params {
	int crop_y, crop_x;                /* 0 .. 2 * padding; `padding` leaves the image in place */
	int mirror;
	int holes;
	int hole_y[SD_MAX_HOLES], hole_x[SD_MAX_HOLES];  /* centres, anywhere in the image */
	struct sd_aa_params autoaugment;
	int box_y, box_x, box_h, box_w;    /* what the eraser fills; may be empty */
	/* where the noise comes from */
	struct sd_rng_key key;
	uint32_t sample, when;
};

/* The eraser's box (Zhong and others, "Random erasing data augmentation", AAAI 2020), as the reference has
 * it: of sqrt(area / aspect) by sqrt(area * aspect) pixels, its first corner anywhere in the image, cut off
 * at the other two sides.  area: part of the image, in [SD_ERASER_AREA_MIN, SD_ERASER_AREA_MAX); aspect:
 * height by width, in [SD_ERASER_ASPECT, 1 / SD_ERASER_ASPECT).  The reference erases if its draw is not
 * over SD_ERASER_P, and fills each channel of each pixel with a number in [0, 255) after the normalisation,
 * which puts it far outside of what an image has there: kept, as it changes numbers. */
#define SD_ERASER_P 0.66
#define SD_ERASER_AREA_MIN 0.02
#define SD_ERASER_AREA_MAX 0.4
#define SD_ERASER_ASPECT 0.3
void sd_eraser_box(struct sd_augment_params *params, double area, double aspect, int H, int W, int y, int x);

/* The (value - mean) / std of every byte, computed in float32 in the reference's order: exact for all
 * engines, and faster than the arithmetic. */
struct sd_augment_table {
	float value[SD_MAX_CHANNELS][256];
};
void sd_augment_table_init(struct sd_augment_table *t, const struct sd_dataset *ds);

/* The reference's training transform for a data set: padding and mirror as the set says, and a hole of
 * `cutout_length` pixels (0: none). */
struct sd_augment sd_augment_train(const struct sd_dataset *ds, int cutout_length);

/* The key for all images of a run: purpose "augment", site "train" or "valid". */
struct sd_rng_key sd_augment_key(uint64_t seed, const char *site);

/* Draws for one image; `when` is the epoch ("train") or the global step ("valid"). */
void sd_augment_draw(const struct sd_augment *policy, struct sd_rng_key key, uint32_t sample, uint32_t when,
		     int H, int W, struct sd_augment_params *params);

/* in: (C, H, W) bytes; out: (C, H, W) float32; work: 2 * C * H * W bytes, which may be NULL without
 * AutoAugment. */
void sd_augment_apply(const struct sd_augment *policy, const struct sd_augment_params *params,
		      const struct sd_augment_table *table, int C, int H, int W, const uint8_t *in,
		      uint8_t *work, float *out);

#endif
