/* engine.h: runs plans.  One interface, two engines: the CPU's own kernels (cpu/) and CUDA (cuda/,
 * a shared object opened at run time).
 *
 * An engine owns memory.  Buffers hold values in the outside layout: row-major (images NCHW), so
 * parameters go in and out as the state_dict has them; the engine's own layout lives in its arena. */
#ifndef SD_ENGINE_ENGINE_H
#define SD_ENGINE_ENGINE_H

#include "data/loader.h"
#include "engine/profile.h"
#include "graph/graph.h"
#include "graph/plan.h"

struct sd_engine;
struct sd_program; /* a plan made ready to run on one engine */

/* How images are held and multiplied.  Statistics, alphas, losses, parameters and the optimisers' state are
 * float32 in all of them; fp16 needs a loss that is scaled (sd_loss_scale). */
enum sd_precision { SD_FP32, SD_TF32, SD_BF16, SD_FP16, SD_PRECISIONS };
extern const char *const sd_precision_names[SD_PRECISIONS]; /* "fp32", "tf32", "bf16", "fp16" */

/* device: "cpu", "cuda[:N]", or "auto": the first GPU where there is one, else the CPU.  threads: of the
 * CPU; 0 for the default.  NULL with a message (SD_ERR_DEVICE where a device or its libraries are missing). */
struct sd_engine *sd_engine_open(const char *device, int threads);
/* One that only plans: programs can be made and asked what they need, no buffer holds anything, nothing can be run,
 * and there need be no device ("cuda" wants only its engine). */
struct sd_engine *sd_engine_open_plans(const char *device, int threads);
void sd_engine_close(struct sd_engine *e);
int sd_engine_threads(const struct sd_engine *e);
/* Before the first program.  -1 with a message where the engine has no such precision. */
int sd_engine_set_precision(struct sd_engine *e, enum sd_precision precision);
/* Bytes of one number of an image. */
int sd_engine_elem(const struct sd_engine *e);
/* What goes into a claim's environment: "cpu" or "cuda", and what sd_engine_environment tells: the device
 * class and the libraries that can change a number. */
const char *sd_engine_kind(const struct sd_engine *e);
typedef void sd_engine_fact(void *ctx, const char *name, const char *value);
void sd_engine_environment(const struct sd_engine *e, sd_engine_fact *fact, void *ctx);
/* What follows from that, and goes into the context: which algorithm of a library was taken for each piece of work
 * that the programs so far have. */
void sd_engine_choices(const struct sd_engine *e, sd_engine_fact *fact, void *ctx);
/* The code path in use ("avx512", "avx2", "generic", "sm_90"), which goes into the context. */
const char *sd_engine_path(const struct sd_engine *e);
/* Whether runs only begin when they are asked for (CUDA): reading a buffer waits for them, so a loop
 * that wants speed reads seldom. */
int sd_engine_is_async(const struct sd_engine *e);

/* ---- buffers ---- */
struct sd_buffer;
struct sd_buffer *sd_buffer_new(struct sd_engine *e, enum sd_dtype t, struct sd_shape s); /* zeros */
void sd_buffer_free(struct sd_buffer *b);
size_t sd_buffer_bytes(const struct sd_buffer *b);
int sd_buffer_write(struct sd_buffer *b, const void *host);  /* whole content, row-major */
int sd_buffer_read(const struct sd_buffer *b, void *host);
int sd_buffer_copy(struct sd_buffer *dst, const struct sd_buffer *src);
/* The content itself, where it lies in memory that the processor reads (CPU), else NULL.  Changes with runs. */
const void *sd_buffer_view(const struct sd_buffer *b);

/* A buffer for each slot of a graph that a program may use.  Entries may be shared between binds. */
struct sd_bind {
	struct sd_buffer **slot; /* nslot entries, NULL where no program needs it */
	int nslot;
};

/* ---- programs ---- */
/* Plans the roots of g.  g must outlive the program.  flags: SD_PLAN_*.  NULL with a message. */
struct sd_program *sd_program_new(struct sd_engine *e, const struct sd_graph *g, int nroot,
	const sd_val *root, int flags);
void sd_program_free(struct sd_program *p);
const struct sd_plan *sd_program_plan(const struct sd_program *p);
size_t sd_program_arena(const struct sd_program *p); /* bytes; programs of an engine share one arena */
const struct sd_graph *sd_program_graph(const struct sd_program *p);
long sd_program_launches(const struct sd_program *p); /* kernels that a run begins */
/* Runs it.  -1 with a message if a slot in use is unbound or of the wrong size. */
int sd_program_run(struct sd_program *p, const struct sd_bind *bind);

/* ---- batches made on the device ---- */
/* A data set's bytes in device memory, from which batches are cut and augmented there: bit for bit what a loader
 * (data/loader.h) gives of that specification. */
struct sd_device_feed;
/* Whether the engine can feed itself from that many bytes of images; else a loader does. */
int sd_device_feed_fits(struct sd_engine *e, size_t bytes);
struct sd_device_feed *sd_device_feed_new(struct sd_engine *e, const struct sd_feed_spec *spec); /* NULL: message */
void sd_device_feed_free(struct sd_device_feed *f);
/* Starts at batch `from` of an epoch, as sd_loader_epoch. */
int sd_device_feed_epoch(struct sd_device_feed *f, uint32_t epoch, uint32_t from);

/* A piece of work: a program on its buffers, or the next batch of a feed into buffers. */
struct sd_work {
	struct sd_program *program;
	const struct sd_bind *bind;
	struct sd_device_feed *feed;          /* program NULL */
	struct sd_buffer *x, *labels, *ids;   /* (N, C, H, W), (N), (N); ids may be NULL */
};
/* Does several, all of one engine, one after another, as one (on CUDA one captured graph). */
int sd_work_run(int n, const struct sd_work *work);
/* Copies a root (not a write) out, row-major.  Valid until the engine's next run. */
int sd_program_read(struct sd_program *p, sd_val root, void *host);
/* Copies a root that is no image (and no write) into b, from b's element `at` on; like a run it has perhaps only
 * begun when this returns, so what many runs found can be read at once in the end. */
int sd_program_keep(struct sd_program *p, sd_val root, struct sd_buffer *b, size_t at);

/* Fills the arena with NaN before each run (tests: nothing reads what it did not write). */
void sd_engine_poison(struct sd_engine *e, int on);
/* After each node checks its results for values that are not finite; the first such node is named in
 * the message of the failing run. */
void sd_engine_trace_nan(struct sd_engine *e, int on);
/* Shows what each program is fed and every result of its nodes from now on, one after another as they are made:
 * the node's index in the graph, which result of it (from 0), and its content, row-major, valid in the call (slow;
 * NULL: no more).  Views, results of nodes that are run in the same pass as another one, and tokens of writes are
 * left out. */
typedef void sd_engine_seen(void *ctx, const struct sd_program *p, int node, int out, const void *host, size_t bytes);
void sd_engine_show(struct sd_engine *e, sd_engine_seen *seen, void *ctx);

#endif
