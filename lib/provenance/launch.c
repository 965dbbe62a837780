/* launch.c: runs a program in a temporary folder, without a shell. */
#include "provenance/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/sig.h"
#include "base/str.h"

extern char **environ;

char *sd_tempdir_make(void)
{
	const char *tmp = getenv("TMPDIR");
	struct sd_str path = SD_STR_INIT;
	char *dir;

	sd_str_addf(&path, "%s/sd-rerun-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	dir = mkdtemp(path.s) ? realpath(path.s, NULL) : NULL;
	if (!dir)
		sd_error_errno("cannot make a folder '%s'", path.s);
	sd_str_release(&path);
	return dir;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	remove(path);
	return 0;
}

void sd_tempdir_remove(char *dir)
{
	if (dir)
		nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(dir);
}

/* Relative, without "..", "." and empty components and control characters. */
static bool stays_inside(const char *name)
{
	for (const char *p = name; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return false;
	for (const char *p = name;; p++) {
		size_t n = strcspn(p, "/");

		if (!n || (n == 1 && *p == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		p += n;
		if (!*p)
			return true;
	}
}

int sd_tempdir_link(const char *dir, const char *name, const char *target)
{
	struct sd_str path = SD_STR_INIT;
	int rc = 0;

	if (!stays_inside(name))
		return sd_error(SD_ERR_DATA, "'%s' is no name of a file within a folder", name);
	sd_str_addf(&path, "%s/%s", dir, name);
	for (char *slash = path.s + strlen(dir) + 1; rc == 0 && (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(path.s, 0700) < 0 && errno != EEXIST)
			rc = sd_error_errno("cannot make a folder '%s'", path.s);
		*slash = '/';
	}
	if (rc == 0 && symlink(target, path.s) < 0)
		rc = sd_error_errno("cannot make a link '%s'", path.s);
	sd_str_release(&path);
	return rc;
}

/* Waits in short sleeps, which a signal ends: waitpid() goes on after one. */
static int wait_for(pid_t pid, int *status)
{
	long ns = 1000000;
	bool told = false;

	for (;;) {
		pid_t got = waitpid(pid, status, WNOHANG);

		if (got == pid)
			return 0;
		if (got < 0 && errno != EINTR)
			return -1;
		if (sd_sig_pending() && !told) {
			kill(pid, sd_sig_pending());
			told = true;
		}
		nanosleep(&(struct timespec){ .tv_nsec = ns }, NULL);
		ns = ns < 50000000 ? 2 * ns : ns;
	}
}

int sd_launch(const char *const argv[], const char *dir, const char *out)
{
	posix_spawn_file_actions_t fa;
	int err, status;
	pid_t pid;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addchdir_np(&fa, dir);
	posix_spawn_file_actions_addopen(&fa, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&fa, STDOUT_FILENO, out ? out : "/dev/null",
		O_WRONLY | O_CREAT | O_TRUNC, 0600);
	fflush(NULL);
	err = posix_spawn(&pid, argv[0], &fa, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	if (err)
		return sd_error(SD_ERR_IO, "cannot run '%s': %s", argv[0], strerror(err));
	if (wait_for(pid, &status) < 0)
		return sd_error_errno("cannot wait for '%s'", argv[0]);
	if (sd_sig_pending())
		return sd_error(SD_ERR_STOPPED, "stopped");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
