/* Owns the translation of agents' and the controller's words. It refuses a message of a kind that it does not
 * know, and one that lacks what it needs; a field that it does not know is passed over, as protobuf readers do. */
#include "lib/wire/message.h"

#include <string.h>

int wire_run_from(const char *run, char ret[AGENT_RUN_BYTES], struct error *e)
{
    size_t len = strnlen(run, AGENT_RUN_BYTES);
    if (len >= AGENT_RUN_BYTES) {
        return error_set(e, E_INVALID, "a run's id is longer than %d letters", AGENT_RUN_BYTES - 1);
    }
    memset(ret, 0, AGENT_RUN_BYTES);
    memcpy(ret, run, len);
    return 0;
}

void wire_key_to(const struct instruction_key *key, Lockstep__V1__Key *ret)
{
    assert(key->run[AGENT_RUN_BYTES - 1] == '\0');
    lockstep__v1__key__init(ret);
    ret->run = (char *)(uintptr_t)key->run;
    ret->phase = key->phase;
    ret->step = key->step;
    ret->attempt = key->attempt;
}

int wire_key_from(const Lockstep__V1__Key *key, struct instruction_key *ret, struct error *e)
{
    if (key == NULL) {
        return error_set(e, E_INVALID, "it names no step");
    }
    struct instruction_key read = {.phase = key->phase, .step = key->step, .attempt = key->attempt};
    int err = wire_run_from(key->run, read.run, e);
    if (err == 0) {
        *ret = read;
    }
    return err;
}

/* The last `bytes_max` - 1 bytes, or the first. */
static const char *cut(struct arena *arena, const char *text, size_t bytes_max, bool keep_end)
{
    if (text == NULL) {
        return NULL;
    }
    size_t len = strlen(text);
    if (len < bytes_max) {
        return text;
    }
    return keep_end ? text + (len - (bytes_max - 1)) : arena_strndup(arena, text, bytes_max - 1);
}

void wire_outcome_to(struct arena *arena, const struct outcome *outcome, size_t facts_bytes_max,
                     Lockstep__V1__Outcome *ret)
{
    lockstep__v1__outcome__init(ret);
    static_assert((int)OUTCOME_DONE == (int)LOCKSTEP__V1__OUTCOME__STATUS__DONE &&
                      (int)OUTCOME_FAILED == (int)LOCKSTEP__V1__OUTCOME__STATUS__FAILED &&
                      (int)OUTCOME_UNKNOWN == (int)LOCKSTEP__V1__OUTCOME__STATUS__UNKNOWN,
                  "the wire's numbers never change");
    ret->status = (Lockstep__V1__Outcome__Status)outcome->status;
    ret->code = outcome->code;
    ret->message = wire_text(arena, cut(arena, outcome->message, LIMIT_ERROR_BYTES, false));
    ret->log_tail = wire_text(arena, cut(arena, outcome->log_tail, LIMIT_LOG_TAIL_BYTES, true));
    bool fits = outcome->facts != NULL && strlen(outcome->facts) < facts_bytes_max;
    ret->facts = wire_text(arena, fits ? outcome->facts : NULL);
    ret->started_ms = outcome->started_ms;
    ret->ended_ms = outcome->ended_ms;
}

static const char *text_or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : NULL;
}

int wire_outcome_from(const Lockstep__V1__Outcome *outcome, struct outcome *ret, struct error *e)
{
    if (outcome == NULL) {
        return error_set(e, E_INVALID, "it has no outcome");
    }
    if ((unsigned)outcome->status > OUTCOME_UNKNOWN) {
        return error_set(e, E_INVALID, "its outcome has an unknown status %d: a newer Lockstep?",
                         (int)outcome->status);
    }
    *ret = (struct outcome){
        .status = (enum outcome_status)outcome->status,
        .code = outcome->code,
        .message = outcome->message,
        .log_tail = text_or_null(outcome->log_tail),
        .facts = text_or_null(outcome->facts),
        .started_ms = outcome->started_ms,
        .ended_ms = outcome->ended_ms,
    };
    return 0;
}

void wire_instruction_to(struct arena *arena, const struct wire_instruction *instruction,
                         Lockstep__V1__Instruction *ret)
{
    Lockstep__V1__Key *key = ret->key;
    assert(key != NULL);
    lockstep__v1__instruction__init(ret);
    wire_key_to(&instruction->key, key);
    ret->key = key;
    ret->fence = instruction->fence;
    ret->cluster = wire_text(arena, instruction->cluster);
    ret->name = wire_text(arena, instruction->name);
    ret->state_name = wire_text(arena, instruction->state_name);
    ret->action.data = (uint8_t *)(uintptr_t)instruction->action.data;
    ret->action.len = instruction->action.len;
    ret->deadline_ms = instruction->deadline_ms;
    ret->left_ms = instruction->left_ms;
    ret->known = instruction->known;
    if (instruction->last.attempt != 0) {
        ret->last = ARENA_NEW(arena, Lockstep__V1__Key);
        lockstep__v1__key__init(ret->last);
        ret->last->phase = instruction->last.phase;
        ret->last->step = instruction->last.step;
        ret->last->attempt = instruction->last.attempt;
    }
}

int wire_instruction_from(const Lockstep__V1__Instruction *instruction,
                          struct wire_instruction *ret, struct error *e)
{
    if (instruction == NULL) {
        return error_set(e, E_INVALID, "it has no instruction");
    }
    struct wire_instruction read = {
        .fence = instruction->fence,
        .cluster = instruction->cluster,
        .name = instruction->name,
        .state_name = instruction->state_name,
        .action = {.data = instruction->action.data, .len = instruction->action.len},
        .deadline_ms = instruction->deadline_ms,
        .left_ms = instruction->left_ms,
        .known = instruction->known,
    };
    if (instruction->last != NULL) {
        read.last = (struct agent_step_key){.phase = instruction->last->phase,
                                            .step = instruction->last->step,
                                            .attempt = instruction->last->attempt};
    }
    int err = wire_key_from(instruction->key, &read.key, e);
    if (err == 0) {
        *ret = read;
    }
    return err;
}

/* ---- reports ---- */

static size_t facts_max(const struct wire_report *report)
{
    return report->type == WIRE_REPORT_OBSERVED ? LIMIT_OBSERVED_BYTES : LIMIT_FACTS_BYTES;
}

int wire_report_pack(struct arena *arena, const struct wire_report *report, struct bytes *ret,
                     struct error *e)
{
    Lockstep__V1__AgentReport message = LOCKSTEP__V1__AGENT_REPORT__INIT;
    Lockstep__V1__Key key = LOCKSTEP__V1__KEY__INIT;
    Lockstep__V1__Hello hello = LOCKSTEP__V1__HELLO__INIT;
    Lockstep__V1__Progress progress = LOCKSTEP__V1__PROGRESS__INIT;
    Lockstep__V1__Ended ended = LOCKSTEP__V1__ENDED__INIT;
    Lockstep__V1__Observed observed = LOCKSTEP__V1__OBSERVED__INIT;
    Lockstep__V1__Heartbeat heartbeat = LOCKSTEP__V1__HEARTBEAT__INIT;
    Lockstep__V1__Serving serving = LOCKSTEP__V1__SERVING__INIT;
    Lockstep__V1__Outcome outcome;
    wire_key_to(&report->key, &key);
    wire_outcome_to(arena, &report->outcome, facts_max(report), &outcome);
    switch (report->type) {
    case WIRE_REPORT_HELLO:
        hello.node = wire_text(arena, report->hello.node);
        hello.version = wire_text(arena, report->hello.version);
        hello.boot_id = wire_text(arena, report->hello.boot_id);
        hello.os = wire_text(arena, report->hello.os);
        hello.arch = wire_text(arena, report->hello.arch);
        hello.fence = report->hello.fence;
        message.report_case = LOCKSTEP__V1__AGENT_REPORT__REPORT_HELLO;
        message.hello = &hello;
        break;
    case WIRE_REPORT_BUSY:
        message.report_case = LOCKSTEP__V1__AGENT_REPORT__REPORT_BUSY;
        message.busy = &key;
        break;
    case WIRE_REPORT_PROGRESS:
        progress.key = report->id == 0 ? &key : NULL;
        progress.observation = report->id;
        progress.done = report->done;
        progress.total = report->total;
        progress.text = wire_text(arena, cut(arena, report->text, LIMIT_ERROR_BYTES, false));
        message.report_case = LOCKSTEP__V1__AGENT_REPORT__REPORT_PROGRESS;
        message.progress = &progress;
        break;
    case WIRE_REPORT_ENDED:
        ended.key = &key;
        ended.outcome = &outcome;
        message.report_case = LOCKSTEP__V1__AGENT_REPORT__REPORT_ENDED;
        message.ended = &ended;
        break;
    case WIRE_REPORT_OBSERVED:
        observed.id = report->id;
        observed.outcome = &outcome;
        message.report_case = LOCKSTEP__V1__AGENT_REPORT__REPORT_OBSERVED;
        message.observed = &observed;
        break;
    case WIRE_REPORT_HEARTBEAT:
        heartbeat.under_way = report->under_way;
        message.report_case = LOCKSTEP__V1__AGENT_REPORT__REPORT_HEARTBEAT;
        message.heartbeat = &heartbeat;
        break;
    case WIRE_REPORT_SERVING:
        assert(report->run[AGENT_RUN_BYTES - 1] == '\0');
        serving.run = (char *)(uintptr_t)report->run;
        serving.running = report->running;
        serving.words = wire_text(arena, cut(arena, report->text, LIMIT_ERROR_BYTES, false));
        message.report_case = LOCKSTEP__V1__AGENT_REPORT__REPORT_SERVING;
        message.serving = &serving;
        break;
    }
    return wire_pack(arena, &message.base, ret, e);
}

static int read_report(const Lockstep__V1__AgentReport *m, struct wire_report *ret, struct error *e)
{
    int err = 0;
    if (m->report_case == LOCKSTEP__V1__AGENT_REPORT__REPORT_HELLO) {
        ret->type = WIRE_REPORT_HELLO;
        ret->hello = (struct wire_hello){
            .node = m->hello->node,
            .version = m->hello->version,
            .boot_id = m->hello->boot_id,
            .os = m->hello->os,
            .arch = m->hello->arch,
            .fence = m->hello->fence,
        };
    } else if (m->report_case == LOCKSTEP__V1__AGENT_REPORT__REPORT_BUSY) {
        ret->type = WIRE_REPORT_BUSY;
        err = wire_key_from(m->busy, &ret->key, e);
    } else if (m->report_case == LOCKSTEP__V1__AGENT_REPORT__REPORT_PROGRESS) {
        ret->type = WIRE_REPORT_PROGRESS;
        ret->done = m->progress->done;
        ret->total = m->progress->total;
        ret->text = m->progress->text;
        ret->id = m->progress->observation;
        err = ret->id == 0 ? wire_key_from(m->progress->key, &ret->key, e) : 0;
    } else if (m->report_case == LOCKSTEP__V1__AGENT_REPORT__REPORT_ENDED) {
        ret->type = WIRE_REPORT_ENDED;
        err = wire_key_from(m->ended->key, &ret->key, e);
        err = err == 0 ? wire_outcome_from(m->ended->outcome, &ret->outcome, e) : err;
    } else if (m->report_case == LOCKSTEP__V1__AGENT_REPORT__REPORT_OBSERVED) {
        ret->type = WIRE_REPORT_OBSERVED;
        ret->id = m->observed->id;
        err = wire_outcome_from(m->observed->outcome, &ret->outcome, e);
    } else if (m->report_case == LOCKSTEP__V1__AGENT_REPORT__REPORT_HEARTBEAT) {
        ret->type = WIRE_REPORT_HEARTBEAT;
        ret->under_way = m->heartbeat->under_way;
    } else if (m->report_case == LOCKSTEP__V1__AGENT_REPORT__REPORT_SERVING) {
        ret->type = WIRE_REPORT_SERVING;
        ret->running = m->serving->running;
        ret->text = m->serving->words;
        err = wire_run_from(m->serving->run, ret->run, e);
    } else {
        err = error_set(e, E_INVALID, "its kind is not known: a newer agent?");
    }
    return err;
}

#define TIME_MS_MAX ((int64_t)1 << 52)

/* A place may say anything: what is kept of it is bounded and plain. */
static void tame(struct arena *arena, struct wire_report *report)
{
    struct outcome *outcome = &report->outcome;
    struct wire_hello *hello = &report->hello;
    outcome->message = wire_plain(arena, outcome->message, LIMIT_ERROR_BYTES, false);
    if (outcome->log_tail != NULL) {
        outcome->log_tail = wire_plain(arena, outcome->log_tail, LIMIT_LOG_TAIL_BYTES, true);
    }
    if (outcome->facts != NULL && strlen(outcome->facts) >= facts_max(report)) {
        outcome->facts = NULL;
    }
    outcome->started_ms = MIN(MAX(outcome->started_ms, 0), TIME_MS_MAX);
    outcome->ended_ms = MIN(MAX(outcome->ended_ms, 0), TIME_MS_MAX);
    report->text = wire_plain(arena, report->text, LIMIT_ERROR_BYTES, false);
    const char **const words[] = {&hello->node, &hello->version, &hello->boot_id, &hello->os,
                                  &hello->arch};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        *words[i] = wire_plain(arena, *words[i], LIMIT_NAME_BYTES + 1, false);
    }
}

int wire_report_unpack(struct arena *arena, struct bytes bytes, struct wire_report *ret,
                       struct error *e)
{
    const ProtobufCMessage *message;
    int err = wire_unpack(arena, &lockstep__v1__agent_report__descriptor, bytes, &message, e);
    if (err != 0) {
        return err;
    }
    struct wire_report read = {0};
    err = read_report((const Lockstep__V1__AgentReport *)message, &read, e);
    if (err != 0) {
        error_wrap(e, "an agent's report is refused");
        return err;
    }
    tame(arena, &read);
    *ret = read;
    return 0;
}

/* ---- orders ---- */

int wire_order_pack(struct arena *arena, const struct wire_order *order, struct bytes *ret,
                    struct error *e)
{
    Lockstep__V1__AgentOrder message = LOCKSTEP__V1__AGENT_ORDER__INIT;
    Lockstep__V1__Key key = LOCKSTEP__V1__KEY__INIT;
    Lockstep__V1__Welcome welcome = LOCKSTEP__V1__WELCOME__INIT;
    Lockstep__V1__Instruction instruction = {.key = &key};
    Lockstep__V1__Observe observe = LOCKSTEP__V1__OBSERVE__INIT;
    Lockstep__V1__Unobserve unobserve = LOCKSTEP__V1__UNOBSERVE__INIT;
    Lockstep__V1__Forget forget = LOCKSTEP__V1__FORGET__INIT;
    Lockstep__V1__Watch watch = LOCKSTEP__V1__WATCH__INIT;
    switch (order->type) {
    case WIRE_ORDER_WELCOME:
        welcome.fence = order->fence;
        welcome.heartbeat_ms = order->heartbeat_ms;
        message.order_case = LOCKSTEP__V1__AGENT_ORDER__ORDER_WELCOME;
        message.welcome = &welcome;
        break;
    case WIRE_ORDER_INSTRUCTION:
        wire_instruction_to(arena, &order->instruction, &instruction);
        message.order_case = LOCKSTEP__V1__AGENT_ORDER__ORDER_INSTRUCTION;
        message.instruction = &instruction;
        break;
    case WIRE_ORDER_OBSERVE:
        observe.id = order->id;
        observe.action.data = (uint8_t *)(uintptr_t)order->action.data;
        observe.action.len = order->action.len;
        observe.cluster = wire_text(arena, order->cluster);
        observe.state_name = wire_text(arena, order->state_name);
        observe.left_ms = order->left_ms;
        message.order_case = LOCKSTEP__V1__AGENT_ORDER__ORDER_OBSERVE;
        message.observe = &observe;
        break;
    case WIRE_ORDER_UNOBSERVE:
        unobserve.id = order->id;
        message.order_case = LOCKSTEP__V1__AGENT_ORDER__ORDER_UNOBSERVE;
        message.unobserve = &unobserve;
        break;
    case WIRE_ORDER_FORGET:
        assert(order->run[AGENT_RUN_BYTES - 1] == '\0');
        forget.run = (char *)(uintptr_t)order->run;
        forget.fence = order->fence;
        message.order_case = LOCKSTEP__V1__AGENT_ORDER__ORDER_FORGET;
        message.forget = &forget;
        break;
    case WIRE_ORDER_WATCH:
        assert(order->run[AGENT_RUN_BYTES - 1] == '\0');
        watch.run = (char *)(uintptr_t)order->run;
        watch.action.data = (uint8_t *)(uintptr_t)order->action.data;
        watch.action.len = order->action.len;
        watch.state_name = wire_text(arena, order->state_name);
        message.order_case = LOCKSTEP__V1__AGENT_ORDER__ORDER_WATCH;
        message.watch = &watch;
        break;
    }
    return wire_pack(arena, &message.base, ret, e);
}

static int read_order(const Lockstep__V1__AgentOrder *m, struct wire_order *ret, struct error *e)
{
    int err = 0;
    if (m->order_case == LOCKSTEP__V1__AGENT_ORDER__ORDER_WELCOME) {
        ret->type = WIRE_ORDER_WELCOME;
        ret->fence = m->welcome->fence;
        ret->heartbeat_ms = m->welcome->heartbeat_ms;
    } else if (m->order_case == LOCKSTEP__V1__AGENT_ORDER__ORDER_INSTRUCTION) {
        ret->type = WIRE_ORDER_INSTRUCTION;
        err = wire_instruction_from(m->instruction, &ret->instruction, e);
    } else if (m->order_case == LOCKSTEP__V1__AGENT_ORDER__ORDER_OBSERVE) {
        ret->type = WIRE_ORDER_OBSERVE;
        ret->id = m->observe->id;
        ret->action =
            (struct bytes){.data = m->observe->action.data, .len = m->observe->action.len};
        ret->cluster = m->observe->cluster;
        ret->state_name = m->observe->state_name;
        ret->left_ms = MIN(MAX(m->observe->left_ms, 0), LIMIT_DURATION_MS);
    } else if (m->order_case == LOCKSTEP__V1__AGENT_ORDER__ORDER_UNOBSERVE) {
        ret->type = WIRE_ORDER_UNOBSERVE;
        ret->id = m->unobserve->id;
    } else if (m->order_case == LOCKSTEP__V1__AGENT_ORDER__ORDER_FORGET) {
        ret->type = WIRE_ORDER_FORGET;
        ret->fence = m->forget->fence;
        err = wire_run_from(m->forget->run, ret->run, e);
    } else if (m->order_case == LOCKSTEP__V1__AGENT_ORDER__ORDER_WATCH) {
        ret->type = WIRE_ORDER_WATCH;
        ret->action = (struct bytes){.data = m->watch->action.data, .len = m->watch->action.len};
        ret->state_name = m->watch->state_name;
        err = wire_run_from(m->watch->run, ret->run, e);
    } else {
        err = error_set(e, E_INVALID, "its kind is not known: a newer controller?");
    }
    return err;
}

int wire_order_unpack(struct arena *arena, struct bytes bytes, struct wire_order *ret,
                      struct error *e)
{
    const ProtobufCMessage *message;
    int err = wire_unpack(arena, &lockstep__v1__agent_order__descriptor, bytes, &message, e);
    if (err != 0) {
        return err;
    }
    struct wire_order read = {0};
    err = read_order((const Lockstep__V1__AgentOrder *)message, &read, e);
    if (err != 0) {
        error_wrap(e, "an order of the controller is refused");
        return err;
    }
    *ret = read;
    return 0;
}
