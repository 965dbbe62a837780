/* command.h: other programs as functions from text to text, without a shell. */
#ifndef SD_BASE_COMMAND_H
#define SD_BASE_COMMAND_H

#include <stddef.h>

#include "base/file.h"

/* Runs argv[0] (looked for in PATH) with n bytes of `in` as its standard input; *out gets its standard
 * output, to be released.  -1 with a message: SD_ERR_DEVICE when there is no such program, `package` being the
 * Debian package that has it, and SD_ERR_IO with its first complaint when it fails: what it reads is our own text,
 * so that what it lacks is memory, libraries or room on a disk. */
int sd_command_run(const char *const argv[], const char *package, const void *in, size_t n, struct sd_blob *out);

#endif
