/* pickle_machine.h: the machine for which a pickle is the program (private to pickle*.c).  What fails says so
 * and is -1 or NULL. */
#ifndef SD_DATA_PICKLE_MACHINE_H
#define SD_DATA_PICKLE_MACHINE_H

#include "data/pickle.h"

enum { SD_PICKLE_MARK = UINT32_MAX };

struct sd_pickle {
	const char *name;
	const uint8_t *file, *at, *end;
	struct sd_pickle_value *value;
	uint32_t values, value_room;
	uint32_t *stack;           /* numbers of values, or MARK */
	uint32_t height, stack_room;
	uint32_t *memo;            /* numbers of values and 1; 0: nothing there */
	uint32_t memos, memo_room; /* memos: the most that was set */
	uint32_t items;            /* of all values together */
	uint32_t root;
};

/* An error at this place of the file: -1. */
int sd_pickle_wrong(const struct sd_pickle *p, const char *what);

/* ---- the stack ---- */
int sd_pickle_push(struct sd_pickle *p, uint32_t v);
/* A new value on the stack. */
struct sd_pickle_value *sd_pickle_push_new(struct sd_pickle *p, enum sd_pickle_kind kind);
/* The number of the value that lies `deep` below the top. */
int64_t sd_pickle_peek(struct sd_pickle *p, uint32_t deep);
/* How many values lie above the last mark. */
int64_t sd_pickle_above_mark(struct sd_pickle *p);
/* Moves the n values on top into the container below them (and below a mark, if there is one). */
int sd_pickle_add_to(struct sd_pickle *p, uint32_t n, int mark, enum sd_pickle_kind kind);
/* Makes a container of the n values on top, and of the mark below them. */
int sd_pickle_collect(struct sd_pickle *p, uint32_t n, int mark, enum sd_pickle_kind kind);
/* Item i of a tuple, or one of kind NONE. */
const struct sd_pickle_value *sd_pickle_value_of(const struct sd_pickle *p, const struct sd_pickle_value *v,
						 uint32_t i);
int sd_pickle_equals(const uint8_t *text, uint64_t size, const char *s);

/* ---- what is kept by number: the value on top; onto the stack again ---- */
int sd_pickle_put(struct sd_pickle *p, uint64_t slot);
int sd_pickle_get(struct sd_pickle *p, uint64_t slot);

/* ---- NumPy ---- */
/* Puts a name on the stack that rebuilding an array needs; any other is an error. */
int sd_pickle_push_global(struct sd_pickle *p, const uint8_t *module, uint64_t module_size, const uint8_t *name,
			  uint64_t name_size);
/* A call of such a name with the tuple on top. */
int sd_pickle_reduce(struct sd_pickle *p);
/* Gives what was made by a call its state, the tuple on top. */
int sd_pickle_build(struct sd_pickle *p);

#endif
