/* types.h: the words of the CUDA language, and its vector types. */
#ifndef SD_EMU_TYPES_H
#define SD_EMU_TYPES_H

#include <stddef.h>
#include <stdint.h>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
/* One block runs at a time, so one instance is enough; the emulator fills it anew for each block.  It finds
 * it by its name, so shared variables are declared in the kernel itself and handed to what it calls.  `used`: others
 * write to it; a compiler that sees only 7 stored must not take what is not 0 for 7. */
#define __shared__ static __attribute__((used))
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(n) __attribute__((aligned(n)))
#ifndef __cplusplus
#define __restrict__ restrict
#endif

#define SD_EMU_VEC1(T, name) struct name##1 { T x; };
#define SD_EMU_VEC2(T, name) struct __attribute__((aligned(2 * sizeof(T)))) name##2 { T x, y; };
#define SD_EMU_VEC3(T, name) struct name##3 { T x, y, z; };
#define SD_EMU_VEC4(T, name, align) struct __attribute__((aligned(align))) name##4 { T x, y, z, w; };
#define SD_EMU_VEC(T, name) \
	SD_EMU_VEC1(T, name) \
	SD_EMU_VEC2(T, name) \
	SD_EMU_VEC3(T, name) \
	SD_EMU_VEC4(T, name, 4 * sizeof(T) > 16 ? 16 : 4 * sizeof(T)) \
	typedef struct name##1 name##1; \
	typedef struct name##2 name##2; \
	typedef struct name##3 name##3; \
	typedef struct name##4 name##4;

SD_EMU_VEC(signed char, char)
SD_EMU_VEC(unsigned char, uchar)
SD_EMU_VEC(short, short)
SD_EMU_VEC(unsigned short, ushort)
SD_EMU_VEC(int, int)
SD_EMU_VEC(unsigned, uint)
SD_EMU_VEC(long long, longlong)
SD_EMU_VEC(unsigned long long, ulonglong)
SD_EMU_VEC(float, float)
SD_EMU_VEC(double, double)

#ifdef __cplusplus
#define SD_EMU_MAKE(T, name) \
	inline name##1 make_##name##1(T x) { return name##1{x}; } \
	inline name##2 make_##name##2(T x, T y) { return name##2{x, y}; } \
	inline name##3 make_##name##3(T x, T y, T z) { return name##3{x, y, z}; } \
	inline name##4 make_##name##4(T x, T y, T z, T w) { return name##4{x, y, z, w}; }

SD_EMU_MAKE(signed char, char)
SD_EMU_MAKE(unsigned char, uchar)
SD_EMU_MAKE(short, short)
SD_EMU_MAKE(unsigned short, ushort)
SD_EMU_MAKE(int, int)
SD_EMU_MAKE(unsigned, uint)
SD_EMU_MAKE(long long, longlong)
SD_EMU_MAKE(unsigned long long, ulonglong)
SD_EMU_MAKE(float, float)
SD_EMU_MAKE(double, double)
#undef SD_EMU_MAKE

struct dim3 {
	unsigned x, y, z;
	constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) { }
	constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) { }
};
#else
struct dim3 {
	unsigned x, y, z;
};
#endif
typedef struct dim3 dim3;

#undef SD_EMU_VEC
#undef SD_EMU_VEC1
#undef SD_EMU_VEC2
#undef SD_EMU_VEC3
#undef SD_EMU_VEC4

#endif
