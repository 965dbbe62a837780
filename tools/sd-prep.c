/* sd-prep: turns a data set as it is distributed into an artifact, and shows what one holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artifact/artifact.h"
#include "base/file.h"
#include "base/json.h"
#include "base/opt.h"
#include "base/sha256.h"
#include "base/str.h"
#include "base/tool.h"
#include "data/dataset.h"
#include "data/picture.h"
#include "data/reader.h"
#include "data/sheet.h"
#include "train/repeat.h"

#define TOOL "sd-prep"

static struct {
	bool list, grey, cutout, autoaugment, random_eraser;
	int limit[SD_NSPLIT], size, split, images, classes, cutout_length;
	const char *name;
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
	SD_OPT_INT("size", NULL, SD_NUMERIC, &o.size, NULL, "N",
		   "bring the shorter side of each image to N pixels and keep the middle N x N",
		   SD_BETWEEN(1, SD_MAX_SIDE)),
	SD_OPT_FLAG("grey", "--gray", SD_NUMERIC, &o.grey, "turn colours into grey, one channel"),
	SD_OPT_TEXT("name", NULL, SD_NUMERIC, &o.name, NULL, "NAME",
		    "what the data set calls itself in the artifact (DATASET)"),
	SD_OPT_SEED("seed", NULL, &o.seed, "0",
		    "seed of the shuffles for the limits, and of a contact sheet's augmentation"),
	SD_OPT_CHOICE("split", NULL, SD_OUTPUT, &o.split, "train", "train|test",
		      "contact sheet: which images"),
	SD_OPT_INT("images", NULL, SD_OUTPUT, &o.images, "8", "N",
		   "contact sheet: how many images of each class",
		   SD_BETWEEN(1, 1000)),
	SD_OPT_INT("classes", NULL, SD_OUTPUT, &o.classes, "100", "N",
		   "contact sheet: how many classes, the first ones",
		   SD_BETWEEN(1, SD_MAX_CLASSES)),
	SD_OPT_FLAG("cutout", NULL, SD_OUTPUT, &o.cutout, "contact sheet: these as sd-train has them"),
	SD_OPT_INT("cutout_length", NULL, SD_OUTPUT, &o.cutout_length, "16", "N", "likewise",
		   SD_BETWEEN(1, 1024)),
	SD_OPT_FLAG("autoaugment", NULL, SD_OUTPUT, &o.autoaugment, "likewise"),
	SD_OPT_FLAG("random_eraser", NULL, SD_OUTPUT, &o.random_eraser, "likewise"),
	SD_OPTS_COMMON(shared),
	SD_OPTS_OUTPUT(shared),
	SD_OPT_END
};
static struct sd_opts opts = {
	.tool = TOOL,
	.summary = "turn a data set into an artifact",
	.operands = "DATASET PATH | info FILE | contact-sheet FILE",
	.min_operands = 0,
	.max_operands = 2,
	.rows = rows,
	.epilog = "PATH is an archive, a folder or a file, - is standard input.  Without -o the artifact\n"
		  "is DATASET.h5 in the current folder.  info prints what an artifact holds, contact-sheet\n"
		  "draws some images of each class, plain and augmented, into the PNG file of -o.",
};

static void list(void)
{
	for (int i = 0; i < sd_nreaders; i++) {
		const struct sd_reader *r = &sd_readers[i];
		static const struct sd_raw_file any[] = { { "-", NULL }, { NULL, NULL } };

		for (const struct sd_raw_file *f = r->files ? r->files : any; f->name; f++)
			printf("%s\t%s\t%s\t%s\n", r->name, f->name, f->sha256 ? f->sha256 : "-", r->what);
	}
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

static int contact_sheet(const char *file)
{
	struct sd_artifact *art = NULL;
	struct sd_dataset *ds = NULL;
	struct sd_out *out = NULL;
	struct sd_sheet_options so = {
		.split = o.split, .classes = o.classes, .images = o.images, .seed = o.seed,
	};
	uint8_t *pixels = NULL;
	FILE *f;
	int H, W, ret = -1;

	if (!shared.output)
		return sd_error(SD_ERR_USAGE, "contact-sheet needs a file to draw into: -o SHEET.png");
	art = sd_artifact_open(file, 0);
	ds = art ? sd_dataset_open(art) : NULL;
	if (!ds)
		goto done;
	if (o.autoaugment && ds->C != SD_AA_CHANNELS) {
		sd_error(SD_ERR_USAGE, "%s: --autoaugment is for colour images only", sd_artifact_name(art));
		goto done;
	}
	so.policy = sd_augment_train(ds, o.cutout ? o.cutout_length : 0);
	so.policy.autoaugment = o.autoaugment ? SD_AUTOAUGMENT_CIFAR10 : SD_AUTOAUGMENT_NONE;
	so.policy.eraser = o.random_eraser;
	if (sd_sheet_draw(ds, &so, &pixels, &H, &W))
		goto done;
	out = sd_out_open(shared.output, SD_OUT_BINARY | (shared.force ? SD_OUT_FORCE : 0));
	f = out ? sd_out_stream(out) : NULL;
	if (!f || sd_picture_write(f, shared.output, H, W, pixels))
		goto done;
	ret = sd_out_commit(out);
	out = NULL;
done:
	sd_out_abandon(out);
	free(pixels);
	sd_artifact_close(art);
	sd_dataset_free(ds);
	return ret;
}

/* How many bytes of all raw names the folder is that they have in common. */
static size_t common_folder(const struct sd_archive *a)
{
	const struct sd_archive_raw *first = sd_archive_raw(a, 0), *raw;
	size_t len = 0;

	if (!first)
		return 0;
	for (size_t i = 0; first->name[i]; i++)
		if (first->name[i] == '/')
			len = i + 1;
	for (uint32_t i = 1; (raw = sd_archive_raw(a, i)); i++)
		while (len && strncmp(raw->name, first->name, len))
			for (len--; len && first->name[len - 1] != '/'; len--)
				;
	return len;
}

/* Many files, a picture each, are one input: its digest is of the lines that `sha256sum` prints for them. */
static int stamp_many(struct sd_stamp *st, const struct sd_archive *a, size_t common)
{
	const struct sd_archive_raw *raw;
	struct sd_sha256 sha;
	uint8_t digest[SD_SHA256_LEN];
	char hex[SD_SHA256_HEX + 1];
	uint64_t size = 0;

	sd_sha256_init(&sha);
	for (uint32_t i = 0; (raw = sd_archive_raw(a, i)); i++) {
		sd_sha256_update(&sha, raw->sha256, SD_SHA256_HEX);
		sd_sha256_update(&sha, "  ", 2);
		sd_sha256_update(&sha, raw->name + common, strlen(raw->name + common));
		sd_sha256_update(&sha, "\n", 1);
		size += raw->size;
	}
	sd_sha256_final(&sha, digest);
	sd_sha256_release(&sha);
	sd_sha256_hex(digest, hex);
	return sd_stamp_input_raw(st, "raw", sd_archive_name(a), size, hex);
}

/* Each raw file that was read goes into the claim: an archive as "raw", the files of a folder as
 * "raw/NAME", or all of them as "raw" if there are many. */
static int stamp_raw(struct sd_stamp *st, const struct sd_archive *a)
{
	enum { MANY = 64 };
	const struct sd_archive_raw *raw;
	size_t common = sd_archive_is_folder(a) ? common_folder(a) : 0;

	if (sd_archive_raw(a, MANY))
		return stamp_many(st, a, common);
	for (uint32_t i = 0; (raw = sd_archive_raw(a, i)); i++) {
		struct sd_str role = SD_STR_INIT;
		int ret;

		sd_str_adds(&role, "raw");
		if (sd_archive_is_folder(a))
			sd_str_addf(&role, "/%s", raw->name + common);
		ret = sd_stamp_input_raw(st, role.s, raw->name, raw->size, raw->sha256);
		sd_str_release(&role);
		if (ret)
			return -1;
	}
	return 0;
}

/* Files that go by a well-known name and are something else: said, and kept in the context. */
static void warn(struct sd_stamp *st, const struct sd_reader *r, const struct sd_archive *a)
{
	const struct sd_archive_raw *raw;
	json_t *warnings = json_array();

	for (uint32_t i = 0; (raw = sd_archive_raw(a, i)); i++) {
		const char *expected = sd_reader_sha256(r, raw->name);
		struct sd_str text = SD_STR_INIT;

		if (!expected || !strcmp(expected, raw->sha256))
			continue;
		sd_str_addf(&text, "%s has SHA-256 %s, the published file of %s has %s", raw->name,
			    raw->sha256, r->name,
			    expected);
		sd_tool_say(TOOL, shared.quiet, "warning: %s", text.s);
		json_array_append_new(warnings, sd_json_bytes(text.s));
		sd_str_release(&text);
	}
	if (json_array_size(warnings))
		sd_stamp_fact(st, "warnings", warnings);
	else
		json_decref(warnings);
}

static void report(const struct sd_reader *r, const struct sd_dataset *ds, const char *output)
{
	uint32_t train = ds->split[SD_SPLIT_TRAIN].n, test = ds->split[SD_SPLIT_TEST].n;

	sd_tool_say(TOOL, shared.quiet, "%s: %u training and %u test images of %dx%dx%d in %d classes",
		    output, train, test, ds->C, ds->H, ds->W, ds->nclass);
	if (o.limit[SD_SPLIT_TRAIN] < 0 && o.limit[SD_SPLIT_TEST] < 0 &&
	    (r->official[SD_SPLIT_TRAIN] || r->official[SD_SPLIT_TEST]) &&
	    (train != r->official[SD_SPLIT_TRAIN] || test != r->official[SD_SPLIT_TEST]))
		sd_tool_say(TOOL, shared.quiet, "note: the whole of %s has %u and %u", r->name,
			    r->official[SD_SPLIT_TRAIN], r->official[SD_SPLIT_TEST]);
}

/* A name that fits the data set and a file's name. */
static int check_name(const char *name)
{
	size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	if (!len || name[len] || len >= sizeof(((struct sd_dataset *)0)->name) || *name == '.')
		return sd_error(SD_ERR_USAGE,
				"--name: up to %zu letters, digits, '.', '-' and '_' are expected",
				sizeof(((struct sd_dataset *)0)->name) - 1);
	return 0;
}

static int prepare(const char *data, const char *path)
{
	const struct sd_reader *r = sd_reader_find(data);
	const char *name = o.name ? o.name : data;
	struct sd_read_options ro = { .size = o.size, .grey = o.grey };
	struct sd_read_notes notes;
	struct sd_stamp *st = NULL;
	struct sd_archive *a = NULL;
	struct sd_dataset *ds = NULL;
	struct sd_artifact_out *out = NULL;
	struct sd_str output = SD_STR_INIT;
	uint32_t limit[SD_NSPLIT];
	int ret = -1;

	if (!r || check_name(name))
		goto done;
	if (shared.output)
		sd_str_adds(&output, shared.output);
	else
		sd_str_addf(&output, "%s.h5", name);
	st = sd_stamp_new("dataset", &opts, &shared);
	sd_stamp_parameter(st, "dataset", json_string(r->name));
	for (int s = 0; s < SD_NSPLIT; s++)
		limit[s] = o.limit[s] < 0 ? UINT32_MAX : (uint32_t)o.limit[s];
	ds = sd_reader_run(r, path, &ro, limit, o.seed, &a, &notes);
	if (!ds)
		goto done;
	snprintf(ds->name, sizeof(ds->name), "%s", name);
	if (notes.jpeg)
		sd_stamp_environment(st, "libjpeg", sd_picture_jpeg_library());
	if (sd_archive_is_folder(a))
		sd_stamp_fact(st, "folder", sd_json_bytes(sd_archive_name(a)));
	if (stamp_raw(st, a))
		goto done;
	ret = sd_stamp_update(st, output.s, NULL);
	if (ret) {
		ret = ret < 0 ? -1 : 0;
		goto done;
	}
	ret = -1;
	if (sd_stamp_check_target(st, output.s, shared.force))
		goto done;
	sd_repeat_say(TOOL, shared.quiet, st, "dataset", output.s, NULL);
	warn(st, r, a);
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
			       "two operands are expected: a data set and its file, or info (contact-sheet) "
			       "and an artifact");
	} else if (!strcmp(opts.operand[0], "info")) {
		ret = info(opts.operand[1]);
	} else if (!strcmp(opts.operand[0], "contact-sheet")) {
		ret = contact_sheet(opts.operand[1]);
	} else {
		ret = prepare(opts.operand[0], opts.operand[1]);
	}
	ret = ret ? sd_tool_fail(TOOL) : sd_tool_close(TOOL);
	sd_opts_release(&opts);
	return ret;
}
