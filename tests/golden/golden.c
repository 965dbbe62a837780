/* golden: compares what this program computes with recorded results of the reference.
 *
 *   golden [--device DEVICE] [DIR|FILE...]
 *
 * Each file says in its attributes what it is about; everything is rebuilt from them.  One line a check:
 * ok, FAILED or skipped, file, check, worst error, with tabs between.  Kinds of file that are not
 * supported are listed as skipped.  Ends with `N passed, N failed`. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "golden.h"

/* By the root attribute `what`; files are told apart by what they say, not by their names. */
static const struct {
	const char *what;
	int (*check)(struct gold *g, hid_t file);
} kinds[] = {
	{ "single primitives", gold_primitives },
	{ "single modules", gold_modules },
	{ "search supernet", gold_supernet },
	{ "Architect.step", gold_architect },
	{ "search steps", gold_search_steps },
	{ "final network", gold_train_net },
	{ "genotype_extractor.parse_cell", gold_derive },
	{ "cosine_power_annealing", gold_schedule },
	{ "cutout / batch cutout / random_eraser", gold_augment },
	{ "AutoAugment operations", gold_autoaugment },
	{ "label smoothing cross entropy", gold_label_smooth },
};

static void check_hdf5(struct gold *g, const char *path)
{
	hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
	char *what;
	int ret = 1;

	if (file < 0) {
		gold_result(g, "file", 0, "cannot open '%s' as HDF5", path);
		return;
	}
	what = gold_has_attr(file, ".", "what") ? gold_text(file, ".", "what") : NULL;
	sd_error(SD_ERR_DATA, "%s", what ? what : "does not say what it is");
	if (what) {
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
			if (!strncmp(what, kinds[i].what, strlen(kinds[i].what))) {
				ret = kinds[i].check(g, file);
				break;
			}
		}
	}
	if (ret > 0)
		gold_skip(g, "file", "not supported: %s", sd_error_text());
	else if (ret < 0)
		gold_error(g, "file");
	free(what);
	H5Fclose(file);
}

static void check_file(struct gold *g, const char *path)
{
	const char *slash = strrchr(path, '/'), *end = strrchr(path, '.');

	g->file = slash ? slash + 1 : path;
	if (!strncmp(g->file, "param_counts", 12) && end && !strcmp(end, ".tsv")) {
		if (gold_param_counts(g, path))
			gold_error(g, "file");
	} else if (end && !strcmp(end, ".h5")) {
		check_hdf5(g, path);
	} else {
		gold_skip(g, "file", "not supported");
	}
	fflush(stdout);
}

/* In a folder: recorded data, and not this program's own source beside it. */
static int is_data(const char *name)
{
	const char *end = strrchr(name, '.');

	return name[0] != '.' && strncmp(name, "README", 6) && !(end && (!strcmp(end, ".c") || !strcmp(end, ".h")));
}

static int check_path(struct gold *g, const char *path)
{
	struct stat st;
	struct dirent **entry;
	int n;

	if (stat(path, &st)) {
		sd_error_errno("cannot open '%s'", path);
		return -1;
	}
	if (!S_ISDIR(st.st_mode)) {
		check_file(g, path);
		return 0;
	}
	n = scandir(path, &entry, NULL, alphasort);
	if (n < 0) {
		sd_error_errno("cannot list '%s'", path);
		return -1;
	}
	for (int i = 0; i < n; i++) {
		char file[4096];

		snprintf(file, sizeof(file), "%s/%s", path, entry[i]->d_name);
		if (is_data(entry[i]->d_name) && !stat(file, &st) && S_ISREG(st.st_mode))
			check_file(g, file);
		free(entry[i]);
	}
	free(entry);
	return 0;
}

int main(int argc, char **argv)
{
	static char here[] = "tests/golden";
	static char *defaults[] = { here };
	struct gold g = {0};
	const char *device = "cpu";

	if (argc > 2 && !strcmp(argv[1], "--device")) {
		device = argv[2];
		argc -= 2;
		argv += 2;
	}
	char **path = argc > 1 ? argv + 1 : defaults;
	int n = argc > 1 ? argc - 1 : 1;

	H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
	g.engine = sd_engine_open(device, 0);
	if (!g.engine) {
		fprintf(stderr, "golden: %s\n", sd_error_text());
		return 1;
	}
	for (int i = 0; i < n; i++) {
		g.file = path[i];
		if (check_path(&g, path[i]))
			gold_error(&g, "file");
	}
	sd_engine_close(g.engine);
	if (g.skipped)
		printf("%d skipped\n", g.skipped);
	printf("%d passed, %d failed\n", g.passed, g.failed);
	return g.failed || !g.passed;
}
