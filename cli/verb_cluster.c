/* Owns `cluster list|get|history|diff|put`: the specs that the controller holds, every revision of them. */
#include <string.h>

#include "cli/bundle.h"
#include "cli/diff.h"
#include "cli/output.h"
#include "cli/remote.h"
#include "cli/specs.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"

/* ---- list ---- */

static json_t *summary_json(const Lockstep__V1__ClusterSummary *s)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:I, s:I}", "name",
                     json_text(s->name), "application", json_text(s->application), "wanted",
                     json_text(s->wanted), "observed", json_text(s->observed), "revision",
                     (json_int_t)s->revision, "digest", json_text(s->digest), "run",
                     json_text(s->run), "run_state", json_text(s->run_state), "nodes",
                     (json_int_t)s->nodes, "nodes_connected", (json_int_t)s->nodes_connected);
}

static void print_clusters(struct context *c, const Lockstep__V1__ListClustersReply *reply)
{
    struct table t;
    table_init(&t, c->arena, 7);
    TABLE_ADD(&t, "CLUSTER", "APPLICATION", "WANTED", "OBSERVED", "NODES", "REVISION", "RUN");
    for (size_t i = 0; i < reply->n_clusters; i++) {
        const Lockstep__V1__ClusterSummary *s = reply->clusters[i];
        TABLE_ADD(&t, s->name, s->application, s->wanted,
                  str_empty(s->observed) ? "not yet known" : s->observed,
                  arena_printf(c->arena, "%u of %u", s->nodes_connected, s->nodes),
                  arena_printf(c->arena, "%u", s->revision),
                  str_empty(s->run) ? "none"
                                    : arena_printf(c->arena, "%s %s", s->run, s->run_state));
    }
    table_print(&t);
}

static int list(struct context *c)
{
    struct remote r;
    struct error e = {0};
    int status = remote_open(c, &r);
    if (status == 0) {
        const Lockstep__V1__ListClustersRequest request = LOCKSTEP__V1__LIST_CLUSTERS_REQUEST__INIT;
        const Lockstep__V1__ListClustersReply *reply =
            REMOTE_CALL(&r, ListClusters, ListClustersReply, list_clusters_reply, &request.base,
                        REMOTE_CALL_MS, &e);
        if (reply == NULL) {
            status = remote_fail(&r, &e);
        } else if (c->json) {
            json_t *clusters = json_array();
            for (size_t i = 0; i < reply->n_clusters; i++) {
                json_array_append_new(clusters, summary_json(reply->clusters[i]));
            }
            print_json(json_pack("{s:o}", "clusters", clusters));
        } else if (reply->n_clusters == 0) {
            puts("no cluster yet: lockstep cluster put FILE, or lockstep apply FILE");
        } else {
            print_clusters(c, reply);
        }
    }
    remote_close(&r);
    return status;
}

const struct verb verb_cluster_list = {
    .name = "cluster list",
    .usage = "",
    .summary = "all clusters, wanted beside observed",
    .about =
        "Prints every cluster that the controller holds: the version its newest revision wants,\n"
        "what was observed last, how many nodes are connected, and the newest run.\n"
        "\n"
        "--json: {\"clusters\": [{name, application, wanted, observed, revision, digest, run,\n"
        "run_state, nodes, nodes_connected}]}\n",
    .example = "  lockstep cluster list\n",
    .remote = true,
    .run = list,
};

/* ---- get ---- */

static json_t *revision_json(const Lockstep__V1__Revision *r)
{
    return json_pack("{s:I, s:o, s:o, s:I, s:o, s:o}", "number", (json_int_t)r->number, "digest",
                     json_text(r->digest), "author", json_text(r->author), "at_ms",
                     (json_int_t)r->at_ms, "version", json_text(r->version), "message",
                     json_text(r->message));
}

static const char *file_text(struct context *c, const Lockstep__V1__File *file)
{
    return arena_strndup(c->arena, (const char *)file->text.data, file->text.len);
}

/* NULL: what is wrong is said, and *status is how to end. */
static const Lockstep__V1__GetClusterReply *get_revision(struct remote *r, const char *name,
                                                         uint32_t number, int *status)
{
    struct error e = {0};
    Lockstep__V1__GetClusterRequest request = LOCKSTEP__V1__GET_CLUSTER_REQUEST__INIT;
    request.name = (char *)name;
    request.revision = number;
    const Lockstep__V1__GetClusterReply *reply = REMOTE_CALL(
        r, GetCluster, GetClusterReply, get_cluster_reply, &request.base, REMOTE_CALL_MS, &e);
    if (reply == NULL) {
        *status = remote_fail(r, &e);
    } else if (reply->bundle == NULL || reply->revision == NULL) {
        say("the controller's answer holds no revision of %s", name);
        *status = CLI_FAILED;
        reply = NULL;
    }
    return reply;
}

static void print_files(struct context *c, const Lockstep__V1__GetClusterReply *reply)
{
    json_t *files = json_array();
    for (size_t i = 0; i < reply->bundle->n_files; i++) {
        const Lockstep__V1__File *file = reply->bundle->files[i];
        const char *text = file_text(c, file);
        if (c->json) {
            json_array_append_new(files, json_pack("{s:o, s:o}", "name", json_text(file->name),
                                                   "text", json_text(text)));
        } else {
            /* Together they are one YAML stream again. */
            printf("%s# %s\n%s%s", i > 0 ? "---\n" : "", file->name, text,
                   str_ends(text, "\n") ? "" : "\n");
        }
    }
    if (c->json) {
        print_json(
            json_pack("{s:o, s:O}", "revision", revision_json(reply->revision), "files", files));
    }
    json_decref(files);
}

static int get(struct context *c)
{
    struct remote r;
    struct error e = {0};
    uint32_t number = 0;
    if (args_number(&c->args, "revision", &number, &e) < 0) {
        say_error(&e);
        return CLI_WRONG_USE;
    }
    int status = remote_open(c, &r);
    if (status == 0) {
        const Lockstep__V1__GetClusterReply *reply =
            get_revision(&r, args_operand(&c->args, 0), number, &status);
        if (reply != NULL) {
            print_files(c, reply);
        }
    }
    remote_close(&r);
    return status;
}

static const struct option_spec get_options[] = {
    {"revision", 0, "N", "that revision instead of the newest"},
};

const struct verb verb_cluster_get = {
    .name = "cluster get",
    .usage = "NAME [--revision N]",
    .summary = "print the files of a cluster",
    .about = "Prints the files of the newest revision, or of revision N, as they were put.\n"
             "\n"
             "--json: {\"revision\": {number, digest, author, at_ms, version, message},\n"
             "\"files\": [{name, text}]}\n",
    .example = "  lockstep cluster get chat-prod --revision 3 > chat-prod.yaml\n",
    .options = get_options,
    .option_count = ARRAY_SIZE(get_options),
    .operands_min = 1,
    .operands_max = 1,
    .remote = true,
    .run = get,
};

/* ---- history ---- */

static const Lockstep__V1__ClusterHistoryReply *get_history(struct remote *r, const char *name,
                                                            int *status)
{
    struct error e = {0};
    Lockstep__V1__ClusterHistoryRequest request = LOCKSTEP__V1__CLUSTER_HISTORY_REQUEST__INIT;
    request.name = (char *)name;
    const Lockstep__V1__ClusterHistoryReply *reply =
        REMOTE_CALL(r, ClusterHistory, ClusterHistoryReply, cluster_history_reply, &request.base,
                    REMOTE_CALL_MS, &e);
    if (reply == NULL) {
        *status = remote_fail(r, &e);
    } else if (reply->n_revisions == 0) {
        say("there is no cluster %s: lockstep cluster list shows them", name);
        *status = CLI_FAILED;
        reply = NULL;
    }
    return reply;
}

static void print_revisions(struct context *c, const Lockstep__V1__ClusterHistoryReply *reply)
{
    struct table t;
    table_init(&t, c->arena, 6);
    TABLE_ADD(&t, "REVISION", "VERSION", "WHEN", "WHO", "DIGEST", "MESSAGE");
    for (size_t i = 0; i < reply->n_revisions; i++) {
        const Lockstep__V1__Revision *v = reply->revisions[i];
        TABLE_ADD(&t, arena_printf(c->arena, "%u", v->number), v->version,
                  time_text(c->arena, v->at_ms), v->author, digest_short(c->arena, v->digest),
                  v->message);
    }
    table_print(&t);
}

static int history(struct context *c)
{
    struct remote r;
    int status = remote_open(c, &r);
    if (status == 0) {
        const Lockstep__V1__ClusterHistoryReply *reply =
            get_history(&r, args_operand(&c->args, 0), &status);
        if (reply != NULL && c->json) {
            json_t *revisions = json_array();
            for (size_t i = 0; i < reply->n_revisions; i++) {
                json_array_append_new(revisions, revision_json(reply->revisions[i]));
            }
            print_json(json_pack("{s:o}", "revisions", revisions));
        } else if (reply != NULL) {
            print_revisions(c, reply);
        }
    }
    remote_close(&r);
    return status;
}

const struct verb verb_cluster_history = {
    .name = "cluster history",
    .usage = "NAME",
    .summary = "all revisions of a cluster, newest first",
    .about = "Prints every revision of the cluster's files: who put it, when, and which version it "
             "wants.\n"
             "\n"
             "--json: {\"revisions\": [{number, digest, author, at_ms, version, message}]}\n",
    .example = "  lockstep cluster history chat-prod\n",
    .operands_min = 1,
    .operands_max = 1,
    .remote = true,
    .run = history,
};

/* ---- diff ---- */

static const Lockstep__V1__File *file_named(const Lockstep__V1__Bundle *bundle, const char *name)
{
    for (size_t i = 0; i < bundle->n_files; i++) {
        if (str_equal(bundle->files[i]->name, name)) {
            return bundle->files[i];
        }
    }
    return NULL;
}

static void diff_file(struct context *c, const Lockstep__V1__File *from,
                      const Lockstep__V1__File *to, uint32_t from_number, uint32_t to_number,
                      struct buf *out)
{
    const struct diff_options options = {
        .from_name = from == NULL
                         ? "/dev/null"
                         : arena_printf(c->arena, "%s (revision %u)", from->name, from_number),
        .to_name = to == NULL ? "/dev/null"
                              : arena_printf(c->arena, "%s (revision %u)", to->name, to_number),
    };
    diff_unified(c->arena, from != NULL ? file_text(c, from) : "",
                 to != NULL ? file_text(c, to) : "", &options, out);
}

static int print_diff(struct context *c, const Lockstep__V1__GetClusterReply *from,
                      const Lockstep__V1__GetClusterReply *to)
{
    struct buf out;
    buf_init(&out, c->arena, 4 * (size_t)LIMIT_FRAME_BYTES);
    uint32_t from_number = from->revision->number;
    uint32_t to_number = to->revision->number;
    for (size_t i = 0; i < from->bundle->n_files; i++) {
        const Lockstep__V1__File *old = from->bundle->files[i];
        diff_file(c, old, file_named(to->bundle, old->name), from_number, to_number, &out);
    }
    for (size_t i = 0; i < to->bundle->n_files; i++) {
        const Lockstep__V1__File *new = to->bundle->files[i];
        if (file_named(from->bundle, new->name) == NULL) {
            diff_file(c, NULL, new, from_number, to_number, &out);
        }
    }
    if (c->json) {
        print_json(json_pack("{s:I, s:I, s:o}", "from", (json_int_t)from_number, "to",
                             (json_int_t)to_number, "diff", json_text(buf_text(&out))));
    } else {
        fputs(buf_text(&out), stdout);
    }
    return CLI_DONE;
}

/* The two newest revisions, where no number says otherwise. */
static int choose_numbers(struct remote *r, const char *name, uint32_t *from, uint32_t *to)
{
    int status = 0;
    const Lockstep__V1__ClusterHistoryReply *reply = get_history(r, name, &status);
    if (reply == NULL) {
        return status;
    }
    *to = *to > 0 ? *to : reply->revisions[0]->number;
    if (*from == 0 && *to < 2) {
        say("%s has one revision: there is nothing to compare it with", name);
        return CLI_FAILED;
    }
    *from = *from > 0 ? *from : *to - 1;
    return 0;
}

static int diff(struct context *c)
{
    struct remote r;
    struct error e = {0};
    uint32_t from = 0;
    uint32_t to = 0;
    const char *name = args_operand(&c->args, 0);
    if (args_number(&c->args, "from", &from, &e) < 0 || args_number(&c->args, "to", &to, &e) < 0) {
        say_error(&e);
        return CLI_WRONG_USE;
    }
    int status = remote_open(c, &r);
    if (status == 0 && (from == 0 || to == 0)) {
        status = choose_numbers(&r, name, &from, &to);
    }
    if (status == 0) {
        const Lockstep__V1__GetClusterReply *old = get_revision(&r, name, from, &status);
        const Lockstep__V1__GetClusterReply *new =
            old != NULL ? get_revision(&r, name, to, &status) : NULL;
        if (new != NULL) {
            status = print_diff(c, old, new);
        }
    }
    remote_close(&r);
    return status;
}

static const struct option_spec diff_options[] = {
    {"from", 0, "N", "the older revision; the one before --to when left out"},
    {"to", 0, "N", "the newer revision; the newest when left out"},
};

const struct verb verb_cluster_diff = {
    .name = "cluster diff",
    .usage = "NAME [--from N] [--to N]",
    .summary = "what changed between two revisions",
    .about = "Prints how the files of two revisions differ, as a unified diff; without numbers the "
             "newest\n"
             "two. What is wanted beside what is observed: lockstep status NAME.\n"
             "\n"
             "--json: {\"from\": N, \"to\": N, \"diff\": TEXT}\n",
    .example = "  lockstep cluster diff chat-prod\n"
               "  lockstep cluster diff chat-prod --from 3 --to 7\n",
    .options = diff_options,
    .option_count = ARRAY_SIZE(diff_options),
    .operands_min = 1,
    .operands_max = 1,
    .remote = true,
    .run = diff,
};

/* ---- put ---- */

static int put_files(struct context *c, struct remote *r, const struct spec_set *set)
{
    struct error e = {0};
    Lockstep__V1__PutClusterRequest request = LOCKSTEP__V1__PUT_CLUSTER_REQUEST__INIT;
    request.bundle = bundle_of(c->arena, set, args_text(&c->args, "message"));
    const Lockstep__V1__PutClusterReply *reply = REMOTE_CALL(
        r, PutCluster, PutClusterReply, put_cluster_reply, &request.base, REMOTE_CALL_MS, &e);
    if (reply == NULL) {
        return remote_fail(r, &e);
    }
    if (reply->n_complaints > 0) {
        bundle_say_complaints(c->arena, reply->complaints, reply->n_complaints);
        return CLI_FAILED;
    }
    if (c->json) {
        print_json(json_pack("{s:o, s:I, s:o, s:b}", "cluster", json_text(reply->cluster),
                             "revision", (json_int_t)reply->revision, "digest",
                             json_text(reply->digest), "changed", reply->changed ? 1 : 0));
    } else {
        printf("%s is %s revision %u\n", reply->cluster, reply->changed ? "now" : "already",
               reply->revision);
    }
    return CLI_DONE;
}

static int put(struct context *c)
{
    struct remote r;
    struct spec_set set = {0};
    struct error e = {0};
    int result = specs_read_cluster(c->arena, args_operand(&c->args, 0), &set, &e);
    if (result != 0) {
        if (result < 0) {
            say_error(&e);
        }
        return CLI_FAILED;
    }
    int status = remote_open(c, &r);
    if (status == 0) {
        status = put_files(c, &r, &set);
    }
    remote_close(&r);
    return status;
}

static const struct option_spec put_options[] = {
    {"message", 'm', "TEXT", "why, for the history"},
};

const struct verb verb_cluster_put = {
    .name = "cluster put",
    .usage = "FILE [-m TEXT]",
    .summary = "keep a new revision; change nothing else",
    .about =
        "Gives the controller a new revision of the cluster's file and of its Application. "
        "Nothing\n"
        "runs because of it: `status` shows what is wanted beside what is observed, `apply` goes "
        "there.\n"
        "\n"
        "--json: {\"cluster\": NAME, \"revision\": N, \"digest\": SHA256, \"changed\": BOOL}\n",
    .example = "  lockstep cluster put chat-prod.yaml -m \"9.11.3, after the change window\"\n",
    .options = put_options,
    .option_count = ARRAY_SIZE(put_options),
    .operands_min = 1,
    .operands_max = 1,
    .remote = true,
    .run = put,
};
