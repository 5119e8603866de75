/* Owns the file names that morph and golang-migrate share. What to do about a name that does not match is the format's. */
#include "lib/migration/name.h"

#include <string.h>

#include "lib/base/str.h"

enum script_name_fault script_name_read(struct arena *arena, const char *file, uint64_t max,
                                        struct script_name *ret)
{
    size_t digits = strspn(file, "0123456789");
    if (digits == 0 || file[digits] != '_') {
        return SCRIPT_NAME_NO_NUMBER;
    }
    if (strchr(file, '\n') != NULL) {
        return SCRIPT_NAME_LINE_BREAK;
    }
    uint64_t version;
    if (!str_to_u64(arena_strndup(arena, file, digits), max, &version)) {
        return SCRIPT_NAME_LARGE_NUMBER;
    }
    const char *start = file + digits + 1;
    const char *mark = NULL;
    for (const char *p = start; *p != '\0'; p++) {
        if (str_starts(p, ".up.") || str_starts(p, ".down.")) {
            mark = p;
        }
    }
    if (mark == NULL) {
        return SCRIPT_NAME_NO_DIRECTION;
    }
    *ret = (struct script_name){version, arena_strndup(arena, start, (size_t)(mark - start)),
                                str_starts(mark, ".down.")};
    return SCRIPT_NAME_OK;
}
