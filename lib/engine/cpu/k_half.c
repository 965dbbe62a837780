/* k_half.c: half a separable convolution in one pass: (norm, ReLU,) depthwise, pointwise, and the sums of the
 * batch norms on either side of it.
 *
 * Between the two convolutions lies an image that nothing else needs: forward it stays in the first-level
 * cache, a band of rows at a time, and backward, where it is computed again, in the second, an image at a time.
 * Images are to the bit what k_dwconv.c and k_conv.c make.  Sums are taken within an image in the order of
 * its pixels and over images in order: those of batch norm in double but for runs of pixels, weight gradients
 * in chunks of the batch. */
#include "engine/cpu/ahead.h"
#include "engine/cpu/dense.h"
#include "engine/cpu/dw.h"
#include "engine/cpu/norm.h"
#include "engine/cpu/tile.h"

#include <string.h>

/* Output pixels of a task forward: an image of 32x32. */
#define TASK_PIXELS 1024
/* Bytes of y from which on it goes around the caches: what reads it next would not find it there. */
#define STREAM_BYTES ((size_t)8 << 20)
/* More pixels than an image has, and so one band. */
#define WHOLE (1 << 30)
/* Pixels of y at once backward: what is known of them stays in the first-level cache. */
#define BACK_PIXELS 128
/* Pixels whose sums are taken in float. */
#define SUM_PIXELS 128
/* Chunks of the batch that weight gradients are summed by, where the batch allows: enough for 64 threads, but
 * where partial sums are larger than the images themselves. */
#define CHUNKS 64
#define CHUNKS_LARGE 32

static size_t up16(size_t floats)
{
	return (floats + 15) / 16 * 16;
}

static size_t pixels(const struct sd_img *x)
{
	return (size_t)x->h * (size_t)x->w;
}

/* ---- forward ---- */

struct forward {
	struct sd_gather g;
	const struct sd_half *h;
	const float *dw, *pw;
	int rows;         /* of a band at once */
	double *part;     /* statistics: [task][block][2][16]; NULL for none */
	int tasks;
	int neighbours;   /* a thread's next task is most often the next */
	int stream;       /* y is written around the caches, from a copy of the rows that are under way */
	float *mem;
	size_t mem_stride;
};

/* What follows rows [.., to) of a task. */
static struct sd_ahead forward_ahead(const struct forward *f, int task, int to)
{
	const struct sd_gather *g = &f->g;
	struct sd_ahead a = { 0 };
	int bands = g->nbi * g->nbj;
	struct sd_band band = sd_gather_band(g, task % bands);
	int end;

	if (to == band.ni) {
		if (!f->neighbours || ++task == f->tasks)
			return a;
		band = sd_gather_band(g, task % bands);
		to = 0;
	}
	end = to + f->rows < band.ni ? to + f->rows : band.ni;
	sd_ahead_rows(&a, g, &f->h->x.x, task / bands, band, to, end);
	if (g->nbj == 1 && !f->stream)
		sd_ahead_add_write(&a, &f->h->y.y, task / bands, (band.i0 + to) * g->ow, (band.i0 + end) * g->ow);
	return a;
}

/* Merges mean and sum of squares of n more pixels (norm.h) into those of `have`: Chan's formula for two. */
static void merge(double *to, size_t have, const double *part, size_t n)
{
	v16d a = v16d_load(to), d = v16d_sub(v16d_load(part), a), share;

	if (!have) {
		memcpy(to, part, 32 * sizeof(*to));
		return;
	}
	share = v16d_set1((double)n / (double)(have + n));
	v16d_store(to, v16d_add(a, v16d_mul(d, share)));
	share = v16d_mul(share, v16d_set1((double)have));
	v16d_store(to + 16, v16d_add(v16d_add(v16d_load(to + 16), v16d_load(part + 16)),
		v16d_mul(v16d_mul(d, d), share)));
}

static void stream_run(float *to, const float *from, int n)
{
	for (int i = 0; i < n * 16; i += 16)
		v16_stream(to + i, v16_load(from + i));
}

/* The pointwise product of rows [from, to) of a band, and their statistics. */
static void forward_rows(const struct forward *f, float *mid, size_t mid_block, int n, struct sd_band band,
	int from, int to, double *part)
{
	const struct sd_half *h = f->h;
	const struct sd_img *y = &h->y.y;
	size_t at = ((size_t)(band.i0 + from) * (size_t)y->w + (size_t)band.j0) * 16;
	float *out = f->stream ? mid + (size_t)h->x.x.cb * mid_block : sd_img_at(y, 0, n) + at;
	size_t out_block = f->stream ? mid_block : (size_t)y->n * (size_t)y->h * (size_t)y->w * 16;
	/* one piece of memory: a band is as wide as the image, or its rows come one by one */
	int count = (to - from) * band.nj;
	v16 none = v16_zero();

	sd_pw(out, out_block, y->blk, y->cb, mid, mid_block, h->x.x.blk, h->x.x.cb, h->x.x.c, f->pw, h->y.acc, count);
	for (int b = 0; b < y->cb; b++, out += out_block) {
		double sums[32];

		if (part) {
			sd_stats_run(out, (size_t)count, none, none, 0, 0, sums);
			merge(part + b * 32, (size_t)from * (size_t)band.nj, sums, (size_t)count);
		}
		if (f->stream)
			stream_run(sd_img_at(y, b, n) + at, out, count);
	}
}

static void forward_task(void *ctx, int task, int thread)
{
	const struct forward *f = ctx;
	const struct sd_half *h = f->h;
	const struct sd_gather *g = &f->g;
	int bands = g->nbi * g->nbj, n = task / bands, cb = h->x.x.cb;
	struct sd_band band = sd_gather_band(g, task % bands);
	float *tile = f->mem + (size_t)thread * f->mem_stride, *mid = tile + (size_t)cb * g->tile;
	size_t mid_block = (size_t)f->rows * (size_t)g->bj * 16, ntap = (size_t)g->ntap;
	double *part = f->part ? f->part + (size_t)task * (size_t)h->y.y.cb * 32 : NULL;

	for (int from = 0; from < band.ni; from += f->rows) {
		int to = from + f->rows < band.ni ? from + f->rows : band.ni;
		struct sd_ahead next = forward_ahead(f, task, to);

		sd_ahead_in(&next, (to - from) * cb);
		for (int b = 0; b < cb; b++) {
			float *t = tile + (size_t)b * g->tile, *d = mid + (size_t)b * mid_block;

			sd_tile_fill(g, &h->x, b, n, band, from, to, t);
			for (int i = from; i < to; i++, d += band.nj * 16) {
				sd_ahead(&next);
				sd_dw_row(d, 16, t + (size_t)i * (size_t)g->cols * 16, g, g->phase,
					f->dw + (size_t)b * ntap * 16, m16_first(16), 0, band.nj);
			}
		}
		forward_rows(f, mid, mid_block, n, band, from, to, part);
	}
	if (f->stream)
		v16_streamed();
}

/* Statistics of one block of y from the tasks'. */
static void forward_reduce(void *ctx, int b, int thread)
{
	const struct forward *f = ctx;
	const struct sd_img *y = &f->h->y.y;
	const struct sd_blk *blk = &y->blk[b];
	int bands = f->g.nbi * f->g.nbj;
	size_t have = 0;
	double sums[32] = { 0 };

	(void)thread;
	for (int t = 0; t < y->n * bands; t++) {
		struct sd_band band = sd_gather_band(&f->g, t % bands);
		size_t n = (size_t)band.ni * (size_t)band.nj;

		merge(sums, have, f->part + ((size_t)t * (size_t)y->cb + (size_t)b) * 32, n);
		have += n;
	}
	for (int i = 0; i < blk->n; i++) {
		double var = sums[16 + i] / (double)have;

		f->h->mean[blk->ch + i] = (float)sums[i];
		f->h->var[blk->ch + i] = var < 0 ? 0 : (float)var;
	}
}

/* Slot 0 holds the packed weights, 1 the tiles, 2 the partial sums, 3 the geometry; here and below. */
static void half(struct sd_par *par, const struct sd_half *h)
{
	const struct sd_img *x = &h->x.x, *y = &h->y.y;
	struct forward f = { .h = h };
	size_t ndw = up16((size_t)x->cb * (size_t)(h->win.kh * h->win.kw) * 16), rows;
	float *packed = sd_par_scratch(par, 0, (ndw + sd_pw_floats(y->cb, x->c)) * sizeof(float));

	sd_gather_forward(&f.g, sd_par_scratch(par, 3, sd_gather_bytes(h->win)), h->win, SD_ALL_TAPS, x->h, x->w, y->h,
		y->w, TASK_PIXELS);
	f.tasks = y->n * f.g.nbi * f.g.nbj;
	f.neighbours = f.tasks >= SD_AHEAD_TASKS * sd_par_threads(par);
	f.rows = f.g.nbj == 1 && SD_DW_PIXELS / f.g.bj > 1 ? SD_DW_PIXELS / f.g.bj : 1;
	rows = (size_t)f.rows * (size_t)f.g.bj * 16;
	f.stream = !h->y.acc && (uintptr_t)y->p % 64 == 0
		&& (size_t)y->n * (size_t)y->cb * pixels(y) * 16 * sizeof(float) >= STREAM_BYTES;
	f.dw = packed;
	f.pw = packed + ndw;
	sd_dw_pack(packed, h->dw, x, h->win.kh * h->win.kw);
	sd_pw_pack(packed + ndw, h->pw, (size_t)x->c, 1, y->blk, y->cb, x->c);
	f.mem = sd_par_scratch_each(par, 1, ((size_t)x->cb * (f.g.tile + rows) + (f.stream ? (size_t)y->cb * rows : 0))
		* sizeof(float), &f.mem_stride);
	f.mem_stride /= sizeof(float);
	if (h->mean)
		f.part = sd_par_scratch(par, 2, (size_t)f.tasks * (size_t)y->cb * 32 * sizeof(double));
	sd_par_run(par, f.tasks, forward_task, &f);
	if (h->mean)
		sd_par_run(par, y->cb, forward_reduce, &f);
}

/* ---- backward ---- */

/* What a thread keeps of an image, some rows of y at a time: the gradient at y and the middle only of those, the
 * tiles, of x and of the gradient in the middle, of all before them, too. */
struct images {
	size_t x_tile, g_tile, gy, mid; /* offsets, in floats */
};

struct backward {
	struct sd_gather g;      /* from the gradient in the middle to gx */
	struct sd_gather gw;     /* x to the middle */
	const struct sd_half_bwd *h;
	const struct sd_img *mid; /* shape and blocks of the middle, without memory */
	const float *dw, *pw;
	int chunks;              /* of the batch */
	int neighbours;          /* a thread's next chunk is most often the next */
	int rows;                /* of y at once */
	size_t dw_part, pw_part; /* floats of a chunk's partial sums: [block of x][tap][16] and
	                            [block of x][block of y][lane of x][16] */
	float *part;
	double *sums;            /* [image][block of x][2][16] */
	struct images at;
	float *mem;              /* of a thread, as `at` says */
	size_t mem_stride;
};

/* Lays out a thread's memory; returns its floats. */
static size_t lay_out(struct backward *w)
{
	struct images *m = &w->at;
	const struct sd_half_bwd *h = w->h;
	size_t cb = (size_t)w->mid->cb, rows = (size_t)w->rows * (size_t)w->mid->w * 16, at = 0;

	m->x_tile = at;
	at += h->gpw || h->gdw ? cb * w->gw.tile : 0;
	m->g_tile = at;
	at += cb * w->g.tile;
	m->gy = at;
	at += h->norm.x.p ? (size_t)h->g.cb * rows : 0;
	m->mid = at;
	return at + (h->gpw ? rows : 0);
}

/* The gradient at y of image n, `count` pixels from `at`: as it is, or through y's norm.  Returns where it is,
 * *block floats a block. */
static const float *output_gradient(const struct backward *w, int n, size_t at, size_t count, float *to,
	size_t *block)
{
	const struct sd_half_bwd *h = w->h;
	const struct sd_img *g = &h->g;

	if (!h->norm.x.p) {
		*block = (size_t)g->n * pixels(g) * 16;
		return sd_img_at(g, 0, n) + at * 16;
	}
	*block = (size_t)w->rows * (size_t)g->w * 16;
	for (int b = 0; b < g->cb; b++) {
		struct sd_norm_bwd k = sd_norm_bwd(g, b, h->norm.mean, h->norm.istd, h->norm.ma, h->norm.mb, h->norm.scale,
			h->f, h->sg, h->sgx, h->batch);

		sd_norm_bwd_pixels(&k, sd_img_at(g, b, n) + at * 16, sd_img_at(&h->norm.x, b, n) + at * 16, count,
			m16_first(g->blk[b].n), h->norm.ma != NULL, h->batch, 0, to + (size_t)b * *block);
	}
	return to;
}

/* The place of pixel (row, 0) of the gradient in the middle, block b. */
static float *middle_at(const struct backward *w, float *mem, int b, int row)
{
	const struct sd_plane *pl = &w->g.plane[0];

	return mem + w->at.g_tile + (size_t)b * w->g.tile + ((size_t)(row - pl->qy) * (size_t)w->g.cols
		+ (size_t)-pl->qx) * 16;
}

/* Zeroes what lies around it. */
static void clear_border(const struct backward *w, float *mem)
{
	const struct sd_gather *g = &w->g;
	const struct sd_plane *pl = &g->plane[0];
	int right = g->cols + pl->qx - g->w;

	for (int b = 0; b < w->mid->cb; b++) {
		float *first = middle_at(w, mem, b, 0), *tile = mem + w->at.g_tile + (size_t)b * g->tile;

		/* before the first pixel, from each row's last to the next one's first, and behind the last one */
		sd_zero_run(tile, (int)((first - tile) / 16));
		for (int i = 0; i + 1 < g->h; i++)
			sd_zero_run(middle_at(w, mem, b, i) + g->w * 16, right - pl->qx);
		first = middle_at(w, mem, b, g->h - 1) + g->w * 16;
		sd_zero_run(first, (int)((tile + g->tile - first) / 16));
	}
}

/* What follows rows [.., to) of image n; last is the last one of the chunk. */
static struct sd_ahead backward_ahead(const struct backward *w, int n, int to, int last)
{
	const struct sd_half_bwd *h = w->h;
	const struct sd_gather *g = &w->gw;
	struct sd_band all = { .ni = g->oh, .nj = g->ow };
	struct sd_ahead a = { 0 };
	int end;

	if (to == g->oh) {
		if (++n == h->g.n || (n > last && !w->neighbours))
			return a;
		to = 0;
	}
	end = to + w->rows < g->oh ? to + w->rows : g->oh;
	sd_ahead_add(&a, &h->g, n, to * g->ow, end * g->ow);
	sd_ahead_add(&a, &h->norm.x, n, to * g->ow, end * g->ow);
	if (h->gpw || h->gdw)
		sd_ahead_rows(&a, g, &h->x.x, n, all, to, end);
	else
		sd_ahead_add(&a, &h->sums.x, n, to * w->g.oys * w->g.ow, end * w->g.oys * w->g.ow);
	sd_ahead_add_write(&a, &h->gx.y, n, to * w->g.oys * w->g.ow, end * w->g.oys * w->g.ow);
	return a;
}

/* Rows [from, to) of the gradient in the middle from those at y. */
static void middle_gradient(const struct backward *w, int from, int to, const float *gy, size_t gy_block,
	float *mem, struct sd_ahead *next)
{
	const struct sd_img *g = &w->h->g;

	for (int i = from; i < to; i++, gy += w->g.w * 16) {
		sd_ahead(next);
		sd_pw(middle_at(w, mem, 0, i), w->g.tile, w->mid->blk, w->mid->cb, gy, gy_block, g->blk, g->cb, g->c, w->pw, 0,
			w->g.w);
	}
}

/* Both weight gradients of rows [from, to) of image n's middle, which add to those of its chunk. */
static void weight_gradients(const struct backward *w, int n, int from, int to, const float *gy,
	size_t gy_block, float *mem, float *part, struct sd_ahead *next)
{
	const struct sd_half_bwd *h = w->h;
	const struct sd_gather *g = &w->gw;
	struct sd_band all = { .ni = g->oh, .nj = g->ow };
	size_t ntap = (size_t)g->ntap, tile_row = (size_t)g->cols * 16;

	for (int b = 0; b < w->mid->cb; b++) {
		float *tile = mem + w->at.x_tile + (size_t)b * g->tile, *mid = mem + w->at.mid, *d = mid;

		sd_tile_fill(g, &h->x, b, n, all, from, to, tile);
		if (h->gdw)
			sd_dw_grad(g, part + (size_t)b * ntap * 16, tile + (size_t)from * tile_row, middle_at(w, mem, b, from),
				(size_t)w->g.cols * 16, to - from, g->ow);
		if (!h->gpw)
			continue;
		for (int i = from; i < to; i++, d += g->ow * 16) {
			sd_ahead(next);
			sd_dw_row(d, 16, tile + (size_t)i * tile_row, g, g->phase, w->dw + (size_t)b * ntap * 16,
				m16_first(16), 0, g->ow);
		}
		sd_grad_blocks(part + w->dw_part + (size_t)(b * h->g.cb) * 256, mid, 0, gy, gy_block, 0, 1,
			(to - from) * g->ow, w->mid->blk[b].n, h->g.blk, h->g.cb, NULL);
	}
}

/* Block b of image n's part in the sums of the norm that x is loaded by: adds that of pixels [at, end), in runs of
 * SUM_PIXELS from the first pixel of the image.  Returns where it has come to. */
static size_t norm_sums(const struct sd_half_bwd *h, int b, int n, const float *gx, size_t at, size_t end,
	double *to)
{
	const struct sd_norm_arg *s = &h->sums;
	const float *x = sd_img_at(&s->x, b, n);
	v16 mean = v16_load(s->mean + b * 16), istd = v16_load(s->istd + b * 16);
	v16 ma = sd_lane_vec(s->ma, b), mb = sd_lane_vec(s->mb, b);
	size_t all = pixels(&s->x), run;

	for (; at < end; at += run) {
		float part[32];

		run = all - at < SUM_PIXELS ? all - at : SUM_PIXELS;
		if (at + run > end)
			break;
		if (s->ma)
			sd_sums_run(gx + at * 16, x + at * 16, run, mean, istd, ma, mb, 1, part);
		else
			sd_sums_run(gx + at * 16, x + at * 16, run, mean, istd, ma, mb, 0, part);
		v16d_store(to, v16d_add(v16d_load(to), v16d_from(v16_load(part))));
		v16d_store(to + 16, v16d_add(v16d_load(to + 16), v16d_from(v16_load(part + 16))));
	}
	return at;
}

/* gx of image n where rows [from, to) of each phase are; and the sums that the norm before it needs, from pixel
 * `summed` on.  Returns where those have come to. */
static size_t input_gradient(const struct backward *w, int n, int from, int to, float *mem, size_t summed,
	struct sd_ahead *next)
{
	const struct sd_half_bwd *h = w->h;
	const struct sd_gather *g = &w->g;
	struct sd_band all = { .ni = g->ni, .nj = g->nj };
	size_t ntap = (size_t)(h->win.kh * h->win.kw);
	size_t done = to < g->ni ? (size_t)(to * g->oys * g->ow) : pixels(&h->gx.y);
	size_t at = summed;

	for (int b = 0; b < h->gx.y.cb; b++) {
		float *gx = sd_img_at(&h->gx.y, b, n), *tile = mem + w->at.g_tile + (size_t)b * g->tile;

		for (int i = from; i < to; i++) {
			sd_ahead(next);
			sd_dw_rows(g, all, i, i + 1, tile, w->dw + (size_t)b * ntap * 16, m16_first(h->gx.y.blk[b].n), h->gx.acc,
				gx);
		}
		if (h->sums.x.p)
			at = norm_sums(h, b, n, gx, summed, done, w->sums + ((size_t)n * (size_t)h->gx.y.cb + (size_t)b) * 32);
	}
	return at;
}

/* The rows of each phase of gx for which rows [0, to) of the gradient in the middle are enough. */
static int ready_rows(const struct sd_gather *g, int to)
{
	int n;

	if (to >= g->h)
		return g->ni;
	n = to - g->plane[0].qy - g->plane[0].my;
	return n < 0 ? 0 : n < g->ni ? n : g->ni;
}

static void backward_image(const struct backward *w, int n, int last, float *mem, float *part)
{
	const struct sd_half_bwd *h = w->h;
	size_t summed = 0;
	int done = 0;

	clear_border(w, mem);
	for (int from = 0; from < w->gw.oh; from += w->rows) {
		int to = from + w->rows < w->gw.oh ? from + w->rows : w->gw.oh, ready;
		size_t at = (size_t)(from * w->gw.ow), count = (size_t)((to - from) * w->gw.ow), gy_block;
		const float *gy = output_gradient(w, n, at, count, mem + w->at.gy, &gy_block);
		struct sd_ahead next = backward_ahead(w, n, to, last);

		sd_ahead_in(&next, (to - from) * (1 + (h->gpw ? w->mid->cb : 0) + (h->gx.y.p ? w->mid->cb : 0)));
		middle_gradient(w, from, to, gy, gy_block, mem, &next);
		if (h->gpw || h->gdw)
			weight_gradients(w, n, from, to, gy, gy_block, mem, part, &next);
		ready = ready_rows(&w->g, to);
		if (h->gx.y.p && ready > done) {
			summed = input_gradient(w, n, done, ready, mem, summed, &next);
			done = ready;
		}
	}
}

/* A chunk of the batch. */
static void backward_task(void *ctx, int chunk, int thread)
{
	const struct backward *w = ctx;
	int first = (int)((long)w->h->g.n * chunk / w->chunks), end = (int)((long)w->h->g.n * (chunk + 1) / w->chunks);
	float *part = w->part + (size_t)chunk * (w->dw_part + w->pw_part);
	size_t sums = (size_t)w->mid->cb * 32;

	memset(part, 0, (w->dw_part + w->pw_part) * sizeof(*part));
	if (w->h->sums.x.p)
		memset(w->sums + (size_t)first * sums, 0, (size_t)(end - first) * sums * sizeof(*w->sums));
	for (int n = first; n < end; n++)
		backward_image(w, n, end - 1, w->mem + (size_t)thread * w->mem_stride, part);
}

/* A block's weight gradient of the pointwise convolution, (Cout, Cin): all of its products with y's blocks. */
static void reduce_pw(const struct backward *w, int b)
{
	const struct sd_img *g = &w->h->g, *x = w->mid;
	const struct sd_blk *bx = &x->blk[b];
	size_t stride = w->dw_part + w->pw_part;

	for (int k = 0; k < g->cb; k++) {
		const struct sd_blk *by = &g->blk[k];

		sd_grad_reduce(w->part + w->dw_part + (size_t)(b * g->cb + k) * 256, stride, w->chunks, bx, by, 0, by->n,
			w->h->gpw + (size_t)by->ch * (size_t)x->c + bx->ch, (size_t)x->c, 1);
	}
}

/* All partial sums of a block of x. */
static void reduce_task(void *ctx, int b, int thread)
{
	const struct backward *w = ctx;
	const struct sd_half_bwd *h = w->h;
	const struct sd_blk *blk = &w->mid->blk[b];

	(void)thread;
	if (h->gdw)
		sd_dw_reduce(blk, w->part + (size_t)b * (size_t)w->gw.ntap * 16, w->dw_part + w->pw_part, w->chunks,
			w->gw.ntap, h->gdw);
	if (h->gpw)
		reduce_pw(w, b);
	for (int k = 0; h->sums.x.p && k < 2; k++) {
		v16d s = v16d_zero();

		for (int n = 0; n < h->g.n; n++)
			s = v16d_add(s, v16d_load(w->sums + ((size_t)n * (size_t)w->mid->cb + (size_t)b) * 32 + k * 16));
		v16_store_n((k ? h->ssgx : h->ssg) + blk->ch, v16_from_d(s), blk->n);
	}
}

static void half_bwd(struct sd_par *par, const struct sd_half_bwd *h)
{
	const struct sd_img *x = h->gx.y.p ? &h->gx.y : &h->x.x;
	struct sd_img mid = *x;
	struct backward w = { .h = h, .mid = &mid };
	int ntap = h->win.kh * h->win.kw, weights = h->gdw || h->gpw;
	size_t geometry = (sd_gather_bytes(h->win) + 63) / 64 * 64, part;
	size_t ndw = up16((size_t)x->cb * (size_t)ntap * 16);
	char *mem = sd_par_scratch(par, 3, 2 * geometry);
	float *packed = sd_par_scratch(par, 0, (ndw + sd_pw_floats(x->cb, h->g.c)) * sizeof(float));

	mid.h = h->g.h;
	mid.w = h->g.w;
	sd_gather_backward(&w.g, mem, h->win, SD_ALL_TAPS, x->h, x->w, mid.h, mid.w, WHOLE);
	sd_gather_forward(&w.gw, mem + geometry, h->win, SD_ALL_TAPS, x->h, x->w, mid.h, mid.w, WHOLE);
	w.dw = packed;
	w.pw = packed + ndw;
	sd_dw_pack(packed, h->dw, x, ntap);
	sd_pw_pack(packed + ndw, h->pw, 1, (size_t)x->c, x->blk, x->cb, h->g.c);

	w.chunks = CHUNKS;
	if (weights) {
		w.dw_part = (size_t)x->cb * (size_t)ntap * 16;
		w.pw_part = h->gpw ? (size_t)(x->cb * h->g.cb) * 256 : 0;
		if (w.dw_part + w.pw_part > (size_t)mid.cb * pixels(&mid) * 16)
			w.chunks = CHUNKS_LARGE;
	}
	w.chunks = w.chunks < h->g.n ? w.chunks : h->g.n;
	w.neighbours = w.chunks >= SD_AHEAD_TASKS * sd_par_threads(par);
	part = (size_t)w.chunks * (w.dw_part + w.pw_part) * sizeof(float); /* a multiple of 64 */
	w.part = sd_par_scratch(par, 2, part + (size_t)h->g.n * (size_t)x->cb * 32 * sizeof(double));
	w.sums = (double *)((char *)w.part + part);
	w.rows = BACK_PIXELS / w.gw.ow > 1 ? BACK_PIXELS / w.gw.ow : 1;
	w.mem = sd_par_scratch_each(par, 1, lay_out(&w) * sizeof(float), &w.mem_stride);
	w.mem_stride /= sizeof(float);
	sd_par_run(par, w.chunks, backward_task, &w);
	if (weights || h->sums.x.p)
		sd_par_run(par, x->cb, reduce_task, &w);
}

void SD_K(half)(struct sd_kernels *k)
{
	k->half = half;
	k->half_bwd = half_bwd;
}
