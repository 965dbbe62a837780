/* derive.h: from the weights of a search to the genotype they stand for. */
#ifndef SD_ARCH_DERIVE_H
#define SD_ARCH_DERIVE_H

#include <stdint.h>

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

/* A random architecture of the search space, the baseline of random search: each of the `steps` nodes of
 * either cell gets two different inputs among those before it, the lower one first, and on each a primitive
 * of the list, all equally likely ('none' only if allow_none); all nodes are in the concat.  The same
 * arguments give the same genotype (rng.h: "genotype").  g must be initialised; its name is left as it is.
 * -1 and a usage error for steps < 1 or > SD_NODES_MAX, or nothing but 'none' to choose from. */
int sd_random_genotype(struct sd_genotype *g, uint64_t seed, int steps, const struct sd_primitive_list *list,
	bool allow_none);

#endif
