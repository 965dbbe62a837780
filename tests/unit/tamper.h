/* tamper.h: what a forger needs: a small study to forge (a raw file, data set, search, genotype, two models, an
 * evaluation, two keys), files changed through libhdf5, and the hashes that have to be computed again. */
#ifndef SD_TESTS_TAMPER_H
#define SD_TESTS_TAMPER_H

#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hdf5.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "arch/arch.h"
#include "artifact/artifact.h"
#include "artifact/h5.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/str.h"
#include "check.h"
#include "provenance/sign.h"

#define FORGED "forged.h5"
#define NBIG (((1u << 20) + 4000) / 4) /* floats: two blocks, the second one short */

/* ---- the study ---- */

static int epochs;
static uint64_t seed;
static struct sd_shared shared;
static struct sd_opt rows[] = {
	SD_OPT_INT("epochs", NULL, SD_NUMERIC, &epochs, "50", "N", "epochs"),
	SD_OPT_SEED("seed", NULL, &seed, "2", "seed"),
	SD_OPTS_COMMON(shared),
	SD_OPTS_THREADS(shared),
	SD_OPTS_OUTPUT(shared),
	SD_OPT_END
};
static struct sd_opts opts = { .summary = "tests", .rows = rows };

static inline struct sd_stamp *stamp(const char *tool, const char *kind, const char *number)
{
	static char *argv[5];

	argv[0] = (char *)tool;
	argv[1] = (char *)"--seed";
	argv[2] = (char *)number;
	argv[3] = (char *)"--note=who=me";

	opts.tool = tool;
	sd_opts_release(&opts);
	memset(&shared, 0, sizeof(shared));
	CHECK(sd_opts_parse(&opts, 4, argv) == 0, "%s", sd_error_text());
	return sd_stamp_new(kind, &opts, &shared);
}

static inline void input(struct sd_stamp *st, const char *role, const char *name)
{
	struct sd_artifact *art = sd_artifact_open(name, 0);

	CHECK(art && sd_stamp_input(st, role, sd_artifact_lineage(art), name) == 0, "%s", sd_error_text());
	sd_artifact_close(art);
}

static inline struct sd_blob slurp(const char *name)
{
	struct sd_blob b = { NULL, 0 };

	CHECK(sd_blob_read(&b, name, 0) == 0, "%s", sd_error_text());
	return b;
}

static inline void spew(const char *name, const void *data, size_t n)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0666);

	CHECK(fd >= 0 && sd_write_all(fd, data, n, name) == 0, "%s", name);
	close(fd);
}

static inline void copy(const char *from, const char *to)
{
	struct sd_blob b = slurp(from);

	spew(to, b.data, b.size);
	sd_blob_release(&b);
}

static const int32_t labels[6] = { 0, 1, 2, -1, 2, 1 };

static inline void make_data(const char *name, const char *number, const char *raw)
{
	static const int32_t others[6] = { 1, 1, 0, 0, 2, 2 };
	static const char *const classes[] = { "plane", "automobile" };
	const uint64_t shape[] = { 6 };
	struct sd_stamp *st = stamp("sd-prep", "dataset", number);
	struct sd_artifact_out *art = sd_artifact_create(name, true);
	struct sd_blob b = slurp(raw);

	sd_stamp_input_bytes(st, "raw", raw, b.data, b.size);
	CHECK(sd_artifact_put(art, "/train/labels", SD_TYPE_I32, 1, shape, labels, 0) == 0 &&
	      sd_artifact_put(art, "/test/labels", SD_TYPE_I32, 1, shape, others, 0) == 0 &&
	      sd_artifact_put_i64(art, "/count", atoi(number)) == 0 &&
	      sd_artifact_put_strings(art, "/classes", 2, classes) == 0, "%s", sd_error_text());
	CHECK(sd_artifact_finish(art, st, NULL) == 0, "%s", sd_error_text());
	sd_blob_release(&b);
	sd_stamp_free(st);
}

static inline void make_search(const char *name)
{
	struct sd_stamp *st = stamp("sd-search", "search", "2");
	struct sd_artifact_out *art = sd_artifact_create(name, true);

	input(st, "data", "data.h5");
	CHECK(sd_artifact_put_f64(art, "/alpha", 0.5) == 0 && sd_artifact_finish(art, st, NULL) == 0, "%s",
	      sd_error_text());
	sd_stamp_free(st);
}

static inline void make_genotype(const char *name, const struct sd_genotype *g, const char *number)
{
	struct sd_stamp *st = stamp("sd-derive", "genotype", number);
	struct sd_lineage *l;
	char digest[SD_ID_LEN], *literal = sd_genotype_text(g);
	FILE *f = fopen(name, "w");

	input(st, "search", "search.h5");
	sd_genotype_digest(g, digest);
	l = sd_stamp_make(st, digest);
	CHECK(f && l && sd_lineage_write(l, f) == 0, "%s", sd_error_text());
	fprintf(f, "%s\n", literal);
	fclose(f);
	free(literal);
	sd_lineage_free(l);
	sd_stamp_free(st);
}

static inline void make_model(const char *name, const char *number)
{
	const uint64_t big[] = { NBIG }, packed[] = { 1 << 16 };
	struct sd_stamp *st = stamp("sd-train", "model", number);
	struct sd_artifact_out *art = sd_artifact_create(name, true);
	float *x = sd_xmalloc(NBIG * sizeof(*x));
	uint8_t *y = sd_xmalloc(1 << 16);

	for (unsigned i = 0; i < NBIG; i++)
		x[i] = (float)i + (float)atoi(number);
	for (int i = 0; i < 1 << 16; i++)
		y[i] = (uint8_t)((unsigned)i * (unsigned)i >> 7);
	input(st, "data", "data.h5");
	input(st, "search", "search.h5");
	sd_stamp_environment(st, "engine", "cpu");
	sd_stamp_progress(st, 3, true);
	CHECK(sd_artifact_put(art, "/weights/big", SD_TYPE_F32, 1, big, x, 0) == 0 &&
	      sd_artifact_put(art, "/weights/packed", SD_TYPE_U8, 1, packed, y, SD_DEFLATE) == 0 &&
	      sd_artifact_put_f64(art, "/loss", 0.125) == 0 && sd_artifact_finish(art, st, NULL) == 0, "%s",
	      sd_error_text());
	free(x);
	free(y);
	sd_stamp_free(st);
}

static inline void make_eval(const char *name, const char *model, double accuracy)
{
	struct sd_stamp *st = stamp("sd-eval", "eval", "2");
	struct sd_artifact_out *art = sd_artifact_create(name, true);

	input(st, "model", model);
	CHECK(sd_artifact_put_f64(art, "/accuracy", accuracy) == 0 && sd_artifact_finish(art, st, NULL) == 0,
	      "%s", sd_error_text());
	sd_stamp_free(st);
}

/* An Ed25519 key as NAME.key and NAME.pub. */
static inline void make_key(const char *name)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s.key", name);
	f = fopen(path, "w");
	CHECK(key && f && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1, "%s", path);
	fclose(f);
	snprintf(path, sizeof(path), "%s.pub", name);
	f = fopen(path, "w");
	CHECK(f && PEM_write_PUBKEY(f, key) == 1, "%s", path);
	fclose(f);
	EVP_PKEY_free(key);
}

/* ---- the tool ---- */

static char *tool; /* build/bin/sd-verify */

/* What it says on both outputs, to be freed; *status: its exit status, or 128 and more after a signal. */
static inline char *run(const char *args, int *status)
{
	char buf[512], *argv[16];
	posix_spawn_file_actions_t fa;
	struct sd_str out = SD_STR_INIT;
	int argc = 0, fd[2] = { -1, -1 };
	ssize_t n;
	pid_t pid;

	argv[argc++] = tool;
	snprintf(buf, sizeof(buf), "%s", args);
	for (char *w = strtok(buf, " "); w && argc < 15; w = strtok(NULL, " "))
		argv[argc++] = w;
	argv[argc] = NULL;
	*status = -1;
	if (pipe(fd) != 0)
		return sd_str_detach(&out);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, fd[1], STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&fa, fd[1], STDERR_FILENO);
	posix_spawn_file_actions_addclose(&fa, fd[0]);
	if (posix_spawn(&pid, tool, &fa, NULL, argv, environ) != 0)
		pid = -1;
	posix_spawn_file_actions_destroy(&fa);
	close(fd[1]);
	while ((n = read(fd[0], buf, sizeof(buf))) > 0)
		sd_str_add(&out, buf, (size_t)n);
	close(fd[0]);
	if (pid > 0 && waitpid(pid, status, 0) == pid)
		*status = WIFEXITED(*status) ? WEXITSTATUS(*status) : 128 + WTERMSIG(*status);
	return sd_str_detach(&out);
}

/* ---- hashes computed again ---- */

/* A user block that fits what follows it; from `m` its id, kind and tool if not NULL. */
static inline void reseal(const char *name, const struct sd_manifest *m)
{
	struct sd_blob b = slurp(name);
	struct sd_user_block u;
	uint8_t digest[SD_SHA256_LEN];

	CHECK(sd_user_block_read(&u, (char *)b.data) == 0, "%s", sd_error_text());
	if (m) {
		snprintf(u.id, sizeof(u.id), "%s", m->id);
		snprintf(u.kind, sizeof(u.kind), "%s", m->kind);
		snprintf(u.tool, sizeof(u.tool), "%s", m->tool);
	}
	u.length = b.size;
	sd_sha256(b.data + SD_USER_BLOCK, b.size - SD_USER_BLOCK, digest);
	sd_sha256_hex(digest, u.sha256);
	sd_user_block_write(&u, (char *)b.data);
	spew(name, b.data, b.size);
	sd_blob_release(&b);
}

static inline hid_t edit(const char *name)
{
	hid_t fapl = H5Pcreate(H5P_FILE_ACCESS), file;

	H5Pset_fclose_degree(fapl, H5F_CLOSE_STRONG);
	H5Pset_file_locking(fapl, false, true);
	H5Pset_libver_bounds(fapl, H5F_LIBVER_V18, H5F_LIBVER_LATEST);
	file = H5Fopen(name, H5F_ACC_RDWR, fapl);
	H5Pclose(fapl);
	CHECK(file >= 0, "%s", name);
	return file;
}

/* A dataset like those of artifacts, in the place of one that may be there. */
static inline void put(hid_t file, const char *path, hid_t type, int rank, const hsize_t *shape, hid_t dcpl,
		const void *data)
{
	hid_t space = rank ? H5Screate_simple(rank, shape, NULL) : H5Screate(H5S_SCALAR), d;

	if (H5Lexists(file, path, H5P_DEFAULT) > 0)
		H5Ldelete(file, path, H5P_DEFAULT);
	d = H5Dcreate2(file, path, type, space, H5P_DEFAULT, dcpl, H5P_DEFAULT);
	CHECK(d >= 0, "%s", path);
	if (data)
		CHECK(H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0, "%s", path);
	H5Dclose(d);
	H5Sclose(space);
}

static inline void put_text(hid_t file, const char *path, const char *text, size_t len)
{
	hid_t type = sd_h5_type(SD_TYPE_STRING, len);

	put(file, path, type, 0, NULL, H5P_DEFAULT, text);
	H5Tclose(type);
}

/* A scalar string, to be freed. */
static inline char *get_text(hid_t file, const char *path)
{
	hid_t d = H5Dopen2(file, path, H5P_DEFAULT), type = H5Dget_type(d);
	char *text = sd_xcalloc(H5Tget_size(type) + 1, 1);

	CHECK(H5Dread(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text) >= 0, "%s", path);
	H5Tclose(type);
	H5Dclose(d);
	return text;
}

static inline void put_attribute(hid_t file, const char *name, const void *value)
{
	hid_t attr = H5Aopen(file, name, H5P_DEFAULT), type = H5Aget_type(attr);

	CHECK(H5Awrite(attr, type, value) >= 0, "%s", name);
	H5Tclose(type);
	H5Aclose(attr);
}

/* The path of the n-th thing in a group. */
static inline char *nth(hid_t file, const char *group, unsigned n)
{
	static char path[2][128];
	static int turn;
	char *p = path[turn ^= 1];
	size_t len = strlen(group);

	snprintf(p, 128, "%s/", group);
	CHECK(H5Lget_name_by_idx(file, group, H5_INDEX_NAME, H5_ITER_INC, n, p + len + 1, 127 - len,
				 H5P_DEFAULT) > 0, "%s", group);
	return p;
}

/* How far a forger goes: what is computed again after a manifest was changed. */
enum depth {
	OUTER = 0, /* the line in front */
	SEAL = 1,  /* the seal */
	BLOCK = 2, /* id, kind and tool in the line in front */
	ALL = SEAL | BLOCK,
};

/* Puts a manifest in place of the file's. */
static inline void put_manifest(const char *name, const char *text, int depth)
{
	struct sd_manifest *m = depth ? sd_manifest_parse(text, strlen(text), "test") : NULL;
	hid_t file = edit(name);

	CHECK(m || !depth, "%s", sd_error_text());
	put_text(file, "/manifest", text, strlen(text));
	if (m && depth & SEAL)
		put_attribute(file, "seal", m->seal);
	H5Fclose(file);
	reseal(name, depth & BLOCK ? m : NULL);
	sd_manifest_free(m);
}

/* `text` with the first `old` replaced; "" for `new`: with the character behind `old` changed. */
static inline char *replaced(const char *text, const char *old, const char *new)
{
	const char *at = strstr(text, old);
	struct sd_str s = SD_STR_INIT;

	CHECK(at, "no '%s' in '%.200s'", old, text);
	if (!at)
		return sd_xstrdup(text);
	sd_str_add(&s, text, (size_t)(at - text));
	if (*new) {
		sd_str_adds(&s, strcmp(new, "(nothing)") ? new : "");
		sd_str_adds(&s, at + strlen(old));
	} else {
		sd_str_adds(&s, old);
		sd_str_addc(&s, at[strlen(old)] == '0' ? '1' : '0');
		sd_str_adds(&s, at + strlen(old) + 1);
	}
	return sd_str_detach(&s);
}

/* ---- what must be found ---- */

static int nkind;

/* Runs sd-verify; `said` must be in its output. */
static inline void expect(const char *what, const char *args, int status, const char *said)
{
	int st;
	char *out = run(args, &st);

	nkind++;
	CHECK(st == status && strstr(out, said) && !strstr(out, "Sanitizer"), "%s: exit status %d, '%s'", what, st,
	      out);
	free(out);
}

/* The same for the forged file, which a tool must refuse. */
static inline void caught(const char *what, const char *said)
{
	struct sd_artifact *art = sd_artifact_open(FORGED, 0);

	CHECK(!art && sd_error_kind() == SD_ERR_DATA, "%s: opened: %s", what, sd_error_text());
	sd_artifact_close(art);
	expect(what, FORGED, 1, said);
}

/* ---- the beginning and the end of a test program ---- */

static char study[] = "/tmp/test_tamper.XXXXXX";

/* Makes the study in a folder that is the working one from then on. */
static inline int begin(const char *self)
{
	char here[PATH_MAX];
	struct sd_genotype g, other;

	snprintf(here, sizeof(here), "%.*s/../bin/sd-verify", (int)(strrchr(self, '/') - self), self);
	tool = realpath(here, NULL);
	sd_genotype_init(&g);
	sd_genotype_init(&other);
	if (!tool || sd_genotype_load(&g, "genotypes/DARTS_V2.genotype", NULL) < 0 ||
	    sd_genotype_load(&other, "genotypes/DARTS_V1.genotype", NULL) < 0 || !mkdtemp(study) ||
	    chdir(study) != 0) {
		printf("%s: not built, or not run in the folder of genotypes/: %s\n", here, sd_error_text());
		return -1;
	}
	/* libhdf5 leaks object headers that it finds damaged */
	spew("suppressions", "leak:libhdf5\n", 13);
	setenv("LSAN_OPTIONS", "suppressions=suppressions:print_suppressions=0", 1);
	sd_h5_init();
	spew("raw.bin", "a raw file\n", 11);
	spew("raw2.bin", "another one\n", 12);
	make_data("data.h5", "2", "raw.bin");
	make_data("other.h5", "7", "raw2.bin");
	make_search("search.h5");
	make_genotype("x.genotype", &g, "2");
	make_genotype("other.genotype", &other, "3");
	make_model("model.h5", "2");
	make_model("model2.h5", "3");
	make_eval("eval.h5", "model.h5", 0.5);
	make_eval("eval2.h5", "model2.h5", 0.75);
	make_key("a");
	make_key("b");
	sd_genotype_release(&g);
	sd_genotype_release(&other);
	return 0;
}

static inline int end(void)
{
	char command[64];

	sd_opts_release(&opts);
	free(tool);
	snprintf(command, sizeof(command), "rm -rf %s", study);
	if (chdir("/") != 0 || system(command) != 0)
		printf("%s is left\n", study);
	printf("%d kinds of tampering\n", nkind);
	return check_done();
}

/* libhdf5 leaks in this process, too. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libhdf5";
}

#endif
