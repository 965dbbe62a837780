/* program.c: plans on the GPU: how much scratch they need, and runs as captured graphs. */
#include "engine/cuda/cuda.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static int no_memory(void)
{
	return sd_error(SD_ERR_IO, "out of memory for a program");
}

/* ---- planning ---- */

/* Kernels count pixels in an int, and threads, of which one may have as little as ITEMS (pixels.h) elements, in 32
 * bits. */
#define MOST_ELEMENTS 0x1p34

/* Samples in the largest batch of images; -1 with a message where images are larger than kernels count. */
static int batch_of(const struct sd_graph *g)
{
	int v, batch = 0;

	for (v = 0; v < g->nval; v++) {
		const int *d = g->val[v].shape.d;

		if (!sd_is_image(g, v))
			continue;
		if ((double)d[0] * d[2] * d[3] > INT_MAX || (double)d[0] * d[1] * d[2] * d[3] >= MOST_ELEMENTS)
			return sd_error(SD_ERR_USAGE, "a batch of %d images of %d channels and %d x %d pixels is too large "
				"for the kernels", d[0], d[1], d[2], d[3]);
		if (d[0] > batch)
			batch = d[0];
	}
	return batch;
}

int sd_cuda_program_init(struct sd_program *base)
{
	struct sd_cuda_program *p = (struct sd_cuda_program *)base;
	int i, batch = batch_of(base->g);
	size_t scratch = 0; /* of the neediest step */

	p->e = (struct sd_cuda_engine *)base->engine;
	p->g = base->g;
	p->plan = base->plan;
	if (batch < 0)
		return -1;
	for (i = 0; i < p->plan->nstep; i += sd_cuda_group_size(p->plan, i)) {
		struct sd_cu_run run = { .dry = 1 };

		if (sd_cuda_group_exec(p, i, NULL, NULL, &run))
			return -1;
		if (run.peak > scratch)
			scratch = run.peak;
		base->launches += run.launches;
	}
	base->arena = p->plan->arena + scratch;
	return sd_cuda_arena_fit(p->e, p->plan->arena, scratch, batch);
}

static void bound_free(struct sd_cuda_bound *b)
{
	if (!b)
		return;
	cudaFree(b->memory);
	free(b->tensors);
	free(b->data);
	free(b);
}

static void graph_free(struct sd_cuda_graph *g)
{
	if (!g)
		return;
	if (g->exec)
		cudaGraphExecDestroy(g->exec);
	free(g->part);
	free(g);
}

static int has_part(const struct sd_cuda_graph *g, unsigned long id)
{
	int i;

	for (i = 0; i < g->n && g->part[i].id != id; i++)
		;
	return i < g->n;
}

void sd_cuda_forget(struct sd_cuda_engine *e, unsigned long id)
{
	struct sd_cuda_graph **at = &e->graph, *g;

	if (*at)
		cudaStreamSynchronize(e->stream);
	while ((g = *at)) {
		if (id && !has_part(g, id)) {
			at = &g->next;
			continue;
		}
		*at = g->next;
		graph_free(g);
	}
}

void sd_cuda_program_release(struct sd_program *base)
{
	struct sd_cuda_program *p = (struct sd_cuda_program *)base;

	while (p->bound) {
		struct sd_cuda_bound *next = p->bound->next;

		sd_cuda_forget(p->e, p->bound->id);
		bound_free(p->bound);
		p->bound = next;
	}
}

static int same_data(const struct sd_cuda_program *p, const struct sd_cuda_bound *b, const struct sd_bind *bind)
{
	int i;

	for (i = 0; i < p->g->nslot; i++)
		if (p->base.slot_used[i] && b->data[i] != bind->slot[i]->data)
			return 0;
	return b->generation == p->e->generation;
}

/* What a program needs to run on these buffers, made at the first run on them.  NULL with a message. */
static struct sd_cuda_bound *bound_for(struct sd_cuda_program *p, const struct sd_bind *bind)
{
	struct sd_cuda_bound *b;
	int i;

	for (b = p->bound; b; b = b->next)
		if (same_data(p, b, bind))
			return b;
	b = calloc(1, sizeof(*b));
	if (!b || !(b->data = calloc((size_t)p->g->nslot + 1, sizeof(*b->data))) ||
			!(b->tensors = calloc((size_t)p->plan->nstep + 1, sizeof(*b->tensors)))) {
		bound_free(b);
		no_memory();
		return NULL;
	}
	for (i = 0; i < p->g->nslot; i++)
		if (p->base.slot_used[i])
			b->data[i] = bind->slot[i]->data;
	b->id = ++p->e->ids;
	b->generation = p->e->generation;
	if (sd_cuda_make_tables(p, bind, b)) {
		bound_free(b);
		return NULL;
	}
	b->next = p->bound;
	p->bound = b;
	return b;
}

/* ---- running ---- */

/* -1 with the op named if one of the step's results holds a number that isn't finite. */
static int check_finite(struct sd_cuda_program *p, int i)
{
	struct sd_cuda_step st = sd_cuda_step_of(p, i);
	struct sd_cuda_engine *e = p->e;
	int32_t bad = 0;
	int k;

	st.run.stream = e->stream;
	SD_CUDA_TRY(cudaMemsetAsync(e->flag, 0, sizeof(*e->flag), e->stream), "a flag");
	for (k = 0; k < st.n->nout; k++) {
		sd_val v = st.n->out + k;

		if (p->g->val[v].dtype != SD_F32 || sd_op_is_write(st.n->op) ||
				!p->plan->place[p->plan->place[v].root].alive)
			continue;
		if (sd_is_image(p->g, v)) {
			struct sd_cu_img x = sd_cuda_image(&st, v);

			sd_cu_not_finite_image(&st.run, &x, e->flag);
		} else {
			sd_cu_not_finite(&st.run, sd_cuda_rows(&st, v), sd_shape_count(&p->g->val[v].shape), e->flag);
		}
	}
	SD_CUDA_TRY(cudaMemcpyAsync(&bad, e->flag, sizeof(bad), cudaMemcpyDeviceToHost, e->stream), "a flag");
	SD_CUDA_TRY(cudaStreamSynchronize(e->stream), sd_op_name(st.n->op));
	if (!bad)
		return 0;
	return sd_error(SD_ERR_DATA, "step %d, %s: a result is not finite", i, sd_op_name(st.n->op));
}

/* The group of steps from i on. */
static int run_group(struct sd_cuda_program *p, int i, const struct sd_bind *bind, const struct sd_cuda_bound *b,
	long *launches)
{
	struct sd_cuda_engine *e = p->e;
	struct sd_cu_run run = { .stream = e->stream, .scratch = e->arena + e->values_size, .counters = e->counters };
	int k, end = i + sd_cuda_group_size(p->plan, i);

	if (sd_cuda_group_exec(p, i, bind, b, &run) || sd_cuda_check(sd_op_name(p->g->node[p->plan->step[i].node].op)))
		return -1;
	if (run.peak > e->scratch_size)
		return sd_error(SD_ERR_BUG, "%s takes %zu bytes of scratch, more than was planned",
			sd_op_name(p->g->node[p->plan->step[i].node].op), run.peak);
	*launches = run.launches;
	for (k = i; k < end; k++) {
		if (p->plan->step[k].skip)
			continue;
		for (i = k; e->base.seen && i >= 0; i = p->plan->step[i].pair)
			if (sd_engine_show_step(&p->base, i))
				return -1;
		for (i = k; e->base.trace_nan && i >= 0; i = p->plan->step[i].pair)
			if (check_finite(p, i))
				return -1;
	}
	return 0;
}

static int run_steps(struct sd_cuda_program *p, const struct sd_bind *bind, const struct sd_cuda_bound *b)
{
	long launches;
	int i;

	if (p->e->base.seen && sd_engine_show_inputs(&p->base, bind))
		return -1;
	for (i = 0; i < p->plan->nstep; i += sd_cuda_group_size(p->plan, i))
		if (run_group(p, i, bind, b, &launches))
			return -1;
	return 0;
}

static int make_events(struct sd_cuda_engine *e, int n)
{
	cudaEvent_t *event;

	if (n <= e->nevent)
		return 0;
	event = realloc(e->event, (size_t)n * sizeof(*event));
	if (!event)
		return no_memory();
	for (e->event = event; e->nevent < n; e->nevent++)
		SD_CUDA_TRY(cudaEventCreate(&e->event[e->nevent]), "an event");
	return 0;
}

/* Notes a group's steps: its time to each in equal parts, its launches to the first. */
static int note_group(struct sd_cuda_program *p, int i, long launches, double seconds)
{
	int k, n = 0, end = i + sd_cuda_group_size(p->plan, i);

	for (k = i; k < end; k++)
		n += !p->plan->step[k].skip;
	for (k = i; k < end; k++) {
		if (p->plan->step[k].skip)
			continue;
		if (sd_engine_note(&p->base, &p->plan->step[k], launches, seconds / n))
			return -1;
		launches = 0;
	}
	return 0;
}

/* The same with an event after each group, so that the device tells how long each took. */
static int run_timed(struct sd_cuda_program *p, const struct sd_bind *bind, const struct sd_cuda_bound *b)
{
	struct sd_cuda_engine *e = p->e;
	const struct sd_plan *plan = p->plan;
	long *launches = calloc((size_t)plan->nstep + 1, sizeof(*launches));
	int i, n = 0, rc = -1;
	cudaError_t err;

	if (!launches) {
		no_memory();
		goto out;
	}
	if (make_events(e, plan->nstep + 1) || (e->base.seen && sd_engine_show_inputs(&p->base, bind)))
		goto out;
	err = cudaEventRecord(e->event[n++], e->stream);
	for (i = 0; i < plan->nstep && err == cudaSuccess; i += sd_cuda_group_size(plan, i)) {
		if (run_group(p, i, bind, b, &launches[i]))
			goto out;
		err = cudaEventRecord(e->event[n++], e->stream);
	}
	if (err == cudaSuccess)
		err = cudaEventSynchronize(e->event[n - 1]);
	for (i = n = 0; i < plan->nstep && err == cudaSuccess; i += sd_cuda_group_size(plan, i), n++) {
		float ms = 0;

		err = cudaEventElapsedTime(&ms, e->event[n], e->event[n + 1]);
		if (err == cudaSuccess && note_group(p, i, launches[i], 1e-3 * ms))
			goto out;
	}
	rc = err == cudaSuccess ? 0 : sd_cuda_fail(err, "events between steps");
out:
	free(launches);
	return rc;
}

/* Fills the arena with NaN. */
static int poison(struct sd_cuda_engine *e)
{
	if (e->base.poison)
		SD_CUDA_TRY(cudaMemsetAsync(e->arena, 0xff, e->values_size + e->scratch_size, e->stream), "poison");
	return 0;
}

static struct sd_cuda_engine *engine_of(const struct sd_work *w)
{
	return (struct sd_cuda_engine *)(w->program ? w->program->engine : w->feed->engine);
}

/* Puts the work on the stream; b[i] is what program i is bound to. */
static int run_eagerly(int n, const struct sd_work *w, struct sd_cuda_bound *const *b)
{
	struct sd_cuda_engine *e = engine_of(w);
	int i;

	for (i = 0; i < n; i++) {
		if (w[i].feed) {
			struct sd_cu_run r = { .stream = e->stream, .scratch = e->arena + e->values_size };

			sd_cuda_feed_exec(&r, &w[i]);
			if (sd_cuda_check("a batch"))
				return -1;
		} else if (poison(e) || (e->base.profile ? run_timed : run_steps)(
				(struct sd_cuda_program *)w[i].program, w[i].bind, b[i])) {
			return -1;
		}
	}
	return 0;
}

static struct sd_cuda_part part_of(const struct sd_work *w, const struct sd_cuda_bound *b)
{
	if (w->program)
		return (struct sd_cuda_part){ .id = b->id };
	return (struct sd_cuda_part){ ((struct sd_cuda_feed *)w->feed)->id, w->x->data, w->labels->data,
		w->ids ? w->ids->data : NULL };
}

static int same_parts(const struct sd_cuda_graph *g, int n, const struct sd_work *w, struct sd_cuda_bound *const *b)
{
	int i;

	for (i = 0; i < n; i++) {
		struct sd_cuda_part p = part_of(&w[i], b[i]);

		if (memcmp(&g->part[i], &p, sizeof(p)))
			return 0;
	}
	return 1;
}

/* The entry for this work, or NULL where it was never run. */
static struct sd_cuda_graph *find_graph(struct sd_cuda_engine *e, int n, const struct sd_work *w,
	struct sd_cuda_bound *const *b)
{
	struct sd_cuda_graph *g;

	for (g = e->graph; g; g = g->next)
		if (g->n == n && g->generation == e->generation && same_parts(g, n, w, b))
			return g;
	return NULL;
}

/* Notes that the work was run.  -1 with a message. */
static int add_graph(struct sd_cuda_engine *e, int n, const struct sd_work *w, struct sd_cuda_bound *const *b)
{
	struct sd_cuda_graph *g = calloc(1, sizeof(*g));
	int i;

	if (!g || !(g->part = calloc((size_t)n, sizeof(*g->part)))) {
		graph_free(g);
		return no_memory();
	}
	g->n = n;
	g->generation = e->generation;
	for (i = 0; i < n; i++)
		g->part[i] = part_of(&w[i], b[i]);
	g->next = e->graph;
	e->graph = g;
	return 0;
}

static int capture(struct sd_cuda_engine *e, int n, const struct sd_work *w, struct sd_cuda_bound *const *b,
	struct sd_cuda_graph *g)
{
	cudaGraph_t graph = NULL;
	cudaError_t err;
	int rc;

	SD_CUDA_TRY(cudaStreamBeginCapture(e->stream, cudaStreamCaptureModeThreadLocal), "a capture");
	rc = run_eagerly(n, w, b);
	err = cudaStreamEndCapture(e->stream, &graph);
	if (!rc && err == cudaSuccess)
		err = cudaGraphInstantiate(&g->exec, graph, 0);
	if (graph)
		cudaGraphDestroy(graph);
	if (rc)
		return -1;
	return err == cudaSuccess ? 0 : sd_cuda_fail(err, "a captured graph");
}

/* The first time the work is done as it comes, so that what the driver and the libraries put off until a kernel's
 * first launch is over; the second time it is captured, and from then on replayed. */
static int run_captured(struct sd_cuda_engine *e, int n, const struct sd_work *w, struct sd_cuda_bound *const *b)
{
	struct sd_cuda_graph *g = find_graph(e, n, w, b);

	if (!g)
		return run_eagerly(n, w, b) ? -1 : add_graph(e, n, w, b);
	if (!g->exec && capture(e, n, w, b, g))
		return -1;
	SD_CUDA_TRY(cudaGraphLaunch(g->exec, e->stream), "a step");
	return 0;
}

int sd_cuda_run(int n, const struct sd_work *w)
{
	struct sd_cuda_engine *e = engine_of(w);
	struct sd_cuda_bound **b = calloc((size_t)n, sizeof(*b));
	int i, rc = -1;

	if (!b)
		return no_memory();
	/* before anything is bound to where the arena lies */
	for (i = 0; i < n; i++)
		if (w[i].feed) {
			struct sd_cu_run dry = { .dry = 1 };

			sd_cuda_feed_exec(&dry, &w[i]);
			if (sd_cuda_arena_fit(e, 0, dry.peak, w[i].x->shape.d[0]))
				goto out;
		}
	for (i = 0; i < n; i++)
		if (w[i].program && !(b[i] = bound_for((struct sd_cuda_program *)w[i].program, w[i].bind)))
			goto out;
	rc = e->base.profile || e->base.trace_nan || e->base.seen ? run_eagerly(n, w, b) : run_captured(e, n, w, b);
out:
	free(b);
	return rc;
}

int sd_cuda_read_value(struct sd_program *base, sd_val v, void *host)
{
	struct sd_cuda_program *p = (struct sd_cuda_program *)base;
	struct sd_cuda_engine *e = p->e;
	struct sd_cuda_step st = { .p = p, .e = e };
	const struct sd_value *x = &p->g->val[v];
	size_t bytes = sd_shape_count(&x->shape) * sd_dtype_size(x->dtype);
	void *from, *copy = NULL;
	cudaError_t err = cudaSuccess;

	if (sd_is_image(p->g, v)) {
		struct sd_cu_src src = { .x = sd_cuda_image(&st, v) };

		SD_CUDA_TRY(cudaMalloc(&copy, bytes), "memory for a result");
		st.run.stream = e->stream;
		st.run.scratch = e->arena + e->values_size;
		sd_cu_export(&st.run, &src, copy);
		from = copy;
	} else {
		from = sd_cuda_rows(&st, v);
	}
	err = cudaMemcpyAsync(host, from, bytes, cudaMemcpyDeviceToHost, e->stream);
	if (err == cudaSuccess)
		err = cudaStreamSynchronize(e->stream);
	cudaFree(copy);
	return err == cudaSuccess ? sd_cuda_check("a result") : sd_cuda_fail(err, "a result");
}

int sd_cuda_keep_value(struct sd_program *base, sd_val v, void *to)
{
	struct sd_cuda_program *p = (struct sd_cuda_program *)base;
	struct sd_cuda_step st = { .p = p, .e = p->e };
	const struct sd_value *x = &p->g->val[v];

	SD_CUDA_TRY(cudaMemcpyAsync(to, sd_cuda_rows(&st, v), sd_shape_count(&x->shape) * sd_dtype_size(x->dtype),
		cudaMemcpyDeviceToDevice, p->e->stream), "a copy on the device");
	return 0;
}
