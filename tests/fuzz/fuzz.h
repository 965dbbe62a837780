/* fuzz.h: what is fed with bytes from strangers, one function each.
 *
 * A target takes any bytes at all and returns; a crash, a leak or a complaint of a sanitizer is a finding, and
 * so is an input that is refused without a message (fuzz_refused). */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

typedef void fuzz_fn(const uint8_t *data, size_t n);

struct fuzz_target {
	const char *name;  /* of its folder in corpus/ too */
	fuzz_fn *run;
	size_t most;       /* bytes of an input */
};

extern const struct fuzz_target fuzz_targets[]; /* ended by a NULL name */
const struct fuzz_target *fuzz_find(const char *name); /* or NULL */

fuzz_fn fuzz_json, fuzz_manifest, fuzz_lineage, fuzz_genotype, fuzz_artifact, fuzz_archive, fuzz_reader,
	fuzz_pickle, fuzz_mat, fuzz_array, fuzz_picture, fuzz_gunzip, fuzz_key, fuzz_signature;

/* Ends the program as a finding unless there is a message. */
void fuzz_refused(void);
/* Ends the program as a finding. */
_Noreturn void fuzz_finding(const char *what);
/* A copy in memory of just that size, so that a byte too far is seen; to be freed. */
uint8_t *fuzz_copy(const uint8_t *data, size_t n);
/* A file that holds these bytes: a path to open it by, its descriptor in *fd, to be closed. */
const char *fuzz_file(const uint8_t *data, size_t n, int *fd);

#endif
