/* test_diverge: where two recorded runs part, on artifacts that are made up here. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fingerprint.h"
#include "base/opt.h"
#include "provenance/diverge.h"

#include "check.h"

enum { ROWS = 37 };

/* What a run does: from row `from` on its weights are others, or its alphas, or a loss. */
struct story {
	uint64_t rows, from;
	enum { WEIGHTS, ALPHAS, LOSS, ARCH_LOSS } what;
	int64_t stride;
	bool forged; /* the weights in the file are not those of the trace */
};

static uint64_t bits(double x)
{
	uint64_t u;
	memcpy(&u, &x, sizeof(u));
	return u;
}

/* The fingerprint of one tensor of two numbers alone in its folder. */
static uint64_t folder(const float *v)
{
	uint64_t one = sd_fingerprint(v, 2 * sizeof(*v));
	return sd_fingerprint_u64(&one, 1);
}

static int put(struct sd_artifact_out *out, const struct story *s)
{
	static uint64_t digest[ROWS], alphas[ROWS], two[1] = { 2 };
	static double loss[ROWS], arch[ROWS];
	float w[2], a[2];
	for (uint64_t r = 0; r < s->rows; r++) {
		bool other = r >= s->from;
		w[0] = (float)r, w[1] = other && s->what == WEIGHTS;
		a[0] = (float)r, a[1] = other && s->what == ALPHAS;
		loss[r] = r ? 2 + (other && s->what == LOSS) * 1e-15 : 0;
		arch[r] = r ? 3 + (other && s->what == ARCH_LOSS) * 1e-15 : 0;
		alphas[r] = folder(a);
		uint64_t word[5] = { r ? digest[r - 1] : 0, alphas[r], folder(w), bits(arch[r]), bits(loss[r]) };
		digest[r] = sd_fingerprint_u64(word, 5);
	}
	if (s->forged)
		w[1] += 1;
	return sd_artifact_put(out, "/state/w", SD_TYPE_F32, 1, two, w, 0) ||
		sd_artifact_put(out, "/alphas_last/normal", SD_TYPE_F32, 1, two, a, 0) ||
		sd_artifact_put(out, "/trace/digest", SD_TYPE_U64, 1, &s->rows, digest, 0) ||
		sd_artifact_put(out, "/trace/alphas", SD_TYPE_U64, 1, &s->rows, alphas, 0) ||
		sd_artifact_put(out, "/trace/loss", SD_TYPE_F64, 1, &s->rows, loss, 0) ||
		sd_artifact_put(out, "/trace/arch_loss", SD_TYPE_F64, 1, &s->rows, arch, 0) ||
		sd_artifact_put_i64(out, "/trace/stride", s->stride) ||
		sd_artifact_put_i64(out, "/trace/epoch_steps", 12);
}

static int make(const char *file, const struct story *s)
{
	static struct sd_shared shared;
	struct sd_opt rows[] = { SD_OPTS_STAMP(shared), SD_OPT_END };
	struct sd_opts opts = { .tool = "sd-search", .summary = "s", .rows = rows };
	char *argv[] = { (char *)"test_diverge", NULL };
	if (sd_opts_parse(&opts, 1, argv))
		return -1;
	struct sd_stamp *stamp = sd_stamp_new("search", &opts, &shared);
	struct sd_artifact_out *out = sd_artifact_create(file, true);
	int ret = -1;
	if (out && put(out, s))
		sd_artifact_abandon(out);
	else if (out)
		ret = sd_artifact_finish(out, stamp, NULL);
	sd_stamp_free(stamp);
	sd_opts_release(&opts);
	return ret;
}

static enum sd_status compare(const char *a, const char *b, const struct story *x, const struct story *y,
	struct sd_divergence *d)
{
	CHECK(!make(a, x) && !make(b, y), "%s", sd_error_text());
	return sd_first_divergence(a, b, d);
}

static void test_traces(const char *a, const char *b)
{
	static const char *const what[] = { "the weights, all losses being equal",
		"the alphas, the loss they move by being equal", "the loss that the weights move by",
		"the loss that the alphas move by" };
	const struct story plain = { ROWS, ROWS, WEIGHTS, 1, false };
	struct sd_divergence d;
	CHECK(compare(a, b, &plain, &plain, &d) == SD_SAME && d.row == ROWS && d.rows == ROWS);
	for (uint64_t from = 0; from < ROWS; from += from < 3 ? 1 : 5) {
		for (int k = WEIGHTS; k <= ARCH_LOSS; k++) {
			struct story s = plain;
			s.from = from;
			s.what = k;
			uint64_t want = from + (from == 0 && k >= LOSS); /* there is no loss before the first step */
			CHECK(compare(a, b, &plain, &s, &d) == SD_DIFFERENT && d.row == want, "from %d, %d: %d", (int)from, k,
				(int)d.row);
			CHECK(d.row != want || strcmp(d.what, want ? what[k] : k ? "the alphas" : "the weights") == 0, "%s",
				d.what);
		}
	}
	/* shorter, and equal so far; other weights than the trace's; another stride */
	struct story s = plain;
	s.rows = 20;
	CHECK(compare(a, b, &plain, &s, &d) == SD_DIFFERENT && d.row == 20 && d.rows == 20);
	s = plain;
	s.forged = true;
	CHECK(compare(a, b, &plain, &s, &d) == SD_DIFFERENT && d.row == ROWS);
	s = plain;
	s.stride = 12;
	CHECK(compare(a, b, &plain, &s, &d) == SD_TROUBLE);
	s.stride = 0;
	CHECK(compare(a, b, &plain, &s, &d) == SD_TROUBLE && sd_error_kind() == SD_ERR_DATA);
}

static void test_tables(void)
{
	static const char a[] = "part\tname\tfingerprint\nbefore\tw\t01\nop\t1.1 conv w\t02\nafter\tw\t03\n";
	static const char b[] = "part\tname\tfingerprint\nbefore\tw\t01\nop\t1.1 conv w\t04\nafter\tw\t05\n";
	static const char c[] = "part\tname\tfingerprint\nbefore\tw\t01\nop\t1.1 relu\t02\nafter\tw\t03\n";
	struct sd_str s = SD_STR_INIT;
	CHECK(!sd_step_tables_differ(a, a, &s) && !s.len);
	CHECK(sd_step_tables_differ(a, b, &s) && strcmp(s.s, "op 1.1 conv w (2 of 4 lines differ)") == 0, "%s", s.s);
	sd_str_release(&s);
	CHECK(sd_step_tables_differ(a, c, &s) &&
		strcmp(s.s, "op 1.1 conv w in one, op 1.1 relu in the other: they do not do the same") == 0, "%s", s.s);
	sd_str_release(&s);
	CHECK(sd_step_tables_differ(a, "part\tname\tfingerprint\n", &s) &&
		strcmp(s.s, "line 2, where one ends") == 0, "%s", s.s);
	sd_str_release(&s);
	CHECK(sd_step_tables_differ(a, "", &s) && sd_step_tables_differ("", a, &s) && !sd_step_tables_differ("", "", &s));
	sd_str_release(&s);
}

int main(void)
{
	char dir[] = "/tmp/test_diverge.XXXXXX", a[64], b[64];
	CHECK(mkdtemp(dir) != NULL);
	snprintf(a, sizeof(a), "%s/a.h5", dir);
	snprintf(b, sizeof(b), "%s/b.h5", dir);
	/* what it prints is looked at in tests/bats/diverge.bats */
	FILE *out = stdout;
	stdout = fopen("/dev/null", "w");
	CHECK(stdout != NULL);
	test_traces(a, b);
	fclose(stdout);
	stdout = out;
	test_tables();
	remove(a);
	remove(b);
	rmdir(dir);
	return check_done();
}
