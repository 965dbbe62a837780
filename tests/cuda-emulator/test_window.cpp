/* test_window: dwconv.cu, dwgrad.cu and pool.cu against their plain references (kernels/ref.h), gradients against plain
 * loops. */
#include "kernel_test.h"
#include "kernels/ref.h"

using namespace test;

static const Shape shapes[] = {{2, 3, 5, 7}, {1, 16, 9, 8}, {2, 36, 6, 5}, {2, 130, 4, 3}, {3, 18, 1, 11},
	{5, 8, 13, 10}};

static const struct sd_window convs[] = {
	{3, 3, 1, 1, 1, 1, 1, 1}, {5, 5, 1, 1, 2, 2, 1, 1}, {7, 7, 1, 1, 3, 3, 1, 1},
	{3, 3, 2, 2, 1, 1, 1, 1}, {5, 5, 2, 2, 2, 2, 1, 1}, {7, 7, 2, 2, 3, 3, 1, 1},
	{3, 3, 1, 1, 2, 2, 2, 2}, {5, 5, 1, 1, 4, 4, 2, 2}, {3, 3, 2, 2, 2, 2, 2, 2}, {5, 5, 2, 2, 4, 4, 2,
		2},
	{3, 3, 1, 1, 3, 3, 3, 3}, {3, 3, 2, 2, 3, 3, 3, 3}, {3, 3, 1, 2, 1, 1, 1, 1}, {3, 3, 3, 3, 2, 2, 1,
		1},
	{3, 3, 4, 4, 2, 2, 2, 2}, {1, 7, 1, 1, 0, 3, 1, 1}, {7, 1, 2, 1, 3, 0, 1, 1}, {2, 2, 2, 2, 1, 1, 1,
		1},
	{4, 3, 1, 2, 2, 1, 1, 2}, {5, 5, 1, 1, 5, 6, 1, 1},
};
static const struct sd_window pools[] = {
	{3, 3, 1, 1, 1, 1, 1, 1}, {3, 3, 2, 2, 1, 1, 1, 1}, {3, 3, 2, 1, 0, 1, 1, 1}, {2, 2, 2, 2, 0, 0, 1,
		1},
	{3, 3, 3, 3, 1, 1, 1, 1}, {3, 3, 1, 1, 2, 2, 2, 2}, {5, 5, 2, 3, 2, 2, 1, 1}, {3, 2, 2, 1, 1, 0, 1,
		2},
	{17, 16, 1, 1, 8, 8, 1, 1},
};

static int out_size(int in, int k, int s, int p, int d)
{
	return (in + 2 * p - d * (k - 1) - 1) / s + 1;
}
/* Whether a window fits; `o` is then the shape of its output. */
static bool output(Shape s, const struct sd_window &w, Shape *o)
{
	if (s.h + 2 * w.ph < w.dh * (w.kh - 1) + 1 || s.w + 2 * w.pw < w.dw * (w.kw - 1) + 1)
		return false;
	*o = {s.n, s.c, out_size(s.h, w.kh, w.sh, w.ph, w.dh), out_size(s.w, w.kw, w.sw, w.pw, w.dw)};
	return true;
}

/* f(oy, ox, iy, ix, tap) for all taps that lie inside an (h, w) image. */
template <typename F> static void taps(const struct sd_window &w, int oy, int ox, int h, int wide, F f)
{
	for (int i = 0; i < w.kh; i++)
		for (int j = 0; j < w.kw; j++) {
			int y = oy * w.sh - w.ph + i * w.dh, x = ox * w.sw - w.pw + j * w.dw;

			if (y >= 0 && y < h && x >= 0 && x < wide)
				f(y, x, i * w.kw + j);
		}
}

static bool same(const Image &a, const Image &b)
{
	bool equal = true;

	b.each([&](int n, int c, int h, int w) {
		float x = a.get(n, c, h, w), y = b.get(n, c, h, w);

		equal = equal && !memcmp(&x, &y, sizeof(x));
	});
	return equal;
}

/* Sums in double, by (n, c, h, w). */
struct Sums {
	Shape s;
	std::vector<double> v;

	Sums(Shape s) : s(s), v(static_cast<size_t>(s.n) * s.c * s.h * s.w) {}
	double &operator()(int n, int c, int h, int w)
	{
		return v[((static_cast<size_t>(n) * s.c + c) * s.h + h) * s.w + w];
	}
};

static struct sd_shape row_major(Shape s) { return {4, {s.n, s.c, s.h, s.w}}; }

/* The result of a reference f(x, shape of x, shape of y, y) on x as it is loaded, added to what is in `before` if acc
 * says so. */
template <typename F> static Sums reference(const Source &x, Shape o, int acc, const Image &before, F f)
{
	Shape s = {x.x.m.n, x.x.m.c, x.x.m.h, x.x.m.w};
	struct sd_shape xs = row_major(s), ys = row_major(o);
	Sums loaded(s), y(o);

	x.x.each([&](int n, int c, int h, int w) { loaded(n, c, h, w) = x.get(n, c, h, w); });
	f(loaded.v.data(), &xs, &ys, y.v.data());
	if (acc)
		before.each([&](int n, int c, int h, int w) { y(n, c, h, w) += before.get(n, c, h, w); });
	return y;
}

/* f(shape, output, window, type, round) for all windows that fit */
template <typename F, size_t N> static void all(const struct sd_window (&windows)[N], F f)
{
	int round = 0;

	for (const Shape &s : shapes)
		for (const struct sd_window &w : windows)
			for (sd_cu_type t : types) {
				Shape o;

				if (output(s, w, &o))
					f(s, o, w, t, round++);
			}
}

static void test_dwconv()
{
	all(convs, [](Shape s, Shape o, const struct sd_window &win, sd_cu_type t, int round) {
		auto p = places[round % 5], q = places[round / 2 % 5];
		int acc = round / 3 % 2, ntap = win.kh * win.kw;
		Source x(Image(s, t, p.more, p.offset).fill(), round % 4);
		std::vector<float> w = vector(static_cast<size_t>(s.c) * ntap);
		Image y(o, t, q.more, q.offset);
		Run r;

		y.fill();
		Image before = y;
		sd_cu_src src = x.src();
		sd_cu_dst to = {y.m, acc};

		sd_cu_dwconv(r, &src, w.data(), win, &to);
		r.end();
		std::vector<double> weights(w.begin(), w.end());
		check_image("dwconv", y, reference(x, o, acc, before,
			[&](const double *from, const struct sd_shape *xs, const struct sd_shape *ys, double *want) {
				sd_ref_dwconv(from, xs, weights.data(), &win, ys, want);
			}));

		/* a sample alone, lying elsewhere, has the same bits */
		Source one(moved(x.x, 0, 0, 1), x.kind);
		one.norm = x.norm;
		Image alone = moved(before, 1, 1, 1);
		src = one.src();
		to = {alone.m, acc};
		sd_cu_dwconv(r, &src, w.data(), win, &to);
		r.end();
		CHECK(same(y, alone), "dwconv: a sample's numbers depend on others");
	});
}

static int with_sums;

/* The same again, and where the kernel takes them a norm's sums of it. */
static void check_norm_sums(const Image &gy, const std::vector<float> &w, const struct sd_window &win, const Image &gx,
	int round)
{
	Image x(moved(gx, 8, 0).fill()), again = gx;
	Norm norm(gx.m.c, true);
	std::vector<float> sg(gx.m.c, NAN), sgx = sg;
	std::vector<double> want_sg(gx.m.c), want_sgx = want_sg;
	sd_cu_norm_sums sums = {x.m, norm.norm(), round / 2 % 2, sg.data(), sgx.data()};
	sd_cu_dst to = {again.m, 0};
	Run r;
	int done = sd_cu_dwconv_bwd_x(r, &gy.m, w.data(), win, &to, &sums);

	r.end();
	CHECK(same(again, gx), "dwconv_bwd_x: sums change what they are of");
	if (!done)
		return;
	with_sums++;
	gx.each([&](int n, int c, int h, int v) {
		double g = gx.get(n, c, h, v), t = x.get(n, c, h, v);

		if (sums.masked && !(norm(t, c) > 0))
			return;
		want_sg[c] += g;
		want_sgx[c] += g * (t - norm.mean[c]) / sqrt(static_cast<double>(norm.var[c]) + 1e-3f);
	});
	check_close("dwconv_bwd_x's sg", sg, want_sg, 1e-4);
	check_close("dwconv_bwd_x's sgx", sgx, want_sgx, 1e-4);
}

static void test_dwconv_bwd_x()
{
	all(convs, [](Shape s, Shape o, const struct sd_window &win, sd_cu_type t, int round) {
		auto p = places[round % 5], q = places[round / 2 % 5];
		int acc = round / 3 % 2, ntap = win.kh * win.kw;
		Image gy(o, t, p.more, p.offset), gx(s, t, q.more, q.offset);
		std::vector<float> w = vector(static_cast<size_t>(s.c) * ntap);
		Sums sum(s);
		Run r;

		gy.fill();
		gx.fill();
		gx.each([&](int n, int c, int h, int v) { sum(n, c, h, v) = acc ? gx.get(n, c, h, v) : 0; });
		gy.each([&](int n, int c, int h, int v) {
			taps(win, h, v, s.h, s.w, [&](int iy, int ix, int k) {
				sum(n, c, iy, ix) += w[c * ntap + k] * static_cast<double>(gy.get(n, c, h,
					v));
			});
		});
		sd_cu_dst to = {gx.m, acc};

		sd_cu_dwconv_bwd_x(r, &gy.m, w.data(), win, &to, nullptr);
		r.end();
		check_image("dwconv_bwd_x", gx, sum);
		if (!acc)
			check_norm_sums(gy, w, win, gx, round);
	});
	CHECK(with_sums > 20, "sums were taken %d times", with_sums);
}

static void test_dwconv_bwd_w()
{
	all(convs, [](Shape s, Shape o, const struct sd_window &win, sd_cu_type t, int round) {
		auto p = places[round % 5], q = places[round / 2 % 5];
		int ntap = win.kh * win.kw;
		Source x(Image(s, t, p.more, p.offset).fill(), round % 4);
		Image gy(o, t, q.more, q.offset);
		std::vector<float> gw(static_cast<size_t>(s.c) * ntap, NAN), again = gw;
		std::vector<double> sum(gw.size());
		Run r;

		gy.fill();
		gy.each([&](int n, int c, int h, int v) {
			taps(win, h, v, s.h, s.w, [&](int iy, int ix, int k) {
				sum[c * ntap + k] += x.get(n, c, iy, ix) * gy.get(n, c, h, v);
			});
		});
		sd_cu_src src = x.src();

		sd_cu_dwconv_bwd_w(r, &src, &gy.m, win, gw.data());
		r.end();
		check_close("dwconv_bwd_w", gw, sum, 2e-5);
		digest(gw);

		/* packs of another width add up in the same order */
		Source other(moved(x.x, 1, 1), x.kind);
		other.norm = x.norm;
		src = other.src();
		sd_cu_dwconv_bwd_w(r, &src, &gy.m, win, again.data());
		r.end();
		check_equal("dwconv_bwd_w elsewhere", again, gw);
	});
}

/* Long enough for many chunks and several blocks of channels. */
static void test_dwconv_long()
{
	static const struct sd_window windows[] = {{3, 3, 1, 1, 1, 1, 1, 1}, {5, 5, 2, 2, 4, 4, 2, 2}, {2,
		2, 2, 2, 0, 0, 1, 1}};

	for (const struct sd_window &win : windows) {
		Shape s = {7, 20, 33, 32}, o;
		int ntap = win.kh * win.kw;
		Run r;

		output(s, win, &o);
		Source x(Image(s, SD_CU_F32).fill(), 3);
		Image gy(o, SD_CU_F32);
		std::vector<float> gw(static_cast<size_t>(s.c) * ntap, NAN);
		std::vector<double> sum(gw.size());
		sd_cu_src src = x.src();

		gy.fill();
		gy.each([&](int n, int c, int h, int v) {
			taps(win, h, v, s.h, s.w, [&](int iy, int ix, int k) {
				sum[c * ntap + k] += x.get(n, c, iy, ix) * gy.get(n, c, h, v);
			});
		});
		sd_cu_dwconv_bwd_w(r, &src, &gy.m, win, gw.data());
		r.end();
		check_close("dwconv_bwd_w", gw, sum, 2e-5);
		digest(gw);
	}
}

/* Few different numbers, so that there are ties, and some that are not numbers. */
static Image tied(Shape s, sd_cu_type t, int more, int offset, bool nans)
{
	Image x(s, t, more, offset);

	x.each([&](int n, int c, int h, int w) { x.set(n, c, h, w, nans && !below(29) ? NAN :
		below(5) - 2.0f); });
	return x;
}

/* Compares, taking any NaN for any other. */
template <typename F> static void check_nan(const char *what, const Image &y, F f)
{
	size_t bad = 0;

	y.each([&](int n, int c, int h, int w) {
		double is = y.get(n, c, h, w), want = f(n, c, h, w);

		bad += is != want && !close(is, want, rounding(y.m.type)) && !(is != is && want != want);
	});
	CHECK(bad == 0, "%s: %zu elements differ (%d, %d, %d, %d), ld %d, type %d", what, bad, y.m.n, y.m.c,
		y.m.h,
		y.m.w, y.m.ld, y.m.type);
	CHECK(y.marks(), "%s: wrote beside the image", what);
	digest(y.memory);
}

/* The winner of an output: its value and its tap, -1 for none. */
struct Winner {
	double value;
	int tap, y, x;
};
static Winner winner(const Source &x, const struct sd_window &win, int n, int c, int h, int w)
{
	Winner best = {-INFINITY, -1, 0, 0};

	taps(win, h, w, x.x.m.h, x.x.m.w, [&](int iy, int ix, int k) {
		double v = x.get(n, c, iy, ix);

		if (best.tap < 0 || v > best.value || (v != v && best.value == best.value))
			best = {v, k, iy, ix};
	});
	return best;
}

static void test_maxpool()
{
	all(pools, [](Shape s, Shape o, const struct sd_window &win, sd_cu_type t, int round) {
		auto p = places[round % 5], q = places[round / 2 % 5];
		int acc = round / 3 % 2;
		Source x(tied(s, t, p.more, p.offset, round % 3 == 0), round % 4);
		Image y(o, t, q.more, q.offset), gy(o, t, q.more, q.offset), gx(s, t, p.more, p.offset);
		Sums sum(s);
		Run r;

		y.fill();
		gy.fill();
		gx.fill();
		Image before = y;
		sd_cu_src src = x.src();
		sd_cu_dst to = {y.m, acc}, back = {gx.m, acc};

		sd_cu_maxpool(r, &src, win, &to, nullptr, nullptr);
		r.end();
		check_nan("maxpool", y, reference(x, o, acc, before,
			[&](const double *from, const struct sd_shape *xs, const struct sd_shape *ys, double *want) {
				sd_ref_maxpool(from, xs, &win, ys, want);
			}));
		gx.each([&](int n, int c, int h, int w) { sum(n, c, h, w) = acc ? gx.get(n, c, h, w) : 0; });
		gy.each([&](int n, int c, int h, int w) {
			Winner won = winner(x, win, n, c, h, w);

			if (won.tap >= 0)
				sum(n, c, won.y, won.x) += gy.get(n, c, h, w);
		});
		sd_cu_grad one = {{gy.m, {}, 0}, {}};

		sd_cu_maxpool_bwd(r, &src, 1, &one, win, &back);
		r.end();
		check_image("maxpool_bwd", gx, sum);
	});
}

/* The statistics that pools take of their results, and the results with them. */
static void test_pool_stats()
{
	static const Shape some[] = {{2, 16, 8, 8}, {3, 36, 9, 12}, {1, 136, 6, 4}, {2, 8, 5, 7}, {5, 12, 16, 16}};
	int round = 0, taken = 0;

	for (const Shape &s : some)
		for (int k = 0; k < 12; k++, round++) {
			struct sd_window win = {3, 3, 1 + k % 2, 1 + k % 2, 1, 1, 1, 1};
			sd_cu_type t = types[k / 2 % 3];
			Shape o;
			output(s, win, &o);
			Source x(Image(s, t).fill(), round % 4);
			Image y(o, t), want(o, t);
			std::vector<float> mean(s.c, NAN), var = mean;
			std::vector<double> sum(s.c), square(s.c);
			sd_cu_src src = x.src();
			sd_cu_dst to = {y.m, 0}, plain = {want.m, 0};
			double n = static_cast<double>(o.n) * o.h * o.w;
			Run r;

			int done = k < 6 ? sd_cu_maxpool(r, &src, win, &to, mean.data(), var.data())
				: sd_cu_avgpool(r, &src, win, 0, &to, mean.data(), var.data());
			r.end();
			if (k < 6)
				sd_cu_maxpool(r, &src, win, &plain, nullptr, nullptr);
			else
				sd_cu_avgpool(r, &src, win, 0, &plain, nullptr, nullptr);
			r.end();
			CHECK(y.memory == want.memory, "pool: statistics change what they are of");
			if (!done)
				continue;
			taken++;
			y.each([&](int n, int c, int h, int w) { sum[c] += y.get(n, c, h, w); });
			for (double &v : sum)
				v /= n;
			y.each([&](int n, int c, int h, int w) { square[c] += pow(y.get(n, c, h, w) - sum[c], 2); });
			for (double &v : square)
				v /= n;
			check_close("pool's mean", mean, sum);
			check_close("pool's variance", var, square);
			digest(mean);
			digest(var);
		}
	CHECK(taken == 54, "statistics were taken %d times", taken);
}

static void test_avgpool()
{
	all(pools, [](Shape s, Shape o, const struct sd_window &win, sd_cu_type t, int round) {
		auto p = places[round % 5], q = places[round / 2 % 5];
		int acc = round / 3 % 2, include_pad = round / 6 % 2;
		Source x(Image(s, t, p.more, p.offset).fill(), round % 4);
		Image y(o, t, q.more, q.offset), gy(o, t, q.more, q.offset), gx(s, t, p.more, p.offset);
		Sums sum(s);
		Run r;
		auto count = [&](int h, int w) {
			int n = 0;

			taps(win, h, w, s.h, s.w, [&](int, int, int) { n++; });
			return include_pad ? win.kh * win.kw : n;
		};

		y.fill();
		gy.fill();
		gx.fill();
		Image before = y;
		sd_cu_src src = x.src();
		sd_cu_dst to = {y.m, acc}, back = {gx.m, acc};

		sd_cu_avgpool(r, &src, win, include_pad, &to, nullptr, nullptr);
		r.end();
		check_image("avgpool", y, reference(x, o, acc, before,
			[&](const double *from, const struct sd_shape *xs, const struct sd_shape *ys, double *want) {
				sd_ref_avgpool(from, xs, &win, include_pad, ys, want);
			}));
		gx.each([&](int n, int c, int h, int w) { sum(n, c, h, w) = acc ? gx.get(n, c, h, w) : 0; });
		gy.each([&](int n, int c, int h, int w) {
			double each = static_cast<double>(gy.get(n, c, h, w)) / count(h, w);

			taps(win, h, w, s.h, s.w, [&](int iy, int ix, int) { sum(n, c, iy, ix) += each; });
		});
		sd_cu_grad one = {{gy.m, {}, 0}, {}};

		sd_cu_avgpool_bwd(r, 1, &one, win, include_pad, &back);
		r.end();
		check_image("avgpool_bwd", gx, sum);
	});
}

/* A pool's gradient of a sum: the bits of the sum, and then of its gradient. */
static void test_pool_parts()
{
	static const Shape some[] = {{2, 16, 32, 32}, {3, 36, 9, 12}, {1, 136, 6, 4}, {2, 8, 5, 7}, {9, 3, 3, 3},
		{1, 16, 3, 200}};
	static const struct sd_window windows[] = {{3, 3, 1, 1, 1, 1, 1, 1}, {3, 3, 2, 2, 1, 1, 1, 1},
		{2, 2, 2, 2, 0, 0, 1, 1},
		{3, 3, 1, 1, 2, 2, 2, 2}, {2, 3, 3, 1, 1, 1, 1, 1}};
	int round = 0;

	for (const Shape &s : some)
		for (const struct sd_window &win : windows)
			for (int n = 1; n <= SD_CU_POOL_PARTS; n++, round++) {
				auto p = places[round % 5], q = places[round / 2 % 5];
				sd_cu_type t = types[round % 3];
				Shape o;
				output(s, win, &o);
				Source x(Image(s, t).fill(), round % 4);
				Image at(o, t, p.more, p.offset), sum(o, t), gx(s, t, q.more, q.offset);
				std::vector<float> f = vector(o.n + 8), sg = vector(s.c), sgx = vector(s.c);
				std::vector<Image> g;
				Norm norm(s.c, true);
				sd_cu_grad part[SD_CU_POOL_PARTS];
				sd_cu_src src = x.src();
				Run r;

				at.fill();
				gx.fill();
				for (int k = 0; k < n; k++)
					g.push_back(Image(o, t, p.more, p.offset).fill());
				for (int k = 0; k < n; k++) {
					int kind = (round / 4 + k) % 4, sums = kind == 1;

					part[k] = {{g[k].m, kind ? norm.norm() : sd_cu_norm{}, kind == 2}, {}};
					if (kind) /* by samples; a batch's norm; a masked one */
						part[k].back = {at.m.p, &f[k], sums ? sg.data() : NULL, sums ? sgx.data() : NULL, at.m.ld, 1};
					if (kind == 3) {
						part[k].g.norm = {};
						part[k].back = {NULL, f.data() + k, NULL, NULL, 0, 0};
					}
				}
				for (int max = 0; max < 2; max++) {
					Image want = gx, got = gx;
					sd_cu_dst to = {sum.m, 0}, to_want = {want.m, round % 2}, to_got = {got.m, round % 2};
					sd_cu_grad whole = {{sum.m, {}, 0}, {}};

					sd_cu_add(r, n, part, 0, nullptr, &to);
					r.end();
					if (max)
						sd_cu_maxpool_bwd(r, &src, 1, &whole, win, &to_want);
					else
						sd_cu_avgpool_bwd(r, 1, &whole, win, round % 2, &to_want);
					r.end();
					if (max)
						sd_cu_maxpool_bwd(r, &src, n, part, win, &to_got);
					else
						sd_cu_avgpool_bwd(r, n, part, win, round % 2, &to_got);
					r.end();
					CHECK(got.memory == want.memory, "pool_bwd of %d parts: other bits, (%d, %d, %d, %d), type %d", n,
						s.n, s.c, s.h, s.w, t);
					digest(got.memory);
				}
			}
}

static void test_gap()
{
	int round = 0;

	for (const Shape &s : shapes)
		for (sd_cu_type t : types)
			for (auto p : places) {
				Source x(Image(s, t, p.more, p.offset).fill(), round % 4);
				Image gx(s, t, p.more, p.offset);
				int acc = round++ / 4 % 2;
				std::vector<float> y(static_cast<size_t>(s.n) * s.c, NAN),
					gy = vector(y.size());
				Run r;

				gx.fill();
				Image before = gx;
				sd_cu_src src = x.src();
				sd_cu_dst to = {gx.m, acc};

				Sums sum = reference(x, {s.n, s.c, 1, 1}, 0, before,
					[](const double *from, const struct sd_shape *xs, const struct sd_shape *,
						double *want) { sd_ref_gap(from, xs, want); });
				sd_cu_gap(r, &src, y.data());
				sd_cu_gap_bwd(r, gy.data(), &to);
				r.end();
				check_close("gap", y, sum.v);
				digest(y);
				check_image("gap_bwd", gx, [&](int n, int c, int h, int w) {
					return gy[n * s.c + c] / static_cast<double>(s.h * s.w) +
						(acc ? before.get(n, c, h, w) : 0);
				});
			}
}

static void tests()
{
	test_dwconv();
	test_dwconv_bwd_x();
	test_dwconv_bwd_w();
	test_dwconv_long();
	test_maxpool();
	test_pool_stats();
	test_avgpool();
	test_pool_parts();
	test_gap();
}

int main(int argc, char **argv)
{
	return run(argc, argv, tests);
}
