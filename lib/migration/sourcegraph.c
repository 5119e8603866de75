/*
 * Owns Sourcegraph's folders: what stands in them, their graph, and what its migrator would refuse in them. Refuses besides
 * what its ledger could not hold (an id past 32 bits) and two folders with one id, which the migrator would mix up.
 */
#include "lib/migration/sourcegraph.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/migration/common.h"
#include "lib/migration/graph.h"
#include "lib/migration/sourcegraph_text.h"
#include "lib/migration/sql.h"
#include "lib/migration/text.h"
#include "lib/migration/transaction.h"

enum part { PART_OTHER, PART_UP, PART_DOWN, PART_METADATA };

/* A file, and the folder that it is in. */
struct entry {
    int64_t id;
    const char *folder;
    enum part part;
    const struct migration_file *file;
};

struct metadata {
    int64_t parent;
    struct strings parents;
    bool create_index_concurrently;
    bool privileged;
};

/* One folder. */
struct folder {
    int64_t id;
    const char *name;
    const struct migration_file *up, *down;
    struct metadata metadata;
    int64_t *parents; /* sorted, each once */
    size_t parent_count;
};

static const struct field metadata_fields[] = {
    {.key = "parent",
     .type = SHAPE_INT,
     .offset = offsetof(struct metadata, parent),
     .max = INT32_MAX},
    {.key = "parents",
     .type = SHAPE_STRINGS,
     .offset = offsetof(struct metadata, parents),
     .pattern = "[0-9]{1,10}",
     .pattern_help = "the number of a migration",
     .max = LIMIT_MIGRATIONS},
    {.key = "createIndexConcurrently",
     .type = SHAPE_BOOL,
     .offset = offsetof(struct metadata, create_index_concurrently)},
    {.key = "privileged", .type = SHAPE_BOOL, .offset = offsetof(struct metadata, privileged)},
};
/* name is for people and nonIdempotent for the tool's own tests: both are stepped over, like any key it does not know. */
static const struct shape metadata_shape = {
    .name = "metadata",
    .size = sizeof(struct metadata),
    .fields = metadata_fields,
    .field_count = ARRAY_SIZE(metadata_fields),
    .open = true,
};

/* 1: in a numbered folder; 0: a file that the migrator steps over. */
static int parse_path(struct arena *arena, const struct migration_file *f, struct entry *ret,
                      struct error *e)
{
    const char *slash = strchr(f->name, '/');
    size_t len = slash != NULL ? (size_t)(slash - f->name) : strlen(f->name);
    const char *folder = arena_strndup(arena, f->name, len);
    bool sign = folder[0] == '+' || folder[0] == '-';
    size_t digits = strspn(folder + sign, "0123456789");
    char after = folder[sign + digits];
    if (digits == 0 || (after != '_' && after != '\0')) {
        return 0;
    }
    uint64_t id;
    const char *number = arena_strndup(arena, folder + sign, digits);
    if (folder[0] == '-' || !str_to_u64(number, INT32_MAX, &id) || id == 0) {
        return error_set(e, E_INVALID,
                         "%s: the id is not between 1 and %d: the ledger could not hold it", folder,
                         INT32_MAX);
    }
    if (slash == NULL) {
        return error_set(e, E_INVALID,
                         "%s: Sourcegraph's migrator takes it for a folder with up.sql, down.sql "
                         "and metadata.yaml, since its name begins with a number",
                         f->name);
    }
    static const char *const parts[] = {
        [PART_UP] = "up.sql", [PART_DOWN] = "down.sql", [PART_METADATA] = "metadata.yaml"};
    *ret = (struct entry){(int64_t)id, folder, PART_OTHER, f};
    for (size_t p = PART_UP; p < ARRAY_SIZE(parts); p++) {
        ret->part = str_equal(slash + 1, parts[p]) ? (enum part)p : ret->part;
    }
    return 1;
}

static int by_folder(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;
    if (x->id != y->id) {
        return x->id < y->id ? -1 : 1;
    }
    int r = strcmp(x->folder, y->folder);
    return r != 0 ? r : strcmp(x->file->name, y->file->name);
}

static int by_number(const void *a, const void *b)
{
    const int64_t *x = a;
    const int64_t *y = b;
    return *x == *y ? 0 : (*x < *y ? -1 : 1);
}

static void collect_parents(struct arena *arena, struct folder *f)
{
    const struct metadata *m = &f->metadata;
    f->parents = ARENA_ARRAY(arena, m->parents.count + 1, int64_t);
    size_t count = 0;
    for (size_t i = 0; i < m->parents.count; i++) {
        uint64_t id = 0;
        (void)str_to_u64(m->parents.items[i], INT64_MAX, &id); /* ten digits: its pattern */
        f->parents[count++] = (int64_t)id;
    }
    if (m->parent != 0) {
        f->parents[count++] = m->parent;
    }
    qsort(f->parents, count, sizeof(int64_t), by_number);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || f->parents[i] != f->parents[f->parent_count - 1]) {
            f->parents[f->parent_count++] = f->parents[i];
        }
    }
}

/* Nothing but blanks and comments: no key at all, which the migrator allows and a spec may not do. */
static bool says_nothing(struct bytes yaml)
{
    for (bool comment = false; yaml.len > 0;
         yaml = text_from(yaml, MAX(text_blank(yaml), (size_t)1))) {
        comment = yaml.data[0] != '\n' && (comment || yaml.data[0] == '#');
        if (!comment && text_blank(yaml) == 0) {
            return false;
        }
    }
    return true;
}

static int read_metadata(struct arena *arena, const struct migration_file *file, struct folder *f,
                         struct error *e)
{
    struct complaints complaints;
    if (says_nothing(file->text)) {
        return 0;
    }
    complaints_init(&complaints, arena);
    struct yaml_documents documents =
        yaml_read(arena, file->name, (const char *)file->text.data, file->text.len, &complaints);
    if (complaints.count == 0 && documents.count > 0) {
        struct marks *marks;
        shape_from_yaml(&metadata_shape, documents.items[0], &f->metadata, &marks, arena,
                        &complaints);
    }
    if (complaints.count > 0) {
        const struct complaint *first = &complaints.items[0];
        return error_set(e, E_INVALID, "%s:%d:%d: %s", file->name, first->line, first->column,
                         first->message);
    }
    collect_parents(arena, f);
    return 0;
}

static int check_index(const struct folder *f, struct error *e)
{
    struct bytes up = sourcegraph_canonical(f->up->text);
    if (sourcegraph_builds_index(sourcegraph_canonical(f->down->text))) {
        return error_set(e, E_INVALID,
                         "%s creates an index concurrently, which a way down may not: remove "
                         "CONCURRENTLY",
                         f->down->name);
    }
    if (!sourcegraph_builds_index(up)) {
        return !f->metadata.create_index_concurrently
                   ? 0
                   : error_set(e, E_INVALID,
                               "%s creates no index concurrently, but the metadata says "
                               "createIndexConcurrently: true",
                               f->up->name);
    }
    if (!f->metadata.create_index_concurrently) {
        return error_set(e, E_INVALID,
                         "%s creates an index concurrently, but the metadata does not say "
                         "createIndexConcurrently: true",
                         f->up->name);
    }
    if (!sourcegraph_only_builds_index(up)) {
        return error_set(e, E_INVALID,
                         "%s does more than create one index concurrently: the rest belongs into "
                         "a migration of its own",
                         f->up->name);
    }
    return 0;
}

static int check_privileged(const struct folder *f, struct error *e)
{
    bool up = sourcegraph_touches_extension(sourcegraph_canonical(f->up->text));
    bool down = sourcegraph_touches_extension(sourcegraph_canonical(f->down->text));
    if ((up || down) && !f->metadata.privileged) {
        return error_set(e, E_INVALID,
                         "%s changes an extension, but the metadata does not say privileged: true",
                         (up ? f->up : f->down)->name);
    }
    return 0;
}

/* `entries` are the files of one folder. */
static int read_folder(struct arena *arena, const struct entry *entries, size_t count,
                       struct folder *f, struct error *e)
{
    const struct migration_file *metadata = NULL;
    f->id = entries->id;
    f->name = entries->folder;
    for (size_t i = 0; i < count; i++) {
        switch (entries[i].part) {
        case PART_UP:
            f->up = entries[i].file;
            break;
        case PART_DOWN:
            f->down = entries[i].file;
            break;
        case PART_METADATA:
            metadata = entries[i].file;
            break;
        case PART_OTHER:
            break;
        }
    }
    if (f->up == NULL || f->down == NULL || metadata == NULL) {
        return error_set(e, E_INVALID, "%s/%s is missing", f->name,
                         f->up == NULL     ? "up.sql"
                         : f->down == NULL ? "down.sql"
                                           : "metadata.yaml");
    }
    int r = read_metadata(arena, metadata, f, e);
    r = r < 0 ? r : check_index(f, e);
    return r < 0 ? r : check_privileged(f, e);
}

static int read_folders(struct arena *arena, const struct entry *entries, size_t count,
                        struct folder *folders, size_t *ret_count, struct error *e)
{
    size_t found = 0;
    for (size_t i = 0; i < count;) {
        size_t files = 1;
        while (i + files < count && str_equal(entries[i + files].folder, entries[i].folder)) {
            files++;
        }
        if (found > 0 && folders[found - 1].id == entries[i].id) {
            return error_set(e, E_INVALID, "%s and %s have the same id", folders[found - 1].name,
                             entries[i].folder);
        }
        int r = read_folder(arena, &entries[i], files, &folders[found++], e);
        if (r < 0) {
            return r;
        }
        i += files;
    }
    *ret_count = found;
    return migration_refuse_many(found, e);
}

static struct migration_script script_of(struct arena *arena, const struct migration_file *file,
                                         bool concurrent)
{
    struct bytes sql = sourcegraph_canonical(file->text);
    struct transaction_facts facts = transaction_look(sql);
    struct migration_script script = {
        .file = file->name,
        .sha256 = file->sha256,
        .empty = sql_is_empty(sql),
        .transactional = !concurrent && transaction_fits(&facts),
        .concurrent = concurrent || facts.concurrently,
    };
    migration_script_facts(arena, sql, true, &script);
    return script;
}

static void make(struct arena *arena, const struct folder *f, struct migration *m)
{
    m->id = arena_printf(arena, "%" PRId64, f->id);
    m->version = f->id;
    m->privileged = f->metadata.privileged;
    m->up = script_of(arena, f->up, f->metadata.create_index_concurrently);
    m->down = script_of(arena, f->down, false);
    if (m->down.empty) {
        m->down.lossy = migration_undoes_nothing(&m->up, "its down is empty: nothing is undone");
    }
    m->parents.items = ARENA_ARRAY(arena, f->parent_count, const char *);
    for (size_t i = 0; i < f->parent_count; i++) {
        m->parents.items[m->parents.count++] = arena_printf(arena, "%" PRId64, f->parents[i]);
    }
}

static int in_order(struct arena *arena, const struct folder *folders, size_t count,
                    struct migration_set *ret, struct error *e)
{
    struct graph_node *nodes = ARENA_ARRAY(arena, count, struct graph_node);
    for (size_t i = 0; i < count; i++) {
        nodes[i] = (struct graph_node){folders[i].id, folders[i].parents, folders[i].parent_count};
    }
    size_t *order;
    int r = graph_order(arena, nodes, count, &order, e);
    if (r < 0) {
        return r;
    }
    struct migration_set set = {ARENA_ARRAY(arena, count, struct migration), count};
    for (size_t i = 0; i < count; i++) {
        make(arena, &folders[order[i]], &set.items[i]);
        set.items[i].previous = i > 0 ? set.items[i - 1].version : -1;
    }
    migration_places(&set);
    *ret = set;
    return 0;
}

static int sourcegraph_read(struct arena *arena, const struct migration_file *files, size_t count,
                            struct migration_set *ret, struct error *e)
{
    struct entry *entries = ARENA_ARRAY(arena, count, struct entry);
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        assert(files[i].name != NULL && files[i].sha256 != NULL);
        int r = parse_path(arena, &files[i], &entries[found], e);
        if (r < 0) {
            return r;
        }
        found += (size_t)r;
    }
    qsort(entries, found, sizeof(*entries), by_folder);
    struct folder *folders = ARENA_ARRAY(arena, found, struct folder);
    size_t folder_count = 0;
    int r = read_folders(arena, entries, found, folders, &folder_count, e);
    return r < 0 ? r : in_order(arena, folders, folder_count, ret, e);
}

static int sourcegraph_pieces(struct arena *arena, struct bytes text, bool down UNUSED,
                              struct migration_pieces *ret, struct error *e UNUSED)
{
    struct bytes sql = sourcegraph_canonical(text);
    struct migration_pieces pieces = {.wrapped = true};
    if (sql.len > 0) {
        pieces.items = ARENA_NEW(arena, struct migration_piece);
        pieces.items[pieces.count++] =
            (struct migration_piece){.sql = arena_strndup(arena, (const char *)sql.data, sql.len),
                                     .len = sql.len,
                                     .line = text_line(text, (size_t)(sql.data - text.data))};
    }
    *ret = pieces;
    return 0;
}

static int by_place_down(const void *a, const void *b)
{
    const struct migration *x = a;
    const struct migration *y = b;
    return x->place == y->place ? 0 : (x->place > y->place ? -1 : 1);
}

static void sourcegraph_sort_down(struct migration *items, size_t count)
{
    if (count > 1) {
        qsort(items, count, sizeof(*items), by_place_down);
    }
}

struct position {
    const char *id;
    size_t at;
};

static int by_position_id(const void *a, const void *b)
{
    const struct position *x = a;
    const struct position *y = b;
    return strcmp(x->id, y->id);
}

static struct position *positions(struct arena *arena, const struct migration *items, size_t count)
{
    struct position *sorted = ARENA_ARRAY(arena, count, struct position);
    for (size_t i = 0; i < count; i++) {
        sorted[i] = (struct position){items[i].id, i};
    }
    qsort(sorted, count, sizeof(*sorted), by_position_id);
    return sorted;
}

/* SIZE_MAX: not there. */
static size_t position_of(const struct position *sorted, size_t count, const char *id)
{
    struct position key = {.id = id};
    const struct position *found = bsearch(&key, sorted, count, sizeof(key), by_position_id);
    return found == NULL ? SIZE_MAX : found->at;
}

static int sourcegraph_check_way(struct arena *arena, const struct migration_set *target UNUSED,
                                 const struct strings *applied, const struct migration_way *way,
                                 struct error *e)
{
    struct id_set stays = ids_of(arena, applied, way);
    struct position *ups = positions(arena, way->up, way->up_count);
    for (size_t i = 0; i < way->up_count; i++) {
        const struct strings *parents = &way->up[i].parents;
        for (size_t p = 0; p < parents->count; p++) {
            const char *parent = parents->items[p];
            if (!ids_have(&stays, parent) && position_of(ups, way->up_count, parent) > i) {
                return error_set(e, E_INVALID,
                                 "%s would run before its parent %s, which is not applied",
                                 way->up[i].up.file, parent);
            }
        }
    }
    return 0;
}

/* The set is in topological order: from the back, whoever is needed needs its parents. */
static int sourcegraph_until(struct arena *arena, const struct migration_set *set, const char *id,
                             struct migration_set *ret, struct error *e UNUSED)
{
    struct position *all = positions(arena, set->items, set->count);
    bool *needed = ARENA_ARRAY(arena, set->count, bool);
    size_t last = position_of(all, set->count, id);
    assert(last < set->count);
    needed[last] = true;
    struct migration_set part = {ARENA_ARRAY(arena, last + 1, struct migration), 0};
    for (size_t i = last + 1; i-- > 0;) {
        const struct strings *parents = &set->items[i].parents;
        for (size_t p = 0; needed[i] && p < parents->count; p++) {
            size_t parent = position_of(all, set->count, parents->items[p]);
            if (parent < i) {
                needed[parent] = true;
            }
        }
    }
    for (size_t i = 0; i <= last; i++) {
        if (needed[i]) {
            part.items[part.count++] = set->items[i];
        }
    }
    *ret = part;
    return 0;
}

const struct migration_format migration_format_sourcegraph = {
    .kind = FORMAT_SOURCEGRAPH,
    .name = "sourcegraph",
    .read = sourcegraph_read,
    .sort_down = sourcegraph_sort_down,
    .pieces = sourcegraph_pieces,
    .check_way = sourcegraph_check_way,
    .until = sourcegraph_until,
};
