/* test_groups: plans whose independent steps stand side by side: what a step reads is there before its group begins,
 * and nothing that a group needs shares memory with what it makes. */
#include "check.h"

#include <string.h>

#include "graph/grad.h"
#include "graph/plan.h"

static size_t size(const struct sd_graph *g, sd_val v)
{
	return sd_shape_count(&g->val[v].shape) * 4;
}

static size_t segment(const struct sd_graph *g, sd_val v, int seg)
{
	(void)g, (void)v;
	return (size_t)seg * 4;
}

static const struct sd_layout groups = { .size = size, .segment = segment, .align = 4, .elem = 4, .groups = 1 };

enum { N = 2, C = 8, SIDE = 16, TERMS = 4, VALUES = 4096 };

static const struct sd_layout back = { .size = size, .segment = segment, .align = 4, .elem = 4, .groups = 1, .back = C,
	.pool = 3, .parts = 24, .edges = TERMS, .terms = TERMS, .half = C };

static sd_val normed(struct sd_graph *g, sd_val x, sd_val mean[2])
{
	sd_bn_stats(g, x, &mean[0], &mean[1]);
	return sd_norm(g, x, mean[0], mean[1], SD_NIL, SD_NIL, 1e-5f, 1);
}

static sd_val half(struct sd_graph *g, sd_val x, const char *name, int k, sd_val *want, int *n)
{
	char dw[32], pw[32];

	snprintf(dw, sizeof(dw), "%s.dw", name);
	snprintf(pw, sizeof(pw), "%s.pw", name);
	want[*n] = sd_param(g, dw, sd_shape4(C, 1, k, k));
	want[*n + 1] = sd_param(g, pw, sd_shape4(C, C, 1, 1));
	*n += 2;
	return sd_conv(g, sd_dwconv(g, sd_relu(g, x), want[*n - 2], sd_window(k, 1, k / 2, 1)), want[*n - 1], SD_NIL,
		sd_window(1, 1, 0, 1));
}

/* A mixed edge from x: x itself, a pool, a dilated one of one half and a separable one of two. */
static sd_val edge(struct sd_graph *g, sd_val x, sd_val w, int row, sd_val *want, int *n, sd_val *first)
{
	struct sd_mix_term t[TERMS] = { { .kind = SD_MIX_RAW, .x = x }, { .kind = SD_MIX_NORM }, { .kind = SD_MIX_NORM },
		{ .kind = SD_MIX_NORM } };
	sd_val of[2];
	char name[32];
	int k;

	snprintf(name, sizeof(name), "%d.sep1", row);
	t[3].x = half(g, x, name, 3, want, n);
	*first = t[3].x;
	t[1].x = sd_maxpool(g, x, sd_window(3, 1, 1, 1));
	snprintf(name, sizeof(name), "%d.dil", row);
	t[2].x = half(g, x, name, 5, want, n);
	snprintf(name, sizeof(name), "%d.sep2", row);
	t[3].x = half(g, normed(g, t[3].x, of), name, 3, want, n);
	for (k = 1; k < TERMS; k++) {
		t[k].eps = 1e-5f;
		sd_bn_stats(g, t[k].x, &t[k].mean, &t[k].var);
	}
	return sd_mix(g, w, row, TERMS, t, SD_SCALAR_W, *sd_shape_of(g, x), 1);
}

/* When, in groups, each value is made first and read last, by what the steps say. */
struct span {
	int first, last;
};

static int step_of(const struct sd_plan *p, sd_val v)
{
	int i;

	for (i = 0; i < p->nstep; i++)
		if (p->step[i].node == p->g->val[v].node)
			return i;
	return -1;
}

/* The group in which step i is run: its own, or that of the step that it is a partner of. */
static int run_in(const struct sd_plan *p, int i)
{
	int k;

	for (k = 0; k < p->nstep; k++)
		if (p->step[k].pair == i)
			return run_in(p, k);
	return p->step[i].group;
}

static void make(const struct sd_plan *p, struct span *span, sd_val v, int group)
{
	struct span *s = &span[p->place[v].root];

	if (s->first < 0 || group < s->first)
		s->first = group;
	if (group > s->last)
		s->last = group;
}

/* The step at `group` reads v, which must be whole. */
static void check_read(const struct sd_plan *p, struct span *span, sd_val v, int group)
{
	int made = v == SD_NIL ? -1 : step_of(p, v), i;
	const struct sd_place *to;

	if (made < 0)
		return;
	to = &p->place[v];
	CHECK(run_in(p, made) < group || p->step[made].skip);
	/* and so must all that is built where it lies */
	for (i = 0; i < p->nstep; i++) {
		const struct sd_place *from = &p->place[p->g->node[p->step[i].node].out];

		if (from->root == to->root && from->alive && p->g->node[p->step[i].node].out != v && !p->step[i].skip &&
				p->step[i].accumulate)
			CHECK(p->step[i].group < group || i == made);
	}
	if (span[to->root].last < group)
		span[to->root].last = group;
}

static void check_plan(const struct sd_plan *p)
{
	static struct span span[VALUES];
	int i, j, k, v, u;

	CHECK(p->nplace < VALUES);
	for (v = 0; v < p->nplace; v++)
		span[v] = (struct span){ -1, -1 };
	for (i = 0; i < p->nstep; i++) {
		const struct sd_node *n = &p->g->node[p->step[i].node];

		CHECK(p->step[i].group <= i && p->step[p->step[i].group].group == p->step[i].group);
		for (k = 0; k < n->nout && !sd_op_is_write(n->op); k++)
			make(p, span, n->out + k, run_in(p, i));
	}
	for (i = 0; i < p->nstep; i++) {
		const struct sd_node *n = &p->g->node[p->step[i].node];
		int group = run_in(p, i);

		if (p->step[i].skip)
			continue;
		check_read(p, span, n->pred, group);
		for (k = 0; k < p->step[i].nin; k++) {
			const struct sd_load *l = &p->step[i].in[k];

			for (j = 0; j < SD_LOAD_READS; j++)
				check_read(p, span, sd_load_read(l, j), group);
		}
		/* the first operand of a partner is what is made before it in the same pass */
		for (v = p->step[i].pair; v >= 0; v = p->step[v].pair)
			for (k = 1; k < p->step[v].nin; k++)
				for (j = 0; j < SD_LOAD_READS; j++)
					check_read(p, span, sd_load_read(&p->step[v].in[k], j), group);
	}
	for (v = 0; v < p->nplace; v++)
		for (u = 0; u < v; u++) {
			const struct sd_place *a = &p->place[v], *b = &p->place[u];

			if (a->root != v || b->root != u || !a->alive || !b->alive ||
					a->offset + size(p->g, v) <= b->offset || b->offset + size(p->g, u) <= a->offset)
				continue;
			CHECK(span[v].last < span[u].first || span[u].last < span[v].first);
		}
}

/* Gradients of norms and of scaled parts are made for none, nor are sums of few for pools: what reads them takes them
 * as it loads them. */
static void check_backs(const struct sd_plan *p)
{
	int i, k, taken = 0, parts = 0;

	for (i = 0; i < p->nstep; i++) {
		const struct sd_node *n = &p->g->node[p->step[i].node];

		CHECK(n->op != SD_OP_NORM_BWD_X || p->step[i].skip);
		CHECK(n->op != SD_OP_SCALE || p->step[i].skip);
		for (k = 0; k < p->step[i].nin && !p->step[i].skip; k++) {
			const struct sd_load *l = &p->step[i].in[k];

			CHECK(!l->back || n->op == SD_OP_ADD || n->op == SD_OP_CONV_BWD_X || n->op == SD_OP_CONV_BWD_W ||
				n->op == SD_OP_MAXPOOL_BWD);
			CHECK(!l->back || l->sg != SD_NIL || l->mean == SD_NIL);
			taken += l->back;
		}
		if (n->op == SD_OP_MAXPOOL_BWD)
			parts += p->step[i].nin - 1;
	}
	CHECK(taken > 20);
	CHECK(parts == 5); /* of three pools of as many states, in five edges */
}

/* Every half is one step with its statistics, and backward with the sums of the norm before it; in the middle it is
 * kept from memory where weights have no gradients. */
static void check_halves(const struct sd_plan *p, int weights)
{
	int i, halves = 0, back = 0, sums = 0;

	for (i = 0; i < p->nstep; i++) {
		const struct sd_step *s = &p->step[i], *pw = s->pair < 0 ? NULL : &p->step[s->pair];

		if (p->g->node[s->node].op == SD_OP_CONV_BWD_X) {
			CHECK(pw && pw->skip && p->g->node[pw->node].op == SD_OP_DWCONV_BWD_X);
			CHECK(p->place[p->g->node[s->node].out].alive == weights);
			back++;
			sums += pw && pw->pair >= 0;
		}
		if (p->g->node[s->node].op != SD_OP_DWCONV)
			continue;
		CHECK(pw && pw->skip && p->g->node[pw->node].op == SD_OP_CONV);
		CHECK(pw && pw->pair >= 0 && p->g->node[p->step[pw->pair].node].op == SD_OP_BN_STATS);
		CHECK(p->place[p->g->node[s->node].out].alive == weights);
		halves++;
	}
	CHECK(halves == 15);
	/* without those of weights there are gradients of the third state alone, which one edge leaves; one of three halves
	 * has a norm before it */
	CHECK(back == (weights ? 15 : 3) && sums * 3 == back);
}

/* Sums of what is a sum itself are taken with it: those of the norms that the first two states come from, and of the two
 * edges that lead to the third, which another leaves. */
static void check_sums(const struct sd_plan *p)
{
	int i, k, norms = 0, edges = 0;

	for (i = 0; i < p->nstep; i++)
		for (k = i; k >= 0 && p->g->node[p->step[i].node].op == SD_OP_ADD; k = p->step[k].pair) {
			norms += p->g->node[p->step[k].node].op == SD_OP_NORM_BWD_SUMS;
			edges += p->g->node[p->step[k].node].op == SD_OP_MIX_BWD_SUMS;
		}
	CHECK(norms == 2 && edges == 2);
}

static int group_of(const struct sd_plan *p, sd_val v)
{
	return p->step[step_of(p, v)].group;
}

int main(void)
{
	struct sd_graph *g = sd_graph_new();
	sd_val s[4], first[6], mixed[6], want[64], grad[64], root[80], of[2], w, y, loss;
	sd_val alphas = sd_param(g, "alphas", sd_shape2(5, TERMS));
	int n = 0, nroot = 0, i, kinds = 0;
	struct sd_plan *p;

	w = sd_softmax(g, alphas);
	for (i = 0; i < 2; i++) {
		char name[8];

		snprintf(name, sizeof(name), "in%d", i);
		want[n] = sd_param(g, name, sd_shape4(C, 3, 1, 1));
		s[i] = normed(g, sd_conv(g, sd_input(g, "x", SD_F32, sd_shape4(N, 3, SIDE, SIDE)), want[n++], SD_NIL,
			sd_window(1, 1, 0, 1)), of);
		root[nroot++] = sd_bn_update(g, sd_state(g, i ? "rm1" : "rm0", SD_F32, sd_shape1(C)),
			sd_state(g, i ? "rv1" : "rv0", SD_F32, sd_shape1(C)), SD_NIL, of[0], of[1], N * SIDE * SIDE, 0.1f);
	}
	/* a second update of the same statistics, which must come after the first */
	root[nroot++] = sd_bn_update(g, sd_state(g, "rm1", SD_F32, sd_shape1(C)), sd_state(g, "rv1", SD_F32, sd_shape1(C)),
		SD_NIL, of[0], of[1], 7, 0.1f);
	for (i = 0; i < 2; i++)
		mixed[i] = edge(g, s[i], w, i, want, &n, &first[i]);
	s[2] = sd_add(g, 2, mixed);
	for (i = 0; i < 3; i++)
		mixed[i] = edge(g, s[i], w, 2 + i, want, &n, &first[2 + i]);
	s[3] = sd_add(g, 3, mixed);
	y = sd_gap(g, sd_concat(g, 2, s + 2));
	loss = sd_mean(g, sd_xent(g, y, sd_input(g, "labels", SD_I32, sd_shape1(N)), 0));
	want[n++] = alphas;
	CHECK(sd_graph_grad(g, loss, n, want, grad) == 0);
	root[nroot++] = loss;
	for (i = 0; i < n; i++)
		root[nroot++] = grad[i];
	p = sd_plan_new(g, nroot, root, &groups, 0);
	CHECK(p != NULL);
	if (p) {
		check_plan(p);
		/* edges from one state go together, whichever node they lead to */
		CHECK(group_of(p, first[0]) == group_of(p, first[2]) && group_of(p, first[1]) == group_of(p, first[3]));
		CHECK(group_of(p, first[1]) < group_of(p, first[4]));
		CHECK(group_of(p, root[0]) == group_of(p, root[1]) && group_of(p, root[1]) < group_of(p, root[2]));
		for (i = 0; i < p->nstep; i++)
			kinds += p->step[i].group == i;
		CHECK(kinds * 2 < p->nstep);
		sd_plan_free(p);
	}
	p = sd_plan_new(g, nroot, root, &back, 0);
	CHECK(p != NULL);
	if (p) {
		check_plan(p);
		check_backs(p);
		check_sums(p);
		check_halves(p, 1);
		sd_plan_free(p);
	}
	root[0] = grad[n - 1]; /* of alphas */
	p = sd_plan_new(g, 1, root, &back, 0);
	CHECK(p != NULL);
	if (p) {
		check_plan(p);
		check_halves(p, 0);
		sd_plan_free(p);
	}
	sd_graph_free(g);
	return check_done();
}
