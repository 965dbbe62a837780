/* device.h: the engine that a tool's options ask for, written into its manifest. */
#ifndef SD_TRAIN_DEVICE_H
#define SD_TRAIN_DEVICE_H

#include "artifact/stamp.h"
#include "base/opt.h"
#include "engine/engine.h"

struct sd_device_options {
	const char *device;
	int precision; /* enum sd_precision */
};
#define SD_OPTS_DEVICE(o) \
	SD_OPT_TEXT("device", NULL, SD_EXECUTION, &(o).device, "auto", "auto|cpu|cuda[:N]", \
		    "where to compute; auto: on the first GPU where there is one"), \
	SD_OPT_CHOICE("precision", NULL, SD_NUMERIC, &(o).precision, "fp32", "fp32|tf32|bf16|fp16", \
		      "arithmetic of images on a GPU; statistics, losses and weights stay in fp32")

/* One that only plans (engine.h).  NULL with a message. */
struct sd_engine *sd_device_open_plans(const struct sd_device_options *o);
/* Opens the engine; its kind, device class and libraries go into the claim, its code path and threads into
 * the context.  NULL with a message. */
struct sd_engine *sd_device_open(const struct sd_device_options *o, int threads, struct sd_stamp *stamp);
/* Writes the engine's choices so far into the context, as "algorithms". */
void sd_device_stamp_choices(const struct sd_engine *e, struct sd_stamp *stamp);

#endif
