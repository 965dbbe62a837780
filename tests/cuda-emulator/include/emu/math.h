/* math.h: arithmetic of device code: what the C library has (sqrtf, fmaf, expf...) and what CUDA adds.  The
 * fast approximations (__expf, rsqrtf...) are left out: kernels must not use them. */
#ifndef SD_EMU_MATH_H
#define SD_EMU_MATH_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmath>

using std::isfinite;
using std::isinf;
using std::isnan;
using std::signbit;

/* min and max as device code has them: NaN is ignored; of mixed signs the unsigned type wins. */
#define SD_EMU_MINMAX(R, A, B) \
	inline R min(A a, B b) \
	{ \
		R x = static_cast<R>(a), y = static_cast<R>(b); \
		return x < y ? x : y; \
	} \
	inline R max(A a, B b) \
	{ \
		R x = static_cast<R>(a), y = static_cast<R>(b); \
		return x < y ? y : x; \
	}
SD_EMU_MINMAX(int, int, int)
SD_EMU_MINMAX(unsigned, unsigned, unsigned)
SD_EMU_MINMAX(unsigned, int, unsigned)
SD_EMU_MINMAX(unsigned, unsigned, int)
SD_EMU_MINMAX(long, long, long)
SD_EMU_MINMAX(unsigned long, unsigned long, unsigned long)
SD_EMU_MINMAX(unsigned long, long, unsigned long)
SD_EMU_MINMAX(unsigned long, unsigned long, long)
SD_EMU_MINMAX(long long, long long, long long)
SD_EMU_MINMAX(unsigned long long, unsigned long long, unsigned long long)
SD_EMU_MINMAX(unsigned long long, long long, unsigned long long)
SD_EMU_MINMAX(unsigned long long, unsigned long long, long long)
#undef SD_EMU_MINMAX
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
inline double min(float a, double b) { return fmin(a, b); }
inline double max(float a, double b) { return fmax(a, b); }
inline double min(double a, float b) { return fmin(a, b); }
inline double max(double a, float b) { return fmax(a, b); }

/* one rounding each, never contracted */
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __dsqrt_rn(double a) { return sqrt(a); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }

namespace emu {
template <typename T, typename S> inline T bits(S s)
{
	static_assert(sizeof(T) == sizeof(S), "another size");
	T t;
	memcpy(&t, &s, sizeof(t));
	return t;
}
/* A number as an integer of another type: NaN is 0, what does not fit is the nearest that does. */
template <typename I> inline I to_integer(double x, double low, double high)
{
	return x != x ? 0 : static_cast<I>(x < low ? low : x > high ? high : x);
}
}
inline int __float_as_int(float x) { return emu::bits<int>(x); }
inline unsigned __float_as_uint(float x) { return emu::bits<unsigned>(x); }
inline float __int_as_float(int x) { return emu::bits<float>(x); }
inline float __uint_as_float(unsigned x) { return emu::bits<float>(x); }
inline long long __double_as_longlong(double x) { return emu::bits<long long>(x); }
inline double __longlong_as_double(long long x) { return emu::bits<double>(x); }

inline int __float2int_rn(float x) { return emu::to_integer<int>(nearbyintf(x), -2147483648.0, 2147483647.0); }
inline int __float2int_rz(float x) { return emu::to_integer<int>(truncf(x), -2147483648.0, 2147483647.0); }
inline int __float2int_rd(float x) { return emu::to_integer<int>(floorf(x), -2147483648.0, 2147483647.0); }
inline unsigned __float2uint_rn(float x) { return emu::to_integer<unsigned>(nearbyintf(x), 0, 4294967295.0); }
inline unsigned __float2uint_rz(float x) { return emu::to_integer<unsigned>(truncf(x), 0, 4294967295.0); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __uint2float_rn(unsigned x) { return static_cast<float>(x); }
inline float __double2float_rn(double x) { return static_cast<float>(x); }
inline float __saturatef(float x) { return x != x ? 0.0f : x < 0.0f ? 0.0f : x > 1.0f ? 1.0f : x; }

inline unsigned __umulhi(unsigned a, unsigned b)
{
	return static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32);
}
inline int __mulhi(int a, int b) { return static_cast<int>(static_cast<int64_t>(a) * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
	return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(static_cast<unsigned long long>(x)) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __brev(unsigned x)
{
	unsigned r = 0;

	for (int i = 0; i < 32; i++)
		r |= (x >> i & 1) << (31 - i);
	return r;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned n)
{
	return static_cast<unsigned>(((static_cast<uint64_t>(high) << 32 | low) << (n & 31)) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned n)
{
	return static_cast<unsigned>((static_cast<uint64_t>(high) << 32 | low) >> (n & 31));
}

#endif
