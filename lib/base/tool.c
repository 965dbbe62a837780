/* tool.c: how a tool ends and speaks. */
#include "base/tool.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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
