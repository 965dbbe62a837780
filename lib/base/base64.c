/* base64.c: bytes as text, over libcrypto, which is lenient when it reads: so what was read is written again. */
#include "base/base64.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

/* A multiple of three, so that portions can be put behind each other. */
#define PORTION ((size_t)3 << 20)

void sd_base64_add(struct sd_str *str, const void *data, size_t n)
{
	const unsigned char *p = data;

	for (size_t at = 0, k; at < n; at += k) {
		unsigned char *text;
		int len;

		k = n - at < PORTION ? n - at : PORTION;
		text = sd_xmalloc(k / 3 * 4 + 8);
		len = EVP_EncodeBlock(text, p + at, (int)k);
		sd_str_add(str, text, (size_t)len);
		free(text);
	}
}

uint8_t *sd_base64_bytes(const char *text, size_t len, size_t *n)
{
	struct sd_str again = SD_STR_INIT;
	unsigned char *clean;
	uint8_t *bytes;
	int got = -1;

	if (len % 4 || len > INT_MAX)
		return NULL;
	clean = sd_xmalloc(len + 1);
	for (size_t i = 0; i < len; i++)
		clean[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : (unsigned char)text[i];
	bytes = sd_xcalloc(len / 4 * 3 + 1, 1);
	if (len)
		got = EVP_DecodeBlock(bytes, clean, (int)len);
	*n = got < 0 ? 0 : (size_t)got;
	if (got > 0) {
		/* padding counts as zero bytes */
		*n -= (size_t)(clean[len - 1] == '=') + (size_t)(clean[len - 2] == '=');
		sd_base64_add(&again, bytes, *n);
	}
	if (again.len != len || (len && memcmp(again.s, clean, len) != 0)) {
		free(bytes);
		bytes = NULL;
	}
	sd_str_release(&again);
	free(clean);
	return bytes;
}
