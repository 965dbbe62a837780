/* confine.h: a process that can do little, for libhdf5 (private to this room). */
#ifndef SD_ARTIFACT_CONFINE_H
#define SD_ARTIFACT_CONFINE_H

#include <stdbool.h>
#include <stdint.h>

enum { SD_CONFINED_SOCKET = 3, SD_CONFINED_FILE = 4 };

/* In a child, for the rest of its life: no descriptors but these two, which are `socket` and `file`; of system
 * calls those for reading, memory and writing to the socket, and with `write` to the file; limits on memory and
 * time for a file of that length.  Signals that end the reader end its socket, too, and so the child. */
void sd_confine(int file, int socket, uint64_t length, bool write);

#endif
