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
#include "train/flops.h"
#include "train/repeat.h"
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
	r->kind = kind;
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
	if (o->trace_step) {
		; /* nothing is written */
	} else if (strcmp(r->output, "-")) {
		sd_str_addf(&s, "%s.ckpt", r->output);
		r->checkpoint = sd_str_detach(&s);
	} else if (isatty(STDOUT_FILENO)) {
		return sd_error(SD_ERR_USAGE, "the result is binary and is not written to a terminal");
	}
	if (sd_profile_parse(o->profile, &r->profile))
		return -1;
	sd_sig_install();
	r->stamp = sd_stamp_new(kind, opts, shared);
	r->engine = sd_run_wants_plan(r) ? sd_device_open_plans(&o->device) :
		sd_device_open(&o->device, r->profile.what == SD_PROFILE_SERIAL ? 1 : shared->threads, r->stamp);
	if (!r->engine)
		return -1;
	sd_engine_trace_nan(r->engine, o->trace_nan);
	return 0;
}

void sd_run_release(struct sd_run *r)
{
	sd_artifact_close(r->resume);
	sd_artifact_close(r->start);
	sd_artifact_close(r->load);
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
	s->loss_scale = o->device.precision == SD_FP16;
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

/* The rates of a run of o->epochs epochs that ends with epoch `end`. */
static int schedule(struct sd_run *r, const struct sd_run_options *o, int end)
{
	struct sd_schedule s;
	struct sd_schedule_args args = SD_SCHEDULE_DEFAULTS;
	r->lr = calloc((size_t)o->epochs, sizeof *r->lr);
	if (!r->lr)
		return sd_error(SD_ERR_IO, "out of memory");
	if (o->schedule == SD_WARM_RESTARTS) {
		for (int i = 0; i < o->epochs; i++)
			r->lr[i] = sd_cosine_restarts(end - o->epochs + i, o->warm_restarts, o->learning_rate,
				o->learning_rate_min);
		return 0;
	}
	if (end == 1 && o->warmup_epochs == 0) {
		r->lr[0] = o->learning_rate;
		return 0;
	}
	args.epochs = end;
	args.max_lr = o->learning_rate;
	args.min_lr = o->learning_rate_min;
	args.exponent_order = o->exponent;
	args.warmup_epochs = o->warmup_epochs;
	args.start_epoch = end - o->epochs + 1;
	args.restart_lr = false;
	if (sd_cosine_power_annealing(&s, &args))
		return -1;
	int ret = 0;
	if (s.nlr == o->epochs)
		memcpy(r->lr, s.lr, (size_t)o->epochs * sizeof *r->lr);
	else
		ret = sd_error(SD_ERR_BUG, "the schedule has %d rates for %d epochs", s.nlr, o->epochs);
	sd_schedule_release(&s);
	return ret;
}

static int stamp_load(struct sd_run *r)
{
	if (!*r->o->load)
		return 0;
	r->load = sd_artifact_open(r->o->load, 0);
	if (!r->load)
		return -1;
	return sd_stamp_input(r->stamp, "load", sd_artifact_lineage(r->load), sd_artifact_name(r->load));
}

static bool is_same_run(const struct sd_run *r, const struct sd_artifact *art)
{
	return sd_stamp_same_run(r->stamp, sd_artifact_lineage(art)->own);
}

static int resume_auto(struct sd_run *r)
{
	if (!r->checkpoint || access(r->checkpoint, F_OK))
		return 0;
	r->resume = sd_artifact_open(r->checkpoint, SD_ARTIFACT_PARTIAL);
	if (!r->resume)
		return -1;
	if (is_same_run(r, r->resume))
		return 0;
	if (r->shared->update) { /* it is of no more use */
		sd_artifact_close(r->resume);
		r->resume = NULL;
		return unlink(r->checkpoint) ? sd_error_errno("cannot remove '%s'", r->checkpoint) : 0;
	}
	return sd_error(SD_ERR_USAGE,
		"'%s' is a checkpoint of another run: parameters, inputs, seed and program must be the same "
		"to go on; a run that --resume FILE began goes on with the same --resume FILE", r->checkpoint);
}

/* The number of the epoch behind the last one that an artifact has done. */
static int next_epoch(const struct sd_artifact *art)
{
	const json_t *claim = sd_artifact_lineage(art)->own->claim;
	json_int_t done = json_integer_value(json_object_get(claim, "epochs_done"));
	json_int_t first = json_integer_value(json_object_get(json_object_get(claim, "parameters"), "start_epoch"));
	if (first < 1 || done < 0 || first + done > 100000)
		return sd_error(SD_ERR_DATA, "%s: its manifest does not say which epoch it is at",
			sd_artifact_name(art));
	return (int)(first + done);
}

/* `art` is of another run: this is a new one, or such a one that was stopped. */
static int begin_new(struct sd_run *r, struct sd_run_options *o, struct sd_artifact *art)
{
	r->start = art;
	if (*o->load)
		return sd_error(SD_ERR_USAGE, "--load and --resume both say what the run begins with: '%s' is of "
			"another run", sd_artifact_name(art));
	if (sd_artifact_expect(art, r->kind) ||
	    sd_stamp_input(r->stamp, "resume", sd_artifact_lineage(art), sd_artifact_name(art)))
		return -1;
	int next = next_epoch(art);
	if (next < 0)
		return -1;
	if (!sd_opts_given(r->opts, "start_epoch"))
		o->start_epoch = next;
	if (r->checkpoint && !access(r->checkpoint, F_OK)) {
		struct sd_artifact *own = sd_artifact_open(r->checkpoint, SD_ARTIFACT_PARTIAL);
		if (own && is_same_run(r, own))
			r->resume = own;
		else
			sd_artifact_close(own); /* the check of the target says what it is */
	}
	if (!r->resume)
		sd_tool_say(r->tool, r->shared->quiet, "'%s' is of another run: a new one begins with its state, "
			"at epoch %d", sd_artifact_name(art), o->start_epoch);
	return 0;
}

static int resume_from(struct sd_run *r, struct sd_run_options *o)
{
	struct sd_artifact *art = sd_artifact_open(o->resume, SD_ARTIFACT_PARTIAL);
	if (!art)
		return -1;
	if (!is_same_run(r, art))
		return begin_new(r, o, art);
	r->resume = art;
	if (sd_artifact_lineage(art)->own->complete)
		return sd_error(SD_ERR_USAGE, "'%s' is this very run, and complete; with another parameter "
			"(--start_epoch %d) it would begin a new one", sd_artifact_name(art), next_epoch(art));
	return 0;
}

/* Whether the output is there already, and whole. */
static bool is_done(const struct sd_run *r)
{
	if (!strcmp(r->output, "-") || access(r->output, F_OK))
		return false;
	struct sd_artifact *art = sd_artifact_open(r->output, SD_ARTIFACT_NODATA);
	bool done = art && is_same_run(r, art);
	sd_artifact_close(art);
	return done;
}

int sd_run_begin(struct sd_run *r, struct sd_run_options *o)
{
	int epochs = o->epochs;
	if (!sd_opts_given(r->opts, "warmup_epochs") && o->warmup_epochs > epochs - 2)
		o->warmup_epochs = epochs > 2 ? epochs - 2 : 0;
	if (o->restart_lr && !o->resume)
		return sd_error(SD_ERR_USAGE, "--restart_lr is for a run that --resume begins");
	if (stamp_load(r))
		return -1;
	bool automatic = o->resume && !strcmp(o->resume, "auto");
	if (o->resume && !automatic && resume_from(r, o))
		return -1;
	int current = o->trace_step ? 0 : sd_stamp_update(r->stamp, r->output, NULL);
	if (current < 0)
		return -1;
	r->done = current;
	if (r->done)
		return 0;
	if (automatic && resume_auto(r))
		return -1;
	r->done = o->resume && !r->resume && !o->trace_step && is_done(r);
	if (r->done) {
		sd_tool_say(r->tool, r->shared->quiet, "'%s' is this run's and complete: there is nothing to do",
			r->output);
		return 0;
	}
	int continued = r->start && !o->restart_lr;
	if (schedule(r, o, continued ? o->start_epoch + epochs - 1 : epochs))
		return -1;
	if (o->trace_step)
		return 0;
	if (sd_stamp_check_target(r->stamp, r->output, r->shared->force))
		return -1;
	r->lock = sd_lock_take(r->output);
	if (!r->lock)
		return -1;
	if (r->resume) {
		sd_stamp_resumed(r->stamp, sd_artifact_lineage(r->resume)->own);
		return 0;
	}
	sd_repeat_say(r->tool, r->shared->quiet, r->stamp, r->kind, r->output, "--seed N makes another one");
	if (r->checkpoint)
		return sd_stamp_check_target(r->stamp, r->checkpoint, r->shared->force);
	return 0;
}

int sd_run_start(struct sd_run *r, struct sd_vars *vars)
{
	if (r->start)
		return sd_store_get(r->start, vars, false);
	if (!r->load)
		return 0;
	return sd_store_get_state(r->load, vars, sd_artifact_find(r->load, "/best_epoch") ? "state_best" : "state");
}

void sd_run_loop(const struct sd_run *r, struct sd_loop *loop)
{
	loop->name = r->tool;
	loop->quiet = r->shared->quiet;
	loop->max_seconds = r->o->max_time;
	loop->stop_step = (uint32_t)r->o->stop_step;
	loop->checkpoint_seconds = r->o->checkpoint_seconds;
	loop->show_step = (uint32_t)r->o->trace_step;
	if (!r->shared->quiet && (r->shared->verbose || isatty(STDERR_FILENO)))
		loop->report_steps = (uint32_t)r->o->report_freq;
}

int sd_run_profile_begin(const struct sd_run *r)
{
	return sd_engine_profile(r->engine, r->profile.what, &r->profile.limits);
}

int sd_run_profile_end(const struct sd_run *r)
{
	if (r->profile.what == SD_PROFILE_OFF)
		return 0;
	return sd_engine_profile_print(r->engine, strcmp(r->output, "-") ? stdout : stderr);
}

int sd_run_wants_plan(const struct sd_run *r)
{
	return r->o->flops || r->profile.plan;
}

int sd_run_plan(const struct sd_run *r, struct sd_net net, const struct sd_step_options *s, int unrolled)
{
	int classes = 10;
	char *path = sd_run_data_path(r->o->data, r->o->dataset);
	net.channels_in = 3;
	net.height = net.width = 32;
	if (access(path, F_OK)) {
		sd_tool_say(r->tool, r->shared->quiet, "there is no '%s': counting for 10 classes of images of "
			"3x32x32", path);
	} else {
		struct sd_dataset *ds = sd_run_data(r->stamp, "data", path);
		if (!ds) {
			free(path);
			return -1;
		}
		classes = ds->nclass;
		net.channels_in = ds->C;
		net.height = ds->H;
		net.width = ds->W;
		sd_dataset_free(ds);
	}
	free(path);
	net.network.classes = net.supernet.classes = classes;
	if (r->o->flops)
		return sd_flops_print(stdout, r->engine, &net, s, (uint32_t)r->o->batch_size);
	return sd_profile_plan(stdout, r->engine, (enum sd_precision)r->o->device.precision, &r->profile, &net, s,
		r->o->batch_size, unrolled);
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
	sd_device_stamp_choices(r->engine, r->stamp);
	sd_stamp_fact(r->stamp, "steps", json_integer(sd_loop_done(loop)));
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
