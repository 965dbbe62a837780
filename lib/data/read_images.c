/* read_images.c: data sets of picture files, a folder for each class (images.h says which folders): any such
 * set, and the Devanagari characters (Acharya, Pant and Gyawali, "Deep learning based large scale handwritten
 * Devanagari character recognition", 2015), which are grey. */
#include "base/err.h"
#include "data/images.h"
#include "data/reader.h"

struct sd_dataset *sd_read_images(struct sd_archive *a, const struct sd_reader *r,
				  const struct sd_read_options *o, struct sd_read_notes *notes)
{
	struct sd_images *images = sd_images_new(o->size, o->grey || r->channels == 1);
	struct sd_dataset *ds = NULL;
	struct sd_archive_entry e;
	int more;

	if (!images)
		return NULL;
	while ((more = sd_archive_next(a, &e)) == 1) {
		if (e.bare) {
			sd_error(SD_ERR_DATA, "%s: this is no archive (tar or zip)", sd_archive_name(a));
			goto out;
		}
		if (sd_images_add(images, a, &e) < 0)
			goto out;
	}
	if (more < 0)
		goto out;
	notes->jpeg = sd_images_jpeg(images);
	ds = sd_images_finish(images, r->name, a);
	if (ds && r->classes && ds->nclass != r->classes) {
		sd_error(SD_ERR_DATA, "%s: %d classes, %s has %d", sd_archive_name(a), ds->nclass, r->name,
			 r->classes);
		sd_dataset_free(ds);
		ds = NULL;
	}
out:
	sd_images_free(images);
	return ds;
}
