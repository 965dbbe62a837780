/* cases.c: the table of op cases: small graphs, from single ops to whole halves of cells. */
#include "cases.h"

#include <stdio.h>
#include <string.h>

/* ---- graphs ---- */

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

/* Rows by a quotient of scalars: no gradient goes through, so all is constant. */
static sd_val b_axpy(struct sd_graph *g, const int *p)
{
	struct sd_shape s = sd_shape2(p[P_H] + 40, p[P_C]);
	sd_val x = sd_state(g, "const.x", SD_F32, s), y = p[P_X] ? sd_state(g, "const.y", SD_F32, s) : SD_NIL;
	sd_val k = sd_ratio(g, sd_scalar(g, "const.a", SD_F32), sd_scalar(g, "const.var", SD_F32));

	return sd_axpy(g, y, -0.3f, k, x);
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

const struct tcase cases[] = {
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
	SIZES("rows and a ratio", b_axpy, 0, 0, 0, 0, 1),
	SIZES("rows times a ratio", b_axpy, 0, 0, 0, 0, 0),
	SIZES("head", b_head, 0, 0, 0, 0, 10, 0),
	SIZES("head with smoothing", b_head, 0, 0, 0, 0, 7, 1),
};

const size_t ncase = sizeof(cases) / sizeof(*cases);
