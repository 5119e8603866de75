/*
 * Owns how a version is written and ordered in each scheme. Refuses numbers beyond 64 bits and, in
 * semver, what semver.org refuses (leading zeros, missing parts); a leading v is accepted and means
 * nothing.
 */
#include "lib/spec/version.h"

#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/base/util.h"
#include "lib/spec/version_dataminer.h"

const char *const version_scheme_words[] = {"semver", "dotted", "listed", "dataminer", NULL};

struct version {
    uint64_t parts[LIMIT_VERSION_PARTS]; /* missing ones are 0 */
    size_t part_count;
    const char *suffix; /* behind the '-': not NUL-terminated, may be empty */
    size_t suffix_len;
    bool leading_zero;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_identifier(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

/* One number at *s, moved past it; false when there is none or it does not fit. */
static bool take_number(const char **s, uint64_t *ret, bool *ret_too_large)
{
    uint64_t value = 0;
    if (!is_digit(**s)) {
        return false;
    }
    for (; is_digit(**s); (*s)++) {
        uint64_t digit = (uint64_t)(**s - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            *ret_too_large = true;
            return false;
        }
        value = value * 10 + digit;
    }
    *ret = value;
    return true;
}

/* The numbers with dots between; *s ends behind them. NULL, or why they are wrong. */
static const char *take_parts(const char **s, struct version *v)
{
    bool too_large = false;
    for (;;) {
        if (v->part_count == LIMIT_VERSION_PARTS) {
            return "it has more than 8 numbers";
        }
        const char *start = *s;
        if (!take_number(s, &v->parts[v->part_count], &too_large)) {
            return too_large ? "a number in it is larger than 64 bits hold"
                             : "a number is missing in it";
        }
        v->leading_zero = v->leading_zero || (start[0] == '0' && *s - start > 1);
        v->part_count++;
        if (**s != '.') {
            return NULL;
        }
        (*s)++;
    }
}

/* Identifiers with dots between up to the end or `stop`. NULL, or why they are wrong. */
static const char *take_identifiers(const char **s, char stop, bool numbers_are_strict)
{
    for (;;) {
        const char *start = *s;
        bool number = true;
        while (is_identifier(**s)) {
            number = number && is_digit(**s);
            (*s)++;
        }
        if (*s == start) {
            return "an identifier after the '-' or '+' is empty or holds other than letters, "
                   "digits and '-'";
        }
        if (numbers_are_strict && number && *s - start > 1 && start[0] == '0') {
            return "a number in its prerelease starts with 0";
        }
        if (**s == '\0' || **s == stop) {
            return NULL;
        }
        if (**s != '.') {
            return "it holds a character that is no letter, digit, '.', '-' or '+'";
        }
        (*s)++;
    }
}

static const char *parse_semver(const char *text, struct version *v)
{
    const char *s = text[0] == 'v' ? text + 1 : text;
    const char *problem = take_parts(&s, v);
    if (problem != NULL) {
        return problem;
    }
    if (v->part_count != 3) {
        return "it does not have three numbers";
    }
    if (v->leading_zero) {
        return "a number in it starts with 0";
    }
    if (*s == '-') {
        v->suffix = ++s;
        problem = take_identifiers(&s, '+', true);
        v->suffix_len = (size_t)(s - v->suffix);
    }
    if (problem == NULL && *s == '+') {
        s++;
        problem = take_identifiers(&s, '\0', false);
    }
    if (problem == NULL && *s != '\0') {
        problem = "it holds a character that is no letter, digit, '.', '-' or '+'";
    }
    return problem;
}

static const char *parse_dotted(const char *text, struct version *v)
{
    const char *s = text[0] == 'v' ? text + 1 : text;
    const char *problem = take_parts(&s, v);
    if (problem == NULL && *s == '-') {
        v->suffix = ++s;
        problem = take_identifiers(&s, '\0', false);
        v->suffix_len = (size_t)(s - v->suffix);
    }
    if (problem == NULL && *s != '\0') {
        problem = "behind its numbers stands neither the end nor a '-'";
    }
    return problem;
}

static const char *parse(const struct version_scheme *scheme, const char *text, struct version *v)
{
    *v = (struct version){0};
    assert(scheme->kind == VERSION_SEMVER || scheme->kind == VERSION_DOTTED);
    return scheme->kind == VERSION_SEMVER ? parse_semver(text, v) : parse_dotted(text, v);
}

/* The place in the list, or the count when it is not there. */
static size_t listed_index(const struct version_scheme *scheme, const char *text)
{
    size_t i = 0;
    while (i < scheme->listed_count && strcmp(scheme->listed[i], text) != 0) {
        i++;
    }
    return i;
}

static int check_listed(const struct version_scheme *scheme, const char *text, struct error *e)
{
    if (listed_index(scheme, text) < scheme->listed_count) {
        return 0;
    }
    if (scheme->listed_count == 0) {
        return error_set(e, E_INVALID, "version \"%.96s\": the application lists no releases",
                         text);
    }
    const char *nearest = str_nearest(text, scheme->listed, scheme->listed_count);
    return error_set(
        e, E_INVALID,
        nearest != NULL
            ? "version \"%.96s\" is not among the listed releases, did you mean \"%.96s\"?"
            : "version \"%.96s\" is not among the listed releases, such as \"%.96s\"",
        text, nearest != NULL ? nearest : scheme->listed[0]);
}

int version_check(const struct version_scheme *scheme, const char *text, struct error *e)
{
    if (str_empty(text)) {
        return error_set(e, E_INVALID, "the version is empty");
    }
    if (strlen(text) > LIMIT_VERSION_BYTES) {
        return error_set(e, E_INVALID, "version \"%.40s...\" is longer than %d bytes", text,
                         LIMIT_VERSION_BYTES);
    }
    if (scheme->kind == VERSION_LISTED) {
        return check_listed(scheme, text, e);
    }
    struct version v;
    struct dataminer d;
    const char *problem =
        scheme->kind == VERSION_DATAMINER ? dataminer_parse(text, &d) : parse(scheme, text, &v);
    if (problem != NULL) {
        static const char *const examples[] = {"1.2.3 or 1.2.3-rc.1", "1.2, 10.3.8.1 or 1.2-rc1",
                                               "", "10.3.8, 10.3.0 [CU5] or 10.5.2.0 - 15323"};
        return error_set(e, E_INVALID,
                         "version \"%s\" is not a %s version: %s (right is, for example, %s)", text,
                         version_scheme_words[scheme->kind], problem, examples[scheme->kind]);
    }
    return 0;
}

static int sign(int value)
{
    return value < 0 ? -1 : value > 0 ? 1 : 0;
}

/* Two runs of digits of any length, as numbers. */
static int compare_digits(const char *a, size_t a_len, const char *b, size_t b_len)
{
    for (; a_len > 0 && *a == '0'; a_len--) {
        a++;
    }
    for (; b_len > 0 && *b == '0'; b_len--) {
        b++;
    }
    if (a_len != b_len) {
        return a_len < b_len ? -1 : 1;
    }
    return sign(memcmp(a, b, a_len));
}

static int compare_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int order = sign(memcmp(a, b, MIN(a_len, b_len)));
    return order != 0 ? order : a_len < b_len ? -1 : a_len > b_len ? 1 : 0;
}

static size_t length_until(const char *s, size_t len, char stop)
{
    size_t n = 0;
    while (n < len && s[n] != stop) {
        n++;
    }
    return n;
}

static size_t digits_in(const char *s, size_t len)
{
    size_t n = 0;
    while (n < len && is_digit(s[n])) {
        n++;
    }
    return n;
}

/* https://semver.org/spec/v2.0.0.html#spec-item-11: identifier by identifier, numbers below words.
 */
static int compare_prerelease(const char *a, size_t a_len, const char *b, size_t b_len)
{
    for (;;) {
        size_t a_id = length_until(a, a_len, '.');
        size_t b_id = length_until(b, b_len, '.');
        bool a_number = digits_in(a, a_id) == a_id;
        bool b_number = digits_in(b, b_id) == b_id;
        int order = a_number && b_number   ? compare_digits(a, a_id, b, b_id)
                    : a_number != b_number ? (a_number ? -1 : 1)
                                           : compare_bytes(a, a_id, b, b_id);
        bool a_ends = a_id == a_len;
        bool b_ends = b_id == b_len;
        if (order != 0 || a_ends || b_ends) {
            return order != 0 ? order : a_ends && b_ends ? 0 : a_ends ? -1 : 1;
        }
        a += a_id + 1;
        a_len -= a_id + 1;
        b += b_id + 1;
        b_len -= b_id + 1;
    }
}

/* Natural order: runs of digits as numbers, the rest by bytes, so that rc9 stands before rc10. */
static int compare_suffix(const char *a, size_t a_len, const char *b, size_t b_len)
{
    while (a_len > 0 && b_len > 0) {
        size_t a_run = digits_in(a, a_len);
        size_t b_run = digits_in(b, b_len);
        int order;
        if (a_run > 0 && b_run > 0) {
            order = compare_digits(a, a_run, b, b_run);
        } else {
            a_run = b_run = 1;
            order = sign((unsigned char)*a - (unsigned char)*b);
        }
        if (order != 0) {
            return order;
        }
        a += a_run;
        a_len -= a_run;
        b += b_run;
        b_len -= b_run;
    }
    return a_len > 0 ? 1 : b_len > 0 ? -1 : 0;
}

static int compare_parsed(const struct version_scheme *scheme, const struct version *a,
                          const struct version *b)
{
    for (size_t i = 0; i < LIMIT_VERSION_PARTS; i++) {
        if (a->parts[i] != b->parts[i]) {
            return a->parts[i] < b->parts[i] ? -1 : 1;
        }
    }
    if (a->suffix_len == 0 || b->suffix_len == 0) { /* without one comes after */
        return a->suffix_len > 0 ? -1 : b->suffix_len > 0 ? 1 : 0;
    }
    return scheme->kind == VERSION_SEMVER
               ? compare_prerelease(a->suffix, a->suffix_len, b->suffix, b->suffix_len)
               : compare_suffix(a->suffix, a->suffix_len, b->suffix, b->suffix_len);
}

enum version_order version_compare(const struct version_scheme *scheme, const char *a,
                                   const char *b)
{
    if (version_check(scheme, a, NULL) < 0 || version_check(scheme, b, NULL) < 0) {
        return VERSION_INCOMPARABLE;
    }
    if (scheme->kind == VERSION_LISTED) {
        size_t a_at = listed_index(scheme, a);
        size_t b_at = listed_index(scheme, b);
        return a_at < b_at ? VERSION_LESS : a_at > b_at ? VERSION_GREATER : VERSION_EQUAL;
    }
    if (scheme->kind == VERSION_DATAMINER) {
        struct dataminer first = {0};
        struct dataminer second = {0};
        dataminer_parse(a, &first);
        dataminer_parse(b, &second);
        return dataminer_compare(&first, &second);
    }
    struct version parsed_a;
    struct version parsed_b;
    parse(scheme, a, &parsed_a);
    parse(scheme, b, &parsed_b);
    int order = compare_parsed(scheme, &parsed_a, &parsed_b);
    return order < 0 ? VERSION_LESS : order > 0 ? VERSION_GREATER : VERSION_EQUAL;
}

int version_sort(const struct version_scheme *scheme, const char *a, const char *b)
{
    if (scheme->kind == VERSION_DATAMINER) {
        struct dataminer first = {0};
        struct dataminer second = {0};
        dataminer_parse(a, &first);
        dataminer_parse(b, &second);
        return dataminer_sort(&first, &second);
    }
    enum version_order order = version_compare(scheme, a, b);
    return order == VERSION_INCOMPARABLE ? sign(strcmp(a, b)) : (int)order;
}

/* ---- majors and minors ---- */

static int64_t line_number(uint64_t number)
{
    return number > (uint64_t)VERSION_LINE_MAX ? VERSION_LINE_MAX : (int64_t)number;
}

/* How many numbers a line has; 0: the scheme has no such unit. */
static size_t line_numbers(const struct version_scheme *scheme, enum version_unit unit)
{
    switch (scheme->kind) {
    case VERSION_SEMVER:
    case VERSION_DOTTED:
        return unit == UNIT_MAJOR ? 1 : 2;
    case VERSION_DATAMINER:
        return unit == UNIT_MAJOR ? 2 : 0;
    case VERSION_LISTED:
        break;
    }
    return 0;
}

bool version_line(const struct version_scheme *scheme, enum version_unit unit, const char *version,
                  struct version_line *ret)
{
    size_t numbers = line_numbers(scheme, unit);
    if (numbers == 0 || version_check(scheme, version, NULL) < 0) {
        return false;
    }
    struct version v = {0};
    struct dataminer d = {0};
    if (scheme->kind == VERSION_DATAMINER) {
        dataminer_parse(version, &d);
    } else {
        parse(scheme, version, &v);
    }
    const uint64_t *parts = scheme->kind == VERSION_DATAMINER ? d.parts : v.parts;
    *ret = (struct version_line){line_number(parts[0]), numbers == 2 ? line_number(parts[1]) : -1};
    return true;
}

bool version_line_parse(const struct version_scheme *scheme, enum version_unit unit,
                        const char *text, struct version_line *ret)
{
    struct version v = {0};
    const char *s = text;
    size_t numbers = line_numbers(scheme, unit);
    if (numbers == 0 || take_parts(&s, &v) != NULL || *s != '\0' || v.part_count != numbers) {
        return false;
    }
    *ret =
        (struct version_line){line_number(v.parts[0]), numbers == 2 ? line_number(v.parts[1]) : -1};
    return true;
}

int version_line_compare(const struct version_line *a, const struct version_line *b)
{
    if (a->major != b->major) {
        return a->major < b->major ? -1 : 1;
    }
    return a->minor < b->minor ? -1 : a->minor > b->minor ? 1 : 0;
}
