/* diverge.h: where two runs part, from what they recorded of every step (sd-model(5), /trace). */
#ifndef SD_PROVENANCE_DIVERGE_H
#define SD_PROVENANCE_DIVERGE_H

#include "base/str.h"
#include "provenance/check.h"

/* The trace of a search or a model, as train/trace.h writes it. */
struct sd_steps {
	const char *name;       /* of the file, borrowed from the artifact */
	uint64_t rows;          /* at least 1: row r is after r * stride steps */
	uint64_t stride, epoch_steps;
	int first_epoch;
	uint64_t *digest;
	uint64_t *alphas;       /* or NULL */
	double *loss;
	double *arch_loss;      /* or NULL */
};
/* -1 with a message that names the file; filled in on success only. */
int sd_steps_read(struct sd_steps *s, struct sd_artifact *art);
void sd_steps_release(struct sd_steps *s);

/* Whether a complete artifact's last digest is that of the weights beside it.  1 or 0; -1 with a message. */
int sd_steps_fit(const struct sd_steps *s, struct sd_artifact *art);

struct sd_divergence {
	uint64_t rows;  /* that both have */
	uint64_t row;   /* the first that differs; rows: none */
	const char *what; /* what differs first in it: "the alphas", ... */
	uint64_t step;  /* to be looked at in full: the row's, for row 0 the first; 0: the rows don't tell which */
	uint64_t digest[2]; /* a's and b's of the row */
};
/* Bisects: once digests differ they go on to.  -1 with a message where the runs cannot be compared: another
 * stride. */
int sd_steps_compare(const struct sd_steps *a, const struct sd_steps *b, struct sd_divergence *d);
/* In words, with both sides' numbers, on standard output. */
void sd_divergence_print(const struct sd_divergence *d, const struct sd_steps *a, const struct sd_steps *b);

/* All of this for two files, which are checked first: where they part, and what of their claims is different.
 * SD_SAME if the traces are equal as far as both go and the payloads are, too, where both are whole; *d is filled in
 * but for SD_TROUBLE. */
enum sd_status sd_first_divergence(const char *a, const char *b, struct sd_divergence *d);

/* The same of one step in full, from two tables of --trace_step: the line's part and name at which they first
 * differ, how many lines do, as text for a person; false if they are equal. */
bool sd_step_tables_differ(const char *a, const char *b, struct sd_str *text);

/* Says of the tables of both (NULL for one that could not be run again) whether they are as recorded, and what differs
 * first between them. */
void sd_step_tables_print(const struct sd_divergence *d, const char *const name[2], const char *const table[2]);

#endif
