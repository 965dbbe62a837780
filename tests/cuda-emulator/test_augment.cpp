/* test_augment: batches made by augment.cu against the loader's, to the bit. */
#include "kernel_test.h"

extern "C" {
#include "base/err.h"
#include "data/augment.h"
#include "data/dataset.h"
#include "data/loader.h"
}

using namespace test;

/* Pictures with edges and flat parts, as far as a few random boxes make such; some of one colour, some dark. */
static struct sd_dataset *pictures(int C, int H, int W, uint32_t n)
{
	const uint32_t sizes[SD_NSPLIT] = {n, 1};
	struct sd_dataset *ds = sd_dataset_new("pictures", C, H, W, 10, sizes);

	if (!ds) {
		printf("%s\n", sd_error_text());
		exit(2);
	}
	memset(ds->split[SD_SPLIT_TEST].images, 0, static_cast<size_t>(C) * H * W);
	for (uint32_t i = 0; i < n; i++) {
		int noise = 1 << below(8), least = below(200), range = 1 + below(256 - least);
		uint8_t *p = ds->split[SD_SPLIT_TRAIN].images + static_cast<size_t>(i) * sd_dataset_image_bytes(ds);

		memset(p, below(256), static_cast<size_t>(C) * H * W);
		for (int box = below(6); box > 0; box--) {
			int c = below(C), y0 = below(H), x0 = below(W), y1 = y0 + below(H - y0) + 1, x1 = x0 + below(W - x0) + 1;
			int base = least + below(range);

			for (int y = y0; y < y1; y++)
				for (int x = x0; x < x1; x++) {
					int v = base + below(noise);

					p[(c * H + y) * W + x] = static_cast<uint8_t>(v > 255 ? 255 : v);
				}
		}
		ds->split[SD_SPLIT_TRAIN].labels[i] = below(10);
	}
	for (int c = 0; c < C; c++) {
		ds->mean[c] = 0.4f + 0.1f * c;
		ds->std[c] = 0.2f + 0.01f * c;
	}
	return ds;
}

/* The data set as the device has it, and what of it a loader takes. */
struct Feed {
	struct sd_dataset *ds;
	struct sd_augment_table table;
	std::vector<uint32_t> indices, order;
	struct sd_loader_options o;
	struct sd_loader *l;
	int32_t next, epoch;

	Feed(int C, int H, int W, uint32_t n) : ds(pictures(C, H, W, n)), o(), l(NULL), next(0), epoch(0)
	{
		sd_augment_table_init(&table, ds);
	}
	~Feed()
	{
		sd_loader_free(l);
		sd_dataset_free(ds);
	}
	uint32_t count() const { return o.indices ? o.n : ds->split[SD_SPLIT_TRAIN].n; }
	/* `site` as in the loader; an epoch, or a step for draws, to begin with */
	bool start(const char *site, uint32_t when)
	{
		o.site = site;
		o.seed = 42;
		l = sd_loader_new(ds, &o);
		if (!l || sd_loader_epoch(l, when, o.order == SD_ORDER_DRAW ? when : 0))
			return false;
		epoch = static_cast<int32_t>(when);
		next = o.order == SD_ORDER_DRAW ? epoch : 0;
		if (o.order == SD_ORDER_SHUFFLE) {
			order.resize(count());
			sd_rng_permutation(sd_rng_key(o.seed, "shuffle", site), when, count(), order.data());
		}
		return true;
	}
	/* Makes the next batch in both ways. */
	void check(const char *what)
	{
		struct sd_batch b;
		size_t pixels = sd_dataset_image_bytes(ds), bad = 0;
		int first = -1;
		struct sd_cu_batch d = {};
		Run r;

		if (sd_loader_next(l, &b) != 1) {
			CHECK(0, "%s: %s", what, sd_error_text());
			return;
		}
		std::vector<float> out(b.n * pixels, NAN);
		std::vector<int32_t> label(b.n, -1), id(b.n, -1);

		d.images = ds->split[SD_SPLIT_TRAIN].images;
		d.labels = ds->split[SD_SPLIT_TRAIN].labels;
		d.table = table.value[0];
		d.c = ds->C;
		d.h = ds->H;
		d.w = ds->W;
		d.indices = o.indices;
		d.order = o.order == SD_ORDER_SHUFFLE ? order.data() : NULL;
		d.n = count();
		d.draw = o.order == SD_ORDER_DRAW;
		d.batch = o.batch;
		d.rows = b.n;
		d.shuffle_key = sd_rng_key(o.seed, "valid", "search");
		d.augment_key = sd_augment_key(o.seed, o.site);
		d.policy = o.policy;
		d.next = &next;
		d.epoch = &epoch;
		d.out = out.data();
		d.label = label.data();
		d.id = id.data();
		sd_cu_batch(r, &d);
		r.end();
		CHECK(next == static_cast<int32_t>(b.index) + 1, "%s: batch %u is followed by %d", what, b.index, next);
		CHECK(!memcmp(label.data(), b.labels, b.n * sizeof(*b.labels)), "%s: labels", what);
		CHECK(!memcmp(id.data(), b.ids, b.n * sizeof(*b.ids)), "%s: ids", what);
		for (uint32_t i = 0; i < b.n; i++)
			if (memcmp(&out[i * pixels], b.images + i * pixels, pixels * sizeof(float))) {
				bad++;
				first = first < 0 ? id[i] : first;
			}
		CHECK(bad == 0, "%s: %zu of %u images differ, the first is %d of batch %u", what, bad, b.n, first, b.index);
		digest(out);
		digest(id);
	}
};

struct Size {
	int C, H, W;
};

/* Every policy on images of several sizes: from smaller than a filter to larger than shared memory. */
static void test_policies()
{
	static const Size sizes[] = {{3, 32, 32}, {3, 9, 7}, {3, 1, 1}, {3, 2, 3}, {3, 41, 56}, {3, 96, 100}, {1, 28, 28},
		{4, 6, 5}};

	for (Size s : sizes) {
		uint32_t n = s.H * s.W > 4000 ? 8 : s.H * s.W > 500 ? 60 : 600;

		for (int autoaugment = 0; autoaugment < (s.C == 3 ? SD_NAUTOAUGMENT : 1); autoaugment++)
			for (int rest = 0; rest < 4; rest++) {
				Feed f(s.C, s.H, s.W, n);
				char what[100];

				f.o.policy.autoaugment = static_cast<enum sd_autoaugment>(autoaugment);
				f.o.policy.padding = rest == 0 ? 0 : rest == 1 ? 4 : s.H;
				f.o.policy.mirror = rest != 0;
				f.o.policy.cutout_length = rest == 2 ? (s.H + 1) / 2 : rest == 3 ? 5 : 0;
				f.o.policy.cutout_holes = rest - 1;
				f.o.policy.eraser = rest & 1;
				f.o.batch = n;
				snprintf(what, sizeof(what), "(%d, %d, %d), policy %d %d", s.C, s.H, s.W, autoaugment, rest);
				if (!f.start("train", 3 * rest)) {
					CHECK(0, "%s: %s", what, sd_error_text());
					continue;
				}
				f.check(what);
			}
	}
}

/* Many images under each policy, so that every pair of operations and both signs come up. */
static void test_pairs()
{
	for (enum sd_autoaugment policy : {SD_AUTOAUGMENT_CIFAR10, SD_AUTOAUGMENT_IMAGENET}) {
		int n, seen = 0;
		std::vector<int> taken;
		Feed f(3, 11, 13, 3000);

		sd_autoaugment_pairs(policy, &n);
		taken.resize(n * 8);
		f.o.policy.autoaugment = policy;
		f.o.policy.mirror = 1;
		f.o.batch = 1000;
		if (!f.start("train", 5)) {
			CHECK(0, "%s", sd_error_text());
			continue;
		}
		for (int i = 0; i < 3; i++)
			f.check("pairs");
		for (uint32_t i = 0; i < 3000; i++) {
			struct sd_augment_params p;

			sd_augment_draw(&f.o.policy, sd_augment_key(42, "train"), i, 5, 11, 13, &p);
			taken[p.autoaugment.pair * 8 + p.autoaugment.done[0] * 4 + p.autoaugment.done[1] * 2 +
				p.autoaugment.negative[0]] = 1;
		}
		for (int x : taken)
			seen += x;
		CHECK(seen > 4 * n, "%d of %d ways of policy %d", seen, 8 * n, policy);
	}
}

/* The orders of images: as they are, shuffled, drawn; a part of the split; short last batches. */
static void test_orders()
{
	for (int order : {SD_ORDER_AS_IS, SD_ORDER_SHUFFLE, SD_ORDER_DRAW})
		for (int part = 0; part < 2; part++)
			for (uint32_t batch : {1u, 7u, 64u, 250u}) {
				Feed f(1, 2, 3, 500);
				char what[100];

				for (uint32_t i = 0; i < 250; i++)
					f.indices.push_back(499 - 2 * i);
				if (part) {
					f.o.indices = f.indices.data();
					f.o.n = 250;
				}
				f.o.batch = batch;
				f.o.order = static_cast<enum sd_loader_order>(order);
				f.o.policy.mirror = 1;
				snprintf(what, sizeof(what), "order %d, part %d, batch %u", order, part, batch);
				if (!f.start(order == SD_ORDER_DRAW ? "valid" : "train", 20)) {
					CHECK(0, "%s: %s", what, sd_error_text());
					continue;
				}
				for (uint32_t i = 0; i < 9 && i < sd_loader_batches(f.l); i++)
					f.check(what);
			}
}

static void tests()
{
	test_policies();
	test_pairs();
	test_orders();
}

int main(int argc, char **argv)
{
	return run(argc, argv, tests);
}
