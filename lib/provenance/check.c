/* check.c: whether an artifact is what its manifest says, be it binary or text. */
#include "provenance/check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "provenance/sign.h"
#include "train/genofile.h"

/* An artifact in front, or what was one before its first line was damaged. */
static bool binary(const unsigned char *head, ssize_t n)
{
	static const char hdf5[] = "\211HDF\r\n\032\n";

	return n > 0 && (sd_artifact_magic(head, (size_t)n) || (n >= 520 && !memcmp(head + 512, hdf5, 8)));
}

static enum sd_status check_text(const char *name, struct sd_lineage **lineage, char **report)
{
	bool slash = strchr(name, '/') || strcmp(name, "-") == 0;
	struct sd_str path = SD_STR_INIT;
	struct sd_genofile f;
	int rc;

	sd_str_addf(&path, "%s%s", slash ? "" : "./", name);
	rc = sd_genofile_open(&f, path.s);
	sd_str_release(&path);
	if (strcmp(name, "-") == 0) /* for whoever wants it next */
		lseek(STDIN_FILENO, 0, SEEK_SET);
	if (rc == 0) {
		*lineage = f.lineage;
		f.lineage = NULL;
		sd_genofile_release(&f);
		if (*lineage)
			return SD_SAME;
		sd_error(SD_ERR_DATA, "%s: a genotype without a manifest", sd_file_name(name));
		return SD_TROUBLE;
	}
	if (sd_error_kind() != SD_ERR_DATA)
		return SD_TROUBLE;
	*report = sd_xmalloc(strlen(sd_error_text()) + 2);
	sprintf(*report, "%s\n", sd_error_text());
	return SD_DIFFERENT;
}

bool sd_is_record(const char *name)
{
	struct sd_blob b;
	bool manifest, comments = true;

	if (sd_blob_read(&b, name, 0) < 0)
		return false;
	manifest = strstr((char *)b.data, "# sd-manifest ") != NULL;
	for (const char *p = (char *)b.data; comments && *p; p += strcspn(p, "\n"), p += *p == '\n')
		comments = *p == '#' || *p == '\n';
	sd_blob_release(&b);
	if (strcmp(name, "-") == 0)
		lseek(STDIN_FILENO, 0, SEEK_SET);
	return manifest && comments;
}

/* Manifests alone. */
static enum sd_status check_record(const char *name, struct sd_lineage **lineage, char **report)
{
	struct sd_blob b;
	bool found;

	if (sd_blob_read(&b, name, 0) < 0)
		return SD_TROUBLE;
	*lineage = sd_lineage_read((char *)b.data, b.size, "record", &found);
	sd_blob_release(&b);
	if (strcmp(name, "-") == 0)
		lseek(STDIN_FILENO, 0, SEEK_SET);
	if (*lineage)
		return SD_SAME;
	*report = sd_xmalloc(strlen(sd_error_text()) + 2);
	sprintf(*report, "%s\n", sd_error_text());
	return SD_DIFFERENT;
}

/* Whether a text has comments of ours, or once had: then what is wrong with it is a change. */
static bool has_manifest(const char *name)
{
	struct sd_blob b;
	bool yes;

	if (sd_blob_read(&b, name, 0) < 0)
		return false;
	yes = strstr((char *)b.data, "sd-manifest") || strstr((char *)b.data, "sd-seal");
	sd_blob_release(&b);
	if (strcmp(name, "-") == 0)
		lseek(STDIN_FILENO, 0, SEEK_SET);
	return yes;
}

static enum sd_status check_file(const char *name, struct sd_lineage **lineage, char **report)
{
	unsigned char head[520];
	ssize_t n = sd_file_peek(name, head, sizeof(head));
	int rc;

	*lineage = NULL;
	*report = NULL;
	if (n < 0)
		return SD_TROUBLE;
	if (binary(head, n)) {
		rc = sd_artifact_check(name, lineage, report);
		return rc < 0 ? SD_TROUBLE : rc ? SD_DIFFERENT : SD_SAME;
	}
	if (!has_manifest(name)) {
		sd_error(SD_ERR_DATA, "%s: not an artifact", sd_file_name(name));
		return SD_TROUBLE;
	}
	if (sd_is_record(name))
		return check_record(name, lineage, report);
	return check_text(name, lineage, report);
}

enum sd_status sd_check(const char *name, struct sd_lineage **lineage, char **report)
{
	enum sd_status st = check_file(name, lineage, report);
	struct sd_str text = SD_STR_INIT;

	if (st != SD_SAME || sd_signatures_inspect(*lineage, &text) == 0)
		return st;
	free(*report);
	*report = sd_str_detach(&text);
	sd_lineage_free(*lineage);
	*lineage = NULL;
	return SD_DIFFERENT;
}

struct sd_lineage *sd_check_whole(const char *name)
{
	struct sd_lineage *lineage;
	char *report;

	if (sd_check(name, &lineage, &report) == SD_DIFFERENT)
		sd_error(SD_ERR_DATA, "%s: %.*s", sd_file_name(name), (int)strcspn(report, "\n"), report);
	free(report);
	return lineage;
}
