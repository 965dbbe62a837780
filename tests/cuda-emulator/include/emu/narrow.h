/* narrow.h: float32 to 16 bits and back, rounded to nearest even, for the emulated types and libraries. */
#ifndef SD_EMU_NARROW_H
#define SD_EMU_NARROW_H

#include <stdint.h>
#include <string.h>

static inline uint32_t sd_emu_float_bits(float x)
{
	uint32_t u;

	memcpy(&u, &x, sizeof(u));
	return u;
}
static inline float sd_emu_bits_float(uint32_t u)
{
	float x;

	memcpy(&x, &u, sizeof(x));
	return x;
}

/* The lowest `drop` bits rounded away (1 <= drop <= 24), ties to even. */
static inline uint32_t sd_emu_round(uint32_t u, int drop)
{
	uint32_t half = UINT32_C(1) << (drop - 1);
	uint32_t odd = u >> drop & 1;

	return (u + half - 1 + odd) >> drop;
}

static inline uint16_t sd_emu_to_bf16(float x)
{
	uint32_t u = sd_emu_float_bits(x);

	if ((u & 0x7fffffff) > 0x7f800000)
		return 0x7fff; /* the NaN that the device gives */
	return (uint16_t)sd_emu_round(u, 16); /* a carry runs into the exponent and, at the end, makes infinity */
}
static inline float sd_emu_from_bf16(uint16_t b) { return sd_emu_bits_float((uint32_t)b << 16); }

static inline uint16_t sd_emu_to_f16(float x)
{
	uint32_t u = sd_emu_float_bits(x), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
	int e = (int)(a >> 23) - 127;

	if (a > 0x7f800000)
		return 0x7fff;
	if (e > 15)
		return (uint16_t)(sign | 0x7c00);
	if (e >= -14)
		return (uint16_t)(sign | sd_emu_round(a - ((127 - 15) << 23), 13));
	if (e < -25)
		return (uint16_t)sign;
	/* subnormal: a multiple of 2^-24 */
	return (uint16_t)(sign | sd_emu_round((a & 0x7fffff) | 0x800000, -1 - e));
}
static inline float sd_emu_from_f16(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 0x3ff;

	if (e == 31)
		return sd_emu_bits_float(sign | 0x7f800000 | m << 13);
	if (e)
		return sd_emu_bits_float(sign | (e + 127 - 15) << 23 | m << 13);
	return sd_emu_bits_float(sign | sd_emu_float_bits((float)m * 0x1p-24f));
}

/* To TF32: 10 bits of fraction, ties away from zero as tensor cores' conversion (cvt.rna) has it. */
static inline float sd_emu_to_tf32(float x)
{
	uint32_t u = sd_emu_float_bits(x);

	if ((u & 0x7f800000) == 0x7f800000)
		return x;
	return sd_emu_bits_float((u + 0x1000) & ~UINT32_C(0x1fff));
}

#endif
