/* dwconv.h: how the kernels of a depthwise convolution go over runs of outputs: see dwconv.cu. */
#ifndef SD_KERNELS_DWCONV_H
#define SD_KERNELS_DWCONV_H

#include "kernels/tile.h"

#include <numeric>

namespace sd {

enum { RUN = 4 };

/* The outputs of an item: rows of a run start at column `ox`. */
struct Place {
	unsigned n;
	int oy, ox;
};
__device__ inline Place place(unsigned item, unsigned runs, unsigned length, int apart, int h)
{
	unsigned row = item / runs, run = item % runs;
	unsigned a = static_cast<unsigned>(apart);
	Place p;

	p.n = row / static_cast<unsigned>(h);
	p.oy = static_cast<int>(row % static_cast<unsigned>(h));
	p.ox = static_cast<int>(a == 1 ? run * length : run / a * (a * length) + run % a);
	return p;
}

/* The unrolled size and M of a window of this stride, or 0 for the plain path. */
struct Path {
	int k, m, apart;
};
inline Path choose(struct sd_window win)
{
	Path p = { 0, 1, 1 };
	int a = std::gcd(win.sw, win.dw);

	if (win.kh == win.kw && (win.kh == 3 || win.kh == 5 || win.kh == 7) && win.sw / a <= 2) {
		p.k = win.kh;
		p.m = win.sw / a;
		p.apart = win.dw / a;
	}
	return p;
}
inline unsigned runs_of(int w, int length, int apart)
{
	return static_cast<unsigned>((w + length * apart - 1) / (length * apart) * apart);
}

} /* namespace sd */

#endif
