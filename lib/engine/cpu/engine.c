/* engine.c: the CPU engine's memory and programs. */
#include "engine/cpu/cpu.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/err.h"

#define ALIGN 64

size_t sd_cpu_size_of(enum sd_dtype t)
{
	return t == SD_F64 ? 8 : 4;
}

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
	return sd_shape_count(&x->shape) * sd_cpu_size_of(x->dtype);
}

static size_t layout_segment(const struct sd_graph *g, sd_val v, int seg)
{
	const struct sd_value *x = &g->val[v];
	int i, cb = 0;

	for (i = 0; i < seg; i++)
		cb += (x->seg[i] + 15) / 16;
	return (size_t)cb * block_bytes(x);
}

const struct sd_layout sd_cpu_layout = { layout_size, layout_segment, ALIGN };

struct sd_engine *sd_engine_open(const char *device, int threads)
{
	struct sd_engine *e;

	if (strcmp(device, "cpu")) {
		sd_error(SD_ERR_DEVICE, "no device '%s': this build has the CPU engine only", device);
		return NULL;
	}
	e = calloc(1, sizeof(*e));
	if (!e) {
		sd_error(SD_ERR_IO, "out of memory for an engine");
		return NULL;
	}
	e->k = sd_kernels_choose();
	if (e->k)
		e->par = sd_par_new(threads > 0 ? threads : sd_par_default_threads());
	if (!e->par) {
		free(e);
		return NULL;
	}
	return e;
}

void sd_engine_close(struct sd_engine *e)
{
	if (!e)
		return;
	sd_par_free(e->par);
	if (e->arena)
		munmap(e->arena, e->arena_size);
	free(e);
}

int sd_engine_threads(const struct sd_engine *e)
{
	return sd_par_threads(e->par);
}

const char *sd_engine_kind(const struct sd_engine *e)
{
	(void)e;
	return "cpu";
}

const char *sd_engine_path(const struct sd_engine *e)
{
	return e->k->name;
}

void sd_engine_poison(struct sd_engine *e, int on)
{
	e->poison = on;
}

void sd_engine_trace_nan(struct sd_engine *e, int on)
{
	e->trace_nan = on;
}

void sd_engine_profile(struct sd_engine *e, int on)
{
	e->profile = on;
	memset(e->prof, 0, sizeof(e->prof));
}

/* ---- buffers ---- */

struct sd_buffer *sd_buffer_new(struct sd_engine *e, enum sd_dtype t, struct sd_shape s)
{
	struct sd_buffer *b = calloc(1, sizeof(*b));
	size_t room;

	(void)e;
	if (!b)
		goto fail;
	b->dtype = t;
	b->shape = s;
	b->bytes = sd_shape_count(&s) * sd_cpu_size_of(t);
	room = (b->bytes + ALIGN - 1) / ALIGN * ALIGN;
	b->data = aligned_alloc(ALIGN, room ? room : ALIGN);
	if (!b->data)
		goto fail;
	memset(b->data, 0, room);
	return b;
fail:
	free(b);
	sd_error(SD_ERR_IO, "out of memory for a buffer of %zu bytes", sd_shape_count(&s) * sd_cpu_size_of(t));
	return NULL;
}

void sd_buffer_free(struct sd_buffer *b)
{
	if (!b)
		return;
	free(b->data);
	free(b);
}

size_t sd_buffer_bytes(const struct sd_buffer *b)
{
	return b->bytes;
}

int sd_buffer_write(struct sd_buffer *b, const void *host)
{
	memcpy(b->data, host, b->bytes);
	return 0;
}

int sd_buffer_read(const struct sd_buffer *b, void *host)
{
	memcpy(host, b->data, b->bytes);
	return 0;
}

int sd_buffer_copy(struct sd_buffer *dst, const struct sd_buffer *src)
{
	if (dst->bytes != src->bytes)
		return sd_error(SD_ERR_BUG, "buffers of %zu and %zu bytes can't be copied", dst->bytes, src->bytes);
	memcpy(dst->data, src->data, src->bytes);
	return 0;
}

/* ---- programs ---- */

static void touch_pages(void *ctx, int task, int thread)
{
	struct sd_engine *e = ctx;
	size_t chunk = (size_t)1 << 21, at = (size_t)task * chunk;

	(void)thread;
	memset(e->arena + at, 0, e->arena_size - at < chunk ? e->arena_size - at : chunk);
}

/* One mapping for all programs, in huge pages where the system has them, touched once here: a first touch
 * of a 4 KiB page in mid-run costs microseconds on some virtual machines. */
static int arena_fit(struct sd_engine *e, size_t bytes)
{
	size_t page = (size_t)1 << 21;
	void *m;

	bytes = (bytes + page - 1) / page * page;
	if (bytes <= e->arena_size)
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
static int make_blocks(struct sd_program *p)
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

static void use_slot(struct sd_program *p, sd_val v)
{
	if (v != SD_NIL && p->g->val[v].slot >= 0)
		p->slot_used[p->g->val[v].slot] = 1;
}

/* Which slots the steps read, and how many lanes the widest step wants. */
static int survey(struct sd_program *p)
{
	const struct sd_plan *plan = p->plan;
	int i, k;

	p->slot_used = calloc((size_t)p->g->nslot + 1, 1);
	if (!p->slot_used)
		return sd_error(SD_ERR_IO, "out of memory for a program");
	for (i = 0; i < plan->nstep; i++) {
		const struct sd_step *s = &plan->step[i];
		int cb = 1;

		use_slot(p, p->g->node[s->node].pred);
		for (k = 0; k < s->nin; k++) {
			const struct sd_load *l = &s->in[k];

			use_slot(p, l->x);
			use_slot(p, l->mean);
			use_slot(p, l->var);
			use_slot(p, l->gamma);
			use_slot(p, l->beta);
			if (l->x != SD_NIL && sd_is_image(p->g, l->x) && sd_cpu_blocks(&p->g->val[l->x]) > cb)
				cb = sd_cpu_blocks(&p->g->val[l->x]);
		}
		if ((size_t)(s->nin + 2) * 6 * (size_t)cb * 16 > p->lanes_cap)
			p->lanes_cap = (size_t)(s->nin + 2) * 6 * (size_t)cb * 16;
	}
	for (i = 0; i < plan->nroot; i++)
		use_slot(p, plan->root[i]);
	p->lanes = aligned_alloc(ALIGN, (p->lanes_cap + 16) * sizeof(float) / ALIGN * ALIGN);
	return p->lanes ? 0 : sd_error(SD_ERR_IO, "out of memory for a program");
}

struct sd_program *sd_program_new(struct sd_engine *e, const struct sd_graph *g, int nroot,
	const sd_val *root, int flags)
{
	struct sd_program *p = calloc(1, sizeof(*p));

	if (!p) {
		sd_error(SD_ERR_IO, "out of memory for a program");
		return NULL;
	}
	p->e = e;
	p->g = g;
	p->plan = sd_plan_new(g, nroot, root, &sd_cpu_layout, flags);
	if (!p->plan || make_blocks(p) || survey(p) || arena_fit(e, p->plan->arena)) {
		sd_program_free(p);
		return NULL;
	}
	return p;
}

void sd_program_free(struct sd_program *p)
{
	if (!p)
		return;
	sd_plan_free(p->plan);
	free(p->blk);
	free(p->blk_pool);
	free(p->slot_used);
	free(p->lanes);
	free(p);
}

size_t sd_program_arena(const struct sd_program *p)
{
	return p->plan->arena;
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
	}
	return 0;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Bytes of the tensors that a step reads and writes. */
static double step_bytes(const struct sd_program *p, const struct sd_step *s)
{
	const struct sd_node *n = &p->g->node[s->node];
	double b = 0;
	int k;

	for (k = 0; k < s->nin; k++)
		if (s->in[k].x != SD_NIL)
			b += (double)layout_size(p->g, s->in[k].x);
	for (k = 0; k < n->nout; k++)
		b += (double)layout_size(p->g, n->out + k);
	return b;
}

int sd_program_run(struct sd_program *p, const struct sd_bind *bind)
{
	struct sd_engine *e = p->e;
	unsigned word;
	int i, rc = 0;

	if (check_bind(p, bind))
		return -1;
	if (e->poison)
		memset(e->arena, 0xff, e->arena_size); /* every float a NaN */
	word = sd_fpu_flush_on();
	for (i = 0; i < p->plan->nstep && !rc; i++) {
		const struct sd_step *s = &p->plan->step[i];
		double t = e->profile ? now() : 0;
		enum sd_op op = p->g->node[s->node].op;

		if (s->skip)
			continue;
		rc = sd_cpu_step(p, i, bind);
		if (e->profile) {
			e->prof[op].calls++;
			e->prof[op].seconds += now() - t;
			e->prof[op].bytes += step_bytes(p, s);
		}
		if (!rc && e->trace_nan)
			rc = sd_cpu_check_finite(p, i);
	}
	sd_fpu_restore(word);
	return rc;
}

int sd_program_read(struct sd_program *p, sd_val root, void *host)
{
	const struct sd_place *pl = &p->plan->place[root];
	struct sd_img x;

	if (p->g->val[root].cls != SD_TEMP || !p->plan->place[pl->root].alive)
		return sd_error(SD_ERR_BUG, "a value that is no result was asked for");
	if (sd_is_image(p->g, root)) {
		x = sd_cpu_image(p, root);
		p->e->k->export(p->e->par, &x, host);
	} else {
		memcpy(host, p->e->arena + p->plan->place[pl->root].offset + pl->inner,
			layout_size(p->g, root));
	}
	return 0;
}

int sd_engine_profile_print(struct sd_engine *e, FILE *f)
{
	double total = 0;
	int i;

	for (i = 0; i < SD_OP_N; i++)
		total += e->prof[i].seconds;
	fprintf(f, "op\tcalls\tms\tshare\tGB/s\n");
	for (i = 0; i < SD_OP_N; i++)
		if (e->prof[i].calls)
			fprintf(f, "%s\t%ld\t%.2f\t%.1f%%\t%.1f\n", sd_op_name((enum sd_op)i), e->prof[i].calls,
				e->prof[i].seconds * 1e3, 100 * e->prof[i].seconds / total,
				e->prof[i].bytes / e->prof[i].seconds / 1e9);
	return ferror(f) ? sd_error(SD_ERR_IO, "cannot write the profile") : 0;
}
