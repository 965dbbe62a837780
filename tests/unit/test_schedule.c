/* test_schedule.c: cosine power annealing against hand-made numbers and the reference's. */
#include "train/schedule.h"
#include "base/err.h"
#include "check.h"
#include "golden.h"

#include <jansson.h>
#include <math.h>

/* How far numpy's float64 is from the correctly rounded numbers, as a part of the largest rate. */
#define TOLERANCE 3e-15

static double worst(const double *a, const double *b, int n)
{
	double w = 0;
	int i;

	for (i = 0; i < n; i++)
		w = fmax(w, fabs(a[i] - b[i]));
	return w;
}

static void small_cases(void)
{
	struct sd_schedule_args a = SD_SCHEDULE_DEFAULTS;
	struct sd_schedule s;
	/* three epochs, plain cosine: 0.75, 0.25, 0 rescaled */
	const double three[] = { 1, 1 / 3.0, 0 };
	/* a warm-up of five takes six epochs, the seventh is the curve's end */
	const double seven[] = { 1 / 6.0, 2 / 6.0, 3 / 6.0, 4 / 6.0, 5 / 6.0, 1, 0 };
	const double ten[] = { 0.1, 0.0831461940314986, 0.06181535693303143, 0.04162737851495069,
		0.02565714743059543, 0.01446785296765249, 0.00727846851007811, 0.00300670918923269,
		0.00078513288544155, 0.0001 };
	const int resumed[] = { 1, 5, 9, 20 };
	int i;

	a.epochs = 3, a.exponent_order = 1, a.max_lr = 1, a.min_lr = 0;
	CHECK(sd_cosine_power_annealing(&s, &a) == 0 && s.nlr == 3 && worst(s.lr, three, 3) < 1e-15);
	sd_schedule_release(&s);

	a.epochs = 7, a.exponent_order = 3, a.warmup_epochs = 5;
	CHECK(sd_cosine_power_annealing(&s, &a) == 0 && s.nlr == 7 && worst(s.lr, seven, 7) < 1e-15);
	CHECK(worst(s.cos_power, seven, 7) < 1e-15 && fabs(s.cos[4] - 1) < 1e-15);
	sd_schedule_release(&s);

	a = (struct sd_schedule_args)SD_SCHEDULE_DEFAULTS;
	a.epochs = 10;
	CHECK(sd_cosine_power_annealing(&s, &a) == 0 && s.nlr == 10 && worst(s.lr, ten, 10) < 1e-14);
	CHECK(s.lr[0] == 0.1 && s.lr[9] == 1e-4);
	sd_schedule_release(&s);

	a.start_epoch = 9;
	CHECK(sd_cosine_power_annealing(&s, &a) == 0 && s.nlr == 10);
	sd_schedule_release(&s);
	a.restart_lr = false;
	CHECK(sd_cosine_power_annealing(&s, &a) == 0 && s.nlr == 2 && s.first == 8);
	CHECK(worst(s.lr, ten + 8, 2) < 1e-14);
	sd_schedule_release(&s);
	a.start_epoch = 99;
	CHECK(sd_cosine_power_annealing(&s, &a) == 0 && s.nlr == 0 && s.first == 10);
	sd_schedule_release(&s);

	a = (struct sd_schedule_args)SD_SCHEDULE_DEFAULTS;
	a.epoch_array = resumed, a.nepoch = 4, a.max_epoch = 40;
	CHECK(sd_cosine_power_annealing(&s, &a) == 0 && s.n == 4 && s.lr[0] == 0.1 && s.lr[3] == 1e-4);
	for (i = 0; i < 4; i++)
		CHECK(s.epoch[i] == resumed[i]);
	CHECK(fabs(s.cos[3] - 0.5) < 1e-15, "%g", s.cos[3]);
	sd_schedule_release(&s);
}

static void refused(struct sd_schedule_args a, const char *what)
{
	struct sd_schedule s;

	sd_error_clear();
	CHECK(sd_cosine_power_annealing(&s, &a) == -1, "%s", what);
	CHECK(sd_error_kind() == SD_ERR_USAGE && strstr(sd_error_text(), what), "got '%s'", sd_error_text());
}

static void invalid_cases(void)
{
	struct sd_schedule_args a = SD_SCHEDULE_DEFAULTS, b = a;
	const int late[] = { 11, 12, 13 }, holes[] = { 1, 3, 9, 20 };

	refused(a, "at least one epoch");
	b.epochs = 1;
	refused(b, "two different epochs");
	b.epochs = 60, b.exponent_order = 0.5;
	refused(b, "at least 1, not 0.5");
	b.exponent_order = NAN;
	refused(b, "exponent order");
	b = a, b.epochs = 20, b.min_lr = INFINITY;
	refused(b, "finite");
	b = a, b.epochs = 5, b.warmup_epochs = 5;
	refused(b, "no extent");
	b.epochs = 3;
	refused(b, "warm-up");
	b.epochs = 20, b.warmup_epochs = -1;
	refused(b, "negative");
	b = a, b.epochs = 20, b.start_epoch = 0;
	refused(b, "counts from 1");
	b = a, b.epoch_array = late, b.nepoch = 3, b.warmup_epochs = 2;
	refused(b, "start at 1, not at 11");
	b.epoch_array = holes, b.nepoch = 4, b.warmup_epochs = 5;
	refused(b, "not 2");
	b.warmup_epochs = 2147483647;
	refused(b, "warm-up");
}

/* kwargs as written for Python to our arguments; *list gets the epoch array. */
static struct sd_schedule_args from_json(const char *text, int **list)
{
	struct sd_schedule_args a = SD_SCHEDULE_DEFAULTS;
	json_t *j = json_loads(text, 0, NULL), *v;
	size_t i;

	*list = NULL;
	v = json_object_get(j, "epochs");
	if (json_is_array(v)) {
		a.nepoch = (int)json_array_size(v);
		a.epoch_array = *list = calloc(a.nepoch, sizeof(int));
		for (i = 0; i < json_array_size(v); i++)
			(*list)[i] = (int)json_integer_value(json_array_get(v, i));
	} else {
		a.epochs = (int)json_integer_value(v);
	}
	a.max_epoch = (int)json_integer_value(json_object_get(j, "max_epoch"));
	a.warmup_epochs = (int)json_integer_value(json_object_get(j, "warmup_epochs"));
	if ((v = json_object_get(j, "start_epoch")))
		a.start_epoch = (int)json_integer_value(v);
	if ((v = json_object_get(j, "restart_lr")))
		a.restart_lr = json_is_true(v);
	if ((v = json_object_get(j, "max_lr")))
		a.max_lr = json_number_value(v);
	if ((v = json_object_get(j, "min_lr")))
		a.min_lr = json_number_value(v);
	if ((v = json_object_get(j, "exponent_order")))
		a.exponent_order = json_number_value(v);
	json_decref(j);
	return a;
}

static void compare(hid_t file, const char *name, const char *set, const double *mine, int n, double scale)
{
	char path[300];
	double *want;
	int m;

	snprintf(path, sizeof(path), "%s/%s", name, set);
	want = golden_numbers(file, path, &m);
	CHECK(want && m == n, "%s: %d values, %d expected", path, n, m);
	if (want && m == n)
		CHECK(worst(mine, want, n) <= TOLERANCE * scale, "%s: off by %g", path, worst(mine, want, n));
	free(want);
}

static herr_t golden_case(hid_t file, const char *name, const H5L_info_t *info, void *data)
{
	struct sd_schedule_args a;
	struct sd_schedule s = { 0 };
	char *kwargs = golden_text(file, name, "kwargs");
	int *list, rc;

	(void)info;
	(void)data;
	CHECK(kwargs, "%s", name);
	if (!kwargs)
		return 0;
	a = from_json(kwargs, &list);
	rc = sd_cosine_power_annealing(&s, &a);
	if (!strncmp(name, "invalid", 7)) {
		CHECK(rc == -1, "%s: %s accepted", name, kwargs);
	} else {
		CHECK(rc == 0, "%s: %s", name, sd_error_text());
		if (rc == 0) {
			double scale = fmax(1e-3, fmax(a.max_lr, a.min_lr));

			compare(file, name, "lr", s.lr, s.nlr, scale);
			compare(file, name, "cos_power_proportions", s.cos_power, s.n, 1);
			compare(file, name, "cos_proportions", s.cos, s.n, 1);
		}
	}
	if (rc == 0)
		sd_schedule_release(&s);
	free(list);
	free(kwargs);
	return 0;
}

/* What PyTorch's CosineAnnealingWarmRestarts gives with T_0 = 3, T_mult = 2, eta_min = 1e-4. */
static void warm_restarts(void)
{
	static const double want[] = { 0.025, 0.018775, 0.006325, 0.025, 0.023332016277116265, 0.018775, 0.01255,
		0.006325, 0.0017679837228837382, 0.025, 0.0245757765372989, 0.023332016277116265 };

	for (int e = 0; e < 12; e++) {
		double lr = sd_cosine_restarts(e, 3, 0.025, 1e-4);

		CHECK(fabs(lr - want[e]) < 1e-15, "epoch %d: %.17g, expected %.17g", e, lr, want[e]);
	}
	CHECK(sd_cosine_restarts(1000, 1000, 0.1, 0) == 0.1);
}

int main(int argc, char **argv)
{
	hid_t file;

	warm_restarts();
	small_cases();
	invalid_cases();
	file = golden_open(argc, argv, "schedule.h5");
	if (file >= 0) {
		CHECK(H5Literate(file, H5_INDEX_NAME, H5_ITER_INC, NULL, golden_case, NULL) >= 0);
		H5Fclose(file);
	}
	return check_done();
}
