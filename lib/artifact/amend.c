/* amend.c: signatures, the only thing that an artifact gets later.
 *
 * libhdf5 adds them to a copy, in a confined process as when it reads; the result is checked as a whole before it
 * takes the place of anything. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "artifact/artifact.h"
#include "artifact/confine.h"
#include "artifact/h5.h"
#include "base/file.h"
#include "base/str.h"

/* Copies the file with its permissions; *u: the line in front, which must fit the rest. */
static int copy_artifact(const char *name, struct sd_out *out, const char *output, struct sd_user_block *u)
{
	const char *shown = sd_file_name(name);
	char line[SD_USER_BLOCK], hex[SD_ID_LEN];
	int from = sd_file_open(name), to = sd_out_fd(out), rc = -1;
	uint8_t digest[SD_SHA256_LEN];
	struct stat st;
	uint64_t size;

	if (from < 0)
		return -1;
	if (sd_copy_all(from, shown, to, output) < 0 || sd_pread_all(to, line, sizeof(line), 0, shown) < 0)
		goto out;
	if (sd_user_block_read(u, line) < 0) {
		sd_error_in("%s", shown);
		goto out;
	}
	if (sd_sha256_fd(to, SD_USER_BLOCK, shown, digest, &size) < 0)
		goto out;
	sd_sha256_hex(digest, hex);
	if (SD_USER_BLOCK + size != u->length || strcmp(hex, u->sha256) != 0) {
		sd_error(SD_ERR_DATA, "%s: damaged: its SHA-256 is not the one in the user block", shown);
		goto out;
	}
	if (strcmp(name, "-") != 0 && (fstat(from, &st) != 0 || fchmod(to, st.st_mode & 0777) != 0)) {
		sd_error_errno("cannot set the permissions of '%s'", output);
		goto out;
	}
	rc = 0;
out:
	close(from);
	return rc;
}

/* ---- in the confined process ---- */

static int make_group(hid_t file)
{
	hid_t gcpl = H5Pcreate(H5P_GROUP_CREATE), group = -1;

	if (H5Pset_obj_track_times(gcpl, false) >= 0)
		group = H5Gcreate2(file, "/signatures", H5P_DEFAULT, gcpl, H5P_DEFAULT);
	H5Pclose(gcpl);
	return group < 0 || H5Gclose(group) < 0 ? -1 : 0;
}

static int put_text(hid_t file, const char *path, const char *text, size_t len)
{
	hid_t type = sd_h5_type(SD_TYPE_STRING, len), space = H5Screate(H5S_SCALAR);
	hid_t dcpl = H5Pcreate(H5P_DATASET_CREATE), dset = -1;
	int rc = -1;

	if (type >= 0 && space >= 0 && H5Pset_obj_track_times(dcpl, false) >= 0)
		dset = H5Dcreate2(file, path, type, space, H5P_DEFAULT, dcpl, H5P_DEFAULT);
	if (dset >= 0 && H5Dwrite(dset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text) >= 0)
		rc = 0;
	if (dset >= 0)
		H5Dclose(dset);
	H5Pclose(dcpl);
	H5Sclose(space);
	H5Tclose(type);
	return rc;
}

static int put(const char *keyid, const char *text, size_t len)
{
	struct sd_h5_io io = { .fd = SD_CONFINED_FILE, .quits = true };
	char path[16 + SD_ID_LEN];
	hid_t fapl, file;
	int rc = -1;

	if (sd_h5_init() < 0)
		return -1;
	fapl = sd_h5_access(&io);
	file = fapl < 0 ? -1 : H5Fopen("/input", H5F_ACC_RDWR, fapl);
	if (file < 0)
		return -1;
	snprintf(path, sizeof(path), "/signatures/%.64s", keyid);
	if (H5Lexists(file, "/signatures", H5P_DEFAULT) <= 0)
		rc = make_group(file);
	else
		rc = H5Lexists(file, path, H5P_DEFAULT) > 0 ? H5Ldelete(file, path, H5P_DEFAULT) : 0;
	if (rc >= 0)
		rc = put_text(file, path, text, len);
	return H5Fclose(file) < 0 ? -1 : rc;
}

/* ---- the parent ---- */

/* The exit status is the number of the error: 0 for none, 255 for one of libhdf5's. */
static int put_confined(struct sd_out *out, const char *output, uint64_t length, const char *keyid,
			const char *text, size_t len)
{
	int status = 0, null[2]; /* it has nothing to say */
	pid_t pid;

	if (pipe(null) != 0)
		return sd_error_errno("cannot make a pipe");
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		sd_confine(sd_out_fd(out), null[1], length + len, true);
		_exit(put(keyid, text, len) == 0 ? 0 : 255);
	}
	close(null[0]);
	close(null[1]);
	if (pid < 0)
		return sd_error_errno("cannot start a process");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) != 255) {
		errno = WEXITSTATUS(status);
		return sd_error_errno("cannot write '%s'", output);
	}
	return sd_h5_room() < 0 ? -1 : sd_error(SD_ERR_DATA, "cannot write '%s': libhdf5 fails on it", output);
}

/* Whether what was written is the artifact that it was, with that signature. */
static int check_result(struct sd_out *out, const char *output, const struct sd_lineage *l, const char *keyid,
			const char *text, size_t len)
{
	struct sd_lineage *now = NULL;
	char *report = NULL;
	bool good = false;
	int rc = sd_artifact_check(sd_out_path(out), &now, &report);

	if (rc == 0 && strcmp(now->own->seal, l->own->seal) == 0)
		for (int i = 0; i < now->nsignature; i++)
			good |= strcmp(now->signature[i].keyid, keyid) == 0 && now->signature[i].len == len &&
				memcmp(now->signature[i].text, text, len) == 0;
	if (rc >= 0 && !good)
		sd_error(SD_ERR_DATA, "cannot write '%s': it would not be as it should be", output);
	sd_lineage_free(now);
	free(report);
	return good ? 0 : -1;
}

int sd_artifact_put_signature(const char *name, const struct sd_lineage *l, const char *output,
			      const char *keyid, const char *text, size_t len)
{
	struct sd_out *out = sd_out_open(output, SD_OUT_BINARY | SD_OUT_FORCE);
	struct sd_user_block u;

	if (!out)
		return -1;
	if (copy_artifact(name, out, output, &u) < 0 ||
	    put_confined(out, output, u.length, keyid, text, len) < 0 ||
	    sd_user_block_fill(&u, sd_out_fd(out), output) < 0 ||
	    check_result(out, output, l, keyid, text, len) < 0) {
		sd_out_abandon(out);
		return -1;
	}
	return sd_out_commit(out);
}
