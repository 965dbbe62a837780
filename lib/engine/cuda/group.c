/* group.c: runs steps that do not depend on one another together, with one launch for what is alike in them. */
#include "engine/cuda/cuda.h"

#include "base/err.h"

/* Bytes of scratch that steps share before they are begun: a plan of large images is not to need much more memory for
 * being run in groups. */
#define SCRATCH ((size_t)256 << 20)

struct sd_cuda_step sd_cuda_step_of(struct sd_cuda_program *p, int i)
{
	struct sd_cuda_step st = { .p = p, .e = p->e, .s = &p->plan->step[i], .index = i };

	st.n = &p->g->node[st.s->node];
	return st;
}

int sd_cuda_group_size(const struct sd_plan *plan, int first)
{
	int n = 1;

	while (first + n < plan->nstep && plan->step[first + n].group == plan->step[first].group)
		n++;
	return n;
}

int sd_cuda_group_exec(struct sd_cuda_program *p, int first, const struct sd_bind *bind,
	const struct sd_cuda_bound *b, struct sd_cu_run *run)
{
	int i, end = first + sd_cuda_group_size(p->plan, first), rc = 0;

	run->used = 0;
	sd_cu_group_begin(run, p->e->group);
	for (i = first; i < end && !rc; i++) {
		struct sd_cuda_step st = sd_cuda_step_of(p, i);

		if (st.s->skip)
			continue;
		if (run->used > SCRATCH) {
			sd_cu_group_flush(run);
			run->used = 0;
		}
		sd_cu_group_step(run);
		st.bind = bind;
		st.bound = b;
		st.run = *run;
		st.run.dry = !bind;
		rc = sd_cuda_exec(&st);
		*run = st.run;
		if (p->e->base.trace_nan) /* each alone: what goes wrong is then its own */
			sd_cu_group_flush(run);
	}
	sd_cu_group_end(run);
	return rc;
}
