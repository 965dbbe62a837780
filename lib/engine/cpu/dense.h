/* dense.h: the inner loops of dense products over blocks of channels, which convolutions are made of. */
#ifndef SD_ENGINE_CPU_DENSE_H
#define SD_ENGINE_CPU_DENSE_H

#include "engine/cpu/kernels.h"
#include "engine/cpu/simd.h"

/* Accumulators in registers, how many output blocks they may span, and those of a weight gradient taken the other way
 * round, below. */
#if defined(SD_ISA_AVX512)
#define SD_CONV_BLOCKS 3
#define SD_CONV_SUMS 24
#define SD_GRAD_TURNED 8
#elif defined(SD_ISA_AVX2)
#define SD_CONV_BLOCKS 1
#define SD_CONV_SUMS 6
#define SD_GRAD_TURNED 4
#else
#define SD_CONV_BLOCKS 1
#define SD_CONV_SUMS 4
#endif

/* ---- 1x1 products: one accumulator an element, channels in order ----
 *
 * The last of some blocks may have few channels: 36 are two blocks and 4 lanes of a third.  Then the sums of T pixels
 * share a vector, 16 / T lanes each: T is 4 or 2, and 0 where the last block is like the others.  Of two registers a
 * vector they share one each, and the last block may be the only one. */

#if SD_CONV_SUMS > 4
SD_INLINE int sd_tail(const struct sd_blk *blk, int n)
{
	int lanes = blk[n - 1].n;

	if (SD_CONV_BLOCKS == 1)
		return lanes > 8 ? 0 : 2;
	return n < 2 || lanes > 8 ? 0 : lanes > 4 ? 2 : 4;
}
/* Lanes of T pixels from vectors that hold one pixel's value in every lane. */
SD_INLINE v16 sd_tail_join(const v16 *x, const int T)
{
	return T == 2 ? v16_join(x[0], x[1], 8) : v16_join(v16_join(x[0], x[1], 4), v16_join(x[2], x[3], 12), 8);
}
#define SD_TAIL_W(p, T) v16_repeat(p, 16 / (T))
#define SD_TAIL_PIXEL(t, q, T) v16_lanes(t, (q) * 16 / (T), 16 / (T))
#else
#define sd_tail(blk, n) 0
#define sd_tail_join(x, T) (x)[0]
#define SD_TAIL_W(p, T) v16_load(p)
#define SD_TAIL_PIXEL(t, q, T) (t)
#endif
/* Vectors that the last block's sums of R pixels need. */
#define SD_TAIL_SUMS(R, T) ((T) ? (R) / (T) : 0)

/* Adds n channels from p on, of R pixels, to R by B sums and those of a last block, t;
 * w[channel][B, and one for a last block][16].  Returns where w has come to. */
SD_INLINE const float *sd_dense_sum(v16 *s, v16 *t, const float *p, int n, const float *w, const int R, const int B,
	const int T)
{
	const int pixels = T ? T : 1;
	v16 wv[SD_CONV_BLOCKS + 1], x[4];

	for (int i = 0; i < n; i++, p++, w += (B + !!T) * 16) {
		SD_UNROLL(3)
		for (int b = 0; b < B; b++)
			wv[b] = v16_load(w + b * 16);
		if (T)
			wv[B] = SD_TAIL_W(w + B * 16, T);
		SD_UNROLL(16)
		for (int q = 0; q < R / pixels; q++) {
			SD_UNROLL(4)
			for (int k = 0; k < pixels; k++) {
				int r = q * pixels + k;

				x[k] = v16_bcast(p + r * 16);
				SD_UNROLL(3)
				for (int b = 0; b < B; b++)
					s[r * B + b] = v16_fma(x[k], wv[b], s[r * B + b]);
			}
			if (T)
				t[q] = v16_fma(sd_tail_join(x, T), wv[B], t[q]);
		}
	}
	return w;
}

SD_INLINE void sd_dense_put(float *y, v16 v, m16 mask, int acc)
{
	v16_store(y, v16_keep(mask, acc ? v16_add(v16_load(y), v) : v));
}

/* Stores R by B sums and those of a last block, a block's pixels `step` floats apart. */
SD_INLINE void sd_dense_store(float *const *y, size_t step, const v16 *s, const v16 *t, const m16 *mask, int acc,
	const int R, const int B, const int T)
{
	const int pixels = T ? T : 1;

	SD_UNROLL(3)
	for (int b = 0; b < B; b++) {
		SD_UNROLL(16)
		for (int r = 0; r < R; r++)
			sd_dense_put(y[b] + (size_t)r * step, s[r * B + b], mask[b], acc);
	}
	if (!T)
		return;
	SD_UNROLL(16)
	for (int r = 0; r < R; r++)
		sd_dense_put(y[B] + (size_t)r * step, SD_TAIL_PIXEL(t[r / pixels], r % pixels, T), mask[B], acc);
}

/* R pixels by B blocks of y, and a last one, from all cb blocks of x, src_block floats apart; w as sd_dense_sum's. */
SD_INLINE void sd_pw_tile(float *const *y, const float *src, size_t src_block, const struct sd_blk *blk, int cb,
	const float *w, const m16 *mask, int acc, const int R, const int B, const int T)
{
	const int last = SD_TAIL_SUMS(R, T);
	v16 s[SD_CONV_SUMS], t[SD_CONV_SUMS];

	SD_UNROLL(24)
	for (int i = 0; i < R * B; i++)
		s[i] = v16_zero();
	SD_UNROLL(24)
	for (int i = 0; i < last; i++)
		t[i] = v16_zero();
	for (int k = 0; k < cb; k++)
		w = sd_dense_sum(s, t, src + (size_t)k * src_block, blk[k].n, w, R, B, T);
	sd_dense_store(y, 16, s, t, mask, acc, R, B, T);
}

/* How many pixels go at once: TRY(R, B, T) for each R to try, the larger first. */
#if SD_CONV_SUMS == 24
#define SD_DENSE_RUNS(TRY, B, T) \
	if (B == 1 && !(T)) \
		TRY(16, B, T); \
	if (B + !!(T) == 2) \
		TRY(12, B, T); \
	TRY(8, B, T); \
	TRY(4, B, T); \
	TRY(1, B + !!(T), 0)
#elif SD_CONV_SUMS == 6
#define SD_DENSE_RUNS(TRY, B, T) \
	if (T) \
		TRY(12, B, T); \
	if (!(T)) \
		TRY(6, B, T); \
	TRY(4, B, T); \
	TRY(1, B + !!(T), 0)
#else
#define SD_DENSE_RUNS(TRY, B, T) TRY(4, B, T); TRY(1, B, T)
#endif

/* Whether R pixels of those that are left go at once: of 8 not 6, but twice 4. */
SD_INLINE int sd_dense_fits(int left, const int R)
{
	return left >= R && !(R == 6 && left == 8);
}

/* n pixels that lie in one piece, by B blocks of y, and a last one, y_block floats apart. */
SD_INLINE void sd_pw_pixels(float *to, size_t y_block, const struct sd_blk *yblk, const float *src,
	size_t src_block, const struct sd_blk *blk, int cb, const float *w, int acc, int n, const int B, const int T)
{
	float *y[SD_CONV_BLOCKS];
	m16 mask[SD_CONV_BLOCKS];
	int j = 0;

	for (int b = 0; b < B + !!T; b++) {
		y[b] = to + (size_t)b * y_block;
		mask[b] = m16_first(yblk[b].n);
	}
#define TRY(R, BLOCKS, TAIL) \
	for (; sd_dense_fits(n - j, R); j += R) { \
		sd_pw_tile(y, src + (size_t)j * 16, src_block, blk, cb, w, mask, acc, R, BLOCKS, TAIL); \
		for (int b = 0; b < B + !!T; b++) \
			y[b] += R * 16; \
	}
	SD_DENSE_RUNS(TRY, B, T);
#undef TRY
}

/* Runs CASE(B, T) for a group of n blocks and its tail. */
#if SD_CONV_BLOCKS > 1
#define SD_DENSE_CASES(CASE, n, tail) do { \
	switch ((n) * 8 + (tail)) { \
	case 8: CASE(1, 0); break; \
	case 16: CASE(2, 0); break; \
	case 18: CASE(1, 2); break; \
	case 20: CASE(1, 4); break; \
	case 24: CASE(3, 0); break; \
	case 26: CASE(2, 2); break; \
	case 28: CASE(2, 4); break; \
	} \
} while (0)
#elif SD_CONV_SUMS > 4
#define SD_DENSE_CASES(CASE, n, tail) do { \
	if (tail) \
		CASE(0, 2); \
	else \
		CASE(1, 0); \
} while (0)
#else
#define SD_DENSE_CASES(CASE, n, tail) CASE(1, 0)
#endif

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
#define CASE(B, T) sd_pw_pixels(y, y_block, yblk, src, src_block, blk, cb, w, acc, n, B, T)
		SD_DENSE_CASES(CASE, g, sd_tail(yblk, g));
#undef CASE
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

/* ---- weight gradients: one sum an element, pixels in row order ----
 *
 * A block of gy of few channels is taken the other way round: a channel of it by all lanes of x.  Of such a block the
 * sums are [lane of gy][lane of x], of others [lane of x][lane of gy]. */

/* Pixels of gy between what is read and what is asked for. */
#define SD_GRAD_AHEAD 128

/* Lanes that are summed of a block of gy of few channels; 0 for other blocks. */
SD_INLINE int sd_grad_turned(const struct sd_blk *gy)
{
#if defined(SD_GRAD_TURNED)
	return gy->n > 8 ? 0 : gy->n > 4 ? 8 : 4;
#else
	(void)gy;
	return 0;
#endif
}

/* R channels of x by B blocks of gy, and all of x's by T of the block behind them, over ni rows of nj pixels.  `next` is
 * what will be read of x, a line for each pixel, to be asked for together with what follows in gy; NULL where both are
 * in the cache. */
SD_INLINE void sd_grad_tile(float *part, const float *x, size_t x_row, const float *gy, size_t gy_block,
	size_t gy_row, int ni, int nj, const float *next, const int R, const int B, const int T)
{
	v16 s[SD_CONV_SUMS], t[8], gv[SD_CONV_BLOCKS];

	SD_UNROLL(3)
	for (int b = 0; b < B; b++) {
		SD_UNROLL(16)
		for (int r = 0; r < R; r++)
			s[r * B + b] = v16_load(part + b * 256 + r * 16);
	}
	SD_UNROLL(8)
	for (int l = 0; l < T; l++)
		t[l] = v16_load(part + B * 256 + l * 16);
	for (int i = 0; i < ni; i++, x += x_row, gy += gy_row) {
		for (size_t j = 0; j < (size_t)nj * 16; j += 16) {
			SD_UNROLL(3)
			for (int b = 0; b < B; b++)
				gv[b] = v16_load(gy + (size_t)b * gy_block + j);
			if (next) {
				__builtin_prefetch(next);
				next += 16;
				SD_UNROLL(3)
				for (int b = 0; b < B + !!T; b++)
					__builtin_prefetch(gy + (size_t)b * gy_block + j + SD_GRAD_AHEAD * 16);
			}
			SD_UNROLL(16)
			for (int r = 0; r < R; r++) {
				v16 xv = v16_bcast(x + j + r);

				SD_UNROLL(3)
				for (int b = 0; b < B; b++)
					s[r * B + b] = v16_fma(xv, gv[b], s[r * B + b]);
			}
			if (T) {
				v16 xv = v16_load(x + j);

				SD_UNROLL(8)
				for (int l = 0; l < T; l++)
					t[l] = v16_fma(xv, v16_bcast(gy + (size_t)B * gy_block + j + l), t[l]);
			}
		}
	}
	SD_UNROLL(3)
	for (int b = 0; b < B; b++) {
		SD_UNROLL(16)
		for (int r = 0; r < R; r++)
			v16_store(part + b * 256 + r * 16, s[r * B + b]);
	}
	SD_UNROLL(8)
	for (int l = 0; l < T; l++)
		v16_store(part + B * 256 + l * 16, t[l]);
}

/* n lanes of x, a few padding lanes with them, by B blocks and T lanes of one more. */
SD_INLINE void sd_grad_lanes(float *part, const float *x, size_t x_row, const float *gy, size_t gy_block,
	size_t gy_row, int ni, int nj, int n, const float *next, const int B, const int T)
{
	int r = 0;

#define RUN(R, TURNED) sd_grad_tile(part + r * 16, x + r, x_row, gy, gy_block, gy_row, ni, nj, next, R, B, TURNED)
/* the first run takes the last block with it */
#define TRY(R, need) do { \
	if (T && !r && need <= n) { \
		RUN(R, T); \
		r = R; \
	} \
	for (; r + need <= n; r += R) \
		RUN(R, 0); \
} while (0)
#if defined(SD_GRAD_TURNED)
	if (!B) {
		const int each = T < SD_GRAD_TURNED ? T : SD_GRAD_TURNED;

		for (int l = 0; l < T; l += each)
			sd_grad_tile(part + l * 16, x, x_row, gy + l, gy_block, gy_row, ni, nj, l ? NULL : next, 0, 0, each);
		return;
	}
#endif
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
#undef RUN
}

/* The same by all of nblock blocks of gy, gy_block floats apart, of which blk tells: adds to part[block of gy][16][16]. */
static inline void sd_grad_blocks(float *part, const float *x, size_t x_row, const float *gy, size_t gy_block,
	size_t gy_row, int ni, int nj, int lanes, const struct sd_blk *blk, int nblock, const float *next)
{
	for (int b = 0; b < nblock; ) {
		int full = 0, turned = 0;

		while (b + full < nblock && !sd_grad_turned(&blk[b + full]))
			full++;
		if (full < SD_CONV_BLOCKS && b + full < nblock)
			turned = sd_grad_turned(&blk[b + full]);
		else
			full = SD_CONV_BLOCKS == 1 || full == 1 ? 1 : full == 2 || full == 4 ? 2 : 3;
		switch (full * 16 + turned) {
#define CASE(B, T) case (B) * 16 + (T): \
			sd_grad_lanes(part + (size_t)b * 256, x, x_row, gy + (size_t)b * gy_block, gy_block, gy_row, ni, nj, \
				lanes, next, B, T); \
			break
		CASE(1, 0);
#if defined(SD_GRAD_TURNED)
		CASE(0, 4);
		CASE(0, 8);
#endif
#if SD_CONV_BLOCKS > 1
		CASE(2, 0);
		CASE(3, 0);
		CASE(1, 4);
		CASE(1, 8);
		CASE(2, 4);
		CASE(2, 8);
#endif
#undef CASE
		}
		b += full + !!turned;
	}
}

/* Writes a pair of blocks' weight gradient, the sum over chunks of part[chunk * stride][16][16], by blocks bx of x and by
 * of gy: channel c of x and l of gy to gw[l * so + c * si] for l in [first, last). */
static inline void sd_grad_reduce(const float *part, size_t stride, int chunks, const struct sd_blk *bx,
	const struct sd_blk *by, int first, int last, float *gw, size_t so, size_t si)
{
	int turned = sd_grad_turned(by) != 0;

	for (int i = 0; i < (turned ? by->n : bx->n); i++) {
		float lane[16];

		v16_store(lane, v16_sum(part + i * 16, stride, chunks));
		for (int k = 0; k < (turned ? bx->n : by->n); k++) {
			int c = turned ? k : i, l = turned ? i : k;

			if (l >= first && l < last)
				gw[(size_t)l * so + (size_t)c * si] = lane[k];
		}
	}
}

#endif
