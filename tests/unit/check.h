/* check.h: the few lines a unit test needs.  Each check prints only when it fails; the program ends
 * with `return check_done();`, which prints "N passed, N failed". */
#ifndef SD_TESTS_CHECK_H
#define SD_TESTS_CHECK_H

#include <stdio.h>

static int check_passed, check_failed;

#define CHECK(cond, ...) do { \
	if (cond) { \
		check_passed++; \
	} else { \
		check_failed++; \
		printf("%s:%d: not true: %s: ", __FILE__, __LINE__, #cond); \
		printf(" " __VA_ARGS__); \
		putchar('\n'); \
	} \
} while (0)

static inline int check_done(void)
{
	printf("%d passed, %d failed\n", check_passed, check_failed);
	return check_failed != 0;
}

#endif
