/* test_stats: the numbers and the grouping of sd-collect. */
#include "train/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/opt.h"
#include "base/str.h"
#include "base/tool.h"

#include "check.h"

/* Writes an eval artifact of a made-up run. */
static int write_eval(const char *file, const char *seed, double top1)
{
	static struct sd_shared shared;
	static uint64_t value;
	struct sd_opt rows[] = { SD_OPT_SEED("seed", NULL, &value, seed, "seed"), SD_OPTS_STAMP(shared),
		SD_OPT_END };
	struct sd_opts opts = { .tool = "sd-eval", .summary = "s", .rows = rows };
	char *argv[] = { (char *)"test_stats", NULL };
	if (sd_opts_parse(&opts, 1, argv))
		return -1;
	struct sd_stamp *stamp = sd_stamp_new("eval", &opts, &shared);
	struct sd_artifact_out *out = sd_artifact_create(file, true);
	int ret = -1;
	if (!out)
		goto done;
	if (sd_artifact_put_f64(out, "/top1", top1) || sd_artifact_put_f64(out, "/top5", 100) ||
	    sd_artifact_put_f64(out, "/loss", 0.5) || sd_artifact_put_i64(out, "/epoch", 7) ||
	    sd_artifact_put_text(out, "/data", "made", 4)) {
		sd_artifact_abandon(out);
		goto done;
	}
	ret = sd_artifact_finish(out, stamp, NULL);
done:
	sd_stamp_free(stamp);
	sd_opts_release(&opts);
	return ret;
}

static int add_file(struct sd_results *r, const char *file, const char **earlier)
{
	struct sd_artifact *art = sd_artifact_open(file, 0);
	if (!art)
		return -1;
	int ret = sd_results_add(r, art, earlier);
	sd_artifact_close(art);
	return ret;
}

static void test_artifacts(void)
{
	char dir[] = "/tmp/test_stats.XXXXXX", name[4][64];
	const char *earlier;
	struct sd_results r;
	CHECK(mkdtemp(dir) != NULL);
	for (int i = 0; i < 4; i++)
		snprintf(name[i], sizeof name[i], "%s/%d.h5", dir, i);
	CHECK(!write_eval(name[0], "1", 97) && !write_eval(name[1], "2", 98), "%s", sd_error_text());
	CHECK(!write_eval(name[2], "1", 97) && !write_eval(name[3], "2", 98.5), "%s", sd_error_text());
	sd_results_init(&r, SD_MEASURE_ERROR, false, 0, NULL);
	CHECK(add_file(&r, name[0], &earlier) == SD_RESULTS_NEW &&
		add_file(&r, name[1], &earlier) == SD_RESULTS_NEW);
	CHECK(add_file(&r, name[2], &earlier) == SD_RESULTS_REPEATED && !strcmp(earlier, name[0]));
	CHECK(add_file(&r, name[3], &earlier) == SD_RESULTS_IRREPRODUCIBLE && !strcmp(earlier, name[1]));
	CHECK(r.n == 2 && sd_results_group(&r, 0) == 2 && r.v[0].value == 3 && r.v[0].epoch == 7);
	CHECK(!strcmp(r.v[0].data, "made") && !strcmp(r.v[1].seed, "2") && !strcmp(r.v[0].arch, "-"));
	sd_results_release(&r);
	for (int i = 0; i < 4; i++)
		remove(name[i]);
	rmdir(dir);
}

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

static struct sd_result result(const char *arch, const char *recipe, const char *seed, const char *by,
	double value)
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

/* With --write FILE SEED TOP1 it makes an artifact for other tests. */
int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "--write"))
		return write_eval(argv[2], argv[3], atof(argv[4])) ? sd_tool_fail("test_stats") : 0;
	test_artifacts();
	test_summary();
	test_order_makes_no_difference();
	test_groups();
	return check_done();
}
