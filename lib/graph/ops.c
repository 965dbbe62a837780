/* ops.c: the builders of images: each checks the shapes of its operands and gives the shape of its result. */
#include "graph/builder.h"

#include <stdlib.h>
#include <string.h>

/* An operand as an image: an input is imported. */
static sd_val image(struct sd_graph *g, sd_val x, const char *what)
{
	struct sd_attr a = { 0 };
	const struct sd_value *v;

	if (g->failed || x == SD_NIL)
		return SD_NIL;
	v = &g->val[x];
	if (v->shape.n != 4 || v->dtype != SD_F32)
		return sd_graph_fail(g, "%s: operand is no image (N, C, H, W)", what);
	if (v->cls == SD_TEMP)
		return x;
	return sd_node_add(g, SD_OP_IMPORT, 1, &x, 1, &v->shape, SD_F32, &a);
}

static int window_out(int in, int k, int s, int p, int d)
{
	int span = in + 2 * p - d * (k - 1) - 1;

	return span < 0 ? 0 : span / s + 1;
}

static struct sd_shape window_shape(const struct sd_shape *x, int c, const struct sd_window *w)
{
	return sd_shape4(x->d[0], c, window_out(x->d[2], w->kh, w->sh, w->ph, w->dh),
		window_out(x->d[3], w->kw, w->sw, w->pw, w->dw));
}

sd_val sd_relaid(struct sd_graph *g, sd_val v, sd_val like)
{
	const struct sd_value *x, *y;
	struct sd_attr a = { 0 };
	struct sd_shape s;
	int i;

	if (g->failed || v == SD_NIL || like == SD_NIL)
		return SD_NIL;
	if (sd_is_image(g, like))
		v = image(g, v, "gradient"); /* one that is fed */
	if (v == SD_NIL)
		return SD_NIL;
	x = &g->val[v];
	y = &g->val[like];
	if (x->nseg == y->nseg && (x->nseg == 0 || !memcmp(x->seg, y->seg, sizeof(*x->seg) * (size_t)x->nseg)))
		return v;
	a.i[1] = x->shape.d[1];
	for (i = 0; i < y->nseg; i++) /* copies for different layouts are different nodes */
		a.key[0] = a.key[0] * 31 + (uint32_t)y->seg[i];
	s = x->shape;
	return sd_like(g, op1(g, SD_OP_SLICE, 1, &v, s, SD_F32, &a), like);
}

sd_val sd_fill(struct sd_graph *g, struct sd_shape s, float value)
{
	struct sd_attr a = { .f = { value } };

	return op1(g, SD_OP_FILL, 0, NULL, s, SD_F32, &a);
}

sd_val sd_zero(struct sd_graph *g, struct sd_shape s)
{
	return sd_fill(g, s, 0);
}

sd_val sd_relu(struct sd_graph *g, sd_val x)
{
	x = image(g, x, "relu");
	if (x == SD_NIL)
		return SD_NIL;
	return sd_like(g, op1(g, SD_OP_RELU, 1, &x, *shape(g, x), SD_F32, NULL), x);
}

sd_val sd_add(struct sd_graph *g, int n, const sd_val *x)
{
	sd_val y, *in;
	int i;

	if (g->failed)
		return SD_NIL;
	if (n < 1)
		return sd_graph_fail(g, "add: no operands");
	for (i = 0; i < n; i++) {
		if (x[i] == SD_NIL)
			return SD_NIL;
		if (!sd_shape_equal(shape(g, x[i]), shape(g, x[0])) || g->val[x[i]].dtype != SD_F32)
			return sd_graph_fail(g, "add: operands 0 and %d differ in shape", i);
	}
	if (n == 1)
		return x[0];
	in = malloc(sizeof(*in) * (size_t)n);
	if (!in)
		return sd_graph_fail(g, "add: out of memory");
	for (i = 0; i < n; i++)
		in[i] = sd_relaid(g, x[i], x[0]);
	y = op1(g, SD_OP_ADD, n, in, *shape(g, x[0]), SD_F32, NULL);
	free(in);
	return sd_like(g, y, x[0]); /* an image, or gradients of a weight */
}

sd_val sd_concat(struct sd_graph *g, int n, const sd_val *x)
{
	int i, j, c = 0, nseg = 0, *seg;
	struct sd_shape s;
	sd_val y;

	if (g->failed)
		return SD_NIL;
	for (i = 0; i < n; i++) {
		if (x[i] == SD_NIL)
			return SD_NIL;
		if (!sd_is_image(g, x[i]))
			return sd_graph_fail(g, "concat: operand %d is no image", i);
		s = *shape(g, x[i]);
		c += s.d[1];
		nseg += g->val[x[i]].nseg;
		s.d[1] = shape(g, x[0])->d[1];
		if (!sd_shape_equal(&s, shape(g, x[0])))
			return sd_graph_fail(g, "concat: operands 0 and %d differ in size", i);
	}
	if (n == 1)
		return x[0];
	s = *shape(g, x[0]);
	s.d[1] = c;
	y = op1(g, SD_OP_CONCAT, n, x, s, SD_F32, NULL);
	if (y == SD_NIL || g->val[y].nseg == nseg)
		return y;
	seg = sd_graph_own(g, malloc(sizeof(*seg) * (size_t)nseg));
	if (!seg)
		return SD_NIL;
	for (nseg = i = 0; i < n; i++)
		for (j = 0; j < g->val[x[i]].nseg; j++)
			seg[nseg++] = g->val[x[i]].seg[j];
	g->val[y].seg = seg;
	g->val[y].nseg = nseg;
	return y;
}

sd_val sd_slice(struct sd_graph *g, sd_val x, int first, int count)
{
	struct sd_attr a = { .i = { first, count } };
	const struct sd_value *v;
	struct sd_shape s;
	int c = 0, i, j;
	sd_val y;

	x = image(g, x, "slice");
	if (x == SD_NIL)
		return SD_NIL;
	s = *shape(g, x);
	if (first < 0 || count < 1 || first + count > s.d[1])
		return sd_graph_fail(g, "slice: channels %d to %d of %d", first, first + count - 1, s.d[1]);
	s.d[1] = count;
	y = op1(g, SD_OP_SLICE, 1, &x, s, SD_F32, &a);
	if (y == SD_NIL)
		return SD_NIL;
	/* whole segments keep their list, so that the slice is a view */
	v = &g->val[x];
	for (i = 0; i < v->nseg && c < first; i++)
		c += v->seg[i];
	for (j = i; j < v->nseg && c < first + count; j++)
		c += v->seg[j];
	if (c == first + count && j > i) {
		g->val[y].seg = v->seg + i;
		g->val[y].nseg = j - i;
	}
	return y;
}

sd_val sd_conv(struct sd_graph *g, sd_val x, sd_val w, sd_val bias, struct sd_window win)
{
	struct sd_attr a = { .win = win };
	sd_val in[3];

	x = image(g, x, "conv");
	if (x == SD_NIL || w == SD_NIL)
		return SD_NIL;
	if (!is(g, w, SD_F32, 4, -1, shape(g, x)->d[1]) || shape(g, w)->d[2] != win.kh ||
			shape(g, w)->d[3] != win.kw)
		return sd_graph_fail(g, "conv: weight '%s' doesn't fit %d channels and a %dx%d window",
			g->val[w].name ? g->val[w].name : "?", shape(g, x)->d[1], win.kh, win.kw);
	if (bias != SD_NIL && !is(g, bias, SD_F32, 1, shape(g, w)->d[0], 0))
		return sd_graph_fail(g, "conv: bias doesn't fit %d channels", shape(g, w)->d[0]);
	in[0] = x, in[1] = w, in[2] = bias;
	return op1(g, SD_OP_CONV, 3, in, window_shape(shape(g, x), shape(g, w)->d[0], &win), SD_F32, &a);
}

sd_val sd_dwconv(struct sd_graph *g, sd_val x, sd_val w, struct sd_window win)
{
	struct sd_attr a = { .win = win };
	sd_val in[2];

	x = image(g, x, "dwconv");
	if (x == SD_NIL || w == SD_NIL)
		return SD_NIL;
	if (!is(g, w, SD_F32, 4, shape(g, x)->d[1], 1) || shape(g, w)->d[2] != win.kh ||
			shape(g, w)->d[3] != win.kw)
		return sd_graph_fail(g, "dwconv: weight '%s' doesn't fit %d channels and a %dx%d window",
			g->val[w].name ? g->val[w].name : "?", shape(g, x)->d[1], win.kh, win.kw);
	in[0] = x, in[1] = w;
	return sd_like(g, op1(g, SD_OP_DWCONV, 2, in, window_shape(shape(g, x), shape(g, x)->d[1], &win),
		SD_F32, &a), x);
}

sd_val sd_frconv(struct sd_graph *g, sd_val x, sd_val w1, sd_val w2)
{
	const struct sd_shape *s;
	sd_val in[3];

	x = image(g, x, "frconv");
	if (x == SD_NIL || w1 == SD_NIL || w2 == SD_NIL)
		return SD_NIL;
	s = shape(g, x);
	if (!is(g, w1, SD_F32, 4, -1, s->d[1]) || !is(g, w2, SD_F32, 4, -1, s->d[1]))
		return sd_graph_fail(g, "frconv: weights don't fit %d channels", s->d[1]);
	in[0] = x, in[1] = w1, in[2] = w2;
	return op1(g, SD_OP_FRCONV, 3, in, sd_shape4(s->d[0], shape(g, w1)->d[0] + shape(g, w2)->d[0],
		(s->d[2] + 1) / 2, (s->d[3] + 1) / 2), SD_F32, NULL);
}

sd_val sd_maxpool(struct sd_graph *g, sd_val x, struct sd_window win)
{
	struct sd_attr a = { .win = win };

	x = image(g, x, "maxpool");
	if (x == SD_NIL)
		return SD_NIL;
	return sd_like(g, op1(g, SD_OP_MAXPOOL, 1, &x, window_shape(shape(g, x), shape(g, x)->d[1], &win),
		SD_F32, &a), x);
}

sd_val sd_avgpool(struct sd_graph *g, sd_val x, struct sd_window win, int include_pad)
{
	struct sd_attr a = { .win = win, .i = { include_pad } };

	x = image(g, x, "avgpool");
	if (x == SD_NIL)
		return SD_NIL;
	return sd_like(g, op1(g, SD_OP_AVGPOOL, 1, &x, window_shape(shape(g, x), shape(g, x)->d[1], &win),
		SD_F32, &a), x);
}

void sd_bn_stats(struct sd_graph *g, sd_val x, sd_val *mean, sd_val *var)
{
	static const struct sd_attr a;
	struct sd_shape s[2];

	*mean = *var = SD_NIL;
	x = image(g, x, "bn_stats");
	if (x == SD_NIL)
		return;
	s[0] = s[1] = sd_shape1(shape(g, x)->d[1]);
	*mean = sd_node_add(g, SD_OP_BN_STATS, 1, &x, 2, s, SD_F32, &a);
	*var = *mean == SD_NIL ? SD_NIL : *mean + 1;
}

sd_val sd_norm(struct sd_graph *g, sd_val x, sd_val mean, sd_val var, sd_val gamma, sd_val beta,
	float eps, int batch)
{
	struct sd_attr a = { .eps = eps, .i = { batch } };
	sd_val in[5];
	int c;

	x = image(g, x, "norm");
	if (x == SD_NIL || mean == SD_NIL || var == SD_NIL)
		return SD_NIL;
	c = shape(g, x)->d[1];
	if (!is(g, mean, SD_F32, 1, c, 0) || !is(g, var, SD_F32, 1, c, 0) || (gamma == SD_NIL) != (beta == SD_NIL) ||
			(gamma != SD_NIL && (!is(g, gamma, SD_F32, 1, c, 0) || !is(g, beta, SD_F32, 1, c, 0))))
		return sd_graph_fail(g, "norm: statistics or scale don't fit %d channels", c);
	in[0] = x, in[1] = mean, in[2] = var, in[3] = gamma, in[4] = beta;
	return sd_like(g, op1(g, SD_OP_NORM, 5, in, *shape(g, x), SD_F32, &a), x);
}

sd_val sd_scale_rows(struct sd_graph *g, sd_val x, sd_val m)
{
	sd_val in[2];

	x = image(g, x, "scale_rows");
	if (x == SD_NIL || m == SD_NIL)
		return SD_NIL;
	if (!is(g, m, SD_F32, 1, shape(g, x)->d[0], 0))
		return sd_graph_fail(g, "scale_rows: factors don't fit a batch of %d", shape(g, x)->d[0]);
	in[0] = x, in[1] = m;
	return sd_like(g, op1(g, SD_OP_SCALE_ROWS, 2, in, *shape(g, x), SD_F32, NULL), x);
}

sd_val sd_gap(struct sd_graph *g, sd_val x)
{
	x = image(g, x, "gap");
	if (x == SD_NIL)
		return SD_NIL;
	return op1(g, SD_OP_GAP, 1, &x, sd_shape2(shape(g, x)->d[0], shape(g, x)->d[1]), SD_F32, NULL);
}

/* ---- the mixed edge ---- */

/* The same sum from ops of their own: a check on the fused op. */
static sd_val mix_unfused(struct sd_graph *g, sd_val f, int nterm, const struct sd_mix_term *t,
	struct sd_shape like, int batch)
{
	sd_val sum[SD_MIX_TERMS], in[2];
	int k, n = 0;

	for (k = 0; k < nterm; k++) {
		struct sd_attr a = { .i = { k } };
		sd_val x = t[k].x;

		if (t[k].kind == SD_MIX_NONE)
			continue;
		if (t[k].kind == SD_MIX_RAW)
			x = image(g, x, "mix");
		else
			x = sd_norm(g, x, t[k].mean, t[k].var, SD_NIL, SD_NIL, t[k].eps, batch);
		if (t[k].kind == SD_MIX_NORM_RELU)
			x = sd_relu(g, x);
		if (x == SD_NIL)
			return SD_NIL;
		in[0] = x, in[1] = f;
		sum[n++] = sd_like(g, op1(g, SD_OP_SCALE, 2, in, *shape(g, x), SD_F32, &a), x);
	}
	return n ? sd_add(g, n, sum) : sd_zero(g, like);
}

sd_val sd_mix(struct sd_graph *g, sd_val w, int row, int nterm, const struct sd_mix_term *t,
	enum sd_weighting weighting, struct sd_shape like, int batch)
{
	struct sd_attr fa = { .i = { row, (int)weighting } }, a = { .i = { batch }, .nterm = nterm };
	sd_val in[1 + 3 * SD_MIX_TERMS], f;
	int k, normed;

	if (g->failed || w == SD_NIL)
		return SD_NIL;
	if (nterm < 1 || nterm > SD_MIX_TERMS || !is(g, w, SD_F32, 2, -1, nterm) || row < 0 ||
			row >= shape(g, w)->d[0])
		return sd_graph_fail(g, "mix: weights don't fit row %d of %d terms (at most %d)", row, nterm,
			SD_MIX_TERMS);
	f = op1(g, SD_OP_MIX_FACTORS, 1, &w, sd_shape1(nterm), SD_F32, &fa);
	if (f == SD_NIL)
		return SD_NIL;
	for (k = 0; k < nterm; k++) {
		if (t[k].kind == SD_MIX_NONE)
			continue;
		if (t[k].x == SD_NIL)
			return SD_NIL;
		if (!sd_shape_equal(shape(g, t[k].x), &like))
			return sd_graph_fail(g, "mix: term %d is %dx%d where the edge is %dx%d", k,
				shape(g, t[k].x)->d[2], shape(g, t[k].x)->d[3], like.d[2], like.d[3]);
		if (g->val[t[k].x].nseg > 1)
			return sd_graph_fail(g, "mix: term %d is a concat", k);
		normed = t[k].kind != SD_MIX_RAW;
		if (normed && (t[k].mean == SD_NIL || t[k].var == SD_NIL))
			return SD_NIL;
	}
	if (g->unfused)
		return mix_unfused(g, f, nterm, t, like, batch);
	in[0] = f;
	for (k = 0; k < nterm; k++) {
		normed = t[k].kind == SD_MIX_NORM || t[k].kind == SD_MIX_NORM_RELU;
		a.kind[k] = (uint8_t)t[k].kind;
		a.term_eps[k] = normed ? t[k].eps : 0;
		in[1 + 3 * k] = t[k].kind == SD_MIX_NONE ? SD_NIL : image(g, t[k].x, "mix");
		in[2 + 3 * k] = normed ? t[k].mean : SD_NIL;
		in[3 + 3 * k] = normed ? t[k].var : SD_NIL;
	}
	return op1(g, SD_OP_MIX, 1 + 3 * nterm, in, like, SD_F32, &a);
}
