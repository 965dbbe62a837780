/* derive.h: from the weights of a search to the genotype they stand for. */
#ifndef SD_ARCH_DERIVE_H
#define SD_ARCH_DERIVE_H

#include "arch/arch.h"

/* The cell that the softmaxed weights w (sd_search_edges(steps) x list->n, row-major; edges of node 0
 * first, each node's by input) stand for: parse_cell of the sharpDARTS genotype_extractor.  Each node
 * keeps the two inputs whose best primitive weighs most (a stable sort: ties keep the lower input
 * first), and on each of them the primitive that weighs most (ties: the first in the list).  'none'
 * counts in neither unless allow_none.  The cell's output is the concatenation of the last
 * `multiplier` nodes: range(2 + steps - multiplier, 2 + steps).  Comparisons are of the exact values.
 * `cell` must be initialised (zeroed will do).  -1 and a data error for a weight that is not finite,
 * steps < 1 or > SD_NODES_MAX, a multiplier outside 1..steps, or nothing but 'none' to choose from. */
int sd_derive_cell(struct sd_cell *cell, const double *w, int steps, int multiplier,
	const struct sd_primitive_list *list, bool allow_none);

/* Both cells; g must be initialised.  Its name is left as it is; it is printed with layout='cell'. */
int sd_derive_genotype(struct sd_genotype *g, const double *normal, const double *reduce, int steps,
	int multiplier, const struct sd_primitive_list *list, bool allow_none);

#endif
