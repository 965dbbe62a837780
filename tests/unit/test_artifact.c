/* test_artifact.c: artifacts: written, read, and changed in every way that can be thought of. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <hdf5.h>

#include "artifact/artifact.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/str.h"
#include "check.h"

/* libhdf5 leaks an object header that it finds damaged. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libhdf5";
}

static char dir[] = "/tmp/test_artifact.XXXXXX";

static const char *in_dir(const char *name)
{
	static char *path[32];
	static int n;

	for (int i = 0; i < n; i++)
		if (strcmp(path[i] + strlen(dir) + 1, name) == 0)
			return path[i];
	path[n] = sd_xmalloc(strlen(dir) + strlen(name) + 2);
	sprintf(path[n], "%s/%s", dir, name);
	return path[n++];
}

/* ---- the stamp of a made-up tool ---- */

static int epochs;
static uint64_t seed;
static double lr;
static struct sd_shared shared;
static struct sd_opt rows[] = {
	SD_OPT_INT("epochs", NULL, SD_NUMERIC, &epochs, "50", "N", "epochs", SD_AT_LEAST(1)),
	SD_OPT_REAL("learning_rate", "--lr", SD_NUMERIC, &lr, "0.025", "R", "rate"),
	SD_OPT_SEED("seed", NULL, &seed, "2", "seed"),
	SD_OPTS_COMMON(shared),
	SD_OPTS_THREADS(shared),
	SD_OPTS_OUTPUT(shared),
	SD_OPT_END
};
static struct sd_opts opts = { .tool = "sd-test", .summary = "tests", .rows = rows };

static struct sd_stamp *stamp(const char *kind, const char *args)
{
	static char buf[256], *argv[16];
	int argc = 0;

	snprintf(buf, sizeof(buf), "sd-test %s", args);
	for (char *w = strtok(buf, " "); w; w = strtok(NULL, " "))
		argv[argc++] = w;
	sd_opts_release(&opts);
	memset(&shared, 0, sizeof(shared));
	if (sd_opts_parse(&opts, argc, argv) != 0)
		printf("%s\n", sd_error_text());
	return sd_stamp_new(kind, &opts, &shared);
}

/* ---- artifacts to play with ---- */

#define NBIG (3u * (1u << 20) / 4 + 1000) /* floats: four blocks, the last one short */

static float *big(void)
{
	float *x = sd_xmalloc(NBIG * sizeof(*x));

	for (uint32_t i = 0; i < NBIG; i++)
		x[i] = (float)(i % 1000) * 0.5f;
	return x;
}

static int write_small(const char *name, struct sd_stamp *st, char id[SD_ID_LEN])
{
	static const uint8_t images[24] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	static const int32_t labels[6] = { 0, 1, 2, -1, 2, 1 };
	static const char *const classes[] = { "plane", "automobile", "" };
	const uint64_t shape[] = { 6, 2, 2 };
	struct sd_artifact_out *art = sd_artifact_create(name, true);

	if (!art)
		return -1;
	if (sd_artifact_put(art, "/train/images", SD_TYPE_U8, 3, shape, images, SD_DEFLATE) < 0 ||
	    sd_artifact_put(art, "/train/labels", SD_TYPE_I32, 1, shape, labels, 0) < 0 ||
	    sd_artifact_put_strings(art, "/classes", 3, classes) < 0 ||
	    sd_artifact_put_text(art, "/name", "tiny", 4) < 0 ||
	    sd_artifact_put_f64(art, "/mean", 0.25) < 0 ||
	    sd_artifact_put_i64(art, "/count", -7) < 0) {
		sd_artifact_abandon(art);
		return -1;
	}
	return sd_artifact_finish(art, st, id);
}

static int write_big(const char *name, struct sd_stamp *st, unsigned flags)
{
	const uint64_t shape[] = { NBIG / 8, 8 };
	struct sd_artifact_out *art = sd_artifact_create(name, true);
	float *x = big();
	int rc = 0;

	for (uint64_t r = 0; art && rc == 0 && r < shape[0]; r += 1000) {
		if (r == 0)
			rc = sd_artifact_begin(art, "/w/x.weight", SD_TYPE_F32, 2, shape, flags);
		if (rc == 0)
			rc = sd_artifact_append(art, x + 8 * r, shape[0] - r < 1000 ? shape[0] - r : 1000);
	}
	if (rc == 0)
		rc = sd_artifact_put_f64(art, "/y", 1);
	free(x);
	if (rc < 0) {
		sd_artifact_abandon(art);
		return -1;
	}
	return sd_artifact_finish(art, st, NULL);
}

static struct sd_blob slurp(const char *name)
{
	struct sd_blob b;

	if (sd_blob_read(&b, name, 0) < 0)
		printf("%s\n", sd_error_text());
	return b;
}

static void spew(const char *name, const void *data, size_t n)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0666);

	if (fd < 0 || sd_write_all(fd, data, n, name) < 0)
		printf("%s: not written\n", name);
	close(fd);
}

static void patch(const char *name, uint64_t at, uint8_t flip)
{
	int fd = open(name, O_RDWR);
	uint8_t byte = 0;

	if (fd < 0 || pread(fd, &byte, 1, (off_t)at) != 1)
		printf("%s: not patched\n", name);
	byte ^= flip;
	if (pwrite(fd, &byte, 1, (off_t)at) != 1)
		printf("%s: not patched\n", name);
	close(fd);
}

/* A forger's work: a user block that fits what follows. */
static void reseal(unsigned char *file, size_t n)
{
	char line[512], hex[SD_ID_LEN];
	uint8_t digest[SD_SHA256_LEN];
	char *at;
	int len;

	memcpy(line, file, sizeof(line));
	line[sizeof(line) - 1] = '\0';
	sd_sha256(file + 512, n - 512, digest);
	sd_sha256_hex(digest, hex);
	at = strstr(line, " length=");
	len = (int)(at - line);
	len += snprintf(at, sizeof(line) - (size_t)len, " length=%zu sha256=%s", n, hex);
	sd_sha256(line, (size_t)len, digest);
	sd_sha256_hex(digest, hex);
	len += snprintf(line + len, sizeof(line) - (size_t)len, " check=%s", hex);
	memset(line + len, ' ', sizeof(line) - (size_t)len);
	line[511] = '\n';
	memcpy(file, line, sizeof(line));
}

static size_t find(const struct sd_blob *b, const void *needle, size_t n)
{
	unsigned char *p = memmem(b->data, b->size, needle, n);

	return p ? (size_t)(p - b->data) : 0;
}

/* sd_artifact_check's report for some bytes as a file; "" when it finds nothing. */
static char *report_of(const void *data, size_t n, int *rc)
{
	const char *name = in_dir("forged.h5");
	char *report = NULL;

	spew(name, data, n);
	*rc = sd_artifact_check(name, NULL, &report);
	return report ? report : sd_xstrdup("");
}

/* ---- tests ---- */

static void test_round_trip(void)
{
	struct sd_stamp *st = stamp("dataset", "--epochs 3 --note why=test");
	char id[SD_ID_LEN], *text;
	struct sd_artifact *art;
	const struct sd_manifest *m;
	const struct sd_dset *d;
	int32_t labels[6], row[2];
	uint8_t *images;
	double mean;

	CHECK(write_small(in_dir("a.h5"), st, id) == 0, "%s", sd_error_text());
	art = sd_artifact_open(in_dir("a.h5"), 0);
	CHECK(art, "%s", sd_error_text());
	if (!art)
		exit(check_done());
	m = sd_artifact_lineage(art)->own;
	CHECK(strcmp(m->id, id) == 0, "%s", m->id);
	CHECK(strcmp(m->kind, "dataset") == 0 && strcmp(m->seed, "2") == 0, "%s", m->text);
	CHECK(json_integer_value(json_object_get(json_object_get(m->claim, "parameters"), "epochs")) == 3,
	      "%s", m->text);
	CHECK(strcmp(sd_json_text(json_object_get(m->claim, "parameters"), "learning_rate"), "0.025") == 0,
	      "%s", m->text);
	CHECK(strcmp(sd_json_text(json_object_get(m->context, "notes"), "why"), "test") == 0, "%s", m->text);
	CHECK(sd_artifact_ndset(art) == 6, "%d", sd_artifact_ndset(art));
	CHECK(sd_artifact_read(art, "/train/labels", SD_TYPE_I32, labels, 6) == 0 && labels[3] == -1, "%s",
	      sd_error_text());
	CHECK(sd_artifact_read_rows(art, "/train/labels", SD_TYPE_I32, 2, 2, 1, row) == 0 && row[0] == 2 &&
	      row[1] == -1, "%s", sd_error_text());
	CHECK(sd_artifact_read_rows(art, "/train/labels", SD_TYPE_I32, 5, 2, 1, row) < 0, "past the end");
	CHECK(sd_artifact_read(art, "/train/labels", SD_TYPE_I32, labels, 5) < 0, "wrong count");
	CHECK(sd_artifact_read(art, "/train/labels", SD_TYPE_U8, labels, 6) < 0, "wrong type");
	CHECK(sd_artifact_read(art, "/train/nothing", SD_TYPE_U8, labels, 6) < 0, "no such dataset");
	images = sd_artifact_load(art, "/train/images", SD_TYPE_U8, &d);
	CHECK(images && d->rank == 3 && d->shape[0] == 6 && d->shape[2] == 2 && images[8] == 9, "%s",
	      sd_error_text());
	free(images);
	CHECK(sd_artifact_read(art, "/mean", SD_TYPE_F64, &mean, 1) == 0 && mean == 0.25, "%s",
	      sd_error_text());
	text = sd_artifact_string(art, "/classes", 1);
	CHECK(text && strcmp(text, "automobile") == 0, "%s", sd_error_text());
	free(text);
	text = sd_artifact_string(art, "/classes", 2);
	CHECK(text && strcmp(text, "") == 0, "%s", sd_error_text());
	free(text);
	text = sd_artifact_string(art, "/name", 0);
	CHECK(text && strcmp(text, "tiny") == 0, "%s", sd_error_text());
	free(text);
	CHECK(sd_artifact_expect(art, "dataset") == 0 && sd_artifact_expect(art, "model") < 0, "expect");
	CHECK(sd_artifact_create(in_dir("a.h5"), false) == NULL && sd_error_kind() == SD_ERR_USAGE, "%s",
	      sd_error_text());
	sd_artifact_close(art);
	sd_stamp_free(st);
}

static void test_errors_of_writing(void)
{
	const uint64_t shape[] = { 2 }, empty[] = { 0, 4 };
	static const char *const names[] = { "x", "/", "/a//b", "/a/", "/./a", "/a/..", "/a b", "/manifest",
					     "/blocks/x", "/signatures", "/\303\244", "" };
	struct sd_artifact_out *art = sd_artifact_create(in_dir("e.h5"), true);
	int32_t v[2] = { 1, 2 };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		CHECK(sd_artifact_put(art, names[i], SD_TYPE_I32, 1, shape, v, 0) < 0, "%s", names[i]);
	CHECK(sd_artifact_put(art, "/manifests", SD_TYPE_I32, 1, shape, v, 0) == 0, "%s", sd_error_text());
	CHECK(sd_artifact_put(art, "/empty", SD_TYPE_I32, 2, empty, v, SD_DEFLATE) == 0, "%s",
	      sd_error_text());
	CHECK(sd_artifact_put(art, "/manifests", SD_TYPE_I32, 1, shape, v, 0) < 0, "twice the same");
	CHECK(sd_artifact_begin(art, "/rows", SD_TYPE_I32, 1, shape, 0) == 0, "%s", sd_error_text());
	CHECK(sd_artifact_put(art, "/other", SD_TYPE_I32, 1, shape, v, 0) < 0, "between rows");
	CHECK(sd_artifact_append(art, v, 1) == 0 && sd_artifact_append(art, v, 2) < 0, "too many rows");
	CHECK(sd_artifact_finish(art, NULL, NULL) < 0, "rows are missing");
	CHECK(access(in_dir("e.h5"), F_OK) != 0, "left behind");
	CHECK(!sd_artifact_create(in_dir("no/where.h5"), true), "no such folder");
	CHECK(!sd_artifact_open(in_dir("nothing.h5"), 0) && sd_error_kind() == SD_ERR_NOINPUT, "%s",
	      sd_error_text());
}

static void test_equal_files(void)
{
	struct sd_blob a, b;
	struct sd_stamp *st;

	st = stamp("model", "--context none --threads 3");
	CHECK(write_big(in_dir("c1.h5"), st, SD_DEFLATE) == 0, "%s", sd_error_text());
	sd_stamp_free(st);
	st = stamp("model", "--note a=b --context=none");
	CHECK(write_big(in_dir("c2.h5"), st, SD_DEFLATE) == 0, "%s", sd_error_text());
	sd_stamp_free(st);
	a = slurp(in_dir("c1.h5"));
	b = slurp(in_dir("c2.h5"));
	CHECK(a.size == b.size && memcmp(a.data, b.data, a.size) == 0, "equal runs, unequal files");
	sd_blob_release(&a);
	sd_blob_release(&b);
}

/* The digest depends on the data, not on how HDF5 keeps them. */
static void test_layout(void)
{
	struct sd_stamp *st = stamp("model", "--context none");
	struct sd_artifact *a, *b;
	float *x = big(), *y;

	CHECK(write_big(in_dir("l1.h5"), st, 0) == 0 && write_big(in_dir("l2.h5"), st, SD_DEFLATE) == 0, "%s",
	      sd_error_text());
	a = sd_artifact_open(in_dir("l1.h5"), 0);
	b = sd_artifact_open(in_dir("l2.h5"), SD_ARTIFACT_NODATA);
	CHECK(a && b, "%s", sd_error_text());
	CHECK(strcmp(sd_artifact_lineage(a)->own->id, sd_artifact_lineage(b)->own->id) == 0, "unequal ids");
	y = sd_artifact_load(b, "/w/x.weight", SD_TYPE_F32, NULL);
	CHECK(y && memcmp(x, y, NBIG * sizeof(*x)) == 0, "%s", sd_error_text());
	free(y);
	free(x);
	sd_artifact_close(a);
	sd_artifact_close(b);
	sd_stamp_free(st);
}

static void test_every_bit(void)
{
	struct sd_stamp *st = stamp("dataset", "");
	struct sd_artifact *art;
	struct sd_blob b;
	const char *name = in_dir("bits.h5"), *said;
	int missed = 0;

	CHECK(write_small(name, st, NULL) == 0, "%s", sd_error_text());
	b = slurp(name);
	/* every byte, going through its bits; every bit of the user block */
	for (size_t i = 0; i < b.size; i++) {
		for (int bit = 0; bit < 8; bit++) {
			if (i >= 512 && bit != (int)(i % 8))
				continue;
			patch(name, i, (uint8_t)(1 << bit));
			art = sd_artifact_open(name, 0);
			/* libhdf5 must not have seen it: all is said by the outer checks */
			said = sd_error_text();
			if (art || (!strstr(said, "user block") && !strstr(said, "SHA-256") &&
				    !strstr(said, "not an artifact")))
				missed++;
			sd_artifact_close(art);
			patch(name, i, (uint8_t)(1 << bit));
		}
	}
	CHECK(missed == 0, "%d flipped bits were not caught", missed);
	for (size_t n = 0; n < b.size; n += n < 600 ? 1 : 97) {
		spew(in_dir("short.h5"), b.data, n);
		art = sd_artifact_open(in_dir("short.h5"), 0);
		CHECK(!art && sd_error_kind() == SD_ERR_DATA, "%zu bytes: %s", n, sd_error_text());
		sd_artifact_close(art);
	}
	art = sd_artifact_open(name, 0);
	CHECK(art, "put back as it was: %s", sd_error_text());
	sd_artifact_close(art);
	sd_blob_release(&b);
	sd_stamp_free(st);
}

/* One row for each thing to change behind a recomputed outer hash, and what must be said of it. */
struct tamper {
	const char *what;
	const char *at;   /* bytes to look for */
	size_t n;
	int off;
	uint8_t flip;
	const char *said;
};

static void check_tamper(const struct sd_blob *b, const struct tamper *t)
{
	unsigned char *copy = sd_xmalloc(b->size);
	size_t at = find(b, t->at, t->n);
	struct sd_artifact *art;
	char *report;
	int rc;

	memcpy(copy, b->data, b->size);
	CHECK(at, "%s: not found", t->what);
	copy[at + (size_t)t->off] ^= t->flip;
	reseal(copy, b->size);
	report = report_of(copy, b->size, &rc);
	CHECK(rc == 1 && strstr(report, t->said), "%s: rc %d, '%s'", t->what, rc, report);
	art = sd_artifact_open(in_dir("forged.h5"), 0);
	CHECK(!art && sd_error_kind() == SD_ERR_DATA, "%s: %s", t->what, sd_error_text());
	sd_artifact_close(art);
	free(report);
	free(copy);
}

static void test_forged_small(void)
{
	static const struct tamper table[] = {
		{ "number", "\0\0\0\0\1\0\0\0\2\0\0\0\377\377\377\377", 16, 4, 1,
		  "/train/labels: block 0 (bytes 0 to 23)" },
		{ "bytes", "\1\2\3\4\5\6\7\10\11", 9, 3, 0x80, "/train/images: block 0 (bytes 0 to 23)" },
		{ "string", "plane\0\0\0\0\0automobile", 20, 12, 4, "/classes: block 0" },
		{ "name of a dataset", "labels", 6, 0, 1, "" },
		{ "parameter", "\"epochs\":", 9, 10, 1, "manifest: the claim" },
		{ "kind of the claim", "\"kind\":\"dataset\"", 16, 9, 1, "manifest: claim.kind" },
		{ "note", "\"why\":\"note\"", 12, 7, 1, "manifest: the context" },
		{ "brace", "{\"claim\"", 8, 0, 2, "not JSON" },
		{ "blank in the manifest", "{\"claim\"", 8, 0, 1, "/manifest" },
		{ "list of digests", "  /train/labels\n", 16, -5, 1, "/digests" },
	};
	struct sd_stamp *st = stamp("dataset", "--epochs 12 --note why=note");
	struct sd_blob b;

	CHECK(write_small(in_dir("small.h5"), st, NULL) == 0, "%s", sd_error_text());
	b = slurp(in_dir("small.h5"));
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		check_tamper(&b, &table[i]);
	sd_blob_release(&b);
	sd_stamp_free(st);
}

/* Any bit behind a recomputed outer hash: libhdf5 sees it, so that only bytes are taken where it does not
 * crash (its own failures are why there is an outer hash); what is asked is that nothing passes for good. */
static void test_forged_values(void)
{
	const char *name = in_dir("big.h5");
	struct sd_stamp *st = stamp("model", "--context none");
	float *x = big();
	struct sd_blob b;
	size_t at;

	CHECK(write_big(name, st, 0) == 0, "%s", sd_error_text());
	b = slurp(name);
	at = find(&b, x, 4096);
	CHECK(at, "the values are not where they were expected");
	for (int k = 0; k < 4; k++) {
		size_t off = (size_t)k * SD_BLOCK + 4321 * (size_t)(k < 3);
		char want[64], *report;
		int rc;

		b.data[at + off] ^= 0x10;
		reseal(b.data, b.size);
		snprintf(want, sizeof(want), "/w/x.weight: block %d (bytes %zu to ", k, k * SD_BLOCK);
		report = report_of(b.data, b.size, &rc);
		CHECK(rc == 1 && strstr(report, want), "rc %d, '%s' where '%s' was expected", rc, report,
		      want);
		CHECK(strchr(report, '\n') == report + strlen(report) - 1, "one line: '%s'", report);
		free(report);
		b.data[at + off] ^= 0x10;
	}
	sd_blob_release(&b);
	free(x);
	/* deflated: the damaged part does not even unpack */
	CHECK(write_big(name, st, SD_DEFLATE) == 0, "%s", sd_error_text());
	b = slurp(name);
	at = find(&b, "\x78\x5e", 2);
	if (at) {
		char *report;
		int rc;

		memset(b.data + at + 64, 0x55, 64);
		reseal(b.data, b.size);
		report = report_of(b.data, b.size, &rc);
		CHECK(rc == 1 && strstr(report, "/w/x.weight: block"), "rc %d, '%s'", rc, report);
		free(report);
	}
	sd_blob_release(&b);
	sd_stamp_free(st);
}

/* A dataset of another artifact put in place of one's own, with libhdf5's help and a new outer hash. */
static void test_spliced(void)
{
	struct sd_stamp *st = stamp("dataset", "");
	const char *name = in_dir("splice.h5");
	const int32_t other[6] = { 5, 5, 5, 5, 5, 5 };
	struct sd_blob b;
	hid_t file, d, fapl, attr, space;
	char *report;
	int rc;

	for (int round = 0; round < 6; round++) {
		static const char *const said[] = { "/train/labels: block 0", "/extra: not in the list",
						    "/name: missing",
						    "attributes that artifacts", "a link that artifacts",
						    "an object with several names" };

		CHECK(write_small(name, st, NULL) == 0, "%s", sd_error_text());
		fapl = H5Pcreate(H5P_FILE_ACCESS);
		H5Pset_libver_bounds(fapl, H5F_LIBVER_V18, H5F_LIBVER_V18);
		H5Pset_fclose_degree(fapl, H5F_CLOSE_STRONG);
		file = H5Fopen(name, H5F_ACC_RDWR, fapl);
		CHECK(file >= 0, "round %d", round);
		space = H5Screate(H5S_SCALAR);
		d = H5Dopen2(file, "/train/labels", H5P_DEFAULT);
		if (round == 0)
			H5Dwrite(d, H5T_STD_I32LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, other);
		if (round == 1)
			H5Dclose(H5Dcreate2(file, "/extra", H5T_STD_I32LE, space, H5P_DEFAULT, H5P_DEFAULT,
					    H5P_DEFAULT));
		if (round == 2)
			H5Ldelete(file, "/name", H5P_DEFAULT);
		if (round == 3) {
			attr = H5Acreate2(d, "x", H5T_STD_I32LE, space, H5P_DEFAULT, H5P_DEFAULT);
			H5Awrite(attr, H5T_STD_I32LE, other);
			H5Aclose(attr);
		}
		if (round == 4)
			H5Lcreate_soft("/name", file, "/soft", H5P_DEFAULT, H5P_DEFAULT);
		if (round == 5)
			H5Lcreate_hard(file, "/name", file, "/hard", H5P_DEFAULT, H5P_DEFAULT);
		H5Dclose(d);
		H5Sclose(space);
		H5Fclose(file);
		H5Pclose(fapl);
		b = slurp(name);
		reseal(b.data, b.size);
		report = report_of(b.data, b.size, &rc);
		if (round == 1) /* written nowhere: refused for that already */
			CHECK(rc == 1 && strstr(report, "/extra: "), "rc %d, '%s'", rc, report);
		else
			CHECK(rc == 1 && strstr(report, said[round]), "round %d: rc %d, '%s'", round, rc,
			      report);
		free(report);
		sd_blob_release(&b);
	}
	sd_stamp_free(st);
}

static void test_lineage(void)
{
	struct sd_stamp *st = stamp("dataset", "--context none"), *next, *last;
	struct sd_artifact *data, *model;
	struct sd_lineage *l, *back;
	char payload[SD_ID_LEN], recipe[SD_ID_LEN], *text;
	size_t len;
	FILE *f;
	bool found;

	memset(payload, 'a', SD_SHA256_HEX);
	payload[SD_SHA256_HEX] = '\0';
	CHECK(write_small(in_dir("d.h5"), st, NULL) == 0, "%s", sd_error_text());
	data = sd_artifact_open(in_dir("d.h5"), 0);
	next = stamp("model", "--seed 18446744073709551615");
	CHECK(sd_stamp_input(next, "data", sd_artifact_lineage(data), "d.h5") == 0, "%s", sd_error_text());
	CHECK(sd_stamp_input(next, "data", sd_artifact_lineage(data), "d.h5") < 0, "the role is taken");
	CHECK(sd_stamp_input_bytes(next, "arch", "x.genotype", "abc", 3) == 0, "%s", sd_error_text());
	sd_stamp_environment(next, "engine", "cpu");
	sd_stamp_progress(next, 2, false);
	CHECK(write_big(in_dir("m.h5"), next, 0) == 0, "%s", sd_error_text());
	CHECK(!sd_artifact_open(in_dir("m.h5"), 0) && strstr(sd_error_text(), "not complete"), "%s",
	      sd_error_text());
	model = sd_artifact_open(in_dir("m.h5"), SD_ARTIFACT_PARTIAL);
	CHECK(model && sd_artifact_lineage(model)->nancestor == 1, "%s", sd_error_text());
	CHECK(sd_stamp_same_run(next, sd_artifact_lineage(model)->own), "same run");
	CHECK(sd_stamp_check_target(next, in_dir("m.h5"), false) == 0, "%s", sd_error_text());
	CHECK(sd_stamp_check_target(next, in_dir("d.h5"), false) < 0 &&
	      strstr(sd_error_text(), "another run"), "%s", sd_error_text());
	CHECK(sd_stamp_check_target(next, in_dir("d.h5"), true) == 0, "forced");
	sd_stamp_progress(next, 50, true);
	CHECK(sd_stamp_same_run(next, sd_artifact_lineage(model)->own), "same run, further on");

	/* another seed, thread count and context: another id, the same recipe */
	l = sd_stamp_make(next, payload);
	memcpy(recipe, l->own->recipe, sizeof(recipe));
	sd_lineage_free(l);
	sd_stamp_free(next);
	next = stamp("model", "--seed 3 --context none --threads 2");
	CHECK(sd_stamp_input(next, "data", sd_artifact_lineage(data), "elsewhere.h5") == 0, "%s",
	      sd_error_text());
	CHECK(sd_stamp_input_bytes(next, "arch", "y.genotype", "abc", 3) == 0, "%s", sd_error_text());
	CHECK(!sd_stamp_same_run(next, sd_artifact_lineage(model)->own), "another seed");
	sd_stamp_progress(next, 50, true);
	l = sd_stamp_make(next, payload);
	CHECK(strcmp(l->own->recipe, recipe) == 0, "recipes differ");
	sd_lineage_free(l);
	sd_stamp_free(next);
	next = stamp("model", "--seed 3 --lr 0.5");
	sd_stamp_progress(next, 50, true);
	l = sd_stamp_make(next, payload);
	CHECK(strcmp(l->own->recipe, recipe) != 0, "recipes are equal with other parameters");
	sd_lineage_free(l);

	/* as text, two generations deep */
	last = stamp("genotype", "");
	CHECK(sd_stamp_input(last, "search", sd_artifact_lineage(model), "m.h5") == 0, "%s", sd_error_text());
	l = sd_stamp_make(last, payload);
	CHECK(l && l->nancestor == 2, "%s", sd_error_text());
	f = open_memstream(&text, &len);
	fputs("# a comment\n", f);
	CHECK(sd_lineage_write(l, f) == 0, "%s", sd_error_text());
	fputs("X = Genotype()\n", f);
	fclose(f);
	back = sd_lineage_read(text, len, "x.genotype", &found);
	CHECK(found && back && strcmp(back->own->id, l->own->id) == 0 && back->nancestor == 2, "%s",
	      sd_error_text());
	sd_lineage_free(back);
	for (size_t i = 12; i + 16 < len; i += 7) {
		text[i] ^= 1;
		back = sd_lineage_read(text, len, "x.genotype", &found);
		CHECK(!back, "byte %zu of the comments changed: %.20s", i, text + i);
		sd_lineage_free(back);
		text[i] ^= 1;
	}
	CHECK(!sd_lineage_read("X = 1\n", 6, "x", &found) && !found, "nothing there");
	sd_lineage_free(l);
	free(text);
	sd_stamp_free(last);
	sd_stamp_free(next);
	sd_stamp_free(st);
	sd_artifact_close(data);
	sd_artifact_close(model);
}

static void test_digest(void)
{
	/* RFC 6962's tree over 3 blocks by hand */
	uint8_t leaf[3][SD_SHA256_LEN], node[1 + 2 * SD_SHA256_LEN] = { 1 };
	uint8_t want[SD_SHA256_LEN], got[SD_SHA256_LEN];
	uint8_t *block = sd_xcalloc(1, SD_BLOCK);
	char hex[SD_ID_LEN];
	struct sd_tree t;

	sd_tree_init(&t);
	for (int i = 0; i < 3; i++) {
		block[0] = (uint8_t)i;
		sd_digest_leaf(block, i == 2 ? 5 : SD_BLOCK, leaf[i]);
		sd_tree_update(&t, block, i == 2 ? 5 : SD_BLOCK);
	}
	sd_tree_final(&t);
	CHECK(t.nleaf == 3 && memcmp(t.leaf, leaf, sizeof(leaf)) == 0, "leaves");
	memcpy(node + 1, leaf, 2 * SD_SHA256_LEN);
	sd_sha256(node, sizeof(node), want);
	memcpy(node + 1, want, SD_SHA256_LEN);
	memcpy(node + 1 + SD_SHA256_LEN, leaf[2], SD_SHA256_LEN);
	sd_sha256(node, sizeof(node), want);
	sd_digest_root(t.leaf, 3, got);
	CHECK(memcmp(got, want, sizeof(got)) == 0, "root");
	sd_tree_release(&t);
	sd_digest_root(NULL, 0, got);
	sd_sha256_hex(got, hex);
	CHECK(strncmp(hex, "e3b0c442", 8) == 0, "%s", hex);
	free(block);
}

/* Many blocks, in pieces of odd sizes, on one thread and on several: the leaves are those of the blocks one by one. */
static void test_digest_threads(void)
{
	enum { N = 70 * SD_BLOCK + 12345, PIECE = 777777 };
	static const int threads[] = { 1, 2, 5, 0 };
	uint8_t *data = sd_xmalloc(N), leaf[SD_SHA256_LEN];
	uint32_t x = 1;

	for (size_t i = 0; i < N; i++)
		data[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
	for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
		struct sd_tree t;

		sd_digest_threads(threads[i]);
		sd_tree_init(&t);
		for (size_t at = 0; at < N; at += PIECE)
			sd_tree_update(&t, data + at, N - at < PIECE ? N - at : PIECE);
		sd_tree_final(&t);
		CHECK(t.nleaf == 71, "%llu leaves", (unsigned long long)t.nleaf);
		for (size_t b = 0; b < t.nleaf; b++) {
			sd_digest_leaf(data + b * SD_BLOCK, b == 70 ? 12345 : SD_BLOCK, leaf);
			CHECK(memcmp(t.leaf + b * SD_SHA256_LEN, leaf, sizeof(leaf)) == 0,
			      "block %zu on %d threads", b, threads[i]);
		}
		sd_tree_release(&t);
		sd_tree_init(&t); /* left in the middle */
		sd_tree_update(&t, data, 9 * SD_BLOCK + 3);
		sd_tree_release(&t);
	}
	sd_digest_threads(0);
	free(data);
}

int main(void)
{
	char command[64];

	if (!mkdtemp(dir))
		return 1;
	test_digest();
	test_digest_threads();
	test_round_trip();
	test_errors_of_writing();
	test_equal_files();
	test_layout();
	test_every_bit();
	test_forged_small();
	test_forged_values();
	test_spliced();
	test_lineage();
	sd_opts_release(&opts);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command) != 0)
		printf("%s is left\n", dir);
	return check_done();
}
