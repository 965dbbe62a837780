/* cudnn.cpp: dense convolutions in float32, row-major (N, C, H, W), by the three algorithms that NVIDIA documents as
 * deterministic; any other is refused.  Workspace is written to, as the real library may. */
#include <cudnn.h>
#include <stdio.h>
#include <string.h>

#include "emu/narrow.h"
#include "emulator.h"
#include "product.h"

struct cudnnContext {
	cudaStream_t stream;
};
struct cudnnTensorStruct {
	int n, c, h, w;
	cudnnDataType_t type;
	cudnnTensorFormat_t format;
};
struct cudnnFilterStruct {
	int k, c, h, w;
	cudnnDataType_t type;
	cudnnTensorFormat_t format;
};
struct cudnnConvolutionStruct {
	int pad_h, pad_w, stride_h, stride_w, dilation_h, dilation_w, groups;
	cudnnConvolutionMode_t mode;
	cudnnDataType_t compute;
	cudnnMathType_t math;
};

namespace emu {

/* Which buffers a convolution works on, by value: descriptors may go before it runs. */
struct conv {
	cudnnTensorStruct x, y;
	cudnnFilterStruct w;
	cudnnConvolutionStruct d;

	size_t taps() const { return static_cast<size_t>(w.c) * static_cast<size_t>(w.h) * static_cast<size_t>(w.w); }
	size_t pixels() const { return static_cast<size_t>(y.h) * static_cast<size_t>(y.w); }
	size_t filters() const { return static_cast<size_t>(w.k); }
	size_t x_size() const
	{
		return static_cast<size_t>(x.c) * static_cast<size_t>(x.h) * static_cast<size_t>(x.w);
	}
	size_t y_size() const { return filters() * pixels(); }
	bool tf32() const { return d.math != CUDNN_FMA_MATH; }
	float rounded(float v) const { return tf32() ? sd_emu_to_tf32(v) : v; }
	/* bytes, as much as one image's columns, or some where none are needed, as the real one does */
	size_t workspace() const { return taps() * sizeof(float) + 256; }
};

static int output_size(int in, int pad, int k, int dilation, int stride)
{
	int span = in + 2 * pad - dilation * (k - 1) - 1;

	return span < 0 ? 0 : span / stride + 1;
}

static cudnnStatus_t check(const cudnnTensorStruct *x, const cudnnFilterStruct *w, const cudnnConvolutionStruct *d,
	const cudnnTensorStruct *y, conv &c)
{
	if (!x || !w || !d || !y)
		return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
	/* what was never set has no size */
	if (!x->n || !w->k || !d->stride_h || !y->n)
		return CUDNN_STATUS_BAD_PARAM;
	if (x->type != CUDNN_DATA_FLOAT || w->type != CUDNN_DATA_FLOAT || y->type != CUDNN_DATA_FLOAT ||
	    d->compute != CUDNN_DATA_FLOAT || x->format != CUDNN_TENSOR_NCHW || w->format != CUDNN_TENSOR_NCHW ||
	    y->format != CUDNN_TENSOR_NCHW || d->groups != 1 || d->math == CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION)
		return CUDNN_STATUS_NOT_SUPPORTED;
	if (x->c != w->c || y->n != x->n || y->c != w->k ||
	    y->h != output_size(x->h, d->pad_h, w->h, d->dilation_h, d->stride_h) ||
	    y->w != output_size(x->w, d->pad_w, w->w, d->dilation_w, d->stride_w))
		return CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH;
	c = conv{*x, *y, *w, *d};
	return CUDNN_STATUS_SUCCESS;
}

/* Calls f(tap, pixel, index in an image of x) for each tap of each output pixel that is inside. */
template <typename F> static void each_tap(const conv &c, F f)
{
	size_t tap = 0;
	bool flip = c.d.mode == CUDNN_CONVOLUTION;

	for (int ch = 0; ch < c.w.c; ch++)
		for (int r = 0; r < c.w.h; r++)
			for (int s = 0; s < c.w.w; s++, tap++) {
				int dy = (flip ? c.w.h - 1 - r : r) * c.d.dilation_h - c.d.pad_h;
				int dx = (flip ? c.w.w - 1 - s : s) * c.d.dilation_w - c.d.pad_w;

				for (int i = 0; i < c.y.h; i++)
					for (int j = 0; j < c.y.w; j++) {
						int h = i * c.d.stride_h + dy, w = j * c.d.stride_w + dx;

						if (h >= 0 && h < c.x.h && w >= 0 && w < c.x.w)
							f(tap, static_cast<size_t>(i) * static_cast<size_t>(c.y.w) +
								static_cast<size_t>(j), (static_cast<size_t>(ch) *
								static_cast<size_t>(c.x.h) + static_cast<size_t>(h)) *
								static_cast<size_t>(c.x.w) + static_cast<size_t>(w));
					}
			}
}

static void blend(float *to, float alpha, float v, float beta)
{
	*to = beta == 0 ? alpha * v : alpha * v + beta * *to;
}

static void forward(const conv &c, float alpha, const float *x, const float *w, float beta, float *y)
{
	packed filter(c.filters(), c.taps()), out(c.filters(), c.pixels());

	for (size_t k = 0; k < c.filters(); k++)
		for (size_t t = 0; t < c.taps(); t++)
			filter.row(k)[t] = c.rounded(w[k * c.taps() + t]);
	for (int n = 0; n < c.x.n; n++, x += c.x_size(), y += c.y_size()) {
		packed columns(c.taps(), c.pixels());

		each_tap(c, [&](size_t t, size_t p, size_t at) { columns.row(t)[p] = c.rounded(x[at]); });
		product(columns, filter, out);
		for (size_t k = 0; k < c.filters(); k++)
			for (size_t p = 0; p < c.pixels(); p++)
				blend(&y[k * c.pixels() + p], alpha, out.row(k)[p], beta);
	}
}

static void backward_data(const conv &c, float alpha, const float *w, const float *dy, float beta, float *dx)
{
	packed filter(c.taps(), c.filters()), g(c.filters(), c.pixels()), columns(c.taps(), c.pixels());
	std::vector<float> image(c.x_size());

	for (size_t k = 0; k < c.filters(); k++)
		for (size_t t = 0; t < c.taps(); t++)
			filter.row(t)[k] = c.rounded(w[k * c.taps() + t]);
	for (int n = 0; n < c.x.n; n++, dx += c.x_size(), dy += c.y_size()) {
		for (size_t k = 0; k < c.filters(); k++)
			for (size_t p = 0; p < c.pixels(); p++)
				g.row(k)[p] = c.rounded(dy[k * c.pixels() + p]);
		product(g, filter, columns);
		image.assign(c.x_size(), 0.0f);
		each_tap(c, [&](size_t t, size_t p, size_t at) { image[at] += columns.row(t)[p]; });
		for (size_t i = 0; i < c.x_size(); i++)
			blend(&dx[i], alpha, image[i], beta);
	}
}

static void backward_filter(const conv &c, float alpha, const float *x, const float *dy, float beta, float *dw)
{
	packed g(c.filters(), c.pixels()), out(c.filters(), c.taps());
	std::vector<double> sum(c.filters() * c.taps());

	for (int n = 0; n < c.x.n; n++, x += c.x_size(), dy += c.y_size()) {
		packed rows(c.pixels(), c.taps());

		each_tap(c, [&](size_t t, size_t p, size_t at) { rows.row(p)[t] = c.rounded(x[at]); });
		for (size_t k = 0; k < c.filters(); k++)
			for (size_t p = 0; p < c.pixels(); p++)
				g.row(k)[p] = c.rounded(dy[k * c.pixels() + p]);
		product(rows, g, out);
		for (size_t k = 0; k < c.filters(); k++)
			for (size_t t = 0; t < c.taps(); t++)
				sum[k * c.taps() + t] += static_cast<double>(out.row(k)[t]);
	}
	for (size_t i = 0; i < sum.size(); i++)
		blend(&dw[i], alpha, static_cast<float>(sum[i]), beta);
}

typedef void convolution_fn(const conv &c, float alpha, const float *a, const float *b, float beta, float *out);

/* Puts one of the above on the handle's stream.  Sizes are in elements. */
static cudnnStatus_t run(cudnnHandle_t handle, const conv &c, convolution_fn *fn, const void *alpha, const void *a,
	size_t a_size, const void *b, size_t b_size, const void *beta, void *out, size_t out_size, void *workspace,
	size_t size)
{
	size_t needed = c.workspace();
	float fa, fb;

	if (!alpha || !beta || !a || !b || !out || !workspace)
		return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
	if (size < needed)
		return CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT;
	if (!is_capturing(handle->stream) && count_work())
		return CUDNN_STATUS_EXECUTION_FAILED;
	memcpy(&fa, alpha, sizeof(fa));
	memcpy(&fb, beta, sizeof(fb));
	cudaError_t e = enqueue(handle->stream, [=] {
		if (!on_device(a, a_size * sizeof(float)) || !on_device(b, b_size * sizeof(float)) ||
		    !on_device(out, out_size * sizeof(float)) || !on_device(workspace, needed))
			fail("a convolution whose operands are not all in the device's memory");
		count_kernel();
		poison(workspace, needed);
		fn(c, fa, static_cast<const float *>(a), static_cast<const float *>(b), fb, static_cast<float *>(out));
	});
	return e ? CUDNN_STATUS_EXECUTION_FAILED : CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check_handle(cudnnHandle_t handle)
{
	if (!handle)
		return CUDNN_STATUS_NOT_INITIALIZED;
	return is_stream(handle->stream) ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

}

using namespace emu;

#define TRY(call) do { \
	cudnnStatus_t status_ = (call); \
	if (status_) \
		return status_; \
} while (0)

size_t cudnnGetVersion(void) { return CUDNN_VERSION; }
size_t cudnnGetCudartVersion(void) { return CUDART_VERSION; }

const char *cudnnGetErrorString(cudnnStatus_t status)
{
	switch (status) {
	case CUDNN_STATUS_SUCCESS: return "CUDNN_STATUS_SUCCESS";
	case CUDNN_STATUS_NOT_INITIALIZED: return "CUDNN_STATUS_NOT_INITIALIZED";
	case CUDNN_STATUS_BAD_PARAM: return "CUDNN_STATUS_BAD_PARAM";
	case CUDNN_STATUS_BAD_PARAM_NULL_POINTER: return "CUDNN_STATUS_BAD_PARAM_NULL_POINTER";
	case CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT: return "CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT";
	case CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH: return "CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH";
	case CUDNN_STATUS_NOT_SUPPORTED: return "CUDNN_STATUS_NOT_SUPPORTED";
	case CUDNN_STATUS_EXECUTION_FAILED: return "CUDNN_STATUS_EXECUTION_FAILED";
	default: return "CUDNN_STATUS_INTERNAL_ERROR";
	}
}

void cudnnGetLastErrorString(char *message, size_t size)
{
	if (size)
		snprintf(message, size, "emulated");
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
	lock held;

	if (!handle)
		return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
	if (sticky_error())
		return CUDNN_STATUS_NOT_INITIALIZED;
	*handle = new cudnnContext{NULL};
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
	delete handle;
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
	lock held;

	if (!handle || !is_stream(stream))
		return CUDNN_STATUS_BAD_PARAM;
	handle->stream = stream;
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t *stream)
{
	if (!handle || !stream)
		return CUDNN_STATUS_BAD_PARAM;
	*stream = handle->stream;
	return CUDNN_STATUS_SUCCESS;
}

/* ---- descriptors ---- */

#define DESCRIPTOR(name, contents) \
	cudnnStatus_t cudnnCreate##name(contents **desc) \
	{ \
		if (!desc) \
			return CUDNN_STATUS_BAD_PARAM_NULL_POINTER; \
		*desc = new contents(); \
		return CUDNN_STATUS_SUCCESS; \
	} \
	cudnnStatus_t cudnnDestroy##name(contents *desc) \
	{ \
		delete desc; \
		return CUDNN_STATUS_SUCCESS; \
	}
DESCRIPTOR(TensorDescriptor, cudnnTensorStruct)
DESCRIPTOR(FilterDescriptor, cudnnFilterStruct)
DESCRIPTOR(ConvolutionDescriptor, cudnnConvolutionStruct)

cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t desc, cudnnTensorFormat_t format,
	cudnnDataType_t type, int n, int c, int h, int w)
{
	if (!desc || n < 1 || c < 1 || h < 1 || w < 1)
		return CUDNN_STATUS_BAD_PARAM;
	*desc = cudnnTensorStruct{n, c, h, w, type, format};
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t desc, cudnnDataType_t type,
	cudnnTensorFormat_t format, int k, int c, int h, int w)
{
	if (!desc || k < 1 || c < 1 || h < 1 || w < 1)
		return CUDNN_STATUS_BAD_PARAM;
	*desc = cudnnFilterStruct{k, c, h, w, type, format};
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t desc, int pad_h, int pad_w,
	int stride_h, int stride_w, int dilation_h, int dilation_w, cudnnConvolutionMode_t mode,
	cudnnDataType_t compute)
{
	if (!desc || pad_h < 0 || pad_w < 0 || stride_h < 1 || stride_w < 1 || dilation_h < 1 || dilation_w < 1)
		return CUDNN_STATUS_BAD_PARAM;
	*desc = cudnnConvolutionStruct{pad_h, pad_w, stride_h, stride_w, dilation_h, dilation_w, 1, mode, compute,
		CUDNN_DEFAULT_MATH};
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t desc, cudnnMathType_t math)
{
	if (!desc || math < CUDNN_DEFAULT_MATH || math > CUDNN_FMA_MATH)
		return CUDNN_STATUS_BAD_PARAM;
	desc->math = math;
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t desc, int count)
{
	if (!desc || count < 1)
		return CUDNN_STATUS_BAD_PARAM;
	desc->groups = count;
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolution2dForwardOutputDim(const cudnnConvolutionDescriptor_t d,
	const cudnnTensorDescriptor_t x, const cudnnFilterDescriptor_t f, int *n, int *c, int *h, int *w)
{
	if (!d || !x || !f || !d->stride_h || x->c != f->c * d->groups)
		return CUDNN_STATUS_BAD_PARAM;
	*n = x->n;
	*c = f->k;
	*h = output_size(x->h, d->pad_h, f->h, d->dilation_h, d->stride_h);
	*w = output_size(x->w, d->pad_w, f->w, d->dilation_w, d->stride_w);
	return CUDNN_STATUS_SUCCESS;
}

/* ---- convolutions ---- */

static cudnnStatus_t workspace_size(cudnnHandle_t handle, bool supported, const cudnnTensorDescriptor_t x,
	const cudnnFilterDescriptor_t w, const cudnnConvolutionDescriptor_t d, const cudnnTensorDescriptor_t y,
	size_t *size)
{
	lock held;
	conv c;

	TRY(check_handle(handle));
	TRY(check(x, w, d, y, c));
	if (!supported)
		return CUDNN_STATUS_NOT_SUPPORTED;
	if (!size)
		return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
	*size = c.workspace();
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t handle, const cudnnTensorDescriptor_t x,
	const cudnnFilterDescriptor_t w, const cudnnConvolutionDescriptor_t d, const cudnnTensorDescriptor_t y,
	cudnnConvolutionFwdAlgo_t algo, size_t *size)
{
	return workspace_size(handle, algo == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, x, w, d, y, size);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t handle, const cudnnFilterDescriptor_t w,
	const cudnnTensorDescriptor_t dy, const cudnnConvolutionDescriptor_t d, const cudnnTensorDescriptor_t dx,
	cudnnConvolutionBwdDataAlgo_t algo, size_t *size)
{
	return workspace_size(handle, algo == CUDNN_CONVOLUTION_BWD_DATA_ALGO_1, dx, w, d, dy, size);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnnHandle_t handle, const cudnnTensorDescriptor_t x,
	const cudnnTensorDescriptor_t dy, const cudnnConvolutionDescriptor_t d, const cudnnFilterDescriptor_t dw,
	cudnnConvolutionBwdFilterAlgo_t algo, size_t *size)
{
	return workspace_size(handle, algo == CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1, x, dw, d, dy, size);
}

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void *alpha, const cudnnTensorDescriptor_t x_desc,
	const void *x, const cudnnFilterDescriptor_t w_desc, const void *w, const cudnnConvolutionDescriptor_t d,
	cudnnConvolutionFwdAlgo_t algo, void *workspace, size_t size, const void *beta,
	const cudnnTensorDescriptor_t y_desc, void *y)
{
	lock held;
	conv c;

	TRY(check_handle(handle));
	TRY(check(x_desc, w_desc, d, y_desc, c));
	if (algo != CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM)
		return CUDNN_STATUS_NOT_SUPPORTED;
	size_t n = static_cast<size_t>(c.x.n);
	return run(handle, c, forward, alpha, x, n * c.x_size(), w, c.filters() * c.taps(), beta, y, n * c.y_size(),
		workspace, size);
}

cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void *alpha,
	const cudnnFilterDescriptor_t w_desc, const void *w, const cudnnTensorDescriptor_t dy_desc, const void *dy,
	const cudnnConvolutionDescriptor_t d, cudnnConvolutionBwdDataAlgo_t algo, void *workspace, size_t size,
	const void *beta, const cudnnTensorDescriptor_t dx_desc, void *dx)
{
	lock held;
	conv c;

	TRY(check_handle(handle));
	TRY(check(dx_desc, w_desc, d, dy_desc, c));
	if (algo != CUDNN_CONVOLUTION_BWD_DATA_ALGO_1)
		return CUDNN_STATUS_NOT_SUPPORTED;
	size_t n = static_cast<size_t>(c.x.n);
	return run(handle, c, backward_data, alpha, w, c.filters() * c.taps(), dy, n * c.y_size(), beta, dx,
		n * c.x_size(), workspace, size);
}

cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void *alpha,
	const cudnnTensorDescriptor_t x_desc, const void *x, const cudnnTensorDescriptor_t dy_desc, const void *dy,
	const cudnnConvolutionDescriptor_t d, cudnnConvolutionBwdFilterAlgo_t algo, void *workspace, size_t size,
	const void *beta, const cudnnFilterDescriptor_t dw_desc, void *dw)
{
	lock held;
	conv c;

	TRY(check_handle(handle));
	TRY(check(x_desc, dw_desc, d, dy_desc, c));
	if (algo != CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1)
		return CUDNN_STATUS_NOT_SUPPORTED;
	size_t n = static_cast<size_t>(c.x.n);
	return run(handle, c, backward_filter, alpha, x, n * c.x_size(), dy, n * c.y_size(), beta, dw,
		c.filters() * c.taps(), workspace, size);
}
