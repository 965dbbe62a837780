/* layers.h: what the model builders share: named parameters and buffers, single layers with their
 * multiply-adds counted, and ops whose last norm is left to a mixed edge. */
#ifndef SD_MODEL_LAYERS_H
#define SD_MODEL_LAYERS_H

#include "model/model.h"

#define SD_BN_MOMENTUM 0.1f
#define SD_BN_EPS 1e-5f       /* PyTorch's default, as the momentum */
#define SD_BN_EPS_LARGE 1e-3f /* ResizablePool, and conv_7x1_1x7 of OPS */

/* "prefix.fmt...", into storage of its own; long enough for any name that a network makes. */
struct sd_name {
	char s[96];
};
struct sd_name sd_name(const char *prefix, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Parameters "<layer>.weight", declared whether a graph uses them or not. */
sd_val sd_layer_weight(struct sd_build *b, struct sd_name layer, struct sd_shape s);
/* "<layer>.bias" of n elements. */
sd_val sd_layer_bias(struct sd_build *b, struct sd_name layer, int n);

/* A batch norm's own values; gamma and beta are SD_NIL where it isn't affine. */
struct sd_norm_params {
	sd_val gamma, beta, rm, rv, nbt;
	float eps;
	int affine;
};
struct sd_norm_params sd_layer_norm_params(struct sd_build *b, struct sd_name layer, int c, float eps,
	int affine);

/* An op without its last norm: relu?(norm(x)), x itself, or nothing. */
struct sd_tail {
	enum sd_mix_kind kind;
	sd_val x;
	sd_val mean, var, gamma, beta;
	float eps;
};
/* Norm over x in the phase's manner: statistics of the batch with their update noted, or running ones. */
struct sd_tail sd_tail_norm(struct sd_build *b, sd_val x, const struct sd_norm_params *p);
struct sd_tail sd_tail_raw(sd_val x);
/* A relu behind a norm. */
struct sd_tail sd_tail_relu(struct sd_build *b, struct sd_tail t);
/* The tail as a tensor (NONE has none: SD_NIL). */
sd_val sd_tail_finish(struct sd_build *b, const struct sd_tail *t);

/* Layers.  c is the number of output channels; depthwise keeps them. */
sd_val sd_layer_conv(struct sd_build *b, struct sd_name layer, sd_val x, int c, struct sd_window win);
sd_val sd_layer_dwconv(struct sd_build *b, struct sd_name layer, sd_val x, struct sd_window win);
sd_val sd_layer_relu(struct sd_build *b, sd_val x);
sd_val sd_layer_maxpool(struct sd_build *b, sd_val x, struct sd_window win);
sd_val sd_layer_avgpool(struct sd_build *b, sd_val x, struct sd_window win, int include_pad);
/* Norm with b->affine and the usual eps, not yet applied; and applied. */
struct sd_tail sd_layer_norm_tail(struct sd_build *b, struct sd_name layer, sd_val x, float eps);
sd_val sd_layer_norm(struct sd_build *b, struct sd_name layer, sd_val x);
/* Global pooling and "<prefix>.classifier". */
sd_val sd_layer_classifier(struct sd_build *b, const char *prefix, sd_val x, int classes);

/* The composite layers of model.h, their last norm left open. */
struct sd_tail sd_tail_sep_conv(struct sd_build *b, const char *prefix, sd_val x, int c_out,
	struct sd_window win);
struct sd_tail sd_tail_factorized_reduce(struct sd_build *b, const char *prefix, sd_val x, int c_out);

/* One cell of either kind: s0 and s1 are the outputs of the last but one and the last cell, c the cell's
 * channels; the result has as many times c as nodes are concatenated. */
struct sd_cell_place {
	const char *prefix;
	int c;
	int reduction, reduction_prev;
};
/* Search: every node has a mixed edge from each node before it. */
sd_val sd_cell_search(struct sd_build *b, const struct sd_cell_place *at, const struct sd_supernet *net,
	sd_val s0, sd_val s1, sd_val weights);
/* Final: the genotype's cell, but with the concat of `concat`. */
sd_val sd_cell_final(struct sd_build *b, const struct sd_cell_place *at, const struct sd_cell *cell,
	const struct sd_cell *concat, int c_mid, sd_val s0, sd_val s1);

/* Channels of x, for which SD_NIL will do (0). */
int sd_channels(const struct sd_build *b, sd_val x);
/* Whether layer i of so many is a reduction cell: at a third and at two thirds. */
int sd_is_reduction(int i, int layers);
/* Checks sizes that every network has.  SD_NIL and a failed graph, or 0. */
int sd_check_sizes(struct sd_build *b, int channels, int classes, int layers, int stem_multiplier);

#endif
