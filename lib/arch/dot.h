/* dot.h: a cell drawn as the DARTS figures draw it, in the DOT language of Graphviz. */
#ifndef SD_ARCH_DOT_H
#define SD_ARCH_DOT_H

#include "arch/arch.h"

enum sd_dot_cells { SD_DOT_BOTH, SD_DOT_NORMAL, SD_DOT_REDUCE };

/* Writes the genotype as one digraph to `out`: convolutional cells as a cluster each (or the one
 * asked for), a recurrent cell as itself (`cells` must then be SD_DOT_BOTH).  `title` is a caption,
 * or NULL.  Only nodes in the concat are tied to the output.  -1 and a usage error for a cell that
 * the genotype hasn't got; errors of the stream are the caller's to find. */
int sd_genotype_dot(FILE *out, const struct sd_genotype *g, enum sd_dot_cells cells, const char *title);

#endif
