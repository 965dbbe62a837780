/* trace.h: what a run leaves behind of every step, so that two runs can be told where they part.
 *
 * Row r of the trace is how things stand after r * stride steps, row 0 before the first.  A fingerprint
 * (base/fingerprint.h) of a variable is that of its content, row-major; W is that of the fingerprints of all that
 * an artifact has in /state, in the order of their names as bytes, A the same of /alphas_last.  loss is the mean
 * loss of the row's steps (0 in row 0), arch_loss that of the steps of the alphas.  With d the row before's digest, 0
 * before row 0, the row's is the fingerprint of the numbers
 *
 *     d, A, W, the bits of arch_loss, the bits of loss
 *
 * of which a run without alphas, or without steps of them, leaves out A and arch_loss.  So equal digests mean equal
 * runs so far, and the last one can be worked out again from the artifact's own weights.
 *
 *   /trace/digest, /trace/alphas     (rows) u64: d, A
 *   /trace/loss, /trace/arch_loss    (rows) f64
 *   /trace/stride, /trace/epoch_steps       i64: steps from row to row, and in an epoch
 *
 * The stride is 1, and on CUDA, where to look at a variable is to wait for the device, an epoch. */
#ifndef SD_TRAIN_TRACE_H
#define SD_TRAIN_TRACE_H

#include <stdint.h>
#include <stdio.h>

#include "artifact/artifact.h"
#include "train/vars.h"

struct sd_trace {
	const struct sd_vars *vars;
	int *weight, *alpha;            /* which variables W and A are of, by name */
	int nweight, nalpha;
	int arch;                       /* there are steps of the alphas */
	uint32_t epoch_steps, stride;
	uint64_t *print;                /* (nweight or nalpha) fingerprints */
	void *host;                     /* the largest variable, where it cannot be looked at in place */
	struct { double loss, n; } last[2]; /* sums at the row before: weights, alphas */
	size_t n, cap;                  /* rows */
	uint64_t *digest, *alphas;
	double *loss, *arch_loss;
};

/* Of these variables, all of which are there already, in epochs of so many steps.  Adds row 0 if there is no row
 * yet.  -1 with a message, here and below. */
int sd_trace_begin(struct sd_trace *t, const struct sd_vars *vars, uint32_t epoch_steps);
void sd_trace_release(struct sd_trace *t);
/* Before an epoch's steps, or those that are left of it. */
int sd_trace_epoch(struct sd_trace *t);
/* After step `step` of the run, counted from 1: adds a row if there is one for it. */
int sd_trace_step(struct sd_trace *t, uint32_t step);

int sd_trace_put(const struct sd_trace *t, struct sd_artifact_out *out);
/* A checkpoint's, of a run that has done so many steps. */
int sd_trace_get(struct sd_trace *t, struct sd_artifact *art, uint64_t steps);

/* ---- trace_show.c: one step in full ---- */
/* Collects everything about a step, for a table of three columns, part, name and fingerprint as 16 hex digits:
 * "before" what every variable holds, "batch" what the programs are fed, "op" every result in the order in which
 * they are made (program and op by number, the op, and its first parameter), "after" the variables again, "trace" the
 * digests of the rows that there are for the steps before and this one. */
struct sd_trace_show;
struct sd_trace_show *sd_trace_show_begin(const struct sd_vars *vars);
/* The step has been run, and has its row in the trace: prints the table. */
int sd_trace_show_end(struct sd_trace_show *s, const struct sd_trace *t, FILE *f);
void sd_trace_show_free(struct sd_trace_show *s);
/* The fingerprint of a variable.  `host` has room for it. */
int sd_trace_var(const struct sd_var *var, void *host, uint64_t *print);

#endif
