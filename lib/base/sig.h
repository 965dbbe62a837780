/* sig.h: signals as flags for loops that end cleanly.
 *
 * A loop asks sd_sig_pending() between steps.  SIGINT and SIGTERM: it writes a checkpoint and calls
 * sd_sig_reraise(), so that the parent sees a death by signal.  SIGUSR1: it writes a checkpoint and
 * the tool ends with SD_ERR_STOPPED.  A second SIGINT or SIGTERM kills at once. */
#ifndef SD_BASE_SIG_H
#define SD_BASE_SIG_H

void sd_sig_install(void);
/* The first of SIGINT, SIGTERM, SIGUSR1 that came, or 0. */
int sd_sig_pending(void);
/* Restores the default action and raises the signal again: does not return for SIGINT and SIGTERM. */
void sd_sig_reraise(int sig);

#endif
