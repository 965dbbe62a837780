/* json.c: canonical JSON (RFC 8785) for the subset that manifests use. */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

/* Deeper values are refused on both ways: nothing that is written here comes near. */
#define MAX_DEPTH 32

static int emit(struct sd_str *s, const json_t *v, const char *where, int depth);

static void emit_string(struct sd_str *s, const char *t, size_t n)
{
	sd_str_addc(s, '"');
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)t[i];

		switch (c) {
		case '"': sd_str_adds(s, "\\\""); break;
		case '\\': sd_str_adds(s, "\\\\"); break;
		case '\b': sd_str_adds(s, "\\b"); break;
		case '\f': sd_str_adds(s, "\\f"); break;
		case '\n': sd_str_adds(s, "\\n"); break;
		case '\r': sd_str_adds(s, "\\r"); break;
		case '\t': sd_str_adds(s, "\\t"); break;
		default:
			if (c < 0x20)
				sd_str_addf(s, "\\u%04x", c);
			else
				sd_str_addc(s, (char)c);
		}
	}
	sd_str_addc(s, '"');
}

/* Order of UTF-16 code units, on valid UTF-8.  It is the bytes' own order but for characters over
 * U+FFFF (first byte F0 to F4), which as surrogates come before U+E000 to U+FFFF (EE and EF). */
static int order_utf16(const void *pa, const void *pb)
{
	const unsigned char *a = *(const unsigned char *const *)pa, *b = *(const unsigned char *const *)pb;

	while (*a && *a == *b) {
		a++;
		b++;
	}
	if (*a >= 0xee && *b >= 0xee) {
		int wide_a = *a >= 0xf0, wide_b = *b >= 0xf0;

		if (wide_a != wide_b)
			return wide_b - wide_a;
	}
	return (int)*a - (int)*b;
}

static int emit_object(struct sd_str *s, const json_t *v, int depth)
{
	size_t n = json_object_size(v), i = 0;
	const char **keys = sd_xmalloc(n * sizeof(*keys)), *key;
	json_t *member;
	int rc = -1;

	json_object_foreach((json_t *)v, key, member)
		keys[i++] = key;
	if (n)
		qsort(keys, n, sizeof(*keys), order_utf16);
	sd_str_addc(s, '{');
	for (i = 0; i < n; i++) {
		if (i)
			sd_str_addc(s, ',');
		emit_string(s, keys[i], strlen(keys[i]));
		sd_str_addc(s, ':');
		if (emit(s, json_object_get(v, keys[i]), keys[i], depth + 1) < 0)
			goto out;
	}
	sd_str_addc(s, '}');
	rc = 0;
out:
	free(keys);
	return rc;
}

static int emit(struct sd_str *s, const json_t *v, const char *where, int depth)
{
	json_int_t i;
	size_t k;

	if (depth > MAX_DEPTH)
		return sd_error(SD_ERR_DATA, "JSON is nested more than %d deep", MAX_DEPTH);
	switch (v ? json_typeof(v) : JSON_NULL) {
	case JSON_OBJECT:
		return emit_object(s, v, depth);
	case JSON_ARRAY:
		sd_str_addc(s, '[');
		for (k = 0; k < json_array_size(v); k++) {
			if (k)
				sd_str_addc(s, ',');
			if (emit(s, json_array_get(v, k), where, depth + 1) < 0)
				return -1;
		}
		sd_str_addc(s, ']');
		return 0;
	case JSON_STRING:
		emit_string(s, json_string_value(v), json_string_length(v));
		return 0;
	case JSON_INTEGER:
		i = json_integer_value(v);
		if (i >= (json_int_t)1 << 53 || i <= -((json_int_t)1 << 53))
			return sd_error(SD_ERR_DATA, "JSON: the integer at '%s' is not below 2^53", where);
		sd_str_addf(s, "%lld", (long long)i);
		return 0;
	case JSON_TRUE:
	case JSON_FALSE:
		sd_str_adds(s, json_is_true(v) ? "true" : "false");
		return 0;
	default:
		return sd_error(SD_ERR_DATA, "JSON: a real number or null at '%s'", where);
	}
}

char *sd_json_canonical(const json_t *value, size_t *len)
{
	struct sd_str s = SD_STR_INIT;

	if (emit(&s, value, "", 0) < 0) {
		sd_str_release(&s);
		return NULL;
	}
	if (len)
		*len = s.len;
	return sd_str_detach(&s);
}

json_t *sd_json_parse(const char *text, size_t len, const char *what)
{
	json_error_t err;
	json_t *v = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &err);

	if (!v)
		sd_error(SD_ERR_DATA, "%s: not JSON: %s at byte %d", what, err.text, err.position);
	return v;
}

json_t *sd_json_parse_canonical(const char *text, size_t len, const char *what)
{
	json_t *v = sd_json_parse(text, len, what);
	char *again = NULL;
	size_t n = 0, i = 0;

	if (!v)
		return NULL;
	again = sd_json_canonical(v, &n);
	if (!again) {
		sd_error_in("%s", what);
		goto bad;
	}
	while (i < n && i < len && again[i] == text[i])
		i++;
	if (i < n || i < len) {
		sd_error(SD_ERR_DATA, "%s: not in canonical form (RFC 8785) at byte %zu", what, i);
		goto bad;
	}
	free(again);
	return v;
bad:
	free(again);
	json_decref(v);
	return NULL;
}

int sd_json_print(const json_t *value, FILE *f)
{
	if (json_dumpf(value, f, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENCODE_ANY) < 0 ||
	    fputc('\n', f) == EOF)
		return sd_error_errno("cannot write JSON");
	return 0;
}

/* The length of the valid UTF-8 sequence at s (not 0 bytes), or 0: RFC 3629, section 4. */
static size_t utf8_length(const unsigned char *s)
{
	unsigned char c = s[0];
	size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) || (c == 0xf0 && s[1] < 0x90) ||
	    (c == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

json_t *sd_json_bytes(const char *text)
{
	const unsigned char *t = (const unsigned char *)text;
	struct sd_str s = SD_STR_INIT;
	char *clean;
	json_t *v;

	while (*t) {
		size_t n = utf8_length(t);

		if (n)
			sd_str_add(&s, t, n);
		else
			sd_str_adds(&s, "\xef\xbf\xbd");
		t += n ? n : 1;
	}
	clean = sd_str_detach(&s);
	v = json_string(clean);
	free(clean);
	if (!v)
		sd_die_memory();
	return v;
}

json_t *sd_json_real(double value)
{
	char buf[32];

	return json_string(sd_real_text(value, buf));
}

const char *sd_json_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}
