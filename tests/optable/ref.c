/* ref.c: a graph by the kernels' references (kernels/ref.h); what libraries compute, and views, are here. */
#include "ref.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../kernels/ref.h"

struct ref *ref_new(const struct sd_graph *g)
{
	struct ref *r = calloc(1, sizeof(*r));
	int i;

	r->g = g;
	r->v = calloc((size_t)g->nval + 1, sizeof(*r->v));
	for (i = 0; i < g->nval; i++)
		r->v[i] = calloc(sd_shape_count(&g->val[i].shape) + 1, sizeof(double));
	return r;
}

void ref_free(struct ref *r)
{
	int i;

	for (i = 0; i < r->g->nval; i++)
		free(r->v[i]);
	free(r->v);
	free(r);
}

#define AT(p, s, n, c, h, w) \
	(p)[(((size_t)(n) * (size_t)(s)->d[1] + (size_t)(c)) * (size_t)(s)->d[2] + (size_t)(h)) * \
		(size_t)(s)->d[3] + (size_t)(w)]

#define SHAPE(i) (&r->g->val[nd->in[i]].shape)
#define IN(i) (r->v[nd->in[i]])
#define OUT_SHAPE (&r->g->val[nd->out].shape)
#define OUT (r->v[nd->out])

/* x at (n, c, h, w), 0 outside */
static double padded(const double *x, const struct sd_shape *s, int n, int c, int h, int w)
{
	return h < 0 || w < 0 || h >= s->d[2] || w >= s->d[3] ? 0 : AT(x, s, n, c, h, w);
}

static void each_image(struct ref *r, const struct sd_node *nd, double (*f)(struct ref *, const struct sd_node *,
	int, int, int, int))
{
	const struct sd_shape *s = OUT_SHAPE;
	int n, c, h, w;

	for (n = 0; n < s->d[0]; n++)
		for (c = 0; c < s->d[1]; c++)
			for (h = 0; h < s->d[2]; h++)
				for (w = 0; w < s->d[3]; w++)
					AT(OUT, s, n, c, h, w) = f(r, nd, n, c, h, w);
}

static double conv(struct ref *r, const struct sd_node *nd, int n, int c, int h, int w)
{
	const struct sd_window *q = &nd->a.win;
	double sum = nd->in[2] == SD_NIL ? 0 : IN(2)[c];
	int ci, i, j;

	for (ci = 0; ci < SHAPE(0)->d[1]; ci++)
		for (i = 0; i < q->kh; i++)
			for (j = 0; j < q->kw; j++)
				sum += AT(IN(1), SHAPE(1), c, ci, i, j) * padded(IN(0), SHAPE(0), n, ci,
					h * q->sh - q->ph + i * q->dh, w * q->sw - q->pw + j * q->dw);
	return sum;
}

static double frconv(struct ref *r, const struct sd_node *nd, int n, int c, int h, int w)
{
	int c1 = SHAPE(1)->d[0], second = c >= c1, ci;
	double sum = 0;

	for (ci = 0; ci < SHAPE(0)->d[1]; ci++)
		sum += AT(IN(1 + second), SHAPE(1 + second), c - second * c1, ci, 0, 0) *
			padded(IN(0), SHAPE(0), n, ci, 2 * h + second, 2 * w + second);
	return sum;
}

static double slice(struct ref *r, const struct sd_node *nd, int n, int c, int h, int w)
{
	return AT(IN(0), SHAPE(0), n, c + nd->a.i[0], h, w);
}

static double concat(struct ref *r, const struct sd_node *nd, int n, int c, int h, int w)
{
	int i = 0;

	while (c >= SHAPE(i)->d[1])
		c -= SHAPE(i++)->d[1];
	return AT(IN(i), SHAPE(i), n, c, h, w);
}

static void linear(struct ref *r, const struct sd_node *nd)
{
	int n, o, i, ni = SHAPE(1)->d[1], no = SHAPE(1)->d[0];

	for (n = 0; n < SHAPE(0)->d[0]; n++)
		for (o = 0; o < no; o++) {
			double sum = IN(2)[o];

			for (i = 0; i < ni; i++)
				sum += IN(0)[n * ni + i] * IN(1)[o * ni + i];
			OUT[n * no + o] = sum;
		}
}

static void mix(struct ref *r, const struct sd_node *nd)
{
	struct sd_ref_term t[SD_MIX_TERMS] = { 0 };
	int k;

	for (k = 0; k < nd->a.nterm; k++) {
		t[k].kind = nd->a.kind[k];
		t[k].eps = (double)nd->a.term_eps[k];
		if (t[k].kind == SD_MIX_NONE)
			continue;
		t[k].x = IN(1 + 3 * k);
		if (t[k].kind == SD_MIX_RAW)
			continue;
		t[k].mean = IN(2 + 3 * k);
		t[k].var = IN(3 + 3 * k);
	}
	sd_ref_mix(nd->a.nterm, t, OUT_SHAPE, IN(0), OUT);
}

static void add(struct ref *r, const struct sd_node *nd)
{
	const double *x[SD_MIX_TERMS];
	int k;

	for (k = 0; k < nd->nin; k++)
		x[k] = IN(k);
	sd_ref_add(nd->nin, x, sd_shape_count(OUT_SHAPE), OUT);
}

static void elementwise(struct ref *r, const struct sd_node *nd)
{
	size_t i, n = sd_shape_count(OUT_SHAPE);
	double *y = OUT;

	for (i = 0; i < n; i++)
		switch (nd->op) {
		case SD_OP_FILL: y[i] = (double)nd->a.f[0]; break;
		case SD_OP_IMPORT: y[i] = IN(0)[i]; break;
		case SD_OP_RATIO: y[i] = IN(0)[i] / IN(1)[i]; break;
		case SD_OP_SCALE: y[i] = IN(0)[i] * IN(1)[nd->a.i[0]]; break;
		default: /* WSUM */
			y[i] = (double)nd->a.f[0] * IN(0)[i] +
				(nd->in[1] == SD_NIL ? 0 : (double)nd->a.f[1] * IN(1)[i]);
		}
}

/* An op that has kernels of its own; 0 for another. */
static int eval_kernel(struct ref *r, const struct sd_node *nd)
{
	const struct sd_window *win = &nd->a.win;

	switch (nd->op) {
	case SD_OP_ADD: add(r, nd); break;
	case SD_OP_MIX: mix(r, nd); break;
	case SD_OP_RELU: sd_ref_relu(IN(0), sd_shape_count(OUT_SHAPE), OUT); break;
	case SD_OP_DWCONV: sd_ref_dwconv(IN(0), SHAPE(0), IN(1), win, OUT_SHAPE, OUT); break;
	case SD_OP_MAXPOOL: sd_ref_maxpool(IN(0), SHAPE(0), win, OUT_SHAPE, OUT); break;
	case SD_OP_AVGPOOL: sd_ref_avgpool(IN(0), SHAPE(0), win, nd->a.i[0], OUT_SHAPE, OUT); break;
	case SD_OP_GAP: sd_ref_gap(IN(0), SHAPE(0), OUT); break;
	case SD_OP_BN_STATS: sd_ref_bn_stats(IN(0), SHAPE(0), OUT, r->v[nd->out + 1]); break;
	case SD_OP_NORM:
		sd_ref_norm(IN(0), SHAPE(0), IN(1), IN(2), nd->in[3] == SD_NIL ? NULL : IN(3),
			nd->in[3] == SD_NIL ? NULL : IN(4), (double)nd->a.eps, OUT);
		break;
	case SD_OP_SCALE_ROWS: sd_ref_scale_rows(IN(0), SHAPE(0), IN(1), OUT); break;
	case SD_OP_XENT:
		sd_ref_xent(IN(0), IN(1), SHAPE(0)->d[0], SHAPE(0)->d[1], (double)nd->a.eps, OUT);
		break;
	case SD_OP_MIX_FACTORS:
		sd_ref_mix_factors(IN(0) + nd->a.i[0] * SHAPE(0)->d[1], SHAPE(0)->d[1], nd->a.i[1], OUT);
		break;
	case SD_OP_SOFTMAX: sd_ref_softmax(IN(0), SHAPE(0)->d[0], SHAPE(0)->d[1], OUT); break;
	case SD_OP_AXPY:
		sd_ref_axpy(nd->in[0] == SD_NIL ? NULL : IN(0), (double)nd->a.f[0], IN(1)[0], IN(2),
			sd_shape_count(OUT_SHAPE), OUT);
		break;
	case SD_OP_MEAN: OUT[0] = sd_ref_mean(IN(0), (size_t)SHAPE(0)->d[0]); break;
	default: return 0;
	}
	return 1;
}

static void eval_node(struct ref *r, const struct sd_node *nd)
{
	int k;

	if (nd->pred != SD_NIL && r->v[nd->pred][0] == 0) {
		for (k = 0; k < nd->nout; k++)
			memset(r->v[nd->out + k], 0, sd_shape_count(&r->g->val[nd->out + k].shape) * sizeof(double));
		return;
	}
	if (eval_kernel(r, nd))
		return;
	switch (nd->op) {
	case SD_OP_SOURCE: break;
	case SD_OP_FILL: case SD_OP_IMPORT: case SD_OP_WSUM: case SD_OP_RATIO: case SD_OP_SCALE:
		elementwise(r, nd);
		break;
	case SD_OP_CONCAT: each_image(r, nd, concat); break;
	case SD_OP_SLICE: each_image(r, nd, slice); break;
	case SD_OP_CONV: each_image(r, nd, conv); break;
	case SD_OP_FRCONV: each_image(r, nd, frconv); break;
	case SD_OP_LINEAR: linear(r, nd); break;
	default:
		fprintf(stderr, "ref: no %s\n", sd_op_name(nd->op));
		abort();
	}
}

void ref_eval(struct ref *r, sd_val root)
{
	const struct sd_graph *g = r->g;
	char *need = calloc((size_t)g->nnode, 1);
	int i, k;

	need[g->val[root].node] = 1;
	for (i = g->val[root].node; i >= 0; i--)
		for (k = 0; need[i] && k < g->node[i].nin; k++)
			if (g->node[i].in[k] != SD_NIL)
				need[g->val[g->node[i].in[k]].node] = 1;
	for (i = 0; i <= g->val[root].node; i++)
		if (need[i])
			eval_node(r, &g->node[i]);
	free(need);
}
