/* opthelp.c: what an option table says about itself. */
#include <ctype.h>
#include <string.h>

#include "base/buildinfo.h"
#include "base/opt.h"
#include "base/str.h"

#define WIDTH 79
#define COLUMN 30 /* where help texts begin */

static const struct {
	enum sd_opt_class class;
	const char *name;
	const char *heading;
} classes[] = {
	{ SD_INPUT_NAME, "input", "Input" },
	{ SD_NUMERIC, "numeric", "What is computed (recorded in the claim)" },
	{ SD_EXECUTION, "execution", "How it is run" },
	{ SD_OUTPUT, "output", "Output" },
};
#define NCLASS ((int)(sizeof(classes) / sizeof(classes[0])))

/* Words from column `col` on, lines broken at WIDTH. */
static void wrap(FILE *f, const char *text, int col)
{
	int at = col;

	while (*text) {
		int n = (int)strcspn(text, " ");

		if (at > col && at + 1 + n > WIDTH) {
			fprintf(f, "\n%*s", col, "");
			at = col;
		} else if (at > col) {
			fputc(' ', f);
			at++;
		}
		fprintf(f, "%.*s", n, text);
		at += n;
		text += n;
		text += strspn(text, " ");
	}
	fputc('\n', f);
}

static void help_row(FILE *f, const struct sd_opt *row)
{
	struct sd_str left = SD_STR_INIT, right = SD_STR_INIT;

	sd_str_adds(&left, "  ");
	for (const char *p = row->aliases; p && *p; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");

		sd_str_add(&left, p, n);
		sd_str_adds(&left, ", ");
		p += n;
	}
	sd_str_addf(&left, "--%s", row->name);
	if (row->metavar)
		sd_str_addf(&left, row->bare ? "[=%s]" : " %s", row->metavar);
	sd_str_adds(&right, row->help);
	if (row->def && row->type != SD_OPT_TYPE_FLAG && *row->def)
		sd_str_addf(&right, " (default: %s)", row->def);
	fputs(left.s, f);
	if (left.len + 2 > COLUMN)
		fprintf(f, "\n%*s", COLUMN, "");
	else
		fprintf(f, "%*s", (int)(COLUMN - left.len), "");
	wrap(f, right.s, COLUMN);
	sd_str_release(&left);
	sd_str_release(&right);
}

void sd_opts_help(const struct sd_opts *opts, FILE *f)
{
	fprintf(f, "usage: %s [options]%s%s\n", opts->tool, opts->operands ? " " : "",
		opts->operands ? opts->operands : "");
	fprintf(f, "%s\n", opts->summary);
	for (int c = 0; c < NCLASS; c++) {
		bool headed = false;

		for (const struct sd_opt *row = opts->rows; row->type != SD_OPT_TYPE_END; row++) {
			if (row->class != classes[c].class)
				continue;
			if (!headed)
				fprintf(f, "\n%s:\n", classes[c].heading);
			headed = true;
			help_row(f, row);
		}
	}
	fprintf(f, "\nBesides:\n"
		   "  -h, --help                  print this\n"
		   "  --version                   print the version\n"
		   "  --synopsis                  print the options as a table\n"
		   "  --completion                print a completion script for bash\n");
	if (opts->epilog)
		fprintf(f, "\n%s\n", opts->epilog);
}

void sd_opts_version(const struct sd_opts *opts, FILE *f)
{
	fprintf(f, "%s (sharpdarts) %s\nsource %s\n", opts->tool, sd_build_version, sd_build_source);
	if (*sd_build_commit)
		fprintf(f, "commit %s%s\n", sd_build_commit, *sd_build_dirty ? " and changes" : "");
}

static const char *const types[] = {
	[SD_OPT_TYPE_FLAG] = "flag", [SD_OPT_TYPE_INT] = "int", [SD_OPT_TYPE_SEED] = "seed",
	[SD_OPT_TYPE_REAL] = "real", [SD_OPT_TYPE_TEXT] = "text", [SD_OPT_TYPE_CHOICE] = "choice",
	[SD_OPT_TYPE_LIST] = "list",
};

void sd_opts_synopsis(const struct sd_opts *opts, FILE *f)
{
	for (const struct sd_opt *row = opts->rows; row->type != SD_OPT_TYPE_END; row++) {
		const char *class = "";

		for (int c = 0; c < NCLASS; c++)
			if (classes[c].class == row->class)
				class = classes[c].name;
		fprintf(f, "--%s\t%s\t%s\t%s\t%s\t%s\n", row->name, row->aliases ? row->aliases : "",
			row->metavar ? row->metavar : "", row->def ? row->def : "", class, types[row->type]);
	}
}

void sd_opts_completion(const struct sd_opts *opts, FILE *f)
{
	char function[64];
	size_t n = 0;

	for (const char *p = opts->tool; *p && n + 1 < sizeof(function); p++)
		function[n++] = isalnum((unsigned char)*p) ? *p : '_';
	function[n] = '\0';
	fprintf(f, "_%s() {\n", function);
	fprintf(f, "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n");
	fprintf(f, "\tcase $prev in\n");
	for (const struct sd_opt *row = opts->rows; row->type != SD_OPT_TYPE_END; row++) {
		if (row->type != SD_OPT_TYPE_CHOICE)
			continue;
		fprintf(f, "\t--%s) COMPREPLY=($(compgen -W '", row->name);
		for (const char *p = row->choices; *p; p++)
			fputc(*p == '|' ? ' ' : *p, f);
		fprintf(f, "' -- \"$cur\")); return ;;\n");
	}
	fprintf(f, "\tesac\n\tif [[ $cur == -* ]]; then\n\t\tCOMPREPLY=($(compgen -W '--help --version");
	for (const struct sd_opt *row = opts->rows; row->type != SD_OPT_TYPE_END; row++)
		fprintf(f, " --%s", row->name);
	fprintf(f, "' -- \"$cur\"))\n\telse\n\t\tCOMPREPLY=($(compgen -f -- \"$cur\"))\n\tfi\n}\n");
	fprintf(f, "complete -o filenames -F _%s %s\n", function, opts->tool);
}
