/* k_pool.c: max and average pools of any window, and the global mean.
 *
 * A task is one plane (a block of one sample).  Both pools are separable: each input row is reduced
 * along its windows once, into a ring of as many rows as a window is high, and an output row is
 * reduced from those; taking the first of equal ones in both steps takes the first of the window.
 * Backward gathers: each input pixel adds up the outputs that read it, in their order. */
#include "engine/cpu/chunk.h"

/* One axis of a window: which taps of an output lie inside, and which outputs read an input. */
struct axis {
	int in, out, k, s, p, d;
	int *lo, *hi;    /* [out]: taps lo..hi-1 lie inside */
	int *from;       /* [in + 1]: an input's pairs are from[i]..from[i + 1]-1 */
	int *o, *tap;    /* [out * k]: pairs: an output that reads it, and by which tap; outputs ascend */
	int full, end;   /* outputs full..end-1 have all their taps inside */
};

static size_t axis_ints(int in, int out, int k)
{
	return (size_t)2 * out + in + 1 + (size_t)2 * out * k;
}

static int *axis_init(struct axis *a, int *mem, int in, int out, int k, int s, int p, int d)
{
	int n = 0;

	*a = (struct axis){ .in = in, .out = out, .k = k, .s = s, .p = p, .d = d };
	a->lo = mem;
	a->hi = a->lo + out;
	a->from = a->hi + out;
	a->o = a->from + in + 1;
	a->tap = a->o + (size_t)out * k;
	a->full = a->end = out;
	for (int o = 0; o < out; o++) {
		int at = o * s - p, lo = 0, hi = k;

		while (lo < k && at + lo * d < 0)
			lo++;
		while (hi > lo && at + (hi - 1) * d >= in)
			hi--;
		a->lo[o] = lo;
		a->hi[o] = hi;
		if (hi - lo == k && a->full == out)
			a->full = o;
		if (hi - lo < k && a->full < out && a->end == out)
			a->end = o;
	}
	for (int i = 0; i < in; i++) {
		int o = i + p - (k - 1) * d;

		a->from[i] = n;
		for (o = o > 0 ? (o + s - 1) / s : 0; o < out && o * s <= i + p; o++)
			if ((i + p - o * s) % d == 0) {
				a->o[n] = o;
				a->tap[n++] = (i + p - o * s) / d;
			}
	}
	a->from[in] = n;
	return a->tap + (size_t)out * k;
}

enum op { MAX, AVG };

struct pool {
	const struct sd_src *x;
	const struct sd_img *gy;
	const struct sd_dst *y; /* the result: y or gx */
	struct axis v, h;       /* rows and columns */
	float *inv;             /* AVG: [rows inside][output column]: 1 / taps that count */
	int ring;               /* rows of it */
	char *mem;              /* scratch of each thread */
	size_t stride;
};

/* The geometry of a pool from `in` to `out`, and the tables that go with it, in scratch 0. */
static void pool_init(struct pool *c, struct sd_par *par, struct sd_window w, const struct sd_img *in,
	const struct sd_img *out, int include_pad)
{
	size_t ints = axis_ints(in->h, out->h, w.kh) + axis_ints(in->w, out->w, w.kw);
	size_t inv = (size_t)(w.kh + 1) * out->w;
	int *mem = sd_par_scratch(par, 0, ints * sizeof(int) + inv * sizeof(float));

	mem = axis_init(&c->v, mem, in->h, out->h, w.kh, w.sh, w.ph, w.dh);
	mem = axis_init(&c->h, mem, in->w, out->w, w.kw, w.sw, w.pw, w.dw);
	c->inv = (float *)mem;
	for (int i = 0; i <= w.kh; i++)
		for (int o = 0; o < out->w; o++) {
			int taps = include_pad ? w.kh * w.kw : i * (c->h.hi[o] - c->h.lo[o]);

			c->inv[(size_t)i * out->w + o] = taps ? 1.0f / (float)taps : 0;
		}
	c->ring = (w.kh - 1) * w.dh + 1;
}

static void pool_scratch(struct pool *c, struct sd_par *par, size_t pixels)
{
	c->mem = sd_par_scratch_each(par, 1, pixels * 16 * sizeof(float), &c->stride);
}

/* One row as it is loaded. */
static void load_row(const struct sd_src *x, int block, const float *from, int n, float *to)
{
	v16 a = sd_lane_vec(x->a, block), b = sd_lane_vec(x->b, block);

	if (x->a)
		for (int i = 0; i < n; i++)
			v16_store(to + 16 * i, sd_load(from + 16 * i, a, b, 1, x->relu));
	else
		for (int i = 0; i < n; i++)
			v16_store(to + 16 * i, sd_load(from + 16 * i, a, b, 0, x->relu));
}

/* ---- forward; op and k are constants where these are inlined ---- */

SD_INLINE v16 join(v16 m, v16 x, enum op op)
{
	if (op == AVG)
		return v16_add(m, x);
	return v16_select(v16_isnan(x), x, v16_max(x, m));
}

/* n elements `step` floats apart. */
SD_INLINE v16 join_taps(const float *x, int n, size_t step, enum op op)
{
	v16 m;

	if (n <= 0)
		return v16_set1(op == AVG ? 0 : -INFINITY);
	m = v16_load(x);
	for (int j = 1; j < n; j++)
		m = join(m, v16_load(x + j * step), op);
	return m;
}

SD_INLINE void join_row(const struct axis *a, const float *x, float *to, int k, enum op op)
{
	size_t step = (size_t)a->d * 16;

	for (int o = 0; o < a->out; o++)
		if (o < a->full || o >= a->end)
			v16_store(to + 16 * o, join_taps(x + (o * a->s - a->p + a->lo[o] * a->d) * 16,
				a->hi[o] - a->lo[o], step, op));
	for (int o = a->full; o < a->end; o++)
		v16_store(to + 16 * o, join_taps(x + (o * a->s - a->p) * 16, k, step, op));
}

SD_INLINE v16 pool_result(const struct pool *c, v16 v, int rows, int o, m16 lanes, const float *y, enum op op)
{
	if (op == AVG)
		v = v16_mul(v, v16_bcast(c->inv + (size_t)rows * c->h.out + o));
	if (c->y->acc)
		v = v16_add(v16_load(y), v);
	return sd_keep(lanes, v);
}

SD_INLINE void pool_plane(const struct pool *c, int task, float *mem, enum op op)
{
	const struct axis *v = &c->v, *h = &c->h;
	int block = task / c->x->x.n, next = 0;
	const float *x = c->x->x.p + (size_t)task * v->in * h->in * 16;
	float *y = c->y->y.p + (size_t)task * v->out * h->out * 16;
	size_t wide = (size_t)h->out * 16;
	float *row = mem, *tmp = row + (size_t)h->in * 16, *ring = tmp + wide;
	m16 lanes = sd_lanes(c->x->x.blk[block].n);

	for (int o = 0; o < v->out; o++, y += wide) {
		int first = o * v->s - v->p + v->lo[o] * v->d, n = v->hi[o] - v->lo[o];
		const float *r0, *r1, *r2;

		for (next = next > first ? next : first; next <= first + (n - 1) * v->d; next++) {
			float *to = ring + next % c->ring * wide;

			load_row(c->x, block, x + (size_t)next * h->in * 16, h->in, row);
			if (h->k == 3)
				join_row(h, row, to, 3, op);
			else
				join_row(h, row, to, h->k, op);
		}
		if (n == 3) {
			r0 = ring + first % c->ring * wide;
			r1 = ring + (first + v->d) % c->ring * wide;
			r2 = ring + (first + 2 * v->d) % c->ring * wide;
			for (int i = 0; i < h->out; i++) {
				v16 m = join(v16_load(r0 + 16 * i), v16_load(r1 + 16 * i), op);

				m = join(m, v16_load(r2 + 16 * i), op);
				v16_store(y + 16 * i, pool_result(c, m, n, i, lanes, y + 16 * i, op));
			}
			continue;
		}
		for (int i = 0; i < h->out; i++)
			v16_store(tmp + 16 * i, v16_set1(op == AVG ? 0 : -INFINITY));
		for (int j = 0; j < n; j++) {
			r0 = ring + (first + j * v->d) % c->ring * wide;
			for (int i = 0; i < h->out; i++)
				v16_store(tmp + 16 * i, j
					? join(v16_load(tmp + 16 * i), v16_load(r0 + 16 * i), op)
					: v16_load(r0 + 16 * i));
		}
		for (int i = 0; i < h->out; i++)
			v16_store(y + 16 * i, pool_result(c, v16_load(tmp + 16 * i), n, i, lanes, y + 16 * i,
				op));
	}
}

static void maxpool_task(void *ctx, int task, int thread)
{
	const struct pool *c = ctx;

	pool_plane(c, task, (float *)(c->mem + thread * c->stride), MAX);
}
static void avgpool_task(void *ctx, int task, int thread)
{
	const struct pool *c = ctx;

	pool_plane(c, task, (float *)(c->mem + thread * c->stride), AVG);
}

static void maxpool(struct sd_par *par, const struct sd_src *x, struct sd_window win, const struct sd_dst *y)
{
	struct pool c = { .x = x, .y = y };

	pool_init(&c, par, win, &x->x, &y->y, 0);
	pool_scratch(&c, par, (size_t)x->x.w + (size_t)(c.ring + 1) * y->y.w);
	sd_par_run(par, x->x.cb * x->x.n, maxpool_task, &c);
}

static void avgpool(struct sd_par *par, const struct sd_src *x, struct sd_window win, int include_pad,
	const struct sd_dst *y)
{
	struct pool c = { .x = x, .y = y };

	pool_init(&c, par, win, &x->x, &y->y, include_pad);
	pool_scratch(&c, par, (size_t)x->x.w + (size_t)(c.ring + 1) * y->y.w);
	sd_par_run(par, x->x.cb * x->x.n, avgpool_task, &c);
}

/* ---- backward of the maximum: the winner of each output is found again, as the float i * kw + j of
 *      its tap, and kept for the plane ---- */

/* Whether x takes the place of the maximum so far: the first NaN stays. */
SD_INLINE m16 beats(v16 x, v16 m)
{
	return m16_or(v16_gt(x, m), m16_and(v16_isnan(x), v16_eq(m, m)));
}

SD_INLINE void win_taps(const float *x, int lo, int n, size_t step, float *val, float *tap)
{
	v16 m, t = v16_set1((float)lo);

	if (n <= 0) {
		v16_store(val, v16_set1(-INFINITY));
		v16_store(tap, v16_set1(-INFINITY));
		return;
	}
	m = v16_load(x);
	for (int j = 1; j < n; j++) {
		v16 v = v16_load(x + j * step);
		m16 b = beats(v, m);

		m = v16_select(b, v, m);
		t = v16_select(b, v16_set1((float)(lo + j)), t);
	}
	v16_store(val, m);
	v16_store(tap, t);
}

/* k is a constant where this is inlined. */
SD_INLINE void win_row(const struct axis *a, const float *x, float *val, float *tap, int k)
{
	size_t step = (size_t)a->d * 16;

	for (int o = 0; o < a->out; o++)
		if (o < a->full || o >= a->end)
			win_taps(x + (o * a->s - a->p + a->lo[o] * a->d) * 16, a->lo[o], a->hi[o] - a->lo[o],
				step, val + 16 * o, tap + 16 * o);
	for (int o = a->full; o < a->end; o++)
		win_taps(x + (o * a->s - a->p) * 16, 0, k, step, val + 16 * o, tap + 16 * o);
}

/* won[out.h][out.w][16]; mem holds a row of the input, one of outputs and the ring, twice as wide. */
static void find_winners(const struct pool *c, int task, float *mem, float *won)
{
	const struct axis *v = &c->v, *h = &c->h;
	int block = task / c->x->x.n, next = 0;
	const float *x = c->x->x.p + (size_t)task * v->in * h->in * 16;
	size_t wide = (size_t)h->out * 16;
	float *row = mem, *best = row + (size_t)h->in * 16, *ring = best + wide;

	for (int o = 0; o < v->out; o++, won += wide) {
		int first = o * v->s - v->p + v->lo[o] * v->d, n = v->hi[o] - v->lo[o];

		for (next = next > first ? next : first; next <= first + (n - 1) * v->d; next++) {
			float *val = ring + next % c->ring * 2 * wide;

			load_row(c->x, block, x + (size_t)next * h->in * 16, h->in, row);
			if (h->k == 3)
				win_row(h, row, val, val + wide, 3);
			else
				win_row(h, row, val, val + wide, h->k);
		}
		for (int i = 0; n <= 0 && i < h->out; i++)
			v16_store(won + 16 * i, v16_set1(-INFINITY));
		for (int j = 0; j < n; j++) {
			const float *val = ring + (first + j * v->d) % c->ring * 2 * wide, *tap = val + wide;
			v16 base = v16_set1((float)((v->lo[o] + j) * h->k));

			for (int i = 0; i < h->out; i++) {
				v16 m = v16_load(val + 16 * i), t = v16_add(base, v16_load(tap + 16 * i));

				if (j) {
					v16 old = v16_load(best + 16 * i);
					m16 b = beats(m, old);

					m = v16_select(b, m, old);
					t = v16_select(b, t, v16_load(won + 16 * i));
				}
				v16_store(best + 16 * i, m);
				v16_store(won + 16 * i, t);
			}
		}
	}
}

/* One pair of an input pixel: v + (won == tap ? g : 0). */
SD_INLINE v16 take(v16 v, const float *won, const float *g, int tap)
{
	return v16_add(v, v16_select(v16_eq(v16_load(won), v16_set1((float)tap)), v16_load(g), v16_zero()));
}

/* Columns first..end-1 of a 3x3 window of stride 1: outputs i-1, i, i+1 of `rows` output rows from
 * `at`, the first of which reads by the taps of window row `top`.  rows is a constant where this is
 * inlined. */
SD_INLINE void gather3(const struct pool *c, const float *won, const float *gy, int top, int rows, int from,
	int end, m16 lanes, float *gx)
{
	size_t wide = (size_t)c->h.out * 16;
	int shift = 1 - c->h.p; /* output i + p - tap */

	for (int i = from; i < end; i++) {
		const float *w = won + (i - shift) * 16, *g = gy + (i - shift) * 16;
		v16 v = v16_zero();

		SD_UNROLL(3)
		for (int r = 0; r < rows; r++)
			SD_UNROLL(3)
			for (int j = 0; j < 3; j++)
				v = take(v, w + r * wide + 16 * (j - 1), g + r * wide + 16 * (j - 1),
					(top - r) * 3 + 2 - j);
		if (c->y->acc)
			v = v16_add(v16_load(gx + 16 * i), v);
		v16_store(gx + 16 * i, sd_keep(lanes, v));
	}
}

static void gather_row(const struct pool *c, int row, const float *won, const float *gy, m16 lanes, float *gx)
{
	const struct axis *v = &c->v, *h = &c->h;
	int top = v->from[row], end = v->from[row + 1], i = 0;
	size_t wide = (size_t)h->out * 16;

	for (; i < h->in; i++) {
		v16 s = v16_zero();

		if (h->k == 3 && h->s == 1 && h->d == 1 && v->k == 3 && v->s == 1 && v->d == 1
			&& h->from[i + 1] - h->from[i] == 3 && end > top) {
			const float *w = won + v->o[top] * wide, *g = gy + v->o[top] * wide;
			int to = i;

			while (to < h->in && h->from[to + 1] - h->from[to] == 3)
				to++;
			switch (end - top) {
			case 1: gather3(c, w, g, v->tap[top], 1, i, to, lanes, gx); break;
			case 2: gather3(c, w, g, v->tap[top], 2, i, to, lanes, gx); break;
			case 3: gather3(c, w, g, v->tap[top], 3, i, to, lanes, gx); break;
			}
			i = to - 1;
			continue;
		}
		for (int a = top; a < end; a++)
			for (int b = h->from[i]; b < h->from[i + 1]; b++) {
				size_t at = v->o[a] * wide + (size_t)h->o[b] * 16;

				s = take(s, won + at, gy + at, v->tap[a] * h->k + h->tap[b]);
			}
		if (c->y->acc)
			s = v16_add(v16_load(gx + 16 * i), s);
		v16_store(gx + 16 * i, sd_keep(lanes, s));
	}
}

static void maxpool_bwd_task(void *ctx, int task, int thread)
{
	const struct pool *c = ctx;
	int h = c->v.in, w = c->h.in;
	size_t out = (size_t)c->v.out * c->h.out * 16;
	float *won = (float *)(c->mem + thread * c->stride);
	const float *gy = c->gy->p + task * out;
	float *gx = c->y->y.p + (size_t)task * h * w * 16;
	m16 lanes = sd_lanes(c->x->x.blk[task / c->x->x.n].n);

	find_winners(c, task, won + out, won);
	for (int row = 0; row < h; row++)
		gather_row(c, row, won, gy, lanes, gx + (size_t)row * w * 16);
}

static void maxpool_bwd(struct sd_par *par, const struct sd_src *x, const struct sd_img *gy,
	struct sd_window win, const struct sd_dst *gx)
{
	struct pool c = { .x = x, .gy = gy, .y = gx };

	pool_init(&c, par, win, &x->x, gy, 0);
	pool_scratch(&c, par, (size_t)gy->h * gy->w + x->x.w + (size_t)(2 * c.ring + 1) * gy->w);
	sd_par_run(par, x->x.cb * x->x.n, maxpool_bwd_task, &c);
}

/* ---- backward of the mean: the rows that read an input row are added up, then its columns ---- */

/* What the output rows of an input row's pairs give to each output column; rows is a constant where this
 * is inlined. */
SD_INLINE void share_rows(const struct pool *c, int top, int rows, const float *gy, float *sum)
{
	const struct axis *v = &c->v;
	int wide = c->h.out;

	for (int i = 0; i < wide; i++) {
		v16 s = v16_zero();

		for (int a = top; a < top + rows; a++) {
			int o = v->o[a];

			s = v16_fma(v16_load(gy + ((size_t)o * wide + i) * 16),
				v16_bcast(c->inv + (size_t)(v->hi[o] - v->lo[o]) * wide + i), s);
		}
		v16_store(sum + 16 * i, s);
	}
}

static void avgpool_bwd_row(const struct pool *c, int row, const float *gy, float *sum, m16 lanes, float *gx)
{
	const struct axis *v = &c->v, *h = &c->h;
	int top = v->from[row], rows = v->from[row + 1] - top;

	switch (rows) {
	case 1: share_rows(c, top, 1, gy, sum); break;
	case 2: share_rows(c, top, 2, gy, sum); break;
	case 3: share_rows(c, top, 3, gy, sum); break;
	default: share_rows(c, top, rows, gy, sum); break;
	}
	for (int i = 0; i < h->in; i++) {
		int b = h->from[i], end = h->from[i + 1];
		v16 s = v16_zero();

		if (end - b == 3) {
			s = v16_add(v16_load(sum + 16 * h->o[b]), v16_load(sum + 16 * h->o[b + 1]));
			s = v16_add(s, v16_load(sum + 16 * h->o[b + 2]));
		} else {
			for (; b < end; b++)
				s = v16_add(s, v16_load(sum + 16 * h->o[b]));
		}
		if (c->y->acc)
			s = v16_add(v16_load(gx + 16 * i), s);
		v16_store(gx + 16 * i, sd_keep(lanes, s));
	}
}

static void avgpool_bwd_task(void *ctx, int task, int thread)
{
	const struct pool *c = ctx;
	int h = c->v.in, w = c->h.in;
	const float *gy = c->gy->p + (size_t)task * c->v.out * c->h.out * 16;
	float *gx = c->y->y.p + (size_t)task * h * w * 16;
	m16 lanes = sd_lanes(c->gy->blk[task / c->gy->n].n);

	for (int row = 0; row < h; row++)
		avgpool_bwd_row(c, row, gy, (float *)(c->mem + thread * c->stride), lanes,
			gx + (size_t)row * w * 16);
}

static void avgpool_bwd(struct sd_par *par, const struct sd_img *gy, struct sd_window win, int include_pad,
	const struct sd_dst *gx)
{
	struct pool c = { .gy = gy, .y = gx };

	pool_init(&c, par, win, &gx->y, gy, include_pad);
	pool_scratch(&c, par, gy->w);
	sd_par_run(par, gy->cb * gy->n, avgpool_bwd_task, &c);
}

/* ---- the mean over (H, W) ---- */

struct gap {
	const struct sd_src *x;
	float *y;
	const float *gy;
	const struct sd_dst *gx;
};

static void gap_task(void *ctx, int task, int thread)
{
	const struct gap *c = ctx;
	const struct sd_img *x = &c->x->x;
	int block = task / x->n, n = task % x->n, pixels = x->h * x->w;
	const float *p = x->p + (size_t)task * pixels * 16;
	v16 a = sd_lane_vec(c->x->a, block), b = sd_lane_vec(c->x->b, block), s[SD_WAYS];

	(void)thread;
	for (int j = 0; j < SD_WAYS; j++)
		s[j] = v16_zero();
	for (int i = 0; i < pixels; i++)
		s[i % SD_WAYS] = v16_add(s[i % SD_WAYS], sd_load(p + 16 * i, a, b, c->x->a != NULL,
			c->x->relu));
	v16_store_n(c->y + (size_t)n * x->c + x->blk[block].ch,
		v16_from_d(v16d_div(v16d_from(sd_ways(s)), v16d_set1(pixels))), x->blk[block].n);
}

static void gap(struct sd_par *par, const struct sd_src *x, float *y)
{
	struct gap c = { .x = x, .y = y };

	sd_par_run(par, x->x.cb * x->x.n, gap_task, &c);
}

static void gap_bwd_task(void *ctx, int task, int thread)
{
	const struct gap *c = ctx;
	const struct sd_img *y = &c->gx->y;
	int block = task / y->n, n = task % y->n, pixels = y->h * y->w;
	float *p = y->p + (size_t)task * pixels * 16;
	v16 g = v16_load_n(c->gy + (size_t)n * y->c + y->blk[block].ch, y->blk[block].n);
	m16 lanes = sd_lanes(y->blk[block].n);

	(void)thread;
	g = v16_from_d(v16d_div(v16d_from(g), v16d_set1(pixels)));
	for (int i = 0; i < pixels; i++)
		v16_store(p + 16 * i, c->gx->acc ? sd_keep(lanes, v16_add(v16_load(p + 16 * i), g)) : g);
}

static void gap_bwd(struct sd_par *par, const float *gy, const struct sd_dst *gx)
{
	struct gap c = { .gy = gy, .gx = gx };

	sd_par_run(par, gx->y.cb * gx->y.n, gap_bwd_task, &c);
}

void SD_K(pool)(struct sd_kernels *k)
{
	k->maxpool = maxpool;
	k->maxpool_bwd = maxpool_bwd;
	k->avgpool = avgpool;
	k->avgpool_bwd = avgpool_bwd;
	k->gap = gap;
	k->gap_bwd = gap_bwd;
}
