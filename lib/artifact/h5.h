/* h5.h: what writing and reading artifacts have in common (private to this room). */
#ifndef SD_ARTIFACT_H5_H
#define SD_ARTIFACT_H5_H

#include <stdbool.h>

#include <hdf5.h>

#include "artifact/digest.h"
#include "artifact/manifest.h"
#include "base/err.h"

#define SD_USER_BLOCK 512
#define SD_FORMAT 1
#define SD_MAX_CHUNK ((size_t)64 << 20) /* bytes */

/* The line in the user block:
 * "sharpdarts 1 kind=K id=H tool=T length=N sha256=H check=H", blanks, a line feed in byte 511.
 * length is the whole file's, sha256 is over what follows byte 511, check is the SHA-256 of the line up to
 * its blank, so that no bit of the file is without a check. */
struct sd_user_block {
	char kind[33];
	char id[SD_ID_LEN];
	char tool[33];
	uint64_t length;
	char sha256[SD_ID_LEN];
};

void sd_user_block_write(const struct sd_user_block *u, char line[SD_USER_BLOCK]);
/* -1 and a data error "user block: ..." when the line is not exactly what was written. */
int sd_user_block_read(struct sd_user_block *u, const char line[SD_USER_BLOCK]);

/* After libhdf5 is done with a file: writes the line in front of it, with length and SHA-256 as they are. */
int sd_user_block_fill(struct sd_user_block *u, int fd, const char *name);

/* Quiets libhdf5's own messages and turns its plug-ins off.  To be called before anything else of it.
 * -1 and a message when there is no memory. */
int sd_h5_init(void);
/* Whether there is memory for it to work with: 0, or -1 and a message.  What fails without is not to blame. */
int sd_h5_room(void);
/* A descriptor that libhdf5 reads and writes, and the first error of doing so (errno), 0 until then.  A failed
 * write is not reported to libhdf5: whoever writes looks here after closing the file.  A confined process `quits`:
 * it ends with the error as its status, since libhdf5 does not survive every failed read. */
struct sd_h5_io {
	int fd;
	int error;
	bool quits;
};
/* File access by descriptor (the name given to H5Fopen is a label): format bounds V18, no file locking.  `io`
 * must outlive the file.  -1 and a message. */
hid_t sd_h5_access(struct sd_h5_io *io);
/* Sets the driver in an access list: h5file.c. */
int sd_h5_use(hid_t fapl, struct sd_h5_io *io);
/* The file type of a dataset's elements; a new id to be closed. */
hid_t sd_h5_type(enum sd_type type, size_t size);
/* The message "what: why", why being libhdf5's innermost complaint.  Returns -1. */
int sd_h5_error(enum sd_err_kind kind, const char *fmt, ...) SD_PRINTF(2, 3);

/* Whether a path may name a payload dataset: absolute, printable ASCII without blanks, no empty component,
 * no "." or "..", not under a name that is taken. */
bool sd_path_ok(const char *path);

#endif
