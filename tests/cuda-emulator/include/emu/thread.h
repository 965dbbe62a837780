/* thread.h: a thread's place, barriers, warp collectives and atomics. */
#ifndef SD_EMU_THREAD_H
#define SD_EMU_THREAD_H

#include <stdint.h>
#include <string.h>

#include "types.h"

/* Of the thread that runs. */
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
static const int warpSize = 32;

namespace emu {

/* Where in the source a barrier or collective stands, to tell one from another. */
struct site {
	const char *what, *file;
	int line;
};
/* The dynamic shared memory of the block that runs. */
void *dynamic_shared();
/* Waits for all threads of the block; returns how many gave `flag`. */
int block_barrier(site at, bool flag);
/* Waits for all lanes of the warp, after which `all` has what each of the 32 gave.  A mask that is not full,
 * lanes that have ended and lanes that wait elsewhere end the program with a message. */
const uint64_t *warp_exchange(site at, unsigned mask, uint64_t value);
/* The lane of the thread that runs. */
int lane();

template <typename T> inline uint64_t to_slot(T v)
{
	static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
	uint64_t s = 0;
	memcpy(&s, &v, sizeof(v));
	return s;
}
template <typename T> inline T from_slot(uint64_t s)
{
	T v;
	memcpy(&v, &s, sizeof(v));
	return v;
}

}

#define SD_EMU_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define SD_EMU_AT(what) emu::site{what, file, line}

inline void __syncthreads(SD_EMU_HERE) { emu::block_barrier(SD_EMU_AT("__syncthreads"), false); }
inline int __syncthreads_count(int p, SD_EMU_HERE)
{
	return emu::block_barrier(SD_EMU_AT("__syncthreads_count"), p);
}
inline int __syncthreads_or(int p, SD_EMU_HERE)
{
	return emu::block_barrier(SD_EMU_AT("__syncthreads_or"), p) != 0;
}
inline int __syncthreads_and(int p, SD_EMU_HERE)
{
	return emu::block_barrier(SD_EMU_AT("__syncthreads_and"), !p) == 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu, SD_EMU_HERE)
{
	emu::warp_exchange(SD_EMU_AT("__syncwarp"), mask, 0);
}
/* Threads take turns, so memory is always in order. */
inline void __threadfence() { }
inline void __threadfence_block() { }

/* A source outside the group of `width` lanes gives the lane's own value. */
template <typename T> inline T __shfl_sync(unsigned mask, T v, int from, int width = 32, SD_EMU_HERE)
{
	const uint64_t *all = emu::warp_exchange(SD_EMU_AT("__shfl_sync"), mask, emu::to_slot(v));
	int l = emu::lane();

	return emu::from_slot<T>(all[(l & ~(width - 1)) + (from & (width - 1))]);
}
template <typename T> inline T __shfl_up_sync(unsigned mask, T v, unsigned d, int width = 32, SD_EMU_HERE)
{
	const uint64_t *all = emu::warp_exchange(SD_EMU_AT("__shfl_up_sync"), mask, emu::to_slot(v));
	int l = emu::lane(), from = l - static_cast<int>(d);

	return emu::from_slot<T>(all[from < (l & ~(width - 1)) ? l : from]);
}
template <typename T> inline T __shfl_down_sync(unsigned mask, T v, unsigned d, int width = 32, SD_EMU_HERE)
{
	const uint64_t *all = emu::warp_exchange(SD_EMU_AT("__shfl_down_sync"), mask, emu::to_slot(v));
	int l = emu::lane(), from = l + static_cast<int>(d);

	return emu::from_slot<T>(all[from > (l | (width - 1)) ? l : from]);
}
template <typename T> inline T __shfl_xor_sync(unsigned mask, T v, int x, int width = 32, SD_EMU_HERE)
{
	const uint64_t *all = emu::warp_exchange(SD_EMU_AT("__shfl_xor_sync"), mask, emu::to_slot(v));
	int l = emu::lane(), from = l ^ x;

	return emu::from_slot<T>(all[from > (l | (width - 1)) ? l : from]);
}
inline unsigned __ballot_sync(unsigned mask, int p, SD_EMU_HERE)
{
	const uint64_t *all = emu::warp_exchange(SD_EMU_AT("__ballot_sync"), mask, p != 0);
	unsigned r = 0;

	for (int i = 0; i < 32; i++)
		r |= static_cast<unsigned>(all[i]) << i;
	return r;
}
inline int __any_sync(unsigned mask, int p, SD_EMU_HERE) { return __ballot_sync(mask, p, file, line) != 0; }
inline int __all_sync(unsigned mask, int p, SD_EMU_HERE)
{
	return __ballot_sync(mask, p, file, line) == 0xffffffffu;
}
inline unsigned __activemask() = delete;

#undef SD_EMU_HERE
#undef SD_EMU_AT

template <typename T> inline T __ldg(const T *p) { return *p; }

/* Atomics, on integers alone: sums of floats in any order would not repeat. */
#define SD_EMU_ATOMIC(T, name, next) \
	inline T name(T *p, T v) \
	{ \
		T old = *p; \
		*p = (next); \
		return old; \
	}
#define SD_EMU_ATOMICS(T) \
	SD_EMU_ATOMIC(T, atomicExch, v) \
	SD_EMU_ATOMIC(T, atomicMin, old < v ? old : v) \
	SD_EMU_ATOMIC(T, atomicMax, old > v ? old : v) \
	SD_EMU_ATOMIC(T, atomicAnd, old & v) \
	SD_EMU_ATOMIC(T, atomicOr, old | v) \
	SD_EMU_ATOMIC(T, atomicXor, old ^ v) \
	inline T atomicCAS(T *p, T is, T v) \
	{ \
		T old = *p; \
		if (old == is) \
			*p = v; \
		return old; \
	}
SD_EMU_ATOMICS(int)
SD_EMU_ATOMICS(unsigned)
SD_EMU_ATOMICS(unsigned long long)
SD_EMU_ATOMIC(unsigned, atomicAdd, old + v)
SD_EMU_ATOMIC(unsigned, atomicSub, old - v)
SD_EMU_ATOMIC(unsigned, atomicInc, old >= v ? 0 : old + 1)
SD_EMU_ATOMIC(unsigned, atomicDec, old == 0 || old > v ? v : old - 1)
SD_EMU_ATOMIC(unsigned long long, atomicAdd, old + v)
SD_EMU_ATOMIC(int, atomicAdd, static_cast<int>(static_cast<unsigned>(old) + static_cast<unsigned>(v)))
SD_EMU_ATOMIC(int, atomicSub, static_cast<int>(static_cast<unsigned>(old) - static_cast<unsigned>(v)))
#undef SD_EMU_ATOMICS
#undef SD_EMU_ATOMIC
float atomicAdd(float *, float) = delete;
double atomicAdd(double *, double) = delete;

#endif
