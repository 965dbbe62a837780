/* sd-search: searches for a cell on a data set. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/tool.h"
#include "train/load_args.h"
#include "train/run.h"
#include "train/search.h"

static struct {
	int init_channels, layers_of_cells, layers_in_cells, weighting, limit_batches, stop_on_skips;
	double train_portion, arch_learning_rate, arch_weight_decay;
	bool unrolled, no_architect;
	const char *primitives, *evaluate, *load_args;
	uint64_t seed;
	/* of later work, or without effect on a cell search */
	bool multi_channel;
	const char *final_path, *load_genotype, *mid_channels, *drop_path_prob, *ignored;
} o;
static struct sd_shared shared;
static struct sd_run_options run_options;

static struct sd_opt rows[] = {
	SD_OPTS_RUN(run_options),
	SD_OPTS_WEIGHTS(run_options, "50", "0.0001"),
	SD_OPT_REAL("arch_learning_rate", NULL, SD_NUMERIC, &o.arch_learning_rate, "0.0003", "R",
		    "learning rate of the architecture", SD_AT_LEAST(0)),
	SD_OPT_REAL("arch_weight_decay", NULL, SD_NUMERIC, &o.arch_weight_decay, "0.001", "R",
		    "weight decay of the architecture", SD_AT_LEAST(0)),
	SD_OPT_FLAG("unrolled", NULL, SD_NUMERIC, &o.unrolled,
		    "second order: the loss of the architecture is that of the weights one step ahead"),
	SD_OPT_FLAG("no_architect", NULL, SD_NUMERIC, &o.no_architect,
		    "train the architecture as if it were weights, with them and on their images"),
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
	SD_OPT_CHOICE("weighting_algorithm", NULL, SD_NUMERIC, &o.weighting, "scalar", "scalar|max_w",
		      "factor of a primitive of weight w: w, or 1 - max(w) + w"),
	SD_OPT_INT("limit_batches", NULL, SD_NUMERIC, &o.limit_batches, "0", "N",
		   "end each epoch after N steps, and its evaluation after N batches; 0: all",
		   SD_BETWEEN(0, 100000000)),
	SD_OPT_INT("stop_on_skips", NULL, SD_NUMERIC, &o.stop_on_skips, "0", "N",
		   "end the search after the epoch in which the normal cell has N skip connections; 0: never",
		   SD_BETWEEN(0, 200)),
	SD_OPT_TEXT("load_args", NULL, SD_EXECUTION, &o.load_args, "", "FILE",
		    "take the parameters and the seed of this search, but for those given here"),
	SD_OPT_TEXT("evaluate", "-e", SD_EXECUTION, &o.evaluate, "", "FILE",
		    "search for nothing: evaluate the network of this search on all images, to standard output"),
	SD_OPT_SEED("seed", NULL, &o.seed, "2", "the run's seed"),
	SD_OPTS_COMMON(shared), SD_OPTS_THREADS(shared), SD_OPTS_OUTPUT(shared),
	SD_OPT_FLAG("multi_channel", NULL, SD_EXECUTION, &o.multi_channel, "not yet supported"),
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
	const struct sd_run_later later[] = {
		{ "multi_channel", o.multi_channel }, { "final_path", *o.final_path },
		{ "load_genotype", *o.load_genotype },
	};
	if (o.unrolled && o.no_architect)
		return sd_error(SD_ERR_USAGE, "--unrolled is a step of the architecture's own, and with --no_architect "
			"there is none");
	return sd_run_check_later(&run_options, sizeof later / sizeof *later, later);
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
		"%d and %d skips, entropy %.3f and %.3f, %.1f s",
		epoch, run_options.start_epoch + r->search.loop.epochs - 1, row[SD_SEARCH_LR],
		row[SD_SEARCH_TRAIN_LOSS], row[SD_SEARCH_TRAIN_TOP1], row[SD_SEARCH_VALID_LOSS],
		row[SD_SEARCH_VALID_TOP1], (int)row[SD_SEARCH_SKIPS_NORMAL], (int)row[SD_SEARCH_SKIPS_REDUCE],
		row[SD_SEARCH_ENTROPY_NORMAL], row[SD_SEARCH_ENTROPY_REDUCE], seconds);
}

static struct sd_search_options search_options(const struct sd_run *run, const struct sd_dataset *ds,
	const struct sd_primitive_list *prims)
{
	struct sd_search_options s = { .step = SD_STEP_DEFAULTS };
	s.net = (struct sd_supernet){ .channels = o.init_channels, .classes = ds->nclass,
		.layers = o.layers_of_cells, .steps = o.layers_in_cells, .prims = prims,
		.ops = run_options.ops ? SD_DARTS_OPS : SD_OPS, .weighting = o.weighting ? SD_MAX_W : SD_SCALAR_W };
	sd_run_step_options(&run_options, &s.step);
	s.step.arch_weight_decay = (float)o.arch_weight_decay;
	s.step.alphas_as_weights = o.no_architect;
	s.unrolled = o.unrolled;
	s.stop_on_skips = o.stop_on_skips;
	s.batch = (uint32_t)run_options.batch_size;
	s.train_portion = o.train_portion;
	s.limit = (uint32_t)o.limit_batches;
	s.lr = run->lr;
	s.arch_lr = o.arch_learning_rate;
	s.augment = sd_run_augment(&run_options, ds);
	return s;
}

static int plan(const struct search_run *r, const struct sd_primitive_list *prims)
{
	const struct sd_dataset unknown = { .nclass = 0 };
	struct sd_search_options s = search_options(&r->run, &unknown, prims);
	return sd_run_plan(&r->run, (struct sd_net){ .kind = SD_NET_SUPERNET, .supernet = s.net }, &s.step, s.unrolled);
}

/* The state that the run begins with; alphas trained as weights are among those that --load names. */
static int start(struct search_run *r)
{
	struct sd_shape shape = sd_shape2(sd_search_edges(o.layers_in_cells), r->search.o.net.prims->n);
	struct sd_artifact *load = r->run.load;
	if (r->run.resume)
		return sd_search_read(&r->search, r->run.resume);
	if (sd_run_start(&r->run, &r->search.vars))
		return -1;
	return load && o.no_architect && sd_artifact_find(load, "/alphas_last/normal") ?
		sd_search_load_alphas(&r->search.vars, &shape, load) : 0;
}

static int search(struct search_run *r, struct sd_dataset *ds, const struct sd_primitive_list *prims)
{
	int ret = -1;
	if (sd_run_begin(&r->run, &run_options))
		return -1;
	if (r->run.done)
		return 0;
	struct sd_search_options options = search_options(&r->run, ds, prims);
	if (sd_search_init(&r->search, r->run.engine, ds, &options, o.seed, run_options.start_epoch,
			 run_options.epochs))
		return -1;
	r->search.loop.watch = (struct sd_loop_watch){ save_checkpoint, report, r };
	sd_run_loop(&r->run, &r->search.loop);
	if (start(r) || sd_run_profile_begin(&r->run))
		goto out;
	int stopped = sd_loop_run(&r->search.loop);
	if (sd_run_profile_end(&r->run) || stopped)
		goto out;
	if (run_options.trace_step) {
		ret = 0;
		goto out;
	}
	if (sd_search_stopped(&r->search))
		sd_tool_say(opts.tool, shared.quiet, "%d skip connections or more in the normal cell: the search ends "
			"here", o.stop_on_skips);
	ret = sd_run_save(&r->run, &r->search.loop, true, write_payload, &r->search);
out:
	sd_search_release(&r->search);
	return ret;
}

static int evaluate(struct search_run *r, const struct sd_dataset *ds, const struct sd_primitive_list *prims)
{
	struct sd_search_options options = search_options(&r->run, ds, prims);
	struct sd_artifact *art = sd_artifact_open(o.evaluate, SD_ARTIFACT_PARTIAL);
	int ret = !art || sd_artifact_expect(art, "search") ? -1 :
		sd_search_evaluate(r->run.engine, ds, &options, art, stdout);
	sd_artifact_close(art);
	return ret;
}

static int run(struct search_run *r)
{
	struct sd_primitive_list prims;
	const char *inputs[] = { run_options.data, run_options.load, run_options.resume, o.evaluate, o.load_args };
	if (sd_check_one_stdin(inputs, 5) || (*o.load_args && sd_load_args(&opts, o.load_args)) ||
	    check_supported() || sd_primitive_list_parse(&prims, o.primitives) ||
	    sd_primitive_list_check(&prims, run_options.ops ? SD_DARTS_OPS : SD_OPS) ||
	    sd_run_init(&r->run, "search", &opts, &shared, &run_options))
		return -1;
	if (sd_run_wants_plan(&r->run))
		return plan(r, &prims);
	char *path = sd_run_data_path(run_options.data, run_options.dataset);
	struct sd_dataset *ds = sd_run_data(r->run.stamp, "data", path);
	free(path);
	if (!ds)
		return -1;
	int ret = *o.evaluate ? evaluate(r, ds, &prims) : search(r, ds, &prims);
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
	if (run(&r))
		return sd_run_fail(&r.run);
	sd_run_release(&r.run);
	sd_opts_release(&opts);
	return sd_tool_close(opts.tool);
}
