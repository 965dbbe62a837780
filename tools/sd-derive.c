/* sd-derive: from the weights of a search to the genotype they stand for. */
#include "arch/derive.h"
#include "base/buildinfo.h"
#include "base/opt.h"
#include "base/str.h"
#include "base/tool.h"
#include "train/genofile.h"

#include <stdlib.h>
#include <string.h>

#define TOOL "sd-derive"

static struct {
	bool allow_none, all, partial;
	int epoch, layers_in_cells;
	uint64_t random;
	const char *name, *primitives;
} o;
static struct sd_shared shared;
static struct sd_opt rows[] = {
	SD_OPT_FLAG("allow_none", NULL, SD_NUMERIC, &o.allow_none,
		"let 'none' be chosen like any other primitive"),
	SD_OPT_INT("epoch", NULL, SD_NUMERIC, &o.epoch, "0", "N",
		"take the weights as they were after epoch N, counted from 1; 0 is the last", SD_AT_LEAST(0)),
	SD_OPT_SEED("random", NULL, &o.random, NULL,
		"draw a random architecture of the search space instead, with this seed; SEARCH only says "
		"which space"),
	SD_OPT_TEXT("primitives", NULL, SD_NUMERIC, &o.primitives, NULL, "NAME|LIST",
		"with --random: the primitives of the space (default: those of SEARCH, else PRIMITIVES)"),
	SD_OPT_INT("layers_in_cells", NULL, SD_NUMERIC, &o.layers_in_cells, NULL, "N",
		"with --random: nodes of a cell (default: those of SEARCH, else 4)",
		SD_BETWEEN(1, SD_NODES_MAX)),
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
	.epilog = "Without SEARCH, or where it is -, the artifact is read from standard input; with --random\n"
		"there need not be one.",
};

static void print_genotype(FILE *f, const struct sd_genotype *g)
{
	char *text = sd_genotype_text(g);

	fprintf(f, "%s\n", text);
	free(text);
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
			print_genotype(f, &g);
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
		print_genotype(f, &g);
	sd_lineage_free(lineage);
	sd_genotype_release(&g);
	return rc;
}

/* Whether --update leaves nothing to do, or fails; *rc says which. */
static bool is_current(const struct sd_stamp *stamp, const char *output, int *rc)
{
	struct sd_str path = SD_STR_INIT;
	struct sd_genofile f;
	bool whole;
	int update;

	if (!shared.update && !shared.why)
		return false;
	sd_str_addf(&path, "%s%s", strchr(output, '/') ? "" : "./", output);
	whole = sd_genofile_open(&f, path.s) == 0;
	if (whole)
		sd_genofile_release(&f);
	update = sd_stamp_update(stamp, output, whole ? NULL : "damaged");
	sd_str_release(&path);
	if (update)
		*rc = update < 0 ? -1 : 0;
	return update != 0;
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
	if (sd_stamp_input(stamp, "search", sd_artifact_lineage(art), sd_artifact_name(art)) < 0)
		goto out;
	if (!o.all && is_current(stamp, output, &rc))
		goto out;
	if (!o.all && sd_stamp_check_target(stamp, output, shared.force) < 0)
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

static char *space; /* the primitives of a search: what the option then points to */

/* The space's options, unless they were given: of a search, or (NULL) the original's defaults. */
static int space_of(const char *search)
{
	struct sd_snapshots s = { 0 };
	struct sd_artifact *art;
	char steps[16];
	int rc = -1;

	if (!search)
		return sd_opts_default(&opts, "primitives", "PRIMITIVES") < 0 ||
			sd_opts_default(&opts, "layers_in_cells", "4") < 0 ? -1 : 0;
	art = sd_artifact_open(search, o.partial ? SD_ARTIFACT_PARTIAL : 0);
	if (art && sd_snapshots_read(&s, art) == 0) {
		snprintf(steps, sizeof(steps), "%d", s.steps);
		space = *s.list.name ? sd_xstrdup(s.list.name) : sd_primitive_list_text(&s.list);
		rc = sd_opts_default(&opts, "primitives", space) < 0 ||
			sd_opts_default(&opts, "layers_in_cells", steps) < 0 ? -1 : 0;
	}
	sd_snapshots_release(&s);
	sd_artifact_close(art);
	return rc;
}

/* The claim has the space by itself: the search that it was taken from changes nothing else. */
static int draw(const char *output)
{
	struct sd_lineage *lineage = NULL;
	struct sd_primitive_list list;
	struct sd_stamp *stamp = NULL;
	struct sd_out *out = NULL;
	struct sd_genotype g;
	char digest[65];
	FILE *f;
	int rc = -1;

	sd_genotype_init(&g);
	if (space_of(opts.noperand ? opts.operand[0] : NULL) < 0 ||
	    sd_primitive_list_parse(&list, o.primitives) < 0 || sd_genotype_set_name(&g, o.name) < 0 ||
	    sd_random_genotype(&g, o.random, o.layers_in_cells, &list, o.allow_none) < 0)
		goto out;
	if (*list.name)
		o.primitives = list.name; /* one name for one space in the claim */
	stamp = sd_stamp_new("genotype", &opts, &shared);
	if (is_current(stamp, output, &rc) || sd_stamp_check_target(stamp, output, shared.force) < 0)
		goto out;
	out = sd_out_open(output, SD_OUT_FORCE);
	f = out ? sd_out_stream(out) : NULL;
	if (!f)
		goto out;
	sd_genotype_digest(&g, digest);
	lineage = sd_stamp_make(stamp, digest);
	fprintf(f, "# random, seed %llu, %d nodes, 'none' %s, primitives %s (%s %s)\n",
		(unsigned long long)o.random, o.layers_in_cells, o.allow_none ? "allowed" : "skipped",
		*list.name ? list.name : "of its own", TOOL, sd_build_version);
	rc = sd_lineage_write(lineage, f);
	if (rc == 0) {
		print_genotype(f, &g);
		rc = sd_out_commit(out);
		out = NULL;
	}
out:
	sd_out_abandon(out);
	sd_lineage_free(lineage);
	sd_stamp_free(stamp);
	sd_genotype_release(&g);
	return rc;
}

static int check_options(void)
{
	if (o.all && (shared.update || shared.why))
		return sd_error(SD_ERR_USAGE, "--all prints a table, which --update and --why know nothing of");
	if (o.all && (sd_opts_given(&opts, "epoch") || sd_opts_given(&opts, "name")))
		return sd_error(SD_ERR_USAGE, "--all prints every epoch, without names: no --epoch or --name "
			"with it");
	if (sd_opts_given(&opts, "random")) {
		if (o.all || o.epoch)
			return sd_error(SD_ERR_USAGE, "--random has no epochs: no --epoch or --all with it");
	} else if (sd_opts_given(&opts, "primitives") || sd_opts_given(&opts, "layers_in_cells")) {
		return sd_error(SD_ERR_USAGE, "--primitives and --layers_in_cells are for --random: a search "
			"has its own");
	}
	return 0;
}

int main(int argc, char **argv)
{
	int done = sd_opts_parse(&opts, argc, argv), rc;
	const char *output;

	if (done)
		return done < 0 ? sd_tool_fail(TOOL) : sd_tool_close(TOOL);
	output = shared.output ? shared.output : "-";
	rc = check_options();
	if (rc == 0)
		rc = sd_opts_given(&opts, "random") ? draw(output) :
			derive(opts.noperand ? opts.operand[0] : "-", output);
	sd_opts_release(&opts);
	free(space);
	return rc < 0 ? sd_tool_fail(TOOL) : sd_tool_close(TOOL);
}
