/* dense.h: the inner loops of dense products over blocks of channels, which convolutions are made of. */
#ifndef SD_ENGINE_CPU_DENSE_H
#define SD_ENGINE_CPU_DENSE_H

#include "engine/cpu/kernels.h"
#include "engine/cpu/simd.h"

/* Accumulators in registers, and how many output blocks they may span. */
#if defined(SD_ISA_AVX512)
#define SD_CONV_BLOCKS 3
#define SD_CONV_SUMS 24
#elif defined(SD_ISA_AVX2)
#define SD_CONV_BLOCKS 1
#define SD_CONV_SUMS 6
#else
#define SD_CONV_BLOCKS 1
#define SD_CONV_SUMS 4
#endif

/* ---- 1x1 products: one accumulator an element, channels in order ---- */

/* Adds n channels from p on, of R pixels, to R by B sums; w[channel][B][16].  Returns where w has come to. */
SD_INLINE const float *sd_dense_sum(v16 *s, const float *p, int n, const float *w, const int R, const int B)
{
	v16 wv[SD_CONV_BLOCKS];

	for (int i = 0; i < n; i++, p++, w += B * 16) {
		SD_UNROLL(3)
		for (int b = 0; b < B; b++)
			wv[b] = v16_load(w + b * 16);
		SD_UNROLL(16)
		for (int r = 0; r < R; r++) {
			v16 x = v16_bcast(p + r * 16);

			SD_UNROLL(3)
			for (int b = 0; b < B; b++)
				s[r * B + b] = v16_fma(x, wv[b], s[r * B + b]);
		}
	}
	return w;
}

/* Stores R by B sums, a block's pixels `step` floats apart. */
SD_INLINE void sd_dense_store(float *const *y, size_t step, const v16 *s, const m16 *mask, int acc, const int R,
	const int B)
{
	SD_UNROLL(3)
	for (int b = 0; b < B; b++) {
		SD_UNROLL(16)
		for (int r = 0; r < R; r++) {
			float *d = y[b] + (size_t)r * step;
			v16 v = s[r * B + b];

			v16_store(d, v16_keep(mask[b], acc ? v16_add(v16_load(d), v) : v));
		}
	}
}

/* R pixels by B blocks of y from all cb blocks of x, src_block floats apart; w[channel][B][16]. */
SD_INLINE void sd_pw_tile(float *const *y, const float *src, size_t src_block, const struct sd_blk *blk, int cb,
	const float *w, const m16 *mask, int acc, const int R, const int B)
{
	v16 s[SD_CONV_SUMS];

	SD_UNROLL(24)
	for (int i = 0; i < R * B; i++)
		s[i] = v16_zero();
	for (int k = 0; k < cb; k++)
		w = sd_dense_sum(s, src + (size_t)k * src_block, blk[k].n, w, R, B);
	sd_dense_store(y, 16, s, mask, acc, R, B);
}

/* n pixels that lie in one piece, by B blocks of y, y_block floats apart. */
SD_INLINE void sd_pw_pixels(float *to, size_t y_block, const struct sd_blk *yblk, const float *src,
	size_t src_block, const struct sd_blk *blk, int cb, const float *w, int acc, int n, const int B)
{
	float *y[SD_CONV_BLOCKS];
	m16 mask[SD_CONV_BLOCKS];
	int j = 0;

	for (int b = 0; b < B; b++) {
		y[b] = to + (size_t)b * y_block;
		mask[b] = m16_first(yblk[b].n);
	}
#define TRY(R) \
	for (; j + R <= n; j += R) { \
		sd_pw_tile(y, src + (size_t)j * 16, src_block, blk, cb, w, mask, acc, R, B); \
		for (int b = 0; b < B; b++) \
			y[b] += R * 16; \
	}
#if SD_CONV_SUMS == 24
	if (B == 1)
		TRY(16);
	if (B == 2)
		TRY(12);
	TRY(8);
#endif
#if SD_CONV_SUMS == 6
	TRY(6);
#endif
	TRY(4);
	TRY(1);
#undef TRY
}

/* How many of the next blocks of y go together, of `left`. */
SD_INLINE int sd_pw_group(int left)
{
#if SD_CONV_BLOCKS > 1
	return left == 1 ? 1 : left == 2 || left == 4 ? 2 : 3;
#else
	(void)left;
	return 1;
#endif
}

/* y's blocks from x's, n pixels; w as sd_pw_pack makes it. */
static inline void sd_pw(float *y, size_t y_block, const struct sd_blk *yblk, int ycb, const float *src,
	size_t src_block, const struct sd_blk *blk, int cb, int channels, const float *w, int acc, int n)
{
	for (int b = 0, g; b < ycb; b += g, yblk += g, y += (size_t)g * y_block) {
		g = sd_pw_group(ycb - b);
		switch (g) {
#define CASE(B) case B: sd_pw_pixels(y, y_block, yblk, src, src_block, blk, cb, w, acc, n, B); break
		CASE(1);
#if SD_CONV_BLOCKS > 1
		CASE(2);
		CASE(3);
#endif
#undef CASE
		}
		w += (size_t)channels * (size_t)g * 16;
	}
}

/* Floats that packed weights need, and the weights of output channel o and input channel i, w[o * so + i * si],
 * packed: for each group of y's blocks [input channel][block][16], 0 in padding lanes. */
static inline size_t sd_pw_floats(int ycb, int channels)
{
	return (size_t)ycb * (size_t)channels * 16;
}
static inline void sd_pw_pack(float *to, const float *w, size_t so, size_t si, const struct sd_blk *yblk,
	int ycb, int channels)
{
	for (int b = 0, g; b < ycb; b += g, to += (size_t)channels * (size_t)g * 16) {
		g = sd_pw_group(ycb - b);
		for (int k = 0; k < g; k++) {
			const struct sd_blk *blk = &yblk[b + k];
			const float *row = w + (size_t)blk->ch * so;
			float *d = to + k * 16;

			for (int i = 0; i < channels; i++, d += g * 16)
				for (int l = 0; l < 16; l++)
					d[l] = l < blk->n ? row[(size_t)l * so + (size_t)i * si] : 0;
		}
	}
}

/* ---- weight gradients: one sum an element, pixels in row order ---- */

/* Pixels of gy between what is read and what is asked for. */
#define SD_GRAD_AHEAD 128

/* R channels of x by B blocks of gy, over ni rows of nj pixels.  `next` is what will be read of x, a line for each
 * pixel, to be asked for together with what follows in gy; NULL where both are in the cache. */
SD_INLINE void sd_grad_tile(float *part, const float *x, size_t x_row, const float *gy, size_t gy_block,
	size_t gy_row, int ni, int nj, const float *next, const int R, const int B)
{
	v16 s[SD_CONV_SUMS], gv[SD_CONV_BLOCKS];

	SD_UNROLL(3)
	for (int b = 0; b < B; b++) {
		SD_UNROLL(16)
		for (int r = 0; r < R; r++)
			s[r * B + b] = v16_load(part + b * 256 + r * 16);
	}
	for (int i = 0; i < ni; i++, x += x_row, gy += gy_row) {
		for (size_t j = 0; j < (size_t)nj * 16; j += 16) {
			SD_UNROLL(3)
			for (int b = 0; b < B; b++)
				gv[b] = v16_load(gy + (size_t)b * gy_block + j);
			if (next) {
				__builtin_prefetch(next);
				next += 16;
				SD_UNROLL(3)
				for (int b = 0; b < B; b++)
					__builtin_prefetch(gy + (size_t)b * gy_block + j + SD_GRAD_AHEAD * 16);
			}
			SD_UNROLL(16)
			for (int r = 0; r < R; r++) {
				v16 xv = v16_bcast(x + j + r);

				SD_UNROLL(3)
				for (int b = 0; b < B; b++)
					s[r * B + b] = v16_fma(xv, gv[b], s[r * B + b]);
			}
		}
	}
	SD_UNROLL(3)
	for (int b = 0; b < B; b++) {
		SD_UNROLL(16)
		for (int r = 0; r < R; r++)
			v16_store(part + b * 256 + r * 16, s[r * B + b]);
	}
}

/* n lanes of x, a few padding lanes with them, by B blocks. */
SD_INLINE void sd_grad_lanes(float *part, const float *x, size_t x_row, const float *gy, size_t gy_block,
	size_t gy_row, int ni, int nj, int n, const float *next, const int B)
{
	int r = 0;

#define TRY(R, need) \
	for (; r + need <= n; r += R) \
		sd_grad_tile(part + r * 16, x + r, x_row, gy, gy_block, gy_row, ni, nj, next, R, B)
#if SD_CONV_SUMS == 24
	if (B == 1)
		TRY(16, 9);
	TRY(8, 5);
#endif
#if SD_CONV_SUMS == 6
	TRY(6, 5);
#endif
	TRY(4, 1);
#undef TRY
}

/* The same by all of nblock blocks of gy, gy_block floats apart: adds to part[block of gy][lane of x][16]. */
static inline void sd_grad_blocks(float *part, const float *x, size_t x_row, const float *gy, size_t gy_block,
	size_t gy_row, int ni, int nj, int lanes, int nblock, const float *next)
{
	for (int b = 0; b < nblock; ) {
		int left = nblock - b;

#define CASE(B) { \
	sd_grad_lanes(part + (size_t)b * 256, x, x_row, gy + (size_t)b * gy_block, gy_block, gy_row, ni, nj, \
		lanes, next, B); \
	b += B; \
}
		if (left == 1 || SD_CONV_BLOCKS == 1)
			CASE(1)
#if SD_CONV_BLOCKS > 1
		else if (left == 2 || left == 4)
			CASE(2)
		else
			CASE(3)
#endif
#undef CASE
	}
}

#endif
