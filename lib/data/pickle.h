/* pickle.h: the data in a Python pickle, without Python (private to this room).
 *
 * Only what a dictionary of lists, texts, numbers and arrays of bytes needs is understood, protocols 0 to
 * 4; anything else, and any name to be called other than those by which NumPy rebuilds an array, is an
 * error. Nothing is ever called.  Memory is a fixed number of bytes for each value, and there may be
 * SD_PICKLE_VALUES of them; texts and arrays are views into the file. */
#ifndef SD_DATA_PICKLE_H
#define SD_DATA_PICKLE_H

#include <stddef.h>
#include <stdint.h>

enum { SD_PICKLE_VALUES = 1 << 20 };

enum sd_pickle_kind {
	SD_PICKLE_NONE, SD_PICKLE_NUMBER, SD_PICKLE_TEXT, SD_PICKLE_TUPLE, SD_PICKLE_LIST, SD_PICKLE_DICT,
	SD_PICKLE_GLOBAL, SD_PICKLE_TYPE, SD_PICKLE_ARRAY,
};

struct sd_pickle_value {
	enum sd_pickle_kind kind;
	int64_t number;         /* of a number (True is 1); a global: which one; an array: 1 column-major */
	const uint8_t *text;    /* of a text; an array's bytes, NULL until it has its state */
	uint64_t size;          /* bytes of these */
	uint64_t rows, columns; /* of an array; columns 1 for a vector */
	uint32_t *item;         /* numbers of a tuple's, list's or dictionary's (key, value, ...) values */
	uint32_t items, room;
};

struct sd_pickle;

/* `file` must outlive the result.  NULL and a message that begins with `name`. */
struct sd_pickle *sd_pickle_read(const char *name, const uint8_t *file, size_t size);
void sd_pickle_free(struct sd_pickle *p);

/* What the dictionary at the root has under a key, if it is of that kind; else NULL and a message. */
const struct sd_pickle_value *sd_pickle_find(const struct sd_pickle *p, const char *key,
					     enum sd_pickle_kind kind);
/* Item i of a list or tuple if it is of that kind; else NULL, without a message. */
const struct sd_pickle_value *sd_pickle_item(const struct sd_pickle *p, const struct sd_pickle_value *list,
					     uint32_t i, enum sd_pickle_kind kind);

#endif
