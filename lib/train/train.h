/* train.h: trains the network that a genotype stands for, as the papers do on CIFAR-10. */
#ifndef SD_TRAIN_TRAIN_H
#define SD_TRAIN_TRAIN_H

#include "artifact/artifact.h"
#include "data/dataset.h"
#include "train/evaluate.h"
#include "train/feed.h"
#include "train/loop.h"

struct sd_train_options {
	struct sd_network net;
	struct sd_step_options step; /* drop_path is set from drop_path_prob */
	uint32_t batch;
	uint32_t limit;              /* steps of an epoch, 0: all */
	double train_portion;        /* of the training split; 0 or 1: all; else the rest is evaluated on in the
	                                place of the test split */
	const double *lr;            /* one for each epoch */
	double drop_path_prob;       /* in the last epoch; in epoch e it is this times e / that one */
	struct sd_augment augment;
};

struct sd_train {
	struct sd_train_options o;
	struct sd_net net;
	const struct sd_dataset *ds;
	struct sd_vars vars;
	struct sd_loop loop;
	struct sd_feed feed;
	struct sd_step_program *full, *rest; /* rest: of a short last batch, or NULL */
	struct sd_evaluator *evaluator;      /* of the test split, or of what train_portion left */
	struct sd_vars_copy *best;           /* the variables after the best epoch */
	int best_epoch;                      /* the first one of the highest test accuracy; 0: none yet */
	double best_top1;
};

/* Makes everything ready for the first step; the caller then sets loop.watch, .name, .quiet and
 * .max_seconds, and runs it by sd_loop_run.
 * `ds`, the genotype, `lr` and the engine must outlive it.  On failure there is a message and nothing to
 * release. */
int sd_train_init(struct sd_train *t, struct sd_engine *engine, const struct sd_dataset *ds,
	const struct sd_train_options *o, uint64_t seed, int first_epoch, int epochs);
void sd_train_release(struct sd_train *t);

/* How the best (or the last) weights do on the test split of another data set. */
int sd_train_also(struct sd_train *t, const struct sd_dataset *ds, bool best, struct sd_evaluation *ev);

/* Writes the payload: /network/... (what sd_network_read needs), /genotype, /state, /state_best and
 * /best_epoch, /optimizer and /history (store.h).  `partial` adds what a checkpoint needs. */
int sd_train_write(const struct sd_train *t, struct sd_artifact_out *out, bool partial);
/* Goes back to what a checkpoint holds. */
int sd_train_read(struct sd_train *t, struct sd_artifact *art);

/* The network of a model artifact.  `genotype` (initialised by the caller, who releases it) is filled in,
 * and net->network.genotype points to it. */
int sd_network_read(struct sd_artifact *art, struct sd_net *net, struct sd_genotype *genotype);

/* The columns of its history. */
enum {
	SD_TRAIN_LR, SD_TRAIN_DROP_PATH, SD_TRAIN_TRAIN_LOSS, SD_TRAIN_TRAIN_TOP1, SD_TRAIN_TRAIN_TOP5,
	SD_TRAIN_VALID_LOSS, SD_TRAIN_VALID_TOP1, SD_TRAIN_VALID_TOP5, SD_TRAIN_NCOL
};

#endif
