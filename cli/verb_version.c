/* Owns the questions about versions and ways that need no controller: `version compare`, `version in`, `path`. */
#include <string.h>

#include "cli/output.h"
#include "cli/specs.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "lib/base/str.h"
#include "lib/plan/plan.h"
#include "lib/spec/version.h"

#define SCHEME_HELP                                                                                \
    "SCHEME is semver, dotted, listed or dataminer. The order of listed comes from --list, "       \
    "oldest\n"                                                                                     \
    "first, or from the releases of an Application.\n"

static const struct option_spec version_options[] = {
    {"list", 0, "A,B,C", "listed: the versions, oldest first"},
    {"application", 0, "FILE", "listed: an Application whose releases are the list"},
};

/* ---- the scheme ---- */

static void split_list(struct arena *arena, const char *text, struct version_scheme *scheme)
{
    size_t most = 1;
    for (const char *p = text; *p != '\0'; p++) {
        most += *p == ',' ? 1 : 0;
    }
    const char **listed = ARENA_ARRAY(arena, most, const char *);
    size_t count = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, ",");
        const char *from = text;
        const char *to = text + len;
        while (from < to && *from == ' ') {
            from++;
        }
        while (to > from && to[-1] == ' ') {
            to--;
        }
        if (to > from) {
            listed[count++] = arena_strndup(arena, from, (size_t)(to - from));
        }
        text += len + (text[len] == ',' ? 1 : 0);
    }
    scheme->listed = listed;
    scheme->listed_count = count;
}

/* 0, or an enum cli_exit with what is wrong said. */
static int read_scheme(struct context *c, struct version_scheme *ret)
{
    const char *word = args_operand(&c->args, 0);
    const char *list = args_text(&c->args, "list");
    const char *application = args_text(&c->args, "application");
    size_t count = 0;
    while (version_scheme_words[count] != NULL) {
        count++;
    }
    for (size_t i = 0; i < count; i++) {
        if (!str_equal(word, version_scheme_words[i])) {
            continue;
        }
        *ret = (struct version_scheme){.kind = (enum version_scheme_kind)i};
        if (ret->kind != VERSION_LISTED) {
            return 0;
        }
        if (list != NULL) {
            split_list(c->arena, list, ret);
            return 0;
        }
        if (application == NULL) {
            say("listed wants the list: --list a,b,c or --application FILE");
            return CLI_WRONG_USE;
        }
        struct error e = {0};
        struct spec_set set = {0};
        int r = specs_read_application(c->arena, application, &set, &e);
        if (r < 0) {
            say_error(&e);
        } else if (r == 0 && set.spec.scheme.kind != VERSION_LISTED) {
            say("%s does not say versions: listed", application);
            r = CLI_FAILED;
        }
        *ret = set.spec.scheme;
        return r == 0 ? 0 : CLI_FAILED;
    }
    const char *nearest = str_nearest(word, version_scheme_words, count);
    say("unknown scheme \"%s\"%s%s%s: it is semver, dotted, listed or dataminer", word,
        nearest != NULL ? ", did you mean \"" : "", nearest != NULL ? nearest : "",
        nearest != NULL ? "\"?" : "");
    return CLI_WRONG_USE;
}

static bool check(const struct version_scheme *scheme, const char *text)
{
    struct error e = {0};
    /* A version that a list does not hold is well written all the same: it is incomparable. */
    if (scheme->kind == VERSION_LISTED || version_check(scheme, text, &e) == 0) {
        return true;
    }
    say_error(&e);
    return false;
}

/* ---- compare ---- */

static int compare(struct context *c)
{
    struct version_scheme scheme = {0};
    int r = read_scheme(c, &scheme);
    const char *a = args_operand(&c->args, 1);
    const char *b = args_operand(&c->args, 2);
    if (r != 0) {
        return r;
    }
    bool right = check(&scheme, a);
    if (!check(&scheme, b) || !right) {
        return CLI_FAILED;
    }
    enum version_order order = version_compare(&scheme, a, b);
    if (c->json) {
        print_json(json_pack("{s:o}", "order",
                             order == VERSION_INCOMPARABLE ? json_string("incomparable")
                                                           : json_integer(order)));
    } else if (order == VERSION_INCOMPARABLE) {
        puts("incomparable");
    } else {
        printf("%d\n", order);
    }
    return CLI_DONE;
}

const struct verb verb_version_compare = {
    .name = "version compare",
    .usage = "SCHEME A B",
    .summary = "print -1, 0, 1 or incomparable",
    .about =
        "Prints how A stands to B: -1 older, 0 the same, 1 newer, or incomparable.\n" SCHEME_HELP
        "\n"
        "--json: {\"order\": -1 | 0 | 1 | \"incomparable\"}\n",
    .example = "  lockstep version compare semver 1.9.0 1.10.0\n"
               "  lockstep version compare listed alpine cedar --list alpine,birch,cedar\n"
               "  lockstep version compare dataminer \"10.3.0 [CU5]\" 10.3.8\n",
    .options = version_options,
    .option_count = ARRAY_SIZE(version_options),
    .operands_min = 3,
    .operands_max = 3,
    .run = compare,
};

/* ---- in ---- */

static int in_range(struct context *c)
{
    struct version_scheme scheme = {0};
    int r = read_scheme(c, &scheme);
    if (r != 0) {
        return r;
    }
    const char *version = args_operand(&c->args, 1);
    struct error e = {0};
    const struct range *range = NULL;
    if (!check(&scheme, version)) {
        return CLI_WRONG_USE;
    }
    if (range_parse(c->arena, &scheme, args_operand(&c->args, 2), &range, &e) < 0) {
        say_error(&e);
        return CLI_WRONG_USE;
    }
    bool in = range_has(range, version);
    if (c->json) {
        print_json(json_pack("{s:b}", "in", in ? 1 : 0));
    }
    return in ? CLI_DONE : CLI_FAILED;
}

const struct verb verb_version_in = {
    .name = "version in",
    .usage = "SCHEME VERSION RANGE",
    .summary = "exit 0 when the range has the version, else 1",
    .about =
        "Exits 0 when RANGE has VERSION, 1 when it has not, 2 when one of them is not well "
        "written.\n"
        "A range: \">=10.3.8 <10.4\" (all hold), \"10.3.4..10.3.7\" (both ends included), \"a "
        "|| b\",\n"
        "\"1.2.3\" (exactly), \"*\" (all). In dataminer \"10.4\" is the whole major, \"main\" and\n"
        "\"feature\" are its tracks.\n" SCHEME_HELP "\n"
        "--json: {\"in\": BOOL}\n",
    .example = "  lockstep version in dotted 10.3.9 \">=10.3.8 <10.4\" && echo yes\n",
    .options = version_options,
    .option_count = ARRAY_SIZE(version_options),
    .operands_min = 3,
    .operands_max = 3,
    .run = in_range,
};

/* ---- path ---- */

static void print_way(const struct context *c, const struct plan_way *way)
{
    bool why = args_flag(&c->args, "explain");
    int width = 0;
    for (size_t i = 0; i < way->releases.count; i++) {
        int len = (int)strlen(way->releases.items[i]);
        width = len > width ? len : width;
    }
    for (size_t i = 0; i < way->releases.count; i++) {
        if (why && way->reasons.items[i][0] != '\0') {
            printf("%-*s  %s\n", width, way->releases.items[i], way->reasons.items[i]);
        } else {
            puts(way->releases.items[i]);
        }
    }
}

static void print_way_json(const struct plan_way *way)
{
    json_t *path = json_array();
    json_t *why = json_object();
    for (size_t i = 0; i < way->releases.count; i++) {
        json_array_append_new(path, json_text(way->releases.items[i]));
        if (way->reasons.items[i][0] != '\0') {
            json_object_set_new(why, way->releases.items[i], json_text(way->reasons.items[i]));
        }
    }
    print_json(json_pack("{s:o,s:o}", "path", path, "why", why));
}

static int path(struct context *c)
{
    const char *from = args_text(&c->args, "from");
    const char *to = args_text(&c->args, "to");
    if (from == NULL || to == NULL) {
        say("path wants both ends: lockstep path FILE --from A --to B");
        return CLI_WRONG_USE;
    }
    struct error e = {0};
    struct spec_set set = {0};
    struct plan_way way = {0};
    int r = specs_read_application(c->arena, args_operand(&c->args, 0), &set, &e);
    if (r == 0) {
        r = plan_way(c->arena, set.spec.application, &set.spec.scheme, from, to, &way, &e);
    }
    if (r < 0) {
        say_error(&e);
    }
    if (r != 0) {
        return CLI_FAILED;
    }
    if (c->json) {
        print_way_json(&way);
    } else {
        print_way(c, &way);
    }
    return CLI_DONE;
}

static const struct option_spec path_options[] = {
    {"from", 0, "VERSION", "where the way starts"},
    {"to", 0, "VERSION", "where it ends"},
    {"explain", 0, NULL, "say beside each stop which rule asks for it"},
};

const struct verb verb_path = {
    .name = "path",
    .usage = "APPLICATION.yaml --from A --to B [--explain]",
    .summary = "print the releases on the way from A to B",
    .about = "Prints the releases that an upgrade or a downgrade walks through, both ends "
             "included, one a\n"
             "line; or the rule of `paths:` that refuses it and the releases that are missing. Of "
             "the ways\n"
             "that are allowed it is the one with the fewest hops, then with the newest stops.\n"
             "\n"
             "--json: {\"path\": [VERSION], \"why\": {VERSION: RULE}}\n",
    .example = "  lockstep path mattermost.yaml --from 9.11.3 --to 7.8.15\n",
    .options = path_options,
    .option_count = ARRAY_SIZE(path_options),
    .operands_min = 1,
    .operands_max = 1,
    .run = path,
};
