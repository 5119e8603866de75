/* Owns how a fleet is shown: a table, on a terminal drawn again at each change; in a pipe a line for each change. */
#include "cli/fleet_watch.h"

#include <string.h>
#include <uv.h>

#include "cli/output.h"
#include "lib/base/str.h"
#include "lib/wire/pack.h"

#define OUTPUT_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define PIPE_COLUMNS     100
#define RETRY_MS         500
#define RETRIES          120 /* a minute */

struct following {
    struct context *context;
    struct remote *remote;
    bool live, stay;
    const char *fleet;                     /* its id, once it is known */
    struct arena arena;                    /* of `last` */
    const Lockstep__V1__FleetStatus *last; /* NULL: none yet */
    size_t lines_drawn;
};

/* ---- forms ---- */

static const char *way_of(struct arena *arena, const Lockstep__V1__FleetMember *m)
{
    return str_empty(m->to)
               ? ""
               : arena_printf(arena, "%s -> %s", str_empty(m->from) ? "nothing" : m->from, m->to);
}

static const char *state_of(const Lockstep__V1__FleetMember *m)
{
    return m->run_paused ? "paused" : m->state;
}

static void put_state(struct arena *arena, const Lockstep__V1__FleetStatus *s, struct buf *out)
{
    buf_printf(out, "fleet %s to %s is %s%s%s", s->name, s->version, s->state,
               str_empty(s->stage) ? "" : ", at stage ", s->stage);
    if (s->until_ms > 0) {
        buf_printf(out, ", until %s", time_text(arena, s->until_ms));
    }
    buf_printf(out, "%s%s\n", str_empty(s->why) ? "" : ": ", s->why);
    if (str_equal(s->state, "paused")) {
        buf_printf(out, "  lockstep fleet resume, skip or abort %s\n", s->name);
    } else if (str_equal(s->state, "at-gate")) {
        buf_printf(out, "  lockstep fleet approve or abort %s\n", s->name);
    }
}

void fleet_put(struct arena *arena, const Lockstep__V1__FleetStatus *s, struct buf *out)
{
    struct table t;
    put_state(arena, s, out);
    table_init(&t, arena, 6);
    for (size_t i = 0; i < s->n_members; i++) {
        const Lockstep__V1__FleetMember *m = s->members[i];
        bool again = i > 0 && str_equal(s->members[i - 1]->stage, m->stage);
        TABLE_ADD(&t, again ? "" : m->stage, m->cluster, state_of(m), way_of(arena, m), m->run,
                  m->why);
    }
    table_put(&t, "  ", out);
}

json_t *fleet_json(const Lockstep__V1__FleetStatus *s)
{
    json_t *members = json_array();
    for (size_t i = 0; i < s->n_members; i++) {
        const Lockstep__V1__FleetMember *m = s->members[i];
        json_array_append_new(members, json_pack("{s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o}",
                                                 "cluster", json_text(m->cluster), "stage",
                                                 json_text(m->stage), "state", json_text(m->state),
                                                 "run_paused", m->run_paused ? 1 : 0, "run",
                                                 json_text(m->run), "from", json_text(m->from),
                                                 "to", json_text(m->to), "why", json_text(m->why)));
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:o}", "fleet",
                     json_text(s->fleet), "name", json_text(s->name), "version",
                     json_text(s->version), "state", json_text(s->state), "stage",
                     json_text(s->stage), "why", json_text(s->why), "who", json_text(s->who),
                     "started_ms", (json_int_t)s->started_ms, "ended_ms", (json_int_t)s->ended_ms,
                     "until_ms", (json_int_t)s->until_ms, "members", members);
}

/* ---- following ---- */

static void draw(struct following *f, const Lockstep__V1__FleetStatus *s, struct arena *arena)
{
    struct buf out;
    size_t columns = (size_t)terminal_columns(PIPE_COLUMNS);
    buf_init(&out, arena, OUTPUT_BYTES_MAX);
    fleet_put(arena, s, &out);
    if (f->lines_drawn > 0) {
        printf("\033[%zuA\r", f->lines_drawn);
    }
    f->lines_drawn = 0;
    for (const char *line = buf_text(&out); *line != '\0'; f->lines_drawn++) {
        size_t len = strcspn(line, "\n");
        printf("%s\033[K\n", text_cut(arena, arena_strndup(arena, line, len), columns));
        line += len + (line[len] == '\n' ? 1 : 0);
    }
    fputs("\033[J", stdout);
    fflush(stdout);
}

static bool is_news(const Lockstep__V1__FleetMember *now, const Lockstep__V1__FleetMember *before)
{
    if (before == NULL) {
        return !str_equal(now->state, "waiting");
    }
    return !str_equal(state_of(now), state_of(before)) || !str_equal(now->run, before->run) ||
           !str_equal(now->why, before->why);
}

static void put_news(struct following *f, const Lockstep__V1__FleetStatus *s, struct arena *arena)
{
    struct buf out;
    const Lockstep__V1__FleetStatus *last = f->last;
    buf_init(&out, arena, OUTPUT_BYTES_MAX);
    for (size_t i = 0; i < s->n_members; i++) {
        const Lockstep__V1__FleetMember *m = s->members[i];
        if (is_news(m, last != NULL && i < last->n_members ? last->members[i] : NULL)) {
            const char *way = way_of(arena, m);
            buf_printf(&out, "%s: %s is %s%s%s%s%s%s%s\n", m->stage, m->cluster, state_of(m),
                       str_empty(m->run) ? "" : ", run ", m->run, str_empty(way) ? "" : ", ", way,
                       str_empty(m->why) ? "" : ": ", m->why);
        }
    }
    if (last == NULL || !str_equal(s->state, last->state) || !str_equal(s->stage, last->stage) ||
        !str_equal(s->why, last->why)) {
        put_state(arena, s, &out);
    }
    fputs(buf_text(&out), stdout);
    fflush(stdout);
}

static void keep(struct following *f, const ProtobufCMessage *message)
{
    struct error e = {0};
    struct bytes packed = {0};
    const ProtobufCMessage *copy = NULL;
    struct arena arena;
    arena_init(&arena);
    if (wire_pack(&arena, message, &packed, &e) == 0 &&
        wire_unpack(&arena, &lockstep__v1__fleet_status__descriptor, packed, &copy, &e) == 0) {
        arena_deinit(&f->arena);
        f->arena = arena;
        f->last = (const Lockstep__V1__FleetStatus *)copy;
    } else {
        arena_deinit(&arena);
    }
}

static void seen(void *context, const ProtobufCMessage *message)
{
    struct following *f = context;
    const Lockstep__V1__FleetStatus *s = (const Lockstep__V1__FleetStatus *)message;
    struct arena arena;
    arena_init(&arena);
    if (f->context->json) {
        print_json(fleet_json(s));
        fflush(stdout);
    } else if (f->live) {
        draw(f, s, &arena);
    } else {
        put_news(f, s, &arena);
    }
    arena_deinit(&arena);
    f->fleet = f->fleet != NULL ? f->fleet : arena_strdup(f->context->arena, s->fleet);
    keep(f, message);
    if (!f->stay && (str_equal(s->state, "paused") || str_equal(s->state, "at-gate"))) {
        remote_stop(f->remote);
    }
}

/* How the command ends with what was seen last; -1: it goes on. */
static int exit_of(const struct following *f)
{
    const char *state = f->last != NULL ? f->last->state : "";
    if (str_equal(state, "done")) {
        return CLI_DONE;
    }
    if (str_equal(state, "incomplete")) {
        return CLI_LEFT_BEHIND;
    }
    if (str_equal(state, "aborted")) {
        return CLI_ABORTED;
    }
    bool waits = str_equal(state, "paused") || str_equal(state, "at-gate");
    return waits && !f->stay ? CLI_PAUSED : -1;
}

static int follow_once(struct following *f, const char *fleet, struct error *e)
{
    Lockstep__V1__WatchFleetRequest request = LOCKSTEP__V1__WATCH_FLEET_REQUEST__INIT;
    request.fleet = f->fleet != NULL ? (char *)f->fleet : fleet != NULL ? (char *)fleet : "";
    return remote_stream(f->remote, "WatchFleet", &request.base,
                         &lockstep__v1__fleet_status__descriptor, seen, f, e);
}

static int follow(struct following *f, const char *fleet)
{
    for (int tries = 0;; tries++) {
        struct error e = {0};
        const Lockstep__V1__FleetStatus *before = f->last;
        int r = follow_once(f, fleet, &e);
        int status = exit_of(f);
        if (status >= 0) {
            return status;
        }
        if (f->fleet == NULL || (r < 0 && !remote_is_lost(f->remote, r))) {
            return remote_fail(f->remote, &e);
        }
        tries = f->last != before ? 0 : tries;
        if (tries == 0) {
            f->lines_drawn = 0;
            fprintf(stderr, "lockstep: lost the controller; the fleet goes on without us; trying "
                            "again for 60 s\n");
        }
        if (tries == RETRIES) {
            say("the controller did not come back; the fleet may go on: lockstep fleet watch %s",
                f->last->name);
            return CLI_UNREACHABLE;
        }
        uv_sleep(RETRY_MS);
        (void)remote_reconnect(f->remote, &e);
    }
}

int fleet_follow(struct context *c, struct remote *r, const char *fleet, bool stay)
{
    struct following f = {
        .context = c, .remote = r, .live = !c->json && is_terminal(stdout), .stay = stay};
    arena_init(&f.arena);
    int status = follow(&f, fleet);
    arena_deinit(&f.arena);
    return status;
}
