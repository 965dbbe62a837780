/* The block of 16 lanes in its plain form: the software fma against the C library's, exp and log
 * against double.  That the other forms give the same bits, the kernels' tests show. */
#include "engine/cpu/simd.h"

#include "base/par.h"
#include "check.h"

static uint32_t draw(void)
{
	static uint64_t s = 88172645463325252u;

	s ^= s << 13;
	s ^= s >> 7;
	s ^= s << 17;
	return (uint32_t)(s >> 16);
}

static float from_bits(uint32_t u)
{
	float f;

	memcpy(&f, &u, sizeof(f));
	return f;
}

static uint32_t bits(float f)
{
	uint32_t u;

	memcpy(&u, &f, sizeof(u));
	return u;
}

/* Equal bits, any NaN being as good as another. */
static int same(float a, float b)
{
	return bits(a) == bits(b) || (a != a && b != b);
}

/* Numbers that make sums cancel, round at the half and fall into the subnormals. */
static float hard(int turn)
{
	static const float special[] = { 0, -0.0f, 1, -1, INFINITY, -INFINITY, NAN, FLT_MIN, FLT_MAX,
		0x1p-149f, 0x1.fffffep-127f, 0x1.000002p0f, 0x1p-24f, -0x1p-24f, 0x1.8p-25f };
	uint32_t u = draw();

	switch (turn % 5) {
	case 0:
		return from_bits(u);
	case 1:
		return special[u % (sizeof(special) / sizeof(special[0]))];
	case 2:
		return from_bits((u & 0x807fffff) | (0x3f800000 + (u >> 24 & 15) * 0x00800000)); /* near 1 */
	case 3:
		return from_bits((u & 0x807f0000) | (0x20000000 + (u >> 8 & 31) * 0x00800000)); /* 2^-63 */
	default:
		return from_bits((u & 0x807fffff) | (u >> 26) * 0x00800000); /* the smallest */
	}
}

/* Not inlined: the compiler doesn't know that the same sum may come out otherwise when subnormals
 * are flushed. */
static __attribute__((noinline)) void fma_block(float *r, const float *a, const float *b, const float *c)
{
	v16_store(r, v16_fma(v16_load(a), v16_load(b), v16_load(c)));
}

static void test_fma(void)
{
	int wrong = 0, lanes = 0, flushed = 0;

	for (int i = 0; i < 300000; i++) {
		float a[16], b[16], c[16], r[16];
		unsigned word;

		for (int l = 0; l < 16; l++) {
			a[l] = hard(i);
			b[l] = hard(i / 5);
			c[l] = l % 4 ? hard(i / 25) : -(float)((double)a[l] * b[l]);
		}
		fma_block(r, a, b, c);
		for (int l = 0; l < 16; l++)
			wrong += !same(r[l], fmaf(a[l], b[l], c[l]));
		for (int l = 0; l < 16; l += 5)
			lanes += !same(r[l], sd_fmaf(a[l], b[l], c[l]));

		word = sd_fpu_flush_on();
		fma_block(r, a, b, c);
		sd_fpu_restore(word);
		for (int l = 0; l < 16; l++)
			flushed += fabsf(r[l]) > 0 && fabsf(r[l]) < FLT_MIN;
	}
	CHECK(!wrong, "%d of the fmas", wrong);
	CHECK(!lanes, "%d of the scalar fmas", lanes);
	CHECK(!flushed, "%d subnormal results", flushed);
}

static double ulps(float got, double want)
{
	int e;

	frexp(want, &e);
	return fabs(got - want) / ldexp(1, e - 24);
}

static void test_functions(void)
{
	double worst_exp = 0, worst_log = 0;

	for (int i = 0; i < 200000; i++) {
		float x = -87.3f + (float)draw() * (176.0f / 4294967296.0f);
		float y = from_bits(0x00800000 + draw() % 0x7f000000); /* every normal number */
		double e = ulps(sd_expf(x), exp(x)), l = ulps(sd_logf(y), log(y));

		worst_exp = e > worst_exp ? e : worst_exp;
		worst_log = l > worst_log ? l : worst_log;
	}
	CHECK(worst_exp < 1, "exp: %g ulp", worst_exp);
	CHECK(worst_log < 1, "log: %g ulp", worst_log);
	CHECK(sd_expf(0) == 1 && sd_expf(-1000) == 0 && sd_expf(-INFINITY) == 0, "exp of 0 and below");
	CHECK(sd_expf(1000) == INFINITY && sd_expf(INFINITY) == INFINITY && isnan(sd_expf(NAN)), "exp above");
	CHECK(sd_logf(1) == 0 && sd_logf(0) == -INFINITY && sd_logf(INFINITY) == INFINITY, "log of the ends");
	CHECK(isnan(sd_logf(-1)) && isnan(sd_logf(NAN)), "log of what has none");
}

static void test_lanes(void)
{
	float a[16], b[16], t[17];
	double d[16];

	for (int l = 0; l < 16; l++) {
		a[l] = (float)(l + 1);
		b[l] = l % 3 ? -1.0f : NAN;
	}
	v16_store(t, v16_relu(v16_load(b)));
	CHECK(isnan(t[0]) && t[1] == 0, "relu keeps NaN");
	v16_store(t, v16_select(v16_isnan(v16_load(b)), v16_zero(), v16_load(a)));
	CHECK(t[0] == 0 && t[1] == 2 && t[3] == 0, "select");
	v16_store(t, v16_keep(m16_first(5), v16_load(a)));
	CHECK(t[4] == 5 && t[5] == 0 && t[15] == 0, "the first lanes");
	v16_store(t, v16_load_n(a, 3));
	CHECK(t[2] == 3 && t[3] == 0 && t[15] == 0, "some lanes loaded");
	t[7] = 42;
	v16_store_n(t, v16_load(a), 7);
	CHECK(t[6] == 7 && t[7] == 42, "some lanes stored");
	CHECK(v16_sum_halves(v16_load(a)) == 136 && v16d_sum_halves(v16d_from(v16_load(a))) == 136, "sums");
	CHECK(v16_max_lane(v16_load(a)) == 16, "the largest lane");
	v16d_store(d, v16d_mul(v16d_from(v16_load(a)), v16d_set1(0.1)));
	CHECK(d[0] == 0.1 && d[9] == 10 * 0.1, "doubles");
	v16_store(t, v16_from_d(v16d_load(d)));
	CHECK(t[0] == 0.1f && t[15] == (float)(16 * 0.1), "rounded back");
}

int main(void)
{
	test_fma();
	test_functions();
	test_lanes();
	return check_done();
}
