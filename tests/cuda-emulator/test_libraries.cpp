/* test_libraries.cpp: the doubles of cuBLASLt and cuDNN against plain loops in double, and what they refuse. */
#include <cublasLt.h>
#include <cudnn.h>
#include <math.h>
#include <string.h>

#include <vector>

#include "../unit/check.h"
#include "emu/narrow.h"

namespace {

typedef std::vector<float> floats;

float uniform()
{
	static uint32_t state = 1;

	state = state * 1664525u + 1013904223u;
	return static_cast<float>(state >> 8) * 0x1p-23f - 1;
}
floats random_floats(size_t n)
{
	floats v(n);

	for (float &x : v)
		x = uniform();
	return v;
}

/* Numbers on the device, in one of the types. */
struct array {
	cudaDataType_t type;
	size_t n;
	void *p;

	explicit array(const floats &v, cudaDataType_t t = CUDA_R_32F) : type(t), n(v.size()), p(NULL)
	{
		std::vector<uint16_t> narrow(n);

		cudaMalloc(&p, n * size());
		for (size_t i = 0; i < n; i++)
			narrow[i] = type == CUDA_R_16F ? sd_emu_to_f16(v[i]) : sd_emu_to_bf16(v[i]);
		cudaMemcpy(p, type == CUDA_R_32F ? static_cast<const void *>(v.data()) : narrow.data(), n * size(),
			cudaMemcpyHostToDevice);
	}
	array(const array &) = delete;
	~array() { cudaFree(p); }
	size_t size() const { return type == CUDA_R_32F ? 4 : 2; }
	floats fetch() const
	{
		floats v(n);
		std::vector<uint16_t> narrow(n);

		cudaMemcpy(type == CUDA_R_32F ? static_cast<void *>(v.data()) : narrow.data(), p, n * size(),
			cudaMemcpyDeviceToHost);
		for (size_t i = 0; type != CUDA_R_32F && i < n; i++)
			v[i] = type == CUDA_R_16F ? sd_emu_from_f16(narrow[i]) : sd_emu_from_bf16(narrow[i]);
		return v;
	}
};

/* ---- products ---- */

struct product {
	uint64_t m, n, k;
	int ta, tb;
	cudaDataType_t in, out;
	cublasComputeType_t compute;
	float beta;
	int batches;
};

struct asked {
	cublasLtHandle_t handle;
	cublasLtMatmulDesc_t desc;
	cublasLtMatrixLayout_t a, b, c;
	cublasLtMatmulPreference_t pref;
	cublasLtMatmulHeuristicResult_t choice;
	int64_t lda, ldb, ldc, step_a, step_b, step_c;

	explicit asked(const product &p)
	{
		int32_t ta = p.ta, tb = p.tb, batches = p.batches;
		uint64_t rows_a = p.ta ? p.k : p.m, cols_a = p.ta ? p.m : p.k;
		uint64_t rows_b = p.tb ? p.n : p.k, cols_b = p.tb ? p.k : p.n;
		uint64_t most = 1 << 20;
		uint32_t align = 4, reductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;

		lda = static_cast<int64_t>(rows_a) + 3;
		ldb = static_cast<int64_t>(rows_b) + 5;
		ldc = static_cast<int64_t>(p.m) + 1;
		step_a = lda * static_cast<int64_t>(cols_a) + 2;
		step_b = ldb * static_cast<int64_t>(cols_b) + 2;
		step_c = ldc * static_cast<int64_t>(p.n) + 2;
		step_a += step_a % 2;
		step_b += step_b % 2;
		step_c += step_c % 2;
		cublasLtCreate(&handle);
		cublasLtMatmulDescCreate(&desc, p.compute, CUDA_R_32F);
		cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &ta, sizeof(ta));
		cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSB, &tb, sizeof(tb));
		cublasLtMatrixLayoutCreate(&a, p.in, rows_a, cols_a, lda);
		cublasLtMatrixLayoutCreate(&b, p.in, rows_b, cols_b, ldb);
		cublasLtMatrixLayoutCreate(&c, p.out, p.m, p.n, ldc);
		const int64_t steps[] = {step_a, step_b, step_c};
		const cublasLtMatrixLayout_t layouts[] = {a, b, c};
		for (int i = 0; i < 3; i++) {
			cublasLtMatrixLayoutSetAttribute(layouts[i], CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batches,
				sizeof(batches));
			cublasLtMatrixLayoutSetAttribute(layouts[i], CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &steps[i],
				sizeof(steps[i]));
		}
		cublasLtMatmulPreferenceCreate(&pref);
		cublasLtMatmulPreferenceSetAttribute(pref, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most, sizeof(most));
		cublasLtMatmulPreferenceSetAttribute(pref, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions,
			sizeof(reductions));
		for (int i = CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES; i <= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES; i++)
			cublasLtMatmulPreferenceSetAttribute(pref, static_cast<cublasLtMatmulPreferenceAttributes_t>(i), &align,
				sizeof(align));
	}
	cublasStatus_t ask()
	{
		int n = 0;

		return cublasLtMatmulAlgoGetHeuristic(handle, desc, a, b, c, c, pref, 1, &choice, &n);
	}
	asked(const asked &) = delete;
	~asked()
	{
		cublasLtMatmulPreferenceDestroy(pref);
		cublasLtMatrixLayoutDestroy(a);
		cublasLtMatrixLayoutDestroy(b);
		cublasLtMatrixLayoutDestroy(c);
		cublasLtMatmulDescDestroy(desc);
		cublasLtDestroy(handle);
	}
};

void check_product(const product &p)
{
	asked q(p);
	const float alpha = 0.5f;
	auto total = [&](int64_t step) { return random_floats(static_cast<size_t>(step * p.batches)); };
	array a(total(q.step_a), p.in), b(total(q.step_b), p.in), c(total(q.step_c), p.out);
	floats fa = a.fetch(), fb = b.fetch(), before = c.fetch();
	double tolerance = p.out == CUDA_R_32F ? 1e-5 : p.out == CUDA_R_16F ? 2e-3 : 1e-2, worst = 0, outside = 0;

	if (p.beta == 0 && p.out == CUDA_R_32F) { /* is not read then: NaN */
		cudaMemset(c.p, 0xff, c.n * c.size());
		before = floats(c.n, 0.0f);
	}
	CHECK(q.ask() == CUBLAS_STATUS_SUCCESS, "an algorithm");
	CHECK((q.choice.workspaceSize > 0) == (p.k >= 1024), "%zu bytes of workspace", q.choice.workspaceSize);
	array workspace(floats(q.choice.workspaceSize / 4 + 1));
	CHECK(cublasLtMatmul(q.handle, q.desc, &alpha, a.p, q.a, b.p, q.b, &p.beta, c.p, q.c, c.p, q.c, &q.choice.algo,
		workspace.p, q.choice.workspaceSize, 0) == CUBLAS_STATUS_SUCCESS, "a product");
	floats after = c.fetch();
	bool tf32 = p.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
	for (int s = 0; s < p.batches; s++) {
		const float *pa = fa.data() + s * q.step_a, *pb = fb.data() + s * q.step_b;

		for (int64_t j = 0; j < q.step_c; j++) {
			int64_t row = j % q.ldc, col = j / q.ldc, at = s * q.step_c + j;
			double sum = 0;

			if (row >= static_cast<int64_t>(p.m) || col >= static_cast<int64_t>(p.n)) {
				float x = after[static_cast<size_t>(at)];

				outside += x == x && x != before[static_cast<size_t>(at)];
				continue;
			}
			for (int64_t i = 0; i < static_cast<int64_t>(p.k); i++) {
				float u = pa[p.ta ? row * q.lda + i : i * q.lda + row];
				float v = pb[p.tb ? i * q.ldb + col : col * q.ldb + i];

				sum += tf32 ? static_cast<double>(sd_emu_to_tf32(u)) * sd_emu_to_tf32(v) :
					static_cast<double>(u) * v;
			}
			double want = alpha * sum + static_cast<double>(p.beta) * before[static_cast<size_t>(at)];
			double off = fabs(after[static_cast<size_t>(at)] - want) / (1 + fabs(want));
			worst = off <= worst ? worst : off == off ? off : INFINITY;
		}
	}
	CHECK(worst < tolerance && outside == 0, "%llu x %llu x %llu: off by %g, %g written outside",
		static_cast<unsigned long long>(p.m), static_cast<unsigned long long>(p.n),
		static_cast<unsigned long long>(p.k), worst, outside);
}

void test_products()
{
	const cudaDataType_t f = CUDA_R_32F, h = CUDA_R_16F, b = CUDA_R_16BF;

	for (int ta = 0; ta < 2; ta++)
		for (int tb = 0; tb < 2; tb++) {
			check_product({37, 5, 130, ta, tb, f, f, CUBLAS_COMPUTE_32F, 0, 1});
			check_product({3, 70, 9, ta, tb, f, f, CUBLAS_COMPUTE_32F_FAST_TF32, 1, 2});
			check_product({16, 4, 20, ta, tb, h, h, CUBLAS_COMPUTE_32F, 1, 1});
			check_product({16, 4, 20, ta, tb, b, b, CUBLAS_COMPUTE_32F, 0, 3});
			check_product({16, 4, 2000, ta, tb, b, f, CUBLAS_COMPUTE_32F, 0, 1});
		}
}

void test_refused_products()
{
	const product p = {8, 4, 1024, 0, 0, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F, 0, 1};
	const float one = 1, zero = 0;
	uint32_t splits = 0;
	size_t written = 0;
	asked q(p);
	array x(floats(20000));
	char *at = static_cast<char *>(x.p);

	CHECK(q.ask() == CUBLAS_STATUS_SUCCESS, "an algorithm");
	CHECK(cublasLtMatmulAlgoConfigGetAttribute(&q.choice.algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &splits,
		sizeof(splits), &written) == CUBLAS_STATUS_SUCCESS && splits == 4 && written == 4, "%u splits", splits);
	auto multiply = [&](const void *a, const void *b, void *d, void *workspace, size_t size) {
		return cublasLtMatmul(q.handle, q.desc, &one, a, q.a, b, q.b, &zero, d, q.c, d, q.c, &q.choice.algo,
			workspace, size, 0);
	};
	size_t size = q.choice.workspaceSize;
	CHECK(multiply(at, at, at + 60000, at + 70000, size) == CUBLAS_STATUS_SUCCESS, "right");
	CHECK(multiply(NULL, at, at + 60000, at + 70000, size) == CUBLAS_STATUS_INVALID_VALUE, "no A");
	CHECK(multiply(at, NULL, at + 60000, at + 70000, size) == CUBLAS_STATUS_INVALID_VALUE, "no B");
	CHECK(multiply(at, at, NULL, at + 70000, size) == CUBLAS_STATUS_INVALID_VALUE, "no D");
	CHECK(multiply(at, at, at + 60000, NULL, size) == CUBLAS_STATUS_INVALID_VALUE, "no workspace");
	CHECK(multiply(at, at, at + 60000, at + 70000, size - 1) == CUBLAS_STATUS_INVALID_VALUE, "little workspace");
	CHECK(multiply(at + 2, at, at + 60000, at + 70000, size) == CUBLAS_STATUS_INVALID_VALUE, "A at 2 bytes");
	CHECK(multiply(at, at, at + 60002, at + 70000, size) == CUBLAS_STATUS_INVALID_VALUE, "D at 2 bytes");

	int64_t ld = 7;
	int32_t order = CUBLASLT_ORDER_ROW;
	uint64_t cols = 5;
	auto refuses = [&](cublasLtMatrixLayout_t l, cublasLtMatrixLayoutAttribute_t attr, const void *v, size_t bytes,
		const void *old) {
		cublasLtMatrixLayoutSetAttribute(l, attr, v, bytes);
		cublasStatus_t status = q.ask();
		cublasLtMatrixLayoutSetAttribute(l, attr, old, bytes);
		return status;
	};
	int32_t col_order = CUBLASLT_ORDER_COL;
	uint64_t old_cols = 4;
	CHECK(refuses(q.a, CUBLASLT_MATRIX_LAYOUT_LD, &ld, sizeof(ld), &q.lda) == CUBLAS_STATUS_INVALID_VALUE,
		"ld under the rows");
	CHECK(refuses(q.b, CUBLASLT_MATRIX_LAYOUT_COLS, &cols, sizeof(cols), &old_cols) == CUBLAS_STATUS_INVALID_VALUE,
		"shapes that do not fit");
	CHECK(refuses(q.b, CUBLASLT_MATRIX_LAYOUT_ORDER, &order, sizeof(order), &col_order) ==
		CUBLAS_STATUS_NOT_SUPPORTED, "rows first");
	CHECK(q.ask() == CUBLAS_STATUS_SUCCESS, "as before");
	CHECK(cublasLtMatrixLayoutSetAttribute(q.a, CUBLASLT_MATRIX_LAYOUT_LD, &order, sizeof(order)) ==
		CUBLAS_STATUS_INVALID_VALUE, "an attribute of the wrong size");
	asked mixed({8, 4, 16, 0, 0, CUDA_R_16F, CUDA_R_16BF, CUBLAS_COMPUTE_32F, 0, 1});
	CHECK(mixed.ask() == CUBLAS_STATUS_NOT_SUPPORTED, "float16 to bfloat16");
	asked narrow({8, 4, 16, 0, 0, CUDA_R_16F, CUDA_R_16F, CUBLAS_COMPUTE_32F_FAST_TF32, 0, 1});
	CHECK(narrow.ask() == CUBLAS_STATUS_NOT_SUPPORTED, "TF32 of float16");
}

/* ---- convolutions ---- */

struct window {
	int n, c, h, w, k, r, s, pad_h, pad_w, stride, dilation;
};

struct dense {
	cudnnHandle_t handle;
	cudnnTensorDescriptor_t x, y;
	cudnnFilterDescriptor_t w;
	cudnnConvolutionDescriptor_t d;
	int n, k, h, width;

	explicit dense(const window &v)
	{
		cudnnCreate(&handle);
		cudnnCreateTensorDescriptor(&x);
		cudnnCreateTensorDescriptor(&y);
		cudnnCreateFilterDescriptor(&w);
		cudnnCreateConvolutionDescriptor(&d);
		cudnnSetTensor4dDescriptor(x, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, v.n, v.c, v.h, v.w);
		cudnnSetFilter4dDescriptor(w, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW, v.k, v.c, v.r, v.s);
		cudnnSetConvolution2dDescriptor(d, v.pad_h, v.pad_w, v.stride, v.stride, v.dilation, v.dilation,
			CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT);
		cudnnSetConvolutionMathType(d, CUDNN_FMA_MATH);
		cudnnGetConvolution2dForwardOutputDim(d, x, w, &n, &k, &h, &width);
		cudnnSetTensor4dDescriptor(y, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, n, k, h, width);
	}
	dense(const dense &) = delete;
	~dense()
	{
		cudnnDestroyTensorDescriptor(x);
		cudnnDestroyTensorDescriptor(y);
		cudnnDestroyFilterDescriptor(w);
		cudnnDestroyConvolutionDescriptor(d);
		cudnnDestroy(handle);
	}
};

double worst_of(const floats &x, const std::vector<double> &y)
{
	double worst = 0;

	for (size_t i = 0; i < x.size(); i++)
		if (!(fabs(x[i] - y[i]) / (1 + fabs(y[i])) <= worst))
			worst = x[i] == x[i] ? fabs(x[i] - y[i]) / (1 + fabs(y[i])) : INFINITY;
	return worst;
}

void check_convolution(const window &v, float alpha, float beta)
{
	dense q(v);
	size_t nx = static_cast<size_t>(v.n * v.c * v.h * v.w), nw = static_cast<size_t>(v.k * v.c * v.r * v.s);
	size_t ny = static_cast<size_t>(q.n * q.k * q.h * q.width), size = 0;
	floats x = random_floats(nx), w = random_floats(nw), y = random_floats(ny);
	array dx(x), dw(w), dy(y), gx(x), gw(w), gy(y);
	std::vector<double> want_x(nx), want_w(nw), want_y(ny);

	for (int n = 0; n < v.n; n++)
		for (int k = 0; k < v.k; k++)
			for (int i = 0; i < q.h; i++)
				for (int j = 0; j < q.width; j++)
					for (int c = 0; c < v.c; c++)
						for (int r = 0; r < v.r; r++)
							for (int s = 0; s < v.s; s++) {
								int h = i * v.stride + r * v.dilation - v.pad_h;
								int u = j * v.stride + s * v.dilation - v.pad_w;
								if (h < 0 || h >= v.h || u < 0 || u >= v.w)
									continue;
								size_t ix = static_cast<size_t>(((n * v.c + c) * v.h + h) * v.w + u);
								size_t iw = static_cast<size_t>(((k * v.c + c) * v.r + r) * v.s + s);
								size_t iy = static_cast<size_t>(((n * v.k + k) * q.h + i) * q.width + j);
								want_y[iy] += static_cast<double>(x[ix]) * w[iw];
								want_x[ix] += static_cast<double>(y[iy]) * w[iw];
								want_w[iw] += static_cast<double>(y[iy]) * x[ix];
							}
	for (size_t i = 0; i < nx; i++)
		want_x[i] = alpha * want_x[i] + static_cast<double>(beta) * x[i];
	for (size_t i = 0; i < nw; i++)
		want_w[i] = alpha * want_w[i] + static_cast<double>(beta) * w[i];
	for (size_t i = 0; i < ny; i++)
		want_y[i] = alpha * want_y[i] + static_cast<double>(beta) * y[i];
	CHECK(!cudnnGetConvolutionForwardWorkspaceSize(q.handle, q.x, q.w, q.d, q.y,
		CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, &size) && size > 0, "workspace");
	array space(floats(size / 4 + 1));
	for (const array *out : {&gx, &gw, &gy})
		if (beta == 0) /* is not read then: NaN */
			cudaMemset(out->p, 0xff, out->n * out->size());
	CHECK(!cudnnConvolutionForward(q.handle, &alpha, q.x, dx.p, q.w, dw.p, q.d,
		CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, space.p, size, &beta, q.y, gy.p), "forward");
	CHECK(!cudnnConvolutionBackwardData(q.handle, &alpha, q.w, dw.p, q.y, dy.p, q.d,
		CUDNN_CONVOLUTION_BWD_DATA_ALGO_1, space.p, size, &beta, q.x, gx.p), "backward to x");
	CHECK(!cudnnConvolutionBackwardFilter(q.handle, &alpha, q.x, dx.p, q.y, dy.p, q.d,
		CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1, space.p, size, &beta, q.w, gw.p), "backward to w");
	CHECK(worst_of(gy.fetch(), want_y) < 1e-5, "forward");
	CHECK(worst_of(gx.fetch(), want_x) < 1e-5, "backward to x");
	CHECK(worst_of(gw.fetch(), want_w) < 1e-5, "backward to w");
}

void test_convolutions()
{
	check_convolution({2, 3, 9, 8, 5, 3, 3, 1, 1, 1, 1}, 1, 0);
	check_convolution({3, 4, 11, 7, 2, 3, 3, 1, 1, 2, 1}, 1, 0);
	check_convolution({1, 2, 12, 12, 3, 5, 5, 4, 4, 1, 2}, 0.5f, 1);
	check_convolution({2, 2, 9, 9, 3, 1, 7, 0, 3, 2, 1}, 1, 0);
}

void test_refused_convolutions()
{
	dense q({1, 2, 8, 8, 3, 3, 3, 1, 1, 1, 1});
	size_t size;
	const float one = 1, zero = 0;
	array x(floats(1000));

	CHECK(cudnnGetConvolutionForwardWorkspaceSize(q.handle, q.x, q.w, q.d, q.y,
		CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, &size) == CUDNN_STATUS_NOT_SUPPORTED, "another algorithm");
	CHECK(cudnnGetConvolutionBackwardDataWorkspaceSize(q.handle, q.w, q.y, q.d, q.x,
		CUDNN_CONVOLUTION_BWD_DATA_ALGO_0, &size) == CUDNN_STATUS_NOT_SUPPORTED, "one that does not repeat");
	CHECK(cudnnGetConvolutionBackwardFilterWorkspaceSize(q.handle, q.x, q.y, q.d, q.w,
		CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0, &size) == CUDNN_STATUS_NOT_SUPPORTED, "one that does not repeat");
	CHECK(!cudnnGetConvolutionForwardWorkspaceSize(q.handle, q.x, q.w, q.d, q.y,
		CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, &size), "workspace");
	CHECK(cudnnConvolutionForward(q.handle, &one, q.x, x.p, q.w, x.p, q.d,
		CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, x.p, size - 1, &zero, q.y, x.p) ==
		CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT, "little workspace");
	CHECK(cudnnConvolutionForward(q.handle, &one, q.x, NULL, q.w, x.p, q.d,
		CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, x.p, size, &zero, q.y, x.p) ==
		CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "no x");
	cudnnSetTensor4dDescriptor(q.y, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, 1, 3, 8, 7);
	CHECK(cudnnGetConvolutionForwardWorkspaceSize(q.handle, q.x, q.w, q.d, q.y,
		CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, &size) == CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH,
		"a narrow y");
	cudnnSetTensor4dDescriptor(q.y, CUDNN_TENSOR_NHWC, CUDNN_DATA_FLOAT, 1, 3, 8, 8);
	CHECK(cudnnGetConvolutionForwardWorkspaceSize(q.handle, q.x, q.w, q.d, q.y,
		CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, &size) == CUDNN_STATUS_NOT_SUPPORTED, "NHWC");
	CHECK(cudnnSetTensor4dDescriptor(q.y, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, 1, 0, 8, 8) == CUDNN_STATUS_BAD_PARAM,
		"no channels");
}

}

int main()
{
	test_products();
	test_refused_products();
	test_convolutions();
	test_refused_convolutions();
	return check_done();
}
