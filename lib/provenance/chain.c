/* chain.c: prints what an artifact came from, down to the raw files. */
#include "provenance/chain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"

struct chain {
	const struct sd_lineage *l;
	struct sd_finder *finder;
	const char **seen; /* ids whose inputs were printed */
	int nseen;
};

/* An artifact by its id: checked as a whole. */
static enum sd_status find_artifact(const struct sd_finder *finder, const char *id)
{
	const char *path = sd_finder_artifact(finder, id);
	struct sd_lineage *l;
	enum sd_status st;
	char *report;

	if (!path) {
		printf("  not found");
		return SD_TROUBLE;
	}
	st = sd_check(path, &l, &report);
	if (st == SD_SAME && strcmp(l->own->id, id) != 0)
		st = SD_DIFFERENT;
	printf("  %s: %s", path, st == SD_SAME ? "OK" : "has changed");
	sd_lineage_free(l);
	free(report);
	return st == SD_SAME ? SD_SAME : SD_DIFFERENT;
}

/* A raw file by size and hash; one of the recorded name with other contents is a change. */
static enum sd_status find_raw(struct sd_finder *finder, const char *name, uint64_t size, const char *sha256)
{
	const char *other, *path = sd_finder_raw(finder, size, sha256, name, &other);

	if (path)
		printf("  %s: OK", path);
	else if (other)
		printf("  %s: has changed", other);
	else
		printf("  not found");
	return path ? SD_SAME : other ? SD_DIFFERENT : SD_TROUBLE;
}

static bool was_seen(const struct chain *c, const char *id)
{
	for (int i = 0; i < c->nseen; i++)
		if (strcmp(c->seen[i], id) == 0)
			return true;
	return false;
}

static enum sd_status print_inputs(struct chain *c, const struct sd_manifest *m, int depth)
{
	json_t *names = json_object_get(m->context, "inputs"), *in;
	enum sd_status worst = SD_SAME;
	const char *role;

	json_object_foreach(json_object_get(m->claim, "inputs"), role, in) {
		const char *id = sd_json_text(in, "id"), *sha256 = sd_json_text(in, "sha256");
		const char *name = sd_json_text(json_object_get(names, role), "name");
		const struct sd_manifest *a = id ? sd_lineage_find(c->l, id) : NULL;
		long long size = json_integer_value(json_object_get(in, "size"));
		bool again = id && was_seen(c, id);

		printf("%*s%s: ", 2 * depth, "", role);
		if (a)
			printf("%s %s (%s)%s", a->kind, id, a->tool, again ? " as above" : "");
		else
			printf("file %s, %lld bytes, sha256 %s", name ? name : "(name not kept)",
				size, sha256);
		if (c->finder && a && !again)
			worst = sd_worse(worst, find_artifact(c->finder, id));
		else if (c->finder && !a)
			worst = sd_worse(worst, find_raw(c->finder, name, (uint64_t)size, sha256));
		putchar('\n');
		if (a && !again) {
			c->seen[c->nseen++] = id;
			worst = sd_worse(worst, print_inputs(c, a, depth + 1));
		}
	}
	return worst;
}

enum sd_status sd_chain_print(const char *name, const struct sd_lineage *l, struct sd_finder *finder)
{
	struct chain c = { .l = l, .finder = finder };
	enum sd_status st;

	c.seen = sd_xcalloc((size_t)l->nancestor + 1, sizeof(*c.seen));
	printf("%s: %s %s (%s)\n", name, l->own->kind, l->own->id, l->own->tool);
	st = print_inputs(&c, l->own, 1);
	free(c.seen);
	return st;
}
