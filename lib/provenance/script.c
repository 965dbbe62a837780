/* script.c: the shell script that makes an artifact again from the raw files. */
#include "provenance/script.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "provenance/remake.h"

struct script {
	const struct sd_lineage *l;
	const char *name;      /* of the file that it is about, without folders */
	struct sd_str raw;     /* what is to be said of the raw files, before any command */
	struct sd_str commands;
	struct sd_str tools;   /* "sd-prep\n...": whose source is to be compared */
	struct sd_str done;    /* ids, a blank behind each */
	int nraw;
};

void sd_shell_word(struct sd_str *s, const char *word)
{
	size_t plain = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=.,:/@%");

	if (*word && !word[plain]) {
		sd_str_adds(s, word);
		return;
	}
	sd_str_addc(s, '\'');
	for (; *word; word++) {
		if (*word == '\'')
			sd_str_adds(s, "'\\''");
		else
			sd_str_addc(s, *word);
	}
	sd_str_addc(s, '\'');
}

/* "$out"/model-0123456789ab.h5, as the shell is to read it.  A checkpoint has another name than what the run
 * that leaves it is to make (`output`). */
static void add_result(const struct script *sc, const struct sd_manifest *m, bool output, struct sd_str *s)
{
	struct sd_str name = SD_STR_INIT;

	if (m == sc->l->own && sc->name && m->complete)
		sd_str_adds(&name, sc->name);
	else
		sd_str_addf(&name, "%s-%.12s.%s", m->kind, m->id, strcmp(m->kind, "genotype") ? "h5" : "genotype");
	if (!m->complete && !output)
		sd_str_adds(&name, ".ckpt");
	sd_str_adds(s, "\"$out\"/");
	sd_shell_word(s, name.s);
	sd_str_release(&name);
}

/* ---- raw files ---- */

/* Text for a comment: a name may have line feeds in it. */
static void add_comment(struct sd_str *s, const char *text)
{
	for (; *text; text++)
		sd_str_addc(s, (unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

/* A variable for a raw file or a folder of them; what it is called stands for it in the command. */
static void add_variable(struct script *sc, const char *path, const char *what)
{
	sc->nraw++;
	sd_str_adds(&sc->raw, "# ");
	add_comment(&sc->raw, what);
	if (path) {
		sd_str_addf(&sc->raw, "\nraw%d=${raw%d-}\n[ -n \"$raw%d\" ] || raw%d=", sc->nraw, sc->nraw, sc->nraw,
			sc->nraw);
		sd_shell_word(&sc->raw, path);
	} else {
		sd_str_addf(&sc->raw, "\n: \"${raw%d:?where it is was not recorded}\"", sc->nraw);
	}
	/* a name without a slash would be that of a published genotype */
	sd_str_addf(&sc->raw, "\ncase $raw%d in */*) ;; *) raw%d=./$raw%d ;; esac\n", sc->nraw, sc->nraw, sc->nraw);
}

static void add_check(struct script *sc, const char *within, const json_t *in)
{
	sd_str_addf(&sc->raw, "check \"$raw%d\"", sc->nraw);
	if (within) {
		sd_str_addc(&sc->raw, '/');
		sd_shell_word(&sc->raw, within);
	}
	sd_str_addf(&sc->raw, " %s\n", sd_json_text(in, "sha256"));
}

/* One input that is a raw file, or for a data set of many files the folder that they are in. */
static void add_raw_file(struct script *sc, const struct sd_manifest *m, const char *role, const json_t *in)
{
	const char *name = sd_json_text(json_object_get(json_object_get(m->context, "inputs"), role), "name");
	bool many = sd_json_text(m->context, "folder") != NULL;
	struct sd_str what = SD_STR_INIT;

	sd_str_addf(&what, "%s, %lld bytes", many ? "a folder of many files" : sd_base_name(name ? name : "a file"),
		(long long)json_integer_value(json_object_get(in, "size")));
	add_variable(sc, name, what.s);
	if (!many)
		add_check(sc, NULL, in);
	sd_str_release(&what);
}

/* A folder whose files are inputs of their own. */
static void add_raw_folder(struct script *sc, const struct sd_manifest *m, const json_t *inputs)
{
	const char *role;
	json_t *in;

	add_variable(sc, sd_json_text(m->context, "folder"), "the folder of these files");
	json_object_foreach((json_t *)inputs, role, in) {
		const json_t *known = json_object_get(json_object_get(m->context, "inputs"), role);
		const char *name = sd_json_text(known, "name");

		add_check(sc, name ? name : role + strlen("raw/"), in);
	}
}

/* ---- commands ---- */

static int add_stage(struct script *sc, const struct sd_manifest *m);

/* How an input is called in the command, and before that, how it comes to be there. */
static int add_input(struct script *sc, const struct sd_manifest *m, const char *role, struct sd_str *s)
{
	const json_t *inputs = json_object_get(m->claim, "inputs"), *in = json_object_get(inputs, role);
	const char *id = sd_json_text(in, "id");
	const struct sd_manifest *a = id ? sd_lineage_find(sc->l, id) : NULL;

	if (id && !a)
		return sd_error(SD_ERR_DATA, "%s %.12s: the manifest of its input '%s' is missing", m->kind, m->id,
			role);
	if (a) {
		add_result(sc, a, false, s);
		return add_stage(sc, a);
	}
	if (in)
		add_raw_file(sc, m, role, in);
	else
		add_raw_folder(sc, m, inputs);
	sd_str_addf(s, "\"$raw%d\"", sc->nraw);
	return 0;
}

static void add_word(struct sd_str *s, const char *word)
{
	sd_str_adds(s, " \\\n\t");
	sd_str_adds(s, word);
}

static int add_words(struct script *sc, const struct sd_manifest *m, const struct sd_words *w,
	struct sd_str *s)
{
	for (int operands = 0; operands < 2; operands++) {
		for (int i = 0; i < w->n; i++) {
			const struct sd_word *word = &w->v[i];
			struct sd_str text = SD_STR_INIT;
			int rc = 0;

			if ((word->option == NULL) != operands)
				continue;
			if (word->option)
				sd_str_addf(&text, "--%s=", word->option);
			if (word->input)
				rc = add_input(sc, m, word->role, &text);
			else
				sd_shell_word(&text, word->value);
			add_word(s, text.s);
			sd_str_release(&text);
			if (rc < 0)
				return -1;
		}
		if (!operands) {
			struct sd_str text = SD_STR_INIT;

			sd_str_adds(&text, "--output=");
			add_result(sc, m, true, &text);
			sd_str_adds(&text, " --");
			add_word(s, text.s);
			sd_str_release(&text);
		}
	}
	return 0;
}

static void add_command(struct script *sc, const struct sd_manifest *m, const char *words)
{
	sd_str_addf(&sc->commands, "\n%s%s%s\nsame ", m->tool, words,
		!m->complete ? " || [ $? = 75 ]" : strcmp(m->kind, "eval") ? "" : " > /dev/null");
	add_result(sc, m, false, &sc->commands);
	sd_str_addf(&sc->commands, " %s %s\n", m->id, m->payload);
}

static int add_stage(struct script *sc, const struct sd_manifest *m)
{
	struct sd_tool_info t;
	struct sd_words w;
	struct sd_str s = SD_STR_INIT;
	char what[64];
	int rc;

	if (sc->done.s && strstr(sc->done.s, m->id))
		return 0;
	sd_str_addf(&sc->done, "%s ", m->id);
	snprintf(what, sizeof(what), "%s %.12s", m->kind, m->id);
	if (sd_tool_find(&t, m->tool) < 0)
		return sd_error_in("%s", what);
	rc = sd_words_make(&w, m, sc->l, &t, what);
	if (rc == 0) {
		rc = sd_words_stop(&w, m, what) < 0 ? -1 : add_words(sc, m, &w, &s);
		if (rc == 0)
			add_command(sc, m, s.s ? s.s : "");
		sd_words_release(&w);
	}
	if (rc == 0 && (!sc->tools.s || !strstr(sc->tools.s, m->tool)))
		sd_str_addf(&sc->tools, "made_by %s %s\n", m->tool, sd_json_text(m->claim, "source"));
	sd_tool_release(&t);
	sd_str_release(&s);
	return rc;
}

int sd_script_print(const char *name, const struct sd_lineage *l, FILE *f)
{
	struct script sc = { .l = l, .name = strcmp(name, "-") ? sd_base_name(name) : NULL };
	const char *version = sd_json_text(l->own->context, "version");
	struct sd_str head = SD_STR_INIT;
	int rc = add_stage(&sc, l->own);

	if (rc == 0) {
		sd_str_addf(&head, "#!/bin/sh\n# Makes %s %s again", l->own->kind, l->own->id);
		sd_str_adds(&head, version ? ", by sharpdarts " : "");
		add_comment(&head, version ? version : "");
		fprintf(f, "%s.\n"
			"# The results go into the folder that is the first argument, or else into this one.  The raw files are\n"
			"# expected where they were; variables tell where they are now: raw1=/data/x.tar.gz sh SCRIPT\n"
			"set -eu\n"
			"out=${1-.}\n\n"
			"check() { # FILE SHA256\n"
			"\t[ \"$(sha256sum < \"$1\" | cut -c 1-64)\" = \"$2\" ] || {\n"
			"\t\techo \"$1: not the file that was recorded\" >&2\n\t\texit 1\n\t}\n}\n"
			"made_by() { # TOOL SOURCE\n"
			"\tcase $(\"$1\" --version) in\n\t*\"source $2\"*) ;;\n"
			"\t*) echo \"note: $1 is not of the recorded source\" >&2 ;;\n\tesac\n}\n"
			"same() { # FILE ID PAYLOAD\n"
			"\tcase $(sd-verify --canonical \"$1\") in\n\t*'\"payload\":\"'\"$3\"'\",\"s'*) ;;\n"
			"\t*)\n\t\techo \"$1: not the payload that was recorded\" >&2\n\t\texit 1\n\t\t;;\n\tesac\n"
			"\tcase $(sd-verify --chain \"$1\") in\n\t*\" $2 \"*) ;;\n"
			"\t*) echo \"note: $1 has the recorded payload and another id\" >&2 ;;\n\tesac\n}\n\n"
			"%s\n%s%s", head.s, sc.tools.s, sc.raw.s ? sc.raw.s : "", sc.commands.s);
	}
	sd_str_release(&head);
	sd_str_release(&sc.raw);
	sd_str_release(&sc.commands);
	sd_str_release(&sc.tools);
	sd_str_release(&sc.done);
	return rc;
}
