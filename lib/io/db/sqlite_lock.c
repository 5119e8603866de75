/*
 * Owns, for SQLite: the text of Lockstep's own tables, and the lock as a row that names a process. It refuses to
 * take a row over unless its process is proved dead.
 */
#include "lib/io/db/sqlite.h"

#include <stdio.h>
#include <string.h>

#include "lib/io/db/evidence.h"

#define NOW "(strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))"
#define FENCED_TABLE(name)                                                                         \
    "CREATE TRIGGER lockstep_fenced_" name "_insert BEFORE INSERT ON lockstep_" name               \
    " BEGIN SELECT RAISE(ABORT, '" DB_FENCE_WORDS ", the database has seen a higher one')"         \
    " WHERE NEW.fence < (SELECT value FROM lockstep_fence) OR NOT EXISTS (SELECT 1 FROM "          \
    "lockstep_fence);"                                                                             \
    " END;"                                                                                        \
    "CREATE TRIGGER lockstep_fenced_" name "_update BEFORE UPDATE ON lockstep_" name               \
    " BEGIN SELECT RAISE(ABORT, '" DB_FENCE_WORDS ", the database has seen a higher one')"         \
    " WHERE NEW.fence < (SELECT value FROM lockstep_fence) OR NOT EXISTS (SELECT 1 FROM "          \
    "lockstep_fence);"                                                                             \
    " END;"

const char sqlite_evidence_ddl[] =
    "CREATE TABLE lockstep_layout (version INTEGER NOT NULL);"
    "CREATE TABLE lockstep_fence (one INTEGER PRIMARY KEY CHECK (one = 1), value INTEGER NOT NULL);"
    "INSERT INTO lockstep_fence VALUES (1, 0);"
    "CREATE TABLE lockstep_evidence (number INTEGER PRIMARY KEY, run TEXT NOT NULL,"
    " step TEXT NOT NULL, ledger TEXT NOT NULL DEFAULT '', item TEXT NOT NULL,"
    " down INTEGER NOT NULL, digest TEXT NOT NULL, how TEXT NOT NULL, fence INTEGER NOT NULL,"
    " at TEXT NOT NULL DEFAULT " NOW ", UNIQUE (run, step, item, down));"
    "CREATE TABLE lockstep_intent (ledger TEXT NOT NULL, item TEXT NOT NULL, down INTEGER NOT NULL,"
    " run TEXT NOT NULL, step TEXT NOT NULL, digest TEXT NOT NULL, file TEXT NOT NULL,"
    " line INTEGER NOT NULL, statement TEXT NOT NULL, done INTEGER NOT NULL, state TEXT NOT NULL,"
    " fence INTEGER NOT NULL, backend_pid INTEGER NOT NULL, asked_run TEXT NOT NULL DEFAULT '',"
    " asked_step TEXT NOT NULL DEFAULT '', asked_attempt INTEGER NOT NULL DEFAULT 0,"
    " at TEXT NOT NULL DEFAULT " NOW ", UNIQUE (ledger, item, down));"
    "CREATE TABLE lockstep_checkpoint (run TEXT NOT NULL, step TEXT NOT NULL, release TEXT NOT "
    "NULL,"
    " schema INTEGER NOT NULL, applied INTEGER NOT NULL, digest TEXT NOT NULL, fence INTEGER NOT "
    "NULL,"
    " fingerprint TEXT NOT NULL DEFAULT '', number INTEGER NOT NULL DEFAULT 0,"
    " evidence INTEGER NOT NULL DEFAULT 0,"
    " at TEXT NOT NULL DEFAULT " NOW ", UNIQUE (run, step));"
    "CREATE TABLE lockstep_fingerprint (digest TEXT PRIMARY KEY, objects TEXT NOT NULL, run TEXT "
    "NOT NULL,"
    " fence INTEGER NOT NULL, at TEXT NOT NULL DEFAULT " NOW ");"
    "CREATE TABLE lockstep_holder (one INTEGER PRIMARY KEY CHECK (one = 1), run TEXT NOT NULL,"
    " host TEXT NOT NULL, machine TEXT NOT NULL, boot_id TEXT NOT NULL, pid_space TEXT NOT NULL,"
    " pid INTEGER NOT NULL, start_time INTEGER NOT NULL, fence INTEGER NOT NULL,"
    " backend_pid INTEGER NOT NULL, tool_lease INTEGER NOT NULL DEFAULT 0,"
    " since TEXT NOT NULL DEFAULT " NOW ");"
    "CREATE TRIGGER lockstep_fence_grows BEFORE UPDATE ON lockstep_fence WHEN NEW.value < OLD.value"
    " BEGIN SELECT RAISE(ABORT, 'lockstep: the fence only grows'); END;"
    "CREATE TRIGGER lockstep_fence_stays BEFORE DELETE ON lockstep_fence"
    " BEGIN SELECT RAISE(ABORT, 'lockstep: the fence only grows'); END;"
    /* INSERT OR REPLACE would delete without asking the trigger above. */
    "CREATE TRIGGER lockstep_fence_one BEFORE INSERT ON lockstep_fence"
    " WHEN EXISTS (SELECT 1 FROM lockstep_fence)"
    " BEGIN SELECT RAISE(ABORT, 'lockstep: the fence only grows'); END;" FENCED_TABLE("evidence")
        FENCED_TABLE("intent") FENCED_TABLE("checkpoint") FENCED_TABLE("fingerprint")
            FENCED_TABLE("holder");

static bool same_process(const struct db_holder *a, const struct db_holder *b)
{
    return a->pid == b->pid && a->start_time == b->start_time &&
           strcmp(a->boot_id, b->boot_id) == 0 && strcmp(a->pid_space, b->pid_space) == 0;
}

static int take_row(struct db_session *s, const struct db_holder *self, bool *ret, struct error *e)
{
    struct db_holder row;
    int rc = db_holder_read(s, s->arena, &row, e);
    if (rc < 0) {
        return rc;
    }
    bool free =
        row.run == NULL || same_process(&row, self) || db_holder_life(&row, self) == DB_LIFE_DEAD;
    if (free) {
        rc = db_holder_write(s, self, e);
    }
    if (rc == 0) {
        rc = db_commit(s, e);
    }
    if (rc == 0) {
        *ret = free;
    }
    return rc;
}

int sqlite_try_lock(struct db_session *s, const struct db_holder *self, bool *ret, struct error *e)
{
    int rc = db_begin(s, e);
    if (rc == 0) {
        rc = take_row(s, self, ret, e);
    }
    if (rc < 0) {
        db_rollback(s);
    }
    return rc;
}

int sqlite_keep_lock(struct db_session *s, const struct db_holder *self, bool *ret, struct error *e)
{
    struct db_holder row;
    int rc = db_holder_read(s, s->arena, &row, e);
    if (rc == 0) {
        *ret = row.run != NULL && same_process(&row, self);
    }
    return rc;
}

/* The row is the lock: db_holder_remove() has taken it away. */
int sqlite_unlock(struct db_session *s, const struct db_holder *self, struct error *e)
{
    bool still = false;
    int rc = sqlite_keep_lock(s, self, &still, e);
    return rc == 0 && still ? db_holder_remove(s, self, e) : rc;
}

int sqlite_lock_state(struct db_session *s, struct arena *arena, struct db_lock_state *ret,
                      struct error *e)
{
    struct db_holder row;
    struct db_holder self;
    int rc = db_holder_read(s, arena, &row, e);
    *ret = (struct db_lock_state){.words = "nobody"};
    if (rc < 0 || row.run == NULL) {
        return rc;
    }
    rc = db_holder_self(arena, "", 0, &self, e);
    if (rc < 0) {
        return rc;
    }
    enum db_life life = db_holder_life(&row, &self);
    ret->held = life != DB_LIFE_DEAD;
    ret->pid = row.pid;
    ret->words = arena_printf(arena, "run %s on %s, pid %lld, since %s%s", row.run, row.host,
                              (long long)row.pid, row.since,
                              life == DB_LIFE_DEAD ? " (that process is dead)"
                              : life == DB_LIFE_UNPROVED
                                  ? " (another machine: whether it lives cannot be seen from "
                                    "here. When it is gone: DELETE FROM lockstep_holder)"
                                  : "");
    return 0;
}
