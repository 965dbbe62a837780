/* fuzz.c: the table of targets, and what they share. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"

const struct fuzz_target fuzz_targets[] = {
	{ "json", fuzz_json, 1 << 12 },
	{ "manifest", fuzz_manifest, 1 << 14 },
	{ "lineage", fuzz_lineage, 1 << 15 },
	{ "genotype", fuzz_genotype, 1 << 12 },
	{ "artifact", fuzz_artifact, 1 << 16 },
	{ "key", fuzz_key, 1 << 11 },
	{ "signature", fuzz_signature, 1 << 12 },
	{ "archive", fuzz_archive, 1 << 16 },
	{ "reader", fuzz_reader, 1 << 17 },
	{ "pickle", fuzz_pickle, 1 << 14 },
	{ "mat", fuzz_mat, 1 << 14 },
	{ "array", fuzz_array, 1 << 12 },
	{ "picture", fuzz_picture, 1 << 14 },
	{ "gunzip", fuzz_gunzip, 1 << 14 },
	{ NULL, NULL, 0 }
};

const struct fuzz_target *fuzz_find(const char *name)
{
	for (const struct fuzz_target *t = fuzz_targets; t->name; t++)
		if (strcmp(t->name, name) == 0)
			return t;
	return NULL;
}

void fuzz_finding(const char *what)
{
	fprintf(stderr, "finding: %s\n", what);
	abort();
}

void fuzz_refused(void)
{
	if (sd_error_kind() == SD_ERR_NONE || !*sd_error_text())
		fuzz_finding("refused without a message");
	if (sd_error_kind() == SD_ERR_BUG)
		fuzz_finding(sd_error_text());
}

uint8_t *fuzz_copy(const uint8_t *data, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	if (!copy)
		exit(2);
	if (n)
		memcpy(copy, data, n);
	return copy;
}

const char *fuzz_file(const uint8_t *data, size_t n, int *fd)
{
	static char path[64];

	*fd = memfd_create("input", MFD_CLOEXEC);
	for (size_t at = 0; at < n;) {
		ssize_t k = write(*fd, data + at, n - at);

		if (k <= 0)
			exit(2);
		at += (size_t)k;
	}
	lseek(*fd, 0, SEEK_SET);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", *fd);
	return path;
}
