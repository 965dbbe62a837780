/* genofile.c: genotype files and the genotypes of searches. */
#include "train/genofile.h"
#include "arch/derive.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

static int check_lineage(const struct sd_genofile *f, const char *name)
{
	const struct sd_manifest *own = f->lineage->own;
	char digest[65];

	if (strcmp(own->kind, "genotype"))
		return sd_error(SD_ERR_DATA, "%s: its manifest is of a %s, not of a genotype", name,
			own->kind);
	sd_genotype_digest(&f->g, digest);
	if (strcmp(own->payload, digest))
		return sd_error(SD_ERR_DATA, "%s: the genotype is not the one that its manifest was made "
			"for", name);
	return 0;
}

int sd_genofile_open(struct sd_genofile *f, const char *arch)
{
	struct sd_genofile t = { .name = sd_genotype_locate(arch) };
	const char *name;
	bool found;

	if (!t.name)
		return -1;
	name = sd_file_name(t.name);
	if (sd_genotype_load(&t.g, arch, &t.text) < 0)
		goto fail;
	t.lineage = sd_lineage_read((const char *)t.text.data, t.text.size, name, &found);
	if (found && (!t.lineage || check_lineage(&t, name) < 0))
		goto fail;
	*f = t;
	return 0;
fail:
	sd_genofile_release(&t);
	return -1;
}

void sd_genofile_release(struct sd_genofile *f)
{
	sd_genotype_release(&f->g);
	sd_lineage_free(f->lineage);
	sd_blob_release(&f->text);
	free(f->name);
	memset(f, 0, sizeof(*f));
}

int sd_genofile_stamp(const struct sd_genofile *f, struct sd_stamp *stamp, const char *role)
{
	if (f->lineage)
		return sd_stamp_input(stamp, role, f->lineage, f->name);
	return sd_stamp_input_bytes(stamp, role, f->name, f->text.data, f->text.size);
}

static int read_primitives(struct sd_snapshots *s, struct sd_artifact *art)
{
	const char *name = sd_artifact_name(art);
	const struct sd_dset *d = sd_artifact_find(art, "/primitives");
	struct sd_str names = SD_STR_INIT;
	uint64_t i;
	int rc = -1;

	if (!d || d->type != SD_TYPE_STRING || d->rank != 1 || d->count < 1 || d->count > SD_PRIM_COUNT)
		return sd_error(SD_ERR_DATA, "%s: no list of 1 to %d names in /primitives: not of a search "
			"for cells", name, SD_PRIM_COUNT);
	for (i = 0; i < d->count; i++) {
		char *one = sd_artifact_string(art, "/primitives", i);

		if (!one)
			goto out;
		sd_str_addf(&names, "%s%s", i ? "," : "", one);
		free(one);
	}
	rc = sd_primitive_list_parse(&s->list, names.s);
	if (rc < 0)
		sd_error(SD_ERR_DATA, "%s: /primitives: %s", name, sd_error_text());
out:
	sd_str_release(&names);
	return rc;
}

/* One cell's weights; the first one read decides about epochs and edges. */
static double *read_weights(struct sd_snapshots *s, struct sd_artifact *art, const char *path)
{
	const struct sd_dset *d = sd_artifact_find(art, path);
	const char *name = sd_artifact_name(art);
	double *w = NULL;
	float *f;
	uint64_t i;

	if (!d || d->rank != 3 || d->shape[2] != (uint64_t)s->list.n || d->shape[0] > 1 << 20 ||
	    d->shape[1] > (uint64_t)sd_search_edges(SD_NODES_MAX)) {
		sd_error(SD_ERR_DATA, "%s: no %s of epochs x edges x %d: not of a search for cells", name,
			path, s->list.n);
		return NULL;
	}
	if (!d->count) {
		sd_error(SD_ERR_DATA, "%s: %s is empty: no epoch was completed", name, path);
		return NULL;
	}
	if (s->edges && ((uint64_t)s->edges != d->shape[1] || (uint64_t)s->epochs != d->shape[0])) {
		sd_error(SD_ERR_DATA, "%s: /weights/normal and /weights/reduce differ in shape", name);
		return NULL;
	}
	s->epochs = (int)d->shape[0];
	s->edges = (int)d->shape[1];
	f = sd_artifact_load(art, path, SD_TYPE_F32, NULL);
	if (f) {
		w = sd_xcalloc(d->count, sizeof(*w));
		for (i = 0; i < d->count; i++)
			w[i] = f[i];
		free(f);
	}
	return w;
}

int sd_snapshots_read(struct sd_snapshots *s, struct sd_artifact *art)
{
	struct sd_snapshots t = { 0 };
	const char *name = sd_artifact_name(art);
	json_t *said;

	if (sd_artifact_expect(art, "search") < 0 || read_primitives(&t, art) < 0)
		return -1;
	t.normal = read_weights(&t, art, "/weights/normal");
	if (!t.normal)
		goto fail;
	t.reduce = read_weights(&t, art, "/weights/reduce");
	if (!t.reduce)
		goto fail;
	while (sd_search_edges(t.steps) < t.edges)
		t.steps++;
	said = json_object_get(json_object_get(sd_artifact_lineage(art)->own->claim, "parameters"),
		"layers_in_cells");
	if (sd_search_edges(t.steps) != t.edges || (said && json_integer_value(said) != t.steps)) {
		sd_error(SD_ERR_DATA, "%s: %d edges in a cell are not those of %d nodes", name, t.edges,
			said ? (int)json_integer_value(said) : t.steps);
		goto fail;
	}
	*s = t;
	return 0;
fail:
	sd_snapshots_release(&t);
	return -1;
}

void sd_snapshots_release(struct sd_snapshots *s)
{
	free(s->normal);
	free(s->reduce);
	memset(s, 0, sizeof(*s));
}

int sd_snapshots_derive(const struct sd_snapshots *s, int epoch, bool allow_none, struct sd_genotype *g)
{
	size_t at = (size_t)(epoch - 1) * s->edges * s->list.n;

	if (epoch < 1 || epoch > s->epochs)
		return sd_error(SD_ERR_USAGE, "no epoch %d: the search has 1 to %d", epoch, s->epochs);
	return sd_derive_genotype(g, s->normal + at, s->reduce + at, s->steps, s->steps, &s->list,
		allow_none);
}
