/* sd-lr: the learning-rate schedule as columns, for plotting. */
#include "base/opt.h"
#include "base/str.h"
#include "base/tool.h"
#include "train/schedule.h"

#include <stdlib.h>
#include <string.h>

#define TOOL "sd-lr"

static struct {
	const char *epochs;
	struct sd_schedule_args args;
	int restart, intermediates;
} o = { .args = SD_SCHEDULE_DEFAULTS };
static struct sd_opt rows[] = {
	SD_OPT_TEXT("epochs", NULL, SD_NUMERIC, &o.epochs, NULL, "N|LIST",
		"how many epochs; or which, as a list like 1,5,9 or 301-600"),
	SD_OPT_REAL("max_lr", "--lr --learning_rate", SD_NUMERIC, &o.args.max_lr, "0.1", "R",
		"the rate at the start", SD_AT_LEAST(0)),
	SD_OPT_REAL("min_lr", "--learning_rate_min", SD_NUMERIC, &o.args.min_lr, "0.0001", "R",
		"the rate at the end", SD_AT_LEAST(0)),
	SD_OPT_REAL("exponent_order", "--lr_power_annealing_exponent_order", SD_NUMERIC,
		&o.args.exponent_order, "10", "R", "how fast the rate falls at first; 1 is plain cosine annealing", SD_AT_LEAST(1)),
	SD_OPT_INT("max_epoch", NULL, SD_NUMERIC, &o.args.max_epoch, NULL, "N",
		"the epoch at which the curve ends (default: the last one)", SD_AT_LEAST(1)),
	SD_OPT_INT("warmup_epochs", NULL, SD_NUMERIC, &o.args.warmup_epochs, "0", "N",
		"rise to the maximum over the first N + 1 epochs", SD_AT_LEAST(0)),
	SD_OPT_INT("start_epoch", NULL, SD_NUMERIC, &o.args.start_epoch, "1", "N",
		"with --restart_lr false: the first epoch to print", SD_AT_LEAST(1)),
	SD_OPT_CHOICE("restart_lr", NULL, SD_NUMERIC, &o.restart, "true", "true|false",
		"whether a run that starts at a later epoch starts the curve again"),
	SD_OPT_CHOICE("return_intermediates", NULL, SD_OUTPUT, &o.intermediates, "true", "true|false",
		"whether to print the proportions beside the rate"),
	SD_OPT_END
};
static struct sd_opts opts = {
	.tool = TOOL,
	.summary = "prints the learning rates of cosine power annealing, an epoch a line",
	.rows = rows,
	.epilog = "Options, defaults and numbers are those of cosine_power_annealing() of sharpDARTS.\n"
		"  sd-lr --epochs 60 | gnuplot -p -e \"plot '<cat' using 1:2 with lines\"",
};

#define MAX_EPOCHS 10000000

/* One epoch "5" or a run of them "301-600", up to the end or a comma; *text moves behind it. */
static int parse_item(const char **text, int64_t *first, int64_t *last)
{
	size_t n = strcspn(*text, ","), dash = strcspn(*text, "-");
	char item[48];

	if (n >= sizeof(item))
		return -1;
	memcpy(item, *text, n);
	item[n] = '\0';
	*text += n + ((*text)[n] == ',');
	if (dash < n) {
		item[dash] = '\0';
		if (!sd_parse_int(item + dash + 1, last))
			return -1;
	}
	if (!sd_parse_int(item, first))
		return -1;
	if (dash >= n)
		*last = *first;
	return *first < 1 || *last < *first || *last > MAX_EPOCHS ? -1 : 0;
}

/* The value of --epochs: a number, or a list that goes to *list, allocated. */
static int parse_epochs(const char *text, int **list)
{
	const char *p = text;
	int64_t first, last, n = 0;
	int cap = 0;

	if (sd_parse_int(text, &first) && first >= 0 && first <= MAX_EPOCHS) {
		o.args.epochs = (int)first;
		return first ? 0 : sd_error(SD_ERR_USAGE, "--epochs 0: a schedule needs at least one epoch");
	}
	do {
		if (parse_item(&p, &first, &last) < 0 || n + last - first >= MAX_EPOCHS)
			return sd_error(SD_ERR_USAGE, "--epochs '%s': a number or a list like 1,5,9 or 301-600 "
				"is expected, of epochs from 1 to %d", text, MAX_EPOCHS);
		if (n + last - first >= cap) {
			cap = 2 * (int)(n + last - first + 1);
			*list = sd_xrealloc(*list, (size_t)cap * sizeof(**list));
		}
		for (; first <= last; first++)
			(*list)[n++] = (int)first;
	} while (p > text && (*p || p[-1] == ','));
	o.args.epoch_array = *list;
	o.args.nepoch = (int)n;
	return 0;
}

static void print(const struct sd_schedule *s)
{
	char lr[32], power[32], cosine[32];
	int i;

	puts(o.intermediates ? "epoch\tlr" : "epoch\tlr\tcos_power_proportion\tcos_proportion");
	for (i = 0; i < s->nlr; i++) {
		int e = s->first + i;

		printf("%d\t%s", s->epoch[e], sd_real_text(s->lr[i], lr));
		if (!o.intermediates)
			printf("\t%s\t%s", sd_real_text(s->cos_power[e], power),
				sd_real_text(s->cos[e], cosine));
		putchar('\n');
	}
}

int main(int argc, char **argv)
{
	struct sd_schedule s;
	int *list = NULL, done = sd_opts_parse(&opts, argc, argv), rc;

	if (done)
		return done < 0 ? sd_tool_fail(TOOL) : sd_tool_close(TOOL);
	o.args.restart_lr = o.restart == 0;
	rc = o.epochs ? parse_epochs(o.epochs, &list) : 0;
	if (rc == 0 && !o.epochs && !o.args.max_epoch)
		rc = sd_error(SD_ERR_USAGE, "either --epochs or --max_epoch is needed, or both");
	if (rc == 0)
		rc = sd_cosine_power_annealing(&s, &o.args);
	if (rc == 0) {
		print(&s);
		sd_schedule_release(&s);
	}
	free(list);
	sd_opts_release(&opts);
	return rc < 0 ? sd_tool_fail(TOOL) : sd_tool_close(TOOL);
}
