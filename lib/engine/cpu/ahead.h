/* ahead.h: asks for what will be read soon, a few lines at a time between computations, so that memory is at work
 * while the core is.  A hint: no result depends on it. */
#ifndef SD_ENGINE_CPU_AHEAD_H
#define SD_ENGINE_CPU_AHEAD_H

#include "engine/cpu/gather.h"
#include "engine/cpu/kernels.h"
#include "engine/cpu/tile.h"

#define SD_AHEAD_PARTS 4
/* Tasks a thread from which on a thread most often does neighbours one after another (base/par.c). */
#define SD_AHEAD_TASKS 16

struct sd_ahead {
	struct {
		const float *p;     /* of the first block */
		size_t block;       /* floats from block to block */
		int blocks, pixels; /* one pixel of a block is a line */
		int write;          /* they will be written */
	} part[SD_AHEAD_PARTS];
	int parts;
	int share;              /* lines to ask for at once */
	int at, block, pixel;   /* where it has come to */
};

/* To be read: pixels [first, end) of image n, all blocks.  x without memory adds nothing. */
static inline void sd_ahead_add(struct sd_ahead *a, const struct sd_img *x, int n, int first, int end)
{
	if (!x->p || first >= end)
		return;
	a->part[a->parts].p = sd_img_at(x, 0, n) + (size_t)first * 16;
	a->part[a->parts].block = (size_t)x->n * (size_t)x->h * (size_t)x->w * 16;
	a->part[a->parts].blocks = x->cb;
	a->part[a->parts].write = 0;
	a->part[a->parts++].pixels = end - first;
}

/* The same, to be written. */
static inline void sd_ahead_add_write(struct sd_ahead *a, const struct sd_img *x, int n, int first, int end)
{
	int parts = a->parts;

	sd_ahead_add(a, x, n, first, end);
	if (a->parts > parts)
		a->part[parts].write = 1;
}

/* To be read: what output rows [from, to) of a band need of image n of the source x, and rows before them do not. */
static inline void sd_ahead_rows(struct sd_ahead *a, const struct sd_gather *g, const struct sd_img *x, int n,
	struct sd_band band, int from, int to)
{
	const struct sd_plane *pl = &g->plane[0], *last = &g->plane[g->nplane - 1];
	int first = (band.i0 + from + pl->qy + (from ? pl->my : 0)) * g->sy;
	int end = (band.i0 + to + last->qy + last->my) * g->sy;
	int col = g->nbj > 1 ? band.j0 * g->sx : 0, width = g->nbj > 1 ? band.nj * g->sx : g->w;

	first = first < 0 ? 0 : first;
	end = end < g->h ? end : g->h;
	if (first >= end)
		return;
	end = g->nbj > 1 ? first + 1 : end; /* of parts of rows the first alone */
	width = col + width < g->w ? width : g->w - col;
	sd_ahead_add(a, x, n, first * g->w + col, (end - 1) * g->w + col + width);
}

/* All of it in so many turns. */
static inline void sd_ahead_in(struct sd_ahead *a, int turns)
{
	int lines = 0;

	for (int i = 0; i < a->parts; i++)
		lines += a->part[i].blocks * a->part[i].pixels;
	a->share = (lines + turns - 1) / turns;
}

/* Asks for the next lines. */
static inline void sd_ahead(struct sd_ahead *a)
{
	int lines = a->share;

	while (lines > 0 && a->at < a->parts) {
		const float *p = a->part[a->at].p + (size_t)a->block * a->part[a->at].block;
		int left = a->part[a->at].pixels - a->pixel, n = left < lines ? left : lines;

		if (a->part[a->at].write)
			for (int i = a->pixel; i < a->pixel + n; i++)
				__builtin_prefetch(p + (size_t)i * 16, 1);
		else
			for (int i = a->pixel; i < a->pixel + n; i++)
				__builtin_prefetch(p + (size_t)i * 16);
		lines -= n;
		a->pixel += n;
		if (n < left)
			return;
		a->pixel = 0;
		if (++a->block == a->part[a->at].blocks) {
			a->block = 0;
			a->at++;
		}
	}
}

#endif
