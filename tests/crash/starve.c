/* starve.c: for LD_PRELOAD: the n-th request for memory fails, and all after it (STARVE=N), or that one alone
 * (STARVE=N STARVE_ONCE=1).  Without STARVE it counts, and the file named by $STARVE_COUNT gets the number. */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *(*next_malloc)(size_t), *(*next_calloc)(size_t, size_t), *(*next_realloc)(void *, size_t);
static atomic_long seen;
static long from;
static int once, ready;
/* dlsym itself asks for memory. */
static char early[1 << 14];
static size_t early_used;

static int hungry(void)
{
	long n;

	if (!ready)
		return 0;
	n = atomic_fetch_add(&seen, 1) + 1;
	if (!from || n < from || (once && n > from))
		return 0;
	errno = ENOMEM;
	return 1;
}

static void look_up(void)
{
	static int busy;

	if (busy)
		return;
	busy = 1;
	next_calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
	next_realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
	next_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
	busy = 0;
}

static void *early_memory(size_t n)
{
	void *p = early + early_used;

	early_used += (n + 15) & ~(size_t)15;
	return early_used <= sizeof(early) ? p : NULL;
}

void *malloc(size_t n)
{
	if (!next_malloc)
		look_up();
	if (!next_malloc)
		return early_memory(n);
	return hungry() ? NULL : next_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	if (!next_malloc)
		look_up();
	if (!next_malloc)
		return early_memory(n * size);
	return hungry() ? NULL : next_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	if (!next_malloc)
		look_up();
	return hungry() ? NULL : next_realloc(p, n);
}

/* The command alone, not what it runs. */
__attribute__((constructor)) static void begin(void)
{
	const char *n = getenv("STARVE");

	look_up();
	from = n ? atol(n) : 0;
	once = getenv("STARVE_ONCE") != NULL;
	unsetenv("LD_PRELOAD");
	ready = 1;
}

__attribute__((destructor)) static void end(void)
{
	const char *path = getenv("STARVE_COUNT");
	FILE *f;

	ready = 0;
	f = path ? fopen(path, "w") : NULL;
	if (f) {
		fprintf(f, "%ld\n", (long)seen);
		fclose(f);
	}
}
