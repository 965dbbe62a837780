/* fingerprint.h: 64 bits that tell two contents of memory apart, at the speed of memory.
 *
 * Against accidents, not against people: artifacts are protected by SHA-256.  The numbers are part of what runs
 * record (train/trace.h), so the function is fixed.  With mix() the finaliser of splitmix64 (Steele, Lea, Flood:
 * "Fast splittable pseudorandom number generators", OOPSLA 2014) and K[k] the upper 32 bits of that generator's
 * k-th output from state 0, what lies there is cut into blocks of 64 words w[k] of 32 bits, the last
 * filled up with zeros; h is at first the number of bytes, and for each block
 *
 *     s = sum over k < 32 of (w[k] + K[k] mod 2^32) (w[k + 32] + K[k + 32] mod 2^32)   mod 2^64
 *     h = mix(h + s mod 2^64)
 *
 * (s is the NH of UMAC, RFC 4418.)  One changed word changes s unless its partner plus key happens to be 0. */
#ifndef SD_BASE_FINGERPRINT_H
#define SD_BASE_FINGERPRINT_H

#include <stddef.h>
#include <stdint.h>

uint64_t sd_fingerprint(const void *data, size_t bytes);
/* Of n numbers. */
uint64_t sd_fingerprint_u64(const uint64_t *v, size_t n);

#endif
