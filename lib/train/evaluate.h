/* evaluate.h: how good a network is on a data set.  The numbers do not depend on the batch size: a
 * sample's loss does not depend on its batch, and losses are added in the order of the samples, in double. */
#ifndef SD_TRAIN_EVALUATE_H
#define SD_TRAIN_EVALUATE_H

#include <stdint.h>

#include "data/loader.h"
#include "train/step.h"

struct sd_evaluation {
	int nclass;
	uint64_t n;          /* samples */
	double loss;         /* mean */
	double top1, top5;   /* percent */
	int64_t *confusion;  /* (nclass, nclass): true class by row, predicted class by column */
	int32_t *label, *predicted; /* (n): of each sample in its order the true class and the likeliest one */
};
void sd_evaluation_release(struct sd_evaluation *ev);
/* Accuracy of one class in percent; NaN when it has no sample. */
double sd_evaluation_class(const struct sd_evaluation *ev, int c);

struct sd_evaluator;

/* Plans the evaluation of what `options` chooses from ds (SD_ORDER_AS_IS), in batches of options->batch; stops
 * after `limit` batches (0: none left out).  vars, net and ds must outlive it.  NULL with a message, also
 * when images or classes of the data set don't fit the network. */
struct sd_evaluator *sd_evaluator_new(struct sd_vars *vars, const struct sd_net *net,
	const struct sd_dataset *ds, const struct sd_loader_options *options, uint32_t limit, int plan_flags);
void sd_evaluator_free(struct sd_evaluator *e);

/* Evaluates with the variables as they are; `epoch` is what augmentation counts by, if there is any.  It waits for
 * the device in the end alone, however many batches there are.
 * *ev is overwritten and to be released.  A pending signal ends it with an error of kind SD_ERR_STOPPED.
 * A loss that is not finite is an error that names the op where it began, for which all is evaluated again. */
int sd_evaluator_run(struct sd_evaluator *e, uint32_t epoch, struct sd_evaluation *ev);

#endif
