/* stats.h: sums by channel from those of chunks of pixels, in double: mean and variance, by Chan's formula for many
 * parts (Chan, Golub, LeVeque 1983), and what a norm's gradient needs. */
#ifndef SD_KERNELS_STATS_H
#define SD_KERNELS_STATS_H

#include "kernels/tile.h"

namespace sd {

/* Chunks that one block is to put together at most, where another kernel takes sums on its way. */
enum { MOST_CHUNKS = 2048 };

/* For n channels from `first` on: part (chunks, 3, c) has each chunk's pivot, the sum of x - pivot and that of its
 * squares.  Shared memory as for sum_tile; all threads of the block call. */
__device__ inline void merge_stats(const float *part, const Cut &cut, unsigned c, unsigned first, unsigned n,
	double *fold, double *means, double *squares, float *mean, float *var)
{
	double all = cut.count;
	auto pixels = [&](unsigned k) -> double {
		return k + 1 < cut.chunks ? cut.per : cut.count - k * cut.per;
	};
	auto get = [=](unsigned k, unsigned what, unsigned i) -> double {
		return part[(static_cast<size_t>(k) * 3 + what) * c + first + i];
	};

	sum_tile(cut.chunks, n, fold, means, [&](unsigned k, unsigned i) {
		return pixels(k) * get(k, 0, i) + get(k, 1, i);
	});
	sum_tile(cut.chunks, n, fold, squares, [&](unsigned k, unsigned i) {
		double m = pixels(k), t = get(k, 1, i), apart = get(k, 0, i) + t / m - means[i] / all;

		return get(k, 2, i) - t * t / m + m * (apart * apart);
	});
	for (unsigned i = thread_rank(); i < n; i += thread_count()) {
		double q = squares[i] / all;

		mean[first + i] = static_cast<float>(means[i] / all);
		var[first + i] = q < 0 ? 0.0f : static_cast<float>(q);
	}
}

/* The same of a norm's backward sums: part (chunks, 2, c) has each chunk's sums of g and of g (x - mean). */
__device__ inline void merge_sums(const float *part, unsigned chunks, unsigned c, unsigned first, unsigned n,
	const sd_cu_norm &norm, double *fold, double *plain, double *products, float *sg, float *sgx)
{
	for (unsigned what = 0; what < 2; what++)
		sum_tile(chunks, n, fold, what ? products : plain, [=](unsigned k, unsigned i) -> double {
			return part[(static_cast<size_t>(k) * 2 + what) * c + first + i];
		});
	for (unsigned i = thread_rank(); i < n; i += thread_count()) {
		sg[first + i] = static_cast<float>(plain[i]);
		sgx[first + i] = static_cast<float>(products[i] * (1.0f / sqrtf(norm.var[first + i] + norm.eps)));
	}
}

} /* namespace sd */

#endif
