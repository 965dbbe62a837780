/* dot.c: cells as DOT text, after the figures of the DARTS paper. */
#include "arch/dot.h"
#include "base/err.h"

#include <string.h>

/* The colour of an edge tells the family of its operation. */
static const struct {
	const char *prefix, *line, *text;
} families[] = {
	{ "none", "style=dotted, color=\"#b0b0b0\"", "#909090" },
	{ "skip_connect", "color=\"#8c8c8c\"", "#5f5f5f" },
	{ "identity", "color=\"#8c8c8c\"", "#5f5f5f" },
	{ "max_pool", "color=\"#c98a1b\"", "#8f5f0c" },
	{ "avg_pool", "color=\"#c98a1b\"", "#8f5f0c" },
	{ "flood", "color=\"#2a9d8f\"", "#1b6b61" },
	{ "dil_flood", "color=\"#2a9d8f\"", "#1b6b61" },
	{ "choke", "color=\"#b5485d\"", "#8a2f42" },
	{ "dil_choke", "color=\"#b5485d\"", "#8a2f42" },
	{ "dil", "color=\"#6f5bb5\"", "#4f3e91" },
	{ "tanh", "color=\"#b5485d\"", "#8a2f42" },
	{ "sigmoid", "color=\"#2a9d8f\"", "#1b6b61" },
	{ "", "color=\"#2f6ea8\"", "#1f4f7d" },
};

static int family(const char *op)
{
	int i;

	for (i = 0; strncmp(op, families[i].prefix, strlen(families[i].prefix)); i++)
		;
	return i;
}

/* Text in a quoted string of DOT. */
static void quoted(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', f);
		fputc(*s, f);
	}
	fputc('"', f);
}

static void head(FILE *f, const char *name, const char *title)
{
	fputs("digraph ", f);
	quoted(f, name ? name : "genotype");
	fputs(" {\n"
	      "\trankdir=LR; nodesep=0.35; ranksep=0.75; newrank=true;\n"
	      "\tgraph [fontname=\"Helvetica\", fontsize=16, fontcolor=\"#404040\"];\n"
	      "\tnode [shape=box, style=\"filled,rounded\", penwidth=1.2, width=0.55, height=0.5,\n"
	      "\t\tfontname=\"Helvetica\", fontsize=15, color=\"#404040\", fillcolor=\"lightblue\"];\n"
	      "\tedge [fontname=\"Helvetica\", fontsize=12, penwidth=1.6, arrowsize=0.8];\n", f);
	if (title) {
		fputs("\tlabelloc=t; label=", f);
		quoted(f, title);
		fputs(";\n", f);
	}
}

/* The name of node n of a cell.  The nodes that a convolutional cell makes are counted from 0, as the
 * paper does; a recurrent cell's keep their numbers, 0 being made of the input and the last state. */
static void node(FILE *f, const char *cell, bool recurrent, int n)
{
	if (recurrent)
		fprintf(f, "\"%s %d\"", cell, n);
	else if (n < 2)
		fprintf(f, "\"%s c_{k-%d}\"", cell, 2 - n);
	else
		fprintf(f, "\"%s %d\"", cell, n - 2);
}

static void inputs(FILE *f, const char *cell, bool recurrent)
{
	if (recurrent)
		fprintf(f, "\t\t\"%s x_{t}\" [label=<x<sub>t</sub>>, fillcolor=\"darkseagreen2\"];\n"
			"\t\t\"%s h_{t-1}\" [label=<h<sub>t-1</sub>>, fillcolor=\"darkseagreen2\"];\n"
			"\t\t\"%s 0\" [label=\"0\"];\n"
			"\t\t\"%s x_{t}\" -> \"%s 0\" [color=\"#404040\", penwidth=1.2];\n"
			"\t\t\"%s h_{t-1}\" -> \"%s 0\" [color=\"#404040\", penwidth=1.2];\n",
			cell, cell, cell, cell, cell, cell, cell);
	else
		fprintf(f, "\t\t\"%s c_{k-2}\" [label=<c<sub>k-2</sub>>, fillcolor=\"darkseagreen2\"];\n"
			"\t\t\"%s c_{k-1}\" [label=<c<sub>k-1</sub>>, fillcolor=\"darkseagreen2\"];\n",
			cell, cell);
}

static void cell(FILE *f, const char *name, const char *title, const struct sd_cell *c, bool recurrent)
{
	int first = recurrent ? 1 : 2, per = recurrent ? 1 : 2, i;
	const char *op;

	fprintf(f, "\n\tsubgraph \"cluster %s\" {\n\t\tlabel=\"%s\"; labeljust=l; margin=14;\n"
		"\t\tstyle=rounded; color=\"#c8c8c8\";\n", name, title);
	inputs(f, name, recurrent);
	for (i = 0; i < c->nedge / per; i++) {
		fputs("\t\t", f);
		node(f, name, recurrent, first + i);
		fprintf(f, " [label=\"%d\"];\n", recurrent ? first + i : i);
	}
	fprintf(f, "\t\t\"%s out\" [label=<%s>, fillcolor=\"palegoldenrod\"];\n", name,
		recurrent ? "h<sub>t</sub>" : "c<sub>k</sub>");
	for (i = 0; i < c->nedge; i++) {
		op = recurrent ? sd_activations[c->edge[i].op] : sd_primitives[c->edge[i].op].name;
		fputs("\t\t", f);
		node(f, name, recurrent, c->edge[i].from);
		fputs(" -> ", f);
		node(f, name, recurrent, first + i / per);
		fprintf(f, " [label=\"%s\", %s, fontcolor=\"%s\"];\n", op, families[family(op)].line,
			families[family(op)].text);
	}
	for (i = 0; i < c->nconcat; i++) {
		fputs("\t\t", f);
		node(f, name, recurrent, c->concat[i]);
		fprintf(f, " -> \"%s out\" [color=\"#404040\", penwidth=1.2];\n", name);
	}
	fputs("\t}\n", f);
}

int sd_genotype_dot(FILE *f, const struct sd_genotype *g, enum sd_dot_cells cells, const char *title)
{
	bool recurrent = g->kind == SD_GENOTYPE_RECURRENT;

	if (recurrent && cells != SD_DOT_BOTH)
		return sd_error(SD_ERR_USAGE, "a recurrent genotype has no normal or reduction cell");
	head(f, g->name, title);
	if (recurrent)
		cell(f, "recurrent", "recurrent cell", &g->recurrent, true);
	/* From left to right dot stacks clusters upwards, so the normal cell comes last to be on top. */
	if (!recurrent && cells != SD_DOT_NORMAL)
		cell(f, "reduce", "reduction cell", &g->reduce, false);
	if (!recurrent && cells != SD_DOT_REDUCE)
		cell(f, "normal", "normal cell", &g->normal, false);
	fputs("}\n", f);
	return 0;
}
