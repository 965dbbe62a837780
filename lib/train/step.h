/* step.h: the programs of a run: one step of weights, one step of alphas, one batch of evaluation.
 *
 * Each is a graph of its own for one batch size, bound to the variables of the run (vars.h), so a short
 * last batch is a further program and nothing more. */
#ifndef SD_TRAIN_STEP_H
#define SD_TRAIN_STEP_H

#include "engine/engine.h"
#include "model/model.h"
#include "train/vars.h"

/* Which network, on images of (channels_in, height, width). */
enum sd_net_kind { SD_NET_SUPERNET, SD_NET_CIFAR, SD_NET_IMAGENET };
struct sd_net {
	enum sd_net_kind kind;
	int channels_in, height, width;
	struct sd_supernet supernet; /* SD_NET_SUPERNET */
	struct sd_network network;   /* the others */
};

/* How a step changes the variables. */
struct sd_step_options {
	float momentum, weight_decay, grad_clip; /* SGD with momentum; no clipping at 0 */
	int padam;                               /* Padam instead of SGD; momentum is then not used */
	float partial;                           /* its exponent is 2 partial; betas 0.9 and 0.999, eps 1e-8 */
	float auxiliary_weight;                  /* of the auxiliary head's loss */
	int drop_path;                           /* the network drops paths, with probability "drop_prob" */
	float arch_beta1, arch_beta2, arch_eps, arch_weight_decay; /* Adam of the alphas */
	int alphas_as_weights;                   /* the step of the weights moves the alphas as well */
	float radius;                            /* R |v| of a second-order step (unrolled.h) */
	int loss_scale;                          /* the loss is scaled (float16) */
	int plan_flags;                          /* SD_PLAN_UNFUSED */
};
#define SD_STEP_DEFAULTS { \
	.momentum = 0.9f, .weight_decay = 3e-4f, .grad_clip = 5, .partial = 0.125f, .auxiliary_weight = 0.4f, \
	.arch_beta1 = 0.5f, .arch_beta2 = 0.999f, .arch_eps = 1e-8f, .arch_weight_decay = 1e-3f, \
	.radius = 0.01f }

/* Names of variables that the programs use beside parameters and running statistics. */
#define SD_VAR_LR "lr"                /* f32 scalar: of the weights */
#define SD_VAR_ARCH_LR "arch_lr"      /* f32 scalar: of the alphas */
#define SD_VAR_STEP "step"            /* i32 scalar: the global step, for drop path */
#define SD_VAR_DROP_PROB "drop_prob"  /* f32 scalar */
#define SD_VAR_MOMENTUM "optimizer/momentum/"   /* + parameter name */
#define SD_VAR_ADAM_M "optimizer/adam_m/"
#define SD_VAR_ADAM_V "optimizer/adam_v/"
#define SD_VAR_ADAM_T "optimizer/adam_t"        /* i32 scalar */
#define SD_VAR_PADAM_M "optimizer/padam_m/"
#define SD_VAR_PADAM_V "optimizer/padam_v/"
#define SD_VAR_PADAM_U "optimizer/padam_u/"     /* the largest v so far */
#define SD_VAR_PADAM_T "optimizer/padam_t"      /* i32 scalar */
#define SD_VAR_LOSS_SCALE "optimizer/loss_scale"           /* f32 scalar; good steps in "..._good", i32 */
#define SD_VAR_ARCH_LOSS_SCALE "optimizer/arch_loss_scale" /* the same for steps of the alphas */
#define SD_VAR_ALPHAS_NORMAL "alphas_normal"
#define SD_VAR_ALPHAS_REDUCE "alphas_reduce"
extern const char *const sd_alpha_names[2]; /* both */

enum sd_step_kind {
	SD_STEP_WEIGHTS, /* training forward, SGD or Padam, running statistics; adds to "sums/train" */
	SD_STEP_ALPHAS,  /* first order: the gradient of the loss in the alphas alone, from one training-mode
	                    forward that moves the running statistics once; Adam; adds to "sums/arch" */
	SD_STEP_EVAL,    /* evaluation mode; adds to "sums/eval" */
	/* The parts of a second-order step of the alphas: see unrolled.h. */
	SD_STEP_AHEAD, SD_STEP_UNROLLED, SD_STEP_BESIDE,
};
/* The name of the sums a kind adds to; NULL: to none. */
const char *sd_step_sums(enum sd_step_kind kind);

struct sd_step_program {
	enum sd_step_kind kind;
	int batch;
	uint64_t seed; /* of the run, for the draws of drop path */
	struct sd_engine *engine;
	struct sd_graph *graph;
	struct sd_build build;
	struct sd_program *program;
	struct sd_bind bind;
	struct sd_buffer *x, *labels, *ids;
	sd_val weights_normal, weights_reduce; /* softmaxed (supernet), else SD_NIL */
	sd_val logits, rows, loss;             /* rows: the loss of each sample */
	sd_val logits_aux;                     /* of the auxiliary head, in training, else SD_NIL */
	sd_val argmax;                         /* SD_STEP_EVAL */
	sd_val grad_norm;                      /* of the weights' gradient, before clipping */
	sd_val grad_alphas[2];
	sd_val *grad;                          /* of the weights: as build.param */
};

/* Builds, plans and binds one.  `keep` asks for logits, loss, gradients and norm to be readable after a
 * run (else only what the variables hold).  The genotype and primitives that `net` points to must outlive
 * it, and so must the variables.  NULL with a message. */
struct sd_step_program *sd_step_program_new(struct sd_vars *vars, const struct sd_net *net,
	const struct sd_step_options *options, enum sd_step_kind kind, int batch, int keep);
void sd_step_program_free(struct sd_step_program *p);

/* Binds p's inputs in `bind` to those of `from`. */
void sd_step_bind_input(const struct sd_step_program *p, struct sd_bind *bind, const struct sd_step_program *from);
/* p reads the inputs of `from`, which is of the same batch size and must outlive it, and has none of its own. */
void sd_step_share_input(struct sd_step_program *p, const struct sd_step_program *from);

/* A batch: on the host, or, with `device` set, the next one that the device makes. */
struct sd_step_batch {
	int n;
	const float *images;           /* (n, C, H, W) */
	const int32_t *labels, *ids;   /* (n); ids are needed only with drop path */
	struct sd_device_feed *device; /* the others are NULL then */
};

/* What is to be done as one piece of work. */
enum { SD_STEP_WORK = 12 };
struct sd_step_list {
	struct sd_work work[SD_STEP_WORK];
	int n;
};
/* Adds the batch for p's inputs (what lies on the host is fed at once). */
int sd_step_add_batch(struct sd_step_list *l, struct sd_step_program *p, const struct sd_step_batch *b);
/* Adds a run.  Scalars are set by the caller. */
void sd_step_add(struct sd_step_list *l, struct sd_program *p, const struct sd_bind *bind);
int sd_step_list_run(const struct sd_step_list *l);
/* Feeds one batch from the host, of p->batch images, and runs. */
int sd_step_run(struct sd_step_program *p, const float *images, const int32_t *labels, const int32_t *ids);
/* Copies out one of the values kept. */
int sd_step_read(struct sd_step_program *p, sd_val v, void *host);

/* The sums of a kind: what sd_metrics adds up. */
struct sd_sums {
	double loss, top1, top5, n, bad; /* bad: losses not finite */
};
int sd_step_sums_get(const struct sd_vars *vars, enum sd_step_kind kind, struct sd_sums *sums);
int sd_step_sums_zero(struct sd_vars *vars, enum sd_step_kind kind);

#endif
