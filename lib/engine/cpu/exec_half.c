/* exec_half.c: halves of separable convolutions: gathers what their steps have as operands and results. */
#include "engine/cpu/exec.h"

static const struct sd_step *step(const struct run *r, int i)
{
	return &r->p->plan->step[i];
}

/* The k-th result of step i. */
static sd_val result_of(const struct run *r, int i, int k)
{
	return r->p->g->node[step(r, i)->node].out + k;
}

static struct sd_dst image_result(const struct run *r, int i)
{
	return (struct sd_dst){ sd_cpu_image(r->p, result_of(r, i, 0)), step(r, i)->accumulate };
}

static struct sd_window window(const struct run *r, int i)
{
	return r->p->g->node[step(r, i)->node].a.win;
}

static void forward(struct run *r, const struct sd_half_steps *s)
{
	int stats = s->role[SD_HALF_STATS];
	struct sd_half h = { .x = sd_cpu_source(r, s->x), .dw = rows(r, s->weight),
		.win = window(r, s->role[SD_HALF_DW]),
		.pw = rows(r, step(r, s->role[SD_HALF_PW])->in[1].x), .y = image_result(r, s->role[SD_HALF_PW]) };

	if (stats >= 0) {
		h.mean = rows(r, result_of(r, stats, 0));
		h.var = rows(r, result_of(r, stats, 1));
	}
	r->k->half(r->par, &h);
}

/* The operands of sd_cpu_norm_arg, of a term of a mixed edge: of a step MIX_BWD_X. */
static struct sd_norm_arg mix_norm(struct run *r, const struct sd_step *s)
{
	const struct sd_node *n = &r->p->g->node[s->node];
	struct sd_load l = { .x = s->in[2].x, .mean = s->in[3].x, .var = s->in[4].x, .gamma = SD_NIL, .beta = SD_NIL,
		.eps = n->a.eps };
	struct sd_norm_arg a = { .x = sd_cpu_image(r->p, l.x) };
	struct norm_lanes nl = sd_cpu_norm_lanes(r, &l, &a.x);
	int relu = n->a.kind[0] == SD_MIX_NORM_RELU;

	a.mean = nl.mean;
	a.istd = a.scale = nl.istd;
	a.ma = relu ? nl.a : NULL;
	a.mb = relu ? nl.b : NULL;
	return a;
}

/* The gradient that comes in: of y, or of the norm of y, or of a term of a mixed edge. */
static void gradient(struct run *r, const struct sd_half_steps *s, struct sd_half_bwd *h)
{
	const struct sd_step *gy = s->role[SD_HALF_GY] < 0 ? NULL : step(r, s->role[SD_HALF_GY]);
	const struct sd_node *n = gy ? &r->p->g->node[gy->node] : NULL;

	if (!gy) {
		h->g = sd_cpu_image(r->p, step(r, s->role[SD_HALF_PW_X])->in[0].x);
		return;
	}
	h->g = sd_cpu_image(r->p, gy->in[0].x);
	h->sg = rows(r, gy->in[5].x);
	h->sgx = rows(r, gy->in[6].x);
	h->f = 1;
	if (n->op == SD_OP_NORM_BWD_X) {
		h->norm = sd_cpu_norm_arg(r, gy, gy->in[4].x);
		h->batch = n->a.i[0];
	} else {
		int k = n->a.i[0], c = h->g.c;

		h->norm = mix_norm(r, gy);
		h->f = ((const float *)rows(r, gy->in[1].x))[k];
		h->batch = n->a.i[1];
		h->sg = h->sg ? h->sg + (size_t)k * (size_t)c : NULL;
		h->sgx = h->sgx ? h->sgx + (size_t)k * (size_t)c : NULL;
	}
}

static void backward(struct run *r, const struct sd_half_steps *s)
{
	int pw_w = s->role[SD_HALF_PW_W], dw_x = s->role[SD_HALF_DW_X], dw_w = s->role[SD_HALF_DW_W];
	int sums = s->role[SD_HALF_SUMS];
	struct sd_half_bwd h = { .dw = rows(r, s->weight), .pw = rows(r, step(r, s->role[SD_HALF_PW_X])->in[1].x),
		.win = window(r, dw_x >= 0 ? dw_x : dw_w) };

	gradient(r, s, &h);
	if (s->x)
		h.x = sd_cpu_source(r, s->x);
	if (dw_x >= 0)
		h.gx = image_result(r, dw_x);
	if (pw_w >= 0)
		h.gpw = rows(r, result_of(r, pw_w, 0));
	if (dw_w >= 0)
		h.gdw = rows(r, result_of(r, dw_w, 0));
	if (sums >= 0) {
		h.sums = sd_cpu_norm_arg(r, step(r, sums), SD_NIL);
		h.ssg = rows(r, result_of(r, sums, 0));
		h.ssgx = rows(r, result_of(r, sums, 1));
	}
	r->k->half_bwd(r->par, &h);
}

void sd_cpu_step_half(struct run *r)
{
	const struct sd_half_steps *s = &r->p->plan->half[r->s->half];

	if (s->role[SD_HALF_PW] >= 0)
		forward(r, s);
	else
		backward(r, s);
}
