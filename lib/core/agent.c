/* Owns what a place answers, and when it may act. It refuses old fences, and more than it can remember or carry out at
 * once; it never acts before the intent is durable, nor on a key that it knows. */
#include "lib/core/agent.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/core/agent_table.h"

/* The most effects of one piece of work or one event: fence, forget, intent, answer. */
#define WORK_EFFECTS 4
static_assert(LIMIT_EFFECTS >= 4 * WORK_EFFECTS, "a call has room for its event and some work");

struct agent_machine {
    struct agent_table table;
    uint64_t fence;
    uint64_t records; /* appended in this life */
    uint64_t durable;
    bool live;
    bool released;                        /* a step ended: what waited for it may go on */
    struct entry *wait_first, *wait_last; /* for a record, in the order of the numbers */
    struct run *ask_run;                  /* after RESUME: what follows is still to be attached */
    struct entry *ask;
    struct run *report_run; /* after CONNECTED: what follows is still to be reported */
    struct entry *report;
    struct outcome refusal; /* the last one */
    char text[LIMIT_ERROR_BYTES];
};

struct agent_machine *agent_new(struct arena *arena)
{
    assert(arena != NULL);
    return ARENA_NEW(arena, struct agent_machine);
}

void agent_free(struct agent_machine *m)
{
    if (m != NULL) {
        agent_table_deinit(&m->table);
    }
}

uint64_t agent_fence(const struct agent_machine *m)
{
    return m->fence;
}

size_t agent_under_way(const struct agent_machine *m)
{
    return m->table.under_way;
}

size_t agent_remembered(const struct agent_machine *m)
{
    return m->table.entries;
}

/* ---- effects ---- */

static struct agent_effect *add(struct agent_effects *out, enum agent_effect_type type,
                                const struct instruction_key *key)
{
    assert(out->count < LIMIT_EFFECTS);
    struct agent_effect *e = &out->items[out->count++];
    memset(e, 0, sizeof(*e));
    e->type = type;
    if (key != NULL) {
        e->key = *key;
    }
    return e;
}

static struct agent_effect *add_record(struct agent_machine *m, struct agent_effects *out,
                                       enum agent_record_type type,
                                       const struct instruction_key *key, int64_t now_ms)
{
    struct agent_effect *e = add(out, AGENT_EFFECT_RECORD, key);
    e->number = ++m->records;
    e->record.type = type;
    e->record.at_ms = now_ms;
    e->record.key = e->key;
    return e;
}

static void wait_for(struct agent_machine *m, struct entry *entry, uint64_t number)
{
    assert(entry->number == 0 && number > m->durable);
    assert(m->wait_last == NULL || m->wait_last->number <= number);
    entry->number = number;
    entry->next_wait = NULL;
    if (m->wait_last != NULL) {
        m->wait_last->next_wait = entry;
    } else {
        m->wait_first = entry;
    }
    m->wait_last = entry;
}

static void end(struct agent_machine *m, struct entry *entry, const struct outcome *outcome,
                int64_t now_ms, struct agent_effects *out)
{
    agent_table_end(&m->table, entry, outcome);
    struct agent_effect *e = add_record(m, out, AGENT_RECORD_OUTCOME, &entry->key, now_ms);
    e->record.outcome = entry->outcome;
    wait_for(m, entry, e->number);
}

static void raise_fence(struct agent_machine *m, uint64_t fence, int64_t now_ms,
                        struct agent_effects *out)
{
    if (fence > m->fence) {
        m->fence = fence;
        add_record(m, out, AGENT_RECORD_FENCE, NULL, now_ms)->record.fence = fence;
    }
}

/* The cursors never point into a run that goes. */
static void drop(struct agent_machine *m, struct run *run)
{
    if (m->ask_run == run) {
        m->ask_run = run->next;
        m->ask = run->next != NULL ? run->next->first : NULL;
    }
    if (m->report_run == run) {
        m->report_run = run->next;
        m->report = run->next != NULL ? run->next->first : NULL;
    }
    agent_table_drop(&m->table, run);
}

static void forget(struct agent_machine *m, struct run *run, int64_t now_ms,
                   struct agent_effects *out)
{
    struct instruction_key key = {0};
    memcpy(key.run, run->id, sizeof(key.run));
    add_record(m, out, AGENT_RECORD_FORGET, &key, now_ms);
    drop(m, run);
}

/* ---- instructions ---- */

static void answer(const struct entry *entry, struct agent_effects *out)
{
    bool reportable = entry->state == INSTRUCTION_ENDED && entry->number == 0;
    if (reportable) {
        add(out, AGENT_EFFECT_REPORT, &entry->key)->outcome = &entry->outcome;
    } else {
        add(out, AGENT_EFFECT_BUSY, &entry->key);
    }
}

static void set_answer(struct agent_machine *m, enum outcome_status status, int code,
                       int64_t now_ms)
{
    m->refusal = (struct outcome){
        .status = status,
        .code = code,
        .message = m->text,
        .started_ms = now_ms,
        .ended_ms = now_ms,
    };
}

static void refuse_fence(struct agent_machine *m, const struct agent_event *event,
                         struct agent_effects *out)
{
    snprintf(m->text, sizeof(m->text),
             "the instruction carries fence %llu, and this place has seen %llu: another controller "
             "has taken over",
             (unsigned long long)event->fence, (unsigned long long)m->fence);
    set_answer(m, OUTCOME_FAILED, E_DENIED, event->now_ms);
    add(out, AGENT_EFFECT_REPORT, &event->key)->outcome = &m->refusal;
}

static void refuse_over(struct agent_machine *m, const struct agent_event *event,
                        struct agent_effects *out)
{
    snprintf(m->text, sizeof(m->text), "it was not begun: run %s is over", event->key.run);
    set_answer(m, OUTCOME_FAILED, E_CANCELLED, event->now_ms);
    add(out, AGENT_EFFECT_REPORT, &event->key)->outcome = &m->refusal;
}

/* Makes room for one more key by forgetting the oldest run that has ended here. */
static bool make_room(struct agent_machine *m, const struct agent_event *event,
                      struct agent_effects *out)
{
    if (m->table.entries < LIMIT_AGENT_OUTCOMES) {
        return true;
    }
    struct run *oldest = agent_table_oldest(&m->table, event->key.run);
    if (oldest == NULL) {
        return false;
    }
    forget(m, oldest, event->now_ms, out);
    return true;
}

/* What the controller has as DONE from here is not remembered: this journal is new, or an older copy of itself. */
static bool went_back(const struct agent_machine *m, const struct agent_event *event)
{
    struct instruction_key last = event->key;
    last.phase = event->last.phase;
    last.step = event->last.step;
    last.attempt = event->last.attempt;
    return last.attempt > 0 && !agent_table_remembers(&m->table, &last);
}

/* True: it ended UNKNOWN, for whether it has begun before nobody here knows. */
static bool doubt(struct agent_machine *m, const struct agent_event *event, struct entry *entry,
                  struct agent_effects *out)
{
    assert(entry->state != INSTRUCTION_ENDED);
    if (!event->once || !went_back(m, event) || agent_table_doubted(entry)) {
        return false;
    }
    snprintf(m->text, sizeof(m->text),
             "it may or may not have run: this place does not remember step %u.%u, which it has "
             "reported as done; its state directory is new, or an older copy; look at what it "
             "changes, then retry",
             (unsigned)event->last.phase, (unsigned)event->last.step);
    set_answer(m, OUTCOME_UNKNOWN, E_UNKNOWN, event->now_ms);
    end(m, entry, &m->refusal, event->now_ms, out);
    return true;
}

static void act(struct agent_machine *m, struct entry *entry, int64_t now_ms,
                struct agent_effects *out);

/* A key that is known is answered; what was LOST is begun, for now it is asked for. */
static void repeated(struct agent_machine *m, const struct agent_event *event, struct entry *entry,
                     struct agent_effects *out)
{
    bool lost = entry->state == INSTRUCTION_LOST;
    if (event->fence < m->fence) {
        if (lost) {
            refuse_fence(m, event, out);
        } else {
            answer(entry, out);
        }
        return;
    }
    raise_fence(m, event->fence, event->now_ms, out);
    agent_table_asked(entry, event->fence, event->known);
    if (!lost) {
        answer(entry, out);
    } else if (!doubt(m, event, entry, out)) {
        act(m, entry, event->now_ms, out);
    }
}

static void instruction(struct agent_machine *m, const struct agent_event *event,
                        struct agent_effects *out)
{
    assert(event->key.run[sizeof(event->key.run) - 1] == '\0');
    struct entry *known = agent_table_find(&m->table, &event->key);
    if (known != NULL) {
        repeated(m, event, known, out);
        return;
    }
    if (event->fence < m->fence) {
        refuse_fence(m, event, out);
        return;
    }
    raise_fence(m, event->fence, event->now_ms, out);
    const struct run *run = agent_table_run(&m->table, event->key.run);
    if (run != NULL && run->over_fence >= MAX(event->fence, 1)) {
        refuse_over(m, event, out);
        return;
    }
    if (!make_room(m, event, out)) {
        /* Not remembered: it would be refused again until the controller forgets a run. */
        snprintf(m->text, sizeof(m->text),
                 "this place remembers %d steps already, the limit, of runs that have not ended",
                 LIMIT_AGENT_OUTCOMES);
        set_answer(m, OUTCOME_FAILED, E_LIMIT, event->now_ms);
        add(out, AGENT_EFFECT_REPORT, &event->key)->outcome = &m->refusal;
        return;
    }
    bool full = m->table.under_way >= LIMIT_AGENT_INSTRUCTIONS;
    struct entry *entry = agent_table_add(&m->table, &event->key);
    agent_table_asked(entry, event->fence, event->known);
    if (full) {
        /* Remembered: the same words coming twice must not act the second time. */
        snprintf(m->text, sizeof(m->text),
                 "%d steps are under way at this place already, the limit; try again when some "
                 "have ended",
                 LIMIT_AGENT_INSTRUCTIONS);
        set_answer(m, OUTCOME_FAILED, E_LIMIT, event->now_ms);
        end(m, entry, &m->refusal, event->now_ms, out);
        return;
    }
    if (doubt(m, event, entry, out)) {
        return;
    }
    struct agent_effect *e = add_record(m, out, AGENT_RECORD_INTENT, &event->key, event->now_ms);
    e->record.fence = event->fence;
    e->record.known = event->known;
    wait_for(m, entry, e->number);
}

/* ---- acting ---- */

/* The run is over: what waited, or would be begun again, is not begun any more. */
static void cancel(struct agent_machine *m, struct entry *entry, int64_t now_ms,
                   struct agent_effects *out)
{
    snprintf(m->text, sizeof(m->text), "it was not begun: run %s is over", entry->key.run);
    set_answer(m, OUTCOME_FAILED, E_CANCELLED, now_ms);
    end(m, entry, &m->refusal, now_ms, out);
}

static void act(struct agent_machine *m, struct entry *entry, int64_t now_ms,
                struct agent_effects *out)
{
    assert(entry->state != INSTRUCTION_ENDED);
    assert(entry->number == 0);
    bool waited = entry->state == INSTRUCTION_WAITING;
    entry->attached = false;
    if (entry->run->over_fence >= MAX(entry->fence, 1)) {
        cancel(m, entry, now_ms, out);
        return;
    }
    if (!entry->asked) {
        entry->state = INSTRUCTION_LOST;
        m->released = true; /* what waited for it need not */
        return;
    }
    if (agent_table_acting(entry) != NULL) {
        entry->state = INSTRUCTION_WAITING;
        return;
    }
    const struct entry *other = agent_table_heir_of(entry, waited);
    if (other != NULL) {
        end(m, entry, &other->outcome, now_ms, out);
        return;
    }
    entry->state = INSTRUCTION_ACTING;
    add(out, AGENT_EFFECT_ACT, &entry->key);
}

/* The record that the entry waits for is durable: an intent acts, an outcome is reported. */
static void settle(struct agent_machine *m, struct entry *entry, int64_t now_ms,
                   struct agent_effects *out)
{
    entry->number = 0;
    if (entry->state == INSTRUCTION_INTENDED) {
        act(m, entry, now_ms, out);
        return;
    }
    agent_table_settle(entry);
    answer(entry, out);
}

static void ended(struct agent_machine *m, const struct agent_event *event,
                  const struct outcome *outcome, struct agent_effects *out)
{
    struct entry *entry = agent_table_find(&m->table, &event->key);
    if (entry == NULL || entry->state != INSTRUCTION_ACTING) {
        return;
    }
    assert(outcome != NULL && entry->number == 0);
    entry->attached = false;
    end(m, entry, outcome, event->now_ms, out);
    m->released = true;
}

static void lost(struct agent_machine *m, const struct agent_event *event,
                 struct agent_effects *out)
{
    struct entry *entry = agent_table_find(&m->table, &event->key);
    if (entry == NULL || entry->state != INSTRUCTION_ACTING || !entry->attached) {
        return;
    }
    if (!event->once) {
        act(m, entry, event->now_ms, out);
        return;
    }
    snprintf(m->text, sizeof(m->text),
             "it may or may not have run: this place was restarted, and found neither the worker "
             "nor its result; look, then retry or abort");
    struct outcome outcome = {
        .status = OUTCOME_UNKNOWN,
        .code = E_UNKNOWN,
        .message = m->text,
        .ended_ms = event->now_ms,
    };
    ended(m, event, &outcome, out);
}

/* ---- the journal of an earlier life ---- */

static void replay(struct agent_machine *m, const struct agent_record *record)
{
    assert(!m->live && record != NULL);
    struct entry *entry;
    struct run *run;
    switch (record->type) {
    case AGENT_RECORD_FENCE:
        m->fence = MAX(m->fence, record->fence);
        break;
    case AGENT_RECORD_INTENT:
        if (agent_table_find(&m->table, &record->key) == NULL) {
            entry = agent_table_add(&m->table, &record->key);
            agent_table_asked(entry, record->fence, record->known);
            entry->asked = false;
            entry->state = INSTRUCTION_ACTING;
            entry->attached = true;
        }
        break;
    case AGENT_RECORD_OUTCOME:
        entry = agent_table_find(&m->table, &record->key);
        if (entry == NULL) {
            entry = agent_table_add(&m->table, &record->key);
        }
        if (entry->state != INSTRUCTION_ENDED) {
            agent_table_end(&m->table, entry, &record->outcome);
            agent_table_settle(entry);
        }
        break;
    case AGENT_RECORD_OVER:
        run = agent_table_run(&m->table, record->key.run);
        if (run != NULL) {
            run->over_fence = MAX(run->over_fence, record->fence);
            run->over_recorded = true;
        }
        break;
    case AGENT_RECORD_FORGET:
        run = agent_table_run(&m->table, record->key.run);
        if (run != NULL && run->open == 0) {
            drop(m, run);
        }
        break;
    }
}

/* ---- work that one call may not have room for ---- */

/* The first entry from (*run, *entry) on that `wanted` is true for; the cursor then stands behind it. */
static struct entry *find_next(struct run **run, struct entry **entry,
                               bool (*wanted)(const struct entry *))
{
    while (*run != NULL) {
        while (*entry != NULL) {
            struct entry *e = *entry;
            *entry = e->next;
            if (wanted(e)) {
                return e;
            }
        }
        *run = (*run)->next;
        *entry = *run != NULL ? (*run)->first : NULL;
    }
    return NULL;
}

static bool is_open(const struct entry *e)
{
    return e->state == INSTRUCTION_ACTING && e->attached;
}

/* Who asks on for a run that is over asks by instruction. */
static bool is_reportable(const struct entry *e)
{
    bool over = e->run->over_fence >= MAX(e->fence, 1);
    return !over &&
           (e->state == INSTRUCTION_LOST || (e->state == INSTRUCTION_ENDED && e->number == 0));
}

/* The earliest open attempt of a step is looked for; later ones wait for it. */
static void attach(struct agent_machine *m, struct entry *entry, struct agent_effects *out)
{
    for (const struct entry *e = entry->run->first; e != entry; e = e->next) {
        if (e->state != INSTRUCTION_ENDED && e->key.phase == entry->key.phase &&
            e->key.step == entry->key.step) {
            entry->attached = false;
            entry->state = INSTRUCTION_WAITING;
            return;
        }
    }
    add(out, AGENT_EFFECT_ATTACH, &entry->key);
    assert(m->table.under_way > 0);
}

static bool work(struct agent_machine *m, int64_t now_ms, struct agent_effects *out)
{
    struct entry *entry = m->wait_first;
    if (entry != NULL && entry->number <= m->durable) {
        m->wait_first = entry->next_wait;
        if (m->wait_first == NULL) {
            m->wait_last = NULL;
        }
        settle(m, entry, now_ms, out);
        return true;
    }
    entry = m->released ? agent_table_released(&m->table) : NULL;
    m->released = entry != NULL;
    if (entry != NULL) {
        act(m, entry, now_ms, out);
        return true;
    }
    entry = find_next(&m->ask_run, &m->ask, is_open);
    if (entry != NULL) {
        attach(m, entry, out);
        return true;
    }
    entry = find_next(&m->report_run, &m->report, is_reportable);
    if (entry != NULL) {
        answer(entry, out);
        return true;
    }
    return false;
}

static bool record_over(struct agent_machine *m, struct run *run, int64_t now_ms,
                        struct agent_effects *out)
{
    if (!agent_run_is_over(run) || run->open > 0 || run->over_recorded) {
        return false;
    }
    run->over_recorded = true;
    struct instruction_key key = {0};
    memcpy(key.run, run->id, sizeof(key.run));
    add_record(m, out, AGENT_RECORD_OVER, &key, now_ms)->record.fence = run->over_fence;
    return true;
}

/* Runs whose end was told while something was under way, and those that have been over for long enough. Not in the step
 * that reported their last outcome: its strings are lent until the next one. */
static void sweep(struct agent_machine *m, int64_t now_ms, struct agent_effects *out)
{
    size_t over = 0;
    for (struct run *run = m->table.first; run != NULL; run = run->next) {
        if (record_over(m, run, now_ms, out)) {
            return;
        }
        over += agent_run_is_over(run) && run->over_recorded ? 1 : 0;
    }
    if (over > LIMIT_AGENT_RUNS_OVER) {
        struct run *oldest = agent_table_oldest(&m->table, "");
        assert(oldest != NULL && agent_run_is_over(oldest));
        forget(m, oldest, now_ms, out);
    }
}

/* The word of a controller that has a successor here already is nobody's. */
static void run_over(struct agent_machine *m, const struct agent_event *event,
                     struct agent_effects *out)
{
    if (event->fence < m->fence) {
        return;
    }
    raise_fence(m, event->fence, event->now_ms, out);
    struct run *run = agent_table_run(&m->table, event->key.run);
    if (run == NULL) {
        return;
    }
    run->over_recorded = run->over_recorded && agent_run_is_over(run);
    run->over_fence = MAX(run->over_fence, event->fence);
    record_over(m, run, event->now_ms, out);
    m->released = true; /* what was LOST is cancelled */
}

static void take(struct agent_machine *m, const struct agent_event *event,
                 struct agent_effects *out)
{
    assert(m->live || event->type == AGENT_EVENT_REPLAY || event->type == AGENT_EVENT_RESUME);
    switch (event->type) {
    case AGENT_EVENT_REPLAY:
        replay(m, event->record);
        break;
    case AGENT_EVENT_RESUME:
        m->live = true;
        m->ask_run = m->table.first;
        m->ask = m->table.first != NULL ? m->table.first->first : NULL;
        break;
    case AGENT_EVENT_INSTRUCTION:
        instruction(m, event, out);
        break;
    case AGENT_EVENT_DURABLE:
        assert(event->number <= m->records);
        m->durable = MAX(m->durable, event->number);
        break;
    case AGENT_EVENT_ACTED:
        ended(m, event, event->outcome, out);
        break;
    case AGENT_EVENT_LOST:
        lost(m, event, out);
        break;
    case AGENT_EVENT_FENCE:
        raise_fence(m, event->fence, event->now_ms, out);
        break;
    case AGENT_EVENT_CONNECTED:
        m->report_run = m->table.first;
        m->report = m->table.first != NULL ? m->table.first->first : NULL;
        break;
    case AGENT_EVENT_FORGET:
        run_over(m, event, out);
        break;
    }
}

void agent_step(struct agent_machine *m, const struct agent_event *event, struct agent_effects *out)
{
    assert(m != NULL && event != NULL && out != NULL);
    out->count = 0;
    out->more = false;
    if (m->live) {
        sweep(m, event->now_ms, out);
    }
    take(m, event, out);
    bool worked = m->live;
    while (worked && out->count + WORK_EFFECTS <= LIMIT_EFFECTS) {
        worked = work(m, event->now_ms, out);
    }
    out->more = worked;
    assert(out->count <= LIMIT_EFFECTS);
}
