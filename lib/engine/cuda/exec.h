/* exec.h: short words of exec_image.c and exec_rows.c. */
#ifndef SD_ENGINE_CUDA_EXEC_H
#define SD_ENGINE_CUDA_EXEC_H

#include "engine/cuda/cuda.h"

/* Memory of operand i and of result i, no images. */
static inline void *in(const struct sd_cuda_step *st, int i)
{
	return sd_cuda_rows(st, st->s->in[i].x);
}

static inline void *out(const struct sd_cuda_step *st, int i)
{
	return sd_cuda_rows(st, st->n->out + i);
}

#endif
