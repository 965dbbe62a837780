/* feed.h: where a step's batches come from: a loader on the host, or the device itself where it can hold the
 * data set.  The batches are the same, bit for bit. */
#ifndef SD_TRAIN_FEED_H
#define SD_TRAIN_FEED_H

#include "train/step.h"

struct sd_feed {
	struct sd_engine *engine;
	struct sd_loader *loader;
	struct sd_device_feed *device; /* NULL: the loader makes the batches */
	struct sd_feed_spec spec;
	uint32_t next;                 /* batch of the epoch, or global step of a draw */
};

/* As sd_loader_new: `ds` must outlive it.  -1 with a message. */
int sd_feed_init(struct sd_feed *f, struct sd_engine *e, const struct sd_dataset *ds,
	const struct sd_loader_options *o);
void sd_feed_release(struct sd_feed *f);
uint32_t sd_feed_batches(const struct sd_feed *f); /* as sd_loader_batches */
int sd_feed_epoch(struct sd_feed *f, uint32_t epoch, uint32_t from); /* as sd_loader_epoch */
/* The next batch, valid until the next call: 1, 0 at the end of the epoch, -1 with a message. */
int sd_feed_next(struct sd_feed *f, struct sd_step_batch *b);
/* The same where there must be one: 0, or -1 with a message. */
int sd_feed_must(struct sd_feed *f, struct sd_step_batch *b);

#endif
