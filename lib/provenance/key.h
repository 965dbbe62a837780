/* key.h: Ed25519 keys (RFC 8032) from the files that other programs keep them in. */
#ifndef SD_PROVENANCE_KEY_H
#define SD_PROVENANCE_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "artifact/manifest.h"

#define SD_KEY_LEN 32
#define SD_SIGNATURE_LEN 64

struct sd_public_key {
	uint8_t bytes[SD_KEY_LEN];
	/* SHA-256 of the key as a SubjectPublicKeyInfo (RFC 8410), in hex: what
	 * `openssl pkey -pubin -in KEY -outform DER | sha256sum` prints */
	char id[SD_ID_LEN];
};

/* Reads a public key: PEM (openssl), an OpenSSH line "ssh-ed25519 AAAA...", or minisign's and signify's two
 * lines.  -1 and a data error when the file holds anything else, or more than one key. */
int sd_public_key_read(struct sd_public_key *key, const char *name);

struct sd_secret_key;

/* Reads a private key: PEM (PKCS #8; for an encrypted one libcrypto asks for the pass phrase on the terminal),
 * or OpenSSH's own form if that isn't encrypted.  NULL and a message. */
struct sd_secret_key *sd_secret_key_read(const char *name);
void sd_secret_key_free(struct sd_secret_key *key);
const struct sd_public_key *sd_secret_key_public(const struct sd_secret_key *key);

/* The signature of n bytes; -1 and a message when libcrypto fails. */
int sd_secret_key_sign(const struct sd_secret_key *key, const void *data, size_t n,
		       uint8_t signature[SD_SIGNATURE_LEN]);
/* Whether it is the signature of these bytes with that key. */
bool sd_public_key_verify(const struct sd_public_key *key, const void *data, size_t n,
			  const uint8_t signature[SD_SIGNATURE_LEN]);

#endif
