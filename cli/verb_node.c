/* Owns `node list|enroll`. */
#include <string.h>
#include <unistd.h>

#include "cli/output.h"
#include "cli/remote.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "lib/base/str.h"

/* ---- list ---- */

static json_t *node_json(const Lockstep__V1__NodeSummary *n)
{
    return json_pack("{s:o, s:b, s:b, s:o, s:o, s:o, s:o, s:I, s:I}", "name", json_text(n->name),
                     "enrolled", n->enrolled ? 1 : 0, "connected", n->connected ? 1 : 0,
                     "agent_version", json_text(n->agent_version), "os", json_text(n->os), "arch",
                     json_text(n->arch), "address", json_text(n->address), "seen_ms",
                     (json_int_t)n->seen_ms, "certificate_ends_ms",
                     (json_int_t)n->certificate_ends_ms);
}

static void print_nodes(struct context *c, const Lockstep__V1__ListNodesReply *reply)
{
    struct table t;
    table_init(&t, c->arena, 7);
    TABLE_ADD(&t, "NODE", "STATE", "AGENT", "SYSTEM", "ADDRESS", "SEEN", "CERTIFICATE ENDS");
    for (size_t i = 0; i < reply->n_nodes; i++) {
        const Lockstep__V1__NodeSummary *n = reply->nodes[i];
        TABLE_ADD(&t, n->name,
                  n->connected  ? "connected"
                  : n->enrolled ? "away"
                                : "not enrolled",
                  n->agent_version,
                  str_empty(n->os) ? "" : arena_printf(c->arena, "%s/%s", n->os, n->arch),
                  n->address, n->connected ? "now" : time_text(c->arena, n->seen_ms),
                  time_text(c->arena, n->certificate_ends_ms));
    }
    table_print(&t);
}

static int list(struct context *c)
{
    struct remote r;
    struct error e = {0};
    int status = remote_open(c, &r);
    if (status == 0) {
        const Lockstep__V1__ListNodesRequest request = LOCKSTEP__V1__LIST_NODES_REQUEST__INIT;
        const Lockstep__V1__ListNodesReply *reply = REMOTE_CALL(
            &r, ListNodes, ListNodesReply, list_nodes_reply, &request.base, REMOTE_CALL_MS, &e);
        if (reply == NULL) {
            status = remote_fail(&r, &e);
        } else if (c->json) {
            json_t *nodes = json_array();
            for (size_t i = 0; i < reply->n_nodes; i++) {
                json_array_append_new(nodes, node_json(reply->nodes[i]));
            }
            print_json(json_pack("{s:o}", "nodes", nodes));
        } else if (reply->n_nodes == 0) {
            puts("no node yet: lockstep node enroll NAME");
        } else {
            print_nodes(c, reply);
        }
    }
    remote_close(&r);
    return status;
}

const struct verb verb_node_list = {
    .name = "node list",
    .usage = "",
    .summary = "all nodes and whether their agents are connected",
    .about = "Prints every node that has enrolled.\n"
             "\n"
             "--json: {\"nodes\": [{name, enrolled, connected, agent_version, os, arch, address, "
             "seen_ms,\n"
             "certificate_ends_ms}]}\n",
    .example = "  lockstep node list\n",
    .remote = true,
    .run = list,
};

/* ---- enroll ---- */

/* The controller as a node sees it: a loopback address is this machine's own. */
static const char *reachable_host(struct arena *arena, const char *host)
{
    char name[256];
    bool loopback =
        str_starts(host, "127.") || str_equal(host, "::1") || str_equal(host, "localhost");
    if (!loopback || gethostname(name, sizeof(name)) != 0) {
        return host;
    }
    return arena_strndup(arena, name, strnlen(name, sizeof(name)));
}

static int enroll(struct context *c)
{
    const char *name = args_operand(&c->args, 0);
    const char *valid = args_text(&c->args, "valid");
    Lockstep__V1__EnrollNodeRequest request = LOCKSTEP__V1__ENROLL_NODE_REQUEST__INIT;
    request.name = (char *)name;
    if (valid != NULL && (!str_to_duration_ms(valid, &request.valid_ms) || request.valid_ms == 0)) {
        say("--valid wants a duration such as 30m or 24h, not \"%s\"", valid);
        return CLI_WRONG_USE;
    }
    struct remote r;
    struct error e = {0};
    int status = remote_open(c, &r);
    if (status == 0) {
        const Lockstep__V1__EnrollNodeReply *reply = REMOTE_CALL(
            &r, EnrollNode, EnrollNodeReply, enroll_node_reply, &request.base, REMOTE_CALL_MS, &e);
        if (reply == NULL) {
            status = remote_fail(&r, &e);
        } else if (c->json) {
            print_json(json_pack("{s:o, s:o, s:I}", "node", json_text(name), "token",
                                 json_text(reply->token), "ends_ms", (json_int_t)reply->ends_ms));
        } else {
            /* The token alone, so that TOKEN=$(lockstep node enroll app-1) works. */
            puts(reply->token);
            fprintf(stderr,
                    "one use, for %s, until %s; on that node:\n"
                    "  lockstep-agent --controller %s:%u --token TOKEN\n",
                    name, time_text(c->arena, reply->ends_ms),
                    reachable_host(c->arena, r.options.host), (unsigned int)r.options.port);
        }
    }
    remote_close(&r);
    return status;
}

static const struct option_spec enroll_options[] = {
    {"valid", 0, "DURATION",
     "how long the token can be used: 30m, 24h; the controller's word else"},
};

const struct verb verb_node_enroll = {
    .name = "node enroll",
    .usage = "NAME [--valid DURATION]",
    .summary = "print a one-use token for a node",
    .about =
        "Prints a token that lets one agent get the certificate of node NAME, once. An earlier "
        "token of\n"
        "the node ends. The token alone is on standard output, the explanation on standard error.\n"
        "\n"
        "--json: {\"node\": NAME, \"token\": TEXT, \"ends_ms\": UNIX_MS}\n",
    .example = "  lockstep node enroll app-1 --valid 30m > /root/token\n",
    .options = enroll_options,
    .option_count = ARRAY_SIZE(enroll_options),
    .operands_min = 1,
    .operands_max = 1,
    .remote = true,
    .run = enroll,
};
