/* pickle.c: a stack machine for a harmless part of the pickle language (Python's Lib/pickletools.py describes
 * the opcodes; NumPy's ndarray.__reduce__ the arrays). */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "data/pickle.h"

enum { MARK = UINT32_MAX, MAX_ITEMS = 4 * SD_PICKLE_VALUES };

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

enum { RECONSTRUCT, NDARRAY, DTYPE };
static const struct {
	const char *module, *name;
	int what;
} globals[] = {
	{ "numpy.core.multiarray", "_reconstruct", RECONSTRUCT },
	{ "numpy._core.multiarray", "_reconstruct", RECONSTRUCT },
	{ "numpy", "ndarray", NDARRAY },
	{ "numpy", "dtype", DTYPE },
};

static int wrong(const struct sd_pickle *p, const char *what)
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
		return wrong(p, "more values than any data set has");
	bigger = realloc(*a, more * size);
	if (!bigger)
		return sd_error(SD_ERR_IO, "out of memory for '%s'", p->name);
	*a = bigger;
	*room = more;
	return 0;
}

static int push(struct sd_pickle *p, uint32_t v)
{
	if (grow(p, &p->stack, sizeof(*p->stack), p->height, &p->stack_room, SD_PICKLE_VALUES))
		return -1;
	p->stack[p->height++] = v;
	return 0;
}

/* A new value on the stack, or NULL. */
static struct sd_pickle_value *push_new(struct sd_pickle *p, enum sd_pickle_kind kind)
{
	if (grow(p, &p->value, sizeof(*p->value), p->values, &p->value_room, SD_PICKLE_VALUES) ||
	    push(p, p->values))
		return NULL;
	p->value[p->values] = (struct sd_pickle_value){ .kind = kind };
	return &p->value[p->values++];
}

static int push_number(struct sd_pickle *p, int64_t number)
{
	struct sd_pickle_value *v = push_new(p, SD_PICKLE_NUMBER);

	if (v)
		v->number = number;
	return v ? 0 : -1;
}

/* The number of the value that lies `deep` below the top; -1 when there is none. */
static int64_t peek(struct sd_pickle *p, uint32_t deep)
{
	if (p->height <= deep || p->stack[p->height - 1 - deep] == MARK)
		return wrong(p, "a value is missing");
	return p->stack[p->height - 1 - deep];
}

/* How many values lie above the last mark, or -1. */
static int64_t above_mark(struct sd_pickle *p)
{
	for (uint32_t n = 0; n < p->height; n++)
		if (p->stack[p->height - 1 - n] == MARK)
			return n;
	return wrong(p, "a mark is missing");
}

static int add_item(struct sd_pickle *p, uint32_t to, uint32_t item)
{
	struct sd_pickle_value *v = &p->value[to];

	if (p->items >= MAX_ITEMS)
		return wrong(p, "more values than any data set has");
	if (grow(p, &v->item, sizeof(*v->item), v->items, &v->room, MAX_ITEMS))
		return -1;
	v->item[v->items++] = item;
	p->items++;
	return 0;
}

/* Moves the n values on top into the container below them (and below a mark, if there is one). */
static int add_to(struct sd_pickle *p, uint32_t n, int mark, enum sd_pickle_kind kind)
{
	uint32_t first = p->height - n;
	int64_t to = -1;

	if (first > (uint32_t)mark)
		to = p->stack[first - 1 - (uint32_t)mark];
	if (to < 0 || to == MARK || p->value[to].kind != kind || (kind == SD_PICKLE_DICT && n % 2))
		return wrong(p, "items for what takes none");
	for (uint32_t i = 0; i < n; i++)
		if (add_item(p, (uint32_t)to, p->stack[first + i]))
			return -1;
	p->height = first - (uint32_t)mark;
	return 0;
}

/* Makes a container of the n values on top, and of the mark below them. */
static int collect(struct sd_pickle *p, uint32_t n, int mark, enum sd_pickle_kind kind)
{
	uint32_t v = p->values, first = p->height - n;

	if (!push_new(p, kind))
		return -1;
	p->height--;
	if (kind == SD_PICKLE_DICT && n % 2)
		return wrong(p, "a key without a value");
	for (uint32_t i = 0; i < n; i++)
		if (add_item(p, v, p->stack[first + i]))
			return -1;
	p->height = first - (uint32_t)mark;
	return push(p, v);
}

/* n bytes of the file, or NULL. */
static const uint8_t *bytes(struct sd_pickle *p, uint64_t n)
{
	const uint8_t *b = p->at;

	if (n > (uint64_t)(p->end - p->at)) {
		wrong(p, "the file is cut short");
		return NULL;
	}
	p->at += n;
	return b;
}

/* An unsigned number of n bytes, little-endian. */
static int unsigned_of(struct sd_pickle *p, int n, uint64_t *value)
{
	const uint8_t *b = bytes(p, (uint64_t)n);

	if (!b)
		return -1;
	*value = 0;
	for (int i = 0; i < n; i++)
		*value |= (uint64_t)b[i] << (8 * i);
	return 0;
}

/* The bytes to the end of a line, which is passed. */
static const uint8_t *line(struct sd_pickle *p, size_t *len)
{
	const uint8_t *start = p->at, *stop = memchr(start, '\n', (size_t)(p->end - start));

	if (!stop) {
		wrong(p, "the file is cut short");
		return NULL;
	}
	*len = (size_t)(stop - start);
	p->at = stop + 1;
	return start;
}

/* A decimal number on a line of its own, an L behind it allowed. */
static int number_line(struct sd_pickle *p, int64_t *number)
{
	size_t len;
	const uint8_t *s = line(p, &len);
	int negative = s && len && *s == '-';
	int64_t n = 0;

	if (!s)
		return -1;
	if (len > 1 && s[len - 1] == 'L')
		len--;
	if (len <= (size_t)negative || len > 18)
		return wrong(p, "this is no number");
	for (size_t i = (size_t)negative; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return wrong(p, "this is no number");
		n = 10 * n + (s[i] - '0');
	}
	*number = negative ? -n : n;
	return 0;
}

static int push_text(struct sd_pickle *p, const uint8_t *text, uint64_t size)
{
	struct sd_pickle_value *v = text ? push_new(p, SD_PICKLE_TEXT) : NULL;

	if (!v)
		return -1;
	v->text = text;
	v->size = size;
	return 0;
}

static int push_counted(struct sd_pickle *p, int width)
{
	uint64_t n;

	if (unsigned_of(p, width, &n))
		return -1;
	return push_text(p, bytes(p, n), n);
}

/* 'text' of protocol 0.  The names in question have nothing to escape. */
static int push_quoted(struct sd_pickle *p)
{
	size_t len;
	const uint8_t *s = line(p, &len);

	if (!s)
		return -1;
	if (len < 2 || (*s != '\'' && *s != '"') || s[len - 1] != *s || memchr(s, '\\', len))
		return wrong(p, "this is no plain text");
	return push_text(p, s + 1, len - 2);
}

static int put(struct sd_pickle *p, uint64_t slot)
{
	int64_t v = peek(p, 0);

	if (v < 0)
		return -1;
	if (slot >= SD_PICKLE_VALUES)
		return wrong(p, "more values than any data set has");
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

static int get(struct sd_pickle *p, uint64_t slot)
{
	if (slot >= p->memo_room || !p->memo[slot])
		return wrong(p, "nothing was kept under this number");
	return push(p, p->memo[slot] - 1);
}

static int equals(const uint8_t *text, uint64_t size, const char *s)
{
	return size == strlen(s) && !memcmp(text, s, size);
}

static int push_global(struct sd_pickle *p, const uint8_t *module, uint64_t module_size, const uint8_t *name,
		       uint64_t name_size)
{
	for (size_t i = 0; i < sizeof(globals) / sizeof(globals[0]); i++)
		if (equals(module, module_size, globals[i].module) &&
		    equals(name, name_size, globals[i].name)) {
			struct sd_pickle_value *v = push_new(p, SD_PICKLE_GLOBAL);

			if (v)
				v->number = globals[i].what;
			return v ? 0 : -1;
		}
	return wrong(p, "a name that a data set has no use for");
}

static int global_lines(struct sd_pickle *p)
{
	size_t module_size, name_size;
	const uint8_t *module = line(p, &module_size), *name = module ? line(p, &name_size) : NULL;

	return name ? push_global(p, module, module_size, name, name_size) : -1;
}

static int global_texts(struct sd_pickle *p)
{
	int64_t name = peek(p, 0), module = name < 0 ? -1 : peek(p, 1);
	const struct sd_pickle_value *m, *n;

	if (module < 0)
		return -1;
	n = &p->value[name];
	m = &p->value[module];
	if (n->kind != SD_PICKLE_TEXT || m->kind != SD_PICKLE_TEXT)
		return wrong(p, "this is no name");
	p->height -= 2;
	return push_global(p, m->text, m->size, n->text, n->size);
}

/* Item i of a tuple, or one of kind NONE. */
static const struct sd_pickle_value *item(const struct sd_pickle *p, const struct sd_pickle_value *v,
					  uint32_t i)
{
	static const struct sd_pickle_value none;

	return i < v->items ? &p->value[v->item[i]] : &none;
}

/* numpy._reconstruct(ndarray, shape, code), of which nothing but that it is an array is of use, and
 * dtype('u1', ...). */
static int reduce(struct sd_pickle *p)
{
	int64_t args = peek(p, 0), what = args < 0 ? -1 : peek(p, 1);
	const struct sd_pickle_value *a, *w, *first;

	if (what < 0)
		return -1;
	a = &p->value[args];
	w = &p->value[what];
	first = item(p, a, 0);
	if (w->kind != SD_PICKLE_GLOBAL || a->kind != SD_PICKLE_TUPLE)
		return wrong(p, "a call, and not of what makes an array");
	if (w->number == RECONSTRUCT && first->kind == SD_PICKLE_GLOBAL && first->number == NDARRAY) {
		p->height -= 2;
		return push_new(p, SD_PICKLE_ARRAY) ? 0 : -1;
	}
	if (w->number == DTYPE && first->kind == SD_PICKLE_TEXT &&
	    (equals(first->text, first->size, "u1") || equals(first->text, first->size, "|u1"))) {
		p->height -= 2;
		return push_new(p, SD_PICKLE_TYPE) ? 0 : -1;
	}
	return wrong(p, w->number == DTYPE ? "an array of anything but unsigned bytes"
					   : "a call, and not of what makes an array");
}

/* The state of an array: (1, shape, type, column-major, bytes); that of a type says nothing for bytes. */
static int build(struct sd_pickle *p)
{
	int64_t state = peek(p, 0), to = state < 0 ? -1 : peek(p, 1);
	const struct sd_pickle_value *s, *shape, *data;
	struct sd_pickle_value *v;
	uint64_t size[2] = { 0, 1 };

	if (to < 0)
		return -1;
	s = &p->value[state];
	v = &p->value[to];
	if (s->kind != SD_PICKLE_TUPLE || (v->kind != SD_PICKLE_TYPE && v->kind != SD_PICKLE_ARRAY))
		return wrong(p, "a state for what has none");
	p->height--;
	if (v->kind == SD_PICKLE_TYPE)
		return 0;
	shape = item(p, s, 1);
	data = item(p, s, 4);
	if (v->text || s->items != 5 || shape->kind != SD_PICKLE_TUPLE || shape->items < 1 ||
	    shape->items > 2 ||
	    item(p, s, 2)->kind != SD_PICKLE_TYPE || item(p, s, 3)->kind != SD_PICKLE_NUMBER ||
	    data->kind != SD_PICKLE_TEXT)
		return wrong(p, "this is no array of bytes with one or two axes");
	for (uint32_t i = 0; i < shape->items; i++) {
		const struct sd_pickle_value *n = item(p, shape, i);

		if (n->kind != SD_PICKLE_NUMBER || n->number < 0 || n->number > INT32_MAX)
			return wrong(p, "an absurd size of an array");
		size[i] = (uint64_t)n->number;
	}
	if (size[0] * size[1] != data->size)
		return wrong(p, "an array with more or fewer bytes than its size says");
	v->rows = size[0];
	v->columns = size[1];
	v->number = item(p, s, 3)->number != 0;
	v->text = data->text;
	v->size = data->size;
	return 0;
}

static int push_long(struct sd_pickle *p)
{
	uint64_t n, value = 0;
	const uint8_t *b;

	if (unsigned_of(p, 1, &n))
		return -1;
	if (n > 8)
		return wrong(p, "a number of more than 64 bits");
	b = bytes(p, n);
	if (!b)
		return -1;
	for (uint64_t i = 0; i < n; i++)
		value |= (uint64_t)b[i] << (8 * i);
	if (n && n < 8 && b[n - 1] & 0x80)
		value |= UINT64_MAX << (8 * n);
	return push_number(p, (int64_t)value);
}

/* A number of `width` bytes into *n, or a line with one for width 0. */
static int slot_of(struct sd_pickle *p, int width, uint64_t *n)
{
	int64_t number;

	if (width)
		return unsigned_of(p, width, n);
	if (number_line(p, &number))
		return -1;
	*n = (uint64_t)number;
	return 0;
}

static int memory(struct sd_pickle *p, int width, int (*what)(struct sd_pickle *p, uint64_t slot))
{
	uint64_t n;

	return slot_of(p, width, &n) ? -1 : what(p, n);
}

static int numbers(struct sd_pickle *p, int op)
{
	int64_t number = 0;
	uint64_t n = 0;

	switch (op) {
	case 'I': case 'L':
		return number_line(p, &number) ? -1 : push_number(p, number);
	case 'J':
		return unsigned_of(p, 4, &n) ? -1 : push_number(p, (int32_t)(uint32_t)n);
	case 'K':
		return unsigned_of(p, 1, &n) ? -1 : push_number(p, (int64_t)n);
	default:
		return unsigned_of(p, 2, &n) ? -1 : push_number(p, (int64_t)n);
	}
}

/* What closes a mark, and the marks themselves. */
static int containers(struct sd_pickle *p, int op)
{
	int64_t n = op == 'a' ? 1 : op == 's' ? 2 : op >= 0x85 ? op - 0x84 : above_mark(p);

	if (n < 0)
		return -1;
	for (int64_t i = 0; i < n && (op == 'a' || op == 's' || op >= 0x85); i++)
		if (peek(p, (uint32_t)i) < 0)
			return -1;
	switch (op) {
	case 'a':
		return add_to(p, 1, 0, SD_PICKLE_LIST);
	case 's':
		return add_to(p, 2, 0, SD_PICKLE_DICT);
	case 'e':
		return add_to(p, (uint32_t)n, 1, SD_PICKLE_LIST);
	case 'u':
		return add_to(p, (uint32_t)n, 1, SD_PICKLE_DICT);
	case 'l':
		return collect(p, (uint32_t)n, 1, SD_PICKLE_LIST);
	case 'd':
		return collect(p, (uint32_t)n, 1, SD_PICKLE_DICT);
	case 't':
		return collect(p, (uint32_t)n, 1, SD_PICKLE_TUPLE);
	default:
		return collect(p, (uint32_t)n, 0, SD_PICKLE_TUPLE);
	}
}

static int step(struct sd_pickle *p, int op)
{
	uint64_t n;

	switch (op) {
	case 0x80: /* PROTO */
		if (unsigned_of(p, 1, &n))
			return -1;
		return n > 4 ? wrong(p, "a protocol over 4") : 0;
	case 0x95: /* FRAME: a hint for buffering */
		return bytes(p, 8) ? 0 : -1;
	case '(':
		return push(p, MARK);
	case 'N':
		return push_new(p, SD_PICKLE_NONE) ? 0 : -1;
	case 0x88: case 0x89: /* True, False */
		return push_number(p, op == 0x88);
	case 'I': case 'L': case 'J': case 'K': case 'M':
		return numbers(p, op);
	case 0x8a:
		return push_long(p);
	case 'S':
		return push_quoted(p);
	case 'U': case 'C': case 0x8c:
		return push_counted(p, 1);
	case 'T': case 'X': case 'B':
		return push_counted(p, 4);
	case 0x8d: case 0x8e:
		return push_counted(p, 8);
	case ']':
		return push_new(p, SD_PICKLE_LIST) ? 0 : -1;
	case '}':
		return push_new(p, SD_PICKLE_DICT) ? 0 : -1;
	case ')':
		return push_new(p, SD_PICKLE_TUPLE) ? 0 : -1;
	case 'a': case 's': case 'e': case 'u': case 'l': case 'd': case 't': case 0x85: case 0x86: case 0x87:
		return containers(p, op);
	case 'p':
		return memory(p, 0, put);
	case 'q':
		return memory(p, 1, put);
	case 'r':
		return memory(p, 4, put);
	case 0x94: /* MEMOIZE */
		return put(p, p->memos);
	case 'g':
		return memory(p, 0, get);
	case 'h':
		return memory(p, 1, get);
	case 'j':
		return memory(p, 4, get);
	case 'c':
		return global_lines(p);
	case 0x93:
		return global_texts(p);
	case 'R':
		return reduce(p);
	case 'b':
		return build(p);
	default:
		return wrong(p, "an opcode that a data set has no use for");
	}
}

struct sd_pickle *sd_pickle_read(const char *name, const uint8_t *file, size_t size)
{
	struct sd_pickle *p = calloc(1, sizeof(*p));
	int64_t root;

	if (!p) {
		sd_error(SD_ERR_IO, "out of memory for '%s'", name);
		return NULL;
	}
	*p = (struct sd_pickle){ .name = name, .file = file, .at = file, .end = file + size };
	for (;;) {
		const uint8_t *op = bytes(p, 1);

		if (!op)
			goto fail;
		if (*op == '.')
			break;
		if (step(p, *op))
			goto fail;
	}
	root = peek(p, 0);
	if (root < 0)
		goto fail;
	p->root = (uint32_t)root;
	return p;
fail:
	sd_pickle_free(p);
	return NULL;
}

void sd_pickle_free(struct sd_pickle *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; i < p->values; i++)
		free(p->value[i].item);
	free(p->value);
	free(p->stack);
	free(p->memo);
	free(p);
}

const struct sd_pickle_value *sd_pickle_find(const struct sd_pickle *p, const char *key,
					     enum sd_pickle_kind kind)
{
	static const char *const what[] = {
		"nothing", "a number", "a text", "a tuple", "a list", "a dictionary", "a name", "a type",
		"an array",
	};
	const struct sd_pickle_value *d = &p->value[p->root];

	if (d->kind != SD_PICKLE_DICT) {
		sd_error(SD_ERR_DATA, "%s: pickle: a dictionary is expected", p->name);
		return NULL;
	}
	for (uint32_t i = 0; i + 1 < d->items; i += 2) {
		const struct sd_pickle_value *k = item(p, d, i), *v = item(p, d, i + 1);

		if (k->kind != SD_PICKLE_TEXT || !equals(k->text, k->size, key))
			continue;
		if (v->kind == kind && (kind != SD_PICKLE_ARRAY || v->text))
			return v;
		sd_error(SD_ERR_DATA, "%s: pickle: '%s' is %s, %s is expected", p->name, key,
			 v->kind == kind ? "an empty array" : what[v->kind], what[kind]);
		return NULL;
	}
	sd_error(SD_ERR_DATA, "%s: pickle: there is no '%s'", p->name, key);
	return NULL;
}

const struct sd_pickle_value *sd_pickle_item(const struct sd_pickle *p, const struct sd_pickle_value *list,
					     uint32_t i, enum sd_pickle_kind kind)
{
	const struct sd_pickle_value *v = item(p, list, i);

	return i < list->items && v->kind == kind ? v : NULL;
}
