/* file.c: files that are written whole or not at all, and read whole. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/str.h"

/* How much of a stream is kept in memory. */
#define IN_MEMORY ((uint64_t)1 << 30)

struct sd_out {
	char *name;   /* the target, "-" for stdout */
	char *folder; /* it lies in */
	char *temp;   /* name of the temporary file; NULL when it has none */
	char path[64]; /* by which the descriptor can be opened again */
	unsigned flags;
	int fd;
	FILE *stream;
	int error;    /* why a write of the stream failed */
};

const char *sd_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

const char *sd_file_name(const char *name)
{
	return strcmp(name, "-") == 0 ? "(stdin)" : name;
}

int sd_write_all(int fd, const void *data, size_t n, const char *name)
{
	const char *p = data;

	while (n) {
		ssize_t k = write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return sd_error_errno("cannot write '%s'", name);
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

int sd_pread_all(int fd, void *data, size_t n, uint64_t offset, const char *name)
{
	char *p = data;

	while (n) {
		ssize_t k = pread(fd, p, n, (off_t)offset);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return sd_error_errno("cannot read '%s'", name);
		if (k == 0)
			return sd_error(SD_ERR_DATA, "cannot read '%s': it ends at byte %llu", name,
					(unsigned long long)offset);
		p += k;
		n -= (size_t)k;
		offset += (uint64_t)k;
	}
	return 0;
}

int sd_pwrite_all(int fd, const void *data, size_t n, uint64_t offset, const char *name)
{
	const char *p = data;

	while (n) {
		ssize_t k = pwrite(fd, p, n, (off_t)offset);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return sd_error_errno("cannot write '%s'", name);
		p += k;
		n -= (size_t)k;
		offset += (uint64_t)k;
	}
	return 0;
}

int sd_copy_all(int from, const char *from_name, int to, const char *to_name)
{
	size_t cap = (size_t)1 << 20;
	char *buf = sd_xmalloc(cap);
	off_t at = 0;
	ssize_t n;
	int rc = -1;

	while ((n = pread(from, buf, cap, at)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			sd_error_errno("cannot read '%s'", from_name);
			goto out;
		}
		if (sd_write_all(to, buf, (size_t)n, to_name) < 0)
			goto out;
		at += n;
	}
	rc = 0;
out:
	free(buf);
	return rc;
}

/* An unnamed temporary file in $TMPDIR (default /tmp), read and write. */
static int temporary(void)
{
	const char *dir = getenv("TMPDIR");
	char *path;
	int fd;

	if (!dir || !*dir)
		dir = "/tmp";
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	path = sd_xmalloc(strlen(dir) + 32);
	sprintf(path, "%s/sharpdarts.XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		sd_error_errno("cannot make a temporary file in '%s'", dir);
	else
		unlink(path);
	free(path);
	return fd;
}

/* ---- named temporary files, where the file system has no unnamed ones ----
 *
 * They are removed when a signal ends the program.  A handful at once is plenty: one a target. */

#define NTEMP 8
static char *volatile temps[NTEMP];

static void remove_temps(int sig)
{
	for (int i = 0; i < NTEMP; i++)
		if (temps[i])
			unlink(temps[i]);
	signal(sig, SIG_DFL);
	raise(sig);
}

static void remember_temp(char *path)
{
	static const int fatal[] = { SIGHUP, SIGINT, SIGTERM, SIGPIPE };
	struct sigaction old, sa = { .sa_handler = remove_temps };

	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		if (sigaction(fatal[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
			sigaction(fatal[i], &sa, NULL);
	for (int i = 0; i < NTEMP; i++) {
		if (!temps[i]) {
			temps[i] = path;
			return;
		}
	}
}

static void forget_temp(const char *path)
{
	for (int i = 0; i < NTEMP; i++)
		if (temps[i] == path)
			temps[i] = NULL;
}

/* ".NAME.PID.tmp" beside the target. */
static char *temp_name(const char *target, const char *folder)
{
	struct sd_str s = SD_STR_INIT;

	sd_str_addf(&s, "%s/.%s.%ld.tmp", folder, sd_base_name(target), (long)getpid());
	return sd_str_detach(&s);
}

static bool is_temp_of(const char *name, const char *base)
{
	size_t n = strlen(base), digits;

	if (name[0] != '.' || strncmp(name + 1, base, n) != 0 || name[n + 1] != '.')
		return false;
	digits = strspn(name + n + 2, "0123456789");
	return digits > 0 && strcmp(name + n + 2 + digits, ".tmp") == 0;
}

/* Removes what killed processes have left beside the target.  Whoever still needs such a file has a lock on it. */
static void sweep(const char *target, const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		int fd;

		if (!is_temp_of(e->d_name, sd_base_name(target)))
			continue;
		fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			unlinkat(dirfd(dir), e->d_name, 0);
		close(fd);
	}
	if (dir)
		closedir(dir);
}

static char *folder_of(const char *name)
{
	const char *slash = strrchr(name, '/');
	char *dir;

	if (!slash)
		return sd_xstrdup(".");
	dir = sd_xstrdup(name);
	dir[slash == name ? 1 : slash - name] = '\0';
	return dir;
}

/* A new file with a lock on it; -1 with errno. */
static int create_locked(const char *path)
{
	struct stat st;

	for (;;) {
		int fd;

		unlink(path); /* left by a process of the same number */
		fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
		if (fd < 0)
			return -1;
		/* a sweeper may have come between; a file system without locks has no sweepers */
		if (flock(fd, LOCK_EX) != 0 || fstat(fd, &st) != 0 || st.st_nlink > 0)
			return fd;
		close(fd);
	}
}

static int out_open_file(struct sd_out *out)
{
	struct stat st;

	if (!*out->name)
		return sd_error(SD_ERR_USAGE, "the output's name is empty");
	out->folder = folder_of(out->name);
	if (stat(out->name, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return sd_error(SD_ERR_IO, "cannot write '%s': Is a directory", out->name);
		if (!(out->flags & SD_OUT_FORCE))
			return sd_error(SD_ERR_USAGE, "'%s' exists (--force replaces it)", out->name);
	}
	sweep(out->name, out->folder);
	out->fd = open(out->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
	if (out->fd >= 0)
		return 0;
	out->temp = temp_name(out->name, out->folder);
	out->fd = create_locked(out->temp);
	if (out->fd < 0) {
		sd_error_errno("cannot create '%s'", out->name);
		free(out->temp);
		out->temp = NULL;
		return -1;
	}
	remember_temp(out->temp);
	return 0;
}

struct sd_out *sd_out_open(const char *name, unsigned flags)
{
	struct sd_out *out = sd_xcalloc(1, sizeof(*out));

	out->fd = -1;
	out->flags = flags;
	out->name = sd_xstrdup(name);
	if (strcmp(name, "-") == 0) {
		if ((flags & SD_OUT_BINARY) && isatty(STDOUT_FILENO)) {
			sd_error(SD_ERR_USAGE, "refusing to write a binary file to a terminal");
			goto bad;
		}
		out->fd = temporary();
		if (out->fd < 0)
			goto bad;
	} else if (out_open_file(out) < 0) {
		goto bad;
	}
	snprintf(out->path, sizeof(out->path), "/proc/self/fd/%d", out->fd);
	return out;
bad:
	sd_out_abandon(out);
	return NULL;
}

int sd_out_fd(const struct sd_out *out)
{
	return out->fd;
}

const char *sd_out_path(const struct sd_out *out)
{
	return out->path;
}

/* stdio remembers that a write failed, but not why, and ends at an EINTR. */
static ssize_t stream_write(void *cookie, const char *data, size_t n)
{
	struct sd_out *out = cookie;

	if (sd_write_all(out->fd, data, n, out->name) == 0)
		return (ssize_t)n;
	if (!out->error)
		out->error = errno;
	return 0;
}

FILE *sd_out_stream(struct sd_out *out)
{
	if (!out->stream)
		out->stream = fopencookie(out, "w", (cookie_io_functions_t){ .write = stream_write });
	if (!out->stream)
		sd_error_errno("cannot write '%s'", out->name);
	return out->stream;
}

static int copy_to_stdout(struct sd_out *out)
{
	if (fflush(stdout) != 0)
		return sd_error_errno("cannot write to standard output");
	return sd_copy_all(out->fd, "(temporary file)", STDOUT_FILENO, "(stdout)");
}

static int sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return sd_error_errno("cannot open '%s'", folder);
	/* EINVAL: a file system where folders can't be synced, and needn't be */
	if (TEMP_FAILURE_RETRY(fsync(fd)) != 0 && errno != EINVAL) {
		sd_error_errno("cannot sync '%s'", folder);
		close(fd);
		return -1;
	}
	close(fd);
	return 0;
}

static int put_in_place(struct sd_out *out)
{
	if (TEMP_FAILURE_RETRY(fsync(out->fd)) != 0)
		return sd_error_errno("cannot write '%s'", out->name);
	if (!out->temp) {
		out->temp = temp_name(out->name, out->folder);
		unlink(out->temp);
		flock(out->fd, LOCK_EX | LOCK_NB); /* against sweepers */
		if (linkat(AT_FDCWD, out->path, AT_FDCWD, out->temp, AT_SYMLINK_FOLLOW) != 0) {
			sd_error_errno("cannot create '%s'", out->name);
			free(out->temp);
			out->temp = NULL;
			return -1;
		}
	}
	if (rename(out->temp, out->name) != 0)
		return sd_error_errno("cannot create '%s'", out->name);
	forget_temp(out->temp);
	free(out->temp);
	out->temp = NULL;
	return sync_folder(out->folder);
}

int sd_out_commit(struct sd_out *out)
{
	int rc = 0;

	if (out->stream) {
		int bad = ferror(out->stream);

		if (fclose(out->stream) != 0 || bad) {
			errno = out->error;
			rc = sd_error_errno("cannot write '%s'", out->name);
		}
		out->stream = NULL;
	}
	if (rc == 0)
		rc = strcmp(out->name, "-") == 0 ? copy_to_stdout(out) : put_in_place(out);
	sd_out_abandon(out);
	return rc;
}

void sd_out_abandon(struct sd_out *out)
{
	if (!out)
		return;
	if (out->stream)
		fclose(out->stream);
	if (out->fd >= 0)
		close(out->fd);
	if (out->temp) {
		unlink(out->temp);
		forget_temp(out->temp);
	}
	free(out->temp);
	free(out->folder);
	free(out->name);
	free(out);
}

/* ---- reading ---- */

int sd_blob_read(struct sd_blob *blob, const char *name, size_t most)
{
	const char *shown = sd_file_name(name);
	size_t cap = 1 << 16;
	int fd, rc = -1;

	*blob = (struct sd_blob){ sd_xmalloc(cap), 0 };
	if (!most)
		most = (size_t)IN_MEMORY;
	fd = strcmp(name, "-") == 0 ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		sd_error_errno("cannot open '%s'", shown);
		goto out;
	}
	for (;;) {
		ssize_t n;

		if (blob->size + 1 == cap)
			blob->data = sd_xrealloc(blob->data, cap *= 2);
		n = read(fd, blob->data + blob->size, cap - 1 - blob->size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			sd_error_errno("cannot read '%s'", shown);
			goto out;
		}
		if (n == 0)
			break;
		blob->size += (size_t)n;
		if (blob->size > most) {
			sd_error(SD_ERR_DATA, "'%s' has more than %zu bytes", shown, most);
			goto out;
		}
	}
	blob->data[blob->size] = '\0';
	rc = 0;
out:
	if (fd > STDIN_FILENO)
		close(fd);
	if (rc < 0)
		sd_blob_release(blob);
	return rc;
}

void sd_blob_release(struct sd_blob *blob)
{
	free(blob->data);
	*blob = (struct sd_blob){ NULL, 0 };
}

/* All of a stream: a memory file first, which moves to disk when it gets large. */
static int spool(int from, const char *name)
{
	size_t cap = (size_t)1 << 20;
	char *buf = sd_xmalloc(cap);
	uint64_t total = 0;
	int fd = memfd_create("stream", MFD_CLOEXEC), disk;

	if (fd < 0)
		fd = temporary();
	if (fd < 0)
		goto bad;
	for (;;) {
		ssize_t n = read(from, buf, cap);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			sd_error_errno("cannot read '%s'", name);
			goto bad;
		}
		if (n == 0)
			break;
		if (total <= IN_MEMORY && total + (uint64_t)n > IN_MEMORY) {
			disk = temporary();
			if (disk < 0)
				goto bad;
			if (sd_copy_all(fd, name, disk, name) < 0) {
				close(disk);
				goto bad;
			}
			close(fd);
			fd = disk;
		}
		if (sd_write_all(fd, buf, (size_t)n, name) < 0)
			goto bad;
		total += (uint64_t)n;
	}
	free(buf);
	return fd;
bad:
	if (fd >= 0)
		close(fd);
	free(buf);
	return -1;
}

/* A redirected file needs no copy, if it is at its beginning. */
static int open_stdin(void)
{
	struct stat st;
	int fd;

	if (fstat(STDIN_FILENO, &st) != 0 || !S_ISREG(st.st_mode) || lseek(STDIN_FILENO, 0, SEEK_CUR) != 0)
		return spool(STDIN_FILENO, "(stdin)");
	fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? sd_error_errno("cannot read standard input") : fd;
}

int sd_file_open(const char *name)
{
	struct stat st;
	int fd, copy = -1;

	if (strcmp(name, "-") == 0)
		return open_stdin();
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return sd_error_errno("cannot open '%s'", name);
	if (fstat(fd, &st) != 0) {
		sd_error_errno("cannot read '%s'", name);
	} else if (S_ISDIR(st.st_mode)) {
		sd_error(SD_ERR_NOINPUT, "cannot open '%s': Is a directory", name);
	} else if (S_ISREG(st.st_mode)) {
		return fd;
	} else {
		copy = spool(fd, name);
	}
	close(fd);
	return copy;
}

ssize_t sd_file_peek(const char *name, void *head, size_t n)
{
	ssize_t have = -1;
	struct stat st;
	int fd;

	if (strcmp(name, "-") != 0 && stat(name, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return sd_error(SD_ERR_NOINPUT, "cannot read '%s': not a regular file (- is for streams)",
				name);
	fd = sd_file_open(name);
	if (fd < 0)
		return -1;
	if (strcmp(name, "-") == 0 && (lseek(fd, 0, SEEK_SET) != 0 || dup2(fd, STDIN_FILENO) < 0))
		sd_error_errno("cannot keep standard input");
	else if ((have = TEMP_FAILURE_RETRY(pread(fd, head, n, 0))) < 0)
		sd_error_errno("cannot read '%s'", sd_file_name(name));
	close(fd);
	return have;
}

int sd_check_one_stdin(const char *const *names, int n)
{
	int seen = 0;

	for (int i = 0; i < n; i++)
		if (names[i] && strcmp(names[i], "-") == 0 && seen++)
			return sd_error(SD_ERR_USAGE,
					"'-' is given twice: standard input can be read only once");
	return 0;
}
