/* engine.c: the CUDA engine's device, memory and buffers, and the table that tools get. */
#include "engine/cuda/cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buildinfo.h"
#include "base/err.h"

#define STAGE_BYTES ((size_t)4 << 20)

int sd_cuda_fail(cudaError_t err, const char *what)
{
	return sd_error(SD_ERR_DEVICE, "CUDA: %s: %s (%s)", what, cudaGetErrorString(err), cudaGetErrorName(err));
}

int sd_cuda_check(const char *what)
{
	cudaError_t err = cudaGetLastError();

	return err == cudaSuccess ? 0 : sd_cuda_fail(err, what);
}

/* ---- layout ---- */

static size_t size_of(const struct sd_graph *g, sd_val v, size_t elem)
{
	const struct sd_value *x = &g->val[v];

	return sd_shape_count(&x->shape) * (sd_is_image(g, v) ? elem : sd_dtype_size(x->dtype));
}

static size_t segment_at(const struct sd_graph *g, sd_val v, int seg, size_t elem)
{
	size_t c = 0;
	int i;

	for (i = 0; i < seg; i++)
		c += (size_t)g->val[v].seg[i];
	return c * elem;
}

static size_t size_4(const struct sd_graph *g, sd_val v)
{
	return size_of(g, v, 4);
}

static size_t size_2(const struct sd_graph *g, sd_val v)
{
	return size_of(g, v, 2);
}

static size_t segment_4(const struct sd_graph *g, sd_val v, int seg)
{
	return segment_at(g, v, seg, 4);
}

static size_t segment_2(const struct sd_graph *g, sd_val v, int seg)
{
	return segment_at(g, v, seg, 2);
}

/* Gradients are taken back through norms where pointwise.cu has them (conv.c, is_narrow). */
#define LAYOUT(bytes, most) { .size = size_##bytes, .segment = segment_##bytes, .align = 256, .elem = bytes, \
	.groups = 1, .back = most, .pool = SD_CU_POOL_PARTS, .parts = SD_CU_SUM_PARTS, .edges = SD_CU_SUM_EDGES, \
	.terms = SD_CU_SUM_TERMS, .half = SD_CU_POINTWISE }
static const struct sd_layout layout_fp32 = LAYOUT(4, SD_CU_POINTWISE_FP32);
static const struct sd_layout layout_4 = LAYOUT(4, SD_CU_POINTWISE);
static const struct sd_layout layout_2 = LAYOUT(2, SD_CU_POINTWISE);

/* ---- the engine ---- */

static struct sd_cuda_engine *own(struct sd_engine *e)
{
	return (struct sd_cuda_engine *)e;
}

static int find_device(struct sd_cuda_engine *e, int device)
{
	struct cudaDeviceProp prop;
	int n = 0;
	cudaError_t err = cudaGetDeviceCount(&n);

	if (err != cudaSuccess)
		return sd_error(SD_ERR_DEVICE, "no CUDA device: %s", cudaGetErrorString(err));
	if (n == 0)
		return sd_error(SD_ERR_DEVICE, "no CUDA device");
	if (device >= n)
		return sd_error(SD_ERR_DEVICE, "no CUDA device %d: there %s %d", device, n == 1 ? "is" : "are", n);
	SD_CUDA_TRY(cudaGetDeviceProperties(&prop, device), "the device's properties");
	if (prop.major < 8)
		return sd_error(SD_ERR_DEVICE, "CUDA device %d, %s, is of compute capability %d.%d; 8.0 is the least",
			device, prop.name, prop.major, prop.minor);
	SD_CUDA_TRY(cudaSetDevice(device), "the device");
	e->device = device;
	snprintf(e->path, sizeof(e->path), "sm_%d%d", prop.major, prop.minor);
	snprintf(e->name, sizeof(e->name), "%s, %s", prop.name, e->path);
	if (prop.major > 9)
		SD_CUDA_TRY(cudaDriverGetVersion(&e->translator), "the driver's version");
	return 0;
}

static void cuda_close(struct sd_engine *base)
{
	struct sd_cuda_engine *e = own(base);
	int i;

	if (e->stream)
		cudaStreamSynchronize(e->stream);
	sd_cuda_forget(e, 0);
	sd_cuda_gemm_release(e);
	if (e->lt_handle)
		e->lt->cublasLtDestroy(e->lt_handle);
	if (e->dnn_handle)
		e->dnn->cudnnDestroy(e->dnn_handle);
	for (i = 0; i < SD_STAGES; i++) {
		if (e->stage[i].p)
			cudaFreeHost(e->stage[i].p);
		if (e->stage[i].done)
			cudaEventDestroy(e->stage[i].done);
	}
	for (i = 0; i < e->nevent; i++)
		cudaEventDestroy(e->event[i]);
	free(e->event);
	sd_cu_group_free(e->group);
	if (e->stream) {
		cudaFree(e->flag);
		cudaFree(e->counters);
		cudaFree(e->arena);
		cudaStreamDestroy(e->stream);
	}
}

/* What would make the libraries compute otherwise, unknown to the claim. */
static void forget_environment(void)
{
	static const char *const name[] = { "NVIDIA_TF32_OVERRIDE", "CUBLAS_EMULATE_SINGLE_PRECISION",
		"CUBLAS_EMULATE_DOUBLE_PRECISION", "CUBLAS_EMULATION_STRATEGY" };
	size_t i;

	for (i = 0; i < sizeof(name) / sizeof(*name); i++)
		unsetenv(name[i]);
}

static int prepare(struct sd_cuda_engine *e)
{
	forget_environment();
	SD_CUDA_TRY(cudaStreamCreateWithFlags(&e->stream, cudaStreamNonBlocking), "a stream");
	SD_CUDA_TRY(cudaMalloc((void **)&e->flag, sizeof(*e->flag)), "memory");
	SD_CUDA_TRY(cudaMalloc((void **)&e->counters, SD_CU_COUNTERS * sizeof(*e->counters)), "memory");
	SD_CUDA_TRY(cudaMemsetAsync(e->counters, 0, SD_CU_COUNTERS * sizeof(*e->counters), e->stream), "memory");
	e->lt = sd_libs_cublaslt();
	if (!e->lt)
		return -1;
	if (e->lt->cublasLtCreate(&e->lt_handle) != CUBLAS_STATUS_SUCCESS)
		return sd_error(SD_ERR_DEVICE, "cuBLASLt does not start on this device");
	return 0;
}

static int cuda_open(struct sd_engine *base, int device, int threads)
{
	struct sd_cuda_engine *e = own(base);

	(void)threads;
	e->group = sd_cu_group_new();
	if (!e->group)
		return sd_error(SD_ERR_IO, "out of memory for an engine");
	if (base->plans_only) {
		snprintf(e->path, sizeof(e->path), "no device");
		return 0;
	}
	if (!find_device(e, device) && !prepare(e))
		return 0;
	cuda_close(base);
	return -1;
}

static int cuda_set_precision(struct sd_engine *base, enum sd_precision precision)
{
	struct sd_cuda_engine *e = own(base);

	e->precision = precision;
	e->type = precision == SD_BF16 ? SD_CU_BF16 : precision == SD_FP16 ? SD_CU_F16 : SD_CU_F32;
	return 0;
}

static const struct sd_layout *cuda_layout(const struct sd_engine *base)
{
	const struct sd_cuda_engine *e = (const struct sd_cuda_engine *)base;

	return e->precision == SD_FP32 ? &layout_fp32 : e->type == SD_CU_F32 ? &layout_4 : &layout_2;
}

static int cuda_threads(const struct sd_engine *e)
{
	(void)e;
	return 1;
}

static const char *cuda_path(const struct sd_engine *e)
{
	return ((const struct sd_cuda_engine *)e)->path;
}

static void cuda_environment(const struct sd_engine *base, sd_engine_fact *fact, void *ctx)
{
	const struct sd_cuda_engine *e = (const struct sd_cuda_engine *)base;
	const struct sd_cudnn *dnn = sd_libs_cudnn();
	char text[160];

	fact(ctx, "device", e->name);
	snprintf(text, sizeof(text), "cublaslt first of heuristic, workspace %zu, reductions %d; cudnn forward %d, data %d, "
		"filter %d", SD_CUDA_WORKSPACE, SD_CUDA_REDUCTIONS, SD_CUDA_FORWARD, SD_CUDA_BACKWARD_X, SD_CUDA_BACKWARD_W);
	fact(ctx, "algorithms", text);
	if (e->translator) {
		snprintf(text, sizeof(text), "%d", e->translator);
		fact(ctx, "driver", text);
	}
	snprintf(text, sizeof(text), "%zu", e->lt->cublasLtGetVersion());
	fact(ctx, "cublaslt", text);
	if (dnn) {
		snprintf(text, sizeof(text), "%zu", dnn->cudnnGetVersion());
		fact(ctx, "cudnn", text);
	}
}

static int no_room(size_t need, int batch)
{
	size_t free_bytes = 0, total = 0;
	char hint[64] = "";
	int fits;

	cudaGetLastError();
	cudaMemGetInfo(&free_bytes, &total);
	/* nearly all that a plan needs grows with the batch */
	fits = (int)(0.95 * (double)batch * (double)free_bytes / (double)need);
	if (fits > 0 && fits < batch)
		snprintf(hint, sizeof(hint), "; a batch of %d instead of %d would fit", fits, batch);
	return sd_error(SD_ERR_DEVICE, "the device has not enough memory: %.1f MiB are needed and %.1f MiB of %.1f are "
		"free%s", (double)need / 1048576, (double)free_bytes / 1048576, (double)total / 1048576, hint);
}

int sd_cuda_arena_fit(struct sd_cuda_engine *e, size_t values, size_t scratch, int batch)
{
	values = (values + 255) / 256 * 256;
	if ((values <= e->values_size && scratch <= e->scratch_size) || e->base.plans_only)
		return 0;
	if (values < e->values_size)
		values = e->values_size;
	if (scratch < e->scratch_size)
		scratch = e->scratch_size;
	SD_CUDA_TRY(cudaStreamSynchronize(e->stream), "the work before");
	cudaFree(e->arena);
	e->arena = NULL;
	e->values_size = e->scratch_size = 0;
	e->generation++;
	if (cudaMalloc((void **)&e->arena, values + scratch) != cudaSuccess) {
		e->arena = NULL;
		return no_room(values + scratch, batch);
	}
	e->values_size = values;
	e->scratch_size = scratch;
	return 0;
}

/* ---- buffers ---- */

static int cuda_alloc(struct sd_engine *base, struct sd_buffer *b)
{
	struct sd_cuda_engine *e = own(base);
	cudaError_t err = cudaMalloc(&b->data, b->bytes ? b->bytes : 1);

	if (err != cudaSuccess) {
		cudaGetLastError();
		return sd_error(SD_ERR_DEVICE, "the device has not enough memory: %.1f MiB for a buffer",
			(double)b->bytes / 1048576);
	}
	err = cudaMemsetAsync(b->data, 0, b->bytes, e->stream);
	if (err == cudaSuccess)
		return 0;
	cudaFree(b->data);
	return sd_cuda_fail(err, "zeros for a buffer");
}

static void cuda_release(struct sd_buffer *b)
{
	cudaStreamSynchronize(own(b->engine)->stream);
	cudaFree(b->data);
}

/* Pinned memory for `bytes`, at most STAGE_BYTES; waits only when all of it is in flight. */
static int take_stage(struct sd_cuda_engine *e, size_t bytes, char **p)
{
	if (e->stage_used + bytes > STAGE_BYTES) {
		if (!e->stage[e->stage_at].done)
			SD_CUDA_TRY(cudaEventCreateWithFlags(&e->stage[e->stage_at].done, cudaEventDisableTiming),
				"an event");
		SD_CUDA_TRY(cudaEventRecord(e->stage[e->stage_at].done, e->stream), "an event");
		e->stage_at = (e->stage_at + 1) % SD_STAGES;
		e->stage_used = 0;
		if (e->stage[e->stage_at].done)
			SD_CUDA_TRY(cudaEventSynchronize(e->stage[e->stage_at].done), "copies before");
	}
	if (!e->stage[e->stage_at].p) /* made as they are needed: pinning is slow */
		SD_CUDA_TRY(cudaMallocHost((void **)&e->stage[e->stage_at].p, STAGE_BYTES), "pinned memory");
	*p = e->stage[e->stage_at].p + e->stage_used;
	e->stage_used += (bytes + 63) / 64 * 64;
	return 0;
}

int sd_cuda_upload(struct sd_cuda_engine *e, void *to, const void *from, size_t bytes)
{
	size_t at, n;
	char *p = NULL;

	for (at = 0; at < bytes; at += n) {
		n = bytes - at < STAGE_BYTES ? bytes - at : STAGE_BYTES;
		if (take_stage(e, n, &p))
			return -1;
		memcpy(p, (const char *)from + at, n);
		SD_CUDA_TRY(cudaMemcpyAsync((char *)to + at, p, n, cudaMemcpyHostToDevice, e->stream),
			"a copy to the device");
	}
	return 0;
}

static int cuda_write(struct sd_buffer *b, const void *host)
{
	return sd_cuda_upload(own(b->engine), b->data, host, b->bytes);
}

static int cuda_read(const struct sd_buffer *b, void *host)
{
	struct sd_cuda_engine *e = own(b->engine);

	SD_CUDA_TRY(cudaMemcpyAsync(host, b->data, b->bytes, cudaMemcpyDeviceToHost, e->stream),
		"a copy from the device");
	SD_CUDA_TRY(cudaStreamSynchronize(e->stream), "the work before");
	return 0;
}

static int cuda_copy(struct sd_buffer *dst, const struct sd_buffer *src)
{
	SD_CUDA_TRY(cudaMemcpyAsync(dst->data, src->data, src->bytes, cudaMemcpyDeviceToDevice, own(dst->engine)->stream),
		"a copy on the device");
	return 0;
}

/* Multiply-adds of one multiprocessor in a clock, in the arithmetic of images: NVIDIA's white papers on the A100, GA102,
 * AD102 and H100; of later ones it is not known to be less than the last. */
static double fma_a_clock(const struct sd_cuda_engine *e, int major, int minor)
{
	int big = minor == 0; /* the processors of servers */

	if (e->precision == SD_FP32)
		return major == 8 && big ? 64 : 128;
	if (e->precision == SD_TF32)
		return major == 8 ? big ? 512 : 128 : 1024;
	return major == 8 ? big ? 1024 : 256 : 2048;
}

static int cuda_limits(struct sd_engine *base, struct sd_limits *limits)
{
	struct sd_cuda_engine *e = own(base);
	int clock, sms, memory_clock, width, major, minor;

	SD_CUDA_TRY(cudaDeviceGetAttribute(&clock, cudaDevAttrClockRate, e->device), "the clock");
	SD_CUDA_TRY(cudaDeviceGetAttribute(&sms, cudaDevAttrMultiProcessorCount, e->device), "the multiprocessors");
	SD_CUDA_TRY(cudaDeviceGetAttribute(&memory_clock, cudaDevAttrMemoryClockRate, e->device), "the memory's clock");
	SD_CUDA_TRY(cudaDeviceGetAttribute(&width, cudaDevAttrGlobalMemoryBusWidth, e->device), "the memory's width");
	SD_CUDA_TRY(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, e->device), "the capability");
	SD_CUDA_TRY(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, e->device), "the capability");
	limits->bandwidth = 2 * 1e3 * memory_clock * width / 8; /* kHz, both edges, bits */
	limits->flops = 2 * 1e3 * clock * sms * fma_a_clock(e, major, minor);
	return 0;
}

static const struct sd_engine_ops sd_engine_cuda = {
	.abi = SD_ENGINE_ABI, .source = sd_build_source, .kind = "cuda", .async = 1,
	.engine_size = sizeof(struct sd_cuda_engine), .program_size = sizeof(struct sd_cuda_program),
	.open = cuda_open, .close = cuda_close, .set_precision = cuda_set_precision, .layout = cuda_layout,
	.threads = cuda_threads, .path = cuda_path, .environment = cuda_environment, .choices = sd_cuda_gemm_choices,
	.alloc = cuda_alloc, .release = cuda_release, .write = cuda_write, .read = cuda_read, .copy = cuda_copy,
	.program_init = sd_cuda_program_init, .program_release = sd_cuda_program_release, .run = sd_cuda_run,
	.feed_fits = sd_cuda_feed_fits, .feed_new = sd_cuda_feed_new, .feed_free = sd_cuda_feed_free,
	.feed_epoch = sd_cuda_feed_epoch,
	.read_value = sd_cuda_read_value, .keep_value = sd_cuda_keep_value, .limits = cuda_limits,
};

__attribute__((visibility("default"))) const struct sd_engine_ops *sd_engine_entry(void);
const struct sd_engine_ops *sd_engine_entry(void)
{
	return &sd_engine_cuda;
}
