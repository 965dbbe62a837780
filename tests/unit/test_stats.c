/* test_stats: the numbers and the grouping of sd-collect. */
#include "train/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

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
	CHECK(!memcmp(&a, &b, sizeof a));
}

static struct sd_result result(const char *arch, const char *recipe, const char *seed, const char *by, double value)
{
	struct sd_result r = { .file = sd_xstrdup("f"), .id = sd_xstrdup(seed), .payload = sd_xstrdup("p"),
		.recipe = sd_xstrdup(recipe), .seed = sd_xstrdup(seed), .arch = sd_xstrdup(arch),
		.data = sd_xstrdup("d"), .value = value };
	r.by = sd_xcalloc(2, sizeof *r.by);
	r.by[0] = sd_xstrdup(by);
	return r;
}

static void test_groups(void)
{
	static const char *const by[] = { "layers" };
	static const struct { const char *arch, *recipe, *seed, *by; double value; } in[] = {
		{ "B", "r2", "1", "5", 1 }, { "A", "r1", "10", "5", 2 }, { "A", "r1", "9", "5", 3 },
		{ "A", "r1", "1", "6", 4 }, { "A", "r3", "1", "5", 5 }, { "A", "r1", "2", "5", 6 },
	};
	struct sd_results r;
	sd_results_init(&r, SD_MEASURE_TOP1, false, 1, by);
	for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
		struct sd_result one = result(in[i].arch, in[i].recipe, in[i].seed, in[i].by, in[i].value);
		sd_results_add_one(&r, &one);
	}
	sd_results_sort(&r);
	const double want[] = { 6, 3, 2, 4, 5, 1 }; /* seeds by number: 2, 9, 10 */
	for (size_t i = 0; i < sizeof want / sizeof *want; i++)
		CHECK(r.v[i].value == want[i], "%zu: %g", i, r.v[i].value);
	const int groups[] = { 3, 1, 1, 1 };
	int at = 0;
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
		int n = sd_results_group(&r, at);
		CHECK(n == groups[i], "%zu: %d", i, n);
		at += n;
	}
	CHECK(at == r.n);
	sd_results_release(&r);
}

int main(void)
{
	test_summary();
	test_order_makes_no_difference();
	test_groups();
	return check_done();
}
