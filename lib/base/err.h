/* err.h: how the library says what went wrong.
 *
 * A library function that fails sets one message for its thread and returns -1 (or NULL).
 * Only tools print it and exit.  A message is lower case, has no full stop, names the file and
 * what was expected, and says first what failed: "cannot open 'x.h5': No such file or directory". */
#ifndef SD_BASE_ERR_H
#define SD_BASE_ERR_H

#if defined(__GNUC__)
#define SD_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define SD_PRINTF(f, a)
#endif

/* What kind of trouble it was: the exit status a tool ends with (sysexits numbers). */
enum sd_err_kind {
	SD_ERR_NONE = 0,
	SD_ERR_USAGE = 64,
	SD_ERR_DATA = 65,
	SD_ERR_NOINPUT = 66,
	SD_ERR_DEVICE = 69,
	SD_ERR_BUG = 70,
	SD_ERR_IO = 74,
	SD_ERR_STOPPED = 75,
};

/* Sets the thread's message and kind.  Always returns -1, so that `return sd_error(...)` reads well. */
int sd_error(enum sd_err_kind kind, const char *fmt, ...) SD_PRINTF(2, 3);

/* The same with ": strerror(errno)" behind the text; kind is SD_ERR_NOINPUT for ENOENT, else SD_ERR_IO. */
int sd_error_errno(const char *fmt, ...) SD_PRINTF(1, 2);

/* Puts "context: " in front of the present message, keeping its kind.  Returns -1. */
int sd_error_in(const char *fmt, ...) SD_PRINTF(1, 2);

/* The message ("" when there is none) and its kind.  The text lives until the thread's next error. */
const char *sd_error_text(void);
enum sd_err_kind sd_error_kind(void);
void sd_error_clear(void);

/* What analysers of single files can't see (`make lint`). */
#ifdef SD_LINT
static inline int sd_minus_one(int failure)
{
	(void)failure;
	return -1;
}
#define sd_error(...) sd_minus_one((sd_error)(__VA_ARGS__))
#define sd_error_errno(...) sd_minus_one((sd_error_errno)(__VA_ARGS__))
#define sd_error_in(...) sd_minus_one((sd_error_in)(__VA_ARGS__))
#endif

#endif
