/* sd-train: trains the network that a genotype stands for. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/tool.h"
#include "train/genofile.h"
#include "train/load_args.h"
#include "train/run.h"
#include "train/train.h"

static struct {
	int init_channels, mid_channels, layers, optimizer, limit_batches;
	double auxiliary_weight, drop_path_prob, train_portion, partial;
	bool auxiliary;
	const char *arch;
	struct sd_opt_list also;
	uint64_t seed;
	/* of later work, or without effect on the training of a cell network */
	bool mixed_auxiliary, multi_channel, simple_path;
	const char *evaluate, *load_args, *load_genotype, *ignored;
} o;
static struct sd_shared shared;
static struct sd_run_options run_options;

static struct sd_opt rows[] = {
	SD_OPT_TEXT("arch", "-a", SD_INPUT_NAME, &o.arch, "DARTS", "NAME|FILE",
		    "the genotype: a file (a name with a slash), - for standard input, or a name in "
		    "genotypes/"),
	SD_OPTS_RUN(run_options),
	SD_OPTS_WEIGHTS(run_options, "2000", "1e-08"),
	SD_OPT_CHOICE("schedule", NULL, SD_NUMERIC, &run_options.schedule, "cosine_power",
		      "cosine_power|warm_restarts",
		      "of the learning rate: cosine power annealing, or cosine annealing with warm restarts"),
	SD_OPT_INT("warm_restarts", NULL, SD_NUMERIC, &run_options.warm_restarts, "20", "N",
		   "with --schedule warm_restarts: epochs of the first cycle, each further one being twice as long",
		   SD_BETWEEN(1, 100000)),
	SD_OPT_LIST("also", NULL, SD_INPUT_NAME, &o.also, "FILE",
		    "evaluate on the test images of this data set too at the end (repeatable)"),
	SD_OPT_INT("init_channels", NULL, SD_NUMERIC, &o.init_channels, "36", "N",
		   "channels of the first cell", SD_BETWEEN(1, 4096)),
	SD_OPT_INT("mid_channels", NULL, SD_NUMERIC, &o.mid_channels, "32", "N",
		   "channels in the middle of a choke convolution", SD_BETWEEN(1, 4096)),
	SD_OPT_INT("layers", NULL, SD_NUMERIC, &o.layers, "20", "N", "cells in the network",
		   SD_BETWEEN(1, 1000)),
	SD_OPT_FLAG("auxiliary", NULL, SD_NUMERIC, &o.auxiliary, "train with an auxiliary head"),
	SD_OPT_REAL("auxiliary_weight", NULL, SD_NUMERIC, &o.auxiliary_weight, "0.4", "R",
		    "weight of the auxiliary head's loss", SD_AT_LEAST(0)),
	SD_OPT_REAL("drop_path_prob", NULL, SD_NUMERIC, &o.drop_path_prob, "0.2", "R",
		    "probability of dropping a path in the last epoch; it grows in proportion",
		    SD_BETWEEN(0, 0.999)),
	SD_OPT_REAL("train_portion", NULL, SD_NUMERIC, &o.train_portion, "1", "R",
		    "train on the first part of the training images; under 1 the rest is evaluated on after "
		    "each epoch in the place of the test images: to pick by validation", SD_BETWEEN(1e-6, 1)),
	SD_OPT_INT("limit_batches", NULL, SD_NUMERIC, &o.limit_batches, "0", "N",
		   "end each epoch after N steps; 0: all", SD_BETWEEN(0, 100000000)),
	SD_OPT_CHOICE("optimizer", NULL, SD_NUMERIC, &o.optimizer, "sgd", "sgd|padam",
		      "SGD with momentum, or Padam"),
	SD_OPT_REAL("partial", NULL, SD_NUMERIC, &o.partial, "0.125", "R",
		    "Padam divides by the second moment's root to the power of twice this: 0.5 is AMSGrad",
		    SD_BETWEEN(0, 0.5)),
	SD_OPT_SEED("seed", NULL, &o.seed, "0", "the run's seed"),
	SD_OPTS_COMMON(shared), SD_OPTS_THREADS(shared), SD_OPTS_OUTPUT(shared),
	SD_OPT_FLAG("mixed_auxiliary", NULL, SD_EXECUTION, &o.mixed_auxiliary,
		    "left out: the original's program has no class for it either"),
	SD_OPT_FLAG("multi_channel", NULL, SD_EXECUTION, &o.multi_channel, "not yet supported"),
	SD_OPT_TEXT("evaluate", "-e", SD_EXECUTION, &o.evaluate, "", "FILE",
		    "left out: sd-eval(1) does it"),
	SD_OPT_TEXT("load_args", NULL, SD_EXECUTION, &o.load_args, "", "FILE",
		    "take every parameter and the seed that the command line does not give from the manifest of "
		    "this training"),
	SD_OPT_TEXT("load_genotype", NULL, SD_EXECUTION, &o.load_genotype, "", "NAME", "not yet supported"),
	SD_OPT_FLAG_OFF("simple_path", NULL, SD_EXECUTION, &o.simple_path, "accepted, without effect"),
	SD_OPT_TEXT("primitives", NULL, SD_EXECUTION, &o.ignored, "PRIMITIVES", "LIST",
		    "accepted, without effect"),
	SD_OPT_TEXT("layers_of_cells", NULL, SD_EXECUTION, &o.ignored, "8", "N", "accepted, without effect"),
	SD_OPT_TEXT("layers_in_cells", NULL, SD_EXECUTION, &o.ignored, "4", "N", "accepted, without effect"),
	SD_OPT_TEXT("weighting_algorithm", NULL, SD_EXECUTION, &o.ignored, "scalar", "NAME",
		    "accepted, without effect"),
	SD_OPTS_RUN_IGNORED(o.ignored),
	SD_OPT_END
};
static struct sd_opts opts = {
	.tool = "sd-train", .summary = "trains the network that a genotype stands for", .rows = rows,
	.epilog = "The result holds the last and the best epoch's weights and the history.",
};

/* What the original's command lines may ask for and is not there yet. */
static int check_supported(void)
{
	if (o.mixed_auxiliary)
		return sd_error(SD_ERR_USAGE, "--mixed_auxiliary is not supported: the original has no class for it");
	if (*o.evaluate)
		return sd_error(SD_ERR_USAGE, "--evaluate is left out: sd-eval '%s' DATA does it", o.evaluate);
	const struct sd_run_later later[] = {
		{ "multi_channel", o.multi_channel },
		{ "load_genotype", *o.load_genotype },
	};
	return sd_run_check_later(&run_options, sizeof later / sizeof *later, later);
}

struct also {
	struct sd_dataset *ds;
	struct sd_evaluation best, last;
};

struct train_run {
	struct sd_run run;
	struct sd_train train;
	struct also *also; /* (o.also.n) */
};

static int put_column(struct sd_artifact_out *out, const char *path, const struct train_run *r,
	double (*value)(const struct also *a))
{
	uint64_t n = (uint64_t)o.also.n;
	double *v = sd_xcalloc(n, sizeof *v);
	for (uint64_t i = 0; i < n; i++)
		v[i] = value(&r->also[i]);
	int ret = sd_artifact_put(out, path, SD_TYPE_F64, 1, &n, v, 0);
	free(v);
	return ret;
}

static double best_loss(const struct also *a) { return a->best.loss; }
static double best_top1(const struct also *a) { return a->best.top1; }
static double best_top5(const struct also *a) { return a->best.top5; }
static double last_loss(const struct also *a) { return a->last.loss; }
static double last_top1(const struct also *a) { return a->last.top1; }
static double last_top5(const struct also *a) { return a->last.top5; }

/* What the further data sets gave: /also/data (n) names, /also/{best,last}_{loss,top1,top5} (n). */
static int write_also(const struct train_run *r, struct sd_artifact_out *out)
{
	static const struct { const char *path; double (*value)(const struct also *a); } column[] = {
		{ "/also/best_loss", best_loss }, { "/also/best_top1", best_top1 },
		{ "/also/best_top5", best_top5 }, { "/also/last_loss", last_loss },
		{ "/also/last_top1", last_top1 }, { "/also/last_top5", last_top5 },
	};
	const char **name = sd_xcalloc((size_t)o.also.n, sizeof *name);
	for (int i = 0; i < o.also.n; i++)
		name[i] = r->also[i].ds->name;
	int ret = sd_artifact_put_strings(out, "/also/data", (uint64_t)o.also.n, name);
	for (size_t i = 0; !ret && i < sizeof column / sizeof *column; i++)
		ret = put_column(out, column[i].path, r, column[i].value);
	free(name);
	return ret;
}

static int write_payload(const void *what, struct sd_artifact_out *out, bool partial)
{
	const struct train_run *r = what;
	const char *name = r->train.ds->name;
	if (sd_train_write(&r->train, out, partial) ||
	    sd_artifact_put_text(out, "/data", name, strlen(name)))
		return -1;
	return !partial && o.also.n ? write_also(r, out) : 0;
}

static int save_checkpoint(void *ctx)
{
	struct train_run *r = ctx;
	return sd_run_save(&r->run, &r->train.loop, false, write_payload, r);
}

static void report(void *ctx, int epoch, const double *row, double seconds)
{
	struct train_run *r = ctx;
	sd_tool_say(opts.tool, shared.quiet,
		"epoch %d/%d: lr %.6f, train loss %.4f top1 %.2f, test loss %.4f "
		"top1 %.2f, best %.2f, %.1f s", epoch, run_options.start_epoch + run_options.epochs - 1, row[SD_TRAIN_LR],
		row[SD_TRAIN_TRAIN_LOSS], row[SD_TRAIN_TRAIN_TOP1], row[SD_TRAIN_VALID_LOSS],
		row[SD_TRAIN_VALID_TOP1], r->train.best_top1, seconds);
}

static struct sd_train_options train_options(const struct sd_run *run, const struct sd_dataset *ds,
	const struct sd_genotype *genotype)
{
	struct sd_train_options t = { .step = SD_STEP_DEFAULTS };
	t.net = (struct sd_network){ .channels = o.init_channels, .classes = ds->nclass, .layers = o.layers,
		.auxiliary = o.auxiliary, .mid_channels = o.mid_channels,
		.ops = run_options.ops ? SD_DARTS_OPS : SD_OPS, .genotype = genotype };
	sd_run_step_options(&run_options, &t.step);
	t.step.padam = o.optimizer;
	t.step.partial = (float)o.partial;
	t.step.auxiliary_weight = (float)o.auxiliary_weight;
	t.batch = (uint32_t)run_options.batch_size;
	t.limit = (uint32_t)o.limit_batches;
	t.train_portion = o.train_portion;
	t.lr = run->lr;
	t.drop_path_prob = o.drop_path_prob;
	t.augment = sd_run_augment(&run_options, ds);
	return t;
}

static int read_also(struct train_run *r)
{
	r->also = sd_xcalloc((size_t)o.also.n + 1, sizeof *r->also);
	for (int i = 0; i < o.also.n; i++) {
		char role[32];
		snprintf(role, sizeof role, "also%d", i + 1);
		r->also[i].ds = sd_run_data(r->run.stamp, role, o.also.v[i]);
		if (!r->also[i].ds)
			return -1;
	}
	return 0;
}

static int evaluate_also(struct train_run *r)
{
	for (int i = 0; i < o.also.n; i++) {
		struct also *a = &r->also[i];
		if (sd_train_also(&r->train, a->ds, true, &a->best) ||
		    sd_train_also(&r->train, a->ds, false, &a->last))
			return sd_error_in("%s", o.also.v[i]);
		sd_tool_say(opts.tool, shared.quiet,
			"%s: best weights loss %.4f top1 %.2f, last weights loss %.4f "
			"top1 %.2f", o.also.v[i], a->best.loss, a->best.top1, a->last.loss, a->last.top1);
	}
	return 0;
}

/* With everything open. */
static int train(struct train_run *r, const struct sd_dataset *ds, const struct sd_genofile *arch)
{
	if (arch->g.kind != SD_GENOTYPE_CELL)
		return sd_error(SD_ERR_USAGE, "%s: a recurrent genotype, which is not yet supported",
			arch->name);
	if (sd_run_begin(&r->run, &run_options))
		return -1;
	if (r->run.done)
		return 0;
	struct sd_train_options options = train_options(&r->run, ds, &arch->g);
	int ret = -1;
	if (sd_train_init(&r->train, r->run.engine, ds, &options, o.seed, run_options.start_epoch,
			 run_options.epochs))
		return -1;
	r->train.loop.watch = (struct sd_loop_watch){ save_checkpoint, report, r };
	sd_run_loop(&r->run, &r->train.loop);
	if (r->run.resume ? sd_train_read(&r->train, r->run.resume) : sd_run_start(&r->run, &r->train.vars))
		goto out;
	if (sd_run_profile_begin(&r->run))
		goto out;
	int stopped = sd_loop_run(&r->train.loop);
	if (sd_run_profile_end(&r->run) || stopped)
		goto out;
	if (run_options.trace_step) {
		ret = 0;
		goto out;
	}
	if (evaluate_also(r))
		goto out;
	ret = sd_run_save(&r->run, &r->train.loop, true, write_payload, r);
out:
	sd_train_release(&r->train);
	return ret;
}

static int plan(const struct train_run *r, const struct sd_genofile *arch)
{
	const struct sd_dataset unknown = { .nclass = 0 };
	struct sd_train_options t = train_options(&r->run, &unknown, &arch->g);
	t.step.drop_path = t.drop_path_prob > 0;
	return sd_run_plan(&r->run, (struct sd_net){ .kind = SD_NET_CIFAR, .network = t.net }, &t.step, 0);
}

static int open_and_train(struct train_run *r)
{
	struct sd_genofile arch;
	const char *inputs[] = { o.arch, run_options.data, run_options.load, run_options.resume, o.load_args };
	struct sd_dataset *ds = NULL;
	int ret = -1;
	if (sd_check_one_stdin(inputs, 5) || (*o.load_args && sd_load_args(&opts, o.load_args)) ||
	    sd_run_init(&r->run, "model", &opts, &shared, &run_options) ||
	    sd_genofile_open(&arch, o.arch))
		return -1;
	sd_stamp_fact(r->run.stamp, "arch", json_string(arch.g.name ? arch.g.name : o.arch));
	if (sd_run_wants_plan(&r->run)) {
		ret = plan(r, &arch);
		sd_genofile_release(&arch);
		return ret;
	}
	char *path = sd_run_data_path(run_options.data, run_options.dataset);
	if (!sd_genofile_stamp(&arch, r->run.stamp, "arch") &&
	    (ds = sd_run_data(r->run.stamp, "data", path)) && !read_also(r))
		ret = train(r, ds, &arch);
	free(path);
	for (int i = 0; r->also && i < o.also.n; i++) {
		sd_dataset_free(r->also[i].ds);
		sd_evaluation_release(&r->also[i].best);
		sd_evaluation_release(&r->also[i].last);
	}
	free(r->also);
	sd_dataset_free(ds);
	sd_genofile_release(&arch);
	return ret;
}

int main(int argc, char **argv)
{
	static struct train_run r;
	int done = sd_opts_parse(&opts, argc, argv);
	if (done)
		return done < 0 ? sd_tool_fail(opts.tool) : sd_tool_close(opts.tool);
	r.run.tool = opts.tool;
	if (check_supported() || open_and_train(&r))
		return sd_run_fail(&r.run);
	sd_run_release(&r.run);
	sd_opts_release(&opts);
	return sd_tool_close(opts.tool);
}
