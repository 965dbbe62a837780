/* derive.c: parse_cell of the sharpDARTS genotype_extractor. */
#include "arch/derive.h"
#include "base/err.h"

#include <math.h>

/* The first of the heaviest primitives of an edge. */
static int best(const double *w, const struct sd_primitive_list *list, bool allow_none)
{
	int k, b = -1;

	for (k = 0; k < list->n; k++)
		if ((allow_none || list->id[k] != SD_PRIM_NONE) && (b < 0 || w[k] > w[b]))
			b = k;
	return b;
}

int sd_derive_cell(struct sd_cell *cell, const double *w, int steps, int multiplier,
	const struct sd_primitive_list *list, bool allow_none)
{
	int node, i, k, edges;

	if (steps < 1 || steps > SD_NODES_MAX)
		return sd_error(SD_ERR_DATA, "a cell of %d nodes: 1 to %d are possible", steps, SD_NODES_MAX);
	if (multiplier < 1 || multiplier > steps)
		return sd_error(SD_ERR_DATA, "a cell of %d nodes can't give the last %d of them", steps,
			multiplier);
	if (!list->n || (list->n == 1 && list->id[0] == SD_PRIM_NONE && !allow_none))
		return sd_error(SD_ERR_DATA, "no primitive but 'none' to choose from");
	edges = sd_search_edges(steps);
	for (i = 0; i < edges; i++)
		for (k = 0; k < list->n; k++)
			if (!isfinite(w[i * list->n + k]))
				return sd_error(SD_ERR_DATA, "the weight of '%s' on edge %d is %g",
					sd_primitives[list->id[k]].name, i, w[i * list->n + k]);
	sd_cell_alloc(cell, 2 * steps, multiplier);
	for (node = 0; node < steps; node++, w += (node + 1) * list->n) {
		int in[2] = { -1, -1 }; /* the heaviest input and the next, the lower one first in a tie */
		double top[2] = { 0, 0 };

		for (i = 0; i < 2 + node; i++) {
			const double *edge = w + i * list->n;
			double v = edge[best(edge, list, allow_none)];

			if (in[0] < 0 || v > top[0]) {
				in[1] = in[0], top[1] = top[0];
				in[0] = i, top[0] = v;
			} else if (in[1] < 0 || v > top[1]) {
				in[1] = i, top[1] = v;
			}
		}
		for (i = 0; i < 2; i++) {
			k = best(w + in[i] * list->n, list, allow_none);
			cell->edge[2 * node + i] = (struct sd_edge){ list->id[k], in[i] };
		}
	}
	for (i = 0; i < multiplier; i++)
		cell->concat[i] = 2 + steps - multiplier + i;
	cell->concat_range = true;
	return 0;
}

int sd_derive_genotype(struct sd_genotype *g, const double *normal, const double *reduce, int steps,
	int multiplier, const struct sd_primitive_list *list, bool allow_none)
{
	if (sd_derive_cell(&g->normal, normal, steps, multiplier, list, allow_none) < 0)
		return sd_error_in("normal cell");
	if (sd_derive_cell(&g->reduce, reduce, steps, multiplier, list, allow_none) < 0)
		return sd_error_in("reduction cell");
	g->kind = SD_GENOTYPE_CELL;
	g->layout = true;
	return 0;
}
