/* flops.c: how large a network is. */
#include "train/flops.h"

#include <inttypes.h>

#include "model/count.h"

/* The arena of a step's plan, or 0 with a message. */
static size_t step_arena(struct sd_vars *vars, const struct sd_net *net, const struct sd_step_options *o,
	enum sd_step_kind kind, uint32_t batch)
{
	struct sd_step_program *p = sd_step_program_new(vars, net, o, kind, (int)batch, 0);
	size_t bytes = p ? sd_program_arena(p->program) : 0;
	sd_step_program_free(p);
	return bytes;
}

int sd_flops_print(FILE *f, struct sd_engine *engine, const struct sd_net *net,
	const struct sd_step_options *o, uint32_t batch)
{
	struct sd_count c;
	struct sd_vars vars;
	size_t arena, other = 0;
	int search = net->kind == SD_NET_SUPERNET;
	int C = net->channels_in, H = net->height, W = net->width;
	if (search ? sd_count_supernet(&c, &net->supernet, C, H, W) :
		net->kind == SD_NET_CIFAR ? sd_count_network_cifar(&c, &net->network, C, H, W) :
		sd_count_network_imagenet(&c, &net->network, C, H, W))
		return -1;
	sd_vars_init(&vars, engine, 0);
	arena = step_arena(&vars, net, o, SD_STEP_WEIGHTS, batch);
	if (arena && search)
		other = step_arena(&vars, net, o, SD_STEP_ALPHAS, batch);
	sd_vars_release(&vars);
	if (!arena || (search && !other))
		return -1;
	fprintf(f, "parameters\t%zu\nparameters_without_auxiliary\t%zu\nmultiply_adds\t%.0f\nactivations\t%.0f\n"
		"batch_size\t%" PRIu32 "\narena_bytes\t%zu\n", c.params, c.params_without_auxiliary, c.macs,
		c.activations, batch, arena > other ? arena : other);
	return 0;
}
