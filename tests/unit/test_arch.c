/* test_arch.c: genotypes read and printed, derived, found and drawn. */
#include "arch/arch.h"
#include "arch/derive.h"
#include "arch/dot.h"
#include "base/err.h"
#include "check.h"
#include "golden.h"

#define N3 "('none', 0), ('none', 1)"
#define SMALL "Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0)], normal_concat=range(2, 3), " \
	"reduce=[('max_pool_3x3', 0), ('none', 1)], reduce_concat=[2])"

static int parse(struct sd_genotype *g, const char *text)
{
	return sd_genotype_parse(g, text, strlen(text), "x.genotype");
}

/* Reads `text` and prints it again, expecting `want` (NULL: the same). */
static void round_trip(const char *text, const char *want)
{
	struct sd_genotype g, copy;
	char *out;

	sd_genotype_init(&g);
	sd_genotype_init(&copy);
	CHECK(parse(&g, text) == 0, "%s: %s", text, sd_error_text());
	CHECK(sd_genotype_check(&g) == 0 || sd_error_kind() == SD_ERR_DATA);
	out = sd_genotype_text(&g);
	CHECK(!strcmp(out, want ? want : text), "%s\nfrom %s", out, text);
	sd_genotype_copy(&copy, &g);
	CHECK(sd_genotype_equal(&g, &copy));
	free(out);
	out = sd_genotype_text(&copy);
	CHECK(!strcmp(out, want ? want : text), "copied: %s", out);
	free(out);
	sd_genotype_release(&copy);
	sd_genotype_release(&g);
}

static void forms(void)
{
	const char *named = "A_1 = " SMALL;

	round_trip(SMALL, NULL);
	round_trip(named, NULL);
	round_trip("genotype = " SMALL, NULL);
	round_trip("Genotype(recurrent=[('tanh', 0), ('relu', 1)], concat=range(1, 3))", NULL);
	round_trip("Genotype(recurrent=[('tanh', 0), ('relu', 1)], concat=[2, 0])", NULL);
	round_trip("# one\n\nGenotype (\n\tnormal = (( \"sep_conv_3x3\",1 ,),['skip_connect', 0],), # two\n"
		"  normal_concat=range ( 2 , 3 ),\r\n reduce=[('max_pool_3x3', 0), ('none', 1)],\n"
		"  reduce_concat = (2,),\n)\n# end", SMALL);
	round_trip("Genotype(reduce_concat=[2], reduce=[('max_pool_3x3', 0), ('none', 1)], "
		"normal_concat=range(2, 3), normal=[('sep_conv_3x3', 1), ('skip_connect', 0)])", SMALL);
	round_trip("Genotype(normal=[" N3 "], normal_concat=range(3), reduce=[" N3 "], reduce_concat=range(2, 3))",
		"Genotype(normal=[" N3 "], normal_concat=range(0, 3), reduce=[" N3 "], reduce_concat=range(2, 3))");
	round_trip("Genotype(layout='cell', normal=[" N3 "], normal_concat=[2], reduce=[" N3 "], "
		"reduce_concat=[2, 1])",
		"Genotype(normal=[" N3 "], normal_concat=[2], reduce=[" N3 "], reduce_concat=[2, 1], layout='cell')");
}

static void refuse(const char *text, const char *message)
{
	struct sd_genotype g;
	char want[600];

	sd_genotype_init(&g);
	snprintf(want, sizeof(want), "x.genotype:%s", message);
	sd_error_clear();
	CHECK(parse(&g, text) == -1, "%s accepted", text);
	CHECK(!strcmp(sd_error_text(), want), "'%s', not '%s'", sd_error_text(), want);
	CHECK(sd_error_kind() == SD_ERR_DATA);
	CHECK(!g.name && !g.normal.edge);
	sd_genotype_release(&g);
}

#define WITH(normal, concat) \
	"Genotype(normal=" normal ", normal_concat=" concat ",\nreduce=[" N3 "], reduce_concat=[2])"

static void errors(void)
{
	struct sd_genotype g;

	refuse("", "1:1: expected a genotype, NAME = Genotype(...), found the end");
	refuse("# only a comment", "1:17: expected a genotype, NAME = Genotype(...), found the end");
	refuse("A = B(1)", "1:5: expected Genotype(...), found 'B'");
	refuse("A Genotype()", "1:3: expected '=' behind the name, found 'G'");
	refuse("Genotype", "1:9: expected '(' behind Genotype, found the end");
	refuse("Genotype()", "1:1: no normal= in the genotype");
	refuse("Genotype([])", "1:10: expected a keyword like normal=, found '['");
	refuse("Genotype(x=1)", "1:10: unknown keyword 'x'");
	refuse("Genotype(normal=[" N3 "],\n normal=[])", "2:2: keyword 'normal' for the second time");
	refuse("Genotype(recurrent=[('tanh', 0)])", "1:1: no concat= in the genotype");
	refuse("Genotype(concat=[0], normal=[" N3 "])", "1:22: keyword 'normal' in a recurrent genotype");
	refuse("Genotype(normal=[('sep_conv_3x4', 0)])", "1:19: unknown primitive 'sep_conv_3x4'");
	refuse("Genotype(normal=\n  [('none', 0),\n   ('tanh', 1)])", "3:5: unknown primitive 'tanh'");
	refuse("Genotype(recurrent=[('none', 0)])", "1:22: unknown activation 'none'");
	refuse("Genotype(normal=[('none, 0)])", "1:19: no closing quote");
	refuse("Genotype(normal=[('no\\x6ee', 0)])", "1:22: unexpected '\\' in a primitive");
	refuse("Genotype(normal=[(none, 0)])", "1:19: expected a primitive in quotes, found 'n'");
	refuse("Genotype(normal=[('none', -1)])", "1:27: expected the number of a node, found '-'");
	refuse("Genotype(normal=[('none', 1.0)])", "1:28: unexpected '.' in a number");
	refuse("Genotype(normal=[('none', 00)])", "1:27: a number with a leading zero");
	refuse("Genotype(normal=[('none', 99999999999999999999)])",
		"1:27: a number over 1000, the most nodes a cell can have");
	refuse("Genotype(normal=[('none', 2)])",
		"1:27: edge 0 goes from node 2, but its own node is 2: only earlier ones exist by then");
	refuse("Genotype(normal=[('none', 0])", "1:28: expected ')' behind an edge, found ']'");
	refuse("Genotype(normal=[('none', 0) ('none', 1)])", "1:30: expected ',' or ']', found '('");
	refuse("Genotype(normal=[(0, 'none')])", "1:19: expected a primitive in quotes, found '0'");
	refuse("Genotype(normal=[])", "1:17: no edges");
	refuse("Genotype(normal=[('none', 0)])", "1:29: 1 edges, but every node takes two");
	refuse("Genotype(normal=4)", "1:17: expected a list of edges, found '4'");
	refuse("Genotype(recurrent=(('tanh', 0)), concat=[1])",
		"1:20: parentheses around one thing make no tuple: a comma is missing");
	refuse(WITH("[" N3 "]", "[]"), "1:59: no nodes in the concat");
	refuse(WITH("[" N3 "]", "range(2, 2)"), "1:59: no nodes in the concat");
	refuse(WITH("[" N3 "]", "range(2, 3, 1)"), "1:69: expected ')' behind the range, found ','");
	refuse(WITH("[" N3 "]", "list(2)"), "1:59: expected a list of nodes or range(a, b), found 'list'");
	refuse(WITH("[" N3 "]", "[2, 3]"), "1:45: the concat of normal has node 3, but its nodes are 0 to 2");
	refuse(WITH("[" N3 "]", "[2, 2]"), "1:45: the concat of normal has node 2 twice");
	refuse(WITH("[" N3 "]", "[2]") "\nx", "3:1: unexpected 'x' behind the genotype: a file holds one");
	refuse(WITH("[" N3 "]", "(2)"), "1:59: parentheses around one thing make no tuple: a comma is missing");
	refuse("Genotype(normal=[" N3 "], normal_concat=[2],\nreduce=[" N3 "], reduce_concat=range(3, 5))",
		"2:36: the concat of reduce has node 3, but its nodes are 0 to 2");
	refuse("Genotype(normal=[" N3 "], normal_concat=[2], layout='raw_weights')",
		"1:71: layout 'raw_weights' is not that of a genotype, which is 'cell'");
	refuse("\xef\xbb\xbfGenotype()", "1:1: expected a genotype, NAME = Genotype(...), found byte 0xef");

	sd_genotype_init(&g);
	CHECK(sd_genotype_parse(&g, SMALL "\0", sizeof(SMALL), "x") == -1, "a zero byte");
	CHECK(parse(&g, SMALL) == 0 && parse(&g, "Genotype(") == -1 && g.normal.nedge == 2, "kept on an error");
	CHECK(sd_genotype_set_name(&g, "9a") == -1 && sd_genotype_set_name(&g, "") == -1 &&
		sd_genotype_set_name(&g, "a b") == -1 && sd_error_kind() == SD_ERR_USAGE);
	CHECK(sd_genotype_set_name(&g, "_a9") == 0 && !strcmp(g.name, "_a9"));
	g.reduce.edge[1].from = 2;
	CHECK(sd_genotype_check(&g) == -1);
	sd_genotype_release(&g);
}

/* Every beginning of a genotype is refused, and none reads beyond its end (the sanitizer looks). */
static void beginnings(void)
{
	struct sd_genotype g;
	size_t n;
	char *part;

	sd_genotype_init(&g);
	for (n = 0; n < sizeof(SMALL) - 1; n++) {
		part = malloc(n ? n : 1);
		memcpy(part, SMALL, n);
		CHECK(sd_genotype_parse(&g, part, n, "x") == -1, "%zu bytes", n);
		free(part);
	}
	sd_genotype_release(&g);
}

static void digests(void)
{
	struct sd_genotype a, b;
	char *text, x[65], y[65];

	sd_genotype_init(&a);
	sd_genotype_init(&b);
	parse(&a, SMALL);
	parse(&b, "B = Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0)], normal_concat=[2], "
		"reduce=[('max_pool_3x3', 0), ('none', 1)], reduce_concat=range(2, 3), layout='cell')");
	text = sd_genotype_canonical(&a);
	CHECK(!strcmp(text, "normal sep_conv_3x3 1 skip_connect 0\nconcat 2\n"
		"reduce max_pool_3x3 0 none 1\nconcat 2\n"), "%s", text);
	sd_genotype_digest(&a, x);
	sd_genotype_digest(&b, y);
	CHECK(sd_genotype_equal(&a, &b) && !strcmp(x, y) && strlen(x) == 64);
	b.normal.edge[0].from = 0;
	sd_genotype_digest(&b, y);
	CHECK(!sd_genotype_equal(&a, &b) && strcmp(x, y));
	free(text);
	sd_genotype_release(&a);
	sd_genotype_release(&b);
}

static void lists(void)
{
	struct sd_primitive_list l;
	char *text;
	int i;

	for (i = 0; i < SD_PRIM_COUNT; i++)
		CHECK(sd_primitives_find(sd_primitives[i].name) == i &&
			sd_primitives[i].pool == !!strstr(sd_primitives[i].name, "pool"), "%d", i);
	CHECK(sd_primitives_find("tanh") == -1);
	CHECK(sd_primitive_list_parse(&l, "DARTS_PRIMITIVES") == 0 && l.n == 8 &&
		!strcmp(l.name, "DARTS_PRIMITIVES"));
	CHECK(sd_primitive_list_check(&l, SD_OPS) == 0 && sd_primitive_list_check(&l, SD_DARTS_OPS) == 0);
	text = sd_primitive_list_text(&l);
	CHECK(!strcmp(text, "none,max_pool_3x3,avg_pool_3x3,skip_connect,sep_conv_3x3,sep_conv_5x5,dil_conv_3x3,"
		"dil_conv_5x5"), "%s", text);
	CHECK(sd_primitive_list_parse(&l, text) == 0 && !strcmp(l.name, "DARTS_PRIMITIVES"));
	free(text);
	CHECK(sd_primitive_list_parse(&l, "none, nor_conv_3x3 ,skip_connect") == 0 && l.n == 3 && !*l.name &&
		l.id[1] == SD_PRIM_NOR_CONV_3X3);
	CHECK(sd_primitive_list_check(&l, SD_OPS) == -1 &&
		strstr(sd_error_text(), "OPS has no primitive 'nor_conv_3x3'"));
	CHECK(sd_primitive_list_parse(&l, "none,") == -1 && sd_error_kind() == SD_ERR_USAGE);
	CHECK(sd_primitive_list_parse(&l, "") == -1);
	CHECK(sd_primitive_list_parse(&l, "none,sep_conv_3x3,none") == -1 && strstr(sd_error_text(), "twice"));
	CHECK(sd_primitive_list_parse(&l, "primitives") == -1 && strstr(sd_error_text(), "'primitives'"));
	CHECK(l.n == 3, "kept on an error");
	CHECK(sd_op_table_find("OPS") == SD_OPS && sd_op_table_find("DARTS_OPS") == SD_DARTS_OPS &&
		sd_op_table_find("ops") == -1 && !strcmp(sd_op_table_name(SD_DARTS_OPS), "DARTS_OPS"));
}

static void derive_small(void)
{
	struct sd_primitive_list l, none_only = { "", 1, { SD_PRIM_NONE } };
	struct sd_cell cell = { 0 };
	/* three edges of each node's inputs would tie but for these */
	double w[] = {
		0.9, 0.2, 0.2, /* 0 -> 2: a tie of primitives */
		0.1, 0.2, 0.5, /* 1 -> 2 */
		0.8, 0.3, 0.1, /* 0 -> 3 */
		0.1, 0.3, 0.2, /* 1 -> 3: a tie of inputs 0, 1 and 2 */
		0.5, 0.1, 0.3, /* 2 -> 3 */
	};

	sd_primitive_list_parse(&l, "none,skip_connect,sep_conv_3x3");
	CHECK(sd_derive_cell(&cell, w, 2, 2, &l, false) == 0 && cell.nedge == 4 && cell.nconcat == 2);
	CHECK(cell.edge[0].from == 1 && cell.edge[0].op == SD_PRIM_SEP_CONV_3X3);
	CHECK(cell.edge[1].from == 0 && cell.edge[1].op == SD_PRIM_SKIP_CONNECT);
	CHECK(cell.edge[2].from == 0 && cell.edge[2].op == SD_PRIM_SKIP_CONNECT);
	CHECK(cell.edge[3].from == 1 && cell.edge[3].op == SD_PRIM_SKIP_CONNECT);
	CHECK(cell.concat_range && cell.concat[0] == 2 && cell.concat[1] == 3);
	CHECK(sd_derive_cell(&cell, w, 2, 1, &l, true) == 0 && cell.nconcat == 1 && cell.concat[0] == 3);
	CHECK(cell.edge[0].from == 0 && cell.edge[0].op == SD_PRIM_NONE);
	CHECK(cell.edge[3].from == 2 && cell.edge[3].op == SD_PRIM_NONE);
	CHECK(sd_derive_cell(&cell, w, 0, 1, &l, false) == -1 && sd_derive_cell(&cell, w, 2, 3, &l, false) == -1);
	CHECK(sd_derive_cell(&cell, w, 1, 1, &none_only, false) == -1);
	CHECK(sd_derive_cell(&cell, w, 1, 1, &none_only, true) == 0);
	w[7] = 0.0 / w[1] - 1e308 * 1e10;
	CHECK(sd_derive_cell(&cell, w, 2, 2, &l, false) == -1 && strstr(sd_error_text(), "edge 2"), "%s",
		sd_error_text());
	free(cell.edge);
	free(cell.concat);
}

static void compare_cell(hid_t file, const char *path, int steps, const struct sd_primitive_list *list,
	bool none)
{
	struct sd_cell cell = { 0 };
	char name[400];
	double *w, *want;
	int nw, n, i;

	snprintf(name, sizeof(name), "%s/weights", path);
	w = golden_numbers(file, name, &nw);
	snprintf(name, sizeof(name), "%s/%s", path, none ? "skip_None" : "skip_none");
	want = golden_numbers(file, name, &n);
	CHECK(w && want && nw == sd_search_edges(steps) * list->n && n == 4 * steps, "%s", name);
	CHECK(sd_derive_cell(&cell, w, steps, steps, list, none) == 0, "%s: %s", name, sd_error_text());
	for (i = 0; i < 2 * steps; i++)
		CHECK(cell.edge[i].op == list->id[(int)want[2 * i]] && cell.edge[i].from == (int)want[2 * i + 1],
			"%s: edge %d", name, i);
	free(cell.edge);
	free(cell.concat);
	free(w);
	free(want);
}

static int golden_steps(hid_t file, const char *path)
{
	int steps = 4;
	hid_t a = H5Aopen_by_name(file, path, "steps", H5P_DEFAULT, H5P_DEFAULT);

	H5Aread(a, H5T_NATIVE_INT, &steps);
	H5Aclose(a);
	return steps;
}

static void compare_genotype(hid_t file, const char *path, const struct sd_primitive_list *list, bool none)
{
	struct sd_genotype g;
	char name[400], *want, *got;
	double *normal, *reduce;
	int n;

	sd_genotype_init(&g);
	snprintf(name, sizeof(name), "%s/normal/weights", path);
	normal = golden_numbers(file, name, &n);
	snprintf(name, sizeof(name), "%s/reduce/weights", path);
	reduce = golden_numbers(file, name, &n);
	want = golden_text(file, path, none ? "genotype_skip_None" : "genotype_skip_none");
	CHECK(sd_derive_genotype(&g, normal, reduce, 4, 4, list, none) == 0, "%s", sd_error_text());
	got = sd_genotype_text(&g);
	CHECK(want && !strcmp(got, want), "%s: %s", path, got);
	free(normal);
	free(reduce);
	free(want);
	free(got);
	sd_genotype_release(&g);
}

static char top[] = "", in_ties[] = "ties/"; /* what stands in front of a case's name */

static herr_t golden_case(hid_t file, const char *name, const H5L_info_t *info, void *prefix)
{
	struct sd_primitive_list list;
	char path[300], cell[400], *prims;
	int none;

	(void)info;
	snprintf(path, sizeof(path), "%s%s", (const char *)prefix, name);
	if (!strcmp(path, "primitives"))
		return 0;
	if (!strcmp(path, "ties"))
		return H5Literate_by_name(file, path, H5_INDEX_NAME, H5_ITER_INC, NULL, golden_case, in_ties,
			H5P_DEFAULT);
	if (*(const char *)prefix)
		file = H5Iget_file_id(file);
	prims = golden_text(file, path, "primitives");
	CHECK(prims && sd_primitive_list_parse(&list, prims) == 0, "%s", path);
	for (none = 0; prims && none < 2; none++) {
		if (strncmp(name, "known", 5)) {
			compare_cell(file, path, golden_steps(file, path), &list, none);
			continue;
		}
		snprintf(cell, sizeof(cell), "%s/normal", path);
		compare_cell(file, cell, 4, &list, none);
		snprintf(cell, sizeof(cell), "%s/reduce", path);
		compare_cell(file, cell, 4, &list, none);
		compare_genotype(file, path, &list, none);
	}
	free(prims);
	if (*(const char *)prefix)
		H5Fclose(file);
	return 0;
}

/* Each published architecture is printed as it was and stands in genotypes/ under its name. */
static void published(int argc, char **argv)
{
	char path[4096], name[128], kind[32], *line = NULL, *text, *literal;
	struct sd_genotype g, shipped;
	size_t cap = 0;
	ssize_t n;
	int files = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/genotypes.tsv", argc > 1 ? argv[1] : "../shared/golden");
	f = fopen(path, "r");
	if (!f) {
		printf("skip: no %s\n", path);
		return;
	}
	sd_genotype_init(&g);
	sd_genotype_init(&shipped);
	while ((n = getline(&line, &cap, f)) > 0) {
		line[n - 1] = '\0';
		if (sscanf(line, "%127s %31s", name, kind) != 2 || *name == '#')
			continue;
		literal = strrchr(line, '\t') + 1;
		if (!strcmp(kind, "alias")) {
			snprintf(path, sizeof(path), "genotypes/%s.genotype", literal);
			CHECK(sd_genotype_load(&g, path, NULL) == 0, "%s", sd_error_text());
		} else if (!strcmp(kind, "cell") || !strcmp(kind, "recurrent")) {
			round_trip(literal, NULL);
			parse(&g, literal);
		} else {
			continue;
		}
		snprintf(path, sizeof(path), "genotypes/%s.genotype", name);
		CHECK(sd_genotype_load(&shipped, path, NULL) == 0, "%s", sd_error_text());
		CHECK(sd_genotype_equal(&g, &shipped) && shipped.name && !strcmp(shipped.name, name), "%s", path);
		text = sd_genotype_text(&shipped);
		CHECK(!strcmp(kind, "alias") || !strcmp(strstr(text, "Genotype("), literal), "%s: %s", path, text);
		free(text);
		files++;
	}
	CHECK(files == 21, "%d", files);
	sd_genotype_release(&g);
	sd_genotype_release(&shipped);
	free(line);
	fclose(f);
}

static char *drawn(const struct sd_genotype *g, enum sd_dot_cells cells)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	CHECK(sd_genotype_dot(f, g, cells, NULL) == 0);
	fclose(f);
	return text;
}

static void dots(void)
{
	struct sd_genotype g;
	char *both, *normal;

	sd_genotype_init(&g);
	CHECK(parse(&g, "A = Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0), ('none', 2), "
		"('max_pool_3x3', 0)], normal_concat=[3], reduce=[" N3 "], reduce_concat=[2])") == 0);
	both = drawn(&g, SD_DOT_BOTH);
	normal = drawn(&g, SD_DOT_NORMAL);
	CHECK(strstr(both, "digraph \"A\" {") == both && strstr(both, "cluster reduce") &&
		!strstr(normal, "reduce"));
	CHECK(strstr(normal, "\"normal c_{k-1}\" -> \"normal 0\" [label=\"sep_conv_3x3\""));
	CHECK(strstr(normal, "\"normal 0\" -> \"normal 1\" [label=\"none\""));
	CHECK(strstr(normal, "\"normal 1\" -> \"normal out\"") && !strstr(normal, "\"normal 0\" -> \"normal out\""));
	free(both);
	free(normal);
	CHECK(parse(&g, "Genotype(recurrent=[('tanh', 0)], concat=[1])") == 0);
	CHECK(sd_genotype_dot(stdout, &g, SD_DOT_NORMAL, NULL) == -1 && sd_error_kind() == SD_ERR_USAGE);
	both = drawn(&g, SD_DOT_BOTH);
	CHECK(strstr(both, "\"recurrent 0\" -> \"recurrent 1\" [label=\"tanh\""));
	free(both);
	sd_genotype_release(&g);
}

static void locations(void)
{
	char *path = sd_genotype_locate("./x");

	CHECK(path && !strcmp(path, "./x"));
	free(path);
	path = sd_genotype_locate("-");
	CHECK(path && !strcmp(path, "-"));
	free(path);
	CHECK(!sd_genotype_locate("NO_SUCH") && sd_error_kind() == SD_ERR_NOINPUT &&
		strstr(sd_error_text(), "'NO_SUCH'"));
	CHECK(!sd_genotype_locate("..") && !sd_genotype_locate("") && !sd_genotype_locate("a b"));
}

int main(int argc, char **argv)
{
	hid_t file;

	forms();
	errors();
	beginnings();
	digests();
	lists();
	derive_small();
	dots();
	locations();
	published(argc, argv);
	file = golden_open(argc, argv, "derive.h5");
	if (file >= 0) {
		CHECK(H5Literate(file, H5_INDEX_NAME, H5_ITER_INC, NULL, golden_case, top) >= 0);
		H5Fclose(file);
	}
	return check_done();
}
