/* grad.h: gradients as further ops of the same graph, for exactly the values asked for. */
#ifndef SD_GRAPH_GRAD_H
#define SD_GRAPH_GRAD_H

#include "graph/graph.h"

/* d loss / d want[i] into grad[i], loss being a float32 scalar.  Only what some want[i] depends on is
 * built.  A value that loss does not depend on gets SD_NIL.  Returns 0, or -1 with the message set.
 * May be called again on the same graph for other wants: equal ops are shared. */
int sd_graph_grad(struct sd_graph *g, sd_val loss, int n, const sd_val *want, sd_val *grad);

/* The same for any value y with a given gradient gy of its shape (an input is imported). */
int sd_graph_vjp(struct sd_graph *g, sd_val y, sd_val gy, int n, const sd_val *want, sd_val *grad);

#endif
