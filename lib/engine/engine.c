/* engine.c: what all engines have in common, and the way to the one that is asked for. */
#include "engine/engine.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "engine/ops.h"
#include "engine/plugin.h"

const char *const sd_precision_names[SD_PRECISIONS] = { "fp32", "tf32", "bf16", "fp16" };

size_t sd_dtype_size(enum sd_dtype t)
{
	return t == SD_F64 ? 8 : 4;
}

static struct sd_engine *open_with(const struct sd_engine_ops *ops, int device, int threads, int plans_only)
{
	struct sd_engine *e = calloc(1, ops->engine_size);

	if (!e) {
		sd_error(SD_ERR_IO, "out of memory for an engine");
		return NULL;
	}
	e->ops = ops;
	e->plans_only = plans_only;
	if (ops->open(e, device, threads)) {
		free(e);
		return NULL;
	}
	return e;
}

/* "cuda" is 0, "cuda:N" is N; -1 for another text. */
static int cuda_index(const char *device)
{
	char *end;
	long n;

	if (strncmp(device, "cuda", 4))
		return -1;
	if (!device[4])
		return 0;
	if (device[4] != ':' || device[5] < '0' || device[5] > '9')
		return -1;
	n = strtol(device + 5, &end, 10);
	return *end || n > 1023 ? -1 : (int)n;
}

static struct sd_engine *open_any(const char *device, int threads, int plans_only)
{
	const struct sd_engine_ops *ops;
	int index = cuda_index(device);

	if (!strcmp(device, "cpu"))
		return open_with(&sd_engine_cpu, 0, threads, plans_only);
	if (!strcmp(device, "auto")) {
		if (!sd_plugin_likely())
			return open_with(&sd_engine_cpu, 0, threads, plans_only);
		index = 0;
	}
	if (index < 0) {
		sd_error(SD_ERR_USAGE, "no device '%s': cpu, cuda, cuda:N and auto are known", device);
		return NULL;
	}
	ops = sd_plugin_cuda();
	return ops ? open_with(ops, index, threads, plans_only) : NULL;
}

struct sd_engine *sd_engine_open(const char *device, int threads)
{
	return open_any(device, threads, 0);
}

struct sd_engine *sd_engine_open_plans(const char *device, int threads)
{
	return open_any(device, threads, 1);
}

void sd_engine_close(struct sd_engine *e)
{
	if (!e)
		return;
	e->ops->close(e);
	sd_profile_free(e->noted);
	free(e);
}

int sd_engine_threads(const struct sd_engine *e)
{
	return e->ops->threads(e);
}

int sd_engine_set_precision(struct sd_engine *e, enum sd_precision precision)
{
	return e->ops->set_precision(e, precision);
}

int sd_engine_elem(const struct sd_engine *e)
{
	return e->ops->layout(e)->elem;
}

const char *sd_engine_kind(const struct sd_engine *e)
{
	return e->ops->kind;
}

void sd_engine_environment(const struct sd_engine *e, sd_engine_fact *fact, void *ctx)
{
	if (e->ops->environment)
		e->ops->environment(e, fact, ctx);
}

void sd_engine_choices(const struct sd_engine *e, sd_engine_fact *fact, void *ctx)
{
	if (e->ops->choices)
		e->ops->choices(e, fact, ctx);
}

const char *sd_engine_path(const struct sd_engine *e)
{
	return e->ops->path(e);
}

int sd_engine_is_async(const struct sd_engine *e)
{
	return e->ops->async;
}

void sd_engine_poison(struct sd_engine *e, int on)
{
	e->poison = on;
}

void sd_engine_trace_nan(struct sd_engine *e, int on)
{
	e->trace_nan = on;
}

void sd_engine_show(struct sd_engine *e, sd_engine_seen *seen, void *ctx)
{
	e->seen = seen;
	e->seen_ctx = ctx;
}

/* Shows a value: from a buffer, or where the program keeps it. */
static int show(struct sd_program *p, sd_val v, const struct sd_buffer *from)
{
	struct sd_engine *e = p->engine;
	const struct sd_value *x = &p->g->val[v];
	size_t bytes = sd_shape_count(&x->shape) * sd_dtype_size(x->dtype);
	void *host = malloc(bytes + 1);
	int rc;

	if (!host)
		return sd_error(SD_ERR_IO, "out of memory");
	rc = from ? e->ops->read(from, host) : e->ops->read_value(p, v, host);
	if (!rc)
		e->seen(e->seen_ctx, p, x->node, x->out, host, bytes);
	free(host);
	return rc;
}

int sd_engine_show_inputs(struct sd_program *p, const struct sd_bind *bind)
{
	int i;

	for (i = 0; i < p->g->nslot; i++)
		if (p->slot_used[i] && p->g->val[p->g->slot[i]].cls == SD_INPUT &&
		    show(p, p->g->slot[i], bind->slot[i]))
			return -1;
	return 0;
}

int sd_engine_show_step(struct sd_program *p, int i)
{
	const struct sd_node *n = &p->g->node[p->plan->step[i].node];
	int k;

	for (k = 0; k < n->nout && !sd_op_is_write(n->op); k++)
		if (p->plan->place[n->out + k].alive && show(p, n->out + k, NULL))
			return -1;
	return 0;
}

double sd_engine_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- buffers ---- */

struct sd_buffer *sd_buffer_new(struct sd_engine *e, enum sd_dtype t, struct sd_shape s)
{
	struct sd_buffer *b = calloc(1, sizeof(*b));

	if (!b) {
		sd_error(SD_ERR_IO, "out of memory for a buffer");
		return NULL;
	}
	b->engine = e;
	b->dtype = t;
	b->shape = s;
	b->bytes = sd_shape_count(&s) * sd_dtype_size(t);
	if (!e->plans_only && e->ops->alloc(e, b)) {
		free(b);
		return NULL;
	}
	return b;
}

void sd_buffer_free(struct sd_buffer *b)
{
	if (!b)
		return;
	if (!b->engine->plans_only)
		b->engine->ops->release(b);
	free(b);
}

size_t sd_buffer_bytes(const struct sd_buffer *b)
{
	return b->bytes;
}

int sd_buffer_write(struct sd_buffer *b, const void *host)
{
	return b->engine->plans_only ? 0 : b->engine->ops->write(b, host);
}

int sd_buffer_read(const struct sd_buffer *b, void *host)
{
	if (b->engine->plans_only)
		return sd_error(SD_ERR_BUG, "a buffer of an engine that only plans was read");
	return b->engine->ops->read(b, host);
}

int sd_buffer_copy(struct sd_buffer *dst, const struct sd_buffer *src)
{
	if (dst->bytes != src->bytes)
		return sd_error(SD_ERR_BUG, "buffers of %zu and %zu bytes can't be copied", dst->bytes, src->bytes);
	return dst->engine->ops->copy(dst, src);
}

const void *sd_buffer_view(const struct sd_buffer *b)
{
	return b->engine->ops->async ? NULL : b->data;
}

/* ---- programs ---- */

static void use_slot(struct sd_program *p, sd_val v)
{
	if (v != SD_NIL && p->g->val[v].slot >= 0)
		p->slot_used[p->g->val[v].slot] = 1;
}

static int find_slots(struct sd_program *p)
{
	const struct sd_plan *plan = p->plan;
	int i, j, k;

	p->slot_used = calloc((size_t)p->g->nslot + 1, 1);
	if (!p->slot_used)
		return sd_error(SD_ERR_IO, "out of memory for a program");
	for (i = 0; i < plan->nstep; i++) {
		const struct sd_step *s = &plan->step[i];

		use_slot(p, p->g->node[s->node].pred);
		for (k = 0; k < s->nin; k++)
			for (j = 0; j < SD_LOAD_READS; j++)
				use_slot(p, sd_load_read(&s->in[k], j));
	}
	for (i = 0; i < plan->nroot; i++)
		use_slot(p, plan->root[i]);
	return 0;
}

struct sd_program *sd_program_new(struct sd_engine *e, const struct sd_graph *g, int nroot,
	const sd_val *root, int flags)
{
	struct sd_program *p = calloc(1, e->ops->program_size);

	if (!p) {
		sd_error(SD_ERR_IO, "out of memory for a program");
		return NULL;
	}
	p->engine = e;
	p->g = g;
	p->plan = sd_plan_new(g, nroot, root, e->ops->layout(e), flags);
	if (!p->plan || find_slots(p) || e->ops->program_init(p)) {
		sd_program_free(p);
		return NULL;
	}
	return p;
}

void sd_program_free(struct sd_program *p)
{
	if (!p)
		return;
	p->engine->ops->program_release(p);
	sd_plan_free(p->plan);
	free(p->slot_used);
	free(p->noted);
	free(p);
}

const struct sd_plan *sd_program_plan(const struct sd_program *p)
{
	return p->plan;
}

size_t sd_program_arena(const struct sd_program *p)
{
	return p->arena;
}

const struct sd_graph *sd_program_graph(const struct sd_program *p)
{
	return p->g;
}

long sd_program_launches(const struct sd_program *p)
{
	return p->launches;
}

static int check_bind(const struct sd_program *p, const struct sd_bind *bind)
{
	int i;

	for (i = 0; i < p->g->nslot; i++) {
		const struct sd_value *v = &p->g->val[p->g->slot[i]];
		const struct sd_buffer *b = i < bind->nslot ? bind->slot[i] : NULL;

		if (!p->slot_used[i])
			continue;
		if (!b)
			return sd_error(SD_ERR_BUG, "'%s' is not bound to a buffer", v->name);
		if (b->dtype != v->dtype || !sd_shape_equal(&b->shape, &v->shape))
			return sd_error(SD_ERR_BUG, "'%s' is bound to a buffer of another shape or type", v->name);
		if (b->engine != p->engine)
			return sd_error(SD_ERR_BUG, "'%s' is bound to a buffer of another engine", v->name);
	}
	return 0;
}

/* -1 unless a feed's buffers are those of one batch. */
static int check_feed(const struct sd_work *w)
{
	const struct sd_buffer *x = w->x, *l = w->labels, *i = w->ids;

	if (x->dtype != SD_F32 || x->shape.n != 4 || l->dtype != SD_I32 || l->shape.n != 1 ||
			l->shape.d[0] != x->shape.d[0] || (i && !sd_shape_equal(&i->shape, &l->shape)))
		return sd_error(SD_ERR_BUG, "a feed's buffers are not those of one batch");
	return 0;
}

int sd_work_run(int n, const struct sd_work *w)
{
	struct sd_engine *e = w->program ? w->program->engine : w->feed->engine;
	double began;
	int i, rc;

	if (e->plans_only)
		return sd_error(SD_ERR_BUG, "an engine that only plans can't run");

	for (i = 0; i < n; i++)
		if (w[i].program ? check_bind(w[i].program, w[i].bind) : check_feed(&w[i]))
			return -1;
	if (!e->profile)
		return e->ops->run(n, w);
	began = sd_engine_now();
	rc = e->ops->run(n, w);
	sd_engine_note_run(e, sd_engine_now() - began);
	return rc;
}

int sd_program_run(struct sd_program *p, const struct sd_bind *bind)
{
	struct sd_work w = { .program = p, .bind = bind };

	return sd_work_run(1, &w);
}

/* ---- feeds ---- */

int sd_device_feed_fits(struct sd_engine *e, size_t bytes)
{
	return e->ops->feed_fits && e->ops->feed_fits(e, bytes);
}

struct sd_device_feed *sd_device_feed_new(struct sd_engine *e, const struct sd_feed_spec *spec)
{
	struct sd_device_feed *f = e->ops->feed_new(e, spec);

	if (f)
		f->engine = e;
	return f;
}

void sd_device_feed_free(struct sd_device_feed *f)
{
	if (f)
		f->engine->ops->feed_free(f);
}

int sd_device_feed_epoch(struct sd_device_feed *f, uint32_t epoch, uint32_t from)
{
	return f->engine->ops->feed_epoch(f, epoch, from);
}

static int check_result(const struct sd_program *p, sd_val v)
{
	if (p->g->val[v].cls != SD_TEMP || !p->plan->place[p->plan->place[v].root].alive)
		return sd_error(SD_ERR_BUG, "a value that is no result was asked for");
	return 0;
}

int sd_program_read(struct sd_program *p, sd_val root, void *host)
{
	return check_result(p, root) ? -1 : p->engine->ops->read_value(p, root, host);
}

int sd_program_keep(struct sd_program *p, sd_val root, struct sd_buffer *b, size_t at)
{
	const struct sd_engine_ops *ops = p->engine->ops;
	const struct sd_value *v = &p->g->val[root];
	size_t size = sd_dtype_size(v->dtype), bytes = sd_shape_count(&v->shape) * size;
	char *to = (char *)b->data + at * size;

	if (check_result(p, root))
		return -1;
	if (sd_is_image(p->g, root) || b->dtype != v->dtype || b->engine != p->engine || at * size + bytes > b->bytes)
		return sd_error(SD_ERR_BUG, "a result does not fit the buffer that is to keep it");
	return ops->keep_value ? ops->keep_value(p, root, to) : ops->read_value(p, root, to);
}
