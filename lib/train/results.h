/* results.h: what eval and model artifacts measured, in groups. */
#ifndef SD_TRAIN_RESULTS_H
#define SD_TRAIN_RESULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "artifact/artifact.h"
#include "base/table.h"
#include "train/stats.h"

enum sd_measure { SD_MEASURE_TOP1, SD_MEASURE_ERROR, SD_MEASURE_TOP5, SD_MEASURE_LOSS };
/* "top1", and as a person reads it: "top-1 (%)". */
extern const char *const sd_measure_name[], *const sd_measure_text[];
/* Whether less is better. */
static inline bool sd_measure_low(enum sd_measure m)
{
	return m == SD_MEASURE_ERROR || m == SD_MEASURE_LOSS;
}

/* One measurement of one run. */
struct sd_result {
	char *file, *id, *payload; /* the artifact */
	char *model;               /* of an evaluation: the id of the model; "" of a model */
	char *recipe;              /* 64 hex digits */
	char *seed;                /* of the run that is measured; "" when it has none */
	char *arch, *data;         /* the architecture's names (train/names.h), and the data set's, with "/train"
	                            * or "/valid" behind it where that was measured instead of the test split */
	char **by;                 /* (nby) values of the parameters that split rows further */
	int64_t epoch;             /* whose weights were measured */
	double value;
	/* Of an evaluation that kept them: which images, as a name that others on the same images have too, and
	 * whether each was predicted right. */
	char *images;
	uint64_t n;
	uint8_t *right;            /* (n), or NULL */
};

struct sd_results {
	struct sd_result *v;
	int n, cap;
	int nby;
	const char *const *by;     /* names of parameters or notes, "seed", "kind", "arch" or "recipe" */
	bool pooled;               /* a group is what has the same values of `by`, whatever its recipe */
	enum sd_measure measure;
	bool last;                 /* of a model: the last epoch instead of the best */
	const char *split;         /* NULL, or only what was measured on this split or data set */
	/* The artifacts seen so far, each (recipe, seed) once. */
	struct sd_seen {
		char *recipe, *seed, *payload, *file;
	} *seen;
	int nseen, cap_seen;
};

void sd_results_init(struct sd_results *r, enum sd_measure measure, bool last, int nby,
	const char *const *by, bool pooled);
void sd_results_release(struct sd_results *r);

enum sd_results_added {
	SD_RESULTS_NEW,
	SD_RESULTS_REPEATED,       /* the same recipe, seed and payload as *earlier: not counted again */
	SD_RESULTS_IRREPRODUCIBLE, /* the same recipe and seed with another payload: not counted either */
};
/* Whether an artifact (open, digests verified) was seen before, with the same result or another.  *earlier
 * gets the name of the file it agrees or disagrees with.  One of sd_results_added. */
int sd_results_seen(struct sd_results *r, const struct sd_artifact *art, const char **earlier);
/* Adds what an eval or model artifact that is new measured: each of its data sets; of a model its own test (or
 * validation) images and the sets of --also, its training images only where r->split is "train".  -1 with a
 * message. */
int sd_results_add(struct sd_results *r, struct sd_artifact *art);
/* Takes note of how an artifact that repeats an earlier one calls its architecture. */
void sd_results_also_called(struct sd_results *r, const struct sd_artifact *art);
/* For tests and other sources: takes over what `one` points to. */
void sd_results_add_one(struct sd_results *r, const struct sd_result *one);

/* Drops what a model says of itself on a data set on which an evaluation of it is there too: it counts once,
 * as the evaluation. */
void sd_results_drop_evaluated(struct sd_results *r);
/* Sorts so that rows of one group stand together: by data set, or by architecture, data set, recipe, then
 * by the values of `by`, and seed.  All runs of one recipe get each other's names of the architecture. */
void sd_results_sort(struct sd_results *r);
/* How many from v[first] on belong to one group. */
int sd_results_group(const struct sd_results *r, int first);
/* Their values together; the one that did best. */
struct sd_summary sd_results_summary(const struct sd_result *v, int n);
const struct sd_result *sd_results_best(const struct sd_results *r, const struct sd_result *v, int n);

/* Tables: a row a group, or a row a run.  `level` of the confidence interval; `ids` adds a column with the
 * ids of the artifacts behind each row; `brief` has mean and spread in one column, for people. */
struct sd_results_style {
	double level;
	bool ids, brief;
};
void sd_results_groups_table(const struct sd_results *r, const struct sd_results_style *style,
	struct sd_table *t);
void sd_results_runs_table(const struct sd_results *r, struct sd_table *t);
/* The name of a column for an interval: "ci95_low". */
void sd_level_name(char buf[32], double level, const char *end);

/* What manifests say of a run: the value of a parameter, a note, "seed", "kind", "arch" or "recipe" ("-"
 * where there is none), the artifact's own before the measured model's; to be freed. */
char *sd_run_told(const struct sd_artifact *art, const char *name);

/* Compares two groups, named by architecture, a value of `by`, or at least 4 digits of the recipe, on every
 * data set that both were measured on; a row a test: Welch's; over the seeds that both have the paired t;
 * and for each such seed (or the only run of each) on the same images McNemar's.  Where both name one
 * architecture, which is the same runs, a row says `same` instead.  -1 with a message when a name is none of a
 * group, or of several, or when both are the same. */
int sd_results_compare(const struct sd_results *r, const char *a, const char *b, double level,
	struct sd_table *t);

#endif
