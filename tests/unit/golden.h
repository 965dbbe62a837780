/* golden.h: what the unit tests read of the reference data (HDF5 files written by h5py).
 * Each function prints what is wrong and returns NULL or -1; arrays are allocated. */
#ifndef SD_TESTS_GOLDEN_H
#define SD_TESTS_GOLDEN_H

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* DIR/NAME opened, DIR being argv[1] or ../shared/golden; -1 (and a line "skip") when it isn't there. */
static inline hid_t golden_open(int argc, char **argv, const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", argc > 1 ? argv[1] : "../shared/golden", name);
	if (access(path, R_OK) < 0) {
		printf("skip: no %s\n", path);
		return -1;
	}
	return H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
}

/* A string attribute of an object of the file. */
static inline char *golden_text(hid_t file, const char *path, const char *name)
{
	hid_t a = H5Aopen_by_name(file, path, name, H5P_DEFAULT, H5P_DEFAULT), t = H5Aget_type(a);
	char *text = NULL, *copy = NULL;

	if (a >= 0 && H5Tis_variable_str(t) > 0 && H5Aread(a, t, &text) >= 0) {
		copy = strdup(text);
		H5free_memory(text);
	} else {
		printf("no text attribute %s of %s\n", name, path);
	}
	H5Tclose(t);
	H5Aclose(a);
	return copy;
}

/* A dataset of any numbers as doubles; *n its size. */
static inline double *golden_numbers(hid_t file, const char *path, int *n)
{
	hid_t d = H5Dopen(file, path, H5P_DEFAULT), s = H5Dget_space(d);
	hssize_t count = H5Sget_simple_extent_npoints(s);
	double *x = calloc(count > 0 ? count : 1, sizeof(*x));

	*n = count > 0 ? (int)count : 0;
	if (d < 0 || !x || (count > 0 && H5Dread(d, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) < 0)) {
		printf("cannot read %s\n", path);
		free(x);
		x = NULL;
	}
	H5Sclose(s);
	H5Dclose(d);
	return x;
}

#endif
