/* sha256.c: SHA-256 over libcrypto's EVP interface, which takes the processor's own instructions. */
#include "base/sha256.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/err.h"
#include "base/str.h"

void sd_sha256_init(struct sd_sha256 *h)
{
	h->ctx = EVP_MD_CTX_new();
	if (!h->ctx)
		sd_die_memory();
	if (!EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL))
		sd_die_memory();
}

void sd_sha256_reset(struct sd_sha256 *h)
{
	/* no algorithm given: the one it has, without looking it up again */
	if (!EVP_DigestInit_ex(h->ctx, NULL, NULL))
		sd_die_memory();
}

void sd_sha256_update(struct sd_sha256 *h, const void *data, size_t n)
{
	if (n && !EVP_DigestUpdate(h->ctx, data, n))
		sd_die_memory();
}

void sd_sha256_final(struct sd_sha256 *h, uint8_t digest[SD_SHA256_LEN])
{
	if (!EVP_DigestFinal_ex(h->ctx, digest, NULL))
		sd_die_memory();
}

void sd_sha256_release(struct sd_sha256 *h)
{
	EVP_MD_CTX_free(h->ctx);
	h->ctx = NULL;
}

void sd_sha256_part(struct sd_sha256 *h, const void *data, size_t n)
{
	uint8_t len[8];

	for (int i = 0; i < 8; i++)
		len[i] = (uint8_t)((uint64_t)n >> (8 * i));
	sd_sha256_update(h, len, sizeof(len));
	sd_sha256_update(h, data, n);
}

void sd_sha256(const void *data, size_t n, uint8_t digest[SD_SHA256_LEN])
{
	struct sd_sha256 h;

	sd_sha256_init(&h);
	sd_sha256_update(&h, data, n);
	sd_sha256_final(&h, digest);
	sd_sha256_release(&h);
}

void sd_sha256_hex(const uint8_t digest[SD_SHA256_LEN], char hex[SD_SHA256_HEX + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < SD_SHA256_LEN; i++) {
		hex[2 * i] = digits[digest[i] >> 4];
		hex[2 * i + 1] = digits[digest[i] & 15];
	}
	hex[SD_SHA256_HEX] = '\0';
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

bool sd_sha256_unhex(const char *hex, uint8_t digest[SD_SHA256_LEN])
{
	if (strlen(hex) != SD_SHA256_HEX)
		return false;
	for (int i = 0; i < SD_SHA256_LEN; i++) {
		int hi = nibble(hex[2 * i]), lo = nibble(hex[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		digest[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

int sd_sha256_fd(int fd, uint64_t offset, const char *name, uint8_t digest[SD_SHA256_LEN], uint64_t *size)
{
	size_t cap = (size_t)1 << 20;
	struct sd_sha256 h;
	uint64_t total = 0;
	uint8_t *buf;
	int rc = -1;

	buf = sd_xmalloc(cap);
	sd_sha256_init(&h);
	for (;;) {
		ssize_t n = pread(fd, buf, cap, (off_t)(offset + total));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			sd_error_errno("cannot read '%s'", name);
			goto out;
		}
		if (n == 0)
			break;
		sd_sha256_update(&h, buf, (size_t)n);
		total += (uint64_t)n;
	}
	sd_sha256_final(&h, digest);
	if (size)
		*size = total;
	rc = 0;
out:
	sd_sha256_release(&h);
	free(buf);
	return rc;
}
