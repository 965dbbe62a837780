/* sd-collect: many runs to one table. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/str.h"
#include "base/tool.h"
#include "train/stats.h"

enum { TSV, JSON, MARKDOWN };

static struct {
	int format, measure, weights;
	bool runs;
	struct sd_opt_list by;
} o;
static struct sd_shared shared;

static struct sd_opt rows[] = {
	SD_OPT_CHOICE("metric", NULL, SD_OUTPUT, &o.measure, "top1", "top1|error|top5|loss",
		      "what is collected: accuracies and the error (100 - top1) in percent, or the loss"),
	SD_OPT_CHOICE("weights", NULL, SD_OUTPUT, &o.weights, "best", "best|last",
		      "which epoch of a model counts"),
	SD_OPT_LIST("by", NULL, SD_OUTPUT, &o.by, "PARAM",
		    "a column for this parameter, and a row for each of its values (repeatable)"),
	SD_OPT_FLAG("runs", NULL, SD_OUTPUT, &o.runs, "one row a run"),
	SD_OPT_CHOICE("format", NULL, SD_OUTPUT, &o.format, "tsv", "tsv|json|markdown", "of the table"),
	SD_OPTS_COMMON(shared),
	SD_OPT_END
};
static struct sd_opts opts = {
	.tool = "sd-collect", .summary = "collects runs into one table", .operands = "ARTIFACT...",
	.min_operands = 1, .max_operands = -1, .rows = rows,
	.epilog = "Artifacts are of the kinds eval and model.  A row stands for one recipe: the same experiment "
		"with\n"
		"different seeds.  Exit status 1: runs of equal recipe and seed have different results.",
};

/* A number as the table has it. */
static const char *number(double x, char buf[32])
{
	if (isnan(x))
		return "-";
	snprintf(buf, 32, o.measure == SD_MEASURE_LOSS ? "%.6f" : "%.4f", x);
	return buf;
}

/* The run of the group that did best. */
static const struct sd_result *best_of(const struct sd_result *v, int n)
{
	int low = o.measure == SD_MEASURE_ERROR || o.measure == SD_MEASURE_LOSS, best = 0;
	for (int i = 1; i < n; i++)
		if (low ? v[i].value < v[best].value : v[i].value > v[best].value)
			best = i;
	return &v[best];
}

static struct sd_summary summary_of(const struct sd_result *v, int n)
{
	double *x = sd_xmalloc((size_t)n * sizeof *x);
	for (int i = 0; i < n; i++)
		x[i] = v[i].value;
	struct sd_summary s = sd_summarize(x, n);
	free(x);
	return s;
}

/* ---- tsv and markdown: rows of text cells ---- */

static void print_row(int n, const char *const *cell)
{
	if (o.format == MARKDOWN)
		fputs("| ", stdout);
	for (int i = 0; i < n; i++)
		printf("%s%s", i ? o.format == MARKDOWN ? " | " : "\t" : "", cell[i]);
	puts(o.format == MARKDOWN ? " |" : "");
}

static void print_head(int n, const char *const *cell)
{
	print_row(n, cell);
	if (o.format != MARKDOWN)
		return;
	for (int i = 0; i < n; i++)
		fputs("| --- ", stdout);
	puts("|");
}

/* "1.98+/-0.07" */
static const char *spread(const struct sd_summary *s, char buf[64])
{
	if (isnan(s->std))
		snprintf(buf, 64, "%.2f", s->mean);
	else
		snprintf(buf, 64, "%.2f+/-%.2f", s->mean, s->std);
	return buf;
}

static void print_groups(const struct sd_results *r)
{
	static const char *const tsv[] = { "n", "mean", "std", "stderr", "min", "max", "best_epoch" };
	static const char *const markdown[] = { "n", "", "min", "max", "best epoch" };
	static const char *const measure[] = { "top-1 (%)", "error (%)", "top-5 (%)", "loss" };
	int md = o.format == MARKDOWN, ntail = md ? 5 : 7, n = 0;
	const char **cell = sd_xcalloc((size_t)r->nby + 16, sizeof *cell);
	char buf[8][64], recipe[16];

	cell[n++] = "recipe";
	cell[n++] = "arch";
	cell[n++] = "data";
	for (int i = 0; i < r->nby; i++)
		cell[n++] = r->by[i];
	for (int i = 0; i < ntail; i++)
		cell[n++] = !md ? tsv[i] : i == 1 ? measure[o.measure] : markdown[i];
	print_head(n, cell);
	for (int at = 0, count; at < r->n; at += count) {
		count = sd_results_group(r, at);
		const struct sd_result *v = &r->v[at];
		struct sd_summary s = summary_of(v, count);
		n = 0;
		snprintf(recipe, sizeof recipe, "%.12s", v->recipe);
		cell[n++] = recipe;
		cell[n++] = v->arch;
		cell[n++] = v->data;
		for (int i = 0; i < r->nby; i++)
			cell[n++] = v->by[i];
		snprintf(buf[0], sizeof buf[0], "%d", s.n);
		cell[n++] = buf[0];
		if (md) {
			cell[n++] = spread(&s, buf[1]);
		} else {
			cell[n++] = number(s.mean, buf[1]);
			cell[n++] = number(s.std, buf[2]);
			cell[n++] = number(s.sem, buf[3]);
		}
		cell[n++] = number(s.min, buf[4]);
		cell[n++] = number(s.max, buf[5]);
		snprintf(buf[6], sizeof buf[6], "%lld", (long long)best_of(v, count)->epoch);
		cell[n++] = buf[6];
		print_row(n, cell);
	}
	free(cell);
}

static void print_runs(const struct sd_results *r)
{
	static const char *const measure[] = { "top1", "error", "top5", "loss" };
	const char **cell = sd_xcalloc((size_t)r->nby + 16, sizeof *cell);
	char value[32], epoch[32], recipe[16], id[16];
	int n = 0;

	cell[n++] = "recipe";
	cell[n++] = "arch";
	cell[n++] = "data";
	for (int i = 0; i < r->nby; i++)
		cell[n++] = r->by[i];
	cell[n++] = "seed";
	cell[n++] = measure[o.measure];
	cell[n++] = "epoch";
	cell[n++] = "id";
	cell[n++] = "file";
	print_head(n, cell);
	for (int k = 0; k < r->n; k++) {
		const struct sd_result *v = &r->v[k];
		n = 0;
		snprintf(recipe, sizeof recipe, "%.12s", v->recipe);
		snprintf(id, sizeof id, "%.12s", v->id);
		snprintf(epoch, sizeof epoch, "%lld", (long long)v->epoch);
		cell[n++] = recipe;
		cell[n++] = v->arch;
		cell[n++] = v->data;
		for (int i = 0; i < r->nby; i++)
			cell[n++] = v->by[i];
		cell[n++] = *v->seed ? v->seed : "-";
		cell[n++] = number(v->value, value);
		cell[n++] = epoch;
		cell[n++] = id;
		cell[n++] = v->file;
		print_row(n, cell);
	}
	free(cell);
}

/* ---- json ---- */

static json_t *real_or_null(double x)
{
	return isfinite(x) ? json_real(x) : json_null();
}

static json_t *json_head(const struct sd_results *r, const struct sd_result *v)
{
	json_t *row = json_object();
	json_object_set_new(row, "recipe", json_string(v->recipe));
	json_object_set_new(row, "arch", sd_json_bytes(v->arch));
	json_object_set_new(row, "data", sd_json_bytes(v->data));
	for (int i = 0; i < r->nby; i++)
		json_object_set_new(row, r->by[i], sd_json_bytes(v->by[i]));
	return row;
}

static void print_json(const struct sd_results *r)
{
	json_t *all = json_array();
	for (int at = 0, count; at < r->n; at += count) {
		const struct sd_result *v = &r->v[at];
		json_t *row = json_head(r, v);
		count = o.runs ? 1 : sd_results_group(r, at);
		if (o.runs) {
			json_object_set_new(row, "seed", json_string(v->seed));
			json_object_set_new(row, "value", real_or_null(v->value));
			json_object_set_new(row, "epoch", json_integer(v->epoch));
			json_object_set_new(row, "id", json_string(v->id));
			json_object_set_new(row, "file", sd_json_bytes(v->file));
		} else {
			struct sd_summary s = summary_of(v, count);
			json_object_set_new(row, "n", json_integer(s.n));
			json_object_set_new(row, "mean", real_or_null(s.mean));
			json_object_set_new(row, "std", real_or_null(s.std));
			json_object_set_new(row, "stderr", real_or_null(s.sem));
			json_object_set_new(row, "min", real_or_null(s.min));
			json_object_set_new(row, "max", real_or_null(s.max));
			json_object_set_new(row, "best_epoch", json_integer(best_of(v, count)->epoch));
		}
		json_array_append_new(all, row);
	}
	json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
}

/* Adds one artifact: 0, 1 if it contradicts another, -1 with a message. */
static int collect(struct sd_results *r, const char *name)
{
	const char *earlier;
	struct sd_artifact *art = sd_artifact_open(name, 0);
	if (!art)
		return -1;
	int added = sd_results_add(r, art, &earlier);
	if (added == SD_RESULTS_REPEATED)
		sd_tool_say(opts.tool, shared.quiet, "%s: the same run as %s, counted once",
			sd_artifact_name(art), earlier);
	if (added == SD_RESULTS_IRREPRODUCIBLE)
		sd_tool_say(opts.tool, false,
			"%s: irreproducible: the recipe and the seed of %s with another result",
			sd_artifact_name(art), earlier);
	sd_artifact_close(art);
	return added < 0 ? -1 : added == SD_RESULTS_IRREPRODUCIBLE;
}

int main(int argc, char **argv)
{
	struct sd_results results;
	int done = sd_opts_parse(&opts, argc, argv), status = 0;
	if (done)
		return done < 0 ? sd_tool_fail(opts.tool) : sd_tool_close(opts.tool);
	sd_results_init(&results, (enum sd_measure)o.measure, o.weights == 1, o.by.n, o.by.v);
	if (sd_check_one_stdin(opts.operand, opts.noperand))
		return sd_tool_fail(opts.tool);
	for (int i = 0; i < opts.noperand; i++) {
		int ret = collect(&results, opts.operand[i]);
		if (ret < 0) {
			status = sd_tool_fail(opts.tool);
			goto out;
		}
		if (ret)
			status = 1;
	}
	sd_results_sort(&results);
	if (o.format == JSON)
		print_json(&results);
	else if (o.runs)
		print_runs(&results);
	else
		print_groups(&results);
	if (sd_tool_close(opts.tool))
		status = SD_ERR_IO;
out:
	sd_results_release(&results);
	sd_opts_release(&opts);
	return status;
}
