/* unpack.h: the bytes of a file as they are after decompression (private to this room).
 *
 * The file is read once from front to back and hashed as it passes by.  zlib undoes gzip, whose
 * checksum libarchive would not compare; libarchive undoes everything else. */
#ifndef SD_DATA_UNPACK_H
#define SD_DATA_UNPACK_H

#include <stdint.h>
#include <sys/types.h>

struct sd_unpack;

/* Takes `fd` over, which is closed with it, failure included.  More than `most` bytes of output are an
 * error.  Messages of these functions say why, but not which file: callers put that in front. */
struct sd_unpack *sd_unpack_new(int fd, uint64_t most);
void sd_unpack_free(struct sd_unpack *u);

/* The next piece of the output, valid until the next call: its size, 0 at the end, -1 with a message. */
ssize_t sd_unpack_next(struct sd_unpack *u, const void **piece);

/* Reads what is left to its end and checks it; then the file's size and its SHA-256 in hex are known. */
int sd_unpack_finish(struct sd_unpack *u, uint64_t *size, char sha256[65]);

#endif
