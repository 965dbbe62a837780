/* profile.h: what --profile asks for, and what --profile=plan prints: a step as it is planned, nothing being run. */
#ifndef SD_TRAIN_PROFILE_H
#define SD_TRAIN_PROFILE_H

#include <stdbool.h>
#include <stdio.h>

#include "engine/profile.h"
#include "train/step.h"

struct sd_profile_spec {
	enum sd_profile what;    /* of a run */
	bool plan;               /* print the plan instead of a run */
	struct sd_limits limits; /* bandwidth and rate as given, a second; 0: not given */
	double gap;              /* seconds between launches; negative: not given */
};

/* --profile's value: words with commas between them, of families, shapes, serial, plan, bandwidth=GB/s,
 * rate=TFLOP/s, gap=MICROSECONDS (of a plan).  "" is none.  -1 with a message. */
int sd_profile_parse(const char *text, struct sd_profile_spec *spec);

/* A table, TSV, with a column for each program of a step and one for the step: how often the program runs in it, ops,
 * launches, flops, bytes read and written, their floor (graph/cost.h) and the ratio to it, bytes of the arena, and the
 * seconds that the limits allow: by bandwidth alone, by rate alone, for each op the longer of both, and the gaps
 * between launches.  The engine may be one that only plans; on the CPU's, the launches that the CUDA engine would need
 * are told too, or why they aren't known.  Limits that are not given are those of two cores of a server, 75 GB/s and
 * 0.4 TFLOP/s without gaps, and on CUDA those of an H100, 3350 GB/s, 60 TFLOP/s (400 in other precisions than fp32) and
 * 2 microseconds.  `unrolled`: of a search of second order.  -1 with a message. */
int sd_profile_plan(FILE *f, struct sd_engine *e, enum sd_precision precision, const struct sd_profile_spec *given,
	const struct sd_net *net, const struct sd_step_options *o, int batch, int unrolled);

#endif
