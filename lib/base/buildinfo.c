/* buildinfo.c: stands in where a build has not generated its own. */
#include "base/buildinfo.h"

#define WEAK __attribute__((weak))

WEAK const char sd_build_source[] = "0000000000000000000000000000000000000000000000000000000000000000";
WEAK const char sd_build_commit[] = "";
WEAK const char sd_build_dirty[] = "";
WEAK const char sd_build_version[] = "0";
WEAK const char sd_build_compiler[] = __VERSION__;
