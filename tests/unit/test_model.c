/* test_model.c: what the model builders make, by name, shape and count, against the reference data
 * (DIR or ../shared/golden; what isn't there is skipped with a line). */
#include "model/model.h"
#include "base/err.h"
#include "check.h"
#include "golden.h"

/* ---- reading ---- */

static int number(hid_t file, const char *path, const char *name, int other)
{
	hid_t a;
	int v = other;

	if (H5Aexists_by_name(file, path, name, H5P_DEFAULT) <= 0)
		return other;
	a = H5Aopen_by_name(file, path, name, H5P_DEFAULT, H5P_DEFAULT);
	if (H5Aread(a, H5T_NATIVE_INT, &v) < 0)
		printf("no number %s of %s\n", name, path);
	H5Aclose(a);
	return v;
}

/* The text of an attribute, which must be there and not be long. */
static const char *text(hid_t file, const char *path, const char *name, char buf[256])
{
	char *t = golden_text(file, path, name);

	snprintf(buf, 256, "%s", t ? t : "");
	free(t);
	return buf;
}

/* The i-th member of a group, or 0 behind the last. */
static int member(hid_t file, const char *path, hsize_t i, char name[256])
{
	H5G_info_t info;

	if (H5Gget_info_by_name(file, path, &info, H5P_DEFAULT) < 0 || i >= info.nlinks)
		return 0;
	return H5Lget_name_by_idx(file, path, H5_INDEX_NAME, H5_ITER_INC, i, name, 256, H5P_DEFAULT) > 0;
}

static struct sd_shape shape(hid_t file, const char *path)
{
	hid_t d = H5Dopen(file, path, H5P_DEFAULT), sp = H5Dget_space(d);
	struct sd_shape s = { 0, { 0 } };
	hsize_t dim[8];
	int i;

	s.n = H5Sget_simple_extent_dims(sp, dim, NULL);
	if (s.n < 0 || s.n > SD_MAX_DIMS)
		s.n = 0;
	for (i = 0; i < s.n; i++)
		s.d[i] = (int)dim[i];
	H5Sclose(sp);
	H5Dclose(d);
	return s;
}

/* ---- comparing ---- */

static int has(const struct sd_graph *g, const sd_val *list, int n, const char *name,
	const struct sd_shape *s)
{
	int i;

	for (i = 0; i < n; i++)
		if (!strcmp(g->val[list[i]].name, name))
			return sd_shape_equal(sd_shape_of(g, list[i]), s);
	return 0;
}

/* The members of path/group are just those of the list; counters may be left out in the file. */
static void same_names(const struct sd_build *b, hid_t file, const char *path, const char *group,
	const sd_val *list, int n)
{
	char set[1024], name[256], at[2048];
	int i, found = 0, counters = 0, file_counters = 0, same = 1;
	struct sd_shape s;
	hsize_t k;

	snprintf(set, sizeof set, "%s/%s", path, group);
	for (k = 0; member(file, set, k, name); k++) {
		snprintf(at, sizeof at, "%s/%s", set, name);
		s = shape(file, at);
		file_counters += strstr(name, "num_batches_tracked") != NULL;
		found++;
		if (!has(b->g, list, n, name, &s)) {
			printf("%s: not made, or of another shape\n", at);
			same = 0;
		}
	}
	for (i = 0; i < n; i++)
		counters += strstr(b->g->val[list[i]].name, "num_batches_tracked") != NULL;
	CHECK(same && found - file_counters == n - counters, "%s: %d of %d", set, found, n);
	CHECK(file_counters == 0 || file_counters == counters, "%s", set);
}

static void same_build(const struct sd_build *b, hid_t file, const char *path)
{
	CHECK(sd_graph_ok(b->g), "%s: %s", path, sd_error_text());
	same_names(b, file, path, "params", b->param, b->nparam);
	same_names(b, file, path, "buffers", b->buffer, b->nbuffer);
	if (b->phase == SD_TRAIN)
		CHECK(3 * b->nupdate == b->nbuffer, "%s", path);
	else
		CHECK(b->nupdate == 0, "%s", path);
}

/* x of the group as an input. */
static sd_val input(struct sd_graph *g, hid_t file, const char *path)
{
	char at[1024];

	snprintf(at, sizeof at, "%s/x", path);
	return sd_input(g, "x", SD_F32, shape(file, at));
}

static void same_result(const struct sd_build *b, hid_t file, const char *path, sd_val y)
{
	struct sd_shape s;
	char at[1024];

	if (y == SD_NIL)
		return;
	snprintf(at, sizeof at, "%s/y", path);
	s = shape(file, at);
	CHECK(sd_shape_equal(&s, sd_shape_of(b->g, y)), "%s", at);
}

/* ---- primitives and modules ---- */

static sd_val module(struct sd_build *b, hid_t file, const char *path, sd_val x)
{
	int c_out = number(file, path, "C_out", 0), stride = number(file, path, "stride", 1);
	int k = number(file, path, "kernel", 1), classes = number(file, path, "num_classes", 10);
	struct sd_window win = sd_window(k, stride, number(file, path, "padding", 0), 1);

	if (!strncmp(path, "ReLUConvBN", 10))
		return sd_build_relu_conv_bn(b, "", x, c_out, win);
	if (!strncmp(path, "FactorizedReduce", 16))
		return sd_build_factorized_reduce(b, "", x, c_out);
	if (!strncmp(path, "SepConv", 7))
		return sd_build_sep_conv(b, "", x, c_out, win);
	if (!strncmp(path, "SharpSepConv", 12))
		return sd_build_sharp_sep_conv(b, "", x, c_out, c_out, win);
	if (!strncmp(path, "ResizablePool", 13))
		return sd_build_resizable_pool(b, "", x, c_out, stride, !strstr(path, "odd"));
	if (!strncmp(path, "stem", 4))
		return sd_build_stem(b, "", x, c_out);
	if (!strncmp(path, "AuxiliaryHeadCIFAR", 18))
		return sd_build_aux_head_cifar(b, "", x, classes);
	return sd_build_aux_head_imagenet(b, "", x, classes);
}

/* C_mid as the files have it: "default", "None", a number. */
static int middle(const char *t)
{
	return !strcmp(t, "None") ? -1 : atoi(t);
}

static sd_val primitive(struct sd_build *b, hid_t file, const char *path, sd_val x)
{
	char name[256], mid[256], table[256];

	text(file, path, "primitive", name);
	text(file, path, "C_mid", mid);
	b->ops = sd_op_table_find(text(file, path, "op_dict", table));
	return sd_build_primitive(b, "", name, x, number(file, path, "C_in", 0),
		number(file, path, "C_out", 0), number(file, path, "stride", 0), middle(mid));
}

static int list_of(struct sd_primitive_list *list, hid_t file, const char *path, const char *name)
{
	char *t = golden_text(file, path, name), *from, *to;
	int rc;

	/* ["none", "max_pool_3x3"] to none,max_pool_3x3 */
	for (from = to = t; from && *from; from++)
		if (!strchr("[]\" ", *from))
			*to++ = *from;
	if (!t)
		return -1;
	*to = 0;
	rc = sd_primitive_list_parse(list, t);
	free(t);
	return rc;
}

static enum sd_weighting weighting(hid_t file, const char *path)
{
	char t[256];

	return strcmp(text(file, path, "weighting_algorithm", t), "max_w") ? SD_SCALAR_W : SD_MAX_W;
}

static sd_val mixed(struct sd_build *b, hid_t file, const char *path, sd_val x)
{
	struct sd_primitive_list list;
	char table[256];
	sd_val w;

	if (list_of(&list, file, path, "primitives"))
		return sd_graph_fail(b->g, "%s", sd_error_text());
	b->ops = sd_op_table_find(text(file, path, "op_dict", table));
	w = sd_softmax(b->g, sd_param(b->g, "alphas", sd_shape2(1, list.n)));
	return sd_build_mixed_op(b, "", x, number(file, path, "C", 0), number(file, path, "stride", 0), &list,
		weighting(file, path), w, 0);
}

typedef sd_val build_fn(struct sd_build *b, hid_t file, const char *path, sd_val x);

static void group(hid_t file, const char *path, build_fn *build)
{
	struct sd_graph *g = sd_graph_new();
	struct sd_build b;
	int phase;
	sd_val y;

	/* both phases in one graph share parameters and buffers */
	for (phase = SD_TRAIN; phase <= SD_EVAL; phase++) {
		sd_build_init(&b, g, phase);
		b.affine = number(file, path, "affine", 1);
		y = build(&b, file, path, input(g, file, path));
		same_build(&b, file, path);
		same_result(&b, file, path, y);
		sd_build_release(&b);
	}
	sd_graph_free(g);
}

/* Goes down to the groups that have an x. */
static void groups(hid_t file, const char *path, build_fn *build)
{
	char name[256], at[1024];
	hsize_t i;

	snprintf(at, sizeof at, "%s/x", path);
	if (H5Lexists(file, at, H5P_DEFAULT) > 0) {
		group(file, path, build);
		return;
	}
	for (i = 0; member(file, path, i, name); i++) {
		snprintf(at, sizeof at, "%s/%s", path, name);
		groups(file, at, build);
	}
}

static void op_files(int argc, char **argv)
{
	static const char *const ops[][2] = { { "ops.h5", "OPS" }, { "ops_c8_16.h5", "OPS" },
		{ "ops_darts.h5", "DARTS_OPS" } };
	static const char *const modules[] = { "ReLUConvBN_1x1", "ReLUConvBN_3x3s2", "FactorizedReduce",
		"FactorizedReduce_odd", "SepConv_3x3", "SharpSepConv_base", "ResizablePool_max_eq",
		"ResizablePool_max_ne", "ResizablePool_odd_ne", "stem_conv_bn", "AuxiliaryHeadCIFAR",
		"AuxiliaryHeadImageNet" };
	size_t i;
	hid_t f;

	for (i = 0; i < sizeof ops / sizeof *ops; i++) {
		f = golden_open(argc, argv, ops[i][0]);
		if (f < 0)
			continue;
		groups(f, ops[i][1], primitive);
		H5Fclose(f);
	}
	f = golden_open(argc, argv, "ops_modules.h5");
	if (f < 0)
		return;
	for (i = 0; i < sizeof modules / sizeof *modules; i++)
		groups(f, modules[i], module);
	groups(f, "MixedOp", mixed);
	H5Fclose(f);
}

/* ---- networks ---- */

static void supernet_file(hid_t f, const char *name)
{
	struct sd_supernet s = { .channels = number(f, ".", "C", 0),
		.classes = number(f, ".", "num_classes", 0), .layers = number(f, ".", "layers", 0),
		.steps = number(f, ".", "steps", 0), .multiplier = number(f, ".", "multiplier", 0),
		.stem_multiplier = number(f, ".", "stem_multiplier", 0), .weighting = weighting(f, ".") };
	struct sd_shape logits = sd_shape2(number(f, ".", "batch", 0), s.classes), alphas;
	struct sd_graph *g = sd_graph_new();
	struct sd_primitive_list list;
	struct sd_build b;
	char table[256];
	size_t all, rest;
	int phase;
	sd_val y;

	CHECK(list_of(&list, f, ".", "primitives_list") == 0, "%s", name);
	s.prims = &list;
	s.ops = sd_op_table_find(text(f, ".", "op_dict", table));
	alphas = sd_shape2(sd_search_edges(s.steps), list.n);
	for (phase = SD_TRAIN; phase <= SD_EVAL; phase++) {
		sd_build_init(&b, g, phase);
		y = sd_build_supernet(&b, &s, input(g, f, "."),
			sd_softmax(g, sd_param(g, "alphas_normal", alphas)),
			sd_softmax(g, sd_param(g, "alphas_reduce", alphas)));
		same_build(&b, f, ".");
		CHECK(y != SD_NIL && sd_shape_equal(&logits, sd_shape_of(g, y)), "%s", name);
		sd_build_count(&b, &all, &rest);
		CHECK(all == rest && (int)all == number(f, ".", "param_count", 0), "%s: %zu", name, all);
		sd_build_release(&b);
	}
	sd_graph_free(g);
}

/* A final network of either kind in both phases: the same parameters. */
static void network_file(hid_t f, const char *name)
{
	struct sd_network n = { .channels = number(f, ".", "C", 0),
		.classes = number(f, ".", "num_classes", 0),
		.layers = number(f, ".", "layers", 0), .auxiliary = number(f, ".", "auxiliary", 0),
		.mid_channels = number(f, ".", "C_mid", 0) };
	char *literal = golden_text(f, ".", "genotype_str"), table[256], kind[256];
	struct sd_shape x = shape(f, "x"), logits = sd_shape2(number(f, ".", "batch", 0), n.classes);
	struct sd_graph *g = sd_graph_new();
	struct sd_genotype geno;
	struct sd_build b;
	sd_val y, aux;
	size_t all, rest;
	int phase, rc;

	if (x.n != 4) /* three batches in one */
		x = sd_shape4(logits.d[0], 3, number(f, ".", "hw", 0), number(f, ".", "hw", 0));
	sd_genotype_init(&geno);
	CHECK(literal && sd_genotype_parse(&geno, literal, strlen(literal), name) == 0, "%s", sd_error_text());
	n.genotype = &geno;
	n.ops = sd_op_table_find(text(f, ".", "op_dict", table));
	text(f, ".", "net", kind);
	for (phase = SD_TRAIN; phase <= SD_EVAL; phase++) {
		sd_build_init(&b, g, phase);
		rc = (!strcmp(kind, "cifar") ? sd_build_network_cifar : sd_build_network_imagenet)(&b, &n,
			sd_input(g, "x", SD_F32, x), &y, &aux);
		CHECK(rc == 0, "%s: %s", name, sd_error_text());
		same_build(&b, f, ".");
		CHECK(y != SD_NIL && sd_shape_equal(&logits, sd_shape_of(g, y)), "%s", name);
		if (n.auxiliary && phase == SD_TRAIN)
			CHECK(aux != SD_NIL && sd_shape_equal(&logits, sd_shape_of(g, aux)), "%s", name);
		else
			CHECK(aux == SD_NIL, "%s", name);
		sd_build_count(&b, &all, &rest);
		CHECK((int)all == number(f, ".", "params_total", 0), "%s: %zu", name, all);
		sd_build_release(&b);
	}
	sd_genotype_release(&geno);
	free(literal);
	sd_graph_free(g);
}

static void network_files(int argc, char **argv)
{
	static const char *const supernets[] = { "supernet_DARTS_PRIMITIVES_DARTS_OPS_max_w.h5",
		"supernet_DARTS_PRIMITIVES_DARTS_OPS_scalar.h5", "supernet_DARTS_PRIMITIVES_max_w.h5",
		"supernet_DARTS_PRIMITIVES_scalar.h5", "supernet_PRIMITIVES_max_w.h5",
		"supernet_PRIMITIVES_scalar.h5",
		"supernet_SHARPER_PRIMITIVES_max_w.h5", "supernet_SHARPER_PRIMITIVES_scalar.h5" };
	static const char *const nets[] = { "train_net_AmoebaNet.h5", "train_net_DARTS_V2.h5",
		"train_net_DARTS_V2_DARTS_OPS.h5", "train_net_NASNet.h5", "train_net_SHARPSEPCONV_DARTS.h5",
		"train_net_SHARP_DARTS.h5", "train_net_aux_inplace_L3.h5", "train_net_noaux_none_ops.h5",
		"imagenet_net_DARTS_V2.h5", "imagenet_net_NASNet_noaux.h5", "imagenet_net_SHARP_DARTS.h5" };
	size_t i;
	hid_t f;

	for (i = 0; i < sizeof supernets / sizeof *supernets; i++) {
		f = golden_open(argc, argv, supernets[i]);
		if (f >= 0) {
			supernet_file(f, supernets[i]);
			H5Fclose(f);
		}
	}
	for (i = 0; i < sizeof nets / sizeof *nets; i++) {
		f = golden_open(argc, argv, nets[i]);
		if (f >= 0) {
			network_file(f, nets[i]);
			H5Fclose(f);
		}
	}
}

/* ---- counts ---- */

/* A table of the reference data; NULL and a line where there is none. */
static FILE *table(int argc, char **argv, const char *name)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", argc > 1 ? argv[1] : "../shared/golden", name);
	f = fopen(path, "r");
	if (!f)
		printf("skip: no %s\n", path);
	return f;
}

/* The fields of a line, at most max; they point into it. */
static int fields(char *line, char **field, int max)
{
	int n = 0;

	line[strcspn(line, "\n")] = 0;
	while (n < max && line)
		field[n++] = strsep(&line, "\t");
	return n;
}

/* The genotype of that name in genotypes.tsv, aliases followed. */
static int genotype(int argc, char **argv, const char *name, struct sd_genotype *geno)
{
	FILE *f = table(argc, argv, "genotypes.tsv");
	char want[256], *line = NULL, *field[3];
	int rc = -1, again = 1;
	size_t cap = 0;

	snprintf(want, sizeof want, "%s", name);
	while (f && again) {
		again = 0;
		rewind(f);
		while (rc && !again && getline(&line, &cap, f) > 0) {
			if (fields(line, field, 3) != 3 || strcmp(field[0], want))
				continue;
			if (!strcmp(field[1], "alias")) {
				snprintf(want, sizeof want, "%s", field[2]);
				again = 1;
			} else if (!strcmp(field[1], "cell")) {
				rc = sd_genotype_parse(geno, field[2], strlen(field[2]), name);
			}
		}
	}
	free(line);
	if (f)
		fclose(f);
	return rc;
}

static void count_networks(int argc, char **argv, const char *file, int classes, int size,
	int (*build)(struct sd_build *, const struct sd_network *, sd_val, sd_val *, sd_val *))
{
	FILE *f = table(argc, argv, file);
	char *line = NULL, *v[9];
	struct sd_genotype geno;
	struct sd_network n;
	struct sd_graph *g;
	struct sd_build b;
	size_t cap = 0, all, rest;
	sd_val y, aux;
	int k, rc;

	if (!f)
		return;
	CHECK(getline(&line, &cap, f) > 0);
	while (getline(&line, &cap, f) > 0) {
		k = fields(line, v, 9);
		sd_genotype_init(&geno);
		CHECK(k >= 6 && genotype(argc, argv, v[0], &geno) == 0, "%s: %s", v[0], sd_error_text());
		n = (struct sd_network){ .channels = atoi(v[3]), .classes = classes, .layers = atoi(v[4]),
			.auxiliary = 1, .mid_channels = middle(v[2]), .ops = sd_op_table_find(v[1]),
			.genotype = &geno };
		g = sd_graph_new();
		sd_build_init(&b, g, SD_EVAL);
		rc = build(&b, &n, sd_input(g, "x", SD_F32, sd_shape4(1, 3, size, size)), &y, &aux);
		sd_build_count(&b, &all, &rest);
		if (!strncmp(v[5], "n/a", 3)) {
			CHECK(rc == -1 && strstr(sd_error_text(), "there is no primitive"), "%s", sd_error_text());
		} else {
			CHECK(rc == 0, "%s", sd_error_text());
			CHECK(rest == strtoull(v[5], NULL, 10), "%s %s %s: %zu", v[0], v[1], v[2], rest);
			CHECK(all == strtoull(v[6], NULL, 10), "%s %s %s: %zu", v[0], v[1], v[2], all);
			CHECK(b.macs == strtod(v[7], NULL), "%s %s %s: %.0f", v[0], v[1], v[2], b.macs);
		}
		sd_build_release(&b);
		sd_graph_free(g);
		sd_genotype_release(&geno);
	}
	free(line);
	fclose(f);
}

static void count_supernets(int argc, char **argv)
{
	FILE *f = table(argc, argv, "param_counts_search.tsv");
	struct sd_primitive_list list;
	struct sd_supernet s = { .classes = 10, .prims = &list };
	char *line = NULL, *v[6];
	struct sd_shape alphas;
	struct sd_graph *g;
	struct sd_build b;
	size_t cap = 0, all, rest;
	sd_val y;

	if (!f)
		return;
	CHECK(getline(&line, &cap, f) > 0);
	while (getline(&line, &cap, f) > 0) {
		CHECK(fields(line, v, 6) == 6);
		if (!strncmp(v[0], "MULTICHANNEL", 12))
			continue;
		CHECK(sd_primitive_list_parse(&list, v[0]) == 0, "%s", sd_error_text());
		s.ops = sd_op_table_find(v[1]);
		s.channels = atoi(v[2]);
		s.layers = atoi(v[3]);
		s.steps = atoi(v[4]);
		g = sd_graph_new();
		sd_build_init(&b, g, SD_TRAIN);
		alphas = sd_shape2(sd_search_edges(s.steps), list.n);
		y = sd_build_supernet(&b, &s, sd_input(g, "x", SD_F32, sd_shape4(2, 3, 32, 32)),
			sd_softmax(g, sd_param(g, "alphas_normal", alphas)),
			sd_softmax(g, sd_param(g, "alphas_reduce", alphas)));
		sd_build_count(&b, &all, &rest);
		if (!strncmp(v[5], "n/a", 3))
			CHECK(y == SD_NIL && strstr(sd_error_text(), "there is no primitive"), "%s", sd_error_text());
		else
			CHECK(y != SD_NIL && all == strtoull(v[5], NULL, 10), "%s %s: %zu", v[0], v[1], all);
		sd_build_release(&b);
		sd_graph_free(g);
	}
	free(line);
	fclose(f);
}

int main(int argc, char **argv)
{
	op_files(argc, argv);
	network_files(argc, argv);
	count_networks(argc, argv, "param_counts.tsv", 10, 32, sd_build_network_cifar);
	count_networks(argc, argv, "param_counts_imagenet.tsv", 1000, 224, sd_build_network_imagenet);
	count_supernets(argc, argv);
	return check_done();
}
