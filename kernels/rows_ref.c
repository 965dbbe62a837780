/* rows_ref.c: what rows.cu computes. */
#include "ref.h"

#include <math.h>

static double most(const double *x, int k)
{
	double m = -INFINITY;
	int i;

	for (i = 0; i < k; i++)
		m = x[i] > m ? x[i] : m;
	return m;
}

/* log sum exp x */
static double log_sum(const double *x, int k)
{
	double m = most(x, k), sum = 0;
	int i;

	for (i = 0; i < k; i++)
		sum += exp(x[i] - m);
	return m + log(sum);
}

void sd_ref_softmax(const double *x, int rows, int k, double *y)
{
	int r, i;

	for (r = 0; r < rows; r++, x += k, y += k) {
		double l = log_sum(x, k);

		for (i = 0; i < k; i++)
			y[i] = exp(x[i] - l);
	}
}

void sd_ref_xent(const double *x, const double *label, int rows, int k, double smoothing, double *loss)
{
	int r, i;

	for (r = 0; r < rows; r++, x += k) {
		double l = log_sum(x, k);

		loss[r] = 0;
		for (i = 0; i < k; i++)
			loss[r] += (l - x[i]) * (smoothing / k + (i == (int)label[r] ? 1 - smoothing : 0));
	}
}

void sd_ref_mix_factors(const double *w, int k, int weighting, double *f)
{
	double m = most(w, k);
	int i;

	for (i = 0; i < k; i++)
		f[i] = weighting == SD_MAX_W ? 1 - m + w[i] : w[i];
}

void sd_ref_axpy(const double *y, double f, double s, const double *x, size_t count, double *out)
{
	size_t i;

	for (i = 0; i < count; i++)
		out[i] = (y ? y[i] : 0) + f * s * x[i];
}

double sd_ref_mean(const double *x, size_t count)
{
	double sum = 0;
	size_t i;

	for (i = 0; i < count; i++)
		sum += x[i];
	return sum / (double)count;
}
