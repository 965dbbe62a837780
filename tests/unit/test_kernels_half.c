/* Halves of separable convolutions against the kernels that they are made of: images to the bit, sums within
 * rounding, as those are cut otherwise.  One result on every code path and with any number of threads. */
#include "kernel_case.h"

#define SEGS 4

struct geometry {
	int n, h, w, in[SEGS], out[SEGS];
	struct sd_window win;
};
static const struct geometry geometries[] = {
	{ 2, 5, 7, { 18 }, { 18 }, { 3, 3, 1, 1, 1, 1, 1, 1 } },
	{ 3, 8, 8, { 16 }, { 36 }, { 5, 5, 1, 1, 2, 2, 1, 1 } },
	{ 2, 9, 6, { 36 }, { 16 }, { 3, 3, 2, 2, 1, 1, 1, 1 } },
	{ 70, 4, 4, { 48 }, { 64 }, { 5, 5, 2, 2, 2, 2, 1, 1 } },
	{ 2, 8, 8, { 4, 4 }, { 80 }, { 3, 3, 1, 1, 2, 2, 2, 2 } },
	{ 65, 6, 7, { 16, 3 }, { 5 }, { 5, 5, 1, 1, 4, 4, 2, 2 } },
	{ 2, 9, 9, { 20 }, { 20 }, { 5, 5, 1, 1, 2, 2, 2, 2 } }, /* shrinks */
	{ 1, 40, 36, { 16 }, { 16 }, { 7, 7, 1, 1, 3, 3, 1, 1 } },
	{ 1, 2, 1100, { 3 }, { 17 }, { 3, 3, 1, 1, 1, 1, 1, 1 } }, /* a row is more than a task */
	{ 2, 3, 4, { 6 }, { 7 }, { 1, 1, 1, 1, 0, 0, 1, 1 } },
	{ 2, 2, 16, { 5 }, { 6 }, { 3, 3, 2, 2, 1, 1, 1, 1 } }, /* taps 18 pixels apart: 3 rows of 8 more than 2 */
};

/* y is so large that it goes around the caches. */
static const struct geometry large = { 43, 32, 32, { 4 }, { 36 }, { 3, 3, 1, 1, 1, 1, 1, 1 } };

static int out_size(int in, int pad, int dil, int k, int stride)
{
	return (in + 2 * pad - dil * (k - 1) - 1) / stride + 1;
}

static int equal_images(const struct sd_img *a, const struct sd_img *b)
{
	KC_EACH(a, p) {
		float *q = kc_at(b, n, c, h, w);

		if (memcmp(p, q, sizeof(*p)))
			return 0;
	}
	return 1;
}

static void near(const char *what, const float *got, const float *want, size_t n, double tol)
{
	struct kc_err e = { 0 };

	for (size_t i = 0; i < n; i++)
		kc_cmp(&e, got[i], want[i]);
	KC_NEAR(e, tol);
}

static struct sd_img copy_of(const struct sd_img *x)
{
	struct sd_img y = *x;

	y.p = kc_floats(kc_image_floats(x));
	memcpy(y.p, x->p, kc_image_floats(x) * sizeof(float));
	return y;
}

/* An image whose padding lanes are 0, to be added to. */
static struct sd_img zero_padded(int n, int h, int w, const int *seg)
{
	struct sd_img x = kc_image(n, h, w, seg);

	memset(x.p, 0, kc_image_floats(&x) * sizeof(float));
	KC_EACH(&x, p)
		*p = kc_rand();
	return x;
}

static const struct sd_window one = { 1, 1, 1, 1, 0, 0, 1, 1 };

static void check_forward(const struct geometry *g, struct sd_src *x, const float *dw, const float *pw, int acc)
{
	const char *what = "forward";
	int oh = out_size(g->h, g->win.ph, g->win.dh, g->win.kh, g->win.sh);
	int ow = out_size(g->w, g->win.pw, g->win.dw, g->win.kw, g->win.sw);
	struct sd_img mid = kc_image(g->n, oh, ow, g->in), old = zero_padded(g->n, oh, ow, g->out);
	struct sd_img want = copy_of(&old), y = copy_of(&old);
	size_t c = (size_t)y.c;
	float *sums = kc_floats(4 * c), *mean = sums, *var = sums + c;
	struct sd_src from = { .x = mid }, result = { .x = want };
	struct sd_dst to = { mid, 0 }, end = { want, acc };
	struct sd_half half = { .x = *x, .dw = dw, .win = g->win, .pw = pw, .y = { y, acc }, .mean = sums + 2 * c,
		.var = sums + 3 * c };

	kc_path[0]->dwconv(kc_pool[0], x, dw, g->win, &to);
	kc_path[0]->conv(kc_pool[0], &from, pw, NULL, one, &end);
	kc_path[0]->bn_stats(kc_pool[0], &result, mean, var);
	KC_RUN(k, par) {
		memcpy(y.p, old.p, kc_image_floats(&y) * sizeof(float));
		memset(half.mean, 0xff, 2 * c * sizeof(float));
		k->half(par, &half);
		KC_SAME_IMAGE(&y);
		KC_SAME(half.mean, 2 * c * sizeof(float));
	}
	CHECK(equal_images(&y, &want), "y differs");
	near("mean", half.mean, mean, c, 2e-6);
	near("variance", half.var, var, c, 2e-6);
	half.mean = half.var = NULL;
	memcpy(y.p, old.p, kc_image_floats(&y) * sizeof(float));
	kc_path[0]->half(kc_pool[0], &half);
	CHECK(equal_images(&y, &want), "y without statistics differs");
	free(sums);
	kc_image_free(&mid);
	kc_image_free(&old);
	free(want.p);
	free(y.p);
}

/* What a form asks for, by bit. */
enum { NORM = 1, MASK = 2, BATCH = 4, WANT_X = 8, ACC = 16, WANT_W = 32, SUMS = 64, SUMS_MASK = 128 };

static void check_backward(const struct geometry *g, struct sd_src *x, const float *dw, const float *pw, int form)
{
	const char *what = "backward";
	int oh = out_size(g->h, g->win.ph, g->win.dh, g->win.kh, g->win.sh);
	int ow = out_size(g->w, g->win.pw, g->win.dw, g->win.kw, g->win.sw);
	int batch = !!(form & BATCH), acc = !!(form & ACC), ntap = g->win.kh * g->win.kw;
	struct sd_img gout = kc_random_image(g->n, oh, ow, g->out), y = kc_random_image(g->n, oh, ow, g->out);
	struct sd_img gy = kc_image(g->n, oh, ow, g->out), gmid = kc_image(g->n, oh, ow, g->in);
	struct sd_img mid = kc_image(g->n, oh, ow, g->in), old = zero_padded(g->n, g->h, g->w, g->in);
	struct sd_img want = copy_of(&old), gx = copy_of(&old);
	size_t nin = (size_t)old.c, ndw = nin * (size_t)ntap, npw = nin * (size_t)y.c, nsum = 2 * nin + ndw + npw;
	float *mean = kc_lanes(&y), *istd = kc_lanes(&y), *scale = kc_lanes(&y);
	float *ma = kc_lanes(&y), *mb = kc_lanes(&y);
	float *xmean = kc_lanes(&old), *xistd = kc_lanes(&old), *xa = kc_lanes(&old), *xb = kc_lanes(&old);
	float *sg = kc_random(2 * (size_t)y.c), *sgx = sg + y.c, *sums = kc_floats(2 * nsum), *got = sums + nsum;
	struct sd_dst to_gy = { gy, 0 }, to_mid = { gmid, 0 }, to_gx = { want, acc }, depthwise = { mid, 0 };
	struct sd_src from_mid = { .x = mid };
	struct sd_half_bwd h = { .g = gout, .f = 0.75f, .sg = sg, .sgx = sgx, .batch = batch, .x = *x, .dw = dw,
		.pw = pw, .win = g->win };
	float *scaled = kc_floats((size_t)y.cb * 16);

	/* the parts */
	for (int i = 0; i < y.cb * 16; i++)
		scaled[i] = 0.75f * scale[i];
	if (form & NORM) {
		h.norm = (struct sd_norm_arg){ y, mean, istd, form & MASK ? ma : NULL, form & MASK ? mb : NULL, scale };
		kc_path[0]->norm_bwd_x(kc_pool[0], &gout, &y, mean, istd, h.norm.ma, h.norm.mb, scaled, sg, sgx, batch,
			&to_gy);
	} else {
		memcpy(gy.p, gout.p, kc_image_floats(&gy) * sizeof(float));
	}
	kc_path[0]->conv_bwd_x(kc_pool[0], &gy, pw, one, &to_mid);
	kc_path[0]->dwconv(kc_pool[0], x, dw, g->win, &depthwise);
	memset(sums, 0, 2 * nsum * sizeof(float));
	if (form & WANT_W) {
		kc_path[0]->conv_bwd_w(kc_pool[0], &from_mid, &gy, one, sums + 2 * nin);
		kc_path[0]->dwconv_bwd(kc_pool[0], x, &gmid, dw, g->win, NULL, sums + 2 * nin + npw);
		h.gpw = got + 2 * nin;
		h.gdw = h.gpw + npw;
	}
	if (form & WANT_X) {
		kc_path[0]->dwconv_bwd(kc_pool[0], NULL, &gmid, dw, g->win, &to_gx, NULL);
		h.gx = (struct sd_dst){ gx, acc };
	}
	if (form & SUMS) {
		h.sums = (struct sd_norm_arg){ x->x, xmean, xistd, form & SUMS_MASK ? xa : NULL,
			form & SUMS_MASK ? xb : NULL, NULL };
		kc_path[0]->norm_bwd_sums(kc_pool[0], &want, &x->x, xmean, xistd, h.sums.ma, h.sums.mb, sums,
			sums + nin);
		h.ssg = got;
		h.ssgx = got + nin;
	}
	KC_RUN(k, par) {
		memcpy(gx.p, old.p, kc_image_floats(&gx) * sizeof(float));
		if (form & WANT_W)
			memset(h.gpw, 0xff, (npw + ndw) * sizeof(float));
		k->half_bwd(par, &h);
		KC_SAME_IMAGE(&gx);
		KC_SAME(got, nsum * sizeof(float));
	}
	CHECK(equal_images(&gx, form & WANT_X ? &want : &old), "form %d: gx differs", form);
	near("sums of the norm", got, sums, 2 * nin, 4e-6);
	near("pointwise weights", got + 2 * nin, sums + 2 * nin, npw, 4e-6);
	near("depthwise weights", got + 2 * nin + npw, sums + 2 * nin + npw, ndw, 4e-6);
	/* one weight gradient alone */
	if ((form & WANT_W) && (form & WANT_X)) {
		float *pair = h.gdw;

		h.gdw = NULL;
		memset(h.gpw, 0, (npw + ndw) * sizeof(float));
		kc_path[0]->half_bwd(kc_pool[0], &h);
		near("pointwise weights alone", h.gpw, sums + 2 * nin, npw, 4e-6);
		h.gdw = pair;
		h.gpw = NULL;
		kc_path[0]->half_bwd(kc_pool[0], &h);
		near("depthwise weights alone", pair, sums + 2 * nin + npw, ndw, 4e-6);
	}
	free(mean), free(istd), free(ma), free(mb), free(scale), free(scaled);
	free(xmean), free(xistd), free(xa), free(xb);
	free(sg), free(sums);
	free(want.p), free(gx.p);
	kc_image_free(&gout), kc_image_free(&y), kc_image_free(&gy), kc_image_free(&gmid), kc_image_free(&mid);
	kc_image_free(&old);
}

static void check(const struct geometry *g, int i)
{
	static const int forms[] = { WANT_X, WANT_X | ACC, WANT_X | WANT_W, WANT_W,
		NORM | BATCH | WANT_X | WANT_W | SUMS | SUMS_MASK, NORM | MASK | BATCH | WANT_X | SUMS,
		NORM | WANT_X | WANT_W | ACC, NORM | MASK | WANT_W };
	struct sd_src x = { .x = kc_random_image(g->n, g->h, g->w, g->in), .relu = i % 3 != 1 };
	float *a = kc_lanes(&x.x), *b = kc_lanes(&x.x), *dw, *pw;
	struct sd_img out = kc_image(1, 1, 1, g->out);

	if (i % 2)
		x.a = a, x.b = b;
	dw = kc_random((size_t)x.x.c * (size_t)(g->win.kh * g->win.kw));
	pw = kc_random((size_t)x.x.c * (size_t)out.c);
	check_forward(g, &x, dw, pw, i % 2);
	for (size_t f = 0; f < sizeof(forms) / sizeof(*forms); f++)
		check_backward(g, &x, dw, pw, forms[f]);
	free(a), free(b), free(dw), free(pw);
	kc_image_free(&x.x);
	kc_image_free(&out);
}

static void check_large(const struct geometry *g)
{
	struct sd_src x = { .x = kc_random_image(g->n, g->h, g->w, g->in), .relu = 1 };
	float *dw = kc_random((size_t)x.x.c * 9), *pw = kc_random((size_t)x.x.c * 36);

	check_forward(g, &x, dw, pw, 0);
	check_forward(g, &x, dw, pw, 1);
	free(dw), free(pw);
	kc_image_free(&x.x);
}

static void bench(const struct sd_kernels *k, struct sd_par *par)
{
	for (int q = 0; q < 4; q++) {
		int c = q == 3 ? 36 : 16 << q, s = q == 3 ? 32 : 32 >> q, seg[] = { c, 0 };
		struct sd_img x = kc_random_image(64, s, s, seg), y = kc_random_image(64, s, s, seg);
		struct sd_img g = kc_random_image(64, s, s, seg), gx = kc_random_image(64, s, s, seg);
		float *l = kc_random(64), *dw = kc_random(64 * 25), *pw = kc_random(64 * 64);
		float m[4][64], gdw[64 * 25], gpw[64 * 64];
		double bytes = (double)kc_image_floats(&x) * sizeof(float);

		for (int kk = 3; kk <= 5; kk += 2) {
			struct sd_window win = { kk, kk, 1, 1, kk / 2, kk / 2, 1, 1 };
			struct sd_src from = { .x = x, .a = l, .b = l, .relu = 1 };
			struct sd_half h = { from, dw, win, pw, { y, 0 }, m[0], m[1] };
			struct sd_half_bwd b = { .g = g, .norm = { y, l, l, l, l, l }, .f = 1, .sg = l, .sgx = l, .batch = 1,
				.x = from, .dw = dw, .pw = pw, .win = win, .gx = { gx, 0 }, .sums = { x, l, l, l, l, NULL }, .ssg = m[2],
				.ssgx = m[3] };
			char name[64];

			snprintf(name, sizeof(name), "C%d %dx%d %dx%d forward", c, s, s, kk, kk);
			KC_TIME(name, 2 * bytes, k->half(par, &h));
			snprintf(name, sizeof(name), "C%d %dx%d %dx%d data", c, s, s, kk, kk);
			KC_TIME(name, 4 * bytes, k->half_bwd(par, &b));
			b.gdw = gdw;
			b.gpw = gpw;
			snprintf(name, sizeof(name), "C%d %dx%d %dx%d data, weights", c, s, s, kk, kk);
			KC_TIME(name, 4 * bytes, k->half_bwd(par, &b));
		}
		free(l), free(dw), free(pw);
		kc_image_free(&x), kc_image_free(&y), kc_image_free(&g), kc_image_free(&gx);
	}
}

int main(int argc, char **argv)
{
	if (kc_bench(argc, argv, bench))
		return 0;
	kc_open();
	for (size_t i = 0; i < sizeof(geometries) / sizeof(*geometries); i++)
		check(&geometries[i], (int)i);
	check_large(&large);
	kc_close(0xbec80dad0e5d6df7);
	return check_done();
}
