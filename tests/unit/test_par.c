/* The thread pool: each task once, whatever the timing; subnormals; scratch; limits. */
#include "base/par.h"

#include <float.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "check.h"

#define MAX_TASKS 5000

struct job {
	int threads;
	_Atomic int seen[MAX_TASKS];
	_Atomic int bad_thread;
	_Atomic int subnormals;
	int busy;
};

/* A product that is subnormal unless flushed; volatile keeps the compiler from doing it. */
static float tiny_product(void)
{
	volatile float a = FLT_MIN, b = 0.25f;

	return a * b;
}

static void task(void *ctx, int i, int thread)
{
	struct job *j = ctx;
	volatile int x = 0;

	if (thread < 0 || thread >= j->threads)
		atomic_fetch_add(&j->bad_thread, 1);
	if (tiny_product() != 0)
		atomic_fetch_add(&j->subnormals, 1);
	for (int k = 0; k < (j->busy ? (i % 7) * 100 : 0); k++)
		x = x + k;
	if (j->busy > 1 && i % 5 == 0)
		usleep(200);
	atomic_fetch_add(&j->seen[i], 1);
}

static void run_once(struct sd_par *par, struct job *j, int ntask, int busy)
{
	int wrong = 0;

	memset(j, 0, sizeof(*j));
	j->threads = sd_par_threads(par);
	j->busy = busy;
	sd_par_run(par, ntask, task, j);
	for (int i = 0; i < MAX_TASKS; i++)
		wrong += j->seen[i] != (i < ntask);
	CHECK(!wrong, "%d of %d tasks not run once with %d threads", wrong, ntask, j->threads);
	CHECK(!j->bad_thread, "a thread number out of range");
	CHECK(!j->subnormals, "subnormals not flushed in %d tasks", j->subnormals);
}

static void test_tasks(struct job *j)
{
	static const int threads[] = { 1, 2, 5, 16 }, ntask[] = { 0, 1, 2, 3, 16, 17, 1000, MAX_TASKS };

	for (size_t t = 0; t < sizeof(threads) / sizeof(threads[0]); t++) {
		struct sd_par *par = sd_par_new(threads[t]);

		CHECK(par && sd_par_threads(par) == threads[t], "a pool of %d", threads[t]);
		for (size_t n = 0; n < sizeof(ntask) / sizeof(ntask[0]); n++)
			run_once(par, j, ntask[n], 1);
		run_once(par, j, 40, 2);
		/* many short runs, some after the workers have gone to sleep */
		for (int k = 0; k < 300; k++) {
			run_once(par, j, 1 + k % 9, k % 2);
			if (k % 100 == 99)
				usleep(5000);
		}
		sd_par_free(par);
	}
	sd_par_free(NULL);
}

static void test_flush(void)
{
	unsigned word;

	CHECK(tiny_product() != 0, "subnormals outside a run");
	word = sd_fpu_flush_on();
	CHECK(tiny_product() == 0, "flushed");
	sd_fpu_restore(word);
	CHECK(tiny_product() != 0, "restored");
}

static void test_scratch(void)
{
	struct sd_par *par = sd_par_new(3);
	size_t stride;
	char *p, *q;

	CHECK(sd_par_scratch_bytes(par) == 0, "none at first");
	p = sd_par_scratch(par, 0, 100);
	CHECK((uintptr_t)p % 64 == 0, "aligned");
	memset(p, 1, 100);
	q = sd_par_scratch(par, 1, 5000000);
	CHECK((uintptr_t)q % 64 == 0, "aligned");
	memset(q, 2, 5000000);
	CHECK(sd_par_scratch(par, 0, 50) == p && p[99] == 1, "a smaller piece is the same one");
	p = sd_par_scratch_each(par, 0, 4090, &stride);
	CHECK(stride >= 4090 && stride % 64 == 0 && stride % 4096, "stride %zu", stride);
	memset(p, 3, 3 * stride);
	CHECK(q[4999999] == 2, "slots are apart");
	CHECK(sd_par_scratch_bytes(par) >= 5000000 + 3 * stride, "counted");
	sd_par_free(par);
}

static void test_limits(void)
{
	cpu_set_t all, one;
	int n = sd_par_default_threads();

	CHECK(n >= 1, "%d threads", n);
	CHECK(!sd_par_new(0) && sd_error_kind() == SD_ERR_USAGE, "no pool of 0");
	CHECK(!sd_par_new(-3), "no pool of -3");
	CHECK(!sd_par_new(1 << 20), "no pool of a million");
	if (!sched_getaffinity(0, sizeof(all), &all)) {
		CHECK(n <= CPU_COUNT(&all), "%d threads, affinity allows %d", n, CPU_COUNT(&all));
		CPU_ZERO(&one);
		for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
			if (CPU_ISSET(i, &all))
				CPU_SET(i, &one);
		if (!sched_setaffinity(0, sizeof(one), &one)) {
			CHECK(sd_par_default_threads() == 1, "one core, one thread");
			sched_setaffinity(0, sizeof(all), &all);
		}
	}
}

int main(void)
{
	struct job *j = malloc(sizeof(*j));

	if (!j)
		return 1;
	test_tasks(j);
	test_flush();
	test_scratch();
	test_limits();
	free(j);
	return check_done();
}
