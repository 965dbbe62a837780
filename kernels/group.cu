/* group.cu: launches put aside, and begun together. */
#include "kernels/group.h"

#include <stdlib.h>
#include <string.h>

inline namespace group_cu {

struct Waiting {
	sd::group_launch *launch;
	const void *kernel;
	dim3 grid, block;
	int most;
	unsigned place;  /* in its step */
	size_t args;     /* where they begin */
	bool begun;
};

bool together(const Waiting &a, const Waiting &b)
{
	return a.kernel == b.kernel && a.place == b.place && a.block.x == b.block.x && a.block.y == b.block.y &&
		a.block.z == b.block.z;
}

/* Room for one more of `size` bytes. */
bool grow(void **p, size_t *cap, size_t need, size_t size)
{
	size_t to = need > 2 * *cap ? need : 2 * *cap;
	void *q;

	if (need <= *cap)
		return true;
	q = realloc(*p, to * size);
	if (!q)
		return false;
	*p = q;
	*cap = to;
	return true;
}

} /* namespace group_cu */

struct sd_cu_group {
	void *waiting;         /* Waiting */
	size_t n, cap;
	void *args;            /* of all */
	size_t used, cap_args;
	unsigned place;        /* of the next launch in its step */
};

inline namespace group_cu {

Waiting *waiting(sd_cu_group *g) { return static_cast<Waiting *>(g->waiting); }

/* Begins w[first] and those that go with it. */
void begin(sd_cu_run *r, sd_cu_group *g, size_t first)
{
	enum { MOST = 512 };
	Waiting *w = waiting(g);
	dim3 grid(0, 0, 0);
	const void *args[MOST];
	uint2 blocks[MOST];

	for (size_t i = first; i < g->n && grid.z < MOST && grid.z < static_cast<unsigned>(w[first].most); i++) {
		if (w[i].begun || !together(w[first], w[i]))
			continue;
		w[i].begun = true;
		args[grid.z] = static_cast<char *>(g->args) + w[i].args;
		blocks[grid.z].x = w[i].grid.x;
		blocks[grid.z].y = w[i].grid.y;
		grid.x = w[i].grid.x > grid.x ? w[i].grid.x : grid.x;
		grid.y = w[i].grid.y > grid.y ? w[i].grid.y : grid.y;
		grid.z++;
	}
	r->launches++;
	if (!r->dry)
		w[first].launch(w[first].kernel, grid, w[first].block, r->stream, static_cast<int>(grid.z), args,
			blocks);
}

} /* namespace group_cu */

int sd::group_add(sd_cu_run *r, group_launch *launch, int most, const void *kernel, dim3 grid, dim3 block,
	const void *args, size_t size)
{
	sd_cu_group *g = r->group;
	size_t whole = (size + 15) / 16 * 16;

	if (!grow(&g->waiting, &g->cap, g->n + 1, sizeof(Waiting)) ||
			!grow(&g->args, &g->cap_args, g->used + whole, 1))
		return 0;
	waiting(g)[g->n++] = { launch, kernel, grid, block, most, g->place++, g->used, false };
	memcpy(static_cast<char *>(g->args) + g->used, args, size);
	g->used += whole;
	return 1;
}

sd_cu_group *sd_cu_group_new(void)
{
	return static_cast<sd_cu_group *>(calloc(1, sizeof(sd_cu_group)));
}

void sd_cu_group_free(sd_cu_group *g)
{
	if (!g)
		return;
	free(g->waiting);
	free(g->args);
	free(g);
}

void sd_cu_group_begin(sd_cu_run *r, sd_cu_group *g)
{
	g->n = g->used = g->place = 0;
	r->group = g;
}

void sd_cu_group_step(sd_cu_run *r)
{
	r->group->place = 0;
}

void sd_cu_group_skip(sd_cu_run *r)
{
	if (r->group)
		r->group->place++;
}

void sd_cu_group_beside(sd_cu_run *r)
{
	if (r->group && r->group->place)
		r->group->place--;
}

void sd_cu_group_flush(sd_cu_run *r)
{
	sd_cu_group *g = r->group;
	size_t left;

	if (!g)
		return;
	left = g->n;
	for (unsigned place = 0; left; place++)
		for (size_t i = 0; i < g->n; i++) {
			Waiting *w = waiting(g);

			if (w[i].place != place)
				continue;
			left--;
			if (!w[i].begun)
				begin(r, g, i);
		}
	g->n = g->used = 0;
}

void sd_cu_group_end(sd_cu_run *r)
{
	sd_cu_group_flush(r);
	r->group = nullptr;
}
