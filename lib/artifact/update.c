/* update.c: whether an output is what a run would make, by content and not by the clock. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "artifact/artifact.h"
#include "artifact/stamp_parts.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/str.h"
#include "base/tool.h"

/* A value as a person writes it. */
static void add_value(struct sd_str *s, const json_t *v)
{
	char *text;

	if (!v) {
		sd_str_adds(s, "none");
	} else if (json_is_string(v)) {
		sd_str_adds(s, json_string_value(v));
	} else {
		text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
		sd_str_adds(s, text ? text : "?");
		free(text);
	}
}

/* "what: X there, Y now", a line. */
static void differ(struct sd_str *why, const char *what, const char *name, const json_t *there, const json_t *now)
{
	sd_str_addf(why, "%s%s%s: ", what, name ? " " : "", name ? name : "");
	add_value(why, there);
	sd_str_adds(why, " there, ");
	add_value(why, now);
	sd_str_adds(why, " now\n");
}

/* Every member in which two objects differ, in the order of the names. */
static void compare(struct sd_str *why, const char *what, const json_t *there, const json_t *now)
{
	json_t *all = json_object();
	const char *key;
	json_t *v;

	json_object_update(all, (json_t *)there);
	json_object_update(all, (json_t *)now);
	json_object_foreach(all, key, v) {
		const json_t *a = json_object_get(there, key), *b = json_object_get(now, key);

		if (!a || !b || !json_equal(a, b))
			differ(why, what, key, a, b);
	}
	json_decref(all);
}

/* What an input counts by. */
static const json_t *content(const json_t *input)
{
	const json_t *payload = json_object_get(input, "payload");

	return payload ? payload : json_object_get(input, "sha256");
}

static json_t *contents(const json_t *inputs)
{
	json_t *all = json_object(), *v;
	const char *role;

	json_object_foreach((json_t *)inputs, role, v)
		json_object_set(all, role, (json_t *)content(v));
	return all;
}

static void compare_claims(struct sd_str *why, const json_t *there, const json_t *now, bool program)
{
	static const char *const same[] = { "kind", "tool", "seed" };
	json_t *a = contents(json_object_get(there, "inputs")), *b = contents(json_object_get(now, "inputs"));
	const json_t *ea = json_object_get(there, "environment"), *eb = json_object_get(now, "environment");

	for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) {
		const json_t *x = json_object_get(there, same[i]), *y = json_object_get(now, same[i]);

		if ((x || y) && !(x && y && json_equal(x, y)))
			differ(why, same[i], NULL, x, y);
	}
	compare(why, "parameter", json_object_get(there, "parameters"), json_object_get(now, "parameters"));
	compare(why, "input", a, b);
	json_decref(a);
	json_decref(b);
	if (program) {
		const json_t *x = json_object_get(there, "source"), *y = json_object_get(now, "source");

		if (!json_equal(x, y))
			differ(why, "program", NULL, x, y);
		compare(why, "environment", ea, eb);
	} else {
		const json_t *x = json_object_get(ea, "engine"), *y = json_object_get(eb, "engine");

		if ((x || y) && !(x && y && json_equal(x, y)))
			differ(why, "environment", "engine", x, y);
	}
}

/* The manifest of an output, checked with what it holds; NULL with a line in why. */
static struct sd_manifest *recorded(const char *output, struct sd_str *why)
{
	struct sd_manifest *m = NULL;
	struct sd_artifact *art;
	struct sd_lineage *l = NULL;
	struct sd_blob blob;
	bool text;

	if (access(output, F_OK) != 0) {
		sd_str_adds(why, "not there\n");
		return NULL;
	}
	art = sd_artifact_open(output, SD_ARTIFACT_PARTIAL);
	if (art) {
		m = sd_manifest_from_json(sd_artifact_lineage(art)->own->json, output);
	} else if (sd_blob_read(&blob, output, (size_t)64 << 20) == 0) {
		l = sd_lineage_read((const char *)blob.data, blob.size, output, &text);
		if (l)
			m = sd_manifest_from_json(l->own->json, output);
		sd_lineage_free(l);
		sd_blob_release(&blob);
	}
	sd_artifact_close(art);
	if (!m)
		sd_str_adds(why, "damaged, or no artifact\n");
	return m;
}

/* The lines, each with the output's name in front. */
static void print_lines(FILE *f, const char *before, const char *output, const char *lines)
{
	for (const char *p = lines; *p; p += strcspn(p, "\n") + 1)
		fprintf(f, "%s%s: %.*s\n", before, output, (int)strcspn(p, "\n"), p);
}

int sd_stamp_update(const struct sd_stamp *st, const char *output, const char *damage)
{
	const struct sd_shared *shared = st->shared;
	struct sd_str why = SD_STR_INIT;
	struct sd_manifest *m;
	json_t *now;
	int ret = 1;

	if (shared->update == SD_UPDATE_NEVER && !shared->why)
		return 0;
	if (strcmp(output, "-") == 0)
		return sd_error(SD_ERR_USAGE, "--update and --why are for an output that stays: not for standard output");
	m = recorded(output, &why);
	if (m && damage)
		sd_str_addf(&why, "%s\n", damage);
	if (m) {
		now = sd_stamp_claim(st, NULL);
		if (!now) {
			ret = -1;
			goto out;
		}
		if (!m->complete)
			sd_str_adds(&why, "incomplete\n");
		compare_claims(&why, m->claim, now, shared->update == SD_UPDATE_PROGRAM);
		json_decref(now);
	}
	if (shared->why) {
		print_lines(stdout, "", output, why.len ? why.s : "current\n");
	} else if (why.len) {
		ret = 0;
		if (!shared->quiet) {
			char before[64];

			snprintf(before, sizeof(before), "%s: ", st->opts->tool);
			print_lines(stderr, before, output, why.s);
		}
	}
out:
	sd_manifest_free(m);
	sd_str_release(&why);
	return ret;
}
