/* compare.h: how the payloads of two artifacts differ, dataset by dataset. */
#ifndef SD_PROVENANCE_COMPARE_H
#define SD_PROVENANCE_COMPARE_H

#include <stdint.h>

#include <jansson.h>

#include "artifact/digest.h"
#include "base/str.h"

enum sd_dset_fate {
	SD_DSET_VALUES, /* some of the values */
	SD_DSET_FORM,   /* type or shape */
	SD_DSET_ONLY_A, /* missing in the second */
	SD_DSET_ONLY_B, /* missing in the first */
};

/* A dataset that is not the same in both.  With SD_DSET_VALUES: how many elements differ in any bit, the
 * largest |a - b|, the largest |a - b| / max(|a|, |b|), where they are and the values there.  What is not a
 * number on one side only, or infinite, differs infinitely; texts have neither. */
struct sd_dset_diff {
	char *path;
	enum sd_dset_fate fate;
	enum sd_type type;
	char form[2][80];          /* "f32 (16, 3, 3)", "" where it is missing */
	int rank;
	uint64_t shape[SD_MAX_RANK];
	uint64_t count, ndiffering;
	double absolute, relative;
	uint64_t absolute_at, relative_at; /* element, row-major */
	double a, b;               /* the values at absolute_at */
	char *text[2];             /* of a single text that differs */
};

struct sd_payload_diff {
	int n, nsame;              /* nsame: datasets that are the same in both */
	struct sd_dset_diff *v;    /* (n) sorted by path */
};

/* Compares two artifacts, or two genotypes in text files (their digests; the literals stand for a dataset
 * "genotype").  -1 with a message; else 0, and 1 when they differ. */
int sd_payload_compare(struct sd_payload_diff *d, const char *a, const char *b);
void sd_payload_diff_release(struct sd_payload_diff *d);

/* "/weights/x: 12 of 432 differ, worst 1e-07 (1 and 1.0000001) at (0, 3), worst relative 2e-06 at (7, 1)". */
void sd_dset_diff_text(const struct sd_dset_diff *d, struct sd_str *s);
json_t *sd_dset_diff_json(const struct sd_dset_diff *d);
/* The one with the largest relative difference of values, or NULL when none has any. */
const struct sd_dset_diff *sd_payload_worst(const struct sd_payload_diff *d);

#endif
