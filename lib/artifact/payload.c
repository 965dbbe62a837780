/* payload.c: comparing the payload with its digests, and reading it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artifact/read.h"

/* Rows are read in portions of about this size when a dataset is checked as a whole: a chunk's. */
#define PORTION SD_BLOCK
/* Larger datasets are checked block by block when they are read. */
#define LARGE ((uint64_t)1 << 30)

/* ---- the lists ---- */

static struct sd_entry *find(const struct sd_artifact *art, const char *path)
{
	int lo = 0, hi = art->nentry;

	while (lo < hi) {
		int mid = lo + (hi - lo) / 2, c = strcmp(art->entry[mid].d.path, path);

		if (c == 0)
			return &art->entry[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* Gives each dataset its line of /digests. */
static int spread_digests(struct sd_artifact *art)
{
	char *at = art->digests, *end = art->digests + strlen(art->digests);

	while (at < end) {
		char *eol = strchr(at, '\n'), *path = at + SD_SHA256_HEX + 2;
		uint8_t digest[SD_SHA256_LEN];
		struct sd_entry *e;

		if (!eol || eol <= path || path[-1] != ' ' || path[-2] != ' ')
			return sd_problem(art, "/digests: not a list of digests");
		*eol = path[-2] = '\0';
		if (!sd_sha256_unhex(at, digest))
			return sd_problem(art, "/digests: not a list of digests");
		e = find(art, path);
		if (e)
			memcpy(e->digest, at, SD_ID_LEN);
		else if (sd_problem(art, "%s: missing", path) < 0)
			return -1;
		at = eol + 1;
	}
	for (int i = 0; i < art->nentry; i++) {
		const struct sd_entry *e = &art->entry[i];

		if (!e->digest[0] && sd_problem(art, "%s: not in the list of digests", e->d.path) < 0)
			return -1;
	}
	return 0;
}

/* Gives each dataset of more than one block its part of /blocks, if that fits the dataset's digest. */
static int spread_blocks(struct sd_artifact *art)
{
	uint8_t root[SD_SHA256_LEN], digest[SD_SHA256_LEN];
	char hex[SD_ID_LEN];
	uint64_t at = 0, want = 0;

	for (int i = 0; i < art->nentry; i++)
		want += art->entry[i].nblock > 1 ? art->entry[i].nblock : 0;
	if (want != art->nblocks)
		return sd_problem(art, "/blocks: %" PRIu64 " digests for %" PRIu64 " blocks", art->nblocks,
				  want);
	for (int i = 0; i < art->nentry; i++) {
		struct sd_entry *e = &art->entry[i];

		if (e->nblock <= 1)
			continue;
		sd_digest_root(art->blocks + at * SD_SHA256_LEN, e->nblock, root);
		sd_digest_dset(&e->d, root, digest);
		sd_sha256_hex(digest, hex);
		if (strcmp(hex, e->digest) == 0)
			e->block = art->blocks + at * SD_SHA256_LEN;
		else if (sd_problem(art, "/blocks: the part of %s does not fit its digest", e->d.path) < 0)
			return -1;
		at += e->nblock;
	}
	return 0;
}

int sd_payload_lists(struct sd_artifact *art)
{
	uint8_t digest[SD_SHA256_LEN];
	char hex[SD_ID_LEN];

	sd_sha256(art->digests, art->digests_len, digest);
	sd_sha256_hex(digest, hex);
	if (art->lineage && strcmp(hex, art->lineage->own->payload) != 0 &&
	    sd_problem(art, "/digests: the list is not that of the manifest") < 0)
		return -1;
	if (spread_digests(art) < 0)
		return -1;
	return spread_blocks(art);
}

/* ---- checking ---- */

enum fate { CHANGED, UNREADABLE };

static int report_blocks(struct sd_artifact *art, const struct sd_entry *e, uint64_t first, uint64_t last,
			 enum fate fate)
{
	uint64_t end = (last + 1) * SD_BLOCK < e->d.bytes ? (last + 1) * SD_BLOCK : e->d.bytes;
	char range[80], why[512] = "";

	if (fate == UNREADABLE)
		snprintf(why, sizeof(why), ": %s", sd_error_text());
	if (first == last)
		snprintf(range, sizeof(range), "block %" PRIu64, first);
	else
		snprintf(range, sizeof(range), "blocks %" PRIu64 " to %" PRIu64, first, last);
	return sd_problem(art, "%s: %s (bytes %" PRIu64 " to %" PRIu64 ") %s%s", e->d.path, range,
			  first * SD_BLOCK, end - 1, fate == UNREADABLE ? "cannot be read" :
			  first == last ? "has changed" : "have changed", why);
}

static int compare(struct sd_artifact *art, struct sd_entry *e, const struct sd_tree *tree)
{
	uint8_t root[SD_SHA256_LEN], digest[SD_SHA256_LEN];
	char hex[SD_ID_LEN];

	sd_digest_root(tree->leaf, tree->nleaf, root);
	sd_digest_dset(&e->d, root, digest);
	sd_sha256_hex(digest, hex);
	if (strcmp(hex, e->digest) == 0) {
		e->checked = true;
		return 0;
	}
	if (!e->digest[0])
		return 0; /* said already */
	if (e->nblock <= 1 && e->d.bytes)
		return report_blocks(art, e, 0, 0, CHANGED);
	if (!e->block)
		return sd_problem(art, "%s: does not fit its digest", e->d.path);
	for (uint64_t b = 0, from; b < e->nblock; b++) {
		if (memcmp(tree->leaf + b * SD_SHA256_LEN, e->block + b * SD_SHA256_LEN, SD_SHA256_LEN) == 0)
			continue;
		for (from = b; b + 1 < e->nblock; b++)
			if (memcmp(tree->leaf + (b + 1) * SD_SHA256_LEN, e->block + (b + 1) * SD_SHA256_LEN,
				   SD_SHA256_LEN) == 0)
				break;
		if (report_blocks(art, e, from, b, CHANGED) < 0)
			return -1;
	}
	return 0;
}

int sd_entry_check(struct sd_artifact *art, struct sd_entry *e)
{
	uint64_t row = sd_entry_row(e), rows = e->d.rank ? e->d.shape[0] : 1, portion;
	struct sd_tree tree;
	bool unreadable = false;
	uint8_t *buf = NULL;
	int rc = -1;

	if (e->checked)
		return 0;
	sd_tree_init(&tree);
	portion = row && row < PORTION ? PORTION / row : 1;
	if (portion > rows)
		portion = rows;
	buf = malloc(row * portion + 1);
	if (!buf) {
		sd_error(SD_ERR_IO, "%s: no memory for %" PRIu64 " bytes", e->d.path, row * portion);
		goto out;
	}
	for (uint64_t r = 0; r < rows && row; r += portion) {
		uint64_t n = rows - r < portion ? rows - r : portion;

		if (sd_entry_rows(art, e, r, n, buf) < 0) {
			if (sd_error_kind() != SD_ERR_DATA)
				goto out;
			unreadable = true;
			if (report_blocks(art, e, r * row / SD_BLOCK, ((r + n) * row - 1) / SD_BLOCK,
					  UNREADABLE) < 0)
				goto out;
			continue;
		}
		sd_tree_update(&tree, buf, (size_t)(n * row));
	}
	sd_tree_final(&tree);
	rc = unreadable ? 0 : compare(art, e, &tree);
out:
	sd_tree_release(&tree);
	free(buf);
	return rc;
}

/* Checks the blocks in which bytes [lo, hi) lie, those that have not been. */
static int check_range(struct sd_artifact *art, struct sd_entry *e, uint64_t lo, uint64_t hi)
{
	uint64_t row = sd_entry_row(e), b0 = lo / SD_BLOCK, b1 = (hi - 1) / SD_BLOCK, r0, r1;
	uint8_t leaf[SD_SHA256_LEN], *buf;
	int rc = -1;

	if (!e->seen)
		e->seen = sd_xcalloc((size_t)e->nblock, 1);
	while (b0 < b1 && e->seen[b0])
		b0++;
	while (b1 > b0 && e->seen[b1])
		b1--;
	if (e->seen[b0])
		return 0;
	lo = b0 * SD_BLOCK;
	hi = (b1 + 1) * SD_BLOCK < e->d.bytes ? (b1 + 1) * SD_BLOCK : e->d.bytes;
	r0 = lo / row;
	r1 = (hi + row - 1) / row;
	buf = malloc((r1 - r0) * row);
	if (!buf)
		return sd_error(SD_ERR_IO, "%s: no memory for %" PRIu64 " bytes", e->d.path, (r1 - r0) * row);
	if (sd_entry_rows(art, e, r0, r1 - r0, buf) < 0)
		goto out;
	for (uint64_t b = b0; b <= b1; b++) {
		uint64_t from = b * SD_BLOCK, to = from + SD_BLOCK < hi ? from + SD_BLOCK : hi;

		sd_digest_leaf(buf + (from - r0 * row), (size_t)(to - from), leaf);
		if (memcmp(leaf, e->block + b * SD_SHA256_LEN, SD_SHA256_LEN) != 0) {
			report_blocks(art, e, b, b, CHANGED);
			goto out;
		}
		e->seen[b] = 1;
	}
	rc = 0;
out:
	free(buf);
	return rc;
}

static int ensure(struct sd_artifact *art, struct sd_entry *e, uint64_t first, uint64_t n)
{
	uint64_t row = sd_entry_row(e);

	if (e->checked)
		return 0;
	if (e->d.bytes <= LARGE || !e->block)
		return sd_entry_check(art, e);
	return row && n ? check_range(art, e, first * row, (first + n) * row) : 0;
}

/* ---- reading ---- */

int sd_artifact_ndset(const struct sd_artifact *art)
{
	return art->nentry;
}

const struct sd_dset *sd_artifact_dset(const struct sd_artifact *art, int i)
{
	return &art->entry[i].d;
}

const struct sd_dset *sd_artifact_find(const struct sd_artifact *art, const char *path)
{
	const struct sd_entry *e = find(art, path);

	return e ? &e->d : NULL;
}

static struct sd_entry *expect(const struct sd_artifact *art, const char *path, enum sd_type type)
{
	struct sd_entry *e = find(art, path);
	char have[24], want[24];

	if (!e) {
		sd_error(SD_ERR_DATA, "%s: it has no %s", art->name, path);
		return NULL;
	}
	if (e->d.type != type) {
		sd_error(SD_ERR_DATA, "%s: %s: type %s where %s was expected", art->name, path,
			 sd_type_name(e->d.type, e->d.size, have), sd_type_name(type, 0, want));
		return NULL;
	}
	return e;
}

static int fetch(struct sd_artifact *art, struct sd_entry *e, uint64_t first, uint64_t n, void *data)
{
	if (ensure(art, e, first, n) < 0 || sd_entry_rows(art, e, first, n, data) < 0)
		return sd_error_in("%s", art->name);
	return 0;
}

int sd_artifact_read(struct sd_artifact *art, const char *path, enum sd_type type, void *data, uint64_t count)
{
	struct sd_entry *e = expect(art, path, type);

	if (!e)
		return -1;
	if ((type == SD_TYPE_STRING ? e->d.bytes : e->d.count) != count)
		return sd_error(SD_ERR_DATA, "%s: %s: %" PRIu64 " elements where %" PRIu64 " were expected",
				art->name, path, e->d.count, count);
	return fetch(art, e, 0, e->d.rank ? e->d.shape[0] : 1, data);
}

int sd_artifact_read_rows(struct sd_artifact *art, const char *path, enum sd_type type, uint64_t first,
			  uint64_t n, uint64_t row, void *data)
{
	struct sd_entry *e = expect(art, path, type);
	uint64_t have;

	if (!e)
		return -1;
	have = type == SD_TYPE_STRING ? sd_entry_row(e) : sd_entry_row(e) / e->d.size;
	if (e->d.rank < 1 || have != row)
		return sd_error(SD_ERR_DATA, "%s: %s: rows of %" PRIu64 " where %" PRIu64 " were expected",
				art->name, path, have, row);
	if (first > e->d.shape[0] || n > e->d.shape[0] - first)
		return sd_error(SD_ERR_DATA, "%s: %s: no rows %" PRIu64 " to %" PRIu64 " among %" PRIu64,
				art->name, path, first, first + n, e->d.shape[0]);
	return fetch(art, e, first, n, data);
}

void *sd_artifact_load(struct sd_artifact *art, const char *path, enum sd_type type, const struct sd_dset **d)
{
	struct sd_entry *e = expect(art, path, type);
	char *data;

	if (!e)
		return NULL;
	data = malloc(e->d.bytes + 1);
	if (!data) {
		sd_error(SD_ERR_IO, "%s: %s: no memory for %" PRIu64 " bytes", art->name, path, e->d.bytes);
		return NULL;
	}
	data[e->d.bytes] = '\0';
	if (fetch(art, e, 0, e->d.rank ? e->d.shape[0] : 1, data) < 0) {
		free(data);
		return NULL;
	}
	if (d)
		*d = &e->d;
	return data;
}

char *sd_artifact_string(struct sd_artifact *art, const char *path, uint64_t i)
{
	const struct sd_dset *d;
	char *all = sd_artifact_load(art, path, SD_TYPE_STRING, &d), *s = NULL;

	if (!all)
		return NULL;
	if (i >= d->count) {
		sd_error(SD_ERR_DATA, "%s: %s: no string %" PRIu64 " among %" PRIu64, art->name, path, i,
			 d->count);
	} else {
		s = sd_xcalloc(d->size + 1, 1);
		memcpy(s, all + i * d->size, d->size);
	}
	free(all);
	return s;
}
