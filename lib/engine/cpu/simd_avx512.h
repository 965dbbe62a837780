/* simd_avx512.h: simd.h's block in one AVX-512 register. */
#ifndef SD_ENGINE_CPU_SIMD_AVX512_H
#define SD_ENGINE_CPU_SIMD_AVX512_H

#define SD_V16_REGS 32
#define SD_V16_PARTS 1
typedef __m512 v16;
typedef __m512i v16i;
typedef __mmask16 m16;
typedef struct { __m512d q[2]; } v16d;

SD_INLINE v16 v16_zero(void) { return _mm512_setzero_ps(); }
SD_INLINE v16 v16_set1(float x) { return _mm512_set1_ps(x); }
SD_INLINE v16 v16_load(const float *p) { return _mm512_loadu_ps(p); }
SD_INLINE void v16_store(float *p, v16 a) { _mm512_storeu_ps(p, a); }
/* The store goes around the caches, p a multiple of 64; v16_streamed() before other threads may read. */
SD_INLINE void v16_stream(float *p, v16 a) { _mm512_stream_ps(p, a); }
SD_INLINE void v16_streamed(void) { _mm_sfence(); }
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

/* The first 4 or 8 floats from p, four times or twice; and n lanes from lane `from` on, 0 in the others. */
SD_INLINE v16 v16_repeat(const float *p, int n)
{
	return n == 4 ? _mm512_broadcast_f32x4(_mm_loadu_ps(p)) : _mm512_broadcast_f32x8(_mm256_loadu_ps(p));
}
SD_INLINE v16 v16_lanes(v16 a, int from, int n)
{
	__m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);

	return _mm512_maskz_permutexvar_ps((__mmask16)((1u << n) - 1), _mm512_add_epi32(lane, _mm512_set1_epi32(from)), a);
}
/* a in lanes 0..n-1, b in the others. */
SD_INLINE v16 v16_join(v16 a, v16 b, int n) { return _mm512_mask_mov_ps(a, (__mmask16)(0xffffu << n), b); }

SD_INLINE m16 m16_or(m16 a, m16 b) { return (m16)(a | b); }
SD_INLINE m16 m16_and(m16 a, m16 b) { return (m16)(a & b); }

SD_INLINE v16i v16i_set1(int32_t x) { return _mm512_set1_epi32(x); }
SD_INLINE v16i v16i_add(v16i a, v16i b) { return _mm512_add_epi32(a, b); }
SD_INLINE v16i v16i_sub(v16i a, v16i b) { return _mm512_sub_epi32(a, b); }
SD_INLINE v16i v16i_shl23(v16i a) { return _mm512_slli_epi32(a, 23); }
SD_INLINE v16i v16i_sra23(v16i a) { return _mm512_srai_epi32(a, 23); }
SD_INLINE v16i v16i_sra1(v16i a) { return _mm512_srai_epi32(a, 1); }
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

#endif
