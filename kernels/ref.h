/* ref.h: the plain references: what each family of kernels computes, in loops of double that say nothing of how.
 * The op table (tests/optable) and the tests of single kernels hold engines against them.
 *
 * Arrays are row-major, images (N, C, H, W); results don't overlap operands.  Only forward: gradients are held
 * against finite differences of these, and the tests of single kernels have their own sums for them. */
#ifndef SD_KERNELS_REF_H
#define SD_KERNELS_REF_H

#include <stddef.h>

#include "graph/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- dwconv_ref.c ---- */
/* y = sum over the window's taps inside x (shape xs) of w x, 0 where there are none; w (C, 1, kh, kw), y of
 * shape ys. */
void sd_ref_dwconv(const double *x, const struct sd_shape *xs, const double *w, const struct sd_window *win,
	const struct sd_shape *ys, double *y);

/* ---- pool_ref.c: x of shape xs, y of shape ys ---- */
/* The maximum of the window's taps inside x, NaN where one is, -infinity where there are none. */
void sd_ref_maxpool(const double *x, const struct sd_shape *xs, const struct sd_window *win,
	const struct sd_shape *ys, double *y);
/* Their sum over kh * kw (include_pad) or over their number; 0 where there are none. */
void sd_ref_avgpool(const double *x, const struct sd_shape *xs, const struct sd_window *win, int include_pad,
	const struct sd_shape *ys, double *y);
/* y (N, C): the mean over (H, W) */
void sd_ref_gap(const double *x, const struct sd_shape *xs, double *y);

/* ---- norm_ref.c ---- */
/* Mean and biased variance over (N, H, W), each (C). */
void sd_ref_bn_stats(const double *x, const struct sd_shape *s, double *mean, double *var);
/* (x - mean) / sqrt(var + eps) * gamma + beta, each (C); gamma and beta NULL: 1 and 0 */
void sd_ref_norm(const double *x, const struct sd_shape *s, const double *mean, const double *var,
	const double *gamma, const double *beta, double eps, double *y);
void sd_ref_relu(const double *x, size_t count, double *y); /* 0 > x ? 0 : x */

/* ---- mix_ref.c ---- */
struct sd_ref_term {
	int kind;                 /* enum sd_mix_kind */
	const double *x;          /* (N, C, H, W); unused for NONE */
	const double *mean, *var; /* (C); NORM and NORM_RELU */
	double eps;
};
/* y = sum over k of f[k] t_k; f (n) */
void sd_ref_mix(int n, const struct sd_ref_term *t, const struct sd_shape *s, const double *f, double *y);

/* ---- image_ref.c ---- */
/* y = x_0 + x_1 + ..., each of `count` numbers */
void sd_ref_add(int n, const double *const *x, size_t count, double *y);
/* y[n][c][h][w] = x[n][c][h][w] m[n]; m (N) */
void sd_ref_scale_rows(const double *x, const struct sd_shape *s, const double *m, double *y);

/* ---- rows_ref.c: x (rows, k) ---- */
void sd_ref_softmax(const double *x, int rows, int k, double *y);
/* loss[r] = - sum over i of ((1 - smoothing) [i = label[r]] + smoothing / k) log softmax(x[r])[i] */
void sd_ref_xent(const double *x, const double *label, int rows, int k, double smoothing, double *loss);
/* f (k) of a mixed edge with the weights w (k): w, or 1 - max(w) + w (enum sd_weighting) */
void sd_ref_mix_factors(const double *w, int k, int weighting, double *f);
/* out = f s x, and y more where y isn't NULL; each of `count` numbers */
void sd_ref_axpy(const double *y, double f, double s, const double *x, size_t count, double *out);
/* The mean of `count` numbers. */
double sd_ref_mean(const double *x, size_t count);

#ifdef __cplusplus
}
#endif

#endif
