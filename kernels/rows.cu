/* rows.cu: float32 matrices and vectors: softmax, cross entropy and the small things around a mixed edge
 * and a loss.
 *
 * A row belongs to one warp: lane l takes elements l, l + 32, ... in order and the lanes are added in a
 * butterfly, sums in double.  So a row's result depends on that row alone. */
#include "base/philox.h"
#include "kernels/group.h"

inline namespace rows_cu {

enum { THREADS = 256, WARPS = 4 };

unsigned vector_blocks(size_t count)
{
	return sd::blocks_for(count, THREADS);
}
__device__ inline size_t vector_at()
{
	return blockIdx.x * (size_t)THREADS + threadIdx.x;
}
__device__ inline size_t vector_step()
{
	return gridDim.x * (size_t)THREADS;
}

/* The row of a warp of a block of WARPS; one behind the last has nothing to do. */
unsigned row_blocks(int n)
{
	return sd::blocks_for(n, WARPS);
}
__device__ inline int warp_row()
{
	return blockIdx.x * WARPS + threadIdx.x / 32;
}
__device__ inline int warp_lane()
{
	return threadIdx.x % 32;
}

__device__ inline float warp_max(float v)
{
	for (int d = 16; d > 0; d /= 2)
		v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, d));
	return v;
}

/* The maximum; a NaN may get lost, but not in the sum of exponentials. */
__device__ float row_max(const float *x, int k)
{
	float m = x[0];

	for (int i = warp_lane(); i < k; i += 32)
		m = fmaxf(m, x[i]);
	return warp_max(m);
}
__device__ double row_exp_sum(const float *x, int k, float m)
{
	double s = 0;

	for (int i = warp_lane(); i < k; i += 32)
		s += expf(x[i] - m);
	return sd::warp_sum(s);
}
__device__ double row_sum(const float *x, int k)
{
	double s = 0;

	for (int i = warp_lane(); i < k; i += 32)
		s += x[i];
	return sd::warp_sum(s);
}

/* ---- softmax and cross entropy ---- */

__global__ void softmax_kernel(const float *x, int n, int k, float *y)
{
	int r = warp_row();

	if (r >= n)
		return;
	x += (size_t)r * k;
	y += (size_t)r * k;
	float m = row_max(x, k), s = (float)row_exp_sum(x, k, m);

	for (int i = warp_lane(); i < k; i += 32)
		y[i] = expf(x[i] - m) / s;
}

/* gx = y (gy - sum of y gy) */
__global__ void softmax_bwd_kernel(const float *y, const float *gy, int n, int k, float *gx)
{
	int r = warp_row();
	double s = 0;

	if (r >= n)
		return;
	y += (size_t)r * k;
	gy += (size_t)r * k;
	gx += (size_t)r * k;
	for (int i = warp_lane(); i < k; i += 32)
		s += (double)y[i] * gy[i];
	s = sd::warp_sum(s);
	for (int i = warp_lane(); i < k; i += 32)
		gx[i] = (float)(y[i] * (gy[i] - s));
}

/* With l = log sum exp x: (1 - s) (l - x[label]) + s (l - mean x).  A label outside [0, k) gives NaN. */
__global__ void xent_kernel(const float *logits, const int32_t *label, int n, int k, float smoothing,
	float *loss)
{
	int r = warp_row();

	if (r >= n)
		return;
	logits += (size_t)r * k;
	float m = row_max(logits, k);
	double l = (double)logf((float)row_exp_sum(logits, k, m)) + m, s = smoothing;
	double mean = smoothing != 0 ? row_sum(logits, k) / k : 0;

	if (warp_lane() == 0) {
		int c = label[r];

		if (c < 0 || c >= k)
			loss[r] = NAN;
		else
			loss[r] = (float)((1 - s) * (l - logits[c]) + (smoothing != 0 ? s * (l - mean) : 0));
	}
}

/* gloss (softmax(x) - (1 - s) onehot - s / k) */
__global__ void xent_bwd_kernel(const float *logits, const int32_t *label, const float *gloss, int n, int k,
	float smoothing, float *gx)
{
	int r = warp_row();

	if (r >= n)
		return;
	logits += (size_t)r * k;
	gx += (size_t)r * k;
	int c = label[r], in = c >= 0 && c < k;
	float m = row_max(logits, k);
	double sum = row_exp_sum(logits, k, m), each = (double)smoothing / k, g = in ? gloss[r] : NAN;

	for (int i = warp_lane(); i < k; i += 32) {
		double p = expf(logits[i] - m) / sum - each;

		gx[i] = (float)(g * (i == c ? p - (1 - (double)smoothing) : p));
	}
}

/* A class that cannot be compared with the label's comes before it: NaN never counts as a hit. */
__global__ void rank_kernel(const float *logits, const int32_t *label, int n, int k, int32_t *out)
{
	int r = warp_row(), before = 0;

	if (r >= n)
		return;
	logits += (size_t)r * k;
	int c = label[r], in = c >= 0 && c < k;

	for (int j = warp_lane(); in && j < k; j += 32)
		before += j != c && (!(logits[j] <= logits[c]) || (logits[j] == logits[c] && j < c));
	before = sd::warp_sum(before);
	if (warp_lane() == 0)
		out[r] = in ? before : k;
}

/* Whether a at i comes before b at j in the search for the first NaN, or else the first maximum. */
__device__ inline bool leads(float a, int i, float b, int j)
{
	bool na = a != a, nb = b != b;

	if (na || nb)
		return na && (!nb || i < j);
	return a > b || (a == b && i < j);
}
__global__ void argmax_kernel(const float *logits, int n, int k, int32_t *out)
{
	int r = warp_row(), best = 0;

	if (r >= n)
		return;
	logits += (size_t)r * k;
	float value = logits[0];

	for (int j = warp_lane(); j < k; j += 32)
		if (leads(logits[j], j, value, best)) {
			value = logits[j];
			best = j;
		}
	for (int d = 16; d > 0; d /= 2) {
		float other = __shfl_xor_sync(0xffffffffu, value, d);
		int at = __shfl_xor_sync(0xffffffffu, best, d);

		if (leads(other, at, value, best)) {
			value = other;
			best = at;
		}
	}
	if (warp_lane() == 0)
		out[r] = best;
}

/* ---- a mixed edge's factors: a few numbers, so each thread looks at all of them ---- */

__device__ inline float row_most(const float *w, int k)
{
	float m = w[0];

	for (int i = 1; i < k; i++)
		m = w[i] > m ? w[i] : m;
	return m;
}

struct Factors {
	const float *w, *gf;
	int rows, row, k, weighting;
	float *to;
};
__global__ void mix_factors_kernel(SD_MEMBERS(Factors) group)
{
	SD_MEMBER(group, d);
	const float *w = d.w + (size_t)d.row * d.k;
	float m = row_most(w, d.k);

	for (int i = threadIdx.x; i < d.k; i += 32)
		d.to[i] = d.weighting == SD_MAX_W ? 1 - m + w[i] : w[i];
}

/* The maximum's gradient, minus the sum of all, is shared equally by those that are the maximum. */
__global__ void mix_factors_bwd_kernel(SD_MEMBERS(Factors) group)
{
	SD_MEMBER(group, d);
	const float *w = d.w + (size_t)d.row * d.k;
	int at = vector_at(), i = at - d.row * d.k, ties = 0;
	double sum = 0;

	if (at >= d.rows * d.k)
		return;
	if (i < 0 || i >= d.k) {
		d.to[at] = 0;
		return;
	}
	float m = row_most(w, d.k);

	for (int j = 0; j < d.k; j++) {
		sum += d.gf[j];
		ties += w[j] == m;
	}
	d.to[at] = d.weighting == SD_MAX_W && w[i] == m ? (float)(d.gf[i] - sum / ties) : d.gf[i];
}

/* ---- vectors ---- */

__global__ void fill_kernel(float value, float *y, size_t count)
{
	for (size_t i = vector_at(); i < count; i += vector_step())
		y[i] = value;
}

__global__ void bias_kernel(const float *b, size_t count, int c, float *y)
{
	for (size_t i = vector_at(); i < count; i += vector_step())
		y[i] = b ? b[i % c] : 0;
}

/* A thread sums a column, in order. */
__global__ void column_sum_kernel(const float *g, int n, int c, float *y)
{
	int j = vector_at();
	double s = 0;

	if (j >= c)
		return;
	for (int i = 0; i < n; i++)
		s += g[(size_t)i * c + j];
	y[j] = (float)s;
}

__global__ void onehot_kernel(const float *x, size_t at, float *y, size_t count)
{
	for (size_t i = vector_at(); i < count; i += vector_step())
		y[i] = i == at ? x[0] : 0;
}

__global__ void mean_kernel(const float *x, int n, float *out)
{
	__shared__ double shared[32];
	double s = 0;

	for (int i = threadIdx.x; i < n; i += THREADS)
		s += x[i];
	s = sd::block_sum(s, shared);
	if (threadIdx.x == 0)
		*out = (float)(s / n);
}

__global__ void mean_bwd_kernel(const float *g, int n, float *gx)
{
	int i = vector_at();

	if (i < n)
		gx[i] = g[0] / (float)n;
}

__global__ void wsum_kernel(const float *a, float fa, const float *b, float fb, size_t count, float *out)
{
	for (size_t i = vector_at(); i < count; i += vector_step())
		out[i] = fmaf(fa, a[i], b ? fb * b[i] : 0.0f);
}

struct AddRows {
	const float *x[SD_CU_ADD];
	int n, acc;
	unsigned blocks;
	size_t count;
	float *y;
};
__global__ void add_kernel(SD_MEMBERS(AddRows) group)
{
	SD_MEMBER(group, d);
	for (size_t i = vector_at(); i < d.count; i += static_cast<size_t>(d.blocks) * THREADS) {
		float s = d.acc ? d.y[i] + d.x[0][i] : d.x[0][i];

		for (int k = 1; k < d.n; k++)
			s += d.x[k][i];
		d.y[i] = s;
	}
}

/* y + k x, or k x; k = f s rounded, or f without s */
__global__ void axpy_kernel(const float *y, float f, const float *s, const float *x, size_t count, float *out)
{
	float k = s ? f * *s : f;

	for (size_t i = vector_at(); i < count; i += vector_step())
		out[i] = y ? fmaf(k, x[i], y[i]) : k * x[i];
}

/* ---- for any op: what is not finite, what a predicate chooses, other types ---- */

__global__ void not_finite_kernel(const float *x, size_t count, int32_t *out)
{
	for (size_t i = vector_at(); i < count; i += vector_step())
		if (!isfinite(x[i]))
			*out = 1;
}

__global__ void select_kernel(const sd_cu_on on, float *y, size_t count)
{
	if (sd::is_on(on))
		return;
	for (size_t i = vector_at(); i < count; i += vector_step())
		y[i] = 0;
}

template <typename T> __global__ void cast_kernel(const float *x, size_t count, T *y)
{
	for (size_t i = vector_at(); i < count; i += vector_step())
		y[i] = sd::from_float<T>(x[i]);
}
template <typename T> void launch_cast(sd_cu_run *r, const float *x, size_t count, void *y)
{
	SD_LAUNCH(r, cast_kernel<T>, vector_blocks(count), THREADS, 0, x, count,
		static_cast<T *>(y));
}

/* ---- draws and scalars ---- */

struct DropMask {
	struct sd_rng_key key;
	const float *p;
	const int32_t *step, *ids;
	float *y;
	int n;
};
__global__ void drop_mask_kernel(SD_MEMBERS(DropMask) group)
{
	SD_MEMBER(group, d);
	int i = vector_at();
	float keep = 1 - d.p[0];

	if (i < d.n)
		d.y[i] = sd_rng_unit(sd_rng_word(d.key, (uint32_t)d.step[0], (uint32_t)d.ids[i], 0, 0)) < keep
			? 1 / keep : 0;
}

__global__ void clip_coef_kernel(const float *norm, float max_norm, float *out)
{
	float c = max_norm / (norm[0] + 1e-6f);

	out[0] = c < 1 ? c : 1;
}

__global__ void ratio_kernel(const float *a, const float *b, float *out)
{
	out[0] = a[0] / b[0];
}

__global__ void finite_kernel(const float *a, int32_t *out)
{
	out[0] = isfinite(a[0]) ? 1 : 0;
}

__global__ void loss_scale_kernel(const sd_cu_on on, float *scale, int32_t *good, const int32_t *ok, int window)
{
	const float most = 16777216;

	if (!sd::is_on(on))
		return;
	if (!ok[0]) {
		scale[0] = scale[0] > 1 ? scale[0] / 2 : 1;
		good[0] = 0;
	} else if (++good[0] >= window) {
		scale[0] = scale[0] < most ? scale[0] * 2 : most;
		good[0] = 0;
	}
}

/* One warp: it reads 32 rows at once, and each lane adds all of them in order. */
__global__ void metrics_kernel(const sd_cu_on on, double *sums, const float *loss, const int32_t *rank, int n)
{
	double sum = sums[0], first = sums[1], five = sums[2], bad = sums[4];

	if (!sd::is_on(on))
		return;
	for (int at = 0; at < n; at += 32) {
		int i = at + threadIdx.x, left = n - at < 32 ? n - at : 32;
		float l = i < n ? loss[i] : 0;
		int k = i < n ? rank[i] : 0;

		for (int j = 0; j < 32; j++) {
			float lj = __shfl_sync(0xffffffffu, l, j);
			int kj = __shfl_sync(0xffffffffu, k, j);

			if (j >= left)
				continue;
			sum += lj;
			first += kj < 1;
			five += kj < 5;
			bad += !isfinite(lj);
		}
	}
	if (threadIdx.x == 0) {
		sums[0] = sum;
		sums[1] = first;
		sums[2] = five;
		sums[3] += n;
		sums[4] = bad;
	}
}

} /* namespace rows_cu */

void sd_cu_softmax(struct sd_cu_run *r, const float *x, int n, int k, float *y)
{
	SD_LAUNCH(r, softmax_kernel, row_blocks(n), 32 * WARPS, 0, x, n, k, y);
}

void sd_cu_softmax_bwd(struct sd_cu_run *r, const float *y, const float *gy, int n, int k, float *gx)
{
	SD_LAUNCH(r, softmax_bwd_kernel, row_blocks(n), 32 * WARPS, 0, y, gy, n, k, gx);
}

void sd_cu_xent(struct sd_cu_run *r, const float *logits, const int32_t *label, int n, int k, float smoothing,
	float *loss)
{
	SD_LAUNCH(r, xent_kernel, row_blocks(n), 32 * WARPS, 0, logits, label, n, k, smoothing, loss);
}

void sd_cu_xent_bwd(struct sd_cu_run *r, const float *logits, const int32_t *label, const float *gloss, int n,
	int k, float smoothing, float *gx)
{
	SD_LAUNCH(r, xent_bwd_kernel, row_blocks(n), 32 * WARPS, 0, logits, label, gloss, n, k, smoothing, gx);
}

void sd_cu_rank(struct sd_cu_run *r, const float *logits, const int32_t *label, int n, int k, int32_t *out)
{
	SD_LAUNCH(r, rank_kernel, row_blocks(n), 32 * WARPS, 0, logits, label, n, k, out);
}

void sd_cu_argmax(struct sd_cu_run *r, const float *logits, int n, int k, int32_t *out)
{
	SD_LAUNCH(r, argmax_kernel, row_blocks(n), 32 * WARPS, 0, logits, n, k, out);
}

void sd_cu_mix_factors(struct sd_cu_run *r, const float *w, int row, int k, int weighting, float *f)
{
	SD_GROUP(r, mix_factors_kernel, 1, 32, (Factors{ w, nullptr, row + 1, row, k, weighting, f }));
}

void sd_cu_mix_factors_bwd(struct sd_cu_run *r, const float *w, const float *gf, int rows, int row, int k,
	int weighting, float *gw)
{
	SD_GROUP(r, mix_factors_bwd_kernel, vector_blocks((size_t)rows * k), THREADS,
		(Factors{ w, gf, rows, row, k, weighting, gw }));
}

void sd_cu_fill_rows(struct sd_cu_run *r, float value, float *y, size_t count)
{
	SD_LAUNCH(r, fill_kernel, vector_blocks(count), THREADS, 0, value, y, count);
}

void sd_cu_bias_rows(struct sd_cu_run *r, const float *b, int n, int c, float *y)
{
	size_t count = (size_t)n * c;

	SD_LAUNCH(r, bias_kernel, vector_blocks(count), THREADS, 0, b, count, c, y);
}

void sd_cu_column_sum(struct sd_cu_run *r, const float *g, int n, int c, float *y)
{
	SD_LAUNCH(r, column_sum_kernel, vector_blocks(c), THREADS, 0, g, n, c, y);
}

void sd_cu_onehot(struct sd_cu_run *r, const float *x, int at, float *y, size_t count)
{
	SD_LAUNCH(r, onehot_kernel, vector_blocks(count), THREADS, 0, x, (size_t)at, y, count);
}

void sd_cu_mean(struct sd_cu_run *r, const float *x, int n, float *out)
{
	SD_LAUNCH(r, mean_kernel, 1, THREADS, 0, x, n, out);
}

void sd_cu_mean_bwd(struct sd_cu_run *r, const float *g, int n, float *gx)
{
	SD_LAUNCH(r, mean_bwd_kernel, vector_blocks(n), THREADS, 0, g, n, gx);
}

void sd_cu_wsum(struct sd_cu_run *r, const float *a, float fa, const float *b, float fb, size_t count,
	float *out)
{
	SD_LAUNCH(r, wsum_kernel, vector_blocks(count), THREADS, 0, a, fa, b, fb, count, out);
}

void sd_cu_add_rows(struct sd_cu_run *r, int n, const float *const *x, size_t count, int acc, float *y)
{
	AddRows d = { {}, n, acc, vector_blocks(count), count, y };

	for (int i = 0; i < n; i++)
		d.x[i] = x[i];
	SD_GROUP(r, add_kernel, d.blocks, THREADS, d);
}

void sd_cu_axpy(struct sd_cu_run *r, const float *y, float f, const float *s, const float *x, size_t count,
	float *out)
{
	SD_LAUNCH(r, axpy_kernel, vector_blocks(count), THREADS, 0, y, f, s, x, count, out);
}

void sd_cu_drop_mask(struct sd_cu_run *r, const uint32_t key[2], const float *p, const int32_t *step,
	const int32_t *ids, int n, float *y)
{
	struct sd_rng_key k = { { key[0], key[1] } };

	SD_GROUP(r, drop_mask_kernel, vector_blocks(n), THREADS, (DropMask{ k, p, step, ids, y, n }));
}

void sd_cu_clip_coef(struct sd_cu_run *r, const float *norm, float max_norm, float *out)
{
	SD_LAUNCH(r, clip_coef_kernel, 1, 1, 0, norm, max_norm, out);
}

void sd_cu_ratio(struct sd_cu_run *r, const float *a, const float *b, float *out)
{
	SD_LAUNCH(r, ratio_kernel, 1, 1, 0, a, b, out);
}

void sd_cu_finite(struct sd_cu_run *r, const float *a, int32_t *out)
{
	SD_LAUNCH(r, finite_kernel, 1, 1, 0, a, out);
}

void sd_cu_loss_scale(struct sd_cu_run *r, struct sd_cu_on on, float *scale, int32_t *good, const int32_t *ok,
	int window)
{
	SD_LAUNCH(r, loss_scale_kernel, 1, 1, 0, on, scale, good, ok, window);
}

void sd_cu_metrics(struct sd_cu_run *r, struct sd_cu_on on, double *sums, const float *loss,
	const int32_t *rank, int n)
{
	SD_LAUNCH(r, metrics_kernel, 1, 32, 0, on, sums, loss, rank, n);
}

void sd_cu_not_finite(struct sd_cu_run *r, const float *x, size_t count, int32_t *out)
{
	SD_LAUNCH(r, not_finite_kernel, vector_blocks(count), THREADS, 0, x, count, out);
}

void sd_cu_select(struct sd_cu_run *r, struct sd_cu_on on, float *y, size_t count)
{
	SD_LAUNCH(r, select_kernel, vector_blocks(count), THREADS, 0, on, y, count);
}

void sd_cu_cast(struct sd_cu_run *r, const float *x, size_t count, enum sd_cu_type type, void *y)
{
	SD_BY_TYPE(type, launch_cast, r, x, count, y);
}
