/* product.h: the loops under the library doubles. */
#ifndef SD_EMU_PRODUCT_H
#define SD_EMU_PRODUCT_H

#include <stddef.h>

#include <vector>

namespace emu {

/* A matrix of `rows` x `cols` floats, rows padded with zeros to whole tiles of the product. */
struct packed {
	size_t rows, cols, ld;
	std::vector<float> v;

	packed(size_t rows, size_t cols);
	float *row(size_t i) { return v.data() + i * ld; }
	const float *row(size_t i) const { return v.data() + i * ld; }
};

/* out[j] (n rows of m) = sum over i < k of a[i] (k rows of m) * b[j][i] (n rows of k); in float32: 128 products are
 * summed in order, and such sums in order. */
void product(const packed &a, const packed &b, packed &out);

}

#endif
