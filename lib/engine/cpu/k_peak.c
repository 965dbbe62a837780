/* k_peak.c: what a processor does at best, to set measured kernels beside: multiply-adds that wait for nothing, and
 * a stream of memory. */
#include "engine/cpu/kernels.h"
#include "engine/cpu/simd.h"

/* Sums in flight: enough to hide an addition's latency, few enough to stay in registers. */
#define SUMS (SD_V16_REGS >= 32 ? 16 : SD_V16_REGS >= 8 ? 6 : 2)

/* n times SUMS blocks; returns their operations. */
static double peak_fma(int n, float *out)
{
	float lane[16];
	v16 s[SUMS], x = v16_set1(0.999f), y;

	for (int l = 0; l < 16; l++)
		lane[l] = 1e-3f * (float)l; /* lanes that were alike would be computed once */
	y = v16_load(lane);
	SD_UNROLL(16)
	for (int k = 0; k < SUMS; k++)
		s[k] = v16_set1((float)k);
	for (int i = 0; i < n; i++) {
		SD_UNROLL(16)
		for (int k = 0; k < SUMS; k++)
			s[k] = v16_fma(s[k], x, y);
	}
	SD_UNROLL(16)
	for (int k = 1; k < SUMS; k++)
		s[0] = v16_add(s[0], s[k]);
	v16_store(out, s[0]);
	return 2.0 * 16 * SUMS * n;
}

/* McCalpin's STREAM triad, a = b + 3 c; n is a multiple of 16. */
static void peak_triad(float *a, const float *b, const float *c, size_t n)
{
	v16 three = v16_set1(3);

	for (size_t i = 0; i < n; i += 16)
		v16_store(a + i, v16_fma(three, v16_load(c + i), v16_load(b + i)));
}

void SD_K(peak)(struct sd_kernels *k)
{
	k->peak_fma = peak_fma;
	k->peak_triad = peak_triad;
}
