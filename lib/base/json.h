/* json.h: JSON in canonical form (RFC 8785), over jansson.
 *
 * The subset of manifests: objects, arrays, strings, booleans, and integers of magnitude below 2^53.
 * Reals and null have no place in it: real numbers are strings in shortest round-trip form. */
#ifndef SD_BASE_JSON_H
#define SD_BASE_JSON_H

#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

/* The canonical text, NUL-ended, its length in *len when asked for; to be freed by the caller.  NULL and
 * a data error that names the place when the value holds something outside the subset. */
char *sd_json_canonical(const json_t *value, size_t *len);

/* Reads text that must be canonical, byte for byte.  `what` names it in messages.  A new reference. */
json_t *sd_json_parse_canonical(const char *text, size_t len, const char *what);

/* Reads any JSON text (no duplicate keys).  A new reference. */
json_t *sd_json_parse(const char *text, size_t len, const char *what);

/* Indented text with sorted keys and a line feed at its end. */
int sd_json_print(const json_t *value, FILE *f);

/* A JSON string of any bytes: what is not UTF-8 becomes U+FFFD (file names, arguments).  Never NULL. */
json_t *sd_json_bytes(const char *s);
/* A real number as a JSON string. */
json_t *sd_json_real(double value);

/* The string member of an object, or NULL when it is absent or no string. */
const char *sd_json_text(const json_t *object, const char *key);

#endif
