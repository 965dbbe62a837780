/* results.c: what eval and model artifacts measured, in groups. */
#include "train/results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "train/names.h"

const char *const sd_measure_name[] = { "top1", "error", "top5", "loss" };
const char *const sd_measure_text[] = { "top-1 (%)", "error (%)", "top-5 (%)", "loss" };

void sd_results_init(struct sd_results *r, enum sd_measure measure, bool last, int nby,
	const char *const *by, bool pooled)
{
	memset(r, 0, sizeof *r);
	r->measure = measure;
	r->last = last;
	r->nby = nby;
	r->by = by;
	r->pooled = pooled;
}

static void result_release(struct sd_result *one, int nby)
{
	free(one->file);
	free(one->id);
	free(one->payload);
	free(one->model);
	free(one->recipe);
	free(one->seed);
	free(one->arch);
	free(one->data);
	free(one->images);
	free(one->right);
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

void sd_results_add_one(struct sd_results *r, const struct sd_result *one)
{
	if (r->n == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 64;
		r->v = sd_xrealloc(r->v, (size_t)r->cap * sizeof *r->v);
	}
	r->v[r->n++] = *one;
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

static const char *seed_of(const struct sd_artifact *art)
{
	const struct sd_manifest *own = sd_artifact_lineage(art)->own, *model = model_manifest(art);
	return own->seed ? own->seed : model->seed ? model->seed : "";
}

int sd_results_seen(struct sd_results *r, const struct sd_artifact *art, const char **earlier)
{
	const struct sd_manifest *own = sd_artifact_lineage(art)->own;
	const char *seed = seed_of(art);
	*earlier = NULL;
	for (int i = 0; i < r->nseen; i++) {
		const struct sd_seen *s = &r->seen[i];
		if (strcmp(s->recipe, own->recipe) || strcmp(s->seed, seed))
			continue;
		*earlier = s->file;
		return strcmp(s->payload, own->payload) ? SD_RESULTS_IRREPRODUCIBLE : SD_RESULTS_REPEATED;
	}
	if (r->nseen == r->cap_seen) {
		r->cap_seen = r->cap_seen ? 2 * r->cap_seen : 64;
		r->seen = sd_xrealloc(r->seen, (size_t)r->cap_seen * sizeof *r->seen);
	}
	r->seen[r->nseen++] = (struct sd_seen){ sd_xstrdup(own->recipe), sd_xstrdup(seed),
		sd_xstrdup(own->payload), sd_xstrdup(sd_artifact_name(art)) };
	return SD_RESULTS_NEW;
}

static char *json_text(const json_t *v)
{
	char buf[32];
	if (json_is_string(v))
		return sd_xstrdup(json_string_value(v));
	if (json_is_boolean(v))
		return sd_xstrdup(json_is_true(v) ? "true" : "false");
	if (json_is_integer(v)) {
		snprintf(buf, sizeof buf, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		return sd_xstrdup(buf);
	}
	return NULL;
}

char *sd_run_told(const struct sd_artifact *art, const char *name)
{
	const struct sd_manifest *m[2] = { sd_artifact_lineage(art)->own, model_manifest(art) };
	if (!strcmp(name, "seed"))
		return sd_xstrdup(*seed_of(art) ? seed_of(art) : "-");
	if (!strcmp(name, "kind"))
		return sd_xstrdup(m[0]->kind);
	if (!strcmp(name, "recipe"))
		return sd_xstrdup(m[0]->recipe);
	if (!strcmp(name, "arch")) {
		const char *arch = json_string_value(json_object_get(m[1]->context, "arch"));
		return sd_xstrdup(arch ? arch : "-");
	}
	for (int i = 0; i < 2; i++) {
		char *text = json_text(json_object_get(json_object_get(m[i]->claim, "parameters"), name));
		if (!text)
			text = json_text(json_object_get(json_object_get(m[i]->context, "notes"), name));
		if (text)
			return text;
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

static bool asked_for(const struct sd_results *r, const char *data, const char *split, const char *label)
{
	return !r->split || !strcmp(r->split, data) || !strcmp(r->split, split) || !strcmp(r->split, label);
}

/* Adds one measurement of an artifact; takes over `images` and `right`. */
static int add(struct sd_results *r, struct sd_artifact *art, const char *data, const char *split, int64_t epoch,
	double value, char *images, uint64_t n, uint8_t *right)
{
	const struct sd_manifest *own = sd_artifact_lineage(art)->own;
	struct sd_str label = SD_STR_INIT;
	int ret = isfinite(value) ? 0 : sd_error(SD_ERR_DATA, "%s: a measurement is not finite",
		sd_artifact_name(art));
	sd_str_addf(&label, "%s%s%s", data, strcmp(split, "test") ? "/" : "", strcmp(split, "test") ? split : "");
	if (ret || !asked_for(r, data, split, label.s)) {
		free(images);
		free(right);
		sd_str_release(&label);
		return ret;
	}
	struct sd_result one = { .file = sd_xstrdup(sd_artifact_name(art)), .id = sd_xstrdup(own->id),
		.payload = sd_xstrdup(own->payload),
		.model = sd_xstrdup(model_manifest(art) == own ? "" : model_manifest(art)->id), .recipe = sd_xstrdup(own->recipe),
		.seed = sd_xstrdup(seed_of(art)), .arch = sd_run_told(art, "arch"),
		.data = sd_str_detach(&label),
		.epoch = epoch, .value = value, .images = images, .n = n, .right = right };
	one.by = sd_xcalloc((size_t)r->nby + 1, sizeof *one.by);
	for (int i = 0; i < r->nby; i++)
		one.by[i] = sd_run_told(art, r->by[i]);
	sd_results_add_one(r, &one);
	return 0;
}

/* A parameter of a run as its claim has it, or `otherwise`. */
static const char *parameter(const struct sd_artifact *art, const char *name, const char *otherwise)
{
	json_t *p = json_object_get(sd_artifact_lineage(art)->own->claim, "parameters");
	const char *text = json_string_value(json_object_get(p, name));
	return text ? text : otherwise;
}

/* Which images the evaluation number `i` (from 1) of an artifact is of: data set, split and portion. */
static char *images_name(const struct sd_artifact *art, int i)
{
	json_t *claim = sd_artifact_lineage(art)->own->claim;
	struct sd_str s = SD_STR_INIT;
	char role[32] = "data";
	if (i > 1)
		snprintf(role, sizeof role, "data%d", i);
	json_t *input = json_object_get(json_object_get(claim, "inputs"), role);
	const char *payload = json_string_value(json_object_get(input, "payload"));
	sd_str_addf(&s, "%s %s %s", payload ? payload : "-", parameter(art, "split", "test"),
		parameter(art, "train_portion", "-"));
	return sd_str_detach(&s);
}

/* Whether each image under `at` was predicted right: *right (n) to be freed; NULL in an artifact that did
 * not keep it. */
static int read_right(struct sd_artifact *art, const char *at, uint64_t *n, uint8_t **right)
{
	const struct sd_dset *d[2];
	int32_t *v[2] = { NULL, NULL };
	char path[64];
	int ret = -1;
	*right = NULL;
	*n = 0;
	snprintf(path, sizeof path, "%s/predicted", at);
	if (!sd_artifact_find(art, path))
		return 0;
	v[0] = sd_artifact_load(art, path, SD_TYPE_I32, &d[0]);
	snprintf(path, sizeof path, "%s/label", at);
	v[1] = sd_artifact_load(art, path, SD_TYPE_I32, &d[1]);
	if (!v[0] || !v[1])
		goto out;
	if (d[0]->rank != 1 || d[1]->rank != 1 || d[0]->count != d[1]->count) {
		sd_error(SD_ERR_DATA, "%s: predictions and labels under '%s/' differ in number",
			sd_artifact_name(art), at);
		goto out;
	}
	*n = d[0]->count;
	*right = sd_xcalloc(*n + 1, 1);
	for (uint64_t i = 0; i < *n; i++)
		(*right)[i] = v[0][i] == v[1][i];
	ret = 0;
out:
	free(v[0]);
	free(v[1]);
	return ret;
}

/* What was measured on data set number i of an evaluation, under `at`. */
static int add_eval_at(struct sd_results *r, struct sd_artifact *art, int64_t epoch, int i, const char *at)
{
	static const char *const what[3] = { "loss", "top1", "top5" };
	double v[3];
	char path[64];
	uint8_t *right;
	uint64_t n;
	for (int k = 0; k < 3; k++) {
		snprintf(path, sizeof path, "%s/%s", at, what[k]);
		if (sd_artifact_read(art, path, SD_TYPE_F64, &v[k], 1))
			return -1;
	}
	snprintf(path, sizeof path, "%s/data", at);
	char *data = sd_artifact_string(art, path, 0);
	int ret = data && !read_right(art, at, &n, &right) ?
		add(r, art, data, parameter(art, "split", "test"), epoch, pick(r, v[0], v[1], v[2]),
			images_name(art, i), n, right) : -1;
	free(data);
	return ret;
}

static int add_eval(struct sd_results *r, struct sd_artifact *art)
{
	char at[32] = "", path[64];
	int64_t epoch;
	if (sd_artifact_read(art, "/epoch", SD_TYPE_I64, &epoch, 1))
		return -1;
	for (int i = 1;; i++) {
		if (add_eval_at(r, art, epoch, i, at))
			return -1;
		snprintf(at, sizeof at, "/also/%d", i + 1);
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

static int add_also(struct sd_results *r, struct sd_artifact *art, const char *own,
	int64_t epoch)
{
	double *v[3] = { NULL, NULL, NULL };
	uint64_t n = 0;
	int ret = read_columns(art, r->last ? "/also/last_" : "/also/best_", v, &n);
	for (uint64_t i = 0; !ret && i < n; i++) {
		char *data = also_name(art, i, own);
		ret = data ? add(r, art, data, "test", epoch, pick(r, v[0][i], v[1][i], v[2][i]), NULL, 0, NULL) : -1;
		free(data);
	}
	for (int i = 0; i < 3; i++)
		free(v[i]);
	return ret;
}

/* Of a model on its own data set, at a row of its history. */
static int add_row(struct sd_results *r, struct sd_artifact *art, const char *data, bool train, int64_t best)
{
	double *v[3] = { NULL, NULL, NULL };
	uint64_t n = 0;
	int ret = read_columns(art, train ? "/history/train_" : "/history/valid_", v, &n);
	json_t *parameters = json_object_get(sd_artifact_lineage(art)->own->claim, "parameters");
	json_int_t first = json_integer_value(json_object_get(parameters, "start_epoch"));
	if (first < 1)
		first = 1;
	int64_t row = r->last ? (int64_t)n - 1 : best - first;
	/* the split that it was not trained on, if it was trained on a part */
	const char *split = train ? "train" : strcmp(parameter(art, "train_portion", "1"), "1") ? "valid" : "test";
	if (!ret && (row < 0 || row >= (int64_t)n))
		ret = sd_error(SD_ERR_DATA, "%s: its best epoch is not in its history", sd_artifact_name(art));
	if (!ret)
		ret = add(r, art, data, split, row + first, pick(r, v[0][row], v[1][row], v[2][row]), NULL, 0, NULL);
	for (int i = 0; i < 3; i++)
		free(v[i]);
	return ret;
}

static int add_model(struct sd_results *r, struct sd_artifact *art)
{
	const struct sd_dset *lr = sd_artifact_find(art, "/history/lr");
	char *data = sd_artifact_string(art, "/data", 0);
	int64_t best;
	int ret = -1;
	if (!data || sd_artifact_read(art, "/best_epoch", SD_TYPE_I64, &best, 1) ||
	    add_row(r, art, data, false, best))
		goto out;
	if (r->split && !strcmp(r->split, "train") && add_row(r, art, data, true, best))
		goto out;
	ret = sd_artifact_find(art, "/also/data") ?
		add_also(r, art, data, r->last && lr ? (int64_t)lr->count : best) : 0;
out:
	free(data);
	return ret;
}

int sd_results_add(struct sd_results *r, struct sd_artifact *art)
{
	const char *kind = sd_artifact_kind(art);
	if (!strcmp(kind, "eval"))
		return add_eval(r, art);
	if (!strcmp(kind, "model"))
		return add_model(r, art);
	return sd_error(SD_ERR_DATA, "%s: a %s artifact where a model or an eval was expected",
		sd_artifact_name(art), kind);
}

/* Runs of one recipe are of one architecture, whatever each of them calls it. */
static void share_names(struct sd_results *r)
{
	for (int i = 0; i < r->n; i++)
		for (int k = 0; k < r->n; k++)
			if (!strcmp(r->v[i].recipe, r->v[k].recipe))
				sd_names_add(&r->v[i].arch, r->v[k].arch);
	for (int i = 0; i < r->n; i++)
		for (int k = 0; k < r->nby; k++)
			if (!strcmp(r->by[k], "arch"))
				sd_names_add(&r->v[i].by[k], r->v[i].arch);
}

void sd_results_also_called(struct sd_results *r, const struct sd_artifact *art)
{
	const char *recipe = sd_artifact_lineage(art)->own->recipe;
	char *arch = sd_run_told(art, "arch");
	for (int i = 0; i < r->n; i++)
		if (!strcmp(r->v[i].recipe, recipe))
			sd_names_add(&r->v[i].arch, arch);
	free(arch);
}

void sd_results_drop_evaluated(struct sd_results *r)
{
	bool *evaluated = sd_xcalloc((size_t)r->n + 1, sizeof *evaluated);
	int kept = 0;
	for (int i = 0; i < r->n; i++)
		for (int k = 0; k < r->n && !evaluated[i]; k++)
			evaluated[i] = !strcmp(r->v[k].model, r->v[i].id) && !strcmp(r->v[k].data, r->v[i].data);
	for (int i = 0; i < r->n; i++) {
		if (evaluated[i])
			result_release(&r->v[i], r->nby);
		else
			r->v[kept++] = r->v[i];
	}
	r->n = kept;
	free(evaluated);
}

static bool pooled; /* of the results being sorted: qsort has no argument for it */

static int compare_groups(const struct sd_result *a, const struct sd_result *b)
{
	int c = pooled ? 0 : strcmp(a->arch, b->arch);
	if (!c)
		c = strcmp(a->data, b->data);
	if (!c && !pooled)
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
	pooled = r->pooled;
	share_names(r);
	if (r->n)
		qsort(r->v, (size_t)r->n, sizeof *r->v, compare);
}

int sd_results_group(const struct sd_results *r, int first)
{
	int n = 1;
	pooled = r->pooled;
	while (first + n < r->n && !compare_groups(&r->v[first], &r->v[first + n]))
		n++;
	return n;
}

struct sd_summary sd_results_summary(const struct sd_result *v, int n)
{
	double *x = sd_xcalloc((size_t)n + 1, sizeof *x);
	for (int i = 0; i < n; i++)
		x[i] = v[i].value;
	struct sd_summary s = sd_summarize(x, n);
	free(x);
	return s;
}

const struct sd_result *sd_results_best(const struct sd_results *r, const struct sd_result *v, int n)
{
	int best = 0;
	for (int i = 1; i < n; i++)
		if (sd_measure_low(r->measure) ? v[i].value < v[best].value : v[i].value > v[best].value)
			best = i;
	return &v[best];
}
