/* Owns what goes wrong, and when: a short list made from the seed before anything happens, so that each can be left out of a
 * repetition. After the calm nothing goes wrong any more. */
#include "tests/sim/sim.h"

#define FAULTS_WITHIN_MS (6 * 60 * 1000)
#define CALM_AFTER_MS    (10 * 60 * 1000)

const char *fault_name(enum fault_kind kind)
{
    static const char *const names[FAULT_KINDS] = {
        [FAULT_CONTROLLER_CRASH] = "controller crash",
        [FAULT_CONTROLLER_CRASH_AT_RECORD] = "controller crash at a record",
        [FAULT_CONTROLLER_REBOOT] = "controller reboot",
        [FAULT_CONTROLLER_HANG] = "controller hang",
        [FAULT_CONTROLLER_FROZEN] = "controller frozen, successor",
        [FAULT_CONTROLLER_DISK_FULL] = "controller disk full",
        [FAULT_CONTROLLER_LOST_FSYNC] = "controller crash, lost fsync",
        [FAULT_PLACE_CRASH] = "agent crash",
        [FAULT_PLACE_CRASH_AT_RECORD] = "agent crash at a record",
        [FAULT_PLACE_REBOOT] = "node reboot",
        [FAULT_PLACE_HANG] = "agent hang",
        [FAULT_PLACE_EMPTY_DISK] = "agent with an empty disk",
        [FAULT_PLACE_OLD_JOURNAL] = "agent with an old journal",
        [FAULT_PLACE_DISK_FULL] = "agent disk full",
        [FAULT_SERVICE_DIES] = "service dies",
        [FAULT_PLACE_LOST_FSYNC] = "node reboot, lost fsync",
        [FAULT_PARTITION] = "partition",
        [FAULT_HALF_OPEN] = "half-open stream",
        [FAULT_BREAK] = "broken stream",
        [FAULT_SLOW_NETWORK] = "slow network",
        [FAULT_DUPLICATES] = "duplicates",
        [FAULT_LATE_REPORTS] = "late reports",
        [FAULT_CLOCK_FORWARD] = "clock forward",
        [FAULT_CLOCK_BACK] = "clock back",
        [FAULT_DATABASE_RESTART] = "database restart",
        [FAULT_DATABASE_KILL_SESSION] = "database sessions killed",
        [FAULT_DATABASE_SLOW] = "database slow",
        [FAULT_ACTION_FAILS] = "action fails",
        [FAULT_ACTION_HANGS] = "action hangs",
        [FAULT_ACTION_KILLED] = "worker killed",
        [FAULT_WORD_ABORT] = "abort",
        [FAULT_WORD_RETRY] = "retry",
        [FAULT_WORD_SKIP] = "skip",
        [FAULT_WORD_EXCLUDE] = "exclude",
        [FAULT_WORD_ROLLBACK] = "rollback",
        [FAULT_WORD_CLAIM] = "claim",
        [FAULT_WORD_UNCLAIM] = "unclaim",
        [FAULT_WORD_APPROVE] = "approve",
        [FAULT_WORDS_AT_RECORD] = "contradictory words at a record",
    };
    return names[kind];
}

void faults_make(struct sim *s)
{
    uint64_t *c = &s->fault_chance;
    s->fault_count = chance_of(c) % 8 == 0 ? 0 : 1 + chance_of(c) % 10;
    /* Some worlds are ill in one way only: that goes deeper than a little of everything. */
    bool one_kind = chance_of(c) % 4 == 0;
    enum fault_kind only = (enum fault_kind)(chance_of(c) % FAULT_KINDS);
    for (size_t i = 0; i < s->fault_count; i++) {
        struct fault *f = &s->faults[i];
        f->kind = (enum fault_kind)(chance_of(c) % FAULT_KINDS);
        f->kind = s->only >= 0 ? (enum fault_kind)s->only : one_kind ? only : f->kind;
        f->at_ms = (int64_t)(chance_of(c) % (chance_of(c) % 2 == 0 ? 30000 : FAULTS_WITHIN_MS));
        f->place = chance_of(c);
        f->length_ms = 100 + (int64_t)(chance_of(c) % (chance_of(c) % 2 == 0 ? 5000 : 90000));
        f->number = chance_of(c) % 12;
        if (i < 64 && (s->without >> i & 1) == 0) {
            struct event_in_queue *e = later(s, f->at_ms, HAPPEN_FAULT);
            e->number = i;
        }
    }
    later(s, CALM_AFTER_MS, HAPPEN_CALM);
}

static uint32_t place_of_fault(const struct sim *s, const struct fault *f)
{
    uint64_t i = f->place % (s->scenario.node_count + 1);
    return i < s->scenario.node_count ? (uint32_t)i : s->controllers[s->now_controller].executor;
}

bool faults_due(struct sim *s, enum fault_kind kind, uint32_t place)
{
    for (size_t i = 0; i < s->fault_count; i++) {
        struct fault *f = &s->faults[i];
        bool here = kind == FAULT_CONTROLLER_CRASH_AT_RECORD || kind == FAULT_WORDS_AT_RECORD ||
                    place_of_fault(s, f) == place;
        if (!f->pending || f->over || f->kind != kind || !here) {
            continue;
        }
        if (f->number-- == 0) {
            f->over = true;
            s->coverage->faults[kind]++;
            return true;
        }
        return false;
    }
    return false;
}

static void silence(struct sim *s, uint32_t place, bool both)
{
    struct sim_place *p = &s->places[place];
    p->deaf = both || percent(s, 50);
    p->dumb = both || !p->deaf;
    struct event_in_queue *e = later(s, 15000, HAPPEN_SILENCE);
    e->place = place;
}

/* What a machine remembers is gone (`kept` 0), or is older by less than `kept` records; what it promised to remember with
 * it. */
static void restore(struct sim *s, uint32_t place, uint64_t kept)
{
    struct sim_place *p = &s->places[place];
    if (!p->node) {
        return; /* the executor's journal is the controller's own disk */
    }
    place_reboot(s, place, 5000);
    p->tainted = true;
    p->workers = NULL;
    uint64_t lost = chance(s, kept);
    p->journal.count = kept == 0 ? 0 : p->journal.count - MIN(lost, p->journal.count);
    p->journal.durable = p->journal.count;
    p->unheard = remembers_what_was_heard(s, place);
    s->nodes[place].denied = false;
    s->nodes[place].permitted = -1;
}

static void controller_faults(struct sim *s, const struct fault *f)
{
    struct sim_controller *c = &s->controllers[s->now_controller];
    switch ((int)f->kind) {
    case FAULT_CONTROLLER_CRASH:
        controller_crash(s, s->now_controller, f->length_ms);
        break;
    case FAULT_CONTROLLER_REBOOT:
        if (c->up) {
            controller_crash(s, s->now_controller, f->length_ms);
            place_reboot(s, c->executor, INT64_MAX); /* it comes with the controller */
        }
        break;
    case FAULT_CONTROLLER_HANG:
        c->busy_until_ms = c->up ? MAX(c->busy_until_ms, s->now_ms + f->length_ms) : 0;
        break;
    case FAULT_CONTROLLER_FROZEN:
        controller_freeze(s, f->length_ms);
        break;
    case FAULT_CONTROLLER_DISK_FULL:
        c->disk_full = true;
        break;
    case FAULT_CONTROLLER_LOST_FSYNC:
        controller_lose_fsync(s, s->now_controller, f->length_ms);
        break;
    default:
        break;
    }
}

static void place_faults(struct sim *s, const struct fault *f)
{
    uint32_t place = place_of_fault(s, f);
    struct sim_place *p = &s->places[place];
    switch ((int)f->kind) {
    case FAULT_PLACE_CRASH:
        if (p->node) {
            place_crash(s, place, f->length_ms);
        }
        break;
    case FAULT_PLACE_REBOOT:
        if (p->node) {
            place_reboot(s, place, f->length_ms);
        }
        break;
    case FAULT_PLACE_HANG:
        p->hangs_until_ms = s->now_ms + f->length_ms;
        break;
    case FAULT_PLACE_EMPTY_DISK:
        restore(s, place, 0);
        break;
    case FAULT_PLACE_OLD_JOURNAL:
        restore(s, place, p->journal.count + 1);
        break;
    case FAULT_PLACE_LOST_FSYNC:
        restore(s, place, 4);
        break;
    case FAULT_PLACE_DISK_FULL:
        p->disk_full = true;
        break;
    case FAULT_SERVICE_DIES:
        if (p->node && s->nodes[place].runs >= 0) {
            s->nodes[place].died = true;
            s->nodes[place].runs = -1;
        }
        break;
    case FAULT_PARTITION:
        p->cut_until_ms = s->now_ms + f->length_ms;
        silence(s, place, true);
        break;
    case FAULT_HALF_OPEN:
        silence(s, place, false);
        break;
    default:
        break;
    }
}

static void world_faults(struct sim *s, const struct fault *f)
{
    int64_t until = s->now_ms + f->length_ms * 2;
    switch ((int)f->kind) {
    case FAULT_SLOW_NETWORK:
        s->slow_until_ms = until;
        break;
    case FAULT_DUPLICATES:
        s->twice_until_ms = until;
        break;
    case FAULT_LATE_REPORTS:
        s->late_until_ms = until;
        break;
    case FAULT_CLOCK_FORWARD:
        s->skew_ms += f->length_ms * (f->place % 3 == 0 ? 1000 : 30);
        break;
    case FAULT_CLOCK_BACK:
        s->clock_was_set_back = true;
        s->skew_ms -= f->length_ms * (f->place % 3 == 0 ? 100 : 10);
        break;
    case FAULT_DATABASE_RESTART:
        s->database.up = false;
        database_sessions_die(s);
        break;
    case FAULT_DATABASE_KILL_SESSION:
        database_sessions_die(s);
        break;
    case FAULT_DATABASE_SLOW:
        s->database.slow_until_ms = until;
        break;
    default:
        break;
    }
}

static void word_faults(struct sim *s, const struct fault *f)
{
    static const struct {
        enum fault_kind kind;
        enum word word;
    } words[] = {{FAULT_WORD_ABORT, WORD_ABORT},       {FAULT_WORD_RETRY, WORD_RETRY},
                 {FAULT_WORD_SKIP, WORD_SKIP},         {FAULT_WORD_EXCLUDE, WORD_EXCLUDE},
                 {FAULT_WORD_ROLLBACK, WORD_ROLLBACK}, {FAULT_WORD_CLAIM, WORD_CLAIM},
                 {FAULT_WORD_UNCLAIM, WORD_UNCLAIM},   {FAULT_WORD_APPROVE, WORD_APPROVE}};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (words[i].kind == f->kind) {
            controller_word(s, words[i].word);
        }
    }
}

static bool waits_for_a_moment(enum fault_kind kind)
{
    return kind == FAULT_CONTROLLER_CRASH_AT_RECORD || kind == FAULT_PLACE_CRASH_AT_RECORD ||
           kind == FAULT_WORDS_AT_RECORD || kind == FAULT_BREAK || kind == FAULT_ACTION_FAILS ||
           kind == FAULT_ACTION_HANGS || kind == FAULT_ACTION_KILLED;
}

void faults_happen(struct sim *s, size_t number)
{
    struct fault *f = &s->faults[number];
    if (s->calm || f->over) {
        return;
    }
    trace(s, "FAULT %zu: %s", number, fault_name(f->kind));
    if (waits_for_a_moment(f->kind)) {
        f->pending = true;
        return;
    }
    f->over = true;
    s->coverage->faults[f->kind]++;
    controller_faults(s, f);
    place_faults(s, f);
    world_faults(s, f);
    word_faults(s, f);
    if (f->kind == FAULT_DATABASE_RESTART || f->kind == FAULT_PLACE_DISK_FULL ||
        f->kind == FAULT_SERVICE_DIES || f->kind == FAULT_CONTROLLER_DISK_FULL) {
        struct event_in_queue *e = later(s, f->length_ms, HAPPEN_FAULT);
        e->number = number;
        e->life = 1; /* its end */
    }
}

void faults_end(struct sim *s, size_t number)
{
    const struct fault *f = &s->faults[number];
    if (f->kind == FAULT_DATABASE_RESTART) {
        s->database.up = true;
    }
    if (f->kind == FAULT_SERVICE_DIES && f->place % 2 == 0) {
        place_revive(s, place_of_fault(s, f)); /* half of them come back by themselves */
    }
    for (size_t i = 0; f->kind == FAULT_PLACE_DISK_FULL && i < s->place_count; i++) {
        s->places[i].disk_full = false;
    }
    s->controllers[0].disk_full = false;
    s->controllers[1].disk_full = false;
}

void faults_calm(struct sim *s)
{
    s->calm = true;
    s->pauses = 0;
    s->calm_ms = s->now_ms;
    trace(s, "from here on nothing goes wrong");
    for (size_t i = 0; i < s->fault_count; i++) {
        s->faults[i].over = true;
        faults_end(s, i);
    }
    s->slow_until_ms = 0;
    s->twice_until_ms = 0;
    s->late_until_ms = 0;
    s->database.slow_until_ms = 0;
    s->database.up = true;
    for (uint32_t i = 0; i < s->place_count; i++) {
        struct sim_place *p = &s->places[i];
        p->cut_until_ms = 0;
        p->hangs_until_ms = 0;
        if (p->deaf || p->dumb) {
            later(s, 15000, HAPPEN_SILENCE)->place = i;
        }
    }
}
