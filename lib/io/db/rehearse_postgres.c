/*
 * Owns the clone of a PostgreSQL database: a new database beside it, or one that a person made, filled by pg_dump and
 * pg_restore. A clone is marked, in the comment on the database or in the schema `lockstep_rehearsal`; its maker is alive as
 * long as the server has its session. Nothing without that mark is ever dropped.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/io/db/fingerprint.h"
#include "lib/io/db/postgres.h"
#include "lib/io/db/rehearse_parts.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/process.h"
#include "lib/io/platform/secret.h"

#define MARK          "lockstep rehearsal "
#define MARK_SCHEMA   "lockstep_rehearsal"
#define DROP_TRIES    50
#define DROP_PAUSE_MS 100
#define ANSWER_BYTES  (16u * 1024 * 1024) /* of a statement with all columns of a table */

/* Schemas of the application. */
#define OURS(column)                                                                               \
    column " NOT IN ('pg_catalog', 'information_schema', 'lockstep', '" MARK_SCHEMA                \
           "') AND " column " NOT LIKE 'pg\\_%'"

/* Runs each statement that a query answers with. */
static int run_each(struct db_session *s, const char *query, const char *const *params,
                    size_t count, struct error *e)
{
    struct db_rows rows;
    int rc = db_query(s, s->arena, query, params, count, &rows, e);
    for (size_t i = 0; rc == 0 && i < rows.count; i++) {
        rc = db_exec(s, db_cell(&rows, i, 0), e);
    }
    return rc;
}

/* ---- who lives ---- */

/* The maker's session is named so, and ends when the maker does. */
static int maker_lives(struct db_session *s, const char *run, bool *ret, struct error *e)
{
    const char *text = NULL;
    int rc = db_value(s, s->arena,
                      "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = "
                      "left('lockstep ' || $1 || ' rehearsal', 63)",
                      &run, 1, &text, e);
    *ret = rc < 0 || !str_equal(text, "f");
    return rc;
}

static int drop_database(struct db_session *s, const char *name, struct error *e)
{
    const char *sql = NULL;
    int rc = db_value(s, s->arena, "SELECT format('DROP DATABASE IF EXISTS %I', $1::text)", &name,
                      1, &sql, e);
    if (rc < 0) {
        return rc;
    }
    for (int i = 0;; i++) {
        rc = db_query(s, s->arena,
                      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 "
                      "AND pid <> pg_backend_pid() AND pg_has_role(usesysid, 'MEMBER')",
                      &name, 1, NULL, e);
        rc = rc < 0 ? rc : db_exec(s, sql, e);
        bool in_use = rc < 0 && str_equal(s->fault.sqlstate, "55006");
        if (!in_use || i >= DROP_TRIES) {
            return rc;
        }
        process_sleep_ms(DROP_PAUSE_MS);
    }
}

static int sweep(struct rehearsal *r, struct error *e)
{
    struct db_session *s = &r->live;
    struct db_rows rows;
    int rc = db_query(
        s, s->arena,
        "SELECT datname, substr(mark, length('" MARK "') + 1) FROM (SELECT datname,"
        " shobj_description(oid, 'pg_database') AS mark FROM pg_database WHERE datname LIKE"
        " '%\\_lockstep\\_rehearsal\\_%') d WHERE mark LIKE '" MARK "%'",
        NULL, 0, &rows, e);
    for (size_t i = 0; rc == 0 && i < rows.count; i++) {
        bool lives = true;
        rc = maker_lives(s, db_cell(&rows, i, 1), &lives, e);
        if (rc == 0 && !lives) {
            act_log(&r->outer, "removing the clone %s, which a rehearsal left that is dead",
                    db_cell(&rows, i, 0));
            rc = drop_database(s, db_cell(&rows, i, 0), e);
        }
    }
    return rc;
}

/* It was written down before the database was made: without a mark it is ours too, nobody else knows that name. */
static int sweep_named(struct rehearsal *r, const char *name, struct error *e)
{
    struct db_session *s = &r->live;
    const char *found = NULL;
    if (strstr(name, "_lockstep_rehearsal_") == NULL) {
        return 0;
    }
    int rc = db_value(s, s->arena,
                      "SELECT 1 FROM pg_database WHERE datname = $1 AND coalesce("
                      "shobj_description(oid, 'pg_database'), '" MARK "') LIKE '" MARK "%'",
                      &name, 1, &found, e);
    return rc == 0 && found != NULL ? drop_database(s, name, e) : rc;
}

/* ---- a new database ---- */

/* The same URL, another database: libpq takes the last one that is said. */
static const char *url_of(struct arena *arena, const char *url, const char *name)
{
    struct buf b;
    buf_init(&b, arena, 3 * strlen(name) + strlen(url) + 16);
    buf_printf(&b, "%s%cdbname=", url, strchr(url, '?') != NULL ? '&' : '?');
    for (const char *p = name; *p != '\0'; p++) {
        buf_printf(&b, "%%%02X", (unsigned char)*p);
    }
    return buf_text(&b);
}

/* As the live one: encoding and sort order, whatever this version of the server calls them. */
static int create(struct rehearsal *r, struct error *e)
{
    struct db_session *s = &r->live;
    const char *params[] = {r->name, arena_printf(s->arena, MARK "%s", r->outer.run)};
    int rc = run_each(
        s,
        "SELECT format('CREATE DATABASE %I TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE "
        "%L', $1::text, pg_encoding_to_char(encoding), datcollate, datctype)"
        " || CASE d->>'datlocprovider' WHEN 'i' THEN format(' LOCALE_PROVIDER icu ICU_LOCALE %L',"
        " coalesce(d->>'datlocale', d->>'daticulocale')) WHEN 'b' THEN format("
        "' LOCALE_PROVIDER builtin BUILTIN_LOCALE %L', d->>'datlocale') ELSE '' END"
        " || CASE WHEN spcname <> 'pg_default' THEN format(' TABLESPACE %I', spcname) ELSE '' END"
        " FROM (SELECT *, to_jsonb(x) AS d FROM pg_database x) x JOIN pg_tablespace t ON t.oid ="
        " dattablespace WHERE datname = current_database()",
        params, 1, e);
    if (rc < 0 && str_equal(s->fault.sqlstate, "42501")) {
        return error_set(e, E_DENIED,
                         "database %s: its role may not make the clone: ALTER ROLE … CREATEDB, or "
                         "make an empty database and name it with %s",
                         s->name, r->options.clone_key);
    }
    rc = rc < 0 ? rc
                : run_each(s, "SELECT format('COMMENT ON DATABASE %I IS %L', $1::text, $2::text)",
                           params, 2, e);
    /* What ALTER DATABASE … SET says is in no dump of one database. Lists stand there quoted already. */
    return rc < 0 ? rc
                  : run_each(s,
                             "SELECT format('ALTER %s SET %I TO %s', CASE WHEN setrole = 0 THEN "
                             "format('DATABASE %I', $1::text) ELSE format('ROLE %I IN DATABASE "
                             "%I', setrole::regrole::text, $1::text) END, split_part(item, '=', "
                             "1), CASE WHEN split_part(item, '=', 1) IN ('search_path', "
                             "'temp_tablespaces', 'session_preload_libraries', "
                             "'local_preload_libraries') AND value <> '' THEN value ELSE "
                             "quote_literal(value) END) FROM (SELECT setrole, item, substr(item, "
                             "strpos(item, '=') + 1) AS value FROM pg_db_role_setting, "
                             "unnest(setconfig) item WHERE setdatabase = (SELECT oid FROM "
                             "pg_database WHERE datname = current_database()) AND setrole IN (0, "
                             "(SELECT oid FROM pg_roles WHERE rolname = current_user))) x",
                             params, 1, e);
}

/* ---- a database that a person made ---- */

/* Dropped one by one: the schema public may be another role's. */
static int wipe(struct db_session *s, struct error *e)
{
    return run_each(
        s,
        "SELECT format('DROP EXTENSION IF EXISTS %I CASCADE', extname) FROM pg_extension WHERE "
        "extname <> 'plpgsql' UNION ALL SELECT format('DROP EVENT TRIGGER IF EXISTS %I', evtname) "
        "FROM pg_event_trigger UNION ALL SELECT format('DROP SCHEMA IF EXISTS %I CASCADE', "
        "nspname) FROM pg_namespace WHERE nspname NOT IN ('pg_catalog', 'information_schema', "
        "'public', '" MARK_SCHEMA "') AND nspname NOT LIKE 'pg\\_%' UNION ALL SELECT "
        "format('DROP %s IF EXISTS %s CASCADE', i.type, i.identity) FROM (SELECT "
        "'pg_class'::regclass AS class, oid, CASE WHEN relkind IN ('r', 'p', 'f') THEN 1 ELSE 2 "
        "END AS step FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN "
        "('r', 'p', 'f', 'v', 'm', 'S') UNION ALL SELECT 'pg_type'::regclass, oid, 3 FROM pg_type "
        "WHERE typnamespace = 'public'::regnamespace AND typelem = 0 AND typtype IN ('e', 'd', "
        "'c', 'r') AND (typrelid = 0 OR (SELECT relkind FROM pg_class c WHERE c.oid = typrelid) = "
        "'c') UNION ALL SELECT 'pg_proc'::regclass, oid, 4 FROM pg_proc WHERE pronamespace = "
        "'public'::regnamespace ORDER BY 3) o, pg_identify_object(o.class, o.oid, 0) i",
        NULL, 0, e);
}

static int check_empty(struct db_session *s, bool *ret, const char **ret_words, struct error *e)
{
    int rc = db_value(
        s, s->arena,
        "SELECT string_agg(what, ', ') FROM (SELECT 'schema ' || nspname AS what FROM pg_namespace "
        "WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'public', '" MARK_SCHEMA
        "') AND nspname NOT LIKE 'pg\\_%' UNION ALL SELECT c.oid::regclass::text FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'public' UNION ALL SELECT "
        "p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace "
        "WHERE nspname = 'public' UNION ALL SELECT t.oid::regtype::text FROM pg_type t JOIN "
        "pg_namespace n ON n.oid = typnamespace WHERE nspname = 'public' AND typelem = 0 AND "
        "typrelid = 0 LIMIT 5) x",
        NULL, 0, ret_words, e);
    *ret = rc == 0 && *ret_words == NULL;
    return rc;
}

/* The mark of the one who used it last; NULL: there is none. */
static int read_mark(struct db_session *s, const char **ret, struct error *e)
{
    return db_value(s, s->arena,
                    "SELECT substr(mark, length('" MARK "') + 1) FROM (SELECT "
                    "obj_description(oid, 'pg_namespace') AS mark FROM pg_namespace WHERE nspname "
                    "= '" MARK_SCHEMA "') x WHERE mark LIKE '" MARK "%'",
                    NULL, 0, ret, e);
}

static int refuse_live(struct rehearsal *r, struct error *e)
{
    const char *live = NULL;
    const char *clone = NULL;
    int rc = r->live.engine->identity(&r->live, r->arena, &live, e);
    rc = rc < 0 ? rc : r->clone.engine->identity(&r->clone, r->arena, &clone, e);
    return rc == 0 && str_equal(live, clone)
               ? error_set(e, E_CONFLICT, "the clone is the live database itself: name another one")
               : rc;
}

/* A dead rehearsal's migration may still be at work on the server. */
static int end_dead(struct db_session *s, const char *run, struct error *e)
{
    return db_query(s, s->arena,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
                    "current_database() AND pid <> pg_backend_pid() AND "
                    "pg_has_role(usesysid, 'MEMBER') AND "
                    "starts_with(application_name, left('lockstep ' || $1, 63))",
                    &run, 1, NULL, e);
}

static int take_over(struct rehearsal *r, struct error *e)
{
    struct db_session *s = &r->clone;
    const char *mark = NULL;
    const char *words = NULL;
    bool empty = false;
    bool lives = false;
    int rc = refuse_live(r, e);
    rc = rc < 0 ? rc : read_mark(s, &mark, e);
    rc = rc < 0 || mark == NULL ? rc : maker_lives(s, mark, &lives, e);
    if (rc == 0 && lives) {
        return error_set(e, E_CONFLICT, "another rehearsal (%s) is at work on the clone %s", mark,
                         s->place);
    }
    rc = rc < 0 || mark == NULL ? rc : end_dead(s, mark, e);
    rc = rc < 0 || mark == NULL ? rc : wipe(s, e);
    rc = rc < 0 ? rc : check_empty(s, &empty, &words, e);
    if (rc == 0 && !empty) {
        return error_set(e, E_CONFLICT,
                         "the clone %s is not empty (%s): name a new database, nothing is ever "
                         "removed that was not made here",
                         s->place, words);
    }
    const char *sql = arena_printf(s->arena,
                                   "BEGIN; CREATE SCHEMA IF NOT EXISTS " MARK_SCHEMA
                                   "; COMMENT ON SCHEMA " MARK_SCHEMA " IS '" MARK "%s'; COMMIT",
                                   r->outer.run);
    return rc < 0 ? rc : db_exec(s, sql, e);
}

/* ---- both ---- */

static int fill(struct rehearsal *r, struct error *e)
{
    const char *file = arena_printf(r->arena, "%s/clone.dump", r->home);
    const char *conninfo = NULL;
    const char *password = NULL;
    int rc = r->live.engine->dump(&r->live, &r->act, r->options.live, file, e);
    rc = rc < 0 ? rc : postgres_find_password(&r->clone, &r->ref, &conninfo, &password, e);
    if (rc == 0) {
        const char *words[] = {"pg_restore",
                               "--exit-on-error",
                               "--no-password",
                               "--no-owner",
                               "--no-privileges",
                               "--no-comments",
                               "--no-publications",
                               "--no-subscriptions",
                               "-d",
                               conninfo,
                               file};
        struct strings argv = {.items = words, .count = ARRAY_SIZE(words)};
        struct process_result result;
        rc = act_stopped(&r->act)
                 ? error_set(e, E_CANCELLED, "stopped before the clone was filled")
                 : postgres_program(&r->act, &r->clone, &argv, password, &result, e);
    }
    secret_wipe(password);
    struct error ignored;
    file_remove(file, &ignored);
    return rc < 0 ? rc : db_exec(&r->clone, "ANALYZE", e);
}

static int open_clone(struct rehearsal *r, struct error *e)
{
    const char *run = r->options.clone == NULL
                          ? arena_printf(r->arena, "%s look", r->outer.run)
                          : arena_printf(r->arena, "%s rehearsal", r->outer.run);
    struct db_options options = {.run = run, .log_fd = r->outer.log_fd};
    return db_open(&r->clone, &r->clone_arena, &r->ref, &options, e);
}

/* The session that proves that we live is idle meanwhile. */
static int stay(struct db_session *s, struct error *e)
{
    return db_query(s, s->arena,
                    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = "
                    "'idle_session_timeout'",
                    NULL, 0, NULL, e);
}

static int make(struct rehearsal *r, struct error *e)
{
    int rc = stay(&r->live, e);
    if (rc < 0) {
        return rc;
    }
    if (r->options.clone != NULL) {
        r->ref = *r->options.clone;
        rc = open_clone(r, e);
        rc = rc < 0 ? rc : stay(&r->clone, e);
        rc = rc < 0 ? rc : take_over(r, e);
    } else {
        r->ref = *r->options.live;
        r->ref.url = url_of(r->arena, r->ref.url, r->name);
        rc = create(r, e);
        rc = rc < 0 ? rc : open_clone(r, e);
    }
    rc = rc < 0 ? rc : fill(r, e);
    return rc < 0 ? rc : r->clone.engine->bytes(&r->clone, &r->bytes, e);
}

/* Only what bears our mark: a database that was refused is not ours to empty. */
static int leave(struct rehearsal *r, bool keep, struct error *e)
{
    struct db_session s = {0};
    struct db_options options = {.run = arena_printf(r->arena, "%s rehearsal", r->outer.run)};
    const char *mark = NULL;
    db_close(&r->clone);
    int rc = db_open(&s, r->arena, &r->ref, &options, e);
    rc = rc < 0 ? rc : read_mark(&s, &mark, e);
    if (rc == 0 && str_equal(mark, r->outer.run)) {
        rc = keep ? 0 : wipe(&s, e);
        rc = rc < 0 ? rc : db_exec(&s, "DROP SCHEMA IF EXISTS " MARK_SCHEMA, e);
    }
    db_close(&s);
    return rc;
}

static int take_away(struct rehearsal *r, bool keep, struct error *e)
{
    if (r->options.clone != NULL) {
        return leave(r, keep, e);
    }
    db_close(&r->clone);
    struct db_session s = {0}; /* the one that was opened first may be lost by now */
    struct db_options options = {.run = arena_printf(r->arena, "%s rehearsal", r->outer.run)};
    int rc = db_open(&s, r->arena, r->options.live, &options, e);
    if (rc == 0) {
        rc = keep ? run_each(&s, "SELECT format('COMMENT ON DATABASE %I IS NULL', $1::text)",
                             &r->name, 1, e)
                  : drop_database(&s, r->name, e);
    }
    db_close(&s);
    return rc;
}

/* ---- looking ---- */

static int tables(struct db_session *s, struct arena *arena, struct rehearse_table **ret,
                  size_t *ret_count, struct error *e)
{
    struct db_rows rows;
    int rc = db_query(s, arena,
                      "SELECT c.oid, nspname || '.' || relname, relname, "
                      "coalesce(pg_relation_filenode(c.oid), 0), coalesce(pg_table_size(c.oid), "
                      "0), relkind FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
                      "WHERE relkind IN ('r', 'm') AND relpersistence <> 't' AND " OURS(
                          "nspname") " ORDER BY (nspname || '.' || relname) COLLATE \"C\"",
                      NULL, 0, &rows, e);
    if (rc < 0) {
        return rc;
    }
    struct rehearse_table *list = arena_array(arena, MAX(rows.count, 1), sizeof(*list));
    size_t count = 0;
    for (size_t i = 0; i < rows.count; i++) {
        if (!db_fingerprint_is_tools(s, db_cell(&rows, i, 2))) {
            list[count++] = (struct rehearse_table){
                .id = db_cell(&rows, i, 0),
                .name = db_cell(&rows, i, 1),
                .storage = db_cell(&rows, i, 3),
                .bytes = strtoull(db_cell(&rows, i, 4), NULL, 10),
                .has_rows = str_equal(db_cell(&rows, i, 5), "r"),
            };
        }
    }
    *ret = list;
    *ret_count = count;
    return 0;
}

/* Sums of hashes: whatever the order of the rows and of the columns, in one pass. */
static const char *hash_query(struct arena *arena, const char *table, const struct db_rows *columns)
{
    struct buf b;
    buf_init(&b, arena, ANSWER_BYTES);
    buf_puts(&b, "SELECT count(*)");
    for (size_t i = 0; i < columns->count; i++) {
        buf_printf(&b, ", coalesce(sum(hashtextextended(%s::text, 1)::numeric), 0)",
                   db_cell(columns, i, 1));
    }
    if (columns->count > 0) {
        buf_puts(&b, ", coalesce(sum(hashtextextended(ROW(");
        for (size_t i = 0; i < columns->count; i++) {
            buf_printf(&b, "%s%s", i > 0 ? ", " : "", db_cell(columns, i, 1));
        }
        buf_puts(&b, ")::text, 2)::numeric), 0)");
    }
    buf_printf(&b, " FROM ONLY %s", table);
    return buf_text(&b);
}

static int rows(struct db_session *s, struct arena *arena, struct rehearse_table *table,
                bool digest, struct error *e)
{
    const char *name = NULL;
    struct db_rows columns = {0};
    int rc = db_value(s, arena, "SELECT $1::oid::regclass", &table->id, 1, &name, e);
    if (rc == 0 && digest) {
        rc = db_query(s, arena,
                      "SELECT attname, quote_ident(attname) FROM pg_attribute WHERE attrelid = "
                      "$1::oid AND attnum > 0 AND NOT attisdropped ORDER BY attname COLLATE \"C\"",
                      &table->id, 1, &columns, e);
    }
    struct db_rows answer = {0};
    rc = rc < 0 ? rc : db_query(s, arena, hash_query(arena, name, &columns), NULL, 0, &answer, e);
    if (rc < 0) {
        return rc;
    }
    table->rows = db_cell(&answer, 0, 0);
    table->columns_count = columns.count > 0 ? columns.count + 1 : 0;
    table->columns = arena_array(arena, MAX(table->columns_count, 1), sizeof(*table->columns));
    for (size_t i = 0; i < table->columns_count; i++) {
        table->columns[i] =
            (struct rehearse_column){.name = i < columns.count ? db_cell(&columns, i, 0) : "",
                                     .hash = db_cell(&answer, 0, i + 1)};
    }
    return 0;
}

/* Tables that the migration itself has made are not seen from here yet, and nobody can wait for them. */
static int locks(struct db_session *s, struct arena *arena, int64_t pid, struct db_rows *ret,
                 struct error *e)
{
    const char *text = arena_printf(arena, "%" PRId64, pid);
    return db_query(s, arena,
                    "SELECT c.oid, nspname || '.' || relname, mode, relname FROM pg_locks l JOIN "
                    "pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = relnamespace "
                    "WHERE l.pid = $1::int AND l.granted AND l.locktype = 'relation' AND "
                    "l.database = (SELECT oid FROM pg_database WHERE datname = "
                    "current_database()) AND relkind IN ('r', 'p', 'm', 'f') AND " OURS("nspname"),
                    &text, 1, ret, e);
}

const struct rehearse_engine rehearse_postgres = {
    .kind = DB_POSTGRES,
    .make = make,
    .remove = take_away,
    .sweep = sweep,
    .sweep_named = sweep_named,
    .tables = tables,
    .rows = rows,
    .locks = locks,
};
