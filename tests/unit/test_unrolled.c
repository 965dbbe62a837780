/* test_unrolled.c: the second-order step of the alphas against a finite difference of what it differentiates,
 * what it leaves alone, and alphas that are trained as weights. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "check.h"
#include "train/unrolled.h"

enum { BATCH = 4, SIDE = 8, EDGES = 5, PRIMS = 4, CLASSES = 5, ALPHAS = EDGES * PRIMS };

struct setting {
	struct sd_engine *engine;
	struct sd_primitive_list prims;
	struct sd_net net;
	struct sd_step_options o;
	struct sd_vars vars;
	float images[2][BATCH * 3 * SIDE * SIDE];
	int32_t labels[2][BATCH], ids[BATCH];
	struct sd_step_batch train, valid;
};

static void open_setting(struct setting *t, int threads, enum sd_weighting weighting)
{
	struct sd_rng_key key = sd_rng_key(3, "test", "images");
	struct sd_step_options o = SD_STEP_DEFAULTS;
	memset(t, 0, sizeof *t);
	t->engine = sd_engine_open("cpu", threads);
	CHECK(!sd_primitive_list_parse(&t->prims, "none,skip_connect,avg_pool_3x3,sep_conv_3x3"));
	t->net = (struct sd_net){ .kind = SD_NET_SUPERNET, .channels_in = 3, .height = SIDE, .width = SIDE,
		.supernet = { .channels = 2, .classes = CLASSES, .layers = 3, .steps = 2, .prims = &t->prims,
			.ops = SD_DARTS_OPS, .weighting = weighting } };
	t->o = o;
	sd_vars_init(&t->vars, t->engine, 2);
	for (int b = 0; b < 2; b++) {
		for (uint32_t i = 0; i < BATCH * 3 * SIDE * SIDE; i++) {
			uint32_t ctr[4] = { i, (uint32_t)b, 0, 0 }, w[4];
			sd_rng_block(key, ctr, w);
			t->images[b][i] = sd_rng_normal(w[0], w[1]);
		}
		for (uint32_t i = 0; i < BATCH; i++)
			t->labels[b][i] = (int32_t)sd_rng_below(sd_rng_word(key, i, 7, (uint32_t)b, 0), CLASSES);
	}
	t->train = (struct sd_step_batch){ BATCH, t->images[0], t->labels[0], t->ids, NULL };
	t->valid = (struct sd_step_batch){ BATCH, t->images[1], t->labels[1], t->ids, NULL };
}

/* One step of the alphas. */
static int step(struct sd_unrolled *u, const struct setting *t)
{
	struct sd_step_list l = { .n = 0 };
	return sd_unrolled_add(u, &l, &t->train, &t->valid) ? -1 : sd_step_list_run(&l);
}

static void close_setting(struct setting *t)
{
	sd_vars_release(&t->vars);
	sd_engine_close(t->engine);
}

/* Values of a variable that depend on its name, about 0. */
static void randomise(struct sd_vars *v, const char *name, float sd)
{
	struct sd_var *var = sd_vars_find(v, name);
	size_t n = sd_var_bytes(var) / sizeof(float);
	float *x = malloc(n * sizeof *x);
	for (size_t i = 0; i < n; i++) {
		uint32_t ctr[4] = { (uint32_t)i, 0, 0, 0 }, w[4];
		sd_rng_block(sd_rng_key(5, "test", name), ctr, w);
		x[i] = sd * sd_rng_normal(w[0], w[1]);
	}
	CHECK(!sd_vars_set(v, name, x));
	free(x);
}

/* Momenta and alphas that are not all alike. */
static void fill(struct setting *t)
{
	for (int i = 0; i < t->vars.n; i++)
		if (!strncmp(t->vars.var[i].name, SD_VAR_MOMENTUM, strlen(SD_VAR_MOMENTUM)))
			randomise(&t->vars, t->vars.var[i].name, 0.02f);
	for (int i = 0; i < 2; i++)
		randomise(&t->vars, sd_alpha_names[i], 1);
}

/* L_valid(w - xi (momentum m + dL_train/dw + decay w), alpha) at alpha + h along d; the running statistics
 * that it moves count for nothing here. */
static double objective(struct setting *t, struct sd_unrolled *u, float *const alpha[2], float *const d[2],
	float h)
{
	float a[ALPHAS], loss = NAN;
	for (int i = 0; i < 2; i++) {
		for (int k = 0; k < ALPHAS; k++)
			a[k] = alpha[i][k] + h * d[i][k];
		CHECK(!sd_vars_set(&t->vars, sd_alpha_names[i], a));
	}
	struct sd_step_list l = { .n = 0 };
	CHECK(sd_unrolled_ahead(u, &l, &t->train) && !sd_unrolled_valid(u, &l, &t->valid) &&
		!sd_step_list_run(&l));
	CHECK(!sd_step_read(u->valid, u->valid->loss, &loss));
	return (double)loss;
}

static double inner(float *const a[2], float *const b[2])
{
	double sum = 0;
	for (int i = 0; i < 2; i++)
		for (int k = 0; k < ALPHAS; k++)
			sum += (double)a[i][k] * (double)b[i][k];
	return sum;
}

/* Along several directions the gradient must be what the objective does; a gradient without the finite
 * difference, or one with the wrong sign, fails by far more than is allowed. */
static void test_objective(enum sd_weighting weighting)
{
	struct setting t;
	float alpha_[2][ALPHAS], grad_[2][ALPHAS], implicit_[2][ALPHAS], d_[2][ALPHAS];
	float *alpha[2] = { alpha_[0], alpha_[1] }, *grad[2] = { grad_[0], grad_[1] };
	float *implicit[2] = { implicit_[0], implicit_[1] }, *d[2] = { d_[0], d_[1] };
	const float lr = 0.3f, h = 5e-4f;
	int size = BATCH, telling = 0;

	open_setting(&t, 2, weighting);
	/* The paper's radius steps over many kinks of relus, where the difference is none of a derivative; this one,
	 * with these weights, over none. */
	t.o.radius = 1e-4f;
	struct sd_unrolled *u = sd_unrolled_new(&t.vars, &t.net, &t.o, BATCH, 1, &size, 1);
	CHECK(u != NULL, "%s", sd_error_text());
	if (!u)
		return;
	fill(&t);
	CHECK(!sd_vars_set_f32(&t.vars, SD_VAR_LR, lr) && !sd_vars_set_f32(&t.vars, SD_VAR_ARCH_LR, 0));
	for (int i = 0; i < 2; i++)
		CHECK(!sd_vars_get(&t.vars, sd_alpha_names[i], alpha[i]));
	CHECK(!step(u, &t), "%s", sd_error_text());
	for (int i = 0; i < 2; i++)
		CHECK(!sd_program_read(u->update, u->grad_alphas[i], grad[i]) &&
			!sd_program_read(u->update, u->implicit[i], implicit[i]));
	double size_of = sqrt(inner(grad, grad));
	for (uint32_t dir = 0; dir < 6; dir++) {
		for (int i = 0; i < 2; i++)
			for (uint32_t k = 0; k < ALPHAS; k++) {
				uint32_t ctr[4] = { k, (uint32_t)i, dir, 0 }, w[4];
				sd_rng_block(sd_rng_key(9, "test", "direction"), ctr, w);
				d[i][k] = dir == 0 ? implicit[i][k] : sd_rng_normal(w[0], w[1]);
			}
		double length = sqrt(inner(d, d));
		for (int k = 0; k < 2 * ALPHAS; k++)
			d[k / ALPHAS][k % ALPHAS] /= (float)length;
		double want = (objective(&t, u, alpha, d, h) - objective(&t, u, alpha, d, -h)) / (2 * (double)h);
		double got = inner(grad, d), part = (double)lr * inner(implicit, d), allowed = 0.01 * size_of;
		CHECK(fabs(got - want) <= allowed, "direction %u: %.6f, the objective says %.6f, of it %.6f by the "
			"weights", dir, got, want, -part);
		telling += fabs(part) > 5 * allowed;
	}
	CHECK(telling > 0, "the weights' part is nowhere to be seen");
	sd_unrolled_free(u);
	close_setting(&t);
}

/* Everything but the scratch and what the step is to move stays as it is, bit for bit. */
static void test_untouched(void)
{
	struct setting t;
	int size[2] = { BATCH, BATCH - 2 };
	double before[5], after[5];
	open_setting(&t, 1, SD_MAX_W);
	struct sd_unrolled *u = sd_unrolled_new(&t.vars, &t.net, &t.o, BATCH, 2, size, 0);
	CHECK(u != NULL, "%s", sd_error_text());
	if (!u)
		return;
	fill(&t);
	CHECK(!sd_vars_set_f32(&t.vars, SD_VAR_LR, 0.1f) && !sd_vars_set_f32(&t.vars, SD_VAR_ARCH_LR, 0.01f));
	struct sd_vars_copy *copy = sd_vars_save(&t.vars);
	CHECK(!sd_vars_get(&t.vars, "sums/arch", before));
	for (int k = 0; k < 2; k++) {
		t.train.n = size[k];
		CHECK(!step(u, &t), "%s", sd_error_text());
	}
	int moved = 0, kept = 0;
	for (int i = 0; i < t.vars.n; i++) {
		const struct sd_var *var = &t.vars.var[i];
		size_t n = sd_var_bytes(var);
		char *now = malloc(n + 1);
		const void *was = sd_vars_copy_data(copy, &t.vars, var->name);
		CHECK(!sd_buffer_read(var->buffer, now));
		int same = was && !memcmp(now, was, n), count = strstr(var->name, "num_batches_tracked") != NULL;
		int may = count || strstr(var->name, "running_") || strstr(var->name, "adam_") ||
			!strncmp(var->name, "alphas_", 7) || !strncmp(var->name, "sums/arch", 9);
		if (!sd_var_is_scratch(var))
			CHECK(same != may, "'%s' %s", var->name, same ? "did not move" : "moved");
		moved += may;
		kept += !may;
		if (count) {
			int32_t tracked;
			memcpy(&tracked, now, sizeof tracked);
			CHECK(tracked == 6, "'%s' moved %d times in two steps", var->name, tracked);
		}
		free(now);
	}
	CHECK(moved > 20 && kept > 50);
	CHECK(!sd_vars_get(&t.vars, "sums/arch", after) && after[3] - before[3] == 2 * BATCH);
	t.train.n = BATCH - 1;
	CHECK(step(u, &t) == -1 && sd_error_kind() == SD_ERR_BUG);
	sd_vars_copy_free(copy);
	sd_unrolled_free(u);
	close_setting(&t);
}

/* The alphas are clipped, decayed and moved with the weights: by hand from their gradient and the norm. */
static void test_as_weights(void)
{
	struct setting t;
	float before[2][ALPHAS], now[ALPHAS], grad[2][ALPHAS], norm, plain;
	const float lr = 0.1f;
	open_setting(&t, 2, SD_MAX_W);
	t.o.grad_clip = 0.5f;
	struct sd_step_program *without = sd_step_program_new(&t.vars, &t.net, &t.o, SD_STEP_WEIGHTS, BATCH, 1);
	t.o.alphas_as_weights = 1;
	struct sd_step_program *with = sd_step_program_new(&t.vars, &t.net, &t.o, SD_STEP_WEIGHTS, BATCH, 1);
	CHECK(without && with, "%s", sd_error_text());
	if (!without || !with)
		return;
	fill(&t);
	for (int i = 0; i < 2; i++)
		CHECK(!sd_vars_zero(&t.vars, i ? SD_VAR_MOMENTUM SD_VAR_ALPHAS_REDUCE :
			SD_VAR_MOMENTUM SD_VAR_ALPHAS_NORMAL) && !sd_vars_get(&t.vars, sd_alpha_names[i], before[i]));
	struct sd_vars_copy *copy = sd_vars_save(&t.vars);
	CHECK(!sd_vars_set_f32(&t.vars, SD_VAR_LR, lr));
	CHECK(!sd_step_run(without, t.images[0], t.labels[0], t.ids) &&
		!sd_step_read(without, without->grad_norm, &plain) && !sd_vars_restore(&t.vars, copy));
	CHECK(!sd_vars_set_f32(&t.vars, SD_VAR_LR, lr) && !sd_step_run(with, t.images[0], t.labels[0], t.ids));
	CHECK(!sd_step_read(with, with->grad_norm, &norm));
	double squares = (double)plain * (double)plain;
	for (int i = 0; i < 2; i++) {
		CHECK(!sd_step_read(with, with->grad_alphas[i], grad[i]));
		for (int k = 0; k < ALPHAS; k++)
			squares += (double)grad[i][k] * (double)grad[i][k];
	}
	CHECK(fabs((double)norm - sqrt(squares)) < 1e-5 * (double)norm && norm > plain, "%g, expected %g", (double)norm,
		sqrt(squares));
	double coef = 0.5 / ((double)norm + 1e-6), diff = 0, most = 0;
	CHECK(coef < 1);
	for (int i = 0; i < 2; i++) {
		CHECK(!sd_vars_get(&t.vars, sd_alpha_names[i], now));
		for (int k = 0; k < ALPHAS; k++) {
			double decay = (double)t.o.weight_decay * (double)before[i][k];
			double want = -(double)lr * (coef * (double)grad[i][k] + decay);
			diff = fmax(diff, fabs((double)now[k] - (double)before[i][k] - want));
			most = fmax(most, fabs(want));
		}
	}
	CHECK(most > 1e-4 && diff < 1e-7 + 1e-3 * most, "worst %g of %g", diff, most);
	sd_vars_copy_free(copy);
	sd_step_program_free(without);
	sd_step_program_free(with);
	close_setting(&t);
}

int main(void)
{
	test_objective(SD_SCALAR_W);
	test_objective(SD_MAX_W);
	test_untouched();
	test_as_weights();
	return check_done();
}
