/* cpu.h: what the parts of the CPU engine share. */
#ifndef SD_ENGINE_CPU_CPU_H
#define SD_ENGINE_CPU_CPU_H

#include "engine/cpu/kernels.h"
#include "engine/engine.h"

struct sd_engine {
	struct sd_par *par;
	const struct sd_kernels *k;
	char *arena;      /* shared by all programs, as large as the largest needs */
	size_t arena_size;
	int poison, trace_nan, profile;
	struct {
		long calls;
		double seconds;
		double bytes; /* read and written, by the plan's tensor sizes */
	} prof[SD_OP_N];
};

struct sd_buffer {
	enum sd_dtype dtype;
	struct sd_shape shape;
	size_t bytes;
	void *data; /* 64-byte aligned */
};

struct sd_program {
	struct sd_engine *e;
	const struct sd_graph *g;
	struct sd_plan *plan;
	struct sd_blk **blk;      /* by value: its block table, NULL for what is no image */
	struct sd_blk *blk_pool;
	unsigned char *slot_used; /* by slot */
	float *lanes;             /* room for one step's per-lane arrays */
	size_t lanes_cap;
};

/* Bytes of one element. */
size_t sd_cpu_size_of(enum sd_dtype t);
/* Blocks of 16 channels that an image's segments take. */
int sd_cpu_blocks(const struct sd_value *v);
/* How the CPU lays out values. */
extern const struct sd_layout sd_cpu_layout;
/* The image v of a program, its memory resolved. */
struct sd_img sd_cpu_image(const struct sd_program *p, sd_val v);
/* Runs step i.  Returns -1 with a message on a step that no kernel serves. */
int sd_cpu_step(struct sd_program *p, int i, const struct sd_bind *bind);
/* -1 with the op named if one of the step's results holds a value that isn't finite. */
int sd_cpu_check_finite(const struct sd_program *p, int i);

#endif
