/* curves_plot.c: learning curves, drawn by gnuplot. */
#include "train/curves.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/command.h"
#include "base/err.h"
#include "base/str.h"

/* Told apart by most people, in the order of use (Okabe and Ito; the yellow left out). */
static const char *const colour[] = { "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#555555" };
enum { NCOLOUR = sizeof colour / sizeof *colour };

const char *sd_curves_terminal(const char *file)
{
	static const struct { const char *end, *terminal; } known[] = {
		{ ".svg", "svg" }, { ".png", "pngcairo" }, { ".pdf", "pdfcairo" },
	};
	size_t len = strlen(file);
	if (!strcmp(file, "-"))
		return "svg";
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (len > 4 && !strcmp(file + len - 4, known[i].end))
			return known[i].terminal;
	sd_error(SD_ERR_USAGE, "'%s': the picture's name must end in .svg, .png or .pdf", file);
	return NULL;
}

/* The measure of an epoch on "train" or "valid" images, or NaN. */
static double value(const struct sd_curve *one, int epoch, const char *images, enum sd_measure measure)
{
	char name[32];
	snprintf(name, sizeof name, "%s_%s", images,
		measure == SD_MEASURE_ERROR ? "top1" : sd_measure_name[measure]);
	if (epoch < one->first || epoch >= one->first + one->n)
		return NAN;
	for (int i = 0; i < one->ncol; i++)
		if (!strcmp(one->column[i], name)) {
			double v = one->v[(epoch - one->first) * one->ncol + i];
			return measure == SD_MEASURE_ERROR ? 100 - v : v;
		}
	return NAN;
}

/* Over the runs that have it. */
static struct sd_summary over_runs(const struct sd_curve *v, int n, int epoch, const char *images,
	enum sd_measure measure)
{
	double *x = sd_xcalloc((size_t)n, sizeof *x);
	int have = 0;
	for (int i = 0; i < n; i++) {
		double y = value(&v[i], epoch, images, measure);
		if (isfinite(y))
			x[have++] = y;
	}
	struct sd_summary s = sd_summarize(x, have);
	free(x);
	return s;
}

static void add_number(struct sd_str *s, double x)
{
	char buf[32];
	sd_str_addf(s, " %s", isfinite(x) ? sd_real_text(x, buf) : "NaN");
}

/* One group's lines: epoch, validation mean, mean - std, mean + std, training mean. */
static void add_block(struct sd_str *s, int block, const struct sd_curve *v, int n, enum sd_measure measure)
{
	int first = v->first, last = 0;
	for (int i = 0; i < n; i++) {
		if (v[i].first < first)
			first = v[i].first;
		if (v[i].first + v[i].n > last)
			last = v[i].first + v[i].n;
	}
	sd_str_addf(s, "$g%d << EOD\n", block);
	for (int e = first; e < last; e++) {
		struct sd_summary valid = over_runs(v, n, e, "valid", measure);
		struct sd_summary train = over_runs(v, n, e, "train", measure);
		double std = valid.n > 1 ? valid.std : 0;
		sd_str_addf(s, "%d", e);
		add_number(s, valid.mean);
		add_number(s, valid.mean - std);
		add_number(s, valid.mean + std);
		add_number(s, train.mean);
		sd_str_addc(s, '\n');
	}
	sd_str_adds(s, "EOD\n");
}

/* In gnuplot's single quotes, where nothing is special but the quote. */
static void add_quoted(struct sd_str *s, const char *text)
{
	sd_str_addc(s, '\'');
	for (; *text; text++) {
		if (*text == '\'')
			sd_str_addc(s, '\'');
		sd_str_addc(s, (unsigned char)*text < ' ' ? ' ' : *text);
	}
	sd_str_addc(s, '\'');
}

/* What the key calls a group. */
static void add_label(struct sd_str *s, const struct sd_curves *c, const struct sd_curve *v, int n)
{
	struct sd_str label = SD_STR_INIT;
	if (c->pooled && c->nby) {
		sd_str_adds(&label, v->by[0]);
	} else {
		sd_str_adds(&label, strcmp(v->arch, "-") ? v->arch : v->label);
		sd_str_addf(&label, " %.6s", v->recipe);
		if (c->nby)
			sd_str_addf(&label, ", %s", v->by[0]);
	}
	for (int i = 1; i < c->nby; i++)
		sd_str_addf(&label, ", %s", v->by[i]);
	sd_str_addf(&label, " on %s, %d %s", v->data, n, n == 1 ? "run" : "runs");
	add_quoted(s, label.s);
	sd_str_release(&label);
}

/* The bands of all groups first, so that no band hides a line. */
static void add_plot(struct sd_str *s, const struct sd_curves *c, const char *kind)
{
	sd_str_adds(s, "plot");
	for (int lines = 0; lines < 2; lines++) {
		int block = 0;
		for (int at = 0, n; at < c->n; at += n) {
			const struct sd_curve *v = &c->v[at];
			n = sd_curves_group(c, at);
			if (kind && strcmp(v->kind, kind))
				continue;
			const char *rgb = colour[block % NCOLOUR];
			if (!lines && n > 1)
				sd_str_addf(s, " $g%d using 1:3:4 with filledcurves fillstyle transparent solid 0.2 "
					"noborder linecolor rgb '%s' notitle,", block, rgb);
			if (lines) {
				sd_str_addf(s, " $g%d using 1:5 with lines dashtype 2 linewidth 1 linecolor rgb '%s' "
					"notitle, $g%d using 1:2 with linespoints pointtype 7 pointsize %s "
					"linewidth 2 linecolor rgb '%s' title ", block, rgb, block,
					v->n > 40 ? "0" : "0.4", rgb);
				add_label(s, c, v, n);
				sd_str_addc(s, ',');
			}
			block++;
		}
	}
	sd_str_adds(s, " NaN with lines dashtype 2 linecolor rgb '#555555' title 'dashed: training images',"
		" NaN with filledcurves fillstyle transparent solid 0.2 noborder linecolor rgb '#555555' "
		"title 'band: mean ± standard deviation'\n");
}

int sd_curves_plot(const struct sd_curves *c, const char *kind, enum sd_measure measure, const char *terminal,
	const char *name, struct sd_blob *out)
{
	static const char *const argv[] = { "gnuplot", NULL };
	struct sd_str s = SD_STR_INIT;
	int groups = 0, epochs = 0;
	for (int at = 0, n; at < c->n; at += n) {
		n = sd_curves_group(c, at);
		if (!kind || !strcmp(c->v[at].kind, kind)) {
			add_block(&s, groups++, &c->v[at], n, measure);
			epochs = c->v[at].n > epochs ? c->v[at].n : epochs;
		}
	}
	if (!groups) {
		sd_str_release(&s);
		return sd_error(SD_ERR_USAGE, "there is no curve to draw: models or searches are expected");
	}
	if (!strcmp(terminal, "svg"))
		sd_str_addf(&s, "set terminal svg size 900,560 dynamic background 'white' font 'Helvetica,14' "
			"name '%s'\n", name);
	else
		sd_str_addf(&s, "set terminal %s size %s\n", terminal,
			strcmp(terminal, "pdfcairo") ? "900,560" : "18cm,11.2cm");
	sd_str_adds(&s, "set termoption noenhanced\nset encoding utf8\nset grid linecolor rgb '#dddddd'\n"
		"set border 3\nset tics nomirror\nset xlabel 'epoch'\n"
		"set key outside below maxcols 2 Left reverse\nset autoscale xfix\n"
		"set offsets graph 0.01, graph 0.01, 0, 0\n");
	if (epochs <= 10) /* gnuplot would put tics between few epochs */
		sd_str_adds(&s, "set xtics 1\n");
	sd_str_addf(&s, "set ylabel '%s'\n", sd_measure_text[measure]);
	add_plot(&s, c, kind);
	int ret = sd_command_run(argv, "gnuplot-nox", s.s, s.len, out);
	sd_str_release(&s);
	return ret;
}
