/* Owns the reading of what is known of times. It decides nothing: the controller has put the best first. */
#include "cli/known.h"

#include "cli/output.h"
#include "lib/base/str.h"

static const char *given(struct arena *arena, const char *text)
{
    return str_empty(text) ? NULL : arena_strdup(arena, text);
}

static const Lockstep__V1__Known *newest(Lockstep__V1__Known *const *items, size_t count,
                                         bool rehearsed)
{
    const Lockstep__V1__Known *found = NULL;
    for (size_t i = 0; i < count; i++) {
        if (str_empty(items[i]->run) == rehearsed &&
            (found == NULL || items[i]->at_ms > found->at_ms)) {
            found = items[i];
        }
    }
    return found;
}

static const char *source_of(struct arena *arena, Lockstep__V1__Known *const *items, size_t count)
{
    const Lockstep__V1__Known *run = newest(items, count, false);
    const Lockstep__V1__Known *rehearsal = newest(items, count, true);
    const char *ran =
        run == NULL ? NULL
                    : arena_printf(arena, "as in runs until %s", time_text(arena, run->at_ms));
    if (rehearsal == NULL) {
        return ran;
    }
    const char *rehearsed =
        arena_printf(arena, "rehearsed %s on %s", time_text(arena, rehearsal->at_ms),
                     str_bytes(arena, (uint64_t)MAX(rehearsal->bytes, 0)));
    return ran == NULL ? rehearsed : arena_printf(arena, "%s, %s", ran, rehearsed);
}

struct known_durations known_read(struct arena *arena, Lockstep__V1__Known *const *items,
                                  size_t count)
{
    struct known_duration *known = ARENA_ARRAY(arena, count + 1, struct known_duration);
    for (size_t i = 0; i < count; i++) {
        const Lockstep__V1__Known *one = items[i];
        known[i] = (struct known_duration){.database = given(arena, one->database),
                                           .sha256 = given(arena, one->sha256),
                                           .step = given(arena, one->step),
                                           .place = given(arena, one->place),
                                           .release = given(arena, one->release),
                                           .ms = MAX(one->ms, 0),
                                           .longest_ms = MAX(one->longest_ms, 0)};
    }
    return (struct known_durations){
        .items = known, .count = count, .source = source_of(arena, items, count)};
}
