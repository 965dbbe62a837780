/* main.c: all programs of the bundle in one file, so that libhdf5 is in it once and not in each.  The name
 * that it is called by says which; PROGRAMS is a list of X(name, function), written by mk/bundle.mk. */
#include <stdio.h>
#include <string.h>

#include "programs.h"

#define DECLARE(name, function) int function(int argc, char **argv);
PROGRAMS(DECLARE)

#define ENTRY(name, function) { name, function },
static const struct {
	const char *name;
	int (*main)(int argc, char **argv);
} programs[] = { PROGRAMS(ENTRY) };

int main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "";

	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++)
		if (!strcmp(name, programs[i].name))
			return programs[i].main(argc, argv);
	fprintf(stderr, "sharpdarts: no program '%s' is in the bundle; run those in bin/\n", name);
	return 64;
}
