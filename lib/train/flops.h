/* flops.h: what --flops prints: how large a network is before anything runs. */
#ifndef SD_TRAIN_FLOPS_H
#define SD_TRAIN_FLOPS_H

#include <stdint.h>
#include <stdio.h>

#include "train/step.h"

/* Rows "name TAB number": parameters (with the auxiliary head), parameters_without_auxiliary, multiply_adds
 * and activations of one image (count.h), batch_size, and arena_bytes, the memory that the plans of a step
 * of the training or search of `batch` images share (parameters and their optimiser's state come on top of
 * it), and launches, how many kernels a step begins. 0, or -1 with a message. */
int sd_flops_print(FILE *f, struct sd_engine *engine, const struct sd_net *net,
	const struct sd_step_options *o, uint32_t batch);

#endif
