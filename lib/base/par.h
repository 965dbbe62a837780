/* par.h: a pool of threads that runs numbered tasks.
 *
 * Work is cut into tasks by its shape alone, never by the number of threads, and each task writes
 * only what is its own; so a result does not depend on how many threads there are or which of them
 * ran what.  Every thread of a pool runs with denormals flushed (FTZ and DAZ), in a run only. */
#ifndef SD_BASE_PAR_H
#define SD_BASE_PAR_H

#include <stddef.h>

struct sd_par;

/* A pool of `threads` threads, the caller's included (>= 1).  NULL and a message on failure. */
struct sd_par *sd_par_new(int threads);
void sd_par_free(struct sd_par *par);
int sd_par_threads(const struct sd_par *par);

/* How many threads a tool uses unless told otherwise: what affinity and the cgroup's cpu.max allow. */
int sd_par_default_threads(void);

/* Runs fn(ctx, task, thread) once for each task in [0, ntask), in any order, thread in [0, threads);
 * returns when all have ended.  The caller's thread takes part as thread 0.  Not reentrant: fn must
 * not start another run on the same pool.  FTZ/DAZ are set within and restored on the caller after. */
typedef void sd_par_fn(void *ctx, int task, int thread);
void sd_par_run(struct sd_par *par, int ntask, sd_par_fn *fn, void *ctx);

/* Has each run's tasks and seconds told after it, on the caller's thread; NULL: no more. */
typedef void sd_par_watch_fn(void *ctx, int ntask, double seconds);
void sd_par_watch(struct sd_par *par, sd_par_watch_fn *watch, void *ctx);
/* Seconds that a pool's work takes: of one thread the processor's time, which other programs don't change, of several
 * that of the clock. */
double sd_par_clock(const struct sd_par *par);

/* Scratch memory of one of the pool's `slot`s (0..3; small numbers, chosen by the caller), at least
 * `bytes`, 64-byte aligned, contents undefined.  It stays valid until the next call for the same slot with a larger
 * size.  Aborts the process with a message if memory runs out (the plan's arena is the large part). */
void *sd_par_scratch(struct sd_par *par, int slot, size_t bytes);
/* The same, one piece of `bytes` for each thread: the piece of thread t starts at t * stride, *stride
 * being `bytes` rounded up to a multiple of 64 (and not of 4096, against cache conflicts). */
void *sd_par_scratch_each(struct sd_par *par, int slot, size_t bytes, size_t *stride);
size_t sd_par_scratch_bytes(const struct sd_par *par);

/* Sets FTZ and DAZ on the calling thread and returns the former control word; restores it. */
unsigned sd_fpu_flush_on(void);
void sd_fpu_restore(unsigned word);

#endif
