/* read_cifar.c: CIFAR-10 and CIFAR-100 (Krizhevsky, "Learning multiple layers of features from tiny
 * images", 2009; https://www.cs.toronto.edu/~kriz/cifar.html), in the binary form, in the Python form,
 * and CIFAR-10 as a picture each.
 *
 * Binary: a record is a label byte (CIFAR-100: two, the second being the fine label) and 3 planes (red,
 * green, blue) of 32 rows of 32 pixels.  Python: a pickled dictionary with an array of such rows under
 * `data` and a list of labels.  The split is the official one, in the official order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "data/files.h"
#include "data/images.h"
#include "data/pickle.h"
#include "data/reader.h"

enum { SIDE = 32, PIXELS = 3 * SIDE * SIDE, MAX_BATCHES = 6, MAX_CLASSES = 100 };
enum { BINARY, PYTHON, FORMS };

/* Also where there is no file with the names, which says the same. */
const char *const sd_cifar10_class[SD_CIFAR10_CLASSES] = {
	"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
};

/* Training batches first, then the test batch, then the names of the classes. */
struct form {
	int batches;
	struct sd_wanted file[MAX_BATCHES + 1];
	const char *labels, *names;  /* keys of the Python form */
	int label_bytes;             /* of the binary form; the last one counts */
};

#define BATCH ((size_t)256 << 20)
static const struct form cifar10[FORMS] = {
	{
		.batches = 6,
		.file = {
			{ "data_batch_1.bin", BATCH }, { "data_batch_2.bin", BATCH },
			{ "data_batch_3.bin", BATCH }, { "data_batch_4.bin", BATCH },
			{ "data_batch_5.bin", BATCH }, { "test_batch.bin", BATCH },
			{ "batches.meta.txt", 1 << 16 },
		},
		.label_bytes = 1,
	}, {
		.batches = 6,
		.file = {
			{ "data_batch_1", BATCH }, { "data_batch_2", BATCH }, { "data_batch_3", BATCH },
			{ "data_batch_4", BATCH }, { "data_batch_5", BATCH }, { "test_batch", BATCH },
			{ "batches.meta", 1 << 16 },
		},
		.labels = "labels",
		.names = "label_names",
	},
};
static const struct form cifar100[FORMS] = {
	{
		.batches = 2,
		.file = {
			{ "train.bin", BATCH }, { "test.bin", BATCH }, { "fine_label_names.txt", 1 << 16 },
		},
		.label_bytes = 2,
	}, {
		.batches = 2,
		.file = { { "train", BATCH }, { "test", BATCH }, { "meta", 1 << 16 } },
		.labels = "fine_labels",
		.names = "fine_label_names",
	},
};

/* Images and labels of a batch. */
struct batch {
	uint32_t n;
	const uint8_t *first;      /* pixels of image 0, planes before rows */
	size_t next, step;         /* bytes to the next image, and to the next pixel */
	int32_t *labels;           /* owned */
	struct sd_pickle *pickle;  /* owned */
};

static int check_label(const struct sd_found *f, uint32_t record, int64_t label, int classes)
{
	if (label >= 0 && label < classes)
		return 0;
	return sd_error(SD_ERR_DATA, "%s: record %u has label %lld, 0 to %d is expected", f->path, record + 1,
			(long long)label, classes - 1);
}

static int make_labels(const struct sd_found *f, struct batch *b)
{
	b->labels = malloc(((size_t)b->n + 1) * sizeof(*b->labels));
	return b->labels ? 0 : sd_error(SD_ERR_IO, "out of memory for '%s'", f->path);
}

static int read_binary(const struct form *form, const struct sd_found *f, int classes, struct batch *b)
{
	size_t record = (size_t)form->label_bytes + PIXELS;

	b->n = (uint32_t)(f->size / record);
	if (f->size % record)
		return sd_error(SD_ERR_DATA, "%s: record %u is cut short: %zu of %zu bytes", f->path,
				b->n + 1,
				f->size % record, record);
	b->first = f->data + form->label_bytes;
	b->next = record;
	b->step = 1;
	if (make_labels(f, b))
		return -1;
	for (uint32_t i = 0; i < b->n; i++) {
		b->labels[i] = f->data[i * record + (size_t)form->label_bytes - 1];
		if (check_label(f, i, b->labels[i], classes))
			return -1;
	}
	return 0;
}

static int read_python(const struct form *form, const struct sd_found *f, int classes, struct batch *b)
{
	const struct sd_pickle_value *data, *labels;

	b->pickle = sd_pickle_read(f->path, f->data, f->size);
	if (!b->pickle)
		return -1;
	data = sd_pickle_find(b->pickle, "data", SD_PICKLE_ARRAY);
	labels = data ? sd_pickle_find(b->pickle, form->labels, SD_PICKLE_LIST) : NULL;
	if (!labels)
		return -1;
	if (data->columns != PIXELS || data->rows != labels->items || !data->rows)
		return sd_error(SD_ERR_DATA,
				"%s: an array of %llu x %llu and %u labels, N x %d and N are expected",
				f->path, (unsigned long long)data->rows, (unsigned long long)data->columns,
				labels->items, PIXELS);
	b->n = labels->items;
	b->first = data->text;
	b->next = data->number ? 1 : PIXELS;
	b->step = data->number ? b->n : 1;
	if (make_labels(f, b))
		return -1;
	for (uint32_t i = 0; i < b->n; i++) {
		const struct sd_pickle_value *v = sd_pickle_item(b->pickle, labels, i, SD_PICKLE_NUMBER);

		if (check_label(f, i, v ? v->number : -1, classes))
			return -1;
		b->labels[i] = (int32_t)v->number;
	}
	return 0;
}

static int read_python_names(const struct form *form, const struct sd_found *f, int n,
			     char (*names)[SD_NAME_MAX])
{
	struct sd_pickle *p = sd_pickle_read(f->path, f->data, f->size);
	const struct sd_pickle_value *list = p ? sd_pickle_find(p, form->names, SD_PICKLE_LIST) : NULL;
	int ok = list && list->items == (uint32_t)n;

	for (int i = 0; ok && i < n; i++) {
		const struct sd_pickle_value *v = sd_pickle_item(p, list, (uint32_t)i, SD_PICKLE_TEXT);

		ok = v && v->size && v->size < SD_NAME_MAX;
		for (uint64_t k = 0; ok && k < v->size; k++)
			ok = v->text[k] >= 0x20 && v->text[k] < 0x7f;
		if (ok) {
			memcpy(names[i], v->text, v->size);
			names[i][v->size] = 0;
		}
	}
	sd_pickle_free(p);
	if (list && !ok)
		sd_error(SD_ERR_DATA, "%s: %d class names of printable text are expected", f->path, n);
	return ok ? 0 : -1;
}

/* Copies batches behind one another into a split. */
static void fill(struct sd_dataset *ds, int split, const struct batch *b, int batches)
{
	struct sd_split *sp = &ds->split[split];
	uint32_t at = 0;

	for (int f = 0; f < batches; f++)
		for (uint32_t i = 0; i < b[f].n; i++, at++) {
			const uint8_t *from = b[f].first + i * b[f].next;
			uint8_t *to = sp->images + (size_t)at * PIXELS;

			for (size_t k = 0; k < PIXELS; k++)
				to[k] = from[k * b[f].step];
			sp->labels[at] = b[f].labels[i];
			sp->source[at] = at;
		}
}

/* The data set from the files of one form. */
static struct sd_dataset *make(struct sd_archive *a, const struct sd_reader *r, const struct form *form,
			       int python,
			       const struct sd_found *found)
{
	struct batch batch[MAX_BATCHES] = { 0 };
	char names[MAX_CLASSES][SD_NAME_MAX];
	const struct sd_found *meta = &found[form->batches];
	struct sd_dataset *ds = NULL;
	uint32_t n[SD_NSPLIT] = { 0 };
	int ok = 0;

	if (sd_files_need(a, form->file, found, form->batches))
		return NULL;
	for (int i = 0; i < r->classes; i++)
		snprintf(names[i], SD_NAME_MAX, r->classes == SD_CIFAR10_CLASSES ? "%s" : "%.0s%d",
			 sd_cifar10_class[i % SD_CIFAR10_CLASSES], i);
	for (int i = 0; i < form->batches; i++) {
		if (python ? read_python(form, &found[i], r->classes, &batch[i])
			   : read_binary(form, &found[i], r->classes, &batch[i]))
			goto out;
		n[i < form->batches - 1 ? SD_SPLIT_TRAIN : SD_SPLIT_TEST] += batch[i].n;
	}
	if (meta->data && (python ? read_python_names(form, meta, r->classes, names)
				  : sd_files_names(meta, r->classes, names)))
		goto out;
	ds = sd_dataset_new(r->name, 3, SIDE, SIDE, r->classes, n);
	if (!ds)
		goto out;
	for (int i = 0; i < r->classes; i++)
		if (sd_dataset_name_class(ds, i, names[i]))
			goto out;
	fill(ds, SD_SPLIT_TRAIN, batch, form->batches - 1);
	fill(ds, SD_SPLIT_TEST, batch + form->batches - 1, 1);
	ok = 1;
out:
	for (int i = 0; i < form->batches; i++) {
		free(batch[i].labels);
		sd_pickle_free(batch[i].pickle);
	}
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): every batch's labels are freed above */
	if (ok)
		return ds;
	sd_dataset_free(ds);
	return NULL;
}

struct collection {
	const struct sd_reader *r;
	struct sd_images *images;  /* NULL: there is no such form */
};

static int other_file(struct sd_archive *a, const struct sd_archive_entry *e, void *arg)
{
	struct collection *c = arg;
	size_t len = strlen(e->base);

	/* data_batch_6.bin, or the files of the other CIFAR */
	if (len > 4 && !strcmp(e->base + len - 4, ".bin"))
		return sd_error(SD_ERR_DATA, "%s: %s: %s has no file of that name", sd_archive_name(a),
				e->path, c->r->name);
	return c->images && sd_images_add(c->images, a, e) < 0 ? -1 : 0;
}

/* CIFAR-10 out of pictures, whose folders have to be the right ones. */
static struct sd_dataset *from_images(struct sd_archive *a, const struct sd_reader *r,
				      struct sd_images *images)
{
	struct sd_dataset *ds = sd_images_finish(images, r->name, a);
	int ok = ds && ds->H == SIDE && ds->W == SIDE && ds->nclass == SD_CIFAR10_CLASSES &&
		ds->split[SD_SPLIT_TEST].n;

	for (int i = 0; ok && i < SD_CIFAR10_CLASSES; i++)
		ok = !strcmp(ds->classes[i], sd_cifar10_class[i]);
	if (ok || !ds)
		return ds;
	sd_error(SD_ERR_DATA,
		 "%s: pictures of %d x %d pixels in %d folders, 32 x 32 in folders train and test with "
		 "airplane, automobile, ... are expected", sd_archive_name(a), ds->W, ds->H, ds->nclass);
	sd_dataset_free(ds);
	return NULL;
}

static struct sd_dataset *read_forms(struct sd_archive *a, const struct sd_reader *r,
				     const struct form form[FORMS],
				     struct sd_images *images, struct sd_read_notes *notes)
{
	struct collection c = { r, images };
	struct sd_wanted want[FORMS * (MAX_BATCHES + 1)] = { { NULL, 0 } };
	struct sd_found found[FORMS * (MAX_BATCHES + 1)];
	struct sd_dataset *ds = NULL;
	int files = form[0].batches + 1, some[FORMS] = { 0 }, pictures;

	for (int i = 0; i < FORMS * files; i++)
		want[i] = form[i / files].file[i % files];
	if (sd_files_collect(a, want, FORMS * files, found, other_file, &c))
		goto out;
	for (int i = 0; i < FORMS * files; i++)
		some[i / files] |= found[i].data && i % files < form[0].batches;
	pictures = images && sd_images_count(images);
	if (some[BINARY] + some[PYTHON] + pictures > 1) {
		sd_error(SD_ERR_DATA, "%s: it holds %s in more than one form", sd_archive_name(a), r->name);
	} else if (pictures) {
		notes->jpeg = sd_images_jpeg(images);
		ds = from_images(a, r, images);
	} else {
		int python = some[PYTHON] > 0;

		ds = make(a, r, &form[python], python, found + python * files);
	}
out:
	sd_files_release(found, FORMS * files);
	return ds;
}

struct sd_dataset *sd_read_cifar10(struct sd_archive *a, const struct sd_reader *r,
				   const struct sd_read_options *o, struct sd_read_notes *notes)
{
	struct sd_images *images = sd_images_new(0, 0);
	struct sd_dataset *ds = images ? read_forms(a, r, cifar10, images, notes) : NULL;

	(void)o;
	sd_images_free(images);
	return ds;
}

struct sd_dataset *sd_read_cifar100(struct sd_archive *a, const struct sd_reader *r,
				    const struct sd_read_options *o, struct sd_read_notes *notes)
{
	(void)o;
	return read_forms(a, r, cifar100, NULL, notes);
}
