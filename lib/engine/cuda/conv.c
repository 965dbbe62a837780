/* conv.c: dense convolutions.
 *
 * A pointwise one is a product of matrices on images as they lie.  So is a factorised reduce, with its rows taken
 * from every other pixel.  Of few channels they have kernels of their own (kernels/pointwise.cu), which take several
 * steps at once; of more they go to cuBLASLt.  Others go to cuDNN, in float32 and row-major (N, C, H, W), where its
 * deterministic algorithms are complete; only stems, auxiliary heads and a few primitives of OPS have them.
 * The algorithms are fixed (cuda.h): NVIDIA's documentation names these as deterministic. */
#include "engine/cuda/cuda.h"

#include <string.h>

#include "base/err.h"

static int rows_of(const struct sd_cu_img *x)
{
	return x->n * x->h * x->w;
}

static int is_pointwise(const struct sd_window *w)
{
	return w->kh == 1 && w->kw == 1 && w->sh == 1 && w->sw == 1 && w->ph == 0 && w->pw == 0;
}

/* Whether a product goes to pointwise.cu.  What tensor cores multiply may have fewer channels for that. */
static int is_narrow(const struct sd_cuda_step *st, const struct sd_cu_img *x, const struct sd_cu_img *y)
{
	int most = st->e->precision == SD_FP32 ? SD_CU_POINTWISE_FP32 : SD_CU_POINTWISE;

	return x->c <= most && y->c <= most;
}

/* The operand's elements as they are loaded: in place where loading changes nothing. */
static struct sd_cu_img loaded(struct sd_cuda_step *st, const struct sd_cu_src *x)
{
	struct sd_cu_dst y;

	if (!x->norm.mean && !x->relu)
		return x->x;
	y.y = sd_cuda_scratch_image(st, x->x.n, x->x.c, x->x.h, x->x.w);
	y.acc = 0;
	sd_cu_load(&st->run, x, &y);
	return y.y;
}

/* `count` weights in the type of the images. */
static const void *weights(struct sd_cuda_step *st, const float *w, size_t count)
{
	void *p;

	if (st->e->type == SD_CU_F32)
		return w;
	p = sd_cu_take(&st->run, count * sd_cuda_elem(st->e->type));
	sd_cu_cast(&st->run, w, count, st->e->type, p);
	return p;
}

/* ---- products; in row-major words: */

/* y (M, O) [+]= x (M, I) w (O, I)^T */
static int product(struct sd_cuda_step *st, const struct sd_cu_img *x, const void *w, const struct sd_cu_img *y,
	int acc)
{
	struct sd_cuda_gemm g = { .m = y->c, .n = rows_of(x), .k = x->c, .a = w, .lda = x->c, .trans_a = 1, .b = x->p,
		.ldb = x->ld, .type = x->type, .c = y->p, .ldc = y->ld, .type_c = y->type, .beta = acc ? 1 : 0,
		.tf32 = st->e->precision == SD_TF32 };

	return sd_cuda_gemm(st, &g);
}

/* gx (M, I) [+]= gy (M, O) w (O, I) */
static int product_bwd_x(struct sd_cuda_step *st, const struct sd_cu_img *gy, const void *w,
	const struct sd_cu_img *gx, int acc)
{
	struct sd_cuda_gemm g = { .m = gx->c, .n = rows_of(gy), .k = gy->c, .a = w, .lda = gx->c, .b = gy->p,
		.ldb = gy->ld, .type = gy->type, .c = gx->p, .ldc = gx->ld, .type_c = gx->type, .beta = acc ? 1 : 0,
		.tf32 = st->e->precision == SD_TF32 };

	return sd_cuda_gemm(st, &g);
}

/* gw (O, I) = gy (M, O)^T x (M, I), in float32 */
static int product_bwd_w(struct sd_cuda_step *st, const struct sd_cu_img *x, const struct sd_cu_img *gy, float *gw)
{
	struct sd_cuda_gemm g = { .m = x->c, .n = gy->c, .k = rows_of(x), .a = x->p, .lda = x->ld, .b = gy->p,
		.ldb = gy->ld, .trans_b = 1, .type = x->type, .c = gw, .ldc = x->c, .type_c = SD_CU_F32,
		.tf32 = st->e->precision == SD_TF32 };

	return sd_cuda_gemm(st, &g);
}

/* ---- cuDNN ---- */

struct dense {
	cudnnTensorDescriptor_t x, y;
	cudnnFilterDescriptor_t w;
	cudnnConvolutionDescriptor_t conv;
};

static void dense_release(const struct sd_cudnn *dnn, struct dense *d)
{
	if (d->x)
		dnn->cudnnDestroyTensorDescriptor(d->x);
	if (d->y)
		dnn->cudnnDestroyTensorDescriptor(d->y);
	if (d->w)
		dnn->cudnnDestroyFilterDescriptor(d->w);
	if (d->conv)
		dnn->cudnnDestroyConvolutionDescriptor(d->conv);
}

#define TRY(call, what) do { \
	cudnnStatus_t status_ = (call); \
	if (status_ != CUDNN_STATUS_SUCCESS) { \
		sd_error(SD_ERR_DEVICE, "cuDNN: %s: %s", what, dnn->cudnnGetErrorString(status_)); \
		goto out; \
	} \
} while (0)

static int dense_init(struct sd_cuda_step *st, const struct sd_cu_img *x, const struct sd_cu_img *y, struct dense *d)
{
	const struct sd_window *w = &st->n->a.win;
	struct sd_cuda_engine *e = st->e;
	const struct sd_cudnn *dnn;
	int rc = -1;

	memset(d, 0, sizeof(*d));
	if (!e->dnn)
		e->dnn = sd_libs_cudnn();
	dnn = e->dnn;
	if (!dnn)
		return -1;
	if (!e->dnn_handle) {
		TRY(dnn->cudnnCreate(&e->dnn_handle), "a handle");
		TRY(dnn->cudnnSetStream(e->dnn_handle, e->stream), "the stream");
	}
	TRY(dnn->cudnnCreateTensorDescriptor(&d->x), "a tensor");
	TRY(dnn->cudnnCreateTensorDescriptor(&d->y), "a tensor");
	TRY(dnn->cudnnCreateFilterDescriptor(&d->w), "a filter");
	TRY(dnn->cudnnCreateConvolutionDescriptor(&d->conv), "a convolution");
	TRY(dnn->cudnnSetTensor4dDescriptor(d->x, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, x->n, x->c, x->h, x->w), "x");
	TRY(dnn->cudnnSetTensor4dDescriptor(d->y, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, y->n, y->c, y->h, y->w), "y");
	TRY(dnn->cudnnSetFilter4dDescriptor(d->w, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW, y->c, x->c, w->kh, w->kw), "w");
	TRY(dnn->cudnnSetConvolution2dDescriptor(d->conv, w->ph, w->pw, w->sh, w->sw, w->dh, w->dw,
		CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT), "the window");
	/* FMA: no TF32 behind the caller's back; DEFAULT allows it */
	TRY(dnn->cudnnSetConvolutionMathType(d->conv, e->precision == SD_FP32 ? CUDNN_FMA_MATH : CUDNN_DEFAULT_MATH),
		"the arithmetic");
	rc = 0;
out:
	return rc;
}

static float *row_major(struct sd_cuda_step *st, const struct sd_cu_img *x)
{
	return sd_cu_take(&st->run, (size_t)x->n * (size_t)x->c * (size_t)x->h * (size_t)x->w * sizeof(float));
}

static float *exported(struct sd_cuda_step *st, const struct sd_cu_src *x)
{
	float *p = row_major(st, &x->x);

	sd_cu_export(&st->run, x, p);
	return p;
}

/* The three products of a convolution: y of x and w, and the gradients of x and w. */
enum pass { FORWARD, BACKWARD_X, BACKWARD_W };

static cudnnStatus_t workspace_size(const struct sd_cuda_engine *e, enum pass pass, const struct dense *d, size_t *size)
{
	switch (pass) {
	case FORWARD:
		return e->dnn->cudnnGetConvolutionForwardWorkspaceSize(e->dnn_handle, d->x, d->w, d->conv, d->y,
			SD_CUDA_FORWARD, size);
	case BACKWARD_X:
		return e->dnn->cudnnGetConvolutionBackwardDataWorkspaceSize(e->dnn_handle, d->w, d->y, d->conv, d->x,
			SD_CUDA_BACKWARD_X, size);
	default:
		return e->dnn->cudnnGetConvolutionBackwardFilterWorkspaceSize(e->dnn_handle, d->x, d->y, d->conv, d->w,
			SD_CUDA_BACKWARD_W, size);
	}
}

static cudnnStatus_t convolve(const struct sd_cuda_engine *e, enum pass pass, const struct dense *d, const float *a,
	const float *b, void *workspace, size_t size, float *to)
{
	const float one = 1, zero = 0;

	switch (pass) {
	case FORWARD:
		return e->dnn->cudnnConvolutionForward(e->dnn_handle, &one, d->x, a, d->w, b, d->conv, SD_CUDA_FORWARD,
			workspace, size, &zero, d->y, to);
	case BACKWARD_X:
		return e->dnn->cudnnConvolutionBackwardData(e->dnn_handle, &one, d->w, a, d->y, b, d->conv,
			SD_CUDA_BACKWARD_X, workspace, size, &zero, d->x, to);
	default:
		return e->dnn->cudnnConvolutionBackwardFilter(e->dnn_handle, &one, d->x, a, d->y, b, d->conv,
			SD_CUDA_BACKWARD_W, workspace, size, &zero, d->w, to);
	}
}

/* a and b are what the pass reads, in the order of its name in cuDNN: x and w, w and gy, x and gy. */
static int dense(struct sd_cuda_step *st, enum pass pass, const struct sd_cu_img *x, const struct sd_cu_img *y,
	const float *a, const float *b, float *to)
{
	static const char *const what[] = { "a convolution", "a convolution's gradient", "a filter's gradient" };
	struct sd_cuda_engine *e = st->e;
	const struct sd_cudnn *dnn;
	struct dense d;
	size_t size = 0;
	void *workspace;
	int rc = -1;

	sd_cu_group_flush(&st->run);
	st->run.launches++;
	if (e->base.plans_only) /* cuDNN wants a device; the workspace is not known then */
		return 0;
	if (dense_init(st, x, y, &d))
		goto out;
	dnn = e->dnn;
	TRY(workspace_size(e, pass, &d, &size), what[pass]);
	workspace = sd_cu_take(&st->run, size);
	if (!st->run.dry)
		TRY(convolve(e, pass, &d, a, b, workspace, size, to), what[pass]);
	rc = 0;
out:
	if (e->dnn)
		dense_release(e->dnn, &d);
	return rc;
}

static int dense_forward(struct sd_cuda_step *st, const struct sd_cu_src *x, const float *w,
	const struct sd_cu_dst *y)
{
	const float *px = exported(st, x);
	float *py = row_major(st, &y->y);

	if (dense(st, FORWARD, &x->x, &y->y, px, w, py))
		return -1;
	sd_cu_import(&st->run, py, y);
	return 0;
}

static int dense_bwd_x(struct sd_cuda_step *st, const struct sd_cu_img *gy, const float *w,
	const struct sd_cu_dst *gx)
{
	const struct sd_cu_src src = { .x = *gy };
	const float *py = exported(st, &src);
	float *px = row_major(st, &gx->y);

	if (dense(st, BACKWARD_X, &gx->y, gy, w, py, px))
		return -1;
	sd_cu_import(&st->run, px, gx);
	return 0;
}

static int dense_bwd_w(struct sd_cuda_step *st, const struct sd_cu_src *x, const struct sd_cu_img *gy, float *gw)
{
	const struct sd_cu_src src = { .x = *gy };
	const float *px = exported(st, x), *py = exported(st, &src);

	return dense(st, BACKWARD_W, &x->x, gy, px, py, gw);
}

/* ---- the ops ---- */

int sd_cuda_conv(struct sd_cuda_step *st) /* x, w, bias */
{
	struct sd_cu_src x = sd_cuda_source(st, 0);
	struct sd_cu_dst y = sd_cuda_result(st);
	const float *w = sd_cuda_rows(st, st->s->in[1].x), *bias = sd_cuda_rows(st, st->s->in[2].x);

	if (is_pointwise(&st->n->a.win) && is_narrow(st, &x.x, &y.y)) {
		float *mean, *var;

		sd_cuda_stats_of(st, &mean, &var);
		st->pairs_done = sd_cu_pointwise(&st->run, &x, -1, w, &y, mean, var);
	} else if (is_pointwise(&st->n->a.win)) {
		struct sd_cu_img xl = loaded(st, &x);

		if (product(st, &xl, weights(st, w, (size_t)y.y.c * (size_t)xl.c), &y.y, y.acc))
			return -1;
	} else if (dense_forward(st, &x, w, &y)) {
		return -1;
	}
	if (st->s->in[2].x != SD_NIL)
		sd_cu_add_bias(&st->run, bias, &y.y);
	return 0;
}

int sd_cuda_conv_bwd_x(struct sd_cuda_step *st) /* gy, w */
{
	struct sd_cu_grad g = sd_cuda_gradient(st, 0);
	struct sd_cu_dst gx = sd_cuda_result(st);
	const float *w = sd_cuda_rows(st, st->s->in[1].x);

	if (!is_pointwise(&st->n->a.win))
		return dense_bwd_x(st, &g.g.x, w, &gx);
	if (is_narrow(st, &g.g.x, &gx.y)) {
		sd_cu_pointwise_bwd_x(&st->run, &g, w, &gx);
		return 0;
	}
	return product_bwd_x(st, &g.g.x, weights(st, w, (size_t)g.g.x.c * (size_t)gx.y.c), &gx.y, gx.acc);
}

int sd_cuda_conv_bwd_w(struct sd_cuda_step *st) /* x, gy */
{
	struct sd_cu_src x = sd_cuda_source(st, 0);
	struct sd_cu_grad g = sd_cuda_gradient(st, 1);
	struct sd_cu_img xl;
	float *gw = sd_cuda_rows(st, st->n->out);

	if (!is_pointwise(&st->n->a.win))
		return dense_bwd_w(st, &x, &g.g.x, gw);
	if (is_narrow(st, &x.x, &g.g.x)) {
		sd_cu_pointwise_bwd_w(&st->run, &x, -1, &g, gw);
		return 0;
	}
	xl = loaded(st, &x);
	return product_bwd_w(st, &xl, &g.g.x, gw);
}

/* Channels [first, first + count) of an image. */
static struct sd_cu_img channels(const struct sd_cu_img *x, int first, int count)
{
	struct sd_cu_img y = *x;

	y.p = (char *)x->p + (size_t)first * sd_cuda_elem(x->type);
	y.c = count;
	return y;
}

static void move(const float **p, int by)
{
	if (*p)
		*p += by;
}

static struct sd_cu_grad channels_of(const struct sd_cu_grad *g, int first, int count)
{
	struct sd_cu_grad y = *g;
	struct sd_cu_norm *n = &y.g.norm;

	y.g.x = channels(&g->g.x, first, count);
	if (y.back.x)
		y.back.x = (const char *)y.back.x + (size_t)first * sd_cuda_elem(y.g.x.type);
	move(&n->mean, first), move(&n->var, first), move(&n->gamma, first), move(&n->beta, first);
	move(&y.back.sg, first), move(&y.back.sgx, first);
	return y;
}

int sd_cuda_frconv(struct sd_cuda_step *st) /* x, w1, w2 */
{
	struct sd_cu_src x = sd_cuda_source(st, 0);
	struct sd_cu_dst y = sd_cuda_result(st);
	float *mean, *var;
	int which, first = 0;

	sd_cuda_stats_of(st, &mean, &var);

	for (which = 0; which < 2; which++) {
		sd_val wv = st->s->in[1 + which].x;
		int c = st->p->g->val[wv].shape.d[0];
		struct sd_cu_img part = channels(&y.y, first, c), taken;

		first += c;
		if (is_narrow(st, &x.x, &y.y)) {
			struct sd_cu_dst to = { part, y.acc };

			if (which)
				sd_cu_group_beside(&st->run);
			st->pairs_done = sd_cu_pointwise(&st->run, &x, which, sd_cuda_rows(st, wv), &to, mean, var);
			if (mean)
				mean += c, var += c;
			continue;
		}
		taken = sd_cuda_scratch_image(st, x.x.n, x.x.c, y.y.h, y.y.w);
		sd_cu_take_odd(&st->run, &x, which, &taken);
		if (product(st, &taken, weights(st, sd_cuda_rows(st, wv), (size_t)c * (size_t)x.x.c), &part, y.acc))
			return -1;
	}
	return 0;
}

int sd_cuda_frconv_bwd_x(struct sd_cuda_step *st) /* gy, w1, w2 */
{
	struct sd_cu_grad whole = sd_cuda_gradient(st, 0);
	struct sd_cu_img gy = whole.g.x, g[2];
	struct sd_cu_dst gx = sd_cuda_result(st);
	int which, first = 0;

	for (which = 0; which < 2; which++) {
		sd_val wv = st->s->in[1 + which].x;
		int c = st->p->g->val[wv].shape.d[0];
		struct sd_cu_img part = channels(&gy, first, c);

		g[which] = sd_cuda_scratch_image(st, gy.n, gx.y.c, gy.h, gy.w);
		if (is_narrow(st, &gy, &gx.y)) {
			struct sd_cu_grad of = channels_of(&whole, first, c);
			struct sd_cu_dst to = { g[which], 0 };

			first += c;
			if (which)
				sd_cu_group_beside(&st->run);
			sd_cu_pointwise_bwd_x(&st->run, &of, sd_cuda_rows(st, wv), &to);
			continue;
		}
		first += c;
		if (product_bwd_x(st, &part, weights(st, sd_cuda_rows(st, wv), (size_t)c * (size_t)gx.y.c),
				&g[which], 0))
			return -1;
	}
	sd_cu_put_odd(&st->run, &g[0], &g[1], &gx);
	return 0;
}

int sd_cuda_frconv_bwd_w(struct sd_cuda_step *st) /* x, gy; i: which, channels of w1 */
{
	struct sd_cu_src x = sd_cuda_source(st, 0);
	struct sd_cu_grad whole = sd_cuda_gradient(st, 1);
	struct sd_cu_img gy = whole.g.x, part, taken;
	int which = st->n->a.i[0], c1 = st->n->a.i[1], first = which ? c1 : 0, count = which ? gy.c - c1 : c1;

	if (is_narrow(st, &x.x, &gy)) {
		struct sd_cu_grad of = channels_of(&whole, first, count);

		sd_cu_pointwise_bwd_w(&st->run, &x, which, &of, sd_cuda_rows(st, st->n->out));
		return 0;
	}
	part = channels(&gy, first, count);
	taken = sd_cuda_scratch_image(st, x.x.n, x.x.c, gy.h, gy.w);
	sd_cu_take_odd(&st->run, &x, which, &taken);
	return product_bwd_w(st, &taken, &part, sd_cuda_rows(st, st->n->out));
}
