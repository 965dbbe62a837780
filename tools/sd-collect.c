/* sd-collect: many runs to one table, picture or page. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "base/tool.h"
#include "train/curves.h"
#include "train/genofile.h"
#include "train/report.h"
#include "train/results.h"

static struct {
	int format, measure, weights;
	bool runs, history;
	double confidence;
	const char *split, *plot, *html, *title;
	struct sd_opt_list by, group, compare;
} o;
static struct sd_shared shared;

static struct sd_opt rows[] = {
	SD_OPT_CHOICE("metric", NULL, SD_OUTPUT, &o.measure, "top1", "top1|error|top5|loss",
		      "what is collected: accuracies and the error (100 - top1) in percent, or the loss"),
	SD_OPT_CHOICE("weights", NULL, SD_OUTPUT, &o.weights, "best", "best|last",
		      "which epoch of a model counts"),
	SD_OPT_TEXT("split", NULL, SD_OUTPUT, &o.split, NULL, "SPLIT|DATA",
		    "only what was measured on this split (train, valid, test) or data set (cifar10.1)"),
	SD_OPT_LIST("by", NULL, SD_OUTPUT, &o.by, "PARAM",
		    "a column for this parameter or note, and a row for each of its values (repeatable)"),
	SD_OPT_LIST("group", NULL, SD_OUTPUT, &o.group, "PARAM",
		    "a row for each value of this instead of for each recipe (repeatable)"),
	SD_OPT_FLAG("runs", NULL, SD_OUTPUT, &o.runs, "one row a run"),
	SD_OPT_REAL("confidence", NULL, SD_OUTPUT, &o.confidence, "0.95", "R",
		    "level of the confidence intervals", SD_BETWEEN(0.5, 0.9999)),
	SD_OPT_LIST("compare", NULL, SD_OUTPUT, &o.compare, "A,B",
		    "tests of two rows against each other instead: named by architecture, a value of --by or "
		    "--group, or the recipe's first digits (repeatable)"),
	SD_OPT_FLAG("history", NULL, SD_OUTPUT, &o.history,
		    "the learning curves of models and searches instead, one row an epoch"),
	SD_OPT_CHOICE("format", NULL, SD_OUTPUT, &o.format, "tsv", "tsv|json|markdown", "of the table"),
	SD_OPT_TEXT("plot", NULL, SD_OUTPUT, &o.plot, NULL, "FILE",
		    "draw the learning curves too, with gnuplot: FILE.svg, .png or .pdf; - is an SVG on standard "
		    "output"),
	SD_OPT_TEXT("html", NULL, SD_OUTPUT, &o.html, NULL, "FILE",
		    "write a report of it all too: one page with tables, curves and cells; - is standard output"),
	SD_OPT_TEXT("title", NULL, SD_OUTPUT, &o.title, "Results", "TEXT", "heading of the report"),
	SD_OPT_FLAG("force", NULL, SD_OUTPUT, &shared.force, "replace an existing picture or report"),
	SD_OPTS_COMMON(shared),
	SD_OPT_END
};
static struct sd_opts opts = {
	.tool = "sd-collect", .summary = "collects runs into one table", .operands = "ARTIFACT...",
	.min_operands = 1, .max_operands = -1, .rows = rows,
	.epilog = "Artifacts are of the kinds eval and model, for curves and reports also search, for reports "
		"also\n"
		"genotypes.  A row stands for one recipe: the same experiment with different seeds.  Exit status 1:\n"
		"runs of equal recipe and seed have different results.",
};

/* All that was read. */
struct collection {
	struct sd_results results;
	struct sd_curves curves;
	struct sd_report report;
};

static bool curves_wanted(void)
{
	return o.history || o.plot || o.html;
}

/* A genotype's file, for the report: 1 if it was one, 0 if it is an artifact, -1 with a message. */
static int collect_genotype(struct collection *c, const char *name)
{
	struct sd_str path = SD_STR_INIT;
	struct sd_genofile f;
	char head[512];
	ssize_t n = sd_file_peek(name, head, sizeof head);
	if (n < 0 || sd_artifact_magic(head, (size_t)n))
		return n < 0 ? -1 : 0;
	sd_str_addf(&path, "%s%s", strchr(name, '/') || !strcmp(name, "-") ? "" : "./", name);
	int ret = sd_genofile_open(&f, path.s);
	if (!ret) {
		sd_report_add_genotype(&c->report, &f.g, f.lineage, sd_file_name(name));
		sd_genofile_release(&f);
	}
	sd_str_release(&path);
	return ret ? -1 : 1;
}

/* An artifact that was not seen before. */
static int collect_new(struct collection *c, struct sd_artifact *art)
{
	const char *kind = sd_artifact_kind(art);
	bool eval = !strcmp(kind, "eval"), search = !strcmp(kind, "search");
	if (o.html && sd_report_add(&c->report, art))
		return -1;
	if (curves_wanted() && (o.history || !eval) && sd_curves_add(&c->curves, art))
		return -1;
	return !o.history && !(search && curves_wanted()) ? sd_results_add(&c->results, art) : 0;
}

/* One that says what another said, perhaps under another name of its architecture. */
static int collect_repeated(struct collection *c, struct sd_artifact *art, const char *earlier)
{
	sd_tool_say(opts.tool, shared.quiet, "%s: the same run as %s, counted once", sd_artifact_name(art), earlier);
	sd_results_also_called(&c->results, art);
	sd_curves_also_called(&c->curves, art);
	return o.html ? sd_report_add(&c->report, art) : 0;
}

/* Adds one artifact: 0, 1 if it contradicts another, -1 with a message. */
static int collect(struct collection *c, const char *name)
{
	const char *earlier;
	int ret = o.html ? collect_genotype(c, name) : 0;
	if (ret)
		return ret < 0 ? -1 : 0;
	struct sd_artifact *art = sd_artifact_open(name, 0);
	if (!art)
		return -1;
	int seen = sd_results_seen(&c->results, art, &earlier);
	if (seen == SD_RESULTS_NEW)
		ret = collect_new(c, art);
	if (seen == SD_RESULTS_REPEATED)
		ret = collect_repeated(c, art, earlier);
	if (seen == SD_RESULTS_IRREPRODUCIBLE)
		sd_tool_say(opts.tool, false,
			"%s: irreproducible: the recipe and the seed of %s with another result",
			sd_artifact_name(art), earlier);
	sd_artifact_close(art);
	return ret ? -1 : seen == SD_RESULTS_IRREPRODUCIBLE;
}

/* The tests of one --compare. */
static int compare(const struct collection *c, const char *names, struct sd_table *t)
{
	const char *comma = strchr(names, ',');
	if (!comma || comma == names || !comma[1])
		return sd_error(SD_ERR_USAGE, "--compare expects two names with a comma between them, not '%s'",
			names);
	char *a = sd_xstrdup(names);
	a[comma - names] = 0;
	int ret = sd_results_compare(&c->results, a, comma + 1, o.confidence, t);
	free(a);
	return ret;
}

static int write_plot(const struct collection *c)
{
	struct sd_blob picture = { 0 };
	struct sd_out *out = NULL;
	const char *terminal = sd_curves_terminal(o.plot);
	int ret = -1;
	if (!terminal || sd_curves_plot(&c->curves, NULL, (enum sd_measure)o.measure, terminal, "curves", &picture))
		return -1;
	out = sd_out_open(o.plot, shared.force ? SD_OUT_FORCE : 0);
	if (out && !sd_write_all(sd_out_fd(out), picture.data, picture.size, o.plot)) {
		ret = sd_out_commit(out);
		out = NULL;
	}
	sd_out_abandon(out);
	sd_blob_release(&picture);
	return ret;
}

static int write_html(const struct collection *c, const struct sd_table *compared)
{
	struct sd_report_style style = { .title = o.title, .level = o.confidence, .compared = compared };
	struct sd_out *out = sd_out_open(o.html, shared.force ? SD_OUT_FORCE : 0);
	FILE *f = out ? sd_out_stream(out) : NULL;
	int ret = f ? sd_report_write(&c->report, &c->results, &c->curves, &style, f) : -1;
	if (!ret) {
		ret = sd_out_commit(out);
		out = NULL;
	}
	sd_out_abandon(out);
	return ret;
}

/* What goes to standard output, if a picture or a report doesn't. */
static void print_table(const struct collection *c, struct sd_table *compared)
{
	struct sd_results_style style = { .level = o.confidence, .brief = o.format == SD_TABLE_MARKDOWN };
	struct sd_table t = SD_TABLE_INIT;
	if ((o.plot && !strcmp(o.plot, "-")) || (o.html && !strcmp(o.html, "-")))
		return;
	if (o.history)
		sd_curves_table(&c->curves, &t);
	else if (o.runs)
		sd_results_runs_table(&c->results, &t);
	else if (!compared && (c->results.n || !curves_wanted()))
		sd_results_groups_table(&c->results, &style, &t);
	if (compared && !o.history && !o.runs)
		sd_table_print(compared, (enum sd_table_format)o.format, stdout);
	else if (t.ncol)
		sd_table_print(&t, (enum sd_table_format)o.format, stdout);
	sd_table_release(&t);
}

static int write_all(struct collection *c)
{
	struct sd_table compared = SD_TABLE_INIT;
	int ret = -1;
	sd_results_drop_evaluated(&c->results);
	sd_results_sort(&c->results);
	sd_curves_sort(&c->curves);
	if (o.split && !c->results.n && !o.history) {
		sd_error(SD_ERR_USAGE, "nothing was measured on '%s'", o.split);
		goto out;
	}
	for (int i = 0; i < o.compare.n; i++)
		if (compare(c, o.compare.v[i], &compared))
			goto out;
	if ((o.plot && write_plot(c)) || (o.html && write_html(c, o.compare.n ? &compared : NULL)))
		goto out;
	print_table(c, o.compare.n ? &compared : NULL);
	ret = 0;
out:
	sd_table_release(&compared);
	return ret;
}

static int check_options(void)
{
	if (o.by.n && o.group.n)
		return sd_error(SD_ERR_USAGE, "--by divides recipes and --group puts them together: one of them");
	if (o.history && (o.runs || o.compare.n || o.html))
		return sd_error(SD_ERR_USAGE, "--history is a table by itself: no --runs, --compare or --html with "
			"it");
	if (o.plot && o.html && !strcmp(o.plot, "-") && !strcmp(o.html, "-"))
		return sd_error(SD_ERR_USAGE, "--plot and --html can't both go to standard output");
	return sd_check_one_stdin(opts.operand, opts.noperand);
}

int main(int argc, char **argv)
{
	struct collection c;
	int done = sd_opts_parse(&opts, argc, argv), status = 0;
	if (done)
		return done < 0 ? sd_tool_fail(opts.tool) : sd_tool_close(opts.tool);
	const struct sd_opt_list *by = o.group.n ? &o.group : &o.by;
	sd_results_init(&c.results, (enum sd_measure)o.measure, o.weights == 1, by->n, by->v, o.group.n > 0);
	c.results.split = o.split;
	sd_curves_init(&c.curves, by->n, by->v, o.group.n > 0);
	sd_report_init(&c.report);
	if (check_options())
		status = sd_tool_fail(opts.tool);
	for (int i = 0; i < opts.noperand && status < 2; i++) {
		int ret = collect(&c, opts.operand[i]);
		if (ret)
			status = ret < 0 ? sd_tool_fail(opts.tool) : 1;
	}
	if (status < 2 && write_all(&c))
		status = sd_tool_fail(opts.tool);
	if (status < 2 && sd_tool_close(opts.tool))
		status = SD_ERR_IO;
	sd_report_release(&c.report);
	sd_curves_release(&c.curves);
	sd_results_release(&c.results);
	sd_opts_release(&opts);
	return status;
}
