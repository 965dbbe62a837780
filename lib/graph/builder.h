/* builder.h: what the builders of ops share.  For ops*.c alone. */
#ifndef SD_GRAPH_BUILDER_H
#define SD_GRAPH_BUILDER_H

#include "graph/graph.h"

static inline const struct sd_shape *shape(const struct sd_graph *g, sd_val v)
{
	return &g->val[v].shape;
}

/* Is v float32 (or i32) with these dimensions?  A negative dimension matches any. */
static inline int is(const struct sd_graph *g, sd_val v, enum sd_dtype t, int n, int d0, int d1)
{
	const struct sd_value *x = &g->val[v];

	return x->dtype == t && x->shape.n == n && (n < 1 || d0 < 0 || x->shape.d[0] == d0) &&
		(n < 2 || d1 < 0 || x->shape.d[1] == d1);
}

static inline sd_val op1(struct sd_graph *g, enum sd_op op, int nin, const sd_val *in, struct sd_shape s,
	enum sd_dtype t, const struct sd_attr *a)
{
	static const struct sd_attr none;

	return sd_node_add(g, op, nin, in, 1, &s, t, a ? a : &none);
}

#endif
