/* Owns Lockstep's own form of a saved way of migrations. It refuses a text that does not have the digest it is marked with. */
#include "cli/db_plan_file.h"

#include <inttypes.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/io/platform/digest.h"

#define HEAD      "-- lockstep plan 1 "
#define FILE_MARK "-- lockstep file "
#define LINE_MAX_ (LIMIT_PATH_BYTES + 256)
#define BYTES_MAX ((size_t)1024 * 1024 * 1024)
#define FILES_MAX ((size_t)4 * LIMIT_MIGRATIONS)

bool db_plan_is_own(struct bytes text)
{
    return text.len >= strlen(HEAD) && memcmp(text.data, HEAD, strlen(HEAD)) == 0;
}

struct reading {
    struct arena *arena;
    struct bytes text;
    size_t at;
};

/* The line that begins at r->at, without its end; NULL: there is none, or it is too long for one of ours. */
static const char *line(struct reading *r)
{
    const char *start = (const char *)r->text.data + r->at;
    size_t left = r->text.len - r->at;
    const char *end = left > 0 ? memchr(start, '\n', left) : NULL;
    if (end == NULL || end - start > LINE_MAX_) {
        return NULL;
    }
    r->at += (size_t)(end - start) + 1;
    return arena_strndup(r->arena, start, (size_t)(end - start));
}

/* The value of "key=", up to the next blank; of "name=", the rest. "" when it is not there. */
static const char *value(struct arena *arena, const char *in, const char *key)
{
    const char *found = strstr(in, arena_printf(arena, " %s=", key));
    if (found == NULL) {
        return "";
    }
    const char *start = found + strlen(key) + 2;
    return str_equal(key, "name") ? start : arena_strndup(arena, start, strcspn(start, " "));
}

static int read_file(struct reading *r, const char *mark, struct migration_file *ret,
                     struct error *e)
{
    const char *name = value(r->arena, mark, "name");
    const char *sha256 = value(r->arena, mark, "sha256");
    uint64_t bytes = 0;
    char hex[DIGEST_HEX_BYTES];
    if (!str_to_u64(value(r->arena, mark, "bytes"), LIMIT_MIGRATION_BYTES, &bytes) ||
        bytes > r->text.len - r->at || str_empty(name)) {
        return error_set(e, E_INVALID, "the file is cut off, or was changed, at \"%.200s\"", mark);
    }
    const uint8_t *data = r->text.data + r->at;
    digest_bytes_hex(data, bytes, hex);
    if (!str_equal(hex, sha256)) {
        return error_set(e, E_INVALID,
                         "the text of %s was changed: it does not have the digest that it is "
                         "marked with. Export the plan anew",
                         name);
    }
    r->at += bytes;
    r->at += r->at < r->text.len && r->text.data[r->at] == '\n' ? 1 : 0;
    *ret = (struct migration_file){
        .name = name, .text = {.data = data, .len = bytes}, .sha256 = arena_strdup(r->arena, hex)};
    return 0;
}

int db_plan_read(struct arena *arena, struct bytes text, struct db_plan_file *ret, struct error *e)
{
    struct reading r = {arena, text, 0};
    const char *head = line(&r);
    if (head == NULL || !str_starts(head, HEAD)) {
        return error_set(e, E_INVALID, "it is no plan that lockstep db export-plan wrote");
    }
    struct db_plan_file plan = {.format = value(arena, head, "format"),
                                .from = value(arena, head, "from"),
                                .to = value(arena, head, "to")};
    size_t capacity = 0;
    while (r.at < text.len) {
        const char *mark = line(&r);
        if (mark == NULL) {
            return error_set(e, E_INVALID, "the file is cut off, or was changed");
        }
        if (!str_starts(mark, FILE_MARK)) {
            continue;
        }
        if (plan.count >= FILES_MAX) {
            return error_set(e, E_LIMIT, "more than %zu files", FILES_MAX);
        }
        plan.files = arena_grow(arena, plan.files, plan.count, &capacity, sizeof(*plan.files));
        int rc = read_file(&r, mark, &plan.files[plan.count++], e);
        if (rc < 0) {
            return rc;
        }
    }
    *ret = plan;
    return 0;
}

const char *db_plan_text(struct arena *arena, const struct db_plan_file *plan, size_t *ret_len,
                         const struct strings *runs)
{
    struct buf b;
    buf_init(&b, arena, BYTES_MAX);
    buf_printf(&b, HEAD "format=%s from=%s to=%s\n", plan->format, plan->from, plan->to);
    for (size_t i = 0; i < runs->count; i++) {
        buf_printf(&b, "-- runs %s\n", runs->items[i]);
    }
    for (size_t i = 0; i < plan->count; i++) {
        const struct migration_file *f = &plan->files[i];
        buf_printf(&b, FILE_MARK "bytes=%zu sha256=%s name=%s\n", f->text.len, f->sha256, f->name);
        buf_append(&b, f->text.data, f->text.len);
        buf_putc(&b, '\n');
    }
    *ret_len = b.len;
    return buf_text(&b);
}
