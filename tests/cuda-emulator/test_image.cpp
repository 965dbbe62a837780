/* test_image: image.cu and image_sum.cu against plain loops. */
#include "kernel_test.h"

using namespace test;

static const Shape shapes[] = {{2, 3, 5, 7}, {1, 16, 4, 4}, {3, 8, 6, 5}, {2, 36, 3, 3}, {1, 130, 4, 3}, {5,
	4, 9, 8},
	{3, 1, 1, 1}, {2, 6, 40, 41}};

/* f(shape, type, more, offset) for all of them */
template <typename F> static void all(F f)
{
	for (const Shape &s : shapes)
		for (sd_cu_type t : types)
			for (auto p : places)
				f(s, t, p.more, p.offset);
}

static void test_fill()
{
	all([](Shape s, sd_cu_type t, int more, int offset) {
		Image y(s, t, more, offset);
		Run r;

		sd_cu_fill(r, -1.5f, &y.m);
		r.end();
		check_image("fill", y, [](int, int, int, int) { return -1.5; });
	});
}

static void test_add()
{
	int round = 0;

	all([&](Shape s, sd_cu_type t, int more, int offset) {
		static const int counts[] = {1, 2, 3, 8};
		int n = counts[round % 4], acc = round / 4 % 2;
		std::vector<Source> x;
		std::vector<sd_cu_grad> src;
		Image y(s, t, more, offset);
		std::vector<float> m = vector(s.n, 0, 2);
		Run r;

		y.fill();
		for (int i = 0; i < n; i++) /* of all types, in all places */
			x.push_back(Source(Image(s, i % 3 == 2 ? SD_CU_F32 : t, i % 2 ? more : 0, i % 2 ? offset : 0).fill(),
				(round + i) % 4));
		for (const Source &i : x)
			src.push_back({i.src(), {}});
		src[0].back.f = m.data();
		Image before = y;
		sd_cu_dst to = {y.m, acc};

		sd_cu_add(r, n, src.data(), 0, nullptr, &to);
		r.end();
		check_image("add", y, [&](int b, int c, int h, int w) {
			double sum = acc ? before.get(b, c, h, w) : 0;

			for (const Source &i : x)
				sum += i.get(b, c, h, w) * (&i == &x[0] ? m[b] : 1);
			return sum;
		});
		round++;
	});
}

static void test_scale()
{
	int round = 0;

	all([&](Shape s, sd_cu_type t, int more, int offset) {
		int acc = round % 2, on = round / 2 % 2;
		Source x(Image(s, t, more, offset).fill(), round % 4);
		std::vector<float> f = vector(1), m = vector(s.n), bias = vector(s.c);
		float real_on = on ? 0.5f : 0;
		int32_t int_on = on;
		Image y(s, t, more, offset);
		y.fill();
		Image before = y, rows = y, biased = y, chosen = y, chosen_int = y;
		sd_cu_src src = x.src();
		sd_cu_dst to = {y.m, acc}, to_rows = {rows.m, acc}, to_chosen = {chosen.m, acc};
		sd_cu_dst to_int = {chosen_int.m, acc};
		Run r;
		auto old = [&](int b, int c, int h, int w) -> double { return acc ? before.get(b, c, h, w) : 0; };

		sd_cu_scale(r, &src, f.data(), &to);
		sd_cu_scale_rows(r, &src, m.data(), &to_rows);
		sd_cu_add_bias(r, bias.data(), &biased.m);
		sd_cu_select_image(r, sd_cu_on{&real_on, 0}, &x.x.m, &to_chosen);
		sd_cu_select_image(r, sd_cu_on{&int_on, 1}, &x.x.m, &to_int);
		r.end();
		check_image("scale", y, [&](int b, int c, int h, int w) {
			return old(b, c, h, w) + x.get(b, c, h, w) * f[0];
		});
		check_image("scale_rows", rows, [&](int b, int c, int h, int w) {
			return old(b, c, h, w) + x.get(b, c, h, w) * m[b];
		});
		check_image("add_bias", biased, [&](int b, int c, int h, int w) {
			return static_cast<double>(before.get(b, c, h, w)) + bias[c];
		});
		check_image("select_image", chosen, [&](int b, int c, int h, int w) {
			return old(b, c, h, w) + (on ? x.x.get(b, c, h, w) : 0);
		});
		check_image("select_image", chosen_int, [&](int b, int c, int h, int w) {
			return old(b, c, h, w) + (on ? x.x.get(b, c, h, w) : 0);
		});
		round++;
	});
}

/* What is off is 0 whatever was computed. */
static void test_select_nan()
{
	Image x(shapes[0], SD_CU_F32), y(shapes[0], SD_CU_F32);
	int32_t off = 0;
	sd_cu_dst to = {y.m, 0};
	Run r;

	x.each([&](int n, int c, int h, int w) { x.set(n, c, h, w, NAN); });
	sd_cu_select_image(r, sd_cu_on{&off, 1}, &x.m, &to);
	r.end();
	check_image("select_image", y, [](int, int, int, int) { return 0.0; });
}

static void test_sums()
{
	int round = 0;

	all([&](Shape s, sd_cu_type t, int more, int offset) {
		Source a(Image(s, t, more, offset).fill(), round % 4);
		Image b = Image(s, t, more, offset).fill(), packed(s, t);
		std::vector<float> sum(s.c), again(s.c), d(1);
		std::vector<double> want(s.c), dot(1);
		double size = 0;
		sd_cu_src src = a.src();
		Run r;

		b.each([&](int n, int c, int h, int w) {
			double x = b.get(n, c, h, w);

			want[c] += x;
			dot[0] += a.get(n, c, h, w) * x;
			size += fabs(a.get(n, c, h, w) * x);
			packed.set(n, c, h, w, b.get(n, c, h, w));
		});
		sd_cu_channel_sum(r, &b.m, sum.data());
		r.end();
		sd_cu_channel_sum(r, &packed.m, again.data());
		r.end();
		sd_cu_dot(r, &src, &b.m, d.data());
		r.end();
		check_close("channel_sum", sum, want, 1e-5 * sqrt(s.n * s.h * s.w));
		check_equal("channel_sum elsewhere", sum, again);
		CHECK(fabs(d[0] - dot[0]) <= 1e-6 * size + 1e-6, "dot: %g, not %g", d[0], dot[0]);
		digest(sum);
		digest(d);
		round++;
	});
}

static void test_import()
{
	int round = 0;

	all([&](Shape s, sd_cu_type t, int more, int offset) {
		int acc = round % 2;
		size_t count = static_cast<size_t>(s.n) * s.c * s.h * s.w;
		std::vector<float> rows = vector(count), back(count);
		Image y(s, t, more, offset);
		y.fill();
		Image before = y;
		sd_cu_dst to = {y.m, acc};
		auto index = [&](int n, int c, int h, int w) { return ((n * s.c + c) * s.h + h) * s.w + w; };
		Run r;

		sd_cu_import(r, rows.data(), &to);
		r.end();
		check_image("import", y, [&](int n, int c, int h, int w) -> double {
			return (acc ? before.get(n, c, h, w) : 0) + rows[index(n, c, h, w)];
		});
		Source x(y, round % 4);
		sd_cu_src src = x.src();
		std::vector<double> want(count);

		sd_cu_export(r, &src, back.data());
		r.end();
		x.x.each([&](int n, int c, int h, int w) { want[index(n, c, h, w)] = x.get(n, c, h, w); });
		check_close("export", back, want);
		digest(back);
		round++;
	});
}

/* More samples, channels or pixels than a grid may have blocks in its second and third dimension.  Launches are
 * captured, which checks them, and not run. */
static void test_grids()
{
	static const Shape shapes[] = {{70000, 3, 2, 2}, {1, 100000, 2, 2}, {2, 4, 3000, 3000}, {65536, 36, 32, 32}};
	struct sd_window win = {3, 3, 2, 2, 1, 1, 1, 1};
	cudaStream_t stream;
	static float any[4];

	CHECK(!cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream");
	for (Shape s : shapes) {
		Shape less = {s.n, s.c, (s.h + 1) / 2, (s.w + 1) / 2};
		auto image = [](Shape s) { return sd_cu_img{any, s.n, s.c, s.h, s.w, s.c, SD_CU_F32}; };
		sd_cu_img x = image(s), y = image(less);
		sd_cu_src src = {x, {}, 1};
		sd_cu_grad one = {src, {}}, less_one = {{y, {}, 0}, {}};
		sd_cu_dst to = {x, 0}, to_less = {y, 0};
		sd_cu_norm norm = {any, any, NULL, NULL, 1e-5f};
		cudaGraph_t graph = NULL;
		sd_cu_run r = {};

		r.stream = stream;
		CHECK(!cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "a capture");
#define TRY(call) do { \
		call; \
		cudaError_t e = cudaGetLastError(); \
		CHECK(!e, "%s, (%d, %d, %d, %d): %s", #call, s.n, s.c, s.h, s.w, cudaGetErrorString(e)); \
	} while (0)
		TRY(sd_cu_import(&r, any, &to));
		TRY(sd_cu_export(&r, &src, any));
		TRY(sd_cu_fill(&r, 1, &x));
		TRY(sd_cu_add(&r, 1, &one, 0, nullptr, &to));
		TRY(sd_cu_channel_sum(&r, &x, any));
		TRY(sd_cu_dot(&r, &src, &x, any));
		TRY(sd_cu_take_odd(&r, &src, 0, &y));
		TRY(sd_cu_put_odd(&r, &y, &y, &to));
		TRY(sd_cu_not_finite_image(&r, &x, NULL));
		TRY(sd_cu_load(&r, &src, &to));
		TRY(sd_cu_relu_bwd(&r, &src, &x, &to));
		TRY(sd_cu_bn_stats(&r, &src, any, any));
		TRY(sd_cu_norm_bwd_sums(&r, &x, &x, &norm, NULL, any, any));
		TRY(sd_cu_norm_bwd_x(&r, &x, &x, &norm, NULL, any, any, 1, &to));
		TRY(sd_cu_dwconv(&r, &src, any, win, &to_less));
		TRY(sd_cu_dwconv_bwd_x(&r, &y, any, win, &to, nullptr));
		TRY(sd_cu_dwconv_bwd_w(&r, &src, &y, win, any));
		TRY(sd_cu_maxpool(&r, &src, win, &to_less, nullptr, nullptr));
		TRY(sd_cu_maxpool_bwd(&r, &src, 1, &less_one, win, &to));
		TRY(sd_cu_avgpool(&r, &src, win, 0, &to_less, nullptr, nullptr));
		TRY(sd_cu_avgpool_bwd(&r, 1, &less_one, win, 0, &to));
		TRY(sd_cu_gap(&r, &src, any));
		TRY(sd_cu_gap_bwd(&r, any, &to));
#undef TRY
		CHECK(!cudaStreamEndCapture(stream, &graph), "the end of a capture");
		cudaGraphDestroy(graph);
	}
	cudaStreamDestroy(stream);
}

static void test_odd()
{
	int round = 0;

	all([&](Shape s, sd_cu_type t, int more, int offset) {
		Shape half = {s.n, s.c, (s.h + 1) / 2, (s.w + 1) / 2};
		int acc = round % 2;
		Source x(Image(s, t, more, offset).fill(), round % 4);
		sd_cu_src src = x.src();
		Image g0 = Image(half, t, more, offset).fill(), g1 = Image(half, t).fill();
		Image gx(s, t, more, offset);
		gx.fill();
		Image before = gx;
		sd_cu_dst to = {gx.m, acc};
		Run r;

		for (int odd = 0; odd < 2; odd++) {
			Image y(half, t, more, offset);

			sd_cu_take_odd(r, &src, odd, &y.m);
			r.end();
			check_image("take_odd", y, [&](int n, int c, int h, int w) {
				int i = 2 * h + odd, j = 2 * w + odd;

				return i < s.h && j < s.w ? x.get(n, c, i, j) : 0;
			});
		}
		sd_cu_put_odd(r, &g0.m, &g1.m, &to);
		r.end();
		check_image("put_odd", gx, [&](int n, int c, int h, int w) -> double {
			double v = acc ? before.get(n, c, h, w) : 0;

			return h % 2 != w % 2 ? v : v + (h % 2 ? g1 : g0).get(n, c, h / 2, w / 2);
		});
		round++;
	});
}

static void test_not_finite()
{
	int round = 0;

	all([&](Shape s, sd_cu_type t, int more, int offset) {
		Image x = Image(s, t, more, offset).fill();
		std::vector<float> rows = vector(1000 + s.c);
		std::vector<int32_t> out(2);
		Run r;

		sd_cu_not_finite_image(r, &x.m, &out[0]);
		sd_cu_not_finite(r, rows.data(), rows.size(), &out[1]);
		r.end();
		CHECK(!out[0] && !out[1], "finite numbers");
		x.set(below(s.n), below(s.c), below(s.h), below(s.w), round % 2 ? NAN : -INFINITY);
		rows[below(static_cast<int>(rows.size()))] = round % 2 ? INFINITY : NAN;
		sd_cu_not_finite_image(r, &x.m, &out[0]);
		sd_cu_not_finite(r, rows.data(), rows.size(), &out[1]);
		r.end();
		CHECK(out[0] == 1 && out[1] == 1, "numbers that are not finite");
		round++;
	});
}

static void test_rows()
{
	std::vector<float> x = vector(5000, -3, 3), kept = x, gone = x;
	std::vector<__nv_bfloat16> b(5000);
	std::vector<__half> h(5000);
	std::vector<float> f(5000);
	float on = 1, off = 0;
	size_t bad = 0;
	Run r;

	sd_cu_select(r, sd_cu_on{&on, 0}, kept.data(), kept.size());
	sd_cu_select(r, sd_cu_on{&off, 0}, gone.data(), gone.size() - 1);
	sd_cu_cast(r, x.data(), x.size(), SD_CU_BF16, b.data());
	sd_cu_cast(r, x.data(), x.size(), SD_CU_F16, h.data());
	sd_cu_cast(r, x.data(), x.size(), SD_CU_F32, f.data());
	r.end();
	check_equal("select", kept, x);
	CHECK(gone.back() == x.back(), "select: wrote behind the end");
	gone.pop_back();
	check_equal("select", gone, std::vector<float>(gone.size()));
	check_equal("cast", f, x);
	for (size_t i = 0; i < x.size(); i++) {
		bad += fabs(sd::to_float(b[i]) - x[i]) > fabs(x[i]) * 0x1p-8f;
		bad += fabs(sd::to_float(h[i]) - x[i]) > fabs(x[i]) * 0x1p-11f + 0x1p-25f;
	}
	CHECK(bad == 0, "cast: %zu differ", bad);
}

static void tests()
{
	test_fill();
	test_add();
	test_scale();
	test_select_nan();
	test_sums();
	test_import();
	test_grids();
	test_odd();
	test_not_finite();
	test_rows();
}

int main(int argc, char **argv)
{
	return run(argc, argv, tests);
}
