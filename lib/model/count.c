/* count.c: builds a network for one image and adds up. */
#include "model/count.h"

/* A graph in the making; x is the image. */
struct counting {
	struct sd_graph *g;
	struct sd_build b;
	sd_val x;
};

static int begin(struct counting *k, int channels, int height, int width)
{
	k->g = sd_graph_new();
	if (!k->g)
		return -1;
	sd_build_init(&k->b, k->g, SD_EVAL);
	k->x = sd_input(k->g, "x", SD_F32, sd_shape4(1, channels, height, width));
	return 0;
}

static double activations(const struct sd_graph *g)
{
	double sum = 0;

	for (int i = 0; i < g->nnode; i++) {
		const struct sd_node *n = &g->node[i];

		if (n->op == SD_OP_CONV || n->op == SD_OP_DWCONV || n->op == SD_OP_FRCONV)
			sum += (double)sd_shape_count(sd_shape_of(g, n->out));
	}
	return sum;
}

static int end(struct counting *k, struct sd_count *c)
{
	int ok = sd_graph_ok(k->g);

	sd_build_count(&k->b, &c->params, &c->params_without_auxiliary);
	c->macs = k->b.macs;
	c->activations = activations(k->g);
	sd_build_release(&k->b);
	sd_graph_free(k->g);
	return ok ? 0 : -1;
}

typedef int network_builder(struct sd_build *b, const struct sd_network *n, sd_val x, sd_val *logits,
	sd_val *logits_aux);

static int count_network(struct sd_count *c, const struct sd_network *n, network_builder *build, int channels,
	int height, int width)
{
	struct counting k;
	sd_val logits, aux;

	if (begin(&k, channels, height, width))
		return -1;
	int ret = build(&k.b, n, k.x, &logits, &aux);
	return end(&k, c) || ret ? -1 : 0;
}

int sd_count_network_cifar(struct sd_count *c, const struct sd_network *n, int channels, int height,
	int width)
{
	return count_network(c, n, sd_build_network_cifar, channels, height, width);
}

int sd_count_network_imagenet(struct sd_count *c, const struct sd_network *n, int channels, int height,
	int width)
{
	return count_network(c, n, sd_build_network_imagenet, channels, height, width);
}

int sd_count_supernet(struct sd_count *c, const struct sd_supernet *s, int channels, int height, int width)
{
	struct counting k;

	if (begin(&k, channels, height, width))
		return -1;
	struct sd_shape edges = sd_shape2(sd_search_edges(s->steps), s->prims->n);
	sd_build_supernet(&k.b, s, k.x, sd_input(k.g, "normal", SD_F32, edges),
		sd_input(k.g, "reduce", SD_F32, edges));
	return end(&k, c);
}
