/* `--delegate COMMAND` of `db up` and `down`: who runs the migrations that are no SQL. */
#ifndef LOCKSTEP_CLI_DB_DELEGATE_H
#define LOCKSTEP_CLI_DB_DELEGATE_H

#include "cli/db.h"

/* Words between blanks, never a shell. `text` NULL: none, *ret is empty. */
int db_delegate_read(struct db_call *call, const char *text, struct strings *ret, struct error *e);
/* Starts it for one migration, in the caller's directory and environment, and waits for its end. `file` names the
 * migration. 0: it ended well. */
int db_delegate_run(struct db_call *call, const struct strings *words, const struct migration *m,
                    const char *file, struct error *e);

#endif
