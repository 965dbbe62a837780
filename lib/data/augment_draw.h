/* augment_draw.h: what is drawn for one image (augment.h), for host and device. */
#ifndef SD_DATA_AUGMENT_DRAW_H
#define SD_DATA_AUGMENT_DRAW_H

#include <math.h>
#include <string.h>

#include "base/hd.h"
#include "base/philox.h"
#include "data/augment.h"
#include "data/autoaugment_table.h"

/* In [0, 1). */
SD_HD static inline double sd_draw_unit(uint32_t word)
{
	return (double)word * (1.0 / 4294967296.0);
}
/* In [least, most). */
SD_HD static inline double sd_draw_between(double least, double most, uint32_t word)
{
	return sd_rn_add(least, sd_rn_mul(most - least, sd_draw_unit(word)));
}

/* sd_eraser_box (augment.h) */
SD_HD static inline void sd_draw_box(struct sd_augment_params *params, double area, double aspect, int H, int W,
	int y, int x)
{
	double pixels = area * H * W;
	int h = (int)sqrt(pixels * aspect), w = (int)sqrt(pixels / aspect);

	params->box_y = y;
	params->box_x = x;
	params->box_h = h < H - y ? h : H - y;
	params->box_w = w < W - x ? w : W - x;
}

SD_HD static inline void sd_draw_eraser(struct sd_augment_params *params, struct sd_rng_key key, uint32_t sample,
	uint32_t when, int H, int W)
{
	uint32_t ctr[4] = { sample, when, SD_BLOCK_ERASER, 0 }, word[4], place[4];

	sd_rng_block(key, ctr, word);
	if (sd_draw_unit(word[0]) > SD_ERASER_P)
		return;
	ctr[2] = SD_BLOCK_ERASER_PLACE;
	sd_rng_block(key, ctr, place);
	sd_draw_box(params, sd_draw_between(SD_ERASER_AREA_MIN, SD_ERASER_AREA_MAX, word[1]),
		sd_draw_between(SD_ERASER_ASPECT, 1 / SD_ERASER_ASPECT, word[2]), H, W,
		(int)sd_rng_below(place[1], (uint32_t)H), (int)sd_rng_below(place[0], (uint32_t)W));
	params->key = key;
	params->sample = sample;
	params->when = when;
}

/* The words for elements i - i % 4 to i - i % 4 + 3 of the eraser's box, and what one fills an element with. */
SD_HD static inline void sd_draw_noise(const struct sd_augment_params *p, uint32_t i, uint32_t word[4])
{
	uint32_t ctr[4] = { p->sample, p->when, SD_BLOCK_ERASER_PIXELS, i / 4 };

	sd_rng_block(p->key, ctr, word);
}
SD_HD static inline float sd_noise(uint32_t word)
{
	return 255 * sd_rng_unit(word);
}

/* sd_augment_draw (augment.h) */
SD_TABLE_FN static inline void sd_draw_augment(const struct sd_augment *policy, struct sd_rng_key key,
	uint32_t sample, uint32_t when, int H, int W, struct sd_augment_params *params)
{
	uint32_t ctr[4] = { sample, when, SD_BLOCK_CROP_MIRROR, 0 }, word[4];

	memset(params, 0, sizeof(*params));
	if (policy->padding > 0 || policy->mirror) {
		uint32_t places = 2 * (uint32_t)policy->padding + 1;

		sd_rng_block(key, ctr, word);
		params->crop_y = (int)sd_rng_below(word[0], places);
		params->crop_x = (int)sd_rng_below(word[1], places);
		params->mirror = policy->mirror && word[2] >> 31;
	}
	if (policy->cutout_length > 1) {
		ctr[2] = SD_BLOCK_CUTOUT;
		sd_rng_block(key, ctr, word);
		params->holes = policy->cutout_holes > 1 ? SD_MAX_HOLES : 1;
		for (int i = 0; i < params->holes; i++) {
			params->hole_y[i] = (int)sd_rng_below(word[2 * i], (uint32_t)H);
			params->hole_x[i] = (int)sd_rng_below(word[2 * i + 1], (uint32_t)W);
		}
	}
	if (policy->autoaugment) {
		ctr[2] = SD_BLOCK_AUTOAUGMENT;
		sd_rng_block(key, ctr, word);
		sd_aa_draw(policy->autoaugment, word, &params->autoaugment);
	}
	if (policy->eraser)
		sd_draw_eraser(params, key, sample, when, H, W);
}

#endif
