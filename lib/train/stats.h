/* stats.h: what several measurements say together.
 *
 * All sums are taken over sorted numbers or in the order of pairs: the order of arguments makes no
 * difference.  What can't be computed (one run has no spread) is NaN. */
#ifndef SD_TRAIN_STATS_H
#define SD_TRAIN_STATS_H

#include <stdint.h>

/* Of n numbers.  std is that of a sample (n - 1 below the line), sem = std / sqrt(n); both NaN for n = 1. */
struct sd_summary {
	int n;
	double mean, std, sem, min, max;
};
struct sd_summary sd_summarize(const double *x, int n);

/* The probability of |T| >= |t| for Student's t with df > 0 degrees of freedom (not only whole ones):
 * I_{df/(df+t^2)}(df/2, 1/2), the regularised incomplete beta function (DLMF 8.17). */
double sd_t_tails(double t, double df);
/* The t > 0 with that probability: sd_t_quantile(0.05, 9) = 2.262. */
double sd_t_quantile(double tails, double df);

/* The confidence interval of the mean at `level` (0.95): mean -+ t(1 - level, n - 1) * sem. */
void sd_summary_interval(const struct sd_summary *s, double level, double *low, double *high);

/* The difference between two groups, a - b, with its confidence interval, and the two-sided test that
 * there is none.  Without any spread statistic and p are NaN. */
struct sd_test {
	double difference, low, high;
	double statistic, df, p;
};
/* Welch: unequal variances, df by Welch and Satterthwaite. */
struct sd_test sd_welch(const struct sd_summary *a, const struct sd_summary *b, double level);
/* Student's t of the n differences x[i] - y[i]. */
struct sd_test sd_paired_t(const double *x, const double *y, int n, double level);

/* McNemar's exact test: of the cases on which two classifiers differ, one is right in b and the other in
 * c; the two-sided binomial probability of a split at least as uneven.  1 when there are none. */
double sd_mcnemar(int64_t b, int64_t c);

#endif
