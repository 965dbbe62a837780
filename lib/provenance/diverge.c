/* diverge.c: where two runs part. */
#include "provenance/diverge.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fingerprint.h"
#include "base/json.h"

/* ---- traces ---- */

/* A column of as many rows; absent ones that may be are NULL. */
static int column(struct sd_artifact *art, const char *path, enum sd_type type, bool optional, uint64_t *rows,
	void **to)
{
	const struct sd_dset *d = sd_artifact_find(art, path);

	*to = NULL;
	if (!d && optional)
		return 0;
	if (!d)
		return sd_error(SD_ERR_DATA, "%s: it has no trace ('%s')", sd_artifact_name(art), path);
	if (d->rank != 1 || !d->count || (*rows && d->count != *rows))
		return sd_error(SD_ERR_DATA, "%s: '%s' has another number of rows than expected",
			sd_artifact_name(art), path);
	*to = sd_artifact_load(art, path, type, NULL);
	*rows = d->count;
	return *to ? 0 : -1;
}

static int positive(struct sd_artifact *art, const char *path, uint64_t *to)
{
	int64_t v;

	if (sd_artifact_read(art, path, SD_TYPE_I64, &v, 1) < 0)
		return -1;
	if (v < 1)
		return sd_error(SD_ERR_DATA, "%s: '%s' is %lld", sd_artifact_name(art), path, (long long)v);
	*to = (uint64_t)v;
	return 0;
}

int sd_steps_read(struct sd_steps *s, struct sd_artifact *art)
{
	const json_t *claim = sd_artifact_lineage(art)->own->claim;

	*s = (struct sd_steps){ .name = sd_artifact_name(art) };
	s->first_epoch = (int)json_integer_value(json_object_get(json_object_get(claim, "parameters"), "start_epoch"));
	if (column(art, "/trace/digest", SD_TYPE_U64, false, &s->rows, (void **)&s->digest) < 0 ||
	    column(art, "/trace/loss", SD_TYPE_F64, false, &s->rows, (void **)&s->loss) < 0 ||
	    column(art, "/trace/alphas", SD_TYPE_U64, true, &s->rows, (void **)&s->alphas) < 0 ||
	    column(art, "/trace/arch_loss", SD_TYPE_F64, true, &s->rows, (void **)&s->arch_loss) < 0 ||
	    positive(art, "/trace/stride", &s->stride) < 0 ||
	    positive(art, "/trace/epoch_steps", &s->epoch_steps) < 0) {
		sd_steps_release(s);
		return -1;
	}
	return 0;
}

void sd_steps_release(struct sd_steps *s)
{
	free(s->digest);
	free(s->alphas);
	free(s->loss);
	free(s->arch_loss);
	memset(s, 0, sizeof(*s));
}

/* ---- the weights beside a trace ---- */

/* The fingerprint of those of all datasets whose paths begin so. */
static int print_of(struct sd_artifact *art, const char *folder, uint64_t *print)
{
	int n = sd_artifact_ndset(art), used = 0;
	uint64_t *each = sd_xcalloc((size_t)n + 1, sizeof(*each));

	for (int i = 0; i < n; i++) {
		const struct sd_dset *d = sd_artifact_dset(art, i);
		void *data;

		if (strncmp(d->path, folder, strlen(folder)) != 0)
			continue;
		data = sd_artifact_load(art, d->path, d->type, NULL);
		if (!data) {
			free(each);
			return -1;
		}
		each[used++] = sd_fingerprint(data, d->bytes);
		free(data);
	}
	*print = sd_fingerprint_u64(each, (size_t)used);
	free(each);
	return 0;
}

static uint64_t bits(double x)
{
	uint64_t u;

	memcpy(&u, &x, sizeof(u));
	return u;
}

int sd_steps_fit(const struct sd_steps *s, struct sd_artifact *art)
{
	uint64_t word[5], last = s->rows - 1;
	int n = 0;

	word[n++] = last ? s->digest[last - 1] : 0;
	if (s->alphas && print_of(art, "/alphas_last/", &word[n++]) < 0)
		return -1;
	if (print_of(art, "/state/", &word[n++]) < 0)
		return -1;
	if (s->arch_loss)
		word[n++] = bits(s->arch_loss[last]);
	word[n++] = bits(s->loss[last]);
	return sd_fingerprint_u64(word, (size_t)n) == s->digest[last];
}

/* ---- comparing ---- */

static bool differ(const double *a, const double *b, uint64_t row)
{
	return a && b && bits(a[row]) != bits(b[row]);
}

/* In the order in which a step comes to them. */
static const char *what_differs(const struct sd_steps *a, const struct sd_steps *b, uint64_t row)
{
	if (!a->alphas != !b->alphas || !a->arch_loss != !b->arch_loss)
		return "what there is: steps of alphas in one of them alone";
	if (differ(a->arch_loss, b->arch_loss, row))
		return "the loss that the alphas move by";
	if (a->alphas && a->alphas[row] != b->alphas[row])
		return row && a->arch_loss ? "the alphas, the loss they move by being equal" : "the alphas";
	if (differ(a->loss, b->loss, row))
		return "the loss that the weights move by";
	return row ? "the weights, all losses being equal" : "the weights";
}

int sd_steps_compare(const struct sd_steps *a, const struct sd_steps *b, struct sd_divergence *d)
{
	uint64_t low = 0, high;

	if (a->stride != b->stride)
		return sd_error(SD_ERR_DATA, "%s has a row of its trace for every %" PRIu64 " steps and %s for every %"
			PRIu64 ": they can't be compared (a GPU's has one an epoch)", a->name, a->stride, b->name,
			b->stride);
	d->rows = high = a->rows < b->rows ? a->rows : b->rows;
	while (low < high) { /* equal before low, different from high on */
		uint64_t middle = low + (high - low) / 2;

		if (a->digest[middle] == b->digest[middle])
			low = middle + 1;
		else
			high = middle;
	}
	d->row = low;
	d->what = NULL;
	if (low < d->rows) {
		d->what = what_differs(a, b, low);
		d->step = !low ? 1 : a->stride > 1 ? 0 : low;
		d->digest[0] = a->digest[low];
		d->digest[1] = b->digest[low];
	}
	return 0;
}

/* "step 13 (epoch 2, batch 1 of 12)". */
static void add_step(struct sd_str *s, const struct sd_steps *of, uint64_t row)
{
	uint64_t step = row * of->stride;

	if (step == 0)
		sd_str_adds(s, "the beginning");
	else
		sd_str_addf(s, "step %" PRIu64 " (epoch %" PRIu64 ", batch %" PRIu64 " of %" PRIu64 ")", step,
			(uint64_t)of->first_epoch + (step - 1) / of->epoch_steps, (step - 1) % of->epoch_steps + 1,
			of->epoch_steps);
}

static void print_loss(const char *name, const double *a, const double *b, uint64_t row)
{
	char x[32], y[32];

	if (a && b)
		printf("%s\t%s\t%s\n", name, sd_real_text(a[row], x), sd_real_text(b[row], y));
}

void sd_divergence_print(const struct sd_divergence *d, const struct sd_steps *a, const struct sd_steps *b)
{
	struct sd_str s = SD_STR_INIT;

	if (d->row == d->rows) {
		sd_str_addf(&s, "equal through ");
		add_step(&s, a, d->row - 1);
		if (a->rows == b->rows)
			sd_str_adds(&s, ", the last");
		else
			sd_str_addf(&s, ", where %s ends", a->rows < b->rows ? a->name : b->name);
		puts(s.s);
		sd_str_release(&s);
		return;
	}
	if (d->row) {
		sd_str_adds(&s, "equal through ");
		add_step(&s, a, d->row - 1);
		sd_str_addc(&s, '\n');
	}
	sd_str_adds(&s, "different from ");
	add_step(&s, a, d->row);
	if (a->stride > 1 && d->row)
		sd_str_addf(&s, " or one of the %" PRIu64 " before it", a->stride - 1);
	sd_str_addf(&s, " on: %s", d->what);
	puts(s.s);
	sd_str_release(&s);
	printf("\t%s\t%s\n", a->name, b->name);
	print_loss("loss", a->loss, b->loss, d->row);
	print_loss("arch_loss", a->arch_loss, b->arch_loss, d->row);
	if (a->alphas && b->alphas)
		printf("alphas\t%016" PRIx64 "\t%016" PRIx64 "\n", a->alphas[d->row], b->alphas[d->row]);
	printf("digest\t%016" PRIx64 "\t%016" PRIx64 "\n", a->digest[d->row], b->digest[d->row]);
}

/* ---- two files ---- */

/* Members that are not equal, by name, behind one another. */
static void add_members(struct sd_str *s, const char *what, const json_t *a, const json_t *b)
{
	json_t *all = json_object(), *v;
	const char *key;

	json_object_update(all, (json_t *)a);
	json_object_update(all, (json_t *)b);
	json_object_foreach(all, key, v) {
		const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);

		if (!x || !y || !json_equal(x, y))
			sd_str_addf(s, "%s%s%s%s", s->len ? ", " : "", what, *what ? " " : "", key);
	}
	json_decref(all);
}

static void print_claims(const json_t *a, const json_t *b)
{
	static const char *const parts[][2] = { { "parameters", "" }, { "inputs", "input" },
		{ "environment", "environment" } };
	struct sd_str s = SD_STR_INIT;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		add_members(&s, parts[i][1], json_object_get(a, parts[i][0]), json_object_get(b, parts[i][0]));
	for (int i = 0; i < 2; i++) {
		const char *key = i ? "source" : "seed";
		const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);

		if ((x || y) && !(x && y && json_equal(x, y)))
			sd_str_addf(&s, "%s%s", s.len ? ", " : "", key);
	}
	printf("claims: %s%s\n", s.len ? "different in " : "equal but for what came out", s.len ? s.s : "");
	sd_str_release(&s);
}

static enum sd_status compare(struct sd_artifact *const art[2], struct sd_divergence *d)
{
	const struct sd_manifest *own[2];
	struct sd_steps s[2] = { { 0 } };
	enum sd_status st = SD_TROUBLE;
	bool fit = true;

	for (int i = 0; i < 2; i++) {
		int fits;

		own[i] = sd_artifact_lineage(art[i])->own;
		if (sd_steps_read(&s[i], art[i]) < 0 || (fits = sd_steps_fit(&s[i], art[i])) < 0)
			goto out;
		if (own[i]->complete && !fits) {
			printf("%s: its trace does not end with its weights\n", s[i].name);
			fit = false;
		}
	}
	if (sd_steps_compare(&s[0], &s[1], d) < 0)
		goto out;
	st = d->row < d->rows || !fit ? SD_DIFFERENT : SD_SAME;
	sd_divergence_print(d, &s[0], &s[1]);
	if (st == SD_SAME && own[0]->complete && own[1]->complete && strcmp(own[0]->payload, own[1]->payload) != 0) {
		puts("payloads: different all the same");
		st = SD_DIFFERENT;
	}
	print_claims(own[0]->claim, own[1]->claim);
out:
	sd_steps_release(&s[0]);
	sd_steps_release(&s[1]);
	return st;
}

enum sd_status sd_first_divergence(const char *a, const char *b, struct sd_divergence *d)
{
	struct sd_artifact *art[2] = { NULL, NULL };
	enum sd_status st = SD_TROUBLE;

	art[0] = sd_artifact_open(a, SD_ARTIFACT_PARTIAL);
	art[1] = art[0] ? sd_artifact_open(b, SD_ARTIFACT_PARTIAL) : NULL;
	if (!art[1])
		goto out;
	if (strcmp(sd_artifact_kind(art[0]), sd_artifact_kind(art[1])) != 0)
		sd_error(SD_ERR_USAGE, "%s is a %s and %s a %s artifact", sd_artifact_name(art[0]),
			sd_artifact_kind(art[0]), sd_artifact_name(art[1]), sd_artifact_kind(art[1]));
	else
		st = compare(art, d);
out:
	sd_artifact_close(art[0]);
	sd_artifact_close(art[1]);
	return st;
}

/* ---- one step in full ---- */

/* Cuts the next line off; *key is its length without the last column. */
static const char *next_line(const char **at, size_t *len, size_t *key)
{
	const char *line = *at;

	*len = strcspn(line, "\n");
	*at += *len + (line[*len] != '\0');
	for (*key = *len; *key && line[*key - 1] != '\t'; )
		--*key;
	return line;
}

bool sd_step_tables_differ(const char *a, const char *b, struct sd_str *text)
{
	unsigned long lines = 0, differing = 0;
	struct sd_str first = SD_STR_INIT;
	bool shape = false, cut = false;

	while (!shape && *a && *b) {
		size_t na, ka, nb, kb;
		const char *la = next_line(&a, &na, &ka), *lb = next_line(&b, &nb, &kb);

		shape = ka != kb || memcmp(la, lb, ka) != 0;
		lines++;
		if (na == nb && memcmp(la, lb, na) == 0)
			continue;
		if (!differing++)
			sd_str_addf(&first, "%.*s", ka ? (int)ka - 1 : 0, la);
		if (shape)
			sd_str_addf(&first, " in one, %.*s in the other", kb ? (int)kb - 1 : 0, lb);
	}
	if (!differing && (*a || *b)) {
		differing++;
		cut = true;
		sd_str_addf(&first, "line %lu, where one ends", lines + 1);
	}
	for (size_t i = 0; i < first.len; i++)
		if (first.s[i] == '\t')
			first.s[i] = ' ';
	if (differing)
		sd_str_addf(text, "%s%s", first.s, shape ? ": they do not do the same" : "");
	if (differing && !shape && !cut)
		sd_str_addf(text, " (%lu of %lu lines differ)", differing, lines);
	sd_str_release(&first);
	return differing != 0;
}

/* The digest that a table ends with, of the step before it or after it. */
static bool table_digest(const char *table, bool before, uint64_t *digest)
{
	const char *line = strstr(table, before ? "\ntrace\tbefore\t" : "\ntrace\tafter\t");

	return line && sscanf(line, " %*s %*s %16" SCNx64, digest) == 1;
}

void sd_step_tables_print(const struct sd_divergence *d, const char *const name[2], const char *const table[2])
{
	struct sd_str what = SD_STR_INIT;
	uint64_t now;

	for (int i = 0; i < 2; i++) {
		if (!table[i])
			continue;
		if (!table_digest(table[i], d->row == 0, &now))
			printf("%s: run again, without a digest\n", name[i]);
		else if (now == d->digest[i])
			printf("%s: run again, as recorded\n", name[i]);
		else
			printf("%s: run again, and not as recorded: digest %016" PRIx64 " now\n", name[i], now);
	}
	if (table[0] && table[1]) {
		if (sd_step_tables_differ(table[0], table[1], &what))
			printf("first in step %" PRIu64 ": %s\n", d->step, what.s);
		else
			printf("step %" PRIu64 ": run again here both are the same\n", d->step);
	}
	sd_str_release(&what);
}
