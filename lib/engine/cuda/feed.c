/* feed.c: batches from a data set in device memory (kernels/augment.cu): what the loader does, without the host. */
#include "engine/cuda/cuda.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"

int sd_cuda_feed_fits(struct sd_engine *e, size_t bytes)
{
	size_t free_bytes = 0, total = 0;

	(void)e;
	/* by all of the memory, not by what is free now: the choice changes no number, but should not waver either */
	return cudaMemGetInfo(&free_bytes, &total) == cudaSuccess && bytes <= total / 4;
}

static void split_release(struct sd_cuda_engine *e, struct sd_cuda_split *s)
{
	struct sd_cuda_split **at = &e->split;

	if (!s || --s->uses > 0)
		return;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	cudaFree(s->images);
	cudaFree(s->labels);
	cudaFree(s->table);
	free(s);
}

/* Device memory with a copy of the host's bytes. */
static int put(struct sd_cuda_engine *e, void **to, const void *from, size_t bytes)
{
	cudaError_t err = cudaMalloc(to, bytes ? bytes : 1);

	if (err != cudaSuccess) {
		*to = NULL;
		cudaGetLastError();
		return sd_error(SD_ERR_DEVICE, "the device has not enough memory: %.1f MiB for a data set",
			(double)bytes / 1048576);
	}
	return from ? sd_cuda_upload(e, *to, from, bytes) : 0;
}

static struct sd_cuda_split *split_take(struct sd_cuda_engine *e, const struct sd_feed_spec *spec)
{
	size_t pixels = (size_t)spec->C * (size_t)spec->H * (size_t)spec->W;
	struct sd_cuda_split *s;

	for (s = e->split; s; s = s->next)
		if (s->host == spec->images) {
			s->uses++;
			return s;
		}
	s = calloc(1, sizeof(*s));
	if (!s) {
		sd_error(SD_ERR_IO, "out of memory");
		return NULL;
	}
	s->host = spec->images;
	s->uses = 1;
	s->next = e->split;
	e->split = s;
	if (put(e, (void **)&s->images, spec->images, spec->images_n * pixels) ||
			put(e, (void **)&s->labels, spec->labels, spec->images_n * sizeof(int32_t)) ||
			put(e, (void **)&s->table, spec->table, (size_t)spec->C * 256 * sizeof(float))) {
		split_release(e, s);
		return NULL;
	}
	return s;
}

void sd_cuda_feed_free(struct sd_device_feed *base)
{
	struct sd_cuda_feed *f = (struct sd_cuda_feed *)base;
	struct sd_cuda_engine *e = (struct sd_cuda_engine *)base->engine;

	cudaStreamSynchronize(e->stream);
	sd_cuda_forget(e, f->id);
	split_release(e, f->split);
	cudaFree(f->indices);
	cudaFree(f->order);
	cudaFree(f->epoch);
	free(f->permutation);
	free(f);
}

struct sd_device_feed *sd_cuda_feed_new(struct sd_engine *base, const struct sd_feed_spec *spec)
{
	struct sd_cuda_engine *e = (struct sd_cuda_engine *)base;
	struct sd_cuda_feed *f = calloc(1, sizeof(*f));

	if (!f) {
		sd_error(SD_ERR_IO, "out of memory");
		return NULL;
	}
	f->base.engine = base;
	f->id = ++e->ids;
	f->n = spec->n;
	f->split = split_take(e, spec);
	if (!f->split || put(e, (void **)&f->epoch, NULL, 2 * sizeof(int32_t)))
		goto fail;
	if (spec->indices && put(e, (void **)&f->indices, spec->indices, (size_t)f->n * sizeof(uint32_t)))
		goto fail;
	if (spec->shuffle) {
		f->permutation = malloc(((size_t)f->n + 1) * sizeof(uint32_t));
		if (!f->permutation) {
			sd_error(SD_ERR_IO, "out of memory");
			goto fail;
		}
		if (put(e, (void **)&f->order, NULL, (size_t)f->n * sizeof(uint32_t)))
			goto fail;
	}
	f->batch = (struct sd_cu_batch){
		.images = f->split->images, .labels = f->split->labels, .table = f->split->table, .c = spec->C,
		.h = spec->H, .w = spec->W, .indices = f->indices, .order = f->order, .n = f->n, .draw = spec->draw,
		.batch = spec->batch, .shuffle_key = spec->shuffle_key, .augment_key = spec->augment_key,
		.policy = spec->policy, .next = f->epoch + 1, .epoch = f->epoch,
	};
	return &f->base;
fail:
	sd_cuda_feed_free(&f->base);
	return NULL;
}

int sd_cuda_feed_epoch(struct sd_device_feed *base, uint32_t epoch, uint32_t from)
{
	struct sd_cuda_feed *f = (struct sd_cuda_feed *)base;
	struct sd_cuda_engine *e = (struct sd_cuda_engine *)base->engine;
	int32_t at[2] = { (int32_t)epoch, (int32_t)from };

	if (f->permutation) {
		sd_rng_permutation(f->batch.shuffle_key, epoch, f->n, f->permutation);
		if (sd_cuda_upload(e, f->order, f->permutation, (size_t)f->n * sizeof(uint32_t)))
			return -1;
	}
	return sd_cuda_upload(e, f->epoch, at, sizeof(at));
}

void sd_cuda_feed_exec(struct sd_cu_run *r, const struct sd_work *w)
{
	struct sd_cu_batch b = ((const struct sd_cuda_feed *)w->feed)->batch;

	b.rows = (uint32_t)w->x->shape.d[0];
	b.out = w->x->data;
	b.label = w->labels->data;
	b.id = w->ids ? w->ids->data : sd_cu_take(r, b.rows * sizeof(*b.id));
	sd_cu_batch(r, &b);
}
