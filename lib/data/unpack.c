/* unpack.c: read, hash, decompress, check. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <zlib.h>

#include "base/err.h"
#include "base/sha256.h"
#include "data/unpack.h"

enum { BLOCK = 1 << 18 };

struct sd_unpack {
	int fd;
	uint64_t in, out, most;   /* bytes read, bytes given out, and how many of these there may be */
	struct sd_sha256 sha;     /* of what was read */
	uint8_t *block;           /* as read */
	ssize_t first;            /* bytes of the first block, -1 once it is used */
	int gzip;
	int member;               /* in the middle of a gzip member */
	z_stream z;
	uint8_t *inflated;
	struct archive *filter;
	int told;                 /* the message is set already */
	int ended;
};

static ssize_t read_block(struct sd_unpack *u)
{
	ssize_t got;

	do {
		got = read(u->fd, u->block, BLOCK);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return sd_error_errno("after %llu bytes", (unsigned long long)u->in);
	sd_sha256_update(&u->sha, u->block, (size_t)got);
	u->in += (uint64_t)got;
	return got;
}

static ssize_t next_block(struct sd_unpack *u)
{
	ssize_t got = u->first;

	u->first = -1;
	return got >= 0 ? got : read_block(u);
}

/* The next bytes of what a gzip file holds; members behind one another are one, and zero bytes may follow. */
static ssize_t next_inflated(struct sd_unpack *u)
{
	z_stream *z = &u->z;

	z->next_out = u->inflated;
	z->avail_out = BLOCK;
	while (z->avail_out == BLOCK) {
		int r;

		if (!z->avail_in) {
			ssize_t got = next_block(u);

			if (got < 0)
				return -1;
			if (!got)
				return u->member ? sd_error(SD_ERR_DATA, "gzip: the file is cut short") : 0;
			z->next_in = u->block;
			z->avail_in = (uInt)got;
		}
		if (!u->member && !*z->next_in) {
			z->next_in++;
			z->avail_in--;
			continue;
		}
		u->member = 1;
		r = inflate(z, Z_NO_FLUSH);
		if (r == Z_STREAM_END) {
			u->member = 0;
			inflateReset(z);
		} else if (r != Z_OK && r != Z_BUF_ERROR) {
			return sd_error(SD_ERR_DATA, "gzip: %s", z->msg ? z->msg : "damaged");
		}
	}
	return BLOCK - z->avail_out;
}

static la_ssize_t feed(struct archive *la, void *arg, const void **buf)
{
	struct sd_unpack *u = arg;
	ssize_t got = u->gzip ? next_inflated(u) : next_block(u);

	*buf = u->gzip ? u->inflated : u->block;
	if (got < 0) {
		u->told = 1;
		archive_set_error(la, EIO, "%s", sd_error_text());
	}
	return got;
}

static int filter_error(struct sd_unpack *u)
{
	const char *text = archive_error_string(u->filter);

	return u->told ? -1 : sd_error(SD_ERR_DATA, "%s", text ? text : "damaged");
}

struct sd_unpack *sd_unpack_new(int fd, uint64_t most)
{
	struct sd_unpack *u = calloc(1, sizeof(*u));
	struct archive_entry *e;
	int r;

	if (!u) {
		close(fd);
		sd_error(SD_ERR_IO, "out of memory");
		return NULL;
	}
	u->fd = fd;
	u->most = most;
	sd_sha256_init(&u->sha);
	u->block = malloc(BLOCK);
	u->inflated = malloc(BLOCK);
	u->filter = archive_read_new();
	if (!u->block || !u->inflated || !u->filter || inflateInit2(&u->z, 15 + 16) != Z_OK) {
		sd_error(SD_ERR_IO, "out of memory");
		goto fail;
	}
	u->first = read_block(u);
	if (u->first < 0)
		goto fail;
	u->gzip = u->first >= 2 && u->block[0] == 0x1f && u->block[1] == 0x8b;
	archive_read_support_filter_bzip2(u->filter);
	archive_read_support_filter_xz(u->filter);
	archive_read_support_filter_lzma(u->filter);
	archive_read_support_filter_lzip(u->filter);
	archive_read_support_filter_zstd(u->filter);
	archive_read_support_filter_lz4(u->filter);
	archive_read_support_filter_compress(u->filter);
	archive_read_support_format_raw(u->filter);
	archive_read_support_format_empty(u->filter);
	r = archive_read_open2(u->filter, u, NULL, feed, NULL, NULL);
	if (r >= ARCHIVE_WARN)
		r = archive_read_next_header(u->filter, &e);
	if (r == ARCHIVE_EOF)
		u->ended = 1;
	else if (r < ARCHIVE_WARN) {
		filter_error(u);
		goto fail;
	}
	return u;
fail:
	sd_unpack_free(u);
	return NULL;
}

void sd_unpack_free(struct sd_unpack *u)
{
	if (!u)
		return;
	if (u->filter)
		archive_read_free(u->filter);
	inflateEnd(&u->z);
	sd_sha256_release(&u->sha);
	close(u->fd);
	free(u->block);
	free(u->inflated);
	free(u);
}

ssize_t sd_unpack_next(struct sd_unpack *u, const void **piece)
{
	la_int64_t at;
	size_t n = 0;
	int r = ARCHIVE_OK;

	while (!u->ended && !n && r != ARCHIVE_EOF) {
		r = archive_read_data_block(u->filter, piece, &n, &at);
		if (r != ARCHIVE_RETRY && r < ARCHIVE_OK)
			return filter_error(u);
	}
	if (!n) {
		u->ended = 1;
		return 0;
	}
	if (n > u->most - u->out)
		return sd_error(SD_ERR_DATA, "it holds more than %llu bytes", (unsigned long long)u->most);
	u->out += n;
	return (ssize_t)n;
}

int sd_unpack_finish(struct sd_unpack *u, uint64_t *size, char sha256[65])
{
	uint8_t digest[SD_SHA256_LEN];
	const void *piece;
	ssize_t got;

	while ((got = sd_unpack_next(u, &piece)) > 0)
		;
	if (got < 0)
		return -1;
	/* libarchive need not have asked for the end */
	while ((got = u->gzip ? next_inflated(u) : next_block(u)) > 0)
		;
	if (got < 0)
		return -1;
	sd_sha256_final(&u->sha, digest);
	sd_sha256_hex(digest, sha256);
	*size = u->in;
	return 0;
}
