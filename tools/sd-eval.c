/* sd-eval: how good a model is on a data set. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/sig.h"
#include "base/str.h"
#include "base/tool.h"
#include "train/repeat.h"
#include "train/run.h"
#include "train/store.h"
#include "train/train.h"

enum { BEST, LAST };
enum { TRAIN, VALID, TEST };
enum { TSV, JSON };

static struct {
	struct sd_device_options device;
	const char *data, *dataset;
	int batch_size, weights, format, split;
	double train_portion;
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
	SD_OPT_CHOICE("split", NULL, SD_NUMERIC, &o.split, "test", "train|valid|test",
		      "which images: valid are those of the training split behind the --train_portion"),
	SD_OPT_REAL("train_portion", NULL, SD_NUMERIC, &o.train_portion, NULL, "R",
		    "with --split valid: of the training split, the part that is not evaluated (default: what "
		    "the model left out, else 0.5)", SD_BETWEEN(0, 1)),
	SD_OPT_INT("batch_size", "-b --b", SD_EXECUTION, &o.batch_size, "64", "N",
		   "images in a batch, which changes no number on the CPU", SD_BETWEEN(1, 65536)),
	SD_OPT_CHOICE("format", NULL, SD_OUTPUT, &o.format, "tsv", "tsv|json", "of what is printed"),
	SD_OPT_FLAG("partial", NULL, SD_EXECUTION, &o.partial, "accept a checkpoint"),
	SD_OPTS_DEVICE(o.device),
	SD_OPTS_COMMON(shared), SD_OPTS_THREADS(shared), SD_OPTS_OUTPUT(shared),
	SD_OPT_FLAG("unfused", NULL, SD_NUMERIC, &o.unfused,
		    "run every op by itself (slow; a check on the engine)"),
	SD_OPT_END
};
static struct sd_opts opts = {
	.tool = "sd-eval", .summary = "evaluates a model on a data set", .operands = "MODEL [DATA...]",
	.min_operands = 1, .max_operands = -1, .rows = rows,
	.epilog = "Prints loss, top-1 and top-5 accuracy, the accuracy of each class and the confusion "
		"matrix,\n"
		"for each data set.  With -o the same and the prediction of every image go into an artifact,\n"
		"and with -o - there and not to the screen.",
};

/* A data set and how the model does on it. */
struct set {
	struct sd_dataset *ds;
	char *name;            /* its own, with a number behind it where an earlier one has the same */
	struct sd_evaluation ev;
	double seconds;
};

struct sets {
	int n;
	struct set *v;
};

static void sets_release(struct sets *s)
{
	for (int i = 0; i < s->n; i++) {
		sd_evaluation_release(&s->v[i].ev);
		sd_dataset_free(s->v[i].ds);
		free(s->v[i].name);
	}
	free(s->v);
}

/* One line a number: what, class, predicted class, value, data set. */
static void print_tsv(const struct set *set)
{
	const struct sd_evaluation *ev = &set->ev;
	char *const *class = set->ds->classes;
	char buf[32];
	printf("n\t-\t-\t%llu\t%s\n", (unsigned long long)ev->n, set->name);
	printf("loss\t-\t-\t%s\t%s\n", sd_real_text(ev->loss, buf), set->name);
	printf("top1\t-\t-\t%s\t%s\n", sd_real_text(ev->top1, buf), set->name);
	printf("top5\t-\t-\t%s\t%s\n", sd_real_text(ev->top5, buf), set->name);
	for (int c = 0; c < ev->nclass; c++)
		printf("accuracy\t%s\t-\t%s\t%s\n", class[c], sd_real_text(sd_evaluation_class(ev, c), buf),
			set->name);
	for (int c = 0; c < ev->nclass; c++)
		for (int p = 0; p < ev->nclass; p++) {
			int64_t n = ev->confusion[(size_t)c * (size_t)ev->nclass + (size_t)p];
			if (n)
				printf("confusion\t%s\t%s\t%lld\t%s\n", class[c], class[p], (long long)n,
					set->name);
		}
}

static json_t *as_json(const struct set *set)
{
	const struct sd_evaluation *ev = &set->ev;
	json_t *classes = json_array(), *accuracy = json_array(), *confusion = json_array();
	for (int c = 0; c < ev->nclass; c++) {
		double a = sd_evaluation_class(ev, c);
		json_t *row = json_array();
		for (int p = 0; p < ev->nclass; p++)
			json_array_append_new(row,
				json_integer(ev->confusion[(size_t)c * (size_t)ev->nclass + (size_t)p]));
		json_array_append_new(classes, sd_json_bytes(set->ds->classes[c]));
		json_array_append_new(accuracy, isnan(a) ? json_null() : json_real(a));
		json_array_append_new(confusion, row);
	}
	return json_pack("{s:o,s:I,s:f,s:f,s:f,s:o,s:o,s:o}", "data", sd_json_bytes(set->name), "n",
		(json_int_t)ev->n, "loss", ev->loss, "top1", ev->top1, "top5", ev->top5, "classes", classes,
		"accuracy", accuracy, "confusion", confusion);
}

static void print_sets(const struct sets *s)
{
	if (o.format == TSV) {
		printf("measure\tclass\tpredicted\tvalue\tdata\n");
		for (int i = 0; i < s->n; i++)
			print_tsv(&s->v[i]);
		return;
	}
	json_t *all = json_array();
	for (int i = 0; i < s->n; i++)
		json_array_append_new(all, as_json(&s->v[i]));
	json_dumpf(s->n == 1 ? json_array_get(all, 0) : all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
}

/* The datasets of one evaluation, under `at`. */
static int put_set(struct sd_artifact_out *out, const char *at, const struct set *set)
{
	const struct sd_evaluation *ev = &set->ev;
	uint64_t k = (uint64_t)ev->nclass, shape[2] = { k, k };
	double *accuracy = sd_xcalloc(k, sizeof *accuracy);
	for (int c = 0; c < ev->nclass; c++)
		accuracy[c] = sd_evaluation_class(ev, c);
	const struct { const char *name; enum sd_type type; int rank; uint64_t *shape; const void *data; }
	array[] = {
		{ "class_accuracy", SD_TYPE_F64, 1, shape, accuracy },
		{ "confusion", SD_TYPE_I64, 2, shape, ev->confusion },
		{ "label", SD_TYPE_I32, 1, (uint64_t[]){ ev->n }, ev->label },
		{ "predicted", SD_TYPE_I32, 1, (uint64_t[]){ ev->n }, ev->predicted },
	};
	const struct { const char *name; double value; } number[] = {
		{ "loss", ev->loss }, { "top1", ev->top1 }, { "top5", ev->top5 },
	};
	char path[64];
	int ret = -1;
	snprintf(path, sizeof path, "%s/data", at);
	if (sd_artifact_put_text(out, path, set->name, strlen(set->name)))
		goto out;
	snprintf(path, sizeof path, "%s/classes", at);
	if (sd_artifact_put_strings(out, path, k, (const char *const *)set->ds->classes))
		goto out;
	snprintf(path, sizeof path, "%s/n", at);
	if (sd_artifact_put_i64(out, path, (int64_t)ev->n))
		goto out;
	for (size_t i = 0; i < sizeof number / sizeof *number; i++) {
		snprintf(path, sizeof path, "%s/%s", at, number[i].name);
		if (sd_artifact_put_f64(out, path, number[i].value))
			goto out;
	}
	for (size_t i = 0; i < sizeof array / sizeof *array; i++) {
		snprintf(path, sizeof path, "%s/%s", at, array[i].name);
		if (sd_artifact_put(out, path, array[i].type, array[i].rank, array[i].shape, array[i].data,
				array[i].type == SD_TYPE_I32 ? SD_DEFLATE : 0))
			goto out;
	}
	ret = 0;
out:
	free(accuracy);
	return ret;
}

static int write_eval(const char *name, const struct sd_stamp *stamp, const struct sets *s, int64_t epoch)
{
	struct sd_artifact_out *out = sd_artifact_create(name, true);
	char at[32] = "";
	if (!out)
		return -1;
	int ret = sd_artifact_put_i64(out, "/epoch", epoch);
	for (int i = 0; !ret && i < s->n; i++) {
		if (i)
			snprintf(at, sizeof at, "/also/%d", i + 1);
		ret = put_set(out, at, &s->v[i]);
	}
	if (ret) {
		sd_artifact_abandon(out);
		return -1;
	}
	return sd_artifact_finish(out, stamp, NULL);
}

static json_t *claimed(const struct sd_artifact *model, const char *name)
{
	return json_object_get(json_object_get(sd_artifact_lineage(model)->own->claim, "parameters"), name);
}

/* The number of the epoch whose weights are used. */
static int read_epoch(struct sd_artifact *model, int64_t *epoch)
{
	if (o.weights == BEST)
		return sd_artifact_read(model, "/best_epoch", SD_TYPE_I64, epoch, 1);
	const struct sd_dset *lr = sd_artifact_find(model, "/history/lr");
	json_int_t first = json_integer_value(claimed(model, "start_epoch"));
	*epoch = (first ? first : 1) - 1 + (lr ? (int64_t)lr->count : 0);
	return 0;
}

/* Where the validation images begin: o.train_portion, which goes into the claim only where it counts. */
static int resolve_portion(const struct sd_artifact *model)
{
	const char *text = json_string_value(claimed(model, "train_portion"));
	double portion = 1;
	if (o.split != VALID)
		return sd_opts_given(&opts, "train_portion") ?
			sd_error(SD_ERR_USAGE, "--train_portion is for --split valid") : 0;
	if (text && !sd_parse_real(text, &portion))
		return sd_error(SD_ERR_DATA, "%s: its train_portion is no number", sd_artifact_name(model));
	if (sd_opts_default(&opts, "train_portion", portion < 1 ? text : "0.5"))
		return -1;
	if (portion > o.train_portion)
		sd_tool_say(opts.tool, shared.quiet, "note: the model was trained on images that it is "
			"evaluated on");
	return 0;
}

static int read_sets(struct sets *s, struct sd_stamp *stamp, int n, const char *const *data)
{
	s->v = sd_xcalloc((size_t)n, sizeof *s->v);
	for (; s->n < n; s->n++) {
		struct set *set = &s->v[s->n];
		struct sd_str name = SD_STR_INIT;
		char role[32] = "data";
		if (s->n)
			snprintf(role, sizeof role, "data%d", s->n + 1);
		char *path = sd_run_data_path(data[s->n], o.dataset);
		set->ds = sd_run_data(stamp, role, path);
		free(path);
		if (!set->ds)
			return -1;
		sd_str_adds(&name, set->ds->name);
		for (int i = 0; i < s->n; i++)
			if (!strcmp(s->v[i].ds->name, set->ds->name)) {
				sd_str_addf(&name, " (%d)", s->n + 1);
				break;
			}
		set->name = sd_str_detach(&name);
	}
	return 0;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Evaluates on one data set; `load` reads the weights, once there are variables for them. */
static int evaluate_set(struct set *set, struct sd_vars *vars, const struct sd_net *net,
	struct sd_artifact *load)
{
	struct sd_loader_options options = { .split = o.split == TEST ? SD_SPLIT_TEST : SD_SPLIT_TRAIN,
		.batch = (uint32_t)o.batch_size, .order = SD_ORDER_AS_IS, .site = "valid" };
	uint32_t n = set->ds->split[options.split].n, first = 0, *indices = NULL;
	int ret = -1;
	if (o.split == VALID) {
		first = sd_dataset_portion(n, o.train_portion);
		if (first == n)
			return sd_error(SD_ERR_USAGE, "of %u training images %u are trained on and none is left",
				n, first);
		indices = sd_xcalloc(n - first, sizeof *indices);
		for (uint32_t i = first; i < n; i++)
			indices[i - first] = i;
		options.indices = indices;
		options.n = n - first;
	}
	struct sd_evaluator *e = sd_evaluator_new(vars, net, set->ds, &options, 0,
		o.unfused ? SD_PLAN_UNFUSED : 0);
	if (!e || (load && sd_store_get_state(load, vars, o.weights == BEST ? "state_best" : "state")))
		goto out;
	double start = now();
	ret = sd_evaluator_run(e, 0, &set->ev);
	set->seconds = now() - start;
	if (!ret)
		sd_tool_say(opts.tool, shared.quiet, "%s: %llu images in %.2f s: %.1f images/s, %.3f ms an image "
			"in batches of %d", set->name, (unsigned long long)set->ev.n, set->seconds,
			(double)set->ev.n / set->seconds, 1e3 * set->seconds / (double)set->ev.n, o.batch_size);
out:
	sd_evaluator_free(e);
	free(indices);
	return ret;
}

/* How fast it was is worth knowing and differs: context. */
static void stamp_speed(struct sd_stamp *stamp, const struct sets *s)
{
	json_t *speed = json_array();
	for (int i = 0; i < s->n; i++) {
		double n = (double)s->v[i].ev.n, seconds = s->v[i].seconds;
		json_array_append_new(speed, json_pack("{s:o,s:i,s:o,s:o,s:o}", "data",
			sd_json_bytes(s->v[i].name), "batch_size", o.batch_size, "seconds", sd_json_real(seconds),
			"images_per_second", sd_json_real(n / seconds), "milliseconds_per_image",
			sd_json_real(1e3 * seconds / n)));
	}
	sd_stamp_fact(stamp, "speed", speed);
}

static int evaluate(struct sd_artifact *model, struct sd_stamp *stamp, int ndata, const char *const *data)
{
	struct sd_net net;
	struct sd_genotype genotype;
	struct sd_vars vars = { 0 };
	struct sets sets = { 0 };
	int64_t epoch;
	int ret = -1;

	sd_genotype_init(&genotype);
	struct sd_engine *engine = sd_device_open(&o.device, shared.threads, stamp);
	if (!engine)
		return -1;
	if (sd_engine_is_async(engine)) { /* products of another size may take another algorithm */
		char text[16];
		snprintf(text, sizeof text, "%d", o.batch_size);
		sd_stamp_environment(stamp, "batch_size", text);
	}
	sd_vars_init(&vars, engine, 0);
	if (sd_stamp_input(stamp, "model", sd_artifact_lineage(model), sd_artifact_name(model)) ||
	    resolve_portion(model) || read_sets(&sets, stamp, ndata, data) ||
	    sd_network_read(model, &net, &genotype) || read_epoch(model, &epoch))
		goto out;
	int current = shared.output ? sd_stamp_update(stamp, shared.output, NULL) : 0;
	if (current) {
		ret = current < 0 ? -1 : 0;
		goto out;
	}
	if (shared.output && sd_stamp_check_target(stamp, shared.output, shared.force))
		goto out;
	if (shared.output)
		sd_repeat_say(opts.tool, shared.quiet, stamp, "eval", shared.output, NULL);
	for (int i = 0; i < sets.n; i++)
		if (evaluate_set(&sets.v[i], &vars, &net, i ? NULL : model))
			goto out;
	stamp_speed(stamp, &sets);
	sd_device_stamp_choices(engine, stamp);
	ret = shared.output ? write_eval(shared.output, stamp, &sets, epoch) : 0;
	if (!ret && !(shared.output && !strcmp(shared.output, "-")))
		print_sets(&sets);
out:
	sets_release(&sets);
	sd_vars_release(&vars);
	sd_engine_close(engine);
	sd_genotype_release(&genotype);
	return ret;
}

static int open_and_evaluate(void)
{
	int ndata = opts.noperand - 1;
	if (ndata && sd_opts_given(&opts, "data"))
		return sd_error(SD_ERR_USAGE, "--data and a second operand both name the data set");
	if (sd_check_one_stdin(opts.operand, opts.noperand) ||
	    (!ndata && sd_check_one_stdin((const char *[]){ opts.operand[0], o.data }, 2)))
		return -1;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the table asks for one operand at least */
	struct sd_artifact *model = sd_artifact_open(opts.operand[0], o.partial ? SD_ARTIFACT_PARTIAL : 0);
	if (!model)
		return -1;
	struct sd_stamp *stamp = sd_stamp_new("eval", &opts, &shared);
	int ret = -1;
	if (!sd_artifact_expect(model, "model"))
		ret = evaluate(model, stamp, ndata ? ndata : 1, ndata ? opts.operand + 1 : &o.data);
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
