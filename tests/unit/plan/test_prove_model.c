/*
 * The proof of rolling plans against a checker that shares nothing with it. A release's schemas are a set of bits; the
 * checker carries out the steps of the compiled plan itself, in every order that its nodes may take them, and looks at
 * each binary that runs beside each schema. Random small specs, and clusters that a run left half-way; a failure prints
 * its seed, and LOCKSTEP_SEED repeats it.
 */
#include <inttypes.h>
#include <time.h>

#include "tests/unit/plan/texts.h"

#define CASES        1500
#define RELEASES_MAX 5
#define SCHEMAS_MAX  7
#define NODES        3

static uint64_t state_of_random;

static unsigned any(unsigned below)
{
    state_of_random ^= state_of_random << 13;
    state_of_random ^= state_of_random >> 7;
    state_of_random ^= state_of_random << 17;
    return (unsigned)(state_of_random % below);
}

struct release {
    int schema;
    int expand;         /* up to there before the waves, the rest after them; 0: not divided */
    unsigned runs_with; /* bit s: runs with schema s */
};

struct model {
    struct release releases[RELEASES_MAX]; /* release i is (i + 1).0.0 */
    int count;
    int from, to;
    int node[NODES]; /* which release each node has */
    bool running[NODES];
    int ledger; /* the database's schema */
    bool whole; /* all is where `from` has it */
};

/* What a plan makes happen: release r beside schema s. */
struct pairs_met {
    bool met[RELEASES_MAX][SCHEMAS_MAX + 1];
    size_t states;
};

static bool runs(const struct model *m, int release, int schema)
{
    return (m->releases[release].runs_with >> schema & 1) != 0;
}

static bool breaks(const struct model *m, const struct pairs_met *pairs)
{
    for (int r = 0; r < m->count; r++) {
        for (int s = 0; s <= SCHEMAS_MAX; s++) {
            if (pairs->met[r][s] && !runs(m, r, s)) {
                return true;
            }
        }
    }
    return false;
}

/* ---- a random world ---- */

static struct model random_model(void)
{
    struct model m = {.count = (int)any(RELEASES_MAX - 1) + 2};
    int schema = 1;
    for (int i = 0; i < m.count; i++) {
        m.releases[i].schema = schema;
        unsigned more = any(4) == 0 ? any(256) : 0;
        /* Mostly one range around its own, for else nothing ever rolls. */
        for (int s = schema - (int)any(3); s <= schema + (int)any(3); s++) {
            more |= s > 0 ? 1U << s : 0;
        }
        m.releases[i].runs_with = (more | 1U << schema) & 0xfeU;
        int expand = schema - 1 - (int)any(3);
        if (expand > 0 && any(2) == 0) {
            m.releases[i].expand = expand;
            m.releases[i].runs_with |= 1U << expand;
        }
        int further = schema + (int)any(3);
        schema = further > SCHEMAS_MAX ? SCHEMAS_MAX : further;
    }
    m.from = (int)any((unsigned)m.count);
    m.to = (int)any((unsigned)m.count);
    m.whole = any(3) != 0;
    m.ledger = m.releases[m.from].schema;
    if (!m.whole) {
        m.ledger = (int)any((unsigned)m.releases[m.count - 1].schema) + 1;
    }
    for (int n = 0; n < NODES; n++) {
        m.node[n] = m.whole ? m.from : (int)any((unsigned)m.count);
        m.running[n] = m.whole || any(4) != 0;
    }
    return m;
}

static const char *version_of(int release)
{
    static const char *const versions[RELEASES_MAX] = {"1.0.0", "2.0.0", "3.0.0", "4.0.0", "5.0.0"};
    return versions[release];
}

static int release_of(const char *version)
{
    return atoi(version) - 1;
}

static const char *ranges(unsigned bits)
{
    static char text[128];
    int len = 0;
    for (int s = 0; s <= SCHEMAS_MAX; s++) {
        int last = s;
        while ((bits >> (last + 1) & 1) != 0) {
            last++;
        }
        if ((bits >> s & 1) != 0) {
            len += snprintf(text + len, sizeof(text) - (size_t)len, "%s%d..%d",
                            len > 0 ? " || " : "", s, last);
            s = last;
        }
    }
    return text;
}

static const char *application; /* the one of this case */

static const char *application_of(const struct model *m)
{
    struct buf b;
    buf_init(&b, &w.arena, 16384);
    buf_puts(&b, "lockstep: 1\nkind: Application\nname: guestbook\nversions: semver\n"
                 "layout: { path: /opt/guestbook }\nservice: { systemd: guestbook }\n"
                 "databases:\n  main: { migrations: { format: morph, dir: migrations } }\n");
    if (any(2) == 0) {
        buf_puts(&b, "paths: { up: { visit: each-major }, down: { at_most: { majors: 2 } } }\n");
    }
    buf_puts(&b, "releases:\n");
    for (int i = 0; i < m->count; i++) {
        const char *expand =
            arena_printf(&w.arena, " expand: { main: %d },", m->releases[i].expand);
        buf_printf(&b,
                   "  - { version: \"%s\", schema: { main: %d }, runs_with: { main: \"%s\" },%s\n"
                   "      artifact: { url: \"https://g.example/%d.tar.gz\", sha256: %064d } }\n",
                   version_of(i), m->releases[i].schema, ranges(m->releases[i].runs_with),
                   m->releases[i].expand > 0 ? expand : "", i, i);
    }
    return buf_text(&b);
}

static const char *ids_up_to(int schema)
{
    static char text[128];
    int len = 0;
    text[0] = '\0';
    for (int s = 1; s <= schema; s++) {
        len += snprintf(text + len, sizeof(text) - (size_t)len, "%st%d", s > 1 ? " " : "", s);
    }
    return text;
}

static void add_release(int release, int schema)
{
    struct migration_file *files =
        ARENA_ARRAY(&w.arena, (size_t)schema * 2 + 1, struct migration_file);
    for (int s = 1; s <= schema; s++) {
        for (int down = 0; down < 2; down++) {
            const char *sql =
                arena_printf(&w.arena, down ? "DROP TABLE t%d;" : "CREATE TABLE t%d (id int);", s);
            files[(s - 1) * 2 + down] = (struct migration_file){
                arena_printf(&w.arena, "%06d_t%d.%s.sql", s, s, down ? "down" : "up"),
                {(const uint8_t *)sql, strlen(sql)},
                arena_printf(&w.arena, "%063d%d", s, down)};
        }
    }
    world_release_files(&w, version_of(release), files);
}

static void put_in_place(const struct model *m)
{
    for (int n = 0; n < NODES; n++) {
        w.inventory.nodes[n].version = version_of(m->node[n]);
        w.inventory.nodes[n].running = m->running[n];
    }
    world_ids(&w, ids_up_to(m->ledger));
}

static void make_world(const struct model *m)
{
    world_init(&w);
    const char *more = arena_printf(&w.arena,
                                    "strategy: { rolling: { canary: %u, max_unavailable: %u } }\n"
                                    "backup: { when: never }\n",
                                    any(3), any(2) + 1);
    application = application_of(m);
    world_read(&w, guestbook_cluster(&w, version_of(m->to), more), application);
    for (int i = 0; i < m->count; i++) {
        add_release(i, m->releases[i].schema);
    }
    put_in_place(m);
}

/* ---- the checker: carries the compiled plan out ---- */

struct site {
    int node[NODES];
    bool running[NODES];
    bool touched[NODES]; /* the plan has begun something here, or moved the schema beside it */
    int schema;
};

static void look(struct site *s, struct pairs_met *pairs)
{
    pairs->states++;
    for (int n = 0; n < NODES; n++) {
        if (s->running[n] && s->touched[n]) {
            pairs->met[s->node[n]][s->schema] = true;
        }
    }
}

static void node_acts(struct site *s, int n, const struct action *a)
{
    if (a->swap != NULL) {
        s->node[n] = release_of(a->swap->artifact.version);
        s->touched[n] = true;
    } else if (a->service != NULL && a->service->verb == SERVICE_STOP) {
        s->running[n] = false;
    } else if (a->service != NULL) {
        s->running[n] = true;
        s->touched[n] = true;
    }
}

static int node_number(const char *name)
{
    return atoi(name + strlen("app-")) - 1;
}

/* Every node of the set may be behind any of its steps when every other one is behind any of its own. */
static void nodes_act(struct site *s, const struct plan_phase *phase, struct pairs_met *pairs)
{
    const struct plan_node_set *set =
        LIST_AT(&w.plan.node_sets, struct plan_node_set, phase->node_set);
    size_t ways = 1;
    for (size_t i = 0; i < set->nodes.count; i++) {
        ways *= phase->steps.count + 1;
    }
    struct site end = *s;
    for (size_t way = 0; way < ways; way++) {
        struct site now = *s;
        size_t rest = way;
        for (size_t i = 0; i < set->nodes.count; i++) {
            size_t done = rest % (phase->steps.count + 1);
            rest /= phase->steps.count + 1;
            for (size_t step = 0; step < done; step++) {
                node_acts(&now, node_number(set->nodes.items[i]),
                          LIST_AT(&phase->steps, const struct plan_step, step)->action);
            }
        }
        look(&now, pairs);
        end = now; /* the last way: all have done all */
    }
    *s = end;
}

static void once_acts(struct site *s, const struct plan_phase *phase, struct pairs_met *pairs)
{
    for (size_t i = 0; i < phase->steps.count; i++) {
        const struct db_migrate_action *a =
            LIST_AT(&phase->steps, const struct plan_step, i)->action->db_migrate;
        for (size_t k = 0; a != NULL && k < a->items.count; k++) {
            int number = (int)LIST_AT(&a->items, const struct migration_item, k)->version;
            s->schema = a->down ? number - 1 : number;
            for (int n = 0; n < NODES; n++) {
                s->touched[n] = true;
            }
            look(s, pairs);
        }
    }
}

static struct pairs_met carry_out(const struct model *m)
{
    struct pairs_met pairs = {.states = 0};
    struct site s = {.schema = m->ledger};
    memcpy(s.node, m->node, sizeof(s.node));
    memcpy(s.running, m->running, sizeof(s.running));
    for (size_t i = 0; i < w.plan.phases.count; i++) {
        const struct plan_phase *phase = plan_phase_at(&w.plan, i);
        if (phase->scope == PHASE_NODES) {
            nodes_act(&s, phase, &pairs);
        } else {
            once_acts(&s, phase, &pairs);
        }
    }
    for (int n = 0; n < NODES && w.plan.phases.count > 0; n++) {
        assert_int_equal(s.node[n], m->to);
        assert_true(s.running[n]);
    }
    assert_int_equal(s.schema, m->releases[m->to].schema);
    return pairs;
}

/* ---- what rolling over a way would meet, from a whole start: by hand ---- */

static struct pairs_met roll_by_hand(const struct model *m, const struct strings *way)
{
    struct pairs_met pairs = {.states = 0};
    for (size_t i = 0; i + 1 < way->count; i++) {
        int a = release_of(way->items[i]);
        int b = release_of(way->items[i + 1]);
        int schema = m->releases[a].schema;
        int end = m->releases[b].schema;
        int older = MIN(a, b);
        int newer = MAX(a, b);
        int divide = m->releases[newer].expand;
        /* The newer one is there while the contracting part is, the older one while the expanding one is. */
        for (int s = MIN(schema, end); s <= MAX(schema, end); s++) {
            if (divide == 0 || s <= MAX(divide, MIN(schema, end))) {
                pairs.met[older][s] = true;
            }
            if (divide > 0 && s >= MIN(divide, MAX(schema, end))) {
                pairs.met[newer][s] = true;
            }
        }
        pairs.met[b][end] = true;
    }
    return pairs;
}

/* ---- the comparison ---- */

static uint64_t seed;
static int number_of_case;

static void wrong(const struct model *m, const char *what)
{
    fail_msg("LOCKSTEP_SEED=%" PRIu64
             " case %d: %d.0.0 to %d.0.0, ledger %d, nodes %d %d %d: %s\n%s",
             seed, number_of_case, m->from + 1, m->to + 1, m->ledger, m->node[0] + 1,
             m->node[1] + 1, m->node[2] + 1, what, application);
}

static bool rolls(const struct model *m)
{
    put_in_place(m);
    return world_compile(&w, version_of(m->to)) == 0;
}

/* Over `stop` in two plans. */
static bool rolls_over(const struct model *m, int stop)
{
    struct model first = *m;
    struct model second = *m;
    first.to = stop;
    second.from = stop;
    second.ledger = m->releases[stop].schema;
    for (int n = 0; n < NODES; n++) {
        second.node[n] = stop;
    }
    bool both = rolls(&first) && rolls(&second);
    put_in_place(m);
    return both;
}

struct counts {
    size_t rolled, divided, half, refused, detours, states;
};

/* The refusal names a pair that would be met and does not run, and a way out where there is one. */
static void check_refusal(const struct model *m, const char *message, struct counts *counts)
{
    const char *pair = strstr(message, " does not run with main ");
    const char *over = strstr(message, "going over ");
    if (pair == NULL) {
        wrong(m, message);
        return;
    }
    while (pair > message && pair[-1] != ' ') {
        pair--;
    }
    int release = release_of(pair);
    int schema = atoi(strstr(pair, " main ") + strlen(" main "));
    struct strings way;
    struct error e = {0};
    assert_int_equal(plan_path(&w.arena, w.spec.application, &w.spec.scheme, version_of(m->from),
                               version_of(m->to), &way, &e),
                     0);
    struct pairs_met pairs = roll_by_hand(m, &way);
    if (!breaks(m, &pairs) || runs(m, release, schema) || !pairs.met[release][schema]) {
        wrong(m, message);
    }
    const char *copy = arena_strdup(&w.arena, message);
    bool any_way = false;
    for (int x = MIN(m->from, m->to) + 1; x < MAX(m->from, m->to); x++) {
        any_way = any_way || rolls_over(m, x);
    }
    if (any_way != (over != NULL) ||
        (over != NULL &&
         !rolls_over(m, release_of(copy + (over - message) + strlen("going over "))))) {
        wrong(m, copy);
    }
    counts->detours += over != NULL ? 1 : 0;
    counts->refused++;
}

static bool has_both_parts(void)
{
    bool has[PART_CONTRACT + 1] = {false};
    for (size_t i = 0; i < w.plan.phases.count; i++) {
        has[plan_phase_at(&w.plan, i)->part] = true;
    }
    return has[PART_EXPAND] && has[PART_CONTRACT];
}

static void check_case(const struct model *m, struct counts *counts)
{
    make_world(m);
    if (world_compile(&w, NULL) == 0) {
        assert_int_equal(w.plan.strategy, STRATEGY_ROLLING);
        struct pairs_met pairs = carry_out(m);
        if (breaks(m, &pairs)) {
            wrong(m, "the plan rolls, and a release meets a schema that it does not run with");
        }
        counts->rolled += m->whole && m->from != m->to ? 1 : 0;
        counts->divided += has_both_parts() ? 1 : 0;
        counts->half += m->whole ? 0 : 1;
        counts->states += pairs.states;
    } else if (m->whole) {
        check_refusal(m, w.complaints.items[0].message, counts);
    }
    tear_down(NULL);
}

static void a_plan_that_rolls_meets_no_schema_outside_runs_with(void **state UNUSED)
{
    const char *given = getenv("LOCKSTEP_SEED");
    struct counts counts = {0};
    seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("LOCKSTEP_SEED=%" PRIu64 "\n", seed);
    state_of_random = seed * UINT64_C(2654435761) + 1;
    for (number_of_case = 0; number_of_case < CASES; number_of_case++) {
        struct model m = random_model();
        check_case(&m, &counts);
    }
    print_message("%zu rolled, %zu of them in two parts, %zu from half-way, %zu refused, %zu of "
                  "them with a way out; %zu "
                  "states\n",
                  counts.rolled, counts.divided, counts.half, counts.refused, counts.detours,
                  counts.states);
    assert_true(counts.rolled > CASES / 20 && counts.half > CASES / 50 &&
                counts.divided > CASES / 100 && counts.refused > CASES / 20 && counts.detours > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_that_rolls_meets_no_schema_outside_runs_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
