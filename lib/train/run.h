/* run.h: what sd-search and sd-train have in common around their loops: where data comes from, the stamp,
 * the output with its lock and checkpoints, the schedule, and how a run ends. */
#ifndef SD_TRAIN_RUN_H
#define SD_TRAIN_RUN_H

#include <stdbool.h>

#include "artifact/artifact.h"
#include "base/file.h"
#include "base/opt.h"
#include "data/augment.h"
#include "data/dataset.h"
#include "train/device.h"
#include "train/loop.h"
#include "train/profile.h"

/* "DIR/NAME.h5" if `data` is a folder, else `data`; to be freed. */
char *sd_run_data_path(const char *data, const char *name);

/* Opens and reads a data set and records it as the stamp's input `role`.  NULL with a message. */
struct sd_dataset *sd_run_data(struct sd_stamp *stamp, const char *role, const char *path);

enum sd_run_schedule { SD_COSINE_POWER, SD_WARM_RESTARTS };

/* Options of both tools. */
struct sd_run_options {
	struct sd_device_options device;
	const char *data, *dataset, *save, *resume, *load, *profile;
	double max_time, checkpoint_seconds;
	int report_freq, trace_step, stop_step;
	bool trace_nan, flops, restart_lr;
	/* the weights: numeric, the defaults being the tool's */
	int epochs, start_epoch, warmup_epochs, batch_size, cutout_length, ops, recipe;
	double learning_rate, learning_rate_min, exponent, momentum, weight_decay, grad_clip;
	int schedule, warm_restarts; /* enum sd_run_schedule; the rest of them cosine power annealing */
	bool cutout, autoaugment, random_eraser, unfused;
};
#define SD_OPTS_RUN(o) \
	SD_OPTS_DEVICE((o).device), \
	SD_OPT_TEXT("data", NULL, SD_INPUT_NAME, &(o).data, ".", "FILE|DIR", \
		    "data set artifact, or the folder that holds it as NAME.h5, NAME being the --dataset"), \
	SD_OPT_TEXT("dataset", NULL, SD_INPUT_NAME, &(o).dataset, "cifar10", "NAME", \
		    "which data set of a folder"), \
	SD_OPT_TEXT("save", NULL, SD_OUTPUT, &(o).save, "EXP", "NAME", "write the result to NAME.h5"), \
	SD_OPT_TEXT("resume", NULL, SD_EXECUTION, &(o).resume, NULL, "FILE|auto", \
		    "go on from a checkpoint of the same run, auto: from OUT.ckpt if there is one; or begin a " \
		    "new run at the state of another one"), \
	SD_OPT_FLAG("restart_lr", NULL, SD_NUMERIC, &(o).restart_lr, \
		    "a new run that --resume begins starts its learning rates at epoch 1's, whatever epoch it " \
		    "is at"), \
	SD_OPT_TEXT("load", NULL, SD_INPUT_NAME, &(o).load, "", "FILE", \
		    "start with the weights of this artifact (the best ones where it has them)"), \
	SD_OPT_REAL("max_time", NULL, SD_EXECUTION, &(o).max_time, "0", "SECONDS", \
		    "stop after so long with a checkpoint and exit status 75; 0: never", SD_AT_LEAST(0)), \
	SD_OPT_REAL("checkpoint_seconds", NULL, SD_EXECUTION, &(o).checkpoint_seconds, "30", "SECONDS", \
		    "at the end of an epoch write a checkpoint if the last one is older than this", \
		    SD_AT_LEAST(0)), \
	SD_OPT_INT("report_freq", NULL, SD_EXECUTION, &(o).report_freq, "50", "N", \
		   "with -v or on a terminal say how it goes every N steps; 0: never", \
		   SD_BETWEEN(0, 100000000)), \
	SD_OPT_FLAG("flops", NULL, SD_EXECUTION, &(o).flops, \
		    "print parameters, multiply-adds, activations and memory of the network, and end"), \
	SD_OPT_TEXT_OR_BARE("profile", NULL, SD_EXECUTION, &(o).profile, "", "families", \
		    "families|shapes|serial|plan[,bandwidth=GB/s][,rate=TFLOP/s][,gap=US]", \
		    "print a table of where the time goes: by kernel family, by shape too, or what is left to one " \
		    "thread; plan: how a step is planned, and end"), \
	SD_OPT_INT("stop_step", NULL, SD_EXECUTION, &(o).stop_step, "0", "N", \
		   "stop after step N of the run, counted from 1, with a checkpoint; 0: never", \
		   SD_BETWEEN(0, 2000000000)), \
	SD_OPT_FLAG("trace_nan", NULL, SD_EXECUTION, &(o).trace_nan, \
		    "check the result of every op for numbers that are not finite"), \
	SD_OPT_INT("trace_step", NULL, SD_EXECUTION, &(o).trace_step, "0", "N", \
		   "run up to step N, counted from 1, print fingerprints of all that it reads and makes, and " \
		   "end", SD_BETWEEN(0, 2000000000))
#define SD_OPTS_WEIGHTS(o, epochs_, lr_min_) \
	SD_OPT_INT("batch_size", "-b --b", SD_NUMERIC, &(o).batch_size, "64", "N", "images in a batch", \
		   SD_BETWEEN(1, 65536)), \
	SD_OPT_INT("epochs", NULL, SD_NUMERIC, &(o).epochs, epochs_, "N", "epochs to run", \
		   SD_BETWEEN(1, 100000)), \
	SD_OPT_INT("start_epoch", NULL, SD_NUMERIC, &(o).start_epoch, "1", "N", \
		   "number of the first epoch; unless given, with --resume the one behind the last", \
		   SD_BETWEEN(1, 100000)), \
	SD_OPT_REAL("learning_rate", "--lr", SD_NUMERIC, &(o).learning_rate, "0.025", "R", \
		    "highest learning rate of the weights", SD_AT_LEAST(0)), \
	SD_OPT_REAL("learning_rate_min", NULL, SD_NUMERIC, &(o).learning_rate_min, lr_min_, "R", \
		    "lowest learning rate of the weights", SD_AT_LEAST(0)), \
	SD_OPT_REAL("lr_power_annealing_exponent_order", NULL, SD_NUMERIC, &(o).exponent, "2", "R", \
		    "exponent order of the cosine power annealing", SD_AT_LEAST(1)), \
	SD_OPT_INT("warmup_epochs", NULL, SD_NUMERIC, &(o).warmup_epochs, "5", "N", \
		   "epochs of rising learning rate; unless given, less in a run of under seven epochs", \
		   SD_BETWEEN(0, 100000)), \
	SD_OPT_REAL("momentum", NULL, SD_NUMERIC, &(o).momentum, "0.9", "R", "momentum of the weights", \
		    SD_BETWEEN(0, 1)), \
	SD_OPT_REAL("weight_decay", "--wd", SD_NUMERIC, &(o).weight_decay, "0.0003", "R", \
		    "weight decay of the weights", SD_AT_LEAST(0)), \
	SD_OPT_REAL("grad_clip", NULL, SD_NUMERIC, &(o).grad_clip, "5", "R", \
		    "largest norm of the weights' gradient; 0: any", SD_AT_LEAST(0)), \
	SD_OPT_CHOICE("ops", NULL, SD_NUMERIC, &(o).ops, "OPS", "OPS|DARTS_OPS", \
		      "the layers that a primitive stands for"), \
	SD_OPT_FLAG("cutout", NULL, SD_NUMERIC, &(o).cutout, \
		    "cut a square hole into each training image"), \
	SD_OPT_INT("cutout_length", NULL, SD_NUMERIC, &(o).cutout_length, "16", "N", \
		   "side of the hole", SD_BETWEEN(1, 1024)), \
	SD_OPT_FLAG("autoaugment", NULL, SD_NUMERIC, &(o).autoaugment, \
		    "AutoAugment each training image by the policy for CIFAR-10; colour images only"), \
	SD_OPT_FLAG("random_eraser", NULL, SD_NUMERIC, &(o).random_eraser, \
		    "fill a box in two of three training images with noise"), \
	SD_OPT_CHOICE("recipe", NULL, SD_NUMERIC, &(o).recipe, "cifar", \
		      "cifar|imagenet|imagenet-fp16|rnn", \
		      "which of the original's programs to be; only cifar is there yet"), \
	SD_OPT_FLAG("unfused", NULL, SD_NUMERIC, &(o).unfused, \
		    "run every op by itself (slow; a check on the engine)")
/* Names of the original that change nothing here. */
#define SD_OPTS_RUN_IGNORED(t) \
	SD_OPT_TEXT("gpu", NULL, SD_EXECUTION, &(t), "0", "N", "accepted, without effect"), \
	SD_OPT_TEXT("model_path", NULL, SD_EXECUTION, &(t), "saved_models", "DIR", "accepted, without effect")

struct sd_run {
	const char *tool, *kind;
	struct sd_opts *opts;
	const struct sd_shared *shared;
	const struct sd_run_options *o;
	struct sd_stamp *stamp;
	char *output, *checkpoint;   /* checkpoint: NULL for standard output */
	struct sd_lock *lock;
	struct sd_engine *engine;
	struct sd_profile_spec profile;
	double *lr;                  /* (epochs) */
	struct sd_artifact *resume;  /* a checkpoint of this run, to go on from, or NULL */
	struct sd_artifact *start;   /* an artifact of another run whose state this one begins with, or NULL */
	bool done;                   /* --resume was given, and the output is there: nothing is to be run */
	struct sd_artifact *load;    /* what --load names, or NULL */
};

/* Begins a run of an artifact kind: installs the signal handlers, opens the engine, makes the stamp.  The
 * options must have been parsed.  To be released in any case. */
int sd_run_init(struct sd_run *r, const char *kind, struct sd_opts *opts, const struct sd_shared *shared,
	const struct sd_run_options *o);
void sd_run_release(struct sd_run *r);

/* What the options say of a step of the weights, into *s; and what the training images go through. */
void sd_run_step_options(const struct sd_run_options *o, struct sd_step_options *s);
struct sd_augment sd_run_augment(const struct sd_run_options *o, const struct sd_dataset *ds);

/* Options of the original that are not there yet: -1 with a message if one is asked for. */
struct sd_run_later {
	const char *name;
	int asked;
};
int sd_run_check_later(const struct sd_run_options *o, size_t n, const struct sd_run_later *later);

/* Once the tool's own inputs are stamped: where the run starts and goes to.
 *
 * Stamps what --load and --resume name.  A checkpoint of the same run (the claim but for payload,
 * epochs_done and complete) becomes r->resume; an artifact of another run becomes r->start, an input
 * "resume" of a new run, whose first epoch's number is then, unless given, the one behind the last epoch of
 * the other; if this new run was stopped before, r->resume is its own checkpoint.  Where there is none and the
 * output is the run's, or --update finds it current, r->done is set and that is all.
 * Sets r->lr: the rates of
 * o->epochs epochs, as if from epoch 1 on, but for a run that r->start begins: without --restart_lr those
 * of a run that ends with the same epoch.  A warm-up that was not asked for is cut to leave two epochs to
 * anneal over (o->warmup_epochs is then the new value); one epoch without one has the highest rate. Checks
 * and locks the target. */
int sd_run_begin(struct sd_run *r, struct sd_run_options *o);

/* Fills in what r->start or --load holds: weights, running statistics and (r->start) the optimisers' state. */
int sd_run_start(struct sd_run *r, struct sd_vars *vars);

/* Sets what the options say of the loop: its name, how it reports and how long it runs. */
void sd_run_loop(const struct sd_run *r, struct sd_loop *loop);

/* --profile: begins it, before the first step, and prints what was found: to standard output, or, where the result
 * goes there, to standard error.  Nothing where it was not asked for.  -1 with a message. */
int sd_run_profile_begin(const struct sd_run *r);
int sd_run_profile_end(const struct sd_run *r);

/* --flops and --profile=plan (flops.h, profile.h), of which the tool asks whether one is wanted: prints how large the
 * network is or how its step is planned for the data set's images and classes, or, without a data set at that place,
 * for CIFAR-10's, which a message says.  `unrolled`: a search of second order. */
int sd_run_wants_plan(const struct sd_run *r);
int sd_run_plan(const struct sd_run *r, struct sd_net net, const struct sd_step_options *s, int unrolled);

/* Writes the artifact: the checkpoint, or complete the output, after which the checkpoint goes. */
typedef int sd_run_write(const void *what, struct sd_artifact_out *out, bool partial);
int sd_run_save(struct sd_run *r, const struct sd_loop *loop, bool complete, sd_run_write *write,
	const void *what);

/* The exit status after a failure, the message having been printed; for a run stopped by SIGINT or SIGTERM
 * it does not return.  Releases r. */
int sd_run_fail(struct sd_run *r);

#endif
