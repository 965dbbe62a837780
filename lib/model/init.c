/* init.c: the values that parameters and states begin with. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "model/model.h"

static int ends(const char *name, const char *end)
{
	size_t n = strlen(name), k = strlen(end);

	return n >= k && !strcmp(name + n - k, end) && (n == k || name[n - k - 1] == '.');
}

/* The weight beside "<layer>.bias": "<layer>.weight". */
static sd_val weight_of(const struct sd_graph *g, const char *bias)
{
	char name[256];
	size_t n = strlen(bias) - strlen("bias");

	if (n + sizeof "weight" > sizeof name)
		return SD_NIL;
	memcpy(name, bias, n);
	memcpy(name + n, "weight", sizeof "weight");
	return sd_find(g, name);
}

static void fill(float *out, size_t n, float value)
{
	size_t i;

	for (i = 0; i < n; i++)
		out[i] = value;
}

/* PyTorch's kaiming_uniform with a = sqrt(5): +-sqrt(6 / ((1 + 5) fan_in)). */
static void uniform(float *out, size_t n, const struct sd_shape *weight, struct sd_rng_key key)
{
	float bound = (float)(1 / sqrt((double)(sd_shape_count(weight) / (size_t)weight->d[0])));
	uint32_t word;
	size_t i;

	for (i = 0; i < n; i++) {
		word = sd_rng_word(key, (uint32_t)i, (uint32_t)((uint64_t)i >> 32), 0, 0);
		out[i] = (2 * sd_rng_unit(word) - 1) * bound;
	}
}

static void normal(float *out, size_t n, float sd, struct sd_rng_key key)
{
	uint32_t ctr[4] = { 0 }, word[4];
	size_t i;

	for (i = 0; i < n; i++) {
		ctr[0] = (uint32_t)i;
		ctr[1] = (uint32_t)((uint64_t)i >> 32);
		sd_rng_block(key, ctr, word);
		out[i] = sd * sd_rng_normal(word[0], word[1]);
	}
}

static int init_param(const struct sd_graph *g, sd_val v, uint64_t seed, float *out)
{
	const char *name = g->val[v].name;
	const struct sd_shape *s = &g->val[v].shape, *w;
	struct sd_rng_key key = sd_rng_key(seed, "init", name);
	size_t n = sd_shape_count(s);
	sd_val weight;

	if (!strncmp(name, "alphas_", 7)) {
		normal(out, n, 1e-3f, sd_rng_key(seed, "alpha", name));
		return 0;
	}
	if (ends(name, "weight") && s->n >= 1) {
		if (s->n == 1)
			fill(out, n, 1); /* a norm's */
		else
			uniform(out, n, s, key);
		return 0;
	}
	weight = ends(name, "bias") ? weight_of(g, name) : SD_NIL;
	if (weight == SD_NIL)
		return sd_error(SD_ERR_BUG, "no rule for the initial value of parameter '%s'", name);
	w = sd_shape_of(g, weight);
	if (w->n == 1)
		fill(out, n, 0);
	else
		uniform(out, n, w, key);
	return 0;
}

int sd_init_value(const struct sd_graph *g, sd_val v, uint64_t seed, void *out)
{
	const struct sd_value *x = &g->val[v];
	size_t n = sd_shape_count(&x->shape), size = x->dtype == SD_F64 ? 8 : 4;

	if (x->cls == SD_PARAM)
		return init_param(g, v, seed, out);
	if (x->cls != SD_STATE)
		return sd_error(SD_ERR_BUG, "only parameters and states have initial values");
	if (x->dtype == SD_F32 && ends(x->name, "running_var"))
		fill(out, n, 1);
	else
		memset(out, 0, n * size);
	return 0;
}
