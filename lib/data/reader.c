/* reader.c: the table of data sets, and what is done for every one of them. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "data/reader.h"

#define MIB ((uint64_t)1 << 20)

const struct sd_reader sd_readers[] = {
	{
		.name = "cifar10",
		.operand = "ARCHIVE|FOLDER",
		.what = "60,000 colour images of 32x32 in 10 classes, official binary form",
		.read = sd_read_cifar10,
		.limits = { .entry_bytes = 256 * MIB, .total_bytes = 1024 * MIB, .entries = 10000 },
		.official = { 50000, 10000 },
		.padding = 4,
		.mirror = 1,
		.has_constants = 1,
		.mean = { 0.49139968f, 0.48215827f, 0.44653124f },
		.std = { 0.24703233f, 0.24348505f, 0.26158768f },
	},
	{
		.name = "digits",
		.operand = "FILE",
		.what = "1,797 grey handwritten digits of 8x8, lines of 64 values and a label",
		.read = sd_read_digits,
		.limits = { .entry_bytes = 4 * MIB, .total_bytes = 16 * MIB, .entries = 1000 },
		.official = { 1437, 360 },
		.padding = 1,
	},
};
const int sd_nreaders = sizeof(sd_readers) / sizeof(sd_readers[0]);

const struct sd_reader *sd_reader_find(const char *name)
{
	char known[256] = "";

	for (int i = 0; i < sd_nreaders; i++) {
		if (!strcmp(sd_readers[i].name, name))
			return &sd_readers[i];
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", i ? ", " : "",
			 sd_readers[i].name);
	}
	sd_error(SD_ERR_USAGE, "no data set '%s' (known: %s)", name, known);
	return NULL;
}

struct sd_dataset *sd_reader_run(const struct sd_reader *r, const char *path, const uint32_t limit[SD_NSPLIT],
				 uint64_t seed, struct sd_archive **archive)
{
	struct sd_dataset *ds = NULL;
	struct sd_archive *a = sd_archive_open(path, &r->limits);

	if (!a)
		goto fail;
	ds = r->read(a);
	if (!ds || sd_archive_finish(a))
		goto fail;
	for (int s = 0; s < SD_NSPLIT; s++)
		if (limit[s] != UINT32_MAX && sd_dataset_limit(ds, s, limit[s], seed)) {
			sd_error_in("%s", sd_archive_name(a));
			goto fail;
		}
	sd_dataset_measure(ds);
	memcpy(ds->mean, r->has_constants ? r->mean : ds->computed_mean, sizeof(ds->mean));
	memcpy(ds->std, r->has_constants ? r->std : ds->computed_std, sizeof(ds->std));
	/* a channel that never changes is left as it is, less its mean */
	for (int c = 0; c < ds->C; c++)
		if (!(ds->std[c] > 0))
			ds->std[c] = 1;
	ds->padding = r->padding;
	ds->mirror = r->mirror;
	*archive = a;
	return ds;
fail:
	sd_dataset_free(ds);
	sd_archive_close(a);
	*archive = NULL;
	return NULL;
}
