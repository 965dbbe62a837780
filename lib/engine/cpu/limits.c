/* limits.c: measures what the CPU engine's threads could do at best. */
#include "engine/cpu/cpu.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/err.h"

enum {
	REPEATS = 5,
	TASKS = 8,           /* a thread */
	CHUNK = 1 << 18,     /* floats of a task */
	CHUNKS = 64,         /* three arrays of 64 MiB: more than caches hold */
};

struct fma {
	const struct sd_kernels *k;
	int turns;
	double flops; /* of a task */
};

static void fma_task(void *ctx, int task, int thread)
{
	struct fma *f = ctx;
	float out[16];
	double flops = f->k->peak_fma(f->turns, out);

	(void)thread;
	if (task == 0)
		f->flops = flops;
}

/* The best of some repeats, about 0.2 s; each is made about 20 ms long. */
static double measure_flops(struct sd_cpu_engine *e)
{
	int n = TASKS * sd_par_threads(e->par), i;
	struct fma f = { .k = e->k, .turns = 1000 };
	double best = 0, t = 0;

	for (i = 0; i < 24 && t < 0.005; i++, f.turns *= 2) {
		t = sd_engine_now();
		sd_par_run(e->par, n, fma_task, &f);
		t = sd_engine_now() - t;
	}
	for (i = 0; i < REPEATS; i++) {
		t = sd_engine_now();
		sd_par_run(e->par, n, fma_task, &f);
		t = sd_engine_now() - t;
		if (f.flops * n / t > best)
			best = f.flops * n / t;
	}
	return best;
}

struct triad {
	const struct sd_kernels *k;
	float *a, *b, *c;
};

static void triad_task(void *ctx, int task, int thread)
{
	struct triad *t = ctx;
	size_t at = (size_t)task * CHUNK;

	(void)thread;
	t->k->peak_triad(t->a + at, t->b + at, t->c + at, CHUNK);
}

int sd_cpu_limits(struct sd_engine *base, struct sd_limits *limits)
{
	struct sd_cpu_engine *e = (struct sd_cpu_engine *)base;
	size_t each = (size_t)CHUNK * CHUNKS, bytes = 3 * each * sizeof(float);
	struct triad t = { .k = e->k };
	double best = 0;
	int i;

	t.a = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (t.a == MAP_FAILED)
		return sd_error(SD_ERR_IO, "cannot get %zu MiB of memory to measure its bandwidth", bytes >> 20);
	madvise(t.a, bytes, MADV_HUGEPAGE);
	t.b = t.a + each;
	t.c = t.b + each;
	for (i = 0; i < 3 * CHUNKS; i++) /* pages of zeros would be one page */
		t.k->peak_triad(t.a + (size_t)i * CHUNK, t.a, t.a, CHUNK);
	for (i = 0; i <= REPEATS; i++) {
		double s = sd_engine_now();

		sd_par_run(e->par, CHUNKS, triad_task, &t);
		s = sd_engine_now() - s;
		if (i && (double)bytes / s > best)
			best = (double)bytes / s;
	}
	munmap(t.a, bytes);
	limits->bandwidth = best;
	limits->flops = measure_flops(e);
	return 0;
}
