/* test_half: half.cu must give the bits of dwconv.cu and pointwise.cu one after the other, which have tests of their
 * own. */
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

static void tests()
{
	int round = 0;

	for (const Shape &s : shapes)
		for (const struct sd_window &w : windows)
			for (sd_cu_type t : types)
				if (s.h + 2 * w.ph >= w.dh * (w.kh - 1) + 1 && s.w + 2 * w.pw >= w.dw * (w.kw - 1) + 1)
					test_half(s, w, t, round++);
	CHECK(round > 150, "%d rounds", round);
}

int main(int argc, char **argv)
{
	return run(argc, argv, tests);
}
