/* loop.c: epochs of steps. */
#include "train/loop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/progress.h"
#include "base/sig.h"
#include "base/tool.h"

void sd_history_init(struct sd_history *h, int ncol, const char *const *column)
{
	memset(h, 0, sizeof *h);
	h->ncol = ncol;
	h->column = column;
}

void sd_history_release(struct sd_history *h)
{
	free(h->v);
	free(h->seconds);
	memset(h, 0, sizeof *h);
}

int sd_history_add(struct sd_history *h, const double *row, double seconds)
{
	if (h->n == h->cap) {
		int cap = h->cap ? 2 * h->cap : 64;
		double *v = realloc(h->v, (size_t)cap * (size_t)h->ncol * sizeof *v);
		if (v)
			h->v = v;
		double *s = realloc(h->seconds, (size_t)cap * sizeof *s);
		if (s)
			h->seconds = s;
		if (!v || !s)
			return sd_error(SD_ERR_IO, "out of memory");
		h->cap = cap;
	}
	memcpy(h->v + (size_t)h->n * (size_t)h->ncol, row, (size_t)h->ncol * sizeof *row);
	h->seconds[h->n++] = seconds;
	return 0;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* How many losses of the epoch's steps were not finite. */
static int bad_losses(const struct sd_loop *l, double *bad)
{
	static const enum sd_step_kind kind[] = { SD_STEP_ALPHAS, SD_STEP_WEIGHTS };
	double began = sd_engine_clock(l->vars->engine);
	*bad = 0;
	for (size_t i = 0; i < sizeof kind / sizeof *kind; i++) {
		struct sd_sums s;
		if (!sd_vars_find(l->vars, sd_step_sums(kind[i])))
			continue;
		if (sd_step_sums_get(l->vars, kind[i], &s))
			return -1;
		*bad += s.bad;
	}
	sd_engine_note_part(l->vars->engine, SD_PART_SUMS, sd_engine_clock(l->vars->engine) - began);
	return 0;
}

/* Keeps how the epoch was begun, for going back to it. */
static int keep(const struct sd_loop *l, struct sd_vars_copy *copy)
{
	double began = sd_engine_clock(l->vars->engine);
	int ret = sd_vars_resave(l->vars, copy);
	sd_engine_note_part(l->vars->engine, SD_PART_CHECKPOINTS, sd_engine_clock(l->vars->engine) - began);
	return ret;
}

static int checkpoint(const struct sd_loop *l)
{
	double began = sd_engine_clock(l->vars->engine);
	int ret = l->watch.checkpoint(l->watch.ctx);
	sd_engine_note_part(l->vars->engine, SD_PART_CHECKPOINTS, sd_engine_clock(l->vars->engine) - began);
	return ret;
}

/* Leaves the digest of the step that has been done. */
static int digest(struct sd_loop *l)
{
	double began = sd_engine_clock(l->vars->engine);
	int ret = sd_trace_step(&l->trace, sd_loop_done(l));
	sd_engine_note_part(l->vars->engine, SD_PART_DIGESTS, sd_engine_clock(l->vars->engine) - began);
	return ret;
}

/* Goes back to how the epoch was begun: `copy`, at batch `from`. */
static int go_back(struct sd_loop *l, const struct sd_vars_copy *copy, uint32_t from)
{
	l->steps_done = from;
	return sd_vars_restore(l->vars, copy) || l->ops->start(l->ctx, l->first_epoch + l->epochs_done, from) ? -1 : 0;
}

/* Steps on to step `last`, or to the first whose loss is not finite if that comes before. */
static int step_to(struct sd_loop *l, uint32_t last, bool look)
{
	double bad = 0;
	while (l->steps_done < last) {
		if (l->ops->step(l->ctx) || (look && bad_losses(l, &bad)))
			return -1;
		if (bad > 0)
			break;
		l->steps_done++;
	}
	return 0;
}

/* Repeats the epoch's steps, which gives the same numbers again, and watches every op of the one whose loss
 * is not finite.  Returns -1, the message names the op. */
static int find_where(struct sd_loop *l, const struct sd_vars_copy *copy, uint32_t from)
{
	int epoch = l->first_epoch + l->epochs_done;
	uint32_t last = l->steps_done;
	sd_progress_clear();
	/* where losses are only looked at when the epoch ends, it is not yet known which step it was */
	if (sd_engine_is_async(l->vars->engine)) {
		if (go_back(l, copy, from) || step_to(l, last, true))
			return -1;
		last = l->steps_done;
	}
	if (go_back(l, copy, from) || step_to(l, last, false))
		return -1;
	sd_engine_trace_nan(l->vars->engine, 1);
	int ret = l->ops->step(l->ctx);
	sd_engine_trace_nan(l->vars->engine, 0);
	if (!ret)
		sd_error(SD_ERR_DATA, "no op was found to begin it");
	return sd_error_in("the loss is not finite in epoch %d, step %u", epoch, last + 1);
}

/* When this process began, and after how many steps of the run. */
struct start { double time; uint32_t done; };

/* A limit of time lets one step through, so that a run that is begun again and again comes to its end. */
static int stop_asked(const struct sd_loop *l, const struct start *s)
{
	return sd_sig_pending() ||
		(l->max_seconds > 0 && sd_loop_done(l) > s->done && now() - s->time >= l->max_seconds) ||
		(l->stop_step && sd_loop_done(l) >= l->stop_step);
}

/* Writes the checkpoint of a run that is to stop.  Returns -1, kind SD_ERR_STOPPED. */
static int stop(struct sd_loop *l)
{
	sd_progress_clear();
	if (checkpoint(l))
		return -1;
	return sd_error(SD_ERR_STOPPED, "stopped in epoch %d after %u of %u steps",
		l->first_epoch + l->epochs_done, l->steps_done, l->steps);
}

/* How it goes: the means over the epoch's steps so far, where a line is due, and the progress. */
static void tell(const struct sd_loop *l, int epoch)
{
	double began = sd_engine_clock(l->vars->engine);
	struct sd_sums s;
	if (l->report_steps && l->steps_done % l->report_steps == 0 && !sd_step_sums_get(l->vars, SD_STEP_WEIGHTS, &s))
		sd_tool_say(l->name, false, "epoch %d, step %u/%u: train loss %.4f top1 %.2f top5 %.2f", epoch,
			l->steps_done, l->steps, s.loss / s.n, 100 * s.top1 / s.n, 100 * s.top5 / s.n);
	sd_progress(l->quiet, (uint64_t)l->epochs_done * l->steps + l->steps_done, (uint64_t)l->epochs * l->steps,
		"%s: epoch %d, step %u/%u", l->name, epoch, l->steps_done, l->steps);
	sd_engine_note_part(l->vars->engine, SD_PART_SUMS, sd_engine_clock(l->vars->engine) - began);
}

/* The next step, looked at in full.  2, or -1 with a message. */
static int show(struct sd_loop *l)
{
	struct sd_trace_show *s = sd_trace_show_begin(l->vars);
	sd_progress_clear();
	int ret = s && !l->ops->step(l->ctx) && !sd_trace_step(&l->trace, l->show_step) &&
		!sd_trace_show_end(s, &l->trace, stdout) ? 2 : -1;
	sd_trace_show_free(s);
	return ret;
}

/* The steps of one epoch that are left; 1 when asked to stop, 2 when the step to be shown has been. */
static int run_steps(struct sd_loop *l, int epoch, struct sd_vars_copy *copy, const struct start *began)
{
	uint32_t from = l->steps_done;
	if (from == 0 && sd_vars_find(l->vars, sd_step_sums(SD_STEP_ALPHAS)) &&
	    sd_step_sums_zero(l->vars, SD_STEP_ALPHAS))
		return -1;
	if (from == 0 && sd_step_sums_zero(l->vars, SD_STEP_WEIGHTS))
		return -1;
	if (keep(l, copy) || l->ops->start(l->ctx, epoch, from) || sd_trace_epoch(&l->trace))
		return -1;
	while (l->steps_done < l->steps) {
		double bad = 0;
		if (stop_asked(l, began)) {
			/* no checkpoint of losses that have not been looked at */
			if (sd_engine_is_async(l->vars->engine) && bad_losses(l, &bad))
				return -1;
			return bad > 0 ? find_where(l, copy, from) : 1;
		}
		if (l->show_step && sd_loop_done(l) + 1 == l->show_step)
			return show(l);
		if (l->ops->step(l->ctx))
			return -1;
		/* reading a sum waits for the device, so there only the last step of an epoch is followed by it */
		if ((!sd_engine_is_async(l->vars->engine) || l->steps_done + 1 == l->steps) && bad_losses(l, &bad))
			return -1;
		if (bad > 0)
			return find_where(l, copy, from);
		l->steps_done++;
		if (digest(l))
			return -1;
		tell(l, epoch);
	}
	return 0;
}

int sd_loop_run(struct sd_loop *l)
{
	struct start began = { now(), sd_loop_done(l) };
	double saved = began.time;
	double *row = calloc((size_t)l->history.ncol, sizeof *row);
	struct sd_vars_copy *copy = sd_vars_save(l->vars);
	int ret = -1;
	if (!row) {
		sd_error(SD_ERR_IO, "out of memory");
		goto out;
	}
	if (!copy || sd_trace_begin(&l->trace, l->vars, l->steps))
		goto out;
	if (l->show_step && (l->show_step > (uint64_t)l->epochs * l->steps || l->show_step <= sd_loop_done(l))) {
		sd_error(SD_ERR_USAGE, "step %u is not among those to be run, %u to %llu", l->show_step,
			sd_loop_done(l) + 1, (unsigned long long)l->epochs * l->steps);
		goto out;
	}
	while (l->epochs_done < l->epochs) {
		int epoch = l->first_epoch + l->epochs_done;
		double start = now();
		int asked = run_steps(l, epoch, copy, &began);
		if (asked < 0)
			goto out;
		if (asked == 2)
			break;
		if (asked) {
			stop(l);
			goto out;
		}
		int last = l->ops->end(l->ctx, epoch, row);
		if (last < 0) {
			if (sd_error_kind() == SD_ERR_STOPPED)
				stop(l);
			goto out;
		}
		sd_progress_clear();
		double seconds = now() - start;
		if (sd_history_add(&l->history, row, seconds))
			goto out;
		l->epochs_done++;
		l->steps_done = 0;
		l->watch.report(l->watch.ctx, epoch, row, seconds);
		if (last)
			break;
		/* here, and not before the next epoch's first step, which begins new sums: a checkpoint that is made
		 * again between the epochs is the same */
		if (l->epochs_done < l->epochs && stop_asked(l, &began)) {
			stop(l);
			goto out;
		}
		if (l->epochs_done < l->epochs && now() - saved >= l->checkpoint_seconds) {
			if (checkpoint(l))
				goto out;
			saved = now();
		}
	}
	ret = 0;
out:
	sd_vars_copy_free(copy);
	free(row);
	return ret;
}
