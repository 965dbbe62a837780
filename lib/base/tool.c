/* tool.c: how a tool ends and speaks. */
#include "base/tool.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/progress.h"

int sd_tool_fail(const char *tool)
{
	enum sd_err_kind kind = sd_error_kind();

	sd_progress_clear();
	if (kind == SD_ERR_NONE) {
		fprintf(stderr, "%s: failed without saying why\n", tool);
		return SD_ERR_BUG;
	}
	fprintf(stderr, "%s: %s\n", tool, sd_error_text());
	if (kind == SD_ERR_USAGE)
		fprintf(stderr, "Try '%s --help'.\n", tool);
	return (int)kind;
}

int sd_tool_close(const char *tool)
{
	int bad = ferror(stdout);

	errno = 0;
	if (fclose(stdout) != 0)
		bad = 1;
	if (!bad)
		return 0;
	sd_progress_clear();
	fprintf(stderr, "%s: cannot write to standard output%s%s\n", tool, errno ? ": " : "",
		errno ? strerror(errno) : "");
	return SD_ERR_IO;
}

double sd_tool_age(void)
{
	unsigned long long begin = 0; /* in ticks since the system was started */
	char line[1024], *p;
	struct timespec now;
	FILE *f = fopen("/proc/self/stat", "re");

	if (!f)
		return 0;
	/* the program's name, in brackets, may hold anything; the time is the twentieth word behind it */
	p = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
	fclose(f);
	if (!p || sscanf(p + 1, " %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
		&begin) != 1)
		return 0;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec - (double)begin / (double)sysconf(_SC_CLK_TCK);
}

void sd_tool_say(const char *tool, bool quiet, const char *fmt, ...)
{
	va_list ap;

	if (quiet)
		return;
	sd_progress_clear();
	fprintf(stderr, "%s: ", tool);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}
