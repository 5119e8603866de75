/* Owns the checks within a Cluster: nodes, addresses of databases, strategy, backup. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/spec/check.h"
#include "lib/spec/node.h"

static int by_name(const void *left, const void *right)
{
    const struct node_spec *a = *(const struct node_spec *const *)left;
    const struct node_spec *b = *(const struct node_spec *const *)right;
    int order = strcmp(a->name, b->name);
    return order != 0 ? order : (a < b ? -1 : 1);
}

/* By the pair's name, and within it in the order of the file. */
static int by_pair(const void *left, const void *right)
{
    const struct node_spec *a = *(const struct node_spec *const *)left;
    const struct node_spec *b = *(const struct node_spec *const *)right;
    int order = a->pair == NULL || b->pair == NULL ? (a->pair == NULL) - (b->pair == NULL)
                                                   : strcmp(a->pair, b->pair);
    return order != 0 ? order : (a < b ? -1 : 1);
}

/* Two nodes are a pair; reorders `nodes`. */
static void check_pairs(const struct checker *c, const struct node_spec **nodes, size_t count)
{
    if (count > 0) {
        qsort(nodes, count, sizeof(*nodes), by_pair);
    }
    for (size_t i = 0; i < count && nodes[i]->pair != NULL;) {
        size_t end = i + 1;
        while (end < count && str_equal(nodes[end]->pair, nodes[i]->pair)) {
            end++;
        }
        if (end - i == 1) {
            check_say(c, &nodes[i]->pair,
                      "pair \"%s\" has only node \"%s\": give its partner the same pair:",
                      nodes[i]->pair, nodes[i]->name);
        } else if (end - i > 2) {
            check_say(c, &nodes[i + 2]->pair,
                      "pair \"%s\" has %zu nodes: two nodes are a pair (\"%s\" and \"%s\" are it "
                      "already)",
                      nodes[i]->pair, end - i, nodes[i]->name, nodes[i + 1]->name);
        }
        i = end;
    }
}

static void check_nodes(const struct checker *c, const struct cluster *cluster)
{
    const struct node_spec **sorted =
        ARENA_ARRAY(c->arena, cluster->nodes.count, const struct node_spec *);
    size_t count = 0;
    for (size_t i = 0; i < cluster->nodes.count; i++) {
        const struct node_spec *node = LIST_AT(&cluster->nodes, const struct node_spec, i);
        sorted[count] = node;
        count += node->name != NULL ? 1 : 0;
        if (str_equal(node->name, "controller")) {
            check_say(c, &node->name,
                      "a node cannot be called controller: via: and on: mean lockstepd by it");
        }
        for (size_t j = 0; j < node->vars.count; j++) {
            if (str_equal(node->vars.items[j].key, "name")) {
                check_say(c, &node->vars.items[j].key,
                          "a var cannot be called name: ${node.name} is the node's");
            }
        }
    }
    check_pairs(c, sorted, count);
    if (count < 2) {
        return;
    }
    qsort(sorted, count, sizeof(*sorted), by_name);
    const struct node_spec *first = sorted[0];
    for (size_t i = 1; i < count; i++) {
        if (strcmp(first->name, sorted[i]->name) != 0) {
            first = sorted[i];
            continue;
        }
        check_say(c, &sorted[i]->name, "node \"%s\" is there twice, the first is at line %d",
                  sorted[i]->name, marks_find(c->marks, &first->name).line);
    }
}

/* scheme://user:password@host: what stands between is a secret in a file that is kept and shown. */
static bool holds_password(const char *url)
{
    const char *rest = strstr(url, "://");
    if (rest == NULL) {
        return false;
    }
    rest += 3;
    size_t authority = strcspn(rest, "/?#");
    for (size_t i = authority; i > 0; i--) {
        if (rest[i - 1] == '@') {
            return memchr(rest, ':', i - 1) != NULL;
        }
    }
    return strstr(url, "password=") != NULL;
}

static void check_via(const struct checker *c, const struct cluster *cluster, const void *field,
                      const char *via)
{
    if (via == NULL || str_equal(via, "controller") || cluster_node(cluster, via) != NULL) {
        return;
    }
    const char **names = ARENA_ARRAY(c->arena, cluster->nodes.count + 1, const char *);
    size_t count = 0;
    names[count++] = "controller";
    for (size_t i = 0; i < cluster->nodes.count; i++) {
        names[count] = LIST_AT(&cluster->nodes, struct node_spec, i)->name;
        count += names[count] != NULL ? 1 : 0;
    }
    check_say(c, field, "via: the cluster has no node \"%s\"%s", via,
              check_hint(c, via, names, count));
}

static void check_database(const struct checker *c, const struct cluster *cluster,
                           const struct cluster_database_spec *database)
{
    bool url_written = marks_find(c->marks, &database->url).line != 0;
    if (url_written && database->url_from != NULL) {
        check_say(c, &database->url_from, "url: and url_from: exclude each other");
    } else if (!url_written && database->url_from == NULL) {
        check_say(c, database,
                  "database \"%s\" needs url:, or url_from: when the address is a secret",
                  database->name);
    }
    if (database->url != NULL && holds_password(database->url)) {
        check_say(c, &database->url,
                  "the url holds a password: take it out and write password: { file: … }");
    }
    if (database->url != NULL && str_starts(database->url, "sqlite://")) {
        if (database->password != NULL) {
            check_say(c, &database->password, "an SQLite database has no password");
        }
        if (database->url[strlen("sqlite://")] != '/' &&
            !str_starts(database->url, "sqlite://${")) {
            check_say(c, &database->url,
                      "an SQLite address holds an absolute path: sqlite:///path/to/file");
        }
    }
    if (database->rehearse_on != NULL && database->rehearse_on->url != NULL &&
        holds_password(database->rehearse_on->url)) {
        check_say(c, &database->rehearse_on->url,
                  "the url holds a password: take it out and write password: { file: … }");
    }
    if (database->rehearse_on != NULL && str_equal(database->rehearse_on->url, database->url)) {
        check_say(c, &database->rehearse_on->url,
                  "rehearse_on: is the database itself: name an empty one");
    }
    check_via(c, cluster, &database->via, database->via);
}

/* A node without a zone would be in no wave, and be forgotten. */
static void check_zones(const struct checker *c, const struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->nodes.count; i++) {
        const struct node_spec *node = LIST_AT(&cluster->nodes, const struct node_spec, i);
        if (node->zone == NULL && node->name != NULL) {
            check_say(c, &node->name, "node \"%s\" needs zone:, for waves: { by: zone }",
                      node->name);
        }
    }
}

static void check_strategy(const struct checker *c, const struct cluster *cluster)
{
    const struct strategy_spec *strategy = cluster->strategy;
    if (strategy == NULL || strategy->rolling == NULL) {
        return;
    }
    if (strategy->all_at_once) {
        check_say(c, &strategy->all_at_once, "rolling: and all_at_once: exclude each other");
    }
    const struct rolling_spec *rolling = strategy->rolling;
    int64_t nodes = (int64_t)cluster->nodes.count;
    if (nodes == 0) {
        return;
    }
    if (rolling->waves != NULL && rolling->waves->by == WAVES_BY_ZONE) {
        check_zones(c, cluster);
    }
    if (rolling->canary == -100 || (rolling->canary >= nodes && rolling->canary > 0)) {
        check_say(c, &rolling->canary, "canary: %lld of %lld node%s leaves none to follow",
                  (long long)(rolling->canary > 0 ? rolling->canary : nodes), (long long)nodes,
                  nodes == 1 ? "" : "s");
    }
    if (rolling->max_unavailable > nodes) {
        check_say(c, &rolling->max_unavailable,
                  "max_unavailable: %lld is more than the cluster's %lld node%s",
                  (long long)rolling->max_unavailable, (long long)nodes, nodes == 1 ? "" : "s");
    }
}

static void check_backup(const struct checker *c, const struct cluster *cluster)
{
    const struct backup_spec *backup = cluster->backup;
    if (backup == NULL) {
        return;
    }
    if (backup->with == NULL) {
        if (backup->when != BACKUP_NEVER) {
            check_say(c, &cluster->backup,
                      "backup needs with:, such as with: { pg_dump: /var/backups/lockstep }");
        }
        return;
    }
    check_path_absolute(c, &backup->with->pg_dump, "pg_dump", backup->with->pg_dump);
    check_path_absolute(c, &backup->with->mariadb_dump, "mariadb_dump", backup->with->mariadb_dump);
    check_path_absolute(c, &backup->with->sqlite, "sqlite", backup->with->sqlite);
    for (size_t i = 0; i < cluster->databases.count; i++) {
        const struct cluster_database_spec *database =
            LIST_AT(&cluster->databases, const struct cluster_database_spec, i);
        if (database->url == NULL) {
            continue;
        }
        bool sqlite = str_starts(database->url, "sqlite://");
        bool postgres = str_starts(database->url, "postgres");
        bool mariadb =
            str_starts(database->url, "mysql://") || str_starts(database->url, "mariadb://");
        if (backup->with->pg_dump != NULL && !postgres) {
            check_say(c, &backup->with->pg_dump, "pg_dump cannot back up database \"%s\" (%.20s…)",
                      database->name, database->url);
        }
        if (backup->with->mariadb_dump != NULL && !mariadb) {
            check_say(c, &backup->with->mariadb_dump,
                      "mariadb_dump cannot back up database \"%s\" (%.20s…)", database->name,
                      database->url);
        }
        if (backup->with->sqlite != NULL && !sqlite) {
            check_say(c, &backup->with->sqlite,
                      "SQLite's backup cannot back up database \"%s\" (%.20s…)", database->name,
                      database->url);
        }
    }
}

void check_cluster(const struct checker *c, const struct cluster *cluster)
{
    check_nodes(c, cluster);
    for (size_t i = 0; i < cluster->databases.count; i++) {
        check_database(c, cluster,
                       LIST_AT(&cluster->databases, const struct cluster_database_spec, i));
    }
    check_strategy(c, cluster);
    check_backup(c, cluster);
    check_checks(c, &cluster->check);
}
