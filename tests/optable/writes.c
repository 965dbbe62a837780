/* writes.c: the ops that write parameters and states, most of which they read too: a table of their own.  Each is run three times over
 * a parameter of one piece and a small one; what it leaves is compared with the formula in double, and all
 * code paths and thread counts with each other, bit for bit. */
#include "writes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "engine/engine.h"

enum { TENSORS = 2, STEPS = 3, GROUPS = 4 }; /* groups: parameter, and up to three kinds of state */
enum kind { SGD, AHEAD, STORE, COPY, ADAM, PADAM };

struct wcase {
	const char *name;
	enum kind kind;
	int clipped;                         /* takes a coefficient for the gradient */
	float f1, f2, eps, decay, partial;   /* momentum, or both betas */
};

static const struct wcase cases[] = {
	{ "sgd", SGD, 1, 0.9f, 0, 0, 3e-4f, 0 },
	{ "sgd, whole gradient", SGD, 0, 0.9f, 0, 0, 0, 0 },
	{ "sgd ahead", AHEAD, 1, 0.9f, 0, 0, 3e-4f, 0 },
	{ "sgd ahead, whole gradient", AHEAD, 0, 0.9f, 0, 0, 0, 0 },
	{ "store of base and direction", STORE, 1, -0.7f, 0, 0, 0, 0 },
	{ "store of base and whole direction", STORE, 0, -0.7f, 0, 0, 0, 0 },
	{ "store of a copy", COPY, 0, 0, 0, 0, 0, 0 },
	{ "adam", ADAM, 0, 0.5f, 0.999f, 1e-8f, 1e-3f, 0 },
	{ "padam", PADAM, 1, 0.9f, 0.999f, 1e-8f, 3e-4f, 0.125f },
	{ "padam, whole gradient", PADAM, 0, 0.9f, 0.999f, 1e-8f, 0, 0.5f },
};

static const struct sd_shape shapes[TENSORS] = { { 4, { 37, 19, 5, 5 } }, { 1, { 3 } } };
static const char *const group_name[GROUPS] = { "p", "m", "v", "u" };
static const float rate = 0.02f, coef_value = 0.37f;

static int groups_of(const struct wcase *c)
{
	return c->kind == SGD ? 2 : c->kind == PADAM ? 4 : 3;
}

struct work {
	const struct wcase *c;
	struct sd_graph *g;
	sd_val root;
	sd_val group[GROUPS][TENSORS], grad[TENSORS], lr, t, coef;
};

static int build(struct work *w, const struct wcase *c)
{
	memset(w, 0, sizeof *w);
	w->c = c;
	w->g = sd_graph_new();
	for (int k = 0; k < groups_of(c); k++)
		for (int i = 0; i < TENSORS; i++) {
			char name[32];

			snprintf(name, sizeof name, "%s%d", group_name[k], i);
			w->group[k][i] = k ? sd_state(w->g, name, SD_F32, shapes[i]) :
				sd_param(w->g, name, shapes[i]);
		}
	for (int i = 0; i < TENSORS; i++) {
		char name[32];

		/* a parameter, as an input of four dimensions would be an image */
		snprintf(name, sizeof name, "grad%d", i);
		w->grad[i] = sd_param(w->g, name, shapes[i]);
	}
	w->lr = sd_scalar(w->g, "lr", SD_F32);
	w->t = c->kind < ADAM ? SD_NIL : sd_state(w->g, "t", SD_I32, sd_shape0());
	w->coef = c->clipped ? sd_scalar(w->g, "coef", SD_F32) : SD_NIL;
	if (c->kind == SGD)
		w->root = sd_sgd(w->g, TENSORS, w->group[0], w->group[1], w->grad, w->lr, w->coef, c->f1, c->decay);
	else if (c->kind == AHEAD)
		w->root = sd_sgd_ahead(w->g, TENSORS, w->group[2], w->group[0], w->group[1], w->grad, w->lr, w->coef, c->f1,
			c->decay);
	else if (c->kind == STORE)
		w->root = sd_store(w->g, TENSORS, w->group[2], w->group[0], c->f1, w->coef, w->grad);
	else if (c->kind == COPY)
		w->root = sd_store(w->g, TENSORS, w->group[2], w->group[1], 0, SD_NIL, NULL);
	else if (c->kind == ADAM)
		w->root = sd_adam(w->g, TENSORS, w->group[0], w->group[1], w->group[2], w->grad, w->lr, w->t,
			c->f1, c->f2, c->eps, c->decay);
	else
		w->root = sd_padam(w->g, TENSORS, w->group[0], w->group[1], w->group[2], w->group[3], w->grad,
			w->lr, w->t, w->coef, c->f1, c->f2, c->eps, c->decay, c->partial);
	return sd_graph_ok(w->g) ? 0 : -1;
}

/* What element j of a source is at first; second moments are squares. */
static float at_first(const char *name, size_t j)
{
	uint32_t ctr[4] = { (uint32_t)j, 0, 0, 0 }, r[4];

	sd_rng_block(sd_rng_key(11, "writes", name), ctr, r);
	float x = sd_rng_normal(r[0], r[1]);
	return *name == 'v' || *name == 'u' ? x * x : x;
}

/* One step of one element, in double: s is the parameter and its states. */
static void step(const struct wcase *c, double *s, double g, int t)
{
	double d = (c->clipped ? (double)coef_value : 1) * g + (double)c->decay * s[0];
	double c1 = 1 - pow((double)c->f1, t), c2 = 1 - pow((double)c->f2, t);

	if (c->kind == AHEAD || c->kind == STORE || c->kind == COPY) {
		s[2] = c->kind == COPY ? s[1] : c->kind == STORE ? s[0] + (double)c->f1 * d :
			s[0] - (double)rate * ((double)c->f1 * s[1] + d);
		return;
	}
	if (c->kind == SGD) {
		s[1] = (double)c->f1 * s[1] + d;
		s[0] -= (double)rate * s[1];
		return;
	}
	s[1] = (double)c->f1 * s[1] + (1 - (double)c->f1) * d;
	s[2] = (double)c->f2 * s[2] + (1 - (double)c->f2) * d * d;
	if (c->kind == ADAM) {
		s[0] -= (double)rate / c1 * s[1] / (sqrt(s[2]) / sqrt(c2) + (double)c->eps);
		return;
	}
	s[3] = fmax(s[3], s[2]);
	s[0] -= (double)rate * sqrt(c2) / c1 * s[1] / pow(sqrt(s[3]) + (double)c->eps, 2 * (double)c->partial);
}

/* Runs the steps; out[k][i] gets what group k of tensor i holds then. */
static int run(const struct work *w, const char *device, const char *path, int threads,
	float *out[GROUPS][TENSORS])
{
	const struct sd_graph *g = w->g;
	struct sd_bind bind = { calloc((size_t)g->nslot, sizeof(struct sd_buffer *)), g->nslot };
	struct sd_program *p = NULL;
	int ret = -1;

	setenv("SD_CPU", path, 1);
	struct sd_engine *e = sd_engine_open(device, threads);
	if (!e)
		goto out;
	sd_engine_poison(e, 1);
	for (int s = 0; s < g->nslot; s++) {
		const struct sd_value *v = &g->val[g->slot[s]];
		size_t n = sd_shape_count(&v->shape);
		float *host = calloc(n, sizeof *host); /* the count of steps begins at 0 */

		for (size_t j = 0; v->dtype == SD_F32 && j < n; j++)
			host[j] = g->slot[s] == w->lr ? rate : g->slot[s] == w->coef ? coef_value :
				at_first(v->name, j);
		bind.slot[s] = sd_buffer_new(e, v->dtype, v->shape);
		sd_buffer_write(bind.slot[s], host);
		free(host);
	}
	p = sd_program_new(e, g, 1, &w->root, 0);
	for (int t = 0; p && t < STEPS; t++)
		if (sd_program_run(p, &bind))
			goto out;
	ret = p ? 0 : -1;
	for (int k = 0; !ret && k < groups_of(w->c); k++)
		for (int i = 0; i < TENSORS; i++)
			ret |= sd_buffer_read(bind.slot[g->val[w->group[k][i]].slot], out[k][i]);
out:
	for (int s = 0; s < g->nslot; s++)
		sd_buffer_free(bind.slot[s]);
	free(bind.slot);
	sd_program_free(p);
	sd_engine_close(e);
	return ret;
}

/* The largest difference from the formula in group k, as a part of the largest change or value there. */
static double worst(const struct wcase *c, float *out[GROUPS][TENSORS], int k)
{
	double diff = 0, size = 0;

	for (int i = 0; i < TENSORS; i++)
		for (size_t j = 0; j < sd_shape_count(&shapes[i]); j++) {
			double s[GROUPS] = { 0 };
			char name[32];

			for (int m = 0; m < groups_of(c); m++) {
				snprintf(name, sizeof name, "%s%d", group_name[m], i);
				s[m] = (double)at_first(name, j);
			}
			double before = k ? 0 : s[0];
			snprintf(name, sizeof name, "grad%d", i);
			for (int t = 1; t <= STEPS; t++)
				step(c, s, (double)at_first(name, j), t);
			double d = fabs((double)out[k][i][j] - s[k]);
			diff = isnan(d) ? INFINITY : fmax(diff, d);
			size = fmax(size, fabs(s[k] - before));
		}
	return size > 0 ? diff / size : diff; /* what is only read has no change */
}

static void free_out(float *out[GROUPS][TENSORS])
{
	for (int k = 0; k < GROUPS; k++)
		for (int i = 0; i < TENSORS; i++)
			free(out[k][i]);
}

static void new_out(float *out[GROUPS][TENSORS])
{
	for (int k = 0; k < GROUPS; k++)
		for (int i = 0; i < TENSORS; i++)
			out[k][i] = calloc(sd_shape_count(&shapes[i]), sizeof(float));
}

static void tell(int ok, int *passed, int *failed, const char *name, const char *what, double err)
{
	*passed += ok;
	*failed += !ok;
	if (!ok)
		printf("FAIL %s: %s: %.3g\n", name, what, err);
}

static void check_case(const struct wcase *c, const char *device, int *passed, int *failed)
{
	static const struct { const char *path; int threads; } other[] = {
		{ "avx512", 2 }, { "avx2", 5 }, { "generic", 5 },
	};
	float *base[GROUPS][TENSORS], *out[GROUPS][TENSORS];
	struct work w;

	new_out(base);
	new_out(out);
	if (build(&w, c) || run(&w, device, "generic", 1, base)) {
		tell(0, passed, failed, c->name, sd_error_text(), 0);
		goto out;
	}
	for (int k = 0; k < groups_of(c); k++) {
		double err = worst(c, base, k);

		tell(err <= 1e-5, passed, failed, c->name, group_name[k], err);
	}
	for (size_t o = 0; o < sizeof other / sizeof *other; o++) {
		int same = 1, ret = run(&w, device, other[o].path, other[o].threads, out);

		if (ret && sd_error_kind() == SD_ERR_USAGE) /* a processor without that path */
			continue;
		for (int k = 0; k < groups_of(c); k++)
			for (int i = 0; i < TENSORS; i++)
				same &= !memcmp(base[k][i], out[k][i], sd_shape_count(&shapes[i]) * sizeof(float));
		tell(!ret && same, passed, failed, c->name, other[o].path, 0);
	}
out:
	free_out(base);
	free_out(out);
	sd_graph_free(w.g);
}

void writes_check(const char *device, const char *only, int *passed, int *failed)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (!only || strstr(cases[i].name, only))
			check_case(&cases[i], device, passed, failed);
}
