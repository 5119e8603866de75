/* Owns the memory of instructions and outcomes. It refuses nothing: the machine keeps the bounds. */
#include "lib/core/agent_table.h"

#include <string.h>

bool instruction_key_equal(const struct instruction_key *a, const struct instruction_key *b)
{
    return a->phase == b->phase && a->step == b->step && a->attempt == b->attempt &&
           strcmp(a->run, b->run) == 0;
}

void agent_table_deinit(struct agent_table *t)
{
    while (t->first != NULL) {
        struct run *run = t->first;
        t->first = run->next;
        struct arena arena = run->arena;
        arena_deinit(&arena);
    }
    *t = (struct agent_table){0};
}

struct run *agent_table_run(const struct agent_table *t, const char *id)
{
    for (struct run *run = t->first; run != NULL; run = run->next) {
        if (strcmp(run->id, id) == 0) {
            return run;
        }
    }
    return NULL;
}

struct entry *agent_table_find(const struct agent_table *t, const struct instruction_key *key)
{
    const struct run *run = agent_table_run(t, key->run);
    for (struct entry *e = run != NULL ? run->first : NULL; e != NULL; e = e->next) {
        if (instruction_key_equal(&e->key, key)) {
            return e;
        }
    }
    return NULL;
}

static bool same_step(const struct entry *a, const struct entry *b)
{
    return a->key.phase == b->key.phase && a->key.step == b->key.step;
}

struct entry *agent_table_acting(const struct entry *entry)
{
    for (struct entry *e = entry->run->first; e != NULL; e = e->next) {
        if (e != entry && e->state == INSTRUCTION_ACTING && same_step(e, entry)) {
            return e;
        }
    }
    return NULL;
}

const struct entry *agent_table_heir_of(const struct entry *entry, bool waited)
{
    const struct entry *before = NULL;
    bool passed = false;
    for (const struct entry *e = entry->run->first; e != NULL; e = e->next) {
        passed = passed || e == entry;
        if (e == entry || e->state != INSTRUCTION_ENDED || !same_step(e, entry)) {
            continue;
        }
        if (e->outcome.status == OUTCOME_DONE && e->key.attempt > entry->known) {
            return e;
        }
        before = passed ? before : e;
    }
    bool unknown = waited && before != NULL && before->outcome.status == OUTCOME_UNKNOWN;
    return unknown ? before : NULL;
}

bool agent_table_remembers(const struct agent_table *t, const struct instruction_key *key)
{
    const struct entry *e = agent_table_find(t, key);
    return e != NULL && e->state == INSTRUCTION_ENDED && e->outcome.status == OUTCOME_DONE;
}

bool agent_table_doubted(const struct entry *entry)
{
    for (const struct entry *e = entry->run->first; e != NULL; e = e->next) {
        if (e->state == INSTRUCTION_ENDED && same_step(e, entry) &&
            e->outcome.status == OUTCOME_UNKNOWN) {
            return true;
        }
    }
    return false;
}

struct entry *agent_table_released(const struct agent_table *t)
{
    for (struct run *run = t->first; run != NULL; run = run->next) {
        for (struct entry *e = run->open > 0 ? run->first : NULL; e != NULL; e = e->next) {
            if ((e->state == INSTRUCTION_WAITING && agent_table_acting(e) == NULL) ||
                (e->state == INSTRUCTION_LOST && agent_run_is_over(run))) {
                return e;
            }
        }
    }
    return NULL;
}

bool agent_run_is_over(const struct run *run)
{
    return run->over_fence != 0 && run->over_fence >= run->fence;
}

void agent_table_asked(struct entry *entry, uint64_t fence, uint32_t known)
{
    entry->asked = true;
    entry->known = known;
    entry->fence = fence;
    entry->run->fence = MAX(entry->run->fence, fence);
}

static struct run *add_run(struct agent_table *t, const char *id)
{
    struct arena arena;
    arena_init(&arena);
    struct run *run = ARENA_NEW(&arena, struct run);
    run->arena = arena;
    memcpy(run->id, id, strnlen(id, sizeof(run->id) - 1));
    if (t->last != NULL) {
        t->last->next = run;
    } else {
        t->first = run;
    }
    t->last = run;
    return run;
}

struct entry *agent_table_add(struct agent_table *t, const struct instruction_key *key)
{
    assert(agent_table_find(t, key) == NULL);
    struct run *run = agent_table_run(t, key->run);
    if (run == NULL) {
        run = add_run(t, key->run);
    }
    struct entry *e = ARENA_NEW(&run->arena, struct entry);
    e->run = run;
    e->key = *key;
    e->state = INSTRUCTION_INTENDED;
    if (run->last != NULL) {
        run->last->next = e;
    } else {
        run->first = e;
    }
    run->last = e;
    run->entries++;
    run->open++;
    t->entries++;
    t->under_way++;
    return e;
}

static const char *head(struct arena *arena, const char *text, size_t bytes_max)
{
    return text == NULL ? NULL : arena_strndup(arena, text, strnlen(text, bytes_max));
}

static const char *tail(struct arena *arena, const char *text, size_t bytes_max)
{
    if (text == NULL) {
        return NULL;
    }
    size_t len = strlen(text);
    return arena_strdup(arena, len > bytes_max ? text + (len - bytes_max) : text);
}

void agent_table_end(struct agent_table *t, struct entry *entry, const struct outcome *outcome)
{
    assert(entry->state != INSTRUCTION_ENDED);
    assert(t->under_way > 0 && entry->run->open > 0);
    struct arena *arena = &entry->run->arena;
    entry->state = INSTRUCTION_ENDED;
    entry->outcome = *outcome;
    entry->outcome.message = head(arena, outcome->message, LIMIT_ERROR_BYTES - 1);
    entry->outcome.log_tail = tail(arena, outcome->log_tail, LIMIT_LOG_TAIL_BYTES - 1);
    bool fits = outcome->facts != NULL &&
                strnlen(outcome->facts, LIMIT_LOG_TAIL_BYTES) < LIMIT_LOG_TAIL_BYTES;
    entry->outcome.facts = fits ? arena_strdup(arena, outcome->facts) : NULL;
    t->under_way--;
}

void agent_table_settle(struct entry *entry)
{
    assert(entry->state == INSTRUCTION_ENDED);
    assert(entry->run->open > 0);
    entry->run->open--;
}

void agent_table_drop(struct agent_table *t, struct run *run)
{
    assert(run->open == 0);
    assert(t->entries >= run->entries);
    struct run *before = NULL;
    struct run **at = &t->first;
    while (*at != run) {
        before = *at;
        at = &before->next;
        assert(*at != NULL);
    }
    *at = run->next;
    if (t->last == run) {
        t->last = before;
    }
    t->entries -= run->entries;
    struct arena arena = run->arena;
    arena_deinit(&arena);
}

struct run *agent_table_oldest(const struct agent_table *t, const char *but)
{
    struct run *any = NULL;
    for (struct run *run = t->first; run != NULL; run = run->next) {
        if (run->open > 0 || strcmp(run->id, but) == 0) {
            continue;
        }
        if (agent_run_is_over(run)) {
            return run;
        }
        any = any != NULL ? any : run;
    }
    return any;
}
