/* images.h: a data set out of picture files in folders, one folder a class (private to this room).
 *
 * A path is FOLDERS/SPLIT/CLASS/FILE, SPLIT being train or test (or val, valid, validation where there is
 * no test), in any case; or FOLDERS/CLASS/FILE.  Then there is no split, and four fifths of the pictures,
 * rounded down, become training images after a shuffle with a fixed seed.  Classes are sorted by name,
 * the images of a split by path, bytewise, so that an archive and a folder give the same. */
#ifndef SD_DATA_IMAGES_H
#define SD_DATA_IMAGES_H

#include "data/archive.h"
#include "data/dataset.h"
#include "data/picture.h"

struct sd_images;

/* `size`: brought to that size, 0: all have to be of one; `grey`: one channel instead of three. */
struct sd_images *sd_images_new(int size, int grey);
void sd_images_free(struct sd_images *im);

/* Takes the present entry if its name is that of a picture: 1; 0 if it isn't (or a hidden file); -1 with a
 * message. */
int sd_images_add(struct sd_images *im, struct sd_archive *a, const struct sd_archive_entry *e);

/* How many were taken, and whether there was a JPEG among them. */
uint32_t sd_images_count(const struct sd_images *im);
int sd_images_jpeg(const struct sd_images *im);

/* The data set.  NULL with a message when there is nothing in it, a test class isn't a training class, or
 * pictures of both kinds of path are mixed. */
struct sd_dataset *sd_images_finish(struct sd_images *im, const char *name, const struct sd_archive *a);

#endif
