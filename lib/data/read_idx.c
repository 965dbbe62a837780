/* read_idx.c: the data sets that are distributed as IDX files: MNIST (LeCun, Cortes and Burges, 1998),
 * Fashion MNIST (Xiao, Rasul and Vollgraf, 2017) and EMNIST, balanced (Cohen, Afshar, Tapson and van
 * Schaik, 2017).
 *
 * EMNIST's images lie on their side, rows and columns exchanged; the reference leaves them so, and so do
 * we. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "data/files.h"
#include "data/ndarray.h"
#include "data/reader.h"

enum { SIDE = 28, FILES = 4 };

#define IMAGES ((size_t)256 << 20)
#define LABELS ((size_t)4 << 20)

static const struct sd_wanted mnist[FILES] = {
	{ "train-images-idx3-ubyte", IMAGES },
	{ "train-labels-idx1-ubyte", LABELS },
	{ "t10k-images-idx3-ubyte", IMAGES },
	{ "t10k-labels-idx1-ubyte", LABELS },
}, emnist[FILES] = {
	{ "emnist-balanced-train-images-idx3-ubyte", IMAGES },
	{ "emnist-balanced-train-labels-idx1-ubyte", LABELS },
	{ "emnist-balanced-test-images-idx3-ubyte", IMAGES },
	{ "emnist-balanced-test-labels-idx1-ubyte", LABELS },
};

static const char *const fashion_class[] = {
	"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
	"Ankle boot",
};
/* Small letters that look like capitals are counted among these. */
static const char emnist_class[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt";

static int name_classes(struct sd_dataset *ds, const struct sd_reader *r)
{
	for (int c = 0; c < ds->nclass; c++) {
		char letter[2] = { emnist_class[c], 0 };

		if (sd_dataset_name_class(ds, c, strcmp(r->name, "fashion") ? letter : fashion_class[c]))
			return -1;
	}
	return 0;
}

static int fill(struct sd_dataset *ds, int split, const struct sd_nd *images, const struct sd_nd *labels,
		const char *name)
{
	struct sd_split *sp = &ds->split[split];

	memcpy(sp->images, images->data, (size_t)sp->n * SIDE * SIDE);
	for (uint32_t i = 0; i < sp->n; i++) {
		if (labels->data[i] >= ds->nclass)
			return sd_error(SD_ERR_DATA, "%s: label %u is %u, 0 to %d is expected", name, i,
					labels->data[i],
					ds->nclass - 1);
		sp->labels[i] = labels->data[i];
		sp->source[i] = i;
	}
	return 0;
}

struct sd_dataset *sd_read_idx(struct sd_archive *a, const struct sd_reader *r,
			       const struct sd_read_options *o, struct sd_read_notes *notes)
{
	const struct sd_wanted *want = r->variant == SD_IDX_EMNIST ? emnist : mnist;
	struct sd_found found[FILES];
	struct sd_nd nd[FILES];
	struct sd_dataset *ds = NULL;
	uint32_t n[SD_NSPLIT];
	int ok = 0;

	(void)o;
	(void)notes;
	if (sd_files_collect(a, want, FILES, found, NULL, NULL) || sd_files_need(a, want, found, FILES))
		goto out;
	for (int i = 0; i < FILES; i++) {
		/* images, then as many labels */
		uint64_t shape[3] = { i % 2 ? nd[i - 1].shape[0] : 0, SIDE, SIDE };

		if (sd_nd_idx(&nd[i], found[i].path, found[i].data, found[i].size) ||
		    sd_nd_expect(&nd[i], found[i].path, i % 2 ? 1 : 3, shape))
			goto out;
	}
	n[SD_SPLIT_TRAIN] = (uint32_t)nd[0].shape[0];
	n[SD_SPLIT_TEST] = (uint32_t)nd[2].shape[0];
	ds = sd_dataset_new(r->name, 1, SIDE, SIDE, r->classes, n);
	ok = ds && !name_classes(ds, r) && !fill(ds, SD_SPLIT_TRAIN, &nd[0], &nd[1], found[1].path) &&
	     !fill(ds, SD_SPLIT_TEST, &nd[2], &nd[3], found[3].path);
out:
	sd_files_release(found, FILES);
	if (ok)
		return ds;
	sd_dataset_free(ds);
	return NULL;
}
