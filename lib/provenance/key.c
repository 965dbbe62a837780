/* key.c: Ed25519 keys: their files and, through libcrypto, their signatures. */
#include "provenance/key.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/base64.h"
#include "base/err.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/str.h"

#define MOST ((size_t)64 << 10) /* bytes in a key's file */

struct sd_secret_key {
	EVP_PKEY *key;
	struct sd_public_key public;
};

static void take(struct sd_public_key *key, const uint8_t bytes[SD_KEY_LEN])
{
	/* RFC 8410, section 4: SEQUENCE { SEQUENCE { OID 1.3.101.112 } BIT STRING } */
	static const uint8_t head[] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };
	uint8_t info[sizeof(head) + SD_KEY_LEN], digest[SD_SHA256_LEN];

	memcpy(key->bytes, bytes, SD_KEY_LEN);
	memcpy(info, head, sizeof(head));
	memcpy(info + sizeof(head), bytes, SD_KEY_LEN);
	sd_sha256(info, sizeof(info), digest);
	sd_sha256_hex(digest, key->id);
}

/* Whether a key is a point of order 1, 2, 4 or 8: then there are signatures by nobody, which are good for a part of
 * all messages.  These are all encodings of such points, RFC 8032's and others, but for the sign of x. */
static bool of_small_order(const uint8_t bytes[SD_KEY_LEN])
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	uint8_t y[SD_KEY_LEN];
	char hex[SD_SHA256_HEX + 1];

	memcpy(y, bytes, sizeof(y));
	y[SD_KEY_LEN - 1] &= 0x7f;
	sd_sha256_hex(y, hex);
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		if (strcmp(hex, points[i]) == 0)
			return true;
	return false;
}

/* ---- fields of OpenSSH's forms: a length in 4 bytes, big-endian, and the bytes (RFC 4251, section 5) ---- */

struct reader {
	const uint8_t *p, *end;
};

static bool read_u32(struct reader *r, uint32_t *v)
{
	if (r->end - r->p < 4)
		return false;
	*v = (uint32_t)r->p[0] << 24 | (uint32_t)r->p[1] << 16 | (uint32_t)r->p[2] << 8 | r->p[3];
	r->p += 4;
	return true;
}

static bool read_field(struct reader *r, struct reader *field)
{
	uint32_t n;

	if (!read_u32(r, &n) || (size_t)(r->end - r->p) < n)
		return false;
	*field = (struct reader){ r->p, r->p + n };
	r->p += n;
	return true;
}

static bool field_is(struct reader *r, const char *text)
{
	struct reader f;

	return read_field(r, &f) && (size_t)(f.end - f.p) == strlen(text) && memcmp(f.p, text, strlen(text)) == 0;
}

/* ---- public keys ---- */

static bool take_pem(struct sd_public_key *key, const struct sd_blob *b)
{
	BIO *bio = BIO_new_mem_buf(b->data, (int)b->size);
	EVP_PKEY *pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
	uint8_t bytes[SD_KEY_LEN];
	size_t n = sizeof(bytes);
	bool ok = pkey && EVP_PKEY_base_id(pkey) == EVP_PKEY_ED25519 &&
		  EVP_PKEY_get_raw_public_key(pkey, bytes, &n) == 1 && n == sizeof(bytes);

	if (ok)
		take(key, bytes);
	EVP_PKEY_free(pkey);
	BIO_free(bio);
	return ok;
}

/* The word of base64 behind "ssh-ed25519 ". */
static bool take_openssh(struct sd_public_key *key, const char *word)
{
	size_t n = 0;
	uint8_t *bytes = sd_base64_bytes(word, strcspn(word, " \t\r\n"), &n);
	struct reader r, f;
	bool ok;

	if (!bytes)
		return false;
	r = (struct reader){ bytes, bytes + n };
	ok = field_is(&r, "ssh-ed25519") && read_field(&r, &f) && f.end - f.p == SD_KEY_LEN && r.p == r.end;
	if (ok)
		take(key, f.p);
	free(bytes);
	return ok;
}

/* minisign and signify: "Ed", a number of 8 bytes, the key. */
static bool take_minisign(struct sd_public_key *key, const char *word)
{
	size_t n = 0;
	uint8_t *bytes = sd_base64_bytes(word, strcspn(word, " \t\r\n"), &n);
	bool ok = bytes && n == 10 + SD_KEY_LEN && bytes[0] == 'E' && bytes[1] == 'd';

	if (ok)
		take(key, bytes + 10);
	free(bytes);
	return ok;
}

/* Each line that isn't empty or a comment is a key.  -1: one that isn't; else their number. */
static int take_lines(struct sd_public_key *key, const char *text)
{
	int found = 0;

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		size_t blank = strspn(line, " \t\r");

		if (!line[blank] || strchr("\n#", line[blank]) || strncmp(line, "untrusted comment:", 18) == 0)
			continue;
		if (strncmp(line, "ssh-ed25519 ", 12) == 0 ? !take_openssh(key, line + 12) :
							     !take_minisign(key, line))
			return -1;
		found++;
	}
	return found;
}

int sd_public_key_read(struct sd_public_key *key, const char *name)
{
	const char *shown = sd_file_name(name), *pem;
	struct sd_blob b;
	int n;

	if (sd_blob_read(&b, name, MOST) < 0)
		return -1;
	pem = strstr((char *)b.data, "-----BEGIN ");
	if (pem)
		n = take_pem(key, &b) ? 1 : -1;
	else
		n = take_lines(key, (char *)b.data);
	if (n > 1)
		sd_error(SD_ERR_DATA, "%s: %d keys where one was expected", shown, n);
	else if (n < 1 && pem && strstr(pem, "PRIVATE KEY"))
		sd_error(SD_ERR_DATA, "%s: a private key where a public key was expected", shown);
	else if (n < 1)
		sd_error(SD_ERR_DATA, "%s: not an Ed25519 public key (PEM, OpenSSH or minisign)", shown);
	OPENSSL_cleanse(b.data, b.size);
	sd_blob_release(&b);
	if (n == 1 && of_small_order(key->bytes))
		return sd_error(SD_ERR_DATA, "%s: a key of small order, with which anybody can sign", shown);
	return n == 1 ? 0 : -1;
}

/* ---- private keys ---- */

#define OPENSSH_BEGIN "-----BEGIN OPENSSH PRIVATE KEY-----"
#define OPENSSH_END "-----END OPENSSH PRIVATE KEY-----"

/* The seed in the bytes of OpenSSH's form (its file PROTOCOL.key).  -1 and a message about `name`. */
static int openssh_seed(const uint8_t *bytes, size_t n, uint8_t seed[SD_KEY_LEN], const char *name)
{
	static const char magic[] = "openssh-key-v1";
	struct reader r = { bytes, bytes + n }, f, public, secret;
	uint32_t count, check[2];

	if (n < sizeof(magic) || memcmp(bytes, magic, sizeof(magic)) != 0)
		goto bad;
	r.p += sizeof(magic);
	if (!read_field(&r, &f))
		goto bad;
	if (f.end - f.p != 4 || memcmp(f.p, "none", 4) != 0)
		return sd_error(SD_ERR_DATA, "%s: an encrypted OpenSSH key, which can't be read here", name);
	if (!field_is(&r, "none") || !field_is(&r, "") || !read_u32(&r, &count) || count != 1 ||
	    !read_field(&r, &f) || !read_field(&r, &f))
		goto bad;
	r = f;
	if (!read_u32(&r, &check[0]) || !read_u32(&r, &check[1]) || check[0] != check[1] ||
	    !field_is(&r, "ssh-ed25519") || !read_field(&r, &public) || !read_field(&r, &secret) ||
	    public.end - public.p != SD_KEY_LEN || secret.end - secret.p != 2 * SD_KEY_LEN ||
	    memcmp(secret.p + SD_KEY_LEN, public.p, SD_KEY_LEN) != 0)
		goto bad;
	memcpy(seed, secret.p, SD_KEY_LEN);
	return 0;
bad:
	return sd_error(SD_ERR_DATA, "%s: not an Ed25519 private key", name);
}

static EVP_PKEY *read_openssh(const char *text, const char *name)
{
	const char *p = strstr(text, OPENSSH_BEGIN) + strlen(OPENSSH_BEGIN), *end = strstr(p, OPENSSH_END);
	char *word = sd_xmalloc(strlen(p) + 1);
	uint8_t seed[SD_KEY_LEN] = { 0 }, *bytes = NULL;
	size_t len = 0, n = 0;
	EVP_PKEY *key = NULL;

	for (; end && p < end; p++)
		if (!strchr(" \t\r\n", *p))
			word[len++] = *p;
	bytes = sd_base64_bytes(word, len, &n);
	if (!bytes)
		sd_error(SD_ERR_DATA, "%s: not an Ed25519 private key", name);
	else if (openssh_seed(bytes, n, seed, name) == 0)
		key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
	OPENSSL_cleanse(seed, sizeof(seed));
	OPENSSL_cleanse(word, len);
	if (bytes)
		OPENSSL_cleanse(bytes, n);
	free(bytes);
	free(word);
	return key;
}

static EVP_PKEY *read_pem(const struct sd_blob *b, const char *name)
{
	BIO *bio = BIO_new_mem_buf(b->data, (int)b->size);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;

	BIO_free(bio);
	if (!key && strstr((char *)b->data, "ENCRYPTED"))
		sd_error(SD_ERR_DATA, "%s: an encrypted key that could not be opened", name);
	else if (!key)
		sd_error(SD_ERR_DATA, "%s: not an Ed25519 private key (PEM or OpenSSH)", name);
	return key;
}

struct sd_secret_key *sd_secret_key_read(const char *name)
{
	struct sd_secret_key *secret = sd_xcalloc(1, sizeof(*secret));
	const char *shown = sd_file_name(name);
	uint8_t bytes[SD_KEY_LEN];
	size_t n = sizeof(bytes);
	struct sd_blob b;

	if (sd_blob_read(&b, name, MOST) < 0) {
		free(secret);
		return NULL;
	}
	secret->key = strstr((char *)b.data, OPENSSH_BEGIN) ? read_openssh((char *)b.data, shown) :
							      read_pem(&b, shown);
	OPENSSL_cleanse(b.data, b.size);
	sd_blob_release(&b);
	if (!secret->key)
		goto bad;
	if (EVP_PKEY_base_id(secret->key) != EVP_PKEY_ED25519 ||
	    EVP_PKEY_get_raw_public_key(secret->key, bytes, &n) != 1 || n != sizeof(bytes)) {
		sd_error(SD_ERR_DATA, "%s: a key of another kind where Ed25519 was expected", shown);
		goto bad;
	}
	take(&secret->public, bytes);
	return secret;
bad:
	sd_secret_key_free(secret);
	return NULL;
}

void sd_secret_key_free(struct sd_secret_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->key);
	free(key);
}

const struct sd_public_key *sd_secret_key_public(const struct sd_secret_key *key)
{
	return &key->public;
}

/* ---- signatures ---- */

int sd_secret_key_sign(const struct sd_secret_key *key, const void *data, size_t n,
		       uint8_t signature[SD_SIGNATURE_LEN])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = SD_SIGNATURE_LEN;
	bool ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->key) == 1 &&
		  EVP_DigestSign(ctx, signature, &len, data, n) == 1 && len == SD_SIGNATURE_LEN;

	EVP_MD_CTX_free(ctx);
	return ok ? 0 : sd_error(SD_ERR_BUG, "libcrypto can't sign with this key");
}

bool sd_public_key_verify(const struct sd_public_key *key, const void *data, size_t n,
			  const uint8_t signature[SD_SIGNATURE_LEN])
{
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key->bytes, SD_KEY_LEN);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = pkey && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
		  EVP_DigestVerify(ctx, signature, SD_SIGNATURE_LEN, data, n) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	return ok;
}
