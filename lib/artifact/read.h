/* read.h: an opened artifact from within (private to this room). */
#ifndef SD_ARTIFACT_READ_H
#define SD_ARTIFACT_READ_H

#include <sys/types.h>

#include "artifact/artifact.h"
#include "artifact/h5.h"
#include "base/str.h"

/* deflate cannot shrink data by more than this (RFC 1951: 258 bytes in 2 bits) */
#define SD_MAX_RATIO 1040

/* A payload dataset. */
struct sd_entry {
	struct sd_dset d;     /* d.path is owned */
	hid_t dset;           /* open, in the process that has the file */
	char digest[SD_ID_LEN]; /* from /digests; "" when it is not listed */
	uint64_t nblock;
	const uint8_t *block; /* (nblock, 32) within the table, or NULL: then only the whole can be checked */
	bool checked;         /* all of it */
	uint8_t *seen;        /* (nblock) blocks that have been checked, for large ones */
};

struct sd_artifact {
	char *name;           /* for messages */
	int fd;
	uint64_t length;
	pid_t child;          /* the process that libhdf5 reads in, and the socket to it; 0: none */
	int socket;
	struct sd_h5_io io;   /* these two in that process */
	hid_t file;
	struct sd_user_block user;
	char kind[33], seal[SD_ID_LEN]; /* attributes */
	struct sd_lineage *lineage;
	struct sd_entry *entry; /* sorted by path */
	int nentry;
	uint8_t *blocks;      /* contents of /blocks */
	uint64_t nblocks;
	char *manifest, *digests;  /* texts as stored; NULL when absent */
	size_t manifest_len, digests_len;
	char **ancestor_id, **ancestor;
	int nancestor;
	struct sd_signature *signature;
	int nsignature;
	struct sd_str *report; /* sd-verify: problems are collected here */
	int nproblem;
};

/* Something is not as it should be: "path: what".  Without a report an error (-1); with one a line of it,
 * and 0 so that the check goes on. */
int sd_problem(struct sd_artifact *art, const char *fmt, ...) SD_PRINTF(2, 3);

/* Reads what kinds of objects there are, and all that lies beside the payload: scan.c. */
int sd_scan(struct sd_artifact *art);
/* Compares /digests and /blocks with the manifest and with what datasets there are: payload.c. */
int sd_payload_lists(struct sd_artifact *art);
/* Reads all of a dataset and compares its digest. */
int sd_entry_check(struct sd_artifact *art, struct sd_entry *e);
/* Starts the process, which looks into the file (sd_scan) and tells what is there; and ends it: inside.c. */
int sd_inside_open(struct sd_artifact *art);
void sd_inside_close(struct sd_artifact *art);
/* Rows of the first axis (a scalar has one) as they are. */
int sd_entry_rows(struct sd_artifact *art, const struct sd_entry *e, uint64_t first, uint64_t n, void *data);
/* Bytes of a row. */
uint64_t sd_entry_row(const struct sd_entry *e);

#endif
