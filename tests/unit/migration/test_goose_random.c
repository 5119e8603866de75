/*
 * goose's parser against a naive model of it: regular expressions, words cut by strtok, three flags and one text that is
 * copied around. Then files that were damaged at random, each in memory of exactly its size.
 */
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/util.h"
#include "lib/migration/migration.h"

enum { TEXT_MAX = 4096 };

struct model {
    int section; /* 0: before Up, 1: up, 2: down */
    bool inside; /* of StatementBegin */
    bool ended;  /* StatementEnd was seen, its statement not yet kept */
    char text[TEXT_MAX];
    char out[2 * TEXT_MAX]; /* each statement in brackets */
};

static regex_t annotation;
static regex_t comment;

static void trim_into(char *out, const char *text)
{
    size_t from = strspn(text, " \t\n");
    size_t len = strlen(text);
    while (len > from && strchr(" \t\n", text[len - 1]) != NULL) {
        len--;
    }
    if (len > from) {
        size_t at = strlen(out);
        (void)snprintf(out + at, 2 * TEXT_MAX - at, "[%.*s]", (int)(len - from), text + from);
    }
}

static bool has_words(const char *text)
{
    return strspn(text, " \t\n") < strlen(text);
}

static bool semicolon(const char *line)
{
    char copy[TEXT_MAX];
    (void)snprintf(copy, sizeof(copy), "%s", line);
    const char *last = "";
    for (char *word = strtok(copy, " \t"); word != NULL && strncmp(word, "--", 2) != 0;
         word = strtok(NULL, " \t")) {
        last = word;
    }
    return last[0] != '\0' && last[strlen(last) - 1] == ';';
}

/* false: refused. */
static bool model_annotation(struct model *m, const char *word, bool *go_on)
{
    *go_on = false;
    if (strcmp(word, "Up") == 0) {
        bool first = m->section == 0;
        m->section = 1;
        return first;
    }
    if (strcmp(word, "Down") == 0) {
        bool fits = m->section == 1 && !m->inside && !has_words(m->text);
        m->section = 2;
        m->ended = false;
        return fits;
    }
    if (strcmp(word, "StatementBegin") == 0) {
        bool fits = m->section > 0 && !m->inside;
        m->inside = true;
        m->ended = false;
        return fits;
    }
    if (strcmp(word, "StatementEnd") == 0) {
        bool fits = m->inside;
        m->inside = false;
        m->ended = *go_on = true;
        return fits;
    }
    return strcmp(word, "NO TRANSACTION") == 0;
}

static bool model_line(struct model *m, const char *line, int wanted)
{
    regmatch_t match[2];
    if (regexec(&annotation, line, 2, match, 0) == 0) {
        char word[TEXT_MAX];
        bool go_on;
        (void)snprintf(word, sizeof(word), "%.*s", (int)(match[1].rm_eo - match[1].rm_so),
                       line + match[1].rm_so);
        if (!model_annotation(m, word, &go_on)) {
            return false;
        }
        if (!go_on) {
            return true;
        }
    }
    if (m->section == 0) { /* blank lines and comments */
        return !has_words(line) || regexec(&comment, line, 0, NULL, 0) == 0;
    }
    if (m->text[0] == '\0' && (line[0] == '\0' || regexec(&comment, line, 0, NULL, 0) == 0)) {
        return true;
    }
    if (m->section != wanted) {
        m->text[0] = '\0';
        return true;
    }
    if (!m->ended) {
        size_t at = strlen(m->text);
        (void)snprintf(m->text + at, sizeof(m->text) - at, "%s\n", line);
    }
    if (m->ended || (!m->inside && semicolon(line))) {
        trim_into(m->out, m->text);
        m->text[0] = '\0';
        m->ended = false;
    }
    return true;
}

/* false: refused. */
static bool model_file(struct model *m, const char *text, int wanted)
{
    memset(m, 0, sizeof(*m));
    while (*text != '\0') {
        char line[TEXT_MAX];
        size_t len = strcspn(text, "\n");
        (void)snprintf(line, sizeof(line), "%.*s", (int)len, text);
        if (!model_line(m, line, wanted)) {
            return false;
        }
        text += len + (text[len] == '\n');
    }
    return m->section > 0 && !m->inside && !has_words(m->text);
}

static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed * 0x2545f4914f6cdd1dULL >> 33;
}

static uint64_t the_seed(void)
{
    const char *given = getenv("LOCKSTEP_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : 0x5eed5eed5eedULL;
    print_message("seed: LOCKSTEP_TEST_SEED=%#llx\n", (unsigned long long)seed);
    return seed;
}

static const char *const lines[] = {
    "-- +goose Down",
    "-- +goose StatementBegin",
    "-- +goose StatementEnd",
    "-- +goose Up",
    "-- +goose NO TRANSACTION",
    "SELECT 1;",
    "SELECT 2;",
    "SELECT",
    "; -- done",
    "x; y",
    "a -- b;",
    "-- a comment",
    "  -- indented",
    "",
    "  ",
    "END;",
    "-- +goose StatementBegin",
    "-- +goose StatementEnd",
    "\tb;\t",
    "-- +goose Sideways",
    "--",
};

static void random_file(char *text, uint64_t *seed)
{
    size_t len = (size_t)snprintf(text, TEXT_MAX, "-- head\n%s",
                                  next(seed) % 16 != 0 ? "-- +goose Up\n" : "");
    for (uint64_t left = next(seed) % 14; left > 0; left--) {
        len += (size_t)snprintf(text + len, TEXT_MAX - len, "%s\n",
                                lines[next(seed) % ARRAY_SIZE(lines)]);
    }
    if (next(seed) % 8 == 0) {
        text[len - 1] = '\0';
    }
}

static void reads_what_the_model_reads(void **state UNUSED)
{
    enum { ROUNDS = 200000 };
    uint64_t seed = the_seed();
    const struct migration_format *goose = migration_format_get(FORMAT_GOOSE);
    struct arena arena;
    arena_init(&arena);
    static struct model model;
    static char out[2 * TEXT_MAX];
    size_t read = 0;
    for (int i = 0; i < ROUNDS; i++) {
        char text[TEXT_MAX];
        random_file(text, &seed);
        for (int down = 0; down <= 1; down++) {
            struct migration_pieces pieces = {0};
            struct error e = {0};
            struct bytes bytes = {(const uint8_t *)text, strlen(text)};
            bool ok = goose->pieces(&arena, bytes, down == 1, &pieces, &e) == 0;
            bool model_ok = model_file(&model, text, down + 1);
            if (ok != model_ok) {
                fail_msg("round %d, %s: %s, the model %s\n%s", i, down ? "down" : "up",
                         ok ? "read" : e.message, model_ok ? "read it" : "refused it", text);
            }
            out[0] = '\0';
            for (size_t p = 0; p < pieces.count; p++) {
                trim_into(out, pieces.items[p].sql);
            }
            if (ok && strcmp(out, model.out) != 0) {
                fail_msg("round %d, %s: %s\nthe model: %s\n%s", i, down ? "down" : "up", out,
                         model.out, text);
            }
            read += ok ? 1 : 0;
        }
        arena_deinit(&arena);
    }
    assert_true(read > ROUNDS / 5 && read < 2 * ROUNDS); /* both answers are met */
}

static void wound(char *text, size_t len, uint64_t *seed)
{
    for (uint64_t wounds = 1 + next(seed) % 6; wounds > 0; wounds--) {
        size_t at = next(seed) % len;
        if (next(seed) % 2 == 0) {
            text[at] = (char)next(seed);
        } else {
            size_t span = next(seed) % (len - at);
            memmove(text + next(seed) % (len - span), text + at, span);
        }
    }
}

static void damaged_files_never_break_the_reader(void **state UNUSED)
{
    enum { ROUNDS = 20000 };
    static const char original[] =
        "-- +goose NO TRANSACTION\r\n-- +goose Up\nCREATE TABLE a ();\n-- +goose StatementBegin\n"
        "DO $$ BEGIN; END $$;\xe2\x80\xa8\n-- +goose StatementEnd\n-- +goose ENVSUB ON\nA ${B};\n"
        "-- +goose ENVSUB OFF\n-- +goose Down\n\xc2\xa0\nDROP TABLE a; -- bye\n";
    uint64_t seed = the_seed();
    size_t refused = 0;
    for (int i = 0; i < ROUNDS; i++) {
        size_t len = sizeof(original) - 1 - next(&seed) % 64;
        char *text = malloc(len);
        assert_non_null(text);
        memcpy(text, original, len);
        wound(text, len, &seed);
        struct arena arena;
        arena_init(&arena);
        for (size_t f = 0; f < migration_formats_count; f++) {
            struct bytes bytes = {(const uint8_t *)text, len};
            const char *names[] = {"1_a.up.sql", "1_a.up.sql", "1_a.sql", "1_a/metadata.yaml"};
            struct migration_file files[] = {
                {names[f], bytes, "x"}, {"1_a/up.sql", bytes, "x"}, {"1_a/down.sql", bytes, "x"}};
            struct migration_set set;
            struct migration_pieces pieces;
            struct error e = {0};
            int r = migration_formats[f]->read(&arena, files, f == 3 ? 3 : 1, &set, &e);
            refused += r != 0 ? 1 : 0;
            assert_true(r == 0 || (r == E_INVALID && e.message[0] != '\0'));
            (void)migration_formats[f]->pieces(&arena, bytes, i % 2 == 0, &pieces, &e);
        }
        arena_deinit(&arena);
        free(text);
    }
    assert_true(refused > ROUNDS); /* the wounds do hurt */
}

static int set_up(void **state UNUSED)
{
    int r = regcomp(&annotation, "^--.*\\+goose *(.*)$", REG_EXTENDED);
    return r != 0 ? r : regcomp(&comment, "^[ \t]*--", REG_EXTENDED | REG_NOSUB);
}

static int tear_down(void **state UNUSED)
{
    regfree(&annotation);
    regfree(&comment);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_the_model_reads),
        cmocka_unit_test(damaged_files_never_break_the_reader),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
