/* report_html.c: the page of a report. */
#include "train/report.h"

#include <stdlib.h>
#include <string.h>

#include "arch/dot.h"
#include "base/buildinfo.h"
#include "base/command.h"
#include "base/err.h"
#include "base/json.h"

static const char style_sheet[] =
	"body{font:15px/1.5 system-ui,sans-serif;color:#222;max-width:1200px;margin:2em auto;padding:0 1.2em}\n"
	"h1{font-size:1.6em}h2{font-size:1.25em;margin-top:2.2em;border-bottom:1px solid #ddd}\n"
	"table{border-collapse:collapse;font-size:.86em;display:block;overflow-x:auto}\n"
	"th,td{padding:.25em .7em;border-bottom:1px solid #e4e4e4;text-align:left;vertical-align:top;"
	"white-space:nowrap}\n"
	"th{background:#f5f5f5}td.number{text-align:right;font-variant-numeric:tabular-nums}\n"
	"td.id{white-space:normal;min-width:9em}td.id,code,.id{font-family:ui-monospace,monospace;font-size:.94em}\n"
	"tr:target{background:#fff3c4}a{color:#0b5cad;text-decoration:none}a:hover{text-decoration:underline}\n"
	"figure{margin:1em 0}figure svg{max-width:100%;height:auto}figcaption,.note{color:#555;font-size:.9em}\n"
	"pre{background:#f7f7f7;padding:.7em;overflow-x:auto;font-size:.85em}\n";

/* What an SVG file has from its root element on; `ids` tells whether ids are kept (gnuplot refers to its own,
 * dot does not and gives every picture the same). */
static int put_svg(const struct sd_blob *svg, int ids, const char *program, FILE *f)
{
	static const char id[] = " id=\"";
	const char *c = strstr((const char *)svg->data, "<svg");
	if (!c)
		return sd_error(SD_ERR_IO, "'%s' wrote no SVG", program);
	while (*c) {
		const char *end;
		if (!ids && !strncmp(c, id, sizeof id - 1) && (end = strchr(c + sizeof id - 1, '"')))
			c = end + 1;
		else
			fputc(*c++, f);
	}
	return 0;
}

/* A picture that a program made, or a note that there is no such program; other failures are the caller's. */
static int put_picture(int made, const struct sd_blob *svg, int ids, const char *program, FILE *f)
{
	if (!made)
		return put_svg(svg, ids, program, f);
	if (sd_error_kind() != SD_ERR_DEVICE)
		return -1;
	fputs("<p class=\"note\">Not drawn: ", f);
	sd_html_text(f, sd_error_text());
	fputs(".</p>\n", f);
	sd_error_clear();
	return 0;
}

static int put_curves(const struct sd_curves *curves, enum sd_measure measure, FILE *f)
{
	static const char *const kinds[] = { "model", "search" }, *const texts[] = { "Training", "Search" };
	fputs("<h2>Learning curves</h2>\n", f);
	if (!curves->n)
		fputs("<p class=\"note\">None: no model or search artifact was given.</p>\n", f);
	for (int k = 0; k < 2; k++) {
		enum sd_measure drawn[2] = { measure == SD_MEASURE_LOSS ? SD_MEASURE_ERROR : measure, SD_MEASURE_LOSS };
		struct sd_str ids = SD_STR_INIT;
		for (int i = 0; i < curves->n; i++)
			if (!strcmp(curves->v[i].kind, kinds[k]))
				sd_str_addf(&ids, "%s<a class=\"id\" href=\"#id-%.12s\">%.12s</a>", ids.len ? ", " : "",
					curves->v[i].id, curves->v[i].id);
		for (int m = 0; ids.len && m < 2; m++) {
			struct sd_blob svg = { 0 };
			char name[32];
			snprintf(name, sizeof name, "%s%s", kinds[k], sd_measure_name[drawn[m]]);
			fputs("<figure>\n", f);
			int made = sd_curves_plot(curves, kinds[k], drawn[m], "svg", name, &svg);
			int ret = put_picture(made, &svg, 1, "gnuplot", f);
			sd_blob_release(&svg);
			if (ret) {
				sd_str_release(&ids);
				return -1;
			}
			fprintf(f, "<figcaption>%s: %s by epoch, from %s.</figcaption>\n</figure>\n", texts[k],
				sd_measure_text[drawn[m]], ids.s);
		}
		sd_str_release(&ids);
	}
	return 0;
}

static int put_cell(const struct sd_report_cell *cell, FILE *f)
{
	static const char *const argv[] = { "dot", "-Tsvg", NULL };
	struct sd_table ids = SD_TABLE_INIT;
	struct sd_blob svg = { 0 };
	char *dot = NULL, *text = sd_genotype_text(&cell->g);
	size_t n = 0;
	int ret = -1;
	FILE *stream = open_memstream(&dot, &n);
	if (!stream) {
		sd_error_errno("cannot draw a cell");
		goto out;
	}
	int drawn = sd_genotype_dot(stream, &cell->g, SD_DOT_BOTH, NULL);
	if (fclose(stream) || drawn)
		goto out;
	fputs("<h3>", f);
	sd_html_text(f, cell->names.s);
	fputs("</h3>\n<figure>\n", f);
	if (put_picture(sd_command_run(argv, "graphviz", dot, n, &svg), &svg, 0, "dot", f))
		goto out;
	fputs("<figcaption>", f);
	if (cell->ids.len) {
		sd_table_head(&ids, "artifacts that have it");
		sd_table_ids(&ids, cell->ids.s, 1);
		sd_table_print(&ids, SD_TABLE_HTML, f);
	}
	fputs("</figcaption>\n</figure>\n<details><summary>as text</summary><pre>", f);
	sd_html_text(f, text);
	fputs("</pre></details>\n", f);
	ret = 0;
out:
	sd_blob_release(&svg);
	sd_table_release(&ids);
	free(dot);
	free(text);
	return ret;
}

static const char *file_of(const struct sd_report *r, const char *id)
{
	for (int i = 0; i < r->nfile; i++)
		if (!strcmp(r->file[i].id, id))
			return r->file[i].name;
	return NULL;
}

/* A manifest's inputs: links to artifacts, raw files by their SHA-256. */
static void put_inputs(const struct sd_manifest *m, FILE *f)
{
	const char *role;
	json_t *input;
	int some = 0;
	json_object_foreach(json_object_get(m->claim, "inputs"), role, input) {
		const char *id = sd_json_text(input, "id"), *sha256 = sd_json_text(input, "sha256");
		fputs(some++ ? "<br>" : "", f);
		sd_html_text(f, role);
		if (id)
			fprintf(f, " <a href=\"#id-%.12s\">%.12s</a>", id, id);
		else if (sha256)
			fprintf(f, " file, sha256 %.12s", sha256);
	}
	if (!some)
		fputs("-", f);
}

/* Every artifact, the links' targets. */
static void put_artifacts(const struct sd_report *r, FILE *f)
{
	fputs("<h2>Artifacts</h2>\n<p class=\"note\">The numbers above came from these; what they were made from is "
		"here too. An id is the SHA-256 of an artifact's claim: <code>sd-verify --print FILE</code> shows "
		"it and checks the file.</p>\n<table>\n<thead><tr><th>id</th><th>kind</th><th>tool</th><th>seed</th>"
		"<th>inputs</th><th>file</th><th>parameters, ids in full</th></tr></thead>\n<tbody>\n", f);
	for (int i = 0; i < r->nmanifest; i++) {
		const struct sd_manifest *m = r->manifest[i];
		const char *file = file_of(r, m->id);
		char *parameters = json_dumps(json_object_get(m->claim, "parameters"), JSON_SORT_KEYS | JSON_INDENT(1));
		fprintf(f, "<tr id=\"id-%.12s\"><td class=\"id\">%.12s</td><td>%s</td><td>", m->id, m->id, m->kind);
		sd_html_text(f, m->tool);
		fprintf(f, "</td><td class=\"number\">%s</td><td>", m->seed ? m->seed : "-");
		put_inputs(m, f);
		fputs("</td><td>", f);
		sd_html_text(f, file ? file : "-");
		fprintf(f, "</td><td><details><summary>show</summary><pre>id %s\nrecipe %s\npayload %s\n", m->id,
			m->recipe, m->payload);
		sd_html_text(f, parameters ? parameters : "");
		fputs("</pre></details></td></tr>\n", f);
		free(parameters);
	}
	fputs("</tbody>\n</table>\n", f);
}

static void put_tables(const struct sd_results *results, const struct sd_report_style *style, FILE *f)
{
	struct sd_results_style groups = { style->level, true, true };
	struct sd_table t = SD_TABLE_INIT;
	fprintf(f, "<h2>Results</h2>\n<p class=\"note\">%s of n runs that differ in their seed%s: mean+/-standard "
		"deviation and the confidence interval of the mean by Student's t. The best of n is one lucky run; "
		"it gets better with n and is not what another run would give.</p>\n", sd_measure_text[results->measure],
		results->pooled ? " or are grouped by hand" : "");
	sd_results_groups_table(results, &groups, &t);
	sd_table_print(&t, SD_TABLE_HTML, f);
	sd_table_release(&t);
	if (style->compared) {
		fputs("<h2>Comparisons</h2>\n<p class=\"note\">Differences are a - b; p is two-sided. McNemar's test counts "
			"the images that only one of two models gets right.</p>\n", f);
		sd_table_print(style->compared, SD_TABLE_HTML, f);
	}
	fputs("<h2>Runs</h2>\n", f);
	sd_results_runs_table(results, &t);
	sd_table_print(&t, SD_TABLE_HTML, f);
	sd_table_release(&t);
}

int sd_report_write(const struct sd_report *r, const struct sd_results *results, const struct sd_curves *curves,
	const struct sd_report_style *style, FILE *f)
{
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		"<meta name=\"viewport\" content=\"width=device-width\">\n<title>", f);
	sd_html_text(f, style->title);
	fprintf(f, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<h1>", style_sheet);
	sd_html_text(f, style->title);
	fputs("</h1>\n", f);
	if (results->n)
		put_tables(results, style, f);
	if (put_curves(curves, results->measure, f))
		return -1;
	if (r->ncell)
		fputs("<h2>Cells</h2>\n", f);
	for (int i = 0; i < r->ncell; i++)
		if (put_cell(&r->cell[i], f))
			return -1;
	put_artifacts(r, f);
	fprintf(f, "<p class=\"note\">Made by sd-collect %s.</p>\n</body>\n</html>\n", sd_build_version);
	return 0;
}
