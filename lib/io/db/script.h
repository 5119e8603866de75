/* What the runner has to know about a script before it runs it. */
#ifndef LOCKSTEP_IO_DB_SCRIPT_H
#define LOCKSTEP_IO_DB_SCRIPT_H

#include <stdbool.h>

#include "lib/base/buf.h"

struct script_facts {
    bool
        controls_transactions; /* a statement BEGIN, COMMIT, ROLLBACK …: cannot be wrapped in a transaction of ours */
    size_t statements;
    struct bytes first; /* the first statement's text, for people; borrowed from the script */
};

/* Words, not a parser; bodies of triggers and of BEGIN ATOMIC functions are seen as part of their statement. */
struct script_facts script_look(struct bytes sql);

#endif
