/* sd-dot: draws a genotype's cells, for Graphviz. */
#include "arch/dot.h"
#include "base/opt.h"
#include "base/str.h"
#include "base/tool.h"
#include "train/genofile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOOL "sd-dot"

static struct {
	int cell, epoch;
	bool allow_none, partial;
	const char *title;
} o;
static struct sd_shared shared;
static struct sd_opt rows[] = {
	SD_OPT_CHOICE("cell", NULL, SD_OUTPUT, &o.cell, "both", "both|normal|reduce", "which cell to draw"),
	SD_OPT_INT("epoch", NULL, SD_OUTPUT, &o.epoch, "0", "N",
		"of a search artifact: the genotype after epoch N, counted from 1; 0 is the last",
		SD_AT_LEAST(0)),
	SD_OPT_FLAG("allow_none", NULL, SD_OUTPUT, &o.allow_none,
		"of a search artifact: let 'none' be chosen like any other primitive"),
	SD_OPT_FLAG("partial", NULL, SD_EXECUTION, &o.partial, "accept a search that isn't complete"),
	SD_OPT_TEXT("title", NULL, SD_OUTPUT, &o.title, NULL, "TEXT", "the caption (default: the name)"),
	SD_OPT_TEXT("output", "-o", SD_OUTPUT, &shared.output, NULL, "FILE",
		"write the picture here, - is standard output"),
	SD_OPT_FLAG("force", NULL, SD_OUTPUT, &shared.force, "replace an existing file"),
	SD_OPTS_COMMON(shared),
	SD_OPT_END
};
static struct sd_opts opts = {
	.tool = TOOL,
	.summary = "draws the cells of a genotype in the DOT language, on standard output",
	.operands = "[GENOTYPE|SEARCH]",
	.max_operands = 1,
	.rows = rows,
	.epilog = "The operand is a file, if it has a slash or dot in it, or a name in genotypes/;\n"
		"without it, or where it is -, standard input is read.\n"
		"  sd-dot DARTS_V2 | dot -Tsvg > cells.svg",
};

/* Whether the file is an artifact; standard input is made such that it can be read again. */
static int is_artifact(const char *name)
{
	unsigned char head[512];
	int fd = sd_file_open(name);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = TEMP_FAILURE_RETRY(pread(fd, head, sizeof(head), 0));
	if (n < 0)
		sd_error_errno("cannot read '%s'", sd_file_name(name));
	if (!strcmp(name, "-") && (dup2(fd, STDIN_FILENO) < 0 || lseek(STDIN_FILENO, 0, SEEK_SET) < 0))
		n = sd_error_errno("cannot keep what came from (stdin)");
	if (fd != STDIN_FILENO)
		close(fd);
	return n < 0 ? -1 : sd_artifact_magic(head, (size_t)n);
}

/* The genotype of a search; `about` gets a caption. */
static int from_search(struct sd_genotype *g, const char *name, struct sd_str *about)
{
	struct sd_artifact *art = sd_artifact_open(name, o.partial ? SD_ARTIFACT_PARTIAL : 0);
	struct sd_snapshots s = { 0 };
	int rc = -1, epoch;

	if (art && sd_snapshots_read(&s, art) == 0) {
		epoch = o.epoch ? o.epoch : s.epochs;
		rc = sd_snapshots_derive(&s, epoch, o.allow_none, g);
		sd_str_addf(about, "epoch %d of %d", epoch, s.epochs);
	}
	sd_snapshots_release(&s);
	sd_artifact_close(art);
	return rc;
}

static int from_file(struct sd_genotype *g, const char *arch, struct sd_str *about)
{
	struct sd_genofile f;

	if (sd_opts_given(&opts, "epoch") || sd_opts_given(&opts, "allow_none"))
		return sd_error(SD_ERR_USAGE, "--epoch and --allow_none are for search artifacts, not for "
			"genotypes");
	if (sd_genofile_open(&f, arch) < 0)
		return -1;
	sd_genotype_copy(g, &f.g);
	if (g->name)
		sd_str_adds(about, g->name);
	sd_genofile_release(&f);
	return 0;
}

static int draw(const char *operand, const char *output)
{
	struct sd_str about = SD_STR_INIT, path = SD_STR_INIT;
	struct sd_out *out = NULL;
	struct sd_genotype g;
	const char *title;
	bool bare, file = strpbrk(operand, "/.") || !strcmp(operand, "-");
	int rc = -1, binary = 0;
	FILE *f;

	sd_genotype_init(&g);
	bare = file && !strchr(operand, '/') && strcmp(operand, "-");
	sd_str_addf(&path, "%s%s", bare ? "./" : "", operand);
	if (file)
		binary = is_artifact(path.s);
	if (binary < 0)
		goto out;
	if ((binary ? from_search(&g, path.s, &about) : from_file(&g, path.s, &about)) < 0)
		goto out;
	out = sd_out_open(output, shared.force ? SD_OUT_FORCE : 0);
	f = out ? sd_out_stream(out) : NULL;
	if (!f)
		goto out;
	title = o.title ? o.title : about.s;
	if (sd_genotype_dot(f, &g, (enum sd_dot_cells)o.cell, title && *title ? title : NULL) < 0)
		goto out;
	rc = sd_out_commit(out);
	out = NULL;
out:
	sd_out_abandon(out);
	sd_genotype_release(&g);
	sd_str_release(&about);
	sd_str_release(&path);
	return rc;
}

int main(int argc, char **argv)
{
	int done = sd_opts_parse(&opts, argc, argv), rc;

	if (done)
		return done < 0 ? sd_tool_fail(TOOL) : sd_tool_close(TOOL);
	rc = draw(opts.noperand ? opts.operand[0] : "-", shared.output ? shared.output : "-");
	sd_opts_release(&opts);
	return rc < 0 ? sd_tool_fail(TOOL) : sd_tool_close(TOOL);
}
