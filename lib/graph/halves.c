/* halves.c: halves of separable convolutions (DESIGN.md section 5): depthwise and pointwise convolution, and what
 * batch norm needs on either side, become one step, forward and backward.  What lies between the two convolutions
 * is then never written; backward computes it again, which is cheaper than reading it, and takes no memory. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "graph/planner.h"

/* The steps that read each image, as its operands' x. */
struct readers {
	int *first; /* by value: index of its first in step[] */
	int *step;
};

static sd_val result_of(const struct sd_planner *b, int step)
{
	return sd_step_node(b, step)->out;
}

/* The step that makes v; -1 for a source and SD_NIL. */
static int maker_of(const struct sd_planner *b, sd_val v)
{
	return v == SD_NIL ? -1 : b->step_of[b->g->val[v].node];
}

static int is_op(const struct sd_planner *b, int step, enum sd_op op)
{
	return step >= 0 && sd_step_node(b, step)->op == op && sd_step_node(b, step)->pred == SD_NIL && b->at[step] == step;
}

static int is_plain(const struct sd_load *l)
{
	return l->mean == SD_NIL && !l->relu;
}

static int same_load(const struct sd_load *a, const struct sd_load *b)
{
	return a->x == b->x && a->mean == b->mean && a->var == b->var && a->gamma == b->gamma && a->beta == b->beta &&
		a->relu == b->relu && (a->mean == SD_NIL || a->eps == b->eps);
}

static int is_pointwise(const struct sd_node *n)
{
	struct sd_window one = sd_window(1, 1, 0, 1);

	return !memcmp(&n->a.win, &one, sizeof(one));
}

static int find_readers(const struct sd_planner *b, struct readers *r)
{
	const struct sd_plan *p = b->p;
	int pass, i, k, n = 0;

	r->first = calloc((size_t)b->g->nval + 2, sizeof(*r->first));
	for (i = 0; i < p->nstep; i++)
		n += p->step[i].nin;
	r->step = malloc(sizeof(*r->step) * (size_t)(n + 1));
	if (!r->first || !r->step)
		return sd_error(SD_ERR_IO, "out of memory for a plan");
	for (pass = 0; pass < 2; pass++) {
		for (i = 0; i < p->nstep; i++)
			for (k = 0; k < p->step[i].nin; k++) {
				sd_val x = p->step[i].in[k].x;

				if (x == SD_NIL)
					continue;
				if (pass)
					r->step[r->first[x + 1]++] = i;
				else
					r->first[x + 2]++;
			}
		for (i = 2; !pass && i < b->g->nval + 2; i++)
			r->first[i] += r->first[i - 1];
	}
	return 0;
}

/* Does step s read v, in any way? */
static int reads(const struct sd_planner *b, int s, sd_val v)
{
	const struct sd_step *st = &b->p->step[s];
	int i, k;

	if (sd_step_node(b, s)->pred == v)
		return 1;
	for (k = 0; k < st->nin; k++)
		for (i = 0; i < SD_LOAD_READS; i++)
			if (sd_load_read(&st->in[k], i) == v)
				return 1;
	return 0;
}

static int is_member(const struct sd_half_steps *h, int step)
{
	int i;

	for (i = 0; i < SD_HALF_ROLES; i++)
		if (h->role[i] == step)
			return 1;
	return 0;
}

/* Whether all steps of h can be put off until its last: nothing in between reads what they make.  Returns the
 * last, or -1. */
static int last_step(const struct sd_planner *b, const struct sd_half_steps *h)
{
	int first = b->p->nstep, last = -1, i, s, k;

	for (i = 0; i < SD_HALF_ROLES; i++) {
		if (h->role[i] < 0)
			continue;
		first = h->role[i] < first ? h->role[i] : first;
		last = h->role[i] > last ? h->role[i] : last;
	}
	for (s = first + 1; s < last; s++) {
		if (is_member(h, s))
			continue;
		for (i = 0; i < SD_HALF_ROLES; i++)
			for (k = 0; h->role[i] >= 0 && k < sd_step_node(b, h->role[i])->nout; k++)
				if (reads(b, s, result_of(b, h->role[i]) + k))
					return -1;
	}
	return last;
}

static void join(struct sd_planner *b, const struct sd_half_steps *h, int last)
{
	struct sd_plan *p = b->p;
	int i;

	for (i = 0; i < SD_HALF_ROLES; i++) {
		if (h->role[i] < 0)
			continue;
		b->at[h->role[i]] = last;
		p->step[h->role[i]].skip = h->role[i] != last;
	}
	p->step[last].half = p->nhalf;
	p->half[p->nhalf++] = *h;
}

/* The depthwise convolution's gradients.  Whether they are there and nothing else reads the gradient in the middle. */
static int find_depthwise(const struct sd_planner *b, const struct readers *r, struct sd_half_steps *h)
{
	sd_val gmid = result_of(b, h->role[SD_HALF_PW_X]);
	int i, n = 0;

	for (i = r->first[gmid]; i < r->first[gmid + 1]; i++) {
		enum sd_op op = sd_step_node(b, r->step[i])->op;

		if (!is_op(b, r->step[i], op) || (op != SD_OP_DWCONV_BWD_X && op != SD_OP_DWCONV_BWD_W))
			return 0;
		h->role[op == SD_OP_DWCONV_BWD_X ? SD_HALF_DW_X : SD_HALF_DW_W] = r->step[i];
		n++;
	}
	return n > 0 && b->uses[gmid] == n;
}

/* The pointwise convolution's weight gradient, of what a depthwise convolution gives.  Returns that one's step, or
 * -1. */
static int find_pointwise_weight(const struct sd_planner *b, const struct readers *r, sd_val gy,
	struct sd_half_steps *h)
{
	int i;

	for (i = r->first[gy]; i < r->first[gy + 1]; i++) {
		int s = r->step[i], depthwise = maker_of(b, b->p->step[s].in[0].x);

		if (!is_op(b, s, SD_OP_CONV_BWD_W) || !is_pointwise(sd_step_node(b, s)) ||
				!is_plain(&b->p->step[s].in[0]) || !is_op(b, depthwise, SD_OP_DWCONV))
			continue;
		h->role[SD_HALF_PW_W] = s;
		return depthwise;
	}
	return -1;
}

/* Whether the gradients found are of the depthwise convolution of step s, in all their parts. */
static int is_of(const struct sd_planner *b, const struct sd_half_steps *h, int s)
{
	const struct sd_step *step = b->p->step;
	int x = h->role[SD_HALF_DW_X], w = h->role[SD_HALF_DW_W];
	const struct sd_window *win = &sd_step_node(b, s)->a.win;

	return (x < 0 || (!memcmp(&sd_step_node(b, x)->a.win, win, sizeof(*win)) &&
			step[x].in[1].x == step[s].in[1].x)) &&
		(w < 0 || (!memcmp(&sd_step_node(b, w)->a.win, win, sizeof(*win)) &&
			same_load(&step[w].in[0], &step[s].in[0])));
}

/* The sums of the norm that x is loaded through, taken of gx. */
static void find_sums(const struct sd_planner *b, const struct readers *r, struct sd_half_steps *h)
{
	sd_val gx = result_of(b, h->role[SD_HALF_DW_X]);
	int i;

	for (i = r->first[gx]; i < r->first[gx + 1]; i++)
		if (is_op(b, r->step[i], SD_OP_NORM_BWD_SUMS) && b->p->step[r->step[i]].in[0].x == gx)
			h->role[SD_HALF_SUMS] = r->step[i];
}

/* The gradient's way through a half, from step s, the pointwise convolution's data gradient. */
static void find_backward(struct sd_planner *b, const struct readers *r, int s)
{
	struct sd_half_steps h = SD_NO_HALF;
	const struct sd_step *step = b->p->step;
	sd_val gy = step[s].in[0].x;
	int depthwise, last, norm, *role = h.role;

	if (!is_op(b, s, SD_OP_CONV_BWD_X) || !is_pointwise(sd_step_node(b, s)))
		return;
	role[SD_HALF_PW_X] = s;
	if (!find_depthwise(b, r, &h))
		return;
	depthwise = find_pointwise_weight(b, r, gy, &h);
	if (depthwise >= 0) {
		if (!is_of(b, &h, depthwise))
			return;
		h.x = step[depthwise].in;
		h.weight = step[depthwise].in[1].x;
	} else if (role[SD_HALF_DW_X] >= 0) {
		h.x = role[SD_HALF_DW_W] >= 0 ? step[role[SD_HALF_DW_W]].in : NULL;
		h.weight = step[role[SD_HALF_DW_X]].in[1].x;
	} else {
		return; /* the depthwise weight gradient alone: nothing to gain */
	}
	norm = maker_of(b, gy);
	if ((is_op(b, norm, SD_OP_NORM_BWD_X) || is_op(b, norm, SD_OP_MIX_BWD_X)) &&
			b->uses[gy] == 1 + (role[SD_HALF_PW_W] >= 0))
		role[SD_HALF_GY] = norm;
	if (role[SD_HALF_DW_X] >= 0)
		find_sums(b, r, &h);
	last = last_step(b, &h);
	if (last < 0)
		return;
	b->hidden[result_of(b, s)] = 1;
	if (role[SD_HALF_GY] >= 0)
		b->hidden[gy] = 1;
	if (depthwise >= 0)
		b->uses[result_of(b, depthwise)]--;
	join(b, &h, last);
}

/* A half, from step s, its pointwise convolution. */
static void find_forward(struct sd_planner *b, const struct readers *r, int s)
{
	struct sd_half_steps h = SD_NO_HALF;
	const struct sd_node *n = sd_step_node(b, s);
	const struct sd_load *in = b->p->step[s].in;
	int i, last, *role = h.role;

	if (!is_op(b, s, SD_OP_CONV) || !is_pointwise(n) || in[2].x != SD_NIL || !is_plain(&in[0]))
		return;
	i = maker_of(b, in[0].x);
	if (!is_op(b, i, SD_OP_DWCONV) || b->uses[in[0].x] != 1)
		return;
	role[SD_HALF_PW] = s;
	role[SD_HALF_DW] = i;
	h.x = b->p->step[i].in;
	h.weight = b->p->step[i].in[1].x;
	for (i = r->first[n->out]; i < r->first[n->out + 1]; i++)
		if (is_op(b, r->step[i], SD_OP_BN_STATS) && is_plain(b->p->step[r->step[i]].in))
			role[SD_HALF_STATS] = r->step[i];
	last = last_step(b, &h);
	if (last < 0)
		return;
	b->hidden[in[0].x] = 1;
	join(b, &h, last);
}

int sd_plan_find_halves(struct sd_planner *b)
{
	struct sd_plan *p = b->p;
	struct readers r = { 0 };
	int i, rc;

	p->half = malloc(sizeof(*p->half) * (size_t)(p->nstep + 1));
	rc = p->half ? find_readers(b, &r) : sd_error(SD_ERR_IO, "out of memory for a plan");
	/* backward first: it takes readers away from what forward may then leave out */
	for (i = 0; !rc && i < p->nstep; i++)
		find_backward(b, &r, i);
	for (i = 0; !rc && i < p->nstep; i++)
		find_forward(b, &r, i);
	free(r.first);
	free(r.step);
	return rc;
}
