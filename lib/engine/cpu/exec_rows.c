/* exec_rows.c: rows, draws and the scalars of a step. */
#include "engine/cpu/exec.h"

#include <math.h>

#include "base/rng.h"

static void run_drop_mask(struct run *r)
{
	struct sd_rng_key key = { { r->n->a.key[0], r->n->a.key[1] } };
	float keep = 1 - scalar(r, r->s->in[0].x), *m = out(r, 0);
	uint32_t step = *(const uint32_t *)in(r, 1);
	const int32_t *id = in(r, 2);
	int i, n = shape(r, r->n->out)->d[0];

	for (i = 0; i < n; i++)
		m[i] = sd_rng_unit(sd_rng_word(key, step, (uint32_t)id[i], 0, 0)) < keep ? 1 / keep : 0;
}

static void run_fill(struct run *r)
{
	if (sd_is_image(r->p->g, r->n->out)) {
		struct sd_img y = sd_cpu_image(r->p, r->n->out);

		r->k->fill(r->par, r->n->a.f[0], &y);
	} else {
		size_t i, n = sd_shape_count(shape(r, r->n->out));
		float *y = out(r, 0);

		for (i = 0; i < n; i++)
			y[i] = r->n->a.f[0];
	}
}

static void run_mix_factors_bwd(struct run *r)
{
	const struct sd_shape *s = shape(r, r->n->out);
	size_t k = (size_t)s->d[1], at = (size_t)r->n->a.i[0] * k;
	float *gw = out(r, 0);
	const float *w = in(r, 0);

	memset(gw, 0, sd_shape_count(s) * sizeof(*gw));
	r->k->mix_factors_bwd(w + at, in(r, 1), (int)k, (enum sd_weighting)r->n->a.i[1], gw + at);
}

static void run_mean_bwd(struct run *r)
{
	int i, n = shape(r, r->n->out)->d[0];
	float *gx = out(r, 0), g = scalar(r, r->s->in[0].x) / (float)n;

	for (i = 0; i < n; i++)
		gx[i] = g;
}

static void run_onehot(struct run *r)
{
	const struct sd_shape *s = shape(r, r->n->out);
	float *y = out(r, 0);

	memset(y, 0, sd_shape_count(s) * sizeof(*y));
	y[r->n->a.i[0]] = scalar(r, r->s->in[0].x);
}

static void run_clip_coef(struct run *r)
{
	float c = r->n->a.f[0] / (scalar(r, r->s->in[0].x) + 1e-6f);

	*(float *)out(r, 0) = c < 1 ? c : 1;
}

static void run_axpy(struct run *r)
{
	size_t count = sd_shape_count(shape(r, r->n->out));
	const float *y = in(r, 0), *x = in(r, 2);
	float *dst = out(r, 0);

	r->k->axpy(r->par, 1, &dst, y ? &y : NULL, &x, &count, r->n->a.f[0] * scalar(r, r->s->in[1].x));
}

int sd_cpu_step_rows(struct run *r)
{
	const struct sd_kernels *k = r->k;
	const struct sd_attr *a = &r->n->a;
	const struct sd_shape *s0 = r->s->nin && r->s->in[0].x != SD_NIL ? shape(r, r->s->in[0].x) : NULL;
	const struct sd_shape *s1 = r->s->nin > 1 && r->s->in[1].x != SD_NIL ? shape(r, r->s->in[1].x) : NULL;
	const struct sd_shape *so = shape(r, r->n->out);

	switch (r->n->op) {
	case SD_OP_FILL:
		run_fill(r);
		return 0;
	case SD_OP_LINEAR: /* (N, I), (O, I), (O) */
		k->linear(r->par, in(r, 0), in(r, 1), in(r, 2), s0->d[0], s0->d[1], s1->d[0], out(r, 0));
		return 0;
	case SD_OP_LINEAR_BWD_X: /* (N, O), (O, I) */
		k->linear_bwd_x(r->par, in(r, 0), in(r, 1), s0->d[0], s1->d[1], s1->d[0], out(r, 0));
		return 0;
	case SD_OP_LINEAR_BWD_W: /* (N, I), (N, O) */
		k->linear_bwd_w(r->par, in(r, 0), in(r, 1), s0->d[0], s0->d[1], s1->d[1], out(r, 0));
		return 0;
	case SD_OP_LINEAR_BWD_B:
		k->linear_bwd_b(r->par, in(r, 0), s0->d[0], s0->d[1], out(r, 0));
		return 0;
	case SD_OP_SOFTMAX:
		k->softmax(in(r, 0), s0->d[0], s0->d[1], out(r, 0));
		return 0;
	case SD_OP_SOFTMAX_BWD:
		k->softmax_bwd(in(r, 0), in(r, 1), s0->d[0], s0->d[1], out(r, 0));
		return 0;
	case SD_OP_MIX_FACTORS:
		k->mix_factors((const float *)in(r, 0) + (size_t)a->i[0] * (size_t)s0->d[1], s0->d[1],
			(enum sd_weighting)a->i[1], out(r, 0));
		return 0;
	case SD_OP_MIX_FACTORS_BWD:
		run_mix_factors_bwd(r);
		return 0;
	case SD_OP_ONEHOT:
		run_onehot(r);
		return 0;
	case SD_OP_XENT:
		k->xent(in(r, 0), in(r, 1), s0->d[0], s0->d[1], a->eps, out(r, 0));
		return 0;
	case SD_OP_XENT_BWD:
		k->xent_bwd(in(r, 0), in(r, 1), in(r, 2), s0->d[0], s0->d[1], a->eps, out(r, 0));
		return 0;
	case SD_OP_RANK:
		k->rank(in(r, 0), in(r, 1), s0->d[0], s0->d[1], out(r, 0));
		return 0;
	case SD_OP_ARGMAX:
		k->argmax(in(r, 0), s0->d[0], s0->d[1], out(r, 0));
		return 0;
	case SD_OP_MEAN:
		k->mean(in(r, 0), s0->d[0], out(r, 0));
		return 0;
	case SD_OP_MEAN_BWD:
		run_mean_bwd(r);
		return 0;
	case SD_OP_WSUM:
		k->wsum(in(r, 0), a->f[0], in(r, 1), a->f[1], sd_shape_count(so), out(r, 0));
		return 0;
	case SD_OP_DROP_MASK:
		run_drop_mask(r);
		return 0;
	case SD_OP_CLIP_COEF:
		run_clip_coef(r);
		return 0;
	case SD_OP_RATIO:
		*(float *)out(r, 0) = scalar(r, r->s->in[0].x) / scalar(r, r->s->in[1].x);
		return 0;
	case SD_OP_FINITE:
		*(int32_t *)out(r, 0) = isfinite(scalar(r, r->s->in[0].x)) != 0;
		return 0;
	case SD_OP_AXPY:
		run_axpy(r);
		return 0;
	default:
		return 1;
	}
}
