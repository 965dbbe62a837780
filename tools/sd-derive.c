/* sd-derive: from the weights of a search to the genotype they stand for. */
#include "base/buildinfo.h"
#include "base/opt.h"
#include "base/tool.h"
#include "train/genofile.h"

#include <stdlib.h>
#include <string.h>

#define TOOL "sd-derive"

static struct {
	bool allow_none, all, partial;
	int epoch;
	const char *name;
} o;
static struct sd_shared shared;
static struct sd_opt rows[] = {
	SD_OPT_FLAG("allow_none", NULL, SD_NUMERIC, &o.allow_none,
		"let 'none' be chosen like any other primitive"),
	SD_OPT_INT("epoch", NULL, SD_NUMERIC, &o.epoch, "0", "N",
		"take the weights as they were after epoch N, counted from 1; 0 is the last", SD_AT_LEAST(0)),
	SD_OPT_TEXT("name", NULL, SD_OUTPUT, &o.name, "genotype", "NAME", "what stands left of the '='"),
	SD_OPT_FLAG("all", NULL, SD_OUTPUT, &o.all,
		"print a table of the genotypes after all epochs instead: epoch, tab, genotype"),
	SD_OPT_FLAG("partial", NULL, SD_EXECUTION, &o.partial, "accept a search that isn't complete"),
	SD_OPTS_COMMON(shared),
	SD_OPTS_OUTPUT(shared),
	SD_OPT_END
};
static struct sd_opts opts = {
	.tool = TOOL,
	.summary = "derives the genotype from a search artifact, on standard output",
	.operands = "[SEARCH]",
	.max_operands = 1,
	.rows = rows,
	.epilog = "Without SEARCH, or where it is -, the artifact is read from standard input.",
};

static int print_genotype(FILE *f, const struct sd_genotype *g)
{
	char *text = sd_genotype_text(g);

	fprintf(f, "%s\n", text);
	free(text);
	return ferror(f) ? sd_error_errno("cannot write the genotype") : 0;
}

static int print_all(FILE *f, const struct sd_snapshots *s)
{
	struct sd_genotype g;
	int rc = 0, e;

	sd_genotype_init(&g);
	fputs("epoch\tgenotype\n", f);
	for (e = 1; e <= s->epochs && rc == 0; e++) {
		rc = sd_snapshots_derive(s, e, o.allow_none, &g);
		if (rc == 0) {
			fprintf(f, "%d\t", e);
			rc = print_genotype(f, &g);
		}
	}
	sd_genotype_release(&g);
	return rc;
}

/* The genotype artifact: comments for people, comments for programs, the literal. */
static int print_one(FILE *f, const struct sd_snapshots *s, struct sd_artifact *art,
	const struct sd_stamp *stamp)
{
	struct sd_lineage *lineage = NULL;
	struct sd_genotype g;
	char digest[65];
	int rc;

	sd_genotype_init(&g);
	rc = sd_genotype_set_name(&g, o.name);
	if (rc == 0)
		rc = sd_snapshots_derive(s, o.epoch, o.allow_none, &g);
	if (rc == 0) {
		sd_genotype_digest(&g, digest);
		lineage = sd_stamp_make(stamp, digest);
		fprintf(f, "# search %s\n# epoch %d of %d, 'none' %s, primitives %s (%s %s)\n",
			sd_artifact_lineage(art)->own->id, o.epoch, s->epochs,
			o.allow_none ? "allowed" : "skipped", *s->list.name ? s->list.name : "of its own",
			TOOL, sd_build_version);
		rc = sd_lineage_write(lineage, f);
	}
	if (rc == 0)
		rc = print_genotype(f, &g);
	sd_lineage_free(lineage);
	sd_genotype_release(&g);
	return rc;
}

static int derive(const char *input, const char *output)
{
	struct sd_artifact *art = sd_artifact_open(input, o.partial ? SD_ARTIFACT_PARTIAL : 0);
	struct sd_snapshots s = { 0 };
	struct sd_stamp *stamp = NULL;
	struct sd_out *out = NULL;
	FILE *f;
	int rc = -1;

	if (!art || sd_snapshots_read(&s, art) < 0)
		goto out;
	if (!o.epoch)
		o.epoch = s.epochs; /* the claim has the epoch that it was */
	stamp = sd_stamp_new("genotype", &opts, &shared);
	if (sd_stamp_input(stamp, "search", sd_artifact_lineage(art), sd_artifact_name(art)) < 0 ||
	    (!o.all && sd_stamp_check_target(stamp, output, shared.force) < 0))
		goto out;
	out = sd_out_open(output, o.all && !shared.force ? 0 : SD_OUT_FORCE);
	f = out ? sd_out_stream(out) : NULL;
	if (!f)
		goto out;
	rc = o.all ? print_all(f, &s) : print_one(f, &s, art, stamp);
	if (rc == 0) {
		rc = sd_out_commit(out);
		out = NULL;
	}
out:
	sd_out_abandon(out);
	sd_stamp_free(stamp);
	sd_snapshots_release(&s);
	sd_artifact_close(art);
	return rc;
}

int main(int argc, char **argv)
{
	int done = sd_opts_parse(&opts, argc, argv), rc;

	if (done)
		return done < 0 ? sd_tool_fail(TOOL) : sd_tool_close(TOOL);
	if (o.all && (sd_opts_given(&opts, "epoch") || sd_opts_given(&opts, "name")))
		rc = sd_error(SD_ERR_USAGE, "--all prints every epoch, without names: no --epoch or --name "
			"with it");
	else
		rc = derive(opts.noperand ? opts.operand[0] : "-", shared.output ? shared.output : "-");
	sd_opts_release(&opts);
	return rc < 0 ? sd_tool_fail(TOOL) : sd_tool_close(TOOL);
}
