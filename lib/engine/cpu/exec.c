/* exec.c: one step of a plan on the CPU. */
#include "engine/cpu/exec.h"

#include <math.h>

#include "base/err.h"

struct sd_img sd_cpu_image(const struct sd_cpu_program *p, sd_val v)
{
	const struct sd_value *x = &p->g->val[v];
	const struct sd_place *pl = &p->plan->place[v];

	return (struct sd_img){
		.p = (float *)(p->e->arena + p->plan->place[pl->root].offset + pl->inner),
		.n = x->shape.d[0], .c = x->shape.d[1], .h = x->shape.d[2], .w = x->shape.d[3],
		.cb = sd_cpu_blocks(x), .blk = p->blk[v],
	};
}

/* Results of an op whose predicate is off: nothing is added, a result of its own is 0. */
static void run_off(struct run *r, const struct sd_step *s)
{
	const struct sd_node *n = &r->p->g->node[s->node];
	int i;

	if (s->pair >= 0)
		run_off(r, &r->p->plan->step[s->pair]);
	if (sd_op_is_write(n->op) || s->accumulate)
		return;
	for (i = 0; i < n->nout; i++) {
		sd_val v = n->out + i;

		if (sd_is_image(r->p->g, v)) {
			struct sd_img y = sd_cpu_image(r->p, v);

			r->k->fill(r->par, 0, &y);
		} else {
			memset(rows(r, v), 0, sd_cpu_layout.size(r->p->g, v));
		}
	}
}

static int is_off(const struct run *r)
{
	const void *p = rows(r, r->n->pred);

	if (!p)
		return 0;
	return r->p->g->val[r->n->pred].dtype == SD_I32 ? *(const int32_t *)p == 0 : *(const float *)p == 0;
}

int sd_cpu_step(struct sd_cpu_program *p, int i, const struct sd_bind *bind)
{
	struct run r = { .p = p, .k = p->e->k, .par = p->e->par, .s = &p->plan->step[i], .bind = bind };
	int rc;

	r.n = &p->g->node[r.s->node];
	if (is_off(&r)) {
		run_off(&r, r.s);
		return 0;
	}
	if (r.s->half >= 0) {
		sd_cpu_step_half(&r);
		return 0;
	}
	rc = sd_cpu_step_image(&r);
	if (rc > 0)
		rc = sd_cpu_step_rows(&r);
	if (rc > 0)
		rc = sd_cpu_step_write(&r);
	return rc <= 0 ? rc : sd_error(SD_ERR_BUG, "the CPU engine has no %s", sd_op_name(r.n->op));
}

/* The results of one step, of those that are in memory. */
static int check_finite(const struct sd_cpu_program *p, int i)
{
	const struct sd_node *n = &p->g->node[p->plan->step[i].node];
	int k, b, j;
	size_t e;

	for (k = 0; k < n->nout; k++) {
		sd_val v = n->out + k;
		const struct sd_value *x = &p->g->val[v];
		const struct sd_place *pl = &p->plan->place[v];
		const float *f;

		if (x->dtype != SD_F32 || !p->plan->place[pl->root].alive)
			continue;
		f = (const float *)(p->e->arena + p->plan->place[pl->root].offset + pl->inner);
		if (sd_is_image(p->g, v)) {
			struct sd_img m = sd_cpu_image(p, v);
			size_t plane = (size_t)m.n * (size_t)m.h * (size_t)m.w;

			for (b = 0; b < m.cb; b++)
				for (e = 0; e < plane; e++)
					for (j = 0; j < m.blk[b].n; j++)
						if (!isfinite(m.p[((size_t)b * plane + e) * 16 + (size_t)j]))
							return sd_error(SD_ERR_DATA, "step %d, %s: a result is not finite", i,
								sd_op_name(n->op));
		} else {
			for (e = 0; e < sd_shape_count(&x->shape); e++)
				if (!isfinite(f[e]))
					return sd_error(SD_ERR_DATA, "step %d, %s: a result is not finite", i, sd_op_name(n->op));
		}
	}
	return 0;
}

int sd_cpu_check_finite(const struct sd_cpu_program *p, int i)
{
	const struct sd_step *s = &p->plan->step[i];
	int k;

	if (s->half < 0)
		return check_finite(p, i);
	for (k = 0; k < SD_HALF_ROLES; k++)
		if (p->plan->half[s->half].role[k] >= 0 && check_finite(p, p->plan->half[s->half].role[k]))
			return -1;
	return 0;
}
