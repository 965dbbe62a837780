/* replay.c: every file of the corpus through its target: corpus/TARGET/FILE.  Each in a process of its own, so
 * that one finding doesn't hide the next, with a limit of time and memory. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "fuzz.h"

enum { SECONDS = 30 };

static int passed, failed;

static void replay(const struct fuzz_target *t, const char *path)
{
	int status = -1;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0) {
		struct sd_blob in;

		setrlimit(RLIMIT_CPU, &(struct rlimit){ SECONDS, SECONDS });
		if (sd_blob_read(&in, path, 0) < 0) {
			fprintf(stderr, "%s\n", sd_error_text());
			exit(2);
		}
		sd_error_clear();
		t->run(in.data, in.size);
		sd_blob_release(&in);
		exit(0);
	}
	if (child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		passed++;
		return;
	}
	failed++;
	if (WIFSIGNALED(status))
		printf("%s: %s\n", path, strsignal(WTERMSIG(status)));
	else
		printf("%s: exit status %d\n", path, WEXITSTATUS(status));
}

int main(int argc, char **argv)
{
	const char *corpus = argc > 1 ? argv[1] : "tests/fuzz/corpus";

	for (const struct fuzz_target *t = fuzz_targets; t->name; t++) {
		struct dirent **entry;
		char folder[1024], path[2048];
		int n;

		snprintf(folder, sizeof(folder), "%s/%s", corpus, t->name);
		n = scandir(folder, &entry, NULL, alphasort);
		if (n <= 2) {
			printf("%s: no inputs\n", folder);
			failed++;
		}
		for (int i = 0; i < n; i++) {
			snprintf(path, sizeof(path), "%s/%s", folder, entry[i]->d_name);
			if (entry[i]->d_name[0] != '.')
				replay(t, path);
			free(entry[i]);
		}
		if (n >= 0)
			free(entry);
	}
	printf("%d passed, %d failed\n", passed, failed);
	return failed != 0;
}
