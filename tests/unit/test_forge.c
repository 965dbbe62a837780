/* test_forge.c: forged manifests, chains, genotypes, raw files and signatures, and what sd-verify must say; the
 * other half of test_tamper.c, which has what can be done to a file as such. */
#include "tamper.h"

#include "base/base64.h"

/* ---- manifests ---- */

static char *manifest_of(const char *name)
{
	struct sd_artifact *art = sd_artifact_open(name, 0);
	char *text;

	CHECK(art, "%s", sd_error_text());
	text = sd_xstrdup(sd_artifact_lineage(art)->own->text);
	sd_artifact_close(art);
	return text;
}

/* A copy of the artifact with a changed manifest, see replaced(). */
static void forge_manifest(const char *of, const char *old, const char *new, int depth)
{
	char *text = manifest_of(of), *other = replaced(text, old, new);

	copy(of, FORGED);
	put_manifest(FORGED, other, depth);
	free(other);
	free(text);
}

#define CLAIM "manifest: the claim has changed (its id is not the user block's)"
#define CONTEXT "manifest: the context has changed (the seal does not fit)"
#define FORM "not in canonical form (RFC 8785)"

static void test_manifests(void)
{
	static const struct {
		const char *what, *old, *new;
		int depth;
		const char *said;
	} table[] = {
		{ "seed", "\"seed\":\"2\"", "\"seed\":\"3\"", OUTER, CLAIM },
		{ "a parameter", "\"epochs\":50", "\"epochs\":60", OUTER, CLAIM },
		{ "a parameter more", "{\"epochs\":50", "{\"cutout\":true,\"epochs\":50", OUTER, CLAIM },
		{ "a parameter less", "\"epochs\":50", "(nothing)", OUTER, CLAIM },
		{ "an input's id", "\"data\":{\"id\":\"", "", OUTER, CLAIM },
		{ "an input's payload", "\"dataset\",\"payload\":\"", "", OUTER, CLAIM },
		{ "an input's recipe", "\"recipe\":\"", "", OUTER, CLAIM },
		{ "an input's kind", "\"kind\":\"dataset\"", "\"kind\":\"model\"", OUTER, CLAIM },
		{ "an input's role", "\"data\":{", "\"dat_\":{", OUTER, CLAIM },
		{ "payload", "},\"payload\":\"", "", OUTER, CLAIM },
		{ "tool", "\"tool\":\"sd-train\"", "\"tool\":\"sd-drain\"", OUTER, CLAIM },
		{ "kind", "\"kind\":\"model\"", "\"kind\":\"eval\"", OUTER, CLAIM },
		{ "source", "\"source\":\"", "", OUTER, CLAIM },
		{ "complete", "\"complete\":true", "\"complete\":false", OUTER, CLAIM },
		{ "epochs_done", "\"epochs_done\":3", "\"epochs_done\":4", OUTER, CLAIM },
		{ "environment", "\"engine\":\"cpu\"", "\"engine\":\"gpu\"", OUTER, CLAIM },
		{ "environment, more", "\"engine\":\"cpu\"", "\"aaa\":\"x\",\"engine\":\"cpu\"", OUTER, CLAIM },
		{ "a note", "\"who\":\"me\"", "\"who\":\"us\"", OUTER, CONTEXT },
		{ "argv", "\"argv\":[\"sd-train\"", "\"argv\":[\"rm\",\"sd-train\"", OUTER, CONTEXT },
		{ "the commit", "\"commit\":\"", "", OUTER, CONTEXT },
		{ "an ancestor's seal", "\"ancestors\":{\"", "", OUTER, CONTEXT },
		{ "seed, and the seal", "\"seed\":\"2\"", "\"seed\":\"3\"", SEAL,
		  "user block: the id is not the manifest's" },
		{ "seed, and the line in front", "\"seed\":\"2\"", "\"seed\":\"3\"", BLOCK, CONTEXT },
		{ "payload, and all hashes", "},\"payload\":\"", "", ALL,
		  "/digests: the list is not that of the manifest" },
		{ "kind, and all hashes", "\"kind\":\"model\"", "\"kind\":\"eval\"", ALL,
		  "attribute kind: not the manifest's" },
		{ "an input's id, and all hashes", "\"data\":{\"id\":\"", "", ALL, " (data) is missing" },
		{ "an input's payload, and all hashes", "\"dataset\",\"payload\":\"", "", ALL,
		  "is not what the claim says" },
		{ "an input's recipe, and all hashes", "\"recipe\":\"", "", ALL, "is not what the claim says" },
		{ "an input's kind, and all hashes", "\"kind\":\"dataset\"", "\"kind\":\"model\"", ALL,
		  "is not what the claim says" },
		{ "a member in the wrong place", "\"who\":\"me\"}", "\"who\":\"me\"},\"about\":1", OUTER, FORM },
		{ "a blank", "{\"claim\":", "{ \"claim\":", OUTER, FORM },
		{ "another order", "\"complete\":true,\"environment\":{\"engine\":\"cpu\"}",
		  "\"environment\":{\"engine\":\"cpu\"},\"complete\":true", OUTER, FORM },
		{ "another way to write a letter", "\"cpu\"", "\"\\u0063pu\"", OUTER, FORM },
		{ "a member twice", "\"seed\":\"2\"", "\"seed\":\"2\",\"seed\":\"9\"", OUTER,
		  "duplicate object key" },
		{ "a real number", "\"epochs\":50", "\"epochs\":50.5", OUTER, "a real number or null at 'epochs'" },
		{ "a real number without a fraction", "\"epochs\":50", "\"epochs\":5e1", OUTER,
		  "a real number or null" },
		{ "null", "\"epochs\":50", "\"epochs\":null", OUTER, "a real number or null at 'epochs'" },
		{ "2^53", "\"epochs\":50", "\"epochs\":9007199254740992", OUTER, "is not below 2^53" },
		{ "a number of many digits", "\"epochs\":50", "\"epochs\":99999999999999999999999", OUTER,
		  "not JSON: too big integer" },
		{ "bytes that are not UTF-8", "\"cpu\"", "\"c\377u\"", OUTER,
		  "not JSON: unable to decode byte 0xff" },
		{ "a zero character", "\"cpu\"", "\"c\\u0000u\"", OUTER, "not JSON: \\u0000 is not allowed" },
		{ "text behind it", "{\"claim\"", " {\"claim\"", OUTER, FORM },
		{ "an unknown member", "\"complete\":true", "\"approved\":true,\"complete\":true", OUTER,
		  "unknown member 'approved' in claim" },
		{ "a member of another type", "\"complete\":true", "\"complete\":1", OUTER,
		  "claim.complete is missing or not" },
		{ "a member less", "\"complete\":true,", "(nothing)", OUTER, "claim.complete is missing or not" },
		{ "a kind that there isn't", "\"kind\":\"model\"", "\"kind\":\"modal\"", OUTER,
		  "claim.kind is missing or not" },
		{ "a tool that is a path", "\"tool\":\"sd-train\"", "\"tool\":\"/bin/sh\"", OUTER,
		  "claim.tool is missing or not" },
		{ "no object", "{\"claim\"", "[\"claim\"", OUTER, "not JSON" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		forge_manifest("model.h5", table[i].old, table[i].new, table[i].depth);
		caught(table[i].what, table[i].said);
	}
}

/* A manifest whose parameter is an array in an array, and so on. */
static void test_nested(void)
{
	static const int levels[] = { 40, 3000, 200000 };
	static const char *const said[] = { "nested more than 32 deep", "not JSON: maximum parsing depth",
					    "not JSON: maximum parsing depth" };

	for (int i = 0; i < 3; i++) {
		struct sd_str s = SD_STR_INIT;

		for (int k = 0; k < levels[i]; k++)
			sd_str_addc(&s, '[');
		for (int k = 0; k < levels[i]; k++)
			sd_str_addc(&s, ']');
		forge_manifest("data.h5", "50", s.s, OUTER);
		caught("nested", said[i]);
		sd_str_release(&s);
	}
}

/* ---- things of one artifact in another ---- */

/* All of /ancestors and the manifest of one artifact in another's file, with all hashes. */
static void transplant(const char *of, const char *into, bool ancestors, int depth)
{
	char *text = manifest_of(of);
	hid_t from, to;

	copy(into, FORGED);
	if (ancestors) {
		from = edit(of);
		to = edit(FORGED);
		H5Ldelete(to, "/ancestors", H5P_DEFAULT);
		H5Ocopy(from, "/ancestors", to, "/ancestors", H5P_DEFAULT, H5P_DEFAULT);
		H5Fclose(to);
		H5Fclose(from);
	}
	put_manifest(FORGED, text, depth);
	free(text);
}

/* An evaluation's claim speaks of another model, with that model's manifest among the ancestors. */
static void other_model(bool hashes)
{
	struct sd_artifact *one = sd_artifact_open("model.h5", 0), *two = sd_artifact_open("model2.h5", 0);
	const struct sd_manifest *m = sd_artifact_lineage(one)->own, *n = sd_artifact_lineage(two)->own;
	char *text = manifest_of("eval.h5"), *t, path[100];
	const char *const pairs[][2] = {
		{ m->id, n->id }, { m->payload, n->payload }, { m->seal, n->seal }, { m->seal, n->seal },
		{ m->id, n->id },
	};
	hid_t f;

	copy("eval.h5", FORGED);
	f = edit(FORGED);
	snprintf(path, sizeof(path), "/ancestors/%s", m->id);
	H5Ldelete(f, path, H5P_DEFAULT);
	snprintf(path, sizeof(path), "/ancestors/%s", n->id);
	put_text(f, path, n->text, n->len);
	H5Fclose(f);
	for (size_t i = 0; hashes && i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		/* the order of ids in context.ancestors is another: sorted again by the library */
		t = replaced(text, pairs[i][0], pairs[i][1]);
		free(text);
		text = t;
	}
	if (hashes) {
		json_t *json = json_loads(text, 0, NULL);

		free(text);
		text = sd_json_canonical(json, NULL);
		json_decref(json);
		put_manifest(FORGED, text, ALL);
	} else {
		reseal(FORGED, NULL);
	}
	free(text);
	sd_artifact_close(one);
	sd_artifact_close(two);
}

static void test_splices(void)
{
	hid_t f;

	transplant("other.h5", "data.h5", false, OUTER);
	caught("another's manifest", CLAIM);
	transplant("other.h5", "data.h5", false, SEAL);
	caught("another's manifest and seal", "user block: the id is not the manifest's");
	transplant("other.h5", "data.h5", false, ALL);
	caught("another's manifest, and all hashes", "/digests: the list is not that of the manifest");
	transplant("search.h5", "data.h5", false, ALL);
	caught("another kind's manifest, and all hashes", "attribute kind: not the manifest's");
	transplant("model2.h5", "model.h5", true, ALL);
	caught("another model's manifests, and all hashes", "/digests: the list is not that of the manifest");
	transplant("eval2.h5", "eval.h5", false, ALL);
	caught("another evaluation's manifest without its ancestors", " (model) is missing");
	transplant("eval2.h5", "eval.h5", true, ALL);
	caught("another evaluation's manifests", "/digests: the list is not that of the manifest");
	copy("eval.h5", FORGED);
	f = edit(FORGED);
	put(f, "/accuracy", H5T_IEEE_F64LE, 0, NULL, H5P_DEFAULT, &(double){ 0.75 });
	H5Fclose(f);
	reseal(FORGED, NULL);
	caught("another evaluation's result", "/accuracy: block 0 (bytes 0 to 7) has changed");
	other_model(false);
	caught("an evaluation of another model", " (model) is missing");
	other_model(true);
	expect("an evaluation of another model, consistently: unsigned it passes", FORGED, 0, "forged.h5: OK");
	expect("an evaluation of another model, consistently", "--check a.pub " FORGED, 1, "not signed with key");
}

/* ---- genotypes ---- */

static void test_genotypes(void)
{
	static const struct {
		const char *what, *old, *new, *said;
	} table[] = {
		{ "an operation", "('sep_conv_3x3', 0)", "('sep_conv_5x5', 0)",
		  "not the one that its manifest was made for" },
		{ "an edge", "('sep_conv_3x3', 0)", "('sep_conv_3x3', 1)", "forged.genotype: " },
		{ "the concat", "normal_concat=[2, 3, 4, 5]", "normal_concat=[2, 3, 4]",
		  "not the one that its manifest" },
		{ "its claim", "\"tool\":\"sd-derive\"", "\"tool\":\"sd-derivf\"",
		  "its seal is not the one in the file" },
		{ "its context", "\"who\":\"me\"", "\"who\":\"us\"", "its seal is not the one in the file" },
		{ "its form", "# sd-manifest {", "# sd-manifest { ", FORM },
		{ "its line no more one", "# sd-manifest {", "# xx-manifest {",
		  "its seal is not the one in the file" },
		{ "its seal", "# sd-seal ", "", "its seal is not the one in the file" },
		{ "no seal", "# sd-seal ", "# no-seal ", "its seal is not the one in the file" },
		{ "an ancestor's claim", "\"tool\":\"sd-search\"", "\"tool\":\"sd-searcx\"", " (search) is missing" },
		{ "the ancestors' seals", "\"ancestors\":{\"", "", "its seal is not the one in the file" },
		{ "bytes", "Genotype(", "Genotype[", "expected '('" },
	};
	char *text, *other;
	struct sd_blob b = slurp("x.genotype"), o = slurp("other.genotype");

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		text = replaced((char *)b.data, table[i].old, table[i].new);
		spew("forged.genotype", text, strlen(text));
		expect(table[i].what, "forged.genotype", 1, table[i].said);
		free(text);
	}
	/* the head of one and the genotype of another */
	text = strstr((char *)b.data, "\n# sd-seal ");
	other = strstr((char *)o.data, "\n# sd-seal ");
	{
		struct sd_str s = SD_STR_INIT;

		sd_str_add(&s, b.data, (size_t)(text + 76 - (char *)b.data));
		sd_str_adds(&s, other + 76);
		spew("forged.genotype", s.s, s.len);
		expect("another genotype's literal", "forged.genotype", 1, "not the one that its manifest was made for");
		s.len = 0;
		sd_str_adds(&s, strchr((char *)b.data, '\n') + 1);
		spew("forged.genotype", s.s, s.len);
		expect("its manifest removed", "forged.genotype", 1, "its seal is not the one in the file");
		s.len = 0;
		sd_str_add(&s, b.data, (size_t)(text + 1 - (char *)b.data));
		sd_str_add(&s, o.data, (size_t)(strchr((char *)o.data, '\n') + 1 - (char *)o.data));
		sd_str_adds(&s, text + 1);
		spew("forged.genotype", s.s, s.len);
		expect("a manifest more", "forged.genotype", 1, "is no ancestor of it");
		sd_str_release(&s);
	}
	sd_blob_release(&b);
	sd_blob_release(&o);
}

/* ---- raw files and inputs ---- */

static void test_inputs(void)
{
	struct sd_blob b = slurp("data.h5"), raw = slurp("raw.bin");
	char *text;

	expect("nothing", "--chain --search-path . eval.h5", 0, "./raw.bin: OK");
	nkind--;
	spew("raw.bin", "a raw fi1e\n", 11);
	expect("a raw file changed", "--chain --search-path . data.h5", 1, "./raw.bin: has changed");
	spew("raw.bin", "a raw", 5);
	expect("a raw file cut short", "--chain --search-path . eval.h5", 1, "./raw.bin: has changed");
	unlink("raw.bin");
	expect("a raw file gone", "--chain --search-path . data.h5", 2, "not found");
	spew("raw.bin", raw.data, raw.size);
	b.data[4000] ^= 1;
	spew("data.h5", b.data, b.size);
	expect("an input changed", "--chain --search-path . model.h5", 1, "./data.h5: has changed");
	b.data[4000] ^= 1;
	spew("data.h5", b.data, b.size);
	forge_manifest("data.h5", "\"seed\":\"2\"", "\"seed\":\"3\"", ALL);
	rename(FORGED, "data.h5");
	expect("an input forged consistently", "--chain --search-path . model.h5", 2, "  not found");
	text = (char *)b.data;
	spew("data.h5", text, b.size);
	sd_blob_release(&b);
	sd_blob_release(&raw);
}

int main(int argc, char **argv)
{
	(void)argc;
	if (begin(argv[0]) < 0)
		return 1;
	test_manifests();
	test_nested();
	test_splices();
	test_genotypes();
	test_inputs();
	return end();
}
