/* profile.c: --profile's words, and a step as it is planned. */
#include "train/profile.h"

#include <stddef.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "graph/cost.h"
#include "train/unrolled.h"

/* ---- the words ---- */

static int bad_word(const char *word, int n)
{
	return sd_error(SD_ERR_USAGE, "--profile: expected families, shapes, serial or plan, and with a comma bandwidth=GB/s, "
		"rate=TFLOP/s or gap=MICROSECONDS, got '%.*s'", n, word);
}

/* name=NUMBER, in units of `unit`. */
static int take_number(const char *word, int n, const char *name, double unit, double *to)
{
	size_t len = strlen(name);
	char text[64];
	if ((size_t)n <= len || strncmp(word, name, len) || word[len] != '=')
		return 0;
	if ((size_t)n - len > sizeof text)
		return bad_word(word, n);
	memcpy(text, word + len + 1, (size_t)n - len - 1);
	text[(size_t)n - len - 1] = 0;
	if (!sd_parse_real(text, to) || *to < 0 || (*to == 0 && strcmp(name, "gap")))
		return bad_word(word, n);
	*to *= unit;
	return 1;
}

static int take_word(const char *word, int n, struct sd_profile_spec *spec)
{
	static const struct { const char *name; enum sd_profile what; } whats[] = {
		{ "families", SD_PROFILE_FAMILIES }, { "shapes", SD_PROFILE_SHAPES }, { "serial", SD_PROFILE_SERIAL },
	};
	for (size_t i = 0; i < sizeof whats / sizeof *whats; i++)
		if (strlen(whats[i].name) == (size_t)n && !strncmp(word, whats[i].name, (size_t)n)) {
			spec->what = whats[i].what;
			return 0;
		}
	if (n == 4 && !strncmp(word, "plan", 4)) {
		spec->plan = true;
		return 0;
	}
	int took = take_number(word, n, "bandwidth", 1e9, &spec->limits.bandwidth);
	if (!took)
		took = take_number(word, n, "rate", 1e12, &spec->limits.flops);
	if (!took)
		took = take_number(word, n, "gap", 1e-6, &spec->gap);
	return took > 0 ? 0 : took < 0 ? -1 : bad_word(word, n);
}

int sd_profile_parse(const char *text, struct sd_profile_spec *spec)
{
	*spec = (struct sd_profile_spec){ .what = *text ? SD_PROFILE_FAMILIES : SD_PROFILE_OFF, .gap = -1 };
	for (const char *p = text; *text; p++) {
		int n = (int)strcspn(p, ",");
		if (take_word(p, n, spec))
			return -1;
		p += n;
		if (!*p)
			break;
	}
	if (spec->gap >= 0 && !spec->plan)
		return sd_error(SD_ERR_USAGE, "--profile: gap= is of a plan; launches of a run are timed");
	if (spec->plan && (spec->what != SD_PROFILE_FAMILIES))
		return sd_error(SD_ERR_USAGE, "--profile: plan runs nothing, so it goes with neither shapes nor serial");
	return 0;
}

/* ---- the plan of a step ---- */

enum { PARTS = 8 };

/* The programs of one step on one engine. */
struct step {
	struct sd_vars vars;
	struct sd_step_program *alphas, *weights;
	struct sd_unrolled *unrolled;
	struct part {
		const char *name;
		const struct sd_program *program;
		int times; /* in a step */
	} part[PARTS];
	int n;
};

static void add_part(struct step *s, const char *name, const struct sd_program *p, int times)
{
	s->part[s->n++] = (struct part){ name, p, times };
}

static void step_release(struct step *s)
{
	sd_step_program_free(s->alphas);
	sd_step_program_free(s->weights);
	sd_unrolled_free(s->unrolled);
	sd_vars_release(&s->vars);
}

static int step_init(struct step *s, struct sd_engine *e, const struct sd_net *net, const struct sd_step_options *o,
	int batch, int unrolled)
{
	memset(s, 0, sizeof *s);
	sd_vars_init(&s->vars, e, 0);
	if (unrolled) {
		s->unrolled = sd_unrolled_new(&s->vars, net, o, batch, 1, &batch, 0);
		if (!s->unrolled)
			return -1;
		add_part(s, "ahead", s->unrolled->side[0].ahead->program, 1);
		add_part(s, "unrolled", s->unrolled->valid->program, 1);
		add_part(s, "beside", s->unrolled->side[0].beside->program, 2);
		add_part(s, "update", s->unrolled->update, 1);
	} else if (net->kind == SD_NET_SUPERNET && !o->alphas_as_weights) {
		s->alphas = sd_step_program_new(&s->vars, net, o, SD_STEP_ALPHAS, batch, 0);
		if (!s->alphas)
			return -1;
		add_part(s, "alphas", s->alphas->program, 1);
	}
	s->weights = sd_step_program_new(&s->vars, net, o, SD_STEP_WEIGHTS, batch, 0);
	if (!s->weights)
		return -1;
	add_part(s, "weights", s->weights->program, 1);
	return 0;
}

/* What is counted of a program; the step's own is the sum, but for the arena, which its programs share. */
struct counts {
	double runs, ops, launches, flops, read, written, floor, arena, bandwidth, rate, roofline, gaps;
};

static int count(const struct sd_program *p, int elem, const struct sd_profile_spec *spec, struct counts *c)
{
	const struct sd_plan *plan = sd_program_plan(p);
	struct sd_cost total, floor;
	*c = (struct counts){ .runs = 1, .launches = (double)sd_program_launches(p), .arena = (double)sd_program_arena(p) };
	if (sd_plan_cost(plan, elem, &total, &floor))
		return -1;
	for (int i = 0; i < plan->nstep; i++) {
		if (plan->step[i].skip)
			continue;
		struct sd_cost one = sd_step_cost(plan, i, elem);
		double b = (one.read + one.written) / spec->limits.bandwidth, r = one.flops / spec->limits.flops;
		c->ops++;
		c->roofline += b > r ? b : r;
	}
	c->flops = total.flops;
	c->read = total.read;
	c->written = total.written;
	c->floor = floor.read + floor.written;
	c->bandwidth = (total.read + total.written) / spec->limits.bandwidth;
	c->rate = total.flops / spec->limits.flops;
	c->gaps = c->launches * spec->gap;
	return 0;
}

static void add_counts(struct counts *sum, const struct counts *c, int times)
{
	sum->ops += times * c->ops;
	sum->launches += times * c->launches;
	sum->flops += times * c->flops;
	sum->read += times * c->read;
	sum->written += times * c->written;
	sum->floor += times * c->floor;
	sum->arena = c->arena > sum->arena ? c->arena : sum->arena;
	sum->bandwidth += times * c->bandwidth;
	sum->rate += times * c->rate;
	sum->roofline += times * c->roofline;
	sum->gaps += times * c->gaps;
}

static void print_counts(FILE *f, const char *name, const struct counts *c, int n, size_t at, const char *format)
{
	fputs(name, f);
	for (int i = 0; i < n; i++) {
		fputc('\t', f);
		fprintf(f, format, *(const double *)((const char *)&c[i] + at));
	}
	fputc('\n', f);
}

static void print_step(FILE *f, const struct step *s, struct counts *c)
{
	int n = s->n + 1;
	fputs("program", f);
	for (int i = 0; i < s->n; i++)
		fprintf(f, "\t%s", s->part[i].name);
	fputs("\tstep\n", f);
	for (int i = 0; i < n; i++)
		c[i].runs = i < s->n ? s->part[i].times : 1;
#define ROW(field, format) print_counts(f, #field, c, n, offsetof(struct counts, field), format)
#define NAMED(name, field, format) print_counts(f, name, c, n, offsetof(struct counts, field), format)
	ROW(runs, "%.0f");
	ROW(ops, "%.0f");
	ROW(launches, "%.0f");
	ROW(flops, "%.0f");
	NAMED("bytes_read", read, "%.0f");
	NAMED("bytes_written", written, "%.0f");
	NAMED("bytes_floor", floor, "%.0f");
	fputs("bytes_over_floor", f);
	for (int i = 0; i < n; i++)
		fprintf(f, "\t%.3f", (c[i].read + c[i].written) / (c[i].floor > 0 ? c[i].floor : 1));
	fputc('\n', f);
	NAMED("arena_bytes", arena, "%.0f");
	NAMED("seconds_by_bandwidth", bandwidth, "%.6f");
	NAMED("seconds_by_rate", rate, "%.6f");
	NAMED("seconds_by_roofline", roofline, "%.6f");
	NAMED("seconds_of_gaps", gaps, "%.6f");
#undef NAMED
#undef ROW
}

/* The CUDA engine's launches of the same step, or the reason why they aren't known. */
static int print_cuda(FILE *f, enum sd_precision precision, const struct sd_net *net, const struct sd_step_options *o,
	int batch, int unrolled)
{
	struct sd_engine *e = sd_engine_open_plans("cuda", 1);
	struct step s = { .n = 0 };
	long sum = 0;
	int ret = -1;
	if (!e) {
		fprintf(f, "# cuda_launches not known: %s\n", sd_error_text());
		return 0;
	}
	if (sd_engine_set_precision(e, precision) || step_init(&s, e, net, o, batch, unrolled))
		goto out;
	fputs("cuda_launches", f);
	for (int i = 0; i < s.n; i++) {
		fprintf(f, "\t%ld", sd_program_launches(s.part[i].program));
		sum += s.part[i].times * sd_program_launches(s.part[i].program);
	}
	fprintf(f, "\t%ld\n", sum);
	ret = 0;
out:
	step_release(&s);
	sd_engine_close(e);
	return ret;
}

int sd_profile_plan(FILE *f, struct sd_engine *e, enum sd_precision precision, const struct sd_profile_spec *given,
	const struct sd_net *net, const struct sd_step_options *o, int batch, int unrolled)
{
	bool cuda = !strcmp(sd_engine_kind(e), "cuda");
	struct sd_profile_spec spec = *given;
	struct counts c[PARTS + 1] = { { .runs = 0 } }, *sum;
	struct step s;
	int ret = -1;
	if (spec.limits.bandwidth <= 0)
		spec.limits.bandwidth = cuda ? 3350e9 : 75e9;
	if (spec.limits.flops <= 0)
		spec.limits.flops = !cuda ? 0.4e12 : precision == SD_FP32 ? 60e12 : 400e12;
	if (spec.gap < 0)
		spec.gap = cuda ? 2e-6 : 0;
	if (step_init(&s, e, net, o, batch, unrolled))
		goto out;
	sum = &c[s.n];
	for (int i = 0; i < s.n; i++) {
		if (count(s.part[i].program, sd_engine_elem(e), &spec, &c[i]))
			goto out;
		add_counts(sum, &c[i], s.part[i].times);
	}
	fprintf(f, "# %s, %s, a batch of %d; bandwidth=%.4g GB/s, rate=%.4g TFLOP/s, gap=%.4g microseconds\n",
		sd_engine_kind(e), sd_precision_names[precision], batch, spec.limits.bandwidth / 1e9,
		spec.limits.flops / 1e12, spec.gap * 1e6);
	print_step(f, &s, c);
	ret = cuda ? 0 : print_cuda(f, precision, net, o, batch, unrolled);
	if (fflush(f) || ferror(f))
		ret = sd_error(SD_ERR_IO, "cannot write the plan");
out:
	step_release(&s);
	return ret;
}
