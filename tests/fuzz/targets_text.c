/* targets_text.c: JSON, manifests and genotypes. */
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "artifact/manifest.h"
#include "base/json.h"
#include "fuzz.h"

/* What is taken has a canonical form, which reads back as itself. */
void fuzz_json(const uint8_t *data, size_t n)
{
	char *copy = (char *)fuzz_copy(data, n), *text, *again;
	json_t *v = sd_json_parse(copy, n, "input"), *w;
	size_t len, len_again;

	if (!v) {
		fuzz_refused();
		goto out;
	}
	text = sd_json_canonical(v, &len);
	if (text) {
		w = sd_json_parse_canonical(text, len, "canonical");
		again = w ? sd_json_canonical(w, &len_again) : NULL;
		if (!again || len != len_again || memcmp(text, again, len) != 0)
			fuzz_finding("the canonical form is not canonical");
		free(again);
		json_decref(w);
		free(text);
	} else {
		fuzz_refused();
	}
	json_decref(v);
out:
	free(copy);
}

void fuzz_manifest(const uint8_t *data, size_t n)
{
	char *copy = (char *)fuzz_copy(data, n);
	struct sd_manifest *m = sd_manifest_parse(copy, n, "input");

	if (!m)
		fuzz_refused();
	else if (m->len != n || memcmp(m->text, copy, n) != 0)
		fuzz_finding("the text is another one");
	sd_manifest_free(m);
	free(copy);
}

void fuzz_lineage(const uint8_t *data, size_t n)
{
	char *copy = (char *)fuzz_copy(data, n);
	bool found = true;
	struct sd_lineage *l = sd_lineage_read(copy, n, "input", &found);

	if (!l && found)
		fuzz_refused();
	sd_lineage_free(l);
	free(copy);
}

/* What is taken is printed in a form that reads back as the same. */
void fuzz_genotype(const uint8_t *data, size_t n)
{
	char *copy = (char *)fuzz_copy(data, n), *text, hex[2][65];
	struct sd_genotype g, h;

	sd_genotype_init(&g);
	sd_genotype_init(&h);
	if (sd_genotype_parse(&g, copy, n, "input") < 0) {
		fuzz_refused();
	} else {
		text = sd_genotype_text(&g);
		sd_genotype_digest(&g, hex[0]);
		if (sd_genotype_check(&g) < 0 || sd_genotype_parse(&h, text, strlen(text), "printed") < 0 ||
		    !sd_genotype_equal(&g, &h))
			fuzz_finding("what was read is not what is printed");
		sd_genotype_digest(&h, hex[1]);
		if (strcmp(hex[0], hex[1]) != 0)
			fuzz_finding("equal genotypes of unequal digests");
		free(text);
	}
	sd_genotype_release(&g);
	sd_genotype_release(&h);
	free(copy);
}
