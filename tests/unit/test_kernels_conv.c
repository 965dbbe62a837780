/* The convolution kernels: values against plain loops in double; one result whatever the code path
 * and the number of threads; zeros in padding lanes, whose poison in operands stays there.  The
 * digest that is printed is over every result: it is the same for each compiler and optimisation. */
#include "engine/cpu/kernels.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "check.h"

#define MAX_BLK 16

static uint64_t digest = 0xcbf29ce484222325u;

static float draw(void)
{
	static uint64_t s = 88172645463325252u;

	s ^= s << 13;
	s ^= s >> 7;
	s ^= s << 17;
	if (s % 97 == 0)
		return 1e-39f; /* subnormal: as good as 0 */
	return (float)((int64_t)(s >> 11) % 2000001 - 1000000) * 1e-6f;
}

static void *alloc(size_t bytes)
{
	void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);

	if (!p) {
		fprintf(stderr, "out of memory\n");
		exit(1);
	}
	return p;
}

/* ---- images ---- */

struct image {
	struct sd_img im;
	struct sd_blk blk[MAX_BLK];
	float *a, *b;      /* norm by lane */
	int relu;
	size_t floats;
};

/* Channels in segments, each beginning a block; a list ends with 0. */
static void image_init(struct image *m, const int *segs, int n, int h, int w)
{
	int ch = 0, cb = 0;

	memset(m, 0, sizeof(*m));
	for (; *segs; segs++) {
		for (int c = 0; c < *segs; c += 16) {
			int lanes = *segs - c < 16 ? *segs - c : 16;

			m->blk[cb++] = (struct sd_blk){ ch, lanes };
			ch += lanes;
		}
	}
	m->floats = (size_t)cb * (size_t)n * (size_t)h * (size_t)w * 16;
	m->im = (struct sd_img){ .p = alloc(m->floats * 4), .n = n, .c = ch, .h = h, .w = w, .cb = cb,
		.blk = m->blk };
}

static void image_free(struct image *m)
{
	free(m->im.p);
	free(m->a);
	free(m->b);
}

/* Real lanes random, padding lanes poison. */
static void image_draw(struct image *m)
{
	size_t pixels = m->floats / 16 / (size_t)m->im.cb;
	float *p = m->im.p;

	for (int b = 0; b < m->im.cb; b++)
		for (size_t i = 0; i < pixels; i++)
			for (int l = 0; l < 16; l++)
				*p++ = l < m->blk[b].n ? draw() : NAN;
}

static void image_load(struct image *m, int norm, int relu)
{
	size_t lanes = (size_t)m->im.cb * 16;

	m->relu = relu;
	if (!norm)
		return;
	m->a = alloc(lanes * 4);
	m->b = alloc(lanes * 4);
	for (size_t i = 0; i < lanes; i++) {
		int real = (int)(i % 16) < m->blk[i / 16].n;

		m->a[i] = real ? draw() : 0;
		m->b[i] = real ? draw() : 0;
	}
}

static struct sd_src as_src(const struct image *m)
{
	return (struct sd_src){ .x = m->im, .a = m->a, .b = m->b, .relu = m->relu };
}

/* The loaded value of pixel (h, w), 0 outside. */
static double at(const struct image *m, int n, int c, int h, int w)
{
	const struct sd_img *im = &m->im;
	size_t pixel;
	int b = 0;
	float v;

	if (h < 0 || w < 0 || h >= im->h || w >= im->w)
		return 0;
	while (c >= m->blk[b].ch + m->blk[b].n)
		b++;
	c -= m->blk[b].ch;
	pixel = (size_t)((b * im->n + n) * im->h + h) * (size_t)im->w + (size_t)w;
	v = im->p[pixel * 16 + (size_t)c];
	if (fabsf(v) < 1e-38f)
		v = 0;
	if (m->a)
		v = (float)((double)m->a[b * 16 + c] * v + m->b[b * 16 + c]);
	return m->relu && 0 > v ? 0 : v;
}

/* ---- the sums, plainly ---- */

struct sum {
	double v, abs;
	int count;
};

static void sum_add(struct sum *s, double a, double b)
{
	s->v += a * b;
	s->abs += fabs(a * b);
	s->count++;
}

/* What rounding can make of it: count roundings of a partial sum, and one of each operand. */
static int close_to(double got, const struct sum *s)
{
	return fabs(got - s->v) <= (s->count + 4) * 0x1p-24 * s->abs + 1e-30;
}

enum kind { FORWARD, BWD_X, BWD_W };

struct geometry {
	struct sd_window win;
	int depthwise;
	int fr; /* factorised reduce: channels of w1, else 0 */
};

/* One sum for each element of the result, row-major; w is (Cout, Cin, kh, kw). */
static struct sum *reference(enum kind kind, const struct geometry *g, const struct image *x, const float *w,
	const struct image *y)
{
	const struct sd_window *v = &g->win;
	int ci = x->im.c, co = y->im.c, cw = g->depthwise ? 1 : ci, k2 = v->kh * v->kw;
	size_t nx = (size_t)x->im.n * (size_t)(ci * x->im.h * x->im.w);
	size_t ny = (size_t)x->im.n * (size_t)(co * y->im.h * y->im.w), nw = (size_t)(co * cw * k2);
	struct sum *s = calloc(kind == FORWARD ? ny : kind == BWD_X ? nx : nw, sizeof(*s));

	for (int n = 0; s && n < x->im.n; n++)
	for (int o = 0; o < co; o++)
	for (int i = g->depthwise ? o : 0; i < (g->depthwise ? o + 1 : ci); i++)
	for (int oh = 0; oh < y->im.h; oh++)
	for (int ow = 0; ow < y->im.w; ow++)
	for (int k = 0; k < k2; k++) {
		int h = oh * v->sh + k / v->kw * v->dh - v->ph, c = ow * v->sw + k % v->kw * v->dw - v->pw;
		size_t iw = (size_t)((o * cw + (g->depthwise ? 0 : i)) * k2 + k);
		size_t iy = (size_t)(((n * co + o) * y->im.h + oh) * y->im.w + ow);

		if (h < 0 || c < 0 || h >= x->im.h || c >= x->im.w)
			continue;
		if (g->fr && k != (o < g->fr ? 0 : 3))
			continue;
		if (kind == FORWARD)
			sum_add(&s[iy], at(x, n, i, h, c), w[iw]);
		else if (kind == BWD_X)
			sum_add(&s[((n * ci + i) * x->im.h + h) * x->im.w + c], at(y, n, o, oh, ow), w[iw]);
		else
			sum_add(&s[iw], at(x, n, i, h, c), at(y, n, o, oh, ow));
	}
	/* NOLINTNEXTLINE(readability-misleading-indentation): six loops at one depth */
	return s;
}

/* ---- comparing ---- */

static void digest_add(const float *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t u;

		memcpy(&u, &p[i], sizeof(u));
		digest = (digest ^ u) * 0x100000001b3u;
	}
}

/* An image against sums (added to `before` with acc), and its padding lanes against 0. */
static void check_image(const struct image *m, const struct sum *s, const struct image *before,
	const float *bias, const char *what, const char *name)
{
	int w = m->im.w, pixels = m->im.h * w, wrong = 0, padding = 0;
	const float *p = m->im.p;

	for (int b = 0; b < m->im.cb; b++)
	for (int n = 0; n < m->im.n; n++)
	for (int i = 0; i < pixels; i++)
	for (int l = 0; l < 16; l++) {
		float v = *p++;
		int c = m->blk[b].ch + l;
		struct sum t;

		if (l >= m->blk[b].n) {
			padding += v != 0;
			continue;
		}
		t = s[(n * m->im.c + c) * pixels + i];
		if (bias)
			sum_add(&t, bias[c], 1);
		if (before)
			sum_add(&t, at(before, n, c, i / w, i % w), 1);
		wrong += !close_to(v, &t);
	}
	CHECK(!wrong, "%s %s: %d values", what, name, wrong);
	CHECK(!padding, "%s %s: %d padding lanes not 0", what, name, padding);
}

static void check_rows(const float *got, const struct sum *s, size_t n, const char *what, const char *name)
{
	int wrong = 0;

	for (size_t i = 0; i < n; i++)
		wrong += !close_to(got[i], &s[i]);
	CHECK(!wrong, "%s %s: %d of %zu values", what, name, wrong, n);
}

/* ---- running: every path, several thread counts ---- */

#define MAX_PATH 3
static const struct sd_kernels *paths[MAX_PATH];
static int npath;
static const int threads[] = { 2, 1, 5 };
static struct sd_par *pools[3];

struct ops {
	struct geometry g;
	struct image x, y;  /* y: result, or gy */
	struct image out;   /* the image written */
	float *w, *bias, *grad;
	size_t nw;
	int acc;
};

static void run_op(const struct sd_kernels *k, struct sd_par *par, enum kind kind, struct ops *o)
{
	struct sd_src x = as_src(&o->x);
	struct sd_dst d = { .y = o->out.im, .acc = o->acc };
	int c1 = o->g.fr, c2 = o->y.im.c - c1;
	const float *w2 = o->w + (size_t)c1 * (size_t)o->x.im.c;

	if (o->g.depthwise && kind == FORWARD)
		k->dwconv(par, &x, o->w, o->g.win, &d);
	else if (o->g.depthwise)
		k->dwconv_bwd(par, &x, &o->y.im, o->w, o->g.win, kind == BWD_X ? &d : NULL,
			kind == BWD_W ? o->grad : NULL);
	else if (c1 && kind == FORWARD)
		k->frconv(par, &x, o->w, c1, w2, c2, &d);
	else if (c1 && kind == BWD_X)
		k->frconv_bwd_x(par, &o->y.im, o->w, c1, w2, c2, &d);
	else if (c1)
		for (int which = 0; which < 2; which++)
			k->frconv_bwd_w(par, &x, &o->y.im, c1, which,
				which ? o->grad + (size_t)c1 * (size_t)o->x.im.c : o->grad);
	else if (kind == FORWARD)
		k->conv(par, &x, o->w, o->bias, o->g.win, &d);
	else if (kind == BWD_X)
		k->conv_bwd_x(par, &o->y.im, o->w, o->g.win, &d);
	else
		k->conv_bwd_w(par, &x, &o->y.im, o->g.win, o->grad);
}

/* Runs the op everywhere, compares bits, and the first result with `s`. */
static void run_everywhere(enum kind kind, struct ops *o, const struct sum *s, const char *what)
{
	float *before = NULL, *first = NULL;
	size_t n = kind == BWD_W ? o->nw : o->out.floats;
	float *result = kind == BWD_W ? o->grad : o->out.im.p;
	struct image start = o->out;

	if (kind != BWD_W) {
		before = alloc(n * 4);
		image_draw(&o->out);
		memcpy(before, result, n * 4);
		start.im.p = before;
	}
	for (int p = 0; p < npath; p++) {
		for (int t = 0; t < 3; t++) {
			if (before)
				memcpy(result, before, n * 4);
			else
				memset(result, 0xff, n * 4);
			run_op(paths[p], pools[t], kind, o);
			if (first) {
				CHECK(!memcmp(first, result, n * 4), "%s: %s with %d threads differs from %s",
					what, paths[p]->name, threads[t], paths[0]->name);
				continue;
			}
			first = alloc(n * 4);
			memcpy(first, result, n * 4);
			digest_add(first, n);
			if (kind == BWD_W)
				check_rows(result, s, n, what, paths[p]->name);
			else
				check_image(&o->out, s, o->acc ? &start : NULL,
					kind == FORWARD ? o->bias : NULL, what, paths[p]->name);
		}
	}
	free(first);
	free(before);
}

/* Both gradients of a depthwise convolution in one call: the bits of two calls. */
static void check_both(struct ops *o, const char *what)
{
	size_t n = o->out.floats;
	struct sd_src x = as_src(&o->x);
	struct sd_dst d = { .y = o->out.im };
	float *gx = alloc(n * 4), *gw = alloc(o->nw * 4);

	paths[0]->dwconv_bwd(pools[0], &x, &o->y.im, o->w, o->g.win, &d, NULL);
	memcpy(gx, o->out.im.p, n * 4);
	paths[0]->dwconv_bwd(pools[0], &x, &o->y.im, o->w, o->g.win, NULL, o->grad);
	memcpy(gw, o->grad, o->nw * 4);
	memset(o->out.im.p, 0xff, n * 4);
	memset(o->grad, 0xff, o->nw * 4);
	paths[0]->dwconv_bwd(pools[0], &x, &o->y.im, o->w, o->g.win, &d, o->grad);
	CHECK(!memcmp(gx, o->out.im.p, n * 4), "%s: both gradients at once, that of x", what);
	CHECK(!memcmp(gw, o->grad, o->nw * 4), "%s: both gradients at once, that of w", what);
	free(gx);
	free(gw);
}

static int out_size(int in, int k, int s, int p, int d)
{
	return (in + 2 * p - d * (k - 1) - 1) / s + 1;
}

/* size is n, h, w; flags 1 adds to what is there, 2 norm, 4 relu, 8 bias. */
static void test_case(const struct geometry *g, const int *ci, const int *co, const int *size, int flags)
{
	const struct sd_window *v = &g->win;
	int n = size[0], h = size[1], w = size[2];
	int oh = g->fr ? (h + 1) / 2 : out_size(h, v->kh, v->sh, v->ph, v->dh);
	int ow = g->fr ? (w + 1) / 2 : out_size(w, v->kw, v->sw, v->pw, v->dw);
	struct ops o = { .g = *g, .acc = flags & 1 };
	char what[200];
	struct sum *s;
	float *dense;

	if (h + 2 * v->ph < v->dh * (v->kh - 1) + 1 || w + 2 * v->pw < v->dw * (v->kw - 1) + 1)
		return;
	image_init(&o.x, ci, n, h, w);
	image_init(&o.y, g->depthwise ? ci : co, n, oh, ow);
	image_draw(&o.x);
	image_load(&o.x, flags & 2, flags & 4);
	snprintf(what, sizeof(what), "%s %dx%d s%d,%d p%d,%d d%d,%d C%d->%d n%d %dx%d%s%s%s%s",
		g->fr ? "frconv" : g->depthwise ? "dwconv" : "conv", v->kh, v->kw, v->sh, v->sw, v->ph, v->pw,
		v->dh, v->dw, o.x.im.c, o.y.im.c, n, h, w, flags & 1 ? " acc" : "", flags & 2 ? " norm" : "",
		flags & 4 ? " relu" : "", flags & 8 ? " bias" : "");
	o.nw = (size_t)(o.y.im.c * (g->depthwise ? 1 : o.x.im.c) * (g->fr ? 1 : v->kh * v->kw));
	o.w = alloc(o.nw * 4);
	o.grad = alloc(o.nw * 4);
	for (size_t i = 0; i < o.nw; i++)
		o.w[i] = draw();
	if (flags & 8 && !g->fr && !g->depthwise) {
		o.bias = alloc((size_t)o.y.im.c * 4);
		for (int i = 0; i < o.y.im.c; i++)
			o.bias[i] = draw();
	}
	/* the reference takes a factorised reduce as the 2x2 window whose diagonal it is */
	dense = g->fr ? calloc(o.nw * 4, sizeof(*dense)) : o.w;
	for (size_t i = 0; g->fr && i < o.nw; i++)
		dense[i * 4 + (i < (size_t)(g->fr * o.x.im.c) ? 0 : 3)] = o.w[i];

	o.out = o.y;
	s = reference(FORWARD, g, &o.x, dense, &o.y);
	run_everywhere(FORWARD, &o, s, what);
	free(s);

	image_draw(&o.y); /* gy */
	image_init(&o.out, ci, n, h, w);
	s = reference(BWD_X, g, &o.x, dense, &o.y);
	run_everywhere(BWD_X, &o, s, what);
	free(s);

	s = reference(BWD_W, g, &o.x, dense, &o.y);
	for (size_t i = 0; g->fr && i < o.nw; i++)
		s[i] = s[i * 4 + (i < (size_t)(g->fr * o.x.im.c) ? 0 : 3)];
	run_everywhere(BWD_W, &o, s, what);
	free(s);
	if (g->depthwise)
		check_both(&o, what);

	if (g->fr)
		free(dense);
	image_free(&o.x);
	image_free(&o.y);
	image_free(&o.out);
	free(o.w);
	free(o.bias);
	free(o.grad);
}

static const int channels[][5] = { { 18 }, { 36 }, { 3 }, { 18, 18 }, { 5, 16, 3 }, { 1 }, { 64 } };
static const int sizes[][3] = { /* n, h, w */
	{ 1, 1, 1 }, { 3, 5, 7 }, { 1, 8, 8 }, { 3, 9, 6 }, { 1, 17, 13 }, { 2, 4, 33 }
};
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static void test_conv(void)
{
	static const struct sd_window wins[] = {
		{ 1, 1, 1, 1, 0, 0, 1, 1 }, { 1, 1, 2, 2, 0, 0, 1, 1 }, { 3, 3, 1, 1, 1, 1, 1, 1 },
		{ 3, 3, 2, 2, 1, 1, 1, 1 }, { 2, 2, 1, 1, 0, 0, 1, 1 }, { 1, 7, 1, 2, 0, 3, 1, 1 },
		{ 7, 1, 2, 1, 3, 0, 1, 1 }, { 3, 3, 1, 1, 2, 2, 2, 2 }, { 5, 5, 1, 1, 2, 2, 1, 1 },
		{ 1, 1, 1, 1, 1, 1, 1, 1 }, { 3, 3, 3, 3, 0, 0, 1, 1 }, { 3, 2, 2, 3, 1, 0, 2, 1 },
	};
	int turn = 0;

	for (int i = 0; i < COUNT(wins); i++) {
		struct geometry g = { .win = wins[i] };

		for (int c = 0; c < COUNT(channels); c++, turn++) {
			const int *co = channels[(c + turn / 7) % COUNT(channels)];

			test_case(&g, channels[c], co, sizes[turn % COUNT(sizes)], turn * 7 % 16);
			if (c % 3 == i % 3)
				test_case(&g, co, channels[c], sizes[4 - turn % 2], turn * 5 % 16);
		}
	}
	/* rows longer than a band, more images than chunks */
	test_case(&(struct geometry){ .win = wins[0] }, channels[3], channels[1], (int[]){ 2, 23, 31 }, 6);
	test_case(&(struct geometry){ .win = wins[5] }, channels[2], channels[2], (int[]){ 1, 2, 600 }, 0);
	test_case(&(struct geometry){ .win = wins[3] }, channels[2], channels[2], (int[]){ 70, 6, 6 }, 6);
}

static void test_frconv(void)
{
	static const int outs[][4] = { { 36 }, { 18, 18 }, { 64 }, { 5, 16, 3 }, { 16 } };
	static const int firsts[] = { 18, 18, 32, 12, 8 };
	int turn = 0;

	for (int i = 0; i < COUNT(outs); i++) {
		struct geometry g = { .win = { 2, 2, 2, 2, 0, 0, 1, 1 }, .fr = firsts[i] };

		for (int c = 0; c < COUNT(channels); c++, turn++)
			test_case(&g, channels[c], outs[i], sizes[turn % COUNT(sizes)], turn * 3 % 8);
	}
}

static void test_dwconv(void)
{
	static const int k[] = { 3, 5, 7, 2, 1 };
	static const struct geometry oblong = { .win = { 1, 7, 1, 2, 0, 3, 1, 1 }, .depthwise = 1 };
	static const struct geometry small = { .win = { 3, 3, 1, 1, 1, 1, 1, 1 }, .depthwise = 1 };
	static const struct geometry large = { .win = { 5, 5, 1, 1, 4, 4, 2, 2 }, .depthwise = 1 };
	int turn = 0;

	for (int i = 0; i < COUNT(k); i++) {
		for (int s = 1; s <= 3; s++) {
			for (int d = 1; d <= 2; d++) {
				int n = k[i], p = d * (n - 1) / 2;
				struct geometry g = { .win = { n, n, s, s, p, p, d, d }, .depthwise = 1 };

				for (int c = 0; c < 3; c++, turn++)
					test_case(&g, channels[turn * 3 % COUNT(channels)], NULL,
						sizes[turn % COUNT(sizes)], turn * 3 % 8);
				test_case(&g, channels[3 + turn % 2], NULL, (int[]){ 3, 17, 13 }, turn % 8);
			}
		}
	}
	test_case(&oblong, channels[0], NULL, (int[]){ 3, 9, 6 }, 6);
	test_case(&small, channels[2], NULL, (int[]){ 70, 8, 8 }, 6);
	test_case(&large, channels[2], NULL, (int[]){ 1, 40, 130 }, 6);
}

int main(void)
{
	static const char *const names[] = { "avx512", "avx2", "generic" };

	for (int i = 0; i < 3; i++) {
		setenv("SD_CPU", names[i], 1);
		paths[npath] = sd_kernels_choose();
		if (paths[npath]) {
			CHECK(!strcmp(paths[npath]->name, names[i]), "SD_CPU=%s gives %s", names[i],
				paths[npath]->name);
			npath++;
		}
		pools[i] = sd_par_new(threads[i]);
		if (!pools[i])
			return 1;
	}
	setenv("SD_CPU", "sse9", 1);
	CHECK(!sd_kernels_choose() && sd_error_kind() == SD_ERR_USAGE, "an unknown code path");
	unsetenv("SD_CPU");
	CHECK(sd_kernels_choose() == paths[0], "the best code path by default");
	test_conv();
	test_frconv();
	test_dwconv();
	for (int i = 0; i < 3; i++)
		sd_par_free(pools[i]);
	printf("digest %016llx\n", (unsigned long long)digest);
	return check_done();
}
