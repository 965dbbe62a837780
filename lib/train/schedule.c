/* schedule.c: cosine power annealing.
 *
 * cos and pow are taken in double-double arithmetic and rounded once at the end: learning rates are
 * part of what a run must reproduce, and the last bit of libm's functions is not the same everywhere. */
#include "train/schedule.h"
#include "base/err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The unevaluated sum h + l with |l| at most half a unit in the last place of h. */
struct dd {
	double h, l;
};

static struct dd two_sum(double a, double b)
{
	double s = a + b, t = s - a;

	return (struct dd){ s, (a - (s - t)) + (b - t) };
}

static struct dd dd_add(struct dd a, struct dd b)
{
	struct dd s = two_sum(a.h, b.h), t = two_sum(a.l, b.l);

	s = two_sum(s.h, s.l + t.h);
	return two_sum(s.h, s.l + t.l);
}

static struct dd dd_mul(struct dd a, struct dd b)
{
	double p = a.h * b.h, e = fma(a.h, b.h, -p);

	return two_sum(p, e + (a.h * b.l + a.l * b.h));
}

static struct dd dd_div(struct dd a, double b)
{
	double q = a.h / b;

	return two_sum(q, (fma(-q, b, a.h) + a.l) / b);
}

/* sum of x^k/k! from `from` in steps of `step`, signs alternating for sine and cosine */
static struct dd taylor(struct dd x, int from, int step, double sign)
{
	struct dd term = { 1, 0 }, power = x, sum;
	int k;

	if (step == 2)
		power = dd_mul(x, x);
	if (from == 1)
		term = x;
	sum = term;
	for (k = from; k < 32; k += step) {
		term = dd_div(dd_mul(term, power), step == 2 ? (double)(k + 1) * (k + 2) : k + 1);
		term.h *= sign;
		term.l *= sign;
		sum = dd_add(sum, term);
	}
	return sum;
}

static double cos_rounded(double x)
{
	/* pi/2 to 159 bits */
	static const struct dd half_pi = { 0x1.921fb54442d18p0, 0x1.1a62633145c07p-54 };
	static const double half_pi_rest = -0x1.f1976b7ed8fbcp-110;
	double k = nearbyint(x / half_pi.h);
	struct dd r = { x, 0 }, y;
	long quarter = lrint(fmod(k, 4));

	r = dd_add(r, dd_mul((struct dd){ -k, 0 }, half_pi));
	r = dd_add(r, (struct dd){ -k * half_pi_rest, 0 });
	y = quarter % 2 ? taylor(r, 1, 2, -1) : taylor(r, 0, 2, -1);
	quarter = (quarter + 4) % 4;
	return quarter == 1 || quarter == 2 ? -(y.h + y.l) : y.h + y.l;
}

static struct dd dd_exp(struct dd x)
{
	static const struct dd ln2 = { 0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56 };
	double k = nearbyint(x.h / ln2.h);
	struct dd y = taylor(dd_add(x, dd_mul((struct dd){ -k, 0 }, ln2)), 0, 1, 1);

	return (struct dd){ ldexp(y.h, (int)k), ldexp(y.l, (int)k) };
}

/* base^y for base > 1 and moderate y */
static double pow_rounded(double base, double y)
{
	struct dd l = { log(base), 0 }, d;

	/* One Newton step takes libm's logarithm from 53 bits to about 105. */
	d = dd_mul((struct dd){ base, 0 }, dd_exp((struct dd){ -l.h, 0 }));
	l = dd_add(l, dd_add(d, (struct dd){ -1, 0 }));
	d = dd_exp(dd_mul(l, (struct dd){ y, 0 }));
	return d.h + d.l;
}

static int check_args(const struct sd_schedule_args *a)
{
	if (!isfinite(a->max_lr) || !isfinite(a->min_lr))
		return sd_error(SD_ERR_USAGE, "learning rates must be finite, not %g and %g",
			a->max_lr, a->min_lr);
	if (!(a->exponent_order >= 1) || !(a->exponent_order <= 1e150))
		return sd_error(SD_ERR_USAGE, "the exponent order must be at least 1, not %g",
			a->exponent_order);
	if (a->warmup_epochs < 0)
		return sd_error(SD_ERR_USAGE, "warm-up epochs must not be negative, as %d is",
			a->warmup_epochs);
	if (a->start_epoch < 1)
		return sd_error(SD_ERR_USAGE, "the start epoch counts from 1, so it can't be %d",
			a->start_epoch);
	if (a->epochs < 0 || a->max_epoch < 0 || (a->epoch_array && a->nepoch < 1) ||
	    (!a->epoch_array && !a->epochs && !a->max_epoch))
		return sd_error(SD_ERR_USAGE, "a schedule needs at least one epoch");
	return 0;
}

/* Replaces the first of the curve by the rise: epochs 1 to warm-up + 1 by their order in the list. */
static int warm_up(struct sd_schedule *s, long warmup)
{
	int i, k = 0, least = s->epoch[0];

	for (i = 0; i < s->n; i++) {
		if (s->epoch[i] < least)
			least = s->epoch[i];
		if (s->epoch[i] <= warmup + 1)
			k++;
	}
	if (least != 1)
		return sd_error(SD_ERR_USAGE, "a warm-up needs epochs that start at 1, not at %d", least);
	if (k != warmup + 1)
		return sd_error(SD_ERR_USAGE, "a warm-up of %ld epochs needs %ld epochs up to epoch "
			"%ld, not %d", warmup, warmup + 1, warmup + 1, k);
	for (i = k = 0; i < s->n; i++)
		if (s->epoch[i] <= warmup + 1)
			s->cos_power[i] = (double)++k / (double)(warmup + 1);
	return 0;
}

static int curve(struct sd_schedule *s, const struct sd_schedule_args *a)
{
	double end = a->max_epoch, lo, hi;
	int i;

	if (!a->max_epoch) {
		end = s->epoch[0];
		for (i = 1; i < s->n; i++)
			if (s->epoch[i] > end)
				end = s->epoch[i];
	}
	end -= a->warmup_epochs;
	if (end == 0)
		return sd_error(SD_ERR_USAGE, "a curve that ends with the warm-up, at epoch %d, has no "
			"extent", a->warmup_epochs);
	for (i = 0; i < s->n; i++) {
		double e = (double)s->epoch[i] - a->warmup_epochs;

		s->cos[i] = 0.5 * (1 + cos_rounded(3.141592653589793 * e / end));
		s->cos_power[i] = a->exponent_order == 1 ? s->cos[i] :
			pow_rounded(a->exponent_order, s->cos[i] + 1);
	}
	lo = hi = s->cos_power[0];
	for (i = 1; i < s->n; i++) {
		lo = s->cos_power[i] < lo ? s->cos_power[i] : lo;
		hi = s->cos_power[i] > hi ? s->cos_power[i] : hi;
	}
	if (lo == hi)
		return sd_error(SD_ERR_USAGE, "annealing needs at least two different epochs");
	for (i = 0; i < s->n; i++)
		s->cos_power[i] = (s->cos_power[i] - lo) / (hi - lo);
	return 0;
}

int sd_cosine_power_annealing(struct sd_schedule *s, const struct sd_schedule_args *a)
{
	struct sd_schedule t = { 0 };
	int i;

	if (check_args(a) < 0)
		return -1;
	t.n = a->epoch_array ? a->nepoch : a->epochs ? a->epochs : a->max_epoch;
	t.epoch = calloc(t.n, sizeof(*t.epoch));
	t.cos = calloc(t.n, sizeof(*t.cos));
	t.cos_power = calloc(t.n, sizeof(*t.cos_power));
	t.lr = calloc(t.n, sizeof(*t.lr));
	if (!t.epoch || !t.cos || !t.cos_power || !t.lr) {
		sd_error(SD_ERR_BUG, "out of memory for a schedule of %d epochs", t.n);
		goto fail;
	}
	for (i = 0; i < t.n; i++)
		t.epoch[i] = a->epoch_array ? a->epoch_array[i] : i + 1;
	if (curve(&t, a) < 0)
		goto fail;
	if (a->warmup_epochs && warm_up(&t, a->warmup_epochs) < 0)
		goto fail;
	if (!a->restart_lr)
		t.first = a->start_epoch - 1 < t.n ? a->start_epoch - 1 : t.n;
	t.nlr = t.n - t.first;
	for (i = 0; i < t.nlr; i++)
		t.lr[i] = (a->max_lr - a->min_lr) * t.cos_power[t.first + i] + a->min_lr;
	*s = t;
	return 0;
fail:
	sd_schedule_release(&t);
	return -1;
}

void sd_schedule_release(struct sd_schedule *s)
{
	free(s->epoch);
	free(s->cos_power);
	free(s->cos);
	free(s->lr);
	memset(s, 0, sizeof(*s));
}

double sd_cosine_restarts(int e, int first, double max_lr, double min_lr)
{
	double t = e, length = first;

	for (; t >= length; length *= 2)
		t -= length;
	return min_lr + (max_lr - min_lr) * (0.5 * (1 + cos_rounded(3.141592653589793 * t / length)));
}
