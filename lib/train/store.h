/* store.h: variables and history in artifacts.
 *
 *   /state/<name>           what the reference's state_dict holds, under its names
 *   /alphas_last/normal, /alphas_last/reduce
 *                           the parameters of a search's architecture
 *   /optimizer/...          momenta, Adam's moments and count
 *   /history/<column>       (epochs) f64
 *   /trace/...              what every step was (trace.h)
 *   /progress/...           only in a checkpoint: steps done in the epoch under way, its sums
 *
 * Scalars (learning rates and the like) are set again by who runs and are not kept. */
#ifndef SD_TRAIN_STORE_H
#define SD_TRAIN_STORE_H

#include "artifact/artifact.h"
#include "train/loop.h"
#include "train/vars.h"

/* Writes all variables; sums only with `progress`. */
int sd_store_put(struct sd_artifact_out *out, const struct sd_vars *vars, bool progress);
/* Writes the state_dict's part as it was when the copy was taken, under "/<folder>/". */
int sd_store_put_copy(struct sd_artifact_out *out, const struct sd_vars *vars,
	const struct sd_vars_copy *copy, const char *folder);
/* Reads what sd_store_put wrote; every variable must be there and have its shape. */
int sd_store_get(struct sd_artifact *art, struct sd_vars *vars, bool progress);
/* Reads the state_dict's part from "/<folder>/" ("state", "state_best").  Parameters of an auxiliary head
 * that the variables have and the file has not are left alone; anything else missing is an error. */
int sd_store_get_state(struct sd_artifact *art, struct sd_vars *vars, const char *folder);

int sd_store_put_history(struct sd_artifact_out *out, const struct sd_history *h);
int sd_store_get_history(struct sd_artifact *art, struct sd_history *h);

/* Whether a variable goes to /state, or to /alphas_last. */
bool sd_store_in_state(const struct sd_var *var);
bool sd_store_is_alphas(const struct sd_var *var);

/* Where a loop stands, in a checkpoint. */
int sd_store_put_progress(struct sd_artifact_out *out, const struct sd_loop *loop);
int sd_store_get_progress(struct sd_artifact *art, struct sd_loop *loop);

#endif
