/* test_kernels_norm.c: batch statistics, loads and the backward of norms (k_norm.c), on every code path and
 * with several numbers of threads. */
#include "kernel_case.h"

/* The 4 forms a load takes: bit 0 relu, bit 1 norm. */
static struct sd_src source(const struct sd_img *x, int form)
{
	return (struct sd_src){ .x = *x, .relu = form & 1, .a = form & 2 ? kc_lanes(x) : NULL,
		.b = form & 2 ? kc_lanes(x) : NULL };
}
static void source_free(struct sd_src *s)
{
	free((void *)s->a);
	free((void *)s->b);
}

static void stats_of(const struct sd_src *x, double *mean, double *var)
{
	double count = (double)x->x.n * x->x.h * x->x.w;

	for (int c = 0; c < x->x.c; c++)
		mean[c] = var[c] = 0;
	KC_EACH(&x->x, p)
		mean[c] += kc_loaded(x, n, c, h, w) / count;
	KC_EACH(&x->x, p) {
		double d = kc_loaded(x, n, c, h, w) - mean[c];

		var[c] += d * d / count;
	}
}

static void check_stats(const char *what, const struct sd_src *x, double tol)
{
	float mean[64] = { 0 }, var[64] = { 0 };
	double want_mean[64], want_var[64];
	struct kc_err em = { 0 };

	KC_RUN(k, par) {
		memset(mean, 0xff, sizeof(mean));
		memset(var, 0xff, sizeof(var));
		k->bn_stats(par, x, mean, var);
		KC_SAME(mean, sizeof(mean));
		KC_SAME(var, sizeof(var));
	}
	stats_of(x, want_mean, want_var);
	for (int c = 0; c < x->x.c; c++) {
		kc_cmp(&em, mean[c], want_mean[c]);
		CHECK(var[c] >= 0 && fabs(var[c] - want_var[c]) <= tol * want_var[c] + 1e-20,
			"%s: channel %d: variance %g, expected %g", what, c, var[c], want_var[c]);
	}
	KC_NEAR(em, 1e-6);
}

static void test_stats(void)
{
	KC_SHAPES(s)
		for (int form = 0; form < 4; form++) {
			struct sd_img x = kc_random_image(s->n, s->h, s->w, s->seg);
			struct sd_src src = source(&x, form);
			char what[80];

			snprintf(what, sizeof(what), "bn_stats of %d x %d x %d x %d, form %d", s->n, x.c,
				s->h, s->w, form);
			check_stats(what, &src, 1e-5);
			source_free(&src);
			kc_image_free(&x);
		}
}

/* Large means, constant channels, a run whose first pixels are not like the rest. */
static void test_hard_stats(void)
{
	const char *what = "bn_stats";
	const int seg[] = { 36, 0 };
	struct sd_img x = kc_image(9, 19, 17, seg);
	struct sd_src src = { .x = x };
	float mean[64], var[64];

	KC_EACH(&x, p)
		*p = c % 3 == 0 ? 300 + 0.06f * kc_rand()
			: c % 3 == 1 ? -1e6f + kc_rand() : 1e-3f * kc_rand();
	check_stats("bn_stats at large means", &src, 1e-4);

	KC_EACH(&x, p)
		*p = c == 0 ? 0 : (float)c * 0.1f + 300;
	check_stats("bn_stats of constants", &src, 0);
	KC_RUN(k, par) {
		k->bn_stats(par, &src, mean, var);
		for (int c = 0; c < 36; c++)
			CHECK(var[c] == 0 && mean[c] == *kc_at(&x, 0, c, 0, 0),
				"channel %d: mean %g, variance %g of constant %g", c, mean[c], var[c],
				*kc_at(&x, 0, c, 0, 0));
	}

	KC_EACH(&x, p)
		*p = n == 0 && h == 0 ? 0 : 300 + 0.06f * kc_rand();
	check_stats("bn_stats with few outliers", &src, 1e-4);
	KC_EACH(&x, p)
		*p = n == 8 && h == 18 && w == 16 ? 1000 : 0;
	check_stats("bn_stats with one pixel", &src, 1e-4);

	KC_EACH(&x, p)
		*p = c == 5 && n == 3 && h == 2 && w == 1 ? NAN : kc_rand();
	KC_RUN(k, par) {
		k->bn_stats(par, &src, mean, var);
		KC_SAME(mean, 36 * sizeof(float));
		KC_SAME(var, 36 * sizeof(float));
		for (int c = 0; c < 36; c++)
			CHECK(isnan(mean[c]) == (c == 5) && isnan(var[c]) == (c == 5), "channel %d", c);
	}
	kc_image_free(&x);
}

static void test_load(void)
{
	KC_SHAPES(s)
		for (int form = 0; form < 8; form++) {
			struct sd_img x = kc_random_image(s->n, s->h, s->w, s->seg), gy, old, y;
			struct sd_src src = source(&x, form & 3);
			int acc = form >> 2;
			struct kc_err e = { 0 }, eb = { 0 };
			struct sd_dst dst;
			char what[80];

			gy = kc_random_image(s->n, s->h, s->w, s->seg);
			old = kc_random_image(s->n, s->h, s->w, s->seg);
			y = kc_image(s->n, s->h, s->w, s->seg);
			dst = (struct sd_dst){ y, acc };
			snprintf(what, sizeof(what), "load of %d x %d x %d x %d, form %d", s->n, x.c, s->h,
				s->w, form);
			*kc_at(&x, 0, 3, 0, 0) = NAN;
			KC_RUN(k, par) {
				memcpy(y.p, old.p, kc_image_floats(&y) * sizeof(float));
				k->load(par, &src, &dst);
				KC_SAME_IMAGE(&y);
			}
			KC_EACH(&y, p)
				kc_cmp(&e, *p, kc_loaded(&src, n, c, h, w)
					+ (acc ? *kc_at(&old, n, c, h, w) : 0));
			KC_NEAR(e, 2e-7);

			snprintf(what, sizeof(what), "relu_bwd of %d x %d x %d x %d, form %d", s->n, x.c,
				s->h, s->w, form);
			KC_RUN(k, par) {
				memcpy(y.p, old.p, kc_image_floats(&y) * sizeof(float));
				k->relu_bwd(par, &src, &gy, &dst);
				KC_SAME_IMAGE(&y);
			}
			src.relu = 0;
			KC_EACH(&y, p)
				kc_cmp(&eb, *p,
					(kc_loaded(&src, n, c, h, w) > 0 ? *kc_at(&gy, n, c, h, w) : 0)
					+ (acc ? *kc_at(&old, n, c, h, w) : 0));
			KC_NEAR(eb, 1e-7);
			source_free(&src);
			kc_image_free(&x);
			kc_image_free(&gy);
			kc_image_free(&old);
			kc_image_free(&y);
		}
}

/* form: bit 0 a mask, bit 1 batch, bit 2 acc; at: the mean of x. */
static void check_bwd(const struct kc_shape *s, int form, double at, double sd)
{
	struct sd_img g = kc_random_image(s->n, s->h, s->w, s->seg), x, old, gx;
	int mask = form & 1, batch = form >> 1 & 1, acc = form >> 2;
	float *mean, *istd, *scale, *ma, *mb, sg[64] = { 0 }, sgx[64] = { 0 };
	double want_mean[64], want_var[64], m = (double)s->n * s->h * s->w, wg[64] = { 0 }, wgx[64] = { 0 };
	struct kc_err e = { 0 }, eg = { 0 }, egx = { 0 };
	struct sd_src src;
	struct sd_dst dst;
	char what[80];

	x = kc_random_image(s->n, s->h, s->w, s->seg);
	old = kc_random_image(s->n, s->h, s->w, s->seg);
	gx = kc_image(s->n, s->h, s->w, s->seg);
	dst = (struct sd_dst){ gx, acc };
	mean = kc_lanes(&x);
	istd = kc_lanes(&x);
	scale = kc_lanes(&x);
	ma = kc_lanes(&x);
	mb = kc_lanes(&x);
	KC_EACH(&x, p)
		*p = (float)(at + sd * *p);
	src = (struct sd_src){ .x = x };
	stats_of(&src, want_mean, want_var);
	for (int i = 0; i < x.cb; i++)
		for (int l = 0; l < x.blk[i].n; l++) {
			int c = x.blk[i].ch + l;

			mean[16 * i + l] = (float)want_mean[c];
			istd[16 * i + l] = (float)(1 / sqrt(want_var[c] + 1e-5));
			ma[16 * i + l] = istd[16 * i + l] * scale[16 * i + l];
			mb[16 * i + l] = (float)(mb[16 * i + l] - mean[16 * i + l] * (double)ma[16 * i + l]);
		}
	KC_EACH(&g, p) {
		double xc = *kc_at(&x, n, c, h, w), xhat = (xc - kc_lane(&x, mean, c)) * kc_lane(&x, istd, c);

		if (mask && !(fmaf(kc_lane(&x, ma, c), (float)xc, kc_lane(&x, mb, c)) > 0))
			continue;
		wg[c] += *p;
		wgx[c] += *p * xhat;
	}
	snprintf(what, sizeof(what), "norm_bwd_sums of %d x %d x %d x %d, form %d, mean %g", s->n, x.c, s->h,
		s->w, form, at);
	KC_RUN(k, par) {
		memset(sg, 0xff, sizeof(sg));
		memset(sgx, 0xff, sizeof(sgx));
		k->norm_bwd_sums(par, &g, &x, mean, istd, mask ? ma : NULL, mask ? mb : NULL, sg, sgx);
		KC_SAME(sg, sizeof(sg));
		KC_SAME(sgx, sizeof(sgx));
	}
	for (int c = 0; c < x.c; c++) {
		kc_cmp(&eg, sg[c], wg[c]);
		kc_cmp(&egx, sgx[c], wgx[c]);
	}
	KC_NEAR(eg, 3e-6);
	KC_NEAR(egx, 3e-6);
	snprintf(what, sizeof(what), "norm_bwd_x of %d x %d x %d x %d, form %d, mean %g", s->n, x.c, s->h,
		s->w, form, at);
	KC_RUN(k, par) {
		memcpy(gx.p, old.p, kc_image_floats(&gx) * sizeof(float));
		k->norm_bwd_x(par, &g, &x, batch ? mean : NULL, batch ? istd : NULL,
			mask ? ma : NULL, mask ? mb : NULL, scale,
			batch ? sg : NULL, batch ? sgx : NULL, batch, &dst);
		KC_SAME_IMAGE(&gx);
	}
	KC_EACH(&g, p) {
		double xc = *kc_at(&x, n, c, h, w), xhat = (xc - kc_lane(&x, mean, c)) * kc_lane(&x, istd, c);
		double v = mask && !(fmaf(kc_lane(&x, ma, c), (float)xc, kc_lane(&x, mb, c)) > 0) ? 0 : *p;

		if (batch)
			v -= sg[c] / m + xhat * sgx[c] / m;
		kc_cmp(&e, *kc_at(&gx, n, c, h, w), kc_lane(&x, scale, c) * v
			+ (acc ? *kc_at(&old, n, c, h, w) : 0));
	}
	KC_NEAR(e, 5e-7);
	free(mean);
	free(istd);
	free(scale);
	free(ma);
	free(mb);
	kc_image_free(&g);
	kc_image_free(&x);
	kc_image_free(&old);
	kc_image_free(&gx);
}

static void bench(const struct sd_kernels *k, struct sd_par *par)
{
	for (int q = 0; q < 3; q++) {
		int c = 16 << q, s = 32 >> q, seg[] = { c, 0 };
		double bytes;
		struct sd_img x[8], y[8], z[8];
		float *l = kc_random(64), mean[64], var[64];
		char name[64];

		for (int r = 0; r < 8; r++) {
			x[r] = kc_random_image(64, s, s, seg);
			y[r] = kc_random_image(64, s, s, seg);
			z[r] = kc_random_image(64, s, s, seg);
		}
		bytes = (double)kc_image_floats(&x[0]) * sizeof(float);
#define ROW(label, n, ...) do { \
		snprintf(name, sizeof(name), "C%d %dx%d %s", c, s, s, label); \
		KC_TIME(name, (n) * bytes, __VA_ARGS__); \
	} while (0)
		ROW("bn_stats", 1, { struct sd_src a = { .x = x[r] }; k->bn_stats(par, &a, mean, var); });
		ROW("load norm relu", 2, {
			struct sd_src a = { .x = x[r], .a = l, .b = l, .relu = 1 };
			struct sd_dst d = { y[r], 0 };
			k->load(par, &a, &d);
		});
		ROW("relu_bwd", 3, {
			struct sd_src a = { .x = x[r] };
			struct sd_dst d = { z[r], 0 };
			k->relu_bwd(par, &a, &y[r], &d);
		});
		ROW("norm_bwd_sums", 2, k->norm_bwd_sums(par, &x[r], &y[r], l, l, NULL, NULL, mean, var));
		ROW("norm_bwd_sums masked", 2, k->norm_bwd_sums(par, &x[r], &y[r], l, l, l, l, mean, var));
		ROW("norm_bwd_x", 3, {
			struct sd_dst d = { z[r], 0 };
			k->norm_bwd_x(par, &x[r], &y[r], l, l, NULL, NULL, l, mean, var, 1, &d);
		});
#undef ROW
		for (int r = 0; r < 8; r++) {
			kc_image_free(&x[r]);
			kc_image_free(&y[r]);
			kc_image_free(&z[r]);
		}
		free(l);
	}
}

int main(int argc, char **argv)
{
	if (kc_bench(argc, argv, bench))
		return 0;
	kc_open();
	test_stats();
	test_hard_stats();
	test_load();
	KC_SHAPES(s)
		for (int form = 0; form < 8; form++) {
			check_bwd(s, form, 0, 1);
			check_bwd(s, form, 300, 0.06);
		}
	kc_close(0x38ce6e55a68757a6);
	return check_done();
}
