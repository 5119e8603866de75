/* Owns the templates of Lockstep's own steps on nodes. Refuses a release without an artifact. */
#include <string.h>

#include "lib/base/str.h"
#include "lib/plan/compiler.h"

static int64_t service_limit(const struct compiler *c)
{
    const struct service *service = c->app->service;
    return service != NULL && service->within_ms > 0 ? service->within_ms : SERVICE_MS;
}

void step_service(struct compiler *c, struct plan_phase *phase, size_t hop, enum service_verb verb)
{
    if (c->app->service == NULL) {
        return;
    }
    struct plan_step *step = add_step(c, phase, verb == SERVICE_STOP ? "stop" : "start", NULL, NULL,
                                      service_limit(c) + SLACK_MS);
    struct service_action raw = {verb, c->app->service, c->layout};
    struct action in = {.service = &raw};
    resolve_shape(c, hop, NULL, &action_shape, &in, step->action);
}

static struct artifact_ref artifact_of(const struct known_release *r)
{
    return (struct artifact_ref){r->sha256, r->bytes, r->version};
}

void step_swap(struct compiler *c, struct plan_phase *phase, const struct known_release *release)
{
    struct plan_step *step = add_step(c, phase, "swap", release->version, NULL, SWAP_MS);
    struct swap_action *a = ARENA_NEW(c->arena, struct swap_action);
    *a = (struct swap_action){artifact_of(release), c->layout, c->app->layout->keep};
    step->action->swap = a;
}

void step_permit(struct compiler *c, struct plan_phase *phase, size_t hop)
{
    struct strings words = {0};
    const struct hop_state *h = &c->hops[hop];
    for (size_t i = 0; i < h->database_count; i++) {
        const struct hop_database *db = &h->databases[i];
        if (db->schema_to >= 0) {
            strings_push(
                c->arena, &words,
                arena_printf(c->arena, "%s %lld", db->app->name, (long long)db->schema_to));
        }
    }
    struct plan_step *step = add_step(c, phase, "permit", NULL, NULL, DENY_MS);
    struct permit_action *a = ARENA_NEW(c->arena, struct permit_action);
    *a = (struct permit_action){h->to, str_join(c->arena, words.items, words.count)};
    step->action->permit = a;
}

void step_deny(struct compiler *c, struct plan_phase *phase)
{
    struct plan_step *step = add_step(c, phase, "deny", NULL, NULL, DENY_MS);
    struct deny_action *a = ARENA_NEW(c->arena, struct deny_action);
    a->reason = arena_printf(c->arena, "run ${run}: %s -> %s",
                             c->plan->from != NULL ? c->plan->from : "nothing", c->to);
    step->action->deny = a;
}

static bool is_denied(const struct compiler *c, size_t node, const void *unused)
{
    (void)unused;
    return c->nodes[node].lift && !c->nodes[node].permitted;
}

void phase_lift(struct compiler *c)
{
    struct members all = members_all(c);
    struct members denied = members_where(c, "denied", &all, is_denied, NULL);
    if (denied.count == 0) {
        return;
    }
    size_t hop = c->hop_count - 1;
    struct plan_phase *phase = add_nodes_phase(c, (int64_t)hop, "permit", &denied);
    step_permit(c, phase, hop);
    struct plan_step *step = LIST_AT(&phase->steps, struct plan_step, 0);
    step->detail = c->nodes[denied.items[0]].seen->denied;
}

void step_health(struct compiler *c, struct plan_phase *phase, size_t hop, int64_t soak_ms)
{
    if (c->app->health.count == 0 && soak_ms == 0) {
        return;
    }
    struct health_action raw = {.checks = c->app->health,
                                .service = c->app->service,
                                .layout = c->layout,
                                .soak_ms = soak_ms};
    struct action in = {.health = &raw};
    int64_t within = 0;
    int64_t row = 0;
    for (size_t i = 0; i < raw.checks.count; i++) {
        const struct check *check = LIST_AT(&raw.checks, struct check, i);
        within = MAX(within, check->within_ms);
        row = MAX(row, check->consecutive);
    }
    struct plan_step *step = add_step(c, phase, "health", NULL, NULL, within + soak_ms + SLACK_MS);
    resolve_shape(c, hop, NULL, &action_shape, &in, step->action);
    step->detail = arena_printf(c->arena, "%lld in a row within %s%s%s", (long long)row,
                                str_duration(c->arena, within), soak_ms > 0 ? ", then soak " : "",
                                soak_ms > 0 ? str_duration(c->arena, soak_ms) : "");
}

void phase_check(struct compiler *c)
{
    if (c->cluster->check.count == 0) {
        return;
    }
    struct health_action raw = {.checks = c->cluster->check};
    struct action in = {.health = &raw};
    int64_t within = 0;
    for (size_t i = 0; i < raw.checks.count; i++) {
        within = MAX(within, LIST_AT(&raw.checks, struct check, i)->within_ms);
    }
    struct plan_phase *phase = add_once_phase(c, (int64_t)c->hop_count, "check");
    phase->disruptive = true;
    struct plan_step *step =
        add_step(c, phase, "check", "the site", PLAN_CONTROLLER, within + SLACK_MS);
    resolve_shape(c, c->hop_count - 1, NULL, &action_shape, &in, step->action);
}

void phase_retire(struct compiler *c, const struct members *members)
{
    struct plan_phase *phase = add_nodes_phase(c, (int64_t)c->hop_count, "retire", members);
    struct plan_step *step = add_step(c, phase, "retire", NULL, NULL, RETIRE_MS);
    struct retire_action *a = ARENA_NEW(c->arena, struct retire_action);
    *a =
        (struct retire_action){.layout = c->layout, .keep_releases = c->app->layout->keep_releases};
    step->action->retire = a;
    phases_retire_migrators(c);
}

/* ---- what must be on a node before anything stops ---- */

bool node_goes_to(const struct compiler *c, size_t node, size_t hop)
{
    const struct node_state *n = &c->nodes[node];
    bool last = hop + 1 == c->hop_count;
    if (!c->hops[hop].started) {
        return false;
    }
    return c->path.count == 1 ? n->swap : n->at < (int64_t)hop + 1 || (last && n->swap);
}

/* The releases that a node must have staged, oldest hop first. */
static struct strings to_stage(struct compiler *c, size_t node)
{
    struct strings list = {0};
    for (size_t h = 0; h < c->hop_count; h++) {
        for (size_t d = 0; d < c->hops[h].database_count; d++) {
            const struct hop_database *db = &c->hops[h].databases[d];
            if (db->tool != NULL && db->runs && db->node == node && db->staged_tree &&
                !strings_have(&list, db->tool_release)) {
                strings_push(c->arena, &list, db->tool_release);
            }
        }
        if (node_goes_to(c, node, h) && !strings_have(&list, c->hops[h].to)) {
            strings_push(c->arena, &list, c->hops[h].to);
        }
    }
    return list;
}

struct group {
    struct members members;
    const struct known_release **releases;
    size_t release_count;
};

static bool same_releases(const struct group *g, const struct known_release **releases,
                          size_t count)
{
    return g->release_count == count &&
           (count == 0 || memcmp(g->releases, releases, count * sizeof(void *)) == 0);
}

static void refuse_artifact(struct compiler *c, size_t node, const char *version)
{
    const struct observed_node *seen = c->nodes[node].seen;
    const struct release_spec *release = release_of(c, version);
    for (size_t i = 0; release != NULL && i < release->artifact.count; i++) {
        const struct artifact_spec *a = LIST_AT(&release->artifact, struct artifact_spec, i);
        if ((a->os == NULL || seen == NULL || str_equal(a->os, seen->os)) &&
            (a->arch == NULL || seen == NULL || str_equal(a->arch, seen->arch))) {
            forbid_at(c, &a->url,
                      "the artifact of %s could not be read: see url: and sha256:", version);
            return;
        }
    }
    forbid_at(c, release != NULL ? (const void *)&release->artifact : NULL,
              "release %s has no artifact for %s/%s, which node %s is: add one", version,
              seen != NULL && seen->os != NULL ? seen->os : "?",
              seen != NULL && seen->arch != NULL ? seen->arch : "?", c->nodes[node].spec->name);
}

static int64_t bytes_of(const struct group *g)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < g->release_count; i++) {
        bytes += g->releases[i]->unpacked_bytes;
    }
    return bytes / 100 * STAGE_BYTES_PERCENT;
}

static void check_disk(struct compiler *c, size_t node, int64_t needed)
{
    const struct observed_node *seen = c->nodes[node].seen;
    /* 0 is not known: preflight looks again. */
    if (seen != NULL && seen->disk_free_bytes > 0 && seen->disk_free_bytes < needed) {
        forbid(c, "node %s has %s free under %s and staging needs %s: make room there", seen->name,
               str_bytes(c->arena, (uint64_t)seen->disk_free_bytes), c->layout,
               str_bytes(c->arena, (uint64_t)needed));
    }
}

/* Nodes that need the same artifacts share a phase; usually all of them do. */
static struct group *group_by_stage(struct compiler *c, const struct members *members,
                                    size_t *ret_count)
{
    struct list groups = {0};
    struct strings told = {0};
    for (size_t i = 0; i < members->count; i++) {
        size_t node = members->items[i];
        struct strings wanted = to_stage(c, node);
        const struct known_release **releases =
            ARENA_ARRAY(c->arena, wanted.count + 1, const struct known_release *);
        size_t count = 0;
        for (size_t r = 0; r < wanted.count; r++) {
            const struct known_release *release = release_for(c, node, wanted.items[r]);
            if (release != NULL) {
                releases[count++] = release;
            } else if (!strings_have(&told, wanted.items[r])) {
                strings_push(c->arena, &told, wanted.items[r]);
                refuse_artifact(c, node, wanted.items[r]);
            }
        }
        size_t g = 0;
        while (g < groups.count &&
               !same_releases(LIST_AT(&groups, struct group, g), releases, count)) {
            g++;
        }
        if (g == groups.count) {
            struct group *group = list_push(c->arena, &groups, sizeof(*group));
            group->members.items = ARENA_ARRAY(c->arena, members->count, size_t);
            group->releases = releases;
            group->release_count = count;
        }
        struct group *group = LIST_AT(&groups, struct group, g);
        group->members.items[group->members.count++] = node;
        check_disk(c, node, bytes_of(group) + migrators_bytes(c, node));
    }
    for (size_t g = 0; g < groups.count; g++) {
        struct group *group = LIST_AT(&groups, struct group, g);
        group->members.name = groups.count == 1
                                  ? members->name
                                  : arena_printf(c->arena, "%s, part %zu", members->name, g + 1);
    }
    *ret_count = groups.count;
    return groups.items;
}

static void add_user(struct compiler *c, struct strings *users, const char *user)
{
    if (user == NULL) {
        return;
    }
    const char *group = strchr(user, ':');
    const char *name = group == NULL ? user : arena_strndup(c->arena, user, (size_t)(group - user));
    if (!strings_have(users, name)) {
        strings_push(c->arena, users, name);
    }
}

void phases_preflight(struct compiler *c, const struct members *members)
{
    size_t count = 0;
    struct group *groups = group_by_stage(c, members, &count);
    struct strings users = {0};
    const struct service *service = c->app->service;
    add_user(c, &users, c->app->layout->owner);
    add_user(c, &users,
             service != NULL && service->process != NULL ? service->process->command.user : NULL);
    for (size_t g = 0; g < count; g++) {
        struct plan_phase *phase = add_nodes_phase(c, -1, "preflight", &groups[g].members);
        struct plan_step *step = add_step(c, phase, "preflight", NULL, NULL, PREFLIGHT_MS);
        int64_t migrators = 0;
        for (size_t i = 0; i < groups[g].members.count; i++) {
            migrators = MAX(migrators, migrators_bytes(c, groups[g].members.items[i]));
        }
        struct preflight_action raw = {c->layout, bytes_of(&groups[g]) + migrators, c->app->ports,
                                       c->app->service, users};
        struct action in = {.preflight = &raw};
        resolve_shape(c, 0, NULL, &action_shape, &in, step->action);
    }
}

void phases_stage(struct compiler *c, const struct members *members)
{
    size_t count = 0;
    size_t before = c->complaints->count;
    struct group *groups = group_by_stage(c, members, &count);
    c->complaints->count = before; /* the preflight has said it */
    for (size_t g = 0; g < count; g++) {
        if (groups[g].release_count == 0) {
            continue;
        }
        struct plan_phase *phase = add_nodes_phase(c, -1, "stage", &groups[g].members);
        for (size_t r = 0; r < groups[g].release_count; r++) {
            const struct known_release *release = groups[g].releases[r];
            struct plan_step *step = add_step(c, phase, "stage", release->version, NULL, STAGE_MS);
            step->detail = str_bytes(c->arena, (uint64_t)release->bytes);
            step->retries = STAGE_RETRIES;
            step->backoff_ms = STAGE_BACKOFF_MS;
            struct stage_action *a = ARENA_NEW(c->arena, struct stage_action);
            *a = (struct stage_action){artifact_of(release), c->layout,
                                       c->app->layout->allow_special, c->app->layout->owner};
            step->action->stage = a;
        }
    }
    phases_stage_migrators(c);
}
