/* Owns how a plan grows: lists in the arena, phases, steps, node sets. Refuses nothing. */
#include <string.h>

#include "lib/base/str.h"
#include "lib/plan/compiler.h"

#define LIST_FIRST 8

void *list_push(struct arena *arena, struct list *list, size_t size)
{
    size_t n = list->count;
    /* The capacity is the count rounded up to a power of two: no field of its own is needed. */
    if (n == 0 || (n >= LIST_FIRST && (n & (n - 1)) == 0)) {
        char *items = arena_array(arena, n == 0 ? LIST_FIRST : n * 2, size);
        if (n > 0) {
            memcpy(items, list->items, n * size);
        }
        list->items = items;
    }
    list->count = n + 1;
    return (char *)list->items + n * size;
}

void strings_push(struct arena *arena, struct strings *strings, const char *text)
{
    struct list list = {strings->items, strings->count};
    const char **item = list_push(arena, &list, sizeof(*item));
    *item = text;
    strings->items = list.items;
    strings->count = list.count;
}

bool strings_have(const struct strings *strings, const char *text)
{
    for (size_t i = 0; i < strings->count; i++) {
        if (str_equal(strings->items[i], text)) {
            return true;
        }
    }
    return false;
}

void forbid(struct compiler *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    complaints_add(c->complaints, NULL, 0, 0, "%s", arena_vprintf(c->arena, fmt, args));
    va_end(args);
}

void forbid_at(struct compiler *c, const void *field, const char *fmt, ...)
{
    struct mark mark = marks_find(c->spec->cluster_marks, field);
    if (mark.line == 0) {
        mark = marks_find(c->spec->application_marks, field);
    }
    va_list args;
    va_start(args, fmt);
    complaints_add(c->complaints, mark.file, mark.line, mark.column, "%s",
                   arena_vprintf(c->arena, fmt, args));
    va_end(args);
}

void warn(struct compiler *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const char *text = arena_vprintf(c->arena, fmt, args);
    va_end(args);
    if (!strings_have(&c->plan->warnings, text)) {
        strings_push(c->arena, &c->plan->warnings, text);
    }
}

int64_t node_set(struct compiler *c, const struct members *members)
{
    struct list *sets = &c->plan->node_sets;
    for (size_t i = 0; i < sets->count; i++) {
        const struct plan_node_set *set = LIST_AT(sets, struct plan_node_set, i);
        if (set->nodes.count == members->count && str_equal(set->name, members->name)) {
            return (int64_t)i;
        }
    }
    struct plan_node_set *set = list_push(c->arena, sets, sizeof(*set));
    set->name = members->name;
    set->nodes.items = ARENA_ARRAY(c->arena, members->count, const char *);
    set->nodes.count = members->count;
    for (size_t i = 0; i < members->count; i++) {
        set->nodes.items[i] = c->nodes[members->items[i]].spec->name;
    }
    return (int64_t)sets->count - 1;
}

struct plan_phase *add_nodes_phase(struct compiler *c, int64_t hop, const char *name,
                                   const struct members *members)
{
    assert(members->count > 0);
    int64_t set = node_set(c, members);
    struct plan_phase *phase = list_push(c->arena, &c->plan->phases, sizeof(*phase));
    phase->name = name;
    phase->hop = hop;
    phase->scope = PHASE_NODES;
    phase->node_set = set;
    return phase;
}

struct plan_phase *add_once_phase(struct compiler *c, int64_t hop, const char *name)
{
    struct plan_phase *phase = list_push(c->arena, &c->plan->phases, sizeof(*phase));
    phase->name = name;
    phase->hop = hop;
    phase->scope = PHASE_ONCE;
    return phase;
}

void disruptive_from(struct compiler *c, size_t phase)
{
    for (; phase < c->plan->phases.count; phase++) {
        LIST_AT(&c->plan->phases, struct plan_phase, phase)->disruptive = true;
    }
}

struct plan_step *add_step(struct compiler *c, struct plan_phase *phase, const char *name,
                           const char *title, const char *on, int64_t deadline_ms)
{
    assert((on != NULL) == (phase->scope == PHASE_ONCE));
    assert(deadline_ms > 0);
    struct plan_step *step = list_push(c->arena, &phase->steps, sizeof(*step));
    step->name = name;
    step->title = title;
    step->on = on;
    step->deadline_ms = MIN(deadline_ms, LIMIT_DURATION_MS);
    step->action = ARENA_NEW(c->arena, struct action);
    return step;
}
