/* train.c: trains the network that a genotype stands for. */
#include "train/train.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "train/store.h"

static const char *const columns[SD_TRAIN_NCOL] = {
	"lr", "drop_path_prob", "train_loss", "train_top1", "train_top5", "valid_loss", "valid_top1",
	"valid_top5"
};

/* ---- the parts of an epoch ---- */

static double drop_path_prob(const struct sd_train *t, int epoch)
{
	return t->o.drop_path_prob * epoch / (t->loop.first_epoch - 1 + t->loop.epochs);
}

static int start_epoch(void *ctx, int epoch, uint32_t from)
{
	struct sd_train *t = ctx;
	if (sd_vars_set_f32(&t->vars, SD_VAR_LR, (float)t->o.lr[t->loop.epochs_done]) ||
	    sd_vars_set_f32(&t->vars, SD_VAR_DROP_PROB, (float)drop_path_prob(t, epoch)))
		return -1;
	return sd_feed_epoch(&t->feed, (uint32_t)epoch, from);
}

static int one_step(void *ctx)
{
	struct sd_train *t = ctx;
	struct sd_step_list l = { .n = 0 };
	struct sd_step_batch b;
	if (sd_vars_set_i32(&t->vars, SD_VAR_STEP, (int32_t)sd_loop_step(&t->loop)) || sd_feed_must(&t->feed, &b))
		return -1;
	struct sd_step_program *p = b.n == (int)t->o.batch ? t->full : t->rest;
	if (sd_step_add_batch(&l, p, &b))
		return -1;
	sd_step_add(&l, p->program, &p->bind);
	return sd_step_list_run(&l);
}

static int end_epoch(void *ctx, int epoch, double *row)
{
	struct sd_train *t = ctx;
	struct sd_sums train;
	struct sd_evaluation ev;
	if (sd_step_sums_get(&t->vars, SD_STEP_WEIGHTS, &train) ||
	    sd_evaluator_run(t->evaluator, (uint32_t)epoch, &ev))
		return -1;
	row[SD_TRAIN_LR] = t->o.lr[t->loop.epochs_done];
	row[SD_TRAIN_DROP_PATH] = drop_path_prob(t, epoch);
	row[SD_TRAIN_TRAIN_LOSS] = train.loss / train.n;
	row[SD_TRAIN_TRAIN_TOP1] = 100 * train.top1 / train.n;
	row[SD_TRAIN_TRAIN_TOP5] = 100 * train.top5 / train.n;
	row[SD_TRAIN_VALID_LOSS] = ev.loss;
	row[SD_TRAIN_VALID_TOP1] = ev.top1;
	row[SD_TRAIN_VALID_TOP5] = ev.top5;
	sd_evaluation_release(&ev);
	if (!t->best_epoch || row[SD_TRAIN_VALID_TOP1] > t->best_top1) {
		t->best_epoch = epoch;
		t->best_top1 = row[SD_TRAIN_VALID_TOP1];
		return sd_vars_resave(&t->vars, t->best);
	}
	return 0;
}

static const struct sd_loop_ops loop_ops = { start_epoch, one_step, end_epoch };

/* ---- beginning and end ---- */

/* Trains on the first part of the training split and evaluates on the rest, as a search divides it.  The
 * places in the split that both point to, to be freed; NULL with a message. */
static uint32_t *part(const struct sd_train *t, struct sd_loader_options *train, struct sd_loader_options *rest)
{
	uint32_t n = t->ds->split[SD_SPLIT_TRAIN].n, first = sd_dataset_portion(n, t->o.train_portion);
	if (first == 0 || first == n) {
		sd_error(SD_ERR_USAGE, "of %u training images %u would be trained on and %u evaluated on: "
			"another --train_portion is needed", n, first, n - first);
		return NULL;
	}
	uint32_t *order = malloc(n * sizeof *order);
	if (!order) {
		sd_error(SD_ERR_IO, "out of memory");
		return NULL;
	}
	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	train->indices = order;
	train->n = first;
	rest->split = SD_SPLIT_TRAIN;
	rest->indices = order + first;
	rest->n = n - first;
	return order;
}

int sd_train_init(struct sd_train *t, struct sd_engine *engine, const struct sd_dataset *ds,
	const struct sd_train_options *o, uint64_t seed, int first_epoch, int epochs)
{
	memset(t, 0, sizeof *t);
	t->o = *o;
	t->o.step.drop_path = o->drop_path_prob > 0;
	t->ds = ds;
	t->net = (struct sd_net){ .kind = SD_NET_CIFAR, .channels_in = ds->C, .height = ds->H, .width = ds->W,
		.network = o->net };
	sd_vars_init(&t->vars, engine, seed);
	sd_history_init(&t->loop.history, SD_TRAIN_NCOL, columns);
	uint32_t n = ds->split[SD_SPLIT_TRAIN].n, *order = NULL;
	if (n == 0) {
		sd_error(SD_ERR_DATA, "data set '%s' has no images to train on", ds->name);
		goto fail;
	}
	struct sd_loader_options train = { .split = SD_SPLIT_TRAIN, .order = SD_ORDER_SHUFFLE,
		.policy = o->augment, .seed = seed, .site = "train" };
	struct sd_loader_options test = { .split = SD_SPLIT_TEST, .order = SD_ORDER_AS_IS, .seed = seed,
		.site = "valid" };
	if (o->train_portion > 0 && o->train_portion < 1) {
		order = part(t, &train, &test);
		if (!order)
			goto fail;
		n = train.n;
	}
	if (t->o.batch > n)
		t->o.batch = n;
	train.batch = test.batch = t->o.batch;
	if (sd_feed_init(&t->feed, engine, ds, &train))
		goto fail;
	uint32_t steps = sd_feed_batches(&t->feed), rest = n % t->o.batch;
	int cut = o->limit && o->limit < steps;
	t->full = sd_step_program_new(&t->vars, &t->net, &t->o.step, SD_STEP_WEIGHTS, (int)t->o.batch, 0);
	if (!t->full)
		goto fail;
	if (rest && !cut &&
	    !(t->rest = sd_step_program_new(&t->vars, &t->net, &t->o.step, SD_STEP_WEIGHTS, (int)rest, 0)))
		goto fail;
	t->evaluator = sd_evaluator_new(&t->vars, &t->net, ds, &test, 0, o->step.plan_flags);
	if (!t->evaluator || !(t->best = sd_vars_save(&t->vars)))
		goto fail;

	t->loop.ops = &loop_ops;
	t->loop.ctx = t;
	t->loop.vars = &t->vars;
	t->loop.first_epoch = first_epoch;
	t->loop.epochs = epochs;
	t->loop.steps = cut ? o->limit : steps;
	free(order);
	return 0;
fail:
	free(order);
	sd_train_release(t);
	return -1;
}

void sd_train_release(struct sd_train *t)
{
	sd_feed_release(&t->feed);
	sd_step_program_free(t->full);
	sd_step_program_free(t->rest);
	sd_evaluator_free(t->evaluator);
	sd_vars_copy_free(t->best);
	sd_history_release(&t->loop.history);
	sd_trace_release(&t->loop.trace);
	sd_vars_release(&t->vars);
	memset(t, 0, sizeof *t);
}

int sd_train_also(struct sd_train *t, const struct sd_dataset *ds, bool best, struct sd_evaluation *ev)
{
	struct sd_loader_options o = { .split = SD_SPLIT_TEST, .batch = t->o.batch, .order = SD_ORDER_AS_IS,
		.site = "valid" };
	struct sd_vars_copy *last = NULL;
	struct sd_evaluator *e = sd_evaluator_new(&t->vars, &t->net, ds, &o, 0, t->o.step.plan_flags);
	int ret = -1;
	if (!e)
		return -1;
	if (best && (!(last = sd_vars_save(&t->vars)) || sd_vars_restore(&t->vars, t->best)))
		goto out;
	ret = sd_evaluator_run(e, 0, ev);
	if (last && sd_vars_restore(&t->vars, last))
		ret = -1;
out:
	sd_vars_copy_free(last);
	sd_evaluator_free(e);
	return ret;
}

/* ---- artifacts ---- */


/* The genotype without its name, in one form whatever the form it was read in: equal networks give equal
 * payloads. */
static char *anonymous_text(const struct sd_genotype *genotype)
{
	struct sd_genotype g;
	sd_genotype_init(&g);
	sd_genotype_copy(&g, genotype);
	free(g.name);
	g.name = NULL;
	g.layout = false;
	struct sd_cell *cell[2] = { &g.normal, &g.reduce };
	for (int i = 0; i < 2; i++) {
		cell[i]->concat_range = true;
		for (int k = 1; k < cell[i]->nconcat; k++)
			if (cell[i]->concat[k] != cell[i]->concat[0] + k)
				cell[i]->concat_range = false;
	}
	char *text = sd_genotype_text(&g);
	sd_genotype_release(&g);
	return text;
}

static int write_network(const struct sd_train *t, struct sd_artifact_out *out)
{
	const struct sd_network *n = &t->net.network;
	const struct { const char *path; int value; } number[] = {
		{ "/network/channels_in", t->net.channels_in }, { "/network/height", t->net.height },
		{ "/network/width", t->net.width }, { "/network/classes", n->classes },
		{ "/network/layers", n->layers }, { "/network/init_channels", n->channels },
		{ "/network/mid_channels", n->mid_channels }, { "/network/auxiliary", n->auxiliary },
	};
	for (size_t i = 0; i < sizeof number / sizeof *number; i++)
		if (sd_artifact_put_i64(out, number[i].path, number[i].value))
			return -1;
	const char *ops = sd_op_table_name(n->ops);
	char *text = anonymous_text(n->genotype);
	int ret = sd_artifact_put_text(out, "/network/ops", ops, strlen(ops)) ||
		sd_artifact_put_text(out, "/genotype", text, strlen(text)) ? -1 : 0;
	free(text);
	return ret;
}

int sd_network_read(struct sd_artifact *art, struct sd_net *net, struct sd_genotype *genotype)
{
	memset(net, 0, sizeof *net);
	net->kind = SD_NET_CIFAR;
	struct sd_network *n = &net->network;
	const struct { const char *path; int *value, min, max; } number[] = {
		{ "/network/channels_in", &net->channels_in, 1, SD_MAX_CHANNELS },
		{ "/network/height", &net->height, 1, SD_MAX_SIDE },
		{ "/network/width", &net->width, 1, SD_MAX_SIDE },
		{ "/network/classes", &n->classes, 1, SD_MAX_CLASSES },
		{ "/network/layers", &n->layers, 1, 1000 },
		{ "/network/init_channels", &n->channels, 1, 100000 },
		{ "/network/mid_channels", &n->mid_channels, -1, 100000 },
		{ "/network/auxiliary", &n->auxiliary, 0, 1 },
	};
	for (size_t i = 0; i < sizeof number / sizeof *number; i++) {
		int64_t v;
		if (sd_artifact_read(art, number[i].path, SD_TYPE_I64, &v, 1))
			return -1;
		if (v < number[i].min || v > number[i].max)
			return sd_error(SD_ERR_DATA, "%s: '%s' is %lld, expected %d to %d",
				sd_artifact_name(art), number[i].path, (long long)v, number[i].min,
				number[i].max);
		*number[i].value = (int)v;
	}
	char *ops = sd_artifact_string(art, "/network/ops", 0), *text = NULL;
	int ret = -1, table = ops ? sd_op_table_find(ops) : -1;
	if (table < 0)
		goto out;
	n->ops = (enum sd_op_table)table;
	text = sd_artifact_string(art, "/genotype", 0);
	if (!text || sd_genotype_parse(genotype, text, strlen(text), sd_artifact_name(art)))
		goto out;
	if (genotype->kind != SD_GENOTYPE_CELL) {
		sd_error(SD_ERR_DATA, "%s: its genotype is not of a convolutional cell",
			sd_artifact_name(art));
		goto out;
	}
	n->genotype = genotype;
	ret = 0;
out:
	free(ops);
	free(text);
	return ret;
}

int sd_train_write(const struct sd_train *t, struct sd_artifact_out *out, bool partial)
{
	if (write_network(t, out) || sd_store_put(out, &t->vars, partial) ||
	    sd_store_put_history(out, &t->loop.history) || sd_trace_put(&t->loop.trace, out))
		return -1;
	if (sd_store_put_copy(out, &t->vars, t->best, "state_best") ||
	    sd_artifact_put_i64(out, "/best_epoch", t->best_epoch))
		return -1;
	return partial ? sd_store_put_progress(out, &t->loop) : 0;
}

int sd_train_read(struct sd_train *t, struct sd_artifact *art)
{
	int64_t best;
	if (sd_artifact_read(art, "/best_epoch", SD_TYPE_I64, &best, 1) ||
	    sd_store_get_state(art, &t->vars, "state_best") || sd_vars_resave(&t->vars, t->best) ||
	    sd_store_get(art, &t->vars, true) || sd_store_get_history(art, &t->loop.history) ||
	    sd_store_get_progress(art, &t->loop))
		return -1;
	int64_t row = best - t->loop.first_epoch;
	if (best == 0 && t->loop.epochs_done == 0)
		return 0;
	if (row < 0 || row >= t->loop.epochs_done)
		return sd_error(SD_ERR_DATA, "%s: its best epoch is not in its history",
			sd_artifact_name(art));
	t->best_epoch = (int)best;
	t->best_top1 = t->loop.history.v[(size_t)row * SD_TRAIN_NCOL + SD_TRAIN_VALID_TOP1];
	return 0;
}
