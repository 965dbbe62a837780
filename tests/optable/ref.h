/* ref.h: evaluates a graph node by node in double, by the kernels' references (kernels/ref.h).  It knows the forward
 * ops only: gradients are checked against finite differences of it. */
#ifndef SD_TESTS_REF_H
#define SD_TESTS_REF_H

#include "graph/graph.h"

struct ref {
	const struct sd_graph *g;
	double **v; /* by value: row-major, logical; sources are filled by the caller */
};

struct ref *ref_new(const struct sd_graph *g); /* sources are allocated, all 0 */
void ref_free(struct ref *r);
/* Evaluates what root needs.  Aborts with a message on an op that the reference does not know. */
void ref_eval(struct ref *r, sd_val root);

#endif
