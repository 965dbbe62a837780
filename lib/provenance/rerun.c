/* rerun.c: makes artifacts again from their claims. */
#include "provenance/rerun_priv.h"

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "arch/arch.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sig.h"
#include "base/tool.h"
#include "provenance/launch.h"

const char *const sd_rerun_verdict_name[] = {
	[SD_VERDICT_UNTRIED] = "UNTRIED", [SD_VERDICT_BITWISE] = "BITWISE", [SD_VERDICT_NUMERIC] = "NUMERIC",
	[SD_VERDICT_STATISTICAL] = "STATISTICAL", [SD_VERDICT_BROKEN] = "BROKEN",
};

struct sd_rerun *sd_rerun_new(const struct sd_rerun_options *o)
{
	struct sd_rerun *r = sd_xcalloc(1, sizeof(*r));

	r->o = o;
	for (int i = 0; i < o->search->n; i++)
		if (sd_finder_add_folder(&r->finder, o->search->v[i]) < 0)
			goto fail;
	r->dir = sd_tempdir_make();
	if (!r->dir)
		goto fail;
	sd_sig_install();
	return r;
fail:
	sd_rerun_free(r);
	return NULL;
}

void sd_rerun_free(struct sd_rerun *r)
{
	if (!r)
		return;
	for (int i = 0; i < r->nstage; i++) {
		struct sd_stage *s = r->stage[i];

		free(s->name);
		free(s->found);
		free(s->made);
		sd_str_release(&s->evidence);
		json_decref(s->differences);
		free(s);
	}
	for (int i = 0; i < r->nlineage; i++)
		sd_lineage_free(r->lineage[i]);
	sd_finder_release(&r->finder);
	sd_tempdir_remove(r->dir);
	free(r->lineage);
	free(r->stage);
	free(r->order);
	free(r);
}

void sd_stage_say(struct sd_stage *s, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sd_str_addf(&s->evidence, "%s\n", text);
}

/* What a message is to begin with: the file's name, or for an ancestor its kind and id. */
static const char *title(const struct sd_stage *s, char buf[64])
{
	if (s->name)
		return s->name;
	snprintf(buf, 64, "%s %.12s", s->m->kind, s->m->id);
	return buf;
}

static struct sd_stage *stage_of(struct sd_rerun *r, const struct sd_lineage *l, const struct sd_manifest *m)
{
	struct sd_stage *s;

	for (int i = 0; i < r->nstage; i++)
		if (strcmp(r->stage[i]->m->id, m->id) == 0)
			return r->stage[i];
	s = sd_xcalloc(1, sizeof(*s));
	s->m = m;
	s->l = l;
	r->stage = sd_xrealloc(r->stage, (size_t)(r->nstage + 1) * sizeof(*r->stage));
	r->stage[r->nstage++] = s;
	return s;
}

/* ---- inputs ---- */

/* The names that a manifest recorded for its inputs, and where a genotype of that name would be found. */
static void add_recorded(struct sd_rerun *r, const struct sd_manifest *m)
{
	const char *folder = sd_json_text(m->context, "folder"), *role;
	json_t *in;

	json_object_foreach(json_object_get(m->context, "inputs"), role, in) {
		const char *name = sd_json_text(in, "name");
		struct sd_str path = SD_STR_INIT;

		if (!name)
			continue;
		sd_str_addf(&path, "%s%s%s", folder && *name != '/' ? folder : "",
			folder && *name != '/' ? "/" : "", name);
		sd_finder_add_file(&r->finder, path.s);
		sd_str_release(&path);
	}
}

/* Where to look besides the search path: the artifact's folder, the working folder, recorded names, and where
 * genotypes are found by name. */
static int add_places(struct sd_rerun *r, const char *name, const struct sd_lineage *l)
{
	const char *slash = strrchr(name, '/');
	struct sd_str dir = SD_STR_INIT;
	char *genotypes;
	int rc = 0;

	if (slash) {
		sd_str_add(&dir, name, (size_t)(slash - name) + (slash == name));
		rc = sd_finder_add_folder(&r->finder, dir.s);
	}
	sd_str_release(&dir);
	if (rc == 0 && r->nlineage == 0)
		rc = sd_finder_add_folder(&r->finder, ".");
	for (int i = 0; rc == 0 && r->nlineage == 0 && (genotypes = sd_genotype_folder(i)); i++) {
		if (access(genotypes, F_OK) == 0)
			rc = sd_finder_add_folder(&r->finder, genotypes);
		free(genotypes);
	}
	add_recorded(r, l->own);
	for (int i = 0; i < l->nancestor; i++)
		add_recorded(r, l->ancestor[i]);
	return rc;
}

/* Looks for the file of an artifact and checks it. */
static void look_for(struct sd_rerun *r, struct sd_stage *s)
{
	if (s->looked)
		return;
	s->looked = true;
	for (int i = 0; i < r->finder.n && !s->found; i++) {
		const char *path = r->finder.file[i].path;
		struct sd_lineage *l;
		char *report;

		if (strcmp(r->finder.file[i].id, s->m->id) != 0)
			continue;
		if (sd_check(path, &l, &report) == SD_SAME && strcmp(l->own->id, s->m->id) == 0)
			s->found = realpath(path, NULL);
		else
			sd_stage_say(s, "%s: has changed", path);
		sd_lineage_free(l);
		free(report);
	}
}

static void try_stage(struct sd_rerun *r, struct sd_stage *s);

/* The path of an artifact as an input: as it was found, else made again.  NULL with a message. */
static char *artifact_path(struct sd_rerun *r, struct sd_stage *s, const char *role, const char *id)
{
	const struct sd_manifest *m = sd_lineage_find(s->l, id);
	struct sd_stage *a = m ? stage_of(r, s->l, m) : NULL;
	char buf[64];

	if (!a) {
		sd_error(SD_ERR_DATA, "the manifest of its input '%s' is missing", role);
		return NULL;
	}
	look_for(r, a);
	if (r->o->chain || !a->found)
		try_stage(r, a);
	if (a->made && (r->o->chain || !a->found)) {
		sd_stage_say(s, "%s: made again, %s", role, sd_rerun_verdict_name[a->verdict]);
		return sd_xstrdup(a->made);
	}
	if (a->found) {
		sd_stage_say(s, "%s: %s", role, a->found);
		return sd_xstrdup(a->found);
	}
	if (sd_sig_pending())
		sd_error(SD_ERR_STOPPED, "stopped");
	else
		sd_error(SD_ERR_NOINPUT, "its input '%s' (%s) was not found, and could not be made again: %.*s", role,
			title(a, buf), (int)strcspn(a->evidence.s, "\n"), a->evidence.s);
	return NULL;
}

/* A folder by the recorded name, or of that name within the search path. */
static char *folder_path(const struct sd_rerun *r, const char *name)
{
	const char *base = sd_base_name(name);
	struct stat st;

	for (int i = 0; i < r->o->search->n; i++) {
		struct sd_str path = SD_STR_INIT;
		char *found = NULL;

		sd_str_addf(&path, "%s/%s", r->o->search->v[i], base);
		if (stat(path.s, &st) == 0 && S_ISDIR(st.st_mode))
			found = realpath(path.s, NULL);
		sd_str_release(&path);
		if (found)
			return found;
	}
	return stat(name, &st) == 0 && S_ISDIR(st.st_mode) ? realpath(name, NULL) : NULL;
}

static char *raw_file(struct sd_rerun *r, struct sd_stage *s, const char *role, const json_t *in)
{
	const char *sha256 = sd_json_text(in, "sha256");
	long long size = json_integer_value(json_object_get(in, "size"));
	const char *name = sd_json_text(json_object_get(json_object_get(s->m->context, "inputs"), role), "name");
	const char *path = sd_finder_raw(&r->finder, (uint64_t)size, sha256, NULL, NULL);
	char *full = path ? realpath(path, NULL) : name ? folder_path(r, name) : NULL;

	if (full)
		sd_stage_say(s, "%s: %s", role, full);
	else
		sd_error(SD_ERR_NOINPUT, "its raw file%s%s (%lld bytes, SHA-256 %s) was not found", name ? " " : "",
			name ? name : "", size, sha256);
	return full;
}

/* What sd-prep reads: a file, or a folder of links to the files, wherever each of them is. */
static char *raw_path(struct sd_rerun *r, struct sd_stage *s, const char *dir)
{
	const json_t *inputs = json_object_get(s->m->claim, "inputs"), *one = json_object_get(inputs, "raw");
	struct sd_str folder = SD_STR_INIT;
	const char *role;
	json_t *in;

	if (one)
		return raw_file(r, s, "raw", one);
	sd_str_addf(&folder, "%s/raw", dir);
	if (mkdir(folder.s, 0700) < 0) {
		sd_error_errno("cannot make a folder '%s'", folder.s);
		goto fail;
	}
	json_object_foreach((json_t *)inputs, role, in) {
		json_t *known = json_object_get(json_object_get(s->m->context, "inputs"), role);
		const char *name = sd_json_text(known, "name"), *tail = role + strlen("raw/");
		size_t n = name ? strlen(name) : 0;
		char *target;
		int rc;

		/* the recorded name has the folders that all of them are in: a reader may go by these */
		if (!name || n < strlen(tail) || strcmp(name + n - strlen(tail), tail) != 0)
			name = tail;
		target = raw_file(r, s, role, in);
		rc = target ? sd_tempdir_link(folder.s, name, target) : -1;
		free(target);
		if (rc < 0)
			goto fail;
	}
	return sd_str_detach(&folder);
fail:
	sd_str_release(&folder);
	return NULL;
}

static int fill_inputs(struct sd_rerun *r, struct sd_stage *s, struct sd_words *w, const char *dir)
{
	const json_t *inputs = json_object_get(s->m->claim, "inputs");

	for (int i = 0; i < w->n; i++) {
		struct sd_word *word = &w->v[i];
		const json_t *in = word->input ? json_object_get(inputs, word->role) : NULL;
		const char *id = sd_json_text(in, "id");

		if (!word->input)
			continue;
		if (id)
			word->value = artifact_path(r, s, word->role, id);
		else if (strcmp(s->m->tool, "sd-prep") == 0)
			word->value = raw_path(r, s, dir);
		else
			word->value = raw_file(r, s, word->role, in);
		if (!word->value)
			return -1;
	}
	return 0;
}

/* ---- running ---- */

/* The command line: options first, the output, then operands.  To be freed word by word. */
static char **make_argv(const struct sd_rerun *r, const struct sd_words *w, const struct sd_tool_info *t,
	const char *output)
{
	char **argv = sd_xcalloc((size_t)w->n + 8, sizeof(*argv));
	struct sd_str s = SD_STR_INIT;
	int n = 0;

	argv[n++] = sd_xstrdup(t->path);
	for (int i = 0; i < w->n; i++) {
		if (!w->v[i].option)
			continue;
		sd_str_addf(&s, "--%s=%s", w->v[i].option, w->v[i].value);
		argv[n++] = sd_str_detach(&s);
	}
	if (r->o->threads && sd_tool_has(t, "threads")) {
		sd_str_addf(&s, "--threads=%d", r->o->threads);
		argv[n++] = sd_str_detach(&s);
	}
	if (r->o->quiet && sd_tool_has(t, "quiet"))
		argv[n++] = sd_xstrdup("--quiet");
	sd_str_addf(&s, "--output=%s", output);
	argv[n++] = sd_str_detach(&s);
	argv[n++] = sd_xstrdup("--");
	for (int i = 0; i < w->n; i++)
		if (!w->v[i].option)
			argv[n++] = sd_xstrdup(w->v[i].value);
	return argv;
}

static void free_argv(char **argv)
{
	for (int i = 0; argv[i]; i++)
		free(argv[i]);
	free(argv);
}

/* What the tool's exit status means: a lack of something here, or that the claim doesn't work. */
static enum sd_rerun_verdict failed(struct sd_stage *s, int status)
{
	if (status > 128)
		sd_stage_say(s, "%s was killed by signal %d", s->m->tool, status - 128);
	else
		sd_stage_say(s, "%s failed with exit status %d", s->m->tool, status);
	switch (status) {
	case SD_ERR_NOINPUT:
	case SD_ERR_DEVICE:
	case SD_ERR_IO:
	case SD_ERR_STOPPED:
	case 128 + 2:  /* SIGINT, SIGKILL, SIGTERM: from outside */
	case 128 + 9:
	case 128 + 15:
		return SD_VERDICT_UNTRIED;
	}
	return SD_VERDICT_BROKEN;
}

/* Runs the tool, its standard output in the file `text` (or NULL); a line of evidence and a verdict if that
 * fails.  0: the output is there. */
static int run_tool(struct sd_rerun *r, struct sd_stage *s, const struct sd_words *w,
	const struct sd_tool_info *t, const char *dir, const char *output, const char *text)
{
	char **argv = make_argv(r, w, t, output), buf[64];
	struct timespec t0, t1;
	int status;

	sd_tool_say(r->o->tool, r->o->quiet, "%s: running %s", title(s, buf), s->m->tool);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	status = sd_launch((const char *const *)argv, dir, text);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	s->seconds = (double)(t1.tv_sec - t0.tv_sec) + 1e-9 * (double)(t1.tv_nsec - t0.tv_nsec);
	free_argv(argv);
	if (status == SD_ERR_STOPPED && !s->m->complete)
		status = 0;
	if (status > 0)
		s->verdict = failed(s, status);
	return status < 0 ? -1 : status > 0;
}

/* Makes the artifact again, in its own folder within the temporary one.  -1 with a message: it was not
 * tried. */
static int make_again(struct sd_rerun *r, struct sd_stage *s, const struct sd_tool_info *t, const char *dir)
{
	struct sd_lineage *now = NULL;
	struct sd_words w;
	struct sd_str output = SD_STR_INIT;
	char buf[64];
	int rc;

	if (sd_words_make(&w, s->m, s->l, t, title(s, buf)) < 0) {
		/* the claim's fault, not that of what is missing here */
		s->verdict = SD_VERDICT_BROKEN;
		sd_stage_say(s, "%s", sd_error_text());
		return 0;
	}
	sd_str_addf(&output, "%s/out.%s", dir, strcmp(s->m->kind, "genotype") ? "h5" : "genotype");
	rc = sd_words_stop(&w, s->m, title(s, buf));
	if (rc == 0)
		rc = fill_inputs(r, s, &w, dir);
	if (rc == 0)
		rc = run_tool(r, s, &w, t, dir, output.s, NULL);
	if (!s->m->complete)
		sd_str_adds(&output, ".ckpt");
	if (rc == 0) {
		now = sd_check_whole(output.s);
		if (now) {
			s->made = sd_str_detach(&output);
			rc = sd_stage_judge(r, s, now);
		} else {
			s->verdict = SD_VERDICT_BROKEN;
			sd_stage_say(s, "%s ended well and made nothing", s->m->tool);
		}
	}
	sd_lineage_free(now);
	sd_words_release(&w);
	sd_str_release(&output);
	return rc < 0 ? -1 : 0;
}

/* How the program differs from the one that was recorded. */
static void say_source(struct sd_stage *s, const struct sd_tool_info *t)
{
	const char *recorded = sd_json_text(s->m->claim, "source"), *commit = sd_json_text(s->m->context, "commit");

	if (strcmp(recorded, t->source) == 0)
		sd_stage_say(s, "source: as recorded (%.12s)", recorded);
	else
		sd_stage_say(s, "source: recorded %.12s (commit %.12s), installed %.12s (commit %.12s)", recorded,
			commit && *commit ? commit : "unknown", *t->source ? t->source : "unknown",
			t->commit ? t->commit : "unknown");
}

static void try_stage(struct sd_rerun *r, struct sd_stage *s)
{
	struct sd_tool_info t = { 0 };
	struct sd_str dir = SD_STR_INIT;
	int rc;

	if (s->tried)
		return;
	s->tried = true;
	s->verdict = SD_VERDICT_UNTRIED;
	sd_str_addf(&dir, "%s/%d", r->dir, r->ndir++);
	rc = sd_tool_find(&t, s->m->tool);
	if (rc < 0 && sd_error_kind() == SD_ERR_DATA)
		s->verdict = SD_VERDICT_BROKEN;
	if (rc == 0) {
		say_source(s, &t);
		rc = mkdir(dir.s, 0700) < 0 ? sd_error_errno("cannot make a folder '%s'", dir.s) : 0;
	}
	if (rc == 0)
		rc = make_again(r, s, &t, dir.s);
	if (rc < 0) {
		/* what it failed of comes first */
		struct sd_str first = SD_STR_INIT;

		sd_str_addf(&first, "%s\n%s", sd_error_text(), s->evidence.s ? s->evidence.s : "");
		sd_str_release(&s->evidence);
		s->evidence = first;
	}
	sd_tool_release(&t);
	sd_str_release(&dir);
	r->order = sd_xrealloc(r->order, (size_t)(r->norder + 1) * sizeof(*r->order));
	r->order[r->norder++] = s;
}

static enum sd_status status_of(const struct sd_stage *s)
{
	if (s->verdict == SD_VERDICT_BITWISE)
		return SD_SAME;
	return s->verdict == SD_VERDICT_UNTRIED ? SD_TROUBLE : SD_DIFFERENT;
}

/* The stage of a file, whose manifests are taken over; NULL with a message. */
static struct sd_stage *stage_of_file(struct sd_rerun *r, const char *name, struct sd_lineage *l)
{
	struct sd_stage *s;

	r->lineage = sd_xrealloc(r->lineage, (size_t)(r->nlineage + 1) * sizeof(*r->lineage));
	if (add_places(r, name, l) < 0) {
		sd_lineage_free(l);
		return NULL;
	}
	r->lineage[r->nlineage++] = l;
	s = stage_of(r, l, l->own);
	if (!s->name)
		s->name = sd_xstrdup(name);
	if (!s->looked && !sd_is_record(name)) {
		s->looked = true;
		s->found = strcmp(name, "-") ? realpath(name, NULL) : sd_xstrdup(name);
	}
	return s;
}

enum sd_status sd_rerun_artifact(struct sd_rerun *r, const char *name, struct sd_lineage *l)
{
	int first = r->norder;
	enum sd_status worst = SD_SAME;
	struct sd_stage *s;

	s = stage_of_file(r, name, l);
	if (!s) {
		sd_tool_fail(r->o->tool);
		return SD_TROUBLE;
	}
	if (sd_stage_check_runs(r->o->runs, s) < 0) {
		sd_tool_fail(r->o->tool);
		return SD_TROUBLE;
	}
	try_stage(r, s);
	if (r->o->chain)
		for (int i = first; i < r->norder; i++)
			worst = sd_worse(worst, status_of(r->order[i]));
	return sd_worse(worst, status_of(s));
}

/* ---- one step ---- */

/* As make_again(), for a table in the file `text`. */
static int run_step(struct sd_rerun *r, struct sd_stage *s, const struct sd_tool_info *t, const char *dir,
	uint64_t step, const char *text)
{
	struct sd_words w;
	char number[24], buf[64];
	int rc;

	if (sd_words_make(&w, s->m, s->l, t, title(s, buf)) < 0)
		return -1;
	snprintf(number, sizeof(number), "%llu", (unsigned long long)step);
	sd_words_add(&w, "trace_step", number);
	rc = fill_inputs(r, s, &w, dir);
	if (rc == 0)
		rc = run_tool(r, s, &w, t, dir, "none.h5", text);
	sd_words_release(&w);
	if (rc > 0)
		rc = sd_error(SD_ERR_DATA, "it could not be run again up to step %s: %s", number, s->evidence.s);
	return rc;
}

char *sd_rerun_step(struct sd_rerun *r, const char *name, struct sd_lineage *l, uint64_t step)
{
	struct sd_stage *s = stage_of_file(r, name, l);
	struct sd_str dir = SD_STR_INIT, text = SD_STR_INIT;
	struct sd_tool_info t = { 0 };
	struct sd_blob b;
	char *table = NULL;

	sd_str_addf(&dir, "%s/%d", r->dir, r->ndir++);
	sd_str_addf(&text, "%s/step.tsv", dir.s);
	if (!s || sd_tool_find(&t, s->m->tool) < 0)
		goto out;
	if (!sd_tool_has(&t, "trace_step")) {
		sd_error(SD_ERR_DATA, "%s has no steps", s->m->tool);
	} else if (mkdir(dir.s, 0700) < 0) {
		sd_error_errno("cannot make a folder '%s'", dir.s);
	} else if (run_step(r, s, &t, dir.s, step, text.s) == 0 && sd_blob_read(&b, text.s, 0) == 0) {
		table = sd_xstrdup((char *)b.data);
		sd_blob_release(&b);
	}
out:
	if (!table)
		sd_error_in("%s", name);
	sd_tool_release(&t);
	sd_str_release(&dir);
	sd_str_release(&text);
	return table;
}
