/* Owns which state is which event, and the posts that are under way. It decides nothing. */
#include "controller/notify.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "controller/planning.h"
#include "controller/reply.h"
#include "lib/base/str.h"
#include "lib/io/platform/http.h"
#include "lib/io/platform/log.h"

#define TRIES_MAX  4
#define AGAIN_MS   1000 /* before the second try; doubles */
#define TIMEOUT_MS 10000
#define POSTS_MAX  64 /* not told yet; what comes on top is logged and left out */
#define THREADS_MAX                                                                                \
    2 /* of the pool's four: the others are for planning, however slow the webhooks are */
#define EVENTS_EACH 2

struct post {
    struct post *next;             /* owned by controller->posts */
    struct controller *controller; /* borrowed */
    char *url, *body;              /* owned */
    int tries;
    bool done, working, stop;
    bool due; /* waits for a thread */
    char problem[LIMIT_ERROR_BYTES];
    uv_work_t work;
    uv_timer_t timer;
};

/* ---- delivery ---- */

static void closed(uv_handle_t *handle)
{
    struct post *post = handle->data;
    free(post->url);
    free(post->body);
    free(post);
}

static void end(struct post *post)
{
    struct post **link = &post->controller->posts;
    while (*link != post) {
        link = &(*link)->next;
    }
    *link = post->next;
    uv_close((uv_handle_t *)&post->timer, closed);
}

/* On a thread of the pool. */
static void work(uv_work_t *request)
{
    struct post *post = request->data;
    struct arena arena;
    arena_init(&arena);
    struct error e = {0};
    struct http_response response = {0};
    const struct http_request http = {
        .url = post->url, .post = post->body, .timeout_ms = TIMEOUT_MS, .stop = &post->stop};
    int r = http_fetch(&arena, &http, &response, &e);
    post->done = r == 0 && response.status >= 200 && response.status <= 299;
    if (r == 0 && !post->done) {
        snprintf(post->problem, sizeof(post->problem), "it answered %ld", response.status);
    } else if (r < 0) {
        snprintf(post->problem, sizeof(post->problem), "%s", e.message);
    }
    arena_deinit(&arena);
}

static void worked(uv_work_t *request, int status);

/* The posts that are due, as far as there are threads for them; the oldest first. */
static void go_on(struct controller *c)
{
    size_t working = 0;
    for (const struct post *post = c->posts; post != NULL; post = post->next) {
        working += post->working ? 1 : 0;
    }
    for (struct post *post = c->posts; post != NULL && working < THREADS_MAX; post = post->next) {
        if (post->due) {
            post->due = false;
            post->working = true;
            working++;
            uv_queue_work(&c->loop, &post->work, work, worked);
        }
    }
}

static void on_time(uv_timer_t *timer)
{
    struct post *post = timer->data;
    post->due = true;
    go_on(post->controller);
}

static void worked(uv_work_t *request, int status UNUSED)
{
    struct post *post = request->data;
    struct controller *c = post->controller;
    post->working = false;
    post->tries++;
    if (post->done || c->stopping) {
        end(post);
    } else if (post->tries == TRIES_MAX) {
        log_line(PROGRAM, "the webhook %s was not told after %d tries: %s", post->url, TRIES_MAX,
                 post->problem);
        end(post);
    } else {
        uv_timer_start(&post->timer, on_time, (uint64_t)AGAIN_MS << (post->tries - 1), 0);
    }
    if (!c->stopping) {
        go_on(c);
    }
}

void notify_close(struct controller *c)
{
    for (struct post *post = c->posts, *next; post != NULL; post = next) {
        next = post->next;
        if (post->working) {
            __atomic_store_n(&post->stop, true, __ATOMIC_RELAXED);
        } else {
            end(post);
        }
    }
}

static void deliver(struct controller *c, const char *url, const char *body)
{
    size_t count = 0;
    struct post **link = &c->posts;
    for (; *link != NULL; link = &(*link)->next) {
        count++;
    }
    if (count >= POSTS_MAX) {
        log_line(PROGRAM, "the webhook %s is not told: %d others are not told yet", url, POSTS_MAX);
        return;
    }
    struct post *post = calloc(1, sizeof(*post));
    assert(post != NULL);
    post->controller = c;
    post->url = strdup(url);
    post->body = strdup(body);
    assert(post->url != NULL && post->body != NULL);
    uv_timer_init(&c->loop, &post->timer);
    post->timer.data = post;
    post->work.data = post;
    post->due = true;
    *link = post;
    go_on(c);
}

/* ---- what is told ---- */

static bool is_failure(const struct waiting *w)
{
    return w->state == ROLLOUT_FAILED ||
           ((w->state == ROLLOUT_PAUSED || w->state == ROLLOUT_ABORTING) && w->cause != CAUSE_WORD);
}

static size_t events_of(const struct waiting *w, const char *ret[EVENTS_EACH])
{
    size_t count = 0;
    if (w->first && w->state == ROLLOUT_RUNNING) {
        ret[count++] = "start";
    } else if (w->state == ROLLOUT_WAITING && w->cause == CAUSE_GATE) {
        ret[count++] = "gate";
    } else if (is_failure(w)) {
        ret[count++] = "failure";
    }
    if (rollout_state_is_end(w->state)) {
        ret[count++] = "finish";
    }
    return count;
}

static const char *body_of(struct run *run, struct arena *arena, const struct waiting *w,
                           const char *event)
{
    const struct plan *plan = &run->plan;
    const char *what = str_equal(event, "start")  ? "starts"
                       : str_equal(event, "gate") ? "waits for approval"
                                                  : rollout_state_name(w->state);
    const char *text =
        arena_printf(arena, "%s: %s %s -> %s %s%s%s (run %s)", run->cluster, plan->application,
                     plan->from != NULL ? plan->from : "nothing", plan->to, what,
                     w->why != NULL ? ": " : "", w->why != NULL ? w->why : "", run->id);
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "application", plan->application,
                  "cluster", run->cluster, "event", event, "run", run->id, "state",
                  rollout_state_name(w->state), "text", text, "why", w->why != NULL ? w->why : "");
    char *dumped = json == NULL ? NULL : json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    const char *body = arena_strdup(arena, dumped);
    free(dumped);
    json_decref(json);
    return body;
}

static bool wants(const struct notify_spec *notify, const char *event)
{
    for (size_t i = 0; i < notify->events.count; i++) {
        if (str_equal(notify->events.items[i], event)) {
            return true;
        }
    }
    return notify->events.count == 0;
}

static int read_spec(struct run *run, struct arena *arena, struct spec *ret, struct error *e)
{
    struct bytes plan = {0};
    struct bytes packed = {0};
    struct complaints complaints;
    complaints_init(&complaints, arena);
    int r = store_plan(run->controller->store, arena, run->plan_id, &plan, &packed, e);
    const Lockstep__V1__Bundle *bundle =
        r < 0 ? NULL : REPLY_REQUEST(Bundle, bundle, arena, packed, e);
    if (bundle == NULL) {
        return e->code;
    }
    return bundle_read(arena, bundle, ret, &complaints) < 0 || ret->cluster == NULL
               ? error_set(e, E_INVALID, "its specs cannot be read any more")
               : 0;
}

void notify_state(struct run *run, const struct waiting *state)
{
    const char *events[EVENTS_EACH];
    size_t count = run->plan.part == PLAN_WHOLE ? events_of(state, events) : 0;
    if (count == 0) {
        return;
    }
    struct arena arena;
    arena_init(&arena);
    struct error e = {0};
    struct spec spec = {0};
    if (read_spec(run, &arena, &spec, &e) < 0) {
        log_line(PROGRAM, "run %s: nobody is told: %s", run->id, e.message);
    }
    for (size_t i = 0; spec.cluster != NULL && i < count; i++) {
        for (size_t n = 0; n < spec.cluster->notify.count; n++) {
            const struct notify_spec *notify =
                LIST_AT(&spec.cluster->notify, struct notify_spec, n);
            if (wants(notify, events[i])) {
                deliver(run->controller, notify->webhook, body_of(run, &arena, state, events[i]));
            }
        }
    }
    arena_deinit(&arena);
}
