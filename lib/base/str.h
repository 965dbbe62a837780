/* str.h: a growing string, and numbers as text.
 *
 * Memory: a string that can't grow ends the program with a message; these strings are small. */
#ifndef SD_BASE_STR_H
#define SD_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct sd_str {
	char *s;    /* NUL-ended after the first addition; NULL before */
	size_t len;
	size_t cap;
};
#define SD_STR_INIT { NULL, 0, 0 }

void sd_str_add(struct sd_str *str, const void *bytes, size_t n);
void sd_str_adds(struct sd_str *str, const char *s);
void sd_str_addc(struct sd_str *str, char c);
void sd_str_addf(struct sd_str *str, const char *fmt, ...) SD_PRINTF(2, 3);
void sd_str_release(struct sd_str *str);
/* Gives the text away (never NULL), to be freed by the caller; the string is empty afterwards. */
char *sd_str_detach(struct sd_str *str);

/* The shortest decimal text that reads back as the same double, whatever the locale: "0.025", "1e-08",
 * "5", "-0", "inf", "nan".  Returns buf. */
char *sd_real_text(double value, char buf[32]);
/* The same for a float. */
char *sd_real_textf(float value, char buf[32]);

/* Whole-string conversions, C locale; false when the text is not exactly such a number or does not
 * fit.  Reals take strtod's decimal forms, no blanks; inf and nan are refused. */
bool sd_parse_real(const char *text, double *value);
bool sd_parse_int(const char *text, int64_t *value);
bool sd_parse_u64(const char *text, uint64_t *value);

/* Ends the program with a message: memory is used up. */
_Noreturn void sd_die_memory(void);
/* For small things: they end the program with a message instead of returning NULL. */
void *sd_xmalloc(size_t n);
void *sd_xcalloc(size_t n, size_t size);
void *sd_xrealloc(void *p, size_t n);
char *sd_xstrdup(const char *s);

#endif
