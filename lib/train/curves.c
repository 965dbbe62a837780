/* curves.c: the histories of models and searches. */
#include "train/curves.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "train/names.h"

void sd_curves_init(struct sd_curves *c, int nby, const char *const *by, bool pooled)
{
	*c = (struct sd_curves){ .nby = nby, .by = by, .pooled = pooled };
}

static void curve_release(struct sd_curve *one, int nby)
{
	free(one->file);
	free(one->id);
	free(one->kind);
	free(one->recipe);
	free(one->seed);
	free(one->arch);
	free(one->label);
	free(one->data);
	for (int i = 0; one->by && i < nby; i++)
		free(one->by[i]);
	free(one->by);
	for (int i = 0; i < one->ncol; i++)
		free(one->column[i]);
	free(one->column);
	free(one->v);
}

void sd_curves_release(struct sd_curves *c)
{
	for (int i = 0; i < c->n; i++)
		curve_release(&c->v[i], c->nby);
	free(c->v);
	memset(c, 0, sizeof *c);
}

/* The data set that a run was made on: a model tells it, of a search its manifest does. */
static char *data_name(struct sd_artifact *art)
{
	const struct sd_lineage *l = sd_artifact_lineage(art);
	if (sd_artifact_find(art, "/data"))
		return sd_artifact_string(art, "/data", 0);
	json_t *input = json_object_get(json_object_get(l->own->claim, "inputs"), "data");
	const char *id = json_string_value(json_object_get(input, "id"));
	const struct sd_manifest *m = id ? sd_lineage_find(l, id) : NULL;
	json_t *parameters = m ? json_object_get(m->claim, "parameters") : NULL;
	const char *name = json_string_value(json_object_get(parameters, "dataset"));
	return sd_xstrdup(name ? name : "-");
}

/* All one-dimensional columns of /history, which are sorted by name. */
static int read_columns(struct sd_artifact *art, struct sd_curve *one)
{
	static const char folder[] = "/history/";
	int ndset = sd_artifact_ndset(art);
	one->column = sd_xcalloc((size_t)ndset + 1, sizeof *one->column);
	for (int i = 0; i < ndset; i++) {
		const struct sd_dset *d = sd_artifact_dset(art, i);
		if (strncmp(d->path, folder, sizeof folder - 1) || d->type != SD_TYPE_F64 || d->rank != 1)
			continue;
		if (d->count > 1 << 24 || (one->ncol && d->count != (uint64_t)one->n))
			return sd_error(SD_ERR_DATA, "%s: the columns of its history differ in length",
				sd_artifact_name(art));
		one->n = (int)d->count;
		one->column[one->ncol++] = sd_xstrdup(d->path + sizeof folder - 1);
	}
	if (!one->n)
		return sd_error(SD_ERR_DATA, "%s: it has no history", sd_artifact_name(art));
	one->v = sd_xcalloc((size_t)one->n * (size_t)one->ncol, sizeof *one->v);
	for (int k = 0; k < one->ncol; k++) {
		char path[256];
		snprintf(path, sizeof path, "%s%s", folder, one->column[k]);
		double *v = sd_artifact_load(art, path, SD_TYPE_F64, NULL);
		if (!v)
			return -1;
		for (int i = 0; i < one->n; i++)
			one->v[i * one->ncol + k] = v[i];
		free(v);
	}
	return 0;
}

/* "search with max_w" */
static char *label(const struct sd_artifact *art, const char *kind)
{
	struct sd_str s = SD_STR_INIT;
	char *weighting = sd_run_told(art, "weighting_algorithm");
	sd_str_adds(&s, kind);
	if (strcmp(weighting, "-"))
		sd_str_addf(&s, " with %s", weighting);
	free(weighting);
	return sd_str_detach(&s);
}

int sd_curves_add(struct sd_curves *c, struct sd_artifact *art)
{
	const struct sd_manifest *own = sd_artifact_lineage(art)->own;
	const char *kind = sd_artifact_kind(art);
	struct sd_curve one = { 0 };
	if (strcmp(kind, "model") && strcmp(kind, "search"))
		return sd_error(SD_ERR_DATA, "%s: a %s artifact where a model or a search was expected: it has no "
			"history", sd_artifact_name(art), kind);
	json_int_t first = json_integer_value(json_object_get(json_object_get(own->claim, "parameters"),
		"start_epoch"));
	one.first = first > 0 && first < 1 << 24 ? (int)first : 1;
	if (read_columns(art, &one) || !(one.data = data_name(art))) {
		curve_release(&one, 0);
		return -1;
	}
	one.file = sd_xstrdup(sd_artifact_name(art));
	one.id = sd_xstrdup(own->id);
	one.kind = sd_xstrdup(kind);
	one.recipe = sd_xstrdup(own->recipe);
	one.seed = sd_run_told(art, "seed");
	one.arch = sd_run_told(art, "arch");
	one.label = label(art, kind);
	one.by = sd_xcalloc((size_t)c->nby + 1, sizeof *one.by);
	for (int i = 0; i < c->nby; i++)
		one.by[i] = sd_run_told(art, c->by[i]);
	c->v = sd_xrealloc(c->v, (size_t)(c->n + 1) * sizeof *c->v);
	c->v[c->n++] = one;
	return 0;
}

static bool pooled; /* of the curves being sorted: qsort has no argument for it */

static int compare_groups(const struct sd_curve *a, const struct sd_curve *b)
{
	int c = strcmp(a->kind, b->kind);
	if (!c && !pooled)
		c = strcmp(a->arch, b->arch);
	if (!c)
		c = strcmp(a->data, b->data);
	if (!c && !pooled)
		c = strcmp(a->recipe, b->recipe);
	for (int i = 0; !c && a->by[i]; i++)
		c = strcmp(a->by[i], b->by[i]);
	return c;
}

static int compare(const void *pa, const void *pb)
{
	const struct sd_curve *a = pa, *b = pb;
	size_t n = strlen(a->seed), m = strlen(b->seed);
	int c = compare_groups(a, b);
	if (!c) /* seeds by their number */
		c = n != m ? (n > m) - (n < m) : strcmp(a->seed, b->seed);
	return c ? c : strcmp(a->id, b->id);
}

/* As in results.c. */
static void share_names(struct sd_curves *c)
{
	for (int i = 0; i < c->n; i++)
		for (int k = 0; k < c->n; k++)
			if (!strcmp(c->v[i].recipe, c->v[k].recipe))
				sd_names_add(&c->v[i].arch, c->v[k].arch);
	for (int i = 0; i < c->n; i++)
		for (int k = 0; k < c->nby; k++)
			if (!strcmp(c->by[k], "arch"))
				sd_names_add(&c->v[i].by[k], c->v[i].arch);
}

void sd_curves_also_called(struct sd_curves *c, const struct sd_artifact *art)
{
	const char *recipe = sd_artifact_lineage(art)->own->recipe;
	char *arch = sd_run_told(art, "arch");
	for (int i = 0; i < c->n; i++)
		if (!strcmp(c->v[i].recipe, recipe))
			sd_names_add(&c->v[i].arch, arch);
	free(arch);
}

void sd_curves_sort(struct sd_curves *c)
{
	pooled = c->pooled;
	share_names(c);
	if (c->n)
		qsort(c->v, (size_t)c->n, sizeof *c->v, compare);
}

int sd_curves_group(const struct sd_curves *c, int first)
{
	int n = 1;
	pooled = c->pooled;
	while (first + n < c->n && !compare_groups(&c->v[first], &c->v[first + n]))
		n++;
	return n;
}

static int column_of(const struct sd_curve *one, const char *name)
{
	for (int i = 0; i < one->ncol; i++)
		if (!strcmp(one->column[i], name))
			return i;
	return -1;
}

void sd_curves_table(const struct sd_curves *c, struct sd_table *t)
{
	static const char *const names[] = { "recipe", "kind", "arch", "data" };
	const char **column = NULL;
	int ncol = 0;
	for (int i = 0; i < c->n; i++)
		for (int k = 0; k < c->v[i].ncol; k++) {
			int known = 0;
			for (int j = 0; j < ncol; j++)
				known |= !strcmp(column[j], c->v[i].column[k]);
			if (known)
				continue;
			column = sd_xrealloc(column, (size_t)(ncol + 1) * sizeof *column);
			column[ncol++] = c->v[i].column[k];
		}
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		sd_table_head(t, names[i]);
	for (int i = 0; i < c->nby; i++)
		sd_table_head(t, c->by[i]);
	sd_table_head(t, "seed");
	sd_table_head(t, "id");
	sd_table_head(t, "epoch");
	for (int k = 0; k < ncol; k++)
		sd_table_head(t, column[k]);
	for (int i = 0; i < c->n; i++)
		for (int e = 0; e < c->v[i].n; e++) {
			const struct sd_curve *one = &c->v[i];
			sd_table_hash(t, one->recipe);
			sd_table_text(t, one->kind);
			sd_table_text(t, one->arch);
			sd_table_text(t, one->data);
			for (int k = 0; k < c->nby; k++)
				sd_table_text(t, one->by[k]);
			sd_table_text(t, one->seed);
			sd_table_ids(t, one->id, 0);
			sd_table_int(t, one->first + e);
			for (int k = 0; k < ncol; k++) {
				int at = column_of(one, column[k]);
				sd_table_exact(t, at < 0 ? NAN : one->v[e * one->ncol + at]);
			}
		}
	free(column);
}
