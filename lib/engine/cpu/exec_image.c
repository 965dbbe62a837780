/* exec_image.c: image ops: finds their operands, works out the per-lane factors of norms that are folded into
 * loads, and calls the kernels. */
#include "engine/cpu/exec.h"

#include <math.h>

static float *lanes(struct run *r, int cb)
{
	float *l = r->p->lanes + r->lanes_used;

	r->lanes_used += (size_t)cb * 16;
	memset(l, 0, (size_t)cb * 16 * sizeof(*l));
	return l;
}

struct norm_lanes sd_cpu_norm_lanes(struct run *r, const struct sd_load *l, const struct sd_img *x)
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

struct sd_src sd_cpu_source(struct run *r, const struct sd_load *l)
{
	struct sd_src s = { .x = sd_cpu_image(r->p, l->x), .relu = l->relu };

	if (l->mean != SD_NIL) {
		struct norm_lanes n = sd_cpu_norm_lanes(r, l, &s.x);

		s.a = n.a;
		s.b = n.b;
	}
	return s;
}

static struct sd_src source(struct run *r, int i)
{
	return sd_cpu_source(r, &r->s->in[i]);
}

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
	struct norm_lanes nl = sd_cpu_norm_lanes(r, &l, &x.x);
	struct sd_dst y = result(r);

	x.a = nl.a;
	x.b = nl.b;
	r->k->load(r->par, &x, &y);
}

struct sd_norm_arg sd_cpu_norm_arg(struct run *r, const struct sd_step *s, sd_val gamma)
{
	const struct sd_node *n = &r->p->g->node[s->node];
	struct sd_load l = { .x = s->in[1].x, .mean = s->in[2].x, .var = s->in[3].x, .gamma = gamma, .beta = SD_NIL,
		.eps = n->a.eps };
	struct sd_norm_arg a = { .x = sd_cpu_image(r->p, l.x) };
	struct norm_lanes nl = sd_cpu_norm_lanes(r, &l, &a.x);

	a.mean = nl.mean;
	a.istd = nl.istd;
	a.scale = nl.a;
	if (s->in[0].relu) {
		nl = sd_cpu_norm_lanes(r, &s->in[0], &a.x);
		a.ma = nl.a;
		a.mb = nl.b;
	}
	return a;
}

/* gx of a norm and the sums it needs: in = g, x, mean, var[, gamma, sg, sgx]; g's load may be masked. */
static void run_norm_bwd(struct run *r, int sums)
{
	struct sd_norm_arg a = sd_cpu_norm_arg(r, r->s, sums ? SD_NIL : r->s->in[4].x);
	struct sd_img g = operand(r, 0);

	if (sums) {
		r->k->norm_bwd_sums(r->par, &g, &a.x, a.mean, a.istd, a.ma, a.mb, out(r, 0), out(r, 1));
	} else {
		struct sd_dst gx = result(r);

		r->k->norm_bwd_x(r->par, &g, &a.x, a.mean, a.istd, a.ma, a.mb, a.scale, in(r, 5), in(r, 6),
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
		struct norm_lanes nl = sd_cpu_norm_lanes(r, &l, &m->t[k].x);

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

int sd_cpu_step_image(struct run *r)
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
		return 0;
	case SD_OP_RELU:
		x = source(r, 0), x.relu = 1, d = result(r);
		k->load(par, &x, &d);
		return 0;
	case SD_OP_RELU_BWD:
		g = operand(r, 0), x = source(r, 1), d = result(r);
		k->relu_bwd(par, &x, &g, &d);
		return 0;
	case SD_OP_ADD:
		run_add(r);
		return 0;
	case SD_OP_CONCAT:
		run_concat(r);
		return 0;
	case SD_OP_SLICE:
		g = operand(r, 0), d = result(r);
		k->slice(par, &g, a->i[0], &d);
		return 0;
	case SD_OP_CONV:
		x = source(r, 0), d = result(r);
		k->conv(par, &x, in(r, 1), in(r, 2), a->win, &d);
		return 0;
	case SD_OP_CONV_BWD_X:
		g = operand(r, 0), d = result(r);
		k->conv_bwd_x(par, &g, in(r, 1), a->win, &d);
		return 0;
	case SD_OP_CONV_BWD_W:
		x = source(r, 0), g = operand(r, 1);
		k->conv_bwd_w(par, &x, &g, a->win, out(r, 0));
		return 0;
	case SD_OP_CONV_BWD_B:
		g = operand(r, 0);
		k->channel_sum(par, &g, out(r, 0));
		return 0;
	case SD_OP_DWCONV:
		x = source(r, 0), d = result(r);
		k->dwconv(par, &x, in(r, 1), a->win, &d);
		return 0;
	case SD_OP_DWCONV_BWD_X:
		run_dwconv_bwd(r);
		return 0;
	case SD_OP_DWCONV_BWD_W:
		x = source(r, 0), g = operand(r, 1);
		k->dwconv_bwd(par, &x, &g, NULL, a->win, NULL, out(r, 0));
		return 0;
	case SD_OP_FRCONV:
		x = source(r, 0), d = result(r);
		k->frconv(par, &x, in(r, 1), shape(r, r->s->in[1].x)->d[0], in(r, 2), shape(r, r->s->in[2].x)->d[0], &d);
		return 0;
	case SD_OP_FRCONV_BWD_X:
		g = operand(r, 0), d = result(r);
		k->frconv_bwd_x(par, &g, in(r, 1), shape(r, r->s->in[1].x)->d[0], in(r, 2),
			shape(r, r->s->in[2].x)->d[0], &d);
		return 0;
	case SD_OP_FRCONV_BWD_W:
		x = source(r, 0), g = operand(r, 1);
		k->frconv_bwd_w(par, &x, &g, a->i[1], a->i[0], out(r, 0));
		return 0;
	case SD_OP_MAXPOOL:
		x = source(r, 0), d = result(r);
		k->maxpool(par, &x, a->win, &d);
		return 0;
	case SD_OP_MAXPOOL_BWD:
		x = source(r, 0), g = operand(r, 1), d = result(r);
		k->maxpool_bwd(par, &x, &g, a->win, &d);
		return 0;
	case SD_OP_AVGPOOL:
		x = source(r, 0), d = result(r);
		k->avgpool(par, &x, a->win, a->i[0], &d);
		return 0;
	case SD_OP_AVGPOOL_BWD:
		g = operand(r, 0), d = result(r);
		k->avgpool_bwd(par, &g, a->win, a->i[0], &d);
		return 0;
	case SD_OP_BN_STATS:
		x = source(r, 0);
		k->bn_stats(par, &x, out(r, 0), out(r, 1));
		return 0;
	case SD_OP_NORM:
		run_norm(r);
		return 0;
	case SD_OP_NORM_BWD_SUMS:
	case SD_OP_NORM_BWD_X:
		run_norm_bwd(r, r->n->op == SD_OP_NORM_BWD_SUMS);
		return 0;
	case SD_OP_MIX:
	case SD_OP_MIX_BWD_SUMS:
		run_mix(r, r->n->op == SD_OP_MIX_BWD_SUMS);
		return 0;
	case SD_OP_MIX_BWD_X:
		run_mix_bwd_x(r);
		return 0;
	case SD_OP_SCALE_ROWS:
		x = source(r, 0), d = result(r);
		k->scale_rows(par, &x, in(r, 1), &d);
		return 0;
	case SD_OP_SCALE:
		x = source(r, 0), d = result(r);
		k->scale(par, &x, (const float *)in(r, 1) + a->i[0], &d);
		return 0;
	case SD_OP_DOT:
		x = source(r, 0), g = operand(r, 1);
		k->dot(par, &x, &g, out(r, 0));
		return 0;
	case SD_OP_GAP:
		x = source(r, 0);
		k->gap(par, &x, out(r, 0));
		return 0;
	case SD_OP_GAP_BWD:
		d = result(r);
		k->gap_bwd(par, in(r, 0), &d);
		return 0;
	default:
		return 1;
	}
}
