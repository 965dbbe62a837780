/* sign.c: signatures of artifacts. */
#include "provenance/sign.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "artifact/artifact.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"

#define MOST ((size_t)64 << 20) /* bytes of a genotype's file or an envelope beside an artifact */

/* ---- statements ---- */

static json_t *subject(const char *name, const char *sha256)
{
	return json_pack("{s:o, s:{s:s}}", "name", sd_json_bytes(name), "digest", "sha256", sha256);
}

/* The text to be signed; `file`: a second subject, or NULL. */
static char *statement(const struct sd_lineage *l, const char *file, const char *file_sha256, size_t *len)
{
	json_t *subjects = json_array(), *json;
	char *text;

	json_array_append_new(subjects, subject("payload", l->own->payload));
	if (file)
		json_array_append_new(subjects, subject(file, file_sha256));
	json = json_pack("{s:s, s:o, s:s, s:O}", "_type", SD_STATEMENT_TYPE, "subject", subjects,
			 "predicateType", SD_MANIFEST_PREDICATE, "predicate", l->own->json);
	text = json ? sd_json_canonical(json, len) : NULL;
	json_decref(json);
	return text;
}

static bool has_subject(const json_t *subjects, const char *sha256)
{
	size_t i;
	json_t *v;

	json_array_foreach(subjects, i, v) {
		const char *have = sd_json_text(json_object_get(v, "digest"), "sha256");

		if (have && strcmp(have, sha256) == 0)
			return true;
	}
	return false;
}

/* Whether a statement is about this artifact; -1 and a data error that begins with `what`. */
static int check_statement(const struct sd_envelope *e, const struct sd_lineage *l, const char *what)
{
	json_t *json = sd_json_parse((char *)e->payload, e->n, what);
	const char *type = sd_json_text(json, "_type"), *predicate = sd_json_text(json, "predicateType");
	struct sd_manifest *m = NULL;
	int rc = -1;

	if (!json)
		return -1;
	if (!type || strcmp(type, SD_STATEMENT_TYPE) != 0 || !predicate ||
	    strcmp(predicate, SD_MANIFEST_PREDICATE) != 0) {
		sd_error(SD_ERR_DATA, "%s: not a statement about a manifest", what);
		goto out;
	}
	m = sd_manifest_from_json(json_object_get(json, "predicate"), what);
	if (!m)
		goto out;
	if (strcmp(m->id, l->own->id) != 0)
		sd_error(SD_ERR_DATA, "%s: of another artifact, the %s %s", what, m->kind, m->id);
	else if (strcmp(m->seal, l->own->seal) != 0)
		sd_error(SD_ERR_DATA, "%s: of another context (its seal is %s)", what, m->seal);
	else if (!has_subject(json_object_get(json, "subject"), l->own->payload))
		sd_error(SD_ERR_DATA, "%s: its subject is not the payload", what);
	else
		rc = 0;
out:
	sd_manifest_free(m);
	json_decref(json);
	return rc;
}

/* ---- reading ---- */

/* Reads signature i and checks all but the signature itself.  -1 and a data error. */
static int read_signature(const struct sd_lineage *l, int i, struct sd_envelope *e)
{
	const struct sd_signature *s = &l->signature[i];
	char what[32 + SD_ID_LEN] = "signature";

	if (*s->keyid)
		snprintf(what, sizeof(what), "/signatures/%s", s->keyid);
	if (sd_envelope_parse(e, s->text, s->len, what) < 0)
		return -1;
	if (strcmp(e->type, SD_STATEMENT_MEDIA) != 0) {
		sd_error(SD_ERR_DATA, "%s: payloadType '%s' where '%s' was expected", what, e->type,
			 SD_STATEMENT_MEDIA);
		goto bad;
	}
	for (int k = 0; k < e->nsignature; k++) {
		if (e->signature[k].n != SD_SIGNATURE_LEN) {
			sd_error(SD_ERR_DATA, "%s: %zu bytes where a signature has %d", what,
				 e->signature[k].n, SD_SIGNATURE_LEN);
			goto bad;
		}
		if (*s->keyid && strcmp(e->signature[k].keyid, s->keyid) != 0) {
			sd_error(SD_ERR_DATA, "%s: its key id is not its name", what);
			goto bad;
		}
	}
	if (check_statement(e, l, what) == 0)
		return 0;
bad:
	sd_envelope_release(e);
	return -1;
}

int sd_signatures_inspect(const struct sd_lineage *l, struct sd_str *report)
{
	struct sd_envelope e;
	int problems = 0;

	for (int i = 0; i < l->nsignature; i++) {
		if (read_signature(l, i, &e) < 0) {
			sd_str_addf(report, "%s\n", sd_error_text());
			problems++;
		} else {
			sd_envelope_release(&e);
		}
	}
	return problems;
}

json_t *sd_signatures_keyids(const struct sd_lineage *l)
{
	json_t *list = json_array();
	struct sd_envelope e;

	for (int i = 0; i < l->nsignature; i++) {
		if (read_signature(l, i, &e) < 0)
			continue;
		for (int k = 0; k < e.nsignature; k++)
			json_array_append_new(list, sd_json_bytes(e.signature[k].keyid));
		sd_envelope_release(&e);
	}
	return list;
}

enum sd_verdict sd_signatures_verify(const struct sd_lineage *l, const struct sd_public_key *key,
				     struct sd_str *report)
{
	enum sd_verdict all = SD_UNSIGNED, one;
	struct sd_envelope e;

	for (int i = 0; i < l->nsignature; i++) {
		if (read_signature(l, i, &e) < 0)
			continue; /* sd_signatures_inspect() says why */
		one = sd_envelope_verify(&e, key);
		if (one > all)
			all = one;
		sd_envelope_release(&e);
	}
	if (all == SD_BAD)
		sd_str_addf(report, "the signature with key %s does not verify\n", key->id);
	else if (all == SD_UNSIGNED)
		sd_str_addf(report, "not signed with key %s\n", key->id);
	return all;
}

/* ---- into the file ---- */

/* The envelope of one signature over a statement, which is freed; NULL and a message. */
static char *envelope(char *payload, size_t n, const struct sd_secret_key *key, size_t *len)
{
	struct sd_envelope e;
	char *text = NULL;

	if (!payload)
		return NULL;
	sd_envelope_init(&e, SD_STATEMENT_MEDIA, payload, n);
	if (sd_envelope_sign(&e, key) == 0)
		text = sd_envelope_text(&e, len);
	sd_envelope_release(&e);
	free(payload);
	return text;
}

char *sd_sign_statement(const json_t *json, const struct sd_secret_key *key)
{
	size_t n, len;
	char *payload = sd_json_canonical(json, &n);

	return envelope(payload, n, key, &len);
}

/* Whether a line of a text artifact is a signature with that key. */
static bool signed_with(const char *line, size_t n, const char *keyid)
{
	size_t ns = strlen(SD_SIGNATURE_LINE);
	struct sd_envelope e;
	bool yes;

	if (n < ns || memcmp(line, SD_SIGNATURE_LINE, ns) != 0 ||
	    sd_envelope_parse(&e, line + ns, n - ns, "signature") < 0)
		return false;
	yes = strcmp(e.signature[0].keyid, keyid) == 0;
	sd_envelope_release(&e);
	return yes;
}

/* The text with a line for the signature behind that of the seal. */
static void add_line(struct sd_str *out, const struct sd_blob *in, const char *keyid, const char *text)
{
	static const char seal[] = "# sd-seal ";
	const char *line = (const char *)in->data, *end = line + in->size;

	while (line < end) {
		const char *eol = memchr(line, '\n', (size_t)(end - line));
		size_t n = eol ? (size_t)(eol - line) : (size_t)(end - line);

		if (!signed_with(line, n, keyid)) {
			sd_str_add(out, line, n);
			sd_str_addc(out, '\n');
		}
		if (n >= sizeof(seal) - 1 && memcmp(line, seal, sizeof(seal) - 1) == 0)
			sd_str_addf(out, SD_SIGNATURE_LINE "%s\n", text);
		line += n + 1;
	}
}

/* Puts a text in place of `output`; one that replaces `name` keeps its permissions. */
static int write_whole(const char *name, const char *output, const char *text, size_t len)
{
	struct sd_out *out = sd_out_open(output, SD_OUT_FORCE);
	struct stat st;

	if (!out)
		return -1;
	if (name && strcmp(name, "-") != 0 && stat(name, &st) == 0 &&
	    fchmod(sd_out_fd(out), st.st_mode & 0777) != 0) {
		sd_error_errno("cannot set the permissions of '%s'", output);
		sd_out_abandon(out);
		return -1;
	}
	if (sd_write_all(sd_out_fd(out), text, len, output) < 0) {
		sd_out_abandon(out);
		return -1;
	}
	return sd_out_commit(out);
}

static int sign_text(const char *name, const struct sd_lineage *l, const char *output, const char *keyid,
		     const char *text)
{
	struct sd_lineage *now;
	struct sd_str s = SD_STR_INIT;
	struct sd_blob b;
	bool found;
	int rc = -1;

	if (sd_blob_read(&b, name, MOST) < 0)
		return -1;
	add_line(&s, &b, keyid, text);
	/* what was checked is not necessarily what was read */
	now = sd_lineage_read(s.s ? s.s : "", s.len, sd_file_name(name), &found);
	if (now && strcmp(now->own->seal, l->own->seal) == 0)
		rc = write_whole(name, output, s.s, s.len);
	else if (now || !found)
		sd_error(SD_ERR_DATA, "%s: it has changed meanwhile", sd_file_name(name));
	sd_lineage_free(now);
	sd_str_release(&s);
	sd_blob_release(&b);
	return rc;
}

int sd_sign(const char *name, const struct sd_lineage *l, const char *output,
	    const struct sd_secret_key *key)
{
	const char *keyid = sd_secret_key_public(key)->id;
	size_t len;
	struct sd_lock *lock = sd_lock_take(output); /* for whoever signs at the same time */
	char *payload, *text = NULL, head[16];
	ssize_t have;
	size_t n = 0;
	int rc = -1;

	if (!lock)
		goto out;
	payload = statement(l, NULL, NULL, &n);
	text = envelope(payload, n, key, &len);
	if (!text)
		goto out;
	have = sd_file_peek(name, head, sizeof(head));
	if (have >= 0 && sd_artifact_magic(head, (size_t)have))
		rc = sd_artifact_put_signature(name, l, output, keyid, text, len);
	else if (have >= 0)
		rc = sign_text(name, l, output, keyid, text);
out:
	free(text);
	sd_lock_release(lock);
	return rc;
}

/* ---- beside the file ---- */

static char *name_beside(const char *name)
{
	struct sd_str s = SD_STR_INIT;

	sd_str_addf(&s, "%s.dsse.json", name);
	return sd_str_detach(&s);
}

/* The envelope that is there already: 1; 0: there is none; -1 and a message. */
static int read_beside(struct sd_envelope *e, const char *path)
{
	struct sd_blob b;
	int rc;

	if (access(path, F_OK) != 0 && errno == ENOENT)
		return 0;
	if (sd_blob_read(&b, path, MOST) < 0)
		return -1;
	rc = sd_envelope_parse(e, (char *)b.data, b.size, path);
	sd_blob_release(&b);
	return rc < 0 ? -1 : 1;
}

static int hash_file(const char *name, char hex[SD_ID_LEN])
{
	uint8_t digest[SD_SHA256_LEN];
	int fd = sd_file_open(name), rc;

	if (fd < 0)
		return -1;
	rc = sd_sha256_fd(fd, 0, name, digest, NULL);
	close(fd);
	if (rc == 0)
		sd_sha256_hex(digest, hex);
	return rc;
}

int sd_sign_beside(const char *name, const struct sd_lineage *l, const struct sd_secret_key *key)
{
	const char *base = sd_base_name(name);
	char *path = name_beside(name), *payload = NULL, *text = NULL, hex[SD_ID_LEN];
	struct sd_envelope e = { 0 };
	struct sd_lock *lock = NULL;
	size_t n, len;
	int rc = -1, found;

	if (strcmp(name, "-") == 0) {
		sd_error(SD_ERR_USAGE, "there is nothing beside standard input");
		goto out;
	}
	lock = sd_lock_take(path);
	if (!lock || hash_file(name, hex) < 0)
		goto out;
	payload = statement(l, base, hex, &n);
	found = payload ? read_beside(&e, path) : -1;
	if (found < 0)
		goto out;
	if (found && (e.n != n || memcmp(e.payload, payload, n) != 0)) {
		sd_error(SD_ERR_DATA, "'%s' is there, and is of another file", path);
		goto out;
	}
	if (!found)
		sd_envelope_init(&e, SD_STATEMENT_MEDIA, payload, n);
	if (sd_envelope_sign(&e, key) < 0)
		goto out;
	text = sd_envelope_text(&e, &len);
	text[len++] = '\n'; /* in the place of the NUL */
	rc = write_whole(NULL, path, text, len);
out:
	sd_envelope_release(&e);
	sd_lock_release(lock);
	free(payload);
	free(text);
	free(path);
	return rc;
}

int sd_signatures_beside(const char *name, struct sd_lineage *l)
{
	char *path = name_beside(name);
	struct sd_blob b;
	int rc = -1;

	if (strcmp(name, "-") == 0 || (access(path, F_OK) != 0 && errno == ENOENT)) {
		rc = 0;
	} else if (sd_blob_read(&b, path, MOST) == 0) {
		sd_lineage_sign(l, "", (char *)b.data, b.size);
		sd_blob_release(&b);
		rc = 0;
	}
	free(path);
	return rc;
}
