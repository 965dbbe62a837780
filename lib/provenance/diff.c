/* diff.c: what two artifacts differ in, for a person or a program. */
#include "provenance/diff.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static void add(json_t *list, const char *what, const json_t *a, const json_t *b)
{
	json_t *d = json_object();

	json_object_set_new(d, "what", sd_json_bytes(what));
	if (a)
		json_object_set(d, "first", (json_t *)a);
	if (b)
		json_object_set(d, "second", (json_t *)b);
	if (json_array_append_new(list, d) < 0)
		sd_die_memory();
}

void sd_diff_json(json_t *list, const char *what, const json_t *a, const json_t *b)
{
	const char *key;
	json_t *v;

	if (json_equal(a, b))
		return;
	if (!json_is_object(a) || !json_is_object(b)) {
		add(list, what, a, b);
		return;
	}
	/* the members of both, in the order of the first and then of the second */
	for (int side = 0; side < 2; side++) {
		const json_t *in = side ? b : a;

		json_object_foreach((json_t *)in, key, v) {
			struct sd_str path = SD_STR_INIT;

			if (side && json_object_get(a, key))
				continue;
			sd_str_addf(&path, "%s%s%s", what, *what ? "." : "", key);
			sd_diff_json(list, path.s, json_object_get(a, key), json_object_get(b, key));
			sd_str_release(&path);
		}
	}
}

/* Ids of compared pairs, so that a data set that is the input of everything is gone into once. */
struct pairs {
	struct sd_str seen;
};

static void add_claims(json_t *list, const char *prefix, struct pairs *p, const struct sd_lineage *la,
	const struct sd_manifest *a, const struct sd_lineage *lb, const struct sd_manifest *b)
{
	json_t *mine = json_array(), *d, *ia = json_object_get(a->claim, "inputs"), *x;
	json_t *ib = json_object_get(b->claim, "inputs");
	const char *role;
	size_t i;

	sd_diff_json(mine, "", a->claim, b->claim);
	json_array_foreach(mine, i, d) {
		struct sd_str what = SD_STR_INIT;

		sd_str_addf(&what, "%s%s", prefix, sd_json_text(d, "what"));
		json_object_set_new(d, "what", json_string(what.s));
		json_array_append(list, d);
		sd_str_release(&what);
	}
	json_decref(mine);
	json_object_foreach(ia, role, x) {
		const char *ida = sd_json_text(x, "id"), *idb = sd_json_text(json_object_get(ib, role), "id");
		const struct sd_manifest *ma = ida ? sd_lineage_find(la, ida) : NULL;
		const struct sd_manifest *mb = idb ? sd_lineage_find(lb, idb) : NULL;
		struct sd_str text = SD_STR_INIT;

		if (!ma || !mb || strcmp(ida, idb) == 0)
			continue;
		sd_str_addf(&text, "%s %s;", ida, idb);
		if (!p->seen.s || !strstr(p->seen.s, text.s)) {
			sd_str_adds(&p->seen, text.s);
			sd_str_release(&text);
			sd_str_addf(&text, "%sinputs.%s > ", prefix, role);
			add_claims(list, text.s, p, la, ma, lb, mb);
		}
		sd_str_release(&text);
	}
}

int sd_diff_make(struct sd_diff *d, const char *a, const struct sd_lineage *la, const char *b,
	const struct sd_lineage *lb)
{
	struct pairs p = { SD_STR_INIT };

	memset(d, 0, sizeof(*d));
	if (strcmp(la->own->payload, lb->own->payload) != 0 && sd_payload_compare(&d->payload, a, b) < 0)
		return -1;
	d->claim = json_array();
	d->context = json_array();
	add_claims(d->claim, "", &p, la, la->own, lb, lb->own);
	sd_diff_json(d->context, "", la->own->context, lb->own->context);
	sd_str_release(&p.seen);
	return 0;
}

void sd_diff_release(struct sd_diff *d)
{
	json_decref(d->claim);
	json_decref(d->context);
	sd_payload_diff_release(&d->payload);
	memset(d, 0, sizeof(*d));
}

bool sd_diff_same(const struct sd_diff *d)
{
	return !json_array_size(d->claim) && !d->payload.n;
}

/* ---- as text ---- */

static void add_value(struct sd_str *s, const json_t *v)
{
	char *text;

	uint8_t digest[SD_SHA256_LEN];

	if (!v) {
		sd_str_adds(s, "nothing");
	} else if (json_is_string(v) && sd_sha256_unhex(json_string_value(v), digest)) {
		sd_str_addf(s, "%.12s", json_string_value(v)); /* a hash: enough to tell it by */
	} else if (json_is_string(v)) {
		sd_str_adds(s, json_string_value(v));
	} else {
		text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
		sd_str_adds(s, text ? text : "?");
		free(text);
	}
}

void sd_diff_line(const json_t *difference, struct sd_str *s)
{
	sd_str_addf(s, "%s: ", sd_json_text(difference, "what"));
	add_value(s, json_object_get(difference, "first"));
	sd_str_adds(s, " and ");
	add_value(s, json_object_get(difference, "second"));
}

static void print_group(const char *name, const json_t *list, FILE *f)
{
	json_t *d;
	size_t i;

	if (!json_array_size(list)) {
		fprintf(f, "%s: the same\n", name);
		return;
	}
	fprintf(f, "%s:\n", name);
	json_array_foreach(list, i, d) {
		struct sd_str s = SD_STR_INIT;

		sd_diff_line(d, &s);
		fprintf(f, "  %s\n", s.s);
		sd_str_release(&s);
	}
}

void sd_diff_print(const struct sd_diff *d, const char *a, const char *b, FILE *f)
{
	fprintf(f, "first: %s\nsecond: %s\n", a, b);
	print_group("claim", d->claim, f);
	if (!d->payload.n)
		fprintf(f, "payload: the same\n");
	else
		fprintf(f, "payload (%d datasets are the same, %d are not):\n", d->payload.nsame, d->payload.n);
	for (int i = 0; i < d->payload.n; i++) {
		struct sd_str s = SD_STR_INIT;

		sd_dset_diff_text(&d->payload.v[i], &s);
		fprintf(f, "  %s\n", s.s);
		sd_str_release(&s);
	}
	print_group("context", d->context, f);
}

json_t *sd_diff_to_json(const struct sd_diff *d, const char *a, const char *b)
{
	json_t *payload = json_array();

	for (int i = 0; i < d->payload.n; i++)
		json_array_append_new(payload, sd_dset_diff_json(&d->payload.v[i]));
	return json_pack("{s:o, s:o, s:b, s:O, s:o, s:O}", "first", sd_json_bytes(a), "second", sd_json_bytes(b),
		"same", sd_diff_same(d), "claim", d->claim, "payload", payload, "context", d->context);
}
