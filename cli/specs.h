/*
 * Spec files on this machine: read, and completed by the Application that a Cluster names. A path is
 * relative to the cluster's file; a name is looked up in the catalog: $LOCKSTEP_CATALOG, then
 * ../../configs and ../share/lockstep/configs beside the program.
 */
#ifndef LOCKSTEP_CLI_SPECS_H
#define LOCKSTEP_CLI_SPECS_H

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/spec/spec.h"

/* Files that belong together: what spec_read() wants, and what is uploaded. */
struct spec_set {
    struct spec_file *files; /* names are paths as they would be typed here */
    size_t count;
    struct spec spec; /* what could be read */
};

struct spec_sets {
    struct spec_set *items;
    size_t count;
    size_t file_count;            /* different files in all sets */
    struct complaints complaints; /* of all sets, each once */
};

/* Reads the files, in sets: each file with a Cluster with its Application (given here too, or loaded
 * along), each Application that is left alone. 0 even with complaints; E_IO, E_NOT_FOUND … when a
 * named file cannot be read. */
int specs_read(struct arena *arena, const char *const *paths, size_t count, struct spec_sets *ret,
               struct error *e);

/* The one Cluster of a file and its Application. E_INVALID: it has complaints, which are said, or it
 * holds no Cluster. */
int specs_read_cluster(struct arena *arena, const char *path, struct spec_set *ret,
                       struct error *e);
#define SPECS_E_COMPLAINTS 1 /* they have been said on standard error */

/* The one Application of a file; the same results. */
int specs_read_application(struct arena *arena, const char *path, struct spec_set *ret,
                           struct error *e);

/* The one Fleet of a file; the same results. */
int specs_read_fleet(struct arena *arena, const char *path, struct spec_set *ret, struct error *e);

#endif
