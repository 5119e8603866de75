/* One fresh database per test, on PostgreSQL, SQLite or MariaDB, and an act to work on it. The test's own program serves as
 * `PROGRAM hold DIR`. */
#ifndef LOCKSTEP_TESTS_UNIT_IO_DB_FIXTURE_H
#define LOCKSTEP_TESTS_UNIT_IO_DB_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/str.h"
#include "lib/io/db/db.h"
#include "lib/io/db/evidence.h"
#include "lib/io/db/format.h"
#include "lib/io/db/hold.h"
#include "lib/io/db/hold_files.h"
#include "lib/io/db/migrate.h"
#include "tests/unit/io/db/mariadb_server.h"
#include "tests/unit/io/db/pg_server.h"

struct fixture {
    enum db_engine_kind kind;
    struct pg_server *server;     /* NULL elsewhere */
    struct mariadb_server *maria; /* NULL elsewhere */
    struct arena arena;
    char dir[128];
    struct database_ref database;
    struct secret password;
    struct act act;
    struct error error;
    size_t blobs;
};

/* `main` of every test program: serves `hold DIR`, else runs the tests. */
int fixture_main(int argc, char **argv, int (*run)(void));
int fixture_server_start(void **state);
int fixture_server_stop(void **state);
struct pg_server *fixture_server(void);

void fixture_postgres(struct fixture *f);
void fixture_sqlite(struct fixture *f);
/* The first one of a program starts the server. The user is "app", with all rights on this database. */
void fixture_mariadb(struct fixture *f);
struct mariadb_server *fixture_maria(void);
/* The test on each of them. */
void fixture_everywhere(void (*test)(struct fixture *));
/* What differs from engine to engine. */
const char *fixture_pick(const struct fixture *f, const char *postgres, const char *sqlite,
                         const char *mariadb);
/* Lockstep's own table. */
const char *fixture_own(struct fixture *f, const char *table);
/* Ends the holder too; removes all. */
void fixture_end(struct fixture *f);

/* A session that is no test's subject. Fails the test when it cannot be had. */
void fixture_open(struct fixture *f, struct db_session *s, const char *run);
/* One value through a session of its own; "" for NULL or no row. */
const char *fixture_value(struct fixture *f, const char *sql);
/* What a migrate step says of itself, without its times. */
const char *fixture_counts(const struct fixture *f);
void fixture_exec(struct fixture *f, const char *sql);
/* A migration of this text. */
struct migration_item fixture_item(struct fixture *f, int64_t version, const char *id,
                                   const char *sql);
/* Another place's act on the same database: its own state directory. */
struct act fixture_act(struct fixture *f, const char *run, uint64_t fence, const char *place);

int fixture_lock(struct fixture *f, struct act *act, int format, int64_t wait_ms);
int fixture_unlock(struct fixture *f, struct act *act, int format);
int fixture_migrate(struct fixture *f, struct act *act, bool down, struct migration_item *items,
                    size_t count);

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        int rc_ = (call);                                                                          \
        if (rc_ != 0) {                                                                            \
            fail_msg("%s: %d %s", #call, rc_, f->error.message);                                   \
        }                                                                                          \
    } while (0)
#define assert_has(text, part)                                                                     \
    do {                                                                                           \
        if (strstr((text), (part)) == NULL) {                                                      \
            fail_msg("\"%s\" is not in: %s", (part), (text));                                      \
        }                                                                                          \
    } while (0)

#endif
