/* tool.h: how a tool ends and speaks: "tool: message" on stderr, data on stdout, sysexits. */
#ifndef SD_BASE_TOOL_H
#define SD_BASE_TOOL_H

#include <stdbool.h>

#include "base/err.h"

/* Prints "tool: message" for the thread's error and returns its exit status (70 when none is set).
 * A usage error gets a second line that points to --help. */
int sd_tool_fail(const char *tool);

/* Flushes and closes stdout.  0, or 74 after a message: data that could not be written is a failure. */
int sd_tool_close(const char *tool);

/* Seconds since the process began, in hundredths; 0 where the system does not tell. */
double sd_tool_age(void);

/* A message on stderr, "tool: text" and a line feed; a progress line on show is wiped first.
 * Nothing when quiet. */
void sd_tool_say(const char *tool, bool quiet, const char *fmt, ...) SD_PRINTF(3, 4);

#endif
