/* simd_generic.h: simd.h's block in four 16-byte vectors, in the compilers' own notation, which any
 * processor can do. */
#ifndef SD_ENGINE_CPU_SIMD_GENERIC_H
#define SD_ENGINE_CPU_SIMD_GENERIC_H

#define SD_V16_REGS 4
#define SD_V16_PARTS 1
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
SD_INLINE void v16_stream(float *p, v16 a) { v16_store(p, a); }
SD_INLINE void v16_streamed(void) { }
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
SD_INLINE sd_f4 sd_f4_sqrt(sd_f4 a)
{
#if defined(__SSE2__)
	return (sd_f4)_mm_sqrt_ps((__m128)a);
#else
	return (sd_f4){ sqrtf(a[0]), sqrtf(a[1]), sqrtf(a[2]), sqrtf(a[3]) };
#endif
}
SD_INLINE v16 v16_sqrt(v16 a) { SD_V16_EACH(v16, sd_f4_sqrt(a.q[i])); }
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
SD_INLINE v16i v16i_add(v16i a, v16i b) { SD_V16_EACH(v16i, a.q[i] + b.q[i]); }
SD_INLINE v16i v16i_sub(v16i a, v16i b) { SD_V16_EACH(v16i, a.q[i] - b.q[i]); }
SD_INLINE v16i v16i_shl23(v16i a) { SD_V16_EACH(v16i, a.q[i] << 23); }
SD_INLINE v16i v16i_sra23(v16i a) { SD_V16_EACH(v16i, a.q[i] >> 23); }
SD_INLINE v16i v16i_sra1(v16i a) { SD_V16_EACH(v16i, a.q[i] >> 1); }
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
