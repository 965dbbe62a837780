/* augment.c: drawing and applying the augmentation of one image. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "data/augment.h"
#include "data/imageops.h"

void sd_augment_table_init(struct sd_augment_table *t, const struct sd_dataset *ds)
{
	memset(t, 0, sizeof(*t));
	for (int c = 0; c < ds->C; c++)
		for (int v = 0; v < 256; v++) {
			float x = (float)v / 255.0f;

			x -= ds->mean[c];
			t->value[c][v] = x / ds->std[c];
		}
}

struct sd_augment sd_augment_train(const struct sd_dataset *ds, int cutout_length)
{
	return (struct sd_augment){
		.padding = ds->padding,
		.mirror = ds->mirror,
		.cutout_length = cutout_length,
		.cutout_holes = 1,
	};
}

struct sd_rng_key sd_augment_key(uint64_t seed, const char *site)
{
	return sd_rng_key(seed, "augment", site);
}

/* In [0, 1). */
static double unit(uint32_t word)
{
	return (double)word * 0x1p-32;
}

void sd_eraser_box(struct sd_augment_params *params, double area, double aspect, int H, int W, int y, int x)
{
	double pixels = area * H * W;
	int h = (int)sqrt(pixels * aspect), w = (int)sqrt(pixels / aspect);

	params->box_y = y;
	params->box_x = x;
	params->box_h = h < H - y ? h : H - y;
	params->box_w = w < W - x ? w : W - x;
}

static void draw_eraser(struct sd_augment_params *params, struct sd_rng_key key, uint32_t sample, uint32_t when,
			int H, int W)
{
	uint32_t ctr[4] = { sample, when, SD_BLOCK_ERASER, 0 }, word[4], place[4];

	sd_rng_block(key, ctr, word);
	if (unit(word[0]) > SD_ERASER_P)
		return;
	ctr[2] = SD_BLOCK_ERASER_PLACE;
	sd_rng_block(key, ctr, place);
	sd_eraser_box(params, SD_ERASER_AREA_MIN + (SD_ERASER_AREA_MAX - SD_ERASER_AREA_MIN) * unit(word[1]),
		      SD_ERASER_ASPECT + (1 / SD_ERASER_ASPECT - SD_ERASER_ASPECT) * unit(word[2]), H, W,
		      (int)sd_rng_below(place[1], (uint32_t)H), (int)sd_rng_below(place[0], (uint32_t)W));
	params->key = key;
	params->sample = sample;
	params->when = when;
}

void sd_augment_draw(const struct sd_augment *policy, struct sd_rng_key key, uint32_t sample, uint32_t when,
		     int H, int W, struct sd_augment_params *params)
{
	uint32_t ctr[4] = { sample, when, SD_BLOCK_CROP_MIRROR, 0 }, word[4];

	*params = (struct sd_augment_params){ 0 };
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
		sd_autoaugment_draw(policy->autoaugment, word, &params->autoaugment);
	}
	if (policy->eraser)
		draw_eraser(params, key, sample, when, H, W);
}

static int clip(int x, int most)
{
	return x < 0 ? 0 : x > most ? most : x;
}

/* One row of W values; `shift`: the column of the image that the crop starts at, negative in the padding. */
static void crop_row(const uint8_t *in, const float *value, int W, int shift, int mirror, float *out)
{
	/* columns [first, last) of the crop lie in the image, column x there being x + shift here */
	int first = clip(-shift, W), last = clip(W - shift, W);

	if (mirror) {
		for (int x = 0; x < first; x++)
			out[W - 1 - x] = value[0];
		for (int x = first; x < last; x++)
			out[W - 1 - x] = value[in[x + shift]];
		for (int x = last; x < W; x++)
			out[W - 1 - x] = value[0];
	} else {
		for (int x = 0; x < first; x++)
			out[x] = value[0];
		for (int x = first; x < last; x++)
			out[x] = value[in[x + shift]];
		for (int x = last; x < W; x++)
			out[x] = value[0];
	}
}

/* Crop, mirror and normalisation in one go. */
static void crop_values(const struct sd_augment *policy, const struct sd_augment_params *params,
			const struct sd_augment_table *table, int C, int H, int W, const uint8_t *in,
			float *out)
{
	size_t plane = (size_t)H * (size_t)W;
	int dy = params->crop_y - policy->padding, dx = params->crop_x - policy->padding;

	for (int c = 0; c < C; c++) {
		const float *value = table->value[c];

		for (int y = 0; y < H; y++) {
			float *row = out + c * plane + (size_t)y * W;

			if (y + dy >= 0 && y + dy < H)
				crop_row(in + c * plane + (size_t)(y + dy) * W, value, W, dx, params->mirror,
					 row);
			else
				for (int x = 0; x < W; x++)
					row[x] = value[0];
		}
	}
}

/* Crop and mirror of bytes, grey where there is no image. */
static void crop_bytes(const struct sd_augment *policy, const struct sd_augment_params *params, int C, int H,
		       int W, const uint8_t *in, uint8_t *out)
{
	int dy = params->crop_y - policy->padding, dx = params->crop_x - policy->padding;
	int first = clip(-dx, W), last = clip(W - dx, W);

	memset(out, SD_IMAGE_FILL, (size_t)C * (size_t)H * (size_t)W);
	for (int c = 0; c < C; c++)
		for (int y = clip(-dy, H); y < clip(H - dy, H); y++) {
			const uint8_t *from = in + ((size_t)c * H + (y + dy)) * W;
			uint8_t *row = out + ((size_t)c * H + y) * W;

			for (int x = first; x < last; x++)
				row[params->mirror ? W - 1 - x : x] = from[x + dx];
		}
}

static void erase(const struct sd_augment_params *p, int C, int H, int W, float *out)
{
	uint32_t ctr[4] = { p->sample, p->when, SD_BLOCK_ERASER_PIXELS, 0 }, word[4], i = 0;

	for (int c = 0; c < C; c++)
		for (int y = 0; y < p->box_h; y++) {
			float *row = out + ((size_t)c * H + p->box_y + y) * W + p->box_x;

			for (int x = 0; x < p->box_w; x++, i++) {
				if (i % 4 == 0) {
					ctr[3] = i / 4;
					sd_rng_block(p->key, ctr, word);
				}
				row[x] = 255 * sd_rng_unit(word[i % 4]);
			}
		}
}

void sd_augment_apply(const struct sd_augment *policy, const struct sd_augment_params *params,
		      const struct sd_augment_table *table, int C, int H, int W, const uint8_t *in,
		      uint8_t *work, float *out)
{
	size_t plane = (size_t)H * (size_t)W;

	if (policy->autoaugment) {
		crop_bytes(policy, params, C, H, W, in, work);
		sd_autoaugment_apply(policy->autoaugment, &params->autoaugment, H, W, work,
				     work + C * plane);
		for (int c = 0; c < C; c++)
			for (size_t i = c * plane; i < (c + 1) * plane; i++)
				out[i] = table->value[c][work[i]];
	} else {
		crop_values(policy, params, table, C, H, W, in, out);
	}
	if (params->box_h > 0 && params->box_w > 0)
		erase(params, C, H, W, out);
	for (int i = 0; i < params->holes; i++) {
		/* DeVries and Taylor, "Improved regularization of convolutional neural networks with
		 * cutout", 2017; the hole may hang over the edge */
		int half = policy->cutout_length / 2;
		int y0 = clip(params->hole_y[i] - half, H), y1 = clip(params->hole_y[i] + half, H);
		int x0 = clip(params->hole_x[i] - half, W), x1 = clip(params->hole_x[i] + half, W);

		size_t bytes = (size_t)(x1 - x0) * sizeof(*out);

		for (int c = 0; c < C; c++)
			for (int y = y0; y < y1; y++)
				memset(out + c * plane + (size_t)y * W + x0, 0, bytes);
	}
}
