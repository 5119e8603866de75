/* Owns what people see of fleets. What is told of a fleet that goes on is told when it is durable. */
#include <stdlib.h>

#include "controller/fleet.h"
#include "controller/reply.h"
#include "lib/base/str.h"
#include "lib/wire/pack.h"

struct fleet_watcher {
    struct fleet_watcher *next;
    struct fleet_run *fleet; /* borrowed; NULL: it is over */
    struct rpc_call *call;   /* borrowed */
    bool behind;             /* a status waits until the call has drained */
};

static char *text(const char *s)
{
    return s != NULL ? (char *)s : "";
}

static const struct fleet_stage_spec *stage_of(const struct fleet_run *f, uint32_t stage)
{
    return LIST_AT(&f->spec->stages, const struct fleet_stage_spec, stage);
}

static Lockstep__V1__FleetMember *member_status(const struct fleet_run *f, struct arena *arena,
                                                uint32_t member)
{
    const struct member_view view = fleet_member(f->machine, member);
    Lockstep__V1__FleetMember *status = ARENA_NEW(arena, Lockstep__V1__FleetMember);
    lockstep__v1__fleet_member__init(status);
    status->cluster = text(view.cluster);
    status->stage = text(stage_of(f, view.stage)->name);
    status->state = text(member_state_name(view.state));
    status->run = text(view.run);
    status->from = text(view.from);
    status->to = text(view.to);
    status->why = text(view.why);
    status->run_paused = view.run_paused;
    return status;
}

static Lockstep__V1__FleetStatus *status_of(const struct fleet_run *f, struct arena *arena)
{
    Lockstep__V1__FleetStatus *status = ARENA_NEW(arena, Lockstep__V1__FleetStatus);
    lockstep__v1__fleet_status__init(status);
    size_t count = fleet_members(f->machine);
    status->fleet = text(f->stored.fleet);
    status->name = text(f->stored.name);
    status->version = text(f->stored.version);
    status->state = text(fleet_state_name(fleet_state(f->machine)));
    status->stage = text(stage_of(f, fleet_stage(f->machine))->name);
    status->why = text(fleet_why(f->machine));
    status->who = text(f->stored.who);
    status->started_ms = f->stored.started_ms;
    status->ended_ms = f->stored.ended_ms;
    status->until_ms = fleet_state(f->machine) == FLEET_SOAKING ? fleet_deadline(f->machine) : 0;
    status->members = ARENA_ARRAY(arena, count, Lockstep__V1__FleetMember *);
    for (uint32_t i = 0; i < count; i++) {
        status->members[status->n_members++] = member_status(f, arena, i);
    }
    return status;
}

static struct fleet_run *find_fleet(struct controller *c, const char *id)
{
    struct fleet_run *f = c->fleets;
    while (f != NULL && !str_equal(f->stored.fleet, id)) {
        f = f->next;
    }
    return f;
}

static int read_status(struct controller *c, struct arena *arena, const struct stored_fleet *stored,
                       Lockstep__V1__FleetStatus **ret, struct error *e)
{
    struct fleet_run *f = find_fleet(c, stored->fleet);
    if (f != NULL) {
        *ret = status_of(f, arena);
        return 0;
    }
    int r = fleet_read(c, stored, &f, e); /* it is over, and read back for this alone */
    if (r == 0) {
        Lockstep__V1__FleetStatus *status = status_of(f, &f->arena);
        struct bytes packed = {0};
        r = wire_pack(arena, &status->base, &packed, e);
        fleet_free(f);
        *ret = r == 0 ? (Lockstep__V1__FleetStatus *)REPLY_REQUEST(FleetStatus, fleet_status, arena,
                                                                   packed, e)
                      : NULL;
        r = *ret == NULL ? e->code : 0;
    }
    return r;
}

/* What the store alone says of a fleet that cannot be read back: one such fleet hides no other. */
static Lockstep__V1__FleetStatus *stored_status(struct arena *arena,
                                                const struct stored_fleet *stored, const char *why)
{
    Lockstep__V1__FleetStatus *status = ARENA_NEW(arena, Lockstep__V1__FleetStatus);
    lockstep__v1__fleet_status__init(status);
    status->fleet = text(stored->fleet);
    status->name = text(stored->name);
    status->version = text(stored->version);
    status->state = text(stored->state);
    status->why = arena_printf(arena, "it cannot be read back: %s", why);
    status->who = text(stored->who);
    status->started_ms = stored->started_ms;
    status->ended_ms = stored->ended_ms;
    return status;
}

Lockstep__V1__FleetStatus *fleets_status(struct controller *c, struct arena *arena,
                                         const struct stored_fleet *stored)
{
    struct error e = {0};
    Lockstep__V1__FleetStatus *status = NULL;
    return read_status(c, arena, stored, &status, &e) < 0 ? stored_status(arena, stored, e.message)
                                                          : status;
}

/* ---- watchers ---- */

static void send_status(struct fleet_watcher *w)
{
    struct arena arena;
    arena_init(&arena);
    w->behind = rpc_call_queued_bytes(w->call) > LIMIT_CHUNK_BYTES;
    if (!w->behind) {
        reply_send(w->call, &status_of(w->fleet, &arena)->base);
    }
    arena_deinit(&arena);
}

void fleet_tell(struct fleet_run *f)
{
    for (struct fleet_watcher *w = f->watchers, *next; w != NULL; w = next) {
        next = w->next;
        send_status(w);
    }
}

void fleet_tell_end(struct fleet_run *f)
{
    struct arena arena;
    arena_init(&arena);
    while (f->watchers != NULL) {
        struct fleet_watcher *w = f->watchers;
        f->watchers = w->next;
        w->fleet = NULL;
        reply_last(w->call, &status_of(f, &arena)->base); /* `w` may be gone after it */
    }
    arena_deinit(&arena);
}

struct fleet_watcher *fleets_watch(struct controller *c, struct rpc_call *call, const char *id,
                                   bool once)
{
    struct fleet_run *f = find_fleet(c, id);
    if (f == NULL || once) {
        struct arena arena;
        arena_init(&arena);
        struct error e = {0};
        struct stored_fleet stored = {0};
        Lockstep__V1__FleetStatus *status = NULL;
        if (store_fleet(c->store, &arena, id, &stored, &e) < 0 ||
            (!once && read_status(c, &arena, &stored, &status, &e) < 0)) {
            rpc_call_finish_error(call, &e);
        } else {
            status = once ? fleets_status(c, &arena, &stored) : status;
            reply_last(call, &status->base);
        }
        arena_deinit(&arena);
        return NULL;
    }
    struct fleet_watcher *w = calloc(1, sizeof(*w));
    assert(w != NULL);
    w->call = call;
    w->fleet = f;
    w->next = f->watchers;
    f->watchers = w;
    send_status(w);
    return w;
}

void fleets_watch_go_on(struct fleet_watcher *w)
{
    if (w->fleet != NULL && w->behind) {
        send_status(w);
    }
}

void fleets_unwatch(struct fleet_watcher *w)
{
    if (w->fleet != NULL) {
        struct fleet_watcher **link = &w->fleet->watchers;
        while (*link != w) {
            link = &(*link)->next;
        }
        *link = w->next;
    }
    free(w);
}
