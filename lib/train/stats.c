/* stats.c: what several measurements say together. */
#include "train/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

struct sd_summary sd_summarize(const double *x, int n)
{
	struct sd_summary s = { .n = n, .mean = NAN, .std = NAN, .sem = NAN, .min = NAN, .max = NAN };
	double sum = 0, squares = 0;
	if (n == 0)
		return s;
	double *v = sd_xmalloc((size_t)n * sizeof *v);
	memcpy(v, x, (size_t)n * sizeof *v);
	qsort(v, (size_t)n, sizeof *v, by_value);
	for (int i = 0; i < n; i++)
		sum += v[i];
	s.mean = sum / n;
	for (int i = 0; i < n; i++)
		squares += (v[i] - s.mean) * (v[i] - s.mean);
	if (n > 1) {
		s.std = sqrt(squares / (n - 1));
		s.sem = s.std / sqrt(n);
	}
	s.min = v[0];
	s.max = v[n - 1];
	free(v);
	return s;
}

/* The continued fraction of the incomplete beta function, DLMF 8.17.22, by Lentz's method; converges fast
 * for x < (a + 1) / (a + b + 2). */
static double beta_fraction(double x, double a, double b)
{
	const double tiny = 1e-300;
	double c = 1, d = 1 - (a + b) * x / (a + 1), f;
	d = 1 / (fabs(d) < tiny ? tiny : d);
	f = d;
	for (int m = 1; m < 10000; m++) {
		double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
		double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
		for (int k = 0; k < 2; k++) {
			double term = k ? odd : even;
			d = 1 + term * d;
			c = 1 + term / c;
			d = 1 / (fabs(d) < tiny ? tiny : d);
			c = fabs(c) < tiny ? tiny : c;
			f *= c * d;
		}
		if (fabs(c * d - 1) < 1e-15)
			break;
	}
	return f;
}

/* I_x(a, b); y is 1 - x, given apart so that nothing is lost near 1. */
static double beta_regularized(double x, double y, double a, double b)
{
	if (!(x > 0))
		return 0;
	if (!(y > 0))
		return 1;
	double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(y));
	if (x < (a + 1) / (a + b + 2))
		return front * beta_fraction(x, a, b) / a;
	return 1 - front * beta_fraction(y, b, a) / b;
}

double sd_t_tails(double t, double df)
{
	if (isnan(t) || !(df > 0))
		return NAN;
	if (isinf(t))
		return 0;
	return beta_regularized(df / (df + t * t), t * t / (df + t * t), df / 2, 0.5);
}

double sd_t_quantile(double tails, double df)
{
	double low = 0, high = 1;
	if (!(df > 0) || !(tails > 0 && tails < 1))
		return NAN;
	while (sd_t_tails(high, df) > tails && high < 1e300)
		high *= 2;
	for (int i = 0; i < 200 && high - low > 1e-14 * high; i++) {
		double mid = (low + high) / 2;
		if (sd_t_tails(mid, df) > tails)
			low = mid;
		else
			high = mid;
	}
	return (low + high) / 2;
}

void sd_summary_interval(const struct sd_summary *s, double level, double *low, double *high)
{
	double half = s->n > 1 ? sd_t_quantile(1 - level, s->n - 1) * s->sem : NAN;
	*low = s->mean - half;
	*high = s->mean + half;
}

static struct sd_test t_test(double difference, double error, double df, double level)
{
	struct sd_test t = { difference, NAN, NAN, NAN, df, NAN };
	if (!(df > 0))
		return t;
	double half = sd_t_quantile(1 - level, df) * error;
	t.low = difference - half;
	t.high = difference + half;
	if (error > 0) {
		t.statistic = difference / error;
		t.p = sd_t_tails(t.statistic, df);
	}
	return t;
}

struct sd_test sd_welch(const struct sd_summary *a, const struct sd_summary *b, double level)
{
	double va = a->sem * a->sem, vb = b->sem * b->sem, v = va + vb, df = NAN;
	if (a->n > 1 && b->n > 1)
		df = v > 0 ? v * v / (va * va / (a->n - 1) + vb * vb / (b->n - 1)) : a->n + b->n - 2;
	return t_test(a->mean - b->mean, sqrt(v), df, level);
}

struct sd_test sd_paired_t(const double *x, const double *y, int n, double level)
{
	double *d = sd_xcalloc((size_t)n + 1, sizeof *d);
	for (int i = 0; i < n; i++)
		d[i] = x[i] - y[i];
	struct sd_summary s = sd_summarize(d, n);
	free(d);
	return t_test(s.mean, s.sem, n > 1 ? n - 1 : NAN, level);
}

double sd_mcnemar(int64_t b, int64_t c)
{
	double few = (double)(b < c ? b : c), n = (double)(b + c);
	if (b == c)
		return 1;
	/* P(X <= few) for n fair coins is I_{1/2}(n - few, few + 1) */
	double p = 2 * beta_regularized(0.5, 0.5, n - few, few + 1);
	return p < 1 ? p : 1;
}
