/* ops.c: the primitives of OPS and DARTS_OPS, the layers they are made of, and the mixed edge.
 * Layers, their order and their names are those of sharpDARTS' operations.py. */
#include "model/layers.h"

#define CHOKE_CHANNELS 32 /* what the choke primitives are given unless told otherwise */
#define FLOOD_FACTOR 4

/* ---- layers of their own ---- */

struct sd_tail sd_tail_sep_conv(struct sd_build *b, const char *prefix, sd_val x, int c_out,
	struct sd_window win)
{
	x = sd_layer_relu(b, x);
	x = sd_layer_dwconv(b, sd_name(prefix, "op.1"), x, win);
	x = sd_layer_conv(b, sd_name(prefix, "op.2"), x, c_out, sd_window(1, 1, 0, 1));
	return sd_layer_norm_tail(b, sd_name(prefix, "op.3"), x, SD_BN_EPS);
}

static struct sd_tail sharp_sep_conv(struct sd_build *b, const char *prefix, sd_val x, int c_out, int c_mid,
	struct sd_window win)
{
	struct sd_tail t = sd_tail_sep_conv(b, prefix, x, c_mid, win);

	x = sd_layer_relu(b, sd_tail_finish(b, &t));
	/* padded to keep the size, and neither strided nor dilated */
	x = sd_layer_dwconv(b, sd_name(prefix, "op.5"), x, sd_window(win.kh, 1, (win.kh - 1) / 2, 1));
	x = sd_layer_conv(b, sd_name(prefix, "op.6"), x, c_out, sd_window(1, 1, 0, 1));
	return sd_layer_norm_tail(b, sd_name(prefix, "op.7"), x, SD_BN_EPS);
}

struct sd_tail sd_tail_factorized_reduce(struct sd_build *b, const char *prefix, sd_val x, int c_out)
{
	int c_in = sd_channels(b, x), half = c_out / 2;
	const struct sd_shape *s;
	sd_val w1, w2;

	if (x != SD_NIL && c_out % 2) {
		sd_graph_fail(b->g, "a factorised reduce gives an even number of channels, not %d", c_out);
		x = SD_NIL;
	}
	if (x == SD_NIL)
		return sd_tail_raw(SD_NIL);
	w1 = sd_layer_weight(b, sd_name(prefix, "conv_1"), sd_shape4(half, c_in, 1, 1));
	w2 = sd_layer_weight(b, sd_name(prefix, "conv_2"), sd_shape4(half, c_in, 1, 1));
	x = sd_frconv(b->g, sd_layer_relu(b, x), w1, w2);
	if (x != SD_NIL) {
		s = sd_shape_of(b->g, x);
		b->macs += (double)c_out * s->d[2] * s->d[3] * c_in;
	}
	return sd_layer_norm_tail(b, sd_name(prefix, "bn"), x, SD_BN_EPS);
}

static struct sd_tail resizable_pool(struct sd_build *b, const char *prefix, sd_val x, int c_out, int stride,
	int max)
{
	struct sd_window win = sd_window(3, stride, 1, 1);
	int c_in = sd_channels(b, x);

	x = max ? sd_layer_maxpool(b, x, win) : sd_layer_avgpool(b, x, win, 1);
	if (c_in == c_out)
		return sd_tail_raw(x);
	x = sd_layer_conv(b, sd_name(prefix, "op.1"), x, c_out, sd_window(1, 1, 0, 1));
	return sd_layer_norm_tail(b, sd_name(prefix, "op.2"), x, SD_BN_EPS_LARGE);
}

/* relu, 1x7 with the horizontal stride, 7x1 with the vertical one (and the new channels), norm */
static struct sd_tail conv_7x1_1x7(struct sd_build *b, const char *prefix, sd_val x, int c_out, int stride,
	float eps)
{
	struct sd_window across = { 1, 7, 1, stride, 0, 3, 1, 1 }, down = { 7, 1, stride, 1, 3, 0, 1, 1 };

	x = sd_layer_relu(b, x);
	x = sd_layer_conv(b, sd_name(prefix, "1"), x, sd_channels(b, x), across);
	x = sd_layer_conv(b, sd_name(prefix, "2"), x, c_out, down);
	return sd_layer_norm_tail(b, sd_name(prefix, "3"), x, eps);
}

/* convolution, norm, and the only relu behind them */
static struct sd_tail nor_conv(struct sd_build *b, const char *prefix, sd_val x, int c_out, int k, int stride)
{
	x = sd_layer_conv(b, sd_name(prefix, "op.0"), x, c_out, sd_window(k, stride, k / 2, 1));
	return sd_tail_relu(b, sd_layer_norm_tail(b, sd_name(prefix, "op.1"), x, SD_BN_EPS));
}

sd_val sd_build_sep_conv(struct sd_build *b, const char *prefix, sd_val x, int c_out, struct sd_window win)
{
	struct sd_tail t = sd_tail_sep_conv(b, prefix, x, c_out, win);

	return sd_tail_finish(b, &t);
}

sd_val sd_build_sharp_sep_conv(struct sd_build *b, const char *prefix, sd_val x, int c_out, int c_mid,
	struct sd_window win)
{
	struct sd_tail t = sharp_sep_conv(b, prefix, x, c_out, c_mid, win);

	return sd_tail_finish(b, &t);
}

sd_val sd_build_factorized_reduce(struct sd_build *b, const char *prefix, sd_val x, int c_out)
{
	struct sd_tail t = sd_tail_factorized_reduce(b, prefix, x, c_out);

	return sd_tail_finish(b, &t);
}

sd_val sd_build_resizable_pool(struct sd_build *b, const char *prefix, sd_val x, int c_out, int stride,
	int max)
{
	struct sd_tail t = resizable_pool(b, prefix, x, c_out, stride, max);

	return sd_tail_finish(b, &t);
}

sd_val sd_build_relu_conv_bn(struct sd_build *b, const char *prefix, sd_val x, int c_out,
	struct sd_window win)
{
	x = sd_layer_relu(b, x);
	x = sd_layer_conv(b, sd_name(prefix, "op.1"), x, c_out, win);
	return sd_layer_norm(b, sd_name(prefix, "op.2"), x);
}

sd_val sd_build_stem(struct sd_build *b, const char *prefix, sd_val x, int c_out)
{
	int affine = b->affine;

	b->affine = 1;
	x = sd_layer_conv(b, sd_name(prefix, "0"), x, c_out, sd_window(3, 1, 1, 1));
	x = sd_layer_norm(b, sd_name(prefix, "1"), x);
	b->affine = affine;
	return x;
}

/* ---- primitives ---- */

/* The separable convolutions: kernel, padding and dilation of the first depthwise convolution; and what
 * the number of channels in the middle is. */
enum mid { MID_OUT, MID_FLOOD, MID_CHOKE };
static const struct sep {
	int k, pad, dil;
	enum mid mid;
} seps[SD_PRIM_COUNT] = {
	[SD_PRIM_SEP_CONV_3X3] = { 3, 1, 1, MID_OUT },
	[SD_PRIM_SEP_CONV_5X5] = { 5, 2, 1, MID_OUT },
	[SD_PRIM_SEP_CONV_7X7] = { 7, 3, 1, MID_OUT },
	[SD_PRIM_DIL_CONV_3X3] = { 3, 2, 2, MID_OUT },
	[SD_PRIM_DIL_CONV_5X5] = { 5, 4, 2, MID_OUT },
	[SD_PRIM_FLOOD_CONV_3X3] = { 3, 1, 1, MID_FLOOD },
	[SD_PRIM_FLOOD_CONV_5X5] = { 5, 2, 1, MID_FLOOD },
	[SD_PRIM_DIL_FLOOD_CONV_3X3] = { 3, 2, 2, MID_FLOOD },
	[SD_PRIM_DIL_FLOOD_CONV_5X5] = { 5, 2, 2, MID_FLOOD }, /* shrinks: the reference's padding */
	[SD_PRIM_CHOKE_CONV_3X3] = { 3, 1, 1, MID_CHOKE },
	[SD_PRIM_DIL_CHOKE_CONV_3X3] = { 3, 2, 2, MID_CHOKE },
};

static int mid_channels(enum mid mid, int c_out, int c_mid)
{
	if (mid == MID_FLOOD)
		return FLOOD_FACTOR * c_out;
	if (mid == MID_OUT || c_mid == -1)
		return c_out;
	return c_mid ? c_mid : CHOKE_CHANNELS;
}

static struct sd_tail separable(struct sd_build *b, const char *prefix, int prim, sd_val x, int c_out,
	int stride, int c_mid)
{
	const struct sep *s = &seps[prim];
	struct sd_window win = sd_window(s->k, stride, s->pad, s->dil);

	/* DARTS' dilated convolutions are single; the sharp ones always have two depthwise convolutions */
	if (b->ops == SD_DARTS_OPS && s->dil > 1)
		return sd_tail_sep_conv(b, prefix, x, c_out, win);
	return sharp_sep_conv(b, prefix, x, c_out, mid_channels(s->mid, c_out, c_mid), win);
}

static struct sd_tail primitive(struct sd_build *b, const char *prefix, int prim, sd_val x, int c_out,
	int stride, int c_mid)
{
	int darts = b->ops == SD_DARTS_OPS;

	if (darts)
		c_out = sd_channels(b, x);
	switch (prim) {
	case SD_PRIM_NONE:
		return (struct sd_tail){ SD_MIX_NONE, SD_NIL, SD_NIL, SD_NIL, SD_NIL, SD_NIL, 0 };
	case SD_PRIM_SKIP_CONNECT:
		return stride == 1 ? sd_tail_raw(x) : sd_tail_factorized_reduce(b, prefix, x, c_out);
	case SD_PRIM_MAX_POOL_3X3:
		return resizable_pool(b, prefix, x, c_out, stride, 1);
	case SD_PRIM_AVG_POOL_3X3:
		if (darts)
			return sd_tail_raw(sd_layer_avgpool(b, x, sd_window(3, stride, 1, 1), 0));
		return resizable_pool(b, prefix, x, c_out, stride, 0);
	case SD_PRIM_CONV_7X1_1X7:
		return conv_7x1_1x7(b, prefix, x, c_out, stride, darts ? SD_BN_EPS : SD_BN_EPS_LARGE);
	case SD_PRIM_NOR_CONV_3X3:
		return nor_conv(b, prefix, x, c_out, 3, stride);
	case SD_PRIM_NOR_CONV_5X5:
		return nor_conv(b, prefix, x, c_out, 5, stride);
	case SD_PRIM_NOR_CONV_7X7:
		return nor_conv(b, prefix, x, c_out, 7, stride);
	default:
		return separable(b, prefix, prim, x, c_out, stride, c_mid);
	}
}

/* What x becomes at a stride when its channels are kept: ceil(H / stride), ceil(W / stride). */
static struct sd_shape strided(const struct sd_build *b, sd_val x, int stride)
{
	struct sd_shape s = *sd_shape_of(b->g, x);

	s.d[2] = (s.d[2] + stride - 1) / stride;
	s.d[3] = (s.d[3] + stride - 1) / stride;
	return s;
}

/* The reference's Zero multiplies by 0.  In training that matters beyond the value: what is behind it
 * has a gradient, of zeros, so it decays and keeps its momentum, where what nothing depends on stays
 * as it is. */
static sd_val zero(struct sd_build *b, sd_val x, int stride)
{
	struct sd_shape rows = sd_shape1(sd_shape_of(b->g, x)->d[0]);

	if (b->phase == SD_EVAL)
		return sd_zero(b->g, strided(b, x, stride));
	if (stride > 1)
		x = sd_avgpool(b->g, x, sd_window(1, stride, 0, 1), 1);
	return sd_scale_rows(b->g, x, sd_fill(b->g, rows, 0));
}

static int in_table(struct sd_build *b, int prim)
{
	if (sd_primitives[prim].tables & b->ops)
		return 1;
	sd_graph_fail(b->g, "there is no primitive '%s' in %s", sd_primitives[prim].name,
		sd_op_table_name(b->ops));
	return 0;
}

sd_val sd_build_primitive(struct sd_build *b, const char *prefix, const char *name, sd_val x, int c_in,
	int c_out, int stride, int c_mid)
{
	int prim = sd_primitives_find(name);
	struct sd_tail t;

	if (x == SD_NIL)
		return SD_NIL;
	if (prim < 0)
		return sd_graph_fail(b->g, "there is no primitive '%s'", name);
	if (!in_table(b, prim))
		return SD_NIL;
	if (sd_channels(b, x) != c_in)
		return sd_graph_fail(b->g, "primitive '%s' is for %d channels, not %d", name, c_in,
			sd_channels(b, x));
	if (stride != 1 && stride != 2)
		return sd_graph_fail(b->g, "primitive '%s' has no stride %d, but 1 and 2", name, stride);
	t = primitive(b, prefix, prim, x, c_out, stride, c_mid);
	if (t.kind == SD_MIX_NONE)
		return zero(b, x, stride);
	return sd_tail_finish(b, &t);
}

/* ---- the mixed edge ---- */

/* Term k of an edge: the primitive, and behind a pool a norm of its own. */
static struct sd_tail mixed_term(struct sd_build *b, const char *prefix, int prim, int k, sd_val x, int c,
	int stride)
{
	struct sd_name name = sd_name(prefix, "_ops.%d", k);
	struct sd_tail t;

	if (!sd_primitives[prim].pool)
		return primitive(b, name.s, prim, x, c, stride, 0);
	t = primitive(b, sd_name(name.s, "0").s, prim, x, c, stride, 0);
	return sd_layer_norm_tail(b, sd_name(name.s, "1"), sd_tail_finish(b, &t), SD_BN_EPS);
}

sd_val sd_build_mixed_op(struct sd_build *b, const char *prefix, sd_val x, int c, int stride,
	const struct sd_primitive_list *prims, enum sd_weighting weighting, sd_val weights, int row)
{
	struct sd_mix_term term[SD_MIX_TERMS];
	struct sd_shape like, s;
	struct sd_tail t;
	int affine = b->affine, k;

	if (x == SD_NIL || weights == SD_NIL)
		return SD_NIL;
	if (prims->n < 1 || prims->n > SD_MIX_TERMS)
		return sd_graph_fail(b->g, "a mixed edge has 1 to %d primitives, not %d", SD_MIX_TERMS,
			prims->n);
	like = strided(b, x, stride);
	b->affine = 0;
	for (k = 0; k < prims->n && in_table(b, prims->id[k]); k++) {
		t = mixed_term(b, prefix, prims->id[k], k, x, c, stride);
		if (t.kind != SD_MIX_NONE && t.x == SD_NIL)
			break;
		if (t.kind != SD_MIX_NONE) {
			s = *sd_shape_of(b->g, t.x);
			if (!sd_shape_equal(&s, &like)) {
				sd_graph_fail(b->g, "primitive '%s' gives %dx%dx%d where a mixed edge needs "
					"%dx%dx%d", sd_primitives[prims->id[k]].name, s.d[1], s.d[2], s.d[3],
					like.d[1], like.d[2], like.d[3]);
				break;
			}
		}
		term[k] = (struct sd_mix_term){ t.kind, t.x, t.mean, t.var, t.eps };
	}
	b->affine = affine;
	if (k < prims->n)
		return SD_NIL;
	return sd_mix(b->g, weights, row, prims->n, term, weighting, like, b->phase == SD_TRAIN);
}
