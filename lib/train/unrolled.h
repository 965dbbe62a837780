/* unrolled.h: a second-order step of the alphas (DARTS, section 2.3, equations 6 to 8).
 *
 * With w the weights, m their momentum and xi their learning rate, the alphas' gradient is that of
 * L_valid(w', alpha) at w' = w - xi (momentum m + dL_train/dw + decay w), nothing being clipped, less
 *     xi (dL_train/dalpha(w + R v) - dL_train/dalpha(w - R v)) / (2 R),   v = dL_valid/dw',  R = 0.01 / |v|,
 * a finite difference that stands for a Hessian-vector product (0.01 is the authors' choice, an option here).
 * There is no second model: the programs run on other buffers, in this order, and nothing leaves the engine in
 * between:
 *
 *   SD_STEP_AHEAD     training batch, at w: writes w' to scratch/ahead/
 *   SD_STEP_UNROLLED  validation batch, at w': adds to "sums/arch"; its gradient in the alphas goes to
 *                     scratch/gradient/, w + R v to scratch/ahead/, w - R v to scratch/behind/
 *   SD_STEP_BESIDE    training batch, once on either: the alphas' gradients to scratch/plus/, scratch/minus/
 *   and, without a network, the difference and Adam.
 *
 * The running statistics move with each of the three forward passes on the training batch, as the reference's
 * do; those of the unrolled model would be thrown away and are not computed. */
#ifndef SD_TRAIN_UNROLLED_H
#define SD_TRAIN_UNROLLED_H

#include "train/step.h"

#define SD_VAR_AHEAD "scratch/ahead/"        /* + parameter name */
#define SD_VAR_BEHIND "scratch/behind/"
#define SD_VAR_RADIUS "scratch/radius"       /* f32 scalar: R */
#define SD_VAR_GRADIENT "scratch/gradient/"  /* + name of the alphas: dL_valid/dalpha at w' */
#define SD_VAR_PLUS "scratch/plus/"
#define SD_VAR_MINUS "scratch/minus/"

struct sd_unrolled {
	int nside;
	struct sd_unrolled_side {
		struct sd_step_program *ahead, *beside; /* which read the same input */
		struct sd_bind minus;                   /* of `beside`, whose own is w + R v */
	} side[2];                                      /* by size of the training batch */
	struct sd_step_program *valid;
	struct sd_graph *graph;                         /* of the last part */
	struct sd_program *update;
	struct sd_bind bind;
	sd_val implicit[2], grad_alphas[2];             /* its results: the difference over 2 R, and the gradient */
};

/* For validation batches of `batch` and training batches of the sizes given (at most two).  What it needs of
 * net and vars is as in sd_step_program_new; the weights must be moved by SGD.  NULL with a message. */
struct sd_unrolled *sd_unrolled_new(struct sd_vars *vars, const struct sd_net *net,
	const struct sd_step_options *options, int batch, int nsize, const int *size, int keep);
void sd_unrolled_free(struct sd_unrolled *u);

/* Adds one step of the alphas to a list of work: on the training batch that the weights come to next
 * and a validation batch.  -1 with a message. */
int sd_unrolled_add(struct sd_unrolled *u, struct sd_step_list *l, const struct sd_step_batch *train,
	const struct sd_step_batch *valid);
/* Its parts, in this order (tests look in between). */
struct sd_unrolled_side *sd_unrolled_ahead(struct sd_unrolled *u, struct sd_step_list *l,
	const struct sd_step_batch *train); /* NULL with a message */
int sd_unrolled_valid(struct sd_unrolled *u, struct sd_step_list *l, const struct sd_step_batch *valid);
void sd_unrolled_finish(struct sd_unrolled *u, struct sd_step_list *l, struct sd_unrolled_side *side);
/* The program that reads the training batches of n images first, for others to share its inputs; NULL: none. */
struct sd_step_program *sd_unrolled_reader(const struct sd_unrolled *u, int n);

#endif
