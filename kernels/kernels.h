/* kernels.h: the CUDA engine's own kernels, one family a file, as C calls their launchers.
 *
 * Images lie as (N, H, W, C) with `ld` elements from one pixel to the next: what is written into a part
 * of a concat has the ld of the whole.  There are no padding channels.  Elements are float32, bfloat16 or
 * float16; arithmetic is float32 always, a store rounds to nearest even.  Parameters, statistics,
 * rows (matrices and vectors) and everything that sums are float32.
 *
 * The rules all kernels keep (DESIGN.md section 4):
 * - the grid, the chunks of a reduction and their order are functions of the shapes alone, never of the
 *   device or of timing; no float atomics; chunk partials go to scratch and are summed in order;
 * - a value of the forward pass depends on its own sample only and not on the batch size;
 * - relu is 0 > x ? 0 : x, its mask x > 0;
 * - variance: each chunk about a pivot, chunks merged by Chan's formula in double, clamped at 0.
 *
 * A launcher puts its work on r->stream and returns nothing: a bad launch shows in cudaGetLastError, which
 * the engine asks after every step.  With r->dry it launches nothing and only counts. */
#ifndef SD_KERNELS_KERNELS_H
#define SD_KERNELS_KERNELS_H

#include <cuda_runtime.h>
#include <stddef.h>
#include <stdint.h>

#include "graph/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

#include "data/augment.h"

enum sd_cu_type { SD_CU_F32, SD_CU_BF16, SD_CU_F16 };

struct sd_cu_img {
	void *p;            /* element (0, 0, 0, 0); aligned to its element only */
	int n, c, h, w;
	int ld;             /* elements between pixels, >= c */
	enum sd_cu_type type;
};

/* A norm by channel: (x - mean) / sqrt(var + eps) * gamma + beta, computed as a x + b with
 * a = gamma / sqrt(var + eps) and b = beta - mean a.  mean NULL: no norm; gamma and beta may be NULL. */
struct sd_cu_norm {
	const float *mean, *var, *gamma, *beta; /* (C) */
	float eps;
};

/* An image operand as it is loaded: x -> relu?(norm?(x)). */
struct sd_cu_src {
	struct sd_cu_img x;
	struct sd_cu_norm norm;
	int relu;
};

/* How a gradient at the result of a norm is taken back to the norm's operand as it is loaded (on; 0: it is not):
 * f scale (g - sg / M - xhat sgx / M), scale = gamma / sqrt(var + eps), M = N H W, the norm being the operand's; masked
 * (the operand's relu) g counts only where the norm of x is > 0. */
struct sd_cu_back {
	const void *x;           /* the norm's operand, of g's shape and type; NULL: neither masked nor with sums */
	const float *f;          /* on the device; NULL: 1.  Not on, it is (N), a factor of each sample of what is loaded, and
	                            understood by sd_cu_add and gradients of pools alone */
	const float *sg, *sgx;   /* (C) as of sd_cu_norm_bwd_sums; NULL: f scale g */
	int ld;                  /* of x */
	int on;
};

/* An image operand that may be such a gradient. */
struct sd_cu_grad {
	struct sd_cu_src g;
	struct sd_cu_back back;
};

/* Sums of a gradient as sd_cu_norm_bwd_sums has them, which another kernel takes on its way; masked by the norm itself
 * where `masked`. */
struct sd_cu_norm_sums {
	struct sd_cu_img x;
	struct sd_cu_norm norm; /* gamma and beta are the mask's */
	int masked;
	float *sg, *sgx;
};

/* Where an image op writes; with acc the value is added to what is there. */
struct sd_cu_dst {
	struct sd_cu_img y;
	int acc;
};

/* Decides on the device whether a write is done: NULL always, else where the number is not 0. */
struct sd_cu_on {
	const void *p;  /* float, or int32 with is_int */
	int is_int;
};

struct sd_cu_group; /* group.h */

/* Blocks of a launch that may sum what others have left for them (tile.h). */
enum { SD_CU_COUNTERS = 1 << 16 };

/* Where launchers put their work. */
struct sd_cu_run {
	cudaStream_t stream;
	char *scratch;         /* for the step under way */
	size_t used, peak;     /* bytes taken by the step, and the most any has */
	int dry;               /* count launches and scratch, launch nothing */
	long launches;
	unsigned *counters;    /* SD_CU_COUNTERS zeros on the device, and zeros again after every launch */
	struct sd_cu_group *group; /* NULL: what is launched begins at once; else see sd_cu_group_begin */
};

/* ---- group.cu: launches of independent steps as one ---- */
/* NULL when memory runs out. */
struct sd_cu_group *sd_cu_group_new(void);
void sd_cu_group_free(struct sd_cu_group *g);
/* Between begin and end, steps that do not depend on one another are launched by r, each after sd_cu_group_step:
 * kernels of one kind that are at the same place of their steps begin as one launch, at the latest at the end.
 * Scratch must not be used again before sd_cu_group_flush. */
void sd_cu_group_begin(struct sd_cu_run *r, struct sd_cu_group *g);
void sd_cu_group_step(struct sd_cu_run *r);
/* The step's next launch is as though it had one before it. */
void sd_cu_group_skip(struct sd_cu_run *r);
/* The step's next launch does not depend on its last, and may begin with it. */
void sd_cu_group_beside(struct sd_cu_run *r);
/* Begins what waits.  What goes to the stream by another way than SD_GROUP comes after it. */
void sd_cu_group_flush(struct sd_cu_run *r);
void sd_cu_group_end(struct sd_cu_run *r);

/* bytes of scratch, 256-byte aligned, until the step ends (the engine sets used to 0 between steps); NULL in a dry
 * run, before there is any. */
static inline void *sd_cu_take(struct sd_cu_run *r, size_t bytes)
{
	char *p = r->scratch ? r->scratch + r->used : NULL;

	r->used += (bytes + 255) / 256 * 256;
	if (r->used > r->peak)
		r->peak = r->used;
	return p;
}

/* ---- dwconv.cu, dwgrad.cu: depthwise convolution; w, gw (C, 1, kh, kw) float32 ---- */
void sd_cu_dwconv(struct sd_cu_run *r, const struct sd_cu_src *x, const float *w, struct sd_window win,
	const struct sd_cu_dst *y);
/* With sums, which may be NULL, also those of gx as a gradient: 1 if they are made, 0 if not. */
int sd_cu_dwconv_bwd_x(struct sd_cu_run *r, const struct sd_cu_img *gy, const float *w, struct sd_window win,
	const struct sd_cu_dst *gx, const struct sd_cu_norm_sums *sums);
void sd_cu_dwconv_bwd_w(struct sd_cu_run *r, const struct sd_cu_src *x, const struct sd_cu_img *gy,
	struct sd_window win, float *gw);

/* ---- pointwise.cu: products with the channels of an image; w, gw (O, I) float32 ---- */
/* Up to so many channels on either side; for more there is a library. */
enum { SD_CU_POINTWISE = 256, SD_CU_POINTWISE_FP32 = 1024 };
/* odd: -1, or 0 or 1 for the pixels (2 i + odd, 2 j + odd) of x, as many as y (gy) has, 0 outside.  With
 * mean set also the result's statistics as sd_cu_bn_stats has them: 1 if they are made, 0 if not. */
int sd_cu_pointwise(struct sd_cu_run *r, const struct sd_cu_src *x, int odd, const float *w,
	const struct sd_cu_dst *y, float *mean, float *var);
void sd_cu_pointwise_bwd_x(struct sd_cu_run *r, const struct sd_cu_grad *gy, const float *w,
	const struct sd_cu_dst *gx);
void sd_cu_pointwise_bwd_w(struct sd_cu_run *r, const struct sd_cu_src *x, int odd, const struct sd_cu_grad *gy,
	float *gw);

/* ---- half.cu: depthwise convolution, then pointwise, as sd_cu_dwconv and sd_cu_pointwise have them ---- */
/* dw (C, 1, kh, kw), pw (O, C); mid: where the first one's result goes, of no acc; NULL: nowhere.  mean, var and what is
 * returned as of sd_cu_pointwise. */
int sd_cu_half(struct sd_cu_run *r, const struct sd_cu_src *x, const float *dw, struct sd_window win,
	const struct sd_cu_img *mid, const float *pw, const struct sd_cu_dst *y, float *mean, float *var);

/* ---- half_bwd.cu: back through a half: sd_cu_pointwise_bwd_x, then sd_cu_dwconv_bwd_x ---- */
/* mid: where the gradient between the two goes; p NULL: nowhere.  sums and what is returned as of
 * sd_cu_dwconv_bwd_x. */
int sd_cu_half_bwd(struct sd_cu_run *r, const struct sd_cu_grad *gy, const float *pw, const struct sd_cu_img *mid,
	const float *dw, struct sd_window win, const struct sd_cu_dst *gx, const struct sd_cu_norm_sums *sums);

/* ---- pool.cu ---- */
/* mean, var (NULL: not wanted) and what is returned as of sd_cu_pointwise. */
/* First index (row-major in the window) wins a tie; NaN passes on; padding never wins. */
int sd_cu_maxpool(struct sd_cu_run *r, const struct sd_cu_src *x, struct sd_window win, const struct sd_cu_dst *y,
	float *mean, float *var);
/* The winner is found again from x; each input pixel gathers, nothing scatters.  The gradient is the sum of gy, as
 * sd_cu_add has it of operands without norms or relus of their own; 1 <= n <= SD_CU_POOL_PARTS. */
enum { SD_CU_POOL_PARTS = 4 };
void sd_cu_maxpool_bwd(struct sd_cu_run *r, const struct sd_cu_src *x, int n, const struct sd_cu_grad *gy,
	struct sd_window win, const struct sd_cu_dst *gx);
/* Divides by kh * kw (include_pad) or by the number of taps inside the image. */
int sd_cu_avgpool(struct sd_cu_run *r, const struct sd_cu_src *x, struct sd_window win, int include_pad,
	const struct sd_cu_dst *y, float *mean, float *var);
void sd_cu_avgpool_bwd(struct sd_cu_run *r, int n, const struct sd_cu_grad *gy, struct sd_window win, int include_pad,
	const struct sd_cu_dst *gx);
void sd_cu_gap(struct sd_cu_run *r, const struct sd_cu_src *x, float *y);             /* (N, C) row-major */
void sd_cu_gap_bwd(struct sd_cu_run *r, const float *gy, const struct sd_cu_dst *gx); /* gy (N, C) */

/* ---- norm.cu ---- */
/* Mean and biased variance over (N, H, W) of x as it is loaded, each (C). */
void sd_cu_bn_stats(struct sd_cu_run *r, const struct sd_cu_src *x, float *mean, float *var);
/* y = load(x): relu, norm, norm and relu, or copy (types may differ). */
void sd_cu_load(struct sd_cu_run *r, const struct sd_cu_src *x, const struct sd_cu_dst *y);
/* gx = load(x) > 0 ? gy : 0; x is given without its relu. */
void sd_cu_relu_bwd(struct sd_cu_run *r, const struct sd_cu_src *x, const struct sd_cu_img *gy,
	const struct sd_cu_dst *gx);
/* sg = sum of g, sgx = sum of g * xhat over (N, H, W), each (C); xhat = (x - mean) / sqrt(var + eps) of `norm`
 * (its gamma and beta unused); with mask->mean set g counts only where mask's norm of x is > 0. */
void sd_cu_norm_bwd_sums(struct sd_cu_run *r, const struct sd_cu_img *g, const struct sd_cu_img *x,
	const struct sd_cu_norm *norm, const struct sd_cu_norm *mask, float *sg, float *sgx);
/* y = m g as of sd_cu_scale_rows, and the sums of y as a gradient. */
void sd_cu_scale_rows_sums(struct sd_cu_run *r, const struct sd_cu_img *g, const float *m, const struct sd_cu_img *y,
	const struct sd_cu_norm_sums *sums);
/* y = the sum as sd_cu_add has it, and the sums of y.  1 if it is done; 0, and nothing, where operands have norms or
 * relus or are more than SD_CU_SUM_PARTS. */
enum { SD_CU_SUM_PARTS = 24 };
int sd_cu_add_norm_sums(struct sd_cu_run *r, int n, const struct sd_cu_grad *x, int masked,
	const struct sd_cu_src *mask, const struct sd_cu_img *y, const struct sd_cu_norm_sums *sums);
/* gx = gamma / sqrt(var + eps) * (g - sg / M - xhat * sgx / M), M = N H W, g masked as above;
 * batch = 0: gamma / sqrt(var + eps) * g (sg and sgx unused). */
void sd_cu_norm_bwd_x(struct sd_cu_run *r, const struct sd_cu_img *g, const struct sd_cu_img *x,
	const struct sd_cu_norm *norm, const struct sd_cu_norm *mask, const float *sg, const float *sgx,
	int batch, const struct sd_cu_dst *gx);
/* gx = g as it is loaded. */
void sd_cu_grad_load(struct sd_cu_run *r, const struct sd_cu_grad *g, const struct sd_cu_dst *gx);
/* rm = (1 - m) rm + m mean; rv = (1 - m) rv + m var count / (count - 1); nbt (may be NULL) += 1. */
void sd_cu_bn_update(struct sd_cu_run *r, struct sd_cu_on on, int c, float *rm, float *rv, int32_t *nbt,
	const float *mean, const float *var, int count, float m);

/* ---- mix.cu: the mixed edge (graph.h, sd_mix) ---- */
struct sd_cu_mix_term {
	int kind;               /* enum sd_mix_kind */
	struct sd_cu_img x;     /* unused for NONE */
	struct sd_cu_norm norm; /* NORM, NORM_RELU; no gamma, no beta */
};
struct sd_cu_mix {
	int nterm;
	struct sd_cu_mix_term t[SD_MIX_TERMS];
};
/* y = sum over k of f[k] t_k in order of k; f (nterm) on the device. */
void sd_cu_mix(struct sd_cu_run *r, const struct sd_cu_mix *m, const float *f, const struct sd_cu_dst *y);
/* One pass over g and all terms: s[k] = <g, t_k> (0 for NONE); sg, sgx (nterm, C): for norm terms the channel
 * sums of (masked) g and of (masked) g * xhat_k, for others 0. */
void sd_cu_mix_bwd_sums(struct sd_cu_run *r, const struct sd_cu_mix *m, const struct sd_cu_img *g, float *s,
	float *sg, float *sgx);
/* y = the sum as sd_cu_add has it, and for each of `edges` mixed edges, 1 .. SD_CU_SUM_EDGES, of as many as
 * SD_CU_SUM_TERMS terms, the sums of y.  1 if it is done; 0, and nothing, as of sd_cu_add_norm_sums. */
enum { SD_CU_SUM_EDGES = 4, SD_CU_SUM_TERMS = 8 };
struct sd_cu_mix_sums {
	struct sd_cu_mix m;
	float *s, *sg, *sgx;
};
int sd_cu_add_mix_sums(struct sd_cu_run *r, int n, const struct sd_cu_grad *x, int masked,
	const struct sd_cu_src *mask, const struct sd_cu_img *y, int edges, const struct sd_cu_mix_sums *sums);
/* Gradient of one term (k-th of f, sg, sgx): f[k] * (norm backward as in sd_cu_norm_bwd_x, masked by its own
 * relu for NORM_RELU); RAW: f[k] * g. */
void sd_cu_mix_bwd_x(struct sd_cu_run *r, const struct sd_cu_mix_term *t, int k, const float *f,
	const struct sd_cu_img *g, const float *sg, const float *sgx, int batch, const struct sd_cu_dst *gx);

/* ---- image.cu ---- */
void sd_cu_fill(struct sd_cu_run *r, float value, const struct sd_cu_img *y);
/* y = x_0 + x_1 + ... left to right, each as loaded; 1 <= n <= SD_CU_ADD.  The sum of the first `masked`
 * is 0 where the mask, as loaded, is not > 0; the mask is not read where there are none. */
enum { SD_CU_ADD = 32 };
void sd_cu_add(struct sd_cu_run *r, int n, const struct sd_cu_grad *x, int masked, const struct sd_cu_src *mask,
	const struct sd_cu_dst *y);
void sd_cu_scale_rows(struct sd_cu_run *r, const struct sd_cu_src *x, const float *m, const struct sd_cu_dst *y);
void sd_cu_scale(struct sd_cu_run *r, const struct sd_cu_src *x, const float *f, const struct sd_cu_dst *y);
void sd_cu_dot(struct sd_cu_run *r, const struct sd_cu_src *a, const struct sd_cu_img *b, float *out);
/* Row-major (N, C, H, W) float32 to an image and back (x as it is loaded). */
void sd_cu_import(struct sd_cu_run *r, const float *nchw, const struct sd_cu_dst *y);
void sd_cu_export(struct sd_cu_run *r, const struct sd_cu_src *x, float *nchw);
/* y = x + bias[c] in place; bias (C) */
void sd_cu_add_bias(struct sd_cu_run *r, const float *bias, const struct sd_cu_img *y);
/* gb[c] = sum over (N, H, W) of g */
void sd_cu_channel_sum(struct sd_cu_run *r, const struct sd_cu_img *g, float *gb);
/* y (N, ceil(H/2), ceil(W/2), C) = load(x) at (2i + odd, 2j + odd), 0 outside x: what a factorised reduce
 * multiplies. */
void sd_cu_take_odd(struct sd_cu_run *r, const struct sd_cu_src *x, int odd, const struct sd_cu_img *y);
/* Its transpose: gx at (2i, 2j) is g0[i, j], at (2i + 1, 2j + 1) g1[i, j], elsewhere 0. */
void sd_cu_put_odd(struct sd_cu_run *r, const struct sd_cu_img *g0, const struct sd_cu_img *g1,
	const struct sd_cu_dst *gx);
/* out[0] = 1 if any element of x is not finite; else left alone. */
void sd_cu_not_finite_image(struct sd_cu_run *r, const struct sd_cu_img *x, int32_t *out);
/* The results of an op that a predicate governs: y = on ? x : 0 (acc: y += on ? x : 0). */
void sd_cu_select_image(struct sd_cu_run *r, struct sd_cu_on on, const struct sd_cu_img *x,
	const struct sd_cu_dst *y);

/* ---- rows.cu: float32, row-major ---- */
/* As their namesakes for images; a choice is made in place. */
void sd_cu_not_finite(struct sd_cu_run *r, const float *x, size_t count, int32_t *out);
void sd_cu_select(struct sd_cu_run *r, struct sd_cu_on on, float *y, size_t count);
/* y[i] = x[i] in another type; packed */
void sd_cu_cast(struct sd_cu_run *r, const float *x, size_t count, enum sd_cu_type type, void *y);
void sd_cu_fill_rows(struct sd_cu_run *r, float value, float *y, size_t count);
void sd_cu_bias_rows(struct sd_cu_run *r, const float *b, int n, int c, float *y); /* y[i][j] = b[j], or 0 for NULL */
void sd_cu_column_sum(struct sd_cu_run *r, const float *g, int n, int c, float *y); /* y[j] = sum over i of g[i][j] */
void sd_cu_softmax(struct sd_cu_run *r, const float *x, int n, int k, float *y);
void sd_cu_softmax_bwd(struct sd_cu_run *r, const float *y, const float *gy, int n, int k, float *gx);
/* f (k) of a mixed edge from row `row` of w (rows, k); and back, gw (rows, k) being 0 in the other rows. */
void sd_cu_mix_factors(struct sd_cu_run *r, const float *w, int row, int k, int weighting, float *f);
void sd_cu_mix_factors_bwd(struct sd_cu_run *r, const float *w, const float *gf, int rows, int row, int k,
	int weighting, float *gw);
void sd_cu_onehot(struct sd_cu_run *r, const float *x, int at, float *y, size_t count);
void sd_cu_xent(struct sd_cu_run *r, const float *logits, const int32_t *label, int n, int k, float smoothing,
	float *loss);
void sd_cu_xent_bwd(struct sd_cu_run *r, const float *logits, const int32_t *label, const float *gloss, int n,
	int k, float smoothing, float *gx);
void sd_cu_rank(struct sd_cu_run *r, const float *logits, const int32_t *label, int n, int k, int32_t *out);
void sd_cu_argmax(struct sd_cu_run *r, const float *logits, int n, int k, int32_t *out);
void sd_cu_mean(struct sd_cu_run *r, const float *x, int n, float *out);
void sd_cu_mean_bwd(struct sd_cu_run *r, const float *g, int n, float *gx); /* gx[i] = g[0] / n */
void sd_cu_wsum(struct sd_cu_run *r, const float *a, float fa, const float *b, float fb, size_t count, float *out);
/* y = x_0 + x_1 + ... (acc: y + x_0 + ...); 1 <= n <= SD_CU_ADD */
void sd_cu_add_rows(struct sd_cu_run *r, int n, const float *const *x, size_t count, int acc, float *y);
/* y[n] = kept ? 1 / (1 - p) : 0, as sd_drop_mask (graph.h) says; p, step on the device */
void sd_cu_drop_mask(struct sd_cu_run *r, const uint32_t key[2], const float *p, const int32_t *step,
	const int32_t *ids, int n, float *y);
void sd_cu_finite(struct sd_cu_run *r, const float *a, int32_t *out); /* out = a is finite */
void sd_cu_loss_scale(struct sd_cu_run *r, struct sd_cu_on on, float *scale, int32_t *good, const int32_t *ok,
	int window); /* as sd_loss_scale (graph.h) has it */
void sd_cu_ratio(struct sd_cu_run *r, const float *a, const float *b, float *out); /* out = a / b */
/* out = y + (f s) x, one fused multiply-add; s on the device; y NULL: 0 */
void sd_cu_axpy(struct sd_cu_run *r, const float *y, float f, const float *s, const float *x, size_t count,
	float *out);
void sd_cu_clip_coef(struct sd_cu_run *r, const float *norm, float max_norm, float *out);
/* sums (5) += {sum of loss, rank < 1, rank < 5, n, losses not finite}, row by row in order, in double */
void sd_cu_metrics(struct sd_cu_run *r, struct sd_cu_on on, double *sums, const float *loss, const int32_t *rank,
	int n);

/* ---- optim.cu: all parameters in one launch ---- */
/* One tensor; the tables below are in device memory, made once when a step is prepared. */
struct sd_cu_tensor {
	float *p, *m, *v;    /* parameter (or destination), momentum or first moment, second moment */
	float *u;            /* largest second moment (Padam), or where the parameter would go (SGD_AHEAD) */
	const float *g;      /* gradient, or direction; NULL where a store has none */
	const float *base;   /* of a store */
	long long count;
};
/* Work for one block: elements [first, first + SD_CU_CHUNK) of tensor t. */
enum { SD_CU_CHUNK = 4096 };
struct sd_cu_chunk {
	int t;
	long long first;
};
struct sd_cu_tensors {
	const struct sd_cu_tensor *tensor; /* device */
	const struct sd_cu_chunk *chunk;   /* device, (nchunk), tensors in order and chunks in order within them */
	int ntensor, nchunk;
};
/* out = sqrt of the sum of all squares of g; chunk sums in double, added in a fixed order. */
void sd_cu_grad_norm(struct sd_cu_run *r, const struct sd_cu_tensors *t, float *out);
/* d = coef g + wd p; m = momentum m + d; p -= lr m.  lr, coef on the device, coef may be NULL (1). */
void sd_cu_sgd(struct sd_cu_run *r, struct sd_cu_on on, const struct sd_cu_tensors *t, const float *lr,
	const float *coef, float momentum, float wd);
/* u = p - lr (momentum m + coef g + wd p), rounded as above; p and m stay. */
void sd_cu_sgd_ahead(struct sd_cu_run *r, struct sd_cu_on on, const struct sd_cu_tensors *t, const float *lr,
	const float *coef, float momentum, float wd);
/* p = base + (f s) g, one fused multiply-add; s on the device, NULL: 1; g NULL: p = base. */
void sd_cu_store(struct sd_cu_run *r, struct sd_cu_on on, const struct sd_cu_tensors *t, float f, const float *s);
/* step (on the device) is counted up first; bias corrections in double. */
void sd_cu_adam(struct sd_cu_run *r, struct sd_cu_on on, const struct sd_cu_tensors *t, const float *lr,
	int32_t *step, float beta1, float beta2, float eps, float wd);
/* As sd_padam (graph.h) has it; coef may be NULL. */
void sd_cu_padam(struct sd_cu_run *r, struct sd_cu_on on, const struct sd_cu_tensors *t, const float *lr,
	int32_t *step, const float *coef, float beta1, float beta2, float eps, float wd, float partial);

/* ---- augment.cu: batches from a data set in device memory ---- */
/* One batch as lib/data/loader.c makes it, bit for bit: which images, their labels and ids, and their pixels
 * augmented and normalised (augment.h).  All pointers are to device memory. */
struct sd_cu_batch {
	/* the data set */
	const uint8_t *images;   /* (M, c, h, w) */
	const int32_t *labels;   /* (M) */
	const float *table;      /* (c, 256): struct sd_augment_table */
	int c, h, w;
	/* which images: the n of `indices` (NULL: 0 .. n - 1), places in them given by `order` */
	const uint32_t *indices; /* (n) */
	const uint32_t *order;   /* (n), a permutation; NULL: as they are.  Unused in a draw */
	uint32_t n;
	int draw;                /* 1: the first `batch` of a new shuffle for each step (SD_ORDER_DRAW), batch <= n */
	uint32_t batch, rows;    /* images from one batch to the next, and in this one: fewer in a short last one */
	struct sd_rng_key shuffle_key, augment_key; /* loader.h; shuffle_key for a draw only */
	struct sd_augment policy;
	int32_t *next;           /* which batch of the epoch, or which global step of draws; counted up.  Behind the
	                          * last image a batch goes on with the first */
	const int32_t *epoch;    /* what augmentation counts by; unused in a draw, which counts by step */
	/* the batch */
	float *out;              /* (rows, c, h, w) row-major */
	int32_t *label, *id;     /* (rows) */
};
void sd_cu_batch(struct sd_cu_run *r, const struct sd_cu_batch *b);

#ifdef __cplusplus
}
#endif

#endif
