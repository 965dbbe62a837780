/* remake.h: the command line that a claim stands for.
 *
 * It is rebuilt from the claim through the tool's own option table, as the tool itself prints it
 * (--synopsis); the recorded argv is never looked at.  A parameter that the table does not have as a
 * numeric option, a value of another type, an input in a role that the tool does not have, and a tool that
 * is none are errors. */
#ifndef SD_PROVENANCE_REMAKE_H
#define SD_PROVENANCE_REMAKE_H

#include "artifact/manifest.h"

/* A tool as it is installed. */
struct sd_tool_info {
	char *path;          /* of the program */
	char *table;         /* its --synopsis */
	char *datasets;      /* of sd-prep: its --list */
	char source[SD_ID_LEN], *version, *commit; /* as --version says; "" and NULL where it doesn't */
};

/* Finds the tool that a claim names beside the running program, else in PATH, and asks it for its table.
 * SD_ERR_DATA for a name that is none of the tools that make artifacts, SD_ERR_NOINPUT when it isn't
 * there. */
int sd_tool_find(struct sd_tool_info *t, const char *name);
void sd_tool_release(struct sd_tool_info *t);
/* Whether it has that option, of any class. */
bool sd_tool_has(const struct sd_tool_info *t, const char *option);

/* A word of a command line: an option with its value ("--option=value"), or an operand. */
struct sd_word {
	char *option;        /* without dashes, or NULL */
	char *value;
	bool input;          /* the value stands for an input: `role` says which */
	char *role;
};
struct sd_words {
	struct sd_word *v;
	int n;
};

/* The words of a claim behind the tool's name: parameters, seed, what the environment asks for, inputs (their
 * values being NULL, to be filled in), operands last.  What says where the output goes is not among them.
 * -1 with a data error that begins with `what`. */
int sd_words_make(struct sd_words *w, const struct sd_manifest *m, const struct sd_lineage *l,
	const struct sd_tool_info *t, const char *what);
/* For a checkpoint, which is no end of a run: makes it stop there (--stop_step), as its context says.  -1 with a
 * message where that isn't known. */
int sd_words_stop(struct sd_words *w, const struct sd_manifest *m, const char *what);
void sd_words_add(struct sd_words *w, const char *option, const char *value);
void sd_words_release(struct sd_words *w);

#endif
