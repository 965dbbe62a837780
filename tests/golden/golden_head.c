/* golden_head.c: what stands behind a network or beside it: classifier and loss, accuracy, drop path. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "golden.h"

/* Compares a root with a data set of the group. */
static void check(struct gold *g, hid_t file, const char *set, enum gold_rule rule, const struct gold_run *r,
	struct sd_program *p, sd_val v)
{
	struct gold_worst w;
	float *got = v == SD_NIL ? NULL : gold_run_read(r, p, v, v);

	gold_worst_init(&w, rule);
	gold_compare_set(&w, file, set, got, got ? sd_shape_count(sd_shape_of(r->graph, v)) : 0);
	gold_report(g, set, &w);
	free(got);
}

static int read_input(struct gold_run *r, hid_t file, const char *name, const char *set, sd_val *out)
{
	struct gold_array a;
	int ret = gold_read(&a, file, gold_path(name, set).s);

	if (!ret) {
		*out = gold_run_input(r, set, &a);
		gold_array_release(&a);
		ret = *out == SD_NIL ? -1 : 0;
	}
	return ret;
}

static int run_head(struct gold *g, struct gold_run *r, hid_t file, const char *name)
{
	struct sd_graph *gr = r->graph;
	struct sd_program *p = NULL;
	struct gold_array w = {0};
	sd_val x, target, want[3], root[5], *grad = root + 2;
	int ret = -1;

	if (read_input(r, file, name, "x", &x) || read_input(r, file, name, "target", &target) ||
		gold_read(&w, file, gold_path(name, "params/weight").s))
		goto out;
	want[0] = x;
	want[1] = sd_param(gr, "weight", sd_shape2((int)w.dim[0], (int)w.dim[1]));
	want[2] = sd_param(gr, "bias", sd_shape1((int)w.dim[0]));
	root[0] = sd_linear(gr, sd_gap(gr, x), want[1], want[2]);
	root[1] = sd_mean(gr, sd_xent(gr, root[0], target, 0));
	if (!sd_graph_ok(gr) || sd_graph_grad(gr, root[1], 3, want, grad) || gold_run_bind(r, file, name))
		goto out;
	p = sd_program_new(g->engine, gr, 5, root, 0);
	if (!p || sd_program_run(p, &r->bind))
		goto out;
	check(g, file, gold_path(name, "logits").s, GOLD_OP, r, p, root[0]);
	check(g, file, gold_path(name, "loss").s, GOLD_OP, r, p, root[1]);
	check(g, file, gold_path(name, "gx").s, GOLD_GRAD, r, p, grad[0]);
	check(g, file, gold_path(name, "grads/weight").s, GOLD_GRAD, r, p, grad[1]);
	check(g, file, gold_path(name, "grads/bias").s, GOLD_GRAD, r, p, grad[2]);
	ret = 0;
out:
	gold_array_release(&w);
	sd_program_free(p);
	return ret;
}

/* Cross entropy against smoothed labels. */
static int run_smooth(struct gold *g, struct gold_run *r, hid_t file, const char *name)
{
	struct sd_graph *gr = r->graph;
	struct sd_program *p = NULL;
	sd_val logits, target, root[2];
	int ret = -1;

	if (read_input(r, file, name, "logits", &logits) || read_input(r, file, name, "target", &target))
		return -1;
	root[0] = sd_mean(gr, sd_xent(gr, logits, target, (float)gold_num(file, name, "epsilon", 0)));
	if (!sd_graph_ok(gr) || sd_graph_grad(gr, root[0], 1, &logits, root + 1) || gold_run_bind(r, file, name))
		goto out;
	p = sd_program_new(g->engine, gr, 2, root, 0);
	if (!p || sd_program_run(p, &r->bind))
		goto out;
	check(g, file, gold_path(name, "loss").s, GOLD_OP, r, p, root[0]);
	check(g, file, gold_path(name, "glogits").s, GOLD_OP, r, p, root[1]);
	ret = 0;
out:
	sd_program_free(p);
	return ret;
}

int gold_label_smooth(struct gold *g, hid_t file)
{
	size_t n;
	char **name = gold_names(file, ".", &n);

	if (!name)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct gold_run r;

		if (gold_run_init(&r, g->engine) || run_smooth(g, &r, file, name[i]))
			gold_error(g, name[i]);
		gold_run_release(&r);
	}
	free(name);
	return 0;
}

/* Top-1 and top-5 in percent. */
static int run_accuracy(struct gold *g, struct gold_run *r, hid_t file, const char *name)
{
	struct sd_program *p = NULL;
	sd_val logits, target, rank;
	int32_t *v = NULL;
	size_t n;
	int ret = -1;

	if (read_input(r, file, name, "logits", &logits) || read_input(r, file, name, "target", &target))
		goto out;
	rank = sd_rank(r->graph, logits, target);
	if (gold_run_bind(r, file, name))
		goto out;
	n = sd_shape_count(sd_shape_of(r->graph, rank));
	v = malloc(n * sizeof(*v));
	p = sd_program_new(g->engine, r->graph, 1, &rank, 0);
	if (!v || !p || sd_program_run(p, &r->bind) || sd_program_read(p, rank, v))
		goto out;
	for (int k = 1; k <= 5; k += 4) {
		struct gold_path set = gold_path(name, k == 1 ? "top1" : "top5");
		struct gold_worst w;
		float percent;
		int hits = 0;

		for (size_t i = 0; i < n; i++)
			hits += v[i] < k;
		percent = 100.0f * hits / n;
		gold_worst_init(&w, GOLD_DOUBLE);
		gold_compare_set(&w, file, set.s, &percent, 1);
		gold_report(g, set.s, &w);
	}
	ret = 0;
out:
	free(v);
	sd_program_free(p);
	return ret;
}

static int run_drop_path(struct gold *g, struct gold_run *r, hid_t file, const char *name)
{
	struct gold_array mask = {0};
	struct sd_program *p = NULL;
	double keep = gold_num(file, name, "keep_prob", 1);
	sd_val x, m, y;
	int ret = -1;

	if (read_input(r, file, name, "x", &x) || gold_read(&mask, file, gold_path(name, "mask").s))
		goto out;
	mask.ndim = 1;
	mask.dim[0] = (long)mask.n;
	for (size_t i = 0; i < mask.n; i++)
		mask.v[i] /= keep;
	m = gold_run_input(r, "mask", &mask);
	y = sd_scale_rows(r->graph, x, m);
	if (gold_run_bind(r, file, name))
		goto out;
	p = sd_program_new(g->engine, r->graph, 1, &y, 0);
	if (!p || sd_program_run(p, &r->bind))
		goto out;
	check(g, file, gold_path(name, "y").s, GOLD_OP, r, p, y);
	ret = 0;
out:
	gold_array_release(&mask);
	sd_program_free(p);
	return ret;
}

void gold_small_module(struct gold *g, hid_t file, const char *name)
{
	struct gold_run r;
	int ret = gold_run_init(&r, g->engine);

	if (!ret)
		ret = name[0] == 'h' ? run_head(g, &r, file, name) :
			name[0] == 'a' ? run_accuracy(g, &r, file, name) : run_drop_path(g, &r, file, name);
	if (ret)
		gold_error(g, name);
	gold_run_release(&r);
}
