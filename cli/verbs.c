/* Owns the table of verbs and the options that all of them take. */
#include "cli/verbs.h"

#include "lib/base/util.h"

#define VERB_ADDRESS(name) &(name),
const struct verb *const verbs[] = {VERBS(VERB_ADDRESS)};
const size_t verb_count = ARRAY_SIZE(verbs);

const struct option_spec global_options[] = {
    {"json", 0, NULL, "answer in JSON"},
    {"identity", 0, "DIR",
     "who you are: a directory with ca.crt, operator.crt, operator.key, controller"},
    {"controller", 0, "HOST:PORT", "where lockstepd listens, instead of what the identity says"},
    {"help", 'h', NULL, "this, or the help of a verb"},
    {"version", 0, NULL, "print the version of this program"},
};
const size_t global_option_count = ARRAY_SIZE(global_options);
