/* sig.c: signals as flags. */
#include "base/sig.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t came;

static void note(int sig)
{
	if (!came)
		came = sig;
}

void sd_sig_install(void)
{
	struct sigaction sa = { .sa_handler = note };
	struct sigaction old;
	static const int fatal[] = { SIGINT, SIGTERM };

	sigemptyset(&sa.sa_mask);
	/* RESETHAND: who asks twice does not want to wait for the checkpoint */
	sa.sa_flags = SA_RESETHAND | SA_RESTART;
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
		/* a shell's background job ignores SIGINT: so be it */
		if (sigaction(fatal[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(fatal[i], &sa, NULL);
	}
	sa.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &sa, NULL);
}

int sd_sig_pending(void)
{
	return came;
}

void sd_sig_reraise(int sig)
{
	if (sig != SIGINT && sig != SIGTERM)
		return;
	signal(sig, SIG_DFL);
	raise(sig);
}
