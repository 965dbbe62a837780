/* pool_ref.c: what pool.cu computes. */
#include "ref.h"

#include <math.h>

/* What a window holds at output (i, j) of one channel. */
struct held {
	double most, sum;
	int count;         /* taps inside */
};

static struct held look(const double *x, const struct sd_shape *xs, const struct sd_window *win, int i, int j)
{
	struct held r = { -INFINITY, 0, 0 };
	int k, l;

	for (k = 0; k < win->kh; k++)
		for (l = 0; l < win->kw; l++) {
			int from_i = i * win->sh - win->ph + k * win->dh, from_j = j * win->sw - win->pw + l * win->dw;
			double v;

			if (from_i < 0 || from_j < 0 || from_i >= xs->d[2] || from_j >= xs->d[3])
				continue;
			v = x[from_i * xs->d[3] + from_j];
			if (!isnan(r.most) && (v > r.most || isnan(v)))
				r.most = v;
			r.sum += v;
			r.count++;
		}
	return r;
}

void sd_ref_maxpool(const double *x, const struct sd_shape *xs, const struct sd_window *win,
	const struct sd_shape *ys, double *y)
{
	int n, i, j;

	for (n = 0; n < ys->d[0] * ys->d[1]; n++, x += xs->d[2] * xs->d[3])
		for (i = 0; i < ys->d[2]; i++)
			for (j = 0; j < ys->d[3]; j++)
				*y++ = look(x, xs, win, i, j).most;
}

void sd_ref_avgpool(const double *x, const struct sd_shape *xs, const struct sd_window *win, int include_pad,
	const struct sd_shape *ys, double *y)
{
	int n, i, j;

	for (n = 0; n < ys->d[0] * ys->d[1]; n++, x += xs->d[2] * xs->d[3])
		for (i = 0; i < ys->d[2]; i++)
			for (j = 0; j < ys->d[3]; j++) {
				struct held r = look(x, xs, win, i, j);

				*y++ = r.count ? r.sum / (include_pad ? win->kh * win->kw : r.count) : 0;
			}
}

void sd_ref_gap(const double *x, const struct sd_shape *xs, double *y)
{
	int n, i, plane = xs->d[2] * xs->d[3];

	for (n = 0; n < xs->d[0] * xs->d[1]; n++, x += plane) {
		double sum = 0;

		for (i = 0; i < plane; i++)
			sum += x[i];
		y[n] = sum / plane;
	}
}
