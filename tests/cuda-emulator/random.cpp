/* random.cpp: a small generator for the order of threads and blocks. */
#include "emulator.h"

namespace emu {

uint64_t seed()
{
	static const uint64_t value = environment("SD_EMU_SEED", 0);

	return value;
}

/* PCG32 (O'Neill, "PCG: a family of simple fast space-efficient statistically good algorithms", 2014) */
static uint32_t next()
{
	static uint64_t state = (seed() + 1) * UINT64_C(0x9e3779b97f4a7c15);
	uint64_t old = state;
	uint32_t x = static_cast<uint32_t>(((old >> 18) ^ old) >> 27);
	uint32_t r = static_cast<uint32_t>(old >> 59);

	state = old * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return x >> r | x << (-r & 31);
}

uint32_t random_below(uint32_t n)
{
	return static_cast<uint32_t>(static_cast<uint64_t>(next()) * n >> 32);
}

}
