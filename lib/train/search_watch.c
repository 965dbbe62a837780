/* search_watch.c: what each epoch of a search has come to: alphas, weights, entropies, genotypes.
 *
 * A search collapses when skip connections win the edges (DARTS+, arXiv:1909.06035, ends it when the normal
 * cell has two).  The number of them in the derived cells and the entropy of the edges' weights show it coming. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/derive.h"
#include "base/err.h"
#include "base/rng.h"
#include "train/search.h"

static const char *const cells[2] = { "normal", "reduce" };

int sd_search_watch_room(struct sd_search *s, int n)
{
	struct sd_search_epochs *e = &s->epochs;
	size_t edges = (size_t)sd_search_edges(s->o.net.steps), cap = (size_t)n + 64;
	if (n < e->cap)
		return 0;
	for (int i = 0; i < 2; i++) {
		float *a = realloc(e->alpha[i], cap * s->ncell[i] * sizeof *a);
		e->alpha[i] = a ? a : e->alpha[i];
		float *w = realloc(e->weight[i], cap * s->ncell[i] * sizeof *w);
		e->weight[i] = w ? w : e->weight[i];
		double *h = realloc(e->entropy[i], cap * edges * sizeof *h);
		e->entropy[i] = h ? h : e->entropy[i];
		if (!a || !w || !h)
			return sd_error(SD_ERR_IO, "out of memory");
	}
	char **g = realloc(e->genotype, cap * sizeof *g);
	if (!g)
		return sd_error(SD_ERR_IO, "out of memory");
	e->genotype = g;
	memset(g + e->cap, 0, (cap - (size_t)e->cap) * sizeof *g);
	e->cap = (int)cap;
	return 0;
}

/* -sum of w ln w over the primitives of each edge; returns the mean. */
static double entropies(const float *w, int edges, int k, double *out)
{
	double sum = 0;
	for (int e = 0; e < edges; e++) {
		out[e] = 0;
		for (int i = 0; i < k; i++)
			if (w[e * k + i] > 0)
				out[e] -= (double)w[e * k + i] * sd_log_unit((double)w[e * k + i]);
		sum += out[e];
	}
	return sum / edges;
}

static int skips(const struct sd_cell *cell)
{
	int n = 0;
	for (int i = 0; i < cell->nedge; i++)
		n += cell->edge[i].op == SD_PRIM_SKIP_CONNECT;
	return n;
}

/* The genotype of epoch n, 'none' skipped, as sd-derive has it by default. */
static int derive(const struct sd_search *s, int n, struct sd_genotype *g)
{
	const struct sd_supernet *net = &s->o.net;
	double *w = malloc((s->ncell[0] + s->ncell[1]) * sizeof *w);
	if (!w)
		return sd_error(SD_ERR_IO, "out of memory");
	for (int i = 0; i < 2; i++)
		for (size_t k = 0; k < s->ncell[i]; k++)
			w[(i ? s->ncell[0] : 0) + k] = (double)s->epochs.weight[i][(size_t)n * s->ncell[i] + k];
	int multiplier = net->multiplier ? net->multiplier : net->steps;
	int ret = sd_derive_genotype(g, w, w + s->ncell[0], net->steps, multiplier, net->prims, false);
	free(w);
	return ret;
}

int sd_search_watch(struct sd_search *s, int n, double *row)
{
	struct sd_search_epochs *e = &s->epochs;
	int edges = sd_search_edges(s->o.net.steps), k = s->o.net.prims->n, ret = -1;
	struct sd_genotype g;
	sd_genotype_init(&g);
	if (derive(s, n, &g))
		goto out;
	free(e->genotype[n]);
	e->genotype[n] = sd_genotype_text(&g);
	row[SD_SEARCH_SKIPS_NORMAL] = skips(&g.normal);
	row[SD_SEARCH_SKIPS_REDUCE] = skips(&g.reduce);
	for (int i = 0; i < 2; i++)
		row[SD_SEARCH_ENTROPY_NORMAL + i] = entropies(e->weight[i] + (size_t)n * s->ncell[i], edges, k,
			e->entropy[i] + (size_t)n * (size_t)edges);
	ret = 0;
out:
	sd_genotype_release(&g);
	return ret;
}

bool sd_search_stopped(const struct sd_search *s)
{
	const struct sd_history *h = &s->loop.history;
	return s->o.stop_on_skips && h->n &&
		h->v[(size_t)(h->n - 1) * (size_t)h->ncol + SD_SEARCH_SKIPS_NORMAL] >= s->o.stop_on_skips;
}

/* ---- artifacts ---- */

static const char *path_of(char path[64], const char *folder, int cell)
{
	snprintf(path, 64, "/%s/%s", folder, cells[cell]);
	return path;
}

int sd_search_watch_write(const struct sd_search *s, struct sd_artifact_out *out)
{
	const struct sd_search_epochs *e = &s->epochs;
	uint64_t shape[3] = { (uint64_t)s->loop.epochs_done, (uint64_t)sd_search_edges(s->o.net.steps),
		(uint64_t)s->o.net.prims->n };
	char path[64];
	for (int i = 0; i < 2; i++)
		if (sd_artifact_put(out, path_of(path, "alphas", i), SD_TYPE_F32, 3, shape, e->alpha[i], 0) ||
		    sd_artifact_put(out, path_of(path, "weights", i), SD_TYPE_F32, 3, shape, e->weight[i], 0) ||
		    sd_artifact_put(out, path_of(path, "entropy", i), SD_TYPE_F64, 2, shape, e->entropy[i], 0))
			return -1;
	if (sd_artifact_put_i64(out, "/stopped_on_skips", sd_search_stopped(s)))
		return -1;
	return shape[0] ? sd_artifact_put_strings(out, "/genotypes", shape[0],
		(const char *const *)e->genotype) : 0;
}

/* Reads (epochs done, ...) numbers into memory that holds as many. */
static int read_rows(struct sd_artifact *art, const char *path, enum sd_type type, void *to, size_t count)
{
	const struct sd_dset *d;
	void *v = sd_artifact_load(art, path, type, &d);
	if (!v)
		return -1;
	int ret = d->count == count ? 0 : sd_error(SD_ERR_DATA, "%s: '%s' has another size than the run's",
		sd_artifact_name(art), path);
	if (!ret)
		memcpy(to, v, count * (type == SD_TYPE_F64 ? sizeof(double) : sizeof(float)));
	free(v);
	return ret;
}

int sd_search_watch_read(struct sd_search *s, struct sd_artifact *art)
{
	size_t n = (size_t)s->loop.epochs_done;
	double row[SD_SEARCH_NCOL];
	char path[64];
	if (sd_search_watch_room(s, s->loop.epochs_done))
		return -1;
	for (int i = 0; i < 2; i++)
		if (read_rows(art, path_of(path, "alphas", i), SD_TYPE_F32, s->epochs.alpha[i], n * s->ncell[i]) ||
		    read_rows(art, path_of(path, "weights", i), SD_TYPE_F32, s->epochs.weight[i], n * s->ncell[i]))
			return -1;
	for (int i = 0; i < s->loop.epochs_done; i++)
		if (sd_search_watch(s, i, row))
			return -1;
	return 0;
}

void sd_search_watch_release(struct sd_search *s)
{
	struct sd_search_epochs *e = &s->epochs;
	for (int i = 0; i < 2; i++) {
		free(e->alpha[i]);
		free(e->weight[i]);
		free(e->entropy[i]);
	}
	for (int i = 0; i < e->cap; i++)
		free(e->genotype[i]);
	free(e->genotype);
}
