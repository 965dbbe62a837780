/* bench_step: times one full step on random data.
 *
 *   bench_step --mode search|train|eval [--device DEVICE] [--precision P] [--threads N] [--steps K]
 *              [--together N] [--batch B] [--arch NAME] [--layers L] [--channels C] [--primitives LIST]
 *              [--ops OPS|DARTS_OPS] [--max-w] [--unrolled] [--unfused] [--profile] [--plan]
 *
 * search: an architecture step and a weight step of the reference's size (16 channels, 8 cells, 4 nodes,
 * DARTS_PRIMITIVES, 32x32, batch 64), of second order with --unrolled.  train: a weight step of the network
 * that is trained (SHARPSEPCONV_DARTS, 36 channels, 20 cells, auxiliary head).  eval: that network, evaluated.
 * A step is over when its sums have been read.  On a GPU, where reading waits for the device, only one in
 * ten (--together N) is read, and the time is that of all ten by ten, as in an epoch.
 * Prints TSV: mode, threads, median seconds a step, bytes of arena, peak resident bytes, the median seconds
 * that a row of the trace (train/trace.h) takes, and how many parameters the network has.  With --plan nothing is run
 * and no device needed, and printed are:
 * mode, launches a step, bytes of arena. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/err.h"
#include "base/rng.h"
#include "model/count.h"
#include "train/step.h"
#include "train/trace.h"
#include "train/unrolled.h"

static int die(void)
{
	fprintf(stderr, "bench_step: %s\n", sd_error_text());
	return sd_error_kind();
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

struct options {
	const char *mode, *device, *precision, *arch, *primitives, *ops;
	int threads, steps, together, batch, layers, channels, max_w, unrolled, unfused, profile, plan;
};

static int parse(struct options *o, int argc, char **argv)
{
	static const struct option table[] = {
		{ "mode", 1, 0, 'm' }, { "device", 1, 0, 'd' }, { "precision", 1, 0, 'r' },
		{ "together", 1, 0, 'n' }, { "threads", 1, 0, 't' }, { "steps", 1, 0, 's' },
		{ "batch", 1, 0, 'b' },
		{ "arch", 1, 0, 'a' }, { "layers", 1, 0, 'l' }, { "channels", 1, 0, 'c' },
		{ "primitives", 1, 0, 'p' }, { "ops", 1, 0, 'o' }, { "max-w", 0, 0, 'w' }, { "unrolled", 0, 0, 'U' },
		{ "unfused", 0, 0, 'u' }, { "profile", 0, 0, 'P' }, { "plan", 0, 0, 'N' }, { 0, 0, 0, 0 }
	};
	int c;
	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (c) {
		case 'm': o->mode = optarg; break;
		case 'd': o->device = optarg; break;
		case 'r': o->precision = optarg; break;
		case 'n': o->together = atoi(optarg); break;
		case 't': o->threads = atoi(optarg); break;
		case 's': o->steps = atoi(optarg); break;
		case 'b': o->batch = atoi(optarg); break;
		case 'a': o->arch = optarg; break;
		case 'l': o->layers = atoi(optarg); break;
		case 'c': o->channels = atoi(optarg); break;
		case 'p': o->primitives = optarg; break;
		case 'o': o->ops = optarg; break;
		case 'w': o->max_w = 1; break;
		case 'U': o->unrolled = 1; break;
		case 'u': o->unfused = 1; break;
		case 'P': o->profile = 1; break;
		case 'N': o->plan = 1; break;
		default: return sd_error(SD_ERR_USAGE, "the options are those that the source begins with");
		}
	}
	int search = !strcmp(o->mode, "search");
	if (!search && strcmp(o->mode, "train") && strcmp(o->mode, "eval"))
		return sd_error(SD_ERR_USAGE, "no mode '%s'", o->mode);
	if (strcmp(o->ops, "OPS") && strcmp(o->ops, "DARTS_OPS"))
		return sd_error(SD_ERR_USAGE, "no ops '%s'", o->ops);
	if (!o->layers)
		o->layers = search ? 8 : 20;
	if (!o->channels)
		o->channels = search ? 16 : 36;
	if (o->steps < 1 || o->batch < 1 || o->together < 0)
		return sd_error(SD_ERR_USAGE, "steps and batch must be positive");
	if (o->plan && o->unrolled)
		return sd_error(SD_ERR_USAGE, "--plan counts no step of second order");
	return optind < argc ? sd_error(SD_ERR_USAGE, "unexpected '%s'", argv[optind]) : 0;
}

static int set_precision(struct sd_engine *e, const char *name)
{
	for (int p = 0; p < SD_PRECISIONS; p++)
		if (!strcmp(name, sd_precision_names[p]))
			return sd_engine_set_precision(e, (enum sd_precision)p);
	return sd_error(SD_ERR_USAGE, "no precision '%s'", name);
}

/* The network that is asked for, of which parts are kept in `prims` or `genotype`.  -1 with a message. */
static int choose(struct sd_net *net, const struct options *o, struct sd_primitive_list *prims, struct sd_genotype *genotype)
{
	enum sd_op_table ops = strcmp(o->ops, "OPS") ? SD_DARTS_OPS : SD_OPS;
	*net = (struct sd_net){ .kind = SD_NET_CIFAR, .channels_in = 3, .height = 32, .width = 32 };
	if (!strcmp(o->mode, "search")) {
		net->kind = SD_NET_SUPERNET;
		net->supernet = (struct sd_supernet){ .channels = o->channels, .classes = 10, .layers = o->layers, .steps = 4,
			.prims = prims, .ops = ops, .weighting = o->max_w ? SD_MAX_W : SD_SCALAR_W };
		return sd_primitive_list_parse(prims, o->primitives);
	}
	net->network = (struct sd_network){ .channels = o->channels, .classes = 10, .layers = o->layers, .auxiliary = 1,
		.mid_channels = 32, .ops = ops, .genotype = genotype };
	return sd_genotype_load(genotype, o->arch, NULL);
}

static int count(struct sd_count *c, const struct sd_net *net)
{
	return net->kind == SD_NET_SUPERNET ?
		sd_count_supernet(c, &net->supernet, net->channels_in, net->height, net->width) :
		sd_count_network_cifar(c, &net->network, net->channels_in, net->height, net->width);
}

/* One step of the alphas, of either order, and one of the weights, as one piece of work. */
static int one_step(const struct sd_step_batch *b, struct sd_step_program *alphas, struct sd_unrolled *unrolled,
	struct sd_step_program *weights)
{
	struct sd_step_list l = { .n = 0 };
	if (alphas) {
		if (sd_step_add_batch(&l, alphas, b))
			return -1;
		sd_step_add(&l, alphas->program, &alphas->bind);
	}
	if ((unrolled && sd_unrolled_add(unrolled, &l, b, b)) || sd_step_add_batch(&l, weights, b))
		return -1;
	sd_step_add(&l, weights->program, &weights->bind);
	return sd_step_list_run(&l);
}

int main(int argc, char **argv)
{
	struct options o = { .mode = "search", .device = "cpu", .precision = "fp32", .arch = "SHARPSEPCONV_DARTS",
		.primitives = "DARTS_PRIMITIVES", .ops = "OPS", .steps = 5, .batch = 64 };
	if (parse(&o, argc, argv))
		return die();
	struct sd_primitive_list prims;
	struct sd_genotype genotype;
	sd_genotype_init(&genotype);
	struct sd_net net;
	struct sd_count size;
	int search = !strcmp(o.mode, "search");
	if (choose(&net, &o, &prims, &genotype) || count(&size, &net))
		return die();

	struct sd_engine *e = o.plan ? sd_engine_open_plans(o.device, o.threads) : sd_engine_open(o.device, o.threads);
	if (!e || set_precision(e, o.precision))
		return die();
	if (!o.together)
		o.together = sd_engine_is_async(e) ? 10 : 1;
	if (sd_engine_profile(e, o.profile ? SD_PROFILE_FAMILIES : SD_PROFILE_OFF, NULL))
		return die();
	struct sd_vars vars;
	sd_vars_init(&vars, e, 1);
	struct sd_step_options step = SD_STEP_DEFAULTS;
	step.drop_path = !search;
	step.plan_flags = o.unfused ? SD_PLAN_UNFUSED : 0;
	enum sd_step_kind kind = strcmp(o.mode, "eval") ? SD_STEP_WEIGHTS : SD_STEP_EVAL;
	double built = now();
	struct sd_step_program *main_step, *alphas = NULL;
	struct sd_unrolled *unrolled = NULL;
	main_step = sd_step_program_new(&vars, &net, &step, kind, o.batch, 0);
	if (search && o.unrolled)
		unrolled = sd_unrolled_new(&vars, &net, &step, o.batch, 1, &o.batch, 0);
	else if (search)
		alphas = sd_step_program_new(&vars, &net, &step, SD_STEP_ALPHAS, o.batch, 0);
	if (!main_step || (search && !alphas && !unrolled))
		return die();
	fprintf(stderr, "planned in %.2f s\n", now() - built);
	size_t arena = sd_program_arena(main_step->program);
	long launches = sd_program_launches(main_step->program);
	if (alphas) {
		arena = larger(arena, sd_program_arena(alphas->program));
		launches += sd_program_launches(alphas->program);
	} else if (unrolled) {
		arena = larger(arena, sd_program_arena(unrolled->valid->program));
	}
	if (o.plan) {
		printf("%s\t%ld\t%zu\n", o.mode, launches, arena);
		goto out;
	}

	size_t pixels = (size_t)o.batch * 3 * 32 * 32;
	float *x = malloc(pixels * sizeof *x);
	int32_t *labels = malloc((size_t)o.batch * 2 * sizeof *labels), *ids = labels + o.batch;
	double *seconds = malloc((size_t)o.steps * sizeof *seconds);
	struct sd_rng_key key = sd_rng_key(1, "augment", "train");
	for (size_t i = 0; i < pixels; i++)
		x[i] = 4 * sd_rng_unit(sd_rng_word(key, (uint32_t)i, 0, 0, 0)) - 2;
	for (int i = 0; i < o.batch; i++) {
		labels[i] = (int32_t)sd_rng_below(sd_rng_word(key, (uint32_t)i, 1, 0, 0), 10);
		ids[i] = i;
	}
	if (sd_vars_set_f32(&vars, SD_VAR_LR, 0.025f) || sd_vars_set_f32(&vars, SD_VAR_ARCH_LR, 3e-4f) ||
	    sd_vars_set_f32(&vars, SD_VAR_DROP_PROB, 0.2f))
		return die();

	struct sd_step_batch all = { o.batch, x, labels, ids, NULL };
	struct sd_sums sums;
	struct sd_trace trace = { .n = 0 };
	double *traced = malloc((size_t)o.steps * sizeof *traced);
	if (sd_trace_begin(&trace, &vars, 1))
		return die();
	for (int i = -1; i < o.steps; i++) { /* the first warms up */
		double start = now();
		for (int k = 0; k < o.together; k++)
			if (sd_vars_set_i32(&vars, SD_VAR_STEP, (i + 1) * o.together + k) ||
			    one_step(&all, alphas, unrolled, main_step))
				return die();
		if (sd_step_sums_get(&vars, kind, &sums))
			return die();
		if (i >= 0)
			seconds[i] = (now() - start) / o.together;
		start = now();
		if (kind == SD_STEP_WEIGHTS && sd_trace_step(&trace, 1))
			return die();
		if (i >= 0)
			traced[i] = now() - start;
	}
	qsort(seconds, (size_t)o.steps, sizeof *seconds, by_value);
	qsort(traced, (size_t)o.steps, sizeof *traced, by_value);
	struct rusage use;
	getrusage(RUSAGE_SELF, &use);
	printf("%s\t%d\t%.6f\t%zu\t%zu\t%.6f\t%zu\n", o.mode, sd_engine_threads(e), seconds[o.steps / 2], arena,
		(size_t)use.ru_maxrss * 1024, traced[o.steps / 2], size.params);
	fprintf(stderr, "mean loss %.6f\n", sums.loss / sums.n);
	if (o.profile)
		sd_engine_profile_print(e, stderr);

	free(x);
	free(labels);
	free(seconds);
	free(traced);
	sd_trace_release(&trace);
out:
	sd_step_program_free(main_step);
	sd_step_program_free(alphas);
	sd_unrolled_free(unrolled);
	sd_vars_release(&vars);
	sd_engine_close(e);
	sd_genotype_release(&genotype);
	return 0;
}
