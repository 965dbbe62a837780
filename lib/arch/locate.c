/* locate.c: where genotypes are found by name. */
#include "arch/arch.h"
#include "base/err.h"
#include "base/str.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The folder of the running program, with the slash; "" when it can't be told. */
static void program_folder(char buf[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", buf, PATH_MAX - 1);
	char *slash;

	buf[n > 0 ? n : 0] = '\0';
	slash = strrchr(buf, '/');
	if (slash)
		slash[1] = '\0';
}

char *sd_genotype_folder(int i)
{
	static const char *const beside[] = { "../share/sharpdarts/genotypes", "../../genotypes" };
	struct sd_str path = SD_STR_INIT;
	char exe[PATH_MAX];

	if (i < 2) {
		program_folder(exe);
		sd_str_addf(&path, "%s%s", exe, beside[i]);
		return sd_str_detach(&path);
	}
#ifdef SD_DATADIR
	if (i == 2)
		return sd_xstrdup(SD_DATADIR "/genotypes");
#endif
	return NULL;
}

static bool is_name(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if (!isascii(*s) || !(isalnum(*s) || *s == '_'))
			return false;
	return true;
}

char *sd_genotype_locate(const char *arch)
{
	struct sd_str path = SD_STR_INIT, seen = SD_STR_INIT;
	char *folder;

	if (!strcmp(arch, "-") || strchr(arch, '/'))
		return sd_xstrdup(arch);
	if (!is_name(arch)) {
		sd_error(SD_ERR_NOINPUT, "'%s' can't be the name of a genotype, and a file needs a slash: "
			"'./%s'", arch, arch);
		return NULL;
	}
	for (int i = 0; (folder = sd_genotype_folder(i)); i++) {
		if (access(folder, F_OK) == 0)
			sd_str_addf(&seen, "%s%s", seen.len ? " or " : "", folder);
		sd_str_release(&path);
		sd_str_addf(&path, "%s/%s.genotype", folder, arch);
		free(folder);
		if (access(path.s, F_OK) == 0) {
			sd_str_release(&seen);
			return sd_str_detach(&path);
		}
	}
	sd_error(SD_ERR_NOINPUT, "no genotype named '%s' in %s; a file needs a slash: './%s'", arch,
		seen.len ? seen.s : "the genotypes folder, which is missing", arch);
	sd_str_release(&path);
	sd_str_release(&seen);
	return NULL;
}

int sd_genotype_load(struct sd_genotype *g, const char *arch, struct sd_blob *text)
{
	struct sd_blob blob;
	char *path = sd_genotype_locate(arch);
	int rc;

	if (!path)
		return -1;
	rc = sd_blob_read(&blob, path, 16 << 20);
	if (rc == 0) {
		rc = sd_genotype_parse(g, (const char *)blob.data, blob.size, sd_file_name(path));
		if (rc == 0 && text)
			*text = blob;
		else
			sd_blob_release(&blob);
	}
	free(path);
	return rc;
}
