/* Owns repetition: N good answers in a row, a deadline, a soak, and the service that must not die meanwhile. */
#include <stdio.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/platform/actions.h"
#include "lib/io/platform/probe.h"
#include "lib/io/platform/process.h"
#include "lib/io/platform/service.h"
#include "lib/spec/spec.h"

#define HEALTH_WATCH_MS   200 /* how often the service itself is looked at */
#define HEALTH_TAIL_BYTES 300

#define HEALTH_WORDS_BYTES 256

struct health {
    struct act *act; /* asks with `scratch`, which every round gives back: a wait may take hours */
    struct arena scratch;
    const struct health_action *action;
    struct service_place place; /* used when action->service is set */
    struct service_status first;
    const char *directory;
};

/* The service as it was when we began, still. */
static int watch_service(struct health *h, struct error *e)
{
    if (h->action->service == NULL) {
        return 0;
    }
    struct service_status now;
    int r = service_state(&h->place, &now, e);
    if (r < 0) {
        return r;
    }
    bool another = now.running && h->first.running && now.pid != h->first.pid && now.pid > 0 &&
                   h->first.pid > 0;
    if (now.running && !another) {
        if (!h->first.running) {
            h->first.running = true;
            h->first.pid = now.pid;
            h->first.since_ms = now.since_ms;
        }
        return 0;
    }
    const char *tail = service_log_tail(&h->place, HEALTH_TAIL_BYTES);
    return error_set(e, E_IO, "%s %s while its health was watched%s%s", service_words(&h->place),
                     another ? "died and was started again by something else" : now.words,
                     *tail != '\0' ? "; its last lines: " : "", tail);
}

/* Waits, looking at the service meanwhile. */
static int pause_watching(struct health *h, int64_t ms, struct error *e)
{
    int64_t until = process_clock_ms() + ms;
    for (;;) {
        int r = watch_service(h, e);
        int64_t left = until - process_clock_ms();
        if (r < 0 || left <= 0) {
            return r;
        }
        process_sleep_ms(MIN(left, (int64_t)HEALTH_WATCH_MS));
    }
}

static int ask_log(struct health *h, const struct log_check *check, struct probe *ret,
                   struct error *e)
{
    const char *file = check->file[0] == '/' || h->directory == NULL
                           ? check->file
                           : arena_printf(h->act->arena, "%s/%s", h->directory, check->file);
    bool own = h->action->service != NULL && str_equal(file, h->first.log);
    struct log_since since = {.file = file,
                              .error = check->error,
                              .since_ms = h->action->service != NULL ? h->first.since_ms : 0,
                              .offset = own ? h->first.log_offset : -1};
    return probe_log(h->act, &since, ret, e);
}

static int ask(struct health *h, const struct check *check, struct probe *ret, struct error *e)
{
    const char *directory = h->directory != NULL ? h->directory : "/";
    if (check->http != NULL) {
        return probe_http(h->act, check->http, ret, e);
    }
    if (check->tcp != NULL) {
        return probe_tcp(h->act, check->tcp, ret, e);
    }
    if (check->command != NULL) {
        return probe_command(h->act, check->command, directory, ret, e);
    }
    assert(check->log != NULL);
    return ask_log(h, check->log, ret, e);
}

static int until_healthy(struct health *h, const struct check *check, struct error *e)
{
    int64_t wanted = MAX(check->consecutive, 1);
    int64_t within = check->within_ms > 0 ? check->within_ms : 120000;
    int64_t until = process_clock_ms() + MIN(within, act_left_ms(h->act));
    int64_t asked = 0;
    char last[HEALTH_WORDS_BYTES] = "";
    for (int64_t good = 0; good < wanted;) {
        struct probe probe;
        int r = ask(h, check, &probe, e);
        if (r < 0) {
            return r;
        }
        asked++;
        good = probe.good ? good + 1 : 0;
        if (!probe.good && strncmp(probe.words, last, sizeof(last) - 1) != 0) {
            act_log(h->act, "not healthy yet: %s", probe.words);
        }
        snprintf(last, sizeof(last), "%s", probe.words);
        h->act->progress(h->act, (uint64_t)good, (uint64_t)wanted, probe.words);
        if (good >= wanted) {
            break;
        }
        r = watch_service(h, e);
        if (r == 0 && process_clock_ms() + check->every_ms > until) {
            r = error_set(e, E_TIMEOUT,
                          "not healthy within %s (%lld answers asked, %lld good in a row of %lld "
                          "wanted): the last was: %s",
                          str_duration(h->act->arena, within), (long long)asked, (long long)good,
                          (long long)wanted, last);
        }
        r = r == 0 ? pause_watching(h, check->every_ms, e) : r;
        if (r < 0) {
            return r;
        }
        arena_deinit(&h->scratch);
    }
    return 0;
}

/* Every check, each time around: one bad answer ends the soak. */
static int soak(struct health *h, struct error *e)
{
    int64_t until = process_clock_ms() + h->action->soak_ms;
    while (process_clock_ms() < until) {
        int64_t every = INT64_MAX;
        for (size_t i = 0; i < h->action->checks.count; i++) {
            const struct check *check = LIST_AT(&h->action->checks, struct check, i);
            struct probe probe;
            int r = ask(h, check, &probe, e);
            if (r == 0 && !probe.good) {
                r = error_set(e, E_IO,
                              "it was healthy, and then not any more during the soak of %s: %s",
                              str_duration(h->act->arena, h->action->soak_ms), probe.words);
            }
            if (r < 0) {
                return r;
            }
            every = MIN(every, MAX(check->every_ms, 10));
        }
        int r = pause_watching(h, MIN(MIN(every, 1000), MAX(until - process_clock_ms(), 0)), e);
        if (r < 0) {
            return r;
        }
        arena_deinit(&h->scratch);
    }
    return 0;
}

static int be_healthy(struct health *h, struct error *e)
{
    const struct health_action *a = h->action;
    int r = watch_service(h, e);
    for (size_t i = 0; r == 0 && i < a->checks.count; i++) {
        r = until_healthy(h, LIST_AT(&a->checks, struct check, i), e);
    }
    if (r == 0 && a->soak_ms > 0) {
        act_log(h->act, "healthy; watching it for %s", str_duration(&h->scratch, a->soak_ms));
        r = soak(h, e);
    }
    return r;
}

/* A retry asks for a healthy service: one that died since the step before started it is started again. */
static int start_what_died(struct act *act, const struct health_action *a,
                           const struct service_place *place, struct error *e)
{
    struct service_status now;
    int r = act->attempt > 1 && a->service != NULL ? service_state(place, &now, e) : 0;
    if (r < 0 || act->attempt <= 1 || a->service == NULL || now.running) {
        return r;
    }
    act_log(act, "it is down: this retry starts it again");
    struct service_action start = {
        .verb = SERVICE_START, .service = a->service, .layout = a->layout};
    return act_service(act, &(struct action){.service = &start}, e);
}

int act_health(struct act *act, const struct action *action, struct error *e)
{
    const struct health_action *a = action->health;
    int64_t started = process_clock_ms();
    struct act asking = *act;
    struct health h = {.act = &asking,
                       .action = a,
                       .directory = a->layout,
                       .place = {.arena = act->arena,
                                 .service = a->service,
                                 .application = act->application,
                                 .state_dir = act->state_dir,
                                 .layout = a->layout,
                                 .program = act->program}};
    int r = start_what_died(act, a, &h.place, e);
    if (r == 0 && a->service != NULL) {
        r = service_state(&h.place, &h.first, e);
    }
    if (r == 0) {
        arena_init(&h.scratch);
        asking.arena = &h.scratch;
        h.place.arena = &h.scratch;
        r = be_healthy(&h, e);
        arena_deinit(&h.scratch);
    }
    if (r == 0) {
        act->facts = arena_printf(act->arena, "{\"healthy_after_ms\":%lld}",
                                  (long long)(process_clock_ms() - started));
    }
    return r;
}
