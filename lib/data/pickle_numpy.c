/* pickle_numpy.c: the names by which NumPy has an array rebuilt (ndarray.__reduce__), and their calls. */
#include <string.h>

#include "base/err.h"
#include "data/pickle_machine.h"

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

int sd_pickle_push_global(struct sd_pickle *p, const uint8_t *module, uint64_t module_size, const uint8_t *name,
		       uint64_t name_size)
{
	for (size_t i = 0; i < sizeof(globals) / sizeof(globals[0]); i++)
		if (sd_pickle_equals(module, module_size, globals[i].module) &&
		    sd_pickle_equals(name, name_size, globals[i].name)) {
			struct sd_pickle_value *v = sd_pickle_push_new(p, SD_PICKLE_GLOBAL);

			if (v)
				v->number = globals[i].what;
			return v ? 0 : -1;
		}
	return sd_pickle_wrong(p, "a name that a data set has no use for");
}

/* numpy._reconstruct(ndarray, shape, code), of which nothing but that it is an array is of use, and
 * dtype('u1', ...). */
int sd_pickle_reduce(struct sd_pickle *p)
{
	int64_t args = sd_pickle_peek(p, 0), what = args < 0 ? -1 : sd_pickle_peek(p, 1);
	const struct sd_pickle_value *a, *w, *first;

	if (what < 0)
		return -1;
	a = &p->value[args];
	w = &p->value[what];
	first = sd_pickle_value_of(p, a, 0);
	if (w->kind != SD_PICKLE_GLOBAL || a->kind != SD_PICKLE_TUPLE)
		return sd_pickle_wrong(p, "a call, and not of what makes an array");
	if (w->number == RECONSTRUCT && first->kind == SD_PICKLE_GLOBAL && first->number == NDARRAY) {
		p->height -= 2;
		return sd_pickle_push_new(p, SD_PICKLE_ARRAY) ? 0 : -1;
	}
	if (w->number == DTYPE && first->kind == SD_PICKLE_TEXT &&
	    (sd_pickle_equals(first->text, first->size, "u1") || sd_pickle_equals(first->text, first->size, "|u1"))) {
		p->height -= 2;
		return sd_pickle_push_new(p, SD_PICKLE_TYPE) ? 0 : -1;
	}
	return sd_pickle_wrong(p, w->number == DTYPE ? "an array of anything but unsigned bytes"
					   : "a call, and not of what makes an array");
}

/* The state of an array: (1, shape, type, column-major, bytes); that of a type says nothing for bytes. */
int sd_pickle_build(struct sd_pickle *p)
{
	int64_t state = sd_pickle_peek(p, 0), to = state < 0 ? -1 : sd_pickle_peek(p, 1);
	const struct sd_pickle_value *s, *shape, *data;
	struct sd_pickle_value *v;
	uint64_t size[2] = { 0, 1 };

	if (to < 0)
		return -1;
	s = &p->value[state];
	v = &p->value[to];
	if (s->kind != SD_PICKLE_TUPLE || (v->kind != SD_PICKLE_TYPE && v->kind != SD_PICKLE_ARRAY))
		return sd_pickle_wrong(p, "a state for what has none");
	p->height--;
	if (v->kind == SD_PICKLE_TYPE)
		return 0;
	shape = sd_pickle_value_of(p, s, 1);
	data = sd_pickle_value_of(p, s, 4);
	if (v->text || s->items != 5 || shape->kind != SD_PICKLE_TUPLE || shape->items < 1 ||
	    shape->items > 2 ||
	    sd_pickle_value_of(p, s, 2)->kind != SD_PICKLE_TYPE ||
	    sd_pickle_value_of(p, s, 3)->kind != SD_PICKLE_NUMBER ||
	    data->kind != SD_PICKLE_TEXT)
		return sd_pickle_wrong(p, "this is no array of bytes with one or two axes");
	for (uint32_t i = 0; i < shape->items; i++) {
		const struct sd_pickle_value *n = sd_pickle_value_of(p, shape, i);

		if (n->kind != SD_PICKLE_NUMBER || n->number < 0 || n->number > INT32_MAX)
			return sd_pickle_wrong(p, "an absurd size of an array");
		size[i] = (uint64_t)n->number;
	}
	if (size[0] * size[1] != data->size)
		return sd_pickle_wrong(p, "an array with more or fewer bytes than its size says");
	v->rows = size[0];
	v->columns = size[1];
	v->number = sd_pickle_value_of(p, s, 3)->number != 0;
	v->text = data->text;
	v->size = data->size;
	return 0;
}
