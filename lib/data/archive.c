/* archive.c: one interface over libarchive and over folders. */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/sha256.h"
#include "data/archive.h"
#include "data/unpack.h"

enum { MAX_DEPTH = 16 };

struct sd_archive {
	char *name;                    /* for messages */
	struct sd_archive_limits limits;
	uint32_t entries;              /* seen so far */
	uint64_t total;                /* bytes of the entries before this one */
	uint64_t at;                   /* bytes read of this one */
	int64_t size;                  /* of this one, or -1 */
	char *path;                    /* of this one, "" before the first */

	struct sd_archive_raw *raw;
	uint32_t nraw;

	/* an archive */
	struct sd_unpack *unpack;
	struct archive *la;            /* NULL: a folder */
	int told;                      /* the unpacker's message is the one to give */

	/* a folder */
	char *root;
	int fd;                        /* the present file */
	uint64_t fd_bytes;             /* read of it */
	struct sd_sha256 sha;          /* of these */
	char **files;                  /* paths within it, sorted */
	uint32_t nfiles, file;         /* file: the next one */
	int touched;                   /* data of the present one was asked for, so it is a raw file */
};

const char *sd_archive_name(const struct sd_archive *a)
{
	return a->name;
}

int sd_archive_is_folder(const struct sd_archive *a)
{
	return a->root != NULL;
}

/* A name that may be printed and stays inside: relative, no "..", no control characters. */
static int path_is_safe(const char *path)
{
	if (!*path || *path == '/')
		return 0;
	for (const char *p = path; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return 0;
	for (const char *p = path; p; p = strchr(p, '/')) {
		p += *p == '/';
		if (!strncmp(p, "..", 2) && (p[2] == '/' || !p[2]))
			return 0;
	}
	return 1;
}

static int add_raw(struct sd_archive *a, const char *name, uint64_t size, const char *sha256)
{
	struct sd_archive_raw *raw = realloc(a->raw, (a->nraw + 1) * sizeof(*raw));
	char *copy = strdup(name);

	if (raw)
		a->raw = raw;
	if (!raw || !copy) {
		free(copy);
		return sd_error(SD_ERR_IO, "out of memory for the list of raw files");
	}
	raw += a->nraw++;
	raw->name = copy;
	raw->size = size;
	memcpy(raw->sha256, sha256, sizeof(raw->sha256));
	return 0;
}

static la_ssize_t feed(struct archive *la, void *arg, const void **buf)
{
	struct sd_archive *a = arg;
	ssize_t got = sd_unpack_next(a->unpack, buf);

	if (got < 0) {
		a->told = 1;
		archive_set_error(la, EIO, "%s", sd_error_text());
	}
	return got;
}

static int archive_error_of(struct sd_archive *a)
{
	const char *text = archive_error_string(a->la);

	if (!a->told)
		sd_error(SD_ERR_DATA, "%s", text ? text : "damaged");
	if (*a->path)
		return sd_error_in("cannot read '%s: %s'", a->name, a->path);
	return sd_error_in("cannot read '%s'", a->name);
}

static int open_archive(struct sd_archive *a, int fd)
{
	const struct sd_archive_limits *l = &a->limits;

	/* headers and padding come on top of the data, say 2 KiB an entry */
	a->unpack = sd_unpack_new(fd, l->total_bytes + ((uint64_t)l->entries << 11) + (1 << 20));
	if (!a->unpack)
		return sd_error_in("cannot read '%s'", a->name);
	a->la = archive_read_new();
	if (!a->la)
		return sd_error(SD_ERR_IO, "out of memory for '%s'", a->name);
	archive_read_support_format_tar(a->la);
	archive_read_support_format_zip_streamable(a->la);
	archive_read_support_format_raw(a->la);
	archive_read_support_format_empty(a->la);
	if (archive_read_open2(a->la, a, NULL, feed, NULL, NULL) < ARCHIVE_WARN)
		return archive_error_of(a);
	return 0;
}

/* Collects the regular files under root/sub; links to files count, links to folders don't. */
static int list_folder(struct sd_archive *a, const char *sub, int depth)
{
	struct dirent *d;
	DIR *dir = NULL;
	char *full = NULL, *path = NULL;
	int ret = -1;

	if (asprintf(&full, "%s%s%s", a->root, *sub ? "/" : "", sub) < 0) {
		full = NULL;
		goto nomem;
	}
	if (depth > MAX_DEPTH) {
		sd_error(SD_ERR_DATA, "cannot read '%s': folders nested deeper than %d", full, MAX_DEPTH);
		goto out;
	}
	dir = opendir(full);
	if (!dir) {
		sd_error_errno("cannot open '%s'", full);
		goto out;
	}
	while ((d = readdir(dir))) {
		struct stat st, link;
		char **files;

		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		free(path);
		if (asprintf(&path, "%s%s%s", sub, *sub ? "/" : "", d->d_name) < 0) {
			path = NULL;
			goto nomem;
		}
		if (fstatat(dirfd(dir), d->d_name, &link, AT_SYMLINK_NOFOLLOW) ||
		    fstatat(dirfd(dir), d->d_name, &st, 0))
			continue;  /* a dangling link */
		if (++a->entries > a->limits.entries) {
			sd_error(SD_ERR_DATA, "cannot read '%s': more than %u files", a->name,
				 a->limits.entries);
			goto out;
		}
		if (S_ISDIR(link.st_mode)) {
			if (list_folder(a, path, depth + 1))
				goto out;
			continue;
		}
		if (!S_ISREG(st.st_mode))
			continue;
		files = realloc(a->files, (a->nfiles + 1) * sizeof(*files));
		if (!files)
			goto nomem;
		a->files = files;
		files[a->nfiles++] = path;
		path = NULL;
	}
	ret = 0;
	goto out;
nomem:
	sd_error(SD_ERR_IO, "out of memory for the files of '%s'", a->name);
out:
	free(path);
	free(full);
	if (dir)
		closedir(dir);
	return ret;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct sd_archive *sd_archive_open(const char *path, const struct sd_archive_limits *limits)
{
	struct sd_archive *a = calloc(1, sizeof(*a));
	int in = !strcmp(path, "-"), fd = -1;
	struct stat st;

	if (!a)
		goto nomem;
	a->fd = -1;
	a->limits = *limits;
	sd_sha256_init(&a->sha);
	a->name = strdup(in ? "(stdin)" : path);
	a->path = strdup("");
	if (!a->name || !a->path)
		goto nomem;
	fd = in ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st)) {
		sd_error_errno("cannot open '%s'", a->name);
		goto fail;
	}
	if (S_ISREG(st.st_mode) && !st.st_size) {
		sd_error(SD_ERR_DATA, "cannot read '%s': the file is empty", a->name);
		goto fail;
	}
	if (!S_ISDIR(st.st_mode)) {
		int r = open_archive(a, fd);

		fd = -1;
		if (r)
			goto fail;
		return a;
	}
	close(fd);
	fd = -1;
	a->root = strdup(path);
	if (!a->root)
		goto nomem;
	if (list_folder(a, "", 0))
		goto fail;
	a->entries = 0;
	if (a->nfiles)
		qsort(a->files, a->nfiles, sizeof(*a->files), by_name);
	return a;
nomem:
	sd_error(SD_ERR_IO, "out of memory for '%s'", path);
fail:
	if (fd >= 0)
		close(fd);
	sd_archive_close(a);
	return NULL;
}

void sd_archive_close(struct sd_archive *a)
{
	if (!a)
		return;
	if (a->la)
		archive_read_free(a->la);
	sd_unpack_free(a->unpack);
	if (a->fd >= 0)
		close(a->fd);
	for (uint32_t i = 0; i < a->nraw; i++)
		free((char *)a->raw[i].name);
	for (uint32_t i = 0; i < a->nfiles; i++)
		free(a->files[i]);
	sd_sha256_release(&a->sha);
	free(a->raw);
	free(a->files);
	free(a->root);
	free(a->path);
	free(a->name);
	free(a);
}

static int over_limit(struct sd_archive *a, uint64_t bytes, uint64_t most)
{
	return sd_error(SD_ERR_DATA, "cannot read '%s: %s': %llu bytes or more, at most %llu are expected",
			a->name, a->path, (unsigned long long)bytes, (unsigned long long)most);
}

/* Checks the name and size of a new entry and makes it the present one. */
static int enter(struct sd_archive *a, const char *path, int64_t size)
{
	char *copy;

	if (++a->entries > a->limits.entries)
		return sd_error(SD_ERR_DATA, "cannot read '%s': more than %u files", a->name,
				a->limits.entries);
	if (!path || !path_is_safe(path))
		return sd_error(SD_ERR_DATA, "cannot read '%s': entry %u has an unsafe name", a->name,
				a->entries);
	copy = strdup(path);
	if (!copy)
		return sd_error(SD_ERR_IO, "out of memory for '%s'", a->name);
	free(a->path);
	a->path = copy;
	a->total += a->size > 0 && (uint64_t)a->size > a->at ? (uint64_t)a->size : a->at;
	a->at = 0;
	a->size = size;
	if (size > 0 && (uint64_t)size > a->limits.entry_bytes)
		return over_limit(a, (uint64_t)size, a->limits.entry_bytes);
	if (size > 0 && (uint64_t)size > a->limits.total_bytes - a->total)
		return over_limit(a, a->total + (uint64_t)size, a->limits.total_bytes);
	return 0;
}

static int next_in_archive(struct sd_archive *a, struct sd_archive_entry *entry)
{
	for (;;) {
		struct archive_entry *e;
		const char *path;
		int bare, r;

		do {
			r = archive_read_next_header(a->la, &e);
		} while (r == ARCHIVE_RETRY);
		if (r == ARCHIVE_EOF)
			return 0;
		if (r < ARCHIVE_WARN)
			return archive_error_of(a);
		bare = archive_format(a->la) == ARCHIVE_FORMAT_RAW;
		path = archive_entry_pathname(e);
		if (!path)
			path = archive_entry_pathname_utf8(e);
		while (path && path[0] == '.' && path[1] == '/')
			for (path += 2; *path == '/'; path++)
				;
		if (archive_entry_filetype(e) == AE_IFDIR && path && (!*path || !strcmp(path, ".")))
			path = "folder";  /* "./" itself */
		if (enter(a, path, archive_entry_size_is_set(e) ? archive_entry_size(e) : -1))
			return -1;
		if (archive_entry_filetype(e) != AE_IFREG || archive_entry_hardlink(e))
			continue;
		entry->path = a->path;
		entry->size = a->size;
		entry->bare = bare;
		return 1;
	}
}

static ssize_t read_file(struct sd_archive *a, void *buf, size_t n)
{
	ssize_t got;

	do {
		got = read(a->fd, buf, n);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return sd_error_errno("cannot read '%s/%s'", a->root, a->path);
	sd_sha256_update(&a->sha, buf, (size_t)got);
	a->fd_bytes += (uint64_t)got;
	return got;
}

/* Ends the present file of a folder: what is left of it is hashed, too, if any of it was asked for. */
static int leave_file(struct sd_archive *a)
{
	uint8_t rest[1 << 14], digest[SD_SHA256_LEN];
	char hex[SD_SHA256_HEX + 1];
	ssize_t got = 0;

	if (a->fd < 0)
		return 0;
	while (a->touched && (got = read_file(a, rest, sizeof(rest))) > 0)
		if (a->fd_bytes > a->limits.entry_bytes)
			return over_limit(a, a->fd_bytes, a->limits.entry_bytes);
	if (got < 0)
		return -1;
	close(a->fd);
	a->fd = -1;
	if (!a->touched)
		return 0;
	sd_sha256_final(&a->sha, digest);
	sd_sha256_hex(digest, hex);
	return add_raw(a, a->path, a->fd_bytes, hex);
}

static int next_in_folder(struct sd_archive *a, struct sd_archive_entry *entry)
{
	const char *path;
	char *full;
	struct stat st;

	if (leave_file(a))
		return -1;
	if (a->file == a->nfiles)
		return 0;
	path = a->files[a->file++];
	if (asprintf(&full, "%s/%s", a->root, path) < 0)
		return sd_error(SD_ERR_IO, "out of memory for '%s'", a->name);
	a->fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (a->fd < 0 || fstat(a->fd, &st)) {
		sd_error_errno("cannot open '%s'", full);
		free(full);
		return -1;
	}
	free(full);
	a->fd_bytes = 0;
	a->touched = 0;
	sd_sha256_reset(&a->sha);
	if (enter(a, path, st.st_size))
		return -1;
	entry->path = a->path;
	entry->size = a->size;
	entry->bare = 0;
	return 1;
}

int sd_archive_next(struct sd_archive *a, struct sd_archive_entry *entry)
{
	int ret = a->la ? next_in_archive(a, entry) : next_in_folder(a, entry);

	if (ret == 1)
		entry->base = sd_base_name(entry->path);
	return ret;
}

ssize_t sd_archive_read(struct sd_archive *a, void *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		la_ssize_t got;
		uint64_t most;

		if (a->la) {
			got = archive_read_data(a->la, (char *)buf + done, n - done);
			if (got == ARCHIVE_RETRY)
				continue;
			if (got < 0)
				return archive_error_of(a);
		} else {
			a->touched = 1;
			got = read_file(a, (char *)buf + done, n - done);
			if (got < 0)
				return -1;
		}
		if (!got)
			break;
		done += (size_t)got;
		a->at += (uint64_t)got;
		most = a->limits.total_bytes - a->total;
		if (most > a->limits.entry_bytes)
			most = a->limits.entry_bytes;
		if (a->at > most)
			return over_limit(a, a->at, most);
	}
	return (ssize_t)done;
}

uint8_t *sd_archive_slurp(struct sd_archive *a, size_t most, size_t *size)
{
	size_t have = 0, room = 1 << 16;
	uint8_t *data = NULL;

	/* the size that the entry claims is not believed: room is made as data comes */
	for (;;) {
		uint8_t *bigger = realloc(data, room + 1);
		ssize_t got;

		if (!bigger) {
			sd_error(SD_ERR_IO, "out of memory for '%s: %s'", a->name, a->path);
			break;
		}
		data = bigger;
		got = sd_archive_read(a, data + have, room - have);
		if (got < 0)
			break;
		have += (size_t)got;
		if (have > most) {
			over_limit(a, have, most);
			break;
		}
		if (have < room) {
			data[have] = 0;
			*size = have;
			return data;
		}
		room *= 2;
	}
	free(data);
	return NULL;
}

int sd_archive_finish(struct sd_archive *a)
{
	uint64_t size;
	char hex[SD_SHA256_HEX + 1];

	if (!a->la)
		return leave_file(a);
	if (a->nraw)
		return 0;
	if (sd_unpack_finish(a->unpack, &size, hex))
		return sd_error_in("cannot read '%s'", a->name);
	return add_raw(a, a->name, size, hex);
}

const struct sd_archive_raw *sd_archive_raw(const struct sd_archive *a, uint32_t i)
{
	return i < a->nraw ? &a->raw[i] : NULL;
}
