/* dwconv_ref.c: what dwconv.cu and dwgrad.cu compute. */
#include "ref.h"

void sd_ref_dwconv(const double *x, const struct sd_shape *xs, const double *w, const struct sd_window *win,
	const struct sd_shape *ys, double *y)
{
	int channels = xs->d[1], h = xs->d[2], wide = xs->d[3], n, i, j, k, l;

	for (n = 0; n < ys->d[0] * channels; n++, x += h * wide)
		for (i = 0; i < ys->d[2]; i++)
			for (j = 0; j < ys->d[3]; j++, y++) {
				const double *tap = w + n % channels * win->kh * win->kw;

				*y = 0;
				for (k = 0; k < win->kh; k++)
					for (l = 0; l < win->kw; l++, tap++) {
						int from_i = i * win->sh - win->ph + k * win->dh;
						int from_j = j * win->sw - win->pw + l * win->dw;

						if (from_i >= 0 && from_j >= 0 && from_i < h && from_j < wide)
							*y += *tap * x[from_i * wide + from_j];
					}
			}
}
