/* sd-prep: turns a data set as it is distributed into an artifact, and shows what one holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artifact/artifact.h"
#include "base/opt.h"
#include "base/str.h"
#include "base/tool.h"
#include "data/dataset.h"
#include "data/reader.h"

#define TOOL "sd-prep"

static struct {
	bool list;
	int limit[SD_NSPLIT];
	uint64_t seed;
} o = { .limit = { -1, -1 } };
static struct sd_shared shared;

static struct sd_opt rows[] = {
	SD_OPT_FLAG("list", NULL, SD_EXECUTION, &o.list, "list the data sets that can be read, and stop"),
	SD_OPT_INT("limit_train", NULL, SD_NUMERIC, &o.limit[SD_SPLIT_TRAIN], NULL, "N",
		   "keep the first N training images after a seeded shuffle, in the shuffled order",
		   SD_BETWEEN(1, SD_MAX_SAMPLES)),
	SD_OPT_INT("limit_test", NULL, SD_NUMERIC, &o.limit[SD_SPLIT_TEST], NULL, "N",
		   "the same for the test images", SD_BETWEEN(1, SD_MAX_SAMPLES)),
	SD_OPT_SEED("seed", NULL, &o.seed, "0", "seed of these shuffles"),
	SD_OPTS_COMMON(shared),
	SD_OPTS_OUTPUT(shared),
	SD_OPT_END
};
static struct sd_opts opts = {
	.tool = TOOL,
	.summary = "turn a data set into an artifact",
	.operands = "DATASET PATH | info FILE",
	.min_operands = 0,
	.max_operands = 2,
	.rows = rows,
	.epilog = "PATH is an archive, a folder or a file, - is standard input.  Without -o the artifact\n"
		  "is DATASET.h5 in the current folder.",
};

static void list(void)
{
	for (int i = 0; i < sd_nreaders; i++)
		printf("%s\t%s\t%s\n", sd_readers[i].name, sd_readers[i].operand, sd_readers[i].what);
}

static void print_channels(const char *key, const float *value, int C)
{
	char text[32];

	fputs(key, stdout);
	for (int c = 0; c < C; c++)
		printf("\t%s", sd_real_textf(value[c], text));
	putchar('\n');
}

/* The number of images of each class in a split, to be freed. */
static uint32_t *count_classes(const struct sd_dataset *ds, int split)
{
	uint32_t *n = sd_xcalloc((size_t)ds->nclass, sizeof(*n));

	for (uint32_t i = 0; i < ds->split[split].n; i++)
		n[ds->split[split].labels[i]]++;
	return n;
}

/* What a data set holds, a line a fact: key and values, tabs between them. */
static void print_info(const struct sd_dataset *ds)
{
	uint32_t *train = count_classes(ds, SD_SPLIT_TRAIN), *test = count_classes(ds, SD_SPLIT_TEST);

	printf("name\t%s\nimage\t%d\t%d\t%d\nclasses\t%d\n", ds->name, ds->C, ds->H, ds->W, ds->nclass);
	for (int s = 0; s < SD_NSPLIT; s++)
		printf("%s\t%u\n", sd_split_name[s], ds->split[s].n);
	print_channels("mean", ds->mean, ds->C);
	print_channels("std", ds->std, ds->C);
	print_channels("computed_mean", ds->computed_mean, ds->C);
	print_channels("computed_std", ds->computed_std, ds->C);
	printf("padding\t%d\nmirror\t%d\n", ds->padding, ds->mirror);
	for (int i = 0; i < ds->nclass; i++)
		printf("class\t%d\t%s\t%u\t%u\n", i, ds->classes[i], train[i], test[i]);
	free(train);
	free(test);
}

static int info(const char *file)
{
	struct sd_artifact *art = sd_artifact_open(file, 0);
	struct sd_dataset *ds = art ? sd_dataset_open(art) : NULL;

	if (ds)
		print_info(ds);
	sd_artifact_close(art);
	sd_dataset_free(ds);
	return ds ? 0 : -1;
}

/* Each raw file that was read goes into the claim: an archive as "raw", the files of a folder as "raw/NAME";
 * readers take no name twice. */
static int stamp_raw(struct sd_stamp *st, const struct sd_archive *a)
{
	const struct sd_archive_raw *raw;

	for (uint32_t i = 0; (raw = sd_archive_raw(a, i)); i++) {
		const char *slash = strrchr(raw->name, '/');
		struct sd_str role = SD_STR_INIT;
		int ret;

		sd_str_adds(&role, "raw");
		if (sd_archive_is_folder(a))
			sd_str_addf(&role, "/%s", slash ? slash + 1 : raw->name);
		ret = sd_stamp_input_raw(st, role.s, raw->name, raw->size, raw->sha256);
		sd_str_release(&role);
		if (ret)
			return -1;
	}
	return 0;
}

static void report(const struct sd_reader *r, const struct sd_dataset *ds, const char *output)
{
	uint32_t train = ds->split[SD_SPLIT_TRAIN].n, test = ds->split[SD_SPLIT_TEST].n;

	sd_tool_say(TOOL, shared.quiet, "%s: %u training and %u test images of %dx%dx%d in %d classes",
		    output, train, test, ds->C, ds->H, ds->W, ds->nclass);
	if (o.limit[SD_SPLIT_TRAIN] < 0 && o.limit[SD_SPLIT_TEST] < 0 &&
	    (train != r->official[SD_SPLIT_TRAIN] || test != r->official[SD_SPLIT_TEST]))
		sd_tool_say(TOOL, shared.quiet, "note: the whole of %s has %u and %u", r->name,
			    r->official[SD_SPLIT_TRAIN], r->official[SD_SPLIT_TEST]);
}

static int prepare(const char *name, const char *path)
{
	const struct sd_reader *r = sd_reader_find(name);
	struct sd_stamp *st = NULL;
	struct sd_archive *a = NULL;
	struct sd_dataset *ds = NULL;
	struct sd_artifact_out *out = NULL;
	struct sd_str output = SD_STR_INIT;
	uint32_t limit[SD_NSPLIT];
	int ret = -1;

	if (!r)
		goto done;
	if (shared.output)
		sd_str_adds(&output, shared.output);
	else
		sd_str_addf(&output, "%s.h5", r->name);
	st = sd_stamp_new("dataset", &opts, &shared);
	sd_stamp_parameter(st, "dataset", json_string(r->name));
	for (int s = 0; s < SD_NSPLIT; s++)
		limit[s] = o.limit[s] < 0 ? UINT32_MAX : (uint32_t)o.limit[s];
	ds = sd_reader_run(r, path, limit, o.seed, &a);
	if (!ds || stamp_raw(st, a) || sd_stamp_check_target(st, output.s, shared.force))
		goto done;
	out = sd_artifact_create(output.s, true);
	if (!out || sd_dataset_write(ds, out))
		goto done;
	ret = sd_artifact_finish(out, st, NULL);
	out = NULL;
	if (!ret)
		report(r, ds, strcmp(output.s, "-") ? output.s : "(stdout)");
done:
	sd_artifact_abandon(out);
	sd_dataset_free(ds);
	sd_archive_close(a);
	sd_stamp_free(st);
	sd_str_release(&output);
	return ret;
}

int main(int argc, char **argv)
{
	int ret;

	switch (sd_opts_parse(&opts, argc, argv)) {
	case 1:
		return sd_tool_close(TOOL);
	case -1:
		return sd_tool_fail(TOOL);
	}
	if (o.list && !opts.noperand) {
		list();
		ret = 0;
	} else if (o.list || opts.noperand != 2) {
		ret = sd_error(SD_ERR_USAGE, o.list ? "--list takes no operands" :
			       "two operands are expected: a data set and its file, or info and an artifact");
	} else if (!strcmp(opts.operand[0], "info")) {
		ret = info(opts.operand[1]);
	} else {
		ret = prepare(opts.operand[0], opts.operand[1]);
	}
	ret = ret ? sd_tool_fail(TOOL) : sd_tool_close(TOOL);
	sd_opts_release(&opts);
	return ret;
}
