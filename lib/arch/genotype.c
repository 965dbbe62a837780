/* genotype.c: genotypes in memory, and as text. */
#include "arch/arch.h"
#include "base/err.h"
#include "base/sha256.h"
#include "base/str.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static void cell_release(struct sd_cell *cell)
{
	free(cell->edge);
	free(cell->concat);
	memset(cell, 0, sizeof(*cell));
}

void sd_cell_alloc(struct sd_cell *cell, int nedge, int nconcat)
{
	cell_release(cell);
	cell->nedge = nedge;
	cell->edge = sd_xcalloc(nedge ? nedge : 1, sizeof(*cell->edge));
	cell->nconcat = nconcat;
	cell->concat = sd_xcalloc(nconcat ? nconcat : 1, sizeof(*cell->concat));
}

void sd_genotype_init(struct sd_genotype *g)
{
	memset(g, 0, sizeof(*g));
}

void sd_genotype_release(struct sd_genotype *g)
{
	free(g->name);
	cell_release(&g->normal);
	cell_release(&g->reduce);
	cell_release(&g->recurrent);
	sd_genotype_init(g);
}

static void cell_copy(struct sd_cell *to, const struct sd_cell *from)
{
	sd_cell_alloc(to, from->nedge, from->nconcat);
	if (from->nedge)
		memcpy(to->edge, from->edge, from->nedge * sizeof(*to->edge));
	if (from->nconcat)
		memcpy(to->concat, from->concat, from->nconcat * sizeof(*to->concat));
	to->concat_range = from->concat_range;
}

void sd_genotype_copy(struct sd_genotype *to, const struct sd_genotype *from)
{
	struct sd_genotype g = { .kind = from->kind, .layout = from->layout };

	g.name = from->name ? sd_xstrdup(from->name) : NULL;
	cell_copy(&g.normal, &from->normal);
	cell_copy(&g.reduce, &from->reduce);
	cell_copy(&g.recurrent, &from->recurrent);
	sd_genotype_release(to);
	*to = g;
}

int sd_genotype_set_name(struct sd_genotype *g, const char *name)
{
	const char *p = name;

	if (name) {
		while (isascii(*p) && (isalpha(*p) || *p == '_' || (p > name && isdigit(*p))))
			p++;
		if (p == name || *p)
			return sd_error(SD_ERR_USAGE, "'%s' can't name a genotype: letters, digits and "
				"underscores, no digit first", name);
	}
	free(g->name);
	g->name = name ? sd_xstrdup(name) : NULL;
	return 0;
}

static bool cell_equal(const struct sd_cell *a, const struct sd_cell *b)
{
	int i;

	if (a->nedge != b->nedge || a->nconcat != b->nconcat)
		return false;
	for (i = 0; i < a->nedge; i++)
		if (a->edge[i].op != b->edge[i].op || a->edge[i].from != b->edge[i].from)
			return false;
	for (i = 0; i < a->nconcat; i++)
		if (a->concat[i] != b->concat[i])
			return false;
	return true;
}

bool sd_genotype_equal(const struct sd_genotype *a, const struct sd_genotype *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == SD_GENOTYPE_RECURRENT)
		return cell_equal(&a->recurrent, &b->recurrent);
	return cell_equal(&a->normal, &b->normal) && cell_equal(&a->reduce, &b->reduce);
}

static int cell_check(const struct sd_cell *cell, const char *what, bool recurrent)
{
	int per = recurrent ? 1 : 2, inputs = recurrent ? 1 : 2;
	int ops = recurrent ? (int)SD_ACT_COUNT : (int)SD_PRIM_COUNT;
	int i, j, nodes = inputs + cell->nedge / per;

	if (cell->nedge < per || cell->nedge % per || cell->nedge / per > SD_NODES_MAX)
		return sd_error(SD_ERR_DATA, "%s has %d edges: it takes %s, of at most %d nodes", what,
			cell->nedge, recurrent ? "one a node" : "two a node", SD_NODES_MAX);
	for (i = 0; i < cell->nedge; i++) {
		const struct sd_edge *e = &cell->edge[i];

		if (e->op < (recurrent ? 1 : 0) || e->op >= ops)
			return sd_error(SD_ERR_DATA, "edge %d of %s has no operation", i, what);
		if (e->from < 0 || e->from >= inputs + i / per)
			return sd_error(SD_ERR_DATA, "edge %d of %s starts at node %d, which is not before "
				"its own node %d", i, what, e->from, inputs + i / per);
	}
	if (cell->nconcat < 1)
		return sd_error(SD_ERR_DATA, "the concat of %s is empty", what);
	for (i = 0; i < cell->nconcat; i++) {
		if (cell->concat[i] < 0 || cell->concat[i] >= nodes)
			return sd_error(SD_ERR_DATA, "the concat of %s has node %d, but its nodes are 0 to "
				"%d", what, cell->concat[i], nodes - 1);
		for (j = 0; j < i; j++)
			if (cell->concat[j] == cell->concat[i])
				return sd_error(SD_ERR_DATA, "the concat of %s has node %d twice", what,
					cell->concat[i]);
		if (cell->concat_range && i && cell->concat[i] != cell->concat[i - 1] + 1)
			return sd_error(SD_ERR_DATA, "the concat of %s is not a range", what);
	}
	return 0;
}

int sd_genotype_check(const struct sd_genotype *g)
{
	if (g->kind == SD_GENOTYPE_RECURRENT)
		return cell_check(&g->recurrent, "recurrent", true);
	if (cell_check(&g->normal, "normal", false) < 0)
		return -1;
	return cell_check(&g->reduce, "reduce", false);
}

static const char *op_name(const struct sd_genotype *g, int op)
{
	return g->kind == SD_GENOTYPE_RECURRENT ? sd_activations[op] : sd_primitives[op].name;
}

static void print_cell(FILE *f, const struct sd_genotype *g, const struct sd_cell *cell, const char *edges,
	const char *concat)
{
	int i;

	fprintf(f, "%s=[", edges);
	for (i = 0; i < cell->nedge; i++)
		fprintf(f, "%s('%s', %d)", i ? ", " : "", op_name(g, cell->edge[i].op), cell->edge[i].from);
	fprintf(f, "], %s=", concat);
	if (cell->concat_range) {
		fprintf(f, "range(%d, %d)", cell->concat[0], cell->concat[0] + cell->nconcat);
		return;
	}
	for (i = 0; i < cell->nconcat; i++)
		fprintf(f, "%s%d", i ? ", " : "[", cell->concat[i]);
	fputc(']', f);
}

static void print_literal(FILE *f, const struct sd_genotype *g)
{
	if (g->name)
		fprintf(f, "%s = ", g->name);
	fputs("Genotype(", f);
	if (g->kind == SD_GENOTYPE_RECURRENT) {
		print_cell(f, g, &g->recurrent, "recurrent", "concat");
	} else {
		print_cell(f, g, &g->normal, "normal", "normal_concat");
		fputs(", ", f);
		print_cell(f, g, &g->reduce, "reduce", "reduce_concat");
		if (g->layout)
			fputs(", layout='cell'", f);
	}
	fputc(')', f);
}

static void print_canonical_cell(FILE *f, const struct sd_genotype *g, const struct sd_cell *cell,
	const char *what)
{
	int i;

	fprintf(f, "%s", what);
	for (i = 0; i < cell->nedge; i++)
		fprintf(f, " %s %d", op_name(g, cell->edge[i].op), cell->edge[i].from);
	fprintf(f, "\nconcat");
	for (i = 0; i < cell->nconcat; i++)
		fprintf(f, " %d", cell->concat[i]);
	fputc('\n', f);
}

static void print_canonical(FILE *f, const struct sd_genotype *g)
{
	if (g->kind == SD_GENOTYPE_RECURRENT) {
		print_canonical_cell(f, g, &g->recurrent, "recurrent");
	} else {
		print_canonical_cell(f, g, &g->normal, "normal");
		print_canonical_cell(f, g, &g->reduce, "reduce");
	}
}

static char *to_text(const struct sd_genotype *g, void (*print)(FILE *, const struct sd_genotype *))
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		sd_die_memory();
	print(f, g);
	if (fclose(f) != 0)
		sd_die_memory();
	return text;
}

char *sd_genotype_text(const struct sd_genotype *g)
{
	return to_text(g, print_literal);
}

char *sd_genotype_canonical(const struct sd_genotype *g)
{
	return to_text(g, print_canonical);
}

void sd_genotype_digest(const struct sd_genotype *g, char hex[65])
{
	uint8_t digest[SD_SHA256_LEN];
	char *text = sd_genotype_canonical(g);

	sd_sha256(text, strlen(text), digest);
	sd_sha256_hex(digest, hex);
	free(text);
}
