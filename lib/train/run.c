/* run.c: what sd-search and sd-train have in common around their loops. */
#include "train/run.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/json.h"
#include "base/sig.h"
#include "base/str.h"
#include "base/tool.h"
#include "train/schedule.h"
#include "train/store.h"

char *sd_run_data_path(const char *data, const char *name)
{
	struct sd_str path = SD_STR_INIT;
	struct stat st;
	sd_str_adds(&path, data);
	if (!stat(data, &st) && S_ISDIR(st.st_mode)) {
		if (path.s[path.len - 1] != '/')
			sd_str_addc(&path, '/');
		sd_str_addf(&path, "%s.h5", name);
	}
	return sd_str_detach(&path);
}

struct sd_dataset *sd_run_data(struct sd_stamp *stamp, const char *role, const char *path)
{
	struct sd_dataset *ds = NULL;
	struct sd_artifact *art = sd_artifact_open(path, 0);
	if (!art)
		return NULL;
	if (!sd_artifact_expect(art, "dataset") &&
	    !sd_stamp_input(stamp, role, sd_artifact_lineage(art), sd_artifact_name(art)))
		ds = sd_dataset_open(art);
	sd_artifact_close(art);
	return ds;
}

int sd_run_init(struct sd_run *r, const char *kind, struct sd_opts *opts, const struct sd_shared *shared,
	const struct sd_run_options *o)
{
	struct sd_str s = SD_STR_INIT;
	memset(r, 0, sizeof *r);
	r->tool = opts->tool;
	r->opts = opts;
	r->shared = shared;
	r->o = o;
	if (shared->output && sd_opts_given(opts, "save"))
		return sd_error(SD_ERR_USAGE, "--save and -o both say where the result goes");
	if (shared->output)
		sd_str_adds(&s, shared->output);
	else
		sd_str_addf(&s, "%s.h5", o->save);
	r->output = sd_str_detach(&s);
	if (strcmp(r->output, "-")) {
		sd_str_addf(&s, "%s.ckpt", r->output);
		r->checkpoint = sd_str_detach(&s);
	} else if (isatty(STDOUT_FILENO)) {
		return sd_error(SD_ERR_USAGE, "the result is binary and is not written to a terminal");
	}
	sd_sig_install();
	r->stamp = sd_stamp_new(kind, opts, shared);
	r->engine = sd_device_open(&o->device, shared->threads, r->stamp);
	if (!r->engine)
		return -1;
	sd_engine_trace_nan(r->engine, o->trace_nan);
	return 0;
}

void sd_run_release(struct sd_run *r)
{
	sd_engine_close(r->engine);
	sd_lock_release(r->lock);
	sd_stamp_free(r->stamp);
	free(r->output);
	free(r->checkpoint);
	free(r->lr);
	memset(r, 0, sizeof *r);
}

void sd_run_step_options(const struct sd_run_options *o, struct sd_step_options *s)
{
	s->momentum = (float)o->momentum;
	s->weight_decay = (float)o->weight_decay;
	s->grad_clip = (float)o->grad_clip;
	s->plan_flags = o->unfused ? SD_PLAN_UNFUSED : 0;
}

struct sd_augment sd_run_augment(const struct sd_run_options *o, const struct sd_dataset *ds)
{
	struct sd_augment a = sd_augment_train(ds, o->cutout ? o->cutout_length : 0);
	if (o->autoaugment)
		a.autoaugment = SD_AUTOAUGMENT_CIFAR10;
	a.eraser = o->random_eraser;
	return a;
}

int sd_run_check_later(const struct sd_run_options *o, size_t n, const struct sd_run_later *later)
{
	for (size_t i = 0; i < n; i++)
		if (later[i].asked)
			return sd_error(SD_ERR_USAGE, "--%s is not yet supported", later[i].name);
	if (o->recipe)
		return sd_error(SD_ERR_USAGE, "of the recipes only cifar is supported yet");
	return 0;
}

int sd_run_schedule(struct sd_run *r, struct sd_run_options *o)
{
	struct sd_schedule s;
	struct sd_schedule_args args = SD_SCHEDULE_DEFAULTS;
	int epochs = o->epochs;
	if (!sd_opts_given(r->opts, "warmup_epochs") && o->warmup_epochs > epochs - 2)
		o->warmup_epochs = epochs > 2 ? epochs - 2 : 0;
	r->lr = calloc((size_t)epochs, sizeof *r->lr);
	if (!r->lr)
		return sd_error(SD_ERR_IO, "out of memory");
	if (epochs == 1 && o->warmup_epochs == 0) {
		r->lr[0] = o->learning_rate;
		return 0;
	}
	args.epochs = epochs;
	args.max_lr = o->learning_rate;
	args.min_lr = o->learning_rate_min;
	args.exponent_order = o->exponent;
	args.warmup_epochs = o->warmup_epochs;
	if (sd_cosine_power_annealing(&s, &args))
		return -1;
	int ret = 0;
	if (s.nlr == epochs)
		memcpy(r->lr, s.lr, (size_t)epochs * sizeof *r->lr);
	else
		ret = sd_error(SD_ERR_BUG, "the schedule has %d rates for %d epochs", s.nlr, epochs);
	sd_schedule_release(&s);
	return ret;
}

static int same_run(const struct sd_run *r, const struct sd_artifact *art)
{
	if (sd_stamp_same_run(r->stamp, sd_artifact_lineage(art)->own))
		return 0;
	return sd_error(SD_ERR_USAGE,
		"'%s' is a checkpoint of another run: parameters, inputs, seed and program must be the same "
		"to go on", sd_artifact_name(art));
}

int sd_run_target(struct sd_run *r, struct sd_artifact **resume)
{
	const char *from = r->o->resume;
	*resume = NULL;
	if (sd_stamp_check_target(r->stamp, r->output, r->shared->force))
		return -1;
	r->lock = sd_lock_take(r->output);
	if (!r->lock)
		return -1;
	if (from && !strcmp(from, "auto")) {
		if (!r->checkpoint || access(r->checkpoint, F_OK))
			return 0;
		from = r->checkpoint;
	}
	if (!from)
		return r->checkpoint ? sd_stamp_check_target(r->stamp, r->checkpoint, r->shared->force) : 0;
	struct sd_artifact *art = sd_artifact_open(from, SD_ARTIFACT_PARTIAL);
	if (!art)
		return -1;
	if (same_run(r, art)) {
		sd_artifact_close(art);
		return -1;
	}
	sd_stamp_resumed(r->stamp, sd_artifact_lineage(art)->own);
	*resume = art;
	return 0;
}

int sd_run_load(struct sd_run *r, struct sd_vars *vars)
{
	if (!*r->o->load)
		return 0;
	struct sd_artifact *art = sd_artifact_open(r->o->load, 0);
	if (!art)
		return -1;
	int best = sd_artifact_find(art, "/best_epoch") != NULL;
	int ret = sd_stamp_input(r->stamp, "load", sd_artifact_lineage(art), sd_artifact_name(art)) ||
		sd_store_get_state(art, vars, best ? "state_best" : "state") ? -1 : 0;
	sd_artifact_close(art);
	return ret;
}

int sd_run_save(struct sd_run *r, const struct sd_loop *loop, bool complete, sd_run_write *write,
	const void *what)
{
	const char *name = complete ? r->output : r->checkpoint;
	if (!name) /* a stream has no checkpoint */
		return 0;
	json_t *seconds = json_array();
	for (int i = 0; i < loop->history.n; i++)
		json_array_append_new(seconds, sd_json_real(loop->history.seconds[i]));
	sd_stamp_fact(r->stamp, "epoch_seconds", seconds);
	sd_stamp_progress(r->stamp, loop->epochs_done, complete);
	struct sd_artifact_out *out = sd_artifact_create(name, true);
	if (!out)
		return -1;
	if (write(what, out, !complete)) {
		sd_artifact_abandon(out);
		return -1;
	}
	if (sd_artifact_finish(out, r->stamp, NULL))
		return -1;
	if (complete && r->checkpoint)
		unlink(r->checkpoint);
	return 0;
}

int sd_run_fail(struct sd_run *r)
{
	int stopped = sd_error_kind() == SD_ERR_STOPPED, sig = sd_sig_pending();
	int status = sd_tool_fail(r->tool);
	if (stopped && r->checkpoint)
		sd_tool_say(r->tool, false, "--resume auto goes on from '%s'", r->checkpoint);
	sd_run_release(r);
	if (stopped && sig)
		sd_sig_reraise(sig);
	return status;
}
