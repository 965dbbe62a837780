/* search.h: the search for a cell (DARTS, algorithm 1, first order; sharpDARTS).
 *
 * In each step first the alphas move, by the loss on a fresh batch of the validation half, then the
 * weights, by the loss on the next batch of the training half.  The validation half is part of the
 * training split and is augmented like it. */
#ifndef SD_TRAIN_SEARCH_H
#define SD_TRAIN_SEARCH_H

#include "artifact/artifact.h"
#include "data/dataset.h"
#include "train/evaluate.h"
#include "train/loop.h"

struct sd_search_options {
	struct sd_supernet net;
	struct sd_step_options step;
	uint32_t batch;
	double train_portion;        /* of the training split that the weights are trained on */
	uint32_t limit;              /* steps of an epoch, and batches of its evaluation; 0: all */
	const double *lr;            /* one for each epoch */
	double arch_lr;
	struct sd_augment augment;   /* of both halves */
};

struct sd_search {
	struct sd_search_options o;
	struct sd_net net;
	const struct sd_dataset *ds;
	struct sd_vars vars;
	struct sd_loop loop;
	uint32_t ntrain, nvalid;     /* images of the two halves */
	uint32_t *valid;             /* the validation half */
	struct sd_loader *train_loader, *valid_loader;
	struct sd_step_program *alphas, *weights;
	struct sd_step_program *weights_rest; /* of a short last batch, or NULL */
	struct sd_evaluator *evaluator;
	struct sd_graph *softmax_graph; /* alphas to weights, to be recorded */
	struct sd_program *softmax;
	struct sd_bind softmax_bind;
	sd_val softmax_out[2];
	size_t ncell[2];             /* elements of alphas: normal, reduce */
	float *alpha[2], *weight[2]; /* (epochs done, edges, primitives) */
	int alpha_cap;
};

/* Makes everything ready for the first step; the caller then sets loop.watch, .name, .quiet and
 * .max_seconds, and runs it by sd_loop_run.
 * `ds`, the primitive list, `lr` and the engine must outlive it.  On failure there is a message and
 * nothing to release. */
int sd_search_init(struct sd_search *s, struct sd_engine *engine, const struct sd_dataset *ds,
	const struct sd_search_options *o, uint64_t seed, int first_epoch, int epochs);
void sd_search_release(struct sd_search *s);

/* Writes the payload: /primitives (K) names, /alphas and /weights {normal,reduce} (epochs, edges, K), /state,
 * /optimizer and /history (store.h).  `partial` adds what a checkpoint needs. */
int sd_search_write(const struct sd_search *s, struct sd_artifact_out *out, bool partial);
/* Goes back to what a checkpoint holds. */
int sd_search_read(struct sd_search *s, struct sd_artifact *art);

/* The columns of its history. */
enum {
	SD_SEARCH_LR, SD_SEARCH_TRAIN_LOSS, SD_SEARCH_TRAIN_TOP1, SD_SEARCH_TRAIN_TOP5, SD_SEARCH_ARCH_LOSS,
	SD_SEARCH_VALID_LOSS, SD_SEARCH_VALID_TOP1, SD_SEARCH_VALID_TOP5, SD_SEARCH_NCOL
};

#endif
