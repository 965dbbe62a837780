/* test_half: half.cu and half_bwd.cu must give the bits of dwconv.cu and pointwise.cu one after the other, which have
 * tests of their own. */
#include "kernel_test.h"

using namespace test;

static const Shape shapes[] = {{2, 16, 8, 8}, {1, 36, 9, 12}, {3, 8, 5, 7}, {2, 3, 6, 4}, {1, 72, 4, 16}, {3, 20, 13, 8}};
static const struct sd_window windows[] = {
	{3, 3, 1, 1, 1, 1, 1, 1}, {5, 5, 1, 1, 2, 2, 1, 1}, {3, 3, 1, 1, 2, 2, 2, 2}, {5, 5, 1, 1, 4, 4, 2, 2},
	{3, 3, 2, 2, 1, 1, 1, 1}, {5, 5, 2, 2, 2, 2, 1, 1}, {3, 3, 2, 2, 2, 2, 2, 2}, {7, 7, 1, 1, 3, 3, 1, 1},
	{1, 7, 1, 1, 0, 3, 1, 1}, {3, 3, 1, 1, 3, 3, 3, 3}, {3, 3, 1, 2, 1, 1, 1, 1},
};

static int out_size(int in, int k, int s, int p, int d) { return (in + 2 * p - d * (k - 1) - 1) / s + 1; }

static void test_half(Shape s, const struct sd_window &win, sd_cu_type t, int round)
{
	static const int outs[] = {16, 8, 36, 130, 20, 1};
	auto p = places[round % 5], q = places[round / 2 % 5];
	int to_c = outs[round / 3 % 6], acc = round % 7 == 6, with_mid = round % 2;
	Shape o = {s.n, s.c, out_size(s.h, win.kh, win.sh, win.ph, win.dh), out_size(s.w, win.kw, win.sw, win.pw, win.dw)};
	Source x(Image(s, t, p.more, p.offset).fill(), round % 4);
	std::vector<float> dw = vector(static_cast<size_t>(s.c) * win.kh * win.kw), pw = vector(static_cast<size_t>(s.c) * to_c);
	std::vector<float> mean(to_c, NAN), var = mean, want_mean = mean, want_var = mean;
	Image mid(o, t, q.more, q.offset), want_mid = mid, y({s.n, to_c, o.h, o.w}, t, q.more, q.offset);
	sd_cu_src src = x.src();
	Run r;

	y.fill();
	Image want = y;
	sd_cu_dst between = {want_mid.m, 0}, to = {want.m, acc};
	sd_cu_src from = {want_mid.m, {}, 0};

	sd_cu_dwconv(r, &src, dw.data(), win, &between);
	int stats = sd_cu_pointwise(r, &from, -1, pw.data(), &to, want_mean.data(), want_var.data());
	r.end();
	to.y = y.m;
	CHECK(sd_cu_half(r, &src, dw.data(), win, with_mid ? &mid.m : nullptr, pw.data(), &to, mean.data(), var.data()) ==
		stats && stats == !acc, "half: statistics");
	r.end();
	CHECK(y.memory == want.memory, "half: other bits, type %d, %d to %d channels, window %d of %d by %d", t, s.c, to_c,
		win.kh, win.sh, win.dh);
	CHECK(!with_mid || mid.memory == want_mid.memory, "half: other bits between");
	check_equal("half's mean", mean, want_mean);
	check_equal("half's variance", var, want_var);
	digest(y.memory);
	digest(mean);
}

/* The gradient of a half's result as it is loaded: as it lies, masked, or taken back through a batch's norm. */
struct Gradient {
	Image g, x;
	Norm norm;
	std::vector<float> f, sg, sgx;
	int kind;

	Gradient(Shape s, sd_cu_type t, int more, int offset, int kind)
		: g(Image(s, t, more, offset).fill()), x(Image(s, t, more, offset).fill()), norm(s.c, kind == 1),
		  f(vector(1)), sg(vector(s.c)), sgx(vector(s.c)), kind(kind)
	{
	}
	sd_cu_grad grad() const
	{
		sd_cu_grad d = {{g.m, {}, 0}, {}};

		if (kind) {
			d.g.norm = norm.norm();
			d.g.relu = kind == 1;
			d.back = {x.m.p, f.data(), kind == 2 ? sg.data() : NULL, kind == 2 ? sgx.data() : NULL, x.m.ld, 1};
		}
		return d;
	}
};

/* sg and sgx of a norm of x, g being the gradient; to the rounding of the largest part. */
static void check_sums(const Image &g, const Image &x, const Norm &norm, int masked, const std::vector<float> &sg,
	const std::vector<float> &sgx)
{
	std::vector<double> sum(g.m.c), products = sum, most = sum;

	g.each([&](int n, int c, int h, int w) {
		double v = g.get(n, c, h, w), apart = static_cast<double>(x.get(n, c, h, w)) - norm.mean[c];

		apart /= sqrt(norm.var[c] + 1e-3);

		if (masked && !(norm(x.get(n, c, h, w), c) > 0))
			return;
		sum[c] += v;
		products[c] += v * apart;
		most[c] += fabs(v) * (1 + fabs(apart));
	});
	for (int c = 0; c < g.m.c; c++)
		CHECK(fabs(sg[c] - sum[c]) <= 1e-6 * (1 + most[c]) && fabs(sgx[c] - products[c]) <= 1e-6 * (1 + most[c]),
			"half_bwd: sums %g and %g of channel %d, not %g and %g", sg[c], sgx[c], c, sum[c], products[c]);
}

static void test_half_bwd(Shape s, const struct sd_window &win, sd_cu_type t, int round)
{
	static const int outs[] = {16, 8, 36, 130, 20, 1};
	auto p = places[round % 5], q = places[round / 2 % 5];
	int from_c = outs[round / 3 % 6], acc = round % 7 == 6, with_mid = round % 2, masked = round / 2 % 2;
	Shape o = {s.n, s.c, out_size(s.h, win.kh, win.sh, win.ph, win.dh), out_size(s.w, win.kw, win.sw, win.pw, win.dw)};
	Gradient gy({o.n, from_c, o.h, o.w}, t, p.more, p.offset, round % 3);
	Norm norm(s.c, masked);
	std::vector<float> dw = vector(static_cast<size_t>(s.c) * win.kh * win.kw);
	std::vector<float> pw = vector(static_cast<size_t>(s.c) * from_c);
	std::vector<float> sg(s.c, NAN), sgx = sg;
	Image mid(o, t, q.more, q.offset), want_mid = mid, gx(s, t, q.more, q.offset), x(Image(s, t, p.more, p.offset).fill());
	sd_cu_grad g = gy.grad();
	sd_cu_norm_sums sums = {x.m, norm.norm(), masked, sg.data(), sgx.data()};
	sd_cu_img between = mid.m;
	Run r;

	gx.fill();
	Image want = gx;
	sd_cu_dst to_mid = {want_mid.m, 0}, to = {want.m, acc};

	sd_cu_pointwise_bwd_x(r, &g, pw.data(), &to_mid);
	r.end();
	sd_cu_dwconv_bwd_x(r, &want_mid.m, dw.data(), win, &to, nullptr);
	r.end();
	if (!with_mid)
		between.p = nullptr;
	to.y = gx.m;
	int done = sd_cu_half_bwd(r, &g, pw.data(), &between, dw.data(), win, &to, round % 5 ? &sums : nullptr);
	r.end();
	CHECK(gx.memory == want.memory, "half_bwd: other bits, type %d, %d to %d channels, window %d of %d by %d", t, from_c,
		s.c, win.kh, win.sh, win.dh);
	CHECK(!with_mid || mid.memory == want_mid.memory, "half_bwd: other bits between");
	CHECK(!done || (round % 5 && !acc), "half_bwd: sums that nothing wants");
	CHECK(done || acc || round % 5 == 0 || win.kh != win.kw || win.kh == 7 || s.w > 256, "half_bwd: no sums");
	if (done)
		check_sums(gx, x, norm, masked, sg, sgx);
	digest(gx.memory);
	digest(sg);
	digest(sgx);
}

/* Of images with more rows than a block takes, and than it may. */
static void test_large()
{
	static const Shape some[] = {{2, 16, 32, 32}, {1, 20, 40, 48}, {1, 4, 6, 300}};
	int round = 0;

	for (const Shape &s : some)
		for (int k = 0; k < 7; k++, round++)
			test_half_bwd(s, windows[k], types[round % 3], round);
}

static void tests()
{
	int round = 0;

	for (const Shape &s : shapes)
		for (const struct sd_window &w : windows)
			for (sd_cu_type t : types)
				if (s.h + 2 * w.ph >= w.dh * (w.kh - 1) + 1 && s.w + 2 * w.pw >= w.dw * (w.kw - 1) + 1) {
					test_half(s, w, t, round);
					test_half_bwd(s, w, t, round++);
				}
	CHECK(round > 150, "%d rounds", round);
	test_large();
}

int main(int argc, char **argv)
{
	return run(argc, argv, tests);
}
