/* k_image.c: sums, scalings and copies of images, and the way between rows and blocks. */
#include "engine/cpu/chunk.h"

/* ---- elementwise ---- */

struct image {
	int n;
	const struct sd_src *x;
	const struct sd_img *b;
	const float *f;         /* scale: one factor; scale_rows: one a sample */
	float value;
	const struct sd_dst *y;
	struct sd_cut cut;
	float *part;            /* [task][16] */
};

static void fill_task(void *ctx, int task, int thread)
{
	const struct image *c = ctx;
	struct sd_run r = sd_run(&c->cut, task);
	v16 v = sd_keep(sd_lanes(c->b->blk[r.block].n), v16_set1(c->value));

	(void)thread;
	for (size_t i = 0; i < r.n; i++)
		v16_store(c->b->p + r.at + 16 * i, v);
}

static void fill(struct sd_par *par, float value, const struct sd_img *y)
{
	struct image c = { .b = y, .value = value, .cut = sd_cut(y) };

	sd_par_run(par, c.cut.tasks, fill_task, &c);
}

#define TILE (SD_V16_REGS >= 32 ? 8 : 2)

/* s[i] = x[i] or s[i] + x[i]; norm, relu, first and n are constants where this is inlined. */
SD_INLINE void add_operand(v16 *s, const float *x, v16 a, v16 b, int norm, int relu, int first, int n)
{
	SD_UNROLL(8)
	for (int i = 0; i < n; i++) {
		v16 v = sd_load(x + 16 * i, a, b, norm, relu);

		s[i] = first ? v : v16_add(s[i], v);
	}
}

SD_INLINE void add_tile(const struct image *c, int block, size_t at, m16 lanes, int n)
{
	float *y = c->y->y.p + at;
	v16 s[TILE];

	for (int i = 0; i < n; i++)
		s[i] = v16_zero();
	for (int k = 0; k < c->n; k++) {
		const float *x = c->x[k].x.p + at;
		v16 a = sd_lane_vec(c->x[k].a, block), b = sd_lane_vec(c->x[k].b, block);

		switch ((c->x[k].a != NULL) << 2 | !!c->x[k].relu << 1 | !k) {
		case 0: add_operand(s, x, a, b, 0, 0, 0, n); break;
		case 1: add_operand(s, x, a, b, 0, 0, 1, n); break;
		case 2: add_operand(s, x, a, b, 0, 1, 0, n); break;
		case 3: add_operand(s, x, a, b, 0, 1, 1, n); break;
		case 4: add_operand(s, x, a, b, 1, 0, 0, n); break;
		case 5: add_operand(s, x, a, b, 1, 0, 1, n); break;
		case 6: add_operand(s, x, a, b, 1, 1, 0, n); break;
		case 7: add_operand(s, x, a, b, 1, 1, 1, n); break;
		}
	}
	SD_UNROLL(8)
	for (int i = 0; i < n; i++) {
		if (c->y->acc)
			s[i] = v16_add(v16_load(y + 16 * i), s[i]);
		v16_store(y + 16 * i, sd_keep(lanes, s[i]));
	}
}

static void add_task(void *ctx, int task, int thread)
{
	const struct image *c = ctx;
	struct sd_run r = sd_run(&c->cut, task);
	m16 lanes = sd_lanes(c->y->y.blk[r.block].n);
	size_t i = 0;

	(void)thread;
	for (; i + TILE <= r.n; i += TILE)
		add_tile(c, r.block, r.at + 16 * i, lanes, TILE);
	for (; i < r.n; i++)
		add_tile(c, r.block, r.at + 16 * i, lanes, 1);
}

static void add(struct sd_par *par, int n, const struct sd_src *x, const struct sd_dst *y)
{
	struct image c = { .n = n, .x = x, .y = y, .cut = sd_cut(&y->y) };

	sd_par_run(par, c.cut.tasks, add_task, &c);
}

static void scale_run(const struct image *c, int block, size_t at, size_t n, v16 f)
{
	const float *x = c->x->x.p + at;
	float *y = c->y->y.p + at;
	v16 a = sd_lane_vec(c->x->a, block), b = sd_lane_vec(c->x->b, block);
	m16 lanes = sd_lanes(c->y->y.blk[block].n);

	for (size_t i = 0; i < n * 16; i += 16) {
		v16 v = v16_mul(sd_load(x + i, a, b, c->x->a != NULL, c->x->relu), f);

		if (c->y->acc)
			v = v16_add(v16_load(y + i), v);
		v16_store(y + i, sd_keep(lanes, v));
	}
}

static void scale_task(void *ctx, int task, int thread)
{
	const struct image *c = ctx;
	struct sd_run r = sd_run(&c->cut, task);

	(void)thread;
	scale_run(c, r.block, r.at, r.n, v16_bcast(c->f));
}

static void scale(struct sd_par *par, const struct sd_src *x, const float *f, const struct sd_dst *y)
{
	struct image c = { .x = x, .f = f, .y = y, .cut = sd_cut(&y->y) };

	sd_par_run(par, c.cut.tasks, scale_task, &c);
}

static void scale_rows_task(void *ctx, int task, int thread)
{
	const struct image *c = ctx;
	struct sd_run r = sd_run(&c->cut, task);
	size_t plane = (size_t)c->x->x.h * c->x->x.w, done = 0;

	(void)thread;
	while (done < r.n) {
		size_t row = (r.first + done) / plane, n = (row + 1) * plane - (r.first + done);

		n = n < r.n - done ? n : r.n - done;
		scale_run(c, r.block, r.at + 16 * done, n, v16_bcast(c->f + row));
		done += n;
	}
}

static void scale_rows(struct sd_par *par, const struct sd_src *x, const float *m, const struct sd_dst *y)
{
	struct image c = { .x = x, .f = m, .y = y, .cut = sd_cut(&y->y) };

	sd_par_run(par, c.cut.tasks, scale_rows_task, &c);
}

/* ---- sums ---- */

static void dot_task(void *ctx, int task, int thread)
{
	const struct image *c = ctx;
	struct sd_run r = sd_run(&c->cut, task);
	const float *x = c->x->x.p + r.at, *b = c->b->p + r.at;
	v16 ca = sd_lane_vec(c->x->a, r.block), cb = sd_lane_vec(c->x->b, r.block), s[SD_WAYS];

	(void)thread;
	for (int j = 0; j < SD_WAYS; j++)
		s[j] = v16_zero();
	for (size_t i = 0; i < r.n; i++)
		s[i % SD_WAYS] = v16_fma(sd_load(x + 16 * i, ca, cb, c->x->a != NULL, c->x->relu),
			v16_load(b + 16 * i), s[i % SD_WAYS]);
	v16_store(c->part + (size_t)task * 16, sd_keep(sd_lanes(c->b->blk[r.block].n), sd_ways(s)));
}

static void dot(struct sd_par *par, const struct sd_src *a, const struct sd_img *b, float *out)
{
	struct image c = { .x = a, .b = b, .cut = sd_cut(b) };
	v16d s = v16d_zero();

	c.part = sd_par_scratch(par, 0, (size_t)c.cut.tasks * 16 * sizeof(float));
	sd_par_run(par, c.cut.tasks, dot_task, &c);
	for (int i = 0; i < c.cut.tasks; i++)
		s = v16d_add(s, v16d_from(v16_load(c.part + (size_t)i * 16)));
	*out = (float)v16d_sum_halves(s);
}

static void channel_sum_task(void *ctx, int task, int thread)
{
	const struct image *c = ctx;
	struct sd_run r = sd_run(&c->cut, task);
	v16 s[SD_WAYS];

	(void)thread;
	for (int j = 0; j < SD_WAYS; j++)
		s[j] = v16_zero();
	for (size_t i = 0; i < r.n; i++)
		s[i % SD_WAYS] = v16_add(s[i % SD_WAYS], v16_load(c->b->p + r.at + 16 * i));
	v16_store(c->part + (size_t)task * 16, sd_ways(s));
}

static void channel_sum(struct sd_par *par, const struct sd_img *g, float *gb)
{
	struct image c = { .b = g, .cut = sd_cut(g) };

	c.part = sd_par_scratch(par, 0, (size_t)c.cut.tasks * 16 * sizeof(float));
	sd_par_run(par, c.cut.tasks, channel_sum_task, &c);
	sd_sum_runs(g, &c.cut, c.part, 1, 0, gb);
}

/* ---- rows and blocks: a task is one plane ---- */

struct convert {
	const float *from;
	float *to;
	const struct sd_img *x, *y;
	int first, acc;
};

static void import_task(void *ctx, int task, int thread)
{
	const struct convert *c = ctx;
	const struct sd_blk *b = &c->y->blk[task / c->y->n];
	size_t plane = (size_t)c->y->h * c->y->w;
	const float *from = c->from + ((size_t)(task % c->y->n) * c->y->c + b->ch) * plane;
	float *to = c->y->p + (size_t)task * plane * 16;

	(void)thread;
	for (size_t i = 0; i < plane; i++)
		for (int l = 0; l < 16; l++)
			to[16 * i + l] = l < b->n ? from[l * plane + i] : 0;
}

static void import(struct sd_par *par, const float *nchw, const struct sd_img *y)
{
	struct convert c = { .from = nchw, .y = y };

	sd_par_run(par, y->cb * y->n, import_task, &c);
}

static void export_task(void *ctx, int task, int thread)
{
	const struct convert *c = ctx;
	const struct sd_blk *b = &c->x->blk[task / c->x->n];
	size_t plane = (size_t)c->x->h * c->x->w;
	float *to = c->to + ((size_t)(task % c->x->n) * c->x->c + b->ch) * plane;
	const float *from = c->x->p + (size_t)task * plane * 16;

	(void)thread;
	for (int l = 0; l < b->n; l++)
		for (size_t i = 0; i < plane; i++)
			to[l * plane + i] = from[16 * i + l];
}

static void export(struct sd_par *par, const struct sd_img *x, float *nchw)
{
	struct convert c = { .x = x, .to = nchw };

	sd_par_run(par, x->cb * x->n, export_task, &c);
}

/* Where a channel lies: its first element in sample n, or a 0 for one that x has not. */
static const float *channel_at(const struct sd_img *x, int ch, int n)
{
	static const float none = 0;

	for (int i = 0; i < x->cb; i++)
		if (ch >= x->blk[i].ch && ch < x->blk[i].ch + x->blk[i].n)
			return x->p + ((size_t)i * x->n + n) * x->h * x->w * 16 + (ch - x->blk[i].ch);
	return &none;
}

static void slice_task(void *ctx, int task, int thread)
{
	const struct convert *c = ctx;
	const struct sd_blk *b = &c->y->blk[task / c->y->n];
	size_t plane = (size_t)c->y->h * c->y->w, step[16];
	float *y = c->y->p + (size_t)task * plane * 16;
	const float *from[16];
	m16 lanes = sd_lanes(b->n);
	int whole = 1;

	(void)thread;
	for (int l = 0; l < b->n; l++) {
		int ch = c->first + b->ch + l;

		from[l] = channel_at(c->x, ch, task % c->y->n);
		step[l] = ch >= 0 && ch < c->x->c ? 16 : 0;
		whole = whole && step[l] && from[l] == from[0] + l;
	}
	/* lanes in a row, from the start of a block */
	if (whole && (from[0] - c->x->p) % 16 == 0) {
		for (size_t i = 0; i < plane * 16; i += 16) {
			v16 v = v16_load(from[0] + i);

			v16_store(y + i, sd_keep(lanes, c->acc ? v16_add(v16_load(y + i), v) : v));
		}
		return;
	}
	for (size_t i = 0; i < plane; i++) {
		for (int l = 0; l < b->n; l++)
			y[16 * i + l] = c->acc ? y[16 * i + l] + from[l][i * step[l]] : from[l][i * step[l]];
		for (int l = b->n; l < 16; l++)
			y[16 * i + l] = 0;
	}
}

/* Channels of x outside [0, C) count as 0: slice(gy, -first, gx) is the gradient of a slice, and
 * slice(x, 0, y) copies between images whose blocks differ. */
static void slice(struct sd_par *par, const struct sd_img *x, int first, const struct sd_dst *y)
{
	struct convert c = { .x = x, .first = first, .y = &y->y, .acc = y->acc };

	sd_par_run(par, y->y.cb * y->y.n, slice_task, &c);
}

void SD_K(image)(struct sd_kernels *k)
{
	k->fill = fill;
	k->add = add;
	k->scale_rows = scale_rows;
	k->scale = scale;
	k->dot = dot;
	k->import = import;
	k->export = export;
	k->slice = slice;
	k->channel_sum = channel_sum;
}
