/* test_base.c: options, numbers as text, canonical JSON, hashes, random numbers, files and locks. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/command.h"
#include "base/err.h"
#include "base/file.h"
#include "base/fingerprint.h"
#include "base/json.h"
#include "base/opt.h"
#include "base/rng.h"
#include "base/sha256.h"
#include "base/str.h"
#include "check.h"

static char dir[] = "/tmp/test_base.XXXXXX";

/* ---- random numbers ---- */

static void test_philox(void)
{
	/* Random123's kat_vectors, philox4x32 with 10 rounds */
	static const struct {
		uint32_t ctr[4], key[2], out[4];
	} kat[] = {
		{ { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
		{ { ~0u, ~0u, ~0u, ~0u }, { ~0u, ~0u }, { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
		{ { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, { 0xa4093822, 0x299f31d0 },
		  { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
	};

	for (size_t i = 0; i < sizeof(kat) / sizeof(kat[0]); i++) {
		struct sd_rng_key key = { { kat[i].key[0], kat[i].key[1] } };
		const uint32_t *ctr = kat[i].ctr;
		uint32_t out[4];

		sd_rng_block(key, ctr, out);
		CHECK(memcmp(out, kat[i].out, sizeof(out)) == 0, "vector %zu: %08x", i, out[0]);
		CHECK(sd_rng_word(key, ctr[0], ctr[1], ctr[2], ctr[3]) == kat[i].out[0], "vector %zu", i);
	}
}

static void test_rng(void)
{
	struct sd_rng_key key = sd_rng_key(7, "init", "stem.0.weight");
	struct sd_rng_key again = sd_rng_key(7, "init", "stem.0.weight");
	struct sd_rng_key other = sd_rng_key(8, "init", "stem.0.weight");
	double sum = 0, squares = 0, worst = 0;
	uint32_t order[1000], once[1000], word, last = 0;
	bool seen[1000] = { false };
	uint8_t digest[SD_SHA256_LEN];
	/* as rng.h says: seed, purpose, 0, site, 0 */
	static const char text[] = "\7\0\0\0\0\0\0\0init\0stem.0.weight";
	int n = 200000;

	sd_sha256(text, sizeof(text), digest);
	CHECK(memcmp(key.k, digest, 8) == 0, "key %08x", key.k[0]);
	CHECK(memcmp(&key, &again, sizeof(key)) == 0 && memcmp(&key, &other, sizeof(key)) != 0, "keys");
	for (int i = 0; i < n; i++) {
		uint32_t out[4], ctr[4] = { (uint32_t)i, 0, 0, 0 };
		double want;
		float x;

		sd_rng_block(key, ctr, out);
		x = sd_rng_normal(out[0], out[1]);
		want = sqrt(-2 * log((out[0] + 0.5) * 0x1p-32)) * cos(2 * M_PI * (out[1] * 0x1p-32));
		if (fabs(x - want) > worst)
			worst = fabs(x - want);
		sum += x;
		squares += (double)x * x;
	}
	CHECK(worst < 3e-7, "normal: off by %g", worst);
	CHECK(fabs(sum / n) < 0.01 && fabs(squares / n - 1) < 0.01, "mean %g, square %g", sum / n,
	      squares / n);
	CHECK(fabs(sd_rng_normal(0, 0) - 6.7637f) < 1e-3, "largest %g", sd_rng_normal(0, 0));
	CHECK(isfinite(sd_rng_normal(~0u, ~0u)), "smallest");
	CHECK(sd_rng_normal(5, 0x40000000) == 0 || fabsf(sd_rng_normal(5, 0x40000000)) < 1e-6f,
	      "a quarter turn");
	CHECK(sd_rng_unit(~0u) < 1 && sd_rng_unit(0) == 0, "unit");
	CHECK(sd_rng_below(~0u, 10) == 9 && sd_rng_below(0, 10) == 0, "below");

	sd_rng_permutation(key, 3, 1000, order);
	sd_rng_permutation(key, 3, 1000, once);
	CHECK(memcmp(order, once, sizeof(order)) == 0, "permutation repeats");
	for (int i = 0; i < 1000; i++) {
		CHECK(order[i] < 1000 && !seen[order[i]], "permutation");
		seen[order[i]] = true;
		word = sd_rng_word(key, order[i], 3, 0, 0);
		CHECK(i == 0 || last <= word, "sorted");
		last = word;
	}
	sd_rng_permutation(key, 4, 1000, once);
	CHECK(memcmp(order, once, sizeof(order)) != 0, "another epoch, another order");
}

/* ---- text ---- */

static void test_numbers(void)
{
	static const struct {
		double value;
		const char *text;
	} table[] = {
		{ 0.025, "0.025" }, { 1e-8, "1e-08" }, { 5, "5" }, { 50, "50" }, { 2000, "2000" },
		{ 0.1, "0.1" },
		{ -0.0, "-0" }, { 0, "0" }, { 1.0 / 3, "0.3333333333333333" }, { 1e15, "1000000000000000" },
		{ 1e22, "1e+22" }, { 123456789, "123456789" }, { 5e-324, "5e-324" },
		{ 0.1 + 0.2, "0.30000000000000004" },
		{ 1.7976931348623157e308, "1.7976931348623157e+308" }, { INFINITY, "inf" }, { NAN, "nan" },
		{ 1234567890123456.0, "1234567890123456" }, { 9007199254740993.0, "9007199254740992" },
	};
	static const char *const no[] = { "", " 1", "1 ", "1x", "0x10", "inf", "nan", "1e", "1,5", "--1",
					  "1e999", "." };
	struct sd_rng_key key = sd_rng_key(1, "test", "reals");
	char buf[32];
	uint64_t u;
	int64_t i;
	double r;

	/* a locale with a comma, where there is one */
	setlocale(LC_ALL, "de_DE.UTF-8");
	for (size_t k = 0; k < sizeof(table) / sizeof(table[0]); k++)
		CHECK(strcmp(sd_real_text(table[k].value, buf), table[k].text) == 0, "%s: got %s",
		      table[k].text, buf);
	CHECK(strcmp(sd_real_textf(0.1f, buf), "0.1") == 0, "%s", buf);
	for (uint32_t k = 0; k < 20000; k++) {
		uint32_t w[4], ctr[4] = { k, 0, 0, 0 };
		double back;

		sd_rng_block(key, ctr, w);
		memcpy(&r, w, sizeof(r));
		if (!isfinite(r))
			continue;
		CHECK(sd_parse_real(sd_real_text(r, buf), &back) && memcmp(&r, &back, sizeof(r)) == 0, "%s",
		      buf);
	}
	for (size_t k = 0; k < sizeof(no) / sizeof(no[0]); k++)
		CHECK(!sd_parse_real(no[k], &r), "taken for a number: '%s'", no[k]);
	CHECK(sd_parse_real("-1.5e3", &r) && r == -1500 && sd_parse_real(".5", &r) && r == 0.5, "reals");
	CHECK(sd_parse_int("-12", &i) && i == -12 && !sd_parse_int("1.0", &i) && !sd_parse_int("", &i) &&
	      !sd_parse_int("9223372036854775808", &i), "ints");
	CHECK(sd_parse_u64("18446744073709551615", &u) && u == UINT64_MAX && !sd_parse_u64("-1", &u) &&
	      !sd_parse_u64("18446744073709551616", &u), "uint64");
	setlocale(LC_ALL, "C");
}

static void test_json(void)
{
	/* RFC 8785, section 3.2.3 */
	static const char mixed[] =
		"{\"\\u20ac\": \"Euro Sign\", \"\\r\": \"Carriage Return\", \"\\ufb33\": \"Hebrew\","
		" \"1\": \"One\","
		" \"\\ud83d\\ude00\": \"Emoji\", \"\\u0080\": \"Control\", \"\\u00f6\": \"Latin\"}";
	static const char sorted[] = "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\302\200\":\"Control\","
				     "\"\303\266\":\"Latin\",\"\342\202\254\":\"Euro Sign\","
				     "\"\360\237\230\200\":\"Emoji\",\"\357\254\263\":\"Hebrew\"}";
	static const char escapes[] = "[\"\\b\\t\\n\\f\\r\\\"\\\\/\\u001f\",true,-9007199254740991,{}]";
	static const char *const no[] = {
		"{\"a\":1.5}", "{\"a\":null}", "[9007199254740992]", "[1e3]", "{\"a\":1,\"a\":2}",
		"{\"b\":1,\"a\":2}",
		"[1, 2]", "[1] ", "[\"\\u0041\"]", "[\"\\/\"]", "[\"\\u001F\"]", "[01]", "[-0]", "[", "",
		"[\"\377\"]",
		"[\"\\u0000\"]", "{\"a\":\"\\ud800\"}",
	};
	json_t *v = sd_json_parse(mixed, strlen(mixed), "test");
	char *text, deep[200];
	size_t n;

	CHECK(v, "%s", sd_error_text());
	text = sd_json_canonical(v, &n);
	CHECK(text && n == strlen(text) && strcmp(text, sorted) == 0, "%s", text ? text : sd_error_text());
	free(text);
	json_decref(v);
	v = sd_json_parse_canonical(sorted, strlen(sorted), "test");
	CHECK(v, "%s", sd_error_text());
	json_decref(v);
	v = sd_json_parse_canonical(escapes, strlen(escapes), "test");
	CHECK(v, "%s", sd_error_text());
	json_decref(v);
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		v = sd_json_parse_canonical(no[i], strlen(no[i]), "test");
		CHECK(!v && sd_error_kind() == SD_ERR_DATA, "taken: %s", no[i]);
		json_decref(v);
	}
	memset(deep, '[', 100);
	memset(deep + 100, ']', 100);
	v = sd_json_parse_canonical(deep, 200, "test");
	CHECK(!v, "nested too deep");
	v = sd_json_bytes("a\377\303\266\300\200z");
	CHECK(strcmp(json_string_value(v), "a\357\277\275\303\266\357\277\275\357\277\275z") == 0, "%s",
	      json_string_value(v));
	json_decref(v);
}

static void test_sha256(void)
{
	uint8_t d[SD_SHA256_LEN], e[SD_SHA256_LEN];
	char hex[SD_SHA256_HEX + 1];
	struct sd_sha256 h;

	sd_sha256("abc", 3, d);
	sd_sha256_hex(d, hex);
	CHECK(strcmp(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") == 0, "%s",
	      hex);
	CHECK(sd_sha256_unhex(hex, e) && memcmp(d, e, sizeof(d)) == 0, "unhex");
	hex[5] = 'G';
	CHECK(!sd_sha256_unhex(hex, e) && !sd_sha256_unhex("ab", e), "no hex");
	sd_sha256_init(&h);
	for (int round = 0; round < 2; round++) {
		sd_sha256_update(&h, "a", 1);
		sd_sha256_update(&h, "bc", 2);
		sd_sha256_final(&h, e);
		CHECK(memcmp(d, e, sizeof(d)) == 0, "in pieces, round %d", round);
		sd_sha256_reset(&h);
	}
	sd_sha256_release(&h);
}

/* ---- options ---- */

static struct {
	int epochs, batch, weighting, hidden;
	double lr;
	bool cutout, simple;
	uint64_t seed;
	const char *arch, *data;
	struct sd_opt_list also;
} o;
static struct sd_shared shared;
static struct sd_opt rows[] = {
	SD_OPT_TEXT("data", NULL, SD_INPUT_NAME, &o.data, ".", "FILE", "data set"),
	SD_OPT_LIST("also", NULL, SD_INPUT_NAME, &o.also, "FILE", "more data sets"),
	SD_OPT_INT("epochs", "-e", SD_NUMERIC, &o.epochs, "50", "N", "epochs to run", SD_AT_LEAST(1)),
	SD_OPT_INT("batch_size", "-b --b", SD_NUMERIC, &o.batch, "64", "N", "samples in a batch",
		   SD_BETWEEN(1, 4096)),
	SD_OPT_INT("hidden", NULL, SD_NUMERIC, &o.hidden, NULL, "N", "no default"),
	SD_OPT_REAL("learning_rate", "--lr", SD_NUMERIC, &o.lr, "0.025", "R", "initial rate", SD_AT_LEAST(0)),
	SD_OPT_FLAG("cutout", NULL, SD_NUMERIC, &o.cutout, "cut a square out of each image"),
	SD_OPT_FLAG_OFF("simple_path", NULL, SD_NUMERIC, &o.simple, "turns the simple path off"),
	SD_OPT_CHOICE("weighting_algorithm", NULL, SD_NUMERIC, &o.weighting, "scalar", "scalar|max_w|other",
		      "weighting"),
	SD_OPT_TEXT("arch", "-a", SD_NUMERIC, &o.arch, "DARTS", "NAME", "architecture"),
	SD_OPT_SEED("seed", NULL, &o.seed, "2", "seed"),
	SD_OPTS_COMMON(shared),
	SD_OPTS_THREADS(shared),
	SD_OPTS_OUTPUT(shared),
	SD_OPT_END
};
static struct sd_opts opts = {
	.tool = "sd-test", .summary = "tests", .operands = "[FILE...]", .max_operands = -1, .rows = rows,
};

/* Parses words separated by blanks. */
static int parse(const char *args)
{
	static char buf[512], *argv[64];
	int argc = 0;

	snprintf(buf, sizeof(buf), "sd-test %s", args);
	for (char *w = strtok(buf, " "); w; w = strtok(NULL, " "))
		argv[argc++] = w;
	argv[argc] = NULL;
	sd_opts_release(&opts);
	memset(&o, 0, sizeof(o));
	memset(&shared, 0, sizeof(shared));
	return sd_opts_parse(&opts, argc, argv);
}

static void test_options(void)
{
	static const struct {
		const char *args, *said;
	} wrong[] = {
		{ "--epochs x", "--epochs: expected an integer from 1, got 'x'" },
		{ "--epochs=0", "--epochs: expected an integer from 1, got '0'" },
		{ "-e", "--epochs: expected an integer from 1, got nothing" },
		{ "--batch_size 5000", "--batch_size: expected an integer from 1 to 4096, got '5000'" },
		{ "--batch-size", "--batch_size: expected an integer from 1 to 4096, got nothing" },
		{ "--hidden 3000000000", "--hidden: expected an integer, got '3000000000'" },
		{ "--lr 1,5", "--learning_rate: expected a number from 0, got '1,5'" },
		{ "--lr nan", "--learning_rate: expected a number from 0, got 'nan'" },
		{ "--weighting_algorithm min",
		  "--weighting_algorithm: expected scalar, max_w or other, got 'min'" },
		{ "--seed -1", "--seed: expected an integer from 0" },
		{ "--cutout=maybe", "--cutout: expected true or false, got 'maybe'" },
		{ "--epoch 3", "unknown option '--epoch' (--epochs?)" },
		{ "--batch 3", "unknown option '--batch' (--batch_size?)" },
		{ "--nonsense=3", "unknown option '--nonsense'" },
		{ "-z", "unknown option '-z'" },
		{ "--e 3", "unknown option '--e'" },
		{ "--note novalue", "--note: expected KEY=VALUE, got 'novalue'" },
		{ "--help=x", "--help takes no value" },
	};
	json_t *p;
	char *text, seed[24];

	CHECK(parse("") == 0 && o.epochs == 50 && o.batch == 64 && o.lr == 0.025 && !o.cutout && o.simple &&
	      o.weighting == 0 && o.seed == 2 && strcmp(o.arch, "DARTS") == 0 && opts.noperand == 0, "%s",
	      sd_error_text());
	CHECK(parse("--epochs 3 a --batch-size=8 --lr 1e-3 - --cutout --simple-path"
		    " --weighting_algorithm=max_w --seed 18446744073709551615 -a X --note a=b"
		    " --note c=d=e -qv --also x --also y"
		    " -- --epochs -e") == 0, "%s", sd_error_text());
	CHECK(o.epochs == 3 && o.batch == 8 && o.lr == 1e-3 && o.cutout && !o.simple && o.weighting == 1 &&
	      o.seed == UINT64_MAX && strcmp(o.arch, "X") == 0, "values");
	CHECK(shared.quiet && shared.verbose && shared.notes.n == 2 &&
	      strcmp(shared.notes.v[1], "c=d=e") == 0, "shared");
	CHECK(o.also.n == 2 && strcmp(o.also.v[1], "y") == 0, "list");
	CHECK(opts.noperand == 4 && strcmp(opts.operand[0], "a") == 0 && strcmp(opts.operand[1], "-") == 0 &&
	      strcmp(opts.operand[2], "--epochs") == 0 && strcmp(opts.operand[3], "-e") == 0, "operands");
	CHECK(sd_opts_given(&opts, "learning-rate") && sd_opts_given(&opts, "b") &&
	      !sd_opts_given(&opts, "threads"),
	      "given");
	CHECK(strcmp(opts.argv[4], "--batch-size=8") == 0, "argv as it was: %s", opts.argv[4]);
	p = sd_opts_parameters(&opts);
	text = sd_json_canonical(p, NULL);
	CHECK(text && strcmp(text, "{\"arch\":\"X\",\"batch_size\":8,\"cutout\":true,\"epochs\":3,"
				   "\"learning_rate\":\"0.001\",\"simple_path\":false,"
				   "\"weighting_algorithm\":\"max_w\"}") == 0, "%s", text);
	free(text);
	json_decref(p);
	CHECK(sd_opts_seed(&opts, seed) && strcmp(seed, "18446744073709551615") == 0, "%s", seed);
	/* underscore and hyphen, the dashes of aliases, the last one wins, values that look like options */
	CHECK(parse("--batch_size 1 -b2 --b 3 --b=4 --arch --epochs --arch=--x_y --output=a_b=c") == 0 &&
	      o.batch == 4 && strcmp(o.arch, "--x_y") == 0 && o.epochs == 50 &&
	      strcmp(shared.output, "a_b=c") == 0, "%s",
	      sd_error_text());
	CHECK(parse("--cutout=false --epochs 7") == 0 && !o.cutout &&
	      sd_opts_default(&opts, "epochs", "600") == 0 &&
	      sd_opts_default(&opts, "batch_size", "256") == 0 && o.epochs == 7 && o.batch == 256, "%s",
	      sd_error_text());
	CHECK(sd_opts_default(&opts, "lr", "x") < 0 && sd_opts_default(&opts, "nothing", "1") < 0,
	      "bad defaults");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		CHECK(parse(wrong[i].args) == -1 && sd_error_kind() == SD_ERR_USAGE, "%s", wrong[i].args);
		CHECK(strncmp(sd_error_text(), wrong[i].said, strlen(wrong[i].said)) == 0, "%s: %s",
		      wrong[i].args, sd_error_text());
		/* an error within a cluster must not reach the next command line */
		CHECK(parse("-q --epochs 2") == 0 && o.epochs == 2, "after '%s'", wrong[i].args);
	}
	opts.max_operands = 1;
	CHECK(parse("a b") == -1 && strstr(sd_error_text(), "unexpected argument 'b'"), "%s",
	      sd_error_text());
	opts.min_operands = 1;
	CHECK(parse("") == -1 && strstr(sd_error_text(), "expected [FILE...], got nothing"), "%s",
	      sd_error_text());
	opts.min_operands = 0;
	opts.max_operands = -1;
}

static void test_option_texts(void)
{
	char *text;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	sd_opts_help(&opts, f);
	fclose(f);
	CHECK(strstr(text, "usage: sd-test [options] [FILE...]\n"), "%s", text);
	CHECK(strstr(text, "-b, --b, --batch_size N"), "%s", text);
	CHECK(strstr(text, "(default: 0.025)"), "%s", text);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		CHECK(strlen(line) <= 80, "%s", line);
	free(text);
	f = open_memstream(&text, &n);
	sd_opts_synopsis(&opts, f);
	fclose(f);
	CHECK(strstr(text, "--batch_size\t-b --b\tN\t64\tnumeric\tint\n"), "%s", text);
	free(text);
	f = open_memstream(&text, &n);
	sd_opts_completion(&opts, f);
	fclose(f);
	CHECK(strstr(text, "complete -o filenames -F _sd_test sd-test\n"), "%s", text);
	free(text);
}

/* ---- files ---- */

static bool is_empty_folder(void)
{
	return rmdir(dir) == 0 && mkdir(dir, 0700) == 0;
}

static void test_files(void)
{
	char path[64], no[64];
	struct sd_out *out;
	struct sd_blob b;
	struct stat st;
	mode_t mask = umask(027);

	snprintf(path, sizeof(path), "%s/x", dir);
	snprintf(no, sizeof(no), "%s/no/x", dir);
	out = sd_out_open(path, 0);
	CHECK(out, "%s", sd_error_text());
	fputs("hello", sd_out_stream(out));
	CHECK(access(path, F_OK) != 0, "there before its time");
	sd_out_abandon(out);
	CHECK(is_empty_folder(), "something is left behind");
	out = sd_out_open(path, 0);
	fputs("hello", sd_out_stream(out));
	CHECK(sd_out_commit(out) == 0, "%s", sd_error_text());
	CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640 && st.st_size == 5, "mode %o", st.st_mode);
	CHECK(!sd_out_open(path, 0) && sd_error_kind() == SD_ERR_USAGE, "%s", sd_error_text());
	CHECK(!sd_out_open(no, 0) && sd_error_kind() == SD_ERR_NOINPUT, "%s", sd_error_text());
	CHECK(!sd_out_open(dir, SD_OUT_FORCE) && strstr(sd_error_text(), "Is a directory"), "%s",
	      sd_error_text());
	out = sd_out_open(path, SD_OUT_FORCE);
	CHECK(sd_write_all(sd_out_fd(out), "other", 5, path) == 0 && sd_out_commit(out) == 0, "%s",
	      sd_error_text());
	CHECK(sd_blob_read(&b, path, 0) == 0 && b.size == 5 && strcmp((char *)b.data, "other") == 0, "%s",
	      sd_error_text());
	sd_blob_release(&b);
	CHECK(sd_blob_read(&b, path, 4) < 0 && sd_error_kind() == SD_ERR_DATA, "%s", sd_error_text());
	CHECK(sd_blob_read(&b, no, 0) < 0 && sd_error_kind() == SD_ERR_NOINPUT, "%s", sd_error_text());
	CHECK(sd_file_open(dir) < 0 && sd_error_kind() == SD_ERR_NOINPUT, "%s", sd_error_text());
	unlink(path);
	CHECK(is_empty_folder(), "something is left behind");
	umask(mask);
	{
		const char *two[] = { "-", NULL, "a", "-" }, *one[] = { "-", "b" };

		CHECK(sd_check_one_stdin(two, 4) < 0 && sd_error_kind() == SD_ERR_USAGE, "two");
		CHECK(sd_check_one_stdin(one, 2) == 0, "one");
	}
}

static void test_stream(void)
{
	uint8_t digest[SD_SHA256_LEN], want[SD_SHA256_LEN];
	struct sd_str s = SD_STR_INIT;
	uint64_t size;
	int fd[2], in, keep = dup(STDIN_FILENO);
	pid_t pid;

	for (int i = 0; i < 300000; i++)
		sd_str_addf(&s, "%d\n", i);
	sd_sha256(s.s, s.len, want);
	if (pipe(fd) != 0)
		return;
	pid = fork();
	if (pid == 0) {
		close(fd[0]);
		_exit(sd_write_all(fd[1], s.s, s.len, "pipe") != 0);
	}
	close(fd[1]);
	dup2(fd[0], STDIN_FILENO);
	close(fd[0]);
	in = sd_file_open("-");
	CHECK(in >= 0 && sd_sha256_fd(in, 0, "-", digest, &size) == 0 && size == s.len &&
	      memcmp(digest, want, sizeof(want)) == 0, "%s", sd_error_text());
	close(in);
	waitpid(pid, NULL, 0);
	dup2(keep, STDIN_FILENO);
	close(keep);
	sd_str_release(&s);
}

static void test_lock(void)
{
	char path[64];
	struct sd_lock *lock, *second;
	int status = -1;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/run.h5", dir);
	lock = sd_lock_take(path);
	CHECK(lock, "%s", sd_error_text());
	second = sd_lock_take(path);
	CHECK(!second && strstr(sd_error_text(), "being written by another process"), "%s", sd_error_text());
	pid = fork();
	if (pid == 0)
		_exit(sd_lock_take(path) ? 1 : 0);
	waitpid(pid, &status, 0);
	CHECK(status == 0, "another process got the lock");
	sd_lock_release(lock);
	CHECK(is_empty_folder(), "something is left behind");
	lock = sd_lock_take(path);
	CHECK(lock, "%s", sd_error_text());
	sd_lock_release(lock);
	sd_lock_release(sd_lock_take("-"));
}

/* The numbers are those of a program of its own in Python; they are in what has been recorded. */
static void test_fingerprint(void)
{
	unsigned char m[1000];
	uint64_t h;
	for (int i = 0; i < 1000; i++)
		m[i] = (unsigned char)(i * 7 + (i >> 8));
	CHECK(sd_fingerprint("abcdefgh", 8) == 0x97a9e271f1baa767u);
	CHECK(sd_fingerprint(m, 0) == 0 && sd_fingerprint(m, 256) == 0x52344091137dadc7u &&
		sd_fingerprint(m, 1000) == 0x4c205f569c8a71ccu);
	h = sd_fingerprint(m, 996);
	for (int bit = 0; bit < 996 * 8; bit++) {
		m[bit / 8] ^= (unsigned char)(1 << bit % 8);
		CHECK(sd_fingerprint(m, 996) != h, "bit %d", bit);
		m[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
	/* where something stands counts, and how much there is */
	memset(m, 0, sizeof(m));
	m[4] = 1;
	h = sd_fingerprint(m, 512);
	m[4] = 0, m[8] = 1;
	CHECK(sd_fingerprint(m, 512) != h);
	m[8] = 0, m[260] = 1;
	CHECK(sd_fingerprint(m, 512) != h && sd_fingerprint(m, 512) != sd_fingerprint(m, 516));
}

/* A stream's first error is told at the end, whatever came between. */
static void test_full(void)
{
	struct rlimit old, small = { 0 };
	char path[64];
	struct sd_out *out;

	snprintf(path, sizeof(path), "%s/x", dir);
	out = sd_out_open(path, 0);
	getrlimit(RLIMIT_FSIZE, &old);
	small = (struct rlimit){ 1 << 16, old.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small);
	for (int i = 0; i < 1 << 15; i++)
		fputs("row\n", sd_out_stream(out));
	setrlimit(RLIMIT_FSIZE, &old);
	errno = ENOENT;
	CHECK(sd_out_commit(out) < 0 && sd_error_kind() == SD_ERR_IO, "kind %d", sd_error_kind());
	CHECK(strstr(sd_error_text(), "x': File too large"), "%s", sd_error_text());
	CHECK(is_empty_folder(), "something is left behind");
}

/* Another program's failure is not our input's. */
static void test_command(void)
{
	const char *const cat[] = { "cat", NULL }, *const none[] = { "sd-no-such-program", NULL };
	const char *const grumbles[] = { "sh", "-c", "echo >&2; echo ' no room' >&2; echo more >&2; exit 3", NULL };
	const char *const mute[] = { "sh", "-c", "exit 1", NULL }, *const dies[] = { "sh", "-c", "kill -KILL $$", NULL };
	struct sd_blob out = { 0 };

	CHECK(sd_command_run(cat, "coreutils", "a\0b", 3, &out) == 0 && out.size == 3 && !memcmp(out.data, "a\0b", 4));
	sd_blob_release(&out);
	CHECK(sd_command_run(none, "p", "", 0, &out) < 0 && sd_error_kind() == SD_ERR_DEVICE);
	CHECK(strstr(sd_error_text(), "Debian package p"));
	CHECK(sd_command_run(grumbles, "p", "", 0, &out) < 0 && sd_error_kind() == SD_ERR_IO);
	CHECK(strcmp(sd_error_text(), "'sh' failed: no room") == 0, "%s", sd_error_text());
	CHECK(sd_command_run(mute, "p", "", 0, &out) < 0 && sd_error_kind() == SD_ERR_IO);
	CHECK(strcmp(sd_error_text(), "'sh' failed: it doesn't say why") == 0, "%s", sd_error_text());
	CHECK(sd_command_run(dies, "p", "", 0, &out) < 0 && sd_error_kind() == SD_ERR_IO);
	CHECK(strcmp(sd_error_text(), "'sh' failed: Killed") == 0, "%s", sd_error_text());
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	test_philox();
	test_rng();
	test_numbers();
	test_json();
	test_sha256();
	test_fingerprint();
	test_options();
	test_option_texts();
	test_files();
	test_full();
	test_stream();
	test_lock();
	test_command();
	sd_opts_release(&opts);
	rmdir(dir);
	return check_done();
}
