/* Owns the verbs of fleets: apply, status, watch, and the words pause, resume, skip, approve, abort. */
#include "cli/bundle.h"
#include "cli/fleet_watch.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "lib/base/str.h"

#define OUTPUT_BYTES_MAX ((size_t)64 * 1024 * 1024)

/* ---- apply ---- */

static int send_apply(struct context *c, struct remote *r, const struct spec_set *set)
{
    struct error e = {0};
    Lockstep__V1__ApplyFleetRequest request = LOCKSTEP__V1__APPLY_FLEET_REQUEST__INIT;
    request.bundle = bundle_of(c->arena, set, NULL);
    request.acknowledged = args_flag(&c->args, "ack");
    const Lockstep__V1__ApplyFleetReply *reply = REMOTE_CALL(
        r, ApplyFleet, ApplyFleetReply, apply_fleet_reply, &request.base, REMOTE_CALL_MS, &e);
    if (reply == NULL) {
        return remote_fail(r, &e);
    }
    if (reply->n_complaints > 0) {
        bundle_say_complaints(c->arena, reply->complaints, reply->n_complaints);
        return CLI_FAILED;
    }
    if (!args_flag(&c->args, "detach")) {
        return fleet_follow(c, r, reply->fleet, args_flag(&c->args, "stay"));
    }
    if (c->json) {
        print_json(json_pack("{s:o}", "fleet", json_text(reply->fleet)));
    } else {
        printf("fleet %s begins; lockstep fleet watch %s\n", set->spec.fleet->name,
               set->spec.fleet->name);
    }
    return CLI_DONE;
}

static int apply(struct context *c)
{
    struct error e = {0};
    struct spec_set set = {0};
    int read = specs_read_fleet(c->arena, args_operand(&c->args, 0), &set, &e);
    if (read != 0) {
        if (read < 0) {
            say_error(&e);
        }
        return CLI_FAILED;
    }
    struct remote r;
    int status = remote_open(c, &r);
    if (status == 0) {
        status = send_apply(c, &r, &set);
    }
    remote_close(&r);
    return status;
}

static const struct option_spec apply_options[] = {
    {"ack", 0, NULL, "the release notes that ask for it have been read"},
    {"detach", 0, NULL, "begin, and do not watch"},
    {"stay", 0, NULL, "watch through pauses and gates, until the fleet has ended"},
};

const struct verb verb_fleet_apply = {
    .name = "fleet apply",
    .usage = "FLEET.yaml [--ack] [--detach] [--stay]",
    .summary = "take the clusters of a fleet to its version, stage by stage, and watch",
    .about =
        "Takes the clusters that the file names to its version, up or down, one stage after the "
        "other. Each\n"
        "is planned when its turn comes, from the newest revision that the controller holds of "
        "it, and run as\n"
        "by `apply`. A cluster that is there already is done, untouched. A surprise pauses the "
        "fleet: a plan that\n"
        "is refused, a run that fails or pauses, a cluster that somebody else moved. To go back, "
        "revert the line\n"
        "`version:`, `fleet abort` what is under way, and apply.\n"
        "\n"
        "Exit status: 0 done, 7 some clusters were left behind, 3 it is paused or at a gate, 4 "
        "aborted.\n"
        "\n"
        "--json: one object a line, at each change: {fleet, name, version, state, stage, why, "
        "who,\n"
        "started_ms, ended_ms, until_ms, members: [{cluster, stage, state, run_paused, run, from, "
        "to, why}]};\n"
        "with --detach {\"fleet\": ID}.\n",
    .example = "  lockstep fleet apply chat-fleet.yaml\n",
    .options = apply_options,
    .option_count = ARRAY_SIZE(apply_options),
    .operands_min = 1,
    .operands_max = 1,
    .remote = true,
    .run = apply,
};

/* ---- status ---- */

static void show(struct context *c, Lockstep__V1__FleetStatus *const *fleets, size_t count)
{
    if (c->json) {
        json_t *list = json_array();
        for (size_t i = 0; i < count; i++) {
            json_array_append_new(list, fleet_json(fleets[i]));
        }
        print_json(json_pack("{s:o}", "fleets", list));
        return;
    }
    struct buf out;
    buf_init(&out, c->arena, OUTPUT_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        buf_puts(&out, i > 0 ? "\n" : "");
        fleet_put(c->arena, fleets[i], &out);
    }
    fputs(count > 0 ? buf_text(&out) : "no fleet yet: lockstep fleet apply FILE\n", stdout);
}

static void take_one(void *context, const ProtobufCMessage *message)
{
    Lockstep__V1__FleetStatus *one = (Lockstep__V1__FleetStatus *)(uintptr_t)message;
    show(context, &one, 1);
}

static int status(struct context *c)
{
    struct remote r;
    struct error e = {0};
    const char *fleet = args_operand(&c->args, 0);
    int end = remote_open(c, &r);
    if (end == 0 && fleet != NULL) {
        Lockstep__V1__WatchFleetRequest request = LOCKSTEP__V1__WATCH_FLEET_REQUEST__INIT;
        request.fleet = (char *)fleet;
        request.once = true;
        int result = remote_stream(&r, "WatchFleet", &request.base,
                                   &lockstep__v1__fleet_status__descriptor, take_one, c, &e);
        end = result < 0 ? remote_fail(&r, &e) : CLI_DONE;
    } else if (end == 0) {
        const Lockstep__V1__ListFleetsRequest request = LOCKSTEP__V1__LIST_FLEETS_REQUEST__INIT;
        const Lockstep__V1__ListFleetsReply *reply = REMOTE_CALL(
            &r, ListFleets, ListFleetsReply, list_fleets_reply, &request.base, REMOTE_CALL_MS, &e);
        if (reply == NULL) {
            end = remote_fail(&r, &e);
        } else {
            show(c, reply->fleets, reply->n_fleets);
        }
    }
    remote_close(&r);
    return end;
}

const struct verb verb_fleet_status = {
    .name = "fleet status",
    .usage = "[FLEET]",
    .summary = "where a fleet is, cluster by cluster",
    .about = "Prints how the fleet was when it was applied last and is now, or all fleets.\n"
             "\n"
             "--json: {\"fleets\": [...]}, each as `fleet apply` prints it.\n",
    .example = "  lockstep fleet status chat\n",
    .operands_max = 1,
    .remote = true,
    .run = status,
};

/* ---- watch ---- */

static int watch(struct context *c)
{
    struct remote r;
    int end = remote_open(c, &r);
    if (end == 0) {
        end = fleet_follow(c, &r, args_operand(&c->args, 0), args_flag(&c->args, "stay"));
    }
    remote_close(&r);
    return end;
}

static const struct option_spec watch_options[] = {
    {"stay", 0, NULL, "through pauses and gates, until the fleet has ended"},
};

const struct verb verb_fleet_watch = {
    .name = "fleet watch",
    .usage = "[FLEET] [--stay]",
    .summary = "follow a fleet; the newest when none is named",
    .about = "Shows the clusters and where they are: in a terminal a table that is drawn again, "
             "else a line for\n"
             "each change. It ends with the fleet, or when the fleet is paused or at a gate. "
             "Ctrl-C ends the\n"
             "watching, never the fleet. When the controller goes away it is tried again for 60 "
             "s. The runs of the\n"
             "clusters are followed with `lockstep watch CLUSTER`. Exit status and --json: as "
             "`fleet apply`.\n",
    .example = "  lockstep fleet watch chat --stay\n",
    .options = watch_options,
    .option_count = ARRAY_SIZE(watch_options),
    .operands_max = 1,
    .remote = true,
    .run = watch,
};

/* ---- words ---- */

static int send_word(struct context *c, const char *word)
{
    struct remote r;
    struct error e = {0};
    Lockstep__V1__FleetWordRequest request = LOCKSTEP__V1__FLEET_WORD_REQUEST__INIT;
    const char *why = args_text(&c->args, "why");
    const char *cluster = args_operand(&c->args, 1);
    request.fleet = (char *)args_operand(&c->args, 0);
    request.word = (char *)word;
    request.cluster = cluster != NULL ? (char *)cluster : "";
    request.why = why != NULL ? (char *)why : "";
    int status = remote_open(c, &r);
    if (status == 0) {
        const Lockstep__V1__FleetWordReply *reply = REMOTE_CALL(
            &r, FleetWord, FleetWordReply, fleet_word_reply, &request.base, REMOTE_CALL_MS, &e);
        if (reply == NULL) {
            status = remote_fail(&r, &e);
        } else if (c->json) {
            print_json(json_pack("{s:o, s:o}", "fleet", json_text(reply->name), "state",
                                 json_text(reply->state)));
        } else {
            printf("fleet %s is %s; lockstep fleet watch %s\n", reply->name, reply->state,
                   reply->name);
        }
    }
    remote_close(&r);
    return status;
}

static const struct option_spec word_options[] = {
    {"why", 0, "TEXT", "kept in the journal with your name"},
};

#define WORD_JSON                                                                                  \
    "\n"                                                                                           \
    "--json: {\"fleet\": NAME, \"state\": STATE}\n"
#define WORD(name_, operands_)                                                                     \
    .options = word_options, .option_count = ARRAY_SIZE(word_options),                             \
    .operands_min = (operands_), .operands_max = (operands_), .remote = true, .run = name_

static int pause_fleet(struct context *c)
{
    return send_word(c, "pause");
}

const struct verb verb_fleet_pause = {
    .name = "fleet pause",
    .usage = "FLEET [--why TEXT]",
    .summary = "begin nothing more of a fleet until `fleet resume`",
    .about = "What is under way goes on by itself. A soak goes on too; what follows it does not "
             "begin.\n" WORD_JSON,
    .example = "  lockstep fleet pause chat --why \"the database team looks\"\n",
    WORD(pause_fleet, 1),
};

static int resume(struct context *c)
{
    return send_word(c, "resume");
}

const struct verb verb_fleet_resume = {
    .name = "fleet resume",
    .usage = "FLEET [--why TEXT]",
    .summary = "go on with a paused fleet; what failed is tried again",
    .about = "Only this word makes a paused fleet go on. Clusters that failed are planned anew, in "
             "the order of the\n"
             "stages; what is to be left behind is skipped first. A run that is paused is answered "
             "first, with the\n"
             "words for runs.\n" WORD_JSON,
    .example = "  lockstep fleet resume chat\n",
    WORD(resume, 1),
};

static int skip(struct context *c)
{
    return send_word(c, "skip");
}

const struct verb verb_fleet_skip = {
    .name = "fleet skip",
    .usage = "FLEET CLUSTER [--why TEXT]",
    .summary = "leave a cluster behind that failed or has not begun",
    .about = "The fleet goes on without it, and ends as incomplete (exit status 7). A paused fleet "
             "stays paused\n"
             "until `fleet resume`.\n" WORD_JSON,
    .example = "  lockstep fleet skip chat chat-us-2 --why \"moves next week\"\n",
    WORD(skip, 2),
};

static int approve(struct context *c)
{
    return send_word(c, "approve");
}

const struct verb verb_fleet_approve = {
    .name = "fleet approve",
    .usage = "FLEET [--why TEXT]",
    .summary = "approve the gate that a fleet waits at",
    .about = "Counts you as one of the gate's approvers; it needs the role approver, and nobody is "
             "counted twice.\n" WORD_JSON,
    .example = "  lockstep fleet approve chat --why \"canary looks well\"\n",
    WORD(approve, 1),
};

static int abort_fleet(struct context *c)
{
    return send_word(c, "abort");
}

const struct verb verb_fleet_abort = {
    .name = "fleet abort",
    .usage = "FLEET [--why TEXT]",
    .summary = "begin nothing more of a fleet, for good",
    .about = "Runs that are under way end by themselves, or with `lockstep abort CLUSTER`; then "
             "the fleet is\n"
             "aborted. `fleet apply` goes on from what is there then, in either "
             "direction.\n" WORD_JSON,
    .example = "  lockstep fleet abort chat\n",
    WORD(abort_fleet, 1),
};
