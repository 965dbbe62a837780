/* fiber.cpp: switching stacks: a few instructions on x86-64 (50 ns; through ucontext it is 2.5 us, for the
 * system call in it), told to the address sanitizer where there is one. */
#include "fiber.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#if !defined(__x86_64__) || defined(SD_EMU_UCONTEXT)
#define USE_UCONTEXT 1
#include <ucontext.h>
#else
#define USE_UCONTEXT 0
#endif

#include "asan.h"

#if SD_EMU_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

namespace emu {

static const size_t STACK = 256 << 10; /* only what is touched takes memory */

struct fiber {
#if USE_UCONTEXT
	ucontext_t context;
#else
	void *sp;
#endif
	const void *stack; /* lowest byte */
	size_t size;
	void *fake;        /* the address sanitizer's */
	void (*body)();
};

static fiber host; /* its stack is learnt when a fiber first comes from there */
static fiber *now = &host;

fiber *fiber_current() { return now == &host ? NULL : now; }

#if !USE_UCONTEXT
extern "C" void sd_emu_switch(void **save, void *to);
asm(".text\n"
	".type sd_emu_switch, @function\n"
	"sd_emu_switch:\n"
	"	pushq %rbp\n"
	"	pushq %rbx\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq %rsi, %rsp\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	ret\n"
	".size sd_emu_switch, . - sd_emu_switch\n");
#endif

#if SD_EMU_ASAN
static fiber *left; /* where the switch under way came from */
#endif

static void arrived()
{
#if SD_EMU_ASAN
	const void *stack;
	size_t size;

	__sanitizer_finish_switch_fiber(now->fake, &stack, &size);
	if (left == &host) {
		host.stack = stack;
		host.size = size;
	}
#endif
}

static void start()
{
	arrived();
	now->body();
	abort();
}

fiber *fiber_new(void (*body)())
{
	size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
	char *p = static_cast<char *>(mmap(NULL, STACK + page, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	fiber *f = new fiber();

	if (p == MAP_FAILED || mprotect(p, page, PROT_NONE)) {
		perror("CUDA emulator: no memory for a stack");
		abort();
	}
	f->stack = p + page;
	f->size = STACK;
	f->body = body;
#if USE_UCONTEXT
	getcontext(&f->context);
	f->context.uc_stack.ss_sp = p + page;
	f->context.uc_stack.ss_size = STACK;
	f->context.uc_link = NULL;
	makecontext(&f->context, start, 0);
#else
	/* what sd_emu_switch pops: six registers, start() as return address; then the stack is aligned as
	 * after a call */
	void **sp = reinterpret_cast<void **>(p + page + STACK) - 2;
	*--sp = NULL;
	*--sp = reinterpret_cast<void *>(start);
	for (int i = 0; i < 6; i++)
		*--sp = NULL;
	f->sp = sp;
#endif
	return f;
}

void fiber_switch(fiber *to)
{
	fiber *from = now;

	now = to ? to : &host;
#if SD_EMU_ASAN
	left = from;
	__sanitizer_start_switch_fiber(&from->fake, now->stack, now->size);
#endif
#if USE_UCONTEXT
	swapcontext(&from->context, &now->context);
#else
	sd_emu_switch(&from->sp, now->sp);
#endif
	arrived();
}

}
