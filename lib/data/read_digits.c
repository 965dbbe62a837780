/* read_digits.c: handwritten digits of 8 x 8 pixels, from lines of text (Alpaydin and Kaynak, "Optical
 * recognition of handwritten digits", UCI Machine Learning Repository, 1998).
 *
 * A line is 64 values 0..16, row by row, and the label.  A value v becomes the byte 255 * v / 16, rounded
 * to nearest, a half up.  The set has no official split: four fifths, rounded down, become training images
 * after a shuffle with a fixed seed (1,437 and 360 of the 1,797 lines), in the shuffled order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "data/reader.h"

enum { SIDE = 8, PIXELS = SIDE * SIDE, CLASSES = 10, DEEPEST = 16 };

/* One whole number at *p, not over `most`, then `end` (a newline may be the end of the text, too). */
static int read_number(const char **p, unsigned most, char end, unsigned *value)
{
	const char *s = *p;
	unsigned v = 0;

	if (*s < '0' || *s > '9')
		return -1;
	for (; *s >= '0' && *s <= '9' && v <= most; s++)
		v = 10 * v + (unsigned)(*s - '0');
	if (end == '\n' && *s == '\r')
		s++;
	if (v > most || (*s != end && !(end == '\n' && !*s)))
		return -1;
	*p = *s ? s + 1 : s;
	*value = v;
	return 0;
}

/* Parses every line into an image, its label and the number of the line. */
static int read_lines(const char *name, const char *text, size_t size, struct sd_split *out)
{
	const char *p = text, *end = text + size;
	uint32_t n = 0;

	while (p < end) {
		uint8_t *image = out->images + (size_t)n * PIXELS;
		unsigned v;

		for (int i = 0; i < PIXELS; i++) {
			if (read_number(&p, DEEPEST, ',', &v))
				return sd_error(SD_ERR_DATA,
						"%s: line %u, value %d: a number of 0 to %d and a comma are "
						"expected", name, n + 1, i + 1, DEEPEST);
			image[i] = (uint8_t)((255 * v + DEEPEST / 2) / DEEPEST);
		}
		if (read_number(&p, CLASSES - 1, '\n', &v))
			return sd_error(SD_ERR_DATA,
					"%s: line %u, value %d: a label of 0 to %d and the end of the line "
					"are expected", name, n + 1, PIXELS + 1, CLASSES - 1);
		out->labels[n] = (int32_t)v;
		out->source[n] = n;
		n++;
	}
	return 0;
}

/* The whole text, and in *file its name for messages. */
static char *read_text(struct sd_archive *a, char **file, size_t *size)
{
	struct sd_archive_entry e;
	char *text = NULL;
	int more;

	while ((more = sd_archive_next(a, &e)) == 1) {
		if (!e.bare && strcmp(e.base, "digits.csv"))
			continue;
		if (text) {
			sd_error(SD_ERR_DATA, "%s: %s: a second file of that name", sd_archive_name(a),
				 e.path);
			goto fail;
		}
		text = (char *)sd_archive_slurp(a, SIZE_MAX / 2, size);
		if (!text)
			goto fail;
		if (asprintf(file, "%s%s%s", sd_archive_name(a), e.bare ? "" : ": ",
			     e.bare ? "" : e.path) < 0) {
			*file = NULL;
			sd_error(SD_ERR_IO, "out of memory for '%s'", sd_archive_name(a));
			goto fail;
		}
	}
	if (more < 0)
		goto fail;
	if (!text)
		sd_error(SD_ERR_DATA, "%s: there is no digits.csv", sd_archive_name(a));
	return text;
fail:
	free(text);
	return NULL;
}

struct sd_dataset *sd_read_digits(struct sd_archive *a, const struct sd_reader *r,
				  const struct sd_read_options *o, struct sd_read_notes *notes)
{
	struct sd_dataset *ds = NULL;
	char *file = NULL;
	uint32_t n[SD_NSPLIT] = { 0, 0 };
	size_t size = 0;
	char *text = read_text(a, &file, &size);
	int ok = 0;

	(void)r;
	(void)o;
	(void)notes;
	if (!text)
		goto out;
	for (size_t i = 0; i < size; i++)
		n[SD_SPLIT_TRAIN] += text[i] == '\n' || i + 1 == size;
	if (!size) {
		sd_error(SD_ERR_DATA, "%s: the file is empty", file);
		goto out;
	}
	ds = sd_dataset_new("digits", 1, SIDE, SIDE, CLASSES, n);
	ok = ds && !read_lines(file, text, size, &ds->split[SD_SPLIT_TRAIN]) && !sd_dataset_part(ds, "digits");
out:
	free(file);
	free(text);
	if (ok)
		return ds;
	sd_dataset_free(ds);
	return NULL;
}
