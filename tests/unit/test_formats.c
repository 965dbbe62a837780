/* test_formats: the readers of single formats: pickle, NPY, IDX, MATLAB, JPEG, PNG, gzip.  Each gets a
 * good file and must give what is in it, every beginning of that file and must refuse it, and the file
 * with bytes changed at random, where anything will do that isn't a crash (the sanitizers watch). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <zlib.h>

#include "base/err.h"
#include "base/rng.h"
#include "check.h"
#include "data/files.h"
#include "data/mat.h"
#include "data/ndarray.h"
#include "data/pickle.h"
#include "data/picture.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

struct bytes {
	uint8_t *data;
	size_t size;
};

static void add(struct bytes *b, const void *data, size_t n)
{
	b->data = realloc(b->data, b->size + n + 1);
	if (!b->data)
		exit(2);
	memcpy(b->data + b->size, data, n);
	b->size += n;
}

#define ADD(b, text) add(b, text, sizeof(text) - 1)

static void add32(struct bytes *b, uint32_t v)
{
	uint8_t le[4] = { (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24) };

	add(b, le, 4);
}

/* Whether a file is taken: 0, or -1 with a message that begins with its name. */
typedef int reader(const uint8_t *file, size_t size);

/* Copies go into memory of just their size, so that a byte too far is seen. */
static int take(reader *read, const uint8_t *file, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	int ret;

	if (!copy)
		exit(2);
	memcpy(copy, file, size);
	sd_error_clear();
	ret = read(copy, size);
	free(copy);
	return ret;
}

static void torment(const char *what, reader *read, const struct bytes *good, size_t needed, int rounds)
{
	struct sd_rng_key key = sd_rng_key(1, "torment", what);
	uint32_t refused = 0, unnamed = 0;

	CHECK(take(read, good->data, good->size) == 0, "%s: %s", what, sd_error_text());
	for (size_t n = 0; n < needed; n += 1 + n / 64) {
		CHECK(take(read, good->data, n) == -1, "%s: the first %zu bytes are taken", what, n);
		CHECK(!strncmp(sd_error_text(), "file", 4) && sd_error_kind() == SD_ERR_DATA, "%s: %s", what,
		      sd_error_text());
	}
	for (int i = 0; i < rounds; i++) {
		uint32_t word[4], ctr[4] = { (uint32_t)i, 0, 0, 0 };
		uint8_t *bad = malloc(good->size);
		uint32_t changes;

		if (!bad)
			exit(2);
		memcpy(bad, good->data, good->size);
		sd_rng_block(key, ctr, word);
		changes = 1 + word[3] % 4;
		for (uint32_t c = 0; c < changes; c++) {
			ctr[1] = c + 1;
			sd_rng_block(key, ctr, word);
			/* headers are where the sizes are */
			size_t at = word[2] & 1 ? word[0] % good->size :
				word[0] % (good->size < 300 ? good->size : 300);

			bad[at] = word[2] & 2 ? (uint8_t)word[1] : word[2] & 4 ? 0xff :
				bad[at] ^ (uint8_t)(1 << word[1] % 8);
		}
		if (take(read, bad, good->size)) {
			refused++;
			unnamed += strncmp(sd_error_text(), "file", 4) != 0;
		}
		free(bad);
	}
	CHECK(refused > 0 && unnamed == 0, "%s: %u of %d refused, %u without its name", what, refused, rounds,
	      unnamed);
}

/* ---- pickle ---- */

static int read_pickle(const uint8_t *file, size_t size)
{
	struct sd_pickle *p = sd_pickle_read("file", file, size);
	const struct sd_pickle_value *a = p ? sd_pickle_find(p, "data", SD_PICKLE_ARRAY) : NULL;
	const struct sd_pickle_value *l = a ? sd_pickle_find(p, "labels", SD_PICKLE_LIST) : NULL;
	uint32_t sum = 0;

	for (uint64_t i = 0; l && i < a->size; i++)
		sum += a->text[i];
	for (uint32_t i = 0; l && i < l->items; i++)
		sum += sd_pickle_item(p, l, i, SD_PICKLE_NUMBER) != NULL;
	sd_pickle_free(p);
	return l && sum != UINT32_MAX ? 0 : -1;
}

#define ARRAY2 "cnumpy.core.multiarray\n_reconstruct\nq\x03" "cnumpy\nndarray\nq\x04K\0\x85U\1b\x87Rq\x05" \
	"(K\1K\2K\3\x86" "cnumpy\ndtype\nq\x06U\2u1K\0K\1\x87Rq\x07(K\3U\1|NNNJ\xff\xff\xff\xff" \
	"J\xff\xff\xff\xffK\0tb\x89T\6\0\0\0" "\1\2\3\4\5\6tb"
#define LABELS "U\6labelsq\x10]q\x11(K\7M\1\1J\xfe\xff\xff\xffI-12\nL345L\n\x8a\1\xff" "e"

static void test_pickle(void)
{
	static const struct {
		const char *what, *file;
		size_t size;
		const char *says;
	} bad[] = {
#define BAD(what, file, says) { what, file, sizeof(file) - 1, says }
		BAD("a call", "cos\nsystem\nS'true'\n\x85R.", "no use for"),
		BAD("a call by stack", "\x8c\2os\x8c\6system\x93.", "no use for"),
		BAD("another numpy name", "cnumpy\nload\n.", "no use for"),
		BAD("a call of a list", "]]R.", "a call"),
		BAD("a call of dtype with an object", "cnumpy\ndtype\nU\1O\x85R.",
		    "anything but unsigned bytes"),
		BAD("an instance", "(i__main__\nX\n.", "no use for"),
		BAD("a persistent id", "Pabc\n.", "no use for"),
		BAD("an extension", "\x82\1.", "no use for"),
		BAD("a state for a list", "])b.", "a state"),
		BAD("nothing", ".", "a value is missing"),
		BAD("a mark", "(.", "a value is missing"),
		BAD("a missing mark", "]e.", "a mark is missing"),
		BAD("an item for a number", "K\1K\2a.", "takes none"),
		BAD("a key without a value", "}(K\1u.", "takes none"),
		BAD("a text of 4 GiB", "T\xff\xff\xff\xff" "ab.", "cut short"),
		BAD("a text of 2^63 bytes", "\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.", "cut short"),
		BAD("an escape", "S'a\\x00'\n.", "no plain text"),
		BAD("a slot far away", "K\1r\xff\xff\xff\x7f.", "more values"),
		BAD("an empty slot", "h\1.", "nothing was kept"),
		BAD("protocol 5", "\x80\5N.", "protocol"),
		BAD("a long number", "\x8a\x09" "123456789.", "64 bits"),
		BAD("no end", "N", "cut short"),
	};
	struct bytes good = { 0 };
	struct sd_pickle *p;
	const struct sd_pickle_value *v;
	static const int64_t labels[] = { 7, 257, -2, -12, 345, -1 };

	ADD(&good, "\x80\2}q\1(U\4dataq\2" ARRAY2 LABELS "U\1zNu.");
	torment("pickle", read_pickle, &good, good.size, 5000);
	p = sd_pickle_read("file", good.data, good.size);
	v = p ? sd_pickle_find(p, "data", SD_PICKLE_ARRAY) : NULL;
	CHECK(v && v->rows == 2 && v->columns == 3 && v->number == 0 && !memcmp(v->text, "\1\2\3\4\5\6", 6));
	v = p ? sd_pickle_find(p, "labels", SD_PICKLE_LIST) : NULL;
	CHECK(v && v->items == 6);
	for (uint32_t i = 0; v && i < 6; i++) {
		const struct sd_pickle_value *n = sd_pickle_item(p, v, i, SD_PICKLE_NUMBER);

		CHECK(n && n->number == labels[i], "label %u", i);
	}
	CHECK(p && !sd_pickle_find(p, "labels", SD_PICKLE_ARRAY) &&
	      strstr(sd_error_text(), "'labels' is a list"));
	CHECK(p && !sd_pickle_find(p, "nothing", SD_PICKLE_LIST) &&
	      strstr(sd_error_text(), "there is no 'nothing'"));
	sd_pickle_free(p);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		p = sd_pickle_read("file", (const uint8_t *)bad[i].file, bad[i].size);
		CHECK(!p && strstr(sd_error_text(), bad[i].says), "%s: %s", bad[i].what, p ? "taken" :
		      sd_error_text());
		sd_pickle_free(p);
	}
	/* one value more than there may be */
	uint8_t *many = malloc(SD_PICKLE_VALUES + 1);

	if (!many)
		exit(2);
	memset(many, 'N', SD_PICKLE_VALUES + 1);
	p = sd_pickle_read("file", many, SD_PICKLE_VALUES + 1);
	CHECK(!p && strstr(sd_error_text(), "more values"), "%s", sd_error_text());
	free(many);
	sd_pickle_free(p);
	free(good.data);
}

/* ---- arrays ---- */

static int64_t sum_of(const struct sd_nd *nd)
{
	uint64_t n = 1;
	int64_t sum = 0;

	for (int i = 0; i < nd->rank; i++)
		n *= nd->shape[i];
	for (uint64_t i = 0; i < n; i++)
		sum += sd_nd_get(nd, i);
	return sum;
}

static int read_idx(const uint8_t *file, size_t size)
{
	struct sd_nd nd;

	return sd_nd_idx(&nd, "file", file, size) || sum_of(&nd) < 0 ? -1 : 0;
}

static int read_npy(const uint8_t *file, size_t size)
{
	struct sd_nd nd;

	if (sd_nd_npy(&nd, "file", file, size))
		return -1;
	sum_of(&nd);
	return sd_nd_expect(&nd, "file", 1, (uint64_t[]){ 3 });
}

static void test_arrays(void)
{
	struct bytes idx = { 0 }, npy = { 0 }, big = { 0 };
	struct sd_nd nd;

	ADD(&idx, "\0\0\x08\2\0\0\0\2\0\0\0\3" "abcdef");
	torment("idx", read_idx, &idx, idx.size, 5000);
	CHECK(!sd_nd_idx(&nd, "file", idx.data, idx.size) && nd.rank == 2 && nd.shape[0] == 2 &&
	      nd.shape[1] == 3 &&
	      sd_nd_get(&nd, 5) == 'f');
	CHECK(sd_nd_expect(&nd, "file", 2, (uint64_t[]){ 0, 28 }) == -1 &&
	      !strcmp(sd_error_text(), "file: an array of 2 x 3, N x 28 is expected"), "%s", sd_error_text());
	ADD(&big, "\0\0\x08\4\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff");
	CHECK(sd_nd_idx(&nd, "file", big.data, big.size) == -1 && strstr(sd_error_text(), "absurd"));
	ADD(&npy, "\x93NUMPY\1\0\x45\0{'descr': '<i2', 'fortran_order': False, 'shape': (3,), }           \n"
	    "\1\0\xff\xff\0\1");
	torment("npy", read_npy, &npy, npy.size, 5000);
	CHECK(!sd_nd_npy(&nd, "file", npy.data, npy.size) && sd_nd_get(&nd, 0) == 1 &&
	      sd_nd_get(&nd, 1) == -1 &&
	      sd_nd_get(&nd, 2) == 256, "%s", sd_error_text());
	memcpy(strstr((char *)npy.data + 10, "False"), "True ", 5);
	CHECK(sd_nd_npy(&nd, "file", npy.data, npy.size) == -1 && strstr(sd_error_text(), "C order"));
	memcpy(npy.data + 10, "{'descr': '|O8'", 15);
	CHECK(sd_nd_npy(&nd, "file", npy.data, npy.size) == -1);
	free(idx.data);
	free(npy.data);
	free(big.data);
}

/* ---- gzip ---- */

static int read_gzip(const uint8_t *file, size_t size)
{
	size_t n;
	uint8_t *data = sd_gunzip("file", file, size, 1 << 20, &n);
	int ret = data && n == 100000 ? 0 : data ? sd_error(SD_ERR_DATA, "file: %zu bytes", n) : -1;

	free(data);
	return ret;
}

static struct bytes gzip(const uint8_t *data, size_t size)
{
	struct bytes b = { .data = malloc(size + size / 100 + 100) };
	z_stream z = { .next_in = (Bytef *)data, .avail_in = (uInt)size, .next_out = b.data,
		       .avail_out = (uInt)(size + size / 100 + 100) };

	if (!b.data || deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK ||
	    deflate(&z, Z_FINISH) != Z_STREAM_END)
		exit(2);
	b.size = z.total_out;
	deflateEnd(&z);
	return b;
}

static void test_gzip(void)
{
	enum { BOMB = 1 << 26 };
	uint8_t *data = calloc(1, BOMB);
	struct bytes good, bomb;
	size_t n;

	if (!data)
		exit(2);
	bomb = gzip(data, BOMB);
	CHECK(bomb.size < 100000 && !sd_gunzip("file", bomb.data, bomb.size, 1 << 20, &n) &&
	      !strcmp(sd_error_text(), "file: gzip: it holds more than 1048576 bytes"), "%s",
		      sd_error_text());
	for (int i = 0; i < 100000; i++)
		data[i] = (uint8_t)((uint32_t)i * (uint32_t)i >> 5);
	good = gzip(data, 100000);
	torment("gzip", read_gzip, &good, good.size, 3000);
	free(data);
	free(good.data);
	free(bomb.data);
}

/* ---- MATLAB ---- */

/* A variable of 2 x 3 numbers, as its element. */
static struct bytes variable(const char *name, uint32_t class, uint32_t type, const void *data, size_t size)
{
	struct bytes b = { 0 };
	size_t body;

	add32(&b, 14);
	add32(&b, 0);
	add32(&b, 6), add32(&b, 8), add32(&b, class), add32(&b, 0);
	add32(&b, 5), add32(&b, 8), add32(&b, 2), add32(&b, 3);
	add32(&b, 1 | 1 << 16), add(&b, (char[4]){ *name }, 4);
	add32(&b, type), add32(&b, (uint32_t)size), add(&b, data, size),
		add(&b, "\0\0\0\0\0\0\0", (8 - size % 8) % 8);
	body = b.size - 8;
	for (int i = 0; i < 4; i++)
		b.data[4 + i] = (uint8_t)(body >> (8 * i));
	return b;
}

static void add_mat(struct bytes *file, const struct bytes *v, int compressed)
{
	if (!file->size) {
		char text[124];

		memset(text, ' ', sizeof(text));
		memcpy(text, "MATLAB 5.0 MAT-file", 19);
		add(file, text, sizeof(text));
		ADD(file, "\0\1IM");
	}
	if (compressed) {
		uint8_t out[1024];
		uLongf n = sizeof(out);

		if (compress(out, &n, v->data, v->size) != Z_OK)
			exit(2);
		add32(file, 15);
		add32(file, (uint32_t)n);
		add(file, out, n);
	} else {
		add(file, v->data, v->size);
	}
}

static int read_mat(const uint8_t *file, size_t size)
{
	struct sd_mat X, y;
	uint64_t sum = 0;

	if (sd_mat_read(&X, "file", file, size, "X", 1000))
		return -1;
	if (sd_mat_read(&y, "file", file, size, "y", 1000)) {
		sd_mat_release(&X);
		return -1;
	}
	for (uint64_t i = 0; i < X.shape[0] * X.shape[1]; i++)
		sum += X.data[i];
	sd_mat_release(&X);
	sd_mat_release(&y);
	return sum == UINT64_MAX ? -1 : 0;
}

static void test_mat(void)
{
	static const double real[6] = { 0, 1, 2, 3, 4, 255 }, broken[6] = { 0.5 }, absurd[6] = { 1e300 };
	struct bytes X = variable("X", 9, 2, "\1\2\3\4\5\6", 6), y = variable("y", 6, 9, real, sizeof(real));
	struct bytes packed = { 0 }, plain = { 0 }, other = { 0 }, v;
	struct sd_mat m;

	add_mat(&packed, &X, 1);
	add_mat(&packed, &y, 1);
	add_mat(&plain, &X, 0);
	add_mat(&plain, &y, 0);
	torment("compressed mat", read_mat, &packed, packed.size, 5000);
	torment("plain mat", read_mat, &plain, plain.size, 5000);
	CHECK(!sd_mat_read(&m, "file", packed.data, packed.size, "X", 1000) && m.rank == 2 &&
	      m.shape[0] == 2 &&
	      m.shape[1] == 3 && !memcmp(m.data, "\1\2\3\4\5\6", 6), "%s", sd_error_text());
	sd_mat_release(&m);
	CHECK(!sd_mat_read(&m, "file", plain.data, plain.size, "y", 1000) && m.data[5] == 255 &&
	      m.data[3] == 3, "%s",
	      sd_error_text());
	sd_mat_release(&m);
	CHECK(sd_mat_read(&m, "file", plain.data, plain.size, "z", 1000) == -1 &&
	      strstr(sd_error_text(), "no variable 'z'"),
	      "%s", sd_error_text());
	CHECK(sd_mat_read(&m, "file", plain.data, plain.size, "X", 5) == -1 &&
	      strstr(sd_error_text(), "too large"), "%s",
	      sd_error_text());
	for (int i = 0; i < 2; i++) {
		v = variable("X", 6, 9, i ? absurd : broken, sizeof(broken));
		add_mat(&other, &v, i);
		CHECK(sd_mat_read(&m, "file", other.data, other.size, "X", 1000) == -1 &&
		      strstr(sd_error_text(), "whole numbers of 0 to 255"), "%s", sd_error_text());
		free(v.data);
		other.size = 0;
	}
	/* a cell array, of which libmatio would follow the references */
	v = variable("X", 1, 2, "\1\2\3\4\5\6", 6);
	add_mat(&other, &v, 0);
	CHECK(sd_mat_read(&m, "file", other.data, other.size, "X", 1000) == -1 &&
	      strstr(sd_error_text(), "no array of numbers"), "%s", sd_error_text());
	free(v.data);
	free(X.data);
	free(y.data);
	free(packed.data);
	free(plain.data);
	free(other.data);
}

/* ---- pictures ---- */

enum { H = 13, W = 17 };

static int read_picture(const uint8_t *file, size_t size)
{
	struct sd_picture p;
	uint32_t sum = 0;

	if (sd_picture_decode(&p, "file", file, size))
		return -1;
	for (int i = 0; i < 3 * p.H * p.W; i++)
		sum += p.pixels[i];
	sd_picture_release(&p);
	return sum == UINT32_MAX ? -1 : 0;
}

static struct bytes make_png(const uint8_t *pixels)
{
	struct bytes b = { 0 };
	char *data = NULL;
	FILE *f = open_memstream(&data, &b.size);

	if (!f || sd_picture_write(f, "file", H, W, pixels) || fclose(f))
		exit(2);
	b.data = (uint8_t *)data;
	return b;
}

static struct bytes make_jpeg(const uint8_t *pixels, int progressive)
{
	struct jpeg_compress_struct z;
	struct jpeg_error_mgr err;
	unsigned long size = 0;
	struct bytes b = { 0 };

	z.err = jpeg_std_error(&err);
	jpeg_create_compress(&z);
	jpeg_mem_dest(&z, &b.data, &size);
	z.image_width = W;
	z.image_height = H;
	z.input_components = 3;
	z.in_color_space = JCS_RGB;
	jpeg_set_defaults(&z);
	jpeg_set_quality(&z, 95, TRUE);
	if (progressive)
		jpeg_simple_progression(&z);
	jpeg_start_compress(&z, TRUE);
	while (z.next_scanline < H) {
		JSAMPROW row = (JSAMPROW)(pixels + 3 * W * z.next_scanline);

		jpeg_write_scanlines(&z, &row, 1);
	}
	jpeg_finish_compress(&z);
	jpeg_destroy_compress(&z);
	b.size = size;
	return b;
}

static void test_pictures(void)
{
	static const uint8_t sizes[8] = { 0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff };
	uint8_t pixels[3 * H * W];
	struct bytes png, jpeg;
	struct sd_picture p;
	int worst = 0;

	for (int i = 0; i < H * W; i++) {
		pixels[3 * i] = (uint8_t)(i / W * 19);
		pixels[3 * i + 1] = (uint8_t)(i % W * 15);
		pixels[3 * i + 2] = (uint8_t)(i % W * 7 + i / W * 7);
	}
	png = make_png(pixels);
	CHECK(!sd_picture_decode(&p, "file", png.data, png.size) && p.H == H && p.W == W &&
	      p.format == SD_PICTURE_PNG &&
	      !memcmp(p.pixels, pixels, sizeof(pixels)), "%s", sd_error_text());
	sd_picture_release(&p);
	/* all but the checksum of the last, empty chunk */
	torment("png", read_picture, &png, png.size - 4, 2000);
	memcpy(png.data + 16, sizes, 8);
	CHECK(sd_picture_decode(&p, "file", png.data, png.size) == -1);
	free(png.data);
	for (int progressive = 0; progressive < 2; progressive++) {
		jpeg = make_jpeg(pixels, progressive);
		CHECK(!sd_picture_decode(&p, "file", jpeg.data, jpeg.size) && p.H == H && p.W == W &&
		      p.format == SD_PICTURE_JPEG, "%s", sd_error_text());
		for (int i = 0; p.pixels && i < 3 * H * W; i++)
			worst = abs(p.pixels[i] - pixels[i]) > worst ? abs(p.pixels[i] - pixels[i]) : worst;
		CHECK(worst < 40, "%d off", worst);
		sd_picture_release(&p);
		torment(progressive ? "progressive jpeg" : "jpeg", read_picture, &jpeg, jpeg.size - 2, 2000);
		free(jpeg.data);
	}
	CHECK(sd_picture_decode(&p, "file", (const uint8_t *)"GIF89a", 6) == -1 &&
	      strstr(sd_error_text(), "neither JPEG nor PNG"));
	CHECK(sd_picture_name("a/B.JPEG") && sd_picture_name("x.png") && !sd_picture_name("png") &&
	      !sd_picture_name("x.gif"));
#ifdef LIBJPEG_TURBO_VERSION
	CHECK(!strcmp(sd_picture_jpeg_library(), "libjpeg-turbo " TEXT(LIBJPEG_TURBO_VERSION)), "%s",
	      sd_picture_jpeg_library());
#endif
	CHECK(!strncmp(sd_picture_jpeg_library(), "libjpeg", 7));
}

int main(void)
{
	test_pickle();
	test_arrays();
	test_gzip();
	test_mat();
	test_pictures();
	return check_done();
}
