/* kernel_case.h: what the kernel tests share.
 *
 * An image is made from logical values with any segments, NaN in its padding lanes; a kernel is run on
 * every code path that this machine has, with 1, 2 and 5 threads, and must give the same bits each time;
 * those are then compared with plain loops in double. */
#ifndef SD_TESTS_KERNEL_CASE_H
#define SD_TESTS_KERNEL_CASE_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/par.h"
#include "engine/cpu/kernels.h"

#include "check.h"

#define MAX_BLK 64

/* ---- memory and numbers ---- */

static inline float *kc_floats(size_t n)
{
	float *p = aligned_alloc(64, (n * sizeof(float) + 63) / 64 * 64 + 64);

	if (!p) {
		fprintf(stderr, "out of memory\n");
		exit(1);
	}
	return p;
}

static uint32_t kc_seed = 1;
static inline float kc_rand(void) /* about normal, never 0 */
{
	float s = 0;

	for (int i = 0; i < 4; i++) {
		kc_seed = kc_seed * 1664525u + 1013904223u;
		s += (float)(kc_seed >> 8) * 0x1p-24f - 0.5f;
	}
	return s == 0 ? 1 : s * 1.7f;
}
static inline float *kc_random(size_t n)
{
	float *p = kc_floats(n);

	for (size_t i = 0; i < n; i++)
		p[i] = kc_rand();
	return p;
}

/* ---- images ---- */

/* seg: the segments' channels, ended by 0.  The image's memory is all NaN. */
static inline struct sd_img kc_image(int n, int h, int w, const int *seg)
{
	struct sd_blk *blk = calloc(MAX_BLK, sizeof(*blk));
	struct sd_img x = { .n = n, .h = h, .w = w, .blk = blk };

	for (; *seg; seg++)
		for (int left = *seg; left > 0; left -= 16) {
			blk[x.cb].ch = x.c;
			blk[x.cb].n = left < 16 ? left : 16;
			x.c += blk[x.cb++].n;
		}
	x.p = kc_floats((size_t)x.cb * n * h * w * 16);
	for (size_t i = 0; i < (size_t)x.cb * n * h * w * 16; i++)
		x.p[i] = NAN;
	return x;
}
static inline void kc_image_free(struct sd_img *x)
{
	free(x->p);
	free((void *)x->blk);
}
static inline size_t kc_image_floats(const struct sd_img *x)
{
	return (size_t)x->cb * x->n * x->h * x->w * 16;
}
static inline float *kc_at(const struct sd_img *x, int n, int c, int h, int w)
{
	for (int i = 0; i < x->cb; i++)
		if (c >= x->blk[i].ch && c < x->blk[i].ch + x->blk[i].n)
			return x->p + ((((size_t)i * x->n + n) * x->h + h) * x->w + w) * 16
				+ (c - x->blk[i].ch);
	abort();
}
static inline float kc_relu(float x)
{
	return 0 > x ? 0 : x;
}

/* Every logical element, as n, c, h, w and *p. */
#define KC_EACH(x, p) \
	for (int n = 0; n < (x)->n; n++) \
		for (int c = 0; c < (x)->c; c++) \
			for (int h = 0; h < (x)->h; h++) \
				for (int w = 0; w < (x)->w; w++) \
					for (float *p = kc_at(x, n, c, h, w); p; p = NULL)

static inline struct sd_img kc_random_image(int n, int h, int w, const int *seg)
{
	struct sd_img x = kc_image(n, h, w, seg);

	KC_EACH(&x, p)
		*p = kc_rand();
	return x;
}
/* Logical values in NCHW order. */
static inline double *kc_values(const struct sd_img *x)
{
	double *v = malloc(sizeof(*v) * ((size_t)x->n * x->c * x->h * x->w + 1)), *to = v;

	KC_EACH(x, p)
		*to++ = *p;
	return v;
}
static inline int kc_padding_is_zero(const struct sd_img *x)
{
	size_t pixels = (size_t)x->n * x->h * x->w;

	for (int i = 0; i < x->cb; i++)
		for (size_t p = 0; p < pixels; p++)
			for (int l = x->blk[i].n; l < 16; l++)
				if (x->p[(i * pixels + p) * 16 + l] != 0)
					return 0;
	return 1;
}

/* Random values by lane, 0 in padding lanes. */
static inline float *kc_lanes(const struct sd_img *x)
{
	float *p = kc_floats((size_t)x->cb * 16);

	for (int i = 0; i < x->cb * 16; i++)
		p[i] = i % 16 < x->blk[i / 16].n ? kc_rand() : 0;
	return p;
}
static inline float kc_lane(const struct sd_img *x, const float *lanes, int c)
{
	for (int i = 0; i < x->cb; i++)
		if (c >= x->blk[i].ch && c < x->blk[i].ch + x->blk[i].n)
			return lanes[16 * i + c - x->blk[i].ch];
	abort();
}
static inline double kc_loaded(const struct sd_src *x, int n, int c, int h, int w)
{
	double v = *kc_at(&x->x, n, c, h, w);

	if (x->a)
		v = kc_lane(&x->x, x->a, c) * v + kc_lane(&x->x, x->b, c);
	return x->relu && 0 > v ? 0 : v;
}

/* Shapes that kernels over whole images are tried on. */
struct kc_shape {
	int n, h, w, seg[4];
};
static const struct kc_shape kc_shapes[] = {
	{ 2, 5, 7, { 18 } },
	{ 1, 3, 3, { 36 } },
	{ 3, 8, 8, { 16 } },
	{ 5, 1, 1, { 4 } },
	{ 2, 6, 5, { 18, 18 } },   /* a concat: the second segment starts a block */
	{ 9, 32, 32, { 16, 3 } },  /* runs of several sizes */
};
#define KC_SHAPES(s) \
	for (const struct kc_shape *s = kc_shapes, \
		*end_ = s + sizeof(kc_shapes) / sizeof(kc_shapes[0]); s < end_; s++)

/* ---- runs on every path ---- */

static const struct sd_kernels *kc_path[3];
static struct sd_par *kc_pool[3];
static int kc_npath;

static inline void kc_open(void)
{
	static const char *const names[] = { "avx512", "avx2", "generic" };
	static const int threads[] = { 1, 2, 5 };

	for (int i = 0; i < 3; i++) {
		setenv("SD_CPU", names[i], 1);
		kc_path[kc_npath] = sd_kernels_choose();
		kc_npath += kc_path[kc_npath] != NULL;
		kc_pool[i] = sd_par_new(threads[i]);
	}
	unsetenv("SD_CPU");
}
#define KC_RESULTS 40
static void *kc_first[KC_RESULTS]; /* what each of the results of a run was, at first */
static int kc_slot;
static uint64_t kc_digest = 14695981039346656037u; /* of all results, FNV-1a */

/* The loop over them: KC_RUN(k, par) { run the kernel into the results; KC_SAME(results, bytes); } */
#define KC_RUN(k, par) \
	for (int run_ = 0; kc_slot = 0, run_ < 3 * kc_npath; run_++) \
		for (const struct sd_kernels *k = kc_path[run_ / 3]; k; k = NULL) \
			for (struct sd_par *par = kc_pool[run_ % 3]; par; par = NULL)

/* NaNs count as equal, whatever they carry. */
static inline int kc_same_bits(const void *a, const void *b, size_t bytes)
{
	const uint32_t *x = a, *y = b;

	for (size_t i = 0; i < bytes / 4; i++)
		if (x[i] != y[i] && !((x[i] & 0x7fffffff) > 0x7f800000 && (y[i] & 0x7fffffff) > 0x7f800000))
			return 0;
	return 1;
}
static inline int kc_same(int run, int slot, const void *p, size_t bytes)
{
	if (run == 0) {
		for (size_t i = 0; i < bytes / 4; i++) {
			uint32_t u = ((const uint32_t *)p)[i];

			if ((u & 0x7fffffff) > 0x7f800000)
				u = 0x7fc00000;
			kc_digest = (kc_digest ^ u) * 1099511628211u;
		}
		free(kc_first[slot]);
		kc_first[slot] = malloc(bytes + 1);
		memcpy(kc_first[slot], p, bytes);
		return 1;
	}
	return kc_same_bits(kc_first[slot], p, bytes);
}
/* digest: of all results; the same whatever the compiler, its options and the processor. */
static inline void kc_close(uint64_t digest)
{
	for (int i = 0; i < 3; i++)
		sd_par_free(kc_pool[i]);
	for (int i = 0; i < KC_RESULTS; i++)
		free(kc_first[i]);
	CHECK(kc_digest == digest, "all results: %016llx, expected %016llx", (unsigned long long)kc_digest,
		(unsigned long long)digest);
}

#define KC_SAME(p, bytes) do { \
	CHECK(kc_same(run_, kc_slot, p, bytes), "%s: path %s, %d threads: result %d differs", what, \
		kc_path[run_ / 3]->name, sd_par_threads(kc_pool[run_ % 3]), kc_slot); \
	kc_slot++; \
} while (0)
#define KC_SAME_IMAGE(x) do { \
	KC_SAME((x)->p, kc_image_floats(x) * sizeof(float)); \
	CHECK(kc_padding_is_zero(x), "%s: padding lanes written", what); \
} while (0)

/* The worst difference, over the largest magnitude; NaN must meet NaN. */
struct kc_err {
	double diff, size;
	int nan;
};
static inline void kc_cmp(struct kc_err *e, double got, double want)
{
	double d = got == want ? 0 : fabs(got - want);

	e->nan |= isnan(got) != isnan(want) || (isinf(want) && got != want);
	if (!isnan(d) && d > e->diff && !isinf(want))
		e->diff = d;
	if (fabs(want) > e->size && !isinf(want))
		e->size = fabs(want);
}
#define KC_NEAR(e, tol) \
	CHECK(!(e).nan && (e).diff <= (tol) * ((e).size + 1e-30), "%s: off by %g of %g%s", what, (e).diff, \
		(e).size, (e).nan ? ", NaN or infinity where not expected" : "")

/* ---- speed: `--bench` ---- */

static inline double kc_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static inline int kc_by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}
/* Best and median time of a statement (r in 0..7 rotates operands), and GB/s of `bytes` at best. */
#define KC_TIME(label, bytes, ...) do { \
	double t_[9], s_ = kc_now(); \
	int inner_ = 8; \
	for (int i_ = 0; i_ < inner_; i_++) { int r = i_ % 8; (void)r; __VA_ARGS__; } \
	inner_ = (int)(0.01 * inner_ / (kc_now() - s_)) / 8 * 8 + 8; \
	for (int q_ = 0; q_ < 9; q_++) { \
		s_ = kc_now(); \
		for (int i_ = 0; i_ < inner_; i_++) { int r = i_ % 8; (void)r; __VA_ARGS__; } \
		t_[q_] = (kc_now() - s_) / inner_; \
	} \
	qsort(t_, 9, sizeof(t_[0]), kc_by_value); \
	printf("%-8s %-30s best %8.1f median %8.1f us %7.1f GB/s\n", k->name, label, t_[0] * 1e6, \
		t_[4] * 1e6, (bytes) / t_[0] / 1e9); \
} while (0)
/* Runs `bench` where the arguments are --bench [threads] [path]; whether they are. */
static inline int kc_bench(int argc, char **argv, void (*bench)(const struct sd_kernels *, struct sd_par *))
{
	const struct sd_kernels *k;
	struct sd_par *par;

	if (argc < 2 || strcmp(argv[1], "--bench"))
		return 0;
	if (argc > 3)
		setenv("SD_CPU", argv[3], 1);
	k = sd_kernels_choose();
	par = sd_par_new(argc > 2 ? atoi(argv[2]) : sd_par_default_threads());
	if (!k || !par)
		exit(1);
	bench(k, par);
	sd_par_free(par);
	return 1;
}

#endif
