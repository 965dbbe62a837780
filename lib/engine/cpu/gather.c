#include "engine/cpu/gather.h"

#include <string.h>

/* The largest q with q * s <= t. */
static int floor_div(int t, int s)
{
	return t >= 0 ? t / s : -((-t + s - 1) / s);
}

size_t sd_gather_bytes(struct sd_window win)
{
	size_t ntap = (size_t)win.kh * (size_t)win.kw, nphase = (size_t)win.sh * (size_t)win.sw;

	return ntap * (sizeof(struct sd_tap) + sizeof(struct sd_plane)) + nphase * sizeof(struct sd_phase);
}

static void place(struct sd_gather *g, void *mem, struct sd_window win)
{
	memset(g, 0, sizeof(*g));
	g->tap = mem;
	g->plane = (struct sd_plane *)(g->tap + win.kh * win.kw);
	g->phase = (struct sd_phase *)(g->plane + win.kh * win.kw);
}

/* The tap's plane, widened to hold it. */
static void find_plane(struct sd_gather *g, struct sd_tap *t)
{
	int qy = floor_div(t->ty, g->sy), qx = floor_div(t->tx, g->sx);
	int py = t->ty - qy * g->sy, px = t->tx - qx * g->sx, p;
	struct sd_plane *pl;

	for (p = 0; p < g->nplane; p++)
		if (g->plane[p].py == py && g->plane[p].px == px)
			break;
	pl = &g->plane[p];
	t->plane = p;
	if (p == g->nplane) {
		g->nplane++;
		*pl = (struct sd_plane){ .py = py, .px = px, .qy = qy, .qx = qx };
		return;
	}
	/* my and mx are distances from qy and qx, which may move down */
	pl->my = (pl->qy + pl->my > qy ? pl->qy + pl->my : qy) - (pl->qy < qy ? pl->qy : qy);
	pl->mx = (pl->qx + pl->mx > qx ? pl->qx + pl->mx : qx) - (pl->qx < qx ? pl->qx : qx);
	pl->qy = pl->qy < qy ? pl->qy : qy;
	pl->qx = pl->qx < qx ? pl->qx : qx;
}

/* Whether tap t follows the one before it as the rows of `ph` ask for. */
static int follows(const struct sd_tap *t, int apart)
{
	return t[0].k == t[-1].k + 1 && t[0].off == t[-1].off + (ptrdiff_t)apart * 16;
}

/* The rows of equal taps that a phase consists of. */
static void find_rows(const struct sd_gather *g, struct sd_phase *ph)
{
	const struct sd_tap *t = g->tap + ph->tap;
	int apart = ph->ntap > 1 ? (int)((t[1].off - t[0].off) / 16) : 0, row = 1;

	while (row < ph->ntap && follows(&t[row], apart))
		row++;
	for (int i = 0; i < ph->ntap; i++)
		if (ph->ntap % row || (i % row && !follows(&t[i], apart)))
			row = 1;
	ph->row = row;
	ph->apart = row > 1 ? apart : 0;
}

/* Widens the one plane of a whole image so that it has a place for every pixel of the source, in use or not. */
static void hold_source(const struct sd_gather *g, struct sd_plane *pl)
{
	int endy = pl->qy + pl->my, endx = pl->qx + pl->mx;

	endy = endy > g->h - g->bi ? endy : g->h - g->bi;
	endx = endx > g->w - g->bj ? endx : g->w - g->bj;
	pl->qy = pl->qy < 0 ? pl->qy : 0;
	pl->qx = pl->qx < 0 ? pl->qx : 0;
	pl->my = endy - pl->qy;
	pl->mx = endx - pl->qx;
}

/* Bands, planes and the taps' places in the tile. */
static void lay_out(struct sd_gather *g, int pixels)
{
	int mx = 0;

	for (int p = 0; p < g->nphase; p++) {
		g->ni = g->phase[p].ni > g->ni ? g->phase[p].ni : g->ni;
		g->nj = g->phase[p].nj > g->nj ? g->phase[p].nj : g->nj;
	}
	/* bands of equal height (or width, where a row alone is too long) */
	g->bi = pixels / g->nj > 1 ? pixels / g->nj : 1;
	g->nbi = (g->ni + g->bi - 1) / g->bi;
	g->bi = (g->ni + g->nbi - 1) / g->nbi;
	g->nbi = (g->ni + g->bi - 1) / g->bi;
	g->nbj = (g->nj + pixels - 1) / pixels;
	g->bj = (g->nj + g->nbj - 1) / g->nbj;
	g->nbj = (g->nj + g->bj - 1) / g->bj;

	for (int t = 0; t < g->ntap; t++)
		find_plane(g, &g->tap[t]);
	if (g->nplane == 1 && g->nbi == 1 && g->nbj == 1 && g->sy == 1 && g->sx == 1)
		hold_source(g, &g->plane[0]);
	for (int p = 0; p < g->nplane; p++)
		mx = g->plane[p].mx > mx ? g->plane[p].mx : mx;
	g->cols = g->bj + mx;
	for (int p = 0; p < g->nplane; p++) {
		g->plane[p].at = g->tile;
		g->tile += (size_t)(g->bi + g->plane[p].my) * (size_t)g->cols * 16;
	}
	for (int t = 0; t < g->ntap; t++) {
		struct sd_tap *tap = &g->tap[t];
		const struct sd_plane *pl = &g->plane[tap->plane];

		tap->off = (ptrdiff_t)pl->at + ((ptrdiff_t)(floor_div(tap->ty, g->sy) - pl->qy) * g->cols
			+ floor_div(tap->tx, g->sx) - pl->qx) * 16;
	}
	for (int p = 0; p < g->nphase; p++)
		find_rows(g, &g->phase[p]);
}

/* To a 1x1 window with stride 1 an image is one row. */
static void flatten(struct sd_window v, int *h, int *w)
{
	if (v.kh == 1 && v.kw == 1 && v.sh == 1 && v.sw == 1 && v.ph == 0 && v.pw == 0) {
		*w *= *h;
		*h = 1;
	}
}

void sd_gather_forward(struct sd_gather *g, void *mem, struct sd_window win, struct sd_taps taps,
	int h, int w, int oh, int ow, int pixels)
{
	place(g, mem, win);
	flatten(win, &h, &w);
	flatten(win, &oh, &ow);
	g->h = h;
	g->w = w;
	g->oh = oh;
	g->ow = ow;
	g->sy = win.sh;
	g->sx = win.sw;
	g->oys = g->oxs = 1;
	for (int k = taps.first; k < win.kh * win.kw; k += taps.step)
		g->tap[g->ntap++] = (struct sd_tap){ .ty = k / win.kw * win.dh - win.ph,
			.tx = k % win.kw * win.dw - win.pw, .k = k };
	g->phase[0] = (struct sd_phase){ .tap = 0, .ntap = g->ntap, .ni = oh, .nj = ow };
	g->nphase = 1;
	lay_out(g, pixels);
}

void sd_gather_backward(struct sd_gather *g, void *mem, struct sd_window win, struct sd_taps taps,
	int h, int w, int oh, int ow, int pixels)
{
	place(g, mem, win);
	flatten(win, &h, &w);
	flatten(win, &oh, &ow);
	g->h = oh;
	g->w = ow;
	g->oh = h;
	g->ow = w;
	g->sy = g->sx = 1;
	g->oys = win.sh;
	g->oxs = win.sw;
	/* row y of gx meets row (y + ph - kh dh) / sh of gy where that divides; y = i sh + oy */
	for (int oy = 0; oy < win.sh && oy < h; oy++) {
		for (int ox = 0; ox < win.sw && ox < w; ox++) {
			struct sd_phase *ph = &g->phase[g->nphase++];

			*ph = (struct sd_phase){ .tap = g->ntap, .oy = oy, .ox = ox,
				.ni = (h - oy + win.sh - 1) / win.sh, .nj = (w - ox + win.sw - 1) / win.sw };
			for (int k = taps.first; k < win.kh * win.kw; k += taps.step) {
				int y = oy + win.ph - k / win.kw * win.dh;
				int x = ox + win.pw - k % win.kw * win.dw;

				if (y % win.sh || x % win.sw)
					continue;
				g->tap[g->ntap++] = (struct sd_tap){ .ty = y / win.sh, .tx = x / win.sw,
					.k = k };
				ph->ntap++;
			}
		}
	}
	lay_out(g, pixels);
}

struct sd_band sd_gather_band(const struct sd_gather *g, int band)
{
	int i0 = band / g->nbj * g->bi, j0 = band % g->nbj * g->bj;

	return (struct sd_band){ i0, j0, g->ni - i0 < g->bi ? g->ni - i0 : g->bi,
		g->nj - j0 < g->bj ? g->nj - j0 : g->bj };
}

int sd_gather_inside(const struct sd_gather *g)
{
	for (int p = 0; p < g->nphase; p++) {
		const struct sd_phase *ph = &g->phase[p];

		for (int t = ph->tap; t < ph->tap + ph->ntap; t++) {
			const struct sd_tap *tap = &g->tap[t];

			if (tap->ty < 0 || tap->tx < 0 || (ph->ni - 1) * g->sy + tap->ty >= g->h
				|| (ph->nj - 1) * g->sx + tap->tx >= g->w)
				return 0;
		}
	}
	return 1;
}
