/* read_stl10.c: STL-10 in its binary form (Coates, Lee and Ng, "An analysis of single-layer networks in
 * unsupervised feature learning", 2011; https://cs.stanford.edu/~acoates/stl10).
 *
 * An image is 3 planes of 96 columns of 96 pixels; labels are bytes counted from 1.  The images without
 * labels are passed over. */
#include <stdlib.h>

#include "base/err.h"
#include "data/files.h"
#include "data/reader.h"

enum { SIDE = 96, PLANE = SIDE * SIDE, CLASSES = 10, FILES = 5, NAMES = 4 };

static int check(const struct sd_found *X, const struct sd_found *y, uint32_t *n)
{
	size_t bytes = 3 * PLANE;

	if (X->size % bytes)
		return sd_error(SD_ERR_DATA, "%s: image %zu is cut short: %zu of %zu bytes", X->path,
				X->size / bytes,
				X->size % bytes, bytes);
	if (y->size != X->size / bytes)
		return sd_error(SD_ERR_DATA, "%s: %zu labels for %zu images", y->path, y->size,
				X->size / bytes);
	for (size_t i = 0; i < y->size; i++)
		if (y->data[i] < 1 || y->data[i] > CLASSES)
			return sd_error(SD_ERR_DATA, "%s: label %zu is %u, 1 to %d is expected", y->path, i,
					y->data[i],
					CLASSES);
	*n = (uint32_t)y->size;
	return 0;
}

static void fill(struct sd_split *sp, const struct sd_found *X, const struct sd_found *y)
{
	for (uint32_t i = 0; i < sp->n; i++) {
		const uint8_t *from = X->data + (size_t)i * 3 * PLANE;
		uint8_t *to = sp->images + (size_t)i * 3 * PLANE;

		for (int k = 0; k < 3 * PLANE; k++)
			to[k] = from[k / PLANE * PLANE + k % SIDE * SIDE + k % PLANE / SIDE];
		sp->labels[i] = y->data[i] - 1;
		sp->source[i] = i;
	}
}

struct sd_dataset *sd_read_stl10(struct sd_archive *a, const struct sd_reader *r,
				 const struct sd_read_options *o, struct sd_read_notes *notes)
{
	static const struct sd_wanted want[FILES] = {
		{ "train_X.bin", (size_t)1 << 30 }, { "train_y.bin", 1 << 20 },
		{ "test_X.bin", (size_t)1 << 30 }, { "test_y.bin", 1 << 20 },
		{ "class_names.txt", 1 << 16 },
	};
	static const char *const names[CLASSES] = {
		"airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck",
	};
	char given[CLASSES][SD_NAME_MAX];
	struct sd_found found[FILES];
	struct sd_dataset *ds = NULL;
	uint32_t n[SD_NSPLIT];
	int ok = 0;

	(void)o;
	(void)notes;
	if (sd_files_collect(a, want, FILES, found, NULL, NULL) || sd_files_need(a, want, found, NAMES) ||
	    check(&found[0], &found[1], &n[SD_SPLIT_TRAIN]) ||
	    check(&found[2], &found[3], &n[SD_SPLIT_TEST]) ||
	    (found[NAMES].data && sd_files_names(&found[NAMES], CLASSES, given)))
		goto out;
	ds = sd_dataset_new(r->name, 3, SIDE, SIDE, CLASSES, n);
	if (!ds)
		goto out;
	for (int c = 0; c < CLASSES; c++)
		if (sd_dataset_name_class(ds, c, found[NAMES].data ? given[c] : names[c]))
			goto out;
	fill(&ds->split[SD_SPLIT_TRAIN], &found[0], &found[1]);
	fill(&ds->split[SD_SPLIT_TEST], &found[2], &found[3]);
	ok = 1;
out:
	sd_files_release(found, FILES);
	if (ok)
		return ds;
	sd_dataset_free(ds);
	return NULL;
}
