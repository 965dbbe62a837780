/* parts.h: sums of images as image.cu has them, made by a kernel that takes sums of the result, too: what norm.cu and
 * mix.cu share. */
#ifndef SD_KERNELS_PARTS_H
#define SD_KERNELS_PARTS_H

#include "kernels/tile.h"

namespace sd {

struct SumPart {
	const void *p;
	const float *f; /* NULL: 1 */
	int ld, rows;   /* rows: f has a factor for each sample */
};
struct SumParts {
	sd_cu_img y;
	sd_cu_src mask;
	int n, masked;
	SumPart x[SD_CU_SUM_PARTS];
};

/* Pixels [first, end) of the sum, to memory: of the block's chunk, each by the thread that has it later on.  a and b
 * (TILE_CHANNELS) are shared memory; all threads call, and barriers come before it is read and at the end. */
template <typename T, int V>
__device__ inline void add_parts(const SumParts &d, unsigned first, unsigned end, float *a, float *b)
{
	int ch = thread_channel<V>();
	bool in = ch < d.y.c;
	unsigned plane = static_cast<unsigned>(d.y.h) * static_cast<unsigned>(d.y.w);

	norm_to_shared<V>(d.mask.norm, d.y.c, a, b);
	const Load<V> load = load_from_shared<V>(a, b, d.mask.relu);

	for (unsigned p = first + threadIdx.y; in && p < end; p += STEP * blockDim.y) {
		float s[STEP][V];

		SD_ROLLED
		for (int k = 0; k < d.n; k++) {
			const SumPart &t = d.x[k];
			sd_cu_img x = d.y;
			Raw<T, V> raw[STEP];
			float all = t.f && !t.rows ? *t.f : 1.0f;

			x.p = const_cast<void *>(t.p);
			x.ld = t.ld;
			SD_UNROLL
			for (unsigned j = 0; j < STEP; j++)
				if (p + j * blockDim.y < end)
					raw[j] = load_raw<T, V>(at<const T>(x, p + j * blockDim.y, ch));
			SD_UNROLL
			for (unsigned j = 0; j < STEP; j++) {
				float v[V], f = all;

				if (p + j * blockDim.y >= end)
					break;
				unpack(raw[j], v);
				if (t.rows)
					f = t.f[(p + j * blockDim.y) / plane];
				SD_UNROLL
				for (int i = 0; i < V; i++) {
					float u = fmaf(f, v[i], -0.0f); /* rounded before it is added */

					s[j][i] = k ? s[j][i] + u : u;
				}
			}
			if (k + 1 != d.masked)
				continue;
			SD_UNROLL
			for (unsigned j = 0; j < STEP; j++) {
				float v[V];

				if (p + j * blockDim.y >= end)
					break;
				load_pack<T, V>(at<const T>(d.mask.x, p + j * blockDim.y, ch), v);
				load(v);
				SD_UNROLL
				for (int i = 0; i < V; i++)
					s[j][i] = v[i] > 0.0f ? s[j][i] : 0.0f;
			}
		}
		SD_UNROLL
		for (unsigned j = 0; j < STEP; j++)
			if (p + j * blockDim.y < end)
				store_pack<T, V>(at<T>(d.y, p + j * blockDim.y, ch), s[j], 0);
	}
	__syncthreads();
}

/* Whether x can be added so; sets d, and appends the images to img. */
inline bool set_parts(int n, const sd_cu_grad *x, int masked, const sd_cu_src *mask, const sd_cu_img *y, SumParts &d,
	const sd_cu_img **img, int *images)
{
	if (n > SD_CU_SUM_PARTS)
		return false;
	d.y = *y;
	d.n = n;
	d.masked = masked;
	if (masked)
		d.mask = *mask;
	img[(*images)++] = y;
	if (masked)
		img[(*images)++] = &mask->x;
	for (int k = 0; k < n; k++) {
		const sd_cu_back &back = x[k].back;

		if (x[k].g.norm.mean || x[k].g.relu || back.x || back.sg || x[k].g.x.type != y->type)
			return false;
		d.x[k] = { x[k].g.x.p, back.f, x[k].g.x.ld, back.f && !back.on };
		img[(*images)++] = &x[k].g.x;
	}
	return true;
}

} /* namespace sd */

#endif
