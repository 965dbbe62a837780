/* exec_image.c: image ops of a plan on the GPU: finds the operands' memory and calls the kernel. */
#include "engine/cuda/exec.h"

#include "base/err.h"

/* Where values would lie in a dry run: not NULL, which has a meaning, and aligned as the arena is. */
#define DRY_BASE ((uintptr_t)1 << 20)

static void *arena_at(const struct sd_cuda_step *st, sd_val v)
{
	const struct sd_place *place = st->p->plan->place;
	uintptr_t base = st->run.dry ? DRY_BASE : (uintptr_t)st->e->arena;

	return (void *)(base + place[place[v].root].offset + place[v].inner);
}

struct sd_cu_img sd_cuda_image(const struct sd_cuda_step *st, sd_val v)
{
	const struct sd_graph *g = st->p->g;
	const struct sd_shape *s = &g->val[v].shape;

	return (struct sd_cu_img){
		.p = arena_at(st, v), .n = s->d[0], .c = s->d[1], .h = s->d[2], .w = s->d[3],
		.ld = g->val[st->p->plan->place[v].root].shape.d[1], .type = st->e->type,
	};
}

void *sd_cuda_rows(const struct sd_cuda_step *st, sd_val v)
{
	const struct sd_value *x;

	if (v == SD_NIL)
		return NULL;
	x = &st->p->g->val[v];
	if (x->slot >= 0)
		return st->run.dry ? (void *)DRY_BASE : st->bind->slot[x->slot]->data;
	return arena_at(st, v);
}

struct sd_cu_img sd_cuda_scratch_image(struct sd_cuda_step *st, int n, int c, int h, int w)
{
	return (struct sd_cu_img){
		.p = sd_cu_take(&st->run, (size_t)n * (size_t)c * (size_t)h * (size_t)w * sd_cuda_elem(st->e->type)),
		.n = n, .c = c, .h = h, .w = w, .ld = c, .type = st->e->type,
	};
}

static struct sd_cu_norm norm_of(const struct sd_cuda_step *st, sd_val mean, sd_val var, sd_val gamma, sd_val beta,
	float eps)
{
	return (struct sd_cu_norm){ sd_cuda_rows(st, mean), sd_cuda_rows(st, var), sd_cuda_rows(st, gamma),
		sd_cuda_rows(st, beta), eps };
}

static struct sd_cu_norm norm_of_load(const struct sd_cuda_step *st, const struct sd_load *l)
{
	return norm_of(st, l->mean, l->var, l->gamma, l->beta, l->eps);
}

static const float *row_at(const float *p, size_t i)
{
	return (const float *)((uintptr_t)p + i * sizeof(*p));
}

struct sd_cu_src sd_cuda_source(const struct sd_cuda_step *st, int i)
{
	const struct sd_load *l = &st->s->in[i];
	struct sd_cu_src s = { .x = sd_cuda_image(st, l->x), .relu = l->relu };

	if (l->mean != SD_NIL)
		s.norm = norm_of_load(st, l);
	return s;
}

struct sd_cu_grad sd_cuda_gradient(const struct sd_cuda_step *st, int i)
{
	const struct sd_load *l = &st->s->in[i];
	struct sd_cu_grad g = { .g = sd_cuda_source(st, i), .back.on = l->back };
	size_t row;

	if (l->rows)
		g.back.f = sd_cuda_rows(st, l->f);
	if (!l->back)
		return g;
	row = (size_t)l->term * (size_t)g.g.x.c;
	if (l->at != SD_NIL) {
		struct sd_cu_img at = sd_cuda_image(st, l->at);

		g.back.x = at.p;
		g.back.ld = at.ld;
	}
	if (l->sg != SD_NIL) {
		g.back.sg = row_at(sd_cuda_rows(st, l->sg), row);
		g.back.sgx = row_at(sd_cuda_rows(st, l->sgx), row);
	}
	if (l->f != SD_NIL)
		g.back.f = row_at(sd_cuda_rows(st, l->f), (size_t)l->term);
	return g;
}

struct sd_cu_img sd_cuda_operand(const struct sd_cuda_step *st, int i)
{
	return sd_cuda_image(st, st->s->in[i].x);
}

struct sd_cu_dst sd_cuda_result(const struct sd_cuda_step *st)
{
	return (struct sd_cu_dst){ sd_cuda_image(st, st->n->out), st->s->accumulate };
}

void sd_cuda_stats_of(const struct sd_cuda_step *st, float **mean, float **var)
{
	sd_val v = st->s->pair < 0 ? SD_NIL : st->p->g->node[st->p->plan->step[st->s->pair].node].out;

	*mean = sd_cuda_rows(st, v);
	*var = v == SD_NIL ? NULL : sd_cuda_rows(st, v + 1);
}

/* x, mean, var, gamma, beta */
static void exec_norm(struct sd_cuda_step *st)
{
	const struct sd_load *l = st->s->in;
	struct sd_cu_src x = { .x = sd_cuda_operand(st, 0) };
	struct sd_cu_dst y = sd_cuda_result(st);

	x.norm = norm_of(st, l[1].x, l[2].x, l[3].x, l[4].x, st->n->a.eps);
	sd_cu_load(&st->run, &x, &y);
}

/* g, x, mean, var[, gamma, sg, sgx]; g's load may be masked by the norm itself. */
static void exec_norm_bwd(struct sd_cuda_step *st)
{
	const struct sd_load *l = st->s->in;
	int sums = st->n->op == SD_OP_NORM_BWD_SUMS;
	struct sd_cu_img g = sd_cuda_operand(st, 0), x = sd_cuda_operand(st, 1);
	struct sd_cu_norm norm = norm_of(st, l[2].x, l[3].x, sums ? SD_NIL : l[4].x, SD_NIL, st->n->a.eps);
	struct sd_cu_norm mask = { 0 };
	struct sd_cu_dst gx;

	if (l[0].relu)
		mask = norm_of_load(st, &l[0]);
	if (sums) {
		sd_cu_norm_bwd_sums(&st->run, &g, &x, &norm, &mask, out(st, 0), out(st, 1));
		return;
	}
	gx = sd_cuda_result(st);
	sd_cu_norm_bwd_x(&st->run, &g, &x, &norm, &mask, in(st, 5), in(st, 6), st->n->a.i[0], &gx);
}

/* x, w; with the pointwise convolution of the result, and statistics of that one's */
static void exec_dwconv(struct sd_cuda_step *st)
{
	struct sd_cu_src x = sd_cuda_source(st, 0);
	struct sd_cu_dst y = sd_cuda_result(st), z;
	const struct sd_plan *plan = st->p->plan;
	struct sd_cuda_step pw;
	float *mean, *var;

	if (st->s->pair < 0) {
		sd_cu_dwconv(&st->run, &x, in(st, 1), st->n->a.win, &y);
		return;
	}
	pw = sd_cuda_step_of(st->p, st->s->pair);
	pw.run = st->run;
	pw.bind = st->bind;
	z = sd_cuda_result(&pw);
	sd_cuda_stats_of(&pw, &mean, &var);
	st->pairs_done = 1 + sd_cu_half(&st->run, &x, in(st, 1), st->n->a.win,
		plan->place[plan->place[st->n->out].root].alive ? &y.y : NULL, in(&pw, 1), &z, mean, var);
}

/* The sums that the step is to take too, those of step `pair`. */
static struct sd_cu_norm_sums sums_of(const struct sd_cuda_step *st, int pair)
{
	struct sd_cuda_step sums = sd_cuda_step_of(st->p, pair);
	const struct sd_load *l = sums.s->in;
	struct sd_cu_norm_sums s;

	sums.run = st->run;
	sums.bind = st->bind;
	s.x = sd_cuda_operand(&sums, 1);
	s.masked = l[0].relu;
	s.norm = l[0].relu ? norm_of_load(&sums, l) : norm_of(&sums, l[2].x, l[3].x, SD_NIL, SD_NIL, sums.n->a.eps);
	s.sg = out(&sums, 0);
	s.sgx = out(&sums, 1);
	return s;
}

/* x, m; with the sums of the norm that the result goes back through */
static void exec_scale_rows(struct sd_cuda_step *st)
{
	struct sd_cu_src x = sd_cuda_source(st, 0);
	struct sd_cu_dst y = sd_cuda_result(st);
	struct sd_cu_norm_sums s;

	if (st->s->pair < 0) {
		sd_cu_scale_rows(&st->run, &x, in(st, 1), &y);
		return;
	}
	s = sums_of(st, st->s->pair);
	sd_cu_scale_rows_sums(&st->run, &x.x, in(st, 1), &y.y, &s);
	st->pairs_done = 1;
}

/* gy, w; with the sums of the norm that gx goes back through */
static void exec_dwconv_bwd_x(struct sd_cuda_step *st)
{
	struct sd_cu_img g = sd_cuda_operand(st, 0);
	struct sd_cu_dst gx = sd_cuda_result(st);
	struct sd_cu_norm_sums s;

	if (st->s->pair >= 0)
		s = sums_of(st, st->s->pair);
	st->pairs_done = sd_cu_dwconv_bwd_x(&st->run, &g, in(st, 1), st->n->a.win, &gx, st->s->pair < 0 ? NULL : &s);
}

/* gy, w; with the depthwise convolution's gradient of the result, and the sums of that one's */
static void exec_half_bwd(struct sd_cuda_step *st)
{
	struct sd_cu_grad gy = sd_cuda_gradient(st, 0);
	struct sd_cu_img mid = sd_cuda_image(st, st->n->out);
	struct sd_cuda_step dw = sd_cuda_step_of(st->p, st->s->pair);
	const struct sd_plan *plan = st->p->plan;
	struct sd_cu_norm_sums s;
	struct sd_cu_dst gx;

	dw.run = st->run;
	dw.bind = st->bind;
	gx = sd_cuda_result(&dw);
	if (!plan->place[plan->place[st->n->out].root].alive)
		mid.p = NULL;
	if (dw.s->pair >= 0)
		s = sums_of(&dw, dw.s->pair);
	st->pairs_done = 1 + sd_cu_half_bwd(&st->run, &gy, in(st, 1), &mid, in(&dw, 1), dw.n->a.win, &gx,
		dw.s->pair < 0 ? NULL : &s);
}

static struct sd_cu_mix_term mix_term(const struct sd_cuda_step *st, int kind, const struct sd_load *l, float eps)
{
	struct sd_cu_mix_term t = { .kind = kind };

	if (kind != SD_MIX_NONE)
		t.x = sd_cuda_image(st, l[0].x);
	if (kind == SD_MIX_NORM || kind == SD_MIX_NORM_RELU)
		t.norm = norm_of(st, l[1].x, l[2].x, SD_NIL, SD_NIL, eps);
	return t;
}

static struct sd_cu_mix mix_of(const struct sd_cuda_step *st)
{
	struct sd_cu_mix m = { .nterm = st->n->a.nterm };
	int k;

	for (k = 0; k < m.nterm; k++)
		m.t[k] = mix_term(st, st->n->a.kind[k], &st->s->in[1 + 3 * k], st->n->a.term_eps[k]);
	return m;
}

/* factors or g, and x, mean, var of each term */
static void exec_mix(struct sd_cuda_step *st)
{
	struct sd_cu_mix m = mix_of(st);

	if (st->n->op == SD_OP_MIX) {
		struct sd_cu_dst y = sd_cuda_result(st);

		sd_cu_mix(&st->run, &m, in(st, 0), &y);
	} else {
		struct sd_cu_img g = sd_cuda_operand(st, 0);

		sd_cu_mix_bwd_sums(&st->run, &m, &g, out(st, 0), out(st, 1), out(st, 2));
	}
}

/* g, factors, x, mean, var, sg, sgx */
static void exec_mix_bwd_x(struct sd_cuda_step *st)
{
	const struct sd_attr *a = &st->n->a;
	struct sd_cu_mix_term t = mix_term(st, a->kind[0], &st->s->in[2], a->eps);
	struct sd_cu_img g = sd_cuda_operand(st, 0);
	struct sd_cu_dst gx = sd_cuda_result(st);

	sd_cu_mix_bwd_x(&st->run, &t, a->i[0], in(st, 1), &g, in(st, 5), in(st, 6), a->i[1], &gx);
}

/* Operands that were not made in place are copied to theirs. */
static void exec_concat(struct sd_cuda_step *st)
{
	struct sd_cu_img part = sd_cuda_image(st, st->n->out);
	int i;

	for (i = 0; i < st->s->nin; i++) {
		struct sd_cu_src x = { .x = sd_cuda_operand(st, i) };
		struct sd_cu_dst y;

		part.c = x.x.c;
		y = (struct sd_cu_dst){ part, 0 };
		if (x.x.p != part.p)
			sd_cu_load(&st->run, &x, &y);
		part.p = (void *)((uintptr_t)part.p + (size_t)part.c * sd_cuda_elem(part.type));
	}
}

static void exec_slice(struct sd_cuda_step *st)
{
	struct sd_cu_src x = { .x = sd_cuda_operand(st, 0) };
	struct sd_cu_dst y = sd_cuda_result(st);

	x.x.p = (void *)((uintptr_t)x.x.p + (size_t)st->n->a.i[0] * sd_cuda_elem(x.x.type));
	x.x.c = y.y.c;
	sd_cu_load(&st->run, &x, &y);
}

/* The sum of all of x with the sums of its result that the chain from step `pair` on takes.  How many of them are
 * made. */
static int add_with_sums(struct sd_cuda_step *st, const struct sd_cu_grad *x, int masked, const struct sd_cu_src *mask,
	const struct sd_cu_img *y, int pair)
{
	struct sd_cu_mix_sums edge[SD_CU_SUM_EDGES];
	int n = 0;

	if (st->p->g->node[st->p->plan->step[pair].node].op == SD_OP_NORM_BWD_SUMS) {
		struct sd_cu_norm_sums s = sums_of(st, pair);

		return sd_cu_add_norm_sums(&st->run, st->s->nin, x, masked, mask, y, &s);
	}
	for (; pair >= 0; pair = st->p->plan->step[pair].pair) {
		struct sd_cuda_step sums = sd_cuda_step_of(st->p, pair);

		sums.run = st->run;
		sums.bind = st->bind;
		edge[n++] = (struct sd_cu_mix_sums){ mix_of(&sums), out(&sums, 0), out(&sums, 1), out(&sums, 2) };
	}
	return sd_cu_add_mix_sums(&st->run, st->s->nin, x, masked, mask, y, n, edge) ? n : 0;
}

/* Where all of it is masked it goes where the relu's gradient has its place; as much at a time as a kernel adds. */
static void exec_add(struct sd_cuda_step *st)
{
	struct sd_cu_grad x[SD_CU_ADD];
	struct sd_cu_src mask;
	struct sd_cu_dst y = sd_cuda_result(st);
	int i = 0, n, first, masked = 0, pair = st->s->pair;

	if (pair >= 0 && st->p->g->node[st->p->plan->step[pair].node].op == SD_OP_RELU_BWD) {
		struct sd_cuda_step relu = sd_cuda_step_of(st->p, pair);

		relu.run = st->run;
		relu.bind = st->bind;
		mask = sd_cuda_source(&relu, 1);
		if (!st->s->masked)
			y = sd_cuda_result(&relu);
		masked = st->s->masked ? st->s->masked : st->s->nin;
		st->pairs_done = 1;
		pair = relu.s->pair;
	}
	if (pair >= 0) {
		for (n = 0; n < st->s->nin; n++)
			x[n] = sd_cuda_gradient(st, n);
		n = add_with_sums(st, x, masked, &mask, &y.y, pair);
		st->pairs_done += n;
		if (n)
			return;
	}
	while (i < st->s->nin) {
		first = i, n = 0;
		if (i && !y.acc)
			x[n++] = (struct sd_cu_grad){ .g.x = y.y };
		for (; i < st->s->nin && n < SD_CU_ADD; i++)
			x[n++] = sd_cuda_gradient(st, i);
		/* the mask once all that it masks is there */
		sd_cu_add(&st->run, n, x, first < masked && masked <= i ? masked - first + (first && !y.acc) : 0, &mask, &y);
	}
}

/* x where it is of a maximum, and parts of gy from operand `first` on */
static void exec_pool_bwd(struct sd_cuda_step *st, int first)
{
	const struct sd_attr *a = &st->n->a;
	struct sd_cu_grad gy[SD_CU_POOL_PARTS];
	struct sd_cu_src x = sd_cuda_source(st, 0);
	struct sd_cu_dst gx = sd_cuda_result(st);
	int n = st->s->nin - first, k;

	for (k = 0; k < n; k++)
		gy[k] = sd_cuda_gradient(st, first + k);
	if (first)
		sd_cu_maxpool_bwd(&st->run, &x, n, gy, a->win, &gx);
	else
		sd_cu_avgpool_bwd(&st->run, n, gy, a->win, a->i[0], &gx);
}

int sd_cuda_exec_image(struct sd_cuda_step *st)
{
	const struct sd_attr *a = &st->n->a;
	struct sd_cu_run *r = &st->run;
	struct sd_cu_src x;
	struct sd_cu_img g;
	struct sd_cu_dst y;
	float *mean, *var;

	switch (st->n->op) {
	case SD_OP_IMPORT:
		y = sd_cuda_result(st);
		sd_cu_import(r, in(st, 0), &y);
		return 1;
	case SD_OP_FILL:
		if (!sd_is_image(st->p->g, st->n->out))
			return 0;
		g = sd_cuda_image(st, st->n->out);
		sd_cu_fill(r, a->f[0], &g);
		return 1;
	case SD_OP_RELU:
		x = sd_cuda_source(st, 0), x.relu = 1, y = sd_cuda_result(st);
		sd_cu_load(r, &x, &y);
		return 1;
	case SD_OP_RELU_BWD:
		g = sd_cuda_operand(st, 0), x = sd_cuda_source(st, 1), y = sd_cuda_result(st);
		sd_cu_relu_bwd(r, &x, &g, &y);
		return 1;
	case SD_OP_ADD:
		if (!sd_is_image(st->p->g, st->n->out))
			return 0;
		exec_add(st);
		return 1;
	case SD_OP_CONCAT:
		exec_concat(st);
		return 1;
	case SD_OP_SLICE:
		exec_slice(st);
		return 1;
	case SD_OP_CONV:
		return sd_cuda_conv(st) ? -1 : 1;
	case SD_OP_CONV_BWD_X:
		if (st->s->pair < 0)
			return sd_cuda_conv_bwd_x(st) ? -1 : 1;
		exec_half_bwd(st);
		return 1;
	case SD_OP_CONV_BWD_W:
		return sd_cuda_conv_bwd_w(st) ? -1 : 1;
	case SD_OP_CONV_BWD_B:
		g = sd_cuda_operand(st, 0);
		sd_cu_channel_sum(r, &g, out(st, 0));
		return 1;
	case SD_OP_DWCONV:
		exec_dwconv(st);
		return 1;
	case SD_OP_DWCONV_BWD_X:
		exec_dwconv_bwd_x(st);
		return 1;
	case SD_OP_DWCONV_BWD_W:
		x = sd_cuda_source(st, 0), g = sd_cuda_operand(st, 1);
		sd_cu_dwconv_bwd_w(r, &x, &g, a->win, out(st, 0));
		return 1;
	case SD_OP_FRCONV:
		return sd_cuda_frconv(st) ? -1 : 1;
	case SD_OP_FRCONV_BWD_X:
		return sd_cuda_frconv_bwd_x(st) ? -1 : 1;
	case SD_OP_FRCONV_BWD_W:
		return sd_cuda_frconv_bwd_w(st) ? -1 : 1;
	case SD_OP_MAXPOOL:
		x = sd_cuda_source(st, 0), y = sd_cuda_result(st);
		sd_cuda_stats_of(st, &mean, &var);
		st->pairs_done = sd_cu_maxpool(r, &x, a->win, &y, mean, var);
		return 1;
	case SD_OP_MAXPOOL_BWD:
		exec_pool_bwd(st, 1);
		return 1;
	case SD_OP_AVGPOOL:
		x = sd_cuda_source(st, 0), y = sd_cuda_result(st);
		sd_cuda_stats_of(st, &mean, &var);
		st->pairs_done = sd_cu_avgpool(r, &x, a->win, a->i[0], &y, mean, var);
		return 1;
	case SD_OP_AVGPOOL_BWD:
		exec_pool_bwd(st, 0);
		return 1;
	case SD_OP_BN_STATS:
		x = sd_cuda_source(st, 0);
		sd_cu_bn_stats(r, &x, out(st, 0), out(st, 1));
		return 1;
	case SD_OP_NORM:
		exec_norm(st);
		return 1;
	case SD_OP_NORM_BWD_SUMS:
	case SD_OP_NORM_BWD_X:
		exec_norm_bwd(st);
		return 1;
	case SD_OP_MIX:
	case SD_OP_MIX_BWD_SUMS:
		exec_mix(st);
		return 1;
	case SD_OP_MIX_BWD_X:
		exec_mix_bwd_x(st);
		return 1;
	case SD_OP_SCALE_ROWS:
		exec_scale_rows(st);
		return 1;
	case SD_OP_SCALE:
		x = sd_cuda_source(st, 0), y = sd_cuda_result(st);
		if (!x.norm.mean && !x.relu) { /* as the gradient of a term of a mixed edge, among others */
			const struct sd_cu_mix_term raw = { .kind = SD_MIX_RAW };

			sd_cu_mix_bwd_x(r, &raw, a->i[0], in(st, 1), &x.x, NULL, NULL, 0, &y);
			return 1;
		}
		sd_cu_scale(r, &x, row_at(in(st, 1), (size_t)a->i[0]), &y);
		return 1;
	case SD_OP_DOT:
		x = sd_cuda_source(st, 0), g = sd_cuda_operand(st, 1);
		sd_cu_dot(r, &x, &g, out(st, 0));
		return 1;
	case SD_OP_GAP:
		x = sd_cuda_source(st, 0);
		sd_cu_gap(r, &x, out(st, 0));
		return 1;
	case SD_OP_GAP_BWD:
		y = sd_cuda_result(st);
		sd_cu_gap_bwd(r, in(st, 0), &y);
		return 1;
	default:
		return 0;
	}
}
