/* profile.c: notes what steps take, and prints it. */
#include "engine/profile.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/tool.h"
#include "engine/ops.h"

/* Estimates are made for as many threads as these. */
static const int threads[] = { 2, 16, 64 };
enum { NTHREADS = 3, WIDE = 64 };

struct family {
	char name[64];
	long calls, launches;
	double seconds, floor;     /* floor: of each call, what the limits allow */
	struct sd_cost cost;
	double cut, wide;          /* seconds in parallel runs, and in those of at least WIDE tasks */
	double at[NTHREADS];       /* estimated seconds on so many threads */
};

struct sd_profile_state {
	enum sd_profile what;
	struct sd_limits limits;
	int measured;
	double age;                       /* of the program when it began to measure */
	double began, in_runs, began_cpu; /* began_cpu: of the processor's time */
	double first;                     /* when the first run was begun; 0: not yet */
	double part[SD_PARTS];
	struct family *family;
	int n, cap;
	/* of the step under way, in parallel runs */
	double cut, wide, at[NTHREADS];
};

/* By step of a program. */
struct sd_profile_step {
	int family; /* + 1; 0: not known yet */
	struct sd_cost cost;
};

/* The processor's time that the program has had, all threads together. */
static double cpu_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int sd_engine_profile(struct sd_engine *e, enum sd_profile what, const struct sd_limits *limits)
{
	struct sd_profile_state *s;

	sd_profile_free(e->noted);
	e->noted = NULL;
	e->profile = 0;
	if (what == SD_PROFILE_OFF)
		return 0;
	if (what == SD_PROFILE_SERIAL && (e->ops->async || e->ops->threads(e) != 1))
		return sd_error(SD_ERR_USAGE, "serial parts are found on one thread of the CPU (--device cpu --threads 1)");
	s = calloc(1, sizeof(*s));
	if (!s)
		return sd_error(SD_ERR_IO, "out of memory for a profile");
	s->what = what;
	s->age = sd_tool_age();
	if (limits)
		s->limits = *limits;
	if (s->limits.flops <= 0 || s->limits.bandwidth <= 0) {
		struct sd_limits found = { 0, 0 };

		if (e->ops->limits(e, &found)) {
			free(s);
			return -1;
		}
		s->measured = !e->ops->async;
		if (s->limits.flops <= 0)
			s->limits.flops = found.flops;
		if (s->limits.bandwidth <= 0)
			s->limits.bandwidth = found.bandwidth;
	}
	e->noted = s;
	e->profile = 1;
	s->began = sd_engine_now();
	s->began_cpu = cpu_time();
	return 0;
}

void sd_profile_free(struct sd_profile_state *s)
{
	if (s)
		free(s->family);
	free(s);
}

/* The family of that name, new at first; -1 when memory runs out. */
static int find_family(struct sd_profile_state *s, const char *name)
{
	int i;

	for (i = 0; i < s->n; i++)
		if (!strcmp(s->family[i].name, name))
			return i;
	if (s->n == s->cap) {
		int cap = s->cap ? 2 * s->cap : 64;
		struct family *f = realloc(s->family, (size_t)cap * sizeof(*f));

		if (!f)
			return sd_error(SD_ERR_IO, "out of memory for a profile");
		s->family = f;
		s->cap = cap;
	}
	memset(&s->family[s->n], 0, sizeof(*s->family));
	memcpy(s->family[s->n].name, name, sizeof(s->family[s->n].name));
	return s->n++;
}

/* What is noted once for each step of a program; NULL with a message. */
static const struct sd_profile_step *step_of(struct sd_engine *e, struct sd_program *p, int i)
{
	struct sd_profile_step *st;
	char name[64];

	if (!p->noted)
		p->noted = calloc((size_t)p->plan->nstep, sizeof(*p->noted));
	if (!p->noted) {
		sd_error(SD_ERR_IO, "out of memory for a profile");
		return NULL;
	}
	st = &p->noted[i];
	if (!st->family) {
		memset(name, 0, sizeof(name));
		sd_step_family(p->plan, i, e->noted->what == SD_PROFILE_SHAPES, name);
		st->family = find_family(e->noted, name) + 1;
		st->cost = sd_step_cost(p->plan, i, e->ops->layout(e)->elem);
	}
	return st->family ? st : NULL;
}

static double larger(double a, double b)
{
	return a > b ? a : b;
}

int sd_engine_note(struct sd_program *p, const struct sd_step *s, long launches, double seconds)
{
	struct sd_engine *e = p->engine;
	struct sd_profile_state *n = e->noted;
	const struct sd_profile_step *st = step_of(e, p, (int)(s - p->plan->step));
	struct family *f;
	double bytes;
	int k;

	if (!st)
		return -1;
	f = &n->family[st->family - 1];
	bytes = st->cost.read + st->cost.written;
	f->calls++;
	f->launches += launches;
	f->seconds += seconds;
	f->floor += larger(st->cost.flops / n->limits.flops, bytes / n->limits.bandwidth);
	f->cost.flops += st->cost.flops;
	f->cost.read += st->cost.read;
	f->cost.written += st->cost.written;
	f->cut += n->cut;
	f->wide += n->wide;
	for (k = 0; k < NTHREADS; k++)
		f->at[k] += seconds - n->cut + n->at[k];
	n->cut = n->wide = 0;
	memset(n->at, 0, sizeof(n->at));
	return 0;
}

void sd_engine_note_tasks(void *ctx, int ntask, double seconds)
{
	struct sd_profile_state *n = ((struct sd_engine *)ctx)->noted;
	int k;

	if (!n || ntask < 1)
		return;
	n->cut += seconds;
	n->wide += ntask >= WIDE ? seconds : 0;
	for (k = 0; k < NTHREADS; k++) /* tasks of equal length, as many turns as the busiest thread has */
		n->at[k] += seconds / ntask * ((ntask + threads[k] - 1) / threads[k]);
}

void sd_engine_note_run(struct sd_engine *e, double seconds)
{
	if (!e->noted->first)
		e->noted->first = sd_engine_now() - seconds;
	e->noted->in_runs += seconds;
}

double sd_engine_clock(const struct sd_engine *e)
{
	return e->noted ? sd_engine_now() : 0;
}

void sd_engine_note_part(struct sd_engine *e, enum sd_part part, double seconds)
{
	if (e->noted)
		e->noted->part[part] += seconds;
}

/* ---- the table ---- */

static int by_time(const void *pa, const void *pb)
{
	const struct family *a = pa, *b = pb;

	return a->seconds < b->seconds ? 1 : a->seconds > b->seconds ? -1 : strcmp(a->name, b->name);
}

static void add(struct family *sum, const struct family *f)
{
	int k;

	sum->calls += f->calls;
	sum->launches += f->launches;
	sum->seconds += f->seconds;
	sum->floor += f->floor;
	sum->cost.flops += f->cost.flops;
	sum->cost.read += f->cost.read;
	sum->cost.written += f->cost.written;
	sum->cut += f->cut;
	sum->wide += f->wide;
	for (k = 0; k < NTHREADS; k++)
		sum->at[k] += f->at[k];
}

static void print_row(FILE *f, const struct sd_profile_state *s, const struct family *x, double total)
{
	double bytes = x->cost.read + x->cost.written, t = x->seconds > 0 ? x->seconds : 1e-9;
	int k;

	fprintf(f, "%s\t%ld\t%ld\t%.3f\t%.1f\t%.1f\t%.1f\t%s\t%.1f\t%.3f", x->name, x->calls, x->launches, 1e3 * x->seconds,
		100 * t / total, x->cost.flops / t / 1e9, bytes / t / 1e9,
		x->cost.flops / s->limits.flops > bytes / s->limits.bandwidth ? "flops" : "bytes", 100 * x->floor / t,
		1e3 * (x->seconds - x->floor));
	if (s->what == SD_PROFILE_SERIAL) {
		fprintf(f, "\t%.1f\t%.1f", 100 * (t - x->cut) / t, 100 * x->wide / t);
		for (k = 0; k < NTHREADS; k++)
			fprintf(f, "\t%.2f", t / larger(x->at[k], 1e-12));
	}
	fputc('\n', f);
}

/* What lies outside of the table. */
static void print_rest(FILE *f, const struct sd_profile_state *s, double in_steps)
{
	const double *part = s->part;
	double wall = sd_engine_now() - s->began, outside = wall - s->in_runs;
	double known = part[SD_PART_DATA] + part[SD_PART_SUMS] + part[SD_PART_DIGESTS] + part[SD_PART_CHECKPOINTS];

	fprintf(f, "# %.3f ms in steps, %.3f ms in runs between steps, %.3f ms outside of runs\n", 1e3 * in_steps,
		1e3 * (s->in_runs - in_steps), 1e3 * outside);
	fprintf(f, "# of these: %.3f ms data, %.3f ms sums, %.3f ms digests, %.3f ms checkpoints, %.3f ms others\n",
		1e3 * part[SD_PART_DATA], 1e3 * part[SD_PART_SUMS], 1e3 * part[SD_PART_DIGESTS],
		1e3 * part[SD_PART_CHECKPOINTS], 1e3 * (outside - known));
	fprintf(f, "# %.3f ms of a processor for batches made meanwhile; these, data, sums, digests and checkpoints: %.2f %% "
		"of the time\n", 1e3 * part[SD_PART_AHEAD], 100 * (known + part[SD_PART_AHEAD]) / wall);
	if (s->age > 0 && s->first > 0)
		fprintf(f, "# %.0f ms from the program's start to its first step\n", 1e3 * (s->age + s->first - s->began));
	fprintf(f, "# %.3f ms of the processors' time in %.3f ms\n", 1e3 * (cpu_time() - s->began_cpu), 1e3 * wall);
}

static void print_choice(void *ctx, const char *name, const char *value)
{
	fprintf(ctx, "# %s: %s\n", name, value);
}

int sd_engine_profile_print(struct sd_engine *e, FILE *f)
{
	struct sd_profile_state *s = e->noted;
	struct family sum = { .name = "all" };
	int i, k;

	for (i = 0; i < s->n; i++)
		add(&sum, &s->family[i]);
	fprintf(f, "# %s, %s, %d threads: at most %.1f GFLOP/s and %.1f GB/s (%s)\n", sd_engine_kind(e), sd_engine_path(e),
		sd_engine_threads(e), s->limits.flops / 1e9, s->limits.bandwidth / 1e9,
		s->measured ? "measured" : "as the device or the command line says");
	fprintf(f, "family\tcalls\tlaunches\tms\tshare_%%\tGFLOP/s\tGB/s\tlimit\troofline_%%\tms_above");
	if (s->what == SD_PROFILE_SERIAL) {
		fprintf(f, "\tserial_%%\twide_%%");
		for (k = 0; k < NTHREADS; k++)
			fprintf(f, "\tx%d", threads[k]);
	}
	fputc('\n', f);
	if (s->n)
		qsort(s->family, (size_t)s->n, sizeof(*s->family), by_time);
	for (i = 0; i < s->n; i++)
		print_row(f, s, &s->family[i], sum.seconds);
	print_row(f, s, &sum, larger(sum.seconds, 1e-9));
	print_rest(f, s, sum.seconds);
	sd_engine_choices(e, print_choice, f);
	return fflush(f) || ferror(f) ? sd_error(SD_ERR_IO, "cannot write the profile") : 0;
}
