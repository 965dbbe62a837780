/* confine.c: a process that can do little, for libhdf5. */
#include "artifact/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What libhdf5 may take beside the file's size several times over (twice that under a sanitizer, which keeps what was
 * freed), and the seconds for looking at its structure. */
#define MEMORY ((rlim_t)512 << 20 << SANITIZED)
#define SECONDS 120

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

#define LOAD(field) \
	(struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define SKIP_UNLESS(value, skip) (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (skip))
#define RETURN(what) (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, (what))

/* Allows reading, memory, and writing to the socket, and perhaps to the file: there are no other descriptors.
 * Anything else fails, as libraries expect of what they can do without. */
static void forbid(bool write)
{
#if defined(ARCH) && !SANITIZED
	static const long allowed[] = {
		SYS_read, SYS_pread64, SYS_lseek, SYS_fstat, SYS_newfstatat, SYS_munmap, SYS_mremap, SYS_brk,
		SYS_madvise, SYS_futex, SYS_exit, SYS_exit_group, SYS_rt_sigreturn, SYS_rt_sigprocmask,
		SYS_getpid, SYS_gettid, SYS_tgkill, SYS_clock_gettime, SYS_gettimeofday, SYS_getrandom,
		SYS_getrusage, SYS_sched_yield, SYS_sysinfo, SYS_sched_getaffinity,
	};
	static const long writing[] = { SYS_pwrite64, SYS_ftruncate };
	enum { N = sizeof(allowed) / sizeof(allowed[0]), W = sizeof(writing) / sizeof(writing[0]) };
	struct sock_filter code[2 * (N + W) + 16];
	unsigned short n = 0;
	struct sock_fprog prog = { .filter = code };

	code[n++] = LOAD(arch);
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	code[n++] = RETURN(SECCOMP_RET_KILL_PROCESS);
	code[n++] = LOAD(nr);
	for (int i = 0; i < N + (write ? W : 0); i++) {
		code[n++] = SKIP_UNLESS((unsigned)(i < N ? allowed[i] : writing[i - N]), 1);
		code[n++] = RETURN(SECCOMP_RET_ALLOW);
	}
	code[n++] = SKIP_UNLESS(SYS_write, 4);
	code[n++] = LOAD(args[0]);
	code[n++] = SKIP_UNLESS(SD_CONFINED_SOCKET, 1);
	code[n++] = RETURN(SECCOMP_RET_ALLOW);
	code[n++] = RETURN(SECCOMP_RET_ERRNO | EPERM);
	/* memory that isn't to be run: bit 2 of the protection is PROT_EXEC */
	code[n++] = SKIP_UNLESS(SYS_mmap, 3);
	code[n++] = LOAD(args[2]);
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 4, 1, 0);
	code[n++] = RETURN(SECCOMP_RET_ALLOW);
	code[n++] = RETURN(SECCOMP_RET_ERRNO | EPERM);
	prog.len = n;
	/* a kernel without it: a process of its own is what remains */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
#else
	(void)write;
#endif
}

static void limit_memory(uint64_t length)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	if (f && fscanf(f, "%lu", &pages) == 1) {
		rlim_t most = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + MEMORY + 4 * length;

		setrlimit(RLIMIT_AS, &(struct rlimit){ most, most });
	}
	if (f)
		fclose(f);
}

static void limit(uint64_t length)
{
	struct rlimit cpu = { SECONDS, SECONDS + 1 }, none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	cpu.rlim_cur += length >> 23; /* 8 MiB a second */
	cpu.rlim_max = cpu.rlim_cur + 1;
	setrlimit(RLIMIT_CPU, &cpu);
	limit_memory(length);
}

void sd_confine(int file, int socket, uint64_t length, bool write)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };
	int in = fcntl(file, F_DUPFD, 16), out = fcntl(socket, F_DUPFD, 16);

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGPIPE, SIG_DFL);
	limit(length);
	if (in < 0 || out < 0 || dup2(in, SD_CONFINED_FILE) < 0 || dup2(out, SD_CONFINED_SOCKET) < 0)
		_exit(errno);
	closefrom(SD_CONFINED_FILE + 1);
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	forbid(write);
}
