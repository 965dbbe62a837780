/* sheet.h: a picture of a data set, for a person to look at. */
#ifndef SD_DATA_SHEET_H
#define SD_DATA_SHEET_H

#include <stdint.h>

#include "data/augment.h"
#include "data/dataset.h"

struct sd_sheet_options {
	int split;
	int classes;               /* the first so many */
	int images;                /* of each */
	struct sd_augment policy;
	uint64_t seed;             /* of the augmentation,
		drawn as a training run of this seed draws it ... */
	uint32_t epoch;            /* ... in this epoch, counted from 0 */
};

/* A row for each class: its name, its first images as they are, and the same ones augmented, normalised
 * and turned back into bytes (numbers out of range become black or white).  Small images are shown
 * larger.  *pixels is (*H, *W, 3) bytes, to be freed.  -1 with a message. */
int sd_sheet_draw(const struct sd_dataset *ds, const struct sd_sheet_options *o, uint8_t **pixels, int *H,
		  int *W);

#endif
