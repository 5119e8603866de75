/*
 * Owns the reading of archives and the judgement of their entries. It refuses names and links that lead out, special files, and
 * more than the bounds; the writing is tree_write.c's.
 *
 * Links: a target may go up ("..") only at its start, and not above the archive's root. Since no entry lies behind a link,
 * following any chain of such links then stays inside.
 */
#include "lib/io/artifact/archive.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <archive.h>
#include <archive_entry.h>

#include "lib/base/str.h"
#include "lib/io/artifact/tree.h"

#define ARCHIVE_BLOCK_BYTES 131072

/* Names that are part of a tree, never a wrapper around one (the usual hierarchy, and what releases ship). */
static const char *const tree_names[] = {"bin",     "conf", "config", "db",      "etc",
                                         "include", "lib",  "lib64",  "libexec", "migrations",
                                         "opt",     "sbin", "share",  "usr",     "var"};

/* One pass over an archive. */
struct pass {
    struct arena *arena;
    const char *path;
    struct archive *reader; /* owned */
    bool allow_special;
    uint64_t entries;
    uint64_t bytes;
    char *top;          /* the first part of every name so far; arena */
    bool several_tops;  /* more than one, or one that is no directory */
    bool links_to_root; /* a link that needs the directory above `top` */
    void (*progress)(void *context, uint64_t bytes);
    void *context;
};

static void close_pass(struct pass *p)
{
    if (p->reader != NULL) {
        archive_read_free(p->reader);
    }
}

static int reader_error(const struct pass *p, struct error *e)
{
    const char *words = archive_error_string(p->reader);
    return error_set(e, E_INVALID,
                     "the archive %s cannot be read: %s: it is damaged, or no tar or zip archive",
                     p->path, words != NULL ? words : "unknown format");
}

static int open_pass(struct pass *p, struct error *e)
{
    p->reader = archive_read_new();
    if (p->reader == NULL) {
        return error_set(e, E_LIMIT, "out of memory");
    }
    archive_read_support_filter_gzip(p->reader);
    archive_read_support_filter_zstd(p->reader);
    archive_read_support_filter_xz(p->reader);
    archive_read_support_filter_bzip2(p->reader);
    archive_read_support_format_tar(p->reader);
    archive_read_support_format_gnutar(p->reader);
    archive_read_support_format_zip(p->reader);
    /* Names as the bytes they are; zip's UTF-8 flag is honoured without a locale. */
    archive_read_set_options(p->reader, "hdrcharset=UTF-8");
    if (archive_read_open_filename(p->reader, p->path, ARCHIVE_BLOCK_BYTES) != ARCHIVE_OK) {
        return reader_error(p, e);
    }
    return 0;
}

/* "./a//b/" to "a/b"; NULL for what leads out (*why). "" is the root itself. */
static char *clean_name(struct arena *arena, const char *name, const char **why)
{
    if (name == NULL) {
        *why = "has no readable name";
        return NULL;
    }
    if (name[0] == '/' || strlen(name) >= LIMIT_PATH_BYTES / 2) {
        *why = name[0] == '/' ? "has an absolute name" : "has too long a name";
        return NULL;
    }
    char *clean = arena_alloc(arena, strlen(name) + 1);
    size_t len = 0;
    while (*name != '\0') {
        size_t part = strcspn(name, "/");
        if (part == 2 && name[0] == '.' && name[1] == '.') {
            *why = "has \"..\" in its name";
            return NULL;
        }
        if (part > 255) {
            *why = "has too long a name";
            return NULL;
        }
        if (part > 0 && !(part == 1 && name[0] == '.')) {
            if (len > 0) {
                clean[len++] = '/';
            }
            memcpy(clean + len, name, part);
            len += part;
        }
        name += part + (name[part] == '/');
    }
    clean[len] = '\0';
    return clean;
}

static size_t depth_of(const char *name)
{
    size_t depth = 0;
    for (const char *c = name; *c != '\0'; c++) {
        depth += *c == '/';
    }
    return depth;
}

/* A link's target from the directory that holds it. NULL when it stays inside. */
static const char *judge_link(struct pass *p, const char *name, const char *target)
{
    if (str_empty(target) || strlen(target) >= LIMIT_PATH_BYTES / 2) {
        return "is a link to nowhere";
    }
    if (target[0] == '/') {
        return "is a link to an absolute path";
    }
    size_t up = 0;
    bool down = false;
    for (const char *part = target; *part != '\0';) {
        size_t len = strcspn(part, "/");
        if (len == 2 && part[0] == '.' && part[1] == '.') {
            if (down) {
                return "is a link that goes down and up again";
            }
            up++;
        } else if (len > 0 && !(len == 1 && part[0] == '.')) {
            down = true;
        }
        part += len + (part[len] == '/');
    }
    if (up > depth_of(name)) {
        return "is a link that leads out of the archive";
    }
    p->links_to_root = p->links_to_root || (up > 0 && up == depth_of(name));
    return NULL;
}

static void note_top(struct pass *p, const char *name, bool is_directory)
{
    size_t len = strcspn(name, "/");
    if (name[len] == '\0' && !is_directory) {
        p->several_tops = true;
    } else if (p->top == NULL) {
        p->top = arena_strndup(p->arena, name, len);
    } else if (strlen(p->top) != len || strncmp(p->top, name, len) != 0) {
        p->several_tops = true;
    }
}

/* Why an entry is refused, or NULL. */
static const char *judge(struct pass *p, struct archive_entry *entry, const char *name)
{
    unsigned type = archive_entry_filetype(entry);
    const char *hardlink = archive_entry_hardlink(entry);
    bool special = type == AE_IFCHR || type == AE_IFBLK || type == AE_IFIFO;
    if (hardlink != NULL) {
        const char *why = NULL;
        return clean_name(p->arena, hardlink, &why) == NULL
                   ? "is a hard link to a name that leads out"
                   : NULL;
    }
    if (type == AE_IFLNK) {
        return judge_link(p, name, archive_entry_symlink(entry));
    }
    if (special && !p->allow_special) {
        return "is a device or a fifo (allow_special: true permits it)";
    }
    if (!special && type != AE_IFREG && type != AE_IFDIR) {
        return "is of a kind that cannot be unpacked";
    }
    if ((archive_entry_perm(entry) & (S_ISUID | S_ISGID)) != 0 && !p->allow_special) {
        return "has the setuid or setgid bit (allow_special: true permits it)";
    }
    return NULL;
}

/* 1: *ret_name is the next entry's clean name; 0: the end. The root's own entry is passed over. */
static int next_entry(struct pass *p, struct archive_entry **ret, const char **ret_name,
                      struct error *e)
{
    for (;;) {
        struct archive_entry *entry;
        int r = archive_read_next_header(p->reader, &entry);
        if (r == ARCHIVE_EOF) {
            return 0;
        }
        if (r != ARCHIVE_OK && r != ARCHIVE_WARN) {
            return reader_error(p, e);
        }
        const char *raw = archive_entry_pathname(entry);
        const char *why = NULL;
        const char *name = clean_name(p->arena, raw, &why);
        if (why == NULL) {
            why = judge(p, entry, name);
        }
        if (why != NULL) {
            return error_set(e, E_DENIED,
                             "the archive %s is refused: its entry \"%.200s\" %s: build it "
                             "without, nothing was kept of it",
                             p->path, raw != NULL ? raw : "?", why);
        }
        if (++p->entries > LIMIT_ARCHIVE_ENTRIES) {
            return error_set(e, E_LIMIT, "the archive %s is refused: it has more than %d entries",
                             p->path, LIMIT_ARCHIVE_ENTRIES);
        }
        if (*name == '\0') {
            continue;
        }
        note_top(p, name,
                 archive_entry_hardlink(entry) == NULL &&
                     archive_entry_filetype(entry) == AE_IFDIR);
        *ret = entry;
        *ret_name = name;
        return 1;
    }
}

/* The bytes of the entry, in blocks, counted against the bound. */
typedef int block_function(void *context, const void *data, size_t len, uint64_t offset,
                           struct error *e);

static int read_data(struct pass *p, block_function *each, void *context, uint64_t *ret_size,
                     struct error *e)
{
    uint64_t size = 0;
    for (;;) {
        const void *data;
        size_t len;
        la_int64_t offset;
        int r = archive_read_data_block(p->reader, &data, &len, &offset);
        if (r == ARCHIVE_EOF) {
            *ret_size = size;
            return 0;
        }
        if (r != ARCHIVE_OK && r != ARCHIVE_WARN) {
            return reader_error(p, e);
        }
        /* A sparse file counts whole: what it claims is what may be read from it. */
        uint64_t end = (uint64_t)offset + len;
        p->bytes += end > size ? end - size : 0;
        size = MAX(size, end);
        if (p->bytes > (uint64_t)LIMIT_ARCHIVE_BYTES) {
            return error_set(e, E_LIMIT,
                             "the archive %s is refused: it unpacks to more than %lld bytes",
                             p->path, (long long)LIMIT_ARCHIVE_BYTES);
        }
        r = each != NULL ? each(context, data, len, (uint64_t)offset, e) : 0;
        if (r < 0) {
            return r;
        }
        if (p->progress != NULL) {
            p->progress(p->context, p->bytes);
        }
    }
}

static const char *wrapper_of(const struct pass *p)
{
    if (p->several_tops || p->top == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(tree_names); i++) {
        if (str_equal(p->top, tree_names[i])) {
            return NULL;
        }
    }
    return p->top;
}

static int sum_up(const struct pass *p, struct archive_summary *ret, struct error *e)
{
    if (p->entries == 0) {
        return error_set(e, E_INVALID, "the archive %s is empty", p->path);
    }
    *ret = (struct archive_summary){p->entries, p->bytes, wrapper_of(p)};
    if (ret->top != NULL && p->links_to_root) {
        return error_set(
            e, E_DENIED,
            "the archive %s is refused: a link in it leads out of its top directory %s", p->path,
            ret->top);
    }
    return 0;
}

/* ---- unpacking ---- */

static int write_block(void *context, const void *data, size_t len, uint64_t offset,
                       struct error *e)
{
    return tree_writer_data(context, data, len, offset, e);
}

static int write_entry(struct pass *p, struct tree_writer *w, struct archive_entry *entry,
                       const char *name, struct error *e)
{
    unsigned mode = archive_entry_perm(entry) & (p->allow_special ? 07777U : 01777U);
    struct tree_entry to = {name, mode, archive_entry_mtime(entry),
                            archive_entry_mtime_nsec(entry)};
    const char *hardlink = archive_entry_hardlink(entry);
    if (hardlink != NULL) {
        const char *why = NULL;
        return tree_writer_hardlink(w, name, clean_name(p->arena, hardlink, &why), e);
    }
    switch (archive_entry_filetype(entry)) {
    case AE_IFDIR:
        return tree_writer_directory(w, &to, e);
    case AE_IFLNK:
        return tree_writer_symlink(w, &to, archive_entry_symlink(entry), e);
    case AE_IFREG: {
        uint64_t size = 0;
        int r = tree_writer_file(w, &to, e);
        r = r == 0 ? read_data(p, write_block, w, &size, e) : r;
        if (r == 0 && archive_entry_size_is_set(entry) &&
            (uint64_t)archive_entry_size(entry) > size) {
            size = (uint64_t)archive_entry_size(entry); /* a hole at the end of a sparse file */
        }
        return r == 0 ? tree_writer_end(w, size, e) : r;
    }
    default:
        return tree_writer_special(w, &to, archive_entry_filetype(entry),
                                   (uint64_t)archive_entry_rdev(entry), e);
    }
}

int archive_unpack(struct arena *arena, const struct archive_unpack *unpack,
                   struct archive_summary *ret, struct error *e)
{
    CLEANUP(close_pass)
    struct pass p = {.arena = arena,
                     .path = unpack->path,
                     .allow_special = unpack->allow_special,
                     .progress = unpack->progress,
                     .context = unpack->context};
    struct tree_writer *w = NULL;
    int r = open_pass(&p, e);
    if (r == 0) {
        r = tree_writer_new(unpack->directory, unpack->uid, unpack->gid, &w, e);
    }
    struct archive_entry *entry;
    const char *name;
    while (r == 0 && (r = next_entry(&p, &entry, &name, e)) == 1) {
        r = write_entry(&p, w, entry, name, e);
        if (r < 0) {
            error_wrap(e, "unpacking %s", p.path);
        }
    }
    struct archive_summary summary;
    r = r == 0 ? sum_up(&p, &summary, e) : r;
    r = r == 0 ? tree_writer_finish(w, e) : r;
    tree_writer_free(w);
    if (r == 0) {
        *ret = summary;
    }
    return r;
}

int archive_list(struct arena *arena, const char *path, bool allow_special,
                 struct archive_summary *ret, struct error *e)
{
    CLEANUP(close_pass)
    struct pass p = {.arena = arena, .path = path, .allow_special = allow_special};
    int r = open_pass(&p, e);
    struct archive_entry *entry;
    const char *name;
    uint64_t size;
    while (r == 0 && (r = next_entry(&p, &entry, &name, e)) == 1) {
        r = read_data(&p, NULL, NULL, &size, e);
    }
    return r == 0 ? sum_up(&p, ret, e) : r;
}

/* ---- one folder ---- */

struct found_file {
    const char *name; /* of the entry, whole */
    char *data;       /* arena */
    size_t len;
    size_t capacity;
};

struct folder {
    struct arena *arena;
    struct found_file *items;
    size_t count;
    size_t capacity;
};

static int keep_block(void *context, const void *data, size_t len, uint64_t offset, struct error *e)
{
    struct folder *f = context;
    struct found_file *file = &f->items[f->count - 1];
    if (len == 0) {
        return 0;
    }
    if (offset + len > LIMIT_MIGRATION_BYTES) {
        return error_set(e, E_LIMIT, "%s in the archive is larger than %d bytes", file->name,
                         LIMIT_MIGRATION_BYTES);
    }
    size_t end = (size_t)offset + len;
    if (file->data == NULL || end > file->capacity) {
        size_t capacity = MAX(end, file->capacity * 2);
        char *grown = arena_alloc(f->arena, capacity + 1);
        memcpy(grown, file->data != NULL ? file->data : "", file->len);
        file->data = grown;
        file->capacity = capacity;
    }
    memcpy(file->data + offset, data, len);
    file->len = MAX(file->len, end);
    return 0;
}

/* The part of the name below the folder; NULL: it lies elsewhere. */
static const char *below(const char *name, const char *folder)
{
    size_t len = strlen(folder);
    return len == 0                                              ? name
           : strncmp(name, folder, len) == 0 && name[len] == '/' ? name + len + 1
                                                                 : NULL;
}

/* Whether the folder is wrapped is known at the end only, so both readings are kept: below the root, below its top. */
static bool may_be_below(const char *name, const char *folder)
{
    const char *slash = strchr(name, '/');
    return below(name, folder) != NULL || (slash != NULL && below(slash + 1, folder) != NULL);
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct found_file *)a)->name, ((const struct found_file *)b)->name);
}

static int collect(struct pass *p, struct folder *f, const char *folder, struct error *e)
{
    struct archive_entry *entry;
    const char *name;
    int r;
    uint64_t size;
    while ((r = next_entry(p, &entry, &name, e)) == 1) {
        bool wanted = archive_entry_hardlink(entry) == NULL &&
                      archive_entry_filetype(entry) == AE_IFREG && may_be_below(name, folder);
        if (wanted) {
            if (f->count >= LIMIT_MIGRATIONS * 4) {
                return error_set(e, E_LIMIT, "the folder %s of the archive %s has too many files",
                                 folder, p->path);
            }
            f->items = arena_grow(f->arena, f->items, f->count, &f->capacity, sizeof(*f->items));
            f->items[f->count++] = (struct found_file){.name = name};
        }
        r = read_data(p, wanted ? keep_block : NULL, f, &size, e);
        if (r < 0) {
            return r;
        }
    }
    return r;
}

int archive_read_folder(struct arena *arena, const char *path, const char *folder,
                        archive_file_function *each, void *context, struct archive_summary *ret,
                        struct error *e)
{
    const char *why = NULL;
    const char *clean = clean_name(arena, folder, &why);
    if (clean == NULL) {
        return error_set(e, E_INVALID, "the folder \"%s\" %s: write it as it is inside the archive",
                         folder, why);
    }
    /* What is special is judged when it is unpacked. */
    CLEANUP(close_pass) struct pass p = {.arena = arena, .path = path, .allow_special = true};
    struct folder f = {.arena = arena};
    struct archive_summary summary;
    int r = open_pass(&p, e);
    r = r == 0 ? collect(&p, &f, clean, e) : r;
    r = r == 0 ? sum_up(&p, &summary, e) : r;
    if (r < 0) {
        return r;
    }
    if (f.count > 0) {
        qsort(f.items, f.count, sizeof(*f.items), compare_files);
    }
    size_t given = 0;
    for (size_t i = 0; i < f.count; i++) {
        const char *name = f.items[i].name;
        const char *inside = summary.top != NULL ? below(name, summary.top) : name;
        const char *rest = inside != NULL ? below(inside, clean) : NULL;
        if (rest == NULL) {
            continue;
        }
        given++;
        r = each(context, rest, f.items[i].data != NULL ? f.items[i].data : "", f.items[i].len, e);
        if (r < 0) {
            return r;
        }
    }
    if (given == 0) {
        return error_set(e, E_NOT_FOUND,
                         "the archive %s has no files in %s: correct `dir:` of the migrations",
                         path, folder);
    }
    if (ret != NULL) {
        *ret = summary;
    }
    return 0;
}
