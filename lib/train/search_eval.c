/* search_eval.c: how good the network of a search is, on all that a data set has. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/err.h"
#include "train/evaluate.h"
#include "train/search.h"
#include "train/store.h"

/* The weights and running statistics of an artifact, and its last alphas. */
static int load(struct sd_vars *vars, const struct sd_net *net, struct sd_artifact *art)
{
	struct sd_shape shape = sd_shape2(sd_search_edges(net->supernet.steps), net->supernet.prims->n);
	return sd_store_get_state(art, vars, "state") || sd_search_load_alphas(vars, &shape, art) ? -1 : 0;
}

int sd_search_load_alphas(struct sd_vars *vars, const struct sd_shape *shape, struct sd_artifact *art)
{
	static const char *const path[2] = { "/alphas_last/normal", "/alphas_last/reduce" };
	for (int i = 0; i < 2; i++) {
		const struct sd_dset *d;
		float *v = sd_artifact_load(art, path[i], SD_TYPE_F32, &d);
		int ret = !v ? -1 : d->rank != 2 || d->shape[0] != (uint64_t)shape->d[0] ||
			d->shape[1] != (uint64_t)shape->d[1] ?
			sd_error(SD_ERR_DATA, "%s: '%s' has another shape than the cells: %d edges, %d primitives",
				sd_artifact_name(art), path[i], shape->d[0], shape->d[1]) :
			sd_vars_set(vars, sd_alpha_names[i], v);
		free(v);
		if (ret)
			return -1;
	}
	return 0;
}

/* One line of the table: `count` images of a split, chosen by `index` (NULL: all of it). */
static int evaluate(struct sd_vars *vars, const struct sd_net *net, const struct sd_dataset *ds,
	const struct sd_search_options *o, struct sd_artifact *art, const char *name, int split,
	const uint32_t *index, uint32_t count, FILE *f)
{
	struct sd_loader_options part = { .split = split, .indices = index, .n = count, .batch = o->batch,
		.order = SD_ORDER_AS_IS, .site = name };
	struct sd_evaluation ev = { 0 };
	struct sd_evaluator *e = sd_evaluator_new(vars, net, ds, &part, o->limit, o->step.plan_flags);
	/* the first one makes the variables */
	int ret = !e || load(vars, net, art) || sd_evaluator_run(e, 0, &ev) ? -1 : 0;
	if (!ret && fprintf(f, "%s\t%" PRIu64 "\t%.6f\t%.4f\t%.4f\n", name, ev.n, ev.loss, ev.top1,
			ev.top5) < 0)
		ret = sd_error_errno("cannot write the table");
	sd_evaluation_release(&ev);
	sd_evaluator_free(e);
	return ret;
}

int sd_search_evaluate(struct sd_engine *engine, const struct sd_dataset *ds, const struct sd_search_options *o,
	struct sd_artifact *art, FILE *f)
{
	struct sd_net net = { .kind = SD_NET_SUPERNET, .channels_in = ds->C, .height = ds->H, .width = ds->W,
		.supernet = o->net };
	uint32_t n = ds->split[SD_SPLIT_TRAIN].n, ntrain = sd_dataset_portion(n, o->train_portion);
	uint32_t ntest = ds->split[SD_SPLIT_TEST].n, *order = malloc(((size_t)n + 1) * sizeof *order);
	struct sd_vars vars;
	int ret = -1;
	sd_vars_init(&vars, engine, 0);
	if (!order) {
		sd_error(SD_ERR_IO, "out of memory");
		goto out;
	}
	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	if (fputs("split\timages\tloss\ttop1\ttop5\n", f) < 0) {
		sd_error_errno("cannot write the table");
		goto out;
	}
	if ((ntrain && evaluate(&vars, &net, ds, o, art, "train", SD_SPLIT_TRAIN, order, ntrain, f)) ||
	    (ntrain < n && evaluate(&vars, &net, ds, o, art, "valid", SD_SPLIT_TRAIN, order + ntrain, n - ntrain,
		     f)) ||
	    (ntest && evaluate(&vars, &net, ds, o, art, "test", SD_SPLIT_TEST, NULL, 0, f)))
		goto out;
	ret = 0;
out:
	free(order);
	sd_vars_release(&vars);
	return ret;
}
