/*
 * Owns, for MariaDB: how long a statement waits for a table, how long it may take, and who keeps it waiting. The server
 * says that exactly only where it is told to keep account of its metadata locks; else those are named who could.
 */
#include <stdio.h>

#include "lib/base/str.h"
#include "lib/io/db/mariadb.h"

#define TIME_SECONDS_MAX 31536000 /* of max_statement_time */

int mariadb_limit_statements(struct db_session *s, int64_t ms, struct error *e)
{
    long long limit = (long long)MIN(MAX(ms, 1), (int64_t)TIME_SECONDS_MAX * 1000);
    return db_exec(s,
                   arena_printf(s->arena, "SET SESSION max_statement_time = %lld.%03lld",
                                limit / 1000, limit % 1000),
                   e);
}

/* ---- who ---- */

#define WORDS                                                                                      \
    "CONCAT(IF(" MARIADB_PROGRAM " = '', 'no program_name', " MARIADB_PROGRAM "), ' (', p.USER,"   \
    " '@', SUBSTRING_INDEX(p.HOST, ':', 1), ', connection ', p.ID, ', ',"                          \
    " IF(p.COMMAND = 'Sleep', 'idle', LOWER(p.COMMAND)), COALESCE(CONCAT(', its transaction is '," \
    " TIMESTAMPDIFF(SECOND, t.trx_started, NOW()), ' s old'), ''), ')') AS words" MARIADB_SESSIONS \
    " LEFT JOIN information_schema.INNODB_TRX t ON t.trx_mysql_thread_id = p.ID"
#define FIRST(from, order)                                                                         \
    "SELECT GROUP_CONCAT(words SEPARATOR '; ') FROM (SELECT " WORDS from " ORDER BY " order        \
    " LIMIT 3) x"
#define OTHERS " WHERE p.ID NOT IN ($1, CONNECTION_ID())"

/* From the one that knows most to the one that knows least. */
static const struct {
    const char *sql;
    const char *before;
} questions[] = {
    /* performance_schema, with the instrument wait/lock/metadata/sql/mdl. */
    {FIRST(OTHERS " AND p.ID IN (SELECT h.PROCESSLIST_ID FROM performance_schema.metadata_locks w"
                  " JOIN performance_schema.threads o ON o.THREAD_ID = w.OWNER_THREAD_ID"
                  " JOIN performance_schema.metadata_locks g ON g.OBJECT_TYPE = w.OBJECT_TYPE AND"
                  " g.OBJECT_SCHEMA <=> w.OBJECT_SCHEMA AND g.OBJECT_NAME <=> w.OBJECT_NAME AND"
                  " g.LOCK_STATUS = 'GRANTED' JOIN performance_schema.threads h ON h.THREAD_ID ="
                  " g.OWNER_THREAD_ID WHERE w.LOCK_STATUS = 'PENDING' AND o.PROCESSLIST_ID = $1)",
           "t.trx_started"),
     ""},
    /* The plugin metadata_lock_info, which does not say what our own session waits for: its text does. */
    {FIRST(OTHERS " AND p.ID IN (SELECT m.THREAD_ID FROM information_schema.METADATA_LOCK_INFO m"
                  " JOIN information_schema.PROCESSLIST o ON o.ID = $1 WHERE m.TABLE_SCHEMA ="
                  " DATABASE() AND m.TABLE_NAME <> '' AND LOCATE(m.TABLE_NAME, o.INFO) > 0)",
           "t.trx_started"),
     ""},
    {FIRST(OTHERS " AND (p.DB = DATABASE() OR p.DB IS NULL) AND (t.trx_id IS NOT NULL OR"
                  " p.COMMAND NOT IN ('Sleep', 'Daemon')) AND COALESCE(p.STATE, '') NOT LIKE"
                  " 'Waiting for table metadata%'",
           "t.trx_started IS NULL, t.trx_started"),
     "perhaps "},
};

static int blockers(struct db_session *s, struct arena *arena, int64_t pid, const char **ret,
                    struct error *e)
{
    const char *id = arena_printf(arena, "%lld", (long long)pid);
    const char *words = NULL;
    int rc = 0;
    for (size_t i = 0; i < ARRAY_SIZE(questions) && words == NULL && !s->lost; i++) {
        rc = db_value(s, arena, questions[i].sql, &id, 1, &words, e); /* not there, or not for us */
        if (rc == 0 && words != NULL) {
            words = arena_printf(arena, "%s%s", questions[i].before, words);
        }
    }
    *ret = words;
    return words != NULL ? 0 : rc;
}

const struct db_lock_limit mariadb_lock_limit = {
    .read = "SELECT @@SESSION.lock_wait_timeout",
    .set = "SET SESSION lock_wait_timeout = ",
    .give_back = "SET SESSION lock_wait_timeout = CAST($1 AS unsigned)",
    .unit_ms = 1000,
    .least = 0, /* does not wait at all */
    .blockers = blockers,
};
