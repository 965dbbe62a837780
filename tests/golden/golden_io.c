/* golden_io.c: reads golden files: HDF5 as h5py writes it, and TSV. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "golden.h"

/* Reads a scalar attribute; 0, or -1 without a message. */
static int read_attr(struct gold_attr *out, hid_t loc, const char *path, const char *name)
{
	hid_t attr = -1, type = -1, space = -1;
	int ret = -1;

	memset(out, 0, sizeof(*out));
	attr = H5Aopen_by_name(loc, path, name, H5P_DEFAULT, H5P_DEFAULT);
	if (attr < 0)
		return -1;
	type = H5Aget_type(attr);
	space = H5Aget_space(attr);
	if (type < 0 || space < 0 || H5Sget_simple_extent_npoints(space) != 1)
		goto out;
	if (H5Tget_class(type) == H5T_STRING) {
		out->is_text = 1;
		if (H5Tis_variable_str(type) > 0) {
			char *s = NULL;

			if (H5Aread(attr, type, &s) < 0)
				goto out;
			out->text = strdup(s ? s : "");
			H5free_memory(s);
		} else {
			size_t size = H5Tget_size(type);

			out->text = calloc(1, size + 1);
			if (!out->text || H5Aread(attr, type, out->text) < 0)
				goto out;
		}
		if (!out->text)
			goto out;
		char *end;
		out->num = strtod(out->text, &end);
		if (end == out->text || *end)
			out->num = NAN;
	} else {
		if (H5Tget_class(type) == H5T_ENUM) { /* h5py's bool: an enum over one byte */
			signed char byte = 0;

			if (H5Tget_size(type) != 1 || H5Aread(attr, type, &byte) < 0)
				goto out;
			out->num = byte;
		} else if (H5Aread(attr, H5T_NATIVE_DOUBLE, &out->num) < 0) {
			goto out;
		}
		out->text = malloc(32);
		if (!out->text)
			goto out;
		snprintf(out->text, 32, "%.17g", out->num);
	}
	ret = 0;
out:
	if (ret)
		free(out->text);
	if (space >= 0)
		H5Sclose(space);
	if (type >= 0)
		H5Tclose(type);
	H5Aclose(attr);
	return ret;
}

int gold_has_attr(hid_t loc, const char *path, const char *name)
{
	return H5Aexists_by_name(loc, path, name, H5P_DEFAULT) > 0;
}

char *gold_text(hid_t loc, const char *path, const char *name)
{
	struct gold_attr a;

	if (!gold_has_attr(loc, path, name) || read_attr(&a, loc, path, name)) {
		sd_error(SD_ERR_DATA, "no attribute '%s' at '%s'", name, path);
		return NULL;
	}
	return a.text;
}

double gold_num(hid_t loc, const char *path, const char *name, double other)
{
	struct gold_attr a;

	if (!gold_has_attr(loc, path, name) || read_attr(&a, loc, path, name))
		return other;
	free(a.text);
	return isnan(a.num) ? other : a.num;
}

int gold_int(hid_t loc, const char *name, int *bad)
{
	double v = gold_num(loc, ".", name, NAN);

	if (!(v >= -1e9 && v <= 1e9)) {
		sd_error(SD_ERR_DATA, "no integer attribute '%s'", name);
		*bad = 1;
		return 0;
	}
	return (int)v;
}

int gold_has(hid_t loc, const char *path)
{
	char part[512];

	/* H5Lexists wants every group on the way to exist. */
	if (strlen(path) >= sizeof(part))
		return 0;
	for (size_t i = 1; path[i]; i++) {
		if (path[i] == '/') {
			memcpy(part, path, i);
			part[i] = 0;
			if (H5Lexists(loc, part, H5P_DEFAULT) <= 0)
				return 0;
		}
	}
	return H5Lexists(loc, path, H5P_DEFAULT) > 0;
}

int gold_read(struct gold_array *a, hid_t loc, const char *path)
{
	hid_t set = -1, type = -1, space = -1;
	hsize_t dim[GOLD_DIMS];
	int ret = -1;

	memset(a, 0, sizeof(*a));
	if (!gold_has(loc, path))
		return sd_error(SD_ERR_DATA, "no data set '%s'", path);
	set = H5Dopen2(loc, path, H5P_DEFAULT);
	if (set < 0)
		return sd_error(SD_ERR_DATA, "'%s' is no data set", path);
	type = H5Dget_type(set);
	space = H5Dget_space(set);
	if (type < 0 || space < 0 || (H5Tget_class(type) != H5T_INTEGER && H5Tget_class(type) != H5T_FLOAT)) {
		sd_error(SD_ERR_DATA, "data set '%s' holds no numbers", path);
		goto out;
	}
	a->integer = H5Tget_class(type) == H5T_INTEGER;
	a->ndim = H5Sget_simple_extent_ndims(space);
	if (a->ndim < 0 || a->ndim > GOLD_DIMS) {
		sd_error(SD_ERR_DATA, "data set '%s' has %d dimensions", path, a->ndim);
		goto out;
	}
	H5Sget_simple_extent_dims(space, dim, NULL);
	a->n = 1;
	for (int i = 0; i < a->ndim; i++) {
		a->dim[i] = (long)dim[i];
		a->n *= dim[i];
	}
	a->v = malloc((a->n + 1) * sizeof(double));
	if (!a->v || H5Dread(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, a->v) < 0) {
		sd_error(SD_ERR_DATA, "cannot read data set '%s'", path);
		goto out;
	}
	a->f32_err = gold_num(set, ".", "f32_err", 0);
	a->row_stride = (long)gold_num(set, ".", "row_stride", 1);
	a->l2 = gold_num(set, ".", "l2", NAN);
	a->sum = gold_num(set, ".", "sum", NAN);
	a->rows = a->ndim ? a->dim[0] : 1;
	if (a->row_stride > 1) {
		/* full_shape is a vector, or its text "[768 128 2 2]" */
		char *text = gold_text(set, ".", "full_shape");
		hid_t attr = text ? -1 : H5Aopen(set, "full_shape", H5P_DEFAULT);
		long full[GOLD_DIMS] = {0};

		if (text)
			full[0] = strtol(text + strspn(text, "[( "), NULL, 10);
		else if (attr >= 0)
			H5Aread(attr, H5T_NATIVE_LONG, full);
		if (attr >= 0)
			H5Aclose(attr);
		free(text);
		a->rows = full[0];
		if ((a->rows + a->row_stride - 1) / a->row_stride != a->dim[0]) {
			sd_error(SD_ERR_DATA, "'%s': row_stride and full_shape disagree with the shape", path);
			goto out;
		}
	}
	ret = 0;
out:
	if (ret)
		gold_array_release(a);
	if (space >= 0)
		H5Sclose(space);
	if (type >= 0)
		H5Tclose(type);
	H5Dclose(set);
	return ret;
}

void gold_array_release(struct gold_array *a)
{
	free(a->v);
	memset(a, 0, sizeof(*a));
}

struct names {
	char **v;
	size_t n, cap, bytes;
	int failed;
};

static herr_t add_name(hid_t loc, const char *name, const H5L_info_t *info, void *ctx)
{
	struct names *s = ctx;

	(void)loc;
	(void)info;
	if (s->n == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 64;
		char **v = realloc(s->v, s->cap * sizeof(*v));
		if (!v)
			return -1;
		s->v = v;
	}
	s->v[s->n] = strdup(name);
	if (!s->v[s->n])
		return -1;
	s->bytes += strlen(name) + 1;
	s->n++;
	return 0;
}

char **gold_names(hid_t loc, const char *path, size_t *n)
{
	struct names s = {0};
	char **out = NULL;

	*n = 0;
	if (H5Literate_by_name(loc, path, H5_INDEX_NAME, H5_ITER_INC, NULL, add_name, &s, H5P_DEFAULT) < 0) {
		sd_error(SD_ERR_DATA, "cannot list group '%s'", path);
		goto out;
	}
	out = malloc((s.n + 1) * sizeof(*out) + s.bytes);
	if (!out) {
		sd_error(SD_ERR_IO, "out of memory");
		goto out;
	}
	char *p = (char *)(out + s.n + 1);
	for (size_t i = 0; i < s.n; i++) {
		out[i] = p;
		p = stpcpy(p, s.v[i]) + 1;
	}
	out[s.n] = NULL;
	*n = s.n;
out:
	for (size_t i = 0; i < s.n; i++)
		free(s.v[i]);
	free(s.v);
	return out;
}

/* The whole of a text file, NUL-ended. */
static char *read_text(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;
	FILE *mem = NULL;
	char buf[4096];
	size_t got;

	if (!f) {
		sd_error_errno("cannot open '%s'", path);
		return NULL;
	}
	mem = open_memstream(&text, &size);
	while (mem && (got = fread(buf, 1, sizeof(buf), f)) > 0)
		fwrite(buf, 1, got, mem);
	if (mem)
		fclose(mem);
	if (!mem || ferror(f)) {
		sd_error_errno("cannot read '%s'", path);
		free(text);
		text = NULL;
	}
	fclose(f);
	return text;
}

int gold_table_read(struct gold_table *t, const char *path)
{
	char *line, *save = NULL;
	int cap = 0;

	memset(t, 0, sizeof(*t));
	t->text = read_text(path);
	if (!t->text)
		return -1;
	for (line = strtok_r(t->text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!t->nrow) {
			t->ncol = 1;
			for (char *p = line; *p; p++)
				t->ncol += *p == '\t';
		}
		if (t->nrow == cap) {
			cap = cap ? 2 * cap : 64;
			char ***row = realloc(t->row, cap * sizeof(*row));
			if (!row)
				goto fail;
			t->row = row;
		}
		char **field = calloc(t->ncol, sizeof(*field));
		if (!field)
			goto fail;
		t->row[t->nrow++] = field;
		for (int i = 0; i < t->ncol && line; i++)
			field[i] = strsep(&line, "\t");
	}
	if (t->nrow)
		return 0;
	sd_error(SD_ERR_DATA, "'%s' is empty", path);
	gold_table_release(t);
	return -1;
fail:
	gold_table_release(t);
	return sd_error(SD_ERR_IO, "out of memory");
}

void gold_table_release(struct gold_table *t)
{
	for (int i = 0; i < t->nrow; i++)
		free(t->row[i]);
	free(t->row);
	free(t->text);
	memset(t, 0, sizeof(*t));
}

const char *gold_field(const struct gold_table *t, int row, const char *column)
{
	for (int i = 0; i < t->ncol; i++)
		if (t->row[0][i] && !strcmp(t->row[0][i], column))
			return t->row[row][i] ? t->row[row][i] : "";
	return NULL;
}
