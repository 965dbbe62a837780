/* grad.c: reverse accumulation (Griewank and Walther, "Evaluating Derivatives", 2008, chapter 3) that
 * emits ops.  Each value's gradient is the sum of what its uses contribute, last use first. */
#include "graph/grad.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

struct parts { /* what the uses of a value have contributed so far */
	sd_val *v;
	int n, cap;
};

struct reverse {
	struct sd_graph *g;
	int nval;              /* values when the pass began */
	unsigned char *active; /* some wanted value influences it */
	struct parts *part;
};

static int active(const struct reverse *r, sd_val v)
{
	return v != SD_NIL && v < r->nval && r->active[v];
}

static void give(struct reverse *r, sd_val to, sd_val grad)
{
	struct parts *p;
	sd_val *q;

	if (!active(r, to) || grad == SD_NIL)
		return;
	if (sd_is_image(r->g, to))
		grad = sd_relaid(r->g, grad, to);
	p = &r->part[to];
	if (p->n == p->cap) {
		q = realloc(p->v, sizeof(*q) * (size_t)(p->cap ? p->cap * 2 : 4));
		if (!q) {
			sd_graph_fail(r->g, "out of memory for a gradient");
			return;
		}
		p->v = q;
		p->cap = p->cap ? p->cap * 2 : 4;
	}
	p->v[p->n++] = grad;
}

/* One result of op `op` on `in`, laid out like value `like`. */
static sd_val emit(struct reverse *r, enum sd_op op, int nin, const sd_val *in, const struct sd_attr *a,
	sd_val like)
{
	struct sd_graph *g = r->g;
	struct sd_shape s = g->val[like].shape;
	sd_val v = sd_node_add(g, op, nin, in, 1, &s, SD_F32, a);

	return v != SD_NIL && sd_is_image(g, like) ? sd_like(g, v, like) : v;
}

#define EMIT(op, like, ...) emit(r, op, (int)(sizeof((sd_val[]){ __VA_ARGS__ }) / sizeof(sd_val)), \
	(sd_val[]){ __VA_ARGS__ }, a, like)

static void norm_bwd(struct reverse *r, const struct sd_attr *a, const sd_val *in, sd_val gy)
{
	sd_val x = in[0], gamma = in[3], beta = in[4], sg = SD_NIL, sgx = SD_NIL;
	struct sd_shape s[2];

	if ((a->i[0] && active(r, x)) || active(r, gamma) || active(r, beta)) {
		sd_val op[4] = { gy, x, in[1], in[2] };

		s[0] = s[1] = r->g->val[in[1]].shape;
		sg = sd_node_add(r->g, SD_OP_NORM_BWD_SUMS, 4, op, 2, s, SD_F32, a);
		sgx = sg == SD_NIL ? SD_NIL : sg + 1;
	}
	if (active(r, x))
		give(r, x, EMIT(SD_OP_NORM_BWD_X, x, gy, x, in[1], in[2], gamma, a->i[0] ? sg : SD_NIL,
			a->i[0] ? sgx : SD_NIL));
	give(r, gamma, sgx);
	give(r, beta, sg);
}

static void mix_bwd(struct reverse *r, const struct sd_attr *ma, const sd_val *fin, int nin, sd_val gy)
{
	struct sd_graph *g = r->g;
	int k, c = g->val[gy].shape.d[1], nterm = ma->nterm, sums = active(r, fin[0]);
	struct sd_attr m = *ma;
	sd_val in[1 + 3 * SD_MIX_TERMS], f = fin[0], s = SD_NIL;
	struct sd_shape shapes[3];

	memcpy(in, fin, sizeof(*in) * (size_t)nin); /* emitting may move the node's own list */
	for (k = 0; k < nterm; k++)
		if (m.kind[k] >= SD_MIX_NORM && m.i[0] && active(r, in[1 + 3 * k]))
			sums = 1;
	if (sums) {
		in[0] = gy;
		shapes[0] = sd_shape1(nterm);
		shapes[1] = shapes[2] = sd_shape2(nterm, c);
		s = sd_node_add(g, SD_OP_MIX_BWD_SUMS, nin, in, 3, shapes, SD_F32, &m);
		give(r, f, s);
	}
	for (k = 0; k < nterm; k++) {
		sd_val x = in[1 + 3 * k];
		struct sd_attr at = { .i = { k, m.i[0] } }, *a = &at;

		if (m.kind[k] == SD_MIX_NONE || !active(r, x))
			continue;
		if (m.kind[k] == SD_MIX_RAW) {
			at.i[1] = 0;
			give(r, x, EMIT(SD_OP_SCALE, x, gy, f));
			continue;
		}
		at.nterm = nterm;
		at.kind[0] = m.kind[k];
		at.eps = m.term_eps[k];
		give(r, x, EMIT(SD_OP_MIX_BWD_X, x, gy, f, x, in[2 + 3 * k], in[3 + 3 * k],
			s == SD_NIL ? SD_NIL : s + 1, s == SD_NIL ? SD_NIL : s + 2));
	}
}

/* Gives the gradient gy of a node's (first) result on to its operands. */
static void backward(struct reverse *r, int node, sd_val gy)
{
	struct sd_graph *g = r->g;
	struct sd_attr attr = g->node[node].a, *a = &attr, plain = { 0 };
	sd_val in[8], y = g->node[node].out;
	int nin = g->node[node].nin, i, c;

	for (i = 0; i < nin && i < 8; i++) /* copies: emitting may move the graph's arrays */
		in[i] = g->node[node].in[i];
	switch (g->node[node].op) {
	case SD_OP_IMPORT:
		give(r, in[0], gy);
		break;
	case SD_OP_RELU:
		give(r, in[0], EMIT(SD_OP_RELU_BWD, in[0], gy, in[0]));
		break;
	case SD_OP_ADD:
		for (i = 0; i < nin; i++)
			give(r, g->node[node].in[i], gy);
		break;
	case SD_OP_CONCAT:
		for (c = i = 0; i < nin; i++) {
			sd_val x = g->node[node].in[i];

			if (active(r, x))
				give(r, x, sd_slice(g, gy, c, g->val[x].shape.d[1]));
			c += g->val[x].shape.d[1];
		}
		break;
	case SD_OP_SLICE: {
		sd_val piece[3];
		struct sd_shape s = g->val[in[0]].shape;
		int after = s.d[1] - a->i[0] - a->i[1], n = 0;

		if (a->i[0] > 0) {
			s.d[1] = a->i[0];
			piece[n++] = sd_zero(g, s);
		}
		piece[n++] = gy;
		if (after > 0) {
			s.d[1] = after;
			piece[n++] = sd_zero(g, s);
		}
		give(r, in[0], sd_concat(g, n, piece));
		break;
	}
	case SD_OP_CONV:
		if (active(r, in[0]))
			give(r, in[0], EMIT(SD_OP_CONV_BWD_X, in[0], gy, in[1]));
		if (active(r, in[1]))
			give(r, in[1], EMIT(SD_OP_CONV_BWD_W, in[1], in[0], gy));
		if (active(r, in[2])) {
			a = &plain;
			give(r, in[2], EMIT(SD_OP_CONV_BWD_B, in[2], gy));
		}
		break;
	case SD_OP_DWCONV:
		if (active(r, in[0]))
			give(r, in[0], EMIT(SD_OP_DWCONV_BWD_X, in[0], gy, in[1]));
		if (active(r, in[1]))
			give(r, in[1], EMIT(SD_OP_DWCONV_BWD_W, in[1], in[0], gy));
		break;
	case SD_OP_FRCONV:
		if (active(r, in[0]))
			give(r, in[0], EMIT(SD_OP_FRCONV_BWD_X, in[0], gy, in[1], in[2]));
		for (i = 0; i < 2; i++) {
			attr.i[0] = i;
			attr.i[1] = g->val[in[1]].shape.d[0];
			if (active(r, in[1 + i]))
				give(r, in[1 + i], EMIT(SD_OP_FRCONV_BWD_W, in[1 + i], in[0], gy));
		}
		break;
	case SD_OP_MAXPOOL:
		give(r, in[0], EMIT(SD_OP_MAXPOOL_BWD, in[0], in[0], gy));
		break;
	case SD_OP_AVGPOOL:
		give(r, in[0], EMIT(SD_OP_AVGPOOL_BWD, in[0], gy));
		break;
	case SD_OP_NORM:
		norm_bwd(r, a, in, gy);
		break;
	case SD_OP_MIX:
		mix_bwd(r, a, g->node[node].in, nin, gy);
		break;
	case SD_OP_SCALE_ROWS:
		give(r, in[0], EMIT(SD_OP_SCALE_ROWS, in[0], gy, in[1]));
		break;
	case SD_OP_SCALE:
		if (active(r, in[0]))
			give(r, in[0], EMIT(SD_OP_SCALE, in[0], gy, in[1]));
		if (active(r, in[1])) {
			struct sd_shape s = sd_shape0();
			sd_val pair[2] = { in[0], gy }, d = sd_node_add(g, SD_OP_DOT, 2, pair, 1, &s, SD_F32, &plain);

			give(r, in[1], d == SD_NIL ? SD_NIL : EMIT(SD_OP_ONEHOT, in[1], d));
		}
		break;
	case SD_OP_GAP:
		give(r, in[0], EMIT(SD_OP_GAP_BWD, in[0], gy));
		break;
	case SD_OP_LINEAR:
		if (active(r, in[0]))
			give(r, in[0], EMIT(SD_OP_LINEAR_BWD_X, in[0], gy, in[1]));
		if (active(r, in[1]))
			give(r, in[1], EMIT(SD_OP_LINEAR_BWD_W, in[1], in[0], gy));
		if (active(r, in[2]))
			give(r, in[2], EMIT(SD_OP_LINEAR_BWD_B, in[2], gy));
		break;
	case SD_OP_SOFTMAX:
		give(r, in[0], EMIT(SD_OP_SOFTMAX_BWD, in[0], y, gy));
		break;
	case SD_OP_MIX_FACTORS:
		give(r, in[0], EMIT(SD_OP_MIX_FACTORS_BWD, in[0], in[0], gy));
		break;
	case SD_OP_XENT:
		give(r, in[0], EMIT(SD_OP_XENT_BWD, in[0], in[0], in[1], gy));
		break;
	case SD_OP_MEAN:
		give(r, in[0], EMIT(SD_OP_MEAN_BWD, in[0], gy));
		break;
	case SD_OP_WSUM:
		give(r, in[0], sd_wsum(g, gy, attr.f[0], SD_NIL, 0));
		give(r, in[1], sd_wsum(g, gy, attr.f[1], SD_NIL, 0));
		break;
	default:
		sd_graph_fail(g, "no gradient through %s", sd_op_name(g->node[node].op));
	}
}

/* Marks what the wanted values influence. */
static void mark_active(struct reverse *r, int n, const sd_val *want)
{
	struct sd_graph *g = r->g;
	int i, k;

	for (i = 0; i < n; i++)
		if (want[i] != SD_NIL)
			r->active[want[i]] = 1;
	for (i = 0; i < g->nnode; i++) {
		const struct sd_node *nd = &g->node[i];
		int on = 0;

		if (nd->op == SD_OP_BN_STATS || sd_op_is_write(nd->op))
			continue; /* the norm that uses statistics gives their gradient with its own */
		for (k = 0; k < nd->nin && !on; k++)
			on = nd->in[k] != SD_NIL && r->active[nd->in[k]];
		for (k = 0; k < nd->nout && on; k++)
			r->active[nd->out + k] = 1;
	}
}

int sd_graph_vjp(struct sd_graph *g, sd_val y, sd_val gy, int n, const sd_val *want, sd_val *grad)
{
	struct reverse r = { .g = g, .nval = g->nval };
	sd_val pred = g->pred;
	int i, last, rc = -1;

	if (g->failed || y == SD_NIL || gy == SD_NIL)
		return -1;
	r.active = calloc((size_t)g->nval, 1);
	r.part = calloc((size_t)g->nval, sizeof(*r.part));
	if (!r.active || !r.part) {
		sd_graph_fail(g, "out of memory for a gradient");
		goto out;
	}
	mark_active(&r, n, want);
	give(&r, y, gy);
	last = g->val[y].node;
	for (i = last; i >= 0 && !g->failed; i--) {
		struct sd_node *nd = &g->node[i];
		struct parts *p = &r.part[nd->out];
		sd_val sum;

		if (!p->n || nd->op == SD_OP_SOURCE)
			continue;
		g->pred = nd->pred;
		sum = sd_add(g, p->n, p->v);
		p->v[0] = sum; /* a want may ask for it */
		p->n = 1;
		if (sum != SD_NIL)
			backward(&r, i, sum);
	}
	g->pred = pred;
	for (i = 0; i < n && !g->failed; i++) {
		struct parts *p = want[i] == SD_NIL ? NULL : &r.part[want[i]];

		grad[i] = p && p->n ? sd_add(g, p->n, p->v) : SD_NIL;
	}
	rc = g->failed ? -1 : 0;
out:
	g->pred = pred;
	for (i = 0; r.part && i < r.nval; i++)
		free(r.part[i].v);
	free(r.part);
	free(r.active);
	return rc;
}

int sd_graph_grad(struct sd_graph *g, sd_val loss, int n, const sd_val *want, sd_val *grad)
{
	if (g->failed || loss == SD_NIL)
		return -1;
	if (g->val[loss].shape.n != 0 || g->val[loss].dtype != SD_F32) {
		sd_graph_fail(g, "gradient of something that is no scalar");
		return -1;
	}
	return sd_graph_vjp(g, loss, sd_fill(g, sd_shape0(), 1), n, want, grad);
}
