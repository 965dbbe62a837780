/* read_cifar10_1.c: CIFAR-10.1 (Recht, Roelofs, Schmidt and Shankar, "Do CIFAR-10 classifiers generalize
 * to CIFAR-10?", 2018; https://github.com/modestyachts/CIFAR-10.1), version 4 or 6: test images only, as
 * a pair of NumPy files, images (N, 32, 32, 3) of bytes and labels (N). */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "data/files.h"
#include "data/ndarray.h"
#include "data/reader.h"

enum { SIDE = 32, PLANE = SIDE * SIDE };

static int fill(struct sd_dataset *ds, const struct sd_nd *images, const struct sd_nd *labels,
		const char *name)
{
	struct sd_split *sp = &ds->split[SD_SPLIT_TEST];

	for (uint32_t i = 0; i < sp->n; i++) {
		const uint8_t *from = images->data + (size_t)i * 3 * PLANE;
		uint8_t *to = sp->images + (size_t)i * 3 * PLANE;
		int64_t label = sd_nd_get(labels, i);

		if (label < 0 || label >= SD_CIFAR10_CLASSES)
			return sd_error(SD_ERR_DATA, "%s: label %u is %lld, 0 to %d is expected", name, i,
					(long long)label, SD_CIFAR10_CLASSES - 1);
		for (int k = 0; k < 3 * PLANE; k++)
			to[k % 3 * PLANE + k / 3] = from[k];
		sp->labels[i] = (int32_t)label;
		sp->source[i] = i;
	}
	for (int c = 0; c < SD_CIFAR10_CLASSES; c++)
		if (sd_dataset_name_class(ds, c, sd_cifar10_class[c]))
			return -1;
	return 0;
}

struct sd_dataset *sd_read_cifar10_1(struct sd_archive *a, const struct sd_reader *r,
				     const struct sd_read_options *o, struct sd_read_notes *notes)
{
	const struct sd_wanted want[2] = { { r->files[0].name, 64 << 20 }, { r->files[1].name, 1 << 20 } };
	struct sd_found found[2];
	struct sd_nd images, labels;
	struct sd_dataset *ds = NULL;
	uint32_t n[SD_NSPLIT] = { 0 };

	(void)o;
	(void)notes;
	if (sd_files_collect(a, want, 2, found, NULL, NULL) || sd_files_need(a, want, found, 2) ||
	    sd_nd_npy(&images, found[0].path, found[0].data, found[0].size) ||
	    sd_nd_expect(&images, found[0].path, 4, (uint64_t[]){ 0, SIDE, SIDE, 3 }) ||
	    sd_nd_npy(&labels, found[1].path, found[1].data, found[1].size) ||
	    sd_nd_expect(&labels, found[1].path, 1, images.shape))
		goto out;
	if (images.item != 1) {
		sd_error(SD_ERR_DATA, "%s: an array of bytes is expected", found[0].path);
		goto out;
	}
	n[SD_SPLIT_TEST] = (uint32_t)images.shape[0];
	ds = sd_dataset_new(r->name, 3, SIDE, SIDE, SD_CIFAR10_CLASSES, n);
	if (ds && fill(ds, &images, &labels, found[1].path)) {
		sd_dataset_free(ds);
		ds = NULL;
	}
out:
	sd_files_release(found, 2);
	return ds;
}
