/* test_kernels_mix.c: mixed edges (k_mix.c), on every code path and with several numbers of threads. */
#include "kernel_case.h"

static const enum sd_mix_kind kinds[] = {
	SD_MIX_NONE, SD_MIX_NORM, SD_MIX_RAW, SD_MIX_NORM_RELU, SD_MIX_NORM, SD_MIX_NORM_RELU, SD_MIX_RAW,
};
#define NTERM 7

/* An edge of all kinds of term; large: with means that swamp the deviation. */
static void edge_init(struct sd_mix_arg *a, const struct kc_shape *s, int large)
{
	*a = (struct sd_mix_arg){ .nterm = NTERM };
	for (int k = 0; k < NTERM; k++) {
		struct sd_img x = kc_random_image(s->n, s->h, s->w, s->seg);
		float *lane[4];

		a->t[k].kind = kinds[k];
		if (kinds[k] == SD_MIX_NONE) {
			kc_image_free(&x);
			continue;
		}
		a->t[k].x = x;
		if (kinds[k] == SD_MIX_RAW)
			continue;
		for (int i = 0; i < 4; i++)
			lane[i] = kc_lanes(&x);
		for (int i = 0; i < x.cb * 16; i++) {
			lane[0][i] = fabsf(lane[0][i]) / (large ? 0.06f : 1); /* istd */
			lane[1][i] += large && i % 16 < x.blk[i / 16].n ? 300 : 0;
			lane[2][i] = lane[0][i];
			lane[3][i] = -lane[1][i] * lane[0][i];
		}
		KC_EACH(&x, p)
			*p = *p * (large ? 0.06f : 1) + kc_lane(&x, lane[1], c);
		a->t[k].istd = lane[0];
		a->t[k].mean = lane[1];
		a->t[k].a = lane[2];
		a->t[k].b = lane[3];
	}
}
static void edge_free(struct sd_mix_arg *a)
{
	for (int k = 0; k < NTERM; k++) {
		if (kinds[k] != SD_MIX_NONE)
			kc_image_free(&a->t[k].x);
		free((void *)a->t[k].istd);
		free((void *)a->t[k].mean);
		free((void *)a->t[k].a);
		free((void *)a->t[k].b);
	}
}

/* A term's value; its mask to *on. */
static double term(const struct sd_mix_arg *a, int k, int n, int c, int h, int w, int *on)
{
	double x, t;

	*on = 1;
	if (kinds[k] == SD_MIX_NONE)
		return 0;
	x = *kc_at(&a->t[k].x, n, c, h, w);
	if (kinds[k] == SD_MIX_RAW)
		return x;
	t = fma(kc_lane(&a->t[k].x, a->t[k].a, c), x, kc_lane(&a->t[k].x, a->t[k].b, c));
	if (kinds[k] == SD_MIX_NORM)
		return t;
	*on = (float)t > 0;
	return *on ? t : 0;
}
static double xhat(const struct sd_mix_arg *a, int k, int n, int c, int h, int w)
{
	const struct sd_img *x = &a->t[k].x;

	return (*kc_at(x, n, c, h, w) - (double)kc_lane(x, a->t[k].mean, c)) * kc_lane(x, a->t[k].istd, c);
}

static void check_edge(const struct kc_shape *s, int form)
{
	int large = form & 1, acc = form >> 1 & 1, batch = form >> 2, on;
	struct sd_img g = kc_random_image(s->n, s->h, s->w, s->seg), old, y;
	double m = (double)s->n * s->h * s->w, ws[NTERM] = { 0 }, wsg[NTERM][64] = { 0 },
		wsgx[NTERM][64] = { 0 };
	float f[NTERM], dots[NTERM], *sg, *sgx;
	struct kc_err e = { 0 }, es = { 0 }, eg = { 0 }, egx = { 0 };
	size_t sums = (size_t)NTERM * g.c;
	struct sd_mix_arg a;
	struct sd_dst dst;
	char what[100];

	edge_init(&a, s, large);
	old = kc_random_image(s->n, s->h, s->w, s->seg);
	y = kc_image(s->n, s->h, s->w, s->seg);
	dst = (struct sd_dst){ y, acc };
	sg = kc_random(sums);
	sgx = kc_random(sums);
	for (int k = 0; k < NTERM; k++)
		f[k] = kc_rand();

	snprintf(what, sizeof(what), "mix of %d x %d x %d x %d, form %d", s->n, g.c, s->h, s->w, form);
	KC_RUN(k, par) {
		memcpy(y.p, old.p, kc_image_floats(&y) * sizeof(float));
		k->mix(par, &a, f, &dst);
		KC_SAME_IMAGE(&y);
	}
	KC_EACH(&y, p) {
		double want = acc ? *kc_at(&old, n, c, h, w) : 0;

		for (int k = 0; k < NTERM; k++)
			want += f[k] * term(&a, k, n, c, h, w, &on);
		kc_cmp(&e, *p, want);
	}
	KC_NEAR(e, 5e-7);

	KC_EACH(&g, p)
		for (int k = 0; k < NTERM; k++) {
			double t = term(&a, k, n, c, h, w, &on);

			if (kinds[k] == SD_MIX_NONE || !on)
				continue;
			if (kinds[k] == SD_MIX_RAW) {
				ws[k] += *p * t;
				continue;
			}
			ws[k] += *p * xhat(&a, k, n, c, h, w);
			wsg[k][c] += *p;
			wsgx[k][c] += *p * xhat(&a, k, n, c, h, w);
		}
	snprintf(what, sizeof(what), "mix_bwd_sums of %d x %d x %d x %d, form %d", s->n, g.c, s->h, s->w,
		form);
	KC_RUN(k, par) {
		memset(sg, 0xff, sums * sizeof(float));
		memset(sgx, 0xff, sums * sizeof(float));
		k->mix_bwd_sums(par, &a, &g, dots, sg, sgx);
		KC_SAME(dots, sizeof(dots));
		KC_SAME(sg, sums * sizeof(float));
		KC_SAME(sgx, sums * sizeof(float));
	}
	for (int k = 0; k < NTERM; k++) {
		kc_cmp(&es, dots[k], ws[k]);
		for (int c = 0; c < g.c; c++) {
			kc_cmp(&eg, sg[k * g.c + c], wsg[k][c]);
			kc_cmp(&egx, sgx[k * g.c + c], wsgx[k][c]);
			if (kinds[k] == SD_MIX_NONE || kinds[k] == SD_MIX_RAW)
				CHECK(sg[k * g.c + c] == 0 && sgx[k * g.c + c] == 0, "%s: term %d", what, k);
		}
	}
	KC_NEAR(es, 3e-6);
	KC_NEAR(eg, 3e-6);
	KC_NEAR(egx, 3e-6);

	for (int j = 1; j < NTERM; j++) {
		struct kc_err ex = { 0 };

		snprintf(what, sizeof(what), "mix_bwd_x of %d x %d x %d x %d, form %d, term %d", s->n, g.c,
			s->h, s->w, form, j);
		KC_RUN(k, par) {
			memcpy(y.p, old.p, kc_image_floats(&y) * sizeof(float));
			k->mix_bwd_x(par, &a, j, f, &g, sg, sgx, batch, &dst);
			KC_SAME_IMAGE(&y);
		}
		KC_EACH(&y, p) {
			double v = *kc_at(&g, n, c, h, w);

			if (kinds[j] != SD_MIX_RAW) {
				term(&a, j, n, c, h, w, &on);
				v = on ? v : 0;
				if (batch)
					v -= (sg[j * g.c + c]
						+ xhat(&a, j, n, c, h, w) * sgx[j * g.c + c]) / m;
				v *= kc_lane(&y, a.t[j].istd, c);
			}
			kc_cmp(&ex, *p, f[j] * v + (acc ? *kc_at(&old, n, c, h, w) : 0));
		}
		KC_NEAR(ex, 5e-7);
	}
	edge_free(&a);
	free(sg);
	free(sgx);
	kc_image_free(&g);
	kc_image_free(&old);
	kc_image_free(&y);
}

/* An edge of nothing but `none`. */
static void check_none(void)
{
	const char *what = "an edge of none";
	const int seg[] = { 18, 0 };
	struct sd_img y = kc_image(2, 3, 5, seg), g = kc_random_image(2, 3, 5, seg);
	struct sd_mix_arg a = { .nterm = 2, .t = { { .kind = SD_MIX_NONE }, { .kind = SD_MIX_NONE } } };
	struct sd_dst dst = { y, 0 };
	const float f[2] = { 1, 2 };
	float s[2], sg[36], sgx[36];

	KC_RUN(k, par) {
		k->mix(par, &a, f, &dst);
		KC_SAME_IMAGE(&y);
		k->mix_bwd_sums(par, &a, &g, s, sg, sgx);
		CHECK(s[0] == 0 && s[1] == 0, "%s", what);
		for (int i = 0; i < 36; i++)
			CHECK(sg[i] == 0 && sgx[i] == 0, "%s", what);
	}
	KC_EACH(&y, p)
		CHECK(*p == 0, "%s", what);
	kc_image_free(&y);
	kc_image_free(&g);
}

/* A search edge: none, four norms of convolutions, two of pools, and a skip. */
static void bench(const struct sd_kernels *k, struct sd_par *par)
{
	for (int q = 0; q < 3; q++) {
		int c = 16 << q, s = 32 >> q, seg[] = { c, 0 };
		struct sd_img x[8];
		float *l = kc_random(64), f[8], sums[8], sg[8 * 64], sgx[8 * 64];
		double bytes;
		char name[64];

		for (int r = 0; r < 8; r++) {
			x[r] = kc_random_image(64, s, s, seg);
			f[r] = kc_rand();
		}
		bytes = (double)kc_image_floats(&x[0]) * sizeof(float);
		struct sd_img y = kc_random_image(64, s, s, seg), z = kc_random_image(64, s, s, seg);
		struct sd_mix_arg a = { .nterm = 8 };
		struct sd_dst dst = { y, 0 }, dz = { z, 0 };
		for (int i = 1; i < 8; i++) {
			a.t[i].kind = i == 4 ? SD_MIX_RAW : SD_MIX_NORM;
			a.t[i].x = x[i];
			a.t[i].a = a.t[i].b = a.t[i].mean = a.t[i].istd = l;
		}
		snprintf(name, sizeof(name), "C%d %dx%d mix, 7 terms", c, s, s);
		KC_TIME(name, 8 * bytes, k->mix(par, &a, f, &dst));
		snprintf(name, sizeof(name), "C%d %dx%d mix_bwd_sums", c, s, s);
		KC_TIME(name, 8 * bytes, k->mix_bwd_sums(par, &a, &y, sums, sg, sgx));
		snprintf(name, sizeof(name), "C%d %dx%d mix_bwd_x", c, s, s);
		KC_TIME(name, 3 * bytes, k->mix_bwd_x(par, &a, 1 + r % 3, f, &y, sg, sgx, 1, &dz));
		for (int r = 0; r < 8; r++)
			kc_image_free(&x[r]);
		kc_image_free(&y);
		kc_image_free(&z);
		free(l);
	}
}

int main(int argc, char **argv)
{
	if (kc_bench(argc, argv, bench))
		return 0;
	kc_open();
	KC_SHAPES(s)
		for (int form = 0; form < 8; form++)
			check_edge(s, form);
	check_none();
	kc_close(0x22df4c24ab913f0d);
	return check_done();
}
