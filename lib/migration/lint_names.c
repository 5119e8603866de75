/* Owns what a script does with names, in its order: which tables are its own, which rows were copied where. */
#include <string.h>

#include "lib/base/str.h"
#include "lib/migration/lint_parts.h"

static size_t find(const struct lint_names *names, const char *name)
{
    size_t i = 0;
    while (i < names->count && strcasecmp(names->items[i], name) != 0) {
        i++;
    }
    return i;
}

bool lint_names_have(const struct lint_names *names, const char *name)
{
    return find(names, name) < names->count;
}

bool lint_names_add(struct lint *l, struct lint_names *names, const char *name)
{
    if (names->count >= LINT_NAMES_MAX || lint_names_have(names, name)) {
        return false;
    }
    names->items =
        arena_grow(l->arena, names->items, names->count, &names->capacity, sizeof(*names->items));
    names->items[names->count++] = name;
    return true;
}

void lint_names_remove(struct lint_names *names, const char *name)
{
    size_t i = find(names, name);
    if (i < names->count) {
        names->items[i] = names->items[--names->count];
    }
}

static void add_pair(struct lint *l, struct lint_pairs *pairs, struct lint_pair pair)
{
    if (pairs->count < LINT_NAMES_MAX) {
        pairs->items = arena_grow(l->arena, pairs->items, pairs->count, &pairs->capacity,
                                  sizeof(*pairs->items));
        pairs->items[pairs->count++] = pair;
    }
}

static bool have_pair(const struct lint_pairs *pairs, const char *from, const char *to)
{
    for (size_t i = 0; i < pairs->count; i++) {
        if (strcasecmp(pairs->items[i].from, from) == 0 &&
            strcasecmp(pairs->items[i].to, to) == 0) {
            return true;
        }
    }
    return false;
}

/* The rows of the dropped `table` are in `copy`, which now has its name, or was copied back into it. */
static void is_back(struct lint *l, const char *table, const char *copy)
{
    for (size_t i = 0; i < l->drops.count; i++) {
        const struct lint_pair *drop = &l->drops.items[i];
        if (strcasecmp(drop->from, table) == 0 && strcasecmp(drop->to, copy) == 0) {
            l->losses[drop->loss].undone = true;
            lint_names_remove(&l->created, table);
        }
    }
}

void lint_table_filled(struct lint *l, const char *to, const char *from)
{
    add_pair(l, &l->fills, (struct lint_pair){.from = from, .to = to});
    is_back(l, to, from);
}

void lint_table_dropped(struct lint *l, const char *table)
{
    if (lint_names_have(&l->created, table)) {
        lint_names_remove(&l->created, table);
        return;
    }
    lint_loss(l, arena_printf(l->arena, "drops table %s", table));
    size_t loss = l->losses_count - 1;
    for (size_t i = 0; i < l->fills.count; i++) {
        const struct lint_pair *fill = &l->fills.items[i];
        if (strcasecmp(fill->from, table) != 0) {
            continue;
        }
        if (have_pair(&l->renames, fill->to, table)) { /* it stepped aside for its copy */
            l->losses[loss].undone = true;
            lint_names_remove(&l->created, fill->to);
            return;
        }
        add_pair(l, &l->drops, (struct lint_pair){.from = table, .to = fill->to, .loss = loss});
    }
}

/* What was filled under a name is no longer there under it. */
static void forget_fills(struct lint *l, const char *name)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->fills.count; i++) {
        const struct lint_pair *fill = &l->fills.items[i];
        if (strcasecmp(fill->from, name) != 0 && strcasecmp(fill->to, name) != 0) {
            l->fills.items[kept++] = *fill;
        }
    }
    l->fills.count = kept;
}

void lint_table_renamed(struct lint *l, const char *from, const char *to)
{
    const char *dot = strrchr(from, '.');
    if (dot != NULL && strchr(to, '.') == NULL) {
        to = arena_printf(l->arena, "%.*s.%s", (int)(dot - from), from, to);
    }
    if (lint_names_have(&l->created, from)) {
        lint_names_remove(&l->created, from);
        lint_names_add(l, &l->created, to);
    }
    add_pair(l, &l->renames, (struct lint_pair){.from = from, .to = to});
    is_back(l, to, from);
    forget_fills(l, from);
}

const char *lint_column(struct lint *l, const char *table, const char *column)
{
    return arena_printf(l->arena, "%s.%s", table, column);
}

const char *lint_join(struct lint *l, PgQuery__Node *const *parts, size_t count, size_t leave)
{
    const char *name = "";
    for (size_t i = 0; i + leave < count; i++) {
        if (parts[i] != NULL && parts[i]->node_case == NODE(STRING)) {
            const char *part = parts[i]->string->sval;
            name = name[0] != '\0' ? arena_printf(l->arena, "%s.%s", name, part)
                                   : arena_strdup(l->arena, part);
        }
    }
    return name;
}

/* The parser's tree is in an arena of its own: every name is copied. */
const char *lint_range(struct lint *l, const PgQuery__RangeVar *r)
{
    if (r == NULL) {
        return "";
    }
    return str_empty(r->schemaname) ? arena_strdup(l->arena, r->relname)
                                    : lint_column(l, r->schemaname, r->relname);
}

const char *lint_object(struct lint *l, const PgQuery__Node *n, size_t leave)
{
    if (n == NULL) {
        return "";
    }
    if (n->node_case == NODE(STRING)) {
        return arena_strdup(l->arena, n->string->sval);
    }
    if (n->node_case == NODE(LIST)) {
        return lint_join(l, n->list->items, n->list->n_items, leave);
    }
    if (n->node_case == NODE(TYPE_NAME)) {
        return lint_join(l, n->type_name->names, n->type_name->n_names, leave);
    }
    if (n->node_case == NODE(OBJECT_WITH_ARGS)) {
        const PgQuery__ObjectWithArgs *o = n->object_with_args;
        return lint_join(l, o->objname, o->n_objname, leave);
    }
    return n->node_case == NODE(RANGE_VAR) ? lint_range(l, n->range_var) : "";
}

/* The parser's own names of types, as people write them. */
static const char *type_word(const char *name)
{
    static const struct {
        const char *name, *word;
    } words[] = {
        {"int2", "smallint"},
        {"int4", "integer"},
        {"int8", "bigint"},
        {"bool", "boolean"},
        {"float4", "real"},
        {"float8", "double precision"},
        {"bpchar", "char"},
        {"timestamptz", "timestamp with time zone"},
        {"timetz", "time with time zone"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (str_equal(words[i].name, name)) {
            return words[i].word;
        }
    }
    return name;
}

const char *lint_type(struct lint *l, const PgQuery__TypeName *t)
{
    if (t == NULL) {
        return "another type";
    }
    struct buf b;
    buf_init(&b, l->arena, 4096);
    const char *name = lint_join(l, t->names, t->n_names, 0);
    bool own = str_starts(name, "pg_catalog.");
    buf_puts(&b, own ? type_word(name + strlen("pg_catalog.")) : name);
    size_t written = 0;
    for (size_t i = 0; i < t->n_typmods; i++) {
        const PgQuery__Node *n = t->typmods[i];
        if (n->node_case == NODE(A_CONST) && n->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL &&
            !str_starts(name, "pg_catalog.interval")) {
            buf_printf(&b, "%s%d", written++ > 0 ? "," : "(", n->a_const->ival->ival);
        }
    }
    buf_puts(&b, written > 0 ? ")" : "");
    for (size_t i = 0; i < t->n_array_bounds; i++) {
        buf_puts(&b, "[]");
    }
    return buf_text(&b);
}

const ProtobufCMessage *lint_next_child(struct lint_children *c)
{
    const ProtobufCMessageDescriptor *d = c->message->descriptor;
    for (; c->field < d->n_fields; c->field++, c->item = 0) {
        const ProtobufCFieldDescriptor *f = &d->fields[c->field];
        const uint8_t *at = (const uint8_t *)c->message + f->offset;
        const uint8_t *quantifier = (const uint8_t *)c->message + f->quantifier_offset;
        if (f->type != PROTOBUF_C_TYPE_MESSAGE) {
            continue;
        }
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            const ProtobufCMessage *const *items = *(const ProtobufCMessage *const *const *)at;
            if (c->item < *(const size_t *)quantifier) {
                return items[c->item++];
            }
            continue;
        }
        bool other =
            (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 && *(const uint32_t *)quantifier != f->id;
        const ProtobufCMessage *child = *(const ProtobufCMessage *const *)at;
        if (c->item++ == 0 && !other && child != NULL) {
            return child;
        }
    }
    return NULL;
}
