/* stats.c: measured runs, and what several of them say together. */
#include "train/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

struct sd_summary sd_summarize(const double *x, int n)
{
	struct sd_summary s = { .n = n, .mean = NAN, .std = NAN, .sem = NAN, .min = NAN, .max = NAN };
	double sum = 0, squares = 0;
	if (n == 0)
		return s;
	double *v = sd_xmalloc((size_t)n * sizeof *v);
	memcpy(v, x, (size_t)n * sizeof *v);
	qsort(v, (size_t)n, sizeof *v, by_value);
	for (int i = 0; i < n; i++)
		sum += v[i];
	s.mean = sum / n;
	for (int i = 0; i < n; i++)
		squares += (v[i] - s.mean) * (v[i] - s.mean);
	if (n > 1) {
		s.std = sqrt(squares / (n - 1));
		s.sem = s.std / sqrt(n);
	}
	s.min = v[0];
	s.max = v[n - 1];
	free(v);
	return s;
}

void sd_results_init(struct sd_results *r, enum sd_measure measure, bool last, int nby, const char *const *by)
{
	memset(r, 0, sizeof *r);
	r->measure = measure;
	r->last = last;
	r->nby = nby;
	r->by = by;
}

static void result_release(struct sd_result *one, int nby)
{
	free(one->file);
	free(one->id);
	free(one->payload);
	free(one->recipe);
	free(one->seed);
	free(one->arch);
	free(one->data);
	for (int i = 0; one->by && i < nby; i++)
		free(one->by[i]);
	free(one->by);
}

void sd_results_release(struct sd_results *r)
{
	for (int i = 0; i < r->n; i++)
		result_release(&r->v[i], r->nby);
	for (int i = 0; i < r->nseen; i++) {
		free(r->seen[i].recipe);
		free(r->seen[i].seed);
		free(r->seen[i].payload);
		free(r->seen[i].file);
	}
	free(r->v);
	free(r->seen);
	memset(r, 0, sizeof *r);
}

int sd_results_add_one(struct sd_results *r, const struct sd_result *one)
{
	if (r->n == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 64;
		r->v = sd_xrealloc(r->v, (size_t)r->cap * sizeof *r->v);
	}
	r->v[r->n++] = *one;
	return 0;
}

/* Whether this run was seen before, with the same result or another. */
static int seen_before(struct sd_results *r, const char *recipe, const char *seed, const char *payload,
	const char *file, const char **earlier)
{
	for (int i = 0; i < r->nseen; i++) {
		const struct sd_seen *s = &r->seen[i];
		if (strcmp(s->recipe, recipe) || strcmp(s->seed, seed))
			continue;
		*earlier = s->file;
		return strcmp(s->payload, payload) ? SD_RESULTS_IRREPRODUCIBLE : SD_RESULTS_REPEATED;
	}
	if (r->nseen == r->cap_seen) {
		r->cap_seen = r->cap_seen ? 2 * r->cap_seen : 64;
		r->seen = sd_xrealloc(r->seen, (size_t)r->cap_seen * sizeof *r->seen);
	}
	r->seen[r->nseen++] = (struct sd_seen){ sd_xstrdup(recipe), sd_xstrdup(seed), sd_xstrdup(payload),
		sd_xstrdup(file) };
	return SD_RESULTS_NEW;
}

/* The manifest of the model that an evaluation measured; of a model itself its own. */
static const struct sd_manifest *model_manifest(const struct sd_artifact *art)
{
	const struct sd_lineage *l = sd_artifact_lineage(art);
	json_t *input = json_object_get(json_object_get(l->own->claim, "inputs"), "model");
	const char *id = json_string_value(json_object_get(input, "id"));
	const struct sd_manifest *m = id ? sd_lineage_find(l, id) : NULL;
	return m ? m : l->own;
}

/* A parameter's value as text, the run's own before the measured model's. */
static char *parameter_text(const struct sd_manifest *own, const struct sd_manifest *model, const char *seed,
	const char *name)
{
	char buf[32];
	if (!strcmp(name, "seed"))
		return sd_xstrdup(seed);
	if (!strcmp(name, "kind"))
		return sd_xstrdup(own->kind);
	json_t *v = json_object_get(json_object_get(own->claim, "parameters"), name);
	if (!v)
		v = json_object_get(json_object_get(model->claim, "parameters"), name);
	if (json_is_string(v))
		return sd_xstrdup(json_string_value(v));
	if (json_is_boolean(v))
		return sd_xstrdup(json_is_true(v) ? "true" : "false");
	if (json_is_integer(v)) {
		snprintf(buf, sizeof buf, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		return sd_xstrdup(buf);
	}
	return sd_xstrdup("-");
}

static double pick(const struct sd_results *r, double loss, double top1, double top5)
{
	switch (r->measure) {
	case SD_MEASURE_TOP1: return top1;
	case SD_MEASURE_ERROR: return 100 - top1;
	case SD_MEASURE_TOP5: return top5;
	default: return loss;
	}
}

/* Adds one measurement of an artifact. */
static int add(struct sd_results *r, struct sd_artifact *art, const char *seed, const char *data,
	int64_t epoch, double value)
{
	const struct sd_manifest *own = sd_artifact_lineage(art)->own, *model = model_manifest(art);
	const char *arch = json_string_value(json_object_get(model->context, "arch"));
	if (!isfinite(value))
		return sd_error(SD_ERR_DATA, "%s: a measurement is not finite", sd_artifact_name(art));
	struct sd_result one = { .file = sd_xstrdup(sd_artifact_name(art)), .id = sd_xstrdup(own->id),
		.payload = sd_xstrdup(own->payload), .recipe = sd_xstrdup(own->recipe),
		.seed = sd_xstrdup(seed), .arch = sd_xstrdup(arch ? arch : "-"), .data = sd_xstrdup(data),
		.epoch = epoch, .value = value };
	one.by = sd_xcalloc((size_t)r->nby + 1, sizeof *one.by);
	for (int i = 0; i < r->nby; i++)
		one.by[i] = parameter_text(own, model, seed, r->by[i]);
	return sd_results_add_one(r, &one);
}

/* What was measured on one data set of an evaluation, under `at`. */
static int add_eval_at(struct sd_results *r, struct sd_artifact *art, const char *seed, int64_t epoch,
	const char *at)
{
	static const char *const what[3] = { "loss", "top1", "top5" };
	double v[3];
	char path[64];
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%s/%s", at, what[i]);
		if (sd_artifact_read(art, path, SD_TYPE_F64, &v[i], 1))
			return -1;
	}
	snprintf(path, sizeof path, "%s/data", at);
	char *data = sd_artifact_string(art, path, 0);
	int ret = data ? add(r, art, seed, data, epoch, pick(r, v[0], v[1], v[2])) : -1;
	free(data);
	return ret;
}

static int add_eval(struct sd_results *r, struct sd_artifact *art, const char *seed)
{
	char at[32] = "", path[64];
	int64_t epoch;
	if (sd_artifact_read(art, "/epoch", SD_TYPE_I64, &epoch, 1))
		return -1;
	for (int i = 2;; i++) {
		if (add_eval_at(r, art, seed, epoch, at))
			return -1;
		snprintf(at, sizeof at, "/also/%d", i);
		snprintf(path, sizeof path, "%s/data", at);
		if (!sd_artifact_find(art, path))
			return 0;
	}
}

/* The columns loss, top1, top5 at "<prefix>loss" and so on, of equal length *n. */
static int read_columns(struct sd_artifact *art, const char *prefix, double *v[3], uint64_t *n)
{
	static const char *const what[3] = { "loss", "top1", "top5" };
	char path[64];
	for (int i = 0; i < 3; i++) {
		const struct sd_dset *d;
		snprintf(path, sizeof path, "%s%s", prefix, what[i]);
		v[i] = sd_artifact_load(art, path, SD_TYPE_F64, &d);
		if (!v[i])
			return -1;
		if (d->rank != 1 || (i && d->count != *n))
			return sd_error(SD_ERR_DATA, "%s: '%s' has an unexpected shape",
				sd_artifact_name(art), path);
		*n = d->count;
	}
	return 0;
}

/* The name of further data set i, told from the model's own and from the ones before by its number. */
static char *also_name(struct sd_artifact *art, uint64_t i, const char *own)
{
	char *name = sd_artifact_string(art, "/also/data", i);
	int taken = name && !strcmp(name, own);
	for (uint64_t k = 0; name && !taken && k < i; k++) {
		char *other = sd_artifact_string(art, "/also/data", k);
		taken = other && !strcmp(name, other);
		free(other);
	}
	if (!taken)
		return name;
	struct sd_str s = SD_STR_INIT;
	sd_str_addf(&s, "%s (also %llu)", name, (unsigned long long)i + 1);
	free(name);
	return sd_str_detach(&s);
}

static int add_also(struct sd_results *r, struct sd_artifact *art, const char *seed, const char *own,
	int64_t epoch)
{
	double *v[3] = { NULL, NULL, NULL };
	uint64_t n = 0;
	int ret = read_columns(art, r->last ? "/also/last_" : "/also/best_", v, &n);
	for (uint64_t i = 0; !ret && i < n; i++) {
		char *data = also_name(art, i, own);
		ret = data ? add(r, art, seed, data, epoch, pick(r, v[0][i], v[1][i], v[2][i])) : -1;
		free(data);
	}
	for (int i = 0; i < 3; i++)
		free(v[i]);
	return ret;
}

static int add_model(struct sd_results *r, struct sd_artifact *art, const char *seed)
{
	double *v[3] = { NULL, NULL, NULL };
	char *data = NULL;
	uint64_t n = 0;
	int64_t best;
	int ret = -1;
	json_t *parameters = json_object_get(sd_artifact_lineage(art)->own->claim, "parameters");
	json_int_t first = json_integer_value(json_object_get(parameters, "start_epoch"));
	if (sd_artifact_read(art, "/best_epoch", SD_TYPE_I64, &best, 1) ||
	    read_columns(art, "/history/valid_", v, &n) || !(data = sd_artifact_string(art, "/data", 0)))
		goto out;
	if (first < 1)
		first = 1;
	int64_t row = r->last ? (int64_t)n - 1 : best - first;
	if (row < 0 || row >= (int64_t)n) {
		sd_error(SD_ERR_DATA, "%s: its best epoch is not in its history", sd_artifact_name(art));
		goto out;
	}
	if (add(r, art, seed, data, row + first, pick(r, v[0][row], v[1][row], v[2][row])))
		goto out;
	ret = sd_artifact_find(art, "/also/data") ? add_also(r, art, seed, data, row + first) : 0;
out:
	for (int i = 0; i < 3; i++)
		free(v[i]);
	free(data);
	return ret;
}

int sd_results_add(struct sd_results *r, struct sd_artifact *art, const char **earlier)
{
	const struct sd_manifest *own = sd_artifact_lineage(art)->own;
	const char *kind = sd_artifact_kind(art), *seed = own->seed ? own->seed : model_manifest(art)->seed;
	int eval = !strcmp(kind, "eval");
	if (!eval && strcmp(kind, "model"))
		return sd_error(SD_ERR_DATA, "%s: a %s artifact where a model or an eval was expected",
			sd_artifact_name(art), kind);
	if (!seed)
		seed = "";
	*earlier = NULL;
	int seen = seen_before(r, own->recipe, seed, own->payload, sd_artifact_name(art), earlier);
	if (seen != SD_RESULTS_NEW)
		return seen;
	return (eval ? add_eval(r, art, seed) : add_model(r, art, seed)) ? -1 : SD_RESULTS_NEW;
}

static int compare_groups(const struct sd_result *a, const struct sd_result *b)
{
	int c = strcmp(a->arch, b->arch);
	if (!c)
		c = strcmp(a->data, b->data);
	if (!c)
		c = strcmp(a->recipe, b->recipe);
	for (int i = 0; !c && a->by && a->by[i]; i++)
		c = strcmp(a->by[i], b->by[i]);
	return c;
}

/* Seeds by their number. */
static int compare_seeds(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	return n != m ? (n > m) - (n < m) : strcmp(a, b);
}

static int compare(const void *pa, const void *pb)
{
	const struct sd_result *a = pa, *b = pb;
	int c = compare_groups(a, b);
	if (!c)
		c = compare_seeds(a->seed, b->seed);
	return c ? c : strcmp(a->id, b->id);
}

void sd_results_sort(struct sd_results *r)
{
	if (r->n)
		qsort(r->v, (size_t)r->n, sizeof *r->v, compare);
}

int sd_results_group(const struct sd_results *r, int first)
{
	int n = 1;
	while (first + n < r->n && !compare_groups(&r->v[first], &r->v[first + n]))
		n++;
	return n;
}
