/* find.c: finds artifacts by id and raw files by content among the files of some folders. */
#include "provenance/find.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/sha256.h"
#include "base/str.h"
#include "train/genofile.h"

static void read_id(struct sd_finder_file *c)
{
	char head[513] = "", *at;
	struct sd_genofile f;

	if (sd_file_peek(c->path, head, sizeof(head) - 1) < 0)
		return;
	if (sd_artifact_magic(head, sizeof(head) - 1)) {
		at = strstr(head, " id=");
		if (at)
			snprintf(c->id, sizeof(c->id), "%.64s", at + 4);
	} else if (head[0] == '#' && sd_genofile_open(&f, c->path) == 0) {
		if (f.lineage)
			memcpy(c->id, f.lineage->own->id, sizeof(c->id));
		sd_genofile_release(&f);
	}
}

void sd_finder_add_file(struct sd_finder *f, const char *path)
{
	struct sd_finder_file *c;
	struct stat st;

	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	f->file = sd_xrealloc(f->file, (size_t)(f->n + 1) * sizeof(*f->file));
	c = &f->file[f->n++];
	*c = (struct sd_finder_file){ .path = sd_xstrdup(path), .size = (uint64_t)st.st_size };
	read_id(c);
}

int sd_finder_add_folder(struct sd_finder *f, const char *dir)
{
	struct dirent **entry;
	int n = scandir(dir, &entry, NULL, alphasort);

	if (n < 0)
		return sd_error_errno("cannot read '%s'", dir);
	for (int i = 0; i < n; i++) {
		struct sd_str path = SD_STR_INIT;

		sd_str_addf(&path, "%s/%s", dir, entry[i]->d_name);
		sd_finder_add_file(f, path.s);
		sd_str_release(&path);
		free(entry[i]);
	}
	free(entry);
	return 0;
}

void sd_finder_release(struct sd_finder *f)
{
	for (int i = 0; i < f->n; i++)
		free(f->file[i].path);
	free(f->file);
	*f = (struct sd_finder)SD_FINDER_INIT;
}

const char *sd_finder_artifact(const struct sd_finder *f, const char *id)
{
	for (int i = 0; i < f->n; i++)
		if (strcmp(f->file[i].id, id) == 0)
			return f->file[i].path;
	return NULL;
}

static void read_sha256(struct sd_finder_file *c)
{
	uint8_t digest[SD_SHA256_LEN];
	int fd = *c->sha256 ? -1 : open(c->path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (sd_sha256_fd(fd, 0, c->path, digest, NULL) == 0)
		sd_sha256_hex(digest, c->sha256);
	close(fd);
}

const char *sd_finder_raw(struct sd_finder *f, uint64_t size, const char *sha256, const char *name,
	const char **other)
{
	if (other)
		*other = NULL;
	for (int i = 0; i < f->n; i++) {
		struct sd_finder_file *c = &f->file[i];

		if (other && name && strcmp(sd_base_name(c->path), sd_base_name(name)) == 0)
			*other = c->path;
		if (c->size != size)
			continue;
		read_sha256(c);
		if (strcmp(c->sha256, sha256) == 0)
			return c->path;
	}
	return NULL;
}
