/* read_svhn.c: street view house numbers, cropped digits (Netzer, Wang, Coates, Bissacco, Wu and Ng,
 * "Reading digits in natural images with unsupervised feature learning", 2011;
 * http://ufldl.stanford.edu/housenumbers).
 *
 * Two MATLAB files with X, (32, 32, 3, N) bytes of row, column, colour and image, the row running
 * fastest, and y, (N, 1) labels in which 10 stands for the digit 0.  The further images of
 * extra_32x32.mat are left alone, as by the reference. */
#include <stdlib.h>

#include "base/err.h"
#include "data/files.h"
#include "data/mat.h"
#include "data/reader.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, CLASSES = 10 };

#define MOST_ELEMENTS ((uint64_t)1 << 30)

static int read_file(const struct sd_found *f, struct sd_mat *X, struct sd_mat *y)
{
	if (sd_mat_read(X, f->path, f->data, f->size, "X", MOST_ELEMENTS) ||
	    sd_mat_read(y, f->path, f->data, f->size, "y", MOST_ELEMENTS))
		return -1;
	/* a single image has no fourth axis */
	if (X->rank == 3) {
		X->rank = 4;
		X->shape[3] = 1;
	}
	if (X->rank != 4 || X->shape[0] != SIDE || X->shape[1] != SIDE || X->shape[2] != 3 || !X->shape[3])
		return sd_error(SD_ERR_DATA, "%s: X of 32 x 32 x 3 x N is expected", f->path);
	if (y->rank != 2 || y->shape[0] * y->shape[1] != X->shape[3])
		return sd_error(SD_ERR_DATA, "%s: as many labels y as images X are expected, %llu", f->path,
				(unsigned long long)X->shape[3]);
	return 0;
}

static int fill(struct sd_dataset *ds, int split, const struct sd_mat *X, const struct sd_mat *y,
		const char *name)
{
	struct sd_split *sp = &ds->split[split];

	for (uint32_t i = 0; i < sp->n; i++) {
		const uint8_t *from = X->data + (size_t)i * 3 * PLANE;
		uint8_t *to = sp->images + (size_t)i * 3 * PLANE;

		if (y->data[i] > CLASSES)
			return sd_error(SD_ERR_DATA, "%s: label %u is %u, 0 to %d is expected", name, i,
					y->data[i], CLASSES);
		sp->labels[i] = y->data[i] % CLASSES;
		sp->source[i] = i;
		for (int k = 0; k < 3 * PLANE; k++)
			to[k] = from[k / PLANE * PLANE + k % SIDE * SIDE + k % PLANE / SIDE];
	}
	return 0;
}

struct sd_dataset *sd_read_svhn(struct sd_archive *a, const struct sd_reader *r,
				const struct sd_read_options *o,
				struct sd_read_notes *notes)
{
	const struct sd_wanted want[SD_NSPLIT] = {
		{ r->files[SD_SPLIT_TRAIN].name, (size_t)1 << 30 },
		{ r->files[SD_SPLIT_TEST].name, (size_t)1 << 30 },
	};
	struct sd_found found[SD_NSPLIT];
	struct sd_mat X[SD_NSPLIT] = { 0 }, y[SD_NSPLIT] = { 0 };
	struct sd_dataset *ds = NULL;
	uint32_t n[SD_NSPLIT];
	int ok = 0;

	(void)o;
	(void)notes;
	if (sd_files_collect(a, want, SD_NSPLIT, found, NULL, NULL) ||
	    sd_files_need(a, want, found, SD_NSPLIT))
		goto out;
	for (int s = 0; s < SD_NSPLIT; s++) {
		if (read_file(&found[s], &X[s], &y[s]))
			goto out;
		n[s] = (uint32_t)X[s].shape[3];
	}
	ds = sd_dataset_new(r->name, 3, SIDE, SIDE, CLASSES, n);
	ok = ds != NULL;
	for (int s = 0; ok && s < SD_NSPLIT; s++)
		ok = !fill(ds, s, &X[s], &y[s], found[s].path);
out:
	for (int s = 0; s < SD_NSPLIT; s++) {
		sd_mat_release(&X[s]);
		sd_mat_release(&y[s]);
	}
	sd_files_release(found, SD_NSPLIT);
	if (ok)
		return ds;
	sd_dataset_free(ds);
	return NULL;
}
