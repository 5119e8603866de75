/* Owns what operators see and say of fleets. A fleet whose file, clusters or version are wrong is not begun. */
#include <string.h>

#include "controller/fleets.h"
#include "controller/operator.h"
#include "controller/planning.h"
#include "lib/base/str.h"

/* ---- applying ---- */

struct fleet_check {
    struct controller *controller;
    struct arena *arena;
    const struct spec *spec; /* of the fleet */
    struct complaints *complaints;
    const char *application; /* of the first cluster; NULL: none is known yet */
    const char *first;
};

static void complain(struct fleet_check *check, const void *field, const char *message)
{
    struct mark at = marks_find(check->spec->fleet_marks, field);
    complaints_add(check->complaints, at.file, at.line, at.column, "%s", message);
}

/* A cluster that is held, of the same application as the others, which lists the version. */
static int check_cluster(struct fleet_check *check, const char *const *name, struct error *e)
{
    struct stored_revision revision = {0};
    struct spec spec = {0};
    struct complaints unheard; /* its own plan will say them */
    complaints_init(&unheard, check->arena);
    int r = store_revision(check->controller->store, check->arena, *name, 0, &revision, e);
    if (r == E_NOT_FOUND) {
        complain(check, name,
                 arena_printf(check->arena,
                              "the controller holds no cluster \"%s\": lockstep cluster put FILE",
                              *name));
        return 0;
    }
    const Lockstep__V1__Bundle *bundle =
        r == 0 ? REPLY_REQUEST(Bundle, bundle, check->arena, revision.bundle, e) : NULL;
    if (bundle == NULL) {
        return e->code;
    }
    bundle_read(check->arena, bundle, &spec, &unheard);
    if (check->application == NULL) {
        check->application = revision.application;
        check->first = *name;
    }
    if (!str_equal(check->application, revision.application)) {
        complain(check, name,
                 arena_printf(check->arena,
                              "cluster \"%s\" runs %s, and \"%s\" runs %s: the clusters of a fleet "
                              "run one application",
                              *name, revision.application, check->first, check->application));
    } else if (spec.application != NULL &&
               application_release(spec.application, check->spec->fleet->version) == NULL) {
        complain(
            check, name,
            arena_printf(check->arena,
                         "the application of cluster \"%s\" (revision %u) lists no release %s: "
                         "lockstep cluster put FILE",
                         *name, revision.number, check->spec->fleet->version));
    }
    return 0;
}

static int check_fleet(struct fleet_check *check, struct error *e)
{
    const struct list *stages = &check->spec->fleet->stages;
    int r = 0;
    for (size_t i = 0; r == 0 && i < stages->count; i++) {
        const struct strings *clusters =
            &LIST_AT(stages, const struct fleet_stage_spec, i)->clusters;
        for (size_t j = 0; r == 0 && j < clusters->count; j++) {
            r = check_cluster(check, &clusters->items[j], e);
        }
    }
    return r;
}

void operator_apply_fleet(struct rpc_call *call, struct bytes message)
{
    if (!reply_allowed(call, ROLE_OPERATOR)) {
        return;
    }
    struct arena arena;
    arena_init(&arena);
    struct error e = {0};
    struct complaints complaints;
    complaints_init(&complaints, &arena);
    struct spec spec = {0};
    struct controller *c = reply_controller(call);
    Lockstep__V1__ApplyFleetReply reply = LOCKSTEP__V1__APPLY_FLEET_REPLY__INIT;
    const Lockstep__V1__ApplyFleetRequest *request =
        REPLY_REQUEST(ApplyFleetRequest, apply_fleet_request, &arena, message, &e);
    int r = request == NULL           ? e.code
            : request->bundle == NULL ? error_set(&e, E_INVALID, "there is no file of a Fleet")
                                      : 0;
    if (r == 0 && bundle_read(&arena, request->bundle, &spec, &complaints) == 0) {
        struct fleet_check check = {
            .controller = c, .arena = &arena, .spec = &spec, .complaints = &complaints};
        r = spec.fleet == NULL ? error_set(&e, E_INVALID, "there is no Fleet in these files")
                               : check_fleet(&check, &e);
    }
    if (r == 0 && complaints.count == 0) {
        const struct fleets_request apply = {.bundle = request->bundle,
                                             .spec = &spec,
                                             .who = reply_who(call),
                                             .acknowledged = request->acknowledged};
        const char *id = NULL;
        r = fleets_apply(c, &arena, &apply, &id, &e);
        reply.fleet = r == 0 ? (char *)id : reply.fleet;
    }
    if (r < 0) {
        rpc_call_finish_error(call, &e);
    } else {
        complaints_sort(&complaints);
        reply.n_complaints = complaints.count;
        reply.complaints = reply_complaints(&arena, complaints.items, complaints.count);
        reply_last(call, &reply.base);
    }
    arena_deinit(&arena);
}

/* ---- looking ---- */

void operator_list_fleets(struct rpc_call *call, struct bytes message UNUSED)
{
    if (!reply_allowed(call, ROLE_VIEWER)) {
        return;
    }
    struct arena arena;
    arena_init(&arena);
    struct error e = {0};
    struct stored_fleets fleets = {0};
    struct controller *c = reply_controller(call);
    Lockstep__V1__ListFleetsReply reply = LOCKSTEP__V1__LIST_FLEETS_REPLY__INIT;
    int r = store_fleets(c->store, &arena, true, &fleets, &e);
    reply.fleets = ARENA_ARRAY(&arena, fleets.count + 1, Lockstep__V1__FleetStatus *);
    for (size_t i = 0; i < fleets.count; i++) {
        reply.fleets[reply.n_fleets++] = fleets_status(c, &arena, &fleets.items[i]);
    }
    if (r < 0) {
        rpc_call_finish_error(call, &e);
    } else {
        reply_last(call, &reply.base);
    }
    arena_deinit(&arena);
}

void operator_watch_fleet(struct rpc_call *call, struct bytes message)
{
    if (rpc_call_get_data(call) != NULL || !reply_allowed(call, ROLE_VIEWER)) {
        return;
    }
    struct controller *c = reply_controller(call);
    struct arena arena;
    arena_init(&arena);
    struct error e = {0};
    struct stored_fleet stored = {0};
    const Lockstep__V1__WatchFleetRequest *request =
        REPLY_REQUEST(WatchFleetRequest, watch_fleet_request, &arena, message, &e);
    if (request == NULL ||
        store_fleet(c->store, &arena, str_empty(request->fleet) ? NULL : request->fleet, &stored,
                    &e) < 0) {
        rpc_call_finish_error(call, &e);
    } else {
        struct fleet_watcher *w = fleets_watch(c, call, stored.fleet, request->once);
        if (w != NULL) {
            rpc_call_set_data(call, w);
        }
    }
    arena_deinit(&arena);
}

void operator_watch_fleet_drained(struct rpc_call *call)
{
    struct fleet_watcher *w = rpc_call_get_data(call);
    if (w != NULL) {
        fleets_watch_go_on(w);
    }
}

void operator_watch_fleet_closed(struct rpc_call *call, enum rpc_status status UNUSED,
                                 const char *message UNUSED)
{
    struct fleet_watcher *w = rpc_call_get_data(call);
    if (w != NULL) {
        rpc_call_set_data(call, NULL);
        fleets_unwatch(w);
    }
}

/* ---- words ---- */

static int read_word(struct rpc_call *call, const Lockstep__V1__FleetWordRequest *request,
                     struct fleet_event *ret, struct error *e)
{
    *ret = (struct fleet_event){.type = FLEET_EVENT_WORD,
                                .cluster = str_empty(request->cluster) ? NULL : request->cluster,
                                .why = str_empty(request->why) ? NULL : request->why,
                                .who = reply_who(call)};
    if (strlen(request->why) >= LIMIT_ERROR_BYTES - LIMIT_NAME_BYTES * 2) {
        return error_set(e, E_LIMIT, "why may have %d bytes: say it shorter",
                         LIMIT_ERROR_BYTES - LIMIT_NAME_BYTES * 2 - 1);
    }
    for (int i = 0; i < FLEET_WORDS; i++) {
        if (str_equal(request->word, fleet_word_name((enum fleet_word)i))) {
            ret->word = (enum fleet_word)i;
            return 0;
        }
    }
    return error_set(e, E_INVALID,
                     "\"%s\" is no word for a fleet: pause, resume, skip, approve, abort",
                     request->word);
}

void operator_fleet_word(struct rpc_call *call, struct bytes message)
{
    if (!reply_allowed(call, ROLE_OPERATOR)) {
        return;
    }
    struct controller *c = reply_controller(call);
    struct arena arena;
    arena_init(&arena);
    struct error e = {0};
    struct fleet_event word = {0};
    struct stored_fleet stored = {0};
    const char *state = NULL;
    const Lockstep__V1__FleetWordRequest *request =
        REPLY_REQUEST(FleetWordRequest, fleet_word_request, &arena, message, &e);
    int r = request == NULL ? e.code : read_word(call, request, &word, &e);
    if (r == 0 && word.word == FLEET_WORD_APPROVE && !reply_allowed(call, ROLE_APPROVER)) {
        arena_deinit(&arena);
        return;
    }
    if (r == 0) {
        r = store_fleet(c->store, &arena, str_empty(request->fleet) ? NULL : request->fleet,
                        &stored, &e);
    }
    r = r < 0 ? r : fleets_word(c, stored.fleet, &word, &state, &e);
    if (r < 0) {
        rpc_call_finish_error(call, &e);
    } else {
        Lockstep__V1__FleetWordReply reply = LOCKSTEP__V1__FLEET_WORD_REPLY__INIT;
        reply.state = (char *)state;
        reply.name = (char *)stored.name;
        reply_last(call, &reply.base);
    }
    arena_deinit(&arena);
}
