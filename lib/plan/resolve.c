/*
 * Owns the references that a plan settles: all but ${node.*} and ${run}, which differ by place and run and stay text
 * until plan_action(). Refuses unknown names and the URL of a database that is a secret.
 */
#include <string.h>

#include "lib/base/str.h"
#include "lib/plan/compiler.h"

struct context {
    struct compiler *c;
    size_t hop;
    const char *database;              /* whose schema ${hop.schema_*} means; NULL: the first */
    const struct migration *migration; /* that is delegated; NULL: none */
};

static const char *schema_text(const struct context *x, const char *version)
{
    const char *database = x->database;
    if (database == NULL && x->c->app->databases.count > 0) {
        database = LIST_AT(&x->c->app->databases, struct app_database_spec, 0)->name;
    }
    int64_t schema = version == NULL || database == NULL ? -1 : schema_of(x->c, version, database);
    return schema < 0 ? "" : arena_printf(x->c->arena, "%lld", (long long)schema);
}

static const char *database_url(const struct context *x, const char *name)
{
    for (size_t i = 0; i < x->c->cluster->databases.count; i++) {
        const struct cluster_database_spec *d =
            LIST_AT(&x->c->cluster->databases, struct cluster_database_spec, i);
        if (str_equal(name, arena_printf(x->c->arena, "database.%s.url", d->name))) {
            return d->url;
        }
    }
    return NULL;
}

/* NULL: no such name. */
static const char *value_of(const struct context *x, const char *name)
{
    struct compiler *c = x->c;
    const struct hop_state *hop = x->hop < c->hop_count ? &c->hops[x->hop] : NULL;
    hop = c->meant != NULL ? c->meant : hop;
    const char *from = hop != NULL ? hop->from : c->to;
    const char *to = hop != NULL ? hop->to : c->to;
    const struct {
        const char *name;
        const char *value;
    } known[] = {
        {"cluster.name", c->cluster->name},
        {"release.version", to},
        {"layout.path", c->layout},
        {"hop.from", from != NULL ? from : ""},
        {"hop.to", to},
        {"component.version", c->component},
        {"hop.schema_from", schema_text(x, from)},
        {"hop.schema_to", schema_text(x, to)},
    };
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (str_equal(known[i].name, name)) {
            return known[i].value;
        }
    }
    const struct migration *m = x->migration;
    if (m != NULL && str_equal(name, "migration.version")) {
        return arena_printf(c->arena, "%lld", (long long)m->version);
    }
    if (m != NULL && str_equal(name, "migration.previous")) {
        return arena_printf(c->arena, "%lld", (long long)MAX(m->previous, 0));
    }
    return str_starts(name, "database.") ? database_url(x, name) : NULL;
}

static const char *expand(const struct context *x, const char *text)
{
    if (text == NULL || strstr(text, "${") == NULL) {
        return text;
    }
    struct buf b;
    buf_init(&b, x->c->arena, LIMIT_SPEC_BYTES);
    const char *p = text;
    while (*p != '\0') {
        if (str_starts(p, "$${")) {
            buf_puts(&b, "$${");
            p += 3;
            continue;
        }
        const char *end = str_starts(p, "${") ? strchr(p, '}') : NULL;
        if (end == NULL) {
            buf_putc(&b, *p++);
            continue;
        }
        const char *name = arena_strndup(x->c->arena, p + 2, (size_t)(end - p) - 2);
        if (str_starts(name, "node.") || str_equal(name, "run")) {
            buf_append(&b, p, (size_t)(end - p) + 1);
        } else {
            const char *value = value_of(x, name);
            if (value == NULL) {
                forbid(x->c,
                       "${%s} in \"%s\" is not known here: there are ${node.…}, ${run}, "
                       "${cluster.name}, ${release.version}, ${layout.path}, ${hop.…} and "
                       "${database.NAME.url} of a database whose url: is written out",
                       name, text);
            } else {
                buf_puts(&b, value);
            }
        }
        p = end + 1;
    }
    return buf_text(&b);
}

static void copy_strings(const struct context *x, struct strings *s)
{
    const char **items = ARENA_ARRAY(x->c->arena, s->count, const char *);
    for (size_t i = 0; i < s->count; i++) {
        items[i] = expand(x, s->items[i]);
    }
    s->items = items;
}

static void copy_pairs(const struct context *x, struct pairs *s)
{
    struct pair *items = ARENA_ARRAY(x->c->arena, s->count, struct pair);
    for (size_t i = 0; i < s->count; i++) {
        items[i] = (struct pair){s->items[i].key, expand(x, s->items[i].value)};
    }
    s->items = items;
}

static void copy_shape(const struct context *x, const struct shape *shape, const void *in,
                       void *out);

static void copy_list(const struct context *x, const struct shape *shape, struct list *list)
{
    const char *old = list->items;
    char *items = arena_array(x->c->arena, list->count, shape->size);
    for (size_t i = 0; i < list->count; i++) {
        copy_shape(x, shape, old + i * shape->size, items + i * shape->size);
    }
    list->items = items;
}

/* `at` points into the copy, which still holds the original's pointers. */
static void copy_field(const struct context *x, const struct field *f, char *out)
{
    char *at = out + f->offset;
    switch (f->type) {
    case SHAPE_STRING:
    case SHAPE_NAME:
    case SHAPE_VERSION:
        *(const char **)(void *)at = expand(x, *(const char **)(void *)at);
        break;
    case SHAPE_INT:
        if (f->text_offset != 0) {
            const char **text = (const char **)(void *)(out + f->text_offset);
            *text = expand(x, *text);
        }
        break;
    case SHAPE_STRINGS:
    case SHAPE_VERSIONS:
        copy_strings(x, (struct strings *)(void *)at);
        break;
    case SHAPE_MAP:
        copy_pairs(x, (struct pairs *)(void *)at);
        break;
    case SHAPE_OBJECT: {
        void **object = (void **)(void *)at;
        if (*object != NULL) {
            void *copy = arena_alloc(x->c->arena, f->shape->size);
            copy_shape(x, f->shape, *object, copy);
            *object = copy;
        }
        break;
    }
    case SHAPE_EMBED:
        copy_shape(x, f->shape, at, at);
        break;
    case SHAPE_LIST:
    case SHAPE_DICT:
        copy_list(x, f->shape, (struct list *)(void *)at);
        break;
    case SHAPE_BOOL:
    case SHAPE_DURATION:
    case SHAPE_BYTES:
    case SHAPE_AMOUNT:
    case SHAPE_ENUM:
    case SHAPE_JSON:
        break;
    }
}

static void copy_shape(const struct context *x, const struct shape *shape, const void *in,
                       void *out)
{
    if (in != out) {
        memcpy(out, in, shape->size);
    }
    for (size_t i = 0; i < shape->field_count; i++) {
        copy_field(x, &shape->fields[i], out);
    }
}

void resolve_shape(struct compiler *c, size_t hop, const char *database, const struct shape *shape,
                   const void *in, void *out)
{
    struct context x = {c, hop, database, NULL};
    copy_shape(&x, shape, in, out);
}

void resolve_delegated(struct compiler *c, size_t hop, const char *database,
                       const struct migration *migration, const struct action *in,
                       struct action *out)
{
    struct context x = {c, hop, database, migration};
    copy_shape(&x, &action_shape, in, out);
}

const char *resolve_text(struct compiler *c, size_t hop, const char *database, const char *text)
{
    struct context x = {c, hop, database, NULL};
    return expand(&x, text);
}
