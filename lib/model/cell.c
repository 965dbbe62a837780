/* cell.c: the search cell and the final cell. */
#include <stdlib.h>

#include "base/rng.h"
#include "model/layers.h"

int sd_is_reduction(int i, int layers)
{
	return i == layers / 3 || i == 2 * layers / 3;
}

int sd_check_sizes(struct sd_build *b, int channels, int classes, int layers, int stem_multiplier)
{
	/* What the widest tensor's size in int allows with room to spare. */
	if (channels < 1 || channels > 1 << 14)
		return sd_graph_fail(b->g, "cannot build a network of %d channels: 1 to %d are possible",
			channels, 1 << 14);
	if (layers < 1 || layers > 1000)
		return sd_graph_fail(b->g, "cannot build a network of %d cells: 1 to 1000 are possible",
			layers);
	if (classes < 1 || classes > 1 << 20)
		return sd_graph_fail(b->g, "cannot build a network for %d classes: 1 to %d are possible",
			classes, 1 << 20);
	if (stem_multiplier < 1 || stem_multiplier > 64)
		return sd_graph_fail(b->g, "cannot build a network with a stem multiplier of %d: "
			"1 to 64 are possible", stem_multiplier);
	return 0;
}

/* What a cell's input goes through: a factorised reduce behind a reduction, else a 1x1 ReLUConvBN. */
static sd_val preprocess(struct sd_build *b, const char *prefix, sd_val x, int c, int reduction_prev)
{
	if (reduction_prev)
		return sd_build_factorized_reduce(b, prefix, x, c);
	return sd_build_relu_conv_bn(b, prefix, x, c, sd_window(1, 1, 0, 1));
}

/* The cell's nodes, the first two filled in; freed by the caller.  NULL and a failed graph when memory
 * runs out. */
static sd_val *nodes_new(struct sd_build *b, const struct sd_cell_place *at, int steps, sd_val s0, sd_val s1)
{
	sd_val *node = malloc(((size_t)steps + 2) * sizeof *node);

	if (!node) {
		sd_graph_fail(b->g, "cannot build the network: out of memory");
		return NULL;
	}
	node[0] = preprocess(b, sd_name(at->prefix, "preprocess0").s, s0, at->c, at->reduction_prev);
	node[1] = preprocess(b, sd_name(at->prefix, "preprocess1").s, s1, at->c, 0);
	return node;
}

sd_val sd_cell_search(struct sd_build *b, const struct sd_cell_place *at, const struct sd_supernet *net,
	sd_val s0, sd_val s1, sd_val weights)
{
	int multiplier = net->multiplier ? net->multiplier : net->steps, edge = 0, stride, i, j;
	sd_val *node = nodes_new(b, at, net->steps, s0, s1), *in = NULL, y = SD_NIL;

	if (!node)
		return SD_NIL;
	in = malloc(((size_t)net->steps + 1) * sizeof *in);
	if (!in) {
		sd_graph_fail(b->g, "cannot build the network: out of memory");
		goto out;
	}
	for (i = 0; i < net->steps; i++) {
		for (j = 0; j < 2 + i; j++, edge++) {
			stride = at->reduction && j < 2 ? 2 : 1;
			in[j] = sd_build_mixed_op(b, sd_name(at->prefix, "_ops.%d", edge).s, node[j], at->c,
				stride, net->prims, net->weighting, weights, edge);
		}
		node[2 + i] = sd_add(b->g, 2 + i, in);
	}
	y = sd_concat(b->g, multiplier, node + 2 + net->steps - multiplier);
out:
	free(in);
	free(node);
	return y;
}

/* Drop path (Larsson et al., FractalNet, 2017): a sample loses the whole op or has it scaled up. */
static sd_val drop_path(struct sd_build *b, const char *site, sd_val x)
{
	struct sd_rng_key key = sd_rng_key(b->seed, "droppath", site);

	return sd_scale_rows(b->g, x, sd_drop_mask(b->g, b->drop_prob, b->step, b->ids, key.k));
}

sd_val sd_cell_final(struct sd_build *b, const struct sd_cell_place *at, const struct sd_cell *cell,
	const struct sd_cell *concat, int c_mid, sd_val s0, sd_val s1)
{
	int steps = sd_cell_steps(cell), stride, i;
	sd_val *node = nodes_new(b, at, steps, s0, s1), *part = NULL, y = SD_NIL, pair[2];

	if (!node)
		return SD_NIL;
	for (i = 0; i < 2 * steps; i++) {
		const struct sd_edge *e = &cell->edge[i];
		struct sd_name name = sd_name(at->prefix, "_ops.%d", i);

		stride = at->reduction && e->from < 2 ? 2 : 1;
		y = sd_build_primitive(b, name.s, sd_primitives[e->op].name, node[e->from], at->c, at->c,
			stride, c_mid);
		/* dropping zeros changes nothing, and an identity is never dropped */
		if (b->phase == SD_TRAIN && b->drop_prob != SD_NIL && e->op != SD_PRIM_NONE &&
		    !(e->op == SD_PRIM_SKIP_CONNECT && stride == 1))
			y = drop_path(b, name.s, y);
		pair[i % 2] = y;
		if (i % 2)
			node[2 + i / 2] = sd_add(b->g, 2, pair);
	}
	y = SD_NIL;
	part = malloc((size_t)concat->nconcat * sizeof *part);
	if (!part) {
		sd_graph_fail(b->g, "cannot build the network: out of memory");
		goto out;
	}
	for (i = 0; i < concat->nconcat; i++) {
		if (concat->concat[i] > 1 + steps) {
			sd_graph_fail(b->g, "a cell of %d nodes cannot give node %d", steps,
				concat->concat[i]);
			goto out;
		}
		part[i] = node[concat->concat[i]];
	}
	y = sd_concat(b->g, concat->nconcat, part);
out:
	free(part);
	free(node);
	return y;
}
