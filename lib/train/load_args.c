/* load_args.c: the parameters of another run. */
#include "train/load_args.h"

#include <stdio.h>
#include <string.h>

#include "artifact/artifact.h"
#include "base/err.h"
#include "base/str.h"

/* A parameter's value in a claim as the command line has it, in buf where it isn't a string; NULL if it is
 * neither. */
static const char *text_of(const json_t *v, char buf[32])
{
	if (json_is_string(v))
		return json_string_value(v);
	if (json_is_boolean(v))
		return json_is_true(v) ? "true" : "false";
	if (!json_is_integer(v))
		return NULL;
	snprintf(buf, 32, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	return buf;
}

/* Once set it counts as given, so that nothing else takes it for a default. */
static int take(struct sd_opts *opts, struct sd_opt *row, const char *value)
{
	/* a run that another one begins is numbered on from it */
	if (row->given || (!strcmp(row->name, "start_epoch") && sd_opts_given(opts, "resume")))
		return 0;
	if (row->type == SD_OPT_TYPE_TEXT)
		value = sd_xstrdup(value); /* the row keeps the pointer */
	if (sd_opts_default(opts, row->name, value))
		return -1;
	row->given = 1;
	return 0;
}

static int take_all(struct sd_opts *opts, const struct sd_manifest *m)
{
	const char *name;
	json_t *v;
	if (strcmp(m->tool, opts->tool))
		return sd_error(SD_ERR_DATA, "its parameters are those of %s", m->tool);
	json_object_foreach(json_object_get(m->claim, "parameters"), name, v) {
		char buf[32];
		struct sd_opt *row = sd_opts_find(opts, name);
		const char *value = text_of(v, buf);
		if (!row || row->class != SD_NUMERIC || !value)
			return sd_error(SD_ERR_DATA, "its parameter '%s' is none of this version's", name);
		if (take(opts, row, value))
			return -1;
	}
	for (struct sd_opt *row = opts->rows; m->seed && row->type != SD_OPT_TYPE_END; row++)
		if (row->type == SD_OPT_TYPE_SEED)
			return take(opts, row, m->seed);
	return 0;
}

int sd_load_args(struct sd_opts *opts, const char *path)
{
	struct sd_artifact *art = sd_artifact_open(path, SD_ARTIFACT_PARTIAL);
	if (!art)
		return -1;
	int ret = take_all(opts, sd_artifact_lineage(art)->own);
	if (ret)
		sd_error_in("cannot take the parameters of '%s'", sd_artifact_name(art));
	sd_artifact_close(art);
	return ret;
}
