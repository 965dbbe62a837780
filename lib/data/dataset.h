/* dataset.h: a labelled set of small images, in memory and in its artifact.
 *
 * Everything is held as bytes: N x C x H x W pixels of a split, 0..255, planes before rows before
 * columns.  Normalisation and augmentation come later, image by image (augment.h, loader.h).  The
 * layout of the artifact is described in sd-dataset(5). */
#ifndef SD_DATA_DATASET_H
#define SD_DATA_DATASET_H

#include <stdint.h>

struct sd_artifact;
struct sd_artifact_out;

enum { SD_SPLIT_TRAIN = 0, SD_SPLIT_TEST = 1, SD_NSPLIT = 2 };

/* "train" and "test". */
extern const char *const sd_split_name[SD_NSPLIT];

/* Limits of what is accepted from a file: channels, side length, classes, images in a split. */
enum { SD_MAX_CHANNELS = 4, SD_MAX_SIDE = 1024, SD_MAX_CLASSES = 65536, SD_MAX_SAMPLES = 1 << 28 };

struct sd_split {
	uint32_t n;
	uint8_t *images;   /* (n, C, H, W) */
	int32_t *labels;   /* (n), 0 <= label < nclass */
	uint32_t *source;  /* (n), place of the image in its raw source, counted from 0 */
};

struct sd_dataset {
	char name[32];     /* "cifar10", "digits" */
	int nclass;
	char **classes;    /* nclass names */
	int C, H, W;
	struct sd_split split[SD_NSPLIT];
	/* Of all pixels of the training split, each channel by itself, pixels as x / 255; the population
	 * standard deviation.  Exact sums, rounded once. */
	float computed_mean[SD_MAX_CHANNELS], computed_std[SD_MAX_CHANNELS];
	/* What the transforms use: the reference's constants for the data sets that it names (cifar10:
	 * 0.49139968 0.48215827 0.44653124 / 0.24703233 0.24348505 0.26158768), else the computed ones. */
	float mean[SD_MAX_CHANNELS], std[SD_MAX_CHANNELS];
	/* The augmentation that suits the set: zero pixels on each side before the random crop, and
	 * whether a mirrored image still belongs to its class. */
	int padding, mirror;
};

/* Reads the whole of a data set artifact (already open and verified) into memory.  `art` may be closed
 * afterwards.  NULL with a message naming the file when it is not a data set, or an inconsistent one. */
struct sd_dataset *sd_dataset_open(struct sd_artifact *art);
void sd_dataset_free(struct sd_dataset *ds);

/* An empty one with its sizes set and `n[split]` uninitialised images each, class names "0", "1", ...,
 * no statistics.  For readers.  NULL and a message when the sizes are out of bounds or memory is. */
struct sd_dataset *sd_dataset_new(const char *name, int C, int H, int W, int nclass,
				  const uint32_t n[SD_NSPLIT]);
/* Replaces a class name (copied). */
int sd_dataset_name_class(struct sd_dataset *ds, int label, const char *name);
/* Fills computed_mean and computed_std from the training split. */
void sd_dataset_measure(struct sd_dataset *ds);
/* Divides a set that has no official split, all of whose images are in the training split: after a shuffle
 * with seed 0 (rng.h: "split" at `site`) the first four fifths, rounded down, stay there and the rest becomes
 * the test split, both in the shuffled order.  -1 with a message, the set as it was. */
int sd_dataset_part(struct sd_dataset *ds, const char *site);
/* Keeps the first n images of a split after a seeded shuffle (rng.h: "split" at the split's name), in
 * the shuffled order.  An n over the split's size is an error. */
int sd_dataset_limit(struct sd_dataset *ds, int split, uint32_t n, uint64_t seed);
/* Writes the payload into an artifact that is being made. */
int sd_dataset_write(const struct sd_dataset *ds, struct sd_artifact_out *art);

/* One image, (C, H, W) bytes, and the number of bytes of an image. */
static inline uint32_t sd_dataset_image_bytes(const struct sd_dataset *ds)
{
	return (uint32_t)ds->C * (uint32_t)ds->H * (uint32_t)ds->W;
}
static inline const uint8_t *sd_dataset_image(const struct sd_dataset *ds, int split, uint32_t i)
{
	return ds->split[split].images + (uint64_t)i * sd_dataset_image_bytes(ds);
}

/* How many of n training images the search trains its weights on: floor(portion * n), as the reference.
 * They are the first ones in the order of the data set; the rest is its validation half.  Returns n
 * outside [0, 1] only for a portion outside it, which callers refuse beforehand. */
uint32_t sd_dataset_portion(uint32_t n, double portion);

#endif
