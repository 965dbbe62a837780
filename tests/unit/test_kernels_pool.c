/* test_kernels_pool.c: pools and the global mean (k_pool.c), on every code path and with several numbers of
 * threads. */
#include "kernel_case.h"

struct pool_case {
	int h, w;
	struct sd_window win;
};
static const struct pool_case cases[] = {
	{ 8, 8, { 3, 3, 1, 1, 1, 1, 1, 1 } },
	{ 7, 5, { 3, 3, 1, 1, 1, 1, 1, 1 } },
	{ 1, 1, { 3, 3, 1, 1, 1, 1, 1, 1 } },
	{ 2, 1, { 3, 3, 1, 1, 1, 1, 1, 1 } },
	{ 1, 9, { 3, 3, 1, 1, 1, 1, 1, 1 } },
	{ 8, 8, { 3, 3, 2, 2, 1, 1, 1, 1 } },
	{ 7, 9, { 3, 3, 2, 2, 1, 1, 1, 1 } },
	{ 8, 8, { 5, 5, 3, 3, 0, 0, 1, 1 } },  /* the auxiliary head */
	{ 14, 14, { 5, 5, 2, 2, 0, 0, 1, 1 } },
	{ 8, 6, { 2, 2, 2, 2, 0, 0, 1, 1 } },
	{ 9, 11, { 3, 5, 1, 2, 1, 2, 1, 1 } },
	{ 11, 10, { 3, 3, 1, 1, 2, 2, 2, 2 } }, /* dilated */
	{ 12, 9, { 4, 3, 2, 1, 1, 2, 2, 3 } },
	{ 9, 9, { 2, 2, 3, 4, 0, 0, 1, 1 } },  /* pixels that nothing reads */
	{ 7, 7, { 7, 7, 1, 1, 0, 0, 1, 1 } },
	{ 6, 6, { 7, 7, 1, 1, 3, 3, 1, 1 } },
};
static const int segs[][4] = { { 18 }, { 36 }, { 16 }, { 4, 3 } };

static int out_size(int in, int k, int s, int p, int d)
{
	return (in + 2 * p - d * (k - 1) - 1) / s + 1;
}

/* The first winner of a window, as a tap; its value to *v. */
static int winner(const struct sd_src *x, const struct sd_window *win, int n, int c, int oh, int ow,
	double *v)
{
	int best = -1;

	for (int i = 0; i < win->kh; i++)
		for (int j = 0; j < win->kw; j++) {
			int h = oh * win->sh - win->ph + i * win->dh;
			int w = ow * win->sw - win->pw + j * win->dw;
			double t;

			if (h < 0 || h >= x->x.h || w < 0 || w >= x->x.w)
				continue;
			t = kc_loaded(x, n, c, h, w);
			if (best < 0 || t > *v || (isnan(t) && !isnan(*v))) {
				*v = t;
				best = i * win->kw + j;
			}
		}
	return best;
}

enum content { RANDOM, TIES, NANS, NEGATIVE };

static void fill(struct sd_img *x, enum content content)
{
	KC_EACH(x, p) {
		float r = kc_rand();

		switch (content) {
		case RANDOM: *p = r; break;
		case TIES: *p = r > 0.3f ? 1 : r > -0.3f ? 0.0f : -0.0f; break;
		case NANS: *p = r > 1 ? NAN : r < -1 ? -INFINITY : r < -0.8f ? INFINITY : r; break;
		case NEGATIVE: *p = c % 2 ? -INFINITY : -1 - fabsf(r); break;
		}
	}
}

static void check_max(const struct pool_case *t, const int *seg, int batch, enum content content, int form)
{
	const struct sd_window *win = &t->win;
	int oh = out_size(t->h, win->kh, win->sh, win->ph, win->dh), acc = form >> 2;
	int ow = out_size(t->w, win->kw, win->sw, win->pw, win->dw);
	struct sd_img x = kc_image(batch, t->h, t->w, seg), gy = kc_random_image(batch, oh, ow, seg);
	struct sd_img old = kc_random_image(batch, oh, ow, seg), y = kc_image(batch, oh, ow, seg);
	struct sd_img gold = kc_random_image(batch, t->h, t->w, seg), gx = kc_image(batch, t->h, t->w, seg);
	struct sd_src src = { .x = x, .relu = form & 1 };
	struct sd_dst dst = { y, acc }, gdst = { gx, acc };
	struct kc_err e = { 0 }, eb = { 0 };
	double *want, v = 0;
	char what[120];

	fill(&x, content);
	if (form & 2) {
		/* powers of two, so that the reference in double finds the same ties */
		float *a = kc_lanes(&x), *b = kc_lanes(&x);

		for (int i = 0; i < x.cb * 16; i++) {
			a[i] = a[i] == 0 ? 0 : a[i] > 0 ? 0.5f : -2;
			b[i] = 0;
		}
		src.a = a;
		src.b = b;
	}
	snprintf(what, sizeof(what), "maxpool %dx%d of %dx%dx%dx%d, content %d, form %d", win->kh, win->kw,
		batch, x.c, t->h, t->w, content, form);
	KC_RUN(k, par) {
		memcpy(y.p, old.p, kc_image_floats(&y) * sizeof(float));
		k->maxpool(par, &src, *win, &dst);
		KC_SAME_IMAGE(&y);
	}
	want = calloc((size_t)batch * x.c * t->h * t->w, sizeof(*want));
	KC_EACH(&y, p) {
		int i = winner(&src, win, n, c, h, w, &v);

		kc_cmp(&e, *p, v + (acc ? *kc_at(&old, n, c, h, w) : 0));
		want[((size_t)(n * x.c + c) * t->h + h * win->sh - win->ph + i / win->kw * win->dh) * t->w
			+ w * win->sw - win->pw + i % win->kw * win->dw] += *kc_at(&gy, n, c, h, w);
	}
	KC_NEAR(e, acc ? 1e-7 : 0);
	snprintf(what, sizeof(what), "maxpool_bwd %dx%d of %dx%dx%dx%d, content %d, form %d", win->kh,
		win->kw, batch, x.c, t->h, t->w, content, form);
	KC_RUN(k, par) {
		memcpy(gx.p, gold.p, kc_image_floats(&gx) * sizeof(float));
		k->maxpool_bwd(par, &src, &gy, *win, &gdst);
		KC_SAME_IMAGE(&gx);
	}
	KC_EACH(&gx, p)
		kc_cmp(&eb, *p, want[((size_t)(n * x.c + c) * t->h + h) * t->w + w]
			+ (acc ? *kc_at(&gold, n, c, h, w) : 0));
	KC_NEAR(eb, 1e-6);
	free(want);
	free((void *)src.a);
	free((void *)src.b);
	kc_image_free(&x);
	kc_image_free(&y);
	kc_image_free(&gx);
	kc_image_free(&gy);
	kc_image_free(&old);
	kc_image_free(&gold);
}

static void check_avg(const struct pool_case *t, const int *seg, int batch, int include_pad, int form)
{
	const struct sd_window *win = &t->win;
	int oh = out_size(t->h, win->kh, win->sh, win->ph, win->dh), acc = form >> 2;
	int ow = out_size(t->w, win->kw, win->sw, win->pw, win->dw);
	struct sd_img x = kc_random_image(batch, t->h, t->w, seg), gy = kc_random_image(batch, oh, ow, seg);
	struct sd_img old = kc_random_image(batch, oh, ow, seg), y = kc_image(batch, oh, ow, seg);
	struct sd_img gold = kc_random_image(batch, t->h, t->w, seg), gx = kc_image(batch, t->h, t->w, seg);
	struct sd_src src = { .x = x, .relu = form & 1, .a = form & 2 ? kc_lanes(&x) : NULL,
		.b = form & 2 ? kc_lanes(&x) : NULL };
	struct sd_dst dst = { y, acc }, gdst = { gx, acc };
	struct kc_err e = { 0 }, eb = { 0 };
	double *want = calloc((size_t)batch * x.c * t->h * t->w, sizeof(*want));
	char what[120];

	snprintf(what, sizeof(what), "avgpool %dx%d of %dx%dx%dx%d, include_pad %d, form %d", win->kh,
		win->kw, batch, x.c, t->h, t->w, include_pad, form);
	KC_RUN(k, par) {
		memcpy(y.p, old.p, kc_image_floats(&y) * sizeof(float));
		k->avgpool(par, &src, *win, include_pad, &dst);
		KC_SAME_IMAGE(&y);
	}
	KC_EACH(&y, p) {
		double sum = 0;
		int taps = 0;

		for (int pass = 0; pass < 2; pass++)
			for (int i = 0; i < win->kh; i++)
				for (int j = 0; j < win->kw; j++) {
					int ih = h * win->sh - win->ph + i * win->dh;
					int iw = w * win->sw - win->pw + j * win->dw;

					if (ih < 0 || ih >= t->h || iw < 0 || iw >= t->w)
						continue;
					if (pass == 0) {
						taps++;
						sum += kc_loaded(&src, n, c, ih, iw);
					} else {
						want[((size_t)(n * x.c + c) * t->h + ih) * t->w + iw] +=
							*kc_at(&gy, n, c, h, w)
							/ (include_pad ? win->kh * win->kw : taps);
					}
				}
		kc_cmp(&e, *p, sum / (include_pad ? win->kh * win->kw : taps)
			+ (acc ? *kc_at(&old, n, c, h, w) : 0));
	}
	KC_NEAR(e, 1e-6);
	snprintf(what, sizeof(what), "avgpool_bwd %dx%d of %dx%dx%dx%d, include_pad %d, form %d", win->kh,
		win->kw, batch, x.c, t->h, t->w, include_pad, form);
	KC_RUN(k, par) {
		memcpy(gx.p, gold.p, kc_image_floats(&gx) * sizeof(float));
		k->avgpool_bwd(par, &gy, *win, include_pad, &gdst);
		KC_SAME_IMAGE(&gx);
	}
	KC_EACH(&gx, p)
		kc_cmp(&eb, *p, want[((size_t)(n * x.c + c) * t->h + h) * t->w + w]
			+ (acc ? *kc_at(&gold, n, c, h, w) : 0));
	KC_NEAR(eb, 1e-6);
	free(want);
	free((void *)src.a);
	free((void *)src.b);
	kc_image_free(&x);
	kc_image_free(&y);
	kc_image_free(&gx);
	kc_image_free(&gy);
	kc_image_free(&old);
	kc_image_free(&gold);
}

/* Also: a sample's mean does not depend on the batch that it is in. */
static void test_gap(void)
{
	KC_SHAPES(s)
		for (int form = 0; form < 8; form++) {
			struct sd_img x = kc_random_image(s->n, s->h, s->w, s->seg), old, gx, one;
			struct sd_src src = { .x = x, .relu = form & 1, .a = form & 2 ? kc_lanes(&x) : NULL,
				.b = form & 2 ? kc_lanes(&x) : NULL }, src1 = src;
			int acc = form >> 2;
			size_t rows = (size_t)s->n * x.c;
			float *y = kc_random(rows), *gy = kc_random(rows), *y1 = kc_random(x.c);
			double *want = calloc(rows, sizeof(*want)), pixels = (double)s->h * s->w;
			struct kc_err e = { 0 }, eb = { 0 };
			struct sd_dst dst;
			char what[80];

			snprintf(what, sizeof(what), "gap of %d x %d x %d x %d, form %d", s->n, x.c, s->h,
				s->w, form);
			old = kc_random_image(s->n, s->h, s->w, s->seg);
			gx = kc_image(s->n, s->h, s->w, s->seg);
			dst = (struct sd_dst){ gx, acc };
			KC_RUN(k, par) {
				k->gap(par, &src, y);
				KC_SAME(y, rows * sizeof(float));
				memcpy(gx.p, old.p, kc_image_floats(&gx) * sizeof(float));
				k->gap_bwd(par, gy, &dst);
				KC_SAME_IMAGE(&gx);
			}
			KC_EACH(&x, p)
				want[n * x.c + c] += kc_loaded(&src, n, c, h, w) / pixels;
			for (size_t i = 0; i < rows; i++)
				kc_cmp(&e, y[i], want[i]);
			KC_NEAR(e, 1e-6);
			KC_EACH(&gx, p)
				kc_cmp(&eb, *p, gy[n * x.c + c] / pixels
					+ (acc ? *kc_at(&old, n, c, h, w) : 0));
			KC_NEAR(eb, 1e-7);

			one = kc_image(1, s->h, s->w, s->seg);
			KC_EACH(&one, p)
				*p = *kc_at(&x, s->n - 1, c, h, w);
			src1.x = one;
			kc_path[0]->gap(kc_pool[0], &src1, y1);
			CHECK(!memcmp(y1, y + rows - x.c, x.c * sizeof(float)), "%s: depends on the batch",
				what);
			free(y);
			free(gy);
			free(y1);
			free(want);
			free((void *)src.a);
			free((void *)src.b);
			kc_image_free(&x);
			kc_image_free(&old);
			kc_image_free(&gx);
			kc_image_free(&one);
		}
}

static void bench(const struct sd_kernels *k, struct sd_par *par)
{
	for (int q = 0; q < 3; q++)
		for (int stride = 1; stride <= 2; stride++) {
			int c = 16 << q, s = 32 >> q, seg[] = { c, 0 };
			struct sd_window win = { 3, 3, stride, stride, 1, 1, 1, 1 };
			struct sd_img x[8], y[8];
			double bytes;
			char name[64];

			for (int r = 0; r < 8; r++) {
				x[r] = kc_random_image(64, s, s, seg);
				y[r] = kc_random_image(64, s / stride, s / stride, seg);
			}
			bytes = (double)(kc_image_floats(&x[0]) + kc_image_floats(&y[0])) * sizeof(float);
#define ROW(label, ...) do { \
		snprintf(name, sizeof(name), "C%d %dx%d %s s%d", c, s, s, label, stride); \
		KC_TIME(name, bytes, __VA_ARGS__); \
	} while (0)
			ROW("maxpool", {
				struct sd_src a = { .x = x[r] };
				struct sd_dst d = { y[r], 0 };
				k->maxpool(par, &a, win, &d);
			});
			ROW("avgpool", {
				struct sd_src a = { .x = x[r] };
				struct sd_dst d = { y[r], 0 };
				k->avgpool(par, &a, win, 0, &d);
			});
			ROW("maxpool_bwd", {
				struct sd_src a = { .x = x[r] };
				struct sd_dst d = { x[(r + 4) % 8], 0 };
				k->maxpool_bwd(par, &a, &y[r], win, &d);
			});
			ROW("avgpool_bwd", {
				struct sd_dst d = { x[r], 0 };
				k->avgpool_bwd(par, &y[r], win, 0, &d);
			});
#undef ROW
			for (int r = 0; r < 8; r++) {
				kc_image_free(&x[r]);
				kc_image_free(&y[r]);
			}
		}
}

int main(int argc, char **argv)
{
	if (kc_bench(argc, argv, bench))
		return 0;
	kc_open();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int s = 0; s < 4; s++) {
			int batch = s == 1 ? 1 : 3;

			for (int content = RANDOM; content <= NEGATIVE; content++)
				check_max(&cases[i], segs[s], batch, (enum content)content,
					((int)i * 3 + s + content) % 8);
			check_max(&cases[i], segs[s], batch, RANDOM, 0);
			check_max(&cases[i], segs[s], batch, NANS, 2);
			check_avg(&cases[i], segs[s], batch, 0, ((int)i + s) % 8);
			check_avg(&cases[i], segs[s], batch, 1, ((int)i + s + 3) % 8);
		}
	test_gap();
	kc_close(0xf61eb9ed03d27328);
	return check_done();
}
