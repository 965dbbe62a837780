/* backs.c: gradients that are taken back through a norm, or scaled, where they are loaded, images whose samples are
 * scaled where they are added, and sums that pools' gradients are made of where these load them: what would lie between
 * is then neither written nor read, and begun with what reads it. */
#include <stdlib.h>
#include <string.h>

#include "graph/planner.h"

static int is_pool(enum sd_op op)
{
	return op == SD_OP_MAXPOOL_BWD || op == SD_OP_AVGPOOL_BWD;
}

/* Whether step s can load operand k so. */
static int takes(const struct sd_planner *b, int s, int k, const struct sd_load *to)
{
	const struct sd_node *n = sd_step_node(b, s);
	struct sd_window one = sd_window(1, 1, 0, 1);
	sd_val x = n->in[0], y = SD_NIL;
	int at = 0;

	if (to->rows && n->op != SD_OP_ADD && !is_pool(n->op))
		return 0;
	switch (n->op) {
	case SD_OP_MAXPOOL_BWD: case SD_OP_AVGPOOL_BWD:
		return k == n->nin - 1 && n->pred == SD_NIL && b->layout->pool > 0;
	case SD_OP_ADD:
		return n->pred == SD_NIL && sd_is_image(b->g, n->out);
	case SD_OP_CONV_BWD_X:
		if (memcmp(&n->a.win, &one, sizeof(one)))
			return 0;
		y = n->out;
		break;
	case SD_OP_FRCONV_BWD_X:
		y = n->out;
		break;
	case SD_OP_CONV_BWD_W:
		if (memcmp(&n->a.win, &one, sizeof(one)))
			return 0;
		at = 1, y = n->in[1];
		break;
	case SD_OP_FRCONV_BWD_W:
		at = 1, y = n->in[1];
		break;
	default:
		return 0;
	}
	return k == at && n->pred == SD_NIL && b->g->val[x].shape.d[1] <= b->layout->back &&
		b->g->val[y].shape.d[1] <= b->layout->back;
}

/* How the result of step s is loaded where it is read, without being made.  0 if it can't be. */
static int load_of(const struct sd_planner *b, int s, struct sd_load *to)
{
	const struct sd_node *n = sd_step_node(b, s);
	const struct sd_load *in = b->p->step[s].in;
	int batch;

	if (n->pred != SD_NIL || b->p->step[s].accumulate || b->p->step[s].skip || b->parent[n->out] >= 0)
		return 0;
	*to = in[0];
	to->back = 1;
	to->at = to->sg = to->sgx = to->f = SD_NIL;
	switch (n->op) {
	case SD_OP_NORM_BWD_X: /* g, x, mean, var, gamma, sg, sgx */
		batch = n->a.i[0];
		if (in[0].relu && in[0].gamma != in[4].x)
			return 0;
		to->mean = in[2].x, to->var = in[3].x, to->gamma = in[4].x;
		to->eps = n->a.eps;
		if (batch || in[0].relu)
			to->at = in[1].x;
		if (batch)
			to->sg = in[5].x, to->sgx = in[6].x;
		return 1;
	case SD_OP_MIX_BWD_X: /* g, factors, x, mean, var, sg, sgx */
		batch = n->a.i[1];
		to->relu = n->a.kind[0] == SD_MIX_NORM_RELU;
		to->mean = in[3].x, to->var = in[4].x;
		to->eps = n->a.eps;
		to->f = in[1].x, to->term = n->a.i[0];
		if (batch || to->relu)
			to->at = in[2].x;
		if (batch)
			to->sg = in[5].x, to->sgx = in[6].x;
		return 1;
	case SD_OP_SCALE_ROWS: /* x, factors */
		to->back = 0;
		to->rows = 1;
		to->f = in[1].x;
		return 1;
	case SD_OP_SCALE: /* g, factors */
		if (in[0].mean != SD_NIL || in[0].relu || !sd_is_image(b->g, n->out))
			return 0;
		to->f = in[1].x, to->term = n->a.i[0];
		return 1;
	default:
		return 0;
	}
}

/* The plain operand of step s that is v, or -1. */
static int plain_operand(const struct sd_planner *b, int s, sd_val v)
{
	const struct sd_step *step = &b->p->step[s];
	int k;

	for (k = 0; k < step->nin; k++)
		if (step->in[k].x == v && step->in[k].mean == SD_NIL && !step->in[k].relu && !step->in[k].back && !step->in[k].rows)
			return k;
	return -1;
}

static void count(struct sd_planner *b, const struct sd_load *l, int by)
{
	int i;

	for (i = 0; i < SD_LOAD_READS; i++)
		if (sd_load_read(l, i) != SD_NIL)
			b->uses[sd_load_read(l, i)] += by;
}

/* Whether step s is a sum that a pool's gradient can add as it loads it. */
static int is_pool_sum(const struct sd_planner *b, int s)
{
	const struct sd_step *step = &b->p->step[s];
	const struct sd_node *n = sd_step_node(b, s);
	int k;

	if (n->op != SD_OP_ADD || n->pred != SD_NIL || step->accumulate || step->skip || step->nin > b->layout->pool ||
			b->uses[n->out] != 1 || b->parent[n->out] >= 0)
		return 0;
	for (k = 0; k < step->nin; k++)
		if (!step->in[k].back && (step->in[k].mean != SD_NIL || step->in[k].relu))
			return 0;
	return 1;
}

/* Gives a pool's gradient, step s, the parts of the sum that it reads. */
static void take_sum(struct sd_planner *b, int s)
{
	struct sd_step *to = &b->p->step[s], *sum;
	int last = to->nin - 1, made = b->step_of[b->g->val[to->in[last].x].node];
	struct sd_load *in;

	if (made < 0 || to->in[last].back || to->in[last].rows || !is_pool_sum(b, made))
		return;
	sum = &b->p->step[made];
	in = malloc(sizeof(*in) * (size_t)(last + sum->nin));
	if (!in)
		return;
	memcpy(in, to->in, sizeof(*in) * (size_t)last);
	memcpy(in + last, sum->in, sizeof(*in) * (size_t)sum->nin);
	free(to->in);
	to->in = in;
	to->nin = last + sum->nin;
	sum->nin = 0;
	sum->skip = 1;
	b->uses[sd_step_node(b, made)->out] = 0;
	b->hidden[sd_step_node(b, made)->out] = 1;
}

void sd_plan_find_backs(struct sd_planner *b)
{
	struct sd_plan *p = b->p;
	int made, s, k, n;

	for (made = 0; made < p->nstep; made++) {
		sd_val v = sd_step_node(b, made)->out;
		struct sd_load to;

		if (!load_of(b, made, &to))
			continue;
		for (n = 0, s = made + 1; s < p->nstep && n < b->uses[v]; s++) {
			k = plain_operand(b, s, v);
			if (k >= 0 && takes(b, s, k, &to))
				n++;
		}
		if (!n || n != b->uses[v])
			continue;
		for (s = made + 1; n; s++) {
			k = plain_operand(b, s, v);
			if (k < 0)
				continue;
			p->step[s].in[k] = to;
			count(b, &to, 1);
			n--;
		}
		for (k = 0; k < p->step[made].nin; k++)
			count(b, &p->step[made].in[k], -1);
		p->step[made].skip = 1;
		b->hidden[v] = 1;
		b->uses[v] = 0;
	}
	for (s = 0; s < p->nstep; s++)
		if (is_pool(sd_step_node(b, s)->op) && sd_step_node(b, s)->pred == SD_NIL && b->layout->pool > 0)
			take_sum(b, s);
}
