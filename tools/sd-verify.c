/* sd-verify: is this what its manifest says, and where did it come from? */
#include "artifact/artifact.h"
#include "base/file.h"
#include "base/json.h"
#include "base/opt.h"
#include "base/str.h"
#include "base/tool.h"
#include "provenance/export.h"
#include "provenance/sign.h"
#include "train/genofile.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOOL "sd-verify"

enum status { SAME, DIFFERENT, TROUBLE };

static struct {
	bool print, canonical, chain, json, detached;
	struct sd_opt_list search, check;
	const char *sign, *output;
	int export;
} o;
enum export { NO_EXPORT, INTOTO, CRATE };
static struct sd_shared shared;
static struct sd_opt rows[] = {
	SD_OPT_FLAG("print", NULL, SD_OUTPUT, &o.print, "print the manifests, indented"),
	SD_OPT_FLAG("canonical", NULL, SD_OUTPUT, &o.canonical,
		"print the manifests byte for byte, one a line, as their seals are taken over them"),
	SD_OPT_FLAG("chain", NULL, SD_OUTPUT, &o.chain,
		    "print what each one came from, down to the raw files"),
	SD_OPT_FLAG("json", NULL, SD_OUTPUT, &o.json, "print the results as a JSON array"),
	SD_OPT_LIST("search_path", NULL, SD_INPUT_NAME, &o.search, "DIR",
		"with --chain: find the inputs among the files of this folder, by content, and check them "
		"too (repeatable)"),
	SD_OPT_TEXT("sign", NULL, SD_OUTPUT, &o.sign, NULL, "KEY",
		"sign each one with this Ed25519 key (PEM or OpenSSH), within the file"),
	SD_OPT_FLAG("detached", NULL, SD_OUTPUT, &o.detached,
		"with --sign: leave the file as it is and write the signature into ARTIFACT.dsse.json"),
	SD_OPT_LIST("check", NULL, SD_EXECUTION, &o.check, "PUB",
		"check that each one is signed with this public key (PEM, OpenSSH or minisign; repeatable: with all "
		"of them)"),
	SD_OPT_CHOICE("export", NULL, SD_OUTPUT, &o.export, "none", "none|in-toto|ro-crate",
		"print where it came from as an in-toto statement with a SLSA provenance, or as an RO-Crate"),
	SD_OPT_TEXT("output", "-o", SD_OUTPUT, &o.output, NULL, "FILE",
		"with --sign: write the signed artifact here; with --export ro-crate: the folder for the crate; - is "
		"standard output"),
	SD_OPT_FLAG("quiet", "-q", SD_EXECUTION, &shared.quiet, "don't print the OK lines"),
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

static enum status worse(enum status a, enum status b)
{
	return a > b ? a : b;
}

/* ---- one artifact ---- */

static enum status trouble(void)
{
	sd_tool_fail(TOOL);
	return TROUBLE;
}

/* An artifact in front, or what was one before its first line was damaged. */
static bool binary(const unsigned char *head, ssize_t n)
{
	static const char hdf5[] = "\211HDF\r\n\032\n";

	return n > 0 && (sd_artifact_magic(head, (size_t)n) || (n >= 520 && !memcmp(head + 512, hdf5, 8)));
}

/* A genotype in a text file.  As in check(). */
static enum status check_text(const char *name, struct sd_lineage **lineage, char **report)
{
	bool slash = strchr(name, '/') || strcmp(name, "-") == 0;
	struct sd_str path = SD_STR_INIT;
	struct sd_genofile f;
	int rc;

	sd_str_addf(&path, "%s%s", slash ? "" : "./", name);
	rc = sd_genofile_open(&f, path.s);
	sd_str_release(&path);
	if (strcmp(name, "-") == 0) /* for whoever wants it next */
		lseek(STDIN_FILENO, 0, SEEK_SET);
	if (rc == 0) {
		*lineage = f.lineage;
		f.lineage = NULL;
		sd_genofile_release(&f);
		if (*lineage)
			return SAME;
		sd_error(SD_ERR_DATA, "%s: a genotype without a manifest", sd_file_name(name));
		return TROUBLE;
	}
	if (sd_error_kind() != SD_ERR_DATA)
		return TROUBLE;
	*report = sd_xmalloc(strlen(sd_error_text()) + 2);
	sprintf(*report, "%s\n", sd_error_text());
	return DIFFERENT;
}

/* Whether a text has comments of ours, or once had: then what is wrong with it is a change. */
static bool has_manifest(const char *name)
{
	struct sd_blob b;
	bool yes;

	if (sd_blob_read(&b, name, 0) < 0)
		return false;
	yes = strstr((char *)b.data, "sd-manifest") || strstr((char *)b.data, "sd-seal");
	sd_blob_release(&b);
	if (strcmp(name, "-") == 0)
		lseek(STDIN_FILENO, 0, SEEK_SET);
	return yes;
}

/* The same without a look at the signatures. */
static enum status check_file(const char *name, struct sd_lineage **lineage, char **report)
{
	unsigned char head[520];
	ssize_t n = sd_file_peek(name, head, sizeof(head));
	int rc;

	*lineage = NULL;
	*report = NULL;
	if (n < 0)
		return TROUBLE;
	if (binary(head, n)) {
		rc = sd_artifact_check(name, lineage, report);
		return rc < 0 ? TROUBLE : rc ? DIFFERENT : SAME;
	}
	if (!has_manifest(name)) {
		sd_error(SD_ERR_DATA, "%s: not an artifact", sd_file_name(name));
		return TROUBLE;
	}
	return check_text(name, lineage, report);
}

/* SAME: *lineage; DIFFERENT: *report, a line for each thing, without the name; TROUBLE: a message. */
static enum status check(const char *name, struct sd_lineage **lineage, char **report)
{
	enum status st = check_file(name, lineage, report);
	struct sd_str text = SD_STR_INIT;

	if (st != SAME || sd_signatures_inspect(*lineage, &text) == 0)
		return st;
	free(*report);
	*report = sd_str_detach(&text);
	sd_lineage_free(*lineage);
	*lineage = NULL;
	return DIFFERENT;
}

static void print_report(const char *name, const char *report)
{
	for (const char *p = report; *p; p += strcspn(p, "\n") + 1)
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

static enum status sign(const char *operand, const struct sd_lineage *l)
{
	const char *output = o.output ? o.output : operand;

	if (o.detached ? sd_sign_beside(operand, l, secret) : sd_sign(operand, l, output, secret))
		return trouble();
	if (!shared.quiet && (o.detached || strcmp(output, "-") != 0))
		printf("%s: signed with key %s\n", o.detached ? operand : output,
			sd_secret_key_public(secret)->id);
	return SAME;
}

static enum status check_keys(const char *operand, struct sd_lineage *l)
{
	struct sd_str report = SD_STR_INIT;
	enum status st = SAME;

	if (sd_signatures_beside(operand, l) < 0)
		return trouble();
	if (sd_signatures_inspect(l, &report))
		st = DIFFERENT;
	for (int i = 0; i < o.check.n; i++) {
		if (sd_signatures_verify(l, &public[i], &report) != SD_GOOD)
			st = DIFFERENT;
		else if (!shared.quiet)
			printf("%s: signed with key %s\n", sd_file_name(operand), public[i].id);
	}
	if (report.s)
		print_report(sd_file_name(operand), report.s);
	sd_str_release(&report);
	return st;
}

/* What is said of an artifact that is as it should be: signatures, too, which nobody has checked. */
static void print_ok(const char *name, const struct sd_lineage *l)
{
	json_t *ids = sd_signatures_keyids(l), *id;
	size_t i;

	printf("%s: OK", name);
	json_array_foreach(ids, i, id)
		printf("%s%.12s", i ? ", " : " (not checked: signatures with key ", json_string_value(id));
	puts(json_array_size(ids) ? ")" : "");
	json_decref(ids);
}

/* ---- in the words of others ---- */

static enum status export(const char *operand, const struct sd_lineage *l)
{
	bool folder = o.output && strcmp(o.output, "-") != 0;
	struct sd_exported file;
	json_t *json;
	int rc;

	if (sd_exported_look(&file, operand, l) < 0)
		return trouble();
	json = o.export == INTOTO ? sd_export_intoto(l, &file) : sd_export_crate(l, &file);
	rc = folder ? sd_export_crate_write(o.output, operand, &file, json) : sd_json_print(json, stdout);
	json_decref(json);
	return rc < 0 ? trouble() : SAME;
}

/* ---- where it came from ---- */

/* The files of the search path. */
struct candidate {
	char *path;
	char id[SD_ID_LEN]; /* of an artifact, else "" */
	uint64_t size;
};
static struct candidate *candidates;
static int ncandidate;

static void read_id(struct candidate *c)
{
	char head[513] = "", *at;
	struct sd_genofile f;

	if (sd_file_peek(c->path, head, sizeof(head) - 1) < 0)
		return;
	if (sd_artifact_magic(head, sizeof(head) - 1)) {
		at = strstr(head, " id=");
		if (at)
			snprintf(c->id, sizeof(c->id), "%.64s", at + 4);
	} else if (head[0] == '#' && sd_genofile_open(&f, c->path) == 0) {
		if (f.lineage)
			memcpy(c->id, f.lineage->own->id, sizeof(c->id));
		sd_genofile_release(&f);
	}
}

static int add_folder(const char *dir)
{
	struct dirent **entry;
	int n = scandir(dir, &entry, NULL, alphasort);
	struct stat st;

	if (n < 0)
		return sd_error_errno("cannot read '%s'", dir);
	candidates = sd_xrealloc(candidates, (size_t)(ncandidate + n) * sizeof(*candidates));
	for (int i = 0; i < n; i++) {
		struct candidate *c = &candidates[ncandidate];
		struct sd_str path = SD_STR_INIT;

		sd_str_addf(&path, "%s/%s", dir, entry[i]->d_name);
		free(entry[i]);
		if (stat(path.s, &st) != 0 || !S_ISREG(st.st_mode)) {
			sd_str_release(&path);
			continue;
		}
		*c = (struct candidate){ .path = sd_str_detach(&path), .size = (uint64_t)st.st_size };
		read_id(c);
		ncandidate++;
	}
	free(entry);
	return 0;
}

/* An artifact by its id: checked as a whole. */
static enum status find_artifact(const char *id)
{
	for (int i = 0; i < ncandidate; i++) {
		struct sd_lineage *l;
		enum status st;
		char *report;

		if (strcmp(candidates[i].id, id) != 0)
			continue;
		st = check(candidates[i].path, &l, &report);
		if (st == SAME && strcmp(l->own->id, id) != 0)
			st = DIFFERENT;
		printf("  %s: %s", candidates[i].path, st == SAME ? "OK" : "has changed");
		sd_lineage_free(l);
		free(report);
		return st == SAME ? SAME : DIFFERENT;
	}
	printf("  not found");
	return TROUBLE;
}

/* A raw file by size and hash; one of the recorded name with other contents is a change. */
static enum status find_raw(const char *name, uint64_t size, const char *sha256)
{
	const char *base = name && strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
	const struct candidate *other = NULL;

	for (int i = 0; i < ncandidate; i++) {
		const struct candidate *c = &candidates[i];
		uint8_t digest[SD_SHA256_LEN];
		char hex[SD_ID_LEN] = "";
		int fd;

		if (base && strcmp(strrchr(c->path, '/') + 1, base) == 0)
			other = c;
		if (c->size != size)
			continue;
		fd = open(c->path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && sd_sha256_fd(fd, 0, c->path, digest, NULL) == 0)
			sd_sha256_hex(digest, hex);
		if (fd >= 0)
			close(fd);
		if (strcmp(hex, sha256) == 0) {
			printf("  %s: OK", c->path);
			return SAME;
		}
	}
	if (other)
		printf("  %s: has changed", other->path);
	else
		printf("  not found");
	return other ? DIFFERENT : TROUBLE;
}

static int find_seen(const char *const *seen, int nseen, const char *id)
{
	for (int i = 0; i < nseen; i++)
		if (strcmp(seen[i], id) == 0)
			return i;
	return -1;
}

/* Prints the inputs of m and what they came from in turn, each artifact's own once. */
static enum status print_inputs(const struct sd_lineage *l, const struct sd_manifest *m, int depth,
	const char **seen, int *nseen)
{
	json_t *names = json_object_get(m->context, "inputs"), *in;
	enum status worst = SAME;
	const char *role;

	json_object_foreach(json_object_get(m->claim, "inputs"), role, in) {
		const char *id = sd_json_text(in, "id"), *sha256 = sd_json_text(in, "sha256");
		const char *name = sd_json_text(json_object_get(names, role), "name");
		const struct sd_manifest *a = id ? sd_lineage_find(l, id) : NULL;
		long long size = json_integer_value(json_object_get(in, "size"));
		bool again = id && find_seen(seen, *nseen, id) >= 0;

		printf("%*s%s: ", 2 * depth, "", role);
		if (a)
			printf("%s %s (%s)%s", a->kind, id, a->tool, again ? " as above" : "");
		else
			printf("file %s, %lld bytes, sha256 %s", name ? name : "(name not kept)",
				size, sha256);
		if (o.search.n && a && !again)
			worst = worse(worst, find_artifact(id));
		else if (o.search.n && !a)
			worst = worse(worst, find_raw(name, (uint64_t)size, sha256));
		putchar('\n');
		if (a && !again) {
			seen[(*nseen)++] = id;
			worst = worse(worst, print_inputs(l, a, depth + 1, seen, nseen));
		}
	}
	return worst;
}

static enum status print_chain(const char *name, const struct sd_lineage *l)
{
	const char **seen = sd_xcalloc((size_t)l->nancestor + 1, sizeof(*seen));
	int nseen = 0;
	enum status st;

	printf("%s: %s %s (%s)\n", name, l->own->kind, l->own->id, l->own->tool);
	st = print_inputs(l, l->own, 1, seen, &nseen);
	free(seen);
	return st;
}

/* ---- results ---- */

static json_t *result(const char *name, enum status st, const struct sd_lineage *l, const char *report)
{
	static const char *const words[] = { "same", "different", "trouble" };
	json_t *r = json_pack("{s:o, s:s}", "file", sd_json_bytes(name), "status", words[st]);
	json_t *list = json_array();

	for (const char *p = report; p && *p; p += strcspn(p, "\n") + 1) {
		char *line = strndup(p, strcspn(p, "\n"));

		json_array_append_new(list, sd_json_bytes(line ? line : ""));
		free(line);
	}
	if (st == TROUBLE)
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

static enum status verify(const char *operand, json_t *results)
{
	const char *name = sd_file_name(operand);
	struct sd_lineage *l;
	char *report;
	enum status st = check(operand, &l, &report);

	if (results) {
		json_array_append_new(results, result(name, st, l, report));
	} else if (st == TROUBLE) {
		trouble();
	} else if (st == DIFFERENT) {
		print_report(name, report);
	} else if (o.canonical) {
		puts(l->own->text);
	} else if (o.print) {
		if (sd_json_print(l->own->json, stdout) < 0)
			st = trouble();
	} else if (o.chain) {
		st = print_chain(name, l);
	} else if (o.sign) {
		st = sign(operand, l);
	} else if (o.check.n) {
		st = check_keys(operand, l);
	} else if (o.export) {
		st = export(operand, l);
	} else if (!shared.quiet) {
		print_ok(name, l);
	}
	sd_lineage_free(l);
	free(report);
	return st;
}

static int check_usage(void)
{
	if (o.print + o.canonical + o.chain + o.json + !!o.sign + (o.check.n > 0) + (o.export != NO_EXPORT) > 1)
		return sd_error(SD_ERR_USAGE,
			"only one of --print, --canonical, --chain, --json, --sign, --check and --export goes");
	if (o.detached && (!o.sign || o.output))
		return sd_error(SD_ERR_USAGE, "--detached is for --sign, and without --output");
	if (o.output && !o.sign && o.export != CRATE)
		return sd_error(SD_ERR_USAGE, "--output is for --sign and --export ro-crate");
	if ((o.output || o.export) && opts.noperand > 1)
		return sd_error(SD_ERR_USAGE, "--output and --export go with a single artifact");
	if (o.search.n && !o.chain)
		return sd_error(SD_ERR_USAGE, "--search_path is for --chain");
	return sd_check_one_stdin(opts.operand, opts.noperand);
}

static enum status verify_all(void)
{
	enum status worst = SAME;
	json_t *results;

	if (check_usage() < 0)
		return trouble();
	for (int i = 0; i < o.search.n; i++)
		if (add_folder(o.search.v[i]) < 0)
			return trouble();
	if (read_keys() < 0)
		return trouble();
	results = o.json ? json_array() : NULL;
	for (int i = 0; i < opts.noperand; i++)
		worst = worse(worst, verify(opts.operand[i], results));
	if (results && sd_json_print(results, stdout) < 0)
		worst = trouble();
	json_decref(results);
	return worst;
}

int main(int argc, char **argv)
{
	int done = sd_opts_parse(&opts, argc, argv);
	enum status st;

	if (done < 0)
		return trouble();
	if (done)
		return sd_tool_close(TOOL) ? TROUBLE : SAME;
	st = verify_all();
	for (int i = 0; i < ncandidate; i++)
		free(candidates[i].path);
	free(candidates);
	free(public);
	sd_secret_key_free(secret);
	sd_opts_release(&opts);
	return sd_tool_close(TOOL) ? TROUBLE : (int)st;
}
