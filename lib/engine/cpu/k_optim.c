/* k_optim.c: the optimisers' steps, the norm of a gradient and y + k x, for all tensors in one call.
 *
 * A task is a piece of one tensor; tensors are rows of floats without padding. */
#include "engine/cpu/chunk.h"

#define PIECE 16384

struct optim {
	int n;
	float *const *p, *const *m, *const *v, *const *u; /* p of sgd_ahead and axpy: what is written */
	const float *const *g, *const *from, *const *with; /* what is only read */
	const size_t *count;
	int *first;  /* [n + 1]: the first task of each tensor */
	double *sum; /* [task] */
	v16 f[7];    /* factors, in all lanes */
};

/* Fills c->first, in scratch 0; the sums lie behind it.  Returns the number of tasks. */
static int optim_cut(struct optim *c, struct sd_par *par)
{
	size_t head = ((c->n + 1) * sizeof(int) + 15) & ~(size_t)15, pieces = 0;
	char *mem;

	for (int i = 0; i < c->n; i++)
		pieces += (c->count[i] + PIECE - 1) / PIECE;
	mem = sd_par_scratch(par, 0, head + pieces * sizeof(double));
	c->first = (int *)mem;
	c->sum = (double *)(mem + head);
	c->first[0] = 0;
	for (int i = 0; i < c->n; i++)
		c->first[i + 1] = c->first[i] + (int)((c->count[i] + PIECE - 1) / PIECE);
	return c->first[c->n];
}

/* The tensor of a task; *from and *end are its elements. */
static int optim_piece(const struct optim *c, int task, size_t *from, size_t *end)
{
	int lo = 0, hi = c->n; /* first[lo] <= task < first[hi] */

	while (hi - lo > 1) {
		int mid = (lo + hi) / 2;

		if (c->first[mid] <= task)
			lo = mid;
		else
			hi = mid;
	}
	*from = (size_t)(task - c->first[lo]) * PIECE;
	*end = c->count[lo] - *from < PIECE ? c->count[lo] : *from + PIECE;
	return lo;
}

/* A block, or what is left of a tensor. */
SD_INLINE v16 get(const float *p, int n)
{
	return n == 16 ? v16_load(p) : v16_load_n(p, n);
}
SD_INLINE void put(float *p, v16 v, int n)
{
	if (n == 16)
		v16_store(p, v);
	else
		v16_store_n(p, v, n);
}
SD_INLINE int lanes_left(size_t i, size_t end)
{
	return end - i < 16 ? (int)(end - i) : 16;
}

static void grad_norm_task(void *ctx, int task, int thread)
{
	const struct optim *c = ctx;
	size_t i, end;
	int t = optim_piece(c, task, &i, &end);
	v16d s[2] = { v16d_zero(), v16d_zero() };

	(void)thread;
	for (int j = 0; i < end; i += 16, j ^= 1) {
		v16d g = v16d_from(get(c->g[t] + i, lanes_left(i, end)));

		s[j] = v16d_add(s[j], v16d_mul(g, g));
	}
	c->sum[task] = v16d_sum_halves(v16d_add(s[0], s[1]));
}

static void grad_norm(struct sd_par *par, int n, const float *const *g, const size_t *count, float *out)
{
	struct optim c = { .n = n, .g = g, .count = count };
	int tasks = optim_cut(&c, par);
	double s = 0;

	sd_par_run(par, tasks, grad_norm_task, &c);
	for (int i = 0; i < tasks; i++)
		s += c.sum[i];
	*out = (float)sqrt(s);
}

/* d = coef g + wd p; m = momentum m + d; p = p - lr m.  *m is the new momentum, the result the new p. */
SD_INLINE v16 sgd_block(const struct optim *c, v16 p, v16 g, v16 *m)
{
	v16 lr = c->f[0], coef = c->f[1], momentum = c->f[2], wd = c->f[3];

	*m = v16_fma(momentum, *m, v16_fma(wd, p, v16_mul(coef, g)));
	return v16_fma(lr, *m, p);
}

static void sgd_task(void *ctx, int task, int thread)
{
	const struct optim *c = ctx;
	size_t i, end;
	int t = optim_piece(c, task, &i, &end);

	(void)thread;
	for (; i < end; i += 16) {
		int k = lanes_left(i, end);
		v16 m = get(c->m[t] + i, k), p = sgd_block(c, get(c->p[t] + i, k), get(c->g[t] + i, k), &m);

		put(c->m[t] + i, m, k);
		put(c->p[t] + i, p, k);
	}
}

static void sgd(struct sd_par *par, int n, float *const *p, float *const *m, const float *const *g,
	const size_t *count, float lr, float coef, float momentum, float wd)
{
	struct optim c = { .n = n, .p = p, .m = m, .g = g, .count = count,
		.f = { v16_set1(-lr), v16_set1(coef), v16_set1(momentum), v16_set1(wd) } };

	sd_par_run(par, optim_cut(&c, par), sgd_task, &c);
}

static void sgd_ahead_task(void *ctx, int task, int thread)
{
	const struct optim *c = ctx;
	size_t i, end;
	int t = optim_piece(c, task, &i, &end);

	(void)thread;
	for (; i < end; i += 16) {
		int k = lanes_left(i, end);
		v16 m = get(c->with[t] + i, k);

		put(c->p[t] + i, sgd_block(c, get(c->from[t] + i, k), get(c->g[t] + i, k), &m), k);
	}
}

static void sgd_ahead(struct sd_par *par, int n, float *const *ahead, const float *const *p,
	const float *const *m, const float *const *g, const size_t *count, float lr, float coef,
	float momentum, float wd)
{
	struct optim c = { .n = n, .p = ahead, .from = p, .with = m, .g = g, .count = count,
		.f = { v16_set1(-lr), v16_set1(coef), v16_set1(momentum), v16_set1(wd) } };

	sd_par_run(par, optim_cut(&c, par), sgd_ahead_task, &c);
}

static void axpy_task(void *ctx, int task, int thread)
{
	const struct optim *c = ctx;
	size_t i, end;
	int t = optim_piece(c, task, &i, &end);

	(void)thread;
	for (; i < end; i += 16) {
		int k = lanes_left(i, end);
		v16 y;

		if (!c->with)
			y = get(c->from[t] + i, k);
		else if (!c->from)
			y = v16_mul(c->f[0], get(c->with[t] + i, k));
		else
			y = v16_fma(c->f[0], get(c->with[t] + i, k), get(c->from[t] + i, k));
		put(c->p[t] + i, y, k);
	}
}

static void axpy(struct sd_par *par, int n, float *const *dst, const float *const *y, const float *const *x,
	const size_t *count, float k)
{
	struct optim c = { .n = n, .p = dst, .from = y, .with = x, .count = count, .f = { v16_set1(k) } };

	sd_par_run(par, optim_cut(&c, par), axpy_task, &c);
}

/* b^n by squaring: libm's pow may differ from one library to the next. */
static double power(double b, int n)
{
	double r = 1;

	for (; n; n >>= 1, b *= b)
		if (n & 1)
			r *= b;
	return r;
}

/* Kingma and Ba 2015, algorithm 1, in the order of PyTorch's torch.optim.Adam:
 * d = g + wd p; m = beta1 m + (1 - beta1) d; v = beta2 v + (1 - beta2) d d;
 * p = p - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps) */
static void adam_task(void *ctx, int task, int thread)
{
	const struct optim *c = ctx;
	size_t i, end;
	int t = optim_piece(c, task, &i, &end);
	v16 wd = c->f[0], b1 = c->f[1], b2 = c->f[2], root = c->f[3], eps = c->f[4], step = c->f[5];
	v16 one = v16_set1(1), b1c = v16_sub(one, b1), b2c = v16_sub(one, b2);

	(void)thread;
	for (; i < end; i += 16) {
		int k = lanes_left(i, end);
		v16 p = get(c->p[t] + i, k), m = get(c->m[t] + i, k), v = get(c->v[t] + i, k);
		v16 d = v16_fma(wd, p, get(c->g[t] + i, k));

		m = v16_fma(b1, m, v16_mul(b1c, d));
		v = v16_fma(b2, v, v16_mul(b2c, v16_mul(d, d)));
		put(c->m[t] + i, m, k);
		put(c->v[t] + i, v, k);
		p = v16_fma(step, v16_div(m, v16_add(v16_div(v16_sqrt(v), root), eps)), p);
		put(c->p[t] + i, p, k);
	}
}

static void adam(struct sd_par *par, int n, float *const *p, float *const *m, float *const *v,
	const float *const *g, const size_t *count, float lr, int step, float beta1, float beta2, float eps,
	float wd)
{
	double c1 = 1 - power(beta1, step), c2 = 1 - power(beta2, step);
	struct optim c = { .n = n, .p = p, .m = m, .v = v, .g = g, .count = count,
		.f = { v16_set1(wd), v16_set1(beta1), v16_set1(beta2), v16_set1((float)sqrt(c2)),
			v16_set1(eps), v16_set1((float)(-lr / c1)) } };

	sd_par_run(par, optim_cut(&c, par), adam_task, &c);
}

/* As sd_padam says (graph.h).  The power x^(2 partial) is exp(2 partial log(x)): eps keeps x off 0. */
static void padam_task(void *ctx, int task, int thread)
{
	const struct optim *c = ctx;
	size_t i, end;
	int t = optim_piece(c, task, &i, &end);
	v16 wd = c->f[0], b1 = c->f[1], b2 = c->f[2], coef = c->f[3], eps = c->f[4], step = c->f[5];
	v16 exponent = c->f[6], one = v16_set1(1), b1c = v16_sub(one, b1), b2c = v16_sub(one, b2);

	(void)thread;
	for (; i < end; i += 16) {
		int k = lanes_left(i, end);
		v16 p = get(c->p[t] + i, k), m = get(c->m[t] + i, k), v = get(c->v[t] + i, k);
		v16 u = get(c->u[t] + i, k), d = v16_fma(wd, p, v16_mul(coef, get(c->g[t] + i, k)));

		m = v16_fma(b1, m, v16_mul(b1c, d));
		v = v16_fma(b2, v, v16_mul(b2c, v16_mul(d, d)));
		u = v16_max(u, v);
		put(c->m[t] + i, m, k);
		put(c->v[t] + i, v, k);
		put(c->u[t] + i, u, k);
		d = v16_exp(v16_mul(exponent, v16_log(v16_add(v16_sqrt(u), eps))));
		put(c->p[t] + i, v16_fma(step, v16_div(m, d), p), k);
	}
}

static void padam(struct sd_par *par, int n, float *const *p, float *const *m, float *const *v,
	float *const *u, const float *const *g, const size_t *count, float lr, int step, float coef,
	float beta1, float beta2, float eps, float wd, float partial)
{
	double c1 = 1 - power(beta1, step), c2 = 1 - power(beta2, step);
	struct optim c = { .n = n, .p = p, .m = m, .v = v, .u = u, .g = g, .count = count,
		.f = { v16_set1(wd), v16_set1(beta1), v16_set1(beta2), v16_set1(coef), v16_set1(eps),
			v16_set1((float)(-lr * sqrt(c2) / c1)), v16_set1(2 * partial) } };

	sd_par_run(par, optim_cut(&c, par), padam_task, &c);
}

void SD_K(optim)(struct sd_kernels *k)
{
	k->grad_norm = grad_norm;
	k->sgd = sgd;
	k->sgd_ahead = sgd_ahead;
	k->axpy = axpy;
	k->adam = adam;
	k->padam = padam;
}
