/* check.h: the few lines a unit test needs.  Each check prints only when it fails; the program ends
 * with `return check_done();`, which prints "N passed, N failed". */
#ifndef SD_TESTS_CHECK_H
#define SD_TESTS_CHECK_H

#include <stdio.h>

static int check_passed, check_failed;

/* What follows a check that fails is not for analysers to think through. */
#ifdef SD_LINT
#include <stdlib.h>
#define CHECK_END() exit(1)
#else
#define CHECK_END() ((void)0)
#endif

#define CHECK(cond, ...) do { \
	if (cond) { \
		check_passed++; \
	} else { \
		check_failed++; \
		printf("%s:%d: not true: %s: ", __FILE__, __LINE__, #cond); \
		printf(" " __VA_ARGS__); \
		putchar('\n'); \
		CHECK_END(); \
	} \
} while (0)

static inline int check_done(void)
{
	printf("%d passed, %d failed\n", check_passed, check_failed);
	return check_failed != 0;
}

#endif
