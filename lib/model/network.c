/* network.c: the final networks and their auxiliary classifiers (model.py of sharpDARTS). */
#include "base/err.h"
#include "model/layers.h"

/* ---- auxiliary classifiers ---- */

/* Whether height and width are in [least, most]. */
static int has_size(const struct sd_build *b, sd_val x, int least, int most)
{
	const struct sd_shape *s;

	if (x == SD_NIL)
		return 1; /* failed before */
	s = sd_shape_of(b->g, x);
	return s->d[2] >= least && s->d[2] <= most && s->d[3] >= least && s->d[3] <= most;
}

/* The pool that leaves 2 x 2 of a square image.  That of the reference, 5x5 with a given stride, wherever it
 * does; for other sizes, which the reference refuses, one whose windows cover the whole image in about the
 * same proportion, 5 to 3 out of 8. */
static struct sd_window aux_pool(int size, int stride)
{
	int step = 3 * size / 8 > 0 ? 3 * size / 8 : 1;

	if (size >= 5 + stride && size < 5 + 2 * stride)
		return sd_window(5, stride, 0, 1);
	return sd_window(size - step, step, 0, 1);
}

/* relu, average pool to 2x2, 1x1 convolution, norm, relu, 2x2 convolution, norm, relu, classifier.  The
 * parameters are declared in any case; without x that is all. */
static sd_val aux_head(struct sd_build *b, const char *prefix, sd_val x, int c, int classes, int stride)
{
	struct sd_name conv2 = sd_name(prefix, "features.2"), conv5 = sd_name(prefix, "features.5");
	struct sd_name fc = sd_name(prefix, "classifier");
	struct sd_window one = sd_window(1, 1, 0, 1), two = sd_window(2, 1, 0, 1);
	struct sd_norm_params norm3, norm6;
	double macs = b->macs;
	struct sd_tail t;
	int size;
	sd_val w2, w5, w, bias;

	w2 = sd_layer_weight(b, conv2, sd_shape4(128, c, 1, 1));
	norm3 = sd_layer_norm_params(b, sd_name(prefix, "features.3"), 128, SD_BN_EPS, b->affine);
	w5 = sd_layer_weight(b, conv5, sd_shape4(768, 128, 2, 2));
	norm6 = sd_layer_norm_params(b, sd_name(prefix, "features.6"), 768, SD_BN_EPS, b->affine);
	w = sd_layer_weight(b, fc, sd_shape2(classes, 768));
	bias = sd_layer_bias(b, fc, classes);
	if (x == SD_NIL)
		return SD_NIL;
	size = sd_shape_of(b->g, x)->d[2];
	if (size < 2 || sd_shape_of(b->g, x)->d[3] != size)
		return sd_graph_fail(b->g, "the images are too small for the auxiliary head, or not square");
	x = sd_avgpool(b->g, sd_relu(b->g, x), aux_pool(size, stride), 0);
	t = sd_tail_norm(b, sd_conv(b->g, x, w2, SD_NIL, one), &norm3);
	x = sd_relu(b->g, sd_tail_finish(b, &t));
	t = sd_tail_norm(b, sd_conv(b->g, x, w5, SD_NIL, two), &norm6);
	x = sd_relu(b->g, sd_tail_finish(b, &t));
	b->macs = macs;
	return sd_linear(b->g, sd_gap(b->g, x), w, bias); /* over 1x1: the features as rows */
}

sd_val sd_build_aux_head_cifar(struct sd_build *b, const char *prefix, sd_val x, int classes)
{
	return x == SD_NIL ? SD_NIL : aux_head(b, prefix, x, sd_channels(b, x), classes, 3);
}

sd_val sd_build_aux_head_imagenet(struct sd_build *b, const char *prefix, sd_val x, int classes)
{
	return x == SD_NIL ? SD_NIL : aux_head(b, prefix, x, sd_channels(b, x), classes, 2);
}

/* ---- networks ---- */

enum kind { CIFAR, IMAGENET };

/* The cells, the auxiliary head at two thirds, the classifier; s0 and s1 are what the stem gives. */
static int body(struct sd_build *b, const struct sd_network *n, enum kind kind, sd_val s0, sd_val s1,
	sd_val *logits, sd_val *logits_aux)
{
	const struct sd_genotype *geno = n->genotype;
	struct sd_cell_place at = { .reduction = kind == IMAGENET };
	int c = n->channels, aux_at = 2 * n->layers / 3, aux_channels = 0, i;
	sd_val y, aux = SD_NIL;

	for (i = 0; i < n->layers; i++) {
		struct sd_name name = sd_name("cells", "%d", i);
		const struct sd_cell *cell, *concat;

		at.prefix = name.s;
		at.reduction_prev = at.reduction;
		at.reduction = sd_is_reduction(i, n->layers);
		if (at.reduction)
			c *= 2;
		at.c = c;
		cell = at.reduction ? &geno->reduce : &geno->normal;
		concat = kind == IMAGENET ? &geno->reduce : cell;
		y = sd_cell_final(b, &at, cell, concat, n->mid_channels, s0, s1);
		s0 = s1;
		s1 = y;
		if (i == aux_at) {
			aux = s1;
			aux_channels = concat->nconcat * c;
		}
	}
	*logits_aux = SD_NIL;
	if (n->auxiliary) {
		/* The reference's first relu there is in place.  Where other cells follow they begin with a
		 * relu of their own; on the last cell the classifier sees it. */
		if (b->phase == SD_TRAIN && aux_at == n->layers - 1)
			s1 = sd_relu(b->g, s1);
		*logits_aux = aux_head(b, "auxiliary_head", b->phase == SD_TRAIN ? aux : SD_NIL, aux_channels,
			n->classes, kind == CIFAR ? 3 : 2);
	}
	if (kind == IMAGENET && !has_size(b, s1, 7, 7))
		sd_graph_fail(b->g, "the ImageNet network is for images of 224x224");
	*logits = sd_layer_classifier(b, "", s1, n->classes);
	return sd_graph_ok(b->g) ? 0 : -1;
}

static int network(struct sd_build *b, const struct sd_network *n, enum kind kind, sd_val x, sd_val *logits,
	sd_val *logits_aux)
{
	int stem_multiplier = n->stem_multiplier ? n->stem_multiplier : 3, affine = b->affine, rc;
	enum sd_op_table ops = b->ops;
	sd_val s0, s1;

	*logits = *logits_aux = SD_NIL;
	if (!sd_graph_ok(b->g) || x == SD_NIL)
		return -1;
	if (n->genotype->kind != SD_GENOTYPE_CELL) {
		sd_graph_fail(b->g, "a recurrent genotype is no network for images");
		return -1;
	}
	if (sd_genotype_check(n->genotype)) {
		b->g->failed = 1;
		return -1;
	}
	if (n->mid_channels < -1 || n->mid_channels > 1 << 14) {
		sd_graph_fail(b->g, "cannot build a network with %d channels in the middle of a convolution",
			n->mid_channels);
		return -1;
	}
	if (sd_check_sizes(b, n->channels, n->classes, n->layers, stem_multiplier))
		return -1;
	b->ops = n->ops;
	b->affine = 1;
	if (kind == CIFAR) {
		s0 = s1 = sd_build_stem(b, "stem", x, stem_multiplier * n->channels);
	} else {
		struct sd_window half = sd_window(3, 2, 1, 1);

		s0 = sd_layer_conv(b, sd_name("stem0", "0"), x, n->channels / 2, half);
		s0 = sd_layer_relu(b, sd_layer_norm(b, sd_name("stem0", "1"), s0));
		s0 = sd_layer_conv(b, sd_name("stem0", "3"), s0, n->channels, half);
		s0 = sd_layer_norm(b, sd_name("stem0", "4"), s0);
		s1 = sd_layer_conv(b, sd_name("stem1", "1"), sd_layer_relu(b, s0), n->channels, half);
		s1 = sd_layer_norm(b, sd_name("stem1", "2"), s1);
	}
	rc = body(b, n, kind, s0, s1, logits, logits_aux);
	b->ops = ops;
	b->affine = affine;
	return rc;
}

int sd_build_network_cifar(struct sd_build *b, const struct sd_network *n, sd_val x, sd_val *logits,
	sd_val *logits_aux)
{
	return network(b, n, CIFAR, x, logits, logits_aux);
}

int sd_build_network_imagenet(struct sd_build *b, const struct sd_network *n, sd_val x, sd_val *logits,
	sd_val *logits_aux)
{
	return network(b, n, IMAGENET, x, logits, logits_aux);
}
