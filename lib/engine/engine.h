/* engine.h: runs plans.  One interface, two engines: the CPU's own kernels (cpu/) and CUDA (cuda/,
 * a shared object opened at run time).
 *
 * An engine owns memory.  Buffers hold values in the outside layout: row-major (images NCHW), so
 * parameters go in and out as the state_dict has them; the engine's own layout lives in its arena. */
#ifndef SD_ENGINE_ENGINE_H
#define SD_ENGINE_ENGINE_H

#include "graph/graph.h"
#include "graph/plan.h"

struct sd_engine;
struct sd_program; /* a plan made ready to run on one engine */

/* device: "cpu" (later "cuda[:N]"); threads: 0 for the default.  NULL with a message. */
struct sd_engine *sd_engine_open(const char *device, int threads);
void sd_engine_close(struct sd_engine *e);
int sd_engine_threads(const struct sd_engine *e);
/* What goes into a claim's environment: "cpu", and the code path in use ("avx512", "avx2", "generic"),
 * which goes into the context (it changes no number). */
const char *sd_engine_kind(const struct sd_engine *e);
const char *sd_engine_path(const struct sd_engine *e);

/* ---- buffers ---- */
struct sd_buffer;
struct sd_buffer *sd_buffer_new(struct sd_engine *e, enum sd_dtype t, struct sd_shape s); /* zeros */
void sd_buffer_free(struct sd_buffer *b);
size_t sd_buffer_bytes(const struct sd_buffer *b);
int sd_buffer_write(struct sd_buffer *b, const void *host);  /* whole content, row-major */
int sd_buffer_read(const struct sd_buffer *b, void *host);
int sd_buffer_copy(struct sd_buffer *dst, const struct sd_buffer *src);

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
size_t sd_program_arena(const struct sd_program *p); /* bytes; programs of an engine share one arena */
/* Runs it.  -1 with a message if a slot in use is unbound or of the wrong size. */
int sd_program_run(struct sd_program *p, const struct sd_bind *bind);
/* Copies a root (not a write) out, row-major.  Valid until the engine's next run. */
int sd_program_read(struct sd_program *p, sd_val root, void *host);

/* Fills the arena with NaN before each run (tests: nothing reads what it did not write). */
void sd_engine_poison(struct sd_engine *e, int on);
/* After each node checks its results for values that are not finite; the first such node is named in
 * the message of the failing run. */
void sd_engine_trace_nan(struct sd_engine *e, int on);
/* Time by op, to a table on f. */
void sd_engine_profile(struct sd_engine *e, int on);
#include <stdio.h>
int sd_engine_profile_print(struct sd_engine *e, FILE *f);

#endif
