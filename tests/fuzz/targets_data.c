/* targets_data.c: the readers of raw data, alone and within the data sets' own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/str.h"
#include "data/archive.h"
#include "data/files.h"
#include "data/mat.h"
#include "data/ndarray.h"
#include "data/pickle.h"
#include "data/picture.h"
#include "data/reader.h"
#include "fuzz.h"

void fuzz_pickle(const uint8_t *data, size_t n)
{
	static const char *const keys[] = { "data", "labels", "fine_labels", "label_names", "fine_label_names" };
	uint8_t *copy = fuzz_copy(data, n);
	struct sd_pickle *p = sd_pickle_read("input", copy, n);
	unsigned sum = 0;

	if (!p) {
		fuzz_refused();
		goto out;
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const struct sd_pickle_value *a = sd_pickle_find(p, keys[i], SD_PICKLE_ARRAY),
			*l = sd_pickle_find(p, keys[i], SD_PICKLE_LIST), *t;

		for (uint64_t k = 0; a && a->text && k < a->size; k++)
			sum += a->text[k];
		for (uint32_t k = 0; l && k < l->items; k++) {
			t = sd_pickle_item(p, l, k, SD_PICKLE_TEXT);
			for (uint64_t c = 0; t && c < t->size; c++)
				sum += t->text[c];
		}
	}
	if (sum == 12345)
		putchar(0); /* so that the sum is needed */
	sd_pickle_free(p);
out:
	free(copy);
}

void fuzz_mat(const uint8_t *data, size_t n)
{
	uint8_t *copy = fuzz_copy(data, n);
	struct sd_mat mat;

	for (int i = 0; i < 2; i++) {
		if (sd_mat_read(&mat, "input", copy, n, i ? "y" : "X", (uint64_t)1 << 24) < 0)
			fuzz_refused();
		else
			sd_mat_release(&mat);
	}
	free(copy);
}

void fuzz_array(const uint8_t *data, size_t n)
{
	uint8_t *copy = fuzz_copy(data, n);

	for (int i = 0; i < 2; i++) {
		struct sd_nd nd;
		uint64_t count = 1;

		if ((i ? sd_nd_npy : sd_nd_idx)(&nd, "input", copy, n) < 0) {
			fuzz_refused();
			continue;
		}
		for (int a = 0; a < nd.rank; a++)
			count *= nd.shape[a];
		if (count)
			sd_nd_get(&nd, count - 1);
	}
	free(copy);
}

void fuzz_picture(const uint8_t *data, size_t n)
{
	uint8_t *copy = fuzz_copy(data, n);
	struct sd_picture p;

	if (sd_picture_decode(&p, "input", copy, n) < 0) {
		fuzz_refused();
	} else {
		if ((uint64_t)p.H * (uint64_t)p.W < 1 << 20 && sd_picture_resize(&p, 32) < 0)
			fuzz_refused();
		sd_picture_release(&p);
	}
	free(copy);
}

void fuzz_gunzip(const uint8_t *data, size_t n)
{
	uint8_t *copy = fuzz_copy(data, n), *out;
	size_t size;

	out = sd_gunzip("input", copy, n, 1 << 20, &size);
	if (!out)
		fuzz_refused();
	free(out);
	free(copy);
}

void fuzz_archive(const uint8_t *data, size_t n)
{
	static const struct sd_archive_limits limits = { 1 << 20, 4 << 20, 100 };
	struct sd_archive_entry e;
	int fd, more = -1;
	struct sd_archive *a = sd_archive_open(fuzz_file(data, n, &fd), &limits);

	while (a && (more = sd_archive_next(a, &e)) > 0) {
		size_t size;
		uint8_t *file;

		if (e.path[0] == '/' || strcmp(e.path, "..") == 0 || strncmp(e.path, "../", 3) == 0 ||
		    strstr(e.path, "/../"))
			fuzz_finding("a path that leads outside");
		file = sd_archive_slurp(a, 1 << 20, &size);
		if (!file)
			fuzz_refused();
		free(file);
		if (!file)
			break;
	}
	if (more < 0 || (more == 0 && sd_archive_finish(a) < 0))
		fuzz_refused();
	sd_archive_close(a);
	close(fd);
}

/* ---- data sets ---- */

static const char *const names[] = {
	"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin",
	"test_batch.bin", "batches.meta.txt", "data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4",
	"data_batch_5", "test_batch", "batches.meta", "train.bin", "test.bin", "fine_label_names.txt", "train",
	"test", "meta", "cifar10.1_v4_data.npy", "cifar10.1_v4_labels.npy", "cifar10.1_v6_data.npy",
	"cifar10.1_v6_labels.npy", "train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz",
	"train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
	"emnist-balanced-train-images-idx3-ubyte", "emnist-balanced-train-labels-idx1-ubyte",
	"emnist-balanced-test-images-idx3-ubyte", "emnist-balanced-test-labels-idx1-ubyte", "train_X.bin",
	"train_y.bin", "test_X.bin", "test_y.bin", "class_names.txt", "train_32x32.mat", "test_32x32.mat",
	"a/1.png", "a/2.png", "b/1.jpg", "b/2.png", "train/a/1.png", "train/b/1.png", "test/a/1.png",
	"test/b/1.jpg", "train/airplane/0001.png", "valid/truck/0001.png", "digits.csv", "train/0_cat.png",
	"test/0_dog.png",
};

/* A tar file (POSIX ustar) of what the input lists: number of the name, three bytes of length, contents. */
static void make_tar(struct sd_str *tar, const uint8_t *data, size_t n)
{
	static const char zero[1024];

	while (n >= 4) {
		size_t len = data[1] | (size_t)data[2] << 8 | (size_t)data[3] << 16;
		char head[512] = "";
		unsigned sum = 0;

		snprintf(head, 100, "%s", names[data[0] % (sizeof(names) / sizeof(names[0]))]);
		data += 4;
		n -= 4;
		if (len > n)
			len = n;
		memcpy(head + 100, "0000644\0" "0000000\0" "0000000\0", 24);
		snprintf(head + 124, 12, "%011zo", len);
		memcpy(head + 136, "00000000000\0" "        " "0", 21);
		memcpy(head + 257, "ustar\0" "00", 8);
		for (int i = 0; i < 512; i++)
			sum += (unsigned char)head[i];
		snprintf(head + 148, 8, "%06o", sum);
		sd_str_add(tar, head, 512);
		sd_str_add(tar, data, len);
		sd_str_add(tar, zero, -len & 511);
		data += len;
		n -= len;
	}
	sd_str_add(tar, zero, 1024);
}

/* First byte: the data set, and in its top bit whether the rest is an archive as it is; second: how images
 * are converted. */
void fuzz_reader(const uint8_t *data, size_t n)
{
	static const uint32_t all[SD_NSPLIT] = { UINT32_MAX, UINT32_MAX };
	struct sd_str tar = SD_STR_INIT;
	struct sd_read_options o;
	struct sd_read_notes notes;
	struct sd_archive *a = NULL;
	struct sd_dataset *ds;
	const struct sd_reader *r;
	const char *path;
	int fd;

	if (n < 2)
		return;
	r = &sd_readers[(data[0] & 0x7f) % sd_nreaders];
	o = (struct sd_read_options){ .size = data[1] & 0x7f, .grey = data[1] >> 7 };
	if (data[0] & 0x80) {
		path = fuzz_file(data + 2, n - 2, &fd);
	} else {
		make_tar(&tar, data + 2, n - 2);
		path = fuzz_file((const uint8_t *)tar.s, tar.len, &fd);
	}
	ds = sd_reader_run(r, path, &o, all, 0, &a, &notes);
	if (!ds)
		fuzz_refused();
	sd_dataset_free(ds);
	sd_archive_close(a);
	close(fd);
	sd_str_release(&tar);
}
