/* gemm.c: matrix products through cuBLASLt.
 *
 * The algorithm is the first that the library's heuristic names for the shape, with reductions in place
 * excluded, under one workspace limit: a rule of shapes and version alone, never of timing.  Each shape asks
 * once. */
#include "engine/cuda/cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* What an algorithm is chosen by.  Compared as bytes: no padding. */
struct key {
	int32_t m, n, k, lda, ldb, ldc, trans_a, trans_b, type, type_c, tf32, align_a, align_b, align_c;
};

struct sd_cuda_gemm_choice {
	struct key key;
	cublasLtMatmulAlgo_t algo;
	size_t workspace;
};

struct op {
	cublasLtMatmulDesc_t desc;
	cublasLtMatrixLayout_t a, b, c;
};

static int failed(cublasStatus_t s, const char *what)
{
	return sd_error(SD_ERR_DEVICE, "cuBLASLt: %s: status %d", what, (int)s);
}

#define TRY(call, what) do { \
	cublasStatus_t status_ = (call); \
	if (status_ != CUBLAS_STATUS_SUCCESS) { \
		failed(status_, what); \
		goto out; \
	} \
} while (0)

static cudaDataType_t data_type(enum sd_cu_type t)
{
	return t == SD_CU_F32 ? CUDA_R_32F : t == SD_CU_BF16 ? CUDA_R_16BF : CUDA_R_16F;
}

/* The largest power of two, at most 256, that divides an address. */
static int32_t alignment(const void *p)
{
	uintptr_t x = (uintptr_t)p | 256;

	return (int32_t)(x & (~x + 1));
}

static void op_release(const struct sd_cublaslt *lt, struct op *op)
{
	if (op->desc)
		lt->cublasLtMatmulDescDestroy(op->desc);
	if (op->a)
		lt->cublasLtMatrixLayoutDestroy(op->a);
	if (op->b)
		lt->cublasLtMatrixLayoutDestroy(op->b);
	if (op->c)
		lt->cublasLtMatrixLayoutDestroy(op->c);
}

static int op_init(const struct sd_cublaslt *lt, const struct sd_cuda_gemm *g, struct op *op)
{
	cublasOperation_t ta = g->trans_a ? CUBLAS_OP_T : CUBLAS_OP_N, tb = g->trans_b ? CUBLAS_OP_T : CUBLAS_OP_N;
	cudaDataType_t t = data_type(g->type);
	int rc = -1;

	memset(op, 0, sizeof(*op));
	TRY(lt->cublasLtMatmulDescCreate(&op->desc, g->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
		CUDA_R_32F), "a description");
	TRY(lt->cublasLtMatmulDescSetAttribute(op->desc, CUBLASLT_MATMUL_DESC_TRANSA, &ta, sizeof(ta)), "an operand");
	TRY(lt->cublasLtMatmulDescSetAttribute(op->desc, CUBLASLT_MATMUL_DESC_TRANSB, &tb, sizeof(tb)), "an operand");
	TRY(lt->cublasLtMatrixLayoutCreate(&op->a, t, (uint64_t)(g->trans_a ? g->k : g->m),
		(uint64_t)(g->trans_a ? g->m : g->k), g->lda), "a layout");
	TRY(lt->cublasLtMatrixLayoutCreate(&op->b, t, (uint64_t)(g->trans_b ? g->n : g->k),
		(uint64_t)(g->trans_b ? g->k : g->n), g->ldb), "a layout");
	TRY(lt->cublasLtMatrixLayoutCreate(&op->c, data_type(g->type_c), (uint64_t)g->m, (uint64_t)g->n, g->ldc),
		"a layout");
	rc = 0;
out:
	return rc;
}

static int ask(struct sd_cuda_engine *e, const struct op *op, struct sd_cuda_gemm_choice *choice)
{
	const struct sd_cublaslt *lt = e->lt;
	const struct key *k = &choice->key;
	uint32_t reductions = SD_CUDA_REDUCTIONS;
	uint32_t align_a = (uint32_t)k->align_a, align_b = (uint32_t)k->align_b, align_c = (uint32_t)k->align_c;
	size_t limit = SD_CUDA_WORKSPACE;
	cublasLtMatmulPreference_t pref = NULL;
	cublasLtMatmulHeuristicResult_t result;
	int n = 0, rc = -1;

	memset(&result, 0, sizeof(result));
#define PREFER(what, x) \
	TRY(lt->cublasLtMatmulPreferenceSetAttribute(pref, CUBLASLT_MATMUL_PREF_##what, &(x), sizeof(x)), #what)
	TRY(lt->cublasLtMatmulPreferenceCreate(&pref), "a preference");
	PREFER(MAX_WORKSPACE_BYTES, limit);
	PREFER(REDUCTION_SCHEME_MASK, reductions);
	PREFER(MIN_ALIGNMENT_A_BYTES, align_a);
	PREFER(MIN_ALIGNMENT_B_BYTES, align_b);
	PREFER(MIN_ALIGNMENT_C_BYTES, align_c);
	PREFER(MIN_ALIGNMENT_D_BYTES, align_c);
#undef PREFER
	TRY(lt->cublasLtMatmulAlgoGetHeuristic(e->lt_handle, op->desc, op->a, op->b, op->c, op->c, pref, 1, &result, &n),
		"an algorithm");
	if (n < 1 || result.state != CUBLAS_STATUS_SUCCESS) {
		sd_error(SD_ERR_DEVICE, "cuBLASLt has no algorithm for a product of %d x %d x %d", k->m, k->n, k->k);
		goto out;
	}
	choice->algo = result.algo;
	choice->workspace = result.workspaceSize;
	rc = 0;
out:
	if (pref)
		lt->cublasLtMatmulPreferenceDestroy(pref);
	return rc;
}

/* The choice for a key, made now if it is new.  NULL with a message. */
static const struct sd_cuda_gemm_choice *choose(struct sd_cuda_engine *e, const struct key *key, const struct op *op)
{
	struct sd_cuda_gemm_choice *c;
	int i;

	for (i = 0; i < e->nchoice; i++)
		if (!memcmp(&e->choice[i].key, key, sizeof(*key)))
			return &e->choice[i];
	if (e->nchoice == e->cap_choice) {
		int cap = e->cap_choice ? 2 * e->cap_choice : 64;

		c = realloc(e->choice, (size_t)cap * sizeof(*c));
		if (!c) {
			sd_error(SD_ERR_IO, "out of memory");
			return NULL;
		}
		e->choice = c;
		e->cap_choice = cap;
	}
	c = &e->choice[e->nchoice];
	memset(c, 0, sizeof(*c));
	c->key = *key;
	if (ask(e, op, c))
		return NULL;
	e->nchoice++;
	return c;
}

int sd_cuda_gemm(struct sd_cuda_step *st, const struct sd_cuda_gemm *g)
{
	struct sd_cuda_engine *e = st->e;
	struct key key = { g->m, g->n, g->k, g->lda, g->ldb, g->ldc, g->trans_a, g->trans_b, (int32_t)g->type,
		(int32_t)g->type_c, g->tf32, alignment(g->a), alignment(g->b), alignment(g->c) };
	const struct sd_cuda_gemm_choice *choice;
	const float one = 1;
	struct op op;
	void *workspace;
	int rc = -1;

	sd_cu_group_flush(&st->run);
	if (e->base.plans_only) { /* the heuristic wants a device; the workspace is not known then */
		st->run.launches++;
		return 0;
	}
	if (op_init(e->lt, g, &op))
		goto out;
	choice = choose(e, &key, &op);
	if (!choice)
		goto out;
	workspace = sd_cu_take(&st->run, choice->workspace);
	st->run.launches++;
	if (!st->run.dry)
		TRY(e->lt->cublasLtMatmul(e->lt_handle, op.desc, &one, g->a, op.a, g->b, op.b, &g->beta, g->c, op.c, g->c,
			op.c, &choice->algo, workspace, choice->workspace, st->run.stream), "a product");
	rc = 0;
out:
	op_release(e->lt, &op);
	return rc;
}

void sd_cuda_gemm_choices(const struct sd_engine *base, sd_engine_fact *fact, void *ctx)
{
	static const struct {
		cublasLtMatmulAlgoConfigAttributes_t attr;
		size_t size;
		const char *name;
	} part[] = {
		{ CUBLASLT_ALGO_CONFIG_ID, 4, "id" }, { CUBLASLT_ALGO_CONFIG_TILE_ID, 4, "tile" },
		{ CUBLASLT_ALGO_CONFIG_STAGES_ID, 4, "stages" }, { CUBLASLT_ALGO_CONFIG_SPLITK_NUM, 4, "split" },
		{ CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, 4, "reduction" },
		{ CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, 4, "swizzling" },
		{ CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION, 4, "option" },
		{ CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID, 2, "inner" },
		{ CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, 2, "cluster" },
	};
	static const char *const type[] = { [SD_CU_F32] = "fp32", [SD_CU_BF16] = "bf16", [SD_CU_F16] = "fp16" };
	const struct sd_cuda_engine *e = (const struct sd_cuda_engine *)base;
	char name[160], value[256];
	int i;

	for (i = 0; i < e->nchoice; i++) {
		const struct sd_cuda_gemm_choice *c = &e->choice[i];
		const struct key *k = &c->key;
		size_t at = 0, p;

		snprintf(name, sizeof(name), "%s %s %dx%dx%d %c%c ld %d %d %d align %d %d %d",
			k->tf32 ? "tf32" : type[k->type], type[k->type_c], k->m, k->n, k->k, k->trans_a ? 't' : 'n',
			k->trans_b ? 't' : 'n', k->lda, k->ldb, k->ldc, k->align_a, k->align_b, k->align_c);
		for (p = 0; p < sizeof(part) / sizeof(*part) && at < sizeof(value); p++) {
			uint32_t x = 0; /* the shorter ones are its first bytes */
			size_t written;

			/* what a version of the library does not know it does not use */
			if (e->lt->cublasLtMatmulAlgoConfigGetAttribute(&c->algo, part[p].attr, &x, part[p].size,
					&written) != CUBLAS_STATUS_SUCCESS)
				continue;
			at += (size_t)snprintf(value + at, sizeof(value) - at, "%s%s %u", at ? " " : "", part[p].name, x);
		}
		fact(ctx, name, value);
	}
}

void sd_cuda_gemm_release(struct sd_cuda_engine *e)
{
	free(e->choice);
}
