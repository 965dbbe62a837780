/* k_rows.c: float32 matrices and vectors, row-major and without padding: the linear layer, softmax,
 * cross entropy and the small things around a mixed edge and a loss.
 *
 * Sums over a row are taken in 16 lanes, element i in lane i mod 16, and the lanes added by halves;
 * those of softmax and loss in double.  A row's result depends on that row alone. */
#include "engine/cpu/chunk.h"

SD_INLINE v16 get(const float *p, int n)
{
	return n >= 16 ? v16_load(p) : v16_load_n(p, n);
}
SD_INLINE void put(float *p, v16 v, int n)
{
	if (n >= 16)
		v16_store(p, v);
	else
		v16_store_n(p, v, n);
}
SD_INLINE int min_int(int a, int b)
{
	return a < b ? a : b;
}

/* ---- products of matrices ---- */

#define TILE (SD_V16_REGS >= 32 ? 4 : 2) /* by as many: sums held in registers */
#define ROWS 16   /* of the result in a task */
#define COLS 32   /* of a product of rows with rows */
#define WIDE 256  /* columns of a product of rows with a matrix */

struct product {
	const float *a, *b, *bias;
	float *c;
	int m, n, k, groups; /* groups of rows; tasks of the same columns follow each other */
	size_t am, ak;       /* strides of a */
};

/* c[i][j] = sum over k of a[i][k] b[j][k] + bias[j]: both operands' rows lie along the sum.  mr and nr
 * are constants where this is inlined. */
SD_INLINE void dot_step(v16 (*s)[TILE], const float *a, const float *b, size_t row, int mr, int nr, int left)
{
	v16 bk[TILE];

	SD_UNROLL(4)
	for (int q = 0; q < nr; q++)
		bk[q] = get(b + q * row, left);
	SD_UNROLL(4)
	for (int r = 0; r < mr; r++) {
		v16 ak = get(a + r * row, left);

		SD_UNROLL(4)
		for (int q = 0; q < nr; q++)
			s[r][q] = v16_fma(ak, bk[q], s[r][q]);
	}
}
SD_INLINE void dot_tile(const struct product *p, int i, int j, int mr, int nr)
{
	const float *a = p->a + (size_t)i * p->k, *b = p->b + (size_t)j * p->k;
	int k = 0;
	v16 s[TILE][TILE];

	SD_UNROLL(4)
	for (int r = 0; r < mr; r++)
		SD_UNROLL(4)
		for (int q = 0; q < nr; q++)
			s[r][q] = v16_zero();
	for (; k + 16 <= p->k; k += 16)
		dot_step(s, a + k, b + k, p->k, mr, nr, 16);
	if (k < p->k)
		dot_step(s, a + k, b + k, p->k, mr, nr, p->k - k);
	for (int r = 0; r < mr; r++)
		for (int q = 0; q < nr; q++) {
			float v = v16_sum_halves(s[r][q]);

			p->c[(size_t)(i + r) * p->n + j + q] = p->bias ? v + p->bias[j + q] : v;
		}
}

static void dot_task(void *ctx, int task, int thread)
{
	const struct product *p = ctx;
	int i = task % p->groups * ROWS, end = min_int(i + ROWS, p->m), first = task / p->groups * COLS;
	int last = min_int(first + COLS, p->n);

	(void)thread;
	while (i < end) {
		int rows = end - i >= TILE ? TILE : 1, j = first;

		for (; rows == TILE && j + TILE <= last; j += TILE)
			dot_tile(p, i, j, TILE, TILE);
		for (; j < last; j++)
			for (int r = 0; r < rows; r++)
				dot_tile(p, i + r, j, 1, 1);
		i += rows;
	}
}

/* c[i][j] = sum over k of a(i, k) b[k][j], in order of k.  mr and nr (blocks of 16 columns) are constants
 * where this is inlined; lanes: columns in the last block. */
SD_INLINE void outer_tile(const struct product *p, int i, int j, int mr, int nr, int lanes)
{
	const float *a = p->a + i * p->am, *b = p->b + j;
	v16 s[TILE][TILE];

	SD_UNROLL(4)
	for (int r = 0; r < mr; r++)
		SD_UNROLL(4)
		for (int q = 0; q < nr; q++)
			s[r][q] = v16_zero();
	for (int k = 0; k < p->k; k++) {
		v16 bk[TILE];

		SD_UNROLL(4)
		for (int q = 0; q < nr; q++)
			bk[q] = get(b + (size_t)k * p->n + 16 * q, nr > 1 ? 16 : lanes);
		SD_UNROLL(4)
		for (int r = 0; r < mr; r++) {
			v16 ak = v16_bcast(a + r * p->am + k * p->ak);

			SD_UNROLL(4)
			for (int q = 0; q < nr; q++)
				s[r][q] = v16_fma(ak, bk[q], s[r][q]);
		}
	}
	SD_UNROLL(4)
	for (int r = 0; r < mr; r++)
		SD_UNROLL(4)
		for (int q = 0; q < nr; q++)
			put(p->c + (size_t)(i + r) * p->n + j + 16 * q, s[r][q], nr > 1 ? 16 : lanes);
}

static void outer_task(void *ctx, int task, int thread)
{
	const struct product *p = ctx;
	int i = task % p->groups * ROWS, end = min_int(i + ROWS, p->m), first = task / p->groups * WIDE;
	int last = min_int(first + WIDE, p->n);

	(void)thread;
	while (i < end) {
		int rows = end - i >= TILE ? TILE : 1, j = first;

		for (; rows == TILE && j + 16 * TILE <= last; j += 16 * TILE)
			outer_tile(p, i, j, TILE, TILE, 16);
		for (; j < last; j += 16)
			for (int r = 0; r < rows; r++)
				outer_tile(p, i + r, j, 1, 1, min_int(last - j, 16));
		i += rows;
	}
}

static void product_run(struct sd_par *par, struct product *p, int cols, sd_par_fn *fn)
{
	p->groups = (p->m + ROWS - 1) / ROWS;
	sd_par_run(par, (p->n + cols - 1) / cols * p->groups, fn, p);
}

static void linear(struct sd_par *par, const float *x, const float *w, const float *b, int n, int ni, int no,
	float *y)
{
	struct product p = { .a = x, .b = w, .bias = b, .c = y, .m = n, .n = no, .k = ni };

	product_run(par, &p, COLS, dot_task);
}

static void linear_bwd_x(struct sd_par *par, const float *gy, const float *w, int n, int ni, int no,
	float *gx)
{
	struct product p = { .a = gy, .am = no, .ak = 1, .b = w, .c = gx, .m = n, .n = ni, .k = no };

	product_run(par, &p, WIDE, outer_task);
}

static void linear_bwd_w(struct sd_par *par, const float *x, const float *gy, int n, int ni, int no,
	float *gw)
{
	struct product p = { .a = gy, .am = 1, .ak = no, .b = x, .c = gw, .m = no, .n = ni, .k = n };

	product_run(par, &p, WIDE, outer_task);
}

static void bias_task(void *ctx, int task, int thread)
{
	const struct product *p = ctx;
	int j = task * 16;
	v16d s = v16d_zero();

	(void)thread;
	for (int k = 0; k < p->k; k++)
		s = v16d_add(s, v16d_from(get(p->a + (size_t)k * p->n + j, p->n - j)));
	put(p->c + j, v16_from_d(s), p->n - j);
}

static void linear_bwd_b(struct sd_par *par, const float *gy, int n, int no, float *gb)
{
	struct product p = { .a = gy, .c = gb, .n = no, .k = n };

	sd_par_run(par, (no + 15) / 16, bias_task, &p);
}

/* ---- softmax and cross entropy ---- */

/* The maximum; a NaN may get lost, but not in the sum of exponentials. */
static float row_max(const float *x, int k)
{
	v16 m = v16_set1(x[0]);

	for (int i = 0; i < k; i += 16)
		m = v16_max(v16_select(sd_lanes(k - i), get(x + i, k - i), m), m);
	return v16_max_lane(m);
}

/* exp(x - m), 0 behind the row's end */
SD_INLINE v16 exp_at(const float *x, int left, float m)
{
	return sd_keep(sd_lanes(left), v16_exp(v16_sub(get(x, left), v16_set1(m))));
}
static double row_exp_sum(const float *x, int k, float m)
{
	v16d s = v16d_zero();

	for (int i = 0; i < k; i += 16)
		s = v16d_add(s, v16d_from(exp_at(x + i, k - i, m)));
	return v16d_sum_halves(s);
}

static double row_sum(const float *x, int k)
{
	v16d s = v16d_zero();

	for (int i = 0; i < k; i += 16)
		s = v16d_add(s, v16d_from(get(x + i, k - i)));
	return v16d_sum_halves(s);
}

static void softmax(const float *x, int r, int k, float *y)
{
	for (int n = 0; n < r; n++, x += k, y += k) {
		float m = row_max(x, k);
		v16 s = v16_set1((float)row_exp_sum(x, k, m));

		for (int i = 0; i < k; i += 16)
			put(y + i, v16_div(exp_at(x + i, k - i, m), s), k - i);
	}
}

/* gx = y (gy - sum of y gy) */
static void softmax_bwd(const float *y, const float *gy, int r, int k, float *gx)
{
	for (int n = 0; n < r; n++, y += k, gy += k, gx += k) {
		v16d s = v16d_zero();

		for (int i = 0; i < k; i += 16)
			s = v16d_add(s, v16d_mul(v16d_from(get(y + i, k - i)),
				v16d_from(get(gy + i, k - i))));
		s = v16d_set1(v16d_sum_halves(s));
		for (int i = 0; i < k; i += 16)
			put(gx + i, v16_from_d(v16d_mul(v16d_from(get(y + i, k - i)),
				v16d_sub(v16d_from(get(gy + i, k - i)), s))), k - i);
	}
}

/* With l = log sum exp x: (1 - s) (l - x[label]) + s (l - mean x).  A label outside [0, k) gives NaN. */
static void xent(const float *logits, const int32_t *label, int n, int k, float smoothing, float *loss)
{
	for (int i = 0; i < n; i++, logits += k) {
		float m = row_max(logits, k);
		double l = sd_logf((float)row_exp_sum(logits, k, m)) + (double)m, s = smoothing;

		if (label[i] < 0 || label[i] >= k)
			loss[i] = NAN;
		else
			loss[i] = (float)((1 - s) * (l - logits[label[i]])
				+ (smoothing != 0 ? s * (l - row_sum(logits, k) / k) : 0));
	}
}

/* gloss (softmax(x) - (1 - s) onehot - s / k) */
static void xent_bwd(const float *logits, const int32_t *label, const float *gloss, int n, int k,
	float smoothing, float *gx)
{
	for (int r = 0; r < n; r++, logits += k, gx += k) {
		int l = label[r], in = l >= 0 && l < k;
		float m = row_max(logits, k);
		double sum = row_exp_sum(logits, k, m), each = (double)smoothing / k, g = in ? gloss[r] : NAN;

		for (int i = 0; i < k; i += 16) {
			v16d p = v16d_div(v16d_from(exp_at(logits + i, k - i, m)), v16d_set1(sum));

			put(gx + i, v16_from_d(v16d_mul(v16d_set1(g), v16d_sub(p, v16d_set1(each)))), k - i);
		}
		if (in)
			gx[l] = (float)(g * (sd_expf(logits[l] - m) / sum - each - (1 - (double)smoothing)));
	}
}

/* A class that cannot be compared with the label's comes before it: NaN never counts as a hit. */
static void rank(const float *logits, const int32_t *label, int n, int k, int32_t *out)
{
	for (int i = 0; i < n; i++, logits += k) {
		int l = label[i], before = 0;

		for (int j = 0; l >= 0 && l < k && j < k; j++)
			before += j != l && (!(logits[j] <= logits[l]) || (logits[j] == logits[l] && j < l));
		out[i] = l >= 0 && l < k ? before : k;
	}
}

/* The first maximum; the first NaN, if there is one. */
static void argmax(const float *logits, int n, int k, int32_t *out)
{
	for (int i = 0; i < n; i++, logits += k) {
		int best = 0;

		for (int j = 1; j < k; j++)
			if (logits[j] > logits[best]
				|| (logits[j] != logits[j] && logits[best] == logits[best]))
				best = j;
		out[i] = best;
	}
}

/* ---- a mixed edge's factors ---- */

/* max_w: f_k = 1 - max(w) + w_k (sharpDARTS section 3) */
static void mix_factors(const float *w, int k, enum sd_weighting weighting, float *f)
{
	float m = w[0];

	for (int i = 1; i < k; i++)
		m = w[i] > m ? w[i] : m;
	for (int i = 0; i < k; i++)
		f[i] = weighting == SD_MAX_W ? 1 - m + w[i] : w[i];
}

/* The maximum's gradient, minus the sum of all, is shared equally by those that are the maximum. */
static void mix_factors_bwd(const float *w, const float *gf, int k, enum sd_weighting weighting, float *gw)
{
	float m = w[0];
	double sum = 0;
	int ties = 0;

	for (int i = 1; i < k; i++)
		m = w[i] > m ? w[i] : m;
	for (int i = 0; i < k; i++) {
		sum += gf[i];
		ties += w[i] == m;
	}
	for (int i = 0; i < k; i++)
		gw[i] = weighting == SD_MAX_W && w[i] == m ? (float)(gf[i] - sum / ties) : gf[i];
}

/* ---- vectors ---- */

static void mean(const float *x, int n, float *out)
{
	*out = (float)(row_sum(x, n) / n);
}

static void wsum(const float *a, float fa, const float *b, float fb, size_t n, float *out)
{
	v16 va = v16_set1(fa), vb = v16_set1(fb);

	for (size_t i = 0; i < n; i += 16) {
		int left = n - i < 16 ? (int)(n - i) : 16;

		v16 y = b ? v16_mul(vb, get(b + i, left)) : v16_zero();

		put(out + i, v16_fma(va, get(a + i, left), y), left);
	}
}

static void add_rows(int nx, const float *const *x, size_t n, float *out)
{
	for (size_t i = 0; i < n; i += 16) {
		int left = n - i < 16 ? (int)(n - i) : 16;
		v16 s = get(x[0] + i, left);

		for (int k = 1; k < nx; k++)
			s = v16_add(s, get(x[k] + i, left));
		put(out + i, s, left);
	}
}

void SD_K(rows)(struct sd_kernels *k)
{
	k->linear = linear;
	k->linear_bwd_x = linear_bwd_x;
	k->linear_bwd_w = linear_bwd_w;
	k->linear_bwd_b = linear_bwd_b;
	k->softmax = softmax;
	k->softmax_bwd = softmax_bwd;
	k->xent = xent;
	k->xent_bwd = xent_bwd;
	k->rank = rank;
	k->argmax = argmax;
	k->mean = mean;
	k->wsum = wsum;
	k->add_rows = add_rows;
	k->mix_factors = mix_factors;
	k->mix_factors_bwd = mix_factors_bwd;
}
