/* Owns the short notations of these tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/limits.h"
#include "tests/unit/migration/sets.h"

struct migration_file set_file(const char *name, const char *text)
{
    return (struct migration_file){name, {(const uint8_t *)text, strlen(text)}, name};
}

int set_read(struct set_test *t, const struct migration_file *files, struct migration_set *ret)
{
    size_t count = 0;
    while (files[count].name != NULL) {
        count++;
    }
    t->error = (struct error){0};
    return t->format->read(&t->arena, files, count, ret, &t->error);
}

struct migration_set set_of(struct set_test *t, const struct migration_file *files)
{
    struct migration_set set = {0};
    if (set_read(t, files, &set) != 0) {
        fail_msg("not read: %s", t->error.message);
    }
    return set;
}

static const char *join(struct set_test *t, const struct migration *items, size_t count,
                        const char *sign)
{
    struct buf b;
    buf_init(&b, &t->arena, LIMIT_TEXT_BYTES);
    for (size_t i = 0; i < count; i++) {
        buf_printf(&b, "%s%s%s", i > 0 ? " " : "", sign, items[i].id);
    }
    return buf_text(&b);
}

const char *set_ids(struct set_test *t, const struct migration_set *set)
{
    return join(t, set->items, set->count, "");
}

struct strings set_words(struct set_test *t, const char *text)
{
    char *copy = arena_strdup(&t->arena, text);
    struct strings words = {ARENA_ARRAY(&t->arena, strlen(text), const char *), 0};
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " ")) {
        words.items[words.count++] = word;
    }
    return words;
}

static const char *refused(struct set_test *t)
{
    return arena_printf(&t->arena, "! %s", t->error.message);
}

const char *set_way(struct set_test *t, const char *ledger, const struct migration_set *newer,
                    const struct migration_set *target)
{
    struct strings applied = set_words(t, ledger);
    struct migration_way way;
    t->error = (struct error){0};
    if (migration_way(&t->arena, t->format, &applied, newer, target, &way, &t->error) != 0) {
        return refused(t);
    }
    return arena_printf(&t->arena, "%s%s%s", join(t, way.down, way.down_count, "-"),
                        way.down_count > 0 && way.up_count > 0 ? " " : "",
                        join(t, way.up, way.up_count, "+"));
}

const char *set_until(struct set_test *t, const struct migration_set *set, const char *to)
{
    struct migration_set part;
    t->error = (struct error){0};
    if (migration_until(&t->arena, t->format, set, to, &part, &t->error) != 0) {
        return refused(t);
    }
    return set_ids(t, &part);
}

const char *set_pieces(struct set_test *t, const char *text, bool down)
{
    struct migration_pieces pieces = {0};
    t->error = (struct error){0};
    if (t->format->pieces(&t->arena, (struct bytes){(const uint8_t *)text, strlen(text)}, down,
                          &pieces, &t->error) != 0) {
        return refused(t);
    }
    struct buf b;
    buf_init(&b, &t->arena, LIMIT_TEXT_BYTES);
    for (size_t i = 0; i < pieces.count; i++) {
        assert_int_equal(strlen(pieces.items[i].sql), pieces.items[i].len);
        buf_printf(&b, "%d[%s]", pieces.items[i].line, pieces.items[i].sql);
    }
    return buf_text(&b);
}
