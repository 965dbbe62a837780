/* curves.h: the histories of models and searches: as a table, and drawn by gnuplot. */
#ifndef SD_TRAIN_CURVES_H
#define SD_TRAIN_CURVES_H

#include <stdbool.h>

#include "base/file.h"
#include "base/table.h"
#include "train/results.h"

/* The history of one run. */
struct sd_curve {
	char *file, *id, *kind, *recipe, *seed, *arch, *data;
	char *label;    /* what a picture calls it if its architecture has no name */
	char **by;      /* (nby) as in results.h */
	int first, n;   /* number of the first epoch, and how many */
	int ncol;
	char **column;  /* (ncol) names, sorted */
	double *v;      /* (n, ncol) */
};

struct sd_curves {
	struct sd_curve *v;
	int n;
	int nby;
	const char *const *by;
	bool pooled;
};

void sd_curves_init(struct sd_curves *c, int nby, const char *const *by, bool pooled);
void sd_curves_release(struct sd_curves *c);
/* Adds the history of a model or search artifact (open, digests verified).  -1 with a message. */
int sd_curves_add(struct sd_curves *c, struct sd_artifact *art);
/* Takes note of how an artifact that repeats an earlier one calls its architecture. */
void sd_curves_also_called(struct sd_curves *c, const struct sd_artifact *art);
/* Sorts by kind, architecture, data set, recipe, `by` and seed (pooled: kind, data set, `by`, seed), and has all
 * runs of one recipe call their architecture alike. */
void sd_curves_sort(struct sd_curves *c);
/* How many from v[first] on belong to one group. */
int sd_curves_group(const struct sd_curves *c, int first);

/* A row an epoch of each run; the columns are all that any of them has. */
void sd_curves_table(const struct sd_curves *c, struct sd_table *t);

/* Draws a measure by epoch, the groups of one kind ("model", "search"; NULL: all): of the validation (or test)
 * images the mean over the runs with a band of a standard deviation to each side, and dashed the mean on the
 * training images.  `terminal` is gnuplot's ("svg", "pngcairo", "pdfcairo"), `name` sets the ids within an
 * SVG apart from those of others.  *out gets the picture.  -1 with a message, also when there is nothing to
 * draw or gnuplot is missing. */
int sd_curves_plot(const struct sd_curves *c, const char *kind, enum sd_measure measure, const char *terminal,
	const char *name, struct sd_blob *out);
/* gnuplot's terminal for a file of that name, or NULL with a message. */
const char *sd_curves_terminal(const char *file);

#endif
