/* dataset.c: data sets in memory: making, measuring, choosing from them.  The artifact is in
 * dataset_file.c. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "data/dataset.h"

const char *const sd_split_name[SD_NSPLIT] = { "train", "test" };

struct sd_dataset *sd_dataset_new(const char *name, int C, int H, int W, int nclass,
				  const uint32_t n[SD_NSPLIT])
{
	struct sd_dataset *ds;

	if (C < 1 || C > SD_MAX_CHANNELS || H < 1 || H > SD_MAX_SIDE || W < 1 || W > SD_MAX_SIDE) {
		sd_error(SD_ERR_DATA, "images of %d x %d pixels in %d channels (at most %d x %d in %d)",
			 H, W, C, SD_MAX_SIDE, SD_MAX_SIDE, SD_MAX_CHANNELS);
		return NULL;
	}
	if (nclass < 1 || nclass > SD_MAX_CLASSES) {
		sd_error(SD_ERR_DATA, "%d classes (1 to %d)", nclass, SD_MAX_CLASSES);
		return NULL;
	}
	ds = calloc(1, sizeof(*ds));
	if (!ds)
		goto nomem;
	strncpy(ds->name, name, sizeof(ds->name) - 1);
	ds->C = C;
	ds->H = H;
	ds->W = W;
	ds->nclass = nclass;
	ds->classes = calloc((size_t)nclass, sizeof(*ds->classes));
	if (!ds->classes)
		goto nomem;
	for (int i = 0; i < nclass; i++) {
		ds->classes[i] = malloc(12);
		if (!ds->classes[i])
			goto nomem;
		snprintf(ds->classes[i], 12, "%d", i);
	}
	for (int c = 0; c < C; c++)
		ds->std[c] = ds->computed_std[c] = 1;
	for (int s = 0; s < SD_NSPLIT; s++) {
		struct sd_split *sp = &ds->split[s];

		if (n[s] > SD_MAX_SAMPLES) {
			sd_error(SD_ERR_DATA, "%u images in split '%s' (at most %d)", n[s], sd_split_name[s],
				 SD_MAX_SAMPLES);
			sd_dataset_free(ds);
			return NULL;
		}
		sp->n = n[s];
		sp->images = malloc((size_t)n[s] * sd_dataset_image_bytes(ds) + 1);
		sp->labels = calloc((size_t)n[s] + 1, sizeof(*sp->labels));
		sp->source = calloc((size_t)n[s] + 1, sizeof(*sp->source));
		if (!sp->images || !sp->labels || !sp->source)
			goto nomem;
	}
	return ds;
nomem:
	sd_error(SD_ERR_IO, "out of memory for data set '%s'", name);
	sd_dataset_free(ds);
	return NULL;
}

static void split_release(struct sd_split *sp)
{
	free(sp->images);
	free(sp->labels);
	free(sp->source);
}

void sd_dataset_free(struct sd_dataset *ds)
{
	if (!ds)
		return;
	for (int i = 0; ds->classes && i < ds->nclass; i++)
		free(ds->classes[i]);
	free(ds->classes);
	for (int s = 0; s < SD_NSPLIT; s++)
		split_release(&ds->split[s]);
	free(ds);
}

int sd_dataset_name_class(struct sd_dataset *ds, int label, const char *name)
{
	char *copy;

	if (label < 0 || label >= ds->nclass)
		return sd_error(SD_ERR_BUG, "no class %d in '%s'", label, ds->name);
	copy = strdup(name);
	if (!copy)
		return sd_error(SD_ERR_IO, "out of memory for a class name");
	free(ds->classes[label]);
	ds->classes[label] = copy;
	return 0;
}

void sd_dataset_measure(struct sd_dataset *ds)
{
	const struct sd_split *sp = &ds->split[SD_SPLIT_TRAIN];
	size_t plane = (size_t)ds->H * (size_t)ds->W;

	for (int c = 0; c < ds->C; c++) {
		uint64_t count[256] = { 0 }, n = sp->n * (uint64_t)plane, sum = 0;
		unsigned __int128 squares = 0, spread;

		for (uint32_t i = 0; i < sp->n; i++) {
			const uint8_t *p = sd_dataset_image(ds, SD_SPLIT_TRAIN, i) + (size_t)c * plane;

			for (size_t j = 0; j < plane; j++)
				count[p[j]]++;
		}
		for (unsigned v = 0; v < 256; v++) {
			sum += count[v] * v;
			squares += (unsigned __int128)count[v] * v * v;
		}
		if (!n)
			continue;
		/* n^2 * variance, in whole numbers: nothing cancels */
		spread = squares * n - (unsigned __int128)sum * sum;
		ds->computed_mean[c] = (float)((double)sum / (255.0 * (double)n));
		ds->computed_std[c] = (float)(sqrt((double)spread) / (255.0 * (double)n));
	}
}

/* to = the images order[0..n) of `from`. */
static int gather(const struct sd_split *from, const uint32_t *order, uint32_t n, size_t bytes,
		  struct sd_split *to)
{
	*to = (struct sd_split){
		.n = n,
		.images = malloc(n * bytes + 1),
		.labels = malloc(((size_t)n + 1) * sizeof(*to->labels)),
		.source = malloc(((size_t)n + 1) * sizeof(*to->source)),
	};
	if (!to->images || !to->labels || !to->source) {
		split_release(to);
		*to = (struct sd_split){ 0 };
		return sd_error(SD_ERR_IO, "out of memory for %u images", n);
	}
	for (uint32_t i = 0; i < n; i++) {
		memcpy(to->images + i * bytes, from->images + order[i] * bytes, bytes);
		to->labels[i] = from->labels[order[i]];
		to->source[i] = from->source[order[i]];
	}
	return 0;
}

/* The numbers below n in the order of a seeded shuffle, to be freed. */
static uint32_t *shuffle(uint32_t n, uint64_t seed, const char *site)
{
	uint32_t *order = malloc(((size_t)n + 1) * sizeof(*order));

	if (order)
		sd_rng_permutation(sd_rng_key(seed, "split", site), 0, n, order);
	else
		sd_error(SD_ERR_IO, "out of memory for a shuffle of %u images", n);
	return order;
}

int sd_dataset_part(struct sd_dataset *ds, const char *site)
{
	struct sd_split *sp = &ds->split[SD_SPLIT_TRAIN], head = { 0 }, tail = { 0 };
	size_t bytes = sd_dataset_image_bytes(ds);
	uint32_t n = sp->n / 5 * 4 + sp->n % 5 * 4 / 5, *order = shuffle(sp->n, 0, site);
	int ret = order ? 0 : -1;

	if (!ret)
		ret = gather(sp, order, n, bytes, &head);
	if (!ret)
		ret = gather(sp, order + n, sp->n - n, bytes, &tail);
	free(order);
	if (ret) {
		split_release(&head);
		return -1;
	}
	split_release(sp);
	split_release(&ds->split[SD_SPLIT_TEST]);
	*sp = head;
	ds->split[SD_SPLIT_TEST] = tail;
	return 0;
}

int sd_dataset_limit(struct sd_dataset *ds, int split, uint32_t n, uint64_t seed)
{
	struct sd_split *sp = &ds->split[split], kept;
	uint32_t *order;
	int ret;

	if (n > sp->n)
		return sd_error(SD_ERR_DATA, "cannot keep %u images of split '%s', it has %u", n,
				sd_split_name[split], sp->n);
	order = shuffle(sp->n, seed, sd_split_name[split]);
	if (!order)
		return -1;
	ret = gather(sp, order, n, sd_dataset_image_bytes(ds), &kept);
	if (!ret) {
		split_release(sp);
		*sp = kept;
	}
	free(order);
	return ret;
}

uint32_t sd_dataset_portion(uint32_t n, double portion)
{
	return (uint32_t)floor(portion * n);
}
