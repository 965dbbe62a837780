/* plan.h: what an engine runs: the nodes that given roots need, in order, fused, each result placed
 * in one arena by liveness.  A plan knows shapes and the engine's layout sizes, and no buffers. */
#ifndef SD_GRAPH_PLAN_H
#define SD_GRAPH_PLAN_H

#include "graph/graph.h"

/* What is done to an image operand as it is loaded, instead of by an op that writes a tensor:
 * x -> relu?(norm?(x)). */
struct sd_load {
	sd_val x;                          /* the tensor that is read */
	sd_val mean, var, gamma, beta;     /* SD_NIL: no norm */
	float eps;
	int relu;
};

struct sd_step {
	int node;            /* index into the graph */
	struct sd_load *in;  /* one for each operand (plain: only .x); a gradient into a norm with its relu set is
	                        masked by that norm: counts where norm(x) > 0 */
	int nin;             /* operands to run on; a sum built in place keeps only what is left to add */
	int accumulate;      /* add to the result's present content (a part of a sum built in place) */
	int skip;            /* a view, a sum complete in place, or run with its partner: nothing to do */
	int pair;            /* the step done in the same pass (depthwise data and weight gradient), or -1 */
};

struct sd_place {
	int root;            /* the value whose storage this one is (itself, unless an alias) */
	size_t offset;       /* bytes from the arena's start, of the root */
	size_t inner;        /* bytes from the root's start */
	int first, last;     /* steps between which it is alive */
	int alive;           /* has storage in this plan */
};

struct sd_plan {
	const struct sd_graph *g;
	struct sd_step *step;
	int nstep;
	struct sd_place *place;  /* one a value */
	int nplace;
	sd_val *root;
	int nroot;
	size_t arena;            /* bytes */
};

/* How an engine lays out a value. */
struct sd_layout {
	size_t (*size)(const struct sd_graph *g, sd_val v); /* bytes, padding included */
	/* Where segment `seg` of image v begins, in bytes from v's start: segments are contiguous, so that
	 * operands of a concat and slices along segments are views. */
	size_t (*segment)(const struct sd_graph *g, sd_val v, int seg);
	size_t align;
};

enum { SD_PLAN_UNFUSED = 1 };

/* Picks what roots need (results to be read, writes to be done).  NULL with a message on error. */
struct sd_plan *sd_plan_new(const struct sd_graph *g, int nroot, const sd_val *root,
	const struct sd_layout *layout, int flags);
void sd_plan_free(struct sd_plan *p);

#endif
