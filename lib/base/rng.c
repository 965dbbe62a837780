/* rng.c: keys, and what takes more than a few words of Philox4x32-10 (philox.h).
 *
 * Everything here is integer arithmetic or IEEE double operations in a fixed order (no library
 * function but sqrt, which is exact), so every machine gets the same bits. */
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "base/str.h"

struct sd_rng_key sd_rng_key(uint64_t seed, const char *purpose, const char *site)
{
	uint8_t s[8], digest[SD_SHA256_LEN];
	struct sd_rng_key key;
	struct sd_sha256 h;

	for (int i = 0; i < 8; i++)
		s[i] = (uint8_t)(seed >> (8 * i));
	sd_sha256_init(&h);
	sd_sha256_update(&h, s, sizeof(s));
	sd_sha256_update(&h, purpose, strlen(purpose) + 1);
	sd_sha256_update(&h, site, strlen(site) + 1);
	sd_sha256_final(&h, digest);
	sd_sha256_release(&h);
	for (int i = 0; i < 2; i++)
		key.k[i] = (uint32_t)digest[4 * i] | (uint32_t)digest[4 * i + 1] << 8 |
			   (uint32_t)digest[4 * i + 2] << 16 | (uint32_t)digest[4 * i + 3] << 24;
	return key;
}

/* x = m * 2^e with m in [sqrt(1/2), sqrt(2)), ln m = 2 atanh((m - 1) / (m + 1)). */
double sd_log_unit(double x)
{
	static const double ln2 = 0x1.62e42fefa39efp-1;
	double m, s, z, sum = 0;
	int e;

	m = frexp(x, &e); /* exact */
	if (m < 0x1.6a09e667f3bcdp-1) {
		m *= 2;
		e--;
	}
	s = (m - 1) / (m + 1);
	z = s * s;
	for (int k = 23; k >= 3; k -= 2)
		sum = (sum + 1.0 / k) * z;
	return e * ln2 + 2 * (s + s * sum);
}

/* cos(2 pi w / 2^32): the octant from the upper three bits, the rest by Taylor's series on [0, pi/4]. */
static double cos_turn(uint32_t w)
{
	uint32_t octant = w >> 29, rest = w & 0x1fffffffu;
	double x, z, r;

	if (octant & 1)
		rest = 0x20000000u - rest;
	x = rest * (0x1.921fb54442d18p+2 * 0x1p-32);
	z = x * x;
	/* octants 0 3 4 7: the cosine of the angle to the nearest multiple of pi; 1 2 5 6: the sine of the
	 * angle to the nearest odd multiple of pi/2 */
	if (((octant + 1) >> 1) & 1) {
		r = 1;
		for (int k = 16; k >= 2; k -= 2)
			r = 1 - r * z / (k * (k + 1));
		r *= x;
	} else {
		r = 1;
		for (int k = 17; k >= 1; k -= 2)
			r = 1 - r * z / (k * (k + 1));
	}
	return octant >= 2 && octant <= 5 ? -r : r;
}

float sd_rng_normal(uint32_t word0, uint32_t word1)
{
	double u = (word0 + 0.5) * 0x1p-32; /* in (0, 1), exact */

	return (float)(sqrt(-2 * sd_log_unit(u)) * cos_turn(word1));
}

/* Radix sort of (word, sample), eight bits of the word at a time; each pass keeps the order of equals,
 * and it begins in the order of the samples. */
void sd_rng_permutation(struct sd_rng_key key, uint32_t c1, uint32_t n, uint32_t *order)
{
	uint64_t *a = sd_xmalloc((size_t)n * sizeof(*a)), *b = sd_xmalloc((size_t)n * sizeof(*b));

	for (uint32_t i = 0; i < n; i++)
		a[i] = (uint64_t)sd_rng_word(key, i, c1, 0, 0) << 32 | i;
	for (int shift = 32; shift < 64; shift += 8) {
		size_t count[257] = { 0 };
		uint64_t *t;

		for (uint32_t i = 0; i < n; i++)
			count[(a[i] >> shift & 255) + 1]++;
		for (int d = 0; d < 256; d++)
			count[d + 1] += count[d];
		for (uint32_t i = 0; i < n; i++)
			b[count[a[i] >> shift & 255]++] = a[i];
		t = a;
		a = b;
		b = t;
	}
	for (uint32_t i = 0; i < n; i++)
		order[i] = (uint32_t)a[i];
	free(a);
	free(b);
}
