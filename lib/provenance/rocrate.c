/* rocrate.c: a lineage as a Process Run Crate (https://w3id.org/ro/wfrun/process/0.5) over RO-Crate 1.1
 * (https://w3id.org/ro/crate/1.1): a series of runs by hand, each an action. */
#include "provenance/export.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"

#define CRATE "https://w3id.org/ro/crate/1.1"
#define PROFILE "https://w3id.org/ro/wfrun/process/0.5"
#define TERMS "https://w3id.org/ro/terms/workflow-run/context"
#define METADATA "ro-crate-metadata.json"

struct crate {
	const struct sd_lineage *l;
	const struct sd_exported *file;
	json_t *graph;     /* entities */
	json_t *parts;     /* hasPart and mentions of the root */
	json_t *mentions;
};

static void put(json_t *o, const char *key, json_t *value)
{
	if (!value || json_object_set_new(o, key, value) < 0)
		sd_die_memory();
}

static json_t *reference(const char *id)
{
	return json_pack("{s:s}", "@id", id);
}

static json_t *text(const char *fmt, ...) SD_PRINTF(1, 2);
static json_t *text(const char *fmt, ...)
{
	char buf[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	return sd_json_bytes(buf);
}

static bool known(const struct crate *c, const char *id)
{
	size_t i;
	json_t *v;

	json_array_foreach(c->graph, i, v)
		if (strcmp(sd_json_text(v, "@id"), id) == 0)
			return true;
	return false;
}

/* A new entity in the graph, borrowed from it. */
static json_t *entity(struct crate *c, const char *id, const char *type)
{
	json_t *e = json_pack("{s:s, s:s}", "@id", id, "@type", type);

	if (!e || json_array_append_new(c->graph, e) < 0)
		sd_die_memory();
	return e;
}

/* A file name as a relative reference (RFC 3986). */
static char *file_uri(const char *name)
{
	struct sd_str s = SD_STR_INIT;

	for (const unsigned char *p = (const unsigned char *)name; *p; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
			     strchr("-._~", *p);

		sd_str_addf(&s, plain ? "%c" : "%%%02X", *p);
	}
	return sd_str_detach(&s);
}

/* Where an artifact of the chain is in the crate: its own file, or a name for what isn't there. */
static char *artifact_uri(const struct crate *c, const struct sd_manifest *m)
{
	struct sd_str s = SD_STR_INIT;

	if (m == c->l->own)
		return file_uri(c->file->base);
	sd_str_addf(&s, SD_ARTIFACT_URI "%s", m->id);
	return sd_str_detach(&s);
}

/* ---- entities ---- */

static void add_file(struct crate *c)
{
	const struct sd_manifest *m = c->l->own;
	char *uri = artifact_uri(c, m);
	json_t *e = entity(c, uri, "File");

	put(e, "name", sd_json_bytes(c->file->base));
	put(e, "description", text("%s made by %s", m->kind, m->tool));
	put(e, "encodingFormat", json_string(strcmp(m->kind, "genotype") ? "application/x-hdf5" : "text/plain"));
	put(e, "contentSize", text("%llu", (unsigned long long)c->file->size));
	put(e, "sha256", json_string(c->file->sha256));
	put(e, "identifier", text(SD_ARTIFACT_URI "%s", m->id));
	json_array_append_new(c->parts, reference(uri));
	free(uri);
}

/* An artifact that is only known by its manifest. */
static void add_ancestor(struct crate *c, const struct sd_manifest *m)
{
	char *uri = artifact_uri(c, m);
	json_t *e = entity(c, uri, "CreativeWork");

	put(e, "name", text("%s %.12s", m->kind, m->id));
	put(e, "description", text("%s made by %s; its payload's SHA-256 is %s", m->kind, m->tool, m->payload));
	put(e, "identifier", json_string(uri));
	json_array_append_new(c->mentions, reference(uri));
	free(uri);
}

/* A raw input: known by its content. */
static void add_raw(struct crate *c, const char *uri, const json_t *in, const char *name)
{
	const char *base = name ? sd_base_name(name) : NULL;
	json_t *e;

	if (known(c, uri))
		return;
	e = entity(c, uri, "File");
	put(e, "name", base ? sd_json_bytes(base) : text("file of %lld bytes",
		(long long)json_integer_value(json_object_get(in, "size"))));
	put(e, "contentSize", text("%lld", (long long)json_integer_value(json_object_get(in, "size"))));
	put(e, "sha256", json_incref(json_object_get(in, "sha256")));
	json_array_append_new(c->parts, reference(uri));
}

static void add_software(struct crate *c, const char *id, const struct sd_manifest *m)
{
	const char *version = sd_json_text(m->context, "version"), *source = sd_json_text(m->claim, "source");
	json_t *e;

	if (known(c, id))
		return;
	e = entity(c, id, "SoftwareApplication");
	put(e, "name", text("%s (sharpdarts)", m->tool));
	put(e, "softwareVersion", version ? sd_json_bytes(version) : text("source %.12s", source));
	put(e, "identifier", text("urn:sharpdarts:source:%s", source));
}

/* A parameter: what it was set to, with arrays as JSON. */
static void add_value(struct crate *c, json_t *objects, const struct sd_manifest *m, const char *name,
		      json_t *value)
{
	char id[256], *list = json_is_array(value) ? json_dumps(value, JSON_COMPACT) : NULL;
	json_t *e;

	snprintf(id, sizeof(id), "#%.12s-%s", m->id, name);
	e = entity(c, id, "PropertyValue");
	put(e, "name", sd_json_bytes(name));
	put(e, "value", list ? sd_json_bytes(list) : json_incref(value));
	json_array_append_new(objects, reference(id));
	free(list);
}

/* Notes of the name "author". */
static void add_agent(struct crate *c, json_t *action, const struct sd_manifest *m)
{
	const char *author = sd_json_text(json_object_get(m->context, "notes"), "author");
	struct sd_str id = SD_STR_INIT;
	char *uri;

	if (!author)
		return;
	uri = file_uri(author);
	sd_str_addf(&id, "#author-%s", uri);
	if (!known(c, id.s))
		put(entity(c, id.s, "Person"), "name", sd_json_bytes(author));
	put(action, "agent", reference(id.s));
	sd_str_release(&id);
	free(uri);
}

static json_t *command_line(const struct sd_manifest *m)
{
	struct sd_str s = SD_STR_INIT;
	json_t *v, *line;
	size_t i;

	json_array_foreach(json_object_get(m->context, "argv"), i, v)
		sd_str_addf(&s, "%s%s", i ? " " : "", json_string_value(v));
	line = sd_json_bytes(s.s ? s.s : m->tool);
	sd_str_release(&s);
	return line;
}

/* A time in UTC as other writers of crates have it, and their validators want it: with +00:00 instead of Z. */
static json_t *timestamp(const char *utc)
{
	size_t n = strlen(utc);

	return n && utc[n - 1] == 'Z' ? text("%.*s+00:00", (int)n - 1, utc) : sd_json_bytes(utc);
}

/* The run that made m. */
static void add_action(struct crate *c, const struct sd_manifest *m)
{
	json_t *names = json_object_get(m->context, "inputs"), *objects = json_array(), *in, *e, *v;
	const char *role, *started = sd_json_text(m->context, "started");
	const char *ended = sd_json_text(m->context, "ended"), *name;
	char *result = artifact_uri(c, m), id[32], software[64];

	snprintf(id, sizeof(id), "#run-%.12s", m->id);
	snprintf(software, sizeof(software), "#%.32s-%.12s", m->tool, sd_json_text(m->claim, "source"));
	add_software(c, software, m);
	json_object_foreach(json_object_get(m->claim, "inputs"), role, in) {
		const char *ancestor = sd_json_text(in, "id");
		char *uri = sd_input_uri(in);

		if (!ancestor)
			add_raw(c, uri, in, sd_json_text(json_object_get(names, role), "name"));
		json_array_append_new(objects, reference(uri));
		free(uri);
	}
	json_object_foreach(json_object_get(m->claim, "parameters"), name, v)
		add_value(c, objects, m, name, v);
	v = json_object_get(m->claim, "seed");
	if (v)
		add_value(c, objects, m, "seed", v);
	e = entity(c, id, "CreateAction");
	put(e, "name", text("%s makes a %s", m->tool, m->kind));
	put(e, "description", command_line(m));
	put(e, "instrument", reference(software));
	put(e, "object", objects);
	put(e, "result", reference(result));
	if (started)
		put(e, "startTime", timestamp(started));
	if (ended)
		put(e, "endTime", timestamp(ended));
	put(e, "actionStatus", json_string(m->complete ? "http://schema.org/CompletedActionStatus" :
							 "http://schema.org/FailedActionStatus"));
	if (!m->complete)
		put(e, "error", json_string("the run did not come to its end"));
	add_agent(c, e, m);
	json_array_append_new(c->mentions, reference(id));
	free(result);
}

static json_t *published(const struct crate *c)
{
	const char *ended = sd_json_text(c->l->own->context, "ended");
	char buf[32];
	struct tm tm;

	if (ended)
		return timestamp(ended);
	gmtime_r(&c->file->changed, &tm);
	strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return timestamp(buf);
}

json_t *sd_export_crate(const struct sd_lineage *l, const struct sd_exported *file)
{
	struct crate c = { l, file, json_array(), json_array(), json_array() };
	const char *note = sd_json_text(json_object_get(l->own->context, "notes"), "license");
	const char *licence = note && strstr(note, "://") ? note : "#license";
	json_t *e = entity(&c, METADATA, "CreativeWork"), *root;

	put(e, "conformsTo", reference(CRATE));
	put(e, "about", reference("./"));
	root = entity(&c, "./", "Dataset");
	put(root, "name", text("%s, and what it came from", file->base));
	put(root, "description", text("The %s %s with the runs that led to it, as its manifests record them",
				      l->own->kind, l->own->id));
	put(root, "conformsTo", reference(PROFILE));
	put(root, "datePublished", published(&c));
	put(root, "license", reference(licence));
	e = entity(&c, PROFILE, "CreativeWork");
	put(e, "name", json_string("Process Run Crate"));
	put(e, "version", json_string("0.5"));
	put(entity(&c, licence, "CreativeWork"), "name", sd_json_bytes(note ? note : "not stated"));
	add_file(&c);
	for (int i = 0; i < l->nancestor; i++)
		add_ancestor(&c, l->ancestor[i]);
	for (int i = 0; i < l->nancestor; i++)
		add_action(&c, l->ancestor[i]);
	add_action(&c, l->own);
	put(root, "hasPart", c.parts);
	put(root, "mentions", c.mentions);
	return json_pack("{s:[s, s], s:o}", "@context", CRATE "/context", TERMS, "@graph", c.graph);
}

/* ---- the folder ---- */

/* Puts a copy of the file into the folder; one that is there already must be the same. */
static int copy_in(const char *target, const char *name, const struct sd_exported *file)
{
	struct sd_exported there;
	struct sd_out *out;
	int fd;

	if (access(target, F_OK) == 0) {
		if (sd_exported_look(&there, target, NULL) < 0)
			return -1;
		return strcmp(there.sha256, file->sha256) == 0 ? 0 :
		       sd_error(SD_ERR_USAGE, "'%s' exists and is another file", target);
	}
	fd = sd_file_open(name);
	if (fd < 0)
		return -1;
	out = sd_out_open(target, 0);
	if (!out || sd_copy_all(fd, name, sd_out_fd(out), target) < 0) {
		sd_out_abandon(out);
		close(fd);
		return -1;
	}
	close(fd);
	return sd_out_commit(out);
}

int sd_export_crate_write(const char *dir, const char *name, const struct sd_exported *file,
			  const json_t *crate)
{
	struct sd_str artifact = SD_STR_INIT, metadata = SD_STR_INIT;
	struct sd_out *out = NULL;
	FILE *f;
	int rc = -1;

	sd_str_addf(&artifact, "%s/%s", dir, file->base);
	sd_str_addf(&metadata, "%s/" METADATA, dir);
	if (mkdir(dir, 0777) != 0 && errno != EEXIST) {
		sd_error_errno("cannot create '%s'", dir);
		goto out;
	}
	out = sd_out_open(metadata.s, 0);
	f = out ? sd_out_stream(out) : NULL;
	if (!f || sd_json_print(crate, f) < 0 || copy_in(artifact.s, name, file) < 0)
		goto out;
	rc = sd_out_commit(out);
	out = NULL;
out:
	sd_out_abandon(out);
	sd_str_release(&artifact);
	sd_str_release(&metadata);
	return rc;
}
