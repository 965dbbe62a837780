/* inside.c: libhdf5 in a process of its own.
 *
 * The hash in front of an artifact keeps accidents from libhdf5, which crashes on many a damaged file, but not
 * whoever makes a bad file on purpose and hashes it.  So the library reads in a child that has one file, one socket
 * and the system calls it needs for these (seccomp), limits on memory and time, and nothing it could change.  The
 * reader asks it for rows of bytes and checks what comes: sizes here, contents against the digests.  Taken over, the
 * child could say no more than what a file may hold anyhow. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "artifact/confine.h"
#include "artifact/read.h"
#include "base/file.h"

/* Rows are sent in portions of about this size. */
#define PORTION ((uint64_t)1 << 20)
/* In front of every answer: what kind of error (then the bytes are its text), and how many bytes. */
struct head {
	uint64_t kind, bytes;
};

struct request {
	uint64_t entry, first, n;
};

/* ---- the child ---- */

static void say(const void *data, uint64_t n)
{
	if (sd_write_all(SD_CONFINED_SOCKET, data, (size_t)n, "socket") < 0)
		_exit(errno);
}

static void answer(enum sd_err_kind kind, const void *data, uint64_t n)
{
	struct head h = { (uint64_t)kind, n };

	say(&h, sizeof(h));
	say(data, n);
}

static void answer_error(void)
{
	answer(sd_error_kind(), sd_error_text(), strlen(sd_error_text()));
}

static int open_file(struct sd_artifact *art)
{
	hid_t fapl = sd_h5_access(&art->io);

	if (fapl < 0)
		return -1;
	H5Pset_cache(fapl, 0, 521, (size_t)16 << 20, 1.0);
	art->file = H5Fopen("/input", H5F_ACC_RDONLY, fapl); /* a label; an absolute one needs no getcwd */
	H5Pclose(fapl);
	return art->file < 0 ? sd_h5_error(SD_ERR_DATA, "HDF5 structure") : 0;
}

static void add_number(struct sd_str *s, uint64_t v)
{
	sd_str_add(s, &v, sizeof(v));
}

static void add_bytes(struct sd_str *s, const void *data, size_t n)
{
	add_number(s, n);
	if (n)
		sd_str_add(s, data, n);
}

static void add_text(struct sd_str *s, const char *text)
{
	add_bytes(s, text, strlen(text));
}

static void answer_contents(const struct sd_artifact *art)
{
	struct sd_str s = SD_STR_INIT;

	add_text(&s, art->kind);
	add_text(&s, art->seal);
	add_bytes(&s, art->manifest, art->manifest_len);
	add_bytes(&s, art->digests, art->digests_len);
	add_bytes(&s, art->blocks, (size_t)art->nblocks * SD_SHA256_LEN);
	add_number(&s, (uint64_t)art->nancestor);
	for (int i = 0; i < art->nancestor; i++) {
		add_text(&s, art->ancestor_id[i]);
		add_text(&s, art->ancestor[i]);
	}
	add_number(&s, (uint64_t)art->nsignature);
	for (int i = 0; i < art->nsignature; i++) {
		add_text(&s, art->signature[i].keyid);
		add_bytes(&s, art->signature[i].text, art->signature[i].len);
	}
	add_number(&s, (uint64_t)art->nentry);
	for (int i = 0; i < art->nentry; i++) {
		const struct sd_dset *d = &art->entry[i].d;

		add_text(&s, d->path);
		add_number(&s, (uint64_t)d->type);
		add_number(&s, d->size);
		add_number(&s, (uint64_t)d->rank);
		for (int k = 0; k < d->rank; k++)
			add_number(&s, d->shape[k]);
	}
	answer(SD_ERR_NONE, s.s, s.len);
	sd_str_release(&s);
}

/* Rows of the first axis (a scalar has one) as they are. */
static int read_rows(const struct sd_entry *e, uint64_t first, uint64_t n, void *data)
{
	hsize_t start[SD_MAX_RANK] = { first }, count[SD_MAX_RANK];
	hid_t type = sd_h5_type(e->d.type, e->d.size), mem = -1, space = H5Dget_space(e->dset);
	int rc = -1;

	if (type < 0 || space < 0)
		goto out;
	for (int i = 0; i < e->d.rank; i++)
		count[i] = e->d.shape[i];
	if (e->d.rank) {
		count[0] = n;
		mem = H5Screate_simple(e->d.rank, count, NULL);
		if (mem < 0 || H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) < 0)
			goto out;
	}
	if (H5Dread(e->dset, type, e->d.rank ? mem : H5S_ALL, e->d.rank ? space : H5S_ALL, H5P_DEFAULT,
		    data) < 0)
		goto out;
	rc = 0;
out:
	if (rc < 0)
		sd_h5_error(SD_ERR_DATA, "%s: cannot be read", e->d.path);
	if (mem >= 0)
		H5Sclose(mem);
	if (space >= 0)
		H5Sclose(space);
	if (type >= 0)
		H5Tclose(type);
	return rc;
}

static void answer_rows(const struct sd_artifact *art, const struct request *r)
{
	const struct sd_entry *e = &art->entry[r->entry];
	uint64_t row = sd_entry_row(e), portion = row && row < PORTION ? PORTION / row : 1;
	char *buf;

	if (portion > r->n)
		portion = r->n;
	buf = malloc((size_t)(portion * row) + 1);
	if (!buf) {
		sd_error(SD_ERR_IO, "%s: no memory for %llu bytes", e->d.path,
			 (unsigned long long)(portion * row));
		answer_error();
		return;
	}
	for (uint64_t at = 0, n; at < r->n; at += n) {
		n = r->n - at < portion ? r->n - at : portion;
		if (read_rows(e, r->first + at, n, buf) < 0) {
			sd_h5_room(); /* without which a file is not to blame */
			answer_error();
			break;
		}
		answer(SD_ERR_NONE, buf, n * row);
	}
	free(buf);
}

static _Noreturn void serve(struct sd_artifact *art)
{
	struct request r;

	if (sd_h5_init() < 0 || open_file(art) < 0 || sd_scan(art) < 0) {
		sd_h5_room();
		answer_error();
		_exit(0);
	}
	answer_contents(art);
	for (;;) {
		size_t have = 0;

		while (have < sizeof(r)) {
			ssize_t k = read(SD_CONFINED_SOCKET, (char *)&r + have, sizeof(r) - have);

			if (k < 0 && errno == EINTR)
				continue;
			if (k <= 0)
				_exit(k < 0 ? errno : 0);
			have += (size_t)k;
		}
		answer_rows(art, &r);
	}
}

static _Noreturn void become_child(struct sd_artifact *art, int socket)
{
	sd_confine(art->fd, socket, art->length, false);
	art->io = (struct sd_h5_io){ .fd = SD_CONFINED_FILE, .quits = true };
	art->report = NULL;
	serve(art);
}

/* ---- the reader ---- */

/* The child has ended in mid-sentence: why. */
static int broken(struct sd_artifact *art)
{
	int status = 0, sig;
	pid_t pid;

	if (!art->child)
		return sd_error(SD_ERR_DATA, "HDF5 structure: libhdf5 has given up on it");
	close(art->socket);
	art->socket = -1;
	kill(art->child, SIGKILL); /* one that is ending keeps its own reason */
	do
		pid = waitpid(art->child, &status, 0);
	while (pid < 0 && errno == EINTR);
	art->child = 0;
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) > EPERM && WEXITSTATUS(status) < 134) { /* an errno */
		errno = WEXITSTATUS(status);
		return sd_error_errno("cannot read it");
	}
	sig = pid > 0 && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	if (sd_h5_room() < 0)
		return -1;
	if (sig == SIGXCPU)
		return sd_error(SD_ERR_DATA, "HDF5 structure: libhdf5 does not come to an end with it");
	return sd_error(SD_ERR_DATA, "HDF5 structure: libhdf5 fails on it%s%s%s", sig ? " (" : "",
			sig ? strsignal(sig) : "", sig ? ")" : "");
}

static int hear(struct sd_artifact *art, void *data, uint64_t n)
{
	char *p = data;

	while (n) {
		ssize_t k = art->child ? read(art->socket, p, n) : 0;

		if (k < 0 && errno == EINTR)
			continue;
		if (k == 0 || (k < 0 && errno == ECONNRESET))
			return broken(art);
		if (k < 0)
			return sd_error_errno("cannot read it");
		p += k;
		n -= (uint64_t)k;
	}
	return 0;
}

/* 0, or -1 when nobody listens. */
static int ask(struct sd_artifact *art, const struct request *r)
{
	ssize_t k;

	do
		k = send(art->socket, r, sizeof(*r), MSG_NOSIGNAL);
	while (k < 0 && errno == EINTR);
	return k == (ssize_t)sizeof(*r) ? 0 : -1;
}

/* The head of an answer; an error's text becomes the message, what is in it being anybody's words. */
static int hear_head(struct sd_artifact *art, struct head *h)
{
	char text[1024];

	if (hear(art, h, sizeof(*h)) < 0)
		return -1;
	if (h->kind == SD_ERR_NONE)
		return 0;
	if (h->bytes >= 2048)
		return broken(art);
	for (uint64_t at = 0; at < h->bytes; at++) {
		char c = 0;

		if (hear(art, &c, 1) < 0)
			return -1;
		if (at < sizeof(text) - 1) {
			text[at] = c >= ' ' && c <= '~' ? c : '?';
			text[at + 1] = '\0';
		}
	}
	if (!h->bytes)
		text[0] = '\0';
	return sd_error(h->kind == SD_ERR_IO ? SD_ERR_IO : SD_ERR_DATA, "%s", text);
}

struct cursor {
	const char *at, *end;
	bool bad;
};

static uint64_t take_number(struct cursor *c)
{
	uint64_t v = 0;

	if (c->end - c->at < (ptrdiff_t)sizeof(v))
		c->bad = true;
	else
		memcpy(&v, c->at, sizeof(v));
	c->at += c->bad ? 0 : sizeof(v);
	return v;
}

/* A copy with a zero byte behind it; NULL when it is bad.  `text`: with no zero byte in it. */
static char *take_bytes(struct cursor *c, size_t *n, bool text)
{
	uint64_t len = take_number(c);
	char *copy;

	if (c->bad || len > (uint64_t)(c->end - c->at) || (text && memchr(c->at, '\0', (size_t)len))) {
		c->bad = true;
		return NULL;
	}
	copy = sd_xmalloc((size_t)len + 1);
	memcpy(copy, c->at, (size_t)len);
	copy[len] = '\0';
	c->at += len;
	if (n)
		*n = (size_t)len;
	return copy;
}

static void take_field(struct cursor *c, char *field, size_t room)
{
	size_t n = 0;
	char *text = take_bytes(c, &n, true);

	if (text && n < room)
		memcpy(field, text, n + 1);
	else
		c->bad = true;
	free(text);
}

static void take_entry(struct cursor *c, struct sd_artifact *art)
{
	struct sd_entry *e = &art->entry[art->nentry];
	struct sd_dset *d = &e->d;
	uint64_t type, rank;

	memset(e, 0, sizeof(*e));
	e->dset = -1;
	d->path = take_bytes(c, NULL, true);
	if (!d->path)
		return;
	art->nentry++;
	type = take_number(c);
	d->size = (size_t)take_number(c);
	rank = take_number(c);
	if (c->bad || type >= SD_NTYPE || rank > SD_MAX_RANK || !sd_path_ok(d->path) || d->size == 0 ||
	    (type != SD_TYPE_STRING && d->size != sd_type_size((enum sd_type)type)) ||
	    (art->nentry > 1 && strcmp(e[-1].d.path, d->path) >= 0)) {
		c->bad = true;
		return;
	}
	d->type = (enum sd_type)type;
	d->rank = (int)rank;
	d->count = 1;
	for (int i = 0; i < d->rank; i++) {
		d->shape[i] = take_number(c);
		c->bad |= __builtin_mul_overflow(d->count, d->shape[i], &d->count);
	}
	c->bad |= __builtin_mul_overflow(d->count, (uint64_t)d->size, &d->bytes);
	c->bad |= d->bytes / SD_MAX_RATIO > art->length;
	e->nblock = d->bytes / SD_BLOCK + (d->bytes % SD_BLOCK != 0);
}

static void take_signatures(struct cursor *c, struct sd_artifact *art, size_t most)
{
	uint64_t count = take_number(c);
	uint8_t digest[SD_SHA256_LEN];

	if (c->bad || count > most) {
		c->bad = true;
		return;
	}
	art->signature = sd_xcalloc((size_t)count, sizeof(*art->signature));
	for (uint64_t i = 0; i < count && !c->bad; i++) {
		struct sd_signature *s = &art->signature[art->nsignature++];

		s->keyid = take_bytes(c, NULL, true);
		s->text = take_bytes(c, &s->len, false);
		c->bad |= !s->keyid || !sd_sha256_unhex(s->keyid, digest);
	}
}

static int take_contents(struct sd_artifact *art, const char *data, size_t n)
{
	struct cursor c = { data, data + n, false };
	uint64_t count;
	size_t len = 0;

	take_field(&c, art->kind, sizeof(art->kind));
	take_field(&c, art->seal, sizeof(art->seal));
	art->manifest = take_bytes(&c, &art->manifest_len, false);
	art->digests = take_bytes(&c, &art->digests_len, false);
	art->blocks = (uint8_t *)take_bytes(&c, &len, false);
	art->nblocks = len / SD_SHA256_LEN;
	count = take_number(&c);
	if (!c.bad && count <= n / 16) {
		art->ancestor = sd_xcalloc((size_t)count, sizeof(char *));
		art->ancestor_id = sd_xcalloc((size_t)count, sizeof(char *));
		for (uint64_t i = 0; i < count && !c.bad; i++) {
			art->ancestor_id[i] = take_bytes(&c, NULL, true);
			art->ancestor[i] = take_bytes(&c, NULL, false);
			art->nancestor++;
		}
	} else {
		c.bad = true;
	}
	take_signatures(&c, art, n / 16);
	count = take_number(&c);
	if (!c.bad && count <= n / 32) {
		art->entry = sd_xcalloc((size_t)count, sizeof(*art->entry));
		for (uint64_t i = 0; i < count && !c.bad; i++)
			take_entry(&c, art);
	} else {
		c.bad = true;
	}
	return c.bad || c.at != c.end ? broken(art) : 0;
}

int sd_inside_open(struct sd_artifact *art)
{
	struct head h;
	char *data = NULL;
	int pair[2], rc = -1;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return sd_error_errno("cannot make a socket");
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		become_child(art, pair[1]);
	close(pair[1]);
	art->socket = pair[0];
	if (pid < 0) {
		close(pair[0]);
		art->socket = -1;
		return sd_error_errno("cannot start a process");
	}
	art->child = pid;
	if (hear_head(art, &h) < 0)
		return -1;
	if (h.bytes / SD_MAX_RATIO > art->length || !(data = malloc((size_t)h.bytes + 1)))
		return sd_error(SD_ERR_IO, "no memory for %llu bytes", (unsigned long long)h.bytes);
	if (hear(art, data, h.bytes) == 0)
		rc = take_contents(art, data, (size_t)h.bytes);
	free(data);
	return rc;
}

void sd_inside_close(struct sd_artifact *art)
{
	if (!art->child)
		return;
	close(art->socket);
	kill(art->child, SIGKILL); /* it has nothing to finish */
	while (waitpid(art->child, NULL, 0) < 0 && errno == EINTR)
		;
	art->child = 0;
}

uint64_t sd_entry_row(const struct sd_entry *e)
{
	if (!e->d.rank)
		return e->d.bytes;
	return e->d.shape[0] ? e->d.bytes / e->d.shape[0] : 0;
}

int sd_entry_rows(struct sd_artifact *art, const struct sd_entry *e, uint64_t first, uint64_t n, void *data)
{
	struct request r = { (uint64_t)(e - art->entry), first, n };
	uint64_t left = n * sd_entry_row(e);
	struct head h;
	char *p = data;

	if (left == 0)
		return 0;
	if (!art->child || ask(art, &r) < 0)
		return broken(art);
	while (left) {
		if (hear_head(art, &h) < 0)
			return -1;
		if (h.bytes == 0 || h.bytes > left)
			return broken(art);
		if (hear(art, p, h.bytes) < 0)
			return -1;
		p += h.bytes;
		left -= h.bytes;
	}
	return 0;
}
