/* bench_device: says what a device is, one fact a line: name, tab, value.
 *
 *   bench_device [DEVICE]
 *
 * The facts are those that a claim's environment holds of the engine.  Where there is no such device, a
 * message and exit status 69. */
#include <stdio.h>

#include "base/err.h"
#include "engine/engine.h"

static void print(void *ctx, const char *name, const char *value)
{
	(void)ctx;
	printf("%s\t%s\n", name, value);
}

int main(int argc, char **argv)
{
	struct sd_engine *e = sd_engine_open(argc > 1 ? argv[1] : "auto", 0);

	if (!e) {
		fprintf(stderr, "bench_device: %s\n", sd_error_text());
		return sd_error_kind();
	}
	print(NULL, "engine", sd_engine_kind(e));
	print(NULL, "path", sd_engine_path(e));
	sd_engine_environment(e, print, NULL);
	sd_engine_close(e);
	return 0;
}
