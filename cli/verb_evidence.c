/* Owns `evidence`: everything that is known of a run, in one file, without secrets. */
#include <string.h>

#include "cli/output.h"
#include "cli/redact.h"
#include "cli/remote.h"
#include "cli/status.h"
#include "cli/tarball.h"
#include "cli/verbs.h"
#include "lib/base/str.h"
#include "lib/plan/plan.h"
#include "lib/wire/record.h"

#define TEXT_BYTES_MAX (512 * 1024 * 1024)
#define PLAN_COLUMNS   120

struct evidence {
    struct context *c;
    struct remote *remote;
    struct tarball *tarball;
    const char *run;
    struct plan plan;
    uint64_t after;
    bool more;
    struct buf journal, facts; /* for people; what database steps found, one JSON a line */
};

static const char *const readme =
    "What is known of one run of Lockstep.\n"
    "\n"
    "run.json        the run: its cluster, versions, state and reason\n"
    "plan.txt        the plan as `lockstep plan` shows it\n"
    "plan.json       the same as it ran\n"
    "journal.txt     what happened, record by record\n"
    "logs/           the end of each step's log, by phase.step, name, place and attempt\n"
    "facts.jsonl     what steps found: ledgers, checkpoints, schema fingerprints, drift\n"
    "specs/          the files that the plan was made from\n"
    "nodes.json      agents: versions, systems, when they were last seen\n"
    "status.json     how the cluster was when this was packed\n"
    "versions.txt    the programs that made this\n"
    "\n"
    "Passwords in URLs, values of words such as password, token and secret, and private keys are\n"
    "replaced by [left out]. What else a command printed is as it printed it: read logs/ before\n"
    "you give this away.\n";

static int add(struct evidence *ev, const char *name, const char *text, size_t len, struct error *e)
{
    struct arena scratch;
    arena_init(&scratch);
    const char *clean = redact(&scratch, text, len);
    int r = tarball_add(ev->tarball, name, clean, strlen(clean), e);
    arena_deinit(&scratch);
    return r;
}

static int add_json(struct evidence *ev, const char *name, json_t *json, struct error *e)
{
    char *text = json_dumps(json, JSON_INDENT(1));
    json_decref(json);
    int r = add(ev, name, text != NULL ? text : "", text != NULL ? strlen(text) : 0, e);
    free(text);
    return r;
}

/* ---- the journal ---- */

static const char *place_name(const struct evidence *ev, const struct step_key *key)
{
    return rollout_place_name(&ev->plan, key->place);
}

static const char *step_name(const struct evidence *ev, const struct step_key *key)
{
    bool known = key->phase < ev->plan.phases.count &&
                 key->step < plan_phase_at(&ev->plan, key->phase)->steps.count;
    return known ? plan_step_at(&ev->plan, key->phase, key->step)->name : "?";
}

static const char *key_words(const struct evidence *ev, struct arena *arena,
                             const struct step_key *key)
{
    return arena_printf(arena, "%u.%u %s @%s attempt %u", key->phase, key->step, step_name(ev, key),
                        place_name(ev, key), key->attempt);
}

static int keep_log(struct evidence *ev, struct arena *arena, const struct record *record,
                    struct error *e)
{
    const struct step_key *key = &record->key;
    if (str_empty(record->outcome.log_tail)) {
        return 0;
    }
    char *name = arena_printf(arena, "%u.%u-%s@%s-%u.txt", key->phase, key->step,
                              step_name(ev, key), place_name(ev, key), key->attempt);
    for (char *p = name; *p != '\0'; p++) {
        *p = *p == '/' || *p == ' ' ? '-' : *p;
    }
    return add(ev, arena_printf(arena, "logs/%s", name), record->outcome.log_tail,
               strlen(record->outcome.log_tail), e);
}

static void told_by(struct buf *out, const char *who, const char *why)
{
    buf_printf(out, "%s%s%s%s\n", who != NULL ? " by " : "", who != NULL ? who : "",
               why != NULL ? ": " : "", why != NULL ? why : "");
}

/* One line, whatever a place has said. */
static void keep_facts(struct evidence *ev, uint64_t number, const char *said)
{
    if (str_empty(said)) {
        return;
    }
    json_t *facts = json_loads(said, JSON_DECODE_ANY, NULL);
    json_t *line = json_pack("{s:I, s:o}", "record", (json_int_t)number, "facts",
                             facts != NULL ? facts : json_text(said));
    char *text = json_dumps(line, JSON_COMPACT);
    buf_printf(&ev->facts, "%s\n", text != NULL ? text : "");
    free(text);
    json_decref(line);
}

static int tell(struct evidence *ev, struct arena *arena, uint64_t number,
                const struct record *record, struct error *e)
{
    struct buf *out = &ev->journal;
    buf_printf(out, "%6llu  %s  ", (unsigned long long)number, time_text(arena, record->at_ms));
    switch (record->type) {
    case RECORD_INTENT:
        buf_printf(out, "intent   %s\n", key_words(ev, arena, &record->key));
        return 0;
    case RECORD_OUTCOME:
        buf_printf(out, "outcome  %s: %s, %s%s%s\n", key_words(ev, arena, &record->key),
                   outcome_status_name(record->outcome.status),
                   str_duration(arena, record->outcome.ended_ms - record->outcome.started_ms),
                   record->outcome.message != NULL ? ": " : "",
                   record->outcome.message != NULL ? record->outcome.message : "");
        keep_facts(ev, number, record->outcome.facts);
        return keep_log(ev, arena, record, e);
    case RECORD_STATE:
        buf_printf(out, "state    %s", rollout_state_name(record->state));
        told_by(out, record->who, record->why);
        return 0;
    case RECORD_WORD:
        buf_printf(out, "word     %s", word_name(record->word));
        if (record->key.place != ROLLOUT_PLACE_NONE) {
            buf_printf(out, " %s", key_words(ev, arena, &record->key));
        }
        told_by(out, record->who, record->why);
        return 0;
    }
    return 0;
}

static int keep_records(struct evidence *ev, const Lockstep__V1__JournalReply *page,
                        struct error *e)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < page->n_records; i++) {
        const Lockstep__V1__JournalRecord *packed = page->records[i];
        struct arena scratch;
        arena_init(&scratch);
        struct record record;
        r = wire_record_unpack(&scratch, (struct bytes){packed->record.data, packed->record.len},
                               &record, e);
        r = r < 0 ? r : tell(ev, &scratch, packed->number, &record, e);
        arena_deinit(&scratch);
        ev->after = packed->number;
    }
    ev->more = page->more;
    return r;
}

/* ---- the rest ---- */

static int keep_head(struct evidence *ev, const Lockstep__V1__JournalReply *page, struct error *e)
{
    struct arena *arena = ev->c->arena;
    int r = plan_from_json(arena, (const char *)page->plan.data, page->plan.len, &ev->plan, e);
    if (r < 0) {
        return error_wrap(e, "the run's plan cannot be read (is it of another version?)");
    }
    struct buf text;
    buf_init(&text, arena, TEXT_BYTES_MAX);
    plan_render(&ev->plan, page->plan_id, PLAN_COLUMNS, NULL, arena, &text);
    r = add(ev, "README.txt", readme, strlen(readme), e);
    r = r < 0 ? r : add_json(ev, "run.json", run_json(page->run), e);
    r = r < 0 ? r : add(ev, "plan.txt", buf_text(&text), text.len, e);
    r = r < 0 ? r : add(ev, "plan.json", (const char *)page->plan.data, page->plan.len, e);
    for (size_t i = 0; r == 0 && page->bundle != NULL && i < page->bundle->n_files; i++) {
        const Lockstep__V1__File *file = page->bundle->files[i];
        const char *base = strrchr(file->name, '/');
        r = add(ev,
                arena_printf(arena, "specs/%zu-%s", i + 1, base != NULL ? base + 1 : file->name),
                (const char *)file->text.data, file->text.len, e);
    }
    return r;
}

static json_t *nodes_json(const Lockstep__V1__ListNodesReply *reply, const struct plan *plan)
{
    json_t *nodes = json_array();
    for (size_t i = 0; i < reply->n_nodes; i++) {
        const Lockstep__V1__NodeSummary *n = reply->nodes[i];
        for (size_t p = 0; p < plan->nodes.count; p++) {
            if (!str_equal(LIST_AT(&plan->nodes, const struct plan_node, p)->name, n->name)) {
                continue;
            }
            json_array_append_new(
                nodes, json_pack("{s:o, s:b, s:o, s:o, s:o, s:I}", "name", json_text(n->name),
                                 "connected", n->connected ? 1 : 0, "agent_version",
                                 json_text(n->agent_version), "os", json_text(n->os), "arch",
                                 json_text(n->arch), "seen_ms", (json_int_t)n->seen_ms));
        }
    }
    return nodes;
}

/* How things are now. A controller that cannot say it is no reason to keep nothing. */
static int keep_now(struct evidence *ev, struct error *e)
{
    struct error unheard = {0};
    Lockstep__V1__StatusRequest status = LOCKSTEP__V1__STATUS_REQUEST__INIT;
    status.cluster = (char *)ev->plan.cluster;
    status.observe = true;
    const Lockstep__V1__StatusReply *now = REMOTE_CALL(
        ev->remote, Status, StatusReply, status_reply, &status.base, REMOTE_OBSERVE_MS, &unheard);
    int r = add_json(ev, "status.json",
                     now != NULL ? status_json(now)
                                 : json_pack("{s:o}", "error", json_text(unheard.message)),
                     e);
    Lockstep__V1__ListNodesRequest list = LOCKSTEP__V1__LIST_NODES_REQUEST__INIT;
    const Lockstep__V1__ListNodesReply *nodes =
        REMOTE_CALL(ev->remote, ListNodes, ListNodesReply, list_nodes_reply, &list.base,
                    REMOTE_CALL_MS, &unheard);
    r = r < 0 || nodes == NULL ? r : add_json(ev, "nodes.json", nodes_json(nodes, &ev->plan), e);
    Lockstep__V1__PingRequest ping = LOCKSTEP__V1__PING_REQUEST__INIT;
    const Lockstep__V1__PingReply *pong =
        REMOTE_CALL(ev->remote, Ping, PingReply, ping_reply, &ping.base, REMOTE_CALL_MS, &unheard);
    const char *versions = arena_printf(ev->c->arena, "lockstep %s\nlockstepd %s\npacked %s\n",
                                        LOCKSTEP_VERSION, pong != NULL ? pong->version : "?",
                                        pong != NULL ? time_text(ev->c->arena, pong->now_ms) : "?");
    return r < 0 ? r : add(ev, "versions.txt", versions, strlen(versions), e);
}

static const Lockstep__V1__JournalReply *ask(struct evidence *ev, struct error *e)
{
    Lockstep__V1__JournalRequest request = LOCKSTEP__V1__JOURNAL_REQUEST__INIT;
    request.run = (char *)ev->run;
    request.after = ev->after;
    return REMOTE_CALL(ev->remote, Journal, JournalReply, journal_reply, &request.base,
                       REMOTE_CALL_MS, e);
}

static int pack(struct evidence *ev, const Lockstep__V1__JournalReply *page, const char *path,
                struct error *e)
{
    int r =
        tarball_begin(ev->c->arena, path, arena_printf(ev->c->arena, "lockstep-%s", page->run->run),
                      &ev->tarball, e);
    r = r < 0 ? r : keep_head(ev, page, e);
    r = r < 0 ? r : keep_records(ev, page, e);
    while (r == 0 && ev->more) {
        page = ask(ev, e);
        r = page != NULL ? keep_records(ev, page, e) : e->code;
    }
    r = r < 0 ? r : add(ev, "journal.txt", buf_text(&ev->journal), ev->journal.len, e);
    r = r < 0 ? r : add(ev, "facts.jsonl", buf_text(&ev->facts), ev->facts.len, e);
    r = r < 0 ? r : keep_now(ev, e);
    return tarball_end(ev->tarball, r, e);
}

static int evidence(struct context *c)
{
    struct remote r;
    struct error e = {0};
    struct evidence ev = {.c = c, .remote = &r, .run = args_operand(&c->args, 0)};
    buf_init(&ev.journal, c->arena, TEXT_BYTES_MAX);
    buf_init(&ev.facts, c->arena, TEXT_BYTES_MAX);
    int status = remote_open(c, &r);
    const Lockstep__V1__JournalReply *page = status == CLI_DONE ? ask(&ev, &e) : NULL;
    if (status == CLI_DONE && page == NULL) {
        status = remote_fail(&r, &e);
    }
    if (page != NULL) {
        ev.run = page->run->run;
        const char *path = args_text(&c->args, "output");
        path = path != NULL ? path : arena_printf(c->arena, "lockstep-%s.tar.gz", ev.run);
        if (pack(&ev, page, path, &e) < 0) {
            status = remote_fail(&r, &e);
        } else if (c->json) {
            print_json(json_pack("{s:s, s:s}", "run", ev.run, "file", path));
        } else {
            printf("%s: what is known of run %s of %s; secrets are left out, read logs/ before "
                   "you give it away\n",
                   path, ev.run, ev.plan.cluster);
        }
    }
    remote_close(&r);
    return status;
}

static const struct option_spec evidence_options[] = {
    {"output", 'o', "FILE", "where to (lockstep-RUN.tar.gz)"},
};

const struct verb verb_evidence = {
    .name = "evidence",
    .usage = "[RUN|CLUSTER] [-o FILE]",
    .summary = "pack all that is known of a run into one file",
    .about =
        "What support would ask for: the plan, the specs that it was made from, the journal, the "
        "end of each step's\n"
        "log, what steps found of ledgers and schemas, the agents, and how the cluster is now. A "
        ".tar.gz of texts.\n"
        "Passwords in URLs, values of words such as password, token and secret, and private keys "
        "are left out;\n"
        "what else a command printed is as it printed it. For operators.\n"
        "\n"
        "--json: {run, file}\n",
    .example = "  lockstep evidence chat-prod -o for-support.tar.gz\n",
    .options = evidence_options,
    .option_count = ARRAY_SIZE(evidence_options),
    .operands_max = 1,
    .remote = true,
    .run = evidence,
};
