/* reader.c: the table of data sets, and what is done for every one of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "data/picture.h"
#include "data/reader.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

/* The digests of all but the Python forms of CIFAR are those of TensorFlow Datasets (url_checksums/), the two
 * others those of Keras. */
static const struct sd_raw_file cifar10_files[] = {
	{ "cifar-10-binary.tar.gz", "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd" },
	{ "cifar-10-python.tar.gz", "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce" },
	{ NULL, NULL }
};
static const struct sd_raw_file cifar100_files[] = {
	{ "cifar-100-binary.tar.gz", "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec" },
	{ "cifar-100-python.tar.gz", "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7" },
	{ NULL, NULL }
};
static const struct sd_raw_file cifar10_1_v6_files[] = {
	{ "cifar10.1_v6_data.npy", "2997188e5816f5bd545dc77771b6227828c28146049fcecf3fa10775474cacc6" },
	{ "cifar10.1_v6_labels.npy", "ae40beda001693674edc94d925ee8268cfe68905f8f9aff800c8dcdfcd6c9448" },
	{ NULL, NULL }
};
static const struct sd_raw_file cifar10_1_v4_files[] = {
	{ "cifar10.1_v4_data.npy", "5aaedc268df8f4cffca2ac0cf9e608ae1897a8cddb630c7a850a2ea8f6558e75" },
	{ "cifar10.1_v4_labels.npy", "1f9544300ded199539b6662364ce7fe6c2e1ea9f87408f06db4b1a6184cffb18" },
	{ NULL, NULL }
};
static const struct sd_raw_file mnist_files[] = {
	{ "train-images-idx3-ubyte.gz", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609" },
	{ "train-labels-idx1-ubyte.gz", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c" },
	{ "t10k-images-idx3-ubyte.gz", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6" },
	{ "t10k-labels-idx1-ubyte.gz", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6" },
	{ NULL, NULL }
};
static const struct sd_raw_file fashion_files[] = {
	{ "train-images-idx3-ubyte.gz", "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84" },
	{ "train-labels-idx1-ubyte.gz", "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845" },
	{ "t10k-images-idx3-ubyte.gz", "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073" },
	{ "t10k-labels-idx1-ubyte.gz", "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5" },
	{ NULL, NULL }
};
static const struct sd_raw_file emnist_files[] = {
	{ "gzip.zip", "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e" },
	{ NULL, NULL }
};
static const struct sd_raw_file svhn_files[] = {
	{ "train_32x32.mat", "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8" },
	{ "test_32x32.mat", "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b" },
	{ NULL, NULL }
};
static const struct sd_raw_file stl10_files[] = {
	{ "stl10_binary.tar.gz", "f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866" },
	{ NULL, NULL }
};
static const struct sd_raw_file devanagari_files[] = {
	{ "DevanagariHandwrittenCharacterDataset.zip", NULL },
	{ NULL, NULL }
};
static const struct sd_raw_file digits_files[] = {
	{ "digits.csv.gz", NULL },
	{ NULL, NULL }
};

/* What sets have in common that are of one making. */
#define LIKE_CIFAR10 \
		.channels = 3, \
		.classes = 10, \
		.padding = 4, \
		.mirror = 1, \
		.has_constants = 1, \
		.mean = { 0.49139968f, 0.48215827f, 0.44653124f }, \
		.std = { 0.24703233f, 0.24348505f, 0.26158768f }
#define LIKE_MNIST \
		.read = sd_read_idx, \
		.variant = SD_IDX_MNIST, \
		.limits = { .entry_bytes = 256 * MIB, .total_bytes = 1 * GIB, .entries = 10000 }, \
		.official = { 60000, 10000 }, \
		.channels = 1, \
		.classes = 10, \
		.padding = 4, \
		.mirror = 1, \
		.has_constants = 1

/* Constants, padding and mirroring are the reference's; digits, cifar100 and images it does not know. */
const struct sd_reader sd_readers[] = {
	{
		.name = "cifar10",
		.what = "60,000 colour images of 32x32 in 10 classes: binary, Python, or a picture each",
		.files = cifar10_files,
		.read = sd_read_cifar10,
		.limits = { .entry_bytes = 256 * MIB, .total_bytes = 1 * GIB, .entries = 100000 },
		.official = { 50000, 10000 },
		LIKE_CIFAR10,
	},
	{
		.name = "cifar10.1",
		.what = "2,000 new test images for CIFAR-10, version 6",
		.files = cifar10_1_v6_files,
		.read = sd_read_cifar10_1,
		.limits = { .entry_bytes = 256 * MIB, .total_bytes = 4 * GIB, .entries = 10000 },
		.official = { 0, 2000 },
		LIKE_CIFAR10,
	},
	{
		.name = "cifar10.1-v4",
		.what = "2,021 new test images for CIFAR-10, version 4",
		.files = cifar10_1_v4_files,
		.read = sd_read_cifar10_1,
		.limits = { .entry_bytes = 256 * MIB, .total_bytes = 4 * GIB, .entries = 10000 },
		.official = { 0, 2021 },
		LIKE_CIFAR10,
	},
	{
		.name = "cifar100",
		.what = "60,000 colour images of 32x32 in 100 classes: binary or Python",
		.files = cifar100_files,
		.read = sd_read_cifar100,
		.limits = { .entry_bytes = 256 * MIB, .total_bytes = 1 * GIB, .entries = 10000 },
		.official = { 50000, 10000 },
		.channels = 3,
		.classes = 100,
		.padding = 4,
		.mirror = 1,
	},
	{
		.name = "mnist",
		.what = "70,000 grey handwritten digits of 28x28 in 10 classes",
		.files = mnist_files,
		LIKE_MNIST,
		.mean = { 0.1307f },
		.std = { 0.3081f },
	},
	{
		.name = "fashion",
		.what = "70,000 grey pictures of clothes of 28x28 in 10 classes",
		.files = fashion_files,
		LIKE_MNIST,
		.mean = { 0.2860405969887955f },
		.std = { 0.35302424825650003f },
	},
	{
		.name = "emnist",
		.what = "131,600 grey handwritten digits and letters of 28x28 in 47 classes (balanced)",
		.files = emnist_files,
		.read = sd_read_idx,
		.variant = SD_IDX_EMNIST,
		.limits = { .entry_bytes = 1 * GIB, .total_bytes = 4 * GIB, .entries = 10000 },
		.official = { 112800, 18800 },
		.channels = 1,
		.classes = 47,
		.padding = 4,
		.mirror = 1,
		.has_constants = 1,
		.mean = { 0.17510417052459282f },
		.std = { 0.33323714976320795f },
	},
	{
		.name = "svhn",
		.what = "99,289 colour house numbers of 32x32 in 10 classes",
		.files = svhn_files,
		.read = sd_read_svhn,
		.limits = { .entry_bytes = 2 * GIB, .total_bytes = 4 * GIB, .entries = 10000 },
		.official = { 73257, 26032 },
		.channels = 3,
		.classes = 10,
		.padding = 4,
		.mirror = 1,
		.has_constants = 1,
		.mean = { 0.4376821f, 0.4437697f, 0.47280442f },
		.std = { 0.19803012f, 0.20101562f, 0.19703614f },
	},
	{
		.name = "stl10",
		.what = "13,000 colour images of 96x96 in 10 classes",
		.files = stl10_files,
		.read = sd_read_stl10,
		.limits = { .entry_bytes = 4 * GIB, .total_bytes = 8 * GIB, .entries = 10000 },
		.official = { 5000, 8000 },
		.channels = 3,
		.classes = 10,
		.padding = 4,
		.mirror = 1,
		.has_constants = 1,
		.mean = { 0.44671062f, 0.43980984f, 0.40664645f },
		.std = { 0.26034098f, 0.25657727f, 0.27126738f },
	},
	{
		.name = "devanagari",
		.what = "92,000 grey handwritten characters of 32x32 in 46 classes, a picture each",
		.files = devanagari_files,
		.read = sd_read_images,
		.limits = { .entry_bytes = 64 * MIB, .total_bytes = 16 * GIB, .entries = 1 << 20 },
		.official = { 78200, 13800 },
		.channels = 1,
		.classes = 46,
		.padding = 2,
		.mirror = 1,
		.has_constants = 1,
		.mean = { 0.240004663268f },
		.std = { 0.386530114768f },
	},
	{
		.name = "images",
		.what = "pictures (JPEG, PNG) in a folder for each class, train and test around or not",
		.read = sd_read_images,
		.limits = { .entry_bytes = 64 * MIB, .total_bytes = 256 * GIB, .entries = 1 << 22 },
		.padding = 4,
		.mirror = 1,
	},
	{
		.name = "digits",
		.what = "1,797 grey handwritten digits of 8x8, lines of 64 values and a label",
		.files = digits_files,
		.read = sd_read_digits,
		.limits = { .entry_bytes = 4 * MIB, .total_bytes = 16 * MIB, .entries = 1000 },
		.official = { 1437, 360 },
		.channels = 1,
		.classes = 10,
		.padding = 1,
	},
};
const int sd_nreaders = sizeof(sd_readers) / sizeof(sd_readers[0]);

const struct sd_reader *sd_reader_find(const char *name)
{
	char known[256] = "";

	for (int i = 0; i < sd_nreaders; i++) {
		if (!strcmp(sd_readers[i].name, name))
			return &sd_readers[i];
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", i ? ", " : "",
			 sd_readers[i].name);
	}
	sd_error(SD_ERR_USAGE, "no data set '%s' (known: %s)", name, known);
	return NULL;
}

const char *sd_reader_sha256(const struct sd_reader *r, const char *name)
{
	const char *base = sd_base_name(name);

	for (const struct sd_raw_file *f = r->files; f && f->name; f++)
		if (!strcmp(f->name, base))
			return f->sha256;
	return NULL;
}

/* Another size or fewer channels for a set whose reader knows nothing of that. */
static struct sd_dataset *convert(struct sd_dataset *ds, const struct sd_read_options *o)
{
	int grey = o->grey && ds->C == 3, size = o->size && (ds->H != o->size || ds->W != o->size);
	int H = size ? o->size : ds->H, W = size ? o->size : ds->W, C = grey ? 1 : ds->C;
	size_t from = (size_t)ds->H * (size_t)ds->W, to = (size_t)H * (size_t)W;

	if (!grey && !size)
		return ds;
	for (int s = 0; s < SD_NSPLIT; s++) {
		struct sd_split *sp = &ds->split[s];
		uint8_t *images = malloc(sp->n * (size_t)C * to + 1);

		if (!images) {
			sd_error(SD_ERR_IO, "out of memory for %u images", sp->n);
			goto fail;
		}
		for (uint32_t i = 0; i < sp->n; i++) {
			const uint8_t *in = sp->images + (size_t)i * (size_t)ds->C * from;
			uint8_t *out = images + (size_t)i * (size_t)C * to;
			struct sd_picture p = { .H = ds->H, .W = ds->W, .pixels = malloc(3 * from) };

			if (p.pixels)
				for (size_t k = 0; k < 3 * from; k++)
					p.pixels[k] = in[(ds->C == 3 ? k % 3 : 0) * from + k / 3];
			if (!p.pixels || (size && sd_picture_resize(&p, o->size))) {
				if (!p.pixels)
					sd_error(SD_ERR_IO, "out of memory for an image");
				sd_picture_release(&p);
				free(images);
				goto fail;
			}
			for (size_t k = 0; k < (size_t)C * to; k++)
				out[k] = grey ? sd_picture_luma(p.pixels + 3 * k) :
					p.pixels[3 * (k % to) + k / to];
			sd_picture_release(&p);
		}
		free(sp->images);
		sp->images = images;
	}
	ds->C = C;
	ds->H = H;
	ds->W = W;
	return ds;
fail:
	sd_dataset_free(ds);
	return NULL;
}

struct sd_dataset *sd_reader_run(const struct sd_reader *r, const char *path, const struct sd_read_options *o,
				 const uint32_t limit[SD_NSPLIT], uint64_t seed, struct sd_archive **archive,
				 struct sd_read_notes *notes)
{
	struct sd_dataset *ds = NULL;
	struct sd_archive *a = sd_archive_open(path, &r->limits);

	*notes = (struct sd_read_notes){ 0 };
	if (!a)
		goto fail;
	ds = r->read(a, r, o, notes);
	if (!ds || sd_archive_finish(a))
		goto fail;
	for (int s = 0; s < SD_NSPLIT; s++)
		if (limit[s] != UINT32_MAX && sd_dataset_limit(ds, s, limit[s], seed)) {
			sd_error_in("%s", sd_archive_name(a));
			goto fail;
		}
	ds = convert(ds, o);
	if (!ds)
		goto fail;
	sd_dataset_measure(ds);
	/* constants of colours say nothing about grey */
	int own = r->has_constants && ds->C == r->channels;
	memcpy(ds->mean, own ? r->mean : ds->computed_mean, sizeof(ds->mean));
	memcpy(ds->std, own ? r->std : ds->computed_std, sizeof(ds->std));
	/* a channel that never changes is left as it is, less its mean */
	for (int c = 0; c < ds->C; c++)
		if (!(ds->std[c] > 0))
			ds->std[c] = 1;
	ds->padding = r->padding;
	ds->mirror = r->mirror;
	*archive = a;
	return ds;
fail:
	sd_dataset_free(ds);
	sd_archive_close(a);
	*archive = NULL;
	return NULL;
}
