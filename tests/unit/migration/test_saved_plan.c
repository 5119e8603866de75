/* Mattermost's saved plans: a document written by hand, the way there and back, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/str.h"
#include "lib/base/util.h"
#include "lib/migration/base64.h"
#include "lib/migration/saved_plan.h"

static struct arena arena;
static struct error error;

/* Written by hand after Go's encoding/json and morph's struct; base64 by coreutils. */
static const char document[] = "{\n"
                               " \"Version\": 1,\n"
                               " \"Auto\": true,\n"
                               " \"Migrations\": [\n"
                               "  {\n"
                               "   \"Bytes\": \"RFJPUCBUQUJMRSBwb3N0czsK\",\n"
                               "   \"Name\": \"create_posts\",\n"
                               "   \"RawName\": \"000128_create_posts.down.sql\",\n"
                               "   \"Version\": 128,\n"
                               "   \"Direction\": \"down\"\n"
                               "  }\n"
                               " ],\n"
                               " \"RevertMigrations\": [\n"
                               "  {\n"
                               "   \"Bytes\": \"Q1JFQVRFIFRBQkxFIHBvc3RzICgpOw==\",\n"
                               "   \"Name\": \"create_posts\",\n"
                               "   \"RawName\": \"000128_create_posts.up.sql\",\n"
                               "   \"Version\": 128,\n"
                               "   \"Direction\": \"up\"\n"
                               "  }\n"
                               " ]\n"
                               "}";

static int read_text(const char *text, struct saved_plan *plan)
{
    error = (struct error){0};
    return saved_plan_read(&arena, (struct bytes){(const uint8_t *)text, strlen(text)}, plan,
                           &error);
}

static const char *text_of(struct bytes bytes)
{
    return arena_strndup(&arena, (const char *)bytes.data, bytes.len);
}

static void reads_a_document_written_by_hand(void **state UNUSED)
{
    struct saved_plan plan;
    assert_int_equal(read_text(document, &plan), 0);
    assert_true(plan.automatic);
    assert_int_equal(plan.count, 1);
    assert_int_equal(plan.revert_count, 1);
    const struct saved_migration *m = plan.migrations;
    assert_string_equal(text_of(m->file.text), "DROP TABLE posts;\n");
    assert_string_equal(m->file.name, "000128_create_posts.down.sql");
    assert_string_equal(m->name, "create_posts");
    assert_int_equal(m->version, 128);
    assert_true(m->down);
    assert_string_equal(text_of(plan.reverts->file.text), "CREATE TABLE posts ();");
    assert_false(plan.reverts->down);
}

static void writes_that_document_again(void **state UNUSED)
{
    struct saved_plan plan;
    struct bytes out;
    assert_int_equal(read_text(document, &plan), 0);
    assert_int_equal(saved_plan_write(&arena, &plan, &out, &error), 0);
    assert_string_equal(text_of(out), document);
}

static void a_plan_is_a_set_of_morph(void **state UNUSED)
{
    struct saved_plan plan;
    assert_int_equal(read_text(document, &plan), 0);
    plan.migrations[0].file.sha256 = "d1";
    plan.reverts[0].file.sha256 = "d2";
    size_t count;
    struct migration_file *files = saved_plan_files(&arena, &plan, &count);
    struct migration_set set;
    const struct migration_format *morph = migration_format_get(FORMAT_MORPH);
    assert_int_equal(morph->read(&arena, files, count, &set, &error), 0);
    assert_int_equal(set.count, 1);
    assert_string_equal(set.items[0].id, "create_posts");
    assert_string_equal(set.items[0].down.sha256, "d1");
    assert_string_equal(set.items[0].up.sha256, "d2");
}

static void a_file_becomes_a_migration_of_a_plan(void **state UNUSED)
{
    struct migration_file file = {.name = "000007_a.b.up.sql"};
    struct saved_migration m;
    assert_int_equal(saved_migration_of(&arena, &file, &m, &error), 0);
    assert_string_equal(m.name, "a.b");
    assert_int_equal(m.version, 7);
    file.name = "README";
    assert_int_equal(saved_migration_of(&arena, &file, &m, &error), E_INVALID);
    assert_non_null(strstr(error.message, "\"README\" is no file name of morph"));
    assert_string_equal(saved_plan_name(&arena, 127, 129), "migration_plan_127_129.json");
}

static void go_writes_what_is_not_there_as_null(void **state UNUSED)
{
    struct saved_plan plan;
    assert_int_equal(
        read_text("{\"Version\":1,\"Migrations\":null,\"RevertMigrations\":[{\"Bytes\":null,"
                  "\"Name\":\"a\",\"RawName\":\"1_a.up.sql\",\"Version\":1,\"Direction\":\"up\"}]}",
                  &plan),
        0);
    assert_int_equal(plan.count, 0);
    assert_int_equal(plan.reverts[0].file.text.len, 0);
    assert_false(plan.automatic);
}

static void says_what_is_wrong_with_a_plan(void **state UNUSED)
{
    static const struct {
        const char *from, *to, *says;
    } cases[] = {
        {"\"Version\": 1,", "\"Version\": 2,", "its Version is not 1"},
        {"\"Version\": 1,", "", "its Version is not 1"},
        {"\"Auto\": true", "\"Auto\": \"yes\"", "Auto is neither true nor false"},
        {"\"Auto\": true,", "\"Auto\": true, \"Auto\": true,", "this is no saved plan: line 3"},
        {"\"Migrations\": [", "\"Migrations\": 1, \"x\": [", "Migrations is not a list"},
        {"\"Migrations\": [", "\"Migrations\": [ 7,", "Migrations[0]: not an object"},
        {"\"RFJP", "\"*FJP", "Migrations[0]: Bytes is not base64"},
        {"c3RzICgpOw==\"", "c3RzICgpOx==\"", "RevertMigrations[0]: Bytes is not base64"},
        {"c3RzICgpOw==\"", "c3RzICgpOw=\"", "RevertMigrations[0]: Bytes is not base64"},
        {"\"create_posts\"", "\"create\"", "Migrations[0]: Name is not what its file name"},
        {"\"create_posts\"", "null", "Migrations[0]: Name is not a text"},
        {"\"Version\": 128", "\"Version\": 127", "Migrations[0]: Version is not what its"},
        {"\"Version\": 128", "\"Version\": \"128\"", "Migrations[0]: Version is not a number"},
        {"\"Direction\": \"down\"", "\"Direction\": \"up\"",
         "Migrations[0]: Direction is not what"},
        {"\"Direction\": \"down\"", "\"Direction\": \"left\"", "Direction is \"left\", neither"},
        {"\"000128_create_posts.down.sql\"", "\"x\"", "Migrations[0]: \"x\" is no file name"},
        {"\"RawName\"", "\"rawname\"", "Migrations[0]: RawName is missing"},
        {"]\n}", "]\n", "this is no saved plan: line"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *at = strstr(document, cases[i].from);
        assert_non_null(at);
        const char *text = arena_printf(&arena, "%.*s%s%s", (int)(at - document), document,
                                        cases[i].to, at + strlen(cases[i].from));
        struct saved_plan plan;
        int r = read_text(text, &plan);
        if (r != E_INVALID || strstr(error.message, cases[i].says) == NULL) {
            fail_msg("case %zu: %d %s", i, r, error.message);
        }
    }
}

static void a_name_that_is_not_utf8_cannot_be_written(void **state UNUSED)
{
    struct saved_migration m = {.file.name = "1_\xff.up.sql", .name = "\xff", .version = 1};
    struct saved_plan plan = {.migrations = &m, .count = 1};
    struct bytes out;
    assert_int_equal(saved_plan_write(&arena, &plan, &out, &error), E_INVALID);
}

/* The vectors of RFC 4648, section 10. */
static void base64_is_that_of_its_document(void **state UNUSED)
{
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"}};
    struct bytes back;
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        struct bytes plain = {(const uint8_t *)vectors[i][0], strlen(vectors[i][0])};
        assert_string_equal(base64_encode(&arena, plain), vectors[i][1]);
        assert_true(base64_decode(&arena, vectors[i][1], &back));
        assert_string_equal(text_of(back), vectors[i][0]);
    }
    static const char *const wrong[] = {
        "=", "====", "A===", "Zg=", "Zg", "Zh==", "Zm9=", "Z=g=", "Zm 8", "-_-_", "Zm8=Zm8="};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        if (base64_decode(&arena, wrong[i], &back)) {
            fail_msg("%s", wrong[i]);
        }
    }
}

static void any_bytes_come_back(void **state UNUSED)
{
    uint8_t data[256];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(255 - i);
    }
    for (size_t len = 0; len < sizeof(data); len++) {
        struct bytes back;
        assert_true(base64_decode(&arena, base64_encode(&arena, (struct bytes){data, len}), &back));
        assert_int_equal(back.len, len);
        assert_memory_equal(back.data, data, len);
    }
}

static int set_up(void **state UNUSED)
{
    arena_init(&arena);
    return 0;
}

static int tear_down(void **state UNUSED)
{
    arena_deinit(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_document_written_by_hand),
        cmocka_unit_test(writes_that_document_again),
        cmocka_unit_test(a_plan_is_a_set_of_morph),
        cmocka_unit_test(a_file_becomes_a_migration_of_a_plan),
        cmocka_unit_test(go_writes_what_is_not_there_as_null),
        cmocka_unit_test(says_what_is_wrong_with_a_plan),
        cmocka_unit_test(a_name_that_is_not_utf8_cannot_be_written),
        cmocka_unit_test(base64_is_that_of_its_document),
        cmocka_unit_test(any_bytes_come_back),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
