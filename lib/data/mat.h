/* mat.h: arrays of bytes in a MATLAB file, level 5, through libmatio (private to this room). */
#ifndef SD_DATA_MAT_H
#define SD_DATA_MAT_H

#include <stddef.h>
#include <stdint.h>

struct sd_mat {
	int rank;
	uint64_t shape[4];  /* MATLAB's order: the first axis is the fastest */
	uint8_t *data;      /* owned; whole numbers of 0 to 255, whatever the file holds them as */
};

/* Reads the variable `variable`, of at most 4 axes and `most` elements, from the bytes of a file.  -1 and a
 * message that begins with `name`. */
int sd_mat_read(struct sd_mat *mat, const char *name, const uint8_t *file, size_t size, const char *variable,
		uint64_t most);
void sd_mat_release(struct sd_mat *mat);

#endif
