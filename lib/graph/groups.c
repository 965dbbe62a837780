/* groups.c: puts steps that do not depend on one another side by side, so that an engine to which beginning a step
 * is dear begins them together.
 *
 * A step's level is one more than the highest of what it reads; steps of one level whose ops are of one kind are a
 * group.  What works on images and could also wait does: until just before its first reader, where the longer ways to
 * the same reader have steps of its kind (a pool beside the second half of a separable convolution).  Parts of a sum
 * that is built in place stay one after another, in the order in which they are added.  What is read only by
 * writes (the gradients of weights) need not be done at once: it waits for the next of every SINKS levels, where
 * there is more of it, and not longer, for its operands take memory until then. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "graph/planner.h"

enum { SINKS = 32 };

struct order {
	int level, kind, step;
};

struct levels {
	const struct sd_planner *b;
	int *level;          /* by step */
	int *sum;            /* by value: the level from which the next part of a sum in place can be added */
	int *slot;           /* by slot: the level from which it can be written */
	unsigned char *kept; /* by step: a step that is no write reads a result, or a root is one */
	int *reader;         /* by step: the level of its first reader */
	int last;            /* the highest level so far */
	int after;           /* writes: not before this level */
};

/* Ops that engines are likely to have one kernel for: by the first of them. */
static enum sd_op kind_of(const struct sd_planner *b, int step)
{
	enum sd_op op = sd_step_node(b, step)->op;

	switch (op) {
	case SD_OP_AVGPOOL:
		return SD_OP_MAXPOOL;
	case SD_OP_AVGPOOL_BWD:
		return SD_OP_MAXPOOL_BWD;
	case SD_OP_FRCONV:
		return SD_OP_CONV;
	case SD_OP_FRCONV_BWD_X:
		return SD_OP_CONV_BWD_X;
	case SD_OP_FRCONV_BWD_W:
		return SD_OP_CONV_BWD_W;
	case SD_OP_MIX_BWD_X: case SD_OP_RELU_BWD: case SD_OP_SCALE:
		return SD_OP_NORM_BWD_X;
	case SD_OP_SCALE_ROWS:
		return b->p->step[step].pair < 0 ? SD_OP_ADD : SD_OP_NORM_BWD_SUMS;
	case SD_OP_RELU: case SD_OP_SLICE: case SD_OP_CONCAT:
		return SD_OP_NORM;
	default:
		return op;
	}
}

/* The level from which on v can be read. */
static int ready(const struct levels *l, sd_val v)
{
	int made = v == SD_NIL ? -1 : l->b->step_of[l->b->g->val[v].node];

	if (made < 0)
		return 0;
	return l->level[made] + !l->b->p->step[made].skip;
}

static void not_before(int *level, int other)
{
	if (other > *level)
		*level = other;
}

/* The sum that v is built into, or SD_NIL. */
static sd_val sum_of(const struct sd_planner *b, sd_val v)
{
	sd_val parent = b->parent[v];

	return parent >= 0 && b->g->node[b->g->val[parent].node].op == SD_OP_ADD ? parent : SD_NIL;
}

static void not_before_load(const struct levels *l, const struct sd_load *in, int *level)
{
	int i;

	for (i = 0; i < SD_LOAD_READS; i++)
		not_before(level, ready(l, sd_load_read(in, i)));
}

static int level_of(const struct levels *l, int step)
{
	const struct sd_step *s = &l->b->p->step[step], *pair;
	const struct sd_node *n = sd_step_node(l->b, step);
	sd_val sum = n->op == SD_OP_ADD ? n->out : sum_of(l->b, n->out);
	int k, i, level = ready(l, n->pred);

	for (k = 0; k < s->nin; k++)
		not_before_load(l, &s->in[k], &level);
	for (i = s->pair; i >= 0; i = pair->pair) {
		pair = &l->b->p->step[i];
		for (k = 1; k < pair->nin; k++)
			not_before_load(l, &pair->in[k], &level);
	}
	if (sum != SD_NIL)
		not_before(&level, l->sum[sum]);
	/* the gradient of a raw term of a mixed edge goes with those of the others, which wait for sums */
	return n->op == SD_OP_SCALE ? level + 1 : level;
}

/* A write comes behind all that is none.  Running statistics wait for writes of the same ones alone, other writes for
 * every write before them. */
static int level_of_write(struct levels *l, int step)
{
	const struct sd_step *s = &l->b->p->step[step];
	int k, level = l->after;

	if (sd_step_node(l->b, step)->op != SD_OP_BN_UPDATE) {
		not_before(&level, l->last + 1);
		l->after = level + 1;
		return level;
	}
	for (k = 0; k < 3; k++)
		if (s->in[k].x != SD_NIL)
			not_before(&level, l->slot[l->b->g->val[s->in[k].x].slot]);
	for (k = 0; k < 3; k++)
		if (s->in[k].x != SD_NIL)
			l->slot[l->b->g->val[s->in[k].x].slot] = level + 1;
	return level;
}

static void keep(struct levels *l, sd_val v)
{
	int made = v == SD_NIL ? -1 : l->b->step_of[l->b->g->val[v].node];

	if (made >= 0)
		l->kept[made] = 1;
}

static void find_kept(struct levels *l)
{
	const struct sd_plan *p = l->b->p;
	int i, j, k;

	for (i = 0; i < p->nroot; i++)
		keep(l, p->root[i]);
	for (i = 0; i < p->nstep; i++) {
		/* a norm of all gradients waits as long as the write that it is for */
		if (sd_op_is_write(sd_step_node(l->b, i)->op) || sd_step_node(l->b, i)->op == SD_OP_GRAD_NORM)
			continue;
		keep(l, sd_step_node(l->b, i)->pred);
		for (k = 0; k < p->step[i].nin; k++)
			for (j = 0; j < SD_LOAD_READS; j++)
				keep(l, sd_load_read(&p->step[i].in[k], j));
	}
}

static void find_levels(struct levels *l)
{
	const struct sd_planner *b = l->b;
	int i, in_writes = 0;

	for (i = 0; i < b->p->nstep; i++) {
		const struct sd_node *n = sd_step_node(b, i);
		sd_val sum = sum_of(b, n->out);

		if (sd_op_is_write(n->op)) {
			if (!in_writes)
				l->after = l->last + 1;
			in_writes = 1;
			l->level[i] = level_of_write(l, i);
		} else {
			l->level[i] = level_of(l, i);
			if (!l->kept[i] && b->parent[n->out] < 0)
				l->level[i] += SINKS - 1 - l->level[i] % SINKS;
			if (sum != SD_NIL)
				l->sum[sum] = l->level[i] + 1;
		}
		not_before(&l->last, l->level[i]);
	}
}

/* Whether a step may come later than it could. */
static int can_wait(const struct levels *l, int step)
{
	const struct sd_step *s = &l->b->p->step[step];
	const struct sd_node *n = sd_step_node(l->b, step);

	return l->kept[step] && !sd_op_is_write(n->op) && n->op != SD_OP_MIX && n->op != SD_OP_ADD &&
		n->op != SD_OP_MIX_BWD_X && n->op != SD_OP_SCALE && s->nin > 0 &&
		s->in[0].x != SD_NIL && sd_is_image(l->b->g, s->in[0].x) && sum_of(l->b, n->out) == SD_NIL;
}

static void read_at(struct levels *l, sd_val v, int level)
{
	int made = v == SD_NIL ? -1 : l->b->step_of[l->b->g->val[v].node];

	if (made >= 0 && level < l->reader[made])
		l->reader[made] = level;
}

static void read_load_at(struct levels *l, const struct sd_load *in, int level)
{
	int i;

	for (i = 0; i < SD_LOAD_READS; i++)
		read_at(l, sd_load_read(in, i), level);
}

static void put_off(struct levels *l)
{
	const struct sd_planner *b = l->b;
	const struct sd_plan *p = b->p;
	int i, j, k;

	for (i = 0; i < p->nstep; i++)
		l->reader[i] = INT_MAX;
	for (i = p->nstep - 1; i >= 0; i--) {
		const struct sd_step *s = &p->step[i];
		int level;

		if (l->reader[i] != INT_MAX && !s->skip && can_wait(l, i))
			not_before(&l->level[i], l->reader[i] - 1);
		/* what is only a view is read when its readers are */
		level = s->skip ? l->reader[i] : l->level[i];
		read_at(l, sd_step_node(b, i)->pred, level);
		for (k = 0; k < s->nin; k++)
			read_load_at(l, &s->in[k], level);
		for (j = s->pair; j >= 0; j = p->step[j].pair)
			for (k = 0; k < p->step[j].nin; k++)
				read_load_at(l, &p->step[j].in[k], level);
	}
}

static int in_order(const void *pa, const void *pb)
{
	const struct order *a = pa, *b = pb;

	if (a->level != b->level)
		return a->level - b->level;
	return a->kind != b->kind ? a->kind - b->kind : a->step - b->step;
}

int sd_plan_find_groups(struct sd_planner *b)
{
	struct sd_plan *p = b->p;
	size_t n = (size_t)p->nstep + 1;
	struct levels l = { .b = b };
	struct order *order = malloc(sizeof(*order) * n);
	struct sd_step *step = calloc(n, sizeof(*step));
	int *now = calloc(n, sizeof(*now)); /* by step as it was */
	int i, k, first = 0, rc = -1;

	l.level = calloc(n, sizeof(*l.level));
	l.reader = calloc(n, sizeof(*l.reader));
	l.kept = calloc(n, 1);
	l.sum = calloc((size_t)b->g->nval + 1, sizeof(*l.sum));
	l.slot = calloc((size_t)b->g->nslot + 1, sizeof(*l.slot));
	if (!order || !step || !now || !l.level || !l.reader || !l.kept || !l.sum || !l.slot) {
		sd_error(SD_ERR_IO, "out of memory for a plan");
		goto out;
	}
	if (b->layout->back)
		sd_plan_find_backs(b);
	sd_plan_find_pairs(b);
	find_kept(&l);
	find_levels(&l);
	put_off(&l);
	for (i = 0; i < p->nstep; i++)
		order[i] = (struct order){ l.level[i], (int)kind_of(b, i), i };
	qsort(order, (size_t)p->nstep, sizeof(*order), in_order);
	for (i = 0; i < p->nstep; i++) {
		step[i] = p->step[order[i].step];
		if (i && (order[i].level != order[i - 1].level || order[i].kind != order[i - 1].kind))
			first = i;
		step[i].group = first;
		b->at[i] = first;
		now[order[i].step] = i;
	}
	for (i = 0; i < p->nstep; i++)
		if (step[i].pair >= 0)
			step[i].pair = now[step[i].pair];
	for (i = 0; i < p->nstep; i++)
		for (k = step[i].skip ? -1 : step[i].pair; k >= 0; k = step[k].pair)
			b->at[k] = b->at[i];
	memcpy(p->step, step, sizeof(*step) * (size_t)p->nstep);
	rc = 0;
out:
	free(order);
	free(now);
	free(step);
	free(l.level);
	free(l.reader);
	free(l.kept);
	free(l.sum);
	free(l.slot);
	return rc;
}
