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
	/* Where layout.back allows: x is the gradient at the result of a norm, or of a term of a mixed edge, and what is
	 * loaded is the one at its operand `at`, as SD_OP_NORM_BWD_X or SD_OP_MIX_BWD_X has it; relu: masked by the norm
	 * (as below).  Without a norm it is that of SD_OP_SCALE. */
	int back;
	sd_val at, sg, sgx;                /* SD_NIL: not read (sums: not a batch's norm) */
	sd_val f;                          /* SD_NIL: 1 */
	int rows;                          /* not back: what is loaded is scaled by f (N), each sample by its own; of
	                                      parts of sums of images alone, those that pools load among them, where
	                                      layout.back allows */
	int term;                          /* which element of f, which row of the sums */
};

/* The values that a load reads: the i-th of SD_LOAD_READS, the first being x; SD_NIL where there is none. */
enum { SD_LOAD_READS = 9 };
static inline sd_val sd_load_read(const struct sd_load *l, int i)
{
	const sd_val v[SD_LOAD_READS] = { l->x, l->mean, l->var, l->gamma, l->beta, l->at, l->sg, l->sgx, l->f };

	return i < 5 || l->back || (l->rows && i == 8) ? v[i] : SD_NIL;
}

struct sd_step {
	int node;            /* index into the graph */
	struct sd_load *in;  /* one for each operand (plain: only .x); a gradient into a norm with its relu set is
	                        masked by that norm: counts where norm(x) > 0 */
	int nin;             /* operands to run on; a sum built in place keeps only what is left to add; the gradient that a
	                        pool's is made of, its last, may be the sum of several */
	int accumulate;      /* add to the result's present content (a part of a sum built in place) */
	int skip;            /* a view, a sum complete in place, or run with its partner: nothing to do */
	int pair;            /* the step done in the same pass (depthwise data and weight gradient; with groups
	                        a depthwise convolution and the pointwise one of its result, backward the other way round;
	                        a pointwise convolution and statistics of its result; a depthwise one's data gradient, or
	                        a scaled one, and its sums for a norm; a sum of gradients and its mask, its result being
	                        written with that alone, and its sums for a norm or for mixed edges), or -1; which may
	                        have a pair of its own */
	int masked;          /* of a sum: so many of its first operands are summed first, and masked as `pair` has it;
	                        0: none, or all, which are the pair's result */
	int half;            /* the half of a separable convolution that is run here, its other steps skipped, or -1 */
	int group;           /* steps of one group follow each other, are of one kind, and do not depend on one another;
	                        where the layout asks for no groups each step is one */
};

/* Half a separable convolution run as one step (where the engine's layout says that it can): the steps that it
 * is made of, -1 where there is none.  Forward: DW and PW, and STATS of the result.  Backward: PW_X, with the
 * norm of y that the gradient comes through before it (GY: NORM_BWD_X or MIX_BWD_X), and with both weight
 * gradients, DW_X, and the sums of the norm that x is loaded through. */
enum {
	SD_HALF_DW, SD_HALF_PW, SD_HALF_STATS,
	SD_HALF_GY, SD_HALF_PW_X, SD_HALF_PW_W, SD_HALF_DW_X, SD_HALF_DW_W, SD_HALF_SUMS,
	SD_HALF_ROLES
};
struct sd_half_steps {
	int role[SD_HALF_ROLES];
	const struct sd_load *x; /* of the depthwise convolution; NULL where it isn't read; a step's */
	sd_val weight;           /* of the depthwise convolution */
};
#define SD_NO_HALF { .role = { -1, -1, -1, -1, -1, -1, -1, -1, -1 }, .weight = SD_NIL }

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
	struct sd_half_steps *half;
	int nhalf;
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
	int elem; /* bytes of one number of an image */
	int halves; /* the engine runs halves of separable convolutions as one step */
	int groups; /* the engine begins independent steps of one kind together: they are put side by side */
	int back;   /* with groups: pointwise convolutions of up to so many channels, and sums of images, take gradients
	               back through a norm as they load them */
	int pool;   /* with back: gradients of pools add up to so many parts as they load them */
	int parts;  /* with back: sums of up to so many images take sums for norms or mixed edges of their result, too */
	int edges;  /* for up to so many of these */
	int terms;  /* of up to so many terms */
	int half;   /* with groups: pointwise convolutions of up to so many channels are done with a depthwise one in
	               front of them, and so are their data gradients */
};

enum { SD_PLAN_UNFUSED = 1 };

/* Picks what roots need (results to be read, writes to be done).  NULL with a message on error. */
struct sd_plan *sd_plan_new(const struct sd_graph *g, int nroot, const sd_val *root,
	const struct sd_layout *layout, int flags);
void sd_plan_free(struct sd_plan *p);

#endif
