/* Owns what a plan keeps of a script's lint. Refuses nothing: it only looks. */
#include "lib/base/str.h"
#include "lib/migration/lint.h"
#include "lib/migration/migration.h"

static void keep_locks(struct arena *arena, const struct sql_lint *lint,
                       struct migration_script *script)
{
    script->locks = ARENA_ARRAY(arena, lint->locks_count, struct migration_lock);
    for (size_t i = 0; i < lint->locks_count; i++) {
        const struct sql_lock *l = &lint->locks[i];
        script->locks[script->lock_count++] = (struct migration_lock){
            .object = l->object != NULL ? arena_strdup(arena, l->object) : NULL,
            .is_index = l->is_index,
            .mode = (int)l->mode,
            .rewrites = l->rewrites,
            .line = l->line};
    }
}

/* What must not be in a transaction, and would be. */
static const char *why_it_fails(struct arena *arena, const struct sql_lint *lint, bool whole,
                                bool transactional)
{
    bool one = transactional || (whole && lint->count > 1);
    for (size_t i = 0; one && lint->parsed && i < lint->count; i++) {
        const struct sql_statement *s = &lint->statements[i];
        if (s->outside) {
            return arena_printf(arena, "line %d: %s cannot run inside a transaction, %s", s->line,
                                s->kind,
                                lint->count > 1 && whole ? "and the statements of this file are one"
                                                         : "and the file is run in one");
        }
    }
    return NULL;
}

void migration_script_facts(struct arena *arena, struct bytes sql, bool whole,
                            struct migration_script *script)
{
    struct arena scratch;
    arena_init(&scratch);
    struct sql_lint lint;
    sql_lint_script(&scratch, sql, &lint);
    if (script->lossy == NULL && lint.lossy != NULL) {
        script->lossy = arena_strdup(arena, lint.lossy);
    }
    keep_locks(arena, &lint, script);
    script->traps.items = ARENA_ARRAY(arena, lint.traps_count, const char *);
    for (size_t i = 0; i < lint.traps_count; i++) {
        if (lint.traps[i].kind != SQL_TRAP_NOT_ALONE) {
            script->traps.items[script->traps.count++] =
                arena_printf(arena, "line %d: %s", lint.traps[i].line, lint.traps[i].text);
        }
    }
    script->fails = why_it_fails(arena, &lint, whole, script->transactional);
    arena_deinit(&scratch);
}
