/* dispatch.c: which code path of the kernels runs here. */
#include "engine/cpu/kernels.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#if defined(__x86_64__) && !defined(SD_GENERIC_ONLY)
#include <cpuid.h>
#define HAVE_X86 1
#else
#define HAVE_X86 0
#endif

#define FILL(path) do { \
	sd_k_conv_##path(k); \
	sd_k_conv_w_##path(k); \
	sd_k_dwconv_##path(k); \
	sd_k_half_##path(k); \
	sd_k_pool_##path(k); \
	sd_k_norm_##path(k); \
	sd_k_mix_##path(k); \
	sd_k_image_##path(k); \
	sd_k_rows_##path(k); \
	sd_k_optim_##path(k); \
	sd_k_peak_##path(k); \
} while (0)

#if HAVE_X86
/* Which register states the system saves on a switch: xgetbv(0). */
static unsigned saved_states(void)
{
	unsigned a, d;

	__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	return a;
}

/* Whether processor and system have all that the path's files are compiled for (mk/flags.mk). */
static int cpu_has(int avx512)
{
	const unsigned osxsave = 1u << 27, avx = 1u << 28, fma = 1u << 12, f16c = 1u << 29;
	const unsigned avx2 = 1u << 5, f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31;
	unsigned a, b, c, d, need = osxsave | avx | fma | f16c;

	if (!__get_cpuid(1, &a, &b, &c, &d) || (c & need) != need)
		return 0;
	need = avx512 ? 0xe6 : 0x06; /* SSE and AVX; opmask and both upper parts of the AVX-512 registers */
	if ((saved_states() & need) != need)
		return 0;
	need = avx512 ? avx2 | f | dq | bw | vl : avx2;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & need) == need;
}

static void fill_avx512(struct sd_kernels *k) { FILL(avx512); }
static void fill_avx2(struct sd_kernels *k) { FILL(avx2); }
static int has_avx512(void) { return cpu_has(1); }
static int has_avx2(void) { return cpu_has(0); }
#endif
static void fill_generic(struct sd_kernels *k) { FILL(generic); }
static int has_generic(void) { return 1; }

static const struct {
	const char *name;
	int (*has)(void);
	void (*fill)(struct sd_kernels *);
} paths[] = {
#if HAVE_X86
	{ "avx512", has_avx512, fill_avx512 },
	{ "avx2", has_avx2, fill_avx2 },
#endif
	{ "generic", has_generic, fill_generic },
};
#define NPATH (sizeof(paths) / sizeof(paths[0]))

static struct sd_kernels tables[NPATH];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill_tables(void)
{
	/* A path's files are compiled for its processors throughout: even what fills its table runs only there. */
	for (size_t i = 0; i < NPATH; i++) {
		if (!paths[i].has())
			continue;
		paths[i].fill(&tables[i]);
		tables[i].name = paths[i].name;
	}
}

const struct sd_kernels *sd_kernels_choose(void)
{
	const char *want = getenv("SD_CPU");

	pthread_once(&once, fill_tables);
	for (size_t i = 0; i < NPATH; i++) {
		if (want && *want && strcmp(want, paths[i].name))
			continue;
		if (tables[i].name)
			return &tables[i];
		if (want && *want) {
			sd_error(SD_ERR_USAGE,
				"cannot use SD_CPU=%s: the processor or system lacks it", want);
			return NULL;
		}
	}
	sd_error(SD_ERR_USAGE, "cannot use SD_CPU=%s: expected avx512, avx2 or generic", want);
	return NULL;
}
