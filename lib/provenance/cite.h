/* cite.h: the paragraph for a paper that says how something was made. */
#ifndef SD_PROVENANCE_CITE_H
#define SD_PROVENANCE_CITE_H

#include <stdio.h>

#include "artifact/manifest.h"

/* Prints what the claims of n artifacts, which were checked, say: one paragraph for all where they are runs
 * of one recipe (their seeds are listed, what evaluations measured is averaged), else one for each.  Of artifacts
 * with the same id the first counts.  -1 with a message. */
int sd_cite_print(int n, const char *const *name, struct sd_lineage *const *l, FILE *f);

#endif
