/* err.c: one message a thread. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char text[2048];
static _Thread_local enum sd_err_kind kind_now;

int (sd_error)(enum sd_err_kind kind, const char *fmt, ...)
{
	char buf[sizeof(text)]; /* an argument may point into text */
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	memcpy(text, buf, sizeof(text));
	kind_now = kind;
	return -1;
}

int (sd_error_errno)(const char *fmt, ...)
{
	int saved = errno;
	char buf[sizeof(text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	return sd_error(saved == ENOENT ? SD_ERR_NOINPUT : SD_ERR_IO, "%s: %s", buf, strerror(saved));
}

int (sd_error_in)(const char *fmt, ...)
{
	char buf[sizeof(text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	return sd_error(kind_now, "%s: %s", buf, text);
}

const char *sd_error_text(void)
{
	return text;
}

enum sd_err_kind sd_error_kind(void)
{
	return kind_now;
}

void sd_error_clear(void)
{
	text[0] = '\0';
	kind_now = SD_ERR_NONE;
}
