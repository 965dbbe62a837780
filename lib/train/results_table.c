/* results_table.c: groups and runs as tables. */
#include "train/results.h"

#include <math.h>
#include <string.h>

#include "base/str.h"

void sd_level_name(char buf[32], double level, const char *end)
{
	char percent[32];
	double v = 100 * level, whole = nearbyint(v);
	sd_real_text(fabs(v - whole) < 1e-9 ? whole : v, percent);
	snprintf(buf, 32, "ci%.8s%s", percent, end);
}

static int digits(const struct sd_results *r)
{
	return r->measure == SD_MEASURE_LOSS ? 6 : 4;
}

/* What all of a group have in common, or a hyphen. */
static const char *common(const struct sd_result *v, int n, bool recipe)
{
	const char *first = recipe ? v->recipe : v->arch;
	for (int i = 1; i < n; i++)
		if (strcmp(first, recipe ? v[i].recipe : v[i].arch))
			return "-";
	return first;
}

static void head(const struct sd_results *r, struct sd_table *t)
{
	sd_table_head(t, "recipe");
	sd_table_head(t, "arch");
	sd_table_head(t, "data");
	for (int i = 0; i < r->nby; i++)
		sd_table_head(t, r->by[i]);
}

/* The first columns of n runs. */
static void begin(const struct sd_results *r, const struct sd_result *v, int n, struct sd_table *t)
{
	const char *recipe = common(v, n, true);
	if (strcmp(recipe, "-"))
		sd_table_hash(t, recipe);
	else
		sd_table_none(t);
	sd_table_text(t, common(v, n, false));
	sd_table_text(t, v->data);
	for (int i = 0; i < r->nby; i++)
		sd_table_text(t, v->by[i]);
}

/* "1.98+/-0.07", "1.93 to 2.03" */
static void brief(const struct sd_results *r, const struct sd_summary *s, double low, double high,
	struct sd_table *t)
{
	struct sd_str text = SD_STR_INIT;
	int d = r->measure == SD_MEASURE_LOSS ? 4 : 2;
	sd_str_addf(&text, "%.*f", d, s->mean);
	if (s->n > 1)
		sd_str_addf(&text, "+/-%.*f", d, s->std);
	sd_table_text(t, text.s);
	text.len = 0;
	if (s->n > 1)
		sd_str_addf(&text, "%.*f to %.*f", d, low, d, high);
	else
		sd_str_adds(&text, "-");
	sd_table_text(t, text.s);
	sd_str_release(&text);
}

void sd_results_groups_table(const struct sd_results *r, const struct sd_results_style *style,
	struct sd_table *t)
{
	char low_name[32], high_name[32];
	sd_level_name(low_name, style->level, style->brief ? "" : "_low");
	sd_level_name(high_name, style->level, "_high");
	head(r, t);
	sd_table_head(t, "n");
	if (style->brief) {
		sd_table_head(t, sd_measure_text[r->measure]);
		sd_table_head(t, low_name);
		sd_table_head(t, "best of n, not to be expected");
	} else {
		const char *const names[] = { "mean", "std", "stderr", low_name, high_name, "best_of_n" };
		for (int i = 0; i < 6; i++)
			sd_table_head(t, names[i]);
	}
	sd_table_head(t, "min");
	sd_table_head(t, "max");
	sd_table_head(t, style->brief ? "epoch of the best" : "best_epoch");
	if (style->ids)
		sd_table_head(t, "artifacts");

	for (int at = 0, n; at < r->n; at += n) {
		const struct sd_result *v = &r->v[at];
		n = sd_results_group(r, at);
		const struct sd_result *best = sd_results_best(r, v, n);
		struct sd_summary s = sd_results_summary(v, n);
		double low, high;
		sd_summary_interval(&s, style->level, &low, &high);
		begin(r, v, n, t);
		sd_table_int(t, n);
		if (style->brief) {
			brief(r, &s, low, high, t);
		} else {
			const double numbers[] = { s.mean, s.std, s.sem, low, high };
			for (int i = 0; i < 5; i++)
				sd_table_real(t, numbers[i], digits(r));
		}
		const double extremes[] = { best->value, s.min, s.max };
		for (int i = 0; i < 3; i++)
			sd_table_real(t, extremes[i], style->brief ? digits(r) - 2 : digits(r));
		sd_table_int(t, best->epoch);
		if (style->ids) {
			struct sd_str ids = SD_STR_INIT;
			for (int i = 0; i < n; i++)
				sd_str_addf(&ids, "%s ", v[i].id);
			sd_table_ids(t, ids.s, 1);
			sd_str_release(&ids);
		}
	}
}

void sd_results_runs_table(const struct sd_results *r, struct sd_table *t)
{
	head(r, t);
	sd_table_head(t, "seed");
	sd_table_head(t, sd_measure_name[r->measure]);
	sd_table_head(t, "epoch");
	sd_table_head(t, "id");
	sd_table_head(t, "file");
	for (int i = 0; i < r->n; i++) {
		const struct sd_result *v = &r->v[i];
		begin(r, v, 1, t);
		sd_table_text(t, *v->seed ? v->seed : "-");
		sd_table_real(t, v->value, digits(r));
		sd_table_int(t, v->epoch);
		sd_table_ids(t, v->id, 0);
		sd_table_text(t, v->file);
	}
}
