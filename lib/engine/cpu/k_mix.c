/* k_mix.c: a mixed edge of the supernet as one op (DESIGN.md section 5): out = sum over k of f_k t_k.
 *
 * Forward and backward each read every term once.  The pixels are taken in small tiles, the terms one
 * after another within a tile, so that choosing what a term is costs once a tile. */
#include "engine/cpu/chunk.h"

/* Pixels between what is read of a term and what is asked for: cores do not see by themselves that a run of a few
 * pixels goes on where the other terms' come between. */
#define AHEAD 32

/* ---- forward ---- */

#define TILE (SD_V16_REGS >= 32 ? 8 : 2) /* pixels whose sums stay in registers */

struct mix {
	const struct sd_mix_arg *arg;
	const float *f;
	const struct sd_dst *y;
	struct sd_cut cut;
};

/* s[i] += f t(x[i]); norm, relu and n are constants where this is inlined. */
SD_INLINE void mix_term(v16 *s, const float *x, v16 a, v16 b, v16 f, int norm, int relu, int n)
{
	SD_UNROLL(8)
	for (int i = 0; i < n; i++) {
		__builtin_prefetch(x + 16 * (i + AHEAD));
		s[i] = v16_fma(f, sd_load(x + 16 * i, a, b, norm, relu), s[i]);
	}
}

SD_INLINE void mix_tile(const struct mix *c, const struct sd_run *r, size_t at, m16 lanes, int n)
{
	const struct sd_mix_arg *arg = c->arg;
	float *y = c->y->y.p + at;
	v16 s[TILE];

	SD_UNROLL(8)
	for (int i = 0; i < n; i++)
		s[i] = v16_zero();
	for (int k = 0; k < arg->nterm; k++) {
		v16 f = v16_bcast(c->f + k), a, b;
		const float *x;

		if (arg->t[k].kind == SD_MIX_NONE)
			continue;
		x = arg->t[k].x.p + at;
		if (arg->t[k].kind == SD_MIX_RAW) {
			mix_term(s, x, f, f, f, 0, 0, n);
			continue;
		}
		a = v16_load(arg->t[k].a + 16 * r->block);
		b = v16_load(arg->t[k].b + 16 * r->block);
		if (arg->t[k].kind == SD_MIX_NORM)
			mix_term(s, x, a, b, f, 1, 0, n);
		else
			mix_term(s, x, a, b, f, 1, 1, n);
	}
	SD_UNROLL(8)
	for (int i = 0; i < n; i++) {
		if (c->y->acc)
			s[i] = v16_add(v16_load(y + 16 * i), s[i]);
		v16_store(y + 16 * i, sd_keep(lanes, s[i]));
	}
}

static void mix_task(void *ctx, int task, int thread)
{
	const struct mix *c = ctx;
	struct sd_run r = sd_run(&c->cut, task);
	m16 lanes = sd_lanes(c->y->y.blk[r.block].n);
	size_t i = 0;

	(void)thread;
	for (; i + TILE <= r.n; i += TILE)
		mix_tile(c, &r, r.at + 16 * i, lanes, TILE);
	for (; i < r.n; i++)
		mix_tile(c, &r, r.at + 16 * i, lanes, 1);
}

static void mix(struct sd_par *par, const struct sd_mix_arg *arg, const float *f, const struct sd_dst *y)
{
	struct mix c = { .arg = arg, .f = f, .y = y, .cut = sd_cut(&y->y) };

	sd_par_run(par, c.cut.tasks, mix_task, &c);
}

/* ---- backward sums ---- */

#define STRIP 32 /* pixels of g that stay in the first-level cache while the terms pass; divides by SD_WAYS */

struct mix_bwd {
	const struct sd_mix_arg *arg;
	const struct sd_img *g;
	struct sd_cut cut;
	float *part; /* [task][nterm][2][16]: sums of (masked) g and of (masked) g xhat or, RAW, of g x */
};

/* One pixel: what a term adds to its two sums.  kind is a constant where this is inlined. */
SD_INLINE void mix_bwd_pixel(v16 *s, v16 *q, const float *g, const float *x, v16 mean, v16 a, v16 b, int kind)
{
	v16 xi = v16_load(x), gi = sd_masked(v16_load(g), xi, a, b, kind == SD_MIX_NORM_RELU);

	__builtin_prefetch(x + 16 * AHEAD);
	if (kind == SD_MIX_NORM_RELU)
		*s = v16_add(*s, gi);
	*q = v16_fma(gi, kind == SD_MIX_RAW ? xi : v16_sub(xi, mean), *q);
}
SD_INLINE void mix_bwd_strip(v16 (*acc)[SD_WAYS], const float *g, const float *x, int n, v16 mean, v16 a,
	v16 b, int kind)
{
	v16 s[SD_WAYS], q[SD_WAYS];
	int i = 0;

	for (int j = 0; j < SD_WAYS; j++) {
		if (kind == SD_MIX_NORM_RELU)
			s[j] = acc[0][j];
		q[j] = acc[1][j];
	}
	for (; i + SD_WAYS <= n; i += SD_WAYS)
		SD_UNROLL(4)
		for (int j = 0; j < SD_WAYS; j++)
			mix_bwd_pixel(&s[j], &q[j], g + 16 * (i + j), x + 16 * (i + j), mean, a, b, kind);
	SD_UNROLL(4)
	for (int j = 0; j < SD_WAYS; j++)
		if (i + j < n)
			mix_bwd_pixel(&s[j], &q[j], g + 16 * (i + j), x + 16 * (i + j), mean, a, b, kind);
	for (int j = 0; j < SD_WAYS; j++) {
		if (kind == SD_MIX_NORM_RELU)
			acc[0][j] = s[j];
		acc[1][j] = q[j];
	}
}

static void mix_bwd_task(void *ctx, int task, int thread)
{
	const struct mix_bwd *c = ctx;
	const struct sd_mix_arg *arg = c->arg;
	struct sd_run r = sd_run(&c->cut, task);
	float *part = c->part + (size_t)task * arg->nterm * 32;
	v16 acc[SD_MIX_MAX][2][SD_WAYS], sum[SD_WAYS], zero = v16_zero();

	(void)thread;
	for (int k = 0; k < arg->nterm; k++)
		for (int j = 0; j < SD_WAYS; j++)
			acc[k][0][j] = acc[k][1][j] = zero;
	for (int j = 0; j < SD_WAYS; j++)
		sum[j] = zero;
	for (size_t p = 0; p < r.n; p += STRIP) {
		int n = r.n - p < STRIP ? (int)(r.n - p) : STRIP;
		const float *g = c->g->p + r.at + 16 * p;

		for (int i = 0; i < n; i++)
			sum[i % SD_WAYS] = v16_add(sum[i % SD_WAYS], v16_load(g + 16 * i));
		for (int k = 0; k < arg->nterm; k++) {
			const float *x;
			v16 mean, a, b;

			if (arg->t[k].kind == SD_MIX_NONE)
				continue;
			x = arg->t[k].x.p + r.at + 16 * p;
			if (arg->t[k].kind == SD_MIX_RAW) {
				mix_bwd_strip(acc[k], g, x, n, zero, zero, zero, SD_MIX_RAW);
				continue;
			}
			mean = v16_load(arg->t[k].mean + 16 * r.block);
			a = v16_load(arg->t[k].a + 16 * r.block);
			b = v16_load(arg->t[k].b + 16 * r.block);
			if (arg->t[k].kind == SD_MIX_NORM)
				mix_bwd_strip(acc[k], g, x, n, mean, a, b, SD_MIX_NORM);
			else
				mix_bwd_strip(acc[k], g, x, n, mean, a, b, SD_MIX_NORM_RELU);
		}
	}
	for (int k = 0; k < arg->nterm; k++) {
		v16 q = sd_ways(acc[k][1]);

		if (arg->t[k].kind == SD_MIX_NORM || arg->t[k].kind == SD_MIX_NORM_RELU)
			q = v16_mul(q, v16_load(arg->t[k].istd + 16 * r.block));
		v16_store(part + 32 * k, sd_ways(arg->t[k].kind == SD_MIX_NORM ? sum : acc[k][0]));
		v16_store(part + 32 * k + 16, q);
	}
}

static void mix_bwd_sums(struct sd_par *par, const struct sd_mix_arg *arg, const struct sd_img *g, float *s,
	float *sg, float *sgx)
{
	struct mix_bwd c = { .arg = arg, .g = g, .cut = sd_cut(g) };
	int nk = 2 * arg->nterm;

	c.part = sd_par_scratch(par, 0, (size_t)c.cut.tasks * nk * 16 * sizeof(float));
	sd_par_run(par, c.cut.tasks, mix_bwd_task, &c);
	for (int k = 0; k < arg->nterm; k++) {
		float *to = sgx + (size_t)k * g->c;
		double t = 0;

		sd_sum_runs(g, &c.cut, c.part, nk, 2 * k, sg + (size_t)k * g->c);
		sd_sum_runs(g, &c.cut, c.part, nk, 2 * k + 1, to);
		for (int i = 0; i < g->c; i++)
			t += to[i];
		s[k] = (float)t;
		if (arg->t[k].kind == SD_MIX_RAW)
			memset(to, 0, g->c * sizeof(*to));
	}
}

/* ---- backward of one term ---- */

struct term {
	const struct sd_mix_arg *arg;
	int k;
	const float *f, *sg, *sgx;
	const struct sd_img *g;
	int batch;
	const struct sd_dst *gx;
	struct sd_cut cut;
};

static void term_task(void *ctx, int task, int thread)
{
	const struct term *c = ctx;
	const struct sd_img *x = &c->arg->t[c->k].x;
	const float *istd = c->arg->t[c->k].istd;
	int relu = c->arg->t[c->k].kind == SD_MIX_NORM_RELU, raw = c->arg->t[c->k].kind == SD_MIX_RAW;
	struct sd_run r = sd_run(&c->cut, task);
	m16 lanes = sd_lanes(c->g->blk[r.block].n);
	size_t row = (size_t)c->k * c->g->c;
	struct sd_norm_bwd k = { .scale = v16_bcast(c->f + c->k) };

	(void)thread;
	if (!raw)
		k = sd_norm_bwd(c->g, r.block, c->arg->t[c->k].mean, istd, relu ? c->arg->t[c->k].a : NULL,
			relu ? c->arg->t[c->k].b : NULL, istd, c->f[c->k], c->sg + row, c->sgx + row,
			c->batch);
	sd_norm_bwd_pixels(&k, c->g->p + r.at, x->p + r.at, r.n, lanes, relu, !raw && c->batch, c->gx->acc,
		c->gx->y.p + r.at);
}

static void mix_bwd_x(struct sd_par *par, const struct sd_mix_arg *arg, int k, const float *f,
	const struct sd_img *g, const float *sg, const float *sgx, int batch, const struct sd_dst *gx)
{
	struct term c = { .arg = arg, .k = k, .f = f, .sg = sg, .sgx = sgx, .g = g, .batch = batch, .gx = gx,
		.cut = sd_cut(g) };

	sd_par_run(par, c.cut.tasks, term_task, &c);
}

void SD_K(mix)(struct sd_kernels *k)
{
	k->mix = mix;
	k->mix_bwd_sums = mix_bwd_sums;
	k->mix_bwd_x = mix_bwd_x;
}
