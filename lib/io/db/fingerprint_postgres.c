/*
 * Owns reading a PostgreSQL schema: one query over the catalogs, in one transaction that only reads, with the settings that
 * change how the server prints definitions set for it alone. What belongs to an extension is the extension's.
 */
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/io/db/fingerprint.h"
#include "lib/io/db/postgres.h"

#define TOOL_NAMES_MAX 4096

/* With an empty search_path every name that the server prints says its schema. */
#define BEGIN_READING                                                                              \
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"                                             \
    "SET LOCAL search_path = '';"                                                                  \
    "SET LOCAL lock_timeout = '10s';"                                                              \
    "SET LOCAL TimeZone = 'UTC';"                                                                  \
    "SET LOCAL DateStyle = 'ISO';"                                                                 \
    "SET LOCAL IntervalStyle = 'postgres';"                                                        \
    "SET LOCAL bytea_output = 'hex';"                                                              \
    "SET LOCAL extra_float_digits = 1;"                                                            \
    "SET LOCAL quote_all_identifiers = off;"                                                       \
    "SET LOCAL enable_nestloop = on;"                                                              \
    "SET LOCAL jit = off"

/* Of an object that no extension brought. */
#define OWN(catalog, oid_)                                                                         \
    " NOT EXISTS (SELECT FROM pg_catalog.pg_depend x WHERE x.classid = "                           \
    "'pg_catalog." catalog "'::pg_catalog.regclass AND x.objid = " oid_ " AND x.deptype = 'e')"

/* ns: the schemas that count. passing: partitions that come and go with the data, and what hangs below them. rel: the
 * relations that count ($1: names of tools' tables, with their schema or without it). */
#define COMMON                                                                                     \
    "WITH RECURSIVE ns AS MATERIALIZED ("                                                          \
    " SELECT oid, quote_ident(nspname) AS name, nspname FROM pg_catalog.pg_namespace"              \
    " WHERE nspname NOT IN ('information_schema', 'lockstep') AND nspname NOT LIKE 'pg\\_%'), "    \
    "passing AS ("                                                                                 \
    " SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relispartition"                              \
    " AND pg_get_expr(c.relpartbound, c.oid) NOT LIKE 'FOR VALUES WITH%'"                          \
    " AND pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT'"                                         \
    " UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN passing p ON p.oid = "            \
    "i.inhparent), "                                                                               \
    "rel AS MATERIALIZED ("                                                                        \
    " SELECT c.oid, c.relkind, c.relname, ns.name AS schema,"                                      \
    " ns.name || '.' || quote_ident(c.relname) AS name, c.relpersistence, c.relispartition,"       \
    " c.relpartbound, c.relrowsecurity, c.relforcerowsecurity, c.reloptions, c.reloftype"          \
    " FROM pg_catalog.pg_class c JOIN ns ON ns.oid = c.relnamespace"                               \
    " WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S') AND c.oid NOT IN (SELECT oid FROM "        \
    "passing)"                                                                                     \
    " AND c.relname <> ALL ($1::text[]) AND ns.nspname || '.' || c.relname <> ALL ($1::text[])"    \
    " AND" OWN("pg_class", "c.oid") ") "

#define SCHEMAS                                                                                    \
    "SELECT 'schema' AS kind, name AS name, '' AS definition, false AS body FROM ns"               \
    " WHERE" OWN("pg_namespace", "ns.oid")

#define EXTENSIONS                                                                                 \
    " UNION ALL SELECT 'extension', quote_ident(extname), 'in ' || extnamespace::regnamespace, "   \
    "false FROM pg_catalog.pg_extension"

#define TYPES                                                                                      \
    " UNION ALL SELECT CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' ELSE 'type' "    \
    "END, ns.name || '.' || quote_ident(t.typname),"                                               \
    " CASE t.typtype"                                                                              \
    " WHEN 'e' THEN (SELECT coalesce(string_agg(quote_literal(enumlabel), ', ' ORDER BY "          \
    "enumsortorder), '')"                                                                          \
    " FROM pg_catalog.pg_enum WHERE enumtypid = t.oid)"                                            \
    " WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod)"                                       \
    " || CASE WHEN t.typcollation <> b.typcollation THEN ' collate ' || "                          \
    "t.typcollation::regcollation ELSE '' END"                                                     \
    " || CASE WHEN t.typnotnull THEN ' not null' ELSE '' END"                                      \
    " || coalesce(' default ' || t.typdefault, '')"                                                \
    " || coalesce((SELECT string_agg(' ' || quote_ident(conname) || ' ' || "                       \
    "pg_get_constraintdef(oid), '' ORDER BY conname COLLATE \"C\")"                                \
    " FROM pg_catalog.pg_constraint WHERE contypid = t.oid AND contype = 'c'), '')"                \
    " WHEN 'c' THEN '(' || (SELECT coalesce(string_agg(quote_ident(attname) || ' ' || "            \
    "format_type(atttypid, atttypmod)"                                                             \
    " || CASE WHEN attcollation <> ab.typcollation THEN ' collate ' || attcollation::regcollation" \
    " ELSE '' END, ', ' ORDER BY attnum), '')"                                                     \
    " FROM pg_catalog.pg_attribute JOIN pg_catalog.pg_type ab ON ab.oid = atttypid"                \
    " WHERE attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped) || ')'"                     \
    " WHEN 'r' THEN (SELECT 'range of ' || rngsubtype::regtype || ' '"                             \
    " || (SELECT opcname FROM pg_catalog.pg_opclass o WHERE o.oid = rngsubopc) || coalesce(' ' "   \
    "|| nullif(rngcanonical::text, '-'), '')"                                                      \
    " || coalesce(' ' || nullif(rngsubdiff::text, '-'), '') FROM pg_catalog.pg_range WHERE "       \
    "rngtypid = t.oid)"                                                                            \
    " ELSE 'base type: ' || t.typinput || ' ' || t.typoutput END, false"                           \
    " FROM pg_catalog.pg_type t JOIN ns ON ns.oid = t.typnamespace"                                \
    " LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype"                                     \
    " LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid"                                       \
    " WHERE t.typtype IN ('e', 'd', 'c', 'r', 'b') AND t.typelem = 0"                              \
    " AND (c.oid IS NULL OR c.relkind = 'c') AND" OWN("pg_type", "t.oid")

#define FUNCTIONS                                                                                  \
    " UNION ALL SELECT CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' "        \
    "ELSE 'function' END, p.oid::regprocedure::text,"                                              \
    " CASE p.prokind WHEN 'a' THEN (SELECT format('%s; state %s %s; final %s; initially %s; "      \
    "sort %s; combine %s; moving %s %s %s; kind %s %s', pg_get_function_arguments(p.oid), "        \
    "aggtransfn, aggtranstype::regtype, aggfinalfn, agginitval, aggsortop::regoperator, "          \
    "aggcombinefn, aggmtransfn, aggminvtransfn, aggmfinalfn, aggkind, p.proparallel)"              \
    " FROM pg_catalog.pg_aggregate WHERE aggfnoid = p.oid)"                                        \
    " ELSE pg_get_functiondef(p.oid) END, l.lanname IN ('sql', 'plpgsql')"                         \
    " FROM pg_catalog.pg_proc p JOIN ns ON ns.oid = p.pronamespace"                                \
    " JOIN pg_catalog.pg_language l ON l.oid = p.prolang"                                          \
    " WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend x WHERE x.classid = "                     \
    "'pg_catalog.pg_proc'::pg_catalog.regclass AND x.objid = p.oid AND x.deptype IN ('e', 'i'))"

#define SEQUENCES                                                                                  \
    " UNION ALL SELECT 'sequence', rel.name, format('%s increment %s start %s min %s max %s "      \
    "cache %s%s%s%s', q.seqtypid::regtype, q.seqincrement, q.seqstart, q.seqmin, q.seqmax, "       \
    "q.seqcache, CASE WHEN q.seqcycle THEN ' cycle' ELSE '' END,"                                  \
    " CASE rel.relpersistence WHEN 'u' THEN ' unlogged' ELSE '' END,"                              \
    " (SELECT ' owned by ' || d.refobjid::regclass || '.' || quote_ident(a.attname)"               \
    " FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attribute a"                                  \
    " ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid"                                     \
    " WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = rel.oid"                     \
    " AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjsubid > 0"                    \
    " AND d.deptype IN ('a', 'i') LIMIT 1)), false"                                                \
    " FROM rel JOIN pg_catalog.pg_sequence q ON q.seqrelid = rel.oid"                              \
    " WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = "                     \
    "'pg_catalog.pg_class'::regclass AND d.objid = rel.oid"                                        \
    " AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjsubid > 0"                    \
    " AND d.deptype IN ('a', 'i') AND d.refobjid NOT IN (SELECT oid FROM rel))"

#define TABLES                                                                                     \
    " UNION ALL SELECT 'table', rel.name, concat_ws(' ',"                                          \
    " CASE rel.relkind WHEN 'f' THEN 'foreign, server ' || (SELECT s.srvname FROM "                \
    "pg_catalog.pg_foreign_table f JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver "     \
    "WHERE f.ftrelid = rel.oid) END,"                                                              \
    " CASE rel.relpersistence WHEN 'u' THEN 'unlogged' ELSE 'permanent' END,"                      \
    " CASE WHEN rel.reloftype <> 0 THEN 'of ' || rel.reloftype::regtype END,"                      \
    " CASE WHEN rel.relkind = 'p' THEN 'partition by ' || pg_get_partkeydef(rel.oid) END,"         \
    " (SELECT CASE WHEN rel.relispartition THEN 'partition of ' ELSE 'inherits ' END"              \
    " || string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno)"                        \
    " FROM pg_catalog.pg_inherits i WHERE i.inhrelid = rel.oid),"                                  \
    " pg_get_expr(rel.relpartbound, rel.oid),"                                                     \
    " CASE WHEN rel.relrowsecurity THEN 'row security' END,"                                       \
    " CASE WHEN rel.relforcerowsecurity THEN 'row security forced' END), false"                    \
    " FROM rel WHERE rel.relkind IN ('r', 'p', 'f')"

#define COLUMNS                                                                                    \
    " UNION ALL SELECT 'column', rel.name || '.' || quote_ident(a.attname),"                       \
    " format_type(a.atttypid, a.atttypmod)"                                                        \
    " || CASE WHEN a.attcollation <> t.typcollation THEN ' collate ' || "                          \
    "a.attcollation::regcollation ELSE '' END"                                                     \
    " || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END"                                      \
    " || CASE a.attidentity WHEN 'a' THEN ' generated always as identity'"                         \
    " WHEN 'd' THEN ' generated by default as identity' ELSE '' END"                               \
    " || CASE WHEN d.oid IS NULL THEN '' WHEN a.attgenerated <> ''"                                \
    " THEN ' generated always as (' || pg_get_expr(d.adbin, d.adrelid) || ')'"                     \
    " || CASE a.attgenerated WHEN 's' THEN ' stored' ELSE ' virtual' END"                          \
    " ELSE ' default ' || pg_get_expr(d.adbin, d.adrelid) END, false"                              \
    " FROM rel JOIN pg_catalog.pg_attribute a ON a.attrelid = rel.oid AND a.attnum > 0 AND NOT "   \
    "a.attisdropped"                                                                               \
    " JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"                                             \
    " LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"          \
    " WHERE rel.relkind IN ('r', 'p', 'f') OR (rel.relkind = 'v' AND d.oid IS NOT NULL)"

/* A foreign key whose triggers are off is a foreign key that nobody keeps. */
#define CONSTRAINTS                                                                                \
    " UNION ALL SELECT 'constraint', rel.name || '.' || quote_ident(k.conname),"                   \
    " pg_get_constraintdef(k.oid) || CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_trigger g"        \
    " WHERE g.tgconstraint = k.oid AND g.tgisinternal AND g.tgenabled = 'D')"                      \
    " THEN ', its triggers are disabled' ELSE '' END, false"                                       \
    " FROM rel JOIN pg_catalog.pg_constraint k ON k.conrelid = rel.oid"                            \
    " WHERE k.contype IN ('c', 'f', 'p', 'u', 'x')"

/* The index of a constraint is the constraint's, unless something is wrong with it. */
#define INDEXES                                                                                    \
    " UNION ALL SELECT 'index', rel.schema || '.' || quote_ident(c.relname), "                     \
    "pg_get_indexdef(i.indexrelid)"                                                                \
    " || CASE WHEN i.indisvalid AND i.indisready THEN '' ELSE ' INVALID' END, false"               \
    " FROM rel JOIN pg_catalog.pg_index i ON i.indrelid = rel.oid"                                 \
    " JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"                                          \
    " WHERE NOT (i.indisvalid AND i.indisready AND EXISTS (SELECT FROM pg_catalog.pg_constraint "  \
    "k WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', "   \
    "'x')))"

#define TRIGGERS                                                                                   \
    " UNION ALL SELECT 'trigger', rel.name || '.' || quote_ident(g.tgname), "                      \
    "pg_get_triggerdef(g.oid) || CASE g.tgenabled WHEN 'D' THEN ' disabled' WHEN 'R' THEN ' "      \
    "replica' WHEN 'A' THEN ' always' ELSE '' END, false"                                          \
    " FROM rel JOIN pg_catalog.pg_trigger g ON g.tgrelid = rel.oid WHERE NOT g.tgisinternal"       \
    " UNION ALL SELECT 'event trigger', quote_ident(evtname), format('on %s when %s execute %s "   \
    "%s', evtevent, evttags, evtfoid::regprocedure, evtenabled), false"                            \
    " FROM pg_catalog.pg_event_trigger v WHERE" OWN("pg_event_trigger", "v.oid")

#define RULES                                                                                      \
    " UNION ALL SELECT 'rule', rel.name || '.' || quote_ident(w.rulename), "                       \
    "pg_get_ruledef(w.oid) || CASE w.ev_enabled WHEN 'O' THEN '' ELSE ' ' || w.ev_enabled::text "  \
    "END, false FROM rel JOIN pg_catalog.pg_rewrite w ON w.ev_class = rel.oid"                     \
    " WHERE w.rulename <> '_RETURN'"

#define VIEWS                                                                                      \
    " UNION ALL SELECT CASE rel.relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END, "       \
    "rel.name, CASE WHEN rel.relkind = 'v' AND rel.reloptions IS NOT NULL"                         \
    " THEN 'with (' || array_to_string(rel.reloptions, ', ') || ') ' ELSE '' END"                  \
    " || pg_get_viewdef(rel.oid), false FROM rel WHERE rel.relkind IN ('v', 'm')"

#define POLICIES                                                                                   \
    " UNION ALL SELECT 'policy', rel.name || '.' || quote_ident(p.polname), "                      \
    "format('%s for %s to %s%s%s', CASE WHEN p.polpermissive THEN 'permissive' ELSE "              \
    "'restrictive' END, p.polcmd, (SELECT string_agg(CASE r WHEN 0 THEN 'public' ELSE "            \
    "pg_get_userbyid(r)::text END, ', ' ORDER BY r) FROM unnest(p.polroles) r),"                   \
    " ' using (' || pg_get_expr(p.polqual, p.polrelid) || ')',"                                    \
    " ' with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'), false"                   \
    " FROM rel JOIN pg_catalog.pg_policy p ON p.polrelid = rel.oid"

#define RARE                                                                                       \
    " UNION ALL SELECT 'statistics', ns.name || '.' || quote_ident(s.stxname), "                   \
    "pg_get_statisticsobjdef(s.oid), false FROM pg_catalog.pg_statistic_ext s"                     \
    " JOIN ns ON ns.oid = s.stxnamespace WHERE s.stxrelid IN (SELECT oid FROM rel)"                \
    " UNION ALL SELECT 'collation', ns.name || '.' || quote_ident(collname), format('%s %s',"      \
    " collprovider, to_jsonb(c.*) - 'oid' - 'collowner' - 'collversion' - 'collnamespace'), false" \
    " FROM pg_catalog.pg_collation c JOIN ns ON ns.oid = c.collnamespace WHERE" OWN(               \
        "pg_collation",                                                                            \
        "c.oid") " UNION ALL SELECT 'operator', o.oid::regoperator::text, "                        \
                 "format('%s; commutator %s; negator %s; %s %s; %s %s', "                          \
                 "oprcode, oprcom::regoperator, oprnegate::regoperator, "                          \
                 "oprcanmerge, oprcanhash, oprrest, oprjoin), false"                               \
                 " FROM pg_catalog.pg_operator o JOIN ns ON ns.oid = "                             \
                 "o.oprnamespace WHERE o.oprcode <> 0"                                             \
                 " AND" OWN(                                                                       \
                     "pg_operator",                                                                \
                     "o.oid") " UNION ALL SELECT 'cast', format('%s as %s', castsource::regtype, " \
                              "casttarget::regtype),"                                              \
                              " format('%s %s %s', castfunc::regprocedure, castcontext, "          \
                              "castmethod), false"                                                 \
                              " FROM pg_catalog.pg_cast k WHERE k.oid >= 16384 AND" OWN(           \
                                  "pg_cast",                                                       \
                                  "k.oid") " UNION ALL SELECT 'text search configuration', "       \
                                           "ns.name || '.' || quote_ident(f.cfgname),"             \
                                           " f.cfgparser || coalesce((SELECT string_agg(format(' " \
                                           "%s:%s', m.maptokentype, "                              \
                                           "m.mapdict::regdictionary), '' ORDER BY "               \
                                           "m.maptokentype, m.mapseqno)"                           \
                                           " FROM pg_catalog.pg_ts_config_map m WHERE m.mapcfg = " \
                                           "f.oid), ''), false"                                    \
                                           " FROM pg_catalog.pg_ts_config f JOIN ns ON ns.oid = "  \
                                           "f.cfgnamespace WHERE" OWN(                             \
                                               "pg_ts_config",                                     \
                                               "f.oid") " UNION ALL SELECT 'text search "          \
                                                        "dictionary', ns.name || '.' || "          \
                                                        "quote_ident(d.dictname),"                 \
                                                        " format('%s %s', t.tmplname, "            \
                                                        "d.dictinitoption), false"                 \
                                                        " FROM pg_catalog.pg_ts_dict d JOIN ns "   \
                                                        "ON ns.oid = d.dictnamespace"              \
                                                        " JOIN pg_catalog.pg_ts_template t ON "    \
                                                        "t.oid = d.dicttemplate WHERE" OWN(        \
                                                            "pg_ts_dict", "d.oid")

static const char objects_sql[] = COMMON SCHEMAS EXTENSIONS TYPES FUNCTIONS SEQUENCES TABLES COLUMNS
    CONSTRAINTS INDEXES TRIGGERS RULES VIEWS POLICIES RARE;

/* The tools' tables and this database's own ledger, as an array of PostgreSQL's. */
static const char *tool_names(const struct db_session *s)
{
    struct buf b;
    buf_init(&b, s->arena, TOOL_NAMES_MAX);
    buf_putc(&b, '{');
    for (const char *const *name = db_fingerprint_tool_tables; *name != NULL; name++) {
        buf_printf(&b, "\"%s\",", *name);
    }
    buf_printf(&b, "\"%s\"}", s->ledger != NULL ? s->ledger : db_fingerprint_tool_tables[0]);
    return buf_text(&b);
}

int postgres_objects(struct db_session *s, struct arena *arena, struct db_object **ret,
                     size_t *ret_count, struct error *e)
{
    assert(!s->engine->in_transaction(s));
    const char *names = tool_names(s);
    struct db_rows rows = {0};
    int rc = db_exec(s, BEGIN_READING, e);
    if (rc == 0) {
        rc = db_query(s, arena, objects_sql, &names, 1, &rows, e);
    }
    db_rollback(s);
    if (rc < 0) {
        return error_wrap(e, "reading the schema");
    }
    struct db_object *items = arena_array(arena, MAX(rows.count, 1), sizeof(*items));
    for (size_t i = 0; i < rows.count; i++) {
        const char *definition = db_cell(&rows, i, 2) != NULL ? db_cell(&rows, i, 2) : "";
        bool body = str_equal(db_cell(&rows, i, 3), "t");
        items[i] = (struct db_object){.kind = db_cell(&rows, i, 0), .name = db_cell(&rows, i, 1)};
        items[i].definition = body ? db_fingerprint_normalise(arena, definition, true) : definition;
    }
    *ret = items;
    *ret_count = rows.count;
    return 0;
}
