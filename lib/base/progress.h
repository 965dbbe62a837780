/* progress.h: a line on the terminal that says how far a loop is.
 *
 * Only on stderr, only when that is a terminal, not when quiet; plain without NO_COLOR being needed,
 * dimmed where colour is allowed.  Drawn at most ten times a second. */
#ifndef SD_BASE_PROGRESS_H
#define SD_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Shows "text done/total" with an estimate of the time left, the text as in printf, cut to the
 * terminal's width.  total 0: unknown. */
void sd_progress(bool quiet, uint64_t done, uint64_t total, const char *fmt, ...) SD_PRINTF(4, 5);
/* Wipes the line if one is shown: at the end of the loop, and before other output to the terminal. */
void sd_progress_clear(void);

#endif
