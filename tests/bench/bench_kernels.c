/* Times of the convolution kernels at the shapes that a search or training step is made of, each
 * over eight sets of buffers in turn, so that operands come from where they would in a step.
 *
 *   bench_kernels [THREADS [BATCH [NAME]]]     only kernels whose names begin so; SD_CPU chooses the code path;
 *                                              with a small batch all is in caches
 *
 * Columns: kernel, channels, pixels, microseconds (best and median of 9), GFLOP/s and GB/s of the best. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/err.h"
#include "engine/cpu/kernels.h"

#define SETS 8
#define REPEATS 9
#define HUGE_PAGE ((size_t)2 << 20)

static const struct sd_kernels *kern;
static const char *only = "";
static struct sd_par *par;

struct set {
	struct sd_img x[SETS], y[SETS];
	float *w, *gw, *a, *b;
	float *pw, *gpw, *sums[4]; /* of a half */
	struct sd_window win;
	int norm;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *floats(size_t n)
{
	size_t bytes = (n * 4 + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	float *p = aligned_alloc(HUGE_PAGE, bytes);

	if (!p) {
		fprintf(stderr, "bench_kernels: out of memory\n");
		exit(1);
	}
	madvise(p, bytes, MADV_HUGEPAGE); /* as the engine's arena has */
	for (size_t i = 0; i < n; i++)
		p[i] = (float)((i * 2654435761u >> 8) & 0xffff) / 32768.0f - 1;
	return p;
}

static struct sd_img image(int n, int c, int h, int w)
{
	struct sd_img m = { .n = n, .c = c, .h = h, .w = w, .cb = (c + 15) / 16 };
	struct sd_blk *blk = calloc((size_t)m.cb, sizeof(*blk));

	if (!blk)
		exit(1);
	for (int i = 0; i < m.cb; i++)
		blk[i] = (struct sd_blk){ i * 16, c - i * 16 < 16 ? c - i * 16 : 16 };
	m.blk = blk;
	m.p = floats((size_t)m.cb * (size_t)n * (size_t)(h * w) * 16);
	return m;
}

enum what {
	CONV, CONV_BWD_X, CONV_BWD_W,
	FRCONV, FRCONV_BWD_X, FRCONV_BWD_W,
	DW, DW_BWD_X, DW_BWD_W, DW_BWD,
	HALF, HALF_BWD_X, HALF_BWD
};

/* A half as the second of a separable convolution: x is loaded by a norm with ReLU, y goes into another norm; backward
 * through y's norm to x's sums.  b serves as any mean, a as any scale or 1 / deviation. */
static void call_half(enum what what, struct set *s, int i)
{
	const struct sd_img *x = &s->x[i], *y = &s->y[i], *g = &s->y[(i + 1) % SETS];
	const struct sd_src load = { .x = *x, .a = s->a, .b = s->b, .relu = 1 };
	const struct sd_half half = { .x = load, .dw = s->w, .win = s->win, .pw = s->pw, .y.y = *y, .mean = s->sums[0],
		.var = s->sums[1] };
	struct sd_half_bwd back = { .g = *g, .f = 1, .sg = s->sums[0], .sgx = s->sums[1], .batch = 1, .x = load,
		.norm = { .x = *y, .mean = s->b, .istd = s->a, .scale = s->a }, .dw = s->w, .pw = s->pw, .win = s->win,
		.gx.y = s->x[(i + 1) % SETS],
		.sums = { .x = *x, .mean = s->b, .istd = s->a, .ma = s->a, .mb = s->b, .scale = s->a },
		.ssg = s->sums[2], .ssgx = s->sums[3] };

	if (what == HALF) {
		kern->half(par, &half);
		return;
	}
	if (what == HALF_BWD) {
		back.gdw = s->gw;
		back.gpw = s->gpw;
	}
	kern->half_bwd(par, &back);
}

static void call(enum what what, struct set *s, int i)
{
	struct sd_src x = { .x = s->x[i], .a = s->norm ? s->a : NULL, .b = s->norm ? s->b : NULL,
		.relu = s->norm };
	struct sd_dst y = { .y = s->y[i] }, gx = { .y = s->x[(i + 1) % SETS] };
	const struct sd_img *gy = &s->y[i];
	int c1 = s->y[i].c / 2;
	const float *w2 = s->w + c1 * s->x[i].c;

	switch (what) {
	case CONV:
		kern->conv(par, &x, s->w, NULL, s->win, &y);
		break;
	case CONV_BWD_X:
		kern->conv_bwd_x(par, gy, s->w, s->win, &gx);
		break;
	case CONV_BWD_W:
		kern->conv_bwd_w(par, &x, gy, s->win, s->gw);
		break;
	case FRCONV:
		kern->frconv(par, &x, s->w, c1, w2, c1, &y);
		break;
	case FRCONV_BWD_X:
		kern->frconv_bwd_x(par, gy, s->w, c1, w2, c1, &gx);
		break;
	case FRCONV_BWD_W:
		kern->frconv_bwd_w(par, &x, gy, c1, 0, s->gw);
		kern->frconv_bwd_w(par, &x, gy, c1, 1, s->gw);
		break;
	case DW:
		kern->dwconv(par, &x, s->w, s->win, &y);
		break;
	case DW_BWD_X:
		kern->dwconv_bwd(par, &x, gy, s->w, s->win, &gx, NULL);
		break;
	case DW_BWD_W:
		kern->dwconv_bwd(par, &x, gy, s->w, s->win, NULL, s->gw);
		break;
	case DW_BWD:
		kern->dwconv_bwd(par, &x, gy, s->w, s->win, &gx, s->gw);
		break;
	case HALF:
	case HALF_BWD_X:
	case HALF_BWD:
		call_half(what, s, i);
		break;
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(const char *name, enum what what, struct set *s, double flops, double bytes)
{
	double t[REPEATS], start;
	int inner = SETS;

	if (strncmp(name, only, strlen(only)))
		return;
	for (int i = 0; i < SETS; i++)
		call(what, s, i);
	start = now();
	for (int i = 0; i < SETS; i++)
		call(what, s, i);
	inner += (int)(0.01 / ((now() - start) / SETS)) / SETS * SETS;
	for (int r = 0; r < REPEATS; r++) {
		start = now();
		for (int i = 0; i < inner; i++)
			call(what, s, i % SETS);
		t[r] = (now() - start) / inner;
	}
	qsort(t, REPEATS, sizeof(*t), by_value);
	printf("%-24s %4d %4d %2dx%-2d %8.1f %8.1f %7.1f %6.1f\n", name, s->x[0].c, s->y[0].c, s->x[0].h,
		s->x[0].w, t[0] * 1e6, t[REPEATS / 2] * 1e6, flops / t[0] * 1e-9, bytes / t[0] * 1e-9);
	fflush(stdout);
}

static void set_free(struct set *s)
{
	for (int i = 0; i < SETS; i++) {
		free(s->x[i].p);
		free((void *)s->x[i].blk);
		free(s->y[i].p);
		free((void *)s->y[i].blk);
	}
	free(s->w);
	free(s->gw);
	free(s->a);
	free(s->b);
	free(s->pw);
	free(s->gpw);
	for (int i = 0; i < 4; i++)
		free(s->sums[i]);
}

static void set_init(struct set *s, struct sd_window win, int depthwise, int n, int ci, int co, int h, int oh)
{
	size_t nw = (size_t)(co * (depthwise ? 1 : ci) * win.kh * win.kw);

	*s = (struct set){ .win = win };
	for (int i = 0; i < SETS; i++) {
		s->x[i] = image(n, ci, h, h);
		s->y[i] = image(n, co, oh, oh);
	}
	s->w = floats(nw);
	s->gw = floats(nw);
	s->a = floats((size_t)s->x[0].cb * 16);
	s->b = floats((size_t)s->x[0].cb * 16);
}

static void bench_conv(const char *name, struct sd_window win, int n, int ci, int co, int h)
{
	int oh = (h + 2 * win.ph - win.dh * (win.kh - 1) - 1) / win.sh + 1;
	double y = (double)n * co * oh * oh, x = (double)n * ci * h * h;
	double flops = 2 * y * ci * win.kh * win.kw, bytes = 4 * (x + y);
	struct set s;
	char what[64];

	set_init(&s, win, 0, n, ci, co, h, oh);
	snprintf(what, sizeof(what), "%s fwd", name);
	measure(what, CONV, &s, flops, bytes);
	s.norm = 1;
	snprintf(what, sizeof(what), "%s fwd norm+relu", name);
	measure(what, CONV, &s, flops, bytes);
	snprintf(what, sizeof(what), "%s bwd_w norm+relu", name);
	measure(what, CONV_BWD_W, &s, flops, bytes);
	s.norm = 0;
	snprintf(what, sizeof(what), "%s bwd_w", name);
	measure(what, CONV_BWD_W, &s, flops, bytes);
	snprintf(what, sizeof(what), "%s bwd_x", name);
	measure(what, CONV_BWD_X, &s, flops, bytes);
	set_free(&s);
}

static void bench_frconv(int n, int ci, int co, int h)
{
	double y = (double)n * co * (h / 2) * (h / 2), x = (double)n * ci * h * h, bytes = 4 * (x + y);
	struct set s;

	set_init(&s, sd_window(1, 2, 0, 1), 0, n, ci, co, h, h / 2);
	s.norm = 1;
	measure("frconv fwd norm+relu", FRCONV, &s, 2 * y * ci, bytes);
	measure("frconv bwd_w norm+relu", FRCONV_BWD_W, &s, 2 * y * ci, bytes);
	measure("frconv bwd_x", FRCONV_BWD_X, &s, 2 * y * ci, bytes);
	set_free(&s);
}

static void bench_dwconv(const char *name, struct sd_window win, int n, int c, int h)
{
	int oh = (h + 2 * win.ph - win.dh * (win.kh - 1) - 1) / win.sh + 1;
	double y = (double)n * c * oh * oh, x = (double)n * c * h * h, flops = 2 * y * win.kh * win.kw;
	struct set s;
	char what[64];

	set_init(&s, win, 1, n, c, c, h, oh);
	s.norm = 1;
	snprintf(what, sizeof(what), "%s fwd norm+relu", name);
	measure(what, DW, &s, flops, 4 * (x + y));
	snprintf(what, sizeof(what), "%s bwd_x", name);
	measure(what, DW_BWD_X, &s, flops, 4 * (x + y));
	snprintf(what, sizeof(what), "%s bwd_w", name);
	measure(what, DW_BWD_W, &s, flops, 4 * (x + y));
	snprintf(what, sizeof(what), "%s bwd", name);
	measure(what, DW_BWD, &s, 2 * flops, 4 * (2 * x + y));
	set_free(&s);
}

static void bench_half(const char *name, struct sd_window win, int n, int c, int h)
{
	double x = (double)n * c * h * h, taps = win.kh * win.kw;
	struct set s;
	char what[64];

	set_init(&s, win, 1, n, c, c, h, h);
	s.pw = floats((size_t)(c * c));
	s.gpw = floats((size_t)(c * c));
	for (int i = 0; i < 4; i++)
		s.sums[i] = floats((size_t)c);
	snprintf(what, sizeof(what), "%s fwd", name);
	measure(what, HALF, &s, 2 * x * (taps + c), 4 * 2 * x);
	snprintf(what, sizeof(what), "%s bwd_x", name);
	measure(what, HALF_BWD_X, &s, 2 * x * (taps + c), 4 * 4 * x);
	snprintf(what, sizeof(what), "%s bwd", name);
	measure(what, HALF_BWD, &s, 2 * x * (3 * taps + 2 * c), 4 * 4 * x);
	set_free(&s);
}

int main(int argc, char **argv)
{
	static const int sizes[][2] = { /* channels, height */
		{ 16, 32 }, { 32, 16 }, { 64, 8 }, { 36, 32 }, { 72, 16 }, { 144, 8 }
	};
	int threads = argc > 1 ? atoi(argv[1]) : sd_par_default_threads(), n = argc > 2 ? atoi(argv[2]) : 64;

	if (argc > 3)
		only = argv[3];
	kern = sd_kernels_choose();
	par = kern ? sd_par_new(threads) : NULL;
	if (!par) {
		fprintf(stderr, "bench_kernels: %s\n", sd_error_text());
		return 1;
	}
	printf("# %s, %d threads, batch %d\n", kern->name, threads, n);
	printf("# kernel  channels in, out  size  us best, median  GFLOP/s  GB/s\n");
	for (int i = 0; i < 6; i++) {
		int c = sizes[i][0], h = sizes[i][1];

		bench_dwconv("dw3x3", sd_window(3, 1, 1, 1), n, c, h);
		bench_dwconv("dw5x5", sd_window(5, 1, 2, 1), n, c, h);
		bench_dwconv("dw3x3d2", sd_window(3, 1, 2, 2), n, c, h);
		bench_dwconv("dw5x5d2", sd_window(5, 1, 4, 2), n, c, h);
		bench_conv("1x1", sd_window(1, 1, 0, 1), n, c, c, h);
		bench_half("half3x3", sd_window(3, 1, 1, 1), n, c, h);
		bench_half("half5x5", sd_window(5, 1, 2, 1), n, c, h);
		bench_half("half5x5d2", sd_window(5, 1, 4, 2), n, c, h);
	}
	bench_dwconv("dw7x7", sd_window(7, 1, 3, 1), n, 16, 32);
	bench_dwconv("dw3x3s2", sd_window(3, 2, 1, 1), n, 32, 32);
	bench_dwconv("dw5x5s2", sd_window(5, 2, 2, 1), n, 32, 32);
	bench_conv("1x1", sd_window(1, 1, 0, 1), n, 64, 16, 32);
	bench_conv("1x1", sd_window(1, 1, 0, 1), n, 144, 36, 32);
	bench_conv("3x3 stem", sd_window(3, 1, 1, 1), n, 3, 48, 32);
	bench_conv("3x3", sd_window(3, 1, 1, 1), n, 16, 16, 32);
	bench_conv("3x3", sd_window(3, 1, 1, 1), n, 36, 36, 32);
	bench_conv("3x3s2", sd_window(3, 2, 1, 1), n, 32, 32, 32);
	bench_conv("2x2 aux", sd_window(2, 1, 0, 1), n, 128, 768, 2);
	bench_frconv(n, 32, 32, 32);
	bench_frconv(n, 36, 72, 32);
	sd_par_free(par);
	return 0;
}
