/* libs.c: finds cuBLASLt and cuDNN: where the system's loader looks, in CUDA's usual folder, and in the
 * Python wheels that carry them (site-packages/nvidia/...). */
#include "engine/cuda/libs.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

/* Folders, as patterns; those with a leading "$NAME" or "~" are skipped where it isn't set. */
static const char *const places[] = {
	"/usr/local/cuda/lib64",
	"/usr/local/cuda/targets/x86_64-linux/lib",
	"$CUDA_HOME/lib64",
	"$VIRTUAL_ENV/lib/python3*/site-packages/nvidia/*/lib",
	"$CONDA_PREFIX/lib",
	"$CONDA_PREFIX/lib/python3*/site-packages/nvidia/*/lib",
	"~/.local/lib/python3*/site-packages/nvidia/*/lib",
	"/usr/local/lib/python3*/site-packages/nvidia/*/lib",
	"/usr/local/lib/python3*/dist-packages/nvidia/*/lib",
	"/usr/lib/python3*/site-packages/nvidia/*/lib",
	"/usr/lib/python3/dist-packages/nvidia/*/lib",
	"/opt/*/lib/python3*/site-packages/nvidia/*/lib",
};

/* place/name with its variable put in, to be freed; NULL if that isn't set. */
static char *pattern(const char *place, const char *name)
{
	struct sd_str s = SD_STR_INIT;
	const char *value = NULL;

	if (*place == '~') {
		value = getenv("HOME");
		place++;
	} else if (*place == '$') {
		size_t n = strcspn(place, "/");
		char variable[32] = { 0 };

		if (n - 1 < sizeof(variable))
			memcpy(variable, place + 1, n - 1);
		value = getenv(variable);
		place += n;
	} else {
		value = "";
	}
	if (!value || (place[0] == '/' && value[0] != '/' && value[0]))
		return NULL;
	sd_str_addf(&s, "%s%s/%s", value, place, name);
	return sd_str_detach(&s);
}

static void *open_in(const char *place, const char *name)
{
	char *pat = pattern(place, name);
	void *so = NULL;
	glob_t g;
	size_t i;

	if (pat && !glob(pat, 0, NULL, &g)) {
		for (i = 0; i < g.gl_pathc && !so; i++)
			so = dlopen(g.gl_pathv[i], RTLD_NOW | RTLD_GLOBAL);
		globfree(&g);
	}
	free(pat);
	return so;
}

/* The first of `names` (NULL-ended) that is found. */
static void *open_library(const char *what, const char *const *names)
{
	void *so = NULL;
	size_t i, k;

	for (i = 0; names[i] && !so; i++)
		so = dlopen(names[i], RTLD_NOW | RTLD_GLOBAL);
	for (i = 0; names[i] && !so; i++)
		for (k = 0; k < sizeof(places) / sizeof(*places) && !so; k++)
			so = open_in(places[k], names[i]);
	if (!so)
		sd_error(SD_ERR_DEVICE, "cannot find %s (%s): not where the system looks for libraries, not in "
			"/usr/local/cuda and in no Python package nvidia", what, names[0]);
	return so;
}

static int symbol(void *so, const char *what, const char *name, void *to)
{
	void *p = dlsym(so, name);

	if (!p)
		return sd_error(SD_ERR_DEVICE, "%s has no function %s: another version is needed", what, name);
	memcpy(to, &p, sizeof(p));
	return 0;
}

const struct sd_cublaslt *sd_libs_cublaslt(void)
{
	static const char *const names[] = { "libcublasLt.so.13", "libcublasLt.so.12", NULL };
	static struct sd_cublaslt lib;
	static int ready;
	void *so;
	size_t version;

	if (ready)
		return &lib;
	so = open_library("cuBLASLt", names);
	if (!so)
		return NULL;
#define GET(name) if (symbol(so, "cuBLASLt", #name, &lib.name)) return NULL;
	SD_CUBLASLT_FUNCTIONS(GET)
#undef GET
	version = lib.cublasLtGetVersion();
	if (version < 120000 || version >= 140000) {
		sd_error(SD_ERR_DEVICE, "cuBLASLt is of version %zu; 12 and 13 are known", version);
		return NULL;
	}
	ready = 1;
	return &lib;
}

const struct sd_cudnn *sd_libs_cudnn(void)
{
	static const char *const names[] = { "libcudnn.so.9", NULL };
	static struct sd_cudnn lib;
	static int ready;
	void *so;
	size_t version;

	if (ready)
		return &lib;
	so = open_library("cuDNN", names);
	if (!so)
		return NULL;
#define GET(name) if (symbol(so, "cuDNN", #name, &lib.name)) return NULL;
	SD_CUDNN_FUNCTIONS(GET)
#undef GET
	version = lib.cudnnGetVersion();
	if (version < 90000 || version >= 100000) {
		sd_error(SD_ERR_DEVICE, "cuDNN is of version %zu; 9 is known", version);
		return NULL;
	}
	ready = 1;
	return &lib;
}
