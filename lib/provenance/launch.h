/* launch.h: runs a program in a temporary folder, without a shell. */
#ifndef SD_PROVENANCE_LAUNCH_H
#define SD_PROVENANCE_LAUNCH_H

/* A new folder in $TMPDIR or /tmp that only its owner can enter, as an absolute path to be freed; NULL with a
 * message.  Removing it removes all that is in it, links and not what they lead to; the path is freed. */
char *sd_tempdir_make(void);
void sd_tempdir_remove(char *dir);

/* Makes the folders of a path within `dir` and, at its end, a link to `target`.  -1 with a message; a name
 * that leads outside is a data error. */
int sd_tempdir_link(const char *dir, const char *name, const char *target);

/* Runs argv[0], a path, with `dir` as its working folder; nothing on standard input, standard output in the
 * file `out` (NULL: thrown away), standard error as it is.  SIGINT and SIGTERM (sd_sig_install) are passed
 * on.  The exit status; 128 + N for a death by signal N; -1 with a message when it could not be started, or
 * (SD_ERR_STOPPED) when this process is to stop. */
int sd_launch(const char *const argv[], const char *dir, const char *out);

#endif
