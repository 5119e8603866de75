/* Owns the grammar of the command line. It refuses what it does not know, with the nearest word that it does. */
#include "cli/args.h"

#include <string.h>

#include "cli/verb.h"
#include "lib/base/str.h"

#define WORDS_MAX 4096 /* words of one command line */

/* ---- names ---- */

/* The part of "cluster diff" before the blank; NULL: a verb of no group. */
static const char *group_of(struct arena *arena, const struct verb *verb)
{
    assert(verb != NULL);
    const char *blank = strchr(verb->name, ' ');
    return blank == NULL ? NULL : arena_strndup(arena, verb->name, (size_t)(blank - verb->name));
}

static bool is_group(struct arena *arena, const char *word)
{
    for (size_t i = 0; i < verb_count; i++) {
        if (str_equal(group_of(arena, verbs[i]), word)) {
            return true;
        }
    }
    return false;
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < verb_count; i++) {
        if (str_equal(verbs[i]->name, name)) {
            return verbs[i];
        }
    }
    return NULL;
}

/* What may stand as the first word, or after the group. */
static size_t words_after(struct arena *arena, const char *group, const char **words)
{
    size_t count = 0;
    for (size_t i = 0; i < verb_count; i++) {
        const char *of = group_of(arena, verbs[i]);
        if (group == NULL) {
            words[count++] = of != NULL ? of : verbs[i]->name;
        } else if (str_equal(of, group)) {
            words[count++] = verbs[i]->name + strlen(group) + 1;
        }
    }
    return count;
}

static int unknown_verb(struct arena *arena, const char *group, const char *word, struct error *e)
{
    const char **words = ARENA_ARRAY(arena, verb_count, const char *);
    const char *nearest = str_nearest(word, words, words_after(arena, group, words));
    const char *before = group != NULL ? arena_printf(arena, "%s ", group) : "";
    if (nearest != NULL) {
        return error_set(e, E_INVALID, "unknown verb \"%s%s\", did you mean \"%s%s\"?", before,
                         word, before, nearest);
    }
    return error_set(e, E_INVALID, "unknown verb \"%s%s\": lockstep %s--help lists them", before,
                     word, before);
}

/* ---- options ---- */

static const struct option_spec *find_in(const struct option_spec *options, size_t count,
                                         const char *name, char letter)
{
    for (size_t i = 0; i < count; i++) {
        if (name != NULL ? str_equal(options[i].name, name)
                         : letter != '\0' && options[i].letter == letter) {
            return &options[i];
        }
    }
    return NULL;
}

/* Of the verb when it is known, else of any: before the verb is read, only the form matters. */
static const struct option_spec *find_option(const struct verb *verb, const char *name, char letter)
{
    const struct option_spec *found = find_in(global_options, global_option_count, name, letter);
    if (found == NULL && verb != NULL) {
        return find_in(verb->options, verb->option_count, name, letter);
    }
    for (size_t i = 0; found == NULL && i < verb_count; i++) {
        found = find_in(verbs[i]->options, verbs[i]->option_count, name, letter);
    }
    return found;
}

static int unknown_option(struct arena *arena, const struct verb *verb, const char *shown,
                          const char *name, struct error *e)
{
    size_t count = 0;
    size_t most = global_option_count + (verb != NULL ? verb->option_count : 0);
    const char **names = ARENA_ARRAY(arena, most + 1, const char *);
    for (size_t i = 0; i < global_option_count; i++) {
        names[count++] = global_options[i].name;
    }
    for (size_t i = 0; verb != NULL && i < verb->option_count; i++) {
        names[count++] = verb->options[i].name;
    }
    const char *nearest = name != NULL ? str_nearest(name, names, count) : NULL;
    const char *of = verb != NULL ? arena_printf(arena, " of %s", verb->name) : "";
    if (nearest != NULL) {
        return error_set(e, E_INVALID, "unknown option %s%s, did you mean --%s?", shown, of,
                         nearest);
    }
    return error_set(e, E_INVALID, "unknown option %s%s: lockstep %s%s--help lists them", shown, of,
                     verb != NULL ? verb->name : "", verb != NULL ? " " : "");
}

/* One option, from words[*at] on; moves *at to its last word. */
static int read_option(struct arena *arena, const struct verb *verb, char **words, size_t count,
                       size_t *at, struct given_option *ret, struct error *e)
{
    const char *word = words[*at];
    const char *value = NULL;
    const struct option_spec *option = NULL;
    const char *shown = NULL;
    if (word[1] == '-') {
        const char *equals = strchr(word, '=');
        const char *name =
            equals != NULL ? arena_strndup(arena, word + 2, (size_t)(equals - word) - 2) : word + 2;
        value = equals != NULL ? equals + 1 : NULL;
        shown = arena_printf(arena, "--%s", name);
        option = find_option(verb, name, '\0');
        if (option == NULL) {
            return unknown_option(arena, verb, shown, name, e);
        }
    } else {
        shown = arena_printf(arena, "-%c", word[1]);
        option = find_option(verb, NULL, word[1]);
        if (option == NULL) {
            return unknown_option(arena, verb, word, NULL, e);
        }
        value = word[2] != '\0' ? word + 2 : NULL;
    }
    if (option->value == NULL && value != NULL) {
        return error_set(e, E_INVALID, "%s takes no value: leave \"%s\" out", shown, value);
    }
    if (option->value != NULL && value == NULL) {
        if (*at + 1 == count) {
            return error_set(e, E_INVALID, "%s wants a value: %s %s", shown, shown, option->value);
        }
        value = words[++*at];
    }
    *ret = (struct given_option){option, value};
    return 0;
}

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0';
}

/* ---- the line ---- */

/* The first pass: which verb is it? Options are jumped over; *ret_skip marks the words of its name. */
static int find_named(struct arena *arena, char **words, size_t count, struct args *ret,
                      bool *ret_skip, struct error *e)
{
    for (size_t i = 0; i < count; i++) {
        struct given_option given = {0};
        if (str_equal(words[i], "--")) {
            return 0;
        }
        if (is_option(words[i])) {
            int r = read_option(arena, NULL, words, count, &i, &given, e);
            if (r < 0) {
                return r;
            }
            continue;
        }
        ret_skip[i] = true;
        if (ret->group != NULL) {
            ret->verb = find_verb(arena_printf(arena, "%s %s", ret->group, words[i]));
            if (ret->verb == NULL) {
                return unknown_verb(arena, ret->group, words[i], e);
            }
            ret->group = NULL;
            return 0;
        }
        ret->verb = find_verb(words[i]);
        if (ret->verb != NULL) {
            return 0;
        }
        if (!is_group(arena, words[i])) {
            return unknown_verb(arena, NULL, words[i], e);
        }
        ret->group = words[i];
    }
    return 0;
}

static int keep_option(struct args *args, const struct given_option *given, struct error *e)
{
    assert(given->option != NULL);
    for (size_t i = 0; i < args->given_count; i++) {
        if (args->given[i].option == given->option) {
            return error_set(e, E_INVALID, "--%s is given twice", given->option->name);
        }
    }
    args->help = args->help || str_equal(given->option->name, "help");
    args->version = args->version || str_equal(given->option->name, "version");
    args->given[args->given_count++] = *given;
    return 0;
}

static int check_operands(const struct args *args, struct error *e)
{
    const struct verb *verb = args->verb;
    if (args->help || args->version || verb == NULL) {
        return 0;
    }
    if (args->operand_count < verb->operands_min) {
        return error_set(e, E_INVALID, "%s wants more: lockstep %s %s", verb->name, verb->name,
                         verb->usage);
    }
    if (args->operand_count > verb->operands_max) {
        return error_set(e, E_INVALID, "%s does not know what to do with \"%s\": lockstep %s %s",
                         verb->name, args->operands[verb->operands_max], verb->name, verb->usage);
    }
    return 0;
}

int args_read(struct arena *arena, int argc, char **argv, struct args *ret, struct error *e)
{
    size_t count = argc > 1 ? (size_t)argc - 1 : 0;
    char **words = argv + 1;
    if (count > WORDS_MAX) {
        return error_set(e, E_INVALID, "more than %d words: give the files in several calls",
                         WORDS_MAX);
    }
    struct args args = {.operands = ARENA_ARRAY(arena, count + 1, const char *),
                        .given = ARENA_ARRAY(arena, count + 1, struct given_option)};
    bool *skip = ARENA_ARRAY(arena, count + 1, bool);
    int r = find_named(arena, words, count, &args, skip, e);
    bool only_operands = false;
    for (size_t i = 0; r == 0 && i < count; i++) {
        if (skip[i]) {
            continue;
        }
        if (only_operands || !is_option(words[i])) {
            args.operands[args.operand_count++] = words[i];
        } else if (str_equal(words[i], "--")) {
            only_operands = true;
        } else {
            struct given_option given = {0};
            r = read_option(arena, args.verb, words, count, &i, &given, e);
            if (r == 0) {
                r = keep_option(&args, &given, e);
            }
        }
    }
    if (r == 0) {
        r = check_operands(&args, e);
    }
    if (r == 0) {
        *ret = args;
    }
    return r;
}

/* ---- questions ---- */

static const struct given_option *find_given(const struct args *args, const char *name)
{
    for (size_t i = 0; i < args->given_count; i++) {
        if (str_equal(args->given[i].option->name, name)) {
            return &args->given[i];
        }
    }
    return NULL;
}

const char *args_text(const struct args *args, const char *name)
{
    const struct given_option *given = find_given(args, name);
    return given != NULL ? given->value : NULL;
}

bool args_flag(const struct args *args, const char *name)
{
    return find_given(args, name) != NULL;
}

int args_number(const struct args *args, const char *name, uint32_t *ret, struct error *e)
{
    const char *text = args_text(args, name);
    uint64_t value = 0;
    if (text == NULL) {
        return 0;
    }
    if (!str_to_u64(text, UINT32_MAX, &value)) {
        return error_set(e, E_INVALID, "--%s wants a whole number, not \"%s\"", name, text);
    }
    *ret = (uint32_t)value;
    return 0;
}

const char *args_operand(const struct args *args, size_t index)
{
    return index < args->operand_count ? args->operands[index] : NULL;
}

size_t args_list(struct arena *arena, const char *text, char ***ret)
{
    size_t most = 1;
    for (const char *p = text; *p != '\0'; p++) {
        most += *p == ',' ? 1 : 0;
    }
    size_t count = 0;
    *ret = ARENA_ARRAY(arena, most, char *);
    while (*text != '\0') {
        size_t len = strcspn(text, ",");
        if (len > 0) {
            (*ret)[count++] = arena_strndup(arena, text, len);
        }
        text += len + (text[len] == ',' ? 1 : 0);
    }
    return count;
}
