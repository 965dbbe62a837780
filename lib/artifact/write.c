/* write.c: making artifacts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "artifact/artifact.h"
#include "artifact/h5.h"
#include "base/file.h"
#include "base/str.h"

/* Under this many bytes a dataset is stored as it is: a chunk index would be larger than what is saved. */
#define SMALL 4096
#define CHUNK ((uint64_t)1 << 20)
#define LEVEL 4

/* What is remembered of a dataset that has been written. */
struct entry {
	char *path;
	char digest[SD_ID_LEN];
	uint64_t nblock;
	uint8_t *block;  /* (nblock, 32) when there is more than one */
};

struct sd_artifact_out {
	char *name;
	struct sd_out *out;
	struct sd_h5_io io;
	hid_t file;
	struct entry *entry;
	int nentry;
	/* the dataset that rows are being appended to */
	struct sd_dset now;
	char *now_path;
	hid_t dset;      /* -1: none */
	uint64_t rows;
	struct sd_tree tree;
};

/* A write that failed is the reason for whatever else has. */
static int write_error(const struct sd_artifact_out *art)
{
	errno = art->io.error;
	return sd_error_errno("cannot write '%s'", art->name);
}

static int failed(const struct sd_artifact_out *art, const char *what)
{
	if (art->io.error)
		return write_error(art);
	return sd_h5_error(SD_ERR_IO, "cannot write '%s': %s", art->name, what);
}

struct sd_artifact_out *sd_artifact_create(const char *output, bool replace)
{
	struct sd_artifact_out *art = sd_xcalloc(1, sizeof(*art));
	hid_t fapl = -1, fcpl = -1;

	art->name = sd_xstrdup(output);
	art->file = art->dset = -1;
	if (sd_h5_init() < 0)
		goto bad;
	art->out = sd_out_open(output, SD_OUT_BINARY | (replace ? SD_OUT_FORCE : 0));
	if (!art->out)
		goto bad;
	art->io.fd = sd_out_fd(art->out);
	fapl = sd_h5_access(&art->io);
	fcpl = H5Pcreate(H5P_FILE_CREATE);
	if (fapl < 0 || H5Pset_userblock(fcpl, SD_USER_BLOCK) < 0 ||
	    H5Pset_obj_track_times(fcpl, false) < 0) {
		failed(art, "property lists");
		goto bad;
	}
	art->file = H5Fcreate(art->name, H5F_ACC_TRUNC, fcpl, fapl);
	if (art->file < 0) {
		failed(art, "HDF5 file");
		goto bad;
	}
	H5Pclose(fapl);
	H5Pclose(fcpl);
	return art;
bad:
	if (fapl >= 0)
		H5Pclose(fapl);
	if (fcpl >= 0)
		H5Pclose(fcpl);
	sd_artifact_abandon(art);
	return NULL;
}

/* Makes the groups on the way to `path`, without times (as H5Pset_create_intermediate_group would not). */
static int make_groups(struct sd_artifact_out *art, const char *path)
{
	char *prefix = sd_xstrdup(path);
	hid_t gcpl = H5Pcreate(H5P_GROUP_CREATE), group;
	int rc = -1;

	if (gcpl < 0 || H5Pset_obj_track_times(gcpl, false) < 0)
		goto out;
	for (char *slash = strchr(prefix + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (H5Lexists(art->file, prefix, H5P_DEFAULT) <= 0) {
			group = H5Gcreate2(art->file, prefix, H5P_DEFAULT, gcpl, H5P_DEFAULT);
			if (group < 0)
				goto out;
			H5Gclose(group);
		}
		*slash = '/';
	}
	rc = 0;
out:
	if (rc < 0)
		failed(art, path);
	if (gcpl >= 0)
		H5Pclose(gcpl);
	free(prefix);
	return rc;
}

/* The properties of a dataset: chunks of whole rows of about 1 MiB where it is to be deflated. */
static hid_t creation(const struct sd_dset *d, unsigned flags)
{
	uint64_t row = d->rank && d->shape[0] ? d->bytes / d->shape[0] : 0;
	hsize_t chunk[SD_MAX_RANK];
	hid_t dcpl = H5Pcreate(H5P_DATASET_CREATE);

	if (H5Pset_obj_track_times(dcpl, false) < 0)
		goto bad;
	if (!(flags & SD_DEFLATE) || d->bytes < SMALL || row == 0 || row > SD_MAX_CHUNK)
		return dcpl;
	for (int i = 0; i < d->rank; i++)
		chunk[i] = d->shape[i];
	chunk[0] = row >= CHUNK ? 1 : CHUNK / row;
	if (chunk[0] > d->shape[0])
		chunk[0] = d->shape[0];
	if (H5Pset_chunk(dcpl, d->rank, chunk) < 0 || H5Pset_shuffle(dcpl) < 0 ||
	    H5Pset_deflate(dcpl, LEVEL) < 0)
		goto bad;
	return dcpl;
bad:
	H5Pclose(dcpl);
	return -1;
}

/* Creates the dataset, groups included; -1 and a message. */
static hid_t create_dset(struct sd_artifact_out *art, const struct sd_dset *d, unsigned flags)
{
	hid_t type = -1, space = -1, dcpl = -1, dset = -1;
	hsize_t dims[SD_MAX_RANK];

	if (make_groups(art, d->path) < 0)
		return -1;
	for (int i = 0; i < d->rank; i++)
		dims[i] = d->shape[i];
	type = sd_h5_type(d->type, d->size);
	space = d->rank ? H5Screate_simple(d->rank, dims, NULL) : H5Screate(H5S_SCALAR);
	dcpl = creation(d, flags);
	if (type >= 0 && space >= 0 && dcpl >= 0)
		dset = H5Dcreate2(art->file, d->path, type, space, H5P_DEFAULT, dcpl, H5P_DEFAULT);
	if (dset < 0)
		failed(art, d->path);
	if (type >= 0)
		H5Tclose(type);
	if (space >= 0)
		H5Sclose(space);
	if (dcpl >= 0)
		H5Pclose(dcpl);
	return dset;
}

static int write_rows(struct sd_artifact_out *art, hid_t dset, const struct sd_dset *d, uint64_t first,
		      uint64_t n, const void *data)
{
	hsize_t start[SD_MAX_RANK] = { first }, count[SD_MAX_RANK];
	hid_t type = sd_h5_type(d->type, d->size), mem = -1, space = H5Dget_space(dset);
	int rc = -1;

	for (int i = 0; i < d->rank; i++)
		count[i] = d->shape[i];
	if (d->rank) {
		count[0] = n;
		mem = H5Screate_simple(d->rank, count, NULL);
		if (mem < 0 || H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) < 0)
			goto out;
	}
	if (H5Dwrite(dset, type, d->rank ? mem : H5S_ALL, d->rank ? space : H5S_ALL, H5P_DEFAULT, data) < 0 ||
	    art->io.error)
		goto out;
	rc = 0;
out:
	if (rc < 0)
		failed(art, d->path);
	if (mem >= 0)
		H5Sclose(mem);
	H5Sclose(space);
	H5Tclose(type);
	return rc;
}

static int describe(struct sd_artifact_out *art, struct sd_dset *d, const char *path, enum sd_type type,
		    size_t size, int rank, const uint64_t *shape)
{
	memset(d, 0, sizeof(*d));
	d->path = path;
	d->type = type;
	d->size = size;
	d->rank = rank;
	d->count = 1;
	if (!sd_path_ok(path))
		return sd_error(SD_ERR_BUG, "'%s' cannot name a dataset in '%s'", path, art->name);
	if (rank < 0 || rank > SD_MAX_RANK)
		return sd_error(SD_ERR_BUG, "%s: %d dimensions", path, rank);
	for (int i = 0; i < rank; i++) {
		d->shape[i] = shape[i];
		if (__builtin_mul_overflow(d->count, shape[i], &d->count))
			return sd_error(SD_ERR_BUG, "%s: its size overflows", path);
	}
	if (__builtin_mul_overflow(d->count, (uint64_t)size, &d->bytes) || d->bytes > (uint64_t)1 << 50)
		return sd_error(SD_ERR_BUG, "%s: its size overflows", path);
	return 0;
}

static int begin(struct sd_artifact_out *art, const char *path, enum sd_type type, size_t size, int rank,
		 const uint64_t *shape, unsigned flags)
{
	if (art->dset >= 0)
		return sd_error(SD_ERR_BUG, "%s: begun before %s was complete", path, art->now_path);
	if (describe(art, &art->now, path, type, size, rank, shape) < 0)
		return -1;
	art->dset = create_dset(art, &art->now, flags);
	if (art->dset < 0)
		return -1;
	art->now_path = sd_xstrdup(path);
	art->now.path = art->now_path;
	art->rows = 0;
	sd_tree_init(&art->tree);
	return 0;
}

/* All rows are there: keeps the digest. */
static int end(struct sd_artifact_out *art)
{
	uint8_t root[SD_SHA256_LEN], digest[SD_SHA256_LEN];
	struct entry *e;

	sd_tree_final(&art->tree);
	sd_digest_root(art->tree.leaf, art->tree.nleaf, root);
	sd_digest_dset(&art->now, root, digest);
	art->entry = sd_xrealloc(art->entry, (size_t)(art->nentry + 1) * sizeof(*art->entry));
	e = &art->entry[art->nentry++];
	*e = (struct entry){ .path = art->now_path, .nblock = art->tree.nleaf };
	sd_sha256_hex(digest, e->digest);
	if (e->nblock > 1) {
		e->block = art->tree.leaf;
		art->tree.leaf = NULL;
	}
	sd_tree_release(&art->tree);
	art->now_path = NULL;
	if (H5Dclose(art->dset) < 0) {
		art->dset = -1;
		return failed(art, e->path);
	}
	art->dset = -1;
	return 0;
}

int sd_artifact_begin(struct sd_artifact_out *art, const char *path, enum sd_type type, int rank,
		      const uint64_t *shape, unsigned flags)
{
	if (type == SD_TYPE_STRING || rank < 1)
		return sd_error(SD_ERR_BUG, "%s: only numbers have rows to append", path);
	if (begin(art, path, type, sd_type_size(type), rank, shape, flags) < 0)
		return -1;
	return shape[0] ? 0 : end(art);
}

int sd_artifact_append(struct sd_artifact_out *art, const void *rows, uint64_t nrows)
{
	struct sd_dset *d = &art->now;

	if (art->dset < 0 || nrows > d->shape[0] - art->rows)
		return sd_error(SD_ERR_BUG, "more rows than were announced for a dataset of '%s'", art->name);
	if (nrows && d->bytes) {
		if (write_rows(art, art->dset, d, art->rows, nrows, rows) < 0)
			return -1;
		sd_tree_update(&art->tree, rows, (size_t)(d->bytes / d->shape[0] * nrows));
	}
	art->rows += nrows;
	return art->rows == d->shape[0] ? end(art) : 0;
}

static int put(struct sd_artifact_out *art, const char *path, enum sd_type type, size_t size, int rank,
	       const uint64_t *shape, const void *data, unsigned flags)
{
	if (begin(art, path, type, size, rank, shape, flags) < 0)
		return -1;
	if (art->now.bytes) {
		if (write_rows(art, art->dset, &art->now, 0, rank ? shape[0] : 1, data) < 0)
			return -1;
		sd_tree_update(&art->tree, data, (size_t)art->now.bytes);
	}
	return end(art);
}

int sd_artifact_put(struct sd_artifact_out *art, const char *path, enum sd_type type, int rank,
		    const uint64_t *shape, const void *data, unsigned flags)
{
	if (type == SD_TYPE_STRING)
		return sd_error(SD_ERR_BUG, "%s: strings have a function of their own", path);
	return put(art, path, type, sd_type_size(type), rank, shape, data, flags);
}

int sd_artifact_put_strings(struct sd_artifact_out *art, const char *path, uint64_t n, const char *const *s)
{
	size_t longest = 1;
	char *data;
	int rc;

	for (uint64_t i = 0; i < n; i++)
		if (strlen(s[i]) > longest)
			longest = strlen(s[i]);
	data = sd_xcalloc(n, longest);
	for (uint64_t i = 0; i < n; i++)
		memcpy(data + i * longest, s[i], strlen(s[i]));
	rc = put(art, path, SD_TYPE_STRING, longest, 1, &n, data, 0);
	free(data);
	return rc;
}

int sd_artifact_put_text(struct sd_artifact_out *art, const char *path, const char *text, size_t len)
{
	return put(art, path, SD_TYPE_STRING, len ? len : 1, 0, NULL, len ? text : "", 0);
}

int sd_artifact_put_f64(struct sd_artifact_out *art, const char *path, double value)
{
	return sd_artifact_put(art, path, SD_TYPE_F64, 0, NULL, &value, 0);
}

int sd_artifact_put_i64(struct sd_artifact_out *art, const char *path, int64_t value)
{
	return sd_artifact_put(art, path, SD_TYPE_I64, 0, NULL, &value, 0);
}

/* ---- the end ---- */

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->path, ((const struct entry *)b)->path);
}

/* A dataset outside the payload. */
static int put_aside(struct sd_artifact_out *art, const char *path, enum sd_type type, size_t size, int rank,
		     const uint64_t *shape, const void *data)
{
	struct sd_dset d = { .path = path, .type = type, .size = size, .rank = rank };
	hid_t dset;
	int rc;

	for (int i = 0; i < rank; i++)
		d.shape[i] = shape[i];
	dset = create_dset(art, &d, 0);
	if (dset < 0)
		return -1;
	rc = write_rows(art, dset, &d, 0, rank ? shape[0] : 1, data);
	H5Dclose(dset);
	return rc;
}

static int put_aside_text(struct sd_artifact_out *art, const char *path, const char *text, size_t len)
{
	return put_aside(art, path, SD_TYPE_STRING, len, 0, NULL, text);
}

static int put_digests(struct sd_artifact_out *art, char payload[SD_ID_LEN])
{
	struct sd_str list = SD_STR_INIT, blocks = SD_STR_INIT;
	uint8_t digest[SD_SHA256_LEN];
	uint64_t shape[2] = { 0, SD_SHA256_LEN };
	int rc;

	if (art->dset >= 0)
		return sd_error(SD_ERR_BUG, "%s: rows are missing", art->now_path);
	if (!art->nentry)
		return sd_error(SD_ERR_BUG, "'%s' would be empty", art->name);
	qsort(art->entry, (size_t)art->nentry, sizeof(*art->entry), by_path);
	for (int i = 0; i < art->nentry; i++) {
		const struct entry *e = &art->entry[i];

		sd_str_addf(&list, "%s  %s\n", e->digest, e->path);
		if (e->nblock > 1) {
			sd_str_add(&blocks, e->block, (size_t)e->nblock * SD_SHA256_LEN);
			shape[0] += e->nblock;
		}
	}
	sd_sha256(list.s, list.len, digest);
	sd_sha256_hex(digest, payload);
	rc = put_aside_text(art, "/digests", list.s, list.len);
	if (rc == 0 && shape[0])
		rc = put_aside(art, "/blocks", SD_TYPE_U8, 1, 2, shape, blocks.s);
	sd_str_release(&list);
	sd_str_release(&blocks);
	return rc;
}

static int put_manifests(struct sd_artifact_out *art, const struct sd_lineage *l)
{
	char path[16 + SD_ID_LEN];

	if (put_aside_text(art, "/manifest", l->own->text, l->own->len) < 0)
		return -1;
	for (int i = 0; i < l->nancestor; i++) {
		snprintf(path, sizeof(path), "/ancestors/%s", l->ancestor[i]->id);
		if (put_aside_text(art, path, l->ancestor[i]->text, l->ancestor[i]->len) < 0)
			return -1;
	}
	return 0;
}

static int put_attribute(struct sd_artifact_out *art, const char *name, enum sd_type type, size_t size,
			 const void *value)
{
	hid_t t = sd_h5_type(type, size), space = H5Screate(H5S_SCALAR);
	hid_t attr = H5Acreate_by_name(art->file, "/", name, t, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
	int rc = 0;

	if (attr < 0 || H5Awrite(attr, t, value) < 0)
		rc = failed(art, name);
	if (attr >= 0)
		H5Aclose(attr);
	H5Sclose(space);
	H5Tclose(t);
	return rc;
}

int sd_artifact_finish(struct sd_artifact_out *art, const struct sd_stamp *stamp, char id[SD_ID_LEN])
{
	struct sd_lineage *l = NULL;
	const int32_t format = SD_FORMAT;
	struct sd_user_block u;
	char payload[SD_ID_LEN];
	herr_t closed;
	int rc = -1;

	if (put_digests(art, payload) < 0)
		goto out;
	l = sd_stamp_make(stamp, payload);
	if (!l || put_manifests(art, l) < 0)
		goto out;
	if (put_attribute(art, "kind", SD_TYPE_STRING, strlen(l->own->kind), l->own->kind) < 0 ||
	    put_attribute(art, "format", SD_TYPE_I32, 4, &format) < 0 ||
	    put_attribute(art, "seal", SD_TYPE_STRING, SD_SHA256_HEX, l->own->seal) < 0)
		goto out;
	closed = H5Fclose(art->file);
	art->file = -1;
	if (closed < 0 || art->io.error) {
		failed(art, "closing it");
		goto out;
	}
	snprintf(u.kind, sizeof(u.kind), "%s", l->own->kind);
	snprintf(u.id, sizeof(u.id), "%s", l->own->id);
	snprintf(u.tool, sizeof(u.tool), "%s", l->own->tool);
	if (sd_user_block_fill(&u, sd_out_fd(art->out), art->name) < 0)
		goto out;
	rc = sd_out_commit(art->out);
	art->out = NULL;
	if (rc == 0 && id)
		memcpy(id, l->own->id, SD_ID_LEN);
out:
	sd_lineage_free(l);
	sd_artifact_abandon(art);
	return rc;
}

void sd_artifact_abandon(struct sd_artifact_out *art)
{
	if (!art)
		return;
	if (art->dset >= 0) {
		H5Dclose(art->dset);
		sd_tree_release(&art->tree);
	}
	if (art->file >= 0)
		H5Fclose(art->file);
	sd_out_abandon(art->out);
	for (int i = 0; i < art->nentry; i++) {
		free(art->entry[i].path);
		free(art->entry[i].block);
	}
	free(art->entry);
	free(art->now_path);
	free(art->name);
	free(art);
}
