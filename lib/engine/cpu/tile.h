/* tile.h: filling the tiles of gather.h, block by block. */
#ifndef SD_ENGINE_CPU_TILE_H
#define SD_ENGINE_CPU_TILE_H

#include "engine/cpu/gather.h"
#include "engine/cpu/kernels.h"
#include "engine/cpu/simd.h"

/* Output pixels in a band of a dense convolution: what is read again for other channels and taps is still
 * in the cache. */
#define SD_CONV_BAND 256

/* Block b of image n: (h, w, 16). */
SD_INLINE float *sd_img_at(const struct sd_img *x, int b, int n)
{
	return x->p + ((size_t)b * (size_t)x->n + (size_t)n) * (size_t)x->h * (size_t)x->w * 16;
}

/* Whether loading changes nothing. */
SD_INLINE int sd_src_plain(const struct sd_src *x)
{
	return !x->a && !x->relu;
}

/* n pixels, `step` floats apart in s, as loaded. */
SD_INLINE void sd_load_run(float *d, const float *s, size_t step, int n, const float *a, const float *b,
	int relu)
{
	if (a) {
		v16 va = v16_load(a), vb = v16_load(b);

		if (relu)
			for (int i = 0; i < n; i++, d += 16, s += step)
				v16_store(d, v16_relu(v16_fma(va, v16_load(s), vb)));
		else
			for (int i = 0; i < n; i++, d += 16, s += step)
				v16_store(d, v16_fma(va, v16_load(s), vb));
	} else if (relu) {
		for (int i = 0; i < n; i++, d += 16, s += step)
			v16_store(d, v16_relu(v16_load(s)));
	} else {
		for (int i = 0; i < n; i++, d += 16, s += step)
			v16_store(d, v16_load(s));
	}
}

SD_INLINE void sd_zero_run(float *d, int n)
{
	for (int i = 0; i < n; i++)
		v16_store(d + (size_t)i * 16, v16_zero());
}

/* Rows for the band's output rows [from, to); for from > 0 those for [0, from) are there already. */
static inline void sd_tile_fill(const struct sd_gather *g, const struct sd_src *x, int block, int n,
	struct sd_band band, int from, int to, float *tile)
{
	const float *img = sd_img_at(&x->x, block, n);
	const float *a = x->a ? x->a + block * 16 : NULL, *b = x->a ? x->b + block * 16 : NULL;

	for (int p = 0; p < g->nplane; p++) {
		const struct sd_plane *pl = &g->plane[p];
		int cols = band.nj + pl->mx, col = (band.j0 + pl->qx) * g->sx + pl->px;
		int lo = col < 0 ? (-col + g->sx - 1) / g->sx : 0;
		int hi = col < g->w ? (g->w - col + g->sx - 1) / g->sx : 0;

		lo = lo < cols ? lo : cols;
		hi = hi < cols ? hi : cols;
		hi = hi > lo ? hi : lo;
		for (int r = from ? from + pl->my : 0; r < to + pl->my; r++) {
			float *d = tile + pl->at + (size_t)r * (size_t)g->cols * 16;
			int row = (band.i0 + r + pl->qy) * g->sy + pl->py;
			const float *s;

			if (row < 0 || row >= g->h || lo == hi) {
				sd_zero_run(d, cols);
				continue;
			}
			s = img + ((ptrdiff_t)row * g->w + col + (ptrdiff_t)lo * g->sx) * 16;
			sd_zero_run(d, lo);
			sd_load_run(d + lo * 16, s, (size_t)g->sx * 16, hi - lo, a, b, x->relu);
			sd_zero_run(d + hi * 16, cols - hi);
		}
	}
}

#endif
