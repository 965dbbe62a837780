/* dsse.h: signed envelopes (DSSE 1.0.2, https://github.com/secure-systems-lab/dsse): a payload, its type, and
 * signatures over both. */
#ifndef SD_PROVENANCE_DSSE_H
#define SD_PROVENANCE_DSSE_H

#include "base/str.h"
#include "provenance/key.h"

struct sd_envelope {
	char *type;            /* of the payload: a media type or a URI */
	uint8_t *payload;      /* n bytes and a zero byte */
	size_t n;
	struct sd_envelope_signature {
		char *keyid;   /* a hint that nothing vouches for; "" when absent */
		uint8_t *bytes;
		size_t n;
	} *signature;
	int nsignature;
};

/* Reads the JSON of an envelope; members that aren't known are passed over, as the specification asks.  -1 and a
 * data error that begins with `what`; filled in on success only. */
int sd_envelope_parse(struct sd_envelope *e, const char *text, size_t len, const char *what);
void sd_envelope_release(struct sd_envelope *e);

/* An envelope around n bytes, without signatures as yet. */
void sd_envelope_init(struct sd_envelope *e, const char *type, const void *payload, size_t n);
/* Signs it; a signature of the same key is replaced.  -1 and a message. */
int sd_envelope_sign(struct sd_envelope *e, const struct sd_secret_key *key);
/* Its JSON in canonical form, to be freed. */
char *sd_envelope_text(const struct sd_envelope *e, size_t *len);

enum sd_verdict {
	SD_UNSIGNED,   /* no signature of that key */
	SD_GOOD,
	SD_BAD,        /* one that says it is, and isn't */
};
/* Looks for a signature of the key.  One that names the key must be good; others may be, too. */
enum sd_verdict sd_envelope_verify(const struct sd_envelope *e, const struct sd_public_key *key);

/* The pre-authentication encoding, which is what is signed:
 * "DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload. */
void sd_dsse_pae(struct sd_str *out, const char *type, const void *payload, size_t n);

#endif
