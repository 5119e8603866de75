/* Owns the plans of a fleet's members: each from the newest revision of its cluster, to the fleet's version, from what is
 * there when its turn comes. The decisions are lib/plan's and the machine's. */
#include <stdlib.h>

#include "controller/fleet.h"
#include "controller/planning.h"
#include "controller/quarantine.h"
#include "controller/reply.h"
#include "lib/base/str.h"
#include "lib/io/platform/digest.h"

struct member_planning {
    struct member_planning *next; /* owned by the fleet */
    struct fleet_run *fleet;      /* borrowed */
    struct arena arena;
    uint32_t member, attempt;
    struct bytes bundle;
    struct planning *planning;
};

static void end(struct member_planning *p)
{
    struct member_planning **link = &p->fleet->plannings;
    while (*link != p) {
        link = &(*link)->next;
    }
    *link = p->next;
    arena_deinit(&p->arena);
    free(p);
}

static void refuse(struct member_planning *p, const char *why)
{
    fleet_hear(p->fleet, &(struct fleet_event){.type = FLEET_EVENT_REFUSED,
                                               .member = p->member,
                                               .attempt = p->attempt,
                                               .why = why});
}

/* Of what the vendor says, however it is written. */
static const char *application_digest(struct arena *arena, const struct application *application)
{
    json_t *json = shape_to_json(&application_shape, application);
    struct buf text;
    char digest[DIGEST_HEX_BYTES];
    buf_init(&text, arena, LIMIT_FRAME_BYTES);
    json_canonical(json, &text);
    json_decref(json);
    digest_bytes_hex(text.data, text.len, digest);
    return arena_strdup(arena, digest);
}

/* The stages that this member's stage requires and that have shown the way. */
static int find_proved(struct member_planning *p, const struct fleet_way *way, struct strings *ret,
                       struct error *e)
{
    const struct fleet_run *f = p->fleet;
    const struct strings *requires = &LIST_AT(&f->spec->stages, struct fleet_stage_spec,
                                              fleet_member(f->machine, p->member).stage)
                                          ->requires;
    ret->items = ARENA_ARRAY(&p->arena, requires->count + 1, const char *);
    for (size_t i = 0; i < requires->count; i++) {
        const struct stored_evidence evidence = {.fleet = f->stored.name,
                                                 .stage = requires->items[i],
                                                 .application = way->application,
                                                 .from = way->from,
                                                 .to = way->to};
        bool has = false;
        int r = store_evidence_has(f->controller->store, &evidence, &has, e);
        if (r < 0) {
            return r;
        }
        if (has) {
            ret->items[ret->count++] = requires->items[i];
        }
    }
    return 0;
}

static void take_plan(struct member_planning *p, const struct planning_result *result)
{
    struct fleet_event event = {.type = FLEET_EVENT_PLANNED,
                                .member = p->member,
                                .attempt = p->attempt,
                                .nothing_to_do = plan_is_empty(result->plan)};
    struct error e = {0};
    if (result->plan->notes.count > 0 && !p->fleet->stored.acknowledged) {
        refuse(p,
               arena_printf(&p->arena, "%s (read it, then abort the fleet and apply it with --ack)",
                            result->plan->notes.items[0]));
        return;
    }
    const char *quarantine = NULL;
    if (quarantine_words(p->fleet->controller, &p->arena, result->plan, &quarantine, &e) < 0) {
        controller_fail(p->fleet->controller, &e);
        return;
    }
    if (quarantine != NULL && !event.nothing_to_do) {
        refuse(p,
               arena_printf(&p->arena,
                            "this is in quarantine: %.200s. Mend the cause and lockstep apply %s "
                            "--to %s --despite REASON, then resume",
                            quarantine, fleet_member(p->fleet->machine, p->member).cluster,
                            p->fleet->spec->version));
        return;
    }
    event.way =
        (struct fleet_way){.plan_id = result->plan_id,
                           .application = application_digest(&p->arena, result->spec->application),
                           .from = result->plan->from != NULL ? result->plan->from : "",
                           .to = result->plan->to};
    int r = find_proved(p, &event.way, &event.proved, &e);
    if (r == 0 && !event.nothing_to_do) {
        r = store_plan_put(p->fleet->controller->store, result->plan_id, result->plan_json,
                           p->bundle, &e);
    }
    if (r < 0) {
        controller_fail(p->fleet->controller, &e);
    } else {
        fleet_hear(p->fleet, &event);
    }
}

static void planned(void *context, const struct planning_result *result)
{
    struct member_planning *p = context;
    p->planning = NULL;
    if (result->plan != NULL) {
        take_plan(p, result);
    } else if (result->complaint_count == 0) {
        refuse(p, "it could not be planned");
    } else {
        const struct complaint *c = &result->complaints[0];
        const char *more = result->complaint_count > 1
                               ? arena_printf(&p->arena, " (and %zu more: lockstep plan %s)",
                                              result->complaint_count - 1,
                                              fleet_member(p->fleet->machine, p->member).cluster)
                               : "";
        refuse(p, c->line > 0 ? arena_printf(&p->arena, "%s:%d:%d: %s%s", c->file, c->line,
                                             c->column, c->message, more)
                              : arena_printf(&p->arena, "%s%s", c->message, more));
    }
    end(p);
}

static void progress(void *context UNUSED, const char *line UNUSED)
{
}

void fleet_plan_member(struct fleet_run *f, uint32_t member, uint32_t attempt)
{
    struct member_planning *p = calloc(1, sizeof(*p));
    assert(p != NULL);
    arena_init(&p->arena);
    p->fleet = f;
    p->member = member;
    p->attempt = attempt;
    p->next = f->plannings;
    f->plannings = p;
    struct error e = {0};
    struct stored_revision revision = {0};
    int r = store_revision(f->controller->store, &p->arena,
                           fleet_member(f->machine, member).cluster, 0, &revision, &e);
    p->bundle = revision.bundle;
    const Lockstep__V1__Bundle *bundle =
        r == 0 ? REPLY_REQUEST(Bundle, bundle, &p->arena, p->bundle, &e) : NULL;
    if (bundle == NULL) {
        refuse(p, e.message);
        end(p);
        return;
    }
    const struct planning_request request = {.bundle = bundle, .to = f->spec->version};
    const struct planning_callbacks callbacks = {
        .progress = progress, .over = planned, .context = p};
    p->planning = planning_start(f->controller, &request, &callbacks);
}

void fleet_forget_plans(struct fleet_run *f)
{
    for (struct member_planning *p = f->plannings, *next; p != NULL; p = next) {
        next = p->next;
        if (p->planning != NULL) {
            planning_forget(p->planning);
        }
        arena_deinit(&p->arena);
        free(p);
    }
    f->plannings = NULL;
}
