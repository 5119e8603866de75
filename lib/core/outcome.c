/* Owns the names of outcomes. */
#include "lib/core/outcome.h"

#include <stddef.h>

const char *outcome_status_name(enum outcome_status status)
{
    switch (status) {
    case OUTCOME_DONE:
        return "done";
    case OUTCOME_FAILED:
        return "failed";
    case OUTCOME_UNKNOWN:
        return "unknown";
    }
    return "?";
}
