/* cublaslt.cpp: matrix products, D = alpha op(A) op(B) + beta C, with the checks of the real library; and
 * workspace is written to, as the real one may. */
#include <cublasLt.h>
#include <string.h>

#include "emu/narrow.h"
#include "emulator.h"
#include "product.h"

struct cublasLtContext {
	int unused;
};
struct cublasLtMatmulDesc_st {
	cublasComputeType_t compute;
	cudaDataType_t scale;
	int32_t transa, transb, pointer_mode;
	uint32_t epilogue;
};
struct cublasLtMatrixLayout_st {
	uint32_t type;
	int32_t order;
	uint64_t rows, cols;
	int64_t ld;
	int32_t batches;
	int64_t stride;
};
struct cublasLtMatmulPreference_st {
	uint64_t workspace;
	uint32_t reductions;
	uint32_t align[4]; /* A, B, C, D */
};

namespace emu {

/* What is inside cublasLtMatmulAlgo_t. */
struct algorithm {
	uint64_t magic, workspace;
	uint32_t align[4];
	uint32_t splits, reduction;
	uint32_t type_in, type_out;
};
static_assert(sizeof(algorithm) <= sizeof(cublasLtMatmulAlgo_t), "it has to fit");
static const uint64_t MAGIC = 0x6d6c61206c756d73;

struct shape {
	uint64_t m, n, k;
};

template <typename T> static cublasStatus_t set(T &field, const void *buf, size_t size)
{
	if (!buf || size != sizeof(T))
		return CUBLAS_STATUS_INVALID_VALUE;
	memcpy(&field, buf, sizeof(T));
	return CUBLAS_STATUS_SUCCESS;
}

static size_t element(uint32_t type) { return type == CUDA_R_32F ? 4 : 2; }

static bool bad_layout(const cublasLtMatrixLayout_st *l)
{
	return !l || !l->rows || !l->cols || l->ld < static_cast<int64_t>(l->rows) || l->batches < 1;
}

/* The shape of a product, where everything fits and is supported. */
static cublasStatus_t check(cublasLtHandle_t handle, const cublasLtMatmulDesc_st *desc,
	const cublasLtMatrixLayout_st *a, const cublasLtMatrixLayout_st *b, const cublasLtMatrixLayout_st *c,
	const cublasLtMatrixLayout_st *d, shape &s)
{
	if (!handle)
		return CUBLAS_STATUS_NOT_INITIALIZED;
	if (!desc || bad_layout(a) || bad_layout(b) || bad_layout(c) || bad_layout(d))
		return CUBLAS_STATUS_INVALID_VALUE;
	s.m = d->rows;
	s.n = d->cols;
	s.k = desc->transa == CUBLAS_OP_N ? a->cols : a->rows;
	if ((desc->transa == CUBLAS_OP_N ? a->rows : a->cols) != s.m ||
	    (desc->transb == CUBLAS_OP_N ? b->rows : b->cols) != s.k ||
	    (desc->transb == CUBLAS_OP_N ? b->cols : b->rows) != s.n || c->rows != s.m || c->cols != s.n)
		return CUBLAS_STATUS_INVALID_VALUE;
	if (a->batches != d->batches || b->batches != d->batches || c->batches != d->batches)
		return CUBLAS_STATUS_INVALID_VALUE;
	bool narrow = a->type == CUDA_R_16BF || a->type == CUDA_R_16F;
	if (a->type != b->type || c->type != d->type || (!narrow && a->type != CUDA_R_32F) ||
	    (d->type != CUDA_R_32F && d->type != a->type) || desc->scale != CUDA_R_32F ||
	    (desc->compute != CUBLAS_COMPUTE_32F && desc->compute != CUBLAS_COMPUTE_32F_FAST_TF32) ||
	    (desc->compute == CUBLAS_COMPUTE_32F_FAST_TF32 && narrow) ||
	    desc->epilogue != CUBLASLT_EPILOGUE_DEFAULT || desc->pointer_mode != CUBLASLT_POINTER_MODE_HOST ||
	    a->order != CUBLASLT_ORDER_COL || b->order != CUBLASLT_ORDER_COL || c->order != CUBLASLT_ORDER_COL ||
	    d->order != CUBLASLT_ORDER_COL)
		return CUBLAS_STATUS_NOT_SUPPORTED;
	return CUBLAS_STATUS_SUCCESS;
}

static float get(const void *p, uint32_t type, uint64_t i)
{
	switch (type) {
	case CUDA_R_32F: return static_cast<const float *>(p)[i];
	case CUDA_R_16BF: return sd_emu_from_bf16(static_cast<const uint16_t *>(p)[i]);
	default: return sd_emu_from_f16(static_cast<const uint16_t *>(p)[i]);
	}
}

static void put(void *p, uint32_t type, uint64_t i, float x)
{
	switch (type) {
	case CUDA_R_32F: static_cast<float *>(p)[i] = x; break;
	case CUDA_R_16BF: static_cast<uint16_t *>(p)[i] = sd_emu_to_bf16(x); break;
	default: static_cast<uint16_t *>(p)[i] = sd_emu_to_f16(x);
	}
}

/* Rows x cols elements, element (i, j) at i * step_i + j * step_j. */
static packed pack(const void *p, uint32_t type, bool tf32, uint64_t rows, uint64_t cols, uint64_t step_i,
	uint64_t step_j)
{
	packed m(rows, cols);

	for (uint64_t i = 0; i < rows; i++)
		for (uint64_t j = 0; j < cols; j++) {
			float x = get(p, type, i * step_i + j * step_j);

			m.row(i)[j] = tf32 ? sd_emu_to_tf32(x) : x;
		}
	return m;
}

/* One operand in memory. */
struct operand {
	cublasLtMatrixLayout_st layout;
	const char *p;

	const char *batch(int i) const
	{
		return p + static_cast<int64_t>(element(layout.type)) * layout.stride * i;
	}
	size_t bytes() const
	{
		return element(layout.type) * ((layout.cols - 1) * static_cast<uint64_t>(layout.ld) + layout.rows);
	}
};

static void check_memory(const operand &o, const char *name)
{
	for (int i = 0; i < o.layout.batches; i++)
		if (!on_device(o.batch(i), o.bytes()))
			fail("a matrix product whose %s is not all in the device's memory", name);
}

static void multiply(const cublasLtMatmulDesc_st &desc, const shape &s, float alpha, const operand &a,
	const operand &b, float beta, const operand &c, const operand &d, void *workspace, size_t workspace_size)
{
	/* the real library minds this variable too */
	bool tf32 = desc.compute == CUBLAS_COMPUTE_32F_FAST_TF32 && environment("NVIDIA_TF32_OVERRIDE", 1);
	uint64_t lda = static_cast<uint64_t>(a.layout.ld), ldb = static_cast<uint64_t>(b.layout.ld);

	check_memory(a, "A");
	check_memory(b, "B");
	check_memory(c, "C");
	check_memory(d, "D");
	if (workspace_size) {
		if (!on_device(workspace, workspace_size))
			fail("a matrix product whose workspace is not all in the device's memory");
		poison(workspace, workspace_size);
	}
	for (int batch = 0; batch < d.layout.batches; batch++) {
		packed pa = desc.transa == CUBLAS_OP_N ? pack(a.batch(batch), a.layout.type, tf32, s.k, s.m, lda, 1) :
			pack(a.batch(batch), a.layout.type, tf32, s.k, s.m, 1, lda);
		packed pb = desc.transb == CUBLAS_OP_N ? pack(b.batch(batch), b.layout.type, tf32, s.n, s.k, ldb, 1) :
			pack(b.batch(batch), b.layout.type, tf32, s.n, s.k, 1, ldb);
		packed sum(s.n, s.m);

		product(pa, pb, sum);
		for (uint64_t j = 0; j < s.n; j++)
			for (uint64_t i = 0; i < s.m; i++) {
				float x = alpha * sum.row(j)[i];

				if (beta != 0)
					x += beta * get(c.batch(batch), c.layout.type,
						j * static_cast<uint64_t>(c.layout.ld) + i);
				put(const_cast<char *>(d.batch(batch)), d.layout.type,
					j * static_cast<uint64_t>(d.layout.ld) + i, x);
			}
	}
}

/* Whether addresses are what the algorithm was asked for. */
static bool aligned(const operand &o, uint32_t bytes)
{
	return reinterpret_cast<uintptr_t>(o.p) % bytes == 0 &&
		(o.layout.batches == 1 || element(o.layout.type) * static_cast<uint64_t>(o.layout.stride) % bytes == 0);
}

}

using namespace emu;

size_t cublasLtGetVersion(void) { return CUBLAS_VERSION; }

const char *cublasLtGetStatusName(cublasStatus_t status)
{
	switch (status) {
	case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
	case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
	case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
	case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
	case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
	default: return "<unknown>";
	}
}

const char *cublasLtGetStatusString(cublasStatus_t status) { return cublasLtGetStatusName(status); }

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
	lock held;

	if (!handle)
		return CUBLAS_STATUS_INVALID_VALUE;
	if (sticky_error())
		return CUBLAS_STATUS_NOT_INITIALIZED;
	*handle = new cublasLtContext();
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
	if (!handle)
		return CUBLAS_STATUS_NOT_INITIALIZED;
	delete handle;
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t compute,
	cudaDataType_t scale)
{
	if (!desc)
		return CUBLAS_STATUS_INVALID_VALUE;
	*desc = new cublasLtMatmulDesc_st{compute, scale, CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_POINTER_MODE_HOST,
		CUBLASLT_EPILOGUE_DEFAULT};
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc)
{
	delete desc;
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attr,
	const void *buf, size_t size)
{
	if (!desc)
		return CUBLAS_STATUS_INVALID_VALUE;
	switch (attr) {
	case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE: return set(desc->compute, buf, size);
	case CUBLASLT_MATMUL_DESC_SCALE_TYPE: return set(desc->scale, buf, size);
	case CUBLASLT_MATMUL_DESC_POINTER_MODE: return set(desc->pointer_mode, buf, size);
	case CUBLASLT_MATMUL_DESC_TRANSA: return set(desc->transa, buf, size);
	case CUBLASLT_MATMUL_DESC_TRANSB: return set(desc->transb, buf, size);
	case CUBLASLT_MATMUL_DESC_EPILOGUE: return set(desc->epilogue, buf, size);
	default: return CUBLAS_STATUS_INVALID_VALUE;
	}
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type, uint64_t rows,
	uint64_t cols, int64_t ld)
{
	if (!layout)
		return CUBLAS_STATUS_INVALID_VALUE;
	*layout = new cublasLtMatrixLayout_st{static_cast<uint32_t>(type), CUBLASLT_ORDER_COL, rows, cols, ld, 1, 0};
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
	delete layout;
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
	cublasLtMatrixLayoutAttribute_t attr, const void *buf, size_t size)
{
	if (!layout)
		return CUBLAS_STATUS_INVALID_VALUE;
	switch (attr) {
	case CUBLASLT_MATRIX_LAYOUT_TYPE: return set(layout->type, buf, size);
	case CUBLASLT_MATRIX_LAYOUT_ORDER: return set(layout->order, buf, size);
	case CUBLASLT_MATRIX_LAYOUT_ROWS: return set(layout->rows, buf, size);
	case CUBLASLT_MATRIX_LAYOUT_COLS: return set(layout->cols, buf, size);
	case CUBLASLT_MATRIX_LAYOUT_LD: return set(layout->ld, buf, size);
	case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT: return set(layout->batches, buf, size);
	case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET: return set(layout->stride, buf, size);
	default: return CUBLAS_STATUS_INVALID_VALUE;
	}
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *pref)
{
	if (!pref)
		return CUBLAS_STATUS_INVALID_VALUE;
	*pref = new cublasLtMatmulPreference_st{0, CUBLASLT_REDUCTION_SCHEME_MASK, {256, 256, 256, 256}};
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t pref)
{
	delete pref;
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t pref,
	cublasLtMatmulPreferenceAttributes_t attr, const void *buf, size_t size)
{
	if (!pref)
		return CUBLAS_STATUS_INVALID_VALUE;
	switch (attr) {
	case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: return set(pref->workspace, buf, size);
	case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: return set(pref->reductions, buf, size);
	case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES: return set(pref->align[0], buf, size);
	case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: return set(pref->align[1], buf, size);
	case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES: return set(pref->align[2], buf, size);
	case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: return set(pref->align[3], buf, size);
	default: return CUBLAS_STATUS_INVALID_VALUE;
	}
}

/* Long sums are split in four where that is allowed, into a workspace. */
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
	cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
	cublasLtMatmulPreference_t pref, int requested, cublasLtMatmulHeuristicResult_t result[], int *count)
{
	lock held;
	shape s;
	cublasStatus_t status = check(handle, desc, a, b, c, d, s);
	algorithm algo;

	if (status)
		return status;
	if (!pref || !result || !count || requested < 1)
		return CUBLAS_STATUS_INVALID_VALUE;
	for (uint32_t bytes : pref->align)
		if (!bytes || bytes & (bytes - 1))
			return CUBLAS_STATUS_INVALID_VALUE;
	memset(&algo, 0, sizeof(algo));
	algo.magic = MAGIC;
	memcpy(algo.align, pref->align, sizeof(algo.align));
	algo.splits = 1;
	algo.type_in = a->type;
	algo.type_out = d->type;
	uint64_t needed = 4 * s.m * s.n * sizeof(float) * static_cast<uint64_t>(d->batches);
	if (s.k >= 1024 && pref->reductions & CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE && needed <= pref->workspace) {
		algo.splits = 4;
		algo.reduction = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
		algo.workspace = needed;
	}
	memset(result, 0, sizeof(*result));
	memcpy(&result->algo, &algo, sizeof(algo));
	result->workspaceSize = algo.workspace;
	result->wavesCount = 1;
	*count = 1;
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *algo,
	cublasLtMatmulAlgoConfigAttributes_t attr, void *buf, size_t size, size_t *written)
{
	algorithm x;
	uint32_t value;
	size_t needed = sizeof(value);

	if (!algo)
		return CUBLAS_STATUS_INVALID_VALUE;
	memcpy(&x, algo, sizeof(x));
	if (x.magic != MAGIC)
		return CUBLAS_STATUS_INVALID_VALUE;
	switch (attr) {
	case CUBLASLT_ALGO_CONFIG_SPLITK_NUM: value = x.splits; break;
	case CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME: value = x.reduction; break;
	case CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID:
	case CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID:
		needed = sizeof(uint16_t);
		value = 0;
		break;
	case CUBLASLT_ALGO_CONFIG_ID:
	case CUBLASLT_ALGO_CONFIG_TILE_ID:
	case CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING:
	case CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION:
	case CUBLASLT_ALGO_CONFIG_STAGES_ID:
		value = 0;
		break;
	default:
		return CUBLAS_STATUS_INVALID_VALUE;
	}
	if (written)
		*written = needed;
	if (!size && written)
		return CUBLAS_STATUS_SUCCESS;
	if (!buf || size < needed)
		return CUBLAS_STATUS_INVALID_VALUE;
	memcpy(buf, &value, needed); /* little-endian */
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
	const void *a, cublasLtMatrixLayout_t a_layout, const void *b, cublasLtMatrixLayout_t b_layout,
	const void *beta, const void *c, cublasLtMatrixLayout_t c_layout, void *d,
	cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo, void *workspace, size_t workspace_size,
	cudaStream_t stream)
{
	lock held;
	shape s;
	cublasStatus_t status = check(handle, desc, a_layout, b_layout, c_layout, d_layout, s);
	algorithm x;

	if (status)
		return status;
	/* without an algorithm the real one asks its heuristic: a choice that nobody recorded */
	if (!alpha || !a || !b || !beta || !c || !d || !algo || !is_stream(stream))
		return CUBLAS_STATUS_INVALID_VALUE;
	memcpy(&x, algo, sizeof(x));
	if (x.magic != MAGIC || x.type_in != a_layout->type || x.type_out != d_layout->type ||
	    x.workspace > workspace_size || (x.workspace && (!workspace || reinterpret_cast<uintptr_t>(workspace) % 16)))
		return CUBLAS_STATUS_INVALID_VALUE;
	operand oa = {*a_layout, static_cast<const char *>(a)}, ob = {*b_layout, static_cast<const char *>(b)};
	operand oc = {*c_layout, static_cast<const char *>(c)}, od = {*d_layout, static_cast<const char *>(d)};
	if (!aligned(oa, x.align[0]) || !aligned(ob, x.align[1]) || !aligned(oc, x.align[2]) ||
	    !aligned(od, x.align[3]))
		return CUBLAS_STATUS_INVALID_VALUE;
	if (c == d && (c_layout->ld != d_layout->ld || c_layout->stride != d_layout->stride))
		return CUBLAS_STATUS_INVALID_VALUE;
	if (!is_capturing(stream) && count_work())
		return CUBLAS_STATUS_EXECUTION_FAILED;
	float fa, fb;
	memcpy(&fa, alpha, sizeof(fa));
	memcpy(&fb, beta, sizeof(fb));
	cublasLtMatmulDesc_st copy = *desc;
	size_t used = x.workspace;
	cudaError_t e = enqueue(stream, [=] {
		count_kernel();
		multiply(copy, s, fa, oa, ob, fb, oc, od, workspace, used);
	});
	return e ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}
