/* intoto.c: a manifest as an in-toto Statement with a SLSA provenance
 * (https://github.com/in-toto/attestation/tree/main/spec/v1, https://slsa.dev/spec/v1.0/provenance). */
#include "provenance/export.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "provenance/sign.h"

#define PREDICATE "https://slsa.dev/provenance/v1"
#define BUILD_TYPE "urn:sharpdarts:run:v1"
#define BUILDER "urn:sharpdarts:local:v1"

int sd_exported_look(struct sd_exported *file, const char *name, const struct sd_lineage *l)
{
	uint8_t digest[SD_SHA256_LEN];
	int fd = sd_file_open(name), rc = -1;
	struct stat st;

	if (fd < 0)
		return -1;
	file->base = strcmp(name, "-") == 0 ? l->own->kind : sd_base_name(name);
	if (fstat(fd, &st) != 0) {
		sd_error_errno("cannot read '%s'", sd_file_name(name));
	} else if (sd_sha256_fd(fd, 0, sd_file_name(name), digest, &file->size) == 0) {
		sd_sha256_hex(digest, file->sha256);
		file->changed = st.st_mtime;
		rc = 0;
	}
	close(fd);
	return rc;
}

char *sd_input_uri(const json_t *input)
{
	const char *id = sd_json_text(input, "id"), *sha256 = sd_json_text(input, "sha256");
	uint8_t digest[SD_SHA256_LEN];
	struct sd_str s = SD_STR_INIT;

	if (id) {
		sd_str_addf(&s, SD_ARTIFACT_URI "%s", id);
	} else if (sha256 && sd_sha256_unhex(sha256, digest)) {
		sd_str_adds(&s, "ni:///sha-256;");
		sd_base64_add(&s, digest, sizeof(digest));
		/* the alphabet of URLs, without padding */
		while (s.s[s.len - 1] == '=')
			s.s[--s.len] = '\0';
		for (char *p = s.s + strlen("ni:///sha-256;"); *p; p++)
			*p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
	}
	return sd_str_detach(&s);
}

static void put(json_t *o, const char *key, json_t *value)
{
	if (!value || json_object_set_new(o, key, value) < 0)
		sd_die_memory();
}

/* A member of `from`, if it is there. */
static void copy(json_t *o, const char *key, const json_t *from, const char *member)
{
	json_t *v = json_object_get(from, member);

	if (v && json_object_set(o, key, v) < 0)
		sd_die_memory();
}

static json_t *sha256_digest(const char *hex)
{
	return json_pack("{s:s}", "sha256", hex);
}

static json_t *subjects(const struct sd_manifest *m, const struct sd_exported *file)
{
	json_t *notes = json_pack("{s:s, s:s, s:s}", "id", m->id, "kind", m->kind, "recipe", m->recipe);

	copy(notes, "complete", m->claim, "complete");
	copy(notes, "epochs_done", m->claim, "epochs_done");
	return json_pack("[{s:o, s:o}, {s:s, s:o, s:o}]", "name", sd_json_bytes(file->base), "digest",
			 sha256_digest(file->sha256), "name", "payload", "digest", sha256_digest(m->payload),
			 "annotations", notes);
}

static json_t *dependency(const struct sd_manifest *m, const char *role, json_t *in)
{
	json_t *d = json_object(), *notes = json_deep_copy(in), *source;
	char *uri = sd_input_uri(in);
	const char *payload = sd_json_text(in, "payload");

	put(d, "name", json_string(role));
	put(d, "uri", json_string(uri));
	put(d, "digest", sha256_digest(payload ? payload : sd_json_text(in, "sha256")));
	json_object_del(notes, payload ? "payload" : "sha256");
	source = json_object_get(json_object_get(m->context, "inputs"), role);
	copy(notes, "file", source, "name");
	put(d, "annotations", notes);
	free(uri);
	return d;
}

static json_t *build_definition(const struct sd_manifest *m)
{
	json_t *external = json_object(), *internal = json_object(), *inputs = json_object();
	json_t *dependencies = json_array(), *in;
	const char *role, *commit = sd_json_text(m->context, "commit");

	json_object_foreach(json_object_get(m->claim, "inputs"), role, in) {
		char *uri = sd_input_uri(in);

		put(inputs, role, json_string(uri));
		json_array_append_new(dependencies, dependency(m, role, in));
		free(uri);
	}
	put(external, "inputs", inputs);
	copy(external, "tool", m->claim, "tool");
	copy(external, "parameters", m->claim, "parameters");
	copy(external, "seed", m->claim, "seed");
	copy(internal, "environment", m->claim, "environment");
	json_array_append_new(dependencies, json_pack("{s:s, s:o}", "name", "source", "digest",
		sha256_digest(sd_json_text(m->claim, "source"))));
	if (commit && *commit)
		json_array_append_new(dependencies, json_pack("{s:s, s:{s:s}}", "name", "commit", "digest",
							      "gitCommit", commit));
	return json_pack("{s:s, s:o, s:o, s:o}", "buildType", BUILD_TYPE, "externalParameters", external,
			 "internalParameters", internal, "resolvedDependencies", dependencies);
}

static json_t *run_details(const struct sd_manifest *m)
{
	json_t *metadata = json_object(), *version = json_object(), *builder, *library;
	const char *name;

	put(metadata, "invocationId", json_string(m->seal));
	copy(metadata, "startedOn", m->context, "started");
	copy(metadata, "finishedOn", m->context, "ended");
	copy(version, "sharpdarts", m->context, "version");
	copy(version, "compiler", m->context, "compiler");
	json_object_foreach(json_object_get(m->context, "libraries"), name, library)
		put(version, name, json_incref(library));
	builder = json_pack("{s:s}", "id", BUILDER);
	if (json_object_size(version))
		put(builder, "version", version);
	else
		json_decref(version);
	return json_pack("{s:o, s:o, s:[{s:s, s:o, s:s}]}", "builder", builder, "metadata", metadata,
			 "byproducts", "name", "manifest", "digest", sha256_digest(m->seal), "mediaType",
			 "application/json");
}

json_t *sd_export_intoto(const struct sd_lineage *l, const struct sd_exported *file)
{
	const struct sd_manifest *m = l->own;
	json_t *json = json_pack("{s:s, s:o, s:s, s:{s:o, s:o}}", "_type", SD_STATEMENT_TYPE, "subject",
				 subjects(m, file), "predicateType", PREDICATE, "predicate",
				 "buildDefinition", build_definition(m), "runDetails", run_details(m));

	if (!json)
		sd_die_memory();
	return json;
}
