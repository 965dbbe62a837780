/* exec_rows.c: everything of a plan that is no image, and one step of any kind. */
#include "engine/cuda/exec.h"

#include "base/err.h"

static const struct sd_shape *shape(const struct sd_cuda_step *st, int i)
{
	sd_val v = st->s->in[i].x;

	return &st->p->g->val[v].shape;
}

/* The step's predicate, for ops that write. */
static struct sd_cu_on on(const struct sd_cuda_step *st)
{
	sd_val v = st->n->pred;

	return (struct sd_cu_on){ sd_cuda_rows(st, v), v != SD_NIL && st->p->g->val[v].dtype == SD_I32 };
}

/* In row-major words: y (n, m) = op(a) op(b) [+ y], float32. */
static int product(struct sd_cuda_step *st, int n, int m, int k, const float *a, int trans_a, const float *b,
	int trans_b, float beta, float *y)
{
	struct sd_cuda_gemm g = { .m = m, .n = n, .k = k, .a = b, .lda = trans_b ? k : m, .trans_a = trans_b, .b = a,
		.ldb = trans_a ? n : k, .trans_b = trans_a, .type = SD_CU_F32, .c = y, .ldc = m, .type_c = SD_CU_F32,
		.beta = beta };

	return sd_cuda_gemm(st, &g);
}

static int exec_linear(struct sd_cuda_step *st) /* x (N, I), w (O, I), b (O) */
{
	int n = shape(st, 0)->d[0], ni = shape(st, 0)->d[1], no = shape(st, 1)->d[0];

	sd_cu_bias_rows(&st->run, st->s->in[2].x == SD_NIL ? NULL : in(st, 2), n, no, out(st, 0));
	return product(st, n, no, ni, in(st, 0), 0, in(st, 1), 1, 1, out(st, 0));
}

static void exec_add_rows(struct sd_cuda_step *st)
{
	const float *x[SD_CU_ADD];
	size_t count = sd_shape_count(&st->p->g->val[st->n->out].shape);
	int i = 0, n, acc = 0;

	for (; i < st->s->nin; acc = 1) {
		for (n = 0; i < st->s->nin && n < SD_CU_ADD; i++)
			x[n++] = in(st, i);
		sd_cu_add_rows(&st->run, n, x, count, acc, out(st, 0));
	}
}

static void exec_bn_update(struct sd_cuda_step *st) /* rm, rv, nbt, mean, var */
{
	sd_cu_bn_update(&st->run, on(st), shape(st, 0)->d[0], in(st, 0), in(st, 1), in(st, 2), in(st, 3), in(st, 4),
		st->n->a.i[0], st->n->a.f[0]);
}

/* The scalar operand, or NULL where it was left out. */
static const float *optional(const struct sd_cuda_step *st, int i)
{
	return st->s->in[i].x == SD_NIL ? NULL : in(st, i);
}

static void exec_optimiser(struct sd_cuda_step *st)
{
	const struct sd_attr *a = &st->n->a;
	struct sd_cu_tensors counted; /* scratch grows with it, so a dry run must know too */
	const struct sd_cu_tensors *t = &counted;

	if (st->bound)
		t = &st->bound->tensors[st->index];
	else
		counted = sd_cuda_count_tensors(st);

	switch (st->n->op) {
	case SD_OP_GRAD_NORM:
		sd_cu_grad_norm(&st->run, t, out(st, 0));
		return;
	case SD_OP_SGD:
		sd_cu_sgd(&st->run, on(st), t, in(st, 0), optional(st, 1), a->f[0], a->f[1]);
		return;
	case SD_OP_SGD_AHEAD:
		sd_cu_sgd_ahead(&st->run, on(st), t, in(st, 0), optional(st, 1), a->f[0], a->f[1]);
		return;
	case SD_OP_ADAM:
		sd_cu_adam(&st->run, on(st), t, in(st, 0), in(st, 1), a->f[0], a->f[1], a->eps, a->f[2]);
		return;
	case SD_OP_PADAM:
		sd_cu_padam(&st->run, on(st), t, in(st, 0), in(st, 1), optional(st, 2), a->f[0], a->f[1], a->eps, a->f[2],
			a->f[3]);
		return;
	default:
		sd_cu_store(&st->run, on(st), t, a->f[0], optional(st, 0));
	}
}

int sd_cuda_exec_rows(struct sd_cuda_step *st)
{
	const struct sd_attr *a = &st->n->a;
	struct sd_cu_run *r = &st->run;
	const struct sd_shape *s0 = st->s->nin && st->s->in[0].x != SD_NIL ? shape(st, 0) : NULL;
	const struct sd_shape *s1 = st->s->nin > 1 && st->s->in[1].x != SD_NIL ? shape(st, 1) : NULL;
	const struct sd_shape *so = &st->p->g->val[st->n->out].shape;

	switch (st->n->op) {
	case SD_OP_FILL:
		sd_cu_fill_rows(r, a->f[0], out(st, 0), sd_shape_count(so));
		return 0;
	case SD_OP_ADD:
		exec_add_rows(st);
		return 0;
	case SD_OP_LINEAR:
		return exec_linear(st);
	case SD_OP_LINEAR_BWD_X: /* (N, O), (O, I) */
		return product(st, s0->d[0], s1->d[1], s1->d[0], in(st, 0), 0, in(st, 1), 0, 0, out(st, 0));
	case SD_OP_LINEAR_BWD_W: /* (N, I), (N, O) */
		return product(st, s1->d[1], s0->d[1], s0->d[0], in(st, 1), 1, in(st, 0), 0, 0, out(st, 0));
	case SD_OP_LINEAR_BWD_B:
		sd_cu_column_sum(r, in(st, 0), s0->d[0], s0->d[1], out(st, 0));
		return 0;
	case SD_OP_SOFTMAX:
		sd_cu_softmax(r, in(st, 0), s0->d[0], s0->d[1], out(st, 0));
		return 0;
	case SD_OP_SOFTMAX_BWD:
		sd_cu_softmax_bwd(r, in(st, 0), in(st, 1), s0->d[0], s0->d[1], out(st, 0));
		return 0;
	case SD_OP_MIX_FACTORS:
		sd_cu_mix_factors(r, in(st, 0), a->i[0], s0->d[1], a->i[1], out(st, 0));
		return 0;
	case SD_OP_MIX_FACTORS_BWD:
		sd_cu_mix_factors_bwd(r, in(st, 0), in(st, 1), so->d[0], a->i[0], so->d[1], a->i[1], out(st, 0));
		return 0;
	case SD_OP_ONEHOT:
		sd_cu_onehot(r, in(st, 0), a->i[0], out(st, 0), sd_shape_count(so));
		return 0;
	case SD_OP_XENT:
		sd_cu_xent(r, in(st, 0), in(st, 1), s0->d[0], s0->d[1], a->eps, out(st, 0));
		return 0;
	case SD_OP_XENT_BWD:
		sd_cu_xent_bwd(r, in(st, 0), in(st, 1), in(st, 2), s0->d[0], s0->d[1], a->eps, out(st, 0));
		return 0;
	case SD_OP_RANK:
		sd_cu_rank(r, in(st, 0), in(st, 1), s0->d[0], s0->d[1], out(st, 0));
		return 0;
	case SD_OP_ARGMAX:
		sd_cu_argmax(r, in(st, 0), s0->d[0], s0->d[1], out(st, 0));
		return 0;
	case SD_OP_MEAN:
		sd_cu_mean(r, in(st, 0), s0->d[0], out(st, 0));
		return 0;
	case SD_OP_MEAN_BWD:
		sd_cu_mean_bwd(r, in(st, 0), so->d[0], out(st, 0));
		return 0;
	case SD_OP_WSUM:
		sd_cu_wsum(r, in(st, 0), a->f[0], in(st, 1), a->f[1], sd_shape_count(so), out(st, 0));
		return 0;
	case SD_OP_DROP_MASK:
		sd_cu_drop_mask(r, a->key, in(st, 0), in(st, 1), in(st, 2), so->d[0], out(st, 0));
		return 0;
	case SD_OP_CLIP_COEF:
		sd_cu_clip_coef(r, in(st, 0), a->f[0], out(st, 0));
		return 0;
	case SD_OP_RATIO:
		sd_cu_ratio(r, in(st, 0), in(st, 1), out(st, 0));
		return 0;
	case SD_OP_FINITE:
		sd_cu_finite(r, in(st, 0), out(st, 0));
		return 0;
	case SD_OP_AXPY: /* y, s, x */
		sd_cu_axpy(r, optional(st, 0), a->f[0], in(st, 1), in(st, 2), sd_shape_count(so), out(st, 0));
		return 0;
	case SD_OP_BN_UPDATE:
		exec_bn_update(st);
		return 0;
	case SD_OP_GRAD_NORM: case SD_OP_SGD: case SD_OP_SGD_AHEAD: case SD_OP_ADAM: case SD_OP_PADAM:
	case SD_OP_STORE:
		exec_optimiser(st);
		return 0;
	case SD_OP_LOSS_SCALE:
		sd_cu_loss_scale(r, on(st), in(st, 0), in(st, 1), in(st, 2), a->i[0]);
		return 0;
	case SD_OP_METRICS:
		sd_cu_metrics(r, on(st), in(st, 0), in(st, 1), in(st, 2), s1->d[0]);
		return 0;
	default:
		return sd_error(SD_ERR_BUG, "the CUDA engine has no %s", sd_op_name(st->n->op));
	}
}

static int dispatch(struct sd_cuda_step *st)
{
	int rc = sd_cuda_exec_image(st);

	return rc < 0 ? -1 : rc ? 0 : sd_cuda_exec_rows(st);
}

/* What a predicate governs is computed all the same, and then chosen or left: in place where the op has the
 * result to itself, through scratch where it adds to what others made. */
static void choose(struct sd_cuda_step *st)
{
	const struct sd_graph *g = st->p->g;
	int i;

	for (i = 0; i < st->n->nout; i++) {
		sd_val v = st->n->out + i;

		if (sd_is_image(g, v)) {
			struct sd_cu_img x = sd_cuda_image(st, v);
			struct sd_cu_dst y = { x, 0 };

			sd_cu_select_image(&st->run, on(st), &x, &y);
		} else {
			sd_cu_select(&st->run, on(st), sd_cuda_rows(st, v),
				sd_shape_count(&g->val[v].shape) * sd_dtype_size(g->val[v].dtype) / sizeof(float));
		}
	}
}

/* An op under a predicate that adds to its result: what is there is kept aside, the op adds to zeros, and the sum
 * is made of what was chosen. */
static int add_chosen(struct sd_cuda_step *st)
{
	struct sd_cu_dst y = sd_cuda_result(st);
	struct sd_cu_src old = { .x = y.y };
	struct sd_cu_grad kept;
	struct sd_cu_dst aside = { sd_cuda_scratch_image(st, y.y.n, y.y.c, y.y.h, y.y.w), 0 };

	sd_cu_load(&st->run, &old, &aside);
	sd_cu_fill(&st->run, 0, &y.y);
	if (dispatch(st))
		return -1;
	choose(st);
	kept = (struct sd_cu_grad){ .g.x = aside.y };
	sd_cu_add(&st->run, 1, &kept, 0, NULL, &y);
	return 0;
}

int sd_cuda_exec(struct sd_cuda_step *st)
{
	const struct sd_step *s = st->s;
	int pair;

	if (st->n->pred == SD_NIL || sd_op_is_write(st->n->op)) {
		if (dispatch(st))
			return -1;
	} else if (s->accumulate) {
		if (add_chosen(st))
			return -1;
	} else {
		if (dispatch(st))
			return -1;
		choose(st);
	}
	/* partners that other kernels or engines run in the same pass */
	for (pair = s->pair; pair >= 0 && st->pairs_done; st->pairs_done--)
		pair = st->p->plan->step[pair].pair;
	if (pair < 0)
		return 0;
	st->index = pair;
	st->s = &st->p->plan->step[pair];
	st->n = &st->p->g->node[st->s->node];
	return sd_cuda_exec(st);
}
