/* golden.h: the judging program: rebuilds what a golden file describes, runs it, and compares. */
#ifndef SD_TESTS_GOLDEN_H
#define SD_TESTS_GOLDEN_H

#include <hdf5.h>
#include <stddef.h>

#include "arch/arch.h"
#include "engine/engine.h"
#include "graph/grad.h"
#include "model/model.h"
#include "train/step.h"
#include "train/unrolled.h"
#include "train/vars.h"

/* ---- golden_io.c: HDF5 and TSV files ---- */

#define GOLD_DIMS 8

/* A data set, whatever its type, as doubles (integers and float32 are exact in them). */
struct gold_array {
	int ndim;
	long dim[GOLD_DIMS];
	size_t n;
	double *v;        /* NULL: there is none */
	int integer;
	double f32_err;   /* what float32 can reach, absolute; 0 if not said */
	long row_stride;  /* > 1: only rows 0, k, 2k, ... are here, of `rows` */
	long rows;
	double l2, sum;   /* of the whole, where rows are left out */
};

/* An attribute: text (also of a number), and the number. */
struct gold_attr {
	char *text;
	double num;
	int is_text;
};

/* Reads loc/path.  -1 with a message when it is missing or unreadable. */
int gold_read(struct gold_array *a, hid_t loc, const char *path);
void gold_array_release(struct gold_array *a);
int gold_has(hid_t loc, const char *path);
/* The text of an attribute of loc/path ("." for loc itself), allocated; NULL with a message. */
char *gold_text(hid_t loc, const char *path, const char *name);
int gold_has_attr(hid_t loc, const char *path, const char *name);
/* A number, or `other` when there is no such attribute or it is no number. */
double gold_num(hid_t loc, const char *path, const char *name, double other);
/* An integer root attribute that has to be there; sets *bad and says so otherwise. */
int gold_int(hid_t loc, const char *name, int *bad);
/* The names in a group, sorted, as one allocated block with the pointers in front; free() it. */
char **gold_names(hid_t loc, const char *path, size_t *n);

/* A table with a header line, fields divided by tabs. */
struct gold_table {
	char *text;
	char ***row;  /* row[0] is the header */
	int nrow, ncol;
};
int gold_table_read(struct gold_table *t, const char *path);
void gold_table_release(struct gold_table *t);
/* The field of that column, "" where it is empty; NULL when there is no such column. */
const char *gold_field(const struct gold_table *t, int row, const char *column);

/* ---- golden_cmp.c: comparisons ---- */

/* The tally, and what is being looked at. */
struct gold {
	const char *file;   /* its name, without folders */
	int passed, failed, skipped;
	struct sd_engine *engine;
};

/* The kinds of value that are judged alike. */
enum gold_rule {
	GOLD_OP,       /* single ops and buffers: 2e-5 of the tensor's largest */
	GOLD_FORWARD,  /* forward values of networks: 1e-4 */
	GOLD_GRAD,     /* 1e-3, 10 f32_err, 1e-6 of the net's largest gradient; relative L2 error 3e-4 */
	GOLD_UPDATE,   /* as GOLD_GRAD, of after minus before, both being float32 numbers */
	GOLD_DOUBLE,   /* computed in float64: 1e-12 */
};

/* The worst of a check that covers any number of tensors. */
struct gold_worst {
	enum gold_rule rule;
	double ratio;      /* worst error over its limit */
	double err, limit; /* of that tensor, relative to its largest magnitude unless `absolute` */
	int absolute;
	char at[160];      /* its name */
	int tensors;
	double netmax;     /* the net's largest gradient or update, set before the first comparison */
};

/* What a rule allows, of the largest magnitude in a tensor. */
double gold_tolerance(enum gold_rule rule);
void gold_worst_init(struct gold_worst *w, enum gold_rule rule);
/* Compares n values with those of `ref`.  before (GOLD_UPDATE; NULL for zeros): the values before. */
void gold_compare(struct gold_worst *w, const char *name, const float *got, const struct gold_array *ref,
	const double *ref_before, const float *before);
void gold_compare_double(struct gold_worst *w, const char *name, const double *got, size_t n,
	const struct gold_array *ref);
/* Notes a tensor that isn't there or has another shape: fails the check. */
void gold_worst_broken(struct gold_worst *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Print the line of a check and count it. */
void gold_report(struct gold *g, const char *check, const struct gold_worst *w);
void gold_result(struct gold *g, const char *check, int ok, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void gold_skip(struct gold *g, const char *what, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The library's message, as a failure. */
void gold_error(struct gold *g, const char *check);

/* ---- golden_run.c: graphs, bound to what a file says ---- */

#define GOLD_INPUTS 8

/* A graph with its variables and inputs. */
struct gold_run {
	struct sd_graph *graph;
	struct sd_vars vars;
	struct sd_bind bind;
	int ninput;
	sd_val input[GOLD_INPUTS];
	void *data[GOLD_INPUTS];              /* float, or int32_t */
	struct sd_buffer *buffer[GOLD_INPUTS];
};
int gold_run_init(struct gold_run *r, struct sd_engine *engine);
void gold_run_release(struct gold_run *r);
/* An input that holds `a` (float32, or int32 where it is integer). */
sd_val gold_run_input(struct gold_run *r, const char *name, const struct gold_array *a);
/* Binds the finished graph and fills the variables from path/params and path/buffers. */
int gold_run_bind(struct gold_run *r, hid_t file, const char *path);
/* A root of a program that was run, allocated; zeros for SD_NIL with the shape of `like`. */
float *gold_run_read(const struct gold_run *r, struct sd_program *p, sd_val v, sd_val like);

/* Fills every parameter and running statistic of v from path/params and path/buffers (alphas from
 * path itself), all else with zeros.  The names must be the same ones on both sides. */
int gold_fill_vars(struct sd_vars *v, hid_t file, const char *path);
/* What v holds under a name, as floats, allocated; NULL with a message. */
float *gold_var(const struct sd_vars *v, const char *name);

/* Gives the values that stand against member `name` of a group, allocated, and their number. */
typedef float *gold_getter(void *ctx, const char *name, size_t *n);
float *gold_get_var(void *vars, const char *name, size_t *n); /* a struct sd_vars */
/* Compares the members of group path with what `get` gives.  For updates, `before` gives our values
 * before, and ref_before names the group with the reference's. */
void gold_compare_group(struct gold_worst *w, hid_t file, const char *path, gold_getter *get, void *ctx,
	const char *ref_before, gold_getter *before, void *before_ctx);
/* One data set. */
void gold_compare_set(struct gold_worst *w, hid_t file, const char *path, const float *got, size_t n);
/* "path/name", or the name alone for path ".". */
struct gold_path {
	char s[600];
};
struct gold_path gold_path(const char *path, const char *name);
float *gold_floats(const struct gold_array *a); /* allocated */
int gold_shape(struct sd_shape *s, const struct gold_array *a);

/* ---- golden_step.c: whole networks, by the programs that the tools run ---- */

/* A network as the root attributes describe it, with the three programs of one batch size. */
struct gold_net {
	struct sd_net net;
	struct sd_step_options options;
	struct sd_primitive_list list;
	struct sd_genotype genotype;
	struct sd_vars vars;
	struct sd_step_program *eval, *weights, *alphas; /* alphas: of a supernet */
	struct sd_unrolled *unrolled;                    /* where the file says so, instead of alphas */
	int batch;
	size_t image;  /* elements of a batch of images */
};
/* Reads the attributes, builds the programs for images shaped as the last four dimensions of data set
 * `x`, and fills the variables.  0, -1 with a message, or 1 with a reason set as the message: not of a
 * kind that is known here. */
int gold_net_init(struct gold_net *n, struct gold *g, hid_t file, const char *x);
void gold_net_release(struct gold_net *n);
/* Batch i of the data sets x (..., N, C, H, W) and target (..., N); to be released in any case. */
struct gold_batch {
	float *images;
	int32_t *labels, *ids;
};
int gold_batch(struct gold_batch *b, const struct gold_net *n, const struct gold_array *x,
	const struct gold_array *target, int i);
void gold_batch_release(struct gold_batch *b);
/* Runs a program on batch i of the data sets x (..., N, C, H, W) and target (..., N). */
int gold_net_run(struct gold_net *n, struct sd_step_program *p, const struct gold_array *x,
	const struct gold_array *target, int i);
/* One of a program's values against a data set, as a check of its own. */
void gold_net_check(struct gold *g, hid_t file, const char *set, enum gold_rule rule,
	const struct sd_step_program *p, sd_val v);
void gold_check_value(struct gold *g, hid_t file, const char *set, enum gold_rule rule,
	struct sd_program *program, const struct sd_graph *graph, sd_val v);
float *gold_get_grad(void *step_program, const char *name, size_t *n); /* a gradient of the weights */
/* The gradients of the last run of n->weights against group `path`. */
void gold_net_check_grads(struct gold *g, hid_t file, const char *path, struct gold_net *n);
/* Running statistics, and how far their counters went from the file's. */
void gold_net_check_buffers(struct gold *g, hid_t file, const char *path, const char *buffers,
	const struct sd_vars *v);
/* A saved variable of `copy` by name: the values before an update. */
struct gold_before {
	const struct sd_vars *vars;
	const struct sd_vars_copy *copy;
};
float *gold_get_before(void *before, const char *name, size_t *n);
/* Group or data set of values after an update against the variables; ref_before: the reference's before. */
void gold_net_check_update(struct gold *g, hid_t file, const char *after, const char *ref_before,
	const char *variable, const struct gold_before *before);
/* A count that must be exact, where the file has it. */
void gold_check_count(struct gold *g, hid_t file, const char *attr, double got);

/* ---- the kinds of file; each returns 0, or -1 with a message when the file cannot be understood ---- */
int gold_derive(struct gold *g, hid_t file);      /* golden_arch.c */
int gold_schedule(struct gold *g, hid_t file);
int gold_param_counts(struct gold *g, const char *path);
int gold_augment(struct gold *g, hid_t file);     /* golden_data.c */
int gold_autoaugment(struct gold *g, hid_t file);
int gold_label_smooth(struct gold *g, hid_t file); /* golden_head.c */
int gold_primitives(struct gold *g, hid_t file);  /* golden_ops.c */
int gold_modules(struct gold *g, hid_t file);
void gold_small_module(struct gold *g, hid_t file, const char *name); /* golden_head.c */
int gold_supernet(struct gold *g, hid_t file);    /* golden_net.c */
int gold_architect(struct gold *g, hid_t file);
int gold_search_steps(struct gold *g, hid_t file);
int gold_train_net(struct gold *g, hid_t file);

/* golden_unrolled.c: one second-order step of the alphas on batches i; compares what lies between its parts
 * with what group `path` has of it. */
int gold_unrolled_step(struct gold *g, hid_t file, const char *path, struct gold_net *n,
	const struct gold_array *x_train, const struct gold_array *target_train,
	const struct gold_array *x_valid, const struct gold_array *target_valid, int i);
/* A file of one such step, with and without momenta. */
int gold_architect_unrolled(struct gold *g, hid_t file);
/* An architecture step's gradients and new alphas, in group `path`; the reference's before are in `ref_before`. */
void gold_check_alphas(struct gold *g, hid_t file, const char *path, const char *ref_before,
	const struct gold_net *n, const struct gold_before *before);
/* Reads the data sets "x<suffix>" and "target<suffix>". */
int gold_pair(struct gold_array *x, struct gold_array *target, hid_t file, const char *suffix);

/* A JSON list of primitives' names, or a published list's name, from an attribute of loc/path. */
int gold_primitive_list(struct sd_primitive_list *list, hid_t loc, const char *path, const char *name);

#endif
