/* simd.h: a block of 16 lanes in three forms that give equal bits.
 *
 * SD_ISA_AVX512 holds a block in one register, SD_ISA_AVX2 in two, anything else in four pieces of
 * plain vector code with an exact software fma.  Every function here is one fixed sequence of IEEE
 * operations on each lane, the same in all forms, subnormals flushed or not (FTZ and DAZ act on each
 * operation alike); so a kernel written with them has one result.  NaNs stay NaNs, their payload is not
 * promised.  Files that use this are compiled with -ffp-contract=off.
 *
 *   v16   16 floats          v16i  16 int32
 *   m16   16 truth values    v16d  16 doubles
 *
 *   v16p  a part of a block, SD_V16_PARTS of which make one: what is worked on alone where a tile of whole blocks
 *         would not fit the registers
 *
 * SD_V16_REGS says how many blocks fit the registers: tiles may differ between the forms, the order
 * in which one element is summed may not. */
#ifndef SD_ENGINE_CPU_SIMD_H
#define SD_ENGINE_CPU_SIMD_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(SD_ISA_AVX512) || defined(SD_ISA_AVX2) || defined(__SSE2__)
#include <immintrin.h>
#endif

#define SD_INLINE static inline __attribute__((always_inline))

/* In front of a loop of at most n turns, to be unrolled whole. */
#define SD_PRAGMA_(x) _Pragma(#x)
#if defined(__clang__)
#define SD_UNROLL(n) SD_PRAGMA_(clang loop unroll(full))
#else
#define SD_UNROLL(n) SD_PRAGMA_(GCC unroll n)
#endif

/* ---- a * b + c, rounded once; scalar ---- */

#if defined(SD_ISA_AVX512) || defined(SD_ISA_AVX2)
SD_INLINE float sd_fmaf(float a, float b, float c)
{
	return _mm_cvtss_f32(_mm_fmadd_ss(_mm_set_ss(a), _mm_set_ss(b), _mm_set_ss(c)));
}
#elif defined(__FP_FAST_FMAF)
SD_INLINE float sd_fmaf(float a, float b, float c)
{
	return __builtin_fmaf(a, b, c);
}
#else
/* The product of two floats is exact in double.  The sum is rounded to odd (cut towards zero, the
 * last bit set if anything was cut), and what is then rounded to float is rounded as the exact sum
 * would be: Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums", 2008. */
SD_INLINE float sd_fmaf(float a, float b, float c)
{
	double p = (double)a * b, q = c, s = p + q, t = s - p, e = (p - (s - t)) + (q - t);
	uint64_t i, j, cut = (e > 0) | (e < 0); /* a NaN, of infinities, cuts nothing */

	memcpy(&i, &s, sizeof(i));
	memcpy(&j, &e, sizeof(j));
	i = (i - ((i ^ j) >> 63 & cut)) | cut;
	memcpy(&s, &i, sizeof(s));
	return (float)s;
}
#endif

/* a > b ? a : b.  Not written so because compilers make a maximum instruction of it or not,
 * and that one flushes a subnormal it returns; for the same reason take v16_max and v16_min, not a
 * v16_select of a v16_gt of the same two. */
SD_INLINE float sd_maxf(float a, float b)
{
#if defined(__SSE2__)
	return _mm_cvtss_f32(_mm_max_ss(_mm_set_ss(a), _mm_set_ss(b)));
#else
	return a > b ? a : b;
#endif
}

/* ---- the block ---- */

#if defined(SD_ISA_AVX512)
#include "engine/cpu/simd_avx512.h"
#elif defined(SD_ISA_AVX2)
#include "engine/cpu/simd_avx2.h"
#else
#include "engine/cpu/simd_generic.h"
#endif

#if SD_V16_PARTS == 1
typedef v16 v16p;

SD_INLINE v16p v16p_zero(void) { return v16_zero(); }
SD_INLINE v16p v16p_load(const float *p) { return v16_load(p); }
SD_INLINE void v16p_store(float *p, v16p a) { v16_store(p, a); }
SD_INLINE v16p v16p_add(v16p a, v16p b) { return v16_add(a, b); }
SD_INLINE v16p v16p_fma(v16p a, v16p b, v16p c) { return v16_fma(a, b, c); }
/* v16_keep of one part. */
SD_INLINE v16p v16p_keep(m16 m, int part, v16p a)
{
	(void)part;
	return v16_keep(m, a);
}
/* How many parts have any of m's first lanes. */
SD_INLINE int m16_parts(m16 m)
{
	(void)m;
	return 1;
}
#endif

#if !defined(SD_ISA_AVX512)
/* The first n lanes (0..16) from p, 0 in the others; and n lanes to p. */
SD_INLINE v16 v16_load_n(const float *p, int n)
{
	float t[16] = { 0 };

	for (int i = 0; i < n; i++)
		t[i] = p[i];
	return v16_load(t);
}
SD_INLINE void v16_store_n(float *p, v16 a, int n)
{
	float t[16];

	v16_store(t, a);
	for (int i = 0; i < n; i++)
		p[i] = t[i];
}
#endif

/* The mask of lanes 0..n-1: v16_keep(m16_first(n), x) is x there and 0 in the others. */
SD_INLINE m16 m16_first(int n)
{
	static const float lane[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

	return v16_gt(v16_set1((float)n), v16_load(lane));
}

/* All lanes from one float in memory. */
SD_INLINE v16 v16_bcast(const float *p) { return v16_set1(*p); }

/* v16_max(a, b) is a > b ? a : b, v16_min(a, b) a < b ? a : b: of a NaN and a number the second. */

/* 0 > x ? 0 : x: keeps NaN. */
SD_INLINE v16 v16_relu(v16 a) { return v16_max(v16_zero(), a); }

SD_INLINE v16d v16d_zero(void) { return v16d_set1(0); }

/* The lanes' sum by halves: lane i + lane i + 8, then + 4, + 2, + 1. */
SD_INLINE float v16_sum_halves(v16 a)
{
	float t[16];

	v16_store(t, a);
	for (int n = 8; n; n /= 2)
		for (int i = 0; i < n; i++)
			t[i] += t[i + n];
	return t[0];
}
SD_INLINE double v16d_sum_halves(v16d a)
{
	double t[16];

	v16d_store(t, a);
	for (int n = 8; n; n /= 2)
		for (int i = 0; i < n; i++)
			t[i] += t[i + n];
	return t[0];
}
/* The largest lane (a NaN may get lost: for shifting a softmax, whose sum then shows it). */
SD_INLINE float v16_max_lane(v16 a)
{
	float t[16], m;

	v16_store(t, a);
	m = t[0];
	for (int i = 1; i < 16; i++)
		m = sd_maxf(t[i], m);
	return m;
}

/* exp, within 1 ulp where the result is normal; 0 below that, infinity above.  Reduction by n ln 2
 * and the polynomial of Cephes' expf (Moshier 1992). */
SD_INLINE v16 v16_exp(v16 x)
{
	const v16 magic = v16_set1(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
	v16 c = v16_min(v16_set1(89), v16_max(v16_set1(-88), x)); /* NaN stays: the second is kept */
	v16 t = v16_fma(c, v16_set1(1.44269504f), magic);
	v16 n = v16_sub(t, magic);
	v16 r = v16_fma(n, v16_set1(2.12194440e-4f), v16_fma(n, v16_set1(-0.693359375f), c));
	v16 p = v16_set1(1.9875691500e-4f);
	v16i k = v16i_sub(v16_bits(t), v16_bits(magic)), k1 = v16i_sra1(k), bias = v16i_set1(127);

	p = v16_fma(p, r, v16_set1(1.3981999507e-3f));
	p = v16_fma(p, r, v16_set1(8.3334519073e-3f));
	p = v16_fma(p, r, v16_set1(4.1665795894e-2f));
	p = v16_fma(p, r, v16_set1(1.6666665459e-1f));
	p = v16_fma(p, r, v16_set1(5.0000001201e-1f));
	p = v16_add(v16_fma(p, v16_mul(r, r), r), v16_set1(1));
	/* times 2^k in two factors: 2^128 is none */
	p = v16_mul(p, v16_from_bits(v16i_shl23(v16i_add(k1, bias))));
	p = v16_mul(p, v16_from_bits(v16i_shl23(v16i_add(v16i_sub(k, k1), bias))));
	p = v16_select(v16_gt(x, v16_set1(88.7228394f)), v16_set1(INFINITY), p);
	return v16_select(v16_gt(v16_set1(-87.3365402f), x), v16_zero(), p);
}

/* log, within 1 ulp; -infinity for 0 and subnormals, NaN below.  Cephes' logf (Moshier 1992). */
SD_INLINE v16 v16_log(v16 x)
{
	const v16i half = v16i_set1(0x3f3504f3); /* sqrt(1/2): the mantissa is taken from there to sqrt 2 */
	v16i k = v16i_sra23(v16i_sub(v16_bits(x), half));
	v16 e = v16_from_int(k);
	v16 f = v16_sub(v16_from_bits(v16i_sub(v16_bits(x), v16i_shl23(k))), v16_set1(1));
	v16 z = v16_mul(f, f), p = v16_set1(7.0376836292e-2f);

	p = v16_fma(p, f, v16_set1(-1.1514610310e-1f));
	p = v16_fma(p, f, v16_set1(1.1676998740e-1f));
	p = v16_fma(p, f, v16_set1(-1.2420140846e-1f));
	p = v16_fma(p, f, v16_set1(1.4249322787e-1f));
	p = v16_fma(p, f, v16_set1(-1.6668057665e-1f));
	p = v16_fma(p, f, v16_set1(2.0000714765e-1f));
	p = v16_fma(p, f, v16_set1(-2.4999993993e-1f));
	p = v16_fma(p, f, v16_set1(3.3333331174e-1f));
	p = v16_mul(v16_mul(p, f), z);
	p = v16_fma(e, v16_set1(-2.12194440e-4f), p);
	p = v16_fma(v16_set1(-0.5f), z, p);
	p = v16_fma(e, v16_set1(0.693359375f), v16_add(f, p));
	p = v16_select(v16_gt(x, v16_set1(FLT_MAX)), x, p);
	p = v16_select(v16_gt(v16_set1(FLT_MIN), x), v16_set1(-INFINITY), p);
	p = v16_select(v16_gt(v16_zero(), x), v16_set1(NAN), p);
	return v16_select(v16_isnan(x), x, p);
}

/* The sum of n >= 1 blocks, `stride` floats apart, in order. */
SD_INLINE v16 v16_sum(const float *p, size_t stride, int n)
{
	v16 s = v16_load(p);

	for (int i = 1; i < n; i++)
		s = v16_add(s, v16_load(p + (size_t)i * stride));
	return s;
}

/* One number at a time, as a lane would have it. */
SD_INLINE float v16_first(v16 a)
{
	float t[16];

	v16_store(t, a);
	return t[0];
}
SD_INLINE float sd_expf(float x) { return v16_first(v16_exp(v16_set1(x))); }
SD_INLINE float sd_logf(float x) { return v16_first(v16_log(v16_set1(x))); }

#endif
