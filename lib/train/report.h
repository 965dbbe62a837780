/* report.h: an experiment as one HTML page that needs no other file: tables, learning curves, cells, and for
 * every number the id of the artifact that it came from. */
#ifndef SD_TRAIN_REPORT_H
#define SD_TRAIN_REPORT_H

#include <stdio.h>

#include "arch/arch.h"
#include "base/str.h"
#include "train/curves.h"
#include "train/results.h"

/* A genotype to be drawn, once for all artifacts that have it. */
struct sd_report_cell {
	struct sd_genotype g;
	char digest[65];
	struct sd_str ids, names; /* of artifacts, and what they call it: with blanks and commas between */
};

/* A file that was read. */
struct sd_report_file {
	char *id, *name;
};

struct sd_report {
	struct sd_report_cell *cell;
	int ncell;
	struct sd_manifest **manifest; /* all that the artifacts are or came from, each once, in order of arrival */
	int nmanifest;
	struct sd_report_file *file;
	int nfile;
};

void sd_report_init(struct sd_report *r);
void sd_report_release(struct sd_report *r);
/* Takes note of an artifact's manifests, and of the genotype that a model is of or that a search came to. */
int sd_report_add(struct sd_report *r, struct sd_artifact *art);
/* The same of a genotype file; `lineage` may be NULL. */
void sd_report_add_genotype(struct sd_report *r, const struct sd_genotype *g, const struct sd_lineage *lineage,
	const char *file);

struct sd_report_style {
	const char *title;
	double level;             /* of confidence intervals */
	const struct sd_table *compared; /* of sd_results_compare, or NULL */
};
/* Writes the page.  Curves need gnuplot and cells need dot: where one is missing the page says so and has the
 * tables all the same.  -1 with a message when one of them fails. */
int sd_report_write(const struct sd_report *r, const struct sd_results *results, const struct sd_curves *curves,
	const struct sd_report_style *style, FILE *f);

#endif
