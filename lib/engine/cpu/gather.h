/* gather.h: the geometry of the window ops, worked out once a call.
 *
 * Every dense or depthwise convolution, forward, data gradient, weight gradient, any stride and
 * dilation, is the same sum here: an output pixel (i, j) of a phase is the sum over the phase's
 * taps of the source pixel (i sy + ty, j sx + tx), 0 outside the source, times the tap's weights.
 *
 * - A forward op has one phase.  The data gradient of stride s has s*s phases: output pixels whose
 *   row and column leave the same remainders meet the same taps.
 * - A band of the source is copied to a tile, with its zero border and with norm and ReLU applied,
 *   split into planes by remainder, so that neighbours along j are neighbours in the tile whatever
 *   the stride.  All planes have rows of `cols` pixels: a tap is one offset from the pixel's place.
 * - A 1x1 window without stride and padding takes an image as one row of h * w pixels. */
#ifndef SD_ENGINE_CPU_GATHER_H
#define SD_ENGINE_CPU_GATHER_H

#include <stddef.h>

#include "graph/graph.h"

struct sd_tap {
	int ty, tx;    /* source pixel of output pixel (0, 0) */
	int k;         /* which element of the window: row * kw + column */
	int plane;
	ptrdiff_t off; /* floats from the place of (i, j) in the tile */
};

struct sd_phase {
	int tap, ntap; /* its taps, in the order of the window */
	int oy, ox;    /* output pixel of (0, 0); (i, j) is (oy + i oys, ox + j oxs) */
	int ni, nj;
	int row, apart; /* its taps are in rows of so many, each so many pixels of the tile behind the one before and
	                   the window's next element; row is 1, apart 0 where there are no such rows */
};

struct sd_plane {
	int py, px;    /* remainders: source rows q sy + py, columns q sx + px */
	int qy, qx;    /* first row and column of the tile for output pixel (0, 0) */
	int my, mx;    /* rows and columns more than the band has */
	size_t at;     /* first float in the tile */
};

struct sd_gather {
	int h, w;      /* source */
	int oh, ow;    /* output */
	int sy, sx, oys, oxs;
	int ntap, nphase, nplane;
	struct sd_tap *tap;
	struct sd_phase *phase;
	struct sd_plane *plane;
	int ni, nj;    /* the largest phase's */
	int bi, bj;    /* rows and columns of a band */
	int nbi, nbj;  /* bands */
	int cols;      /* pixels in a row of the tile */
	size_t tile;   /* floats of a block's tile */
};

/* The window's elements to use: k = first, first + step, ... */
struct sd_taps {
	int first, step;
};
#define SD_ALL_TAPS ((struct sd_taps){ 0, 1 })
/* The factorised reduce as a window: elements 0 (w1) and 3 (w2) of 2x2, stride 2. */
#define SD_FR_WINDOW ((struct sd_window){ 2, 2, 2, 2, 0, 0, 1, 1 })
#define SD_FR_TAPS ((struct sd_taps){ 0, 3 })

/* Bytes that the two below need at mem (64-byte aligned). */
size_t sd_gather_bytes(struct sd_window win);

/* y (oh, ow) from x (h, w); bands have about `pixels` output pixels of a phase. */
void sd_gather_forward(struct sd_gather *g, void *mem, struct sd_window win, struct sd_taps taps,
	int h, int w, int oh, int ow, int pixels);
/* gx (h, w) from gy (oh, ow).  In one band it has one plane, in which every pixel of gy has its place. */
void sd_gather_backward(struct sd_gather *g, void *mem, struct sd_window win, struct sd_taps taps,
	int h, int w, int oh, int ow, int pixels);

/* Band number `band` of nbi * nbj: output pixels of a phase from (i0, j0) on (clipped to the largest). */
struct sd_band {
	int i0, j0, ni, nj;
};
struct sd_band sd_gather_band(const struct sd_gather *g, int band);

/* Whether every tap of every pixel is inside the source. */
int sd_gather_inside(const struct sd_gather *g);

#endif
