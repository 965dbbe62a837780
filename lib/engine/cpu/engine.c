/* engine.c: the CPU engine's memory and programs. */
#include "engine/cpu/cpu.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/err.h"

#define ALIGN 64

int sd_cpu_blocks(const struct sd_value *v)
{
	int i, cb = 0;

	for (i = 0; i < v->nseg; i++)
		cb += (v->seg[i] + 15) / 16;
	return cb;
}

static size_t block_bytes(const struct sd_value *v)
{
	return (size_t)v->shape.d[0] * (size_t)v->shape.d[2] * (size_t)v->shape.d[3] * 16 * sizeof(float);
}

static size_t layout_size(const struct sd_graph *g, sd_val v)
{
	const struct sd_value *x = &g->val[v];

	if (sd_is_image(g, v))
		return (size_t)sd_cpu_blocks(x) * block_bytes(x);
	return sd_shape_count(&x->shape) * sd_dtype_size(x->dtype);
}

static size_t layout_segment(const struct sd_graph *g, sd_val v, int seg)
{
	const struct sd_value *x = &g->val[v];
	int i, cb = 0;

	for (i = 0; i < seg; i++)
		cb += (x->seg[i] + 15) / 16;
	return (size_t)cb * block_bytes(x);
}

const struct sd_layout sd_cpu_layout = {
	.size = layout_size, .segment = layout_segment, .align = ALIGN, .elem = sizeof(float), .halves = 1,
};

static struct sd_cpu_engine *own(struct sd_engine *e)
{
	return (struct sd_cpu_engine *)e;
}

static int cpu_open(struct sd_engine *base, int device, int threads)
{
	struct sd_cpu_engine *e = own(base);

	(void)device;
	e->k = sd_kernels_choose();
	if (e->k)
		e->par = sd_par_new(threads > 0 ? threads : sd_par_default_threads());
	return e->par ? 0 : -1;
}

static void cpu_close(struct sd_engine *base)
{
	struct sd_cpu_engine *e = own(base);

	sd_par_free(e->par);
	if (e->arena)
		munmap(e->arena, e->arena_size);
}

static int cpu_set_precision(struct sd_engine *e, enum sd_precision precision)
{
	(void)e;
	return precision == SD_FP32 ? 0 : sd_error(SD_ERR_USAGE, "the CPU engine computes in fp32, not in %s",
		sd_precision_names[precision]);
}

static const struct sd_layout *cpu_layout(const struct sd_engine *e)
{
	(void)e;
	return &sd_cpu_layout;
}

static int cpu_threads(const struct sd_engine *e)
{
	return sd_par_threads(((const struct sd_cpu_engine *)e)->par);
}

static const char *cpu_path(const struct sd_engine *e)
{
	return ((const struct sd_cpu_engine *)e)->k->name;
}

/* ---- buffers ---- */

static int cpu_alloc(struct sd_engine *e, struct sd_buffer *b)
{
	size_t room = (b->bytes + ALIGN - 1) / ALIGN * ALIGN;

	(void)e;
	if (room < b->bytes)
		return sd_error(SD_ERR_IO, "a buffer of %zu bytes is too large", b->bytes);
	b->data = aligned_alloc(ALIGN, room ? room : ALIGN);
	if (!b->data)
		return sd_error(SD_ERR_IO, "out of memory for a buffer of %zu bytes", b->bytes);
	memset(b->data, 0, room);
	return 0;
}

static void cpu_release(struct sd_buffer *b)
{
	free(b->data);
}

static int cpu_write(struct sd_buffer *b, const void *host)
{
	memcpy(b->data, host, b->bytes);
	return 0;
}

static int cpu_read(const struct sd_buffer *b, void *host)
{
	memcpy(host, b->data, b->bytes);
	return 0;
}

static int cpu_copy(struct sd_buffer *dst, const struct sd_buffer *src)
{
	memcpy(dst->data, src->data, src->bytes);
	return 0;
}

/* ---- programs ---- */

static void touch_pages(void *ctx, int task, int thread)
{
	struct sd_cpu_engine *e = ctx;
	size_t chunk = (size_t)1 << 21, at = (size_t)task * chunk;

	(void)thread;
	memset(e->arena + at, 0, e->arena_size - at < chunk ? e->arena_size - at : chunk);
}

/* One mapping for all programs, in huge pages where the system has them, touched once here: a first touch
 * of a 4 KiB page in mid-run costs microseconds on some virtual machines. */
static int arena_fit(struct sd_cpu_engine *e, size_t bytes)
{
	size_t page = (size_t)1 << 21;
	void *m;

	bytes = (bytes + page - 1) / page * page;
	if (bytes <= e->arena_size || e->base.plans_only)
		return 0;
	m = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		return sd_error(SD_ERR_IO, "cannot get %.1f MiB of memory for a plan: a smaller batch needs less",
			(double)bytes / 1048576);
	madvise(m, bytes, MADV_HUGEPAGE);
	if (e->arena)
		munmap(e->arena, e->arena_size);
	e->arena = m;
	e->arena_size = bytes;
	sd_par_run(e->par, (int)(bytes / page), touch_pages, e);
	return 0;
}

/* A block table for each image: which logical channels each block's lanes are. */
static int make_blocks(struct sd_cpu_program *p)
{
	const struct sd_graph *g = p->g;
	size_t total = 0, at = 0;
	int v, s, c, left;

	for (v = 0; v < g->nval; v++)
		if (sd_is_image(g, v))
			total += (size_t)sd_cpu_blocks(&g->val[v]);
	p->blk = calloc((size_t)g->nval + 1, sizeof(*p->blk));
	p->blk_pool = calloc(total + 1, sizeof(*p->blk_pool));
	if (!p->blk || !p->blk_pool)
		return sd_error(SD_ERR_IO, "out of memory for a program");
	for (v = 0; v < g->nval; v++) {
		if (!sd_is_image(g, v))
			continue;
		p->blk[v] = p->blk_pool + at;
		for (c = s = 0; s < g->val[v].nseg; s++)
			for (left = g->val[v].seg[s]; left > 0; left -= 16) {
				int n = left < 16 ? left : 16;

				p->blk_pool[at++] = (struct sd_blk){ c, n };
				c += n;
			}
	}
	return 0;
}

/* How many lanes the widest step wants: six arrays an operand, or five norms of four for a half. */
static int make_lanes(struct sd_cpu_program *p)
{
	const struct sd_plan *plan = p->plan;
	int i, k;

	for (i = 0; i < plan->nstep; i++) {
		const struct sd_step *s = &plan->step[i];
		size_t arrays = (size_t)(s->nin + 2) * 6, cb = 1;

		for (k = 0; k < s->nin; k++) {
			sd_val x = s->in[k].x;

			if (x != SD_NIL && sd_is_image(p->g, x) && (size_t)sd_cpu_blocks(&p->g->val[x]) > cb)
				cb = (size_t)sd_cpu_blocks(&p->g->val[x]);
		}
		if (plan->nhalf && arrays < 20)
			arrays = 20;
		if (arrays * cb * 16 > p->lanes_cap)
			p->lanes_cap = arrays * cb * 16;
	}
	p->lanes = aligned_alloc(ALIGN, (p->lanes_cap + 16) * sizeof(float) / ALIGN * ALIGN);
	return p->lanes ? 0 : sd_error(SD_ERR_IO, "out of memory for a program");
}

static int cpu_program_init(struct sd_program *base)
{
	struct sd_cpu_program *p = (struct sd_cpu_program *)base;
	int i;

	p->e = own(base->engine);
	p->g = base->g;
	p->plan = base->plan;
	base->arena = p->plan->arena;
	for (i = 0; i < p->plan->nstep; i++)
		base->launches += !p->plan->step[i].skip;
	return make_blocks(p) || make_lanes(p) || arena_fit(p->e, p->plan->arena) ? -1 : 0;
}

static void cpu_program_release(struct sd_program *base)
{
	struct sd_cpu_program *p = (struct sd_cpu_program *)base;

	free(p->blk);
	free(p->blk_pool);
	free(p->lanes);
}

static int run_one(struct sd_cpu_program *p, const struct sd_bind *bind)
{
	struct sd_cpu_engine *e = p->e;
	unsigned word;
	int i, rc = 0;

	if (e->base.poison)
		memset(e->arena, 0xff, e->arena_size); /* every float a NaN */
	if (e->base.seen && sd_engine_show_inputs(&p->base, bind))
		return -1;
	sd_par_watch(e->par, e->base.profile ? sd_engine_note_tasks : NULL, e);
	word = sd_fpu_flush_on();
	for (i = 0; i < p->plan->nstep && !rc; i++) {
		const struct sd_step *s = &p->plan->step[i];
		double t = e->base.profile ? sd_par_clock(e->par) : 0;

		if (s->skip)
			continue;
		rc = sd_cpu_step(p, i, bind);
		if (!rc && e->base.profile)
			rc = sd_engine_note(&p->base, s, 1, sd_par_clock(e->par) - t);
		if (!rc && e->base.trace_nan)
			rc = sd_cpu_check_finite(p, i);
		if (!rc && e->base.seen)
			rc = sd_engine_show_step(&p->base, i);
	}
	sd_fpu_restore(word);
	return rc;
}

static int cpu_run(int n, const struct sd_work *w)
{
	int i;

	for (i = 0; i < n; i++)
		if (run_one((struct sd_cpu_program *)w[i].program, w[i].bind))
			return -1;
	return 0;
}

static int cpu_read_value(struct sd_program *base, sd_val root, void *host)
{
	struct sd_cpu_program *p = (struct sd_cpu_program *)base;
	const struct sd_place *pl = &p->plan->place[root];
	struct sd_img x;

	if (sd_is_image(p->g, root)) {
		x = sd_cpu_image(p, root);
		p->e->k->export(p->e->par, &x, host);
	} else {
		memcpy(host, p->e->arena + p->plan->place[pl->root].offset + pl->inner,
			layout_size(p->g, root));
	}
	return 0;
}

const struct sd_engine_ops sd_engine_cpu = {
	.abi = SD_ENGINE_ABI, .kind = "cpu",
	.engine_size = sizeof(struct sd_cpu_engine), .program_size = sizeof(struct sd_cpu_program),
	.open = cpu_open, .close = cpu_close, .set_precision = cpu_set_precision, .layout = cpu_layout, .threads = cpu_threads,
	.path = cpu_path, .alloc = cpu_alloc, .release = cpu_release, .write = cpu_write, .read = cpu_read,
	.copy = cpu_copy, .program_init = cpu_program_init, .program_release = cpu_program_release, .run = cpu_run,
	.read_value = cpu_read_value, .limits = sd_cpu_limits,
};
