/* sd-eval: how good a model is on a data set. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/sig.h"
#include "base/str.h"
#include "base/tool.h"
#include "train/run.h"
#include "train/store.h"
#include "train/train.h"

enum { BEST, LAST };
enum { TSV, JSON };

static struct {
	const char *data, *dataset;
	int batch_size, weights, format, split;
	bool partial, unfused;
} o;
static struct sd_shared shared;

static struct sd_opt rows[] = {
	SD_OPT_TEXT("data", NULL, SD_INPUT_NAME, &o.data, ".", "FILE|DIR",
		    "data set artifact, or the folder that holds it as NAME.h5, NAME being the --dataset"),
	SD_OPT_TEXT("dataset", NULL, SD_INPUT_NAME, &o.dataset, "cifar10", "NAME",
		    "which data set of a folder"),
	SD_OPT_CHOICE("weights", NULL, SD_NUMERIC, &o.weights, "best", "best|last",
		      "of the best epoch or of the last"),
	SD_OPT_CHOICE("split", NULL, SD_NUMERIC, &o.split, "test", "train|test", "which images"),
	SD_OPT_INT("batch_size", "-b --b", SD_EXECUTION, &o.batch_size, "64", "N",
		   "images in a batch, which changes no number", SD_BETWEEN(1, 65536)),
	SD_OPT_CHOICE("format", NULL, SD_OUTPUT, &o.format, "tsv", "tsv|json", "of what is printed"),
	SD_OPT_FLAG("partial", NULL, SD_EXECUTION, &o.partial, "accept a checkpoint"),
	SD_OPTS_COMMON(shared), SD_OPTS_THREADS(shared), SD_OPTS_OUTPUT(shared),
	SD_OPT_FLAG("unfused", NULL, SD_NUMERIC, &o.unfused,
		    "run every op by itself (slow; a check on the engine)"),
	SD_OPT_END
};
static struct sd_opts opts = {
	.tool = "sd-eval", .summary = "evaluates a model on a data set", .operands = "MODEL [DATA]",
	.min_operands = 1, .max_operands = 2, .rows = rows,
	.epilog = "Prints loss, top-1 and top-5 accuracy, the accuracy of each class and the confusion "
		"matrix.\n"
		"With -o the same goes into an artifact, and with -o - there and not to the screen.",
};

/* One line a number: what, class, predicted class, value. */
static void print_tsv(const struct sd_evaluation *ev, const struct sd_dataset *ds)
{
	char buf[32];
	printf("measure\tclass\tpredicted\tvalue\n");
	printf("n\t-\t-\t%llu\n", (unsigned long long)ev->n);
	printf("loss\t-\t-\t%s\n", sd_real_text(ev->loss, buf));
	printf("top1\t-\t-\t%s\n", sd_real_text(ev->top1, buf));
	printf("top5\t-\t-\t%s\n", sd_real_text(ev->top5, buf));
	for (int c = 0; c < ev->nclass; c++)
		printf("accuracy\t%s\t-\t%s\n", ds->classes[c],
			sd_real_text(sd_evaluation_class(ev, c), buf));
	for (int c = 0; c < ev->nclass; c++)
		for (int p = 0; p < ev->nclass; p++)
			if (ev->confusion[(size_t)c * (size_t)ev->nclass + (size_t)p])
				printf("confusion\t%s\t%s\t%lld\n", ds->classes[c], ds->classes[p],
					(long long)ev->confusion[(size_t)c * (size_t)ev->nclass + (size_t)p]);
}

static void print_json(const struct sd_evaluation *ev, const struct sd_dataset *ds)
{
	json_t *classes = json_array(), *accuracy = json_array(), *confusion = json_array();
	for (int c = 0; c < ev->nclass; c++) {
		double a = sd_evaluation_class(ev, c);
		json_t *row = json_array();
		for (int p = 0; p < ev->nclass; p++)
			json_array_append_new(row,
				json_integer(ev->confusion[(size_t)c * (size_t)ev->nclass + (size_t)p]));
		json_array_append_new(classes, sd_json_bytes(ds->classes[c]));
		json_array_append_new(accuracy, isnan(a) ? json_null() : json_real(a));
		json_array_append_new(confusion, row);
	}
	json_t *all = json_pack("{s:I,s:f,s:f,s:f,s:o,s:o,s:o}", "n", (json_int_t)ev->n, "loss", ev->loss,
		"top1", ev->top1, "top5", ev->top5, "classes", classes, "accuracy", accuracy, "confusion",
		confusion);
	if (all)
		json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
}

static int write_eval(const char *name, const struct sd_stamp *stamp, const struct sd_evaluation *ev,
	const struct sd_dataset *ds, int64_t epoch)
{
	uint64_t k = (uint64_t)ev->nclass, shape[2] = { k, k };
	double *accuracy = sd_xcalloc(k, sizeof *accuracy);
	for (int c = 0; c < ev->nclass; c++)
		accuracy[c] = sd_evaluation_class(ev, c);
	struct sd_artifact_out *out = sd_artifact_create(name, true);
	int ret = -1;
	if (!out)
		goto out;
	if (sd_artifact_put_text(out, "/data", ds->name, strlen(ds->name)) ||
	    sd_artifact_put_strings(out, "/classes", k, (const char *const *)ds->classes) ||
	    sd_artifact_put_i64(out, "/epoch", epoch) || sd_artifact_put_i64(out, "/n", (int64_t)ev->n) ||
	    sd_artifact_put_f64(out, "/loss", ev->loss) || sd_artifact_put_f64(out, "/top1", ev->top1) ||
	    sd_artifact_put_f64(out, "/top5", ev->top5) ||
	    sd_artifact_put(out, "/class_accuracy", SD_TYPE_F64, 1, shape, accuracy, 0) ||
	    sd_artifact_put(out, "/confusion", SD_TYPE_I64, 2, shape, ev->confusion, 0)) {
		sd_artifact_abandon(out);
		goto out;
	}
	ret = sd_artifact_finish(out, stamp, NULL);
out:
	free(accuracy);
	return ret;
}

/* The number of the epoch whose weights are used. */
static int read_epoch(struct sd_artifact *model, int64_t *epoch)
{
	if (o.weights == BEST)
		return sd_artifact_read(model, "/best_epoch", SD_TYPE_I64, epoch, 1);
	const struct sd_dset *lr = sd_artifact_find(model, "/history/lr");
	json_t *parameters = json_object_get(sd_artifact_lineage(model)->own->claim, "parameters");
	json_int_t first = json_integer_value(json_object_get(parameters, "start_epoch"));
	*epoch = (first ? first : 1) - 1 + (lr ? (int64_t)lr->count : 0);
	return 0;
}

static int evaluate(struct sd_artifact *model, struct sd_stamp *stamp, const char *data)
{
	struct sd_net net;
	struct sd_genotype genotype;
	struct sd_vars vars = { 0 };
	struct sd_evaluation ev = { 0 };
	struct sd_evaluator *e = NULL;
	struct sd_dataset *ds = NULL;
	int64_t epoch;
	int ret = -1;

	sd_genotype_init(&genotype);
	struct sd_engine *engine = sd_engine_open("cpu", shared.threads);
	if (!engine)
		return -1;
	sd_stamp_environment(stamp, "engine", sd_engine_kind(engine));
	sd_stamp_threads(stamp, sd_engine_threads(engine));
	sd_stamp_fact(stamp, "cpu_path", json_string(sd_engine_path(engine)));
	sd_vars_init(&vars, engine, 0);
	if (sd_stamp_input(stamp, "model", sd_artifact_lineage(model), sd_artifact_name(model)) ||
	    !(ds = sd_run_data(stamp, "data", data)) || sd_network_read(model, &net, &genotype) ||
	    read_epoch(model, &epoch))
		goto out;
	if (shared.output && sd_stamp_check_target(stamp, shared.output, shared.force))
		goto out;
	struct sd_loader_options options = { .split = o.split ? SD_SPLIT_TEST : SD_SPLIT_TRAIN,
		.batch = (uint32_t)o.batch_size, .order = SD_ORDER_AS_IS, .site = "valid" };
	e = sd_evaluator_new(&vars, &net, ds, &options, 0, o.unfused ? SD_PLAN_UNFUSED : 0);
	if (!e || sd_store_get_state(model, &vars, o.weights == BEST ? "state_best" : "state") ||
	    sd_evaluator_run(e, 0, &ev))
		goto out;
	ret = shared.output ? write_eval(shared.output, stamp, &ev, ds, epoch) : 0;
	if (!ret && !(shared.output && !strcmp(shared.output, "-"))) {
		if (o.format == JSON)
			print_json(&ev, ds);
		else
			print_tsv(&ev, ds);
	}
out:
	sd_evaluator_free(e);
	sd_evaluation_release(&ev);
	sd_vars_release(&vars);
	sd_engine_close(engine);
	sd_dataset_free(ds);
	sd_genotype_release(&genotype);
	return ret;
}

static int open_and_evaluate(void)
{
	const char *inputs[] = { opts.operand[0], opts.noperand == 2 ? opts.operand[1] : o.data };
	if (opts.noperand == 2 && sd_opts_given(&opts, "data"))
		return sd_error(SD_ERR_USAGE, "--data and a second operand both name the data set");
	if (sd_check_one_stdin(inputs, 2))
		return -1;
	struct sd_artifact *model = sd_artifact_open(inputs[0], o.partial ? SD_ARTIFACT_PARTIAL : 0);
	if (!model)
		return -1;
	struct sd_stamp *stamp = sd_stamp_new("eval", &opts, &shared);
	char *data = sd_run_data_path(inputs[1], o.dataset);
	int ret = sd_artifact_expect(model, "model") || evaluate(model, stamp, data) ? -1 : 0;
	free(data);
	sd_stamp_free(stamp);
	sd_artifact_close(model);
	return ret;
}

int main(int argc, char **argv)
{
	int done = sd_opts_parse(&opts, argc, argv), status = 0;
	if (done)
		return done < 0 ? sd_tool_fail(opts.tool) : sd_tool_close(opts.tool);
	sd_sig_install();
	if (open_and_evaluate()) {
		status = sd_tool_fail(opts.tool);
		if (sd_sig_pending())
			sd_sig_reraise(sd_sig_pending());
	}
	sd_opts_release(&opts);
	return status ? status : sd_tool_close(opts.tool);
}
