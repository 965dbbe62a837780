/* dw.h: the inner loops of depthwise convolutions, over the tiles of gather.h.
 *
 * Each output pixel sums its taps in the order of the window, from 0.  A weight gradient has one sum a tap,
 * pixels in row order. */
#ifndef SD_ENGINE_CPU_DW_H
#define SD_ENGINE_CPU_DW_H

#include "engine/cpu/gather.h"
#include "engine/cpu/kernels.h"
#include "engine/cpu/simd.h"

#include <stdlib.h>

/* Output pixels between fills: their part of the tile stays in the first-level cache. */
#define SD_DW_PIXELS 128

/* Output pixels at once, those at once where taps are in rows, and taps of the weight gradient at once: accumulators in
 * registers. */
#define SD_DW_ROW 5 /* taps of a row, at most */
#if defined(SD_ISA_AVX512)
#define SD_DW_RUN 16
#define SD_DW_ROW_RUN 16
#define SD_DW_TAPS 9
#elif defined(SD_ISA_AVX2)
#define SD_DW_RUN 6
#define SD_DW_ROW_RUN 8
#define SD_DW_TAPS 9
#else
#define SD_DW_RUN 4
#define SD_DW_TAPS 3
#endif

/* R output pixels, `step` floats apart; p is the place of the first in the tile; w[tap of the window][16]. */
SD_INLINE void sd_dw_run(float *y, size_t step, const float *p, const struct sd_tap *tap, int ntap,
	const float *w, m16 mask, int acc, const int R)
{
	v16 s[SD_DW_RUN];

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

#if defined(SD_DW_ROW_RUN)
/* The same for taps in rows of K, APART pixels of the tile from one to the next: a pixel of the tile is loaded once
 * a row of taps and goes to K sums.  Where taps go back in the tile (APART < 0), so do the pixels: each sum meets its
 * taps in order.  One register of the block's at a time, so that all sums and weights are in registers. */
SD_INLINE void sd_dw_run_rows(float *y, size_t step, const float *p, const struct sd_tap *tap, int ntap,
	const float *w, m16 mask, int part, int acc, const int R, const int K, const int APART)
{
	const int gap = APART < 0 ? -APART : APART;
	v16p s[SD_DW_ROW_RUN];

	SD_UNROLL(16)
	for (int r = 0; r < R; r++)
		s[r] = v16p_zero();
	for (int t = 0; t < ntap; t += K) {
		const float *q = p + tap[t].off, *wt = w + tap[t].k * 16;
		v16p wv[SD_DW_ROW];

		SD_UNROLL(5)
		for (int k = 0; k < K; k++)
			wv[k] = v16p_load(wt + k * 16);
		SD_UNROLL(24)
		for (int i = 0; i < R + (K - 1) * gap; i++) {
			v16p x = v16p_load(q + (APART < 0 ? R - 1 - i : i) * 16);

			__asm__("" : "+v"(x)); /* once, not as an operand of each product */
			SD_UNROLL(5)
			for (int k = 0; k < K; k++) {
				int r = i - k * gap;

				if (r >= 0 && r < R)
					s[r] = v16p_fma(wv[k], x, s[r]);
			}
		}
	}
	SD_UNROLL(16)
	for (int r = 0; r < R; r++) {
		float *d = y + (size_t)(APART < 0 ? R - 1 - r : r) * step;

		v16p_store(d, v16p_keep(mask, part, acc ? v16p_add(v16p_load(d), s[r]) : s[r]));
	}
}

/* As many of n output pixels as go; returns how many. */
SD_INLINE int sd_dw_row_rows(float *y, size_t step, const float *p, const struct sd_tap *tap, int ntap,
	const float *w, m16 mask, int acc, int n, const int K, const int APART)
{
	int parts = m16_parts(mask), j = 0;

	for (int part = 0; part < SD_V16_PARTS; part++) {
		int lane = part * (16 / SD_V16_PARTS);

		j = 0;
		if (part >= parts) { /* lanes that are none */
			for (; j + 8 <= n; j += 8) {
				for (int r = 0; r < 8; r++)
					v16p_store(y + (size_t)(j + r) * step + lane, v16p_zero());
			}
			continue;
		}
#define TRY(R) \
		for (; j + R <= n; j += R) \
			sd_dw_run_rows(y + (size_t)j * step + lane, step, p + (size_t)j * 16 + lane, tap, ntap, w + lane, mask, \
				part, acc, R, K, APART)
#if SD_DW_ROW_RUN > 8
		TRY(16);
#endif
		TRY(8);
#undef TRY
	}
	return j;
}
#endif

/* n output pixels of a row of phase ph. */
static inline void sd_dw_row(float *y, size_t step, const float *p, const struct sd_gather *g,
	const struct sd_phase *ph, const float *w, m16 mask, int acc, int n)
{
	const struct sd_tap *tap = g->tap + ph->tap;
	int ntap = ph->ntap, j = 0;

#if defined(SD_DW_ROW_RUN)
	/* taps that are further apart are not in one row of registers */
	switch (abs(ph->apart) > 2 ? 0 : ph->row * 8 + ph->apart) {
#define CASE(K, APART) case K * 8 + APART: \
		j = sd_dw_row_rows(y, step, p, tap, ntap, w, mask, acc, n, K, APART); \
		break
#define CASES(K) CASE(K, 1); CASE(K, 2); CASE(K, -1); CASE(K, -2)
	CASES(3);
	CASES(5);
#undef CASES
#undef CASE
	}
#endif
#define TRY(R) \
	for (; j + R <= n; j += R) \
		sd_dw_run(y + (size_t)j * step, step, p + (size_t)j * 16, tap, ntap, w, mask, acc, R)
	TRY(SD_DW_RUN);
#if SD_DW_RUN > 8
	TRY(8);
#endif
#if SD_DW_RUN > 4
	TRY(4);
#endif
	TRY(1);
#undef TRY
}

/* Output rows [from, to) of a band from its tile, in every phase; y is the image's block that they lie in. */
static inline void sd_dw_rows(const struct sd_gather *g, struct sd_band band, int from, int to,
	const float *tile, const float *w, m16 mask, int acc, float *y)
{
	for (int f = 0; f < g->nphase; f++) {
		const struct sd_phase *ph = &g->phase[f];
		int last = ph->ni - band.i0 < to ? ph->ni - band.i0 : to;
		int nj = ph->nj - band.j0 < band.nj ? ph->nj - band.j0 : band.nj;

		for (int i = from; i < last; i++) {
			size_t row = (size_t)(ph->oy + (band.i0 + i) * g->oys);
			size_t col = (size_t)(ph->ox + band.j0 * g->oxs);

			sd_dw_row(y + (row * (size_t)g->ow + col) * 16, (size_t)g->oxs * 16,
				tile + (size_t)i * (size_t)g->cols * 16, g, ph, w, mask, acc, nj);
		}
	}
}

/* T taps of the weight gradient over rows of a tile, in a register of the block: adds to part[tap of the window][16]. */
SD_INLINE void sd_dw_grad_taps(float *part, const float *tile, size_t tile_row, const struct sd_tap *tap,
	const float *gy, size_t gy_row, int ni, int nj, const int T)
{
	const float *q[SD_DW_TAPS];
	v16p s[SD_DW_TAPS];

	SD_UNROLL(9)
	for (int t = 0; t < T; t++)
		s[t] = v16p_load(part + tap[t].k * 16);
	for (int i = 0; i < ni; i++) {
		const float *gr = gy + (size_t)i * gy_row;

		SD_UNROLL(9)
		for (int t = 0; t < T; t++)
			q[t] = tile + tap[t].off + (size_t)i * tile_row;
		for (ptrdiff_t j = 0; j < (ptrdiff_t)nj * 16; j += 16) {
			v16p gv = v16p_load(gr + j);

			SD_UNROLL(9)
			for (int t = 0; t < T; t++)
				s[t] = v16p_fma(gv, v16p_load(q[t] + j), s[t]);
		}
	}
	SD_UNROLL(9)
	for (int t = 0; t < T; t++)
		v16p_store(part + tap[t].k * 16, s[t]);
}

/* All taps over ni rows of nj pixels. */
static inline void sd_dw_grad(const struct sd_gather *g, float *part, const float *tile, const float *gy,
	size_t gy_row, int ni, int nj)
{
	size_t tile_row = (size_t)g->cols * 16;
	int passes = (g->ntap + SD_DW_TAPS - 1) / SD_DW_TAPS;

	/* taps in equal shares: a pass with few sums would wait for each of them */
	for (int i = 0; i < passes; i++) {
		int t = g->ntap * i / passes, count = g->ntap * (i + 1) / passes - t;
		const struct sd_tap *tap = g->tap + t;

		switch (count) {
#define CASE(T) case T: \
			for (int lane = 0; lane < 16; lane += 16 / SD_V16_PARTS) \
				sd_dw_grad_taps(part + lane, tile + lane, tile_row, tap, gy + lane, gy_row, ni, nj, T); \
			break
		CASE(1);
		CASE(2);
		CASE(3);
#if SD_DW_TAPS > 3
		CASE(4);
		CASE(5);
#endif
#if SD_DW_TAPS > 5
		CASE(6);
		CASE(7);
		CASE(8);
		CASE(9);
#endif
#undef CASE
		}
	}
}

/* Weights (C, taps) of an image's channels to [block][tap][16], 0 in padding lanes. */
static inline void sd_dw_pack(float *dst, const float *w, const struct sd_img *x, int ntap)
{
	for (int b = 0; b < x->cb; b++)
		for (int t = 0; t < ntap; t++)
			for (int l = 0; l < 16; l++)
				*dst++ = l < x->blk[b].n ? w[(x->blk[b].ch + l) * ntap + t] : 0;
}

/* The sum of the chunks' weight gradients of one block, in order: of part[chunk * stride][tap][16], in
 * grad (C, taps). */
static inline void sd_dw_reduce(const struct sd_blk *blk, const float *part, size_t stride, int chunks,
	int ntap, float *grad)
{
	for (int t = 0; t < ntap; t++) {
		float lane[16];

		v16_store(lane, v16_sum(part + (size_t)t * 16, stride, chunks));
		for (int l = 0; l < blk->n; l++)
			grad[(blk->ch + l) * ntap + t] = lane[l];
	}
}

#endif
