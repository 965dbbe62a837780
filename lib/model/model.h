/* model.h: builds graphs from architectures: single primitives, mixed edges, the cell supernet, the
 * CIFAR network.  Parameters and buffers carry the names of the PyTorch reference's state_dict
 * ("cells.3._ops.5._ops.4.op.1.weight", "stem.0.weight", "classifier.bias" ...), alphas are
 * "alphas_normal" and "alphas_reduce". */
#ifndef SD_MODEL_MODEL_H
#define SD_MODEL_MODEL_H

#include "arch/arch.h"
#include "graph/graph.h"

enum sd_phase { SD_TRAIN, SD_EVAL }; /* which statistics a norm uses; drop path and auxiliary in TRAIN only */
enum sd_op_set { SD_OPS, SD_DARTS_OPS };

/* How a builder is to build.  A context gathers what it made: parameters in the order of the
 * reference's parameters(), buffers (running statistics), and in TRAIN the tokens that update them. */
struct sd_build {
	struct sd_graph *g;
	enum sd_phase phase;
	enum sd_op_set ops;
	int affine;               /* norms have gamma and beta */
	int no_update;            /* TRAIN without writing running statistics */
	sd_val *param;            /* parameters made, in order; owned, free with sd_build_release */
	int nparam, cap_param;
	sd_val *buffer;           /* running_mean, running_var, num_batches_tracked (i32) */
	int nbuffer, cap_buffer;
	sd_val *update;           /* write tokens of the running statistics (roots of a training plan) */
	int nupdate, cap_update;
	double macs;              /* multiply-adds by the reference's counter (golden README, quirk 23), one sample */
	uint64_t seed;            /* for the keys of draws */
	sd_val drop_prob, step, ids; /* drop path's inputs (scalar f32, scalar i32, (N) i32) or SD_NIL: no drop path */
};
void sd_build_init(struct sd_build *b, struct sd_graph *g, enum sd_phase phase);
void sd_build_release(struct sd_build *b);

/* One primitive, named parameters under `prefix` + "." ("" for none: names start at the layer's own).
 * c_mid: 0 for the primitive's default (32 for choke); -1 for None (c_mid = c_out). */
sd_val sd_build_primitive(struct sd_build *b, const char *prefix, const char *primitive, sd_val x,
	int c_in, int c_out, int stride, int c_mid);

/* Layers of their own, as the reference names them, for tests and networks. */
sd_val sd_build_relu_conv_bn(struct sd_build *b, const char *prefix, sd_val x, int c_out, struct sd_window win);
sd_val sd_build_factorized_reduce(struct sd_build *b, const char *prefix, sd_val x, int c_out);
sd_val sd_build_aux_head_cifar(struct sd_build *b, const char *prefix, sd_val x, int classes); /* (N, classes) */

/* MixedOp: weights (R, K) softmaxed, row `row`.  Parameters "<prefix>._ops.<k>...". */
sd_val sd_build_mixed_op(struct sd_build *b, const char *prefix, sd_val x, int c, int stride,
	const struct sd_primitives *prims, enum sd_weighting weighting, sd_val weights, int row);

/* The cell search network (model_search.Network). */
struct sd_supernet {
	int channels, classes, layers, steps, multiplier; /* multiplier: 0 for steps */
	int stem_multiplier;                              /* 0 for 3 */
	const struct sd_primitives *prims;
	enum sd_op_set ops;
	enum sd_weighting weighting;
};
/* x (N, Cin, H, W) -> logits (N, classes).  weights_* (edges, K) softmaxed. */
sd_val sd_build_supernet(struct sd_build *b, const struct sd_supernet *s, sd_val x, sd_val weights_normal,
	sd_val weights_reduce);
int sd_supernet_edges(int steps); /* 2 + 3 + ... */

/* The CIFAR network (model.NetworkCIFAR). */
struct sd_network {
	int channels, classes, layers;
	int auxiliary;
	int mid_channels;        /* C_mid given to the primitives: 0 default, -1 None */
	int stem_multiplier;     /* 0 for 3 */
	enum sd_op_set ops;
	const struct sd_genotype *genotype;
};
/* logits_aux is SD_NIL without an auxiliary head or in EVAL (its parameters exist all the same). */
int sd_build_network_cifar(struct sd_build *b, const struct sd_network *n, sd_val x, sd_val *logits,
	sd_val *logits_aux);

/* Parameter counts as the reference counts them: all, and those whose names hold no "auxiliary". */
void sd_build_count(const struct sd_build *b, size_t *all, size_t *without_auxiliary);

/* Initial value of a parameter or buffer by name and shape, as PyTorch's defaults: convolution and
 * linear weights uniform in +-1/sqrt(fan_in) (kaiming_uniform with a = sqrt(5)), linear and convolution biases
 * uniform in +-1/sqrt(fan_in) of their layer, norm weights 1, biases 0, running mean 0, running variance 1;
 * alphas 1e-3 times standard normal.  Drawn by ("init", name) from seed (rng.h).  `g` finds a bias's
 * weight.  out: row-major. */
int sd_init_value(const struct sd_graph *g, sd_val v, uint64_t seed, void *out);

#endif
