/* unrolled.c: a second-order step of the alphas. */
#include "train/unrolled.h"

#include <stdlib.h>

#include "base/err.h"
#include "train/step_build.h"

#define WEIGHTS "weights/" /* in a graph that is bound to w' for w: w itself */
#define SIDE "side/"       /* scratch/plus/ or scratch/minus/ */

/* ---- the graphs ---- */

static const struct sd_step_scale unscaled = { SD_NIL, SD_NIL, SD_NIL };

static sd_val store_alphas(struct sd_step_program *p, const char *folder)
{
	sd_val dst[2], grad[2];
	int n = 0;
	for (int i = 0; i < 2; i++) {
		if (p->grad_alphas[i] == SD_NIL)
			continue;
		dst[n] = sd_step_state(p->graph, folder, sd_find(p->graph, sd_alpha_names[i]));
		grad[n++] = p->grad_alphas[i];
	}
	return sd_store(p->graph, n, dst, grad, 0, SD_NIL, NULL);
}

/* A state of every parameter, so that each has one to be bound to; w.state gets those of w.param. */
static void declare(struct sd_step_program *p, const char *folder, struct sd_step_moved *w)
{
	for (int i = 0; i < p->build.nparam; i++)
		sd_step_state(p->graph, folder, p->build.param[i]);
	for (int i = 0; i < w->nweights; i++)
		w->state[i] = sd_step_state(p->graph, folder, w->param[i]);
}

static int write_ahead(struct sd_step_program *p, const struct sd_step_options *o, sd_val *token)
{
	struct sd_graph *g = p->graph;
	struct sd_step_moved w;
	sd_val *momentum = NULL;
	if (sd_step_gradients(p, 0, &unscaled, &w))
		goto out;
	momentum = calloc((size_t)w.n + 1, sizeof *momentum);
	if (!momentum) {
		sd_graph_fail(g, "out of memory");
		goto out;
	}
	declare(p, SD_VAR_AHEAD, &w);
	for (int i = 0; i < w.n; i++)
		momentum[i] = sd_step_state(g, SD_VAR_MOMENTUM, w.param[i]);
	token[0] = sd_sgd_ahead(g, w.n, w.state, w.param, momentum, w.grad, sd_scalar(g, SD_VAR_LR, SD_F32), SD_NIL,
		o->momentum, o->weight_decay);
out:
	free(momentum);
	sd_step_moved_release(&w);
	return 1;
}

static int write_unrolled(struct sd_step_program *p, const struct sd_step_options *o, sd_val *token)
{
	struct sd_graph *g = p->graph;
	struct sd_step_moved w;
	sd_val *base = NULL;
	int n = 0;
	if (sd_step_gradients(p, 1, &unscaled, &w))
		goto out;
	base = calloc((size_t)w.n + 1, sizeof *base);
	if (!base) {
		sd_graph_fail(g, "out of memory");
		goto out;
	}
	for (int i = 0; i < w.nweights; i++)
		base[i] = sd_step_state(g, WEIGHTS, w.param[i]);
	declare(p, SD_VAR_BEHIND, &w);
	p->grad_norm = sd_grad_norm(g, w.nweights, w.grad);
	sd_val radius = sd_ratio(g, sd_fill(g, sd_shape0(), o->radius), p->grad_norm);
	sd_val kept = sd_state(g, SD_VAR_RADIUS, SD_F32, sd_shape0());
	token[n++] = sd_store(g, w.nweights, w.param, base, 1, radius, w.grad);
	token[n++] = sd_store(g, w.nweights, w.state, base, -1, radius, w.grad);
	token[n++] = sd_store(g, 1, &kept, &radius, 0, SD_NIL, NULL);
	token[n++] = store_alphas(p, SD_VAR_GRADIENT);
out:
	free(base);
	sd_step_moved_release(&w);
	return n;
}

int sd_unrolled_writes(struct sd_step_program *p, const struct sd_step_options *o, sd_val *token)
{
	sd_val alphas[2];
	if (p->kind == SD_STEP_AHEAD)
		return write_ahead(p, o, token);
	if (p->kind == SD_STEP_UNROLLED)
		return write_unrolled(p, o, token);
	if (sd_step_alpha_gradients(p, &unscaled, alphas))
		return 0;
	token[0] = store_alphas(p, SIDE);
	return 1;
}

int sd_unrolled_bind(const struct sd_step_program *p, struct sd_vars *vars, int side, struct sd_bind *bind)
{
	const struct sd_var_rule rule[] = {
		{ SD_PARAM, "alphas_", "alphas_" },
		{ SD_PARAM, "", side ? SD_VAR_BEHIND : SD_VAR_AHEAD },
		{ SD_STATE, WEIGHTS, "" },
		{ SD_STATE, SIDE, side ? SD_VAR_MINUS : SD_VAR_PLUS },
	};
	int elsewhere = p->kind == SD_STEP_UNROLLED || p->kind == SD_STEP_BESIDE;
	return sd_vars_bind_by(vars, p->graph, bind, elsewhere ? (int)(sizeof rule / sizeof *rule) : 0, rule);
}

static int bind_new(struct sd_bind *bind, const struct sd_graph *g)
{
	bind->nslot = g->nslot;
	bind->slot = calloc((size_t)g->nslot + 1, sizeof *bind->slot);
	return bind->slot ? 0 : sd_error(SD_ERR_IO, "out of memory");
}

/* The difference and Adam, for the alphas that have a gradient. */
static int update_new(struct sd_unrolled *u, struct sd_vars *vars, const struct sd_step_options *o, int flags)
{
	struct sd_graph *g = u->graph = sd_graph_new();
	sd_val alphas[2] = { SD_NIL, SD_NIL }, root[5];
	int n = 0;
	if (!g)
		return -1;
	sd_val over = sd_ratio(g, sd_fill(g, sd_shape0(), 1), sd_state(g, SD_VAR_RADIUS, SD_F32, sd_shape0()));
	sd_val lr = sd_scalar(g, SD_VAR_LR, SD_F32);
	for (int i = 0; i < 2; i++) {
		if (u->valid->grad_alphas[i] == SD_NIL)
			continue;
		struct sd_shape shape = *sd_shape_of(u->valid->graph, u->valid->grad_alphas[i]);
		alphas[i] = sd_param(g, sd_alpha_names[i], shape);
		sd_val difference = sd_wsum(g, sd_step_state(g, SD_VAR_PLUS, alphas[i]), 1,
			sd_step_state(g, SD_VAR_MINUS, alphas[i]), -1);
		u->implicit[i] = sd_axpy(g, SD_NIL, 0.5f, over, difference);
		u->grad_alphas[i] = sd_axpy(g, sd_step_state(g, SD_VAR_GRADIENT, alphas[i]), -1, lr, u->implicit[i]);
		root[n++] = u->implicit[i];
		root[n++] = u->grad_alphas[i];
	}
	root[n++] = sd_step_adam(g, o, alphas, u->grad_alphas);
	if (!sd_graph_ok(g))
		return -1;
	u->update = sd_program_new(vars->engine, g, n, root, flags);
	return !u->update || bind_new(&u->bind, g) ? -1 : sd_vars_bind(vars, g, &u->bind);
}

/* ---- all of it ---- */

static int beside_new(struct sd_unrolled_side *side, struct sd_vars *vars, const struct sd_net *net,
	const struct sd_step_options *o, int keep)
{
	struct sd_step_program *p = side->beside = sd_step_program_new(vars, net, o, SD_STEP_BESIDE,
		side->ahead->batch, keep);
	if (!p || bind_new(&side->minus, p->graph) || sd_unrolled_bind(p, vars, 1, &side->minus))
		return -1;
	sd_step_share_input(p, side->ahead);
	sd_step_bind_input(p, &side->minus, side->ahead);
	return 0;
}

struct sd_unrolled *sd_unrolled_new(struct sd_vars *vars, const struct sd_net *net,
	const struct sd_step_options *options, int batch, int nsize, const int *size, int keep)
{
	struct sd_unrolled *u = calloc(1, sizeof *u);
	if (!u) {
		sd_error(SD_ERR_IO, "out of memory");
		return NULL;
	}
	u->implicit[0] = u->implicit[1] = u->grad_alphas[0] = u->grad_alphas[1] = SD_NIL;
	if (options->padam || net->kind != SD_NET_SUPERNET) {
		sd_error(SD_ERR_BUG, "a second-order step is one of a search by SGD");
		goto fail;
	}
	if (options->loss_scale) {
		sd_error(SD_ERR_USAGE, "a second-order step's differences are too small for fp16: bf16, tf32 and fp32 will do");
		goto fail;
	}
	/* each makes the variables that the next is bound to */
	for (int i = 0; i < nsize; i++) {
		u->side[u->nside].ahead = sd_step_program_new(vars, net, options, SD_STEP_AHEAD, size[i], keep);
		if (!u->side[u->nside++].ahead)
			goto fail;
	}
	u->valid = sd_step_program_new(vars, net, options, SD_STEP_UNROLLED, batch, keep);
	if (!u->valid || update_new(u, vars, options, options->plan_flags))
		goto fail;
	for (int i = 0; i < nsize; i++)
		if (beside_new(&u->side[i], vars, net, options, keep))
			goto fail;
	return u;
fail:
	sd_unrolled_free(u);
	return NULL;
}

void sd_unrolled_free(struct sd_unrolled *u)
{
	if (!u)
		return;
	for (int i = 0; i < u->nside; i++) {
		sd_step_program_free(u->side[i].ahead);
		sd_step_program_free(u->side[i].beside);
		free(u->side[i].minus.slot);
	}
	sd_step_program_free(u->valid);
	sd_program_free(u->update);
	sd_graph_free(u->graph);
	free(u->bind.slot);
	free(u);
}

static struct sd_unrolled_side *side_of(const struct sd_unrolled *u, int n)
{
	for (int i = 0; i < u->nside; i++)
		if (u->side[i].ahead->batch == n)
			return (struct sd_unrolled_side *)&u->side[i];
	return NULL;
}

struct sd_step_program *sd_unrolled_reader(const struct sd_unrolled *u, int n)
{
	const struct sd_unrolled_side *side = side_of(u, n);
	return side ? side->ahead : NULL;
}

struct sd_unrolled_side *sd_unrolled_ahead(struct sd_unrolled *u, struct sd_step_list *l,
	const struct sd_step_batch *train)
{
	struct sd_unrolled_side *side = side_of(u, train->n);
	if (!side) {
		sd_error(SD_ERR_BUG, "no program for a batch of %d", train->n);
		return NULL;
	}
	if (sd_step_add_batch(l, side->ahead, train))
		return NULL;
	sd_step_add(l, side->ahead->program, &side->ahead->bind);
	return side;
}

int sd_unrolled_valid(struct sd_unrolled *u, struct sd_step_list *l, const struct sd_step_batch *valid)
{
	if (valid->n != u->valid->batch)
		return sd_error(SD_ERR_BUG, "no program for a batch of %d", valid->n);
	if (sd_step_add_batch(l, u->valid, valid))
		return -1;
	sd_step_add(l, u->valid->program, &u->valid->bind);
	return 0;
}

void sd_unrolled_finish(struct sd_unrolled *u, struct sd_step_list *l, struct sd_unrolled_side *side)
{
	sd_step_add(l, side->beside->program, &side->beside->bind);
	sd_step_add(l, side->beside->program, &side->minus);
	sd_step_add(l, u->update, &u->bind);
}

int sd_unrolled_add(struct sd_unrolled *u, struct sd_step_list *l, const struct sd_step_batch *train,
	const struct sd_step_batch *valid)
{
	struct sd_unrolled_side *side = sd_unrolled_ahead(u, l, train);
	if (!side || sd_unrolled_valid(u, l, valid))
		return -1;
	sd_unrolled_finish(u, l, side);
	return 0;
}
