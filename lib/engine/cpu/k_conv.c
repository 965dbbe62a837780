/* k_conv.c: dense convolutions and their data gradients, and the factorised reduce as one of window
 * 2x2 of which only the diagonal is used.
 *
 * An output element is its bias (or 0) plus its products in the order of (window row, window column,
 * channel), one accumulator; how channels are cut into blocks changes nothing. */
#include "engine/cpu/ahead.h"
#include "engine/cpu/dense.h"
#include "engine/cpu/tile.h"

/* Pixels of a group between what is asked for ahead: about as many as are summed at once. */
#define AHEAD_PIXELS 8

/* A run of channels of the source: lanes of one block, and their first index in the weights. */
struct run {
	int block, lane, n, ch;
};

/* The weights of one tap (of struct sd_gather, same index): output channel o, input channel i of
 * its runs is w[(o - first) * so + i * si] for o in [first, last), 0 for others. */
struct tap_w {
	const float *w;
	ptrdiff_t so, si;
	int first, last;
	int run, nrun;
	size_t depth;  /* channels summed */
	size_t before; /* channels summed by the taps before this one */
};

/* Output blocks that are summed together, over taps [tap, tap + ntap). */
struct group {
	int block, n, tap, ntap;
	float *w; /* packed: [tap][channel][n][16] */
};

struct conv {
	struct sd_gather g;
	const struct sd_src *x;
	const struct sd_dst *y;
	const float *bias;   /* by logical channel, or NULL */
	struct tap_w *tap;
	struct run *run;
	struct group *group;
	int ngroup;
	float *bias_lanes;   /* [block][16] */
	int direct;          /* the source itself serves as tile */
	int neighbours;      /* a thread's next task is most often the next */
	float *tile;
	size_t tile_stride;
};

/* R pixels by B blocks, and a last one. */
SD_INLINE void sum_tile(const struct conv *c, const struct group *gr, int tap, int end, const float *src,
	size_t block_stride, float *const *y, size_t step, const m16 *mask, const int R, const int B, const int T)
{
	const float *w = gr->w, *bias = c->bias_lanes + gr->block * 16;
	const int last_sums = SD_TAIL_SUMS(R, T);
	v16 s[SD_CONV_SUMS], st[SD_CONV_SUMS];

	if (tap < end)
		w += (c->tap[tap].before - c->tap[gr->tap].before) * (size_t)(B + !!T) * 16;
	SD_UNROLL(3)
	for (int b = 0; b < B; b++) {
		v16 v = v16_load(bias + b * 16);

		SD_UNROLL(16)
		for (int r = 0; r < R; r++)
			s[r * B + b] = v;
	}
	SD_UNROLL(16)
	for (int i = 0; i < last_sums; i++)
		st[i] = SD_TAIL_W(bias + B * 16, T);
	for (int t = tap; t < end; t++) {
		const struct run *run = c->run + c->tap[t].run, *last = run + c->tap[t].nrun;

		for (; run < last; run++) {
			const float *p = src + c->g.tap[t].off + run->lane
				+ (size_t)run->block * block_stride;

			w = sd_dense_sum(s, st, p, run->n, w, R, B, T);
		}
	}
	sd_dense_store(y, step, s, st, mask, c->y->acc, R, B, T);
}

/* The pixels of one row: as many at once as there are registers for. */
SD_INLINE void sum_row(const struct conv *c, const struct group *gr, int tap, int end, const float *src,
	size_t block_stride, float **y, size_t step, const m16 *mask, int n, struct sd_ahead *next, const int B, const int T)
{
	int j = 0;

#define TRY(R, BLOCKS, TAIL) \
	for (; sd_dense_fits(n - j, R); j += R) { \
		sd_ahead(next); \
		sum_tile(c, gr, tap, end, src + (size_t)j * 16, block_stride, y, step, mask, R, BLOCKS, TAIL); \
		for (int b = 0; b < B + !!T; b++) \
			y[b] += R * step; \
	}
	SD_DENSE_RUNS(TRY, B, T);
#undef TRY
}

/* The pixels of phase ph in a band of image n. */
SD_INLINE void sum_rows(const struct conv *c, const struct group *gr, const struct sd_phase *ph, int n,
	struct sd_band band, const float *src, size_t block_stride, size_t row_stride, struct sd_ahead *next, const int B,
	const int T)
{
	const struct sd_gather *g = &c->g;
	size_t step = (size_t)g->oxs * 16;
	int tap = ph->tap > gr->tap ? ph->tap : gr->tap;
	int end = ph->tap + ph->ntap < gr->tap + gr->ntap ? ph->tap + ph->ntap : gr->tap + gr->ntap;
	float *y[SD_CONV_BLOCKS];
	m16 mask[SD_CONV_BLOCKS];

	for (int b = 0; b < B + !!T; b++)
		mask[b] = m16_first(c->y->y.blk[gr->block + b].n);
	for (int i = 0; i < band.ni; i++, src += row_stride) {
		size_t pixel = (size_t)(ph->oy + (band.i0 + i) * g->oys) * (size_t)g->ow
			+ (size_t)(ph->ox + band.j0 * g->oxs);

		for (int b = 0; b < B + !!T; b++)
			y[b] = sd_img_at(&c->y->y, gr->block + b, n) + pixel * 16;
		sum_row(c, gr, tap, end, src, block_stride, y, step, mask, band.nj, next, B, T);
	}
}

static void sum_group(const struct conv *c, const struct group *gr, const struct sd_phase *ph, int n,
	struct sd_band band, const float *src, size_t block_stride, size_t row_stride, struct sd_ahead *next)
{
#define CASE(B, T) sum_rows(c, gr, ph, n, band, src, block_stride, row_stride, next, B, T)
	SD_DENSE_CASES(CASE, gr->n, sd_tail(&c->y->y.blk[gr->block], gr->n));
#undef CASE
}

/* What the task after this one reads, asked for in this one's turns. */
static struct sd_ahead next_task(const struct conv *c, int task)
{
	const struct sd_gather *g = &c->g;
	int bands = g->nbi * g->nbj;
	struct sd_ahead a = { 0 };
	struct sd_band band;

	if (!c->neighbours || ++task == c->y->y.n * bands)
		return a;
	band = sd_gather_band(g, task % bands);
	sd_ahead_rows(&a, g, &c->x->x, task / bands, band, 0, band.ni);
	sd_ahead_in(&a, (c->ngroup * g->nphase * band.ni * band.nj + AHEAD_PIXELS - 1) / AHEAD_PIXELS);
	return a;
}

/* One band of one image, all channels. */
static void sum_task(void *ctx, int task, int thread)
{
	const struct conv *c = ctx;
	const struct sd_gather *g = &c->g;
	int bands = g->nbi * g->nbj, n = task / bands;
	struct sd_band band = sd_gather_band(g, task % bands);
	size_t block_stride = g->tile, row_stride = (size_t)g->cols * 16;
	struct sd_ahead next = next_task(c, task);
	const float *src;

	if (c->direct) {
		src = sd_img_at(&c->x->x, 0, n)
			+ ((size_t)(band.i0 * g->sy) * (size_t)g->w + (size_t)band.j0) * 16;
		block_stride = (size_t)c->x->x.n * (size_t)g->h * (size_t)g->w * 16;
		row_stride = (size_t)(g->sy * g->w) * 16;
	} else {
		float *tile = c->tile + (size_t)thread * c->tile_stride;

		for (int b = 0; b < c->x->x.cb; b++)
			sd_tile_fill(g, c->x, b, n, band, 0, band.ni, tile + (size_t)b * g->tile);
		src = tile;
	}
	for (int k = 0; k < c->ngroup; k++) {
		for (int f = 0; f < g->nphase; f++) {
			const struct sd_phase *ph = &g->phase[f];
			struct sd_band part = band;

			part.ni = ph->ni - band.i0 < band.ni ? ph->ni - band.i0 : band.ni;
			part.nj = ph->nj - band.j0 < band.nj ? ph->nj - band.j0 : band.nj;
			sum_group(c, &c->group[k], ph, n, part, src, block_stride, row_stride, &next);
		}
	}
}

/* Packs a group's weights: for each tap and channel the lanes of the group's blocks. */
static void pack_task(void *ctx, int task, int thread)
{
	const struct conv *c = ctx;
	const struct group *gr = &c->group[task];
	float *d = gr->w;

	(void)thread;
	for (int t = gr->tap; t < gr->tap + gr->ntap; t++) {
		const struct tap_w *tw = &c->tap[t];

		for (int k = tw->run; k < tw->run + tw->nrun; k++) {
			const struct run *run = &c->run[k];

			for (int i = run->ch; i < run->ch + run->n; i++) {
				for (int b = gr->block; b < gr->block + gr->n; b++) {
					const struct sd_blk *blk = &c->y->y.blk[b];

					for (int l = 0; l < 16; l++) {
						int o = blk->ch + l;

						*d++ = l < blk->n && o >= tw->first && o < tw->last
							? tw->w[(o - tw->first) * tw->so + i * tw->si] : 0;
					}
				}
			}
		}
	}
}

/* The lanes of x that hold channels [first, last), numbered from `first`. */
static int find_runs(struct run *run, const struct sd_img *x, int first, int last)
{
	int n = 0;

	for (int b = 0; b < x->cb; b++) {
		int lo = first > x->blk[b].ch ? first - x->blk[b].ch : 0;
		int hi = last - x->blk[b].ch < x->blk[b].n ? last - x->blk[b].ch : x->blk[b].n;

		if (lo < hi)
			run[n++] = (struct run){ b, lo, hi - lo, x->blk[b].ch + lo - first };
	}
	return n;
}

static int tap_used(const struct tap_w *tw, const struct sd_blk *blk)
{
	return blk->ch < tw->last && blk->ch + blk->n > tw->first;
}

static int same_taps(const struct conv *c, const struct sd_blk *a, const struct sd_blk *b)
{
	for (int t = 0; t < c->g.ntap; t++)
		if (tap_used(&c->tap[t], a) != tap_used(&c->tap[t], b))
			return 0;
	return 1;
}

/* Blocks in a row that use the same taps form groups, as even as can be. */
static void make_groups(struct conv *c, float *packed)
{
	const struct sd_img *y = &c->y->y;

	for (int b = 0; b < y->cb; ) {
		struct group *gr = &c->group[c->ngroup++];
		int lo = 0, hi = c->g.ntap, n = 1, parts;

		while (lo < hi && !tap_used(&c->tap[lo], &y->blk[b]))
			lo++;
		while (hi > lo && !tap_used(&c->tap[hi - 1], &y->blk[b]))
			hi--;
		while (b + n < y->cb && same_taps(c, &y->blk[b], &y->blk[b + n]))
			n++;
		parts = (n + SD_CONV_BLOCKS - 1) / SD_CONV_BLOCKS;
		n = (n + parts - 1) / parts;
		*gr = (struct group){ .block = b, .n = n, .tap = lo, .ntap = hi - lo, .w = packed };
		for (int t = lo; t < hi; t++)
			packed += c->tap[t].depth * (size_t)n * 16;
		b += n;
	}
}

static size_t up64(size_t n)
{
	return (n + 63) / 64 * 64;
}

/* Room for the geometry in slot 3: gather's, then taps, runs and groups.  Slot 0 holds bias and packed
 * weights, slot 1 tiles. */
static void *place(struct sd_par *par, struct conv *c, struct sd_window win)
{
	size_t g = up64(sd_gather_bytes(win)), t = up64((size_t)(win.kh * win.kw) * sizeof(*c->tap));
	size_t r = up64(2 * (size_t)c->x->x.cb * sizeof(*c->run));
	char *mem = sd_par_scratch(par, 3, g + t + r + (size_t)c->y->y.cb * sizeof(*c->group));

	c->tap = (struct tap_w *)(mem + g);
	c->run = (struct run *)(mem + g + t);
	c->group = (struct group *)(mem + g + t + r);
	return mem;
}

/* With geometry, taps and runs in place: packs the weights and runs the tasks. */
static void conv_run(struct sd_par *par, struct conv *c)
{
	const struct sd_img *y = &c->y->y;
	size_t depth = 0;
	float *packed;

	for (int t = 0; t < c->g.ntap; t++) {
		c->tap[t].before = depth;
		depth += c->tap[t].depth;
	}
	packed = sd_par_scratch(par, 0, (size_t)y->cb * 64 * (depth + 1));
	c->bias_lanes = packed;
	for (int b = 0; b < y->cb; b++)
		for (int l = 0; l < 16; l++)
			*packed++ = c->bias && l < y->blk[b].n ? c->bias[y->blk[b].ch + l] : 0;
	make_groups(c, packed);
	sd_par_run(par, c->ngroup, pack_task, c);

	c->direct = sd_src_plain(c->x) && c->g.sx == 1 && sd_gather_inside(&c->g);
	if (c->direct) {
		for (int t = 0; t < c->g.ntap; t++)
			c->g.tap[t].off = ((ptrdiff_t)c->g.tap[t].ty * c->g.w + c->g.tap[t].tx) * 16;
	} else {
		c->tile = sd_par_scratch_each(par, 1, (size_t)c->x->x.cb * c->g.tile * sizeof(float),
			&c->tile_stride);
		c->tile_stride /= sizeof(float);
	}
	c->neighbours = y->n * c->g.nbi * c->g.nbj >= SD_AHEAD_TASKS * sd_par_threads(par);
	sd_par_run(par, y->n * c->g.nbi * c->g.nbj, sum_task, c);
}

static void conv(struct sd_par *par, const struct sd_src *x, const float *w, const float *bias,
	struct sd_window win, const struct sd_dst *y)
{
	struct conv c = { .x = x, .y = y, .bias = bias };
	int k2 = win.kh * win.kw, nrun;

	sd_gather_forward(&c.g, place(par, &c, win), win, SD_ALL_TAPS, x->x.h, x->x.w, y->y.h, y->y.w,
		SD_CONV_BAND);
	nrun = find_runs(c.run, &x->x, 0, x->x.c);
	for (int t = 0; t < c.g.ntap; t++)
		c.tap[t] = (struct tap_w){ .w = w + c.g.tap[t].k, .so = (ptrdiff_t)x->x.c * k2, .si = k2,
			.last = y->y.c, .nrun = nrun, .depth = (size_t)x->x.c };
	conv_run(par, &c);
}

static void conv_bwd_x(struct sd_par *par, const struct sd_img *gy, const float *w, struct sd_window win,
	const struct sd_dst *gx)
{
	struct sd_src src = { .x = *gy };
	struct conv c = { .x = &src, .y = gx };
	int k2 = win.kh * win.kw, nrun;

	sd_gather_backward(&c.g, place(par, &c, win), win, SD_ALL_TAPS, gx->y.h, gx->y.w, gy->h, gy->w,
		SD_CONV_BAND);
	nrun = find_runs(c.run, gy, 0, gy->c);
	for (int t = 0; t < c.g.ntap; t++)
		c.tap[t] = (struct tap_w){ .w = w + c.g.tap[t].k, .so = k2, .si = (ptrdiff_t)gx->y.c * k2,
			.last = gx->y.c, .nrun = nrun, .depth = (size_t)gy->c };
	conv_run(par, &c);
}

static void frconv(struct sd_par *par, const struct sd_src *x, const float *w1, int c1, const float *w2,
	int c2, const struct sd_dst *y)
{
	struct conv c = { .x = x, .y = y };
	int nrun;

	sd_gather_forward(&c.g, place(par, &c, SD_FR_WINDOW), SD_FR_WINDOW, SD_FR_TAPS, x->x.h, x->x.w,
		y->y.h, y->y.w, SD_CONV_BAND);
	nrun = find_runs(c.run, &x->x, 0, x->x.c);
	for (int t = 0; t < c.g.ntap; t++)
		c.tap[t] = (struct tap_w){ .w = t ? w2 : w1, .so = x->x.c, .si = 1, .first = t ? c1 : 0,
			.last = t ? c1 + c2 : c1, .nrun = nrun, .depth = (size_t)x->x.c };
	conv_run(par, &c);
}

static void frconv_bwd_x(struct sd_par *par, const struct sd_img *gy, const float *w1, int c1,
	const float *w2, int c2, const struct sd_dst *gx)
{
	struct sd_src src = { .x = *gy };
	struct conv c = { .x = &src, .y = gx };
	int n1, n2;

	sd_gather_backward(&c.g, place(par, &c, SD_FR_WINDOW), SD_FR_WINDOW, SD_FR_TAPS, gx->y.h, gx->y.w,
		gy->h, gy->w, SD_CONV_BAND);
	n1 = find_runs(c.run, gy, 0, c1);
	n2 = find_runs(c.run + n1, gy, c1, c1 + c2);
	for (int t = 0; t < c.g.ntap; t++) {
		int second = c.g.tap[t].k != 0;

		c.tap[t] = (struct tap_w){ .w = second ? w2 : w1, .so = 1, .si = gx->y.c, .last = gx->y.c,
			.run = second ? n1 : 0, .nrun = second ? n2 : n1,
			.depth = (size_t)(second ? c2 : c1) };
	}
	conv_run(par, &c);
}

void SD_K(conv)(struct sd_kernels *k)
{
	k->conv = conv;
	k->conv_bwd_x = conv_bwd_x;
	k->frconv = frconv;
	k->frconv_bwd_x = frconv_bwd_x;
}
