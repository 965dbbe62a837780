/* autoaugment.h: AutoAugment (Cubuk and others, "AutoAugment: learning augmentation policies from data",
 * CVPR 2019): one of a policy's pairs of operations on an image, each done with a probability of its own.
 *
 * Policies, levels and bytes are the reference's: CIFAR-10's policy has 95 pairs, ImageNet's 24, four of
 * them twice; a rotation is never to the right; `cutout` does nothing. */
#ifndef SD_DATA_AUTOAUGMENT_H
#define SD_DATA_AUTOAUGMENT_H

#include <stdint.h>

enum sd_autoaugment {
	SD_AUTOAUGMENT_NONE,
	SD_AUTOAUGMENT_CIFAR10,
	SD_AUTOAUGMENT_IMAGENET,
	SD_NAUTOAUGMENT
};

enum sd_aa_op {
	SD_AA_SHEAR_X, SD_AA_SHEAR_Y, SD_AA_TRANSLATE_X, SD_AA_TRANSLATE_Y, SD_AA_ROTATE, SD_AA_COLOR,
	SD_AA_POSTERIZE, SD_AA_SOLARIZE, SD_AA_CONTRAST, SD_AA_SHARPNESS, SD_AA_BRIGHTNESS,
	SD_AA_AUTOCONTRAST, SD_AA_EQUALIZE, SD_AA_INVERT, SD_AA_CUTOUT,
	SD_NAA_OP
};

enum { SD_AA_LEVELS = 10, SD_AA_CHANNELS = 3 };

/* The reference's names: "shearX", "translateY", "autocontrast". */
extern const char *const sd_aa_op_name[SD_NAA_OP];

/* One operation of a pair. */
struct sd_aa_step {
	uint8_t tenths;  /* the probability, 0 .. 10 */
	uint8_t op;      /* enum sd_aa_op */
	uint8_t level;   /* 0 .. SD_AA_LEVELS - 1 */
};

struct sd_aa_pair {
	struct sd_aa_step step[2];
};

/* The pairs of a policy, *n of them. */
const struct sd_aa_pair *sd_autoaugment_pairs(enum sd_autoaugment policy, int *n);

/* What was drawn for one image. */
struct sd_aa_params {
	int pair;
	int done[2];      /* whether the step is taken */
	int negative[2];  /* whether its amount is; rotations and what has no amount don't care */
};

/* From one block of random numbers; the words are for: pair, first and second step's doing, signs (the
 * upper bit is the first step's, the next the second's). */
void sd_autoaugment_draw(enum sd_autoaugment policy, const uint32_t word[4], struct sd_aa_params *params);

/* One operation on an image (SD_AA_CHANNELS, H, W) of red, green and blue; out doesn't overlap in. */
void sd_aa_apply(enum sd_aa_op op, int level, int negative, int H, int W, const uint8_t *in, uint8_t *out);

/* Both steps, in place; `work` has the image's size. */
void sd_autoaugment_apply(enum sd_autoaugment policy, const struct sd_aa_params *params, int H, int W,
			  uint8_t *image, uint8_t *work);

#endif
