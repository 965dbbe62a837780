/* targets_sign.c: keys and signatures. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "fuzz.h"
#include "provenance/sign.h"

/* No file with a pass phrase: it would be asked for. */
void fuzz_key(const uint8_t *data, size_t n)
{
	struct sd_public_key public;
	struct sd_secret_key *secret;
	const char *path;
	int fd;

	if (memmem(data, n, "ENCRYPTED", 9))
		return;
	path = fuzz_file(data, n, &fd);
	if (sd_public_key_read(&public, path) < 0)
		fuzz_refused();
	lseek(fd, 0, SEEK_SET);
	secret = sd_secret_key_read(path);
	if (!secret)
		fuzz_refused();
	sd_secret_key_free(secret);
	close(fd);
}

/* What is taken is written in a form that reads back as the same. */
static void envelope(const char *text, size_t n)
{
	struct sd_envelope e, f;
	size_t len, again;
	char *out, *back;

	if (sd_envelope_parse(&e, text, n, "input") < 0) {
		fuzz_refused();
		return;
	}
	out = sd_envelope_text(&e, &len);
	if (sd_envelope_parse(&f, out, len, "written") < 0)
		fuzz_finding(sd_error_text());
	back = sd_envelope_text(&f, &again);
	if (len != again || memcmp(out, back, len) != 0)
		fuzz_finding("the envelope is another one");
	free(out);
	free(back);
	sd_envelope_release(&e);
	sd_envelope_release(&f);
}

/* As it would be met in an artifact with this manifest. */
void fuzz_signature(const uint8_t *data, size_t n)
{
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
	static const char manifest[] = "{\"claim\":{\"complete\":true,\"environment\":{},\"inputs\":{},\"kind\":\"eval\","
		"\"parameters\":{},\"payload\":\"" ZEROS "\",\"source\":\"" ZEROS "\",\"tool\":\"x\"},\"context\":{}}";
	struct sd_lineage *l = sd_lineage_new(sd_manifest_parse(manifest, sizeof(manifest) - 1, "manifest"));
	/* of RFC 8032, section 7.1, test 2 */
	struct sd_public_key key = { .id = ZEROS, .bytes = { 0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7,
		0x0a, 0xa7, 0x4d, 0x1b, 0x7e, 0xbc, 0x9c, 0x98, 0x2c, 0xcf, 0x2e, 0xc4, 0x96, 0x8c, 0xc0, 0xcd, 0x55,
		0xf1, 0x2a, 0xf4, 0x66, 0x0c } };
	struct sd_str report = SD_STR_INIT;

	envelope((const char *)data, n);
	sd_lineage_sign(l, "", (const char *)data, n);
	sd_lineage_sign(l, ZEROS, (const char *)data, n);
	sd_signatures_inspect(l, &report);
	json_decref(sd_signatures_keyids(l));
	if (sd_signatures_verify(l, &key, &report) == SD_GOOD)
		fuzz_finding("signed by nobody");
	sd_str_release(&report);
	sd_lineage_free(l);
}
