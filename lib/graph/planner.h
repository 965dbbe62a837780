/* planner.h: what the parts of plan making share.  For plan.c, halves.c and groups.c alone. */
#ifndef SD_GRAPH_PLANNER_H
#define SD_GRAPH_PLANNER_H

#include "graph/plan.h"

struct sd_planner {
	const struct sd_graph *g;
	const struct sd_layout *layout;
	struct sd_plan *p;
	int flags;
	unsigned char *needed;  /* by node */
	struct sd_load **load;  /* by node */
	int *step_of;           /* by node: its step, or -1 */
	int *uses;              /* by value */
	int *parent;            /* by value: the value whose storage holds it, or -1 */
	size_t *inner;          /* by value: bytes from its parent's start */
	int *at;                /* by step: the step that it is run with, itself if alone */
	unsigned char *hidden;  /* by value: never written to memory */
};

static inline const struct sd_node *sd_step_node(const struct sd_planner *b, int step)
{
	return &b->g->node[b->p->step[step].node];
}

/* Finds halves of separable convolutions among the steps, and has each run as one. */
int sd_plan_find_halves(struct sd_planner *b);
/* Has gradients taken back through norms, and those of pools added, where they are loaded. */
void sd_plan_find_backs(struct sd_planner *b);
/* Has steps done with those that make what they read. */
void sd_plan_find_pairs(struct sd_planner *b);
/* Puts independent steps of one kind side by side, as groups; a step is run at (b->at) its group's first.  -1 with a
 * message.  b->step_of is stale afterwards. */
int sd_plan_find_groups(struct sd_planner *b);

#endif
