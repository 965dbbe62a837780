/* base64.h: bytes as text (RFC 4648, section 4), over libcrypto. */
#ifndef SD_BASE_BASE64_H
#define SD_BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* Appends the text of n bytes, in one line, padded. */
void sd_base64_add(struct sd_str *str, const void *data, size_t n);

/* The bytes of a text in one line, to be freed, a zero byte behind them, their number in *n; the alphabet for
 * URLs (section 5) does too.  NULL without a message when it is anything but what sd_base64_add() would write. */
uint8_t *sd_base64_bytes(const char *text, size_t len, size_t *n);

#endif
