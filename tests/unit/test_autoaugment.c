/* test_autoaugment: every operation, level and sign against the reference's bytes, both policies, whole
 * pairs with the reference's draws, and, without its data, digests of the same on a made image. */
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "check.h"
#include "data/autoaugment.h"
#include "golden.h"

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

/* ---- the reference's numbers ---- */

/* Images of the file, (n, H, W, 3) there, as (n, 3, H, W) bytes to be freed. */
static uint8_t *golden_images(hid_t file, const char *path, int H, int W, int *n)
{
	int size;
	double *x = golden_numbers(file, path, &size);
	uint8_t *image = malloc(size ? (size_t)size : 1);
	size_t plane = (size_t)H * W;

	*n = (int)(size / (3 * plane));
	for (size_t i = 0; x && i < (size_t)*n; i++)
		for (size_t at = 0; at < plane; at++)
			for (size_t c = 0; c < 3; c++)
				image[(3 * i + c) * plane + at] = (uint8_t)x[3 * (i * plane + at) + c];
	free(x);
	return image;
}

static void check_op(hid_t file, int op, int negative, int H, int W, const uint8_t *image, int nimage)
{
	static const int all[SD_AA_LEVELS] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 }, some[2] = { 3, 8 };
	size_t bytes = 3 * (size_t)H * W;
	uint8_t *got = malloc(bytes), *want;
	char path[128];
	int n, bad = 0;

	snprintf(path, sizeof(path), "ops/%s", sd_aa_op_name[op]);
	if (H5Lexists(file, path, H5P_DEFAULT) <= 0) {
		CHECK(op == SD_AA_CUTOUT, "no %s", path);
		free(got);
		return;
	}
	snprintf(path, sizeof(path), "ops/%s/%s", sd_aa_op_name[op], negative ? "neg" : "pos");
	if (H5Lexists(file, path, H5P_DEFAULT) <= 0) {
		CHECK(negative, "no %s", path);
		free(got);
		return;
	}
	want = golden_images(file, path, H, W, &n);
	for (int i = 0; i < n; i++) {
		int level = (n / nimage == 2 ? some : all)[i / nimage];

		sd_aa_apply(op, level, negative, H, W, image + i % nimage * bytes, got);
		bad += memcmp(got, want + i * bytes, bytes) != 0;
	}
	CHECK(n > 0 && bad == 0, "%s: %d of %d images differ", path, bad, n);
	free(want);
	free(got);
}

static void check_ops(hid_t file, int H, int W)
{
	int n;
	uint8_t *image = golden_images(file, "images", H, W, &n);

	for (int op = 0; n && op < SD_NAA_OP; op++)
		for (int negative = 0; negative < 2; negative++)
			check_op(file, op, negative, H, W, image, n);
	CHECK(n > 0, "no images");
	free(image);
}

/* Strings of a dataset; *n of them, to be freed with the array. */
static char **golden_strings(hid_t file, const char *path, int *n)
{
	hid_t d = H5Dopen(file, path, H5P_DEFAULT), s = H5Dget_space(d), t = H5Dget_type(d);
	char **text;

	*n = (int)H5Sget_simple_extent_npoints(s);
	text = calloc(*n > 0 ? (size_t)*n : 1, sizeof(*text));
	if (*n < 1 || H5Dread(d, t, H5S_ALL, H5S_ALL, H5P_DEFAULT, text) < 0) {
		printf("cannot read %s\n", path);
		*n = 0;
	}
	H5Tclose(t);
	H5Sclose(s);
	H5Dclose(d);
	return text;
}

static void free_strings(char **text, int n)
{
	for (int i = 0; i < n; i++)
		H5free_memory(text[i]);
	free(text);
}

static void check_policy(hid_t file, enum sd_autoaugment policy, const char *name)
{
	int n, bad = 0;
	const struct sd_aa_pair *pair = sd_autoaugment_pairs(policy, &n);

	for (int j = 0; j < 2; j++) {
		char path[128];
		int nop, np, nlevel;
		char **op;
		double *p, *level;

		snprintf(path, sizeof(path), "policies/%s/op%d", name, j + 1);
		op = golden_strings(file, path, &nop);
		snprintf(path, sizeof(path), "policies/%s/p%d", name, j + 1);
		p = golden_numbers(file, path, &np);
		snprintf(path, sizeof(path), "policies/%s/mag%d", name, j + 1);
		level = golden_numbers(file, path, &nlevel);
		CHECK(nop == n && np == n && nlevel == n, "%s has %d pairs", name, nop);
		for (int i = 0; i < n && nop == n && np == n && nlevel == n; i++) {
			const struct sd_aa_step *step = &pair[i].step[j];

			bad += strcmp(op[i], sd_aa_op_name[step->op]) || p[i] != step->tenths / 10.0 ||
			       level[i] != step->level;
		}
		free_strings(op, nop);
		free(p);
		free(level);
	}
	CHECK(bad == 0, "%s: %d steps differ", name, bad);
}

/* Whole pairs: what the reference drew, in its order, decides what is done. */
static void check_runs(hid_t file)
{
	int nimage, nrun, n, bad = 0;
	size_t bytes = 3 * 32 * 32;
	uint8_t *image = golden_images(file, "images", 32, 32, &nimage), *got = malloc(bytes);
	uint8_t *want = golden_images(file, "subpolicy_runs/output", 32, 32, &nrun), *work = malloc(bytes);
	double *from = golden_numbers(file, "subpolicy_runs/image_index", &n);
	double *index = golden_numbers(file, "subpolicy_runs/policy_index", &n);
	double *trace = golden_numbers(file, "subpolicy_runs/random_trace", &n);
	char **name = golden_strings(file, "subpolicy_runs/policy", &n);

	CHECK(n == nrun && n > 0 && from && index && trace);
	for (int i = 0; i < n && n == nrun; i++) {
		int policy = strcmp(name[i], "CIFAR10Policy") ? SD_AUTOAUGMENT_IMAGENET
							      : SD_AUTOAUGMENT_CIFAR10, pairs;
		const struct sd_aa_pair *pair = sd_autoaugment_pairs(policy, &pairs) + (int)index[i];
		struct sd_aa_params p = { .pair = (int)index[i] };
		const double *draw = trace + 4 * i;

		for (int j = 0; j < 2; j++) {
			int op = pair->step[j].op;

			p.done[j] = *draw++ < pair->step[j].tenths / 10.0;
			if (p.done[j] && (op <= SD_AA_TRANSLATE_Y || op == SD_AA_COLOR ||
					  (op >= SD_AA_CONTRAST && op <= SD_AA_BRIGHTNESS)))
				p.negative[j] = *draw++ < 0;
		}
		memcpy(got, image + (int)from[i] * bytes, bytes);
		sd_autoaugment_apply(policy, &p, 32, 32, got, work);
		bad += memcmp(got, want + i * bytes, bytes) != 0;
	}
	CHECK(bad == 0, "%d of %d runs differ", bad, nrun);
	free_strings(name, n);
	free(from);
	free(index);
	free(trace);
	free(image);
	free(want);
	free(got);
	free(work);
}

int main(int argc, char **argv)
{
	hid_t file;

	test_digests();
	test_draws();
	file = golden_open(argc, argv, "autoaugment.h5");
	if (file >= 0) {
		check_ops(file, 32, 32);
		check_policy(file, SD_AUTOAUGMENT_CIFAR10, "CIFAR10Policy");
		check_policy(file, SD_AUTOAUGMENT_IMAGENET, "ImageNetPolicy");
		check_runs(file);
		H5Fclose(file);
	}
	file = golden_open(argc, argv, "autoaugment_41x56.h5");
	if (file >= 0) {
		check_ops(file, 41, 56);
		H5Fclose(file);
	}
	return check_done();
}
