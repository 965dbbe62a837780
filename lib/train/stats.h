/* stats.h: measured runs, and what several of them say together. */
#ifndef SD_TRAIN_STATS_H
#define SD_TRAIN_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "artifact/artifact.h"

/* Of n numbers.  std is that of a sample (n - 1 below the line), sem = std / sqrt(n); both NaN for n = 1.
 * The sums are taken over the sorted numbers: their order makes no difference. */
struct sd_summary {
	int n;
	double mean, std, sem, min, max;
};
struct sd_summary sd_summarize(const double *x, int n);

enum sd_measure { SD_MEASURE_TOP1, SD_MEASURE_ERROR, SD_MEASURE_TOP5, SD_MEASURE_LOSS };

/* One measurement of one run. */
struct sd_result {
	char *file, *id, *payload; /* the artifact */
	char *recipe;              /* 64 hex digits */
	char *seed;                /* of the run that is measured; "" when it has none */
	char *arch, *data;         /* the architecture's name ("-": not told), and the data set's */
	char **by;                 /* (nby) values of the parameters that split rows further */
	int64_t epoch;             /* whose weights were measured */
	double value;
};

struct sd_results {
	struct sd_result *v;
	int n, cap;
	int nby;
	const char *const *by;     /* names of parameters, "seed", or "kind" */
	enum sd_measure measure;
	bool last;                 /* of a model: the last epoch instead of the best */
	/* The artifacts seen so far, each (recipe, seed) once. */
	struct sd_seen {
		char *recipe, *seed, *payload, *file;
	} *seen;
	int nseen, cap_seen;
};

void sd_results_init(struct sd_results *r, enum sd_measure measure, bool last, int nby,
	const char *const *by);
void sd_results_release(struct sd_results *r);

enum sd_results_added {
	SD_RESULTS_NEW,
	SD_RESULTS_REPEATED,       /* the same recipe, seed and payload as *earlier: not counted again */
	SD_RESULTS_IRREPRODUCIBLE, /* the same recipe and seed with another payload: not counted either */
};
/* Adds what an eval or model artifact (open, digests verified) measured: of a model its own test set and
 * those of --also.  *earlier gets the name of the file it agrees or disagrees with.  One of
 * sd_results_added, or -1 with a message. */
int sd_results_add(struct sd_results *r, struct sd_artifact *art, const char **earlier);
/* For tests and other sources: takes over what `one` points to. */
int sd_results_add_one(struct sd_results *r, const struct sd_result *one);

/* Sorts by architecture, data set, recipe, the values of `by`, and seed: rows of one group stand together. */
void sd_results_sort(struct sd_results *r);
/* How many from v[first] on belong to one group. */
int sd_results_group(const struct sd_results *r, int first);

#endif
