/* opt.c: reading a command line by its table.  What else the table says is in opthelp.c. */
#include "base/opt.h"

#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

/* Every tool has these; they come behind its own rows. */
enum { B_HELP, B_VERSION, B_SYNOPSIS, B_COMPLETION, NBUILTIN };
static struct sd_opt builtin[NBUILTIN] = {
	[B_HELP] = { .name = "help", .aliases = "-h", .type = SD_OPT_TYPE_FLAG },
	[B_VERSION] = { .name = "version", .type = SD_OPT_TYPE_FLAG },
	[B_SYNOPSIS] = { .name = "synopsis", .type = SD_OPT_TYPE_FLAG },
	[B_COMPLETION] = { .name = "completion", .type = SD_OPT_TYPE_FLAG },
};

static int count_rows(const struct sd_opts *opts)
{
	int n = 0;

	while (opts->rows[n].type != SD_OPT_TYPE_END)
		n++;
	return n;
}

static struct sd_opt *row_at(const struct sd_opts *opts, int nrow, int i)
{
	return i < nrow ? &opts->rows[i] : &builtin[i - nrow];
}

static bool same_name(const char *a, size_t na, const char *b, size_t nb)
{
	if (na != nb)
		return false;
	for (size_t i = 0; i < na; i++)
		if (a[i] != b[i] && !((a[i] == '-' || a[i] == '_') && (b[i] == '-' || b[i] == '_')))
			return false;
	return true;
}

/* The next alias of a list, without its dashes; *dashes is their number.  false at the end. */
static bool next_alias(const char **list, const char **name, size_t *n, int *dashes)
{
	const char *p = *list;

	if (!p)
		return false;
	p += strspn(p, " ");
	if (!*p)
		return false;
	for (*dashes = 0; *p == '-'; p++)
		++*dashes;
	*name = p;
	*n = strcspn(p, " ");
	*list = p + *n;
	return true;
}

/* Whether a row goes by that name with two dashes in front (or with any number of them). */
static bool answers_to(const struct sd_opt *row, const char *name, size_t n, bool any)
{
	const char *list = row->aliases, *alias;
	size_t len;
	int dashes;

	if (same_name(row->name, strlen(row->name), name, n))
		return true;
	while (next_alias(&list, &alias, &len, &dashes))
		if ((any || dashes == 2) && same_name(alias, len, name, n))
			return true;
	return false;
}

struct sd_opt *sd_opts_find(const struct sd_opts *opts, const char *name)
{
	for (struct sd_opt *row = opts->rows; row->type != SD_OPT_TYPE_END; row++)
		if (answers_to(row, name, strlen(name), true))
			return row;
	return NULL;
}

bool sd_opts_given(const struct sd_opts *opts, const char *name)
{
	const struct sd_opt *row = sd_opts_find(opts, name);

	return row && row->given;
}

/* ---- values ---- */

static int find_choice(const char *choices, const char *word)
{
	size_t n = strlen(word);

	for (int i = 0; *choices; i++) {
		size_t len = strcspn(choices, "|");

		if (len == n && memcmp(choices, word, n) == 0)
			return i;
		choices += len + (choices[len] == '|');
	}
	return -1;
}

/* "an integer from 1 to 9", "a number from 0", "scalar or max_w". */
static void describe(const struct sd_opt *row, struct sd_str *s)
{
	char buf[32];

	switch (row->type) {
	case SD_OPT_TYPE_INT:
	case SD_OPT_TYPE_REAL:
		sd_str_adds(s, row->type == SD_OPT_TYPE_INT ? "an integer" : "a number");
		if (row->bounded) {
			sd_str_addf(s, " from %s", sd_real_text(row->min, buf));
			if (isfinite(row->max))
				sd_str_addf(s, " to %s", sd_real_text(row->max, buf));
		}
		break;
	case SD_OPT_TYPE_SEED:
		sd_str_adds(s, "an integer from 0 to 18446744073709551615");
		break;
	case SD_OPT_TYPE_FLAG:
		sd_str_adds(s, "true or false");
		break;
	case SD_OPT_TYPE_CHOICE:
		for (const char *p = row->choices; *p; p++) {
			if (*p != '|')
				sd_str_addc(s, *p);
			else
				sd_str_adds(s, strchr(p + 1, '|') ? ", " : " or ");
		}
		break;
	default:
		sd_str_adds(s, row->metavar ? row->metavar : "a value");
	}
}

static int bad_value(const struct sd_opt *row, const char *text)
{
	struct sd_str s = SD_STR_INIT;

	describe(row, &s);
	if (text)
		sd_error(SD_ERR_USAGE, "--%s: expected %s, got '%s'", row->name, s.s, text);
	else
		sd_error(SD_ERR_USAGE, "--%s: expected %s, got nothing", row->name, s.s);
	sd_str_release(&s);
	return -1;
}

/* `text` must live as long as the row. */
static int set_value(struct sd_opt *row, const char *text)
{
	int64_t i;
	double r;
	uint64_t u;

	switch (row->type) {
	case SD_OPT_TYPE_FLAG:
		if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
			return bad_value(row, text);
		*row->to.flag = strcmp(text, "true") == 0;
		break;
	case SD_OPT_TYPE_INT:
		if (!sd_parse_int(text, &i) || i < INT_MIN || i > INT_MAX ||
		    (row->bounded && ((double)i < row->min || (double)i > row->max)))
			return bad_value(row, text);
		*row->to.i = (int)i;
		break;
	case SD_OPT_TYPE_SEED:
		if (!sd_parse_u64(text, &u))
			return bad_value(row, text);
		*row->to.seed = u;
		break;
	case SD_OPT_TYPE_REAL:
		if (!sd_parse_real(text, &r) || (row->bounded && (r < row->min || r > row->max)))
			return bad_value(row, text);
		*row->to.real = r;
		break;
	case SD_OPT_TYPE_TEXT:
		*row->to.text = text;
		break;
	case SD_OPT_TYPE_CHOICE:
		i = find_choice(row->choices, text);
		if (i < 0)
			return bad_value(row, text);
		*row->to.i = (int)i;
		break;
	case SD_OPT_TYPE_LIST:
		/* KEY=VALUE means it */
		if (row->metavar && strchr(row->metavar, '=') && (!strchr(text, '=') || text[0] == '='))
			return bad_value(row, text);
		row->to.list->v = sd_xrealloc(row->to.list->v,
					      (size_t)(row->to.list->n + 1) * sizeof(*row->to.list->v));
		row->to.list->v[row->to.list->n++] = text;
		break;
	case SD_OPT_TYPE_END:
		break;
	}
	row->set = true;
	return 0;
}

int sd_opts_default(struct sd_opts *opts, const char *name, const char *text)
{
	struct sd_opt *row = sd_opts_find(opts, name);

	if (!row)
		return sd_error(SD_ERR_BUG, "no option --%s to give a default", name);
	return row->given ? 0 : set_value(row, text);
}

/* ---- parsing ---- */

/* What getopt_long wants to know, made from the rows.  Long names have hyphens only. */
struct parser {
	int nrow;
	struct option *longs;
	int nlong;
	struct sd_str shorts;
	int row_of_short[UCHAR_MAX + 1];
};

static void add_long(struct parser *p, const char *name, size_t n, const struct sd_opt *row, int i)
{
	char *copy = sd_xmalloc(n + 1);

	for (size_t k = 0; k < n; k++)
		copy[k] = name[k] == '_' ? '-' : name[k];
	copy[n] = '\0';
	p->longs = sd_xrealloc(p->longs, (size_t)(p->nlong + 2) * sizeof(*p->longs));
	p->longs[p->nlong++] = (struct option){
		copy, row->type == SD_OPT_TYPE_FLAG || row->bare ? optional_argument : required_argument, NULL,
		UCHAR_MAX + 1 + i
	};
	p->longs[p->nlong] = (struct option){ NULL, 0, NULL, 0 };
}

static void parser_init(struct parser *p, const struct sd_opts *opts)
{
	memset(p, 0, sizeof(*p));
	p->nrow = count_rows(opts);
	/* +: stop at operands, which are collected here in their order; ':' in front: no messages */
	sd_str_adds(&p->shorts, "+:");
	for (int i = 0; i < p->nrow + NBUILTIN; i++) {
		const struct sd_opt *row = row_at(opts, p->nrow, i);
		const char *list = row->aliases, *alias;
		size_t n;
		int dashes;

		add_long(p, row->name, strlen(row->name), row, i);
		while (next_alias(&list, &alias, &n, &dashes)) {
			if (dashes == 2) {
				add_long(p, alias, n, row, i);
				continue;
			}
			sd_str_addc(&p->shorts, *alias);
			if (row->type != SD_OPT_TYPE_FLAG)
				sd_str_addc(&p->shorts, ':');
			p->row_of_short[(unsigned char)*alias] = i;
		}
	}
}

static void parser_release(struct parser *p)
{
	for (int i = 0; i < p->nlong; i++)
		free((char *)p->longs[i].name);
	free(p->longs);
	sd_str_release(&p->shorts);
}

/* getopt_long takes any unambiguous beginning of a name: only whole ones get that far. */
static int check_whole(const struct parser *p, const struct sd_opts *opts, const char *arg)
{
	size_t n = strcspn(arg, "=") - 2;
	const char *like = NULL;

	for (int i = 0; i < p->nrow + NBUILTIN; i++) {
		const struct sd_opt *row = row_at(opts, p->nrow, i);

		if (answers_to(row, arg + 2, n, false))
			return 0;
		if (strlen(row->name) > n && same_name(row->name, n, arg + 2, n))
			like = row->name;
	}
	if (like)
		return sd_error(SD_ERR_USAGE, "unknown option '%.*s' (--%s?)", (int)n + 2, arg, like);
	return sd_error(SD_ERR_USAGE, "unknown option '%.*s'", (int)n + 2, arg);
}

/* A copy of "--some_name=value" with hyphens in its name. */
static char *with_hyphens(const char *arg)
{
	char *copy = sd_xstrdup(arg);

	for (char *c = copy; *c && *c != '='; c++)
		if (*c == '_')
			*c = '-';
	return copy;
}

static void add_operand(struct sd_opts *opts, const char *arg)
{
	opts->operand[opts->noperand++] = arg;
}

static int take(struct sd_opts *opts, const struct parser *p, int i, const char *value)
{
	struct sd_opt *row = row_at(opts, p->nrow, i);

	if (i >= p->nrow) {
		if (value)
			return sd_error(SD_ERR_USAGE, "--%s takes no value", row->name);
		if (i - p->nrow == B_HELP)
			sd_opts_help(opts, stdout);
		else if (i - p->nrow == B_SYNOPSIS)
			sd_opts_synopsis(opts, stdout);
		else if (i - p->nrow == B_COMPLETION)
			sd_opts_completion(opts, stdout);
		else
			sd_opts_version(opts, stdout);
		return 1;
	}
	if (row->type == SD_OPT_TYPE_FLAG && !value)
		value = row->def && strcmp(row->def, "true") == 0 ? "false" : "true";
	if (row->bare && !value)
		value = row->bare;
	row->given++;
	return set_value(row, value);
}

static int parse(struct sd_opts *opts, const struct parser *p, char **av)
{
	static char name[] = "", *nothing[] = { name, NULL };
	int argc = opts->argc, rc;

	/* GNU's way to make getopt forget an earlier command line */
	optind = 0;
	opterr = 0;
	getopt_long(1, nothing, p->shorts.s, p->longs, NULL);
	optind = 1;
	while (optind < argc) {
		const char *arg = opts->argv[optind];
		char *whole = NULL;
		int at = optind, c;

		if (arg[0] != '-' || !arg[1]) {
			add_operand(opts, arg);
			optind++;
			continue;
		}
		if (arg[1] == '-' && arg[2]) {
			if (check_whole(p, opts, arg) < 0)
				return -1;
			av[at] = whole = with_hyphens(arg);
		}
		c = getopt_long(argc, av, p->shorts.s, p->longs, NULL);
		/* the value behind '=' is looked up in argv itself, which lives on */
		if (whole && optarg && optarg >= whole && optarg <= whole + strlen(whole))
			optarg = opts->argv[at] + (optarg - whole);
		av[at] = opts->argv[at];
		free(whole);
		if (c == -1) { /* "--" */
			while (optind < argc)
				add_operand(opts, opts->argv[optind++]);
			break;
		}
		if (c == '?')
			return sd_error(SD_ERR_USAGE, "unknown option '-%c'", optopt);
		if (c == ':') {
			int i = optopt > UCHAR_MAX ? optopt - UCHAR_MAX - 1 : p->row_of_short[optopt];

			return bad_value(row_at(opts, p->nrow, i), NULL);
		}
		rc = take(opts, p, c > UCHAR_MAX ? c - UCHAR_MAX - 1 : p->row_of_short[c], optarg);
		if (rc)
			return rc;
	}
	if (opts->noperand < opts->min_operands)
		return sd_error(SD_ERR_USAGE, "expected %s, got %s", opts->operands,
				opts->noperand ? "too few" : "nothing");
	if (opts->max_operands >= 0 && opts->noperand > opts->max_operands)
		return sd_error(SD_ERR_USAGE, "unexpected argument '%s'", opts->operand[opts->max_operands]);
	return 0;
}

int sd_opts_parse(struct sd_opts *opts, int argc, char **argv)
{
	struct parser p;
	char **av;
	int rc = -1;

	parser_init(&p, opts);
	opts->argc = argc;
	opts->argv = argv;
	opts->noperand = 0;
	opts->operand = sd_xmalloc((size_t)(argc + 1) * sizeof(*opts->operand));
	av = sd_xmalloc((size_t)(argc + 1) * sizeof(*av));
	memcpy(av, argv, (size_t)argc * sizeof(*av));
	av[argc] = NULL;
	for (struct sd_opt *row = opts->rows; row->type != SD_OPT_TYPE_END; row++) {
		row->given = 0;
		row->set = false;
		if (row->def && set_value(row, row->def) < 0) {
			sd_error(SD_ERR_BUG, "default of --%s is no value for it: '%s'", row->name, row->def);
			goto out;
		}
	}
	rc = parse(opts, &p, av);
out:
	free(av);
	parser_release(&p);
	return rc;
}

void sd_opts_release(struct sd_opts *opts)
{
	for (struct sd_opt *row = opts->rows; row->type != SD_OPT_TYPE_END; row++) {
		if (row->type != SD_OPT_TYPE_LIST)
			continue;
		free(row->to.list->v);
		*row->to.list = (struct sd_opt_list){ 0, NULL };
	}
	free(opts->operand);
	opts->operand = NULL;
	opts->noperand = 0;
}

/* ---- the claim ---- */

static json_t *choice_word(const struct sd_opt *row)
{
	const char *p = row->choices;

	for (int i = 0; i < *row->to.i; i++)
		p = strchr(p, '|') + 1;
	return json_stringn(p, strcspn(p, "|"));
}

static json_t *value_of(const struct sd_opt *row)
{
	json_t *array;

	switch (row->type) {
	case SD_OPT_TYPE_FLAG:
		return json_boolean(*row->to.flag);
	case SD_OPT_TYPE_INT:
		return json_integer(*row->to.i);
	case SD_OPT_TYPE_REAL:
		return sd_json_real(*row->to.real);
	case SD_OPT_TYPE_TEXT:
		return json_string(*row->to.text);
	case SD_OPT_TYPE_CHOICE:
		return choice_word(row);
	case SD_OPT_TYPE_LIST:
		array = json_array();
		for (int i = 0; i < row->to.list->n; i++) {
			if (json_array_append_new(array, json_string(row->to.list->v[i])) < 0) {
				json_decref(array);
				return NULL;
			}
		}
		return array;
	default:
		return NULL;
	}
}

json_t *sd_opts_parameters(const struct sd_opts *opts)
{
	json_t *o = json_object();

	for (const struct sd_opt *row = opts->rows; row->type != SD_OPT_TYPE_END; row++) {
		json_t *v;

		if (row->class != SD_NUMERIC || row->type == SD_OPT_TYPE_SEED || !row->set)
			continue;
		v = value_of(row);
		if (!v || json_object_set_new(o, row->name, v) < 0) {
			sd_error(SD_ERR_USAGE, "--%s: its value is not UTF-8", row->name);
			json_decref(o);
			return NULL;
		}
	}
	return o;
}

bool sd_opts_seed(const struct sd_opts *opts, char buf[24])
{
	for (const struct sd_opt *row = opts->rows; row->type != SD_OPT_TYPE_END; row++) {
		if (row->type == SD_OPT_TYPE_SEED && row->set) {
			snprintf(buf, 24, "%llu", (unsigned long long)*row->to.seed);
			return true;
		}
	}
	return false;
}
