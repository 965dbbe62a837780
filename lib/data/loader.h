/* loader.h: batches of augmented images, the next one made by a thread of its own meanwhile.
 *
 * What a batch holds is a function of the loader's arguments and of (epoch, batch) alone: never of timing,
 * nor of what was asked for before. */
#ifndef SD_DATA_LOADER_H
#define SD_DATA_LOADER_H

#include <stdint.h>

#include "data/augment.h"
#include "data/dataset.h"

enum sd_loader_order {
	SD_ORDER_AS_IS,    /* the indices as given: evaluation */
	SD_ORDER_SHUFFLE,  /* a new permutation each epoch (rng.h: "shuffle" at `site`; the places in the list
	                    * of indices are what is permuted) */
	SD_ORDER_DRAW,     /* every batch a fresh draw without replacement: the first `batch` of a new shuffle
	                    * for each global step (rng.h: "valid", "search"), as the reference takes the
	                    * validation batch of a search step */
};

struct sd_loader_options {
	int split;                 /* SD_SPLIT_TRAIN or SD_SPLIT_TEST */
	const uint32_t *indices;   /* which images of the split, n of them, copied; NULL: all in order */
	uint32_t n;                /* ignored when indices is NULL */
	uint32_t batch;            /* > 0; for SD_ORDER_DRAW not over n */
	int drop_last;             /* leave out a short last batch */
	enum sd_loader_order order;
	struct sd_augment policy;  /* all zero: the plain transform of evaluation */
	uint64_t seed;             /* of the run */
	const char *site;          /* "train" or "valid", for the shuffle and the augmentation; NULL where
	                            * there is neither */
};

/* Owned by the loader, valid until its next call. */
struct sd_batch {
	uint32_t n;            /* images in it: `batch`, less in the last of an epoch */
	uint32_t index;        /* which batch of the epoch, or which global step; from 0 */
	const float *images;   /* (n, C, H, W), normalised */
	const int32_t *labels; /* (n) */
	const int32_t *ids;    /* (n), index of the image in its split: what draws per sample count by */
	double seconds;        /* of a processor, that it took the thread to make it */
};

struct sd_loader;

/* `ds` must outlive the loader.  NULL and a message on failure. */
struct sd_loader *sd_loader_new(const struct sd_dataset *ds, const struct sd_loader_options *options);
void sd_loader_free(struct sd_loader *l);

/* All that a device needs to make the same batches by itself: a split of a data set, and how batches are taken
 * from it. */
struct sd_feed_spec {
	const uint8_t *images;   /* (images_n, C, H, W) */
	const int32_t *labels;   /* (images_n) */
	uint32_t images_n;
	int C, H, W;
	const float *table;      /* (C, 256): struct sd_augment_table */
	const uint32_t *indices; /* (n) which images; NULL: all */
	uint32_t n, batch;
	int shuffle, draw;       /* a new permutation each epoch; a fresh draw each step; neither: as they are */
	struct sd_rng_key shuffle_key, augment_key;
	struct sd_augment policy;
};
/* Pointers into the loader and its data set. */
void sd_loader_spec(const struct sd_loader *l, struct sd_feed_spec *spec);

/* Batches in an epoch; for SD_ORDER_DRAW there is no end: UINT32_MAX. */
uint32_t sd_loader_batches(const struct sd_loader *l);

/* Starts (or starts over) at batch `from` of an epoch; a run that was stopped goes on in the middle.  The
 * augmentation counts by `epoch`.  For SD_ORDER_DRAW, `from` is the global step, by which the augmentation
 * counts, and epoch is ignored. */
int sd_loader_epoch(struct sd_loader *l, uint32_t epoch, uint32_t from);

/* The next batch: 1, 0 at the end of the epoch, -1 with a message. */
int sd_loader_next(struct sd_loader *l, struct sd_batch *batch);

#endif
