/* What the formats share: sets of ids that are looked up fast, the order of numbers, and the newest that stays. */
#ifndef LOCKSTEP_MIGRATION_COMMON_H
#define LOCKSTEP_MIGRATION_COMMON_H

#include "lib/migration/migration.h"

/* Sorted, so that thousands of questions stay fast. */
struct id_set {
    const char **items; /* owned; the texts are borrowed */
    size_t count;
};

/* `ids` without those that `way` takes down; way may be NULL. */
struct id_set ids_of(struct arena *arena, const struct strings *ids,
                     const struct migration_way *way);
bool ids_have(const struct id_set *set, const char *id);

/* Writes each migration's place. */
void migration_places(struct migration_set *set);
/* Sets `version`, its text and `previous` for formats whose id is the number; items are in up order. */
void migration_numbers(struct arena *arena, struct migration_set *set);
/* `sort_down` of formats that go down by number, the highest first. */
void migration_sort_by_number(struct migration *items, size_t count);
/* Formats whose id is the number: the highest of `applied` that `way` leaves there; -1: none. */
int64_t migration_top(struct arena *arena, const struct strings *applied,
                      const struct migration_way *way);
/* What a down script that sends nothing loses, in `words`; NULL when the up sent nothing either. */
const char *migration_undoes_nothing(const struct migration_script *up, const char *words);

int migration_refuse_many(size_t count, struct error *e);

#endif
