/* find.h: finds artifacts by id and raw files by content among the files of some folders. */
#ifndef SD_PROVENANCE_FIND_H
#define SD_PROVENANCE_FIND_H

#include <stdint.h>

#include "artifact/manifest.h"

struct sd_finder_file {
	char *path;
	char id[SD_ID_LEN];     /* of an artifact, as its first line says, else "" */
	char sha256[SD_ID_LEN]; /* once it was asked for, else "" */
	uint64_t size;
};

struct sd_finder {
	struct sd_finder_file *file;
	int n;
};
#define SD_FINDER_INIT { NULL, 0 }

/* The regular files of a folder, not those of folders in it.  -1 with a message. */
int sd_finder_add_folder(struct sd_finder *f, const char *dir);
/* One file; what is none is passed over. */
void sd_finder_add_file(struct sd_finder *f, const char *path);
void sd_finder_release(struct sd_finder *f);

/* The path of the artifact that says it has that id (it is not checked), or NULL. */
const char *sd_finder_artifact(const struct sd_finder *f, const char *id);
/* The path of a file with that size and SHA-256, or NULL.  *other, if not NULL, gets one that has the last
 * component of `name` (which may be NULL) and other contents. */
const char *sd_finder_raw(struct sd_finder *f, uint64_t size, const char *sha256, const char *name,
	const char **other);

#endif
