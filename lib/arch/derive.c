/* derive.c: from the weights of a search to a genotype, and genotypes by chance. */
#include "arch/derive.h"
#include "base/err.h"
#include "base/rng.h"

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

static void random_cell(struct sd_cell *cell, struct sd_rng_key key, int steps, const int *prim, int nprim)
{
	int node, i;

	sd_cell_alloc(cell, 2 * steps, steps);
	for (node = 0; node < steps; node++) {
		struct sd_edge *edge = &cell->edge[2 * node], swap;

		for (i = 0; i < 2; i++) {
			uint32_t ctr[4] = { (uint32_t)node, (uint32_t)i, 0, 0 }, word[4];

			sd_rng_block(key, ctr, word);
			edge[i].from = (int)sd_rng_below(word[0], (uint32_t)(2 + node - i));
			edge[i].op = prim[sd_rng_below(word[1], (uint32_t)nprim)];
		}
		/* the second is one of the others, counted without the first */
		if (edge[1].from >= edge[0].from)
			edge[1].from++;
		if (edge[1].from < edge[0].from)
			swap = edge[0], edge[0] = edge[1], edge[1] = swap;
		cell->concat[node] = 2 + node;
	}
	cell->concat_range = true;
}

int sd_random_genotype(struct sd_genotype *g, uint64_t seed, int steps, const struct sd_primitive_list *list,
	bool allow_none)
{
	int prim[SD_PRIM_COUNT], nprim = 0, i;

	if (steps < 1 || steps > SD_NODES_MAX)
		return sd_error(SD_ERR_USAGE, "a cell of %d nodes: 1 to %d are possible", steps, SD_NODES_MAX);
	for (i = 0; i < list->n; i++)
		if (allow_none || list->id[i] != SD_PRIM_NONE)
			prim[nprim++] = list->id[i];
	if (!nprim)
		return sd_error(SD_ERR_USAGE, "no primitive but 'none' to choose from");
	random_cell(&g->normal, sd_rng_key(seed, "genotype", "normal"), steps, prim, nprim);
	random_cell(&g->reduce, sd_rng_key(seed, "genotype", "reduce"), steps, prim, nprim);
	g->kind = SD_GENOTYPE_CELL;
	g->layout = true;
	return 0;
}
