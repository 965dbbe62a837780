/* ref.c: plain loops in double. */
#include "ref.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* x at (n, c, h, w), 0 outside */
static double padded(const double *x, const struct sd_shape *s, int n, int c, int h, int w)
{
	return h < 0 || w < 0 || h >= s->d[2] || w >= s->d[3] ? 0 : AT(x, s, n, c, h, w);
}

static void each_image(struct ref *r, const struct sd_node *nd, double (*f)(struct ref *, const struct sd_node *,
	int, int, int, int))
{
	const struct sd_shape *s = &r->g->val[nd->out].shape;
	int n, c, h, w;

	for (n = 0; n < s->d[0]; n++)
		for (c = 0; c < s->d[1]; c++)
			for (h = 0; h < s->d[2]; h++)
				for (w = 0; w < s->d[3]; w++)
					AT(r->v[nd->out], s, n, c, h, w) = f(r, nd, n, c, h, w);
}

#define SHAPE(i) (&r->g->val[nd->in[i]].shape)
#define IN(i) (r->v[nd->in[i]])

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

static double dwconv(struct ref *r, const struct sd_node *nd, int n, int c, int h, int w)
{
	const struct sd_window *q = &nd->a.win;
	double sum = 0;
	int i, j;

	for (i = 0; i < q->kh; i++)
		for (j = 0; j < q->kw; j++)
			sum += AT(IN(1), SHAPE(1), c, 0, i, j) * padded(IN(0), SHAPE(0), n, c,
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

static double pool(struct ref *r, const struct sd_node *nd, int n, int c, int h, int w)
{
	const struct sd_window *q = &nd->a.win;
	double best = -INFINITY, sum = 0;
	int i, j, count = 0;

	for (i = 0; i < q->kh; i++)
		for (j = 0; j < q->kw; j++) {
			int y = h * q->sh - q->ph + i * q->dh, x = w * q->sw - q->pw + j * q->dw;
			double v;

			if (y < 0 || x < 0 || y >= SHAPE(0)->d[2] || x >= SHAPE(0)->d[3])
				continue;
			v = AT(IN(0), SHAPE(0), n, c, y, x);
			if (!isnan(best) && (v > best || isnan(v)))
				best = v;
			sum += v;
			count++;
		}
	if (nd->op == SD_OP_MAXPOOL)
		return best;
	return sum / (nd->a.i[0] ? q->kh * q->kw : count);
}

static double norm(struct ref *r, const struct sd_node *nd, int n, int c, int h, int w)
{
	double y = (AT(IN(0), SHAPE(0), n, c, h, w) - IN(1)[c]) / sqrt(IN(2)[c] + (double)nd->a.eps);

	return nd->in[3] == SD_NIL ? y : y * IN(3)[c] + IN(4)[c];
}

static double mix(struct ref *r, const struct sd_node *nd, int n, int c, int h, int w)
{
	double sum = 0;
	int k;

	for (k = 0; k < nd->a.nterm; k++) {
		double t;

		if (nd->a.kind[k] == SD_MIX_NONE)
			continue;
		t = AT(IN(1 + 3 * k), SHAPE(1 + 3 * k), n, c, h, w);
		if (nd->a.kind[k] != SD_MIX_RAW)
			t = (t - IN(2 + 3 * k)[c]) / sqrt(IN(3 + 3 * k)[c] + (double)nd->a.term_eps[k]);
		if (nd->a.kind[k] == SD_MIX_NORM_RELU && t < 0)
			t = 0;
		sum += IN(0)[k] * t;
	}
	return sum;
}

static double relu(struct ref *r, const struct sd_node *nd, int n, int c, int h, int w)
{
	double x = AT(IN(0), SHAPE(0), n, c, h, w);

	return 0 > x ? 0 : x;
}

static double scale(struct ref *r, const struct sd_node *nd, int n, int c, int h, int w)
{
	return AT(IN(0), SHAPE(0), n, c, h, w) * IN(1)[nd->op == SD_OP_SCALE ? nd->a.i[0] : n];
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

static void bn_stats(struct ref *r, const struct sd_node *nd)
{
	const struct sd_shape *s = SHAPE(0);
	double m = (double)s->d[0] * s->d[2] * s->d[3];
	int n, c, h, w, pass;

	for (c = 0; c < s->d[1]; c++)
		for (pass = 0; pass < 2; pass++) {
			double sum = 0, mean = r->v[nd->out][c];

			for (n = 0; n < s->d[0]; n++)
				for (h = 0; h < s->d[2]; h++)
					for (w = 0; w < s->d[3]; w++) {
						double x = AT(IN(0), s, n, c, h, w);

						sum += pass ? (x - mean) * (x - mean) : x;
					}
			r->v[nd->out + pass][c] = sum / m;
		}
}

static void gap(struct ref *r, const struct sd_node *nd)
{
	const struct sd_shape *s = SHAPE(0);
	int n, c, h, w;

	for (n = 0; n < s->d[0]; n++)
		for (c = 0; c < s->d[1]; c++) {
			double sum = 0;

			for (h = 0; h < s->d[2]; h++)
				for (w = 0; w < s->d[3]; w++)
					sum += AT(IN(0), s, n, c, h, w);
			r->v[nd->out][n * s->d[1] + c] = sum / (s->d[2] * s->d[3]);
		}
}

static void linear(struct ref *r, const struct sd_node *nd)
{
	int n, o, i, ni = SHAPE(1)->d[1], no = SHAPE(1)->d[0];

	for (n = 0; n < SHAPE(0)->d[0]; n++)
		for (o = 0; o < no; o++) {
			double sum = IN(2)[o];

			for (i = 0; i < ni; i++)
				sum += IN(0)[n * ni + i] * IN(1)[o * ni + i];
			r->v[nd->out][n * no + o] = sum;
		}
}

/* softmax of one row, or its log */
static void softmax_row(const double *x, int k, double *y, int log_of)
{
	double m = -INFINITY, sum = 0;
	int i;

	for (i = 0; i < k; i++)
		m = x[i] > m ? x[i] : m;
	for (i = 0; i < k; i++)
		sum += exp(x[i] - m);
	for (i = 0; i < k; i++)
		y[i] = log_of ? x[i] - m - log(sum) : exp(x[i] - m) / sum;
}

static void xent(struct ref *r, const struct sd_node *nd)
{
	int n, i, k = SHAPE(0)->d[1];
	double *l = malloc(sizeof(*l) * (size_t)k), s = (double)nd->a.eps;

	for (n = 0; n < SHAPE(0)->d[0]; n++) {
		double loss = 0;

		softmax_row(IN(0) + n * k, k, l, 1);
		for (i = 0; i < k; i++)
			loss -= l[i] * (s / k + (i == (int)IN(1)[n] ? 1 - s : 0));
		r->v[nd->out][n] = loss;
	}
	free(l);
}

static void mix_factors(struct ref *r, const struct sd_node *nd)
{
	int k, n = SHAPE(0)->d[1];
	const double *w = IN(0) + nd->a.i[0] * n;
	double m = 0;

	for (k = 0; k < n; k++)
		m = w[k] > m ? w[k] : m;
	for (k = 0; k < n; k++)
		r->v[nd->out][k] = nd->a.i[1] == SD_MAX_W ? 1 - m + w[k] : w[k];
}

static void elementwise(struct ref *r, const struct sd_node *nd)
{
	size_t i, n = sd_shape_count(&r->g->val[nd->out].shape);
	double *y = r->v[nd->out];
	int k;

	for (i = 0; i < n; i++)
		switch (nd->op) {
		case SD_OP_FILL: y[i] = (double)nd->a.f[0]; break;
		case SD_OP_IMPORT: y[i] = IN(0)[i]; break;
		case SD_OP_RATIO: y[i] = IN(0)[i] / IN(1)[i]; break;
		case SD_OP_AXPY:
			y[i] = (nd->in[0] == SD_NIL ? 0 : IN(0)[i]) + (double)nd->a.f[0] * IN(1)[0] * IN(2)[i];
			break;
		case SD_OP_ADD:
			for (y[i] = 0, k = 0; k < nd->nin; k++)
				y[i] += IN(k)[i];
			break;
		default: /* WSUM */
			y[i] = (double)nd->a.f[0] * IN(0)[i] +
				(nd->in[1] == SD_NIL ? 0 : (double)nd->a.f[1] * IN(1)[i]);
		}
}

static void eval_node(struct ref *r, const struct sd_node *nd)
{
	size_t i, n;
	int k;

	if (nd->pred != SD_NIL && r->v[nd->pred][0] == 0) {
		for (k = 0; k < nd->nout; k++)
			memset(r->v[nd->out + k], 0, sd_shape_count(&r->g->val[nd->out + k].shape) * sizeof(double));
		return;
	}
	switch (nd->op) {
	case SD_OP_SOURCE: break;
	case SD_OP_FILL: case SD_OP_IMPORT: case SD_OP_ADD: case SD_OP_WSUM: case SD_OP_RATIO: case SD_OP_AXPY:
		elementwise(r, nd);
		break;
	case SD_OP_RELU: each_image(r, nd, relu); break;
	case SD_OP_CONCAT: each_image(r, nd, concat); break;
	case SD_OP_SLICE: each_image(r, nd, slice); break;
	case SD_OP_CONV: each_image(r, nd, conv); break;
	case SD_OP_DWCONV: each_image(r, nd, dwconv); break;
	case SD_OP_FRCONV: each_image(r, nd, frconv); break;
	case SD_OP_MAXPOOL: case SD_OP_AVGPOOL: each_image(r, nd, pool); break;
	case SD_OP_NORM: each_image(r, nd, norm); break;
	case SD_OP_MIX: each_image(r, nd, mix); break;
	case SD_OP_SCALE_ROWS: case SD_OP_SCALE: each_image(r, nd, scale); break;
	case SD_OP_BN_STATS: bn_stats(r, nd); break;
	case SD_OP_GAP: gap(r, nd); break;
	case SD_OP_LINEAR: linear(r, nd); break;
	case SD_OP_XENT: xent(r, nd); break;
	case SD_OP_MIX_FACTORS: mix_factors(r, nd); break;
	case SD_OP_SOFTMAX:
		for (i = 0; i < (size_t)SHAPE(0)->d[0]; i++)
			softmax_row(IN(0) + i * (size_t)SHAPE(0)->d[1], SHAPE(0)->d[1],
				r->v[nd->out] + i * (size_t)SHAPE(0)->d[1], 0);
		break;
	case SD_OP_MEAN:
		n = (size_t)SHAPE(0)->d[0];
		r->v[nd->out][0] = 0;
		for (i = 0; i < n; i++)
			r->v[nd->out][0] += IN(0)[i] / (double)n;
		break;
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
