/* step_build.h: what the builders of a step's graph share.  For step.c and unrolled.c alone. */
#ifndef SD_TRAIN_STEP_BUILD_H
#define SD_TRAIN_STEP_BUILD_H

#include "train/step.h"

enum { SD_STEP_WRITES = 8 }; /* most writes of a kind, beside those of running statistics */

/* "<folder><parameter's name>", of the parameter's shape. */
sd_val sd_step_state(struct sd_graph *g, const char *folder, sd_val param);

/* Parameters that the loss depends on, with their gradients, the alphas last; room for a state of each. */
struct sd_step_moved {
	int n, nweights; /* all, and without the alphas */
	sd_val *param, *grad, *state;
};
/* Differentiates the loss in the weights and, if asked, the alphas, which fills p->grad and p->grad_alphas
 * too. -1 when the graph has failed; to be released in any case. */
int sd_step_gradients(struct sd_step_program *p, int alphas, struct sd_step_moved *moved);
void sd_step_moved_release(struct sd_step_moved *moved);
/* The alphas of the graph, and the gradient in them alone into p->grad_alphas; -1 when the graph has
 * failed. */
int sd_step_alpha_gradients(struct sd_step_program *p, sd_val *alphas);
/* Adam on those of the two that have a gradient: the token. */
sd_val sd_step_adam(struct sd_graph *g, const struct sd_step_options *o, const sd_val *alphas,
	const sd_val *gradient);

/* ---- unrolled.c ---- */
/* The writes of one of its kinds into token; returns their number. */
int sd_unrolled_writes(struct sd_step_program *p, const struct sd_step_options *o, sd_val *token);
/* Binds a program of any kind; side 1 binds SD_STEP_BESIDE to the other side. */
int sd_unrolled_bind(const struct sd_step_program *p, struct sd_vars *vars, int side, struct sd_bind *bind);

#endif
