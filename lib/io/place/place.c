/*
 * Owns a place: the agent machine, its journal, and the way between them and the jobs. It decides nothing about what may
 * run: that is the machine's; what an action does is the worker's.
 *
 *   order ──> machine ──intent durable──> job ──ended──> machine ──outcome durable──> report
 */
#include "lib/io/place/place.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/base/str.h"
#include "lib/core/agent.h"
#include "lib/io/db/db.h"
#include "lib/io/place/job.h"
#include "lib/io/place/watch.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/files.h"
#include "lib/io/store/journal.h"
#include "lib/wire/message.h"
#include "lib/wire/record.h"

struct place {
    uv_loop_t *loop; /* borrowed */
    struct place_options options;
    struct arena arena; /* the machine's and the options' strings */
    struct agent_machine *machine;
    struct journal *journal;
    uint64_t base;    /* the journal's last number when this life began */
    uint64_t durable; /* as the machine counts */
    struct jobs jobs;
    struct watches *watches;
    const struct wire_instruction *arriving; /* while the machine is asked about it */
};

static void carry_out(struct place *p, const struct agent_event *event);

/* ---- what jobs say ---- */

static struct place *place_of(const struct job *job)
{
    return CONTAINER_OF(job->jobs, struct place, jobs);
}

static void job_ended(struct job *job, const struct outcome *outcome)
{
    struct place *p = place_of(job);
    switch (job->kind) {
    case JOB_INSTRUCTION:
        carry_out(p, &(struct agent_event){.type = AGENT_EVENT_ACTED,
                                           .now_ms = act_now_ms(),
                                           .key = job->key,
                                           .outcome = outcome});
        break;
    case JOB_OBSERVATION: {
        const struct wire_report report = {
            .type = WIRE_REPORT_OBSERVED, .id = job->observation, .outcome = *outcome};
        dir_remove(job->dir, NULL);
        job_remove(job);
        p->options.report(p->options.context, &report);
        break;
    }
    }
}

static void job_lost(struct job *job, bool once)
{
    carry_out(place_of(job),
              &(struct agent_event){
                  .type = AGENT_EVENT_LOST, .now_ms = act_now_ms(), .key = job->key, .once = once});
}

static void job_progress(struct job *job, uint64_t done, uint64_t total, const char *text)
{
    struct place *p = place_of(job);
    const struct wire_report report = {.type = WIRE_REPORT_PROGRESS,
                                       .key = job->key,
                                       .id = job->observation,
                                       .done = done,
                                       .total = total,
                                       .text = text};
    p->options.report(p->options.context, &report);
}

/* ---- effects ---- */

static char *job_dir(struct arena *arena, const struct place *p, const struct instruction_key *key)
{
    return arena_printf(arena, "%s/work/%s/%" PRIu32 ".%" PRIu32 ".%" PRIu32, p->options.state_dir,
                        key->run, key->phase, key->step, key->attempt);
}

static void keep_record(struct place *p, const struct agent_record *record)
{
    struct arena arena;
    arena_init(&arena);
    const char *stream = record->type == AGENT_RECORD_FENCE ? "place" : record->key.run;
    if (record->type == AGENT_RECORD_INTENT) {
        assert(p->arriving != NULL);
        job_new(&p->jobs, JOB_INSTRUCTION, p->arriving, job_dir(&arena, p, &record->key));
    }
    struct bytes packed = {0};
    struct error e = {0};
    if (wire_place_record_pack(&arena, record, p->arriving, &packed, &e) < 0) {
        p->options.failed(p->options.context, &e);
    } else {
        journal_append(p->journal, stream, packed);
    }
    if (record->type == AGENT_RECORD_OUTCOME) {
        struct job *job = job_find(&p->jobs, &record->key);
        if (job != NULL) {
            job_remove(job);
        }
    }
    if (record->type == AGENT_RECORD_OVER) {
        /* Before the record is durable: a crash in between leaves the run known, and its end is told again. */
        db_run_over(&arena, p->options.state_dir, record->key.run);
        dir_remove(arena_printf(&arena, "%s/work/%s", p->options.state_dir, record->key.run), NULL);
    }
    if (record->type == AGENT_RECORD_FORGET) {
        journal_forget(p->journal, stream);
    }
    arena_deinit(&arena);
}

static void report_ended(struct place *p, const struct agent_effect *effect)
{
    const struct wire_report report = {
        .type = WIRE_REPORT_ENDED, .key = effect->key, .outcome = *effect->outcome};
    p->options.report(p->options.context, &report);
}

static void report_busy(struct place *p, const struct agent_effect *effect)
{
    const struct wire_report report = {.type = WIRE_REPORT_BUSY, .key = effect->key};
    p->options.report(p->options.context, &report);
}

static void carry_out_one(struct place *p, const struct agent_effect *effect)
{
    struct job *job = NULL;
    switch (effect->type) {
    case AGENT_EFFECT_RECORD:
        keep_record(p, &effect->record);
        break;
    case AGENT_EFFECT_ACT:
        job = job_find(&p->jobs, &effect->key);
        assert(job != NULL);
        job_start(job);
        break;
    case AGENT_EFFECT_ATTACH:
        job = job_find(&p->jobs, &effect->key);
        assert(job != NULL);
        job_look(job);
        break;
    case AGENT_EFFECT_REPORT:
        report_ended(p, effect);
        break;
    case AGENT_EFFECT_BUSY:
        report_busy(p, effect);
        break;
    }
}

static void carry_out(struct place *p, const struct agent_event *event)
{
    struct agent_effects *effects = malloc(sizeof(*effects));
    assert(effects != NULL);
    const struct agent_event more = {
        .type = AGENT_EVENT_DURABLE, .now_ms = event->now_ms, .number = p->durable};
    do {
        agent_step(p->machine, event, effects);
        for (size_t i = 0; i < effects->count; i++) {
            carry_out_one(p, &effects->items[i]);
        }
        event = &more;
    } while (effects->more);
    free(effects);
}

/* ---- orders ---- */

/* The deadline is by this machine's clock: the controller's may differ. */
static void take_instruction(struct place *p, const struct wire_instruction *instruction)
{
    struct wire_instruction mine = *instruction;
    mine.deadline_ms = act_now_ms() + instruction->left_ms;
    p->arriving = &mine;
    struct job *job = job_find(&p->jobs, &instruction->key);
    if (job != NULL && instruction->fence >= agent_fence(p->machine)) {
        job_renew(job, &mine);
    }
    carry_out(p, &(struct agent_event){.type = AGENT_EVENT_INSTRUCTION,
                                       .now_ms = act_now_ms(),
                                       .key = instruction->key,
                                       .fence = instruction->fence,
                                       .known = instruction->known,
                                       .last = instruction->last,
                                       .once = job_is_once(instruction)});
    p->arriving = NULL;
}

static void take_observation(struct place *p, const struct wire_order *order)
{
    struct arena arena;
    arena_init(&arena);
    int64_t left_ms = order->left_ms > 0 ? order->left_ms : JOB_OBSERVATION_MS;
    const struct wire_instruction instruction = {.cluster = order->cluster,
                                                 .name = "observe",
                                                 .state_name = order->state_name,
                                                 .action = order->action,
                                                 .deadline_ms = act_now_ms() + left_ms};
    const char *dir = arena_printf(&arena, "%s/observe/%" PRIu64, p->options.state_dir, order->id);
    struct job *job = job_new(&p->jobs, JOB_OBSERVATION, &instruction, dir);
    job->observation = order->id;
    job->kill_ms = order->left_ms > 0 ? left_ms + JOB_CLEARING_MS : JOB_OBSERVATION_MS;
    if (p->jobs.observations > JOB_OBSERVATIONS) {
        job_end(job, OUTCOME_FAILED, E_LIMIT, "too many observations at once");
    } else {
        job_start(job);
    }
    arena_deinit(&arena);
}

/* `id` 0: of all. */
static void unhear(struct place *p, uint64_t id)
{
    for (struct job *job = p->jobs.first; job != NULL; job = job->next) {
        if (job->kind == JOB_OBSERVATION && (id == 0 || job->observation == id)) {
            job_unhear(job);
        }
    }
}

void place_order(struct place *p, const struct wire_order *order)
{
    switch (order->type) {
    case WIRE_ORDER_INSTRUCTION:
        take_instruction(p, &order->instruction);
        break;
    case WIRE_ORDER_OBSERVE:
        take_observation(p, order);
        break;
    case WIRE_ORDER_UNOBSERVE:
        unhear(p, order->id);
        break;
    case WIRE_ORDER_FORGET: {
        struct agent_event event = {
            .type = AGENT_EVENT_FORGET, .now_ms = act_now_ms(), .fence = order->fence};
        memcpy(event.key.run, order->run, sizeof(event.key.run));
        carry_out(p, &event);
        watches_forget(p->watches, order->run);
        break;
    }
    case WIRE_ORDER_WATCH:
        watches_take(p->watches, order);
        break;
    case WIRE_ORDER_WELCOME:
        break;
    }
}

void place_look(struct place *p)
{
    watches_look(p->watches);
}

void place_connected(struct place *p, uint64_t fence)
{
    watches_forget(p->watches, NULL); /* whoever wants to know asks again */
    unhear(p, 0);
    carry_out(p, &(struct agent_event){
                     .type = AGENT_EVENT_FENCE, .now_ms = act_now_ms(), .fence = fence});
    carry_out(p, &(struct agent_event){.type = AGENT_EVENT_CONNECTED, .now_ms = act_now_ms()});
}

/* ---- opening and closing ---- */

static void records_durable(void *context, uint64_t number)
{
    struct place *p = context;
    if (number > p->base) {
        p->durable = number - p->base;
        carry_out(p, &(struct agent_event){.type = AGENT_EVENT_DURABLE,
                                           .now_ms = act_now_ms(),
                                           .number = p->durable});
    }
}

static void journal_failed(void *context, const struct error *e)
{
    struct place *p = context;
    p->options.failed(p->options.context, e);
}

static int replay(void *context, uint64_t number UNUSED, struct bytes data, struct error *e)
{
    struct place *p = context;
    struct arena arena;
    arena_init(&arena);
    struct agent_record record = {0};
    struct wire_instruction instruction = {0};
    int r = wire_place_record_unpack(&arena, data, &record, &instruction, e);
    if (r == 0) {
        if (record.type == AGENT_RECORD_INTENT) {
            job_new(&p->jobs, JOB_INSTRUCTION, &instruction, job_dir(&arena, p, &record.key));
        } else if (record.type == AGENT_RECORD_OUTCOME) {
            struct job *job = job_find(&p->jobs, &record.key);
            if (job != NULL) {
                job_remove(job);
            }
        }
        carry_out(p, &(struct agent_event){
                         .type = AGENT_EVENT_REPLAY, .now_ms = record.at_ms, .record = &record});
    }
    arena_deinit(&arena);
    return r;
}

static void set_text(json_t *json, const char *key, const char *value)
{
    if (value != NULL) {
        json_object_set_new(json, key, json_string(value));
    }
}

static int write_worker_config(struct place *p, struct error *e)
{
    const struct place_worker_config *config = &p->options.worker;
    json_t *json = json_object();
    set_text(json, "blobs", config->blobs);
    set_text(json, "host", config->host);
    json_object_set_new(json, "port", json_integer(config->port));
    set_text(json, "server_name", config->server_name);
    set_text(json, "ca_file", config->ca_file);
    set_text(json, "certificate_file", config->certificate_file);
    set_text(json, "key_file", config->key_file);
    struct buf text;
    buf_init(&text, &p->arena, LIMIT_TEXT_BYTES);
    json_canonical(json, &text);
    json_decref(json);
    return file_write(arena_printf(&p->arena, "%s/worker.json", p->options.state_dir), text.data,
                      text.len, 0600, e);
}

static int open_journal(struct place *p, struct error *e)
{
    const struct journal_options options = {
        .path = arena_printf(&p->arena, "%s/place.db", p->options.state_dir),
        .durable = records_durable,
        .failed = journal_failed,
        .context = p,
        .crash_before = p->options.crash_before,
        .crash_after = p->options.crash_after,
    };
    int r = journal_open(p->loop, &options, &p->journal, e);
    if (r == 0) {
        p->base = journal_last(p->journal);
        r = journal_read(p->journal, NULL, 0, replay, p, e);
    }
    return r;
}

int place_open(uv_loop_t *loop, const struct place_options *options, struct place **ret,
               struct error *e)
{
    struct place *p = calloc(1, sizeof(*p));
    assert(p != NULL);
    p->loop = loop;
    arena_init(&p->arena);
    p->options = *options;
    p->options.state_dir = arena_strdup(&p->arena, options->state_dir);
    p->options.program = arena_strdup(&p->arena, options->program);
    p->jobs = (struct jobs){.loop = loop,
                            .program = p->options.program,
                            .state_dir = p->options.state_dir,
                            .ended = job_ended,
                            .lost = job_lost,
                            .progress = job_progress};
    p->watches = watches_new(loop, &p->options);
    p->machine = agent_new(&p->arena);
    dir_remove(arena_printf(&p->arena, "%s/observe", options->state_dir), NULL);
    int r = dir_make(options->worker.blobs, 0700, e);
    if (r == 0) {
        r = dir_make(p->options.state_dir, 0700, e);
    }
    if (r == 0) {
        r = write_worker_config(p, e);
    }
    if (r == 0) {
        r = open_journal(p, e);
    }
    p->options.worker = (struct place_worker_config){0}; /* its strings were the caller's */
    if (r < 0) {
        place_close(p);
        return r;
    }
    carry_out(p, &(struct agent_event){.type = AGENT_EVENT_RESUME, .now_ms = act_now_ms()});
    *ret = p;
    return 0;
}

struct place *place_close(struct place *p)
{
    if (p == NULL) {
        return NULL;
    }
    while (p->jobs.first != NULL) {
        job_remove(p->jobs.first);
    }
    watches_free(p->watches);
    journal_close(p->journal);
    agent_free(p->machine);
    arena_deinit(&p->arena);
    free(p);
    return NULL;
}

uint64_t place_fence(const struct place *p)
{
    return agent_fence(p->machine);
}

uint32_t place_under_way(const struct place *p)
{
    return (uint32_t)agent_under_way(p->machine);
}
