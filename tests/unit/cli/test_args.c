/* The command line: words in any order, and what is refused with the nearest word. */
#include "cli/args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/verb.h"
#include "lib/base/str.h"

#define WORDS_MAX 16

static struct arena arena;

static int setup(void **state UNUSED)
{
    arena_init(&arena);
    return 0;
}

static int teardown(void **state UNUSED)
{
    arena_deinit(&arena);
    return 0;
}

/* Reads a line whose words stand between blanks. */
static int read_line(const char *line, struct args *ret, struct error *e)
{
    char *words[WORDS_MAX] = {"lockstep"};
    int count = 1;
    for (char *word = strtok(arena_strdup(&arena, line), " "); word != NULL;
         word = strtok(NULL, " ")) {
        assert_true(count < WORDS_MAX);
        words[count++] = word;
    }
    char **kept = ARENA_ARRAY(&arena, WORDS_MAX, char *);
    memcpy(kept, words, sizeof(words));
    return args_read(&arena, count, kept, ret, e);
}

static struct args read_right(const char *line)
{
    struct args args = {0};
    struct error e = {0};
    if (read_line(line, &args, &e) != 0) {
        fail_msg("%s: %s", line, e.message);
    }
    return args;
}

static void assert_refused(const char *line, const char *why)
{
    struct args args = {0};
    struct error e = {0};
    assert_int_equal(read_line(line, &args, &e), E_INVALID);
    assert_string_equal(e.message, why);
}

static void options_stand_anywhere(void **state UNUSED)
{
    static const char *const lines[] = {"plan c.yaml --to 1.2.3 -o p.json --json",
                                        "--json --to 1.2.3 plan -op.json c.yaml",
                                        "--to=1.2.3 -o p.json plan --json -- c.yaml",
                                        "plan --output=p.json --to 1.2.3 c.yaml --json"};
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        struct args args = read_right(lines[i]);
        assert_string_equal(args.verb->name, "plan");
        assert_int_equal(args.operand_count, 1);
        assert_string_equal(args_operand(&args, 0), "c.yaml");
        assert_string_equal(args_text(&args, "to"), "1.2.3");
        assert_string_equal(args_text(&args, "output"), "p.json");
        assert_true(args_flag(&args, "json"));
    }
}

static void a_verb_of_a_group_is_two_words(void **state UNUSED)
{
    struct args args = read_right("cluster --json diff --from 3 chat");
    assert_string_equal(args.verb->name, "cluster diff");
    assert_string_equal(args_operand(&args, 0), "chat");
    uint32_t from = 0;
    uint32_t to = 7;
    struct error e = {0};
    assert_int_equal(args_number(&args, "from", &from, &e), 0);
    assert_int_equal(args_number(&args, "to", &to, &e), 0);
    assert_int_equal(from, 3);
    assert_int_equal(to, 7);
    args = read_right("cluster --help");
    assert_null(args.verb);
    assert_string_equal(args.group, "cluster");
    assert_true(args.help);
}

static void words_after_two_dashes_are_operands(void **state UNUSED)
{
    struct args args = read_right("validate -- --to");
    assert_string_equal(args_operand(&args, 0), "--to");
}

static void help_needs_no_operands(void **state UNUSED)
{
    assert_true(read_right("plan --help").help);
    assert_true(read_right("-h").help);
    assert_null(read_right("").verb);
}

static void refuses_unknown_words_with_the_nearest(void **state UNUSED)
{
    assert_refused("validat x", "unknown verb \"validat\", did you mean \"validate\"?");
    assert_refused("cluster gett x",
                   "unknown verb \"cluster gett\", did you mean \"cluster get\"?");
    assert_refused("xyzzy", "unknown verb \"xyzzy\": lockstep --help lists them");
    assert_refused("apply x --detatch",
                   "unknown option --detatch of apply, did you mean --detach?");
    assert_refused("status --ack",
                   "unknown option --ack of status: lockstep status --help lists them");
    assert_refused("status -q", "unknown option -q of status: lockstep status --help lists them");
}

static void refuses_wrong_counts_and_values(void **state UNUSED)
{
    assert_refused("plan", "plan wants more: lockstep plan CLUSTER.yaml [--to VERSION] [-o FILE]");
    assert_refused("cluster get a b", "cluster get does not know what to do with \"b\": lockstep "
                                      "cluster get NAME [--revision N]");
    assert_refused("plan x --to", "--to wants a value: --to VERSION");
    assert_refused("plan x --json=1", "--json takes no value: leave \"1\" out");
    assert_refused("plan x --to 1 --to 2", "--to is given twice");
    struct args args = read_right("history --limit ten");
    struct error e = {0};
    uint32_t limit = 0;
    assert_int_equal(args_number(&args, "limit", &limit, &e), E_INVALID);
    assert_string_equal(e.message, "--limit wants a whole number, not \"ten\"");
}

/* The first pass over the line knows no verb yet: a name must take a value with all verbs, or with none. */
static void an_option_means_the_same_with_all_verbs(void **state UNUSED)
{
    for (size_t a = 0; a < verb_count; a++) {
        for (size_t i = 0; i < verbs[a]->option_count; i++) {
            const struct option_spec *x = &verbs[a]->options[i];
            for (size_t b = 0; b < verb_count; b++) {
                for (size_t j = 0; j < verbs[b]->option_count; j++) {
                    const struct option_spec *y = &verbs[b]->options[j];
                    if (str_equal(x->name, y->name) || (x->letter != 0 && x->letter == y->letter)) {
                        assert_string_equal(x->name, y->name);
                        assert_int_equal(x->letter, y->letter);
                        assert_int_equal(x->value == NULL, y->value == NULL);
                    }
                }
            }
        }
    }
}

static void every_verb_explains_itself(void **state UNUSED)
{
    assert_true(verb_count > 10);
    for (size_t i = 0; i < verb_count; i++) {
        const struct verb *v = verbs[i];
        const char *call = arena_printf(&arena, "  lockstep %s", v->name);
        assert_true(str_starts(v->example, call));
        assert_true(str_ends(v->example, "\n"));
        assert_true(str_ends(v->about, "\n"));
        assert_true(strlen(v->summary) > 0);
        assert_true(v->operands_min <= v->operands_max);
        assert_non_null(v->run);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(options_stand_anywhere),
        TEST(a_verb_of_a_group_is_two_words),
        TEST(words_after_two_dashes_are_operands),
        TEST(help_needs_no_operands),
        TEST(refuses_unknown_words_with_the_nearest),
        TEST(refuses_wrong_counts_and_values),
        TEST(an_option_means_the_same_with_all_verbs),
        TEST(every_verb_explains_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
