/*
 * Owns the look at one script: the parser's bounds, the loop over its statements, and what only all of them together
 * tell. Refuses to hand the parser what could break it: its stack is the program's own.
 */
#include "lib/migration/lint.h"

#include <pg_query.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/migration/lint_parts.h"
#include "lib/migration/migration.h"
#include "lib/migration/sql.h"

#define FINDINGS_MAX 6 /* named; the rest is counted */
/* A byte of SQL can become more than a hundred of a tree. */
#define PARSED_BYTES_MAX (1024 * 1024)
/* libpg_query writes its tree and protobuf-c reads it by recursion, neither looks at the stack: from about 1070
 * levels on they overrun 2 MB. */
#define NESTING_MAX 256

static const char *const lock_names[] = {
    [SQL_LOCK_NONE] = "no lock",
    [SQL_LOCK_ACCESS_SHARE] = "ACCESS SHARE",
    [SQL_LOCK_ROW_SHARE] = "ROW SHARE",
    [SQL_LOCK_ROW_EXCLUSIVE] = "ROW EXCLUSIVE",
    [SQL_LOCK_SHARE_UPDATE_EXCLUSIVE] = "SHARE UPDATE EXCLUSIVE",
    [SQL_LOCK_SHARE] = "SHARE",
    [SQL_LOCK_SHARE_ROW_EXCLUSIVE] = "SHARE ROW EXCLUSIVE",
    [SQL_LOCK_EXCLUSIVE] = "EXCLUSIVE",
    [SQL_LOCK_ACCESS_EXCLUSIVE] = "ACCESS EXCLUSIVE",
};

const char *sql_lock_name(enum sql_lock_mode mode)
{
    assert((size_t)mode < ARRAY_SIZE(lock_names));
    return lock_names[mode];
}

const char *sql_lock_blocks(enum sql_lock_mode mode)
{
    if (mode == SQL_LOCK_ACCESS_EXCLUSIVE) {
        return "readers and writers";
    }
    return mode >= SQL_LOCK_SHARE ? "writers" : NULL;
}

struct sql_statement *lint_statement(struct lint *l)
{
    struct sql_lint *out = l->out;
    out->statements = arena_grow(l->arena, out->statements, out->count, &l->statements_capacity,
                                 sizeof(*out->statements));
    struct sql_statement *s = &out->statements[out->count++];
    *s = (struct sql_statement){.kind = "", .line = 1, .class = SQL_CLASS_OTHER};
    return s;
}

static struct sql_lock *lock_of(struct lint *l, const char *object)
{
    for (size_t i = l->out->locks_count; i > 0; i--) {
        struct sql_lock *lock = &l->out->locks[i - 1];
        if (lock->statement + 1 != l->out->count) {
            return NULL;
        }
        if (str_equal(lock->object, object)) {
            return lock;
        }
    }
    return NULL;
}

void lint_lock(struct lint *l, const struct sql_statement *s, const char *object,
               enum sql_lock_mode mode)
{
    struct sql_lint *out = l->out;
    assert(s == &out->statements[out->count - 1]);
    if (mode < SQL_LOCK_SHARE || (object != NULL && lint_names_have(&l->created, object))) {
        return;
    }
    struct sql_lock *lock = lock_of(l, object);
    if (lock == NULL) {
        out->locks = arena_grow(l->arena, out->locks, out->locks_count, &l->locks_capacity,
                                sizeof(*out->locks));
        lock = &out->locks[out->locks_count++];
        *lock = (struct sql_lock){
            .object = object, .kind = s->kind, .line = s->line, .statement = out->count - 1};
    }
    lock->mode = MAX(lock->mode, mode);
}

void lint_lock_index(struct lint *l, const struct sql_statement *s, const char *index,
                     enum sql_lock_mode mode)
{
    lint_lock(l, s, index, mode);
    struct sql_lock *lock = lock_of(l, index);
    if (lock != NULL) {
        lock->is_index = true;
    }
}

void lint_rewrites(struct lint *l, const char *object)
{
    struct sql_lock *lock = lock_of(l, object);
    if (lock != NULL) {
        lock->rewrites = true;
    }
}

void lint_trap(struct lint *l, enum sql_trap_kind kind, int line, const char *text)
{
    struct sql_lint *out = l->out;
    out->traps =
        arena_grow(l->arena, out->traps, out->traps_count, &l->traps_capacity, sizeof(*out->traps));
    out->traps[out->traps_count++] = (struct sql_trap){kind, line, text};
}

void lint_loss(struct lint *l, const char *what)
{
    l->losses =
        arena_grow(l->arena, l->losses, l->losses_count, &l->losses_capacity, sizeof(*l->losses));
    l->losses[l->losses_count++] = (struct lint_loss){.what = what};
}

void lint_change(struct lint *l, const char *sort, const char *name, bool made)
{
    const char *both = arena_printf(l->arena, "%s %s", sort, name);
    for (size_t i = 0; i < l->changes_count; i++) {
        if (strcasecmp(l->changes[i].name, both) == 0) {
            l->changes[i].made = l->changes[i].made || made;
            l->changes[i].gone = l->changes[i].gone || !made;
            return;
        }
    }
    if (l->changes_count >= LINT_NAMES_MAX) {
        l->changes_overflow = true;
        return;
    }
    l->changes = arena_grow(l->arena, l->changes, l->changes_count, &l->changes_capacity,
                            sizeof(*l->changes));
    l->changes[l->changes_count++] = (struct lint_change){both, made, !made};
}

/* Steps over blanks, comments and lone semicolons to where a statement's own text begins. */
static size_t own_text(struct bytes sql, size_t from, size_t to)
{
    struct sql_reader r = {.sql = {sql.data, to}, .at = from};
    for (;;) {
        struct sql_token t = sql_next(&r);
        if (t.kind == SQL_END) {
            return to;
        }
        if (t.kind != SQL_SIGN || t.text.data[0] != ';') {
            return (size_t)(t.text.data - sql.data);
        }
    }
}

static int lines(struct bytes sql, size_t from, size_t to)
{
    int count = 0;
    for (size_t i = from; i < to; i++) {
        count += sql.data[i] == '\n';
    }
    return count;
}

static void look_at_tree(struct lint *l, const PgQuery__ParseResult *tree)
{
    size_t counted = 0;
    int line = 1;
    for (size_t i = 0; i < tree->n_stmts; i++) {
        const PgQuery__RawStmt *raw = tree->stmts[i];
        size_t from = MIN((size_t)MAX(raw->stmt_location, 0), l->sql.len);
        size_t to = raw->stmt_len > 0 ? MIN(from + (size_t)raw->stmt_len, l->sql.len) : l->sql.len;
        from = own_text(l->sql, from, to);
        line += lines(l->sql, counted, from);
        counted = from;
        struct sql_statement *s = lint_statement(l);
        s->text = (struct bytes){l->sql.data + from, to - from};
        s->line = line;
        lint_node(l, s, raw->stmt);
    }
}

/* The tree lives in an arena of its own: it is far larger than what is found in it. */
static void *scratch_alloc(void *arena, size_t bytes)
{
    return arena_alloc(arena, bytes);
}

static void scratch_free(void *arena UNUSED, void *memory UNUSED)
{
}

static const char *parse(struct lint *l)
{
    struct arena scratch;
    arena_init(&scratch);
    const char *why = NULL;
    PgQueryProtobufParseResult result =
        pg_query_parse_protobuf(arena_strndup(&scratch, (const char *)l->sql.data, l->sql.len));
    if (result.error != NULL) {
        why = arena_printf(
            l->arena, "line %d: %s",
            1 + lines(l->sql, 0, MIN((size_t)MAX(result.error->cursorpos - 1, 0), l->sql.len)),
            result.error->message);
    } else {
        ProtobufCAllocator allocator = {scratch_alloc, scratch_free, &scratch};
        const PgQuery__ParseResult *tree = pg_query__parse_result__unpack(
            &allocator, result.parse_tree.len, (const uint8_t *)result.parse_tree.data);
        if (tree == NULL) {
            why = "the parser's tree cannot be read";
        } else {
            look_at_tree(l, tree);
        }
    }
    pg_query_free_protobuf_parse_result(result);
    arena_deinit(&scratch);
    return why;
}

/* Why the parser is not asked at all, or NULL. */
static const char *unfit(struct bytes sql)
{
    if (sql.len > PARSED_BYTES_MAX) {
        return "it has more than 1 MiB";
    }
    if (sql.len > 0 && memchr(sql.data, '\0', sql.len) != NULL) {
        return "it has a NUL byte";
    }
    if (sql_has_backquotes(sql)) {
        return "it has names in backquotes";
    }
    return sql_nesting(sql) > NESTING_MAX ? "it is nested too deeply" : NULL;
}

static void tell_losses(struct lint *l)
{
    struct buf b;
    buf_init(&b, l->arena, LIMIT_TEXT_BYTES);
    size_t found = 0;
    for (size_t i = 0; i < l->losses_count; i++) {
        if (!l->losses[i].undone && ++found <= FINDINGS_MAX) {
            buf_printf(&b, "%s%s", found > 1 ? ", " : "", l->losses[i].what);
        }
    }
    if (found > FINDINGS_MAX) {
        buf_printf(&b, " and %zu more", found - FINDINGS_MAX);
    }
    l->out->lossy = found > 0 ? buf_text(&b) : NULL;
}

static void tell_session(struct lint *l)
{
    struct buf b;
    buf_init(&b, l->arena, LIMIT_TEXT_BYTES);
    for (size_t i = 0; i < l->settings.count; i++) {
        const char *name = l->settings.items[i];
        buf_printf(&b, "%sSET %s", b.len > 0 ? ", " : "", name);
        lint_trap(l, SQL_TRAP_SETTING, l->settings_lines[i],
                  arena_printf(l->arena,
                               "SET %s outlives the script and holds for those after it: SET "
                               "LOCAL, or RESET it at the end",
                               name));
    }
    for (size_t i = 0; i < l->temporary.count; i++) {
        buf_printf(&b, "%s%s", b.len > 0 ? ", " : "", l->temporary.items[i]);
    }
    l->out->session = b.len > 0 ? buf_text(&b) : NULL;
}

/* Is the value a string in what follows? A new value is unusable until it is committed. */
static bool used(const struct lint_value *v)
{
    struct sql_reader r = {.sql = v->after};
    for (;;) {
        struct sql_token t = sql_next(&r);
        if (t.kind == SQL_END) {
            return false;
        }
        if (t.kind == SQL_TEXT && t.text.len == strlen(v->value) &&
            memcmp(t.text.data, v->value, t.text.len) == 0) {
            return true;
        }
    }
}

static void trap_values(struct lint *l)
{
    for (size_t i = 0; i < l->values_count; i++) {
        if (used(&l->values[i])) {
            lint_trap(l, SQL_TRAP_ENUM_VALUE, l->values[i].line,
                      arena_printf(l->arena,
                                   "ALTER TYPE … ADD VALUE '%s' is used further down: a new value "
                                   "is unusable until its transaction has ended",
                                   l->values[i].value));
        }
    }
}

/* Of all statements together. */
static void conclude(struct lint *l)
{
    struct sql_lint *out = l->out;
    bool schema = false;
    bool other = false;
    size_t transaction = 0;
    for (size_t i = 0; i < out->count; i++) {
        const struct sql_statement *s = &out->statements[i];
        schema = schema || s->class == SQL_CLASS_SCHEMA;
        other = other || (s->class != SQL_CLASS_SCHEMA && s->class != SQL_CLASS_SESSION &&
                          s->class != SQL_CLASS_TRANSACTION);
        transaction += s->class == SQL_CLASS_TRANSACTION;
        out->outside_transaction = out->outside_transaction || s->outside;
        if (s->outside && out->count > 1 && out->parsed) {
            lint_trap(l, SQL_TRAP_NOT_ALONE, s->line,
                      arena_printf(l->arena,
                                   "%s with other statements in one file: one query is one "
                                   "transaction, and in a transaction it fails",
                                   s->kind));
        }
    }
    out->schema_only = schema && !other;
    out->controls_transactions = out->controls_transactions || transaction > 0;
    out->wraps_itself = transaction == 2 && out->count > 2 &&
                        (str_equal(out->statements[0].kind, "BEGIN") ||
                         str_equal(out->statements[0].kind, "START TRANSACTION")) &&
                        (str_equal(out->statements[out->count - 1].kind, "COMMIT") ||
                         str_equal(out->statements[out->count - 1].kind, "END"));
    for (size_t i = 0; i < out->count && !out->wraps_itself && out->parsed; i++) {
        const struct sql_statement *s = &out->statements[i];
        if (str_equal(s->kind, "COMMIT") || str_equal(s->kind, "ROLLBACK")) {
            lint_trap(l, SQL_TRAP_ENDS, s->line,
                      arena_printf(l->arena, "%s splits what the tool takes for one transaction",
                                   s->kind));
        }
    }
    for (size_t i = 0; i < l->changes_count && !l->changes_overflow; i++) {
        const struct lint_change *c = &l->changes[i];
        out->changes_schema_surely = out->changes_schema_surely || c->made != c->gone;
    }
}

static int by_line(const void *a, const void *b)
{
    const struct sql_trap *x = a;
    const struct sql_trap *y = b;
    if (x->line != y->line) {
        return x->line < y->line ? -1 : 1;
    }
    return x->kind != y->kind ? (x->kind < y->kind ? -1 : 1) : strcmp(x->text, y->text);
}

void sql_lint_script(struct arena *arena, struct bytes sql, struct sql_lint *ret)
{
    *ret = (struct sql_lint){.empty = sql_is_empty(sql)};
    struct lint l = {.arena = arena, .sql = sql, .out = ret};
    ret->unparsed = unfit(sql);
    if (ret->unparsed == NULL) {
        ret->unparsed = parse(&l);
    }
    ret->parsed = ret->unparsed == NULL;
    if (!ret->parsed) {
        lint_words_script(&l, sql_guess_dialect(sql));
    }
    conclude(&l);
    tell_losses(&l);
    tell_session(&l);
    trap_values(&l);
    if (ret->traps_count > 0) {
        qsort(ret->traps, ret->traps_count, sizeof(*ret->traps), by_line);
    }
}
