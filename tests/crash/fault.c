/* fault.c: runs a command in which the n-th system call of a kind fails, is cut short, or is the last.
 *
 *	fault CALL N HOW COMMAND...
 *
 * CALL: a row of calls[] below, "any" for all of them, or "time": then N is in microseconds.  HOW: an error's name
 * (EIO, ENOSPC, EINTR, ...), with a + from the n-th on; "short": a read or write of half as many bytes;
 * "kill": SIGKILL.  The exit status is the command's, 128 + its signal, or 125 with a message when this itself fails;
 * the file named by $FAULT_COUNT gets the number of such calls.
 *
 * By ptrace(2) rather than in the C library, so that what stdio and libhdf5 call is reached too; a seccomp filter
 * spares all other calls the stop.  The dynamic loader's calls don't count, nor does writing of messages, and other
 * programs that the command runs are left alone. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define NR(...) { __VA_ARGS__, -1 }
static const struct {
	const char *name;
	long nr[4];
} calls[] = {
	{ "write", NR(SYS_write, SYS_writev) },
	{ "pwrite", NR(SYS_pwrite64) },
	{ "read", NR(SYS_read, SYS_readv) },
	{ "pread", NR(SYS_pread64) },
	{ "open", NR(SYS_open, SYS_openat) },
	{ "close", NR(SYS_close) },
	{ "sync", NR(SYS_fsync, SYS_fdatasync) },
	{ "rename", NR(SYS_rename, SYS_renameat, SYS_renameat2) },
	{ "link", NR(SYS_link, SYS_linkat) },
	{ "unlink", NR(SYS_unlink, SYS_unlinkat) },
	{ "truncate", NR(SYS_ftruncate) },
	{ "seek", NR(SYS_lseek) },
	{ "stat", NR(SYS_fstat, SYS_stat, SYS_newfstatat) },
	{ "lock", NR(SYS_flock) },
	{ "map", NR(SYS_mmap) },
	{ "memory", NR(SYS_memfd_create) },
	{ "fork", NR(SYS_clone, SYS_fork, SYS_vfork) },
};
enum { NCALL = sizeof(calls) / sizeof(calls[0]), MOST_PIDS = 256 };

static const struct {
	const char *name;
	int number;
} errors[] = {
	{ "EIO", EIO }, { "ENOSPC", ENOSPC }, { "EINTR", EINTR }, { "EDQUOT", EDQUOT }, { "ENOMEM", ENOMEM },
	{ "EMFILE", EMFILE }, { "EACCES", EACCES }, { "EROFS", EROFS }, { "EAGAIN", EAGAIN }, { "EXDEV", EXDEV },
	{ "EOPNOTSUPP", EOPNOTSUPP },
};

static struct {
	const char *call;
	long n, seen;
	int error;      /* 0: cut short, or kill */
	bool kill, persist, started;
	pid_t root;
	pid_t left[MOST_PIDS]; /* alone */
	int nleft;
} f;

static _Noreturn void give_up(const char *what)
{
	fprintf(stderr, "fault: %s: %s\n", what, strerror(errno));
	if (f.root > 0)
		kill(f.root, SIGKILL);
	exit(125);
}

static bool wanted(long nr)
{
	for (int i = 0; i < NCALL; i++)
		if (strcmp(f.call, "any") == 0 || strcmp(f.call, calls[i].name) == 0)
			for (const long *k = calls[i].nr; *k >= 0; k++)
				if (*k == nr)
					return true;
	return false;
}

/* Stops at all of calls[], and at munmap, with which the loader ends. */
static void filter(void)
{
	struct sock_filter code[8 * NCALL + 8];
	unsigned short n = 0;
	struct sock_fprog prog = { .filter = code };

	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (int i = 0; i <= NCALL; i++) {
		static const long end[] = { SYS_munmap, -1 };

		for (const long *k = i < NCALL ? calls[i].nr : end; *k >= 0; k++) {
			code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)*k, 0, 1);
			code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
		}
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	prog.len = n;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) != 0)
		give_up("seccomp");
}

static bool alone(pid_t pid)
{
	for (int i = 0; i < f.nleft; i++)
		if (f.left[i] == pid)
			return true;
	return false;
}

static void leave_alone(pid_t pid)
{
	if (!alone(pid) && f.nleft < MOST_PIDS)
		f.left[f.nleft++] = pid;
}

static void tell_count(void)
{
	const char *path = getenv("FAULT_COUNT");
	FILE *out = path ? fopen(path, "w") : NULL;

	if (path && !out)
		give_up(path);
	if (out) {
		fprintf(out, "%ld\n", f.seen);
		fclose(out);
	}
}

static void at_call(pid_t pid)
{
	struct user_regs_struct regs;
	long nr;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) != 0)
		return;
	nr = (long)regs.orig_rax;
	if (!f.started) {
		f.started = nr == SYS_munmap;
		return;
	}
	if (alone(pid) || !wanted(nr) || (nr == SYS_write && regs.rdi == STDERR_FILENO))
		return;
	f.seen++;
	if (f.seen < f.n || (f.seen > f.n && !f.persist))
		return;
	if (f.kill) {
		kill(f.root, SIGKILL);
	} else if (f.error) {
		regs.orig_rax = (unsigned long)-1;
		regs.rax = (unsigned long)-f.error;
		ptrace(PTRACE_SETREGS, pid, NULL, &regs);
	} else if (regs.rdx > 1) {
		regs.rdx /= 2;
		ptrace(PTRACE_SETREGS, pid, NULL, &regs);
	}
}

/* Until the command has ended; its status. */
static int follow(void)
{
	bool execed = false;
	int status;

	for (;;) {
		pid_t pid = waitpid(-1, &status, __WALL);
		int signal = 0;
		unsigned long child;

		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			give_up("wait");
		if (!WIFSTOPPED(status)) {
			if (pid == f.root)
				return status;
			continue;
		}
		switch (status >> 16) {
		case PTRACE_EVENT_SECCOMP:
			at_call(pid);
			break;
		case PTRACE_EVENT_EXEC:
			if (execed || pid != f.root)
				leave_alone(pid);
			execed = true;
			break;
		case PTRACE_EVENT_FORK:
		case PTRACE_EVENT_VFORK:
		case PTRACE_EVENT_CLONE:
			if (alone(pid) && ptrace(PTRACE_GETEVENTMSG, pid, NULL, &child) == 0)
				leave_alone((pid_t)child);
			break;
		case 0:
			signal = WSTOPSIG(status);
			if (signal == SIGSTOP) /* of a new process */
				signal = 0;
			break;
		}
		ptrace(PTRACE_CONT, pid, NULL, (void *)(long)signal);
	}
}

static int traced(char **argv)
{
	int status;

	f.root = fork();
	if (f.root < 0)
		give_up("fork");
	if (f.root == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			give_up("ptrace");
		raise(SIGSTOP);
		filter();
		execvp(argv[0], argv);
		give_up(argv[0]);
	}
	if (waitpid(f.root, &status, __WALL) != f.root || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, f.root, NULL, PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE |
		   PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL) != 0)
		give_up("ptrace");
	ptrace(PTRACE_CONT, f.root, NULL, NULL);
	return follow();
}

static int timed(char **argv)
{
	int status;
	pid_t pid;

	f.root = fork();
	if (f.root < 0)
		give_up("fork");
	if (f.root == 0) {
		execvp(argv[0], argv);
		give_up(argv[0]);
	}
	usleep((useconds_t)f.n);
	pid = waitpid(f.root, &status, WNOHANG);
	if (pid == 0) {
		f.seen = f.n;
		kill(f.root, SIGKILL);
		pid = waitpid(f.root, &status, 0);
	}
	if (pid != f.root)
		give_up("wait");
	return status;
}

int main(int argc, char **argv)
{
	int status;
	size_t len;

	if (argc < 5) {
		fprintf(stderr, "usage: fault CALL N HOW COMMAND...\n");
		return 125;
	}
	f.call = argv[1];
	f.n = atol(argv[2]);
	len = strlen(argv[3]);
	f.persist = len && argv[3][len - 1] == '+';
	len -= f.persist;
	f.kill = strcmp(argv[3], "kill") == 0;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (strlen(errors[i].name) == len && strncmp(errors[i].name, argv[3], len) == 0)
			f.error = errors[i].number;
	if (!f.error && !f.kill && strcmp(argv[3], "short") != 0) {
		errno = EINVAL;
		give_up(argv[3]);
	}
	status = strcmp(f.call, "time") == 0 ? timed(argv + 4) : traced(argv + 4);
	tell_count();
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
