/* store.c: variables and history in artifacts. */
#include "train/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define ROWS_MAX 10000000 /* epochs that a history may have: a guard for what is read */

enum place { PLACE_NONE, PLACE_STATE, PLACE_ALPHAS, PLACE_OPTIMIZER, PLACE_PROGRESS };

static enum place place_of(const struct sd_var *var)
{
	if (var->cls == SD_SCALAR || sd_var_is_scratch(var))
		return PLACE_NONE;
	if (!strncmp(var->name, "alphas_", 7))
		return PLACE_ALPHAS;
	if (!strncmp(var->name, "optimizer/", 10))
		return PLACE_OPTIMIZER;
	if (!strncmp(var->name, "sums/", 5))
		return PLACE_PROGRESS;
	return PLACE_STATE;
}

bool sd_store_in_state(const struct sd_var *var)
{
	return place_of(var) == PLACE_STATE;
}

bool sd_store_is_alphas(const struct sd_var *var)
{
	return place_of(var) == PLACE_ALPHAS;
}

/* The path of a variable; `folder` stands for "state" where it isn't NULL. */
static int path_of(const struct sd_var *var, const char *folder, char *path, size_t size)
{
	int n = 0;
	switch (place_of(var)) {
	case PLACE_STATE:
		n = snprintf(path, size, "/%s/%s", folder ? folder : "state", var->name);
		break;
	case PLACE_ALPHAS:
		n = snprintf(path, size, "/alphas_last/%s", var->name + 7);
		break;
	case PLACE_PROGRESS:
		n = snprintf(path, size, "/progress/%s", var->name);
		break;
	default:
		n = snprintf(path, size, "/%s", var->name);
	}
	if (n < 0 || (size_t)n >= size)
		return sd_error(SD_ERR_BUG, "the name '%s' is too long", var->name);
	return 0;
}

static enum sd_type type_of(enum sd_dtype t)
{
	return t == SD_F32 ? SD_TYPE_F32 : t == SD_F64 ? SD_TYPE_F64 : SD_TYPE_I32;
}

static int put(struct sd_artifact_out *out, const struct sd_var *var, const char *folder, const void *data)
{
	char path[600];
	uint64_t shape[SD_MAX_DIMS];
	for (int i = 0; i < var->shape.n; i++)
		shape[i] = (uint64_t)var->shape.d[i];
	return path_of(var, folder, path, sizeof path)
		|| sd_artifact_put(out, path, type_of(var->dtype), var->shape.n, shape, data, 0) ? -1 : 0;
}

/* Memory for the largest variable. */
static void *host_memory(const struct sd_vars *vars)
{
	size_t most = 8;
	for (int i = 0; i < vars->n; i++)
		if (sd_var_bytes(&vars->var[i]) > most)
			most = sd_var_bytes(&vars->var[i]);
	void *host = malloc(most);
	if (!host)
		sd_error(SD_ERR_IO, "out of memory");
	return host;
}

int sd_store_put(struct sd_artifact_out *out, const struct sd_vars *vars, bool progress)
{
	void *host = host_memory(vars);
	int ret = host ? 0 : -1;
	for (int i = 0; !ret && i < vars->n; i++) {
		const struct sd_var *var = &vars->var[i];
		enum place place = place_of(var);
		if (place == PLACE_NONE || (place == PLACE_PROGRESS && !progress))
			continue;
		ret = sd_buffer_read(var->buffer, host) || put(out, var, NULL, host) ? -1 : 0;
	}
	free(host);
	return ret;
}

int sd_store_put_copy(struct sd_artifact_out *out, const struct sd_vars *vars,
	const struct sd_vars_copy *copy, const char *folder)
{
	for (int i = 0; i < vars->n; i++) {
		const struct sd_var *var = &vars->var[i];
		if (place_of(var) != PLACE_STATE)
			continue;
		const void *data = sd_vars_copy_data(copy, vars, var->name);
		if (!data)
			return sd_error(SD_ERR_BUG, "the copy has no variable '%s'", var->name);
		if (put(out, var, folder, data))
			return -1;
	}
	return 0;
}

/* Reads one variable, whose shape must be that of the file. */
static int get(struct sd_artifact *art, struct sd_var *var, const char *folder, void *host)
{
	char path[600];
	if (path_of(var, folder, path, sizeof path))
		return -1;
	const struct sd_dset *d = sd_artifact_find(art, path);
	if (!d)
		return sd_error(SD_ERR_DATA, "%s: there is no '%s'", sd_artifact_name(art), path);
	int same = d->rank == var->shape.n;
	for (int i = 0; same && i < d->rank; i++)
		same = d->shape[i] == (uint64_t)var->shape.d[i];
	if (!same)
		return sd_error(SD_ERR_DATA, "%s: '%s' has another shape than the network has there",
			sd_artifact_name(art), path);
	if (sd_artifact_read(art, path, type_of(var->dtype), host, sd_shape_count(&var->shape)))
		return -1;
	return sd_buffer_write(var->buffer, host);
}

int sd_store_get(struct sd_artifact *art, struct sd_vars *vars, bool progress)
{
	void *host = host_memory(vars);
	int ret = host ? 0 : -1;
	for (int i = 0; !ret && i < vars->n; i++) {
		enum place place = place_of(&vars->var[i]);
		if (place == PLACE_NONE || (place == PLACE_PROGRESS && !progress))
			continue;
		ret = get(art, &vars->var[i], NULL, host);
	}
	free(host);
	return ret;
}

int sd_store_get_state(struct sd_artifact *art, struct sd_vars *vars, const char *folder)
{
	char path[600];
	void *host = host_memory(vars);
	int ret = host ? 0 : -1;
	for (int i = 0; !ret && i < vars->n; i++) {
		struct sd_var *var = &vars->var[i];
		if (place_of(var) != PLACE_STATE)
			continue;
		ret = path_of(var, folder, path, sizeof path);
		if (!ret && strstr(var->name, "auxiliary") && !sd_artifact_find(art, path))
			continue;
		if (!ret)
			ret = get(art, var, folder, host);
	}
	free(host);
	return ret;
}

int sd_store_put_history(struct sd_artifact_out *out, const struct sd_history *h)
{
	char path[128];
	uint64_t shape[1] = { (uint64_t)h->n };
	double *column = malloc(((size_t)h->n + 1) * sizeof *column);
	int ret = 0;
	if (!column)
		return sd_error(SD_ERR_IO, "out of memory");
	for (int c = 0; !ret && c < h->ncol; c++) {
		for (int r = 0; r < h->n; r++)
			column[r] = h->v[(size_t)r * (size_t)h->ncol + (size_t)c];
		snprintf(path, sizeof path, "/history/%s", h->column[c]);
		ret = sd_artifact_put(out, path, SD_TYPE_F64, 1, shape, column, 0);
	}
	free(column);
	return ret;
}

int sd_store_get_history(struct sd_artifact *art, struct sd_history *h)
{
	char path[128];
	uint64_t n = 0;
	double *all = NULL, *column = NULL;
	int ret = -1;
	for (int c = 0; c < h->ncol; c++) {
		const struct sd_dset *d;
		snprintf(path, sizeof path, "/history/%s", h->column[c]);
		column = sd_artifact_load(art, path, SD_TYPE_F64, &d);
		if (!column)
			goto out;
		if (c == 0)
			n = d->count;
		if (d->rank != 1 || d->count != n || n > ROWS_MAX) {
			sd_error(SD_ERR_DATA, "%s: '%s' is no column of the history", sd_artifact_name(art),
				path);
			goto out;
		}
		if (!all && !(all = malloc(((size_t)n * (size_t)h->ncol + 1) * sizeof *all))) {
			sd_error(SD_ERR_IO, "out of memory");
			goto out;
		}
		for (uint64_t r = 0; r < n; r++)
			all[r * (uint64_t)h->ncol + (uint64_t)c] = column[r];
		free(column);
		column = NULL;
	}
	h->n = 0;
	for (uint64_t r = 0; r < n; r++)
		if (sd_history_add(h, all + r * (uint64_t)h->ncol, 0))
			goto out;
	ret = 0;
out:
	free(column);
	free(all);
	return ret;
}

int sd_store_put_progress(struct sd_artifact_out *out, const struct sd_loop *loop)
{
	return sd_artifact_put_i64(out, "/progress/steps_done", loop->steps_done);
}

int sd_store_get_progress(struct sd_artifact *art, struct sd_loop *loop)
{
	int64_t steps;
	if (sd_artifact_read(art, "/progress/steps_done", SD_TYPE_I64, &steps, 1))
		return -1;
	if (steps < 0 || steps > loop->steps || loop->history.n > loop->epochs)
		return sd_error(SD_ERR_DATA, "%s: its progress goes beyond the run", sd_artifact_name(art));
	loop->steps_done = (uint32_t)steps;
	loop->epochs_done = loop->history.n;
	return sd_trace_get(&loop->trace, art, (uint64_t)loop->epochs_done * loop->steps + loop->steps_done);
}
