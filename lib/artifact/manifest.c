/* manifest.c: reading manifests, and the chains that they make. */
#include "artifact/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/sha256.h"
#include "base/str.h"

static const char *const kinds[] = { "dataset", "search", "genotype", "model", "eval" };

static bool is_kind(const char *s)
{
	for (size_t i = 0; s && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(s, kinds[i]) == 0)
			return true;
	return false;
}

static bool is_hex(const char *s)
{
	uint8_t digest[SD_SHA256_LEN];

	return s && sd_sha256_unhex(s, digest);
}

/* A tool's name: it must fit into the user block and look like one. */
static bool is_tool(const char *s)
{
	size_t n = s ? strlen(s) : 0;

	return n > 0 && n <= 32 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static bool is_decimal(const char *s)
{
	uint64_t u;

	return s && sd_parse_u64(s, &u) && (s[0] != '0' || !s[1]);
}

static int bad(const char *what, const char *where)
{
	return sd_error(SD_ERR_DATA, "%s: manifest: %s is missing or not what it should be", what, where);
}

/* Whether an object has no other members than the named ones (blanks between them). */
static int only(const json_t *o, const char *names, const char *what, const char *where)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)o, key, v) {
		const char *at = strstr(names, key);
		size_t n = strlen(key);

		if (!n || !at || (at != names && at[-1] != ' ') || (at[n] && at[n] != ' '))
			return sd_error(SD_ERR_DATA, "%s: manifest: unknown member '%s' in %s", what, key,
					where);
	}
	return 0;
}

static int check_input(const json_t *in, const char *role, const char *what)
{
	json_int_t size;

	if (!json_is_object(in))
		return bad(what, role);
	if (json_object_get(in, "sha256")) {
		size = json_integer_value(json_object_get(in, "size"));
		if (only(in, "sha256 size", what, role) < 0)
			return -1;
		if (!is_hex(sd_json_text(in, "sha256")) || !json_is_integer(json_object_get(in, "size")) ||
		    size < 0)
			return bad(what, role);
		return 0;
	}
	if (only(in, "id kind payload recipe", what, role) < 0)
		return -1;
	if (!is_hex(sd_json_text(in, "id")) || !is_kind(sd_json_text(in, "kind")) ||
	    !is_hex(sd_json_text(in, "payload")) || !is_hex(sd_json_text(in, "recipe")))
		return bad(what, role);
	return 0;
}

static int check_claim(const json_t *c, const char *what)
{
	const json_t *epochs = json_object_get(c, "epochs_done");
	const char *key;
	json_t *v;

	if (only(c, "complete environment epochs_done inputs kind parameters payload seed source tool", what,
		 "claim") < 0)
		return -1;
	if (!is_kind(sd_json_text(c, "kind")))
		return bad(what, "claim.kind");
	if (!is_tool(sd_json_text(c, "tool")))
		return bad(what, "claim.tool");
	if (!is_hex(sd_json_text(c, "source")))
		return bad(what, "claim.source");
	if (!is_hex(sd_json_text(c, "payload")))
		return bad(what, "claim.payload");
	if (!json_is_boolean(json_object_get(c, "complete")))
		return bad(what, "claim.complete");
	if (epochs && (!json_is_integer(epochs) || json_integer_value(epochs) < 0))
		return bad(what, "claim.epochs_done");
	if (json_object_get(c, "seed") && !is_decimal(sd_json_text(c, "seed")))
		return bad(what, "claim.seed");
	if (!json_is_object(json_object_get(c, "parameters")))
		return bad(what, "claim.parameters");
	if (!json_is_object(json_object_get(c, "environment")))
		return bad(what, "claim.environment");
	json_object_foreach(json_object_get(c, "environment"), key, v)
		if (!json_is_string(v))
			return bad(what, "claim.environment");
	if (!json_is_object(json_object_get(c, "inputs")))
		return bad(what, "claim.inputs");
	json_object_foreach(json_object_get(c, "inputs"), key, v)
		if (check_input(v, key, what) < 0)
			return -1;
	return 0;
}

static int hash_json(const json_t *v, char hex[SD_ID_LEN])
{
	uint8_t digest[SD_SHA256_LEN];
	size_t n;
	char *text = sd_json_canonical(v, &n);

	if (!text)
		return -1;
	sd_sha256(text, n, digest);
	sd_sha256_hex(digest, hex);
	free(text);
	return 0;
}

/* What of an input makes the experiment: a data set or a genotype as such; of a result that depends on a
 * seed, how it was made; a raw file as such. */
static json_t *input_in_recipe(const json_t *in)
{
	const char *kind = sd_json_text(in, "kind");
	const char *by;

	if (!kind)
		return json_deep_copy(in);
	by = strcmp(kind, "dataset") == 0 || strcmp(kind, "genotype") == 0 ? "payload" : "recipe";
	return json_pack("{s:s, s:O}", "kind", kind, by, json_object_get(in, by));
}

static int hash_recipe(const json_t *claim, char hex[SD_ID_LEN])
{
	json_t *r = json_copy((json_t *)claim), *inputs = json_object(), *v;
	const char *role;
	int rc = -1;

	if (!r || !inputs)
		sd_die_memory();
	json_object_del(r, "payload");
	json_object_del(r, "seed");
	json_object_del(r, "environment");
	json_object_foreach(json_object_get(claim, "inputs"), role, v)
		if (json_object_set_new(inputs, role, input_in_recipe(v)) < 0)
			sd_die_memory();
	if (json_object_set(r, "inputs", inputs) < 0)
		sd_die_memory();
	rc = hash_json(r, hex);
	json_decref(inputs);
	json_decref(r);
	return rc;
}

static struct sd_manifest *take(json_t *json, const char *what)
{
	struct sd_manifest *m = sd_xcalloc(1, sizeof(*m));
	uint8_t digest[SD_SHA256_LEN];

	m->json = json;
	if (!json_is_object(json)) {
		sd_error(SD_ERR_DATA, "%s: manifest: not an object", what);
		goto bad;
	}
	if (only(json, "claim context", what, "the manifest") < 0)
		goto bad;
	m->claim = json_object_get(json, "claim");
	m->context = json_object_get(json, "context");
	if (!json_is_object(m->claim) || !json_is_object(m->context)) {
		bad(what, json_is_object(m->claim) ? "context" : "claim");
		goto bad;
	}
	if (check_claim(m->claim, what) < 0)
		goto bad;
	m->text = sd_json_canonical(json, &m->len);
	if (!m->text || hash_json(m->claim, m->id) < 0 || hash_recipe(m->claim, m->recipe) < 0) {
		sd_error_in("%s: manifest", what);
		goto bad;
	}
	sd_sha256(m->text, m->len, digest);
	sd_sha256_hex(digest, m->seal);
	m->kind = sd_json_text(m->claim, "kind");
	m->tool = sd_json_text(m->claim, "tool");
	m->payload = sd_json_text(m->claim, "payload");
	m->seed = sd_json_text(m->claim, "seed");
	m->complete = json_is_true(json_object_get(m->claim, "complete"));
	return m;
bad:
	sd_manifest_free(m);
	return NULL;
}

struct sd_manifest *sd_manifest_parse(const char *text, size_t len, const char *what)
{
	json_t *json = sd_json_parse_canonical(text, len, "manifest");

	if (!json) {
		sd_error_in("%s", what);
		return NULL;
	}
	return take(json, what);
}

struct sd_manifest *sd_manifest_from_json(json_t *json, const char *what)
{
	return take(json_incref(json), what);
}

void sd_manifest_free(struct sd_manifest *m)
{
	if (!m)
		return;
	json_decref(m->json);
	free(m->text);
	free(m);
}

/* ---- lineages ---- */

struct sd_lineage *sd_lineage_new(struct sd_manifest *own)
{
	struct sd_lineage *l = sd_xcalloc(1, sizeof(*l));

	l->own = own;
	return l;
}

void sd_lineage_add(struct sd_lineage *l, struct sd_manifest *m)
{
	int at = 0;

	while (at < l->nancestor && strcmp(l->ancestor[at]->id, m->id) < 0)
		at++;
	if (at < l->nancestor && strcmp(l->ancestor[at]->id, m->id) == 0) {
		sd_manifest_free(m);
		return;
	}
	l->ancestor = sd_xrealloc(l->ancestor, (size_t)(l->nancestor + 1) * sizeof(struct sd_manifest *));
	memmove(l->ancestor + at + 1, l->ancestor + at,
		(size_t)(l->nancestor - at) * sizeof(struct sd_manifest *));
	l->ancestor[at] = m;
	l->nancestor++;
}

void sd_lineage_sign(struct sd_lineage *l, const char *keyid, const char *text, size_t len)
{
	struct sd_signature *s;

	l->signature = sd_xrealloc(l->signature, (size_t)(l->nsignature + 1) * sizeof(*s));
	s = &l->signature[l->nsignature++];
	*s = (struct sd_signature){ .keyid = sd_xstrdup(keyid), .text = sd_xcalloc(len + 1, 1), .len = len };
	memcpy(s->text, text, len);
}

const struct sd_manifest *sd_lineage_find(const struct sd_lineage *l, const char *id)
{
	if (l->own && strcmp(l->own->id, id) == 0)
		return l->own;
	for (int i = 0; i < l->nancestor; i++)
		if (strcmp(l->ancestor[i]->id, id) == 0)
			return l->ancestor[i];
	return NULL;
}

void sd_lineage_free(struct sd_lineage *l)
{
	if (!l)
		return;
	sd_manifest_free(l->own);
	for (int i = 0; i < l->nancestor; i++)
		sd_manifest_free(l->ancestor[i]);
	free(l->ancestor);
	for (int i = 0; i < l->nsignature; i++) {
		free(l->signature[i].keyid);
		free(l->signature[i].text);
	}
	free(l->signature);
	free(l);
}

/* Marks what m came from as reached, and what that came from; ids are hashes, so there are no circles. */
static int reach(const struct sd_lineage *l, const struct sd_manifest *m, bool *reached, const char *what)
{
	const char *role;
	json_t *in;

	json_object_foreach(json_object_get(m->claim, "inputs"), role, in) {
		const char *id = sd_json_text(in, "id");
		int i = 0;

		if (!id)
			continue;
		while (i < l->nancestor && strcmp(l->ancestor[i]->id, id) != 0)
			i++;
		if (i == l->nancestor)
			return sd_error(SD_ERR_DATA, "%s: ancestor %s (%s) is missing", what, id, role);
		if (strcmp(l->ancestor[i]->kind, sd_json_text(in, "kind")) != 0 ||
		    strcmp(l->ancestor[i]->payload, sd_json_text(in, "payload")) != 0 ||
		    strcmp(l->ancestor[i]->recipe, sd_json_text(in, "recipe")) != 0)
			return sd_error(SD_ERR_DATA, "%s: ancestor %s (%s) is not what the claim says", what,
					id, role);
		if (reached[i])
			continue;
		reached[i] = true;
		if (reach(l, l->ancestor[i], reached, what) < 0)
			return -1;
	}
	return 0;
}

/* The context of an ancestor is protected by its seal in ours; without one it must be empty. */
static int check_seal(const struct sd_lineage *l, const struct sd_manifest *m, const char *what)
{
	const char *seal = sd_json_text(json_object_get(l->own->context, "ancestors"), m->id);

	if (seal ? strcmp(seal, m->seal) == 0 : json_object_size(m->context) == 0)
		return 0;
	return sd_error(SD_ERR_DATA, "%s: ancestor %s: the context has changed (the seal does not fit)", what,
			m->id);
}

int sd_lineage_check(const struct sd_lineage *l, const char *what)
{
	bool *reached = sd_xcalloc((size_t)l->nancestor, sizeof(*reached));
	int rc = reach(l, l->own, reached, what);

	for (int i = 0; rc == 0 && i < l->nancestor; i++) {
		if (!reached[i])
			rc = sd_error(SD_ERR_DATA, "%s: manifest %s is no ancestor of it", what,
				      l->ancestor[i]->id);
		else
			rc = check_seal(l, l->ancestor[i], what);
	}
	free(reached);
	return rc;
}

#define MANIFEST_LINE "# sd-manifest "
#define SEAL_LINE "# sd-seal "

int sd_lineage_write(const struct sd_lineage *l, FILE *f)
{
	for (int i = -1; i < l->nancestor; i++) {
		const struct sd_manifest *m = i < 0 ? l->own : l->ancestor[i];

		fprintf(f, MANIFEST_LINE "%s\n", m->text);
	}
	if (fprintf(f, SEAL_LINE "%s\n", l->own->seal) < 0)
		return sd_error_errno("cannot write a manifest");
	return 0;
}

/* The signatures in the comments of a text. */
static void read_signatures(struct sd_lineage *l, const char *text, size_t len)
{
	size_t ns = strlen(SD_SIGNATURE_LINE);

	for (size_t at = 0, n; at < len; at += n + 1) {
		const char *line = text + at, *end = memchr(line, '\n', len - at);

		n = end ? (size_t)(end - line) : len - at;
		if (n >= ns && memcmp(line, SD_SIGNATURE_LINE, ns) == 0)
			sd_lineage_sign(l, "", line + ns, n - ns);
	}
}

struct sd_lineage *sd_lineage_read(const char *text, size_t len, const char *what, bool *found)
{
	size_t nm = strlen(MANIFEST_LINE), ns = strlen(SEAL_LINE);
	struct sd_lineage *l = NULL;
	char seal[SD_ID_LEN] = "";

	*found = false;
	for (size_t at = 0, n; at < len; at += n + 1) {
		const char *line = text + at, *end = memchr(line, '\n', len - at);

		n = end ? (size_t)(end - line) : len - at;
		if (n >= nm && memcmp(line, MANIFEST_LINE, nm) == 0) {
			struct sd_manifest *m;

			*found = true;
			m = sd_manifest_parse(line + nm, n - nm, what);
			if (!m)
				goto bad;
			if (l)
				sd_lineage_add(l, m);
			else
				l = sd_lineage_new(m);
		} else if (n == ns + SD_SHA256_HEX && memcmp(line, SEAL_LINE, ns) == 0) {
			*found = true;
			memcpy(seal, line + ns, SD_SHA256_HEX);
			seal[SD_SHA256_HEX] = '\0';
		}
	}
	if (!*found)
		return NULL;
	if (!l) {
		sd_error(SD_ERR_DATA, "%s: there is a seal, but no manifest", what);
		return NULL;
	}
	if (strcmp(seal, l->own->seal) != 0) {
		sd_error(SD_ERR_DATA, "%s: manifest: its seal is not the one in the file", what);
		goto bad;
	}
	if (sd_lineage_check(l, what) < 0)
		goto bad;
	read_signatures(l, text, len);
	return l;
bad:
	sd_lineage_free(l);
	return NULL;
}
