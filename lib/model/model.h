/* model.h: builds graphs from architectures: single primitives, mixed edges, the cell supernet, the
 * CIFAR and ImageNet networks.  Parameters and buffers carry the names of the PyTorch reference's
 * state_dict ("cells.3._ops.5._ops.4.op.1.weight", "stem.0.weight", "classifier.bias" ...), alphas
 * are "alphas_normal" and "alphas_reduce". */
#ifndef SD_MODEL_MODEL_H
#define SD_MODEL_MODEL_H

#include "arch/arch.h"
#include "graph/graph.h"

/* Which statistics a norm uses; drop path and the auxiliary head are in TRAIN only. */
enum sd_phase { SD_TRAIN, SD_EVAL };

/* How a builder is to build.  A context gathers what it made: parameters in the order of the
 * reference's parameters(), buffers (running statistics), and in TRAIN the tokens that update them.
 * The same graph may be built in by several contexts (a training and an evaluation form): parameters
 * and buffers of one name are one value. */
struct sd_build {
	struct sd_graph *g;
	enum sd_phase phase;
	enum sd_op_table ops;     /* the table of single primitives and mixed edges; networks say their own */
	int affine;               /* norms have gamma and beta; whole networks decide for themselves */
	int no_update;            /* TRAIN without writing running statistics */
	sd_val *param;            /* parameters made, in order; owned, free with sd_build_release */
	int nparam, cap_param;
	sd_val *buffer;           /* running_mean, running_var, num_batches_tracked (i32) */
	int nbuffer, cap_buffer;
	sd_val *update;           /* write tokens of the running statistics (roots of a training plan) */
	int nupdate, cap_update;
	double macs;              /* multiply-adds of one sample by the reference's counter: an element into a
	                             relu or pool is 1, into a norm 2 (1 not affine); no auxiliary head */
	uint64_t seed;            /* for the keys of draws */
	sd_val drop_prob, step, ids; /* drop path's inputs (scalar f32, scalar i32, (N) i32); SD_NIL: none */
};
/* OPS, affine, no drop path. */
void sd_build_init(struct sd_build *b, struct sd_graph *g, enum sd_phase phase);
void sd_build_release(struct sd_build *b);

/* Every builder below names what it makes under `prefix` + "." ("" for none: names start at the
 * layer's own).  Like the graph's own builders they fail stickily: SD_NIL comes back and
 * sd_graph_ok() has the message. */

/* One primitive of the table b->ops, c_in -> c_out channels (DARTS_OPS, `none` and skip_connect at
 * stride 1 keep c_in).  c_mid is for the choke primitives: 0 for their default (32); -1 for None
 * (c_mid = c_out). */
sd_val sd_build_primitive(struct sd_build *b, const char *prefix, const char *primitive, sd_val x,
	int c_in, int c_out, int stride, int c_mid);

/* Layers of their own, as the reference names them, for tests and networks.
 * ReLUConvBN: relu, convolution op.1, norm op.2. */
sd_val sd_build_relu_conv_bn(struct sd_build *b, const char *prefix, sd_val x, int c_out,
	struct sd_window win);
/* FactorizedReduce: relu, conv_1 beside conv_2 on the image shifted by (1, 1), norm bn; c_out even. */
sd_val sd_build_factorized_reduce(struct sd_build *b, const char *prefix, sd_val x, int c_out);
/* SepConv, also DARTS' DilConv: relu, depthwise op.1, pointwise op.2, norm op.3. */
sd_val sd_build_sep_conv(struct sd_build *b, const char *prefix, sd_val x, int c_out, struct sd_window win);
/* SharpSepConv: a SepConv to c_mid channels, then another (op.5 to op.7) with the same kernel, undilated
 * at stride 1, to c_out. */
sd_val sd_build_sharp_sep_conv(struct sd_build *b, const char *prefix, sd_val x, int c_out, int c_mid,
	struct sd_window win);
/* ResizablePool: a 3x3 pool with padding 1 (maximum, or average that counts the padding), and behind it,
 * if c_out is not the number of channels, a 1x1 convolution op.1 and a norm op.2 (eps 1e-3). */
sd_val sd_build_resizable_pool(struct sd_build *b, const char *prefix, sd_val x, int c_out, int stride,
	int max);
/* The CIFAR stem: 3x3 convolution 0, norm 1 (always affine). */
sd_val sd_build_stem(struct sd_build *b, const char *prefix, sd_val x, int c_out);
/* Auxiliary classifiers, x (N, C, S, S), S from 2 on: (N, classes).  The reference has them for S = 8 and S = 7. */
sd_val sd_build_aux_head_cifar(struct sd_build *b, const char *prefix, sd_val x, int classes);
sd_val sd_build_aux_head_imagenet(struct sd_build *b, const char *prefix, sd_val x, int classes);

/* MixedOp: weights (R, K) softmaxed, row `row`.  Parameters "<prefix>._ops.<k>...".  Norms are never affine.
 * Primitives that don't keep the size (dil_flood_conv_5x5) are an error. */
sd_val sd_build_mixed_op(struct sd_build *b, const char *prefix, sd_val x, int c, int stride,
	const struct sd_primitive_list *prims, enum sd_weighting weighting, sd_val weights, int row);

/* The cell search network (model_search.Network). */
struct sd_supernet {
	int channels, classes, layers, steps, multiplier; /* multiplier: 0 for steps */
	int stem_multiplier;                              /* 0 for 3 */
	const struct sd_primitive_list *prims;
	enum sd_op_table ops;
	enum sd_weighting weighting;
};
/* x (N, Cin, H, W) -> logits (N, classes).  weights_* (edges, K) softmaxed; sd_search_edges(steps) edges. */
sd_val sd_build_supernet(struct sd_build *b, const struct sd_supernet *s, sd_val x, sd_val weights_normal,
	sd_val weights_reduce);

/* The final networks (model.NetworkCIFAR, model.NetworkImageNet). */
struct sd_network {
	int channels, classes, layers;
	int auxiliary;
	int mid_channels;        /* C_mid given to the primitives: 0 default, -1 None */
	int stem_multiplier;     /* 0 for 3; the ImageNet network has none */
	enum sd_op_table ops;
	const struct sd_genotype *genotype;
};
/* x (N, Cin, H, W) -> *logits (N, classes) and *logits_aux the same, or SD_NIL without an auxiliary head or
 * in EVAL (its parameters exist all the same).  0, or -1 with the message set. */
int sd_build_network_cifar(struct sd_build *b, const struct sd_network *n, sd_val x, sd_val *logits,
	sd_val *logits_aux);
/* The same for images of 224 x 224.  Its normal cells concatenate the nodes of reduce_concat, as the
 * reference's do. */
int sd_build_network_imagenet(struct sd_build *b, const struct sd_network *n, sd_val x, sd_val *logits,
	sd_val *logits_aux);

/* Parameter counts as the reference counts them: all, and those whose names hold no "auxiliary". */
void sd_build_count(const struct sd_build *b, size_t *all, size_t *without_auxiliary);

/* Initial value of a parameter or state, by name and shape, as PyTorch's defaults: convolution and
 * linear weights uniform in +-1/sqrt(fan_in) (kaiming_uniform with a = sqrt(5)), their biases too;
 * norm weights 1, biases 0, running variance 1, every other state 0; alphas 1e-3 times standard normal.
 * Drawn by ("init", name), alphas by ("alpha", name), from seed (rng.h).  `g` finds a bias's weight.
 * out: row-major, of v's type.  -1 with a message for a parameter that it has no rule for. */
int sd_init_value(const struct sd_graph *g, sd_val v, uint64_t seed, void *out);

#endif
