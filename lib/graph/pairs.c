/* pairs.c: what needs a result as it is made is done in the same pass: a pointwise convolution of what a depthwise one
 * gives, and backward the depthwise one's gradient of the pointwise one's; statistics of what a pointwise one or a pool
 * gives; the sums of a norm's gradient where a depthwise convolution's, a scaled one or a sum of images is what they are
 * of, and those of mixed edges where it is a sum; and the masks of relus over sums of gradients, which are then not
 * written without them. */
#include <stdlib.h>
#include <string.h>

#include "graph/planner.h"

static int is_pointwise_op(const struct sd_planner *b, int step, enum sd_op op)
{
	struct sd_window one = sd_window(1, 1, 0, 1);

	return sd_step_node(b, step)->op == op && !memcmp(&sd_step_node(b, step)->a.win, &one, sizeof(one));
}

static int is_pointwise(const struct sd_planner *b, int step)
{
	return is_pointwise_op(b, step, SD_OP_CONV) && sd_step_node(b, step)->in[2] == SD_NIL;
}

/* Whether statistics can be taken of what the step gives on the way. */
static int takes_stats(const struct sd_planner *b, int step)
{
	enum sd_op op = sd_step_node(b, step)->op;

	return op == SD_OP_FRCONV || op == SD_OP_MAXPOOL || op == SD_OP_AVGPOOL || is_pointwise(b, step);
}

static int takes_sums(const struct sd_planner *b, int step)
{
	const struct sd_node *n = sd_step_node(b, step);
	const struct sd_load *in = b->p->step[step].in;

	if (n->op == SD_OP_SCALE_ROWS)
		return in->mean == SD_NIL && !in->relu;
	return n->op == SD_OP_DWCONV_BWD_X && n->a.win.sh == 1 && n->a.win.sw == 1;
}

/* The step that makes what step i reads first, if that can do i's work too; or -1. */
static int partner(const struct sd_planner *b, int i)
{
	const struct sd_node *n = sd_step_node(b, i);
	const struct sd_load *in = b->p->step[i].in;
	int made, masked = n->op == SD_OP_RELU_BWD, sums = n->op == SD_OP_NORM_BWD_SUMS;

	if ((n->op != SD_OP_BN_STATS && !masked && !sums) || n->pred != SD_NIL ||
			(!sums && (in->mean != SD_NIL || in->relu)))
		return -1;
	made = b->step_of[b->g->val[in->x].node];
	if (made < 0 || b->p->step[made].pair >= 0 || b->p->step[made].accumulate || b->p->step[made].skip ||
			sd_step_node(b, made)->pred != SD_NIL || b->parent[sd_step_node(b, made)->out] >= 0)
		return -1;
	if (masked ? sd_step_node(b, made)->op != SD_OP_ADD || b->uses[in->x] != 1 || b->p->step[i].accumulate
			: sums ? !takes_sums(b, made) : !takes_stats(b, made))
		return -1;
	return made;
}

/* The sum that v is a plain part of, if that can begin with v's own parts, masked; or -1. */
static int sum_with(const struct sd_planner *b, sd_val v, int *part)
{
	const struct sd_plan *p = b->p;
	int s, k;

	for (s = b->step_of[b->g->val[v].node] + 1; s < p->nstep; s++)
		for (k = 0; k < p->step[s].nin; k++)
			if (p->step[s].in[k].x == v && p->step[s].in[k].mean == SD_NIL && !p->step[s].in[k].relu &&
					!p->step[s].in[k].back && !p->step[s].in[k].rows) {
				*part = k;
				return sd_step_node(b, s)->op == SD_OP_ADD && sd_is_image(b->g, sd_step_node(b, s)->out) &&
					sd_step_node(b, s)->pred == SD_NIL && p->step[s].pair < 0 &&
					!p->step[s].accumulate && !p->step[s].skip ? s : -1;
			}
	return -1;
}

/* A masked gradient (relu, of what `made` sums, or of one that is none: -1) that is a part of a larger sum alone
 * becomes its first parts. */
static int join(struct sd_planner *b, int relu, int made)
{
	struct sd_step *step = b->p->step, *from = made < 0 ? &step[relu] : &step[made];
	sd_val v = sd_step_node(b, relu)->out;
	int n = made < 0 ? 1 : from->nin, k, part, s;
	struct sd_load *in;

	if (step[relu].accumulate || b->uses[v] != 1 || b->parent[v] >= 0 || sd_step_node(b, relu)->pred != SD_NIL)
		return 0;
	s = sum_with(b, v, &part);
	in = s < 0 ? NULL : malloc(sizeof(*in) * (size_t)(n + step[s].nin));
	if (!in)
		return 0;
	memcpy(in, from->in, sizeof(*in) * (size_t)n);
	for (k = 0; k < step[s].nin; k++)
		if (k != part)
			in[n + k - (k > part)] = step[s].in[k];
	free(step[s].in);
	step[s].in = in;
	step[s].nin += n - 1;
	step[s].masked = n;
	step[s].pair = relu;
	step[relu].skip = 1;
	b->hidden[v] = 1;
	if (made >= 0) {
		from->skip = 1;
		from->nin = 0;
	}
	return 1;
}

/* Whether step i can do step k, which reads its result, too: a depthwise convolution the pointwise one behind it, or the
 * other way backward. */
static int is_half(const struct sd_planner *b, int i, int k)
{
	const struct sd_step *s = &b->p->step[i], *t = &b->p->step[k];
	const struct sd_graph *g = b->g;
	const struct sd_node *n = sd_step_node(b, i), *m = sd_step_node(b, k);
	int forward = n->op == SD_OP_DWCONV && is_pointwise(b, k);
	int backward = is_pointwise_op(b, i, SD_OP_CONV_BWD_X) && m->op == SD_OP_DWCONV_BWD_X;

	return (forward || backward) && n->pred == SD_NIL && m->pred == SD_NIL && s->pair < 0 && !s->skip && !t->skip &&
		!s->accumulate && !t->accumulate && b->parent[n->out] < 0 && t->in[0].mean == SD_NIL && !t->in[0].relu &&
		!t->in[0].back && g->val[n->out].shape.d[1] <= b->layout->half &&
		g->val[forward ? m->out : n->in[0]].shape.d[1] <= b->layout->half;
}

/* Halves of separable convolutions; what lies between is written where others read it. */
static void find_halves(struct sd_planner *b)
{
	int i, made;

	for (i = 0; i < b->p->nstep; i++) {
		const struct sd_step *s = &b->p->step[i];

		made = s->nin && s->in[0].x != SD_NIL ? b->step_of[b->g->val[s->in[0].x].node] : -1;
		if (made < 0 || !is_half(b, made, i))
			continue;
		b->hidden[s->in[0].x] = b->uses[s->in[0].x] == 1;
		b->p->step[made].pair = i;
		b->p->step[i].skip = 1;
	}
}

/* The sum, of few images that need nothing but a factor, whose result v is, with a mask or without; or -1. */
static int summed(const struct sd_planner *b, sd_val v)
{
	const struct sd_step *step = b->p->step;
	int made = b->step_of[b->g->val[v].node], s = made, k;

	/* what is masked as a whole is the mask's result */
	if (made >= 0 && step[made].skip && sd_step_node(b, made)->op == SD_OP_RELU_BWD)
		for (s = b->p->nstep - 1; s >= 0 && step[s].pair != made; s--)
			;
	if (s < 0 || sd_step_node(b, s)->op != SD_OP_ADD || !sd_is_image(b->g, v) || sd_step_node(b, s)->pred != SD_NIL ||
			step[s].skip || step[s].accumulate || b->parent[v] >= 0 || step[s].nin > b->layout->parts ||
			(s != made && step[s].masked) || (s == made && step[s].pair >= 0 && !step[s].masked))
		return -1;
	for (k = 0; k < step[s].nin; k++)
		if (step[s].in[k].mean != SD_NIL || step[s].in[k].relu || (step[s].in[k].back && step[s].in[k].at != SD_NIL))
			return -1;
	return s;
}

/* Whether sums of kind op can be taken after those of the chain from step s on, whose end goes to last. */
static int has_room(const struct sd_planner *b, int s, enum sd_op op, int *last)
{
	int n = 0;

	for (; s >= 0; s = b->p->step[s].pair) {
		enum sd_op is = sd_step_node(b, s)->op;

		*last = s;
		if (is != SD_OP_ADD && is != SD_OP_RELU_BWD && (is != op || op != SD_OP_MIX_BWD_SUMS))
			return 0;
		n += is == op;
	}
	return n < b->layout->edges;
}

/* Sums for norms, and for mixed edges, with the sum of images that they are of. */
static void find_sums(struct sd_planner *b)
{
	int i, s, last = -1;

	for (i = 0; i < b->p->nstep; i++) {
		const struct sd_node *n = sd_step_node(b, i);
		struct sd_step *step = b->p->step;
		int mix = n->op == SD_OP_MIX_BWD_SUMS;

		if ((!mix && n->op != SD_OP_NORM_BWD_SUMS) || n->pred != SD_NIL || step[i].skip || step[i].pair >= 0 ||
				(mix && n->a.nterm > b->layout->terms))
			continue;
		s = summed(b, step[i].in[0].x);
		if (s < 0 || !has_room(b, s, n->op, &last))
			continue;
		step[last].pair = i;
		step[i].skip = 1;
	}
}

void sd_plan_find_pairs(struct sd_planner *b)
{
	int i, made, masked;

	for (i = 0; i < b->p->nstep; i++) {
		if (b->p->step[i].skip)
			continue;
		masked = sd_step_node(b, i)->op == SD_OP_RELU_BWD;
		made = partner(b, i);
		if (made >= 0 && masked)
			b->hidden[b->p->step[i].in->x] = 1;
		if (masked && join(b, i, made))
			continue;
		if (made < 0)
			continue;
		b->p->step[made].pair = i;
		b->p->step[i].skip = 1;
	}
	find_halves(b);
	if (b->layout->parts)
		find_sums(b);
}
