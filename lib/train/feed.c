/* feed.c: where a step's batches come from. */
#include "train/feed.h"

#include <string.h>

#include "base/err.h"

int sd_feed_init(struct sd_feed *f, struct sd_engine *e, const struct sd_dataset *ds,
	const struct sd_loader_options *o)
{
	memset(f, 0, sizeof *f);
	f->engine = e;
	f->loader = sd_loader_new(ds, o);
	if (!f->loader)
		return -1;
	sd_loader_spec(f->loader, &f->spec);
	if (!sd_device_feed_fits(e, (size_t)f->spec.images_n * sd_dataset_image_bytes(ds)))
		return 0;
	f->device = sd_device_feed_new(e, &f->spec);
	return f->device ? 0 : -1;
}

void sd_feed_release(struct sd_feed *f)
{
	sd_device_feed_free(f->device);
	sd_loader_free(f->loader);
	memset(f, 0, sizeof *f);
}

uint32_t sd_feed_batches(const struct sd_feed *f)
{
	return sd_loader_batches(f->loader);
}

int sd_feed_epoch(struct sd_feed *f, uint32_t epoch, uint32_t from)
{
	double began = sd_engine_clock(f->engine);
	f->next = from;
	int ret = f->device ? sd_device_feed_epoch(f->device, epoch, from) : sd_loader_epoch(f->loader, epoch, from);
	sd_engine_note_part(f->engine, SD_PART_DATA, sd_engine_clock(f->engine) - began);
	return ret;
}

int sd_feed_next(struct sd_feed *f, struct sd_step_batch *b)
{
	if (!f->device) {
		struct sd_batch host;
		double began = sd_engine_clock(f->engine);
		int got = sd_loader_next(f->loader, &host);
		sd_engine_note_part(f->engine, SD_PART_DATA, sd_engine_clock(f->engine) - began);
		if (got > 0) {
			*b = (struct sd_step_batch){ (int)host.n, host.images, host.labels, host.ids, NULL };
			sd_engine_note_part(f->engine, SD_PART_AHEAD, host.seconds);
		}
		return got;
	}
	if (f->next >= sd_feed_batches(f))
		return 0;
	uint32_t left = f->spec.draw ? f->spec.batch : f->spec.n - f->next * f->spec.batch;
	*b = (struct sd_step_batch){ .n = (int)(left < f->spec.batch ? left : f->spec.batch), .device = f->device };
	f->next++;
	return 1;
}

int sd_feed_must(struct sd_feed *f, struct sd_step_batch *b)
{
	int got = sd_feed_next(f, b);
	return got == 0 ? sd_error(SD_ERR_BUG, "the data set ended early") : got < 0 ? -1 : 0;
}
