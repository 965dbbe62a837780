/* image_ref.c: what image.cu computes. */
#include "ref.h"

void sd_ref_add(int n, const double *const *x, size_t count, double *y)
{
	size_t i;
	int k;

	for (i = 0; i < count; i++) {
		y[i] = 0;
		for (k = 0; k < n; k++)
			y[i] += x[k][i];
	}
}

void sd_ref_scale_rows(const double *x, const struct sd_shape *s, const double *m, double *y)
{
	size_t i, each = sd_shape_count(s) / (size_t)s->d[0];

	for (i = 0; i < each * (size_t)s->d[0]; i++)
		y[i] = x[i] * m[i / each];
}
