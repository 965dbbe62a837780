/* optable.c: one table of cases for every op and engine.  Each case builds a small graph; its value is
 * compared with the plain reference (ref.c), its gradients with finite differences of the reference,
 * and all code paths and thread counts with each other, bit for bit, in memory that is poisoned
 * before every run.  The plan with nothing folded has to agree too. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "engine/engine.h"
#include "graph/grad.h"
#include "ref.h"
#include "writes.h"

enum fill { RANDOM, CONSTANT, BIG_MEAN, TIES, NANS };

struct tcase {
	const char *name;
	sd_val (*build)(struct sd_graph *g, const int *p);
	int p[10];
	enum fill fill;
};

static int passed, failed;

/* ---- graphs ---- */

enum { P_N, P_C, P_H, P_W, P_K, P_S, P_P, P_D, P_X, P_Y };

static sd_val in_x(struct sd_graph *g, const int *p)
{
	return sd_input(g, "x", SD_F32, sd_shape4(p[P_N], p[P_C], p[P_H], p[P_W]));
}

static struct sd_window win(const int *p)
{
	return sd_window(p[P_K], p[P_S], p[P_P], p[P_D]);
}

static sd_val weight(struct sd_graph *g, const char *name, int o, int i, int kh, int kw)
{
	return sd_param(g, name, sd_shape4(o, i, kh, kw));
}

static sd_val b_relu(struct sd_graph *g, const int *p)
{
	return sd_relu(g, in_x(g, p));
}

static sd_val b_add(struct sd_graph *g, const int *p)
{
	sd_val x = in_x(g, p), v[3];

	v[0] = sd_relu(g, x);
	v[1] = x = sd_maxpool(g, x, sd_window(1, 1, 0, 1));
	v[2] = x; /* one value twice */
	return sd_add(g, 3, v);
}

static sd_val b_conv(struct sd_graph *g, const int *p)
{
	return sd_conv(g, in_x(g, p), weight(g, "w", p[P_X], p[P_C], p[P_K], p[P_K]), p[P_Y] ?
		sd_param(g, "bias", sd_shape1(p[P_X])) : SD_NIL, win(p));
}

static sd_val b_conv_line(struct sd_graph *g, const int *p)
{
	struct sd_window a = { 1, 7, 1, p[P_S], 0, 3, 1, 1 }, b = { 7, 1, p[P_S], 1, 3, 0, 1, 1 };
	sd_val x = sd_conv(g, in_x(g, p), weight(g, "w1", p[P_C], p[P_C], 1, 7), SD_NIL, a);

	return sd_conv(g, x, weight(g, "w2", p[P_C], p[P_C], 7, 1), SD_NIL, b);
}

static sd_val b_dwconv(struct sd_graph *g, const int *p)
{
	return sd_dwconv(g, in_x(g, p), weight(g, "w", p[P_C], 1, p[P_K], p[P_K]), win(p));
}

static sd_val b_frconv(struct sd_graph *g, const int *p)
{
	sd_val x = sd_relu(g, in_x(g, p));

	return sd_frconv(g, x, weight(g, "w1", p[P_X] / 2, p[P_C], 1, 1),
		weight(g, "w2", p[P_X] - p[P_X] / 2, p[P_C], 1, 1));
}

static sd_val b_maxpool(struct sd_graph *g, const int *p)
{
	return sd_maxpool(g, in_x(g, p), win(p));
}

static sd_val b_avgpool(struct sd_graph *g, const int *p)
{
	return sd_avgpool(g, in_x(g, p), win(p), p[P_X]);
}

static sd_val b_gap(struct sd_graph *g, const int *p)
{
	return sd_gap(g, in_x(g, p));
}

static sd_val batch_norm(struct sd_graph *g, sd_val x, const char *name, int affine, float eps)
{
	sd_val mean, var, gamma = SD_NIL, beta = SD_NIL;
	char buf[64];

	if (affine) {
		snprintf(buf, sizeof(buf), "%s.gamma", name);
		gamma = sd_param(g, buf, sd_shape1(g->val[x].shape.d[1]));
		snprintf(buf, sizeof(buf), "%s.beta", name);
		beta = sd_param(g, buf, sd_shape1(g->val[x].shape.d[1]));
	}
	sd_bn_stats(g, x, &mean, &var);
	return sd_norm(g, x, mean, var, gamma, beta, eps, 1);
}

static sd_val b_norm(struct sd_graph *g, const int *p)
{
	return batch_norm(g, in_x(g, p), "bn", p[P_X], 1e-5f);
}

static sd_val b_norm_eval(struct sd_graph *g, const int *p)
{
	sd_val m = sd_state(g, "const.mean", SD_F32, sd_shape1(p[P_C]));
	sd_val v = sd_state(g, "const.var", SD_F32, sd_shape1(p[P_C]));

	return sd_norm(g, in_x(g, p), m, v, sd_param(g, "bn.gamma", sd_shape1(p[P_C])),
		sd_param(g, "bn.beta", sd_shape1(p[P_C])), 1e-3f, 0);
}

/* Half of a separable convolution and then the other: every fold into a load. */
static sd_val b_sep(struct sd_graph *g, const int *p)
{
	sd_val x = in_x(g, p);
	int pad = p[P_D] * (p[P_K] - 1) / 2;

	x = sd_dwconv(g, sd_relu(g, x), weight(g, "w1", p[P_C], 1, p[P_K], p[P_K]),
		sd_window(p[P_K], p[P_S], pad, p[P_D]));
	x = sd_conv(g, x, weight(g, "w2", p[P_X], p[P_C], 1, 1), SD_NIL, sd_window(1, 1, 0, 1));
	x = sd_relu(g, batch_norm(g, x, "bn1", p[P_Y], 1e-5f));
	x = sd_dwconv(g, x, weight(g, "w3", p[P_X], 1, p[P_K], p[P_K]), sd_window(p[P_K], 1, (p[P_K] - 1) / 2, 1));
	x = sd_conv(g, x, weight(g, "w4", p[P_C], p[P_X], 1, 1), SD_NIL, sd_window(1, 1, 0, 1));
	return batch_norm(g, x, "bn2", p[P_Y], 1e-5f);
}

/* Two states, concatenated, feed what a next cell does with them: segments that don't fill blocks. */
static sd_val b_concat(struct sd_graph *g, const int *p)
{
	sd_val x = in_x(g, p), s[3], y, out[3];

	s[0] = batch_norm(g, sd_conv(g, x, weight(g, "w0", p[P_X], p[P_C], 1, 1), SD_NIL,
		sd_window(1, 1, 0, 1)), "bn0", 1, 1e-5f);
	s[1] = sd_dwconv(g, sd_relu(g, s[0]), weight(g, "w1", p[P_X], 1, 3, 3), sd_window(3, 1, 1, 1));
	s[2] = sd_add(g, 2, s);
	y = sd_concat(g, 3, s);
	out[0] = sd_conv(g, sd_relu(g, y), weight(g, "w2", p[P_C], 3 * p[P_X], 1, 1), SD_NIL, sd_window(1, 1, 0, 1));
	out[1] = sd_maxpool(g, batch_norm(g, out[0], "bn2", 0, 1e-5f), sd_window(3, 2, 1, 1));
	out[2] = sd_frconv(g, sd_relu(g, y), weight(g, "w3", p[P_C] / 2, 3 * p[P_X], 1, 1),
		weight(g, "w4", p[P_C] - p[P_C] / 2, 3 * p[P_X], 1, 1));
	return sd_add(g, 2, out + 1);
}

static sd_val b_concat_pools(struct sd_graph *g, const int *p)
{
	sd_val x = in_x(g, p), v[2], y;

	v[0] = sd_relu(g, x);
	v[1] = sd_avgpool(g, x, sd_window(3, 1, 1, 1), 0);
	y = sd_avgpool(g, sd_relu(g, sd_concat(g, 2, v)), sd_window(5, 3, 0, 1), 0);
	y = batch_norm(g, y, "bn", 1, 1e-5f);
	return sd_slice(g, y, p[P_C] / 2, p[P_C]);
}

static sd_val b_scale_rows(struct sd_graph *g, const int *p)
{
	return sd_scale_rows(g, batch_norm(g, in_x(g, p), "bn", 1, 1e-5f),
		sd_input(g, "const.m", SD_F32, sd_shape1(p[P_N])));
}

/* A mixed edge: every kind of term; p[X] the weighting, p[Y] the row (row 1: none wins), stride p[S]. */
static sd_val b_mix(struct sd_graph *g, const int *p)
{
	sd_val x = in_x(g, p), w, pool, conv, r;
	struct sd_mix_term t[6] = { { .kind = SD_MIX_NONE, .x = SD_NIL } };
	int n = 1, s = p[P_S], i;

	w = sd_softmax(g, sd_param(g, "alpha", sd_shape2(3, 5)));
	pool = sd_maxpool(g, x, sd_window(3, s, 1, 1));
	t[n++] = (struct sd_mix_term){ .kind = SD_MIX_NORM, .x = pool, .eps = 1e-5f };
	conv = sd_dwconv(g, sd_relu(g, x), weight(g, "w1", p[P_C], 1, 3, 3), sd_window(3, s, 1, 1));
	t[n++] = (struct sd_mix_term){ .kind = SD_MIX_NORM, .x = conv, .eps = 1e-3f };
	conv = sd_conv(g, sd_relu(g, x), weight(g, "w2", p[P_C], p[P_C], 3, 3), SD_NIL, sd_window(3, s, 1, 1));
	t[n++] = (struct sd_mix_term){ .kind = SD_MIX_NORM_RELU, .x = conv, .eps = 1e-5f };
	if (s == 1) {
		t[n++] = (struct sd_mix_term){ .kind = SD_MIX_RAW, .x = x };
	} else {
		r = sd_frconv(g, sd_relu(g, x), weight(g, "w3", p[P_C] / 2, p[P_C], 1, 1),
			weight(g, "w4", p[P_C] - p[P_C] / 2, p[P_C], 1, 1));
		t[n++] = (struct sd_mix_term){ .kind = SD_MIX_NORM, .x = r, .eps = 1e-5f };
	}
	for (i = 0; i < n; i++)
		if (t[i].kind == SD_MIX_NORM || t[i].kind == SD_MIX_NORM_RELU)
			sd_bn_stats(g, t[i].x, &t[i].mean, &t[i].var);
	return sd_mix(g, w, p[P_Y], n, t, (enum sd_weighting)p[P_X], g->val[pool].shape, 1);
}

/* Two branches of a sum, each under a predicate of its own: p[X] and p[Y] say which is on. */
static sd_val b_predicate(struct sd_graph *g, const int *p)
{
	sd_val x = sd_relu(g, in_x(g, p)), branch[3];
	static const char *const name[] = { "const.on", "const.off" }, *const w[] = { "w1", "w2" },
		*const bn[] = { "bn1", "bn2" };
	int i;

	for (i = 0; i < 2; i++) {
		g->pred = sd_scalar(g, name[i ? !p[P_Y] : !p[P_X]], SD_F32);
		branch[i] = batch_norm(g, sd_dwconv(g, x, weight(g, w[i], p[P_C], 1, 3, 3), sd_window(3, 1, 1, 1)),
			bn[i], 1, 1e-5f);
		branch[i] = sd_avgpool(g, sd_relu(g, branch[i]), sd_window(3, 1, 1, 1), 0);
		g->pred = SD_NIL;
	}
	branch[2] = sd_maxpool(g, x, sd_window(3, 1, 1, 1));
	return sd_add(g, 3, branch);
}

static sd_val b_head(struct sd_graph *g, const int *p)
{
	sd_val y = sd_linear(g, sd_gap(g, in_x(g, p)), sd_param(g, "w", sd_shape2(p[P_X], p[P_C])),
		sd_param(g, "bias", sd_shape1(p[P_X])));

	y = sd_mean(g, sd_xent(g, y, sd_input(g, "labels", SD_I32, sd_shape1(p[P_N])), p[P_Y] ? 0.1f : 0));
	return sd_wsum(g, y, 1, y, 0.4f);
}

#define SIZES(name, build, ...) \
	{ name, build, { 2, 16, 8, 8, __VA_ARGS__ }, RANDOM }, \
	{ name " 18 channels, odd size", build, { 3, 18, 7, 9, __VA_ARGS__ }, RANDOM }, \
	{ name " 36 channels, one sample", build, { 1, 36, 10, 6, __VA_ARGS__ }, RANDOM }

static const struct tcase cases[] = {
	SIZES("relu", b_relu, 0),
	SIZES("add", b_add, 0),
	SIZES("conv 1x1 to 20", b_conv, 1, 1, 0, 1, 20, 0),
	SIZES("conv 1x1 to 48 with bias", b_conv, 1, 1, 0, 1, 48, 1),
	SIZES("conv 3x3", b_conv, 3, 1, 1, 1, 16, 0),
	SIZES("conv 3x3 stride 2", b_conv, 3, 2, 1, 1, 17, 1),
	SIZES("conv 5x5 stride 1", b_conv, 5, 1, 2, 1, 8, 0),
	SIZES("conv 2x2 valid", b_conv, 2, 1, 0, 1, 33, 0),
	SIZES("conv 3x3 dilation 2", b_conv, 3, 1, 2, 2, 16, 0),
	{ "conv 3x3 of 3 channels", b_conv, { 2, 3, 8, 8, 3, 1, 1, 1, 48, 0 }, RANDOM },
	{ "conv 1x1 of a 1x1 image", b_conv, { 2, 40, 1, 1, 1, 1, 0, 1, 24, 0 }, RANDOM },
	SIZES("conv 1x7 7x1", b_conv_line, 0, 1),
	SIZES("conv 1x7 7x1 stride 2", b_conv_line, 0, 2),
	SIZES("dwconv 3x3", b_dwconv, 3, 1, 1, 1),
	SIZES("dwconv 3x3 stride 2", b_dwconv, 3, 2, 1, 1),
	SIZES("dwconv 5x5", b_dwconv, 5, 1, 2, 1),
	SIZES("dwconv 5x5 stride 2", b_dwconv, 5, 2, 2, 1),
	SIZES("dwconv 7x7", b_dwconv, 7, 1, 3, 1),
	SIZES("dwconv 7x7 stride 2", b_dwconv, 7, 2, 3, 1),
	SIZES("dwconv 3x3 dilation 2", b_dwconv, 3, 1, 2, 2),
	SIZES("dwconv 3x3 dilation 2 stride 2", b_dwconv, 3, 2, 2, 2),
	SIZES("dwconv 5x5 dilation 2", b_dwconv, 5, 1, 4, 2),
	SIZES("dwconv 5x5 dilation 2 stride 2", b_dwconv, 5, 2, 4, 2),
	SIZES("dwconv 5x5 dilation 2 padding 2", b_dwconv, 5, 1, 2, 2),
	SIZES("frconv", b_frconv, 0, 0, 0, 0, 36),
	SIZES("frconv to odd halves", b_frconv, 0, 0, 0, 0, 10),
	SIZES("max pool", b_maxpool, 3, 1, 1, 1),
	SIZES("max pool stride 2", b_maxpool, 3, 2, 1, 1),
	{ "max pool, ties", b_maxpool, { 2, 18, 7, 8, 3, 1, 1, 1 }, TIES },
	{ "max pool stride 2, ties", b_maxpool, { 2, 18, 7, 8, 3, 2, 1, 1 }, TIES },
	{ "max pool, NaN", b_maxpool, { 2, 18, 7, 8, 3, 1, 1, 1 }, NANS },
	{ "relu, NaN", b_relu, { 2, 18, 7, 8 }, NANS },
	SIZES("average pool", b_avgpool, 3, 1, 1, 1, 0),
	SIZES("average pool with padding", b_avgpool, 3, 1, 1, 1, 1),
	SIZES("average pool stride 2", b_avgpool, 3, 2, 1, 1, 0),
	SIZES("average pool stride 2 with padding", b_avgpool, 3, 2, 1, 1, 1),
	SIZES("average pool 5x5 stride 3", b_avgpool, 5, 3, 0, 1, 0),
	SIZES("global average pool", b_gap, 0),
	SIZES("batch norm", b_norm, 0, 0, 0, 0, 1),
	SIZES("batch norm without affine", b_norm, 0, 0, 0, 0, 0),
	{ "batch norm, constant channels", b_norm, { 3, 18, 7, 9, 0, 0, 0, 0, 1 }, CONSTANT },
	{ "batch norm, large mean", b_norm, { 3, 18, 7, 9, 0, 0, 0, 0, 1 }, BIG_MEAN },
	SIZES("norm of running statistics", b_norm_eval, 0),
	SIZES("separable 3x3", b_sep, 3, 1, 0, 1, 24, 1),
	SIZES("separable 5x5 stride 2", b_sep, 5, 2, 0, 1, 24, 0),
	SIZES("separable 3x3 dilation 2", b_sep, 3, 1, 0, 2, 64, 0),
	SIZES("concat of 18", b_concat, 0, 0, 0, 0, 18),
	SIZES("concat of 16", b_concat, 0, 0, 0, 0, 16),
	SIZES("concat, pools and slice", b_concat_pools, 0),
	SIZES("rows scaled", b_scale_rows, 0),
	SIZES("mixed edge", b_mix, 0, 1, 0, 0, SD_SCALAR_W, 0),
	SIZES("mixed edge stride 2", b_mix, 0, 2, 0, 0, SD_SCALAR_W, 2),
	SIZES("mixed edge max_w", b_mix, 0, 1, 0, 0, SD_MAX_W, 2),
	SIZES("mixed edge max_w stride 2", b_mix, 0, 2, 0, 0, SD_MAX_W, 0),
	SIZES("mixed edge max_w, none wins", b_mix, 0, 1, 0, 0, SD_MAX_W, 1),
	SIZES("mixed edge max_w stride 2, none wins", b_mix, 0, 2, 0, 0, SD_MAX_W, 1),
	SIZES("predicates on", b_predicate, 0, 0, 0, 0, 1, 1),
	SIZES("predicates, first off", b_predicate, 0, 0, 0, 0, 0, 1),
	SIZES("predicates off", b_predicate, 0, 0, 0, 0, 0, 0),
	SIZES("head", b_head, 0, 0, 0, 0, 10, 0),
	SIZES("head with smoothing", b_head, 0, 0, 0, 0, 7, 1),
};

/* ---- contents of the sources ---- */

static double normal(struct sd_rng_key key, size_t i)
{
	uint32_t c[4] = { (uint32_t)i, 0, 0, 0 }, w[4];

	sd_rng_block(key, c, w);
	return (double)sd_rng_normal(w[0], w[1]);
}

static double source_value(const struct tcase *t, const struct sd_value *v, size_t i, struct sd_rng_key key)
{
	double z = normal(key, i);
	size_t plane = v->shape.n == 4 ? (size_t)v->shape.d[2] * (size_t)v->shape.d[3] : 1;

	if (v->dtype == SD_I32)
		return (double)(i * 5 % 7);
	if (!strcmp(v->name, "const.on") || !strcmp(v->name, "const.off"))
		return !strcmp(v->name, "const.on");
	if (!strcmp(v->name, "alpha")) /* row 1: the first term is the largest */
		return 0.3 * z + (i / (size_t)v->shape.d[1] == 1 && i % (size_t)v->shape.d[1] == 0 ? 3 : 0);
	if (strstr(v->name, "var") || strstr(v->name, "gamma"))
		return 1 + 0.3 * tanh(z);
	if (strcmp(v->name, "x"))
		return v->cls == SD_PARAM ? 0.3 * z : z;
	switch (t->fill) {
	case CONSTANT: /* channels 1, 5, 9 ...: one value */
		return i / plane % (size_t)v->shape.d[1] % 4 == 1 ? 0.7 : z;
	case BIG_MEAN:
		return 300 + 0.06 * z;
	case TIES:
		return floor(z * 1.5) * 0.5;
	case NANS:
		return i % 97 == 13 ? NAN : z;
	default:
		return z;
	}
}

struct bench { /* one case: its graph, the sources' contents, what is asked for */
	const struct tcase *t;
	struct sd_graph *g;
	sd_val y, gy_in;
	sd_val want[16], grad[16];
	int nwant;
	float **host; /* by slot: float or int32 */
};

static void make_contents(struct bench *b)
{
	struct sd_graph *g = b->g;
	int s;
	size_t i;

	b->host = calloc((size_t)g->nslot, sizeof(*b->host));
	for (s = 0; s < g->nslot; s++) {
		const struct sd_value *v = &g->val[g->slot[s]];
		size_t n = sd_shape_count(&v->shape);
		struct sd_rng_key key = sd_rng_key(7, b->t->name, v->name);

		b->host[s] = malloc(n * sizeof(float) + 1);
		for (i = 0; i < n; i++) {
			double x = source_value(b->t, v, i, key);

			if (v->dtype == SD_I32)
				((int32_t *)b->host[s])[i] = (int32_t)x;
			else
				b->host[s][i] = (float)x;
		}
	}
}

/* The graph of a case with its gradients; unfused builds mixed edges from their parts. */
static int bench_init(struct bench *b, const struct tcase *t, int unfused)
{
	int s;

	memset(b, 0, sizeof(*b));
	b->t = t;
	b->g = sd_graph_new();
	b->g->unfused = unfused;
	b->y = t->build(b->g, t->p);
	if (!sd_graph_ok(b->g))
		return -1;
	for (s = 0; s < b->g->nslot; s++) {
		const struct sd_value *v = &b->g->val[b->g->slot[s]];

		if (v->dtype == SD_F32 && strncmp(v->name, "const", 5) && t->fill != NANS)
			b->want[b->nwant++] = b->g->slot[s];
	}
	b->gy_in = sd_input(b->g, "gy", SD_F32, b->g->val[b->y].shape);
	if (sd_graph_vjp(b->g, b->y, b->gy_in, b->nwant, b->want, b->grad))
		return -1;
	make_contents(b);
	return 0;
}

static void bench_release(struct bench *b)
{
	int s;

	for (s = 0; b->host && s < b->g->nslot; s++)
		free(b->host[s]);
	free(b->host);
	sd_graph_free(b->g);
}

/* ---- running ---- */

struct outcome {
	float *y, *grad[16];
};

static void outcome_free(struct outcome *o)
{
	int i;

	free(o->y);
	for (i = 0; i < 16; i++)
		free(o->grad[i]);
}

static int run(const struct bench *b, const char *path, int threads, int flags, struct outcome *o)
{
	const struct sd_graph *g = b->g;
	struct sd_engine *e;
	struct sd_program *p = NULL;
	struct sd_bind bind = { calloc((size_t)g->nslot, sizeof(struct sd_buffer *)), g->nslot };
	sd_val root[17];
	int i, n = 0, rc = -1;

	memset(o, 0, sizeof(*o));
	setenv("SD_CPU", path, 1);
	e = sd_engine_open("cpu", threads);
	if (!e)
		goto out;
	sd_engine_poison(e, 1);
	for (i = 0; i < g->nslot; i++) {
		const struct sd_value *v = &g->val[g->slot[i]];

		bind.slot[i] = sd_buffer_new(e, v->dtype, v->shape);
		sd_buffer_write(bind.slot[i], b->host[i]);
	}
	root[n++] = b->y;
	for (i = 0; i < b->nwant; i++)
		if (b->grad[i] != SD_NIL)
			root[n++] = b->grad[i];
	p = sd_program_new(e, g, n, root, flags);
	if (!p || sd_program_run(p, &bind))
		goto out;
	o->y = malloc(sd_shape_count(&g->val[b->y].shape) * sizeof(float));
	rc = sd_program_read(p, b->y, o->y);
	for (i = 0; i < b->nwant && !rc; i++) {
		if (b->grad[i] == SD_NIL)
			continue;
		o->grad[i] = malloc(sd_shape_count(&g->val[b->grad[i]].shape) * sizeof(float));
		rc = sd_program_read(p, b->grad[i], o->grad[i]);
	}
out:
	for (i = 0; i < g->nslot; i++)
		sd_buffer_free(bind.slot[i]);
	free(bind.slot);
	sd_program_free(p);
	sd_engine_close(e);
	return rc;
}

/* ---- comparing ---- */

static void verdict(const struct bench *b, const char *what, const char *name, double err, double tol)
{
	if (err <= tol) {
		passed++;
		return;
	}
	failed++;
	printf("FAIL %s: %s %s: error %.3g, allowed %.3g\n", b->t->name, what, name, err, tol);
}

/* Largest difference, as a part of the largest magnitude of the reference. */
static double worst(const float *got, const double *want, size_t n)
{
	double d = 0, m = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (isnan(want[i]) != isnan((double)got[i]))
			return INFINITY;
		if (isnan(want[i]))
			continue;
		d = fmax(d, fabs((double)got[i] - want[i]));
		m = fmax(m, fabs(want[i]));
	}
	return m > 0 ? d / m : d;
}

static void fill_ref(const struct bench *b, struct ref *r)
{
	const struct sd_graph *g = b->g;
	int s;
	size_t i;

	for (s = 0; s < g->nslot; s++) {
		const struct sd_value *v = &g->val[g->slot[s]];

		for (i = 0; i < sd_shape_count(&v->shape); i++) {
			double x = v->dtype == SD_I32 ? ((int32_t *)b->host[s])[i] : (double)b->host[s][i];

			/* ties go to the first index: make it the largest by a hair */
			if (b->t->fill == TIES && !strcmp(v->name, "x"))
				x -= 1e-5 * (double)(i % ((size_t)v->shape.d[2] * (size_t)v->shape.d[3]));
			r->v[g->slot[s]][i] = x;
		}
	}
}

static double objective(const struct bench *b, struct ref *r)
{
	size_t i, n = sd_shape_count(&b->g->val[b->y].shape);
	double sum = 0;

	ref_eval(r, b->y);
	for (i = 0; i < n; i++)
		sum += r->v[b->y][i] * r->v[b->gy_in][i];
	return sum;
}

/* Some elements of each gradient against central differences of the reference. */
static void check_gradient(const struct bench *b, struct ref *r, const struct outcome *o, int k)
{
	enum { PROBES = 24 };
	double *x = r->v[b->want[k]], want, d = 0, m = 0;
	const double h = 1e-6;
	const char *name = b->g->val[b->want[k]].name;
	size_t n = sd_shape_count(&b->g->val[b->want[k]].shape), i, j;

	for (j = 0; j < n; j++)
		m = fmax(m, o->grad[k] ? fabs((double)o->grad[k][j]) : 0);
	for (j = 0; j < PROBES && j < n; j++) {
		double keep, up, got;

		i = n <= PROBES ? j : sd_rng_below(sd_rng_word(sd_rng_key(3, name, ""), (uint32_t)j, 0, 0, 0), (uint32_t)n);
		keep = x[i];
		x[i] = keep + h;
		up = objective(b, r);
		x[i] = keep - h;
		want = (up - objective(b, r)) / (2 * h);
		x[i] = keep;
		got = o->grad[k] ? (double)o->grad[k][i] : 0;
		d = isnan(got) ? INFINITY : fmax(d, fabs(got - want));
		m = fmax(m, fabs(want));
	}
	/* where all gradients cancel (an input's mean in front of a batch norm) nothing but noise is left */
	verdict(b, "gradient of", name, m > 1e-6 ? d / m : d, b->t->fill == BIG_MEAN ? 2e-2 : 1e-3);
}

static int same_bits(const struct bench *b, const struct outcome *a, const struct outcome *o)
{
	int i;

	if (memcmp(a->y, o->y, sd_shape_count(&b->g->val[b->y].shape) * sizeof(float)))
		return 0;
	for (i = 0; i < b->nwant; i++)
		if (a->grad[i] && memcmp(a->grad[i], o->grad[i],
				sd_shape_count(&b->g->val[b->want[i]].shape) * sizeof(float)))
			return 0;
	return 1;
}

static void check_agree(const struct bench *b, const struct outcome *a, const struct outcome *o)
{
	double tol = b->t->fill == BIG_MEAN ? 1e-2 : 2e-4, err, *want;
	int i;
	size_t j, n;

	for (i = -1; i < b->nwant; i++) {
		const float *x = i < 0 ? a->y : a->grad[i], *y = i < 0 ? o->y : o->grad[i];

		if (!x || !y)
			continue;
		n = sd_shape_count(&b->g->val[i < 0 ? b->y : b->want[i]].shape);
		want = malloc(n * sizeof(*want));
		for (j = 0; j < n; j++)
			want[j] = (double)x[j];
		err = worst(y, want, n);
		for (j = 0; j < n && err > tol && fabs(want[j]) < 1e-4; j++)
			err = j + 1 == n ? 0 : err; /* both are noise */
		verdict(b, "unfused", i < 0 ? "value" : b->g->val[b->want[i]].name, err, tol);
		free(want);
	}
}

static void check_case(const struct tcase *t)
{
	static const struct { const char *path; int threads; } other[] = {
		{ "avx512", 2 }, { "avx512", 5 }, { "avx2", 2 }, { "generic", 1 }, { "generic", 5 },
	};
	struct bench b, u;
	struct outcome base, o;
	struct ref *r = NULL;
	size_t i;
	int k;

	if (bench_init(&b, t, 0) || run(&b, "generic", 2, 0, &base)) {
		failed++;
		printf("FAIL %s: %s\n", t->name, sd_error_text());
		bench_release(&b);
		return;
	}
	r = ref_new(b.g);
	fill_ref(&b, r);
	ref_eval(r, b.y);
	verdict(&b, "value", "", worst(base.y, r->v[b.y], sd_shape_count(&b.g->val[b.y].shape)),
		t->fill == BIG_MEAN ? 1e-3 : t->fill == TIES ? 1e-3 : 1e-5);
	for (k = 0; k < b.nwant; k++)
		check_gradient(&b, r, &base, k);
	for (i = 0; i < sizeof(other) / sizeof(*other); i++) {
		char what[64];
		int rc = run(&b, other[i].path, other[i].threads, 0, &o);

		if (rc && sd_error_kind() == SD_ERR_USAGE) { /* a processor without that path */
			outcome_free(&o);
			continue;
		}
		snprintf(what, sizeof(what), "%s, %d threads", other[i].path, other[i].threads);
		verdict(&b, "bits of", what, rc || !same_bits(&b, &base, &o), 0);
		outcome_free(&o);
	}
	if (bench_init(&u, t, 1) || run(&u, "generic", 2, SD_PLAN_UNFUSED, &o)) {
		failed++;
		printf("FAIL %s: unfused: %s\n", t->name, sd_error_text());
	} else {
		check_agree(&b, &base, &o);
	}
	outcome_free(&o);
	bench_release(&u);
	outcome_free(&base);
	ref_free(r);
	bench_release(&b);
}

int main(int argc, char **argv)
{
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (argc < 2 || strstr(cases[i].name, argv[1]))
			check_case(&cases[i]);
	writes_check("cpu", argc < 2 ? NULL : argv[1], &passed, &failed);
	printf("%d passed, %d failed\n", passed, failed);
	return failed != 0;
}
