/* rng.h: random numbers without state: Philox4x32-10 (Salmon et al., "Parallel random numbers: as
 * easy as 1, 2, 3", SC11, section 3.3).
 *
 * A draw is a pure function of (key, counter).  The key comes from the run's seed, a purpose and a
 * site; the counter is four words whose meaning the purpose fixes (the table below).  No draw
 * depends on a thread, a rank or a place in the batch, and none can disturb another. */
#ifndef SD_BASE_RNG_H
#define SD_BASE_RNG_H

#include <stdint.h>

/* purpose      site               counter words
 * "init"       parameter name     element (low, high), 0, 0
 * "alpha"      parameter name     element (low, high), 0, 0
 * "split"      data set           sort key of sample: sample, 0, 0, 0      (train/validation, --limit)
 * "shuffle"    "train", "valid"   sort key of sample: sample, epoch, 0, 0
 * "valid"      "search"           which validation samples a step takes: draw, step, 0, 0
 * "augment"    "train"            sample, epoch, draw, 0
 * "augment"    "valid"            sample, global step, draw, 0
 * "droppath"   op site            step, sample, 0, 0
 * "dropout"    op site            step, time step, element, 0 */
struct sd_rng_key {
	uint32_t k[2];
};

/* First 64 bits (little-endian words) of SHA-256 over: seed as 8 bytes little-endian, purpose,
 * a zero byte, site, a zero byte. */
struct sd_rng_key sd_rng_key(uint64_t seed, const char *purpose, const char *site);

/* One Philox4x32-10 block. */
void sd_rng_block(struct sd_rng_key key, const uint32_t ctr[4], uint32_t out[4]);

/* The same with the counter's words given one by one; returns word 0 only. */
uint32_t sd_rng_word(struct sd_rng_key key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3);

/* Uniform in [0, 1): the upper 24 bits, exact in float32. */
static inline float sd_rng_unit(uint32_t word)
{
	return (float)(word >> 8) * 0x1p-24f;
}

/* Uniform integer in [0, n), 0 < n: multiply and shift, bias below n / 2^32. */
static inline uint32_t sd_rng_below(uint32_t word, uint32_t n)
{
	return (uint32_t)(((uint64_t)word * n) >> 32);
}

/* Standard normal from two words (Box-Muller, first value), computed in double with own log and cos,
 * so that every libm gives the same bits. */
float sd_rng_normal(uint32_t word0, uint32_t word1);

/* Fills order[0..n) with a permutation of 0..n-1: the samples sorted by (word(key, sample, c1), sample). */
void sd_rng_permutation(struct sd_rng_key key, uint32_t c1, uint32_t n, uint32_t *order);

#endif
