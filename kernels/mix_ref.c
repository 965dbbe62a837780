/* mix_ref.c: what mix.cu computes. */
#include "ref.h"

#include <math.h>

/* Element i, of channel c, of a term. */
static double term(const struct sd_ref_term *t, int c, size_t i)
{
	double v;

	if (t->kind == SD_MIX_NONE)
		return 0;
	v = t->x[i];
	if (t->kind != SD_MIX_RAW)
		v = (v - t->mean[c]) / sqrt(t->var[c] + t->eps);
	return t->kind == SD_MIX_NORM_RELU && v < 0 ? 0 : v;
}

void sd_ref_mix(int n, const struct sd_ref_term *t, const struct sd_shape *s, const double *f, double *y)
{
	size_t count = sd_shape_count(s), plane = (size_t)s->d[2] * (size_t)s->d[3], i;
	int k;

	for (i = 0; i < count; i++) {
		int c = (int)(i / plane % (size_t)s->d[1]);

		y[i] = 0;
		for (k = 0; k < n; k++)
			y[i] += f[k] * term(&t[k], c, i);
	}
}
