/* trace.c: what a run leaves behind of every step. */
#include "train/trace.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fingerprint.h"
#include "train/step.h"
#include "train/store.h"

static const enum sd_step_kind kinds[2] = { SD_STEP_WEIGHTS, SD_STEP_ALPHAS };

int sd_trace_var(const struct sd_var *var, void *host, uint64_t *print)
{
	const void *data = sd_buffer_view(var->buffer);
	if (!data && sd_buffer_read(var->buffer, host))
		return -1;
	*print = sd_fingerprint(data ? data : host, sd_var_bytes(var));
	return 0;
}

/* ---- rows ---- */

static int more_rows(struct sd_trace *t)
{
	if (t->n < t->cap)
		return 0;
	size_t cap = t->cap ? 2 * t->cap : 1024;
	void **column[4] = { (void **)&t->digest, (void **)&t->alphas, (void **)&t->loss, (void **)&t->arch_loss };
	for (int i = 0; i < 4; i++) {
		void *p = realloc(*column[i], cap * 8);
		if (!p)
			return sd_error(SD_ERR_IO, "out of memory");
		*column[i] = p;
	}
	t->cap = cap;
	return 0;
}

static int print_of(struct sd_trace *t, int n, const int *index, uint64_t *print)
{
	for (int i = 0; i < n; i++)
		if (sd_trace_var(&t->vars->var[index[i]], t->host, &t->print[i]))
			return -1;
	*print = sd_fingerprint_u64(t->print, (size_t)n);
	return 0;
}

static uint64_t bits(double x)
{
	uint64_t u;
	memcpy(&u, &x, sizeof u);
	return u;
}

static int add_row(struct sd_trace *t, const double *loss)
{
	uint64_t word[5], weights;
	int n = 0;
	if (more_rows(t) || print_of(t, t->nweight, t->weight, &weights))
		return -1;
	word[n++] = t->n ? t->digest[t->n - 1] : 0;
	if (t->nalpha) {
		if (print_of(t, t->nalpha, t->alpha, &t->alphas[t->n]))
			return -1;
		word[n++] = t->alphas[t->n];
	}
	word[n++] = weights;
	t->loss[t->n] = loss[0];
	t->arch_loss[t->n] = loss[1];
	if (t->arch)
		word[n++] = bits(loss[1]);
	word[n++] = bits(loss[0]);
	t->digest[t->n++] = sd_fingerprint_u64(word, (size_t)n);
	return 0;
}

/* The mean losses since the sums were looked at last, which they are now. */
static int look_at_sums(struct sd_trace *t, double *loss)
{
	for (int i = 0; i < 1 + t->arch; i++) {
		struct sd_sums s;
		if (sd_step_sums_get(t->vars, kinds[i], &s))
			return -1;
		double n = s.n - t->last[i].n;
		loss[i] = n > 0 ? (s.loss - t->last[i].loss) / n : 0;
		t->last[i].loss = s.loss;
		t->last[i].n = s.n;
	}
	return 0;
}

int sd_trace_epoch(struct sd_trace *t)
{
	double loss[2];

	if (t->stride == t->epoch_steps) {
		/* the row's steps are the epoch's, with which the sums begin, some of them done before a stop perhaps */
		memset(t->last, 0, sizeof t->last);
		return 0;
	}
	return look_at_sums(t, loss);
}

int sd_trace_step(struct sd_trace *t, uint32_t step)
{
	double loss[2] = { 0, 0 };
	if (step % t->stride)
		return 0;
	return look_at_sums(t, loss) || add_row(t, loss) ? -1 : 0;
}

/* ---- beginning and end ---- */

static int by_name(const void *a, const void *b, void *vars)
{
	const struct sd_vars *v = vars;
	return strcmp(v->var[*(const int *)a].name, v->var[*(const int *)b].name);
}

int sd_trace_begin(struct sd_trace *t, const struct sd_vars *vars, uint32_t epoch_steps)
{
	size_t most = 8, n = (size_t)vars->n + 1;
	t->vars = vars;
	t->epoch_steps = epoch_steps;
	t->stride = sd_engine_is_async(vars->engine) ? epoch_steps : 1;
	t->arch = sd_vars_find(vars, sd_step_sums(SD_STEP_ALPHAS)) != NULL;
	t->weight = malloc(n * sizeof *t->weight);
	t->alpha = malloc(n * sizeof *t->alpha);
	t->print = malloc(n * sizeof *t->print);
	if (!t->weight || !t->alpha || !t->print)
		return sd_error(SD_ERR_IO, "out of memory");
	t->nweight = t->nalpha = 0;
	for (int i = 0; i < vars->n; i++) {
		const struct sd_var *var = &vars->var[i];
		if (sd_store_in_state(var))
			t->weight[t->nweight++] = i;
		else if (sd_store_is_alphas(var))
			t->alpha[t->nalpha++] = i;
		if (sd_var_bytes(var) > most)
			most = sd_var_bytes(var);
	}
	qsort_r(t->weight, (size_t)t->nweight, sizeof *t->weight, by_name, (void *)vars);
	qsort_r(t->alpha, (size_t)t->nalpha, sizeof *t->alpha, by_name, (void *)vars);
	t->host = malloc(most);
	if (!t->host)
		return sd_error(SD_ERR_IO, "out of memory");
	static const double none[2];
	return t->n ? 0 : add_row(t, none);
}

void sd_trace_release(struct sd_trace *t)
{
	free(t->weight);
	free(t->alpha);
	free(t->print);
	free(t->host);
	free(t->digest);
	free(t->alphas);
	free(t->loss);
	free(t->arch_loss);
	memset(t, 0, sizeof *t);
}

/* ---- artifacts ---- */

int sd_trace_put(const struct sd_trace *t, struct sd_artifact_out *out)
{
	uint64_t n = t->n;
	if (!n) /* stopped before it began */
		return 0;
	if (sd_artifact_put(out, "/trace/digest", SD_TYPE_U64, 1, &n, t->digest, 0) ||
	    sd_artifact_put(out, "/trace/loss", SD_TYPE_F64, 1, &n, t->loss, 0) ||
	    sd_artifact_put_i64(out, "/trace/stride", t->stride) ||
	    sd_artifact_put_i64(out, "/trace/epoch_steps", t->epoch_steps))
		return -1;
	if (t->nalpha && sd_artifact_put(out, "/trace/alphas", SD_TYPE_U64, 1, &n, t->alphas, 0))
		return -1;
	return t->arch ? sd_artifact_put(out, "/trace/arch_loss", SD_TYPE_F64, 1, &n, t->arch_loss, 0) : 0;
}

static int get_column(struct sd_artifact *art, const char *path, enum sd_type type, uint64_t rows, void *to)
{
	const struct sd_dset *d = sd_artifact_find(art, path);
	if (!d || d->rank != 1 || d->count != rows)
		return sd_error(SD_ERR_DATA, "%s: '%s' has not the %llu rows of the steps that are done",
			sd_artifact_name(art), path, (unsigned long long)rows);
	return sd_artifact_read(art, path, type, to, rows);
}

int sd_trace_get(struct sd_trace *t, struct sd_artifact *art, uint64_t steps)
{
	int64_t stride;
	if (sd_artifact_read(art, "/trace/stride", SD_TYPE_I64, &stride, 1))
		return -1;
	if (stride < 1)
		return sd_error(SD_ERR_DATA, "%s: '/trace/stride' is %lld", sd_artifact_name(art), (long long)stride);
	uint64_t rows = steps / (uint64_t)stride + 1;
	const struct sd_dset *d = sd_artifact_find(art, "/trace/digest");
	while (d && d->count == rows && t->cap < rows) {
		t->n = t->cap;
		if (more_rows(t))
			return -1;
	}
	t->n = 0;
	if (get_column(art, "/trace/digest", SD_TYPE_U64, rows, t->digest) ||
	    get_column(art, "/trace/loss", SD_TYPE_F64, rows, t->loss))
		return -1;
	if (sd_artifact_find(art, "/trace/alphas") &&
	    get_column(art, "/trace/alphas", SD_TYPE_U64, rows, t->alphas))
		return -1;
	if (sd_artifact_find(art, "/trace/arch_loss") &&
	    get_column(art, "/trace/arch_loss", SD_TYPE_F64, rows, t->arch_loss))
		return -1;
	t->n = rows;
	return 0;
}
