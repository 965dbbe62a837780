/* rerun_priv.h: what the parts of re-running share. */
#ifndef SD_PROVENANCE_RERUN_PRIV_H
#define SD_PROVENANCE_RERUN_PRIV_H

#include "base/str.h"
#include "provenance/compare.h"
#include "provenance/find.h"
#include "provenance/remake.h"
#include "provenance/rerun.h"

/* An artifact that is, or may have to be, made again. */
struct sd_stage {
	const struct sd_manifest *m;
	const struct sd_lineage *l; /* that has what m came from */
	char *name;                 /* of an artifact on the command line, else NULL */
	char *found;                /* where its file is, checked; NULL: nowhere */
	bool looked;                /* for `found` */
	bool tried;                 /* the rest is set */
	char *made;                 /* the new file, NULL: there is none */
	enum sd_rerun_verdict verdict;
	double seconds;             /* that the tool ran */
	struct sd_str evidence;     /* a line each */
	json_t *differences;        /* of the payload: array, or NULL */
};

struct sd_rerun {
	const struct sd_rerun_options *o;
	char *dir;
	struct sd_finder finder;
	struct sd_lineage **lineage;
	int nlineage;
	struct sd_stage **stage;    /* in the order of their first mention */
	int nstage;
	struct sd_stage **order;    /* (norder) in the order in which they were tried */
	int norder;
	int ndir;                   /* folders within dir */
};

/* Adds a line of evidence. */
void sd_stage_say(struct sd_stage *s, const char *fmt, ...) SD_PRINTF(2, 3);

/* With the new file there: the verdict and its evidence.  -1 with a message. */
int sd_stage_judge(const struct sd_rerun *r, struct sd_stage *s, const struct sd_lineage *now);

/* Whether what was measured lies within what `runs` (files or folders) and the recorded artifact say of
 * other runs of the recipe; lines of evidence in any case.  -1 with a message. */
int sd_stage_compare_runs(const struct sd_opt_list *runs, struct sd_stage *s, bool *inside);

/* The same question before anything is run: whether all of `runs` can be read and are of the recipe. */
int sd_stage_check_runs(const struct sd_opt_list *runs, const struct sd_stage *s);

#endif
