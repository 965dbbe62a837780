/* simd_avx2.h: simd.h's block in two AVX registers. */
#ifndef SD_ENGINE_CPU_SIMD_AVX2_H
#define SD_ENGINE_CPU_SIMD_AVX2_H

#define SD_V16_REGS 8
#define SD_V16_PARTS 2
typedef struct { __m256 q[2]; } v16;
typedef struct { __m256i q[2]; } v16i;
typedef struct { __m256 q[2]; } m16;
typedef struct { __m256d q[4]; } v16d;

typedef __m256 v16p;

SD_INLINE v16p v16p_zero(void) { return _mm256_setzero_ps(); }
SD_INLINE v16p v16p_load(const float *p) { return _mm256_loadu_ps(p); }
SD_INLINE void v16p_store(float *p, v16p a) { _mm256_storeu_ps(p, a); }
SD_INLINE v16p v16p_add(v16p a, v16p b) { return _mm256_add_ps(a, b); }
SD_INLINE v16p v16p_fma(v16p a, v16p b, v16p c) { return _mm256_fmadd_ps(a, b, c); }
SD_INLINE v16p v16p_keep(m16 m, int part, v16p a) { return _mm256_and_ps(m.q[part], a); }
/* How many parts have any of m's first lanes. */
SD_INLINE int m16_parts(m16 m) { return _mm256_movemask_ps(m.q[1]) ? 2 : 1; }

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
SD_INLINE void v16_stream(float *p, v16 a)
{
	_mm256_stream_ps(p, a.q[0]);
	_mm256_stream_ps(p + 8, a.q[1]);
}
SD_INLINE void v16_streamed(void) { _mm_sfence(); }
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

/* See simd_avx512.h; n is 8, and from 0 or 8. */
SD_INLINE v16 v16_repeat(const float *p, int n)
{
	(void)n;
	return (v16){{ _mm256_loadu_ps(p), _mm256_loadu_ps(p) }};
}
SD_INLINE v16 v16_lanes(v16 a, int from, int n)
{
	(void)n;
	return (v16){{ a.q[from / 8], _mm256_setzero_ps() }};
}
SD_INLINE v16 v16_join(v16 a, v16 b, int n)
{
	(void)n;
	return (v16){{ a.q[0], b.q[1] }};
}

SD_V16_OP2(m16_or, m16, _mm256_or_ps)
SD_V16_OP2(m16_and, m16, _mm256_and_ps)

SD_INLINE v16i v16i_set1(int32_t x) { return (v16i){{ _mm256_set1_epi32(x), _mm256_set1_epi32(x) }}; }
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
SD_INLINE v16i v16_bits(v16 a)
{
	return (v16i){{ _mm256_castps_si256(a.q[0]), _mm256_castps_si256(a.q[1]) }};
}
SD_INLINE v16 v16_from_bits(v16i a)
{
	return (v16){{ _mm256_castsi256_ps(a.q[0]), _mm256_castsi256_ps(a.q[1]) }};
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

#endif
