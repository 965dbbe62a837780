/* product.cpp: one loop for all products. */
#include "product.h"

namespace emu {

enum { TILE = 32, CHUNK = 128 };

packed::packed(size_t rows_, size_t cols_) : rows(rows_), cols(cols_), ld((cols_ + TILE - 1) / TILE * TILE),
	v(rows_ * ld)
{
}

/* Buffers are whole tiles, so this is spared the sanitizers' checks: it is where the time goes. */
__attribute__((no_sanitize("address", "undefined")))
static void tile(const float *a, size_t ld, const float *b, size_t k, float *out)
{
	float sum[TILE] = {0};

	for (size_t begin = 0; begin < k; begin += CHUNK) {
		size_t end = begin + CHUNK < k ? begin + CHUNK : k;
		float part[TILE] = {0};

		for (size_t i = begin; i < end; i++)
			for (int t = 0; t < TILE; t++)
				part[t] += a[i * ld + t] * b[i];
		for (int t = 0; t < TILE; t++)
			sum[t] += part[t];
	}
	for (int t = 0; t < TILE; t++)
		out[t] = sum[t];
}

void product(const packed &a, const packed &b, packed &out)
{
	for (size_t t = 0; t < out.ld; t += TILE)
		for (size_t j = 0; j < out.rows; j++)
			tile(a.row(0) + t, a.ld, b.row(j), a.rows, out.row(j) + t);
}

}
