/* device.c: opens the engine that a tool's options ask for. */
#include "train/device.h"

static void environment(void *ctx, const char *name, const char *value)
{
	sd_stamp_environment(ctx, name, value);
}

static void choice(void *ctx, const char *name, const char *value)
{
	json_object_set_new(ctx, name, json_string(value));
}

void sd_device_stamp_choices(const struct sd_engine *e, struct sd_stamp *stamp)
{
	json_t *all = json_object();

	sd_engine_choices(e, choice, all);
	if (json_object_size(all))
		sd_stamp_fact(stamp, "algorithms", all);
	else
		json_decref(all);
}

/* e in the precision asked for; NULL for none, or with a message. */
static struct sd_engine *with_precision(struct sd_engine *e, const struct sd_device_options *o)
{
	if (e && sd_engine_set_precision(e, (enum sd_precision)o->precision)) {
		sd_engine_close(e);
		return NULL;
	}
	return e;
}

struct sd_engine *sd_device_open_plans(const struct sd_device_options *o)
{
	return with_precision(sd_engine_open_plans(o->device, 1), o);
}

struct sd_engine *sd_device_open(const struct sd_device_options *o, int threads, struct sd_stamp *stamp)
{
	struct sd_engine *e = with_precision(sd_engine_open(o->device, threads), o);
	if (!e)
		return NULL;
	sd_stamp_environment(stamp, "engine", sd_engine_kind(e));
	sd_engine_environment(e, environment, stamp);
	sd_stamp_threads(stamp, sd_engine_threads(e));
	sd_stamp_fact(stamp, "code_path", json_string(sd_engine_path(e)));
	return e;
}
