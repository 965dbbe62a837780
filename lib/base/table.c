/* table.c: a table of text and numbers, printed in several forms. */
#include "base/table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"

enum cell_type { TEXT, REAL, INT, NONE, HASH, ID, IDS }; /* from HASH on hexadecimal */

struct sd_table_cell {
	enum cell_type type;
	char *text;   /* as TSV has it; of ids all digits */
	double real;
	int64_t integer;
};

enum { DIGITS = 12 };

void sd_table_release(struct sd_table *t)
{
	for (int i = 0; i < t->ncol; i++)
		free(t->head[i]);
	for (int i = 0; i < t->ncell; i++)
		free(t->cell[i].text);
	free(t->head);
	free(t->cell);
	memset(t, 0, sizeof *t);
}

void sd_table_head(struct sd_table *t, const char *name)
{
	t->head = sd_xrealloc(t->head, (size_t)(t->ncol + 1) * sizeof *t->head);
	t->head[t->ncol++] = sd_xstrdup(name);
}

static void add(struct sd_table *t, struct sd_table_cell cell)
{
	if (t->ncell == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 64;
		t->cell = sd_xrealloc(t->cell, (size_t)t->cap * sizeof *t->cell);
	}
	t->cell[t->ncell++] = cell;
}

void sd_table_text(struct sd_table *t, const char *text)
{
	add(t, (struct sd_table_cell){ .type = TEXT, .text = sd_xstrdup(text) });
}

void sd_table_none(struct sd_table *t)
{
	add(t, (struct sd_table_cell){ .type = NONE, .text = sd_xstrdup("-") });
}

static void real(struct sd_table *t, double value, const char *text)
{
	if (isfinite(value))
		add(t, (struct sd_table_cell){ .type = REAL, .text = sd_xstrdup(text), .real = value });
	else
		sd_table_none(t);
}

void sd_table_real(struct sd_table *t, double value, int digits)
{
	char buf[400];
	snprintf(buf, sizeof buf, "%.*f", digits, value);
	real(t, value, buf);
}

void sd_table_exact(struct sd_table *t, double value)
{
	char buf[32];
	real(t, value, sd_real_text(value, buf));
}

void sd_table_short(struct sd_table *t, double value)
{
	char buf[32];
	snprintf(buf, sizeof buf, "%.6g", value);
	real(t, value, buf);
}

void sd_table_int(struct sd_table *t, int64_t value)
{
	char buf[32];
	snprintf(buf, sizeof buf, "%lld", (long long)value);
	add(t, (struct sd_table_cell){ .type = INT, .text = sd_xstrdup(buf), .integer = value });
}

void sd_table_ids(struct sd_table *t, const char *ids, int list)
{
	if (*ids)
		add(t, (struct sd_table_cell){ .type = list ? IDS : ID, .text = sd_xstrdup(ids) });
	else
		sd_table_none(t);
}

void sd_table_hash(struct sd_table *t, const char *hash)
{
	add(t, (struct sd_table_cell){ .type = HASH, .text = sd_xstrdup(hash) });
}

/* The next of ids with blanks between them, as a length; *at moves behind it. */
static const char *next_id(const char **at, size_t *n)
{
	const char *id = *at + strspn(*at, " ");
	*n = strcspn(id, " ");
	*at = id + *n;
	return *n ? id : NULL;
}

void sd_html_text(FILE *f, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '<': fputs("&lt;", f); break;
		case '>': fputs("&gt;", f); break;
		case '&': fputs("&amp;", f); break;
		case '"': fputs("&quot;", f); break;
		default: fputc(*text, f);
		}
}

static void print_cell(const struct sd_table_cell *c, enum sd_table_format format, FILE *f)
{
	if (c->type < HASH) {
		if (format == SD_TABLE_HTML)
			sd_html_text(f, c->text);
		else
			fputs(c->text, f);
		return;
	}
	const char *at = c->text, *id;
	size_t n;
	for (int i = 0; (id = next_id(&at, &n)); i++) {
		int show = n < DIGITS ? (int)n : DIGITS;
		if (i)
			fputs(format == SD_TABLE_TSV ? "," : " ", f);
		if (format == SD_TABLE_HTML && c->type != HASH)
			fprintf(f, "<a href=\"#id-%.*s\">%.*s</a>", show, id, show, id);
		else
			fprintf(f, "%.*s", show, id);
	}
}

static void print_lines(const struct sd_table *t, int markdown, FILE *f)
{
	enum sd_table_format format = markdown ? SD_TABLE_MARKDOWN : SD_TABLE_TSV;
	const char *begin = markdown ? "| " : "", *between = markdown ? " | " : "\t", *end = markdown ? " |" : "";
	for (int i = 0; i < t->ncol; i++)
		fprintf(f, "%s%s", i ? between : begin, t->head[i]);
	fprintf(f, "%s\n", end);
	if (markdown) {
		for (int i = 0; i < t->ncol; i++)
			fputs("| --- ", f);
		fputs("|\n", f);
	}
	for (int k = 0; k < t->ncell; k++) {
		fputs(k % t->ncol ? between : begin, f);
		print_cell(&t->cell[k], format, f);
		if ((k + 1) % t->ncol == 0)
			fprintf(f, "%s\n", end);
	}
}

static json_t *as_json(const struct sd_table_cell *c)
{
	switch (c->type) {
	case REAL: return json_real(c->real);
	case INT: return json_integer(c->integer);
	case NONE: return json_null();
	case IDS: break;
	default: return sd_json_bytes(c->text);
	}
	json_t *all = json_array();
	const char *at = c->text, *id;
	size_t n;
	while ((id = next_id(&at, &n)))
		json_array_append_new(all, json_stringn(id, n));
	return all;
}

static void print_json(const struct sd_table *t, FILE *f)
{
	json_t *all = json_array(), *row = NULL;
	for (int k = 0; k < t->ncell; k++) {
		if (k % t->ncol == 0)
			json_array_append_new(all, row = json_object());
		json_object_set_new(row, t->head[k % t->ncol], as_json(&t->cell[k]));
	}
	json_dumpf(all, f, JSON_INDENT(2));
	fputc('\n', f);
	json_decref(all);
}

static void print_html(const struct sd_table *t, FILE *f)
{
	fputs("<table>\n<thead><tr>", f);
	for (int i = 0; i < t->ncol; i++) {
		fputs("<th>", f);
		sd_html_text(f, t->head[i]);
		fputs("</th>", f);
	}
	fputs("</tr></thead>\n<tbody>\n", f);
	for (int k = 0; k < t->ncell; k++) {
		const struct sd_table_cell *c = &t->cell[k];
		int number = c->type == REAL || c->type == INT;
		fprintf(f, "%s<td%s>", k % t->ncol ? "" : "<tr>",
			number ? " class=\"number\"" : c->type >= HASH ? " class=\"id\"" : "");
		print_cell(c, SD_TABLE_HTML, f);
		fprintf(f, "</td>%s", (k + 1) % t->ncol ? "" : "</tr>\n");
	}
	fputs("</tbody>\n</table>\n", f);
}

void sd_table_print(const struct sd_table *t, enum sd_table_format format, FILE *f)
{
	if (format == SD_TABLE_JSON)
		print_json(t, f);
	else if (format == SD_TABLE_HTML)
		print_html(t, f);
	else
		print_lines(t, format == SD_TABLE_MARKDOWN, f);
}
