/* golden_net.c: the files about whole networks: supernets, search steps, CIFAR networks. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/derive.h"
#include "base/err.h"
#include "golden.h"

/* The genotypes that the weights stand for, as text. */
static void check_genotype(struct gold *g, hid_t file, const struct gold_net *n)
{
	struct gold_array w[2] = {{0}};
	const struct sd_supernet *s = &n->net.supernet;

	for (int i = 0; i < 2; i++) {
		if (gold_read(&w[i], file, i ? "weights_reduce" : "weights_normal")) {
			gold_error(g, "genotype");
			goto out;
		}
	}
	for (int i = 0; i < 2; i++) {
		const char *attr = i ? "genotype_skip_None" : "genotype_skip_none";
		struct sd_genotype genotype;
		char *want, *got = NULL;

		if (!gold_has_attr(file, ".", attr))
			continue;
		sd_genotype_init(&genotype);
		want = gold_text(file, ".", attr);
		if (!want || sd_derive_genotype(&genotype, w[0].v, w[1].v, s->steps,
				s->multiplier ? s->multiplier : s->steps, &n->list, i))
			gold_error(g, attr);
		else
			got = sd_genotype_text(&genotype);
		if (got)
			gold_result(g, attr, !strcmp(got, want), "%s", got);
		free(want);
		free(got);
		sd_genotype_release(&genotype);
	}
out:
	gold_array_release(&w[0]);
	gold_array_release(&w[1]);
}

int gold_pair(struct gold_array *x, struct gold_array *target, hid_t file, const char *suffix)
{
	char name[40];

	snprintf(name, sizeof(name), "x%s", suffix);
	if (gold_read(x, file, name))
		return -1;
	snprintf(name, sizeof(name), "target%s", suffix);
	return gold_read(target, file, name);
}

int gold_supernet(struct gold *g, hid_t file)
{
	struct gold_net n;
	struct gold_array x = {0}, target = {0};
	size_t all, without;
	int ret = gold_net_init(&n, g, file, "x");

	if (ret || (ret = gold_pair(&x, &target, file, "")))
		goto out;
	ret = -1;
	sd_build_count(&n.weights->build, &all, &without);
	gold_check_count(g, file, "param_count", all);
	check_genotype(g, file, &n);
	if (gold_net_run(&n, n.eval, &x, &target, 0))
		goto out;
	gold_net_check(g, file, "logits_eval", GOLD_FORWARD, n.eval, n.eval->logits);
	if (gold_net_run(&n, n.weights, &x, &target, 0))
		goto out;
	gold_net_check(g, file, "weights_normal", GOLD_OP, n.weights, n.weights->weights_normal);
	gold_net_check(g, file, "weights_reduce", GOLD_OP, n.weights, n.weights->weights_reduce);
	gold_net_check(g, file, "logits", GOLD_FORWARD, n.weights, n.weights->logits);
	gold_net_check(g, file, "loss", GOLD_FORWARD, n.weights, n.weights->loss);
	gold_net_check_grads(g, file, "grads", &n);
	gold_net_check_buffers(g, file, "buffers_after", "buffers", &n.vars);
	if (gold_fill_vars(&n.vars, file, ".") || gold_net_run(&n, n.alphas, &x, &target, 0))
		goto out;
	gold_net_check(g, file, "grads_alphas/normal", GOLD_GRAD, n.alphas, n.alphas->grad_alphas[0]);
	gold_net_check(g, file, "grads_alphas/reduce", GOLD_GRAD, n.alphas, n.alphas->grad_alphas[1]);
	ret = 0;
out:
	gold_array_release(&x);
	gold_array_release(&target);
	gold_net_release(&n);
	return ret;
}

void gold_check_alphas(struct gold *g, hid_t file, const char *path, const char *ref_before,
	const struct gold_net *n, const struct gold_before *before)
{
	static const char *const cell[2] = { "normal", "reduce" };
	const struct sd_unrolled *u = n->unrolled;

	for (int i = 0; i < 2; i++) {
		char name[80], variable[80], after[80], was[80];

		snprintf(name, sizeof(name), "grads_alphas/%s", cell[i]);
		snprintf(variable, sizeof(variable), "alphas_%s", cell[i]);
		snprintf(after, sizeof(after), "alphas_%s_after", cell[i]);
		snprintf(was, sizeof(was), "alphas_%s%s", cell[i], strcmp(ref_before, ".") ? "_after" : "");
		gold_check_value(g, file, gold_path(path, name).s, GOLD_GRAD,
			u ? u->update : n->alphas->program, u ? u->graph : n->alphas->graph,
			u ? u->grad_alphas[i] : n->alphas->grad_alphas[i]);
		gold_net_check_update(g, file, gold_path(path, after).s, gold_path(ref_before, was).s, variable, before);
	}
}

int gold_architect(struct gold *g, hid_t file)
{
	struct gold_net n;
	struct gold_array x = {0}, target = {0};
	struct gold_before before = {0};
	struct sd_vars_copy *copy = NULL;
	int ret;

	if (gold_num(file, ".", "unrolled", 0) != 0)
		return gold_architect_unrolled(g, file);
	ret = gold_net_init(&n, g, file, "x_valid");
	if (ret || (ret = gold_pair(&x, &target, file, "_valid")))
		goto out;
	ret = -1;
	copy = sd_vars_save(&n.vars);
	if (!copy)
		goto out;
	before = (struct gold_before){ &n.vars, copy };
	/* the step leaves gradients in the weights: of the loss on the validation batch */
	if (gold_net_run(&n, n.weights, &x, &target, 0))
		goto out;
	gold_net_check_grads(g, file, "grads", &n);
	if (sd_vars_restore(&n.vars, copy) || sd_vars_set_f32(&n.vars, SD_VAR_ARCH_LR,
			(float)gold_num(file, ".", "arch_learning_rate", 3e-4)))
		goto out;
	if (gold_net_run(&n, n.alphas, &x, &target, 0))
		goto out;
	gold_net_check(g, file, "valid_loss", GOLD_FORWARD, n.alphas, n.alphas->loss);
	gold_check_alphas(g, file, ".", ".", &n, &before);
	gold_net_check_buffers(g, file, "buffers_after", "buffers", &n.vars);
	ret = 0;
out:
	sd_vars_copy_free(copy);
	gold_array_release(&x);
	gold_array_release(&target);
	gold_net_release(&n);
	return ret;
}

/* The i-th of the numbers in an attribute's text "[0.025, 0.02]". */
static double list_item(const char *text, int i)
{
	const char *p = text + (text[0] == '[');

	while (i-- > 0 && p) {
		p = strchr(p, ',');
		p = p ? p + 1 : NULL;
	}
	return p ? strtod(p, NULL) : NAN;
}

int gold_search_steps(struct gold *g, hid_t file)
{
	struct gold_net n;
	struct gold_array x[2] = {{0}}, target[2] = {{0}};
	struct gold_before before = {0};
	struct sd_vars_copy *copy = NULL;
	char *lrs = NULL;
	int ret = gold_net_init(&n, g, file, "x_train"), bad = 0, nsteps;

	if (ret)
		goto out;
	ret = -1;
	if (gold_pair(&x[0], &target[0], file, "_valid") || gold_pair(&x[1], &target[1], file, "_train"))
		goto out;
	nsteps = gold_int(file, "nsteps", &bad);
	lrs = gold_text(file, ".", "lrs");
	copy = sd_vars_save(&n.vars);
	if (bad || !lrs || !copy)
		goto out;
	before = (struct gold_before){ &n.vars, copy };
	for (int i = 0; i < nsteps; i++) {
		char path[20], last[20] = ".";

		snprintf(path, sizeof(path), "step%d", i);
		if (i)
			snprintf(last, sizeof(last), "step%d", i - 1);
		if (sd_vars_set_f32(&n.vars, SD_VAR_ARCH_LR,
				(float)gold_num(file, ".", "arch_learning_rate", 3e-4)) ||
			sd_vars_set_f32(&n.vars, SD_VAR_LR, (float)list_item(lrs, i)) ||
			sd_vars_resave(&n.vars, copy))
			goto out;
		if (n.unrolled ? gold_unrolled_step(g, file, path, &n, &x[1], &target[1], &x[0], &target[0], i) :
				gold_net_run(&n, n.alphas, &x[0], &target[0], i))
			goto out;
		if (!n.unrolled)
			gold_net_check(g, file, gold_path(path, "valid_loss").s, GOLD_FORWARD, n.alphas, n.alphas->loss);
		gold_check_alphas(g, file, path, last, &n, &before);
		if (gold_net_run(&n, n.weights, &x[1], &target[1], i))
			goto out;
		gold_net_check(g, file, gold_path(path, "logits").s, GOLD_FORWARD, n.weights, n.weights->logits);
		gold_net_check(g, file, gold_path(path, "train_loss").s, GOLD_FORWARD, n.weights, n.weights->loss);
		gold_net_check(g, file, gold_path(path, "grad_norm").s, GOLD_GRAD, n.weights, n.weights->grad_norm);
		gold_net_check_update(g, file, gold_path(path, "params_after").s,
			i ? gold_path(last, "params_after").s : "params", NULL, &before);
		if (gold_has(file, gold_path(path, "buffers_after").s))
			gold_net_check_buffers(g, file, gold_path(path, "buffers_after").s, "buffers", &n.vars);
	}
	ret = 0;
out:
	free(lrs);
	sd_vars_copy_free(copy);
	for (int i = 0; i < 2; i++) {
		gold_array_release(&x[i]);
		gold_array_release(&target[i]);
	}
	gold_net_release(&n);
	return ret;
}

/* A read scalar of the program, or NaN. */
static double scalar(const struct sd_step_program *p, sd_val v)
{
	float f;

	return v == SD_NIL || sd_program_read(p->program, v, &f) ? NAN : f;
}

/* The numbers of each step, against a vector. */
static void check_series(struct gold *g, hid_t file, const char *set, enum gold_rule rule, const float *got,
	int n)
{
	struct gold_worst w;
	struct gold_array ref;

	if (!gold_has(file, set))
		return;
	gold_worst_init(&w, rule);
	if (gold_read(&ref, file, set)) {
		gold_worst_broken(&w, "%s", sd_error_text());
	} else if ((int)ref.n > n) {
		gold_worst_broken(&w, "%zu steps, run were %d", ref.n, n);
		gold_array_release(&ref);
	} else {
		gold_compare(&w, set, got, &ref, NULL, NULL);
		gold_array_release(&ref);
	}
	gold_report(g, set, &w);
}

int gold_train_net(struct gold *g, hid_t file)
{
	struct gold_net n;
	struct gold_array x = {0}, target = {0};
	struct gold_before before = {0};
	struct sd_vars_copy *copy = NULL;
	float *loss = NULL, *norm = NULL;
	size_t all, without;
	int ret = gold_net_init(&n, g, file, "x"), nsteps;

	if (ret || (ret = gold_pair(&x, &target, file, "")))
		goto out;
	ret = -1;
	nsteps = (int)gold_num(file, ".", "nsteps", 0);
	loss = calloc(nsteps + 1, sizeof(*loss));
	norm = calloc(nsteps + 1, sizeof(*norm));
	sd_build_count(&n.weights->build, &all, &without);
	gold_check_count(g, file, "params_total", all);
	gold_check_count(g, file, "count_parameters_in_MB", without / 1e6);
	if (gold_net_run(&n, n.eval, &x, &target, 0))
		goto out;
	gold_net_check(g, file, "logits_eval", GOLD_FORWARD, n.eval, n.eval->logits);
	copy = sd_vars_save(&n.vars);
	if (!copy || !loss || !norm)
		goto out;
	before = (struct gold_before){ &n.vars, copy };
	for (int i = 0; i < (nsteps ? nsteps : 1); i++) {
		if (sd_vars_set_f32(&n.vars, SD_VAR_LR, (float)gold_num(file, ".", "lr", 0.025)) ||
			gold_net_run(&n, n.weights, &x, &target, i))
			goto out;
		loss[i] = (float)scalar(n.weights, n.weights->loss);
		norm[i] = (float)scalar(n.weights, n.weights->grad_norm);
		if (i)
			continue;
		gold_net_check(g, file, "logits", GOLD_FORWARD, n.weights, n.weights->logits);
		if (gold_has(file, "logits_aux"))
			gold_net_check(g, file, "logits_aux", GOLD_FORWARD, n.weights, n.weights->logits_aux);
		gold_net_check(g, file, "loss", GOLD_FORWARD, n.weights, n.weights->loss);
		gold_net_check_grads(g, file, "grads", &n);
		gold_net_check_buffers(g, file, "buffers_after", "buffers", &n.vars);
	}
	check_series(g, file, "step_losses", GOLD_FORWARD, loss, nsteps ? nsteps : 1);
	check_series(g, file, "step_grad_norms", GOLD_GRAD, norm, nsteps ? nsteps : 1);
	if (gold_has(file, "params_after"))
		gold_net_check_update(g, file, "params_after", "params", NULL, &before);
	if (gold_has(file, "buffers_after_steps"))
		gold_net_check_buffers(g, file, "buffers_after_steps", "buffers", &n.vars);
	ret = 0;
out:
	free(loss);
	free(norm);
	sd_vars_copy_free(copy);
	gold_array_release(&x);
	gold_array_release(&target);
	gold_net_release(&n);
	return ret;
}
