/* k_norm.c: batch statistics, the elementwise loads (relu, norm, both, copy) and their backward.
 *
 * All of it is bound by memory, so each is one pass over its operands. */
#include "engine/cpu/norm.h"

/* ---- statistics ---- */

struct stats {
	const struct sd_src *x;
	struct sd_cut cut;
	double *part; /* [task][2][16]: mean, sum of squares about it */
};

static void stats_task(void *ctx, int task, int thread)
{
	const struct stats *c = ctx;
	struct sd_run r = sd_run(&c->cut, task);
	const float *x = c->x->x.p + r.at;
	v16 a = sd_lane_vec(c->x->a, r.block), b = sd_lane_vec(c->x->b, r.block);
	double *part = c->part + (size_t)task * 32;

	(void)thread;
	if (c->x->a && c->x->relu)
		sd_stats_run(x, r.n, a, b, 1, 1, part);
	else if (c->x->a)
		sd_stats_run(x, r.n, a, b, 1, 0, part);
	else if (c->x->relu)
		sd_stats_run(x, r.n, a, b, 0, 1, part);
	else
		sd_stats_run(x, r.n, a, b, 0, 0, part);
}

static void bn_stats(struct sd_par *par, const struct sd_src *x, float *mean, float *var)
{
	struct stats c = { .x = x, .cut = sd_cut(&x->x) };
	v16d all = v16d_set1((double)c.cut.pixels);

	c.part = sd_par_scratch(par, 0, (size_t)c.cut.tasks * 32 * sizeof(double));
	sd_par_run(par, c.cut.tasks, stats_task, &c);
	for (int block = 0; block < x->x.cb; block++) {
		const struct sd_blk *b = &x->x.blk[block];
		const double *part = c.part + (size_t)block * c.cut.runs * 32;
		v16d m = v16d_zero(), q = v16d_zero();
		double t[16];

		for (int i = 0; i < c.cut.runs; i++) {
			v16d n = v16d_set1((double)sd_run(&c.cut, i).n);

			m = v16d_add(m, v16d_mul(n, v16d_load(part + 32 * i)));
		}
		m = v16d_div(m, all);
		for (int i = 0; i < c.cut.runs; i++) {
			v16d n = v16d_set1((double)sd_run(&c.cut, i).n);
			v16d d = v16d_sub(v16d_load(part + 32 * i), m);

			q = v16d_add(q, v16d_add(v16d_load(part + 32 * i + 16), v16d_mul(n, v16d_mul(d, d))));
		}
		v16_store_n(mean + b->ch, v16_from_d(m), b->n);
		v16d_store(t, v16d_div(q, all));
		for (int i = 0; i < b->n; i++)
			var[b->ch + i] = t[i] < 0 ? 0 : (float)t[i];
	}
}

/* ---- load ---- */

struct load {
	const struct sd_src *x;
	const struct sd_img *gy;
	const struct sd_dst *y;
	struct sd_cut cut;
};

SD_INLINE void load_run(float *y, const float *x, size_t n, v16 a, v16 b, m16 lanes, int norm, int relu,
	int acc)
{
	for (size_t i = 0; i < n * 16; i += 16) {
		v16 v = sd_load(x + i, a, b, norm, relu);

		if (acc)
			v = v16_add(v16_load(y + i), v);
		v16_store(y + i, sd_keep(lanes, v));
	}
}

static void load_task(void *ctx, int task, int thread)
{
	const struct load *c = ctx;
	struct sd_run r = sd_run(&c->cut, task);
	float *y = c->y->y.p + r.at;
	const float *x = c->x->x.p + r.at;
	v16 a = sd_lane_vec(c->x->a, r.block), b = sd_lane_vec(c->x->b, r.block);
	m16 lanes = sd_lanes(c->x->x.blk[r.block].n);

	(void)thread;
	switch ((c->x->a != NULL) << 2 | !!c->x->relu << 1 | !!c->y->acc) {
	case 0: load_run(y, x, r.n, a, b, lanes, 0, 0, 0); break;
	case 1: load_run(y, x, r.n, a, b, lanes, 0, 0, 1); break;
	case 2: load_run(y, x, r.n, a, b, lanes, 0, 1, 0); break;
	case 3: load_run(y, x, r.n, a, b, lanes, 0, 1, 1); break;
	case 4: load_run(y, x, r.n, a, b, lanes, 1, 0, 0); break;
	case 5: load_run(y, x, r.n, a, b, lanes, 1, 0, 1); break;
	case 6: load_run(y, x, r.n, a, b, lanes, 1, 1, 0); break;
	case 7: load_run(y, x, r.n, a, b, lanes, 1, 1, 1); break;
	}
}

static void load(struct sd_par *par, const struct sd_src *x, const struct sd_dst *y)
{
	struct load c = { .x = x, .y = y, .cut = sd_cut(&x->x) };

	sd_par_run(par, c.cut.tasks, load_task, &c);
}

SD_INLINE void relu_bwd_run(float *gx, const float *gy, const float *x, size_t n, v16 a, v16 b, m16 lanes,
	int norm, int acc)
{
	for (size_t i = 0; i < n * 16; i += 16) {
		v16 v = v16_select(v16_gt(sd_load(x + i, a, b, norm, 0), v16_zero()), v16_load(gy + i),
			v16_zero());

		if (acc)
			v = v16_add(v16_load(gx + i), v);
		v16_store(gx + i, sd_keep(lanes, v));
	}
}

static void relu_bwd_task(void *ctx, int task, int thread)
{
	const struct load *c = ctx;
	struct sd_run r = sd_run(&c->cut, task);
	float *gx = c->y->y.p + r.at;
	const float *gy = c->gy->p + r.at, *x = c->x->x.p + r.at;
	v16 a = sd_lane_vec(c->x->a, r.block), b = sd_lane_vec(c->x->b, r.block);
	m16 lanes = sd_lanes(c->x->x.blk[r.block].n);

	(void)thread;
	switch ((c->x->a != NULL) << 1 | !!c->y->acc) {
	case 0: relu_bwd_run(gx, gy, x, r.n, a, b, lanes, 0, 0); break;
	case 1: relu_bwd_run(gx, gy, x, r.n, a, b, lanes, 0, 1); break;
	case 2: relu_bwd_run(gx, gy, x, r.n, a, b, lanes, 1, 0); break;
	case 3: relu_bwd_run(gx, gy, x, r.n, a, b, lanes, 1, 1); break;
	}
}

static void relu_bwd(struct sd_par *par, const struct sd_src *x, const struct sd_img *gy,
	const struct sd_dst *gx)
{
	struct load c = { .x = x, .gy = gy, .y = gx, .cut = sd_cut(&x->x) };

	sd_par_run(par, c.cut.tasks, relu_bwd_task, &c);
}

/* ---- backward ---- */

struct bwd {
	const struct sd_img *g, *x;
	const float *mean, *istd, *ma, *mb, *scale, *sg, *sgx;
	int batch;
	const struct sd_dst *gx;
	struct sd_cut cut;
	float *part; /* [task][2][16]: sums of g and of g xhat */
};

static void sums_task(void *ctx, int task, int thread)
{
	const struct bwd *c = ctx;
	struct sd_run r = sd_run(&c->cut, task);
	const float *g = c->g->p + r.at, *x = c->x->p + r.at;
	v16 mean = sd_lane_vec(c->mean, r.block), istd = sd_lane_vec(c->istd, r.block);
	v16 ma = sd_lane_vec(c->ma, r.block), mb = sd_lane_vec(c->mb, r.block);
	float *part = c->part + (size_t)task * 32;

	(void)thread;
	if (c->ma)
		sd_sums_run(g, x, r.n, mean, istd, ma, mb, 1, part);
	else
		sd_sums_run(g, x, r.n, mean, istd, ma, mb, 0, part);
}

static void norm_bwd_sums(struct sd_par *par, const struct sd_img *g, const struct sd_img *x,
	const float *mean, const float *istd, const float *ma, const float *mb, float *sg, float *sgx)
{
	struct bwd c = { .g = g, .x = x, .mean = mean, .istd = istd, .ma = ma, .mb = mb, .cut = sd_cut(x) };

	c.part = sd_par_scratch(par, 0, (size_t)c.cut.tasks * 32 * sizeof(float));
	sd_par_run(par, c.cut.tasks, sums_task, &c);
	sd_sum_runs(x, &c.cut, c.part, 2, 0, sg);
	sd_sum_runs(x, &c.cut, c.part, 2, 1, sgx);
}

static void bwd_x_task(void *ctx, int task, int thread)
{
	const struct bwd *c = ctx;
	struct sd_run r = sd_run(&c->cut, task);
	struct sd_norm_bwd k = sd_norm_bwd(c->x, r.block, c->mean, c->istd, c->ma, c->mb, c->scale, 1,
		c->sg, c->sgx, c->batch);

	(void)thread;
	sd_norm_bwd_pixels(&k, c->g->p + r.at, c->x->p + r.at, r.n, sd_lanes(c->x->blk[r.block].n),
		c->ma != NULL, c->batch, c->gx->acc, c->gx->y.p + r.at);
}

static void norm_bwd_x(struct sd_par *par, const struct sd_img *g, const struct sd_img *x,
	const float *mean, const float *istd, const float *ma, const float *mb, const float *scale,
	const float *sg, const float *sgx, int batch, const struct sd_dst *gx)
{
	struct bwd c = { .g = g, .x = x, .mean = mean, .istd = istd, .ma = ma, .mb = mb, .scale = scale,
		.sg = sg, .sgx = sgx, .batch = batch, .gx = gx, .cut = sd_cut(x) };

	sd_par_run(par, c.cut.tasks, bwd_x_task, &c);
}

void SD_K(norm)(struct sd_kernels *k)
{
	k->bn_stats = bn_stats;
	k->load = load;
	k->relu_bwd = relu_bwd;
	k->norm_bwd_sums = norm_bwd_sums;
	k->norm_bwd_x = norm_bwd_x;
}
