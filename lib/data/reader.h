/* reader.h: the data sets that can be read, one row each.
 *
 * A new data set is one file with a read function, and a row in reader.c. */
#ifndef SD_DATA_READER_H
#define SD_DATA_READER_H

#include <stdint.h>

#include "data/archive.h"
#include "data/dataset.h"

/* A file as it is distributed. */
struct sd_raw_file {
	const char *name;
	const char *sha256;    /* as published with a well-known copy, lower-case hex; NULL: not known */
};

struct sd_read_options {
	int size;              /* images are brought to size x size pixels; 0: left as they are */
	int grey;              /* colours become grey */
};

/* What was noticed while reading. */
struct sd_read_notes {
	int jpeg;              /* pixels came through the JPEG library */
};

struct sd_reader;

/* Reads the whole set: images, labels, sources and class names.  `r` is the row.  The caller frees the result;
 * NULL and a message that names the file when that is not what it should be. */
typedef struct sd_dataset *sd_read_function(struct sd_archive *a, const struct sd_reader *r,
					    const struct sd_read_options *o, struct sd_read_notes *notes);

struct sd_reader {
	const char *name;      /* of the data set and the command */
	const char *what;      /* one line for --list */
	const struct sd_raw_file *files; /* ended by a NULL name; NULL: any */
	sd_read_function *read;
	int variant;           /* for a function that reads several sets */
	struct sd_archive_limits limits;
	uint32_t official[SD_NSPLIT];  /* images in the whole set; 0, 0: there is no such number */
	int channels, classes; /* 0: as the files have them */
	int padding, mirror;   /* as in struct sd_dataset */
	int has_constants;     /* the reference has normalisation constants of its own for it */
	float mean[SD_MAX_CHANNELS], std[SD_MAX_CHANNELS];
};

extern const struct sd_reader sd_readers[];
extern const int sd_nreaders;

/* NULL and a message that lists the known ones when there is none of that name. */
const struct sd_reader *sd_reader_find(const char *name);

/* Reads `path` with a row's function, limits the splits (UINT32_MAX: all), measures the training split and
 * fills in the row's constants.  The raw files' digests can be asked of *archive, which the caller closes
 * (set to NULL on failure). */
struct sd_dataset *sd_reader_run(const struct sd_reader *r, const char *path, const struct sd_read_options *o,
				 const uint32_t limit[SD_NSPLIT], uint64_t seed, struct sd_archive **archive,
				 struct sd_read_notes *notes);

/* The digest that a raw file of this name should have, or NULL when that isn't known. */
const char *sd_reader_sha256(const struct sd_reader *r, const char *name);

sd_read_function sd_read_cifar10, sd_read_cifar100, sd_read_cifar10_1, sd_read_idx, sd_read_svhn,
	sd_read_stl10, sd_read_images, sd_read_digits;

/* Variants of sd_read_idx. */
enum { SD_IDX_MNIST, SD_IDX_EMNIST };

/* The classes of CIFAR-10. */
enum { SD_CIFAR10_CLASSES = 10 };
extern const char *const sd_cifar10_class[SD_CIFAR10_CLASSES];

#endif
