/* run.h: what sd-search and sd-train have in common around their loops: where data comes from, the stamp,
 * the output with its lock and checkpoints, the schedule, and how a run ends. */
#ifndef SD_TRAIN_RUN_H
#define SD_TRAIN_RUN_H

#include <stdbool.h>

#include "artifact/artifact.h"
#include "base/file.h"
#include "base/opt.h"
#include "data/dataset.h"
#include "train/loop.h"

/* "DIR/NAME.h5" if `data` is a folder, else `data`; to be freed. */
char *sd_run_data_path(const char *data, const char *name);

/* Opens and reads a data set and records it as the stamp's input `role`.  NULL with a message. */
struct sd_dataset *sd_run_data(struct sd_stamp *stamp, const char *role, const char *path);

/* Options of both tools. */
struct sd_run_options {
	const char *data, *dataset, *save, *resume, *load;
	double max_time;
	bool trace_nan;
};
#define SD_OPTS_RUN(o) \
	SD_OPT_TEXT("data", NULL, SD_INPUT_NAME, &(o).data, ".", "FILE|DIR", \
		    "data set artifact, or the folder that holds it as NAME.h5, NAME being the --dataset"), \
	SD_OPT_TEXT("dataset", NULL, SD_INPUT_NAME, &(o).dataset, "cifar10", "NAME", \
		    "which data set of a folder"), \
	SD_OPT_TEXT("save", NULL, SD_OUTPUT, &(o).save, "EXP", "NAME", "write the result to NAME.h5"), \
	SD_OPT_TEXT("resume", NULL, SD_EXECUTION, &(o).resume, NULL, "FILE|auto", \
		    "go on from a checkpoint of the same run; auto: from OUT.ckpt if there is one"), \
	SD_OPT_TEXT("load", NULL, SD_INPUT_NAME, &(o).load, "", "FILE", \
		    "start with the weights of this artifact (the best ones where it has them)"), \
	SD_OPT_REAL("max_time", NULL, SD_EXECUTION, &(o).max_time, "0", "SECONDS", \
		    "stop after so long with a checkpoint and exit status 75; 0: never", SD_AT_LEAST(0)), \
	SD_OPT_FLAG("trace_nan", NULL, SD_EXECUTION, &(o).trace_nan, \
		    "check the result of every op for numbers that are not finite")
/* Names of the original that change nothing here. */
#define SD_OPTS_RUN_IGNORED(t) \
	SD_OPT_TEXT("gpu", NULL, SD_EXECUTION, &(t), "0", "N", "accepted, without effect"), \
	SD_OPT_TEXT("report_freq", NULL, SD_EXECUTION, &(t), "50", "N", "accepted, without effect"), \
	SD_OPT_TEXT("model_path", NULL, SD_EXECUTION, &(t), "saved_models", "DIR", "accepted, without effect")

struct sd_run {
	const char *tool;
	struct sd_opts *opts;
	const struct sd_shared *shared;
	const struct sd_run_options *o;
	struct sd_stamp *stamp;
	char *output, *checkpoint;   /* checkpoint: NULL for standard output */
	struct sd_lock *lock;
	struct sd_engine *engine;
	double *lr;                  /* (epochs) */
};

/* Begins a run of an artifact kind: installs the signal handlers, opens the engine, makes the stamp.  The
 * options must have been parsed.  To be released in any case. */
int sd_run_init(struct sd_run *r, const char *kind, struct sd_opts *opts, const struct sd_shared *shared,
	const struct sd_run_options *o);
void sd_run_release(struct sd_run *r);

/* The learning rates of `epochs` epochs (cosine power annealing) into r->lr.  A warm-up that was not asked
 * for is cut to leave two epochs to anneal over (`warmup_epochs` is then the option's new value); a run of
 * one epoch without one has the highest rate. */
int sd_run_schedule(struct sd_run *r, int epochs, double max_lr, double min_lr, double exponent,
	int *warmup_epochs);

/* Once all inputs are stamped: checks and locks the target.  *resume gets the checkpoint to go on from,
 * verified to be of the same run, or NULL; to be closed by the caller. */
int sd_run_target(struct sd_run *r, struct sd_artifact **resume);

/* Starts with the weights that --load names (nothing without it). */
int sd_run_load(struct sd_run *r, struct sd_vars *vars);

/* Writes the artifact: the checkpoint, or complete the output, after which the checkpoint goes. */
typedef int sd_run_write(const void *what, struct sd_artifact_out *out, bool partial);
int sd_run_save(struct sd_run *r, const struct sd_loop *loop, bool complete, sd_run_write *write,
	const void *what);

/* The exit status after a failure, the message having been printed; for a run stopped by SIGINT or SIGTERM
 * it does not return.  Releases r. */
int sd_run_fail(struct sd_run *r);

#endif
