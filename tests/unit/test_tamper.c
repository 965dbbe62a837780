/* test_tamper.c: every kind of tampering that we could think of, and what sd-verify must say of it.  Each row
 * changes a copy of a file in one way, with the hashes around it computed again as far as a forger of some skill
 * would, so that the check meant for it is the one to find it.  Forgeries of HDF5 files are opened by the
 * library's reader as well, as a tool would.  The program ends with the number of kinds. */
#include "tamper.h"

/* ---- bytes ---- */

static void set_line(unsigned char *file, const char *key, const char *value, bool check)
{
	char line[SD_USER_BLOCK + 1];
	struct sd_user_block u;
	char *at;

	memcpy(line, file, SD_USER_BLOCK);
	line[SD_USER_BLOCK] = '\0';
	if (check) {
		sd_user_block_read(&u, (char *)file);
		if (!strcmp(key, "kind="))
			snprintf(u.kind, sizeof(u.kind), "%s", value);
		else if (!strcmp(key, "tool="))
			snprintf(u.tool, sizeof(u.tool), "%s", value);
		else if (!strcmp(key, "length="))
			u.length = strtoull(value, NULL, 10);
		else if (!strcmp(key, " id="))
			u.id[5] = u.id[5] == '0' ? '1' : '0';
		else
			u.sha256[5] = u.sha256[5] == '0' ? '1' : '0';
		sd_user_block_write(&u, (char *)file);
	} else {
		at = strstr(line, key) + strlen(key);
		memcpy(file + (at - line), value, strlen(value));
	}
}

static void test_bytes(void)
{
	static const struct {
		const char *what;
		enum { FLIP, CUT, ADD, LINE, RENEWED } how;
		long at;
		const char *key, *value;
		const char *said;
	} table[] = {
		{ "a bit of the data", FLIP, 4000, 0, 0, "damaged: its SHA-256 is not the one" },
		{ "the last byte", FLIP, -1, 0, 0, "damaged: its SHA-256 is not the one" },
		{ "a byte cut off", CUT, -1, 0, 0, "bytes long where the user block says" },
		{ "cut in the first line", CUT, 300, 0, 0, "not an artifact: 300 bytes are too few" },
		{ "nothing but the first line", CUT, 512, 0, 0, "512 bytes long where the user block says" },
		{ "a byte appended", ADD, 1, 0, 0, "bytes long where the user block says" },
		{ "a megabyte appended", ADD, 1 << 20, 0, 0, "bytes long where the user block says" },
		{ "magic", LINE, 0, "sharp", "X", "not an artifact" },
		{ "version of the line", LINE, 0, "sharpdarts ", "2", "user block: not the beginning" },
		{ "length", LINE, 0, "length=", "9", "user block: damaged" },
		{ "SHA-256", LINE, 0, "sha256=", "zz", "user block: damaged" },
		{ "id", LINE, 0, " id=", "00", "user block: damaged" },
		{ "kind", LINE, 0, "kind=", "modelxx", "user block: damaged" },
		{ "tool", LINE, 0, "tool=", "sd-prex", "user block: damaged" },
		{ "check", LINE, 0, "check=", "zz", "user block: damaged" },
		{ "text behind the line", LINE, 0, "         ", "hidden", "user block: damaged" },
		{ "length, line checked again", RENEWED, 0, "length=", "999999", "where the user block says 999999" },
		{ "huge length", RENEWED, 0, "length=", "18446744073709551615", "bytes long where" },
		{ "SHA-256, line checked again", RENEWED, 0, "sha256=", "", "damaged: its SHA-256" },
		{ "id, line checked again", RENEWED, 0, " id=", "", "user block: the id is not the manifest's" },
		{ "kind, line checked again", RENEWED, 0, "kind=", "model", "user block: kind or tool is not" },
		{ "tool, line checked again", RENEWED, 0, "tool=", "sd-train", "user block: kind or tool is not" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct sd_blob b = slurp("data.h5");
		size_t n = b.size, at = (size_t)(table[i].at < 0 ? (long)n + table[i].at : table[i].at);

		if (table[i].how == FLIP) {
			b.data[at] ^= 4;
		} else if (table[i].how == CUT) {
			n = at;
		} else if (table[i].how == ADD) {
			n += at;
			b.data = sd_xrealloc(b.data, n);
			memset(b.data + b.size, 'x', at);
		} else {
			set_line(b.data, table[i].key, table[i].value, table[i].how == RENEWED);
		}
		spew(FORGED, b.data, n);
		caught(table[i].what, table[i].said);
		sd_blob_release(&b);
	}
}

/* ---- what HDF5 can do ---- */

static void value(hid_t f)
{
	put(f, "/train/labels", H5T_STD_I32LE, 1, (hsize_t[]){ 6 }, H5P_DEFAULT, "abcdefghijklmnopqrstuvw");
}
static void type_changed(hid_t f)
{
	put(f, "/train/labels", H5T_STD_U32LE, 1, (hsize_t[]){ 6 }, H5P_DEFAULT, labels);
}
static void shape_changed(hid_t f)
{
	put(f, "/train/labels", H5T_STD_I32LE, 2, (hsize_t[]){ 2, 3 }, H5P_DEFAULT, labels);
}
static void rank_changed(hid_t f)
{
	put(f, "/train/labels", H5T_STD_I32LE, 2, (hsize_t[]){ 6, 1 }, H5P_DEFAULT, labels);
}
static void rows_fewer(hid_t f)
{
	put(f, "/train/labels", H5T_STD_I32LE, 1, (hsize_t[]){ 5 }, H5P_DEFAULT, labels);
}
static void big_endian(hid_t f)
{
	put(f, "/train/labels", H5T_STD_I32BE, 1, (hsize_t[]){ 6 }, H5P_DEFAULT, labels);
}
static void extra(hid_t f)
{
	put(f, "/train/extra", H5T_STD_I32LE, 1, (hsize_t[]){ 6 }, H5P_DEFAULT, labels);
}
static void unwritten(hid_t f)
{
	put(f, "/train/labels", H5T_STD_I32LE, 1, (hsize_t[]){ 6 }, H5P_DEFAULT, NULL);
}
static void huge(hid_t f)
{
	put(f, "/train/labels", H5T_STD_I32LE, 1, (hsize_t[]){ 1ull << 40 }, H5P_DEFAULT, NULL);
}
static void bad_name(hid_t f)
{
	put(f, "/train/a b", H5T_STD_I32LE, 1, (hsize_t[]){ 6 }, H5P_DEFAULT, labels);
}
static void taken_name(hid_t f)
{
	put(f, "/signatures", H5T_STD_I32LE, 1, (hsize_t[]){ 6 }, H5P_DEFAULT, labels);
}
static void signature_name(hid_t f)
{
	H5Gclose(H5Gcreate2(f, "/signatures", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
	put_text(f, "/signatures/me", "{}", 2);
}

static void missing(hid_t f) { H5Ldelete(f, "/count", H5P_DEFAULT); }
static void renamed(hid_t f) { H5Lmove(f, "/test/labels", f, "/test/labelz", H5P_DEFAULT, H5P_DEFAULT); }
static void swapped(hid_t f)
{
	H5Lmove(f, "/test/labels", f, "/x", H5P_DEFAULT, H5P_DEFAULT);
	H5Lmove(f, "/train/labels", f, "/test/labels", H5P_DEFAULT, H5P_DEFAULT);
	H5Lmove(f, "/x", f, "/train/labels", H5P_DEFAULT, H5P_DEFAULT);
}

static void chunked(hid_t f, void (*more)(hid_t dcpl), hsize_t chunk, const void *data)
{
	hid_t dcpl = H5Pcreate(H5P_DATASET_CREATE);

	if (chunk)
		H5Pset_chunk(dcpl, 1, &chunk);
	more(dcpl);
	put(f, "/train/labels", H5T_STD_I32LE, 1, (hsize_t[]){ 6 }, dcpl, data);
	H5Pclose(dcpl);
}
static void set_fletcher(hid_t p) { H5Pset_fletcher32(p); }
static void set_plugin(hid_t p) { H5Pset_filter(p, 32015, H5Z_FLAG_OPTIONAL, 0, NULL); }
static void set_compact(hid_t p) { H5Pset_layout(p, H5D_COMPACT); }
static void set_external(hid_t p) { H5Pset_external(p, "raw.bin", 0, 24); }
static void set_shuffle(hid_t p) { H5Pset_shuffle(p); }
static void fletcher(hid_t f) { chunked(f, set_fletcher, 6, labels); }
static void plugin(hid_t f) { chunked(f, set_plugin, 6, labels); }
static void compact(hid_t f) { chunked(f, set_compact, 0, labels); }
static void external(hid_t f) { chunked(f, set_external, 0, NULL); }
static void no_chunks(hid_t f) { chunked(f, set_shuffle, 3, NULL); }
static void virtual(hid_t f)
{
	hid_t dcpl = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, (hsize_t[]){ 6 }, NULL);

	H5Pset_virtual(dcpl, space, "data.h5", "/train/labels", space);
	put(f, "/train/labels", H5T_STD_I32LE, 1, (hsize_t[]){ 6 }, dcpl, NULL);
	H5Sclose(space);
	H5Pclose(dcpl);
}
static void unlimited(hid_t f)
{
	hid_t dcpl = H5Pcreate(H5P_DATASET_CREATE), space, d;

	H5Pset_chunk(dcpl, 1, (hsize_t[]){ 6 });
	space = H5Screate_simple(1, (hsize_t[]){ 6 }, (hsize_t[]){ H5S_UNLIMITED });
	d = H5Dcreate2(f, "/train/more", H5T_STD_I32LE, space, H5P_DEFAULT, dcpl, H5P_DEFAULT);
	H5Dclose(d);
	H5Sclose(space);
	H5Pclose(dcpl);
}
static void of_type(hid_t f, hid_t type)
{
	put(f, "/train/extra", type, 0, NULL, H5P_DEFAULT, NULL);
	H5Tclose(type);
}
static void variable(hid_t f)
{
	hid_t t = H5Tcopy(H5T_C_S1);

	H5Tset_size(t, H5T_VARIABLE);
	of_type(f, t);
}
static void compound(hid_t f)
{
	hid_t t = H5Tcreate(H5T_COMPOUND, 4);

	H5Tinsert(t, "x", 0, H5T_STD_I32LE);
	of_type(f, t);
}
static void enumeration(hid_t f)
{
	hid_t t = H5Tenum_create(H5T_STD_I32LE);

	H5Tenum_insert(t, "x", &(int32_t){ 1 });
	of_type(f, t);
}
static void object_reference(hid_t f) { of_type(f, H5Tcopy(H5T_STD_REF_OBJ)); }
static void committed(hid_t f)
{
	hid_t t = H5Tcopy(H5T_STD_I32LE);

	H5Tcommit2(f, "/type", t, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
	H5Tclose(t);
}

static void soft(hid_t f) { H5Lcreate_soft("/count", f, "/soft", H5P_DEFAULT, H5P_DEFAULT); }
static void hard(hid_t f) { H5Lcreate_hard(f, "/count", f, "/hard", H5P_DEFAULT, H5P_DEFAULT); }
static void circle(hid_t f) { H5Lcreate_hard(f, "/", f, "/train/loop", H5P_DEFAULT, H5P_DEFAULT); }
static void elsewhere(hid_t f)
{
	H5Lcreate_external("model.h5", "/loss", f, "/train/far", H5P_DEFAULT, H5P_DEFAULT);
}
static void instead(hid_t f)
{
	H5Ldelete(f, "/count", H5P_DEFAULT);
	H5Lcreate_external("/proc/self/environ", "/", f, "/count", H5P_DEFAULT, H5P_DEFAULT);
}
static void empty_group(hid_t f) { H5Gclose(H5Gcreate2(f, "/hello", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)); }
static void deep(hid_t f)
{
	struct sd_str s = SD_STR_INIT;

	for (int i = 0; i < 20; i++) {
		sd_str_adds(&s, "/g");
		H5Gclose(H5Gcreate2(f, s.s, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
	}
	sd_str_release(&s);
}
static void attribute_of(hid_t f, const char *path)
{
	hid_t space = H5Screate(H5S_SCALAR);

	H5Aclose(H5Acreate_by_name(f, path, "x", H5T_STD_I32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
	H5Sclose(space);
}
static void attribute(hid_t f) { attribute_of(f, "/train/labels"); }
static void group_attribute(hid_t f) { attribute_of(f, "/train"); }
static void root_attribute(hid_t f) { attribute_of(f, "/"); }
static void comment(hid_t f) { H5Oset_comment_by_name(f, "/train/labels", "hidden", H5P_DEFAULT); }
static void kind_attribute(hid_t f) { put_attribute(f, "kind", "dataxxx"); }
static void format_attribute(hid_t f) { put_attribute(f, "format", &(int32_t){ 2 }); }
static void seal_attribute(hid_t f)
{
	put_attribute(f, "seal", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
}
static void no_seal(hid_t f) { H5Adelete(f, "seal"); }

static void no_manifest(hid_t f) { H5Ldelete(f, "/manifest", H5P_DEFAULT); }
static void no_digests(hid_t f) { H5Ldelete(f, "/digests", H5P_DEFAULT); }
static void numbers_for_manifest(hid_t f)
{
	put(f, "/manifest", H5T_STD_I32LE, 1, (hsize_t[]){ 6 }, H5P_DEFAULT, labels);
}
static void edit_text(hid_t f, const char *path, const char *old, const char *new)
{
	char *text = get_text(f, path), *other = replaced(text, old, new);

	put_text(f, path, other, strlen(other));
	free(other);
	free(text);
}
static void digest_edited(hid_t f) { edit_text(f, "/digests", "\n", ""); }
static void digest_gone(hid_t f)
{
	char *text = get_text(f, "/digests"), *at = strchr(text, '\n') + 1;

	missing(f);
	put_text(f, "/digests", at, strlen(at));
	free(text);
}
static void digests_damaged(hid_t f) { put_text(f, "/digests", "0123  /x\n", 9); }

/* of a model */
static void block(hid_t f)
{
	hid_t d = H5Dopen2(f, "/weights/big", H5P_DEFAULT), file = H5Dget_space(d), mem = H5Screate(H5S_SCALAR);

	H5Sselect_elements(file, H5S_SELECT_SET, 1, (hsize_t[]){ (1 << 18) + 7 });
	H5Dwrite(d, H5T_IEEE_F32LE, mem, file, H5P_DEFAULT, &(float){ -1 });
	H5Sclose(mem);
	H5Sclose(file);
	H5Dclose(d);
}
static void leaf(hid_t f)
{
	uint8_t table[2][SD_SHA256_LEN] = { { 1 } };

	put(f, "/blocks", H5T_STD_U8LE, 2, (hsize_t[]){ 2, SD_SHA256_LEN }, H5P_DEFAULT, table);
}
static void leaves(hid_t f)
{
	put(f, "/blocks", H5T_STD_U8LE, 2, (hsize_t[]){ 1, SD_SHA256_LEN }, H5P_DEFAULT, nth);
}
static void garbage(hid_t f)
{
	hid_t d = H5Dopen2(f, "/weights/packed", H5P_DEFAULT);

	H5Dwrite_chunk(d, H5P_DEFAULT, 0, (hsize_t[]){ 0 }, 24, "this is not a zip stream");
	H5Dclose(d);
}
static void ancestor_gone(hid_t f) { H5Ldelete(f, nth(f, "/ancestors", 0), H5P_DEFAULT); }
static void ancestors_gone(hid_t f) { H5Ldelete(f, "/ancestors", H5P_DEFAULT); }
static void ancestor_added(hid_t f)
{
	hid_t other = edit("other.h5");
	char *text = get_text(other, "/manifest"), path[100];
	struct sd_manifest *m = sd_manifest_parse(text, strlen(text), "other");

	snprintf(path, sizeof(path), "/ancestors/%s", m->id);
	put_text(f, path, text, m->len);
	sd_manifest_free(m);
	free(text);
	H5Fclose(other);
}
static void ancestors_swapped(hid_t f)
{
	char *a = nth(f, "/ancestors", 0), *b = nth(f, "/ancestors", 1);

	H5Lmove(f, a, f, "/x", H5P_DEFAULT, H5P_DEFAULT);
	H5Lmove(f, b, f, a, H5P_DEFAULT, H5P_DEFAULT);
	H5Lmove(f, "/x", f, b, H5P_DEFAULT, H5P_DEFAULT);
}
static void ancestor_renamed(hid_t f)
{
	H5Lmove(f, nth(f, "/ancestors", 0), f, "/ancestors/me", H5P_DEFAULT, H5P_DEFAULT);
}
static void ancestor_claim(hid_t f)
{
	edit_text(f, nth(f, "/ancestors", 0), "\"seed\":\"2\"", "\"seed\":\"4\"");
}
static void ancestor_context(hid_t f)
{
	edit_text(f, nth(f, "/ancestors", 1), "\"who\":\"me\"", "\"who\":\"us\"");
}
static void ancestor_blank(hid_t f) { edit_text(f, nth(f, "/ancestors", 1), "{\"claim\":", "{ \"claim\":"); }
static void ancestor_twice(hid_t f)
{
	edit_text(f, nth(f, "/ancestors", 0), "\"seed\":\"2\"", "\"seed\":\"2\",\"seed\":\"2\"");
}

static void test_hdf5(void)
{
	static const struct {
		const char *what, *of;
		void (*act)(hid_t file);
		const char *said;
	} table[] = {
		{ "values", "data.h5", value, "/train/labels: block 0 (bytes 0 to 23) has changed" },
		{ "values in the second block", "model.h5", block,
		  "/weights/big: block 1 (bytes 1048576 to 1052575) has" },
		{ "two data sets change places", "data.h5", swapped,
		  "/train/labels: block 0 (bytes 0 to 23) has changed" },
		{ "one data set more", "data.h5", extra, "/train/extra: not in the list of digests" },
		{ "one less", "data.h5", missing, "/count: missing" },
		{ "renamed", "data.h5", renamed, "/test/labels: missing" },
		{ "another type", "data.h5", type_changed, "/train/labels: block 0 (bytes 0 to 23) has changed" },
		{ "another byte order", "data.h5", big_endian, "/train/labels: a type that artifacts don't have" },
		{ "another shape", "data.h5", shape_changed, "/train/labels: block 0 (bytes 0 to 23) has changed" },
		{ "another rank", "data.h5", rank_changed, "/train/labels: block 0 (bytes 0 to 23) has changed" },
		{ "fewer rows", "data.h5", rows_fewer, "/train/labels: block 0 (bytes 0 to 19) has changed" },
		{ "nothing stored", "data.h5", unwritten, "/train/labels: its size is not that of its data" },
		{ "a size that the file can't hold", "data.h5", huge,
		  "/train/labels: its size is not that of its data" },
		{ "a size without end", "data.h5", unlimited, "/train/more: a shape that artifacts don't have" },
		{ "a checksum filter", "data.h5", fletcher, "/train/labels: a filter that artifacts don't have" },
		{ "a plug-in's filter", "data.h5", plugin, "/train/labels: a filter that artifacts don't have" },
		{ "a layout", "data.h5", compact, "/train/labels: a layout that artifacts don't have" },
		{ "chunks that aren't there", "data.h5", no_chunks,
		  "/train/labels: its size is not that of its data" },
		{ "garbage for a deflated chunk", "model.h5", garbage,
		  "/weights/packed: block 0 (bytes 0 to 65535) cannot be" },
		{ "data in another file", "data.h5", external, "/train/labels: its data are in other files" },
		{ "data of another artifact", "data.h5", virtual,
		  "/train/labels: a layout that artifacts don't have" },
		{ "a link into another file", "data.h5", elsewhere, "/train/far: a link that artifacts don't have" },
		{ "a link in place of data", "data.h5", instead, "/count: a link that artifacts don't have" },
		{ "a soft link", "data.h5", soft, "/soft: a link that artifacts don't have" },
		{ "a second name", "data.h5", hard, ": an object with several names" },
		{ "a circle", "data.h5", circle, "/train/loop: an object with several names" },
		{ "too deep", "data.h5", deep, "too many or too deep objects" },
		{ "a group without anything", "data.h5", empty_group, "/hello: a group without anything in it" },
		{ "a blank in a name", "data.h5", bad_name, "/train/a b: a name that artifacts don't have" },
		{ "a name that is taken", "data.h5", taken_name, "/signatures: a name that artifacts don't have" },
		{ "a signature of no key", "data.h5", signature_name, "/signatures/me: not the name of a signature" },
		{ "strings of variable length", "data.h5", variable,
		  "/train/extra: a type that artifacts don't have" },
		{ "a compound type", "data.h5", compound, "/train/extra: a type that artifacts don't have" },
		{ "an enumeration", "data.h5", enumeration, "/train/extra: a type that artifacts don't have" },
		{ "a reference", "data.h5", object_reference, "/train/extra: a type that artifacts don't have" },
		{ "a type of one's own", "data.h5", committed, "/type: an object that artifacts don't have" },
		{ "an attribute", "data.h5", attribute, "/train/labels: attributes that artifacts don't have" },
		{ "an attribute of a group", "data.h5", group_attribute,
		  "/train: attributes that artifacts don't have" },
		{ "an attribute of the root", "data.h5", root_attribute,
		  "root attributes: not kind, format and seal" },
		{ "no seal", "data.h5", no_seal, "root attributes: not kind, format and seal" },
		{ "a comment", "data.h5", comment, "/train/labels: a comment, which artifacts" },
		{ "kind", "data.h5", kind_attribute, "attribute kind: not the manifest's" },
		{ "format", "data.h5", format_attribute, "format 2 is not known here" },
		{ "seal", "data.h5", seal_attribute, "manifest: the context has changed (the seal does not fit)" },
		{ "no manifest", "data.h5", no_manifest, "/manifest is missing" },
		{ "numbers for a manifest", "data.h5", numbers_for_manifest, "/manifest: not a text" },
		{ "no digests", "data.h5", no_digests, "/digests is missing" },
		{ "digests", "data.h5", digest_edited, "/digests: the list is not that of the manifest" },
		{ "a data set and its digest less", "data.h5", digest_gone,
		  "/digests: the list is not that of the manifest" },
		{ "digests that are none", "data.h5", digests_damaged, "/digests: not a list of digests" },
		{ "digests of blocks", "model.h5", leaf,
		  "/blocks: the part of /weights/big does not fit its digest" },
		{ "fewer digests of blocks", "model.h5", leaves, "/blocks: 1 digests for 2 blocks" },
		{ "an ancestor less", "model.h5", ancestor_gone, "is missing" },
		{ "no ancestors", "model.h5", ancestors_gone, "/ancestors: ancestor " },
		{ "an ancestor more", "model.h5", ancestor_added, "is no ancestor of it" },
		{ "ancestors change places", "model.h5", ancestors_swapped,
		  "the claim has changed (its id is not its name)" },
		{ "an ancestor's name", "model.h5", ancestor_renamed, "/ancestors/me: the claim has changed" },
		{ "an ancestor's claim", "model.h5", ancestor_claim,
		  "the claim has changed (its id is not its name)" },
		{ "an ancestor's context", "model.h5", ancestor_context,
		  ": the context has changed (the seal does not fit)" },
		{ "an ancestor's form", "model.h5", ancestor_blank, "not in canonical form (RFC 8785)" },
		{ "a key twice in an ancestor", "model.h5", ancestor_twice, "not JSON: duplicate object key" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		hid_t f;

		copy(table[i].of, FORGED);
		f = edit(FORGED);
		table[i].act(f);
		H5Fclose(f);
		reseal(FORGED, NULL);
		caught(table[i].what, table[i].said);
	}
}

int main(int argc, char **argv)
{
	(void)argc;
	if (begin(argv[0]) < 0)
		return 1;
	test_bytes();
	test_hdf5();
	return end();
}
