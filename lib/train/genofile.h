/* genofile.h: genotypes with what they came from: as input of a tool, and out of a search artifact. */
#ifndef SD_TRAIN_GENOFILE_H
#define SD_TRAIN_GENOFILE_H

#include <stdbool.h>

#include "arch/arch.h"
#include "artifact/artifact.h"

/* The genotype of a --arch argument. */
struct sd_genofile {
	struct sd_genotype g;
	struct sd_lineage *lineage; /* its manifest and ancestors; NULL for a bare literal */
	struct sd_blob text;        /* the file, byte for byte */
	char *name;                 /* its path, for messages and the context; "-": standard input */
};

/* Finds (sd_genotype_locate), reads and checks it: the manifests in its comments must be whole, and the
 * digest they name must be that of the genotype.  -1 with a message that names the file; `f` is filled
 * in on success only, to be released then. */
int sd_genofile_open(struct sd_genofile *f, const char *arch);
void sd_genofile_release(struct sd_genofile *f);
/* Records it as an input of the run: an artifact by its lineage, a bare literal by its bytes. */
int sd_genofile_stamp(const struct sd_genofile *f, struct sd_stamp *stamp, const char *role);

/* The softmaxed weights of a cell search after each of its epochs. */
struct sd_snapshots {
	int epochs, steps, edges;
	struct sd_primitive_list list;
	double *normal, *reduce; /* (epochs, edges, list.n) */
};

/* Reads /weights/normal, /weights/reduce and /primitives of a search artifact.  -1 and a data error when
 * they are not what a cell search leaves; filled in on success only. */
int sd_snapshots_read(struct sd_snapshots *s, struct sd_artifact *art);
void sd_snapshots_release(struct sd_snapshots *s);
/* The genotype after epoch `epoch` (from 1), all of a cell's nodes in its concat.  -1 and a usage error
 * for an epoch that there isn't. */
int sd_snapshots_derive(const struct sd_snapshots *s, int epoch, bool allow_none, struct sd_genotype *g);

#endif
