/* cost.h: what the steps of a plan compute and move, counted from shapes after fusion.
 *
 * One place for all engines: channels are the real ones, padding lanes count nothing, and what an engine keeps
 * for itself (partial sums, copies in scratch) is not the plan's and not counted. */
#ifndef SD_GRAPH_COST_H
#define SD_GRAPH_COST_H

#include "graph/plan.h"

struct sd_cost {
	double flops;         /* a multiply-add is two; an exponential or a root is one */
	double read, written; /* bytes */
};

/* Step i of a plan together with the steps run in its pass, between which what one makes for another alone moves
 * nothing; images have `elem` bytes an element.  A value that the
 * step reads as two operands is read once.  All 0 for a step that is skipped. */
struct sd_cost sd_step_cost(const struct sd_plan *p, int i, int elem);

/* All steps.  *floor, where asked for, gets the bytes that are unavoidable for the tensors that this plan keeps:
 * each written once, and read once in each direction (forward, backward) in which anything reads it; and the same
 * flops. */
int sd_plan_cost(const struct sd_plan *p, int elem, struct sd_cost *total, struct sd_cost *floor);

/* Whether an op belongs to the backward direction by its kind (add, scale and the like occur in both). */
int sd_op_is_backward(enum sd_op op);

/* What kernels of a kind have in common, into name[64]: the op and its window, "dwconv 5x5 d2"; with `shapes` the
 * size of its image too. */
void sd_step_family(const struct sd_plan *p, int i, int shapes, char name[64]);

#endif
