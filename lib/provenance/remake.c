/* remake.c: the command line that a claim stands for. */
#include "provenance/remake.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/command.h"
#include "base/json.h"
#include "base/str.h"

/* Where the inputs of a claim go, in the order in which operands stand.  A numbered role is also there with
 * 2, 3, ... behind it ("data2"), or from 1 on where it is never without. */
static const struct place {
	const char *tool, *role, *option; /* option NULL: an operand */
	int number; /* of the first numbered one, 0: none are */
} places[] = {
	{ "sd-search", "data", "data", 0 },
	{ "sd-search", "load", "load", 0 },
	{ "sd-search", "resume", "resume", 0 },
	{ "sd-derive", "search", NULL, 0 },
	{ "sd-train", "arch", "arch", 0 },
	{ "sd-train", "data", "data", 0 },
	{ "sd-train", "load", "load", 0 },
	{ "sd-train", "resume", "resume", 0 },
	{ "sd-train", "also", "also", 1 },
	{ "sd-eval", "model", NULL, 0 },
	{ "sd-eval", "data", NULL, 2 },
};

static const char *const makers[] = { "sd-prep", "sd-search", "sd-derive", "sd-train", "sd-eval" };

/* ---- tools ---- */

static char *beside(const char *name)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	struct sd_str path = SD_STR_INIT;
	char *slash;

	exe[n > 0 ? n : 0] = '\0';
	slash = strrchr(exe, '/');
	if (!slash)
		return NULL;
	sd_str_addf(&path, "%.*s%s", (int)(slash + 1 - exe), exe, name);
	if (access(path.s, X_OK) == 0)
		return sd_str_detach(&path);
	sd_str_release(&path);
	return NULL;
}

static char *in_path(const char *name)
{
	const char *p = getenv("PATH");

	for (; p && *p; p += strcspn(p, ":"), p += *p == ':') {
		struct sd_str path = SD_STR_INIT;

		/* an empty entry means the working folder: programs are not taken from there */
		if (*p == ':')
			continue;
		sd_str_addf(&path, "%.*s/%s", (int)strcspn(p, ":"), p, name);
		if (*p == '/' && access(path.s, X_OK) == 0)
			return sd_str_detach(&path);
		sd_str_release(&path);
	}
	return NULL;
}

/* What `tool option` prints, or NULL with a message. */
static char *ask(const char *tool, const char *option)
{
	const char *argv[] = { tool, option, NULL };
	struct sd_blob out;
	char *text;

	if (sd_command_run(argv, "sharpdarts", "", 0, &out) < 0)
		return NULL;
	text = sd_xstrdup((char *)out.data);
	sd_blob_release(&out);
	return text;
}

/* The rest of the line of `text` that begins with `key` and a blank, or NULL. */
static char *line_of(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n')
		if (strncmp(p, key, n) == 0 && p[n] == ' ')
			return strndup(p + n + 1, strcspn(p + n + 1, "\n"));
	return NULL;
}

int sd_tool_find(struct sd_tool_info *t, const char *name)
{
	char *said = NULL, *source;
	size_t i;

	memset(t, 0, sizeof(*t));
	for (i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
		if (strcmp(name, makers[i]) == 0)
			break;
	if (i == sizeof(makers) / sizeof(makers[0]))
		return sd_error(SD_ERR_DATA, "'%s' is no tool that makes artifacts", name);
	t->path = beside(makers[i]);
	if (!t->path)
		t->path = in_path(makers[i]);
	if (!t->path)
		return sd_error(SD_ERR_NOINPUT, "there is no %s beside sd-verify or in PATH", name);
	t->table = ask(t->path, "--synopsis");
	said = t->table ? ask(t->path, "--version") : NULL;
	if (said && strcmp(name, "sd-prep") == 0)
		t->datasets = ask(t->path, "--list");
	if (!said || (strcmp(name, "sd-prep") == 0 && !t->datasets)) {
		free(said);
		sd_tool_release(t);
		return -1;
	}
	source = line_of(said, "source");
	if (source)
		snprintf(t->source, sizeof(t->source), "%s", source);
	free(source);
	t->version = line_of(said, name);
	t->commit = line_of(said, "commit");
	free(said);
	return 0;
}

void sd_tool_release(struct sd_tool_info *t)
{
	free(t->path);
	free(t->table);
	free(t->datasets);
	free(t->version);
	free(t->commit);
	memset(t, 0, sizeof(*t));
}

/* ---- the table ---- */

enum column { NAME, ALIASES, METAVAR, DEFAULT, CLASS, TYPE, NCOLUMN };
struct row {
	const char *at[NCOLUMN];
	size_t len[NCOLUMN];
};

/* The next row of the table; false at its end. */
static bool next_row(const char **table, struct row *r)
{
	const char *p = *table;

	if (!*p)
		return false;
	for (int c = 0; c < NCOLUMN; c++) {
		r->at[c] = p;
		r->len[c] = strcspn(p, "\t\n");
		p += r->len[c];
		p += *p == '\t';
	}
	p += strcspn(p, "\n");
	*table = p + (*p == '\n');
	return true;
}

static bool is(const struct row *r, enum column c, const char *text)
{
	return r->len[c] == strlen(text) && memcmp(r->at[c], text, r->len[c]) == 0;
}

static bool find_row(const struct sd_tool_info *t, const char *option, struct row *r)
{
	const char *table = t->table;

	while (next_row(&table, r))
		if (r->len[NAME] == strlen(option) + 2 && memcmp(r->at[NAME] + 2, option, strlen(option)) == 0)
			return true;
	return false;
}

bool sd_tool_has(const struct sd_tool_info *t, const char *option)
{
	struct row r;

	return find_row(t, option, &r);
}

/* The name of its option for the seed, to be freed. */
static char *seed_option(const struct sd_tool_info *t)
{
	const char *table = t->table;
	struct row r;

	while (next_row(&table, &r))
		if (is(&r, TYPE, "seed"))
			return strndup(r.at[NAME] + 2, r.len[NAME] - 2);
	return NULL;
}

/* ---- words ---- */

static struct sd_word *add_word(struct sd_words *w, const char *option, const char *value)
{
	struct sd_word *word;

	w->v = sd_xrealloc(w->v, (size_t)(w->n + 1) * sizeof(*w->v));
	word = &w->v[w->n++];
	*word = (struct sd_word){ .option = option ? sd_xstrdup(option) : NULL,
		.value = value ? sd_xstrdup(value) : NULL };
	return word;
}

void sd_words_add(struct sd_words *w, const char *option, const char *value)
{
	add_word(w, option, value);
}

void sd_words_release(struct sd_words *w)
{
	for (int i = 0; i < w->n; i++) {
		free(w->v[i].option);
		free(w->v[i].value);
		free(w->v[i].role);
	}
	free(w->v);
	memset(w, 0, sizeof(*w));
}

static int add_value(struct sd_words *w, const char *name, const json_t *v, const struct row *r)
{
	char number[32];
	json_t *one;
	size_t i;

	if (json_is_boolean(v) && is(r, TYPE, "flag")) {
		sd_words_add(w, name, json_is_true(v) ? "true" : "false");
	} else if (json_is_integer(v) && is(r, TYPE, "int")) {
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(v));
		sd_words_add(w, name, number);
	} else if (json_is_string(v) && (is(r, TYPE, "real") || is(r, TYPE, "text") || is(r, TYPE, "choice"))) {
		sd_words_add(w, name, json_string_value(v));
	} else if (json_is_array(v) && is(r, TYPE, "list")) {
		json_array_foreach(v, i, one) {
			if (!json_is_string(one))
				return -1;
			sd_words_add(w, name, json_string_value(one));
		}
	} else {
		return -1;
	}
	return 0;
}

static int add_parameters(struct sd_words *w, const struct sd_manifest *m, const struct sd_tool_info *t,
	const char *what)
{
	json_t *v, *parameters = json_object_get(m->claim, "parameters");
	const char *name;
	struct row r;

	json_object_foreach(parameters, name, v) {
		if (t->datasets && strcmp(name, "dataset") == 0)
			continue; /* an operand */
		if (!find_row(t, name, &r))
			return sd_error(SD_ERR_DATA, "%s: %s has no option for the parameter '%s' of its claim",
				what, m->tool, name);
		if (!is(&r, CLASS, "numeric") || is(&r, TYPE, "seed"))
			return sd_error(SD_ERR_DATA, "%s: '%s' is no parameter of %s: its option changes no "
				"number", what, name, m->tool);
		if (add_value(w, name, v, &r) < 0)
			return sd_error(SD_ERR_DATA, "%s: the parameter '%s' of its claim is not of the type that "
				"%s has (%.*s)", what, name, m->tool, (int)r.len[TYPE], r.at[TYPE]);
	}
	return 0;
}

static int add_seed(struct sd_words *w, const struct sd_manifest *m, const struct sd_tool_info *t,
	const char *what)
{
	char *option = m->seed ? seed_option(t) : NULL;

	if (m->seed && !option)
		return sd_error(SD_ERR_DATA, "%s: %s takes no seed", what, m->tool);
	if (option)
		sd_words_add(w, option, m->seed);
	free(option);
	return 0;
}

/* What was computed on the CPU is computed there again; where on a GPU the batch counts, it is the same. */
static void add_environment(struct sd_words *w, const struct sd_manifest *m, const struct sd_tool_info *t)
{
	const json_t *e = json_object_get(m->claim, "environment");
	const char *engine = sd_json_text(e, "engine"), *batch = sd_json_text(e, "batch_size");
	struct row r;

	if (engine && strcmp(engine, "cpu") == 0 && sd_tool_has(t, "device"))
		sd_words_add(w, "device", "cpu");
	if (batch && find_row(t, "batch_size", &r) && is(&r, CLASS, "execution"))
		sd_words_add(w, "batch_size", batch);
}

/* An input that isn't complete has to be asked for. */
static void add_partial(struct sd_words *w, const struct sd_manifest *m, const struct sd_lineage *l,
	const struct sd_tool_info *t)
{
	json_t *in;
	const char *role;
	struct row r;

	if (!find_row(t, "partial", &r) || !is(&r, TYPE, "flag"))
		return;
	json_object_foreach(json_object_get(m->claim, "inputs"), role, in) {
		const char *id = sd_json_text(in, "id");
		const struct sd_manifest *a = id ? sd_lineage_find(l, id) : NULL;

		if (a && !a->complete) {
			sd_words_add(w, "partial", "true");
			return;
		}
	}
}

static void add_input(struct sd_words *w, const char *option, const char *role)
{
	struct sd_word *word = add_word(w, option, NULL);

	word->input = true;
	word->role = sd_xstrdup(role);
}

/* The inputs that go into options, or those that are operands; how many there were. */
static size_t add_inputs(struct sd_words *w, const struct sd_manifest *m, bool operands)
{
	const json_t *inputs = json_object_get(m->claim, "inputs");
	char role[64];
	size_t n = 0;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const struct place *p = &places[i];

		if (strcmp(p->tool, m->tool) != 0 || !p->option != operands)
			continue;
		if (p->number != 1 && json_object_get(inputs, p->role)) {
			add_input(w, p->option, p->role);
			n++;
		}
		for (int k = p->number; k; k++) {
			snprintf(role, sizeof(role), "%s%d", p->role, k);
			if (!json_object_get(inputs, role))
				break;
			add_input(w, p->option, role);
			n++;
		}
	}
	return n;
}

/* sd-prep DATASET PATH: the raw files are one input, "raw", or those of a folder, "raw/NAME". */
static int add_raw(struct sd_words *w, const struct sd_manifest *m, const struct sd_tool_info *t,
	const char *what)
{
	const json_t *inputs = json_object_get(m->claim, "inputs");
	const char *dataset = sd_json_text(json_object_get(m->claim, "parameters"), "dataset"), *role;
	bool known = false;
	json_t *in;

	for (const char *p = t->datasets; dataset && *p; p += strcspn(p, "\n"), p += *p == '\n')
		known = known || (strncmp(p, dataset, strcspn(p, "\t\n")) == 0 &&
			strlen(dataset) == strcspn(p, "\t\n"));
	if (!known)
		return sd_error(SD_ERR_DATA, "%s: sd-prep has no data set '%s'", what, dataset ? dataset : "");
	json_object_foreach((json_t *)inputs, role, in)
		if (!sd_json_text(in, "sha256") || (strncmp(role, "raw/", 4) != 0 &&
		    (strcmp(role, "raw") != 0 || json_object_size(inputs) != 1)))
			return sd_error(SD_ERR_DATA, "%s: sd-prep has no input '%s'", what, role);
	if (!json_object_size(inputs))
		return sd_error(SD_ERR_DATA, "%s: its claim has no raw files", what);
	sd_words_add(w, NULL, dataset);
	add_input(w, NULL, "raw");
	return 0;
}

int sd_words_make(struct sd_words *w, const struct sd_manifest *m, const struct sd_lineage *l,
	const struct sd_tool_info *t, const char *what)
{
	const json_t *inputs = json_object_get(m->claim, "inputs");
	const char *role;
	size_t n;
	json_t *in;

	memset(w, 0, sizeof(*w));
	if (add_parameters(w, m, t, what) < 0 || add_seed(w, m, t, what) < 0)
		goto fail;
	add_environment(w, m, t);
	add_partial(w, m, l, t);
	if (t->datasets) {
		if (add_raw(w, m, t, what) < 0)
			goto fail;
		return 0;
	}
	n = add_inputs(w, m, false);
	n += add_inputs(w, m, true);
	if (n == json_object_size(inputs))
		return 0;
	json_object_foreach((json_t *)inputs, role, in) {
		bool placed = false;

		for (int i = 0; i < w->n; i++)
			placed = placed || (w->v[i].role && strcmp(w->v[i].role, role) == 0);
		if (!placed) {
			sd_error(SD_ERR_DATA, "%s: %s has no input '%s'", what, m->tool, role);
			break;
		}
	}
fail:
	sd_words_release(w);
	return -1;
}

int sd_words_stop(struct sd_words *w, const struct sd_manifest *m, const char *what)
{
	const json_t *steps = json_object_get(m->context, "steps");
	char number[32];

	if (m->complete)
		return 0;
	if (!json_is_integer(steps) || json_integer_value(steps) < 1)
		return sd_error(SD_ERR_NOINPUT, "%s: a checkpoint, and at which step it was left was not recorded", what);
	snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(steps));
	sd_words_add(w, "stop_step", number);
	return 0;
}
