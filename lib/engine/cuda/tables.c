/* tables.c: which tensors the optimisers' steps work on, as tables in the GPU's memory: a step is one launch. */
#include "engine/cuda/cuda.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"

/* How many tensors a step works on at once; 0 if it is no such step. */
static int tensors_in(const struct sd_cuda_step *st)
{
	switch (st->n->op) {
	case SD_OP_GRAD_NORM:
		return st->s->nin;
	case SD_OP_SGD: case SD_OP_SGD_AHEAD: case SD_OP_ADAM: case SD_OP_PADAM: case SD_OP_STORE:
		return st->n->a.i[0];
	default:
		return 0;
	}
}

/* Tensor i of a step of n: operands come in groups of n, after `lead` others. */
static struct sd_cu_tensor tensor_of(const struct sd_cuda_step *st, int n, int i)
{
	static const int leads[] = { [SD_OP_SGD] = 2, [SD_OP_SGD_AHEAD] = 2, [SD_OP_ADAM] = 2, [SD_OP_PADAM] = 3,
		[SD_OP_STORE] = 1, [SD_OP_GRAD_NORM] = 0 };
	int lead = leads[st->n->op];
	struct sd_cu_tensor t = { .count = (long long)sd_shape_count(&st->p->g->val[st->s->in[lead + i].x].shape) };
#define GROUP(k) sd_cuda_rows(st, st->s->in[lead + (k) * n + i].x)

	switch (st->n->op) {
	case SD_OP_GRAD_NORM:
		t.g = GROUP(0);
		break;
	case SD_OP_SGD:
		t.p = GROUP(0), t.m = GROUP(1), t.g = GROUP(2);
		break;
	case SD_OP_SGD_AHEAD:
		t.p = GROUP(0), t.m = GROUP(1), t.g = GROUP(2), t.u = GROUP(3);
		break;
	case SD_OP_ADAM:
		t.p = GROUP(0), t.m = GROUP(1), t.v = GROUP(2), t.g = GROUP(3);
		break;
	case SD_OP_PADAM:
		t.p = GROUP(0), t.m = GROUP(1), t.v = GROUP(2), t.u = GROUP(3), t.g = GROUP(4);
		break;
	default: /* SD_OP_STORE */
		t.p = GROUP(0), t.base = GROUP(1);
		if (st->s->nin > lead + 2 * n)
			t.g = GROUP(2);
	}
#undef GROUP
	return t;
}

/* Host copies of all tables of a program, one after another. */
struct tables {
	struct sd_cu_tensor *tensor;
	struct sd_cu_chunk *chunk;
	size_t ntensor, nchunk;
};

/* Counts (tables still NULL) or fills in what step st has. */
static void add_tables(const struct sd_cuda_step *st, struct tables *t, struct sd_cu_tensors *to)
{
	int n = tensors_in(st), i;
	size_t first_chunk = t->nchunk;

	to->tensor = (void *)(t->ntensor * sizeof(*t->tensor)); /* made addresses once the memory is there */
	for (i = 0; i < n; i++) {
		struct sd_cu_tensor x = tensor_of(st, n, i);
		long long at;

		if (t->tensor)
			t->tensor[t->ntensor] = x;
		t->ntensor++;
		for (at = 0; at < x.count; at += SD_CU_CHUNK) {
			if (t->chunk)
				t->chunk[t->nchunk] = (struct sd_cu_chunk){ i, at };
			t->nchunk++;
		}
	}
	to->chunk = (void *)(first_chunk * sizeof(*t->chunk));
	to->ntensor = n;
	to->nchunk = (int)(t->nchunk - first_chunk);
}

struct sd_cu_tensors sd_cuda_count_tensors(const struct sd_cuda_step *st)
{
	struct tables none = { 0 };
	struct sd_cu_tensors t = { 0 };

	add_tables(st, &none, &t);
	return t;
}

static void each_table(struct sd_cuda_program *p, const struct sd_bind *bind, struct tables *t,
	struct sd_cu_tensors *to)
{
	int i;

	t->ntensor = t->nchunk = 0;
	for (i = 0; i < p->plan->nstep; i++) {
		struct sd_cuda_step st = sd_cuda_step_of(p, i);

		st.bind = bind;
		if (tensors_in(&st))
			add_tables(&st, t, &to[i]);
	}
}

int sd_cuda_make_tables(struct sd_cuda_program *p, const struct sd_bind *bind, struct sd_cuda_bound *b)
{
	struct tables t = { 0 };
	size_t bytes;
	char *chunks;
	int i, rc = -1;
	cudaError_t err;

	each_table(p, bind, &t, b->tensors);
	if (t.ntensor == 0)
		return 0;
	t.tensor = calloc(t.ntensor, sizeof(*t.tensor));
	t.chunk = calloc(t.nchunk + 1, sizeof(*t.chunk));
	if (!t.tensor || !t.chunk) {
		sd_error(SD_ERR_IO, "out of memory for a program");
		goto out;
	}
	each_table(p, bind, &t, b->tensors);
	bytes = t.ntensor * sizeof(*t.tensor);
	err = cudaMalloc(&b->memory, bytes + (t.nchunk + 1) * sizeof(*t.chunk));
	chunks = (char *)b->memory + bytes;
	if (err == cudaSuccess)
		err = cudaMemcpyAsync(b->memory, t.tensor, bytes, cudaMemcpyHostToDevice, p->e->stream);
	if (err == cudaSuccess)
		err = cudaMemcpyAsync(chunks, t.chunk, t.nchunk * sizeof(*t.chunk), cudaMemcpyHostToDevice,
			p->e->stream);
	if (err == cudaSuccess)
		err = cudaStreamSynchronize(p->e->stream);
	if (err != cudaSuccess) {
		sd_cuda_fail(err, "tables of parameters");
		goto out;
	}
	for (i = 0; i < p->plan->nstep; i++) {
		b->tensors[i].tensor = (void *)((char *)b->memory + (uintptr_t)b->tensors[i].tensor);
		b->tensors[i].chunk = (void *)(chunks + (uintptr_t)b->tensors[i].chunk);
	}
	rc = 0;
out:
	free(t.tensor);
	free(t.chunk);
	return rc;
}
