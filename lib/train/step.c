/* step.c: builds the programs of a run. */
#include "train/step.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "graph/grad.h"
#include "train/step_build.h"

const char *const sd_alpha_names[2] = { SD_VAR_ALPHAS_NORMAL, SD_VAR_ALPHAS_REDUCE };

const char *sd_step_sums(enum sd_step_kind kind)
{
	switch (kind) {
	case SD_STEP_WEIGHTS: return "sums/train";
	case SD_STEP_ALPHAS: case SD_STEP_UNROLLED: return "sums/arch";
	case SD_STEP_EVAL: return "sums/eval";
	default: return NULL;
	}
}

sd_val sd_step_state(struct sd_graph *g, const char *folder, sd_val param)
{
	char name[512];
	if (snprintf(name, sizeof name, "%s%s", folder, g->val[param].name) >= (int)sizeof name)
		return sd_graph_fail(g, "parameter name '%s' is too long", g->val[param].name);
	return sd_state(g, name, SD_F32, g->val[param].shape);
}

/* The network on x: logits, and the auxiliary head's or SD_NIL. */
static void build_net(struct sd_step_program *p, const struct sd_net *net, sd_val x)
{
	struct sd_graph *g = p->graph;
	if (net->kind != SD_NET_SUPERNET) {
		if (net->kind == SD_NET_CIFAR ?
		    sd_build_network_cifar(&p->build, &net->network, x, &p->logits, &p->logits_aux) :
		    sd_build_network_imagenet(&p->build, &net->network, x, &p->logits, &p->logits_aux))
			p->logits = SD_NIL;
		return;
	}
	const struct sd_supernet *s = &net->supernet;
	struct sd_shape shape = sd_shape2(sd_search_edges(s->steps), s->prims->n);
	p->weights_normal = sd_softmax(g, sd_param(g, SD_VAR_ALPHAS_NORMAL, shape));
	p->weights_reduce = sd_softmax(g, sd_param(g, SD_VAR_ALPHAS_REDUCE, shape));
	p->logits = sd_build_supernet(&p->build, s, x, p->weights_normal, p->weights_reduce);
}

/* Padam with the defaults of its authors' code, which the reference leaves as they are. */
static sd_val build_padam(struct sd_graph *g, const struct sd_step_options *o, int n, const sd_val *param,
	const sd_val *grad, sd_val lr, sd_val coef)
{
	static const char *const folder[3] = { SD_VAR_PADAM_M, SD_VAR_PADAM_V, SD_VAR_PADAM_U };
	sd_val *state = calloc((size_t)n * 3 + 1, sizeof *state);
	if (!state)
		return sd_graph_fail(g, "out of memory");
	for (int k = 0; k < 3; k++)
		for (int i = 0; i < n; i++)
			state[k * n + i] = sd_step_state(g, folder[k], param[i]);
	sd_val t = sd_state(g, SD_VAR_PADAM_T, SD_I32, sd_shape0());
	sd_val token = sd_padam(g, n, param, state, state + n, state + 2 * n, grad, lr, t, coef, 0.9f, 0.999f,
		1e-8f, o->weight_decay, o->partial);
	free(state);
	return token;
}

/* What the loss does not depend on has no gradient, and no part in any update, decay included. */
/* Gradients of the loss, times the scale if there is one. */
static int differentiate(struct sd_step_program *p, const struct sd_step_scale *scale, int n, const sd_val *want,
	sd_val *grad)
{
	struct sd_graph *g = p->graph;
	int ret = scale->scale == SD_NIL ? sd_graph_grad(g, p->loss, n, want, grad) :
		sd_graph_vjp(g, p->loss, scale->scale, n, want, grad);
	if (ret)
		sd_graph_fail(g, "%s", sd_error_text());
	return ret;
}

int sd_step_gradients(struct sd_step_program *p, int alphas, const struct sd_step_scale *scale,
	struct sd_step_moved *moved)
{
	struct sd_graph *g = p->graph;
	const struct sd_build *b = &p->build;
	int n = b->nparam + (alphas ? 2 : 0), ret = -1;
	*moved = (struct sd_step_moved){ .n = 0 };
	sd_val *want = calloc((size_t)n + 1, sizeof *want);
	moved->param = calloc((size_t)n * 3 + 1, sizeof *moved->param);
	p->grad = calloc((size_t)n + 1, sizeof *p->grad);
	if (!want || !moved->param || !p->grad) {
		sd_graph_fail(g, "out of memory");
		goto out;
	}
	moved->grad = moved->param + n;
	moved->state = moved->grad + n;
	for (int i = 0; i < n; i++)
		want[i] = i < b->nparam ? b->param[i] : sd_find(g, sd_alpha_names[i - b->nparam]);
	if (differentiate(p, scale, n, want, p->grad))
		goto out;
	for (int i = 0; i < n; i++) {
		if (i >= b->nparam)
			p->grad_alphas[i - b->nparam] = p->grad[i];
		if (p->grad[i] == SD_NIL)
			continue;
		moved->param[moved->n] = want[i];
		moved->grad[moved->n++] = p->grad[i];
		moved->nweights += i < b->nparam;
	}
	ret = 0;
out:
	free(want);
	return ret;
}

void sd_step_moved_release(struct sd_step_moved *moved)
{
	free(moved->param);
}

/* SGD with momentum (or Padam) on all parameters, gradients clipped by their common norm.  Returns the number of
 * tokens. */
static int build_sgd(struct sd_step_program *p, const struct sd_step_options *o, sd_val *token)
{
	struct sd_graph *g = p->graph;
	struct sd_step_scale scale = sd_step_scale(g, o, SD_VAR_LOSS_SCALE);
	struct sd_step_moved w;
	int n = 0;
	if (sd_step_gradients(p, o->alphas_as_weights, &scale, &w))
		goto out;
	for (int i = 0; i < w.n; i++)
		w.state[i] = o->padam ? SD_NIL : sd_step_state(g, SD_VAR_MOMENTUM, w.param[i]);
	sd_val coef = SD_NIL;
	if (o->grad_clip > 0 || o->loss_scale)
		p->grad_norm = sd_step_scale_norm(g, &scale, sd_grad_norm(g, w.n, w.grad));
	if (o->grad_clip > 0)
		coef = sd_clip_coef(g, p->grad_norm, o->grad_clip);
	coef = sd_step_scale_coef(g, &scale, coef);
	sd_val lr = sd_scalar(g, SD_VAR_LR, SD_F32);
	g->pred = scale.ok;
	token[n++] = o->padam ? build_padam(g, o, w.n, w.param, w.grad, lr, coef) :
		sd_sgd(g, w.n, w.param, w.state, w.grad, lr, coef, o->momentum, o->weight_decay);
	g->pred = SD_NIL;
	n += sd_step_scale_write(g, &scale, token + n);
out:
	sd_step_moved_release(&w);
	return n;
}

sd_val sd_step_adam(struct sd_graph *g, const struct sd_step_options *o, const sd_val *alphas,
	const sd_val *gradient)
{
	sd_val param[2], grad[2], m[2], v[2];
	int n = 0;
	for (int i = 0; i < 2; i++) {
		if (gradient[i] == SD_NIL)
			continue;
		param[n] = alphas[i];
		grad[n] = gradient[i];
		m[n] = sd_step_state(g, SD_VAR_ADAM_M, alphas[i]);
		v[n++] = sd_step_state(g, SD_VAR_ADAM_V, alphas[i]);
	}
	sd_val lr = sd_scalar(g, SD_VAR_ARCH_LR, SD_F32), t = sd_state(g, SD_VAR_ADAM_T, SD_I32, sd_shape0());
	return sd_adam(g, n, param, m, v, grad, lr, t, o->arch_beta1, o->arch_beta2, o->arch_eps,
		o->arch_weight_decay);
}

int sd_step_alpha_gradients(struct sd_step_program *p, const struct sd_step_scale *scale, sd_val *alphas)
{
	for (int i = 0; i < 2; i++)
		alphas[i] = sd_find(p->graph, sd_alpha_names[i]);
	return differentiate(p, scale, 2, alphas, p->grad_alphas);
}

/* A first-order step of the alphas.  Returns the number of tokens. */
static int build_alphas(struct sd_step_program *p, const struct sd_step_options *o, sd_val *token)
{
	struct sd_graph *g = p->graph;
	struct sd_step_scale scale = sd_step_scale(g, o, SD_VAR_ARCH_LOSS_SCALE);
	sd_val alphas[2], grad[2];
	int n = 0;
	if (sd_step_alpha_gradients(p, &scale, alphas))
		return 0;
	for (int i = 0; i < 2; i++)
		if (p->grad_alphas[i] != SD_NIL)
			grad[n++] = p->grad_alphas[i];
	if (o->loss_scale)
		sd_step_scale_norm(g, &scale, sd_grad_norm(g, n, grad));
	for (int i = 0; i < 2; i++)
		p->grad_alphas[i] = sd_step_scale_gradient(g, &scale, p->grad_alphas[i]);
	g->pred = scale.ok;
	token[0] = sd_step_adam(g, o, alphas, p->grad_alphas);
	g->pred = SD_NIL;
	return 1 + sd_step_scale_write(g, &scale, token + 1);
}

/* What a kind does with the loss: its writes, but for sums and running statistics, into token. */
static int build_writes(struct sd_step_program *p, const struct sd_step_options *o, sd_val *token)
{
	switch (p->kind) {
	case SD_STEP_WEIGHTS:
		return build_sgd(p, o, token);
	case SD_STEP_ALPHAS:
		return build_alphas(p, o, token);
	case SD_STEP_EVAL:
		p->argmax = token[0] = sd_argmax(p->graph, p->logits);
		return 1;
	default:
		return sd_unrolled_writes(p, o, token);
	}
}

/* Builds the graph; *root gets what the plan must do or keep (allocated), and their number is returned. */
static int build(struct sd_step_program *p, const struct sd_net *net, const struct sd_step_options *o,
	int keep, sd_val **root)
{
	struct sd_graph *g = p->graph;
	int n = 0, train = p->kind != SD_STEP_EVAL;
	struct sd_shape images = sd_shape4(p->batch, net->channels_in, net->height, net->width);
	sd_val x = sd_input(g, "input/x", SD_F32, images);
	sd_val labels = sd_input(g, "input/labels", SD_I32, sd_shape1(p->batch));

	sd_build_init(&p->build, g, train ? SD_TRAIN : SD_EVAL);
	p->build.seed = p->seed;
	if (train && o->drop_path) {
		p->build.drop_prob = sd_scalar(g, SD_VAR_DROP_PROB, SD_F32);
		p->build.step = sd_scalar(g, SD_VAR_STEP, SD_I32);
		p->build.ids = sd_input(g, "input/ids", SD_I32, sd_shape1(p->batch));
	}
	build_net(p, net, x);
	p->rows = sd_xent(g, p->logits, labels, 0);
	if (train && p->logits_aux != SD_NIL)
		p->rows = sd_wsum(g, p->rows, 1, sd_xent(g, p->logits_aux, labels, 0), o->auxiliary_weight);
	p->loss = sd_mean(g, p->rows);

	sd_val token[SD_STEP_WRITES];
	int ntoken = 0;
	if (sd_step_sums(p->kind)) {
		sd_val sums = sd_state(g, sd_step_sums(p->kind), SD_F64, sd_shape1(5));
		token[ntoken++] = sd_metrics(g, sums, p->rows, sd_rank(g, p->logits, labels));
	}
	ntoken += build_writes(p, o, token + ntoken);
	if (!sd_graph_ok(g))
		return -1;

	*root = calloc((size_t)p->build.nupdate + (size_t)p->build.nparam + SD_STEP_WRITES + 16, sizeof **root);
	if (!*root)
		return sd_error(SD_ERR_IO, "out of memory");
	sd_val *r = *root;
	for (int i = 0; i < ntoken; i++)
		r[n++] = token[i];
	/* the unrolled model's own running statistics are never used */
	for (int i = 0; p->kind != SD_STEP_UNROLLED && i < p->build.nupdate; i++)
		r[n++] = p->build.update[i];
	if (keep) {
		sd_val also[] = { p->logits, p->logits_aux, p->rows, p->loss, p->grad_norm,
			p->grad_alphas[0], p->grad_alphas[1], p->weights_normal, p->weights_reduce };
		for (size_t i = 0; i < sizeof also / sizeof *also; i++)
			if (also[i] != SD_NIL)
				r[n++] = also[i];
		for (int i = 0; p->grad && i < p->build.nparam; i++)
			if (p->grad[i] != SD_NIL)
				r[n++] = p->grad[i];
	}
	return n;
}

/* The input's buffer, or NULL where the graph has no such input (no drop path: no ids). */
static int bind_input(struct sd_step_program *p, struct sd_vars *vars, const char *name,
	struct sd_buffer **buffer)
{
	sd_val v = sd_find(p->graph, name);
	if (v == SD_NIL)
		return 0;
	const struct sd_value *val = &p->graph->val[v];
	*buffer = sd_buffer_new(vars->engine, val->dtype, val->shape);
	if (!*buffer)
		return -1;
	p->bind.slot[val->slot] = *buffer;
	return 0;
}

struct sd_step_program *sd_step_program_new(struct sd_vars *vars, const struct sd_net *net,
	const struct sd_step_options *options, enum sd_step_kind kind, int batch, int keep)
{
	struct sd_step_program *p = calloc(1, sizeof *p);
	sd_val *root = NULL;
	if (!p) {
		sd_error(SD_ERR_IO, "out of memory");
		return NULL;
	}
	p->kind = kind;
	p->batch = batch;
	p->seed = vars->seed;
	p->engine = vars->engine;
	p->logits_aux = p->weights_normal = p->weights_reduce = p->argmax = p->grad_norm = SD_NIL;
	p->grad_alphas[0] = p->grad_alphas[1] = SD_NIL;
	p->graph = sd_graph_new();
	if (!p->graph)
		goto fail;
	p->graph->unfused = options->plan_flags & SD_PLAN_UNFUSED ? 1 : 0;
	int nroot = build(p, net, options, keep, &root);
	if (nroot < 0)
		goto fail;
	p->program = sd_program_new(vars->engine, p->graph, nroot, root, options->plan_flags);
	if (!p->program)
		goto fail;
	p->bind.nslot = p->graph->nslot;
	p->bind.slot = calloc((size_t)p->bind.nslot + 1, sizeof *p->bind.slot);
	if (!p->bind.slot) {
		sd_error(SD_ERR_IO, "out of memory");
		goto fail;
	}
	if (bind_input(p, vars, "input/x", &p->x) || bind_input(p, vars, "input/labels", &p->labels) ||
	    bind_input(p, vars, "input/ids", &p->ids) || sd_unrolled_bind(p, vars, 0, &p->bind) ||
	    sd_step_scale_first(vars))
		goto fail;
	free(root);
	return p;
fail:
	free(root);
	sd_step_program_free(p);
	return NULL;
}

void sd_step_program_free(struct sd_step_program *p)
{
	if (!p)
		return;
	sd_program_free(p->program);
	sd_build_release(&p->build);
	sd_graph_free(p->graph);
	sd_buffer_free(p->x);
	sd_buffer_free(p->labels);
	sd_buffer_free(p->ids);
	free(p->bind.slot);
	free(p->grad);
	free(p);
}

void sd_step_share_input(struct sd_step_program *p, const struct sd_step_program *from)
{
	sd_step_bind_input(p, &p->bind, from);
	sd_buffer_free(p->x);
	sd_buffer_free(p->labels);
	sd_buffer_free(p->ids);
	p->x = p->labels = p->ids = NULL;
}

void sd_step_bind_input(const struct sd_step_program *p, struct sd_bind *bind, const struct sd_step_program *from)
{
	for (int s = 0; s < p->graph->nslot; s++) {
		const struct sd_value *val = &p->graph->val[p->graph->slot[s]];
		if (val->cls == SD_INPUT)
			bind->slot[s] = from->bind.slot[from->graph->val[sd_find(from->graph, val->name)].slot];
	}
}

/* ---- running ---- */

int sd_step_add_batch(struct sd_step_list *l, struct sd_step_program *p, const struct sd_step_batch *b)
{
	if (b->device) {
		l->work[l->n++] = (struct sd_work){ .feed = b->device, .x = p->x, .labels = p->labels, .ids = p->ids };
		return 0;
	}
	double began = sd_engine_clock(p->engine);
	if (sd_buffer_write(p->x, b->images) || sd_buffer_write(p->labels, b->labels) ||
	    (p->ids && sd_buffer_write(p->ids, b->ids)))
		return -1;
	sd_engine_note_part(p->engine, SD_PART_DATA, sd_engine_clock(p->engine) - began);
	return 0;
}

void sd_step_add(struct sd_step_list *l, struct sd_program *p, const struct sd_bind *bind)
{
	l->work[l->n++] = (struct sd_work){ .program = p, .bind = bind };
}

int sd_step_list_run(const struct sd_step_list *l)
{
	return sd_work_run(l->n, l->work);
}

int sd_step_run(struct sd_step_program *p, const float *images, const int32_t *labels, const int32_t *ids)
{
	struct sd_step_batch b = { p->batch, images, labels, ids, NULL };
	struct sd_step_list l = { .n = 0 };
	if (sd_step_add_batch(&l, p, &b))
		return -1;
	sd_step_add(&l, p->program, &p->bind);
	return sd_step_list_run(&l);
}

int sd_step_read(struct sd_step_program *p, sd_val v, void *host)
{
	return sd_program_read(p->program, v, host);
}

int sd_step_sums_get(const struct sd_vars *vars, enum sd_step_kind kind, struct sd_sums *sums)
{
	double s[5];
	if (sd_vars_get(vars, sd_step_sums(kind), s))
		return -1;
	*sums = (struct sd_sums){ .loss = s[0], .top1 = s[1], .top5 = s[2], .n = s[3], .bad = s[4] };
	return 0;
}

int sd_step_sums_zero(struct sd_vars *vars, enum sd_step_kind kind)
{
	return sd_vars_zero(vars, sd_step_sums(kind));
}
