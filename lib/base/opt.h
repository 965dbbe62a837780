/* opt.h: one option table a tool.
 *
 * The table drives the parsing (over getopt_long), --help, --synopsis (which the man pages are checked
 * against), --completion and, through stamp.h, the claim of the artifact that the tool makes.  Names are
 * those of the original programs; underscore equals hyphen and nothing may be abbreviated.
 *
 *	static struct { int epochs; double lr; bool cutout; int weighting; uint64_t seed; } o;
 *	static struct sd_shared shared;
 *	static struct sd_opt rows[] = {
 *		SD_OPT_INT("epochs", NULL, SD_NUMERIC, &o.epochs, "50", "N", "epochs", SD_AT_LEAST(1)),
 *		SD_OPT_REAL("learning_rate", "--lr", SD_NUMERIC, &o.lr, "0.025", "R", "initial rate",
 *			    SD_AT_LEAST(0)),
 *		SD_OPT_FLAG("cutout", NULL, SD_NUMERIC, &o.cutout, "cut a square out of each image"),
 *		SD_OPT_CHOICE("weighting_algorithm", NULL, SD_NUMERIC, &o.weighting, "scalar",
 *			      "scalar|max_w", "how the weights act"),
 *		SD_OPT_SEED("seed", NULL, &o.seed, "2", "the run's seed"),
 *		SD_OPTS_COMMON(shared), SD_OPTS_THREADS(shared), SD_OPTS_OUTPUT(shared),
 *		SD_OPT_END
 *	};
 *	static struct sd_opts opts = {
 *		.tool = "sd-x", .summary = "does x", .operands = "FILE", .min_operands = 1,
 *		.max_operands = 1, .rows = rows,
 *	};
 *	int done = sd_opts_parse(&opts, argc, argv);
 *	if (done)
 *		return done < 0 ? sd_tool_fail("sd-x") : sd_tool_close("sd-x");
 */
#ifndef SD_BASE_OPT_H
#define SD_BASE_OPT_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

enum sd_opt_type {
	SD_OPT_TYPE_END,
	SD_OPT_TYPE_FLAG,   /* bool */
	SD_OPT_TYPE_INT,    /* int */
	SD_OPT_TYPE_SEED,   /* uint64_t, a string in the claim */
	SD_OPT_TYPE_REAL,   /* double, finite; in the claim a string in shortest round-trip form */
	SD_OPT_TYPE_TEXT,   /* const char *, into argv or the table */
	SD_OPT_TYPE_CHOICE, /* int: which of `choices` */
	SD_OPT_TYPE_LIST,   /* struct sd_opt_list: the option may be repeated */
};

/* What an option changes, and so where it is recorded. */
enum sd_opt_class {
	SD_NUMERIC,    /* numbers in the result: claim.parameters */
	SD_INPUT_NAME, /* names an input: claim.inputs through sd_stamp_input(), by content */
	SD_EXECUTION,  /* how it is run: context (argv) only */
	SD_OUTPUT,     /* where and how results go: context (argv) only */
};

struct sd_opt_list {
	int n;
	const char **v;
};

struct sd_opt {
	const char *name;    /* without dashes: "batch_size" */
	const char *aliases; /* with dashes, blanks between them: "-b --b", or NULL */
	enum sd_opt_type type;
	enum sd_opt_class class;
	union {
		bool *flag;
		int *i;
		uint64_t *seed;
		double *real;
		const char **text;
		struct sd_opt_list *list;
	} to;                /* where the value goes */
	const char *def;     /* the default as text; NULL: *to is left as it is and absent from the claim */
	const char *bare;    /* the value of the name alone, others then want a '='; NULL: the name wants a value */
	const char *metavar;
	const char *help;    /* one line or more, wrapped by --help; without the default, which is added */
	const char *choices; /* "scalar|max_w" */
	bool bounded;        /* min <= value <= max is asked for */
	double min, max;
	int given;           /* set by parsing: how often it stood on the command line */
	bool set;            /* set by parsing: it has a value, given or by default */
};

/* A flag is false by default and true when given; --flag=true and --flag=false work too.  SD_OPT_FLAG_OFF is
 * true by default and turned off by its name (the original's --simple_path). */
#define SD_OPT_FLAG(n, al, cl, p, h) \
	{ .name = (n), .aliases = (al), .type = SD_OPT_TYPE_FLAG, .class = (cl), .to.flag = (p), \
	  .def = "false", .help = (h) }
#define SD_OPT_FLAG_OFF(n, al, cl, p, h) \
	{ .name = (n), .aliases = (al), .type = SD_OPT_TYPE_FLAG, .class = (cl), .to.flag = (p), \
	  .def = "true", .help = (h) }
#define SD_OPT_INT(n, al, cl, p, d, mv, h, ...) \
	{ .name = (n), .aliases = (al), .type = SD_OPT_TYPE_INT, .class = (cl), .to.i = (p), .def = (d), \
	  .metavar = (mv), .help = (h), __VA_ARGS__ }
#define SD_OPT_REAL(n, al, cl, p, d, mv, h, ...) \
	{ .name = (n), .aliases = (al), .type = SD_OPT_TYPE_REAL, .class = (cl), .to.real = (p), .def = (d), \
	  .metavar = (mv), .help = (h), __VA_ARGS__ }
/* The run's seed: claim.seed. */
#define SD_OPT_SEED(n, al, p, d, h) \
	{ .name = (n), .aliases = (al), .type = SD_OPT_TYPE_SEED, .class = SD_NUMERIC, .to.seed = (p), \
	  .def = (d), .metavar = "N", .help = (h) }
#define SD_OPT_TEXT(n, al, cl, p, d, mv, h) \
	{ .name = (n), .aliases = (al), .type = SD_OPT_TYPE_TEXT, .class = (cl), .to.text = (p), .def = (d), \
	  .metavar = (mv), .help = (h) }
/* --name alone, or --name=VALUE. */
#define SD_OPT_TEXT_OR_BARE(n, al, cl, p, d, b, mv, h) \
	{ .name = (n), .aliases = (al), .type = SD_OPT_TYPE_TEXT, .class = (cl), .to.text = (p), .def = (d), \
	  .bare = (b), .metavar = (mv), .help = (h) }
#define SD_OPT_CHOICE(n, al, cl, p, d, ch, h) \
	{ .name = (n), .aliases = (al), .type = SD_OPT_TYPE_CHOICE, .class = (cl), .to.i = (p), .def = (d), \
	  .metavar = (ch), .help = (h), .choices = (ch) }
#define SD_OPT_LIST(n, al, cl, p, mv, h) \
	{ .name = (n), .aliases = (al), .type = SD_OPT_TYPE_LIST, .class = (cl), .to.list = (p), \
	  .metavar = (mv), .help = (h) }
#define SD_OPT_END { .type = SD_OPT_TYPE_END }

#define SD_BETWEEN(lo, hi) .bounded = true, .min = (lo), .max = (hi)
#define SD_AT_LEAST(lo) SD_BETWEEN(lo, INFINITY)

/* The options that tools share, and their values. */
struct sd_shared {
	bool quiet, verbose;      /* -q, -v */
	int threads;              /* --threads; 0: sd_par_default_threads() */
	const char *output;       /* -o; NULL when not given */
	bool force;               /* --force: replace an existing target of another run */
	struct sd_opt_list notes; /* --note KEY=VALUE, checked to have the '=' */
	int context;              /* --context: enum sd_context */
	int update;               /* --update: enum sd_update */
	bool why;                 /* --why */
};
enum sd_context { SD_CONTEXT_FULL, SD_CONTEXT_NONE };
enum sd_update { SD_UPDATE_NEVER, SD_UPDATE_INPUTS, SD_UPDATE_PROGRAM };

#define SD_OPTS_COMMON(s) \
	SD_OPT_FLAG("quiet", "-q", SD_EXECUTION, &(s).quiet, "say nothing but errors"), \
	SD_OPT_FLAG("verbose", "-v", SD_EXECUTION, &(s).verbose, "say more")
#define SD_OPTS_THREADS(s) \
	SD_OPT_INT("threads", NULL, SD_EXECUTION, &(s).threads, NULL, "N", \
		   "threads to use (default: as many as affinity and the control group allow)", \
		   SD_BETWEEN(1, 1024))
#define SD_OPTS_OUTPUT(s) \
	SD_OPT_TEXT("output", "-o", SD_OUTPUT, &(s).output, NULL, "FILE", \
		    "write the result here, - is standard output"), \
	SD_OPTS_STAMP(s)
/* The same for a tool that names its output in another way (--save). */
#define SD_OPTS_STAMP(s) \
	SD_OPT_FLAG("force", NULL, SD_OUTPUT, &(s).force, "replace an existing file of another run"), \
	SD_OPT_LIST("note", NULL, SD_OUTPUT, &(s).notes, "KEY=VALUE", \
		    "keep a remark in the context (repeatable)"), \
	SD_OPT_CHOICE("context", NULL, SD_OUTPUT, &(s).context, "full", "full|none", \
		      "what the manifest tells beyond the claim: none makes equal runs equal files"), \
	SD_OPT_CHOICE("update", NULL, SD_EXECUTION, &(s).update, "never", "never|inputs|program", \
		      "make nothing if the output is there, whole, and of equal parameters, seed and inputs " \
		      "(inputs), and of the same program and libraries too (program)"), \
	SD_OPT_FLAG("why", NULL, SD_EXECUTION, &(s).why, \
		    "say what --update finds different, and make nothing")

struct sd_opts {
	const char *tool;     /* "sd-search" */
	const char *summary;  /* one line: what the tool does */
	const char *operands; /* as --help shows them: "ARTIFACT...", "[FILE]"; NULL: it takes none */
	int min_operands, max_operands; /* max -1: any number */
	struct sd_opt *rows;  /* ended by SD_OPT_END */
	const char *epilog;   /* further lines for --help, or NULL */
	/* Set by sd_opts_parse(): the operands in their order (a bare "-" is one), and argv as it was. */
	int noperand;
	const char **operand;
	int argc;
	char **argv;
};

/* Reads the command line.  Values go where the rows point, defaults first.  0: go on; 1: --help, --version,
 * --synopsis or --completion has been answered on stdout; -1: a usage error that says what was expected.
 * What it allocates (lists, operands) lives until sd_opts_release(). */
int sd_opts_parse(struct sd_opts *opts, int argc, char **argv);
void sd_opts_release(struct sd_opts *opts);

/* The row of that name or alias (without dashes, either spelling), or NULL. */
struct sd_opt *sd_opts_find(const struct sd_opts *opts, const char *name);
bool sd_opts_given(const struct sd_opts *opts, const char *name);

/* Another default, for a --recipe: sets the value from text unless it was given.  -1 and a message when
 * there is no such option or the text is no value for it. */
int sd_opts_default(struct sd_opts *opts, const char *name, const char *text);

/* The numeric parameters with their present values, as claim.parameters holds them: flags as booleans,
 * ints as integers, reals as strings, choices and texts as strings, lists as arrays.  A new reference,
 * NULL with a message (a text that isn't UTF-8).  Seeds are not among them. */
json_t *sd_opts_parameters(const struct sd_opts *opts);
/* The seed row's value as text in buf[24]; false when the table has none. */
bool sd_opts_seed(const struct sd_opts *opts, char buf[24]);

/* What --help and the like print; --version has lines with the hash of the sources and the commit, too. */
void sd_opts_help(const struct sd_opts *opts, FILE *f);
void sd_opts_version(const struct sd_opts *opts, FILE *f);
/* One line an option: --name, aliases, metavar, default, class (input, numeric, execution, output), type (flag,
 * int, seed, real, text, choice, list), tab-separated.  sd-verify rebuilds command lines by it. */
void sd_opts_synopsis(const struct sd_opts *opts, FILE *f);
/* A completion script for bash. */
void sd_opts_completion(const struct sd_opts *opts, FILE *f);

#endif
