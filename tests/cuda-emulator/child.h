/* child.h: a test program runs itself, with an environment and the name of a case, to see how it ends. */
#ifndef SD_TESTS_CHILD_H
#define SD_TESTS_CHILD_H

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "../unit/check.h"
#include "asan.h"

namespace test {

struct ended {
	int status;        /* of exit(), or -1 after a signal */
	std::string said;  /* on stdout and stderr */
};

/* `environment` is NAME=value or NULL. */
inline ended child(const char *name, const char *environment = NULL)
{
	ended e = {-1, ""};
	int fd[2], status;
	char buf[4096];
	ssize_t n;

	fflush(stdout);
	if (pipe(fd))
		return e;
	pid_t pid = fork();
	if (pid == 0) {
		std::string variable = environment ? environment : "SD_EMU_SEED=0";
		char *argv[] = {const_cast<char *>("test"), const_cast<char *>(name), NULL};
		size_t at = variable.find('=');

		dup2(fd[1], 1);
		dup2(fd[1], 2);
		close(fd[0]);
		close(fd[1]);
		unsetenv("SD_EMU_SEED");
		setenv(variable.substr(0, at).c_str(), variable.c_str() + at + 1, 1);
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	close(fd[1]);
	while ((n = read(fd[0], buf, sizeof(buf))) > 0)
		e.said.append(buf, static_cast<size_t>(n));
	close(fd[0]);
	if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status))
		e.status = WEXITSTATUS(status);
	return e;
}

inline ended child_with_seed(const char *name, int seed)
{
	return child(name, ("SD_EMU_SEED=" + std::to_string(seed)).c_str());
}

/* The case must end badly, and say so. */
inline void check_dies(const char *name, const char *message)
{
	ended e = child(name);

	CHECK(e.status != 0 && e.said.find(message) != std::string::npos, "%s: status %d, said: %.300s", name, e.status,
		e.said.c_str());
}

inline void check_lives(const char *name, const char *environment = NULL)
{
	ended e = child(name, environment);

	CHECK(e.status == 0, "%s (%s): status %d, said: %.300s", name, environment ? environment : "", e.status,
		e.said.c_str());
}

}

#endif
