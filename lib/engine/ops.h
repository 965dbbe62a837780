/* ops.h: what an engine is to the rest: a table of functions, and the parts that all engines' buffers,
 * programs and handles begin with.  engine.c does what is common and calls the table. */
#ifndef SD_ENGINE_OPS_H
#define SD_ENGINE_OPS_H

#include "engine/engine.h"
#include "graph/cost.h"

/* Counts up with every change of this table or of the structures below; an engine of another number than
 * the tool's is not used. */
#define SD_ENGINE_ABI 4

struct sd_engine {
	const struct sd_engine_ops *ops;
	int plans_only; /* set before `open`: there may be no device, and nothing is held or run */
	int poison, trace_nan, profile;
	sd_engine_seen *seen; /* or NULL */
	void *seen_ctx;
	struct sd_profile_state *noted; /* while profile is set */
};

struct sd_buffer {
	struct sd_engine *engine;
	enum sd_dtype dtype;
	struct sd_shape shape;
	size_t bytes;
	void *data; /* in the engine's memory */
};

struct sd_program {
	struct sd_engine *engine;
	const struct sd_graph *g;
	struct sd_plan *plan;
	unsigned char *slot_used; /* by slot: whether a step reads or writes it */
	size_t arena;             /* bytes, what the engine needs beside the plan's included */
	long launches;            /* kernels that a run begins */
	struct sd_profile_step *noted; /* by step */
};

struct sd_device_feed {
	struct sd_engine *engine;
};

/* Every function that fails returns -1 or NULL with a message.  Sizes of the structures are those of the
 * engine's own, which begin with the ones above; engine.c allocates them zeroed and fills in that part. */
struct sd_engine_ops {
	int abi;                   /* SD_ENGINE_ABI */
	const char *source;        /* the source that it was built of (sd_build_source) */
	const char *kind;          /* "cpu", "cuda" */
	int async;                 /* a run has only begun when `run` returns */
	size_t engine_size, program_size;

	int (*open)(struct sd_engine *e, int device, int threads);
	void (*close)(struct sd_engine *e); /* releases all but the structure */
	int (*set_precision)(struct sd_engine *e, enum sd_precision precision);
	const struct sd_layout *(*layout)(const struct sd_engine *e);
	int (*threads)(const struct sd_engine *e);
	const char *(*path)(const struct sd_engine *e);
	void (*environment)(const struct sd_engine *e, sd_engine_fact *fact, void *ctx);
	void (*choices)(const struct sd_engine *e, sd_engine_fact *fact, void *ctx); /* NULL: there are none */

	/* b->bytes of memory, all 0, into b->data */
	int (*alloc)(struct sd_engine *e, struct sd_buffer *b);
	void (*release)(struct sd_buffer *b);
	int (*write)(struct sd_buffer *b, const void *host);
	int (*read)(const struct sd_buffer *b, void *host);
	int (*copy)(struct sd_buffer *dst, const struct sd_buffer *src);

	/* p has its plan; makes whatever the engine needs beside it, and fills in arena and launches. */
	int (*program_init)(struct sd_program *p);
	void (*program_release)(struct sd_program *p); /* also after a program_init that failed */
	/* binds have been checked */
	int (*run)(int n, const struct sd_work *work);
	/* NULL: never */
	int (*feed_fits)(struct sd_engine *e, size_t bytes);
	struct sd_device_feed *(*feed_new)(struct sd_engine *e, const struct sd_feed_spec *spec);
	void (*feed_free)(struct sd_device_feed *f);
	int (*feed_epoch)(struct sd_device_feed *f, uint32_t epoch, uint32_t from);
	int (*read_value)(struct sd_program *p, sd_val v, void *host); /* v has storage in the plan */
	/* To device memory, v no image; NULL: buffers lie in the host's memory, so read_value does. */
	int (*keep_value)(struct sd_program *p, sd_val v, void *to);
	int (*limits)(struct sd_engine *e, struct sd_limits *limits);
};

/* The engines that are linked in. */
extern const struct sd_engine_ops sd_engine_cpu;
/* The symbol that an engine's shared object exports: a function of this type. */
#define SD_ENGINE_ENTRY "sd_engine_entry"
typedef const struct sd_engine_ops *sd_engine_entry_fn(void);

/* Seconds of a clock that only counts up. */
double sd_engine_now(void);
/* Shows the inputs that a program is about to read. */
int sd_engine_show_inputs(struct sd_program *p, const struct sd_bind *bind);
/* Shows the results of step i of the plan, which has just been run. */
int sd_engine_show_step(struct sd_program *p, int i);
/* ---- profile.c, where e->profile is set ---- */
/* Adds a step that has been run.  -1 with a message. */
int sd_engine_note(struct sd_program *p, const struct sd_step *s, long launches, double seconds);
/* A sd_par_watch_fn: what the step under way, of engine ctx, did in tasks. */
void sd_engine_note_tasks(void *ctx, int ntask, double seconds);
/* Adds a whole run. */
void sd_engine_note_run(struct sd_engine *e, double seconds);
void sd_profile_free(struct sd_profile_state *s);
/* Bytes of one element in the outside layout. */
size_t sd_dtype_size(enum sd_dtype t);

#endif
