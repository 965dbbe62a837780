/* hashers.h: threads that hash blocks while the next ones are read (private to this room). */
#ifndef SD_ARTIFACT_HASHERS_H
#define SD_ARTIFACT_HASHERS_H

#include <stddef.h>
#include <stdint.h>

struct sd_hashers;

/* NULL, without a message, where there is but one thread to be used or none can be had: the caller hashes
 * by itself then. sd_hashers_free(NULL) is nothing. */
struct sd_hashers *sd_hashers_new(void);
void sd_hashers_free(struct sd_hashers *h);

/* Memory for one block (SD_BLOCK bytes), to be filled by the caller; waits until there is some. */
uint8_t *sd_hashers_block(struct sd_hashers *h);
/* Hands the present block over; its n bytes are a leaf, whose hash goes to `leaf` (32 bytes, which must
 * stay where they are until sd_hashers_wait()). */
void sd_hashers_submit(struct sd_hashers *h, size_t n, uint8_t *leaf);
/* Until all hashes are there. */
void sd_hashers_wait(struct sd_hashers *h);

#endif
