/* golden_arch.c: what needs no tensor: derivation, the learning-rate schedule, parameter counts. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/derive.h"
#include "base/err.h"
#include "golden.h"
#include "model/count.h"
#include "model/model.h"
#include "train/schedule.h"

int gold_primitive_list(struct sd_primitive_list *list, hid_t loc, const char *path, const char *name)
{
	char *text = gold_text(loc, path, name);
	int ret = -1;

	if (!text)
		return -1;
	/* ["none", "max_pool_3x3"] to none,max_pool_3x3 */
	if (text[0] == '[') {
		char *to = text;

		for (char *p = text; *p; p++)
			if (!strchr("[]\"' ", *p))
				*to++ = *p;
		*to = 0;
	}
	ret = sd_primitive_list_parse(list, text);
	free(text);
	return ret;
}

/* A cell's edges in the form "[('sep_conv_3x3', 1), ...]", allocated. */
static char *edges_text(const struct sd_cell *cell)
{
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);

	if (!f)
		return NULL;
	putc('[', f);
	for (int i = 0; i < cell->nedge; i++)
		fprintf(f, "%s('%s', %d)", i ? ", " : "", sd_primitives[cell->edge[i].op].name,
			cell->edge[i].from);
	putc(']', f);
	fclose(f);
	return out;
}

/* Derives from `weights` in group `path` of the file and compares with `key`, the (index, input)
 * pairs, and with the string of the same name where there is one. */
static void derive_one(struct gold *g, hid_t file, const char *path, const char *key, int allow_none,
	const struct sd_primitive_list *list)
{
	struct gold_array w = {0}, want = {0};
	struct sd_cell cell = {0};
	char name[300], *text = NULL, *said = NULL;
	int steps = 0;

	snprintf(name, sizeof(name), "%s/weights", path);
	if (gold_read(&w, file, name))
		goto error;
	snprintf(name, sizeof(name), "%s/%s", path, key);
	if (gold_read(&want, file, name))
		goto error;
	while (sd_search_edges(steps) < w.dim[0])
		steps++;
	if (w.ndim != 2 || w.dim[0] != sd_search_edges(steps) || w.dim[1] != list->n || want.n != 4u * steps) {
		sd_error(SD_ERR_DATA, "shapes do not fit %d primitives", list->n);
		goto error;
	}
	if (sd_derive_cell(&cell, w.v, steps, steps, list, allow_none))
		goto error;
	for (int i = 0; i < 2 * steps; i++) {
		int op = (int)want.v[2 * i], from = (int)want.v[2 * i + 1];

		if (op < 0 || op >= list->n || cell.edge[i].op != list->id[op] || cell.edge[i].from != from) {
			gold_result(g, name, 0, "edge %d is ('%s', %d)", i,
				sd_primitives[cell.edge[i].op].name, cell.edge[i].from);
			goto out;
		}
	}
	if (gold_has_attr(file, path, key)) {
		said = gold_text(file, path, key);
		text = edges_text(&cell);
		if (!said || !text || strcmp(said, text)) {
			gold_result(g, name, 0, "is %s", text ? text : "?");
			goto out;
		}
	}
	gold_result(g, name, 1, "%d edges equal%s", 2 * steps, said ? ", text too" : "");
	goto out;
error:
	gold_error(g, name);
out:
	free(text);
	free(said);
	sd_cell_alloc(&cell, 0, 0);
	free(cell.edge);
	free(cell.concat);
	gold_array_release(&w);
	gold_array_release(&want);
}

/* A group with normal/ and reduce/: the whole genotype as text too. */
static void derive_both(struct gold *g, hid_t file, const char *path, const char *key, int allow_none,
	const struct sd_primitive_list *list)
{
	struct gold_array w[2] = {{0}};
	struct sd_genotype genotype;
	char name[300], attr[80], *text = NULL, *said = NULL;
	int steps = 0;

	sd_genotype_init(&genotype);
	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "%s/%s/weights", path, i ? "reduce" : "normal");
		if (gold_read(&w[i], file, name))
			goto error;
	}
	while (sd_search_edges(steps) < w[0].dim[0])
		steps++;
	snprintf(name, sizeof(name), "%s/%s", path, key);
	snprintf(attr, sizeof(attr), "genotype_%s", key);
	said = gold_text(file, path, attr);
	if (!said || sd_derive_genotype(&genotype, w[0].v, w[1].v, steps, steps, list, allow_none))
		goto error;
	text = sd_genotype_text(&genotype);
	gold_result(g, name, text && !strcmp(text, said), "%s", text ? text : "?");
	goto out;
error:
	gold_error(g, name);
out:
	free(text);
	free(said);
	sd_genotype_release(&genotype);
	gold_array_release(&w[0]);
	gold_array_release(&w[1]);
}

static void derive_group(struct gold *g, hid_t file, const char *path)
{
	static const char *const key[2] = { "skip_none", "skip_None" };
	struct sd_primitive_list list;
	char name[300];

	/* the primitives of normal/ and reduce/ are said by the group above, or by its name */
	snprintf(name, sizeof(name), "%s/weights", path);
	int both = !gold_has(file, name);
	if (gold_has_attr(file, path, "primitives")) {
		if (gold_primitive_list(&list, file, path, "primitives")) {
			gold_error(g, path);
			return;
		}
	} else if (sd_primitive_list_parse(&list,
			strstr(path, "SHARPER") ? "SHARPER_PRIMITIVES" : "DARTS_PRIMITIVES")) {
		gold_error(g, path);
		return;
	}
	for (int i = 0; i < 2; i++) {
		if (!both) {
			derive_one(g, file, path, key[i], i, &list);
			continue;
		}
		snprintf(name, sizeof(name), "%s/normal", path);
		derive_one(g, file, name, key[i], i, &list);
		snprintf(name, sizeof(name), "%s/reduce", path);
		derive_one(g, file, name, key[i], i, &list);
		derive_both(g, file, path, key[i], i, &list);
	}
}

int gold_derive(struct gold *g, hid_t file)
{
	size_t n, m;
	char **name = gold_names(file, ".", &n), path[300];
	int ret = 0;

	if (!name)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!strncmp(name[i], "case", 4) || !strncmp(name[i], "known", 5)) {
			derive_group(g, file, name[i]);
		} else if (!strcmp(name[i], "ties")) {
			char **tie = gold_names(file, name[i], &m);

			for (size_t k = 0; tie && k < m; k++) {
				snprintf(path, sizeof(path), "ties/%s", tie[k]);
				derive_group(g, file, path);
			}
			if (!tie)
				ret = -1;
			free(tie);
		} else if (strcmp(name[i], "primitives")) {
			gold_skip(g, name[i], "not known");
		}
	}
	free(name);
	return ret;
}

/* ---- the schedule ---- */

/* The arguments from their JSON form; *epochs is to be freed. */
static int schedule_args(struct sd_schedule_args *args, int **epochs, const char *text)
{
	static const char *const known[] = { "epochs", "max_epoch", "max_lr", "min_lr", "exponent_order",
		"warmup_epochs", "start_epoch", "restart_lr", "return_intermediates" };
	json_t *root = json_loads(text, 0, NULL), *value;
	const char *key;
	int ret = -1;

	*args = (struct sd_schedule_args)SD_SCHEDULE_DEFAULTS;
	*epochs = NULL;
	if (!json_is_object(root)) {
		json_decref(root);
		return sd_error(SD_ERR_DATA, "kwargs are no JSON object");
	}
	json_object_foreach(root, key, value) {
		size_t k = 0;

		while (k < sizeof(known) / sizeof(known[0]) && strcmp(known[k], key))
			k++;
		double num = json_number_value(value);
		switch (k) {
		case 0:
			if (json_is_array(value)) {
				args->nepoch = (int)json_array_size(value);
				*epochs = calloc(args->nepoch + 1, sizeof(**epochs));
				for (int i = 0; *epochs && i < args->nepoch; i++)
					(*epochs)[i] = (int)json_integer_value(json_array_get(value, i));
				args->epoch_array = *epochs;
			} else {
				args->epochs = (int)num;
			}
			break;
		case 1: args->max_epoch = (int)num; break;
		case 2: args->max_lr = num; break;
		case 3: args->min_lr = num; break;
		case 4: args->exponent_order = num; break;
		case 5: args->warmup_epochs = (int)num; break;
		case 6: args->start_epoch = (int)num; break;
		case 7: args->restart_lr = json_is_true(value); break;
		case 8: break;
		default:
			sd_error(SD_ERR_DATA, "argument '%s' is not known", key);
			goto out;
		}
	}
	ret = 0;
out:
	json_decref(root);
	return ret;
}

static void schedule_case(struct gold *g, hid_t file, const char *name)
{
	static const char *const column[3] = { "lr", "cos_power_proportions", "cos_proportions" };
	struct sd_schedule_args args;
	struct sd_schedule s = {0};
	struct gold_worst worst;
	char *kwargs = gold_text(file, name, "kwargs"), *raises = gold_text(file, name, "raises");
	int *epochs = NULL, must_fail;

	gold_worst_init(&worst, GOLD_DOUBLE);
	if (!kwargs || !raises || schedule_args(&args, &epochs, kwargs)) {
		gold_error(g, name);
		goto out;
	}
	must_fail = strcmp(raises, "no") || gold_num(file, name, "has_nan", 0) != 0;
	if (sd_cosine_power_annealing(&s, &args)) {
		gold_result(g, name, must_fail, "%s", sd_error_text());
		goto out;
	}
	if (must_fail) {
		gold_result(g, name, 0, "gives a schedule, expected an error");
	} else {
		for (int i = 0; i < 3; i++) {
			struct gold_array ref;
			char path[200];

			snprintf(path, sizeof(path), "%s/%s", name, column[i]);
			if (!gold_has(file, path))
				continue;
			if (gold_read(&ref, file, path)) {
				gold_worst_broken(&worst, "%s", sd_error_text());
				continue;
			}
			gold_compare_double(&worst, column[i], i == 0 ? s.lr : i == 1 ? s.cos_power : s.cos,
				i == 0 ? s.nlr : s.n, &ref);
			gold_array_release(&ref);
		}
		gold_report(g, name, &worst);
	}
	sd_schedule_release(&s);
out:
	free(epochs);
	free(kwargs);
	free(raises);
}

int gold_schedule(struct gold *g, hid_t file)
{
	size_t n;
	char **name = gold_names(file, ".", &n);

	if (!name)
		return -1;
	for (size_t i = 0; i < n; i++)
		schedule_case(g, file, name[i]);
	free(name);
	return 0;
}

/* ---- parameter counts ---- */

/* Counts the network of a row; 0, or -1 with a message. */
static int count_row(const struct gold_table *t, int row, int imagenet, struct sd_count *c)
{
	const char *mid = gold_field(t, row, "C_mid");
	struct sd_genotype genotype;
	struct sd_network net = { .classes = imagenet ? 1000 : 10, .auxiliary = 1, .genotype = &genotype };
	int ret = -1, table = sd_op_table_find(gold_field(t, row, "ops"));

	sd_genotype_init(&genotype);
	if (table < 0 || sd_genotype_load(&genotype, gold_field(t, row, "name"), NULL))
		goto out;
	net.ops = table;
	net.channels = atoi(gold_field(t, row, "C"));
	net.layers = atoi(gold_field(t, row, "layers"));
	net.mid_channels = !strcmp(mid, "None") ? -1 : atoi(mid);
	ret = imagenet ? sd_count_network_imagenet(c, &net, 3, 224, 224) :
		sd_count_network_cifar(c, &net, 3, 32, 32);
out:
	sd_genotype_release(&genotype);
	return ret;
}

static int count_supernet_row(const struct gold_table *t, int row, struct sd_count *c)
{
	struct sd_primitive_list list;
	struct sd_supernet net = { .classes = 10, .prims = &list };
	int table = sd_op_table_find(gold_field(t, row, "ops"));

	if (table < 0 || sd_primitive_list_parse(&list, gold_field(t, row, "primitives")))
		return -1;
	net.ops = table;
	net.channels = atoi(gold_field(t, row, "C"));
	net.layers = atoi(gold_field(t, row, "layers"));
	net.steps = atoi(gold_field(t, row, "steps"));
	return sd_count_supernet(c, &net, 3, 32, 32);
}

int gold_param_counts(struct gold *g, const char *path)
{
	struct gold_table t;
	int imagenet = strstr(path, "imagenet") != NULL, search;

	if (gold_table_read(&t, path))
		return -1;
	search = gold_field(&t, 0, "primitives") != NULL;
	if (!gold_field(&t, 0, "ops") || !gold_field(&t, 0, "C") || !gold_field(&t, 0, "layers") ||
		!gold_field(&t, 0, search ? "params" : "params_with_aux") ||
		!gold_field(&t, 0, search ? "steps" : "C_mid") || (!search && !gold_field(&t, 0, "name"))) {
		gold_table_release(&t);
		return sd_error(SD_ERR_DATA, "columns are missing");
	}
	for (int i = 1; i < t.nrow; i++) {
		char check[200];
		struct sd_count c = {0};
		const char *want = gold_field(&t, i, search ? "params" : "params_without_aux");
		const char *want_macs = search ? "" : gold_field(&t, i, "flops_mac");
		int ret;

		snprintf(check, sizeof(check), "%s %s %s", gold_field(&t, i, search ? "primitives" : "name"),
			gold_field(&t, i, "ops"), search ? "" : gold_field(&t, i, "C_mid"));
		if (strstr(check, "MULTICHANNEL")) {
			gold_skip(g, check, "multi-channel search");
			continue;
		}
		ret = search ? count_supernet_row(&t, i, &c) : count_row(&t, i, imagenet, &c);
		if (!strncmp(want, "n/a", 3)) {
			gold_result(g, check, ret, "%s", ret ? sd_error_text() : "could be built");
		} else if (ret) {
			gold_error(g, check);
		} else if (search) {
			gold_result(g, check, (double)c.params == atof(want), "%zu, expected %s", c.params, want);
		} else {
			const char *with = gold_field(&t, i, "params_with_aux");
			int ok = (double)c.params_without_auxiliary == atof(want) &&
				(double)c.params == atof(with) && (!want_macs || c.macs == atof(want_macs));

			gold_result(g, check, ok, "%zu %zu %.0f, expected %s %s %s", c.params_without_auxiliary,
				c.params, c.macs, want, with, want_macs ? want_macs : "");
		}
	}
	gold_table_release(&t);
	return 0;
}
