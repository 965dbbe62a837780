/* plugin.c: finds and opens engine-cuda.so. */
#include "engine/plugin.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buildinfo.h"
#include "base/err.h"
#include "base/rng.h"
#include "base/str.h"
#include "engine/ops.h"

/* What the engine takes from the program that opens it, so that every such program has it. */
__attribute__((used)) static void *const taken[] = {
	(void *)sd_dtype_size, (void *)sd_engine_note, (void *)sd_engine_show_inputs, (void *)sd_engine_show_step,
	(void *)sd_error, (void *)sd_is_image, (void *)sd_op_is_write, (void *)sd_op_name, (void *)sd_rng_permutation,
	(void *)sd_shape_count, (void *)sd_str_addf, (void *)sd_str_detach,
};

/* Beside the program: PREFIX/bin/sd-x has it in PREFIX/lib/sharpdarts/.  To be freed; NULL without /proc. */
static char *engine_path(void)
{
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	struct sd_str s = SD_STR_INIT;
	char *slash;

	if (n <= 0)
		return NULL;
	exe[n] = 0;
	slash = strrchr(exe, '/');
	if (!slash)
		return NULL;
	*slash = 0;
	sd_str_addf(&s, "%s/../lib/sharpdarts/engine-cuda.so", exe);
	return sd_str_detach(&s);
}

int sd_plugin_likely(void)
{
	char *path = engine_path();
	int yes = path && !access(path, R_OK) &&
		(!access("/dev/nvidiactl", F_OK) || !access("/dev/dxg", F_OK));

	free(path);
	return yes;
}

const struct sd_engine_ops *sd_plugin_cuda(void)
{
	static const struct sd_engine_ops *ops;
	char *path;
	void *so;
	sd_engine_entry_fn *entry;

	if (ops)
		return ops;
	path = engine_path();
	if (!path || access(path, R_OK)) {
		sd_error(SD_ERR_DEVICE, "no CUDA engine: '%s' is not there, this build was made without CUDA",
			path ? path : "engine-cuda.so");
		goto out;
	}
	so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!so) {
		sd_error(SD_ERR_DEVICE, "cannot open the CUDA engine: %s", dlerror());
		goto out;
	}
	*(void **)&entry = dlsym(so, SD_ENGINE_ENTRY);
	if (!entry || entry()->abi != SD_ENGINE_ABI || strcmp(entry()->source, sd_build_source)) {
		sd_error(SD_ERR_DEVICE, "'%s' is of another build than this program", path);
		dlclose(so);
		goto out;
	}
	ops = entry();
out:
	free(path);
	return ops;
}
