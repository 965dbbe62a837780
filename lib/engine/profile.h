/* profile.h: where the time of an engine's steps goes, by kernel family, beside what the machine could do.
 *
 * A step's operations and bytes are those that its shapes ask for (graph/cost.h), and its floor the longer of the two
 * times that they take at the limits: the roofline (Williams, Waterman, Patterson, "Roofline: an insightful visual
 * performance model", 2009).  Small tensors stay in caches, so a family can be above it. */
#ifndef SD_ENGINE_PROFILE_H
#define SD_ENGINE_PROFILE_H

#include <stdio.h>

struct sd_engine;

enum sd_profile {
	SD_PROFILE_OFF,
	SD_PROFILE_FAMILIES, /* kernels by op and window */
	SD_PROFILE_SHAPES,   /* and by size of image */
	SD_PROFILE_SERIAL,   /* families, and how much of each is cut into tasks: of the CPU, on one thread */
};

/* A second.  0: to be found out. */
struct sd_limits {
	double flops, bandwidth; /* bytes */
};

/* From here on every step is timed; fills in the limits that are 0, which takes about a second on the CPU.  On CUDA
 * runs are no longer captured, so that steps can be told apart.  -1 with a message. */
int sd_engine_profile(struct sd_engine *e, enum sd_profile what, const struct sd_limits *limits);

/* What a run does outside of its programs' runs. */
enum sd_part {
	SD_PART_DATA,        /* a batch is waited for, and copied to where the program reads it */
	SD_PART_AHEAD,       /* processor's time of threads that make batches meanwhile */
	SD_PART_SUMS,        /* sums are read and told */
	SD_PART_DIGESTS,     /* the trace of a step (train/trace.h) */
	SD_PART_CHECKPOINTS, /* the state is copied as an epoch begins, a checkpoint written */
	SD_PARTS
};
/* Seconds of a clock that only counts up while a profile is made, else 0. */
double sd_engine_clock(const struct sd_engine *e);
/* Adds to a part, while a profile is made. */
void sd_engine_note_part(struct sd_engine *e, enum sd_part part, double seconds);

/* What has been noted, as TSV under comments: a row for each family, the one that took longest first, then the sum,
 * the time between steps and that outside of runs, by its parts, how long the program took to its first step, and the
 * algorithms chosen (sd_engine_choices).  0, or -1 with a message. */
int sd_engine_profile_print(struct sd_engine *e, FILE *f);

#endif
