/* test_archive: archives and readers on good, broken and malicious input.  Under the sanitizers this is also
 * a small fuzzer: every byte of a small archive is damaged in turn. */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/sha256.h"
#include "check.h"
#include "data/archive.h"
#include "data/reader.h"

enum { RECORD = 3073 };

static char dir[4096];

static const char *in_dir(const char *name)
{
	static char path[2][4200];
	static int turn;

	turn ^= 1;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

static void write_file(const char *path, const void *data, size_t n)
{
	FILE *f;

	unlink(path);  /* some file systems are slow to write over a file */
	f = fopen(path, "wb");
	if (!f || fwrite(data, 1, n, f) != n || fclose(f)) {
		perror(path);
		exit(2);
	}
}

/* ---- archives to read ---- */

struct member {
	const char *name;
	const void *data;
	size_t size;
	int type;           /* 0: AE_IFREG */
	const char *link;
};

static struct archive *pack_begin(const char *path, int gzip, int zip)
{
	struct archive *a = archive_write_new();

	if (gzip)
		archive_write_add_filter_gzip(a);
	if (zip)
		archive_write_set_format_zip(a);
	else
		archive_write_set_format_gnutar(a);
	archive_write_set_bytes_per_block(a, 0);
	if (archive_write_open_filename(a, path) != ARCHIVE_OK) {
		printf("%s\n", archive_error_string(a));
		exit(2);
	}
	return a;
}

static void pack_member(struct archive *a, const struct member *m)
{
	struct archive_entry *e = archive_entry_new();

	archive_entry_set_pathname(e, m->name);
	archive_entry_set_filetype(e, m->type ? (unsigned)m->type : AE_IFREG);
	archive_entry_set_perm(e, 0644);
	archive_entry_set_size(e, (int64_t)m->size);
	if (m->link && m->type)
		archive_entry_set_symlink(e, m->link);
	else if (m->link)
		archive_entry_set_hardlink(e, m->link);
	archive_write_header(a, e);
	archive_write_data(a, m->data, m->size);
	archive_entry_free(e);
}

static void pack(const char *path, int gzip, int zip, const struct member *m, int n)
{
	struct archive *a = pack_begin(path, gzip, zip);

	for (int i = 0; i < n; i++)
		pack_member(a, &m[i]);
	archive_write_close(a);
	archive_write_free(a);
}

/* Puts another size, 11 octal digits, into the first header of a tar file. */
static void claim_size(const char *path, const char *octal)
{
	FILE *f = fopen(path, "r+b");
	unsigned char head[512];
	unsigned sum = 0;

	if (!f || fread(head, 1, 512, f) != 512)
		exit(2);
	memcpy(head + 124, octal, 11);
	memset(head + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += head[i];
	snprintf((char *)head + 148, 8, "%06o", sum);
	rewind(f);
	fwrite(head, 1, 512, f);
	fclose(f);
}

/* Six batches of `records` records; record i of batch f has label (f + i) % 10 and pixels f * 16 + i. */
static struct member *cifar_members(int records, int *n)
{
	static const char names[] = "a0\na1\na2\na3\na4\na5\na6\na7\na8\na9\n\n";
	static const char *const file[] = {
		"cifar-10-batches-bin/data_batch_3.bin", "cifar-10-batches-bin/data_batch_1.bin",
		"cifar-10-batches-bin/data_batch_2.bin", "cifar-10-batches-bin/data_batch_4.bin",
		"cifar-10-batches-bin/data_batch_5.bin", "cifar-10-batches-bin/test_batch.bin",
	};
	static const int number[] = { 3, 1, 2, 4, 5, 6 };
	struct member *m = calloc(9, sizeof(*m));

	for (int f = 0; f < 6; f++) {
		uint8_t *data = malloc((size_t)records * RECORD);

		for (int i = 0; i < records; i++) {
			memset(data + i * RECORD, number[f] * 16 + i, RECORD);
			data[i * RECORD] = (uint8_t)((number[f] + i) % 10);
		}
		m[f] = (struct member){ .name = file[f], .data = data, .size = (size_t)records * RECORD };
	}
	m[6] = (struct member){ .name = "cifar-10-batches-bin/batches.meta.txt", .data = names,
				.size = sizeof(names) - 1 };
	m[7] = (struct member){ .name = "cifar-10-batches-bin/readme.html", .data = "<p>", .size = 3 };
	*n = 8;
	return m;
}

static void members_free(struct member *m)
{
	for (int f = 0; f < 6; f++)
		free((void *)m[f].data);
	free(m);
}

static const uint32_t no_limit[SD_NSPLIT] = { UINT32_MAX, UINT32_MAX };
static const struct sd_read_options as_is;
static struct sd_read_notes notes;

/* Reads `path`; 0 when that works, else the kind of error, which must have `text` in its message. */
static int outcome(const char *reader, const char *path, const char *text)
{
	struct sd_archive *a;
	struct sd_dataset *ds;

	sd_error_clear();
	ds = sd_reader_run(sd_reader_find(reader), path, &as_is, no_limit, 0, &a, &notes);
	if (ds) {
		sd_dataset_free(ds);
		sd_archive_close(a);
		return 0;
	}
	if (text && !strstr(sd_error_text(), text))
		printf("'%s' is not in: %s\n", text, sd_error_text());
	return text && !strstr(sd_error_text(), text) ? -1 : (int)sd_error_kind();
}

static void check_cifar(const char *path)
{
	struct sd_archive *a;
	struct sd_dataset *ds = sd_reader_run(sd_reader_find("cifar10"), path, &as_is, no_limit, 0, &a, &notes);

	CHECK(ds, "%s: %s", path, sd_error_text());
	if (!ds)
		return;
	CHECK(ds->split[0].n == 15 && ds->split[1].n == 3 && ds->nclass == 10 && !strcmp(ds->classes[9],
	      "a9"));
	for (int s = 0; s < 2; s++)
		for (uint32_t i = 0; i < ds->split[s].n; i++) {
			int f = s ? 6 : (int)i / 3 + 1, k = (int)i % 3;

			CHECK(ds->split[s].labels[i] == (f + k) % 10 && ds->split[s].source[i] == i);
			CHECK(sd_dataset_image(ds, s, i)[0] == f * 16 + k &&
			      sd_dataset_image(ds, s, i)[3071] == f * 16 + k);
		}
	CHECK(ds->mean[0] == 0.49139968f && ds->computed_mean[0] != ds->mean[0] && ds->mirror &&
	      ds->padding == 4);
	sd_dataset_free(ds);
	sd_archive_close(a);
}

static void test_cifar(void)
{
	int n;
	struct member *m = cifar_members(3, &n), *bad;
	uint8_t *data, digest[SD_SHA256_LEN];
	char hex[65];
	struct sd_archive *a;
	struct sd_archive_entry e;
	uint64_t size;
	int fd;

	pack(in_dir("c.tar.gz"), 1, 0, m, n);
	pack(in_dir("c.tar"), 0, 0, m, n);
	pack(in_dir("c.zip"), 0, 1, m, n);
	check_cifar(in_dir("c.tar.gz"));
	check_cifar(in_dir("c.tar"));
	check_cifar(in_dir("c.zip"));
	mkdir(in_dir("folder"), 0755);
	mkdir(in_dir("folder/cifar-10-batches-bin"), 0755);
	for (int i = 0; i < n; i++) {
		char name[100];

		snprintf(name, sizeof(name), "folder/%s", m[i].name);
		write_file(in_dir(name), m[i].data, m[i].size);
	}
	check_cifar(in_dir("folder"));
	check_cifar(in_dir("folder/cifar-10-batches-bin"));

	/* digests: of the whole archive, although its end was not asked for; of the files that were read */
	a = sd_archive_open(in_dir("c.tar.gz"), &sd_reader_find("cifar10")->limits);
	CHECK(a && sd_archive_next(a, &e) == 1 && sd_archive_finish(a) == 0);
	fd = open(in_dir("c.tar.gz"), O_RDONLY);
	CHECK(sd_sha256_fd(fd, 0, "x", digest, &size) == 0);
	close(fd);
	sd_sha256_hex(digest, hex);
	CHECK(!strcmp(sd_archive_raw(a, 0)->sha256, hex) && sd_archive_raw(a, 0)->size == size);
	CHECK(!sd_archive_raw(a, 1));
	sd_archive_close(a);
	a = sd_archive_open(in_dir("folder"), &sd_reader_find("cifar10")->limits);
	while (a && sd_archive_next(a, &e) == 1)
		if (!strcmp(e.base, "data_batch_3.bin"))
			CHECK(sd_archive_read(a, hex, 10) == 10);
	CHECK(a && sd_archive_finish(a) == 0);
	sd_sha256(m[0].data, m[0].size, digest);
	sd_sha256_hex(digest, hex);
	CHECK(sd_archive_raw(a, 0) && !strcmp(sd_archive_raw(a, 0)->sha256, hex) && !sd_archive_raw(a, 1));
	CHECK(sd_archive_raw(a, 0) && !strcmp(sd_archive_raw(a, 0)->name,
	      "cifar-10-batches-bin/data_batch_3.bin"));
	sd_archive_close(a);

	/* what is missing, twice there, too much, cut short, out of range */
	bad = malloc((size_t)(n + 1) * sizeof(*bad));
	for (int i = 0; i < 6; i++) {
		memcpy(bad, m, (size_t)n * sizeof(*bad));
		bad[i] = bad[n - 1];
		pack(in_dir("bad.tar"), 0, 0, bad, n - 1);
		CHECK(outcome("cifar10", in_dir("bad.tar"), strrchr(m[i].name, '/') + 1) == SD_ERR_DATA);
		memcpy(bad, m, (size_t)n * sizeof(*bad));
		bad[n] = m[i];
		pack(in_dir("bad.tar"), 0, 0, bad, n + 1);
		CHECK(outcome("cifar10", in_dir("bad.tar"), "second file") == SD_ERR_DATA);
		bad[i].size -= 100;
		pack(in_dir("bad.tar"), 0, 0, bad, n);
		CHECK(outcome("cifar10", in_dir("bad.tar"), "record 3 is cut short: 2973 of 3073") ==
		      SD_ERR_DATA);
		bad[i].size = 0;
		pack(in_dir("bad.tar"), 0, 0, bad, n);
		CHECK(outcome("cifar10", in_dir("bad.tar"), "empty") == SD_ERR_DATA);
		bad[i] = m[i];
		data = (uint8_t *)m[i].data;
		data[RECORD] += 10;
		pack(in_dir("bad.tar"), 0, 0, bad, n);
		CHECK(outcome("cifar10", in_dir("bad.tar"), "record 2 has label 1") == SD_ERR_DATA);
		data[RECORD] -= 10;
	}
	bad[n] = m[0];
	bad[n].name = "cifar-10-batches-bin/data_batch_6.bin";
	pack(in_dir("bad.tar"), 0, 0, bad, n + 1);
	CHECK(outcome("cifar10", in_dir("bad.tar"), "data_batch_6.bin") == SD_ERR_DATA);
	bad[6].data = "a\nb\n";
	bad[6].size = 4;
	pack(in_dir("bad.tar"), 0, 0, bad, n);
	CHECK(outcome("cifar10", in_dir("bad.tar"), "10 class names") == SD_ERR_DATA);
	bad[6].data = "a\nb\nc\nd\ne\nf\ng\nh\ni\n\033[2J\n";
	bad[6].size = 23;
	pack(in_dir("bad.tar"), 0, 0, bad, n);
	CHECK(outcome("cifar10", in_dir("bad.tar"), "10 class names") == SD_ERR_DATA);
	bad[6] = bad[7];
	pack(in_dir("bad.tar"), 0, 0, bad, 7);
	CHECK(outcome("cifar10", in_dir("bad.tar"), NULL) == 0);  /* the names are known */
	CHECK(outcome("cifar10", in_dir("folder/cifar-10-batches-bin/data_batch_1.bin"), "no archive") ==
	      SD_ERR_DATA);
	CHECK(outcome("cifar10", in_dir("nothing"), "cannot open") == SD_ERR_NOINPUT);
	write_file(in_dir("empty"), "", 0);
	CHECK(outcome("cifar10", in_dir("empty"), "empty") == SD_ERR_DATA);
	mkdir(in_dir("void"), 0755);
	CHECK(outcome("cifar10", in_dir("void"), "data_batch_1.bin") == SD_ERR_DATA);
	free(bad);
	members_free(m);
}

/* One member beside the good ones is enough to refuse an archive, or isn't. */
static void test_malice(void)
{
	static const struct {
		struct member m;
		const char *text;  /* NULL: passed over */
	} extra[] = {
		{ { .name = "../x" }, "unsafe name" },
		{ { .name = "a/../../x" }, "unsafe name" },
		{ { .name = "a/.." }, "unsafe name" },
		{ { .name = "/etc/x" }, "unsafe name" },
		{ { .name = "a\033[2Jb" }, "unsafe name" },
		{ { .name = "..a/b..", .data = "x", .size = 1 }, NULL },
		{ { .name = "./a//b", .data = "x", .size = 1 }, NULL },
		{ { .name = "./", .type = AE_IFDIR }, NULL },
		{ { .name = "link", .type = AE_IFLNK, .link = "/etc/passwd" }, NULL },
		{ { .name = "hard", .link = "cifar-10-batches-bin/test_batch.bin" }, NULL },
		{ { .name = "pipe", .type = AE_IFIFO }, NULL },
	};
	struct sd_archive_limits limits = { 100000, 200000, 5 };
	struct sd_archive_entry e;
	struct sd_archive *a;
	struct archive *w;
	size_t size, many = (size_t)64 << 20;
	uint8_t *fill = calloc(1, many);
	int n, r;
	struct member *m = cifar_members(1, &n);

	for (size_t i = 0; i < sizeof(extra) / sizeof(extra[0]); i++) {
		m[n] = extra[i].m;
		pack(in_dir("m.tar"), 0, 0, m, n + 1);
		CHECK(outcome("cifar10", in_dir("m.tar"), extra[i].text) == (extra[i].text ? SD_ERR_DATA : 0),
		      "%s: %s", extra[i].m.name, sd_error_text());
	}

	/* a header that claims 8 GiB: refused before anything is set aside for it */
	pack(in_dir("m.tar"), 0, 0, &(struct member){ .name = "data_batch_1.bin", .data = "x", .size = 1 },
	      1);
	claim_size(in_dir("m.tar"), "77777777777");
	CHECK(outcome("cifar10", in_dir("m.tar"), "8589934591 bytes or more") == SD_ERR_DATA, "%s",
	      sd_error_text());
	/* and one that is cut off in the data */
	w = pack_begin(in_dir("m.tar"), 0, 0);
	pack_member(w, &(struct member){ .name = "data_batch_1.bin", .data = fill, .size = 4000 });
	archive_write_close(w);
	archive_write_free(w);
	CHECK(truncate(in_dir("m.tar"), 2000) == 0);
	CHECK(outcome("cifar10", in_dir("m.tar"), "cannot read") == SD_ERR_DATA, "%s", sd_error_text());

	/* 64 MiB in 64 KiB: the limits hold for what comes out */
	memset(fill, 'a', many);
	pack(in_dir("bomb.tar.gz"), 1, 0, &(struct member){ .name = "x", .data = fill, .size = many }, 1);
	a = sd_archive_open(in_dir("bomb.tar.gz"), &limits);
	CHECK(a && sd_archive_next(a, &e) == -1 && sd_error_kind() == SD_ERR_DATA);
	sd_archive_close(a);
	w = archive_write_new();
	archive_write_add_filter_gzip(w);
	archive_write_set_format_raw(w);
	archive_write_open_filename(w, in_dir("bomb.gz"));
	pack_member(w, &(struct member){ .name = "x", .data = fill, .size = many });
	archive_write_close(w);
	archive_write_free(w);
	a = sd_archive_open(in_dir("bomb.gz"), &limits);
	CHECK(a && sd_archive_next(a, &e) == 1 && e.bare && e.size == -1);
	CHECK(a && !sd_archive_slurp(a, SIZE_MAX / 2, &size) && sd_error_kind() == SD_ERR_DATA);
	sd_archive_close(a);
	CHECK(outcome("digits", in_dir("bomb.gz"), "at most 4194304") == SD_ERR_DATA, "%s", sd_error_text());

	/* the sum of many, and too many */
	for (int kind = 0; kind < 2; kind++) {
		w = pack_begin(in_dir("m.tar"), 0, 0);
		for (int i = 0; i < 8; i++)
			pack_member(w, &(struct member){ .name = "x", .data = fill,
			      .size = kind ? 1 : 90000 });
		archive_write_close(w);
		archive_write_free(w);
		a = sd_archive_open(in_dir("m.tar"), &limits);
		for (n = 0; a && (r = sd_archive_next(a, &e)) == 1; n++)
			;
		CHECK(a && r == -1 && n == (kind ? 5 : 2), "%d entries", n);
		sd_archive_close(a);
	}
	free(fill);
	members_free(m);
}

/* The same images and labels, by a checksum; 0 when the file is refused. */
static uint64_t content(const char *path)
{
	struct sd_archive *a;
	struct sd_dataset *ds = sd_reader_run(sd_reader_find("cifar10"), path, &as_is, no_limit, 0, &a, &notes);
	uint64_t h = 1;

	if (!ds)
		return 0;
	for (int s = 0; s < SD_NSPLIT; s++)
		for (uint32_t i = 0; i < ds->split[s].n; i++) {
			for (uint32_t j = 0; j < sd_dataset_image_bytes(ds); j++)
				h = (h ^ sd_dataset_image(ds, s, i)[j]) * 1099511628211u;
			h = (h ^ (uint64_t)ds->split[s].labels[i]) * 1099511628211u;
		}
	sd_dataset_free(ds);
	sd_archive_close(a);
	return h;
}

/* Every byte of a small gzipped archive, damaged or cut off there: an error, or (in gzip's own header) the
 * same images. */
static void test_damage(void)
{
	int n, changed = 0, accepted = 0;
	struct member *m = cifar_members(1, &n);
	uint8_t *data;
	uint64_t good, h;
	struct stat st;
	FILE *f;

	pack(in_dir("c.tar.gz"), 1, 0, m, n);
	good = content(in_dir("c.tar.gz"));
	f = fopen(in_dir("c.tar.gz"), "rb");
	CHECK(f && !fstat(fileno(f), &st) && good);
	data = malloc((size_t)st.st_size);
	CHECK(fread(data, 1, (size_t)st.st_size, f) == (size_t)st.st_size);
	fclose(f);
	for (off_t i = 0; i < st.st_size; i++) {
		data[i] ^= (uint8_t)(1 << (i % 8));
		write_file(in_dir("d.tar.gz"), data, (size_t)st.st_size);
		h = content(in_dir("d.tar.gz"));
		changed += h && h != good;
		accepted += h != 0;
		data[i] ^= (uint8_t)(1 << (i % 8));
	}
	CHECK(!changed && accepted < 20, "%d of %d accepted, %d changed", accepted, (int)st.st_size, changed);
	accepted = 0;
	for (off_t i = 0; i < st.st_size; i++) {
		write_file(in_dir("d.tar.gz"), data, (size_t)i);
		accepted += content(in_dir("d.tar.gz")) != 0;
	}
	CHECK(!accepted, "%d of %d accepted", accepted, (int)st.st_size);

	/* gzip files behind one another are one, and what follows a tar's end does not matter */
	f = fopen(in_dir("d.tar.gz"), "wb");
	CHECK(f && fwrite(data, (size_t)st.st_size, 1, f) && fwrite(data, (size_t)st.st_size, 1, f) &&
	      !fclose(f));
	CHECK(content(in_dir("d.tar.gz")) == good, "%s", sd_error_text());
	free(data);
	members_free(m);
}

static void test_digits(void)
{
	static const struct {
		const char *text, *message;
	} bad[] = {
		{ "", "empty" },
		{ "\n", "line 1, value 1:" },
		{ "0,1", "line 1, value 2:" },
		{ "17", "line 1, value 1:" },
		{ "99999999999999999999999,", "line 1, value 1:" },
		{ "-1,", "line 1, value 1:" },
		{ " 1,", "line 1, value 1:" },
		{ "1.5,", "line 1, value 1:" },
	};
	char line[400] = "", text[4000];
	struct sd_archive *a;
	struct sd_dataset *ds;
	int count[10] = { 0 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_file(in_dir("d.csv"), bad[i].text, strlen(bad[i].text));
		CHECK(outcome("digits", in_dir("d.csv"), bad[i].message) == SD_ERR_DATA, "%s",
		      sd_error_text());
	}
	for (int i = 0; i < 64; i++)
		snprintf(line + strlen(line), sizeof(line) - strlen(line), "%d,", i % 17);
	for (int i = 0; i < 3; i++) {
		static const char *const end[] = { "10\n", "3,4\n", "\n" };

		snprintf(text, sizeof(text), "%s1\n%s%s", line, line, end[i]);
		write_file(in_dir("d.csv"), text, strlen(text));
		CHECK(outcome("digits", in_dir("d.csv"), "line 2, value 65:") == SD_ERR_DATA, "%s",
		      sd_error_text());
	}
	/* with and without line ends of either kind */
	snprintf(text, sizeof(text), "%s0\r\n%s1\n%s2\n%s3\n%s4", line, line, line, line, line);
	write_file(in_dir("d.csv"), text, strlen(text));
	ds = sd_reader_run(sd_reader_find("digits"), in_dir("d.csv"), &as_is, no_limit, 0, &a, &notes);
	CHECK(ds && ds->split[0].n == 4 && ds->split[1].n == 1, "%s", sd_error_text());
	for (int s = 0; ds && s < 2; s++)
		for (uint32_t i = 0; i < ds->split[s].n; i++) {
			CHECK(ds->split[s].labels[i] == (int)ds->split[s].source[i]);
			for (int j = 0; j < 64; j++)
				CHECK(sd_dataset_image(ds, s, i)[j] == (int)(j % 17 * 255 / 16.0 + 0.5));
		}
	sd_dataset_free(ds);
	sd_archive_close(a);

	/* the real one */
	ds = sd_reader_run(sd_reader_find("digits"), "share/data/digits.csv.gz", &as_is, no_limit, 0, &a, &notes);
	CHECK(ds && ds->split[0].n == 1437 && ds->split[1].n == 360, "%s", sd_error_text());
	if (ds) {
		for (uint32_t i = 0; i < 360; i++)
			count[ds->split[1].labels[i]]++;
		for (int i = 0; i < 10; i++)
			CHECK(count[i] > 18 && count[i] < 54, "%d test images of class %d", count[i], i);
		CHECK(!ds->mirror && ds->padding == 1 && ds->mean[0] == ds->computed_mean[0]);
	}
	sd_dataset_free(ds);
	sd_archive_close(a);
	CHECK(!sd_reader_find("nothing") && strstr(sd_error_text(), "cifar10, cifar10.1, "));
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");
	char command[4200];

	snprintf(dir, sizeof(dir), "%s/test_archive.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir)) {
		perror(dir);
		return 2;
	}
	test_cifar();
	test_malice();
	test_damage();
	test_digits();
	snprintf(command, sizeof(command), "rm -r '%s'", dir);
	CHECK(system(command) == 0);
	return check_done();
}
