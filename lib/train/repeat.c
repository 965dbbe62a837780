/* repeat.c: looks for the result of the same run. */
#include "train/repeat.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "artifact/artifact.h"
#include "base/str.h"
#include "base/tool.h"

#define MOST_FILES 1000
#define MOST_BYTES ((off_t)1 << 30) /* each is hashed before it is believed: not the largest ones */

/* Whether the line in front of the file names that kind of artifact: a cheap look before the dear one. */
static bool is_of_kind(const char *path, const char *kind)
{
	char head[512], word[64];
	struct stat st;
	FILE *f = !stat(path, &st) && S_ISREG(st.st_mode) && st.st_size < MOST_BYTES ? fopen(path, "rb") : NULL;
	size_t n = f ? fread(head, 1, sizeof head - 1, f) : 0;
	if (f)
		fclose(f);
	head[n] = '\0';
	snprintf(word, sizeof word, " kind=%s ", kind);
	return sd_artifact_magic(head, n) && strstr(head, word);
}

static bool is_the_run(const struct sd_stamp *stamp, const char *path, const char *kind)
{
	if (!is_of_kind(path, kind))
		return false;
	struct sd_artifact *art = sd_artifact_open(path, SD_ARTIFACT_NODATA);
	bool same = art && sd_stamp_same_run(stamp, sd_artifact_lineage(art)->own);
	sd_artifact_close(art);
	return same;
}

static int is_h5(const struct dirent *e)
{
	const char *end = strrchr(e->d_name, '.');
	return end && !strcmp(end, ".h5");
}

char *sd_repeat_find(const struct sd_stamp *stamp, const char *kind, const char *output)
{
	const char *slash = strrchr(output, '/');
	char *folder = slash ? sd_xstrdup(output) : sd_xstrdup("."), *found = NULL;
	struct dirent **entry;
	if (slash)
		folder[slash - output + (slash == output)] = '\0';
	int n = strcmp(output, "-") ? scandir(folder, &entry, is_h5, alphasort) : -1;
	for (int i = 0; i < n; i++) {
		struct sd_str path = SD_STR_INIT;
		sd_str_addf(&path, "%s/%s", folder, entry[i]->d_name);
		if (!found && i < MOST_FILES && is_the_run(stamp, path.s, kind))
			found = sd_str_detach(&path);
		sd_str_release(&path);
		free(entry[i]);
	}
	if (n >= 0)
		free(entry);
	free(folder);
	return found;
}

void sd_repeat_say(const char *tool, bool quiet, const struct sd_stamp *stamp, const char *kind,
	const char *output, const char *hint)
{
	char *twin = quiet ? NULL : sd_repeat_find(stamp, kind, output);
	if (twin)
		sd_tool_say(tool, false, "'%s' is of the same recipe and seed: this run will repeat it, bit for "
			"bit%s%s%s", twin, hint ? " (" : "", hint ? hint : "", hint ? ")" : "");
	free(twin);
}
