/* test_autoaugment: every operation, level and sign on made images against digests of Pillow's bytes, and the
 * draws.  The reference's images and policies are compared in tests/golden. */
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "check.h"
#include "data/autoaugment.h"

/* A photo's stand-in: slopes, and noise in one corner. */
static void picture(int H, int W, uint8_t *image)
{
	uint32_t noise = 1;

	for (int c = 0; c < 3; c++)
		for (int y = 0; y < H; y++)
			for (int x = 0; x < W; x++) {
				int v = 40 + 3 * x + 2 * y * c + (x * y >> 3);

				noise = noise * 1664525u + 1013904223u;
				if (x > W / 2 && y < H / 2)
					v += (int)(noise >> 26);
				image[((size_t)c * H + y) * W + x] = (uint8_t)(v < 250 ? v : 250);
			}
}

static uint64_t hash(uint64_t h, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 1099511628211u;
	return h;
}

/* All levels and signs of each operation on images of three sizes; the digests (64 bits of Fowler, Noll and
 * Vo's) were made with Pillow 9.4. */
static void test_digests(void)
{
	static const int size[][2] = { { 32, 32 }, { 17, 40 }, { 1, 3 } };
	static const uint64_t want[SD_NAA_OP] = {
		0x2ee7833880d28130, 0xdd3de9d0b6e3c2ea, 0xbc2c32ecc3ee4434, 0x029719d7200953d6,
		0xf3e8fcc3e62ec409, 0x9d1ba301546bec4c, 0xd94953dd063bf9d9, 0xa8cb37b58d649f31,
		0x6b847512cf6bb1d2, 0x770c96b3445ca209, 0xed4c92512f110250, 0x2d4909349adc4e95,
		0x41c5c475001fa4a1, 0x642af3937f0b0225, 0x0aee010fbdc8d349,
	};
	uint8_t in[3 * 32 * 32], out[3 * 32 * 32];

	for (int op = 0; op < SD_NAA_OP; op++) {
		uint64_t h = 14695981039346656037u;

		for (int s = 0; s < 3; s++) {
			int H = size[s][0], W = size[s][1];

			picture(H, W, in);
			for (int level = 0; level < SD_AA_LEVELS; level++)
				for (int negative = 0; negative < 2; negative++) {
					sd_aa_apply(op, level, negative, H, W, in, out);
					h = hash(h, out, 3 * (size_t)H * W);
				}
		}
		CHECK(h == want[op], "%s gives 0x%016llx", sd_aa_op_name[op], (unsigned long long)h);
	}
}

/* Counts against probabilities, and the words against what the header says. */
static void test_draws(void)
{
	struct sd_rng_key key = sd_rng_key(3, "augment", "train");

	for (int policy = SD_AUTOAUGMENT_CIFAR10; policy < SD_NAUTOAUGMENT; policy++) {
		int n, bad = 0, count[95] = { 0 }, done[2] = { 0 }, negative[2] = { 0 }, draws = 95 * 400;
		double expected[2] = { 0 };
		const struct sd_aa_pair *pair = sd_autoaugment_pairs(policy, &n);

		for (int i = 0; i < draws; i++) {
			struct sd_aa_params p;
			uint32_t word[4];

			sd_rng_block(key, (uint32_t[]){ (uint32_t)i, 0, 2, 0 }, word);
			sd_autoaugment_draw(policy, word, &p);
			count[p.pair]++;
			for (int j = 0; j < 2; j++) {
				uint8_t tenths = pair[p.pair].step[j].tenths;

				expected[j] += tenths / 10.0;
				done[j] += p.done[j];
				negative[j] += p.negative[j];
				bad += p.done[j] != (word[1 + j] < tenths / 10.0 * 4294967296.0);
			}
			bad += p.pair != (int)sd_rng_below(word[0], (uint32_t)n);
			bad += p.negative[0] != (int)(word[3] >> 31);
			bad += p.negative[1] != (int)(word[3] >> 30 & 1);
		}
		CHECK(bad == 0, "policy %d: %d draws are not what the words say", policy, bad);
		for (int i = 0; i < n; i++)
			bad += abs(count[i] - draws / n) > draws / n / 2;
		CHECK(bad == 0, "policy %d: %d pairs are too rare or too frequent", policy, bad);
		for (int j = 0; j < 2; j++) {
			CHECK(abs(done[j] - (int)expected[j]) < draws / 50, "policy %d: %d done", policy, done[j]);
			CHECK(abs(negative[j] - draws / 2) < draws / 50, "policy %d: %d negative", policy,
			      negative[j]);
		}
	}
}

int main(void)
{
	test_digests();
	test_draws();
	return check_done();
}
