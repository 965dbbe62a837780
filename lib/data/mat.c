/* mat.c: a look at every variable of a MATLAB file before libmatio sees it, and then the one asked for.
 *
 * The look makes sure of what libmatio takes on trust: that there is nothing but plain arrays of numbers,
 * that all sizes agree, and that compressed data is whole, checksum included.  The format is described in
 * MathWorks, "MAT-File Format" (level 5). */
#include <matio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "base/err.h"
#include "base/file.h"
#include "data/mat.h"

enum {
	HEADER = 128,
	HEAD = 256,  /* bytes that hold a variable's flags, sizes, name and the tag of its data */
	TYPE_INT8 = 1, TYPE_INT32 = 5, TYPE_UINT32 = 6, TYPE_MATRIX = 14, TYPE_COMPRESSED = 15,
	CLASS_DOUBLE = 6, CLASS_UINT64 = 15,
};

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Bytes of an element of a storage type, 0 for those that hold no numbers. */
static unsigned storage(uint32_t type)
{
	static const uint8_t size[] = { 0, 1, 1, 2, 2, 4, 4, 4, 0, 8, 0, 0, 8, 8 };

	return type < sizeof(size) ? size[type] : 0;
}

/* One subelement at *at of the head: its type, size and place; short ones are packed into their tag. */
static int subelement(const uint8_t *head, size_t have, size_t *at, uint32_t *type, uint32_t *size,
		      size_t *data)
{
	if (have < *at + 8)
		return -1;
	*type = le32(head + *at);
	if (*type >> 16) {
		*size = *type >> 16;
		*type &= 0xffff;
		*data = *at + 4;
		*at += 8;
		return *size > 4 ? -1 : 0;
	}
	*size = le32(head + *at + 4);
	*data = *at + 8;
	*at += 8 + (((size_t)*size + 7) & ~(size_t)7);
	return 0;
}

/* Whether a variable, of which the first `have` bytes are in `head` and there are `total`, is an array of
 * numbers in which all sizes agree. */
static int plain(const uint8_t *head, size_t have, uint64_t total, uint64_t most)
{
	size_t at = 8, data;
	uint32_t type, size, rank;
	uint64_t n = 1;

	if (have < 8 || le32(head) != TYPE_MATRIX || le32(head + 4) != total - 8)
		return 0;
	/* class and flags: no complex numbers */
	if (subelement(head, have, &at, &type, &size, &data) || at > have || type != TYPE_UINT32 ||
	    size != 8 ||
	    head[data] < CLASS_DOUBLE || head[data] > CLASS_UINT64 || head[data + 1] & 8)
		return 0;
	if (subelement(head, have, &at, &type, &size, &data) || at > have || type != TYPE_INT32 || size % 4)
		return 0;
	rank = size / 4;
	if (rank < 2 || rank > 4)
		return 0;
	for (uint32_t i = 0; i < rank; i++) {
		uint32_t d = le32(head + data + 4 * i);

		if (d > INT32_MAX || (d && n > most / d))
			return 0;
		n *= d;
	}
	if (subelement(head, have, &at, &type, &size, &data) || at > have || type != TYPE_INT8 || size > 63)
		return 0;
	if (subelement(head, have, &at, &type, &size, &data) || !storage(type) || size != n * storage(type))
		return 0;
	/* the padding at the end may be left out */
	return at >= total && at - total < 8 && data + size <= total;
}

/* Inflates a whole variable, keeping its beginning. */
static int inflate_head(const uint8_t *in, uint32_t size, uint64_t most, uint8_t *head, size_t *have,
			uint64_t *total)
{
	uint8_t out[1 << 14];
	z_stream z = { .next_in = (Bytef *)in, .avail_in = size };
	int r = inflateInit(&z) == Z_OK ? Z_OK : Z_MEM_ERROR;

	*have = 0;
	*total = 0;
	while (r == Z_OK && *total <= most) {
		size_t got, keep;

		z.next_out = out;
		z.avail_out = sizeof(out);
		r = inflate(&z, Z_NO_FLUSH);
		got = sizeof(out) - z.avail_out;
		keep = got < HEAD - *have ? got : HEAD - *have;
		memcpy(head + *have, out, keep);
		*have += keep;
		*total += got;
	}
	inflateEnd(&z);
	return r == Z_STREAM_END && !z.avail_in ? 0 : -1;
}

static int look(const char *name, const uint8_t *file, size_t size, uint64_t most)
{
	size_t at = HEADER;

	if (size < HEADER || memcmp(file, "MATLAB 5.0 MAT-file", 19) || file[124] != 0 || file[125] != 1 ||
	    memcmp(file + 126, "IM", 2))
		return sd_error(SD_ERR_DATA, "%s: this is no little-endian MATLAB file of level 5", name);
	while (at < size) {
		uint8_t head[HEAD];
		size_t have;
		uint64_t total;
		uint32_t type, n;

		if (size - at < 8)
			return sd_error(SD_ERR_DATA, "%s: the file is cut short", name);
		type = le32(file + at);
		n = le32(file + at + 4);
		if (n > size - at - 8)
			return sd_error(SD_ERR_DATA,
					"%s: the file is cut short: a variable of %u bytes at byte %zu",
					name, n, at);
		if (type == TYPE_COMPRESSED) {
			/* doubles are the largest numbers */
			if (inflate_head(file + at + 8, n, 8 * most + HEAD, head, &have, &total))
				return sd_error(SD_ERR_DATA,
						"%s: the variable at byte %zu is damaged, or too large",
						name, at);
		} else {
			total = (uint64_t)n + 8;
			have = total < HEAD ? (size_t)total : HEAD;
			memcpy(head, file + at, have);
		}
		if (!plain(head, have, total, most))
			return sd_error(SD_ERR_DATA,
					"%s: the variable at byte %zu is no array of numbers, or too large",
					name, at);
		at += 8 + (size_t)n;
	}
	return 0;
}

/* libmatio reads files by name only, and says little of use. */
static void silent(int level, char *message)
{
	(void)level;
	(void)message;
}

/* The elements as bytes; -1 when one isn't a whole number of 0 to 255. */
static int to_bytes(const matvar_t *v, uint64_t n, uint8_t *out)
{
	for (uint64_t i = 0; i < n; i++) {
		double x;

		switch (v->class_type) {
		case MAT_C_UINT8: x = ((const uint8_t *)v->data)[i]; break;
		case MAT_C_INT8: x = ((const int8_t *)v->data)[i]; break;
		case MAT_C_UINT16: x = ((const uint16_t *)v->data)[i]; break;
		case MAT_C_INT16: x = ((const int16_t *)v->data)[i]; break;
		case MAT_C_UINT32: x = ((const uint32_t *)v->data)[i]; break;
		case MAT_C_INT32: x = ((const int32_t *)v->data)[i]; break;
		case MAT_C_SINGLE: x = (double)((const float *)v->data)[i]; break;
		case MAT_C_DOUBLE: x = ((const double *)v->data)[i]; break;
		default: return -1;
		}
		if (!(x >= 0 && x <= 255) || x != (double)(uint8_t)x)
			return -1;
		out[i] = (uint8_t)x;
	}
	return 0;
}

int sd_mat_read(struct sd_mat *mat, const char *name, const uint8_t *file, size_t size, const char *variable,
		uint64_t most)
{
	char path[32];
	mat_t *m = NULL;
	matvar_t *v = NULL;
	uint64_t n = 1;
	int fd = -1, ret = -1;

	*mat = (struct sd_mat){ 0 };
	if (look(name, file, size, most))
		return -1;
	fd = memfd_create("mat", MFD_CLOEXEC);
	if (fd < 0) {
		sd_error_errno("cannot keep '%s' in memory", name);
		goto out;
	}
	if (sd_write_all(fd, file, size, name))
		goto out;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	Mat_LogInitFunc("sharpdarts", silent);
	m = Mat_Open(path, MAT_ACC_RDONLY);
	v = m ? Mat_VarRead(m, variable) : NULL;
	if (!v || !v->data) {
		sd_error(SD_ERR_DATA, m ? "%s: there is no variable '%s', or it is empty" :
			 "%s: libmatio cannot read it (variable '%s')", name, variable);
		goto out;
	}
	if (v->rank < 1 || v->rank > 4) {
		sd_error(SD_ERR_DATA, "%s: variable '%s' has %d axes", name, variable, v->rank);
		goto out;
	}
	mat->rank = v->rank;
	for (int i = 0; i < v->rank; i++) {
		mat->shape[i] = v->dims[i];
		n *= v->dims[i];
	}
	mat->data = n <= most ? malloc(n + 1) : NULL;
	if (!mat->data) {
		sd_error(SD_ERR_IO, "out of memory for '%s'", name);
		goto out;
	}
	if (to_bytes(v, n, mat->data)) {
		sd_error(SD_ERR_DATA,
			 "%s: variable '%s' holds something other than whole numbers of 0 to 255", name,
			 variable);
		goto out;
	}
	ret = 0;
out:
	Mat_VarFree(v);
	if (m)
		Mat_Close(m);
	if (fd >= 0)
		close(fd);
	if (ret)
		sd_mat_release(mat);
	return ret;
}

void sd_mat_release(struct sd_mat *mat)
{
	free(mat->data);
	mat->data = NULL;
}
