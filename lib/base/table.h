/* table.h: a table of text and numbers, printed in several forms.
 *
 * Cells are added from left to right, row by row, after the heads.  Text is copied.  What is missing or not
 * a number is a hyphen (JSON: null).  Memory that runs out ends the program: tables are small. */
#ifndef SD_BASE_TABLE_H
#define SD_BASE_TABLE_H

#include <stdint.h>
#include <stdio.h>

enum sd_table_format { SD_TABLE_TSV, SD_TABLE_JSON, SD_TABLE_MARKDOWN, SD_TABLE_HTML };

struct sd_table_cell;

struct sd_table {
	int ncol, ncell, cap;
	char **head;                /* (ncol) */
	struct sd_table_cell *cell;  /* (ncell), rows of ncol */
};
#define SD_TABLE_INIT { 0, 0, 0, NULL, NULL }

void sd_table_release(struct sd_table *t);
void sd_table_head(struct sd_table *t, const char *name);

void sd_table_text(struct sd_table *t, const char *text);
/* With so many digits behind the point; JSON has all of them. */
void sd_table_real(struct sd_table *t, double value, int digits);
/* In shortest round-trip form, or with six significant digits: for values of any size. */
void sd_table_exact(struct sd_table *t, double value);
void sd_table_short(struct sd_table *t, double value);
void sd_table_int(struct sd_table *t, int64_t value);
void sd_table_none(struct sd_table *t);
/* Hexadecimal ids with blanks between them: the first 12 digits of each, all of them in JSON; in HTML links
 * to "#id-<12 digits>".  `list` makes an array in JSON even of a single one. */
void sd_table_ids(struct sd_table *t, const char *ids, int list);
/* The same for a single hash that is no artifact's: no link. */
void sd_table_hash(struct sd_table *t, const char *hash);

void sd_table_print(const struct sd_table *t, enum sd_table_format format, FILE *f);

/* Text with what is special in HTML written as entities. */
void sd_html_text(FILE *f, const char *text);

#endif
