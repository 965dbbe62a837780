/* test_stats: the numbers of sd-collect. */
#include "train/stats.h"

#include <math.h>
#include <stddef.h>

#include "check.h"

static void test_summary(void)
{
	const double x[4] = { 2, 4, 4, 6 };
	struct sd_summary s = sd_summarize(x, 4);
	CHECK(s.n == 4 && s.mean == 4 && s.min == 2 && s.max == 6);
	CHECK(fabs(s.std - sqrt(8.0 / 3)) < 1e-15, "%g", s.std);
	CHECK(fabs(s.sem - sqrt(8.0 / 3) / 2) < 1e-15, "%g", s.sem);

	s = sd_summarize(x, 1);
	CHECK(s.n == 1 && s.mean == 2 && s.min == 2 && s.max == 2 && isnan(s.std) && isnan(s.sem));
	s = sd_summarize(x, 0);
	CHECK(s.n == 0 && isnan(s.mean) && isnan(s.min));

	const double equal[3] = { 97.1, 97.1, 97.1 };
	s = sd_summarize(equal, 3);
	CHECK(s.std < 1e-13, "%g", s.std);
}

static void test_order_makes_no_difference(void)
{
	double x[100], y[100];
	for (int i = 0; i < 100; i++)
		x[i] = sin(i) * exp(i % 7);
	for (int i = 0; i < 100; i++)
		y[i] = x[(i * 37 + 11) % 100];
	struct sd_summary a = sd_summarize(x, 100), b = sd_summarize(y, 100);
	CHECK(a.mean == b.mean && a.std == b.std && a.sem == b.sem && a.min == b.min && a.max == b.max);
}

/* Published tables and closed forms: df 1 is Cauchy's, df 2 algebraic. */
static void test_t(void)
{
	CHECK(fabs(sd_t_tails(1, 1) - 0.5) < 1e-14, "%.17g", sd_t_tails(1, 1));
	CHECK(fabs(sd_t_tails(3, 1) - (1 - 2 * atan(3) / acos(-1))) < 1e-14);
	for (double t = 0.01; t < 1e4; t *= 3) {
		double two = 1 - t / sqrt(2 + t * t);
		CHECK(fabs(sd_t_tails(t, 2) - two) < 1e-13, "t %g: %.17g", t, sd_t_tails(t, 2));
		CHECK(sd_t_tails(-t, 5.5) == sd_t_tails(t, 5.5));
	}
	CHECK(sd_t_tails(0, 7) == 1 && sd_t_tails(INFINITY, 7) == 0 && isnan(sd_t_tails(NAN, 7)) &&
		isnan(sd_t_tails(1, 0)));
	static const struct { double tails, df, t; } table[] = {
		{ 0.05, 1, 12.7062047 }, { 0.05, 2, 4.30265273 }, { 0.05, 4, 2.77644511 }, { 0.05, 9, 2.26215716 },
		{ 0.01, 9, 3.24983554 }, { 0.1, 7, 1.89457861 }, { 0.05, 30, 2.04227246 }, { 0.001, 5, 6.86882663 },
		{ 0.05, 1e6, 1.95996636 },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		double t = sd_t_quantile(table[i].tails, table[i].df);
		CHECK(fabs(t / table[i].t - 1) < 1e-8, "%zu: %.10g", i, t);
		CHECK(fabs(sd_t_tails(t, table[i].df) / table[i].tails - 1) < 1e-9);
	}
}

/* Student's own data (1908, the additional hours of sleep), whose tests R prints: Welch t = -1.8608,
 * df = 17.776, p = 0.07939, interval -3.3654832 to 0.2054832; paired t = -4.0621, p = 0.002833, interval
 * -2.4598858 to -0.7001142. */
static void test_tests(void)
{
	const double a[10] = { 0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0 };
	const double b[10] = { 1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4 };
	struct sd_summary s = sd_summarize(a, 10), u = sd_summarize(b, 10);
	struct sd_test t = sd_welch(&s, &u, 0.95);
	CHECK(fabs(t.difference + 1.58) < 1e-12 && fabs(t.statistic + 1.8608) < 5e-5, "%g", t.statistic);
	CHECK(fabs(t.df - 17.776) < 5e-4 && fabs(t.p - 0.07939) < 5e-6, "%g %g", t.df, t.p);
	CHECK(fabs(t.low + 3.3654832) < 5e-8 && fabs(t.high - 0.2054832) < 5e-8, "%.9g %.9g", t.low, t.high);
	t = sd_paired_t(a, b, 10, 0.95);
	CHECK(fabs(t.statistic + 4.0621) < 5e-5 && t.df == 9 && fabs(t.p - 0.002833) < 5e-7, "%g", t.p);
	CHECK(fabs(t.low + 2.4598858) < 5e-8 && fabs(t.high + 0.7001142) < 5e-8, "%.9g %.9g", t.low, t.high);

	double low, high;
	sd_summary_interval(&s, 0.95, &low, &high);
	CHECK(fabs(s.mean - 0.75) < 1e-12 && fabs(low + 0.5297804) < 5e-8 && fabs(high - 2.0297804) < 5e-8,
		"%.9g %.9g", low, high);

	/* what can't be told */
	struct sd_summary one = sd_summarize(a, 1);
	t = sd_welch(&one, &u, 0.95);
	CHECK(isnan(t.p) && isnan(t.low) && fabs(t.difference - (0.7 - 2.33)) < 1e-12);
	sd_summary_interval(&one, 0.95, &low, &high);
	CHECK(isnan(low) && isnan(high));
	const double equal[2] = { 5, 5 };
	t = sd_paired_t(equal, equal, 2, 0.95);
	CHECK(isnan(t.p) && t.difference == 0 && t.low == 0 && t.high == 0);
}

static double binomial(int n, int k)
{
	return exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) - n * log(2));
}

static void test_mcnemar(void)
{
	CHECK(sd_mcnemar(0, 0) == 1 && sd_mcnemar(4, 4) == 1);
	CHECK(fabs(sd_mcnemar(0, 5) - 0.0625) < 1e-14 && sd_mcnemar(5, 0) == sd_mcnemar(0, 5));
	for (int n = 1; n < 400; n += 13)
		for (int b = 0; 2 * b < n; b += 1 + n / 9) {
			double p = 0;
			for (int k = 0; k <= b; k++)
				p += 2 * binomial(n, k);
			p = p < 1 ? p : 1;
			CHECK(fabs(sd_mcnemar(b, n - b) / p - 1) < 1e-10, "%d of %d: %g %g", b, n,
				sd_mcnemar(b, n - b), p);
		}
	double p = sd_mcnemar(4000, 6000);
	CHECK(p > 0 && p < 1e-80, "%g", p);
}

int main(void)
{
	test_summary();
	test_order_makes_no_difference();
	test_t();
	test_tests();
	test_mcnemar();
	return check_done();
}
