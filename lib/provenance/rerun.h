/* rerun.h: makes artifacts again from their claims and compares what comes out.
 *
 * A command is rebuilt from the claim (remake.h), its inputs are found by content, or made again from their
 * ancestors, down to the raw files; it runs in a temporary folder, which is removed in the end. */
#ifndef SD_PROVENANCE_RERUN_H
#define SD_PROVENANCE_RERUN_H

#include <stdio.h>

#include "base/opt.h"
#include "provenance/check.h"

enum sd_rerun_verdict {
	SD_VERDICT_UNTRIED,     /* it could not be made again: what is missing is said */
	SD_VERDICT_BITWISE,     /* the payload is the same */
	SD_VERDICT_NUMERIC,     /* it has other values, and something that can change them is not the same either */
	SD_VERDICT_STATISTICAL, /* likewise, and the results are as those of other runs of the recipe */
	SD_VERDICT_BROKEN,      /* the tool fails; or another payload and nothing that would explain it */
};
extern const char *const sd_rerun_verdict_name[];

struct sd_rerun_options {
	const char *tool;                /* sd-verify, for messages */
	const struct sd_opt_list *search; /* folders to find inputs in */
	const struct sd_opt_list *runs;   /* recorded runs, or folders of them; may be empty */
	int threads;                     /* 0: as many as the tools take by themselves */
	bool quiet;
	bool chain;                      /* make everything again, from the raw files on */
};

struct sd_rerun;

/* NULL with a message.  The options must live as long. */
struct sd_rerun *sd_rerun_new(const struct sd_rerun_options *o);
void sd_rerun_free(struct sd_rerun *r);

/* Makes the artifact in the file `name` again, whose manifests (taken over) these are.  What several
 * artifacts came from is made once.  SD_SAME: BITWISE, with `chain` for everything it came from, too;
 * SD_DIFFERENT: any other verdict; SD_TROUBLE: not all of it could be tried.  It is said in the results.
 * On a signal it returns early. */
enum sd_status sd_rerun_artifact(struct sd_rerun *r, const char *name, struct sd_lineage *l);

/* Runs a search or a training again up to a step, whose table (--trace_step of the tools) it returns, to be
 * freed; NULL with a message.  `l` is taken over.  An unfinished one will do. */
char *sd_rerun_step(struct sd_rerun *r, const char *name, struct sd_lineage *l, uint64_t step);

/* The results so far: a verdict and its evidence for each artifact; with `chain` a table with a row for
 * each that was made, tab-separated; or all as JSON. */
void sd_rerun_print(const struct sd_rerun *r, FILE *f);
int sd_rerun_print_json(const struct sd_rerun *r, FILE *f);

#endif
