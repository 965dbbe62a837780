/* picture.c: decoding JPEG and PNG, encoding PNG. */
#include <link.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jerror.h>
#include <jpeglib.h>
#include <png.h>

#include "base/err.h"
#include "data/picture.h"

/* Pixels that a byte of a file can stand for: one of deflate's for 1032 of 8 each in PNG, less in JPEG. */
enum { PIXELS_A_BYTE = 8256 };

/* A progressive file may ask for as much work as it likes with every scan; real ones have about ten. */
enum { MAX_SCANS = 100 };

/* The JPEG library that was loaded, which need not be the one whose headers this was compiled with. */
struct library {
	const char *constant;
	char name[64];
};

/* The version in "libjpeg-turbo version 2.1.5 (build 20230203)", which stands among the constants of the library:
 * no call tells it.  `data` is one of these constants, by which its segment is found. */
static int find_version(struct dl_phdr_info *info, size_t size, void *data)
{
	static const char before[] = "libjpeg-turbo version ";
	struct library *l = data;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = info->dlpi_addr + p->p_vaddr, at = (uintptr_t)l->constant;

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_R) || at < from || at - from >= p->p_memsz)
			continue;
		const char *c = (const char *)from, *end = c + p->p_memsz;

		while ((c = memmem(c, (size_t)(end - c), before, sizeof(before) - 1))) {
			c += sizeof(before) - 1;
			if (*c >= '0' && *c <= '9') /* in a static program there is `before` itself too */
				snprintf(l->name, sizeof(l->name), "libjpeg-turbo %.*s",
					 (int)strspn(c, "0123456789."), c);
		}
		return 1;
	}
	return 0;
}

const char *sd_picture_jpeg_library(void)
{
	static struct library l;
	struct jpeg_error_mgr err;

	jpeg_std_error(&err);
	l.constant = err.jpeg_message_table[JMSG_VERSION];
	snprintf(l.name, sizeof(l.name), "libjpeg %s", l.constant);
	dl_iterate_phdr(find_version, &l);
	return l.name;
}

static int check_size(const char *name, size_t size, unsigned long H, unsigned long W)
{
	if (!H || !W || H > SD_PICTURE_SIDE || W > SD_PICTURE_SIDE || H * W > SD_PICTURE_PIXELS)
		return sd_error(SD_ERR_DATA,
				"%s: a picture of %lu x %lu pixels, at most %d on a side and %d in all are "
				"expected", name, W, H, SD_PICTURE_SIDE, SD_PICTURE_PIXELS);
	if (H * W / PIXELS_A_BYTE > size)
		return sd_error(SD_ERR_DATA, "%s: %lu x %lu pixels are more than %zu bytes can hold", name, W,
				H, size);
	return 0;
}

static int make_room(struct sd_picture *p, const char *name, size_t size, unsigned long H, unsigned long W)
{
	if (check_size(name, size, H, W))
		return -1;
	p->H = (int)H;
	p->W = (int)W;
	p->pixels = malloc(3 * H * W);
	return p->pixels ? 0 : sd_error(SD_ERR_IO, "out of memory for '%s'", name);
}

/* ---- JPEG ---- */

struct jpeg {
	struct jpeg_error_mgr err;
	struct jpeg_decompress_struct z;
	struct jpeg_progress_mgr progress;
	jmp_buf back;
	const char *name;
	uint8_t *cmyk;  /* a row */
};

static void jpeg_fail(j_common_ptr z)
{
	struct jpeg *j = (struct jpeg *)z->err;
	char text[JMSG_LENGTH_MAX];

	z->err->format_message(z, text);
	sd_error(SD_ERR_DATA, "%s: jpeg: %s", j->name, text);
	longjmp(j->back, 1);
}

/* Warnings are about data that is damaged, but for a few that change no pixel. */
static void jpeg_message(j_common_ptr z, int level)
{
	int code = z->err->msg_code;

	if (level < 0 && code != JWRN_EXTRANEOUS_DATA && code != JWRN_JFIF_MAJOR && code != JWRN_ADOBE_XFORM)
		jpeg_fail(z);
}

static void jpeg_progress(j_common_ptr z)
{
	struct jpeg *j = (struct jpeg *)z->err;

	if (((j_decompress_ptr)z)->input_scan_number > MAX_SCANS) {
		sd_error(SD_ERR_DATA, "%s: jpeg: more than %d scans", j->name, MAX_SCANS);
		longjmp(j->back, 1);
	}
}

/* x * y / 255, rounded. */
static uint8_t scaled(unsigned x, unsigned y)
{
	unsigned t = x * y + 128;

	return (uint8_t)((t + (t >> 8)) >> 8);
}

/* Adobe's CMYK, which is stored inverted. */
static void cmyk_row(const uint8_t *in, int W, uint8_t *out)
{
	for (int x = 0; x < W; x++, in += 4, out += 3)
		for (int c = 0; c < 3; c++) {
			unsigned light = in[3], ink = 255u - in[c];

			out[c] = (uint8_t)(light - scaled(ink, light));
		}
}

static int decode_jpeg(struct sd_picture *p, const char *name, const uint8_t *file, size_t size)
{
	struct jpeg *j = calloc(1, sizeof(*j));
	volatile int ret = -1;  /* kept over a longjmp */

	if (!j)
		return sd_error(SD_ERR_IO, "out of memory for '%s'", name);
	j->name = name;
	j->z.err = jpeg_std_error(&j->err);
	j->err.error_exit = jpeg_fail;
	j->err.emit_message = jpeg_message;
	j->progress.progress_monitor = jpeg_progress;
	if (setjmp(j->back))
		goto out;
	jpeg_create_decompress(&j->z);
	j->z.progress = &j->progress;
	jpeg_mem_src(&j->z, file, size);
	jpeg_read_header(&j->z, TRUE);
	if (make_room(p, name, size, j->z.image_height, j->z.image_width))
		goto out;
	j->z.out_color_space = j->z.num_components == 4 ? JCS_CMYK : JCS_RGB;
	j->z.dct_method = JDCT_ISLOW;
	j->z.do_fancy_upsampling = TRUE;
	j->cmyk = j->z.num_components == 4 ? malloc(4 * (size_t)p->W) : NULL;
	if (j->z.num_components == 4 && !j->cmyk) {
		sd_error(SD_ERR_IO, "out of memory for '%s'", name);
		goto out;
	}
	jpeg_start_decompress(&j->z);
	while (j->z.output_scanline < j->z.output_height) {
		uint8_t *to = p->pixels + 3 * (size_t)p->W * j->z.output_scanline;
		uint8_t *row = j->cmyk ? j->cmyk : to;

		jpeg_read_scanlines(&j->z, &row, 1);
		if (j->cmyk)
			cmyk_row(j->cmyk, p->W, to);
	}
	jpeg_finish_decompress(&j->z);
	ret = 0;
out:
	jpeg_destroy_decompress(&j->z);
	free(j->cmyk);
	free(j);
	return ret;
}

/* ---- PNG ---- */

struct png {
	png_structp z;
	png_infop info;
	const char *name;
	const uint8_t *file;
	size_t size, at;
	uint8_t **rows;
};

static void png_fail(png_structp z, png_const_charp text)
{
	struct png *g = png_get_error_ptr(z);

	sd_error(SD_ERR_DATA, "%s: png: %s", g->name, text);
	png_longjmp(z, 1);
}

static void png_quiet(png_structp z, png_const_charp text)
{
	(void)z;
	(void)text;
}

static void png_bytes(png_structp z, png_bytep to, size_t n)
{
	struct png *g = png_get_io_ptr(z);

	if (n > g->size - g->at)
		png_error(z, "the file is cut short");
	memcpy(to, g->file + g->at, n);
	g->at += n;
}

static int decode_png(struct sd_picture *p, const char *name, const uint8_t *file, size_t size)
{
	struct png *g = calloc(1, sizeof(*g));
	volatile int ret = -1;  /* kept over a longjmp */

	if (!g)
		return sd_error(SD_ERR_IO, "out of memory for '%s'", name);
	*g = (struct png){ .name = name, .file = file, .size = size };
	g->z = png_create_read_struct(PNG_LIBPNG_VER_STRING, g, png_fail, png_quiet);
	g->info = g->z ? png_create_info_struct(g->z) : NULL;
	if (!g->info) {
		sd_error(SD_ERR_IO, "out of memory for '%s'", name);
		goto out;
	}
	if (setjmp(png_jmpbuf(g->z)))
		goto out;
	png_set_read_fn(g->z, g, png_bytes);
	png_set_user_limits(g->z, SD_PICTURE_SIDE, SD_PICTURE_SIDE);
	png_set_chunk_malloc_max(g->z, 8 << 20);
	png_set_crc_action(g->z, PNG_CRC_ERROR_QUIT, PNG_CRC_WARN_DISCARD);
	png_read_info(g->z, g->info);
	if (make_room(p, name, size, png_get_image_height(g->z, g->info), png_get_image_width(g->z, g->info)))
		goto out;
	png_set_scale_16(g->z);
	png_set_palette_to_rgb(g->z);
	png_set_expand_gray_1_2_4_to_8(g->z);
	png_set_strip_alpha(g->z);
	png_set_gray_to_rgb(g->z);
	png_set_interlace_handling(g->z);
	png_read_update_info(g->z, g->info);
	if (png_get_rowbytes(g->z, g->info) != 3 * (size_t)p->W)
		png_error(g->z, "a kind of pixels that is not known");
	g->rows = malloc((size_t)p->H * sizeof(*g->rows));
	if (!g->rows) {
		sd_error(SD_ERR_IO, "out of memory for '%s'", name);
		goto out;
	}
	for (int y = 0; y < p->H; y++)
		g->rows[y] = p->pixels + 3 * (size_t)p->W * (size_t)y;
	png_read_image(g->z, g->rows);
	png_read_end(g->z, NULL);
	ret = 0;
out:
	png_destroy_read_struct(&g->z, &g->info, NULL);
	free(g->rows);
	free(g);
	return ret;
}

int sd_picture_decode(struct sd_picture *p, const char *name, const uint8_t *file, size_t size)
{
	int ret;

	*p = (struct sd_picture){ 0 };
	if (size >= 3 && !memcmp(file, "\xff\xd8\xff", 3)) {
		p->format = SD_PICTURE_JPEG;
		ret = decode_jpeg(p, name, file, size);
	} else if (size >= 8 && !memcmp(file, "\x89PNG\r\n\x1a\n", 8)) {
		p->format = SD_PICTURE_PNG;
		ret = decode_png(p, name, file, size);
	} else {
		return sd_error(SD_ERR_DATA, "%s: this is neither JPEG nor PNG", name);
	}
	if (ret)
		sd_picture_release(p);
	return ret;
}

void sd_picture_release(struct sd_picture *p)
{
	free(p->pixels);
	p->pixels = NULL;
}

int sd_picture_name(const char *name)
{
	const char *end = strrchr(name, '.');

	return end && (!strcasecmp(end, ".jpg") || !strcasecmp(end, ".jpeg") || !strcasecmp(end, ".png"));
}

int sd_picture_write(FILE *f, const char *name, int H, int W, const uint8_t *pixels)
{
	struct png g = { .name = name };
	volatile int ret = -1;  /* kept over a longjmp */

	g.z = png_create_write_struct(PNG_LIBPNG_VER_STRING, &g, png_fail, png_quiet);
	g.info = g.z ? png_create_info_struct(g.z) : NULL;
	if (!g.info) {
		sd_error(SD_ERR_IO, "out of memory for '%s'", name);
		goto out;
	}
	if (setjmp(png_jmpbuf(g.z))) {
		sd_error_in("cannot write");
		goto out;
	}
	png_init_io(g.z, f);
	png_set_IHDR(g.z, g.info, (png_uint_32)W, (png_uint_32)H, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
		     PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	png_write_info(g.z, g.info);
	for (int y = 0; y < H; y++)
		png_write_row(g.z, pixels + 3 * (size_t)W * (size_t)y);
	png_write_end(g.z, NULL);
	ret = 0;
out:
	png_destroy_write_struct(&g.z, &g.info);
	return ret;
}
