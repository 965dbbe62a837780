/* export.h: manifests in the words of others.  The mappings are in sd-manifest(5). */
#ifndef SD_PROVENANCE_EXPORT_H
#define SD_PROVENANCE_EXPORT_H

#include <stdint.h>
#include <time.h>

#include "artifact/manifest.h"
#include "base/str.h"

#define SD_ARTIFACT_URI "urn:sharpdarts:artifact:" /* and an id */

/* An artifact's file as it is. */
struct sd_exported {
	const char *base;      /* its name without folders */
	char sha256[SD_ID_LEN];
	uint64_t size;
	time_t changed;
};
/* Looks at the file `name`; for "-" the name is that of the kind, as `l` has it.  -1 and a message. */
int sd_exported_look(struct sd_exported *file, const char *name, const struct sd_lineage *l);

/* An in-toto Statement (v1) with a SLSA provenance (v1) of the run that made the artifact. */
json_t *sd_export_intoto(const struct sd_lineage *l, const struct sd_exported *file);

/* ro-crate-metadata.json (RO-Crate 1.1, Process Run Crate 0.5) of the artifact and all that it came from. */
json_t *sd_export_crate(const struct sd_lineage *l, const struct sd_exported *file);
/* Writes it into the folder `dir`, which is made if it isn't there, with a copy of the artifact unless it lies
 * there.  Nothing is replaced: -1 and a message if there are other files of these names. */
int sd_export_crate_write(const char *dir, const char *name, const struct sd_exported *file,
			  const json_t *crate);

/* An input as it is named in both: "urn:sharpdarts:artifact:<id>", or for a raw file "ni:///sha-256;..." by its
 * content (RFC 6920).  To be freed. */
char *sd_input_uri(const json_t *input);

#endif
