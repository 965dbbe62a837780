/* cuda_bf16.h: a test double: the type __nv_bfloat16 and its conversions. */
#ifndef SD_EMU_CUDA_BF16_H
#define SD_EMU_CUDA_BF16_H

#include "cuda_runtime.h"
#include "emu/narrow.h"

#ifdef __cplusplus

struct __attribute__((aligned(2))) __nv_bfloat16 {
	unsigned short bits;

	__nv_bfloat16() = default;
	__nv_bfloat16(float x) : bits(sd_emu_to_bf16(x)) { }
	operator float() const { return sd_emu_from_bf16(bits); }
};
struct __attribute__((aligned(4))) __nv_bfloat162 {
	__nv_bfloat16 x, y;
};
typedef __nv_bfloat16 nv_bfloat16;
typedef __nv_bfloat162 nv_bfloat162;

inline float __bfloat162float(__nv_bfloat16 x) { return x; }
inline __nv_bfloat16 __float2bfloat16(float x) { return x; }
inline __nv_bfloat16 __float2bfloat16_rn(float x) { return x; }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits)
{
	__nv_bfloat16 x;

	x.bits = bits;
	return x;
}
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x) { return x.bits; }
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) { return __nv_bfloat162{x, y}; }
inline __nv_bfloat162 __float22bfloat162_rn(float2 v) { return __nv_bfloat162{v.x, v.y}; }
inline float2 __bfloat1622float2(__nv_bfloat162 v) { return float2{v.x, v.y}; }
inline float __low2float(__nv_bfloat162 v) { return v.x; }
inline float __high2float(__nv_bfloat162 v) { return v.y; }

#endif

#endif
