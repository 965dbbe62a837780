/* cite.c: the paragraph for a paper that says how something was made. */
#include "provenance/cite.h"

#include <stdlib.h>
#include <string.h>

#include "artifact/artifact.h"
#include "base/file.h"
#include "base/json.h"
#include "base/str.h"
#include "train/stats.h"

struct cite {
	int n;                           /* runs of one recipe */
	const char *const *name;
	struct sd_lineage *const *l;
	const struct sd_manifest **told; /* (ntold) what sentences were about */
	int ntold;
	struct sd_str s;
};

/* ---- claims ---- */

static const json_t *parameter(const struct sd_manifest *m, const char *name)
{
	return json_object_get(json_object_get(m->claim, "parameters"), name);
}

static bool on(const struct sd_manifest *m, const char *name)
{
	return json_is_true(parameter(m, name));
}

/* "" when it has none. */
static const char *text(const struct sd_manifest *m, const char *name)
{
	const char *s = json_string_value(parameter(m, name));

	return s ? s : "";
}

static bool is(const struct sd_manifest *m, const char *name, const char *value)
{
	return strcmp(text(m, name), value) == 0;
}

static long long number(const struct sd_manifest *m, const char *name)
{
	return json_integer_value(parameter(m, name));
}

static const struct sd_manifest *input(const struct sd_lineage *l, const struct sd_manifest *m,
	const char *role)
{
	const json_t *in = json_object_get(json_object_get(m->claim, "inputs"), role);
	const char *id = sd_json_text(in, "id");

	return id ? sd_lineage_find(l, id) : NULL;
}

/* "seed 0" or "seeds 1, 2 and 3": those of all runs that stand where m does in the first one. */
static void add_seeds(struct cite *c, const struct sd_manifest *m)
{
	const char **seed = sd_xcalloc((size_t)c->n, sizeof(*seed));
	int n = 0;

	for (int i = 0; i < c->n; i++) {
		const struct sd_lineage *l = c->l[i];

		for (int k = -1; k < l->nancestor; k++) {
			const struct sd_manifest *x = k < 0 ? l->own : l->ancestor[k];
			int j;

			if (!x->seed || strcmp(x->recipe, m->recipe) != 0)
				continue;
			for (j = 0; j < n && strcmp(seed[j], x->seed) != 0; j++)
				;
			if (j == n && n < c->n)
				seed[n++] = x->seed;
		}
	}
	if (n)
		sd_str_addf(&c->s, "seed%s ", n > 1 ? "s" : "");
	for (int j = 0; j < n; j++)
		sd_str_addf(&c->s, "%s%s", !j ? "" : j == n - 1 ? " and " : ", ", seed[j]);
	free(seed);
}

/* ---- sentences ---- */

static void tell_dataset(struct cite *c, const struct sd_manifest *m)
{
	json_t *inputs = json_object_get(m->claim, "inputs"), *in;
	const char *name = *text(m, "name") ? text(m, "name") : text(m, "dataset"), *role;
	bool first = true;

	sd_str_addf(&c->s, "The data set %s ", name);
	if (strcmp(name, text(m, "dataset")) != 0)
		sd_str_addf(&c->s, "(%s) ", text(m, "dataset"));
	sd_str_adds(&c->s, "was read from ");
	json_object_foreach(inputs, role, in) {
		const char *file = sd_json_text(json_object_get(json_object_get(m->context, "inputs"), role), "name");

		sd_str_addf(&c->s, "%s%s (SHA-256 %.12s)", first ? "" : ", ", file ? sd_base_name(file) : "a file",
			sd_json_text(in, "sha256"));
		first = false;
	}
	if (number(m, "size"))
		sd_str_addf(&c->s, ", its images scaled and cropped to %lldx%lld pixels", number(m, "size"),
			number(m, "size"));
	if (on(m, "grey"))
		sd_str_adds(&c->s, ", turned into grey");
	if (number(m, "limit_train"))
		sd_str_addf(&c->s, ", of which %lld training images were drawn", number(m, "limit_train"));
	if (number(m, "limit_test"))
		sd_str_addf(&c->s, "%s %lld test images%s", number(m, "limit_train") ? " and" : ", of which",
			number(m, "limit_test"), number(m, "limit_train") ? "" : " were drawn");
	if (number(m, "limit_train") || number(m, "limit_test")) {
		sd_str_adds(&c->s, " with ");
		add_seeds(c, m);
	}
	sd_str_adds(&c->s, ". ");
}

static void tell_schedule(struct cite *c, const struct sd_manifest *m)
{
	sd_str_addf(&c->s, "for %lld epoch%s in batches of %lld: ", number(m, "epochs"),
		number(m, "epochs") == 1 ? "" : "s", number(m, "batch_size"));
	if (is(m, "optimizer", "padam"))
		sd_str_addf(&c->s, "Padam (partial exponent %s), ", text(m, "partial"));
	else
		sd_str_addf(&c->s, "SGD with momentum %s, ", text(m, "momentum"));
	sd_str_addf(&c->s, "weight decay %s, ", text(m, "weight_decay"));
	if (*text(m, "grad_clip") && !is(m, "grad_clip", "0"))
		sd_str_addf(&c->s, "gradients clipped to a norm of %s, ", text(m, "grad_clip"));
	sd_str_addf(&c->s, "a learning rate from %s to %s by ", text(m, "learning_rate"),
		text(m, "learning_rate_min"));
	if (is(m, "schedule", "warm_restarts"))
		sd_str_addf(&c->s, "cosine annealing with warm restarts (first cycle of %lld epochs)",
			number(m, "warm_restarts"));
	else
		sd_str_addf(&c->s, "cosine power annealing (exponent order %s, %lld warm-up epochs)",
			text(m, "lr_power_annealing_exponent_order"), number(m, "warmup_epochs"));
	if (number(m, "limit_batches"))
		sd_str_addf(&c->s, ", each epoch ended after %lld steps", number(m, "limit_batches"));
	if (number(m, "start_epoch") > 1)
		sd_str_addf(&c->s, ", going on at epoch %lld", number(m, "start_epoch"));
}

static void tell_augmentation(struct cite *c, const struct sd_manifest *m)
{
	if (on(m, "cutout"))
		sd_str_addf(&c->s, ", cutout of %lld pixels", number(m, "cutout_length"));
	if (on(m, "autoaugment"))
		sd_str_adds(&c->s, ", AutoAugment (the policy for CIFAR-10)");
	if (on(m, "random_eraser"))
		sd_str_adds(&c->s, ", random erasing");
}

static void tell_search(struct cite *c, const struct sd_manifest *m)
{
	sd_str_addf(&c->s, "The cell was searched by differentiable architecture search (%s), in a network of %lld "
		"cells of %lld nodes and %lld initial channels, over the search space %s (layers of %s), a primitive of "
		"weight w counting %s, ",
		on(m, "no_architect") ? "the architecture trained with the weights" :
		on(m, "unrolled") ? "second order" : "first order", number(m, "layers_of_cells"),
		number(m, "layers_in_cells"),
		number(m, "init_channels"), text(m, "primitives"), text(m, "ops"),
		is(m, "weighting_algorithm", "max_w") ? "1 - max(w) + w (max_w)" : "w (scalar)");
	tell_schedule(c, m);
	tell_augmentation(c, m);
	if (!on(m, "no_architect"))
		sd_str_addf(&c->s, "; of the training images a part of %s was for the weights and the rest for the "
			"architecture, which had Adam at a learning rate of %s with weight decay %s",
			text(m, "train_portion"), text(m, "arch_learning_rate"), text(m, "arch_weight_decay"));
	if (number(m, "stop_on_skips"))
		sd_str_addf(&c->s, "; it was to end when the normal cell has %lld skip connections",
			number(m, "stop_on_skips"));
	sd_str_adds(&c->s, "; ");
	add_seeds(c, m);
	sd_str_adds(&c->s, ". ");
}

static void tell_genotype(struct cite *c, const struct sd_lineage *l, const struct sd_manifest *m)
{
	if (!input(l, m, "search")) {
		sd_str_addf(&c->s, "The architecture was drawn at random from the search space %s (%lld nodes, 'none' "
			"%s); ", text(m, "primitives"), number(m, "layers_in_cells"),
			on(m, "allow_none") ? "allowed" : "left out");
		add_seeds(c, m);
		sd_str_adds(&c->s, ". ");
		return;
	}
	sd_str_addf(&c->s, "The genotype was derived from the weights after epoch %lld of the search%s. ",
		number(m, "epoch"), on(m, "allow_none") ? ", with 'none' allowed" : "");
}

static void tell_model(struct cite *c, const struct sd_lineage *l, const struct sd_manifest *m)
{
	const char *arch = sd_json_text(m->context, "arch");

	sd_str_addf(&c->s, "A network of %lld cells and %lld initial channels ", number(m, "layers"),
		number(m, "init_channels"));
	if (!input(l, m, "arch"))
		sd_str_addf(&c->s, "of the genotype %s (SHA-256 of the file %.12s) ", arch ? sd_base_name(arch) : "given",
			sd_json_text(json_object_get(json_object_get(m->claim, "inputs"), "arch"), "sha256"));
	sd_str_addf(&c->s, "(layers of %s) was trained ", text(m, "ops"));
	if (*text(m, "train_portion") && !is(m, "train_portion", "1"))
		sd_str_addf(&c->s, "on the first part of %s of the training images ", text(m, "train_portion"));
	tell_schedule(c, m);
	tell_augmentation(c, m);
	if (!is(m, "drop_path_prob", "0"))
		sd_str_addf(&c->s, ", paths dropped with a probability growing to %s", text(m, "drop_path_prob"));
	if (on(m, "auxiliary"))
		sd_str_addf(&c->s, ", an auxiliary head of weight %s", text(m, "auxiliary_weight"));
	if (input(l, m, "load"))
		sd_str_addf(&c->s, ", beginning with the weights of model %.12s", input(l, m, "load")->id);
	if (input(l, m, "resume"))
		sd_str_addf(&c->s, ", beginning with the state of model %.12s", input(l, m, "resume")->id);
	sd_str_adds(&c->s, "; ");
	add_seeds(c, m);
	sd_str_adds(&c->s, ". ");
}

/* The mean of what was measured in all runs, with its spread. */
static int tell_measure(struct cite *c, const char *path, const char *what, const char *unit)
{
	double *x = sd_xcalloc((size_t)c->n, sizeof(*x));
	struct sd_summary sum;
	int rc = 0;

	for (int i = 0; i < c->n && rc == 0; i++) {
		struct sd_artifact *art = sd_artifact_open(c->name[i], 0);

		rc = art ? sd_artifact_read(art, path, SD_TYPE_F64, &x[i], 1) : -1;
		sd_artifact_close(art);
	}
	if (rc == 0) {
		sum = sd_summarize(x, c->n);
		sd_str_addf(&c->s, "%s %.4g%s", what, sum.mean, unit);
		if (c->n > 1)
			sd_str_addf(&c->s, " (standard deviation %.2g, %d runs)", sum.std, c->n);
	}
	free(x);
	return rc;
}

static int tell_eval(struct cite *c, const struct sd_lineage *l, const struct sd_manifest *m)
{
	const struct sd_manifest *model = input(l, m, "model");
	bool by_test = model && is(m, "weights", "best") && is(model, "train_portion", "1");

	sd_str_addf(&c->s, "Evaluated with the weights of the %s epoch%s on the %s, it has ", text(m, "weights"),
		by_test ? " (by the test images)" : "",
		is(m, "split", "test") ? "test images" : is(m, "split", "valid") ? "validation images" :
		"training images");
	if (tell_measure(c, "/top1", "a top-1 accuracy of", " %") < 0 ||
	    tell_measure(c, "/loss", " and a loss of", "") < 0)
		return -1;
	sd_str_adds(&c->s, ". ");
	return 0;
}

/* Inputs first, each once. */
static int tell(struct cite *c, const struct sd_lineage *l, const struct sd_manifest *m)
{
	const char *role;
	json_t *in;
	int rc = 0;

	for (int i = 0; i < c->ntold; i++)
		if (strcmp(c->told[i]->id, m->id) == 0)
			return 0;
	json_object_foreach(json_object_get(m->claim, "inputs"), role, in) {
		const struct sd_manifest *a = input(l, m, role);

		if (a && tell(c, l, a) < 0)
			return -1;
	}
	if (strcmp(m->kind, "dataset") == 0)
		tell_dataset(c, m);
	else if (strcmp(m->kind, "search") == 0)
		tell_search(c, m);
	else if (strcmp(m->kind, "genotype") == 0)
		tell_genotype(c, l, m);
	else if (strcmp(m->kind, "model") == 0)
		tell_model(c, l, m);
	else
		rc = tell_eval(c, l, m);
	c->told[c->ntold++] = m;
	return rc;
}

/* Programs, machine, names of everything. */
static void tell_versions(struct cite *c, const struct sd_manifest *m)
{
	const char *version = sd_json_text(m->context, "version"), *commit = sd_json_text(m->context, "commit");
	const json_t *e = json_object_get(m->claim, "environment");
	const char *engine = sd_json_text(e, "engine"), *device = sd_json_text(e, "device"), *key;
	json_t *v;

	for (int i = c->ntold - 1; !engine && i >= 0; i--) {
		e = json_object_get(c->told[i]->claim, "environment");
		engine = sd_json_text(e, "engine");
		device = sd_json_text(e, "device");
	}
	sd_str_addf(&c->s, "All was done with sharpdarts %s (source %.12s", version ? version : "",
		sd_json_text(m->claim, "source"));
	if (commit && *commit)
		sd_str_addf(&c->s, ", commit %.12s%s", commit,
			json_is_true(json_object_get(m->context, "dirty")) ? " with changes" : "");
	sd_str_adds(&c->s, ")");
	if (engine && strcmp(engine, "cpu") == 0)
		sd_str_adds(&c->s, " on the CPU, in float32");
	else if (engine)
		sd_str_addf(&c->s, " on %s", device ? device : engine);
	json_object_foreach((json_t *)e, key, v)
		if (strcmp(key, "cudnn") == 0 || strcmp(key, "cublaslt") == 0)
			sd_str_addf(&c->s, ", %s %s", strcmp(key, "cudnn") ? "cuBLASLt" : "cuDNN", json_string_value(v));
	sd_str_adds(&c->s, ". The artifacts are ");
	for (int i = 0; i < c->ntold; i++)
		sd_str_addf(&c->s, "%s%s %.12s", i ? ", " : "", c->told[i]->kind, c->told[i]->id);
	for (int i = 1; i < c->n; i++)
		sd_str_addf(&c->s, ", %s %.12s", c->l[i]->own->kind, c->l[i]->own->id);
	sd_str_adds(&c->s, "; they can be made again with sd-verify --rerun --chain.");
}

static int print(struct cite *c, FILE *f)
{
	int rc;

	c->told = sd_xcalloc((size_t)c->l[0]->nancestor + 1, sizeof(*c->told));
	rc = tell(c, c->l[0], c->l[0]->own);
	if (rc == 0) {
		tell_versions(c, c->l[0]->own);
		fprintf(f, "%s\n", c->s.s);
	}
	sd_str_release(&c->s);
	free(c->told);
	return rc;
}

int sd_cite_print(int n, const char *const *name, struct sd_lineage *const *l, FILE *f)
{
	const char **file = sd_xcalloc((size_t)n, sizeof(*file));
	struct sd_lineage **run = sd_xcalloc((size_t)n, sizeof(*run));
	int nrun = 0, rc = 0;
	bool one = true;

	for (int i = 0; i < n; i++) {
		int k = 0;

		while (k < nrun && strcmp(run[k]->own->id, l[i]->own->id) != 0)
			k++;
		if (k < nrun) /* a copy is no further run */
			continue;
		one = one && strcmp(l[i]->own->recipe, l[0]->own->recipe) == 0;
		file[nrun] = name[i];
		run[nrun++] = l[i];
	}
	if (one)
		rc = print(&(struct cite){ .n = nrun, .name = file, .l = run }, f);
	for (int i = 0; i < nrun && !one && rc == 0; i++) {
		if (i)
			fputc('\n', f);
		rc = print(&(struct cite){ .n = 1, .name = file + i, .l = run + i }, f);
	}
	free(file);
	free(run);
	return rc;
}
