/* fiber.h: stacks that take turns on one host thread. */
#ifndef SD_EMU_FIBER_H
#define SD_EMU_FIBER_H

#include <stddef.h>

namespace emu {

struct fiber;

/* A fiber that is stopped at the start of body(), which never returns.  Fibers live until the process ends. */
fiber *fiber_new(void (*body)());
/* Goes on in `to` until something switches back here; NULL: the host's own stack. */
void fiber_switch(fiber *to);
/* The one that runs; NULL on the host's own stack. */
fiber *fiber_current();

}

#endif
