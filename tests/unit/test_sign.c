/* test_sign.c: envelopes, keys and signatures by the vectors of their specifications; forged signatures, and
 * consistent forgeries, which only a signature finds. */
#include "tamper.h"

#include "base/base64.h"

/* ---- specifications ---- */

static void test_base64(void)
{
	/* RFC 4648, section 10, and what is not its text */
	static const char *const texts[] = { "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" };
	static const char *const bad[] = { "Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zg==Zg==", "Zm 9v", "Zm9v\n",
					   "=Zg=", "====", "Zm9\303", "Zg=g" };
	struct sd_str s = SD_STR_INIT;
	uint8_t *bytes, *big = sd_xcalloc(7000001, 1);
	size_t n;

	for (size_t i = 0; i < 7; i++) {
		s.len = 0;
		sd_base64_add(&s, "foobar", i);
		CHECK(s.len == strlen(texts[i]) && !memcmp(s.s ? s.s : "", texts[i], s.len), "%s", texts[i]);
		bytes = sd_base64_bytes(texts[i], strlen(texts[i]), &n);
		CHECK(bytes && n == i && !memcmp(bytes, "foobar", n), "%s", texts[i]);
		free(bytes);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!sd_base64_bytes(bad[i], strlen(bad[i]), &n), "%s", bad[i]);
	bytes = sd_base64_bytes("-_-_", 4, &n);
	CHECK(bytes && n == 3 && bytes[0] == 0xfb, "the alphabet of URLs");
	free(bytes);
	for (size_t i = 0; i < 7000001; i++)
		big[i] = (uint8_t)(i * 2654435761u >> 13);
	s.len = 0;
	sd_base64_add(&s, big, 7000001);
	bytes = sd_base64_bytes(s.s, s.len, &n);
	CHECK(bytes && n == 7000001 && !memcmp(bytes, big, n), "in portions");
	free(bytes);
	free(big);
	sd_str_release(&s);
}

static void test_dsse(void)
{
	/* the example of DSSE's protocol.md; its signature is by another algorithm */
	static const char text[] =
		"{\"payload\":\"aGVsbG8gd29ybGQ=\",\"payloadType\":\"http://example.com/HelloWorld\",\"signatures\":"
		"[{\"sig\":\"A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==\"}],"
		"\"later\":1.5}";
	static const char *const bad[] = { "", "{}", "[]", "{\"payload\":\"aGVs\",\"signatures\":[{\"sig\":\"\"}]}",
		"{\"payload\":\"aGVs\",\"payloadType\":\"x\",\"signatures\":[]}",
		"{\"payload\":\"aGVs\",\"payloadType\":\"x\",\"signatures\":[{}]}",
		"{\"payload\":\"aGVs\",\"payloadType\":\"x\",\"signatures\":[1]}",
		"{\"payload\":\"aGVs\",\"payloadType\":\"x\",\"signatures\":[{\"sig\":\"A\"}]}",
		"{\"payload\":5,\"payloadType\":\"x\",\"signatures\":[{\"sig\":\"AAAA\"}]}",
		"{\"payload\":\"a\",\"payload\":\"a\",\"payloadType\":\"x\",\"signatures\":[{\"sig\":\"AAAA\"}]}" };
	struct sd_str pae = SD_STR_INIT;
	struct sd_envelope e;

	CHECK(sd_envelope_parse(&e, text, sizeof(text) - 1, "x") == 0, "%s", sd_error_text());
	CHECK(e.n == 11 && !memcmp(e.payload, "hello world", 11) && e.nsignature == 1 && e.signature[0].n == 64 &&
	      !*e.signature[0].keyid, "%zu", e.n);
	sd_dsse_pae(&pae, e.type, e.payload, e.n);
	CHECK(!strcmp(pae.s, "DSSEv1 29 http://example.com/HelloWorld 11 hello world"), "%s", pae.s);
	sd_str_release(&pae);
	sd_envelope_release(&e);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(sd_envelope_parse(&e, bad[i], strlen(bad[i]), "x") < 0 && sd_error_kind() == SD_ERR_DATA, "%s",
		      bad[i]);
}

static void test_vectors(void)
{
	/* RFC 8032, section 7.1, test 2, as PKCS #8 (RFC 8410) and as a key of OpenSSH */
	static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
		"MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n-----END PRIVATE KEY-----\n";
	static const char ssh[] =
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAID1AF8PoQ4lakrcKp00bfrycmCzPLsSWjMDNVfEq9GYM";
	static const uint8_t want[] = {
		0x92, 0xa0, 0x09, 0xa9, 0xf0, 0xd4, 0xca, 0xb8, 0x72, 0x0e, 0x82, 0x0b, 0x5f, 0x64, 0x25, 0x40,
		0xa2, 0xb2, 0x7b, 0x54, 0x16, 0x50, 0x3f, 0x8f, 0xb3, 0x76, 0x22, 0x23, 0xeb, 0xdb, 0x69, 0xda,
		0x08, 0x5a, 0xc1, 0xe4, 0x3e, 0x15, 0x99, 0x6e, 0x45, 0x8f, 0x36, 0x13, 0xd0, 0xf1, 0x1d, 0x8c,
		0x38, 0x7b, 0x2e, 0xae, 0xb4, 0x30, 0x2a, 0xee, 0xb0, 0x0d, 0x29, 0x16, 0x12, 0xbb, 0x0c, 0x00,
	};
	struct sd_public_key public;
	struct sd_secret_key *secret;
	uint8_t sig[SD_SIGNATURE_LEN];

	spew("rfc.key", pem, sizeof(pem) - 1);
	spew("rfc.pub", ssh, sizeof(ssh) - 1);
	secret = sd_secret_key_read("rfc.key");
	CHECK(secret && sd_public_key_read(&public, "rfc.pub") == 0, "%s", sd_error_text());
	if (!secret)
		return;
	CHECK(!memcmp(public.bytes, sd_secret_key_public(secret)->bytes, SD_KEY_LEN), "the public key");
	CHECK(sd_secret_key_sign(secret, "\x72", 1, sig) == 0 && !memcmp(sig, want, sizeof(sig)), "the signature");
	CHECK(sd_public_key_verify(&public, "\x72", 1, sig), "good");
	CHECK(!sd_public_key_verify(&public, "\x73", 1, sig) && !sd_public_key_verify(&public, "\x72", 0, sig), "other");
	for (int i = 0; i < 8 * SD_SIGNATURE_LEN; i++) {
		sig[i / 8] ^= (uint8_t)(1 << i % 8);
		CHECK(!sd_public_key_verify(&public, "\x72", 1, sig), "bit %d", i);
		sig[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	sd_secret_key_free(secret);
}

/* Files that aren't keys, and every truncation of those that are: a message, nothing worse. */
static void test_bad_keys(void)
{
	static const char *const names[] = { "rfc.key", "rfc.pub", "a.key", "a.pub" };
	static const char *const lines[] = { "", "\n", "# no key\n", "ssh-ed25519 \n", "ssh-rsa AAAA\n", "RWQ=\n",
		"untrusted comment: x\n", "-----BEGIN PUBLIC KEY-----\n", "-----BEGIN OPENSSH PRIVATE KEY-----\n",
		"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----\n",
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAH////w==\n", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5/////w==\n" };
	struct sd_public_key public;
	int kept = 0;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		spew("bad.key", lines[i], strlen(lines[i]));
		CHECK(sd_public_key_read(&public, "bad.key") < 0, "%s", lines[i]);
		CHECK(!sd_secret_key_read("bad.key"), "%s", lines[i]);
	}
	for (size_t i = 0; i < 4; i++) {
		struct sd_blob b = slurp(names[i]);

		for (size_t n = 0; n < b.size; n++) {
			struct sd_secret_key *secret;

			spew("bad.key", b.data, n);
			secret = sd_secret_key_read("bad.key");
			/* what the end of a PEM file lacks can be a line feed */
			kept += secret != NULL;
			kept += sd_public_key_read(&public, "bad.key") == 0;
			sd_secret_key_free(secret);
		}
		sd_blob_release(&b);
	}
	CHECK(kept <= 4, "%d cut keys were taken", kept);
}

/* A key of small order: a signature of zeros is good for one message in four.  No such key is taken. */
static void test_small_order(void)
{
	static const uint8_t first[] = { 0x00, 0x01, 0x26, 0xc7, 0xec, 0xed, 0xee };
	static const uint8_t zeros[SD_SIGNATURE_LEN];
	struct sd_public_key key = { .id = "" };
	int good = 0;

	for (int i = 0; i < 100; i++)
		good += sd_public_key_verify(&key, &i, sizeof(i), zeros);
	CHECK(good > 0 && good < 100, "%d", good);
	for (size_t i = 0; i < 14; i++) {
		static const uint8_t eight[2][SD_KEY_LEN] = {
			{ 0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
			  0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05 },
			{ 0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
			  0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a } };
		uint8_t bytes[10 + SD_KEY_LEN] = "Ed12345678", *y = bytes + 10;
		struct sd_str s = SD_STR_INIT;

		if (i % 7 == 2 || i % 7 == 3)
			memcpy(y, eight[i % 7 - 2], SD_KEY_LEN);
		else if (i % 7 > 3)
			memset(y, 0xff, SD_KEY_LEN - 1), y[SD_KEY_LEN - 1] = 0x7f;
		y[0] = first[i % 7];
		y[SD_KEY_LEN - 1] |= i < 7 ? 0 : 0x80;
		sd_base64_add(&s, bytes, sizeof(bytes));
		spew("small.pub", s.s, s.len);
		CHECK(sd_public_key_read(&key, "small.pub") < 0 && strstr(sd_error_text(), "small order"), "%s", s.s);
		sd_str_release(&s);
	}
}

/* ---- signatures that are not good ---- */

static struct sd_public_key key_a, key_b;

/* The envelope that model.h5, signed, has of key a; to be released. */
static struct sd_envelope signed_envelope(void)
{
	char path[100], *text;
	struct sd_envelope e;
	hid_t f;

	copy("signed.h5", FORGED);
	f = edit(FORGED);
	snprintf(path, sizeof(path), "/signatures/%s", key_a.id);
	text = get_text(f, path);
	H5Fclose(f);
	CHECK(sd_envelope_parse(&e, text, strlen(text), "signed.h5") == 0, "%s", sd_error_text());
	free(text);
	return e;
}

/* Puts it, or a text, into the forged file. */
static void put_envelope(const struct sd_envelope *e, const char *text, const char *keyid)
{
	char path[100], *own = NULL;
	size_t n;
	hid_t f = edit(FORGED);

	if (!text)
		text = own = sd_envelope_text(e, &n);
	snprintf(path, sizeof(path), "/signatures/%s", keyid);
	put_text(f, path, text, strlen(text));
	H5Fclose(f);
	reseal(FORGED, NULL);
	free(own);
}

static void sign_again(struct sd_envelope *e, const char *key)
{
	struct sd_secret_key *secret = sd_secret_key_read(key);

	CHECK(secret && sd_envelope_sign(e, secret) == 0, "%s", sd_error_text());
	sd_secret_key_free(secret);
}

/* Replaces a piece of the statement. */
static void edit_payload(struct sd_envelope *e, const char *old, const char *new)
{
	char *text = replaced((char *)e->payload, old, new);

	free(e->payload);
	e->payload = (uint8_t *)text;
	e->n = strlen(text);
}

/* S + L: the same signature to whoever doesn't compare S with L (RFC 8032, section 8.4). */
static void add_order(uint8_t *s)
{
	static const uint8_t order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2,
		0xde, 0xf9, 0xde, 0x14, [31] = 0x10 };
	unsigned carry = 0;

	for (int i = 0; i < 32; i++) {
		carry += (unsigned)s[i] + order[i];
		s[i] = (uint8_t)carry;
		carry >>= 8;
	}
}

enum change { BIT, ORDER, SHORT, EMPTY, OTHER_KEY, KEYID, NO_KEYID, TYPE, TEXT, CUT, STATEMENT, RESIGNED, NAMED_B };

static void forge_signature(enum change how, const char *old, const char *new)
{
	struct sd_envelope e = signed_envelope();
	struct sd_envelope_signature *s = &e.signature[0];
	const char *name = key_a.id;
	char *text = NULL;
	size_t n;

	switch (how) {
	case BIT:
		s->bytes[20] ^= 1;
		break;
	case ORDER:
		add_order(s->bytes + 32);
		break;
	case SHORT:
		s->n = 63;
		break;
	case EMPTY:
		e.nsignature = 0;
		break;
	case OTHER_KEY:
		sign_again(&e, "b.key");
		memcpy(e.signature[0].bytes, e.signature[1].bytes, SD_SIGNATURE_LEN);
		free(e.signature[1].bytes);
		free(e.signature[1].keyid);
		e.nsignature = 1;
		break;
	case KEYID:
		strcpy(s->keyid, key_b.id);
		break;
	case NO_KEYID:
		*s->keyid = '\0';
		break;
	case TYPE:
		free(e.type);
		e.type = sd_xstrdup(new);
		break;
	case TEXT:
		text = sd_xstrdup(new);
		break;
	case CUT:
		text = sd_envelope_text(&e, &n);
		text[n / 2] = '\0';
		break;
	case STATEMENT:
	case RESIGNED:
		edit_payload(&e, old, new);
		if (how == RESIGNED)
			sign_again(&e, "a.key");
		break;
	case NAMED_B: /* made by a, says it was by b */
		strcpy(s->keyid, key_b.id);
		name = key_b.id;
		break;
	default:
		break;
	}
	put_envelope(&e, text, name);
	if (how == EMPTY) /* for its release */
		e.nsignature = 1;
	free(text);
	sd_envelope_release(&e);
}

static void test_signatures(void)
{
	static const struct {
		const char *what;
		enum change how;
		const char *old, *new;
		int plain;          /* exit status without a key */
		const char *said;   /* with key a */
	} table[] = {
		{ "a bit of the signature", BIT, 0, 0, 0, "does not verify" },
		{ "another S", ORDER, 0, 0, 0, "does not verify" },
		{ "cut signature", SHORT, 0, 0, 1, "63 bytes where a signature has 64" },
		{ "no signature", EMPTY, 0, 0, 1, "an envelope without signatures" },
		{ "by another key", OTHER_KEY, 0, 0, 0, "does not verify" },
		{ "key id of another", KEYID, 0, 0, 1, "its key id is not its name" },
		{ "no key id", NO_KEYID, 0, 0, 1, "its key id is not its name" },
		{ "payloadType", TYPE, 0, "application/json", 1, "payloadType 'application/json' where" },
		{ "payloadType, nearly", TYPE, 0, "application/vnd.in-toto+json ", 1, "payloadType '" },
		{ "no JSON", TEXT, 0, "signed, me", 1, "not JSON" },
		{ "another JSON", TEXT, 0, "{\"signed\":true}", 1, "payloadType is missing" },
		{ "cut envelope", CUT, 0, 0, 1, "not JSON" },
		{ "seed in the statement", STATEMENT, "\"seed\":\"2\"", "\"seed\":\"3\"", 1,
		  "of another artifact, the model " },
		{ "context in the statement", STATEMENT, "\"who\":\"me\"", "\"who\":\"us\"", 1,
		  "of another context" },
		{ "subject", STATEMENT, "\"sha256\":\"", "", 1, "its subject is not the payload" },
		{ "no subject", STATEMENT, "\"subject\":", "\"subjects\":", 1, "its subject is not the payload" },
		{ "predicateType", STATEMENT, "manifest:v1", "manifest:v2", 1, "not a statement about a manifest" },
		{ "_type", STATEMENT, "Statement/v1", "Statement/v0", 1, "not a statement about a manifest" },
		{ "a blank in the statement", STATEMENT, "\"predicate\":", "\"predicate\": ", 0, "does not verify" },
		{ "statement without JSON", STATEMENT, "{\"_type\"", "x", 1, "not JSON" },
		{ "a member twice in the statement", STATEMENT, "\"seed\":\"2\"",
		  "\"seed\":\"2\",\"seed\":\"2\"", 1, "duplicate object key" },
		{ "an unknown member of the claim", STATEMENT, "{\"complete\"",
		  "{\"approved\":true,\"complete\"", 1, "unknown member" },
		{ "signed again with another claim", RESIGNED, "\"seed\":\"2\"", "\"seed\":\"3\"", 1,
		  "of another artifact, the model " },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char what[80];

		forge_signature(table[i].how, table[i].old, table[i].new);
		snprintf(what, sizeof(what), "%s, without a key", table[i].what);
		expect(what, FORGED, table[i].plain, table[i].plain ? table[i].said : "forged.h5: OK (not checked: ");
		nkind--;
		expect(table[i].what, "--check a.pub " FORGED, 1, table[i].said);
	}
	/* two names for one key: b didn't sign */
	forge_signature(NAMED_B, NULL, NULL);
	expect("a signature that says it is another's", "--check b.pub " FORGED, 1, "does not verify");
}

static void copy_signature(const char *from)
{
	hid_t f = edit(from), to = edit(FORGED);
	char *path = nth(f, "/signatures", 0), *text = get_text(f, path);

	if (H5Lexists(to, "/signatures", H5P_DEFAULT) <= 0)
		H5Gclose(H5Gcreate2(to, "/signatures", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
	put_text(to, path, text, strlen(text));
	free(text);
	H5Fclose(to);
	H5Fclose(f);
	reseal(FORGED, NULL);
}

/* Everything computed again, which makes another artifact: nothing but a signature can tell. */
static void forge_all(const char *of, bool keep)
{
	struct sd_artifact *art;
	char *text, *other, path[100];
	hid_t f;

	copy(of, FORGED);
	art = sd_artifact_open(of, 0);
	text = replaced(sd_artifact_lineage(art)->own->text, "\"seed\":\"2\"", "\"seed\":\"9\"");
	sd_artifact_close(art);
	other = replaced(text, "\"epochs_done\":3", "\"epochs_done\":50");
	if (!keep) {
		f = edit(FORGED);
		snprintf(path, sizeof(path), "/signatures/%s", key_a.id);
		H5Ldelete(f, "/signatures", H5P_DEFAULT);
		H5Fclose(f);
	}
	put_manifest(FORGED, other, ALL);
	free(other);
	free(text);
}

static void test_consistent(void)
{
	hid_t f;

	expect("as it was signed", "--check a.pub signed.h5", 0, "signed.h5: signed with key ");
	nkind--;
	copy("signed.h5", FORGED);
	f = edit(FORGED);
	H5Ldelete(f, "/signatures", H5P_DEFAULT);
	H5Fclose(f);
	reseal(FORGED, NULL);
	expect("the signature removed", "--check a.pub " FORGED, 1, "not signed with key");
	forge_all("signed.h5", true);
	expect("forged consistently under a signature", FORGED, 1, "of another artifact, the model ");
	forge_all("signed.h5", false);
	expect("forged consistently: unsigned it passes", FORGED, 0, "forged.h5: OK");
	nkind--;
	expect("forged consistently", "--check a.pub " FORGED, 1, "not signed with key");
	expect("signed by the forger", "-q --sign b.key " FORGED, 0, "");
	nkind--;
	expect("forged and signed by the forger", "--check a.pub " FORGED, 1, "not signed with key");
	copy_signature("signed.h5");
	expect("forged, signed by the forger beside the old signature", FORGED, 1, "of another artifact, the model ");
	copy("data.h5", FORGED);
	copy_signature("signed.h5");
	expect("a signature of another artifact", "--check a.pub " FORGED, 1, "of another artifact, the model ");
	copy("model2.h5", FORGED);
	copy_signature("signed.h5");
	expect("a signature of another run", "--check a.pub " FORGED, 1, "of another artifact, the model ");
	copy("signed.h5", FORGED);
	f = edit(FORGED);
	put(f, "/loss", H5T_IEEE_F64LE, 0, NULL, H5P_DEFAULT, &(double){ 0 });
	H5Fclose(f);
	reseal(FORGED, NULL);
	expect("data under a signature", "--check a.pub " FORGED, 1, "/loss: block 0 (bytes 0 to 7) has changed");
}

/* ---- text artifacts, and signatures beside ---- */

static void test_texts(void)
{
	struct sd_blob b = slurp("signed.genotype"), o = slurp("other.genotype"), j = slurp("model.h5.dsse.json");
	char *line = strstr((char *)b.data, SD_SIGNATURE_LINE), *text, *after;
	struct sd_str s = SD_STR_INIT;

	expect("as it was signed", "--check a.pub signed.genotype", 0, "signed.genotype: signed with key ");
	nkind--;
	text = replaced((char *)b.data, "\"sig\":\"", "");
	spew("forged.genotype", text, strlen(text));
	free(text);
	expect("the signature of a genotype", "--check a.pub forged.genotype", 1, "does not verify");
	text = replaced((char *)b.data, SD_SIGNATURE_LINE "{", SD_SIGNATURE_LINE "[");
	spew("forged.genotype", text, strlen(text));
	free(text);
	expect("the line of a genotype's signature", "forged.genotype", 1, "signature: not JSON");
	text = replaced((char *)b.data, SD_SIGNATURE_LINE, "# sd-signed ");
	spew("forged.genotype", text, strlen(text));
	free(text);
	expect("no more a signature", "--check a.pub forged.genotype", 1, "not signed with key");
	after = strchr(line, '\n') + 1;
	sd_str_add(&s, o.data, o.size);
	sd_str_add(&s, line, (size_t)(after - line));
	spew("forged.genotype", s.s, s.len);
	expect("a signature of another genotype", "--check a.pub forged.genotype", 1, "of another artifact, the genotype ");
	text = replaced((char *)b.data, "('sep_conv_3x3', 0)", "('sep_conv_5x5', 0)");
	spew("forged.genotype", text, strlen(text));
	free(text);
	expect("a genotype under a signature", "--check a.pub forged.genotype", 1, "not the one that its manifest");
	expect("beside, as it was signed", "--check a.pub model.h5", 0, "model.h5: signed with key ");
	nkind--;
	text = replaced((char *)j.data, "\"sig\":\"", "");
	spew("model.h5.dsse.json", text, strlen(text));
	free(text);
	expect("a signature beside", "--check a.pub model.h5", 1, "does not verify");
	spew("model.h5.dsse.json", j.data, j.size / 2);
	expect("a signature beside, cut", "--check a.pub model.h5", 1, "signature: not JSON");
	spew("model2.h5.dsse.json", j.data, j.size);
	expect("a signature beside another", "--check a.pub model2.h5", 1, "of another artifact, the model ");
	unlink("model.h5.dsse.json");
	expect("the signature beside gone", "--check a.pub model.h5", 1, "not signed with key");
	sd_str_release(&s);
	sd_blob_release(&b);
	sd_blob_release(&o);
	sd_blob_release(&j);
}

int main(int argc, char **argv)
{
	(void)argc;
	if (begin(argv[0]) < 0)
		return 1;
	copy("model.h5", "signed.h5");
	copy("x.genotype", "signed.genotype");
	expect("signed", "-q --sign a.key signed.h5 signed.genotype", 0, "");
	expect("signed beside", "-q --sign a.key --detached model.h5", 0, "");
	nkind = 0;
	CHECK(sd_public_key_read(&key_a, "a.pub") == 0 && sd_public_key_read(&key_b, "b.pub") == 0, "%s",
	      sd_error_text());
	test_base64();
	test_dsse();
	test_vectors();
	test_bad_keys();
	test_small_order();
	test_signatures();
	test_consistent();
	test_texts();
	return end();
}
