/* step_scale.c: dynamic loss scaling, for float16 images (graph.h, sd_loss_scale).
 *
 * The loss is multiplied by a scale before it is differentiated, so that small gradients don't vanish in float16, and
 * the gradients of parameters, which are float32, are divided by it again.  Where their norm is not finite the
 * optimiser and its counters are skipped, the running statistics are not. */
#include "train/step_build.h"

#include <stdio.h>

#define WINDOW 2000      /* good steps before the scale is doubled */
#define FIRST 65536.0f

struct sd_step_scale sd_step_scale(struct sd_graph *g, const struct sd_step_options *o, const char *name)
{
	struct sd_step_scale s = { SD_NIL, SD_NIL, SD_NIL };
	char good[64];
	if (!o->loss_scale)
		return s;
	snprintf(good, sizeof good, "%s_good", name);
	s.scale = sd_state(g, name, SD_F32, sd_shape0());
	s.good = sd_state(g, good, SD_I32, sd_shape0());
	return s;
}

/* 1 / scale */
static sd_val inverse(struct sd_graph *g, const struct sd_step_scale *s)
{
	return sd_ratio(g, sd_fill(g, sd_shape0(), 1), s->scale);
}

sd_val sd_step_scale_norm(struct sd_graph *g, struct sd_step_scale *s, sd_val norm)
{
	if (s->scale == SD_NIL)
		return norm;
	s->ok = sd_finite(g, norm);
	return sd_ratio(g, norm, s->scale);
}

sd_val sd_step_scale_coef(struct sd_graph *g, const struct sd_step_scale *s, sd_val coef)
{
	if (s->scale == SD_NIL)
		return coef;
	return coef == SD_NIL ? inverse(g, s) : sd_ratio(g, coef, s->scale);
}

sd_val sd_step_scale_gradient(struct sd_graph *g, const struct sd_step_scale *s, sd_val grad)
{
	return s->scale == SD_NIL || grad == SD_NIL ? grad : sd_axpy(g, SD_NIL, 1, inverse(g, s), grad);
}

int sd_step_scale_write(struct sd_graph *g, const struct sd_step_scale *s, sd_val *token)
{
	if (s->scale == SD_NIL)
		return 0;
	*token = sd_loss_scale(g, s->scale, s->good, s->ok, WINDOW);
	return 1;
}

int sd_step_scale_first(struct sd_vars *vars)
{
	static const char *const name[] = { SD_VAR_LOSS_SCALE, SD_VAR_ARCH_LOSS_SCALE };
	for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
		float scale;
		if (!sd_vars_find(vars, name[i]))
			continue;
		if (sd_vars_get(vars, name[i], &scale) || (scale == 0 && sd_vars_set_f32(vars, name[i], FIRST)))
			return -1;
	}
	return 0;
}
