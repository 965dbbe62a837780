/* script.h: the shell script that makes an artifact again from the raw files. */
#ifndef SD_PROVENANCE_SCRIPT_H
#define SD_PROVENANCE_SCRIPT_H

#include <stdio.h>

#include "artifact/manifest.h"
#include "base/str.h"

/* Prints it for the artifact in the file `name`, by the tables of the installed tools (remake.h).  -1 with
 * a message: a claim that can't be followed, a tool that isn't there, a
 * checkpoint on the way that doesn't say where it was left. */
int sd_script_print(const char *name, const struct sd_lineage *l, FILE *f);

/* A word as the shell reads it back: in quotes where it has to be. */
void sd_shell_word(struct sd_str *s, const char *word);

#endif
