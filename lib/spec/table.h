/* What the files that hold tables share: the words of a shape's entry, and the keys of a command
 * inside another struct. Used by the files of this folder only. */
#ifndef LOCKSTEP_SPEC_TABLE_H
#define LOCKSTEP_SPEC_TABLE_H

#include "lib/spec/action.h"

#define SHAPE(name_, struct_, fields_, ...)                                                        \
    {                                                                                              \
        .name = (name_), .size = sizeof(struct struct_), .fields = (fields_),                      \
        .field_count = ARRAY_SIZE(fields_), __VA_ARGS__                                            \
    }
#define AT(struct_, member_) .offset = offsetof(struct struct_, member_)

#define MINUTES 60000LL
#define SECONDS 1000LL
#define MIB     (1024LL * 1024LL)

/* Also in the schema, so ECMA and POSIX must both know them. */
#define SHA256_PATTERN "[0-9a-f]{64}"
#define TABLE_PATTERN  "[A-Za-z_][A-Za-z0-9_$]*(\\.[A-Za-z_][A-Za-z0-9_$]*)?"
#define TABLE_HELP     "a table's name, or schema.table"
#define SHA256_HELP    "64 hexadecimal digits in lower case"

extern const struct shape env_value_shape;

/* The keys of a command stand beside those of the struct that it is part of; `path_` is the member
 * with its dot. */
#define ARGV_FIELD(struct_, path_)                                                                 \
    {                                                                                              \
        .key = "command", .type = SHAPE_STRINGS, .offset = offsetof(struct struct_, path_ argv),   \
        .required = true, .min = 1, .max = LIMIT_ARGV,                                             \
        .help = "The program and its arguments, a list; no shell sees them."                       \
    }
#define ENV_FIELD(struct_, path_)                                                                  \
    {                                                                                              \
        .key = "env", .type = SHAPE_DICT, .offset = offsetof(struct struct_, path_ env),           \
        .scalar_ok = true, .shape = &env_value_shape, .max = 256,                                  \
        .pattern = "[A-Za-z_][A-Za-z0-9_]*",                                                       \
        .pattern_help = "the name of an environment variable",                                     \
        .help = "Variables added to the environment: text, or {file: …} or {env: …}."          \
    }
#define USER_FIELD(struct_, path_)                                                                 \
    {                                                                                              \
        .key = "user", .type = SHAPE_NAME, .offset = offsetof(struct struct_, path_ user),         \
        .help = "The user it runs as; default: the agent's."                                       \
    }
#define TIMEOUT_FIELD(struct_, path_, fallback_)                                                   \
    {                                                                                              \
        .key = "timeout", .type = SHAPE_DURATION,                                                  \
        .offset = offsetof(struct struct_, path_ timeout_ms), .min = 1, .fallback = (fallback_),   \
        .help = "How long it may run."                                                             \
    }
#define MEMORY_FIELD(struct_, path_)                                                               \
    {                                                                                              \
        .key = "memory", .type = SHAPE_BYTES,                                                      \
        .offset = offsetof(struct struct_, path_ memory_bytes_max),                                \
        .help = "The most memory it may use, such as 512MiB; default: no limit."                   \
    }
#define OUTPUT_FIELD(struct_, path_)                                                               \
    {                                                                                              \
        .key = "output", .type = SHAPE_BYTES,                                                      \
        .offset = offsetof(struct struct_, path_ output_bytes_max), .fallback = 16 * MIB,          \
        .help = "How much of its output is kept on the node; the tail travels."                    \
    }

#endif
