/*
 * A database's URL as people have it: of libpq, of golang-migrate, of a driver. Pure: text in, text out. The password is
 * taken out of it, so that what is written to files, logs and errors holds none.
 */
#ifndef LOCKSTEP_CLI_DB_URL_H
#define LOCKSTEP_CLI_DB_URL_H

#include "lib/base/arena.h"
#include "lib/base/error.h"

struct db_url {
    const char *url;      /* what the engines read; without a password */
    const char *password; /* decoded; NULL: none was in it */
    const char *ledger;   /* x-migrations-table: "table" or "schema.table"; NULL: none was named */
    const char *name;     /* for messages and file names: the last part of its path */
};

/* `directory`: what a relative path of a SQLite file starts from. E_INVALID names the parameter that is not understood and
 * what to write instead; never the password. */
int db_url_read(struct arena *arena, const char *text, const char *directory, struct db_url *ret,
                struct error *e);

#endif
