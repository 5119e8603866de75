/*
 * The way back from every state that a run can be stopped in. The real machine walks a compiled plan; its journal is cut after
 * each record, what was under way has or has not had its effect, and the plan back is compiled from what is there then.
 * A model that shares no code with machine and compiler carries out both plans, and looks at every step: no binary
 * beside a schema that it does not run with, no start that is denied, no node too many down, what was done last taken back
 * first. At the end all is as it was before the run.
 */
#include "lib/core/done.h"
#include "lib/core/rollout.h"
#include "tests/unit/plan/texts.h"

#define NODES       3
#define RECORDS_MAX 512
#define MARKS_MAX   8

static const char application[] =
    "lockstep: 1\n"
    "kind: Application\n"
    "name: guestbook\n"
    "versions: semver\n"
    "releases:\n"
    "  - version: \"1.0.0\"\n"
    "    artifact: { url: \"https://g.example/1.0.0.tar.gz\", sha256: " SHA(
        "1111") " }\n"
                "    schema: { main: 2 }\n"
                "    runs_with: { main: \"2..3\" }\n"
                "  - version: \"1.1.0\"\n"
                "    artifact: { url: \"https://g.example/1.1.0.tar.gz\", sha256: " SHA(
                    "2222") " }\n"
                            "    schema: { main: 3 }\n"
                            "    runs_with: { main: \"3\" }\n"
                            "layout: { path: \"/opt/guestbook\", keep: [data] }\n"
                            "service: { systemd: guestbook }\n"
                            "health: [ { http: { url: \"http://127.0.0.1:${node.port}/health\" }, "
                            "within: 2m } ]\n"
                            "databases:\n"
                            "  main: { migrations: { format: morph, dir: migrations } }\n"
                            "extra_steps:\n"
                            "  - name: note\n"
                            "    when: { direction: up }\n"
                            "    scope: once\n"
                            "    after: preflight\n"
                            "    do: [ { run: [bin/note] } ]\n"
                            "    undo: [ { run: [bin/note, --undo] } ]\n"
                            "  - name: module\n"
                            "    when: { direction: up }\n"
                            "    scope: node\n"
                            "    after: swapped\n"
                            "    do: [ { run: [bin/module] } ]\n"
                            "    undo: [ { run: [bin/module, --undo] } ]\n"
                            "  - name: config\n"
                            "    when: { direction: up }\n"
                            "    scope: node\n"
                            "    after: stopped\n"
                            "    do: [ { run: [bin/config] } ]\n"
                            "    undo: [ { run: [bin/config, --undo] } ]\n"
                            "    undo_looks: true\n";

/* ---- the model ---- */

struct node {
    int minor; /* of the release 1.MINOR.0 that is installed */
    bool running, denied;
    char marks[MARKS_MAX + 1]; /* what extra steps have done, the newest last */
};
struct model {
    struct node nodes[NODES];
    int ledger;
    bool noted;
};

static const struct model before = {
    .nodes = {{.running = true}, {.running = true}, {.running = true}}, .ledger = 2};

static int budget;         /* 0: any */
static const char *broken; /* the first rule that was broken; NULL */

static void must(bool holds, const char *rule)
{
    if (!holds && broken == NULL) {
        broken = rule;
    }
}

static void mark(struct node *n, char what, bool undo)
{
    size_t len = strlen(n->marks);
    bool there = strchr(n->marks, what) != NULL;
    if (!undo) {
        must(!there && len < MARKS_MAX, "an extra step is done twice");
        n->marks[len] = what;
    } else if (there) {
        must(n->marks[len - 1] == what, "what was done last is not taken back first");
        n->marks[len - 1] = '\0';
    } else {
        must(what == 'c', "an undo that does not look meets nothing");
    }
}

static void run_command(struct model *m, struct node *n, const struct strings *argv)
{
    bool undo = argv->count > 1 && strcmp(argv->items[1], "--undo") == 0;
    if (strcmp(argv->items[0], "bin/note") == 0) {
        for (int i = 0; undo && i < NODES; i++) {
            must(m->nodes[i].marks[0] == '\0', "the note is taken back before what came after it");
        }
        must(m->noted == undo, "the note is made or taken back twice");
        m->noted = !undo;
    } else {
        mark(n, argv->items[0][4], undo);
    }
}

static void stop(struct model *m, struct node *n)
{
    int down = 0;
    for (int i = 0; i < NODES; i++) {
        down += !m->nodes[i].running || &m->nodes[i] == n ? 1 : 0;
    }
    must(budget == 0 || !n->running || down <= budget, "too many nodes are down");
    n->running = false;
}

static void act(struct model *m, const struct plan_step *step, int node)
{
    const struct action *a = step->action;
    static struct node controller;
    struct node *n = node >= 0 ? &m->nodes[node] : &controller;
    if (a->service != NULL && a->service->verb == SERVICE_STOP) {
        stop(m, n);
    } else if (a->service != NULL) {
        must(!n->denied, "a service is started that is denied");
        n->running = true;
    } else if (a->swap != NULL) {
        must(!n->running, "a running release is swapped");
        n->minor = a->swap->artifact.version[2] - '0';
    } else if (a->deny != NULL || a->permit != NULL) {
        n->denied = a->deny != NULL;
    } else if (a->db_migrate != NULL) {
        int count = (int)a->db_migrate->items.count;
        m->ledger += a->db_migrate->down ? -count : count;
    } else if (a->run != NULL) {
        run_command(m, n, &a->run->command.argv);
    }
    for (int i = 0; i < NODES; i++) {
        const struct node *each = &m->nodes[i];
        must(!each->running || each->minor == 0 || m->ledger == 3,
             "1.1.0 meets a schema that it does not run with");
    }
}

static int node_of(const char *name)
{
    return strncmp(name, "app-", 4) == 0 ? name[4] - '1' : -1;
}

/* Whole phases, as many nodes side by side as each allows: the worst that may happen. */
static void carry_out(struct model *m, const struct plan *plan)
{
    for (size_t p = 0; p < plan->phases.count; p++) {
        const struct plan_phase *phase = plan_phase_at(plan, p);
        size_t steps = phase->steps.count;
        if (phase->scope == PHASE_ONCE) {
            for (size_t s = 0; s < steps; s++) {
                act(m, plan_step_at(plan, p, s), node_of(plan_step_at(plan, p, s)->on));
            }
            continue;
        }
        const struct strings *set =
            &LIST_AT(&plan->node_sets, const struct plan_node_set, phase->node_set)->nodes;
        size_t side = phase->parallel > 0 ? (size_t)phase->parallel : set->count;
        for (size_t first = 0; first < set->count; first += side) {
            for (size_t s = 0; s < steps; s++) {
                for (size_t i = first; i < set->count && i < first + side; i++) {
                    act(m, plan_step_at(plan, p, s), node_of(set->items[i]));
                }
            }
        }
    }
}

/* ---- the run: the real machine over the model ---- */

struct walked {
    struct record records[RECORDS_MAX];
    struct model after[RECORDS_MAX + 1]; /* what is there when so many records are kept */
    size_t count;
    struct step_key asked[RECORDS_MAX]; /* not answered yet */
    size_t asked_count;
};

static void hear(struct rollout *r, struct event event, struct walked *t, struct model *m)
{
    static struct effects out;
    do {
        rollout_step(r, &event, &out);
        event.type = EVENT_MORE;
        for (size_t i = 0; i < out.count; i++) {
            if (out.items[i].type == EFFECT_RECORD) {
                assert_true(t->count < RECORDS_MAX);
                t->records[t->count] = out.items[i].record;
                t->records[t->count].who = NULL;
                t->records[t->count].why = NULL;
                t->after[++t->count] = *m;
            } else if (out.items[i].type == EFFECT_SEND) {
                t->asked[t->asked_count++] = out.items[i].key;
            }
        }
    } while (out.more);
}

/* `newest`: who was asked last answers first. A place other than the controller is well unless it is stopped. */
static void walk(const struct plan *plan, bool newest, struct walked *t)
{
    struct model m = before;
    struct rollout *r = rollout_new(&w.arena, plan);
    memset(t, 0, sizeof(*t));
    t->after[0] = m;
    for (uint32_t i = 0; i <= NODES; i++) {
        uint32_t place = i == NODES ? ROLLOUT_PLACE_CONTROLLER : i;
        hear(r, (struct event){.type = EVENT_PLACE_UP, .now_ms = 1000, .place = place}, t, &m);
        hear(r, (struct event){.type = EVENT_NODE_WELL, .now_ms = 1000, .place = place}, t, &m);
    }
    hear(r, (struct event){.type = EVENT_BEGIN, .now_ms = 1000, .who = "ann"}, t, &m);
    while (t->asked_count > 0) {
        size_t at = newest ? t->asked_count - 1 : 0;
        struct step_key key = t->asked[at];
        memmove(&t->asked[at], &t->asked[at + 1], (t->asked_count - at - 1) * sizeof(key));
        t->asked_count--;
        act(&m, plan_step_at(plan, key.phase, key.step),
            key.place == ROLLOUT_PLACE_CONTROLLER ? -1 : (int)key.place);
        const struct outcome outcome = {.status = OUTCOME_DONE, .ended_ms = 1000};
        hear(r,
             (struct event){.type = EVENT_OUTCOME, .now_ms = 1000, .key = key, .outcome = &outcome},
             t, &m);
        for (uint32_t i = 0; i < NODES; i++) {
            enum event_type type = m.nodes[i].running ? EVENT_NODE_WELL : EVENT_NODE_UNWELL;
            hear(r, (struct event){.type = type, .now_ms = 1000, .place = i}, t, &m);
        }
    }
    assert_int_equal(rollout_state(r), ROLLOUT_SUCCEEDED);
}

/* ---- stopped, and back ---- */

static bool same_key(const struct step_key *a, const struct step_key *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static bool is_answered(const struct walked *t, size_t kept, const struct step_key *key)
{
    for (size_t i = 0; i < kept; i++) {
        if (t->records[i].type == RECORD_OUTCOME && same_key(&t->records[i].key, key)) {
            return true;
        }
    }
    return false;
}

/* What the journal says is done when `kept` records are; what was under way fails, and `acts`: it had its effect before. Of an
 * extra step whose undo looks nothing is heard then; one whose undo does not look ends well: a person sees to it else, and
 * the plan says so. */
static struct model stopped(const struct plan *plan, const struct walked *t, size_t kept, bool acts,
                            struct done *done)
{
    struct model m = t->after[kept];
    done_run(done, plan, "1f2e");
    for (size_t i = 0; i < kept; i++) {
        done_note(done, &t->records[i]);
    }
    for (size_t i = 0; i < kept; i++) {
        const struct record *intent = &t->records[i];
        if (intent->type != RECORD_INTENT || is_answered(t, kept, &intent->key)) {
            continue;
        }
        const struct plan_step *step = plan_step_at(plan, intent->key.phase, intent->key.step);
        bool looks = step->extra != NULL && strcmp(step->extra->step, "config") == 0;
        bool well = acts && step->extra != NULL && !looks;
        struct record outcome = {.type = RECORD_OUTCOME, .key = intent->key, .at_ms = 1000};
        outcome.outcome.status = well ? OUTCOME_DONE : OUTCOME_FAILED;
        if (acts) {
            act(&m, step,
                intent->key.place == ROLLOUT_PLACE_CONTROLLER ? -1 : (int)intent->key.place);
        }
        if (!acts || !looks) {
            done_note(done, &outcome);
        }
    }
    return m;
}

static void observe(const struct model *m)
{
    static const char *const versions[] = {"1.0.0", "1.1.0"};
    world_ledger(&w, (size_t)m->ledger);
    for (int i = 0; i < NODES; i++) {
        struct observed_node *node = &w.inventory.nodes[i];
        node->version = versions[m->nodes[i].minor];
        node->running = m->nodes[i].running;
        node->denied = m->nodes[i].denied ? "denied by run 1f2e" : NULL;
    }
}

static void check_back(const char *name, const struct plan *up, const struct walked *t, size_t kept,
                       bool acts)
{
    struct done *done = done_new(&w.arena);
    struct model m = stopped(up, t, kept, acts, done);
    observe(&m);
    done_list(done, &w.inventory.done, &w.inventory.done_count);
    if (world_compile(&w, "1.0.0") < 0) {
        fail_msg("%s, %zu records, %d: %s", name, kept, acts, w.complaints.items[0].message);
    }
    broken = NULL;
    carry_out(&m, &w.plan);
    bool same = m.ledger == before.ledger && m.noted == before.noted;
    for (int i = 0; i < NODES; i++) {
        const struct node *n = &m.nodes[i];
        same = same && n->minor == 0 && n->running && !n->denied && n->marks[0] == '\0';
    }
    must(same, "the end is not as it was before");
    if (broken != NULL) {
        struct buf text;
        buf_init(&text, &w.arena, 1024 * 1024);
        plan_render(&w.plan, SHA("7f3a"), 120, NULL, &w.arena, &text);
        fail_msg("%s, %zu of %zu records, under way %s: %s\n%s", name, kept, t->count,
                 acts ? "acted" : "did nothing", broken, buf_text(&text));
    }
}

static void back_from_everywhere(const char *name, const char *strategy, bool newest)
{
    static struct walked t;
    world_init(&w);
    world_read(&w, guestbook_cluster(&w, "1.1.0", strategy), application);
    world_release(&w, "1.0.0", 2);
    world_release(&w, "1.1.0", 3);
    observe(&before);
    assert_int_equal(world_compile(&w, NULL), 0);
    budget = w.plan.strategy == STRATEGY_ROLLING ? (int)w.plan.max_unavailable : 0;
    assert_int_equal(budget, strategy[0] != '\0' ? 1 : 0);
    struct plan up = w.plan;
    broken = NULL;
    walk(&up, newest, &t);
    assert_null(broken);
    assert_true(t.count > 60);
    for (size_t kept = 0; kept < t.count; kept++) { /* the last record is its success */
        check_back(name, &up, &t, kept, false);
        check_back(name, &up, &t, kept, true);
    }
}

static void from_every_state_of_an_all_at_once_run_the_way_back_restores_all(void **state UNUSED)
{
    back_from_everywhere("all at once, oldest first", "", false);
    world_deinit(&w);
    back_from_everywhere("all at once, newest first", "", true);
}

static void from_every_state_of_a_rolling_run_the_way_back_restores_all(void **state UNUSED)
{
    back_from_everywhere("rolling, oldest first", ROLLING, false);
    world_deinit(&w);
    back_from_everywhere("rolling, newest first", ROLLING, true);
}

/* ---- past the point of no return ---- */

static const char lossy_up[] = "ALTER TABLE entries DROP COLUMN author;";
static const char lossy_down[] = "ALTER TABLE entries ADD COLUMN author text;";

static void a_lossy_world(const char *strategy)
{
    static const char create[] = "CREATE TABLE entries (id int, author text);";
    static const char drop[] = "DROP TABLE entries;";
#define FILE_OF(name, text, digest)                                                                \
    {                                                                                              \
        name, {(const uint8_t *)(text), sizeof(text) - 1}, digest                                  \
    }
    static const struct migration_file files[] = {
        FILE_OF("000001_create.up.sql", create, SHA("aaa1")),
        FILE_OF("000001_create.down.sql", drop, SHA("aaa2")),
        FILE_OF("000002_drop.up.sql", lossy_up, SHA("aaa3")),
        FILE_OF("000002_drop.down.sql", lossy_down, SHA("aaa4")),
        {0},
    };
    static const struct migration_file older[] = {
        FILE_OF("000001_create.up.sql", create, SHA("aaa1")),
        FILE_OF("000001_create.down.sql", drop, SHA("aaa2")),
        {0},
    };
    const char *text = with(application, "schema: { main: 2 }", "schema: { main: 1 }");
    text = with(text, "{ main: \"2..3\" }", "{ main: \"1..2\" }");
    text = with(text, "schema: { main: 3 }", "schema: { main: 2 }");
    text = with(text, "{ main: \"3\" }", "{ main: \"2\" }");
    world_read(&w, guestbook_cluster(&w, "1.1.0", strategy), text);
    world_release_files(&w, "1.0.0", older);
    world_release_files(&w, "1.1.0", files);
    world_runs(&w, "1.0.0");
    world_ids(&w, "create");
}

static bool loses(const struct plan *plan, const struct record *record)
{
    const struct step_key *key = &record->key;
    return record->type == RECORD_INTENT &&
           plan_step_at(plan, key->phase, key->step)->action->db_migrate != NULL;
}

/* Replays so many records, goes on, and says the word. The refusal, or NULL. *ret_lost: something was begun that loses data. */
static const char *say_rollback(const struct plan *plan, const struct walked *t, size_t kept,
                                bool *ret_lost)
{
    static struct effects out;
    struct rollout *r = rollout_new(&w.arena, plan);
    *ret_lost = false;
    for (size_t i = 0; i < kept; i++) {
        const struct event event = {.type = EVENT_REPLAY, .record = &t->records[i]};
        rollout_step(r, &event, &out);
        *ret_lost = *ret_lost || loses(plan, &t->records[i]);
    }
    struct event event = {.type = EVENT_RESUME, .now_ms = 2000};
    do {
        rollout_step(r, &event, &out);
        event.type = EVENT_MORE;
        for (size_t i = 0; i < out.count; i++) {
            *ret_lost = *ret_lost ||
                        (out.items[i].type == EFFECT_RECORD && loses(plan, &out.items[i].record));
        }
    } while (out.more);
    const struct event word = {
        .type = EVENT_WORD, .now_ms = 2000, .word = {.word = WORD_ROLLBACK, .who = "bob"}};
    rollout_step(r, &word, &out);
    for (size_t i = 0; i < out.count; i++) {
        if (out.items[i].type == EFFECT_REFUSED) {
            return arena_strdup(&w.arena, out.items[i].text);
        }
    }
    assert_true(rollout_rolls_back(r));
    return NULL;
}

static void once_data_is_lost_the_way_back_is_refused_and_the_backup_offered(void **state UNUSED)
{
    static struct walked t;
    world_init(&w);
    a_lossy_world(BACKUP);
    if (world_compile(&w, NULL) < 0) {
        fail_msg("%s", w.complaints.items[0].message);
    }
    struct plan up = w.plan;
    budget = 0;
    walk(&up, false, &t);
    size_t open = 0;
    size_t closed = 0;
    for (size_t kept = 1; kept + 1 < t.count; kept++) { /* behind that it goes on to its end */
        bool lost = false;
        const char *refused = say_rollback(&up, &t, kept, &lost);
        if (lost != (refused != NULL)) {
            fail_msg("%zu records: %s", kept, refused != NULL ? refused : "it is not refused");
        }
        open += refused == NULL ? 1 : 0;
        closed += refused != NULL ? 1 : 0;
        if (refused != NULL) {
            assert_non_null(strstr(refused, "point of no return"));
            assert_non_null(strstr(refused, "lockstep restore demo"));
        }
    }
    assert_true(open > 10 && closed > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(from_every_state_of_an_all_at_once_run_the_way_back_restores_all),
        T(from_every_state_of_a_rolling_run_the_way_back_restores_all),
        T(once_data_is_lost_the_way_back_is_refused_and_the_backup_offered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
