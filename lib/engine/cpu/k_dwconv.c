/* k_dwconv.c: depthwise convolutions, a block of channels at a time.
 *
 * Each output pixel sums its taps in the order of the window, from 0.  A weight gradient has one sum a
 * tap, pixels in row order, images in order, for each chunk of the batch; then chunks in order. */
#include "engine/cpu/dw.h"
#include "engine/cpu/tile.h"

#include <string.h>

/* A band's tile stays in the second-level cache. */
#define BAND_PIXELS 4096
/* Tasks that a weight gradient is cut into where the batch allows. */
#define TASKS 64
/* Tasks of a forward pass, at most: more would only break up runs of memory. */
#define FORWARD_TASKS 128

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

/* Fills the tile and sums over it, some rows at a time: block b of image n, band k. */
static void sum_band(const struct sd_gather *g, const struct sd_src *x, const struct sd_dst *y,
	const float *w, int b, int n, int k, float *tile)
{
	struct sd_band band = sd_gather_band(g, k);
	int rows = SD_DW_PIXELS / band.nj > 1 ? SD_DW_PIXELS / band.nj : 1;
	float *img = sd_img_at(&y->y, b, n);
	m16 mask = m16_first(y->y.blk[b].n);

	for (int from = 0; from < band.ni; from += rows) {
		int to = from + rows < band.ni ? from + rows : band.ni;

		sd_tile_fill(g, x, b, n, band, from, to, tile);
		sd_dw_rows(g, band, from, to, tile, w, mask, y->acc, img);
	}
}

static void grad_band(const struct dw *d, int b, int n, int k, float *tile, float *part)
{
	const struct sd_gather *g = &d->gw;
	struct sd_band band = sd_gather_band(g, k);
	const float *gy = sd_img_at(d->gy, b, n) + ((size_t)band.i0 * (size_t)g->ow + (size_t)band.j0) * 16;

	sd_tile_fill(g, d->x, b, n, band, 0, band.ni, tile);
	sd_dw_grad(g, part, tile, gy, (size_t)g->ow * 16, band.ni, band.nj);
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

static void reduce_task(void *ctx, int b, int thread)
{
	const struct dw *d = ctx;
	size_t size = (size_t)d->ntap * 16;

	(void)thread;
	sd_dw_reduce(&d->gy->blk[b], d->part + (size_t)(b * d->chunks) * size, size, d->chunks, d->ntap, d->grad);
}

/* Slot 0 holds the packed weights, 1 the tiles, 2 the partial sums, 3 the geometry. */
static void dwconv(struct sd_par *par, const struct sd_src *x, const float *w, struct sd_window win,
	const struct sd_dst *y)
{
	struct dw d = { .x = x, .y = y, .ntap = win.kh * win.kw };
	float *packed = sd_par_scratch(par, 0, (size_t)x->x.cb * (size_t)d.ntap * 64);

	sd_gather_forward(&d.g, sd_par_scratch(par, 3, sd_gather_bytes(win)), win, SD_ALL_TAPS,
		x->x.h, x->x.w, y->y.h, y->y.w, BAND_PIXELS);
	sd_dw_pack(packed, w, &x->x, d.ntap);
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
		sd_dw_pack(packed, w, gy, d.ntap);
		d.w = packed;
		sd_gather_backward(&d.g, mem, win, SD_ALL_TAPS, h, wd, gy->h, gy->w, BAND_PIXELS);
	}
	if (gw) {
		d.part = sd_par_scratch(par, 2, (size_t)(gy->cb * d.chunks) * (size_t)d.ntap * 64);
		sd_gather_forward(&d.gw, mem + geometry, win, SD_ALL_TAPS, h, wd, gy->h, gy->w,
			SD_DW_PIXELS);
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
