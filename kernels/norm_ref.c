/* norm_ref.c: what norm.cu computes. */
#include "ref.h"

#include <math.h>

/* The mean over (N, H, W) of (x - from)^power in channel c. */
static double moment(const double *x, const struct sd_shape *s, int c, double from, int power)
{
	int plane = s->d[2] * s->d[3], n, i;
	double sum = 0;

	for (n = 0; n < s->d[0]; n++)
		for (i = 0; i < plane; i++) {
			double d = x[(n * s->d[1] + c) * plane + i] - from;

			sum += power == 1 ? d : d * d;
		}
	return sum / ((double)s->d[0] * plane);
}

void sd_ref_bn_stats(const double *x, const struct sd_shape *s, double *mean, double *var)
{
	int c;

	for (c = 0; c < s->d[1]; c++) {
		mean[c] = moment(x, s, c, 0, 1);
		var[c] = moment(x, s, c, mean[c], 2);
	}
}

void sd_ref_norm(const double *x, const struct sd_shape *s, const double *mean, const double *var,
	const double *gamma, const double *beta, double eps, double *y)
{
	int plane = s->d[2] * s->d[3], n, i;

	for (n = 0; n < s->d[0] * s->d[1]; n++) {
		int c = n % s->d[1];
		double root = sqrt(var[c] + eps);

		for (i = 0; i < plane; i++, x++)
			*y++ = (*x - mean[c]) / root * (gamma ? gamma[c] : 1) + (beta ? beta[c] : 0);
	}
}

void sd_ref_relu(const double *x, size_t count, double *y)
{
	size_t i;

	for (i = 0; i < count; i++)
		y[i] = 0 > x[i] ? 0 : x[i];
}
