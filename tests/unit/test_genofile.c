/* test_genofile.c: genotypes out of search artifacts, and with manifests.
 *
 * With --write FILE it only writes a search artifact, for the tests of the tools: 3 epochs of
 * 4 nodes over SHARPER_PRIMITIVES, of which the last has the published weights of SHARPER_SCALAR. */
#include "train/genofile.h"
#include "base/str.h"
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EPOCHS = 3, STEPS = 4, EDGES = 14, PRIMS = 12 };

/* SHARPER_SCALAR_WEIGHTS of the sharpDARTS code, cnn/genotypes.py */
static const float published[2][EDGES * PRIMS] = {
	{
		.1108f, .0556f, .0575f, .2509f, .1022f, .0461f, .0347f, .0274f, .0378f, .2145f, .0266f, .0359f,
		.3534f, .0249f, .0230f, .0314f, .1636f, .0603f, .0392f, .0490f, .0627f, .1044f, .0464f, .0417f,
		.5115f, .0438f, .0384f, .0831f, .0495f, .0549f, .0467f, .0462f, .0292f, .0390f, .0229f, .0348f,
		.6162f, .0238f, .0217f, .0320f, .0882f, .0679f, .0205f, .0213f, .0237f, .0291f, .0289f, .0267f,
		.7525f, .0170f, .0157f, .0279f, .0271f, .0264f, .0367f, .0240f, .0161f, .0198f, .0203f, .0165f,
		.3173f, .0881f, .0614f, .1120f, .0474f, .0473f, .0461f, .0410f, .0378f, .0895f, .0414f, .0707f,
		.3855f, .0335f, .0304f, .0456f, .0678f, .0496f, .0579f, .0441f, .0467f, .1161f, .0841f, .0389f,
		.5562f, .0272f, .0226f, .0429f, .0706f, .0511f, .0392f, .0321f, .0275f, .0596f, .0366f, .0344f,
		.1158f, .0256f, .0253f, .0423f, .1826f, .0349f, .0435f, .0868f, .0274f, .0752f, .1449f, .1957f,
		.2988f, .0673f, .0460f, .0676f, .0678f, .0567f, .0483f, .0704f, .0604f, .1230f, .0485f, .0452f,
		.3221f, .0363f, .0330f, .0455f, .0809f, .0457f, .0519f, .0636f, .0689f, .1469f, .0629f, .0421f,
		.4835f, .0269f, .0227f, .0398f, .0528f, .0671f, .0407f, .0762f, .0554f, .0495f, .0554f, .0300f,
		.0593f, .0200f, .0193f, .0318f, .0606f, .0445f, .0292f, .0412f, .0520f, .1620f, .0341f, .4460f,
		.0821f, .0228f, .0230f, .0340f, .1011f, .0903f, .0396f, .1702f, .0370f, .1469f, .0921f, .1609f,
	},
	{
		.0628f, .2237f, .1198f, .0752f, .0712f, .0598f, .0775f, .0537f, .0651f, .0707f, .0613f, .0594f,
		.0812f, .1069f, .1021f, .1551f, .0841f, .0636f, .0473f, .0726f, .0584f, .0799f, .0786f, .0701f,
		.0625f, .1197f, .1379f, .0985f, .1186f, .0799f, .0425f, .0679f, .0458f, .0692f, .0832f, .0743f,
		.0708f, .0994f, .1058f, .1389f, .0632f, .0556f, .0569f, .0937f, .0654f, .1025f, .0836f, .0641f,
		.0874f, .0765f, .0767f, .1159f, .0823f, .1001f, .0772f, .0783f, .0534f, .1009f, .0804f, .0708f,
		.0731f, .0977f, .1059f, .1180f, .0564f, .1049f, .0580f, .0632f, .0664f, .0704f, .0640f, .1219f,
		.0816f, .1009f, .1261f, .0929f, .0817f, .0604f, .0824f, .0925f, .0606f, .0622f, .0848f, .0740f,
		.0923f, .0670f, .0673f, .0952f, .1105f, .0709f, .0742f, .0857f, .1044f, .0679f, .0793f, .0852f,
		.0977f, .0673f, .0777f, .1163f, .0792f, .0727f, .0850f, .0836f, .1078f, .0856f, .0502f, .0769f,
		.0722f, .1031f, .1275f, .0822f, .0937f, .0941f, .0848f, .0808f, .0673f, .0681f, .0698f, .0565f,
		.0762f, .1123f, .1090f, .0942f, .0699f, .0770f, .0775f, .0765f, .0812f, .0897f, .0716f, .0650f,
		.0903f, .0703f, .0717f, .1145f, .0846f, .0823f, .0826f, .0938f, .0651f, .0900f, .0846f, .0701f,
		.0935f, .0614f, .0651f, .1099f, .1085f, .0799f, .0833f, .0786f, .0622f, .1417f, .0515f, .0644f,
		.1492f, .0676f, .0754f, .1314f, .0717f, .1051f, .0829f, .0670f, .0863f, .0683f, .0518f, .0432f,
	},
};

static int steps = STEPS;
static struct sd_shared shared;
static struct sd_opt rows[] = {
	SD_OPT_INT("layers_in_cells", NULL, SD_NUMERIC, &steps, "4", "N", "nodes of a cell"),
	SD_OPTS_STAMP(shared),
	SD_OPT_END
};
static struct sd_opts opts = { .tool = "sd-search", .summary = "pretends to search", .rows = rows };

/* Weights of an epoch: even at first, the published ones at the end. */
static void weights(int epoch, int cell, float *w)
{
	int i;

	for (i = 0; i < EDGES * PRIMS; i++)
		w[i] = epoch == EPOCHS - 1 ? published[cell][i] :
			(float)(1 + (i * 7 + epoch * 5 + cell * 3) % 11) / 72;
}

static int write_search(const char *path, uint64_t edges)
{
	static float w[2][EPOCHS][EDGES * PRIMS];
	const char *const cells[2] = { "normal", "reduce" };
	uint64_t shape[3] = { EPOCHS, edges, PRIMS };
	struct sd_artifact_out *art = sd_artifact_create(path, true);
	struct sd_stamp *stamp = sd_stamp_new("search", &opts, &shared);
	const char *name[PRIMS];
	struct sd_primitive_list list;
	char at[64];
	int i, e, rc = -1;

	sd_primitive_list_parse(&list, "SHARPER_PRIMITIVES");
	for (i = 0; i < list.n; i++)
		name[i] = sd_primitives[list.id[i]].name;
	if (!art || sd_artifact_put_strings(art, "/primitives", PRIMS, name) < 0)
		goto out;
	for (i = 0; i < 2; i++) {
		for (e = 0; e < EPOCHS; e++)
			weights(e, i, w[i][e]);
		snprintf(at, sizeof(at), "/weights/%s", cells[i]);
		if (sd_artifact_put(art, at, SD_TYPE_F32, 3, shape, w[i], 0) < 0)
			goto out;
		snprintf(at, sizeof(at), "/alphas/%s", cells[i]);
		if (sd_artifact_put(art, at, SD_TYPE_F32, 3, shape, w[i], 0) < 0)
			goto out;
	}
	sd_stamp_progress(stamp, EPOCHS, true);
	rc = sd_artifact_finish(art, stamp, NULL);
	art = NULL;
out:
	sd_artifact_abandon(art);
	sd_stamp_free(stamp);
	return rc;
}

static void derive_from(const char *path)
{
	struct sd_artifact *art = sd_artifact_open(path, 0);
	struct sd_snapshots s;
	struct sd_genotype g, want;
	int read = art ? sd_snapshots_read(&s, art) : -1;

	CHECK(read == 0, "%s", sd_error_text());
	if (read < 0)
		return;
	CHECK(s.epochs == EPOCHS && s.steps == STEPS && s.edges == EDGES && s.list.n == PRIMS);
	sd_genotype_init(&g);
	sd_genotype_init(&want);
	CHECK(sd_genotype_load(&want, "genotypes/SHARPER_SCALAR.genotype", NULL) == 0, "%s", sd_error_text());
	CHECK(sd_snapshots_derive(&s, EPOCHS, false, &g) == 0 && sd_genotype_equal(&g, &want));
	CHECK(sd_snapshots_derive(&s, 1, false, &g) == 0 && !sd_genotype_equal(&g, &want));
	CHECK(sd_genotype_load(&want, "genotypes/SHARPER_SCALAR_genotype_no_hack.genotype", NULL) == 0);
	CHECK(sd_snapshots_derive(&s, EPOCHS, true, &g) == 0 && sd_genotype_equal(&g, &want));
	CHECK(sd_snapshots_derive(&s, 0, true, &g) == -1 && sd_snapshots_derive(&s, EPOCHS + 1, true, &g) == -1 &&
		sd_error_kind() == SD_ERR_USAGE);
	sd_genotype_release(&g);
	sd_genotype_release(&want);
	sd_snapshots_release(&s);
	sd_artifact_close(art);
}

static void edges_that_do_not_fit(const char *path)
{
	struct sd_artifact *art;
	struct sd_snapshots s;

	CHECK(write_search(path, EDGES - 1) == 0, "%s", sd_error_text());
	art = sd_artifact_open(path, 0);
	CHECK(art && sd_snapshots_read(&s, art) == -1 && sd_error_kind() == SD_ERR_DATA &&
		strstr(sd_error_text(), "13 edges"), "%s", sd_error_text());
	sd_artifact_close(art);
}

static int write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	return f && fputs(text, f) >= 0 && fclose(f) == 0 ? 0 : -1;
}

static void manifests(const char *path)
{
	static const char literal[] = "A = Genotype(normal=[('none', 0), ('none', 1)], normal_concat=[2], "
		"reduce=[('none', 0), ('none', 1)], reduce_concat=[2])\n";
	struct sd_stamp *stamp = sd_stamp_new("genotype", &opts, &shared);
	struct sd_genofile f = { 0 };
	struct sd_lineage *lineage;
	struct sd_str other = SD_STR_INIT;
	char digest[65], *text = NULL;
	size_t n;
	FILE *out;

	CHECK(write_text(path, literal) == 0 && sd_genofile_open(&f, path) == 0 && !f.lineage, "%s",
		sd_error_text());
	CHECK(sd_genofile_stamp(&f, stamp, "arch") == 0);
	CHECK(sd_genofile_stamp(&f, stamp, "arch") == -1, "twice");
	sd_stamp_free(stamp);
	sd_genotype_digest(&f.g, digest);
	sd_genofile_release(&f);

	stamp = sd_stamp_new("genotype", &opts, &shared);
	lineage = sd_stamp_make(stamp, digest);
	out = open_memstream(&text, &n);
	CHECK(lineage && sd_lineage_write(lineage, out) == 0);
	fputs(literal, out);
	fclose(out);
	CHECK(write_text(path, text) == 0 && sd_genofile_open(&f, path) == 0 && f.lineage, "%s", sd_error_text());
	CHECK(f.lineage && !strcmp(f.lineage->own->payload, digest));
	sd_genofile_release(&f);

	/* another genotype under the same manifest */
	sd_str_add(&other, text, (size_t)(strstr(text, "('none', 0)") - text));
	sd_str_addf(&other, "('none', 1)%s", strstr(text, "('none', 0)") + strlen("('none', 0)"));
	CHECK(write_text(path, other.s) == 0 && sd_genofile_open(&f, path) == -1 &&
		strstr(sd_error_text(), "not the one"), "%s", sd_error_text());
	CHECK(sd_genofile_open(&f, "./no/such/file") == -1 && sd_error_kind() == SD_ERR_NOINPUT);
	sd_str_release(&other);
	free(text);
	sd_lineage_free(lineage);
	sd_stamp_free(stamp);
}

int main(int argc, char **argv)
{
	char folder[] = "/tmp/test_genofile.XXXXXX", path[64];
	char *args[] = { argv[0], NULL };

	if (sd_opts_parse(&opts, 1, args) != 0)
		return 1;
	if (argc == 3 && !strcmp(argv[1], "--write"))
		return write_search(argv[2], EDGES) < 0 ? fprintf(stderr, "%s\n", sd_error_text()), 1 : 0;
	if (!mkdtemp(folder)) {
		perror(folder);
		return 1;
	}
	snprintf(path, sizeof(path), "%s/x", folder);
	CHECK(write_search(path, EDGES) == 0, "%s", sd_error_text());
	derive_from(path);
	edges_that_do_not_fit(path);
	manifests(path);
	unlink(path);
	rmdir(folder);
	sd_opts_release(&opts);
	return check_done();
}
