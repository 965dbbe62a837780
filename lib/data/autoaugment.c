/* autoaugment.c: AutoAugment's operations on an image (the tables are in autoaugment_table.h). */
#include <string.h>

#include "data/autoaugment.h"
#include "data/autoaugment_table.h"
#include "data/imageops.h"

const char *const sd_aa_op_name[SD_NAA_OP] = {
	"shearX", "shearY", "translateX", "translateY", "rotate", "color", "posterize", "solarize",
	"contrast", "sharpness", "brightness", "autocontrast", "equalize", "invert", "cutout",
};

const struct sd_aa_pair *sd_autoaugment_pairs(enum sd_autoaugment policy, int *n)
{
	return sd_aa_pairs(policy, n);
}

void sd_autoaugment_draw(enum sd_autoaugment policy, const uint32_t word[4], struct sd_aa_params *params)
{
	sd_aa_draw(policy, word, params);
}

void sd_aa_apply(enum sd_aa_op op, int level, int negative, int H, int W, const uint8_t *in, uint8_t *out)
{
	struct sd_image_size size = { SD_AA_CHANNELS, H, W };
	struct sd_aa_amount a = sd_aa_amount(op, level, negative, H, W);

	switch (op) {
	case SD_AA_SHEAR_X:
	case SD_AA_SHEAR_Y:
		sd_image_shear(size, in, out, a.y, a.x);
		break;
	case SD_AA_TRANSLATE_X:
	case SD_AA_TRANSLATE_Y:
		sd_image_translate(size, in, out, a.y, a.x);
		break;
	case SD_AA_ROTATE:
		sd_image_rotate(size, in, out, a.x, a.y);
		break;
	case SD_AA_COLOR:
		sd_image_color(size, in, out, a.factor);
		break;
	case SD_AA_POSTERIZE:
		sd_image_posterize(size, in, out, a.n);
		break;
	case SD_AA_SOLARIZE:
		sd_image_solarize(size, in, out, a.n);
		break;
	case SD_AA_CONTRAST:
		sd_image_contrast(size, in, out, a.factor);
		break;
	case SD_AA_SHARPNESS:
		sd_image_sharpness(size, in, out, a.factor);
		break;
	case SD_AA_BRIGHTNESS:
		sd_image_brightness(size, in, out, a.factor);
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
	int n;
	const struct sd_aa_pair *pair = &sd_aa_pairs(policy, &n)[params->pair];
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
