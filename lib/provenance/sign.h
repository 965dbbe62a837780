/* sign.h: signatures of artifacts.
 *
 * What is signed is an in-toto Statement (v1) in canonical JSON whose predicate is the manifest and whose subject
 * is the payload's digest, in a DSSE envelope: see SIGNATURES in sd-manifest(5).  The manifest has claim, context
 * and, by ids and seals, all ancestors, so that nothing in an artifact is without it but the signatures. */
#ifndef SD_PROVENANCE_SIGN_H
#define SD_PROVENANCE_SIGN_H

#include "artifact/manifest.h"
#include "base/str.h"
#include "provenance/dsse.h"
#include "provenance/key.h"

#define SD_STATEMENT_MEDIA "application/vnd.in-toto+json"
#define SD_STATEMENT_TYPE "https://in-toto.io/Statement/v1"
#define SD_MANIFEST_PREDICATE "urn:sharpdarts:manifest:v1"

/* Signs the artifact `name`, whose manifests have been checked: into the file itself, written as `output`, other
 * keys' signatures staying; or, `beside`, into NAME.dsse.json, which names the file's SHA-256 as a second
 * subject.  -1 and a message, nothing being changed then. */
int sd_sign(const char *name, const struct sd_lineage *l, const char *output,
	    const struct sd_secret_key *key);
int sd_sign_beside(const char *name, const struct sd_lineage *l, const struct sd_secret_key *key);

/* A statement of another kind in an envelope with one signature: canonical text, to be freed; NULL and a message. */
char *sd_sign_statement(const json_t *statement, const struct sd_secret_key *key);

/* The signatures in NAME.dsse.json, which need not exist, put with those in the file.  -1 and a message when it
 * cannot be read. */
int sd_signatures_beside(const char *name, struct sd_lineage *l);

/* Looks at all signatures without any key: whether they have the right form and speak of this artifact.  What is
 * wrong is added to `report`, a line each, and counted. */
int sd_signatures_inspect(const struct sd_lineage *l, struct sd_str *report);
/* The key ids they name, in an array. */
json_t *sd_signatures_keyids(const struct sd_lineage *l);

/* Whether the artifact is signed with that key.  Anything but SD_GOOD adds lines to `report`. */
enum sd_verdict sd_signatures_verify(const struct sd_lineage *l, const struct sd_public_key *key,
				     struct sd_str *report);

#endif
