/* diff.h: what two artifacts differ in, for a person or a program. */
#ifndef SD_PROVENANCE_DIFF_H
#define SD_PROVENANCE_DIFF_H

#include "artifact/manifest.h"
#include "provenance/compare.h"

struct sd_diff {
	json_t *claim, *context; /* arrays of {"what": "parameters.epochs", "first": ..., "second": ...} */
	struct sd_payload_diff payload;
};

/* Appends to the array `list` what differs between two values, member by member: what is missing on one
 * side has no "first" or "second" there. */
void sd_diff_json(json_t *list, const char *what, const json_t *a, const json_t *b);

/* Compares two artifacts (or genotypes), which have been checked.  Where inputs differ, so do the claims
 * that they were made by: "inputs.data > parameters.size".  Payloads of equal digest are not read.  -1 with
 * a message; filled in on success only. */
int sd_diff_make(struct sd_diff *d, const char *a, const struct sd_lineage *la, const char *b,
	const struct sd_lineage *lb);
void sd_diff_release(struct sd_diff *d);
/* Whether claims and payloads are the same: contexts may differ. */
bool sd_diff_same(const struct sd_diff *d);

void sd_diff_print(const struct sd_diff *d, const char *a, const char *b, FILE *f);
json_t *sd_diff_to_json(const struct sd_diff *d, const char *a, const char *b);
/* "parameters.epochs: 2 and 3". */
void sd_diff_line(const json_t *difference, struct sd_str *s);

#endif
