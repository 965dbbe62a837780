/* report.c: what goes into a report: manifests, files and genotypes. */
#include "train/report.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "train/genofile.h"

void sd_report_init(struct sd_report *r)
{
	memset(r, 0, sizeof *r);
}

void sd_report_release(struct sd_report *r)
{
	for (int i = 0; i < r->ncell; i++) {
		sd_genotype_release(&r->cell[i].g);
		sd_str_release(&r->cell[i].ids);
		sd_str_release(&r->cell[i].names);
	}
	for (int i = 0; i < r->nmanifest; i++)
		sd_manifest_free(r->manifest[i]);
	for (int i = 0; i < r->nfile; i++) {
		free(r->file[i].id);
		free(r->file[i].name);
	}
	free(r->cell);
	free(r->manifest);
	free(r->file);
	memset(r, 0, sizeof *r);
}

static int add_manifest(struct sd_report *r, const struct sd_manifest *m)
{
	for (int i = 0; i < r->nmanifest; i++)
		if (!strcmp(r->manifest[i]->id, m->id))
			return 0;
	struct sd_manifest *copy = sd_manifest_from_json(m->json, "manifest");
	if (!copy)
		return -1;
	r->manifest = sd_xrealloc(r->manifest, (size_t)(r->nmanifest + 1) * sizeof *r->manifest);
	r->manifest[r->nmanifest++] = copy;
	return 0;
}

static int add_lineage(struct sd_report *r, const struct sd_lineage *l, const char *file)
{
	if (add_manifest(r, l->own))
		return -1;
	for (int i = 0; i < l->nancestor; i++)
		if (add_manifest(r, l->ancestor[i]))
			return -1;
	r->file = sd_xrealloc(r->file, (size_t)(r->nfile + 1) * sizeof *r->file);
	r->file[r->nfile++] = (struct sd_report_file){ sd_xstrdup(l->own->id), sd_xstrdup(file) };
	return 0;
}

/* Adds an entry to a list, unless it is there. */
static void add_entry(struct sd_str *s, const char *entry, const char *between)
{
	size_t n = strlen(entry);
	if (!n)
		return;
	for (const char *c = s->s; c; c = strstr(c, between) ? strstr(c, between) + strlen(between) : NULL)
		if (!strncmp(c, entry, n) && (!c[n] || !strncmp(c + n, between, strlen(between))))
			return;
	sd_str_addf(s, "%s%s", s->len ? between : "", entry);
}

static void add_cell(struct sd_report *r, const struct sd_genotype *g, const char *id, const char *name)
{
	struct sd_report_cell *cell = NULL;
	char digest[65];
	sd_genotype_digest(g, digest);
	for (int i = 0; i < r->ncell; i++)
		if (!strcmp(r->cell[i].digest, digest))
			cell = &r->cell[i];
	if (!cell) {
		r->cell = sd_xrealloc(r->cell, (size_t)(r->ncell + 1) * sizeof *r->cell);
		cell = &r->cell[r->ncell++];
		memset(cell, 0, sizeof *cell);
		sd_genotype_init(&cell->g);
		sd_genotype_copy(&cell->g, g);
		memcpy(cell->digest, digest, sizeof digest);
	}
	add_entry(&cell->ids, id, " ");
	add_entry(&cell->names, name, ", ");
}

static int add_model_cell(struct sd_report *r, struct sd_artifact *art)
{
	char *text = sd_artifact_string(art, "/genotype", 0), *name = sd_run_told(art, "arch");
	struct sd_genotype g;
	int ret = -1;
	sd_genotype_init(&g);
	if (text && !sd_genotype_parse(&g, text, strlen(text), sd_artifact_name(art))) {
		add_cell(r, &g, sd_artifact_lineage(art)->own->id, name);
		ret = 0;
	}
	sd_genotype_release(&g);
	free(text);
	free(name);
	return ret;
}

static int add_search_cell(struct sd_report *r, struct sd_artifact *art)
{
	struct sd_snapshots s = { 0 };
	struct sd_genotype g;
	struct sd_str name = SD_STR_INIT;
	sd_genotype_init(&g);
	int ret = sd_snapshots_read(&s, art) || sd_snapshots_derive(&s, s.epochs, false, &g) ? -1 : 0;
	if (!ret) {
		sd_str_addf(&name, "search %.12s after epoch %d", sd_artifact_lineage(art)->own->id, s.epochs);
		add_cell(r, &g, sd_artifact_lineage(art)->own->id, name.s);
	}
	sd_str_release(&name);
	sd_genotype_release(&g);
	sd_snapshots_release(&s);
	return ret;
}

int sd_report_add(struct sd_report *r, struct sd_artifact *art)
{
	const char *kind = sd_artifact_kind(art);
	if (add_lineage(r, sd_artifact_lineage(art), sd_artifact_name(art)))
		return -1;
	if (!strcmp(kind, "model") && sd_artifact_find(art, "/genotype"))
		return add_model_cell(r, art);
	if (!strcmp(kind, "search") && sd_artifact_find(art, "/weights/normal"))
		return add_search_cell(r, art);
	return 0;
}

void sd_report_add_genotype(struct sd_report *r, const struct sd_genotype *g, const struct sd_lineage *lineage,
	const char *file)
{
	if (lineage)
		add_lineage(r, lineage, file);
	add_cell(r, g, lineage ? lineage->own->id : "", g->name ? g->name : file);
}
