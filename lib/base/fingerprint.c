/* fingerprint.c: 64 bits that tell two contents of memory apart. */
#include "base/fingerprint.h"

#include <string.h>

enum { HALF = 32, BLOCK = 2 * HALF * 4 /* bytes */ };

static const uint32_t key[2 * HALF] = {
	0xe220a839, 0x6e789e6a, 0x06c45d18, 0xf88bb8a8, 0x1b39896a, 0x53cb9f0c, 0x2c829abe, 0xc584133a,
	0x3ee57890, 0xf3b8488c, 0x657eecdd, 0xc2d326e0, 0x8621a03f, 0x8e1f7555, 0xb54e0f16, 0x84bb3f97,
	0x7d29825c, 0xc3cf1710, 0x3466e9a0, 0xd81a8d2b, 0xdb01602b, 0xa9038a92, 0xedf5f1d9, 0x54496ad6,
	0xdd7c01d4, 0x935e82f1, 0x69b82ebc, 0x40d29eb5, 0xa2f09dab, 0xee521d7a, 0xf16952ee, 0x377d35de,
	0x0c7de806, 0x05582d37, 0xd254741f, 0x69630f75, 0x417ef961, 0x3c3c41a3, 0x6e19905d, 0x4fa9fa73,
	0x84eb4454, 0x134f7096, 0x07dc930b, 0x12c015a9, 0xcc06c316, 0xecee6563, 0x3e84ecb1, 0x690ed476,
	0x774615d7, 0x22b353f0, 0xe3ddd86b, 0xdf268ade, 0x2098eb73, 0x03d68453, 0xc952c562, 0x9b196bca,
	0x30260345, 0xcf448a58, 0xf4a578dc, 0xbfdeaed9, 0xed79402d, 0x55f070ab, 0x3e00a349, 0xe255b237,
};

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* Words of a block; plain loops that compilers turn into vector code. */
static uint64_t block_sum(const unsigned char *p)
{
	uint32_t w[2 * HALF];
	uint64_t s = 0;

	memcpy(w, p, sizeof(w));
	for (int k = 0; k < HALF; k++)
		s += (uint64_t)(uint32_t)(w[k] + key[k]) * (uint32_t)(w[k + HALF] + key[k + HALF]);
	return s;
}

uint64_t sd_fingerprint(const void *data, size_t bytes)
{
	const unsigned char *p = data;
	unsigned char rest[BLOCK] = { 0 };
	uint64_t h = bytes;
	size_t left = bytes;

	for (; left >= BLOCK; left -= BLOCK, p += BLOCK)
		h = mix(h + block_sum(p));
	if (left) {
		memcpy(rest, p, left);
		h = mix(h + block_sum(rest));
	}
	return h;
}

uint64_t sd_fingerprint_u64(const uint64_t *v, size_t n)
{
	return sd_fingerprint(v, n * sizeof(*v));
}
