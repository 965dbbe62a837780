/* test_data: data sets in memory, augmentation against the reference's masks and against plain loops, and
 * the loader.  Archives and readers are in test_archive.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "check.h"
#include "data/augment.h"
#include "data/dataset.h"
#include "data/loader.h"
#include "data/reader.h"

/* Images of noise; label and first pixel tell which one it is. */
static struct sd_dataset *noise(int C, int H, int W, uint32_t ntrain, uint32_t ntest)
{
	struct sd_dataset *ds = sd_dataset_new("noise", C, H, W, 10, (uint32_t[]){ ntrain, ntest });
	uint32_t x = 1;

	if (!ds) {
		printf("%s\n", sd_error_text());
		exit(2);
	}
	for (int s = 0; s < SD_NSPLIT; s++)
		for (uint32_t i = 0; i < ds->split[s].n; i++) {
			uint8_t *p = ds->split[s].images + (size_t)i * sd_dataset_image_bytes(ds);

			for (uint32_t j = 0; j < sd_dataset_image_bytes(ds); j++) {
				x = x * 1664525u + 1013904223u;
				p[j] = (uint8_t)(x >> 24);
			}
			p[0] = (uint8_t)i;
			ds->split[s].labels[i] = (int32_t)(i % 10);
			ds->split[s].source[i] = i;
		}
	for (int c = 0; c < C; c++) {
		ds->mean[c] = 0.4f + 0.1f * (float)c;
		ds->std[c] = 0.2f + 0.01f * (float)c;
	}
	ds->padding = H / 8;
	ds->mirror = 1;
	return ds;
}

static void test_dataset(void)
{
	struct sd_dataset *ds = noise(3, 5, 7, 100, 20);
	uint8_t first[105];

	sd_dataset_measure(ds);
	for (int c = 0; c < 3; c++) {
		double sum = 0, squares = 0, n = 100 * 35;

		for (uint32_t i = 0; i < 100; i++)
			for (int j = 0; j < 35; j++)
				sum += sd_dataset_image(ds, SD_SPLIT_TRAIN, i)[c * 35 + j] / 255.0;
		for (uint32_t i = 0; i < 100; i++)
			for (int j = 0; j < 35; j++) {
				double v = sd_dataset_image(ds, SD_SPLIT_TRAIN, i)[c * 35 + j] / 255.0;

				squares += (v - sum / n) * (v - sum / n);
			}
		CHECK(fabs(ds->computed_mean[c] - sum / n) < 1e-7, "mean %d", c);
		CHECK(fabs(ds->computed_std[c] - sqrt(squares / n)) < 1e-7, "std %d", c);
	}
	CHECK(sd_dataset_portion(50000, 0.5) == 25000);
	CHECK(sd_dataset_portion(5, 0.5) == 2);
	CHECK(sd_dataset_portion(7, 0) == 0 && sd_dataset_portion(7, 1) == 7);

	CHECK(sd_dataset_limit(ds, SD_SPLIT_TRAIN, 101, 1) == -1 && sd_error_kind() == SD_ERR_DATA);
	CHECK(sd_dataset_limit(ds, SD_SPLIT_TRAIN, 30, 1) == 0);
	CHECK(ds->split[SD_SPLIT_TRAIN].n == 30);
	int seen[100] = { 0 }, sorted = 1;
	for (uint32_t i = 0; i < 30; i++) {
		uint32_t from = ds->split[SD_SPLIT_TRAIN].source[i];

		CHECK(from < 100 && !seen[from]++, "source %u", from);
		CHECK(*sd_dataset_image(ds, SD_SPLIT_TRAIN, i) == from, "image %u", i);
		CHECK(ds->split[SD_SPLIT_TRAIN].labels[i] == (int32_t)(from % 10), "label %u", i);
		sorted &= !i || ds->split[SD_SPLIT_TRAIN].source[i - 1] < from;
	}
	CHECK(!sorted);
	/* the first 10 of 30 are the first 10: a smaller limit is a prefix of a larger one */
	memcpy(first, sd_dataset_image(ds, SD_SPLIT_TRAIN, 9), sizeof(first));
	sd_dataset_free(ds);
	ds = noise(3, 5, 7, 100, 20);
	CHECK(sd_dataset_limit(ds, SD_SPLIT_TRAIN, 10, 1) == 0);
	CHECK(!memcmp(first, sd_dataset_image(ds, SD_SPLIT_TRAIN, 9), sizeof(first)));
	sd_dataset_free(ds);

	CHECK(!sd_dataset_new("x", 5, 8, 8, 10, (uint32_t[]){ 1, 1 }));
	CHECK(!sd_dataset_new("x", 3, 0, 8, 10, (uint32_t[]){ 1, 1 }));
	CHECK(!sd_dataset_new("x", 3, 8, 8, 0, (uint32_t[]){ 1, 1 }));
	CHECK(!sd_dataset_new("x", 3, 8, 8, 10, (uint32_t[]){ UINT32_MAX, 1 }));
}

/* The transform as the reference writes it down, pixel by pixel. */
static void plain(const struct sd_augment *policy, const struct sd_augment_params *p,
		  const struct sd_dataset *ds, const uint8_t *in, float *out)
{
	int C = ds->C, H = ds->H, W = ds->W, half = policy->cutout_length / 2;

	for (int c = 0; c < C; c++)
		for (int y = 0; y < H; y++)
			for (int x = 0; x < W; x++) {
				int sx = p->mirror ? W - 1 - x : x;
				int fy = y + p->crop_y - policy->padding;
				int fx = sx + p->crop_x - policy->padding;
				int inside = fy >= 0 && fy < H && fx >= 0 && fx < W;
				float v = (float)(inside ? in[(c * H + fy) * W + fx] : 0) / 255.0f;

				v -= ds->mean[c];
				v /= ds->std[c];
				for (int i = 0; i < p->holes; i++)
					if (y >= p->hole_y[i] - half && y < p->hole_y[i] + half &&
					    x >= p->hole_x[i] - half && x < p->hole_x[i] + half)
						v = 0;
				out[(c * H + y) * W + x] = v;
			}
}

static void test_apply(void)
{
	static const int size[][3] = { { 3, 32, 32 }, { 1, 8, 8 }, { 1, 5, 9 }, { 4, 1, 1 } };

	for (int s = 0; s < 4; s++) {
		struct sd_dataset *ds = noise(size[s][0], size[s][1], size[s][2], 4, 1);
		struct sd_augment policy = { .padding = size[s][1] / 4 + 1, .mirror = 1 };
		struct sd_augment_params p;
		struct sd_augment_table table;
		size_t n = sd_dataset_image_bytes(ds);
		float *got = malloc(n * sizeof(*got)), *want = malloc(n * sizeof(*want));
		int bad = 0;

		sd_augment_table_init(&table, ds);
		for (uint32_t i = 0; i < 500; i++) {
			policy.cutout_length = (int)(i % 9);
			policy.cutout_holes = 1 + i % 2;
			sd_augment_draw(&policy, sd_augment_key(7, "train"), i, 3, ds->H, ds->W, &p);
			sd_augment_apply(&policy, &p, &table, ds->C, ds->H, ds->W,
					 sd_dataset_image(ds, SD_SPLIT_TRAIN, i % 4), NULL, got);
			plain(&policy, &p, ds, sd_dataset_image(ds, SD_SPLIT_TRAIN, i % 4), want);
			bad += memcmp(got, want, n * sizeof(*got)) != 0;
		}
		CHECK(bad == 0, "size %d: %d of 500 differ", s, bad);

		/* nothing but normalisation */
		policy = (struct sd_augment){ 0 };
		sd_augment_draw(&policy, sd_augment_key(7, "train"), 1, 3, ds->H, ds->W, &p);
		sd_augment_apply(&policy, &p, &table, ds->C, ds->H, ds->W,
				 sd_dataset_image(ds, SD_SPLIT_TRAIN, 1), NULL, got);
		p = (struct sd_augment_params){ 0 };
		plain(&policy, &p, ds, sd_dataset_image(ds, SD_SPLIT_TRAIN, 1), want);
		CHECK(!memcmp(got, want, n * sizeof(*got)), "plain transform, size %d", s);
		free(got);
		free(want);
		sd_dataset_free(ds);
	}
}

/* AutoAugment comes after crop and mirror, whose padding is then grey, and before the rest. */
static void test_autoaugment(void)
{
	enum { H = 9, W = 12, N = 3 * H * W };
	struct sd_dataset *ds = noise(3, H, W, 4, 1);
	struct sd_augment policy = { .padding = 14, .mirror = 1, .cutout_length = 4 };
	struct sd_augment_params p, q;
	struct sd_augment_table table;
	uint8_t bytes[N], work[2 * N];
	float got[N];
	int bad = 0;

	sd_augment_table_init(&table, ds);
	for (uint32_t i = 0; i < 2000; i++) {
		const uint8_t *in = sd_dataset_image(ds, SD_SPLIT_TRAIN, i % 4);

		policy.autoaugment = SD_AUTOAUGMENT_NONE;
		sd_augment_draw(&policy, sd_augment_key(7, "train"), i, 3, H, W, &q);
		policy.autoaugment = i % 2 ? SD_AUTOAUGMENT_CIFAR10 : SD_AUTOAUGMENT_IMAGENET;
		sd_augment_draw(&policy, sd_augment_key(7, "train"), i, 3, H, W, &p);
		bad += p.crop_y != q.crop_y || p.crop_x != q.crop_x || p.mirror != q.mirror ||
		       p.hole_y[0] != q.hole_y[0] || p.hole_x[0] != q.hole_x[0];
		for (int j = 0; j < N; j++) {
			int x = p.mirror ? W - 1 - j % W : j % W;
			int fy = j / W % H + p.crop_y - policy.padding, fx = x + p.crop_x - policy.padding;

			bytes[j] = fy < 0 || fy >= H || fx < 0 || fx >= W
				? 128 : in[(j / (H * W) * H + fy) * W + fx];
		}
		sd_autoaugment_apply(policy.autoaugment, &p.autoaugment, H, W, bytes, work);
		sd_augment_apply(&policy, &p, &table, 3, H, W, in, work, got);
		for (int j = 0; j < N; j++) {
			int y = j / W % H - p.hole_y[0], x = j % W - p.hole_x[0];
			int hole = y >= -2 && y < 2 && x >= -2 && x < 2;

			bad += got[j] != (hole ? 0 : table.value[j / (H * W)][bytes[j]]);
		}
	}
	CHECK(bad == 0, "%d differ", bad);
	sd_dataset_free(ds);

	ds = noise(1, H, W, 4, 1);
	struct sd_loader_options o = { .batch = 1, .policy = policy, .site = "train" };
	CHECK(!sd_loader_new(ds, &o) && sd_error_kind() == SD_ERR_USAGE);
	sd_dataset_free(ds);
}

static void test_draw(void)
{
	struct sd_augment policy = { .padding = 4, .mirror = 1, .cutout_length = 16, .cutout_holes = 2 };
	struct sd_rng_key key = sd_augment_key(3, "train");
	struct sd_augment_params p, q;
	int crop[2][9] = { { 0 } }, hole[2][32] = { { 0 } }, mirrored = 0, n = 20000, far = 0;
	uint32_t word[4];

	for (int i = 0; i < n; i++) {
		sd_augment_draw(&policy, key, (uint32_t)i, 5, 32, 32, &p);
		crop[0][p.crop_y]++;
		crop[1][p.crop_x]++;
		hole[0][p.hole_y[0]]++;
		hole[1][p.hole_x[1]]++;
		mirrored += p.mirror;
	}
	/* six standard deviations of a binomial count */
	for (int k = 0; k < 2; k++) {
		for (int i = 0; i < 9; i++)
			far += fabs(crop[k][i] - n / 9.0) > 6 * sqrt(n * 8 / 81.0);
		for (int i = 0; i < 32; i++)
			far += fabs(hole[k][i] - n / 32.0) > 6 * sqrt(n * 31 / 1024.0);
	}
	CHECK(far == 0, "%d counts are too far from their mean", far);
	CHECK(abs(mirrored - n / 2) < 6 * sqrt(n / 4.0), "%d mirrored", mirrored);

	/* the words that the header promises */
	sd_augment_draw(&policy, key, 11, 5, 32, 32, &p);
	sd_rng_block(key, (uint32_t[]){ 11, 5, SD_BLOCK_CROP_MIRROR, 0 }, word);
	CHECK(p.crop_y == (int)sd_rng_below(word[0], 9) && p.crop_x == (int)sd_rng_below(word[1], 9));
	CHECK(p.mirror == (int)(word[2] >> 31));
	sd_rng_block(key, (uint32_t[]){ 11, 5, SD_BLOCK_CUTOUT, 0 }, word);
	for (int i = 0; i < 2; i++)
		CHECK(p.hole_y[i] == (int)(word[2 * i] >> 27) && p.hole_x[i] == (int)(word[2 * i + 1] >> 27));

	/* one kind of draw leaves the others alone */
	policy.cutout_length = 0;
	sd_augment_draw(&policy, key, 11, 5, 32, 32, &q);
	CHECK(q.holes == 0 && q.crop_y == p.crop_y && q.crop_x == p.crop_x && q.mirror == p.mirror);
	policy.mirror = 0;
	sd_augment_draw(&policy, key, 11, 5, 32, 32, &q);
	CHECK(!q.mirror && q.crop_y == p.crop_y && q.crop_x == p.crop_x);
}

/* The eraser's draws, and that its noise fills the box of every channel and nothing else. */
static void test_eraser(void)
{
	enum { H = 20, W = 30, N = 6000 };
	struct sd_augment policy = { .eraser = 1 };
	struct sd_rng_key key = sd_augment_key(3, "train");
	struct sd_augment_params p;
	struct sd_augment_table table = { { { 0 } } };
	uint8_t in[3 * H * W] = { 0 };
	float out[3 * H * W], again[3 * H * W];
	uint32_t word[4];
	int done = 0, outside = 0, missing = 0, full = 0;
	double sum = 0, count = 0;

	for (uint32_t i = 0; i < N; i++) {
		sd_augment_draw(&policy, key, i, 5, H, W, &p);
		sd_rng_block(key, (uint32_t[]){ i, 5, SD_BLOCK_ERASER, 0 }, word);
		int erased = !(word[0] * 0x1p-32 > 0.66);
		CHECK(erased || (!p.box_h && !p.box_w), "image %u", i);
		done += erased;
		CHECK(p.box_y + p.box_h <= H && p.box_x + p.box_w <= W, "image %u", i);
		full += p.box_h * p.box_w > 0.4 * H * W;
		if (i >= 300)
			continue;
		sd_augment_apply(&policy, &p, &table, 3, H, W, in, NULL, out);
		for (int k = 0; k < 3 * H * W; k++) {
			int y = k / W % H - p.box_y, x = k % W - p.box_x;
			int inside = y >= 0 && y < p.box_h && x >= 0 && x < p.box_w;

			outside += !inside && out[k] != 0;
			missing += inside && !(out[k] > 0 && out[k] < 255);
			sum += out[k];
			count += inside;
		}
	}
	CHECK(abs(done - (int)(0.66 * N)) < 6 * sqrt(N * 0.66 * 0.34), "%d of %d erased", done, N);
	CHECK(full == 0, "%d boxes are too large", full);
	CHECK(outside == 0 && missing <= 1, "%d pixels outside, %d inside missing", outside, missing);
	CHECK(fabs(sum / count - 127.5) < 6 * 73.6 / sqrt(count), "mean %g", sum / count);

	/* by seed, epoch and image alone */
	sd_augment_draw(&policy, key, 0, 5, H, W, &p);
	for (uint32_t i = 0; !p.box_h; i++)
		sd_augment_draw(&policy, key, i, 5, H, W, &p);
	sd_augment_apply(&policy, &p, &table, 3, H, W, in, NULL, out);
	sd_augment_draw(&policy, key, p.sample, 5, H, W, &p);
	sd_augment_apply(&policy, &p, &table, 3, H, W, in, NULL, again);
	CHECK(!memcmp(out, again, sizeof(out)));
	p.when++;
	sd_augment_apply(&policy, &p, &table, 3, H, W, in, NULL, again);
	CHECK(memcmp(out, again, sizeof(out)), "another epoch, the same noise");

	/* a hole is cut into it afterwards */
	p.holes = 1;
	policy.cutout_length = 2 * W;
	sd_augment_apply(&policy, &p, &table, 3, H, W, in, NULL, out);
	for (int k = 0; k < 3 * H * W; k++)
		outside += k % W < W / 2 && out[k] != 0;
	CHECK(outside == 0, "%d pixels are left in a hole", outside);
}

/* ---- the loader ---- */

static struct sd_loader *loader(const struct sd_dataset *ds, struct sd_loader_options o)
{
	struct sd_loader *l = sd_loader_new(ds, &o);

	if (!l) {
		printf("%s\n", sd_error_text());
		exit(2);
	}
	return l;
}

/* One number for all that a batch holds. */
static uint64_t batch_hash(const struct sd_batch *b, size_t pixels)
{
	uint64_t h = 14695981039346656037u;
	const void *part[] = { b->images, b->labels, b->ids };
	size_t bytes[] = { b->n * pixels * 4, b->n * 4, b->n * 4 };

	for (int k = 0; k < 3; k++)
		for (size_t i = 0; i < bytes[k]; i++)
			h = (h ^ ((const uint8_t *)part[k])[i]) * 1099511628211u;
	return h + b->index;
}

static void test_loader_epochs(void)
{
	enum { N = 103, B = 10 };
	struct sd_dataset *ds = noise(3, 8, 8, N, 5);
	struct sd_loader_options o = {
		.split = SD_SPLIT_TRAIN, .batch = B, .order = SD_ORDER_SHUFFLE,
		.policy = sd_augment_train(ds, 4), .seed = 9, .site = "train",
	};
	struct sd_loader *l = loader(ds, o);
	struct sd_batch b;
	uint64_t hash[2][11];
	int seen[N], same = 0;

	CHECK(sd_loader_batches(l) == 11);
	for (uint32_t epoch = 0; epoch < 2; epoch++) {
		uint32_t total = 0;

		memset(seen, 0, sizeof(seen));
		CHECK(sd_loader_epoch(l, epoch, 0) == 0);
		for (uint32_t k = 0; sd_loader_next(l, &b) == 1; k++) {
			CHECK(b.index == k && b.n == (k < 10 ? B : 3), "batch %u", k);
			hash[epoch][k] = batch_hash(&b, 192);
			for (uint32_t i = 0; i < b.n; i++) {
				seen[b.ids[i]]++;
				CHECK(b.labels[i] == b.ids[i] % 10);
			}
			total += b.n;
		}
		CHECK(total == N);
		for (int i = 0; i < N; i++)
			CHECK(seen[i] == 1, "image %d", i);
		CHECK(sd_loader_next(l, &b) == 0);
	}
	for (int k = 0; k < 11; k++)
		same += hash[0][k] == hash[1][k];
	CHECK(same == 0, "the epochs are alike");

	/* the same whatever came before, from the middle, slowly, and cut off */
	for (uint32_t from = 0; from < 11; from += 3) {
		CHECK(sd_loader_epoch(l, 1, 0) == 0);
		CHECK(sd_loader_epoch(l, 0, from) == 0);
		for (uint32_t k = from; k < 11; k++) {
			if (k % 4 == 0)
				usleep(2000);
			CHECK(sd_loader_next(l, &b) == 1 && batch_hash(&b, 192) == hash[0][k],
			      "from %u, %u", from, k);
			if (from == 3 && k == 5)
				break;
		}
	}
	sd_loader_free(l);

	/* the augmentation of an image does not depend on where it is in which batch */
	o.batch = 1;
	o.order = SD_ORDER_AS_IS;
	o.policy.eraser = 1;
	o.policy.autoaugment = SD_AUTOAUGMENT_CIFAR10;
	struct sd_loader *one = loader(ds, o);
	o.batch = N;
	struct sd_loader *all = loader(ds, o);
	struct sd_batch c;
	CHECK(sd_loader_epoch(all, 4, 0) == 0 && sd_loader_next(all, &c) == 1 && c.n == N);
	CHECK(sd_loader_epoch(one, 4, 0) == 0);
	for (uint32_t i = 0; i < N; i++)
		CHECK(sd_loader_next(one, &b) == 1 && b.ids[0] == (int)i && c.ids[i] == (int)i &&
		      !memcmp(b.images, c.images + i * 192, 192 * sizeof(float)), "image %u", i);
	sd_loader_free(one);
	sd_loader_free(all);

	o.batch = B;
	o.drop_last = 1;
	l = loader(ds, o);
	CHECK(sd_loader_batches(l) == 10);
	sd_loader_free(l);
	o.batch = 200;
	l = loader(ds, o);
	CHECK(sd_loader_batches(l) == 0 && sd_loader_epoch(l, 0, 0) == 0 && sd_loader_next(l, &b) == 0);
	sd_loader_free(l);
	o.batch = 0;
	CHECK(!sd_loader_new(ds, &o) && sd_error_kind() == SD_ERR_USAGE);
	sd_dataset_free(ds);
}

static void test_loader_draw(void)
{
	enum { N = 40, FIRST = 60, B = 16 };
	struct sd_dataset *ds = noise(1, 8, 8, FIRST + N, 5);
	uint32_t indices[N];
	struct sd_loader_options o = {
		.split = SD_SPLIT_TRAIN, .indices = indices, .n = N, .batch = B, .order = SD_ORDER_DRAW,
		.policy = sd_augment_train(ds, 0), .seed = 9, .site = "valid",
	};
	struct sd_batch b;
	struct sd_loader *l;
	uint64_t hash[30];
	int count[N] = { 0 }, steps = 2000, far = 0;

	for (uint32_t i = 0; i < N; i++)
		indices[i] = FIRST + i;
	l = loader(ds, o);
	CHECK(sd_loader_batches(l) == UINT32_MAX);
	CHECK(sd_loader_epoch(l, 0, 0) == 0);
	for (int k = 0; k < steps; k++) {
		int seen[N] = { 0 }, twice = 0;

		if (sd_loader_next(l, &b) != 1 || b.n != B || b.index != (uint32_t)k) {
			CHECK(0, "step %d", k);
			break;
		}
		for (uint32_t i = 0; i < B; i++) {
			count[b.ids[i] - FIRST]++;
			twice += seen[b.ids[i] - FIRST]++;
		}
		CHECK(!twice, "an image came twice in step %d", k);
		if (k < 30)
			hash[k] = batch_hash(&b, 64);
	}
	for (int i = 0; i < N; i++)
		far += fabs(count[i] - steps * 0.4) > 6 * sqrt(steps * 0.24);
	CHECK(far == 0, "%d images come too often or too seldom", far);
	for (uint32_t from = 29; from > 20; from--) {
		CHECK(sd_loader_epoch(l, 0, from) == 0);
		CHECK(sd_loader_next(l, &b) == 1 && batch_hash(&b, 64) == hash[from], "from %u", from);
	}
	sd_loader_free(l);
	o.batch = N + 1;
	CHECK(!sd_loader_new(ds, &o) && sd_error_kind() == SD_ERR_USAGE);
	sd_dataset_free(ds);
}

int main(void)
{
	test_dataset();
	test_apply();
	test_autoaugment();
	test_draw();
	test_eraser();
	test_loader_epochs();
	test_loader_draw();
	return check_done();
}
