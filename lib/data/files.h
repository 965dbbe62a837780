/* files.h: the files that a data set is made of, picked out of an archive or a folder (private to this
 * room). */
#ifndef SD_DATA_FILES_H
#define SD_DATA_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "data/archive.h"

/* A file by its own name, whatever folder it lies in; NAME.gz stands for it, too.  `most`: bytes,
 * unpacked. */
struct sd_wanted {
	const char *name;
	size_t most;
};

struct sd_found {
	uint8_t *data;  /* NULL: there is none; a zero byte is behind it */
	size_t size;
	char *path;     /* for messages: "x.tar: folder/file" */
	int packed;     /* it was NAME.gz */
};

/* Called for every other file: -1 with a message ends the reading. */
typedef int sd_files_other(struct sd_archive *a, const struct sd_archive_entry *e, void *arg);

/* Reads an archive to its end and keeps what is wanted, unpacked.  Two files of one name are an error, except
 * that NAME is taken where NAME.gz is beside it.  So is a file that is no archive.  `other` may be NULL.  The
 * caller releases `found` (n of them), also on failure. */
int sd_files_collect(struct sd_archive *a, const struct sd_wanted *want, int n, struct sd_found *found,
		     sd_files_other *other, void *arg);
void sd_files_release(struct sd_found *found, int n);

/* 0, or -1 and "x.tar: there is no train.bin" for the first of them that wasn't found. */
int sd_files_need(const struct sd_archive *a, const struct sd_wanted *want, const struct sd_found *found,
		  int n);

/* One text a line, blank lines left out, all printable: exactly n of them, in `names`. */
enum { SD_NAME_MAX = 64 };
int sd_files_names(const struct sd_found *f, int n, char (*names)[SD_NAME_MAX]);

/* Undoes gzip in memory.  NULL with a message that begins with `name` when it is damaged, cut short, or holds
 * more than `most` bytes; the caller frees it. */
uint8_t *sd_gunzip(const char *name, const uint8_t *data, size_t size, size_t most, size_t *out);

#endif
