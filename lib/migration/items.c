/* Owns the step from a migration as it was read to the item that an action carries. Refuses nothing. */
#include "lib/migration/migration.h"

struct list migration_items(struct arena *arena, const struct migration *items, size_t count,
                            bool down)
{
    struct migration_item *list = ARENA_ARRAY(arena, count, struct migration_item);
    for (size_t i = 0; i < count; i++) {
        const struct migration_script *script = down ? &items[i].down : &items[i].up;
        list[i] = (struct migration_item){.id = items[i].id,
                                          .version = items[i].version,
                                          .file = script->file,
                                          .sha256 = script->sha256,
                                          .transactional = script->transactional,
                                          .concurrent = script->concurrent,
                                          .previous = items[i].previous,
                                          .lossy = script->lossy};
    }
    return (struct list){list, count};
}
