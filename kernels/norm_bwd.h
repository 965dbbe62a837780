/* norm_bwd.h: the gradient at a norm's input, for batch norms, for the terms of a mixed edge and, with no norm, for a
 * relu, in one kernel so that all of them can go into one launch:
 * gx = f gamma / sqrt(var + eps) (g - sg / M - xhat sgx / M), computed in the form
 * c1 (x - mean) + (scale g + c0): x - mean keeps its digits when the mean is large. */
#ifndef SD_KERNELS_NORM_BWD_H
#define SD_KERNELS_NORM_BWD_H

#include "kernels/tile.h"

namespace sd {

struct NormBwd {
	sd_cu_norm norm;      /* mean NULL: gx = f g */
	sd_cu_norm mask;      /* of x, where masked */
	const float *f;       /* NULL: 1 */
	const float *sg, *sgx;
	int batch;            /* 0: gx = scale g */
	int masked;           /* g counts only where mask's norm of x is > 0 */
};

struct NormBwdArgs {
	NormBwd k;
	sd_cu_img gi, x;
	sd_cu_dst gx;
	Walk w;
};
template <typename T, int V> static __global__ void SD_BOUNDS(V) norm_bwd_kernel(SD_MEMBERS(NormBwdArgs) group)
{
	alignas(16) __shared__ float part[6][TILE_CHANNELS];
	SD_MEMBER(group, d);
	const NormBwd &k = d.k;
	const sd_cu_img &gi = d.gi, &x = d.x;
	const sd_cu_dst &gx = d.gx;
	const Walk &w = d.w;
	int ch = thread_channel<V>();
	unsigned p = blockIdx.x * w.steps * STEP * blockDim.y + threadIdx.y;
	bool masked = k.masked, batch = k.batch && k.norm.mean;
	float scale[V], c0[V], c1[V], mean[V], ma[V], mb[V];

	for (unsigned i = thread_rank(); i < blockDim.x * V; i += thread_count()) {
		int c = block_channel<V>() + static_cast<int>(i);
		float s, b, istd;

		if (c >= gi.c)
			break;
		norm_factors(k.norm, c, s, b);
		s *= k.f ? *k.f : 1.0f;
		part[0][i] = s;
		part[1][i] = part[2][i] = part[3][i] = 0;
		if (batch) {
			double m = -static_cast<double>(s) / w.pixels;

			istd = 1.0f / sqrtf(k.norm.var[c] + k.norm.eps);
			part[1][i] = static_cast<float>(m * k.sg[c]);
			part[2][i] = static_cast<float>(m * istd * k.sgx[c]);
			part[3][i] = k.norm.mean[c];
		}
		norm_factors(k.mask, c, part[4][i], part[5][i]);
	}
	__syncthreads();
	if (ch >= gi.c)
		return;
	load_floats<V>(part[0] + threadIdx.x * V, scale);
	load_floats<V>(part[1] + threadIdx.x * V, c0);
	load_floats<V>(part[2] + threadIdx.x * V, c1);
	load_floats<V>(part[3] + threadIdx.x * V, mean);
	load_floats<V>(part[4] + threadIdx.x * V, ma);
	load_floats<V>(part[5] + threadIdx.x * V, mb);

	for (unsigned step = 0; step < w.steps; step++, p += STEP * blockDim.y) {
		Raw<T, V> rx[STEP], rg[STEP];

		SD_UNROLL
		for (unsigned j = 0; j < STEP; j++)
			if (p + j * blockDim.y < w.pixels) {
				rg[j] = load_raw<T, V>(at<const T>(gi, p + j * blockDim.y, ch));
				if (masked || batch)
					rx[j] = load_raw<T, V>(at<const T>(x, p + j * blockDim.y, ch));
			}
		SD_UNROLL
		for (unsigned j = 0; j < STEP; j++) {
			float v[V], g[V];

			if (p + j * blockDim.y >= w.pixels)
				return;
			unpack(rg[j], g);
			if (masked || batch)
				unpack(rx[j], v);
			SD_UNROLL
			for (int i = 0; i < V; i++) {
				if (masked && !(fmaf(ma[i], v[i], mb[i]) > 0.0f))
					g[i] = 0;
				if (batch)
					g[i] = fmaf(c1[i], v[i] - mean[i], fmaf(scale[i], g[i], c0[i]));
				else
					g[i] *= scale[i];
			}
			store_pack<T, V>(at<T>(gx.y, p + j * blockDim.y, ch), g, gx.acc);
		}
	}
}

} /* namespace sd */

#endif
