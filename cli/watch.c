/*
 * Owns the stream of a watched run: drawing, reconnecting, going away. It decides nothing about the run, which goes on
 * without it.
 *
 *   FOLLOW ──the stream ends after the run──> over
 *     │ ^──connected again──┐
 *     │──connection lost──> WAIT ──60 s──> over (unreachable)
 *     │──paused or at a gate, quiet──> ASK ──still so──> over (paused); else FOLLOW
 *     │──the run ended and is taken back──> BACK ──the run that does it is there──> FOLLOW that one
 *     │                                      └──nothing to take back, another run followed, or it cannot be planned──> over
 *     └──Ctrl-C──> over (interrupted)
 */
#include "cli/watch.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/output.h"
#include "cli/watch_back.h"
#include "cli/watch_state.h"
#include "lib/base/str.h"

#define TICK_MS        100
#define QUIET_MS       400 /* nothing new for that long: what was to be told has been told */
#define RETRY_MS       500
#define REMIND_MS      30000 /* no terminal: a line that says what it waits for */
#define TEXT_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define COLUMNS        100
#define ROWS           30
#define BACK_MS        10000 /* so long nothing may have come of the way back before a person is asked */

struct following {
    struct context *context;
    struct remote *remote;
    const struct watch_request *request;
    const char *run; /* that is followed, as it was named; NULL: the newest */
    struct watch watch;
    bool live;
    bool interrupted;
    bool still;         /* nothing is drawn: what was drawn is an end */
    bool ask;           /* it seems to be paused */
    int64_t clock_ms;   /* the controller's clock is so far ahead of ours */
    int64_t news_at_ms; /* our clock: the newest event */
    int64_t told_at_ms; /* our clock: the newest line */
    int64_t lost_at_ms; /* 0: connected */
    size_t lines_drawn;
    bool waited;
    struct error e; /* the plan cannot be read */
    uv_timer_t tick;
    uv_signal_t signal;
};

static int64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t controller_now(const struct following *f)
{
    return wall_ms() + f->clock_ms;
}

/* ---- drawing ---- */

static void erase(struct following *f)
{
    if (f->lines_drawn > 0) {
        printf("\033[%zuA\r\033[J", f->lines_drawn);
        f->lines_drawn = 0;
    }
}

static void draw(struct following *f)
{
    struct arena arena;
    struct buf out;
    arena_init(&arena);
    buf_init(&out, &arena, TEXT_BYTES_MAX);
    const struct watch_screen screen = {.columns = (size_t)terminal_columns(COLUMNS),
                                        .rows = (size_t)terminal_rows(ROWS),
                                        .color = str_empty(getenv("NO_COLOR"))};
    watch_live(&f->watch, controller_now(f), &screen, &arena, &out);
    if (f->lines_drawn > 0) {
        printf("\033[%zuA\r", f->lines_drawn);
    }
    f->lines_drawn = 0;
    for (const char *line = buf_text(&out); *line != '\0'; f->lines_drawn++) {
        size_t len = strcspn(line, "\n");
        printf("%.*s\033[K\n", (int)len, line);
        line += len + (line[len] == '\n' ? 1 : 0);
    }
    fputs("\033[J", stdout);
    fflush(stdout);
    arena_deinit(&arena);
}

/* Between two pictures, or in the line of lines. */
static void note(struct following *f, const char *text)
{
    if (f->live && !f->still) {
        erase(f);
    }
    fflush(stdout);
    fprintf(stderr, "%s\n", text);
    if (f->live && !f->still) {
        draw(f);
    }
}

static void tell(struct following *f, const Lockstep__V1__WatchEvent *event)
{
    if (f->context->json) {
        print_json(watch_json(&f->watch, event));
        fflush(stdout);
        return;
    }
    if (f->live) {
        return; /* the tick draws */
    }
    struct arena arena;
    struct buf out;
    arena_init(&arena);
    buf_init(&out, &arena, TEXT_BYTES_MAX);
    watch_lines(&f->watch, event, &out);
    if (out.len > 0) {
        fputs(buf_text(&out), stdout);
        fflush(stdout);
        f->told_at_ms = wall_ms();
    }
    arena_deinit(&arena);
}

/* ---- what happens ---- */

static void seen(void *context, const ProtobufCMessage *message)
{
    struct following *f = context;
    const Lockstep__V1__WatchEvent *event = (const Lockstep__V1__WatchEvent *)message;
    bool is_new = false;
    f->news_at_ms = event->number != 0 ? wall_ms() : f->news_at_ms;
    if (watch_see(&f->watch, event, &is_new, &f->e) < 0) {
        remote_stop(f->remote);
    } else if (is_new) {
        tell(f, event);
    }
}

static void remind(struct following *f)
{
    struct arena arena;
    arena_init(&arena);
    const char *waits = watch_waits_for(&f->watch, controller_now(f), &arena);
    if (waits != NULL && wall_ms() - f->told_at_ms >= REMIND_MS) {
        const char *left = watch_left_words(&f->watch, controller_now(f), &arena);
        printf("         %s%s%s\n", waits, left != NULL ? "; " : "", left != NULL ? left : "");
        fflush(stdout);
        f->told_at_ms = wall_ms();
    }
    arena_deinit(&arena);
}

static void on_tick(uv_timer_t *timer)
{
    struct following *f = timer->data;
    if (f->still) {
        return;
    }
    if (f->live) {
        draw(f);
    } else if (!f->context->json) {
        remind(f);
    }
    if (!f->request->stay && watch_rests(&f->watch) && wall_ms() - f->news_at_ms >= QUIET_MS) {
        f->ask = true;
        remote_stop(f->remote);
    }
}

static void on_signal(uv_signal_t *handle, int number UNUSED)
{
    struct following *f = handle->data;
    f->interrupted = true;
    remote_stop(f->remote);
}

/* ---- the connection ---- */

/* The controller's clock, so that durations are right whatever ours says. */
static int ask_clock(struct following *f, struct error *e)
{
    const Lockstep__V1__PingRequest request = LOCKSTEP__V1__PING_REQUEST__INIT;
    const Lockstep__V1__PingReply *reply =
        REMOTE_CALL(f->remote, Ping, PingReply, ping_reply, &request.base, REMOTE_CALL_MS, e);
    if (reply == NULL) {
        return e->code;
    }
    f->clock_ms = reply->now_ms - wall_ms();
    return 0;
}

static void on_wait(uv_timer_t *timer)
{
    struct following *f = timer->data;
    f->waited = true;
}

static void wait_a_little(struct following *f)
{
    uv_timer_t timer;
    uv_timer_init(&f->remote->loop, &timer);
    timer.data = f;
    f->waited = false;
    uv_timer_start(&timer, on_wait, RETRY_MS, 0);
    while (!f->waited && !f->interrupted) {
        uv_run(&f->remote->loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&f->remote->loop, UV_RUN_NOWAIT);
}

/* False: given up. */
static bool reconnect(struct following *f, const struct error *why)
{
    int64_t now = wall_ms();
    if (f->lost_at_ms == 0) {
        f->lost_at_ms = now;
        note(f, arena_printf(f->context->arena,
                             "lockstep: lost the controller (%s); the run goes on without us; "
                             "trying again for %d s",
                             why->message, WATCH_RECONNECT_MS / 1000));
    }
    if (now - f->lost_at_ms > WATCH_RECONNECT_MS) {
        return false;
    }
    wait_a_little(f);
    struct error e = {0};
    return remote_reconnect(f->remote, &e) == 0;
}

static void is_answered(struct following *f)
{
    if (f->lost_at_ms != 0) {
        f->lost_at_ms = 0;
        note(f, "lockstep: the controller is back");
    }
}

static int follow_once(struct following *f, struct error *e)
{
    int r = ask_clock(f, e);
    if (r < 0) {
        return r;
    }
    is_answered(f);
    Lockstep__V1__WatchRequest request = LOCKSTEP__V1__WATCH_REQUEST__INIT;
    const char *run = f->watch.begun ? f->watch.run : f->run;
    request.run = run != NULL ? (char *)run : "";
    request.after = f->watch.last_number;
    return remote_stream(f->remote, "Watch", &request.base, &lockstep__v1__watch_event__descriptor,
                         seen, f, e);
}

/* What the controller says of the run now: events of an old pause are told again before those that ended it. */
static int still_paused(struct following *f, bool *ret, struct error *e)
{
    const Lockstep__V1__RunSummary *now = NULL;
    int r = watch_ask(f->remote, &f->watch, &now, e);
    *ret = r == 0 && now != NULL && str_equal(now->state, rollout_state_name(f->watch.state));
    return r;
}

/* ---- the end ---- */

static int exit_of(const struct watch *w)
{
    switch (w->state) {
    case ROLLOUT_SUCCEEDED:
        return w->takes_back != NULL ? CLI_ROLLED_BACK : CLI_DONE;
    case ROLLOUT_PAUSED:
        return CLI_PAUSED;
    case ROLLOUT_ABORTED:
        return CLI_ABORTED;
    case ROLLOUT_INCOMPLETE:
        return CLI_LEFT_BEHIND;
    case ROLLOUT_READY:
    case ROLLOUT_RUNNING:
    case ROLLOUT_ABORTING:
    case ROLLOUT_WAITING:
    case ROLLOUT_FAILED:
        break;
    }
    return CLI_FAILED;
}

static void finish(struct following *f)
{
    struct arena arena;
    struct buf out;
    arena_init(&arena);
    buf_init(&out, &arena, TEXT_BYTES_MAX);
    if (f->context->json) {
        if (f->request->summary) {
            print_json(watch_summary_json(&f->watch, &arena));
        }
    } else {
        if (f->live) {
            draw(f);
            watch_failures(&f->watch, &out);
        }
        watch_end_line(&f->watch, controller_now(f), &out);
        if (f->request->summary) {
            buf_putc(&out, '\n');
            watch_summary(&f->watch, &arena, &out);
        }
        fputs(buf_text(&out), stdout);
    }
    fflush(stdout);
    arena_deinit(&arena);
}

/* ---- the run that takes it back ---- */

static void tell_back(struct following *f, const char *text, const char *problem)
{
    if (f->context->json) {
        print_json(json_pack("{s:s, s:o, s:o}", "event", "back", "run", json_text(f->watch.run),
                             "problem", json_text(problem)));
    } else {
        printf("%s\n", text);
    }
    fflush(stdout);
}

/* The run has ended and is taken back: waits for the run that does it. 0: that one is followed from now on; else *ret_status. */
static int go_back(struct following *f, int *ret_status, struct error *e)
{
    char told[LIMIT_ERROR_BYTES] = "";
    int64_t since_ms = wall_ms();
    while (!f->interrupted) {
        struct watch_back back = {0};
        int r = watch_back_ask(f->remote, &f->watch, f->context->arena, &back, e);
        if (r < 0) {
            return r;
        }
        is_answered(f);
        if (back.by != NULL) {
            f->run = back.by;
            watch_init(&f->watch, f->context->arena);
            f->lines_drawn = 0;
            f->still = false;
            f->news_at_ms = wall_ms();
            return 0;
        }
        if (!back.wanted) {
            tell_back(f, back.text, NULL);
            *ret_status = back.is_back ? CLI_ROLLED_BACK : CLI_ABORTED;
            return 1;
        }
        if (back.problem != NULL && strcmp(told, back.problem) != 0) {
            snprintf(told, sizeof(told), "%s", back.problem);
            tell_back(f, back.text, back.problem);
        }
        if (back.problem != NULL && !f->request->stay && wall_ms() - since_ms >= BACK_MS) {
            *ret_status = CLI_PAUSED;
            return 1;
        }
        wait_a_little(f);
    }
    return error_set(e, E_CANCELLED, "interrupted");
}

/* Follows until there is a reason to leave. */
static int follow(struct following *f)
{
    while (true) {
        struct error e = {0};
        int status = CLI_FAILED;
        bool ended = f->watch.begun && watch_is_over(&f->watch);
        int r = ended ? 0 : follow_once(f, &e);
        if (f->e.code < 0) {
            say_error(&f->e);
            return CLI_FAILED;
        }
        if (f->interrupted) {
            const char *run = f->watch.begun ? f->watch.run : "";
            say("no longer watching; the run goes on: lockstep watch %s", run);
            return WATCH_INTERRUPTED;
        }
        if (watch_is_over(&f->watch)) {
            if (!ended) {
                finish(f);
                f->still = true;
            }
            if (!f->watch.rolls_back) {
                return exit_of(&f->watch);
            }
            r = go_back(f, &status, &e);
            if (r > 0) {
                return status;
            }
            if (r == 0 || f->interrupted) {
                continue;
            }
        }
        if (r == E_CANCELLED && f->ask) {
            bool paused = false;
            f->ask = false;
            f->news_at_ms = wall_ms();
            r = still_paused(f, &paused, &e);
            if (r == 0 && paused) {
                finish(f);
                return CLI_PAUSED;
            }
            if (r == 0) {
                continue;
            }
        }
        if (r == 0) { /* the stream ended before the run did: the controller goes away */
            r = error_set(&e, E_UNAVAILABLE, "the controller ended the stream");
        }
        if ((!f->watch.begun && f->run == f->request->run) || !remote_is_lost(f->remote, r)) {
            return remote_fail(f->remote, &e);
        }
        if (!reconnect(f, &e) && !f->interrupted) {
            say("the controller did not come back; the run may go on: lockstep watch %s",
                f->watch.begun ? f->watch.run : f->run);
            return CLI_UNREACHABLE;
        }
    }
}

int watch_follow(struct context *c, struct remote *r, const struct watch_request *request)
{
    struct following *f = ARENA_NEW(c->arena, struct following);
    f->context = c;
    f->remote = r;
    f->request = request;
    f->run = request->run;
    f->live = !c->json && is_terminal(stdout);
    f->told_at_ms = wall_ms();
    f->news_at_ms = f->told_at_ms;
    watch_init(&f->watch, c->arena);
    uv_timer_init(&r->loop, &f->tick);
    uv_signal_init(&r->loop, &f->signal);
    f->tick.data = f;
    f->signal.data = f;
    uv_timer_start(&f->tick, on_tick, TICK_MS, TICK_MS);
    uv_signal_start(&f->signal, on_signal, SIGINT);
    int status = follow(f);
    uv_close((uv_handle_t *)&f->tick, NULL);
    uv_close((uv_handle_t *)&f->signal, NULL);
    uv_run(&r->loop, UV_RUN_NOWAIT);
    return status;
}
