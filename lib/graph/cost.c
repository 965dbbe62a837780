/* cost.c: counts operations and bytes of a plan's steps. */
#include "graph/cost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static double count(const struct sd_graph *g, sd_val v)
{
	return v == SD_NIL ? 0 : (double)sd_shape_count(&g->val[v].shape);
}

static double bytes(const struct sd_graph *g, sd_val v, int elem)
{
	if (v == SD_NIL)
		return 0;
	return count(g, v) * (sd_is_image(g, v) ? elem : g->val[v].dtype == SD_F64 ? 8 : 4);
}

/* Pixels of all images of a batch. */
static double pixels(const struct sd_graph *g, sd_val v)
{
	return count(g, v) / g->val[v].shape.d[1];
}

/* ---- operations ---- */

/* An element of each term: scale, norm and scale, norm, relu and scale. */
static double mix_flops(const struct sd_graph *g, const struct sd_node *n, double raw, double norm, double relu)
{
	double each = 0;
	int k;

	for (k = 0; k < n->a.nterm; k++)
		each += n->a.kind[k] == SD_MIX_RAW ? raw : n->a.kind[k] == SD_MIX_NORM ? norm :
			n->a.kind[k] == SD_MIX_NORM_RELU ? relu : 0;
	return each * count(g, n->op == SD_OP_MIX ? n->out : n->in[0]);
}

/* Elements of all tensors of an optimiser's step. */
static double tensors(const struct sd_graph *g, const struct sd_node *n, int lead)
{
	double sum = 0;
	int i;

	for (i = 0; i < n->a.i[0]; i++)
		sum += count(g, n->in[lead + i]);
	return sum;
}

/* How many operands stand in front of the groups of an op that works on many tensors. */
static int lead_of(enum sd_op op)
{
	return op == SD_OP_PADAM ? 3 : op == SD_OP_STORE ? 1 : 2;
}

/* What the op itself does, loads and the sum that it may be a part of aside.  A kind of op that is not named here
 * doesn't compile. */
static double op_flops(const struct sd_graph *g, const struct sd_node *n)
{
	const sd_val *in = n->in;
	double y = count(g, n->out), x = n->nin ? count(g, in[0]) : 0, taps = (double)n->a.win.kh * n->a.win.kw, sum = 0;
	int i;

	switch (n->op) {
	case SD_OP_SOURCE: case SD_OP_IMPORT: case SD_OP_FILL: case SD_OP_CONCAT: case SD_OP_SLICE: case SD_OP_ONEHOT:
	case SD_OP_ADD: /* by operands run on: sd_step_cost */
	case SD_OP_N:
		return 0;
	case SD_OP_CONV:
		return 2 * pixels(g, n->out) * count(g, in[1]) + (in[2] == SD_NIL ? 0 : y);
	case SD_OP_DWCONV:
		return 2 * pixels(g, n->out) * count(g, in[1]);
	case SD_OP_FRCONV:
		return 2 * pixels(g, n->out) * (count(g, in[1]) + count(g, in[2]));
	case SD_OP_CONV_BWD_X: case SD_OP_DWCONV_BWD_X:
		return 2 * pixels(g, in[0]) * count(g, in[1]);
	case SD_OP_FRCONV_BWD_X:
		return 2 * pixels(g, in[0]) * (count(g, in[1]) + count(g, in[2]));
	case SD_OP_CONV_BWD_W: case SD_OP_DWCONV_BWD_W: case SD_OP_FRCONV_BWD_W:
		return 2 * pixels(g, in[1]) * y;
	case SD_OP_CONV_BWD_B: case SD_OP_LINEAR_BWD_B: case SD_OP_GAP: case SD_OP_MEAN:
		return x;
	case SD_OP_MAXPOOL: case SD_OP_AVGPOOL:
		return y * taps;
	case SD_OP_MAXPOOL_BWD:
		return count(g, in[1]) * taps;
	case SD_OP_AVGPOOL_BWD:
		return x * taps;
	case SD_OP_BN_STATS:
		return 4 * x; /* add; subtract, square and add */
	case SD_OP_NORM:
		return 2 * y;
	case SD_OP_NORM_BWD_SUMS:
		return 5 * x; /* add; subtract, scale, multiply and add */
	case SD_OP_NORM_BWD_X:
		return (n->a.i[0] ? 4 : 1) * y; /* A g + B x + C */
	case SD_OP_MIX:
		return mix_flops(g, n, 2, 4, 5);
	case SD_OP_MIX_BWD_SUMS:
		return mix_flops(g, n, 2, 5, 8);
	case SD_OP_MIX_BWD_X:
		return (n->a.i[1] ? 4 : 1) * y + (n->a.kind[0] == SD_MIX_NORM_RELU ? 3 * y : 0);
	case SD_OP_RELU: case SD_OP_RELU_BWD: case SD_OP_SCALE_ROWS: case SD_OP_SCALE: case SD_OP_GAP_BWD:
	case SD_OP_MEAN_BWD: case SD_OP_RATIO: case SD_OP_CLIP_COEF: case SD_OP_FINITE: case SD_OP_MIX_FACTORS:
	case SD_OP_MIX_FACTORS_BWD: case SD_OP_DROP_MASK: case SD_OP_LOSS_SCALE:
		return y;
	case SD_OP_DOT: case SD_OP_RANK: case SD_OP_ARGMAX:
		return 2 * x;
	case SD_OP_LINEAR: case SD_OP_LINEAR_BWD_X:
		return 2 * (double)g->val[in[0]].shape.d[0] * count(g, in[1]);
	case SD_OP_LINEAR_BWD_W:
		return 2 * (double)g->val[in[0]].shape.d[0] * y;
	case SD_OP_SOFTMAX: case SD_OP_SOFTMAX_BWD: case SD_OP_XENT: case SD_OP_XENT_BWD:
		return 4 * x;
	case SD_OP_WSUM:
		return (in[1] == SD_NIL ? 1 : 3) * y;
	case SD_OP_AXPY:
		return 2 * y;
	case SD_OP_GRAD_NORM:
		for (i = 0; i < n->nin; i++)
			sum += 2 * count(g, in[i]);
		return sum;
	case SD_OP_BN_UPDATE:
		return 7 * x;
	case SD_OP_SGD: case SD_OP_SGD_AHEAD:
		return 7 * tensors(g, n, lead_of(n->op));
	case SD_OP_ADAM:
		return 14 * tensors(g, n, lead_of(n->op));
	case SD_OP_PADAM:
		return 16 * tensors(g, n, lead_of(n->op));
	case SD_OP_STORE:
		return n->nin > 1 + 2 * n->a.i[0] ? 2 * tensors(g, n, lead_of(n->op)) : 0;
	case SD_OP_METRICS:
		return 5 * count(g, in[1]);
	}
	return 0;
}

/* ---- bytes ---- */

/* The part of an image that a window with gaps between its places touches. */
static double touched(const struct sd_window *w)
{
	double y = w->sh > w->kh ? (double)w->kh / w->sh : 1, x = w->sw > w->kw ? (double)w->kw / w->sw : 1;

	return w->kh ? x * y : 1;
}

/* How much of operand i is read: 1, a part, or 0 for what is only written. */
static double reads(const struct sd_graph *g, const struct sd_node *n, int i)
{
	int k = n->a.i[0];

	switch (n->op) {
	case SD_OP_CONV:
		return i == 0 ? touched(&n->a.win) : 1;
	case SD_OP_CONV_BWD_W:
		return i == 0 ? touched(&n->a.win) : 1;
	case SD_OP_FRCONV:
		return i == 0 ? 0.5 : 1; /* two of each four pixels */
	case SD_OP_FRCONV_BWD_W: /* one of four for its own half of the channels */
		return i == 0 ? 0.25 : count(g, n->out) / g->val[n->out].shape.d[1] / g->val[n->in[1]].shape.d[1];
	case SD_OP_SLICE:
		return sd_is_image(g, n->in[0]) ? count(g, n->out) / count(g, n->in[0]) : 1;
	case SD_OP_SGD_AHEAD:
		return i < 2 + 3 * k;
	case SD_OP_STORE:
		return i < 1 || i >= 1 + k;
	default:
		return 1;
	}
}

/* Whether operand i of a write is what it writes. */
static int is_written(const struct sd_node *n, int i)
{
	int k = n->a.i[0], lead = lead_of(n->op);

	switch (n->op) {
	case SD_OP_BN_UPDATE:
		return i < 3;
	case SD_OP_LOSS_SCALE:
		return i < 2;
	case SD_OP_METRICS:
		return i == 0;
	case SD_OP_SGD:
		return i >= lead && i < lead + 2 * k;
	case SD_OP_SGD_AHEAD:
		return i >= lead + 3 * k;
	case SD_OP_ADAM:
		return i == 1 || (i >= lead && i < lead + 3 * k);
	case SD_OP_PADAM:
		return i == 1 || (i >= lead && i < lead + 4 * k);
	case SD_OP_STORE:
		return i >= lead && i < lead + k;
	default:
		return 0;
	}
}

/* What is told of each value that a step reads (operands, statistics, a predicate), some more than once, with the
 * part of it that is read, and of each that it writes. */
struct visit {
	void (*read)(void *ctx, sd_val v, double part);
	void (*write)(void *ctx, sd_val v);
	void *ctx;
};

/* Nothing lies in memory that a step makes for itself alone. */
static int is_stored(const struct sd_plan *p, sd_val v)
{
	return p->g->val[v].cls != SD_TEMP || p->place[p->place[v].root].alive;
}

static void visit_read(const struct sd_plan *p, const struct visit *to, sd_val v, double part)
{
	if (v != SD_NIL && part > 0 && is_stored(p, v))
		to->read(to->ctx, v, part);
}

static void visit_load(const struct sd_plan *p, const struct visit *to, const struct sd_load *l, double part)
{
	int i;

	for (i = 0; i < SD_LOAD_READS; i++)
		visit_read(p, to, sd_load_read(l, i), i ? 1 : part);
}

/* Whether a half has operand k of its step i in registers, made in the same pass. */
static int is_at_hand(const struct sd_plan *p, const struct sd_half_steps *h, int i, int k)
{
	sd_val x = p->step[i].in[k].x;
	int r;

	if (i == h->role[SD_HALF_PW_W] && k == 0)
		return 1; /* what the depthwise convolution gives is computed again */
	for (r = 0; r < SD_HALF_ROLES; r++)
		if (h->role[r] >= 0 && x != SD_NIL && p->g->val[x].node == p->step[h->role[r]].node)
			return 1;
	return 0;
}

/* Whether x is made by one of the steps of a chain of partners before i, and so is in registers. */
static int is_made(const struct sd_plan *p, int first, int i, sd_val x)
{
	for (; first >= 0 && first != i; first = p->step[first].pair)
		if (x != SD_NIL && p->g->val[x].node == p->step[first].node)
			return 1;
	return 0;
}

/* `first`: of the partners that step i is done with; or -1. */
static void visit_one(const struct sd_plan *p, int i, const struct sd_half_steps *half, int first,
	const struct visit *to)
{
	const struct sd_step *s = &p->step[i];
	const struct sd_node *n = &p->g->node[s->node];
	int k;

	visit_read(p, to, n->pred, 1);
	for (k = 0; k < s->nin; k++) {
		if (half && is_at_hand(p, half, i, k))
			continue;
		if (is_made(p, first, i, s->in[k].x))
			continue;
		visit_load(p, to, &s->in[k], n->op == SD_OP_ADD || n->op == SD_OP_CONCAT ? 1 : reads(p->g, n, k));
		if (is_written(n, k) && s->in[k].x != SD_NIL)
			to->write(to->ctx, s->in[k].x);
	}
	if (s->accumulate)
		visit_read(p, to, n->out, 1);
	for (k = 0; k < n->nout && !sd_op_is_write(n->op); k++)
		if (is_stored(p, n->out + k))
			to->write(to->ctx, n->out + k);
}

static void visit(const struct sd_plan *p, int i, const struct visit *to)
{
	const struct sd_step *s = &p->step[i];
	const struct sd_half_steps *h = s->half >= 0 ? &p->half[s->half] : NULL;
	int r;

	if (!h) {
		visit_one(p, i, NULL, -1, to);
		for (r = i; p->step[r].pair >= 0; r = p->step[r].pair)
			visit_one(p, p->step[r].pair, NULL, i, to);
		return;
	}
	for (r = 0; r < SD_HALF_ROLES; r++)
		if (h->role[r] >= 0)
			visit_one(p, h->role[r], h, -1, to);
	visit_read(p, to, h->weight, 1);
	if (h->x)
		visit_load(p, to, h->x, 1);
}

struct tally {
	const struct sd_graph *g;
	int elem;
	struct sd_cost cost;
	sd_val seen[128]; /* the first operands of the step, so that none is counted twice */
	int nseen;
};

static void tally_read(void *ctx, sd_val v, double part)
{
	struct tally *t = ctx;
	int i;

	for (i = 0; i < t->nseen; i++)
		if (t->seen[i] == v)
			return;
	if (t->nseen < (int)(sizeof(t->seen) / sizeof(t->seen[0])))
		t->seen[t->nseen++] = v;
	t->cost.read += part * bytes(t->g, v, t->elem);
}

static void tally_write(void *ctx, sd_val v)
{
	struct tally *t = ctx;

	t->cost.written += bytes(t->g, v, t->elem);
}

static double load_flops(const struct sd_graph *g, const struct sd_load *l)
{
	double x = count(g, l->x);

	if (l->back)
		return (l->sg != SD_NIL ? 4 : 1) * x + (l->relu ? 3 * x : 0);
	return (l->mean != SD_NIL ? 2 * x : 0) + (l->relu ? x : 0) + (l->rows ? x : 0);
}

/* One step's, those of its loads and of its part in a sum included. */
static double one_flops(const struct sd_plan *p, int i)
{
	const struct sd_step *s = &p->step[i];
	const struct sd_node *n = &p->g->node[s->node];
	double sum = op_flops(p->g, n);
	int k;

	for (k = 0; k < s->nin; k++)
		sum += load_flops(p->g, &s->in[k]);
	if (n->op == SD_OP_ADD)
		return sum + (s->nin - !s->accumulate) * count(p->g, n->out);
	return sum + (s->accumulate ? count(p->g, n->out) : 0);
}

static double half_flops(const struct sd_plan *p, const struct sd_half_steps *h)
{
	int again = h->role[SD_HALF_PW_W], r; /* its operand is computed again, and so the load of that one */
	double sum = again < 0 ? 0 : 2 * pixels(p->g, p->step[again].in[0].x) * count(p->g, h->weight);

	if (h->x && h->role[SD_HALF_DW] < 0 && h->role[SD_HALF_DW_W] < 0)
		sum += load_flops(p->g, h->x);
	for (r = 0; r < SD_HALF_ROLES; r++)
		if (h->role[r] >= 0)
			sum += one_flops(p, h->role[r]);
	return sum;
}

static double step_flops(const struct sd_plan *p, int i)
{
	const struct sd_step *s = &p->step[i];
	double sum = 0;

	if (s->half >= 0)
		return half_flops(p, &p->half[s->half]);
	for (; i >= 0; i = p->step[i].pair)
		sum += one_flops(p, i);
	return sum;
}

struct sd_cost sd_step_cost(const struct sd_plan *p, int i, int elem)
{
	struct tally t = { .g = p->g, .elem = elem };
	struct visit to = { tally_read, tally_write, &t };

	if (p->step[i].skip)
		return t.cost;
	visit(p, i, &to);
	t.cost.flops = step_flops(p, i);
	return t.cost;
}

/* ---- the floor ---- */

int sd_op_is_backward(enum sd_op op)
{
	switch (op) {
	case SD_OP_RELU_BWD: case SD_OP_CONV_BWD_X: case SD_OP_CONV_BWD_W: case SD_OP_CONV_BWD_B:
	case SD_OP_DWCONV_BWD_X: case SD_OP_DWCONV_BWD_W: case SD_OP_FRCONV_BWD_X: case SD_OP_FRCONV_BWD_W:
	case SD_OP_MAXPOOL_BWD: case SD_OP_AVGPOOL_BWD: case SD_OP_NORM_BWD_SUMS: case SD_OP_NORM_BWD_X:
	case SD_OP_MIX_BWD_SUMS: case SD_OP_MIX_BWD_X: case SD_OP_GAP_BWD: case SD_OP_LINEAR_BWD_X:
	case SD_OP_LINEAR_BWD_W: case SD_OP_LINEAR_BWD_B: case SD_OP_SOFTMAX_BWD: case SD_OP_MIX_FACTORS_BWD:
	case SD_OP_XENT_BWD: case SD_OP_MEAN_BWD: case SD_OP_DOT:
		return 1;
	default:
		return 0;
	}
}

/* What has been seen of each value: bit 0 read forward, bit 1 read backward, bit 2 written. */
struct marks {
	unsigned char *seen;
	int direction;
};

static void mark_read(void *ctx, sd_val v, double part)
{
	struct marks *m = ctx;

	(void)part;
	m->seen[v] |= (unsigned char)(1 << m->direction);
}

static void mark_write(void *ctx, sd_val v)
{
	struct marks *m = ctx;

	m->seen[v] |= 4;
}

/* Values that lie in one another count as what they lie in: it is written once, and of it is read what any of them
 * is read for, at most all. */
static void add_floor(const struct sd_plan *p, int elem, const unsigned char *seen, double (*read)[2],
	struct sd_cost *floor)
{
	const struct sd_graph *g = p->g;
	sd_val v;
	int d;

	for (v = 0; v < p->nplace; v++)
		for (d = 0; d < 2; d++)
			if (seen[v] & 1 << d)
				read[p->place[v].root][d] += bytes(g, v, elem);
	for (v = 0; v < p->nplace; v++)
		for (d = 0; d < 2; d++)
			floor->read += read[v][d] < bytes(g, v, elem) ? read[v][d] : bytes(g, v, elem);
	memset(read, 0, sizeof(*read) * (size_t)p->nplace);
	for (v = 0; v < p->nplace; v++)
		if (seen[v] & 4)
			read[p->place[v].root][0] = 1;
	for (v = 0; v < p->nplace; v++)
		floor->written += read[v][0] * bytes(g, v, elem);
}

static int first_backward(const struct sd_plan *p)
{
	int i, first = p->g->nnode;

	for (i = 0; i < p->nstep; i++)
		if (sd_op_is_backward(p->g->node[p->step[i].node].op) && p->step[i].node < first)
			first = p->step[i].node;
	return first;
}

int sd_plan_cost(const struct sd_plan *p, int elem, struct sd_cost *total, struct sd_cost *floor)
{
	struct marks m = { .seen = calloc((size_t)p->nplace + 1, 1) };
	double (*read)[2] = calloc((size_t)p->nplace + 1, sizeof(*read));
	struct visit to = { mark_read, mark_write, &m };
	int i, rc = -1, backward = first_backward(p);

	*total = (struct sd_cost){ 0 };
	if (!m.seen || !read) {
		sd_error(SD_ERR_IO, "out of memory for the costs of a plan");
		goto out;
	}
	for (i = 0; i < p->nstep; i++) {
		const struct sd_step *s = &p->step[i];
		struct sd_cost c = sd_step_cost(p, i, elem);

		total->flops += c.flops;
		total->read += c.read;
		total->written += c.written;
		if (s->skip)
			continue;
		m.direction = s->node >= backward;
		visit(p, i, &to);
	}
	if (floor) {
		*floor = (struct sd_cost){ .flops = total->flops };
		add_floor(p, elem, m.seen, read, floor);
	}
	rc = 0;
out:
	free(m.seen);
	free(read);
	return rc;
}

/* ---- names ---- */

/* The step whose window and image a step is called by, and what it is called. */
static const struct sd_step *namesake(const struct sd_plan *p, int i, const char **name)
{
	const struct sd_step *s = &p->step[i];
	const int *role = s->half >= 0 ? p->half[s->half].role : NULL;

	*name = sd_op_name(p->g->node[s->node].op);
	if (!role)
		return s;
	*name = role[SD_HALF_PW] >= 0 ? "half" : role[SD_HALF_PW_W] >= 0 ? "half_bwd+w" : "half_bwd";
	return &p->step[role[SD_HALF_DW] >= 0 ? role[SD_HALF_DW] : role[SD_HALF_DW_X] >= 0 ? role[SD_HALF_DW_X] :
		role[SD_HALF_DW_W]];
}

void sd_step_family(const struct sd_plan *p, int i, int shapes, char name[64])
{
	const char *op;
	const struct sd_step *s = namesake(p, i, &op);
	const struct sd_node *n = &p->g->node[s->node];
	const struct sd_window *w = &n->a.win;
	const struct sd_value *v = s->nin && s->in[0].x != SD_NIL ? &p->g->val[s->in[0].x] : &p->g->val[n->out];
	int at = snprintf(name, 64, "%s%s", op,
		p->step[i].pair < 0 ? "" : p->g->node[p->step[i].node].op == SD_OP_CONV ? "+stats" :
		p->g->node[p->step[i].node].op == SD_OP_DWCONV ? "+conv" :
		p->g->node[p->step[i].node].op == SD_OP_CONV_BWD_X ? "+dwconv" :
		p->g->node[p->step[i].node].op != SD_OP_ADD ? "+w" :
		p->g->node[p->step[p->step[i].pair].node].op == SD_OP_RELU_BWD ? "+mask" : "+sums");

	if (w->kh)
		at += snprintf(name + at, 64 - (size_t)at, " %dx%d", w->kh, w->kw);
	if (w->sh > 1 || w->sw > 1)
		at += snprintf(name + at, 64 - (size_t)at, " s%d", w->sh > w->sw ? w->sh : w->sw);
	if (w->dh > 1 || w->dw > 1)
		at += snprintf(name + at, 64 - (size_t)at, " d%d", w->dh > w->dw ? w->dh : w->dw);
	if (shapes && v->shape.n == 4)
		snprintf(name + at, 64 - (size_t)at, " %dx%dx%dx%d", v->shape.d[0], v->shape.d[1], v->shape.d[2],
			v->shape.d[3]);
}
