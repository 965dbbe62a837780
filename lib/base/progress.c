/* progress.c: one line on the terminal. */
#include "base/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static bool shown;
static double drawn_at, began_at;
static uint64_t began_done;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

static bool on_terminal(void)
{
	static int known = -1;
	const char *term;

	if (known < 0) {
		term = getenv("TERM");
		known = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
	}
	return known > 0;
}

void sd_progress(bool quiet, uint64_t done, uint64_t total, const char *fmt, ...)
{
	char line[512];
	struct winsize ws;
	const char *no_color = getenv("NO_COLOR");
	bool dim = !no_color || !*no_color;
	size_t n, width = 80;
	double t;
	va_list ap;

	if (quiet || !on_terminal())
		return;
	t = now();
	if (!shown || done < began_done) {
		began_at = t;
		began_done = done;
	} else if (t - drawn_at < 0.1 && done != total) {
		return;
	}
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	n = strlen(line);
	if (total)
		n += (size_t)snprintf(line + n, sizeof(line) - n, " %llu/%llu", (unsigned long long)done,
				      (unsigned long long)total);
	else
		n += (size_t)snprintf(line + n, sizeof(line) - n, " %llu", (unsigned long long)done);
	if (n < sizeof(line) && total > done && done > began_done && t - began_at > 2) {
		double left = (t - began_at) / (double)(done - began_done) * (double)(total - done);

		snprintf(line + n, sizeof(line) - n, ", %d:%02d left", (int)(left / 60), (int)left % 60);
	}
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 1)
		width = ws.ws_col;
	if (width - 1 < sizeof(line))
		line[width - 1] = '\0';
	fprintf(stderr, "\r%s%s%s\033[K", dim ? "\033[2m" : "", line, dim ? "\033[0m" : "");
	fflush(stderr);
	shown = true;
	drawn_at = t;
}

void sd_progress_clear(void)
{
	if (!shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	shown = false;
}
