/* graph.h: the tensor program: a few dozen kinds of op over values of static shape.
 *
 * A graph is built once, by the builders below; gradients are further ops of the same graph
 * (grad.h), and a plan (plan.h) picks out what given roots need.  Nothing here knows an engine:
 * shapes are logical (NCHW), and where a value's numbers lie is the plan's and the engine's affair.
 *
 * Errors are sticky: a builder that fails sets the message, returns SD_NIL and marks the graph;
 * builders given SD_NIL return SD_NIL; so a model builder checks sd_graph_ok() once, at its end.
 *
 * Pure ops are hash-consed: the same op on the same values is one node (two edges that leave a
 * state share one relu). */
#ifndef SD_GRAPH_GRAPH_H
#define SD_GRAPH_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#define SD_MAX_DIMS 4
#define SD_NIL (-1)

typedef int sd_val; /* the index of a value in its graph */

enum sd_dtype { SD_F32, SD_F64, SD_I32 };

struct sd_shape {
	int n;                 /* number of dimensions, 0 for a scalar */
	int d[SD_MAX_DIMS];    /* computed 4-dimensional float32 values are images (N, C, H, W) */
};

/* Where a value comes from.  The last four live in engine memory and are bound to buffers at run time,
 * by slot; they are never constants of a plan. */
enum sd_class {
	SD_TEMP,   /* computed, in the arena */
	SD_INPUT,  /* fed for each run: images, labels, sample ids */
	SD_PARAM,  /* a parameter, under its state_dict name */
	SD_STATE,  /* running statistics, momenta, Adam moments, counters, metric sums */
	SD_SCALAR, /* learning rate, step, drop probability: one number */
};

enum sd_op {
	SD_OP_SOURCE,      /* input, parameter, state or scalar */
	/* images */
	SD_OP_IMPORT,      /* a row-major (N, C, H, W) input as an image */
	SD_OP_FILL,        /* one value everywhere: f[0] */
	SD_OP_RELU, SD_OP_RELU_BWD,
	SD_OP_ADD,         /* sum of n >= 1 values of one shape, left to right */
	SD_OP_CONCAT, SD_OP_SLICE,
	SD_OP_CONV, SD_OP_CONV_BWD_X, SD_OP_CONV_BWD_W, SD_OP_CONV_BWD_B,
	SD_OP_DWCONV, SD_OP_DWCONV_BWD_X, SD_OP_DWCONV_BWD_W,
	SD_OP_FRCONV, SD_OP_FRCONV_BWD_X, SD_OP_FRCONV_BWD_W,
	SD_OP_MAXPOOL, SD_OP_MAXPOOL_BWD,
	SD_OP_AVGPOOL, SD_OP_AVGPOOL_BWD,
	SD_OP_BN_STATS,
	SD_OP_NORM, SD_OP_NORM_BWD_SUMS, SD_OP_NORM_BWD_X,
	SD_OP_MIX, SD_OP_MIX_BWD_SUMS, SD_OP_MIX_BWD_X,
	SD_OP_SCALE_ROWS,  /* y[n,...] = x[n,...] * m[n] */
	SD_OP_SCALE,       /* y = x * w[index]: the unfused form of a mixed edge */
	SD_OP_DOT,         /* <a, b> over all elements: its gradient */
	SD_OP_GAP, SD_OP_GAP_BWD,
	/* rows */
	SD_OP_LINEAR, SD_OP_LINEAR_BWD_X, SD_OP_LINEAR_BWD_W, SD_OP_LINEAR_BWD_B,
	SD_OP_SOFTMAX, SD_OP_SOFTMAX_BWD,
	SD_OP_MIX_FACTORS, SD_OP_MIX_FACTORS_BWD,
	SD_OP_ONEHOT,      /* a scalar at index i[0] of a vector of zeros: the gradient of SCALE's factor */
	SD_OP_XENT, SD_OP_XENT_BWD, SD_OP_RANK, SD_OP_ARGMAX,
	SD_OP_MEAN, SD_OP_MEAN_BWD, SD_OP_WSUM,
	/* draws */
	SD_OP_DROP_MASK,
	/* scalars of a step */
	SD_OP_GRAD_NORM, SD_OP_CLIP_COEF,
	SD_OP_RATIO,       /* a / b */
	SD_OP_FINITE,      /* whether a scalar is */
	SD_OP_AXPY,        /* y + f s x: rows and a scalar s */
	/* writes */
	SD_OP_BN_UPDATE, SD_OP_SGD, SD_OP_SGD_AHEAD, SD_OP_ADAM, SD_OP_PADAM, SD_OP_STORE,
	SD_OP_LOSS_SCALE, SD_OP_METRICS,
	SD_OP_N
};

/* Geometry of a convolution or pool.  Output size: (in + 2 p - d (k - 1) - 1) / s + 1, floored. */
struct sd_window {
	int kh, kw, sh, sw, ph, pw, dh, dw;
};
/* k x k, stride s, padding p, dilation d */
struct sd_window sd_window(int k, int s, int p, int d);

enum sd_mix_kind { SD_MIX_NONE, SD_MIX_RAW, SD_MIX_NORM, SD_MIX_NORM_RELU };
enum sd_weighting { SD_SCALAR_W, SD_MAX_W };

#define SD_MIX_TERMS 24

/* Small attributes of a node; which are used is said at the builder. */
struct sd_attr {
	struct sd_window win;
	float eps;        /* norm, adam; label smoothing of XENT */
	float f[4];       /* factors; momentum, weight decay, betas */
	int i[2];         /* flags and indices */
	int nterm;        /* mixed edge */
	uint8_t kind[SD_MIX_TERMS];      /* mixed edge: enum sd_mix_kind of each term */
	float term_eps[SD_MIX_TERMS];    /* and the eps of its norm */
	uint32_t key[2];  /* a draw's key */
};

struct sd_value {
	int node, out;          /* the node that makes it, as its out-th result */
	enum sd_class cls;
	enum sd_dtype dtype;
	struct sd_shape shape;
	int slot;               /* INPUT..SCALAR: index of the binding, else -1 */
	const char *name;       /* INPUT..SCALAR: its name; owned by the graph */
	const int *seg;         /* images: channels of each segment; concat moves nothing, it lists its
	                           operands' segments; owned by the graph */
	int nseg;
};

struct sd_node {
	enum sd_op op;
	int nin, nout;
	sd_val *in;             /* owned by the graph; an optional operand left out is SD_NIL */
	sd_val out;             /* first result; results are consecutive values */
	sd_val pred;            /* SD_NIL, or a scalar: where it is 0 the op writes nothing and its
	                           results are 0 */
	struct sd_attr a;
};

struct sd_graph {
	struct sd_value *val;
	int nval, cap_val;
	struct sd_node *node;
	int nnode, cap_node;
	int *slot;              /* the value of each slot, and the hash of its name */
	uint32_t *slot_hash;
	int nslot, cap_slot;
	int failed;
	int unfused;            /* sd_mix builds its parts as ops of their own (a check on the fused op) */
	sd_val pred;            /* given to each node built while it is set */
	uint32_t *hash;         /* open addressing over nodes; 0 is empty, else node + 1 */
	int cap_hash;
	void **owned;           /* names and segment lists */
	int nowned, cap_owned;
};

struct sd_graph *sd_graph_new(void);
void sd_graph_free(struct sd_graph *g);
int sd_graph_ok(const struct sd_graph *g); /* 1, or 0 with the message of the first failure set */
const char *sd_op_name(enum sd_op op);
size_t sd_shape_count(const struct sd_shape *s); /* elements */
struct sd_shape sd_shape4(int n, int c, int h, int w);
struct sd_shape sd_shape2(int r, int c);
struct sd_shape sd_shape1(int n);
struct sd_shape sd_shape0(void);
int sd_shape_equal(const struct sd_shape *a, const struct sd_shape *b);
const struct sd_shape *sd_shape_of(const struct sd_graph *g, sd_val v);
int sd_is_image(const struct sd_graph *g, sd_val v);

/* Marks the graph failed with a message (usage errors of a model builder).  Returns SD_NIL. */
sd_val sd_graph_fail(struct sd_graph *g, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- sources: asked for again by name, the same value comes back (shapes must agree) ---- */
sd_val sd_input(struct sd_graph *g, const char *name, enum sd_dtype t, struct sd_shape s);
sd_val sd_param(struct sd_graph *g, const char *name, struct sd_shape s);
sd_val sd_state(struct sd_graph *g, const char *name, enum sd_dtype t, struct sd_shape s);
sd_val sd_scalar(struct sd_graph *g, const char *name, enum sd_dtype t);
sd_val sd_find(const struct sd_graph *g, const char *name); /* SD_NIL if there is none */

/* ---- images (N, C, H, W), float32; an input of that shape is imported where it is used ---- */
sd_val sd_zero(struct sd_graph *g, struct sd_shape s);
sd_val sd_relu(struct sd_graph *g, sd_val x);                       /* 0 > x ? 0 : x */
sd_val sd_add(struct sd_graph *g, int n, const sd_val *x);
sd_val sd_concat(struct sd_graph *g, int n, const sd_val *x);       /* along channels */
sd_val sd_slice(struct sd_graph *g, sd_val x, int first, int count); /* channels [first, first + count) */
/* w (Cout, Cin, kh, kw), bias (Cout) or SD_NIL; no groups. */
sd_val sd_conv(struct sd_graph *g, sd_val x, sd_val w, sd_val bias, struct sd_window win);
/* depthwise: w (C, 1, kh, kw) */
sd_val sd_dwconv(struct sd_graph *g, sd_val x, sd_val w, struct sd_window win);
/* Factorised reduce: out (N, C1 + C2, ceil(H/2), ceil(W/2)).  Channels [0, C1) are the 1x1 product
 * w1 (C1, C, 1, 1) of x at (2i, 2j), channels [C1, C1 + C2) that of w2 (C2, C, 1, 1) at
 * (2i + 1, 2j + 1), x being 0 outside.  The relu before it is the caller's. */
sd_val sd_frconv(struct sd_graph *g, sd_val x, sd_val w1, sd_val w2);
/* First index (row-major in the window) wins a tie; NaN passes on; padding never wins. */
sd_val sd_maxpool(struct sd_graph *g, sd_val x, struct sd_window win);
/* Divides by kh * kw (include_pad) or by the number of taps inside the image. */
sd_val sd_avgpool(struct sd_graph *g, sd_val x, struct sd_window win, int include_pad);
/* mean and biased variance over (N, H, W), each (C); Chan's merge of per-chunk pivots, in double. */
void sd_bn_stats(struct sd_graph *g, sd_val x, sd_val *mean, sd_val *var);
/* y = (x - mean) / sqrt(var + eps) * gamma + beta; gamma and beta (C) or both SD_NIL.
 * batch = 1: mean and var are sd_bn_stats of x and the gradient flows through them;
 * batch = 0: they are constants (running statistics). */
sd_val sd_norm(struct sd_graph *g, sd_val x, sd_val mean, sd_val var, sd_val gamma, sd_val beta,
	float eps, int batch);
/* y[n,...] = x[n,...] * m[n]; m (N) float32.  Drop path with m = mask / keep. */
sd_val sd_scale_rows(struct sd_graph *g, sd_val x, sd_val m);
sd_val sd_gap(struct sd_graph *g, sd_val x); /* mean over (H, W): (N, C) */

/* One term of a mixed edge. */
struct sd_mix_term {
	enum sd_mix_kind kind;
	sd_val x;          /* NONE: SD_NIL */
	sd_val mean, var;  /* NORM, NORM_RELU: batch statistics of x, or running ones */
	float eps;
};
/* A mixed edge: out = sum over k of f[k] * t_k (DARTS section 2.2; sharpDARTS section 3 for max_w).
 * w (R, K) softmaxed weights, the edge's in row `row`; K = nterm.  f_k = w_k (scalar), or
 * 1 - max(w) + w_k (max_w), where the gradient does flow through the maximum, shared equally
 * by ties.  t_k: 0 (NONE), x (RAW), norm(x) without affine, or relu of it.
 * `like` is the shape of the result; batch as in sd_norm. */
sd_val sd_mix(struct sd_graph *g, sd_val w, int row, int nterm, const struct sd_mix_term *t,
	enum sd_weighting weighting, struct sd_shape like, int batch);

/* ---- rows: float32 matrices and vectors, row-major ---- */
sd_val sd_linear(struct sd_graph *g, sd_val x, sd_val w, sd_val b);   /* (N, I), (O, I), (O): (N, O) */
sd_val sd_softmax(struct sd_graph *g, sd_val x);                      /* each row of (R, K) */
/* Cross entropy of each row: logits (N, K), labels (N) int32: (N).  With smoothing s the target is
 * (1 - s) onehot + s / K. */
sd_val sd_xent(struct sd_graph *g, sd_val logits, sd_val labels, float smoothing);
/* How many classes come before the label when logits fall (equal ones by index): (N) int32. */
sd_val sd_rank(struct sd_graph *g, sd_val logits, sd_val labels);
sd_val sd_argmax(struct sd_graph *g, sd_val logits);                  /* (N) int32, first maximum */
sd_val sd_mean(struct sd_graph *g, sd_val x);                         /* of a vector: scalar */
sd_val sd_wsum(struct sd_graph *g, sd_val a, float fa, sd_val b, float fb); /* fa a + fb b, one shape; b may be SD_NIL */

/* ---- draws ---- */
/* Drop path: (N) of 0 or 1 / (1 - p): kept where unit(word(key, step, id[n], 0, 0)) < 1 - p.
 * p scalar f32, step scalar i32, ids (N) int32. */
sd_val sd_drop_mask(struct sd_graph *g, sd_val p, sd_val step, sd_val ids, const uint32_t key[2]);

/* ---- scalars of a step ---- */
sd_val sd_grad_norm(struct sd_graph *g, int n, const sd_val *grads); /* sqrt of all squares' sum */
sd_val sd_clip_coef(struct sd_graph *g, sd_val norm, float max_norm); /* min(1, max / (norm + 1e-6)) */
sd_val sd_ratio(struct sd_graph *g, sd_val a, sd_val b); /* scalars: a / b, as IEEE 754 has it */
sd_val sd_finite(struct sd_graph *g, sd_val a); /* scalar i32: 1 where a is finite, else 0 */
/* y + k x, one fused multiply-add an element, k being the float32 product of f and the scalar s.  Not for
 * images.  y may be SD_NIL: then k x. */
sd_val sd_axpy(struct sd_graph *g, sd_val y, float f, sd_val s, sd_val x);

/* ---- writes: the result is a token (a scalar i32) to be named as a root of a plan; a plan runs a
 *      write after everything in it that reads the old content ---- */
/* rm = (1 - momentum) rm + momentum mean; rv likewise with var * count / (count - 1);
 * nbt (scalar i32) += 1; nbt may be SD_NIL. */
sd_val sd_bn_update(struct sd_graph *g, sd_val rm, sd_val rv, sd_val nbt, sd_val mean, sd_val var,
	int count, float momentum);
/* For each i: d = coef grad + wd p; m = momentum m + d; p = p - lr m.  coef scalar or SD_NIL (1). */
sd_val sd_sgd(struct sd_graph *g, int n, const sd_val *p, const sd_val *m, const sd_val *grad,
	sd_val lr, sd_val coef, float momentum, float wd);
/* Where that step would lead, written elsewhere: for each i: ahead = p - lr (momentum m + coef grad + wd p),
 * rounded as in sd_sgd; p and m stay as they are.  (DARTS, section 2.3: the weights of the one-step
 * unrolled model.)  `ahead` are states, or parameters bound to other buffers than p. */
sd_val sd_sgd_ahead(struct sd_graph *g, int n, const sd_val *ahead, const sd_val *p, const sd_val *m,
	const sd_val *grad, sd_val lr, sd_val coef, float momentum, float wd);
/* For each i: dst = base + k dir as in sd_axpy (s SD_NIL: k = f); dir NULL: dst = base.  dst are parameters
 * or states (float32); base and dir anything but images. */
sd_val sd_store(struct sd_graph *g, int n, const sd_val *dst, const sd_val *base, float f, sd_val s,
	const sd_val *dir);
/* Adam (Kingma and Ba 2015, algorithm 1) with L2 decay added to the gradient; t (scalar i32 state)
 * counts steps and is advanced by the op. */
sd_val sd_adam(struct sd_graph *g, int n, const sd_val *p, const sd_val *m, const sd_val *v,
	const sd_val *grad, sd_val lr, sd_val t, float beta1, float beta2, float eps, float wd);
/* Padam (Chen and others, "Closing the generalization gap of adaptive gradient methods in training deep
 * neural networks", IJCAI 2020, algorithm 1), as its authors' code has it: with d = coef grad + wd p,
 *     m = beta1 m + (1 - beta1) d;  v = beta2 v + (1 - beta2) d d;  u = max(u, v);
 *     p = p - lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(u) + eps)^(2 partial).
 * t as in sd_adam; coef scalar or SD_NIL (1). */
sd_val sd_padam(struct sd_graph *g, int n, const sd_val *p, const sd_val *m, const sd_val *v,
	const sd_val *u, const sd_val *grad, sd_val lr, sd_val t, sd_val coef, float beta1, float beta2,
	float eps, float wd, float partial);
/* Dynamic loss scaling (Micikevicius and others, "Mixed precision training", ICLR 2018, section 3.2): where ok
 * (scalar i32) is 0 the scale (scalar f32 state) is halved and good (scalar i32 state) begins at 0 again; else
 * good is counted up, and after `window` good steps the scale is doubled.  It stays within 1 and 2^24. */
sd_val sd_loss_scale(struct sd_graph *g, sd_val scale, sd_val good, sd_val ok, int window);
/* sums (5) float64 state: += {sum of loss, rank < 1, rank < 5, N, losses not finite}, row by row. */
sd_val sd_metrics(struct sd_graph *g, sd_val sums, sd_val loss, sd_val rank);

/* For grad.c and the plan: appends a node (hash-consed if pure).  `shapes` has nout entries.
 * Returns the first result. */
sd_val sd_node_add(struct sd_graph *g, enum sd_op op, int nin, const sd_val *in, int nout,
	const struct sd_shape *shapes, enum sd_dtype t, const struct sd_attr *a);
/* An image v is laid out with the segments of `like` (gradients like what they are gradients of). */
sd_val sd_like(struct sd_graph *g, sd_val v, sd_val like);
/* v with the segments of `like`: v itself if it has them, else a copy. */
sd_val sd_relaid(struct sd_graph *g, sd_val v, sd_val like);
sd_val sd_fill(struct sd_graph *g, struct sd_shape s, float value);
/* Hands a malloc'ed p (NULL fails the graph) to the graph, which frees it.  Returns p or NULL. */
void *sd_graph_own(struct sd_graph *g, void *p);
int sd_op_is_write(enum sd_op op);

#endif
