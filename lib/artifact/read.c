/* read.c: opening artifacts, and checking them for sd-verify. */
#include "artifact/read.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

int sd_problem(struct sd_artifact *art, const char *fmt, ...)
{
	char text[1536];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *p = text; *p; p++) /* anybody's words, on their way to a terminal */
		if (*p < ' ' || *p > '~')
			*p = '?';
	art->nproblem++;
	if (!art->report)
		return sd_error(SD_ERR_DATA, "%s", text);
	sd_str_addf(art->report, "%s\n", text);
	return 0;
}

/* A message that is set already is the problem. */
static int problem_set(struct sd_artifact *art)
{
	return sd_error_kind() == SD_ERR_DATA ? sd_problem(art, "%s", sd_error_text()) : -1;
}

bool sd_artifact_magic(const void *head, size_t n)
{
	static const char magic[] = "sharpdarts ";

	return n >= sizeof(magic) - 1 && memcmp(head, magic, sizeof(magic) - 1) == 0;
}

/* The user block and what it says of the rest.  Nothing here believes a byte before it is checked. */
static int check_outside(struct sd_artifact *art)
{
	char line[SD_USER_BLOCK], hex[SD_ID_LEN];
	uint8_t digest[SD_SHA256_LEN];
	struct stat st;
	uint64_t size;

	if (fstat(art->fd, &st) != 0)
		return sd_error_errno("cannot read it");
	art->length = (uint64_t)st.st_size;
	if (art->length < SD_USER_BLOCK)
		return sd_error(SD_ERR_DATA, "not an artifact: %llu bytes are too few",
				(unsigned long long)art->length);
	if (sd_pread_all(art->fd, line, sizeof(line), 0, art->name) < 0)
		return -1;
	if (!sd_artifact_magic(line, sizeof(line)))
		return sd_error(SD_ERR_DATA, "not an artifact");
	if (sd_user_block_read(&art->user, line) < 0)
		return -1;
	if (art->user.length != art->length)
		return sd_error(SD_ERR_DATA, "%llu bytes long where the user block says %llu",
				(unsigned long long)art->length, (unsigned long long)art->user.length);
	if (sd_sha256_fd(art->fd, SD_USER_BLOCK, art->name, digest, &size) < 0)
		return -1;
	sd_sha256_hex(digest, hex);
	if (SD_USER_BLOCK + size != art->length || strcmp(hex, art->user.sha256) != 0)
		return sd_error(SD_ERR_DATA, "damaged: its SHA-256 is not the one in the user block");
	return 0;
}

/* The manifest against the file around it.  The claim has its id in the user block, the whole its seal in
 * an attribute: so it can be told which half has changed. */
static int check_manifest(struct sd_artifact *art)
{
	struct sd_manifest *m = sd_manifest_parse(art->manifest, art->manifest_len, "/manifest");
	const struct sd_user_block *u = &art->user;
	bool claim;

	if (!m)
		return problem_set(art);
	art->lineage = sd_lineage_new(m);
	for (int i = 0; i < art->nsignature; i++)
		sd_lineage_sign(art->lineage, art->signature[i].keyid, art->signature[i].text,
				art->signature[i].len);
	claim = strcmp(m->id, u->id) != 0;
	if (strcmp(m->seal, art->seal) != 0) {
		const char *what = claim ? "claim has changed (its id is not the user block's)" :
				   "context has changed (the seal does not fit)";

		if (sd_problem(art, "manifest: the %s", what) < 0)
			return -1;
	} else if (claim && sd_problem(art, "user block: the id is not the manifest's") < 0) {
		return -1;
	}
	if (strcmp(m->kind, art->kind) != 0 && sd_problem(art, "attribute kind: not the manifest's") < 0)
		return -1;
	if ((strcmp(m->kind, u->kind) != 0 || strcmp(m->tool, u->tool) != 0) &&
	    sd_problem(art, "user block: kind or tool is not the manifest's") < 0)
		return -1;
	return 0;
}

static int check_ancestors(struct sd_artifact *art)
{
	char what[32 + SD_ID_LEN];

	if (!art->lineage)
		return 0;
	for (int i = 0; i < art->nancestor; i++) {
		struct sd_manifest *m;

		snprintf(what, sizeof(what), "/ancestors/%.64s", art->ancestor_id[i]);
		m = sd_manifest_parse(art->ancestor[i], strlen(art->ancestor[i]), what);
		if (!m) {
			if (problem_set(art) < 0)
				return -1;
			continue;
		}
		if (strcmp(m->id, art->ancestor_id[i]) != 0 &&
		    sd_problem(art, "%s: the claim has changed (its id is not its name)", what) < 0) {
			sd_manifest_free(m);
			return -1;
		}
		sd_lineage_add(art->lineage, m);
	}
	if (art->nproblem == 0 && sd_lineage_check(art->lineage, "/ancestors") < 0)
		return problem_set(art);
	return 0;
}

/* All that is inside.  Datasets over 1 GiB, or all with SD_ARTIFACT_NODATA, wait until they are read. */
static int check_inside(struct sd_artifact *art, unsigned flags)
{
	if (sd_inside_open(art) < 0)
		return problem_set(art);
	if (check_manifest(art) < 0 || check_ancestors(art) < 0 || sd_payload_lists(art) < 0)
		return -1;
	if (flags & SD_ARTIFACT_NODATA)
		return 0;
	for (int i = 0; i < art->nentry; i++) {
		struct sd_entry *e = &art->entry[i];

		if (!art->report && e->d.bytes > (uint64_t)1 << 30)
			continue;
		if (sd_entry_check(art, e) < 0)
			return -1;
	}
	return 0;
}

static struct sd_artifact *new_artifact(const char *name, struct sd_str *report)
{
	struct sd_artifact *art = sd_xcalloc(1, sizeof(*art));

	art->name = sd_xstrdup(sd_file_name(name));
	art->file = -1;
	art->report = report;
	art->fd = sd_file_open(name);
	if (art->fd < 0) {
		sd_artifact_close(art);
		return NULL;
	}
	return art;
}

struct sd_artifact *sd_artifact_open(const char *name, unsigned flags)
{
	struct sd_artifact *art = new_artifact(name, NULL);

	if (!art)
		return NULL;
	if (check_outside(art) < 0 || check_inside(art, flags) < 0) {
		sd_error_in("%s", art->name);
		goto bad;
	}
	if (!art->lineage->own->complete && !(flags & SD_ARTIFACT_PARTIAL)) {
		sd_error(SD_ERR_DATA, "%s: its run is not complete (--partial takes it all the same)",
			 art->name);
		goto bad;
	}
	return art;
bad:
	sd_artifact_close(art);
	return NULL;
}

void sd_artifact_close(struct sd_artifact *art)
{
	if (!art)
		return;
	sd_inside_close(art);
	for (int i = 0; i < art->nentry; i++) {
		free((char *)art->entry[i].d.path);
		free(art->entry[i].seen);
	}
	free(art->entry);
	if (art->fd >= 0)
		close(art->fd);
	for (int i = 0; i < art->nancestor; i++) {
		free(art->ancestor[i]);
		free(art->ancestor_id[i]);
	}
	free(art->ancestor);
	free(art->ancestor_id);
	for (int i = 0; i < art->nsignature; i++) {
		free(art->signature[i].keyid);
		free(art->signature[i].text);
	}
	free(art->signature);
	free(art->manifest);
	free(art->digests);
	free(art->blocks);
	sd_lineage_free(art->lineage);
	free(art->name);
	free(art);
}

int sd_artifact_check(const char *name, struct sd_lineage **lineage, char **report)
{
	struct sd_str text = SD_STR_INIT;
	struct sd_artifact *art = new_artifact(name, &text);
	int rc = -1;

	*report = NULL;
	if (lineage)
		*lineage = NULL;
	if (!art)
		return -1;
	if (check_outside(art) < 0) {
		if (problem_set(art) < 0)
			goto out;
	} else if (check_inside(art, 0) < 0) {
		goto out;
	}
	rc = art->nproblem != 0;
	if (rc == 0 && lineage) {
		*lineage = art->lineage;
		art->lineage = NULL;
	}
	*report = sd_str_detach(&text);
out:
	if (rc < 0)
		sd_error_in("%s", art->name);
	sd_str_release(&text);
	sd_artifact_close(art);
	return rc;
}

const char *sd_artifact_name(const struct sd_artifact *art)
{
	return art->name;
}

const char *sd_artifact_kind(const struct sd_artifact *art)
{
	return art->lineage->own->kind;
}

const struct sd_lineage *sd_artifact_lineage(const struct sd_artifact *art)
{
	return art->lineage;
}

int sd_artifact_expect(const struct sd_artifact *art, const char *kind)
{
	if (strcmp(sd_artifact_kind(art), kind) == 0)
		return 0;
	return sd_error(SD_ERR_DATA, "%s: an artifact of kind %s where a %s was expected", art->name,
			sd_artifact_kind(art), kind);
}
