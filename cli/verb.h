/*
 * What every verb of `lockstep` is made of. A verb is one constant struct in a file of its own (or of
 * its group), named in one line of verbs.h: the command line and the help come from the struct.
 */
#ifndef LOCKSTEP_CLI_VERB_H
#define LOCKSTEP_CLI_VERB_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/args.h"
#include "lib/base/arena.h"
#include "lib/base/error.h"

/* How `lockstep` ends. Part of its interface: scripts read them. */
enum cli_exit {
    CLI_DONE = 0,          /* done, or nothing was to do */
    CLI_FAILED = 1,        /* failed, refused or invalid */
    CLI_WRONG_USE = 2,     /* not how the command is used */
    CLI_PAUSED = 3,        /* a person has to answer: the run waits, or a migration may have run */
    CLI_ABORTED = 4,       /* the run was aborted */
    CLI_UNREACHABLE = 5,   /* no answer from the controller, or from the database */
    CLI_MOVED = 6,         /* the cluster, ledger or schema is not as it is known */
    CLI_LEFT_BEHIND = 7,   /* the run is done, but at the nodes that were left behind */
    CLI_ROLLED_BACK = 8,   /* the run was taken back: all is as it was before */
    CLI_INTERRUPTED = 130, /* stopped by a signal */
};

/* One call of the command. */
struct context {
    struct arena *arena; /* borrowed; lives until the command ends */
    struct args args;
    bool json; /* --json */
};

struct verb {
    const char *name;    /* "validate", or "cluster diff" for a verb of a group */
    const char *usage;   /* what follows the name: "FILE..." */
    const char *summary; /* one line for the list of verbs */
    const char *about;   /* paragraphs for `lockstep VERB --help`; ends with a newline */
    const char *example; /* whole lines, each indented by two blanks */
    const struct option_spec *options; /* beside the global ones; NULL: none */
    size_t option_count;
    size_t operands_min, operands_max;
    bool remote;                   /* talks to the controller */
    int (*run)(struct context *c); /* an enum cli_exit; it has said what is wrong */
};

/* The table, in the order of the help. */
extern const struct verb *const verbs[];
extern const size_t verb_count;

/* Options that every verb takes. */
extern const struct option_spec global_options[];
extern const size_t global_option_count;

#endif
