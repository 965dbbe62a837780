/* compare.c: how the payloads of two artifacts differ, dataset by dataset. */
#include "provenance/compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "artifact/artifact.h"
#include "base/json.h"
#include "train/genofile.h"

#define PORTION SD_BLOCK /* bytes that are compared at a time, or one row if that is more */

static void form_text(const struct sd_dset *d, char buf[80])
{
	char type[24];
	int n = snprintf(buf, 80, "%s (", sd_type_name(d->type, d->size, type));

	for (int i = 0; i < d->rank && n < 79; i++)
		n += snprintf(buf + n, (size_t)(80 - n), "%s%" PRIu64, i ? ", " : "", d->shape[i]);
	if (n < 79)
		snprintf(buf + n, (size_t)(80 - n), ")");
}

static struct sd_dset_diff *add(struct sd_payload_diff *out, const char *path)
{
	struct sd_dset_diff *d;

	out->v = sd_xrealloc(out->v, (size_t)(out->n + 1) * sizeof(*out->v));
	d = &out->v[out->n++];
	memset(d, 0, sizeof(*d));
	d->path = sd_xstrdup(path);
	return d;
}

/* ---- values ---- */

static double element(enum sd_type type, const unsigned char *p)
{
	union { uint8_t u8; int32_t i32; uint32_t u32; int64_t i64; uint64_t u64; float f32; double f64; } v;

	memcpy(&v, p, sd_type_size(type));
	switch (type) {
	case SD_TYPE_U8:
		return v.u8;
	case SD_TYPE_I32:
		return v.i32;
	case SD_TYPE_U32:
		return v.u32;
	case SD_TYPE_I64:
		return (double)v.i64;
	case SD_TYPE_U64:
		return (double)v.u64;
	case SD_TYPE_F32:
		return v.f32;
	case SD_TYPE_F64:
		return v.f64;
	default:
		return 0;
	}
}

static void note(struct sd_dset_diff *d, uint64_t at, double a, double b)
{
	double size = fmax(fabs(a), fabs(b)), absolute = fabs(a - b), relative;

	if (!isfinite(absolute))
		absolute = INFINITY;
	relative = isfinite(absolute) && size > 0 ? absolute / size : absolute;
	if (absolute > d->absolute || d->ndiffering == 1) {
		d->absolute = absolute;
		d->absolute_at = at;
		d->a = a;
		d->b = b;
	}
	if (relative > d->relative || d->ndiffering == 1) {
		d->relative = relative;
		d->relative_at = at;
	}
}

static void compare_elements(struct sd_dset_diff *d, size_t size, uint64_t first, uint64_t n,
	const unsigned char *a, const unsigned char *b)
{
	for (uint64_t i = 0; i < n; i++, a += size, b += size) {
		if (memcmp(a, b, size) == 0)
			continue;
		d->ndiffering++;
		if (d->type != SD_TYPE_STRING)
			note(d, first + i, element(d->type, a), element(d->type, b));
	}
}

/* A dataset of the same form in both. */
static int compare_values(struct sd_payload_diff *out, struct sd_artifact *a, struct sd_artifact *b,
	const struct sd_dset *x)
{
	uint64_t nrow = x->rank ? x->shape[0] : 1, row = nrow ? x->bytes / nrow : 0, many;
	uint64_t elements = nrow ? x->count / nrow : 0;
	struct sd_dset_diff d = { .type = x->type, .rank = x->rank, .count = x->count };
	unsigned char *va, *vb;
	int rc = 0;

	if (!x->bytes || !row)
		return 0;
	many = row < PORTION ? PORTION / row : 1;
	if (many > nrow)
		many = nrow;
	va = sd_xmalloc(many * row);
	vb = sd_xmalloc(many * row);
	memcpy(d.shape, x->shape, sizeof(d.shape));
	for (uint64_t at = 0; at < nrow && rc == 0; at += many) {
		uint64_t n = nrow - at < many ? nrow - at : many;
		uint64_t width = x->type == SD_TYPE_STRING ? row : elements;

		if (!x->rank)
			rc = sd_artifact_read(a, x->path, x->type, va, width) < 0 ||
				sd_artifact_read(b, x->path, x->type, vb, width) < 0 ? -1 : 0;
		else
			rc = sd_artifact_read_rows(a, x->path, x->type, at, n, width, va) < 0 ||
				sd_artifact_read_rows(b, x->path, x->type, at, n, width, vb) < 0 ? -1 : 0;
		if (rc == 0 && memcmp(va, vb, n * row) != 0)
			compare_elements(&d, x->size, at * elements, n * elements, va, vb);
	}
	if (rc == 0 && d.ndiffering) {
		struct sd_dset_diff *at = add(out, x->path);

		d.path = at->path;
		*at = d;
		form_text(x, at->form[0]);
		memcpy(at->form[1], at->form[0], sizeof(at->form[1]));
		if (x->type == SD_TYPE_STRING && x->count == 1) {
			at->text[0] = strndup((char *)va, x->size);
			at->text[1] = strndup((char *)vb, x->size);
		}
	} else if (rc == 0) {
		out->nsame++;
	}
	free(va);
	free(vb);
	return rc;
}

static bool same_form(const struct sd_dset *a, const struct sd_dset *b)
{
	if (a->type != b->type || a->size != b->size || a->rank != b->rank)
		return false;
	for (int i = 0; i < a->rank; i++)
		if (a->shape[i] != b->shape[i])
			return false;
	return true;
}

/* A dataset that only one has (the other being NULL), or that is of another form. */
static void add_form(struct sd_payload_diff *out, enum sd_dset_fate fate, const char *path,
	const struct sd_dset *x, const struct sd_dset *y)
{
	struct sd_dset_diff *d = add(out, path);

	d->fate = fate;
	if (x)
		form_text(x, d->form[0]);
	if (y)
		form_text(y, d->form[1]);
}

/* Both lists are sorted by path. */
static int compare_datasets(struct sd_payload_diff *out, struct sd_artifact *a, struct sd_artifact *b)
{
	int i = 0, j = 0, na = sd_artifact_ndset(a), nb = sd_artifact_ndset(b);

	for (;;) {
		const struct sd_dset *x = i < na ? sd_artifact_dset(a, i) : NULL;
		const struct sd_dset *y = j < nb ? sd_artifact_dset(b, j) : NULL;
		int c = !x ? 1 : !y ? -1 : strcmp(x->path, y->path);

		if (!x && !y)
			return 0;
		if (x && (!y || c < 0))
			add_form(out, SD_DSET_ONLY_A, x->path, x, NULL);
		else if (!x || c > 0)
			add_form(out, SD_DSET_ONLY_B, y->path, NULL, y);
		else if (!same_form(x, y))
			add_form(out, SD_DSET_FORM, x->path, x, y);
		else if (compare_values(out, a, b, x) < 0)
			return -1;
		i += c <= 0;
		j += c >= 0;
	}
}

/* ---- files ---- */

static int compare_genotypes(struct sd_payload_diff *out, const char *a, const char *b)
{
	const char *name[2] = { a, b };
	char digest[2][65], *text[2] = { NULL, NULL };
	int rc = 0;

	for (int i = 0; i < 2 && rc == 0; i++) {
		bool slash = strchr(name[i], '/') || strcmp(name[i], "-") == 0;
		struct sd_str path = SD_STR_INIT;
		struct sd_genofile f;

		sd_str_addf(&path, "%s%s", slash ? "" : "./", name[i]);
		rc = sd_genofile_open(&f, path.s);
		sd_str_release(&path);
		if (rc < 0)
			break;
		sd_genotype_digest(&f.g, digest[i]);
		free(f.g.name);
		f.g.name = NULL; /* what it is called is none of its meaning */
		text[i] = sd_genotype_text(&f.g);
		sd_genofile_release(&f);
	}
	if (rc == 0 && strcmp(digest[0], digest[1]) == 0) {
		out->nsame++;
	} else if (rc == 0) {
		struct sd_dset_diff *d = add(out, "genotype");

		d->type = SD_TYPE_STRING;
		d->count = d->ndiffering = 1;
		d->text[0] = text[0];
		d->text[1] = text[1];
		return 0;
	}
	free(text[0]);
	free(text[1]);
	return rc;
}

static bool is_binary(const char *name)
{
	unsigned char head[SD_ID_LEN];
	ssize_t n = sd_file_peek(name, head, sizeof(head));

	return n > 0 && sd_artifact_magic(head, (size_t)n);
}

int sd_payload_compare(struct sd_payload_diff *d, const char *a, const char *b)
{
	struct sd_artifact *x = NULL, *y = NULL;
	int rc = -1;

	memset(d, 0, sizeof(*d));
	if (!is_binary(a) && !is_binary(b)) {
		rc = compare_genotypes(d, a, b);
	} else {
		x = sd_artifact_open(a, SD_ARTIFACT_PARTIAL | SD_ARTIFACT_NODATA);
		y = x ? sd_artifact_open(b, SD_ARTIFACT_PARTIAL | SD_ARTIFACT_NODATA) : NULL;
		if (y)
			rc = compare_datasets(d, x, y);
		sd_artifact_close(x);
		sd_artifact_close(y);
	}
	if (rc < 0)
		sd_payload_diff_release(d);
	return rc < 0 ? -1 : d->n > 0;
}

void sd_payload_diff_release(struct sd_payload_diff *d)
{
	for (int i = 0; i < d->n; i++) {
		free(d->v[i].path);
		free(d->v[i].text[0]);
		free(d->v[i].text[1]);
	}
	free(d->v);
	memset(d, 0, sizeof(*d));
}

/* Fingerprints of a trace are no quantities. */
static bool measures(const struct sd_dset_diff *d)
{
	return d->type != SD_TYPE_STRING && strcmp(d->path, "/trace/digest") != 0 &&
		strcmp(d->path, "/trace/alphas") != 0;
}

const struct sd_dset_diff *sd_payload_worst(const struct sd_payload_diff *d)
{
	const struct sd_dset_diff *worst = NULL;

	for (int i = 0; i < d->n; i++)
		if (d->v[i].fate == SD_DSET_VALUES && measures(&d->v[i]) &&
		    (!worst || d->v[i].relative > worst->relative))
			worst = &d->v[i];
	return worst;
}

/* ---- as text ---- */

static void add_index(struct sd_str *s, const struct sd_dset_diff *d, uint64_t at)
{
	uint64_t index[SD_MAX_RANK];

	if (!d->rank)
		return;
	for (int i = d->rank - 1; i >= 0; i--) {
		index[i] = at % d->shape[i];
		at /= d->shape[i];
	}
	for (int i = 0; i < d->rank; i++)
		sd_str_addf(s, "%s%" PRIu64, i ? ", " : " at (", index[i]);
	sd_str_addc(s, ')');
}

void sd_dset_diff_text(const struct sd_dset_diff *d, struct sd_str *s)
{
	char a[32], b[32];

	sd_str_addf(s, "%s: ", d->path);
	if (d->fate == SD_DSET_ONLY_A || d->fate == SD_DSET_ONLY_B) {
		sd_str_addf(s, "only in the %s, %s", d->fate == SD_DSET_ONLY_A ? "first" : "second",
			d->form[d->fate == SD_DSET_ONLY_B]);
	} else if (d->fate == SD_DSET_FORM) {
		sd_str_addf(s, "%s and %s", d->form[0], d->form[1]);
	} else if (d->text[0]) {
		sd_str_addf(s, "'%s' and '%s'", d->text[0], d->text[1]);
	} else {
		sd_str_addf(s, "%" PRIu64 " of %" PRIu64 " differ", d->ndiffering, d->count);
		if (d->type == SD_TYPE_STRING)
			return;
		sd_str_addf(s, ", worst by %.3g (%s and %s)", d->absolute, sd_real_text(d->a, a),
			sd_real_text(d->b, b));
		add_index(s, d, d->absolute_at);
		sd_str_addf(s, ", worst relative %.3g", d->relative);
		add_index(s, d, d->relative_at);
	}
}

static json_t *index_json(const struct sd_dset_diff *d, uint64_t at)
{
	json_t *list = json_array();

	for (int i = d->rank - 1; i >= 0; i--) {
		json_array_insert_new(list, 0, json_integer((json_int_t)(at % d->shape[i])));
		at /= d->shape[i];
	}
	return list;
}

json_t *sd_dset_diff_json(const struct sd_dset_diff *d)
{
	static const char *const fates[] = { "values", "form", "only in the first", "only in the second" };
	json_t *o = json_pack("{s:o, s:s}", "dataset", sd_json_bytes(d->path), "differs", fates[d->fate]);

	if (d->form[0][0])
		json_object_set_new(o, "first_form", json_string(d->form[0]));
	if (d->form[1][0])
		json_object_set_new(o, "second_form", json_string(d->form[1]));
	if (d->fate != SD_DSET_VALUES)
		return o;
	json_object_set_new(o, "elements", json_integer((json_int_t)d->count));
	json_object_set_new(o, "differing", json_integer((json_int_t)d->ndiffering));
	if (d->text[0]) {
		json_object_set_new(o, "first", sd_json_bytes(d->text[0]));
		json_object_set_new(o, "second", sd_json_bytes(d->text[1]));
	} else if (d->type != SD_TYPE_STRING) {
		json_object_set_new(o, "worst_absolute", sd_json_real(d->absolute));
		json_object_set_new(o, "worst_absolute_at", index_json(d, d->absolute_at));
		json_object_set_new(o, "first", sd_json_real(d->a));
		json_object_set_new(o, "second", sd_json_real(d->b));
		json_object_set_new(o, "worst_relative", sd_json_real(d->relative));
		json_object_set_new(o, "worst_relative_at", index_json(d, d->relative_at));
	}
	return o;
}
