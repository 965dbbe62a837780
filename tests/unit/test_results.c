/* test_results: the reading and grouping of sd-collect. */
#include "train/results.h"

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
	char *argv[] = { (char *)"test_results", NULL };
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
	int ret = sd_results_seen(r, art, earlier);
	if (ret == SD_RESULTS_NEW && sd_results_add(r, art))
		ret = -1;
	sd_artifact_close(art);
	return ret;
}

static void test_artifacts(void)
{
	char dir[] = "/tmp/test_results.XXXXXX", name[4][64];
	const char *earlier;
	struct sd_results r;
	CHECK(mkdtemp(dir) != NULL);
	for (int i = 0; i < 4; i++)
		snprintf(name[i], sizeof name[i], "%s/%d.h5", dir, i);
	CHECK(!write_eval(name[0], "1", 97) && !write_eval(name[1], "2", 98), "%s", sd_error_text());
	CHECK(!write_eval(name[2], "1", 97) && !write_eval(name[3], "2", 98.5), "%s", sd_error_text());
	sd_results_init(&r, SD_MEASURE_ERROR, false, 0, NULL, false);
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

static struct sd_result result(const char *arch, const char *recipe, const char *seed, const char *by,
	double value)
{
	struct sd_result r = { .file = sd_xstrdup("f"), .id = sd_xstrdup(seed), .payload = sd_xstrdup("p"), .model = sd_xstrdup(""),
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
	sd_results_init(&r, SD_MEASURE_TOP1, false, 1, by, false);
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

	/* by hand: the values of `by` alone, whatever architecture and recipe */
	r.pooled = true;
	sd_results_sort(&r);
	CHECK(sd_results_group(&r, 0) == 5 && sd_results_group(&r, 5) == 1 && r.v[5].value == 4);
	CHECK(sd_results_best(&r, r.v, 5)->value == 6 && sd_results_summary(r.v, 5).mean == 3.4);
	sd_results_release(&r);
}

/* Two groups on the same ten images: seeds 1 and 2 of both, seed 3 of one. */
static void test_compare(void)
{
	static const double value[2][3] = { { 70, 60, 80 }, { 50, 50, 0 } };
	static const char *const right[2][2] = { { "1111111000", "1111110000" }, { "0011111000", "0001111100" } };
	struct sd_results r;
	struct sd_table t = SD_TABLE_INIT;
	sd_results_init(&r, SD_MEASURE_TOP1, false, 0, NULL, false);
	for (int g = 0; g < 2; g++)
		for (int i = 0; i < 3 - g; i++) {
			char seed[4];
			snprintf(seed, sizeof seed, "%d", i + 1);
			struct sd_result one = result(g ? "B" : "A", g ? "beef01" : "abcd01", seed, "x", value[g][i]);
			free(one.by[0]);
			one.by[0] = NULL;
			one.images = sd_xstrdup("images");
			if (i < 2) {
				one.n = 10;
				one.right = sd_xcalloc(10, 1);
				for (int k = 0; k < 10; k++)
					one.right[k] = right[g][i][k] == '1';
			}
			sd_results_add_one(&r, &one);
		}
	sd_results_sort(&r);
	CHECK(!sd_results_compare(&r, "A", "beef", 0.95, &t), "%s", sd_error_text());
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);
	sd_table_print(&t, SD_TABLE_TSV, f);
	fclose(f);
	/* by hand: only A right 2 and 3 times, only B 0 and 2; the differences 20 and 10 have mean 15 and
	 * standard error 5, t = 3, and the probability with one degree of freedom is 1 - 2 atan(3) / pi */
	CHECK(strstr(text, "d\tA\tbeef\twelch\t-\t3\t2\t70.000000\t50.000000\t20.000000\t"), "%s", text);
	CHECK(strstr(text, "d\tA\tbeef\tpaired_t\t-\t2\t2\t65.000000\t50.000000\t15.000000\t"), "%s", text);
	CHECK(strstr(text, "\t3.0000\t1.00\t-\t-\t0.204833"), "%s", text);
	CHECK(strstr(text, "mcnemar\t1\t10\t10\t70.000000\t50.000000\t20.000000\t-\t-\t-\t-\t2\t0\t0.5\t"), "%s",
		text);
	CHECK(strstr(text, "mcnemar\t2\t10\t10\t60.000000\t50.000000\t10.000000\t-\t-\t-\t-\t3\t2\t1\t"), "%s",
		text);
	free(text);
	sd_table_release(&t);
	CHECK(sd_results_compare(&r, "A", "A", 0.95, &t) && sd_error_kind() == SD_ERR_USAGE);
	sd_table_release(&t);
	CHECK(sd_results_compare(&r, "A", "C", 0.95, &t) && strstr(sd_error_text(), "no group is called 'C'"));
	sd_table_release(&t);
	sd_results_release(&r);
}

/* Runs of one recipe that call their architecture differently are one group under each of the names. */
static void test_names(void)
{
	static const struct { const char *arch, *recipe, *seed; } in[] = {
		{ "one", "abcd", "1" }, { "-", "abcd", "3" }, { "another", "abcd", "2" }, { "far", "beef", "1" },
	};
	struct sd_results r;
	struct sd_table t = SD_TABLE_INIT;
	static const char *const by[] = { "arch" };
	for (int pooled = 0; pooled < 2; pooled++) {
		sd_results_init(&r, SD_MEASURE_TOP1, false, pooled, by, pooled);
		for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
			struct sd_result one = result(in[i].arch, in[i].recipe, in[i].seed, in[i].arch, (double)i);
			if (!pooled) {
				free(one.by[0]);
				one.by[0] = NULL;
			}
			sd_results_add_one(&r, &one);
		}
		sd_results_sort(&r);
		CHECK(sd_results_group(&r, 0) == 3 && sd_results_group(&r, 3) == 1 && r.v[1].value == 2);
		CHECK(!strcmp(r.v[0].arch, "another=one") && !strcmp(r.v[3].arch, "far"), "%s", r.v[0].arch);
		for (int i = 0; i < 2; i++) {
			CHECK(!sd_results_compare(&r, i ? "one" : "another", "far", 0.95, &t), "%s", sd_error_text());
			sd_table_release(&t);
		}
		CHECK(sd_results_compare(&r, "another=one", "far", 0.95, &t) == -!pooled);
		sd_table_release(&t);
		CHECK(sd_results_compare(&r, "an", "far", 0.95, &t));
		sd_table_release(&t);
		CHECK(sd_results_compare(&r, "one", "one", 0.95, &t));
		sd_table_release(&t);
		CHECK(!sd_results_compare(&r, "one", "another", 0.95, &t), "%s", sd_error_text());
		char *text = NULL;
		size_t n;
		FILE *f = open_memstream(&text, &n);
		sd_table_print(&t, SD_TABLE_TSV, f);
		fclose(f);
		CHECK(strstr(text, "d\tone\tanother\tsame\t-\t3\t3\t1.000000\t1.000000\t0.000000\t-\t-\t-\t-\t-\t-\t-\t1"),
			"%s", text);
		CHECK(!strstr(strchr(text, '\n') + 1, "welch"));
		free(text);
		sd_table_release(&t);
		sd_results_release(&r);
	}
}

/* With --write FILE SEED TOP1 it makes an artifact for other tests. */
int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "--write"))
		return write_eval(argv[2], argv[3], atof(argv[4])) ? sd_tool_fail("test_results") : 0;
	test_artifacts();
	test_groups();
	test_compare();
	test_names();
	return check_done();
}
