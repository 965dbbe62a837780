/* narrow_type.h: the two types of 16 bits and their conversions, which differ in name alone. */
#ifndef SD_EMU_NARROW_TYPE_H
#define SD_EMU_NARROW_TYPE_H

#include "cuda_runtime.h"
#include "emu/narrow.h"

/* Type T and pairs T2, called N and N2 in the names of functions and without the underscores. */
#define SD_EMU_NARROW_TYPE(T, T2, N, N2, to, from) \
	struct __attribute__((aligned(2))) T { \
		unsigned short bits; \
		T() = default; \
		T(float x) : bits(to(x)) { } \
		operator float() const { return from(bits); } \
	}; \
	struct __attribute__((aligned(4))) T2 { \
		T x, y; \
	}; \
	inline float __##N##2float(T x) { return x; } \
	inline T __float2##N(float x) { return x; } \
	inline T __float2##N##_rn(float x) { return x; } \
	inline T __ushort_as_##N(unsigned short bits) \
	{ \
		T x; \
		x.bits = bits; \
		return x; \
	} \
	inline unsigned short __##N##_as_ushort(T x) { return x.bits; } \
	inline T2 __floats2##N2##_rn(float x, float y) { return T2{x, y}; } \
	inline T2 __float22##N2##_rn(float2 v) { return T2{v.x, v.y}; } \
	inline float2 __##N2##2float2(T2 v) { return float2{v.x, v.y}; } \
	inline float __low2float(T2 v) { return v.x; } \
	inline float __high2float(T2 v) { return v.y; }

#endif
