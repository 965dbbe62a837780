/* golden_ops.c: single primitives, layers and mixed edges. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "golden.h"

/* What is built from x; weights: a mixed edge's (1, K). */
typedef sd_val build_fn(struct sd_build *b, hid_t file, const char *path, sd_val x, sd_val weights);

struct case_values {
	sd_val y, y_eval, gx, gw;
	sd_val *grad; /* as b.param */
};

struct grads_ctx {
	const struct gold_run *run;
	const struct sd_build *build;
	const sd_val *grad;
	struct sd_program *program;
};

static float *get_grad(void *ctx, const char *name, size_t *n)
{
	struct grads_ctx *c = ctx;

	for (int i = 0; i < c->build->nparam; i++) {
		sd_val p = c->build->param[i];

		if (strcmp(c->run->graph->val[p].name, name))
			continue;
		*n = sd_shape_count(sd_shape_of(c->run->graph, p));
		return gold_run_read(c->run, c->program, c->grad[i], p);
	}
	sd_error(SD_ERR_DATA, "no parameter '%s'", name);
	return NULL;
}

static void compare_val(struct gold *g, hid_t file, const char *path, const char *set, enum gold_rule rule,
	const struct gold_run *r, struct sd_program *p, sd_val v, sd_val like)
{
	struct gold_worst w;
	struct gold_array ref = {0};
	struct sd_shape shape;
	float *got = gold_run_read(r, p, v, like);

	gold_worst_init(&w, rule);
	if (!got || gold_read(&ref, file, gold_path(path, set).s) || gold_shape(&shape, &ref)) {
		gold_worst_broken(&w, "%s", sd_error_text());
	} else if (v != SD_NIL && sd_shape_count(&shape) != sd_shape_count(sd_shape_of(r->graph, v))) {
		gold_worst_broken(&w, "%s has another shape", set);
	} else {
		gold_compare(&w, set, got, &ref, NULL, NULL);
	}
	gold_report(g, gold_path(path, set).s, &w);
	gold_array_release(&ref);
	free(got);
}

/* Runs y and its gradients, in training mode and, where there is y_eval, in evaluation before that. */
static void run_case(struct gold *g, hid_t file, const char *path, build_fn *build, enum sd_op_table ops,
	int affine)
{
	struct gold_array x = {0}, gy = {0}, wts = {0};
	struct gold_run r;
	struct sd_build b[2];
	struct sd_program *program = NULL, *eval = NULL;
	sd_val vx, vgy, vw = SD_NIL, y[2] = { SD_NIL, SD_NIL }, *want = NULL, *grad = NULL, *root = NULL;
	int nwant, nroot = 0, has_eval = gold_has(file, gold_path(path, "y_eval").s);

	if (gold_run_init(&r, g->engine)) {
		gold_error(g, path);
		return;
	}
	for (int i = 0; i < 2; i++) {
		sd_build_init(&b[i], r.graph, i ? SD_EVAL : SD_TRAIN);
		b[i].ops = ops;
		b[i].affine = affine;
	}
	if (gold_read(&x, file, gold_path(path, "x").s) || gold_read(&gy, file, gold_path(path, "gy").s))
		goto error;
	vx = gold_run_input(&r, "x", &x);
	vgy = gold_run_input(&r, "gy", &gy);
	if (gold_has(file, gold_path(path, "weights").s)) {
		if (gold_read(&wts, file, gold_path(path, "weights").s))
			goto error;
		if (wts.ndim == 1) { /* one row */
			wts.ndim = 2;
			wts.dim[1] = wts.dim[0];
			wts.dim[0] = 1;
		}
		vw = gold_run_input(&r, "weights", &wts);
	}
	for (int i = 0; i < 1 + has_eval; i++)
		y[i] = build(&b[i], file, path, vx, vw);
	if (!sd_graph_ok(r.graph))
		goto error;
	if (y[0] == SD_NIL) {
		sd_error(SD_ERR_BUG, "nothing was built");
		goto error;
	}

	if (sd_is_image(r.graph, y[0])) { /* the gradient of an image is an image of the same layout */
		struct sd_attr a = {0};
		struct sd_shape shape = *sd_shape_of(r.graph, vgy);

		vgy = sd_like(r.graph, sd_node_add(r.graph, SD_OP_IMPORT, 1, &vgy, 1, &shape, SD_F32, &a), y[0]);
	}
	nwant = b[0].nparam + 2;
	want = malloc(nwant * sizeof(*want));
	grad = malloc(nwant * sizeof(*grad));
	root = malloc((nwant + b[0].nupdate + 1) * sizeof(*root));
	if (!want || !grad || !root)
		goto error;
	for (int i = 0; i < b[0].nparam; i++)
		want[i] = b[0].param[i];
	want[nwant - 2] = vx;
	want[nwant - 1] = vw;
	if (sd_graph_vjp(r.graph, y[0], vgy, nwant - (vw == SD_NIL), want, grad))
		goto error;
	if (gold_run_bind(&r, file, path))
		goto error;

	if (has_eval) {
		eval = sd_program_new(g->engine, r.graph, 1, &y[1], 0);
		if (!eval || sd_program_run(eval, &r.bind))
			goto error;
		compare_val(g, file, path, "y_eval", GOLD_OP, &r, eval, y[1], y[0]);
	}
	root[nroot++] = y[0];
	for (int i = 0; i < nwant - (vw == SD_NIL); i++)
		if (grad[i] != SD_NIL)
			root[nroot++] = grad[i];
	for (int i = 0; i < b[0].nupdate; i++)
		root[nroot++] = b[0].update[i];
	program = sd_program_new(g->engine, r.graph, nroot, root, 0);
	if (!program || sd_program_run(program, &r.bind))
		goto error;
	compare_val(g, file, path, "y", GOLD_OP, &r, program, y[0], y[0]);
	compare_val(g, file, path, "gx", GOLD_GRAD, &r, program, grad[nwant - 2], vx);
	if (vw != SD_NIL)
		compare_val(g, file, path, "gw", GOLD_GRAD, &r, program, grad[nwant - 1], vw);
	if (b[0].nparam) {
		struct grads_ctx ctx = { &r, &b[0], grad, program };
		struct gold_worst w;

		gold_worst_init(&w, GOLD_GRAD);
		gold_compare_group(&w, file, gold_path(path, "grads").s, get_grad, &ctx, NULL, NULL, NULL);
		gold_report(g, gold_path(path, "grads").s, &w);
	}
	if (gold_has(file, gold_path(path, "buffers_after").s))
		gold_net_check_buffers(g, file, gold_path(path, "buffers_after").s, gold_path(path, "buffers").s,
			&r.vars);
	goto out;
error:
	gold_error(g, path);
out:
	sd_program_free(program);
	sd_program_free(eval);
	sd_build_release(&b[0]);
	sd_build_release(&b[1]);
	free(want);
	free(grad);
	free(root);
	gold_array_release(&x);
	gold_array_release(&gy);
	gold_array_release(&wts);
	gold_run_release(&r);
}

static int num(hid_t file, const char *path, const char *name, int other)
{
	return (int)gold_num(file, path, name, other);
}

/* The op table that a group names; OPS where it names none.  -1 with a message. */
static int op_table(hid_t file, const char *path)
{
	char *text;
	int table;

	if (!gold_has_attr(file, path, "op_dict"))
		return SD_OPS;
	text = gold_text(file, path, "op_dict");
	table = text ? sd_op_table_find(text) : -1;
	free(text);
	return table;
}

/* A convolution's window from the group's attributes. */
static struct sd_window window(hid_t file, const char *path)
{
	int k = num(file, path, "kernel", 1);

	return sd_window(k, num(file, path, "stride", 1), num(file, path, "padding", k / 2),
		num(file, path, "dilation", 1));
}

static sd_val build_primitive(struct sd_build *b, hid_t file, const char *path, sd_val x, sd_val weights)
{
	char *primitive = gold_text(file, path, "primitive"), *mid;
	int c_mid = num(file, path, "C_mid", 0);
	sd_val y = SD_NIL;

	(void)weights;
	mid = gold_has_attr(file, path, "C_mid") ? gold_text(file, path, "C_mid") : NULL;
	if (mid && !strcmp(mid, "None"))
		c_mid = -1;
	if (primitive)
		y = sd_build_primitive(b, "", primitive, x, num(file, path, "C_in", 0),
			num(file, path, "C_out", 0), num(file, path, "stride", 1), c_mid);
	free(mid);
	free(primitive);
	return y;
}

static sd_val build_mixed(struct sd_build *b, hid_t file, const char *path, sd_val x, sd_val weights)
{
	struct sd_primitive_list list;
	char *weighting = gold_text(file, path, "weighting_algorithm");
	sd_val y = SD_NIL;

	if (weighting && !gold_primitive_list(&list, file, path, "primitives"))
		y = sd_build_mixed_op(b, "", x, num(file, path, "C", 0), num(file, path, "stride", 1), &list,
			strcmp(weighting, "max_w") ? SD_SCALAR_W : SD_MAX_W, weights, 0);
	free(weighting);
	return y;
}

static sd_val build_relu_conv_bn(struct sd_build *b, hid_t file, const char *path, sd_val x, sd_val weights)
{
	(void)weights;
	return sd_build_relu_conv_bn(b, "", x, num(file, path, "C_out", 0), window(file, path));
}

static sd_val build_reduce(struct sd_build *b, hid_t file, const char *path, sd_val x, sd_val weights)
{
	(void)weights;
	return sd_build_factorized_reduce(b, "", x, num(file, path, "C_out", 0));
}

static sd_val build_sep(struct sd_build *b, hid_t file, const char *path, sd_val x, sd_val weights)
{
	(void)weights;
	return sd_build_sep_conv(b, "", x, num(file, path, "C_out", 0), window(file, path));
}

static sd_val build_sharp_sep(struct sd_build *b, hid_t file, const char *path, sd_val x, sd_val weights)
{
	int c_out = num(file, path, "C_out", 0);

	(void)weights;
	return sd_build_sharp_sep_conv(b, "", x, c_out, num(file, path, "C_mid", c_out), window(file, path));
}

static sd_val build_pool(struct sd_build *b, hid_t file, const char *path, sd_val x, sd_val weights)
{
	char *pool = gold_has_attr(file, path, "pool") ? gold_text(file, path, "pool") : NULL;
	sd_val y;

	(void)weights;
	y = sd_build_resizable_pool(b, "", x, num(file, path, "C_out", 0), num(file, path, "stride", 1),
		!pool || strncmp(pool, "avg", 3));
	free(pool);
	return y;
}

static sd_val build_stem(struct sd_build *b, hid_t file, const char *path, sd_val x, sd_val weights)
{
	(void)weights;
	return sd_build_stem(b, "", x, num(file, path, "C_out", 0));
}

static sd_val build_aux_cifar(struct sd_build *b, hid_t file, const char *path, sd_val x, sd_val weights)
{
	(void)weights;
	return sd_build_aux_head_cifar(b, "", x, num(file, path, "num_classes", 10));
}

static sd_val build_aux_imagenet(struct sd_build *b, hid_t file, const char *path, sd_val x, sd_val weights)
{
	(void)weights;
	return sd_build_aux_head_imagenet(b, "", x, num(file, path, "num_classes", 10));
}

int gold_primitives(struct gold *g, hid_t file)
{
	size_t ndict = 0, nprim = 0, nstride = 0, ncase = 0;
	char **dict = gold_names(file, ".", &ndict), **prim, **stride, **leaf, path[300];

	if (!dict)
		return -1;
	/* <table>/<primitive>/<stride>/<case> */
	for (size_t d = 0; d < ndict; d++) {
		if (!strcmp(dict[d], "inputs"))
			continue;
		prim = gold_names(file, dict[d], &nprim);
		for (size_t p = 0; prim && p < nprim; p++) {
			snprintf(path, sizeof(path), "%s/%s", dict[d], prim[p]);
			stride = gold_names(file, path, &nstride);
			for (size_t s = 0; stride && s < nstride; s++) {
				snprintf(path, sizeof(path), "%s/%s/%s", dict[d], prim[p], stride[s]);
				leaf = gold_names(file, path, &ncase);
				for (size_t c = 0; leaf && c < ncase; c++) {
					snprintf(path, sizeof(path), "%s/%s/%s/%s", dict[d], prim[p],
						stride[s], leaf[c]);
					int table = op_table(file, path);
					if (table < 0 || !gold_has_attr(file, path, "primitive"))
						gold_skip(g, path, "no primitive of a known table");
					else
						run_case(g, file, path, build_primitive, table,
							num(file, path, "affine", 1));
				}
				free(leaf);
			}
			free(stride);
		}
		free(prim);
	}
	free(dict);
	return 0;
}

/* The layers by the first part of their group's name; longer names first where one begins another. */
static const struct {
	const char *name;
	build_fn *build;
} module[] = {
	{ "ReLUConvBN", build_relu_conv_bn },
	{ "FactorizedReduce", build_reduce },
	{ "SharpSepConv", build_sharp_sep },
	{ "SepConv", build_sep },
	{ "ResizablePool", build_pool },
	{ "stem_conv_bn", build_stem },
	{ "AuxiliaryHeadCIFAR", build_aux_cifar },
	{ "AuxiliaryHeadImageNet", build_aux_imagenet },
	{ "MixedOp", build_mixed },
};

static void run_module(struct gold *g, hid_t file, const char *path)
{
	for (size_t i = 0; i < sizeof(module) / sizeof(module[0]); i++) {
		if (strncmp(path, module[i].name, strlen(module[i].name)))
			continue;
		int table = op_table(file, path);
		if (table < 0)
			gold_error(g, path);
		else
			run_case(g, file, path, module[i].build, table, num(file, path, "affine", 1));
		return;
	}
	gold_skip(g, path, "no layer of ours");
}

int gold_modules(struct gold *g, hid_t file)
{
	size_t n, m;
	char **name = gold_names(file, ".", &n);

	if (!name)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(name[i], "inputs"))
			continue;
		if (!strcmp(name[i], "head") || !strcmp(name[i], "accuracy") || !strcmp(name[i], "drop_path")) {
			gold_small_module(g, file, name[i]);
		} else if (gold_has(file, gold_path(name[i], "x").s)) {
			run_module(g, file, name[i]);
		} else {
			char **sub = gold_names(file, name[i], &m), path[300];

			for (size_t k = 0; sub && k < m; k++) {
				snprintf(path, sizeof(path), "%s/%s", name[i], sub[k]);
				run_module(g, file, path);
			}
			free(sub);
		}
	}
	free(name);
	return 0;
}
