/* search.c: the search for a cell. */
#include "train/search.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "train/store.h"

static const char *const columns[SD_SEARCH_NCOL] = {
	"lr", "train_loss", "train_top1", "train_top5", "valid_loss", "valid_top1", "valid_top5",
	"skips_normal", "skips_reduce", "entropy_normal", "entropy_reduce", "arch_loss"
};

/* ---- the parts of an epoch ---- */

static int start_epoch(void *ctx, int epoch, uint32_t from)
{
	struct sd_search *s = ctx;
	double lr = s->o.lr[s->loop.epochs_done];
	if (sd_vars_set_f32(&s->vars, SD_VAR_LR, (float)lr) ||
	    sd_vars_set_f32(&s->vars, SD_VAR_ARCH_LR, (float)s->o.arch_lr))
		return -1;
	return sd_feed_epoch(&s->train_feed, (uint32_t)epoch, from) ||
		sd_feed_epoch(&s->valid_feed, 0, sd_loop_step(&s->loop))
		? -1 : 0;
}

/* Adds what moves the alphas; `train` is the batch that the weights come to next. */
static int add_alphas(struct sd_search *s, struct sd_step_list *l, const struct sd_step_batch *train)
{
	struct sd_step_batch valid;
	if (sd_feed_must(&s->valid_feed, &valid))
		return -1;
	if (s->unrolled)
		return sd_unrolled_add(s->unrolled, l, train, &valid);
	if (sd_step_add_batch(l, s->alphas, &valid))
		return -1;
	sd_step_add(l, s->alphas->program, &s->alphas->bind);
	return 0;
}

static int one_step(void *ctx)
{
	struct sd_search *s = ctx;
	struct sd_step_list l = { .n = 0 };
	struct sd_step_batch b;
	if (sd_vars_set_i32(&s->vars, SD_VAR_STEP, (int32_t)sd_loop_step(&s->loop)) ||
	    sd_feed_must(&s->train_feed, &b))
		return -1;
	struct sd_step_program *w = b.n == (int)s->o.batch ? s->weights : s->weights_rest;
	if (!s->o.step.alphas_as_weights && add_alphas(s, &l, &b))
		return -1;
	/* a second-order step has read the training batch already, and w shares its inputs */
	if (!s->unrolled && sd_step_add_batch(&l, w, &b))
		return -1;
	sd_step_add(&l, w->program, &w->bind);
	return sd_step_list_run(&l);
}

/* The alphas and weights of the epoch that has ended. */
static int record_alphas(struct sd_search *s, double *row)
{
	int n = s->loop.epochs_done;
	if (sd_search_watch_room(s, n) || sd_program_run(s->softmax, &s->softmax_bind))
		return -1;
	for (int i = 0; i < 2; i++) {
		size_t at = (size_t)n * s->ncell[i];
		if (sd_vars_get(&s->vars, sd_alpha_names[i], s->epochs.alpha[i] + at) ||
		    sd_program_read(s->softmax, s->softmax_out[i], s->epochs.weight[i] + at))
			return -1;
	}
	return sd_search_watch(s, n, row);
}

static int end_epoch(void *ctx, int epoch, double *row)
{
	struct sd_search *s = ctx;
	struct sd_sums train, arch;
	struct sd_evaluation ev;
	if (sd_step_sums_get(&s->vars, SD_STEP_WEIGHTS, &train))
		return -1;
	if (!s->o.step.alphas_as_weights) {
		if (sd_step_sums_get(&s->vars, SD_STEP_ALPHAS, &arch))
			return -1;
		row[SD_SEARCH_ARCH_LOSS] = arch.loss / arch.n;
	}
	if (sd_evaluator_run(s->evaluator, (uint32_t)epoch, &ev))
		return -1;
	row[SD_SEARCH_LR] = s->o.lr[s->loop.epochs_done];
	row[SD_SEARCH_TRAIN_LOSS] = train.loss / train.n;
	row[SD_SEARCH_TRAIN_TOP1] = 100 * train.top1 / train.n;
	row[SD_SEARCH_TRAIN_TOP5] = 100 * train.top5 / train.n;
	row[SD_SEARCH_VALID_LOSS] = ev.loss;
	row[SD_SEARCH_VALID_TOP1] = ev.top1;
	row[SD_SEARCH_VALID_TOP5] = ev.top5;
	sd_evaluation_release(&ev);
	if (record_alphas(s, row))
		return -1;
	return s->o.stop_on_skips && row[SD_SEARCH_SKIPS_NORMAL] >= s->o.stop_on_skips;
}

static const struct sd_loop_ops loop_ops = { start_epoch, one_step, end_epoch };

/* ---- beginning and end ---- */

/* A program that gives the softmaxed weights as the steps see them, bit for bit. */
static int softmax_init(struct sd_search *s)
{
	struct sd_shape shape = sd_shape2(sd_search_edges(s->o.net.steps), s->o.net.prims->n);
	struct sd_graph *g = s->softmax_graph = sd_graph_new();
	if (!g)
		return -1;
	for (int i = 0; i < 2; i++) {
		s->softmax_out[i] = sd_softmax(g, sd_param(g, sd_alpha_names[i], shape));
		s->ncell[i] = sd_shape_count(&shape);
	}
	if (!sd_graph_ok(g))
		return -1;
	s->softmax = sd_program_new(s->vars.engine, g, 2, s->softmax_out, 0);
	if (!s->softmax)
		return -1;
	s->softmax_bind.nslot = g->nslot;
	s->softmax_bind.slot = calloc((size_t)g->nslot + 1, sizeof *s->softmax_bind.slot);
	if (!s->softmax_bind.slot)
		return sd_error(SD_ERR_IO, "out of memory");
	return sd_vars_bind(&s->vars, g, &s->softmax_bind);
}

static int feeds_init(struct sd_search *s, uint64_t seed)
{
	uint32_t n = s->ds->split[SD_SPLIT_TRAIN].n;
	uint32_t *order = malloc(((size_t)n + 1) * sizeof *order);
	if (!order)
		return sd_error(SD_ERR_IO, "out of memory");
	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	s->valid = order;
	s->ntrain = sd_dataset_portion(n, s->o.train_portion);
	s->nvalid = n - s->ntrain;
	if (s->ntrain == 0 || s->nvalid < s->o.batch)
		return sd_error(SD_ERR_USAGE,
			"of %u training images %u are left to train on and %u to validate; at least one "
			"and a batch of %u are needed", n, s->ntrain, s->nvalid, s->o.batch);

	struct sd_loader_options train = { .split = SD_SPLIT_TRAIN, .indices = order, .n = s->ntrain,
		.batch = s->o.batch, .order = SD_ORDER_SHUFFLE, .policy = s->o.augment, .seed = seed,
		.site = "train" };

	struct sd_loader_options valid = train;
	valid.indices = order + s->ntrain;
	valid.n = s->nvalid;
	valid.order = SD_ORDER_DRAW;
	valid.site = "valid";
	if (sd_feed_init(&s->train_feed, s->vars.engine, s->ds, &train) ||
	    sd_feed_init(&s->valid_feed, s->vars.engine, s->ds, &valid))
		return -1;

	/* The evaluation after an epoch sees each validation image once, augmented as the reference does;
	 * these images take no other draw at the site "train". */
	struct sd_loader_options all = valid;
	all.order = SD_ORDER_AS_IS;
	all.site = "train";
	s->evaluator = sd_evaluator_new(&s->vars, &s->net, s->ds, &all, s->o.limit, s->o.step.plan_flags);
	return s->evaluator ? 0 : -1;
}

static struct sd_step_program *weight_step(struct sd_search *s, uint32_t batch)
{
	return sd_step_program_new(&s->vars, &s->net, &s->o.step, SD_STEP_WEIGHTS, (int)batch, 0);
}

/* For training batches of either size, 0 being none. */
static int alpha_step(struct sd_search *s, int full, int rest)
{
	int size[2], n = 0, batch = (int)s->o.batch;
	if (full)
		size[n++] = full;
	if (rest)
		size[n++] = rest;
	if (s->o.unrolled)
		s->unrolled = sd_unrolled_new(&s->vars, &s->net, &s->o.step, batch, n, size, 0);
	else
		s->alphas = sd_step_program_new(&s->vars, &s->net, &s->o.step, SD_STEP_ALPHAS, batch, 0);
	return s->unrolled || s->alphas ? 0 : -1;
}

int sd_search_init(struct sd_search *s, struct sd_engine *engine, const struct sd_dataset *ds,
	const struct sd_search_options *o, uint64_t seed, int first_epoch, int epochs)
{
	memset(s, 0, sizeof *s);
	s->o = *o;
	s->ds = ds;
	s->net = (struct sd_net){ .kind = SD_NET_SUPERNET, .channels_in = ds->C, .height = ds->H,
		.width = ds->W, .supernet = o->net };
	sd_vars_init(&s->vars, engine, seed);
	if (o->net.prims->n == 1 && o->net.prims->id[0] == SD_PRIM_NONE)
		return sd_error(SD_ERR_USAGE, "with 'none' as the only primitive there is nothing to search for");
	sd_history_init(&s->loop.history, SD_SEARCH_NCOL - (o->step.alphas_as_weights ? 1 : 0), columns);
	if (feeds_init(s, seed))
		goto fail;

	uint32_t steps = sd_feed_batches(&s->train_feed), rest = s->ntrain % o->batch;
	int full = s->ntrain >= o->batch, cut = o->limit && o->limit < steps;
	if (full && !(s->weights = weight_step(s, o->batch)))
		goto fail;
	if (rest && !cut && !(s->weights_rest = weight_step(s, rest)))
		goto fail;
	if (!o->step.alphas_as_weights && alpha_step(s, full ? (int)o->batch : 0, s->weights_rest ? (int)rest : 0))
		goto fail;
	if (s->unrolled) {
		if (full)
			sd_step_share_input(s->weights, sd_unrolled_reader(s->unrolled, (int)o->batch));
		if (s->weights_rest)
			sd_step_share_input(s->weights_rest, sd_unrolled_reader(s->unrolled, (int)rest));
	}
	if (softmax_init(s))
		goto fail;

	s->loop.ops = &loop_ops;
	s->loop.ctx = s;
	s->loop.vars = &s->vars;
	s->loop.first_epoch = first_epoch;
	s->loop.epochs = epochs;
	s->loop.steps = cut ? o->limit : steps;
	return 0;
fail:
	sd_search_release(s);
	return -1;
}

void sd_search_release(struct sd_search *s)
{
	sd_feed_release(&s->train_feed);
	sd_feed_release(&s->valid_feed);
	sd_evaluator_free(s->evaluator);
	sd_step_program_free(s->alphas);
	sd_unrolled_free(s->unrolled);
	sd_step_program_free(s->weights);
	sd_step_program_free(s->weights_rest);
	sd_program_free(s->softmax);
	sd_graph_free(s->softmax_graph);
	free(s->softmax_bind.slot);
	free(s->valid);
	sd_search_watch_release(s);
	sd_history_release(&s->loop.history);
	sd_trace_release(&s->loop.trace);
	sd_vars_release(&s->vars);
	memset(s, 0, sizeof *s);
}

/* ---- artifacts ---- */

int sd_search_write(const struct sd_search *s, struct sd_artifact_out *out, bool partial)
{
	const struct sd_primitive_list *prims = s->o.net.prims;
	const char *name[SD_PRIM_COUNT];
	for (int i = 0; i < prims->n; i++)
		name[i] = sd_primitives[prims->id[i]].name;
	if (sd_artifact_put_strings(out, "/primitives", (uint64_t)prims->n, name) || sd_search_watch_write(s, out) ||
	    sd_store_put(out, &s->vars, partial) || sd_store_put_history(out, &s->loop.history) || sd_trace_put(&s->loop.trace, out))
		return -1;
	return partial ? sd_store_put_progress(out, &s->loop) : 0;
}

int sd_search_read(struct sd_search *s, struct sd_artifact *art)
{
	return sd_store_get(art, &s->vars, true) || sd_store_get_history(art, &s->loop.history) ||
		sd_store_get_progress(art, &s->loop) || sd_search_watch_read(s, art) ? -1 : 0;
}
