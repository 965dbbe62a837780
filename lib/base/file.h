/* file.h: files that are written whole or not at all, read whole, and locked. */
#ifndef SD_BASE_FILE_H
#define SD_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum {
	SD_OUT_FORCE = 1,  /* replace an existing file */
	SD_OUT_BINARY = 2, /* refuse a terminal */
};

/* Output under way.  Its bytes go into a file beside the target that has no name where the file system
 * allows that (O_TMPFILE), else one starting with a dot that is removed on failure and on signals; the
 * user mask is respected.  For "-" they go into an unnamed file in $TMPDIR and are copied to stdout at
 * the end. */
struct sd_out;

/* NULL and a message when the target exists (without SD_OUT_FORCE), is a folder, cannot be made, or
 * would be binary on a terminal. */
struct sd_out *sd_out_open(const char *name, unsigned flags);
int sd_out_fd(const struct sd_out *out);          /* read and write */
/* Buffered writing to the same; sd_out_commit() tells its errors.  NULL with a message. */
FILE *sd_out_stream(struct sd_out *out);
const char *sd_out_path(const struct sd_out *out); /* a path another library can open it by meanwhile */
/* Flushes, fsyncs, renames to the target and fsyncs the folder; or copies to stdout.  Frees `out` in any
 * case; -1 with a message, the target then being as before. */
int sd_out_commit(struct sd_out *out);
/* Drops it all.  NULL is nothing. */
void sd_out_abandon(struct sd_out *out);

/* A whole file or stream in memory. */
struct sd_blob {
	unsigned char *data; /* size bytes and a zero byte behind them */
	size_t size;
};
/* Reads `name`, "-" being stdin; more than `most` bytes is a data error (0: 1 GiB). */
int sd_blob_read(struct sd_blob *blob, const char *name, size_t most);
void sd_blob_release(struct sd_blob *blob);

/* A descriptor that can be sought in and holds the file `name`; for "-" (or another pipe) all of the
 * stream, kept in memory and over 1 GiB in an unlinked file in $TMPDIR.  -1 with a message. */
int sd_file_open(const char *name);
/* Reads the first bytes of it, up to n: how many there are, or -1 with a message.  Standard input can be
 * read again afterwards, from its beginning, by any of these functions; other pipes are refused. */
ssize_t sd_file_peek(const char *name, void *head, size_t n);
/* The name as messages have it: "(stdin)" for "-". */
const char *sd_file_name(const char *name);
/* The last component of a path: what is behind its last slash. */
const char *sd_base_name(const char *path);

int sd_write_all(int fd, const void *data, size_t n, const char *name);
int sd_pread_all(int fd, void *data, size_t n, uint64_t offset, const char *name);
/* All of a descriptor that can be sought in, from its beginning, to where the other one stands. */
int sd_copy_all(int from, const char *from_name, int to, const char *to_name);
int sd_pwrite_all(int fd, const void *data, size_t n, uint64_t offset, const char *name);

/* The lock of a run on its target: TARGET.lock, held until released or the process ends.  NULL and a
 * message when another process holds it.  For "-" a lock that does nothing. */
struct sd_lock;
struct sd_lock *sd_lock_take(const char *target);
void sd_lock_release(struct sd_lock *lock);

/* Two "-" inputs are a usage error: a tool calls this with all its input names (NULL is passed over). */
int sd_check_one_stdin(const char *const *names, int n);

#endif
