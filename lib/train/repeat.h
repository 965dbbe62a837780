/* repeat.h: whether a run will only repeat one whose result lies beside its own. */
#ifndef SD_TRAIN_REPEAT_H
#define SD_TRAIN_REPEAT_H

#include "artifact/stamp.h"

/* The name, to be freed, of a complete artifact of that kind in the folder of `output` (that file itself
 * included) whose claim but for its results is the stamp's: the same recipe, seed and program.  NULL if
 * there is none: what cannot be read counts as none. */
char *sd_repeat_find(const struct sd_stamp *stamp, const char *kind, const char *output);

#endif
