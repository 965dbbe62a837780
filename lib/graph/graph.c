/* graph.c: values, nodes, and the hash that makes equal pure ops one node. */
#include "graph/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static const char *const op_names[SD_OP_N] = {
	[SD_OP_SOURCE] = "source", [SD_OP_IMPORT] = "import", [SD_OP_FILL] = "fill", [SD_OP_RELU] = "relu",
	[SD_OP_RELU_BWD] = "relu_bwd", [SD_OP_ADD] = "add", [SD_OP_CONCAT] = "concat",
	[SD_OP_SLICE] = "slice", [SD_OP_CONV] = "conv", [SD_OP_CONV_BWD_X] = "conv_bwd_x",
	[SD_OP_CONV_BWD_W] = "conv_bwd_w", [SD_OP_CONV_BWD_B] = "conv_bwd_b",
	[SD_OP_DWCONV] = "dwconv", [SD_OP_DWCONV_BWD_X] = "dwconv_bwd_x",
	[SD_OP_DWCONV_BWD_W] = "dwconv_bwd_w", [SD_OP_FRCONV] = "frconv",
	[SD_OP_FRCONV_BWD_X] = "frconv_bwd_x", [SD_OP_FRCONV_BWD_W] = "frconv_bwd_w",
	[SD_OP_MAXPOOL] = "maxpool", [SD_OP_MAXPOOL_BWD] = "maxpool_bwd",
	[SD_OP_AVGPOOL] = "avgpool", [SD_OP_AVGPOOL_BWD] = "avgpool_bwd",
	[SD_OP_BN_STATS] = "bn_stats", [SD_OP_NORM] = "norm",
	[SD_OP_NORM_BWD_SUMS] = "norm_bwd_sums", [SD_OP_NORM_BWD_X] = "norm_bwd_x",
	[SD_OP_MIX] = "mix", [SD_OP_MIX_BWD_SUMS] = "mix_bwd_sums", [SD_OP_MIX_BWD_X] = "mix_bwd_x",
	[SD_OP_SCALE_ROWS] = "scale_rows", [SD_OP_SCALE] = "scale", [SD_OP_DOT] = "dot",
	[SD_OP_GAP] = "gap", [SD_OP_GAP_BWD] = "gap_bwd", [SD_OP_LINEAR] = "linear",
	[SD_OP_LINEAR_BWD_X] = "linear_bwd_x", [SD_OP_LINEAR_BWD_W] = "linear_bwd_w",
	[SD_OP_LINEAR_BWD_B] = "linear_bwd_b", [SD_OP_SOFTMAX] = "softmax",
	[SD_OP_SOFTMAX_BWD] = "softmax_bwd", [SD_OP_MIX_FACTORS] = "mix_factors",
	[SD_OP_MIX_FACTORS_BWD] = "mix_factors_bwd", [SD_OP_ONEHOT] = "onehot", [SD_OP_XENT] = "xent",
	[SD_OP_XENT_BWD] = "xent_bwd", [SD_OP_RANK] = "rank", [SD_OP_ARGMAX] = "argmax",
	[SD_OP_MEAN] = "mean", [SD_OP_MEAN_BWD] = "mean_bwd", [SD_OP_WSUM] = "wsum",
	[SD_OP_DROP_MASK] = "drop_mask", [SD_OP_GRAD_NORM] = "grad_norm",
	[SD_OP_CLIP_COEF] = "clip_coef", [SD_OP_RATIO] = "ratio", [SD_OP_FINITE] = "finite", [SD_OP_AXPY] = "axpy",
	[SD_OP_BN_UPDATE] = "bn_update", [SD_OP_SGD] = "sgd", [SD_OP_SGD_AHEAD] = "sgd_ahead",
	[SD_OP_ADAM] = "adam", [SD_OP_PADAM] = "padam", [SD_OP_STORE] = "store", [SD_OP_LOSS_SCALE] = "loss_scale", [SD_OP_METRICS] = "metrics",
};

const char *sd_op_name(enum sd_op op)
{
	return op >= 0 && op < SD_OP_N ? op_names[op] : "?";
}

int sd_op_is_write(enum sd_op op)
{
	return op == SD_OP_BN_UPDATE || op == SD_OP_SGD || op == SD_OP_SGD_AHEAD || op == SD_OP_ADAM ||
		op == SD_OP_PADAM || op == SD_OP_STORE || op == SD_OP_LOSS_SCALE || op == SD_OP_METRICS;
}

struct sd_graph *sd_graph_new(void)
{
	struct sd_graph *g = calloc(1, sizeof(*g));

	if (!g) {
		sd_error(SD_ERR_IO, "out of memory for a graph");
		return NULL;
	}
	g->pred = SD_NIL;
	return g;
}

void sd_graph_free(struct sd_graph *g)
{
	int i;

	if (!g)
		return;
	for (i = 0; i < g->nnode; i++)
		free(g->node[i].in);
	for (i = 0; i < g->nowned; i++)
		free(g->owned[i]);
	free(g->owned);
	free(g->val);
	free(g->node);
	free(g->slot);
	free(g->slot_hash);
	free(g->hash);
	free(g);
}

int sd_graph_ok(const struct sd_graph *g)
{
	return !g->failed;
}

sd_val sd_graph_fail(struct sd_graph *g, const char *fmt, ...)
{
	char buf[512];
	va_list ap;

	if (!g->failed) { /* the first reason is the one that tells */
		va_start(ap, fmt);
		vsnprintf(buf, sizeof(buf), fmt, ap);
		va_end(ap);
		sd_error(SD_ERR_DATA, "%s", buf);
		g->failed = 1;
	}
	return SD_NIL;
}

/* Makes room for one more element of a growing array; NULL (and a failed graph) if memory runs out. */
static void *grown(struct sd_graph *g, void *p, int n, int *cap, size_t size)
{
	void *q;

	if (n < *cap)
		return p;
	q = realloc(p, size * (size_t)(*cap ? *cap * 2 : 64));
	if (!q) {
		sd_graph_fail(g, "out of memory for a graph of %d nodes", g->nnode);
		return NULL;
	}
	*cap = *cap ? *cap * 2 : 64;
	return q;
}

void *sd_graph_own(struct sd_graph *g, void *p)
{
	void **q;

	if (!p)
		return sd_graph_fail(g, "out of memory for a graph of %d nodes", g->nnode), NULL;
	q = grown(g, g->owned, g->nowned, &g->cap_owned, sizeof(*q));
	if (!q) {
		free(p);
		return NULL;
	}
	g->owned = q;
	g->owned[g->nowned++] = p;
	return p;
}

/* ---- shapes ---- */

size_t sd_shape_count(const struct sd_shape *s)
{
	size_t n = 1;
	int i;

	for (i = 0; i < s->n; i++)
		n *= (size_t)s->d[i];
	return n;
}

struct sd_shape sd_shape4(int n, int c, int h, int w)
{
	return (struct sd_shape){ 4, { n, c, h, w } };
}

struct sd_shape sd_shape2(int r, int c)
{
	return (struct sd_shape){ 2, { r, c } };
}

struct sd_shape sd_shape1(int n)
{
	return (struct sd_shape){ 1, { n } };
}

struct sd_shape sd_shape0(void)
{
	return (struct sd_shape){ 0, { 0 } };
}

int sd_shape_equal(const struct sd_shape *a, const struct sd_shape *b)
{
	int i;

	if (a->n != b->n)
		return 0;
	for (i = 0; i < a->n; i++)
		if (a->d[i] != b->d[i])
			return 0;
	return 1;
}

const struct sd_shape *sd_shape_of(const struct sd_graph *g, sd_val v)
{
	return &g->val[v].shape;
}

int sd_is_image(const struct sd_graph *g, sd_val v)
{
	return g->val[v].seg != NULL;
}

struct sd_window sd_window(int k, int s, int p, int d)
{
	return (struct sd_window){ k, k, s, s, p, p, d, d };
}

/* ---- values and nodes ---- */

/* Does an op make images, where its results have four dimensions?  Weights have four as well. */
static int makes_images(enum sd_op op)
{
	return op != SD_OP_CONV_BWD_W && op != SD_OP_DWCONV_BWD_W && op != SD_OP_FRCONV_BWD_W;
}

static sd_val value_add(struct sd_graph *g, struct sd_value v)
{
	struct sd_value *q = grown(g, g->val, g->nval, &g->cap_val, sizeof(*q));
	int i, *seg;

	if (!q)
		return SD_NIL;
	g->val = q;
	for (i = 0; i < v.shape.n; i++)
		if (v.shape.d[i] < 1)
			return sd_graph_fail(g, "%s would have a dimension of %d", v.name ? v.name :
				sd_op_name(g->node[v.node].op), v.shape.d[i]);
	if (v.shape.n == 4 && v.dtype == SD_F32 && v.cls == SD_TEMP && makes_images(g->node[v.node].op)) {
		seg = sd_graph_own(g, malloc(sizeof(*seg)));
		if (!seg)
			return SD_NIL;
		seg[0] = v.shape.d[1];
		v.seg = seg;
		v.nseg = 1;
	}
	g->val[g->nval] = v;
	return g->nval++;
}

sd_val sd_like(struct sd_graph *g, sd_val v, sd_val like)
{
	if (v == SD_NIL || like == SD_NIL)
		return SD_NIL;
	g->val[v].seg = g->val[like].seg;
	g->val[v].nseg = g->val[like].nseg;
	return v;
}

static uint32_t hash_bytes(uint32_t h, const void *p, size_t n)
{
	const unsigned char *b = p;
	size_t i;

	for (i = 0; i < n; i++)
		h = (h ^ b[i]) * 16777619u; /* FNV-1a */
	return h;
}

static uint32_t node_hash(enum sd_op op, int nin, const sd_val *in, sd_val pred, const struct sd_attr *a)
{
	uint32_t h = 2166136261u;

	h = hash_bytes(h, &op, sizeof(op));
	h = hash_bytes(h, in, sizeof(*in) * (size_t)nin);
	h = hash_bytes(h, &pred, sizeof(pred));
	return hash_bytes(h, a, sizeof(*a));
}

static int node_same(const struct sd_graph *g, const struct sd_node *n, enum sd_op op, int nin,
	const sd_val *in, const struct sd_shape *out, const struct sd_attr *a)
{
	return n->op == op && n->nin == nin && n->pred == g->pred && !memcmp(&n->a, a, sizeof(*a)) &&
		(nin == 0 || !memcmp(n->in, in, sizeof(*in) * (size_t)nin)) &&
		sd_shape_equal(&g->val[n->out].shape, out);
}

/* Doubles the hash table and enters all pure nodes anew. */
static int rehash(struct sd_graph *g)
{
	int cap = g->cap_hash ? g->cap_hash * 2 : 1024, i;
	uint32_t *t = calloc((size_t)cap, sizeof(*t)), at;

	if (!t)
		return sd_graph_fail(g, "out of memory for a graph of %d nodes", g->nnode), -1;
	for (i = 0; i < g->nnode; i++) {
		const struct sd_node *n = &g->node[i];

		if (n->op == SD_OP_SOURCE || sd_op_is_write(n->op))
			continue;
		at = node_hash(n->op, n->nin, n->in, n->pred, &n->a) & (uint32_t)(cap - 1);
		while (t[at])
			at = (at + 1) & (uint32_t)(cap - 1);
		t[at] = (uint32_t)i + 1;
	}
	free(g->hash);
	g->hash = t;
	g->cap_hash = cap;
	return 0;
}

static int node_new(struct sd_graph *g, enum sd_op op, int nin, const sd_val *in, const struct sd_attr *a)
{
	struct sd_node *q = grown(g, g->node, g->nnode, &g->cap_node, sizeof(*q)), *n;

	if (!q)
		return -1;
	g->node = q;
	n = &g->node[g->nnode];
	memset(n, 0, sizeof(*n));
	n->op = op;
	n->nin = nin;
	n->in = malloc(sizeof(*in) * (size_t)(nin ? nin : 1));
	if (!n->in)
		return sd_graph_fail(g, "out of memory for a graph of %d nodes", g->nnode), -1;
	if (nin)
		memcpy(n->in, in, sizeof(*in) * (size_t)nin);
	n->pred = g->pred;
	n->a = *a;
	return g->nnode++;
}

sd_val sd_node_add(struct sd_graph *g, enum sd_op op, int nin, const sd_val *in, int nout,
	const struct sd_shape *shapes, enum sd_dtype t, const struct sd_attr *a)
{
	int pure = op != SD_OP_SOURCE && !sd_op_is_write(op), node, i;
	uint32_t at = 0;
	sd_val v;

	if (g->failed)
		return SD_NIL;
	if (pure) {
		if (g->nnode * 2 >= g->cap_hash && rehash(g))
			return SD_NIL;
		at = node_hash(op, nin, in, g->pred, a) & (uint32_t)(g->cap_hash - 1);
		for (; g->hash[at]; at = (at + 1) & (uint32_t)(g->cap_hash - 1)) {
			const struct sd_node *n = &g->node[g->hash[at] - 1];

			if (node_same(g, n, op, nin, in, shapes, a))
				return n->out;
		}
	}
	node = node_new(g, op, nin, in, a);
	if (node < 0)
		return SD_NIL;
	g->node[node].out = g->nval;
	g->node[node].nout = nout;
	for (i = 0; i < nout; i++) {
		v = value_add(g, (struct sd_value){ .node = node, .out = i, .cls = SD_TEMP, .dtype = t,
			.shape = shapes[i], .slot = -1 });
		if (v == SD_NIL)
			return SD_NIL;
	}
	if (pure)
		g->hash[at] = (uint32_t)node + 1;
	return g->node[node].out;
}

/* ---- sources ---- */

sd_val sd_find(const struct sd_graph *g, const char *name)
{
	uint32_t h = hash_bytes(2166136261u, name, strlen(name));
	int i;

	for (i = 0; i < g->nslot; i++)
		if (g->slot_hash[i] == h && !strcmp(g->val[g->slot[i]].name, name))
			return g->slot[i];
	return SD_NIL;
}

static sd_val source(struct sd_graph *g, const char *name, enum sd_class cls, enum sd_dtype t, struct sd_shape s)
{
	struct sd_attr a = { 0 };
	int node, cap = g->cap_slot, *q;
	uint32_t *h;
	char *copy;
	sd_val v;

	if (g->failed)
		return SD_NIL;
	v = sd_find(g, name);
	if (v != SD_NIL) {
		const struct sd_value *x = &g->val[v];

		if (x->cls != cls || x->dtype != t || !sd_shape_equal(&x->shape, &s))
			return sd_graph_fail(g, "'%s' is wanted with two shapes or types", name);
		return v;
	}
	copy = sd_graph_own(g, strdup(name));
	h = grown(g, g->slot_hash, g->nslot, &cap, sizeof(*h));
	if (h)
		g->slot_hash = h;
	if (!copy || !h)
		return SD_NIL;
	q = grown(g, g->slot, g->nslot, &g->cap_slot, sizeof(*q));
	if (!q)
		return SD_NIL;
	g->slot = q;
	g->slot_hash[g->nslot] = hash_bytes(2166136261u, name, strlen(name));
	node = node_new(g, SD_OP_SOURCE, 0, NULL, &a);
	if (node < 0)
		return SD_NIL;
	g->node[node].pred = SD_NIL;
	g->node[node].out = g->nval;
	g->node[node].nout = 1;
	v = value_add(g, (struct sd_value){ .node = node, .cls = cls, .dtype = t, .shape = s,
		.slot = g->nslot, .name = copy });
	if (v != SD_NIL)
		g->slot[g->nslot++] = v;
	return v;
}

sd_val sd_input(struct sd_graph *g, const char *name, enum sd_dtype t, struct sd_shape s)
{
	return source(g, name, SD_INPUT, t, s);
}

sd_val sd_param(struct sd_graph *g, const char *name, struct sd_shape s)
{
	return source(g, name, SD_PARAM, SD_F32, s);
}

sd_val sd_state(struct sd_graph *g, const char *name, enum sd_dtype t, struct sd_shape s)
{
	return source(g, name, SD_STATE, t, s);
}

sd_val sd_scalar(struct sd_graph *g, const char *name, enum sd_dtype t)
{
	return source(g, name, SD_SCALAR, t, sd_shape0());
}
