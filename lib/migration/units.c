/* Owns where one unit ends and the next begins. It never changes what a statement says, nor their order. */
#include "lib/migration/units.h"

#include <string.h>

#define WORDS_CHARS 120

/* What is sent at once: a piece, or a part of it that ends where a transaction does. */
struct chunk {
    struct unit_text text;
    const struct statement *statements;
    size_t count;
    int first_line; /* in the file, of the first statement */
    bool after_chain;
};

struct cutting {
    struct arena *arena;
    const struct units_rules *rules;
    struct chunk *chunks;
    size_t count, capacity;
    struct units units;
    size_t units_capacity;
    bool chained;     /* COMMIT AND CHAIN was seen, and is no part of a chunk */
    bool after_chain; /* … and is the last that was seen */
};

/* ---- chunks ---- */

static int line_at(const struct migration_piece *piece, size_t at)
{
    int line = piece->line;
    for (size_t i = 0; i < at; i++) {
        line += piece->sql[i] == '\n' ? 1 : 0;
    }
    return line;
}

static void add_chunk(struct cutting *c, const struct migration_piece *piece,
                      const struct script *script, size_t from, size_t to)
{
    assert(from < to && to <= script->count);
    c->chunks = arena_grow(c->arena, c->chunks, c->count, &c->capacity, sizeof(*c->chunks));
    struct chunk *chunk = &c->chunks[c->count++];
    bool whole = from == 0 && to == script->count;
    size_t begin = script->items[from].from;
    size_t end = script->items[to - 1].to;
    *chunk = (struct chunk){
        .text.sql = whole ? piece->sql : arena_strndup(c->arena, piece->sql + begin, end - begin),
        .text.line = whole ? piece->line : line_at(piece, begin),
        .statements = &script->items[from],
        .count = to - from,
        .first_line = piece->line + script->items[from].line - 1,
        .after_chain = c->after_chain};
    c->after_chain = false;
}

static bool changes_schema(const struct statement *s)
{
    return s->kind == STATEMENT_SCHEMA || s->kind == STATEMENT_PROGRAM ||
           s->kind == STATEMENT_OTHER;
}

/* May it stand in a transaction of ours with others? Where the tool has one around it too, PostgreSQL refuses a
 * program's COMMIT there. */
static bool fits(const struct units_rules *rules, const struct statement *s)
{
    bool commits = s->commits && !(rules->transactional && rules->engine == DB_POSTGRES);
    return !s->alone && !commits && !statement_controls(s) &&
           (rules->schema_in_transactions || !changes_schema(s));
}

static bool ends_transaction(const struct statement *s)
{
    return s->kind == STATEMENT_COMMIT || s->kind == STATEMENT_ROLLBACK ||
           s->kind == STATEMENT_CHAIN || s->kind == STATEMENT_HANDOVER;
}

/* In a transaction of the tool's, which is ours here: our own COMMIT and BEGIN stand for it. */
static bool cuts_chain(const struct cutting *c, const struct statement *s)
{
    return s->kind == STATEMENT_CHAIN && c->rules->wrapped && c->rules->engine == DB_POSTGRES;
}

/* PostgreSQL takes several statements in one query as one transaction, up to each COMMIT in it. */
static void cut_at_ends(struct cutting *c, const struct migration_piece *piece,
                        const struct script *script)
{
    size_t from = 0;
    bool begun = false;
    for (size_t i = 0; i < script->count; i++) {
        const struct statement *s = &script->items[i];
        begun = begun || s->kind == STATEMENT_BEGIN;
        if (!ends_transaction(s)) {
            continue;
        }
        if (cuts_chain(c, s) && !begun) {
            if (i > from) {
                add_chunk(c, piece, script, from, i);
            }
            from = i + 1;
            c->chained = c->after_chain = true;
            continue;
        }
        bool undoes_query = s->kind == STATEMENT_ROLLBACK && !begun;
        if (i > from && !undoes_query) {
            add_chunk(c, piece, script, from, i);
            from = i;
        }
        add_chunk(c, piece, script, from, i + 1);
        from = i + 1;
        begun = false;
    }
    if (from < script->count) {
        add_chunk(c, piece, script, from, script->count);
    }
}

static void cut_piece(struct cutting *c, const struct migration_piece *piece,
                      const struct script *script)
{
    if (script->count == 0) {
        return;
    }
    bool together = true;
    for (size_t i = 0; i < script->count; i++) {
        together = together && fits(c->rules, &script->items[i]) &&
                   (c->rules->transactional || script->items[i].kind != STATEMENT_SESSION);
    }
    if (c->rules->engine == DB_POSTGRES) {
        cut_at_ends(c, piece, script);
    } else if (together) {
        add_chunk(c, piece, script, 0, script->count);
    } else { /* the others take them one after the other, however they are sent */
        for (size_t i = 0; i < script->count; i++) {
            add_chunk(c, piece, script, i, i + 1);
        }
    }
}

/* ---- units ---- */

static const char *first_words(struct arena *arena, const struct statement *s)
{
    size_t len = MIN(s->words.len, WORDS_CHARS);
    while (len > 0 && len < s->words.len && (s->words.data[len] & 0xc0) == 0x80) {
        len--; /* not in the middle of a character */
    }
    while (len > 0 && s->words.data[len - 1] <= ' ') {
        len--;
    }
    char *words = arena_strndup(arena, (const char *)s->words.data, len);
    for (char *p = words; *p != '\0'; p++) {
        *p = (unsigned char)*p < ' ' ? ' ' : *p;
    }
    return words;
}

static struct unit *add_unit(struct cutting *c, enum unit_kind kind)
{
    c->units.items = arena_grow(c->arena, c->units.items, c->units.count, &c->units_capacity,
                                sizeof(*c->units.items));
    struct unit *unit = &c->units.items[c->units.count++];
    *unit = (struct unit){.kind = kind, .words = "", .schema_only = true, .repeatable = true};
    /* Every chunk could be in this one. */
    unit->texts = ARENA_ARRAY(c->arena, c->count, struct unit_text);
    return unit;
}

static void see_statement(struct cutting *c, struct unit *unit, const struct statement *s)
{
    unit->changes_schema = unit->changes_schema || changes_schema(s);
    unit->schema_only = unit->schema_only && (s->kind == STATEMENT_SCHEMA || statement_controls(s));
    unit->surely = unit->surely || (s->kind == STATEMENT_SCHEMA && !s->guarded);
    unit->repeatable = unit->repeatable && s->kind == STATEMENT_UPKEEP;
    unit->concurrently = unit->concurrently || s->concurrently;
    unit->atomic = unit->atomic && !s->commits && (!s->concurrently || s->index.name != NULL);
    unit->keeps =
        unit->keeps || s->temporary || (s->kind == STATEMENT_SESSION && unit->kind != UNIT_SESSION);
    c->units.lock_timeout = c->units.lock_timeout || s->lock_timeout;
}

static void put(struct cutting *c, struct unit *unit, const struct chunk *chunk)
{
    if (unit->count == 0) {
        unit->line = chunk->first_line;
        unit->words = first_words(c->arena, &chunk->statements[0]);
        unit->atomic = true;
    }
    unit->texts[unit->count++] = chunk->text;
    unit->statements += chunk->count;
    for (size_t i = 0; i < chunk->count; i++) {
        see_statement(c, unit, &chunk->statements[i]);
    }
    if (unit->statements == 1 && chunk->statements[0].index.name != NULL) {
        unit->index = chunk->statements[0].index;
        unit->index_drop = chunk->statements[0].index_drop;
        unit->index_guarded = chunk->statements[0].guarded;
    }
}

static bool every(const struct chunk *chunk, enum statement_kind kind)
{
    for (size_t i = 0; i < chunk->count; i++) {
        if (chunk->statements[i].kind != kind) {
            return false;
        }
    }
    return true;
}

static bool any(const struct chunk *chunk, enum statement_kind kind)
{
    for (size_t i = 0; i < chunk->count; i++) {
        if (chunk->statements[i].kind == kind) {
            return true;
        }
    }
    return false;
}

static bool all_fit(const struct cutting *c, const struct chunk *chunk)
{
    for (size_t i = 0; i < chunk->count; i++) {
        if (!fits(c->rules, &chunk->statements[i])) {
            return false;
        }
    }
    return true;
}

static enum unit_kind kind_of(const struct cutting *c, const struct chunk *chunk)
{
    if (every(chunk, STATEMENT_SESSION)) {
        return UNIT_SESSION;
    }
    if (any(chunk, STATEMENT_ROLLBACK) || every(chunk, STATEMENT_COMMIT)) {
        return UNIT_UNDONE; /* a COMMIT without a transaction does nothing either */
    }
    return all_fit(c, chunk) ? UNIT_FREE : UNIT_ALONE;
}

/* The chunks of a transaction of the script's own, from `at` on. 0: it does not end; else the place after it. */
static size_t own_transaction(const struct cutting *c, size_t at, bool *ret_fits, bool *ret_undone)
{
    *ret_undone = false;
    *ret_fits = true;
    for (size_t i = at; i < c->count; i++) {
        const struct chunk *chunk = &c->chunks[i];
        for (size_t j = 0; j < chunk->count; j++) {
            const struct statement *s = &chunk->statements[j];
            *ret_fits = *ret_fits && (statement_controls(s) || fits(c->rules, s));
            *ret_undone = s->kind == STATEMENT_ROLLBACK;
            if (ends_transaction(s)) {
                return i + 1;
            }
        }
    }
    return 0;
}

/* Where the schema is in no transaction, the first change of it has committed what the script began: its BEGIN and
 * COMMIT do nothing, and what stands between them is taken one by one. */
static void put_singly(struct cutting *c, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (!statement_controls(&c->chunks[i].statements[0])) {
            put(c, add_unit(c, kind_of(c, &c->chunks[i])), &c->chunks[i]);
        }
    }
}

static int line_of_begin(const struct chunk *chunk)
{
    size_t i = 0;
    while (i + 1 < chunk->count && chunk->statements[i].kind != STATEMENT_BEGIN) {
        i++;
    }
    return chunk->first_line + chunk->statements[i].line - chunk->statements[0].line;
}

static int group(struct cutting *c, struct error *e)
{
    for (size_t i = 0; i < c->count;) {
        const struct chunk *chunk = &c->chunks[i];
        if (!any(chunk, STATEMENT_BEGIN)) {
            put(c, add_unit(c, kind_of(c, chunk)), chunk);
            i++;
            continue;
        }
        bool all = false;
        bool undone = false;
        size_t end = own_transaction(c, i, &all, &undone);
        if (end == 0) {
            return error_set(e, E_INVALID,
                             "line %d begins a transaction that the script does not end: its last "
                             "part would be lost. Nothing of it has run; end it with COMMIT",
                             line_of_begin(chunk));
        }
        if (!all && !c->rules->schema_in_transactions) {
            put_singly(c, i, end);
            i = end;
            continue;
        }
        enum unit_kind kind = all ? UNIT_OWN : UNIT_ALONE;
        struct unit *unit = add_unit(c, undone ? UNIT_UNDONE : kind);
        for (; i < end; i++) {
            put(c, unit, &c->chunks[i]);
        }
    }
    return 0;
}

/* A script that the tool has a transaction around and that commits in between: a unit from each COMMIT AND CHAIN to the
 * next. */
static int group_chained(struct cutting *c, struct error *e)
{
    struct unit *unit = NULL;
    for (size_t i = 0; i < c->count; i++) {
        const struct chunk *chunk = &c->chunks[i];
        for (size_t j = 0; j < chunk->count; j++) {
            const struct statement *s = &chunk->statements[j];
            if (s->alone || statement_controls(s) || s->characteristics) {
                return error_set(
                    e, E_INVALID,
                    "\"%.60s\" stands in a script that commits with COMMIT AND CHAIN: "
                    "what of it ran could not be known. Nothing of the script has run; "
                    "put it in a script of its own",
                    first_words(c->arena, s));
            }
        }
        if (unit == NULL || chunk->after_chain) {
            unit = add_unit(c, UNIT_FREE);
        }
        put(c, unit, chunk);
    }
    return 0;
}

/* A transaction that outlives its session or begins the next one cannot be kept once. */
static int refuse_handover(const struct cutting *c, struct error *e)
{
    for (size_t i = 0; i < c->count; i++) {
        for (size_t j = 0; j < c->chunks[i].count; j++) {
            const struct statement *s = &c->chunks[i].statements[j];
            if (s->kind == STATEMENT_HANDOVER || s->kind == STATEMENT_CHAIN) {
                return error_set(
                    e, E_INVALID,
                    "\"%.60s\" leaves its transaction to somebody else: whether it ran "
                    "could not be known. Nothing of the script has run; end its "
                    "transactions with COMMIT",
                    first_words(c->arena, s));
            }
        }
    }
    return 0;
}

static bool one_transaction(const struct cutting *c)
{
    if (!c->rules->transactional || c->chained) {
        return false;
    }
    for (size_t i = 0; i < c->count; i++) {
        if (!all_fit(c, &c->chunks[i])) {
            return false;
        }
    }
    return true;
}

int units_of(struct arena *arena, const struct migration_pieces *pieces,
             const struct units_rules *rules, struct units *ret, struct error *e)
{
    struct cutting c = {.arena = arena, .rules = rules};
    for (size_t i = 0; i < pieces->count; i++) {
        const struct migration_piece *piece = &pieces->items[i];
        struct script *script = ARENA_NEW(arena, struct script);
        script_read(arena, (struct bytes){(const uint8_t *)piece->sql, piece->len}, rules->engine,
                    script);
        int rc = script_check(script, piece->line, e);
        if (rc < 0) {
            return rc;
        }
        cut_piece(&c, piece, script);
    }
    int rc = refuse_handover(&c, e);
    if (rc == 0 && one_transaction(&c)) {
        struct unit *unit = add_unit(&c, UNIT_FREE);
        for (size_t i = 0; i < c.count; i++) {
            put(&c, unit, &c.chunks[i]);
        }
    } else if (rc == 0) {
        rc = c.chained ? group_chained(&c, e) : group(&c, e);
    }
    if (rc == 0 && c.units.count == 0) {
        add_unit(&c, UNIT_FREE);
    }
    if (rc == 0) {
        *ret = c.units;
    }
    return rc;
}
