/* vars.h: the variables of a run in engine memory: parameters, running statistics, momenta, Adam
 * moments, alphas, sums and scalars, by name.  All programs of a run are bound to the same ones.
 *
 * A variable's name is its name in the graph; its place in an artifact is "/state/<name>" for what the
 * reference's state_dict holds, and the name itself for what begins with one of the folders
 * "optimizer/", "arch/" or "sums/".  What begins with "scratch/" passes from one program of a step to the
 * next and is neither kept in artifacts nor in copies. */
#ifndef SD_TRAIN_VARS_H
#define SD_TRAIN_VARS_H

#include "engine/engine.h"
#include "graph/graph.h"

struct sd_var {
	char *name;
	enum sd_class cls; /* SD_PARAM, SD_STATE or SD_SCALAR */
	enum sd_dtype dtype;
	struct sd_shape shape;
	struct sd_buffer *buffer;
};

struct sd_vars {
	struct sd_engine *engine; /* not owned */
	uint64_t seed;            /* for initial values */
	struct sd_var *var;       /* in the order they were first asked for */
	int n, cap;
	int *hash, cap_hash;      /* open addressing: 0 is empty, else index + 1 */
};

void sd_vars_init(struct sd_vars *v, struct sd_engine *engine, uint64_t seed);
void sd_vars_release(struct sd_vars *v);

/* The variable of that name, or NULL (no message).  Valid until the next sd_vars_bind. */
struct sd_var *sd_vars_find(const struct sd_vars *v, const char *name);

/* Binds every parameter, state and scalar of g: makes those that are new, parameters and running
 * statistics with their initial value (sd_init_value), everything else 0.  bind->slot must have
 * g->nslot entries; those of inputs are left alone.  A name that has another shape already is an error. */
int sd_vars_bind(struct sd_vars *v, const struct sd_graph *g, struct sd_bind *bind);

/* A graph on other variables: what is of the class and begins with `from` is bound to the variable whose name
 * begins with `to` instead.  The first rule that fits counts. */
struct sd_var_rule {
	enum sd_class cls;
	const char *from, *to;
};
/* Binds by rules; a variable that a rule leads to must be there already. */
int sd_vars_bind_by(struct sd_vars *v, const struct sd_graph *g, struct sd_bind *bind, int nrule,
	const struct sd_var_rule *rule);
int sd_var_is_scratch(const struct sd_var *var);

/* Writes or reads a whole variable, row-major; the name must exist. */
int sd_vars_set(struct sd_vars *v, const char *name, const void *host);
int sd_vars_get(const struct sd_vars *v, const char *name, void *host);
int sd_vars_set_f32(struct sd_vars *v, const char *name, float x); /* scalars; a name no program has asked */
int sd_vars_set_i32(struct sd_vars *v, const char *name, int32_t x); /* for is skipped */
int sd_vars_zero(struct sd_vars *v, const char *name);

size_t sd_var_bytes(const struct sd_var *var); /* in the outside layout */

/* A copy of every variable's content, to go back to. */
struct sd_vars_copy;
struct sd_vars_copy *sd_vars_save(const struct sd_vars *v);
int sd_vars_restore(struct sd_vars *v, const struct sd_vars_copy *c);
/* Brings an existing copy (of the same variables) up to date. */
int sd_vars_resave(const struct sd_vars *v, struct sd_vars_copy *c);
void sd_vars_copy_free(struct sd_vars_copy *c);
/* A variable's content in the copy. */
const void *sd_vars_copy_data(const struct sd_vars_copy *c, const struct sd_vars *v, const char *name);

#endif
