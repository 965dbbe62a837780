/* golden_run.c: binds graphs to golden files, and compares groups of them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "golden.h"

struct gold_path gold_path(const char *path, const char *name)
{
	struct gold_path p;

	snprintf(p.s, sizeof(p.s), "%s%s%s", strcmp(path, ".") ? path : "", strcmp(path, ".") ? "/" : "", name);
	return p;
}

float *gold_floats(const struct gold_array *a)
{
	float *v = malloc((a->n + 1) * sizeof(*v));

	if (!v) {
		sd_error(SD_ERR_IO, "out of memory");
		return NULL;
	}
	for (size_t i = 0; i < a->n; i++)
		v[i] = (float)a->v[i];
	return v;
}

int gold_shape(struct sd_shape *s, const struct gold_array *a)
{
	if (a->ndim > SD_MAX_DIMS)
		return sd_error(SD_ERR_DATA, "%d dimensions are too many", a->ndim);
	*s = sd_shape0();
	s->n = a->ndim;
	for (int i = 0; i < a->ndim; i++)
		s->d[i] = (int)a->dim[i];
	return 0;
}

int gold_run_init(struct gold_run *r, struct sd_engine *engine)
{
	memset(r, 0, sizeof(*r));
	sd_vars_init(&r->vars, engine, 0);
	r->graph = sd_graph_new();
	return r->graph ? 0 : -1;
}

void gold_run_release(struct gold_run *r)
{
	for (int i = 0; i < r->ninput; i++) {
		sd_buffer_free(r->buffer[i]);
		free(r->data[i]);
	}
	free(r->bind.slot);
	sd_vars_release(&r->vars);
	sd_graph_free(r->graph);
	memset(r, 0, sizeof(*r));
}

sd_val gold_run_input(struct gold_run *r, const char *name, const struct gold_array *a)
{
	struct sd_shape shape;
	int i = r->ninput;

	if (i == GOLD_INPUTS || gold_shape(&shape, a))
		return SD_NIL;
	if (a->integer) {
		int32_t *v = malloc((a->n + 1) * sizeof(*v));

		for (size_t k = 0; v && k < a->n; k++)
			v[k] = (int32_t)a->v[k];
		r->data[i] = v;
	} else {
		r->data[i] = gold_floats(a);
	}
	if (!r->data[i])
		return SD_NIL;
	r->ninput++;
	r->input[i] = sd_input(r->graph, name, a->integer ? SD_I32 : SD_F32, shape);
	return r->input[i];
}

int gold_run_bind(struct gold_run *r, hid_t file, const char *path)
{
	if (!sd_graph_ok(r->graph))
		return -1;
	r->bind.nslot = r->graph->nslot;
	r->bind.slot = calloc(r->graph->nslot + 1, sizeof(*r->bind.slot));
	if (!r->bind.slot)
		return sd_error(SD_ERR_IO, "out of memory");
	if (sd_vars_bind(&r->vars, r->graph, &r->bind) || gold_fill_vars(&r->vars, file, path))
		return -1;
	for (int i = 0; i < r->ninput; i++) {
		const struct sd_value *v = &r->graph->val[r->input[i]];

		r->buffer[i] = sd_buffer_new(r->vars.engine, v->dtype, v->shape);
		if (!r->buffer[i] || sd_buffer_write(r->buffer[i], r->data[i]))
			return -1;
		r->bind.slot[v->slot] = r->buffer[i];
	}
	return 0;
}

float *gold_run_read(const struct gold_run *r, struct sd_program *p, sd_val v, sd_val like)
{
	size_t n = sd_shape_count(sd_shape_of(r->graph, v == SD_NIL ? like : v));
	float *out = calloc(n + 1, sizeof(*out));

	if (!out) {
		sd_error(SD_ERR_IO, "out of memory");
		return NULL;
	}
	for (int i = 0; i < r->ninput; i++) {
		if (v == r->input[i]) { /* the op passes its input on */
			memcpy(out, r->data[i], n * sizeof(*out));
			return out;
		}
	}
	if (v != SD_NIL && sd_program_read(p, v, out)) {
		free(out);
		return NULL;
	}
	return out;
}

float *gold_var(const struct sd_vars *v, const char *name)
{
	const struct sd_var *var = sd_vars_find(v, name);
	size_t n;
	float *out;

	if (!var || var->dtype == SD_F64) {
		sd_error(SD_ERR_DATA, "no variable '%s'", name);
		return NULL;
	}
	n = sd_shape_count(&var->shape);
	out = malloc((n + 1) * sizeof(*out));
	if (!out || sd_vars_get(v, name, out)) {
		free(out);
		return NULL;
	}
	if (var->dtype == SD_I32) {
		for (size_t i = 0; i < n; i++) {
			int32_t k;

			memcpy(&k, &out[i], sizeof(k));
			out[i] = (float)k;
		}
	}
	return out;
}

float *gold_get_var(void *vars, const char *name, size_t *n)
{
	const struct sd_var *var = sd_vars_find(vars, name);

	*n = var ? sd_shape_count(&var->shape) : 0;
	return gold_var(vars, name);
}

static int is_own(const struct sd_var *var)
{
	return var->cls == SD_SCALAR || !strncmp(var->name, "optimizer/", 10) ||
		!strncmp(var->name, "sums/", 5) || !strncmp(var->name, "arch/", 5) || sd_var_is_scratch(var);
}

static int fill_one(struct sd_vars *v, const struct sd_var *var, hid_t file, const char *set)
{
	struct gold_array a;
	struct sd_shape shape;
	int ret = -1;

	if (gold_read(&a, file, set))
		return -1;
	if (gold_shape(&shape, &a))
		goto out;
	if (!sd_shape_equal(&shape, &var->shape)) {
		sd_error(SD_ERR_DATA, "'%s' has another shape", set);
		goto out;
	}
	if (var->dtype == SD_I32) {
		int32_t k = (int32_t)a.v[0];

		ret = sd_vars_set(v, var->name, &k);
	} else {
		float *f = gold_floats(&a);

		ret = f ? sd_vars_set(v, var->name, f) : -1;
		free(f);
	}
out:
	gold_array_release(&a);
	return ret;
}

int gold_fill_vars(struct sd_vars *v, hid_t file, const char *path)
{
	static const char *const group[2] = { "params", "buffers" };

	for (int i = 0; i < v->n; i++) {
		const struct sd_var *var = &v->var[i];
		struct gold_path set = gold_path(gold_path(path, group[var->cls != SD_PARAM]).s, var->name);
		const char *end = strrchr(var->name, '.');

		if (is_own(var)) {
			if (sd_vars_zero(v, var->name))
				return -1;
			continue;
		}
		if (!gold_has(file, set.s) && !strncmp(var->name, "alphas_", 7))
			set = gold_path(path, var->name);
		if (!gold_has(file, set.s) && end && !strcmp(end, ".num_batches_tracked")) {
			if (sd_vars_zero(v, var->name)) /* left out by files where it does not matter */
				return -1;
			continue;
		}
		if (!gold_has(file, set.s))
			return sd_error(SD_ERR_DATA, "'%s' is ours alone", var->name);
		if (fill_one(v, var, file, set.s))
			return -1;
	}
	for (int k = 0; k < 2; k++) {
		size_t n;
		char **name;
		struct gold_path set = gold_path(path, group[k]);

		if (!gold_has(file, set.s))
			continue;
		name = gold_names(file, set.s, &n);
		if (!name)
			return -1;
		for (size_t i = 0; i < n; i++) {
			if (!sd_vars_find(v, name[i])) {
				sd_error(SD_ERR_DATA, "'%s' is the reference's alone", name[i]);
				free(name);
				return -1;
			}
		}
		free(name);
	}
	return 0;
}

/* Largest magnitude in a group, or of its members minus those of another. */
static double group_max(hid_t file, const char *path, char **name, size_t n, const char *ref_before)
{
	double largest = 0;

	for (size_t i = 0; i < n; i++) {
		struct gold_array a, b = {0};

		if (gold_read(&a, file, gold_path(path, name[i]).s))
			continue;
		if (ref_before && a.row_stride == 1 && gold_read(&b, file, gold_path(ref_before, name[i]).s))
			b.v = NULL;
		for (size_t k = 0; k < a.n && (!ref_before || (b.v && b.n == a.n)); k++)
			largest = fmax(largest, fabs(a.v[k] - (b.v ? b.v[k] : 0)));
		gold_array_release(&a);
		gold_array_release(&b);
	}
	return largest;
}

void gold_compare_group(struct gold_worst *w, hid_t file, const char *path, gold_getter *get, void *ctx,
	const char *ref_before, gold_getter *before, void *before_ctx)
{
	size_t n;
	char **name = gold_names(file, path, &n), *worst = NULL;
	double worst_rel;

	if (!name) {
		gold_worst_broken(w, "%s", sd_error_text());
		return;
	}
	worst_rel = gold_num(file, path, "f32_worst_rel_err", 0);
	if (gold_has_attr(file, path, "f32_worst_name"))
		worst = gold_text(file, path, "f32_worst_name");
	if (w->rule == GOLD_GRAD || w->rule == GOLD_UPDATE)
		w->netmax = fmax(w->netmax, group_max(file, path, name, n, ref_before));
	for (size_t i = 0; i < n; i++) {
		struct gold_array ref = {0}, rb = {0};
		float *got = NULL, *was = NULL;
		size_t ngot = 0, nwas = 0, whole;

		if (gold_read(&ref, file, gold_path(path, name[i]).s))
			goto broken;
		whole = ref.row_stride > 1 ? ref.n / ref.dim[0] * ref.rows : ref.n;
		got = get(ctx, name[i], &ngot);
		if (!got)
			goto broken;
		if (ngot != whole) {
			sd_error(SD_ERR_DATA, "%s: %zu values, expected %zu", name[i], ngot, whole);
			goto broken;
		}
		/* A group says its worst relative float32 error and where.  It stands for all of it after several
		 * steps, and where it is so large that float32 switched a unit: that shows in many tensors. */
		if (w->rule == GOLD_UPDATE || (worst && !strcmp(worst, name[i])) ||
				worst_rel > gold_tolerance(w->rule)) {
			double largest = 0;

			for (size_t k = 0; k < ref.n; k++)
				largest = fmax(largest, fabs(ref.v[k]));
			ref.f32_err = fmax(ref.f32_err, worst_rel * largest);
		}
		if (ref_before) {
			if (gold_read(&rb, file, gold_path(ref_before, name[i]).s))
				goto broken;
			was = before(before_ctx, name[i], &nwas);
			if (!was || nwas != whole || rb.n != whole) {
				sd_error(SD_ERR_DATA, "%s: no values before", name[i]);
				goto broken;
			}
		}
		gold_compare(w, name[i], got, &ref, rb.v, was);
		goto next;
broken:
		gold_worst_broken(w, "%s", sd_error_text());
next:
		free(got);
		free(was);
		gold_array_release(&ref);
		gold_array_release(&rb);
	}
	free(worst);
	free(name);
}

void gold_compare_set(struct gold_worst *w, hid_t file, const char *path, const float *got, size_t n)
{
	struct gold_array ref;
	const char *name = strrchr(path, '/');

	if (!got || gold_read(&ref, file, path)) {
		gold_worst_broken(w, "%s", sd_error_text());
		return;
	}
	if (ref.n != n)
		gold_worst_broken(w, "%s: %zu values, expected %zu", path, n, ref.n);
	else
		gold_compare(w, name ? name + 1 : path, got, &ref, NULL, NULL);
	gold_array_release(&ref);
}
