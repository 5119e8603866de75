/* What the words of a whole script say about transactions: enough for a plan. The runner looks at each statement. */
#ifndef LOCKSTEP_MIGRATION_TRANSACTION_H
#define LOCKSTEP_MIGRATION_TRANSACTION_H

#include <stdbool.h>

#include "lib/base/buf.h"

struct transaction_facts {
    bool
        controls_transactions; /* a statement BEGIN, COMMIT, ROLLBACK …: cannot be wrapped in one of ours */
    bool
        refuses_transaction; /* a statement that no transaction block may hold: VACUUM, CREATE DATABASE … */
    bool
        concurrently; /* builds, drops or rebuilds an index concurrently (refuses_transaction too) */
    size_t statements;
};

/* Words, not a parser; bodies of triggers and of BEGIN ATOMIC functions are seen as part of their statement. */
struct transaction_facts transaction_look(struct bytes sql);
/* May the script and the ledger's row be one transaction? Several statements in one query are one to the server anyway, so
 * that one of them that refuses fails there as it does in the tool: only alone does it run. */
bool transaction_fits(const struct transaction_facts *facts);

#endif
