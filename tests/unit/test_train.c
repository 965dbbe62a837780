/* test_train: variables, steps, loops and evaluation on a small data set made here. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "train/search.h"
#include "train/train.h"

#include "check.h"

enum { SIDE = 8, CLASSES = 4, NTRAIN = 44, NTEST = 23 };

static struct sd_dataset *make_data(void)
{
	const uint32_t n[SD_NSPLIT] = { NTRAIN, NTEST };
	struct sd_dataset *ds = sd_dataset_new("made", 1, SIDE, SIDE, CLASSES, n);
	struct sd_rng_key key = sd_rng_key(7, "test", "data");
	for (int s = 0; s < SD_NSPLIT; s++) {
		for (uint32_t i = 0; i < n[s]; i++) {
			int label = (int)(i % CLASSES);
			uint8_t *image = ds->split[s].images + (size_t)i * SIDE * SIDE;
			ds->split[s].labels[i] = label;
			ds->split[s].source[i] = i;
			for (uint32_t p = 0; p < SIDE * SIDE; p++)
				image[p] = (uint8_t)((sd_rng_word(key, i, p, (uint32_t)s, 0) >> 26)
					+ (p / 16 == (uint32_t)label ? 150 : 0));
		}
	}
	sd_dataset_measure(ds);
	memcpy(ds->mean, ds->computed_mean, sizeof ds->mean);
	memcpy(ds->std, ds->computed_std, sizeof ds->std);
	ds->padding = 1;
	return ds;
}

static const char literal[] = "Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0), "
	"('max_pool_3x3', 2), ('dil_conv_3x3', 0)], normal_concat=range(2, 4), "
	"reduce=[('avg_pool_3x3', 0), ('choke_conv_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 0)], "
	"reduce_concat=range(2, 4))";

static int no_checkpoint(void *ctx)
{
	++*(int *)ctx;
	return 0;
}

static void no_report(void *ctx, int epoch, const double *row, double seconds)
{
	(void)ctx, (void)epoch, (void)row, (void)seconds;
}

static int run(struct sd_loop *l, int *checkpoints)
{
	l->watch = (struct sd_loop_watch){ no_checkpoint, no_report, checkpoints };
	return sd_loop_run(l);
}

static const double rates[3] = { 0.05, 0.03, 0.01 };

static int start_training(struct sd_train *t, struct sd_engine *e, const struct sd_dataset *ds,
	const struct sd_genotype *g, double drop)
{
	struct sd_train_options o = { .step = SD_STEP_DEFAULTS, .batch = 16, .lr = rates,
		.drop_path_prob = drop, .augment = sd_augment_train(ds, 3) };
	o.net = (struct sd_network){ .channels = 6, .classes = CLASSES, .layers = 3, .mid_channels = 5,
		.ops = SD_OPS, .genotype = g };
	int ret = sd_train_init(t, e, ds, &o, 5, 1, 3);
	t->loop.checkpoint_seconds = 30;
	return ret;
}

/* The bits of all variables, as one number. */
static uint64_t vars_sum(const struct sd_vars *v)
{
	uint64_t h = 14695981039346656037u;
	for (int i = 0; i < v->n; i++) {
		size_t bytes = sd_var_bytes(&v->var[i]);
		unsigned char *host = malloc(bytes);
		if (host && !sd_buffer_read(v->var[i].buffer, host))
			for (size_t k = 0; k < bytes; k++)
				h = (h ^ host[k]) * 1099511628211u;
		free(host);
	}
	return h;
}

/* One row a step, the same whatever the threads; the last is the weights' own. */
static void test_trace(const struct sd_dataset *ds, const struct sd_genotype *g)
{
	uint64_t digest[10];
	double loss[10];
	for (int round = 0; round < 4; round++) {
		struct sd_engine *e = sd_engine_open("cpu", round % 3 * 2 + 1);
		struct sd_train t;
		int checkpoints = 0;
		CHECK(!start_training(&t, e, ds, g, 0.3), "%s", sd_error_text());
		if (round == 3) { /* one bit of one weight, before the first step */
			float w[10 * CLASSES * 8];
			CHECK(sd_var_bytes(sd_vars_find(&t.vars, "classifier.bias")) == CLASSES * sizeof *w &&
				!sd_vars_get(&t.vars, "classifier.bias", w));
			uint32_t word;
			memcpy(&word, w, sizeof word);
			word ^= 1;
			memcpy(w, &word, sizeof word);
			CHECK(!sd_vars_set(&t.vars, "classifier.bias", w));
		}
		CHECK(!run(&t.loop, &checkpoints), "%s", sd_error_text());
		const struct sd_trace *trace = &t.loop.trace;
		CHECK(trace->n == 10 && trace->stride == 1 && trace->epoch_steps == 3 && !trace->arch && !trace->nalpha);
		if (trace->n != 10)
			break;
		if (!round) {
			memcpy(digest, trace->digest, sizeof digest);
			memcpy(loss, trace->loss, sizeof loss);
			for (int i = 1; i < 10; i++)
				CHECK(digest[i] != digest[i - 1] && loss[i] > 0.1 && loss[i] < 10);
			double mean = (16 * loss[7] + 16 * loss[8] + 12 * loss[9]) / NTRAIN;
			CHECK(fabs(mean - t.loop.history.v[2 * SD_TRAIN_NCOL + SD_TRAIN_TRAIN_LOSS]) < 1e-12);
		}
		for (int i = 0; i < 10; i++)
			CHECK((trace->digest[i] == digest[i]) == (round < 3) && (round == 3 || trace->loss[i] == loss[i]),
				"round %d, row %d", round, i);
		sd_train_release(&t);
		sd_engine_close(e);
	}
}

static void test_training(const struct sd_dataset *ds, const struct sd_genotype *g)
{
	uint64_t want = 0;
	for (int threads = 1; threads <= 5; threads += 2) {
		struct sd_engine *e = sd_engine_open("cpu", threads);
		struct sd_train t;
		int checkpoints = 0;
		sd_engine_poison(e, threads == 3);
		CHECK(!start_training(&t, e, ds, g, 0.3), "%s", sd_error_text());
		CHECK(t.loop.steps == 3 && t.rest && t.rest->batch == 12);
		CHECK(!run(&t.loop, &checkpoints), "%s", sd_error_text());
		CHECK(t.loop.epochs_done == 3 && t.loop.history.n == 3 && checkpoints == 0);
		uint64_t sum = vars_sum(&t.vars);
		if (!want)
			want = sum;
		CHECK(sum == want, "%d threads", threads);
		const double *h = t.loop.history.v;
		CHECK(h[SD_TRAIN_LR] == 0.05 && h[SD_TRAIN_NCOL + SD_TRAIN_LR] == 0.03);
		CHECK(fabs(h[SD_TRAIN_DROP_PATH] - 0.1) < 1e-15 &&
			h[2 * SD_TRAIN_NCOL + SD_TRAIN_DROP_PATH] == 0.3);
		int best = 0;
		for (int i = 1; i < 3; i++)
			if (h[i * SD_TRAIN_NCOL + SD_TRAIN_VALID_TOP1] >
			    h[best * SD_TRAIN_NCOL + SD_TRAIN_VALID_TOP1])
				best = i;
		CHECK(t.best_epoch == best + 1);

		/* A further data set that is the same one gives the same numbers, and moves nothing. */
		struct sd_evaluation also;
		CHECK(!sd_train_also(&t, ds, false, &also), "%s", sd_error_text());
		CHECK(also.loss == h[2 * SD_TRAIN_NCOL + SD_TRAIN_VALID_LOSS]);
		sd_evaluation_release(&also);
		CHECK(!sd_train_also(&t, ds, true, &also), "%s", sd_error_text());
		CHECK(also.loss == h[best * SD_TRAIN_NCOL + SD_TRAIN_VALID_LOSS]);
		CHECK(also.top1 == t.best_top1);
		sd_evaluation_release(&also);
		sd_train_release(&t);
		sd_engine_close(e);
	}
}

static void test_evaluation(const struct sd_dataset *ds, const struct sd_genotype *g)
{
	struct sd_engine *e = sd_engine_open("cpu", 2);
	struct sd_train t;
	struct sd_evaluation first = { 0 };
	CHECK(!start_training(&t, e, ds, g, 0), "%s", sd_error_text());
	CHECK(sd_find(t.full->graph, "input/ids") == SD_NIL); /* nothing is dropped: nothing is drawn */
	static const uint32_t batch[] = { 1, 2, 7, 16, 23, 500 };
	for (size_t i = 0; i < sizeof batch / sizeof *batch; i++) {
		struct sd_loader_options o = { .split = SD_SPLIT_TEST, .batch = batch[i], .site = "valid" };
		struct sd_evaluation ev;
		struct sd_evaluator *v = sd_evaluator_new(&t.vars, &t.net, ds, &o, 0, 0);
		CHECK(v && !sd_evaluator_run(v, 0, &ev), "%s", sd_error_text());
		int64_t all = 0, right = 0;
		for (int c = 0; c < CLASSES; c++)
			for (int p = 0; p < CLASSES; p++) {
				all += ev.confusion[c * CLASSES + p];
				right += c == p ? ev.confusion[c * CLASSES + p] : 0;
			}
		CHECK(all == NTEST && ev.n == NTEST && fabs(ev.top1 - 100.0 * (double)right / NTEST) < 1e-12);
		CHECK(ev.top5 == 100 && isfinite(ev.loss));
		if (i) {
			CHECK(ev.loss == first.loss && ev.top1 == first.top1, "batch %u", batch[i]);
			CHECK(!memcmp(ev.confusion, first.confusion, sizeof(int64_t) * CLASSES * CLASSES));
			sd_evaluation_release(&ev);
		} else {
			first = ev;
		}
		sd_evaluator_free(v);
	}
	sd_evaluation_release(&first);

	/* Another size of images does not fit. */
	struct sd_net other = t.net;
	struct sd_loader_options o = { .split = SD_SPLIT_TEST, .batch = 4, .site = "valid" };
	other.height = 16;
	CHECK(!sd_evaluator_new(&t.vars, &other, ds, &o, 0, 0) && sd_error_kind() == SD_ERR_DATA);
	sd_train_release(&t);
	sd_engine_close(e);
}

static void test_copies(const struct sd_dataset *ds, const struct sd_genotype *g)
{
	struct sd_engine *e = sd_engine_open("cpu", 2);
	struct sd_train t;
	int checkpoints = 0;
	CHECK(!start_training(&t, e, ds, g, 0.2), "%s", sd_error_text());
	struct sd_vars_copy *copy = sd_vars_save(&t.vars);
	uint64_t before = vars_sum(&t.vars);
	CHECK(!run(&t.loop, &checkpoints), "%s", sd_error_text());
	CHECK(vars_sum(&t.vars) != before);
	CHECK(!sd_vars_restore(&t.vars, copy) && vars_sum(&t.vars) == before);
	CHECK(sd_vars_find(&t.vars, "classifier.weight") && !sd_vars_find(&t.vars, "classifier"));
	CHECK(sd_vars_find(&t.vars, SD_VAR_MOMENTUM "classifier.weight"));
	CHECK(sd_vars_copy_data(copy, &t.vars, "classifier.bias") && !sd_vars_copy_data(copy, &t.vars, "x"));
	CHECK(sd_vars_set(&t.vars, "x", copy) && sd_error_kind() == SD_ERR_BUG);
	sd_vars_copy_free(copy);
	sd_train_release(&t);
	sd_engine_close(e);
}

static void test_loss_not_finite(const struct sd_dataset *ds, const struct sd_genotype *g)
{
	static const double huge[3] = { 1e30, 1e30, 1e30 };
	struct sd_engine *e = sd_engine_open("cpu", 2);
	struct sd_train t;
	int checkpoints = 0;
	CHECK(!start_training(&t, e, ds, g, 0.2), "%s", sd_error_text());
	t.o.lr = huge;
	CHECK(run(&t.loop, &checkpoints) == -1 &&
		sd_error_kind() == SD_ERR_DATA);
	CHECK(strstr(sd_error_text(), "the loss is not finite in epoch 1, step 2"), "%s", sd_error_text());
	CHECK(!strstr(sd_error_text(), "no op was found"), "%s", sd_error_text());
	sd_train_release(&t);
	sd_engine_close(e);
}

static void test_stop(const struct sd_dataset *ds, const struct sd_genotype *g)
{
	struct sd_engine *e = sd_engine_open("cpu", 1);
	struct sd_train t;
	int checkpoints = 0;
	CHECK(!start_training(&t, e, ds, g, 0.2), "%s", sd_error_text());
	t.loop.max_seconds = 1e-9;
	CHECK(run(&t.loop, &checkpoints) == -1);
	CHECK(sd_error_kind() == SD_ERR_STOPPED && checkpoints == 1 && t.loop.epochs_done == 0);
	sd_train_release(&t);
	sd_engine_close(e);
}

static void test_search(const struct sd_dataset *ds)
{
	struct sd_primitive_list prims;
	struct sd_engine *e = sd_engine_open("cpu", 2);
	struct sd_search s;
	int checkpoints = 0;
	CHECK(!sd_primitive_list_parse(&prims, "none,skip_connect,sep_conv_3x3,max_pool_3x3"));
	struct sd_search_options o = { .step = SD_STEP_DEFAULTS, .batch = 8, .train_portion = 0.5,
		.lr = rates, .arch_lr = 0.01, .augment = sd_augment_train(ds, 3) };
	o.net = (struct sd_supernet){ .channels = 4, .classes = CLASSES, .layers = 3, .steps = 2,
		.prims = &prims, .ops = SD_OPS, .weighting = SD_MAX_W };
	CHECK(!sd_search_init(&s, e, ds, &o, 5, 1, 3), "%s", sd_error_text());
	CHECK(s.ntrain == 22 && s.nvalid == 22 && s.loop.steps == 3 && s.weights_rest->batch == 6);
	float before[20];
	CHECK(s.ncell[0] == 20 && !sd_vars_get(&s.vars, SD_VAR_ALPHAS_NORMAL, before));
	CHECK(!run(&s.loop, &checkpoints), "%s", sd_error_text());
	int32_t t;
	CHECK(!sd_vars_get(&s.vars, SD_VAR_ADAM_T, &t) && t == 9);

	/* What is recorded after the last epoch is what the variables hold, and its softmax. */
	const float *a = s.epochs.alpha[0] + 2 * s.ncell[0], *w = s.epochs.weight[0] + 2 * s.ncell[0];
	float now[20];
	CHECK(!sd_vars_get(&s.vars, SD_VAR_ALPHAS_NORMAL, now) && !memcmp(now, a, sizeof now));
	CHECK(memcmp(before, now, sizeof now));
	for (int edge = 0; edge < 5; edge++) {
		double sum = 0, got = 0;
		for (int k = 0; k < 4; k++)
			sum += exp(a[4 * edge + k]);
		for (int k = 0; k < 4; k++) {
			got += w[4 * edge + k];
			CHECK(fabs(exp(a[4 * edge + k]) / sum - w[4 * edge + k]) < 1e-6);
		}
		CHECK(fabs(got - 1) < 1e-6);
	}
	/* Both steps move the running statistics: 2 x 9 forward passes in training mode. */
	struct sd_var *count = sd_vars_find(&s.vars, "stem.1.num_batches_tracked");
	int32_t n = 0;
	CHECK(count && !sd_buffer_read(count->buffer, &n) && n == 18, "%d", n);
	sd_search_release(&s);

	/* Too few images to validate on. */
	o.train_portion = 0.9;
	CHECK(sd_search_init(&s, e, ds, &o, 5, 1, 3) == -1 && sd_error_kind() == SD_ERR_USAGE);

	/* An epoch cut short. */
	o.train_portion = 0.5;
	o.limit = 1;
	CHECK(!sd_search_init(&s, e, ds, &o, 5, 1, 3) && s.loop.steps == 1 && !s.weights_rest);
	sd_search_release(&s);
	sd_engine_close(e);
}

/* One search step of weights and alphas; images and labels are the first ones. */
static int search_step(struct sd_vars *v, struct sd_step_program *alphas, struct sd_step_program *weights)
{
	static float x[8 * SIDE * SIDE];
	static int32_t labels[8], ids[8];
	struct sd_rng_key key = sd_rng_key(9, "test", "batch");
	for (uint32_t i = 0; i < 8 * SIDE * SIDE; i++)
		x[i] = 4 * sd_rng_unit(sd_rng_word(key, i, 0, 0, 0)) - 2;
	for (int i = 0; i < 8; i++)
		labels[i] = i % CLASSES;
	return sd_vars_set_f32(v, SD_VAR_LR, 0.1f) || sd_vars_set_f32(v, SD_VAR_ARCH_LR, 0.01f) ||
		sd_step_run(alphas, x, labels, ids) || sd_step_run(weights, x, labels, ids) ? -1 : 0;
}

/* How many of the copy's variables differ from v's by more than a part of their size, by name. */
static int moved(const struct sd_vars *v, const struct sd_vars_copy *c, const char *begins, double part)
{
	int n = 0;
	for (int i = 0; i < v->n; i++) {
		const struct sd_var *var = &v->var[i];
		size_t count = sd_var_bytes(var) / sizeof(float);
		if (var->cls == SD_SCALAR || var->dtype != SD_F32 || strncmp(var->name, begins, strlen(begins)))
			continue;
		float *now = malloc(count * sizeof *now);
		const float *old = sd_vars_copy_data(c, v, var->name);
		double d = 0, m = 0;
		CHECK(!sd_vars_get(v, var->name, now));
		for (size_t k = 0; k < count; k++) {
			d = fmax(d, fabs((double)now[k] - (double)old[k]));
			m = fmax(m, fabs((double)old[k]));
		}
		n += !(d <= part * m);
		free(now);
	}
	return n;
}

/* A scaled loss leads where the plain one does; gradients that overflow leave all but running statistics alone
 * and halve the scale. */
static void test_loss_scale(void)
{
	struct sd_engine *e = sd_engine_open("cpu", 2);
	struct sd_primitive_list prims;
	struct sd_vars v;
	struct sd_step_options o = SD_STEP_DEFAULTS;
	struct sd_step_program *alphas[2], *weights[2];
	float scale[2], huge = 3e38f, most = INFINITY;
	CHECK(!sd_primitive_list_parse(&prims, "none,skip_connect,max_pool_3x3,sep_conv_3x3"));
	struct sd_net net = { .kind = SD_NET_SUPERNET, .channels_in = 1, .height = SIDE, .width = SIDE,
		.supernet = { .channels = 4, .classes = CLASSES, .layers = 3, .steps = 2, .prims = &prims,
			.ops = SD_DARTS_OPS, .weighting = SD_MAX_W } };
	sd_vars_init(&v, e, 5);
	for (int k = 0; k < 2; k++) {
		o.loss_scale = k;
		alphas[k] = sd_step_program_new(&v, &net, &o, SD_STEP_ALPHAS, 8, 0);
		weights[k] = sd_step_program_new(&v, &net, &o, SD_STEP_WEIGHTS, 8, 0);
		CHECK(alphas[k] && weights[k], "%s", sd_error_text());
	}
	CHECK(!sd_vars_get(&v, SD_VAR_LOSS_SCALE, &scale[0]) && scale[0] == 65536);
	CHECK(!sd_vars_get(&v, SD_VAR_ARCH_LOSS_SCALE, &scale[1]) && scale[1] == 65536);
	struct sd_vars_copy *start = sd_vars_save(&v);
	CHECK(!search_step(&v, alphas[0], weights[0]) && !search_step(&v, alphas[0], weights[0]));
	CHECK(moved(&v, start, "", 1e-6) > 50 && moved(&v, start, "alphas", 1e-6) == 2);
	struct sd_vars_copy *plain = sd_vars_save(&v);
	CHECK(!sd_vars_restore(&v, start));
	CHECK(!search_step(&v, alphas[1], weights[1]) && !search_step(&v, alphas[1], weights[1]));
	CHECK(moved(&v, plain, "", 1e-4) == 0);

	CHECK(!sd_vars_restore(&v, start));
	CHECK(!sd_vars_set(&v, SD_VAR_LOSS_SCALE, &huge) && !sd_vars_set(&v, SD_VAR_ARCH_LOSS_SCALE, &most));
	CHECK(!search_step(&v, alphas[1], weights[1]));
	CHECK(moved(&v, start, "alphas", 0) == 0 && moved(&v, start, "optimizer/momentum", 0) == 0 &&
		moved(&v, start, "optimizer/adam", 0) == 0);
	CHECK(moved(&v, start, "stem.1.running_mean", 0) == 1);
	CHECK(!sd_vars_get(&v, SD_VAR_LOSS_SCALE, &scale[0]) && scale[0] == huge / 2);
	int32_t t;
	CHECK(!sd_vars_get(&v, SD_VAR_ADAM_T, &t) && t == 0);

	sd_vars_copy_free(start);
	sd_vars_copy_free(plain);
	for (int k = 0; k < 2; k++) {
		sd_step_program_free(alphas[k]);
		sd_step_program_free(weights[k]);
	}
	sd_vars_release(&v);
	sd_engine_close(e);
}

int main(void)
{
	struct sd_dataset *ds = make_data();
	struct sd_genotype g;
	sd_genotype_init(&g);
	CHECK(!sd_genotype_parse(&g, literal, sizeof literal - 1, "literal"), "%s", sd_error_text());
	test_trace(ds, &g);
	test_training(ds, &g);
	test_evaluation(ds, &g);
	test_copies(ds, &g);
	test_loss_not_finite(ds, &g);
	test_stop(ds, &g);
	test_search(ds);
	test_loss_scale();
	sd_genotype_release(&g);
	sd_dataset_free(ds);
	return check_done();
}
