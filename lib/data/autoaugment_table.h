/* autoaugment_table.h: the policies as tables, and what their levels mean, for host and device. */
#ifndef SD_DATA_AUTOAUGMENT_TABLE_H
#define SD_DATA_AUTOAUGMENT_TABLE_H

#include <stddef.h>

#include "base/hd.h"
#include "base/philox.h"
#include "data/autoaugment.h"

/* ---- policies: probability in tenths, operation, level ---- */

SD_TABLE struct sd_aa_pair sd_aa_cifar10[] = {
	{ { { 1, SD_AA_INVERT, 7 }, { 2, SD_AA_CONTRAST, 6 } } },
	{ { { 7, SD_AA_ROTATE, 2 }, { 3, SD_AA_TRANSLATE_X, 9 } } },
	{ { { 8, SD_AA_SHARPNESS, 1 }, { 9, SD_AA_SHARPNESS, 3 } } },
	{ { { 5, SD_AA_SHEAR_Y, 8 }, { 7, SD_AA_TRANSLATE_Y, 9 } } },
	{ { { 5, SD_AA_AUTOCONTRAST, 8 }, { 9, SD_AA_EQUALIZE, 2 } } },
	{ { { 4, SD_AA_SOLARIZE, 5 }, { 9, SD_AA_AUTOCONTRAST, 3 } } },
	{ { { 9, SD_AA_TRANSLATE_Y, 9 }, { 7, SD_AA_TRANSLATE_Y, 9 } } },
	{ { { 9, SD_AA_AUTOCONTRAST, 2 }, { 8, SD_AA_SOLARIZE, 3 } } },
	{ { { 8, SD_AA_EQUALIZE, 8 }, { 1, SD_AA_INVERT, 3 } } },
	{ { { 7, SD_AA_TRANSLATE_Y, 9 }, { 9, SD_AA_AUTOCONTRAST, 1 } } },
	{ { { 4, SD_AA_SOLARIZE, 5 }, { 0, SD_AA_AUTOCONTRAST, 2 } } },
	{ { { 7, SD_AA_TRANSLATE_Y, 9 }, { 7, SD_AA_TRANSLATE_Y, 9 } } },
	{ { { 9, SD_AA_AUTOCONTRAST, 0 }, { 4, SD_AA_SOLARIZE, 3 } } },
	{ { { 7, SD_AA_EQUALIZE, 5 }, { 1, SD_AA_INVERT, 3 } } },
	{ { { 7, SD_AA_TRANSLATE_Y, 9 }, { 7, SD_AA_TRANSLATE_Y, 9 } } },
	{ { { 4, SD_AA_SOLARIZE, 5 }, { 9, SD_AA_AUTOCONTRAST, 1 } } },
	{ { { 8, SD_AA_TRANSLATE_Y, 9 }, { 9, SD_AA_TRANSLATE_Y, 9 } } },
	{ { { 8, SD_AA_AUTOCONTRAST, 0 }, { 7, SD_AA_TRANSLATE_Y, 9 } } },
	{ { { 2, SD_AA_TRANSLATE_Y, 7 }, { 9, SD_AA_COLOR, 6 } } },
	{ { { 7, SD_AA_EQUALIZE, 6 }, { 4, SD_AA_COLOR, 9 } } },
	{ { { 2, SD_AA_SHEAR_Y, 7 }, { 3, SD_AA_POSTERIZE, 7 } } },
	{ { { 4, SD_AA_COLOR, 3 }, { 6, SD_AA_BRIGHTNESS, 7 } } },
	{ { { 3, SD_AA_SHARPNESS, 9 }, { 7, SD_AA_BRIGHTNESS, 9 } } },
	{ { { 6, SD_AA_EQUALIZE, 5 }, { 5, SD_AA_EQUALIZE, 1 } } },
	{ { { 6, SD_AA_CONTRAST, 7 }, { 6, SD_AA_SHARPNESS, 5 } } },
	{ { { 3, SD_AA_BRIGHTNESS, 7 }, { 5, SD_AA_AUTOCONTRAST, 8 } } },
	{ { { 9, SD_AA_AUTOCONTRAST, 4 }, { 5, SD_AA_AUTOCONTRAST, 6 } } },
	{ { { 3, SD_AA_SOLARIZE, 5 }, { 6, SD_AA_EQUALIZE, 5 } } },
	{ { { 2, SD_AA_TRANSLATE_Y, 4 }, { 3, SD_AA_SHARPNESS, 3 } } },
	{ { { 0, SD_AA_BRIGHTNESS, 8 }, { 8, SD_AA_COLOR, 8 } } },
	{ { { 2, SD_AA_SOLARIZE, 6 }, { 8, SD_AA_COLOR, 6 } } },
	{ { { 2, SD_AA_SOLARIZE, 6 }, { 8, SD_AA_AUTOCONTRAST, 1 } } },
	{ { { 4, SD_AA_SOLARIZE, 1 }, { 6, SD_AA_EQUALIZE, 5 } } },
	{ { { 0, SD_AA_BRIGHTNESS, 0 }, { 5, SD_AA_SOLARIZE, 2 } } },
	{ { { 9, SD_AA_AUTOCONTRAST, 5 }, { 5, SD_AA_BRIGHTNESS, 3 } } },
	{ { { 7, SD_AA_CONTRAST, 5 }, { 0, SD_AA_BRIGHTNESS, 2 } } },
	{ { { 2, SD_AA_SOLARIZE, 8 }, { 1, SD_AA_SOLARIZE, 5 } } },
	{ { { 5, SD_AA_CONTRAST, 1 }, { 2, SD_AA_TRANSLATE_Y, 9 } } },
	{ { { 6, SD_AA_AUTOCONTRAST, 5 }, { 0, SD_AA_TRANSLATE_Y, 9 } } },
	{ { { 9, SD_AA_AUTOCONTRAST, 4 }, { 8, SD_AA_EQUALIZE, 4 } } },
	{ { { 0, SD_AA_BRIGHTNESS, 7 }, { 4, SD_AA_EQUALIZE, 7 } } },
	{ { { 2, SD_AA_SOLARIZE, 5 }, { 7, SD_AA_EQUALIZE, 5 } } },
	{ { { 6, SD_AA_EQUALIZE, 8 }, { 6, SD_AA_COLOR, 2 } } },
	{ { { 3, SD_AA_COLOR, 7 }, { 2, SD_AA_COLOR, 4 } } },
	{ { { 5, SD_AA_AUTOCONTRAST, 2 }, { 7, SD_AA_SOLARIZE, 2 } } },
	{ { { 2, SD_AA_AUTOCONTRAST, 0 }, { 1, SD_AA_EQUALIZE, 0 } } },
	{ { { 6, SD_AA_SHEAR_Y, 5 }, { 6, SD_AA_EQUALIZE, 5 } } },
	{ { { 9, SD_AA_BRIGHTNESS, 3 }, { 4, SD_AA_AUTOCONTRAST, 1 } } },
	{ { { 8, SD_AA_EQUALIZE, 8 }, { 7, SD_AA_EQUALIZE, 7 } } },
	{ { { 7, SD_AA_EQUALIZE, 7 }, { 5, SD_AA_SOLARIZE, 0 } } },
	{ { { 8, SD_AA_EQUALIZE, 4 }, { 8, SD_AA_TRANSLATE_Y, 9 } } },
	{ { { 8, SD_AA_TRANSLATE_Y, 9 }, { 6, SD_AA_TRANSLATE_Y, 9 } } },
	{ { { 9, SD_AA_TRANSLATE_Y, 0 }, { 5, SD_AA_TRANSLATE_Y, 9 } } },
	{ { { 5, SD_AA_AUTOCONTRAST, 3 }, { 3, SD_AA_SOLARIZE, 4 } } },
	{ { { 5, SD_AA_SOLARIZE, 3 }, { 4, SD_AA_EQUALIZE, 4 } } },
	{ { { 7, SD_AA_COLOR, 7 }, { 5, SD_AA_TRANSLATE_X, 8 } } },
	{ { { 3, SD_AA_EQUALIZE, 7 }, { 4, SD_AA_AUTOCONTRAST, 8 } } },
	{ { { 4, SD_AA_TRANSLATE_Y, 3 }, { 2, SD_AA_SHARPNESS, 6 } } },
	{ { { 9, SD_AA_BRIGHTNESS, 6 }, { 2, SD_AA_COLOR, 8 } } },
	{ { { 5, SD_AA_SOLARIZE, 2 }, { 0, SD_AA_INVERT, 3 } } },
	{ { { 1, SD_AA_AUTOCONTRAST, 5 }, { 0, SD_AA_BRIGHTNESS, 0 } } },
	{ { { 2, SD_AA_CUTOUT, 4 }, { 1, SD_AA_EQUALIZE, 1 } } },
	{ { { 7, SD_AA_EQUALIZE, 7 }, { 6, SD_AA_AUTOCONTRAST, 4 } } },
	{ { { 1, SD_AA_COLOR, 8 }, { 2, SD_AA_SHEAR_Y, 3 } } },
	{ { { 4, SD_AA_SHEAR_Y, 2 }, { 7, SD_AA_ROTATE, 0 } } },
	{ { { 1, SD_AA_SHEAR_Y, 3 }, { 9, SD_AA_AUTOCONTRAST, 5 } } },
	{ { { 3, SD_AA_TRANSLATE_Y, 6 }, { 3, SD_AA_CUTOUT, 3 } } },
	{ { { 5, SD_AA_EQUALIZE, 0 }, { 6, SD_AA_SOLARIZE, 6 } } },
	{ { { 3, SD_AA_AUTOCONTRAST, 5 }, { 2, SD_AA_ROTATE, 7 } } },
	{ { { 8, SD_AA_EQUALIZE, 2 }, { 4, SD_AA_INVERT, 0 } } },
	{ { { 9, SD_AA_EQUALIZE, 5 }, { 7, SD_AA_COLOR, 0 } } },
	{ { { 1, SD_AA_EQUALIZE, 1 }, { 1, SD_AA_SHEAR_Y, 3 } } },
	{ { { 7, SD_AA_AUTOCONTRAST, 3 }, { 7, SD_AA_EQUALIZE, 0 } } },
	{ { { 5, SD_AA_BRIGHTNESS, 1 }, { 1, SD_AA_CONTRAST, 7 } } },
	{ { { 1, SD_AA_CONTRAST, 4 }, { 6, SD_AA_SOLARIZE, 5 } } },
	{ { { 2, SD_AA_SOLARIZE, 3 }, { 0, SD_AA_SHEAR_X, 0 } } },
	{ { { 3, SD_AA_TRANSLATE_X, 0 }, { 6, SD_AA_TRANSLATE_X, 0 } } },
	{ { { 5, SD_AA_EQUALIZE, 9 }, { 6, SD_AA_TRANSLATE_Y, 7 } } },
	{ { { 1, SD_AA_SHEAR_X, 0 }, { 5, SD_AA_SHARPNESS, 1 } } },
	{ { { 8, SD_AA_EQUALIZE, 6 }, { 3, SD_AA_INVERT, 6 } } },
	{ { { 3, SD_AA_AUTOCONTRAST, 9 }, { 5, SD_AA_CUTOUT, 3 } } },
	{ { { 4, SD_AA_SHEAR_X, 4 }, { 9, SD_AA_AUTOCONTRAST, 2 } } },
	{ { { 0, SD_AA_SHEAR_X, 3 }, { 0, SD_AA_POSTERIZE, 3 } } },
	{ { { 4, SD_AA_SOLARIZE, 3 }, { 2, SD_AA_COLOR, 4 } } },
	{ { { 1, SD_AA_EQUALIZE, 4 }, { 7, SD_AA_EQUALIZE, 6 } } },
	{ { { 3, SD_AA_EQUALIZE, 8 }, { 4, SD_AA_AUTOCONTRAST, 3 } } },
	{ { { 6, SD_AA_SOLARIZE, 4 }, { 7, SD_AA_AUTOCONTRAST, 6 } } },
	{ { { 2, SD_AA_AUTOCONTRAST, 9 }, { 4, SD_AA_BRIGHTNESS, 8 } } },
	{ { { 1, SD_AA_EQUALIZE, 0 }, { 0, SD_AA_EQUALIZE, 6 } } },
	{ { { 8, SD_AA_EQUALIZE, 4 }, { 0, SD_AA_EQUALIZE, 4 } } },
	{ { { 5, SD_AA_EQUALIZE, 5 }, { 1, SD_AA_AUTOCONTRAST, 2 } } },
	{ { { 5, SD_AA_SOLARIZE, 5 }, { 9, SD_AA_AUTOCONTRAST, 5 } } },
	{ { { 6, SD_AA_AUTOCONTRAST, 1 }, { 7, SD_AA_AUTOCONTRAST, 8 } } },
	{ { { 2, SD_AA_EQUALIZE, 0 }, { 1, SD_AA_AUTOCONTRAST, 2 } } },
	{ { { 6, SD_AA_EQUALIZE, 9 }, { 4, SD_AA_EQUALIZE, 4 } } },
};

SD_TABLE struct sd_aa_pair sd_aa_imagenet[] = {
	{ { { 4, SD_AA_POSTERIZE, 8 }, { 6, SD_AA_ROTATE, 9 } } },
	{ { { 6, SD_AA_SOLARIZE, 5 }, { 6, SD_AA_AUTOCONTRAST, 5 } } },
	{ { { 8, SD_AA_EQUALIZE, 8 }, { 6, SD_AA_EQUALIZE, 3 } } },
	{ { { 6, SD_AA_POSTERIZE, 7 }, { 6, SD_AA_POSTERIZE, 6 } } },
	{ { { 4, SD_AA_EQUALIZE, 7 }, { 2, SD_AA_SOLARIZE, 4 } } },
	{ { { 4, SD_AA_EQUALIZE, 4 }, { 8, SD_AA_ROTATE, 8 } } },
	{ { { 6, SD_AA_SOLARIZE, 3 }, { 6, SD_AA_EQUALIZE, 7 } } },
	{ { { 8, SD_AA_POSTERIZE, 5 }, { 10, SD_AA_EQUALIZE, 2 } } },
	{ { { 2, SD_AA_ROTATE, 3 }, { 6, SD_AA_SOLARIZE, 8 } } },
	{ { { 6, SD_AA_EQUALIZE, 8 }, { 4, SD_AA_POSTERIZE, 6 } } },
	{ { { 8, SD_AA_ROTATE, 8 }, { 4, SD_AA_COLOR, 0 } } },
	{ { { 4, SD_AA_ROTATE, 9 }, { 6, SD_AA_EQUALIZE, 2 } } },
	{ { { 0, SD_AA_EQUALIZE, 7 }, { 8, SD_AA_EQUALIZE, 8 } } },
	{ { { 6, SD_AA_INVERT, 4 }, { 10, SD_AA_EQUALIZE, 8 } } },
	{ { { 6, SD_AA_COLOR, 4 }, { 10, SD_AA_CONTRAST, 8 } } },
	{ { { 8, SD_AA_ROTATE, 8 }, { 10, SD_AA_COLOR, 2 } } },
	{ { { 8, SD_AA_COLOR, 8 }, { 8, SD_AA_SOLARIZE, 7 } } },
	{ { { 4, SD_AA_SHARPNESS, 7 }, { 6, SD_AA_INVERT, 8 } } },
	{ { { 6, SD_AA_SHEAR_X, 5 }, { 10, SD_AA_EQUALIZE, 9 } } },
	{ { { 4, SD_AA_COLOR, 0 }, { 6, SD_AA_EQUALIZE, 3 } } },
	{ { { 4, SD_AA_EQUALIZE, 7 }, { 2, SD_AA_SOLARIZE, 4 } } },
	{ { { 6, SD_AA_SOLARIZE, 5 }, { 6, SD_AA_AUTOCONTRAST, 5 } } },
	{ { { 6, SD_AA_INVERT, 4 }, { 10, SD_AA_EQUALIZE, 8 } } },
	{ { { 6, SD_AA_COLOR, 4 }, { 10, SD_AA_CONTRAST, 8 } } },
};

/* The pairs of a policy, *n of them. */
SD_TABLE_FN static inline const struct sd_aa_pair *sd_aa_pairs(enum sd_autoaugment policy, int *n)
{
	switch (policy) {
	case SD_AUTOAUGMENT_CIFAR10:
		*n = sizeof sd_aa_cifar10 / sizeof *sd_aa_cifar10;
		return sd_aa_cifar10;
	case SD_AUTOAUGMENT_IMAGENET:
		*n = sizeof sd_aa_imagenet / sizeof *sd_aa_imagenet;
		return sd_aa_imagenet;
	default:
		*n = 0;
		return NULL;
	}
}

/* ---- levels: ten even steps from nothing to the most, as float64 has them ---- */

/* pixels sideways a pixel, up to 0.3 */
SD_TABLE double sd_aa_shear[SD_AA_LEVELS] = {
	0, 0.03333333333333333, 0.06666666666666667, 0.1, 0.13333333333333333, 0.16666666666666666, 0.2,
	0.23333333333333334, 0.26666666666666666, 0.3,
};
/* parts of the side, up to 150 / 331 */
SD_TABLE double sd_aa_translate[SD_AA_LEVELS] = {
	0, 0.050352467270896276, 0.10070493454179255, 0.15105740181268884, 0.2014098690835851,
	0.25176233635448136, 0.3021148036253777, 0.35246727089627394, 0.4028197381671702,
	0.45317220543806647,
};
/* cosine and sine of up to 30 degrees, rounded to 15 places as the original's are */
SD_TABLE double sd_aa_turn[SD_AA_LEVELS][2] = {
	{ 1, 0 },
	{ 0.998308158271268, 0.058144828910476 },
	{ 0.993238357741943, 0.11609291412523 },
	{ 0.984807753012208, 0.17364817766693 },
	{ 0.973044870579824, 0.23061587074244 },
	{ 0.957989512315489, 0.28680323271109 },
	{ 0.939692620785908, 0.342020143325669 },
	{ 0.918216106880274, 0.396079766039157 },
	{ 0.893632640323412, 0.448799180200462 },
	{ 0.866025403784439, 0.5 },
};
/* distance of a factor from 1, up to 0.9 */
SD_TABLE double sd_aa_enhance[SD_AA_LEVELS] = {
	0, 0.1, 0.2, 0.30000000000000004, 0.4, 0.5, 0.6000000000000001, 0.7000000000000001, 0.8, 0.9,
};
SD_TABLE int sd_aa_bits[SD_AA_LEVELS] = { 8, 8, 7, 7, 6, 6, 5, 5, 4, 4 };
/* from 256 down to 0 in steps of 256 / 9; bytes being whole, a threshold is as good as the next whole one */
SD_TABLE int sd_aa_threshold[SD_AA_LEVELS] = { 256, 228, 200, 171, 143, 114, 86, 57, 29, 0 };

/* How much an operation does. */
struct sd_aa_amount {
	double y, x;    /* shear, pixels of a translation; of a rotation, sine and cosine */
	float factor;   /* of blending */
	int n;          /* bits, threshold */
};
SD_TABLE_FN static inline struct sd_aa_amount sd_aa_amount(enum sd_aa_op op, int level, int negative, int H, int W)
{
	struct sd_aa_amount a = { 0, 0, 0, 0 };
	double sign = negative ? -1 : 1;

	switch (op) {
	case SD_AA_SHEAR_X:
		a.x = sign * sd_aa_shear[level];
		break;
	case SD_AA_SHEAR_Y:
		a.y = sign * sd_aa_shear[level];
		break;
	case SD_AA_TRANSLATE_X:
		a.x = sign * sd_rn_mul(sd_aa_translate[level], W);
		break;
	case SD_AA_TRANSLATE_Y:
		a.y = sign * sd_rn_mul(sd_aa_translate[level], H);
		break;
	case SD_AA_ROTATE:
		a.x = sd_aa_turn[level][0];
		a.y = sd_aa_turn[level][1];
		break;
	case SD_AA_COLOR:
	case SD_AA_CONTRAST:
	case SD_AA_SHARPNESS:
	case SD_AA_BRIGHTNESS:
		a.factor = (float)sd_rn_add(1, sign * sd_aa_enhance[level]);
		break;
	case SD_AA_POSTERIZE:
		a.n = sd_aa_bits[level];
		break;
	case SD_AA_SOLARIZE:
		a.n = sd_aa_threshold[level];
		break;
	default:
		break;
	}
	return a;
}

/* sd_autoaugment_draw (autoaugment.h) */
SD_TABLE_FN static inline void sd_aa_draw(enum sd_autoaugment policy, const uint32_t word[4],
	struct sd_aa_params *params)
{
	int n;
	const struct sd_aa_pair *pairs = sd_aa_pairs(policy, &n);

	params->pair = (int)sd_rng_below(word[0], (uint32_t)n);
	for (int i = 0; i < 2; i++) {
		params->done[i] = sd_rng_below(word[1 + i], 10) < pairs[params->pair].step[i].tenths;
		params->negative[i] = word[3] >> (31 - i) & 1;
	}
}

#endif
