/* trace_show.c: one step of a run in full. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fingerprint.h"
#include "base/str.h"
#include "train/trace.h"

struct sd_trace_show {
	const struct sd_vars *vars;
	struct sd_str before, batch, op;
	const struct sd_program *program; /* whose op was seen last */
	int nprogram, nop;
	void *host;
};

static void line(struct sd_str *to, const char *part, const char *name, uint64_t print)
{
	sd_str_addf(to, "%s\t%s\t%016" PRIx64 "\n", part, name, print);
}

static int add_vars(struct sd_trace_show *s, const char *part, struct sd_str *to)
{
	for (int i = 0; i < s->vars->n; i++) {
		const struct sd_var *var = &s->vars->var[i];
		uint64_t print;
		if (sd_var_is_scratch(var))
			continue;
		if (sd_trace_var(var, s->host, &print))
			return -1;
		line(to, part, var->name, print);
	}
	return 0;
}

/* The first parameter among a node's operands, or NULL. */
static const char *param_of(const struct sd_graph *g, const struct sd_node *n)
{
	for (int i = 0; i < n->nin; i++)
		if (n->in[i] != SD_NIL && g->val[n->in[i]].cls == SD_PARAM)
			return g->val[n->in[i]].name;
	return NULL;
}

static void seen(void *ctx, const struct sd_program *p, int node, int out, const void *host, size_t bytes)
{
	struct sd_trace_show *s = ctx;
	const struct sd_graph *g = sd_program_graph(p);
	const struct sd_node *n = &g->node[node];
	const struct sd_value *v = &g->val[n->out + out];
	struct sd_str name = SD_STR_INIT;
	if (p != s->program) {
		s->program = p;
		s->nprogram++;
		s->nop = 0;
	}
	if (v->cls == SD_INPUT) {
		sd_str_addf(&name, "%d %s", s->nprogram, v->name);
	} else {
		const char *param = param_of(g, n);
		s->nop += out == 0;
		sd_str_addf(&name, "%d.%d %s", s->nprogram, s->nop, sd_op_name(n->op));
		if (out)
			sd_str_addf(&name, " result %d", out + 1);
		if (param)
			sd_str_addf(&name, " %s", param);
	}
	line(v->cls == SD_INPUT ? &s->batch : &s->op, v->cls == SD_INPUT ? "batch" : "op", name.s,
		sd_fingerprint(host, bytes));
	sd_str_release(&name);
}

struct sd_trace_show *sd_trace_show_begin(const struct sd_vars *vars)
{
	struct sd_trace_show *s = sd_xcalloc(1, sizeof *s);
	size_t most = 8;
	s->vars = vars;
	for (int i = 0; i < vars->n; i++)
		if (sd_var_bytes(&vars->var[i]) > most)
			most = sd_var_bytes(&vars->var[i]);
	s->host = sd_xmalloc(most);
	s->before = s->batch = s->op = (struct sd_str)SD_STR_INIT;
	if (add_vars(s, "before", &s->before)) {
		sd_trace_show_free(s);
		return NULL;
	}
	sd_engine_show(vars->engine, seen, s);
	return s;
}

int sd_trace_show_end(struct sd_trace_show *s, const struct sd_trace *t, FILE *f)
{
	struct sd_str after = SD_STR_INIT;
	int ret = add_vars(s, "after", &after);
	if (t->stride == 1) {
		line(&after, "trace", "before", t->digest[t->n - 2]);
		line(&after, "trace", "after", t->digest[t->n - 1]);
	}
	if (!ret)
		fprintf(f, "part\tname\tfingerprint\n%s%s%s%s", s->before.s ? s->before.s : "", s->batch.s ? s->batch.s : "",
			s->op.s ? s->op.s : "", after.s ? after.s : "");
	sd_str_release(&after);
	return ret;
}

void sd_trace_show_free(struct sd_trace_show *s)
{
	if (!s)
		return;
	sd_engine_show(s->vars->engine, NULL, NULL);
	sd_str_release(&s->before);
	sd_str_release(&s->batch);
	sd_str_release(&s->op);
	free(s->host);
	free(s);
}
