/*
 * Owns the forms and the order of DataMiner's versions. Refuses a CU on the Feature track, and forms that no document of
 * the vendor uses: a wrong guess about a version is a wrong way.
 */
#include "lib/spec/version_dataminer.h"

#include <string.h>

#include "lib/base/str.h"
#include "lib/base/util.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The digits at *s as a number, moved past them; false when there are none or too many. */
static bool take_number(const char **s, uint64_t *ret)
{
    uint64_t value = 0;
    const char *start = *s;
    for (; is_digit(**s); (*s)++) {
        uint64_t digit = (uint64_t)(**s - '0');
        if (value > (INT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *ret = value;
    return *s != start;
}

static const char *take_parts(const char **s, struct dataminer *v)
{
    size_t count = 0;
    for (;;) {
        if (count == ARRAY_SIZE(v->parts)) {
            return "it has more than four numbers";
        }
        if (!take_number(s, &v->parts[count])) {
            return "a number is missing in it, or is too large";
        }
        count++;
        if (**s != '.') {
            return count < 3 ? "it has fewer than three numbers" : NULL;
        }
        (*s)++;
    }
}

static const char *take_cu(const char **s, struct dataminer *v)
{
    uint64_t number;
    *s += 2; /* CU */
    if (v->cu != DATAMINER_CU_UNKNOWN) {
        return "it has two CUs";
    }
    if (!take_number(s, &number)) {
        return "CU has no number";
    }
    v->cu = (int64_t)number;
    return NULL;
}

static bool is_cu(const char *s)
{
    return s[0] == 'C' && s[1] == 'U' && is_digit(s[2]);
}

/* Behind a dash: a CU, the build, the date behind it, or a last word. */
static const char *take_dashed(const char **s, struct dataminer *v, bool *dated)
{
    uint64_t number;
    if (is_cu(*s)) {
        return take_cu(s, v);
    }
    if (is_letter(**s)) {
        *s += strspn(*s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
        return **s == '\0' ? NULL : "behind its last word stands more";
    }
    if (!take_number(s, &number)) {
        return "behind a '-' stands neither a build, a date, a CU nor a word";
    }
    if (v->has_build && *dated) {
        return "it has more than a build and a date";
    }
    *dated = v->has_build;
    v->build = v->has_build ? v->build : number;
    v->has_build = true;
    return NULL;
}

static const char *take_rest(const char **s, struct dataminer *v)
{
    bool dated = false;
    while (**s != '\0') {
        const char *problem = NULL;
        const char *at = *s + strspn(*s, " ");
        if (at != *s && str_starts(at, "[CU")) {
            *s = at + 1;
            problem = take_cu(s, v);
            if (problem == NULL && **s != ']') {
                return "its [CU is not closed";
            }
            *s += problem == NULL ? 1 : 0;
        } else if (at != *s && is_cu(at)) {
            *s = at;
            problem = take_cu(s, v);
        } else if (*at == '-') {
            at++;
            *s = at + strspn(at, " ");
            problem = take_dashed(s, v, &dated);
        } else {
            return "behind its numbers stands neither [CUn] nor a '-'";
        }
        if (problem != NULL) {
            return problem;
        }
    }
    return NULL;
}

const char *dataminer_parse(const char *text, struct dataminer *ret)
{
    struct dataminer v = {.cu = DATAMINER_CU_UNKNOWN};
    const char *s = text;
    const char *problem = take_parts(&s, &v);
    if (problem == NULL) {
        problem = take_rest(&s, &v);
    }
    if (problem == NULL && v.cu != DATAMINER_CU_UNKNOWN && v.parts[2] != 0) {
        problem = "only a Main Release x.y.0 has CUs";
    }
    if (problem != NULL) {
        return problem;
    }
    if (v.cu == DATAMINER_CU_UNKNOWN && (v.parts[2] != 0 || !v.has_build)) {
        v.cu = 0;
    }
    *ret = v;
    return NULL;
}

bool dataminer_is_main(const struct dataminer *v)
{
    return v->parts[2] == 0;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b ? 1 : 0;
}

static int compare_parts(const struct dataminer *a, const struct dataminer *b, size_t from,
                         size_t end)
{
    for (size_t i = from; i < end; i++) {
        if (a->parts[i] != b->parts[i]) {
            return compare_numbers(a->parts[i], b->parts[i]);
        }
    }
    return 0;
}

enum version_order dataminer_compare(const struct dataminer *a, const struct dataminer *b)
{
    int order = compare_parts(a, b, 0, 2);
    if (order == 0 && dataminer_is_main(a) != dataminer_is_main(b)) {
        return VERSION_INCOMPARABLE;
    }
    if (order == 0) {
        order = compare_parts(a, b, 2, 4);
    }
    bool builds = a->has_build && b->has_build;
    bool cus = a->cu != DATAMINER_CU_UNKNOWN && b->cu != DATAMINER_CU_UNKNOWN;
    if (order == 0 && !cus && !builds) {
        return VERSION_INCOMPARABLE;
    }
    if (order == 0 && cus && a->cu != b->cu) {
        order = a->cu < b->cu ? -1 : 1;
    }
    if (order == 0 && builds) {
        order = compare_numbers(a->build, b->build);
    }
    return order < 0 ? VERSION_LESS : order > 0 ? VERSION_GREATER : VERSION_EQUAL;
}

int dataminer_sort(const struct dataminer *a, const struct dataminer *b)
{
    int order = compare_parts(a, b, 0, 2);
    if (order == 0 && dataminer_is_main(a) != dataminer_is_main(b)) {
        order = dataminer_is_main(a) ? 1 : -1;
    }
    if (order == 0) {
        order = compare_parts(a, b, 2, 4);
    }
    if (order == 0 && a->cu != b->cu) {
        order = a->cu < b->cu ? -1 : 1;
    }
    if (order == 0 && a->has_build != b->has_build) {
        order = b->has_build ? -1 : 1;
    }
    return order == 0 && a->has_build ? compare_numbers(a->build, b->build) : order;
}

size_t dataminer_word(const char *s)
{
    size_t len = 0;
    for (;;) {
        len += strcspn(s + len, " \t\n\r|<>=,");
        const char *next = s + len + strspn(s + len, " ");
        if (next != s + len && str_starts(next, "[CU") && strchr(next, ']') != NULL) {
            len = (size_t)(strchr(next, ']') + 1 - s);
        } else if (next != s + len && is_cu(next)) {
            len = (size_t)(next + 2 - s);
        } else if (next != s + len && *next == '-') {
            const char *part = next + 1 + strspn(next + 1, " ");
            size_t part_len = strcspn(part, " \t\n\r|<>=,");
            if (part_len == 0 || memchr(part, '.', part_len) != NULL) {
                return len; /* two versions with a dash between: the range says what to write instead */
            }
            len = (size_t)(part + part_len - s);
        } else {
            return len;
        }
    }
}
