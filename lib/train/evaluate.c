/* evaluate.c: how good a network is on a data set. */
#include "train/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/sig.h"
#include "train/feed.h"

struct sd_evaluator {
	struct sd_vars *vars;
	struct sd_feed feed;
	struct sd_step_program *full, *rest; /* rest: of the short last batch, or NULL */
	uint32_t limit;
	int nclass;
	uint32_t n;                          /* samples, the limit not counted in */
	struct sd_buffer *predicted;         /* (n): the likeliest class of each */
};

void sd_evaluation_release(struct sd_evaluation *ev)
{
	free(ev->confusion);
	free(ev->label);
	free(ev->predicted);
	memset(ev, 0, sizeof *ev);
}

double sd_evaluation_class(const struct sd_evaluation *ev, int c)
{
	const int64_t *row = ev->confusion + (size_t)c * (size_t)ev->nclass;
	int64_t sum = 0;
	for (int i = 0; i < ev->nclass; i++)
		sum += row[i];
	return sum ? 100.0 * (double)row[c] / (double)sum : NAN;
}

static int net_classes(const struct sd_net *net)
{
	return net->kind == SD_NET_SUPERNET ? net->supernet.classes : net->network.classes;
}

static int check_fit(const struct sd_net *net, const struct sd_dataset *ds)
{
	if (ds->C != net->channels_in)
		return sd_error(SD_ERR_DATA, "data set '%s' has %d channels, the network takes %d", ds->name,
			ds->C, net->channels_in);
	if (ds->H != net->height || ds->W != net->width)
		return sd_error(SD_ERR_DATA, "data set '%s' has %dx%d images, the network takes %dx%d",
			ds->name, ds->H, ds->W, net->height, net->width);
	if (ds->nclass != net_classes(net))
		return sd_error(SD_ERR_DATA, "data set '%s' has %d classes, the network %d", ds->name,
			ds->nclass, net_classes(net));
	return 0;
}

struct sd_evaluator *sd_evaluator_new(struct sd_vars *vars, const struct sd_net *net,
	const struct sd_dataset *ds, const struct sd_loader_options *options, uint32_t limit, int plan_flags)
{
	if (check_fit(net, ds))
		return NULL;
	struct sd_evaluator *e = calloc(1, sizeof *e);
	if (!e) {
		sd_error(SD_ERR_IO, "out of memory");
		return NULL;
	}
	struct sd_loader_options o = *options;
	struct sd_step_options step = SD_STEP_DEFAULTS;
	uint32_t n = o.indices ? o.n : ds->split[o.split].n;
	step.plan_flags = plan_flags;
	e->vars = vars;
	e->limit = limit;
	e->nclass = ds->nclass;
	e->n = n;
	if (n == 0) {
		sd_error(SD_ERR_DATA, "data set '%s' has no %s images to evaluate on", ds->name,
			sd_split_name[o.split]);
		goto fail;
	}
	if (o.batch > n)
		o.batch = n;
	e->predicted = sd_buffer_new(vars->engine, SD_I32, sd_shape1((int)n));
	if (!e->predicted || sd_feed_init(&e->feed, vars->engine, ds, &o))
		goto fail;
	e->full = sd_step_program_new(vars, net, &step, SD_STEP_EVAL, (int)o.batch, 0);
	if (!e->full)
		goto fail;
	if (n % o.batch && !(limit && limit <= n / o.batch)) {
		e->rest = sd_step_program_new(vars, net, &step, SD_STEP_EVAL, (int)(n % o.batch), 0);
		if (!e->rest)
			goto fail;
	}
	return e;
fail:
	sd_evaluator_free(e);
	return NULL;
}

void sd_evaluator_free(struct sd_evaluator *e)
{
	if (!e)
		return;
	sd_feed_release(&e->feed);
	sd_step_program_free(e->full);
	sd_step_program_free(e->rest);
	sd_buffer_free(e->predicted);
	free(e);
}

/* The batches of an evaluation, without waiting for them: what is predicted and the sums stay in the engine's memory.
 * Returns how many samples there were, or -1.  With `look` each batch is waited for, until one whose loss is not
 * finite: every op of that one is watched, and -1 returned. */
static int64_t run_batches(struct sd_evaluator *e, uint32_t epoch, int look)
{
	struct sd_step_batch b;
	size_t n = 0;
	if (sd_step_sums_zero(e->vars, SD_STEP_EVAL) || sd_feed_epoch(&e->feed, epoch, 0))
		return -1;
	for (uint32_t i = 0; !e->limit || i < e->limit; i++) {
		if (sd_sig_pending())
			return sd_error(SD_ERR_STOPPED, "stopped while evaluating");
		int more = sd_feed_next(&e->feed, &b);
		if (more < 0)
			return -1;
		if (!more)
			break;
		struct sd_step_program *p = b.n == e->full->batch ? e->full : e->rest;
		struct sd_step_list l = { .n = 0 };
		if (sd_step_add_batch(&l, p, &b))
			return -1;
		sd_step_add(&l, p->program, &p->bind);
		if (sd_step_list_run(&l) || sd_program_keep(p->program, p->argmax, e->predicted, n))
			return -1;
		n += (size_t)b.n;
		struct sd_sums sums;
		if (!look)
			continue;
		if (sd_step_sums_get(e->vars, SD_STEP_EVAL, &sums))
			return -1;
		if (sums.bad > 0) {
			sd_engine_trace_nan(e->vars->engine, 1);
			int ret = sd_program_run(p->program, &p->bind);
			sd_engine_trace_nan(e->vars->engine, 0);
			return ret ? -1 : sd_error(SD_ERR_DATA, "no op was found to begin it");
		}
	}
	return (int64_t)n;
}

/* Which op it was is looked for in a second pass, which gives the same numbers again.  Returns -1. */
static int find_where(struct sd_evaluator *e, uint32_t epoch)
{
	if (run_batches(e, epoch, 1) >= 0)
		sd_error(SD_ERR_DATA, "it was finite when all was evaluated again");
	return sd_error_kind() == SD_ERR_STOPPED ? -1 : sd_error_in("the loss of the evaluation is not finite");
}

/* Room for e->n samples.  -1 with a message. */
static int evaluation_init(const struct sd_evaluator *e, struct sd_evaluation *ev)
{
	*ev = (struct sd_evaluation){ .nclass = e->nclass };
	ev->confusion = calloc((size_t)e->nclass * (size_t)e->nclass, sizeof *ev->confusion);
	ev->label = malloc(e->n * sizeof *ev->label);
	ev->predicted = malloc(e->n * sizeof *ev->predicted);
	return ev->confusion && ev->label && ev->predicted ? 0 : sd_error(SD_ERR_IO, "out of memory");
}

int sd_evaluator_run(struct sd_evaluator *e, uint32_t epoch, struct sd_evaluation *ev)
{
	const struct sd_feed_spec *spec = &e->feed.spec;
	struct sd_sums sums;
	int64_t n;
	if (evaluation_init(e, ev))
		goto fail;
	n = run_batches(e, epoch, 0);
	if (n < 0 || sd_step_sums_get(e->vars, SD_STEP_EVAL, &sums))
		goto fail;
	if (sums.bad > 0) {
		find_where(e, epoch);
		goto fail;
	}
	if (sd_buffer_read(e->predicted, ev->predicted))
		goto fail;
	ev->n = (uint64_t)n;
	for (int64_t i = 0; i < n; i++) {
		ev->label[i] = spec->labels[spec->indices ? spec->indices[i] : (uint32_t)i];
		ev->confusion[(size_t)ev->label[i] * (size_t)e->nclass + (size_t)ev->predicted[i]]++;
	}
	ev->loss = sums.loss / sums.n;
	ev->top1 = 100 * sums.top1 / sums.n;
	ev->top5 = 100 * sums.top5 / sums.n;
	return 0;
fail:
	sd_evaluation_release(ev);
	return -1;
}
