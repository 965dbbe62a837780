/* test_kernels_rows.c: matrices, softmax, losses and the factors of mixed edges (k_rows.c), on every code
 * path and with several numbers of threads. */
#include "kernel_case.h"

static void check_linear(int n, int ni, int no, int bias)
{
	float *x = kc_random((size_t)n * ni), *w = kc_random((size_t)no * ni), *b = kc_random(no);
	float *gy = kc_random((size_t)n * no), *y = kc_floats((size_t)n * no),
		*gx = kc_floats((size_t)n * ni);
	float *gw = kc_floats((size_t)no * ni), *gb = kc_floats(no);
	struct kc_err e = { 0 }, ex = { 0 }, ew = { 0 }, eb = { 0 };
	char what[80];

	snprintf(what, sizeof(what), "linear %d x %d to %d", n, ni, no);
	KC_RUN(k, par) {
		k->linear(par, x, w, bias ? b : NULL, n, ni, no, y);
		k->linear_bwd_x(par, gy, w, n, ni, no, gx);
		k->linear_bwd_w(par, x, gy, n, ni, no, gw);
		k->linear_bwd_b(par, gy, n, no, gb);
		KC_SAME(y, (size_t)n * no * sizeof(float));
		KC_SAME(gx, (size_t)n * ni * sizeof(float));
		KC_SAME(gw, (size_t)no * ni * sizeof(float));
		KC_SAME(gb, no * sizeof(float));
	}
	for (int i = 0; i < n; i++)
		for (int o = 0; o < no; o++) {
			double s = bias ? b[o] : 0;

			for (int j = 0; j < ni; j++)
				s += (double)x[i * ni + j] * w[o * ni + j];
			kc_cmp(&e, y[i * no + o], s);
		}
	for (int i = 0; i < n; i++)
		for (int j = 0; j < ni; j++) {
			double s = 0;

			for (int o = 0; o < no; o++)
				s += (double)gy[i * no + o] * w[o * ni + j];
			kc_cmp(&ex, gx[i * ni + j], s);
		}
	for (int o = 0; o < no; o++) {
		double t = 0;

		for (int j = 0; j < ni; j++) {
			double s = 0;

			for (int i = 0; i < n; i++)
				s += (double)gy[i * no + o] * x[i * ni + j];
			kc_cmp(&ew, gw[o * ni + j], s);
		}
		for (int i = 0; i < n; i++)
			t += gy[i * no + o];
		kc_cmp(&eb, gb[o], t);
	}
	KC_NEAR(e, 1e-6);
	KC_NEAR(ex, 1e-6);
	KC_NEAR(ew, 1e-6);
	KC_NEAR(eb, 1e-7);
	/* a row's result is the same alone */
	kc_path[0]->linear(kc_pool[0], x + (size_t)(n - 1) * ni, w, bias ? b : NULL, 1, ni, no, gb);
	CHECK(!memcmp(gb, y + (size_t)(n - 1) * no, no * sizeof(float)), "%s: depends on the batch", what);
	free(x);
	free(w);
	free(b);
	free(gy);
	free(y);
	free(gx);
	free(gw);
	free(gb);
}

static void check_softmax(int r, int k_, float scale)
{
	size_t count = (size_t)r * k_;
	float *x = kc_random(count), *gy = kc_random(count), *y = kc_floats(count), *gx = kc_floats(count);
	float *gx0 = kc_floats(count);
	struct kc_err e = { 0 }, eg = { .size = 1 };
	char what[80];

	snprintf(what, sizeof(what), "softmax %d x %d times %g", r, k_, (double)scale);
	for (size_t i = 0; i < count; i++)
		x[i] *= scale;
	KC_RUN(k, par) {
		(void)par;
		k->softmax(x, r, k_, y);
		k->softmax_bwd(y, gy, r, k_, gx);
		KC_SAME(y, count * sizeof(float));
		KC_SAME(gx, count * sizeof(float));
	}
	for (int i = 0; i < r; i++) {
		const float *xi = x + (size_t)i * k_, *gi = gy + (size_t)i * k_;
		double m = xi[0], s = 0, d = 0;

		for (int j = 0; j < k_; j++)
			m = xi[j] > m ? xi[j] : m;
		for (int j = 0; j < k_; j++)
			s += exp(xi[j] - m);
		for (int j = 0; j < k_; j++)
			d += exp(xi[j] - m) / s * gi[j];
		for (int j = 0; j < k_; j++) {
			kc_cmp(&e, y[i * k_ + j], exp(xi[j] - m) / s);
			kc_cmp(&eg, gx[i * k_ + j], exp(xi[j] - m) / s * (gi[j] - d));
		}
	}
	KC_NEAR(e, 3e-7);
	KC_NEAR(eg, 5e-7);
	free(x);
	free(gy);
	free(y);
	free(gx);
	free(gx0);
}

static void check_xent(int n, int k_, float smoothing, float scale)
{
	size_t count = (size_t)n * k_;
	float *x = kc_random(count), *g = kc_random(n), *loss = kc_floats(n), *gx = kc_floats(count);
	int32_t *label = malloc(n * sizeof(*label)), *rank = malloc(n * sizeof(*rank)),
		*best = malloc(n * sizeof(*best));
	struct kc_err e = { .size = 1 }, eg = { .size = 1 };
	char what[80];

	snprintf(what, sizeof(what), "xent %d x %d, smoothing %g, times %g", n, k_, (double)smoothing,
		(double)scale);
	for (size_t i = 0; i < count; i++)
		x[i] = scale * (i % 3 ? x[i] : roundf(x[i])); /* some are equal */
	for (int i = 0; i < n; i++)
		label[i] = (i * 7 + 3) % k_;
	KC_RUN(k, par) {
		(void)par;
		k->xent(x, label, n, k_, smoothing, loss);
		k->xent_bwd(x, label, g, n, k_, smoothing, gx);
		k->rank(x, label, n, k_, rank);
		k->argmax(x, n, k_, best);
		KC_SAME(loss, n * sizeof(float));
		KC_SAME(gx, count * sizeof(float));
	}
	for (int i = 0; i < n; i++) {
		const float *xi = x + (size_t)i * k_;
		double m = xi[0], s = 0, want = 0;
		int before = 0, first = 0, l = label[i];

		for (int j = 0; j < k_; j++)
			m = xi[j] > m ? xi[j] : m;
		for (int j = 0; j < k_; j++)
			s += exp(xi[j] - m);
		for (int j = 0; j < k_; j++) {
			double t = (j == l ? 1 - smoothing : 0) + smoothing / k_;

			want -= t * (xi[j] - m - log(s));
			kc_cmp(&eg, gx[i * k_ + j], g[i] * (exp(xi[j] - m) / s - t));
			before += xi[j] > xi[l] || (xi[j] == xi[l] && j < l);
			first = xi[j] > xi[first] ? j : first;
		}
		kc_cmp(&e, loss[i], want);
		CHECK(rank[i] == before, "%s: rank %d, expected %d", what, rank[i], before);
		CHECK(best[i] == first, "%s: argmax %d, expected %d", what, best[i], first);
	}
	KC_NEAR(e, 5e-7);
	KC_NEAR(eg, 5e-7);
	free(x);
	free(g);
	free(loss);
	free(gx);
	free(label);
	free(rank);
	free(best);
}

/* What isn't finite shows, and never counts as a hit. */
static void test_bad_logits(void)
{
	const float x[] = { 1, NAN, 0,  NAN, 2, NAN,  0, 1, 2,  INFINITY, 1, 2 }, g[] = { 1, 1, 1, 1 };
	const int32_t label[] = { 0, 0, 5, 0 };
	float loss[4], gx[12];
	int32_t rank[4], best[4];

	KC_RUN(k, par) {
		(void)par;
		k->xent(x, label, 4, 3, 0, loss);
		k->xent_bwd(x, label, g, 4, 3, 0, gx);
		k->rank(x, label, 4, 3, rank);
		k->argmax(x, 4, 3, best);
		for (int i = 0; i < 4; i++)
			CHECK(isnan(loss[i]), "row %d: %g", i, loss[i]);
		for (int i = 0; i < 12; i++)
			CHECK(isnan(gx[i]), "gradient %d: %g", i, gx[i]);
		CHECK(rank[0] == 1 && rank[1] == 2 && rank[2] == 3, "ranks %d %d %d", rank[0], rank[1],
			rank[2]);
		CHECK(best[0] == 1 && best[1] == 0 && best[2] == 2, "argmax %d %d %d", best[0], best[1],
			best[2]);
	}
}

static void test_factors(void)
{
	const char *what = "mix_factors";
	const float w[2][5] = { { 0.1f, 0.3f, 0.25f, 0.05f, 0.3f }, { 0.5f, 0.2f, 0.1f, 0.1f, 0.1f } };
	const float gf[5] = { 1, -2, 0.5f, 4, 0.25f };

	for (int i = 0; i < 2; i++) {
		float f[5], gw[5];
		float max = i ? 0.5f : 0.3f, sum = 3.75f, share = i ? sum : sum / 2;

		KC_RUN(k, par) {
			(void)par;
			k->mix_factors(w[i], 5, SD_SCALAR_W, f);
			k->mix_factors_bwd(w[i], gf, 5, SD_SCALAR_W, gw);
			CHECK(!memcmp(f, w[i], sizeof(f)) && !memcmp(gw, gf, sizeof(gf)), "scalar");
			k->mix_factors(w[i], 5, SD_MAX_W, f);
			k->mix_factors_bwd(w[i], gf, 5, SD_MAX_W, gw);
			KC_SAME(f, sizeof(f));
			KC_SAME(gw, sizeof(gw));
			for (int j = 0; j < 5; j++) {
				CHECK(fabsf(f[j] - (1 - max + w[i][j])) < 1e-6f, "f %d: %g", j, f[j]);
				CHECK(fabsf(gw[j] - (gf[j] - (w[i][j] == max ? share : 0))) < 1e-6f,
					"gw %d: %g", j, gw[j]);
			}
		}
	}
}

static void test_vectors(void)
{
	const int sizes[] = { 1, 15, 16, 17, 100, 1000 };

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		int n = sizes[s];
		float *x[3] = { kc_random(n), kc_random(n), kc_random(n) }, *y = kc_floats(n + 1), m = 0;
		struct kc_err e = { 0 }, ea = { 0 };
		double want = 0;
		char what[40];

		snprintf(what, sizeof(what), "vectors of %d", n);
		y[n] = 7;
		KC_RUN(k, par) {
			(void)par;
			k->mean(x[0], n, &m);
			KC_SAME(&m, sizeof(m));
			k->wsum(x[0], 0.4f, x[1], 1.5f, n, y);
			KC_SAME(y, n * sizeof(float));
		}
		for (int i = 0; i < n; i++) {
			want += x[0][i];
			kc_cmp(&e, y[i], 0.4f * (double)x[0][i] + 1.5 * (double)x[1][i]);
		}
		CHECK(fabs(m - want / n) < 1e-7, "%s: mean %g, expected %g", what, m, want / n);
		KC_NEAR(e, 1e-7);
		KC_RUN(k, par) {
			(void)par;
			k->add_rows(3, (const float *const *)x, n, y);
			KC_SAME(y, n * sizeof(float));
		}
		for (int i = 0; i < n; i++)
			kc_cmp(&ea, y[i], (double)x[0][i] + x[1][i] + x[2][i]);
		KC_NEAR(ea, 2e-7);
		KC_RUN(k, par) {
			(void)par;
			k->wsum(x[0], -3, NULL, 0, n, y);
			KC_SAME(y, n * sizeof(float));
		}
		for (int i = 0; i < n; i++)
			CHECK(y[i] == -3 * x[0][i], "%s: element %d", what, i);
		CHECK(y[n] == 7, "%s: written past the end", what);
		for (int i = 0; i < 3; i++)
			free(x[i]);
		free(y);
	}
}

static void bench(const struct sd_kernels *k, struct sd_par *par)
{
	static const int sizes[][3] = { { 64, 256, 10 }, { 64, 576, 10 }, { 64, 1700, 1700 } };

	for (int s = 0; s < 3; s++) {
		int n = sizes[s][0], ni = sizes[s][1], no = sizes[s][2];
		float *x = kc_random((size_t)n * ni), *w = kc_random((size_t)no * ni),
			*y = kc_random((size_t)n * no);
		double bytes = 4.0 * ((double)n * ni + (double)ni * no + (double)n * no);
		char name[64];

#define ROW(label, ...) do { \
		snprintf(name, sizeof(name), "%dx%d to %d %s", n, ni, no, label); \
		KC_TIME(name, bytes, __VA_ARGS__); \
	} while (0)
		ROW("linear", k->linear(par, x, w, NULL, n, ni, no, y));
		ROW("linear_bwd_x", k->linear_bwd_x(par, y, w, n, ni, no, x));
		ROW("linear_bwd_w", k->linear_bwd_w(par, x, y, n, ni, no, w));
#undef ROW
		free(x);
		free(w);
		free(y);
	}
}

int main(int argc, char **argv)
{
	if (kc_bench(argc, argv, bench))
		return 0;
	kc_open();
	check_linear(1, 1, 1, 1);
	check_linear(5, 37, 10, 1);
	check_linear(3, 16, 33, 0);
	check_linear(17, 300, 21, 1);
	check_linear(9, 130, 70, 1);
	check_softmax(3, 8, 1);
	check_softmax(2, 1, 1);
	check_softmax(4, 16, 30);
	check_softmax(3, 100, 5);
	for (int s = 0; s < 2; s++) {
		check_xent(7, 10, s ? 0.1f : 0, 1);
		check_xent(3, 2, s ? 0.1f : 0, 20);
		check_xent(5, 100, s ? 0.1f : 0, 3);
		check_xent(4, 16, s ? 0.1f : 0, 1);
	}
	test_bad_logits();
	test_factors();
	test_vectors();
	kc_close(0xf4a4e65ed97860e9);
	return check_done();
}
