/* artifact.h: HDF5 files that can be checked.
 *
 * In front a user block of 512 bytes: one line of text with magic, kind, id, tool, length, the SHA-256 of
 * all that follows and a check of the line itself.  Behind it an HDF5 file: root attributes kind, format
 * and seal; the payload; /manifest; /ancestors/<id>; /digests, the list that the payload digest is taken
 * over; /blocks, the block digests of datasets of more than one block; /signatures/<key>.  See sd-manifest(5).
 *
 * libhdf5 is not used from more than one thread at a time: neither are these functions. */
#ifndef SD_ARTIFACT_ARTIFACT_H
#define SD_ARTIFACT_ARTIFACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "artifact/digest.h"
#include "artifact/manifest.h"
#include "artifact/stamp.h"

/* ---- writing ---- */

struct sd_artifact_out;

/* Begins an artifact that will be `output` ("-": stdout, refused if that is a terminal); its kind is the
 * stamp's.  Until sd_artifact_finish() no file of that name is touched.  An existing target is refused
 * without `replace`: a tool asks sd_stamp_check_target() at the start of its run whether the target may
 * be replaced, and then passes true. */
struct sd_artifact_out *sd_artifact_create(const char *output, bool replace);

enum { SD_DEFLATE = 1 }; /* chunked, shuffled and deflated: for data that shrinks */

/* Writes a whole dataset; groups in `path` ("/train/images", "/weights/stem.0.weight") are made as needed.
 * data: row-major, count elements; rank 0 is a scalar.  No path twice.  The names /manifest, /ancestors,
 * /digests, /blocks and /signatures are taken. */
int sd_artifact_put(struct sd_artifact_out *art, const char *path, enum sd_type type, int rank,
		    const uint64_t *shape, const void *data, unsigned flags);
/* n strings as an array of fixed length, the longest one's; a single text as a scalar string. */
int sd_artifact_put_strings(struct sd_artifact_out *art, const char *path, uint64_t n, const char *const *s);
int sd_artifact_put_text(struct sd_artifact_out *art, const char *path, const char *text, size_t len);
/* Single numbers. */
int sd_artifact_put_f64(struct sd_artifact_out *art, const char *path, double value);
int sd_artifact_put_i64(struct sd_artifact_out *art, const char *path, int64_t value);

/* The same row by row, for what does not fit in memory: begin, append rows of the first axis in order until
 * shape[0] of them are there.  One dataset at a time. */
int sd_artifact_begin(struct sd_artifact_out *art, const char *path, enum sd_type type, int rank,
		      const uint64_t *shape, unsigned flags);
int sd_artifact_append(struct sd_artifact_out *art, const void *rows, uint64_t nrows);

/* Computes the digests, lets the stamp make the manifest, writes it and the inputs' ones, closes, fills in
 * the user block, and puts the file in its place (or on stdout).  Frees `art` in any case.  `id`, if not
 * NULL, gets the new id.  The stamp remains and can be used again (checkpoints, then the end). */
int sd_artifact_finish(struct sd_artifact_out *art, const struct sd_stamp *stamp, char id[SD_ID_LEN]);
/* The artifact `name`, whose manifests are `l`, with one more signature, or another one with that key (64 hex
 * digits), as `output` ("-": stdout); they may be the same.  `text` is the envelope.  Nothing else changes but the
 * line in front.  The result is checked as a whole.  -1 and a message, `output` then being as before. */
int sd_artifact_put_signature(const char *name, const struct sd_lineage *l, const char *output,
			      const char *keyid, const char *text, size_t len);
/* Drops it.  NULL is nothing. */
void sd_artifact_abandon(struct sd_artifact_out *art);

/* ---- reading ---- */

struct sd_artifact;

enum {
	SD_ARTIFACT_PARTIAL = 1, /* an incomplete one will do */
	SD_ARTIFACT_NODATA = 2,  /* check a dataset only when it is read: for a look at the manifest */
};

/* Opens and checks an artifact; "-" is stdin.  In this order: user block and outer SHA-256; then, in
 * libhdf5, what kinds of objects there are; the manifest's form, seal and id; the payload's digests
 * (datasets over 1 GiB block by block when they are read).  NULL with a message that begins with the
 * name.  SD_ERR_NOINPUT if there is no such file, SD_ERR_DATA if anything is wrong with it. */
struct sd_artifact *sd_artifact_open(const char *name, unsigned flags);
void sd_artifact_close(struct sd_artifact *art);

/* Whether the bytes of a file begin like an artifact. */
bool sd_artifact_magic(const void *head, size_t n);

const char *sd_artifact_name(const struct sd_artifact *art); /* as opened; "(stdin)" */
const char *sd_artifact_kind(const struct sd_artifact *art);
/* The manifests: ->own->id, ->own->claim, ... */
const struct sd_lineage *sd_artifact_lineage(const struct sd_artifact *art);
/* 0 if it is of that kind, else -1 and "x.h5: a model artifact where a dataset was expected". */
int sd_artifact_expect(const struct sd_artifact *art, const char *kind);

/* The payload's datasets, sorted by path.  sd_artifact_find: NULL (no message) when there is none. */
int sd_artifact_ndset(const struct sd_artifact *art);
const struct sd_dset *sd_artifact_dset(const struct sd_artifact *art, int i);
const struct sd_dset *sd_artifact_find(const struct sd_artifact *art, const char *path);

/* Reads a whole dataset into `data`, which has room for `count` elements of `type`; anything else in the
 * file is a data error.  For SD_TYPE_STRING `count` is in bytes. */
int sd_artifact_read(struct sd_artifact *art, const char *path, enum sd_type type, void *data,
		     uint64_t count);
/* Reads rows [first, first + n) of the first axis; `row` is the number of elements (for strings: bytes)
 * that a row has. */
int sd_artifact_read_rows(struct sd_artifact *art, const char *path, enum sd_type type, uint64_t first,
			  uint64_t n, uint64_t row, void *data);
/* The same into memory that the caller frees, a zero byte behind it; *d tells the shape if not NULL. */
void *sd_artifact_load(struct sd_artifact *art, const char *path, enum sd_type type,
		       const struct sd_dset **d);
/* String i of an array (or the scalar, i = 0), NUL-ended, to be freed; NULL with a message. */
char *sd_artifact_string(struct sd_artifact *art, const char *path, uint64_t i);

/* ---- checking ---- */

/* Everything about an artifact, for sd-verify: 0 as it should be, *lineage (if not NULL) then being its
 * manifests, to be freed; 1 something changed, *report (to be freed) lists it, a line each, as specific as
 * can be told: "/weights/x: block 3 (bytes 3145728 to 4194303) has changed", "manifest: the context has
 * changed ..."; -1 trouble (cannot be read), with a message.  A file whose outer hash does not fit is
 * reported as just that: libhdf5 never sees it. */
int sd_artifact_check(const char *name, struct sd_lineage **lineage, char **report);

#endif
