/* stamp.c: making manifests. */
#include "artifact/stamp_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <hdf5.h>
#include <openssl/crypto.h>

#include "artifact/artifact.h"
#include "base/buildinfo.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/str.h"

extern char **environ;

static void put(json_t *o, const char *key, json_t *value)
{
	if (json_object_set_new(o, key, value) < 0)
		sd_die_memory();
}

struct sd_stamp *sd_stamp_new(const char *kind, const struct sd_opts *opts, const struct sd_shared *shared)
{
	struct sd_stamp *st = sd_xcalloc(1, sizeof(*st));

	st->kind = sd_xstrdup(kind);
	st->opts = opts;
	st->shared = shared;
	st->parameters = json_object();
	st->inputs = json_object();
	st->sources = json_object();
	st->environment = json_object();
	st->facts = json_object();
	st->segments = json_array();
	st->inherited = sd_lineage_new(NULL);
	st->complete = true;
	clock_gettime(CLOCK_MONOTONIC, &st->began);
	st->began_at = time(NULL);
	return st;
}

void sd_stamp_free(struct sd_stamp *st)
{
	if (!st)
		return;
	json_decref(st->parameters);
	json_decref(st->inputs);
	json_decref(st->sources);
	json_decref(st->environment);
	json_decref(st->facts);
	json_decref(st->segments);
	sd_lineage_free(st->inherited);
	free(st->kind);
	free(st);
}

/* ---- inputs ---- */

static int add_input(struct sd_stamp *st, const char *role, json_t *claim, json_t *source)
{
	if (json_object_get(st->inputs, role)) {
		json_decref(claim);
		json_decref(source);
		return sd_error(SD_ERR_BUG, "input '%s' is there already", role);
	}
	put(st->inputs, role, claim);
	put(st->sources, role, source);
	return 0;
}

static void inherit(struct sd_stamp *st, const struct sd_manifest *m)
{
	if (!sd_lineage_find(st->inherited, m->id))
		sd_lineage_add(st->inherited, sd_manifest_from_json(m->json, "input"));
}

int sd_stamp_input(struct sd_stamp *st, const char *role, const struct sd_lineage *lineage, const char *name)
{
	const struct sd_manifest *m = lineage->own;

	if (add_input(st, role,
		      json_pack("{s:s, s:s, s:s, s:s}", "id", m->id, "kind", m->kind, "payload", m->payload,
				"recipe", m->recipe),
		      json_pack("{s:o, s:s}", "name", sd_json_bytes(name), "seal", m->seal)) < 0)
		return -1;
	inherit(st, m);
	for (int i = 0; i < lineage->nancestor; i++)
		inherit(st, lineage->ancestor[i]);
	return 0;
}

int sd_stamp_input_raw(struct sd_stamp *st, const char *role, const char *name, uint64_t size,
		       const char *sha256)
{
	return add_input(st, role, json_pack("{s:I, s:s}", "size", (json_int_t)size, "sha256", sha256),
			 json_pack("{s:o}", "name", sd_json_bytes(name)));
}

int sd_stamp_input_bytes(struct sd_stamp *st, const char *role, const char *name, const void *data, size_t n)
{
	uint8_t digest[SD_SHA256_LEN];
	char hex[SD_ID_LEN];

	sd_sha256(data, n, digest);
	sd_sha256_hex(digest, hex);
	return sd_stamp_input_raw(st, role, name, n, hex);
}

void sd_stamp_environment(struct sd_stamp *st, const char *key, const char *value)
{
	put(st->environment, key, sd_json_bytes(value));
}

void sd_stamp_progress(struct sd_stamp *st, int epochs_done, bool complete)
{
	st->counted = true;
	st->epochs_done = epochs_done;
	st->complete = complete;
}

void sd_stamp_parameter(struct sd_stamp *st, const char *key, json_t *value)
{
	put(st->parameters, key, value);
}

void sd_stamp_fact(struct sd_stamp *st, const char *key, json_t *value)
{
	put(st->facts, key, value);
}

void sd_stamp_threads(struct sd_stamp *st, int threads)
{
	st->threads = threads;
}

void sd_stamp_resumed(struct sd_stamp *st, const struct sd_manifest *checkpoint)
{
	static const char *const kept[] = { "argv", "ended", "host", "seconds", "started", "threads" };
	const json_t *epochs = json_object_get(checkpoint->claim, "epochs_done");
	json_t *segment = json_object(), *v;
	size_t i;

	json_array_clear(st->segments);
	json_array_foreach(json_object_get(checkpoint->context, "segments"), i, v)
		json_array_append(st->segments, v);
	for (i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		v = json_object_get(checkpoint->context, kept[i]);
		if (v)
			put(segment, kept[i], json_incref(v));
	}
	if (epochs)
		put(segment, "epochs_done", json_integer(json_integer_value(epochs)));
	json_array_append_new(st->segments, segment);
}

/* ---- claim ---- */

json_t *sd_stamp_claim(const struct sd_stamp *st, const char *payload)
{
	json_t *c = json_object(), *parameters = sd_opts_parameters(st->opts);
	char seed[24];

	if (!parameters) {
		json_decref(c);
		return NULL;
	}
	json_object_update(parameters, st->parameters);
	put(c, "kind", json_string(st->kind));
	put(c, "tool", json_string(st->opts->tool));
	put(c, "source", json_string(sd_build_source));
	put(c, "parameters", parameters);
	if (sd_opts_seed(st->opts, seed))
		put(c, "seed", json_string(seed));
	put(c, "inputs", json_deep_copy(st->inputs));
	put(c, "environment", json_deep_copy(st->environment));
	if (st->counted)
		put(c, "epochs_done", json_integer(st->epochs_done));
	put(c, "complete", json_boolean(st->complete));
	if (payload)
		put(c, "payload", json_string(payload));
	return c;
}

bool sd_stamp_same_run(const struct sd_stamp *st, const struct sd_manifest *m)
{
	json_t *ours = sd_stamp_claim(st, NULL), *theirs = json_copy(m->claim);
	bool same;

	json_object_del(theirs, "payload");
	for (int i = 0; ours && i < 2; i++) {
		json_t *c = i ? theirs : ours;

		json_object_del(c, "epochs_done");
		json_object_del(c, "complete");
	}
	same = ours && json_equal(ours, theirs);
	json_decref(ours);
	json_decref(theirs);
	return same;
}

/* Whether a target that exists is a text artifact of the same run; *artifact: it is an artifact at all. */
static bool same_run_text(const struct sd_stamp *st, const char *output, bool *artifact)
{
	struct sd_lineage *l = NULL;
	struct sd_blob blob;
	bool same = false;

	*artifact = false;
	if (sd_blob_read(&blob, output, (size_t)64 << 20) < 0)
		return false;
	l = sd_lineage_read((const char *)blob.data, blob.size, output, artifact);
	if (l)
		same = sd_stamp_same_run(st, l->own);
	sd_lineage_free(l);
	sd_blob_release(&blob);
	return same;
}

int sd_stamp_check_target(const struct sd_stamp *st, const char *output, bool force)
{
	struct sd_artifact *art;
	bool artifact = true, same;

	if (force || strcmp(output, "-") == 0 || access(output, F_OK) != 0)
		return 0;
	art = sd_artifact_open(output, SD_ARTIFACT_PARTIAL | SD_ARTIFACT_NODATA);
	same = art && sd_stamp_same_run(st, sd_artifact_lineage(art)->own);
	if (!art)
		same = same_run_text(st, output, &artifact);
	sd_artifact_close(art);
	if (same)
		return 0;
	if (artifact)
		return sd_error(SD_ERR_USAGE, "'%s' exists and is of another run (--force replaces it)",
				output);
	return sd_error(SD_ERR_USAGE, "'%s' exists and is no artifact (--force replaces it)", output);
}

/* ---- context ---- */

static json_t *utc(time_t t)
{
	struct tm tm;
	char buf[32];

	gmtime_r(&t, &tm);
	strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(buf);
}

/* The commit checked out in the repository around the working directory, or NULL. */
static json_t *user_commit(void)
{
	static const char *const argv[] = { "git", "rev-parse", "--verify", "--quiet", "HEAD", NULL };
	posix_spawn_file_actions_t fa;
	char buf[80];
	size_t n = 0;
	int fd[2], status;
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC) != 0)
		return NULL;
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&fa, fd[1], STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&fa, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	status = posix_spawnp(&pid, "git", &fa, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	close(fd[1]);
	while (status == 0 && n < sizeof(buf) - 1) {
		ssize_t k = read(fd[0], buf + n, sizeof(buf) - 1 - n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			break;
		n += (size_t)k;
	}
	close(fd[0]);
	if (status != 0)
		return NULL;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	buf[n] = '\0';
	n = strcspn(buf, "\n");
	buf[n] = '\0';
	if (n < 40 || strspn(buf, "0123456789abcdef") != n)
		return NULL;
	return json_string(buf);
}

static json_t *libraries(void)
{
	unsigned major, minor, release;
	char hdf5[48];

	H5get_libversion(&major, &minor, &release);
	snprintf(hdf5, sizeof(hdf5), "%u.%u.%u", major, minor, release);
	return json_pack("{s:s, s:s, s:s}", "hdf5", hdf5, "openssl", OpenSSL_version(OPENSSL_VERSION_STRING),
			 "jansson", jansson_version_str());
}

static json_t *host(void)
{
	struct utsname u;

	if (uname(&u) != 0)
		return json_object();
	return json_pack("{s:o, s:o, s:o, s:o}", "name", sd_json_bytes(u.nodename), "system",
			 sd_json_bytes(u.sysname), "release", sd_json_bytes(u.release), "machine",
			 sd_json_bytes(u.machine));
}

static json_t *make_notes(const struct sd_opt_list *notes)
{
	json_t *o = json_object();

	for (int i = 0; i < notes->n; i++) {
		const char *eq = strchr(notes->v[i], '=');
		char *key = strndup(notes->v[i], (size_t)(eq - notes->v[i]));
		json_t *clean = sd_json_bytes(key ? key : "");

		put(o, json_string_value(clean), sd_json_bytes(eq + 1));
		json_decref(clean);
		free(key);
	}
	return o;
}

static json_t *seals(const struct sd_lineage *l)
{
	json_t *o = json_object();

	for (int i = 0; i < l->nancestor; i++)
		put(o, l->ancestor[i]->id, json_string(l->ancestor[i]->seal));
	return o;
}

static json_t *make_context(const struct sd_stamp *st)
{
	json_t *c = json_object(), *argv, *commit;
	struct timespec now;
	long long ms;
	struct rusage ru;

	if (st->shared->context == SD_CONTEXT_NONE)
		return c;
	argv = json_array();
	for (int i = 0; i < st->opts->argc; i++)
		if (json_array_append_new(argv, sd_json_bytes(st->opts->argv[i])) < 0)
			sd_die_memory();
	put(c, "argv", argv);
	put(c, "inputs", json_deep_copy(st->sources));
	if (st->inherited->nancestor)
		put(c, "ancestors", seals(st->inherited));
	put(c, "version", json_string(sd_build_version));
	put(c, "commit", json_string(sd_build_commit));
	put(c, "dirty", json_boolean(*sd_build_dirty));
	if (*sd_build_dirty)
		put(c, "dirty_hash", json_string(sd_build_dirty));
	put(c, "compiler", sd_json_bytes(sd_build_compiler));
	put(c, "libraries", libraries());
	put(c, "host", host());
	if (st->threads)
		put(c, "threads", json_integer(st->threads));
	put(c, "started", utc(st->began_at));
	put(c, "ended", utc(time(NULL)));
	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (now.tv_sec - st->began.tv_sec) * 1000 + (now.tv_nsec - st->began.tv_nsec) / 1000000;
	put(c, "seconds", sd_json_real((double)ms / 1000));
	if (getrusage(RUSAGE_SELF, &ru) == 0)
		put(c, "peak_memory", json_integer((json_int_t)ru.ru_maxrss * 1024));
	commit = user_commit();
	if (commit)
		put(c, "user_commit", commit);
	if (st->shared->notes.n)
		put(c, "notes", make_notes(&st->shared->notes));
	if (json_array_size(st->segments))
		put(c, "segments", json_deep_copy(st->segments));
	json_object_update(c, st->facts);
	return c;
}

struct sd_lineage *sd_stamp_make(const struct sd_stamp *st, const char *payload)
{
	json_t *claim = sd_stamp_claim(st, payload), *json;
	struct sd_lineage *l;
	struct sd_manifest *own;

	if (!claim)
		return NULL;
	json = json_object();
	put(json, "claim", claim);
	put(json, "context", make_context(st));
	own = sd_manifest_from_json(json, st->opts->tool);
	json_decref(json);
	if (!own)
		return NULL;
	l = sd_lineage_new(own);
	for (int i = 0; i < st->inherited->nancestor; i++) {
		json = json_copy(st->inherited->ancestor[i]->json);
		/* equal runs give equal files, whatever the contexts of their inputs */
		if (st->shared->context == SD_CONTEXT_NONE)
			put(json, "context", json_object());
		sd_lineage_add(l, sd_manifest_from_json(json, "input"));
		json_decref(json);
	}
	return l;
}
