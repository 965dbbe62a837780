/* cases.h: the table of op cases: small graphs, from single ops to whole halves of cells. */
#ifndef SD_TESTS_CASES_H
#define SD_TESTS_CASES_H

#include "graph/graph.h"

/* What the inputs hold. */
enum fill { RANDOM, CONSTANT, BIG_MEAN, TIES, NANS };

struct tcase {
	const char *name;
	sd_val (*build)(struct sd_graph *g, const int *p); /* the result, an image or rows */
	int p[10];
	enum fill fill;
};

/* Meaning of p: shape of the input "x", kernel, stride, padding, dilation, and two of the builder's own. */
enum { P_N, P_C, P_H, P_W, P_K, P_S, P_P, P_D, P_X, P_Y };

extern const struct tcase cases[];
extern const size_t ncase;

#endif
