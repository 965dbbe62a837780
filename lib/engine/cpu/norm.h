/* norm.h: the sums of batch norms over a run of pixels, forward and backward. */
#ifndef SD_ENGINE_CPU_NORM_H
#define SD_ENGINE_CPU_NORM_H

#include "engine/cpu/chunk.h"

/* ---- statistics ----
 * A run's pivot is the mean of 16 pixels spread over it, added as a tree, which is exact where they
 * are equal: a constant channel has variance 0.  Of the pixels about the pivot come the run's mean and
 * sum of squares in one pass; as the pivot's pixels are among them, mean - pivot is at most some ten
 * standard deviations, whatever the data, and costs no digits.  Runs are merged by Chan's formula for
 * many parts (Chan, Golub, LeVeque 1983), in double. */
SD_INLINE void sd_stats_run(const float *x, size_t n, v16 a, v16 b, int norm, int relu, double *part)
{
	v16 p[16], s[SD_WAYS], q[SD_WAYS], pivot;
	size_t i = 0;
	v16d ds, dq;

	for (int j = 0; j < 16; j++)
		p[j] = sd_load(x + j * n / 16 * 16, a, b, norm, relu);
	for (int m = 8; m; m /= 2)
		for (int j = 0; j < m; j++)
			p[j] = v16_add(p[j], p[j + m]);
	pivot = v16_mul(p[0], v16_set1(0.0625f));

	for (int j = 0; j < SD_WAYS; j++)
		s[j] = q[j] = v16_zero();
	for (; i + SD_WAYS <= n; i += SD_WAYS)
		SD_UNROLL(4)
		for (int j = 0; j < SD_WAYS; j++) {
			v16 d = v16_sub(sd_load(x + (i + j) * 16, a, b, norm, relu), pivot);

			s[j] = v16_add(s[j], d);
			q[j] = v16_fma(d, d, q[j]);
		}
	SD_UNROLL(4)
	for (int j = 0; j < SD_WAYS; j++)
		if (i + j < n) {
			v16 d = v16_sub(sd_load(x + (i + j) * 16, a, b, norm, relu), pivot);

			s[j] = v16_add(s[j], d);
			q[j] = v16_fma(d, d, q[j]);
		}
	ds = v16d_from(sd_ways(s));
	dq = v16d_from(sd_ways(q));
	v16d_store(part, v16d_add(v16d_from(pivot), v16d_div(ds, v16d_set1((double)n))));
	v16d_store(part + 16, v16d_sub(dq, v16d_div(v16d_mul(ds, ds), v16d_set1((double)n))));
}

SD_INLINE void sd_sums_run(const float *g, const float *x, size_t n, v16 mean, v16 istd, v16 ma, v16 mb,
	int mask, float *part)
{
	v16 s[SD_WAYS], q[SD_WAYS];
	size_t i = 0;

	for (int j = 0; j < SD_WAYS; j++)
		s[j] = q[j] = v16_zero();
	for (; i + SD_WAYS <= n; i += SD_WAYS)
		SD_UNROLL(4)
		for (int j = 0; j < SD_WAYS; j++) {
			v16 xi = v16_load(x + (i + j) * 16);
			v16 gi = sd_masked(v16_load(g + (i + j) * 16), xi, ma, mb, mask);

			s[j] = v16_add(s[j], gi);
			q[j] = v16_fma(gi, v16_sub(xi, mean), q[j]);
		}
	SD_UNROLL(4)
	for (int j = 0; j < SD_WAYS; j++)
		if (i + j < n) {
			v16 xi = v16_load(x + (i + j) * 16);
			v16 gi = sd_masked(v16_load(g + (i + j) * 16), xi, ma, mb, mask);

			s[j] = v16_add(s[j], gi);
			q[j] = v16_fma(gi, v16_sub(xi, mean), q[j]);
		}
	v16_store(part, sd_ways(s));
	v16_store(part + 16, v16_mul(sd_ways(q), istd));
}

#endif
