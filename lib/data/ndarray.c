/* ndarray.c: reading the headers of IDX and NPY files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "data/ndarray.h"

/* The bytes that an array of this shape needs, or UINT64_MAX when no file could hold it. */
static uint64_t bytes_of(const struct sd_nd *nd)
{
	uint64_t n = (uint64_t)nd->item;

	for (int i = 0; i < nd->rank; i++)
		if (nd->shape[i] && n > (UINT64_MAX >> 8) / nd->shape[i])
			return UINT64_MAX;
		else
			n *= nd->shape[i];
	return n;
}

static int check_size(const struct sd_nd *nd, const char *name, size_t have)
{
	uint64_t need = bytes_of(nd);

	if (need == UINT64_MAX)
		return sd_error(SD_ERR_DATA, "%s: the sizes in the header are absurd", name);
	if (need != have)
		return sd_error(SD_ERR_DATA, "%s: %zu bytes of data, the sizes in the header make %llu", name,
				have,
				(unsigned long long)need);
	return 0;
}

int sd_nd_idx(struct sd_nd *nd, const char *name, const uint8_t *file, size_t size)
{
	size_t head;

	*nd = (struct sd_nd){ .item = 1 };
	if (size < 4 || file[0] || file[1])
		return sd_error(SD_ERR_DATA, "%s: this is no IDX file", name);
	if (file[2] != 8)
		return sd_error(SD_ERR_DATA, "%s: IDX type 0x%02x, unsigned bytes (0x08) are expected", name,
				file[2]);
	nd->rank = file[3];
	head = 4 + 4 * (size_t)nd->rank;
	if (nd->rank < 1 || nd->rank > SD_ND_RANK)
		return sd_error(SD_ERR_DATA, "%s: IDX with %d axes, 1 to %d are expected", name, nd->rank,
				SD_ND_RANK);
	if (size < head)
		return sd_error(SD_ERR_DATA, "%s: the file is cut short in its header", name);
	for (int i = 0; i < nd->rank; i++) {
		const uint8_t *p = file + 4 + 4 * i;

		nd->shape[i] = (uint64_t)p[0] << 24 | (uint64_t)p[1] << 16 | (uint64_t)p[2] << 8 | p[3];
	}
	nd->data = file + head;
	return check_size(nd, name, size - head);
}

/* What follows `'key': ` in the header's dictionary. */
static const char *value_of(const char *header, const char *key)
{
	char quoted[32];
	const char *p;

	snprintf(quoted, sizeof(quoted), "'%s':", key);
	p = strstr(header, quoted);
	if (!p)
		return NULL;
	p += strlen(quoted);
	return p + strspn(p, " ");
}

/* '|u1', '<i4' and the like. */
static int read_type(struct sd_nd *nd, const char *p)
{
	/* all of it, not only its characters one by one: strchr() finds the end of a string, too */
	if (!p || strnlen(p, 5) < 5 || p[0] != '\'' || !strchr("|<", p[1]) || !strchr("ui", p[2]) ||
	    !strchr("1248", p[3]) || p[4] != '\'')
		return -1;
	nd->is_signed = p[2] == 'i';
	nd->item = p[3] - '0';
	return p[1] == '|' && nd->item > 1 ? -1 : 0;
}

/* (2000, 32, 32, 3) or (2000,) */
static int read_shape(struct sd_nd *nd, const char *p)
{
	if (!p || *p++ != '(')
		return -1;
	for (nd->rank = 0; *p >= '0' && *p <= '9';) {
		char *end;
		unsigned long long n = strtoull(p, &end, 10);

		if (nd->rank == SD_ND_RANK || end - p > 12)
			return -1;
		nd->shape[nd->rank++] = n;
		p = end + (*end == ',');
		p += strspn(p, " ");
	}
	return *p == ')' && nd->rank > 0 ? 0 : -1;
}

int sd_nd_npy(struct sd_nd *nd, const char *name, const uint8_t *file, size_t size)
{
	char header[512];
	const char *order;
	size_t at, len;

	*nd = (struct sd_nd){ 0 };
	if (size < 12 || memcmp(file, "\x93NUMPY", 6))
		return sd_error(SD_ERR_DATA, "%s: this is no NPY file", name);
	if (file[6] < 1 || file[6] > 3)
		return sd_error(SD_ERR_DATA, "%s: NPY version %d, 1 to 3 are known", name, file[6]);
	at = file[6] == 1 ? 10 : 12;
	len = (size_t)file[8] | (size_t)file[9] << 8;
	if (at == 12)
		len |= (size_t)file[10] << 16 | (size_t)file[11] << 24;
	if (len >= sizeof(header))
		return sd_error(SD_ERR_DATA, "%s: a header of %zu bytes, at most %zu are expected", name, len,
				sizeof(header) - 1);
	if (size - at < len)
		return sd_error(SD_ERR_DATA, "%s: the file is cut short in its header", name);
	memcpy(header, file + at, len);
	header[len] = 0;
	order = value_of(header, "fortran_order");
	if (read_type(nd, value_of(header, "descr")) || read_shape(nd, value_of(header, "shape")) || !order ||
	    strncmp(order, "False", 5))
		return sd_error(SD_ERR_DATA, "%s: an array of little-endian integers in C order is expected",
				name);
	nd->data = file + at + len;
	return check_size(nd, name, size - at - len);
}

int64_t sd_nd_get(const struct sd_nd *nd, uint64_t i)
{
	const uint8_t *p = nd->data + i * (uint64_t)nd->item;
	uint64_t v = 0;
	int bits = 8 * nd->item;

	for (int b = 0; b < nd->item; b++)
		v |= (uint64_t)p[b] << (8 * b);
	if (nd->is_signed && bits < 64 && v >> (bits - 1))
		v |= UINT64_MAX << bits;
	return (int64_t)v;
}

int sd_nd_expect(const struct sd_nd *nd, const char *name, int rank, const uint64_t *shape)
{
	char text[128] = "", want[128] = "";
	int same = nd->rank == rank;

	for (int i = 0; i < nd->rank; i++) {
		same = same && (shape[i] ? nd->shape[i] == shape[i] : nd->shape[i] > 0);
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%llu", i ? " x " : "",
			 (unsigned long long)nd->shape[i]);
	}
	if (same)
		return 0;
	for (int i = 0; i < rank; i++)
		if (shape[i])
			snprintf(want + strlen(want), sizeof(want) - strlen(want), "%s%llu", i ? " x " : "",
				 (unsigned long long)shape[i]);
		else
			snprintf(want + strlen(want), sizeof(want) - strlen(want), "%sN", i ? " x " : "");
	return sd_error(SD_ERR_DATA, "%s: an array of %s, %s is expected", name, text, want);
}
