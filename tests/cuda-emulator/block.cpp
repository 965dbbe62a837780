/* block.cpp: the threads of one block.
 *
 * A fiber takes a thread that has not begun and runs it; if the thread ends without waiting, the fiber takes
 * the next one, so that kernels without barriers never switch stacks.  A thread that waits keeps its fiber,
 * and another goes on with whoever is ready.  When a warp's lanes, or all threads, have come to where they
 * wait for each other, they are ready again.
 *
 * Which of the ready ones goes next is a matter of the seed: with 0 threads run in order, one warp as far as
 * it gets before the next.  Otherwise a block draws one of two manners: any of the ready ones, or in
 * order of a shuffle, a warp as far as it gets before the next. */
#include "emulator.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fiber.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace emu {

enum { MAX_THREADS = 1024, LANES = 32 };

enum state { READY, AT_BARRIER, AT_COLLECTIVE, ENDED };

struct thread {
	state is;
	fiber *on;       /* NULL until it waits for the first time */
	uint3 index;
	site at;         /* where it waits */
	unsigned turn;   /* collectives that it came to: slots are used in turns */
};
struct warp {
	uint64_t slot[2][LANES];
	int waiting, ended, size;     /* threads */
};

static thread threads[MAX_THREADS];
static warp warps[MAX_THREADS / LANES];
static int ready[MAX_THREADS], nready;
static fiber *idle[MAX_THREADS]; /* no more than one for each thread is ever made */
static int nidle;
static int count, nwaiting, nended, flagged, flagged_before;
static int now = -1, chosen;  /* the thread that runs, and the one that goes next */
static bool any_of_ready;
static const kernel_info *kernel;
static const std::function<void()> *body;
static void *dynamic;

void fail(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "CUDA emulator: ");
	if (kernel) {
		fprintf(stderr, "kernel %s, block (%u, %u, %u)", kernel->name.c_str(), blockIdx.x, blockIdx.y,
			blockIdx.z);
		if (now >= 0)
			fprintf(stderr, ", thread (%u, %u, %u)", threadIdx.x, threadIdx.y, threadIdx.z);
		fprintf(stderr, ": ");
	}
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

void *dynamic_shared() { return dynamic; }
int lane() { return now % LANES; }

/* Nearly always they are one string. */
static bool same(const char *a, const char *b) { return a == b || !strcmp(a, b); }
static bool same(const site &a, const site &b)
{
	return a.line == b.line && same(a.what, b.what) && same(a.file, b.file);
}

static void shuffle(int *v, int n)
{
	for (int i = n - 1; i > 0; i--)
		std::swap(v[i], v[random_below(static_cast<uint32_t>(i) + 1)]);
}

/* Threads [first, first + n) are ready; the top of the stack goes first. */
static void make_ready(int first, int n)
{
	int *v = ready + nready;

	for (int i = 0; i < n; i++)
		v[i] = first + n - 1 - i;
	nready += n;
	if (seed())
		shuffle(v, n);
}

/* All warps, whose order is shuffled, and that of lanes in each. */
static void make_all_ready()
{
	int order[MAX_THREADS / LANES], n = (count + LANES - 1) / LANES;

	for (int i = 0; i < n; i++)
		order[i] = n - 1 - i;
	if (seed()) {
		any_of_ready = random_below(2);
		shuffle(order, n);
	}
	for (int i = 0; i < n; i++)
		make_ready(order[i] * LANES, warps[order[i]].size);
}

[[noreturn]] static void say_stuck()
{
	const thread *a = NULL, *b = NULL;

	now = -1;
	for (int i = 0; i < count; i++) {
		const thread *t = &threads[i];

		if (t->is == ENDED)
			continue;
		if (!a)
			a = t;
		else if (!b && (t->is != a->is || !same(t->at, a->at)))
			b = t;
	}
	if (b)
		fail("divergent threads: (%u, %u, %u) waits at %s (%s:%d), (%u, %u, %u) at %s (%s:%d)",
			a->index.x, a->index.y, a->index.z, a->at.what, a->at.file, a->at.line, b->index.x,
			b->index.y, b->index.z, b->at.what, b->at.file, b->at.line);
	fail("divergent threads: %d wait at %s (%s:%d), %d have ended", count - nended, a->at.what, a->at.file,
		a->at.line, nended);
}

static void check_same_site(int first, int n)
{
	for (int i = 1; i < n; i++)
		if (!same(threads[first].at, threads[first + i].at))
			say_stuck();
}

/* Whoever has waited for the thread that runs, and has everybody now, goes on. */
static void release()
{
	warp *w = &warps[now / LANES];
	int first = now / LANES * LANES;

	if (w->waiting == LANES) {
		check_same_site(first, LANES);
		w->waiting = 0;
		make_ready(first, LANES);
	} else if (nwaiting == count) {
		check_same_site(0, count);
		nwaiting = 0;
		flagged_before = flagged;
		flagged = 0;
		make_all_ready();
	}
}

/* The thread that goes next, or -1 when the block has ended. */
static int pick()
{
	if (!nready && nended == count)
		return -1;
	if (!nready)
		say_stuck();
	if (any_of_ready)
		std::swap(ready[nready - 1], ready[random_below(static_cast<uint32_t>(nready))]);
	return ready[--nready];
}

static void work();

/* Hands over to the chosen thread: to the fiber it waits on, or to one that begins it. */
static void hand_over()
{
	fiber *f = threads[chosen].on;

	if (!f)
		f = nidle ? idle[--nidle] : fiber_new(work);
	fiber_switch(f);
}

static void becomes(int i)
{
	now = i;
	threadIdx = threads[i].index;
}

/* What a fiber does: begins the chosen thread, and whatever is chosen after that and has not begun. */
static void work()
{
	for (;;) {
		becomes(chosen);
		(*body)();
		threads[now].is = ENDED;
		warps[now / LANES].ended++;
		nended++;
		chosen = pick();
		if (chosen >= 0 && !threads[chosen].on)
			continue;
		idle[nidle++] = fiber_current();
		if (chosen >= 0)
			hand_over();
		else
			fiber_switch(NULL);
	}
}

static void check_in_kernel(const site &at)
{
	if (now < 0)
		fail("%s (%s:%d) outside of a kernel", at.what, at.file, at.line);
}

/* The thread that runs has come to where it waits; returns when it is chosen again. */
static void wait(state is, const site &at)
{
	int me = now;

	threads[me].is = is;
	threads[me].at = at;
	threads[me].on = fiber_current();
	release();
	chosen = pick();
	if (chosen != me)
		hand_over();
	becomes(me);
}

int block_barrier(site at, bool flag)
{
	check_in_kernel(at);
	flagged += flag;
	nwaiting++;
	wait(AT_BARRIER, at);
	return flagged_before;
}

const uint64_t *warp_exchange(site at, unsigned mask, uint64_t value)
{
	check_in_kernel(at);
	warp *w = &warps[now / LANES];
	uint64_t *slot = w->slot[threads[now].turn++ % 2];

	if (mask != 0xffffffffu)
		fail("%s (%s:%d) with mask %#x: only full masks are in use", at.what, at.file, at.line, mask);
	if (w->size != LANES || w->ended)
		fail("%s (%s:%d) in a warp of %d threads, %d of which have ended", at.what, at.file, at.line,
			w->size, w->ended);
	slot[lane()] = value;
	w->waiting++;
	wait(AT_COLLECTIVE, at);
	return slot;
}

void run_block(const kernel_info &k, uint3 index, const std::function<void()> &thread_body, void *shared)
{
	kernel = &k;
	body = &thread_body;
	dynamic = shared;
	blockIdx = index;
	count = static_cast<int>(blockDim.x * blockDim.y * blockDim.z);
	nready = nwaiting = nended = flagged = 0;
	for (int i = 0; i < count; i++) {
		unsigned u = static_cast<unsigned>(i), x = blockDim.x, y = blockDim.y;

		threads[i] = thread{READY, NULL, {u % x, u / x % y, u / x / y}, {NULL, NULL, 0}, 0};
	}
	for (int i = 0; i < count; i += LANES) {
		warp *w = &warps[i / LANES];

		w->waiting = w->ended = 0;
		w->size = count - i < LANES ? count - i : LANES;
	}
	make_all_ready();
	chosen = pick();
	hand_over();
	now = -1;
	kernel = NULL;
}

}
