/* chunk.h: how the kernels that go over an image pixel by pixel cut it into tasks.
 *
 * The pixels of a block of channels lie in one piece ([n][h][w][16]), so a task is a block and a run of
 * its pixels.  The cut depends on the shape alone.  A sum over (N, H, W) is taken for each run in float
 * with SD_WAYS interleaved accumulators (pixel i of the run goes to accumulator i mod SD_WAYS, and they
 * are added as (0 + 1) + (2 + 3)), and the runs are added in order, in double.
 *
 * Image operands of one of these kernels have the same blocks (the engine copies where they don't:
 * `slice` does that). */
#ifndef SD_ENGINE_CPU_CHUNK_H
#define SD_ENGINE_CPU_CHUNK_H

#include "engine/cpu/kernels.h"
#include "engine/cpu/simd.h"

#define SD_WAYS 4

struct sd_cut {
	size_t pixels; /* of a block: N H W */
	size_t per;    /* of a run; the last may be shorter */
	int runs;      /* in a block */
	int tasks;     /* in all */
};

/* A task's part. */
struct sd_run {
	int block;
	size_t first, n; /* pixels of the block */
	size_t at;       /* of the first one: index of its lane 0 in the image's floats */
};

/* About 64 tasks, but runs not so short that the handing out costs, nor so long that one leaves the
 * second-level cache or loses digits. */
static inline struct sd_cut sd_cut(const struct sd_img *x)
{
	struct sd_cut c = { .pixels = (size_t)x->n * x->h * x->w };
	size_t per = (c.pixels * x->cb / 64 + 15) & ~(size_t)15;

	c.per = per < 128 ? 128 : per > 2048 ? 2048 : per;
	c.runs = (int)((c.pixels + c.per - 1) / c.per);
	c.tasks = c.runs * x->cb;
	return c;
}

static inline struct sd_run sd_run(const struct sd_cut *c, int task)
{
	struct sd_run r = { .block = task / c->runs };

	r.first = (size_t)(task % c->runs) * c->per;
	r.n = c->pixels - r.first < c->per ? c->pixels - r.first : c->per;
	r.at = ((size_t)r.block * c->pixels + r.first) * 16;
	return r;
}

/* True in the first n lanes. */
SD_INLINE m16 sd_lanes(int n)
{
	static const float lane[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

	return v16_gt(v16_set1((float)n), v16_load(lane));
}
SD_INLINE v16 sd_keep(m16 lanes, v16 v)
{
	return v16_select(lanes, v, v16_zero());
}

/* An operand's element as it is loaded; norm and relu are constants where this is inlined. */
SD_INLINE v16 sd_load(const float *p, v16 a, v16 b, int norm, int relu)
{
	v16 v = v16_load(p);

	if (norm)
		v = v16_fma(a, v, b);
	return relu ? v16_relu(v) : v;
}
SD_INLINE v16 sd_lane_vec(const float *p, int block)
{
	return p ? v16_load(p + 16 * block) : v16_zero();
}

/* The gradient at a norm's output as it counts: where there is a mask, only where that output was
 * above 0. */
SD_INLINE v16 sd_masked(v16 g, v16 x, v16 ma, v16 mb, int mask)
{
	if (!mask)
		return g;
	return v16_select(v16_gt(v16_fma(ma, x, mb), v16_zero()), g, v16_zero());
}

SD_INLINE v16 sd_ways(const v16 *s)
{
	return v16_add(v16_add(s[0], s[1]), v16_add(s[2], s[3]));
}

/* Adds up the runs' sums part[task][k][16], k-th of nk, in order: to[channel]. */
static inline void sd_sum_runs(const struct sd_img *x, const struct sd_cut *c, const float *part, int nk,
	int k, float *to)
{
	for (int block = 0; block < x->cb; block++) {
		v16d s = v16d_zero();

		for (int i = 0; i < c->runs; i++)
			s = v16d_add(s, v16d_from(v16_load(
				part + (((size_t)block * c->runs + i) * nk + k) * 16)));
		v16_store_n(to + x->blk[block].ch, v16_from_d(s), x->blk[block].n);
	}
}

/* ---- backward of a norm: gx = scale (g - sum g / M - xhat sum(g xhat) / M), in the form
 *      c1 (x - mean) + (scale g + c0): x - mean keeps its digits when the mean is large ---- */
struct sd_norm_bwd {
	v16 mean, ma, mb, scale, c0, c1;
};

/* mean, istd, ma, mb and scale by lane, scale times f; sg and sgx by channel.  Without batch only
 * scale (and the mask) is used; mean, istd, sg and sgx may be NULL then. */
SD_INLINE struct sd_norm_bwd sd_norm_bwd(const struct sd_img *x, int block, const float *mean,
	const float *istd, const float *ma, const float *mb, const float *scale, float f, const float *sg,
	const float *sgx, int batch)
{
	const struct sd_blk *b = &x->blk[block];
	struct sd_norm_bwd r = {
		.ma = sd_lane_vec(ma, block), .mb = sd_lane_vec(mb, block),
		.scale = v16_mul(v16_set1(f), v16_load(scale + 16 * block)),
		.mean = v16_zero(), .c0 = v16_zero(), .c1 = v16_zero(),
	};

	if (batch) {
		v16d s = v16d_div(v16d_from(r.scale), v16d_set1(-((double)x->n * x->h * x->w)));

		r.mean = v16_load(mean + 16 * block);
		r.c0 = v16_from_d(v16d_mul(s, v16d_from(v16_load_n(sg + b->ch, b->n))));
		s = v16d_mul(s, v16d_from(v16_load(istd + 16 * block)));
		r.c1 = v16_from_d(v16d_mul(s, v16d_from(v16_load_n(sgx + b->ch, b->n))));
	}
	return r;
}

/* n pixels; mask, batch and acc are constants where this is inlined. */
SD_INLINE void sd_norm_bwd_run(const struct sd_norm_bwd *c, const float *g, const float *x, size_t n,
	m16 lanes, int mask, int batch, int acc, float *y)
{
	struct sd_norm_bwd k = *c;

	for (size_t i = 0; i < n * 16; i += 16) {
		v16 v = v16_load(g + i), xi = mask || batch ? v16_load(x + i) : v16_zero();

		v = sd_masked(v, xi, k.ma, k.mb, mask);
		if (batch)
			v = v16_fma(k.c1, v16_sub(xi, k.mean), v16_fma(k.scale, v, k.c0));
		else
			v = v16_mul(k.scale, v);
		if (acc)
			v = v16_add(v16_load(y + i), v);
		v16_store(y + i, sd_keep(lanes, v));
	}
}
static inline void sd_norm_bwd_pixels(const struct sd_norm_bwd *c, const float *g, const float *x, size_t n,
	m16 lanes, int mask, int batch, int acc, float *y)
{
	switch (!!mask << 2 | !!batch << 1 | !!acc) {
	case 0: sd_norm_bwd_run(c, g, x, n, lanes, 0, 0, 0, y); break;
	case 1: sd_norm_bwd_run(c, g, x, n, lanes, 0, 0, 1, y); break;
	case 2: sd_norm_bwd_run(c, g, x, n, lanes, 0, 1, 0, y); break;
	case 3: sd_norm_bwd_run(c, g, x, n, lanes, 0, 1, 1, y); break;
	case 4: sd_norm_bwd_run(c, g, x, n, lanes, 1, 0, 0, y); break;
	case 5: sd_norm_bwd_run(c, g, x, n, lanes, 1, 0, 1, y); break;
	case 6: sd_norm_bwd_run(c, g, x, n, lanes, 1, 1, 0, y); break;
	case 7: sd_norm_bwd_run(c, g, x, n, lanes, 1, 1, 1, y); break;
	}
}

#endif
