/* h5file.c: libhdf5's way to a file, a driver over a descriptor.
 *
 * The library's own drivers ask for the real path of what they open, and our files have none while they are
 * written or when they came through a pipe; and when a write fails while a file is closed, libhdf5 1.10 keeps the
 * half-closed file and crashes at exit.  So it never learns of a failed write: the first one is noted, later ones
 * are dropped, and who wrote asks afterwards.  (A process that has nothing else to do ends at once.) */
#include "artifact/h5.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

struct file {
	H5FD_t pub;
	struct sd_h5_io *io;
	haddr_t eoa;  /* end of what libhdf5 has given out */
	haddr_t eof;
};

/* What a file access list carries: a pointer, so that the descriptor's owner hears of errors. */
struct info {
	struct sd_h5_io *io;
};

static struct sd_h5_io *info_io(hid_t fapl)
{
	const struct info *info = H5Pget_driver_info(fapl);

	return info ? info->io : NULL;
}

static void note(struct sd_h5_io *io, int error)
{
	if (io->quits)
		_exit(error);
	if (!io->error)
		io->error = error;
}

static H5FD_t *file_open(const char *name, unsigned flags, hid_t fapl, haddr_t maxaddr)
{
	struct sd_h5_io *io = info_io(fapl);
	struct file *f;
	struct stat st;
	off_t end;

	(void)name;
	(void)maxaddr;
	if (!io)
		return NULL;
	/* not by seeking: the descriptor's position may be shared with standard input */
	end = fstat(io->fd, &st) == 0 ? st.st_size : -1;
	if (end >= 0 && (flags & H5F_ACC_TRUNC))
		end = ftruncate(io->fd, 0);
	f = end >= 0 ? calloc(1, sizeof(*f)) : NULL;
	if (!f) {
		note(io, errno);
		return NULL;
	}
	f->io = io;
	f->eof = (haddr_t)end;
	return &f->pub;
}

static herr_t file_close(H5FD_t *file)
{
	free(file);
	return 0;
}

/* Files are the same if they are one `io`: a descriptor's number may mean another file in the process that reads,
 * where what its parent had open is still listed. */
static int file_cmp(const H5FD_t *a, const H5FD_t *b)
{
	uintptr_t x = (uintptr_t)((const struct file *)a)->io, y = (uintptr_t)((const struct file *)b)->io;

	return (x > y) - (x < y);
}

/* As the stdio driver's, which lays files out as they always were. */
static herr_t file_query(const H5FD_t *file, unsigned long *flags)
{
	(void)file;
	*flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
		H5FD_FEAT_AGGREGATE_SMALLDATA;
	return 0;
}

static haddr_t file_get_eoa(const H5FD_t *file, H5FD_mem_t type)
{
	(void)type;
	return ((const struct file *)file)->eoa;
}

static herr_t file_set_eoa(H5FD_t *file, H5FD_mem_t type, haddr_t addr)
{
	(void)type;
	((struct file *)file)->eoa = addr;
	return 0;
}

static haddr_t file_get_eof(const H5FD_t *file, H5FD_mem_t type)
{
	(void)type;
	return ((const struct file *)file)->eof;
}

static bool in_range(haddr_t addr, size_t n)
{
	return addr <= INT64_MAX && n <= (haddr_t)INT64_MAX - addr;
}

/* What lies between the file's end and eoa reads as zeros. */
static herr_t file_read(H5FD_t *file, H5FD_mem_t type, hid_t dxpl, haddr_t addr, size_t n, void *buf)
{
	struct file *f = (struct file *)file;
	char *p = buf;

	(void)type;
	(void)dxpl;
	if (!in_range(addr, n) || addr + n > f->eoa)
		return -1;
	while (n) {
		ssize_t k = pread(f->io->fd, p, n, (off_t)addr);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0) {
			note(f->io, errno);
			return -1;
		}
		if (k == 0) {
			memset(p, 0, n);
			break;
		}
		p += k;
		n -= (size_t)k;
		addr += (haddr_t)k;
	}
	return 0;
}

static herr_t file_write(H5FD_t *file, H5FD_mem_t type, hid_t dxpl, haddr_t addr, size_t n, const void *buf)
{
	struct file *f = (struct file *)file;
	const char *p = buf;

	(void)type;
	(void)dxpl;
	if (!in_range(addr, n))
		return -1;
	while (n && !f->io->error) {
		ssize_t k = pwrite(f->io->fd, p, n, (off_t)addr);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0) {
			note(f->io, errno);
			break;
		}
		p += k;
		n -= (size_t)k;
		addr += (haddr_t)k;
	}
	if (addr + n > f->eof)
		f->eof = addr + n;
	return 0;
}

static herr_t file_truncate(H5FD_t *file, hid_t dxpl, hbool_t closing)
{
	struct file *f = (struct file *)file;
	int rc;

	(void)dxpl;
	(void)closing;
	if (f->eof == f->eoa || f->io->error)
		return 0;
	do
		rc = ftruncate(f->io->fd, (off_t)f->eoa);
	while (rc != 0 && errno == EINTR);
	if (rc != 0)
		note(f->io, errno);
	f->eof = f->eoa;
	return 0;
}

static const H5FD_class_t driver = {
#if H5_VERSION_GE(1, 13, 0)
	.version = H5FD_CLASS_VERSION,
	.value = 500, /* 256 to 511 are for one's own use */
#endif
	.name = "descriptor",
	.maxaddr = INT64_MAX,
	.fc_degree = H5F_CLOSE_STRONG,
	.fapl_size = sizeof(struct info),
	.open = file_open,
	.close = file_close,
	.cmp = file_cmp,
	.query = file_query,
	.get_eoa = file_get_eoa,
	.set_eoa = file_set_eoa,
	.get_eof = file_get_eof,
	.read = file_read,
	.write = file_write,
	.truncate = file_truncate,
	.fl_map = H5FD_FLMAP_DICHOTOMY,
};

int sd_h5_use(hid_t fapl, struct sd_h5_io *io)
{
	static hid_t id = -1;
	struct info info = { io };

	if (id < 0)
		id = H5FDregister(&driver);
	return id < 0 || H5Pset_driver(fapl, id, &info) < 0 ? -1 : 0;
}
