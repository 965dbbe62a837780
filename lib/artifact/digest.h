/* digest.h: Merkle digests of datasets, independent of how HDF5 stores them.
 *
 * A dataset's bytes (row-major, little-endian) are cut into blocks of 1 MiB.  leaf = H(0x00 | block),
 * node = H(0x01 | left | right), the tree's shape as in RFC 6962 (left: the largest power of two below the
 * count); no bytes at all: H of nothing.  dataset = H over the parts "sd1", path, type, shape (8 bytes
 * little-endian a dimension), root, each with its length in front (8 bytes little-endian).
 * payload = H of the text of lines "<digest>  <path>\n", sorted by path: what sha256sum would print. */
#ifndef SD_ARTIFACT_DIGEST_H
#define SD_ARTIFACT_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sha256.h"

#define SD_BLOCK ((size_t)1 << 20)
#define SD_MAX_RANK 8

enum sd_type {
	SD_TYPE_U8, SD_TYPE_I32, SD_TYPE_U32, SD_TYPE_I64, SD_TYPE_U64, SD_TYPE_F32, SD_TYPE_F64,
	SD_TYPE_STRING, SD_NTYPE
};

/* What a dataset is, apart from its values. */
struct sd_dset {
	const char *path;      /* "/train/images" */
	enum sd_type type;
	size_t size;           /* bytes of an element: for SD_TYPE_STRING its fixed length */
	int rank;              /* 0: a scalar */
	uint64_t shape[SD_MAX_RANK];
	uint64_t count;        /* elements */
	uint64_t bytes;        /* count * size */
};

/* "u8", "i32", ..., "s<length>"; returns buf. */
const char *sd_type_name(enum sd_type type, size_t size, char buf[24]);
size_t sd_type_size(enum sd_type type); /* 0 for SD_TYPE_STRING */

struct sd_hashers;

/* Leaves as the bytes come; from some blocks on they are hashed by threads of their own while more bytes
 * come. */
struct sd_tree {
	struct sd_sha256 h;
	struct sd_hashers *hashers; /* NULL before that */
	bool alone;            /* there can be none */
	size_t fill;           /* bytes in the present block */
	uint64_t nleaf, cap;
	uint8_t *leaf;         /* (nleaf, 32), after sd_tree_final() */
};
void sd_tree_init(struct sd_tree *t);
void sd_tree_update(struct sd_tree *t, const void *data, size_t n);
void sd_tree_final(struct sd_tree *t); /* ends the last block: leaf and nleaf are complete */
void sd_tree_release(struct sd_tree *t);
/* So many threads from now on (0: sd_par_default_threads()). */
void sd_digest_threads(int n);

/* H(0x00 | block). */
void sd_digest_leaf(const void *block, size_t n, uint8_t out[SD_SHA256_LEN]);
/* The root over n leaves. */
void sd_digest_root(const uint8_t *leaf, uint64_t n, uint8_t out[SD_SHA256_LEN]);
void sd_digest_dset(const struct sd_dset *d, const uint8_t root[SD_SHA256_LEN], uint8_t out[SD_SHA256_LEN]);

#endif
