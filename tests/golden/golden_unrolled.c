/* golden_unrolled.c: second-order steps of the alphas, part by part. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "golden.h"

/* A variable in the scratch folder by the name of its parameter. */
static float *get_ahead(void *vars, const char *name, size_t *n)
{
	return gold_get_var(vars, gold_path("scratch/ahead", name).s, n);
}

static void check_group(struct gold *g, hid_t file, const char *path, enum gold_rule rule, gold_getter *get,
	void *ctx)
{
	struct gold_worst w;

	gold_worst_init(&w, rule);
	gold_compare_group(&w, file, path, get, ctx, NULL, NULL, NULL);
	gold_report(g, path, &w);
}

/* One of two results of an alphas' program: path/<group>/normal and reduce. */
static void check_both(struct gold *g, hid_t file, const char *path, const char *group,
	struct sd_program *program, const struct sd_graph *graph, const sd_val *v)
{
	struct gold_path p = gold_path(path, group);

	if (!gold_has(file, p.s))
		return;
	gold_check_value(g, file, gold_path(p.s, "normal").s, GOLD_GRAD, program, graph, v[0]);
	gold_check_value(g, file, gold_path(p.s, "reduce").s, GOLD_GRAD, program, graph, v[1]);
}

/* A loss or another scalar, where the file has it. */
static void check_scalar(struct gold *g, hid_t file, const char *path, const char *name, enum gold_rule rule,
	const struct sd_step_program *p, sd_val v)
{
	struct gold_path set = gold_path(path, name);

	if (gold_has(file, set.s))
		gold_net_check(g, file, set.s, rule, p, v);
}

static void check_between(struct gold *g, hid_t file, const char *path, struct gold_net *n)
{
	struct sd_step_program *valid = n->unrolled->valid;
	struct gold_worst w;
	float *radius;

	check_scalar(g, file, path, "unrolled_loss", GOLD_FORWARD, valid, valid->loss);
	check_scalar(g, file, path, "valid_loss", GOLD_FORWARD, valid, valid->loss);
	check_scalar(g, file, path, "vector_norm", GOLD_GRAD, valid, valid->grad_norm);
	check_both(g, file, path, "unrolled_grads_alphas", valid->program, valid->graph, valid->grad_alphas);
	if (gold_has(file, gold_path(path, "vector").s))
		check_group(g, file, gold_path(path, "vector").s, GOLD_GRAD, gold_get_grad, valid);
	if (!gold_has(file, gold_path(path, "R").s))
		return;
	gold_worst_init(&w, GOLD_GRAD);
	radius = gold_var(&n->vars, SD_VAR_RADIUS);
	gold_compare_set(&w, file, gold_path(path, "R").s, radius, 1);
	gold_report(g, gold_path(path, "R").s, &w);
	free(radius);
}

int gold_unrolled_step(struct gold *g, hid_t file, const char *path, struct gold_net *n,
	const struct gold_array *x_train, const struct gold_array *target_train,
	const struct gold_array *x_valid, const struct gold_array *target_valid, int i)
{
	struct gold_batch t = {0}, v = {0};
	struct sd_unrolled *u = n->unrolled;
	struct sd_unrolled_side *side;
	int ret = -1;

	if (gold_batch(&t, n, x_train, target_train, i) || gold_batch(&v, n, x_valid, target_valid, i))
		goto out;
	struct sd_step_batch train = { n->batch, t.images, t.labels, t.ids, NULL };
	struct sd_step_batch valid = { n->batch, v.images, v.labels, v.ids, NULL };
	struct sd_step_list first = { .n = 0 }, second = { .n = 0 }, third = { .n = 0 };

	side = sd_unrolled_ahead(u, &first, &train);
	if (!side || sd_step_list_run(&first))
		goto out;
	if (gold_has(file, gold_path(path, "theta_prime").s)) {
		check_scalar(g, file, path, "train_loss", GOLD_FORWARD, side->ahead, side->ahead->loss);
		check_group(g, file, gold_path(path, "theta_prime").s, GOLD_OP, get_ahead, &n->vars);
	}
	if (sd_unrolled_valid(u, &second, &valid) || sd_step_list_run(&second))
		goto out;
	check_between(g, file, path, n);
	sd_unrolled_finish(u, &third, side);
	ret = sd_step_list_run(&third);
	if (!ret)
		check_both(g, file, path, "implicit_grads_alphas", u->update, u->graph, u->implicit);
out:
	gold_batch_release(&t);
	gold_batch_release(&v);
	return ret;
}

/* The momenta from a group, or zeros without one. */
static int fill_momenta(struct sd_vars *v, hid_t file, const char *group)
{
	size_t folder = strlen(SD_VAR_MOMENTUM);

	for (int i = 0; i < v->n; i++) {
		const char *name = v->var[i].name;
		struct gold_array a;
		float *f;
		int ret;

		if (strncmp(name, SD_VAR_MOMENTUM, folder))
			continue;
		if (gold_read(&a, file, gold_path(group, name + folder).s))
			return -1;
		f = gold_floats(&a);
		ret = f && a.n == sd_shape_count(&v->var[i].shape) ? sd_vars_set(v, name, f) :
			sd_error(SD_ERR_DATA, "'%s' has another shape", name);
		free(f);
		gold_array_release(&a);
		if (ret)
			return -1;
	}
	return 0;
}

int gold_architect_unrolled(struct gold *g, hid_t file)
{
	static const char *const part[2] = { ".", "no_momentum" };
	struct gold_net n;
	struct gold_array x[2] = {{0}}, target[2] = {{0}};
	struct sd_vars_copy *copy = NULL;
	int ret = gold_net_init(&n, g, file, "x_train");

	if (ret)
		goto out;
	ret = -1;
	if (gold_pair(&x[0], &target[0], file, "_train") || gold_pair(&x[1], &target[1], file, "_valid"))
		goto out;
	for (int i = 0; i < 2; i++) {
		struct gold_before before;

		if ((i && !gold_has(file, part[i])) || gold_fill_vars(&n.vars, file, ".") ||
				(!i && fill_momenta(&n.vars, file, "momentum_buffer")) ||
				sd_vars_set_f32(&n.vars, SD_VAR_LR, (float)gold_num(file, ".", "eta", 0.025)) ||
				sd_vars_set_f32(&n.vars, SD_VAR_ARCH_LR,
					(float)gold_num(file, ".", "arch_learning_rate", 3e-4)))
			goto out;
		sd_vars_copy_free(copy);
		copy = sd_vars_save(&n.vars);
		if (!copy)
			goto out;
		before = (struct gold_before){ &n.vars, copy };
		if (gold_unrolled_step(g, file, part[i], &n, &x[0], &target[0], &x[1], &target[1], 0))
			goto out;
		gold_check_alphas(g, file, part[i], ".", &n, &before);
		gold_net_check_buffers(g, file, gold_path(part[i], "buffers_after").s, "buffers", &n.vars);
	}
	ret = 0;
out:
	sd_vars_copy_free(copy);
	for (int i = 0; i < 2; i++) {
		gold_array_release(&x[i]);
		gold_array_release(&target[i]);
	}
	gold_net_release(&n);
	return ret;
}
