/* digest.c: Merkle trees over blocks of 1 MiB, shaped as in RFC 6962, section 2.1. */
#include "artifact/digest.h"
#include "artifact/hashers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static const struct {
	const char *name;
	size_t size;
} types[SD_NTYPE] = {
	[SD_TYPE_U8] = { "u8", 1 },   [SD_TYPE_I32] = { "i32", 4 }, [SD_TYPE_U32] = { "u32", 4 },
	[SD_TYPE_I64] = { "i64", 8 }, [SD_TYPE_U64] = { "u64", 8 }, [SD_TYPE_F32] = { "f32", 4 },
	[SD_TYPE_F64] = { "f64", 8 }, [SD_TYPE_STRING] = { "s", 0 },
};

const char *sd_type_name(enum sd_type type, size_t size, char buf[24])
{
	if (type == SD_TYPE_STRING)
		snprintf(buf, 24, "s%zu", size);
	else
		snprintf(buf, 24, "%s", types[type].name);
	return buf;
}

size_t sd_type_size(enum sd_type type)
{
	return types[type].size;
}

static const uint8_t leaf_mark = 0, node_mark = 1;

void sd_digest_leaf(const void *block, size_t n, uint8_t out[SD_SHA256_LEN])
{
	struct sd_sha256 h;

	sd_sha256_init(&h);
	sd_sha256_update(&h, &leaf_mark, 1);
	sd_sha256_update(&h, block, n);
	sd_sha256_final(&h, out);
	sd_sha256_release(&h);
}

static void root_of(struct sd_sha256 *h, const uint8_t *leaf, uint64_t n, uint8_t out[SD_SHA256_LEN])
{
	uint8_t left[SD_SHA256_LEN], right[SD_SHA256_LEN];
	uint64_t k = 1;

	if (n == 1) {
		memcpy(out, leaf, SD_SHA256_LEN);
		return;
	}
	while (k < n - k)
		k *= 2; /* the largest power of two below n */
	root_of(h, leaf, k, left);
	root_of(h, leaf + k * SD_SHA256_LEN, n - k, right);
	sd_sha256_reset(h);
	sd_sha256_update(h, &node_mark, 1);
	sd_sha256_update(h, left, SD_SHA256_LEN);
	sd_sha256_update(h, right, SD_SHA256_LEN);
	sd_sha256_final(h, out);
}

void sd_digest_root(const uint8_t *leaf, uint64_t n, uint8_t out[SD_SHA256_LEN])
{
	struct sd_sha256 h;

	if (n == 0) {
		sd_sha256("", 0, out);
		return;
	}
	sd_sha256_init(&h);
	root_of(&h, leaf, n, out);
	sd_sha256_release(&h);
}

void sd_tree_init(struct sd_tree *t)
{
	memset(t, 0, sizeof(*t));
	sd_sha256_init(&t->h);
}

/* Blocks of a dataset before threads are worth their while. */
enum { FEW = 4 };

/* Room for one more leaf: it must not move while hashes are on their way into it. */
static uint8_t *next_leaf(struct sd_tree *t)
{
	if (t->nleaf == t->cap) {
		if (t->hashers)
			sd_hashers_wait(t->hashers);
		t->cap = t->cap ? 2 * t->cap : 64;
		t->leaf = sd_xrealloc(t->leaf, (size_t)t->cap * SD_SHA256_LEN);
	}
	return t->leaf + t->nleaf++ * SD_SHA256_LEN;
}

static void end_block(struct sd_tree *t)
{
	uint8_t *leaf = next_leaf(t);

	if (t->hashers) {
		sd_hashers_submit(t->hashers, t->fill, leaf);
	} else {
		sd_sha256_final(&t->h, leaf);
		sd_sha256_reset(&t->h);
	}
	t->fill = 0;
}

static void add_to_block(struct sd_tree *t, const void *data, size_t n)
{
	if (t->fill == 0 && t->nleaf >= FEW && !t->hashers && !t->alone) {
		t->hashers = sd_hashers_new();
		t->alone = !t->hashers;
	}
	if (t->hashers) {
		memcpy(sd_hashers_block(t->hashers) + t->fill, data, n);
	} else {
		if (t->fill == 0)
			sd_sha256_update(&t->h, &leaf_mark, 1);
		sd_sha256_update(&t->h, data, n);
	}
	t->fill += n;
}

void sd_tree_update(struct sd_tree *t, const void *data, size_t n)
{
	const uint8_t *p = data;

	while (n) {
		size_t k = SD_BLOCK - t->fill < n ? SD_BLOCK - t->fill : n;

		add_to_block(t, p, k);
		if (t->fill == SD_BLOCK)
			end_block(t);
		p += k;
		n -= k;
	}
}

void sd_tree_final(struct sd_tree *t)
{
	if (t->fill)
		end_block(t);
	if (t->hashers)
		sd_hashers_wait(t->hashers);
}

void sd_tree_release(struct sd_tree *t)
{
	sd_hashers_free(t->hashers);
	sd_sha256_release(&t->h);
	free(t->leaf);
	memset(t, 0, sizeof(*t));
}

void sd_digest_dset(const struct sd_dset *d, const uint8_t root[SD_SHA256_LEN], uint8_t out[SD_SHA256_LEN])
{
	uint8_t shape[8 * SD_MAX_RANK];
	struct sd_sha256 h;
	char type[24];

	for (int i = 0; i < 8 * d->rank; i++)
		shape[i] = (uint8_t)(d->shape[i / 8] >> (8 * (i % 8)));
	sd_type_name(d->type, d->size, type);
	sd_sha256_init(&h);
	sd_sha256_part(&h, "sd1", 3);
	sd_sha256_part(&h, d->path, strlen(d->path));
	sd_sha256_part(&h, type, strlen(type));
	sd_sha256_part(&h, shape, 8 * (size_t)d->rank);
	sd_sha256_part(&h, root, SD_SHA256_LEN);
	sd_sha256_final(&h, out);
	sd_sha256_release(&h);
}
