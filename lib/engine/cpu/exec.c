/* exec.c: one step of a plan on the CPU: finds the operands' memory, works out the per-lane factors of
 * norms that are folded into loads, and calls the kernel. */
#include "engine/cpu/cpu.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"

/* What the functions below need to know of the step they run. */
struct run {
	struct sd_cpu_program *p;
	const struct sd_kernels *k;
	struct sd_par *par;
	const struct sd_step *s;
	const struct sd_node *n;
	const struct sd_bind *bind;
	size_t lanes_used;
};

struct sd_img sd_cpu_image(const struct sd_cpu_program *p, sd_val v)
{
	const struct sd_value *x = &p->g->val[v];
	const struct sd_place *pl = &p->plan->place[v];

	return (struct sd_img){
		.p = (float *)(p->e->arena + p->plan->place[pl->root].offset + pl->inner),
		.n = x->shape.d[0], .c = x->shape.d[1], .h = x->shape.d[2], .w = x->shape.d[3],
		.cb = sd_cpu_blocks(x), .blk = p->blk[v],
	};
}

/* Memory of a value that is no image; NULL for one that was left out. */
static void *rows(const struct run *r, sd_val v)
{
	const struct sd_value *x;
	const struct sd_place *pl;

	if (v == SD_NIL)
		return NULL;
	x = &r->p->g->val[v];
	if (x->slot >= 0)
		return r->bind->slot[x->slot]->data;
	pl = &r->p->plan->place[v];
	return r->p->e->arena + r->p->plan->place[pl->root].offset + pl->inner;
}

static const struct sd_shape *shape(const struct run *r, sd_val v)
{
	return &r->p->g->val[v].shape;
}

static float scalar(const struct run *r, sd_val v)
{
	return *(const float *)rows(r, v);
}

static float *lanes(struct run *r, int cb)
{
	float *l = r->p->lanes + r->lanes_used;

	r->lanes_used += (size_t)cb * 16;
	memset(l, 0, (size_t)cb * 16 * sizeof(*l));
	return l;
}

/* Statistics of a norm, and what its kernels use, by lane; padding lanes are 0. */
struct norm_lanes {
	float *a, *b;       /* norm(x) = fma(a, x, b) */
	float *mean, *istd;
};

static struct norm_lanes norm_lanes(struct run *r, const struct sd_load *l, const struct sd_img *x)
{
	struct norm_lanes n = { lanes(r, x->cb), lanes(r, x->cb), lanes(r, x->cb), lanes(r, x->cb) };
	const float *mean = rows(r, l->mean), *var = rows(r, l->var);
	const float *gamma = rows(r, l->gamma), *beta = rows(r, l->beta);
	int i, j;

	for (i = 0; i < x->cb; i++)
		for (j = 0; j < x->blk[i].n; j++) {
			int c = x->blk[i].ch + j, at = i * 16 + j;
			double istd = 1 / sqrt((double)var[c] + (double)l->eps);

			n.mean[at] = mean[c];
			n.istd[at] = (float)istd;
			n.a[at] = (float)(gamma ? istd * (double)gamma[c] : istd);
			/* from the rounded a, so that mean itself comes out as beta */
			n.b[at] = (float)((beta ? (double)beta[c] : 0.0) - (double)mean[c] * (double)n.a[at]);
		}
	return n;
}

static struct sd_src source(struct run *r, int i)
{
	const struct sd_load *l = &r->s->in[i];
	struct sd_src s = { .x = sd_cpu_image(r->p, l->x), .relu = l->relu };

	if (l->mean != SD_NIL) {
		struct norm_lanes n = norm_lanes(r, l, &s.x);

		s.a = n.a;
		s.b = n.b;
	}
	return s;
}

static struct sd_img operand(const struct run *r, int i)
{
	return sd_cpu_image(r->p, r->s->in[i].x);
}

static struct sd_dst result(const struct run *r)
{
	return (struct sd_dst){ sd_cpu_image(r->p, r->n->out), r->s->accumulate };
}

static void *in(const struct run *r, int i)
{
	return rows(r, r->s->in[i].x);
}

static void *out(const struct run *r, int i)
{
	return rows(r, r->n->out + i);
}

/* ---- images ---- */

static void run_dwconv_bwd(struct run *r)
{
	const struct sd_step *w_step = r->s->pair >= 0 ? &r->p->plan->step[r->s->pair] : NULL;
	const float *w = in(r, 1);
	struct sd_img gy = operand(r, 0);
	struct sd_dst gx = result(r);
	struct sd_src x;
	float *gw;

	if (!w_step) {
		r->k->dwconv_bwd(r->par, NULL, &gy, w, r->n->a.win, &gx, NULL);
		return;
	}
	r->s = w_step;
	gw = rows(r, r->p->g->node[w_step->node].out);
	x = source(r, 0);
	r->k->dwconv_bwd(r->par, &x, &gy, w, r->n->a.win, &gx, gw);
}

static void run_norm(struct run *r)
{
	const struct sd_node *n = r->n;
	struct sd_load l = { .x = r->s->in[0].x, .mean = r->s->in[1].x, .var = r->s->in[2].x, .gamma = r->s->in[3].x,
		.beta = r->s->in[4].x, .eps = n->a.eps };
	struct sd_src x = { .x = operand(r, 0) };
	struct norm_lanes nl = norm_lanes(r, &l, &x.x);
	struct sd_dst y = result(r);

	x.a = nl.a;
	x.b = nl.b;
	r->k->load(r->par, &x, &y);
}

/* gx of a norm and the sums it needs: in = g, x, mean, var[, gamma, sg, sgx]; g's load may be masked. */
static void run_norm_bwd(struct run *r, int sums)
{
	const struct sd_load *gl = &r->s->in[0];
	struct sd_load l = { .x = r->s->in[1].x, .mean = r->s->in[2].x, .var = r->s->in[3].x,
		.gamma = sums ? SD_NIL : r->s->in[4].x, .beta = SD_NIL, .eps = r->n->a.eps };
	struct sd_img g = operand(r, 0), x = operand(r, 1);
	struct norm_lanes nl = norm_lanes(r, &l, &x), mask = { 0 };

	if (gl->relu)
		mask = norm_lanes(r, gl, &x);
	if (sums) {
		r->k->norm_bwd_sums(r->par, &g, &x, nl.mean, nl.istd, mask.a, mask.b, out(r, 0), out(r, 1));
	} else {
		struct sd_dst gx = result(r);

		r->k->norm_bwd_x(r->par, &g, &x, nl.mean, nl.istd, mask.a, mask.b, nl.a, in(r, 5), in(r, 6),
			r->n->a.i[0], &gx);
	}
}

static void mix_term(struct run *r, struct sd_mix_arg *m, int k, int kind, sd_val x, sd_val mean, sd_val var,
	float eps)
{
	m->t[k].kind = (enum sd_mix_kind)kind;
	if (kind == SD_MIX_NONE)
		return;
	m->t[k].x = sd_cpu_image(r->p, x);
	if (kind != SD_MIX_RAW) {
		struct sd_load l = { .x = x, .mean = mean, .var = var, .gamma = SD_NIL, .beta = SD_NIL, .eps = eps };
		struct norm_lanes nl = norm_lanes(r, &l, &m->t[k].x);

		m->t[k].a = nl.a;
		m->t[k].b = nl.b;
		m->t[k].mean = nl.mean;
		m->t[k].istd = nl.istd;
	}
}

static void run_mix(struct run *r, int sums)
{
	struct sd_mix_arg m = { .nterm = r->n->a.nterm };
	int k;

	for (k = 0; k < m.nterm; k++)
		mix_term(r, &m, k, r->n->a.kind[k], r->s->in[1 + 3 * k].x, r->s->in[2 + 3 * k].x, r->s->in[3 + 3 * k].x,
			r->n->a.term_eps[k]);
	if (sums) {
		struct sd_img g = operand(r, 0);

		r->k->mix_bwd_sums(r->par, &m, &g, out(r, 0), out(r, 1), out(r, 2));
	} else {
		struct sd_dst y = result(r);

		r->k->mix(r->par, &m, in(r, 0), &y);
	}
}

static void run_mix_bwd_x(struct run *r)
{
	struct sd_mix_arg m = { .nterm = r->n->a.nterm };
	int k = r->n->a.i[0];
	struct sd_img g = operand(r, 0);
	struct sd_dst gx = result(r);

	mix_term(r, &m, k, r->n->a.kind[0], r->s->in[2].x, r->s->in[3].x, r->s->in[4].x, r->n->a.eps);
	r->k->mix_bwd_x(r->par, &m, k, in(r, 1), &g, in(r, 5), in(r, 6), r->n->a.i[1], &gx);
}

/* Operands that were not made in place are copied to theirs. */
static void run_concat(struct run *r)
{
	struct sd_img y = sd_cpu_image(r->p, r->n->out), part = y;
	int i;

	for (i = 0; i < r->s->nin; i++) {
		struct sd_src x = { .x = operand(r, i) };
		struct sd_dst d;

		part.c = x.x.c;
		part.cb = x.x.cb;
		part.blk = x.x.blk;
		d = (struct sd_dst){ part, 0 };
		if (x.x.p != part.p)
			r->k->load(r->par, &x, &d);
		part.p += (size_t)part.cb * (size_t)y.n * (size_t)y.h * (size_t)y.w * 16;
	}
}

static void run_add(struct run *r)
{
	enum { MOST = 8 }; /* operands a call */
	struct sd_src x[MOST];
	struct sd_dst y;
	int i = 0, n;

	if (!sd_is_image(r->p->g, r->n->out)) {
		const float *p[MOST];
		size_t count = sd_shape_count(shape(r, r->n->out));
		float *sum = out(r, 0);

		for (n = 0; i < r->s->nin; n = 1) {
			p[0] = sum;
			for (; i < r->s->nin && n < MOST; i++)
				p[n++] = in(r, i);
			r->k->add_rows(n, p, count, sum);
		}
		return;
	}
	y = result(r);
	while (i < r->s->nin) {
		for (n = 0; i < r->s->nin && n < MOST; i++)
			x[n++] = source(r, i);
		r->k->add(r->par, n, x, &y);
		y.acc = 1;
	}
}

/* ---- rows, draws, scalars ---- */

static void run_drop_mask(struct run *r)
{
	struct sd_rng_key key = { { r->n->a.key[0], r->n->a.key[1] } };
	float keep = 1 - scalar(r, r->s->in[0].x), *m = out(r, 0);
	uint32_t step = *(const uint32_t *)in(r, 1);
	const int32_t *id = in(r, 2);
	int i, n = shape(r, r->n->out)->d[0];

	for (i = 0; i < n; i++)
		m[i] = sd_rng_unit(sd_rng_word(key, step, (uint32_t)id[i], 0, 0)) < keep ? 1 / keep : 0;
}

static void run_fill(struct run *r)
{
	if (sd_is_image(r->p->g, r->n->out)) {
		struct sd_img y = sd_cpu_image(r->p, r->n->out);

		r->k->fill(r->par, r->n->a.f[0], &y);
	} else {
		size_t i, n = sd_shape_count(shape(r, r->n->out));
		float *y = out(r, 0);

		for (i = 0; i < n; i++)
			y[i] = r->n->a.f[0];
	}
}

static void run_mix_factors_bwd(struct run *r)
{
	const struct sd_shape *s = shape(r, r->n->out);
	size_t k = (size_t)s->d[1], at = (size_t)r->n->a.i[0] * k;
	float *gw = out(r, 0);
	const float *w = in(r, 0);

	memset(gw, 0, sd_shape_count(s) * sizeof(*gw));
	r->k->mix_factors_bwd(w + at, in(r, 1), (int)k, (enum sd_weighting)r->n->a.i[1], gw + at);
}

static void run_mean_bwd(struct run *r)
{
	int i, n = shape(r, r->n->out)->d[0];
	float *gx = out(r, 0), g = scalar(r, r->s->in[0].x) / (float)n;

	for (i = 0; i < n; i++)
		gx[i] = g;
}

static void run_onehot(struct run *r)
{
	const struct sd_shape *s = shape(r, r->n->out);
	float *y = out(r, 0);

	memset(y, 0, sd_shape_count(s) * sizeof(*y));
	y[r->n->a.i[0]] = scalar(r, r->s->in[0].x);
}

static void run_clip_coef(struct run *r)
{
	float c = r->n->a.f[0] / (scalar(r, r->s->in[0].x) + 1e-6f);

	*(float *)out(r, 0) = c < 1 ? c : 1;
}

/* ---- writes ---- */

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

enum { MOST_PARAMS = 8192 };

/* The pointers of n operands from the at-th on. */
static void gather(const struct run *r, int at, int n, float **p)
{
	int i;

	for (i = 0; i < n; i++)
		p[i] = in(r, at + i);
}

static int run_optimiser(struct run *r)
{
	static _Thread_local float *p[MOST_PARAMS], *m[MOST_PARAMS], *v[MOST_PARAMS], *u[MOST_PARAMS],
		*g[MOST_PARAMS];
	static _Thread_local size_t count[MOST_PARAMS];
	const struct sd_attr *a = &r->n->a;
	int i, norm = r->n->op == SD_OP_GRAD_NORM, n = norm ? r->s->nin : a->i[0];
	int lead = norm ? 0 : r->n->op == SD_OP_PADAM ? 3 : 2;

	if (n > MOST_PARAMS)
		return sd_error(SD_ERR_BUG, "%s: %d parameters, at most %d are supported", sd_op_name(r->n->op), n,
			MOST_PARAMS);
	for (i = 0; i < n; i++)
		count[i] = sd_shape_count(shape(r, r->s->in[lead + i].x));
	gather(r, lead, n, p);
	if (norm) {
		r->k->grad_norm(r->par, n, (const float *const *)p, count, out(r, 0));
		return 0;
	}
	gather(r, lead + n, n, m);
	gather(r, lead + 2 * n, n, r->n->op == SD_OP_SGD ? g : v);
	if (r->n->op == SD_OP_SGD) {
		r->k->sgd(r->par, n, p, m, (const float *const *)g, count, scalar(r, r->s->in[0].x),
			r->s->in[1].x == SD_NIL ? 1 : scalar(r, r->s->in[1].x), a->f[0], a->f[1]);
	} else if (r->n->op == SD_OP_PADAM) {
		gather(r, lead + 3 * n, n, u);
		gather(r, lead + 4 * n, n, g);
		r->k->padam(r->par, n, p, m, v, u, (const float *const *)g, count, scalar(r, r->s->in[0].x),
			++*(int32_t *)in(r, 1), r->s->in[2].x == SD_NIL ? 1 : scalar(r, r->s->in[2].x), a->f[0],
			a->f[1], a->eps, a->f[2], a->f[3]);
	} else {
		gather(r, lead + 3 * n, n, g);
		r->k->adam(r->par, n, p, m, v, (const float *const *)g, count, scalar(r, r->s->in[0].x),
			++*(int32_t *)in(r, 1), a->f[0], a->f[1], a->eps, a->f[2]);
	}
	return 0;
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

/* Results of an op whose predicate is off: nothing is added, a result of its own is 0. */
static void run_off(struct run *r, const struct sd_step *s)
{
	const struct sd_node *n = &r->p->g->node[s->node];
	int i;

	if (s->pair >= 0)
		run_off(r, &r->p->plan->step[s->pair]);
	if (sd_op_is_write(n->op) || s->accumulate)
		return;
	for (i = 0; i < n->nout; i++) {
		sd_val v = n->out + i;

		if (sd_is_image(r->p->g, v)) {
			struct sd_img y = sd_cpu_image(r->p, v);

			r->k->fill(r->par, 0, &y);
		} else {
			memset(rows(r, v), 0, sd_cpu_layout.size(r->p->g, v));
		}
	}
}

static int is_off(const struct run *r)
{
	const void *p = rows(r, r->n->pred);

	if (!p)
		return 0;
	return r->p->g->val[r->n->pred].dtype == SD_I32 ? *(const int32_t *)p == 0 : *(const float *)p == 0;
}

/* Image ops. Returns 1 if op is one. */
static int step_image(struct run *r)
{
	const struct sd_kernels *k = r->k;
	const struct sd_attr *a = &r->n->a;
	struct sd_par *par = r->par;
	struct sd_src x;
	struct sd_img g, y;
	struct sd_dst d;

	switch (r->n->op) {
	case SD_OP_IMPORT:
		y = sd_cpu_image(r->p, r->n->out);
		k->import(par, in(r, 0), &y);
		return 1;
	case SD_OP_RELU:
		x = source(r, 0), x.relu = 1, d = result(r);
		k->load(par, &x, &d);
		return 1;
	case SD_OP_RELU_BWD:
		g = operand(r, 0), x = source(r, 1), d = result(r);
		k->relu_bwd(par, &x, &g, &d);
		return 1;
	case SD_OP_ADD:
		run_add(r);
		return 1;
	case SD_OP_CONCAT:
		run_concat(r);
		return 1;
	case SD_OP_SLICE:
		g = operand(r, 0), d = result(r);
		k->slice(par, &g, a->i[0], &d);
		return 1;
	case SD_OP_CONV:
		x = source(r, 0), d = result(r);
		k->conv(par, &x, in(r, 1), in(r, 2), a->win, &d);
		return 1;
	case SD_OP_CONV_BWD_X:
		g = operand(r, 0), d = result(r);
		k->conv_bwd_x(par, &g, in(r, 1), a->win, &d);
		return 1;
	case SD_OP_CONV_BWD_W:
		x = source(r, 0), g = operand(r, 1);
		k->conv_bwd_w(par, &x, &g, a->win, out(r, 0));
		return 1;
	case SD_OP_CONV_BWD_B:
		g = operand(r, 0);
		k->channel_sum(par, &g, out(r, 0));
		return 1;
	case SD_OP_DWCONV:
		x = source(r, 0), d = result(r);
		k->dwconv(par, &x, in(r, 1), a->win, &d);
		return 1;
	case SD_OP_DWCONV_BWD_X:
		run_dwconv_bwd(r);
		return 1;
	case SD_OP_DWCONV_BWD_W:
		x = source(r, 0), g = operand(r, 1);
		k->dwconv_bwd(par, &x, &g, NULL, a->win, NULL, out(r, 0));
		return 1;
	case SD_OP_FRCONV:
		x = source(r, 0), d = result(r);
		k->frconv(par, &x, in(r, 1), shape(r, r->s->in[1].x)->d[0], in(r, 2), shape(r, r->s->in[2].x)->d[0], &d);
		return 1;
	case SD_OP_FRCONV_BWD_X:
		g = operand(r, 0), d = result(r);
		k->frconv_bwd_x(par, &g, in(r, 1), shape(r, r->s->in[1].x)->d[0], in(r, 2),
			shape(r, r->s->in[2].x)->d[0], &d);
		return 1;
	case SD_OP_FRCONV_BWD_W:
		x = source(r, 0), g = operand(r, 1);
		k->frconv_bwd_w(par, &x, &g, a->i[1], a->i[0], out(r, 0));
		return 1;
	case SD_OP_MAXPOOL:
		x = source(r, 0), d = result(r);
		k->maxpool(par, &x, a->win, &d);
		return 1;
	case SD_OP_MAXPOOL_BWD:
		x = source(r, 0), g = operand(r, 1), d = result(r);
		k->maxpool_bwd(par, &x, &g, a->win, &d);
		return 1;
	case SD_OP_AVGPOOL:
		x = source(r, 0), d = result(r);
		k->avgpool(par, &x, a->win, a->i[0], &d);
		return 1;
	case SD_OP_AVGPOOL_BWD:
		g = operand(r, 0), d = result(r);
		k->avgpool_bwd(par, &g, a->win, a->i[0], &d);
		return 1;
	case SD_OP_BN_STATS:
		x = source(r, 0);
		k->bn_stats(par, &x, out(r, 0), out(r, 1));
		return 1;
	case SD_OP_NORM:
		run_norm(r);
		return 1;
	case SD_OP_NORM_BWD_SUMS:
	case SD_OP_NORM_BWD_X:
		run_norm_bwd(r, r->n->op == SD_OP_NORM_BWD_SUMS);
		return 1;
	case SD_OP_MIX:
	case SD_OP_MIX_BWD_SUMS:
		run_mix(r, r->n->op == SD_OP_MIX_BWD_SUMS);
		return 1;
	case SD_OP_MIX_BWD_X:
		run_mix_bwd_x(r);
		return 1;
	case SD_OP_SCALE_ROWS:
		x = source(r, 0), d = result(r);
		k->scale_rows(par, &x, in(r, 1), &d);
		return 1;
	case SD_OP_SCALE:
		x = source(r, 0), d = result(r);
		k->scale(par, &x, (const float *)in(r, 1) + a->i[0], &d);
		return 1;
	case SD_OP_DOT:
		x = source(r, 0), g = operand(r, 1);
		k->dot(par, &x, &g, out(r, 0));
		return 1;
	case SD_OP_GAP:
		x = source(r, 0);
		k->gap(par, &x, out(r, 0));
		return 1;
	case SD_OP_GAP_BWD:
		d = result(r);
		k->gap_bwd(par, in(r, 0), &d);
		return 1;
	default:
		return 0;
	}
}

/* Everything else. Returns -1 with a message for an op that is not served. */
static int step_rows(struct run *r)
{
	const struct sd_kernels *k = r->k;
	const struct sd_attr *a = &r->n->a;
	const struct sd_shape *s0 = r->s->nin && r->s->in[0].x != SD_NIL ? shape(r, r->s->in[0].x) : NULL;
	const struct sd_shape *s1 = r->s->nin > 1 && r->s->in[1].x != SD_NIL ? shape(r, r->s->in[1].x) : NULL;
	const struct sd_shape *so = shape(r, r->n->out);

	switch (r->n->op) {
	case SD_OP_FILL:
		run_fill(r);
		return 0;
	case SD_OP_LINEAR: /* (N, I), (O, I), (O) */
		k->linear(r->par, in(r, 0), in(r, 1), in(r, 2), s0->d[0], s0->d[1], s1->d[0], out(r, 0));
		return 0;
	case SD_OP_LINEAR_BWD_X: /* (N, O), (O, I) */
		k->linear_bwd_x(r->par, in(r, 0), in(r, 1), s0->d[0], s1->d[1], s1->d[0], out(r, 0));
		return 0;
	case SD_OP_LINEAR_BWD_W: /* (N, I), (N, O) */
		k->linear_bwd_w(r->par, in(r, 0), in(r, 1), s0->d[0], s0->d[1], s1->d[1], out(r, 0));
		return 0;
	case SD_OP_LINEAR_BWD_B:
		k->linear_bwd_b(r->par, in(r, 0), s0->d[0], s0->d[1], out(r, 0));
		return 0;
	case SD_OP_SOFTMAX:
		k->softmax(in(r, 0), s0->d[0], s0->d[1], out(r, 0));
		return 0;
	case SD_OP_SOFTMAX_BWD:
		k->softmax_bwd(in(r, 0), in(r, 1), s0->d[0], s0->d[1], out(r, 0));
		return 0;
	case SD_OP_MIX_FACTORS:
		k->mix_factors((const float *)in(r, 0) + (size_t)a->i[0] * (size_t)s0->d[1], s0->d[1],
			(enum sd_weighting)a->i[1], out(r, 0));
		return 0;
	case SD_OP_MIX_FACTORS_BWD:
		run_mix_factors_bwd(r);
		return 0;
	case SD_OP_ONEHOT:
		run_onehot(r);
		return 0;
	case SD_OP_XENT:
		k->xent(in(r, 0), in(r, 1), s0->d[0], s0->d[1], a->eps, out(r, 0));
		return 0;
	case SD_OP_XENT_BWD:
		k->xent_bwd(in(r, 0), in(r, 1), in(r, 2), s0->d[0], s0->d[1], a->eps, out(r, 0));
		return 0;
	case SD_OP_RANK:
		k->rank(in(r, 0), in(r, 1), s0->d[0], s0->d[1], out(r, 0));
		return 0;
	case SD_OP_ARGMAX:
		k->argmax(in(r, 0), s0->d[0], s0->d[1], out(r, 0));
		return 0;
	case SD_OP_MEAN:
		k->mean(in(r, 0), s0->d[0], out(r, 0));
		return 0;
	case SD_OP_MEAN_BWD:
		run_mean_bwd(r);
		return 0;
	case SD_OP_WSUM:
		k->wsum(in(r, 0), a->f[0], in(r, 1), a->f[1], sd_shape_count(so), out(r, 0));
		return 0;
	case SD_OP_DROP_MASK:
		run_drop_mask(r);
		return 0;
	case SD_OP_CLIP_COEF:
		run_clip_coef(r);
		return 0;
	case SD_OP_BN_UPDATE:
		run_bn_update(r);
		return 0;
	case SD_OP_GRAD_NORM:
	case SD_OP_SGD:
	case SD_OP_ADAM:
	case SD_OP_PADAM:
		return run_optimiser(r);
	case SD_OP_METRICS:
		run_metrics(r);
		return 0;
	default:
		return sd_error(SD_ERR_BUG, "the CPU engine has no %s", sd_op_name(r->n->op));
	}
}

int sd_cpu_step(struct sd_cpu_program *p, int i, const struct sd_bind *bind)
{
	struct run r = { .p = p, .k = p->e->k, .par = p->e->par, .s = &p->plan->step[i], .bind = bind };

	r.n = &p->g->node[r.s->node];
	if (is_off(&r)) {
		run_off(&r, r.s);
		return 0;
	}
	return step_image(&r) ? 0 : step_rows(&r);
}

int sd_cpu_check_finite(const struct sd_cpu_program *p, int i)
{
	const struct sd_node *n = &p->g->node[p->plan->step[i].node];
	int k, b, j;
	size_t e;

	for (k = 0; k < n->nout; k++) {
		sd_val v = n->out + k;
		const struct sd_value *x = &p->g->val[v];
		const struct sd_place *pl = &p->plan->place[v];
		const float *f;

		if (x->dtype != SD_F32)
			continue;
		f = (const float *)(p->e->arena + p->plan->place[pl->root].offset + pl->inner);
		if (sd_is_image(p->g, v)) {
			struct sd_img m = sd_cpu_image(p, v);
			size_t plane = (size_t)m.n * (size_t)m.h * (size_t)m.w;

			for (b = 0; b < m.cb; b++)
				for (e = 0; e < plane; e++)
					for (j = 0; j < m.blk[b].n; j++)
						if (!isfinite(m.p[((size_t)b * plane + e) * 16 + (size_t)j]))
							return sd_error(SD_ERR_DATA, "step %d, %s: a result is not finite", i,
								sd_op_name(n->op));
		} else {
			for (e = 0; e < sd_shape_count(&x->shape); e++)
				if (!isfinite(f[e]))
					return sd_error(SD_ERR_DATA, "step %d, %s: a result is not finite", i, sd_op_name(n->op));
		}
	}
	return 0;
}
