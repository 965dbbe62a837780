/* kernel_test.h: what tests of single kernels share: numbers, images, and runs under several orders of
 * threads.
 *
 * A program runs itself once for each of a few SD_EMU_SEEDs; each run checks all results against plain
 * loops, and all runs must have made the same bits. */
#ifndef SD_TESTS_KERNEL_TEST_H
#define SD_TESTS_KERNEL_TEST_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <string>
#include <vector>

#include "../unit/check.h"
#include "kernels/device.h"

namespace test {

/* ---- numbers ---- */

inline uint32_t word()
{
	static uint64_t state = 1;

	state = state * 6364136223846793005u + 1442695040888963407u;
	return static_cast<uint32_t>(state >> 32);
}
inline int below(int n) { return static_cast<int>(static_cast<uint64_t>(word()) * n >> 32); }
inline float uniform(float low = -1, float high = 1) { return low + (high - low) * (word() >> 8) * 0x1p-24f; }
inline std::vector<float> vector(size_t n, float low = -1, float high = 1)
{
	std::vector<float> v(n);

	for (float &x : v)
		x = uniform(low, high);
	return v;
}

inline bool close(double x, double y, double tolerance) { return fabs(x - y) <= tolerance * (1 + fabs(y)); }
/* The vectors must agree to a relative 1e-5, or whatever is said. */
inline void check_close(const char *what, const std::vector<float> &x, const std::vector<double> &y,
	double tolerance = 1e-5)
{
	size_t bad = 0;

	for (size_t i = 0; i < x.size(); i++)
		bad += !close(x[i], y[i], tolerance);
	CHECK(x.size() == y.size() && bad == 0, "%s: %zu of %zu differ", what, bad, x.size());
}
template <typename T> inline void check_equal(const char *what, const std::vector<T> &x,
	const std::vector<T> &y)
{
	CHECK(x.size() == y.size() && !memcmp(x.data(), y.data(), x.size() * sizeof(T)), "%s: other bits", what);
}

/* ---- runs ---- */

/* FNV-1a of all results */
inline uint64_t digest_value = 14695981039346656037u;
inline void digest(const void *p, size_t n)
{
	const unsigned char *b = static_cast<const unsigned char *>(p);

	for (size_t i = 0; i < n; i++)
		digest_value = (digest_value ^ b[i]) * 1099511628211u;
}
template <typename T> inline void digest(const std::vector<T> &v) { digest(v.data(), v.size() * sizeof(T)); }

/* All runs' memory: new pages for each would take longer than what is tested. */
inline std::vector<char> scratch(8 << 20, '\xff');
inline std::vector<unsigned> counters(SD_CU_COUNTERS);
/* A stream and scratch of which no byte is left over from before. */
struct Run {
	sd_cu_run r;

	Run() : r()
	{
		r.scratch = scratch.data();
		r.counters = counters.data();
	}
	~Run() { wipe(); }
	operator sd_cu_run *()
	{
		wipe();
		return &r;
	}
	void wipe()
	{
		memset(r.scratch, 0xff, r.peak < scratch.size() ? r.peak : scratch.size());
		r.used = 0;
	}
	/* Waits, and looks for errors. */
	void end()
	{
		cudaError_t e = cudaDeviceSynchronize();

		if (!e)
			e = cudaGetLastError();
		CHECK(!e, "%s", cudaGetErrorString(e));
		CHECK(r.peak <= scratch.size(), "%zu bytes of scratch", r.peak);
		CHECK(counters == std::vector<unsigned>(SD_CU_COUNTERS), "counters are not 0 again");
	}
};

/* ---- images ---- */

inline size_t element(sd_cu_type t) { return t == SD_CU_F32 ? 4 : 2; }
inline double rounding(sd_cu_type t) { return t == SD_CU_F32 ? 2e-6 : t == SD_CU_F16 ? 0x1p-10 : 0x1p-7; }

struct Shape {
	int n, c, h, w;
};

/* Where tests put images, and of which types they are. */
inline constexpr struct {
	int more, offset;
} places[] = {{0, 0}, {8, 0}, {5, 3}, {2, 2}, {4, 4}};
inline constexpr sd_cu_type types[] = {SD_CU_F32, SD_CU_BF16, SD_CU_F16};

/* Its memory ends with its last element, so that a sanitizer sees what goes beyond; it begins `offset`
 * elements behind an aligned address.  Elements between pixels hold a mark that must stay. */
struct Image {
	std::vector<unsigned char> memory;
	sd_cu_img m;

	Image(Shape s, sd_cu_type type, int more = 0, int offset = 0)
		: memory(((static_cast<size_t>(s.n) * s.h * s.w - 1) * (s.c + more) + s.c + offset) * element(type), 0x3c),
		  m{memory.data() + offset * element(type), s.n, s.c, s.h, s.w, s.c + more, type}
	{
	}
	Image(const Image &other) : memory(other.memory), m(other.m)
	{
		m.p = memory.data() + (static_cast<unsigned char *>(other.m.p) - other.memory.data());
	}
	unsigned char *at(int n, int c, int h, int w) const
	{
		return static_cast<unsigned char *>(m.p) +
			(((static_cast<size_t>(n) * m.h + h) * m.w + w) * m.ld + c) * element(m.type);
	}
	float get(int n, int c, int h, int w) const
	{
		const unsigned char *p = at(n, c, h, w);

		switch (m.type) {
		case SD_CU_BF16: return sd::to_float(*reinterpret_cast<const __nv_bfloat16 *>(p));
		case SD_CU_F16: return sd::to_float(*reinterpret_cast<const __half *>(p));
		default: return *reinterpret_cast<const float *>(p);
		}
	}
	void set(int n, int c, int h, int w, float v)
	{
		unsigned char *p = at(n, c, h, w);

		switch (m.type) {
		case SD_CU_BF16: *reinterpret_cast<__nv_bfloat16 *>(p) = sd::from_float<__nv_bfloat16>(v); break;
		case SD_CU_F16: *reinterpret_cast<__half *>(p) = sd::from_float<__half>(v); break;
		default: *reinterpret_cast<float *>(p) = v; break;
		}
	}
	template <typename F> void each(F f) const
	{
		for (int n = 0; n < m.n; n++)
			for (int h = 0; h < m.h; h++)
				for (int w = 0; w < m.w; w++)
					for (int c = 0; c < m.c; c++)
						f(n, c, h, w);
	}
	Image &fill()
	{
		each([&](int n, int c, int h, int w) { set(n, c, h, w, uniform(-2, 2)); });
		return *this;
	}
	bool marks() const
	{
		size_t size = element(m.type);
		bool whole = true;

		for (size_t i = 0; i < static_cast<size_t>(static_cast<unsigned char *>(m.p) - memory.data()); i++)
			whole = whole && memory[i] == 0x3c;
		for (size_t p = 0; p + 1 < static_cast<size_t>(m.n) * m.h * m.w; p++)
			for (size_t i = m.c * size; i < m.ld * size; i++)
				whole = whole && static_cast<unsigned char *>(m.p)[p * m.ld * size + i] == 0x3c;
		return whole;
	}
};

/* The same numbers in another place, of the first `samples` or of all. */
inline Image moved(const Image &x, int more, int offset, int samples = 0)
{
	Image y({samples ? samples : x.m.n, x.m.c, x.m.h, x.m.w}, x.m.type, more, offset);

	y.each([&](int n, int c, int h, int w) { y.set(n, c, h, w, x.get(n, c, h, w)); });
	return y;
}

/* Compares with f(n, c, h, w) in double, to the rounding of the type, and counts the bits. */
template <typename F> inline void check_image(const char *what, const Image &y, F f)
{
	size_t bad = 0;

	y.each([&](int n, int c, int h, int w) { bad += !close(y.get(n, c, h, w), f(n, c, h, w),
		rounding(y.m.type)); });
	CHECK(bad == 0, "%s: %zu elements differ (%d, %d, %d, %d), ld %d, type %d", what, bad, y.m.n, y.m.c, y.m.h,
		y.m.w, y.m.ld, y.m.type);
	CHECK(y.marks(), "%s: wrote beside the image", what);
	digest(y.memory);
}

/* A norm with its numbers. */
struct Norm {
	std::vector<float> mean, var, gamma, beta;
	bool affine;

	Norm(int c, bool affine)
		: mean(vector(c)), var(vector(c, 0.2f, 2)), gamma(vector(c)), beta(vector(c)), affine(affine)
	{
	}
	sd_cu_norm norm() const
	{
		return {mean.data(), var.data(), affine ? gamma.data() : NULL, affine ? beta.data() : NULL, 1e-3f};
	}
	double operator()(double x, int c) const
	{
		double y = (x - mean[c]) / sqrt(static_cast<double>(var[c]) + 1e-3f);

		return affine ? y * gamma[c] + beta[c] : y;
	}
};

/* An operand: image, perhaps norm, perhaps relu. */
struct Source {
	Image x;
	Norm norm;
	int kind; /* 0: raw, 1: relu, 2: norm, 3: affine norm and relu */

	Source(const Image &image, int kind) : x(image), norm(image.m.c, kind == 3), kind(kind) {}
	sd_cu_src src() const
	{
		sd_cu_src s = {x.m, {}, kind & 1};

		if (kind & 2)
			s.norm = norm.norm();
		return s;
	}
	double get(int n, int c, int h, int w) const
	{
		double v = x.get(n, c, h, w);

		if (kind & 2)
			v = norm(v, c);
		return kind & 1 && v < 0 ? 0 : v;
	}
};

/* ---- main ---- */

/* Runs the tests under a few seeds, each in a process of its own (with an argument: this is one). */
inline int run(int argc, char **argv, void (*tests)())
{
	static const char *const seeds[] = {"0", "1", "2", "77"};
	unsigned long long first = 0;

	if (argc > 1) {
		tests();
		printf("\ndigest %llx %d %d\n", static_cast<unsigned long long>(digest_value), check_passed, check_failed);
		return 0;
	}
	for (const char *seed : seeds) {
		std::string command = std::string("SD_EMU_SEED=") + seed + " '" + argv[0] + "' once", text;
		FILE *f = popen(command.c_str(), "r");
		unsigned long long value = 0;
		int passed = 0, failed = 0;
		size_t at;

		if (!f)
			return 1;
		for (int ch; (ch = getc(f)) != EOF;)
			text += static_cast<char>(ch);
		CHECK(pclose(f) == 0, "seed %s: the program ended with an error", seed);
		at = text.rfind("\ndigest ");
		CHECK(at != std::string::npos && sscanf(text.c_str() + at, " digest %llx %d %d", &value, &passed,
			&failed) == 3,
			"seed %s: no result", seed);
		fputs(text.substr(0, at).c_str(), stdout);
		check_passed += passed;
		check_failed += failed;
		if (seed == seeds[0])
			first = value;
		CHECK(value == first, "seed %s: other bits", seed);
	}
	return check_done();
}

}

#endif
