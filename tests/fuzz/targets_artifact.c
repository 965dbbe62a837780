/* targets_artifact.c: artifacts.  The outer hash is made right, so that what is behind it is reached. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "artifact/artifact.h"
#include "artifact/h5.h"
#include "base/sha256.h"
#include "fuzz.h"

/* The user block for these bytes, with kind, id and tool of theirs if they are to be read. */
static void renew(uint8_t *data, size_t n)
{
	struct sd_user_block u = { .length = n };
	uint8_t digest[SD_SHA256_LEN];
	char text[SD_USER_BLOCK + 1];

	memcpy(text, data, SD_USER_BLOCK);
	text[SD_USER_BLOCK] = '\0';
	if (sscanf(text, "sharpdarts 1 kind=%32s id=%64s tool=%32s", u.kind, u.id, u.tool) != 3) {
		memcpy(u.kind, "search", 7);
		memset(u.id, '0', sizeof(u.id) - 1);
		memcpy(u.tool, "sd-search", 10);
	}
	sd_sha256(data + SD_USER_BLOCK, n - SD_USER_BLOCK, digest);
	sd_sha256_hex(digest, u.sha256);
	sd_user_block_write(&u, (char *)data);
}

/* libhdf5 sums up what it reads and compares with the four bytes behind.  Linked in its place (mk/fuzz.mk), this says
 * what stands there, so that changed structures are taken. */
uint32_t __wrap_H5_checksum_metadata(const void *data, size_t n, uint32_t initial);
#if defined(__has_attribute) && __has_attribute(no_sanitize)
__attribute__((no_sanitize("address")))
#endif
uint32_t __wrap_H5_checksum_metadata(const void *data, size_t n, uint32_t initial)
{
	const volatile unsigned char *p = (const unsigned char *)data + n;

	/* byte by byte: not every sum stands behind its data, and memcpy would be watched */
	(void)initial;
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

void fuzz_artifact(const uint8_t *data, size_t n)
{
	struct sd_lineage *lineage = NULL;
	uint8_t *copy = fuzz_copy(data, n);
	char *report = NULL;
	const char *path;
	int fd, rc;

	if (n >= SD_USER_BLOCK)
		renew(copy, n);
	path = fuzz_file(copy, n, &fd);
	rc = sd_artifact_check(path, &lineage, &report);
	if (rc < 0)
		fuzz_refused();
	if (rc == 1 && !*report)
		fuzz_finding("changed, but nothing to report");
	sd_lineage_free(lineage);
	free(report);
	close(fd);
	free(copy);
}
