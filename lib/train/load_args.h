/* load_args.h: --load_args: the parameters of another run. */
#ifndef SD_TRAIN_LOAD_ARGS_H
#define SD_TRAIN_LOAD_ARGS_H

#include "base/opt.h"

/* Gives every numeric option and the seed the value that the claim of the artifact at `path` has for it,
 * unless the command line gave one.  An artifact of another tool, a parameter that is not among the
 * options and a value out of bounds are errors; so options that only exist since keep their defaults.  A
 * value in a text row lives as long as the process. */
int sd_load_args(struct sd_opts *opts, const char *path);

#endif
