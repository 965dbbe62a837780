/* str.c: strings that grow; numbers as text whatever the locale. */
#include "base/str.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sd_die_memory(void)
{
	fprintf(stderr, "%s: out of memory\n", program_invocation_short_name);
	exit(SD_ERR_IO);
}

void *sd_xmalloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	if (!p)
		sd_die_memory();
	return p;
}

void *sd_xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		sd_die_memory();
	return p;
}

void *sd_xrealloc(void *p, size_t n)
{
	p = realloc(p, n ? n : 1);
	if (!p)
		sd_die_memory();
	return p;
}

char *sd_xstrdup(const char *s)
{
	size_t n = strlen(s) + 1;

	return memcpy(sd_xmalloc(n), s, n);
}

static void grow(struct sd_str *str, size_t more)
{
	size_t want = str->len + more + 1;

	if (want <= str->cap)
		return;
	str->cap = want < 64 ? 64 : want + want / 2;
	str->s = sd_xrealloc(str->s, str->cap);
}

void sd_str_add(struct sd_str *str, const void *bytes, size_t n)
{
	grow(str, n);
	if (n)
		memcpy(str->s + str->len, bytes, n);
	str->len += n;
	str->s[str->len] = '\0';
}

void sd_str_adds(struct sd_str *str, const char *s)
{
	sd_str_add(str, s, strlen(s));
}

void sd_str_addc(struct sd_str *str, char c)
{
	sd_str_add(str, &c, 1);
}

void sd_str_addf(struct sd_str *str, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	grow(str, (size_t)n);
	va_start(ap, fmt);
	vsnprintf(str->s + str->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	str->len += (size_t)n;
}

void sd_str_release(struct sd_str *str)
{
	free(str->s);
	*str = (struct sd_str)SD_STR_INIT;
}

char *sd_str_detach(struct sd_str *str)
{
	char *s;

	grow(str, 0);
	str->s[str->len] = '\0';
	s = str->s;
	*str = (struct sd_str)SD_STR_INIT;
	return s;
}

static locale_t c_locale;

static void make_c_locale(void)
{
	c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (!c_locale)
		sd_die_memory();
}

static locale_t get_c_locale(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_c_locale);
	return c_locale;
}

/* Tries 1, 2, ... digits until the text reads back as the value; `single` asks for a float.  Then once more
 * without an exponent where that isn't long: 50, not 5e+01.  Whole numbers below 1e16 are exact that way. */
static char *shortest(double value, bool single, char buf[32])
{
	locale_t loc = get_c_locale(), old;
	int digits, exponent, most = single ? 9 : 17;
	const char *e;

	if (isnan(value))
		return strcpy(buf, "nan");
	old = uselocale(loc);
	for (digits = 1; digits <= most; digits++) {
		snprintf(buf, 32, "%.*g", digits, value);
		if (single ? strtof_l(buf, NULL, loc) == (float)value : strtod_l(buf, NULL, loc) == value)
			break;
	}
	e = strchr(buf, 'e');
	exponent = e ? atoi(e + 1) : 0;
	if (exponent > 0 && exponent < 16)
		snprintf(buf, 32, "%.*g", exponent + 1 > digits ? exponent + 1 : digits, value);
	uselocale(old);
	return buf;
}

char *sd_real_text(double value, char buf[32])
{
	return shortest(value, false, buf);
}

char *sd_real_textf(float value, char buf[32])
{
	return shortest((double)value, true, buf);
}

bool sd_parse_real(const char *text, double *value)
{
	char *end;

	/* no blanks, no hexadecimal, no words: only what a decimal number begins and goes on with */
	if (!*text || text[strspn(text, "+-.0123456789eE")])
		return false;
	errno = 0;
	*value = strtod_l(text, &end, get_c_locale());
	return !*end && isfinite(*value);
}

bool sd_parse_int(const char *text, int64_t *value)
{
	char *end;

	if (!*text || text[strspn(text, "+-0123456789")])
		return false;
	errno = 0;
	*value = strtoll(text, &end, 10);
	return !*end && !errno;
}

bool sd_parse_u64(const char *text, uint64_t *value)
{
	char *end;

	if (!*text || text[strspn(text, "0123456789")])
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return !*end && !errno;
}
