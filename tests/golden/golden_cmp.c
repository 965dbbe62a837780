/* golden_cmp.c: when a value counts as the reference's, and the lines that say so. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "golden.h"

/* Of the tensor's largest magnitude. */
static const double tolerance[] = {
	[GOLD_OP] = 2e-5, [GOLD_FORWARD] = 1e-4, [GOLD_GRAD] = 1e-3, [GOLD_UPDATE] = 1e-3,
	[GOLD_DOUBLE] = 1e-12,
};
#define REL_L2 3e-4

double gold_tolerance(enum gold_rule rule)
{
	return tolerance[rule];
}

void gold_worst_init(struct gold_worst *w, enum gold_rule rule)
{
	memset(w, 0, sizeof(*w));
	w->rule = rule;
	w->ratio = -1;
}

/* Keeps the comparison that comes nearest to its limit, or goes furthest over it. */
static void keep(struct gold_worst *w, const char *name, double err, double limit, double scale)
{
	double ratio = err == 0 ? 0 : limit > 0 ? err / limit : INFINITY;

	if (isnan(err))
		ratio = INFINITY;
	if (!(ratio > w->ratio))
		return;
	w->ratio = ratio;
	w->absolute = !(scale > limit); /* a tensor that is nothing beside its net */
	w->err = w->absolute ? err : err / scale;
	w->limit = w->absolute ? limit : limit / scale;
	snprintf(w->at, sizeof(w->at), "%s", name);
}

void gold_compare(struct gold_worst *w, const char *name, const float *got, const struct gold_array *ref,
	const double *ref_before, const float *before)
{
	size_t row = ref->ndim && ref->dim[0] ? ref->n / ref->dim[0] : ref->n;
	double largest = 0, after = 0, worst = 0, sq_err = 0, sq_ref = 0, sq_all = 0, limit, l2;
	int bad = 0;

	for (size_t i = 0; i < ref->n; i++) {
		/* where element i of the stored rows lies in the whole tensor */
		size_t j = row ? i / row * ref->row_stride * row + i % row : i;
		double r = ref->v[i], g = got[j];

		after = fmax(after, fabs(r));
		if (ref_before) {
			r -= ref_before[j];
			g -= before[j];
		}
		double err = fabs(g - r);
		if (isnan(r) && isnan(g))
			continue;
		if (!isfinite(err))
			bad = 1;
		largest = fmax(largest, fabs(r));
		worst = fmax(worst, err);
		sq_err += err * err;
		sq_ref += r * r;
	}
	w->tensors++;
	/* nothing is held to more than float32 can reach */
	limit = fmax(tolerance[w->rule] * largest, 10 * ref->f32_err);
	l2 = INFINITY;
	if (w->rule == GOLD_GRAD || w->rule == GOLD_UPDATE) {
		double floor = fmax(10 * ref->f32_err, 1e-6 * w->netmax);

		/* A float32 result is known to half a unit in its last place at best: that is the least
		 * that its f32_err can be. */
		if (w->rule == GOLD_UPDATE)
			floor = fmax(floor, 10 * 0x1p-25 * after);
		limit = fmax(limit, floor);
		l2 = fmax(REL_L2 * sqrt(sq_ref), floor * sqrt((double)ref->n));
	}
	keep(w, name, bad ? INFINITY : worst, limit, largest);
	if (isfinite(l2) && sqrt(sq_err) / l2 > 1) {
		char text[200];

		snprintf(text, sizeof(text), "%s (L2)", name);
		keep(w, text, sqrt(sq_err), l2, sqrt(sq_ref));
	}
	if (ref->row_stride > 1 && isfinite(ref->l2) && !ref_before) {
		/* the rows that were left out show in the norm of the whole */
		for (size_t i = 0; i < ref->rows * row; i++)
			sq_all += (double)got[i] * got[i];
		keep(w, name, fabs(sqrt(sq_all) - ref->l2), tolerance[w->rule] * ref->l2, ref->l2);
	}
}

void gold_compare_double(struct gold_worst *w, const char *name, const double *got, size_t n,
	const struct gold_array *ref)
{
	double largest = 0, worst = 0;

	w->tensors++;
	if (n != ref->n) {
		gold_worst_broken(w, "%s: %zu values, expected %zu", name, n, ref->n);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		double err = fabs(got[i] - ref->v[i]);

		if (isnan(got[i]) && isnan(ref->v[i]))
			continue;
		worst = isfinite(err) ? fmax(worst, err) : INFINITY;
		largest = fmax(largest, fabs(ref->v[i]));
	}
	keep(w, name, worst, tolerance[w->rule] * largest, largest);
}

void gold_worst_broken(struct gold_worst *w, const char *fmt, ...)
{
	va_list ap;

	if (isinf(w->ratio))
		return;
	w->ratio = w->err = INFINITY;
	w->limit = 0;
	va_start(ap, fmt);
	vsnprintf(w->at, sizeof(w->at), fmt, ap);
	va_end(ap);
}

void gold_report(struct gold *g, const char *check, const struct gold_worst *w)
{
	int ok = w->ratio >= 0 && w->ratio <= 1;

	if (w->ratio < 0) { /* no tensor: says nothing */
		gold_skip(g, check, "nothing to compare");
		return;
	}
	gold_result(g, check, ok, "worst %.2e of %.0e%s at %s, %d tensor%s", w->err, w->limit,
		w->absolute ? " (absolute)" : "", w->at, w->tensors, w->tensors == 1 ? "" : "s");
}

void gold_result(struct gold *g, const char *check, int ok, const char *fmt, ...)
{
	va_list ap;

	printf("%s\t%s\t%s\t", ok ? "ok" : "FAILED", g->file, check);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	if (ok)
		g->passed++;
	else
		g->failed++;
}

void gold_skip(struct gold *g, const char *what, const char *fmt, ...)
{
	va_list ap;

	printf("skipped\t%s\t%s\t", g->file, what);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	g->skipped++;
}

void gold_error(struct gold *g, const char *check)
{
	gold_result(g, check, 0, "%s", sd_error_text());
}
