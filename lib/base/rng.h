/* rng.h: random numbers without state: Philox4x32-10 (Salmon et al., "Parallel random numbers: as
 * easy as 1, 2, 3", SC11, section 3.3).
 *
 * A draw is a pure function of (key, counter).  The key comes from the run's seed, a purpose and a
 * site; the counter is four words whose meaning the purpose fixes (the table below).  No draw
 * depends on a thread, a rank or a place in the batch, and none can disturb another. */
#ifndef SD_BASE_RNG_H
#define SD_BASE_RNG_H

#include <stdint.h>

#include "base/philox.h"

/* purpose      site               counter words
 * "init"       parameter name     element (low, high), 0, 0
 * "alpha"      parameter name     element (low, high), 0, 0
 * "split"      data set           sort key of sample: sample, 0, 0, 0      (train/validation, --limit)
 * "shuffle"    "train", "valid"   sort key of sample: sample, epoch, 0, 0
 * "valid"      "search"           which validation samples a step takes: draw, step, 0, 0
 * "augment"    "train"            sample, epoch, draw, 0
 * "augment"    "valid"            sample, global step, draw, 0
 * "droppath"   op site            step, sample, 0, 0
 * "dropout"    op site            step, time step, element, 0
 *
 * One block of words, one word, and uniform numbers of a word are in philox.h, for device code too. */

/* First 64 bits (little-endian words) of SHA-256 over: seed as 8 bytes little-endian, purpose,
 * a zero byte, site, a zero byte. */
struct sd_rng_key sd_rng_key(uint64_t seed, const char *purpose, const char *site);

/* Standard normal from two words (Box-Muller, first value), computed in double with own log and cos,
 * so that every libm gives the same bits. */
float sd_rng_normal(uint32_t word0, uint32_t word1);

/* ln(x) for 0 < x <= 1, the same bits with every libm. */
double sd_log_unit(double x);

/* Fills order[0..n) with a permutation of 0..n-1: the samples sorted by (word(key, sample, c1), sample). */
void sd_rng_permutation(struct sd_rng_key key, uint32_t c1, uint32_t n, uint32_t *order);

#endif
