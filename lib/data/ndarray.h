/* ndarray.h: arrays in the file formats IDX and NPY, as views into the bytes of a file (private to this
 * room). */
#ifndef SD_DATA_NDARRAY_H
#define SD_DATA_NDARRAY_H

#include <stddef.h>
#include <stdint.h>

enum { SD_ND_RANK = 4 };

struct sd_nd {
	int rank;
	uint64_t shape[SD_ND_RANK];
	int item;             /* bytes of an element: 1, 2, 4 or 8 */
	int is_signed;
	const uint8_t *data;  /* little-endian (single bytes for IDX), row-major, all of shape */
};

/* IDX of unsigned bytes (http://yann.lecun.com/exdb/mnist): two zero bytes, 8, the rank, sizes as 32 bits
 * big-endian, data to the end of the file.  -1 and a message that begins with `name`. */
int sd_nd_idx(struct sd_nd *nd, const char *name, const uint8_t *file, size_t size);

/* NPY versions 1 to 3 (NumPy enhancement proposal 1), integers in C order.  -1 and a message likewise. */
int sd_nd_npy(struct sd_nd *nd, const char *name, const uint8_t *file, size_t size);

/* Element i, counted through all of the array. */
int64_t sd_nd_get(const struct sd_nd *nd, uint64_t i);

/* 0 if it has that rank and shape (0 in `shape`: any size from 1 on), else -1 and a message. */
int sd_nd_expect(const struct sd_nd *nd, const char *name, int rank, const uint64_t *shape);

#endif
