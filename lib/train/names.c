/* names.c: several names for one architecture. */
#include "train/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* The length of the name that a list begins with. */
static size_t first(const char *names)
{
	return strcspn(names, "=");
}

static const char *next(const char *names)
{
	names += first(names);
	return *names ? names + 1 : names;
}

static bool has(const char *names, const char *name, size_t n)
{
	for (; *names; names = next(names))
		if (first(names) == n && !memcmp(names, name, n))
			return true;
	return false;
}

bool sd_names_have(const char *names, const char *name)
{
	return *name && has(names, name, strlen(name));
}

/* Puts one name in its place. */
static void insert(char **names, const char *name, size_t n)
{
	struct sd_str s = SD_STR_INIT;
	bool placed = false;
	for (const char *c = *names; *c; c = next(c)) {
		size_t len = first(c);
		int order = memcmp(c, name, len < n ? len : n);
		if (!placed && (order > 0 || (!order && len > n))) {
			sd_str_addf(&s, "%s%.*s", s.len ? "=" : "", (int)n, name);
			placed = true;
		}
		sd_str_addf(&s, "%s%.*s", s.len ? "=" : "", (int)len, c);
	}
	if (!placed)
		sd_str_addf(&s, "%s%.*s", s.len ? "=" : "", (int)n, name);
	free(*names);
	*names = sd_str_detach(&s);
}

void sd_names_add(char **names, const char *more)
{
	if (!strcmp(more, "-"))
		return;
	if (!strcmp(*names, "-")) {
		free(*names);
		*names = sd_xstrdup(more);
		return;
	}
	for (; *more; more = next(more))
		if (first(more) && !has(*names, more, first(more)))
			insert(names, more, first(more));
}
