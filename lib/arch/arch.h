/* arch.h: architectures as data: the primitives and the genotypes made of them.
 *
 * Nothing here knows a tensor.  Names, orders and rules are those of the sharpDARTS code
 * (operations.py, genotypes.py), so that a genotype published in that form means the same network. */
#ifndef SD_ARCH_ARCH_H
#define SD_ARCH_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/file.h"

/* The primitives of convolutional cells.  The numbers are for switch statements within one build;
 * files hold names.  What layers a primitive stands for depends on the op table it is taken from. */
enum sd_primitive {
	SD_PRIM_NONE,
	SD_PRIM_MAX_POOL_3X3,
	SD_PRIM_AVG_POOL_3X3,
	SD_PRIM_SKIP_CONNECT,
	SD_PRIM_SEP_CONV_3X3,
	SD_PRIM_SEP_CONV_5X5,
	SD_PRIM_SEP_CONV_7X7,
	SD_PRIM_DIL_CONV_3X3,
	SD_PRIM_DIL_CONV_5X5,
	SD_PRIM_CONV_7X1_1X7,
	SD_PRIM_FLOOD_CONV_3X3,
	SD_PRIM_FLOOD_CONV_5X5,
	SD_PRIM_DIL_FLOOD_CONV_3X3,
	SD_PRIM_DIL_FLOOD_CONV_5X5,
	SD_PRIM_CHOKE_CONV_3X3,
	SD_PRIM_DIL_CHOKE_CONV_3X3,
	SD_PRIM_NOR_CONV_3X3,
	SD_PRIM_NOR_CONV_5X5,
	SD_PRIM_NOR_CONV_7X7,
	SD_PRIM_COUNT
};

/* The two tables of layers a primitive can be taken from. */
enum sd_op_table {
	SD_OPS = 1,       /* sharpDARTS: OPS */
	SD_DARTS_OPS = 2, /* the original DARTS layers: DARTS_OPS */
};

struct sd_primitive_info {
	const char *name;
	unsigned tables; /* SD_OPS | SD_DARTS_OPS: where the primitive exists */
	bool pool;       /* its name contains "pool": a mixed edge of a search puts a batch norm behind it */
};
extern const struct sd_primitive_info sd_primitives[SD_PRIM_COUNT];

/* The primitive of that name, or -1 (no message). */
int sd_primitives_find(const char *name);
/* "OPS" or "DARTS_OPS" to its table and back; sd_op_table_find returns -1 and a usage error. */
int sd_op_table_find(const char *name);
const char *sd_op_table_name(enum sd_op_table table);

/* The activations of recurrent cells. */
enum sd_activation {
	SD_ACT_NONE,
	SD_ACT_TANH,
	SD_ACT_RELU,
	SD_ACT_SIGMOID,
	SD_ACT_IDENTITY,
	SD_ACT_COUNT
};
extern const char *const sd_activations[SD_ACT_COUNT];
int sd_activations_find(const char *name); /* or -1 (no message) */

/* A search space: primitives in the order of an edge's weights, no primitive twice. */
struct sd_primitive_list {
	const char *name; /* "PRIMITIVES" and so on; "" for a user's own list */
	int n;
	int id[SD_PRIM_COUNT]; /* enum sd_primitive */
};

/* The published search spaces, ended by an entry whose name is NULL:
 * PRIMITIVES, DARTS_PRIMITIVES, SHARPER_PRIMITIVES. */
extern const struct sd_primitive_list sd_primitive_lists[];

/* Reads the name of a published list, or a user's own: names with commas between them (blanks
 * around a name are dropped); the same primitives in the same order are the published list.  -1 and a
 * usage error for an unknown, empty or repeated name. */
int sd_primitive_list_parse(struct sd_primitive_list *list, const char *text);
/* "none,max_pool_3x3,...": to be freed by the caller. */
char *sd_primitive_list_text(const struct sd_primitive_list *list);
/* 0 if every primitive of the list exists in the table, else -1 and a usage error naming one that doesn't. */
int sd_primitive_list_check(const struct sd_primitive_list *list, enum sd_op_table table);

/* An operation applied to a node.  In convolutional cells nodes 0 and 1 are the outputs of the
 * last but one and the last cell, and node 2 + i is the sum of edges 2i and 2i + 1.  In recurrent
 * cells node 0 is the initial state and node 1 + i is what edge i makes. */
struct sd_edge {
	int op;   /* enum sd_primitive, in recurrent cells enum sd_activation */
	int from; /* the node it starts at */
};

struct sd_cell {
	int nedge;
	struct sd_edge *edge;
	int nconcat;
	int *concat;       /* the nodes whose concatenation (recurrent: mean) the cell gives, in order */
	bool concat_range; /* printed as range(a, b), which the numbers then are; else as a list */
};

enum sd_genotype_kind { SD_GENOTYPE_CELL, SD_GENOTYPE_RECURRENT };

/* A genotype owns all it points to.  Between init and release it may be parsed into or copied to
 * any number of times.  (Memory that runs out ends the program: genotypes are small.) */
struct sd_genotype {
	enum sd_genotype_kind kind;
	char *name;            /* left of the '=', or NULL for a bare literal */
	bool layout;           /* printed with layout='cell', as sharpDARTS has it and DARTS has not */
	struct sd_cell normal; /* SD_GENOTYPE_CELL */
	struct sd_cell reduce;
	struct sd_cell recurrent; /* SD_GENOTYPE_RECURRENT */
};

/* The largest number of nodes a cell may make: a guard against range(2, 1000000000). */
#define SD_NODES_MAX 1000

/* The nodes a convolutional cell makes ("steps", "layers in cells"): two edges each. */
static inline int sd_cell_steps(const struct sd_cell *cell)
{
	return cell->nedge / 2;
}

/* The edges of a search cell with so many steps: node i has an edge from each of the 2 + i before it. */
static inline int sd_search_edges(int steps)
{
	return steps * (steps + 3) / 2;
}

void sd_genotype_init(struct sd_genotype *g);
void sd_genotype_release(struct sd_genotype *g);
void sd_genotype_copy(struct sd_genotype *to, const struct sd_genotype *from);
/* Gives it a name (NULL takes it away), which must be an identifier: else -1 and a usage error. */
int sd_genotype_set_name(struct sd_genotype *g, const char *name);

/* Allocates a cell's arrays (contents zero); the former ones are freed. */
void sd_cell_alloc(struct sd_cell *cell, int nedge, int nconcat);

/* Whether the same network is meant: names, layout and the form of the concat don't count. */
bool sd_genotype_equal(const struct sd_genotype *a, const struct sd_genotype *b);

/* Checks the numbers of a genotype that was made by hand: ops in range, every edge from an earlier
 * node, two edges a node, concat not empty, in range, no node twice.  -1 and a data error. */
int sd_genotype_check(const struct sd_genotype *g);

/* Reads the one literal in `text` (n bytes):
 *     NAME = Genotype(normal=[('sep_conv_3x3', 1), ...], normal_concat=range(2, 6), reduce=[...],
 *                     reduce_concat=range(2, 6))
 * or a bare Genotype(...), with keywords in any order, lists or tuples, a concat also as range(a, b)
 * or range(b), either quote, any white space and Python comments; layout='cell' may be there or not.
 * Recurrent: Genotype(recurrent=[('tanh', 0), ...], concat=range(1, 9)).  Everything else is a data
 * error "SOURCE:LINE:COLUMN: what is wrong"; columns count bytes from 1.  On an error g is as before. */
int sd_genotype_parse(struct sd_genotype *g, const char *text, size_t n, const char *source);

/* The literal as the reference prints it, on one line without a line feed, with "NAME = " in front
 * when it has a name.  To be freed by the caller. */
char *sd_genotype_text(const struct sd_genotype *g);

/* The text a genotype's digest is taken over: the network and nothing else (no name, no layout, one
 * form of the concat), so equal genotypes have equal text.  To be freed by the caller. */
char *sd_genotype_canonical(const struct sd_genotype *g);
/* The SHA-256 of that text as 64 hex digits: the payload digest of a genotype. */
void sd_genotype_digest(const struct sd_genotype *g, char hex[65]);

/* Where a --arch argument leads: with a slash it is a path, "-" is standard input, otherwise the name
 * of a file NAME.genotype in the genotypes/ folder: beside the executable (../share/sharpdarts in an
 * installation, ../.. in the tree) or in the compiled-in SD_DATADIR.  Returns the path ("-" for
 * standard input), allocated; NULL and an error (no input) when there is no such name. */
char *sd_genotype_locate(const char *arch);
/* The i-th of these folders, there or not, allocated; NULL after the last. */
char *sd_genotype_folder(int i);

/* Reads the genotype of a --arch argument and checks it.  `text`, if not NULL, gets the file's bytes (its
 * comments may hold manifests), to be released by the caller on success.  -1 and an error that names
 * the file. */
int sd_genotype_load(struct sd_genotype *g, const char *arch, struct sd_blob *text);

#endif
