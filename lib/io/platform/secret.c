/* Owns the reading of secrets. It refuses an empty one: that is nearly always a mistake of the file. */
#include "lib/io/platform/secret.h"

#include <stdlib.h>
#include <string.h>

#include "lib/io/platform/files.h"

int secret_read(struct arena *arena, const struct secret *secret, const char **ret_value,
                struct error *e)
{
    if (secret->file != NULL) {
        char *text;
        if (file_read(arena, secret->file, SECRET_BYTES_MAX, &text, NULL, e) < 0) {
            return error_wrap(e, "the secret");
        }
        char *end = text + strcspn(text, "\r\n");
        explicit_bzero(end, strlen(end));
        if (*text == '\0') {
            return error_set(e, E_INVALID,
                             "the secret file %s has an empty first line: write the secret there",
                             secret->file);
        }
        *ret_value = text;
        return 0;
    }
    assert(secret->env != NULL);
    const char *value = getenv(secret->env);
    if (value == NULL || *value == '\0') {
        return error_set(e, E_NOT_FOUND,
                         "the secret's environment variable %s is not set where it is used: set it "
                         "for this program, or name a file",
                         secret->env);
    }
    if (strlen(value) > SECRET_BYTES_MAX) {
        return error_set(e, E_LIMIT, "the secret in the environment variable %s is too long",
                         secret->env);
    }
    *ret_value = arena_strdup(arena, value);
    return 0;
}

void secret_wipe(const char *value)
{
    if (value != NULL) {
        explicit_bzero((char *)(uintptr_t)value, strlen(value));
    }
}
