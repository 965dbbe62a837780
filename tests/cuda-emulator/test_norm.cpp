/* test_norm: norm.cu and mix.cu against plain loops. */
#include "kernel_test.h"

using namespace test;

static const Shape shapes[] = {{2, 3, 5, 7}, {1, 16, 4, 4}, {3, 8, 6, 5}, {2, 36, 3, 3}, {1, 130, 4, 3}, {5,
	4, 9, 8},
	{3, 1, 1, 1}, {2, 6, 40, 41}, {4, 200, 8, 6}};

/* f(shape, type, more, offset, round) for all of them */
template <typename F> static void all(F f)
{
	int round = 0;

	for (const Shape &s : shapes)
		for (sd_cu_type t : types)
			for (auto p : places)
				f(s, t, p.more, p.offset, round++);
}

struct Moments {
	std::vector<double> mean, var;
};
template <typename F> static Moments moments(const Image &x, F get)
{
	size_t c = static_cast<size_t>(x.m.c);
	double count = static_cast<double>(x.m.n) * x.m.h * x.m.w;
	Moments m = {std::vector<double>(c), std::vector<double>(c)};

	x.each([&](int n, int c, int h, int w) { m.mean[c] += get(n, c, h, w) / count; });
	x.each([&](int n, int c, int h, int w) {
		double d = get(n, c, h, w) - m.mean[c];

		m.var[c] += d * d / count;
	});
	return m;
}

static void test_stats()
{
	all([](Shape s, sd_cu_type t, int more, int offset, int round) {
		Source x(Image(s, t, more, offset).fill(), round % 4);
		std::vector<float> mean(s.c, NAN), var = mean, m = mean, v = mean;
		Run r;
		sd_cu_src src = x.src();
		Moments want = moments(x.x, [&](int n, int c, int h, int w) { return x.get(n, c, h, w); });

		sd_cu_bn_stats(r, &src, mean.data(), var.data());
		r.end();
		check_close("mean", mean, want.mean, 3e-6);
		check_close("variance", var, want.var, 3e-6);
		digest(mean);
		digest(var);

		Source other(moved(x.x, 1, 1), x.kind);
		other.norm = x.norm;
		src = other.src();
		sd_cu_bn_stats(r, &src, m.data(), v.data());
		r.end();
		check_equal("mean elsewhere", m, mean);
		check_equal("variance elsewhere", v, var);
	});
}

/* A large mean, an outlier as the first pixel of all, and a constant. */
static void test_stats_hard()
{
	static const Shape s = {4, 8, 65, 66};
	Image x(s, SD_CU_F32), flat(s, SD_CU_BF16);
	std::vector<float> mean(s.c), var(s.c);
	Run r;

	x.each([&](int n, int c, int h, int w) {
		x.set(n, c, h, w, (c % 2 ? 300 : -3000) + uniform(-0.1f, 0.1f));
		flat.set(n, c, h, w, c + 0.375f);
	});
	for (int c = 4; c < 8; c++)
		x.set(0, c, 0, 0, 1);
	Moments want = moments(x, [&](int n, int c, int h, int w) { return x.get(n, c, h, w); });
	sd_cu_src src = {x.m, {}, 0};
	sd_cu_bn_stats(r, &src, mean.data(), var.data());
	r.end();
	for (int c = 0; c < s.c; c++) {
		CHECK(fabs(mean[c] - want.mean[c]) <= 2e-7 * fabs(want.mean[c]), "mean %g, not %g", mean[c],
			want.mean[c]);
		CHECK(fabs(var[c] - want.var[c]) <= 2e-4 * want.var[c], "variance %g, not %g", var[c],
			want.var[c]);
	}
	src.x = flat.m;
	sd_cu_bn_stats(r, &src, mean.data(), var.data());
	r.end();
	for (int c = 0; c < s.c; c++)
		CHECK(mean[c] == c + 0.375f && var[c] == 0, "of a constant: %g, %g", mean[c], var[c]);
}

static void test_load()
{
	all([](Shape s, sd_cu_type t, int more, int offset, int round) {
		auto q = places[round / 2 % 5];
		int acc = round / 3 % 2;
		Source x(Image(s, t, more, offset).fill(), round % 4);
		Image y(s, types[round / 5 % 3], q.more, q.offset);
		Run r;

		y.fill();
		Image before = y;
		sd_cu_src src = x.src();
		sd_cu_dst to = {y.m, acc};

		sd_cu_load(r, &src, &to);
		r.end();
		check_image("load", y, [&](int n, int c, int h, int w) {
			return x.get(n, c, h, w) + (acc ? before.get(n, c, h, w) : 0);
		});
	});
}

static void test_copy_bits()
{
	static const float values[] = {-0.0f, 0.0f, 1.0f, -INFINITY};
	Image x({1, 4, 1, 1}, SD_CU_F32), y = x, z = x;
	Run r;

	for (int c = 0; c < 4; c++)
		x.set(0, c, 0, 0, values[c]);
	sd_cu_src src = {x.m, {}, 0};
	sd_cu_dst to = {y.m, 0}, relu = {z.m, 0};

	sd_cu_load(r, &src, &to);
	src.relu = 1;
	sd_cu_load(r, &src, &relu);
	r.end();
	CHECK(y.memory == x.memory, "a copy has other bits");
	CHECK(z.get(0, 2, 0, 0) == 1 && z.get(0, 3, 0, 0) == 0, "relu");
	x.set(0, 0, 0, 0, NAN);
	sd_cu_load(r, &src, &relu);
	r.end();
	CHECK(isnan(z.get(0, 0, 0, 0)), "relu of NaN");
}

static void test_relu_bwd()
{
	all([](Shape s, sd_cu_type t, int more, int offset, int round) {
		auto q = places[round / 2 % 5];
		int acc = round / 3 % 2;
		Source x(Image(s, t, more, offset).fill(), round % 2 * 2);
		Image g(s, t, q.more, q.offset), y(s, t, more, offset);
		Run r;

		g.fill();
		y.fill();
		Image before = y;
		sd_cu_src src = x.src();
		sd_cu_dst to = {y.m, acc};

		sd_cu_relu_bwd(r, &src, &g.m, &to);
		r.end();
		check_image("relu_bwd", y, [&](int n, int c, int h, int w) {
			return (x.get(n, c, h, w) > 0 ? g.get(n, c, h, w) : 0) + (acc ? before.get(n, c, h,
				w) : 0);
		});
	});
}

/* A norm's gradient in double: sums and g (x - mean) / sqrt(var + eps). */
struct Backward {
	const Image &g, &x;
	const Norm &norm, *mask;

	double gradient(int n, int c, int h, int w) const
	{
		return !mask || (*mask)(x.get(n, c, h, w), c) > 0 ? g.get(n, c, h, w) : 0;
	}
	double scale(int c) const { return 1 / sqrt(static_cast<double>(norm.var[c]) + 1e-3f); }
	double hat(int n, int c, int h, int w) const { return (x.get(n, c, h, w) - norm.mean[c]) * scale(c); }
	void sums(std::vector<double> &sg, std::vector<double> &sgx) const
	{
		sg.assign(x.m.c, 0);
		sgx = sg;
		x.each([&](int n, int c, int h, int w) {
			sg[c] += gradient(n, c, h, w);
			sgx[c] += gradient(n, c, h, w) * hat(n, c, h, w);
		});
	}
	/* without gamma */
	double get(const std::vector<float> &sg, const std::vector<float> &sgx, int batch, int n, int c,
		int h, int w) const
	{
		double count = static_cast<double>(x.m.n) * x.m.h * x.m.w, v = gradient(n, c, h, w);

		if (batch)
			v -= sg[c] / count + hat(n, c, h, w) * sgx[c] / count;
		return v * scale(c);
	}
};

static void test_norm_bwd()
{
	all([](Shape s, sd_cu_type t, int more, int offset, int round) {
		auto q = places[round / 2 % 5];
		int acc = round / 3 % 2, batch = round / 2 % 2;
		Image x(s, t, more, offset), g(s, t, q.more, q.offset), y(s, t, more, offset);
		Norm norm(s.c, round % 4 > 1);
		std::vector<float> sg(s.c, NAN), sgx = sg, a = sg, b = sg;
		std::vector<double> want_sg, want_sgx;
		Run r;

		x.fill();
		g.fill();
		y.fill();
		Image before = y, x2 = moved(x, 1, 1), g2 = moved(g, 0, 0);
		Backward back = {g, x, norm, round % 2 ? &norm : NULL};
		sd_cu_norm n = norm.norm(), *mask = round % 2 ? &n : NULL;
		sd_cu_dst to = {y.m, acc};

		sd_cu_norm_bwd_sums(r, &g.m, &x.m, &n, mask, sg.data(), sgx.data());
		sd_cu_norm_bwd_sums(r, &g2.m, &x2.m, &n, mask, a.data(), b.data());
		sd_cu_norm_bwd_x(r, &g.m, &x.m, &n, mask, batch ? sg.data() : NULL, batch ? sgx.data() :
			NULL, batch, &to);
		r.end();
		back.sums(want_sg, want_sgx);
		check_close("sum of g", sg, want_sg);
		check_close("sum of g xhat", sgx, want_sgx);
		check_equal("sum of g elsewhere", a, sg);
		check_equal("sum of g xhat elsewhere", b, sgx);
		digest(sg);
		digest(sgx);
		check_image("norm_bwd_x", y, [&](int n, int c, int h, int w) {
			return back.get(sg, sgx, batch, n, c, h, w) * (norm.affine ? norm.gamma[c] : 1) +
				(acc ? before.get(n, c, h, w) : 0);
		});
	});
}

/* A gradient that is scaled on the way to its sums has the bits of one that was scaled before. */
static void test_scale_rows_sums()
{
	all([](Shape s, sd_cu_type t, int more, int offset, int round) {
		Image x(s, t, more, offset), g(s, t, more, offset), y(s, t, more, offset);
		Norm norm(s.c, round % 4 > 1);
		std::vector<float> sg(s.c, NAN), sgx = sg, a = sg, b = sg, m = vector(s.n, 0, 2);
		sd_cu_norm n = norm.norm();
		Run r;

		x.fill();
		g.fill();
		Image want = y;
		sd_cu_norm_sums sums = {x.m, n, round % 2, sg.data(), sgx.data()};
		sd_cu_src src = {g.m, {}, 0};
		sd_cu_dst to = {want.m, 0};

		sd_cu_scale_rows_sums(r, &g.m, m.data(), &y.m, &sums);
		r.end();
		sd_cu_scale_rows(r, &src, m.data(), &to);
		sd_cu_norm_bwd_sums(r, &want.m, &x.m, &n, round % 2 ? &n : NULL, a.data(), b.data());
		r.end();
		CHECK(y.memory == want.memory, "scale_rows_sums: the gradient is another");
		check_equal("scale_rows_sums: sum of g", sg, a);
		check_equal("scale_rows_sums: sum of g xhat", sgx, b);
		digest(sg);
	});
}

static void test_update()
{
	for (int c : {1, 7, 300}) {
		std::vector<float> rm = vector(c), rv = vector(c, 0, 2), mean = vector(c), var = vector(c,
			0, 2);
		std::vector<float> m0 = rm, v0 = rv;
		std::vector<double> m(c), v(c);
		int32_t nbt = 41, off = 0, on = 3;
		Run r;

		for (int i = 0; i < c; i++) {
			m[i] = 0.9 * rm[i] + 0.1 * mean[i];
			v[i] = 0.9 * rv[i] + 0.1 * var[i] * 12 / 11;
		}
		sd_cu_bn_update(r, sd_cu_on{&off, 1}, c, rm.data(), rv.data(), &nbt, mean.data(),
			var.data(), 12, 0.1f);
		r.end();
		check_equal("update that is off", rm, m0);
		check_equal("update that is off", rv, v0);
		CHECK(nbt == 41, "counted to %d", nbt);
		sd_cu_bn_update(r, sd_cu_on{&on, 1}, c, rm.data(), rv.data(), &nbt, mean.data(), var.data(),
			12, 0.1f);
		r.end();
		check_close("running mean", rm, m, 1e-6);
		check_close("running variance", rv, v, 1e-6);
		CHECK(nbt == 42, "counted to %d", nbt);
		sd_cu_bn_update(r, sd_cu_on{NULL, 0}, c, rm.data(), rv.data(), NULL, mean.data(),
			var.data(), 12, 0.1f);
		r.end();
		digest(rm);
		digest(rv);
	}
}

/* A mixed edge of terms of all kinds, in all places, and g or the result. */
struct Edge {
	std::vector<Image> x;
	std::vector<Norm> norm;
	struct sd_cu_mix m;

	Edge(Shape s, sd_cu_type t, int nterm, int round, bool aligned) : m()
	{
		m.nterm = nterm;
		for (int k = 0; k < nterm; k++) {
			auto p = places[aligned ? 0 : (k + round) % 5];

			x.push_back(Image(s, t, p.more, p.offset).fill());
			norm.push_back(Norm(s.c, false));
		}
		for (int k = 0; k < nterm; k++) {
			m.t[k].kind = (k + round) % 4;
			if (m.t[k].kind != SD_MIX_NONE)
				m.t[k].x = x[k].m;
			if (m.t[k].kind >= SD_MIX_NORM)
				m.t[k].norm = norm[k].norm();
		}
	}
	double term(int k, int n, int c, int h, int w) const
	{
		double v = x[k].get(n, c, h, w);

		switch (m.t[k].kind) {
		case SD_MIX_NONE: return 0;
		case SD_MIX_RAW: return v;
		default: v = norm[k](v, c); return m.t[k].kind == SD_MIX_NORM_RELU && v < 0 ? 0 : v;
		}
	}
};
static const int term_counts[] = {1, 2, 8, SD_MIX_TERMS, 5};

static void test_mix()
{
	all([](Shape s, sd_cu_type t, int more, int offset, int round) {
		int nterm = term_counts[round % 5], acc = round / 3 % 2;
		Edge e(s, t, nterm, round, round % 3 == 0);
		std::vector<float> f = vector(nterm);
		Image y(s, t, more, offset);
		Run r;

		y.fill();
		Image before = y;
		sd_cu_dst to = {y.m, acc};

		sd_cu_mix(r, &e.m, f.data(), &to);
		r.end();
		check_image("mix", y, [&](int n, int c, int h, int w) {
			double sum = acc ? before.get(n, c, h, w) : 0;

			for (int k = 0; k < nterm; k++)
				sum += f[k] * e.term(k, n, c, h, w);
			return sum;
		});
	});
}

static void test_mix_bwd()
{
	all([](Shape s, sd_cu_type t, int more, int offset, int round) {
		int nterm = term_counts[round % 5], acc = round / 3 % 2, batch = round / 2 % 2;
		Edge e(s, t, nterm, round, round % 3 == 0);
		std::vector<float> f = vector(nterm), dot(nterm, NAN), sg(static_cast<size_t>(nterm) * s.c,
			NAN), sgx = sg;
		Image g(s, t, more, offset), g2(s, t, more + 1, offset);
		Run r;

		g.fill();
		g2.each([&](int n, int c, int h, int w) { g2.set(n, c, h, w, g.get(n, c, h, w)); });
		std::vector<float> dot2 = dot, sg2 = sg, sgx2 = sgx;
		sd_cu_mix_bwd_sums(r, &e.m, &g.m, dot.data(), sg.data(), sgx.data());
		sd_cu_mix_bwd_sums(r, &e.m, &g2.m, dot2.data(), sg2.data(), sgx2.data());
		r.end();
		check_equal("s elsewhere", dot2, dot);
		check_equal("sg elsewhere", sg2, sg);
		check_equal("sgx elsewhere", sgx2, sgx);
		digest(dot);
		digest(sg);
		digest(sgx);
		for (int k = 0; k < nterm; k++) {
			int kind = e.m.t[k].kind;
			Backward back = {g, e.x[k], e.norm[k], kind == SD_MIX_NORM_RELU ? &e.norm[k] : NULL};
			std::vector<float> row_sg(sg.begin() + k * s.c, sg.begin() + (k + 1) * s.c);
			std::vector<float> row_sgx(sgx.begin() + k * s.c, sgx.begin() + (k + 1) * s.c);
			std::vector<double> want_sg(s.c), want_sgx(s.c);
			double sum = 0;

			g.each([&](int n, int c, int h, int w) { sum += g.get(n, c, h, w) * e.term(k, n, c,
				h, w); });
			CHECK(close(dot[k], sum, 1e-4), "term %d of kind %d: s = %g, not %g", k, kind,
				dot[k], sum);
			if (kind >= SD_MIX_NORM)
				back.sums(want_sg, want_sgx);
			check_close("sg", row_sg, want_sg);
			check_close("sgx", row_sgx, want_sgx);
			if (kind == SD_MIX_NONE || k > 3)
				continue;

			Image y(s, t, more, offset);

			y.fill();
			Image before = y;
			sd_cu_dst to = {y.m, acc};
			sd_cu_mix_bwd_x(r, &e.m.t[k], k, f.data(), &g.m, batch ? sg.data() : NULL,
				batch ? sgx.data() : NULL, batch, &to);
			r.end();
			check_image("mix_bwd_x", y, [&](int n, int c, int h, int w) {
				double v = kind == SD_MIX_RAW ? g.get(n, c, h, w)
					: back.get(row_sg, row_sgx, batch, n, c, h, w);

				return f[k] * v + (acc ? before.get(n, c, h, w) : 0);
			});
		}
	});
}

/* A sum with the sums of it, for a norm and for several mixed edges: the bits of the sum, and then of its sums. */
static void test_sum_and_sums()
{
	all([](Shape s, sd_cu_type t, int more, int offset, int round) {
		int n = 1 + round % SD_CU_SUM_PARTS, masked = round % 3 ? 1 + round / 3 % n : 0, edges = 1 + round % SD_CU_SUM_EDGES;
		auto q = places[round % 3 ? 0 : round / 3 % 5];
		Image y(s, t, q.more, q.offset), want = y;
		Source mask(Image(s, t, q.more, q.offset).fill(), round % 4);
		std::vector<float> f = vector(s.n + SD_CU_SUM_PARTS), sg(s.c, NAN), sgx = sg, want_sg = sg, want_sgx = sg;
		Source of(Image(s, t, q.more, q.offset).fill(), 3);
		std::vector<Image> g;
		std::vector<Edge> edge;
		sd_cu_grad x[SD_CU_SUM_PARTS];
		sd_cu_mix_sums sums[SD_CU_SUM_EDGES];
		sd_cu_norm norm = of.norm.norm();
		sd_cu_norm_sums ns = {of.x.m, norm, round % 2, sg.data(), sgx.data()};
		sd_cu_src mask_src = mask.src();
		sd_cu_dst to = {want.m, 0};
		Run r;

		for (int k = 0; k < n; k++)
			g.push_back(Image(s, t, k % 2 ? q.more : more, k % 2 ? q.offset : offset).fill());
		for (int k = 0; k < n; k++) { /* as they are, scaled, and scaled by samples */
			x[k] = {{g[k].m, {}, 0}, {}};
			if (k % 3)
				x[k].back = {NULL, &f[k], NULL, NULL, 0, k % 3 == 1};
		}
		sd_cu_add(r, n, x, masked, &mask_src, &to);
		r.end();
		sd_cu_norm_bwd_sums(r, &want.m, &of.x.m, &norm, round % 2 ? &norm : NULL, want_sg.data(), want_sgx.data());
		r.end();
		CHECK(sd_cu_add_norm_sums(r, n, x, masked, &mask_src, &y.m, &ns) == 1, "add_norm_sums: not done");
		r.end();
		CHECK(y.memory == want.memory, "add_norm_sums: another sum of %d, %d of them masked", n, masked);
		check_equal("add_norm_sums: sum of g", sg, want_sg);
		check_equal("add_norm_sums: sum of g xhat", sgx, want_sgx);
		digest(sg);

		size_t each = static_cast<size_t>(SD_CU_SUM_TERMS) * s.c;
		std::vector<float> dot(SD_CU_SUM_TERMS * SD_CU_SUM_EDGES, NAN), eg(each * SD_CU_SUM_EDGES, NAN), egx = eg;
		std::vector<float> want_dot = dot, want_eg = eg, want_egx = eg;
		Image again(s, t, q.more, q.offset);

		for (int e = 0; e < edges; e++)
			edge.push_back(Edge(s, t, 1 + (round + e) % SD_CU_SUM_TERMS, round + e, round % 3 == 0));
		for (int e = 0; e < edges; e++) {
			sums[e] = {edge[e].m, &dot[e * SD_CU_SUM_TERMS], &eg[e * each], &egx[e * each]};
			sd_cu_mix_bwd_sums(r, &edge[e].m, &want.m, &want_dot[e * SD_CU_SUM_TERMS], &want_eg[e * each],
				&want_egx[e * each]);
			r.end();
		}
		CHECK(sd_cu_add_mix_sums(r, n, x, masked, &mask_src, &again.m, edges, sums) == 1, "add_mix_sums: not done");
		r.end();
		CHECK(again.memory == want.memory, "add_mix_sums: another sum of %d, %d of them masked", n, masked);
		check_equal("add_mix_sums: s", dot, want_dot);
		check_equal("add_mix_sums: sg", eg, want_eg);
		check_equal("add_mix_sums: sgx", egx, want_egx);
		digest(dot);
		x[0].g.relu = 1;
		CHECK(!sd_cu_add_norm_sums(r, n, x, masked, &mask_src, &y.m, &ns) &&
			!sd_cu_add_mix_sums(r, n, x, masked, &mask_src, &y.m, edges, sums), "a part with a relu");
	});
}

static void tests()
{
	test_stats();
	test_stats_hard();
	test_load();
	test_copy_bits();
	test_relu_bwd();
	test_norm_bwd();
	test_scale_rows_sums();
	test_update();
	test_mix();
	test_mix_bwd();
	test_sum_and_sums();
}

int main(int argc, char **argv)
{
	return run(argc, argv, tests);
}
