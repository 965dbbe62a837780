/* search.h: the search for a cell (DARTS, algorithm 1; sharpDARTS).
 *
 * In each step first the alphas move, by the loss on a fresh batch of the validation half (first order, or
 * second order: unrolled.h), then the weights, by the loss on the next batch of the training half.  The
 * validation half is part of the training split and is augmented like it.  With alphas_as_weights there is no
 * step of the alphas: that of the weights moves them too. */
#ifndef SD_TRAIN_SEARCH_H
#define SD_TRAIN_SEARCH_H

#include <stdio.h>

#include "artifact/artifact.h"
#include "data/dataset.h"
#include "train/evaluate.h"
#include "train/feed.h"
#include "train/loop.h"
#include "train/unrolled.h"

struct sd_search_options {
	struct sd_supernet net;
	struct sd_step_options step;
	uint32_t batch;
	double train_portion;        /* of the training split that the weights are trained on */
	uint32_t limit;              /* steps of an epoch, and batches of its evaluation; 0: all */
	const double *lr;            /* one for each epoch */
	double arch_lr;
	int unrolled;                /* second order */
	int stop_on_skips;           /* end when the normal cell has so many skip connections; 0: never */
	struct sd_augment augment;   /* of both halves */
};

/* What an epoch left behind. */
struct sd_search_epochs {
	float *alpha[2], *weight[2]; /* (epochs done, edges, primitives): normal, reduce */
	double *entropy[2];          /* (epochs done, edges): nat */
	char **genotype;             /* (epochs done) */
	int cap;
};

struct sd_search {
	struct sd_search_options o;
	struct sd_net net;
	const struct sd_dataset *ds;
	struct sd_vars vars;
	struct sd_loop loop;
	uint32_t ntrain, nvalid;     /* images of the two halves */
	uint32_t *valid;             /* the validation half */
	struct sd_feed train_feed, valid_feed;
	struct sd_step_program *alphas; /* first order, else NULL */
	struct sd_unrolled *unrolled;   /* second order, else NULL */
	struct sd_step_program *weights;
	struct sd_step_program *weights_rest; /* of a short last batch, or NULL */
	struct sd_evaluator *evaluator;
	struct sd_graph *softmax_graph; /* alphas to weights, to be recorded */
	struct sd_program *softmax;
	struct sd_bind softmax_bind;
	sd_val softmax_out[2];
	size_t ncell[2];             /* elements of alphas: normal, reduce */
	struct sd_search_epochs epochs;
};

/* Makes everything ready for the first step; the caller then sets loop.watch, .name, .quiet and
 * .max_seconds, and runs it by sd_loop_run.
 * `ds`, the primitive list, `lr` and the engine must outlive it.  On failure there is a message and
 * nothing to release. */
int sd_search_init(struct sd_search *s, struct sd_engine *engine, const struct sd_dataset *ds,
	const struct sd_search_options *o, uint64_t seed, int first_epoch, int epochs);
void sd_search_release(struct sd_search *s);

/* Writes the payload: /primitives (K) names, /alphas and /weights {normal,reduce} (epochs, edges, K),
 * /entropy {normal,reduce} (epochs, edges) and /genotypes (epochs), /stopped_on_skips (1 or 0), /state,
 * /optimizer and /history (store.h).  `partial` adds what a checkpoint needs. */
int sd_search_write(const struct sd_search *s, struct sd_artifact_out *out, bool partial);
/* Goes back to what a checkpoint holds. */
int sd_search_read(struct sd_search *s, struct sd_artifact *art);

/* ---- search_eval.c ---- */
/* Sets the alphas from an artifact's /alphas_last, whose cells must have the shape given (edges,
 * primitives). */
int sd_search_load_alphas(struct sd_vars *vars, const struct sd_shape *shape, struct sd_artifact *art);
/* Evaluates the network of a search artifact on the two parts of the training split and on the test split, no
 * image being augmented: a table on f, with a header (split, images, loss, top1, top5 in percent). */
int sd_search_evaluate(struct sd_engine *engine, const struct sd_dataset *ds, const struct sd_search_options *o,
	struct sd_artifact *art, FILE *f);

/* The columns of its history.  SKIPS and ENTROPY (the mean over the edges, in nat) watch for the collapse
 * into skip connections.  The last is missing where there is no step of the alphas. */
enum {
	SD_SEARCH_LR, SD_SEARCH_TRAIN_LOSS, SD_SEARCH_TRAIN_TOP1, SD_SEARCH_TRAIN_TOP5,
	SD_SEARCH_VALID_LOSS, SD_SEARCH_VALID_TOP1, SD_SEARCH_VALID_TOP5,
	SD_SEARCH_SKIPS_NORMAL, SD_SEARCH_SKIPS_REDUCE, SD_SEARCH_ENTROPY_NORMAL, SD_SEARCH_ENTROPY_REDUCE,
	SD_SEARCH_ARCH_LOSS, SD_SEARCH_NCOL
};

/* ---- search_watch.c: for search.c ---- */
/* Makes room for epoch n (from 0), whose alphas and weights the caller then fills in. */
int sd_search_watch_room(struct sd_search *s, int n);
/* Works out the rest of epoch n, and the columns of the watch. */
int sd_search_watch(struct sd_search *s, int n, double *row);
int sd_search_watch_write(const struct sd_search *s, struct sd_artifact_out *out);
int sd_search_watch_read(struct sd_search *s, struct sd_artifact *art);
void sd_search_watch_release(struct sd_search *s);
/* Did the run end because of the skip connections of its last epoch? */
bool sd_search_stopped(const struct sd_search *s);

#endif
