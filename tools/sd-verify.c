/* sd-verify: is this what its manifest says, and where did it come from?
 *
 * What can be done with an artifact is a row of the table of modes; most of it is in lib/provenance. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/opt.h"
#include "base/sig.h"
#include "base/str.h"
#include "base/tool.h"
#include "provenance/chain.h"
#include "provenance/check.h"
#include "provenance/cite.h"
#include "provenance/diff.h"
#include "provenance/diverge.h"
#include "provenance/export.h"
#include "provenance/rerun.h"
#include "provenance/script.h"
#include "provenance/sign.h"

#define TOOL "sd-verify"

static struct {
	bool print, canonical, record, chain, json, detached, first_divergence, rerun, diff, script, cite;
	struct sd_opt_list search, check, runs;
	const char *sign, *output;
	int export, format;
} o;
enum { TEXT, JSON };
enum export { INTOTO, CRATE };
static struct sd_shared shared;
static struct sd_opt rows[] = {
	SD_OPT_FLAG("print", NULL, SD_OUTPUT, &o.print, "print the manifests, indented"),
	SD_OPT_FLAG("canonical", NULL, SD_OUTPUT, &o.canonical,
		"print the manifests byte for byte, one a line, as their seals are taken over them"),
	SD_OPT_FLAG("record", NULL, SD_OUTPUT, &o.record,
		"print the manifests of each one and of all that it came from, as a text that is checked and made again "
		"like an artifact"),
	SD_OPT_FLAG("chain", NULL, SD_OUTPUT, &o.chain,
		    "print what each one came from, down to the raw files"),
	SD_OPT_FLAG("json", NULL, SD_OUTPUT, &o.json, "print the results as a JSON array"),
	SD_OPT_FLAG("first_divergence", NULL, SD_OUTPUT, &o.first_divergence,
		    "say at which step two searches or trainings part, and what differs first"),
	SD_OPT_LIST("search_path", NULL, SD_INPUT_NAME, &o.search, "DIR",
		"with --chain: find the inputs among the files of this folder, by content, and check them "
		"too; with --rerun: look there first (repeatable)"),
	SD_OPT_FLAG("rerun", NULL, SD_EXECUTION, &o.rerun,
		"make each one again from its claim and compare: BITWISE, NUMERIC, STATISTICAL or BROKEN; with --chain "
		"all that it came from, too"),
	SD_OPT_LIST("runs", NULL, SD_INPUT_NAME, &o.runs, "FILE|DIR",
		"with --rerun: other runs of the recipe, to compare what isn't the same with (repeatable)"),
	SD_OPT_FLAG("diff", NULL, SD_OUTPUT, &o.diff, "print what two of them differ in: claim, payload, context"),
	SD_OPT_CHOICE("format", NULL, SD_OUTPUT, &o.format, "text", "text|json", "of --rerun and --diff"),
	SD_OPT_FLAG("script", NULL, SD_OUTPUT, &o.script,
		    "print the shell script that makes one again from the raw files"),
	SD_OPT_FLAG("cite", NULL, SD_OUTPUT, &o.cite,
		    "print the paragraph for a paper that says how they were made; runs of one recipe together"),
	SD_OPT_TEXT("sign", NULL, SD_OUTPUT, &o.sign, NULL, "KEY",
		"sign each one with this Ed25519 key (PEM or OpenSSH), within the file; with --export in-toto: put "
		"the statement into a signed envelope"),
	SD_OPT_FLAG("detached", NULL, SD_OUTPUT, &o.detached,
		"with --sign: leave the file as it is and write the signature into ARTIFACT.dsse.json"),
	SD_OPT_LIST("check", NULL, SD_EXECUTION, &o.check, "PUB",
		"check that each one is signed with this public key (PEM, OpenSSH or minisign; repeatable: with all "
		"of them)"),
	SD_OPT_CHOICE("export", NULL, SD_OUTPUT, &o.export, NULL, "in-toto|ro-crate",
		"print where it came from as an in-toto statement with a SLSA provenance, or as an RO-Crate"),
	SD_OPT_TEXT("output", "-o", SD_OUTPUT, &o.output, NULL, "FILE",
		"with --sign: write the signed artifact here; with --export ro-crate: the folder for the crate; - is "
		"standard output"),
	SD_OPTS_THREADS(shared),
	SD_OPT_FLAG("quiet", "-q", SD_EXECUTION, &shared.quiet, "don't print the OK lines, nor the evidence"),
	SD_OPT_END
};
static struct sd_opts opts = {
	.tool = TOOL,
	.summary = "checks artifacts against their manifests",
	.operands = "ARTIFACT...",
	.min_operands = 1,
	.max_operands = -1,
	.rows = rows,
	.epilog = "Exit status: 0 all are as they should be, 1 something has changed, 2 trouble.",
};

static enum sd_status trouble(void)
{
	sd_tool_fail(TOOL);
	return SD_TROUBLE;
}

/* ---- modes: with each artifact that is as it should be ---- */

/* What is said of an artifact that is as it should be: signatures, too, which nobody has checked. */
static enum sd_status say_ok(const char *operand, struct sd_lineage *l)
{
	json_t *ids, *id;
	size_t i;

	if (shared.quiet)
		return SD_SAME;
	ids = sd_signatures_keyids(l);
	printf("%s: OK", sd_file_name(operand));
	json_array_foreach(ids, i, id)
		printf("%s%.12s", i ? ", " : " (not checked: signatures with key ", json_string_value(id));
	puts(json_array_size(ids) ? ")" : "");
	json_decref(ids);
	return SD_SAME;
}

static enum sd_status print_canonical(const char *operand, struct sd_lineage *l)
{
	(void)operand;
	puts(l->own->text);
	return SD_SAME;
}

static enum sd_status print_manifest(const char *operand, struct sd_lineage *l)
{
	(void)operand;
	return sd_json_print(l->own->json, stdout) < 0 ? trouble() : SD_SAME;
}

static enum sd_status print_script(const char *operand, struct sd_lineage *l)
{
	return sd_script_print(operand, l, stdout) < 0 ? trouble() : SD_SAME;
}

static enum sd_status print_record(const char *operand, struct sd_lineage *l)
{
	(void)operand;
	return sd_lineage_write(l, stdout) < 0 ? trouble() : SD_SAME;
}

static struct sd_finder finder;

static enum sd_status print_chain(const char *operand, struct sd_lineage *l)
{
	return sd_chain_print(sd_file_name(operand), l, o.search.n ? &finder : NULL);
}

static void print_report(const char *name, const char *report)
{
	for (const char *p = report; p && *p; p += strcspn(p, "\n") + 1)
		printf("%s: %.*s\n", name, (int)strcspn(p, "\n"), p);
}

/* ---- signatures ---- */

static struct sd_secret_key *secret;
static struct sd_public_key *public; /* (o.check.n) */

static int read_keys(void)
{
	public = sd_xcalloc((size_t)o.check.n, sizeof(*public));
	for (int i = 0; i < o.check.n; i++)
		if (sd_public_key_read(&public[i], o.check.v[i]) < 0)
			return -1;
	if (o.sign)
		secret = sd_secret_key_read(o.sign);
	return o.sign && !secret ? -1 : 0;
}

static enum sd_status sign(const char *operand, struct sd_lineage *l)
{
	const char *output = o.output ? o.output : operand;

	if (o.detached ? sd_sign_beside(operand, l, secret) : sd_sign(operand, l, output, secret))
		return trouble();
	if (!shared.quiet && (o.detached || strcmp(output, "-") != 0))
		printf("%s: signed with key %s\n", o.detached ? operand : output,
			sd_secret_key_public(secret)->id);
	return SD_SAME;
}

static enum sd_status check_keys(const char *operand, struct sd_lineage *l)
{
	struct sd_str report = SD_STR_INIT;
	enum sd_status st = SD_SAME;

	if (sd_signatures_beside(operand, l) < 0)
		return trouble();
	if (sd_signatures_inspect(l, &report))
		st = SD_DIFFERENT;
	for (int i = 0; i < o.check.n; i++) {
		if (sd_signatures_verify(l, &public[i], &report) != SD_GOOD)
			st = SD_DIFFERENT;
		else if (!shared.quiet)
			printf("%s: signed with key %s\n", sd_file_name(operand), public[i].id);
	}
	if (report.s)
		print_report(sd_file_name(operand), report.s);
	sd_str_release(&report);
	return st;
}

/* ---- in the words of others ---- */

static enum sd_status export(const char *operand, struct sd_lineage *l)
{
	bool folder = o.output && strcmp(o.output, "-") != 0;
	struct sd_exported file;
	json_t *json;
	int rc;

	if (sd_exported_look(&file, operand, l) < 0)
		return trouble();
	json = o.export == INTOTO ? sd_export_intoto(l, &file) : sd_export_crate(l, &file);
	if (secret) {
		char *text = sd_sign_statement(json, secret);

		rc = text ? 0 : -1;
		if (text)
			puts(text);
		free(text);
	} else {
		rc = folder ? sd_export_crate_write(o.output, operand, &file, json) : sd_json_print(json, stdout);
	}
	json_decref(json);
	return rc < 0 ? trouble() : SD_SAME;
}

/* ---- modes: with all operands together ---- */

static json_t *result(const char *name, enum sd_status st, const struct sd_lineage *l, const char *report)
{
	static const char *const words[] = { "same", "different", "trouble" };
	json_t *r = json_pack("{s:o, s:s}", "file", sd_json_bytes(name), "status", words[st]);
	json_t *list = json_array();

	for (const char *p = report; p && *p; p += strcspn(p, "\n") + 1) {
		char *line = strndup(p, strcspn(p, "\n"));

		json_array_append_new(list, sd_json_bytes(line ? line : ""));
		free(line);
	}
	if (st == SD_TROUBLE)
		json_array_append_new(list, sd_json_bytes(sd_error_text()));
	json_object_set_new(r, "problems", list);
	if (l) {
		json_object_set_new(r, "id", json_string(l->own->id));
		json_object_set_new(r, "seal", json_string(l->own->seal));
		json_object_set_new(r, "recipe", json_string(l->own->recipe));
		json_object_set_new(r, "signatures", sd_signatures_keyids(l));
		json_object_set(r, "manifest", l->own->json);
	}
	return r;
}

static enum sd_status print_json(int n, const char *const *operand)
{
	json_t *results = json_array();
	enum sd_status worst = SD_SAME;

	for (int i = 0; i < n; i++) {
		struct sd_lineage *l;
		char *report;
		enum sd_status st = sd_check(operand[i], &l, &report);

		json_array_append_new(results, result(sd_file_name(operand[i]), st, l, report));
		worst = sd_worse(worst, st);
		sd_lineage_free(l);
		free(report);
	}
	if (sd_json_print(results, stdout) < 0)
		worst = trouble();
	json_decref(results);
	return worst;
}

static enum sd_status print_citation(int n, const char *const *operand)
{
	struct sd_lineage **l = sd_xcalloc((size_t)n, sizeof(*l));
	enum sd_status st = SD_SAME;

	for (int i = 0; i < n && st == SD_SAME; i++) {
		l[i] = sd_check_whole(operand[i]);
		if (!l[i])
			st = trouble();
	}
	if (st == SD_SAME && sd_cite_print(n, operand, l, stdout) < 0)
		st = trouble();
	for (int i = 0; i < n; i++)
		sd_lineage_free(l[i]);
	free(l);
	return st;
}

/* The step at which two runs part, run again of both: what differs first in it. */
static void show_step(const char *const operand[2], const struct sd_divergence *d)
{
	const struct sd_rerun_options options = { .tool = TOOL, .search = &o.search, .runs = &o.runs,
		.threads = shared.threads, .quiet = true };
	struct sd_rerun *r = d->step ? sd_rerun_new(&options) : NULL;
	char *table[2] = { NULL, NULL };

	if (!d->step)
		sd_tool_say(TOOL, false, "the traces have one row an epoch, which does not tell the step to be run again");
	else if (!r)
		trouble();
	for (int i = 0; r && i < 2; i++) {
		struct sd_lineage *l = sd_check_whole(operand[i]);

		table[i] = l ? sd_rerun_step(r, operand[i], l, d->step) : NULL;
		if (!table[i])
			trouble();
	}
	if (r)
		sd_step_tables_print(d, operand, (const char *const *)table);
	free(table[0]);
	free(table[1]);
	sd_rerun_free(r);
}

static enum sd_status first_divergence(int n, const char *const *operand)
{
	struct sd_divergence d;
	enum sd_status st = sd_first_divergence(operand[0], operand[n - 1], &d);

	if (st == SD_DIFFERENT && o.rerun && d.row < d.rows)
		show_step(operand, &d);
	return st == SD_TROUBLE ? trouble() : st;
}

static enum sd_status rerun(int n, const char *const *operand)
{
	const struct sd_rerun_options options = { .tool = TOOL, .search = &o.search, .runs = &o.runs,
		.threads = shared.threads, .quiet = shared.quiet, .chain = o.chain };
	struct sd_rerun *r = sd_rerun_new(&options);
	enum sd_status worst = SD_SAME;

	if (!r)
		return trouble();
	for (int i = 0; i < n && !sd_sig_pending(); i++) {
		struct sd_lineage *l;
		char *report;
		enum sd_status st = sd_check(operand[i], &l, &report);

		if (st == SD_SAME)
			st = sd_rerun_artifact(r, operand[i], l);
		else if (st == SD_TROUBLE)
			trouble();
		else
			sd_tool_say(TOOL, false, "%s: %.*s", sd_file_name(operand[i]), (int)strcspn(report, "\n"), report);
		worst = sd_worse(worst, st);
		free(report);
	}
	if (o.format == JSON && sd_rerun_print_json(r, stdout) < 0)
		worst = trouble();
	else if (o.format == TEXT)
		sd_rerun_print(r, stdout);
	sd_rerun_free(r);
	return worst;
}

static enum sd_status diff(int n, const char *const *operand)
{
	struct sd_lineage *a = sd_check_whole(operand[0]), *b = a ? sd_check_whole(operand[n - 1]) : NULL;
	const char *name[2] = { sd_file_name(operand[0]), sd_file_name(operand[n - 1]) };
	enum sd_status st = SD_TROUBLE;
	struct sd_diff d;
	json_t *json;

	if (b && sd_diff_make(&d, operand[0], a, operand[n - 1], b) == 0) {
		st = sd_diff_same(&d) ? SD_SAME : SD_DIFFERENT;
		if (o.format == JSON) {
			json = sd_diff_to_json(&d, name[0], name[1]);
			if (sd_json_print(json, stdout) < 0)
				st = trouble();
			json_decref(json);
		} else {
			sd_diff_print(&d, name[0], name[1], stdout);
		}
		sd_diff_release(&d);
	} else {
		trouble();
	}
	sd_lineage_free(a);
	sd_lineage_free(b);
	return st;
}

/* One of them is chosen: the first whose option was given and that takes all other options given. */
static const struct mode {
	const char *option; /* NULL: without any */
	/* Either is called for each operand that was checked and found as it should be, or once for all of
	 * them, unchecked. */
	enum sd_status (*each)(const char *operand, struct sd_lineage *l);
	enum sd_status (*all)(int n, const char *const *operand);
	int noperand;       /* how many operands there must be; 0: any number */
	const char *with;   /* further options that it takes, blanks between them; all take -q and --threads */
} modes[] = {
	{ .option = "print", .each = print_manifest },
	{ .option = "canonical", .each = print_canonical },
	{ .option = "record", .each = print_record, .noperand = 1 },
	{ .option = "chain", .each = print_chain, .with = "search_path" },
	{ .option = "rerun", .all = rerun, .with = "chain search_path runs format" },
	{ .option = "diff", .all = diff, .noperand = 2, .with = "format" },
	{ .option = "script", .each = print_script, .noperand = 1 },
	{ .option = "cite", .all = print_citation },
	{ .option = "json", .all = print_json },
	{ .option = "first_divergence", .all = first_divergence, .noperand = 2,
	  .with = "rerun search_path threads" },
	{ .option = "sign", .each = sign, .with = "detached output" },
	{ .option = "check", .each = check_keys },
	{ .option = "export", .each = export, .noperand = 1, .with = "output sign" },
	{ .option = NULL, .each = say_ok },
};

/* ---- choosing and running ---- */

static bool takes(const struct mode *m, const char *option)
{
	size_t n = strlen(option);

	if (strcmp(option, "quiet") == 0 || strcmp(option, "threads") == 0 ||
	    (m->option && strcmp(option, m->option) == 0))
		return true;
	for (const char *p = m->with; p && *p; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");

		if (len == n && memcmp(p, option, n) == 0)
			return true;
		p += len;
	}
	return false;
}

/* The first option given that is none of the mode's, or NULL. */
static const char *stranger(const struct mode *m)
{
	for (const struct sd_opt *row = rows; row->type != SD_OPT_TYPE_END; row++)
		if (row->given && !takes(m, row->name))
			return row->name;
	return NULL;
}

/* Says what an option is for that is none of a plain check's. */
static void needs_mode(const char *option)
{
	struct sd_str s = SD_STR_INIT;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (takes(&modes[i], option))
			sd_str_addf(&s, "%s--%s", s.len ? " and " : "", modes[i].option);
	sd_error(SD_ERR_USAGE, "--%s is for %s", option, s.s);
	sd_str_release(&s);
}

static const struct mode *choose_mode(void)
{
	enum { NMODE = sizeof(modes) / sizeof(modes[0]) };
	const struct mode *plain = &modes[NMODE - 1], *asked = plain;
	const char *other = "", *s;

	for (int i = 0; i < NMODE; i++) {
		const struct mode *m = &modes[i];

		if (m->option && !sd_opts_given(&opts, m->option))
			continue;
		s = stranger(m);
		if (!s) {
			if (!m->noperand || opts.noperand == m->noperand)
				return m;
			sd_error(SD_ERR_USAGE, "--%s takes %d artifact%s, not %d", m->option, m->noperand,
				m->noperand > 1 ? "s" : "", opts.noperand);
			return NULL;
		}
		if (asked == plain) {
			asked = m;
			other = s;
		}
	}
	if (asked != plain)
		sd_error(SD_ERR_USAGE, "--%s and --%s don't go together", asked->option, other);
	else
		needs_mode(other);
	return NULL;
}

static enum sd_status verify(const struct mode *m, const char *operand)
{
	const char *name = sd_file_name(operand);
	struct sd_lineage *l;
	char *report;
	enum sd_status st = sd_check(operand, &l, &report);

	if (st == SD_TROUBLE)
		trouble();
	else if (st == SD_SAME)
		st = m->each(operand, l);
	print_report(name, report);
	sd_lineage_free(l);
	free(report);
	return st;
}

static int check_usage(void)
{
	if (o.detached && o.output)
		return sd_error(SD_ERR_USAGE, "--detached is for --sign without --output");
	if (o.output && sd_opts_given(&opts, "export") && o.export == INTOTO)
		return sd_error(SD_ERR_USAGE, "--output is for --sign and --export ro-crate");
	if (o.sign && sd_opts_given(&opts, "export") && o.export == CRATE)
		return sd_error(SD_ERR_USAGE, "--sign goes with --export in-toto, not with ro-crate");
	if (o.output && opts.noperand > 1)
		return sd_error(SD_ERR_USAGE, "--output goes with a single artifact");
	return sd_check_one_stdin(opts.operand, opts.noperand);
}

static enum sd_status run(void)
{
	const struct mode *m = choose_mode();
	enum sd_status worst = SD_SAME;

	sd_digest_threads(shared.threads);
	if (!m || check_usage() < 0 || read_keys() < 0)
		return trouble();
	for (int i = 0; m->each == print_chain && i < o.search.n; i++)
		if (sd_finder_add_folder(&finder, o.search.v[i]) < 0)
			return trouble();
	if (m->all)
		return m->all(opts.noperand, opts.operand);
	for (int i = 0; i < opts.noperand; i++)
		worst = sd_worse(worst, verify(m, opts.operand[i]));
	return worst;
}

int main(int argc, char **argv)
{
	int done = sd_opts_parse(&opts, argc, argv);
	enum sd_status st;

	if (done < 0)
		return trouble();
	if (done)
		return sd_tool_close(TOOL) ? SD_TROUBLE : SD_SAME;
	st = run();
	sd_finder_release(&finder);
	free(public);
	sd_secret_key_free(secret);
	sd_opts_release(&opts);
	if (sd_sig_pending())
		sd_sig_reraise(sd_sig_pending());
	return sd_tool_close(TOOL) ? SD_TROUBLE : (int)st;
}
