/* test_build.c: the model builders without reference data: order, drop path, the auxiliary head's relu,
 * initial values, and what is refused. */
#include "model/model.h"
#include "base/err.h"
#include "check.h"

#include <math.h>
#include <string.h>

static const char cell_literal[] = "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1), ('none', 0), "
	"('nor_conv_3x3', 2)], normal_concat=range(2, 4), reduce=[('max_pool_3x3', 0), ('skip_connect', 1), "
	"('none', 0), ('none', 1)], reduce_concat=[3, 2])";

static int count_op(const struct sd_graph *g, enum sd_op op)
{
	int i, n = 0;

	for (i = 0; i < g->nnode; i++)
		n += g->node[i].op == op;
	return n;
}

/* Order and names, drop path and its sites, initial values, on one small network. */
static void small_network(void)
{
	static const char *const order[] = { "stem.0.weight", "stem.1.weight", "stem.1.bias",
		"cells.0.preprocess0.op.1.weight", "cells.0.preprocess0.op.2.weight", "cells.0.preprocess0.op.2.bias",
		"cells.0.preprocess1.op.1.weight", "cells.0.preprocess1.op.2.weight", "cells.0.preprocess1.op.2.bias",
		"cells.0._ops.0.op.1.weight", "cells.0._ops.0.op.2.weight", "cells.0._ops.0.op.3.weight",
		"cells.0._ops.0.op.3.bias", "cells.0._ops.0.op.5.weight", "cells.0._ops.0.op.6.weight",
		"cells.0._ops.0.op.7.weight", "cells.0._ops.0.op.7.bias", "cells.0._ops.3.op.0.weight",
		"cells.0._ops.3.op.1.weight", "cells.0._ops.3.op.1.bias", "cells.1.preprocess0.op.1.weight" };
	static const char *const reduce[] = { "cells.1._ops.1.conv_1.weight", "cells.1._ops.1.conv_2.weight",
		"cells.1._ops.1.bn.weight", "cells.1._ops.1.bn.bias", "cells.2.preprocess0.conv_1.weight" };
	struct sd_network n = { .channels = 4, .classes = 5, .layers = 3, .auxiliary = 1, .ops = SD_DARTS_OPS };
	struct sd_graph *g = sd_graph_new();
	float w[12 * 3 * 9], w2[12 * 3 * 9], one[12];
	struct sd_genotype geno;
	struct sd_build b;
	sd_val y, aux, v;
	int i, k, nmask, counter = 7;

	sd_genotype_init(&geno);
	CHECK(sd_genotype_parse(&geno, cell_literal, sizeof cell_literal - 1, "test") == 0, "%s", sd_error_text());
	n.genotype = &geno;
	sd_build_init(&b, g, SD_TRAIN);
	b.drop_prob = sd_scalar(g, "drop_prob", SD_F32);
	b.step = sd_scalar(g, "step", SD_I32);
	b.ids = sd_input(g, "ids", SD_I32, sd_shape1(2));
	CHECK(sd_build_network_cifar(&b, &n, sd_input(g, "x", SD_F32, sd_shape4(2, 3, 32, 32)), &y, &aux) == 0,
		"%s", sd_error_text());
	for (i = 0; i < (int)(sizeof order / sizeof *order); i++)
		CHECK(i < b.nparam && !strcmp(g->val[b.param[i]].name, order[i]), "%d: %s", i, order[i]);
	for (i = 0; i < b.nparam && strcmp(g->val[b.param[i]].name, reduce[0]); i++)
		;
	for (k = 0; k < (int)(sizeof reduce / sizeof *reduce); k++)
		CHECK(i + k < b.nparam && !strcmp(g->val[b.param[i + k]].name, reduce[k]), "%s", reduce[k]);
	CHECK(b.nparam > 5 && !strcmp(g->val[b.param[b.nparam - 1]].name, "classifier.bias") &&
		!strcmp(g->val[b.param[b.nparam - 3]].name, "auxiliary_head.classifier.bias"));
	CHECK(!strcmp(g->val[b.buffer[0]].name, "stem.1.running_mean") &&
		!strcmp(g->val[b.buffer[1]].name, "stem.1.running_var") &&
		!strcmp(g->val[b.buffer[2]].name, "stem.1.num_batches_tracked"));
	/* normal cell: two convolutions; the two reduction cells: a pool and a factorised reduce; all
	 * sites draw with keys of their own, none for 'none' and the identity */
	nmask = count_op(g, SD_OP_DROP_MASK);
	CHECK(nmask == 2 + 2 + 2, "%d", nmask);
	/* a 'none' scales by zeros instead: one of its own in the normal cell, two in each reduction cell */
	CHECK(count_op(g, SD_OP_SCALE_ROWS) == nmask + 1 + 2 + 2, "%d", count_op(g, SD_OP_SCALE_ROWS));
	/* in place: the last cell's output goes through the relu into the classifier */
	CHECK(g->node[g->val[y].node].op == SD_OP_LINEAR);
	v = g->node[g->val[y].node].in[0];
	v = g->node[g->val[v].node].in[0];
	CHECK(g->node[g->val[v].node].op == SD_OP_RELU, "%s", sd_op_name(g->node[g->val[v].node].op));
	sd_build_release(&b);

	/* evaluation draws nothing and sees the cell's output itself */
	sd_build_init(&b, g, SD_EVAL);
	CHECK(sd_build_network_cifar(&b, &n, sd_find(g, "x"), &y, &aux) == 0 && aux == SD_NIL);
	v = g->node[g->val[y].node].in[0];
	v = g->node[g->val[v].node].in[0];
	CHECK(g->node[g->val[v].node].op == SD_OP_CONCAT && count_op(g, SD_OP_DROP_MASK) == nmask);
	sd_build_release(&b);

	CHECK(sd_init_value(g, sd_find(g, "stem.0.weight"), 1, w) == 0 &&
		sd_init_value(g, sd_find(g, "stem.0.weight"), 2, w2) == 0 && memcmp(w, w2, sizeof w));
	for (i = k = 0; i < 12 * 3 * 9; i++)
		k += fabsf(w[i]) <= 1 / sqrtf(27) && w[i] != 0;
	CHECK(k == 12 * 3 * 9);
	CHECK(sd_init_value(g, sd_find(g, "stem.1.weight"), 1, one) == 0 && one[0] == 1 && one[11] == 1);
	CHECK(sd_init_value(g, sd_find(g, "stem.1.bias"), 1, one) == 0 && one[0] == 0 && one[11] == 0);
	CHECK(sd_init_value(g, sd_find(g, "stem.1.running_var"), 1, one) == 0 && one[0] == 1 && one[11] == 1);
	CHECK(sd_init_value(g, sd_find(g, "stem.1.running_mean"), 1, one) == 0 && one[0] == 0 && one[11] == 0);
	CHECK(sd_init_value(g, sd_find(g, "stem.1.num_batches_tracked"), 1, &counter) == 0 && counter == 0);
	CHECK(sd_init_value(g, sd_find(g, "classifier.bias"), 1, one) == 0 && one[0] != 0 &&
		fabsf(one[0]) < 0.25f);
	CHECK(sd_init_value(g, sd_param(g, "alphas_normal", sd_shape2(2, 4)), 1, one) == 0 && one[0] != 0 &&
		fabsf(one[0]) < 6e-3f);
	CHECK(sd_init_value(g, sd_find(g, "x"), 1, w) == -1);
	sd_genotype_release(&geno);
	sd_graph_free(g);
}

static void refused_network(int channels, int size, enum sd_op_table ops, int layers, const char *what)
{
	struct sd_network n = { .channels = channels, .classes = 5, .layers = layers, .auxiliary = 1, .ops = ops };
	struct sd_graph *g = sd_graph_new();
	struct sd_genotype geno;
	struct sd_build b;
	sd_val x, y, aux;

	sd_genotype_init(&geno);
	CHECK(sd_genotype_parse(&geno, cell_literal, sizeof cell_literal - 1, "test") == 0);
	n.genotype = &geno;
	sd_build_init(&b, g, SD_TRAIN);
	x = sd_input(g, "x", SD_F32, sd_shape4(2, 3, size, size));
	CHECK(sd_build_network_cifar(&b, &n, x, &y, &aux) == -1);
	CHECK(strstr(sd_error_text(), what), "'%s', not '%s'", sd_error_text(), what);
	sd_build_release(&b);
	sd_genotype_release(&geno);
	sd_graph_free(g);
}

static void refused_edge(const char *names, const char *what)
{
	struct sd_graph *g = sd_graph_new();
	struct sd_primitive_list list;
	struct sd_build b;
	sd_val x, w;

	CHECK(sd_primitive_list_parse(&list, names) == 0);
	sd_build_init(&b, g, SD_TRAIN);
	x = sd_input(g, "x", SD_F32, sd_shape4(2, 4, 8, 8));
	w = sd_softmax(g, sd_param(g, "alphas", sd_shape2(1, list.n)));
	CHECK(sd_build_mixed_op(&b, "e", x, 4, 1, &list, SD_SCALAR_W, w, 0) == SD_NIL && !sd_graph_ok(g));
	CHECK(strstr(sd_error_text(), what), "'%s', not '%s'", sd_error_text(), what);
	sd_build_release(&b);
	sd_graph_free(g);
}

static void refusals(void)
{
	refused_network(4, 32, SD_OPS, 3, "there is no primitive 'nor_conv_3x3' in OPS");
	refused_network(4, 4, SD_DARTS_OPS, 3, "too small for the auxiliary head");
	refused_network(0, 32, SD_DARTS_OPS, 3, "0 channels");
	refused_network(4, 32, SD_DARTS_OPS, 0, "0 cells");
	refused_edge("none,dil_flood_conv_5x5", "'dil_flood_conv_5x5' gives 4x4x4 where a mixed edge needs 4x8x8");
	refused_edge("none,nor_conv_3x3", "there is no primitive 'nor_conv_3x3' in OPS");
}

int main(void)
{
	small_network();
	refusals();
	return check_done();
}
