/* stamp.h: the one way in which an artifact gets its manifest.
 *
 *	struct sd_stamp *st = sd_stamp_new("search", &opts, &shared);
 *	sd_stamp_input(st, "data", sd_artifact_lineage(art), sd_artifact_name(art));
 *	sd_stamp_environment(st, "engine", "cpu");
 *	if (sd_stamp_check_target(st, output, shared.force) < 0) goto out;
 *	...
 *	sd_stamp_progress(st, epochs_done, true);
 *	sd_artifact_finish(art_out, st, id);
 *
 * Claim: kind, tool, source, parameters (all numeric options), seed, inputs, environment, epochs_done and
 * complete (where sd_stamp_progress was called; complete is true otherwise), payload.  Context: what may
 * differ.  Memory that runs out ends the program with a message, as manifests are small. */
#ifndef SD_ARTIFACT_STAMP_H
#define SD_ARTIFACT_STAMP_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "artifact/manifest.h"
#include "base/opt.h"

struct sd_stamp;

/* Begins: the clock starts.  Parameters, seed and argv are read from `opts` when the manifest is made (or
 * the target checked), so that resolved values count; notes and --context from `shared`. */
struct sd_stamp *sd_stamp_new(const char *kind, const struct sd_opts *opts, const struct sd_shared *shared);
void sd_stamp_free(struct sd_stamp *st);

/* An input in the claim: artifacts by their lineage (whose manifests are copied), raw files by content.
 * `role` is unique ("data", "arch", "also1"); `name` goes into the context only.  -1: the role is taken. */
int sd_stamp_input(struct sd_stamp *st, const char *role, const struct sd_lineage *lineage, const char *name);
int sd_stamp_input_raw(struct sd_stamp *st, const char *role, const char *name, uint64_t size,
		       const char *sha256);
/* The same for bytes in memory (a genotype literal without manifests). */
int sd_stamp_input_bytes(struct sd_stamp *st, const char *role, const char *name, const void *data, size_t n);

/* What can change a number: claim.environment ("engine": "cpu"; "libjpeg": "2.1.5").  A later call for the
 * same key replaces the earlier one, here and below. */
void sd_stamp_environment(struct sd_stamp *st, const char *key, const char *value);
/* How far it came.  Epochs and completeness stand in the claim, and so in id and recipe. */
void sd_stamp_progress(struct sd_stamp *st, int epochs_done, bool complete);
/* A parameter that no option row stands for (the reader's name of sd-prep): claim.parameters. */
void sd_stamp_parameter(struct sd_stamp *st, const char *key, json_t *value);
/* Anything else worth knowing that may differ: context.  Steals `value`. */
void sd_stamp_fact(struct sd_stamp *st, const char *key, json_t *value);
void sd_stamp_threads(struct sd_stamp *st, int threads);

/* A resumed run: the checkpoint's context.segments are kept and this one is added. */
void sd_stamp_resumed(struct sd_stamp *st, const struct sd_manifest *checkpoint);

/* Whether m is of the same run: its claim equals the stamp's but for epochs_done, complete and payload. */
bool sd_stamp_same_run(const struct sd_stamp *st, const struct sd_manifest *m);

/* At the start of a run: 0 if `output` does not exist, is "-", is an artifact of the same run, or `force`;
 * else -1 and a usage error "'x.h5' exists and is of another run (--force replaces it)". */
int sd_stamp_check_target(const struct sd_stamp *st, const char *output, bool force);

/* --update and --why, at the start of a run, when all inputs are there: 1 if nothing is to be made, because `output`
 * is current or --why has been answered on standard output; 0 to go on (unless -q, a message says why); -1 with a
 * message.  An output is current if it can be read and checked as a whole, is complete, and its claim has the
 * parameters, the seed, the engine and, by payload digest or SHA-256, the inputs of this run; with
 * SD_UPDATE_PROGRAM also its program and libraries.  Of a text artifact only the manifest is looked at: what the caller
 * found wrong with the rest is `damage`, else NULL. */
int sd_stamp_update(const struct sd_stamp *st, const char *output, const char *damage);

/* The manifest for a payload digest (64 hex digits), with its ancestors: the result of the run as
 * it is now.  For text artifacts; sd_artifact_finish() does it by itself.  To be freed with
 * sd_lineage_free(). */
struct sd_lineage *sd_stamp_make(const struct sd_stamp *st, const char *payload);

#endif
