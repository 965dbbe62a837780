/* exec_write.c: what changes parameters and states, and what goes over many tensors at once. */
#include "engine/cpu/exec.h"

#include <math.h>

#include "base/err.h"

static void run_bn_update(struct run *r)
{
	float *rm = in(r, 0), *rv = in(r, 1), m = r->n->a.f[0];
	const float *mean = in(r, 3), *var = in(r, 4);
	int32_t *nbt = in(r, 2);
	double unbiased = (double)r->n->a.i[0] / (double)(r->n->a.i[0] - 1);
	int c, n = shape(r, r->s->in[0].x)->d[0];

	for (c = 0; c < n; c++) {
		rm[c] = (1 - m) * rm[c] + m * mean[c];
		rv[c] = (1 - m) * rv[c] + m * (float)((double)var[c] * unbiased);
	}
	if (nbt)
		++*nbt;
}

/* Operands of an op over many tensors: up to five groups of n, after `lead` others. */
struct tensors {
	float **group[5];
	size_t *count; /* elements of each tensor */
};

static int gather(const struct run *r, int lead, int ngroup, int n, struct tensors *t)
{
	enum { MOST = 8192 };
	static _Thread_local float *p[5][MOST];
	static _Thread_local size_t count[MOST];
	int i, k;

	if (n > MOST)
		return sd_error(SD_ERR_BUG, "%s: %d parameters, at most %d are supported", sd_op_name(r->n->op), n,
			MOST);
	for (k = 0; k < ngroup; k++) {
		for (i = 0; i < n; i++)
			p[k][i] = in(r, lead + k * n + i);
		t->group[k] = p[k];
	}
	for (i = 0; i < n; i++)
		count[i] = sd_shape_count(shape(r, r->s->in[lead + i].x));
	t->count = count;
	return 0;
}

/* A scalar operand, or 1 where it was left out. */
static float factor(const struct run *r, int i)
{
	return r->s->in[i].x == SD_NIL ? 1 : scalar(r, r->s->in[i].x);
}

static int run_grad_norm(struct run *r)
{
	struct tensors t;

	if (gather(r, 0, 1, r->s->nin, &t))
		return -1;
	r->k->grad_norm(r->par, r->s->nin, (const float *const *)t.group[0], t.count, out(r, 0));
	return 0;
}

static int run_sgd(struct run *r, int ahead)
{
	const struct sd_attr *a = &r->n->a;
	struct tensors t;
	int n = a->i[0];

	if (gather(r, 2, ahead ? 4 : 3, n, &t))
		return -1;
	const float *const *grad = (const float *const *)t.group[2];

	if (ahead)
		r->k->sgd_ahead(r->par, n, t.group[3], (const float *const *)t.group[0],
			(const float *const *)t.group[1], grad, t.count, scalar(r, r->s->in[0].x), factor(r, 1),
			a->f[0], a->f[1]);
	else
		r->k->sgd(r->par, n, t.group[0], t.group[1], grad, t.count, scalar(r, r->s->in[0].x), factor(r, 1),
			a->f[0], a->f[1]);
	return 0;
}

static int run_adam(struct run *r)
{
	const struct sd_attr *a = &r->n->a;
	struct tensors t;
	int n = a->i[0];

	if (gather(r, 2, 4, n, &t))
		return -1;
	r->k->adam(r->par, n, t.group[0], t.group[1], t.group[2], (const float *const *)t.group[3], t.count,
		scalar(r, r->s->in[0].x), ++*(int32_t *)in(r, 1), a->f[0], a->f[1], a->eps, a->f[2]);
	return 0;
}

static int run_padam(struct run *r)
{
	const struct sd_attr *a = &r->n->a;
	struct tensors t;
	int n = a->i[0];

	if (gather(r, 3, 5, n, &t))
		return -1;
	r->k->padam(r->par, n, t.group[0], t.group[1], t.group[2], t.group[3], (const float *const *)t.group[4],
		t.count, scalar(r, r->s->in[0].x), ++*(int32_t *)in(r, 1), factor(r, 2), a->f[0], a->f[1], a->eps,
		a->f[2], a->f[3]);
	return 0;
}

static int run_store(struct run *r)
{
	int n = r->n->a.i[0], dir = r->s->nin > 1 + 2 * n;
	struct tensors t;

	if (gather(r, 1, dir ? 3 : 2, n, &t))
		return -1;
	r->k->axpy(r->par, n, t.group[0], (const float *const *)t.group[1],
		dir ? (const float *const *)t.group[2] : NULL, t.count, r->n->a.f[0] * factor(r, 0));
	return 0;
}

static void run_loss_scale(struct run *r)
{
	const float most = 16777216;
	float *scale = in(r, 0);
	int32_t *good = in(r, 1);

	if (!*(const int32_t *)in(r, 2)) {
		*scale = *scale > 1 ? *scale / 2 : 1;
		*good = 0;
	} else if (++*good >= r->n->a.i[0]) {
		*scale = *scale < most ? *scale * 2 : most;
		*good = 0;
	}
}

static void run_metrics(struct run *r)
{
	double *sums = in(r, 0);
	const float *loss = in(r, 1);
	const int32_t *rank = in(r, 2);
	int i, n = shape(r, r->s->in[1].x)->d[0];

	for (i = 0; i < n; i++) {
		sums[0] += (double)loss[i];
		sums[1] += rank[i] < 1;
		sums[2] += rank[i] < 5;
		sums[3] += 1;
		sums[4] += !isfinite(loss[i]);
	}
}

int sd_cpu_step_write(struct run *r)
{
	switch (r->n->op) {
	case SD_OP_GRAD_NORM:
		return run_grad_norm(r);
	case SD_OP_BN_UPDATE:
		run_bn_update(r);
		return 0;
	case SD_OP_SGD:
	case SD_OP_SGD_AHEAD:
		return run_sgd(r, r->n->op == SD_OP_SGD_AHEAD);
	case SD_OP_ADAM:
		return run_adam(r);
	case SD_OP_PADAM:
		return run_padam(r);
	case SD_OP_STORE:
		return run_store(r);
	case SD_OP_LOSS_SCALE:
		run_loss_scale(r);
		return 0;
	case SD_OP_METRICS:
		run_metrics(r);
		return 0;
	default:
		return 1;
	}
}
