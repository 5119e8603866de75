/* Owns which services are watched and what was last said of them. It refuses an order that holds no service, and more than
 * WATCHES_MAX at once. */
#include "lib/io/place/watch.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/base/str.h"
#include "lib/io/platform/service.h"

#define WATCHES_MAX 16

struct watch {
    struct watch *next;
    struct watches *owner; /* NULL: nobody wants to know any more */
    struct arena arena;    /* of the action and the names */
    char run[AGENT_RUN_BYTES];
    const struct observe_action *service;
    const char *state_name, *state_dir, *program;
    uv_work_t work;
    bool looking, again; /* a look is under way; another one was wanted meanwhile */
    bool told, told_running;
    bool running; /* what the look found */
    char words[LIMIT_ERROR_BYTES];
};

struct watches {
    uv_loop_t *loop;                     /* borrowed */
    const struct place_options *options; /* borrowed */
    struct watch *first;                 /* owned */
    size_t count;
};

struct watches *watches_new(uv_loop_t *loop, const struct place_options *options)
{
    struct watches *w = calloc(1, sizeof(*w));
    assert(w != NULL);
    w->loop = loop;
    w->options = options;
    return w;
}

static void free_watch(struct watch *watch)
{
    arena_deinit(&watch->arena);
    free(watch);
}

void watches_forget(struct watches *w, const char *run)
{
    for (struct watch **link = &w->first; *link != NULL;) {
        struct watch *watch = *link;
        if (run != NULL && !str_equal(watch->run, run)) {
            link = &watch->next;
            continue;
        }
        *link = watch->next;
        w->count--;
        watch->owner = NULL;
        if (!watch->looking) {
            free_watch(watch);
        }
    }
}

void watches_free(struct watches *w)
{
    if (w != NULL) {
        watches_forget(w, NULL);
        free(w);
    }
}

/* On a thread of the pool: touches its own watch only. */
static void look(uv_work_t *work)
{
    struct watch *watch = CONTAINER_OF(work, struct watch, work);
    struct arena arena;
    arena_init(&arena);
    const struct service_place place = {.arena = &arena,
                                        .service = watch->service->service,
                                        .application = watch->state_name,
                                        .state_dir = watch->state_dir,
                                        .layout = watch->service->layout,
                                        .program = watch->program};
    struct service_status status = {.running = false};
    struct error e = {0};
    int r = service_state(&place, &status, &e);
    watch->running = r == 0 && status.running && status.settled;
    const char *words = r < 0 ? e.message : status.words != NULL ? status.words : "";
    snprintf(watch->words, sizeof(watch->words), "%s", words);
    arena_deinit(&arena);
}

static void begin(struct watch *watch);

static void looked(uv_work_t *work, int status)
{
    struct watch *watch = CONTAINER_OF(work, struct watch, work);
    watch->looking = false;
    if (watch->owner == NULL) {
        free_watch(watch);
        return;
    }
    if (status == 0 && (!watch->told || watch->running != watch->told_running || !watch->running)) {
        struct wire_report report = {
            .type = WIRE_REPORT_SERVING, .running = watch->running, .text = watch->words};
        memcpy(report.run, watch->run, sizeof(report.run));
        watch->told = true;
        watch->told_running = watch->running;
        watch->owner->options->report(watch->owner->options->context, &report);
    }
    if (watch->again) {
        begin(watch);
    }
}

static void begin(struct watch *watch)
{
    watch->again = watch->looking;
    if (!watch->looking) {
        watch->looking = uv_queue_work(watch->owner->loop, &watch->work, look, looked) == 0;
    }
}

void watches_take(struct watches *w, const struct wire_order *order)
{
    watches_forget(w, order->run);
    struct watch *watch = calloc(1, sizeof(*watch));
    assert(watch != NULL);
    arena_init(&watch->arena);
    struct action *action = ARENA_NEW(&watch->arena, struct action);
    json_t *json = json_loadb((const char *)order->action.data, order->action.len, 0, NULL);
    bool read = json != NULL &&
                shape_from_json(&action_shape, json, action, &watch->arena, NULL) == 0 &&
                action->observe != NULL && action->observe->service != NULL &&
                w->count < WATCHES_MAX && str_is_name(order->state_name);
    json_decref(json);
    if (!read) {
        free_watch(watch);
        return;
    }
    watch->owner = w;
    watch->service = action->observe;
    watch->state_name = arena_strdup(&watch->arena, order->state_name);
    watch->state_dir = arena_strdup(&watch->arena, w->options->state_dir);
    watch->program = arena_strdup(&watch->arena, w->options->program);
    memcpy(watch->run, order->run, sizeof(watch->run));
    watch->next = w->first;
    w->first = watch;
    w->count++;
    begin(watch);
}

void watches_look(struct watches *w)
{
    for (struct watch *watch = w->first; watch != NULL; watch = watch->next) {
        begin(watch);
    }
}
