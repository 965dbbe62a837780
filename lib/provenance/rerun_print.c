/* rerun_print.c: verdicts and their evidence. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/table.h"
#include "provenance/rerun_priv.h"

/* The evidence in one line. */
static char *joined(const struct sd_stage *s)
{
	struct sd_str line = SD_STR_INIT;

	for (const char *p = s->evidence.s; p && *p; p += strcspn(p, "\n") + 1)
		sd_str_addf(&line, "%s%.*s", line.len ? "; " : "", (int)strcspn(p, "\n"), p);
	return sd_str_detach(&line);
}

static void print_table(const struct sd_rerun *r, FILE *f)
{
	static const char *const heads[] = { "verdict", "kind", "tool", "id", "file", "seconds", "evidence" };
	struct sd_table t = SD_TABLE_INIT;

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		sd_table_head(&t, heads[i]);
	for (int i = 0; i < r->norder; i++) {
		const struct sd_stage *s = r->order[i];
		const char *file = s->name ? s->name : s->found;
		char *evidence = joined(s);

		sd_table_text(&t, sd_rerun_verdict_name[s->verdict]);
		sd_table_text(&t, s->m->kind);
		sd_table_text(&t, s->m->tool);
		sd_table_hash(&t, s->m->id);
		if (file)
			sd_table_text(&t, file);
		else
			sd_table_none(&t);
		sd_table_real(&t, s->seconds, 2);
		sd_table_text(&t, evidence);
		free(evidence);
	}
	sd_table_print(&t, SD_TABLE_TSV, f);
	sd_table_release(&t);
}

void sd_rerun_print(const struct sd_rerun *r, FILE *f)
{
	if (r->o->chain) {
		print_table(r, f);
		return;
	}
	for (int i = 0; i < r->norder; i++) {
		const struct sd_stage *s = r->order[i];

		if (!s->name)
			continue;
		fprintf(f, "%s: %s\n", strcmp(s->name, "-") ? s->name : "(stdin)", sd_rerun_verdict_name[s->verdict]);
		for (const char *p = s->evidence.s; !r->o->quiet && p && *p; p += strcspn(p, "\n") + 1)
			fprintf(f, "  %.*s\n", (int)strcspn(p, "\n"), p);
	}
}

int sd_rerun_print_json(const struct sd_rerun *r, FILE *f)
{
	json_t *list = json_array();
	int rc;

	for (int i = 0; i < r->norder; i++) {
		const struct sd_stage *s = r->order[i];
		json_t *evidence = json_array(), *o;

		for (const char *p = s->evidence.s; p && *p; p += strcspn(p, "\n") + 1) {
			char *line = strndup(p, strcspn(p, "\n"));

			json_array_append_new(evidence, sd_json_bytes(line ? line : ""));
			free(line);
		}
		o = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "verdict", sd_rerun_verdict_name[s->verdict], "kind",
			s->m->kind, "tool", s->m->tool, "id", s->m->id, "seconds", sd_json_real(s->seconds),
			"evidence", evidence);
		if (s->name || s->found)
			json_object_set_new(o, "file", sd_json_bytes(s->name ? s->name : s->found));
		if (s->differences)
			json_object_set(o, "differences", s->differences);
		json_array_append_new(list, o);
	}
	rc = sd_json_print(list, f);
	json_decref(list);
	return rc;
}
