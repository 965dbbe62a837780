/* test_rows: rows.cu and optim.cu against plain loops; optimisers and draws to the bit. */
#include "kernel_test.h"

extern "C" {
#include "base/rng.h"
}

using namespace test;

static const struct {
	int n, k;
} sizes[] = {{1, 1}, {3, 10}, {5, 33}, {64, 10}, {2, 1000}, {7, 32}, {9, 2}};

/* Labels of which some are none. */
static std::vector<int32_t> labels(int n, int k)
{
	std::vector<int32_t> l(n);

	for (int32_t &x : l)
		x = below(8) ? below(k) : below(2) ? -1 : k;
	return l;
}
static bool is_class(int32_t l, int k) { return l >= 0 && l < k; }

struct Softmax {
	std::vector<double> p; /* (n, k) */
	std::vector<double> log_sum;

	Softmax(const std::vector<float> &x, int n, int k) : p(x.size()), log_sum(n)
	{
		for (int i = 0; i < n; i++) {
			double m = x[i * k], sum = 0;

			for (int j = 0; j < k; j++)
				m = fmax(m, x[i * k + j]);
			for (int j = 0; j < k; j++)
				sum += exp(x[i * k + j] - m);
			for (int j = 0; j < k; j++)
				p[i * k + j] = exp(x[i * k + j] - m) / sum;
			log_sum[i] = log(sum) + m;
		}
	}
};

static void test_softmax()
{
	for (auto s : sizes) {
		int n = s.n, k = s.k;
		std::vector<float> x = vector(n * k, -40, 40), y(n * k), gy = vector(n * k), gx(n * k);
		Softmax want(x, n, k);
		std::vector<double> back(n * k);
		Run r;

		sd_cu_softmax(r, x.data(), n, k, y.data());
		sd_cu_softmax_bwd(r, y.data(), gy.data(), n, k, gx.data());
		r.end();
		for (int i = 0; i < n; i++) {
			double dot = 0;

			for (int j = 0; j < k; j++)
				dot += static_cast<double>(y[i * k + j]) * gy[i * k + j];
			for (int j = 0; j < k; j++)
				back[i * k + j] = y[i * k + j] * (gy[i * k + j] - dot);
		}
		check_close("softmax", y, want.p, 1e-6);
		check_close("softmax_bwd", gx, back, 1e-6);
		digest(y);
		digest(gx);
	}
}

static void test_xent()
{
	for (auto s : sizes)
		for (float smoothing : {0.0f, 0.1f}) {
			int n = s.n, k = s.k;
			std::vector<float> x = vector(n * k, -5, 90), loss(n), g = vector(n), gx(n * k);
			std::vector<int32_t> label = labels(n, k), rank(n), most(n);
			Softmax soft(x, n, k);
			size_t bad = 0, bad_rank = 0;
			Run r;

			if (k > 3) { /* equal ones */
				x[1] = x[3];
				label[0] = 3;
			}
			sd_cu_xent(r, x.data(), label.data(), n, k, smoothing, loss.data());
			sd_cu_xent_bwd(r, x.data(), label.data(), g.data(), n, k, smoothing, gx.data());
			sd_cu_rank(r, x.data(), label.data(), n, k, rank.data());
			sd_cu_argmax(r, x.data(), n, k, most.data());
			r.end();
			soft = Softmax(x, n, k);
			for (int i = 0; i < n; i++) {
				const float *row = &x[i * k];
				double mean = 0;
				int32_t l = label[i], before = 0, first = 0;

				for (int j = 0; j < k; j++) {
					mean += static_cast<double>(row[j]) / k;
					if (row[j] > row[first])
						first = j;
				}
				bad_rank += most[i] != first;
				if (!is_class(l, k)) {
					bad += !isnan(loss[i]) || !isnan(gx[i * k]);
					bad_rank += rank[i] != k;
					continue;
				}
				bad += !close(loss[i], (1 - static_cast<double>(smoothing)) * (soft.log_sum[i] - row[l]) +
					smoothing * (soft.log_sum[i] - mean), 2e-6);
				for (int j = 0; j < k; j++) {
					double target = (j == l ? 1 - static_cast<double>(smoothing) : 0) +
						static_cast<double>(smoothing) / k;

					bad += !close(gx[i * k + j], g[i] * (soft.p[i * k + j] - target), 2e-6);
					before += row[j] > row[l] || (row[j] == row[l] && j < l);
				}
				bad_rank += rank[i] != before;
			}
			CHECK(bad == 0, "cross entropy of (%d, %d): %zu differ", n, k, bad);
			CHECK(bad_rank == 0, "rank and maximum of (%d, %d): %zu differ", n, k, bad_rank);
			digest(loss);
			digest(rank);
		}
}

static void test_nan()
{
	float row[] = {1, NAN, 5, NAN, 2}, none[] = {3, 7, 7, INFINITY, INFINITY};
	int32_t label = 2, rank = 0, most[2] = {-1, -1};
	float loss = 0;
	Run r;

	sd_cu_rank(r, row, &label, 1, 5, &rank);
	sd_cu_argmax(r, row, 1, 5, most);
	sd_cu_argmax(r, none, 1, 5, most + 1);
	sd_cu_xent(r, row, &label, 1, 5, 0, &loss);
	r.end();
	CHECK(rank == 2, "%d", rank);
	CHECK(most[0] == 1 && most[1] == 3, "%d %d", most[0], most[1]);
	CHECK(isnan(loss), "%g", loss);
}

static void test_mix_factors()
{
	for (int k : {1, 5, 11, 24})
		for (int weighting : {SD_SCALAR_W, SD_MAX_W}) {
			int rows = 4, row = below(rows);
			std::vector<float> w = vector(rows * k, 0, 1), f(k), gf = vector(k), gw(rows * k, 7);
			float *mine = &w[row * k], most = 0;
			double sum = 0;
			int ties = 0;
			size_t bad = 0;
			Run r;

			if (k > 4) /* two maxima */
				mine[1] = mine[4] = 1.5f;
			for (int i = 0; i < k; i++)
				most = fmaxf(most, mine[i]);
			for (int i = 0; i < k; i++) {
				ties += mine[i] == most;
				sum += gf[i];
			}
			sd_cu_mix_factors(r, w.data(), row, k, weighting, f.data());
			sd_cu_mix_factors_bwd(r, w.data(), gf.data(), rows, row, k, weighting, gw.data());
			r.end();
			for (int i = 0; i < rows * k; i++) {
				int j = i - row * k;
				float want = j < 0 || j >= k ? 0 : weighting == SD_MAX_W && mine[j] == most ?
					static_cast<float>(gf[j] - sum / ties) : gf[j];

				bad += gw[i] != want;
				if (j >= 0 && j < k)
					bad += f[j] != (weighting == SD_MAX_W ? 1 - most + mine[j] : mine[j]);
			}
			CHECK(bad == 0, "factors of %d terms: %zu differ", k, bad);
		}
}

static void test_vectors()
{
	for (int n : {1, 3, 255, 257, 5000}) {
		std::vector<float> a = vector(n), b = vector(n), fill(n), onehot(n, 5), mean(1), back(n), w1(n), w2(n);
		std::vector<float> base = vector(n), sum = base, fresh(n), axpy(n), scaled(n), plain(n);
		float s = uniform(), k = 0.3f * s;
		int at = below(n);
		const float *x[SD_CU_ADD];
		std::vector<std::vector<float>> parts;
		size_t bad = 0;
		double want_mean = 0;
		Run r;

		for (int i = 0; i < SD_CU_ADD; i++)
			parts.push_back(vector(n));
		for (int i = 0; i < SD_CU_ADD; i++)
			x[i] = parts[i].data();
		sd_cu_fill_rows(r, 2.5f, fill.data(), n);
		sd_cu_onehot(r, a.data(), at, onehot.data(), n);
		sd_cu_mean(r, a.data(), n, mean.data());
		sd_cu_mean_bwd(r, &s, n, back.data());
		sd_cu_wsum(r, a.data(), 0.7f, b.data(), -1.3f, n, w1.data());
		sd_cu_wsum(r, a.data(), 0.7f, NULL, 0, n, w2.data());
		sd_cu_add_rows(r, 3, x, n, 1, sum.data());
		sd_cu_add_rows(r, SD_CU_ADD, x, n, 0, fresh.data());
		sd_cu_axpy(r, a.data(), 0.3f, &s, b.data(), n, axpy.data());
		sd_cu_axpy(r, NULL, 0.3f, &s, b.data(), n, scaled.data());
		sd_cu_axpy(r, a.data(), 0.3f, NULL, b.data(), n, plain.data());
		r.end();
		for (int i = 0; i < n; i++) {
			float all = parts[0][i];

			for (int j = 1; j < SD_CU_ADD; j++)
				all += parts[j][i];
			want_mean += static_cast<double>(a[i]) / n;
			bad += fill[i] != 2.5f || onehot[i] != (i == at ? a[0] : 0) || back[i] != s / n;
			bad += w1[i] != fmaf(0.7f, a[i], -1.3f * b[i]) || w2[i] != 0.7f * a[i];
			bad += sum[i] != base[i] + parts[0][i] + parts[1][i] + parts[2][i] || fresh[i] != all;
			bad += axpy[i] != fmaf(k, b[i], a[i]) || scaled[i] != k * b[i] || plain[i] != fmaf(0.3f, b[i], a[i]);
		}
		CHECK(bad == 0, "vectors of %d: %zu differ", n, bad);
		CHECK(close(mean[0], want_mean, 1e-6), "mean of %d: %g, not %g", n, mean[0], want_mean);
		digest(mean);
	}
	for (auto s : sizes) {
		std::vector<float> g = vector(s.n * s.k), sum(s.k), b = vector(s.k), rows(s.n * s.k), zero(s.n * s.k, 1);
		size_t bad = 0;
		Run r;

		sd_cu_column_sum(r, g.data(), s.n, s.k, sum.data());
		sd_cu_bias_rows(r, b.data(), s.n, s.k, rows.data());
		sd_cu_bias_rows(r, NULL, s.n, s.k, zero.data());
		r.end();
		for (int j = 0; j < s.k; j++) {
			double want = 0;

			for (int i = 0; i < s.n; i++) {
				want += g[i * s.k + j];
				bad += rows[i * s.k + j] != b[j] || zero[i * s.k + j] != 0;
			}
			bad += sum[j] != static_cast<float>(want);
		}
		CHECK(bad == 0, "rows of (%d, %d): %zu differ", s.n, s.k, bad);
	}
}

static void test_scalars()
{
	const uint32_t key[2] = {123456789u, 987654321u};
	struct sd_rng_key k = {{key[0], key[1]}};
	float p = 0.3f, keep = 1 - p, norm[] = {0, 3, 100, NAN}, coef[4], ratio = 0, a = 3, b = -7;
	int32_t step = 17;
	std::vector<int32_t> ids(1000);
	std::vector<float> mask(1000);
	size_t bad = 0, dropped = 0;
	Run r;

	for (int32_t &i : ids)
		i = static_cast<int32_t>(word() >> 1);
	sd_cu_drop_mask(r, key, &p, &step, ids.data(), 1000, mask.data());
	for (int i = 0; i < 4; i++)
		sd_cu_clip_coef(r, norm + i, 5, coef + i);
	sd_cu_ratio(r, &a, &b, &ratio);
	r.end();
	for (int i = 0; i < 1000; i++) {
		float want = sd_rng_unit(sd_rng_word(k, 17, ids[i], 0, 0)) < keep ? 1 / keep : 0;

		bad += mask[i] != want;
		dropped += want == 0;
	}
	CHECK(bad == 0 && dropped > 200 && dropped < 400, "drop mask: %zu differ", bad);
	CHECK(coef[0] == 1 && coef[1] == 1 && coef[2] == 5 / (100 + 1e-6f) && coef[3] == 1, "%g %g", coef[2],
		coef[3]);
	CHECK(ratio == a / b, "%g", ratio);
}

static void test_loss_scale()
{
	float numbers[] = {1, -INFINITY, NAN, 0}, scale = 4;
	int32_t finite[4], good = 0, off = 0, seen[8];
	static const int32_t ok[] = {1, 1, 1, 0, 0, 0, 1, 1};
	static const float want[] = {4, 4, 8, 4, 2, 1, 1, 1};
	float scales[8], top = 16777216;
	int32_t two = 2;
	size_t bad = 0;
	Run r;

	for (int i = 0; i < 4; i++)
		sd_cu_finite(r, numbers + i, finite + i);
	r.end();
	CHECK(finite[0] == 1 && finite[1] == 0 && finite[2] == 0 && finite[3] == 1, "finite");
	for (int i = 0; i < 8; i++) {
		sd_cu_loss_scale(r, sd_cu_on{&off, 1}, &scale, &good, ok + i, 3);
		sd_cu_loss_scale(r, sd_cu_on{}, &scale, &good, ok + i, 3);
		r.end();
		scales[i] = scale;
		seen[i] = good;
	}
	for (int i = 0; i < 8; i++)
		bad += scales[i] != want[i];
	CHECK(bad == 0 && seen[2] == 0 && seen[7] == 2, "loss scale: %zu differ", bad);
	scale = 1;
	sd_cu_loss_scale(r, sd_cu_on{}, &scale, &good, ok + 3, 3);
	sd_cu_loss_scale(r, sd_cu_on{}, &top, &two, ok, 3);
	r.end();
	CHECK(scale == 1 && top == 16777216, "bounds of the loss scale: %g, %g", scale, top);
}

static void test_metrics()
{
	for (int n : {1, 31, 32, 100}) {
		std::vector<float> loss = vector(n, 0, 5);
		std::vector<int32_t> rank(n);
		std::vector<double> sums = {1, 2, 3, 4, 5}, want = sums, left = sums;
		int32_t off = 0;
		Run r;

		for (int32_t &x : rank)
			x = below(10);
		if (n > 40)
			loss[40] = INFINITY;
		for (int i = 0; i < n; i++) {
			want[0] += loss[i];
			want[1] += rank[i] < 1;
			want[2] += rank[i] < 5;
			want[3] += 1;
			want[4] += !isfinite(loss[i]);
		}
		sd_cu_metrics(r, sd_cu_on{}, sums.data(), loss.data(), rank.data(), n);
		sd_cu_metrics(r, sd_cu_on{&off, 1}, left.data(), loss.data(), rank.data(), n);
		r.end();
		check_equal("metrics", sums, want);
		check_equal("metrics that are off", left, std::vector<double>{1, 2, 3, 4, 5});
	}
}

/* ---- optimisers ---- */

/* Tensors of sizes around a chunk's; p, m, v, u, g and base of each in one vector. */
struct Tensors {
	std::vector<long long> count;
	std::vector<float> p, m, v, u, g, base;
	std::vector<sd_cu_tensor> tensor;
	std::vector<sd_cu_chunk> chunk;
	sd_cu_tensors t;

	Tensors() : count{1, 5, SD_CU_CHUNK, SD_CU_CHUNK + 1, 3 * SD_CU_CHUNK - 7, 1023}
	{
		size_t all = 0;

		for (long long c : count)
			all += c;
		p = vector(all);
		m = vector(all);
		v = vector(all, 0, 1);
		u = vector(all, 0, 1);
		g = vector(all);
		base = vector(all);
	}
	const sd_cu_tensors *table(bool direction = true)
	{
		size_t at = 0;

		tensor.clear();
		chunk.clear();
		for (size_t i = 0; i < count.size(); at += count[i++]) {
			tensor.push_back({&p[at], &m[at], &v[at], &u[at], direction ? &g[at] : NULL, &base[at], count[i]});
			for (long long first = 0; first < count[i]; first += SD_CU_CHUNK)
				chunk.push_back({static_cast<int>(i), first});
		}
		t = {tensor.data(), chunk.data(), static_cast<int>(tensor.size()), static_cast<int>(chunk.size())};
		return &t;
	}
	bool operator==(const Tensors &o) const
	{
		return p == o.p && m == o.m && v == o.v && u == o.u && g == o.g && base == o.base;
	}
};

static void test_norm()
{
	Tensors t;
	std::vector<float> norm(1);
	double want = 0;
	Run r;

	for (float g : t.g)
		want += static_cast<double>(g) * g;
	sd_cu_grad_norm(r, t.table(), norm.data());
	r.end();
	CHECK(norm[0] == static_cast<float>(sqrt(want)) || close(norm[0], sqrt(want), 1e-7), "%g %g", norm[0],
		sqrt(want));
	digest(norm);
}

static void test_sgd()
{
	for (int with_coef = 0; with_coef < 2; with_coef++) {
		float lr = 0.1f, coef = 0.4f, scale = with_coef ? coef : 1;
		int32_t off = 0;
		Tensors t, want = t;
		Run r;

		for (size_t i = 0; i < t.p.size(); i++) {
			float m = fmaf(0.9f, t.m[i], fmaf(3e-4f, t.p[i], scale * t.g[i]));

			want.u[i] = fmaf(-lr, m, t.p[i]);
		}
		sd_cu_sgd_ahead(r, sd_cu_on{}, t.table(), &lr, with_coef ? &coef : NULL, 0.9f, 3e-4f);
		sd_cu_sgd(r, sd_cu_on{&off, 1}, t.table(), &lr, with_coef ? &coef : NULL, 0.9f, 3e-4f);
		r.end();
		CHECK(t == want, "sgd_ahead: other bits");
		for (size_t i = 0; i < t.p.size(); i++) {
			want.m[i] = fmaf(0.9f, t.m[i], fmaf(3e-4f, t.p[i], scale * t.g[i]));
			want.p[i] = fmaf(-lr, want.m[i], t.p[i]);
		}
		sd_cu_sgd(r, sd_cu_on{}, t.table(), &lr, with_coef ? &coef : NULL, 0.9f, 3e-4f);
		r.end();
		CHECK(t == want, "sgd: other bits");
	}
}

static double power(double b, int n)
{
	double r = 1;

	for (; n; n >>= 1, b *= b)
		if (n & 1)
			r *= b;
	return r;
}

static void test_adam()
{
	const float b1 = 0.5f, b2 = 0.999f, eps = 1e-8f, wd = 1e-3f, lr = 3e-4f;

	for (int32_t before : {0, 1, 1000}) {
		Tensors t, want = t;
		int32_t step = before, off = 0;
		double c1 = 1 - power(b1, before + 1), c2 = 1 - power(b2, before + 1);
		float root = static_cast<float>(sqrt(c2)), k = static_cast<float>(-lr / c1);
		Run r;

		for (size_t i = 0; i < t.p.size(); i++) {
			float d = fmaf(wd, t.p[i], t.g[i]);

			want.m[i] = fmaf(b1, t.m[i], (1 - b1) * d);
			want.v[i] = fmaf(b2, t.v[i], (1 - b2) * (d * d));
			want.p[i] = fmaf(k, want.m[i] / (sqrtf(want.v[i]) / root + eps), t.p[i]);
		}
		sd_cu_adam(r, sd_cu_on{}, t.table(), &lr, &step, b1, b2, eps, wd);
		sd_cu_adam(r, sd_cu_on{&off, 1}, t.table(), &lr, &step, b1, b2, eps, wd);
		r.end();
		CHECK(t == want && step == before + 1, "adam: other bits");
	}
}

static void test_padam()
{
	const float b1 = 0.9f, b2 = 0.999f, eps = 1e-8f, wd = 1e-3f, lr = 0.1f, partial = 0.125f;

	for (int with_coef = 0; with_coef < 2; with_coef++) {
		Tensors t, want = t;
		float coef = 0.3f;
		int32_t step = 4, off = 0;
		float k = static_cast<float>(-lr * sqrt(1 - power(b2, 5)) / (1 - power(b1, 5)));
		std::vector<double> p(t.p.size());
		Run r;

		for (size_t i = 0; i < t.p.size(); i++) {
			float d = fmaf(wd, t.p[i], (with_coef ? coef : 1) * t.g[i]);

			want.m[i] = fmaf(b1, t.m[i], (1 - b1) * d);
			want.v[i] = fmaf(b2, t.v[i], (1 - b2) * (d * d));
			want.u[i] = fmaxf(t.u[i], want.v[i]);
			p[i] = t.p[i] + k * want.m[i] / pow(sqrt(static_cast<double>(want.u[i])) + eps, 2 * partial);
		}
		sd_cu_padam(r, sd_cu_on{}, t.table(), &lr, &step, with_coef ? &coef : NULL, b1, b2, eps, wd, partial);
		sd_cu_padam(r, sd_cu_on{&off, 1}, t.table(), &lr, &step, NULL, b1, b2, eps, wd, partial);
		r.end();
		check_close("padam", t.p, p, 2e-6);
		digest(t.p);
		want.p = t.p;
		CHECK(t == want && step == 5, "padam: other bits");
	}
}

static void test_store()
{
	for (int way = 0; way < 4; way++) {
		Tensors t, want = t;
		float s = -0.7f;
		int32_t on = way != 3;
		Run r;

		for (size_t i = 0; on && i < t.p.size(); i++)
			want.p[i] = way == 0 ? t.base[i] : fmaf(way == 1 ? 0.1f * s : 0.1f, t.g[i], t.base[i]);
		sd_cu_store(r, sd_cu_on{&on, 1}, t.table(way != 0), 0.1f, way == 1 ? &s : NULL);
		r.end();
		CHECK(t == want, "store %d: other bits", way);
	}
}

static void tests()
{
	test_softmax();
	test_xent();
	test_nan();
	test_mix_factors();
	test_vectors();
	test_scalars();
	test_loss_scale();
	test_metrics();
	test_norm();
	test_sgd();
	test_adam();
	test_padam();
	test_store();
}

int main(int argc, char **argv)
{
	return run(argc, argv, tests);
}
