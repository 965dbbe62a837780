/* k_dwconv.c: depthwise convolutions, a block of channels at a time.
 *
 * Each output pixel sums its taps in the order of the window, from 0.  A weight gradient has one sum a
 * tap, pixels in row order, images in order, for each chunk of the batch; then chunks in order. */
#include "engine/cpu/gather.h"
#include "engine/cpu/kernels.h"
#include "engine/cpu/simd.h"
#include "engine/cpu/tile.h"

#include <string.h>

/* Output pixels between fills: their part of the tile stays in the first-level cache. */
#define PIXELS_AT_ONCE 256
/* A band's tile stays in the second-level cache. */
#define BAND_PIXELS 4096
/* Tasks that a weight gradient is cut into where the batch allows. */
#define TASKS 64
/* Tasks of a forward pass, at most: more would only break up runs of memory. */
#define FORWARD_TASKS 128

/* Output pixels at once, and taps of the weight gradient at once: accumulators in registers. */
#if defined(SD_ISA_AVX512)
#define RUN 16
#define TAPS 9
#elif defined(SD_ISA_AVX2)
#define RUN 6
#define TAPS 5
#else
#define RUN 4
#define TAPS 3
#endif

struct dw {
	struct sd_gather g;      /* x to y, or gy to gx */
	struct sd_gather gw;     /* x to y, for the weight gradient */
	const struct sd_src *x;
	const struct sd_img *gy;
	const struct sd_dst *y;  /* y, or gx or NULL */
	int ntap;
	const float *w;          /* packed: [block][tap of the window][16] */
	float *part;             /* weight gradient: [block][chunk][tap][16]; NULL for none */
	int chunks;
	float *grad;             /* (C, tap) */
	float *tile;
	size_t tile_stride;
};

/* R output pixels. */
SD_INLINE void run(float *y, size_t step, const float *p, const struct sd_tap *tap, int ntap, const float *w,
	m16 mask, int acc, const int R)
{
	v16 s[RUN];

	SD_UNROLL(16)
	for (int r = 0; r < R; r++)
		s[r] = v16_zero();
	for (int t = 0; t < ntap; t++) {
		const float *q = p + tap[t].off;
		v16 wv = v16_load(w + tap[t].k * 16);

		SD_UNROLL(16)
		for (int r = 0; r < R; r++)
			s[r] = v16_fma(wv, v16_load(q + r * 16), s[r]);
	}
	SD_UNROLL(16)
	for (int r = 0; r < R; r++) {
		float *d = y + (size_t)r * step;

		v16_store(d, v16_keep(mask, acc ? v16_add(v16_load(d), s[r]) : s[r]));
	}
}

static void run_row(float *y, size_t step, const float *p, const struct sd_tap *tap, int ntap, const float *w,
	m16 mask, int acc, int n)
{
	int j = 0;

#define TRY(R) \
	for (; j + R <= n; j += R) \
		run(y + (size_t)j * step, step, p + (size_t)j * 16, tap, ntap, w, mask, acc, R)
	TRY(RUN);
#if RUN > 8
	TRY(8);
#endif
#if RUN > 4
	TRY(4);
#endif
	TRY(1);
#undef TRY
}

/* Fills the tile and sums over it, some rows at a time: block b of image n, band k. */
static void sum_band(const struct sd_gather *g, const struct sd_src *x, const struct sd_dst *y,
	const float *w, int b, int n, int k, float *tile)
{
	struct sd_band band = sd_gather_band(g, k);
	int rows = PIXELS_AT_ONCE / band.nj > 1 ? PIXELS_AT_ONCE / band.nj : 1;
	float *img = sd_img_at(&y->y, b, n);
	m16 mask = m16_first(y->y.blk[b].n);

	for (int from = 0; from < band.ni; from += rows) {
		int to = from + rows < band.ni ? from + rows : band.ni;

		sd_tile_fill(g, x, b, n, band, from, to, tile);
		for (int f = 0; f < g->nphase; f++) {
			const struct sd_phase *ph = &g->phase[f];
			int last = ph->ni - band.i0 < to ? ph->ni - band.i0 : to;
			int nj = ph->nj - band.j0 < band.nj ? ph->nj - band.j0 : band.nj;

			for (int i = from; i < last; i++) {
				size_t row = (size_t)(ph->oy + (band.i0 + i) * g->oys);
				size_t col = (size_t)(ph->ox + band.j0 * g->oxs);

				run_row(img + (row * (size_t)g->ow + col) * 16, (size_t)g->oxs * 16,
					tile + (size_t)i * (size_t)g->cols * 16, g->tap + ph->tap, ph->ntap,
					w, mask, y->acc, nj);
			}
		}
	}
}

/* T taps of the weight gradient over rows of a tile. */
SD_INLINE void grad_taps(float *part, const float *tile, size_t tile_row, const struct sd_tap *tap,
	const float *gy, size_t gy_row, int ni, int nj, const int T)
{
	const float *q[TAPS];
	v16 s[TAPS];

	SD_UNROLL(9)
	for (int t = 0; t < T; t++)
		s[t] = v16_load(part + tap[t].k * 16);
	for (int i = 0; i < ni; i++) {
		const float *gr = gy + (size_t)i * gy_row;

		SD_UNROLL(9)
		for (int t = 0; t < T; t++)
			q[t] = tile + tap[t].off + (size_t)i * tile_row;
		for (ptrdiff_t j = 0; j < (ptrdiff_t)nj * 16; j += 16) {
			v16 gv = v16_load(gr + j);

			SD_UNROLL(9)
			for (int t = 0; t < T; t++)
				s[t] = v16_fma(gv, v16_load(q[t] + j), s[t]);
		}
	}
	SD_UNROLL(9)
	for (int t = 0; t < T; t++)
		v16_store(part + tap[t].k * 16, s[t]);
}

static void grad_band(const struct dw *d, int b, int n, int k, float *tile, float *part)
{
	const struct sd_gather *g = &d->gw;
	struct sd_band band = sd_gather_band(g, k);
	const float *gy = sd_img_at(d->gy, b, n) + ((size_t)band.i0 * (size_t)g->ow + (size_t)band.j0) * 16;
	size_t tile_row = (size_t)g->cols * 16, gy_row = (size_t)g->ow * 16;
	int passes = (g->ntap + TAPS - 1) / TAPS;

	sd_tile_fill(g, d->x, b, n, band, 0, band.ni, tile);
	/* taps in equal shares: a pass with few sums would wait for each of them */
	for (int i = 0; i < passes; i++) {
		int t = g->ntap * i / passes, count = g->ntap * (i + 1) / passes - t;
		const struct sd_tap *tap = g->tap + t;

		switch (count) {
#define CASE(T) case T: grad_taps(part, tile, tile_row, tap, gy, gy_row, band.ni, band.nj, T); break
		CASE(1);
		CASE(2);
		CASE(3);
#if TAPS > 3
		CASE(4);
		CASE(5);
#endif
#if TAPS > 5
		CASE(6);
		CASE(7);
		CASE(8);
		CASE(9);
#endif
#undef CASE
		}
	}
}

static int units(const struct dw *d)
{
	return d->x->x.cb * d->x->x.n * d->g.nbi * d->g.nbj;
}

static int forward_tasks(const struct dw *d)
{
	return units(d) < FORWARD_TASKS ? units(d) : FORWARD_TASKS;
}

/* Bands that follow each other in memory. */
static void forward_task(void *ctx, int task, int thread)
{
	const struct dw *d = ctx;
	int bands = d->g.nbi * d->g.nbj, ntask = forward_tasks(d);
	int end = (int)((long)units(d) * (task + 1) / ntask);

	for (int u = (int)((long)units(d) * task / ntask); u < end; u++) {
		int band = u % bands, n = u / bands % d->x->x.n, b = u / bands / d->x->x.n;

		sum_band(&d->g, d->x, d->y, d->w + (size_t)b * (size_t)d->ntap * 16, b, n, band,
			d->tile + (size_t)thread * d->tile_stride);
	}
}

/* A chunk of the batch in one block: both gradients, so that gy is still in the cache for the second. */
static void backward_task(void *ctx, int task, int thread)
{
	const struct dw *d = ctx;
	int b = task / d->chunks, chunk = task % d->chunks;
	int first = (int)((long)d->gy->n * chunk / d->chunks);
	int end = (int)((long)d->gy->n * (chunk + 1) / d->chunks);
	float *tile = d->tile + (size_t)thread * d->tile_stride;
	float *part = d->part ? d->part + (size_t)task * (size_t)d->ntap * 16 : NULL;
	struct sd_src gy = { .x = *d->gy };

	if (part)
		memset(part, 0, (size_t)d->ntap * 16 * sizeof(*part));
	for (int n = first; n < end; n++) {
		for (int k = 0; part && k < d->gw.nbi * d->gw.nbj; k++)
			grad_band(d, b, n, k, tile, part);
		for (int k = 0; d->y && k < d->g.nbi * d->g.nbj; k++)
			sum_band(&d->g, &gy, d->y, d->w + (size_t)b * (size_t)d->ntap * 16, b, n, k, tile);
	}
}

/* The chunks' sums of a block, in order. */
static void reduce_task(void *ctx, int b, int thread)
{
	const struct dw *d = ctx;
	const struct sd_blk *blk = &d->gy->blk[b];
	size_t size = (size_t)d->ntap * 16;

	(void)thread;
	for (int t = 0; t < d->ntap; t++) {
		const float *p = d->part + (size_t)(b * d->chunks) * size + (size_t)t * 16;
		float lane[16];
		v16 s = v16_load(p);

		for (int c = 1; c < d->chunks; c++)
			s = v16_add(s, v16_load(p + (size_t)c * size));
		v16_store(lane, s);
		for (int l = 0; l < blk->n; l++)
			d->grad[(blk->ch + l) * d->ntap + t] = lane[l];
	}
}

/* (C, ntap) to [block][tap][16], 0 in padding lanes. */
static void pack(float *dst, const float *w, const struct sd_img *x, int ntap)
{
	for (int b = 0; b < x->cb; b++)
		for (int t = 0; t < ntap; t++)
			for (int l = 0; l < 16; l++)
				*dst++ = l < x->blk[b].n ? w[(x->blk[b].ch + l) * ntap + t] : 0;
}

/* Slot 0 holds the packed weights, 1 the tiles, 2 the partial sums, 3 the geometry. */
static void dwconv(struct sd_par *par, const struct sd_src *x, const float *w, struct sd_window win,
	const struct sd_dst *y)
{
	struct dw d = { .x = x, .y = y, .ntap = win.kh * win.kw };
	float *packed = sd_par_scratch(par, 0, (size_t)x->x.cb * (size_t)d.ntap * 64);

	sd_gather_forward(&d.g, sd_par_scratch(par, 3, sd_gather_bytes(win)), win, SD_ALL_TAPS,
		x->x.h, x->x.w, y->y.h, y->y.w, BAND_PIXELS);
	pack(packed, w, &x->x, d.ntap);
	d.w = packed;
	d.tile = sd_par_scratch_each(par, 1, d.g.tile * sizeof(float), &d.tile_stride);
	d.tile_stride /= sizeof(float);
	sd_par_run(par, forward_tasks(&d), forward_task, &d);
}

static void dwconv_bwd(struct sd_par *par, const struct sd_src *x, const struct sd_img *gy, const float *w,
	struct sd_window win, const struct sd_dst *gx, float *gw)
{
	struct dw d = { .x = x, .gy = gy, .y = gx, .ntap = win.kh * win.kw, .grad = gw };
	size_t geometry = (sd_gather_bytes(win) + 63) / 64 * 64;
	char *mem = sd_par_scratch(par, 3, 2 * geometry);
	int h = gx ? gx->y.h : x->x.h, wd = gx ? gx->y.w : x->x.w;
	float *packed;

	d.chunks = (TASKS + gy->cb - 1) / gy->cb;
	d.chunks = d.chunks < gy->n ? d.chunks : gy->n;
	if (gx) {
		packed = sd_par_scratch(par, 0, (size_t)gy->cb * (size_t)d.ntap * 64);
		pack(packed, w, gy, d.ntap);
		d.w = packed;
		sd_gather_backward(&d.g, mem, win, SD_ALL_TAPS, h, wd, gy->h, gy->w, BAND_PIXELS);
	}
	if (gw) {
		d.part = sd_par_scratch(par, 2, (size_t)(gy->cb * d.chunks) * (size_t)d.ntap * 64);
		sd_gather_forward(&d.gw, mem + geometry, win, SD_ALL_TAPS, h, wd, gy->h, gy->w,
			PIXELS_AT_ONCE);
	}
	d.tile = sd_par_scratch_each(par, 1, (d.g.tile > d.gw.tile ? d.g.tile : d.gw.tile) * sizeof(float),
		&d.tile_stride);
	d.tile_stride /= sizeof(float);
	sd_par_run(par, gy->cb * d.chunks, backward_task, &d);

	if (gw)
		sd_par_run(par, gy->cb, reduce_task, &d);
}

void SD_K(dwconv)(struct sd_kernels *k)
{
	k->dwconv = dwconv;
	k->dwconv_bwd = dwconv_bwd;
}
