/* read_cifar10.c: CIFAR-10 in its official binary form (Krizhevsky, "Learning multiple layers of features
 * from tiny images", 2009; https://www.cs.toronto.edu/~kriz/cifar.html).
 *
 * Five files of training records and one of test records; a record is a label byte and 3 planes (red,
 * green, blue) of 32 rows of 32 pixels.  The split is the official one, in the official order. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "data/reader.h"

enum { SIDE = 32, CLASSES = 10, PIXELS = 3 * SIDE * SIDE, RECORD = 1 + PIXELS, TRAIN_FILES = 5, FILES = 6 };

static const char *const file_name[FILES] = {
	"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin",
	"test_batch.bin",
};
static const char names_file[] = "batches.meta.txt";

/* Used when the archive has no batches.meta.txt, which says the same. */
static const char *const class_name[CLASSES] = {
	"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
};

struct batch {
	uint8_t *data;
	size_t bytes;
};

static int read_batch(struct sd_archive *a, const struct sd_archive_entry *e, struct batch *b)
{
	uint32_t records;

	if (b->data)
		return sd_error(SD_ERR_DATA, "%s: %s: a second file of that name", sd_archive_name(a),
				e->path);
	b->data = sd_archive_slurp(a, SIZE_MAX / 2, &b->bytes);
	if (!b->data)
		return -1;
	records = (uint32_t)(b->bytes / RECORD);
	if (!b->bytes)
		return sd_error(SD_ERR_DATA, "%s: %s: the file is empty", sd_archive_name(a), e->path);
	if (b->bytes % RECORD)
		return sd_error(SD_ERR_DATA, "%s: %s: record %u is cut short: %zu of %d bytes",
				sd_archive_name(a), e->path, records + 1, b->bytes % RECORD, RECORD);
	for (uint32_t i = 0; i < records; i++) {
		unsigned label = b->data[(size_t)i * RECORD];

		if (label >= CLASSES)
			return sd_error(SD_ERR_DATA, "%s: %s: record %u has label %u, at most %d is expected",
					sd_archive_name(a), e->path, i + 1, label, CLASSES - 1);
	}
	return 0;
}

/* One name a line, blank lines left out. */
static int read_names(struct sd_archive *a, const struct sd_archive_entry *e, char names[CLASSES][64])
{
	size_t size;
	char *text = (char *)sd_archive_slurp(a, 1 << 16, &size), *rest = text, *line;
	int n = 0, ret = -1;

	if (!text)
		return -1;
	while ((line = strsep(&rest, "\n"))) {
		size_t len = strlen(line);

		while (len && isspace((unsigned char)line[len - 1]))
			line[--len] = 0;
		if (!len)
			continue;
		if (n == CLASSES || len >= sizeof(names[0])) {
			n = CLASSES + 1;
			break;
		}
		for (size_t i = 0; i < len; i++)
			if (!isgraph((unsigned char)line[i]) && line[i] != ' ')
				n = CLASSES + 1;
		if (n > CLASSES)
			break;
		memcpy(names[n++], line, len + 1);
	}
	if (n == CLASSES)
		ret = 0;
	else
		sd_error(SD_ERR_DATA, "%s: %s: %d class names of printable text are expected, one a line",
			 sd_archive_name(a), e->path, CLASSES);
	free(text);
	return ret;
}

/* Copies the records of `nfiles` batches behind one another into a split. */
static void fill(struct sd_dataset *ds, int split, const struct batch *b, int nfiles)
{
	struct sd_split *sp = &ds->split[split];
	uint32_t at = 0;

	for (int f = 0; f < nfiles; f++)
		for (size_t i = 0; i < b[f].bytes; i += RECORD, at++) {
			sp->labels[at] = b[f].data[i];
			memcpy(sp->images + (size_t)at * PIXELS, b[f].data + i + 1, PIXELS);
			sp->source[at] = at;
		}
}

struct sd_dataset *sd_read_cifar10(struct sd_archive *a)
{
	struct batch batch[FILES] = { 0 };
	char names[CLASSES][64];
	int have_names = 0, more;
	struct sd_archive_entry e;
	struct sd_dataset *ds = NULL;
	uint32_t n[SD_NSPLIT] = { 0, 0 };

	for (int i = 0; i < CLASSES; i++)
		strcpy(names[i], class_name[i]);
	while ((more = sd_archive_next(a, &e)) == 1) {
		size_t len = strlen(e.base);
		int f;

		if (e.bare) {
			sd_error(SD_ERR_DATA, "%s: this is no archive (tar or zip)", sd_archive_name(a));
			goto out;
		}
		for (f = 0; f < FILES && strcmp(e.base, file_name[f]); f++)
			;
		if (f < FILES) {
			if (read_batch(a, &e, &batch[f]))
				goto out;
		} else if (!strcmp(e.base, names_file)) {
			if (have_names) {
				sd_error(SD_ERR_DATA, "%s: %s: a second file of that name",
					 sd_archive_name(a), e.path);
				goto out;
			}
			have_names = 1;
			if (read_names(a, &e, names))
				goto out;
		} else if (len > 4 && !strcmp(e.base + len - 4, ".bin")) {
			/* data_batch_6.bin, or the files of CIFAR-100 */
			sd_error(SD_ERR_DATA, "%s: %s: CIFAR-10 has no file of that name", sd_archive_name(a),
				 e.path);
			goto out;
		}
	}
	if (more < 0)
		goto out;
	for (int f = 0; f < FILES; f++) {
		if (!batch[f].data) {
			sd_error(SD_ERR_DATA, "%s: there is no %s", sd_archive_name(a), file_name[f]);
			goto out;
		}
		n[f < TRAIN_FILES ? SD_SPLIT_TRAIN : SD_SPLIT_TEST] += (uint32_t)(batch[f].bytes / RECORD);
	}
	ds = sd_dataset_new("cifar10", 3, SIDE, SIDE, CLASSES, n);
	if (!ds)
		goto out;
	for (int i = 0; i < CLASSES; i++)
		if (sd_dataset_name_class(ds, i, names[i])) {
			sd_dataset_free(ds);
			ds = NULL;
			goto out;
		}
	fill(ds, SD_SPLIT_TRAIN, batch, TRAIN_FILES);
	fill(ds, SD_SPLIT_TEST, batch + TRAIN_FILES, FILES - TRAIN_FILES);
out:
	for (int f = 0; f < FILES; f++)
		free(batch[f].data);
	return ds;
}
