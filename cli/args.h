/*
 * The command line: which verb, its operands and its options, in any order. Pure: it reads no
 * environment and prints nothing. It refuses unknown words with the nearest known one, options of
 * other verbs, and an option that is given twice.
 */
#ifndef LOCKSTEP_CLI_ARGS_H
#define LOCKSTEP_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"

struct verb;

/* One name means the same with all verbs: it always takes a value, or never. */
struct option_spec {
    const char *name;  /* without the dashes */
    char letter;       /* 'o' for -o; 0: none */
    const char *value; /* "FILE": what stands for the value in the help; NULL: a flag */
    const char *help;
};

struct given_option {
    const struct option_spec *option;
    const char *value; /* borrowed from argv; NULL: a flag */
};

struct args {
    const struct verb *verb; /* NULL: none was named */
    const char *group;       /* "cluster": a group alone was named; verb is NULL then */
    bool help, version;
    const char **operands; /* what follows the verb */
    size_t operand_count;
    struct given_option *given;
    size_t given_count;
};

/* Reads argv[1..]. 0, or E_INVALID with what is wrong: that is wrong use. With --help or --version
 * operands are not counted. Texts are borrowed from argv. */
int args_read(struct arena *arena, int argc, char **argv, struct args *ret, struct error *e);

/* The value of an option of the verb, or NULL. */
const char *args_text(const struct args *args, const char *name);
bool args_flag(const struct args *args, const char *name);
/* A whole number; *ret stays as it is when the option is not given. E_INVALID. */
int args_number(const struct args *args, const char *name, uint32_t *ret, struct error *e);
/* The operand, or NULL. */
const char *args_operand(const struct args *args, size_t index);

/* "main,billing" as two texts, in the arena; how many. */
size_t args_list(struct arena *arena, const char *text, char ***ret);

#endif
