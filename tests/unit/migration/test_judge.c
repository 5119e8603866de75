/* The decision table, every row of it, and what no combination may ever say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/migration/judge.h"

/* docs/MIGRATIONS.md, "Once", from top to bottom. */
struct row {
    const char *name;
    struct judge_case c;
    enum judge_verdict verdict;
};

#define ALONE .kind = UNIT_ALONE

static const struct row rows[] = {
    {"another text, nobody asked", {.other_text = true, .kind = UNIT_FREE}, JUDGE_ASK},
    {"another text, answered", {.other_text = true, .answered = true, ALONE}, JUDGE_RESTART},
    {"answered", {.answered = true, .unknown = true, .session_lost = true, ALONE}, JUDGE_RUN},
    {"may have run in part", {.unknown = true, .kind = UNIT_FREE}, JUDGE_ASK},
    {"session lost", {.session_lost = true, .kind = UNIT_FREE}, JUDGE_ASK},
    {"not begun", {.not_begun = true, ALONE}, JUDGE_RUN},
    {"own note: free", {.kind = UNIT_FREE}, JUDGE_RUN},
    {"own note: own transaction", {.kind = UNIT_OWN}, JUDGE_RUN},
    {"a setting", {.kind = UNIT_SESSION}, JUDGE_RUN},
    {"undone", {.kind = UNIT_UNDONE}, JUDGE_RUN},
    {"upkeep", {ALONE, .repeatable = true}, JUDGE_RUN},
    {"create: none", {ALONE, .index = true}, JUDGE_RUN},
    {"create: valid", {ALONE, .index = true, .index_is = true, .index_valid = true}, JUDGE_RAN},
    {"create: invalid", {ALONE, .index = true, .index_is = true}, JUDGE_CLEAN},
    {"create: the old one",
     {ALONE, .index = true, .index_was = true, .index_is = true, .index_valid = true,
      .index_same = true},
     JUDGE_RUN},
    {"create: the old invalid one",
     {ALONE, .index = true, .index_was = true, .index_is = true, .index_same = true},
     JUDGE_RUN},
    {"create: another one",
     {ALONE, .index = true, .index_was = true, .index_is = true, .index_valid = true},
     JUDGE_RAN},
    {"drop: gone", {ALONE, .index = true, .index_drop = true, .index_was = true}, JUDGE_RAN},
    {"drop: never there", {ALONE, .index = true, .index_drop = true}, JUDGE_RUN},
    {"drop: there",
     {ALONE, .index = true, .index_drop = true, .index_was = true, .index_is = true,
      .index_same = true},
     JUDGE_RUN},
    {"blind", {ALONE, .seen = JUDGE_BLIND, .atomic = true, .schema_only = true}, JUDGE_ASK},
    {"same, schema only", {ALONE, .seen = JUDGE_SAME, .schema_only = true}, JUDGE_RUN},
    {"same, atomic, surely",
     {ALONE, .seen = JUDGE_SAME, .atomic = true, .surely = true},
     JUDGE_RUN},
    {"same, atomic, data", {ALONE, .seen = JUDGE_SAME, .atomic = true}, JUDGE_ASK},
    {"same, surely, in parts", {ALONE, .seen = JUDGE_SAME, .surely = true}, JUDGE_ASK},
    {"changed, atomic", {ALONE, .seen = JUDGE_CHANGED, .atomic = true}, JUDGE_RAN},
    {"changed, in parts", {ALONE, .seen = JUDGE_CHANGED, .schema_only = true}, JUDGE_ASK},
};

static void says_what_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *why = NULL;
        enum judge_verdict verdict = judge(&rows[i].c, &why);
        if (verdict != rows[i].verdict) {
            fail_msg("%s: %d, not %d (%s)", rows[i].name, verdict, rows[i].verdict, why);
        }
        assert_non_null(why);
    }
}

#define BITS 15

static struct judge_case case_of(unsigned bits, enum unit_kind kind, enum judge_seen seen)
{
    return (struct judge_case){.kind = kind,
                               .seen = seen,
                               .other_text = bits & 1,
                               .unknown = bits & 2,
                               .session_lost = bits & 4,
                               .answered = bits & 8,
                               .atomic = bits & 16,
                               .schema_only = bits & 32,
                               .surely = bits & 64,
                               .repeatable = bits & 128,
                               .index = bits & 256,
                               .index_drop = bits & 512,
                               .index_was = bits & 1024,
                               .index_is = bits & 2048,
                               .index_valid = bits & 4096,
                               .index_same = bits & 8192,
                               .not_begun = bits & 16384};
}

/* Whatever is put together: nobody is passed over, nothing is skipped that was not seen. */
static void check(const struct judge_case *c)
{
    const char *why = NULL;
    enum judge_verdict verdict = judge(c, &why);
    assert_non_null(why);
    assert_true(verdict != JUDGE_ASK || !c->answered);
    assert_true(verdict != JUDGE_RESTART || (c->answered && c->other_text));
    if (verdict == JUDGE_RAN) { /* "it ran" only of what was looked at, whole */
        assert_int_equal(c->kind, UNIT_ALONE);
        assert_false(c->other_text || c->unknown || c->session_lost || c->not_begun);
        assert_true(c->index ? (c->index_drop ? c->index_was && !c->index_is
                                              : c->index_is && c->index_valid)
                             : c->seen == JUDGE_CHANGED && c->atomic);
    }
    if (verdict == JUDGE_CLEAN) { /* never an index that stood there before, never a valid one */
        assert_true(c->index && !c->index_drop && c->index_is && !c->index_valid);
        assert_false(c->index_was && c->index_same);
    }
    if (verdict == JUDGE_RUN && !c->answered && !c->not_begun && c->kind == UNIT_ALONE &&
        !c->repeatable && !c->index) { /* again only where nothing has changed */
        assert_int_equal(c->seen, JUDGE_SAME);
    }
}

static void never_guesses_in_any_combination(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 1u << BITS; bits++) {
        for (int kind = UNIT_FREE; kind <= UNIT_UNDONE; kind++) {
            for (int seen = JUDGE_BLIND; seen <= JUDGE_CHANGED; seen++) {
                struct judge_case c = case_of(bits, (enum unit_kind)kind, (enum judge_seen)seen);
                check(&c);
            }
        }
    }
}

/* docs/MIGRATIONS.md, "A ledger that lost its rows", from top to bottom. */
#define RAN .says = JUDGE_SAYS_APPLIED
static const struct {
    const char *name;
    struct judge_claim c;
    enum judge_verdict verdict;
} claims[] = {
    {"no evidence", {.as_left = true}, JUDGE_RUN},
    {"taken back", {.says = JUDGE_SAYS_REVERTED, .as_left = true}, JUDGE_RUN},
    {"answered", {RAN, .answered = true, .as_left = true}, JUDGE_RUN},
    {"bare", {RAN, .bare = true, .as_left = true}, JUDGE_RUN},
    {"as it left it", {RAN, .as_left = true}, JUDGE_ASK},
    {"as it left it, and as before it",
     {RAN, .as_left = true, .as_before = true, .moved = true},
     JUDGE_ASK},
    {"as before it", {RAN, .as_before = true, .moved = true}, JUDGE_RUN},
    {"rows alone", {RAN, .as_before = true}, JUDGE_ASK},
    {"unlike anything", {RAN, .moved = true}, JUDGE_ASK},
    {"never looked at", {RAN}, JUDGE_ASK},
};

static void what_a_ledger_lost_is_judged_by_its_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
        const char *why = NULL;
        enum judge_verdict verdict = judge_claim(&claims[i].c, &why);
        if (verdict != claims[i].verdict) {
            fail_msg("%s: %d, not %d (%s)", claims[i].name, verdict, claims[i].verdict, why);
        }
        assert_non_null(why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_the_table_says),
        cmocka_unit_test(never_guesses_in_any_combination),
        cmocka_unit_test(what_a_ledger_lost_is_judged_by_its_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
