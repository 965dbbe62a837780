/* dataset_file.c: a data set as the payload of an artifact, described in sd-dataset(5). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artifact/artifact.h"
#include "base/err.h"
#include "base/str.h"
#include "data/dataset.h"

static int put_split(const struct sd_dataset *ds, int split, struct sd_artifact_out *art)
{
	const struct sd_split *sp = &ds->split[split];
	uint64_t images[4] = { sp->n, (uint64_t)ds->C, (uint64_t)ds->H, (uint64_t)ds->W }, n = sp->n;
	char path[64];
	int ret;

	snprintf(path, sizeof(path), "/%s/images", sd_split_name[split]);
	if (sd_artifact_put(art, path, SD_TYPE_U8, 4, images, sp->images, 0))
		return -1;
	snprintf(path, sizeof(path), "/%s/labels", sd_split_name[split]);
	if (ds->nclass <= 256) {
		uint8_t *bytes = sd_xmalloc((size_t)n + 1);

		for (uint64_t i = 0; i < n; i++)
			bytes[i] = (uint8_t)sp->labels[i];
		ret = sd_artifact_put(art, path, SD_TYPE_U8, 1, &n, bytes, 0);
		free(bytes);
	} else {
		ret = sd_artifact_put(art, path, SD_TYPE_I32, 1, &n, sp->labels, 0);
	}
	if (ret)
		return -1;
	snprintf(path, sizeof(path), "/%s/source", sd_split_name[split]);
	return sd_artifact_put(art, path, SD_TYPE_U32, 1, &n, sp->source, 0);
}

int sd_dataset_write(const struct sd_dataset *ds, struct sd_artifact_out *art)
{
	const char *const *classes = (const char *const *)ds->classes;
	uint64_t C = (uint64_t)ds->C;

	for (int s = 0; s < SD_NSPLIT; s++)
		if (put_split(ds, s, art))
			return -1;
	if (sd_artifact_put_text(art, "/name", ds->name, strlen(ds->name)) ||
	    sd_artifact_put_strings(art, "/classes", (uint64_t)ds->nclass, classes) ||
	    sd_artifact_put(art, "/statistics/mean", SD_TYPE_F32, 1, &C, ds->computed_mean, 0) ||
	    sd_artifact_put(art, "/statistics/std", SD_TYPE_F32, 1, &C, ds->computed_std, 0) ||
	    sd_artifact_put(art, "/normalize/mean", SD_TYPE_F32, 1, &C, ds->mean, 0) ||
	    sd_artifact_put(art, "/normalize/std", SD_TYPE_F32, 1, &C, ds->std, 0) ||
	    sd_artifact_put_i64(art, "/augment/padding", ds->padding) ||
	    sd_artifact_put_i64(art, "/augment/mirror", ds->mirror))
		return -1;
	return 0;
}

static int wrong(const struct sd_artifact *art, const char *path, const char *expected)
{
	return sd_error(SD_ERR_DATA, "%s: %s: %s expected", sd_artifact_name(art), path, expected);
}

static int get_split(struct sd_artifact *art, struct sd_dataset *ds, int split)
{
	struct sd_split *sp = &ds->split[split];
	char path[64], expected[96];
	const struct sd_dset *d;

	snprintf(path, sizeof(path), "/%s/images", sd_split_name[split]);
	if (sd_artifact_read(art, path, SD_TYPE_U8, sp->images, (uint64_t)sp->n * sd_dataset_image_bytes(ds)))
		return -1;
	snprintf(path, sizeof(path), "/%s/labels", sd_split_name[split]);
	d = sd_artifact_find(art, path);
	if (d && d->type == SD_TYPE_U8) {
		uint8_t *bytes = sd_artifact_load(art, path, SD_TYPE_U8, &d);

		if (!bytes)
			return -1;
		for (uint32_t i = 0; i < sp->n && d->count == sp->n; i++)
			sp->labels[i] = bytes[i];
		free(bytes);
		if (d->count != sp->n) {
			snprintf(expected, sizeof(expected), "as many labels as images, %u, are", sp->n);
			return wrong(art, path, expected);
		}
	} else if (sd_artifact_read(art, path, SD_TYPE_I32, sp->labels, sp->n)) {
		return -1;
	}
	for (uint32_t i = 0; i < sp->n; i++)
		if (sp->labels[i] < 0 || sp->labels[i] >= ds->nclass) {
			snprintf(expected, sizeof(expected), "label %d of image %u: 0 to %d is",
				 sp->labels[i], i, ds->nclass - 1);
			return wrong(art, path, expected);
		}
	snprintf(path, sizeof(path), "/%s/source", sd_split_name[split]);
	return sd_artifact_read(art, path, SD_TYPE_U32, sp->source, sp->n);
}

static int get_channels(struct sd_artifact *art, const char *path, int C, int deviation, float *to)
{
	if (sd_artifact_read(art, path, SD_TYPE_F32, to, (uint64_t)C))
		return -1;
	for (int c = 0; c < C; c++)
		if (!isfinite(to[c]) || (deviation && !(to[c] > 0)))
			return wrong(art, path, deviation ? "positive numbers are" : "finite numbers are");
	return 0;
}

static int get_number(struct sd_artifact *art, const char *path, int most, int *to)
{
	int64_t value;
	char expected[64];

	if (sd_artifact_read(art, path, SD_TYPE_I64, &value, 1))
		return -1;
	if (value < 0 || value > most) {
		snprintf(expected, sizeof(expected), "a number of 0 to %d is", most);
		return wrong(art, path, expected);
	}
	*to = (int)value;
	return 0;
}

/* An empty data set of the sizes that the file tells. */
static struct sd_dataset *sized(struct sd_artifact *art)
{
	const struct sd_dset *image[SD_NSPLIT], *classes = sd_artifact_find(art, "/classes");
	struct sd_dataset *ds = NULL;
	uint32_t n[SD_NSPLIT];
	char path[64], *name;

	for (int s = 0; s < SD_NSPLIT; s++) {
		const struct sd_dset *d;

		snprintf(path, sizeof(path), "/%s/images", sd_split_name[s]);
		d = image[s] = sd_artifact_find(art, path);
		if (!d || d->type != SD_TYPE_U8 || d->rank != 4 || d->shape[0] > SD_MAX_SAMPLES) {
			wrong(art, path, "bytes of (image, channel, row, column) are");
			return NULL;
		}
		n[s] = (uint32_t)d->shape[0];
		for (int i = 1; i < 4; i++)
			if (d->shape[i] != image[0]->shape[i] || d->shape[i] > SD_MAX_SIDE) {
				wrong(art, path, "images of one size, not too large, are");
				return NULL;
			}
	}
	if (!classes || classes->type != SD_TYPE_STRING || classes->rank != 1 ||
	    classes->shape[0] > SD_MAX_CLASSES) {
		wrong(art, "/classes", "a list of names is");
		return NULL;
	}
	name = sd_artifact_string(art, "/name", 0);
	if (!name)
		return NULL;
	ds = sd_dataset_new(name, (int)image[0]->shape[1], (int)image[0]->shape[2], (int)image[0]->shape[3],
			    (int)classes->shape[0], n);
	free(name);
	if (!ds)
		sd_error_in("%s", sd_artifact_name(art));
	return ds;
}

struct sd_dataset *sd_dataset_open(struct sd_artifact *art)
{
	struct sd_dataset *ds;

	if (sd_artifact_expect(art, "dataset"))
		return NULL;
	ds = sized(art);
	if (!ds)
		return NULL;
	for (int i = 0; i < ds->nclass; i++) {
		char *name = sd_artifact_string(art, "/classes", (uint64_t)i);

		if (!name)
			goto fail;
		free(ds->classes[i]);
		ds->classes[i] = name;
	}
	for (int s = 0; s < SD_NSPLIT; s++)
		if (get_split(art, ds, s))
			goto fail;
	if (get_channels(art, "/statistics/mean", ds->C, 0, ds->computed_mean) ||
	    get_channels(art, "/statistics/std", ds->C, 0, ds->computed_std) ||
	    get_channels(art, "/normalize/mean", ds->C, 0, ds->mean) ||
	    get_channels(art, "/normalize/std", ds->C, 1, ds->std) ||
	    get_number(art, "/augment/padding", SD_MAX_SIDE, &ds->padding) ||
	    get_number(art, "/augment/mirror", 1, &ds->mirror))
		goto fail;
	return ds;
fail:
	sd_dataset_free(ds);
	return NULL;
}
