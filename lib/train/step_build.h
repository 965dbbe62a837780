/* step_build.h: what the builders of a step's graph share.  For step.c and unrolled.c alone. */
#ifndef SD_TRAIN_STEP_BUILD_H
#define SD_TRAIN_STEP_BUILD_H

#include "train/step.h"

enum { SD_STEP_WRITES = 8 }; /* most writes of a kind, beside those of running statistics */

/* "<folder><parameter's name>", of the parameter's shape. */
sd_val sd_step_state(struct sd_graph *g, const char *folder, sd_val param);

/* A loss scale and its counter, and whether a step's gradients are finite; SD_NIL without scaling, and then the
 * functions below give back what they are given. */
struct sd_step_scale {
	sd_val scale, good, ok;
};

/* Parameters that the loss depends on, with their gradients, the alphas last; room for a state of each. */
struct sd_step_moved {
	int n, nweights; /* all, and without the alphas */
	sd_val *param, *grad, *state;
};
/* Differentiates the loss (times the scale) in the weights and, if asked, the alphas, which fills p->grad and
 * p->grad_alphas too. -1 when the graph has failed; to be released in any case. */
int sd_step_gradients(struct sd_step_program *p, int alphas, const struct sd_step_scale *scale,
	struct sd_step_moved *moved);
void sd_step_moved_release(struct sd_step_moved *moved);
/* The alphas of the graph, and the gradient in them alone into p->grad_alphas; -1 when the graph has
 * failed. */
int sd_step_alpha_gradients(struct sd_step_program *p, const struct sd_step_scale *scale, sd_val *alphas);
/* Adam on those of the two that have a gradient: the token. */
sd_val sd_step_adam(struct sd_graph *g, const struct sd_step_options *o, const sd_val *alphas,
	const sd_val *gradient);

/* ---- step_scale.c ---- */
/* The states of that name, if the options ask for scaling. */
struct sd_step_scale sd_step_scale(struct sd_graph *g, const struct sd_step_options *o, const char *name);
/* The true norm of gradients from that of the scaled ones, which decides on s->ok. */
sd_val sd_step_scale_norm(struct sd_graph *g, struct sd_step_scale *s, sd_val norm);
/* The factor of scaled gradients from that of true ones (SD_NIL: 1). */
sd_val sd_step_scale_coef(struct sd_graph *g, const struct sd_step_scale *s, sd_val coef);
/* A true gradient from the scaled one. */
sd_val sd_step_scale_gradient(struct sd_graph *g, const struct sd_step_scale *s, sd_val grad);
/* What moves the scale; returns how many tokens, 0 or 1. */
int sd_step_scale_write(struct sd_graph *g, const struct sd_step_scale *s, sd_val *token);
/* Gives scales that are new their first value. */
int sd_step_scale_first(struct sd_vars *vars);

/* ---- unrolled.c ---- */
/* The writes of one of its kinds into token; returns their number. */
int sd_unrolled_writes(struct sd_step_program *p, const struct sd_step_options *o, sd_val *token);
/* Binds a program of any kind; side 1 binds SD_STEP_BESIDE to the other side. */
int sd_unrolled_bind(const struct sd_step_program *p, struct sd_vars *vars, int side, struct sd_bind *bind);

#endif
