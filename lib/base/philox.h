/* philox.h: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11, section
 * 3.3) and what is made of its words, for host and device. */
#ifndef SD_BASE_PHILOX_H
#define SD_BASE_PHILOX_H

#include <stdint.h>

#include "base/hd.h"

struct sd_rng_key {
	uint32_t k[2];
};

/* One Philox4x32-10 block.  The constants are those of the paper, and of the Weyl sequence of its keys. */
SD_HD static inline void sd_rng_block(struct sd_rng_key key, const uint32_t ctr[4], uint32_t out[4])
{
	uint32_t c0 = ctr[0], c1 = ctr[1], c2 = ctr[2], c3 = ctr[3];
	uint32_t k0 = key.k[0], k1 = key.k[1];

	for (int round = 0; round < 10; round++) {
		uint64_t p0 = (uint64_t)0xD2511F53u * c0;
		uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;

		c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
		c1 = (uint32_t)p1;
		c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
		c3 = (uint32_t)p0;
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	out[0] = c0;
	out[1] = c1;
	out[2] = c2;
	out[3] = c3;
}

/* The same with the counter's words given one by one; returns word 0 only. */
SD_HD static inline uint32_t sd_rng_word(struct sd_rng_key key, uint32_t c0, uint32_t c1, uint32_t c2,
	uint32_t c3)
{
	uint32_t ctr[4] = { c0, c1, c2, c3 }, out[4];

	sd_rng_block(key, ctr, out);
	return out[0];
}

/* Uniform in [0, 1): the upper 24 bits, exact in float32. */
SD_HD static inline float sd_rng_unit(uint32_t word)
{
	return (float)(word >> 8) * (1.0f / 16777216.0f);
}

/* Uniform integer in [0, n), 0 < n: multiply and shift, bias below n / 2^32. */
SD_HD static inline uint32_t sd_rng_below(uint32_t word, uint32_t n)
{
	return (uint32_t)(((uint64_t)word * n) >> 32);
}

#endif
