/* autoaugment.c: the policies as tables, and what their levels mean. */
#include <string.h>

#include "base/rng.h"
#include "data/autoaugment.h"
#include "data/imageops.h"

const char *const sd_aa_op_name[SD_NAA_OP] = {
	"shearX", "shearY", "translateX", "translateY", "rotate", "color", "posterize", "solarize",
	"contrast", "sharpness", "brightness", "autocontrast", "equalize", "invert", "cutout",
};

/* ---- policies: probability in tenths, operation, level ---- */

static const struct sd_aa_pair cifar10[] = {
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

static const struct sd_aa_pair imagenet[] = {
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

static const struct {
	const struct sd_aa_pair *pair;
	int n;
} policies[SD_NAUTOAUGMENT] = {
	[SD_AUTOAUGMENT_CIFAR10] = { cifar10, sizeof cifar10 / sizeof *cifar10 },
	[SD_AUTOAUGMENT_IMAGENET] = { imagenet, sizeof imagenet / sizeof *imagenet },
};

const struct sd_aa_pair *sd_autoaugment_pairs(enum sd_autoaugment policy, int *n)
{
	*n = policies[policy].n;
	return policies[policy].pair;
}

/* ---- levels: ten even steps from nothing to the most, as float64 has them ---- */

/* pixels sideways a pixel, up to 0.3 */
static const double shear[SD_AA_LEVELS] = {
	0, 0.03333333333333333, 0.06666666666666667, 0.1, 0.13333333333333333, 0.16666666666666666, 0.2,
	0.23333333333333334, 0.26666666666666666, 0.3,
};
/* parts of the side, up to 150 / 331 */
static const double translate[SD_AA_LEVELS] = {
	0, 0.050352467270896276, 0.10070493454179255, 0.15105740181268884, 0.2014098690835851,
	0.25176233635448136, 0.3021148036253777, 0.35246727089627394, 0.4028197381671702,
	0.45317220543806647,
};
/* cosine and sine of up to 30 degrees, rounded to 15 places as the original's are */
static const double turn[SD_AA_LEVELS][2] = {
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
static const double enhance[SD_AA_LEVELS] = {
	0, 0.1, 0.2, 0.30000000000000004, 0.4, 0.5, 0.6000000000000001, 0.7000000000000001, 0.8, 0.9,
};
static const int bits[SD_AA_LEVELS] = { 8, 8, 7, 7, 6, 6, 5, 5, 4, 4 };
/* from 256 down to 0 in steps of 256 / 9; bytes being whole, a threshold is as good as the next whole one */
static const int threshold[SD_AA_LEVELS] = { 256, 228, 200, 171, 143, 114, 86, 57, 29, 0 };

/* ---- doing it ---- */

void sd_autoaugment_draw(enum sd_autoaugment policy, const uint32_t word[4], struct sd_aa_params *params)
{
	params->pair = (int)sd_rng_below(word[0], (uint32_t)policies[policy].n);
	for (int i = 0; i < 2; i++) {
		const struct sd_aa_step *step = &policies[policy].pair[params->pair].step[i];

		params->done[i] = sd_rng_below(word[1 + i], 10) < step->tenths;
		params->negative[i] = word[3] >> (31 - i) & 1;
	}
}

void sd_aa_apply(enum sd_aa_op op, int level, int negative, int H, int W, const uint8_t *in, uint8_t *out)
{
	struct sd_image_size size = { SD_AA_CHANNELS, H, W };
	double sign = negative ? -1 : 1;
	float factor = (float)(1 + sign * enhance[level]);

	switch (op) {
	case SD_AA_SHEAR_X:
		sd_image_shear(size, in, out, 0, sign * shear[level]);
		break;
	case SD_AA_SHEAR_Y:
		sd_image_shear(size, in, out, sign * shear[level], 0);
		break;
	case SD_AA_TRANSLATE_X:
		sd_image_translate(size, in, out, 0, sign * (translate[level] * W));
		break;
	case SD_AA_TRANSLATE_Y:
		sd_image_translate(size, in, out, sign * (translate[level] * H), 0);
		break;
	case SD_AA_ROTATE:
		sd_image_rotate(size, in, out, turn[level][0], turn[level][1]);
		break;
	case SD_AA_COLOR:
		sd_image_color(size, in, out, factor);
		break;
	case SD_AA_POSTERIZE:
		sd_image_posterize(size, in, out, bits[level]);
		break;
	case SD_AA_SOLARIZE:
		sd_image_solarize(size, in, out, threshold[level]);
		break;
	case SD_AA_CONTRAST:
		sd_image_contrast(size, in, out, factor);
		break;
	case SD_AA_SHARPNESS:
		sd_image_sharpness(size, in, out, factor);
		break;
	case SD_AA_BRIGHTNESS:
		sd_image_brightness(size, in, out, factor);
		break;
	case SD_AA_AUTOCONTRAST:
		sd_image_autocontrast(size, in, out);
		break;
	case SD_AA_EQUALIZE:
		sd_image_equalize(size, in, out);
		break;
	case SD_AA_INVERT:
		sd_image_invert(size, in, out);
		break;
	case SD_AA_CUTOUT:
	case SD_NAA_OP:
		memcpy(out, in, (size_t)SD_AA_CHANNELS * (size_t)H * (size_t)W);
		break;
	}
}

void sd_autoaugment_apply(enum sd_autoaugment policy, const struct sd_aa_params *params, int H, int W,
			  uint8_t *image, uint8_t *work)
{
	const struct sd_aa_pair *pair = &policies[policy].pair[params->pair];
	uint8_t *now = image, *next = work;

	for (int i = 0; i < 2; i++) {
		uint8_t *swap = now;

		if (!params->done[i])
			continue;
		sd_aa_apply(pair->step[i].op, pair->step[i].level, params->negative[i], H, W, now, next);
		now = next;
		next = swap;
	}
	if (now != image)
		memcpy(image, now, (size_t)SD_AA_CHANNELS * (size_t)H * (size_t)W);
}
