/* files.c: picking out, unpacking, naming what is missing. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "base/err.h"
#include "data/files.h"

uint8_t *sd_gunzip(const char *name, const uint8_t *data, size_t size, size_t most, size_t *out)
{
	z_stream z = { 0 };
	size_t have = 0, room = 0, at = 0;
	uint8_t *buf = NULL;
	int r = Z_OK;

	if (inflateInit2(&z, 15 + 16) != Z_OK) {
		sd_error(SD_ERR_IO, "out of memory for '%s'", name);
		return NULL;
	}
	while (r != Z_STREAM_END) {
		if (have == room) {
			size_t more = room ? 2 * room : 1 << 16;
			uint8_t *bigger;

			if (more > most + 1)
				more = most + 1;
			bigger = have > most ? NULL : realloc(buf, more + 1);
			if (!bigger) {
				if (have > most)
					sd_error(SD_ERR_DATA, "%s: gzip: it holds more than %zu bytes", name,
						 most);
				else
					sd_error(SD_ERR_IO, "out of memory for '%s'", name);
				goto fail;
			}
			buf = bigger;
			room = more;
		}
		/* zlib counts in unsigned int */
		z.next_in = (Bytef *)data + at;
		z.avail_in = size - at > 1 << 30 ? 1 << 30 : (uInt)(size - at);
		z.next_out = buf + have;
		z.avail_out = room - have > 1 << 30 ? 1 << 30 : (uInt)(room - have);
		r = inflate(&z, Z_NO_FLUSH);
		at = (size_t)(z.next_in - data);
		have = (size_t)(z.next_out - buf);
		if (r != Z_OK && r != Z_STREAM_END && !(r == Z_BUF_ERROR && at < size)) {
			sd_error(SD_ERR_DATA, "%s: gzip: %s", name,
				 r == Z_BUF_ERROR ? "the file is cut short" : z.msg ? z.msg : "damaged");
			goto fail;
		}
		if (r == Z_OK && at == size && have < room) {
			sd_error(SD_ERR_DATA, "%s: gzip: the file is cut short", name);
			goto fail;
		}
	}
	if (have > most) {
		sd_error(SD_ERR_DATA, "%s: gzip: it holds more than %zu bytes", name, most);
		goto fail;
	}
	inflateEnd(&z);
	buf[have] = 0;
	*out = have;
	return buf;
fail:
	inflateEnd(&z);
	free(buf);
	return NULL;
}

/* Which of the wanted files this is: its number, or -1. */
static int which(const struct sd_wanted *want, int n, const char *base, int *packed)
{
	for (int i = 0; i < n; i++) {
		size_t len = strlen(want[i].name);

		if (strncmp(base, want[i].name, len))
			continue;
		*packed = !strcmp(base + len, ".gz");
		if (!base[len] || *packed)
			return i;
	}
	return -1;
}

/* Reads the present entry into f; the path is set already. */
static int take(struct sd_archive *a, size_t most, struct sd_found *f)
{
	if (f->packed) {
		/* nobody's compressed file is larger than what is in it, but for a small header */
		size_t size;
		uint8_t *packed = sd_archive_slurp(a, most + 4096, &size);

		if (!packed)
			return -1;
		f->data = sd_gunzip(f->path, packed, size, most, &f->size);
		free(packed);
	} else {
		f->data = sd_archive_slurp(a, most, &f->size);
	}
	if (!f->data)
		return -1;
	if (!f->size)
		return sd_error(SD_ERR_DATA, "%s: the file is empty", f->path);
	return 0;
}

int sd_files_collect(struct sd_archive *a, const struct sd_wanted *want, int n, struct sd_found *found,
		     sd_files_other *other, void *arg)
{
	struct sd_archive_entry e;
	int more;

	memset(found, 0, (size_t)n * sizeof(*found));
	while ((more = sd_archive_next(a, &e)) == 1) {
		int packed, i;

		if (e.bare)
			return sd_error(SD_ERR_DATA, "%s: this is no archive (tar or zip)",
					sd_archive_name(a));
		i = which(want, n, e.base, &packed);
		if (i < 0) {
			if (other && other(a, &e, arg))
				return -1;
			continue;
		}
		if (found[i].data) {
			if (found[i].packed == packed)
				return sd_error(SD_ERR_DATA, "%s: %s: a second file of that name",
						sd_archive_name(a), e.path);
			if (packed)
				continue;
			sd_files_release(&found[i], 1);
		}
		found[i].packed = packed;
		if (asprintf(&found[i].path, "%s: %s", sd_archive_name(a), e.path) < 0) {
			found[i].path = NULL;
			return sd_error(SD_ERR_IO, "out of memory for '%s'", sd_archive_name(a));
		}
		if (take(a, want[i].most, &found[i]))
			return -1;
	}
	return more;
}

void sd_files_release(struct sd_found *found, int n)
{
	for (int i = 0; i < n; i++) {
		free(found[i].data);
		free(found[i].path);
	}
	memset(found, 0, (size_t)n * sizeof(*found));
}

int sd_files_need(const struct sd_archive *a, const struct sd_wanted *want, const struct sd_found *found,
		  int n)
{
	for (int i = 0; i < n; i++)
		if (!found[i].data)
			return sd_error(SD_ERR_DATA, "%s: there is no %s", sd_archive_name(a), want[i].name);
	return 0;
}

int sd_files_names(const struct sd_found *f, int n, char (*names)[SD_NAME_MAX])
{
	const char *p = (const char *)f->data, *end = p + f->size;
	int have = 0;

	while (p < end) {
		const char *line = p, *stop = memchr(p, '\n', (size_t)(end - p));
		size_t len;

		if (!stop)
			stop = end;
		p = stop + 1;
		for (len = (size_t)(stop - line); len && isspace((unsigned char)line[len - 1]); len--)
			;
		if (!len)
			continue;
		if (have == n || len >= SD_NAME_MAX)
			goto bad;
		for (size_t i = 0; i < len; i++)
			if (!isgraph((unsigned char)line[i]) && line[i] != ' ')
				goto bad;
		memcpy(names[have], line, len);
		names[have++][len] = 0;
	}
	if (have == n)
		return 0;
bad:
	return sd_error(SD_ERR_DATA, "%s: %d class names of printable text are expected, one a line", f->path,
			n);
}
