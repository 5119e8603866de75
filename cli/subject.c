/* Owns how an operand is told apart. A plan is passed on byte for byte: its id is the digest of those bytes. */
#include "cli/subject.h"

#include <string.h>
#include <sys/stat.h>

#include "cli/bundle.h"
#include "cli/output.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/io/platform/files.h"

/* Plans are written without a newline; an editor or a shell may have added one. */
static size_t without_newline(const char *text, size_t len)
{
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r')) {
        len--;
    }
    return len;
}

/* A cluster's name, and no file of that name: a directory may well be called as its cluster is. */
static bool is_cluster_name(const char *operand)
{
    struct stat st;
    return str_is_name(operand) && strchr(operand, '.') == NULL &&
           (stat(operand, &st) < 0 || S_ISDIR(st.st_mode));
}

int subject_read(struct context *c, const char *operand, struct subject *ret)
{
    struct error e = {0};
    char *text = NULL;
    size_t len = 0;
    if (is_cluster_name(operand)) {
        *ret = (struct subject){.cluster = operand};
        return 0;
    }
    int r = file_read(c->arena, operand, LIMIT_FRAME_BYTES, &text, &len, &e);
    if (r == 0 && text[0] == '{') {
        *ret = (struct subject){
            .plan = {.data = (const uint8_t *)text, .len = without_newline(text, len)}};
        return 0;
    }
    struct spec_set set = {0};
    if (r == 0) {
        r = specs_read_cluster(c->arena, operand, &set, &e);
    }
    if (r == 0) {
        *ret =
            (struct subject){.bundle = bundle_of(c->arena, &set, args_text(&c->args, "message"))};
        return 0;
    }
    if (r < 0) {
        say_error(&e);
    }
    return CLI_FAILED;
}
