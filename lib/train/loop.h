/* loop.h: what a search and a training have in common: epochs of steps, a row of history for each,
 * checkpoints, an orderly stop, and the search for the op where a loss stopped being finite. */
#ifndef SD_TRAIN_LOOP_H
#define SD_TRAIN_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "train/step.h"
#include "train/trace.h"

/* One row an epoch, float64. */
struct sd_history {
	int ncol;
	const char *const *column;
	int n, cap;
	double *v;       /* (n, ncol) */
	double *seconds; /* (n): how long the epoch took; 0 where another segment of the run did it */
};
void sd_history_init(struct sd_history *h, int ncol, const char *const *column);
void sd_history_release(struct sd_history *h);
/* Adds a row; -1 when memory runs out. */
int sd_history_add(struct sd_history *h, const double *row, double seconds);

/* What differs.  All return 0, or -1 with a message. */
struct sd_loop_ops {
	/* Sets what an epoch's steps read and starts its batches at number `from`. */
	int (*start)(void *ctx, int epoch, uint32_t from);
	/* The next step. */
	int (*step)(void *ctx);
	/* Evaluates after an epoch's steps and fills in its row of history.  1: it was the last epoch, however
	 * many were to come.  A stop in the middle is an error of kind SD_ERR_STOPPED; it will be called again
	 * then. */
	int (*end)(void *ctx, int epoch, double *row);
};

/* Who looks on. */
struct sd_loop_watch {
	/* Writes a checkpoint of how things stand.  0, or -1 with a message. */
	int (*checkpoint)(void *ctx);
	/* One line about the last row of history. */
	void (*report)(void *ctx, int epoch, const double *row, double seconds);
	void *ctx;
};

struct sd_loop {
	const struct sd_loop_ops *ops;
	void *ctx;                /* of ops */
	struct sd_vars *vars;
	struct sd_loop_watch watch;
	const char *name;         /* for the progress line: "search" */
	bool quiet;
	int first_epoch, epochs;  /* they run from first_epoch, and how many there are */
	uint32_t steps;           /* in an epoch */
	double max_seconds;       /* of this process, which does at least one step; 0: no limit */
	uint32_t stop_step;       /* of the run, counted from 1: it stops after this one; 0: none */
	double checkpoint_seconds; /* at least so long from one checkpoint to the next */
	uint32_t report_steps;    /* a line every so many steps; 0: none */
	/* Progress, which a checkpoint holds. */
	int epochs_done;
	uint32_t steps_done;      /* of the epoch under way */
	struct sd_history history;
	struct sd_trace trace;
	/* One step of the run, counted from 1, is looked at in full, and that is the end of it; 0: none.  Its table
	 * goes to standard output. */
	uint32_t show_step;
};

/* The global step that comes next, from 0 in epoch 1. */
static inline uint32_t sd_loop_step(const struct sd_loop *l)
{
	return (uint32_t)(l->first_epoch - 1 + l->epochs_done) * l->steps + l->steps_done;
}

/* Steps of the run that are done. */
static inline uint32_t sd_loop_done(const struct sd_loop *l)
{
	return (uint32_t)l->epochs_done * l->steps + l->steps_done;
}

/* Runs what is left.  After a signal or max_seconds a checkpoint is written and -1 returned with an error
 * of kind SD_ERR_STOPPED.  Checkpoints are written at the end of an epoch, not more often than every
 * checkpoint_seconds. */
int sd_loop_run(struct sd_loop *l);

#endif
