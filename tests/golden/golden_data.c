/* golden_data.c: what a training image goes through: AutoAugment to the byte, holes, the eraser's boxes, and
 * the constants of the normalisation. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "data/augment.h"
#include "data/reader.h"
#include "golden.h"

/* Reads loc/path/name, or fails the check `path`. */
static int member(struct gold *g, struct gold_array *a, hid_t file, const char *path, const char *name)
{
	if (!gold_read(a, file, gold_path(path, name).s))
		return 0;
	gold_error(g, path);
	return -1;
}

/* ---- AutoAugment ---- */

/* Images (..., H, W, 3) as (n, 3, H, W) bytes, allocated; *n of them. */
static uint8_t *images(hid_t file, const char *path, int *H, int *W, size_t *n)
{
	struct gold_array a;
	uint8_t *image = NULL;

	if (gold_read(&a, file, path))
		return NULL;
	if (a.ndim < 3 || a.dim[a.ndim - 1] != SD_AA_CHANNELS) {
		sd_error(SD_ERR_DATA, "'%s' holds no colour images", path);
		goto out;
	}
	*H = (int)a.dim[a.ndim - 3];
	*W = (int)a.dim[a.ndim - 2];
	size_t plane = (size_t)*H * (size_t)*W;
	*n = a.n / (3 * plane);
	image = malloc(a.n + 1);
	for (size_t i = 0; image && i < *n; i++)
		for (size_t at = 0; at < plane; at++)
			for (size_t c = 0; c < 3; c++)
				image[(3 * i + c) * plane + at] = (uint8_t)a.v[3 * (i * plane + at) + c];
out:
	gold_array_release(&a);
	return image;
}

/* Which level each row of an operation's images is of: an attribute of one or more numbers. */
static int read_levels(hid_t file, const char *path, int level[SD_AA_LEVELS])
{
	hid_t attr = H5Aopen_by_name(file, path, "magnitude_index", H5P_DEFAULT, H5P_DEFAULT);
	hid_t space = attr < 0 ? -1 : H5Aget_space(attr);
	hssize_t n = space < 0 ? 0 : H5Sget_simple_extent_npoints(space);

	if (n < 1 || n > SD_AA_LEVELS || H5Aread(attr, H5T_NATIVE_INT, level) < 0)
		n = 0;
	if (space >= 0)
		H5Sclose(space);
	if (attr >= 0)
		H5Aclose(attr);
	for (int i = 0; i < n; i++)
		if (level[i] < 0 || level[i] >= SD_AA_LEVELS)
			n = 0;
	return (int)n;
}

static void check_op(struct gold *g, hid_t file, int op, int negative, const uint8_t *in, size_t nin, int H,
	int W)
{
	struct gold_path group = gold_path("ops", sd_aa_op_name[op]);
	struct gold_path path = gold_path(group.s, negative ? "neg" : "pos");
	int level[SD_AA_LEVELS], nlevel, h, w;
	size_t n, bytes = 3 * (size_t)H * (size_t)W, bad = 0;

	if (!gold_has(file, path.s))
		return;
	uint8_t *want = images(file, path.s, &h, &w, &n), *got = malloc(bytes);

	nlevel = read_levels(file, path.s, level);
	if (!want || !got || h != H || w != W || n != nin * (size_t)nlevel) {
		gold_result(g, path.s, 0, "not an image for each level and image");
	} else {
		for (size_t i = 0; i < n; i++) {
			sd_aa_apply(op, level[i / nin], negative, H, W, in + i % nin * bytes, got);
			bad += memcmp(got, want + i * bytes, bytes) != 0;
		}
		gold_result(g, path.s, bad == 0, "%zu of %zu images differ", bad, n);
	}
	free(want);
	free(got);
}

/* Strings of a data set, to be freed by free_strings. */
static char **strings(hid_t file, const char *path, size_t *n)
{
	hid_t set = H5Dopen(file, path, H5P_DEFAULT), space, type;
	char **text = NULL;

	*n = 0;
	if (set < 0)
		return NULL;
	space = H5Dget_space(set);
	type = H5Dget_type(set);
	hssize_t count = H5Sget_simple_extent_npoints(space);
	if (count > 0 && H5Tis_variable_str(type) > 0 && (text = calloc((size_t)count, sizeof(*text)))) {
		if (H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text) >= 0)
			*n = (size_t)count;
	}
	H5Tclose(type);
	H5Sclose(space);
	H5Dclose(set);
	return text;
}

static void free_strings(char **text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		H5free_memory(text[i]);
	free(text);
}

static int policy_of(const char *name)
{
	return !strcmp(name, "CIFAR10Policy") ? SD_AUTOAUGMENT_CIFAR10 :
		!strcmp(name, "ImageNetPolicy") ? SD_AUTOAUGMENT_IMAGENET : SD_AUTOAUGMENT_NONE;
}

/* One of the two steps of each of a policy's pairs. */
static void check_steps(struct gold *g, hid_t file, const char *group, int policy, int j)
{
	static const char *const names[2][3] = { { "op1", "p1", "mag1" }, { "op2", "p2", "mag2" } };
	struct gold_array p = {0}, level = {0};
	int n, bad = 0;
	size_t nop;
	const struct sd_aa_pair *pair = sd_autoaugment_pairs(policy, &n);
	struct gold_path check = gold_path(group, names[j][0]);
	char **op = strings(file, check.s, &nop);

	if (!member(g, &p, file, group, names[j][1]) && !member(g, &level, file, group, names[j][2])) {
		if (nop != (size_t)n || p.n != nop || level.n != nop) {
			gold_result(g, check.s, 0, "%zu pairs, here %d", nop, n);
		} else {
			for (int i = 0; i < n; i++) {
				const struct sd_aa_step *step = &pair[i].step[j];

				bad += strcmp(op[i], sd_aa_op_name[step->op]) || p.v[i] != step->tenths / 10.0 ||
					level.v[i] != step->level;
			}
			gold_result(g, check.s, bad == 0, "%d of %d steps differ", bad, n);
		}
	}
	free_strings(op, nop);
	gold_array_release(&p);
	gold_array_release(&level);
}

/* What the reference drew, in its order, for a pair. */
static struct sd_aa_params drawn(const struct sd_aa_pair *pair, int index, const double *draw)
{
	struct sd_aa_params p = { .pair = index };

	for (int j = 0; j < 2; j++) {
		int op = pair->step[j].op;
		int is_signed = op <= SD_AA_TRANSLATE_Y || op == SD_AA_COLOR ||
			(op >= SD_AA_CONTRAST && op <= SD_AA_BRIGHTNESS);

		p.done[j] = *draw++ < pair->step[j].tenths / 10.0;
		if (p.done[j] && is_signed)
			p.negative[j] = *draw++ < 0;
	}
	return p;
}

static void check_runs(struct gold *g, hid_t file, const uint8_t *in, size_t nin, int H, int W)
{
	static const char *const check = "subpolicy_runs";
	struct gold_array from = {0}, index = {0}, trace = {0};
	size_t n = 0, nname, bytes = 3 * (size_t)H * (size_t)W, bad = 0;
	int h, w;
	char **name = strings(file, "subpolicy_runs/policy", &nname);
	uint8_t *want = images(file, "subpolicy_runs/output", &h, &w, &n), *got = malloc(2 * bytes);

	if (member(g, &from, file, check, "image_index") || member(g, &index, file, check, "policy_index") ||
	    member(g, &trace, file, check, "random_trace"))
		goto out;
	if (!want || !got || h != H || w != W || n != nname || from.n != n || index.n != n || trace.n != 4 * n) {
		gold_result(g, check, 0, "its data sets have different sizes");
		goto out;
	}
	for (size_t i = 0; i < n; i++) {
		int policy = policy_of(name[i]), pairs, at = (int)index.v[i];
		const struct sd_aa_pair *pair = policy ? sd_autoaugment_pairs(policy, &pairs) : NULL;

		if (!policy || at < 0 || at >= pairs || !(from.v[i] >= 0 && from.v[i] < (double)nin)) {
			bad++;
			continue;
		}
		struct sd_aa_params p = drawn(pair + at, at, trace.v + 4 * i);
		memcpy(got, in + (size_t)from.v[i] * bytes, bytes);
		sd_autoaugment_apply(policy, &p, H, W, got, got + bytes);
		bad += memcmp(got, want + i * bytes, bytes) != 0;
	}
	gold_result(g, check, bad == 0, "%zu of %zu runs differ", bad, n);
out:
	free_strings(name, nname);
	gold_array_release(&from);
	gold_array_release(&index);
	gold_array_release(&trace);
	free(want);
	free(got);
}

int gold_autoaugment(struct gold *g, hid_t file)
{
	int H, W;
	size_t n, npolicy = 0;
	uint8_t *in = images(file, "images", &H, &W, &n);

	if (!in)
		return -1;
	for (int op = 0; op < SD_NAA_OP; op++)
		for (int negative = 0; negative < 2; negative++)
			check_op(g, file, op, negative, in, n, H, W);
	char **policy = gold_has(file, "policies") ? gold_names(file, "policies", &npolicy) : NULL;
	for (size_t i = 0; i < npolicy; i++) {
		struct gold_path group = gold_path("policies", policy[i]);

		if (!policy_of(policy[i]))
			gold_skip(g, group.s, "a policy that no program of the reference uses");
		for (int j = 0; policy_of(policy[i]) && j < 2; j++)
			check_steps(g, file, group.s, policy_of(policy[i]), j);
	}
	if (gold_has(file, "subpolicy_runs"))
		check_runs(g, file, in, n, H, W);
	free(policy);
	free(in);
	return 0;
}

/* ---- holes and the eraser ---- */

/* Applies p to an image of ones and counts the pixels of channel c that are not `want`'s. */
static size_t count_wrong(const struct sd_augment *policy, const struct sd_augment_params *p, int H, int W,
	int changed, const double *want)
{
	size_t n = (size_t)H * (size_t)W, bad = 0;
	struct sd_augment_table table;
	uint8_t *in = calloc(3, n);
	float *out = malloc(3 * n * sizeof(*out));

	for (int c = 0; c < 3; c++)
		for (int v = 0; v < 256; v++)
			table.value[c][v] = 1;
	if (in && out) {
		sd_augment_apply(policy, p, &table, 3, H, W, in, NULL, out);
		for (size_t i = 0; i < 3 * n; i++)
			bad += (changed ? out[i] != 1 : out[i]) != want[i % n];
	}
	free(in);
	free(out);
	return bad;
}

/* Masks of one or more images against holes at the recorded centres. */
static void check_holes(struct gold *g, hid_t file, const char *path)
{
	struct gold_array mask = {0}, draw = {0};
	int holes = (int)gold_num(file, path, "cuts", 1);
	int length = (int)gold_num(file, path, "length", 0);
	struct sd_augment policy = { .cutout_length = length, .cutout_holes = holes };
	size_t bad = 0;

	if (member(g, &mask, file, path, "mask") || member(g, &draw, file, path, "draws_y_x"))
		goto out;
	size_t n = holes > 0 ? draw.n / (2 * (size_t)holes) : 0;
	if (mask.ndim < 2 || holes > SD_MAX_HOLES || n == 0 || mask.n % n) {
		gold_result(g, path, 0, "%d holes, %zu draws", holes, draw.n);
		goto out;
	}
	int H = (int)mask.dim[mask.ndim - 2], W = (int)mask.dim[mask.ndim - 1];
	for (size_t s = 0; s < n; s++) {
		struct sd_augment_params p = { .holes = holes };

		for (int i = 0; i < holes; i++) {
			p.hole_y[i] = (int)draw.v[(s * (size_t)holes + (size_t)i) * 2];
			p.hole_x[i] = (int)draw.v[(s * (size_t)holes + (size_t)i) * 2 + 1];
		}
		bad += count_wrong(&policy, &p, H, W, 0, mask.v + s * (size_t)H * (size_t)W);
	}
	gold_result(g, path, bad == 0, "%zu pixels differ", bad);
out:
	gold_array_release(&mask);
	gold_array_release(&draw);
}

/* The recorded draws: whether, area and aspect (uniform in their ranges), column, row. */
static int read_draws(hid_t file, const char *path, double draw[5])
{
	hid_t attr = H5Aopen_by_name(file, path, "draws", H5P_DEFAULT, H5P_DEFAULT);
	hid_t space = attr < 0 ? -1 : H5Aget_space(attr);
	hssize_t n = space < 0 ? 0 : H5Sget_simple_extent_npoints(space);

	if (n < 1 || n > 5 || H5Aread(attr, H5T_NATIVE_DOUBLE, draw) < 0)
		n = 0;
	if (space >= 0)
		H5Sclose(space);
	if (attr >= 0)
		H5Aclose(attr);
	return (int)n;
}

static void check_eraser(struct gold *g, hid_t file, const char *path)
{
	struct sd_augment policy = { .eraser = 1 };
	struct sd_augment_params p = { .key = sd_augment_key(1, "train") };
	struct gold_array changed = {0};
	double draw[5];
	int n = read_draws(file, path, draw), skipped = gold_num(file, path, "skipped", 0) != 0;

	if (member(g, &changed, file, path, "changed"))
		return;
	if (changed.ndim != 2 || n != (skipped ? 1 : 5)) {
		gold_result(g, path, 0, "%d draws", n);
	} else {
		int H = (int)changed.dim[0], W = (int)changed.dim[1];

		if (!(draw[0] > SD_ERASER_P))
			sd_eraser_box(&p, draw[1], draw[2], H, W, (int)draw[4], (int)draw[3]);
		size_t bad = count_wrong(&policy, &p, H, W, 1, changed.v);
		gold_result(g, path, bad == 0, "%zu pixels differ, box %d %d %d %d", bad, p.box_y, p.box_x,
			p.box_h, p.box_w);
	}
	gold_array_release(&changed);
}

/* Attribute `name` of a group: the constants of each channel. */
static void check_constants(struct gold *g, hid_t file, const char *path, const char *name)
{
	const struct sd_reader *r = NULL;
	double want[SD_MAX_CHANNELS];
	int bad = 0;

	for (int i = 0; i < sd_nreaders; i++)
		if (!strcmp(sd_readers[i].name, name) && sd_readers[i].has_constants)
			r = &sd_readers[i];
	if (!r) {
		gold_skip(g, path, "no reader with constants of its own");
		return;
	}
	for (int deviation = 0; deviation < 2; deviation++) {
		hid_t attr = H5Aopen_by_name(file, path, deviation ? "std" : "mean", H5P_DEFAULT, H5P_DEFAULT);
		hid_t space = attr < 0 ? -1 : H5Aget_space(attr);
		hssize_t n = space < 0 ? 0 : H5Sget_simple_extent_npoints(space);

		if (n < 1 || n > SD_MAX_CHANNELS || H5Aread(attr, H5T_NATIVE_DOUBLE, want) < 0)
			bad++;
		for (int c = 0; !bad && c < n; c++)
			bad += (float)want[c] != (deviation ? r->std : r->mean)[c];
		if (space >= 0)
			H5Sclose(space);
		if (attr >= 0)
			H5Aclose(attr);
	}
	gold_result(g, path, bad == 0, "%d constants differ", bad);
}

int gold_augment(struct gold *g, hid_t file)
{
	static const char *const part[] = { "cutout", "batch_cutout", "random_eraser", "normalize" };

	for (int k = 0; k < 4; k++) {
		size_t n = 0;
		char **name = gold_has(file, part[k]) ? gold_names(file, part[k], &n) : NULL;

		for (size_t i = 0; i < n; i++) {
			struct gold_path path = gold_path(part[k], name[i]);

			if (k < 2)
				check_holes(g, file, path.s);
			else if (k == 2)
				check_eraser(g, file, path.s);
			else
				check_constants(g, file, path.s, name[i]);
		}
		free(name);
	}
	return 0;
}
