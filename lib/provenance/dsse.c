/* dsse.c: signed envelopes. */
#include "provenance/dsse.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/base64.h"
#include "base/err.h"
#include "base/json.h"

void sd_dsse_pae(struct sd_str *out, const char *type, const void *payload, size_t n)
{
	sd_str_addf(out, "DSSEv1 %zu %s %zu ", strlen(type), type, n);
	sd_str_add(out, payload, n);
}

/* ---- reading ---- */

static uint8_t *bytes_of(const json_t *object, const char *key, size_t *n)
{
	const json_t *v = json_object_get(object, key);

	return json_is_string(v) ? sd_base64_bytes(json_string_value(v), json_string_length(v), n) : NULL;
}

static int take_signatures(struct sd_envelope *e, const json_t *list, const char *what)
{
	size_t i;
	json_t *v;

	if (!json_is_array(list) || json_array_size(list) == 0)
		return sd_error(SD_ERR_DATA, "%s: an envelope without signatures", what);
	e->signature = sd_xcalloc(json_array_size(list), sizeof(*e->signature));
	json_array_foreach(list, i, v) {
		const char *keyid = sd_json_text(v, "keyid");
		size_t n = 0;
		uint8_t *bytes = bytes_of(v, "sig", &n);

		if (!bytes)
			return sd_error(SD_ERR_DATA, "%s: sig is not base64", what);
		e->signature[e->nsignature++] = (struct sd_envelope_signature){
			.keyid = sd_xstrdup(keyid ? keyid : ""), .bytes = bytes, .n = n };
	}
	return 0;
}

int sd_envelope_parse(struct sd_envelope *e, const char *text, size_t len, const char *what)
{
	struct sd_envelope t = { 0 };
	json_t *json = sd_json_parse(text, len, what);
	const char *type = sd_json_text(json, "payloadType");
	int rc = -1;

	if (!json)
		return -1;
	if (!type || !*type) {
		sd_error(SD_ERR_DATA, "%s: payloadType is missing", what);
		goto out;
	}
	t.type = sd_xstrdup(type);
	t.payload = bytes_of(json, "payload", &t.n);
	if (!t.payload) {
		sd_error(SD_ERR_DATA, "%s: payload is not base64", what);
		goto out;
	}
	if (take_signatures(&t, json_object_get(json, "signatures"), what) < 0)
		goto out;
	*e = t;
	rc = 0;
out:
	if (rc < 0)
		sd_envelope_release(&t);
	json_decref(json);
	return rc;
}

void sd_envelope_release(struct sd_envelope *e)
{
	for (int i = 0; i < e->nsignature; i++) {
		free(e->signature[i].keyid);
		free(e->signature[i].bytes);
	}
	free(e->signature);
	free(e->payload);
	free(e->type);
	memset(e, 0, sizeof(*e));
}

/* ---- writing ---- */

void sd_envelope_init(struct sd_envelope *e, const char *type, const void *payload, size_t n)
{
	*e = (struct sd_envelope){ .type = sd_xstrdup(type), .payload = sd_xcalloc(n + 1, 1), .n = n };
	memcpy(e->payload, payload, n);
}

int sd_envelope_sign(struct sd_envelope *e, const struct sd_secret_key *key)
{
	const char *keyid = sd_secret_key_public(key)->id;
	uint8_t *bytes = sd_xmalloc(SD_SIGNATURE_LEN);
	struct sd_str pae = SD_STR_INIT;
	int at = 0, rc;

	sd_dsse_pae(&pae, e->type, e->payload, e->n);
	rc = sd_secret_key_sign(key, pae.s, pae.len, bytes);
	sd_str_release(&pae);
	if (rc < 0) {
		free(bytes);
		return -1;
	}
	while (at < e->nsignature && strcmp(e->signature[at].keyid, keyid) != 0)
		at++;
	if (at == e->nsignature) {
		e->signature = sd_xrealloc(e->signature, (size_t)++e->nsignature * sizeof(*e->signature));
		e->signature[at] = (struct sd_envelope_signature){ .keyid = sd_xstrdup(keyid) };
	}
	free(e->signature[at].bytes);
	e->signature[at].bytes = bytes;
	e->signature[at].n = SD_SIGNATURE_LEN;
	return 0;
}

static json_t *base64_json(const void *data, size_t n)
{
	struct sd_str s = SD_STR_INIT;
	json_t *v;

	sd_base64_add(&s, data, n);
	v = json_stringn(s.s ? s.s : "", s.len);
	sd_str_release(&s);
	if (!v)
		sd_die_memory();
	return v;
}

char *sd_envelope_text(const struct sd_envelope *e, size_t *len)
{
	json_t *list = json_array(), *json;
	char *text;

	for (int i = 0; i < e->nsignature; i++) {
		const struct sd_envelope_signature *s = &e->signature[i];

		json_array_append_new(list, json_pack("{s:s, s:o}", "keyid", s->keyid, "sig",
						      base64_json(s->bytes, s->n)));
	}
	json = json_pack("{s:s, s:o, s:o}", "payloadType", e->type, "payload", base64_json(e->payload, e->n),
			 "signatures", list);
	text = json ? sd_json_canonical(json, len) : NULL;
	if (!text)
		sd_die_memory();
	json_decref(json);
	return text;
}

/* ---- verifying ---- */

enum sd_verdict sd_envelope_verify(const struct sd_envelope *e, const struct sd_public_key *key)
{
	enum sd_verdict verdict = SD_UNSIGNED;
	struct sd_str pae = SD_STR_INIT;

	sd_dsse_pae(&pae, e->type, e->payload, e->n);
	for (int i = 0; i < e->nsignature && verdict != SD_BAD; i++) {
		const struct sd_envelope_signature *s = &e->signature[i];

		if (s->n == SD_SIGNATURE_LEN && sd_public_key_verify(key, pae.s, pae.len, s->bytes))
			verdict = SD_GOOD;
		else if (strcmp(s->keyid, key->id) == 0)
			verdict = SD_BAD;
	}
	sd_str_release(&pae);
	return verdict;
}
