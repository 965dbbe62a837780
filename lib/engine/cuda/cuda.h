/* cuda.h: what the parts of the CUDA engine share.
 *
 * Images lie as (N, H, W, C); a part of a concat is a view whose pixels are as far apart as the whole's.
 * All work goes to one stream.  Runs of programs that come again are captured into a CUDA graph, one for each set
 * of buffers that they are bound to, and replayed after that. */
#ifndef SD_ENGINE_CUDA_CUDA_H
#define SD_ENGINE_CUDA_CUDA_H

#include "engine/cuda/libs.h"
#include "engine/ops.h"
#include "kernels/kernels.h"

enum { SD_STAGES = 16 };

/* The rule by which algorithms of the libraries are chosen (gemm.c, conv.c); a claim's environment tells it. */
#define SD_CUDA_WORKSPACE ((size_t)32 << 20)
#define SD_CUDA_REDUCTIONS CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE
#define SD_CUDA_FORWARD CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM
#define SD_CUDA_BACKWARD_X CUDNN_CONVOLUTION_BWD_DATA_ALGO_1
#define SD_CUDA_BACKWARD_W CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1

struct sd_cuda_gemm_choice; /* gemm.c */
struct sd_cuda_graph;
struct sd_cuda_split;

struct sd_cuda_engine {
	struct sd_engine base;
	int device;
	int translator;           /* version of the driver where it makes the kernels from PTX, else 0 */
	char name[300];           /* "NVIDIA H100 80GB HBM3, sm_90" */
	char path[16];            /* "sm_90" */
	cudaStream_t stream;
	enum sd_precision precision;
	enum sd_cu_type type;     /* of images */
	const struct sd_cublaslt *lt;
	cublasLtHandle_t lt_handle;
	const struct sd_cudnn *dnn; /* from the first dense convolution on */
	cudnnHandle_t dnn_handle;

	/* One allocation for all programs: values (placed by the plans), then scratch of the step under way. */
	char *arena;
	size_t values_size, scratch_size;
	unsigned generation;      /* counts up when the arena moves: captured graphs are stale then */

	/* What the host writes goes through pinned memory, so that it need not wait. */
	struct {
		char *p;
		cudaEvent_t done;     /* its copies are */
	} stage[SD_STAGES];
	int stage_at;
	size_t stage_used;

	struct sd_cuda_gemm_choice *choice; /* algorithms taken, by shape */
	int nchoice, cap_choice;

	unsigned long ids;        /* given so far */
	struct sd_cuda_graph *graph; /* what was run, the last first */
	struct sd_cuda_split *split; /* data sets on the device */
	int32_t *flag;            /* device: for trace_nan */
	unsigned *counters;       /* device: for sd_cu_run */
	struct sd_cu_group *group; /* launches of the steps under way */
	cudaEvent_t *event;       /* between the groups of steps of a profiled program */
	int nevent;
};

/* Tables of a program's optimiser steps for one set of buffers. */
struct sd_cuda_bound {
	unsigned long id;         /* of no other in this engine, ever */
	void **data;              /* (nslot): the buffers */
	unsigned generation;
	struct sd_cu_tensors *tensors; /* by step; for those that are no optimiser unused */
	void *memory;             /* device: the tables */
	struct sd_cuda_bound *next;
};

/* Work that was done once, and captured when it came again. */
struct sd_cuda_graph {
	int n;
	struct sd_cuda_part {
		unsigned long id;     /* of the program's set of buffers, or of the feed */
		void *x, *labels, *ids;
	} *part;                  /* (n) */
	unsigned generation;
	cudaGraphExec_t exec;     /* NULL: not yet */
	struct sd_cuda_graph *next;
};

/* A split's bytes on the device, shared by the feeds of one data set. */
struct sd_cuda_split {
	const void *host;         /* by which it is known again while a feed uses it */
	uint8_t *images;
	int32_t *labels;
	float *table;
	int uses;
	struct sd_cuda_split *next;
};

struct sd_cuda_feed {
	struct sd_device_feed base;
	unsigned long id;         /* of no other feed or set of buffers in this engine */
	struct sd_cuda_split *split;
	struct sd_cu_batch batch; /* all but the buffers */
	uint32_t *indices, *order;
	int32_t *epoch;           /* and behind it `next` */
	uint32_t n;
	uint32_t *permutation;    /* host, (n) */
};

struct sd_cuda_program {
	struct sd_program base;
	struct sd_cuda_engine *e; /* the base's, by its own type */
	const struct sd_graph *g;
	const struct sd_plan *plan;
	struct sd_cuda_bound *bound;
};

/* A step under way: what exec_*.c, conv.c and gemm.c work with. */
struct sd_cuda_step {
	struct sd_cuda_program *p;
	struct sd_cuda_engine *e;
	const struct sd_step *s;
	const struct sd_node *n;
	const struct sd_bind *bind;          /* NULL in a dry run */
	const struct sd_cuda_bound *bound;   /* NULL in a dry run */
	int index;                           /* of the step */
	int pairs_done;                      /* so many of its partners' work the step's own kernels did too */
	struct sd_cu_run run;
};

/* -1 with a message of kind SD_ERR_DEVICE that names what failed. */
int sd_cuda_fail(cudaError_t err, const char *what);
/* Returns that from the function around it when a call fails. */
#define SD_CUDA_TRY(call, what) do { \
	cudaError_t err_ = (call); \
	if (err_ != cudaSuccess) \
		return sd_cuda_fail(err_, what); \
} while (0)
/* Reports any error of the launches since the last call. */
int sd_cuda_check(const char *what);

/* Bytes of an element of an image. */
static inline size_t sd_cuda_elem(enum sd_cu_type t)
{
	return t == SD_CU_F32 ? 4 : 2;
}

/* ---- exec_image.c, exec_rows.c ---- */
/* Puts one step on the stream (or counts it, in a dry run).  -1 with a message. */
int sd_cuda_exec(struct sd_cuda_step *st);
int sd_cuda_exec_image(struct sd_cuda_step *st); /* 1 if it is an image op, 0 if not, -1 */
int sd_cuda_exec_rows(struct sd_cuda_step *st);
/* Memory of the image v, and of a value that is no image (NULL for SD_NIL). */
struct sd_cu_img sd_cuda_image(const struct sd_cuda_step *st, sd_val v);
void *sd_cuda_rows(const struct sd_cuda_step *st, sd_val v);
/* An image of its own in scratch: packed, of the engine's type. */
struct sd_cu_img sd_cuda_scratch_image(struct sd_cuda_step *st, int n, int c, int h, int w);

/* ---- gemm.c ---- */
/* C = op(A) op(B) + beta C, column-major, op the identity or the transpose. */
struct sd_cuda_gemm {
	int m, n, k;
	const void *a, *b;
	int lda, ldb, ldc;
	int trans_a, trans_b;
	enum sd_cu_type type;     /* of A and B */
	void *c;
	enum sd_cu_type type_c;
	float beta;
	int tf32;                 /* float32 inputs may be rounded to TF32 */
};
int sd_cuda_gemm(struct sd_cuda_step *st, const struct sd_cuda_gemm *g);
void sd_cuda_gemm_release(struct sd_cuda_engine *e);
/* Tells the algorithm that was taken for each product. */
void sd_cuda_gemm_choices(const struct sd_engine *e, sd_engine_fact *fact, void *ctx);

/* ---- conv.c: dense convolutions ---- */
int sd_cuda_conv(struct sd_cuda_step *st);
int sd_cuda_conv_bwd_x(struct sd_cuda_step *st);
int sd_cuda_conv_bwd_w(struct sd_cuda_step *st);
int sd_cuda_frconv(struct sd_cuda_step *st);
int sd_cuda_frconv_bwd_x(struct sd_cuda_step *st);
int sd_cuda_frconv_bwd_w(struct sd_cuda_step *st);
/* Operand i as it is loaded; its memory alone; where the step's result goes. */
struct sd_cu_src sd_cuda_source(const struct sd_cuda_step *st, int i);
/* The same where it may be a gradient that is taken back through a norm. */
struct sd_cu_grad sd_cuda_gradient(const struct sd_cuda_step *st, int i);
struct sd_cu_img sd_cuda_operand(const struct sd_cuda_step *st, int i);
struct sd_cu_dst sd_cuda_result(const struct sd_cuda_step *st);
/* Where statistics of the step's result go that it is to take too; NULL if it is not. */
void sd_cuda_stats_of(const struct sd_cuda_step *st, float **mean, float **var);

/* ---- feed.c ---- */
int sd_cuda_feed_fits(struct sd_engine *e, size_t bytes);
struct sd_device_feed *sd_cuda_feed_new(struct sd_engine *e, const struct sd_feed_spec *spec);
void sd_cuda_feed_free(struct sd_device_feed *f);
int sd_cuda_feed_epoch(struct sd_device_feed *f, uint32_t epoch, uint32_t from);
/* Puts the next batch into the buffers of w. */
void sd_cuda_feed_exec(struct sd_cu_run *r, const struct sd_work *w);
/* Puts bytes of the host into device memory, in order with all other work, without waiting. */
int sd_cuda_upload(struct sd_cuda_engine *e, void *to, const void *from, size_t bytes);

/* ---- group.c ---- */
/* How many steps, from `first` on, are run together. */
int sd_cuda_group_size(const struct sd_plan *plan, int first);
/* Puts those steps on the stream (or counts them, in a dry run), by `run`.  -1 with a message. */
int sd_cuda_group_exec(struct sd_cuda_program *p, int first, const struct sd_bind *bind,
	const struct sd_cuda_bound *b, struct sd_cu_run *run);
struct sd_cuda_step sd_cuda_step_of(struct sd_cuda_program *p, int i);

/* ---- tables.c ---- */
/* How many tensors and chunks an optimiser's step has; the tables are not there yet. */
struct sd_cu_tensors sd_cuda_count_tensors(const struct sd_cuda_step *st);
/* The tables of all steps of a program on these buffers, in b->memory; waits until they are there.  -1 with a
 * message. */
int sd_cuda_make_tables(struct sd_cuda_program *p, const struct sd_bind *bind, struct sd_cuda_bound *b);

/* ---- program.c ---- */
int sd_cuda_program_init(struct sd_program *p);
void sd_cuda_program_release(struct sd_program *p);
int sd_cuda_run(int n, const struct sd_work *work);
/* Frees captured work that has a part of that id; 0: all of it. */
void sd_cuda_forget(struct sd_cuda_engine *e, unsigned long id);
int sd_cuda_read_value(struct sd_program *p, sd_val v, void *host);
int sd_cuda_keep_value(struct sd_program *p, sd_val v, void *to);
/* Room for `values` and `scratch` bytes, which a batch of `batch` samples needs (0: not known).  -1 with a message
 * that says what is needed, what there is, and which batch would fit. */
int sd_cuda_arena_fit(struct sd_cuda_engine *e, size_t values, size_t scratch, int batch);

#endif
