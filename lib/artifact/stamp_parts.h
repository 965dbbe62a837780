/* stamp_parts.h: a stamp from within (private to this room). */
#ifndef SD_ARTIFACT_STAMP_PARTS_H
#define SD_ARTIFACT_STAMP_PARTS_H

#include <time.h>

#include "artifact/stamp.h"

struct sd_stamp {
	char *kind;
	const struct sd_opts *opts;
	const struct sd_shared *shared;
	json_t *parameters;  /* those that no option stands for */
	json_t *inputs;      /* of the claim */
	json_t *sources;     /* context.inputs: names and seals */
	json_t *environment;
	json_t *facts;
	json_t *segments;    /* earlier ones of a resumed run */
	struct sd_lineage *inherited; /* ancestors only, own is NULL */
	bool counted, complete;
	int epochs_done;
	int threads;
	struct timespec began; /* monotonic */
	time_t began_at;
};

/* The claim as it is now, without a payload if that is NULL.  A new reference, NULL with a message. */
json_t *sd_stamp_claim(const struct sd_stamp *st, const char *payload);

#endif
