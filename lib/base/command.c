/* command.c: other programs as functions from text to text, without a shell.
 *
 * Input and output are unnamed files: no pipe can fill up, and a program that doesn't read all of its
 * input does no harm. */
#include "base/command.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/str.h"

extern char **environ;

enum { IN, OUT, ERR, NFILE };

/* The first line that the program complained with, which isn't empty. */
static void complaint(int fd, char *text, size_t room)
{
	ssize_t n = pread(fd, text, room - 1, 0);
	text[n > 0 ? n : 0] = 0;
	size_t skip = strspn(text, "\n ");
	memmove(text, text + skip, strlen(text + skip) + 1);
	text[strcspn(text, "\n")] = 0;
}

static int run(const char *const argv[], const char *package, int fd[NFILE], int *status)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int err = posix_spawn_file_actions_init(&actions);
	for (int i = 0; !err && i < NFILE; i++)
		err = posix_spawn_file_actions_adddup2(&actions, fd[i], i);
	if (!err)
		err = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (err && err != ENOENT && err != EACCES) /* memory, processes: it may be there all the same */
		return sd_error(SD_ERR_IO, "cannot run '%s': %s", argv[0], strerror(err));
	if (err)
		return sd_error(SD_ERR_DEVICE, "cannot run '%s': %s (it is in the Debian package %s)", argv[0],
			strerror(err), package);
	while (waitpid(pid, status, 0) < 0)
		if (errno != EINTR)
			return sd_error_errno("cannot wait for '%s'", argv[0]);
	return 0;
}

int sd_command_run(const char *const argv[], const char *package, const void *in, size_t n, struct sd_blob *out)
{
	FILE *file[NFILE] = { NULL };
	int fd[NFILE], status, ret = -1;
	char text[200];
	struct stat st;
	for (int i = 0; i < NFILE; i++) {
		file[i] = tmpfile();
		if (!file[i]) {
			sd_error_errno("cannot make a temporary file");
			goto done;
		}
		fd[i] = fileno(file[i]);
	}
	if (sd_pwrite_all(fd[IN], in, n, 0, argv[0]) || run(argv, package, fd, &status))
		goto done;
	if (status) {
		complaint(fd[ERR], text, sizeof text);
		sd_error(SD_ERR_IO, "'%s' failed: %s", argv[0], *text ? text : WIFSIGNALED(status) ?
			strsignal(WTERMSIG(status)) : "it doesn't say why");
		goto done;
	}
	if (fstat(fd[OUT], &st)) {
		sd_error_errno("cannot read what '%s' wrote", argv[0]);
		goto done;
	}
	out->size = (size_t)st.st_size;
	out->data = sd_xcalloc(out->size + 1, 1);
	ret = sd_pread_all(fd[OUT], out->data, out->size, 0, argv[0]);
	if (ret)
		sd_blob_release(out);
done:
	for (int i = 0; i < NFILE; i++)
		if (file[i])
			fclose(file[i]);
	return ret;
}
