/* cuda_fp16.h: a test double: the type __half and its conversions. */
#ifndef SD_EMU_CUDA_FP16_H
#define SD_EMU_CUDA_FP16_H

#include "cuda_runtime.h"
#include "emu/narrow.h"

#ifdef __cplusplus

struct __attribute__((aligned(2))) __half {
	unsigned short bits;

	__half() = default;
	__half(float x) : bits(sd_emu_to_f16(x)) { }
	operator float() const { return sd_emu_from_f16(bits); }
};
struct __attribute__((aligned(4))) __half2 {
	__half x, y;
};
typedef __half half;
typedef __half2 half2;

inline float __half2float(__half x) { return x; }
inline __half __float2half(float x) { return x; }
inline __half __float2half_rn(float x) { return x; }
inline __half __ushort_as_half(unsigned short bits)
{
	__half x;

	x.bits = bits;
	return x;
}
inline unsigned short __half_as_ushort(__half x) { return x.bits; }
inline __half2 __floats2half2_rn(float x, float y) { return __half2{x, y}; }
inline __half2 __float22half2_rn(float2 v) { return __half2{v.x, v.y}; }
inline float2 __half22float2(__half2 v) { return float2{v.x, v.y}; }
inline float __low2float(__half2 v) { return v.x; }
inline float __high2float(__half2 v) { return v.y; }

#endif

#endif
