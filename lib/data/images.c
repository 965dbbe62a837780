/* images.c: collecting pictures, then sorting them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "data/images.h"

enum { MAX_DEPTH = 32, NOWHERE = -1, VALID = SD_NSPLIT };

/* Pixels of a whole set in memory. */
#define MOST_BYTES ((size_t)8 << 30)

struct image {
	char *path;
	const char *class;  /* within path, not ended; class_len characters */
	size_t class_len;
	int split;          /* SD_SPLIT_*, VALID or NOWHERE */
	uint32_t index;     /* of its pixels */
};

struct sd_images {
	int size, grey, C, H, W;
	struct image *image;
	uint32_t n, room;
	uint8_t *pixels;    /* (n, C, H, W) */
	size_t pixel_room;  /* images */
	int jpeg;
	char *first;        /* path of the first one, whose size the others have to have */
};

struct sd_images *sd_images_new(int size, int grey)
{
	struct sd_images *im = calloc(1, sizeof(*im));

	if (!im) {
		sd_error(SD_ERR_IO, "out of memory for images");
		return NULL;
	}
	im->size = size;
	im->grey = grey;
	im->C = grey ? 1 : 3;
	return im;
}

void sd_images_free(struct sd_images *im)
{
	if (!im)
		return;
	for (uint32_t i = 0; i < im->n; i++)
		free(im->image[i].path);
	free(im->image);
	free(im->pixels);
	free(im->first);
	free(im);
}

uint32_t sd_images_count(const struct sd_images *im)
{
	return im->n;
}

int sd_images_jpeg(const struct sd_images *im)
{
	return im->jpeg;
}

static int split_of(const char *s, size_t len)
{
	static const struct {
		const char *name;
		int split;
	} names[] = {
		{ "train", SD_SPLIT_TRAIN }, { "training", SD_SPLIT_TRAIN }, { "test", SD_SPLIT_TEST },
		{ "testing", SD_SPLIT_TEST }, { "val", VALID }, { "valid", VALID }, { "validation", VALID },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i].name) == len && !strncasecmp(s, names[i].name, len))
			return names[i].split;
	return NOWHERE;
}

/* Reads split and class off the path. */
static int place(struct image *m, const char *archive)
{
	const char *part[MAX_DEPTH];
	size_t len[MAX_DEPTH];
	int n = 0;

	for (const char *p = m->path; p && n < MAX_DEPTH; p = strchr(p, '/')) {
		p += *p == '/';
		part[n] = p;
		len[n++] = strcspn(p, "/");
	}
	m->split = NOWHERE;
	for (int i = 0; i + 2 < n; i++) {
		int s = split_of(part[i], len[i]);

		if (s != NOWHERE) {
			m->split = s;
			m->class = part[i + 1];
			m->class_len = len[i + 1];
			return 0;
		}
	}
	if (n < 2)
		return sd_error(SD_ERR_DATA,
				"%s: %s: a folder with the name of its class is expected around it",
				archive, m->path);
	m->class = part[n - 2];
	m->class_len = len[n - 2];
	return 0;
}

/* Copies a picture behind the others, planes before rows. */
static int keep(struct sd_images *im, const struct sd_picture *p, const char *name, const char *path)
{
	size_t plane = (size_t)p->H * (size_t)p->W, bytes = (size_t)im->C * plane;
	uint8_t *to;

	if (!im->n) {
		im->H = p->H;
		im->W = p->W;
		im->first = strdup(path);
		if (p->H > SD_MAX_SIDE || p->W > SD_MAX_SIDE)
			return sd_error(SD_ERR_DATA,
					"%s: %d x %d pixels, at most %d on a side are expected (--size "
					"makes them smaller)", name, p->W, p->H, SD_MAX_SIDE);
	}
	if (p->H != im->H || p->W != im->W)
		return sd_error(SD_ERR_DATA,
				"%s: %d x %d pixels, and %d x %d in %s (--size makes them one size)", name,
				p->W, p->H, im->W, im->H, im->first ? im->first : "the first");
	if (im->n == im->pixel_room) {
		size_t room = im->pixel_room ? 2 * im->pixel_room : 64;
		uint8_t *bigger;

		if (im->n >= MOST_BYTES / bytes)
			return sd_error(SD_ERR_DATA,
					"%s: more than %zu bytes of pixels (--size makes them fewer)", name,
					MOST_BYTES);
		bigger = realloc(im->pixels, room * bytes);
		if (!bigger)
			return sd_error(SD_ERR_IO, "out of memory for '%s'", name);
		im->pixels = bigger;
		im->pixel_room = room;
	}
	to = im->pixels + im->n * bytes;
	for (size_t i = 0; i < plane; i++)
		if (im->grey)
			to[i] = sd_picture_luma(p->pixels + 3 * i);
		else
			for (size_t c = 0; c < 3; c++)
				to[c * plane + i] = p->pixels[3 * i + c];
	return 0;
}

static int add(struct sd_images *im, struct sd_archive *a, const struct sd_archive_entry *e, const char *name)
{
	struct sd_picture p = { 0 };
	struct image m = { .path = strdup(e->path), .index = im->n };
	size_t size;
	uint8_t *file = NULL;
	int ret = -1;

	if (!m.path) {
		sd_error(SD_ERR_IO, "out of memory for '%s'", name);
		goto out;
	}
	if (place(&m, sd_archive_name(a)))
		goto out;
	file = sd_archive_slurp(a, SIZE_MAX / 2, &size);
	if (!file || sd_picture_decode(&p, name, file, size))
		goto out;
	if (im->size && sd_picture_resize(&p, im->size)) {
		sd_error_in("%s", name);
		goto out;
	}
	if (im->n == im->room) {
		uint32_t room = im->room ? 2 * im->room : 64;
		struct image *bigger = realloc(im->image, room * sizeof(*bigger));

		if (!bigger) {
			sd_error(SD_ERR_IO, "out of memory for '%s'", name);
			goto out;
		}
		im->image = bigger;
		im->room = room;
	}
	if (keep(im, &p, name, e->path))
		goto out;
	im->jpeg |= p.format == SD_PICTURE_JPEG;
	im->image[im->n++] = m;
	m.path = NULL;
	ret = 1;
out:
	sd_picture_release(&p);
	free(file);
	free(m.path);
	return ret;
}

int sd_images_add(struct sd_images *im, struct sd_archive *a, const struct sd_archive_entry *e)
{
	char *name;
	int ret;

	if (!sd_picture_name(e->base) || e->base[0] == '.' || strstr(e->path, "__MACOSX/"))
		return 0;
	if (asprintf(&name, "%s: %s", sd_archive_name(a), e->path) < 0)
		return sd_error(SD_ERR_IO, "out of memory for '%s'", sd_archive_name(a));
	ret = add(im, a, e, name);
	free(name);
	return ret;
}

static int by_split_and_path(const void *a, const void *b)
{
	const struct image *x = a, *y = b;

	return x->split != y->split ? x->split - y->split : strcmp(x->path, y->path);
}

static int compare_class(const struct image *x, const struct image *y)
{
	size_t len = x->class_len < y->class_len ? x->class_len : y->class_len;
	int order = memcmp(x->class, y->class, len);

	return order ? order : (x->class_len > y->class_len) - (x->class_len < y->class_len);
}

static int by_class(const void *a, const void *b)
{
	return compare_class(*(const struct image *const *)a, *(const struct image *const *)b);
}

/* How many images each split has; the validation images are the test images where there are no others. */
static int count_splits(struct sd_images *im, const struct sd_archive *a, uint32_t n[SD_NSPLIT])
{
	uint32_t count[SD_NSPLIT + 1] = { 0 }, nowhere = 0;

	for (uint32_t i = 0; i < im->n; i++)
		if (im->image[i].split == NOWHERE)
			nowhere++;
		else
			count[im->image[i].split]++;
	if (nowhere && nowhere < im->n)
		return sd_error(SD_ERR_DATA, "%s: some pictures are in folders train and test, %u are not",
				sd_archive_name(a), nowhere);
	if (count[SD_SPLIT_TEST] && count[VALID])
		return sd_error(SD_ERR_DATA,
				"%s: there is both a test and a validation folder, one is expected",
				sd_archive_name(a));
	if (!nowhere && !count[SD_SPLIT_TRAIN])
		return sd_error(SD_ERR_DATA, "%s: there is no picture in a train folder", sd_archive_name(a));
	for (uint32_t i = 0; i < im->n; i++)
		if (im->image[i].split == VALID)
			im->image[i].split = SD_SPLIT_TEST;
		else if (nowhere)
			im->image[i].split = SD_SPLIT_TRAIN;
	n[SD_SPLIT_TRAIN] = count[SD_SPLIT_TRAIN] + nowhere;
	n[SD_SPLIT_TEST] = count[SD_SPLIT_TEST] + count[VALID];
	return nowhere > 0;
}

/* One image of each class, sorted by the classes' names; the caller frees the list. */
static const struct image **list_classes(const struct sd_images *im, int *nclass)
{
	const struct image **class = malloc(im->n * sizeof(*class));
	uint32_t n = 0;

	if (!class) {
		sd_error(SD_ERR_IO, "out of memory for %u images", im->n);
		return NULL;
	}
	for (uint32_t i = 0; i < im->n; i++)
		class[i] = &im->image[i];
	qsort(class, im->n, sizeof(*class), by_class);
	for (uint32_t i = 0; i < im->n; i++)
		if (!n || compare_class(class[n - 1], class[i]))
			class[n++] = class[i];
	*nclass = n > SD_MAX_CLASSES ? SD_MAX_CLASSES + 1 : (int)n;
	return class;
}

static int fill(const struct sd_images *im, const struct image *const *class, struct sd_dataset *ds)
{
	size_t bytes = sd_dataset_image_bytes(ds);
	uint32_t at[SD_NSPLIT] = { 0 };
	char name[256];

	for (int c = 0; c < ds->nclass; c++) {
		if (class[c]->class_len >= sizeof(name))
			return sd_error(SD_ERR_DATA, "a class whose name is longer than %zu bytes",
					sizeof(name) - 1);
		memcpy(name, class[c]->class, class[c]->class_len);
		name[class[c]->class_len] = 0;
		if (sd_dataset_name_class(ds, c, name))
			return -1;
	}
	for (uint32_t i = 0; i < im->n; i++) {
		const struct image *m = &im->image[i], **found;
		struct sd_split *sp = &ds->split[m->split];
		uint32_t k = at[m->split]++;

		found = bsearch(&m, class, (size_t)ds->nclass, sizeof(*class), by_class);
		memcpy(sp->images + k * bytes, im->pixels + m->index * bytes, bytes);
		sp->labels[k] = (int32_t)(found - (const struct image **)class);
		sp->source[k] = k;
	}
	return 0;
}

/* Test images of a class that was never trained would all be wrong. */
static int check_classes(const struct sd_dataset *ds, const struct sd_archive *a)
{
	uint8_t *seen = calloc((size_t)ds->nclass, 1);
	int ret = 0;

	if (!seen)
		return sd_error(SD_ERR_IO, "out of memory for %d classes", ds->nclass);
	for (uint32_t i = 0; i < ds->split[SD_SPLIT_TRAIN].n; i++)
		seen[ds->split[SD_SPLIT_TRAIN].labels[i]] = 1;
	for (int c = 0; c < ds->nclass && !ret; c++)
		if (!seen[c])
			ret = sd_error(SD_ERR_DATA, "%s: class '%s' has test images and no training images",
				       sd_archive_name(a), ds->classes[c]);
	free(seen);
	return ret;
}

struct sd_dataset *sd_images_finish(struct sd_images *im, const char *name, const struct sd_archive *a)
{
	const struct image **class = NULL;
	struct sd_dataset *ds = NULL;
	uint32_t n[SD_NSPLIT];
	int whole, nclass;

	if (!im->n) {
		sd_error(SD_ERR_DATA, "%s: there are no pictures (.jpg, .jpeg, .png) in it",
			 sd_archive_name(a));
		return NULL;
	}
	whole = count_splits(im, a, n);
	if (whole < 0)
		return NULL;
	qsort(im->image, im->n, sizeof(*im->image), by_split_and_path);
	for (uint32_t i = 1; i < im->n; i++)
		if (!by_split_and_path(&im->image[i - 1], &im->image[i])) {
			sd_error(SD_ERR_DATA, "%s: %s: a second file of that name", sd_archive_name(a),
				 im->image[i].path);
			return NULL;
		}
	class = list_classes(im, &nclass);
	if (!class)
		return NULL;
	ds = sd_dataset_new(name, im->C, im->H, im->W, nclass, n);
	if (!ds || fill(im, class, ds) || (whole ? sd_dataset_part(ds, "images") : check_classes(ds, a))) {
		sd_error_in("%s", sd_archive_name(a));
		sd_dataset_free(ds);
		ds = NULL;
	}
	free(class);
	return ds;
}
