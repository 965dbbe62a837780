/* augment.c: drawing and applying the augmentation of one image. */
#include <string.h>

#include "base/rng.h"
#include "data/augment.h"
#include "data/augment_draw.h"
#include "data/imageops.h"
#include "data/imageops_pixel.h"

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

void sd_eraser_box(struct sd_augment_params *params, double area, double aspect, int H, int W, int y, int x)
{
	sd_draw_box(params, area, aspect, H, W, y, x);
}

void sd_augment_draw(const struct sd_augment *policy, struct sd_rng_key key, uint32_t sample, uint32_t when,
		     int H, int W, struct sd_augment_params *params)
{
	sd_draw_augment(policy, key, sample, when, H, W, params);
}

/* One row of W values; `shift`: the column of the image that the crop starts at, negative in the padding. */
static void crop_row(const uint8_t *in, const float *value, int W, int shift, int mirror, float *out)
{
	/* columns [first, last) of the crop lie in the image, column x there being x + shift here */
	int first = sd_clip(-shift, W), last = sd_clip(W - shift, W);

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
	int first = sd_clip(-dx, W), last = sd_clip(W - dx, W);

	memset(out, SD_IMAGE_FILL, (size_t)C * (size_t)H * (size_t)W);
	for (int c = 0; c < C; c++)
		for (int y = sd_clip(-dy, H); y < sd_clip(H - dy, H); y++) {
			const uint8_t *from = in + ((size_t)c * H + (y + dy)) * W;
			uint8_t *row = out + ((size_t)c * H + y) * W;

			for (int x = first; x < last; x++)
				row[params->mirror ? W - 1 - x : x] = from[x + dx];
		}
}

static void erase(const struct sd_augment_params *p, int C, int H, int W, float *out)
{
	uint32_t word[4], i = 0;

	for (int c = 0; c < C; c++)
		for (int y = 0; y < p->box_h; y++) {
			float *row = out + ((size_t)c * H + p->box_y + y) * W + p->box_x;

			for (int x = 0; x < p->box_w; x++, i++) {
				if (i % 4 == 0)
					sd_draw_noise(p, i, word);
				row[x] = sd_noise(word[i % 4]);
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
		int y0 = sd_clip(params->hole_y[i] - half, H), y1 = sd_clip(params->hole_y[i] + half, H);
		int x0 = sd_clip(params->hole_x[i] - half, W), x1 = sd_clip(params->hole_x[i] + half, W);
		size_t bytes = (size_t)(x1 - x0) * sizeof(*out);

		for (int c = 0; c < C; c++)
			for (int y = y0; y < y1; y++)
				memset(out + c * plane + (size_t)y * W + x0, 0, bytes);
	}
}
