/* judge.c: what it means that an artifact came out again as it did. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "provenance/diff.h"
#include "provenance/rerun_priv.h"
#include "train/stats.h"

/* ---- what else was not the same ---- */

/* Members of the context that can change a number although they must not. */
static const char *const suspects[] = { "compiler", "libraries", "code_path", "host" };

/* Lists what differs between the two makings; how many things that may explain another result (a parameter
 * is none: the command line had it). */
static size_t say_surroundings(struct sd_stage *s, const struct sd_manifest *now)
{
	json_t *list = json_array(), *d;
	size_t i, excuses, parameters;

	sd_diff_json(list, "source", json_object_get(s->m->claim, "source"), json_object_get(now->claim, "source"));
	sd_diff_json(list, "environment", json_object_get(s->m->claim, "environment"),
		json_object_get(now->claim, "environment"));
	excuses = json_array_size(list);
	sd_diff_json(list, "parameters", json_object_get(s->m->claim, "parameters"),
		json_object_get(now->claim, "parameters"));
	parameters = json_array_size(list) - excuses;
	if (!json_object_size(s->m->context))
		json_array_append_new(list, json_pack("{s:s}", "what", "the context was not recorded"));
	for (i = 0; json_object_size(s->m->context) && i < sizeof(suspects) / sizeof(suspects[0]); i++)
		sd_diff_json(list, suspects[i], json_object_get(s->m->context, suspects[i]),
			json_object_get(now->context, suspects[i]));
	json_array_foreach(list, i, d) {
		struct sd_str line = SD_STR_INIT;

		if (strcmp(sd_json_text(d, "what"), "source") == 0)
			continue; /* said when the tool was found */
		if (json_object_size(d) > 1)
			sd_diff_line(d, &line);
		else
			sd_str_adds(&line, sd_json_text(d, "what"));
		sd_stage_say(s, "differs: %s", line.s);
		sd_str_release(&line);
	}
	excuses = json_array_size(list) - parameters;
	json_decref(list);
	return excuses;
}

/* Inputs whose payload is not the recorded one; how many there were, or -1 for a raw file, which is no
 * input of this artifact then. */
static int say_inputs(struct sd_stage *s, const struct sd_manifest *now)
{
	json_t *in, *inputs = json_object_get(s->m->claim, "inputs");
	const char *role;
	int n = 0;

	json_object_foreach(inputs, role, in) {
		const json_t *other = json_object_get(json_object_get(now->claim, "inputs"), role);
		const char *was = sd_json_text(in, "payload"), *is = sd_json_text(other, "payload");

		if (!was && !json_equal(in, other))
			return sd_error(SD_ERR_NOINPUT, "its raw files were not found: '%s' has changed", role);
		if (was && (!is || strcmp(was, is) != 0)) {
			sd_stage_say(s, "differs: the payload of its input '%s'", role);
			n++;
		}
	}
	return n;
}

/* ---- the payload ---- */

/* Whether it has the recorded datasets, each in its form; in more the new one may have, from another
 * source. */
static bool same_form(const struct sd_payload_diff *d, bool other_source)
{
	for (int i = 0; i < d->n; i++)
		if (d->v[i].fate == SD_DSET_FORM || d->v[i].fate == SD_DSET_ONLY_A ||
		    (d->v[i].fate == SD_DSET_ONLY_B && !other_source))
			return false;
	return true;
}

static void say_payload(struct sd_stage *s, const struct sd_payload_diff *d)
{
	const struct sd_dset_diff *worst = sd_payload_worst(d);
	char buf[32];
	int added = 0;

	s->differences = json_array();
	for (int i = 0; i < d->n; i++)
		added += d->v[i].fate == SD_DSET_ONLY_B;
	if (added == d->n)
		sd_stage_say(s, "all %d recorded datasets are the same; there are others", d->nsame);
	else if (worst)
		sd_stage_say(s, "%d of %d datasets differ, the worst by %s relative: %s", d->n, d->n + d->nsame,
			(snprintf(buf, sizeof(buf), "%.3g", worst->relative), buf), worst->path);
	for (int i = 0; i < d->n; i++) {
		struct sd_str line = SD_STR_INIT;

		json_array_append_new(s->differences, sd_dset_diff_json(&d->v[i]));
		sd_dset_diff_text(&d->v[i], &line);
		sd_stage_say(s, "%s", line.s);
		sd_str_release(&line);
	}
}

/* Not the same payload: why, and by how much. */
static int judge_other(const struct sd_rerun *r, struct sd_stage *s, const struct sd_manifest *now)
{
	bool other_source = strcmp(sd_json_text(s->m->claim, "source"), sd_json_text(now->claim, "source")) != 0;
	struct sd_payload_diff d;
	bool form = true, inside = false;
	int inputs = say_inputs(s, now);
	size_t excuses = say_surroundings(s, now);

	if (inputs < 0)
		return -1;
	if (s->found) {
		if (sd_payload_compare(&d, s->found, s->made) < 0)
			return -1;
		form = same_form(&d, other_source);
		say_payload(s, &d);
		sd_payload_diff_release(&d);
	} else {
		sd_stage_say(s, "its file was not found: by how much it differs cannot be told");
	}
	s->verdict = SD_VERDICT_BROKEN;
	if (!form) {
		sd_stage_say(s, "what it holds is of another form");
	} else if (!excuses && !inputs && !s->m->complete) {
		s->verdict = SD_VERDICT_UNTRIED;
		sd_stage_say(s, "a checkpoint left during an evaluation or between epochs is not made again");
	} else if (!excuses && !inputs) {
		sd_stage_say(s, "source, environment and inputs are as recorded: the claim does not hold");
	} else {
		s->verdict = SD_VERDICT_NUMERIC;
		if (r->o->runs->n && s->name && sd_stage_compare_runs(r->o->runs, s, &inside) < 0)
			return -1;
		if (inside)
			s->verdict = SD_VERDICT_STATISTICAL;
	}
	return 0;
}

int sd_stage_judge(const struct sd_rerun *r, struct sd_stage *s, const struct sd_lineage *now)
{
	if (strcmp(now->own->payload, s->m->payload) != 0)
		return judge_other(r, s, now->own);
	if (say_inputs(s, now->own) < 0)
		return -1;
	s->verdict = SD_VERDICT_BITWISE;
	sd_stage_say(s, "payload: %s", s->m->payload);
	return 0;
}

/* ---- other runs ---- */

/* What a kind of artifact measures: the last element counts. */
static const struct metric { const char *kind, *path; } metrics[] = {
	{ "eval", "/loss" }, { "eval", "/top1" },
	{ "model", "/history/valid_loss" }, { "model", "/history/valid_top1" },
	{ "search", "/history/valid_loss" }, { "search", "/history/valid_top1" },
};
enum { NMETRIC = sizeof(metrics) / sizeof(metrics[0]) };

struct runs {
	struct sd_str payloads;  /* of those that are there already */
	double *value[NMETRIC];  /* (n) each, of the kind */
	int n;
};

static int read_metric(struct sd_artifact *art, const char *path, double *value)
{
	const struct sd_dset *d;
	double *v = sd_artifact_load(art, path, SD_TYPE_F64, &d);

	if (!v)
		return -1;
	if (d->count)
		*value = v[d->count - 1];
	free(v);
	return d->count ? 0 : sd_error(SD_ERR_DATA, "%s: %s is empty", sd_artifact_name(art), path);
}

static int read_metrics(const char *path, const char *kind, double value[NMETRIC])
{
	struct sd_artifact *art = sd_artifact_open(path, 0);
	int rc = art ? 0 : -1;

	for (int i = 0; i < NMETRIC && rc == 0; i++)
		if (strcmp(metrics[i].kind, kind) == 0)
			rc = read_metric(art, metrics[i].path, &value[i]);
	sd_artifact_close(art);
	return rc;
}

/* Adds a run of the recipe, once for equal payloads; in a folder what is none is passed over. */
static int add_run(struct runs *runs, const struct sd_stage *s, const char *path, bool folder)
{
	struct sd_artifact *art = sd_artifact_open(path, SD_ARTIFACT_NODATA);
	const struct sd_manifest *m = art ? sd_artifact_lineage(art)->own : NULL;
	double value[NMETRIC];
	int rc = 0;

	if (!m || strcmp(m->recipe, s->m->recipe) != 0) {
		if (!folder)
			rc = m ? sd_error(SD_ERR_DATA, "%s: a run of another recipe (%.12s) than %s (%.12s)", path,
				m->recipe, s->name, s->m->recipe) : -1;
	} else if (!runs->payloads.s || !strstr(runs->payloads.s, m->payload)) {
		rc = read_metrics(path, s->m->kind, value);
		for (int i = 0; i < NMETRIC && rc == 0; i++) {
			runs->value[i] = sd_xrealloc(runs->value[i],
				(size_t)(runs->n + 1) * sizeof(*runs->value[i]));
			runs->value[i][runs->n] = value[i];
		}
		if (rc == 0) {
			sd_str_addf(&runs->payloads, "%s ", m->payload);
			runs->n++;
		}
	}
	sd_artifact_close(art);
	return rc;
}

static int add_runs(struct runs *runs, const struct sd_stage *s, const char *path)
{
	struct sd_finder files = SD_FINDER_INIT;
	struct stat st;
	int rc;

	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
		return add_run(runs, s, path, false);
	rc = sd_finder_add_folder(&files, path);
	for (int i = 0; i < files.n && rc == 0; i++)
		if (*files.file[i].id)
			rc = add_run(runs, s, files.file[i].path, true);
	sd_finder_release(&files);
	return rc;
}

/* The prediction interval for one more run: mean -+ t(0.05, n - 1) * std * sqrt(1 + 1/n) (Hahn and Meeker,
 * Statistical Intervals, 1991, section 4.7). */
static bool within(struct sd_stage *s, const char *path, const double *x, int n, double value)
{
	struct sd_summary sum = sd_summarize(x, n);
	double half = sd_t_quantile(0.05, n - 1) * sum.std * sqrt(1 + 1 / (double)n);
	bool inside = fabs(value - sum.mean) <= half;

	sd_stage_say(s, "%s: %.6g, %s %.6g to %.6g, where 95 %% of runs fall after %d", path, value,
		inside ? "within" : "outside", sum.mean - half, sum.mean + half, n);
	return inside;
}

static void release(struct runs *runs)
{
	for (int i = 0; i < NMETRIC; i++)
		free(runs->value[i]);
	sd_str_release(&runs->payloads);
}

/* The recorded artifact and all of the list. */
static int collect(struct runs *runs, const struct sd_opt_list *list, const struct sd_stage *s)
{
	int rc = s->found ? add_run(runs, s, s->found, false) : 0;

	for (int i = 0; i < list->n && rc == 0; i++)
		rc = add_runs(runs, s, list->v[i]);
	return rc;
}

int sd_stage_check_runs(const struct sd_opt_list *list, const struct sd_stage *s)
{
	struct runs runs = { .n = 0 };
	int rc = list->n ? collect(&runs, list, s) : 0;

	release(&runs);
	return rc;
}

int sd_stage_compare_runs(const struct sd_opt_list *list, struct sd_stage *s, bool *inside)
{
	struct runs runs = { .n = 0 };
	double value[NMETRIC];
	int rc, measured = 0;

	*inside = false;
	for (int i = 0; i < NMETRIC; i++)
		measured += strcmp(metrics[i].kind, s->m->kind) == 0;
	if (!measured) {
		sd_stage_say(s, "a %s measures nothing that runs could be compared by", s->m->kind);
		return 0;
	}
	rc = collect(&runs, list, s);
	if (rc == 0)
		rc = read_metrics(s->made, s->m->kind, value);
	if (rc == 0 && runs.n < 2) {
		sd_stage_say(s, "%d run of the recipe: at least 2 are needed to compare with", runs.n);
	} else if (rc == 0) {
		*inside = true;
		for (int i = 0; i < NMETRIC; i++)
			if (strcmp(metrics[i].kind, s->m->kind) == 0 &&
			    !within(s, metrics[i].path, runs.value[i], runs.n, value[i]))
				*inside = false;
	}
	release(&runs);
	return rc;
}
