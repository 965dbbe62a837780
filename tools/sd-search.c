/* sd-search: searches for a cell on a data set. */
#include <stdlib.h>
#include <string.h>

#include "base/tool.h"
#include "train/run.h"
#include "train/search.h"

static struct {
	int epochs, start_epoch, warmup_epochs, batch_size, init_channels, layers_of_cells, layers_in_cells;
	int cutout_length, weighting, ops, recipe, limit_batches;
	double learning_rate, learning_rate_min, exponent, momentum, weight_decay, grad_clip, train_portion;
	double arch_learning_rate, arch_weight_decay;
	bool cutout, autoaugment, unfused;
	const char *primitives;
	uint64_t seed;
	/* of later work, or without effect on a cell search */
	bool random_eraser, no_architect, unrolled, multi_channel;
	const char *evaluate, *load_args, *final_path, *load_genotype, *mid_channels, *drop_path_prob,
		*ignored;
} o;
static struct sd_shared shared;
static struct sd_run_options run_options;

static struct sd_opt rows[] = {
	SD_OPTS_RUN(run_options),
	SD_OPT_INT("batch_size", "-b --b", SD_NUMERIC, &o.batch_size, "64", "N", "images in a batch",
		   SD_BETWEEN(1, 65536)),
	SD_OPT_INT("epochs", NULL, SD_NUMERIC, &o.epochs, "50", "N", "epochs to run", SD_BETWEEN(1, 100000)),
	SD_OPT_INT("start_epoch", NULL, SD_NUMERIC, &o.start_epoch, "1", "N", "number of the first epoch",
		   SD_BETWEEN(1, 100000)),
	SD_OPT_REAL("learning_rate", "--lr", SD_NUMERIC, &o.learning_rate, "0.025", "R",
		    "highest learning rate of the weights", SD_AT_LEAST(0)),
	SD_OPT_REAL("learning_rate_min", NULL, SD_NUMERIC, &o.learning_rate_min, "0.0001", "R",
		    "lowest learning rate of the weights", SD_AT_LEAST(0)),
	SD_OPT_REAL("lr_power_annealing_exponent_order", NULL, SD_NUMERIC, &o.exponent, "2", "R",
		    "exponent order of the cosine power annealing", SD_AT_LEAST(1)),
	SD_OPT_INT("warmup_epochs", NULL, SD_NUMERIC, &o.warmup_epochs, "5", "N",
		   "epochs of rising learning rate; unless given, less in a run of under seven epochs",
		   SD_BETWEEN(0, 100000)),
	SD_OPT_REAL("momentum", NULL, SD_NUMERIC, &o.momentum, "0.9", "R",
		    "momentum of the weights", SD_BETWEEN(0, 1)),
	SD_OPT_REAL("weight_decay", "--wd", SD_NUMERIC, &o.weight_decay, "0.0003", "R",
		    "weight decay of the weights", SD_AT_LEAST(0)),
	SD_OPT_REAL("grad_clip", NULL, SD_NUMERIC, &o.grad_clip, "5", "R",
		    "largest norm of the weights' gradient; 0: any", SD_AT_LEAST(0)),
	SD_OPT_REAL("arch_learning_rate", NULL, SD_NUMERIC, &o.arch_learning_rate, "0.0003", "R",
		    "learning rate of the architecture", SD_AT_LEAST(0)),
	SD_OPT_REAL("arch_weight_decay", NULL, SD_NUMERIC, &o.arch_weight_decay, "0.001", "R",
		    "weight decay of the architecture", SD_AT_LEAST(0)),
	SD_OPT_REAL("train_portion", NULL, SD_NUMERIC, &o.train_portion, "0.5", "R",
		    "part of the training images that the weights see, the rest is for the architecture",
		    SD_BETWEEN(0, 1)),
	SD_OPT_INT("init_channels", NULL, SD_NUMERIC, &o.init_channels, "16", "N",
		   "channels of the first cell", SD_BETWEEN(1, 4096)),
	SD_OPT_INT("layers_of_cells", "--layers", SD_NUMERIC, &o.layers_of_cells, "8", "N",
		   "cells in the network", SD_BETWEEN(1, 1000)),
	SD_OPT_INT("layers_in_cells", NULL, SD_NUMERIC, &o.layers_in_cells, "4", "N", "nodes in a cell",
		   SD_BETWEEN(1, 100)),
	SD_OPT_TEXT("primitives", NULL, SD_NUMERIC, &o.primitives, "PRIMITIVES", "LIST",
		    "what an edge chooses from: PRIMITIVES, DARTS_PRIMITIVES, SHARPER_PRIMITIVES, or names "
		    "with commas between them"),
	SD_OPT_CHOICE("ops", NULL, SD_NUMERIC, &o.ops, "OPS", "OPS|DARTS_OPS",
		      "the layers that a primitive stands for"),
	SD_OPT_CHOICE("weighting_algorithm", NULL, SD_NUMERIC, &o.weighting, "scalar", "scalar|max_w",
		      "factor of a primitive of weight w: w, or 1 - max(w) + w"),
	SD_OPT_FLAG("cutout", NULL, SD_NUMERIC, &o.cutout, "cut a square hole into each training image"),
	SD_OPT_INT("cutout_length", NULL, SD_NUMERIC, &o.cutout_length, "16", "N", "side of the hole",
		   SD_BETWEEN(1, 1024)),
	SD_OPT_FLAG("autoaugment", NULL, SD_NUMERIC, &o.autoaugment,
		    "AutoAugment each training image by the policy for CIFAR-10; colour images only"),
	SD_OPT_INT("limit_batches", NULL, SD_NUMERIC, &o.limit_batches, "0", "N",
		   "end each epoch after N steps, and its evaluation after N batches; 0: all",
		   SD_BETWEEN(0, 100000000)),
	SD_OPT_CHOICE("recipe", NULL, SD_NUMERIC, &o.recipe, "cifar", "cifar|imagenet|imagenet-fp16|rnn",
		      "which of the original's programs to be; only cifar is there yet"),
	SD_OPT_SEED("seed", NULL, &o.seed, "2", "the run's seed"),
	SD_OPTS_COMMON(shared), SD_OPTS_THREADS(shared), SD_OPTS_OUTPUT(shared),
	SD_OPT_FLAG("unfused", NULL, SD_NUMERIC, &o.unfused,
		    "run every op by itself (slow; a check on the engine)"),
	SD_OPT_FLAG("random_eraser", NULL, SD_EXECUTION, &o.random_eraser, "not yet supported"),
	SD_OPT_FLAG("no_architect", NULL, SD_EXECUTION, &o.no_architect, "not yet supported"),
	SD_OPT_FLAG("unrolled", NULL, SD_EXECUTION, &o.unrolled, "not yet supported"),
	SD_OPT_FLAG("multi_channel", NULL, SD_EXECUTION, &o.multi_channel, "not yet supported"),
	SD_OPT_TEXT("evaluate", "-e", SD_EXECUTION, &o.evaluate, "", "FILE", "not yet supported"),
	SD_OPT_TEXT("load_args", NULL, SD_EXECUTION, &o.load_args, "", "FILE", "not yet supported"),
	SD_OPT_TEXT("final_path", NULL, SD_EXECUTION, &o.final_path, "", "PATH", "not yet supported"),
	SD_OPT_TEXT("load_genotype", NULL, SD_EXECUTION, &o.load_genotype, "", "NAME", "not yet supported"),
	SD_OPT_TEXT("mid_channels", NULL, SD_EXECUTION, &o.mid_channels, "32", "N",
		    "accepted, without effect, as in the original"),
	SD_OPT_TEXT("drop_path_prob", NULL, SD_EXECUTION, &o.drop_path_prob, "0.3", "R",
		    "accepted, without effect, as in the original"),
	SD_OPTS_RUN_IGNORED(o.ignored),
	SD_OPT_END
};
static struct sd_opts opts = {
	.tool = "sd-search", .summary = "searches for a cell on a data set", .rows = rows,
	.epilog = "The result holds architecture weights for sd-derive, the history, and all weights.",
};

/* What the original's command lines may ask for and is not there yet. */
static int check_supported(void)
{
	const struct { const char *name; int asked; } later[] = {
		{ "random_eraser", o.random_eraser },
		{ "no_architect", o.no_architect }, { "unrolled", o.unrolled },
		{ "multi_channel", o.multi_channel }, { "evaluate", *o.evaluate },
		{ "load_args", *o.load_args }, { "final_path", *o.final_path },
		{ "load_genotype", *o.load_genotype },
	};
	for (size_t i = 0; i < sizeof later / sizeof *later; i++)
		if (later[i].asked)
			return sd_error(SD_ERR_USAGE, "--%s is not yet supported", later[i].name);
	if (o.recipe)
		return sd_error(SD_ERR_USAGE, "of the recipes only cifar is supported yet");
	return 0;
}

struct search_run {
	struct sd_run run;
	struct sd_search search;
};

static int write_payload(const void *search, struct sd_artifact_out *out, bool partial)
{
	return sd_search_write(search, out, partial);
}

static int save_checkpoint(void *ctx)
{
	struct search_run *r = ctx;
	return sd_run_save(&r->run, &r->search.loop, false, write_payload, &r->search);
}

static void report(void *ctx, int epoch, const double *row, double seconds)
{
	struct search_run *r = ctx;
	sd_tool_say(opts.tool, shared.quiet,
		"epoch %d/%d: lr %.6f, train loss %.4f top1 %.2f, valid loss %.4f top1 %.2f, "
		"%.1f s", epoch, o.start_epoch + r->search.loop.epochs - 1, row[SD_SEARCH_LR],
		row[SD_SEARCH_TRAIN_LOSS], row[SD_SEARCH_TRAIN_TOP1], row[SD_SEARCH_VALID_LOSS],
		row[SD_SEARCH_VALID_TOP1], seconds);
}

static struct sd_search_options search_options(const struct sd_run *run, const struct sd_dataset *ds,
	const struct sd_primitive_list *prims)
{
	struct sd_search_options s = { .step = SD_STEP_DEFAULTS };
	s.net = (struct sd_supernet){ .channels = o.init_channels, .classes = ds->nclass,
		.layers = o.layers_of_cells, .steps = o.layers_in_cells, .prims = prims,
		.ops = o.ops ? SD_DARTS_OPS : SD_OPS, .weighting = o.weighting ? SD_MAX_W : SD_SCALAR_W };
	s.step.momentum = (float)o.momentum;
	s.step.weight_decay = (float)o.weight_decay;
	s.step.grad_clip = (float)o.grad_clip;
	s.step.arch_weight_decay = (float)o.arch_weight_decay;
	s.step.plan_flags = o.unfused ? SD_PLAN_UNFUSED : 0;
	s.batch = (uint32_t)o.batch_size;
	s.train_portion = o.train_portion;
	s.limit = (uint32_t)o.limit_batches;
	s.lr = run->lr;
	s.arch_lr = o.arch_learning_rate;
	s.augment = sd_augment_train(ds, o.cutout ? o.cutout_length : 0);
	if (o.autoaugment)
		s.augment.autoaugment = SD_AUTOAUGMENT_CIFAR10;
	return s;
}

static int search(struct search_run *r)
{
	struct sd_primitive_list prims;
	struct sd_artifact *resume = NULL;
	const char *inputs[] = { run_options.data, run_options.load };
	char *path = sd_run_data_path(run_options.data, run_options.dataset);
	int ret = -1;

	if (sd_check_one_stdin(inputs, 2) || sd_primitive_list_parse(&prims, o.primitives) ||
	    sd_primitive_list_check(&prims, o.ops ? SD_DARTS_OPS : SD_OPS) ||
	    sd_run_init(&r->run, "search", &opts, &shared, &run_options) ||
	    sd_run_schedule(&r->run, o.epochs, o.learning_rate, o.learning_rate_min, o.exponent,
			    &o.warmup_epochs)) {
		free(path);
		return -1;
	}
	struct sd_dataset *ds = sd_run_data(r->run.stamp, "data", path);
	free(path);
	if (!ds)
		return -1;
	struct sd_search_options options = search_options(&r->run, ds, &prims);
	if (sd_search_init(&r->search, r->run.engine, ds, &options, o.seed, o.start_epoch, o.epochs))
		goto out_data;
	r->search.loop.watch = (struct sd_loop_watch){ save_checkpoint, report, r };
	r->search.loop.name = opts.tool;
	r->search.loop.quiet = shared.quiet;
	r->search.loop.max_seconds = run_options.max_time;
	if (sd_run_load(&r->run, &r->search.vars) || sd_run_target(&r->run, &resume) ||
	    (resume && sd_search_read(&r->search, resume)))
		goto out;
	if (sd_loop_run(&r->search.loop))
		goto out;
	ret = sd_run_save(&r->run, &r->search.loop, true, write_payload, &r->search);
out:
	sd_artifact_close(resume);
	sd_search_release(&r->search);
out_data:
	sd_dataset_free(ds);
	return ret;
}

int main(int argc, char **argv)
{
	static struct search_run r;
	int done = sd_opts_parse(&opts, argc, argv);
	if (done)
		return done < 0 ? sd_tool_fail(opts.tool) : sd_tool_close(opts.tool);
	r.run.tool = opts.tool;
	if (check_supported() || search(&r))
		return sd_run_fail(&r.run);
	sd_run_release(&r.run);
	sd_opts_release(&opts);
	return sd_tool_close(opts.tool);
}
