/* `lockstep db rehearse`: what its two parts share. */
#ifndef LOCKSTEP_CLI_DB_REHEARSE_H
#define LOCKSTEP_CLI_DB_REHEARSE_H

#include "cli/db.h"
#include "lib/io/db/rehearse.h"

struct db_rehearsal {
    struct db_call call; /* first: the act's shell is the call */
    const char *to;
    bool keep, one_way;
    struct database_ref clone_ref;
    struct secret clone_password;
    struct rehearse_options options;
    struct rehearsal *rehearsal; /* while there is a clone */
    const char *clone;           /* its place */
    uint64_t bytes;
    int64_t clone_ms;
    int64_t at; /* Unix milliseconds when it began */
    struct db_way way;
    struct rehearse_report report;
    const char *no_way_back; /* the file that has no script for it; NULL */
};

/* The report as one document; `rc` and `e` are how the rehearsal ended. */
json_t *db_rehearsal_json(const struct db_rehearsal *r, int rc, const struct error *e);
void db_rehearsal_print(const struct db_rehearsal *r);

#endif
