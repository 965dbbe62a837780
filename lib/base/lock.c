/* lock.c: one writer of a target at a time. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/str.h"

struct sd_lock {
	char *path;
	int fd;
};

struct sd_lock *sd_lock_take(const char *target)
{
	struct sd_lock *lock = sd_xcalloc(1, sizeof(*lock));
	struct sd_str s = SD_STR_INIT;
	struct stat here, there;

	lock->fd = -1;
	if (strcmp(target, "-") == 0)
		return lock;
	sd_str_addf(&s, "%s.lock", target);
	lock->path = sd_str_detach(&s);
	for (;;) {
		bool own;

		lock->fd = open(lock->path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
		own = lock->fd >= 0;
		if (!own && errno == EEXIST)
			lock->fd = open(lock->path, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
		if (lock->fd < 0) {
			sd_error_errno("cannot create '%s'", lock->path);
			goto bad;
		}
		if (flock(lock->fd, LOCK_EX | LOCK_NB) != 0) {
			if (errno == EWOULDBLOCK)
				sd_error(SD_ERR_IO, "'%s' is being written by another process", target);
			else
				sd_error_errno("cannot lock '%s'", lock->path);
			if (own && errno != EWOULDBLOCK)
				unlink(lock->path);
			goto bad;
		}
		/* the one before may have removed the file between our open and our lock */
		if (fstat(lock->fd, &here) == 0 && stat(lock->path, &there) == 0 &&
		    here.st_ino == there.st_ino && here.st_dev == there.st_dev)
			return lock;
		close(lock->fd);
	}
bad:
	if (lock->fd >= 0)
		close(lock->fd);
	free(lock->path);
	free(lock);
	return NULL;
}

void sd_lock_release(struct sd_lock *lock)
{
	if (!lock)
		return;
	if (lock->fd >= 0) {
		unlink(lock->path);
		close(lock->fd);
	}
	free(lock->path);
	free(lock);
}
