/* check.h: whether an artifact is what its manifest says, be it binary or text. */
#ifndef SD_PROVENANCE_CHECK_H
#define SD_PROVENANCE_CHECK_H

#include "artifact/artifact.h"

/* What came of it; also sd-verify's exit status, of several the largest. */
enum sd_status { SD_SAME, SD_DIFFERENT, SD_TROUBLE };

static inline enum sd_status sd_worse(enum sd_status a, enum sd_status b)
{
	return a > b ? a : b;
}

/* Checks all of an artifact, genotype file or record, and the form of its signatures; "-" is stdin.
 * SD_SAME: *lineage, to be freed with sd_lineage_free(); SD_DIFFERENT: *report, to be freed, a line for
 * each thing that has changed, without the file's name; SD_TROUBLE: a message is set.  What is not set is
 * NULL. */
enum sd_status sd_check(const char *name, struct sd_lineage **lineage, char **report);

/* Whether a file is a record: a text with the manifests of an artifact and of all that it came from, as
 * they stand in a genotype file, and nothing else.  It is as it should be if they fit each other. */
bool sd_is_record(const char *name);

/* The same where anything but SD_SAME is an error: NULL with a message (SD_ERR_DATA for a change). */
struct sd_lineage *sd_check_whole(const char *name);

#endif
