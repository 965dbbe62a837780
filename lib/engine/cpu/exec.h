/* exec.h: what the parts of a step's execution share: the step being run, and where its operands lie.
 * For exec*.c alone. */
#ifndef SD_ENGINE_CPU_EXEC_H
#define SD_ENGINE_CPU_EXEC_H

#include <string.h>

#include "engine/cpu/cpu.h"

/* What the functions that run a step need to know of it. */
struct run {
	struct sd_cpu_program *p;
	const struct sd_kernels *k;
	struct sd_par *par;
	const struct sd_step *s;
	const struct sd_node *n;
	const struct sd_bind *bind;
	size_t lanes_used;
};

/* Memory of a value that is no image; NULL for one that was left out. */
static inline void *rows(const struct run *r, sd_val v)
{
	const struct sd_value *x;
	const struct sd_place *pl;

	if (v == SD_NIL)
		return NULL;
	x = &r->p->g->val[v];
	if (x->slot >= 0)
		return r->bind->slot[x->slot]->data;
	pl = &r->p->plan->place[v];
	return r->p->e->arena + r->p->plan->place[pl->root].offset + pl->inner;
}

static inline const struct sd_shape *shape(const struct run *r, sd_val v)
{
	return &r->p->g->val[v].shape;
}

static inline float scalar(const struct run *r, sd_val v)
{
	return *(const float *)rows(r, v);
}

static inline struct sd_img operand(const struct run *r, int i)
{
	return sd_cpu_image(r->p, r->s->in[i].x);
}

static inline struct sd_dst result(const struct run *r)
{
	return (struct sd_dst){ sd_cpu_image(r->p, r->n->out), r->s->accumulate };
}

static inline void *in(const struct run *r, int i)
{
	return rows(r, r->s->in[i].x);
}

static inline void *out(const struct run *r, int i)
{
	return rows(r, r->n->out + i);
}

/* What the kernels use of a norm, by lane; padding lanes are 0. */
struct norm_lanes {
	float *a, *b;       /* norm(x) = fma(a, x, b) */
	float *mean, *istd;
};
struct norm_lanes sd_cpu_norm_lanes(struct run *r, const struct sd_load *l, const struct sd_img *x);
/* The operands of a norm's backward pass, of a step NORM_BWD_X or NORM_BWD_SUMS. */
struct sd_norm_arg sd_cpu_norm_arg(struct run *r, const struct sd_step *s, sd_val gamma);
/* An operand as it is loaded. */
struct sd_src sd_cpu_source(struct run *r, const struct sd_load *l);

/* Runs the half of a separable convolution that r's step stands for. */
void sd_cpu_step_half(struct run *r);
/* Each runs r's step if its op is of their kind.  0 when done, 1 when it is not, -1 with a message. */
int sd_cpu_step_image(struct run *r);
int sd_cpu_step_rows(struct run *r);
int sd_cpu_step_write(struct run *r);

#endif
