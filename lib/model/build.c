/* build.c: a builder's context, and single layers. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/layers.h"

void sd_build_init(struct sd_build *b, struct sd_graph *g, enum sd_phase phase)
{
	memset(b, 0, sizeof *b);
	b->g = g;
	b->phase = phase;
	b->ops = SD_OPS;
	b->affine = 1;
	b->drop_prob = b->step = b->ids = SD_NIL;
}

void sd_build_release(struct sd_build *b)
{
	free(b->param);
	free(b->buffer);
	free(b->update);
	b->param = b->buffer = b->update = NULL;
	b->nparam = b->nbuffer = b->nupdate = 0;
	b->cap_param = b->cap_buffer = b->cap_update = 0;
}

static void note(struct sd_build *b, sd_val **list, int *n, int *cap, sd_val v)
{
	sd_val *grown;
	int want;

	if (v == SD_NIL)
		return;
	if (*n == *cap) {
		want = *cap ? 2 * *cap : 64;
		grown = realloc(*list, (size_t)want * sizeof **list);
		if (!grown) {
			sd_graph_fail(b->g, "cannot build the network: out of memory");
			return;
		}
		*list = grown;
		*cap = want;
	}
	(*list)[(*n)++] = v;
}

void sd_build_count(const struct sd_build *b, size_t *all, size_t *without_auxiliary)
{
	size_t n;
	int i;

	*all = *without_auxiliary = 0;
	for (i = 0; i < b->nparam; i++) {
		n = sd_shape_count(sd_shape_of(b->g, b->param[i]));
		*all += n;
		if (!strstr(b->g->val[b->param[i]].name, "auxiliary"))
			*without_auxiliary += n;
	}
}

struct sd_name sd_name(const char *prefix, const char *fmt, ...)
{
	struct sd_name name;
	size_t n = 0;
	va_list ap;

	if (*prefix)
		n = (size_t)snprintf(name.s, sizeof name.s, "%s.", prefix);
	if (n >= sizeof name.s)
		n = sizeof name.s - 1;
	va_start(ap, fmt);
	vsnprintf(name.s + n, sizeof name.s - n, fmt, ap);
	va_end(ap);
	return name;
}

/* ---- parameters and buffers ---- */

sd_val sd_layer_weight(struct sd_build *b, struct sd_name layer, struct sd_shape s)
{
	sd_val v = sd_param(b->g, sd_name(layer.s, "weight").s, s);

	note(b, &b->param, &b->nparam, &b->cap_param, v);
	return v;
}

sd_val sd_layer_bias(struct sd_build *b, struct sd_name layer, int n)
{
	sd_val v = sd_param(b->g, sd_name(layer.s, "bias").s, sd_shape1(n));

	note(b, &b->param, &b->nparam, &b->cap_param, v);
	return v;
}

struct sd_norm_params sd_layer_norm_params(struct sd_build *b, struct sd_name layer, int c, float eps,
	int affine)
{
	struct sd_norm_params p = { SD_NIL, SD_NIL, SD_NIL, SD_NIL, SD_NIL, eps, affine };

	if (affine) {
		p.gamma = sd_layer_weight(b, layer, sd_shape1(c));
		p.beta = sd_layer_bias(b, layer, c);
	}
	p.rm = sd_state(b->g, sd_name(layer.s, "running_mean").s, SD_F32, sd_shape1(c));
	p.rv = sd_state(b->g, sd_name(layer.s, "running_var").s, SD_F32, sd_shape1(c));
	p.nbt = sd_state(b->g, sd_name(layer.s, "num_batches_tracked").s, SD_I32, sd_shape0());
	note(b, &b->buffer, &b->nbuffer, &b->cap_buffer, p.rm);
	note(b, &b->buffer, &b->nbuffer, &b->cap_buffer, p.rv);
	note(b, &b->buffer, &b->nbuffer, &b->cap_buffer, p.nbt);
	return p;
}

/* ---- sizes ---- */

int sd_channels(const struct sd_build *b, sd_val x)
{
	return x == SD_NIL ? 0 : sd_shape_of(b->g, x)->d[1];
}

/* Elements of one sample, the batch's first dimension left out. */
static double sample_count(const struct sd_build *b, sd_val x)
{
	const struct sd_shape *s;

	if (x == SD_NIL)
		return 0;
	s = sd_shape_of(b->g, x);
	return (double)sd_shape_count(s) / s->d[0];
}

/* ---- layers ---- */

sd_val sd_layer_conv(struct sd_build *b, struct sd_name layer, sd_val x, int c, struct sd_window win)
{
	int c_in = sd_channels(b, x);
	sd_val w, y;

	if (x == SD_NIL)
		return SD_NIL;
	w = sd_layer_weight(b, layer, sd_shape4(c, c_in, win.kh, win.kw));
	y = sd_conv(b->g, x, w, SD_NIL, win);
	b->macs += sample_count(b, y) * c_in * win.kh * win.kw;
	return y;
}

sd_val sd_layer_dwconv(struct sd_build *b, struct sd_name layer, sd_val x, struct sd_window win)
{
	sd_val w, y;

	if (x == SD_NIL)
		return SD_NIL;
	w = sd_layer_weight(b, layer, sd_shape4(sd_channels(b, x), 1, win.kh, win.kw));
	y = sd_dwconv(b->g, x, w, win);
	b->macs += sample_count(b, y) * win.kh * win.kw;
	return y;
}

sd_val sd_layer_relu(struct sd_build *b, sd_val x)
{
	b->macs += sample_count(b, x);
	return sd_relu(b->g, x);
}

sd_val sd_layer_maxpool(struct sd_build *b, sd_val x, struct sd_window win)
{
	b->macs += sample_count(b, x);
	return sd_maxpool(b->g, x, win);
}

sd_val sd_layer_avgpool(struct sd_build *b, sd_val x, struct sd_window win, int include_pad)
{
	b->macs += sample_count(b, x);
	return sd_avgpool(b->g, x, win, include_pad);
}

struct sd_tail sd_tail_raw(sd_val x)
{
	return (struct sd_tail){ SD_MIX_RAW, x, SD_NIL, SD_NIL, SD_NIL, SD_NIL, 0 };
}

struct sd_tail sd_tail_norm(struct sd_build *b, sd_val x, const struct sd_norm_params *p)
{
	struct sd_tail t = { SD_MIX_NORM, x, p->rm, p->rv, p->gamma, p->beta, p->eps };
	const struct sd_shape *s;
	sd_val token;

	if (x == SD_NIL)
		return t;
	b->macs += sample_count(b, x) * (p->affine ? 2 : 1);
	if (b->phase == SD_EVAL)
		return t;
	sd_bn_stats(b->g, x, &t.mean, &t.var);
	if (!b->no_update) {
		s = sd_shape_of(b->g, x);
		token = sd_bn_update(b->g, p->rm, p->rv, p->nbt, t.mean, t.var, s->d[0] * s->d[2] * s->d[3],
			SD_BN_MOMENTUM);
		note(b, &b->update, &b->nupdate, &b->cap_update, token);
	}
	return t;
}

struct sd_tail sd_tail_relu(struct sd_build *b, struct sd_tail t)
{
	b->macs += sample_count(b, t.x);
	t.kind = SD_MIX_NORM_RELU;
	return t;
}

sd_val sd_tail_finish(struct sd_build *b, const struct sd_tail *t)
{
	sd_val y;

	if (t->kind == SD_MIX_NONE)
		return SD_NIL;
	if (t->kind == SD_MIX_RAW)
		return t->x;
	y = sd_norm(b->g, t->x, t->mean, t->var, t->gamma, t->beta, t->eps, b->phase == SD_TRAIN);
	return t->kind == SD_MIX_NORM_RELU ? sd_relu(b->g, y) : y;
}

struct sd_tail sd_layer_norm_tail(struct sd_build *b, struct sd_name layer, sd_val x, float eps)
{
	struct sd_norm_params p = { SD_NIL, SD_NIL, SD_NIL, SD_NIL, SD_NIL, eps, b->affine };

	if (x != SD_NIL)
		p = sd_layer_norm_params(b, layer, sd_channels(b, x), eps, b->affine);
	return sd_tail_norm(b, x, &p);
}

sd_val sd_layer_norm(struct sd_build *b, struct sd_name layer, sd_val x)
{
	struct sd_tail t = sd_layer_norm_tail(b, layer, x, SD_BN_EPS);

	return sd_tail_finish(b, &t);
}

sd_val sd_layer_classifier(struct sd_build *b, const char *prefix, sd_val x, int classes)
{
	struct sd_name layer = sd_name(prefix, "classifier");
	int c = sd_channels(b, x);
	sd_val w, bias;

	if (x == SD_NIL)
		return SD_NIL;
	w = sd_layer_weight(b, layer, sd_shape2(classes, c));
	bias = sd_layer_bias(b, layer, classes);
	b->macs += sample_count(b, x) + (double)c * classes;
	return sd_linear(b->g, sd_gap(b->g, x), w, bias);
}
