/* sha256.h: SHA-256 over libcrypto. */
#ifndef SD_BASE_SHA256_H
#define SD_BASE_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SD_SHA256_LEN 32
#define SD_SHA256_HEX 64

struct sd_sha256 {
	void *ctx; /* EVP_MD_CTX */
};

/* init or reset before the first update; after final it may be init'ed again or released.  libcrypto
 * can only fail here when memory is used up, which ends the program with a message. */
void sd_sha256_init(struct sd_sha256 *h);
void sd_sha256_reset(struct sd_sha256 *h);
void sd_sha256_update(struct sd_sha256 *h, const void *data, size_t n);
void sd_sha256_final(struct sd_sha256 *h, uint8_t digest[SD_SHA256_LEN]);
void sd_sha256_release(struct sd_sha256 *h);

/* A length as 8 bytes little-endian, then the bytes: a part that can't run into its neighbour. */
void sd_sha256_part(struct sd_sha256 *h, const void *data, size_t n);

void sd_sha256(const void *data, size_t n, uint8_t digest[SD_SHA256_LEN]);
void sd_sha256_hex(const uint8_t digest[SD_SHA256_LEN], char hex[SD_SHA256_HEX + 1]);
/* Exactly 64 lower-case hex digits. */
bool sd_sha256_unhex(const char *hex, uint8_t digest[SD_SHA256_LEN]);

/* Of what a descriptor holds from `offset` to its end (pread, the position stays); *size: how many bytes
 * those were.  -1 with a message that has `name` in it. */
int sd_sha256_fd(int fd, uint64_t offset, const char *name, uint8_t digest[SD_SHA256_LEN], uint64_t *size);

#endif
