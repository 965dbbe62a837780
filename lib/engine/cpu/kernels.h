/* kernels.h: the CPU engine's kernels: one table of functions a code path (AVX-512, AVX2, generic).
 *
 * Every k_*.c file is compiled once a path and fills its part of the table; the paths differ in how
 * a block of 16 lanes is held, never in which operations are done in which order, so they give equal
 * bits.  The rules all kernels keep (DESIGN.md section 4):
 * - explicit fused multiply-add through simd.h, nothing contracted, no rcp or rsqrt, no libm;
 * - work is cut into tasks by shape alone; a reduction sums chunks, each in order, and then the chunks in
 *   order; the number of interleaved accumulators belongs to the kernel's definition; lanes mix only
 *   in an ordered sum; a value of the forward pass depends on its own sample only and never on batch size;
 * - padding lanes are read as whatever they hold but written as 0 (loads of a norm give 0 there
 *   because a and b are 0 in those lanes; weights packed for a kernel are 0 there);
 * - relu is 0 > x ? 0 : x, its mask x > 0.
 *
 * Images: blocks of 16 channels, [block][n][h][w][16].  A tensor's channels are segments (concat moves
 * nothing): blk[] says for each block which logical channels its lanes are. */
#ifndef SD_ENGINE_CPU_KERNELS_H
#define SD_ENGINE_CPU_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "base/par.h"
#include "graph/graph.h"

struct sd_blk {
	int ch; /* first logical channel */
	int n;  /* channels in use, 1..16; they are lanes 0..n-1 */
};

struct sd_img {
	float *p;               /* 64-byte aligned */
	int n, c, h, w;         /* logical shape */
	int cb;                 /* blocks */
	const struct sd_blk *blk;
};

/* An image operand as it is loaded: x -> relu?(a x + b?), a and b per lane (cb * 16 floats, 0 in
 * padding lanes), NULL for no norm; computed as fma(a, x, b). */
struct sd_src {
	struct sd_img x;
	const float *a, *b;
	int relu;
};

/* Result of an image op: with acc the value is added to what is there: y = y + v. */
struct sd_dst {
	struct sd_img y;
	int acc;
};

#define SD_MIX_MAX SD_MIX_TERMS
struct sd_mix_arg {
	int nterm;
	struct {
		enum sd_mix_kind kind;
		struct sd_img x;
		const float *a, *b;      /* NORM, NORM_RELU: norm(x) = fma(a, x, b), cb * 16 */
		const float *mean, *istd; /* the norm's statistics by lane, cb * 16, 0 in padding lanes */
	} t[SD_MIX_MAX];
};

/* Half a separable convolution: y = pointwise(depthwise(load(x))), and the statistics of y. */
struct sd_half {
	struct sd_src x;
	const float *dw;       /* (C, 1, kh, kw) */
	struct sd_window win;
	const float *pw;       /* (Cout, C) */
	struct sd_dst y;
	float *mean, *var;     /* (Cout) logical, as of bn_stats; NULL for none */
};

/* A norm by lane: cb * 16 floats each, 0 in padding lanes. */
struct sd_norm_arg {
	struct sd_img x;            /* the norm's operand; x.p NULL where there is no norm */
	const float *mean, *istd;
	const float *ma, *mb;       /* where the gradient counts: fma(ma, x, mb) > 0; NULL: everywhere */
	const float *scale;         /* gamma istd */
};

/* Its backward pass.  gx, gpw and gdw are what is wanted. */
struct sd_half_bwd {
	struct sd_img g;            /* gradient of y, or with norm.x.p of a norm of y, which is gone through first: */
	struct sd_norm_arg norm;    /* f * norm_bwd_x(g) with sg, sgx, batch as there; x is y */
	float f;
	const float *sg, *sgx;
	int batch;
	struct sd_src x;            /* for weight gradients; only its shape otherwise, and that only without gx */
	const float *dw, *pw;
	struct sd_window win;
	struct sd_dst gx;           /* gradient of load(x); gx.y.p NULL for none */
	float *gpw, *gdw;           /* of the weights; NULL for none */
	struct sd_norm_arg sums;    /* sums.x.p: ssg, ssgx (C) = norm_bwd_sums(gx) of the norm that x is loaded by */
	float *ssg, *ssgx;
};

struct sd_kernels {
	const char *name; /* "avx512", "avx2", "generic" */

	/* ---- k_conv.c, k_conv_w.c: dense convolutions; weights row-major (Cout, Cin, kh, kw) ---- */
	void (*conv)(struct sd_par *, const struct sd_src *x, const float *w, const float *bias,
		struct sd_window win, const struct sd_dst *y);
	void (*conv_bwd_x)(struct sd_par *, const struct sd_img *gy, const float *w, struct sd_window win,
		const struct sd_dst *gx);
	void (*conv_bwd_w)(struct sd_par *, const struct sd_src *x, const struct sd_img *gy,
		struct sd_window win, float *gw);
	void (*frconv)(struct sd_par *, const struct sd_src *x, const float *w1, int c1, const float *w2, int c2,
		const struct sd_dst *y);
	void (*frconv_bwd_x)(struct sd_par *, const struct sd_img *gy, const float *w1, int c1, const float *w2,
		int c2, const struct sd_dst *gx);
	/* gradient of w1 (which = 0) or w2 (which = 1), cout rows */
	void (*frconv_bwd_w)(struct sd_par *, const struct sd_src *x, const struct sd_img *gy, int c1,
		int which, float *gw);

	/* ---- k_dwconv.c: depthwise; weights (C, 1, kh, kw) ---- */
	void (*dwconv)(struct sd_par *, const struct sd_src *x, const float *w, struct sd_window win,
		const struct sd_dst *y);
	/* gx and gw, either may be NULL: both in one pass over gy give the same bits as one at a time */
	void (*dwconv_bwd)(struct sd_par *, const struct sd_src *x, const struct sd_img *gy, const float *w,
		struct sd_window win, const struct sd_dst *gx, float *gw);

	/* ---- k_half.c: depthwise, pointwise and the norms' sums in one pass ---- */
	void (*half)(struct sd_par *, const struct sd_half *);
	void (*half_bwd)(struct sd_par *, const struct sd_half_bwd *);

	/* ---- k_pool.c ---- */
	void (*maxpool)(struct sd_par *, const struct sd_src *x, struct sd_window win, const struct sd_dst *y);
	/* the winner is found again from x; gather, no scatter */
	void (*maxpool_bwd)(struct sd_par *, const struct sd_src *x, const struct sd_img *gy,
		struct sd_window win, const struct sd_dst *gx);
	void (*avgpool)(struct sd_par *, const struct sd_src *x, struct sd_window win, int include_pad,
		const struct sd_dst *y);
	void (*avgpool_bwd)(struct sd_par *, const struct sd_img *gy, struct sd_window win, int include_pad,
		const struct sd_dst *gx);
	void (*gap)(struct sd_par *, const struct sd_src *x, float *y);          /* (N, C) row-major */
	void (*gap_bwd)(struct sd_par *, const float *gy, const struct sd_dst *gx);

	/* ---- k_norm.c ---- */
	void (*bn_stats)(struct sd_par *, const struct sd_src *x, float *mean, float *var); /* (C) logical */
	/* y = load(x): relu, norm, norm and relu, copy */
	void (*load)(struct sd_par *, const struct sd_src *x, const struct sd_dst *y);
	/* gx = (load(x) > 0) ? gy : 0, x without its relu */
	void (*relu_bwd)(struct sd_par *, const struct sd_src *x, const struct sd_img *gy, const struct sd_dst *gx);
	/* sg = sum of g, sgx = sum of g * xhat over (N, H, W), each (C); xhat = (x - mean) * istd (mean and istd by lane);
	 * with a mask (ma, mb by lane) g counts only where fma(ma, x, mb) > 0 */
	void (*norm_bwd_sums)(struct sd_par *, const struct sd_img *g, const struct sd_img *x, const float *mean,
		const float *istd, const float *ma, const float *mb, float *sg, float *sgx);
	/* gx = scale * (g - sg / M - xhat * sgx / M), M = N H W, scale by lane (= gamma istd), g masked as above;
	 * batch = 0: gx = scale * g */
	void (*norm_bwd_x)(struct sd_par *, const struct sd_img *g, const struct sd_img *x, const float *mean,
		const float *istd, const float *ma, const float *mb, const float *scale, const float *sg,
		const float *sgx, int batch, const struct sd_dst *gx);

	/* ---- k_mix.c ---- */
	/* y = sum over k of f[k] t_k, in order of k; NONE adds nothing */
	void (*mix)(struct sd_par *, const struct sd_mix_arg *, const float *f, const struct sd_dst *y);
	/* One pass over g and all terms: s[k] = <g, t_k> (0 for NONE); sg, sgx (nterm, C) row-major: for norm
	 * terms the channel sums of (masked) g and of (masked) g * xhat_k; other rows are 0.  s may be computed from these
	 * (NORM: sum of sgx). */
	void (*mix_bwd_sums)(struct sd_par *, const struct sd_mix_arg *, const struct sd_img *g, float *s,
		float *sg, float *sgx);
	/* gradient of term k: f[k] * norm backward as in norm_bwd_x; RAW: f[k] * g */
	void (*mix_bwd_x)(struct sd_par *, const struct sd_mix_arg *, int k, const float *f, const struct sd_img *g,
		const float *sg, const float *sgx, int batch, const struct sd_dst *gx);

	/* ---- k_image.c ---- */
	void (*fill)(struct sd_par *, float value, const struct sd_img *y);
	/* y = x_0 + x_1 + ... left to right, each as loaded (n >= 1) */
	void (*add)(struct sd_par *, int n, const struct sd_src *x, const struct sd_dst *y);
	void (*scale_rows)(struct sd_par *, const struct sd_src *x, const float *m, const struct sd_dst *y);
	void (*scale)(struct sd_par *, const struct sd_src *x, const float *f, const struct sd_dst *y);
	void (*dot)(struct sd_par *, const struct sd_src *a, const struct sd_img *b, float *out);
	/* NCHW row-major to blocks and back */
	void (*import)(struct sd_par *, const float *nchw, const struct sd_img *y);
	void (*export)(struct sd_par *, const struct sd_img *x, float *nchw);
	/* channels [first, first + y->c) of x, and gradient of a slice: copies by logical channel */
	void (*slice)(struct sd_par *, const struct sd_img *x, int first, const struct sd_dst *y);
	/* gb[c] = sum over (N, H, W) of g */
	void (*channel_sum)(struct sd_par *, const struct sd_img *g, float *gb);

	/* ---- k_rows.c: float32 matrices ---- */
	void (*linear)(struct sd_par *, const float *x, const float *w, const float *b, int n, int ni, int no,
		float *y);
	void (*linear_bwd_x)(struct sd_par *, const float *gy, const float *w, int n, int ni, int no, float *gx);
	void (*linear_bwd_w)(struct sd_par *, const float *x, const float *gy, int n, int ni, int no, float *gw);
	void (*linear_bwd_b)(struct sd_par *, const float *gy, int n, int no, float *gb);
	void (*softmax)(const float *x, int r, int k, float *y);
	void (*softmax_bwd)(const float *y, const float *gy, int r, int k, float *gx);
	/* f of a mixed edge from its row of weights (k), and back */
	void (*mix_factors)(const float *w, int k, enum sd_weighting, float *f);
	void (*mix_factors_bwd)(const float *w, const float *gf, int k, enum sd_weighting, float *gw);
	void (*xent)(const float *logits, const int32_t *label, int n, int k, float smoothing, float *loss);
	void (*xent_bwd)(const float *logits, const int32_t *label, const float *gloss, int n, int k,
		float smoothing, float *gx);
	void (*rank)(const float *logits, const int32_t *label, int n, int k, int32_t *out);
	void (*argmax)(const float *logits, int n, int k, int32_t *out);
	void (*mean)(const float *x, int n, float *out);
	/* out = fa a + fb b; b may be NULL */
	void (*wsum)(const float *a, float fa, const float *b, float fb, size_t n, float *out);
	void (*add_rows)(int nx, const float *const *x, size_t n, float *out);

	/* ---- k_optim.c: many tensors in one call ---- */
	/* sqrt of the sum of squares of all; each tensor in chunks, summed in double in order */
	void (*grad_norm)(struct sd_par *, int n, const float *const *g, const size_t *count, float *out);
	void (*sgd)(struct sd_par *, int n, float *const *p, float *const *m, const float *const *g,
		const size_t *count, float lr, float coef, float momentum, float wd);
	/* ahead = what p would be after sgd; p and m stay */
	void (*sgd_ahead)(struct sd_par *, int n, float *const *ahead, const float *const *p,
		const float *const *m, const float *const *g, const size_t *count, float lr, float coef,
		float momentum, float wd);
	/* dst = fma(k, x, y); y NULL: k x; x NULL: y */
	void (*axpy)(struct sd_par *, int n, float *const *dst, const float *const *y, const float *const *x,
		const size_t *count, float k);
	/* step is the number of this step, from 1; bias corrections in double */
	void (*adam)(struct sd_par *, int n, float *const *p, float *const *m, float *const *v,
		const float *const *g, const size_t *count, float lr, int step, float beta1, float beta2,
		float eps, float wd);
	/* sd_padam's formula (graph.h), u being its maximum */
	void (*padam)(struct sd_par *, int n, float *const *p, float *const *m, float *const *v,
		float *const *u, const float *const *g, const size_t *count, float lr, int step, float coef,
		float beta1, float beta2, float eps, float wd, float partial);

	/* ---- k_peak.c: for limits.c ---- */
	double (*peak_fma)(int turns, float *out); /* returns the operations done; out has 16 */
	void (*peak_triad)(float *a, const float *b, const float *c, size_t n);
};

/* The path to use: the best the processor has, or what SD_CPU=avx512|avx2|generic asks for (tests;
 * changes no number).  NULL with a message if it asks for one that isn't there. */
const struct sd_kernels *sd_kernels_choose(void);

/* Each k_NAME.c defines, for its path, void sd_k_NAME_<path>(struct sd_kernels *). */
#if defined(SD_ISA_AVX512)
#define SD_K(name) sd_k_##name##_avx512
#elif defined(SD_ISA_AVX2)
#define SD_K(name) sd_k_##name##_avx2
#else
#define SD_K(name) sd_k_##name##_generic
#endif
#define SD_K_DECLARE(path) \
	void sd_k_conv_##path(struct sd_kernels *); \
	void sd_k_conv_w_##path(struct sd_kernels *); \
	void sd_k_dwconv_##path(struct sd_kernels *); \
	void sd_k_half_##path(struct sd_kernels *); \
	void sd_k_pool_##path(struct sd_kernels *); \
	void sd_k_norm_##path(struct sd_kernels *); \
	void sd_k_mix_##path(struct sd_kernels *); \
	void sd_k_image_##path(struct sd_kernels *); \
	void sd_k_rows_##path(struct sd_kernels *); \
	void sd_k_optim_##path(struct sd_kernels *); \
	void sd_k_peak_##path(struct sd_kernels *)
SD_K_DECLARE(avx512);
SD_K_DECLARE(avx2);
SD_K_DECLARE(generic);

#endif
