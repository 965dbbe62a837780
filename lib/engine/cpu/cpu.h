/* cpu.h: what the parts of the CPU engine share. */
#ifndef SD_ENGINE_CPU_CPU_H
#define SD_ENGINE_CPU_CPU_H

#include "engine/cpu/kernels.h"
#include "engine/ops.h"

struct sd_cpu_engine {
	struct sd_engine base;
	struct sd_par *par;
	const struct sd_kernels *k;
	char *arena;      /* shared by all programs, as large as the largest needs */
	size_t arena_size;
};

struct sd_cpu_program {
	struct sd_program base;
	struct sd_cpu_engine *e;    /* the base's, by its own type */
	const struct sd_graph *g;   /* the base's */
	const struct sd_plan *plan; /* the base's */
	struct sd_blk **blk;        /* by value: its block table, NULL for what is no image */
	struct sd_blk *blk_pool;
	float *lanes;               /* room for one step's per-lane arrays */
	size_t lanes_cap;
};

/* Blocks of 16 channels that an image's segments take. */
int sd_cpu_blocks(const struct sd_value *v);
/* How the CPU lays out values. */
extern const struct sd_layout sd_cpu_layout;
/* The image v of a program, its memory resolved. */
struct sd_img sd_cpu_image(const struct sd_cpu_program *p, sd_val v);
/* Runs step i.  Returns -1 with a message on a step that no kernel serves. */
int sd_cpu_step(struct sd_cpu_program *p, int i, const struct sd_bind *bind);
/* What its threads could do at best, measured in about a second. */
int sd_cpu_limits(struct sd_engine *e, struct sd_limits *limits);
/* -1 with the op named if one of the step's results holds a value that isn't finite. */
int sd_cpu_check_finite(const struct sd_cpu_program *p, int i);

#endif
