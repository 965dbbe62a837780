/* scan.c: what is in an artifact.
 *
 * Only what write.c makes is let in.  HDF5 can do much more, and each further thing it can do (links
 * into other files, filters from plug-ins, references, data outside) is a way to make a reader do what
 * nobody asked for; no size in the file is believed before it is compared with the file's length. */
#include <stdlib.h>
#include <string.h>

#include "artifact/read.h"

#define MAX_DEPTH 16
#define MAX_OBJECTS (1 << 20)

struct scan {
	struct sd_artifact *art;
	int depth;
	int objects;
	bool failed;      /* a message is set */
	char path[2048];
};

static int bad(struct scan *s, const char *what)
{
	s->failed = true;
	return sd_error(SD_ERR_DATA, "%s: %s", s->path, what);
}

static bool known_type(hid_t type, struct sd_dset *d)
{
	hid_t own;
	bool same;

	if (H5Tcommitted(type) != 0)
		return false;
	d->size = H5Tget_size(type);
	if (H5Tget_class(type) == H5T_STRING) {
		d->type = SD_TYPE_STRING;
		return H5Tis_variable_str(type) == 0 && H5Tget_strpad(type) == H5T_STR_NULLPAD && d->size > 0;
	}
	for (int t = 0; t < SD_TYPE_STRING; t++) {
		d->type = (enum sd_type)t;
		own = sd_h5_type(d->type, 0);
		same = own >= 0 && H5Tequal(own, type) > 0;
		H5Tclose(own);
		if (same)
			return true;
	}
	return false;
}

static bool known_shape(hid_t space, struct sd_dset *d)
{
	hsize_t dims[H5S_MAX_RANK], max[H5S_MAX_RANK];
	H5S_class_t class = H5Sget_simple_extent_type(space);

	d->rank = H5Sget_simple_extent_ndims(space);
	if ((class != H5S_SCALAR && class != H5S_SIMPLE) || d->rank < 0 || d->rank > SD_MAX_RANK)
		return false;
	if (H5Sget_simple_extent_dims(space, dims, max) < 0)
		return false;
	d->count = 1;
	for (int i = 0; i < d->rank; i++) {
		if (dims[i] != max[i] || __builtin_mul_overflow(d->count, dims[i], &d->count))
			return false;
		d->shape[i] = dims[i];
	}
	return !__builtin_mul_overflow(d->count, (uint64_t)d->size, &d->bytes);
}

/* Whether all of the dataset is in the file, in one of the two layouts and through the two filters. */
static const char *bad_storage(hid_t dset, hid_t space, hid_t dcpl, const struct sd_dset *d, uint64_t length)
{
	uint64_t bytes = d->size, want = 1;
	hsize_t chunk[H5S_MAX_RANK], have;
	int n = H5Pget_nfilters(dcpl);

	if (H5Pget_external_count(dcpl) != 0)
		return "its data are in other files";
	switch (H5Pget_layout(dcpl)) {
	case H5D_CONTIGUOUS:
		if (n != 0)
			return "filters without chunks";
		if (d->bytes > length || (d->bytes && H5Dget_storage_size(dset) != d->bytes))
			return "its size is not that of its data";
		return NULL;
	case H5D_CHUNKED:
		break;
	default:
		return "a layout that artifacts don't have";
	}
	for (int i = 0; i < n; i++) {
		unsigned flags, config;
		size_t values = 0;
		H5Z_filter_t filter = H5Pget_filter2(dcpl, (unsigned)i, &flags, &values, NULL, 0, NULL,
						     &config);

		if (filter != H5Z_FILTER_SHUFFLE && filter != H5Z_FILTER_DEFLATE)
			return "a filter that artifacts don't have";
	}
	if (n > 2 || H5Pget_chunk(dcpl, H5S_MAX_RANK, chunk) != d->rank)
		return "chunks that artifacts don't have";
	for (int i = 0; i < d->rank; i++) {
		if (chunk[i] == 0 || chunk[i] > SD_MAX_CHUNK || d->shape[i] == 0)
			return "chunks that artifacts don't have";
		bytes *= chunk[i];
		want *= (d->shape[i] + chunk[i] - 1) / chunk[i];
		if (bytes > SD_MAX_CHUNK || want > length)
			return "chunks that artifacts don't have";
	}
	if (d->bytes / SD_MAX_RATIO > length || H5Dget_num_chunks(dset, space, &have) < 0 || have != want)
		return "its size is not that of its data";
	return NULL;
}

/* Checks an open dataset and says what it is. */
static int look(struct scan *s, hid_t dset, struct sd_dset *d)
{
	hid_t type = H5Dget_type(dset), space = H5Dget_space(dset), dcpl = H5Dget_create_plist(dset);
	const char *why;
	int rc = -1;

	if (type < 0 || space < 0 || dcpl < 0) {
		bad(s, "cannot be read");
		goto out;
	}
	if (!known_type(type, d)) {
		bad(s, "a type that artifacts don't have");
		goto out;
	}
	if (!known_shape(space, d)) {
		bad(s, "a shape that artifacts don't have");
		goto out;
	}
	why = bad_storage(dset, space, dcpl, d, s->art->length);
	if (why) {
		bad(s, why);
		goto out;
	}
	rc = 0;
out:
	if (type >= 0)
		H5Tclose(type);
	if (space >= 0)
		H5Sclose(space);
	if (dcpl >= 0)
		H5Pclose(dcpl);
	return rc;
}

static int add_entry(struct scan *s, hid_t dset, const struct sd_dset *d)
{
	struct sd_artifact *art = s->art;
	struct sd_entry *e;

	if (!sd_path_ok(s->path))
		return bad(s, "a name that artifacts don't have");
	if ((art->nentry & (art->nentry - 1)) == 0) { /* at the powers of two */
		size_t cap = art->nentry ? 2 * (size_t)art->nentry : 1;

		art->entry = sd_xrealloc(art->entry, cap * sizeof(*art->entry));
	}
	e = &art->entry[art->nentry++];
	*e = (struct sd_entry){ .d = *d, .dset = dset };
	e->d.path = sd_xstrdup(s->path);
	e->nblock = (d->bytes + SD_BLOCK - 1) / SD_BLOCK;
	return 0;
}

/* Reads a scalar string beside the payload. */
static char *read_text(struct scan *s, hid_t dset, const struct sd_dset *d, size_t *len)
{
	hid_t type;
	char *text;
	herr_t rc;

	if (d->type != SD_TYPE_STRING || d->rank != 0) {
		bad(s, "not a text");
		return NULL;
	}
	text = sd_xcalloc(1, d->size + 1);
	type = sd_h5_type(SD_TYPE_STRING, d->size);
	rc = H5Dread(dset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text);
	H5Tclose(type);
	if (rc < 0) {
		free(text);
		bad(s, "cannot be read");
		return NULL;
	}
	*len = d->size;
	return text;
}

static int read_blocks(struct scan *s, hid_t dset, const struct sd_dset *d)
{
	if (d->type != SD_TYPE_U8 || d->rank != 2 || d->shape[1] != SD_SHA256_LEN)
		return bad(s, "not a table of digests");
	s->art->nblocks = d->shape[0];
	s->art->blocks = sd_xmalloc((size_t)d->bytes);
	if (H5Dread(dset, H5T_STD_U8LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, s->art->blocks) < 0)
		return bad(s, "cannot be read");
	return 0;
}

static int read_ancestor(struct scan *s, hid_t dset, const struct sd_dset *d)
{
	struct sd_artifact *art = s->art;
	size_t n, len;
	char *text = read_text(s, dset, d, &len);

	if (!text)
		return -1;
	n = (size_t)(art->nancestor + 1) * sizeof(char *);
	art->ancestor = sd_xrealloc(art->ancestor, n);
	art->ancestor_id = sd_xrealloc(art->ancestor_id, n);
	art->ancestor[art->nancestor] = text;
	art->ancestor_id[art->nancestor++] = sd_xstrdup(s->path + strlen("/ancestors/"));
	return 0;
}

static int read_signature(struct scan *s, hid_t dset, const struct sd_dset *d)
{
	struct sd_artifact *art = s->art;
	const char *keyid = s->path + strlen("/signatures/");
	uint8_t digest[SD_SHA256_LEN];
	size_t len;
	char *text;

	if (!sd_sha256_unhex(keyid, digest))
		return bad(s, "not the name of a signature");
	text = read_text(s, dset, d, &len);
	if (!text)
		return -1;
	art->signature = sd_xrealloc(art->signature, (size_t)(art->nsignature + 1) * sizeof(*art->signature));
	art->signature[art->nsignature++] = (struct sd_signature){ sd_xstrdup(keyid), text, len };
	return 0;
}

/* An open dataset: keeps it if it belongs to the payload, reads it if it is one of the others. */
static int take_dset(struct scan *s, hid_t dset, bool *kept)
{
	struct sd_artifact *art = s->art;
	struct sd_dset d;

	memset(&d, 0, sizeof(d));
	if (look(s, dset, &d) < 0)
		return -1;
	if (strcmp(s->path, "/manifest") == 0)
		return (art->manifest = read_text(s, dset, &d, &art->manifest_len)) ? 0 : -1;
	if (strcmp(s->path, "/digests") == 0)
		return (art->digests = read_text(s, dset, &d, &art->digests_len)) ? 0 : -1;
	if (strcmp(s->path, "/blocks") == 0)
		return read_blocks(s, dset, &d);
	if (strncmp(s->path, "/ancestors/", 11) == 0)
		return read_ancestor(s, dset, &d);
	if (strncmp(s->path, "/signatures/", 12) == 0)
		return read_signature(s, dset, &d);
	*kept = true;
	return add_entry(s, dset, &d);
}

static herr_t visit(hid_t group, const char *name, const H5L_info_t *link, void *ctx)
{
	struct scan *s = ctx;
	size_t n = strlen(s->path), len = strlen(name);
	hid_t object = -1;
	H5O_info_t info;
	bool kept = false;
	int rc = -1;

	if (n + 1 + len >= sizeof(s->path) || s->depth == MAX_DEPTH || ++s->objects > MAX_OBJECTS)
		return bad(s, "too many or too deep objects, or too long a name");
	s->path[n] = '/';
	memcpy(s->path + n + 1, name, len + 1);
	if (link->type != H5L_TYPE_HARD) {
		bad(s, "a link that artifacts don't have");
		goto out;
	}
	object = H5Oopen(group, name, H5P_DEFAULT);
	if (object < 0 || H5Oget_info2(object, &info, H5O_INFO_BASIC | H5O_INFO_NUM_ATTRS) < 0) {
		bad(s, "cannot be read");
		goto out;
	}
	/* a second name for a thing is also the only way into a circle */
	if (info.rc != 1) {
		bad(s, "an object with several names");
		goto out;
	}
	if (info.num_attrs != 0) {
		bad(s, "attributes that artifacts don't have");
		goto out;
	}
	if (H5Oget_comment(object, NULL, 0) > 0) {
		bad(s, "a comment, which artifacts don't have");
		goto out;
	}
	if (info.type == H5O_TYPE_DATASET) {
		rc = take_dset(s, object, &kept);
	} else if (info.type == H5O_TYPE_GROUP) {
		int before = s->objects;

		s->depth++;
		rc = H5Literate(object, H5_INDEX_NAME, H5_ITER_INC, NULL, visit, s) < 0 ? -1 : 0;
		s->depth--;
		if (rc == 0 && s->objects == before)
			rc = bad(s, "a group without anything in it");
	} else {
		bad(s, "an object that artifacts don't have");
	}
out:
	if (object >= 0 && !kept)
		H5Oclose(object);
	if (rc == 0)
		s->path[n] = '\0';
	return rc;
}

/* The root's attributes: kind, format, seal and no others. */
static int read_attributes(struct sd_artifact *art)
{
	static const char *const names[] = { "kind", "format", "seal" };
	char *const text[] = { art->kind, NULL, art->seal };
	const size_t room[] = { sizeof(art->kind), 4, sizeof(art->seal) };
	H5O_info_t info;
	int32_t format = 0;
	bool ok = H5Oget_info2(art->file, &info, H5O_INFO_NUM_ATTRS) >= 0 && info.num_attrs == 3;

	for (int i = 0; ok && i < 3; i++) {
		hid_t attr = H5Aopen(art->file, names[i], H5P_DEFAULT);
		hid_t type = attr < 0 ? -1 : H5Aget_type(attr), space = attr < 0 ? -1 : H5Aget_space(attr);
		struct sd_dset d = { .path = names[i] };

		ok = type >= 0 && space >= 0 && known_type(type, &d) && known_shape(space, &d) && d.rank == 0;
		if (text[i])
			ok = ok && d.type == SD_TYPE_STRING && d.size < room[i] &&
			     H5Aread(attr, type, text[i]) >= 0;
		else
			ok = ok && d.type == SD_TYPE_I32 && H5Aread(attr, type, &format) >= 0;
		if (type >= 0)
			H5Tclose(type);
		if (space >= 0)
			H5Sclose(space);
		if (attr >= 0)
			H5Aclose(attr);
	}
	if (!ok)
		return sd_error(SD_ERR_DATA, "root attributes: not kind, format and seal");
	if (format != SD_FORMAT)
		return sd_error(SD_ERR_DATA, "format %d is not known here", (int)format);
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct sd_entry *)a)->d.path, ((const struct sd_entry *)b)->d.path);
}

int sd_scan(struct sd_artifact *art)
{
	struct scan s = { .art = art };

	if (read_attributes(art) < 0)
		return -1;
	if (H5Literate(art->file, H5_INDEX_NAME, H5_ITER_INC, NULL, visit, &s) < 0) {
		if (!s.failed)
			sd_h5_error(SD_ERR_DATA, "the list of objects cannot be read");
		return -1;
	}
	if (art->nentry)
		qsort(art->entry, (size_t)art->nentry, sizeof(*art->entry), by_path);
	if (!art->manifest)
		return sd_error(SD_ERR_DATA, "/manifest is missing");
	if (!art->digests)
		return sd_error(SD_ERR_DATA, "/digests is missing");
	return 0;
}
