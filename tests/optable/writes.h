/* writes.h: the optimisers' part of the table of op cases. */
#ifndef SD_TESTS_WRITES_H
#define SD_TESTS_WRITES_H

/* Runs the cases whose name contains `only` (NULL: all) on a device and counts what passed and failed. */
void writes_check(const char *device, const char *only, int *passed, int *failed);

#endif
