/* Owns `validate` and `schema`: what is wrong with spec files, and what they may hold. */
#include "cli/output.h"
#include "cli/specs.h"
#include "cli/verb.h"
#include "cli/verbs.h"

static json_t *complaints_json(const struct complaints *complaints)
{
    json_t *list = json_array();
    for (size_t i = 0; i < complaints->count; i++) {
        const struct complaint *c = &complaints->items[i];
        json_array_append_new(list, json_pack("{s:o, s:i, s:i, s:o}", "file", json_text(c->file),
                                              "line", c->line, "column", c->column, "message",
                                              json_text(c->message)));
    }
    return list;
}

static int validate(struct context *c)
{
    struct error e = {0};
    struct spec_sets sets = {0};
    if (specs_read(c->arena, c->args.operands, c->args.operand_count, &sets, &e) < 0) {
        say_error(&e);
        return CLI_FAILED;
    }
    bool right = sets.complaints.count == 0;
    if (c->json) {
        print_json(json_pack("{s:b, s:I, s:o}", "right", right ? 1 : 0, "files",
                             (json_int_t)sets.file_count, "complaints",
                             complaints_json(&sets.complaints)));
    } else if (right) {
        printf("%zu file%s right\n", sets.file_count, sets.file_count == 1 ? " is" : "s are");
    } else {
        say_complaints(sets.complaints.items, sets.complaints.count);
    }
    return right ? CLI_DONE : CLI_FAILED;
}

const struct verb verb_validate = {
    .name = "validate",
    .usage = "FILE...",
    .summary = "check spec files",
    .about =
        "Reads the files and prints all that is wrong, one line each: file:line:column: message.\n"
        "The Application that a Cluster names is read along, from its path or from the catalog.\n"
        "\n"
        "--json: {\"right\": BOOL, \"files\": N, \"complaints\": [{file, line, column, "
        "message}]}\n",
    .example = "  lockstep validate chat-prod.yaml\n",
    .operands_min = 1,
    .operands_max = SIZE_MAX,
    .run = validate,
};

static int schema(struct context *c)
{
    (void)c;
    static const struct shape *const kinds[] = {&cluster_shape, &application_shape, &fleet_shape};
    json_t *json = shape_schema(kinds, ARRAY_SIZE(kinds));
    json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    putchar('\n');
    json_decref(json);
    return CLI_DONE;
}

const struct verb verb_schema = {
    .name = "schema",
    .usage = "",
    .summary = "print the JSON Schema of spec files",
    .about = "Prints the JSON Schema (draft 2020-12) of Cluster, Application and Fleet, for "
             "editors. It is made\n"
             "from the tables that parse; relations between values are told by `validate` only.\n",
    .example = "  lockstep schema > lockstep.schema.json\n",
    .run = schema,
};
