/* test_inside: the process that libhdf5 reads in: what it may not do, and what becomes of its end. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "artifact/confine.h"
#include "artifact/read.h"
#include "base/file.h"
#include "check.h"

static struct sd_shared shared;
static struct sd_opt rows[] = { SD_OPTS_COMMON(shared), SD_OPTS_OUTPUT(shared), SD_OPT_END };
static struct sd_opts opts = { .tool = "sd-test", .summary = "tests", .rows = rows };

static char name[] = "/tmp/test_inside.XXXXXX";

enum { N = 100000 };

static int write_one(void)
{
	char program[] = "sd-test", *argv[] = { program };
	static uint8_t x[N];
	const uint64_t shape[1] = { N };
	struct sd_artifact_out *art = NULL;
	struct sd_stamp *st = NULL;
	int rc = -1;

	if (sd_opts_parse(&opts, 1, argv) == 0 && (art = sd_artifact_create(name, true)) &&
	    (st = sd_stamp_new("dataset", &opts, &shared)) &&
	    sd_artifact_put(art, "/x", SD_TYPE_U8, 1, shape, x, 0) == 0)
		rc = sd_artifact_finish(art, st, NULL);
	sd_stamp_free(st);
	return rc;
}

/* Ends in any way before something is read: a message, no waiting, and closing as usual. */
static void test_end(int sig, const char *said)
{
	static uint8_t x[N];
	struct sd_artifact *art = sd_artifact_open(name, SD_ARTIFACT_NODATA);

	CHECK(art != NULL, "%s", sd_error_text());
	if (!art)
		return;
	CHECK(art->child > 0 && kill(art->child, sig) == 0, "%d", (int)art->child);
	sd_error_clear();
	if (said) {
		CHECK(sd_artifact_read(art, "/x", SD_TYPE_U8, x, N) == -1 && sd_error_kind() == SD_ERR_DATA &&
		      strstr(sd_error_text(), said), "%s", sd_error_text());
		CHECK(sd_artifact_read(art, "/x", SD_TYPE_U8, x, N) == -1 && sd_error_kind() == SD_ERR_DATA &&
		      strstr(sd_error_text(), "libhdf5 has given up"), "%s", sd_error_text());
	}
	sd_artifact_close(art);
	CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "a child is left");
}

/* Reads while another artifact is being written, whatever number the descriptors of that have. */
static void test_beside_a_writer(void)
{
	char other[] = "/tmp/test_inside.XXXXXX";
	int made = mkstemp(other), taken[8], n = 0;

	CHECK(made >= 0, "%s", other);
	close(made);
	for (int from = 0; from < 8; from++) {
		static uint8_t x[N];
		struct sd_artifact_out *out = sd_artifact_create(other, true);
		struct sd_artifact *art = out ? sd_artifact_open(name, SD_ARTIFACT_NODATA) : NULL;

		CHECK(art && sd_artifact_read(art, "/x", SD_TYPE_U8, x, N) == 0, "%d: %s", from, sd_error_text());
		sd_artifact_close(art);
		sd_artifact_abandon(out);
		taken[n++] = dup(STDERR_FILENO);
	}
	while (n)
		close(taken[--n]);
	unlink(other);
}

/* A file that cannot be read ends a confined process, which libhdf5 might not survive, with the reason. */
static void test_unreadable(void)
{
	int fd = open(name, O_WRONLY), status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct sd_h5_io io = { .fd = fd, .quits = true };
		hid_t fapl = sd_h5_init() < 0 ? -1 : sd_h5_access(&io);

		_exit(fapl >= 0 && H5Fopen("/input", H5F_ACC_RDONLY, fapl) < 0 ? 254 : 255);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == EBADF,
	      "status 0x%x", status);
	close(fd);
}

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifndef SANITIZED /* with them there is no filter */
/* What a child tells that has tried everything: a bit for each thing that it could do. */
enum { CREATE = 1, OPEN = 2, WRITE = 4, FILE_WRITE = 8, SOCKET = 16, EXEC = 32, RUN = 64, KILL = 128, READ = 256 };

static unsigned tries(bool write)
{
	int pair[2], fd = open(name, O_RDWR | O_CLOEXEC);
	unsigned could = 0;
	pid_t pid;

	if (fd < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
		return ~0u;
	pid = fork();
	if (pid == 0) {
		char program[] = "/bin/true", *const argv[] = { program, NULL };
		char byte;

		sd_confine(fd, pair[1], 1000, write);
		could |= open("/tmp/test_inside.made", O_CREAT | O_WRONLY, 0600) >= 0 ? CREATE : 0;
		could |= open("/etc/passwd", O_RDONLY) >= 0 ? OPEN : 0;
		could |= pread(SD_CONFINED_FILE, &byte, 1, 0) == 1 ? READ : 0;
		could |= (unsigned)(pwrite(SD_CONFINED_FILE, &byte, 1, 0) == 1 ? FILE_WRITE : 0);
		could |= socket(AF_INET, SOCK_STREAM, 0) >= 0 ? SOCKET : 0;
		could |= mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
			MAP_FAILED ? RUN : 0;
		could |= kill(getppid(), 0) == 0 ? KILL : 0;
		execv(program, argv);
		if (errno != EPERM)
			could |= EXEC;
		if (send(SD_CONFINED_SOCKET, &could, sizeof(could), 0) == (ssize_t)sizeof(could) ||
		    sd_write_all(SD_CONFINED_SOCKET, &could, sizeof(could), "socket") < 0)
			_exit(1);
		_exit(0);
	}
	close(pair[1]);
	close(fd);
	could = ~0u;
	if (read(pair[0], &could, sizeof(could)) != (ssize_t)sizeof(could))
		could = ~0u;
	close(pair[0]);
	waitpid(pid, NULL, 0);
	return could;
}
#endif

int main(void)
{
	int fd = mkstemp(name);

	if (fd < 0)
		return 1;
	close(fd);
	CHECK(write_one() == 0, "%s", sd_error_text());
	test_beside_a_writer();
	test_unreadable();
	test_end(SIGKILL, "libhdf5 fails on it");
	test_end(SIGSEGV, "libhdf5 fails on it");
	test_end(SIGSTOP, NULL); /* one that never answers is not waited for at the end */
#ifndef SANITIZED
	CHECK(tries(false) == READ, "0x%x", tries(false));
	CHECK(tries(true) == (READ | FILE_WRITE), "0x%x", tries(true));
#endif
	sd_opts_release(&opts);
	unlink(name);
	return check_done();
}
