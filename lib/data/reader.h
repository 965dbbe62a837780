/* reader.h: the data sets that can be read, one row each.
 *
 * A new data set is one file with a read function, and a row in reader.c. */
#ifndef SD_DATA_READER_H
#define SD_DATA_READER_H

#include <stdint.h>

#include "data/archive.h"
#include "data/dataset.h"

struct sd_reader {
	const char *name;      /* of the data set and the command */
	const char *operand;   /* what the command line gives: "ARCHIVE", "FILE" */
	const char *what;      /* one line for --list */
	/* Reads the whole set: images, labels, sources and class names. */
	struct sd_dataset *(*read)(struct sd_archive *a);
	struct sd_archive_limits limits;
	uint32_t official[SD_NSPLIT];  /* images in the whole set */
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
struct sd_dataset *sd_reader_run(const struct sd_reader *r, const char *path, const uint32_t limit[SD_NSPLIT],
				 uint64_t seed, struct sd_archive **archive);

struct sd_dataset *sd_read_cifar10(struct sd_archive *a);
struct sd_dataset *sd_read_digits(struct sd_archive *a);

#endif
