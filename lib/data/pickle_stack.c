/* pickle_stack.c: the values of a pickle, the stack that they are on, its marks, and what is kept by number. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "data/pickle_machine.h"

enum { MAX_ITEMS = 4 * SD_PICKLE_VALUES };

int sd_pickle_wrong(const struct sd_pickle *p, const char *what)
{
	return sd_error(SD_ERR_DATA, "%s: pickle: %s (byte %zu)", p->name, what, (size_t)(p->at - p->file));
}

/* Room for one more of *n things of `size` bytes, `most` being allowed. */
static int grow(const struct sd_pickle *p, void *array, size_t size, uint32_t n, uint32_t *room,
		uint32_t most)
{
	void **a = array, *bigger;
	uint32_t more = *room ? 2 * *room : 64;

	if (n < *room)
		return 0;
	if (n >= most)
		return sd_pickle_wrong(p, "more values than any data set has");
	bigger = realloc(*a, more * size);
	if (!bigger)
		return sd_error(SD_ERR_IO, "out of memory for '%s'", p->name);
	*a = bigger;
	*room = more;
	return 0;
}

int sd_pickle_push(struct sd_pickle *p, uint32_t v)
{
	if (grow(p, &p->stack, sizeof(*p->stack), p->height, &p->stack_room, SD_PICKLE_VALUES))
		return -1;
	p->stack[p->height++] = v;
	return 0;
}

struct sd_pickle_value *sd_pickle_push_new(struct sd_pickle *p, enum sd_pickle_kind kind)
{
	if (grow(p, &p->value, sizeof(*p->value), p->values, &p->value_room, SD_PICKLE_VALUES) ||
	    sd_pickle_push(p, p->values))
		return NULL;
	p->value[p->values] = (struct sd_pickle_value){ .kind = kind };
	return &p->value[p->values++];
}

int64_t sd_pickle_peek(struct sd_pickle *p, uint32_t deep)
{
	if (p->height <= deep || p->stack[p->height - 1 - deep] == SD_PICKLE_MARK)
		return sd_pickle_wrong(p, "a value is missing");
	return p->stack[p->height - 1 - deep];
}

int64_t sd_pickle_above_mark(struct sd_pickle *p)
{
	for (uint32_t n = 0; n < p->height; n++)
		if (p->stack[p->height - 1 - n] == SD_PICKLE_MARK)
			return n;
	return sd_pickle_wrong(p, "a mark is missing");
}

static int add_item(struct sd_pickle *p, uint32_t to, uint32_t item)
{
	struct sd_pickle_value *v = &p->value[to];

	if (p->items >= MAX_ITEMS)
		return sd_pickle_wrong(p, "more values than any data set has");
	if (grow(p, &v->item, sizeof(*v->item), v->items, &v->room, MAX_ITEMS))
		return -1;
	v->item[v->items++] = item;
	p->items++;
	return 0;
}

int sd_pickle_add_to(struct sd_pickle *p, uint32_t n, int mark, enum sd_pickle_kind kind)
{
	uint32_t first = p->height - n;
	int64_t to = -1;

	if (first > (uint32_t)mark)
		to = p->stack[first - 1 - (uint32_t)mark];
	if (to < 0 || to == SD_PICKLE_MARK || p->value[to].kind != kind || (kind == SD_PICKLE_DICT && n % 2))
		return sd_pickle_wrong(p, "items for what takes none");
	for (uint32_t i = 0; i < n; i++)
		if (add_item(p, (uint32_t)to, p->stack[first + i]))
			return -1;
	p->height = first - (uint32_t)mark;
	return 0;
}

int sd_pickle_collect(struct sd_pickle *p, uint32_t n, int mark, enum sd_pickle_kind kind)
{
	uint32_t v = p->values, first = p->height - n;

	if (!sd_pickle_push_new(p, kind))
		return -1;
	p->height--;
	if (kind == SD_PICKLE_DICT && n % 2)
		return sd_pickle_wrong(p, "a key without a value");
	for (uint32_t i = 0; i < n; i++)
		if (add_item(p, v, p->stack[first + i]))
			return -1;
	p->height = first - (uint32_t)mark;
	return sd_pickle_push(p, v);
}

int sd_pickle_put(struct sd_pickle *p, uint64_t slot)
{
	int64_t v = sd_pickle_peek(p, 0);

	if (v < 0)
		return -1;
	if (slot >= SD_PICKLE_VALUES)
		return sd_pickle_wrong(p, "more values than any data set has");
	while (p->memo_room <= slot) {
		uint32_t before = p->memo_room;

		if (grow(p, &p->memo, sizeof(*p->memo), p->memo_room, &p->memo_room, UINT32_MAX))
			return -1;
		memset(p->memo + before, 0, (p->memo_room - before) * sizeof(*p->memo));
	}
	p->memo[slot] = (uint32_t)v + 1;
	p->memos++;
	return 0;
}

int sd_pickle_get(struct sd_pickle *p, uint64_t slot)
{
	if (slot >= p->memo_room || !p->memo[slot])
		return sd_pickle_wrong(p, "nothing was kept under this number");
	return sd_pickle_push(p, p->memo[slot] - 1);
}

const struct sd_pickle_value *sd_pickle_value_of(const struct sd_pickle *p, const struct sd_pickle_value *v,
						 uint32_t i)
{
	static const struct sd_pickle_value none;

	return i < v->items ? &p->value[v->item[i]] : &none;
}

int sd_pickle_equals(const uint8_t *text, uint64_t size, const char *s)
{
	return size == strlen(s) && !memcmp(text, s, size);
}
