/* test_kernels_optim.c: the optimisers' steps and the norm of a gradient (k_optim.c), on every code path and
 * with several numbers of threads. */
#include "kernel_case.h"

static const size_t counts[] = { 1, 16384, 3, 16, 40000, 17, 16385, 0, 257 };
#define N ((int)(sizeof(counts) / sizeof(counts[0])))

struct tensors {
	float *t[N];
};
static struct tensors tensors(int positive)
{
	struct tensors r;

	for (int i = 0; i < N; i++) {
		r.t[i] = kc_random(counts[i]);
		for (size_t j = 0; positive && j < counts[i]; j++)
			r.t[i][j] *= r.t[i][j];
	}
	return r;
}
static void copy(struct tensors *to, const struct tensors *from)
{
	for (int i = 0; i < N; i++)
		memcpy(to->t[i], from->t[i], counts[i] * sizeof(float));
}
static int same(const struct tensors *a, const struct tensors *b)
{
	for (int i = 0; i < N; i++)
		if (memcmp(a->t[i], b->t[i], counts[i] * sizeof(float)))
			return 0;
	return 1;
}
static void tensors_free(struct tensors *t)
{
	for (int i = 0; i < N; i++)
		free(t->t[i]);
}
#define SAME_TENSORS(x) \
	for (int i_ = 0; i_ < N; i_++) \
		KC_SAME((x)->t[i_], counts[i_] * sizeof(float))

static void test_norm(void)
{
	const char *what = "grad_norm";
	struct tensors g = tensors(0);
	double want = 0;
	float got;

	for (int i = 0; i < N; i++)
		for (size_t j = 0; j < counts[i]; j++)
			want += (double)g.t[i][j] * g.t[i][j];
	KC_RUN(k, par) {
		k->grad_norm(par, N, (const float *const *)g.t, counts, &got);
		KC_SAME(&got, sizeof(got));
	}
	CHECK(fabs(got - sqrt(want)) <= 1e-7 * sqrt(want), "%g, expected %g", got, sqrt(want));
	tensors_free(&g);
}

static void test_sgd(void)
{
	const char *what = "sgd";
	const float lr = 0.025f, coef = 0.37f, momentum = 0.9f, wd = 3e-4f;
	struct tensors g = tensors(0), p = tensors(0), m = tensors(0), p0 = tensors(0), m0 = tensors(0);
	struct kc_err ep = { 0 }, em = { 0 };

	/* where the step would lead, without taking it: the same bits */
	struct tensors ahead = tensors(0);
	KC_RUN(k, par) {
		copy(&p, &p0);
		copy(&m, &m0);
		k->sgd_ahead(par, N, ahead.t, (const float *const *)p.t, (const float *const *)m.t,
			(const float *const *)g.t, counts, lr, coef, momentum, wd);
		SAME_TENSORS(&ahead);
		CHECK(same(&p, &p0) && same(&m, &m0), "sgd_ahead moved what it reads");
		k->sgd(par, N, p.t, m.t, (const float *const *)g.t, counts, lr, coef, momentum, wd);
		SAME_TENSORS(&p);
		SAME_TENSORS(&m);
		CHECK(same(&p, &ahead), "sgd_ahead leads elsewhere than sgd");
	}
	tensors_free(&ahead);
	for (int i = 0; i < N; i++)
		for (size_t j = 0; j < counts[i]; j++) {
			double d = (double)coef * g.t[i][j] + (double)wd * p0.t[i][j];

			d += (double)momentum * m0.t[i][j];
			kc_cmp(&em, m.t[i][j], d);
			kc_cmp(&ep, p.t[i][j], p0.t[i][j] - lr * d);
		}
	KC_NEAR(em, 1e-7);
	KC_NEAR(ep, 1e-7);
	tensors_free(&g);
	tensors_free(&p);
	tensors_free(&m);
	tensors_free(&p0);
	tensors_free(&m0);
}

static void test_axpy(void)
{
	const char *what = "axpy";
	struct tensors y = tensors(0), x = tensors(0), got = tensors(0);
	const float k_ = -0.037f;
	int bad[3] = { 0 };

	KC_RUN(k, par) {
		for (int form = 0; form < 3; form++) {
			k->axpy(par, N, got.t, form == 1 ? NULL : (const float *const *)y.t,
				form == 2 ? NULL : (const float *const *)x.t, counts, k_);
			SAME_TENSORS(&got);
			for (int i = 0; i < N; i++)
				for (size_t j = 0; j < counts[i]; j++) {
					float want = form == 0 ? fmaf(k_, x.t[i][j], y.t[i][j]) :
						form == 1 ? k_ * x.t[i][j] : y.t[i][j];

					bad[form] += got.t[i][j] != want;
				}
		}
	}
	CHECK(!bad[0] && !bad[1] && !bad[2], "axpy: %d, %d, %d values differ", bad[0], bad[1], bad[2]);
	tensors_free(&y);
	tensors_free(&x);
	tensors_free(&got);
}

static void test_adam(int step)
{
	const float lr = 3e-4f, b1 = 0.5f, b2 = 0.999f, eps = 1e-8f, wd = 1e-3f;
	struct tensors g = tensors(0), p = tensors(0), m = tensors(0), v = tensors(0);
	struct tensors p0 = tensors(0), m0 = tensors(0), v0 = tensors(1);
	struct kc_err ep = { 0 }, em = { 0 }, ev = { 0 };
	double c1 = 1 - pow(b1, step), c2 = 1 - pow(b2, step);
	char what[32];

	snprintf(what, sizeof(what), "adam, step %d", step);
	KC_RUN(k, par) {
		copy(&p, &p0);
		copy(&m, &m0);
		copy(&v, &v0);
		k->adam(par, N, p.t, m.t, v.t, (const float *const *)g.t, counts, lr, step, b1, b2, eps, wd);
		SAME_TENSORS(&p);
		SAME_TENSORS(&m);
		SAME_TENSORS(&v);
	}
	for (int i = 0; i < N; i++)
		for (size_t j = 0; j < counts[i]; j++) {
			double d = g.t[i][j] + (double)wd * p0.t[i][j];
			double wm = b1 * (double)m0.t[i][j] + (1 - (double)b1) * d;
			double wv = b2 * (double)v0.t[i][j] + (1 - (double)b2) * d * d;

			kc_cmp(&em, m.t[i][j], wm);
			kc_cmp(&ev, v.t[i][j], wv);
			/* what it changes, as the difference is all that matters */
			kc_cmp(&ep, (double)p.t[i][j] - p0.t[i][j],
				-lr / c1 * wm / (sqrt(wv) / sqrt(c2) + eps));
		}
	KC_NEAR(em, 2e-7);
	KC_NEAR(ev, 2e-7);
	KC_NEAR(ep, 1e-3);
	tensors_free(&g);
	tensors_free(&p);
	tensors_free(&m);
	tensors_free(&v);
	tensors_free(&p0);
	tensors_free(&m0);
	tensors_free(&v0);
}

static void test_padam(int step, float partial)
{
	const float lr = 0.1f, coef = 0.37f, b1 = 0.9f, b2 = 0.999f, eps = 1e-8f, wd = 1e-3f;
	struct tensors g = tensors(0), p = tensors(0), m = tensors(0), v = tensors(0), u = tensors(0);
	struct tensors p0 = tensors(0), m0 = tensors(0), v0 = tensors(1), u0 = tensors(1);
	struct kc_err ep = { 0 }, em = { 0 }, ev = { 0 }, eu = { 0 };
	double rate = lr * sqrt(1 - pow(b2, step)) / (1 - pow(b1, step));
	char what[48];

	snprintf(what, sizeof(what), "padam, step %d, partial %g", step, partial);
	KC_RUN(k, par) {
		copy(&p, &p0);
		copy(&m, &m0);
		copy(&v, &v0);
		copy(&u, &u0);
		k->padam(par, N, p.t, m.t, v.t, u.t, (const float *const *)g.t, counts, lr, step, coef, b1, b2,
			eps, wd, partial);
		SAME_TENSORS(&p);
		SAME_TENSORS(&m);
		SAME_TENSORS(&v);
		SAME_TENSORS(&u);
	}
	for (int i = 0; i < N; i++)
		for (size_t j = 0; j < counts[i]; j++) {
			double d = (double)coef * g.t[i][j] + (double)wd * p0.t[i][j];
			double wm = b1 * (double)m0.t[i][j] + (1 - (double)b1) * d;
			double wv = b2 * (double)v0.t[i][j] + (1 - (double)b2) * d * d;
			double wu = fmax(u0.t[i][j], wv);

			kc_cmp(&em, m.t[i][j], wm);
			kc_cmp(&ev, v.t[i][j], wv);
			kc_cmp(&eu, u.t[i][j], wu);
			kc_cmp(&ep, (double)p.t[i][j] - p0.t[i][j],
				-rate * wm / pow(sqrt(wu) + eps, 2 * (double)partial));
		}
	KC_NEAR(em, 2e-7);
	KC_NEAR(ev, 2e-7);
	KC_NEAR(eu, 2e-7);
	KC_NEAR(ep, 1e-5);
	tensors_free(&g);
	tensors_free(&p);
	tensors_free(&m);
	tensors_free(&v);
	tensors_free(&u);
	tensors_free(&p0);
	tensors_free(&m0);
	tensors_free(&v0);
	tensors_free(&u0);
}

static void bench(const struct sd_kernels *k, struct sd_par *par)
{
	size_t count = 2000000; /* about the parameters of a search network */
	float *p = kc_random(count), *m = kc_random(count), *v = kc_random(count), *g = kc_random(count), out;

	KC_TIME("grad_norm 2 M", 4.0 * count, k->grad_norm(par, 1, (const float *const *)&g, &count, &out));
	KC_TIME("sgd 2 M", 20.0 * count, k->sgd(par, 1, &p, &m, (const float *const *)&g, &count, 0.01f, 1,
		0.9f, 0));
	KC_TIME("adam 2 M", 28.0 * count, k->adam(par, 1, &p, &m, &v, (const float *const *)&g, &count,
		0.001f, 3, 0.9f, 0.999f, 1e-8f, 0));
	free(p);
	free(m);
	free(v);
	free(g);
}

int main(int argc, char **argv)
{
	if (kc_bench(argc, argv, bench))
		return 0;
	kc_open();
	test_norm();
	test_sgd();
	test_adam(1);
	test_adam(2);
	test_adam(1000);
	test_padam(1, 0.125f);
	test_padam(1000, 0.5f);
	test_padam(7, 0);
	test_axpy();
	kc_close(0x85063526b1568910);
	return check_done();
}
