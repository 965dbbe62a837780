/* repeat.h: whether a run will only repeat one whose result lies beside its own. */
#ifndef SD_TRAIN_REPEAT_H
#define SD_TRAIN_REPEAT_H

#include <stdbool.h>

#include "artifact/stamp.h"

/* The name, to be freed, of a complete artifact of that kind in the folder of `output` (that file itself
 * included) whose claim but for its results is the stamp's: the same recipe, seed and program.  NULL if
 * there is none: what cannot be read counts as none. */
char *sd_repeat_find(const struct sd_stamp *stamp, const char *kind, const char *output);
/* Says so on standard error: a loop that forgets the seed makes the same file again and again.  `hint` is what
 * would make another one ("--seed N makes another one"), or NULL. */
void sd_repeat_say(const char *tool, bool quiet, const struct sd_stamp *stamp, const char *kind,
	const char *output, const char *hint);

#endif
