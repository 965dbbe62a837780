/* ops_rows.c: the builders of rows, draws, scalars and writes. */
#include "graph/builder.h"

#include <stdlib.h>

/* ---- rows ---- */

sd_val sd_linear(struct sd_graph *g, sd_val x, sd_val w, sd_val b)
{
	sd_val in[3] = { x, w, b };

	if (g->failed || x == SD_NIL || w == SD_NIL || b == SD_NIL)
		return SD_NIL;
	if (!is(g, x, SD_F32, 2, -1, -1) || !is(g, w, SD_F32, 2, -1, shape(g, x)->d[1]) ||
			!is(g, b, SD_F32, 1, shape(g, w)->d[0], 0))
		return sd_graph_fail(g, "linear: weight '%s' or its bias doesn't fit",
			g->val[w].name ? g->val[w].name : "?");
	return op1(g, SD_OP_LINEAR, 3, in, sd_shape2(shape(g, x)->d[0], shape(g, w)->d[0]), SD_F32, NULL);
}

sd_val sd_softmax(struct sd_graph *g, sd_val x)
{
	if (g->failed || x == SD_NIL)
		return SD_NIL;
	if (!is(g, x, SD_F32, 2, -1, -1))
		return sd_graph_fail(g, "softmax: operand is no matrix");
	return op1(g, SD_OP_SOFTMAX, 1, &x, *shape(g, x), SD_F32, NULL);
}

/* logits (N, K) and labels (N)? */
static int labelled(struct sd_graph *g, sd_val logits, sd_val labels, const char *what)
{
	if (g->failed || logits == SD_NIL || labels == SD_NIL)
		return 0;
	if (is(g, logits, SD_F32, 2, -1, -1) && is(g, labels, SD_I32, 1, shape(g, logits)->d[0], 0))
		return 1;
	sd_graph_fail(g, "%s: logits and labels don't fit", what);
	return 0;
}

sd_val sd_xent(struct sd_graph *g, sd_val logits, sd_val labels, float smoothing)
{
	struct sd_attr a = { .eps = smoothing };
	sd_val in[2] = { logits, labels };

	if (!labelled(g, logits, labels, "xent"))
		return SD_NIL;
	return op1(g, SD_OP_XENT, 2, in, sd_shape1(shape(g, logits)->d[0]), SD_F32, &a);
}

sd_val sd_rank(struct sd_graph *g, sd_val logits, sd_val labels)
{
	sd_val in[2] = { logits, labels };

	if (!labelled(g, logits, labels, "rank"))
		return SD_NIL;
	return op1(g, SD_OP_RANK, 2, in, sd_shape1(shape(g, logits)->d[0]), SD_I32, NULL);
}

sd_val sd_argmax(struct sd_graph *g, sd_val logits)
{
	if (g->failed || logits == SD_NIL)
		return SD_NIL;
	if (!is(g, logits, SD_F32, 2, -1, -1))
		return sd_graph_fail(g, "argmax: operand is no matrix");
	return op1(g, SD_OP_ARGMAX, 1, &logits, sd_shape1(shape(g, logits)->d[0]), SD_I32, NULL);
}

sd_val sd_mean(struct sd_graph *g, sd_val x)
{
	if (g->failed || x == SD_NIL)
		return SD_NIL;
	if (!is(g, x, SD_F32, 1, -1, 0))
		return sd_graph_fail(g, "mean: operand is no vector");
	return op1(g, SD_OP_MEAN, 1, &x, sd_shape0(), SD_F32, NULL);
}

sd_val sd_wsum(struct sd_graph *g, sd_val a, float fa, sd_val b, float fb)
{
	struct sd_attr at = { .f = { fa, fb } };
	sd_val in[2] = { a, b };

	if (g->failed || a == SD_NIL)
		return SD_NIL;
	if (g->val[a].dtype != SD_F32 || (b != SD_NIL && !sd_shape_equal(shape(g, a), shape(g, b))))
		return sd_graph_fail(g, "wsum: operands differ in shape");
	return op1(g, SD_OP_WSUM, 2, in, *shape(g, a), SD_F32, &at);
}

sd_val sd_drop_mask(struct sd_graph *g, sd_val p, sd_val step, sd_val ids, const uint32_t key[2])
{
	struct sd_attr a = { .key = { key[0], key[1] } };
	sd_val in[3] = { p, step, ids };

	if (g->failed || p == SD_NIL || step == SD_NIL || ids == SD_NIL)
		return SD_NIL;
	if (!is(g, p, SD_F32, 0, 0, 0) || !is(g, step, SD_I32, 0, 0, 0) || !is(g, ids, SD_I32, 1, -1, 0))
		return sd_graph_fail(g, "drop_mask: wants a probability, a step and sample numbers");
	return op1(g, SD_OP_DROP_MASK, 3, in, *shape(g, ids), SD_F32, &a);
}

sd_val sd_grad_norm(struct sd_graph *g, int n, const sd_val *grads)
{
	int i;

	if (g->failed)
		return SD_NIL;
	for (i = 0; i < n; i++)
		if (grads[i] == SD_NIL || sd_is_image(g, grads[i]))
			return sd_graph_fail(g, "grad_norm: gradient %d is missing or an image", i);
	return op1(g, SD_OP_GRAD_NORM, n, grads, sd_shape0(), SD_F32, NULL);
}

sd_val sd_clip_coef(struct sd_graph *g, sd_val norm, float max_norm)
{
	struct sd_attr a = { .f = { max_norm } };

	if (g->failed || norm == SD_NIL)
		return SD_NIL;
	return op1(g, SD_OP_CLIP_COEF, 1, &norm, sd_shape0(), SD_F32, &a);
}

sd_val sd_ratio(struct sd_graph *g, sd_val a, sd_val b)
{
	sd_val in[2] = { a, b };

	if (g->failed || a == SD_NIL || b == SD_NIL)
		return SD_NIL;
	if (!is(g, a, SD_F32, 0, 0, 0) || !is(g, b, SD_F32, 0, 0, 0))
		return sd_graph_fail(g, "ratio: operands are no scalars");
	return op1(g, SD_OP_RATIO, 2, in, sd_shape0(), SD_F32, NULL);
}

sd_val sd_finite(struct sd_graph *g, sd_val a)
{
	if (g->failed || a == SD_NIL)
		return SD_NIL;
	if (!is(g, a, SD_F32, 0, 0, 0))
		return sd_graph_fail(g, "finite: the operand is no scalar");
	return op1(g, SD_OP_FINITE, 1, &a, sd_shape0(), SD_I32, NULL);
}

sd_val sd_axpy(struct sd_graph *g, sd_val y, float f, sd_val s, sd_val x)
{
	struct sd_attr a = { .f = { f } };
	sd_val in[3] = { y, s, x };

	if (g->failed || s == SD_NIL || x == SD_NIL)
		return SD_NIL;
	if (!is(g, s, SD_F32, 0, 0, 0) || g->val[x].dtype != SD_F32 || shape(g, x)->n > 2 ||
			(y != SD_NIL && (g->val[y].dtype != SD_F32 || !sd_shape_equal(shape(g, y), shape(g, x)))))
		return sd_graph_fail(g, "axpy: operands don't fit, or are images");
	return op1(g, SD_OP_AXPY, 3, in, *shape(g, x), SD_F32, &a);
}

/* ---- writes ---- */

sd_val sd_bn_update(struct sd_graph *g, sd_val rm, sd_val rv, sd_val nbt, sd_val mean, sd_val var,
	int count, float momentum)
{
	struct sd_attr a = { .f = { momentum }, .i = { count } };
	sd_val in[5] = { rm, rv, nbt, mean, var };

	if (g->failed || rm == SD_NIL || rv == SD_NIL || mean == SD_NIL || var == SD_NIL)
		return SD_NIL;
	if (count < 2)
		return sd_graph_fail(g, "'%s': a batch of one value a channel has no variance", g->val[rm].name);
	return op1(g, SD_OP_BN_UPDATE, 5, in, sd_shape0(), SD_I32, &a);
}

/* Operands of an optimiser: `lead` values, then groups of n. */
static sd_val optimiser(struct sd_graph *g, enum sd_op op, int lead, const sd_val *first, int n, int ngroup,
	const sd_val *const *group, const struct sd_attr *a)
{
	sd_val *in, out;
	int i, k;

	if (g->failed)
		return SD_NIL;
	in = malloc(sizeof(*in) * (size_t)(lead + n * ngroup + 1));
	if (!in)
		return sd_graph_fail(g, "%s: out of memory", sd_op_name(op));
	for (i = 0; i < lead; i++)
		in[i] = first[i];
	for (k = 0; k < ngroup; k++)
		for (i = 0; i < n; i++) {
			sd_val v = group[k][i];

			in[lead + k * n + i] = v;
			if (v == SD_NIL || sd_is_image(g, v) || !sd_shape_equal(shape(g, v), shape(g, group[0][i]))) {
				out = sd_graph_fail(g, "%s: operands of parameter %d don't fit", sd_op_name(op), i);
				goto out;
			}
		}
	out = op1(g, op, lead + n * ngroup, in, sd_shape0(), SD_I32, a);
out:
	free(in);
	return out;
}

sd_val sd_sgd(struct sd_graph *g, int n, const sd_val *p, const sd_val *m, const sd_val *grad,
	sd_val lr, sd_val coef, float momentum, float wd)
{
	struct sd_attr a = { .f = { momentum, wd }, .i = { n } };
	sd_val first[2] = { lr, coef };
	const sd_val *group[3] = { p, m, grad };

	return optimiser(g, SD_OP_SGD, 2, first, n, 3, group, &a);
}

sd_val sd_sgd_ahead(struct sd_graph *g, int n, const sd_val *ahead, const sd_val *p, const sd_val *m,
	const sd_val *grad, sd_val lr, sd_val coef, float momentum, float wd)
{
	struct sd_attr a = { .f = { momentum, wd }, .i = { n } };
	sd_val first[2] = { lr, coef };
	const sd_val *group[4] = { p, m, grad, ahead };

	return optimiser(g, SD_OP_SGD_AHEAD, 2, first, n, 4, group, &a);
}

sd_val sd_store(struct sd_graph *g, int n, const sd_val *dst, const sd_val *base, float f, sd_val s,
	const sd_val *dir)
{
	struct sd_attr a = { .f = { f }, .i = { n } };
	const sd_val *group[3] = { dst, base, dir };
	int i;

	if (g->failed)
		return SD_NIL;
	for (i = 0; i < n; i++)
		if (dst[i] != SD_NIL && (g->val[dst[i]].dtype != SD_F32 ||
				(g->val[dst[i]].cls != SD_PARAM && g->val[dst[i]].cls != SD_STATE)))
			return sd_graph_fail(g, "store: '%s' is no parameter or state of float32",
				g->val[dst[i]].name ? g->val[dst[i]].name : "?");
	return optimiser(g, SD_OP_STORE, 1, &s, n, dir ? 3 : 2, group, &a);
}

sd_val sd_adam(struct sd_graph *g, int n, const sd_val *p, const sd_val *m, const sd_val *v,
	const sd_val *grad, sd_val lr, sd_val t, float beta1, float beta2, float eps, float wd)
{
	struct sd_attr a = { .eps = eps, .f = { beta1, beta2, wd }, .i = { n } };
	sd_val first[2] = { lr, t };
	const sd_val *group[4] = { p, m, v, grad };

	return optimiser(g, SD_OP_ADAM, 2, first, n, 4, group, &a);
}

sd_val sd_padam(struct sd_graph *g, int n, const sd_val *p, const sd_val *m, const sd_val *v,
	const sd_val *u, const sd_val *grad, sd_val lr, sd_val t, sd_val coef, float beta1, float beta2,
	float eps, float wd, float partial)
{
	struct sd_attr a = { .eps = eps, .f = { beta1, beta2, wd, partial }, .i = { n } };
	sd_val first[3] = { lr, t, coef };
	const sd_val *group[5] = { p, m, v, u, grad };

	return optimiser(g, SD_OP_PADAM, 3, first, n, 5, group, &a);
}

sd_val sd_loss_scale(struct sd_graph *g, sd_val scale, sd_val good, sd_val ok, int window)
{
	struct sd_attr a = { .i = { window } };
	sd_val in[3] = { scale, good, ok };

	if (g->failed || scale == SD_NIL || good == SD_NIL || ok == SD_NIL)
		return SD_NIL;
	if (!is(g, scale, SD_F32, 0, 0, 0) || !is(g, good, SD_I32, 0, 0, 0) || !is(g, ok, SD_I32, 0, 0, 0))
		return sd_graph_fail(g, "loss_scale: operands don't fit");
	return op1(g, SD_OP_LOSS_SCALE, 3, in, sd_shape0(), SD_I32, &a);
}

sd_val sd_metrics(struct sd_graph *g, sd_val sums, sd_val loss, sd_val rank)
{
	sd_val in[3] = { sums, loss, rank };

	if (g->failed || sums == SD_NIL || loss == SD_NIL || rank == SD_NIL)
		return SD_NIL;
	if (!is(g, sums, SD_F64, 1, 5, 0) || !is(g, loss, SD_F32, 1, -1, 0) ||
			!is(g, rank, SD_I32, 1, shape(g, loss)->d[0], 0))
		return sd_graph_fail(g, "metrics: operands don't fit");
	return op1(g, SD_OP_METRICS, 3, in, sd_shape0(), SD_I32, NULL);
}
