/* manifest.h: manifests and the chain of manifests that something came from.  The format is described
 * in sd-manifest(5). */
#ifndef SD_ARTIFACT_MANIFEST_H
#define SD_ARTIFACT_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

#define SD_ID_LEN 65 /* 64 hex digits and a NUL */

struct sd_manifest {
	json_t *json;    /* {"claim": ..., "context": ...} */
	json_t *claim;   /* borrowed from json */
	json_t *context;
	const char *kind; /* of claim: "dataset", "search", "genotype", "model", "eval" */
	const char *tool;
	const char *payload; /* digest, 64 hex digits */
	const char *seed; /* decimal text, or NULL */
	bool complete;
	char *text;      /* the canonical bytes */
	size_t len;
	char id[SD_ID_LEN];     /* SHA-256 of the claim */
	char seal[SD_ID_LEN];   /* SHA-256 of the manifest */
	char recipe[SD_ID_LEN]; /* SHA-256 of what is left of the claim for "the same with another seed" */
};

/* A signature as it was found beside the manifest: an envelope that nobody has looked into (provenance/dsse.h). */
struct sd_signature {
	char *keyid;     /* what it is stored under; "" in a text artifact, where it has no name */
	char *text;
	size_t len;
};

/* A manifest and those of everything it came from, each once, sorted by id; and its signatures. */
struct sd_lineage {
	struct sd_manifest *own;
	struct sd_manifest **ancestor;
	int nancestor;
	struct sd_signature *signature;
	int nsignature;
};

/* Reads canonical text; everything about its form is checked (sd-manifest(5)).  NULL with a data
 * error that begins with `what`. */
struct sd_manifest *sd_manifest_parse(const char *text, size_t len, const char *what);
/* The same from a value; a reference to it is kept. */
struct sd_manifest *sd_manifest_from_json(json_t *json, const char *what);
void sd_manifest_free(struct sd_manifest *m);

/* A lineage of its own manifest, which it owns from then on, and one more ancestor (twice the same is
 * once). */
struct sd_lineage *sd_lineage_new(struct sd_manifest *own);
void sd_lineage_add(struct sd_lineage *l, struct sd_manifest *ancestor);
/* One more signature; the texts are copied. */
void sd_lineage_sign(struct sd_lineage *l, const char *keyid, const char *text, size_t len);
/* The ancestor (or own manifest) of that id, or NULL. */
const struct sd_manifest *sd_lineage_find(const struct sd_lineage *l, const char *id);
void sd_lineage_free(struct sd_lineage *l);

/* Checks that every input of every manifest is there as an ancestor, with the payload and recipe that the
 * claim names, that there are no others, and that they have the seals in context.ancestors (or, if that is
 * absent, empty contexts).  -1 and a data error that names the id. */
int sd_lineage_check(const struct sd_lineage *l, const char *what);

/* Text artifacts: lines "# sd-manifest {json}", the first being the own manifest, one line
 * "# sd-seal <hex>", and lines "# sd-signature {json}". */
#define SD_SIGNATURE_LINE "# sd-signature "
/* Writing manifests and seal: */
int sd_lineage_write(const struct sd_lineage *l, FILE *f);
/* Reading: the lineage in the comments of `text`, checked as above; NULL without a message when there
 * are no such lines (*found = false), NULL with one when they are damaged.  The caller compares
 * own->payload with the digest of what it parsed. */
struct sd_lineage *sd_lineage_read(const char *text, size_t len, const char *what, bool *found);

#endif
