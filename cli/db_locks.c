/*
 * Owns what a plan says of each script's locks and traps: PostgreSQL's own parser reads it (lib/migration/lint.h). It warns;
 * it refuses nothing.
 */
#include <string.h>

#include "cli/db_run.h"
#include "cli/output.h"
#include "lib/base/str.h"
#include "lib/migration/lint.h"

static const char *lock_words(struct arena *arena, const struct sql_lock *lock)
{
    const char *blocks = sql_lock_blocks(lock->mode);
    return arena_printf(arena, "%s%s: %s lock%s%s%s", lock->is_index ? "the table of " : "",
                        lock->object != NULL ? lock->object : "many tables",
                        sql_lock_name(lock->mode), blocks != NULL ? ", waited for by " : "",
                        blocks != NULL ? blocks : "",
                        lock->rewrites ? "; may write the whole table anew" : "");
}

static void add(struct arena *arena, struct strings *list, size_t *capacity, const char *words)
{
    for (size_t i = 0; i < list->count; i++) {
        if (str_equal(list->items[i], words)) {
            return;
        }
    }
    list->items = arena_grow(arena, list->items, list->count, capacity, sizeof(*list->items));
    list->items[list->count++] = words;
}

struct strings db_way_locks(struct db_call *call, const struct db_way *way, size_t i)
{
    struct strings words = {0};
    size_t capacity = 0;
    struct migration_pieces pieces = {0};
    const struct migration_file *file = db_folder_file(&call->folder, db_script(way, i)->sha256);
    if (!str_starts(call->ref.url, "postgres") || file == NULL || db_script(way, i)->delegated ||
        call->format->pieces(call->arena, file->text, way->down, &pieces, NULL) < 0) {
        return words;
    }
    for (size_t p = 0; p < pieces.count; p++) {
        struct sql_lint lint = {0};
        struct bytes sql = {.data = (const uint8_t *)pieces.items[p].sql,
                            .len = pieces.items[p].len};
        sql_lint_script(call->arena, sql, &lint);
        for (size_t l = 0; l < lint.locks_count; l++) {
            add(call->arena, &words, &capacity, lock_words(call->arena, &lint.locks[l]));
        }
        for (size_t t = 0; t < lint.traps_count; t++) {
            add(call->arena, &words, &capacity,
                arena_printf(call->arena, "line %d: %s",
                             lint.traps[t].line + pieces.items[p].line - 1, lint.traps[t].text));
        }
    }
    return words;
}
