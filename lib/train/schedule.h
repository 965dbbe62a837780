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
#define SD_SCHEDULE_DEFAULTS \
	{ .max_lr = 0.1, .min_lr = 1e-4, .exponent_order = 10, .start_epoch = 1, .restart_lr = true }

struct sd_schedule {
	int n;             /* epochs computed */
	int *epoch;        /* (n), as asked for */
	double *cos_power; /* (n), what lies between min_lr (0) and max_lr (1), warm-up included */
	double *cos;       /* (n), the plain cosine, shifted by the warm-up and otherwise ignoring it */
	int first;         /* lr[i] belongs to epoch[first + i] */
	int nlr;           /* rates given out: n - first */
	double *lr;        /* (nlr) */
};

/* Computes the schedule in float64 as cosine_power_annealing() of sharpDARTS does (Hundt, Jain and
 * Hager 2019, "sharpDARTS", section 3.4).  With epochs e and their end m, both less the warm-up's
 * length w, and exponent order o,
 *     c(e) = (1 + cos(pi e / m)) / 2,  p(e) = o^(1 + c(e)) (o = 1: c(e)),  lr = min + (max - min) p,
 * p rescaled to reach from 0 to 1 over the epochs asked for; epochs 1 to w + 1 of a warm-up get
 * p = k / (w + 1) instead.  The power and the cosine are rounded correctly, so the numbers don't
 * depend on a machine's mathematical library; numpy's differ by a few 1e-16.
 * What makes the reference raise, or gives NaN, is a usage error here: no epochs; a curve without
 * extent (as with one epoch); an exponent order under 1; a warm-up with epochs that don't start at 1 or
 * are fewer than w + 1.  `s` is filled in on success only, to be released by sd_schedule_release. */
int sd_cosine_power_annealing(struct sd_schedule *s, const struct sd_schedule_args *args);
void sd_schedule_release(struct sd_schedule *s);

/* The rate of epoch `e`, from 0, of cosine annealing with warm restarts (Loshchilov and Hutter, "SGDR:
 * stochastic gradient descent with warm restarts", ICLR 2017, equation 5, with T_mult = 2): cycles of
 * `first`, 2 first, 4 first ... epochs, in each of which lr = min + (max - min) (1 + cos(pi t / T)) / 2. */
double sd_cosine_restarts(int e, int first, double max_lr, double min_lr);

#endif
