/* pickle.c: a stack machine for a harmless part of the pickle language (Python's Lib/pickletools.py describes
 * the opcodes; NumPy's ndarray.__reduce__ the arrays). */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "data/pickle_machine.h"

static int push_number(struct sd_pickle *p, int64_t number)
{
	struct sd_pickle_value *v = sd_pickle_push_new(p, SD_PICKLE_NUMBER);

	if (v)
		v->number = number;
	return v ? 0 : -1;
}

/* n bytes of the file, or NULL. */
static const uint8_t *bytes(struct sd_pickle *p, uint64_t n)
{
	const uint8_t *b = p->at;

	if (n > (uint64_t)(p->end - p->at)) {
		sd_pickle_wrong(p, "the file is cut short");
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
		sd_pickle_wrong(p, "the file is cut short");
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
		return sd_pickle_wrong(p, "this is no number");
	for (size_t i = (size_t)negative; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return sd_pickle_wrong(p, "this is no number");
		n = 10 * n + (s[i] - '0');
	}
	*number = negative ? -n : n;
	return 0;
}

static int push_text(struct sd_pickle *p, const uint8_t *text, uint64_t size)
{
	struct sd_pickle_value *v = text ? sd_pickle_push_new(p, SD_PICKLE_TEXT) : NULL;

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
		return sd_pickle_wrong(p, "this is no plain text");
	return push_text(p, s + 1, len - 2);
}

static int global_lines(struct sd_pickle *p)
{
	size_t module_size, name_size;
	const uint8_t *module = line(p, &module_size), *name = module ? line(p, &name_size) : NULL;

	return name ? sd_pickle_push_global(p, module, module_size, name, name_size) : -1;
}

static int global_texts(struct sd_pickle *p)
{
	int64_t name = sd_pickle_peek(p, 0), module = name < 0 ? -1 : sd_pickle_peek(p, 1);
	const struct sd_pickle_value *m, *n;

	if (module < 0)
		return -1;
	n = &p->value[name];
	m = &p->value[module];
	if (n->kind != SD_PICKLE_TEXT || m->kind != SD_PICKLE_TEXT)
		return sd_pickle_wrong(p, "this is no name");
	p->height -= 2;
	return sd_pickle_push_global(p, m->text, m->size, n->text, n->size);
}

static int push_long(struct sd_pickle *p)
{
	uint64_t n, value = 0;
	const uint8_t *b;

	if (unsigned_of(p, 1, &n))
		return -1;
	if (n > 8)
		return sd_pickle_wrong(p, "a number of more than 64 bits");
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
	int64_t number = 0;

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
	int64_t n = op == 'a' ? 1 : op == 's' ? 2 : op >= 0x85 ? op - 0x84 : sd_pickle_above_mark(p);

	if (n < 0)
		return -1;
	for (int64_t i = 0; i < n && (op == 'a' || op == 's' || op >= 0x85); i++)
		if (sd_pickle_peek(p, (uint32_t)i) < 0)
			return -1;
	switch (op) {
	case 'a':
		return sd_pickle_add_to(p, 1, 0, SD_PICKLE_LIST);
	case 's':
		return sd_pickle_add_to(p, 2, 0, SD_PICKLE_DICT);
	case 'e':
		return sd_pickle_add_to(p, (uint32_t)n, 1, SD_PICKLE_LIST);
	case 'u':
		return sd_pickle_add_to(p, (uint32_t)n, 1, SD_PICKLE_DICT);
	case 'l':
		return sd_pickle_collect(p, (uint32_t)n, 1, SD_PICKLE_LIST);
	case 'd':
		return sd_pickle_collect(p, (uint32_t)n, 1, SD_PICKLE_DICT);
	case 't':
		return sd_pickle_collect(p, (uint32_t)n, 1, SD_PICKLE_TUPLE);
	default:
		return sd_pickle_collect(p, (uint32_t)n, 0, SD_PICKLE_TUPLE);
	}
}

static int step(struct sd_pickle *p, int op)
{
	uint64_t n;

	switch (op) {
	case 0x80: /* PROTO */
		if (unsigned_of(p, 1, &n))
			return -1;
		return n > 4 ? sd_pickle_wrong(p, "a protocol over 4") : 0;
	case 0x95: /* FRAME: a hint for buffering */
		return bytes(p, 8) ? 0 : -1;
	case '(':
		return sd_pickle_push(p, SD_PICKLE_MARK);
	case 'N':
		return sd_pickle_push_new(p, SD_PICKLE_NONE) ? 0 : -1;
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
		return sd_pickle_push_new(p, SD_PICKLE_LIST) ? 0 : -1;
	case '}':
		return sd_pickle_push_new(p, SD_PICKLE_DICT) ? 0 : -1;
	case ')':
		return sd_pickle_push_new(p, SD_PICKLE_TUPLE) ? 0 : -1;
	case 'a': case 's': case 'e': case 'u': case 'l': case 'd': case 't': case 0x85: case 0x86: case 0x87:
		return containers(p, op);
	case 'p':
		return memory(p, 0, sd_pickle_put);
	case 'q':
		return memory(p, 1, sd_pickle_put);
	case 'r':
		return memory(p, 4, sd_pickle_put);
	case 0x94: /* MEMOIZE */
		return sd_pickle_put(p, p->memos);
	case 'g':
		return memory(p, 0, sd_pickle_get);
	case 'h':
		return memory(p, 1, sd_pickle_get);
	case 'j':
		return memory(p, 4, sd_pickle_get);
	case 'c':
		return global_lines(p);
	case 0x93:
		return global_texts(p);
	case 'R':
		return sd_pickle_reduce(p);
	case 'b':
		return sd_pickle_build(p);
	default:
		return sd_pickle_wrong(p, "an opcode that a data set has no use for");
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
	root = sd_pickle_peek(p, 0);
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
		const struct sd_pickle_value *k = sd_pickle_value_of(p, d, i), *v = sd_pickle_value_of(p, d, i + 1);

		if (k->kind != SD_PICKLE_TEXT || !sd_pickle_equals(k->text, k->size, key))
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
	const struct sd_pickle_value *v = sd_pickle_value_of(p, list, i);

	return i < list->items && v->kind == kind ? v : NULL;
}
