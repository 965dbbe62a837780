#include "base/par.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#define MAX_THREADS 1024
#define NSLOT 4
#define HUGE_PAGE ((size_t)2 << 20)

/* How long an idle thread looks out for work before it sleeps: the first turns cost nothing but the
 * core's own time (about 10 us), the next offer the core to whoever wants it. */
#define SPIN_PAUSES 200
#define SPIN_YIELDS 40

/* The job.  `ticket` holds the run's number in its upper half and the tasks not yet taken in its
 * lower; tasks are taken by lowering it with a compare and swap.  While tasks are left the fields
 * of the job stand still, so what was taken belongs to the fields read before; a thread
 * that wakes late finds 0 left and touches nothing.  So nobody waits for sleepers, only for tasks. */
struct sd_par {
	int threads;
	pthread_t *id;       /* [threads - 1] */
	int started;
	_Alignas(64) _Atomic uint64_t ticket;
	_Alignas(64) _Atomic int unfinished;
	_Alignas(64) _Atomic(sd_par_fn *) fn;
	_Atomic(void *) ctx;
	_Atomic int ntask;
	_Atomic int quit;
	_Atomic int sleepers; /* workers in wait for a ticket */
	_Atomic int waiting;  /* the caller, for the last task */
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	sd_par_watch_fn *watch;
	void *watch_ctx;
	struct {
		void *p;
		size_t bytes;
	} slot[NSLOT];
};

struct worker {
	struct sd_par *par;
	int thread;
};

static void pause_once(int turn)
{
	if (turn >= SPIN_PAUSES) {
		sched_yield();
		return;
	}
#if defined(__SSE2__)
	_mm_pause();
#endif
}

unsigned sd_fpu_flush_on(void)
{
#if defined(__SSE2__)
	unsigned word = _mm_getcsr();

	_mm_setcsr(word | 0x8040); /* FTZ 0x8000, DAZ 0x0040 */
	return word;
#elif defined(__aarch64__)
	uint64_t word;

	__asm__ volatile("mrs %0, fpcr" : "=r"(word));
	__asm__ volatile("msr fpcr, %0" : : "r"(word | 1u << 24));
	return (unsigned)word;
#else
	return 0;
#endif
}

void sd_fpu_restore(unsigned word)
{
#if defined(__SSE2__)
	_mm_setcsr(word);
#elif defined(__aarch64__)
	__asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)word));
#else
	(void)word;
#endif
}

/* Takes and runs tasks until none is left, at first several neighbours at a time: a task may be shorter
 * than the way of a cache line from core to core. */
static void work_off(struct sd_par *par, int thread)
{
	uint64_t t = atomic_load(&par->ticket);
	int done = 0;

	while ((uint32_t)t) {
		sd_par_fn *fn = atomic_load(&par->fn);
		void *ctx = atomic_load(&par->ctx);
		int left = (int)(uint32_t)t, first = atomic_load(&par->ntask) - left;
		int n = left > 4 * par->threads ? left / (4 * par->threads) : 1;

		if (!atomic_compare_exchange_weak(&par->ticket, &t, t - (uint64_t)n))
			continue;
		for (int i = first; i < first + n; i++)
			fn(ctx, i, thread);
		done += n;
		t = atomic_load(&par->ticket);
	}
	if (done && atomic_fetch_sub(&par->unfinished, done) == done && atomic_load(&par->waiting)) {
		pthread_mutex_lock(&par->lock);
		pthread_cond_signal(&par->done);
		pthread_mutex_unlock(&par->lock);
	}
}

static int work_to_do(struct sd_par *par)
{
	return (uint32_t)atomic_load(&par->ticket) || atomic_load(&par->quit);
}

static void *worker_main(void *arg)
{
	struct worker w = *(struct worker *)arg;
	struct sd_par *par = w.par;

	free(arg);
	sd_fpu_flush_on();
	while (!atomic_load(&par->quit)) {
		work_off(par, w.thread);
		for (int i = 0; i < SPIN_PAUSES + SPIN_YIELDS && !work_to_do(par); i++)
			pause_once(i);
		if (work_to_do(par))
			continue;
		pthread_mutex_lock(&par->lock);
		atomic_fetch_add(&par->sleepers, 1);
		while (!work_to_do(par))
			pthread_cond_wait(&par->work, &par->lock);
		atomic_fetch_sub(&par->sleepers, 1);
		pthread_mutex_unlock(&par->lock);
	}
	return NULL;
}

static void wake_workers(struct sd_par *par)
{
	if (!atomic_load(&par->sleepers))
		return;
	pthread_mutex_lock(&par->lock);
	pthread_cond_broadcast(&par->work);
	pthread_mutex_unlock(&par->lock);
}

struct sd_par *sd_par_new(int threads)
{
	struct sd_par *par;

	if (threads < 1 || threads > MAX_THREADS) {
		sd_error(SD_ERR_USAGE, "cannot run %d threads: expected 1 to %d", threads, MAX_THREADS);
		return NULL;
	}
	par = aligned_alloc(_Alignof(struct sd_par), sizeof(*par));
	if (!par) {
		sd_error_errno("cannot make a pool of %d threads", threads);
		return NULL;
	}
	memset(par, 0, sizeof(*par));
	par->threads = threads;
	pthread_mutex_init(&par->lock, NULL);
	pthread_cond_init(&par->work, NULL);
	pthread_cond_init(&par->done, NULL);
	par->id = calloc((size_t)threads, sizeof(*par->id));
	if (!par->id) {
		sd_error_errno("cannot make a pool of %d threads", threads);
		sd_par_free(par);
		return NULL;
	}
	for (int i = 1; i < threads; i++) {
		struct worker *w = malloc(sizeof(*w));
		int err = w ? 0 : ENOMEM;

		if (w) {
			*w = (struct worker){ par, i };
			err = pthread_create(&par->id[i - 1], NULL, worker_main, w);
		}
		if (err) {
			free(w);
			errno = err;
			sd_error_errno("cannot start thread %d of %d", i + 1, threads);
			sd_par_free(par);
			return NULL;
		}
		par->started++;
	}
	return par;
}

void sd_par_free(struct sd_par *par)
{
	if (!par)
		return;
	atomic_store(&par->quit, 1);
	wake_workers(par);
	for (int i = 0; i < par->started; i++)
		pthread_join(par->id[i], NULL);
	for (int i = 0; i < NSLOT; i++)
		free(par->slot[i].p);
	pthread_cond_destroy(&par->done);
	pthread_cond_destroy(&par->work);
	pthread_mutex_destroy(&par->lock);
	free(par->id);
	free(par);
}

int sd_par_threads(const struct sd_par *par)
{
	return par->threads;
}

static void run(struct sd_par *par, int ntask, sd_par_fn *fn, void *ctx)
{
	unsigned word = sd_fpu_flush_on();
	uint64_t number;

	if (par->threads == 1 || ntask <= 1) {
		for (int i = 0; i < ntask; i++)
			fn(ctx, i, 0);
		sd_fpu_restore(word);
		return;
	}
	number = (atomic_load(&par->ticket) >> 32) + 1;
	atomic_store(&par->fn, fn);
	atomic_store(&par->ctx, ctx);
	atomic_store(&par->ntask, ntask);
	atomic_store(&par->unfinished, ntask);
	atomic_store(&par->ticket, number << 32 | (uint32_t)ntask);
	wake_workers(par);
	work_off(par, 0);

	for (int i = 0; i < SPIN_PAUSES + SPIN_YIELDS && atomic_load(&par->unfinished); i++)
		pause_once(i);
	if (atomic_load(&par->unfinished)) {
		pthread_mutex_lock(&par->lock);
		atomic_store(&par->waiting, 1);
		while (atomic_load(&par->unfinished))
			pthread_cond_wait(&par->done, &par->lock);
		atomic_store(&par->waiting, 0);
		pthread_mutex_unlock(&par->lock);
	}
	sd_fpu_restore(word);
}

void sd_par_watch(struct sd_par *par, sd_par_watch_fn *watch, void *ctx)
{
	par->watch = watch;
	par->watch_ctx = ctx;
}

double sd_par_clock(const struct sd_par *par)
{
	struct timespec t;

	clock_gettime(par->threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void sd_par_run(struct sd_par *par, int ntask, sd_par_fn *fn, void *ctx)
{
	double began;

	if (!par->watch) {
		run(par, ntask, fn, ctx);
		return;
	}
	began = sd_par_clock(par);
	run(par, ntask, fn, ctx);
	par->watch(par->watch_ctx, ntask, sd_par_clock(par) - began);
}

/* ---- scratch ---- */

void *sd_par_scratch(struct sd_par *par, int slot, size_t bytes)
{
	size_t align = bytes >= HUGE_PAGE ? HUGE_PAGE : 64;

	if (slot < 0 || slot >= NSLOT) {
		fprintf(stderr, "sd_par_scratch: there is no slot %d\n", slot);
		abort();
	}
	if (bytes <= par->slot[slot].bytes)
		return par->slot[slot].p;
	if (bytes > SIZE_MAX - align)
		goto nomem;
	bytes = (bytes + align - 1) / align * align;
	free(par->slot[slot].p);
	par->slot[slot].p = aligned_alloc(align, bytes);
	if (!par->slot[slot].p)
		goto nomem;
	if (align == HUGE_PAGE)
		madvise(par->slot[slot].p, bytes, MADV_HUGEPAGE); /* if it can be had: fewer first touches */
	par->slot[slot].bytes = bytes;
	return par->slot[slot].p;
nomem:
	fprintf(stderr, "%s: out of memory for %zu bytes\n", program_invocation_short_name, bytes);
	exit(SD_ERR_IO);
}

void *sd_par_scratch_each(struct sd_par *par, int slot, size_t bytes, size_t *stride)
{
	size_t s = (bytes + 63) / 64 * 64;

	if (s % 4096 == 0)
		s += 64;
	*stride = s;
	return sd_par_scratch(par, slot, s * (size_t)par->threads);
}

size_t sd_par_scratch_bytes(const struct sd_par *par)
{
	size_t sum = 0;

	for (int i = 0; i < NSLOT; i++)
		sum += par->slot[i].bytes;
	return sum;
}

/* ---- how many threads there may be ---- */

/* Cores that a quota file allows, rounded up; 0 for no limit.  "max 100000" or "150000 100000". */
static int cpu_max(const char *dir)
{
	char path[4096 + 16];
	long quota, period;
	int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/cpu.max", dir);
	f = fopen(path, "r");
	if (!f)
		return 0;
	if (fscanf(f, "%ld %ld", &quota, &period) == 2 && quota > 0 && period > 0)
		n = (int)((quota - 1) / period + 1);
	fclose(f);
	return n;
}

static long read_long(const char *path)
{
	FILE *f = fopen(path, "r");
	long v = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%ld", &v) != 1)
		v = 0;
	fclose(f);
	return v;
}

static int smaller_limit(int a, int b)
{
	return !a || (b && b < a) ? b : a;
}

/* The least of the limits of this process's cgroup and those above it; 0 for none. */
static int cgroup_limit(void)
{
	static const char root[] = "/sys/fs/cgroup";
	char line[2048], dir[4096];
	long quota, period;
	int limit = 0;
	FILE *f = fopen("/proc/self/cgroup", "r");

	while (f && fgets(line, sizeof(line), f)) {
		size_t top = strlen(root);

		if (strncmp(line, "0::/", 4))
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(dir, sizeof(dir), "%s%s", root, line + 3);
		for (char *end = dir + strlen(dir); end; end = strrchr(dir, '/')) {
			if (end < dir + top)
				break;
			*end = '\0';
			limit = smaller_limit(limit, cpu_max(dir));
		}
	}
	if (f)
		fclose(f);
	limit = smaller_limit(limit, cpu_max(root));
	quota = read_long("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"); /* version 1 */
	period = read_long("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
	if (quota > 0 && period > 0)
		limit = smaller_limit(limit, (int)((quota - 1) / period + 1));
	return limit;
}

int sd_par_default_threads(void)
{
	cpu_set_t set;
	int n = 0;

	if (!sched_getaffinity(0, sizeof(set), &set))
		n = CPU_COUNT(&set);
	if (n < 1)
		n = (int)sysconf(_SC_NPROCESSORS_ONLN);
	n = smaller_limit(n, cgroup_limit());
	return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n;
}
