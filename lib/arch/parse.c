/* parse.c: reads a genotype as DARTS code prints it: a small part of the Python language. */
#include "arch/arch.h"
#include "base/err.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct parser {
	const char *text, *p, *end;
	const char *source;
};

/* "SOURCE:LINE:COLUMN: ..." for the place `at` */
static int bad(const struct parser *ps, const char *at, const char *fmt, ...) SD_PRINTF(3, 4);
static int bad(const struct parser *ps, const char *at, const char *fmt, ...)
{
	const char *p, *line = ps->text;
	char what[512];
	int n = 1;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	for (p = ps->text; p < at; p++)
		if (*p == '\n')
			n++, line = p + 1;
	return sd_error(SD_ERR_DATA, "%s:%d:%d: %s", ps->source, n, (int)(at - line) + 1, what);
}

/* What stands at `at`, for a message. */
static const char *seen(const struct parser *ps, const char *at, char buf[static 24])
{
	if (at >= ps->end)
		return "the end";
	if (*at == '\n')
		return "the end of the line";
	snprintf(buf, 24, *at > ' ' && *at <= '~' ? "'%c'" : "byte 0x%02x", (unsigned char)*at);
	return buf;
}

static void blanks(struct parser *ps)
{
	while (ps->p < ps->end) {
		if (*ps->p == '#')
			while (ps->p < ps->end && *ps->p != '\n')
				ps->p++;
		else if (*ps->p && strchr(" \t\n\r\f", *ps->p))
			ps->p++;
		else
			break;
	}
}

static bool accept(struct parser *ps, char c)
{
	blanks(ps);
	if (ps->p >= ps->end || *ps->p != c)
		return false;
	ps->p++;
	return true;
}

static int expect(struct parser *ps, char c, const char *where)
{
	char buf[24];

	if (accept(ps, c))
		return 0;
	return bad(ps, ps->p, "expected '%c' %s, found %s", c, where, seen(ps, ps->p, buf));
}

static bool letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A word of at most size - 1 characters; *at gets its place. */
static int word(struct parser *ps, char *buf, size_t size, const char **at, const char *what)
{
	char ch[24];
	size_t n = 0;

	blanks(ps);
	*at = ps->p;
	while (ps->p + n < ps->end && (letter(ps->p[n]) || (n && digit(ps->p[n]))))
		n++;
	if (!n)
		return bad(ps, *at, "expected %s, found %s", what, seen(ps, *at, ch));
	if (n >= size)
		return bad(ps, *at, "a word of %zu characters, expected %s", n, what);
	memcpy(buf, ps->p, n);
	buf[n] = '\0';
	ps->p += n;
	return 0;
}

static int string(struct parser *ps, char *buf, size_t size, const char **at, const char *what)
{
	char ch[24], quote;
	size_t n = 0;

	blanks(ps);
	*at = ps->p;
	if (ps->p >= ps->end || (*ps->p != '\'' && *ps->p != '"'))
		return bad(ps, *at, "expected %s in quotes, found %s", what, seen(ps, *at, ch));
	quote = *ps->p++;
	for (;; n++, ps->p++) {
		if (ps->p >= ps->end || *ps->p == '\n')
			return bad(ps, *at, "no closing quote");
		if (*ps->p == quote)
			break;
		if (*ps->p == '\\' || *ps->p < ' ' || *ps->p > '~')
			return bad(ps, ps->p, "unexpected %s in %s", seen(ps, ps->p, ch), what);
		if (n + 1 >= size)
			return bad(ps, *at, "a string of more than %zu characters, expected %s", n, what);
		buf[n] = *ps->p;
	}
	ps->p++;
	buf[n] = '\0';
	return 0;
}

/* The number of a node, 0 to SD_NODES_MAX + 2 (a range's end is one more than its last). */
static int number(struct parser *ps, int *value, const char **at)
{
	char ch[24];
	long v = 0;

	blanks(ps);
	*at = ps->p;
	if (ps->p >= ps->end || !digit(*ps->p))
		return bad(ps, *at, "expected the number of a node, found %s", seen(ps, *at, ch));
	for (; ps->p < ps->end && digit(*ps->p); ps->p++) {
		v = v * 10 + (*ps->p - '0');
		if (v > SD_NODES_MAX + 2)
			return bad(ps, *at, "a number over %d, the most nodes a cell can have", SD_NODES_MAX);
	}
	if (ps->p < ps->end && (letter(*ps->p) || *ps->p == '.'))
		return bad(ps, ps->p, "unexpected %s in a number", seen(ps, ps->p, ch));
	if (ps->p - *at > 1 && **at == '0')
		return bad(ps, *at, "a number with a leading zero");
	*value = (int)v;
	return 0;
}

/* A list or tuple: items with commas between them, one allowed behind the last. */
struct sequence {
	const char *start;
	char close;
	int n;      /* items begun */
	bool comma; /* one came behind the last item */
};

static int sequence_open(struct parser *ps, struct sequence *s, const char *what)
{
	char ch[24];

	blanks(ps);
	s->start = ps->p;
	s->n = 0;
	s->comma = false;
	if (accept(ps, '['))
		s->close = ']';
	else if (accept(ps, '('))
		s->close = ')';
	else
		return bad(ps, ps->p, "expected a list %s, found %s", what, seen(ps, ps->p, ch));
	return 0;
}

/* 1 when another item follows, 0 at the end, -1 on an error. */
static int sequence_next(struct parser *ps, struct sequence *s)
{
	char ch[24];

	if (s->n)
		s->comma = accept(ps, ',');
	if (accept(ps, s->close)) {
		if (s->close == ')' && s->n == 1 && !s->comma)
			return bad(ps, s->start, "parentheses around one thing make no tuple: a comma is "
				"missing");
		return 0;
	}
	if (s->n && !s->comma)
		return bad(ps, ps->p, "expected ',' or '%c', found %s", s->close, seen(ps, ps->p, ch));
	s->n++;
	return 1;
}

/* An array of n items with room for one more: its size doubles at powers of two. */
static void *grow(void *array, int n, size_t size)
{
	if (n && (n < 8 || (n & (n - 1))))
		return array;
	return sd_xrealloc(array, (n ? 2 * (size_t)n : 8) * size);
}

/* [('sep_conv_3x3', 1), ...] */
static int edges(struct parser *ps, struct sd_cell *cell, bool recurrent)
{
	int per = recurrent ? 1 : 2, inputs = recurrent ? 1 : 2, more;
	struct sequence list = { 0 }, pair = { 0 };
	const char *at;
	char name[64];

	if (sequence_open(ps, &list, "of edges") < 0)
		return -1;
	while ((more = sequence_next(ps, &list)) > 0) {
		int i = cell->nedge, op, from = 0;

		if (i / per >= SD_NODES_MAX)
			return bad(ps, ps->p, "more than %d nodes", SD_NODES_MAX);
		cell->edge = grow(cell->edge, i, sizeof(*cell->edge));
		if (sequence_open(ps, &pair, "like ('sep_conv_3x3', 1)") < 0 ||
		    string(ps, name, sizeof(name), &at, recurrent ? "an activation" : "a primitive") < 0)
			return -1;
		op = recurrent ? sd_activations_find(name) : sd_primitives_find(name);
		if (op < 0 || (recurrent && op == SD_ACT_NONE))
			return bad(ps, at, "unknown %s '%s'", recurrent ? "activation" : "primitive", name);
		if (expect(ps, ',', "between name and node") < 0 || number(ps, &from, &at) < 0)
			return -1;
		if (from >= inputs + i / per)
			return bad(ps, at, "edge %d goes from node %d, but its own node is %d: only earlier "
				"ones exist by then", i, from, inputs + i / per);
		accept(ps, ',');
		if (expect(ps, pair.close, "behind an edge") < 0)
			return -1;
		cell->edge[cell->nedge++] = (struct sd_edge){ op, from };
	}
	if (more < 0)
		return -1;
	if (!cell->nedge)
		return bad(ps, list.start, "no edges");
	if (cell->nedge % per)
		return bad(ps, ps->p - 1, "%d edges, but every node takes two", cell->nedge);
	return 0;
}

static void add_concat(struct sd_cell *cell, int node)
{
	cell->concat = grow(cell->concat, cell->nconcat, sizeof(*cell->concat));
	cell->concat[cell->nconcat++] = node;
}

/* range(2, 6), range(6), [2, 3, 4, 5] or (2, 3, 4, 5) */
static int concat(struct parser *ps, struct sd_cell *cell)
{
	struct sequence list = { 0 };
	const char *start, *at;
	char name[16];
	int more, first = 0, end = 0, i = 0;

	blanks(ps);
	start = ps->p;
	if (ps->p < ps->end && letter(*ps->p)) {
		if (word(ps, name, sizeof(name), &at, "a list of nodes or range(a, b)") < 0)
			return -1;
		if (strcmp(name, "range"))
			return bad(ps, at, "expected a list of nodes or range(a, b), found '%s'", name);
		if (expect(ps, '(', "behind range") < 0 || number(ps, &end, &at) < 0)
			return -1;
		if (accept(ps, ',')) {
			first = end;
			if (number(ps, &end, &at) < 0)
				return -1;
		}
		if (expect(ps, ')', "behind the range") < 0)
			return -1;
		for (i = first; i < end; i++)
			add_concat(cell, i);
		cell->concat_range = true;
	} else {
		if (sequence_open(ps, &list, "of nodes or range(a, b)") < 0)
			return -1;
		while ((more = sequence_next(ps, &list)) > 0) {
			if (number(ps, &i, &at) < 0)
				return -1;
			if (cell->nconcat > SD_NODES_MAX + 2)
				return bad(ps, at, "more than %d nodes", SD_NODES_MAX);
			add_concat(cell, i);
		}
		if (more < 0)
			return -1;
	}
	if (!cell->nconcat)
		return bad(ps, start, "no nodes in the concat");
	return 0;
}

enum keyword { NORMAL, NORMAL_CONCAT, REDUCE, REDUCE_CONCAT, LAYOUT, RECURRENT, CONCAT, NKEYWORD };
static const char *const keywords[NKEYWORD] = {
	"normal", "normal_concat", "reduce", "reduce_concat", "layout", "recurrent", "concat",
};

static int keyword(struct parser *ps, struct sd_genotype *g, const char *at[NKEYWORD])
{
	const char *start;
	char name[32];
	int k;

	if (word(ps, name, sizeof(name), &start, "a keyword like normal=") < 0)
		return -1;
	for (k = 0; k < NKEYWORD && strcmp(name, keywords[k]); k++)
		;
	if (k == NKEYWORD)
		return bad(ps, start, "unknown keyword '%s'", name);
	if (at[k])
		return bad(ps, start, "keyword '%s' for the second time", name);
	at[k] = start;
	if (expect(ps, '=', "behind the keyword") < 0)
		return -1;
	switch (k) {
	case NORMAL:
		return edges(ps, &g->normal, false);
	case REDUCE:
		return edges(ps, &g->reduce, false);
	case RECURRENT:
		return edges(ps, &g->recurrent, true);
	case NORMAL_CONCAT:
		return concat(ps, &g->normal);
	case REDUCE_CONCAT:
		return concat(ps, &g->reduce);
	case CONCAT:
		return concat(ps, &g->recurrent);
	default:
		if (string(ps, name, sizeof(name), &start, "a layout") < 0)
			return -1;
		if (strcmp(name, "cell"))
			return bad(ps, start, "layout '%s' is not that of a genotype, which is 'cell'", name);
		g->layout = true;
		return 0;
	}
}

/* The keywords of one kind must be there, those of the other must not, and a concat must fit. */
static int check_keywords(struct parser *ps, struct sd_genotype *g, const char *start,
	const char *at[NKEYWORD])
{
	static const int need[2][4] = {
		{ NORMAL, NORMAL_CONCAT, REDUCE, REDUCE_CONCAT },
		{ RECURRENT, CONCAT, CONCAT, CONCAT },
	};
	bool recurrent = at[RECURRENT] || at[CONCAT];
	const char *concat_at = at[CONCAT];
	int k;

	for (k = NORMAL; recurrent && k <= LAYOUT; k++)
		if (at[k])
			return bad(ps, at[k], "keyword '%s' in a recurrent genotype", keywords[k]);
	for (k = 0; k < 4; k++)
		if (!at[need[recurrent][k]])
			return bad(ps, start, "no %s= in the genotype", keywords[need[recurrent][k]]);
	g->kind = recurrent ? SD_GENOTYPE_RECURRENT : SD_GENOTYPE_CELL;
	if (sd_genotype_check(g) == 0)
		return 0;
	/* The edges were checked as they were read, so it is a concat: that of the cell that fails alone. */
	if (!recurrent) {
		struct sd_genotype normal = { .normal = g->normal, .reduce = g->normal };

		concat_at = at[sd_genotype_check(&normal) < 0 ? NORMAL_CONCAT : REDUCE_CONCAT];
		sd_genotype_check(g);
	}
	return bad(ps, concat_at, "%s", sd_error_text());
}

static int literal(struct parser *ps, struct sd_genotype *g)
{
	const char *at[NKEYWORD] = { NULL }, *start;
	struct sequence args = { .close = ')' };
	char name[128], ch[24];
	int more;

	if (word(ps, name, sizeof(name), &start, "a genotype, NAME = Genotype(...)") < 0)
		return -1;
	if (strcmp(name, "Genotype")) {
		if (expect(ps, '=', "behind the name") < 0 || sd_genotype_set_name(g, name) < 0 ||
		    word(ps, name, sizeof(name), &start, "Genotype(...)") < 0)
			return -1;
		if (strcmp(name, "Genotype"))
			return bad(ps, start, "expected Genotype(...), found '%s'", name);
	}
	if (expect(ps, '(', "behind Genotype") < 0)
		return -1;
	while ((more = sequence_next(ps, &args)) > 0) {
		args.n = 2; /* one argument in parentheses is fine */
		if (keyword(ps, g, at) < 0)
			return -1;
	}
	if (more < 0 || check_keywords(ps, g, start, at) < 0)
		return -1;
	blanks(ps);
	if (ps->p < ps->end)
		return bad(ps, ps->p, "unexpected %s behind the genotype: a file holds one",
			seen(ps, ps->p, ch));
	return 0;
}

int sd_genotype_parse(struct sd_genotype *g, const char *text, size_t n, const char *source)
{
	struct parser ps = { .text = text, .p = text, .end = text + n, .source = source };
	struct sd_genotype fresh;

	sd_genotype_init(&fresh);
	if (literal(&ps, &fresh) < 0) {
		sd_genotype_release(&fresh);
		return -1;
	}
	sd_genotype_release(g);
	*g = fresh;
	return 0;
}
