/* h5.c: what writing and reading artifacts have in common. */
#include "artifact/h5.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "digests are taken over memory as it is");

/* ---- user block ---- */

#define MAGIC "sharpdarts 1 "

static int render(const struct sd_user_block *u, char line[SD_USER_BLOCK])
{
	return snprintf(line, SD_USER_BLOCK, MAGIC "kind=%s id=%s tool=%s length=%" PRIu64 " sha256=%s",
			u->kind, u->id, u->tool, u->length, u->sha256);
}

void sd_user_block_write(const struct sd_user_block *u, char line[SD_USER_BLOCK])
{
	int n = render(u, line);
	uint8_t digest[SD_SHA256_LEN];
	char hex[SD_ID_LEN];

	sd_sha256(line, (size_t)n, digest);
	sd_sha256_hex(digest, hex);
	n += snprintf(line + n, (size_t)(SD_USER_BLOCK - n), " check=%s", hex);
	memset(line + n, ' ', (size_t)(SD_USER_BLOCK - n));
	line[SD_USER_BLOCK - 1] = '\n';
}

int sd_user_block_read(struct sd_user_block *u, const char line[SD_USER_BLOCK])
{
	char text[SD_USER_BLOCK + 1], again[SD_USER_BLOCK];

	memcpy(text, line, SD_USER_BLOCK);
	text[SD_USER_BLOCK] = '\0';
	if (strncmp(text, MAGIC, strlen(MAGIC)) != 0)
		return sd_error(SD_ERR_DATA, "user block: not the beginning of an artifact");
	if (sscanf(text, MAGIC "kind=%32s id=%64s tool=%32s length=%" SCNu64 " sha256=%64s", u->kind, u->id,
		   u->tool, &u->length, u->sha256) != 5)
		return sd_error(SD_ERR_DATA, "user block: damaged");
	sd_user_block_write(u, again);
	if (memcmp(again, line, SD_USER_BLOCK) != 0)
		return sd_error(SD_ERR_DATA, "user block: damaged");
	return 0;
}

int sd_user_block_fill(struct sd_user_block *u, int fd, const char *name)
{
	uint8_t digest[SD_SHA256_LEN];
	char line[SD_USER_BLOCK];
	uint64_t size;

	if (sd_sha256_fd(fd, SD_USER_BLOCK, name, digest, &size) < 0)
		return -1;
	u->length = SD_USER_BLOCK + size;
	sd_sha256_hex(digest, u->sha256);
	sd_user_block_write(u, line);
	return sd_pwrite_all(fd, line, sizeof(line), 0, name);
}

/* ---- libhdf5 ---- */

/* libhdf5 does not survive its start without memory. */
#define START ((size_t)32 << 20)

int sd_h5_room(void)
{
	void *probe = malloc(START);

	if (!probe)
		return sd_error(SD_ERR_IO, "out of memory for libhdf5");
	free(probe);
	return 0;
}

int sd_h5_init(void)
{
	if (sd_h5_room() < 0)
		return -1;
	H5dont_atexit(); /* all that is opened is closed, or is not worth a crash at the end */
	H5open();
	H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
	H5PLset_loading_state(0);
	return 0;
}

hid_t sd_h5_access(struct sd_h5_io *io)
{
	hid_t fapl = H5Pcreate(H5P_FILE_ACCESS);

	if (fapl < 0 || sd_h5_use(fapl, io) < 0 ||
	    H5Pset_libver_bounds(fapl, H5F_LIBVER_V18, H5F_LIBVER_V18) < 0 ||
	    H5Pset_fclose_degree(fapl, H5F_CLOSE_STRONG) < 0) {
		H5Pclose(fapl);
		return sd_h5_error(SD_ERR_BUG, "libhdf5");
	}
	return fapl;
}

hid_t sd_h5_type(enum sd_type type, size_t size)
{
	hid_t t;

	switch (type) {
	case SD_TYPE_U8: return H5Tcopy(H5T_STD_U8LE);
	case SD_TYPE_I32: return H5Tcopy(H5T_STD_I32LE);
	case SD_TYPE_U32: return H5Tcopy(H5T_STD_U32LE);
	case SD_TYPE_I64: return H5Tcopy(H5T_STD_I64LE);
	case SD_TYPE_U64: return H5Tcopy(H5T_STD_U64LE);
	case SD_TYPE_F32: return H5Tcopy(H5T_IEEE_F32LE);
	case SD_TYPE_F64: return H5Tcopy(H5T_IEEE_F64LE);
	default:
		t = H5Tcopy(H5T_C_S1);
		if (H5Tset_size(t, size) < 0 || H5Tset_strpad(t, H5T_STR_NULLPAD) < 0 ||
		    H5Tset_cset(t, H5T_CSET_UTF8) < 0) {
			H5Tclose(t);
			return -1;
		}
		return t;
	}
}

/* The walk goes upward from where it went wrong: the first entry is the reason. */
static herr_t first_entry(unsigned n, const H5E_error2_t *e, void *buf)
{
	if (n == 0)
		snprintf(buf, 256, "%s", e->desc ? e->desc : "");
	return 0;
}

int sd_h5_error(enum sd_err_kind kind, const char *fmt, ...)
{
	char what[512], why[256] = "";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first_entry, why);
	return sd_error(kind, "%s%s%s", what, *why ? ": " : "", why);
}

/* ---- paths ---- */

bool sd_path_ok(const char *path)
{
	static const char *const taken[] = { "manifest", "ancestors", "digests", "blocks", "signatures" };
	const char *p = path;

	if (*p != '/' || strlen(path) > 1024)
		return false;
	for (int depth = 0; *p == '/'; depth++) {
		const char *name = ++p;
		size_t n = strcspn(p, "/");

		if (depth == 14 || n == 0 || (n == 1 && name[0] == '.') || (n == 2 && !memcmp(name, "..", 2)))
			return false;
		for (size_t i = 0; i < n; i++)
			if (name[i] <= ' ' || name[i] > '~')
				return false;
		for (size_t i = 0; depth == 0 && i < sizeof(taken) / sizeof(taken[0]); i++)
			if (strlen(taken[i]) == n && memcmp(taken[i], name, n) == 0)
				return false;
		p += n;
	}
	return true;
}
