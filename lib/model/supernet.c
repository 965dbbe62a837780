/* supernet.c: the network that cells are searched in (DARTS, Liu et al. 2019, section 2; model_search.py). */
#include "model/layers.h"

static int check(struct sd_build *b, const struct sd_supernet *s, sd_val x, sd_val normal, sd_val reduce)
{
	struct sd_shape want;
	int stem_multiplier = s->stem_multiplier ? s->stem_multiplier : 3;

	if (x == SD_NIL || normal == SD_NIL || reduce == SD_NIL)
		return SD_NIL;
	if (s->steps < 1 || s->steps > 64)
		return sd_graph_fail(b->g, "cannot search a cell of %d nodes: 1 to 64 are possible",
			s->steps);
	if (s->multiplier < 0 || s->multiplier > s->steps)
		return sd_graph_fail(b->g, "a cell of %d nodes cannot give the last %d of them", s->steps,
			s->multiplier);
	want = sd_shape2(sd_search_edges(s->steps), s->prims->n);
	if (!sd_shape_equal(sd_shape_of(b->g, normal), &want) ||
	    !sd_shape_equal(sd_shape_of(b->g, reduce), &want))
		return sd_graph_fail(b->g, "the weights of a search with %d nodes and %d primitives are "
			"%d x %d", s->steps, s->prims->n, want.d[0], want.d[1]);
	return sd_check_sizes(b, s->channels, s->classes, s->layers, stem_multiplier);
}

sd_val sd_build_supernet(struct sd_build *b, const struct sd_supernet *s, sd_val x, sd_val weights_normal,
	sd_val weights_reduce)
{
	int c = s->channels, i;
	enum sd_op_table ops = b->ops;
	int affine = b->affine;
	struct sd_cell_place at = { 0 };
	struct sd_name name;
	sd_val s0, s1, y;

	if (check(b, s, x, weights_normal, weights_reduce))
		return SD_NIL;
	b->ops = s->ops;
	b->affine = 0;
	s0 = s1 = sd_build_stem(b, "stem", x, (s->stem_multiplier ? s->stem_multiplier : 3) * c);
	for (i = 0; i < s->layers; i++) {
		name = sd_name("cells", "%d", i);
		at.prefix = name.s;
		at.reduction_prev = at.reduction;
		at.reduction = sd_is_reduction(i, s->layers);
		if (at.reduction)
			c *= 2;
		at.c = c;
		y = sd_cell_search(b, &at, s, s0, s1, at.reduction ? weights_reduce : weights_normal);
		s0 = s1;
		s1 = y;
	}
	b->affine = affine;
	b->ops = ops;
	return sd_layer_classifier(b, "", s1, s->classes);
}
