/* primitives.c: the names: primitives, activations and the published search spaces. */
#include "arch/arch.h"
#include "base/err.h"
#include "base/str.h"

#include <string.h>

const struct sd_primitive_info sd_primitives[SD_PRIM_COUNT] = {
	[SD_PRIM_NONE] = { "none", SD_OPS | SD_DARTS_OPS, false },
	[SD_PRIM_MAX_POOL_3X3] = { "max_pool_3x3", SD_OPS | SD_DARTS_OPS, true },
	[SD_PRIM_AVG_POOL_3X3] = { "avg_pool_3x3", SD_OPS | SD_DARTS_OPS, true },
	[SD_PRIM_SKIP_CONNECT] = { "skip_connect", SD_OPS | SD_DARTS_OPS, false },
	[SD_PRIM_SEP_CONV_3X3] = { "sep_conv_3x3", SD_OPS | SD_DARTS_OPS, false },
	[SD_PRIM_SEP_CONV_5X5] = { "sep_conv_5x5", SD_OPS | SD_DARTS_OPS, false },
	[SD_PRIM_SEP_CONV_7X7] = { "sep_conv_7x7", SD_OPS | SD_DARTS_OPS, false },
	[SD_PRIM_DIL_CONV_3X3] = { "dil_conv_3x3", SD_OPS | SD_DARTS_OPS, false },
	[SD_PRIM_DIL_CONV_5X5] = { "dil_conv_5x5", SD_OPS | SD_DARTS_OPS, false },
	[SD_PRIM_CONV_7X1_1X7] = { "conv_7x1_1x7", SD_OPS | SD_DARTS_OPS, false },
	[SD_PRIM_FLOOD_CONV_3X3] = { "flood_conv_3x3", SD_OPS, false },
	[SD_PRIM_FLOOD_CONV_5X5] = { "flood_conv_5x5", SD_OPS, false },
	[SD_PRIM_DIL_FLOOD_CONV_3X3] = { "dil_flood_conv_3x3", SD_OPS, false },
	[SD_PRIM_DIL_FLOOD_CONV_5X5] = { "dil_flood_conv_5x5", SD_OPS, false },
	[SD_PRIM_CHOKE_CONV_3X3] = { "choke_conv_3x3", SD_OPS, false },
	[SD_PRIM_DIL_CHOKE_CONV_3X3] = { "dil_choke_conv_3x3", SD_OPS, false },
	[SD_PRIM_NOR_CONV_3X3] = { "nor_conv_3x3", SD_DARTS_OPS, false },
	[SD_PRIM_NOR_CONV_5X5] = { "nor_conv_5x5", SD_DARTS_OPS, false },
	[SD_PRIM_NOR_CONV_7X7] = { "nor_conv_7x7", SD_DARTS_OPS, false },
};

const char *const sd_activations[SD_ACT_COUNT] = {
	[SD_ACT_NONE] = "none",
	[SD_ACT_TANH] = "tanh",
	[SD_ACT_RELU] = "relu",
	[SD_ACT_SIGMOID] = "sigmoid",
	[SD_ACT_IDENTITY] = "identity",
};

const struct sd_primitive_list sd_primitive_lists[] = {
	{ "PRIMITIVES", 9, {
		SD_PRIM_NONE, SD_PRIM_MAX_POOL_3X3, SD_PRIM_SKIP_CONNECT, SD_PRIM_SEP_CONV_3X3,
		SD_PRIM_DIL_CONV_3X3, SD_PRIM_FLOOD_CONV_3X3, SD_PRIM_DIL_FLOOD_CONV_3X3,
		SD_PRIM_CHOKE_CONV_3X3, SD_PRIM_DIL_CHOKE_CONV_3X3,
	} },
	{ "DARTS_PRIMITIVES", 8, {
		SD_PRIM_NONE, SD_PRIM_MAX_POOL_3X3, SD_PRIM_AVG_POOL_3X3, SD_PRIM_SKIP_CONNECT,
		SD_PRIM_SEP_CONV_3X3, SD_PRIM_SEP_CONV_5X5, SD_PRIM_DIL_CONV_3X3, SD_PRIM_DIL_CONV_5X5,
	} },
	{ "SHARPER_PRIMITIVES", 12, {
		SD_PRIM_NONE, SD_PRIM_MAX_POOL_3X3, SD_PRIM_AVG_POOL_3X3, SD_PRIM_SKIP_CONNECT,
		SD_PRIM_SEP_CONV_3X3, SD_PRIM_SEP_CONV_5X5, SD_PRIM_SEP_CONV_7X7, SD_PRIM_DIL_CONV_3X3,
		SD_PRIM_DIL_CONV_5X5, SD_PRIM_FLOOD_CONV_3X3, SD_PRIM_FLOOD_CONV_5X5,
		SD_PRIM_DIL_FLOOD_CONV_3X3,
	} },
	{ NULL, 0, { 0 } },
};

int sd_primitives_find(const char *name)
{
	int i;

	for (i = 0; i < SD_PRIM_COUNT; i++)
		if (!strcmp(name, sd_primitives[i].name))
			return i;
	return -1;
}

int sd_activations_find(const char *name)
{
	int i;

	for (i = 0; i < SD_ACT_COUNT; i++)
		if (!strcmp(name, sd_activations[i]))
			return i;
	return -1;
}

int sd_op_table_find(const char *name)
{
	if (!strcmp(name, "OPS"))
		return SD_OPS;
	if (!strcmp(name, "DARTS_OPS"))
		return SD_DARTS_OPS;
	return sd_error(SD_ERR_USAGE, "no table of operations '%s': there are OPS and DARTS_OPS", name);
}

const char *sd_op_table_name(enum sd_op_table table)
{
	return table == SD_DARTS_OPS ? "DARTS_OPS" : "OPS";
}

static int add_name(struct sd_primitive_list *list, const char *name, size_t n)
{
	char buf[64];
	int id, i;

	while (n && (*name == ' ' || *name == '\t'))
		name++, n--;
	while (n && (name[n - 1] == ' ' || name[n - 1] == '\t'))
		n--;
	if (!n)
		return sd_error(SD_ERR_USAGE, "an empty name in the list of primitives");
	snprintf(buf, sizeof(buf), "%.*s", (int)(n < sizeof(buf) ? n : sizeof(buf)), name);
	id = sd_primitives_find(buf);
	if (id < 0)
		return sd_error(SD_ERR_USAGE, "'%s' is neither a primitive nor PRIMITIVES, "
			"DARTS_PRIMITIVES or SHARPER_PRIMITIVES", buf);
	for (i = 0; i < list->n; i++)
		if (list->id[i] == id)
			return sd_error(SD_ERR_USAGE, "the list of primitives has '%s' twice", buf);
	list->id[list->n++] = id;
	return 0;
}

int sd_primitive_list_parse(struct sd_primitive_list *list, const char *text)
{
	struct sd_primitive_list own = { .name = "" };
	const struct sd_primitive_list *l;
	size_t n;

	for (l = sd_primitive_lists; l->name; l++) {
		if (!strcmp(text, l->name)) {
			*list = *l;
			return 0;
		}
	}
	for (;; text += n + 1) {
		n = strcspn(text, ",");
		if (add_name(&own, text, n) < 0)
			return -1;
		if (!text[n])
			break;
	}
	for (l = sd_primitive_lists; l->name; l++)
		if (l->n == own.n && !memcmp(l->id, own.id, sizeof(*own.id) * (size_t)own.n))
			own.name = l->name;
	*list = own;
	return 0;
}

char *sd_primitive_list_text(const struct sd_primitive_list *list)
{
	struct sd_str text = SD_STR_INIT;
	int i;

	for (i = 0; i < list->n; i++)
		sd_str_addf(&text, "%s%s", i ? "," : "", sd_primitives[list->id[i]].name);
	return sd_str_detach(&text);
}

int sd_primitive_list_check(const struct sd_primitive_list *list, enum sd_op_table table)
{
	int i;

	for (i = 0; i < list->n; i++)
		if (!(sd_primitives[list->id[i]].tables & table))
			return sd_error(SD_ERR_USAGE, "%s has no primitive '%s'", sd_op_table_name(table),
				sd_primitives[list->id[i]].name);
	return 0;
}
