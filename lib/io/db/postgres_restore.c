/*
 * Owns putting a PostgreSQL database back to a backup: one transaction, by psql, of three files: the drops of all that the
 * application has now, what pg_restore makes of the backup, and the evidence. pg_restore reads the whole backup before
 * anything is dropped. It keeps: Lockstep's own schema, a tool's lock table with its rows (it is held right now),
 * extensions that the backup has too, subscriptions, and the grants on schemas that stay.
 */
#include "lib/io/db/postgres.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/io/db/evidence.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/secret.h"

#define SCRIPT_BYTES_MAX (64u * 1024 * 1024)
#define END_BYTES        4096 /* of pg_restore's script: its COMMIT is in them */
#define LOCK_WAIT        "60s"

struct restore {
    struct db_session *s;
    struct act *act;
    const char *path;
    const char *head, *body, *tail, *list; /* files in the action's directory */
    char *contents;                        /* pg_restore's list */
};

/* ---- what goes ---- */

#define EXTENSIONS(catalog, oid_)                                                                  \
    "EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_catalog." catalog                       \
    "'::regclass AND x.objid = " oid_ " AND x.deptype = 'e')"

/* $1: the lock tables. kept: schemas that stay, for something in them stays; their other objects are dropped one by one,
 * the tables first: what depends on them goes with them. */
#define OBJECTS(order_, catalog, schema, where)                                                    \
    " UNION ALL SELECT " order_ ", '" catalog "'::regclass::oid, o.oid FROM " catalog              \
    " o JOIN kept ON kept.oid = o." schema                                                         \
    " WHERE NOT " EXTENSIONS(catalog, "o.oid") " AND " where

static const char drops_sql[] =
    "WITH locks AS (SELECT to_regclass(name)::oid AS oid FROM unnest($1::text[]) name),"
    " app AS (SELECT oid, nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'"
    " AND nspname NOT IN ('information_schema', 'lockstep')),"
    " kept AS (SELECT a.oid, a.nspname FROM app a WHERE a.nspname = 'public'"
    " OR " EXTENSIONS(
        "pg_namespace",
        "a.oid") " OR a.oid IN (SELECT extnamespace FROM pg_extension)"
                 " OR a.oid IN (SELECT relnamespace FROM pg_class WHERE oid IN (SELECT oid FROM "
                 "locks))"
                 " OR a.oid IN (SELECT c.relnamespace FROM pg_class c JOIN pg_depend x ON "
                 "x.classid ="
                 " 'pg_class'::regclass AND x.objid = c.oid AND x.deptype = 'e')"
                 " OR a.oid IN (SELECT p.pronamespace FROM pg_proc p JOIN pg_depend x ON x.classid "
                 "="
                 " 'pg_proc'::regclass AND x.objid = p.oid AND x.deptype = 'e')"
                 " OR a.oid IN (SELECT t.typnamespace FROM pg_type t JOIN pg_depend x ON x.classid "
                 "="
                 " 'pg_type'::regclass AND x.objid = t.oid AND x.deptype = 'e')),"
                 " objects AS (SELECT 0 AS step, 0::oid AS class, 0::oid AS oid WHERE "
                 "false" OBJECTS("5", "pg_class", "relnamespace",
                                 "o.relkind IN ('r', 'p', 'f') AND o.oid NOT IN (SELECT oid FROM "
                                 "locks WHERE oid IS NOT NULL)") OBJECTS("6", "pg_class",
                                                                         "relnamespace",
                                                                         "o.relkind IN ('v', 'm')")
                     OBJECTS("7", "pg_class", "relnamespace", "o.relkind = 'S'") OBJECTS(
                         "8", "pg_type", "typnamespace",
                         "o.typelem = 0 AND o.typtype IN ('e', 'd', "
                         "'c', 'r', 'b') AND (o.typrelid = 0 OR (SELECT "
                         "relkind FROM pg_class WHERE oid = o.typrelid) "
                         "= 'c')") OBJECTS("9", "pg_operator", "oprnamespace", "true")
                         OBJECTS("9", "pg_opclass", "opcnamespace", "true") OBJECTS(
                             "9", "pg_opfamily", "opfnamespace",
                             "true") OBJECTS("10", "pg_proc", "pronamespace",
                                             "true") OBJECTS("11", "pg_collation", "collnamespace",
                                                             "true") OBJECTS("11", "pg_conversion",
                                                                             "connamespace", "true")
                             OBJECTS("12", "pg_ts_config", "cfgnamespace", "true") OBJECTS(
                                 "13", "pg_ts_dict", "dictnamespace",
                                 "true") ")"
                                         " SELECT sql FROM ("
                                         " SELECT 1 AS step, format('DROP EVENT TRIGGER %I', "
                                         "evtname) AS sql FROM pg_event_trigger o"
                                         " WHERE NOT " EXTENSIONS(
                                             "pg_event_trigger",
                                             "o.oid") " UNION ALL SELECT 2, format('DROP "
                                                      "PUBLICATION %I', pubname) FROM "
                                                      "pg_publication"
                                                      " UNION ALL SELECT 3, format('DROP CAST (%s "
                                                      "AS %s)', castsource::regtype, "
                                                      "casttarget::regtype)"
                                                      " FROM pg_cast o WHERE o.oid >= 16384 AND "
                                                      "NOT " EXTENSIONS(
                                                          "pg_cast",
                                                          "o.oid") " UNION ALL SELECT 4, "
                                                                   "format('DROP SCHEMA %I "
                                                                   "CASCADE', nspname) FROM app"
                                                                   " WHERE oid NOT IN (SELECT oid "
                                                                   "FROM kept)"
                                                                   " UNION ALL SELECT step, "
                                                                   "format('DROP %s IF EXISTS %s "
                                                                   "CASCADE', i.type, i.identity)"
                                                                   " FROM objects, "
                                                                   "pg_identify_object(objects."
                                                                   "class, objects.oid, 0) i"
                                                                   " UNION ALL SELECT 14, "
                                                                   "format('DROP SERVER IF EXISTS "
                                                                   "%I CASCADE', srvname) FROM"
                                                                   " pg_foreign_server o WHERE "
                                                                   "NOT " EXTENSIONS(
                                                                       "pg_foreign_server",
                                                                       "o.oid") " UNION ALL SELECT "
                                                                                "15, 'SELECT "
                                                                                "pg_catalog.lo_"
                                                                                "unlink(oid) FROM"
                                                                                " pg_catalog.pg_"
                                                                                "largeobject_"
                                                                                "metadata' WHERE "
                                                                                "EXISTS (SELECT "
                                                                                "FROM "
                                                                                "pg_largeobject_"
                                                                                "metadata)"
                                                                                " UNION ALL SELECT "
                                                                                "17, "
                                                                                "format('DELETE "
                                                                                "FROM %s %s', "
                                                                                "c::regclass, w) "
                                                                                "FROM pg_extension,"
                                                                                " unnest(extconfig,"
                                                                                " extcondition) AS "
                                                                                "u(c, w) WHERE "
                                                                                "extname <> ALL "
                                                                                "($2::text[])"
                                                                                " UNION ALL SELECT "
                                                                                "16, format('DROP "
                                                                                "EXTENSION %I "
                                                                                "CASCADE', "
                                                                                "extname) FROM "
                                                                                "pg_extension o"
                                                                                " WHERE extname = "
                                                                                "ANY ($2::text[]) "
                                                                                "AND o.oid >= 16384"
                                                                                ") every ORDER BY "
                                                                                "step, sql";

/* Names as an array of PostgreSQL's. */
static const char *array_of(struct arena *arena, const struct strings *names)
{
    struct buf b;
    buf_init(&b, arena, LIMIT_TEXT_BYTES);
    buf_putc(&b, '{');
    for (size_t i = 0; i < names->count; i++) {
        buf_puts(&b, i > 0 ? ",\"" : "\"");
        for (const char *p = names->items[i]; *p != '\0'; p++) {
            if (*p == '"' || *p == '\\') {
                buf_putc(&b, '\\');
            }
            buf_putc(&b, *p);
        }
        buf_putc(&b, '"');
    }
    buf_putc(&b, '}');
    return buf_text(&b);
}

static bool lists(const struct restore *r, const char *fmt, const char *name)
{
    struct buf b;
    buf_init(&b, r->act->arena, LIMIT_TEXT_BYTES);
    buf_puts(&b, fmt);
    buf_puts(&b, name);
    buf_putc(&b, ' ');
    return strstr(r->contents, buf_text(&b)) != NULL;
}

/* Extensions that are newer than the backup. */
static int new_extensions(struct restore *r, struct strings *ret, struct error *e)
{
    struct db_rows rows = {0};
    int rc = db_query(r->s, r->act->arena,
                      "SELECT extname FROM pg_extension WHERE oid >= 16384 ORDER BY 1", NULL, 0,
                      &rows, e);
    if (rc < 0) {
        return rc;
    }
    ret->items = arena_array(r->act->arena, MAX(rows.count, 1), sizeof(*ret->items));
    for (size_t i = 0; i < rows.count; i++) {
        if (!lists(r, " EXTENSION - ", db_cell(&rows, i, 0))) {
            ret->items[ret->count++] = db_cell(&rows, i, 0);
        }
    }
    return 0;
}

static int write_head(struct restore *r, const struct strings *locks, struct error *e)
{
    struct strings extensions = {0};
    int rc = new_extensions(r, &extensions, e);
    const char *params[] = {array_of(r->act->arena, locks), array_of(r->act->arena, &extensions)};
    struct db_rows rows = {0};
    if (rc == 0) {
        rc = db_query(r->s, r->act->arena, drops_sql, params, ARRAY_SIZE(params), &rows, e);
    }
    if (rc < 0) {
        return rc;
    }
    struct buf b;
    buf_init(&b, r->act->arena, SCRIPT_BYTES_MAX);
    buf_puts(&b, "SET lock_timeout = '" LOCK_WAIT "';\nSET statement_timeout = 0;\n"
                 "SET client_min_messages = warning;\n");
    for (size_t i = 0; i < rows.count; i++) {
        buf_printf(&b, "%s;\n", db_cell(&rows, i, 0));
    }
    if (b.overflow) {
        return db_fail(r->s, e, E_LIMIT, "it has too many objects to drop");
    }
    return file_write(r->head, b.data, b.len, 0600, e);
}

/* ---- what comes ---- */

/* What stays is not made again: parts of the lines of pg_restore's list that leave a line out. */
static int lines_left_out(struct restore *r, const struct strings *locks, struct db_rows *ret,
                          struct error *e)
{
    const char *params[] = {array_of(r->act->arena, locks)};
    return db_query(
        r->s, r->act->arena,
        "WITH locks AS (SELECT c.oid, n.nspname, c.relname FROM unnest($1::text[]) name JOIN"
        " pg_class c ON c.oid = to_regclass(name) JOIN pg_namespace n ON n.oid = c.relnamespace)"
        " SELECT format(' %s %s %s ', kind, nspname, relname) FROM locks, unnest(ARRAY['TABLE',"
        " 'TABLE DATA', 'CONSTRAINT', 'DEFAULT', 'TRIGGER', 'ACL', 'COMMENT']) kind"
        " UNION ALL SELECT format(' %s %s TABLE %s ', kind, nspname, relname) FROM locks,"
        " unnest(ARRAY['ACL', 'COMMENT']) kind"
        " UNION ALL SELECT format(' INDEX %s %s ', nspname, i.relname) FROM locks JOIN pg_index x"
        " ON x.indrelid = locks.oid JOIN pg_class i ON i.oid = x.indexrelid"
        " UNION ALL SELECT format(' SCHEMA - %s ', nspname) FROM pg_namespace"
        " WHERE nspname = 'public' OR oid IN (SELECT extnamespace FROM pg_extension)"
        " OR nspname IN (SELECT nspname FROM locks)"
        " UNION ALL SELECT ' COMMENT - EXTENSION ' UNION ALL SELECT ' SUBSCRIPTION - '",
        params, ARRAY_SIZE(params), ret, e);
}

static int write_list(struct restore *r, const struct strings *locks, struct error *e)
{
    struct db_rows parts = {0};
    int rc = lines_left_out(r, locks, &parts, e);
    if (rc < 0) {
        return rc;
    }
    struct buf b;
    buf_init(&b, r->act->arena, SCRIPT_BYTES_MAX);
    for (const char *line = r->contents; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        const char *text = arena_strndup(r->act->arena, line, len);
        bool out = false;
        for (size_t i = 0; i < parts.count && !out; i++) {
            out = strstr(text, db_cell(&parts, i, 0)) != NULL;
        }
        if (!out) {
            buf_printf(&b, "%s\n", text);
        }
        line += len + (line[len] == '\n');
    }
    if (b.overflow) {
        return db_fail(r->s, e, E_LIMIT, "the backup lists too many objects");
    }
    return file_write(r->list, b.data, b.len, 0600, e);
}

/* pg_restore ends its script's transaction; ours ends after the evidence. */
static int take_commit_out(const struct restore *r, struct error *e)
{
    static const char commit[] = "\nCOMMIT;\n";
    int64_t size = file_size(r->body);
    int fd = open(r->body, O_RDWR | O_CLOEXEC);
    if (fd < 0 || size < 0) {
        if (fd >= 0) {
            close(fd);
        }
        return error_set(e, E_IO, "cannot open %s", r->body);
    }
    char end[END_BYTES + 1];
    off_t start = size > END_BYTES ? size - END_BYTES : 0;
    ssize_t got = pread(fd, end, END_BYTES, start);
    end[MAX(got, 0)] = '\0';
    char *last = NULL;
    for (char *p = end; got > 0 && (p = strstr(p, commit)) != NULL; p++) {
        last = p;
    }
    static const char blank[] = "\n       \n";
    bool done = last != NULL && pwrite(fd, blank, sizeof(blank) - 1, start + (last - end)) ==
                                    (ssize_t)sizeof(blank) - 1;
    close(fd);
    return done ? 0
                : error_set(e, E_DATABASE,
                            "pg_restore wrote a script without the end that Lockstep knows: its "
                            "version is not one that Lockstep can use");
}

/* Reads all of the backup: what is cut short or damaged shows here. */
static int write_body(struct restore *r, struct error *e)
{
    const char *words[] = {"pg_restore", "-1", "-L", r->list, "-f", r->body, r->path};
    struct strings argv = {.items = words, .count = ARRAY_SIZE(words)};
    struct process_result result = {0};
    struct error why = {0};
    int rc = postgres_program(r->act, r->s, &argv, NULL, &result, &why);
    if (rc == E_DATABASE) {
        return error_set(e, E_INVALID,
                         "database %s: %s cannot be read to its end, nothing was "
                         "changed: %s",
                         r->s->name, r->path, result.output != NULL ? result.output : "");
    }
    if (rc < 0) {
        *e = why;
        return rc;
    }
    return take_commit_out(r, e);
}

static const char *literal(struct arena *arena, const char *text)
{
    struct buf b;
    buf_init(&b, arena, LIMIT_TEXT_BYTES);
    buf_putc(&b, '\'');
    for (const char *p = text; *p != '\0'; p++) {
        buf_puts(&b, *p == '\'' ? "''" : (char[]){*p, '\0'});
    }
    buf_putc(&b, '\'');
    return buf_text(&b);
}

static int write_tail(struct restore *r, struct error *e)
{
    const struct db_work *w = r->s->restoring;
    struct arena *arena = r->act->arena;
    const char *text = arena_printf(
        arena,
        "\nSET standard_conforming_strings = on;\nDELETE FROM lockstep.intent;\n"
        "INSERT INTO lockstep.evidence (run, step, item, down, digest, how, fence)"
        " VALUES (%s, %s, %s, 0, %s, %s, %llu);\n",
        literal(arena, w->run), literal(arena, w->step), literal(arena, w->item),
        literal(arena, w->digest), literal(arena, DB_HOW_RAN), (unsigned long long)w->fence);
    return file_write(r->tail, text, strlen(text), 0600, e);
}

static int apply(struct restore *r, const struct database_ref *ref, struct error *e)
{
    const char *conninfo = NULL;
    const char *password = NULL;
    int rc = postgres_find_password(r->s, ref, &conninfo, &password, e);
    const char *words[] = {
        "psql", "-X",    "-q", "-1",    "-w", "-o",    "/dev/null", "-v",    "ON_ERROR_STOP=1",
        "-f",   r->head, "-f", r->body, "-f", r->tail, "-d",        conninfo};
    struct strings argv = {.items = words, .count = ARRAY_SIZE(words)};
    struct process_result result = {0};
    struct error why = {0};
    if (rc == 0) {
        rc = postgres_program(r->act, r->s, &argv, password, &result, &why);
        if (rc < 0 && e != NULL) {
            *e = why;
        }
    }
    secret_wipe(password);
    if (rc == E_DATABASE && result.output != NULL &&
        strstr(result.output, DB_FENCE_WORDS) != NULL) {
        rc = db_fail(r->s, e, E_DENIED, "the restore was refused, nothing was changed: %s",
                     result.output);
    }
    return rc;
}

int postgres_restore(struct db_session *s, struct act *act, const struct database_ref *ref,
                     const char *path, struct error *e)
{
    struct restore r = {.s = s, .act = act, .path = path};
    const char **files[] = {&r.head, &r.body, &r.tail, &r.list};
    static const char *const names[] = {"head.sql", "body.sql", "tail.sql", "list"};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        *files[i] = arena_printf(act->arena, "%s/restore.%s", act->work_dir, names[i]);
    }
    struct strings locks = {0};
    int rc = postgres_backup_list(act, s, path, &r.contents, e);
    if (rc == 0) {
        rc = postgres_lock_tables(s, &locks, e);
    }
    rc = rc < 0 ? rc : write_list(&r, &locks, e);
    rc = rc < 0 ? rc : write_body(&r, e);
    rc = rc < 0 ? rc : write_head(&r, &locks, e);
    rc = rc < 0 ? rc : write_tail(&r, e);
    rc = rc < 0 ? rc : apply(&r, ref, e);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        file_remove(*files[i], NULL);
    }
    if (rc == 0 && db_exec(s, "ANALYZE", NULL) < 0) {
        act_log(act, "database %s: restored; ANALYZE failed: run it, the planner knows nothing yet",
                s->name);
    }
    return rc;
}
