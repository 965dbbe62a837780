/* optable.c: one table of cases for every op and engine.  Each case builds a small graph; its value is
 * compared with the plain reference (ref.c), its gradients with finite differences of the reference,
 * and all code paths and thread counts with each other, bit for bit, in memory that is poisoned
 * before every run.  The plan with nothing folded has to agree too. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "engine/engine.h"
#include "graph/grad.h"
#include "cases.h"
#include "ref.h"
#include "writes.h"

static int passed, failed;

/* ---- contents of the sources ---- */

static double normal(struct sd_rng_key key, size_t i)
{
	uint32_t c[4] = { (uint32_t)i, 0, 0, 0 }, w[4];

	sd_rng_block(key, c, w);
	return (double)sd_rng_normal(w[0], w[1]);
}

static double source_value(const struct tcase *t, const struct sd_value *v, size_t i, struct sd_rng_key key)
{
	double z = normal(key, i);
	size_t plane = v->shape.n == 4 ? (size_t)v->shape.d[2] * (size_t)v->shape.d[3] : 1;

	if (v->dtype == SD_I32)
		return (double)(i * 5 % 7);
	if (!strcmp(v->name, "const.on") || !strcmp(v->name, "const.off"))
		return !strcmp(v->name, "const.on");
	if (!strcmp(v->name, "alpha")) /* row 1: the first term is the largest */
		return 0.3 * z + (i / (size_t)v->shape.d[1] == 1 && i % (size_t)v->shape.d[1] == 0 ? 3 : 0);
	if (strstr(v->name, "var") || strstr(v->name, "gamma"))
		return 1 + 0.3 * tanh(z);
	if (strcmp(v->name, "x"))
		return v->cls == SD_PARAM ? 0.3 * z : z;
	switch (t->fill) {
	case CONSTANT: /* channels 1, 5, 9 ...: one value */
		return i / plane % (size_t)v->shape.d[1] % 4 == 1 ? 0.7 : z;
	case BIG_MEAN:
		return 300 + 0.06 * z;
	case TIES:
		return floor(z * 1.5) * 0.5;
	case NANS:
		return i % 97 == 13 ? NAN : z;
	default:
		return z;
	}
}

struct bench { /* one case: its graph, the sources' contents, what is asked for */
	const struct tcase *t;
	struct sd_graph *g;
	sd_val y, gy_in;
	sd_val want[16], grad[16];
	int nwant;
	float **host; /* by slot: float or int32 */
};

static void make_contents(struct bench *b)
{
	struct sd_graph *g = b->g;
	int s;
	size_t i;

	b->host = calloc((size_t)g->nslot, sizeof(*b->host));
	for (s = 0; s < g->nslot; s++) {
		const struct sd_value *v = &g->val[g->slot[s]];
		size_t n = sd_shape_count(&v->shape);
		struct sd_rng_key key = sd_rng_key(7, b->t->name, v->name);

		b->host[s] = malloc(n * sizeof(float) + 1);
		for (i = 0; i < n; i++) {
			double x = source_value(b->t, v, i, key);

			if (v->dtype == SD_I32)
				((int32_t *)b->host[s])[i] = (int32_t)x;
			else
				b->host[s][i] = (float)x;
		}
	}
}

/* The graph of a case with its gradients; unfused builds mixed edges from their parts. */
static int bench_init(struct bench *b, const struct tcase *t, int unfused)
{
	int s;

	memset(b, 0, sizeof(*b));
	b->t = t;
	b->g = sd_graph_new();
	b->g->unfused = unfused;
	b->y = t->build(b->g, t->p);
	if (!sd_graph_ok(b->g))
		return -1;
	for (s = 0; s < b->g->nslot; s++) {
		const struct sd_value *v = &b->g->val[b->g->slot[s]];

		if (v->dtype == SD_F32 && strncmp(v->name, "const", 5) && t->fill != NANS)
			b->want[b->nwant++] = b->g->slot[s];
	}
	b->gy_in = sd_input(b->g, "gy", SD_F32, b->g->val[b->y].shape);
	if (sd_graph_vjp(b->g, b->y, b->gy_in, b->nwant, b->want, b->grad))
		return -1;
	make_contents(b);
	return 0;
}

static void bench_release(struct bench *b)
{
	int s;

	for (s = 0; b->host && s < b->g->nslot; s++)
		free(b->host[s]);
	free(b->host);
	sd_graph_free(b->g);
}

/* ---- running ---- */

struct outcome {
	float *y, *grad[16];
};

static void outcome_free(struct outcome *o)
{
	int i;

	free(o->y);
	for (i = 0; i < 16; i++)
		free(o->grad[i]);
}

/* Where a case runs, and how. */
struct where {
	const char *device, *path; /* path: SD_CPU */
	int threads, flags;
	enum sd_precision precision;
	int times;                 /* on CUDA the second run is a replay of what the first captured */
};

static int run(const struct bench *b, const struct where *w, struct outcome *o)
{
	const struct sd_graph *g = b->g;
	struct sd_engine *e;
	struct sd_program *p = NULL;
	struct sd_bind bind = { calloc((size_t)g->nslot, sizeof(struct sd_buffer *)), g->nslot };
	sd_val root[17];
	int i, n = 0, rc = -1;

	memset(o, 0, sizeof(*o));
	setenv("SD_CPU", w->path, 1);
	e = sd_engine_open(w->device, w->threads);
	if (!e || sd_engine_set_precision(e, w->precision))
		goto out;
	sd_engine_poison(e, 1);
	for (i = 0; i < g->nslot; i++) {
		const struct sd_value *v = &g->val[g->slot[i]];

		bind.slot[i] = sd_buffer_new(e, v->dtype, v->shape);
		sd_buffer_write(bind.slot[i], b->host[i]);
	}
	root[n++] = b->y;
	for (i = 0; i < b->nwant; i++)
		if (b->grad[i] != SD_NIL)
			root[n++] = b->grad[i];
	p = sd_program_new(e, g, n, root, w->flags);
	for (i = 0; i < w->times; i++)
		if (!p || sd_program_run(p, &bind))
			goto out;
	o->y = malloc(sd_shape_count(&g->val[b->y].shape) * sizeof(float));
	rc = sd_program_read(p, b->y, o->y);
	for (i = 0; i < b->nwant && !rc; i++) {
		if (b->grad[i] == SD_NIL)
			continue;
		o->grad[i] = malloc(sd_shape_count(&g->val[b->grad[i]].shape) * sizeof(float));
		rc = sd_program_read(p, b->grad[i], o->grad[i]);
	}
out:
	for (i = 0; i < g->nslot; i++)
		sd_buffer_free(bind.slot[i]);
	free(bind.slot);
	sd_program_free(p);
	sd_engine_close(e);
	return rc;
}

/* ---- comparing ---- */

static void verdict(const struct bench *b, const char *what, const char *name, double err, double tol)
{
	if (err <= tol) {
		passed++;
		return;
	}
	failed++;
	printf("FAIL %s: %s %s: error %.3g, allowed %.3g\n", b->t->name, what, name, err, tol);
}

/* Largest difference, as a part of the largest magnitude of the reference. */
static double worst(const float *got, const double *want, size_t n)
{
	double d = 0, m = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (isnan(want[i]) != isnan((double)got[i]))
			return INFINITY;
		if (isnan(want[i]))
			continue;
		d = fmax(d, fabs((double)got[i] - want[i]));
		m = fmax(m, fabs(want[i]));
	}
	return m > 0 ? d / m : d;
}

static void fill_ref(const struct bench *b, struct ref *r)
{
	const struct sd_graph *g = b->g;
	int s;
	size_t i;

	for (s = 0; s < g->nslot; s++) {
		const struct sd_value *v = &g->val[g->slot[s]];

		for (i = 0; i < sd_shape_count(&v->shape); i++) {
			double x = v->dtype == SD_I32 ? ((int32_t *)b->host[s])[i] : (double)b->host[s][i];

			/* ties go to the first index: make it the largest by a hair */
			if (b->t->fill == TIES && !strcmp(v->name, "x"))
				x -= 1e-5 * (double)(i % ((size_t)v->shape.d[2] * (size_t)v->shape.d[3]));
			r->v[g->slot[s]][i] = x;
		}
	}
}

static double objective(const struct bench *b, struct ref *r)
{
	size_t i, n = sd_shape_count(&b->g->val[b->y].shape);
	double sum = 0;

	ref_eval(r, b->y);
	for (i = 0; i < n; i++)
		sum += r->v[b->y][i] * r->v[b->gy_in][i];
	return sum;
}

/* Some elements of each gradient against central differences of the reference. */
static void check_gradient(const struct bench *b, struct ref *r, const struct outcome *o, int k)
{
	enum { PROBES = 24 };
	double *x = r->v[b->want[k]], want, d = 0, m = 0;
	const double h = 1e-6;
	const char *name = b->g->val[b->want[k]].name;
	size_t n = sd_shape_count(&b->g->val[b->want[k]].shape), i, j;

	for (j = 0; j < n; j++)
		m = fmax(m, o->grad[k] ? fabs((double)o->grad[k][j]) : 0);
	for (j = 0; j < PROBES && j < n; j++) {
		double keep, up, got;

		i = n <= PROBES ? j : sd_rng_below(sd_rng_word(sd_rng_key(3, name, ""), (uint32_t)j, 0, 0, 0), (uint32_t)n);
		keep = x[i];
		x[i] = keep + h;
		up = objective(b, r);
		x[i] = keep - h;
		want = (up - objective(b, r)) / (2 * h);
		x[i] = keep;
		got = o->grad[k] ? (double)o->grad[k][i] : 0;
		d = isnan(got) ? INFINITY : fmax(d, fabs(got - want));
		m = fmax(m, fabs(want));
	}
	/* where all gradients cancel (an input's mean in front of a batch norm) nothing but noise is left */
	verdict(b, "gradient of", name, m > 1e-6 ? d / m : d, b->t->fill == BIG_MEAN ? 2e-2 : 1e-3);
}

static int same_bits(const struct bench *b, const struct outcome *a, const struct outcome *o)
{
	int i;

	if (memcmp(a->y, o->y, sd_shape_count(&b->g->val[b->y].shape) * sizeof(float)))
		return 0;
	for (i = 0; i < b->nwant; i++)
		if (a->grad[i] && memcmp(a->grad[i], o->grad[i],
				sd_shape_count(&b->g->val[b->want[i]].shape) * sizeof(float)))
			return 0;
	return 1;
}

static void check_agree(const struct bench *b, const struct outcome *a, const struct outcome *o)
{
	double tol = b->t->fill == BIG_MEAN ? 1e-2 : 2e-4, err, *want;
	int i;
	size_t j, n;

	for (i = -1; i < b->nwant; i++) {
		const float *x = i < 0 ? a->y : a->grad[i], *y = i < 0 ? o->y : o->grad[i];

		if (!x || !y)
			continue;
		n = sd_shape_count(&b->g->val[i < 0 ? b->y : b->want[i]].shape);
		want = malloc(n * sizeof(*want));
		for (j = 0; j < n; j++)
			want[j] = (double)x[j];
		err = worst(y, want, n);
		for (j = 0; j < n && err > tol && fabs(want[j]) < 1e-4; j++)
			err = j + 1 == n ? 0 : err; /* both are noise */
		verdict(b, "unfused", i < 0 ? "value" : b->g->val[b->want[i]].name, err, tol);
		free(want);
	}
}

static size_t count_of(const struct bench *b, sd_val v)
{
	return sd_shape_count(&b->g->val[v].shape);
}

static void check_reference(const struct bench *b, const struct outcome *o)
{
	struct ref *r = ref_new(b->g);
	int k;

	fill_ref(b, r);
	ref_eval(r, b->y);
	verdict(b, "value", "", worst(o->y, r->v[b->y], count_of(b, b->y)),
		b->t->fill == BIG_MEAN ? 1e-3 : b->t->fill == TIES ? 1e-3 : 1e-5);
	for (k = 0; k < b->nwant; k++)
		check_gradient(b, r, o, k);
	ref_free(r);
}

/* The plan with nothing folded, built with every op by itself. */
static void check_unfused(const struct bench *b, const struct outcome *base, const struct where *w)
{
	struct where unfused = *w;
	struct outcome o;
	struct bench u;

	unfused.flags = SD_PLAN_UNFUSED;
	if (bench_init(&u, b->t, 1) || run(&u, &unfused, &o)) {
		failed++;
		printf("FAIL %s: unfused: %s\n", b->t->name, sd_error_text());
	} else {
		check_agree(b, base, &o);
	}
	outcome_free(&o);
	bench_release(&u);
}

static void check_bits(const struct bench *b, const struct outcome *base, const struct where *w, const char *what)
{
	struct outcome o;
	int rc = run(b, w, &o);

	if (!rc || sd_error_kind() != SD_ERR_USAGE) /* else a processor without that path */
		verdict(b, "bits of", what, rc || !same_bits(b, base, &o), 0);
	outcome_free(&o);
}

static void check_cpu(const struct tcase *t)
{
	static const struct where other[] = {
		{ "cpu", "avx512", 2, 0, SD_FP32, 1 }, { "cpu", "avx512", 5, 0, SD_FP32, 1 },
		{ "cpu", "avx2", 2, 0, SD_FP32, 1 }, { "cpu", "generic", 1, 0, SD_FP32, 1 },
		{ "cpu", "generic", 5, 0, SD_FP32, 2 },
	}, first = { "cpu", "generic", 2, 0, SD_FP32, 1 };
	struct bench b;
	struct outcome base;
	size_t i;

	if (bench_init(&b, t, 0) || run(&b, &first, &base)) {
		failed++;
		printf("FAIL %s: %s\n", t->name, sd_error_text());
		bench_release(&b);
		return;
	}
	check_reference(&b, &base);
	for (i = 0; i < sizeof(other) / sizeof(*other); i++) {
		char what[64];

		snprintf(what, sizeof(what), "%s, %d threads", other[i].path, other[i].threads);
		check_bits(&b, &base, &other[i], what);
	}
	check_unfused(&b, &base, &first);
	outcome_free(&base);
	bench_release(&b);
}

/* Distance of two results as a part of the first's length. */
static double distance(const float *want, const float *got, size_t n)
{
	double d = 0, m = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (isnan((double)want[i]) != isnan((double)got[i]))
			return INFINITY;
		if (isnan((double)want[i]))
			continue;
		d += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
		m += (double)want[i] * (double)want[i];
	}
	return m > 1e-12 ? sqrt(d / m) : sqrt(d);
}

/* Other precisions than float32 are held against it as wholes: single elements may cross a relu, which in small
 * tensors moves a gradient by a tenth of its length. */
static void check_precision(const struct bench *b, const struct outcome *full, const struct where *w)
{
	static const double value[] = { [SD_TF32] = 1e-2, [SD_BF16] = 6e-2, [SD_FP16] = 1e-2 };
	static const double gradient[] = { [SD_TF32] = 0.2, [SD_BF16] = 0.35, [SD_FP16] = 0.2 };
	struct outcome o;
	int i;

	if (run(b, w, &o)) {
		failed++;
		printf("FAIL %s: %s: %s\n", b->t->name, sd_precision_names[w->precision], sd_error_text());
		outcome_free(&o);
		return;
	}
	verdict(b, sd_precision_names[w->precision], "value", distance(full->y, o.y, count_of(b, b->y)),
		value[w->precision]);
	for (i = 0; i < b->nwant; i++)
		if (full->grad[i])
			verdict(b, sd_precision_names[w->precision], b->g->val[b->want[i]].name,
				distance(full->grad[i], o.grad[i], count_of(b, b->want[i])), gradient[w->precision]);
	check_bits(b, &o, w, "a second run");
	outcome_free(&o);
}

static void check_device(const struct tcase *t, const char *device, int precisions)
{
	struct where w = { device, "generic", 0, 0, SD_FP32, 1 };
	struct bench b;
	struct outcome base;

	if (bench_init(&b, t, 0) || run(&b, &w, &base)) {
		failed++;
		printf("FAIL %s: %s\n", t->name, sd_error_text());
		bench_release(&b);
		return;
	}
	check_reference(&b, &base);
	w.times = 2;
	check_bits(&b, &base, &w, "a replay");
	w.times = 1;
	check_unfused(&b, &base, &w);
	/* what rounding the input decides (which of two near equals a pool takes) says nothing of a kernel */
	if (precisions && t->fill == RANDOM && !strstr(t->name, "maxpool"))
		for (w.precision = SD_TF32; w.precision < SD_PRECISIONS; w.precision++)
			check_precision(&b, &base, &w);
	outcome_free(&base);
	bench_release(&b);
}

/* optable [--device DEVICE [--fp32]] [PART-OF-A-NAME]; --fp32 leaves the other precisions out. */
int main(int argc, char **argv)
{
	const char *device = "cpu", *only = NULL;
	int precisions = 1;
	size_t i;

	if (argc > 2 && !strcmp(argv[1], "--device")) {
		device = argv[2];
		argc -= 2;
		argv += 2;
	}
	if (argc > 1 && !strcmp(argv[1], "--fp32")) {
		precisions = 0;
		argc--;
		argv++;
	}
	if (argc > 1)
		only = argv[1];
	for (i = 0; i < ncase; i++) {
		if (only && !strstr(cases[i].name, only))
			continue;
		if (strcmp(device, "cpu"))
			check_device(&cases[i], device, precisions);
		else
			check_cpu(&cases[i]);
	}
	writes_check(device, only, &passed, &failed);
	printf("%d passed, %d failed\n", passed, failed);
	return failed != 0;
}
