/* optim.cu: the optimisers' steps and the norm of a gradient, for all tensors in one launch.  The plain C
 * beside which they are checked is lib/engine/cpu/k_optim.c; what is made of + * / sqrt and fused
 * multiply-add alone gives its very bits.
 *
 * A block has a chunk of one tensor.  A thread takes UNROLL elements at a time, all loads before any
 * store. */
#include "base/hd.h"
#include "kernels/device.h"

inline namespace optim_cu {

enum { THREADS = 256, UNROLL = 4 };

/* The elements of a block's chunk that the thread has: f(i, n) for UNROLL of them, i + k * THREADS with
 * k < n. */
template <typename F> __device__ inline void sweep(const sd_cu_tensor &t, const sd_cu_chunk &c, F f)
{
	long long end = c.first + SD_CU_CHUNK < t.count ? c.first + SD_CU_CHUNK : t.count;

	for (long long i = c.first + threadIdx.x; i < end; i += THREADS * UNROLL) {
		long long left = (end - i + THREADS - 1) / THREADS;

		f(i, left < UNROLL ? static_cast<int>(left) : UNROLL);
	}
}
__device__ inline void get(const float *p, long long i, int n, float v[UNROLL])
{
#pragma unroll
	for (int k = 0; k < UNROLL; k++)
		v[k] = k < n ? p[i + k * THREADS] : 0;
}
__device__ inline void put(float *p, long long i, int n, const float v[UNROLL])
{
#pragma unroll
	for (int k = 0; k < UNROLL; k++)
		if (k < n)
			p[i + k * THREADS] = v[k];
}

/* ---- the norm ---- */

__global__ void grad_norm_kernel(const sd_cu_tensors ts, double *part)
{
	__shared__ double shared[32];
	sd_cu_chunk c = ts.chunk[blockIdx.x];
	sd_cu_tensor t = ts.tensor[c.t];
	double sum = 0;

	sweep(t, c, [&](long long i, int n) {
		float g[UNROLL];

		get(t.g, i, n, g);
#pragma unroll
		for (int k = 0; k < UNROLL; k++)
			sum += (double)g[k] * g[k];
	});
	sum = sd::block_sum(sum, shared);
	if (threadIdx.x == 0)
		part[blockIdx.x] = sum;
}
__global__ void norm_end_kernel(const double *part, int n, float *out)
{
	__shared__ double shared[32];
	double sum = 0;

	for (int i = threadIdx.x; i < n; i += THREADS)
		sum += part[i];
	sum = sd::block_sum(sum, shared);
	if (threadIdx.x == 0)
		*out = (float)sqrt(sum);
}

/* ---- SGD ---- */

/* Ahead: the new p goes into u, and m stays. */
__global__ void sgd_kernel(const sd_cu_on on, const sd_cu_tensors ts, const float *lr, const float *coef,
	float momentum, float wd, int ahead)
{
	sd_cu_chunk c = ts.chunk[blockIdx.x];
	sd_cu_tensor t = ts.tensor[c.t];

	if (!sd::is_on(on))
		return;
	float step = -*lr, scale = coef ? *coef : 1;

	sweep(t, c, [&](long long i, int n) {
		float p[UNROLL], m[UNROLL], g[UNROLL];

		get(t.p, i, n, p);
		get(t.m, i, n, m);
		get(t.g, i, n, g);
#pragma unroll
		for (int k = 0; k < UNROLL; k++) {
			m[k] = fmaf(momentum, m[k], fmaf(wd, p[k], scale * g[k]));
			p[k] = fmaf(step, m[k], p[k]);
		}
		if (!ahead)
			put(t.m, i, n, m);
		put(ahead ? t.u : t.p, i, n, p);
	});
}

/* ---- Adam and Padam ---- */

/* What all elements of a step share. */
struct Step {
	float step;  /* what is added to p, but for the moments */
	float root;  /* sqrt(1 - beta2^t) */
};

/* b^n by squaring, as the CPU has it */
__device__ double power(double b, int n)
{
	double r = 1;

	for (; n; n >>= 1, b = sd_rn_mul(b, b))
		if (n & 1)
			r = sd_rn_mul(r, b);
	return r;
}

/* Counts the step and works out what its elements share; Padam puts the root into the step. */
__global__ void count_kernel(const sd_cu_on on, const float *lr, int32_t *count, float beta1, float beta2,
	int padam,
	Step *out)
{
	if (!sd::is_on(on))
		return;
	int t = ++*count;
	double c1 = sd_rn_add(1, -power(beta1, t)), root = sqrt(sd_rn_add(1, -power(beta2, t)));

	out->step = (float)((padam ? sd_rn_mul(-*lr, root) : -*lr) / c1);
	out->root = (float)root;
}

/* Kingma and Ba 2015, algorithm 1, in the order of PyTorch's torch.optim.Adam (k_optim.c) */
__global__ void adam_kernel(const sd_cu_on on, const sd_cu_tensors ts, const Step *shared, float beta1,
	float beta2,
	float eps, float wd)
{
	sd_cu_chunk c = ts.chunk[blockIdx.x];
	sd_cu_tensor t = ts.tensor[c.t];
	float b1c = 1 - beta1, b2c = 1 - beta2;

	if (!sd::is_on(on))
		return;
	Step s = *shared;

	sweep(t, c, [&](long long i, int n) {
		float p[UNROLL], m[UNROLL], v[UNROLL], g[UNROLL];

		get(t.p, i, n, p);
		get(t.m, i, n, m);
		get(t.v, i, n, v);
		get(t.g, i, n, g);
#pragma unroll
		for (int k = 0; k < UNROLL; k++) {
			float d = fmaf(wd, p[k], g[k]);

			m[k] = fmaf(beta1, m[k], b1c * d);
			v[k] = fmaf(beta2, v[k], b2c * (d * d));
			p[k] = fmaf(s.step, m[k] / (sqrtf(v[k]) / s.root + eps), p[k]);
		}
		put(t.m, i, n, m);
		put(t.v, i, n, v);
		put(t.p, i, n, p);
	});
}

/* The power x^(2 partial) is exp(2 partial log(x)): eps keeps x off 0. */
__global__ void padam_kernel(const sd_cu_on on, const sd_cu_tensors ts, const Step *shared, const float *coef,
	float beta1, float beta2, float eps, float wd, float partial)
{
	sd_cu_chunk c = ts.chunk[blockIdx.x];
	sd_cu_tensor t = ts.tensor[c.t];
	float b1c = 1 - beta1, b2c = 1 - beta2;

	if (!sd::is_on(on))
		return;
	Step s = *shared;
	float scale = coef ? *coef : 1;

	sweep(t, c, [&](long long i, int n) {
		float p[UNROLL], m[UNROLL], v[UNROLL], u[UNROLL], g[UNROLL];

		get(t.p, i, n, p);
		get(t.m, i, n, m);
		get(t.v, i, n, v);
		get(t.u, i, n, u);
		get(t.g, i, n, g);
#pragma unroll
		for (int k = 0; k < UNROLL; k++) {
			float d = fmaf(wd, p[k], scale * g[k]);

			m[k] = fmaf(beta1, m[k], b1c * d);
			v[k] = fmaf(beta2, v[k], b2c * (d * d));
			u[k] = u[k] > v[k] ? u[k] : v[k];
			d = expf(2 * partial * logf(sqrtf(u[k]) + eps));
			p[k] = fmaf(s.step, m[k] / d, p[k]);
		}
		put(t.m, i, n, m);
		put(t.v, i, n, v);
		put(t.u, i, n, u);
		put(t.p, i, n, p);
	});
}

/* ---- storing ---- */

__global__ void store_kernel(const sd_cu_on on, const sd_cu_tensors ts, float f, const float *s)
{
	sd_cu_chunk c = ts.chunk[blockIdx.x];
	sd_cu_tensor t = ts.tensor[c.t];

	if (!sd::is_on(on))
		return;
	float scale = s ? f * *s : f;

	sweep(t, c, [&](long long i, int n) {
		float p[UNROLL], g[UNROLL];

		get(t.base, i, n, p);
		if (t.g) {
			get(t.g, i, n, g);
#pragma unroll
			for (int k = 0; k < UNROLL; k++)
				p[k] = fmaf(scale, g[k], p[k]);
		}
		put(t.p, i, n, p);
	});
}

} /* namespace optim_cu */

void sd_cu_grad_norm(struct sd_cu_run *r, const struct sd_cu_tensors *t, float *out)
{
	double *part = static_cast<double *>(sd_cu_take(r, (size_t)t->nchunk * sizeof(*part)));

	SD_LAUNCH(r, grad_norm_kernel, t->nchunk, THREADS, 0, *t, part);
	SD_LAUNCH(r, norm_end_kernel, 1, THREADS, 0, part, t->nchunk, out);
}

void sd_cu_sgd(struct sd_cu_run *r, struct sd_cu_on on, const struct sd_cu_tensors *t, const float *lr,
	const float *coef, float momentum, float wd)
{
	SD_LAUNCH(r, sgd_kernel, t->nchunk, THREADS, 0, on, *t, lr, coef, momentum, wd, 0);
}

void sd_cu_sgd_ahead(struct sd_cu_run *r, struct sd_cu_on on, const struct sd_cu_tensors *t, const float *lr,
	const float *coef, float momentum, float wd)
{
	SD_LAUNCH(r, sgd_kernel, t->nchunk, THREADS, 0, on, *t, lr, coef, momentum, wd, 1);
}

void sd_cu_adam(struct sd_cu_run *r, struct sd_cu_on on, const struct sd_cu_tensors *t, const float *lr,
	int32_t *step, float beta1, float beta2, float eps, float wd)
{
	Step *s = static_cast<Step *>(sd_cu_take(r, sizeof(*s)));

	SD_LAUNCH(r, count_kernel, 1, 1, 0, on, lr, step, beta1, beta2, 0, s);
	SD_LAUNCH(r, adam_kernel, t->nchunk, THREADS, 0, on, *t, s, beta1, beta2, eps, wd);
}

void sd_cu_padam(struct sd_cu_run *r, struct sd_cu_on on, const struct sd_cu_tensors *t, const float *lr,
	int32_t *step, const float *coef, float beta1, float beta2, float eps, float wd, float partial)
{
	Step *s = static_cast<Step *>(sd_cu_take(r, sizeof(*s)));

	SD_LAUNCH(r, count_kernel, 1, 1, 0, on, lr, step, beta1, beta2, 1, s);
	SD_LAUNCH(r, padam_kernel, t->nchunk, THREADS, 0, on, *t, s, coef, beta1, beta2, eps, wd, partial);
}

void sd_cu_store(struct sd_cu_run *r, struct sd_cu_on on, const struct sd_cu_tensors *t, float f,
	const float *s)
{
	SD_LAUNCH(r, store_kernel, t->nchunk, THREADS, 0, on, *t, f, s);
}
