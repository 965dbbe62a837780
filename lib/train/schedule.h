/* schedule.h: cosine power annealing, the learning rate of sharpDARTS. */
#ifndef SD_TRAIN_SCHEDULE_H
#define SD_TRAIN_SCHEDULE_H

#include <stdbool.h>

/* The arguments of the reference's cosine_power_annealing(); start from SD_SCHEDULE_DEFAULTS. */
struct sd_schedule_args {
	int epochs;             /* how many, from 1; 0: max_epoch says; ignored with an epoch array */
	const int *epoch_array; /* explicit epoch numbers, or NULL; unlike the reference's not changed */
	int nepoch;             /* how many those are */
	int max_epoch;          /* the epoch the curve ends at; 0: the largest epoch asked for */
	double max_lr, min_lr;
	double exponent_order;  /* >= 1; exactly 1 is plain cosine annealing */
	int warmup_epochs;      /* 0: none */
	int start_epoch;        /* from 1 */
	bool restart_lr;        /* false: the first start_epoch - 1 rates are left out */
};
#define SD_SCHEDULE_DEFAULTS { .max_lr = 0.1, .min_lr = 1e-4, .exponent_order = 10, .start_epoch = 1, .restart_lr = true }

struct sd_schedule {
	int n;                   /* number of epochs computed */
	int *epoch;              /* their numbers, (n) */
	double *cos_power, *cos; /* the curves from 1 to 0 (power and plain cosine), (n); NaN in the warm-up */
	int nlr, first;          /* rates given out; lr[i] belongs to epoch[first + i] */
	double *lr;              /* (nlr) */
};

/* Computes the schedule in float64, as cosine_power_annealing of sharpDARTS does (Hundt et al. 2019,
 * section 3.4), its quirks included: the warm-up takes warmup_epochs + 1 epochs.  What makes the
 * reference raise or give NaN is a usage error: no or fewer than two epochs to anneal over, an
 * exponent order under 1, a warm-up with an array that doesn't start at 1 or that is longer than
 * the epochs.  `s` is filled in and must be released by sd_schedule_release (on success only). */
int sd_cosine_power_annealing(struct sd_schedule *s, const struct sd_schedule_args *args);
void sd_schedule_release(struct sd_schedule *s);

#endif
