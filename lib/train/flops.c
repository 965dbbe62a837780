/* flops.c: how large a network is. */
#include "train/flops.h"

#include <inttypes.h>

#include "model/count.h"

/* What the plan of a step needs: *arena is made as large as its own, its launches are added. */
static int add_step(struct sd_vars *vars, const struct sd_net *net, const struct sd_step_options *o,
	enum sd_step_kind kind, uint32_t batch, size_t *arena, long *launches)
{
	struct sd_step_program *p = sd_step_program_new(vars, net, o, kind, (int)batch, 0);
	if (!p)
		return -1;
	size_t bytes = sd_program_arena(p->program);
	if (bytes > *arena)
		*arena = bytes;
	*launches += sd_program_launches(p->program);
	sd_step_program_free(p);
	return 0;
}

int sd_flops_print(FILE *f, struct sd_engine *engine, const struct sd_net *net,
	const struct sd_step_options *o, uint32_t batch)
{
	struct sd_count c;
	struct sd_vars vars;
	size_t arena = 0;
	long launches = 0;
	int search = net->kind == SD_NET_SUPERNET;
	int C = net->channels_in, H = net->height, W = net->width;
	if (search ? sd_count_supernet(&c, &net->supernet, C, H, W) :
		net->kind == SD_NET_CIFAR ? sd_count_network_cifar(&c, &net->network, C, H, W) :
		sd_count_network_imagenet(&c, &net->network, C, H, W))
		return -1;
	sd_vars_init(&vars, engine, 0);
	int ret = add_step(&vars, net, o, SD_STEP_WEIGHTS, batch, &arena, &launches) ||
		(search && add_step(&vars, net, o, SD_STEP_ALPHAS, batch, &arena, &launches)) ? -1 : 0;
	sd_vars_release(&vars);
	if (ret)
		return -1;
	fprintf(f, "parameters\t%zu\nparameters_without_auxiliary\t%zu\nmultiply_adds\t%.0f\nactivations\t%.0f\n"
		"batch_size\t%" PRIu32 "\narena_bytes\t%zu\nlaunches\t%ld\n", c.params, c.params_without_auxiliary, c.macs,
		c.activations, batch, arena, launches);
	return 0;
}
