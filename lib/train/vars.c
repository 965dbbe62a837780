/* vars.c: the variables of a run. */
#include "train/vars.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "model/model.h"

void sd_vars_init(struct sd_vars *v, struct sd_engine *engine, uint64_t seed)
{
	memset(v, 0, sizeof *v);
	v->engine = engine;
	v->seed = seed;
}

void sd_vars_release(struct sd_vars *v)
{
	for (int i = 0; i < v->n; i++) {
		free(v->var[i].name);
		sd_buffer_free(v->var[i].buffer);
	}
	free(v->var);
	free(v->hash);
	memset(v, 0, sizeof *v);
}

/* FNV-1a. */
static uint32_t name_hash(const char *s)
{
	uint32_t h = 2166136261u;
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h;
}

/* Where in v->hash the name is, or would be put. */
static int hash_place(const struct sd_vars *v, const char *name)
{
	unsigned mask = (unsigned)v->cap_hash - 1, i = name_hash(name) & mask;
	while (v->hash[i] && strcmp(v->var[v->hash[i] - 1].name, name))
		i = (i + 1) & mask;
	return (int)i;
}

static int vars_grow(struct sd_vars *v)
{
	if (v->n < v->cap)
		return 0;
	int cap = v->cap ? 2 * v->cap : 256, cap_hash = 4 * cap;
	struct sd_var *var = realloc(v->var, (size_t)cap * sizeof *var);
	if (!var)
		return sd_error(SD_ERR_IO, "out of memory");
	v->var = var;
	v->cap = cap;
	int *hash = calloc((size_t)cap_hash, sizeof *hash);
	if (!hash)
		return sd_error(SD_ERR_IO, "out of memory");
	free(v->hash);
	v->hash = hash;
	v->cap_hash = cap_hash;
	for (int i = 0; i < v->n; i++)
		v->hash[hash_place(v, v->var[i].name)] = i + 1;
	return 0;
}

struct sd_var *sd_vars_find(const struct sd_vars *v, const char *name)
{
	if (!v->cap_hash)
		return NULL;
	int i = v->hash[hash_place(v, name)];
	return i ? &v->var[i - 1] : NULL;
}

static size_t dtype_bytes(enum sd_dtype t)
{
	return t == SD_F64 ? 8 : 4;
}

size_t sd_var_bytes(const struct sd_var *var)
{
	return sd_shape_count(&var->shape) * dtype_bytes(var->dtype);
}

/* Only what the reference's modules hold has an initial value other than 0: parameters, and states
 * outside our own folders. */
static int has_initial_value(const struct sd_value *val)
{
	return val->cls == SD_PARAM || (val->cls == SD_STATE && !strchr(val->name, '/'));
}

static int var_add(struct sd_vars *v, const struct sd_graph *g, sd_val id)
{
	const struct sd_value *val = &g->val[id];
	if (vars_grow(v))
		return -1;
	struct sd_var *var = &v->var[v->n];
	*var = (struct sd_var){ .cls = val->cls, .dtype = val->dtype, .shape = val->shape };
	void *host = NULL;
	var->name = strdup(val->name);
	var->buffer = sd_buffer_new(v->engine, val->dtype, val->shape);
	if (!var->name || !var->buffer) {
		if (!var->name)
			sd_error(SD_ERR_IO, "out of memory");
		goto fail;
	}
	if (has_initial_value(val)) {
		host = calloc(1, sd_var_bytes(var));
		if (!host) {
			sd_error(SD_ERR_IO, "out of memory");
			goto fail;
		}
		if (sd_init_value(g, id, v->seed, host) || sd_buffer_write(var->buffer, host))
			goto fail;
		free(host);
	}
	v->hash[hash_place(v, var->name)] = ++v->n;
	return 0;
fail:
	free(host);
	free(var->name);
	sd_buffer_free(var->buffer);
	return -1;
}

static struct sd_var *var_need(const struct sd_vars *v, const char *name)
{
	struct sd_var *var = sd_vars_find(v, name);
	if (!var)
		sd_error(SD_ERR_BUG, "there is no variable '%s'", name);
	return var;
}

int sd_var_is_scratch(const struct sd_var *var)
{
	return !strncmp(var->name, "scratch/", 8);
}

/* The variable that a rule leads val to; *ruled tells whether one does. */
static struct sd_var *var_by(const struct sd_vars *v, const struct sd_value *val, int nrule,
	const struct sd_var_rule *rule, int *ruled)
{
	char name[512];
	*ruled = 0;
	for (int i = 0; i < nrule; i++) {
		size_t n = strlen(rule[i].from);
		if (val->cls != rule[i].cls || strncmp(val->name, rule[i].from, n))
			continue;
		*ruled = 1;
		if (snprintf(name, sizeof name, "%s%s", rule[i].to, val->name + n) < (int)sizeof name)
			return var_need(v, name);
		sd_error(SD_ERR_BUG, "the name '%s' is too long", val->name);
		return NULL;
	}
	return sd_vars_find(v, val->name);
}

int sd_vars_bind_by(struct sd_vars *v, const struct sd_graph *g, struct sd_bind *bind, int nrule,
	const struct sd_var_rule *rule)
{
	for (int s = 0; s < g->nslot; s++) {
		const struct sd_value *val = &g->val[g->slot[s]];
		int ruled;
		if (val->cls == SD_INPUT)
			continue;
		struct sd_var *var = var_by(v, val, nrule, rule, &ruled);
		if (!var) {
			if (ruled || var_add(v, g, g->slot[s]))
				return -1;
			var = &v->var[v->n - 1];
		} else if (var->dtype != val->dtype || !sd_shape_equal(&var->shape, &val->shape)) {
			return sd_error(SD_ERR_BUG, "variable '%s' has another shape already", var->name);
		}
		bind->slot[s] = var->buffer;
	}
	return 0;
}

int sd_vars_bind(struct sd_vars *v, const struct sd_graph *g, struct sd_bind *bind)
{
	return sd_vars_bind_by(v, g, bind, 0, NULL);
}

int sd_vars_set(struct sd_vars *v, const char *name, const void *host)
{
	struct sd_var *var = var_need(v, name);
	return var ? sd_buffer_write(var->buffer, host) : -1;
}

int sd_vars_get(const struct sd_vars *v, const char *name, void *host)
{
	struct sd_var *var = var_need(v, name);
	return var ? sd_buffer_read(var->buffer, host) : -1;
}

int sd_vars_set_f32(struct sd_vars *v, const char *name, float x)
{
	struct sd_var *var = sd_vars_find(v, name);
	return var ? sd_buffer_write(var->buffer, &x) : 0;
}

int sd_vars_set_i32(struct sd_vars *v, const char *name, int32_t x)
{
	struct sd_var *var = sd_vars_find(v, name);
	return var ? sd_buffer_write(var->buffer, &x) : 0;
}

int sd_vars_zero(struct sd_vars *v, const char *name)
{
	struct sd_var *var = var_need(v, name);
	if (!var)
		return -1;
	void *zeros = calloc(1, sd_var_bytes(var));
	if (!zeros)
		return sd_error(SD_ERR_IO, "out of memory");
	int ret = sd_buffer_write(var->buffer, zeros);
	free(zeros);
	return ret;
}

struct sd_vars_copy {
	int n;
	size_t *offset;
	char *data;
};

void sd_vars_copy_free(struct sd_vars_copy *c)
{
	if (!c)
		return;
	free(c->offset);
	free(c->data);
	free(c);
}

struct sd_vars_copy *sd_vars_save(const struct sd_vars *v)
{
	struct sd_vars_copy *c = calloc(1, sizeof *c);
	size_t total = 0;
	if (!c || !(c->offset = calloc((size_t)v->n + 1, sizeof *c->offset)))
		goto memory;
	c->n = v->n;
	for (int i = 0; i < v->n; i++) {
		c->offset[i] = total;
		if (!sd_var_is_scratch(&v->var[i]))
			total += (sd_var_bytes(&v->var[i]) + 63) & ~(size_t)63;
	}
	c->data = malloc(total + 1);
	if (!c->data)
		goto memory;
	if (sd_vars_resave(v, c)) {
		sd_vars_copy_free(c);
		return NULL;
	}
	return c;
memory:
	sd_error(SD_ERR_IO, "out of memory");
	sd_vars_copy_free(c);
	return NULL;
}

int sd_vars_resave(const struct sd_vars *v, struct sd_vars_copy *c)
{
	for (int i = 0; i < c->n; i++)
		if (!sd_var_is_scratch(&v->var[i]) && sd_buffer_read(v->var[i].buffer, c->data + c->offset[i]))
			return -1;
	return 0;
}

int sd_vars_restore(struct sd_vars *v, const struct sd_vars_copy *c)
{
	for (int i = 0; i < c->n; i++)
		if (!sd_var_is_scratch(&v->var[i]) && sd_buffer_write(v->var[i].buffer, c->data + c->offset[i]))
			return -1;
	return 0;
}

const void *sd_vars_copy_data(const struct sd_vars_copy *c, const struct sd_vars *v, const char *name)
{
	const struct sd_var *var = sd_vars_find(v, name);
	return var && var - v->var < c->n && !sd_var_is_scratch(var) ? c->data + c->offset[var - v->var] : NULL;
}
