/* golden_step.c: networks from root attributes, run by the programs that search and training use. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "golden.h"

static int read_supernet(struct gold_net *n, hid_t file)
{
	struct sd_supernet *s = &n->net.supernet;
	char *table = gold_text(file, ".", "op_dict"), *weighting = gold_text(file, ".", "weighting_algorithm");
	int bad = 0, ret = -1, ops;

	if (!table || !weighting || gold_primitive_list(&n->list, file, ".",
			gold_has_attr(file, ".", "primitives_list") ? "primitives_list" : "primitives"))
		goto out;
	ops = sd_op_table_find(table);
	if (ops < 0)
		goto out;
	n->net.kind = SD_NET_SUPERNET;
	s->channels = gold_int(file, "C", &bad);
	s->classes = gold_int(file, "num_classes", &bad);
	s->layers = gold_int(file, "layers", &bad);
	s->steps = gold_int(file, "steps", &bad);
	s->multiplier = (int)gold_num(file, ".", "multiplier", 0);
	s->stem_multiplier = (int)gold_num(file, ".", "stem_multiplier", 0);
	s->prims = &n->list;
	s->ops = ops;
	if (strcmp(weighting, "scalar") && strcmp(weighting, "max_w")) {
		sd_error(SD_ERR_DATA, "weighting algorithm '%s' is not known", weighting);
		goto out;
	}
	s->weighting = strcmp(weighting, "max_w") ? SD_SCALAR_W : SD_MAX_W;
	ret = bad ? -1 : 0;
out:
	free(table);
	free(weighting);
	return ret;
}

static int read_network(struct gold_net *n, hid_t file)
{
	struct sd_network *s = &n->net.network;
	char *text = gold_text(file, ".", "genotype_str"), *table = gold_text(file, ".", "op_dict");
	char *net = gold_text(file, ".", "net"), *mid = NULL;
	int bad = 0, ret = -1, ops;

	if (net && strcmp(net, "cifar") && strcmp(net, "imagenet")) {
		sd_error(SD_ERR_DATA, "network '%s'", net);
		ret = 1;
		goto out;
	}
	if (gold_num(file, ".", "drop_path_prob", 0) > 0) {
		sd_error(SD_ERR_DATA, "drop path draws other masks");
		ret = 1;
		goto out;
	}
	if (!text || !table || sd_genotype_parse(&n->genotype, text, strlen(text), "genotype_str"))
		goto out;
	ops = sd_op_table_find(table);
	if (ops < 0)
		goto out;
	n->net.kind = net && !strcmp(net, "imagenet") ? SD_NET_IMAGENET : SD_NET_CIFAR;
	s->channels = gold_int(file, "C", &bad);
	s->classes = gold_int(file, "num_classes", &bad);
	s->layers = gold_int(file, "layers", &bad);
	s->auxiliary = gold_num(file, ".", "auxiliary", 0) != 0;
	s->stem_multiplier = (int)gold_num(file, ".", "stem_multiplier", 0);
	if (gold_has_attr(file, ".", "C_mid"))
		mid = gold_text(file, ".", "C_mid");
	s->mid_channels = mid && !strcmp(mid, "None") ? -1 : (int)gold_num(file, ".", "C_mid", 0);
	s->ops = ops;
	s->genotype = &n->genotype;
	ret = bad ? -1 : 0;
out:
	free(mid);
	free(net);
	free(table);
	free(text);
	return ret;
}

int gold_net_init(struct gold_net *n, struct gold *g, hid_t file, const char *x)
{
	struct gold_array a = {0};
	struct sd_step_options defaults = SD_STEP_DEFAULTS;
	int ret, train;

	memset(n, 0, sizeof(*n));
	sd_genotype_init(&n->genotype);
	sd_vars_init(&n->vars, g->engine, 0);
	n->options = defaults;
	n->options.momentum = (float)gold_num(file, ".", "momentum", defaults.momentum);
	n->options.weight_decay = (float)gold_num(file, ".", "weight_decay", defaults.weight_decay);
	n->options.grad_clip = (float)gold_num(file, ".", "grad_clip",
		gold_num(file, ".", "clip", defaults.grad_clip));
	n->options.auxiliary_weight = (float)gold_num(file, ".", "auxiliary_weight", defaults.auxiliary_weight);
	n->options.arch_weight_decay = (float)gold_num(file, ".", "arch_weight_decay", defaults.arch_weight_decay);
	n->options.arch_eps = (float)gold_num(file, ".", "adam_eps", defaults.arch_eps);
	if (gold_has_attr(file, ".", "betas")) {
		char *betas = gold_text(file, ".", "betas");

		if (!betas || sscanf(betas, "[%f, %f]", &n->options.arch_beta1, &n->options.arch_beta2) != 2) {
			free(betas);
			return sd_error(SD_ERR_DATA, "attribute 'betas' is no pair");
		}
		free(betas);
	}
	train = gold_has_attr(file, ".", "genotype_str");
	ret = train ? read_network(n, file) : read_supernet(n, file);
	if (ret)
		return ret;
	if (gold_read(&a, file, x))
		return -1;
	if (a.ndim < 4 || a.ndim > 5) {
		gold_array_release(&a);
		return sd_error(SD_ERR_DATA, "'%s' holds no images", x);
	}
	const long *dim = a.dim + a.ndim - 4;
	n->batch = (int)dim[0];
	n->net.channels_in = (int)dim[1];
	n->net.height = (int)dim[2];
	n->net.width = (int)dim[3];
	n->image = (size_t)dim[0] * dim[1] * dim[2] * dim[3];
	gold_array_release(&a);
	n->eval = sd_step_program_new(&n->vars, &n->net, &n->options, SD_STEP_EVAL, n->batch, 1);
	n->weights = sd_step_program_new(&n->vars, &n->net, &n->options, SD_STEP_WEIGHTS, n->batch, 1);
	if (!n->eval || !n->weights)
		return -1;
	if (!train && gold_num(file, ".", "unrolled", 0) != 0) {
		n->unrolled = sd_unrolled_new(&n->vars, &n->net, &n->options, n->batch, 1, &n->batch, 1);
		if (!n->unrolled)
			return -1;
	} else if (!train) {
		n->alphas = sd_step_program_new(&n->vars, &n->net, &n->options, SD_STEP_ALPHAS, n->batch, 1);
		if (!n->alphas)
			return -1;
	}
	return gold_fill_vars(&n->vars, file, ".");
}

void gold_net_release(struct gold_net *n)
{
	sd_step_program_free(n->eval);
	sd_step_program_free(n->weights);
	sd_step_program_free(n->alphas);
	sd_unrolled_free(n->unrolled);
	sd_vars_release(&n->vars);
	sd_genotype_release(&n->genotype);
}

int gold_batch(struct gold_batch *b, const struct gold_net *n, const struct gold_array *x,
	const struct gold_array *target, int i)
{
	b->images = malloc(n->image * sizeof(*b->images));
	b->labels = malloc(n->batch * sizeof(*b->labels));
	b->ids = calloc(n->batch, sizeof(*b->ids));
	if (!b->images || !b->labels || !b->ids)
		return sd_error(SD_ERR_IO, "out of memory");
	if (x->n < (i + 1) * n->image || target->n < (size_t)(i + 1) * n->batch)
		return sd_error(SD_ERR_DATA, "no batch %d", i);
	for (size_t k = 0; k < n->image; k++)
		b->images[k] = (float)x->v[i * n->image + k];
	for (int k = 0; k < n->batch; k++)
		b->labels[k] = (int32_t)target->v[i * n->batch + k];
	return 0;
}

void gold_batch_release(struct gold_batch *b)
{
	free(b->images);
	free(b->labels);
	free(b->ids);
}

int gold_net_run(struct gold_net *n, struct sd_step_program *p, const struct gold_array *x,
	const struct gold_array *target, int i)
{
	struct gold_batch b = {0};
	int ret = gold_batch(&b, n, x, target, i) || sd_step_run(p, b.images, b.labels, b.ids) ? -1 : 0;

	gold_batch_release(&b);
	return ret;
}

void gold_net_check(struct gold *g, hid_t file, const char *set, enum gold_rule rule,
	const struct sd_step_program *p, sd_val v)
{
	gold_check_value(g, file, set, rule, p->program, p->graph, v);
}

void gold_check_value(struct gold *g, hid_t file, const char *set, enum gold_rule rule,
	struct sd_program *program, const struct sd_graph *graph, sd_val v)
{
	struct gold_array zero = {0};
	struct gold_worst w;
	size_t n = v == SD_NIL ? 0 : sd_shape_count(sd_shape_of(graph, v));
	float *got = malloc((n + 1) * sizeof(*got));

	gold_worst_init(&w, rule);
	if (v == SD_NIL && rule == GOLD_GRAD && !gold_read(&zero, file, set)) { /* no path to it: zeros are recorded */
		free(got);
		n = zero.n;
		got = calloc(n + 1, sizeof(*got));
	}
	if (!got || (v == SD_NIL && !zero.v) || (v != SD_NIL && sd_program_read(program, v, got)))
		gold_worst_broken(&w, "%s", v == SD_NIL ? "not computed" : sd_error_text());
	else
		gold_compare_set(&w, file, set, got, n);
	gold_array_release(&zero);
	gold_report(g, set, &w);
	free(got);
}

float *gold_get_grad(void *ctx, const char *name, size_t *n)
{
	const struct sd_step_program *p = ctx;
	float *out;

	for (int i = 0; i < p->build.nparam; i++) {
		sd_val v = p->build.param[i];

		if (strcmp(p->graph->val[v].name, name))
			continue;
		*n = sd_shape_count(sd_shape_of(p->graph, v));
		out = calloc(*n + 1, sizeof(*out));
		if (out && p->grad[i] != SD_NIL && sd_program_read(p->program, p->grad[i], out)) {
			free(out);
			return NULL;
		}
		return out;
	}
	sd_error(SD_ERR_DATA, "no parameter '%s'", name);
	return NULL;
}

void gold_net_check_grads(struct gold *g, hid_t file, const char *path, struct gold_net *n)
{
	struct gold_worst w;

	gold_worst_init(&w, GOLD_GRAD);
	gold_compare_group(&w, file, path, gold_get_grad, n->weights, NULL, NULL, NULL);
	gold_report(g, path, &w);
}

void gold_net_check_buffers(struct gold *g, hid_t file, const char *path, const char *buffers,
	const struct sd_vars *v)
{
	double step = gold_num(file, path, "num_batches_tracked_increment", -1);
	struct gold_worst w;

	gold_worst_init(&w, GOLD_OP);
	gold_compare_group(&w, file, path, gold_get_var, (void *)v, NULL, NULL, NULL);
	for (int i = 0; step >= 0 && i < v->n; i++) {
		const char *name = v->var[i].name, *end = strrchr(name, '.');
		struct gold_path set = gold_path(buffers, name);
		struct gold_array was = {0};
		float *is;

		if (!end || strcmp(end, ".num_batches_tracked"))
			continue;
		is = gold_var(v, name);
		if (gold_has(file, set.s) && gold_read(&was, file, set.s))
			gold_worst_broken(&w, "%s", sd_error_text());
		else if (!is || is[0] != (was.v ? was.v[0] : 0) + step)
			gold_worst_broken(&w, "%s did not grow by %g", name, step);
		gold_array_release(&was);
		free(is);
	}
	if (w.tensors || isinf(w.ratio))
		gold_report(g, path, &w);
}

float *gold_get_before(void *before, const char *name, size_t *n)
{
	const struct gold_before *b = before;
	const struct sd_var *var = sd_vars_find(b->vars, name);
	const void *data = var ? sd_vars_copy_data(b->copy, b->vars, name) : NULL;
	float *out;

	if (!data || var->dtype != SD_F32) {
		sd_error(SD_ERR_DATA, "no values before of '%s'", name);
		return NULL;
	}
	*n = sd_shape_count(&var->shape);
	out = malloc((*n + 1) * sizeof(*out));
	if (out)
		memcpy(out, data, *n * sizeof(*out));
	return out;
}

void gold_net_check_update(struct gold *g, hid_t file, const char *after, const char *ref_before,
	const char *variable, const struct gold_before *before)
{
	struct gold_worst w;
	struct gold_array ref = {0}, rb = {0};
	float *got = NULL, *was = NULL;
	size_t n, m;

	gold_worst_init(&w, GOLD_UPDATE);
	if (!variable) { /* a group of parameters */
		gold_compare_group(&w, file, after, gold_get_var, (void *)before->vars, ref_before,
			gold_get_before, (void *)before);
		gold_report(g, after, &w);
		return;
	}
	got = gold_get_var((void *)before->vars, variable, &n);
	was = gold_get_before((void *)before, variable, &m);
	if (!got || !was || gold_read(&ref, file, after) || gold_read(&rb, file, ref_before))
		gold_worst_broken(&w, "%s", sd_error_text());
	else if (ref.n != n || rb.n != n || m != n)
		gold_worst_broken(&w, "%s has another shape", after);
	else
		gold_compare(&w, variable, got, &ref, rb.v, was);
	gold_report(g, after, &w);
	gold_array_release(&ref);
	gold_array_release(&rb);
	free(got);
	free(was);
}

void gold_check_count(struct gold *g, hid_t file, const char *attr, double got)
{
	double want = gold_num(file, ".", attr, NAN);

	if (!isnan(want))
		gold_result(g, attr, want == got, "%.17g, expected %.17g", got, want);
}
