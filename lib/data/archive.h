/* archive.h: reads the files of an archive, of a folder, or a single file, one after the other.
 *
 * An archive is a tar or zip file, in any compression that libarchive knows by itself (gzip, bzip2, xz,
 * lzma, lzip, zstd, lz4, compress); a file that is no archive, compressed or not, has one entry, itself.
 * It is read once from front to back, so it may be a pipe, and hashed as it passes by.  Nothing in it is
 * believed: names that lead outside, entries of absurd size and archives that swell beyond reason are
 * errors.  Formats that can point at other files (mtree) and outside programs are off. */
#ifndef SD_DATA_ARCHIVE_H
#define SD_DATA_ARCHIVE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sd_archive;

struct sd_archive_limits {
	uint64_t entry_bytes;  /* the most that one file may hold */
	uint64_t total_bytes;  /* the most that all files together may hold */
	uint32_t entries;      /* the most files and folders */
};

/* One regular file.  Valid until the next call. */
struct sd_archive_entry {
	const char *path;      /* relative, without "./" in front, no ".." in it */
	const char *base;      /* its last component */
	int64_t size;          /* bytes, or -1 when only reading it will tell */
	int bare;              /* the file itself is the entry: there was no archive around it */
};

/* A raw file that was read: of an archive itself, or of a folder each file whose data was asked for. */
struct sd_archive_raw {
	const char *name;      /* the path as given, or the path within the folder */
	uint64_t size;
	char sha256[65];       /* lower-case hex */
};

/* `path` names a file or a folder; "-" is standard input.  NULL and a message on failure; an empty file
 * is one. */
struct sd_archive *sd_archive_open(const char *path, const struct sd_archive_limits *limits);
void sd_archive_close(struct sd_archive *a);

/* The next regular file: 1, 0 at the end, -1 with a message.  Files of a folder come sorted by name;
 * links and devices are passed over. */
int sd_archive_next(struct sd_archive *a, struct sd_archive_entry *entry);

/* Reads up to n bytes of the present entry; less than n only at its end.  -1 with a message when the
 * archive is damaged or a limit is passed. */
ssize_t sd_archive_read(struct sd_archive *a, void *buf, size_t n);

/* Reads all of the present entry into memory, a zero byte behind it (not counted in *size).  The caller
 * frees it.  NULL and a message on failure, or when it is longer than `most` bytes. */
uint8_t *sd_archive_slurp(struct sd_archive *a, size_t most, size_t *size);

/* Reads whatever is left, so that gzip's checksum can be compared and the raw digests are complete; then
 * they may be asked for.  i counts from 0; NULL past the last. */
int sd_archive_finish(struct sd_archive *a);
const struct sd_archive_raw *sd_archive_raw(const struct sd_archive *a, uint32_t i);

/* Whether a folder was opened: then there may be several raw files, or none. */
int sd_archive_is_folder(const struct sd_archive *a);

/* The name for messages: "x.tar.gz", "data/dir", or "(stdin)"; an entry of it is "x.tar.gz: a/b.bin". */
const char *sd_archive_name(const struct sd_archive *a);

#endif
