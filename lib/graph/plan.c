/* plan.c: from roots to steps: what is needed, folded into loads, summed in place, and placed. */
#include "graph/planner.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* Values this small are never worth sharing memory for. */
#define SMALL 4096

static struct sd_load plain(sd_val v)
{
	return (struct sd_load){ .x = v, .mean = SD_NIL, .var = SD_NIL, .gamma = SD_NIL, .beta = SD_NIL };
}

static const struct sd_node *maker(const struct sd_graph *g, sd_val v)
{
	return &g->node[g->val[v].node];
}

static struct sd_load normed(const struct sd_node *n, int relu)
{
	return (struct sd_load){ .x = n->in[0], .mean = n->in[1], .var = n->in[2], .gamma = n->in[3],
		.beta = n->in[4], .eps = n->a.eps, .relu = relu };
}

/* Which operands are images that a kernel can transform as it loads them. */
static int loads(enum sd_op op, int i)
{
	switch (op) {
	case SD_OP_CONV: case SD_OP_DWCONV: case SD_OP_FRCONV: case SD_OP_CONV_BWD_W: case SD_OP_DWCONV_BWD_W:
	case SD_OP_FRCONV_BWD_W: case SD_OP_MAXPOOL: case SD_OP_MAXPOOL_BWD: case SD_OP_AVGPOOL: case SD_OP_GAP:
	case SD_OP_SCALE_ROWS: case SD_OP_SCALE: case SD_OP_DOT: case SD_OP_BN_STATS:
		return i == 0;
	case SD_OP_ADD:
		return 1;
	default:
		return 0;
	}
}

/* A predicated op's result is 0 where it is off, so it folds only into ops under the same predicate. */
static int foldable(const struct sd_node *from, const struct sd_node *into, enum sd_op op)
{
	return from->op == op && (from->pred == SD_NIL || from->pred == into->pred);
}

/* How node n loads its operand i. */
static struct sd_load fold(const struct sd_graph *g, const struct sd_node *n, int i)
{
	struct sd_load l = plain(n->in[i]);
	const struct sd_node *m, *k;

	if (l.x == SD_NIL)
		return l;
	m = maker(g, l.x);
	if (loads(n->op, i) && sd_is_image(g, l.x)) {
		if (foldable(m, n, SD_OP_NORM))
			return normed(m, 0);
		if (foldable(m, n, SD_OP_RELU)) {
			k = maker(g, m->in[0]);
			if (foldable(k, n, SD_OP_NORM))
				return normed(k, 1);
			l.x = m->in[0];
			l.relu = 1;
		}
		return l;
	}
	if ((n->op == SD_OP_RELU && i == 0) || (n->op == SD_OP_RELU_BWD && i == 1))
		return foldable(m, n, SD_OP_NORM) ? normed(m, 0) : l;
	if ((n->op == SD_OP_NORM_BWD_SUMS || n->op == SD_OP_NORM_BWD_X) && i == 0 &&
			foldable(m, n, SD_OP_RELU_BWD)) {
		/* g masked by the very norm that is being differentiated */
		k = maker(g, m->in[1]);
		if (foldable(k, n, SD_OP_NORM) && k->in[0] == n->in[1] && k->in[1] == n->in[2] &&
				k->in[2] == n->in[3] && k->a.eps == n->a.eps) {
			l = normed(k, 1);
			l.x = m->in[0];
		}
	}
	return l;
}

static void need(struct sd_planner *b, int *stack, int *n, sd_val v)
{
	int node;

	if (v == SD_NIL)
		return;
	node = b->g->val[v].node;
	if (!b->needed[node]) {
		b->needed[node] = 1;
		stack[(*n)++] = node;
	}
}

/* Marks what the roots need, fixing each needed node's loads on the way. */
static int find_needed(struct sd_planner *b)
{
	const struct sd_graph *g = b->g;
	int *stack = malloc(sizeof(*stack) * (size_t)(g->nnode + 1)), n = 0, i, k;

	if (!stack)
		return sd_error(SD_ERR_IO, "out of memory for a plan");
	for (i = 0; i < b->p->nroot; i++)
		need(b, stack, &n, b->p->root[i]);
	while (n) {
		int node = stack[--n];
		const struct sd_node *nd = &g->node[node];
		struct sd_load *l = malloc(sizeof(*l) * (size_t)(nd->nin ? nd->nin : 1));

		if (!l) {
			free(stack);
			return sd_error(SD_ERR_IO, "out of memory for a plan");
		}
		b->load[node] = l;
		need(b, stack, &n, nd->pred);
		for (i = 0; i < nd->nin; i++) {
			l[i] = b->flags & SD_PLAN_UNFUSED ? plain(nd->in[i]) : fold(g, nd, i);
			for (k = 0; k < SD_LOAD_READS; k++)
				need(b, stack, &n, sd_load_read(&l[i], k));
		}
	}
	free(stack);
	return 0;
}

/* Steps in the order of the nodes, which is a topological one; writes go last, after every reader of
 * what they overwrite. */
static int make_steps(struct sd_planner *b)
{
	const struct sd_graph *g = b->g;
	struct sd_plan *p = b->p;
	int i, pass, n = 0;

	for (i = 0; i < g->nnode; i++)
		n += b->needed[i] && g->node[i].op != SD_OP_SOURCE;
	p->step = calloc((size_t)n + 1, sizeof(*p->step));
	if (!p->step)
		return sd_error(SD_ERR_IO, "out of memory for a plan");
	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < g->nnode; i++) {
			if (!b->needed[i] || g->node[i].op == SD_OP_SOURCE || sd_op_is_write(g->node[i].op) != pass)
				continue;
			b->step_of[i] = p->nstep;
			p->step[p->nstep].node = i;
			p->step[p->nstep].nin = g->node[i].nin;
			p->step[p->nstep].in = b->load[i];
			p->step[p->nstep].half = -1;
			p->step[p->nstep++].pair = -1;
			b->load[i] = NULL;
		}
	return 0;
}

static void use(struct sd_planner *b, sd_val v)
{
	if (v != SD_NIL)
		b->uses[v]++;
}

static void count_uses(struct sd_planner *b)
{
	struct sd_plan *p = b->p;
	int i, j, k;

	for (i = 0; i < p->nstep; i++) {
		use(b, b->g->node[p->step[i].node].pred);
		for (k = 0; k < p->step[i].nin; k++)
			for (j = 0; j < SD_LOAD_READS; j++)
				use(b, sd_load_read(&p->step[i].in[k], j));
	}
	for (i = 0; i < p->nroot; i++)
		b->uses[p->root[i]] += 2; /* read afterwards: never somebody's alias to overwrite */
}

/* Ops whose kernels can add to what the result holds. */
static int accumulates(enum sd_op op)
{
	switch (op) {
	case SD_OP_CONV: case SD_OP_CONV_BWD_X: case SD_OP_DWCONV: case SD_OP_DWCONV_BWD_X: case SD_OP_FRCONV:
	case SD_OP_FRCONV_BWD_X: case SD_OP_MAXPOOL: case SD_OP_MAXPOOL_BWD: case SD_OP_AVGPOOL:
	case SD_OP_AVGPOOL_BWD: case SD_OP_RELU: case SD_OP_RELU_BWD: case SD_OP_NORM: case SD_OP_NORM_BWD_X:
	case SD_OP_MIX: case SD_OP_MIX_BWD_X: case SD_OP_SCALE: case SD_OP_SCALE_ROWS: case SD_OP_GAP_BWD:
		return 1;
	default:
		return 0;
	}
}

static int same_layout(const struct sd_graph *g, sd_val a, sd_val b)
{
	const struct sd_value *x = &g->val[a], *y = &g->val[b];

	return x->nseg == y->nseg && !memcmp(x->seg, y->seg, sizeof(*x->seg) * (size_t)x->nseg);
}

/* A sum whose operands nothing else reads is built in place: the first is written there, later ones
 * add themselves, in the order of their steps; the sum's own step adds what is left. */
static void sum_in_place(struct sd_planner *b, struct sd_step *st)
{
	const struct sd_graph *g = b->g;
	const struct sd_node *nd = &g->node[st->node];
	int i, n = 0, first = -1;

	for (i = 0; i < st->nin; i++) {
		struct sd_load *l = &st->in[i];
		int made = b->step_of[g->val[l->x].node];

		/* parts that add themselves wait for one another: where steps are begun together, only those do that
		 * come one after another anyway */
		if (b->layout->groups && g->node[g->val[l->x].node].op != SD_OP_MIX) {
			st->in[n++] = *l;
			continue;
		}
		if (l->mean != SD_NIL || l->relu || b->uses[l->x] != 1 || made < 0 || b->parent[l->x] >= 0 ||
				!accumulates(g->node[g->val[l->x].node].op) || !same_layout(g, l->x, nd->out)) {
			st->in[n++] = *l;
			continue;
		}
		b->parent[l->x] = nd->out;
		b->inner[l->x] = 0;
		b->p->step[made].accumulate = 1;
		if (first < 0 || b->at[made] < b->at[first])
			first = made;
	}
	if (first < 0)
		return;
	b->p->step[first].accumulate = 0;
	st->accumulate = 1;
	st->nin = n;
	st->skip = n == 0;
}

/* Operands of a concat are written where they belong. */
static void concat_in_place(struct sd_planner *b, const struct sd_step *st)
{
	const struct sd_graph *g = b->g;
	sd_val out = g->node[st->node].out;
	int i, seg = 0;

	for (i = 0; i < st->nin; i++) {
		sd_val x = st->in[i].x;

		if (sd_is_image(g, x) && b->step_of[g->val[x].node] >= 0 && b->parent[x] < 0) {
			b->parent[x] = out;
			b->inner[x] = b->layout->segment(g, out, seg);
		}
		seg += g->val[x].nseg;
	}
}

/* A slice along segments is a view. */
static void slice_as_view(struct sd_planner *b, struct sd_step *st)
{
	const struct sd_graph *g = b->g;
	sd_val x = st->in[0].x, y = g->node[st->node].out;
	const struct sd_value *vx = &g->val[x], *vy = &g->val[y];
	int seg;

	for (seg = 0; seg < vx->nseg && vx->seg + seg != vy->seg; seg++)
		;
	if (seg == vx->nseg)
		return; /* a list of its own: not along segments */
	b->parent[y] = x;
	b->inner[y] = b->layout->segment(g, x, seg);
	st->skip = 1;
}

static void alias(struct sd_planner *b)
{
	struct sd_plan *p = b->p;
	int i;

	for (i = 0; i < p->nstep; i++)
		if (b->g->node[p->step[i].node].op == SD_OP_ADD && sd_is_image(b->g, b->g->node[p->step[i].node].out))
			sum_in_place(b, &p->step[i]);
	for (i = 0; i < p->nstep; i++) {
		if (b->g->node[p->step[i].node].op == SD_OP_CONCAT)
			concat_in_place(b, &p->step[i]);
		if (b->g->node[p->step[i].node].op == SD_OP_SLICE)
			slice_as_view(b, &p->step[i]);
	}
}

/* Data and weight gradient of one depthwise convolution in one pass over its gradient. */
static void pair_depthwise(struct sd_planner *b)
{
	struct sd_plan *p = b->p;
	int i;

	for (i = 0; i + 1 < p->nstep; i++) {
		struct sd_step *s = &p->step[i], *t = s + 1;
		const struct sd_node *n = &b->g->node[s->node], *m = &b->g->node[t->node];

		if (b->at[i] == i && b->at[i + 1] == i + 1 && n->op == SD_OP_DWCONV_BWD_X && m->op == SD_OP_DWCONV_BWD_W && n->in[0] == m->in[1] &&
				n->pred == m->pred && !memcmp(&n->a.win, &m->a.win, sizeof(n->a.win))) {
			s->pair = i + 1;
			t->skip = 1;
			b->at[i + 1] = i;
		}
	}
}

static void touch(struct sd_planner *b, sd_val v, int step)
{
	struct sd_place *pl;

	if (v == SD_NIL || b->g->val[v].cls != SD_TEMP || b->hidden[v])
		return;
	pl = &b->p->place[b->p->place[v].root];
	if (!pl->alive) {
		pl->alive = 1;
		pl->first = pl->last = step;
	}
	if (step < pl->first)
		pl->first = step;
	if (step > pl->last)
		pl->last = step;
}

static void touch_load(struct sd_planner *b, const struct sd_load *l, int step)
{
	int i;

	for (i = 0; i < SD_LOAD_READS; i++)
		touch(b, sd_load_read(l, i), step);
}

static void find_lifetimes(struct sd_planner *b)
{
	struct sd_plan *p = b->p;
	int i, k;
	sd_val v;

	for (v = 0; v < p->nplace; v++) {
		sd_val r = v;
		size_t inner = 0;

		for (; b->parent[r] >= 0; r = b->parent[r])
			inner += b->inner[r];
		p->place[v].root = r;
		p->place[v].inner = inner;
	}
	for (i = 0; i < p->nstep; i++) {
		const struct sd_step *s = &p->step[i];
		const struct sd_node *n = &b->g->node[s->node];
		int at = b->at[i];

		touch(b, n->pred, at);
		for (k = 0; k < n->nout; k++)
			touch(b, n->out + k, at);
		for (k = 0; k < s->nin; k++)
			touch_load(b, &s->in[k], at);
		if (s->half >= 0 && p->half[s->half].x)
			touch_load(b, p->half[s->half].x, at);
	}
	for (i = 0; i < p->nroot; i++) {
		if (!sd_op_is_write(maker(b->g, p->root[i])->op))
			touch(b, p->root[i], p->nstep);
	}
}

struct block {
	sd_val v;
	size_t size, offset;
	int first, last;
};

static int by_size(const void *pa, const void *pb)
{
	const struct block *a = pa, *b = pb;

	if (a->size != b->size)
		return a->size < b->size ? 1 : -1;
	return a->first != b->first ? a->first - b->first : a->v - b->v;
}

/* Largest first, each at the lowest place that is free for as long as it lives. */
static int place(struct sd_planner *b)
{
	struct sd_plan *p = b->p;
	size_t align = b->layout->align, small = 0, end = 0;
	struct block *blk = malloc(sizeof(*blk) * (size_t)(p->nplace + 1));
	int *order = malloc(sizeof(*order) * (size_t)(p->nplace + 1)); /* placed blocks by offset */
	int n = 0, i, k, placed = 0, rc = -1;
	sd_val v;

	if (!blk || !order) {
		sd_error(SD_ERR_IO, "out of memory for a plan");
		goto out;
	}
	for (v = 0; v < p->nplace; v++) {
		struct sd_place *pl = &p->place[v];
		size_t size;

		if (pl->root != v || !pl->alive)
			continue;
		size = (b->layout->size(b->g, v) + align - 1) / align * align;
		if (size <= SMALL) {
			pl->offset = small;
			small += size;
		} else {
			blk[n++] = (struct block){ .v = v, .size = size, .first = pl->first, .last = pl->last };
		}
	}
	small = (small + SMALL - 1) / SMALL * SMALL;
	qsort(blk, (size_t)n, sizeof(*blk), by_size);
	for (i = 0; i < n; i++) {
		size_t at = 0;

		for (k = 0; k < placed; k++) {
			const struct block *o = &blk[order[k]];

			if (o->last < blk[i].first || o->first > blk[i].last)
				continue;
			if (o->offset >= at + blk[i].size)
				break;
			if (o->offset + o->size > at)
				at = o->offset + o->size;
		}
		blk[i].offset = at;
		p->place[blk[i].v].offset = small + at;
		if (at + blk[i].size > end)
			end = at + blk[i].size;
		for (k = placed++; k > 0 && blk[order[k - 1]].offset > at; k--)
			order[k] = order[k - 1];
		order[k] = i;
	}
	p->arena = small + end;
	rc = 0;
out:
	free(blk);
	free(order);
	return rc;
}

struct sd_plan *sd_plan_new(const struct sd_graph *g, int nroot, const sd_val *root,
	const struct sd_layout *layout, int flags)
{
	struct sd_planner b = { .g = g, .layout = layout, .flags = flags };
	struct sd_plan *p = calloc(1, sizeof(*p));
	int i, rc = -1;

	if (!p || !sd_graph_ok(g))
		goto out;
	p->g = g;
	p->nplace = g->nval;
	p->place = calloc((size_t)g->nval + 1, sizeof(*p->place));
	p->root = malloc(sizeof(*root) * (size_t)(nroot + 1));
	b.p = p;
	b.needed = calloc((size_t)g->nnode + 1, 1);
	b.load = calloc((size_t)g->nnode + 1, sizeof(*b.load));
	b.step_of = malloc(sizeof(*b.step_of) * (size_t)(g->nnode + 1));
	b.uses = calloc((size_t)g->nval + 1, sizeof(*b.uses));
	b.parent = malloc(sizeof(*b.parent) * (size_t)(g->nval + 1));
	b.inner = calloc((size_t)g->nval + 1, sizeof(*b.inner));
	b.hidden = calloc((size_t)g->nval + 1, 1);
	if (!p->place || !p->root || !b.needed || !b.load || !b.step_of || !b.uses || !b.parent || !b.inner ||
			!b.hidden) {
		sd_error(SD_ERR_IO, "out of memory for a plan");
		goto out;
	}
	for (i = 0; i < nroot; i++) {
		if (root[i] == SD_NIL) {
			sd_error(SD_ERR_BUG, "root %d of a plan is missing", i);
			goto out;
		}
		p->root[p->nroot++] = root[i];
	}
	for (i = 0; i < g->nnode; i++)
		b.step_of[i] = -1;
	for (i = 0; i < g->nval; i++)
		b.parent[i] = -1;
	if (find_needed(&b) || make_steps(&b))
		goto out;
	count_uses(&b);
	b.at = malloc(sizeof(*b.at) * (size_t)(p->nstep + 1));
	if (!b.at) {
		sd_error(SD_ERR_IO, "out of memory for a plan");
		goto out;
	}
	for (i = 0; i < p->nstep; i++)
		b.at[i] = i;
	if (!(flags & SD_PLAN_UNFUSED)) {
		if (layout->halves && sd_plan_find_halves(&b))
			goto out;
		alias(&b);
		if (!layout->groups)
			pair_depthwise(&b);
	}
	for (i = 0; i < p->nstep; i++)
		p->step[i].group = i;
	if (layout->groups && !(flags & SD_PLAN_UNFUSED) && sd_plan_find_groups(&b))
		goto out;
	find_lifetimes(&b);
	rc = place(&b);
out:
	for (i = 0; b.load && i < g->nnode; i++)
		free(b.load[i]);
	free(b.needed);
	free(b.load);
	free(b.step_of);
	free(b.uses);
	free(b.parent);
	free(b.inner);
	free(b.at);
	free(b.hidden);
	if (rc) {
		sd_plan_free(p);
		return NULL;
	}
	return p;
}

void sd_plan_free(struct sd_plan *p)
{
	int i;

	if (!p)
		return;
	for (i = 0; i < p->nstep; i++)
		free(p->step[i].in);
	free(p->step);
	free(p->half);
	free(p->place);
	free(p->root);
	free(p);
}
