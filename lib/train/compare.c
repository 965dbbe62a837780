/* compare.c: two groups of runs against each other. */
#include "train/results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "train/names.h"

struct group {
	const struct sd_result *v;
	int n;
};

static bool is_called(const struct sd_results *r, const struct sd_result *v, const char *name)
{
	size_t len = strlen(name);
	bool called = sd_names_have(v->arch, name) || (len >= 4 && !strncmp(v->recipe, name, len));
	for (int i = 0; i < r->nby; i++)
		called |= !strcmp(v->by[i], name) || (!strcmp(r->by[i], "arch") && sd_names_have(v->by[i], name));
	return called;
}

/* The group of that name on a data set: n is 0 where there is none. */
static int find(const struct sd_results *r, const char *name, const char *data, struct group *g)
{
	*g = (struct group){ NULL, 0 };
	for (int at = 0, n; at < r->n; at += n) {
		const struct sd_result *v = &r->v[at];
		n = sd_results_group(r, at);
		if (strcmp(v->data, data) || !is_called(r, v, name))
			continue;
		if (g->n)
			return sd_error(SD_ERR_USAGE, "'%s' names several rows of data set '%s', such as the "
				"recipes %.12s and %.12s: name one by its recipe, or use --group", name, data,
				g->v->recipe, v->recipe);
		*g = (struct group){ v, n };
	}
	return 0;
}

/* The only run of a group with that seed, or NULL. */
static const struct sd_result *with_seed(const struct group *g, const char *seed)
{
	const struct sd_result *found = NULL;
	for (int i = 0; i < g->n; i++)
		if (!strcmp(g->v[i].seed, seed)) {
			if (found)
				return NULL;
			found = &g->v[i];
		}
	return found;
}

/* The run of b that run i of a is to be held against: of the same seed, or the only one. */
static const struct sd_result *partner(const struct group *a, const struct group *b, int i)
{
	if (a->n == 1 && b->n == 1)
		return b->v;
	return with_seed(a, a->v[i].seed) ? with_seed(b, a->v[i].seed) : NULL;
}

static void head(double level, struct sd_table *t)
{
	char low[32], high[32];
	const char *const names[] = { "data", "a", "b", "test", "seed", "n_a", "n_b", "mean_a", "mean_b",
		"difference", low, high, "statistic", "df", "only_a_right", "only_b_right", "p",
		"artifacts" };
	sd_level_name(low, level, "_low");
	sd_level_name(high, level, "_high");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		sd_table_head(t, names[i]);
}

/* What a row begins with. */
static void begin(const char *data, const char *const name[2], const char *test, const char *seed,
	int64_t na, int64_t nb, double a, double b, struct sd_table *t)
{
	sd_table_text(t, data);
	sd_table_text(t, name[0]);
	sd_table_text(t, name[1]);
	sd_table_text(t, test);
	sd_table_text(t, seed);
	sd_table_int(t, na);
	sd_table_int(t, nb);
	sd_table_real(t, a, 6);
	sd_table_real(t, b, 6);
}

/* The last column: the runs of both sides. */
static void end(const struct group *a, const struct group *b, struct sd_table *t)
{
	struct sd_str ids = SD_STR_INIT;
	for (int i = 0; i < a->n; i++)
		sd_str_addf(&ids, "%s ", a->v[i].id);
	for (int i = 0; i < b->n; i++)
		sd_str_addf(&ids, "%s ", b->v[i].id);
	sd_table_ids(t, ids.s, 1);
	sd_str_release(&ids);
}

static void end_t(const struct sd_test *test, const struct group *a, const struct group *b, struct sd_table *t)
{
	sd_table_real(t, test->difference, 6);
	sd_table_real(t, test->low, 6);
	sd_table_real(t, test->high, 6);
	sd_table_real(t, test->statistic, 4);
	sd_table_real(t, test->df, 2);
	sd_table_none(t);
	sd_table_none(t);
	sd_table_short(t, test->p);
	end(a, b, t);
}

static void mcnemar(const struct sd_result *x, const struct sd_result *y, const char *const name[2],
	struct sd_table *t)
{
	int64_t only[2] = { 0, 0 };
	if (!x->right || !y->right || strcmp(x->images, y->images) || x->n != y->n)
		return;
	for (uint64_t i = 0; i < x->n; i++)
		if (x->right[i] != y->right[i])
			only[y->right[i]]++;
	begin(x->data, name, "mcnemar", strcmp(x->seed, y->seed) || !*x->seed ? "-" : x->seed,
		(int64_t)x->n, (int64_t)y->n, x->value, y->value, t);
	sd_table_real(t, x->value - y->value, 6);
	for (int i = 0; i < 4; i++)
		sd_table_none(t);
	sd_table_int(t, only[0]);
	sd_table_int(t, only[1]);
	sd_table_short(t, sd_mcnemar(only[0], only[1]));
	end(&(struct group){ x, 1 }, &(struct group){ y, 1 }, t);
}

static void compare(const struct group *a, const struct group *b, const char *const name[2], double level,
	struct sd_table *t)
{
	struct sd_summary s[2] = { sd_results_summary(a->v, a->n), sd_results_summary(b->v, b->n) };
	struct sd_test test = sd_welch(&s[0], &s[1], level);
	double *x = sd_xcalloc((size_t)a->n, sizeof *x), *y = sd_xcalloc((size_t)a->n, sizeof *y);
	int n = 0;
	begin(a->v->data, name, "welch", "-", a->n, b->n, s[0].mean, s[1].mean, t);
	end_t(&test, a, b, t);
	for (int i = 0; i < a->n; i++) {
		const struct sd_result *other = partner(a, b, i);
		if (!other)
			continue;
		x[n] = a->v[i].value;
		y[n++] = other->value;
	}
	if (n > 1) {
		test = sd_paired_t(x, y, n, level);
		begin(a->v->data, name, "paired_t", "-", n, n, sd_summarize(x, n).mean,
			sd_summarize(y, n).mean, t);
		end_t(&test, a, b, t);
	}
	for (int i = 0; i < a->n; i++) {
		const struct sd_result *other = partner(a, b, i);
		if (other)
			mcnemar(&a->v[i], other, name, t);
	}
	free(x);
	free(y);
}

/* Two names of one architecture: the runs are the same, there is nothing to test. */
static void same(const struct group *g, const char *const name[2], struct sd_table *t)
{
	struct sd_summary s = sd_results_summary(g->v, g->n);
	begin(g->v->data, name, "same", "-", g->n, g->n, s.mean, s.mean, t);
	sd_table_real(t, 0, 6);
	for (int i = 0; i < 7; i++)
		sd_table_none(t);
	end(g, &(struct group){ NULL, 0 }, t);
}

int sd_results_compare(const struct sd_results *r, const char *a, const char *b, double level,
	struct sd_table *t)
{
	const char *const name[2] = { a, b };
	bool known[2] = { false, false }, any = false;
	if (!t->ncol)
		head(level, t);
	for (int i = 0; i < r->n; i++) {
		struct group g[2];
		bool first = true;
		for (int k = 0; k < i; k++)
			first &= strcmp(r->v[k].data, r->v[i].data) != 0;
		if (!first)
			continue;
		for (int k = 0; k < 2; k++) {
			if (find(r, name[k], r->v[i].data, &g[k]))
				return -1;
			known[k] |= g[k].n > 0;
		}
		if (!g[0].n || !g[1].n)
			continue;
		if (g[0].v != g[1].v)
			compare(&g[0], &g[1], name, level, t);
		else if (strcmp(a, b) && sd_names_have(g[0].v->arch, a) && sd_names_have(g[0].v->arch, b))
			same(&g[0], name, t);
		else
			return sd_error(SD_ERR_USAGE, "'%s' and '%s' are the same group", a, b);
		any = true;
	}
	for (int k = 0; k < 2; k++)
		if (!known[k])
			return sd_error(SD_ERR_USAGE, "no group is called '%s': an architecture, a value of --by "
				"or --group, or 4 or more digits of a recipe are expected", name[k]);
	return any ? 0 : sd_error(SD_ERR_USAGE, "'%s' and '%s' were measured on no common data set", a, b);
}
