/* chain.h: prints what an artifact came from, down to the raw files. */
#ifndef SD_PROVENANCE_CHAIN_H
#define SD_PROVENANCE_CHAIN_H

#include "provenance/check.h"
#include "provenance/find.h"

/* A line for each input on stdout, under it those of the input in turn, each artifact's own once.  With a
 * finder (which may be NULL) every input is looked for and checked. */
enum sd_status sd_chain_print(const char *name, const struct sd_lineage *l, struct sd_finder *finder);

#endif
