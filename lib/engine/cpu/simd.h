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

/* a > b ? a : b, and relu.  Not written so because compilers make a maximum instruction of it or not,
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
SD_INLINE float sd_reluf(float x) { return sd_maxf(0, x); }

/* ---- the block ---- */

#if defined(SD_ISA_AVX512)

#define SD_V16_REGS 32
typedef __m512 v16;
typedef __m512i v16i;
typedef __mmask16 m16;
typedef struct { __m512d q[2]; } v16d;

SD_INLINE v16 v16_zero(void) { return _mm512_setzero_ps(); }
SD_INLINE v16 v16_set1(float x) { return _mm512_set1_ps(x); }
SD_INLINE v16 v16_load(const float *p) { return _mm512_loadu_ps(p); }
SD_INLINE void v16_store(float *p, v16 a) { _mm512_storeu_ps(p, a); }
SD_INLINE v16 v16_load_n(const float *p, int n)
{
	return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
SD_INLINE void v16_store_n(float *p, v16 a, int n)
{
	_mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), a);
}
SD_INLINE v16 v16_add(v16 a, v16 b) { return _mm512_add_ps(a, b); }
SD_INLINE v16 v16_sub(v16 a, v16 b) { return _mm512_sub_ps(a, b); }
SD_INLINE v16 v16_mul(v16 a, v16 b) { return _mm512_mul_ps(a, b); }
SD_INLINE v16 v16_div(v16 a, v16 b) { return _mm512_div_ps(a, b); }
SD_INLINE v16 v16_fma(v16 a, v16 b, v16 c) { return _mm512_fmadd_ps(a, b, c); }
SD_INLINE v16 v16_sqrt(v16 a) { return _mm512_sqrt_ps(a); }
SD_INLINE v16 v16_max(v16 a, v16 b) { return _mm512_max_ps(a, b); }
SD_INLINE v16 v16_min(v16 a, v16 b) { return _mm512_min_ps(a, b); }
SD_INLINE m16 v16_gt(v16 a, v16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
SD_INLINE m16 v16_eq(v16 a, v16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
SD_INLINE m16 v16_isnan(v16 a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
SD_INLINE v16 v16_select(m16 m, v16 a, v16 b) { return _mm512_mask_mov_ps(b, m, a); }
SD_INLINE v16 v16_keep(m16 m, v16 a) { return _mm512_maskz_mov_ps(m, a); }

SD_INLINE m16 m16_or(m16 a, m16 b) { return (m16)(a | b); }
SD_INLINE m16 m16_and(m16 a, m16 b) { return (m16)(a & b); }

SD_INLINE v16i v16i_set1(int32_t x) { return _mm512_set1_epi32(x); }
SD_INLINE v16i v16i_load(const int32_t *p) { return _mm512_loadu_si512(p); }
SD_INLINE void v16i_store(int32_t *p, v16i a) { _mm512_storeu_si512(p, a); }
SD_INLINE v16i v16i_add(v16i a, v16i b) { return _mm512_add_epi32(a, b); }
SD_INLINE v16i v16i_sub(v16i a, v16i b) { return _mm512_sub_epi32(a, b); }
SD_INLINE v16i v16i_shl23(v16i a) { return _mm512_slli_epi32(a, 23); }
SD_INLINE v16i v16i_sra23(v16i a) { return _mm512_srai_epi32(a, 23); }
SD_INLINE v16i v16i_sra1(v16i a) { return _mm512_srai_epi32(a, 1); }
SD_INLINE m16 v16i_eq(v16i a, v16i b) { return _mm512_cmpeq_epi32_mask(a, b); }
SD_INLINE v16i v16i_select(m16 m, v16i a, v16i b) { return _mm512_mask_mov_epi32(b, m, a); }
SD_INLINE v16i v16_bits(v16 a) { return _mm512_castps_si512(a); }
SD_INLINE v16 v16_from_bits(v16i a) { return _mm512_castsi512_ps(a); }
SD_INLINE v16 v16_from_int(v16i a) { return _mm512_cvtepi32_ps(a); }

#define SD_V16D_OP(name, op) \
	SD_INLINE v16d name(v16d a, v16d b) \
	{ \
		return (v16d){{ op(a.q[0], b.q[0]), op(a.q[1], b.q[1]) }}; \
	}
SD_V16D_OP(v16d_add, _mm512_add_pd)
SD_V16D_OP(v16d_sub, _mm512_sub_pd)
SD_V16D_OP(v16d_mul, _mm512_mul_pd)
SD_V16D_OP(v16d_div, _mm512_div_pd)
SD_INLINE v16d v16d_set1(double x) { return (v16d){{ _mm512_set1_pd(x), _mm512_set1_pd(x) }}; }
SD_INLINE v16d v16d_load(const double *p)
{
	return (v16d){{ _mm512_loadu_pd(p), _mm512_loadu_pd(p + 8) }};
}
SD_INLINE void v16d_store(double *p, v16d a)
{
	_mm512_storeu_pd(p, a.q[0]);
	_mm512_storeu_pd(p + 8, a.q[1]);
}
SD_INLINE v16d v16d_from(v16 a)
{
	return (v16d){{ _mm512_cvtps_pd(_mm512_castps512_ps256(a)),
		_mm512_cvtps_pd(_mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1))) }};
}
SD_INLINE v16 v16_from_d(v16d a)
{
	return _mm512_castpd_ps(_mm512_insertf64x4(
		_mm512_castps_pd(_mm512_castps256_ps512(_mm512_cvtpd_ps(a.q[0]))),
		_mm256_castps_pd(_mm512_cvtpd_ps(a.q[1])), 1));
}

#elif defined(SD_ISA_AVX2)

#define SD_V16_REGS 8
typedef struct { __m256 q[2]; } v16;
typedef struct { __m256i q[2]; } v16i;
typedef struct { __m256 q[2]; } m16;
typedef struct { __m256d q[4]; } v16d;

#define SD_V16_OP1(name, type, op) \
	SD_INLINE type name(type a) { return (type){{ op(a.q[0]), op(a.q[1]) }}; }
#define SD_V16_OP2(name, type, op) \
	SD_INLINE type name(type a, type b) \
	{ \
		return (type){{ op(a.q[0], b.q[0]), op(a.q[1], b.q[1]) }}; \
	}
SD_INLINE v16 v16_zero(void) { return (v16){{ _mm256_setzero_ps(), _mm256_setzero_ps() }}; }
SD_INLINE v16 v16_set1(float x) { return (v16){{ _mm256_set1_ps(x), _mm256_set1_ps(x) }}; }
SD_INLINE v16 v16_load(const float *p) { return (v16){{ _mm256_loadu_ps(p), _mm256_loadu_ps(p + 8) }}; }
SD_INLINE void v16_store(float *p, v16 a)
{
	_mm256_storeu_ps(p, a.q[0]);
	_mm256_storeu_ps(p + 8, a.q[1]);
}
SD_V16_OP2(v16_add, v16, _mm256_add_ps)
SD_V16_OP2(v16_sub, v16, _mm256_sub_ps)
SD_V16_OP2(v16_mul, v16, _mm256_mul_ps)
SD_V16_OP2(v16_div, v16, _mm256_div_ps)
SD_V16_OP2(v16_max, v16, _mm256_max_ps)
SD_V16_OP2(v16_min, v16, _mm256_min_ps)
SD_V16_OP1(v16_sqrt, v16, _mm256_sqrt_ps)
SD_INLINE v16 v16_fma(v16 a, v16 b, v16 c)
{
	return (v16){{ _mm256_fmadd_ps(a.q[0], b.q[0], c.q[0]), _mm256_fmadd_ps(a.q[1], b.q[1], c.q[1]) }};
}
SD_INLINE m16 v16_gt(v16 a, v16 b)
{
	return (m16){{ _mm256_cmp_ps(a.q[0], b.q[0], _CMP_GT_OQ),
		_mm256_cmp_ps(a.q[1], b.q[1], _CMP_GT_OQ) }};
}
SD_INLINE m16 v16_eq(v16 a, v16 b)
{
	return (m16){{ _mm256_cmp_ps(a.q[0], b.q[0], _CMP_EQ_OQ),
		_mm256_cmp_ps(a.q[1], b.q[1], _CMP_EQ_OQ) }};
}
SD_INLINE m16 v16_isnan(v16 a)
{
	return (m16){{ _mm256_cmp_ps(a.q[0], a.q[0], _CMP_UNORD_Q),
		_mm256_cmp_ps(a.q[1], a.q[1], _CMP_UNORD_Q) }};
}
SD_INLINE v16 v16_select(m16 m, v16 a, v16 b)
{
	return (v16){{ _mm256_blendv_ps(b.q[0], a.q[0], m.q[0]), _mm256_blendv_ps(b.q[1], a.q[1], m.q[1]) }};
}
SD_INLINE v16 v16_keep(m16 m, v16 a)
{
	return (v16){{ _mm256_and_ps(m.q[0], a.q[0]), _mm256_and_ps(m.q[1], a.q[1]) }};
}

SD_V16_OP2(m16_or, m16, _mm256_or_ps)
SD_V16_OP2(m16_and, m16, _mm256_and_ps)

SD_INLINE v16i v16i_set1(int32_t x) { return (v16i){{ _mm256_set1_epi32(x), _mm256_set1_epi32(x) }}; }
SD_INLINE v16i v16i_load(const int32_t *p)
{
	return (v16i){{ _mm256_loadu_si256((const __m256i *)p),
		_mm256_loadu_si256((const __m256i *)(p + 8)) }};
}
SD_INLINE void v16i_store(int32_t *p, v16i a)
{
	_mm256_storeu_si256((__m256i *)p, a.q[0]);
	_mm256_storeu_si256((__m256i *)(p + 8), a.q[1]);
}
SD_V16_OP2(v16i_add, v16i, _mm256_add_epi32)
SD_V16_OP2(v16i_sub, v16i, _mm256_sub_epi32)
SD_INLINE v16i v16i_shl23(v16i a)
{
	return (v16i){{ _mm256_slli_epi32(a.q[0], 23), _mm256_slli_epi32(a.q[1], 23) }};
}
SD_INLINE v16i v16i_sra23(v16i a)
{
	return (v16i){{ _mm256_srai_epi32(a.q[0], 23), _mm256_srai_epi32(a.q[1], 23) }};
}
SD_INLINE v16i v16i_sra1(v16i a)
{
	return (v16i){{ _mm256_srai_epi32(a.q[0], 1), _mm256_srai_epi32(a.q[1], 1) }};
}
SD_INLINE m16 v16i_eq(v16i a, v16i b)
{
	return (m16){{ _mm256_castsi256_ps(_mm256_cmpeq_epi32(a.q[0], b.q[0])),
		_mm256_castsi256_ps(_mm256_cmpeq_epi32(a.q[1], b.q[1])) }};
}
SD_INLINE v16i v16_bits(v16 a)
{
	return (v16i){{ _mm256_castps_si256(a.q[0]), _mm256_castps_si256(a.q[1]) }};
}
SD_INLINE v16 v16_from_bits(v16i a)
{
	return (v16){{ _mm256_castsi256_ps(a.q[0]), _mm256_castsi256_ps(a.q[1]) }};
}
SD_INLINE v16i v16i_select(m16 m, v16i a, v16i b)
{
	return v16_bits(v16_select(m, v16_from_bits(a), v16_from_bits(b)));
}
SD_INLINE v16 v16_from_int(v16i a)
{
	return (v16){{ _mm256_cvtepi32_ps(a.q[0]), _mm256_cvtepi32_ps(a.q[1]) }};
}

#define SD_V16D_OP(name, op) \
	SD_INLINE v16d name(v16d a, v16d b) \
	{ \
		return (v16d){{ op(a.q[0], b.q[0]), op(a.q[1], b.q[1]), \
			op(a.q[2], b.q[2]), op(a.q[3], b.q[3]) }}; \
	}
SD_V16D_OP(v16d_add, _mm256_add_pd)
SD_V16D_OP(v16d_sub, _mm256_sub_pd)
SD_V16D_OP(v16d_mul, _mm256_mul_pd)
SD_V16D_OP(v16d_div, _mm256_div_pd)
SD_INLINE v16d v16d_set1(double x)
{
	__m256d v = _mm256_set1_pd(x);

	return (v16d){{ v, v, v, v }};
}
SD_INLINE v16d v16d_load(const double *p)
{
	return (v16d){{ _mm256_loadu_pd(p), _mm256_loadu_pd(p + 4), _mm256_loadu_pd(p + 8),
		_mm256_loadu_pd(p + 12) }};
}
SD_INLINE void v16d_store(double *p, v16d a)
{
	for (int i = 0; i < 4; i++)
		_mm256_storeu_pd(p + 4 * i, a.q[i]);
}
SD_INLINE v16d v16d_from(v16 a)
{
	return (v16d){{ _mm256_cvtps_pd(_mm256_castps256_ps128(a.q[0])),
		_mm256_cvtps_pd(_mm256_extractf128_ps(a.q[0], 1)),
		_mm256_cvtps_pd(_mm256_castps256_ps128(a.q[1])),
		_mm256_cvtps_pd(_mm256_extractf128_ps(a.q[1], 1)) }};
}
SD_INLINE v16 v16_from_d(v16d a)
{
	return (v16){{ _mm256_set_m128(_mm256_cvtpd_ps(a.q[1]), _mm256_cvtpd_ps(a.q[0])),
		_mm256_set_m128(_mm256_cvtpd_ps(a.q[3]), _mm256_cvtpd_ps(a.q[2])) }};
}

#else /* generic: 16-byte vectors in the compilers' own notation, which any processor can do */

#define SD_V16_REGS 4
typedef float sd_f4 __attribute__((vector_size(16)));
typedef int32_t sd_i4 __attribute__((vector_size(16)));
typedef double sd_d2 __attribute__((vector_size(16)));
typedef uint64_t sd_u2 __attribute__((vector_size(16)));
typedef struct { sd_f4 q[4]; } v16;
typedef struct { sd_i4 q[4]; } v16i;
typedef struct { sd_i4 q[4]; } m16;
typedef struct { sd_d2 q[8]; } v16d;

SD_INLINE sd_f4 sd_f4_set1(float x) { return (sd_f4){ x, x, x, x }; }
SD_INLINE sd_f4 sd_f4_select(sd_i4 m, sd_f4 a, sd_f4 b)
{
	return (sd_f4)((m & (sd_i4)a) | (~m & (sd_i4)b));
}
SD_INLINE sd_f4 sd_f4_max(sd_f4 a, sd_f4 b)
{
#if defined(__SSE2__)
	return (sd_f4)_mm_max_ps((__m128)a, (__m128)b);
#else
	return sd_f4_select((sd_i4)(a > b), a, b);
#endif
}
SD_INLINE sd_f4 sd_f4_min(sd_f4 a, sd_f4 b)
{
#if defined(__SSE2__)
	return (sd_f4)_mm_min_ps((__m128)a, (__m128)b);
#else
	return sd_f4_select((sd_i4)(a < b), a, b);
#endif
}
SD_INLINE sd_d2 sd_d2_low(sd_f4 a)
{
#if defined(__SSE2__)
	return (sd_d2)_mm_cvtps_pd((__m128)a);
#else
	return (sd_d2){ a[0], a[1] };
#endif
}
SD_INLINE sd_d2 sd_d2_high(sd_f4 a)
{
#if defined(__SSE2__)
	return (sd_d2)_mm_cvtps_pd(_mm_movehl_ps((__m128)a, (__m128)a));
#else
	return (sd_d2){ a[2], a[3] };
#endif
}
SD_INLINE sd_f4 sd_f4_from_d2(sd_d2 lo, sd_d2 hi)
{
#if defined(__SSE2__)
	return (sd_f4)_mm_movelh_ps(_mm_cvtpd_ps((__m128d)lo), _mm_cvtpd_ps((__m128d)hi));
#else
	return (sd_f4){ (float)lo[0], (float)lo[1], (float)hi[0], (float)hi[1] };
#endif
}
#if !defined(__FP_FAST_FMAF)
/* sd_fmaf's sum of an exact product and a float, before its last rounding. */
SD_INLINE sd_d2 sd_d2_sum_to_odd(sd_d2 p, sd_d2 c)
{
	const sd_u2 one = { 1, 1 }, size = { INT64_MAX, INT64_MAX };
	sd_d2 s = p + c, t = s - p, e = (p - (s - t)) + (c - t), z = { 0, 0 };
	sd_u2 cut = (sd_u2)(z < (sd_d2)((sd_u2)e & size));

	return (sd_d2)(((sd_u2)s - ((((sd_u2)s ^ (sd_u2)e) >> 63) & cut)) | (cut & one));
}
#endif

#define SD_V16_EACH(type, expr) \
	type r; \
	for (int i = 0; i < 4; i++) \
		r.q[i] = (expr); \
	return r
SD_INLINE v16 v16_set1(float x) { SD_V16_EACH(v16, sd_f4_set1(x)); }
SD_INLINE v16 v16_zero(void) { return v16_set1(0); }
SD_INLINE v16 v16_load(const float *p)
{
	v16 r;

	memcpy(&r, p, sizeof(r));
	return r;
}
SD_INLINE void v16_store(float *p, v16 a) { memcpy(p, &a, sizeof(a)); }
SD_INLINE v16 v16_add(v16 a, v16 b) { SD_V16_EACH(v16, a.q[i] + b.q[i]); }
SD_INLINE v16 v16_sub(v16 a, v16 b) { SD_V16_EACH(v16, a.q[i] - b.q[i]); }
SD_INLINE v16 v16_mul(v16 a, v16 b) { SD_V16_EACH(v16, a.q[i] * b.q[i]); }
SD_INLINE v16 v16_div(v16 a, v16 b) { SD_V16_EACH(v16, a.q[i] / b.q[i]); }
SD_INLINE v16 v16_max(v16 a, v16 b) { SD_V16_EACH(v16, sd_f4_max(a.q[i], b.q[i])); }
SD_INLINE v16 v16_min(v16 a, v16 b) { SD_V16_EACH(v16, sd_f4_min(a.q[i], b.q[i])); }
SD_INLINE v16 v16_fma(v16 a, v16 b, v16 c)
{
#if defined(__FP_FAST_FMAF)
	v16 r;

	for (int i = 0; i < 16; i++)
		r.q[i / 4][i % 4] = __builtin_fmaf(a.q[i / 4][i % 4], b.q[i / 4][i % 4], c.q[i / 4][i % 4]);
	return r;
#else
	SD_V16_EACH(v16, sd_f4_from_d2(
		sd_d2_sum_to_odd(sd_d2_low(a.q[i]) * sd_d2_low(b.q[i]), sd_d2_low(c.q[i])),
		sd_d2_sum_to_odd(sd_d2_high(a.q[i]) * sd_d2_high(b.q[i]), sd_d2_high(c.q[i]))));
#endif
}
SD_INLINE v16 v16_sqrt(v16 a)
{
	v16 r;

	for (int i = 0; i < 16; i++)
		r.q[i / 4][i % 4] = sqrtf(a.q[i / 4][i % 4]);
	return r;
}
SD_INLINE m16 v16_gt(v16 a, v16 b) { SD_V16_EACH(m16, (sd_i4)(a.q[i] > b.q[i])); }
SD_INLINE m16 v16_eq(v16 a, v16 b) { SD_V16_EACH(m16, (sd_i4)(a.q[i] == b.q[i])); }
SD_INLINE m16 v16_isnan(v16 a) { SD_V16_EACH(m16, (sd_i4)(a.q[i] != a.q[i])); }
SD_INLINE v16 v16_select(m16 m, v16 a, v16 b)
{
	SD_V16_EACH(v16, sd_f4_select(m.q[i], a.q[i], b.q[i]));
}
SD_INLINE v16 v16_keep(m16 m, v16 a) { SD_V16_EACH(v16, (sd_f4)(m.q[i] & (sd_i4)a.q[i])); }

SD_INLINE m16 m16_or(m16 a, m16 b) { SD_V16_EACH(m16, a.q[i] | b.q[i]); }
SD_INLINE m16 m16_and(m16 a, m16 b) { SD_V16_EACH(m16, a.q[i] & b.q[i]); }

SD_INLINE v16i v16i_set1(int32_t x) { SD_V16_EACH(v16i, ((sd_i4){ x, x, x, x })); }
SD_INLINE v16i v16i_load(const int32_t *p)
{
	v16i r;

	memcpy(&r, p, sizeof(r));
	return r;
}
SD_INLINE void v16i_store(int32_t *p, v16i a) { memcpy(p, &a, sizeof(a)); }
SD_INLINE v16i v16i_add(v16i a, v16i b) { SD_V16_EACH(v16i, a.q[i] + b.q[i]); }
SD_INLINE v16i v16i_sub(v16i a, v16i b) { SD_V16_EACH(v16i, a.q[i] - b.q[i]); }
SD_INLINE v16i v16i_shl23(v16i a) { SD_V16_EACH(v16i, a.q[i] << 23); }
SD_INLINE v16i v16i_sra23(v16i a) { SD_V16_EACH(v16i, a.q[i] >> 23); }
SD_INLINE v16i v16i_sra1(v16i a) { SD_V16_EACH(v16i, a.q[i] >> 1); }
SD_INLINE m16 v16i_eq(v16i a, v16i b) { SD_V16_EACH(m16, (sd_i4)(a.q[i] == b.q[i])); }
SD_INLINE v16i v16i_select(m16 m, v16i a, v16i b)
{
	SD_V16_EACH(v16i, (m.q[i] & a.q[i]) | (~m.q[i] & b.q[i]));
}
SD_INLINE v16i v16_bits(v16 a) { SD_V16_EACH(v16i, (sd_i4)a.q[i]); }
SD_INLINE v16 v16_from_bits(v16i a) { SD_V16_EACH(v16, (sd_f4)a.q[i]); }
SD_INLINE v16 v16_from_int(v16i a) { SD_V16_EACH(v16, __builtin_convertvector(a.q[i], sd_f4)); }

#define SD_V16D_OP(name, op) \
	SD_INLINE v16d name(v16d a, v16d b) \
	{ \
		for (int i = 0; i < 8; i++) \
			a.q[i] = a.q[i] op b.q[i]; \
		return a; \
	}
SD_V16D_OP(v16d_add, +)
SD_V16D_OP(v16d_sub, -)
SD_V16D_OP(v16d_mul, *)
SD_V16D_OP(v16d_div, /)
SD_INLINE v16d v16d_set1(double x)
{
	v16d r;

	for (int i = 0; i < 8; i++)
		r.q[i] = (sd_d2){ x, x };
	return r;
}
SD_INLINE v16d v16d_load(const double *p)
{
	v16d r;

	memcpy(&r, p, sizeof(r));
	return r;
}
SD_INLINE void v16d_store(double *p, v16d a) { memcpy(p, &a, sizeof(a)); }
SD_INLINE v16d v16d_from(v16 a)
{
	v16d r;

	for (int i = 0; i < 4; i++) {
		r.q[2 * i] = sd_d2_low(a.q[i]);
		r.q[2 * i + 1] = sd_d2_high(a.q[i]);
	}
	return r;
}
SD_INLINE v16 v16_from_d(v16d a) { SD_V16_EACH(v16, sd_f4_from_d2(a.q[2 * i], a.q[2 * i + 1])); }

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
