/* names.h: what an architecture is called: by one name, or by several with '=' between them ("max_w=scalar")
 * where artifacts that are the same run call it differently.  "-" is no name. */
#ifndef SD_TRAIN_NAMES_H
#define SD_TRAIN_NAMES_H

#include <stdbool.h>

/* Adds the names in `more` to *names (allocated), which stay in alphabetical order. */
void sd_names_add(char **names, const char *more);
/* Whether `name` is one of them. */
bool sd_names_have(const char *names, const char *name);

#endif
