/* k_conv_w.c: weight gradients of dense convolutions and of the factorised reduce.
 *
 * One sum an element: pixels in row order (in bands, where rows are longer than a band), images in order,
 * for each chunk of the batch; then chunks in order. */
#include "engine/cpu/dense.h"
#include "engine/cpu/tile.h"

#include <string.h>

/* Tasks that the work is cut into where the batch allows. */
#define TASKS 64
/* Pixels at once: what all channels of x come back to stays in the first-level cache. */
#define GRAD_BAND 128

struct grad {
	struct sd_gather g;
	const struct sd_src *x;
	const struct sd_img *gy;
	int first, last;  /* output channels wanted */
	int block, nblock; /* the blocks they are in */
	int chunks;
	int k2;           /* window elements in gw */
	float *part;      /* [chunk][block of x][tap][block of gy][16][16] */
	float *gw;
	int direct;
	float *tile;
	size_t tile_stride;
};

/* One band: every tap and all wanted blocks of gy.  img is where it begins in x. */
static void grad_band(const struct grad *d, float *part, const float *src, size_t x_row, const float *img, int n,
	int lanes, struct sd_band band)
{
	const struct sd_gather *g = &d->g;
	size_t gy_row = (size_t)g->ow * 16, gy_block = (size_t)d->gy->n * (size_t)g->oh * gy_row;

	for (int t = 0; t < g->ntap; t++)
		sd_grad_blocks(part + (size_t)(t * d->nblock) * 256, src + g->tap[t].off, x_row,
			sd_img_at(d->gy, d->block, n) + ((size_t)band.i0 * (size_t)g->ow + (size_t)band.j0) * 16,
			gy_block, gy_row, band.ni, band.nj, lanes, d->gy->blk + d->block, d->nblock,
			t ? NULL : img + (size_t)(band.ni * band.nj) * 16);
}

/* A chunk of the batch, one block of x, all wanted blocks of gy: tasks that run together share gy. */
static void grad_task(void *ctx, int task, int thread)
{
	const struct grad *d = ctx;
	const struct sd_gather *g = &d->g;
	int chunk = task / d->x->x.cb, ib = task % d->x->x.cb, batch = d->gy->n, bands = g->nbi * g->nbj;
	int end = (int)((long)batch * (chunk + 1) / d->chunks), lanes = d->x->x.blk[ib].n;
	size_t size = (size_t)(g->ntap * d->nblock) * 256;
	float *part = d->part + (size_t)task * size;

	memset(part, 0, size * sizeof(*part));
	for (int n = (int)((long)batch * chunk / d->chunks); n < end; n++) {
		for (int k = 0; k < bands; k++) {
			struct sd_band band = sd_gather_band(g, k);
			size_t row = (size_t)(g->sy * g->w);
			const float *img = sd_img_at(&d->x->x, ib, n) + ((size_t)band.i0 * row + (size_t)(band.j0 * g->sx)) * 16;

			if (d->direct) {
				grad_band(d, part, img, row * 16, img, n, lanes, band);
			} else {
				float *tile = d->tile + (size_t)thread * d->tile_stride;

				sd_tile_fill(g, d->x, ib, n, band, 0, band.ni, tile);
				grad_band(d, part, tile, (size_t)g->cols * 16, img, n, lanes, band);
			}
		}
	}
}

/* Sums the chunks for one pair of blocks. */
static void reduce_task(void *ctx, int task, int thread)
{
	const struct grad *d = ctx;
	int ib = task / d->nblock, b = task % d->nblock;
	const struct sd_blk *bx = &d->x->x.blk[ib], *by = &d->gy->blk[d->block + b];
	size_t size = (size_t)(d->g.ntap * d->nblock) * 256;

	(void)thread;
	for (int t = 0; t < d->g.ntap; t++) {
		int k = d->k2 > 1 ? d->g.tap[t].k : 0;

		sd_grad_reduce(d->part + (size_t)ib * size + (size_t)(t * d->nblock + b) * 256, (size_t)d->x->x.cb * size,
			d->chunks, bx, by, d->first - by->ch, d->last - by->ch,
			d->gw + ((ptrdiff_t)(by->ch - d->first) * d->x->x.c + bx->ch) * d->k2 + k,
			(size_t)d->x->x.c * (size_t)d->k2, (size_t)d->k2);
	}
}

/* With geometry and channels in place. */
static void grad_run(struct sd_par *par, struct grad *d)
{
	const struct sd_img *gy = d->gy;
	int cb = d->x->x.cb;

	d->nblock = 0;
	for (int b = 0; b < gy->cb; b++) {
		if (gy->blk[b].ch >= d->last || gy->blk[b].ch + gy->blk[b].n <= d->first)
			continue;
		d->block = d->nblock ? d->block : b;
		d->nblock = b + 1 - d->block;
	}
	d->chunks = (TASKS + cb - 1) / cb;
	d->chunks = d->chunks < gy->n ? d->chunks : gy->n;
	d->part = sd_par_scratch(par, 2, (size_t)(cb * d->chunks) * (size_t)(d->g.ntap * d->nblock) * 1024);
	d->direct = sd_src_plain(d->x) && d->g.sx == 1 && sd_gather_inside(&d->g);
	if (d->direct) {
		for (int t = 0; t < d->g.ntap; t++)
			d->g.tap[t].off = ((ptrdiff_t)d->g.tap[t].ty * d->g.w + d->g.tap[t].tx) * 16;
	} else {
		d->tile = sd_par_scratch_each(par, 1, d->g.tile * sizeof(float), &d->tile_stride);
		d->tile_stride /= sizeof(float);
	}
	sd_par_run(par, cb * d->chunks, grad_task, d);
	sd_par_run(par, cb * d->nblock, reduce_task, d);
}

static void conv_bwd_w(struct sd_par *par, const struct sd_src *x, const struct sd_img *gy,
	struct sd_window win, float *gw)
{
	struct grad d = { .x = x, .gy = gy, .last = gy->c, .k2 = win.kh * win.kw, .gw = gw };

	sd_gather_forward(&d.g, sd_par_scratch(par, 3, sd_gather_bytes(win)), win, SD_ALL_TAPS,
		x->x.h, x->x.w, gy->h, gy->w, GRAD_BAND);
	grad_run(par, &d);
}

static void frconv_bwd_w(struct sd_par *par, const struct sd_src *x, const struct sd_img *gy, int c1,
	int which, float *gw)
{
	struct grad d = { .x = x, .gy = gy, .first = which ? c1 : 0, .last = which ? gy->c : c1, .k2 = 1,
		.gw = gw };
	struct sd_taps taps = { which ? 3 : 0, 4 };

	sd_gather_forward(&d.g, sd_par_scratch(par, 3, sd_gather_bytes(SD_FR_WINDOW)), SD_FR_WINDOW, taps,
		x->x.h, x->x.w, gy->h, gy->w, GRAD_BAND);
	grad_run(par, &d);
}

void SD_K(conv_w)(struct sd_kernels *k)
{
	k->conv_bwd_w = conv_bwd_w;
	k->frconv_bwd_w = frconv_bwd_w;
}
