/* buildinfo.h: what this build was made from.
 *
 * The Makefile generates build/gen/buildinfo.c with these definitions and links its object before the
 * library; lib/base/buildinfo.c has weak ones ("unknown") for a build without that.
 *
 *	const char sd_build_source[] = "<64 hex digits>";
 *
 * sd_build_source is the SHA-256 of the lines "<sha256 of the file>  <path>\n" (as sha256sum prints
 * them) of all files under lib/, tools/ and kernels/, sorted by path in the C locale.  It is in every
 * claim: compiler and flags are not, because they must not change a number. */
#ifndef SD_BASE_BUILDINFO_H
#define SD_BASE_BUILDINFO_H

extern const char sd_build_source[];   /* 64 hex digits */
extern const char sd_build_commit[];   /* 40 hex digits, or "" outside a repository */
extern const char sd_build_dirty[];    /* "" when clean, else 64 hex digits over all changes */
extern const char sd_build_version[];  /* "0.1.0" */
extern const char sd_build_compiler[]; /* "gcc 12.2.0 -O2 -g" */

#endif
